/*
 * Runs that are forked, and runs that go on. loop-thread
 *
 *     POST /v1/runs/{correlation}/fork     {"at": 17 or "an event's id", "id", "by", "reason"}
 *     POST /v1/runs/{correlation}/resume   gives back what groups gave up of it
 */
#include "base/json.h"
#include "engine/forks.h"
#include "server/http.h"
#include "server/http_events.h"
#include "server/http_groups.h"
#include "server/http_parts.h"

static sp_status expected(struct sp_error *error, sp_str name, const char *what,
                          struct sp_json_token token) {
    return sp_error_set(error, SP_INVALID, "%.*s: expected %s, found %s", SP_STR_ARG(name), what,
                        sp_json_type_name(token.type));
}

static sp_str take_text(struct sp_buf *text, sp_str raw) {
    size_t at = text->len;
    sp_json_unescape(text, raw);
    return sp_str_of(text->data + at, text->len - at);
}

static sp_status take_member(struct sp_json *json, struct sp_json_token key, struct sp_buf *text,
                             struct sp_run_fork *fork, struct sp_error *error) {
    const struct {
        sp_str name;
        sp_str *to;
    } rows[] = {{SP_STR("at"), &fork->at},
                {SP_STR("id"), &fork->id},
                {SP_STR("by"), &fork->by},
                {SP_STR("reason"), &fork->reason}};
    struct sp_json_token value = sp_json_next(json);
    if (value.type == SP_JSON_ERROR) {
        return sp_json_fail(json, error);
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!sp_json_equal(key, rows[i].name)) {
            continue;
        }
        if (value.type == SP_JSON_NUMBER && i == 0) {
            *rows[i].to = value.raw;
        } else if (value.type == SP_JSON_STRING) {
            *rows[i].to = take_text(text, value.raw);
        } else if (value.type != SP_JSON_NULL) {
            return expected(error, rows[i].name,
                            i == 0 ? "a position, or the id of an event" : "a string", value);
        }
        return SP_OK;
    }
    return sp_error_set(error, SP_INVALID, "'%.*s' is not known; expected at, id, by, reason",
                        SP_STR_ARG(key.raw));
}

static sp_status read_body(struct sp_http_request *request, struct sp_run_fork *fork,
                           struct sp_error *error) {
    struct sp_json json;
    struct sp_buf *text = sp_http_scratch(request);
    if (sp_buf_reserve(text, request->body.len + 1) == NULL) { /* so that it does not move */
        return sp_error_set(error, SP_NO_MEMORY, "body");
    }
    sp_json_init(&json, request->body);
    struct sp_json_token token = sp_json_next(&json);
    if (token.type != SP_JSON_OBJECT) {
        return token.type == SP_JSON_ERROR ? sp_json_fail(&json, error)
                                           : expected(error, SP_STR("body"), "an object", token);
    }
    sp_status status = SP_OK;
    for (token = sp_json_next(&json); token.type == SP_JSON_KEY && status == SP_OK;
         token = sp_json_next(&json)) {
        status = take_member(&json, token, text, fork, error);
    }
    if (status == SP_OK &&
        (token.type != SP_JSON_OBJECT_END || sp_json_next(&json).type != SP_JSON_END)) {
        return sp_json_fail(&json, error);
    }
    return status;
}

static enum sp_http_verdict on_fork(struct sp_http_request *request) {
    static const char *const NAMES[] = {NULL};
    struct sp_run_fork fork = {.run = sp_http_param(request, "correlation")};
    struct sp_run_forked forked;
    struct sp_error error;
    if (!sp_http_only(request, NAMES)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = read_body(request, &fork, &error);
    status =
        status == SP_OK ? sp_run_fork(request->server->engine, &fork, &forked, &error) : status;
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    request->appended = true;
    struct sp_buf *to = sp_http_scratch(request);
    sp_buf_reset(to);
    sp_buf_add_byte(to, '{');
    sp_http_add_text(to, "correlationid", sp_str_from(forked.run));
    sp_http_add_number(to, "position", forked.position);
    sp_http_add_text(to, "fork_of", sp_http_param(request, "correlation"));
    sp_http_add_number(to, "fork_position", forked.shared);
    sp_http_add_number(to, "event_position", forked.event_position);
    sp_buf_add_str(to, forked.duplicate ? SP_STR(",\"duplicate\":true}\n") : SP_STR("}\n"));
    return to->status == SP_OK ? sp_http_json(request, forked.duplicate ? 200 : 201, sp_buf_str(to))
                               : sp_http_refuse_status(request, to->status, NULL);
}

static enum sp_http_verdict on_resume(struct sp_http_request *request) {
    static const char *const NAMES[] = {NULL};
    struct sp_error error;
    uint64_t count = 0;
    if (!sp_http_only(request, NAMES)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        sp_run_resume(request->server->bus, sp_http_param(request, "correlation"), &count, &error);
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    request->appended = true;
    struct sp_buf *to = sp_http_scratch(request);
    sp_buf_add_byte(to, '{');
    sp_http_add_number(to, "redriven", count);
    sp_buf_add_str(to, SP_STR("}\n"));
    return to->status == SP_OK ? sp_http_json(request, 200, sp_buf_str(to))
                               : sp_http_refuse_status(request, to->status, NULL);
}

const struct sp_http_route sp_http_run_routes[] = {
    {SP_HTTP_POST, "/v1/runs/{correlation}/fork", SP_HTTP_WRITE, on_fork},
    {SP_HTTP_POST, "/v1/runs/{correlation}/resume", SP_HTTP_WRITE, on_resume},
    {.path = NULL},
};
