/*
 * A list of equally sized chunks: an array that grows without moving what is in it. pure
 */
#ifndef SP_INDEX_CHUNKS_H
#define SP_INDEX_CHUNKS_H

#include <stdint.h>
#include <stdlib.h>

#include "base/status.h"

struct sp_chunks {
    void **at;
    uint32_t count;
    uint32_t capacity; /* of `at` */
};

/* Appends a zeroed chunk. SP_OK, or SP_NO_MEMORY with nothing changed. O(1) amortised. */
SP_WARN_UNUSED static inline sp_status sp_chunks_grow(struct sp_chunks *chunks, size_t size_bytes) {
    if (chunks->count == chunks->capacity) {
        uint32_t capacity = chunks->capacity == 0 ? 16 : chunks->capacity * 2;
        void **at = realloc(chunks->at, capacity * sizeof(*at));
        if (at == NULL) {
            return SP_NO_MEMORY;
        }
        chunks->at = at;
        chunks->capacity = capacity;
    }
    void *chunk = calloc(1, size_bytes);
    if (chunk == NULL) {
        return SP_NO_MEMORY;
    }
    chunks->at[chunks->count++] = chunk;
    return SP_OK;
}

static inline void sp_chunks_fini(struct sp_chunks *chunks) {
    for (uint32_t i = 0; i < chunks->count; i++) {
        free(chunks->at[i]);
    }
    free(chunks->at);
    *chunks = (struct sp_chunks){.at = NULL};
}

#endif
