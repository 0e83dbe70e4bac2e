/*
 * One running build: opening, folding, sleeping, taking the place of the one before.
 *
 *     open ──► fold ◄──► sleep until the log grows
 *       │        │
 *       │        ├── caught up, beside another build ──► take over: the other one stops, this one
 *       │        │                                       folds up to where that was, and is swapped
 *       │        └── an event cannot be applied ──► ends; the build says so itself
 *       └── what the sink cannot do just now (space, a server that is gone) is tried again, later
 *           and later; a definition that it refuses ends the runner
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "engine/engine.h"
#include "project/projects_int.h"

enum {
    LINGER_US = 4000,        /* events are gathered for so long before they are looked at */
    RETRY_US_MIN = 100000,   /* between two tries of what a sink could not do */
    RETRY_US_MAX = 10000000, /* it grows up to this */
    RATE_SAMPLE_US = 1000000,
    NICENESS = 7, /* appends come first */
    US_PER_S = 1000000,
    NS_PER_US = 1000,
};

/* ---- looking --------------------------------------------------------------------------------- */

struct built *project_build(struct project *project, uint64_t number) {
    for (uint32_t i = 0; i < project->build_count; i++) {
        if (project->builds[i].number == number) {
            return &project->builds[i];
        }
    }
    return NULL;
}

struct built *project_current(struct project *project) {
    for (uint32_t i = 0; i < project->build_count; i++) {
        if (project->builds[i].current && !project->builds[i].dropping) {
            return &project->builds[i];
        }
    }
    return NULL;
}

struct runner *project_visible(struct project *project) {
    bool swapped = project->next != NULL && project->next->is_current;
    struct runner *runner = swapped ? project->next : project->current;
    return runner != NULL && runner->is_current ? runner : NULL;
}

uint64_t runner_position(const struct runner *runner) {
    return runner->caught_up ? runner->position : runner->state.position;
}

double rate_of(const struct rate *rate, uint64_t now_us, uint64_t position) {
    int from = now_us - rate->us[1] < 2 * RATE_SAMPLE_US ? 0 : 1; /* what was long ago is over */
    uint64_t since_us = now_us - rate->us[from];
    uint64_t events = position - rate->position[from];
    return rate->us[0] == 0 || since_us == 0 || position < rate->position[from]
               ? 0
               : (double)events * US_PER_S / (double)since_us;
}

static void rate_note(struct rate *rate, uint64_t now_us, uint64_t position) {
    if (rate->us[0] == 0) {
        rate->us[0] = rate->us[1] = now_us;
        rate->position[0] = rate->position[1] = position;
    } else if (now_us - rate->us[1] >= RATE_SAMPLE_US) {
        rate->us[0] = rate->us[1];
        rate->position[0] = rate->position[1];
        rate->us[1] = now_us;
        rate->position[1] = position;
    }
}

/* ---- publishing ------------------------------------------------------------------------------ */

/* Has the loop look. The mutex is held. */
static void ring_locked(struct sp_projects *projects) {
    pthread_cond_broadcast(&projects->changed);
    if (!atomic_exchange(&projects->news, true) && projects->options.wake != NULL) {
        projects->options.wake(projects->options.wake_context);
    }
}

/* What the build says of itself, but for what the sink knows better. The mutex is held. */
static void note_state_locked(struct runner *runner) {
    struct sp_build_state state;
    runner->build->ops->state(runner->build, &state);
    state.current = runner->is_current;
    runner->state = state;
    struct built *built = project_build(runner->project, runner->number);
    if (built != NULL) {
        built->failed = state.failed;
        built->state = state;
    }
}

/* After each commit. */
static void on_progress(void *context, const struct sp_fold_progress *progress) {
    struct runner *runner = context;
    struct sp_projects *projects = runner->projects;
    projects_lock(projects);
    note_state_locked(runner);
    runner->position = progress->position;
    rate_note(&runner->rate, projects_now_us(projects), progress->position);
    pthread_cond_broadcast(&projects->changed);
    bool trusted = runner->number >= runner->project->requested; /* else it is to be replaced */
    projects_unlock(projects);
    if (runner->track != NULL && trusted) {
        sp_travel_track_committed(runner->track, runner->build, progress->committed);
    }
}

static void note_trouble(struct runner *runner, sp_status status, const struct sp_error *error) {
    struct sp_projects *projects = runner->projects;
    projects_lock(projects);
    if (status == SP_OK) {
        sp_error_clear(&runner->trouble);
    } else {
        bool told = error->status != SP_OK && error->text[0] != '\0';
        runner->trouble = told ? *error : (struct sp_error){.status = status};
        runner->trouble.status = status;
        if (!told) {
            (void)sp_error_set(&runner->trouble, status, "%s", sp_status_text(status));
        }
        ring_locked(projects);
    }
    projects_unlock(projects);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void close_all(struct runner *runner) {
    sp_fold_free(runner->fold);
    sp_travel_track_free(runner->track);
    sp_log_source_free(runner->source);
    if (runner->build != NULL) {
        runner->build->ops->close(runner->build);
    }
    runner->fold = NULL;
    runner->track = NULL;
    runner->source = NULL;
    runner->build = NULL;
}

/* The sink has the build now. The mutex is held. */
static void note_built_locked(struct runner *runner) {
    struct project *project = runner->project;
    struct built *built = project_build(project, runner->number);
    if (built == NULL && project->build_count < PROJECTS_BUILDS_MAX) {
        built = &project->builds[project->build_count++];
        *built = (struct built){.number = runner->number};
        memcpy(built->sha256, runner->definition->sha256, sizeof(built->sha256));
    }
    runner->is_current = built != NULL && built->current;
}

static sp_status swap(struct runner *runner, struct sp_error *error);

static sp_status open_build(struct runner *runner, struct sp_error *error) {
    struct sp_projects *projects = runner->projects;
    struct sp_sink *sink = projects->options.sink;
    pthread_mutex_lock(&projects->sink_mutex);
    sp_status status =
        sink->ops->open(sink, runner->definition, runner->number, &runner->build, error);
    pthread_mutex_unlock(&projects->sink_mutex);
    if (status == SP_OK && runner->resumes) {
        status = runner->build->ops->resume(runner->build, error);
    }
    if (status != SP_OK) {
        return status;
    }
    runner->resumes = false;
    projects_lock(projects);
    note_built_locked(runner);
    note_state_locked(runner);
    bool first = project_current(runner->project) == NULL;
    runner->position = runner->state.position;
    runner->opened = true;
    projects_unlock(projects);
    return first ? swap(runner, error) : SP_OK;
}

static sp_status open_fold(struct runner *runner, struct sp_error *error) {
    struct sp_projects *projects = runner->projects;
    const struct sp_projects_options *options = &projects->options;
    bool grows = runner->worker != NULL || options->writable; /* else there is nothing to follow */
    sp_status status =
        sp_log_source_new(options->engine, runner->definition, grows, &runner->source, error);
    if (status != SP_OK) {
        return status;
    }
    runner->events = sp_log_source_of(runner->source);
    if (options->travel != NULL) {
        status = sp_travel_track_new(options->travel, runner->build, &runner->track, error);
    }
    if (status != SP_OK) {
        return status;
    }
    const struct sp_fold_options fold = {
        .build = runner->build,
        .source = runner->track != NULL ? sp_travel_track_source(runner->track, &runner->events)
                                        : runner->events,
        .clock = options->clock,
        .awaited = &runner->awaited,
        .stop = &runner->stop,
        .upcast = options->upcast,
        .upcast_context = options->upcast_context,
        .progress = on_progress,
        .progress_context = runner,
    };
    return sp_fold_new(&fold, &runner->fold, error);
}

static sp_status open_all(struct runner *runner, struct sp_error *error) {
    sp_status status = open_build(runner, error);
    status = status == SP_OK ? open_fold(runner, error) : status;
    if (status != SP_OK) {
        close_all(runner);
    }
    return status;
}

/* ---- swapping -------------------------------------------------------------------------------- */

/* What queries see is this build from now on. */
static sp_status swap(struct runner *runner, struct sp_error *error) {
    struct sp_projects *projects = runner->projects;
    struct sp_sink *sink = projects->options.sink;
    struct project *project = runner->project;
    pthread_mutex_lock(&projects->sink_mutex);
    sp_status status = sink->ops->swap(sink, sp_str_from(project->name), runner->number, error);
    pthread_mutex_unlock(&projects->sink_mutex);
    if (status != SP_OK) {
        return status;
    }
    projects_lock(projects);
    struct built *before = project_current(project);
    if (before != NULL) {
        before->current = false;
        before->state.current = false;
        before->retired_us = projects_wall_us(projects);
        before->state.retired_us = before->retired_us;
    }
    struct built *built = project_build(project, runner->number);
    sp_invariant(built != NULL);
    built->current = true;
    runner->is_current = true;
    runner->state.current = true;
    built->state.current = true;
    ring_locked(projects);
    projects_unlock(projects);
    return SP_OK;
}

/* Publishes how far the fold is, and whether that is all there is. */
static void note_position(struct runner *runner, bool caught_up) {
    struct sp_fold_progress progress;
    sp_fold_progress(runner->fold, &progress);
    projects_lock(runner->projects);
    runner->position = progress.position;
    runner->caught_up = caught_up;
    runner->was_caught_up = runner->was_caught_up || caught_up;
    note_state_locked(runner);
    rate_note(&runner->rate, projects_now_us(runner->projects), progress.position);
    pthread_cond_broadcast(&runner->projects->changed);
    projects_unlock(runner->projects);
}

/*
 * Stops the one that is current and tells where it was: nobody who has seen an event in the tables
 * is to miss it after the swap.
 */
static uint64_t stop_current(struct runner *runner) {
    struct sp_projects *projects = runner->projects;
    struct project *project = runner->project;
    projects_lock(projects);
    project->handing_over = true;
    struct runner *current = project->current;
    if (current != NULL) {
        runner_stop_locked(current);
    }
    while (current != NULL && current->worker != NULL && !current->ended) {
        pthread_cond_wait(&projects->changed, &projects->mutex);
    }
    struct built *built = project_current(project);
    uint64_t position = built != NULL ? built->state.position : 0;
    projects_unlock(projects);
    return position;
}

static sp_status take_over(struct runner *runner, enum sp_fold_end *end, struct sp_error *error) {
    uint64_t until = stop_current(runner);
    sp_status status = SP_OK;
    while (status == SP_OK && runner->position < until && *end != SP_FOLD_FAILED &&
           *end != SP_FOLD_STOPPED) {
        status = sp_fold_run(runner->fold, until, end, error);
        note_position(runner, false);
    }
    if (status == SP_OK && *end != SP_FOLD_FAILED && *end != SP_FOLD_STOPPED) {
        status = sp_fold_flush(runner->fold, error);
        status = status == SP_OK ? swap(runner, error) : status;
    }
    projects_lock(runner->projects);
    note_state_locked(runner);
    runner->project->handing_over = false;
    ring_locked(runner->projects);
    projects_unlock(runner->projects);
    return status;
}

/* ---- folding --------------------------------------------------------------------------------- */

/* One go, to where the log ends now. */
static sp_status fold_on(struct runner *runner, enum sp_fold_end *ret_end, struct sp_error *error) {
    sp_status status = sp_fold_run(runner->fold, 0, ret_end, error);
    if (status != SP_OK) {
        return status;
    }
    bool done = *ret_end == SP_FOLD_CAUGHT_UP || *ret_end == SP_FOLD_OVER;
    note_position(runner, done);
    return done && !runner->is_current ? take_over(runner, ret_end, error) : SP_OK;
}

sp_status runner_open_inline(struct runner *runner, struct sp_error *error) {
    return runner->build == NULL ? open_all(runner, error) : SP_OK;
}

sp_status runner_fold_inline(struct runner *runner, uint64_t until, enum sp_fold_end *ret_end,
                             struct sp_error *error) {
    sp_status status = sp_fold_run(runner->fold, until, ret_end, error);
    note_position(runner, false);
    return status;
}

sp_status runner_finish_inline(struct runner *runner, struct sp_error *error) {
    enum sp_fold_end end = SP_FOLD_UNTIL;
    sp_status status = sp_fold_flush(runner->fold, error);
    note_position(runner, status == SP_OK);
    return status == SP_OK && !runner->is_current ? take_over(runner, &end, error) : status;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static struct timespec moment(uint64_t us) {
    return (struct timespec){.tv_sec = (time_t)(us / US_PER_S),
                             .tv_nsec = (long)(us % US_PER_S) * NS_PER_US};
}

static uint64_t monotonic_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / NS_PER_US;
}

/* Somebody waits for events that are there and were not committed. */
static bool is_awaited(const struct runner *runner) {
    uint64_t awaited = atomic_load(&runner->awaited);
    uint64_t head = atomic_load(&runner->projects->head);
    return (awaited < head ? awaited : head) > runner->state.position;
}

/* Rests, so that events come in batches; not while somebody waits. The mutex is held. */
static void linger_locked(struct runner *runner, uint64_t duration_us, bool impatient) {
    const struct timespec until = moment(monotonic_us() + duration_us);
    while (!atomic_load(&runner->stop) && !(impatient && is_awaited(runner)) &&
           pthread_cond_timedwait(&runner->projects->urgent, &runner->projects->mutex, &until) !=
               ETIMEDOUT) {
    }
}

/*
 * Sleeps until there is more than was looked at. The loop tells of growth only where somebody
 * sleeps: the sleeper says so first and looks then, the loop grows first and looks then.
 */
static void sleep_locked(struct runner *runner) {
    struct sp_projects *projects = runner->projects;
    atomic_fetch_add(&projects->sleepers, 1);
    while (!atomic_load(&runner->stop) && atomic_load(&projects->head) <= runner->position &&
           !is_awaited(runner)) {
        pthread_cond_wait(&projects->grown, &projects->mutex);
    }
    atomic_fetch_sub(&projects->sleepers, 1);
}

static void rest(struct runner *runner) {
    projects_lock(runner->projects);
    linger_locked(runner, LINGER_US, true);
    sleep_locked(runner);
    projects_unlock(runner->projects);
}

/* True where the definition, and not the moment, is what the sink objects to. */
static bool is_refusal(sp_status status) {
    return status == SP_INVALID || status == SP_CONFLICT || status == SP_UNSUPPORTED ||
           status == SP_DENIED || status == SP_LIMIT;
}

/* The position is in the tables, too, where it was not worth a commit before. */
static sp_status flush(struct runner *runner, struct sp_error *error) {
    sp_status status = sp_fold_flush(runner->fold, error);
    if (status == SP_OK) {
        note_position(runner, runner->caught_up);
    }
    return status;
}

/* Folds until it is told to stop, or fails. What else it comes back with may be tried again. */
static sp_status follow(struct runner *runner, uint64_t *retry_us, struct sp_error *error) {
    enum sp_fold_end end = SP_FOLD_CAUGHT_UP;
    while (!atomic_load(&runner->stop)) {
        sp_status status = fold_on(runner, &end, error);
        if (status != SP_OK) {
            return status;
        }
        if (end == SP_FOLD_FAILED || end == SP_FOLD_STOPPED) {
            break;
        }
        if (*retry_us != RETRY_US_MIN) {
            *retry_us = RETRY_US_MIN;
            note_trouble(runner, SP_OK, NULL);
        }
        rest(runner);
        if (is_awaited(runner) && (status = flush(runner, error)) != SP_OK) {
            return status;
        }
    }
    return end == SP_FOLD_FAILED ? SP_OK : flush(runner, error);
}

static void wait_for_retry(struct runner *runner, uint64_t *retry_us) {
    projects_lock(runner->projects);
    linger_locked(runner, *retry_us, false);
    projects_unlock(runner->projects);
    *retry_us = *retry_us * 2 < RETRY_US_MAX ? *retry_us * 2 : RETRY_US_MAX;
}

static void run(struct sp_job *job) {
    struct runner *runner = (struct runner *)(void *)job;
    struct sp_projects *projects = runner->projects;
    uint64_t retry_us = RETRY_US_MIN;
    for (;;) {
        struct sp_error error;
        sp_error_clear(&error);
        bool opening = runner->build == NULL;
        sp_status status = opening ? open_all(runner, &error) : SP_OK;
        bool refused = opening && is_refusal(status);
        status = status == SP_OK ? follow(runner, &retry_us, &error) : status;
        if (status != SP_OK) {
            note_trouble(runner, status, &error);
        }
        if (status == SP_OK || refused || atomic_load(&runner->stop)) {
            break;
        }
        close_all(runner); /* a connection may be gone: from the start */
        wait_for_retry(runner, &retry_us);
    }
    if (runner->build != NULL) {
        projects_lock(projects);
        note_state_locked(runner);
        projects_unlock(projects);
    }
    close_all(runner);
    projects_lock(projects);
    runner->ended = true;
    ring_locked(projects);
    projects_unlock(projects);
}

static void nothing(struct sp_job *job) {
    (void)job;
}

/* ---- starting and stopping ------------------------------------------------------------------- */

struct runner *runner_start(struct sp_projects *projects, struct project *project,
                            struct sp_definition *definition, uint64_t number, bool resumes,
                            struct sp_error *error) {
    struct runner *runner = calloc(1, sizeof(*runner));
    if (runner == NULL) {
        (void)sp_error_set(error, SP_NO_MEMORY, "a projection");
        return NULL;
    }
    *runner = (struct runner){
        .job = {.work = run, .done = nothing},
        .projects = projects,
        .project = project,
        .definition = sp_definition_ref(definition),
        .number = number,
        .resumes = resumes,
    };
    struct built *built = project_build(project, number);
    if (built != NULL) {
        runner->state = built->state;
        runner->is_current = built->current;
        runner->position = built->state.position;
    }
    if (projects->options.threads) {
        const struct sp_worker_options options = {.name = "projection", .niceness = NICENESS};
        runner->worker = sp_worker_new(&options, error);
        if (runner->worker == NULL) {
            sp_definition_unref(definition);
            free(runner);
            return NULL;
        }
    }
    return runner;
}

void runner_launch(struct runner *runner) {
    if (runner->worker != NULL) {
        sp_worker_submit(runner->worker, &runner->job);
    }
}

void runner_stop_locked(struct runner *runner) {
    atomic_store(&runner->stop, true);
    pthread_cond_broadcast(&runner->projects->grown);
    pthread_cond_broadcast(&runner->projects->urgent);
}

void runner_free(struct runner *runner) {
    if (runner == NULL) {
        return;
    }
    sp_worker_free(runner->worker);
    close_all(runner); /* without threads it is open still */
    sp_definition_unref(runner->definition);
    free(runner);
}
