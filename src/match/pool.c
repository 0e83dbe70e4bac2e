#include "match/pool.h"

#include <stddef.h>
#include <stdlib.h>

enum { POOL_CHUNK_BYTES = 1024, POOL_ARRAY_FIRST = 4 };

struct sp_pool_chunk {
    struct sp_pool_chunk *next;
    size_t size;
    max_align_t bytes[];
};

void sp_pool_init(struct sp_pool *pool, size_t size_bytes_max) {
    *pool = (struct sp_pool){.size_bytes_max = size_bytes_max};
}

void sp_pool_fini(struct sp_pool *pool) {
    struct sp_pool_chunk *chunk = pool->chunks;
    while (chunk != NULL) {
        struct sp_pool_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    *pool = (struct sp_pool){.chunks = NULL};
}

void *sp_pool_take(struct sp_pool *pool, size_t size) {
    sp_require(pool->size_bytes <= pool->size_bytes_max);
    size_t rounded = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (rounded < size || rounded > pool->size_bytes_max - pool->size_bytes) {
        pool->full = true;
        return NULL;
    }
    if (rounded > pool->left) {
        size_t bytes = rounded > POOL_CHUNK_BYTES ? rounded : POOL_CHUNK_BYTES;
        struct sp_pool_chunk *chunk = calloc(1, sizeof(*chunk) + bytes);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->next = pool->chunks;
        chunk->size = bytes;
        pool->chunks = chunk;
        pool->left = bytes;
    }
    struct sp_pool_chunk *chunk = pool->chunks;
    sp_invariant(pool->left <= (chunk != NULL ? chunk->size : 0) || rounded == 0);
    char *taken = (char *)chunk->bytes + (chunk->size - pool->left);
    pool->left -= rounded;
    pool->size_bytes += rounded;
    sp_ensure(pool->size_bytes <= pool->size_bytes_max);
    return taken;
}

void *sp_pool_grow(struct sp_pool *pool, void *array, size_t count, size_t size) {
    sp_require((count == 0) == (array == NULL));
    if (count == 0) {
        return sp_pool_take(pool, POOL_ARRAY_FIRST * size);
    }
    if (count < POOL_ARRAY_FIRST || (count & (count - 1)) != 0) {
        return array; /* the sizes are powers of two, and this is within one */
    }
    void *grown = sp_pool_take(pool, 2 * count * size);
    if (grown != NULL) {
        memcpy(grown, array, count * size);
    }
    return grown;
}

sp_str sp_pool_copy(struct sp_pool *pool, sp_str text) {
    char *copy = sp_pool_take(pool, text.len + 1);
    if (copy == NULL) {
        return (sp_str){.ptr = NULL, .len = 0};
    }
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    return sp_str_of(copy, text.len);
}
