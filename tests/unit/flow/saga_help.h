/*
 * What the tests of sagas share: a log in memory that shows each event to the flow, a clock, and
 * programs that are answered by the test. After each event the state is made again, from the log
 * alone and from an encoding, and has to be the same. JSON may have apostrophes for quotes.
 */
#ifndef SP_TESTS_SAGA_HELP_H
#define SP_TESTS_SAGA_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/flow.h"
#include "flow/saga.h"

enum { HELP_EVENTS_MAX = 4096, HELP_TYPES_SIZE = 1 << 16, HELP_BATCH_MAX = 8 };

/* What a program says: NULL: it fails with "wrong". */
typedef const char *help_program(void *context, const char *program, const char *input);

struct help_event {
    uint8_t *record;
    size_t size;
};

struct help {
    struct sp_flow *flow;
    struct sp_sagas *sagas;
    struct help_event events[HELP_EVENTS_MAX];
    uint64_t count; /* of events; the last one's position */
    uint64_t now_us;
    uint64_t random;
    uint64_t ids;
    help_program *program;
    void *context;
    bool lazy;                   /* does not make the state again after each event */
    char room[3 * 36];           /* of the event read last */
    char types[HELP_TYPES_SIZE]; /* of the events since help_mark, each with its step, as lines */
    char input[1 << 16];         /* that the last program saw */
    char value[4096];            /* and what it said */
    const char *refused_type;    /* appends with such an event are refused; NULL: none */
    struct sp_flow_out *out;
    char sagaid[SP_SAGA_ID_SIZE]; /* that began last */
};

struct help *help_new(void);
void help_free(struct help *help);

/* What programs say: that of the first entry whose text is in the program. */
struct help_reply {
    const char *part;  /* NULL: behind the last one */
    const char *value; /* NULL: it fails */
};
void help_programs(struct help *help, struct help_reply *replies);

/* Appends an event of somebody: what is NULL is absent. Returns its position. */
uint64_t help_put(struct help *help, const char *type, const char *stream, const char *causation,
                  const char *data);
void help_define(struct help *help, const char *definition);
/* Begins a saga; its id is in help->sagaid. */
void help_start(struct help *help, const char *name, const char *data);
void help_start_key(struct help *help, const char *name, const char *data, const char *key);

/* Forks the saga that began last; the new one is in help->sagaid, where that worked. */
sp_status help_fork(struct help *help, const char *at, const char *data);

/* Does all that is to be done now. */
void help_run(struct help *help);
/* One piece of it; false: there was none. */
bool help_step(struct help *help);
/* Several, taken together before the first of them is done, as a turn of the engine does. */
bool help_batch(struct help *help, uint32_t most);
/* Moves the clock to when the next thing is due, and runs. */
void help_wait(struct help *help);
void help_pass(struct help *help, uint64_t us);

/* The newest command of a step, as `<path>:<attempt>`, answered; then runs. */
void help_complete(struct help *help, const char *command, const char *result);
void help_fail(struct help *help, const char *command, const char *data);
/* The same without running. */
uint64_t help_answer(struct help *help, const char *command, const char *suffix, const char *data);

sp_status help_request(struct help *help, enum sp_saga_action action, const char *step,
                       const char *result);

/* The events since the last mark have these types, one behind another, with their steps. */
void help_expect(struct help *help, const char *lines);
void help_mark(struct help *help);
/* The data of the newest event of a type; NULL: there is none. */
const char *help_data(struct help *help, const char *type);
/* Its text has this within. */
void help_expect_data(struct help *help, const char *type, const char *part);
void help_expect_waiting(struct help *help, const char *status, const char *waiting,
                         const char *step);
bool help_is_running(struct help *help);
void help_event(struct help *help, uint64_t position, struct sp_event *ret_event);

#endif
