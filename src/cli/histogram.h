/*
 * Counts of times, exact to two parts in a hundred, from nanoseconds to hours. pure
 */
#ifndef SP_CLI_HISTOGRAM_H
#define SP_CLI_HISTOGRAM_H

#include <stdint.h>

enum {
    SP_HISTOGRAM_STEP_BITS = 6, /* steps between one power of two and the next: 2^6 */
    SP_HISTOGRAM_STEPS = 1 << SP_HISTOGRAM_STEP_BITS,
    SP_HISTOGRAM_SLOTS = (64 - SP_HISTOGRAM_STEP_BITS + 1) * SP_HISTOGRAM_STEPS,
};

struct sp_histogram {
    uint64_t count;
    uint64_t max_ns;
    uint64_t slots[SP_HISTOGRAM_SLOTS];
};

static inline uint32_t sp_histogram_slot(uint64_t ns) {
    if (ns < SP_HISTOGRAM_STEPS) {
        return (uint32_t)ns;
    }
    uint32_t power = 63 - (uint32_t)__builtin_clzll(ns) - SP_HISTOGRAM_STEP_BITS;
    return (power + 1) * SP_HISTOGRAM_STEPS + (uint32_t)((ns >> power) & (SP_HISTOGRAM_STEPS - 1));
}

static inline void sp_histogram_add(struct sp_histogram *histogram, uint64_t ns) {
    histogram->slots[sp_histogram_slot(ns)]++;
    histogram->count++;
    histogram->max_ns = ns > histogram->max_ns ? ns : histogram->max_ns;
}

/*
 * The time that `share` (0 to 1) of those counted do not exceed, in microseconds; 0 where there are
 * none.
 */
double sp_histogram_us(const struct sp_histogram *histogram, double share);

#endif
