/*
 * Non-cryptographic hashes: XXH3-64 of the xxhash library, for checksums and hash tables. pure
 */
#ifndef SP_BASE_HASH_H
#define SP_BASE_HASH_H

#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h> /* long inputs take the widest vectors that the processor has */
#endif

#include "base/str.h"

static inline uint64_t sp_hash(const void *bytes, size_t len) {
    return XXH3_64bits(bytes, len);
}

/* The same bytes under another seed give an unrelated hash: kinds of keys share one table so. */
static inline uint64_t sp_hash_seeded(const void *bytes, size_t len, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes, len, seed);
}

#endif
