/*
 * Programs and their worker, as jq.c and process.c share them. one thread at a time
 */
#ifndef SP_JQ_JQ_INT_H
#define SP_JQ_JQ_INT_H

#include <sys/types.h>

#include "base/buf.h"
#include "jq/frame.h"
#include "jq/jq.h"
#include "os/os.h"

enum { SP_JQ_READ_BYTES = 64 << 10 };

struct sp_jq {
    struct sp_jq_options options;
    struct sp_clock clock;
    pid_t pid; /* 0: there is no worker */
    int fd;
    uint64_t worker;  /* its number, from 1 */
    uint64_t answers; /* that it gave */
    struct sp_buf out;
    size_t sent; /* of `out` */
    struct sp_buf in;
    size_t taken; /* of `in` */
    struct sp_jq_program *programs[SP_JQ_PROGRAMS_MAX];
};

/* How an exchange with the worker can end that gave no answer. */
enum sp_jq_ending {
    ANSWERED,
    OUT_OF_TIME,  /* it used its time up */
    NO_PROCESSOR, /* it was given none */
    WORKER_DIED,  /* or talked nonsense */
    ABORTED,      /* likewise: libjq says so where memory is out, or an assertion fails */
};

/* Whether main asked if it is a worker: only then may this program be executed as one. */
bool sp_jq_can_be_worker(void);

/* Starts a worker where there is none. SP_IO. */
SP_WARN_UNUSED sp_status sp_jq_start_worker(struct sp_jq *jq, struct sp_error *error);

/* Ends the worker, whatever it does; returns how it ended, as waitpid says. */
int sp_jq_stop_worker(struct sp_jq *jq, bool kill_it);

/*
 * Sends what is in `out` and waits for one frame; *ret_frame lasts until the next call. Where the
 * ending is another than ANSWERED there is no worker any more.
 */
SP_WARN_UNUSED enum sp_jq_ending sp_jq_await(struct sp_jq *jq, uint64_t deadline_ms,
                                             struct sp_jq_head *ret_head,
                                             struct sp_jq_frame *ret_frame);

#endif
