/*
 * What is in an index, for the files that make it up; everybody else goes through index.h.
 * loop-thread
 */
#ifndef SP_INDEX_INDEX_STATE_H
#define SP_INDEX_INDEX_STATE_H

#include "index/index.h"
#include "index/sieve.h"
#include "index/types.h"

struct sp_index_group;

/*
 * One segment of the log. Invariant: exactly one of tail and section is there; only a section can
 * be in a group.
 */
struct sp_index_segment {
    uint64_t id;
    uint64_t first_position;
    uint32_t sealed_count; /* of events, where there is a section */
    bool damaged;          /* a lookup or a fold met damage in the section */
    bool types_complete;   /* all types are in `types`; of a tail, as far as the dictionary goes */
    struct sp_tail *tail;
    struct sp_section *section;
    struct sp_index_group *group; /* NULL: not folded, the sieve knows nothing of it */
    uint32_t column;
    uint32_t type_count;
    uint32_t type_capacity;
    uint32_t *types; /* numbers in the dictionary */
};

/* A group of the sieve and whose its columns are. */
struct sp_index_group {
    struct sp_sieve_group *sieve;
    uint64_t live;           /* columns whose segments are still there */
    uint64_t first_position; /* of its members, some of which may be gone */
    uint64_t end_position;
    struct sp_index_segment *members[SP_SIEVE_COLUMNS_MAX];
};

struct sp_index {
    uint64_t seed;
    uint64_t generation;                /* changes where scans must find their place anew */
    struct sp_index_segment **segments; /* by position */
    size_t segment_count;
    size_t segment_capacity;
    size_t tail_count;     /* segments that have a tail */
    size_t unfolded_count; /* sealed segments that are in no group */
    struct sp_index_group **groups;
    size_t group_count;
    size_t group_capacity;
    struct sp_index_fold *fold; /* that is under way */
    struct sp_types types;
    struct sp_buf scratch; /* for pieces of sections */
};

enum { SP_INDEX_FOLD_MAX = 16 }; /* filters a fold, which bounds the memory it takes */

struct sp_index_fold {
    struct sp_index_group *group;    /* that gets the columns */
    bool group_is_new;               /* and is not in the index yet */
    struct sp_sieve_group *base;     /* its columns so far, or NULL */
    uint32_t base_columns;           /* their number */
    struct sp_sieve_group *built;    /* by sp_index_fold_run; base where it had room */
    struct sp_sieve_group *replaced; /* to be freed with the fold */
    uint32_t block_count;
    uint32_t count;
    sp_status status;
    struct sp_index_segment *segments[SP_INDEX_FOLD_MAX]; /* NULL: dropped or replaced meanwhile */
    struct sp_section *sections[SP_INDEX_FOLD_MAX];
    sp_status filter_status[SP_INDEX_FOLD_MAX];
    bool retired[SP_INDEX_FOLD_MAX]; /* the section is to be freed with the fold */
};

static inline uint32_t sp_index_segment_count(const struct sp_index_segment *segment) {
    return segment->tail != NULL ? sp_tail_count(segment->tail) : segment->sealed_count;
}

/* The position after the segment's last. */
static inline uint64_t sp_index_segment_end(const struct sp_index_segment *segment) {
    return segment->first_position + sp_index_segment_count(segment);
}

/* The number of the first segment that ends after `position`, or segment_count. O(log). */
size_t sp_index_segment_at(const struct sp_index *index, uint64_t position);

/* Notes the damage where `status` says so; returns its argument. */
static inline sp_status sp_index_note(struct sp_index_segment *segment, sp_status status) {
    segment->damaged = segment->damaged || status == SP_CORRUPT;
    return status;
}

/* Takes a segment out of its group, which is freed with its last one. */
void sp_index_group_leave(struct sp_index *index, struct sp_index_segment *segment);

/* Frees a section that the segment no longer has: now, or when the fold that reads it is done. */
void sp_index_retire(struct sp_index *index, struct sp_index_segment *segment,
                     struct sp_section *section);

#endif
