/*
 * Time travel: a read model as it was at any moment. any-thread
 *
 *     moment ─► cut (cut.h) ─► nearest snapshot before it ─► the events from there to the cut
 *                                                                 └─► a scratch build, to be asked
 *
 * The same projection is run up to an earlier point, in a build of SQLite that is nowhere else,
 * also where read models live in PostgreSQL. A question that is restricted (one run, one source)
 * begins from nothing and reads what the index finds: so the state of one run costs its events. One
 * that is not begins from the nearest snapshot (snapshots.h).
 *
 * Snapshots are left by those who follow the log (a *track* per projector's thread) and by states
 * that were asked for. The follower copies its build after a commit; a helper compresses the copy.
 * Along the way each follower notes the times of the events that it sees (bounds.h).
 *
 * What can go wrong: all of what is kept is a cache. Without any of it a state is a fold from the
 * first event: slow, and the same. Where retention has dropped events, a state begins at the first
 * one that is kept, or at a snapshot that reaches so far; the answer says which.
 *
 * Limits: a scratch build is SP_TRAVEL_BUILD_BYTES_MAX; a state takes as long as it is allowed to.
 */
#ifndef SP_PROJECT_TRAVEL_H
#define SP_PROJECT_TRAVEL_H

#include "engine/query.h"
#include "project/cut.h"
#include "project/fold.h"

#define SP_TRAVEL_BUILD_BYTES_MAX (UINT64_C(2) << 30)

enum { SP_TRAVEL_SNAPSHOT_EVENTS = 50000, SP_TRAVEL_TIMEOUT_MS = 30000 };

struct sp_travel;
struct sp_travel_track;

/* For the log of the server; any thread. */
typedef void sp_travel_say_fn(void *context, const char *text);

struct sp_travel_options {
    struct sp_engine *engine; /* outlives it; with a guard where other threads ask */
    const char *folder;       /* where read models live: snapshots are in its folder `snapshots` */
    bool read_only;           /* nothing is kept: what is there is used */
    bool threads;             /* copy and compress beside the callers; else within their calls */
    bool copies;              /* builds that are followed are SQLite's: snapshots are taken */
    struct sp_clock clock;
    uint64_t snapshot_bytes_max; /* of all snapshots; 0: none are kept */
    uint64_t snapshot_events;    /* that are applied between two; 0: SP_TRAVEL_SNAPSHOT_EVENTS */
    sp_fold_upcast_fn *upcast;   /* as the projectors have it; on the thread that asks */
    void *upcast_context;
    sp_travel_say_fn *say; /* may be NULL */
    void *say_context;
};

SP_WARN_UNUSED sp_status sp_travel_open(const struct sp_travel_options *options,
                                        struct sp_travel **ret_travel, struct sp_error *error);

/* Finishes what is being written. Tracks and states are closed before. NULL is fine. */
void sp_travel_close(struct sp_travel *travel);

/*
 * ---- following
 * -----------------------------------------------------------------------------------
 */

/* Begins to follow a build, as of its position; one thread at a time from here on. */
SP_WARN_UNUSED sp_status sp_travel_track_new(struct sp_travel *travel, struct sp_build *build,
                                             struct sp_travel_track **ret_track,
                                             struct sp_error *error);

/* The source, and notes what it yields. `inner` outlives what is returned. */
struct sp_fold_source sp_travel_track_source(struct sp_travel_track *track,
                                             const struct sp_fold_source *inner);

/*
 * After a commit of the build, outside a batch: `position` is what is committed. Has a snapshot
 * taken where it is time.
 */
void sp_travel_track_committed(struct sp_travel_track *track, struct sp_build *build,
                               uint64_t position);

/* NULL is fine. */
void sp_travel_track_free(struct sp_travel_track *track);

/* A projection was removed, or has another text now: drops the snapshots of its other texts. */
void sp_travel_forget(struct sp_travel *travel, sp_str name, const uint8_t *sha256_kept);

/*
 * ---- asking
 * --------------------------------------------------------------------------------------
 */

struct sp_travel_ask {
    struct sp_definition *definition;
    /*
     * Which of its events count: types, source, stream, correlation, filter, from. Everything else
     * of the query stays zero.
     */
    struct sp_query query;
    sp_str until; /* a moment; empty: now */
    bool by_recorded;
    uint64_t timeout_ms;      /* 0: SP_TRAVEL_TIMEOUT_MS */
    const _Atomic bool *stop; /* true: SP_CANCELLED, soon; may be NULL */
};

struct sp_travel_state {
    struct sp_build *build; /* the caller closes it (sp_build_ops.close) */
    struct sp_cut cut;
    uint64_t events; /* that were applied to it, those of its snapshot included */
    uint64_t read;   /* events that were read for it */
    bool from_snapshot;
    uint64_t snapshot; /* its position */
    uint64_t dropped;  /* events up to here were dropped and are not in it; 0: none */
};

/*
 * Makes the state. SP_INVALID (the moment or the query), SP_NOT_FOUND (all events up to the moment
 * were dropped), SP_FAILED (an event that cannot be applied: which and why), SP_TIMEOUT,
 * SP_CANCELLED, SP_LIMIT (beyond the build's bytes), SP_CORRUPT, SP_IO, SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_travel_ask(struct sp_travel *travel, const struct sp_travel_ask *ask,
                                       struct sp_travel_state *ret_state, struct sp_error *error);

#endif
