/*
 * The distinct types of all segments, each with the number of segments that have it. loop-thread
 *
 * A type keeps its number, and its text, for good, as it may come again; one that no segment has is
 * not listed.
 */
#ifndef SP_INDEX_TYPES_H
#define SP_INDEX_TYPES_H

#include "base/htab.h"
#include "base/str.h"

struct sp_type {
    char *text;
    uint32_t len;
    uint32_t segments;
};

struct sp_types {
    struct sp_htab table; /* of the texts' hashes, to numbers */
    struct sp_type *types;
    uint32_t count;
    uint32_t capacity;
};

static const uint32_t SP_TYPES_NONE = UINT32_MAX;

void sp_types_init(struct sp_types *types);
void sp_types_fini(struct sp_types *types);

/*
 * The number of a type, which is copied where it is new, with one segment more; SP_TYPES_NONE where
 * SP_INDEX_TYPES_MAX are there or memory is out. O(length).
 */
uint32_t sp_types_add(struct sp_types *types, sp_str text);

/* One segment less has the type. */
void sp_types_remove(struct sp_types *types, uint32_t number);

#endif
