/*
 * A worker of sagas' steps, as its files see it. One thread at a time.
 *
 *     receive ──► wanted? ──► callback ──► answer ──► acknowledge
 *        │           │ no                                 ▲
 *        │           └────────────────────────────────────┘
 *        └── over a server: client/jobs.h; over a folder: a cursor that follows the log
 */
#ifndef SP_API_API_WORKER_INT_H
#define SP_API_API_WORKER_INT_H

#include <stdatomic.h>

#include "api/api_int.h"
#include "base/time.h"
#include "client/jobs.h"

enum {
    WORKER_TYPES_MAX = SP_JOBS_KEYS_MAX,
    WORKER_CANCELS_MAX = 4096, /* cancelled commands that are remembered; the oldest is forgotten */
    WORKER_ERROR_BYTES_MAX = 1000,
    WORKER_OLD_US = 5000000, /* a command that waited so long may have been overtaken */
};

struct worker_type {
    char *type;
    spoor_step_fn *step;
    void *context;
};

/* An answer that is on its way. Where it is refused, another one says so in its place. */
struct worker_answer {
    struct worker_answer *next; /* in the list of refused ones */
    struct spoor_worker *worker;
    struct sp_buf text; /* of what follows */
    spoor_event event;  /* points into text */
    bool is_refusal;
    spoor_error error; /* why it was refused */
};

struct spoor_worker {
    spoor *store;
    char *name;
    char *group;
    char *consumer;
    char *from;
    char *ack_wait;
    uint32_t batch;
    struct worker_type types[WORKER_TYPES_MAX];
    size_t type_count;
    bool started;
    _Atomic bool stopped;
    uint64_t answered;
    struct sp_jobs *jobs;   /* over a server */
    spoor_cursor *commands; /* over a folder */
    uint64_t head;          /* over a folder: what came up to here may have been begun before */
    spoor_cursor *cancels;
    char *cancelled[WORKER_CANCELS_MAX]; /* ids of commands, a ring */
    size_t cancelled_count;              /* all that came */
    pthread_mutex_t lock;                /* of what follows */
    struct worker_answer *refused;       /* to be answered otherwise */
    uint32_t under_way;                  /* answers that were not heard of yet */
    sp_status failed;                    /* an answer could not be given, for the store is broken */
    struct sp_error error;
};

/* A job in the hands of its callback. */
struct worker_job {
    spoor_job pub; /* first: callbacks have its address */
    struct spoor_worker *worker;
    bool has_failed;
    bool retryable;
    bool unknown;         /* it may have been done */
    struct sp_buf result; /* JSON; empty: null */
    struct sp_buf problem;
};

/* ---- api_worker_job.c ---- */

/* Fills a job from its command. False where the event is no command: nobody waits for an answer. */
bool worker_job_init(struct worker_job *job, struct spoor_worker *worker,
                     const spoor_event *command, uint32_t deliveries);
void worker_job_fini(struct worker_job *job);

/*
 * Whether the command is still to be carried out; what has to be looked up is looked up only for
 * one that is old, or was handed out before. SP_OK, or why it could not be told.
 */
sp_status worker_job_wanted(struct worker_job *job, bool *ret_wanted, struct sp_error *error);

/* Sends the answer. */
sp_status worker_job_answer(struct worker_job *job, struct sp_error *error);

/* Answers anew what was refused. */
sp_status worker_answer_refused(struct spoor_worker *worker, struct sp_error *error);

/* Takes note of what was cancelled meanwhile, without waiting. */
sp_status worker_take_cancels(struct spoor_worker *worker, struct sp_error *error);

/* The id of an agent's answer to a command, whatever it says: the same in every SDK. */
void worker_answer_id(spoor_str source, spoor_str id, const char *agent,
                      char ret_id[SP_UUID_TEXT_SIZE + 1]);

#endif
