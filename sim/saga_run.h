/*
 * One saga, told from beginning to end in a rehearsal, before the eyes of the oracle. pure
 *
 * What its workers and people do is asked of `pick`, a number below a bound at a time: an
 * enumeration goes through all there are, a generator draws them. The run holds the oracle against
 * every event and every rest, and at the end that the saga is over.
 */
#ifndef SIM_SAGA_RUN_H
#define SIM_SAGA_RUN_H

#include "flow/rehearsal.h"
#include "sim/saga_model.h"

/* How processes die in a run. */
enum saga_crashes {
    SAGA_NO_CRASH = 0,
    SAGA_CRASH_ONE,   /* once, at the append `at` */
    SAGA_CRASH_EVERY, /* at every append, in another way each */
    SAGA_CRASH_SOME   /* by chance, of the seed; and appends are refused */
};

/*
 * What was picked for which command, and what was picked otherwise, so that a run with crashes, in
 * which branches may come in another order, meets the same workers and people.
 */
enum { SAGA_SCRIPT_MAX = 1000 };

struct saga_script {
    bool is_read; /* nothing is picked: what is in it is taken, and 0 for the rest */
    uint32_t count;
    uint32_t other_count;
    uint32_t other_at;
    uint64_t commands[SAGA_SCRIPT_MAX]; /* hashes of their ids */
    uint8_t picks[SAGA_SCRIPT_MAX];
    uint8_t others[SAGA_SCRIPT_MAX];
};

struct saga_run_options {
    const struct saga_plan *plan;
    void *context;
    uint32_t (*pick)(void *context, uint32_t bound);
    struct saga_script *script; /* what is picked is written to it, or read from it */
    uint32_t outcomes;          /* of a step's command: how many of them are asked for */
    uint32_t undo_outcomes;     /* of a compensation's */
    uint32_t people_max;        /* how often a person helps before always doing it by hand */
    uint32_t cancels;           /* 0: never; else one in so many moments somebody cancels, once */
    uint32_t batch;
    enum saga_crashes crashes;
    uint64_t at;
    enum sp_rehearsal_fate fate; /* of SAGA_CRASH_ONE */
    uint64_t seed;
    /* Programs, where the plan has any. */
    sp_status (*evaluate)(void *context, sp_str program, sp_str input, struct sp_buf *to,
                          struct sp_error *error);
};

struct saga_outcome {
    bool wrong;
    char what[512];
    enum saga_phase end;
    uint64_t appends;
    uint64_t events;
    uint64_t crashes;
    uint64_t hash;  /* of the whole log */
    uint64_t sum;   /* of its events, whatever their order */
    uint64_t state; /* hash of the state at the end */
};

enum { SAGA_OUTCOMES = 7 };

/* "success", "failure" …: what a worker does, for people. */
const char *saga_outcome_name(uint32_t outcome);

/* `log`: NULL, or where the events are told line by line. */
void saga_run(const struct saga_run_options *options, struct sp_buf *log,
              struct saga_outcome *ret_outcome);

#endif
