/*
 * Random blocks of records: events and control records of all shapes, every one of them unlike any
 * other. pure
 */
#ifndef SIM_WORKLOAD_H
#define SIM_WORKLOAD_H

#include "base/prng.h"
#include "base/str.h"

struct sim_workload {
    struct sp_prng prng;
    uint64_t counter;     /* of records, goes into each */
    uint64_t recorded_us; /* of the last record; never falls */
};

struct sim_block {
    size_t len; /* bytes of the body */
    uint32_t event_count;
    uint32_t record_count;
};

/*
 * Writes the body of a random block at `to`, no longer than `size_max`, which is at least 4 KiB.
 * The first event in it gets `first_position`. `wall_us` is the time, which may have fallen.
 */
void sim_workload_block(struct sim_workload *workload, uint64_t first_position, uint64_t wall_us,
                        uint8_t *to, size_t size_max, struct sim_block *ret_block);

#endif
