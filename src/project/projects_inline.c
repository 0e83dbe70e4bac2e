/*
 * Projections without threads: everything happens within one call, up to where the log ends now.
 */
#include <stdlib.h>

#include "engine/engine.h"
#include "project/projects_int.h"

enum { SLICE_EVENTS = 1 << 17 /* looked at between two reports */ };

struct catching {
    struct sp_projects *projects;
    uint64_t head;
    sp_projects_progress_fn *progress;
    void *context;
};

static bool report(const struct catching *catching, const struct runner *runner) {
    const struct sp_projects_progress progress = {.name = sp_str_from(runner->project->name),
                                                  .position = runner->position,
                                                  .head = catching->head};
    return catching->progress == NULL || catching->progress(catching->context, &progress);
}

static sp_status fail_of(const struct runner *runner, struct sp_error *error) {
    const struct sp_build_state *state = &runner->state;
    return sp_error_set(error, SP_FAILED, "projection '%s' stops at event %llu: %s",
                        runner->project->name, (unsigned long long)state->failed_position,
                        state->failed_text);
}

/* Slice by slice, so that there is something to report. */
static sp_status fold_to_head(const struct catching *catching, struct runner *runner,
                              struct sp_error *error) {
    enum sp_fold_end end = SP_FOLD_UNTIL;
    sp_status status = SP_OK;
    while (status == SP_OK && end == SP_FOLD_UNTIL && runner->position < catching->head) {
        uint64_t left = catching->head - runner->position;
        uint64_t until = runner->position + (left < SLICE_EVENTS ? left : SLICE_EVENTS);
        status = runner_fold_inline(runner, until, &end, error);
        if (status == SP_OK && end == SP_FOLD_FAILED) {
            return fail_of(runner, error);
        }
        if (status == SP_OK && !report(catching, runner)) {
            return sp_error_set(error, SP_CANCELLED, "interrupted");
        }
    }
    return status == SP_OK ? runner_finish_inline(runner, error) : status;
}

static sp_status run(const struct catching *catching, struct runner *runner,
                     struct sp_error *error) {
    sp_status status = runner_open_inline(runner, error);
    if (status == SP_OK && runner->state.failed) {
        return fail_of(runner, error);
    }
    return status == SP_OK ? fold_to_head(catching, runner, error) : status;
}

/* The build that has taken over is the current one, and the one before is let go. */
static void settle(struct sp_projects *projects, struct project *project) {
    struct runner *over = NULL;
    projects_lock(projects);
    if (project->next != NULL && project->next->is_current) {
        over = project->current;
        project->current = project->next;
        project->next = NULL;
    }
    projects_unlock(projects);
    runner_free(over);
}

/* It is not kept for another try within the process: the next call begins anew. */
static void let_go(struct sp_projects *projects, struct project *project, struct runner *runner) {
    projects_lock(projects);
    project->current = project->current == runner ? NULL : project->current;
    project->next = project->next == runner ? NULL : project->next;
    projects_unlock(projects);
    runner_free(runner);
}

/*
 * What was told to stop, because another definition or a later request has taken its place, ends
 * itself where it has a thread. Here it is let go, and what is to run instead begins.
 */
static void let_stopped_go(struct sp_projects *projects, struct project *project) {
    struct runner *const runners[] = {project->next, project->current};
    bool gone = false;
    for (size_t i = 0; i < sizeof(runners) / sizeof(runners[0]); i++) {
        if (runners[i] != NULL && atomic_load(&runners[i]->stop)) {
            let_go(projects, project, runners[i]);
            gone = true;
        }
    }
    if (gone) {
        projects_plan(projects, project);
    }
}

static sp_status catch_up(const struct catching *catching, struct project *project,
                          struct sp_error *error) {
    struct sp_projects *projects = catching->projects;
    sp_status status = SP_OK;
    projects_plan(projects, project);
    let_stopped_go(projects, project);
    if (project->next != NULL) {
        status = run(catching, project->next, error);
        if (status != SP_OK) {
            let_go(projects, project, project->next);
        }
        settle(projects, project);
    }
    if (project->current != NULL && (status == SP_OK || status == SP_FAILED)) {
        struct sp_error ignored;
        sp_error_clear(&ignored);
        sp_status other = run(catching, project->current, status == SP_OK ? error : &ignored);
        if (other != SP_OK) {
            let_go(projects, project, project->current);
        }
        status = status == SP_OK ? other : status;
    } else if (project->current == NULL && status == SP_OK) {
        const struct built *built = project_current(project);
        if (built != NULL && built->failed) {
            status = sp_error_set(error, SP_FAILED, "projection '%s' has stopped at event %llu: %s",
                                  project->name, (unsigned long long)built->state.failed_position,
                                  built->state.failed_text);
        }
    }
    atomic_store(&projects->news, true);
    (void)sp_projects_turn(projects);
    return status;
}

/* Looks at the log as it is: what has become wanted starts with this. */
static void look_around(struct sp_projects *projects) {
    (void)sp_projects_turn(projects);
    (void)sp_projects_turn(projects);
}

sp_status sp_projects_catch_up(struct sp_projects *projects, sp_str name,
                               sp_projects_progress_fn *progress, void *context,
                               struct sp_error *error) {
    sp_require(!projects->options.threads);
    const struct catching catching = {
        .projects = projects,
        .head = sp_engine_durable_position(projects->options.engine),
        .progress = progress,
        .context = context,
    };
    struct project *project = NULL;
    if (name.ptr != NULL) {
        sp_status status = projects_find_there(projects, name, &project, error);
        if (status == SP_OK && !projects->options.sink_read_only) {
            project->wanted = true;
            look_around(projects);
            status = catch_up(&catching, project, error);
        }
        return status;
    }
    if (projects->options.sink_read_only) {
        return SP_OK;
    }
    look_around(projects);
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < projects->count && (status == SP_OK || status == SP_FAILED); i++) {
        struct sp_error *to = status == SP_OK ? error : NULL; /* the first failure is told */
        sp_status one = catch_up(&catching, projects->items[i], to);
        status = status == SP_OK || (one != SP_OK && one != SP_FAILED) ? one : status;
    }
    return status;
}
