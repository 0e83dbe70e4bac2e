#include "server/http.h"

#include <stdlib.h>

#include "proto/http_write.h"
#include "server/http_int.h"
#include "server/wait.h"

enum {
    BUDGET_LOOK_BYTES = 64 << 10,
    PROBLEM_BYTES_MAX = 1 << 20,
    ZIPPED_BYTES_MAX = 1 << 30,
    ZIPPED_KEPT_BYTES = 1 << 20,
};

/* ---- the end of a request -------------------------------------------------------------------- */

/* What still comes is read away for a while, so that the reply is not lost with it. */
static void linger(struct sp_connection *connection) {
    connection->http.lingers = true;
    connection->http.linger_ms = connection->server->monotonic_ms + HTTP_LINGER_MS;
    connection->http.since_ms = 0;
    sp_connection_touch(connection);
}

static void say(const struct sp_http_request *request) {
    struct sp_server *server = request->server;
    int status = request->status;
    enum sp_level level = status >= 500 ? SP_LEVEL_WARN : SP_LEVEL_DEBUG;
    if (level < server->logger.level) {
        return;
    }
    struct sp_field fields[7] = {
        SP_FIELD_NUMBER("client", request->connection->id),
        SP_FIELD_TEXT("method", request->head->method_text),
        SP_FIELD_TEXT("path", request->head->path),
        SP_FIELD_NUMBER("status", (uint64_t)status),
        SP_FIELD_NUMBER("bytes", request->body.len),
    };
    size_t count = 5;
    if (request->event_id.len > 0) {
        fields[count++] = SP_FIELD_TEXT("event_id", request->event_id);
    }
    if (request->correlation_id.len > 0) {
        fields[count++] = SP_FIELD_TEXT("correlation_id", request->correlation_id);
    }
    sp_logger_line(&server->logger, level, "http", fields, count);
}

/* The reply is whole: the connection goes on with its next request, or ends. */
static void after_reply(struct sp_http_request *request) {
    struct sp_connection *connection = request->connection;
    struct sp_http *http = request->server->http;
    request->server->stats.http_requests++;
    request->server->stats.commands++;
    say(request);
    if (request->free_state != NULL) {
        request->free_state(connection, request->state);
        request->free_state = NULL;
    }
    if (http->zipped.capacity > ZIPPED_KEPT_BYTES) {
        sp_buf_fini(&http->zipped);
        sp_buf_init(&http->zipped, ZIPPED_BYTES_MAX);
    }
    connection->http.since_ms = 0;
    connection->http.busy_ms = 0;
    if (request->closes && !request->body_ended) {
        linger(connection);
    } else if (request->closes) {
        sp_connection_finish(connection);
    }
}

void http_end_exchange(struct sp_connection *connection) {
    struct sp_http_exchange *exchange = connection->http.exchange;
    sp_require(exchange != NULL);
    connection->http.exchange = NULL;
    connection->pause &= ~(unsigned)SP_PAUSE_BLOCKED;
    after_reply(&exchange->request);
    http_exchange_free(exchange);
    sp_connection_touch(connection);
}

/* ---- running a handler ----------------------------------------------------------------------- */

void http_hold(struct sp_http_request *request) {
    struct sp_connection *connection = request->connection;
    struct sp_bus *bus = request->server->bus;
    if (request->lazy || (request->route->flags & (SP_HTTP_READ | SP_HTTP_WRITE)) == 0) {
        return;
    }
    uint64_t gate = sp_bus_gate(bus);
    if (request->appended) {
        connection->append_gate = gate;
    }
    if (!sp_bus_passed(bus, gate) &&
        !sp_output_hold(&connection->output, request->server->http->from, gate)) {
        sp_connection_break(connection);
    }
}

/* A read of the log waits until the connection's own appends are durable. */
static bool must_wait(const struct sp_http_request *request) {
    struct sp_connection *connection = request->connection;
    if ((request->route->flags & SP_HTTP_READ) == 0 || connection->append_gate == 0 ||
        sp_bus_passed(request->server->bus, connection->append_gate)) {
        return false;
    }
    connection->pause |= SP_PAUSE_GATE;
    connection->resume_gate = connection->append_gate;
    return true;
}

/* The store is too busy: later, or after too long the client is told so. */
static enum sp_http_verdict put_off(struct sp_http_request *request) {
    struct sp_connection *connection = request->connection;
    uint64_t now_ms = request->server->monotonic_ms;
    connection->output.bytes.len = request->server->http->from;
    connection->output.bytes.status = SP_OK;
    if (connection->http.busy_ms == 0) {
        connection->http.busy_ms = now_ms + 1;
    } else if (now_ms + 1 - connection->http.busy_ms >= HTTP_BUSY_MS &&
               !http_takes_pieces(request)) {
        return sp_http_refuse(request, 429, "too-busy",
                              "too much is on its way to the disk: try again");
    }
    connection->pause |= SP_PAUSE_BUSY;
    return SP_HTTP_LATER;
}

static enum sp_http_verdict run_handler(struct sp_http_request *request) {
    struct sp_connection *connection = request->connection;
    struct sp_http *http = request->server->http;
    sp_spare_lend(&request->server->spares, &connection->output.bytes);
    http->from = connection->output.bytes.len;
    http->running = connection;
    http->shared = false;
    request->closes = !request->head->keep_alive || request->server->draining ||
                      !request->body_ended || (request->closes && connection->http.stream_open);
    enum sp_http_verdict verdict = request->route->handler(request);
    http->running = NULL;
    if (verdict == SP_HTTP_OPEN && !connection->http.stream_open) {
        verdict = SP_HTTP_DONE; /* it was ended at once */
    }
    if (verdict == SP_HTTP_LATER) {
        verdict = put_off(request);
    }
    if (verdict != SP_HTTP_LATER && verdict != SP_HTTP_WAITS && !http->shared) {
        http_hold(request);
    }
    if (verdict != SP_HTTP_LATER) {
        connection->http.busy_ms = 0;
    }
    sp_ensure(verdict != SP_HTTP_DONE || !connection->http.stream_open || connection->broken);
    sp_ensure(verdict != SP_HTTP_OPEN || connection->http.stream_open);
    return verdict;
}

/* Makes a request last that waits or whose reply is open. False where memory is out. */
static bool keep(struct sp_http_request *request, const char *bytes, enum http_phase phase) {
    struct sp_connection *connection = request->connection;
    struct sp_http_exchange *exchange = http_exchange_new(request, bytes);
    if (exchange != NULL && request->body.len > 0) {
        sp_buf_add_str(&exchange->body, request->body);
    }
    if (exchange == NULL || exchange->body.status != SP_OK) {
        http_exchange_free(exchange);
        return false;
    }
    exchange->request.body = sp_buf_str(&exchange->body);
    exchange->phase = phase;
    connection->http.exchange = exchange;
    return true;
}

/* Ends what cannot be kept: a reply that has begun breaks off. */
static void give_up(struct sp_http_request *request) {
    sp_wait_drop(request->connection);
    if (request->connection->http.stream_open) {
        request->connection->http.stream_open = false;
        sp_connection_break(request->connection);
    } else {
        (void)sp_http_refuse(request, 503, "no-memory", "out of memory");
    }
    after_reply(request);
}

/* ---- a request whose bytes are all there ----------------------------------------------------- */

/* Returns how many bytes are done with; 0: it is to be run again from its start. */
static size_t run_whole(struct sp_http_request *request, const char *bytes, size_t len) {
    struct sp_connection *connection = request->connection;
    if (must_wait(request)) {
        return 0;
    }
    switch (run_handler(request)) {
    case SP_HTTP_DONE:
        after_reply(request);
        break;
    case SP_HTTP_LATER:
        if (request->free_state == NULL) {
            return 0;
        }
        if (!keep(request, bytes, HTTP_READY)) {
            give_up(request);
        }
        break;
    case SP_HTTP_WAITS:
        if (!keep(request, bytes, HTTP_WAITS)) {
            give_up(request);
        }
        break;
    case SP_HTTP_OPEN:
        if (keep(request, bytes, HTTP_OPEN)) {
            connection->pause |= SP_PAUSE_BLOCKED;
        } else {
            give_up(request);
        }
        break;
    case SP_HTTP_MORE:
        sp_never(); /* only routes that take their body in pieces say so */
    }
    return len;
}

/* ---- a request that lasts -------------------------------------------------------------------- */

/* What is still missing of the body comes when the client is told so. */
static void invite(struct sp_connection *connection, const struct sp_http_head *head,
                   bool something_came) {
    if (head->expects_continue && head->minor > 0 && !something_came) {
        sp_spare_lend(&connection->server->spares, &connection->output.bytes);
        sp_buf_add_str(&connection->output.bytes, SP_STR("HTTP/1.1 100 Continue\r\n\r\n"));
    }
}

/* Refuses a request in the middle of its body. */
static void refuse_body(struct sp_http_request *request, int status, const char *text) {
    struct sp_connection *connection = request->connection;
    const char *type = status == 413   ? "body-too-large"
                       : status == 415 ? "unknown-coding"
                       : status == 503 ? "no-memory"
                                       : "malformed-request";
    sp_spare_lend(&connection->server->spares, &connection->output.bytes);
    request->server->http->from = connection->output.bytes.len;
    request->closes = true;
    (void)sp_http_refuse(request, status, type, "%s", text);
}

/* Runs the handler of the connection's exchange. True where there may be more to do. */
static bool run_exchange(struct sp_connection *connection) {
    struct sp_http_exchange *exchange = connection->http.exchange;
    struct sp_http_request *request = &exchange->request;
    exchange->later = true;
    if (must_wait(request)) {
        return false;
    }
    enum sp_http_verdict verdict = run_handler(request);
    exchange->later = verdict == SP_HTTP_LATER;
    switch (verdict) {
    case SP_HTTP_DONE:
        http_end_exchange(connection);
        return true;
    case SP_HTTP_LATER:
        return false;
    case SP_HTTP_WAITS:
        exchange->phase = HTTP_WAITS;
        return false;
    case SP_HTTP_OPEN:
        exchange->phase = HTTP_OPEN;
        connection->pause |= SP_PAUSE_BLOCKED;
        return false;
    case SP_HTTP_MORE:
        break;
    }
    sp_require(http_takes_pieces(request));
    bool took = http_exchange_took(exchange);
    sp_require(took || !request->body_ended);
    if (!took && request->body.len >= SP_HTTP_WINDOW_BYTES) {
        refuse_body(request, 413, "one piece of the body is too large");
        http_end_exchange(connection);
    }
    return took;
}

/* Takes bytes of the body and runs the handler when it may be. True where there may be more. */
static bool go_on(struct sp_connection *connection, const char *bytes, size_t len,
                  size_t *ret_used) {
    struct sp_http_exchange *exchange = connection->http.exchange;
    struct sp_http_request *request = &exchange->request;
    struct sp_http_fault fault = {.status = 0};
    *ret_used = 0;
    if (exchange->phase == HTTP_READY) {
        return run_exchange(connection);
    }
    sp_require(exchange->phase == HTTP_BODY);
    if (!http_exchange_read(exchange, bytes, len, ret_used, &fault)) {
        refuse_body(request, fault.status, fault.text);
        http_end_exchange(connection);
        *ret_used = len;
        return true;
    }
    if (http_takes_pieces(request)) {
        connection->http.since_ms = 0; /* only silence counts */
        bool ready = request->body.len > 0 || request->body_ended;
        return (ready && run_exchange(connection)) || *ret_used > 0;
    }
    if (request->body_ended) {
        exchange->phase = HTTP_READY;
        return run_exchange(connection) || connection->http.exchange == NULL;
    }
    return *ret_used > 0 && *ret_used < len;
}

/* ---- a new request --------------------------------------------------------------------------- */

static void begin_request(struct sp_connection *connection, size_t have) {
    struct sp_http *http = connection->server->http;
    const struct sp_http_head *head = &http->head;
    bool whole = !head->chunked && head->content_length <= have - head->bytes;
    http->request = (struct sp_http_request){
        .server = connection->server,
        .connection = connection,
        .head = head,
        .body_ended = whole,
        .closes = !head->keep_alive || connection->server->draining || !whole,
    };
    sp_spare_lend(&connection->server->spares, &connection->output.bytes);
    http->from = connection->output.bytes.len;
}

/* True where the request may have its handler; else a problem was written. */
static bool may_run(struct sp_http_request *request) {
    uint64_t most = sp_settings_u64(&request->server->settings, SP_SET_HTTP_BODY_BYTES_MAX);
    if (!http_may_enter(request) || !http_route(request)) {
        return false;
    }
    if (!http_takes_pieces(request) && request->head->content_length > most) {
        (void)sp_http_refuse(
            request, 413, "body-too-large", "the body has %llu bytes; http-body-bytes-max is %llu",
            (unsigned long long)request->head->content_length, (unsigned long long)most);
        return false;
    }
    return true;
}

/* A request whose body is still to come, or must be changed. Returns the bytes done with. */
static size_t begin_exchange(struct sp_http_request *request, const char *bytes, size_t have) {
    struct sp_connection *connection = request->connection;
    size_t head_bytes = request->head->bytes;
    struct sp_http_exchange *exchange = http_exchange_new(request, bytes);
    int status = exchange == NULL ? 503 : http_exchange_expect(exchange);
    if (status != 0) {
        http_exchange_free(exchange);
        refuse_body(request, status,
                    status == 415 ? "the only content coding of a request is gzip"
                                  : "out of memory");
        request->body_ended = false;
        after_reply(request);
        return have;
    }
    connection->http.exchange = exchange;
    invite(connection, &exchange->head, have > head_bytes);
    exchange->request.body_ended = false;
    return head_bytes;
}

/* Reads one request from its start. True where there may be more to do. */
static bool begin(struct sp_connection *connection, const char *bytes, size_t len,
                  size_t *ret_used) {
    struct sp_http *http = connection->server->http;
    struct sp_http_request *request = &http->request;
    struct sp_http_fault fault = {.status = 0};
    *ret_used = 0;
    switch (sp_http_read_head(bytes, len, &connection->http.scanned, http->headers, &http->head,
                              &fault)) {
    case SP_HTTP_READ_MORE:
        return false;
    case SP_HTTP_READ_ERROR:
        sp_spare_lend(&connection->server->spares, &connection->output.bytes);
        http_refuse_unread(connection, fault.status, fault.text);
        connection->server->stats.commands++;
        connection->server->stats.http_requests++;
        linger(connection);
        *ret_used = len;
        return false;
    case SP_HTTP_READ_WHOLE:
        break;
    }
    begin_request(connection, len);
    bool whole = request->body_ended;
    size_t total = whole ? http->head.bytes + (size_t)http->head.content_length : len;
    if (!may_run(request)) {
        after_reply(request);
        *ret_used = total;
        return true;
    }
    bool plain = sp_http_header(request, "content-encoding").len == 0 || total == http->head.bytes;
    if (whole && plain && !http_takes_pieces(request)) {
        request->body = sp_str_of(bytes + http->head.bytes, (size_t)http->head.content_length);
        *ret_used = run_whole(request, bytes, total);
        return *ret_used > 0;
    }
    *ret_used = begin_exchange(request, bytes, len);
    return true;
}

/* ---- the protocol ---------------------------------------------------------------------------- */

/* Since when the client owes the rest of a request. */
static void watch_time(struct sp_connection *connection, bool left_over) {
    const struct sp_http_exchange *exchange = connection->http.exchange;
    bool owes = connection->pause == 0 && !connection->http.lingers &&
                (exchange != NULL ? exchange->phase == HTTP_BODY : left_over);
    if (!owes) {
        connection->http.since_ms = 0;
    } else if (connection->http.since_ms == 0) {
        connection->http.since_ms = connection->server->monotonic_ms + 1;
    }
}

static size_t run(struct sp_connection *connection, const char *bytes, size_t len) {
    size_t at = 0;
    bool more = true;
    while (more && connection->pause == 0 && connection->protocol == &http_protocol) {
        size_t used = 0;
        if (connection->http.lingers) {
            return len;
        }
        if (SP_UNLIKELY(sp_server_is_over_budget(connection->server))) {
            connection->pause |= SP_PAUSE_BUSY;
            break;
        }
        if (connection->http.exchange != NULL) {
            more = go_on(connection, bytes + at, len - at, &used);
        } else {
            more = at < len && begin(connection, bytes + at, len - at, &used);
        }
        at += used;
        if (sp_connection_unsent(connection) >= SP_OUTPUT_PAUSE_BYTES) {
            connection->pause |= SP_PAUSE_OUTPUT;
        }
        if (sp_connection_unsent(connection) >= BUDGET_LOOK_BYTES) {
            sp_server_count(connection->server, connection);
        }
    }
    if (connection->protocol == &http_protocol) {
        watch_time(connection, at < len);
    }
    return at;
}

static bool is_busy(const struct sp_connection *connection) {
    const struct sp_http_exchange *exchange = connection->http.exchange;
    return exchange != NULL && (exchange->phase == HTTP_READY || exchange->later ||
                                (exchange->phase == HTTP_BODY && exchange->body_came) ||
                                (exchange->phase == HTTP_OPEN && exchange->request.finite));
}

static bool stays(const struct sp_connection *connection) {
    const struct sp_http_exchange *exchange = connection->http.exchange;
    return exchange != NULL && exchange->phase == HTTP_OPEN && !exchange->request.finite;
}

static size_t bytes_of(const struct sp_connection *connection) {
    return connection->http.exchange != NULL ? http_exchange_bytes(connection->http.exchange) : 0;
}

/* The time in which a request must have come is over. */
static void refuse_slow(struct sp_connection *connection) {
    struct sp_http_exchange *exchange = connection->http.exchange;
    static const char TEXT[] = "the request did not come in time: see http-request-timeout";
    sp_spare_lend(&connection->server->spares, &connection->output.bytes);
    if (exchange != NULL) {
        connection->server->http->from = connection->output.bytes.len;
        exchange->request.closes = true;
        (void)sp_http_refuse(&exchange->request, 408, "request-timeout", "%s", TEXT);
        http_end_exchange(connection);
    } else {
        http_refuse_unread(connection, 408, TEXT);
        connection->input.len = 0;
        sp_spare_take(&connection->server->spares, &connection->input);
        linger(connection);
    }
    sp_connection_touch(connection);
}

static void each_second(struct sp_connection *connection) {
    struct sp_server *server = connection->server;
    const struct sp_http_exchange *exchange = connection->http.exchange;
    uint64_t limit_ms = sp_settings_u64(&server->settings, SP_SET_HTTP_REQUEST_TIMEOUT);
    if (connection->http.lingers && server->monotonic_ms >= connection->http.linger_ms) {
        sp_connection_break(connection);
    }
    uint64_t bonus_ms = exchange != NULL ? exchange->body_bytes / HTTP_BODY_BYTES_PER_MS : 0;
    if (limit_ms > 0 && connection->http.since_ms != 0 &&
        server->monotonic_ms + 1 - connection->http.since_ms >= limit_ms + bonus_ms) {
        refuse_slow(connection);
    }
}

static void stop(struct sp_connection *connection) {
    const struct sp_http_exchange *exchange = connection->http.exchange;
    if (exchange == NULL) {
        return;
    }
    if (exchange->phase == HTTP_WAITS) {
        (void)sp_http_wake(connection, 0, true);
    } else if (exchange->phase == HTTP_OPEN && !exchange->request.finite) {
        sp_http_stream_end(connection);
    }
}

static void fini(struct sp_connection *connection) {
    struct sp_http_exchange *exchange = connection->http.exchange;
    if (exchange != NULL && exchange->request.free_state != NULL) {
        exchange->request.free_state(connection, exchange->request.state);
    }
    http_exchange_free(exchange);
    connection->http.exchange = NULL;
    connection->http.stream_open = false;
}

const struct sp_protocol http_protocol = {
    .name = "http",
    .run = run,
    .is_busy = is_busy,
    .stays = stays,
    .bytes = bytes_of,
    .each_second = each_second,
    .stop = stop,
    .fini = fini,
};

void sp_http_attach(struct sp_connection *connection) {
    sp_require(connection->server->http != NULL);
    connection->protocol = &http_protocol;
}

#define TOO_MANY                                                                                   \
    "{\"type\":\"urn:spoor:problem:too-many-connections\",\"title\":\"Service Unavailable\","      \
    "\"status\":503,\"detail\":\"max-connections reached\"}\n"
_Static_assert(sizeof(TOO_MANY) - 1 == 128, "as the reply says");

sp_str sp_http_too_many(void) {
    return SP_STR("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
                  "Content-Type: application/problem+json\r\nContent-Length: 128\r\n\r\n" TOO_MANY);
}

/* ---- waiting --------------------------------------------------------------------------------- */

enum sp_http_verdict sp_http_wait(struct sp_http_request *request,
                                  const struct sp_http_wait *wait) {
    struct sp_wait_spec spec = {
        .keys = wait->keys,
        .groups = wait->groups,
        .count = wait->count,
        .timeout_ms = wait->timeout_ms,
    };
    if (!sp_wait_begin_http(request->connection, &spec)) {
        return sp_http_refuse(request, 503, "no-memory", "out of memory");
    }
    return SP_HTTP_WAITS;
}

enum sp_verdict sp_http_wake(struct sp_connection *connection, uint32_t share, bool timed_out) {
    struct sp_http_exchange *exchange = connection->http.exchange;
    sp_require(exchange != NULL && exchange->phase == HTTP_WAITS);
    struct sp_http_request *request = &exchange->request;
    request->share = share;
    if (timed_out) {
        request->timed_out = true;
        exchange->phase = HTTP_READY; /* run when the turn goes on with the connection */
        sp_wait_drop(connection);
        sp_connection_touch(connection);
        return SP_DONE;
    }
    switch (run_handler(request)) {
    case SP_HTTP_DONE:
        sp_wait_drop(connection);
        http_end_exchange(connection);
        return SP_DONE;
    case SP_HTTP_OPEN:
        sp_wait_drop(connection);
        exchange->phase = HTTP_OPEN;
        connection->pause |= SP_PAUSE_BLOCKED;
        return SP_DONE;
    case SP_HTTP_LATER:
        return SP_LATER;
    case SP_HTTP_WAITS:
        return SP_BLOCKED;
    case SP_HTTP_MORE:
        break;
    }
    sp_never();
}

/* ---- the server's ---------------------------------------------------------------------------- */

static void on_fini(struct sp_server *server, void *context) {
    struct sp_http *http = context;
    sp_buf_fini(&http->decoded);
    sp_buf_fini(&http->problem);
    sp_buf_fini(&http->zipped);
    sp_gzip_free(http->gzip);
    free(http->rows);
    free(http);
    server->http = NULL;
}

sp_status sp_http_init(struct sp_server *server, const struct sp_http_route *const *tables,
                       struct sp_error *error) {
    struct sp_http *http = calloc(1, sizeof(*http));
    if (http == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for HTTP");
    }
    sp_status status = http_rows_init(http, tables, error);
    if (status != SP_OK) {
        free(http);
        return status;
    }
    sp_buf_init(&http->problem, PROBLEM_BYTES_MAX);
    sp_buf_init(&http->zipped, ZIPPED_BYTES_MAX);
    server->http = http;
    struct sp_server_hooks hooks = {.fini = on_fini, .context = http};
    sp_server_hook(server, &hooks);
    return SP_OK;
}
