/*
 * Memory of one compiled definition: taken piece by piece, freed all at once. pure
 */
#ifndef SP_MATCH_POOL_H
#define SP_MATCH_POOL_H

#include "base/status.h"
#include "base/str.h"

struct sp_pool_chunk;

struct sp_pool {
    struct sp_pool_chunk *chunks;
    size_t left; /* bytes left in the newest chunk */
    size_t size_bytes;
    size_t size_bytes_max;
    bool full; /* something was refused for the maximum */
};

void sp_pool_init(struct sp_pool *pool, size_t size_bytes_max);

void sp_pool_fini(struct sp_pool *pool);

/* Zeroed memory aligned for any type, or NULL: out of memory, or beyond the maximum. */
void *sp_pool_take(struct sp_pool *pool, size_t size);

/*
 * Room for one element more in an array of `count` elements of `size` bytes: the array itself, or a
 * larger copy of it; NULL as sp_pool_take. An array of no elements is NULL. What is outgrown is
 * freed with the pool, which costs at most as much again as the array.
 */
void *sp_pool_grow(struct sp_pool *pool, void *array, size_t count, size_t size);

/* A copy of the bytes; its ptr is NULL where there is no memory, never else. */
sp_str sp_pool_copy(struct sp_pool *pool, sp_str text);

#endif
