/*
 * A store in memory for trying flows: events, a clock that jumps, workers that do as they are told,
 * and crashes. pure
 *
 * It promises the flow what the engine promises it (part.h): each event once and in order, the
 * events of one act together or not at all. So what holds here, against every order of answers,
 * deadlines, refusals and crashes, holds there; and it is fast, as nothing but memory is touched.
 *
 *     append, act ──► log ──apply──► flow ──work──► act     until nothing is due
 *                      │ settle: durable
 *                      ▼
 *                   commands ──► ports.command: how does this worker behave? ──► answers, by time
 *
 * Workers see what is durable: sp_rehearsal_settle makes it so when no work is left, as a turn of
 * the engine does. A crash takes back any part of what is not durable yet, and the state with it:
 * it is made again from an encoding of an earlier one and the events behind it, or from nothing,
 * and has to be the same. Answers on their way survive crashes, and come when their time has come.
 *
 * The clock never goes by itself: sp_rehearsal_step goes to the next deadline or answer. Everything
 * follows from the seed and the calls: the same give the same log, byte by byte.
 *
 * Limits: SP_REHEARSAL_EVENTS_MAX events of at most 1 MiB; beyond them SP_LIMIT.
 */
#ifndef SP_FLOW_REHEARSAL_H
#define SP_FLOW_REHEARSAL_H

#include "base/prng.h"
#include "flow/part.h"

struct sp_flow;
struct sp_rehearsal;

enum {
    SP_REHEARSAL_EVENTS_MAX = 1000000,
    SP_REHEARSAL_ANSWERS_MAX = 8, /* of one plan */
};

/* What a worker sends, some time after its command. */
enum sp_rehearsal_kind {
    SP_REHEARSAL_SUCCESS = 0,
    SP_REHEARSAL_FAILURE,       /* may be tried again */
    SP_REHEARSAL_FAILURE_FINAL, /* retryable: false */
    SP_REHEARSAL_WRONG_ATTEMPT, /* a success of the attempt that comes next, or never */
    SP_REHEARSAL_NONSENSE,      /* a failure whose data nobody can read */
};

struct sp_rehearsal_answer {
    enum sp_rehearsal_kind kind;
    uint64_t after_us;
    sp_str data; /* JSON: the result, or the failure's data; empty: one is made */
};

/* How one command is answered; no answers: its worker is lost. */
struct sp_rehearsal_plan {
    uint32_t count;
    struct sp_rehearsal_answer answers[SP_REHEARSAL_ANSWERS_MAX];
};

/* What becomes of an append of the flow's. */
enum sp_rehearsal_fate {
    SP_REHEARSAL_APPENDED = 0,
    SP_REHEARSAL_REFUSED,        /* SP_BUSY: the work is given back */
    SP_REHEARSAL_CRASH_BEFORE,   /* the process dies with it in hand */
    SP_REHEARSAL_CRASH_AFTER,    /* and here right behind it, the append being kept */
    SP_REHEARSAL_CRASH_TAKEN,    /* likewise, but all that is not durable is lost */
    SP_REHEARSAL_CRASH_FROM_ZERO /* kept, and the state is made from the first event on */
};

/* All but evaluate may be NULL, and evaluate where no definition has a program. */
struct sp_rehearsal_ports {
    void *context;
    uint32_t batch; /* pieces of work in hand at once; 0: one. As many as an engine's turn takes */
    uint32_t remember; /* encode the state after so many appends each; 0: only when told to */
    /* Runs a jq program over JSON; what it says goes to `to`. Its error is the step's. */
    sp_status (*evaluate)(void *context, sp_str program, sp_str input, struct sp_buf *to,
                          struct sp_error *error);
    /* How the worker of this command behaves; asked once, when it is durable. Proposals to people
     * are commands, too: whoever decides them does so with sp_rehearsal_later. */
    void (*command)(void *context, const struct sp_event *command,
                    struct sp_rehearsal_plan *ret_plan);
    /* What becomes of the next append, the number of which is `append`, from 1. */
    enum sp_rehearsal_fate (*fate)(void *context, uint64_t append);
    /* An event is in the log. */
    void (*appended)(void *context, const struct sp_event *event);
    /* Those behind this position are gone again. */
    void (*taken)(void *context, uint64_t position);
};

/* SP_NO_MEMORY. `now_us` is where the clock begins. */
SP_WARN_UNUSED sp_status sp_rehearsal_new(uint64_t seed, uint64_t now_us,
                                          const struct sp_rehearsal_ports *ports,
                                          struct sp_rehearsal **ret, struct sp_error *error);
void sp_rehearsal_free(struct sp_rehearsal *rehearsal);

/* The state: lasts until the next crash. */
struct sp_flow *sp_rehearsal_flow(struct sp_rehearsal *rehearsal);
uint64_t sp_rehearsal_now_us(const struct sp_rehearsal *rehearsal);

/*
 * Appends somebody's event: type and stream are there; source, id and correlation are made where
 * they are not. An id that its source has used appends nothing, and *ret_position is the first's.
 * Durable at once, as whoever appends waits for that.
 */
SP_WARN_UNUSED sp_status sp_rehearsal_append(struct sp_rehearsal *rehearsal,
                                             const struct sp_event *event, uint64_t *ret_position,
                                             struct sp_error *error);

/* The same of events that the flow's floor has built: starts, requests, definitions. */
SP_WARN_UNUSED sp_status sp_rehearsal_append_out(struct sp_rehearsal *rehearsal,
                                                 const struct sp_flow_out *out,
                                                 uint64_t *ret_position, struct sp_error *error);

/* Appends a copy of the event when the clock has come to at_us, crashes or not. SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_rehearsal_later(struct sp_rehearsal *rehearsal, uint64_t at_us,
                                            const struct sp_event *event, struct sp_error *error);

/* The circumstances of an act of the caller's, as the flow's own acts get them. */
struct sp_flow_now sp_rehearsal_now(struct sp_rehearsal *rehearsal);

/*
 * Does the work that is due until none is left, then makes all of it durable and asks the workers
 * of new commands. SP_LIMIT: it does not come to rest. SP_CORRUPT: a state that was made again is
 * another one than before, or something the flow gave is not as part.h says; the text says what.
 */
SP_WARN_UNUSED sp_status sp_rehearsal_settle(struct sp_rehearsal *rehearsal,
                                             struct sp_error *error);

/*
 * Goes on: settles, goes to the next moment at which an answer comes or a deadline passes, but not
 * beyond `until_us`, lets it happen and settles. SP_END: nothing is left that would happen by then,
 * and the clock stands where it stood.
 */
SP_WARN_UNUSED sp_status sp_rehearsal_step(struct sp_rehearsal *rehearsal, uint64_t until_us,
                                           struct sp_error *error);

/* Steps until nothing happens any more before `until_us`, and sets the clock to that (unless it is
 * UINT64_MAX). */
SP_WARN_UNUSED sp_status sp_rehearsal_run(struct sp_rehearsal *rehearsal, uint64_t until_us,
                                          struct sp_error *error);

/* Encodes the state: crashes begin with the newest encoding that is not behind the log's end. */
SP_WARN_UNUSED sp_status sp_rehearsal_remember(struct sp_rehearsal *rehearsal,
                                               struct sp_error *error);

/* The process dies and comes back; `keep` is the last position that is still there. */
SP_WARN_UNUSED sp_status sp_rehearsal_crash(struct sp_rehearsal *rehearsal, uint64_t keep,
                                            bool from_zero, struct sp_error *error);

/* The last position; the events are from 1 on. */
uint64_t sp_rehearsal_count(const struct sp_rehearsal *rehearsal);

/* Slices last until the next append, crash or read of the same rehearsal. */
SP_WARN_UNUSED sp_status sp_rehearsal_read(struct sp_rehearsal *rehearsal, uint64_t position,
                                           struct sp_event *ret_event, struct sp_error *error);

/* A hash of the whole log. */
uint64_t sp_rehearsal_hash(const struct sp_rehearsal *rehearsal);

#endif
