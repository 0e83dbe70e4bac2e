/*
 * Routes of sagas, approvals, joins, schedules and timers: what can be asked of them is the desk's
 * to say (api/desk.h). The path names what it is about, parameters of the query and members of a
 * JSON body are its options; a definition is the body itself, JSON or YAML.
 *
 *     PUT/GET/DELETE /v1/saga-definitions/{name}     GET  /v1/saga-definitions
 *     POST/GET       /v1/sagas                       GET  /v1/sagas/{id}
 *     POST /v1/sagas/{id}/approve|reject|cancel|retry|skip|done|compensate|resume|fork
 *     GET            /v1/approvals                   GET  /v1/approvals/{id}
 *     POST /v1/approvals/{id}/approve|reject|decide
 *     PUT/GET/DELETE /v1/joins/{name}, /v1/schedules/{name}
 *     GET            /v1/joins, /v1/schedules, /v1/timers
 *     DELETE         /v1/timers/{id}
 */
#include <stdio.h>
#include <string.h>

#include "api/desk.h"
#include "base/json.h"
#include "server/http.h"
#include "server/http_parts.h"
#include "server/http_sagas.h"

/* method, path, flags, desk, verb: which becomes a route and what it asks. */
#define ROUTES(X)                                                                                  \
    X(PUT, "/v1/saga-definitions/{name}", WRITE, "saga", "define")                                 \
    X(GET, "/v1/saga-definitions", READ, "saga", "definitions")                                    \
    X(GET, "/v1/saga-definitions/{name}", READ, "saga", "definition")                              \
    X(DELETE, "/v1/saga-definitions/{name}", WRITE, "saga", "rm")                                  \
    X(POST, "/v1/sagas", WRITE, "saga", "start")                                                   \
    X(GET, "/v1/sagas", READ, "saga", "ls")                                                        \
    X(GET, "/v1/sagas/{id}", READ, "saga", "show")                                                 \
    X(GET, "/v1/sagas/{id}/story", READ, "saga", "story")                                          \
    X(POST, "/v1/sagas/{id}/approve", WRITE, "saga", "approve")                                    \
    X(POST, "/v1/sagas/{id}/reject", WRITE, "saga", "reject")                                      \
    X(POST, "/v1/sagas/{id}/cancel", WRITE, "saga", "cancel")                                      \
    X(POST, "/v1/sagas/{id}/retry", WRITE, "saga", "retry")                                        \
    X(POST, "/v1/sagas/{id}/skip", WRITE, "saga", "skip")                                          \
    X(POST, "/v1/sagas/{id}/done", WRITE, "saga", "done")                                          \
    X(POST, "/v1/sagas/{id}/compensate", WRITE, "saga", "compensate")                              \
    X(POST, "/v1/sagas/{id}/resume", READ_WRITE, "saga", "resume")                                 \
    X(POST, "/v1/sagas/{id}/fork", READ_WRITE, "saga", "fork")                                     \
    X(GET, "/v1/approvals", READ, "approval", "ls")                                                \
    X(GET, "/v1/approvals/{id}", READ, "approval", "show")                                         \
    X(POST, "/v1/approvals/{id}/approve", WRITE, "approval", "approve")                            \
    X(POST, "/v1/approvals/{id}/reject", WRITE, "approval", "reject")                              \
    X(POST, "/v1/approvals/{id}/decide", WRITE, "approval", "decide")                              \
    X(PUT, "/v1/joins/{name}", WRITE, "join", "add")                                               \
    X(GET, "/v1/joins", READ, "join", "ls")                                                        \
    X(GET, "/v1/joins/{name}", READ, "join", "show")                                               \
    X(DELETE, "/v1/joins/{name}", WRITE, "join", "rm")                                             \
    X(PUT, "/v1/schedules/{name}", WRITE, "schedule", "add")                                       \
    X(GET, "/v1/schedules", READ, "schedule", "ls")                                                \
    X(GET, "/v1/schedules/{name}", READ, "schedule", "show")                                       \
    X(DELETE, "/v1/schedules/{name}", WRITE, "schedule", "rm")                                     \
    X(GET, "/v1/timers", READ, "timer", "ls")                                                      \
    X(DELETE, "/v1/timers/{id}", WRITE, "timer", "cancel")

static const struct {
    const char *desk;
    const char *verb;
} ASKED[] = {
#define ASK(method, path, flags, desk, verb) {desk, verb},
    ROUTES(ASK)
#undef ASK
};

/* ---- reading --------------------------------------------------------------------------------- */

/* A member of the body: JSON where JSON is expected, else a text, or a number as it is written. */
static sp_status take_member(struct sp_json *json, struct sp_json_token key, struct sp_buf *text,
                             struct sp_desk_request *asked, struct sp_error *error) {
    struct sp_json_token value = sp_json_next(json);
    if (value.type == SP_JSON_ERROR) {
        return sp_json_fail(json, error);
    }
    size_t at = text->len;
    sp_json_unescape(text, key.raw);
    sp_str name = sp_str_of(text->data + at, text->len - at);
    if (sp_desk_takes_json(asked->verb, name)) {
        return sp_desk_set(asked, name, sp_json_skip(json, value), error);
    }
    if (value.type == SP_JSON_NULL) {
        return SP_OK; /* as if it were not there */
    }
    if (value.type == SP_JSON_NUMBER) {
        return sp_desk_set(asked, name, value.raw, error);
    }
    if (value.type != SP_JSON_STRING) {
        return sp_error_set(error, SP_INVALID, "member %.*s: expected a string, found %s",
                            name.len > 64 ? 64 : (int)name.len, name.len > 0 ? name.ptr : "",
                            sp_json_type_name(value.type));
    }
    at = text->len;
    sp_json_unescape(text, value.raw);
    return sp_desk_set(asked, name, sp_str_of(text->data + at, text->len - at), error);
}

/* `text` has room for all of it, so that it does not move. */
static sp_status read_body(sp_str body, struct sp_buf *text, struct sp_desk_request *asked,
                           struct sp_error *error) {
    struct sp_json json;
    if (sp_buf_reserve(text, body.len + 1) == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "body");
    }
    sp_json_init(&json, body);
    struct sp_json_token token = sp_json_next(&json);
    if (token.type != SP_JSON_OBJECT) {
        return token.type == SP_JSON_ERROR
                   ? sp_json_fail(&json, error)
                   : sp_error_set(error, SP_INVALID, "body: expected an object, found %s",
                                  sp_json_type_name(token.type));
    }
    sp_status status = SP_OK;
    for (token = sp_json_next(&json); token.type == SP_JSON_KEY && status == SP_OK;
         token = sp_json_next(&json)) {
        status = take_member(&json, token, text, asked, error);
    }
    if (status == SP_OK &&
        (token.type != SP_JSON_OBJECT_END || sp_json_next(&json).type != SP_JSON_END)) {
        return sp_json_fail(&json, error);
    }
    return status;
}

/*
 * What the path names is the subject, or, where the body is a definition, the name it must have.
 */
static sp_status read_request(struct sp_http_request *request, struct sp_buf *text,
                              struct sp_desk_request *asked, struct sp_error *error) {
    bool is_text = sp_desk_takes_text(asked->verb);
    bool is_named = strchr(request->route->path, '{') != NULL;
    sp_status status = SP_OK;
    if (is_named && !is_text) {
        asked->subject = request->params[0];
    } else if (is_named) {
        status = sp_desk_set(asked, SP_STR("name"), request->params[0], error);
    }
    for (uint32_t i = 0; i < request->query_count && status == SP_OK; i++) {
        status = sp_desk_set(asked, request->query[i].name, request->query[i].value, error);
    }
    if (status == SP_OK && is_text) {
        asked->subject = request->body;
    } else if (status == SP_OK && request->body.len > 0) {
        status = read_body(request->body, text, asked, error);
    }
    return status == SP_OK ? sp_desk_check(asked, error) : status;
}

/* ---- answering ------------------------------------------------------------------------------- */

static enum sp_http_verdict refuse(struct sp_http_request *request,
                                   const struct sp_desk_request *asked,
                                   const struct sp_desk_answer *answer, sp_status status,
                                   const struct sp_error *error) {
    char type[64];
    bool with_member = answer != NULL && answer->member_name != NULL;
    bool of_text = sp_desk_takes_text(asked->verb);
    int code = sp_http_status_of(status);
    switch ((int)status) {
    case SP_INVALID:
        (void)snprintf(type, sizeof(type), of_text ? "invalid-definition" : "invalid-request");
        code = of_text && with_member ? 422 : 400;
        break;
    case SP_NOT_FOUND:
        (void)snprintf(type, sizeof(type), "no-%s", asked->verb->desk);
        break;
    case SP_CONFLICT:
        (void)snprintf(type, sizeof(type), with_member ? "already-decided" : "wrong-state");
        break;
    case SP_DENIED:
        (void)snprintf(type, sizeof(type), "not-allowed");
        break;
    default:
        return sp_http_refuse_status(request, status, error);
    }
    const struct sp_http_member member = {
        .name = with_member ? answer->member_name : "",
        .kind = SP_HTTP_JSON,
        .text = with_member ? sp_buf_str(&answer->member) : SP_STR(""),
    };
    const struct sp_http_problem problem = {
        .status = code,
        .type = type,
        .detail = sp_str_from(error->text),
        .members = &member,
        .member_count = with_member,
    };
    return sp_http_problem(request, &problem);
}

/* The rows as {"sagas": […], "next": …}. */
static enum sp_http_verdict reply_rows(struct sp_http_request *request,
                                       const struct sp_desk_request *asked,
                                       const struct sp_desk_answer *answer) {
    struct sp_buf *body = sp_http_scratch(request);
    sp_str rows = sp_buf_str(&answer->text);
    sp_buf_add_str(body, SP_STR("{\""));
    sp_buf_add_str(body, sp_str_from(asked->verb->rows));
    sp_buf_add_str(body, SP_STR("\":["));
    for (size_t i = 0; i + 1 < rows.len; i++) { /* the last byte ends the last row */
        sp_buf_add_byte(body, rows.ptr[i] == '\n' ? ',' : (uint8_t)rows.ptr[i]);
    }
    sp_buf_add_byte(body, ']');
    if (answer->more) {
        sp_buf_add_str(body, SP_STR(",\"next\":"));
        sp_json_add_string(body, sp_str_from(answer->next));
    }
    sp_buf_add_byte(body, '}');
    return body->status == SP_OK ? sp_http_json(request, 200, sp_buf_str(body))
                                 : sp_http_refuse_status(request, body->status, NULL);
}

static enum sp_http_verdict reply(struct sp_http_request *request,
                                  const struct sp_desk_request *asked,
                                  const struct sp_desk_answer *answer) {
    request->appended = answer->changed;
    if (asked->verb->rows != NULL) {
        return reply_rows(request, asked, answer);
    }
    return request->route->method == SP_HTTP_DELETE
               ? sp_http_nothing(request)
               : sp_http_json(request, answer->created ? 201 : 200, sp_buf_str(&answer->text));
}

static enum sp_http_verdict answer_request(struct sp_http_request *request,
                                           struct sp_desk_request *asked, struct sp_buf *text,
                                           struct sp_desk_answer *answer) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = read_request(request, text, asked, &error);
    if (status == SP_OK && sp_desk_asks_ended(asked)) {
        return sp_http_sagas_start(request, asked);
    }
    if (status == SP_OK) {
        status = sp_desk_ask(request->server->engine, asked, SP_STR("http"),
                             request->server->wall_ms * 1000, answer, &error);
    }
    return status == SP_OK ? reply(request, asked, answer)
                           : refuse(request, asked, answer, status, &error);
}

static enum sp_http_verdict on_desk(struct sp_http_request *request) {
    size_t number = (size_t)(request->route - sp_http_desk_routes);
    struct sp_desk_answer answer;
    struct sp_buf text;
    if (request->state != NULL) {
        return sp_http_sagas_go_on(request);
    }
    struct sp_desk_request asked = {
        .verb = sp_desk_find(sp_str_from(ASKED[number].desk), sp_str_from(ASKED[number].verb)),
        .limit = SP_DESK_LIMIT_DEFAULT,
    };
    sp_require(asked.verb != NULL); /* a test holds the two tables together */
    sp_desk_answer_init(&answer);
    sp_buf_init(&text, SIZE_MAX / 4);
    enum sp_http_verdict verdict = answer_request(request, &asked, &text, &answer);
    sp_buf_fini(&text);
    sp_desk_answer_fini(&answer);
    return verdict;
}

enum {
    WRITE = SP_HTTP_WRITE,
    READ = SP_HTTP_READ,
    READ_WRITE = SP_HTTP_READ | SP_HTTP_WRITE,
};

const struct sp_http_route sp_http_desk_routes[] = {
#define ROUTE(method, path, flags, desk, verb) {SP_HTTP_##method, path, flags, on_desk},
    ROUTES(ROUTE)
#undef ROUTE
        {.path = NULL},
};
