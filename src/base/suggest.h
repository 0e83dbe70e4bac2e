/*
 * What somebody probably meant who wrote something unknown. pure
 */
#ifndef SP_BASE_SUGGEST_H
#define SP_BASE_SUGGEST_H

#include "base/str.h"

enum { SP_SUGGEST_BYTES_MAX = 32 };

/*
 * How many single-byte insertions, deletions, changes and swaps of neighbours lead from one text to
 * the other. Both at most SP_SUGGEST_BYTES_MAX bytes; a longer one is as far away as it is long.
 */
unsigned sp_suggest_distance(sp_str a, sp_str b);

/* Keeps the nearest of the names it is shown. */
struct sp_suggest {
    sp_str wrong;
    const char *best; /* NULL while nothing is near enough */
    unsigned best_distance;
};

/* Near enough is a third of what was written, and at least one step. */
void sp_suggest_init(struct sp_suggest *suggest, sp_str wrong);

/* Shows it a name, which is borrowed. */
void sp_suggest_try(struct sp_suggest *suggest, const char *name);

#endif
