/*
 * Events into a build: takes them from a source, finds the clauses that want each, applies them,
 * commits in batches. helper
 *
 *     source ─► upcast ─► which clauses ─► build.apply ─► commit when the batch is full, old, or
 *                                                         there is nothing more for now
 *
 * An event that cannot be applied stops the fold: the batch is rolled back, what came before the
 * event in it is read and applied once more and committed, and the build is marked failed at the
 * event. So nothing of that event stays, and applying needs no savepoints.
 *
 * The same fold runs on a thread of its own, inside a call, and in the simulation: it waits for
 * nothing, and has no clock but the one it is given. One thread at a time; only `stop` and
 * `awaited` are set by others.
 */
#ifndef SP_PROJECT_FOLD_H
#define SP_PROJECT_FOLD_H

#include <stdatomic.h>

#include "os/os.h"
#include "project/sink.h"

enum {
    SP_FOLD_BATCH_EVENTS = 8192,
    SP_FOLD_BATCH_US = 20000,
    SP_FOLD_IDLE_COMMIT_US = 100000,
};

struct sp_fold_source {
    /*
     * The next event, borrowed until the next call. SP_TIMEOUT: nothing more for now; SP_END:
     * nothing more at all; SP_BUSY: looked at some and found none, call again. SP_CORRUPT: the
     * event behind the position cannot be read, which stops the fold as one that cannot be applied.
     * Any other status ends the fold with it.
     */
    sp_status (*next)(void *context, const struct sp_event **ret_event, struct sp_error *error);
    /* Everything up to here was looked at, the event yielded last included. */
    uint64_t (*position)(void *context);
    /* The next event shall be the first one behind this position. */
    sp_status (*seek)(void *context, uint64_t position, struct sp_error *error);
    void *context;
};

struct sp_fold_progress {
    uint64_t position; /* looked at */
    uint64_t committed;
    uint64_t applied; /* by this fold */
    uint64_t batches;
};

/*
 * May replace data and schemaversion of an event before its clauses are chosen; what it sets lasts
 * until its next call. SP_INVALID: the event cannot be brought up, and stops the fold as one that
 * cannot be applied.
 */
typedef sp_status sp_fold_upcast_fn(void *context, struct sp_event *event, struct sp_error *error);

struct sp_fold_options {
    struct sp_build *build; /* open; not owned */
    struct sp_fold_source source;
    struct sp_clock clock;
    uint32_t batch_events; /* applied ones; 0: SP_FOLD_BATCH_EVENTS */
    uint64_t batch_us;     /* how old a batch may get; 0: SP_FOLD_BATCH_US */
    /*
     * Where no event was wanted there is only a new position to write: done no more often than
     * this, where nobody awaits it. 0: SP_FOLD_IDLE_COMMIT_US.
     */
    uint64_t idle_commit_us;
    const _Atomic uint64_t *awaited; /* positions up to here are committed at once; may be NULL */
    const _Atomic bool *stop;        /* true: commit and come back; may be NULL */
    sp_fold_upcast_fn *upcast;       /* may be NULL */
    void *upcast_context;
    /* After each commit, on the fold's thread; may be NULL. */
    void (*progress)(void *context, const struct sp_fold_progress *progress);
    void *progress_context;
};

enum sp_fold_end {
    SP_FOLD_CAUGHT_UP, /* nothing more for now */
    SP_FOLD_OVER,      /* nothing more at all */
    SP_FOLD_UNTIL,     /* the position that was asked for is reached */
    SP_FOLD_STOPPED,   /* told to */
    SP_FOLD_FAILED,    /* the build's state says at which event and why */
};

struct sp_fold;

/*
 * Makes a fold that goes on behind the build's position: the source is told to seek there. What it
 * needs of the options is copied. Whatever `seek` says, SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_fold_new(const struct sp_fold_options *options,
                                     struct sp_fold **ret_fold, struct sp_error *error);

/*
 * Folds until one of enum sp_fold_end; `until` 0: no such position. All that was applied is
 * committed then; the position is where something was, or somebody awaits it, or it is long ago. On
 * any other status than SP_OK the batch is rolled back: the fold may be run again, and goes on
 * behind what is committed. A build that is failed already is SP_FOLD_FAILED at once.
 */
SP_WARN_UNUSED sp_status sp_fold_run(struct sp_fold *fold, uint64_t until,
                                     enum sp_fold_end *ret_end, struct sp_error *error);

/* Commits the position where it is not yet. Before closing, and where somebody must see it. */
SP_WARN_UNUSED sp_status sp_fold_flush(struct sp_fold *fold, struct sp_error *error);

void sp_fold_progress(const struct sp_fold *fold, struct sp_fold_progress *ret_progress);

/* The build and the source stay. NULL is fine. */
void sp_fold_free(struct sp_fold *fold);

/*
 * ---- which clauses want an event
 * -----------------------------------------------------------------
 */

struct sp_clauses;

/* Remembers which clauses each type may concern, so that patterns are compared once per type. */
SP_WARN_UNUSED sp_status sp_clauses_new(struct sp_definition *definition,
                                        struct sp_clauses **ret_clauses, struct sp_error *error);

/* The numbers of the clauses that want the event, in order; borrowed until the next call. */
size_t sp_clauses_of(struct sp_clauses *clauses, const struct sp_event *event,
                     const uint16_t **ret_numbers);

void sp_clauses_free(struct sp_clauses *clauses);

/*
 * ---- the log as a source
 * -------------------------------------------------------------------------
 */

struct sp_engine;
struct sp_log_source;

/*
 * The events that the definition's clauses may want, found by the index, as a following cursor of
 * the engine gives them; from any thread, where the engine has a guard. What retention dropped
 * meanwhile is passed over, as a fold from the start would. `follow` false: a store that is open
 * read-only, or a walk that ends at the head of now; asked again it looks for a new head.
 */
SP_WARN_UNUSED sp_status sp_log_source_new(struct sp_engine *engine,
                                           struct sp_definition *definition, bool follow,
                                           struct sp_log_source **ret_source,
                                           struct sp_error *error);

struct sp_fold_source sp_log_source_of(struct sp_log_source *source);

/* Events found and looked at by one call of `next`, at most; 0: no limit. Default 16,384. */
void sp_log_source_allow(struct sp_log_source *source, uint32_t events);

void sp_log_source_free(struct sp_log_source *source);

#endif
