/*
 * jq programs: compiled once, run over JSON texts, in a process of their own. one thread at a time
 *
 * A program comes from outside and may do anything that jq can: loop for ever, fill memory, run
 * into an assertion of libjq. So it runs in a *worker*: this very program, executed once more with
 * a hidden first argument (sp_jq_worker_main), spoken to in frames over a socket (jq/frame.h),
 * without an environment and under limits of memory, processor time and files. The worker is
 * started by the first call that needs it. A program that passes a limit is killed with its
 * worker and refused from then on, until it is defined anew; the next call starts another worker,
 * and other programs notice nothing. A worker whose parent is gone ends by itself.
 *
 * In-process (for a library within another's program, whose main knows nothing of workers): the
 * same, but nothing stops a program that never ends. Only trusted programs belong there.
 *
 * Programs see their input and named arguments, and nothing else: `input`, `inputs`, `env`, `$ENV`,
 * `halt`, `modulemeta`, `now` and the like are errors, `import` and `include` do not compile,
 * `debug` and `stderr` do nothing. So the same program on the same input says the same, always.
 *
 * Numbers are doubles, as in every jq 1.6: integers beyond 2^53 lose their last digits, and 1.0
 * becomes 1. Members that are there twice become one, the last. Nesting is at most 256 levels.
 *
 * Cost: 50 to 90 us a call beside the program's own work; in a batch, much less.
 */
#ifndef SP_JQ_JQ_H
#define SP_JQ_JQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum {
    SP_JQ_TEXT_BYTES_MAX = 64 << 10, /* of a program */
    SP_JQ_ARGUMENTS_MAX = 8,         /* named ones of a program */
    SP_JQ_PROGRAMS_MAX = 4096,       /* that are defined at the same time */
    SP_JQ_RESULTS_MAX = 10000,       /* of one run; more are SP_LIMIT */
    SP_JQ_VALUE_BYTES_MAX = 16 << 20 /* of all values of a run, and of all its results: SP_LIMIT */
};

struct sp_jq_options {
    bool in_process;        /* so is it too where exe is NULL and main has not asked whether it is
                               a worker: what it would make of the hidden argument nobody knows */
    const char *exe;        /* NULL: /proc/self/exe */
    uint64_t deadline_ms;   /* of processor time, of one run; 0: 250 */
    uint64_t memory_bytes;  /* address space of the worker; 0: 256 MiB */
    size_t value_bytes_max; /* 0, or less than SP_JQ_VALUE_BYTES_MAX */
};

struct sp_jq;
struct sp_jq_program;

/* Starts nothing yet. NULL options: all defaults. SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_jq_new(const struct sp_jq_options *options, struct sp_jq **ret_jq,
                                   struct sp_error *error);

/* Ends the worker. All programs were dropped before. NULL is fine. */
void sp_jq_free(struct sp_jq *jq);

/*
 * Compiles a program. `names` are those of arguments, which it sees as `$name`: letters, digits
 * and `_`. SP_INVALID: it is no program, and the error says why and in which line; SP_LIMIT: it is
 * too long, or there are too many; SP_IO: there is no worker to be had.
 */
SP_WARN_UNUSED sp_status sp_jq_define(struct sp_jq *jq, sp_str text, const char *const *names,
                                      uint32_t name_count, struct sp_jq_program **ret_program,
                                      struct sp_error *error);

/* Forgets it. NULL is fine. */
void sp_jq_drop(struct sp_jq_program *program);

/* True where it passed a limit once: every further run is SP_DENIED. */
bool sp_jq_is_refused(const struct sp_jq_program *program);

/* What one run said. `results` last for the call. */
struct sp_jq_outcome {
    sp_status status;      /* see sp_jq_run */
    const sp_str *results; /* JSON texts, in the order they came */
    uint32_t result_count;
};

/* Called once for each run, in their order. False ends the batch. */
typedef bool sp_jq_each_fn(void *context, uint32_t run, const struct sp_jq_outcome *outcome,
                           const struct sp_error *error);

/*
 * Runs the program once: values[0] is the input, the others are the arguments in the order of
 * their names; each is JSON text. What `each` is given, and what is returned:
 *   SP_OK       the results, of which there may be none
 *   SP_INVALID  the program said `error`, or what jq says of it; a value is no JSON
 *   SP_LIMIT    too much went in or came out; or it took too much time or memory: refused now
 *   SP_DENIED   it was refused before
 *   SP_TIMEOUT  the machine gave the worker no processor for 20 times the deadline
 *   SP_IO       no worker can be had, or it died: also of a crash in libjq, and refused now
 */
SP_WARN_UNUSED sp_status sp_jq_run(struct sp_jq_program *program, const sp_str *values,
                                   sp_jq_each_fn *each, void *context, struct sp_error *error);

/*
 * The same `run_count` times, values by values, without waiting for one answer before the next is
 * asked. A run that fails with SP_INVALID or SP_LIMIT of what it gives does not keep the others
 * from running; SP_OK then too. What ends the program ends the batch, and is returned.
 */
SP_WARN_UNUSED sp_status sp_jq_run_many(struct sp_jq_program *program, const sp_str *values,
                                        uint32_t run_count, sp_jq_each_fn *each, void *context,
                                        struct sp_error *error);

/*
 * A run that is to give exactly one value, appended to `to`. SP_INVALID also where it gives none or
 * several.
 */
struct sp_buf;
SP_WARN_UNUSED sp_status sp_jq_value(struct sp_jq_program *program, const sp_str *values,
                                     struct sp_buf *to, struct sp_error *error);

/*
 * The first thing that main does of a program that defines jq programs: where it was started as a
 * worker, is one until its parent is gone, and returns true; *ret_exit is what main returns then.
 * Else it notes that this process can execute itself: the one thing here that all of it shares.
 */
bool sp_jq_worker_main(int argc, char *const argv[], int *ret_exit);

#endif
