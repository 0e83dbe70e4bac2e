/*
 * Arithmetic on hashes. pure
 */
#ifndef SP_INDEX_MIX_H
#define SP_INDEX_MIX_H

#include <stdint.h>

__extension__ typedef unsigned __int128 sp_u128;

/* Spreads a hash by a factor, which is odd: every bit of the result depends on all bits of both. */
static inline uint64_t sp_mix(uint64_t hash, uint64_t factor) {
    sp_u128 product = (sp_u128)hash * factor;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Maps a hash to 0 … bound - 1 by its upper bits: a higher hash never gets a lower number. */
static inline uint32_t sp_spread(uint64_t hash, uint32_t bound) {
    return (uint32_t)(((sp_u128)hash * bound) >> 64);
}

#endif
