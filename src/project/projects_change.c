/*
 * What people ask of projections: adding, removing, building anew, going on.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "project/projects_int.h"
#include "project/sqlite.h"

static sp_status check_writable(const struct sp_projects *projects, struct sp_error *error) {
    if (!projects->options.writable) {
        return sp_error_set(error, SP_DENIED, "the store is open for reading only");
    }
    if (projects->options.sink_read_only) {
        return sp_error_set(error, SP_DENIED,
                            "another process fills the read models of this store");
    }
    return SP_OK;
}

/* ---- adding ---------------------------------------------------------------------------------- */

/* Whether the statements make sense, before anybody is told that they do. */
static sp_status try_out(const struct sp_projects *projects, struct sp_definition *definition,
                         struct sp_error *error) {
    struct sp_build *build = NULL;
    if (!projects->options.tries_out) {
        return SP_OK;
    }
    sp_status status =
        sp_sqlite_scratch_new(definition, projects->options.clock, NULL, &build, error);
    if (status == SP_OK) {
        build->ops->close(build);
    }
    return status;
}

static bool is_same(const struct project *project, const struct sp_definition *definition,
                    bool shipped) {
    return project != NULL && !project->removed && project->added && project->definition != NULL &&
           project->is_own == !shipped &&
           memcmp(project->definition->sha256, definition->sha256, sizeof(definition->sha256)) == 0;
}

/* Appends the event and does what it says. The definition is taken over. */
static sp_status add(struct sp_projects *projects, struct sp_definition *definition, bool shipped,
                     enum sp_projects_outcome *ret_outcome, struct sp_error *error) {
    struct project *project = projects_find(projects, sp_str_from(definition->name));
    *ret_outcome = SP_PROJECTS_UNCHANGED;
    if (is_same(project, definition, shipped)) {
        sp_definition_unref(definition);
        return SP_OK;
    }
    bool was_there = project != NULL && !project->removed && project->definition != NULL;
    project = projects_make(projects, sp_str_from(definition->name));
    sp_status status = SP_OK;
    if (project == NULL) {
        status = sp_error_set(error, SP_LIMIT, "there are %d projections, the most that can be",
                              SP_PROJECTS_MAX);
    }
    uint64_t position = 0;
    status = status == SP_OK ? projects_tell_added(projects, definition, shipped, &position, error)
                             : status;
    if (status != SP_OK) {
        sp_definition_unref(definition);
        return status;
    }
    projects_lock(projects);
    projects_define(project, definition);
    project->is_own = !shipped;
    project->added = true;
    project->removed = false;
    project->told_position = position;
    projects_unlock(projects);
    projects_forget(projects, project);
    *ret_outcome = was_there ? SP_PROJECTS_REPLACED : SP_PROJECTS_ADDED;
    projects_say(projects, false, project, "version %llu is %s",
                 (unsigned long long)project->definition->version,
                 was_there ? "replaced" : "added");
    projects_plan(projects, project);
    return SP_OK;
}

sp_status sp_projects_add(struct sp_projects *projects, sp_str text, sp_str name, char *ret_name,
                          enum sp_projects_outcome *ret_outcome, struct sp_error *error) {
    struct sp_definition *definition = NULL;
    sp_status status = check_writable(projects, error);
    if (status == SP_OK && !sp_utf8_valid(text)) {
        status = sp_error_set(error, SP_INVALID, "a projection file is UTF-8, and this is not");
    }
    status = status == SP_OK ? sp_definition_parse(text, &definition, error) : status;
    if (status != SP_OK) {
        return status;
    }
    if (name.ptr != NULL && !sp_str_eq(name, sp_str_from(definition->name))) {
        status = sp_error_set(error, SP_INVALID, "the file is of the projection '%s', not '%.*s'",
                              definition->name, name.len < 64 ? (int)name.len : 64, name.ptr);
        sp_definition_unref(definition);
        return status;
    }
    if (ret_name != NULL) {
        (void)snprintf(ret_name, SP_PROJECTS_NAME_BYTES_MAX + 1, "%s", definition->name);
    }
    if (!is_same(projects_find(projects, sp_str_from(definition->name)), definition, false)) {
        status = try_out(projects, definition, error);
    }
    if (status != SP_OK) {
        sp_definition_unref(definition);
        return status;
    }
    return add(projects, definition, false, ret_outcome, error);
}

sp_status sp_projects_add_shipped(struct sp_projects *projects, sp_str name,
                                  enum sp_projects_outcome *ret_outcome, struct sp_error *error) {
    struct project *project = projects_find(projects, name);
    struct sp_definition *definition = NULL;
    sp_status status = check_writable(projects, error);
    if (status == SP_OK && (project == NULL || project->shipped == NULL)) {
        status = sp_error_set(error, SP_NOT_FOUND, "this program ships no projection '%.*s'",
                              name.len < 64 ? (int)name.len : 64, name.len > 0 ? name.ptr : "");
    }
    status =
        status == SP_OK ? sp_definition_parse(project->shipped->text, &definition, error) : status;
    return status == SP_OK ? add(projects, definition, true, ret_outcome, error) : status;
}

/* ---- removing -------------------------------------------------------------------------------- */

sp_status sp_projects_remove(struct sp_projects *projects, sp_str name, struct sp_error *error) {
    struct project *project = NULL;
    uint64_t position = 0;
    sp_status status = check_writable(projects, error);
    status = status == SP_OK ? projects_find_there(projects, name, &project, error) : status;
    status = status == SP_OK
                 ? projects_tell(projects, "projection.removed", project, 0, 0, &position, error)
                 : status;
    if (status != SP_OK) {
        return status;
    }
    projects_lock(projects);
    project->removed = true;
    project->told_position = position;
    project->added = false;
    project->wanted = false;
    project->requested = 0;
    project->refused = false;
    pthread_cond_broadcast(&projects->changed);
    projects_unlock(projects);
    projects_forget(projects, project);
    projects_say(projects, false, project, "removed");
    projects_plan(projects, project);
    return SP_OK;
}

/* ---- building anew --------------------------------------------------------------------------- */

sp_status sp_projects_rebuild(struct sp_projects *projects, sp_str name, uint64_t *ret_number,
                              struct sp_error *error) {
    struct project *project = NULL;
    sp_status status = check_writable(projects, error);
    status = status == SP_OK ? projects_find_there(projects, name, &project, error) : status;
    if (status != SP_OK) {
        return status;
    }
    uint64_t number = project->number_last + 1;
    status =
        projects_tell(projects, "projection.rebuild_requested", project, number, 0, NULL, error);
    if (status != SP_OK) {
        return status;
    }
    projects_lock(projects);
    project->requested = number;
    project->number_last = number;
    project->wanted = true;
    project->refused = false;
    projects_unlock(projects);
    if (projects->options.travel != NULL) { /* copies of what somebody has reason not to trust */
        sp_travel_forget(projects->options.travel, sp_str_from(project->name), NULL);
    }
    projects_say(projects, false, project, "is built anew as %llu", (unsigned long long)number);
    projects_plan(projects, project);
    *ret_number = number;
    return SP_OK;
}

/* The build that stopped: the one that queries see before the one in the making. */
static struct built *find_failed(struct project *project) {
    struct built *found = NULL;
    for (uint32_t i = 0; i < project->build_count; i++) {
        struct built *built = &project->builds[i];
        if (built->failed && built->retired_us == 0 && !built->dropping &&
            (found == NULL || built->current)) {
            found = built;
        }
    }
    return found;
}

sp_status sp_projects_resume(struct sp_projects *projects, sp_str name, struct sp_error *error) {
    struct project *project = NULL;
    sp_status status = check_writable(projects, error);
    status = status == SP_OK ? projects_find_there(projects, name, &project, error) : status;
    if (status != SP_OK) {
        return status;
    }
    projects_lock(projects);
    struct built *failed = find_failed(project);
    status =
        failed != NULL || project->refused
            ? projects_tell(projects, "projection.resumed", project,
                            failed != NULL ? failed->number : 0, 0, NULL, error)
            : sp_error_set(error, SP_CONFLICT, "projection '%s' has not failed", project->name);
    if (status != SP_OK) {
        projects_unlock(projects);
        return status;
    }
    project->refused = false;
    if (failed != NULL) {
        project->told.failed = failed->number;
        project->told.resumed = true;
        failed->resumes = true;
    }
    projects_unlock(projects);
    atomic_store(&projects->news, true); /* its thread may not have ended yet */
    projects_say(projects, false, project, "is resumed");
    projects_plan(projects, project);
    return SP_OK;
}
