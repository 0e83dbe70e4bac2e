/*
 * Routes of projections: what there is, how far it is, changing it.
 *
 *     GET    /v1/projections
 *     PUT    /v1/projections/{projection}          a projection file; none: the one that ships
 *     GET    /v1/projections/{projection}          its status and its text
 *     DELETE /v1/projections/{projection}
 *     GET    /v1/projections/{projection}/status
 *     POST   /v1/projections/{projection}/rebuild
 *     POST   /v1/projections/{projection}/resume
 */
#include "project/projects.h"
#include "server/http.h"
#include "server/http_parts.h"

static enum sp_http_verdict refuse(struct sp_http_request *request, sp_status status,
                                   const struct sp_error *error) {
    switch ((int)status) {
    case SP_NOT_FOUND:
        return sp_http_refuse(request, 404, "no-projection", "%s", error->text);
    case SP_INVALID:
    case SP_UNSUPPORTED:
        return sp_http_refuse(request, 400, "invalid-projection", "%s", error->text);
    default:
        return sp_http_refuse_status(request, status, error);
    }
}

/* Where the server runs none there is nothing to be asked. */
static struct sp_projects *projects_of(struct sp_http_request *request) {
    struct sp_projects *projects = request->server->projects;
    if (projects == NULL) {
        (void)sp_http_refuse(request, 503, "no-projections",
                             "this server runs no projections: the setting projections is off");
    }
    return projects;
}

static sp_str name_of(const struct sp_http_request *request) {
    return sp_http_param(request, "projection");
}

static enum sp_http_verdict reply_status(struct sp_http_request *request, int code, sp_str name) {
    struct sp_buf *to = sp_http_scratch(request);
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_projects_status(request->server->projects, name, to, &error);
    return status == SP_OK ? sp_http_json(request, code, sp_buf_str(to))
                           : refuse(request, status, &error);
}

/* ---- looking --------------------------------------------------------------------------------- */

static enum sp_http_verdict on_list(struct sp_http_request *request) {
    struct sp_projects *projects = projects_of(request);
    if (projects == NULL) {
        return SP_HTTP_DONE;
    }
    struct sp_buf *to = sp_http_scratch(request);
    sp_buf_add_str(to, SP_STR("{\"projections\":["));
    sp_projects_list(projects, to, SP_STR(","));
    sp_buf_add_str(to, SP_STR("]}"));
    return to->status == SP_OK ? sp_http_json(request, 200, sp_buf_str(to))
                               : sp_http_refuse_status(request, to->status, NULL);
}

static enum sp_http_verdict on_status(struct sp_http_request *request) {
    return projects_of(request) == NULL ? SP_HTTP_DONE
                                        : reply_status(request, 200, name_of(request));
}

/* The status with one member more: the file. */
static enum sp_http_verdict on_get(struct sp_http_request *request) {
    struct sp_projects *projects = projects_of(request);
    struct sp_error error;
    if (projects == NULL) {
        return SP_HTTP_DONE;
    }
    struct sp_buf *to = sp_http_scratch(request);
    sp_error_clear(&error);
    sp_status status = sp_projects_show(projects, name_of(request), to, &error);
    return status == SP_OK ? sp_http_json(request, 200, sp_buf_str(to))
                           : refuse(request, status, &error);
}

/* ---- changing -------------------------------------------------------------------------------- */

static enum sp_http_verdict put_text(struct sp_http_request *request, struct sp_projects *projects,
                                     enum sp_projects_outcome *ret_outcome) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status =
        sp_projects_add(projects, request->body, name_of(request), NULL, ret_outcome, &error);
    return status == SP_OK ? SP_HTTP_OPEN : refuse(request, status, &error);
}

static enum sp_http_verdict put_shipped(struct sp_http_request *request,
                                        struct sp_projects *projects,
                                        enum sp_projects_outcome *ret_outcome) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_projects_add_shipped(projects, name_of(request), ret_outcome, &error);
    return status == SP_OK ? SP_HTTP_OPEN : refuse(request, status, &error);
}

static enum sp_http_verdict on_put(struct sp_http_request *request) {
    enum sp_projects_outcome outcome = SP_PROJECTS_UNCHANGED;
    struct sp_projects *projects = projects_of(request);
    if (projects == NULL) {
        return SP_HTTP_DONE;
    }
    enum sp_http_verdict verdict = request->body.len > 0 ? put_text(request, projects, &outcome)
                                                         : put_shipped(request, projects, &outcome);
    if (verdict != SP_HTTP_OPEN) {
        return verdict;
    }
    request->appended = outcome != SP_PROJECTS_UNCHANGED;
    return reply_status(request, outcome == SP_PROJECTS_ADDED ? 201 : 200, name_of(request));
}

static enum sp_http_verdict on_delete(struct sp_http_request *request) {
    struct sp_projects *projects = projects_of(request);
    struct sp_error error;
    if (projects == NULL) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_projects_remove(projects, name_of(request), &error);
    if (status != SP_OK) {
        return refuse(request, status, &error);
    }
    request->appended = true;
    return sp_http_nothing(request);
}

static enum sp_http_verdict on_rebuild(struct sp_http_request *request) {
    struct sp_projects *projects = projects_of(request);
    struct sp_error error;
    uint64_t number = 0;
    if (projects == NULL) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_projects_rebuild(projects, name_of(request), &number, &error);
    if (status != SP_OK) {
        return refuse(request, status, &error);
    }
    request->appended = true;
    return reply_status(request, 202, name_of(request));
}

static enum sp_http_verdict on_resume(struct sp_http_request *request) {
    struct sp_projects *projects = projects_of(request);
    struct sp_error error;
    if (projects == NULL) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_projects_resume(projects, name_of(request), &error);
    if (status != SP_OK) {
        return refuse(request, status, &error);
    }
    request->appended = true;
    return reply_status(request, 202, name_of(request));
}

const struct sp_http_route sp_http_projection_routes[] = {
    {SP_HTTP_GET, "/v1/projections", SP_HTTP_READ, on_list},
    {SP_HTTP_PUT, "/v1/projections/{projection}", SP_HTTP_WRITE, on_put},
    {SP_HTTP_GET, "/v1/projections/{projection}", SP_HTTP_READ, on_get},
    {SP_HTTP_DELETE, "/v1/projections/{projection}", SP_HTTP_WRITE, on_delete},
    {SP_HTTP_GET, "/v1/projections/{projection}/status", SP_HTTP_READ, on_status},
    {SP_HTTP_POST, "/v1/projections/{projection}/rebuild", SP_HTTP_WRITE, on_rebuild},
    {SP_HTTP_POST, "/v1/projections/{projection}/resume", SP_HTTP_WRITE, on_resume},
    {.path = NULL},
};
