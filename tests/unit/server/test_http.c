/* The core of HTTP with routes of the test's own: routing, bodies, waiting, streamed replies. */
#include "desk.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/http.h"
#include "server/http_parts.h"

enum { LINES_BYTES = 6 << 20 };

/* What the handlers leave for the test. One test at a time. */
static struct {
    int runs;
    int freed;
    int later; /* how often a handler says LATER before it answers */
    bool woken;
    struct sp_connection *open;
    bool refuse_lines;
} seen;

static void on_free(struct sp_connection *connection, void *state) {
    (void)connection;
    free(state);
    seen.freed++;
}

static void keep_state(struct sp_http_request *request) {
    if (request->state == NULL) {
        request->state = calloc(1, 100);
        request->free_state = on_free;
        assert_non_null(request->state);
    }
}

static enum sp_http_verdict say(struct sp_http_request *request, const char *format, ...)
    SP_PRINTF(2, 3);

static enum sp_http_verdict say(struct sp_http_request *request, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct sp_http_reply reply = {
        .status = 200, .content_type = "text/plain", .body = sp_str_from(text)};
    return sp_http_reply(request, &reply);
}

static enum sp_http_verdict on_pair(struct sp_http_request *request) {
    sp_str query = SP_STR("none");
    bool has = sp_http_query(request, "q", &query);
    return say(request, "a=%.*s b=%.*s %d q=%.*s", SP_STR_ARG(sp_http_param(request, "a")),
               SP_STR_ARG(sp_http_param(request, "b")), has, SP_STR_ARG(query));
}

static enum sp_http_verdict on_parameter(struct sp_http_request *request) {
    return say(request, "parameter %.*s", SP_STR_ARG(sp_http_param(request, "x")));
}

static enum sp_http_verdict on_fixed(struct sp_http_request *request) {
    return say(request, "fixed");
}

static enum sp_http_verdict on_body(struct sp_http_request *request) {
    seen.runs++;
    assert_true(request->body_ended);
    return say(request, "%zu bytes: %.*s", request->body.len,
               (int)(request->body.len < 20 ? request->body.len : 20), request->body.ptr);
}

static enum sp_http_verdict on_later(struct sp_http_request *request) {
    seen.runs++;
    if (request->query_count > 0) {
        keep_state(request);
    }
    return seen.later-- > 0 ? SP_HTTP_LATER : say(request, "at last");
}

static enum sp_http_verdict on_wait(struct sp_http_request *request) {
    struct sp_http_wait wait = {.timeout_ms = 5000};
    seen.runs++;
    keep_state(request);
    if (request->timed_out) {
        return say(request, "%.*s was waited for with %.*s", SP_STR_ARG(request->query[0].value),
                   SP_STR_ARG(request->body));
    }
    return sp_http_wait(request, &wait);
}

static enum sp_http_verdict on_entry(struct sp_http_request *request) {
    struct sp_key key;
    assert_int_equal(sp_key_parse(request->server->bus, SP_STR("s"), &key, NULL), SP_OK);
    uint64_t length = 0;
    sp_status status = sp_bus_length(request->server->bus, &key, &length, NULL);
    length = status == SP_OK ? length : 0;
    if (length > 0 || request->timed_out) {
        return say(request, "%d entries", (int)length);
    }
    struct sp_http_wait wait = {.keys = &key, .count = 1, .timeout_ms = 60000};
    return sp_http_wait(request, &wait);
}

static enum sp_http_verdict on_open(struct sp_http_request *request) {
    keep_state(request);
    seen.open = request->connection;
    enum sp_http_verdict verdict = sp_http_stream_begin(request, 200, "text/event-stream", NULL, 0);
    if (verdict == SP_HTTP_OPEN) {
        assert_true(sp_http_stream_write(request->connection, SP_STR("first")));
    }
    if (request->query_count > 0) { /* all of it at once */
        sp_http_stream_end(request->connection);
    }
    return verdict;
}

/* Counts whole lines; takes no more than a thousand a run. */
static enum sp_http_verdict on_lines(struct sp_http_request *request) {
    seen.runs++;
    keep_state(request);
    size_t *count = request->state;
    size_t at = 0;
    for (int i = 0; i < 1000; i++) {
        const char *end = at < request->body.len
                              ? memchr(request->body.ptr + at, '\n', request->body.len - at)
                              : NULL;
        if (end == NULL) {
            break;
        }
        at = (size_t)(end - request->body.ptr) + 1;
        ++*count;
    }
    if (seen.refuse_lines && *count >= 3) {
        return sp_http_refuse(request, 400, "line", "line %zu", *count);
    }
    if (request->body_ended && at == request->body.len) {
        return say(request, "%zu lines", *count);
    }
    request->body_taken = at;
    if (seen.later > 0 && at == 0) {
        seen.later--;
        return SP_HTTP_LATER;
    }
    return request->body_ended && at == 0 ? say(request, "%zu and a half", *count) : SP_HTTP_MORE;
}

static const struct sp_http_route ROUTES[] = {
    {SP_HTTP_GET, "/pair/{a}/and/{b}", 0, on_pair},
    {SP_HTTP_GET, "/one/{x}", 0, on_parameter},
    {SP_HTTP_GET, "/one/fixed", 0, on_fixed},
    {SP_HTTP_PUT, "/one/{x}", 0, on_body},
    {SP_HTTP_POST, "/body", SP_HTTP_WRITE, on_body},
    {SP_HTTP_GET, "/later", SP_HTTP_READ, on_later},
    {SP_HTTP_POST, "/wait", SP_HTTP_READ, on_wait},
    {SP_HTTP_GET, "/entry", SP_HTTP_READ, on_entry},
    {SP_HTTP_GET, "/open", SP_HTTP_READ, on_open},
    {SP_HTTP_POST, "/lines", SP_HTTP_WRITE | SP_HTTP_STREAMED, on_lines},
    {.path = NULL},
};

static int begin(void **state) {
    static const struct sp_http_route *const TABLES[] = {ROUTES, sp_http_append_routes, NULL};
    int code = desk_begin(state);
    struct desk *desk = *state;
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(sp_http_init(desk->server, TABLES, NULL), SP_OK);
    return code;
}

static struct sp_connection *connect_http(struct desk *desk) {
    struct sp_connection *connection = desk_connect(desk);
    sp_http_attach(connection);
    return connection;
}

static void feed(struct desk *desk, struct sp_connection *connection, const char *text) {
    sp_connection_feed(connection, text, strlen(text));
    desk_turn(desk);
}

/* What stands behind the head of the one reply that was heard; its status is compared. */
static const char *heard(struct desk *desk, struct sp_connection *connection, int status) {
    char line[32];
    const char *text = desk_hear(desk, connection);
    (void)snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (strncmp(text, line, strlen(line)) != 0) {
        fail_msg("no reply with %d: '%s'", status, text);
    }
    const char *body = strstr(text, "||");
    assert_non_null(body);
    return body + 2;
}

static void asks(struct desk *desk, struct sp_connection *connection, const char *line, int status,
                 const char *body) {
    char text[512];
    (void)snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: x\r\n\r\n", line);
    feed(desk, connection, text);
    const char *got = heard(desk, connection, status);
    if (strstr(got, body) != got) {
        fail_msg("%s: '%s', not '%s'", line, got, body);
    }
}

static void test_routes_are_found(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    asks(desk, client, "GET /pair/1/and/2", 200, "a=1 b=2 0 q=none");
    asks(desk, client, "GET /pair/a%2Fb/and/%C3%A4?x=1&q=a+b%2B&q=no", 200,
         "a=a/b b=\xc3\xa4 1 q=a b+");
    asks(desk, client, "GET /%70air/1/and/+", 200, "a=1 b=+ 0");
    asks(desk, client, "GET /one/fixed", 200, "fixed");
    asks(desk, client, "GET /one/other", 200, "parameter other");
    asks(desk, client, "GET /one/", 404, "{");
    asks(desk, client, "GET /pair/1/or/2", 404, "{");
    asks(desk, client, "DELETE /one/other", 405, "{");
    /* The path means the row that is literal earlier, whatever methods the others have. */
    asks(desk, client, "PUT /one/fixed", 405, "{");
    asks(desk, client, "PUT /one/other", 200, "0 bytes");
    asks(desk, client, "HEAD /one/fixed", 200, "");
}

static void test_whole_bodies_reach_their_handler_once(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    feed(desk, client, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    assert_string_equal(heard(desk, client, 200), "5 bytes: hello");
    feed(desk, client, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe");
    assert_string_equal(desk_hear(desk, client), "");
    feed(desk, client, "l");
    feed(desk, client, "loPOST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r");
    assert_string_equal(heard(desk, client, 200), "5 bytes: hello");
    feed(desk, client, "\nabc\r\n0\r\n\r\nGET /one/fixed HTTP/1.1\r\nHost: x\r\n\r\n");
    const char *text = heard(desk, client, 200);
    assert_non_null(strstr(text, "3 bytes: abcHTTP/1.1 200 OK|"));
    assert_non_null(strstr(text, "||fixed"));
    assert_int_equal(seen.runs, 3);
    assert_int_equal(desk->server->buffer_bytes < 100000, 1);
}

static void test_a_busy_store_is_asked_again(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    seen.later = 5;
    asks(desk, client, "GET /later", 200, "at last");
    assert_int_equal(seen.runs, 6);
    seen.later = 5;
    asks(desk, client, "GET /later?keep", 200, "at last");
    assert_int_equal(seen.freed, 1);
    /* After too long the client is told. */
    seen.later = 1000000;
    sp_connection_feed(client, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n", 32);
    sp_server_tick(desk->server);
    (void)sp_server_turn(desk->server);
    assert_string_equal(desk_hear(desk, client), "");
    desk->monotonic_ns += UINT64_C(6000) * 1000000;
    sp_server_tick(desk->server);
    (void)sp_server_turn(desk->server);
    const char *text = desk_hear(desk, client);
    assert_true(strncmp(text, "HTTP/1.1 429 ", 13) == 0);
    assert_non_null(strstr(text, "|Retry-After: 1|"));
    asks(desk, client, "GET /one/fixed", 200, "fixed");
}

/* What was appended is told when it is durable, and read no sooner by whoever appended it. */
static void test_replies_wait_for_the_disk(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    static const char TEXT[] =
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 41\r\n\r\n{\"type\":\"a.b\",\"source\":\"me\",\"stream\":\"s\"}"
        "GET /entry HTTP/1.1\r\nHost: x\r\n\r\nGET /one/fixed HTTP/1.1\r\nHost: x\r\n\r\n";
    sp_connection_feed(client, TEXT, sizeof(TEXT) - 1);
    assert_true(sp_output_gate(&client->output) != 0);
    assert_true(sp_connection_unsent(client) > 0);
    assert_true((client->pause & SP_PAUSE_GATE) != 0);
    assert_string_equal(desk_hear(desk, client), "");
    desk_turn(desk);
    const char *text = heard(desk, client, 201);
    const char *second = strstr(text, "||1 entriesHTTP/1.1 200 OK|");
    assert_non_null(second);
    assert_non_null(strstr(second, "||fixed"));
}

static void test_a_request_waits_for_a_time(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    feed(desk, client,
         "POST /wait?for=Godo%74 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nhope"
         "GET /one/fixed HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(desk_sleep(desk, 4000), 1000);
    assert_string_equal(desk_hear(desk, client), "");
    (void)desk_sleep(desk, 1000);
    const char *text = heard(desk, client, 200);
    assert_non_null(strstr(text, "Godot was waited for with hopeHTTP/1.1 200 OK|"));
    assert_non_null(strstr(text, "||fixed"));
    assert_int_equal(seen.runs, 2);
    assert_int_equal(seen.freed, 1);
    feed(desk, client, "POST /wait?a=b HTTP/1.1\r\nHost: x\r\n\r\n");
    desk_hang_up(desk, client);
    assert_int_equal(seen.freed, 2);
}

static void test_a_request_waits_for_an_entry(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    struct sp_connection *other = desk_connect(desk);
    feed(desk, client, "GET /entry HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(desk_hear(desk, client), "");
    desk_say(desk, other, "XADD other * a b");
    assert_string_equal(desk_hear(desk, client), "");
    desk_say(desk, other, "XADD s * a b");
    assert_string_equal(heard(desk, client, 200), "1 entries");
    asks(desk, client, "GET /entry", 200, "1 entries");
}

static void test_a_streamed_reply_goes_on(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    feed(desk, client,
         "GET /open HTTP/1.1\r\nHost: x\r\n\r\nGET /one/fixed HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(heard(desk, client, 200), "5|first|");
    assert_true(sp_http_stream_is_open(client) && sp_connection_stays(client));
    assert_true(sp_http_stream_write(client, SP_STR("second")));
    assert_true(sp_http_stream_write(client, SP_STR("")));
    struct sp_blob *blob = sp_blob_new(SP_OUTPUT_COPY_BYTES_MAX + 1, 16);
    assert_non_null(blob);
    blob->len = SP_OUTPUT_COPY_BYTES_MAX + 1;
    memset(blob->data, 'x', blob->len);
    assert_true(sp_http_stream_push(client, blob));
    desk_turn(desk);
    const char *text = desk_hear(desk, client);
    assert_true(strncmp(text, "6|second|801|xxxx", 17) == 0);
    assert_int_equal(strlen(text), 9 + 4 + blob->len + 1);
    sp_blob_unref(blob);
    assert_int_equal(seen.freed, 0);
    sp_http_stream_end(client);
    desk_turn(desk);
    text = desk_hear(desk, client);
    assert_true(strncmp(text, "0||HTTP/1.1 200 OK|", 19) == 0);
    assert_non_null(strstr(text, "||fixed"));
    assert_int_equal(seen.freed, 1);
    assert_false(sp_http_stream_is_open(client));
    assert_false(sp_http_stream_write(client, SP_STR("late")));
    asks(desk, client, "GET /open?at=once", 200, "5|first|0||");
    asks(desk, client, "HEAD /open", 200, "");
    assert_int_equal(seen.freed, 3);
    asks(desk, client, "GET /one/fixed", 200, "fixed");
}

static void test_streams_of_old_clients_and_of_those_who_leave(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    feed(desk, client, "GET /open HTTP/1.0\r\n\r\n");
    assert_string_equal(heard(desk, client, 200), "first");
    sp_http_stream_end(client);
    desk_turn(desk);
    assert_string_equal(desk_hear(desk, client), "");
    assert_true((client->pause & SP_PAUSE_CLOSING) != 0);
    client = connect_http(desk);
    feed(desk, client, "GET /open HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(seen.freed, 1);
    desk_hang_up(desk, client);
    assert_int_equal(seen.freed, 2);
    client = connect_http(desk);
    feed(desk, client, "GET /open HTTP/1.1\r\nHost: x\r\n\r\n");
    (void)desk_hear(desk, client);
    client->protocol->stop(client); /* the server ends */
    assert_string_equal(desk_hear(desk, client), "0||");
    assert_int_equal(seen.freed, 3);
}

static void test_a_client_that_does_not_read_is_not_sent_more(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    static char piece[1 << 20];
    feed(desk, client, "GET /open HTTP/1.1\r\nHost: x\r\n\r\n");
    memset(piece, 'p', sizeof(piece));
    int taken = 0;
    while (sp_http_stream_write(client, sp_str_of(piece, sizeof(piece)))) {
        taken++;
    }
    assert_int_equal(taken, 7); /* output-buffer is 8 MiB */
    assert_true(sp_http_stream_is_open(client) && !client->broken);
    desk_hang_up(desk, client);
}

static void test_bodies_are_taken_in_pieces(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    feed(desk, client, "POST /lines HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na\nbb\nc");
    assert_string_equal(desk_hear(desk, client), "");
    feed(desk, client, "c\n\n");
    assert_string_equal(heard(desk, client, 200), "4 lines");
    feed(desk, client, "POST /lines HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(heard(desk, client, 200), "0 lines");
    feed(desk, client, "POST /lines HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na\nb");
    assert_string_equal(heard(desk, client, 200), "1 and a half");
    seen.later = 3;
    feed(desk, client,
         "POST /lines HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    feed(desk, client, "2\r\n\nb\r\n0\r\n\r\n");
    assert_string_equal(heard(desk, client, 200), "1 and a half");
    assert_int_equal(seen.later, 0);
    assert_int_equal(seen.freed, 4);
}

static void test_a_long_body_holds_no_memory(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    char head[128];
    static char lines[64 << 10];
    for (size_t i = 0; i < sizeof(lines); i++) {
        lines[i] = i % 64 == 63 ? '\n' : 'l';
    }
    (void)snprintf(head, sizeof(head),
                   "POST /lines HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
                   64 * LINES_BYTES);
    feed(desk, client, head);
    for (size_t sent = 0; sent < (size_t)64 * LINES_BYTES; sent += sizeof(lines)) {
        sp_connection_feed(client, lines, sizeof(lines));
        assert_true(desk->server->buffer_bytes < (1 << 20));
    }
    desk_turn(desk);
    assert_string_equal(heard(desk, client, 200), "6291456 lines");
    /* One line alone that is larger than what is kept of a body. */
    feed(desk, client, head);
    memset(lines, 'l', sizeof(lines));
    for (int i = 0; i < 65 && !client->http.lingers; i++) {
        sp_connection_feed(client, lines, sizeof(lines));
    }
    desk_turn(desk);
    (void)heard(desk, client, 413);
    assert_true(client->http.lingers);
    assert_int_equal(seen.freed, 2);
}

static void test_a_body_may_be_refused_in_the_middle(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = connect_http(desk);
    seen.refuse_lines = true;
    feed(desk, client, "POST /lines HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na\nb\n");
    feed(desk, client, "c\nd\n");
    const char *text = desk_hear(desk, client);
    assert_true(strncmp(text, "HTTP/1.1 400 ", 13) == 0);
    assert_non_null(strstr(text, "|Connection: close|"));
    assert_true(client->http.lingers);
    int runs = seen.runs;
    feed(desk, client, "e\nf\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"); /* is read away */
    assert_string_equal(desk_hear(desk, client), "");
    assert_int_equal(seen.runs, runs);
}

#define WITH_DESK(name) cmocka_unit_test_setup_teardown(name, begin, desk_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_DESK(test_routes_are_found),
        WITH_DESK(test_whole_bodies_reach_their_handler_once),
        WITH_DESK(test_a_busy_store_is_asked_again),
        WITH_DESK(test_replies_wait_for_the_disk),
        WITH_DESK(test_a_request_waits_for_a_time),
        WITH_DESK(test_a_request_waits_for_an_entry),
        WITH_DESK(test_a_streamed_reply_goes_on),
        WITH_DESK(test_streams_of_old_clients_and_of_those_who_leave),
        WITH_DESK(test_a_client_that_does_not_read_is_not_sent_more),
        WITH_DESK(test_bodies_are_taken_in_pieces),
        WITH_DESK(test_a_long_body_holds_no_memory),
        WITH_DESK(test_a_body_may_be_refused_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
