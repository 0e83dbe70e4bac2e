/*
 * SPOOR.PROJECTION: what the routes of projections are over HTTP (http_projections.c). loop-thread
 *
 *     SPOOR.PROJECTION LIST
 *     SPOOR.PROJECTION STATUS name
 *     SPOOR.PROJECTION GET name
 *     SPOOR.PROJECTION ADD text | SHIPPED name
 *     SPOOR.PROJECTION DROP name
 *     SPOOR.PROJECTION REBUILD name
 *     SPOOR.PROJECTION RESUME name
 *
 * What tells of a projection is its status, as JSON; a list is one such object a line.
 */
#include "project/projects.h"
#include "server/handlers.h"
#include "server/server.h"

static struct sp_projects *projects_of(struct sp_request *request) {
    struct sp_projects *projects = request->server->projects;
    if (projects == NULL) {
        (void)sp_reply_error(request,
                             "this server runs no projections: the setting projections is off");
    }
    return projects;
}

typedef sp_status tell_fn(struct sp_projects *projects, sp_str name, struct sp_buf *to,
                          struct sp_error *error);

static enum sp_verdict reply_with(struct sp_request *request, tell_fn *tell, sp_str name) {
    struct sp_error error;
    sp_error_clear(&error);
    struct sp_resp_open open = sp_resp_open_bulk(request->reply, 1024);
    sp_status status = tell(request->server->projects, name, request->reply->to, &error);
    if (status != SP_OK) {
        sp_resp_drop(request->reply, open);
        return sp_reply_own_status(request, status, &error);
    }
    sp_resp_close_bulk(request->reply, open);
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_projection_list(struct sp_request *request) {
    struct sp_projects *projects = projects_of(request);
    if (projects != NULL) {
        struct sp_resp_open open = sp_resp_open_bulk(request->reply, 8192);
        sp_projects_list(projects, request->reply->to, SP_STR("\n"));
        sp_resp_close_bulk(request->reply, open);
    }
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_projection_status(struct sp_request *request) {
    return projects_of(request) == NULL ? SP_DONE
                                        : reply_with(request, sp_projects_status, request->args[2]);
}

enum sp_verdict sp_on_spoor_projection_get(struct sp_request *request) {
    return projects_of(request) == NULL ? SP_DONE
                                        : reply_with(request, sp_projects_show, request->args[2]);
}

enum sp_verdict sp_on_spoor_projection_add(struct sp_request *request) {
    struct sp_projects *projects = projects_of(request);
    char name[SP_PROJECTS_NAME_BYTES_MAX + 1];
    enum sp_projects_outcome outcome;
    struct sp_error error;
    if (projects == NULL) {
        return SP_DONE;
    }
    const sp_str any = {.ptr = NULL};
    sp_error_clear(&error);
    sp_status status = sp_projects_add(projects, request->args[2], any, name, &outcome, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = outcome != SP_PROJECTS_UNCHANGED;
    return reply_with(request, sp_projects_status, sp_str_from(name));
}

enum sp_verdict sp_on_spoor_projection_shipped(struct sp_request *request) {
    struct sp_projects *projects = projects_of(request);
    enum sp_projects_outcome outcome;
    struct sp_error error;
    if (projects == NULL) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_projects_add_shipped(projects, request->args[2], &outcome, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = outcome != SP_PROJECTS_UNCHANGED;
    return reply_with(request, sp_projects_status, request->args[2]);
}

enum sp_verdict sp_on_spoor_projection_drop(struct sp_request *request) {
    struct sp_projects *projects = projects_of(request);
    struct sp_error error;
    if (projects == NULL) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_projects_remove(projects, request->args[2], &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = true;
    sp_resp_ok(request->reply);
    return SP_DONE;
}

static sp_status rebuild(struct sp_projects *projects, sp_str name, struct sp_error *error) {
    uint64_t number;
    return sp_projects_rebuild(projects, name, &number, error);
}

static enum sp_verdict change(struct sp_request *request,
                              sp_status (*how)(struct sp_projects *projects, sp_str name,
                                               struct sp_error *error)) {
    struct sp_projects *projects = projects_of(request);
    struct sp_error error;
    if (projects == NULL) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = how(projects, request->args[2], &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = true;
    return reply_with(request, sp_projects_status, request->args[2]);
}

enum sp_verdict sp_on_spoor_projection_rebuild(struct sp_request *request) {
    return change(request, rebuild);
}

enum sp_verdict sp_on_spoor_projection_resume(struct sp_request *request) {
    return change(request, sp_projects_resume);
}
