/* What HTTP says of the server itself: health, and what it is. */
#include <stdio.h>

#include "base/json.h"
#include "server/http_int.h"
#include "server/http_parts.h"
#include "spoor.h"

/* ---- health ---------------------------------------------------------------------------------- */

/* The process runs and turns. */
static enum sp_http_verdict on_healthz(struct sp_http_request *request) {
    return sp_http_json(request, 200, SP_STR("{\"status\":\"ok\"}\n"));
}

/* Ready for work: not while the server ends, or where the store takes nothing more. */
static enum sp_http_verdict on_readyz(struct sp_http_request *request) {
    struct sp_server *server = request->server;
    struct sp_error error;
    sp_error_clear(&error);
    if (server->draining) {
        return sp_http_refuse(request, 503, "draining", "the server is about to end");
    }
    sp_status status = server->failed ? SP_FAILED : sp_engine_state(server->engine, &error);
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    return sp_http_json(request, 200, SP_STR("{\"status\":\"ready\"}\n"));
}

/* ---- the server ------------------------------------------------------------------------------ */

/* The host of the Host header, without its port; an IPv6 address keeps its brackets. */
static sp_str asked_host(const struct sp_http_request *request) {
    sp_str host = sp_http_header(request, "host");
    size_t len = host.len;
    while (len > 0 && host.ptr[len - 1] >= '0' && host.ptr[len - 1] <= '9') {
        len--;
    }
    bool has_port = len > 1 && host.ptr[len - 1] == ':';
    return sp_str_of(host.ptr, has_port ? len - 1 : host.len);
}

/* Where this client reaches the Redis protocol: who listens everywhere is where it was asked. */
static void add_resp_address(struct sp_http_request *request, struct sp_buf *to) {
    sp_str listen = sp_settings_text(&request->server->settings, SP_SET_LISTEN);
    bool anywhere = sp_str_eq(listen, SP_STR("0.0.0.0")) || sp_str_eq(listen, SP_STR("::"));
    sp_str host = asked_host(request);
    bool six = listen.len > 0 && memchr(listen.ptr, ':', listen.len) != NULL;
    char text[600];
    if (anywhere && host.len > 0 && host.len < 300) {
        listen = host;
        six = false;
    }
    int len = snprintf(text, sizeof(text), "%s%.*s%s:%d", six ? "[" : "", SP_STR_ARG(listen),
                       six ? "]" : "", request->server->resp_port);
    sp_http_add_json_text(to, sp_str_of(text, (size_t)len));
}

static enum sp_http_verdict on_v1(struct sp_http_request *request) {
    struct sp_server *server = request->server;
    struct sp_buf *body = sp_http_scratch(request);
    sp_buf_add_str(body, SP_STR("{\"name\":\"spoor\",\"version\":"));
    sp_json_add_string(body, sp_str_from(spoor_version()));
    sp_buf_add_str(body, SP_STR(",\"resp\":"));
    add_resp_address(request, body);
    sp_buf_add_str(body, SP_STR(",\"position\":"));
    sp_buf_add_u64(body, sp_engine_durable_position(server->engine));
    sp_buf_add_str(body, SP_STR(",\"data\":"));
    sp_json_add_string(body, sp_settings_text(&server->settings, SP_SET_DATA));
    sp_buf_add_str(body, SP_STR("}\n"));
    return sp_http_json(request, 200, sp_buf_str(body));
}

static enum sp_http_verdict on_openapi(struct sp_http_request *request) {
    return sp_http_json(request, 200, sp_str_of(sp_openapi_json, sp_openapi_json_len));
}

/* ---- the other protocol ---------------------------------------------------------------------- */

/* From here on the connection speaks RESP. Whoever came so far knows the password. */
static enum sp_http_verdict on_resp(struct sp_http_request *request) {
    struct sp_connection *connection = request->connection;
    sp_str wanted = sp_http_header(request, "upgrade");
    if (!request->head->upgrade || !sp_http_list_has(wanted, SP_STR("resp"))) {
        struct sp_http_problem problem = {
            .status = 426,
            .type = "upgrade-needed",
            .detail = SP_STR("send the headers Connection: Upgrade and Upgrade: resp"),
            .upgrade = SP_STR("resp"),
        };
        return sp_http_problem(request, &problem);
    }
    if (request->closes || request->body.len > 0 || request->head->method != SP_HTTP_GET) {
        return sp_http_refuse(request, 400, "no-upgrade",
                              "an upgrade is a GET without a body of a connection that stays open");
    }
    http_upgrade(request, "resp");
    connection->authenticated = true;
    sp_connection_speak_resp(connection);
    return SP_HTTP_DONE;
}

const struct sp_http_route sp_http_own_routes[] = {
    {SP_HTTP_GET, "/healthz", SP_HTTP_OPEN_TO_ALL, on_healthz},
    {SP_HTTP_GET, "/readyz", SP_HTTP_OPEN_TO_ALL, on_readyz},
    {SP_HTTP_GET, "/v1", SP_HTTP_READ, on_v1},
    {SP_HTTP_GET, "/v1/openapi.json", 0, on_openapi},
    {SP_HTTP_GET, "/v1/resp", 0, on_resp},
    {.path = NULL},
};
