/*
 * Forks of runs, and runs that go on: loop-thread, but for cursors (query.h)
 *
 * A fork is a run of its own that shares what another run was up to a position. Nothing is copied:
 * the fork begins with the event `run.forked` in the stream `$runs`, whose id is the fork's
 * correlation id and whose extensions say what is shared; who reads the fork reads the shared part
 * through that (sp_cursor_open). Forks of forks share through one another.
 *
 *     run-17   1 ── 2 ── 3 ── 4 ── 5
 *                        └─ run.forked ── 3' ── 6 …      run-18: 1 2 3, run.forked, 3', 6 …
 *
 * In the same append the event to go on from is published once more, in the fork: whoever handles
 * its type handles it there. It carries `forkedfrom`, the id of the original, and `forkposition`,
 * the last position that is shared, by which workers find what was recorded already.
 *
 * Limits: SP_FORK_DEPTH_MAX forks of forks. Events that the store itself tells (streams of `$…` and
 * `saga:…`) are nothing to go on from.
 */
#ifndef SP_ENGINE_FORKS_H
#define SP_ENGINE_FORKS_H

#include "engine/bus.h"
#include "engine/query.h"

enum {
    SP_FORK_DEPTH_MAX = 64,
    SP_FORK_TEXT_BYTES_MAX = 1024, /* of an id, a name of who asks, a reason: SP_INVALID */
    SP_FORK_RUN_BYTES_MAX = 255,   /* of the id of a new run: SP_INVALID */
    SP_RESUME_MAX = 1000,          /* deliveries that one call gives back */
};

/* What the event `run.forked` says. */
struct sp_fork {
    sp_str of;      /* the run that is shared */
    uint64_t until; /* the last position of it */
};

/* False where the event is no fork's first one. Borrowed from the event. */
bool sp_fork_read(const struct sp_event *event, struct sp_fork *ret_fork);

struct sp_run_fork {
    sp_str run;
    sp_str at;     /* a position, or the id of an event of the run: the last one that is shared */
    sp_str id;     /* of the new run; empty: one is made */
    sp_str by;     /* who asks; empty: nobody says */
    sp_str reason; /* may be empty */
};

struct sp_run_forked {
    char run[SP_FORK_RUN_BYTES_MAX + 1]; /* the new one, with a NUL */
    uint64_t position;                   /* of run.forked */
    uint64_t shared;                     /* the last position that is shared */
    uint64_t event_position;             /* of the event to go on from, published anew */
    bool duplicate;                      /* it was there by this id, and nothing was appended */
};

/*
 * Forks a run. The event to go on from is the one named; where that records a step of a handling
 * (agent.step.*), the event that was handled. SP_NOT_FOUND: no such run, or no such event in it;
 * SP_CONFLICT: the id is that of another run; SP_INVALID: nothing can go on from there; SP_LIMIT;
 * and what sp_engine_submit says. Show it when it is durable.
 */
SP_WARN_UNUSED sp_status sp_run_fork(struct sp_engine *engine, const struct sp_run_fork *fork,
                                     struct sp_run_forked *ret_forked, struct sp_error *error);

/*
 * Goes on with a run that failed: what groups of workers gave up of its events (dead letters) is
 * given to them again, attempts from 0, at most SP_RESUME_MAX of them. *ret_count: how many they
 * were. SP_NOT_FOUND: there is no such run; SP_CONFLICT: nothing of it was given up.
 */
SP_WARN_UNUSED sp_status sp_run_resume(struct sp_bus *bus, sp_str run, uint64_t *ret_count,
                                       struct sp_error *error);

#endif
