/*
 * A virtual clock: it stands still until somebody advances it. loop-thread
 *
 * The simulated disk advances it by what each operation costs; the scenario advances it by waiting.
 * The wall clock may be set, forwards or backwards; the monotonic one never falls.
 */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include "os/os.h"

struct sim_clock {
    uint64_t monotonic_ns;
    uint64_t wall_us; /* at `wall_at_ns` */
    uint64_t wall_at_ns;
};

/* A clock whose wall time begins at `wall_us` and whose monotonic time begins at 1 s. */
struct sim_clock sim_clock_at(uint64_t wall_us);

void sim_clock_advance_ns(struct sim_clock *clock, uint64_t ns);

/* Sets the wall clock, as an operator or a time daemon would. Monotonic time does not notice. */
void sim_clock_set_wall_us(struct sim_clock *clock, uint64_t wall_us);

/* The clock as the product sees it; borrows `clock`. */
struct sp_clock sim_clock_face(struct sim_clock *clock);

#endif
