/*
 * Moving filters into the sieve: what to fold is chosen on the loop, the group is built on a helper
 * from things that do not change meanwhile (sections, the group's present rows), and swapped in on
 * the loop; where its rows have room they are filled in place, which nobody sees before the
 * segments have their columns. A segment that goes away in between leaves its place in the fold
 * empty, and its section, which the helper may be reading, is freed with the fold.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "index/index_state.h"

static bool is_foldable(const struct sp_index_segment *segment) {
    return segment->section != NULL && segment->group == NULL && !segment->damaged;
}

static struct sp_index_segment *first_foldable(const struct sp_index *index) {
    for (size_t i = 0; index->unfolded_count > 0 && i < index->segment_count; i++) {
        if (is_foldable(index->segments[i])) {
            return index->segments[i];
        }
    }
    return NULL;
}

/* A group of this size with columns to spare; made, outside of the index, where there is none. */
static struct sp_index_group *group_with_room(struct sp_index *index, uint32_t block_count,
                                              bool *ret_is_new) {
    *ret_is_new = false;
    for (size_t i = index->group_count; i > 0; i--) {
        const struct sp_sieve_group *sieve = index->groups[i - 1]->sieve;
        if (sieve->block_count == block_count && sieve->column_count < SP_SIEVE_COLUMNS_MAX) {
            return index->groups[i - 1];
        }
    }
    if (index->group_count == index->group_capacity) {
        size_t capacity = index->group_capacity == 0 ? 8 : index->group_capacity * 2;
        struct sp_index_group **groups = realloc(index->groups, capacity * sizeof(*groups));
        if (groups == NULL) {
            return NULL;
        }
        index->groups = groups;
        index->group_capacity = capacity;
    }
    *ret_is_new = true;
    return calloc(1, sizeof(struct sp_index_group));
}

/* The oldest ones come first, so that the columns of a group are in the order of positions. */
static void choose_segments(const struct sp_index *index, struct sp_index_fold *fold) {
    uint32_t room = SP_SIEVE_COLUMNS_MAX - fold->base_columns;
    room = room < SP_INDEX_FOLD_MAX ? room : SP_INDEX_FOLD_MAX;
    for (size_t i = 0; i < index->segment_count && fold->count < room; i++) {
        struct sp_index_segment *segment = index->segments[i];
        if (is_foldable(segment) &&
            sp_section_filter_blocks(segment->section) == fold->block_count) {
            fold->segments[fold->count] = segment;
            fold->sections[fold->count] = segment->section;
            fold->count++;
        }
    }
}

struct sp_index_fold *sp_index_fold_begin(struct sp_index *index) {
    const struct sp_index_segment *first = index->fold != NULL ? NULL : first_foldable(index);
    struct sp_index_fold *fold = first == NULL ? NULL : calloc(1, sizeof(*fold));
    if (fold == NULL) {
        return NULL;
    }
    fold->block_count = sp_section_filter_blocks(first->section);
    fold->group = group_with_room(index, fold->block_count, &fold->group_is_new);
    if (fold->group == NULL) {
        free(fold);
        return NULL;
    }
    fold->base = fold->group->sieve;
    fold->base_columns = fold->base == NULL ? 0 : fold->base->column_count;
    choose_segments(index, fold);
    sp_ensure(fold->count > 0);
    index->fold = fold;
    return fold;
}

/* Reads the filters that can be read; *filters gets one pointer each. */
static uint32_t read_filters(struct sp_index_fold *fold, struct sp_buf *bits,
                             const uint64_t **filters) {
    size_t size = (size_t)fold->block_count * SP_FILTER_BLOCK_BYTES;
    uint32_t count = 0;
    for (uint32_t i = 0; i < fold->count; i++) {
        fold->filter_status[i] = sp_section_filter_read(fold->sections[i], bits);
        if (fold->filter_status[i] == SP_OK) {
            count++;
        } else {
            bits->status = SP_OK;
        }
    }
    sp_ensure(bits->len == count * size);
    for (uint32_t i = 0; i < count; i++) {
        filters[i] = (const uint64_t *)(const void *)(bits->data + i * size);
    }
    return count;
}

void sp_index_fold_run(struct sp_index_fold *fold) {
    const uint64_t *filters[SP_INDEX_FOLD_MAX];
    struct sp_buf bits;
    sp_buf_init(&bits, SIZE_MAX / 2);
    uint32_t count = read_filters(fold, &bits, filters);
    if (count > 0 && fold->base != NULL && sp_sieve_group_has_room(fold->base, count)) {
        sp_sieve_group_fill(fold->base, filters, count);
        fold->built = fold->base;
    } else if (count > 0) {
        fold->built = sp_sieve_group_new(fold->base, fold->block_count, filters, count);
        fold->status = fold->built == NULL ? SP_NO_MEMORY : SP_OK;
    }
    sp_buf_fini(&bits);
}

static void group_widen(struct sp_index_group *group, const struct sp_index_segment *segment) {
    uint64_t first = segment->first_position;
    uint64_t end = sp_index_segment_end(segment);
    bool is_empty = group->end_position == 0;
    group->first_position =
        is_empty || first < group->first_position ? first : group->first_position;
    group->end_position = end > group->end_position ? end : group->end_position;
}

/* Gives the segments their columns; a filter that was not read has none. */
static sp_status fold_apply(struct sp_index *index, struct sp_index_fold *fold) {
    sp_status status = fold->status;
    struct sp_index_group *group = fold->group;
    uint32_t column = fold->base_columns;
    for (uint32_t i = 0; i < fold->count; i++) {
        struct sp_index_segment *segment = fold->segments[i];
        if (fold->filter_status[i] != SP_OK) {
            status = fold->filter_status[i];
            if (segment != NULL) {
                (void)sp_index_note(segment, status);
            }
        } else if (fold->built != NULL) {
            if (segment != NULL) {
                segment->group = group;
                segment->column = column;
                group->members[column] = segment;
                group->live |= (uint64_t)1 << column;
                group_widen(group, segment);
                index->unfolded_count--;
            }
            column++;
        }
    }
    return status;
}

static void group_remove(struct sp_index *index, struct sp_index_group *group) {
    for (size_t i = 0; i < index->group_count; i++) {
        if (index->groups[i] == group) {
            index->groups[i] = index->groups[--index->group_count];
            break;
        }
    }
}

sp_status sp_index_fold_end(struct sp_index *index, struct sp_index_fold *fold) {
    sp_require(index->fold == fold);
    index->fold = NULL;
    sp_status status = fold_apply(index, fold);
    struct sp_index_group *group = fold->group;
    if (fold->built != NULL) {
        fold->replaced = fold->built == fold->base ? NULL : fold->base;
        group->sieve = fold->built;
        if (fold->group_is_new) {
            index->groups[index->group_count++] = group;
        }
    }
    if (group->live == 0) {
        /* All members went away meanwhile, or a new group came to nothing. */
        if (fold->built != NULL || !fold->group_is_new) {
            group_remove(index, group);
        }
        sp_sieve_group_free(group->sieve);
        free(group);
    }
    index->generation++;
    return status;
}

void sp_index_fold_free(struct sp_index_fold *fold) {
    if (fold == NULL) {
        return;
    }
    for (uint32_t i = 0; i < fold->count; i++) {
        if (fold->retired[i]) {
            sp_section_free(fold->sections[i]);
        }
    }
    sp_sieve_group_free(fold->replaced);
    free(fold);
}

sp_status sp_index_fold_all(struct sp_index *index) {
    sp_status first = SP_OK;
    for (;;) {
        struct sp_index_fold *fold = sp_index_fold_begin(index);
        if (fold == NULL) {
            return first != SP_OK || first_foldable(index) == NULL ? first : SP_NO_MEMORY;
        }
        sp_index_fold_run(fold);
        sp_status status = sp_index_fold_end(index, fold);
        sp_index_fold_free(fold);
        first = first == SP_OK ? status : first;
        if (status != SP_OK && status != SP_CORRUPT) {
            return first;
        }
    }
}

void sp_index_group_leave(struct sp_index *index, struct sp_index_segment *segment) {
    struct sp_index_group *group = segment->group;
    if (group == NULL) {
        return;
    }
    sp_invariant(group->members[segment->column] == segment);
    group->members[segment->column] = NULL;
    group->live &= ~((uint64_t)1 << segment->column);
    segment->group = NULL;
    index->unfolded_count++;
    /* A fold that is under way builds on the group and decides about it in the end. */
    if (group->live == 0 && (index->fold == NULL || index->fold->group != group)) {
        group_remove(index, group);
        sp_sieve_group_free(group->sieve);
        free(group);
    }
}

void sp_index_retire(struct sp_index *index, struct sp_index_segment *segment,
                     struct sp_section *section) {
    struct sp_index_fold *fold = index->fold;
    for (uint32_t i = 0; fold != NULL && i < fold->count; i++) {
        if (fold->segments[i] == segment) {
            fold->segments[i] = NULL;
            fold->retired[i] = true;
            return;
        }
    }
    sp_section_free(section);
}
