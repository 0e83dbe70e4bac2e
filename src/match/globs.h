/*
 * Many of Redis' patterns at once: which subscribers want a message of this channel. pure,
 * loop-thread
 *
 * Each pattern is filed under some of its own bytes that a text must have to match: all of them
 * where it has no wildcard, else how it begins, how it ends, or four bytes from its middle,
 * whichever the fewest others are filed under. A match looks up what the text has of these and
 * compares the patterns found there. So its cost follows the text and the patterns that come close,
 * and does not grow with the number of those that do not. Patterns without any four bytes in a row,
 * such as `*a*`, are compared every time.
 *
 * The answer depends only on the set of (pattern, id) pairs, not on the order in which they came
 * and went, nor on any hash. Matching uses scratch space inside: one thread at a time.
 *
 * Limits: given to sp_globs_init; adding beyond them is SP_LIMIT and changes nothing.
 */
#ifndef SP_MATCH_GLOBS_H
#define SP_MATCH_GLOBS_H

#include "base/error.h"
#include "base/htab.h"
#include "base/str.h"

enum {
    SP_GLOBS_PAIRS_MAX = 10000000,
    SP_GLOBS_PATTERN_BYTES_MAX = 1 << 20,
    SP_GLOBS_EDGE_BYTES = 32, /* of the beginning or the end, at most, that a pattern is filed by */
};

struct sp_globs_pair;
struct sp_globs_place;

struct sp_globs {
    struct sp_globs_pair *pairs; /* by number */
    uint32_t pair_count;         /* used and freed ones */
    uint32_t pair_capacity;
    uint32_t pair_free; /* the first freed one, UINT32_MAX: none */
    uint32_t live_count;
    uint32_t live_count_max;
    struct sp_htab pair_table; /* by pattern and id */
    struct sp_globs_place *places;
    uint32_t place_count;
    uint32_t place_capacity;
    uint32_t place_free;
    struct sp_htab place_table;                        /* by what patterns are filed under */
    uint32_t heads_of_length[SP_GLOBS_EDGE_BYTES + 1]; /* places for beginnings of this length */
    uint32_t tails_of_length[SP_GLOBS_EDGE_BYTES + 1]; /* for ends */
    uint32_t middle_count;                             /* for middles */
    /* Scratch of a match. */
    uint32_t *found; /* pair_capacity ids */
    uint64_t match;  /* counts matches */
    uint64_t steps;  /* patterns compared by all matches so far, for tests and metrics */
};

/* Makes an empty set that will hold at most pair_count_max pairs (at most SP_GLOBS_PAIRS_MAX). */
void sp_globs_init(struct sp_globs *globs, uint32_t pair_count_max);

void sp_globs_fini(struct sp_globs *globs);

/*
 * Subscribes id to a pattern (match/glob.h), of which a copy is kept. SP_CONFLICT where the pair is
 * there already, SP_LIMIT, SP_NO_MEMORY; on all of them nothing has changed. O(pattern).
 */
SP_WARN_UNUSED sp_status sp_globs_add(struct sp_globs *globs, sp_str pattern, uint32_t id,
                                      struct sp_error *error);

/* Takes back what sp_globs_add did. SP_NOT_FOUND where there is no such pair. O(pattern). */
SP_WARN_UNUSED sp_status sp_globs_remove(struct sp_globs *globs, sp_str pattern, uint32_t id);

/*
 * Finds the ids subscribed to any pattern that matches the text: each once, in rising order.
 * *ret_ids is borrowed until the next call. Cannot fail and allocates nothing.
 */
size_t sp_globs_match(struct sp_globs *globs, sp_str text, const uint32_t **ret_ids);

#endif
