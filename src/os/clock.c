#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/os.h"

/* clock_gettime fails only for a clock that does not exist. */
static struct timespec read_clock(clockid_t id) {
    struct timespec now;
    int result = clock_gettime(id, &now);
    sp_ensure(result == 0 && now.tv_sec >= 0);
    return now;
}

static uint64_t system_wall_us(void *context) {
    (void)context;
    struct timespec now = read_clock(CLOCK_REALTIME);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static uint64_t system_monotonic_ns(void *context) {
    (void)context;
    struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct sp_clock sp_clock_system(void) {
    return (struct sp_clock){.wall_us = system_wall_us, .monotonic_ns = system_monotonic_ns};
}

uint32_t sp_process_id(void) {
    return (uint32_t)getpid();
}

void sp_sleep_us(uint64_t duration_us) {
    struct timespec left = {.tv_sec = (time_t)(duration_us / 1000000),
                            .tv_nsec = (long)(duration_us % 1000000) * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
