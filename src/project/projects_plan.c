/*
 * What follows from the catalog and the builds: which are started, stopped and dropped.
 */
#include <stdlib.h>

#include "project/projects_int.h"

enum { US_PER_MS = 1000 };

/* ---- dropping -------------------------------------------------------------------------------- */

struct drop {
    struct sp_job job; /* first */
    struct sp_projects *projects;
    struct project *project;
    uint64_t number;
    struct sp_error error;
};

static void do_drop(struct sp_job *job) {
    struct drop *drop = (struct drop *)(void *)job;
    struct sp_projects *projects = drop->projects;
    struct sp_sink *sink = projects->options.sink;
    pthread_mutex_lock(&projects->sink_mutex);
    drop->error.status =
        sink->ops->drop(sink, sp_str_from(drop->project->name), drop->number, &drop->error);
    pthread_mutex_unlock(&projects->sink_mutex);
}

static void forget_build(struct project *project, uint64_t number) {
    for (uint32_t i = 0; i < project->build_count; i++) {
        if (project->builds[i].number == number) {
            project->builds[i] = project->builds[--project->build_count];
            return;
        }
    }
}

/* What could not be dropped now is found again when the store is opened. */
static void finish_drop(struct sp_job *job) {
    struct drop *drop = (struct drop *)(void *)job;
    struct sp_projects *projects = drop->projects;
    if (drop->error.status != SP_OK) {
        projects_say(projects, true, drop->project, "build %llu could not be dropped: %s",
                     (unsigned long long)drop->number, drop->error.text);
    }
    projects_lock(projects);
    forget_build(drop->project, drop->number);
    projects_unlock(projects);
    projects->drops_pending--;
    atomic_store(&projects->news, true);
    free(drop);
}

static bool have_dropper(struct sp_projects *projects) {
    const struct sp_worker_options options = {
        .name = "projections",
        .inline_jobs = !projects->options.threads,
        .idle_io = true,
        .wake = projects->options.wake,
        .wake_context = projects->options.wake_context,
    };
    if (projects->dropper == NULL) {
        projects->dropper = sp_worker_new(&options, NULL);
    }
    return projects->dropper != NULL;
}

/* Files may be large, and a server far: not on the loop. */
static void drop_build(struct sp_projects *projects, struct project *project, struct built *built) {
    struct drop *drop =
        built->dropping || !have_dropper(projects) ? NULL : calloc(1, sizeof(*drop));
    if (drop == NULL) {
        return; /* a later turn tries again */
    }
    *drop = (struct drop){.job = {.work = do_drop, .done = finish_drop},
                          .projects = projects,
                          .project = project,
                          .number = built->number};
    built->dropping = true;
    projects->drops_pending++;
    sp_worker_submit(projects->dropper, &drop->job);
    if (!projects->options.threads) {
        (void)sp_worker_run(projects->dropper);
        (void)sp_worker_poll(projects->dropper);
    }
}

/* ---- planning: what follows from the catalog and the builds ---------------------------------- */

static void say_start_failed(struct sp_projects *projects, const struct project *project,
                             const struct sp_error *error) {
    projects_say(projects, true, project, "cannot run: %s", error->text);
}

static void note_number(struct project *project, uint64_t number) {
    project->number_last = number > project->number_last ? number : project->number_last;
    project->number_built = number > project->number_built ? number : project->number_built;
}

static struct runner *start(struct sp_projects *projects, struct project *project,
                            struct sp_definition *definition, uint64_t number, bool as_next,
                            bool resumes) {
    struct sp_error error;
    sp_error_clear(&error);
    if (project_build(project, number) == NULL && project->build_count == PROJECTS_BUILDS_MAX) {
        return NULL; /* when one of them is dropped */
    }
    struct runner *runner = runner_start(projects, project, definition, number, resumes, &error);
    if (runner == NULL) {
        say_start_failed(projects, project, &error);
        return NULL;
    }
    note_number(project, number);
    projects_lock(projects);
    struct built *built = project_build(project, number);
    if (built != NULL) {
        built->resumes = false;
    }
    *(as_next ? &project->next : &project->current) = runner;
    projects_unlock(projects);
    runner_launch(runner);
    return runner;
}

/* A build of what is to run that was not finished; NULL: a new one is to be begun. */
static struct built *find_unfinished(struct project *project) {
    for (uint32_t i = 0; i < project->build_count; i++) {
        struct built *built = &project->builds[i];
        if (!built->current && built->retired_us == 0 && !built->dropping &&
            built->number >= project->requested &&
            memcmp(built->sha256, project->definition->sha256, sizeof(built->sha256)) == 0) {
            return built;
        }
    }
    return NULL;
}

/* A number that was asked for may be the greatest that was given, and have no build yet. */
static uint64_t new_number(const struct project *project) {
    return project->number_built < project->requested ? project->requested
                                                      : project->number_last + 1;
}

/* A new build is refused where the same text was, until somebody asks again. */
static bool is_refused(const struct project *project) {
    return project->refused && memcmp(project->refused_sha256, project->definition->sha256,
                                      sizeof(project->refused_sha256)) == 0;
}

static bool is_of_now(const struct project *project, const struct built *built) {
    return built->number >= project->requested &&
           memcmp(built->sha256, project->definition->sha256, sizeof(built->sha256)) == 0;
}

/* Builds that nobody needs: neither current, nor in the making, nor in their grace. */
static void drop_others(struct sp_projects *projects, struct project *project) {
    uint64_t now_us = projects_wall_us(projects);
    uint64_t grace_us = projects->options.grace_ms * US_PER_MS;
    for (uint32_t i = project->build_count; i > 0; i--) {
        struct built *built = &project->builds[i - 1];
        bool runs = (project->current != NULL && project->current->number == built->number) ||
                    (project->next != NULL && project->next->number == built->number);
        bool kept = !project->removed &&
                    (built->current ||
                     (built->retired_us == 0 ? is_of_now(project, built)
                                             : built->retired_us + grace_us > now_us &&
                                                   project->build_count < PROJECTS_BUILDS_MAX));
        if (!runs && !kept) {
            drop_build(projects, project, built);
        }
    }
}

static void plan_current(struct sp_projects *projects, struct project *project,
                         struct built *built) {
    if (project->current != NULL) {
        return;
    }
    struct sp_definition *definition = projects_definition_of(project, built->sha256);
    bool resumes = built->failed && built->resumes;
    if (definition != NULL && (!built->failed || resumes)) {
        (void)start(projects, project, definition, built->number, false, resumes);
    }
}

/* The build that is to become the current one, or the very first. */
static void plan_new(struct sp_projects *projects, struct project *project, bool as_next) {
    struct built *unfinished = find_unfinished(project);
    if (is_refused(project)) {
        return;
    }
    bool resumes = unfinished != NULL && unfinished->failed && unfinished->resumes;
    if (unfinished == NULL || !unfinished->failed || resumes) {
        uint64_t number = unfinished != NULL ? unfinished->number : new_number(project);
        (void)start(projects, project, project->definition, number, as_next, resumes);
    }
}

static void stop(struct sp_projects *projects, struct runner *runner) {
    if (runner != NULL) {
        projects_lock(projects);
        runner_stop_locked(runner);
        projects_unlock(projects);
    }
}

static void plan_removed(struct sp_projects *projects, struct project *project) {
    stop(projects, project->current);
    stop(projects, project->next);
    if (!projects->options.threads) {
        projects_lock(projects);
        struct runner *current = project->current;
        struct runner *next = project->next;
        project->current = NULL;
        project->next = NULL;
        projects_unlock(projects);
        runner_free(current);
        runner_free(next);
    }
    drop_others(projects, project);
}

static void plan(struct sp_projects *projects, struct project *project) {
    if (projects->options.sink_read_only || project->handing_over) {
        return;
    }
    if (!project_is_there(project)) {
        plan_removed(projects, project);
        return;
    }
    struct built *built = project_current(project);
    if (built == NULL) {
        if (project->current == NULL && (project->wanted || project->added)) {
            plan_new(projects, project, false);
        } else if (project->current != NULL && !project->current->is_current &&
                   (project->current->definition != project->definition ||
                    project->current->number < project->requested)) {
            stop(projects, project->current); /* it was not built yet, and is another by now */
        }
    } else if (is_of_now(project, built)) {
        stop(projects, project->next);
        plan_current(projects, project, built);
    } else {
        struct runner *next = project->next;
        if (next != NULL && !next->is_current &&
            (next->definition != project->definition || next->number < project->requested)) {
            stop(projects, next);
        } else if (next == NULL) {
            plan_new(projects, project, true);
        }
        plan_current(projects, project, built);
    }
    drop_others(projects, project);
}

void projects_plan(struct sp_projects *projects, struct project *project) {
    projects_lock(projects);
    plan(projects, project);
    projects_unlock(projects);
}
