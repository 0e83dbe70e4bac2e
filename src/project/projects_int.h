/*
 * What the manager of projections is made of; only projects*.c include this.
 *
 *     struct sp_projects    the catalog, and what all share
 *       struct project      one name: its definition, what the sink holds of it, what was told
 *         struct runner     one running build: a thread, its fold, what it has published
 *
 * Locking: `mutex` guards the catalog, the builds, and what runners publish; it is recursive, so
 * that what the loop does as a whole holds it throughout. Nobody waits for a thread, for the sink
 * or for the engine's guard while holding it; freeing a runner that has ended is no wait. The
 * thread of a runner owns its build, source and fold. `sink_mutex` serialises the sink, which
 * belongs to one thread at a time, and is held across I/O; never taken by who holds `mutex`, but
 * without threads.
 */
#ifndef SP_PROJECT_PROJECTS_INT_H
#define SP_PROJECT_PROJECTS_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "project/definition.h"
#include "project/fold.h"
#include "project/projects.h"
#include "project/sink.h"
#include "project/travel.h"

enum {
    PROJECTS_BUILDS_MAX = 16, /* that are known of one projection; the oldest retired ones go */
    PROJECTS_PAST_MAX = 8,    /* earlier texts that are remembered, for builds of them */
    PROJECTS_HEADS = 512,
};

/* A build in the sink. */
struct built {
    uint64_t number;
    uint8_t sha256[32];
    bool current;
    bool failed;
    uint64_t retired_us; /* 0: not retired */
    bool dropping;
    bool resumes;                /* it has failed, and is to be tried again when it runs next */
    struct sp_build_state state; /* as the sink told it; what runs says more */
};

/* How fast a build moves: measured over the last second or two. */
struct rate {
    uint64_t us[2]; /* the older sample, the newer one */
    uint64_t position[2];
};

struct project;

struct runner {
    struct sp_job job; /* first */
    struct sp_projects *projects;
    struct project *project;
    struct sp_definition *definition; /* a reference */
    struct sp_worker *worker;         /* NULL: it runs within calls */
    uint64_t number;
    bool resumes; /* takes the note of failure away before it begins */

    struct sp_build *build; /* the thread's, with source and fold */
    struct sp_log_source *source;
    struct sp_travel_track *track; /* NULL: nobody looks on */
    struct sp_fold_source events;  /* of the source */
    struct sp_fold *fold;

    _Atomic bool stop;
    _Atomic uint64_t awaited; /* positions up to here are committed at once */

    /* Guarded by the mutex. */
    bool opened;
    bool caught_up;
    bool was_caught_up;          /* once at least */
    bool is_current;             /* queries see this build */
    bool ended;                  /* the thread has let go of everything */
    uint64_t position;           /* looked at */
    struct sp_build_state state; /* as last committed */
    struct sp_error trouble;     /* what it cannot go on for, for now or for ever */
    struct rate rate;
};

/* What the events of the stream say, to be compared with what the sink says. */
struct told {
    uint64_t current;         /* number of the last swap; 0: none */
    uint64_t failed;          /* number of a build that failed; 0: none */
    uint64_t failed_position; /* where */
    bool resumed;             /* and was told to try again since */
};

struct project {
    char name[SP_PROJECTS_NAME_BYTES_MAX + 1];
    const struct sp_projects_shipped *shipped; /* what the program has of that name; may be NULL */
    struct sp_definition *definition;          /* what is to run; NULL: nothing */
    struct sp_definition *past[PROJECTS_PAST_MAX]; /* earlier ones, newest first */
    bool is_own;                                   /* the definition came in an event */
    bool removed;
    bool added;             /* somebody has asked for it to be there: it does not wait */
    bool wanted;            /* it has something to do, or is asked for */
    uint64_t requested;     /* the least number that a rebuild asked for */
    uint64_t number_last;   /* greatest number given so far */
    uint64_t number_built;  /* greatest number of a build that was begun */
    uint64_t told_position; /* of the event that holds the definition; 0: none */
    struct told told;

    struct built builds[PROJECTS_BUILDS_MAX];
    uint32_t build_count;
    struct runner *current; /* NULL: nothing runs */
    struct runner *next;    /* a build beside the current one */
    bool handing_over;      /* `next` is about to take the place: the loop keeps its hands off */
    bool refused;           /* the definition can be built on no account: */
    uint8_t refused_sha256[32];
    struct sp_error refusal;
};

/* When the log had grown to a position, as the loop saw it: the lag in time is read off here. */
struct head {
    uint64_t position;
    uint64_t us; /* monotonic */
};

struct sp_projects {
    struct sp_projects_options options;
    pthread_mutex_t sink_mutex;
    pthread_mutex_t mutex;
    pthread_cond_t grown;   /* the log has; threads that have caught up sleep here */
    pthread_cond_t urgent;  /* somebody waits, or the end has come */
    pthread_cond_t changed; /* a runner has published something */
    _Atomic uint64_t head;  /* durable position, as the loop saw it last */
    _Atomic uint32_t sleepers;
    _Atomic bool news;           /* a runner has something for the loop */
    bool closing;                /* guarded */
    bool has_ahead;              /* while builds are listed: one is ahead of the log, */
    struct sp_build_state ahead; /* this one */

    struct project **items; /* sorted by name; each lives as long as the manager */
    uint32_t count;
    uint32_t capacity;

    struct head heads[PROJECTS_HEADS]; /* guarded; oldest first */
    uint32_t head_count;

    struct sp_worker *dropper; /* drops builds; NULL until there is one to drop */
    uint32_t drops_pending;

    uint64_t types_seen;  /* how many types the log had when they were last looked at */
    uint64_t types_us;    /* when that was */
    uint64_t head_looked; /* the head then */
    uint64_t dropped_us;  /* when the grace of builds was last looked at */
    bool has_retired;     /* there are builds in their grace */
    struct sp_buf text;   /* of one event that is appended */
    struct sp_event *event;
};

static inline void projects_lock(struct sp_projects *projects) {
    pthread_mutex_lock(&projects->mutex);
}

static inline void projects_unlock(struct sp_projects *projects) {
    pthread_mutex_unlock(&projects->mutex);
}

/* Whether it is in the catalog: one that was not removed, and that has a definition. */
static inline bool project_is_there(const struct project *project) {
    return project != NULL && !project->removed && project->definition != NULL;
}

/* ---- projects.c ---- */

uint64_t projects_wall_us(const struct sp_projects *projects);
uint64_t projects_now_us(const struct sp_projects *projects);

/* The projection of this name, removed ones too; NULL: none. */
struct project *projects_find(struct sp_projects *projects, sp_str name);
/* The same, one that was not removed. SP_NOT_FOUND. */
SP_WARN_UNUSED sp_status projects_find_there(struct sp_projects *projects, sp_str name,
                                             struct project **ret_project, struct sp_error *error);
/* The same; makes it where it is not there. NULL: no memory, or too many. */
struct project *projects_make(struct sp_projects *projects, sp_str name);

/* Runs before what ends was looked at are freed, and what took over is in its place. loop */
void projects_collect(struct sp_projects *projects, struct project *project);

/* What is kept of other texts of the projection for states of the past goes. */
void projects_forget(struct sp_projects *projects, const struct project *project);

/* Tells the log of the server. */
void projects_say(struct sp_projects *projects, bool warning, const struct project *project,
                  const char *format, ...) SP_PRINTF(4, 5);

/* ---- projects_plan.c ---- */

/* Does what follows from the catalog and the builds: starts, stops, drops. loop */
void projects_plan(struct sp_projects *projects, struct project *project);

/* ---- projects_catalog.c ---- */

/* Folds the events of the stream into the catalog. */
SP_WARN_UNUSED sp_status projects_fold_events(struct sp_projects *projects, struct sp_error *error);

/* The definition that is to run becomes this one, which is taken over; the old one is past. */
void projects_define(struct project *project, struct sp_definition *definition);
/* The definition of this text, present or past; NULL: none. */
struct sp_definition *projects_definition_of(struct project *project, const uint8_t sha256[32]);

/* Appends events. *ret_position may be NULL. Where there is no bus: SP_DENIED. */
SP_WARN_UNUSED sp_status projects_tell_added(struct sp_projects *projects,
                                             const struct sp_definition *definition, bool shipped,
                                             uint64_t *ret_position, struct sp_error *error);
SP_WARN_UNUSED sp_status projects_tell(struct sp_projects *projects, const char *type,
                                       const struct project *project, uint64_t number,
                                       uint64_t position, uint64_t *ret_position,
                                       struct sp_error *error);
SP_WARN_UNUSED sp_status projects_tell_failed(struct sp_projects *projects,
                                              const struct project *project,
                                              const struct sp_build_state *state,
                                              struct sp_error *error);

/* ---- projects_runner.c ---- */

/* Makes a runner; with threads it has one, which waits for runner_launch. NULL: an error. */
struct runner *runner_start(struct sp_projects *projects, struct project *project,
                            struct sp_definition *definition, uint64_t number, bool resumes,
                            struct sp_error *error);
/* It begins, once the project knows of it. */
void runner_launch(struct runner *runner);
/* Tells it to stop; it will have ended soon. The mutex is held. */
void runner_stop_locked(struct runner *runner);
/* Waits for its thread, which was told to stop or has ended, and frees it. */
void runner_free(struct runner *runner);

/* Without threads: opens what is to be open. */
SP_WARN_UNUSED sp_status runner_open_inline(struct runner *runner, struct sp_error *error);
/* Folds up to `until`. */
SP_WARN_UNUSED sp_status runner_fold_inline(struct runner *runner, uint64_t until,
                                            enum sp_fold_end *ret_end, struct sp_error *error);
/* Commits the position, and takes the place of another build that is current. */
SP_WARN_UNUSED sp_status runner_finish_inline(struct runner *runner, struct sp_error *error);

/* The build of this number; NULL: the sink has none. The mutex is held, or this is the loop. */
struct built *project_build(struct project *project, uint64_t number);
/* The one that queries see; NULL: none. */
struct built *project_current(struct project *project);
/* The runner of the build that queries see; NULL: it does not run. The mutex is held. */
struct runner *project_visible(struct project *project);
/* All events up to here are in the tables, or concern none. The mutex is held. */
uint64_t runner_position(const struct runner *runner);
/* Events a second. The mutex is held. */
double rate_of(const struct rate *rate, uint64_t now_us, uint64_t position);

/* For how long the first event behind `position` has been there. The mutex is held. */
uint64_t projects_lag_us(const struct sp_projects *projects, uint64_t position);

#endif
