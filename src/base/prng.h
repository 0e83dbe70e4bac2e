/*
 * A small seeded generator (SplitMix64, Steele, Lea and Flood, OOPSLA 2014): simulation, jitter and
 * identifiers. Not for secrets. pure
 */
#ifndef SP_BASE_PRNG_H
#define SP_BASE_PRNG_H

#include <stdint.h>

struct sp_prng {
    uint64_t state;
};

static inline struct sp_prng sp_prng_seed(uint64_t seed) {
    return (struct sp_prng){.state = seed};
}

static inline uint64_t sp_prng_next(struct sp_prng *prng) {
    uint64_t z = prng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number in 0 … bound - 1; bound is at least 1. The bias is below bound / 2^32. */
static inline uint32_t sp_prng_below(struct sp_prng *prng, uint32_t bound) {
    return (uint32_t)(((sp_prng_next(prng) >> 32) * bound) >> 32);
}

#endif
