/*
 * The life of segments: begun as tails, sealed, opened, dropped.
 */
#include "index/index.h"

#include <stdlib.h>

#include "base/assert.h"
#include "index/index_state.h"

enum { SCRATCH_BYTES_MAX = 1 << 30 };

struct sp_index *sp_index_new(const struct sp_index_options *options) {
    struct sp_index *index = calloc(1, sizeof(*index));
    if (index == NULL) {
        return NULL;
    }
    index->seed = options == NULL ? 0 : options->seed;
    sp_types_init(&index->types);
    sp_buf_init(&index->scratch, SCRATCH_BYTES_MAX);
    return index;
}

static void segment_free(struct sp_index_segment *segment) {
    sp_tail_unref(segment->tail);
    sp_section_free(segment->section);
    free(segment->types);
    free(segment);
}

void sp_index_free(struct sp_index *index) {
    if (index == NULL) {
        return;
    }
    sp_require(index->fold == NULL);
    for (size_t i = 0; i < index->segment_count; i++) {
        segment_free(index->segments[i]);
    }
    for (size_t i = 0; i < index->group_count; i++) {
        sp_sieve_group_free(index->groups[i]->sieve);
        free(index->groups[i]);
    }
    free(index->segments);
    free(index->groups);
    sp_types_fini(&index->types);
    sp_buf_fini(&index->scratch);
    free(index);
}

/* -- Segments ---------------------------------------------------------------------------------- */

size_t sp_index_segment_at(const struct sp_index *index, uint64_t position) {
    size_t low = 0;
    size_t high = index->segment_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sp_index_segment_end(index->segments[middle]) <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct sp_index_segment *segment_newest(const struct sp_index *index) {
    return index->segment_count == 0 ? NULL : index->segments[index->segment_count - 1];
}

static struct sp_index_segment *segment_of_id(const struct sp_index *index, uint64_t segment_id) {
    for (size_t i = index->segment_count; i > 0; i--) {
        if (index->segments[i - 1]->id == segment_id) {
            return index->segments[i - 1];
        }
    }
    return NULL;
}

/* A segment behind all others; the caller gives it a tail or a section. NULL: out of memory. */
static struct sp_index_segment *segment_append(struct sp_index *index, uint64_t id,
                                               uint64_t first_position) {
    const struct sp_index_segment *newest = segment_newest(index);
    sp_require(first_position > 0);
    sp_require(newest == NULL || first_position >= sp_index_segment_end(newest));
    if (index->segment_count == index->segment_capacity) {
        size_t capacity = index->segment_capacity == 0 ? 16 : index->segment_capacity * 2;
        struct sp_index_segment **segments = realloc(index->segments, capacity * sizeof(*segments));
        if (segments == NULL) {
            return NULL;
        }
        index->segments = segments;
        index->segment_capacity = capacity;
    }
    struct sp_index_segment *segment = calloc(1, sizeof(*segment));
    if (segment != NULL) {
        segment->id = id;
        segment->first_position = first_position;
        segment->types_complete = true;
        index->segments[index->segment_count++] = segment;
    }
    return segment;
}

static void segment_remove_newest(struct sp_index *index) {
    segment_free(index->segments[--index->segment_count]);
}

/* Notes that the segment has a type; or, where there is no room, that not all are listed. */
static void segment_add_type(struct sp_index *index, struct sp_index_segment *segment,
                             sp_str text) {
    if (segment->type_count == segment->type_capacity) {
        uint32_t capacity = segment->type_capacity == 0 ? 16 : segment->type_capacity * 2;
        uint32_t *types = realloc(segment->types, capacity * sizeof(*types));
        if (types == NULL) {
            segment->types_complete = false;
            return;
        }
        segment->types = types;
        segment->type_capacity = capacity;
    }
    uint32_t number = sp_types_add(&index->types, text);
    if (number == SP_TYPES_NONE) {
        segment->types_complete = false;
        return;
    }
    segment->types[segment->type_count++] = number;
}

/* -- Tails ------------------------------------------------------------------------------------- */

sp_status sp_index_tail_begin(struct sp_index *index, uint64_t segment_id,
                              uint64_t first_position) {
    struct sp_tail *tail = sp_tail_new(first_position, index->seed);
    struct sp_index_segment *newest = segment_newest(index);
    struct sp_index_segment *segment =
        tail == NULL ? NULL : segment_append(index, segment_id, first_position);
    if (segment == NULL) {
        sp_tail_unref(tail);
        return SP_NO_MEMORY;
    }
    if (newest != NULL && newest->tail != NULL) {
        sp_tail_finish(newest->tail);
    }
    segment->tail = tail;
    index->tail_count++;
    return SP_OK;
}

sp_status sp_index_add(struct sp_index *index, uint64_t position, const struct sp_index_keys *keys,
                       sp_str type, uint64_t recorded_us) {
    struct sp_index_segment *newest = segment_newest(index);
    sp_require(newest != NULL && newest->tail != NULL);
    sp_require(position == sp_index_segment_end(newest));
    uint32_t types = sp_tail_type_count(newest->tail);
    sp_status status = sp_tail_add(newest->tail, keys, type, recorded_us);
    if (status == SP_OK && sp_tail_type_count(newest->tail) > types) {
        segment_add_type(index, newest, type);
    }
    return status;
}

struct sp_tail *sp_index_tail_pin(struct sp_index *index, uint64_t segment_id) {
    struct sp_index_segment *segment = segment_of_id(index, segment_id);
    if (segment == NULL || segment->tail == NULL) {
        return NULL;
    }
    sp_tail_finish(segment->tail);
    return sp_tail_ref(segment->tail);
}

/* -- Sealed segments --------------------------------------------------------------------------- */

static sp_status open_section(const struct sp_section_reader *reader, uint64_t first_position,
                              uint32_t count, struct sp_section **ret_section,
                              struct sp_error *error) {
    struct sp_section *section;
    sp_status status = sp_section_open(reader, &section, error);
    if (status != SP_OK) {
        return status;
    }
    if (sp_section_first(section) == first_position && sp_section_count(section) == count) {
        *ret_section = section;
        return SP_OK;
    }
    status = sp_error_set(error, SP_CORRUPT,
                          "index section: has %u events from position %llu, not %u from %llu",
                          sp_section_count(section), (unsigned long long)sp_section_first(section),
                          count, (unsigned long long)first_position);
    sp_section_discard(section);
    return status;
}

sp_status sp_index_seal(struct sp_index *index, uint64_t segment_id,
                        const struct sp_section_reader *reader, struct sp_error *error) {
    struct sp_index_segment *segment = segment_of_id(index, segment_id);
    if (segment == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "index: no segment %llu",
                            (unsigned long long)segment_id);
    }
    sp_require(segment->tail == NULL || sp_tail_finished(segment->tail));
    uint32_t count = sp_index_segment_count(segment);
    struct sp_section *section;
    sp_status status = open_section(reader, segment->first_position, count, &section, error);
    if (status != SP_OK) {
        return status;
    }
    if (segment->tail != NULL) {
        segment->types_complete = segment->types_complete && sp_tail_types_complete(segment->tail);
        sp_tail_unref(segment->tail);
        segment->tail = NULL;
        index->tail_count--;
        index->unfolded_count++;
    } else {
        sp_index_group_leave(index, segment);
        sp_index_retire(index, segment, segment->section);
    }
    segment->section = section;
    segment->sealed_count = count;
    segment->damaged = false;
    index->generation++;
    return SP_OK;
}

struct type_adding {
    struct sp_index *index;
    struct sp_index_segment *segment;
};

static bool add_type_of_section(void *context, sp_str text) {
    struct type_adding *adding = context;
    segment_add_type(adding->index, adding->segment, text);
    return true;
}

static void segment_forget_types(struct sp_index *index, struct sp_index_segment *segment) {
    for (uint32_t i = 0; i < segment->type_count; i++) {
        sp_types_remove(&index->types, segment->types[i]);
    }
    segment->type_count = 0;
}

sp_status sp_index_open_sealed(struct sp_index *index, uint64_t segment_id, uint64_t first_position,
                               uint32_t count, const struct sp_section_reader *reader,
                               struct sp_error *error) {
    struct sp_section *section;
    sp_status status = open_section(reader, first_position, count, &section, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_index_segment *segment = segment_append(index, segment_id, first_position);
    if (segment == NULL) {
        sp_section_discard(section);
        return sp_error_set(error, SP_NO_MEMORY, "index: out of memory");
    }
    struct type_adding adding = {.index = index, .segment = segment};
    status = sp_section_each_type(section, &index->scratch, add_type_of_section, &adding);
    if (status != SP_OK && status != SP_LIMIT) {
        sp_section_discard(section);
        segment_forget_types(index, segment);
        segment_remove_newest(index);
        return sp_error_set(error, status, "index section: types: %s", sp_status_text(status));
    }
    segment->types_complete = segment->types_complete && status == SP_OK;
    segment->section = section;
    segment->sealed_count = count;
    index->unfolded_count++;
    return SP_OK;
}

static void segment_drop(struct sp_index *index, struct sp_index_segment *segment) {
    if (segment->section != NULL) {
        sp_index_group_leave(index, segment);
        index->unfolded_count--;
        sp_index_retire(index, segment, segment->section);
        segment->section = NULL;
    }
    index->tail_count -= segment->tail != NULL;
    segment_forget_types(index, segment);
    segment_free(segment);
}

void sp_index_drop_before(struct sp_index *index, uint64_t position) {
    size_t dropped = 0;
    while (dropped < index->segment_count) {
        struct sp_index_segment *segment = index->segments[dropped];
        bool grows = segment->tail != NULL && !sp_tail_finished(segment->tail);
        if (grows || sp_index_segment_end(segment) > position) {
            break;
        }
        segment_drop(index, segment);
        dropped++;
    }
    if (dropped > 0) {
        index->segment_count -= dropped;
        memmove(index->segments, index->segments + dropped,
                index->segment_count * sizeof(struct sp_index_segment *));
        index->generation++;
    }
}

bool sp_index_damaged(const struct sp_index *index, uint64_t *ret_segment_id) {
    for (size_t i = 0; i < index->segment_count; i++) {
        if (index->segments[i]->damaged) {
            *ret_segment_id = index->segments[i]->id;
            return true;
        }
    }
    return false;
}

static void stats_of_segment(const struct sp_index_segment *segment, struct sp_index_stats *stats) {
    if (segment->tail != NULL) {
        stats->tails++;
        stats->tail_bytes += sp_tail_bytes(segment->tail);
    } else {
        stats->segments_sealed++;
        stats->segments_folded += segment->group != NULL;
        stats->section_bytes += sp_section_bytes(segment->section);
    }
    stats->section_bytes += sizeof(*segment) + segment->type_capacity * sizeof(*segment->types);
}

void sp_index_stats(const struct sp_index *index, struct sp_index_stats *ret_stats) {
    struct sp_index_stats stats = {.first_position = 0};
    for (size_t i = 0; i < index->segment_count; i++) {
        stats_of_segment(index->segments[i], &stats);
    }
    if (index->segment_count > 0) {
        stats.first_position = index->segments[0]->first_position;
        stats.next_position = sp_index_segment_end(segment_newest(index));
    }
    for (size_t i = 0; i < index->group_count; i++) {
        stats.sieve_bytes += sp_sieve_group_bytes(index->groups[i]->sieve);
    }
    for (uint32_t i = 0; i < index->types.count; i++) {
        stats.types += index->types.types[i].segments > 0;
    }
    *ret_stats = stats;
}
