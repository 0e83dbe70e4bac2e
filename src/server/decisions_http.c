/*
 * Commands over HTTP and Redis' protocol:
 *
 *     GET    /v1/commands                   SPOOR.COMMANDS LIST
 *     GET    /v1/commands/{name}            SPOOR.COMMANDS GET name
 *     PUT    /v1/commands/{name}            SPOOR.COMMANDS PUT name definition
 *     DELETE /v1/commands/{name}            SPOOR.COMMANDS DEL name
 *     POST   /v1/commands/{name}            SPOOR.COMMAND name command
 */
#include "server/decisions.h"
#include "server/handlers.h"
#include "server/http.h"
#include "server/http_parts.h"

enum { RETRY_MS = 1, LIST_BYTES_MAX = 256 << 20, LATE_RETRY_S = 1 };

/* ---- HTTP ------------------------------------------------------------------------------------ */

static bool is_there(struct sp_http_request *request) {
    if (request->server->decisions == NULL) {
        (void)sp_http_refuse(request, 501, "no-commands", "this server has no commands");
        return false;
    }
    return true;
}

/* A server that ends waits for nothing. */
static enum sp_http_verdict again(struct sp_http_request *request) {
    if (request->server->draining) {
        return sp_http_refuse(request, 503, "shutting-down", "the server is being stopped");
    }
    const struct sp_http_wait wait = {.timeout_ms = RETRY_MS};
    return sp_http_wait(request, &wait);
}

static enum sp_http_verdict on_list(struct sp_http_request *request) {
    struct sp_buf to;
    if (!is_there(request)) {
        return SP_HTTP_DONE;
    }
    sp_buf_init(&to, LIST_BYTES_MAX);
    sp_decisions_list(request->server, &to);
    enum sp_http_verdict verdict = to.status == SP_OK
                                       ? sp_http_json(request, 200, sp_buf_str(&to))
                                       : sp_http_refuse_status(request, to.status, NULL);
    sp_buf_fini(&to);
    return verdict;
}

static enum sp_http_verdict reply_one(struct sp_http_request *request, int status) {
    struct sp_buf *to = sp_http_scratch(request);
    return sp_decisions_get(request->server, sp_http_param(request, "name"), to)
               ? sp_http_json(request, status, sp_buf_str(to))
               : sp_http_refuse(request, 404, "no-command", "there is no such command");
}

static enum sp_http_verdict on_get(struct sp_http_request *request) {
    return is_there(request) ? reply_one(request, 200) : SP_HTTP_DONE;
}

static enum sp_http_verdict on_put(struct sp_http_request *request) {
    struct sp_error error;
    enum sp_decision_outcome outcome = SP_DECISION_DEFINED;
    if (!is_there(request)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_decisions_put(request->connection, sp_http_param(request, "name"),
                                        request->body, &outcome, &error);
    if (status == SP_BUSY) {
        return again(request);
    }
    if (status == SP_INVALID || status == SP_NOT_FOUND || status == SP_UNSUPPORTED ||
        status == SP_DENIED) {
        return sp_http_refuse(request, 422, "invalid-definition", "%s", error.text);
    }
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    request->appended = true;
    return reply_one(request, outcome == SP_DECISION_DEFINED ? 201 : 200);
}

static enum sp_http_verdict on_delete(struct sp_http_request *request) {
    struct sp_error error;
    if (!is_there(request)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_decisions_remove(request->server, sp_http_param(request, "name"), &error);
    if (status == SP_NOT_FOUND) {
        return sp_http_refuse(request, 404, "no-command", "%s", error.text);
    }
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    request->appended = true;
    return sp_http_nothing(request);
}

enum { MEMBERS_MAX = 5 };

/* The members of a refusal beyond its text: which condition, which event, which rule. */
static uint32_t add_members(const struct sp_decided *decided, sp_str name,
                            struct sp_http_member members[MEMBERS_MAX]) {
    uint32_t count = 0;
    members[count++] =
        (struct sp_http_member){.name = "command", .kind = SP_HTTP_TEXT, .text = name};
    if (decided->condition >= 0) {
        members[count++] = (struct sp_http_member){
            .name = "condition", .kind = SP_HTTP_NUMBER, .number = (uint64_t)decided->condition};
    }
    if (decided->has_position) {
        members[count++] = (struct sp_http_member){
            .name = "position", .kind = SP_HTTP_NUMBER, .number = decided->position};
    }
    if (decided->has_fault) {
        members[count++] = (struct sp_http_member){
            .name = "pointer", .kind = SP_HTTP_TEXT, .text = sp_str_from(decided->fault.pointer)};
        members[count++] = (struct sp_http_member){
            .name = "rule", .kind = SP_HTTP_TEXT, .text = sp_str_from(decided->fault.rule)};
    }
    return count;
}

static enum sp_http_verdict refuse(struct sp_http_request *request,
                                   const struct sp_decided *decided, int status) {
    struct sp_http_member members[MEMBERS_MAX];
    const struct sp_http_problem problem = {
        .status = status,
        .type = decided->type,
        .detail = sp_str_from(decided->error.text),
        .members = members,
        .member_count = add_members(decided, sp_http_param(request, "name"), members),
        .retry_after_s = status == 503 ? LATE_RETRY_S : 0,
    };
    return sp_http_problem(request, &problem);
}

static enum sp_http_verdict reply(struct sp_http_request *request,
                                  const struct sp_decided *decided) {
    switch (decided->end) {
    case SP_DECIDED:
        request->appended = true;
        return sp_http_json(request, decided->duplicate ? 200 : 201, sp_buf_str(&decided->answer));
    case SP_DECISION_WAITS:
        return again(request);
    case SP_DECISION_REFUSED:
        return refuse(request, decided, 409);
    case SP_DECISION_INVALID:
        return refuse(request, decided, 422);
    case SP_DECISION_UNKNOWN:
        return refuse(request, decided, 404);
    case SP_DECISION_LATE:
        return refuse(request, decided, 503);
    case SP_DECISION_ERROR:
        return sp_http_refuse_status(request, decided->status, &decided->error);
    }
    sp_never();
}

static enum sp_http_verdict on_run(struct sp_http_request *request) {
    struct sp_decided decided;
    if (!is_there(request)) {
        return SP_HTTP_DONE;
    }
    sp_decisions_run(request->connection, sp_http_param(request, "name"), request->body,
                     SP_STR("http"), &decided);
    enum sp_http_verdict verdict = reply(request, &decided);
    sp_decided_fini(&decided);
    return verdict;
}

const struct sp_http_route sp_http_command_routes[] = {
    {SP_HTTP_GET, "/v1/commands", SP_HTTP_READ, on_list},
    {SP_HTTP_GET, "/v1/commands/{name}", SP_HTTP_READ, on_get},
    {SP_HTTP_PUT, "/v1/commands/{name}", SP_HTTP_WRITE, on_put},
    {SP_HTTP_DELETE, "/v1/commands/{name}", SP_HTTP_WRITE, on_delete},
    {SP_HTTP_POST, "/v1/commands/{name}", SP_HTTP_WRITE, on_run},
    {.path = NULL},
};

/* ---- Redis' protocol ------------------------------------------------------------------------- */

static bool is_there_too(struct sp_request *request) {
    if (request->server->decisions == NULL) {
        (void)sp_reply_error(request, "this server has no commands");
        return false;
    }
    return true;
}

static enum sp_verdict reply_text(struct sp_request *request, struct sp_buf *text) {
    if (text->status == SP_OK) {
        sp_resp_bulk(request->reply, sp_buf_str(text));
    } else {
        (void)sp_reply_status(request, text->status, NULL);
    }
    sp_buf_fini(text);
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_commands_list(struct sp_request *request) {
    struct sp_buf text;
    if (!is_there_too(request)) {
        return SP_DONE;
    }
    sp_buf_init(&text, LIST_BYTES_MAX);
    sp_decisions_list(request->server, &text);
    return reply_text(request, &text);
}

enum sp_verdict sp_on_spoor_commands_get(struct sp_request *request) {
    struct sp_buf text;
    if (!is_there_too(request)) {
        return SP_DONE;
    }
    sp_buf_init(&text, LIST_BYTES_MAX);
    if (sp_decisions_get(request->server, request->args[2], &text)) {
        return reply_text(request, &text);
    }
    sp_buf_fini(&text);
    return sp_reply_error_str(request, "NOTFOUND", SP_STR("there is no such command"));
}

enum sp_verdict sp_on_spoor_commands_put(struct sp_request *request) {
    static const char *const words[] = {[SP_DECISION_DEFINED] = "defined",
                                        [SP_DECISION_REPLACED] = "replaced",
                                        [SP_DECISION_UNCHANGED] = "unchanged"};
    struct sp_error error;
    enum sp_decision_outcome outcome = SP_DECISION_DEFINED;
    if (!is_there_too(request)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        sp_decisions_put(request->connection, request->args[2], request->args[3], &outcome, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = true;
    sp_resp_bulk_text(request->reply, words[outcome]);
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_commands_del(struct sp_request *request) {
    struct sp_error error;
    if (!is_there_too(request)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_decisions_remove(request->server, request->args[2], &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = true;
    sp_resp_bulk_text(request->reply, "removed");
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_command(struct sp_request *request) {
    struct sp_decided decided;
    enum sp_verdict verdict = SP_DONE;
    if (!is_there_too(request)) {
        return SP_DONE;
    }
    sp_decisions_run(request->connection, request->args[1], request->args[2],
                     sp_connection_source(request->connection), &decided);
    sp_str text = sp_str_from(decided.error.text);
    switch (decided.end) {
    case SP_DECIDED:
        request->appended = true;
        sp_resp_bulk(request->reply, sp_buf_str(&decided.answer));
        break;
    case SP_DECISION_WAITS:
        verdict = request->server->draining
                      ? sp_reply_error_str(request, "BEHIND", SP_STR("the server is being stopped"))
                      : SP_LATER;
        break;
    case SP_DECISION_REFUSED:
        verdict = sp_reply_error_str(request, "REFUSED", text);
        break;
    case SP_DECISION_INVALID:
        verdict = sp_reply_error_str(request, "INVALID", text);
        break;
    case SP_DECISION_UNKNOWN:
        verdict = sp_reply_error_str(request, "NOTFOUND", text);
        break;
    case SP_DECISION_LATE:
        verdict = sp_reply_error_str(request, "BEHIND", text);
        break;
    case SP_DECISION_ERROR:
        verdict = sp_reply_own_status(request, decided.status, &decided.error);
        break;
    }
    sp_decided_fini(&decided);
    return verdict;
}
