#include "sim/clock.h"

#include "base/assert.h"

struct sim_clock sim_clock_at(uint64_t wall_us) {
    return (struct sim_clock){
        .monotonic_ns = 1000000000u, .wall_us = wall_us, .wall_at_ns = 1000000000u};
}

void sim_clock_advance_ns(struct sim_clock *clock, uint64_t ns) {
    sp_require(ns <= UINT64_MAX - clock->monotonic_ns);
    clock->monotonic_ns += ns;
}

static uint64_t face_wall_us(void *context) {
    const struct sim_clock *clock = context;
    sp_invariant(clock->monotonic_ns >= clock->wall_at_ns);
    return clock->wall_us + (clock->monotonic_ns - clock->wall_at_ns) / 1000u;
}

static uint64_t face_monotonic_ns(void *context) {
    const struct sim_clock *clock = context;
    return clock->monotonic_ns;
}

void sim_clock_set_wall_us(struct sim_clock *clock, uint64_t wall_us) {
    clock->wall_us = wall_us;
    clock->wall_at_ns = clock->monotonic_ns;
}

struct sp_clock sim_clock_face(struct sim_clock *clock) {
    sp_require(clock != NULL);
    return (struct sp_clock){
        .wall_us = face_wall_us, .monotonic_ns = face_monotonic_ns, .context = clock};
}
