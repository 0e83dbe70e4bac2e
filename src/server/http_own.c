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

/* Where a client that came by this address reaches the Redis protocol: the same host. */
static void add_resp_address(struct sp_http_request *request, struct sp_buf *to) {
    sp_str listen = sp_settings_text(&request->server->settings, SP_SET_LISTEN);
    bool six = listen.len > 0 && memchr(listen.ptr, ':', listen.len) != NULL;
    char text[300];
    int len = snprintf(text, sizeof(text), "%s%.*s%s:%d", six ? "[" : "", SP_STR_ARG(listen),
                       six ? "]" : "", request->server->resp_port);
    sp_json_add_string(to, sp_str_of(text, (size_t)len));
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

const struct sp_http_route sp_http_own_routes[] = {
    {SP_HTTP_GET, "/healthz", SP_HTTP_OPEN_TO_ALL, on_healthz},
    {SP_HTTP_GET, "/readyz", SP_HTTP_OPEN_TO_ALL, on_readyz},
    {SP_HTTP_GET, "/v1", SP_HTTP_READ, on_v1},
    {.path = NULL},
};
