/*
 * The catalog at work: making and ending, what a turn does, changes.
 */
#include "project/projects.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/engine.h"
#include "engine/query.h"
#include "match/pattern.h"
#include "project/projects_int.h"

enum {
    EVENT_TEXT_BYTES_MAX = 16 << 20,
    TYPES_US = 50000,  /* between two looks for new types, while something waits for one */
    GRACE_US = 500000, /* between two looks for builds that have outlived theirs */
    SAY_BYTES = 512,
    RETELL_EVENTS = 1000, /* nothing younger is told again */
    US_PER_MS = 1000,
    NS_PER_US = 1000,
};

uint64_t projects_wall_us(const struct sp_projects *projects) {
    return projects->options.clock.wall_us(projects->options.clock.context);
}

uint64_t projects_now_us(const struct sp_projects *projects) {
    return projects->options.clock.monotonic_ns(projects->options.clock.context) / NS_PER_US;
}

void projects_say(struct sp_projects *projects, bool warning, const struct project *project,
                  const char *format, ...) {
    char text[SAY_BYTES];
    va_list args;
    if (projects->options.say == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    projects->options.say(projects->options.say_context, warning, sp_str_from(project->name), text);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Where the name is, or belongs. */
static uint32_t place_of(const struct sp_projects *projects, sp_str name) {
    uint32_t from = 0;
    uint32_t until = projects->count;
    while (from < until) {
        uint32_t middle = from + (until - from) / 2;
        if (sp_str_cmp(sp_str_from(projects->items[middle]->name), name) < 0) {
            from = middle + 1;
        } else {
            until = middle;
        }
    }
    return from;
}

struct project *projects_find(struct sp_projects *projects, sp_str name) {
    uint32_t place = place_of(projects, name);
    return place < projects->count && sp_str_eq(sp_str_from(projects->items[place]->name), name)
               ? projects->items[place]
               : NULL;
}

struct project *projects_make(struct sp_projects *projects, sp_str name) {
    struct project *project = projects_find(projects, name);
    if (project != NULL || projects->count == SP_PROJECTS_MAX ||
        name.len > SP_PROJECTS_NAME_BYTES_MAX) {
        return project;
    }
    project = calloc(1, sizeof(*project));
    if (project == NULL) {
        return NULL;
    }
    memcpy(project->name, name.ptr, name.len);
    projects_lock(projects);
    uint32_t place = place_of(projects, name);
    memmove(&projects->items[place + 1], &projects->items[place],
            (projects->count - place) * sizeof(struct project *));
    projects->items[place] = project;
    projects->count++;
    projects_unlock(projects);
    return project;
}

sp_status projects_find_there(struct sp_projects *projects, sp_str name,
                              struct project **ret_project, struct sp_error *error) {
    struct project *project = projects_find(projects, name);
    if (!project_is_there(project)) {
        return sp_error_set(error, SP_NOT_FOUND, "there is no projection '%.*s'",
                            name.len < 64 ? (int)name.len : 64, name.len > 0 ? name.ptr : "");
    }
    *ret_project = project;
    return SP_OK;
}

void projects_forget(struct sp_projects *projects, const struct project *project) {
    if (projects->options.travel != NULL) {
        sp_travel_forget(projects->options.travel, sp_str_from(project->name),
                         project_is_there(project) ? project->definition->sha256 : NULL);
    }
}

/* ---- what runners have handed over ----------------------------------------------------------- */

/* SP_BUSY: a later turn tells it. */
static sp_status tell_swap(struct sp_projects *projects, struct project *project) {
    struct built *built = project_current(project);
    struct sp_error error;
    sp_error_clear(&error);
    if (built == NULL || built->number == project->told.current) {
        return SP_OK;
    }
    if (project->told.current == 0 && built->number == 1) {
        project->told.current = built->number; /* the first one took nobody's place */
        return SP_OK;
    }
    sp_status status = projects_tell(projects, "projection.swapped", project, built->number,
                                     built->state.position, NULL, &error);
    if (status == SP_OK) {
        projects_say(projects, false, project, "build %llu has taken over at %llu",
                     (unsigned long long)built->number, (unsigned long long)built->state.position);
    }
    if (status != SP_BUSY) {
        project->told.current = built->number;
    }
    return status;
}

static sp_status tell_failure(struct sp_projects *projects, struct project *project,
                              const struct built *built) {
    const struct sp_build_state *state = &built->state;
    struct sp_error error;
    sp_error_clear(&error);
    bool told = project->told.failed == built->number && !project->told.resumed;
    if (!built->failed || told || built->resumes || built->retired_us != 0 || built->dropping) {
        return SP_OK;
    }
    bool runs = (project->current != NULL && project->current->number == built->number) ||
                (project->next != NULL && project->next->number == built->number);
    if (project->told.failed == built->number && runs) {
        return SP_OK; /* it was resumed, and has not come to it yet */
    }
    sp_status status = projects_tell_failed(projects, project, state, &error);
    if (status == SP_OK) {
        projects_say(projects, true, project, "build %llu has stopped at event %llu (%s): %s",
                     (unsigned long long)built->number, (unsigned long long)state->failed_position,
                     state->failed_id, state->failed_text);
    }
    if (status != SP_BUSY) {
        project->told = (struct told){.current = project->told.current,
                                      .failed = built->number,
                                      .failed_position = state->failed_position};
    }
    return status;
}

static sp_status tell(struct sp_projects *projects, struct project *project) {
    sp_status status = SP_OK;
    if (!project_is_there(project) || !projects->options.writable) {
        return SP_OK;
    }
    for (uint32_t i = 0; i < project->build_count && status == SP_OK; i++) {
        status = tell_failure(projects, project, &project->builds[i]);
    }
    return status == SP_OK ? tell_swap(projects, project) : status;
}

/* A definition that the sink does not take is not tried again and again. */
static void note_refusal(struct sp_projects *projects, struct project *project,
                         const struct runner *runner) {
    if (runner->trouble.status == SP_OK || runner->opened || atomic_load(&runner->stop)) {
        return;
    }
    projects_say(projects, true, project, "build %llu cannot be made: %s",
                 (unsigned long long)runner->number, runner->trouble.text);
    project->refused = true;
    project->refusal = runner->trouble;
    memcpy(project->refused_sha256, runner->definition->sha256, sizeof(project->refused_sha256));
}

/* Frees the runners that have ended, and puts the one that took over in its place. */
void projects_collect(struct sp_projects *projects, struct project *project) {
    struct runner *over[3];
    uint32_t count = 0;
    projects_lock(projects);
    struct runner *current = project->current;
    struct runner *next = project->next;
    if (!project->handing_over && next != NULL && next->is_current &&
        (current == NULL || current->ended)) {
        over[count] = current;
        count += current != NULL ? 1 : 0;
        current = next;
        next = NULL;
    }
    if (!project->handing_over && current != NULL && current->ended) {
        over[count++] = current;
        current = NULL;
    }
    if (!project->handing_over && next != NULL && next->ended) {
        over[count++] = next;
        next = NULL;
    }
    project->current = current;
    project->next = next;
    for (uint32_t i = 0; i < count; i++) {
        note_refusal(projects, project, over[i]);
    }
    projects_unlock(projects);
    for (uint32_t i = 0; i < count; i++) {
        runner_free(over[i]);
    }
}

/* ---- the head and the lag -------------------------------------------------------------------- */

/* Keeps the newer half as it is, and every other one of the older half. */
static void thin_heads(struct sp_projects *projects) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < PROJECTS_HEADS; i++) {
        if (i >= PROJECTS_HEADS / 2 || i % 2 == 0) {
            projects->heads[kept++] = projects->heads[i];
        }
    }
    projects->head_count = kept;
}

static void note_head(struct sp_projects *projects, uint64_t position) {
    enum { SAMPLE_US = 1000 };
    uint64_t now_us = projects_now_us(projects);
    struct head *last =
        projects->head_count > 0 ? &projects->heads[projects->head_count - 1] : NULL;
    projects_lock(projects);
    if (last != NULL && now_us - last->us < SAMPLE_US) {
        last->position = position; /* its time stays: the lag is rather said too long */
    } else {
        if (projects->head_count == PROJECTS_HEADS) {
            thin_heads(projects);
        }
        projects->heads[projects->head_count++] = (struct head){position, now_us};
    }
    projects_unlock(projects);
}

uint64_t projects_lag_us(const struct sp_projects *projects, uint64_t position) {
    uint32_t from = 0;
    uint32_t until = projects->head_count;
    while (from < until) { /* the first one beyond the position */
        uint32_t middle = from + (until - from) / 2;
        if (projects->heads[middle].position <= position) {
            from = middle + 1;
        } else {
            until = middle;
        }
    }
    return from == projects->head_count ? 0 : projects_now_us(projects) - projects->heads[from].us;
}

static void look_at_head(struct sp_projects *projects) {
    uint64_t durable = sp_engine_durable_position(projects->options.engine);
    if (durable == atomic_load(&projects->head)) {
        return;
    }
    note_head(projects, durable);
    atomic_store(&projects->head, durable);
    if (atomic_load(&projects->sleepers) > 0) {
        projects_lock(projects);
        pthread_cond_broadcast(&projects->grown);
        projects_unlock(projects);
    }
}

/* ---- laziness -------------------------------------------------------------------------------- */

static bool is_idle(const struct project *project) {
    return project_is_there(project) && !project->wanted && !project->added &&
           project->current == NULL && project->build_count == 0 &&
           (project->shipped == NULL || project->is_own || !project->shipped->on_request);
}

static bool wants_type(const struct sp_definition *definition, sp_str type) {
    for (uint32_t i = 0; i < definition->pattern_count; i++) {
        if (sp_pattern_match(definition->patterns[i], type)) {
            return true;
        }
    }
    return false;
}

static bool note_type(void *context, sp_str type) {
    struct sp_projects *projects = context;
    for (uint32_t i = 0; i < projects->count; i++) {
        struct project *project = projects->items[i];
        if (is_idle(project) && wants_type(project->definition, type)) {
            projects_lock(projects);
            project->wanted = true;
            projects_unlock(projects);
            atomic_store(&projects->news, true);
        }
    }
    return true;
}

/* Looks for types that something waits for. The mutex is held. */
static void look_for_types(struct sp_projects *projects) {
    bool waits = false;
    for (uint32_t i = 0; i < projects->count; i++) {
        waits = waits || is_idle(projects->items[i]);
    }
    uint64_t types = waits ? sp_engine_type_count(projects->options.engine) : 0;
    if (waits && types != projects->types_seen &&
        sp_engine_types(projects->options.engine, note_type, projects) != SP_NO_MEMORY) {
        projects->types_seen = types;
    }
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* The mutex is held. */
static void look_at_grace(struct sp_projects *projects) {
    projects->has_retired = false;
    for (uint32_t i = 0; i < projects->count; i++) {
        struct project *project = projects->items[i];
        bool retired = false;
        for (uint32_t k = 0; k < project->build_count; k++) {
            const struct built *built = &project->builds[k];
            retired = retired || (built->retired_us != 0 && !built->dropping);
        }
        if (retired) {
            projects->has_retired = true;
            projects_plan(projects, project);
        }
    }
}

/* The mutex is held. */
static bool handle_news(struct sp_projects *projects) {
    bool busy = false;
    for (uint32_t i = 0; i < projects->count; i++) {
        projects_collect(projects, projects->items[i]);
        busy = tell(projects, projects->items[i]) == SP_BUSY || busy;
        projects_plan(projects, projects->items[i]);
    }
    look_at_grace(projects);
    return busy;
}

/*
 * Where the log drops its oldest events, what was decided must not go with them: it is told again
 * when it comes to stand in the older half. The mutex is held.
 */
static void tell_again(struct sp_projects *projects, uint64_t head) {
    struct sp_log *log = sp_engine_log(projects->options.engine);
    uint64_t first;
    uint64_t last;
    log->ops->bounds(log, &first, &last);
    uint64_t middle = first + (head > first ? (head - first) / 2 : 0);
    for (uint32_t i = 0; i < projects->count; i++) {
        struct project *project = projects->items[i];
        uint64_t at = project->told_position;
        if (at == 0 || at >= middle || head - at < RETELL_EVENTS) {
            continue;
        }
        sp_status status =
            project_is_there(project)
                ? projects_tell_added(projects, project->definition, !project->is_own, &at, NULL)
                : projects_tell(projects, "projection.removed", project, 0, 0, &at, NULL);
        if (status == SP_OK) {
            project->told_position = at;
        }
    }
}

/* What is done now and then. Returns ms until it is to be done again; -1: no need. */
static int look_around(struct sp_projects *projects) {
    uint64_t head = atomic_load(&projects->head);
    bool grown = head != projects->head_looked;
    if (!grown && !projects->has_retired) {
        return -1;
    }
    uint64_t now_us = projects_now_us(projects);
    bool types_due =
        grown && (projects->head_looked == 0 || now_us - projects->types_us >= TYPES_US);
    bool grace_due = projects->has_retired && now_us - projects->dropped_us >= GRACE_US;
    if (types_due || grace_due) {
        projects_lock(projects);
        if (types_due) {
            look_for_types(projects);
            if (projects->options.retains && projects->options.writable) {
                tell_again(projects, head);
            }
            projects->types_us = now_us;
            projects->head_looked = head;
        }
        if (grace_due) {
            look_at_grace(projects);
            projects->dropped_us = now_us;
        }
        projects_unlock(projects);
    }
    return grown && !types_due     ? TYPES_US / US_PER_MS
           : projects->has_retired ? GRACE_US / US_PER_MS
                                   : -1;
}

int sp_projects_turn(struct sp_projects *projects) {
    look_at_head(projects);
    int wait_ms = look_around(projects);
    if (projects->drops_pending > 0) {
        (void)sp_worker_poll(projects->dropper);
    }
    if (atomic_exchange(&projects->news, false)) {
        projects_lock(projects);
        bool busy = handle_news(projects);
        projects_unlock(projects);
        if (busy) { /* more is on its way to the disk than may be: the next turn tells it */
            atomic_store(&projects->news, true);
            return 1;
        }
    }
    return wait_ms >= 0 || !projects->has_retired ? wait_ms : GRACE_US / US_PER_MS;
}

/* ---- making and ending ----------------------------------------------------------------------- */

/*
 * A build that has seen more than the log has: the log was put back to an earlier day, or lost its
 * end with the power, where it was asked to sync late. Other events will take those positions.
 */
static bool is_ahead(const struct sp_projects *projects, const struct sp_build_state *state) {
    return projects->options.writable &&
           state->position > sp_engine_durable_position(projects->options.engine);
}

static bool note_build(void *context, const struct sp_build_state *state) {
    struct sp_projects *projects = context;
    if (is_ahead(projects, state)) {
        projects->ahead = *state;
        projects->has_ahead = true;
        return false;
    }
    struct project *project = projects_make(projects, sp_str_from(state->name));
    if (project == NULL || project->build_count == PROJECTS_BUILDS_MAX) {
        return project != NULL; /* more than this program makes: the rest is left alone */
    }
    struct built *built = &project->builds[project->build_count++];
    *built = (struct built){.number = state->number,
                            .current = state->current,
                            .failed = state->failed,
                            .retired_us = state->retired_us,
                            .resumes = state->failed && project->told.resumed &&
                                       project->told.failed == state->number,
                            .state = *state};
    memcpy(built->sha256, state->sha256, sizeof(built->sha256));
    if (state->number > project->number_last) {
        project->number_last = state->number;
    }
    if (state->number > project->number_built) {
        project->number_built = state->number;
    }
    project->wanted = project->wanted || !project->removed;
    return true;
}

static sp_status list_shipped(struct sp_projects *projects, struct sp_error *error) {
    sp_status status = SP_OK;
    for (size_t i = 0; i < projects->options.shipped_count && status == SP_OK; i++) {
        const struct sp_projects_shipped *shipped = &projects->options.shipped[i];
        struct project *project = projects_make(projects, shipped->name);
        if (project == NULL) {
            return sp_error_set(error, SP_NO_MEMORY, "projections");
        }
        project->shipped = shipped;
        if (!shipped->on_request) {
            status = sp_definition_parse(shipped->text, &project->definition, error);
        }
    }
    return status;
}

static void init_locks(struct sp_projects *projects) {
    pthread_condattr_t monotonic;
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&projects->mutex, &recursive);
    pthread_mutexattr_destroy(&recursive);
    pthread_mutex_init(&projects->sink_mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&projects->grown, NULL);
    pthread_cond_init(&projects->urgent, &monotonic);
    pthread_cond_init(&projects->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void forget_builds(struct sp_projects *projects) {
    for (uint32_t i = 0; i < projects->count; i++) {
        projects->items[i]->build_count = 0;
    }
}

/* Lists what the sink has, without what is ahead of the log: that is dropped. */
static sp_status list_builds(struct sp_projects *projects, struct sp_error *error) {
    struct sp_sink *sink = projects->options.sink;
    sp_status status = sink->ops->builds(sink, note_build, projects, error);
    for (uint32_t dropped = 0; status == SP_OK && projects->has_ahead; dropped++) {
        const struct sp_build_state *ahead = &projects->ahead;
        projects->has_ahead = false;
        if (dropped == SP_PROJECTS_MAX * PROJECTS_BUILDS_MAX) { /* it comes back every time */
            return sp_error_set(error, SP_IO, "build %llu of %s cannot be dropped",
                                (unsigned long long)ahead->number, ahead->name);
        }
        const struct project *project = projects_make(projects, sp_str_from(ahead->name));
        if (project == NULL) {
            return sp_error_set(error, SP_NO_MEMORY, "projections");
        }
        projects_say(projects, true, project,
                     "build %llu has seen position %llu, which the log does not have: it is made "
                     "anew",
                     (unsigned long long)ahead->number, (unsigned long long)ahead->position);
        forget_builds(projects);
        status = sink->ops->drop(sink, sp_str_from(ahead->name), ahead->number, error);
        status = status == SP_OK ? sink->ops->builds(sink, note_build, projects, error) : status;
    }
    return status;
}

static sp_status open_catalog(struct sp_projects *projects, struct sp_error *error) {
    sp_status status = list_shipped(projects, error);
    status = status == SP_OK ? projects_fold_events(projects, error) : status;
    return status == SP_OK ? list_builds(projects, error) : status;
}

sp_status sp_projects_new(const struct sp_projects_options *options,
                          struct sp_projects **ret_projects, struct sp_error *error) {
    struct sp_projects *projects = calloc(1, sizeof(*projects));
    struct project **items = calloc(SP_PROJECTS_MAX + 1, sizeof(*items));
    struct sp_event *event = calloc(1, sizeof(*event));
    if (projects == NULL || items == NULL || event == NULL) {
        free(projects);
        free(items);
        free(event);
        options->sink->ops->close(options->sink);
        return sp_error_set(error, SP_NO_MEMORY, "projections");
    }
    projects->options = *options;
    projects->items = items;
    projects->event = event;
    sp_buf_init(&projects->text, EVENT_TEXT_BYTES_MAX);
    init_locks(projects);
    sp_status status = open_catalog(projects, error);
    if (status != SP_OK) {
        sp_projects_free(projects);
        return status;
    }
    for (uint32_t i = 0; i < projects->count; i++) {
        projects_forget(projects, projects->items[i]); /* a kill may have come before */
    }
    look_at_head(projects);
    atomic_store(&projects->news, true); /* the first turn plans */
    *ret_projects = projects;
    return SP_OK;
}

static void free_project(struct project *project) {
    runner_free(project->current);
    runner_free(project->next);
    sp_definition_unref(project->definition);
    for (uint32_t i = 0; i < PROJECTS_PAST_MAX; i++) {
        sp_definition_unref(project->past[i]);
    }
    free(project);
}

void sp_projects_free(struct sp_projects *projects) {
    if (projects == NULL) {
        return;
    }
    projects_lock(projects);
    projects->closing = true;
    for (uint32_t i = 0; i < projects->count; i++) {
        struct runner *runners[] = {projects->items[i]->current, projects->items[i]->next};
        for (int k = 0; k < 2; k++) {
            if (runners[k] != NULL) {
                runner_stop_locked(runners[k]);
            }
        }
    }
    pthread_cond_broadcast(&projects->changed);
    projects_unlock(projects);
    sp_worker_free(projects->dropper);
    for (uint32_t i = 0; i < projects->count; i++) {
        free_project(projects->items[i]);
    }
    projects->options.sink->ops->close(projects->options.sink);
    pthread_cond_destroy(&projects->grown);
    pthread_cond_destroy(&projects->urgent);
    pthread_cond_destroy(&projects->changed);
    pthread_mutex_destroy(&projects->mutex);
    pthread_mutex_destroy(&projects->sink_mutex);
    sp_buf_fini(&projects->text);
    free(projects->event);
    free(projects->items);
    free(projects);
}
