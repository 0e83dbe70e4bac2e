/*
 * Clock, entropy, process facts, and jobs that run beside the loop. any-thread
 */
#ifndef SP_OS_OS_H
#define SP_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A clock that can be replaced: the simulation's time is virtual. */
struct sp_clock {
    uint64_t (*wall_us)(void *context);      /* microseconds since 1970 UTC; may step */
    uint64_t (*monotonic_ns)(void *context); /* never falls */
    void *context;
};

/* The machine's clock. */
struct sp_clock sp_clock_system(void);

/* Lets the calling thread sleep for about so long: helpers only. */
void sp_sleep_us(uint64_t duration_us);

/*
 * Fills `bytes` with randomness fit for secrets (getrandom). Stops the process where there is none.
 */
void sp_entropy(void *bytes, size_t len);

uint32_t sp_process_id(void);

/*
 * A worker runs jobs one after another, in the order they were submitted: on a thread of its own,
 * or, inline, inside sp_worker_run. The same job code serves both, so that the simulation and small
 * embeddings have no threads. A job is owned by exactly one side at a time: by the caller until
 * submit, by the worker until `done` was called. `work` runs on the worker's thread, `done` on the
 * thread that calls sp_worker_poll.
 */
struct sp_job {
    void (*work)(struct sp_job *job);
    void (*done)(struct sp_job *job);
    struct sp_job *next;
};

struct sp_worker;

struct sp_worker_options {
    const char *name; /* shown by the system's tools; at most 15 bytes */
    bool inline_jobs; /* no thread: jobs run in sp_worker_run */
    bool background;  /* thread at the lowest priority: it gets what the others leave */
    uint8_t niceness; /* of its thread, above the others'; 0 to 19 */
    bool idle_io; /* its reads and writes wait for everybody else's, where the device's scheduler
                         knows of that (mq-deadline and bfq do); `background` implies it */
    /* Called on the worker's thread after each finished job; may be NULL. */
    void (*wake)(void *context);
    void *wake_context;
};

/* Starts a worker and its thread. NULL and an error where no thread or memory is to be had. */
struct sp_worker *sp_worker_new(const struct sp_worker_options *options, struct sp_error *error);

/* Finishes the jobs that were submitted, calls their `done`, ends the thread, frees. */
void sp_worker_free(struct sp_worker *worker);

/* Hands a job over. Never blocks: the queue is as long as the jobs its callers own. */
void sp_worker_submit(struct sp_worker *worker, struct sp_job *job);

/* Inline workers only: runs at most one waiting job's `work`. True where one ran. */
bool sp_worker_run(struct sp_worker *worker);

/* Calls `done` of every finished job; returns how many. Not from two threads at once. */
unsigned sp_worker_poll(struct sp_worker *worker);

/*
 * Blocks until a job is finished, or none is left, or timeout_ms went by (negative: no limit). An
 * inline worker runs one waiting job instead.
 */
void sp_worker_wait(struct sp_worker *worker, int timeout_ms);

/* Jobs submitted whose `done` has not been called yet. */
unsigned sp_worker_pending(struct sp_worker *worker);

#endif
