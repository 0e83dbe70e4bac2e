/*
 * Questions that are answered at once: by id, counts, types, times.
 */
#include "base/assert.h"
#include "index/index_state.h"

/* -- By id ------------------------------------------------------------------------------------- */

struct id_search {
    struct sp_index *index;
    uint64_t hash;
    uint64_t from;
    uint64_t until;
    unsigned roles;
    sp_index_found_fn *found;
    void *context;
    uint64_t base; /* first position of the segment that is being asked */
    bool more;
};

static bool search_found(void *context, uint32_t ordinal, enum sp_index_role role) {
    struct id_search *search = context;
    uint64_t position = search->base + ordinal;
    if (position >= search->from && position < search->until) {
        search->more = search->found(search->context, position, role);
    }
    return search->more;
}

static bool search_wants(const struct id_search *search, const struct sp_index_segment *segment) {
    return segment->first_position < search->until && sp_index_segment_end(segment) > search->from;
}

static sp_status search_segment(struct id_search *search, struct sp_index_segment *segment) {
    if (!search_wants(search, segment)) {
        return SP_OK;
    }
    search->base = segment->first_position;
    if (segment->tail != NULL) {
        (void)sp_tail_find_id(segment->tail, search->hash, search->roles, search_found, search);
        return SP_OK;
    }
    bool more;
    sp_status status = sp_section_find_id(segment->section, search->hash, search->roles,
                                          &search->index->scratch, search_found, search, &more);
    return sp_index_note(segment, status);
}

/* Segments to be searched, in the order of positions. */
struct candidates {
    size_t count;
    bool overflow; /* there are more than fit */
    struct sp_index_segment *segments[SP_SIEVE_COLUMNS_MAX];
};

static void candidate_add(struct candidates *candidates, struct sp_index_segment *segment) {
    if (candidates->count == SP_SIEVE_COLUMNS_MAX) {
        candidates->overflow = true;
        return;
    }
    size_t at = candidates->count++;
    for (; at > 0; at--) {
        if (candidates->segments[at - 1]->first_position < segment->first_position) {
            break;
        }
        candidates->segments[at] = candidates->segments[at - 1];
    }
    candidates->segments[at] = segment;
}

/* What the sieve lets through: for a key that is nowhere, nearly always nothing. */
static void ask_sieve(const struct id_search *search, struct candidates *candidates) {
    const struct sp_index *index = search->index;
    uint64_t key = sp_filter_id_key(search->hash);
    for (size_t i = 0; i < index->group_count; i++) {
        const struct sp_index_group *group = index->groups[i];
        if (group->end_position <= search->from || group->first_position >= search->until) {
            continue;
        }
        uint64_t columns = sp_sieve_ask(group->sieve, key) & group->live;
        while (columns != 0) {
            candidate_add(candidates, group->members[__builtin_ctzll(columns)]);
            columns &= columns - 1;
        }
    }
}

/* Nearly always the last segment or two; a seal that was late leaves one further down. */
static void add_tails(const struct sp_index *index, struct candidates *candidates) {
    size_t left = index->tail_count;
    for (size_t i = index->segment_count; left > 0; i--) {
        if (index->segments[i - 1]->tail != NULL) {
            candidate_add(candidates, index->segments[i - 1]);
            left--;
        }
    }
}

static sp_status search_all(struct id_search *search) {
    sp_status status = SP_OK;
    uint64_t key = sp_filter_id_key(search->hash);
    for (size_t i = 0; i < search->index->segment_count; i++) {
        struct sp_index_segment *segment = search->index->segments[i];
        if (status != SP_OK || !search->more) {
            break;
        }
        const struct sp_index_group *group = segment->group;
        if (group == NULL || (sp_sieve_ask(group->sieve, key) >> segment->column & 1) != 0) {
            status = search_segment(search, segment);
        }
    }
    return status;
}

sp_status sp_index_find_id(struct sp_index *index, uint64_t hash, unsigned roles, uint64_t from,
                           uint64_t until, sp_index_found_fn *found, void *context) {
    struct id_search search = {
        .index = index,
        .hash = hash,
        .from = from,
        .until = until,
        .roles = roles,
        .found = found,
        .context = context,
        .more = true,
    };
    struct candidates candidates;
    candidates.count = 0;
    candidates.overflow = false;
    ask_sieve(&search, &candidates);
    add_tails(index, &candidates);
    if (index->unfolded_count > 0 || candidates.overflow) {
        return search_all(&search);
    }
    sp_status status = SP_OK;
    for (size_t i = 0; i < candidates.count && status == SP_OK && search.more; i++) {
        status = search_segment(&search, candidates.segments[i]);
    }
    return status;
}

static const struct sp_tail *newest_tail(const struct sp_index *index) {
    return index->segment_count == 0 ? NULL : index->segments[index->segment_count - 1]->tail;
}

void sp_index_prefetch_id(const struct sp_index *index, uint64_t hash) {
    uint64_t key = sp_filter_id_key(hash);
    for (size_t i = 0; i < index->group_count; i++) {
        sp_sieve_prefetch(index->groups[i]->sieve, key);
    }
    if (newest_tail(index) != NULL) {
        sp_tail_prefetch_id(newest_tail(index), hash);
    }
}

void sp_index_prefetch_add(const struct sp_index *index, const struct sp_index_keys *keys) {
    if (newest_tail(index) != NULL) {
        sp_tail_prefetch_add(newest_tail(index), keys);
    }
}

/* -- Counts ------------------------------------------------------------------------------------ */

struct estimate {
    uint64_t known; /* in tails and in the sections that were read */
    uint64_t read;  /* in the latter */
    uint32_t reads;
    uint32_t unread; /* sections that may have the key and were not read */
};

static bool may_have(const struct sp_index_segment *segment, uint64_t hash) {
    return segment->group == NULL ||
           (sp_sieve_ask(segment->group->sieve, hash) >> segment->column & 1) != 0;
}

static sp_status estimate_segment(struct sp_index *index, struct sp_index_segment *segment,
                                  enum sp_index_kind kind, uint64_t hash,
                                  struct estimate *estimate) {
    if (segment->tail != NULL) {
        estimate->known += sp_tail_count_of(segment->tail, kind, hash);
        return SP_OK;
    }
    if (!may_have(segment, hash)) {
        return SP_OK;
    }
    if (estimate->reads == SP_INDEX_ESTIMATE_READS) {
        estimate->unread++;
        return SP_OK;
    }
    struct sp_section_cursor cursor;
    struct sp_postings run;
    sp_status status =
        sp_section_find(segment->section, kind, hash, &index->scratch, &cursor, &run);
    if (status == SP_OK) {
        estimate->reads++;
        estimate->read += cursor.count;
        estimate->known += cursor.count;
    }
    return sp_index_note(segment, status);
}

/* The newest segments are read: they are the likeliest in the cache. */
sp_status sp_index_count_estimate(struct sp_index *index, enum sp_index_kind kind, uint64_t hash,
                                  uint64_t from, uint64_t until, uint64_t *ret_count) {
    struct estimate estimate = {.known = 0};
    for (size_t i = index->segment_count; i > 0; i--) {
        struct sp_index_segment *segment = index->segments[i - 1];
        if (segment->first_position >= until) {
            continue;
        }
        if (sp_index_segment_end(segment) <= from) {
            break;
        }
        sp_status status = estimate_segment(index, segment, kind, hash, &estimate);
        if (status != SP_OK) {
            return status;
        }
    }
    uint64_t per_read = estimate.reads == 0 ? 0 : estimate.read / estimate.reads;
    *ret_count = estimate.known + estimate.unread * (per_read > 0 ? per_read : 1);
    return SP_OK;
}

/* -- Types and times --------------------------------------------------------------------------- */

sp_status sp_index_each_type(const struct sp_index *index, sp_index_type_fn *each, void *context) {
    bool complete = true;
    for (size_t i = 0; i < index->segment_count; i++) {
        const struct sp_index_segment *segment = index->segments[i];
        complete = complete && segment->types_complete &&
                   (segment->tail == NULL || sp_tail_types_complete(segment->tail));
    }
    for (uint32_t i = 0; i < index->types.count; i++) {
        const struct sp_type *type = &index->types.types[i];
        if (type->segments > 0 && !each(context, sp_str_of(type->text, type->len))) {
            break;
        }
    }
    return complete ? SP_OK : SP_LIMIT;
}

/* From the newest segment back: the question is mostly about the recent past. */
uint64_t sp_index_position_at_time(const struct sp_index *index, uint64_t recorded_us) {
    uint64_t position = 1;
    if (index->segment_count > 0) {
        position = sp_index_segment_end(index->segments[index->segment_count - 1]);
    }
    for (size_t i = index->segment_count; i > 0; i--) {
        const struct sp_index_segment *segment = index->segments[i - 1];
        uint32_t count = sp_index_segment_count(segment);
        uint32_t ordinal = segment->tail != NULL
                               ? sp_tail_ordinal_at_time(segment->tail, recorded_us)
                               : sp_section_ordinal_at_time(segment->section, recorded_us);
        if (count > 0 && ordinal == count) {
            break;
        }
        if (count > 0) {
            position = segment->first_position + ordinal;
        }
    }
    return position;
}
