/*
 * The filter of one segment: which keys it may hold. pure
 *
 * A Bloom filter in blocks of 512 bits: a key sets SP_FILTER_PROBES bits, all in one block. The
 * same arithmetic serves the section, where a block is 64 bytes, and the sieve, where it is one
 * page for 64 segments. It is part of the stored format (docs/format-index.md).
 */
#ifndef SP_INDEX_FILTER_H
#define SP_INDEX_FILTER_H

#include "index/keys.h"
#include "index/mix.h"

enum {
    SP_FILTER_BLOCK_BITS = 512,
    SP_FILTER_BLOCK_BYTES = SP_FILTER_BLOCK_BITS / 8,
    SP_FILTER_BLOCK_WORDS = SP_FILTER_BLOCK_BITS / 64,
    SP_FILTER_PROBES = 7,
    SP_FILTER_PROBE_BITS = 9, /* 2^9 = SP_FILTER_BLOCK_BITS */
    SP_FILTER_KEY_BITS = 14,  /* at least so many bits a key; on the average 15.5 */
};

/* Of the hashes of ids the tail and the section keep 48 bits, so the filter looks at no more. */
static inline uint64_t sp_filter_id_key(uint64_t id_hash) {
    return id_hash & ~(uint64_t)0xffff;
}

/*
 * The number of blocks for so many keys: 4, 5, 6 or 7 times a power of two. Few sizes make many
 * segments share one, which the sieve needs to group them.
 */
static inline uint32_t sp_filter_blocks(uint32_t key_count) {
    uint64_t bits = (uint64_t)key_count * SP_FILTER_KEY_BITS;
    uint64_t needed = (bits + SP_FILTER_BLOCK_BITS - 1) / SP_FILTER_BLOCK_BITS;
    uint64_t step = 1;
    while (needed > 7 * step) {
        step *= 2;
    }
    uint64_t steps = (needed + step - 1) / step;
    return (uint32_t)((steps < 4 ? 4 : steps) * step);
}

static inline uint32_t sp_filter_block(uint64_t key, uint32_t block_count) {
    return sp_spread(key, block_count);
}

/* Seven numbers of nine bits each, lowest first: the bits of the key within its block. */
static inline uint64_t sp_filter_probes(uint64_t key) {
    return sp_mix(key ^ 0x2545f4914f6cdd1du, 0xd6e8feb86659fd93u);
}

#endif
