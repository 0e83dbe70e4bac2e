/*
 * The sieve: the filters of up to 64 sealed segments, turned so that one lookup asks all of them.
 * pure
 *
 * The filters of a group have one size. Row r of a group holds bit r of every member's filter, one
 * column each, so that the members that may hold a key are the AND of SP_FILTER_PROBES rows. All
 * rows of a key lie in one block: 512 rows, which is a page where the group is full. A key that is
 * in no segment costs seven cache lines of one page per 64 segments, whatever they hold.
 *
 * Rows are 1, 2, 4 or 8 bytes, as the columns need, so that a small store pays for a small sieve.
 * While its rows have room a group grows in place, on one thread; any thread may ask it meanwhile,
 * for a row is written whole and keeps the columns it has. Beyond it is built anew with wider rows.
 */
#ifndef SP_INDEX_SIEVE_H
#define SP_INDEX_SIEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/filter.h"

enum { SP_SIEVE_COLUMNS_MAX = 64 };

struct sp_sieve_group {
    uint8_t *rows;
    uint32_t block_count;
    uint32_t column_count;
    uint32_t row_bytes; /* 1, 2, 4 or 8 */
};

/*
 * A group with the columns of `base` (NULL: none) and, after them, the given filters of
 * `block_count` blocks each, which `base` has too. At most SP_SIEVE_COLUMNS_MAX columns. NULL where
 * memory is out. About 10 ms per million keys and filter.
 */
struct sp_sieve_group *sp_sieve_group_new(const struct sp_sieve_group *base, uint32_t block_count,
                                          const uint64_t *const *filters, uint32_t filter_count);
void sp_sieve_group_free(struct sp_sieve_group *group);

/* Whether so many columns more fit into the rows as they are. */
static inline bool sp_sieve_group_has_room(const struct sp_sieve_group *group, uint32_t columns) {
    return group->column_count + columns <= group->row_bytes * 8;
}

/*
 * Enters filters of the group's size behind its columns, for which it has room. Who asks meanwhile
 * learns nothing about the new columns: they count from when the caller says so.
 */
void sp_sieve_group_fill(struct sp_sieve_group *group, const uint64_t *const *filters,
                         uint32_t filter_count);

size_t sp_sieve_group_bytes(const struct sp_sieve_group *group);

/* The columns whose filters may hold the key: bit c for column c. Never misses one that does. */
uint64_t sp_sieve_ask(const struct sp_sieve_group *group, uint64_t key);

/* Brings towards the cache what sp_sieve_ask of this key will read. */
void sp_sieve_prefetch(const struct sp_sieve_group *group, uint64_t key);

#endif
