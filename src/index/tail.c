/*
 * Adding an event goes in two steps. First everything that may need memory is found and reserved,
 * which may be repeated and has no effect that shows; then the entries are made, which cannot fail.
 * So an add that runs out of memory leaves the tail as it was.
 */
#include "index/tail.h"

#include <stdlib.h>

#include "base/assert.h"
#include "index/tail_state.h"

static const uint64_t TAIL_FACTOR = 0x9e3779b97f4a7c15u;

struct sp_tail *sp_tail_new(uint64_t first_position, uint64_t seed) {
    sp_require(first_position > 0);
    struct sp_tail *tail = calloc(1, sizeof(*tail));
    if (tail == NULL) {
        return NULL;
    }
    uint64_t factor = (seed ^ TAIL_FACTOR) | 1;
    atomic_init(&tail->refs, 1);
    tail->first_position = first_position;
    tail->types_complete = true;
    sp_words_init(&tail->words);
    for (size_t kind = 0; kind < SP_INDEX_KIND_COUNT; kind++) {
        sp_terms_init(&tail->kinds[kind], factor);
    }
    sp_idtab_init(&tail->ids, factor);
    sp_buf_init(&tail->type_bytes, (size_t)SP_TAIL_TYPES_MAX * SP_EVENT_TYPE_BYTES_MAX);
    return tail;
}

struct sp_tail *sp_tail_ref(struct sp_tail *tail) {
    uint32_t before = atomic_fetch_add_explicit(&tail->refs, 1, memory_order_relaxed);
    sp_require(before > 0);
    return tail;
}

void sp_tail_unref(struct sp_tail *tail) {
    if (tail == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&tail->refs, 1, memory_order_acq_rel);
    sp_require(before > 0);
    if (before > 1) {
        return;
    }
    for (size_t kind = 0; kind < SP_INDEX_KIND_COUNT; kind++) {
        sp_terms_fini(&tail->kinds[kind]);
    }
    sp_words_fini(&tail->words);
    sp_idtab_fini(&tail->ids);
    sp_buf_fini(&tail->type_bytes);
    free(tail);
}

/* -- Adding ------------------------------------------------------------------------------------ */

static inline sp_idtab_node node_of(uint32_t role, uint32_t ordinal) {
    return role << SP_IDTAB_ORDINAL_BITS | ordinal;
}

static sp_status reserve_ids(struct sp_tail *tail, const struct sp_index_keys *keys) {
    uint32_t ordinal = tail->count;
    sp_status status =
        sp_idtab_reserve(&tail->ids, sp_idtab_hash48(keys->id), node_of(SP_TAIL_ROLE_ID, ordinal));
    if (status == SP_OK && keys->has_cause) {
        status = sp_idtab_reserve(&tail->ids, sp_idtab_hash48(keys->cause),
                                  node_of(SP_TAIL_ROLE_CAUSE, ordinal));
    }
    if (status == SP_OK && keys->has_source_id) {
        status = sp_idtab_reserve(&tail->ids, sp_idtab_hash48(keys->source_id),
                                  node_of(SP_TAIL_ROLE_SOURCE_ID, ordinal));
    }
    return status;
}

/* Finds the terms of an event, or NULL and room for a new one. */
static sp_status reserve_terms(struct sp_tail *tail, const uint64_t hashes[SP_INDEX_KIND_COUNT],
                               struct sp_term *found[SP_INDEX_KIND_COUNT]) {
    for (size_t kind = 0; kind < SP_INDEX_KIND_COUNT; kind++) {
        found[kind] = sp_terms_find(&tail->kinds[kind], hashes[kind]);
    }
    for (size_t kind = 0; kind < SP_INDEX_KIND_COUNT; kind++) {
        if (SP_UNLIKELY(found[kind] == NULL)) {
            sp_status status = sp_terms_reserve(&tail->kinds[kind], hashes[kind]);
            if (status != SP_OK) {
                return status;
            }
        }
    }
    return sp_words_reserve(&tail->words);
}

static sp_status reserve_type(struct sp_tail *tail, sp_str type) {
    if (type.len == 0 || tail->type_count == SP_TAIL_TYPES_MAX) {
        return SP_OK;
    }
    sp_status status = sp_buf_reserve(&tail->type_bytes, type.len) == NULL ? SP_NO_MEMORY : SP_OK;
    tail->type_bytes.status = SP_OK; /* a later add may find memory */
    return status;
}

static void enter_ids(struct sp_tail *tail, const struct sp_index_keys *keys, uint32_t ordinal) {
    sp_idtab_add(&tail->ids, sp_idtab_hash48(keys->id), node_of(SP_TAIL_ROLE_ID, ordinal));
    if (keys->has_cause) {
        sp_idtab_add(&tail->ids, sp_idtab_hash48(keys->cause),
                     node_of(SP_TAIL_ROLE_CAUSE, ordinal));
    }
    if (keys->has_source_id) {
        sp_idtab_add(&tail->ids, sp_idtab_hash48(keys->source_id),
                     node_of(SP_TAIL_ROLE_SOURCE_ID, ordinal));
    }
}

/*
 * The first types are numbered as their terms. A second text of the same hash cannot be listed, and
 * is said to be missing: patterns are then compared with the events, and nothing can hide behind a
 * crafted collision.
 */
static void enter_type(struct sp_tail *tail, uint32_t number, bool is_new, sp_str type) {
    if (is_new && number < SP_TAIL_TYPES_MAX) {
        sp_invariant(number == tail->type_count);
        sp_buf_add_str(&tail->type_bytes, type);
        tail->type_ends[tail->type_count++] = (uint32_t)tail->type_bytes.len;
    } else if (number >= SP_TAIL_TYPES_MAX || !sp_str_eq(sp_tail_type(tail, number), type)) {
        tail->types_complete = false;
    }
}

static void enter_time(struct sp_tail *tail, uint32_t ordinal, uint64_t recorded_us) {
    uint32_t at = ordinal / SP_TAIL_TIME_EVENTS;
    uint64_t before = ordinal == 0                         ? 0
                      : ordinal % SP_TAIL_TIME_EVENTS == 0 ? tail->times[at - 1]
                                                           : tail->times[at];
    tail->times[at] = recorded_us > before ? recorded_us : before;
}

sp_status sp_tail_add(struct sp_tail *tail, const struct sp_index_keys *keys, sp_str type,
                      uint64_t recorded_us) {
    sp_require(!tail->finished);
    sp_require(type.len <= SP_EVENT_TYPE_BYTES_MAX);
    if (tail->count == SP_TAIL_EVENTS_MAX) {
        return SP_LIMIT;
    }
    const uint64_t hashes[SP_INDEX_KIND_COUNT] = {
        [SP_INDEX_STREAM] = keys->stream,
        [SP_INDEX_TYPE] = keys->type,
        [SP_INDEX_SOURCE] = keys->source,
        [SP_INDEX_CORRELATION] = keys->correlation,
    };
    struct sp_term *found[SP_INDEX_KIND_COUNT];
    sp_status status = reserve_ids(tail, keys);
    if (status == SP_OK) {
        status = reserve_terms(tail, hashes, found);
    }
    bool type_is_new = status == SP_OK && found[SP_INDEX_TYPE] == NULL;
    if (SP_UNLIKELY(type_is_new)) {
        status = reserve_type(tail, type);
    }
    if (SP_UNLIKELY(status != SP_OK)) {
        return status;
    }
    uint32_t ordinal = tail->count;
    enter_ids(tail, keys, ordinal);
    for (size_t kind = 0; kind < SP_INDEX_KIND_COUNT; kind++) {
        if (SP_UNLIKELY(found[kind] == NULL)) {
            found[kind] = sp_terms_new(&tail->kinds[kind], hashes[kind]);
        }
        sp_terms_append(&tail->words, found[kind], ordinal);
    }
    enter_type(tail, found[SP_INDEX_TYPE]->number, type_is_new, type);
    enter_time(tail, ordinal, recorded_us);
    tail->count++;
    return SP_OK;
}

void sp_tail_finish(struct sp_tail *tail) {
    tail->finished = true;
}

/* -- Reading ----------------------------------------------------------------------------------- */

bool sp_tail_finished(const struct sp_tail *tail) {
    return tail->finished;
}

uint64_t sp_tail_first(const struct sp_tail *tail) {
    return tail->first_position;
}

uint32_t sp_tail_count(const struct sp_tail *tail) {
    return tail->count;
}

size_t sp_tail_bytes(const struct sp_tail *tail) {
    size_t size_bytes = sizeof(*tail) + tail->type_bytes.capacity + tail->ids.size_bytes +
                        tail->words.chunks.count * (size_t)SP_WORDS_CHUNK * sizeof(uint32_t);
    for (size_t kind = 0; kind < SP_INDEX_KIND_COUNT; kind++) {
        size_bytes += sp_terms_bytes(&tail->kinds[kind]);
    }
    return size_bytes;
}

uint32_t sp_tail_count_of(const struct sp_tail *tail, enum sp_index_kind kind, uint64_t hash) {
    sp_require((unsigned)kind < SP_INDEX_KIND_COUNT);
    const struct sp_term *term = sp_terms_find(&tail->kinds[kind], hash);
    return term == NULL ? 0 : term->count;
}

bool sp_tail_find(const struct sp_tail *tail, enum sp_index_kind kind, uint64_t hash,
                  struct sp_tail_cursor *ret_cursor) {
    sp_require((unsigned)kind < SP_INDEX_KIND_COUNT);
    const struct sp_term *term = sp_terms_find(&tail->kinds[kind], hash);
    *ret_cursor = (struct sp_tail_cursor){
        .term = term == NULL ? SP_TERMS_NONE : term->number,
        .kind = kind,
    };
    return term != NULL;
}

void sp_tail_fill(const struct sp_tail *tail, struct sp_tail_cursor *cursor, uint32_t bound,
                  bool reverse, struct sp_postings *ret_run) {
    if (cursor->term == SP_TERMS_NONE) {
        ret_run->begin = 0;
        ret_run->end = 0;
        return;
    }
    sp_terms_fill(&tail->kinds[cursor->kind], &tail->words, cursor->term, &cursor->block, bound,
                  reverse, ret_run);
}

bool sp_tail_find_id(const struct sp_tail *tail, uint64_t hash, unsigned roles,
                     sp_tail_found_fn *found, void *context) {
    struct sp_idtab_walk walk = sp_idtab_find(&tail->ids, sp_idtab_hash48(hash));
    sp_idtab_node node;
    while (sp_idtab_next(&walk, &node)) {
        enum sp_index_role role = SP_TAIL_ROLES[node >> SP_IDTAB_ORDINAL_BITS];
        uint32_t ordinal = node & ((1u << SP_IDTAB_ORDINAL_BITS) - 1);
        if ((roles & role) != 0 && !found(context, ordinal, role)) {
            return false;
        }
    }
    return true;
}

void sp_tail_prefetch_id(const struct sp_tail *tail, uint64_t hash) {
    sp_idtab_prefetch(&tail->ids, sp_idtab_hash48(hash));
}

void sp_tail_prefetch_add(const struct sp_tail *tail, const struct sp_index_keys *keys) {
    sp_idtab_prefetch(&tail->ids, sp_idtab_hash48(keys->id));
    if (keys->has_cause) {
        sp_idtab_prefetch(&tail->ids, sp_idtab_hash48(keys->cause));
    }
    sp_terms_prefetch(&tail->kinds[SP_INDEX_STREAM], keys->stream);
    sp_terms_prefetch(&tail->kinds[SP_INDEX_CORRELATION], keys->correlation);
}

uint32_t sp_tail_type_count(const struct sp_tail *tail) {
    return tail->type_count;
}

sp_str sp_tail_type(const struct sp_tail *tail, uint32_t number) {
    sp_require(number < tail->type_count);
    uint32_t begin = number == 0 ? 0 : tail->type_ends[number - 1];
    return sp_str_of(tail->type_bytes.data + begin, tail->type_ends[number] - begin);
}

bool sp_tail_types_complete(const struct sp_tail *tail) {
    return tail->types_complete;
}

uint32_t sp_tail_ordinal_at_time(const struct sp_tail *tail, uint64_t recorded_us) {
    uint32_t times = (tail->count + SP_TAIL_TIME_EVENTS - 1) / SP_TAIL_TIME_EVENTS;
    uint32_t found = sp_times_find(tail->times, times, recorded_us);
    return found == times ? tail->count : found * SP_TAIL_TIME_EVENTS;
}
