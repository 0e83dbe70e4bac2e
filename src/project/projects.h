/*
 * The projections of a store: which there are, what runs, what it has come to.
 *
 * The catalog is folded from the definitions that ship with the program and from the events of the
 * stream `$projections`. What is built lies in a sink (sink.h), and says itself how far it came:
 * the two together tell whoever opens the store, after a kill too, what to go on with.
 *
 * With threads, each running build has one of its own. It follows the log, sleeps while there is
 * nothing new, and stops at an event that cannot be applied, it alone. A rebuild is a second build
 * beside the first; when it has caught up it is swapped in, and the first is dropped after a
 * grace time. Without threads nothing moves but within sp_projects_catch_up.
 *
 * A projection is lazy: it has neither database nor thread before there is an event of a type that
 * it wants, or somebody asks for it (sp_projects_want).
 *
 * Threads: "loop" functions belong to the thread that turns the engine; the others say so. Events
 * are appended on the loop alone: threads hand over what happened by value.
 *
 * Limits: SP_PROJECTS_MAX projections; one more is refused.
 */
#ifndef SP_PROJECT_PROJECTS_H
#define SP_PROJECT_PROJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "os/os.h"

struct sp_definition;
struct sp_engine;
struct sp_event;
struct sp_projects;
struct sp_sink;
struct sp_travel;

enum { SP_PROJECTS_MAX = 256, SP_PROJECTS_NAME_BYTES_MAX = 63 };

/* The stream that tells what happened to projections. */
#define SP_PROJECTS_STREAM "$projections"

/* A definition that ships with the program. */
struct sp_projects_shipped {
    sp_str name;
    sp_str text;
    bool on_request; /* it runs only after somebody has added it by its name */
};

/* For the log of the server. `name` is the projection; `text` says what happened to it. */
typedef void sp_projects_say_fn(void *context, bool warning, sp_str name, const char *text);

struct sp_projects_options {
    struct sp_engine *engine; /* outlives the manager */
    bool writable;            /* false: nothing can be added or told, the store is only read */
    struct sp_sink *sink;     /* taken over, also on failure */
    bool sink_read_only;      /* another process builds there: nothing is built or dropped here */
    bool threads;
    bool tries_out; /* what is added is first tried on a SQLite database in memory */
    struct sp_clock clock;
    uint64_t grace_ms; /* how long what was swapped out stays */
    bool retains; /* the log drops its oldest events: what definitions stand in is told again */
    const struct sp_projects_shipped *shipped;
    size_t shipped_count;
    /* Before a projection sees an event: may replace its data and version. NULL: nothing. */
    sp_status (*upcast)(void *context, struct sp_event *event, struct sp_error *error);
    void *upcast_context;
    struct sp_travel *travel; /* is shown what builds go through (travel.h); NULL: nobody */
    sp_projects_say_fn *say;  /* on the loop; NULL: nobody listens */
    void *say_context;
    void (*wake)(void *context); /* on any thread: a turn has something to do */
    void *wake_context;
};

/* Folds the catalog and starts what there is to run. loop */
SP_WARN_UNUSED sp_status sp_projects_new(const struct sp_projects_options *options,
                                         struct sp_projects **ret_projects, struct sp_error *error);

/* Stops the threads where they are between two events, closes the sink, frees. loop */
void sp_projects_free(struct sp_projects *projects);

/*
 * Once a turn: wakes who waits for events that became durable, tells what threads have handed
 * over, starts what has become wanted, drops what has outlived its grace. O(1) where nothing of it
 * happened. Returns ms until it must be called again; -1: whenever something comes. loop
 */
int sp_projects_turn(struct sp_projects *projects);

/* ---- changing the catalog; loop ---- */

enum sp_projects_outcome {
    SP_PROJECTS_ADDED,     /* it was not there */
    SP_PROJECTS_REPLACED,  /* another text was: a build of the new one begins beside the old */
    SP_PROJECTS_UNCHANGED, /* nothing was appended */
};

/*
 * Adds a definition, or replaces the one of its name. SP_INVALID: the text, with line and column in
 * the error; SP_LIMIT: too many; SP_DENIED: the store is only read; SP_BUSY: after a turn, again.
 * Where `name` has a ptr the file must be of that name. What it is called is copied to `ret_name`,
 * of SP_PROJECTS_NAME_BYTES_MAX + 1 bytes; NULL: to nowhere.
 */
SP_WARN_UNUSED sp_status sp_projects_add(struct sp_projects *projects, sp_str text, sp_str name,
                                         char *ret_name, enum sp_projects_outcome *ret_outcome,
                                         struct sp_error *error);

/* The same of one that ships with the program. SP_NOT_FOUND where none is called so. */
SP_WARN_UNUSED sp_status sp_projects_add_shipped(struct sp_projects *projects, sp_str name,
                                                 enum sp_projects_outcome *ret_outcome,
                                                 struct sp_error *error);

/* Stops it and drops its tables. SP_NOT_FOUND. */
SP_WARN_UNUSED sp_status sp_projects_remove(struct sp_projects *projects, sp_str name,
                                            struct sp_error *error);

/*
 * Begins a build beside the current one; one that is on its way is dropped for it. *ret_number is
 * the new one's. SP_NOT_FOUND, SP_DENIED, SP_BUSY.
 */
SP_WARN_UNUSED sp_status sp_projects_rebuild(struct sp_projects *projects, sp_str name,
                                             uint64_t *ret_number, struct sp_error *error);

/* Tries the event again that a build stopped at. SP_CONFLICT where it has not failed. */
SP_WARN_UNUSED sp_status sp_projects_resume(struct sp_projects *projects, sp_str name,
                                            struct sp_error *error);

/* ---- looking; any thread ---- */

/* How many projections there are that were not removed. */
size_t sp_projects_count(struct sp_projects *projects);

/* Called for each, in the order of their names; false ends the walk. Must not call back here. */
typedef bool sp_projects_name_fn(void *context, sp_str name);
void sp_projects_each(struct sp_projects *projects, sp_projects_name_fn *each, void *context);

/* Appends the status as one JSON object (docs/projections.md). SP_NOT_FOUND, SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_projects_status(struct sp_projects *projects, sp_str name,
                                            struct sp_buf *to, struct sp_error *error);

/* The same with the projection file as the member `text`. */
SP_WARN_UNUSED sp_status sp_projects_show(struct sp_projects *projects, sp_str name,
                                          struct sp_buf *to, struct sp_error *error);

/* Appends the statuses of all, in the order of their names. */
void sp_projects_list(struct sp_projects *projects, struct sp_buf *to, sp_str between);

/* What metrics show of one. */
struct sp_projects_figures {
    sp_str name;         /* lasts for the call */
    const char *state;   /* waiting, building, running, failed */
    uint64_t position;   /* of the current build */
    uint64_t lag_events; /* behind the durable head; 0 where it waits for a first event */
    uint64_t lag_us;     /* how long the oldest of them has been there; likewise */
    uint64_t applied;    /* events that its current build has taken in */
    bool failed;
    bool rebuilding;
};
typedef void sp_projects_figures_fn(void *context, const struct sp_projects_figures *figures);
void sp_projects_figures(struct sp_projects *projects, sp_projects_figures_fn *each, void *context);

/*
 * The definition that its current text makes; NULL where there is none. The caller unrefs it
 * (definition.h).
 */
struct sp_definition *sp_projects_definition(struct sp_projects *projects, sp_str name);

/* The sink, for readers. It lasts as long as the manager. */
struct sp_sink *sp_projects_sink(struct sp_projects *projects);

/*
 * Asks for a projection: one that was waiting for a first event starts at once. Returns at once.
 * SP_NOT_FOUND: no projection is called so.
 */
SP_WARN_UNUSED sp_status sp_projects_want(struct sp_projects *projects, sp_str name,
                                          struct sp_error *error);

/*
 * Waits until what queries see of a projection has taken in every event up to `position`; of
 * position 0: until there is something for queries to see. Never on the loop. SP_NOT_FOUND: no such
 * projection; SP_FAILED: it has stopped before, the error says where and why; SP_TIMEOUT;
 * SP_CANCELLED: the store is being closed. A projection that waits for a first event is wanted by
 * this.
 */
SP_WARN_UNUSED sp_status sp_projects_wait(struct sp_projects *projects, sp_str name,
                                          uint64_t position, uint64_t timeout_ms,
                                          struct sp_error *error);

/* ---- without threads; loop ---- */

struct sp_projects_progress {
    sp_str name;
    uint64_t position;
    uint64_t head; /* where this call will stop */
};
/* Called now and then; false stops: SP_CANCELLED. */
typedef bool sp_projects_progress_fn(void *context, const struct sp_projects_progress *progress);

/*
 * Brings one projection, or all that are not lazy (`name` with a NULL ptr), up to the durable head
 * as it is now, rebuilds and swaps included. Where the sink is read-only: nothing. SP_NOT_FOUND;
 * SP_FAILED: an event could not be applied, the error tells which and why. `progress` may be NULL.
 */
SP_WARN_UNUSED sp_status sp_projects_catch_up(struct sp_projects *projects, sp_str name,
                                              sp_projects_progress_fn *progress, void *context,
                                              struct sp_error *error);

#endif
