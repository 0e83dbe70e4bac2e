/* Which route a request means: paths, parameters, methods. */
#include <stdlib.h>

#include "proto/cloudevent.h"
#include "server/http_int.h"

enum { DECODED_BYTES_MAX = 64 << 10, ROWS_MAX = 1024, FIRST_SEGMENT = 31 };

/* ---- the tables ------------------------------------------------------------------------------ */

static bool is_parameter(sp_str segment) {
    return segment.len > 2 && segment.ptr[0] == '{' && segment.ptr[segment.len - 1] == '}';
}

/* Takes the next segment off a path that begins with a slash. */
static sp_str take_segment(sp_str *path) {
    *path = sp_str_from_byte(*path, 1);
    const char *slash = path->len > 0 ? memchr(path->ptr, '/', path->len) : NULL;
    size_t len = slash != NULL ? (size_t)(slash - path->ptr) : path->len;
    sp_str segment = sp_str_of(path->ptr, len);
    *path = sp_str_from_byte(*path, len);
    return segment;
}

static void add_row(struct sp_http *http, const struct sp_http_route *route) {
    struct http_row *row = &http->rows[http->row_count++];
    sp_str path = sp_str_from(route->path);
    uint32_t params = 0;
    *row = (struct http_row){.route = route};
    sp_require(path.len > 0 && path.ptr[0] == '/' && route->handler != NULL);
    sp_require(route->method != SP_HTTP_HEAD && route->method != SP_HTTP_OPTIONS);
    while (path.len > 0) {
        sp_require(row->segment_count < HTTP_SEGMENTS_MAX);
        sp_str segment = take_segment(&path);
        bool parameter = is_parameter(segment);
        params += parameter;
        row->literals |= parameter ? 0 : 1u << (FIRST_SEGMENT - row->segment_count);
        row->segments[row->segment_count++] = segment;
    }
    sp_require(params <= SP_HTTP_PARAMS_MAX);
}

sp_status http_rows_init(struct sp_http *http, const struct sp_http_route *const *tables,
                         struct sp_error *error) {
    uint32_t count = 0;
    for (size_t i = 0; tables[i] != NULL; i++) {
        for (const struct sp_http_route *at = tables[i]; at->path != NULL; at++) {
            count++;
        }
    }
    sp_require(count > 0 && count <= ROWS_MAX);
    sp_buf_init(&http->decoded, DECODED_BYTES_MAX);
    http->rows = calloc(count, sizeof(*http->rows));
    if (http->rows == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for the table of routes");
    }
    for (size_t i = 0; tables[i] != NULL; i++) {
        for (const struct sp_http_route *at = tables[i]; at->path != NULL; at++) {
            add_row(http, at);
        }
    }
    return SP_OK;
}

/* ---- a path ---------------------------------------------------------------------------------- */

/* The segments of a path, decoded. False where there are more than any route has. */
struct segments {
    uint32_t count;
    sp_str text[HTTP_SEGMENTS_MAX];
};

/* Decodes a part of the target where that is needed. False where a problem was written. */
static bool decode(struct sp_http_request *request, sp_str text, bool plus, const char *where,
                   sp_str *ret_text) {
    struct sp_buf *decoded = &request->server->http->decoded;
    struct sp_error error;
    bool plain = text.len == 0 || (memchr(text.ptr, '%', text.len) == NULL &&
                                   (!plus || memchr(text.ptr, '+', text.len) == NULL));
    if (plain) {
        *ret_text = text;
        return true;
    }
    size_t at = decoded->len;
    sp_error_clear(&error);
    if (sp_http_decode(decoded, text, plus, &error) != SP_OK) {
        (void)sp_http_refuse(request, 400, "invalid-target", "in the %s: %s", where, error.text);
        return false;
    }
    *ret_text = sp_str_of(decoded->data + at, decoded->len - at);
    return true;
}

static bool split_path(struct sp_http_request *request, struct segments *segments,
                       bool *ret_known) {
    sp_str path = request->head->path;
    *ret_known = path.ptr[0] == '/';
    while (path.len > 0 && *ret_known) {
        sp_str segment = take_segment(&path);
        if (segments->count == HTTP_SEGMENTS_MAX) {
            *ret_known = false;
        } else if (!decode(request, segment, false, "path", &segments->text[segments->count++])) {
            return false;
        }
    }
    return true;
}

static bool fits(const struct http_row *row, const struct segments *segments) {
    if (row->segment_count != segments->count) {
        return false;
    }
    for (uint32_t i = 0; i < row->segment_count; i++) {
        bool literal = (row->literals & (1u << (FIRST_SEGMENT - i))) != 0;
        if (literal ? !sp_str_eq(row->segments[i], segments->text[i])
                    : segments->text[i].len == 0) {
            return false;
        }
    }
    return true;
}

/* What was found for a path. */
struct found {
    const struct http_row *row; /* NULL: the path has none for this method */
    uint32_t literals;
    unsigned methods; /* that the path has; 0: there is no such path */
};

static struct found find(const struct sp_http *http, const struct segments *segments,
                         enum sp_http_method method) {
    struct found found = {.row = NULL};
    for (uint32_t i = 0; i < http->row_count; i++) {
        const struct http_row *row = &http->rows[i];
        if (row->literals < found.literals || !fits(row, segments)) {
            continue;
        }
        if (row->literals > found.literals) {
            found = (struct found){.literals = row->literals};
        }
        found.methods |= row->route->method;
        found.row = row->route->method == method ? row : found.row;
    }
    if ((found.methods & SP_HTTP_GET) != 0) {
        found.methods |= SP_HTTP_HEAD;
    }
    return found;
}

static void set_params(struct sp_http_request *request, const struct http_row *row,
                       const struct segments *segments) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < row->segment_count; i++) {
        if ((row->literals & (1u << (FIRST_SEGMENT - i))) == 0) {
            request->params[count++] = segments->text[i];
        }
    }
}

/* ---- the query ------------------------------------------------------------------------------- */

static bool read_query(struct sp_http_request *request) {
    struct sp_http *http = request->server->http;
    sp_str query = request->head->query;
    request->query = http->query;
    request->query_count = 0;
    while (query.len > 0) {
        const char *mark = memchr(query.ptr, '&', query.len);
        size_t len = mark != NULL ? (size_t)(mark - query.ptr) : query.len;
        sp_str pair = sp_str_of(query.ptr, len);
        query = sp_str_from_byte(query, mark != NULL ? len + 1 : len);
        if (len == 0) {
            continue;
        }
        if (request->query_count == SP_HTTP_QUERY_MAX) {
            (void)sp_http_refuse(request, 400, "invalid-target",
                                 "the query has more than %d parameters", SP_HTTP_QUERY_MAX);
            return false;
        }
        const char *equal = memchr(pair.ptr, '=', pair.len);
        size_t name_len = equal != NULL ? (size_t)(equal - pair.ptr) : pair.len;
        struct sp_http_pair *to = &http->query[request->query_count];
        sp_str value = sp_str_from_byte(pair, equal != NULL ? name_len + 1 : name_len);
        if (!decode(request, sp_str_of(pair.ptr, name_len), true, "query", &to->name) ||
            !decode(request, value, true, "query", &to->value)) {
            return false;
        }
        request->query_count++;
    }
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* OPTIONS of the server as a whole, or of a path. */
static bool answer_options(struct sp_http_request *request, unsigned methods) {
    http_reply_options(request, methods);
    return false;
}

static bool refuse_path(struct sp_http_request *request) {
    sp_str path = request->head->path;
    if (request->head->method == SP_HTTP_OPTIONS && sp_str_eq(path, SP_STR("*"))) {
        return answer_options(request, 0);
    }
    size_t shown = path.len > 100 ? 100 : path.len;
    (void)sp_http_refuse(request, 404, "no-such-route",
                         "there is nothing at %.*s: GET "
                         "/v1/openapi.json lists what there is",
                         (int)shown, path.ptr);
    return false;
}

bool http_route(struct sp_http_request *request) {
    struct sp_http *http = request->server->http;
    enum sp_http_method method = request->head->method;
    struct segments segments = {.count = 0};
    bool known = false;
    sp_buf_reset(&http->decoded);
    if (sp_buf_reserve(&http->decoded, request->head->target.len * 2 + 1) == NULL) {
        (void)sp_http_refuse(request, 503, "no-memory", "out of memory");
        return false;
    }
    if (!split_path(request, &segments, &known)) {
        return false;
    }
    struct found found = {.row = NULL};
    if (known) {
        found = find(http, &segments, method == SP_HTTP_HEAD ? SP_HTTP_GET : method);
    }
    if (found.methods == 0) {
        return refuse_path(request);
    }
    if (method == SP_HTTP_OPTIONS) {
        return answer_options(request, found.methods);
    }
    if (found.row == NULL) {
        http_refuse_method(request, found.methods);
        return false;
    }
    request->route = found.row->route;
    set_params(request, found.row, &segments);
    return read_query(request);
}

bool http_takes_pieces(const struct sp_http_request *request) {
    const struct sp_http_head *head = request->head;
    enum sp_ce_mode mode = SP_CE_BINARY;
    if ((request->route->flags & SP_HTTP_STREAMED_LINES) == 0) {
        return (request->route->flags & SP_HTTP_STREAMED) != 0;
    }
    return sp_ce_mode_of(head->headers, head->header_count, &mode, NULL) == SP_OK &&
           mode == SP_CE_LINES;
}

/* ---- what handlers ask ----------------------------------------------------------------------- */

sp_str sp_http_param(const struct sp_http_request *request, const char *name) {
    sp_str path = sp_str_from(request->route->path);
    size_t len = strlen(name);
    uint32_t number = 0;
    while (path.len > 0) {
        sp_str segment = take_segment(&path);
        if (!is_parameter(segment)) {
            continue;
        }
        if (segment.len == len + 2 && memcmp(segment.ptr + 1, name, len) == 0) {
            return request->params[number];
        }
        number++;
    }
    sp_never();
}

bool sp_http_query(const struct sp_http_request *request, const char *name, sp_str *ret_value) {
    sp_str wanted = sp_str_from(name);
    for (uint32_t i = 0; i < request->query_count; i++) {
        if (sp_str_eq(request->query[i].name, wanted)) {
            *ret_value = request->query[i].value;
            return true;
        }
    }
    return false;
}

sp_str sp_http_header(const struct sp_http_request *request, const char *name) {
    sp_str value = {.ptr = NULL};
    (void)!sp_http_find(request->head->headers, request->head->header_count, sp_str_from(name),
                        &value);
    return value;
}

bool sp_http_has_header(const struct sp_http_request *request, const char *name) {
    sp_str value;
    return sp_http_find(request->head->headers, request->head->header_count, sp_str_from(name),
                        &value);
}

bool sp_http_body_is(const struct sp_http_request *request, const char *media_type) {
    sp_str type = sp_http_header(request, "content-type");
    const char *end = type.len > 0 ? memchr(type.ptr, ';', type.len) : NULL;
    type.len = end != NULL ? (size_t)(end - type.ptr) : type.len;
    while (type.len > 0 && (type.ptr[type.len - 1] == ' ' || type.ptr[type.len - 1] == '\t')) {
        type.len--;
    }
    return sp_word_is(type, media_type);
}

bool sp_http_prefers(const struct sp_http_request *request, const char *media_type,
                     const char *instead) {
    sp_str accept = sp_http_header(request, "accept");
    int weight = accept.len == 0 ? -1 : sp_http_weight(accept, sp_str_from(media_type));
    return weight > 0 && weight >= sp_http_weight(accept, sp_str_from(instead));
}
