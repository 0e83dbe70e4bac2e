/* Replies: whole ones, problems, streamed ones. */
#include <stdio.h>

#include "proto/http_write.h"
#include "server/http_int.h"

enum {
    MS_PER_S = 1000,
    DETAIL_SIZE = 1024,
    RETRY_AFTER_S = 1,
    CHUNK_EXTRA_BYTES = SP_HTTP_CHUNK_HEAD_SIZE + 2,
};

/* ---- heads ----------------------------------------------------------------------------------- */

/* The Date header's value, made once a second. */
static sp_str date_of(struct sp_server *server) {
    struct sp_http *http = server->http;
    uint64_t now_s = server->wall_ms / MS_PER_S;
    if (http->date_s != now_s || http->date_len == 0) {
        http->date_s = now_s;
        http->date_len = sp_http_date(server->wall_ms, http->date);
    }
    return sp_str_of(http->date, http->date_len);
}

void http_begin_head(struct sp_connection *connection, struct sp_http_request *request,
                     int status) {
    struct sp_buf *to = &connection->output.bytes;
    connection->server->stats.http_replies[status / 100]++;
    sp_http_add_status(to, status);
    sp_buf_add_str(to, SP_STR("Date: "));
    sp_buf_add_str(to, date_of(connection->server));
    sp_buf_add_str(to, SP_STR("\r\n"));
    if (request == NULL || request->closes) {
        sp_buf_add_str(to, SP_STR("Connection: close\r\n"));
    } else if (request->head->minor == 0) {
        sp_buf_add_str(to, SP_STR("Connection: keep-alive\r\n"));
    }
    if (request != NULL) {
        request->status = status;
        http_add_cors(request, to);
    }
}

static void add_fields(struct sp_buf *to, const struct sp_http_pair *fields, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        sp_http_add_field(to, fields[i].name, fields[i].value);
    }
}

/* ---- whole replies --------------------------------------------------------------------------- */

bool sp_http_takes_gzip(const struct sp_http_request *request) {
    sp_str accepted = sp_http_header(request, "accept-encoding");
    int weight = sp_http_weight(accepted, SP_STR("gzip"));
    return (weight >= 0 ? weight : sp_http_weight(accepted, SP_STR("*"))) > 0;
}

/* The body deflated; what is returned is empty where that does not pay. */
static sp_str zip(struct sp_http_request *request, sp_str body) {
    struct sp_http *http = request->server->http;
    if (http->gzip == NULL) {
        http->gzip = sp_gzip_new();
    }
    http->zipped.len = 0;
    http->zipped.status = SP_OK;
    if (http->gzip == NULL || !sp_gzip_add(http->gzip, &http->zipped, body)) {
        return sp_str_of(NULL, 0);
    }
    return sp_buf_str(&http->zipped);
}

static bool has_length(int status) {
    return status >= 200 && status != 204 && status != 304;
}

/* The reply is larger than may be: what was written of it is taken back. */
static enum sp_http_verdict refuse_size(struct sp_http_request *request) {
    bool limit = request->connection->output.bytes.status == SP_LIMIT;
    if (limit) {
        return sp_http_refuse(request, 400, "reply-too-large",
                              "the reply would be larger than reply-bytes-max: ask for less with "
                              "limit");
    }
    return sp_http_refuse(request, 503, "no-memory", "out of memory");
}

enum sp_http_verdict sp_http_reply(struct sp_http_request *request,
                                   const struct sp_http_reply *reply) {
    struct sp_buf *to = &request->connection->output.bytes;
    sp_str body = reply->body;
    bool large = reply->content_type != NULL && body.len > SP_HTTP_GZIP_BYTES_MIN;
    bool zips = large && !reply->is_gzip && sp_http_takes_gzip(request);
    sp_str zipped = zips ? zip(request, body) : sp_str_of(NULL, 0);
    http_begin_head(request->connection, request, reply->status);
    if (reply->content_type != NULL) {
        sp_http_add_field(to, SP_STR("Content-Type"), sp_str_from(reply->content_type));
    }
    add_fields(to, reply->fields, reply->field_count);
    if (large) {
        sp_buf_add_str(to, SP_STR("Vary: Accept-Encoding\r\n"));
    }
    if (zipped.len > 0 || reply->is_gzip) {
        sp_buf_add_str(to, SP_STR("Content-Encoding: gzip\r\n"));
        body = reply->is_gzip ? body : zipped;
    }
    if (has_length(reply->status)) {
        sp_http_add_field_u64(to, SP_STR("Content-Length"), body.len);
    }
    sp_buf_add_str(to, SP_STR("\r\n"));
    if (request->head->method != SP_HTTP_HEAD) {
        sp_buf_add_str(to, body);
    }
    return to->status == SP_OK ? SP_HTTP_DONE : refuse_size(request);
}

enum sp_http_verdict sp_http_json(struct sp_http_request *request, int status, sp_str body) {
    struct sp_http_reply reply = {
        .status = status, .content_type = "application/json", .body = body};
    return sp_http_reply(request, &reply);
}

enum sp_http_verdict sp_http_nothing(struct sp_http_request *request) {
    struct sp_http_reply reply = {.status = 204};
    return sp_http_reply(request, &reply);
}

struct sp_buf *sp_http_scratch(struct sp_http_request *request) {
    sp_buf_reset(&request->server->scratch);
    return &request->server->scratch;
}

/* ---- problems -------------------------------------------------------------------------------- */

static void add_member(struct sp_buf *to, const struct sp_http_member *member) {
    sp_buf_add_str(to, SP_STR(",\""));
    sp_buf_add_str(to, sp_str_from(member->name));
    sp_buf_add_str(to, SP_STR("\":"));
    switch (member->kind) {
    case SP_HTTP_TEXT:
        sp_http_add_json_text(to, member->text);
        break;
    case SP_HTTP_NUMBER:
        sp_buf_add_u64(to, member->number);
        break;
    case SP_HTTP_JSON:
        sp_buf_add_str(to, member->text);
        break;
    }
}

static sp_str write_problem(struct sp_buf *to, const struct sp_http_problem *problem) {
    sp_buf_reset(to);
    sp_buf_add_str(to, SP_STR("{\"type\":\""));
    sp_buf_add_str(to, problem->type != NULL ? SP_STR("urn:spoor:problem:") : SP_STR("about:"));
    sp_buf_add_str(to, sp_str_from(problem->type != NULL ? problem->type : "blank"));
    sp_buf_add_str(to, SP_STR("\",\"title\":\""));
    sp_buf_add_str(to, sp_str_from(sp_http_phrase(problem->status)));
    sp_buf_add_str(to, SP_STR("\",\"status\":"));
    sp_buf_add_u64(to, (uint64_t)problem->status);
    sp_buf_add_str(to, SP_STR(",\"detail\":"));
    sp_http_add_json_text(to, problem->detail);
    for (uint32_t i = 0; i < problem->member_count; i++) {
        add_member(to, &problem->members[i]);
    }
    sp_buf_add_str(to, SP_STR("}\n"));
    return sp_buf_str(to);
}

/*
 * What a password may come by. A browser that is offered Basic asks for it in a window of its own
 * before the page hears anything: what a script asks for (Sec-Fetch-Dest: empty) is not offered it.
 */
static void add_challenges(struct sp_buf *to, const struct sp_http_request *request) {
    sp_buf_add_str(to, SP_STR("WWW-Authenticate: Bearer realm=\"spoor\"\r\n"));
    bool script =
        request != NULL && sp_http_same(sp_http_header(request, "sec-fetch-dest"), SP_STR("empty"));
    if (!script) {
        sp_buf_add_str(to,
                       SP_STR("WWW-Authenticate: Basic realm=\"spoor\", charset=\"UTF-8\"\r\n"));
    }
}

/* Writes it behind what is there. `request` may be NULL. */
static void put_problem(struct sp_connection *connection, struct sp_http_request *request,
                        const struct sp_http_problem *problem) {
    struct sp_buf *to = &connection->output.bytes;
    sp_str body = write_problem(&connection->server->http->problem, problem);
    http_begin_head(connection, request, problem->status);
    sp_buf_add_str(to, SP_STR("Content-Type: application/problem+json\r\n"));
    if (problem->retry_after_s > 0) {
        sp_http_add_field_u64(to, SP_STR("Retry-After"), problem->retry_after_s);
    }
    if (problem->status == 401) {
        add_challenges(to, request);
    }
    if (problem->allow.len > 0) {
        sp_http_add_field(to, SP_STR("Allow"), problem->allow);
    }
    if (problem->upgrade.len > 0) {
        sp_http_add_field(to, SP_STR("Upgrade"), problem->upgrade);
    }
    sp_http_add_field_u64(to, SP_STR("Content-Length"), body.len);
    sp_buf_add_str(to, SP_STR("\r\n"));
    if (request == NULL || request->head->method != SP_HTTP_HEAD) {
        sp_buf_add_str(to, body);
    }
    connection->server->stats.errors++;
    if (to->status != SP_OK) {
        sp_connection_break(connection);
    }
}

enum sp_http_verdict sp_http_problem(struct sp_http_request *request,
                                     const struct sp_http_problem *problem) {
    struct sp_connection *connection = request->connection;
    sp_require(problem->status >= 400 && problem->status <= 599);
    if (connection->http.stream_open) {
        sp_http_stream_abort(connection); /* a reply has begun: nothing else can be said */
        return SP_HTTP_DONE;
    }
    connection->output.bytes.len = request->server->http->from;
    connection->output.bytes.status = SP_OK;
    put_problem(connection, request, problem);
    return SP_HTTP_DONE;
}

enum sp_http_verdict sp_http_refuse(struct sp_http_request *request, int status, const char *type,
                                    const char *format, ...) {
    char text[DETAIL_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct sp_http_problem problem = {
        .status = status,
        .type = type,
        .detail = sp_str_from(text),
        .retry_after_s = status == 429 || status == 503 ? RETRY_AFTER_S : 0,
    };
    return sp_http_problem(request, &problem);
}

int sp_http_status_of(sp_status status) {
    switch (status) {
    case SP_OK:
    case SP_END:
        return 200;
    case SP_INVALID:
        return 400;
    case SP_DENIED:
        return 403;
    case SP_NOT_FOUND:
        return 404;
    case SP_CONFLICT:
        return 409;
    case SP_LIMIT:
        return 413;
    case SP_BUSY:
        return 429;
    case SP_CORRUPT:
        return 500;
    case SP_UNSUPPORTED:
        return 501;
    case SP_TIMEOUT:
        return 504;
    case SP_NO_SPACE:
        return 507;
    case SP_FAILED:
    case SP_IO:
    case SP_FENCED:
    case SP_NO_MEMORY:
    case SP_CANCELLED:
        return 503;
    }
    sp_never();
}

/* `not_found` as `not-found`. */
static void format_type(sp_status status, char *to, size_t size) {
    (void)snprintf(to, size, "%s", sp_status_name(status));
    for (char *at = to; *at != '\0'; at++) {
        *at = *at == '_' ? '-' : *at;
    }
}

enum sp_http_verdict sp_http_refuse_status(struct sp_http_request *request, sp_status status,
                                           const struct sp_error *error) {
    char type[32];
    sp_require(status != SP_OK && status != SP_END);
    if (status == SP_BUSY) {
        return SP_HTTP_LATER;
    }
    bool told = error != NULL && error->status != SP_OK && error->text[0] != '\0';
    format_type(status, type, sizeof(type));
    return sp_http_refuse(request, sp_http_status_of(status), type, "%s",
                          told ? error->text : sp_status_text(status));
}

void http_refuse_unread(struct sp_connection *connection, int status, const char *text) {
    static const struct {
        int status;
        const char *type;
    } TYPES[] = {
        {408, "request-timeout"},   {413, "body-too-large"},       {414, "target-too-long"},
        {417, "unmet-expectation"}, {431, "head-too-large"},       {501, "not-implemented"},
        {505, "version-unknown"},   {503, "too-many-connections"},
    };
    struct sp_http_problem problem = {
        .status = status, .type = "malformed-request", .detail = sp_str_from(text)};
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(*TYPES); i++) {
        problem.type = TYPES[i].status == status ? TYPES[i].type : problem.type;
    }
    put_problem(connection, NULL, &problem);
}

/* ---- methods --------------------------------------------------------------------------------- */

/* `GET, HEAD, POST`; OPTIONS is always there. */
static sp_str list_methods(unsigned methods, char *to, size_t size) {
    static const struct {
        enum sp_http_method method;
        const char *name;
    } NAMES[] = {
        {SP_HTTP_GET, "GET"},         {SP_HTTP_HEAD, "HEAD"},   {SP_HTTP_POST, "POST"},
        {SP_HTTP_PUT, "PUT"},         {SP_HTTP_PATCH, "PATCH"}, {SP_HTTP_DELETE, "DELETE"},
        {SP_HTTP_OPTIONS, "OPTIONS"},
    };
    size_t len = 0;
    methods |= SP_HTTP_OPTIONS;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(*NAMES); i++) {
        if ((methods & NAMES[i].method) != 0) {
            len +=
                (size_t)snprintf(to + len, size - len, "%s%s", len > 0 ? ", " : "", NAMES[i].name);
        }
    }
    return sp_str_of(to, len);
}

void http_refuse_method(struct sp_http_request *request, unsigned methods) {
    char list[64];
    char detail[DETAIL_SIZE];
    struct sp_http_problem problem = {.status = 405, .type = "method-not-allowed"};
    problem.allow = list_methods(methods, list, sizeof(list));
    sp_str method = request->head->method_text;
    sp_str path = request->head->path;
    (void)snprintf(detail, sizeof(detail), "%.*s is not for %.*s, which has %s", SP_STR_ARG(method),
                   (int)(path.len > 200 ? 200 : path.len), path.ptr, list);
    problem.detail = sp_str_from(detail);
    (void)sp_http_problem(request, &problem);
}

void http_reply_options(struct sp_http_request *request, unsigned methods) {
    char list[64];
    bool preflight = sp_http_has_header(request, "access-control-request-method");
    struct sp_http_pair fields[] = {
        {SP_STR("Allow"), list_methods(methods, list, sizeof(list))},
        {SP_STR("Access-Control-Allow-Methods"), sp_str_from(list)},
        {SP_STR("Access-Control-Allow-Headers"),
         sp_http_header(request, "access-control-request-headers")},
        {SP_STR("Access-Control-Max-Age"), SP_STR("600")},
    };
    struct sp_http_reply reply = {.status = 204, .fields = fields, .field_count = 1};
    if (preflight && http_allows_origin(request)) {
        reply.field_count = sizeof(fields) / sizeof(*fields);
    }
    (void)sp_http_reply(request, &reply);
}

void http_upgrade(struct sp_http_request *request, const char *protocol) {
    struct sp_buf *to = &request->connection->output.bytes;
    request->status = 101;
    request->server->stats.http_replies[1]++;
    sp_http_add_status(to, 101);
    sp_buf_add_str(to, SP_STR("Connection: Upgrade\r\n"));
    sp_http_add_field(to, SP_STR("Upgrade"), sp_str_from(protocol));
    sp_buf_add_str(to, SP_STR("\r\n"));
}

/* ---- streamed replies ------------------------------------------------------------------------ */

enum sp_http_verdict sp_http_stream_begin(struct sp_http_request *request, int status,
                                          const char *content_type,
                                          const struct sp_http_pair *fields, uint32_t field_count) {
    struct sp_connection *connection = request->connection;
    struct sp_buf *to = &connection->output.bytes;
    bool chunked = request->head->minor > 0;
    sp_require(!connection->http.stream_open);
    request->closes = request->closes || !chunked;
    http_begin_head(connection, request, status);
    sp_http_add_field(to, SP_STR("Content-Type"), sp_str_from(content_type));
    add_fields(to, fields, field_count);
    if (chunked) {
        sp_buf_add_str(to, SP_STR("Transfer-Encoding: chunked\r\n"));
    }
    sp_buf_add_str(to, SP_STR("\r\n"));
    if (to->status != SP_OK) {
        return refuse_size(request);
    }
    if (request->head->method == SP_HTTP_HEAD) {
        return SP_HTTP_DONE;
    }
    http_hold(request);
    connection->http.stream_open = true;
    connection->http.stream_chunked = chunked;
    return SP_HTTP_OPEN;
}

bool sp_http_stream_is_open(const struct sp_connection *connection) {
    return connection->http.stream_open;
}

/* True where the client may be sent so many bytes more. */
static bool takes(struct sp_connection *connection, size_t bytes) {
    uint64_t most = sp_settings_u64(&connection->server->settings, SP_SET_OUTPUT_BUFFER);
    size_t unsent = sp_connection_unsent(connection);
    return connection->http.stream_open && !connection->broken &&
           (unsent == 0 || unsent + bytes <= most);
}

static void begin_chunk(struct sp_connection *connection, size_t len) {
    char head[SP_HTTP_CHUNK_HEAD_SIZE];
    sp_spare_lend(&connection->server->spares, &connection->output.bytes);
    if (connection->http.stream_chunked) {
        sp_buf_add(&connection->output.bytes, head, sp_http_chunk_head(len, head));
    }
}

static void end_chunk(struct sp_connection *connection) {
    if (connection->http.stream_chunked) {
        sp_buf_add_str(&connection->output.bytes, SP_STR("\r\n"));
    }
    sp_connection_touch(connection);
}

/* Takes back what was written from `len` on: it did not fit. */
static bool take_back(struct sp_connection *connection, size_t len) {
    connection->output.bytes.len = len;
    connection->output.bytes.status = SP_OK;
    return false;
}

bool sp_http_stream_write(struct sp_connection *connection, sp_str bytes) {
    struct sp_buf *to = &connection->output.bytes;
    size_t len = to->len;
    if (bytes.len == 0 || !takes(connection, bytes.len)) {
        return bytes.len == 0 && connection->http.stream_open;
    }
    begin_chunk(connection, bytes.len);
    sp_buf_add_str(to, bytes);
    end_chunk(connection);
    return to->status == SP_OK || take_back(connection, len);
}

bool sp_http_stream_push(struct sp_connection *connection, struct sp_blob *message) {
    struct sp_buf *to = &connection->output.bytes;
    size_t len = to->len;
    if (message->len <= SP_OUTPUT_COPY_BYTES_MAX) {
        return sp_http_stream_write(connection, sp_str_of(message->data, message->len));
    }
    if (!takes(connection, message->len)) {
        return false;
    }
    sp_spare_lend(&connection->server->spares, to);
    if (sp_buf_reserve(to, CHUNK_EXTRA_BYTES) == NULL) {
        return take_back(connection, len);
    }
    begin_chunk(connection, message->len);
    if (!sp_output_share(&connection->output, message)) {
        return take_back(connection, len);
    }
    if (connection->server->http->running == connection) {
        connection->server->http->shared = true;
    }
    end_chunk(connection);
    sp_ensure(to->status == SP_OK);
    return true;
}

static void finish_stream(struct sp_connection *connection) {
    connection->http.stream_open = false;
    sp_connection_touch(connection);
    if (connection->server->http->running != connection) {
        http_end_exchange(connection);
    }
}

void sp_http_stream_end(struct sp_connection *connection) {
    struct sp_buf *to = &connection->output.bytes;
    if (!connection->http.stream_open) {
        return;
    }
    sp_spare_lend(&connection->server->spares, to);
    if (connection->http.stream_chunked) {
        sp_buf_add_str(to, SP_STR("0\r\n\r\n"));
    }
    if (to->status != SP_OK) {
        sp_connection_break(connection);
    }
    finish_stream(connection);
}

void sp_http_stream_abort(struct sp_connection *connection) {
    if (connection->http.stream_open) {
        sp_connection_break(connection);
        finish_stream(connection);
    }
}
