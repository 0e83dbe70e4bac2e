#include "proto/http_read.h"

#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_escape.h"
#include "base/utf8.h"

enum {
    METHOD_BYTES_MAX = 32,
    REQUEST_LINE_BYTES_MAX = SP_HTTP_TARGET_BYTES_MAX + METHOD_BYTES_MAX + 16,
    SHOWN_BYTES_MAX = 40,
};

/* What is gathered while a head is read. */
struct reading {
    struct sp_http_head *head;
    struct sp_http_fault *fault;
    bool whole;
    bool value_came; /* of the header read last */
};

/* ---- texts ----------------------------------------------------------------------------------- */

static char lower(char byte) {
    return byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
}

bool sp_http_same(sp_str a, sp_str b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (a.ptr[i] != b.ptr[i] && lower(a.ptr[i]) != lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

static sp_str trim(sp_str text) {
    while (text.len > 0 && is_blank(text.ptr[0])) {
        text = sp_str_from_byte(text, 1);
    }
    while (text.len > 0 && is_blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

bool sp_http_find(const struct sp_http_pair *headers, uint32_t count, sp_str name,
                  sp_str *ret_value) {
    for (uint32_t i = 0; i < count; i++) {
        if (headers[i].name.len == name.len && sp_http_same(headers[i].name, name)) {
            *ret_value = headers[i].value;
            return true;
        }
    }
    return false;
}

bool sp_http_list_has(sp_str list, sp_str word) {
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma != NULL ? (size_t)(comma - list.ptr) : list.len;
        if (sp_http_same(trim(sp_str_of(list.ptr, len)), word)) {
            return true;
        }
        list = sp_str_from_byte(list, comma != NULL ? len + 1 : len);
    }
    return false;
}

/* `0.8` in thousandths; what is no weight is 0. */
static int read_weight(sp_str text) {
    int weight = 0;
    int scale = 1000;
    for (size_t i = 0; i < text.len && i < 5; i++) {
        char byte = text.ptr[i];
        if (i == 1 && byte == '.') {
            continue;
        }
        if (byte < '0' || byte > '9' || i == 1) {
            return 0;
        }
        weight += (byte - '0') * scale;
        scale /= 10;
    }
    return weight > 1000 ? 1000 : weight;
}

/* Takes what stands before the next such byte off the text, and that byte; without blanks. */
static sp_str take_until(sp_str *text, char byte) {
    const char *mark = memchr(text->ptr, byte, text->len);
    size_t len = mark != NULL ? (size_t)(mark - text->ptr) : text->len;
    sp_str part = trim(sp_str_of(text->ptr, len));
    *text = sp_str_from_byte(*text, mark != NULL ? len + 1 : len);
    return part;
}

int sp_http_weight(sp_str list, sp_str word) {
    while (list.len > 0) {
        sp_str item = take_until(&list, ',');
        if (item.len == 0 || !sp_http_same(take_until(&item, ';'), word)) {
            continue;
        }
        while (item.len > 0) {
            sp_str parameter = take_until(&item, ';');
            if (sp_http_same(sp_str_of(parameter.ptr, parameter.len < 2 ? 0 : 2), SP_STR("q="))) {
                return read_weight(sp_str_from_byte(parameter, 2));
            }
        }
        return 1000;
    }
    return -1;
}

/* ---- faults ---------------------------------------------------------------------------------- */

static enum sp_http_result fail(struct sp_http_fault *fault, int status, const char *text) {
    fault->status = status;
    (void)snprintf(fault->text, sizeof(fault->text), "%s", text);
    return SP_HTTP_READ_ERROR;
}

/* The same with a text from the request, which is cut where it is long. */
static enum sp_http_result fail_at(struct sp_http_fault *fault, int status, const char *text,
                                   sp_str what) {
    int len = what.len > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : (int)what.len;
    fault->status = status;
    (void)snprintf(fault->text, sizeof(fault->text), "%s: '%.*s'%s", text, len,
                   len > 0 ? what.ptr : "", what.len > SHOWN_BYTES_MAX ? " and more" : "");
    return SP_HTTP_READ_ERROR;
}

/* What the parser refused, in the words of whoever sent it. */
static enum sp_http_result fail_parsing(struct sp_http_fault *fault, const http_parser *parser,
                                        const struct sp_http_head *head) {
    switch ((int)HTTP_PARSER_ERRNO(parser)) {
    case HPE_INVALID_METHOD:
        return fail_at(fault, 501, "no method of this server", head->method_text);
    case HPE_HEADER_OVERFLOW:
        return fail(fault, 431, "the head is larger than 65536 bytes");
    case HPE_INVALID_VERSION:
    case HPE_INVALID_CONSTANT:
        return fail(fault, 400, "the request line does not end in HTTP/1.1 or HTTP/1.0");
    case HPE_INVALID_CONTENT_LENGTH:
        return fail(fault, 400, "Content-Length is not a number of bytes");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return fail(fault, 400,
                    "a request has one Content-Length, and none beside "
                    "Transfer-Encoding");
    case HPE_INVALID_TRANSFER_ENCODING:
        return fail(fault, 501, "the only transfer coding is chunked");
    case HPE_INVALID_HEADER_TOKEN:
        return fail(fault, 400, "a header line has a byte that none may have");
    default:
        return fail(fault, 400, http_errno_description(HTTP_PARSER_ERRNO(parser)));
    }
}

/* ---- the head -------------------------------------------------------------------------------- */

static int on_url(http_parser *parser, const char *at, size_t len) {
    struct reading *reading = parser->data;
    reading->head->target = sp_str_of(at, len);
    return 0;
}

static int on_field(http_parser *parser, const char *at, size_t len) {
    struct reading *reading = parser->data;
    struct sp_http_head *head = reading->head;
    if (head->header_count == SP_HTTP_HEADERS_MAX) {
        (void)fail(reading->fault, 431, "more than 100 headers");
        return 1;
    }
    if (len == 0 || memchr(at, ' ', len) != NULL || memchr(at, '\t', len) != NULL) {
        (void)fail(reading->fault, 400, "a header's name ends at its colon, without blanks");
        return 1;
    }
    head->headers[head->header_count++] = (struct sp_http_pair){.name = sp_str_of(at, len)};
    reading->value_came = false;
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len) {
    struct reading *reading = parser->data;
    struct sp_http_head *head = reading->head;
    if (reading->value_came || head->header_count == 0) {
        (void)fail(reading->fault, 400, "a header continues on the next line");
        return 1;
    }
    reading->value_came = true;
    head->headers[head->header_count - 1].value = trim(sp_str_of(at, len));
    return 0;
}

static int on_head(http_parser *parser) {
    struct reading *reading = parser->data;
    struct sp_http_head *head = reading->head;
    reading->whole = true;
    head->keep_alive = http_should_keep_alive(parser) != 0;
    head->chunked = (parser->flags & F_CHUNKED) != 0;
    head->content_length = (parser->flags & F_CONTENTLENGTH) != 0 ? parser->content_length : 0;
    head->upgrade = parser->upgrade != 0;
    head->minor = parser->http_minor;
    return 0;
}

static const http_parser_settings HEAD_SETTINGS = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
};

static enum sp_http_method method_of(unsigned method) {
    switch (method) {
    case HTTP_GET:
        return SP_HTTP_GET;
    case HTTP_HEAD:
        return SP_HTTP_HEAD;
    case HTTP_POST:
        return SP_HTTP_POST;
    case HTTP_PUT:
        return SP_HTTP_PUT;
    case HTTP_DELETE:
        return SP_HTTP_DELETE;
    case HTTP_PATCH:
        return SP_HTTP_PATCH;
    case HTTP_OPTIONS:
        return SP_HTTP_OPTIONS;
    default:
        return SP_HTTP_OTHER;
    }
}

/* Reads a coding or an expectation; false where it is refused. */
static bool check_header(struct sp_http_head *head, const struct sp_http_pair *header,
                         uint32_t *hosts, uint32_t *codings, struct sp_http_fault *fault) {
    switch (header->name.len) {
    case 4:
        *hosts += sp_http_same(header->name, SP_STR("host"));
        return true;
    case 6:
        if (!sp_http_same(header->name, SP_STR("expect"))) {
            return true;
        }
        head->expects_continue = sp_http_same(header->value, SP_STR("100-continue"));
        if (!head->expects_continue) {
            (void)fail_at(fault, 417, "the only expectation is 100-continue", header->value);
        }
        return head->expects_continue;
    case 17:
        if (!sp_http_same(header->name, SP_STR("transfer-encoding"))) {
            return true;
        }
        if (!sp_http_same(header->value, SP_STR("chunked")) || ++*codings > 1) {
            (void)fail_at(fault, 501, "the only transfer coding is chunked", header->value);
            return false;
        }
        return true;
    default:
        return true;
    }
}

static bool check_headers(struct sp_http_head *head, struct sp_http_fault *fault) {
    uint32_t hosts = 0;
    uint32_t codings = 0;
    for (uint32_t i = 0; i < head->header_count; i++) {
        if (!check_header(head, &head->headers[i], &hosts, &codings, fault)) {
            return false;
        }
    }
    if (hosts > 1 || (hosts == 0 && head->minor > 0)) {
        (void)fail(fault, 400, "a request of HTTP/1.1 has one Host header");
        return false;
    }
    if (codings > 0 && head->minor == 0) {
        (void)fail(fault, 400, "HTTP/1.0 has no Transfer-Encoding");
        return false;
    }
    if ((codings > 0) != head->chunked) {
        (void)fail(fault, 400, "the Transfer-Encoding is not understood");
        return false;
    }
    return true;
}

/* Parts the target into path and query. False where it has what none may have. */
static bool split_target(struct sp_http_head *head, struct sp_http_fault *fault) {
    sp_str target = head->target;
    if (target.ptr != head->method_text.ptr + head->method_text.len + 1) {
        (void)fail(fault, 400, "one blank stands between method and target");
        return false;
    }
    if (target.len > SP_HTTP_TARGET_BYTES_MAX) {
        (void)fail(fault, 414, "the target is longer than 8192 bytes");
        return false;
    }
    for (size_t i = 0; i < target.len; i++) {
        if (target.ptr[i] <= ' ' || target.ptr[i] > '~' || target.ptr[i] == '#') {
            (void)fail(fault, 400, "the target has a byte that must be percent-encoded");
            return false;
        }
    }
    if (target.len > 7 && sp_http_same(sp_str_of(target.ptr, 7), SP_STR("http://"))) {
        const char *slash = memchr(target.ptr + 7, '/', target.len - 7);
        target =
            slash == NULL ? SP_STR("/") : sp_str_from_byte(target, (size_t)(slash - target.ptr));
    }
    if (target.len == 0 || (target.ptr[0] != '/' && !sp_str_eq(target, SP_STR("*")))) {
        (void)fail_at(fault, 400, "the target is no path that begins with /", head->target);
        return false;
    }
    const char *mark = memchr(target.ptr, '?', target.len);
    size_t len = mark != NULL ? (size_t)(mark - target.ptr) : target.len;
    head->path = sp_str_of(target.ptr, len);
    head->query = mark != NULL ? sp_str_from_byte(target, len + 1) : sp_str_of(mark, 0);
    return true;
}

static enum sp_http_result parse_head(const char *bytes, size_t len, struct sp_http_head *head,
                                      struct sp_http_fault *fault) {
    http_parser parser;
    struct reading reading = {.head = head, .fault = fault};
    fault->status = 0;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &reading;
    (void)http_parser_execute(&parser, &HEAD_SETTINGS, bytes, len);
    if (fault->status != 0) {
        return SP_HTTP_READ_ERROR;
    }
    if (HTTP_PARSER_ERRNO(&parser) != HPE_OK) {
        return fail_parsing(fault, &parser, head);
    }
    if (!reading.whole) {
        return fail(fault, 400, "this is no request of HTTP");
    }
    if (parser.http_major != 1) {
        return fail(fault, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    head->method = method_of(parser.method);
    if (parser.method == HTTP_CONNECT) {
        return fail_at(fault, 501, "no method of this server", head->method_text);
    }
    bool fine = split_target(head, fault) && check_headers(head, fault);
    return fine ? SP_HTTP_READ_WHOLE : SP_HTTP_READ_ERROR;
}

/* ---- finding the head ------------------------------------------------------------------------ */

/* The method at the start of the bytes; without a blank behind it, it is not all there yet. */
static bool read_method(sp_str bytes, sp_str *ret_method) {
    size_t len = 0;
    while (len < bytes.len && bytes.ptr[len] != ' ') {
        char byte = bytes.ptr[len];
        bool letter = (lower(byte) >= 'a' && lower(byte) <= 'z') || byte == '-' || byte == '_';
        if (!letter || ++len > METHOD_BYTES_MAX) {
            return false;
        }
    }
    *ret_method = sp_str_of(bytes.ptr, len);
    return len > 0 || bytes.len == 0;
}

/* Bytes up to and with the empty line; 0 where it is not there, and *scanned is where to go on. */
static size_t find_end(const char *bytes, size_t len, size_t *scanned) {
    size_t at = *scanned;
    for (;;) {
        const char *line = at < len ? memchr(bytes + at, '\n', len - at) : NULL;
        if (line == NULL) {
            *scanned = len;
            return 0;
        }
        at = (size_t)(line - bytes);
        size_t next = at + 1;
        next += next < len && bytes[next] == '\r';
        if (next >= len) {
            *scanned = at;
            return 0;
        }
        if (bytes[next] == '\n') {
            return next + 1;
        }
        at++;
    }
}

/* A head that goes on: is what is there too long? */
static enum sp_http_result check_part(sp_str part, struct sp_http_fault *fault) {
    size_t line = part.len < REQUEST_LINE_BYTES_MAX ? part.len : REQUEST_LINE_BYTES_MAX;
    if (line == REQUEST_LINE_BYTES_MAX && memchr(part.ptr, '\n', line) == NULL) {
        return fail(fault, 414, "the target is longer than 8192 bytes");
    }
    if (part.len >= SP_HTTP_HEAD_BYTES_MAX) {
        return fail(fault, 431, "the head is larger than 65536 bytes");
    }
    return SP_HTTP_READ_MORE;
}

enum sp_http_result sp_http_read_head(const char *bytes, size_t len, size_t *scanned,
                                      struct sp_http_pair *room, struct sp_http_head *ret_head,
                                      struct sp_http_fault *fault) {
    size_t start = 0;
    while (start < len && (bytes[start] == '\r' || bytes[start] == '\n')) {
        start++; /* an empty line before a request is allowed */
    }
    *scanned = *scanned < start ? start : *scanned;
    sp_str part = sp_str_of(bytes + start, len - start);
    sp_str method;
    enum sp_http_result result = SP_HTTP_READ_MORE;
    if (part.len > 0 && !read_method(part, &method)) {
        *scanned = 0;
        return fail(fault, 400, "this is no request of HTTP: it begins with no method");
    }
    size_t end = part.len > 0 ? find_end(bytes, len, scanned) : 0;
    if (end == 0 || end - start > SP_HTTP_HEAD_BYTES_MAX) {
        part.len = end != 0 ? end - start : part.len;
        result = start > SP_HTTP_HEAD_BYTES_MAX ? fail(fault, 431, "nothing but empty lines")
                                                : check_part(part, fault);
    } else {
        *ret_head = (struct sp_http_head){.method_text = method, .bytes = end, .headers = room};
        result = parse_head(part.ptr, end - start, ret_head, fault);
    }
    *scanned = result == SP_HTTP_READ_MORE ? *scanned : 0;
    return result;
}

/* ---- percent-escapes ------------------------------------------------------------------------- */

sp_status sp_http_decode(struct sp_buf *to, sp_str text, bool plus, struct sp_error *error) {
    size_t before = to->len;
    uint8_t *out = sp_buf_reserve(to, text.len + 1);
    size_t len = 0;
    if (out == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for the target");
    }
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];
        if (byte == '%') {
            uint32_t high = text.len - i > 2 ? sp_json_hex[(uint8_t)text.ptr[i + 1]] : 0;
            uint32_t low = text.len - i > 2 ? sp_json_hex[(uint8_t)text.ptr[i + 2]] : 0;
            if (high == 0 || low == 0) {
                size_t shown = text.len - i > 2 ? 3 : text.len - i;
                return sp_error_set_at(error, SP_INVALID, i,
                                       "'%.*s' is no percent-escape: two hexadecimal digits follow "
                                       "a %%",
                                       (int)shown, text.ptr + i);
            }
            byte = (char)((high - 1) << 4 | (low - 1));
            i += 2;
        } else if (plus && byte == '+') {
            byte = ' ';
        }
        out[len++] = (uint8_t)byte;
    }
    if (!sp_utf8_valid(sp_str_of(out, len))) {
        int shown = text.len > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : (int)text.len;
        return sp_error_set(error, SP_INVALID, "'%.*s' is not UTF-8 once its escapes are resolved",
                            shown, text.ptr);
    }
    to->len = before + len;
    return SP_OK;
}

/* ---- chunked bodies -------------------------------------------------------------------------- */

struct sp_http_chunks {
    http_parser parser;
    struct sp_buf *to; /* of the running call */
    bool whole;
};

static int on_body(http_parser *parser, const char *at, size_t len) {
    struct sp_http_chunks *chunks = parser->data;
    sp_buf_add(chunks->to, at, len);
    return chunks->to->status != SP_OK;
}

static int on_end(http_parser *parser) {
    struct sp_http_chunks *chunks = parser->data;
    chunks->whole = true;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings BODY_SETTINGS = {
    .on_body = on_body,
    .on_message_complete = on_end,
};

struct sp_http_chunks *sp_http_chunks_new(void) {
    static const char HEAD[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct sp_http_chunks *chunks = calloc(1, sizeof(*chunks));
    if (chunks == NULL) {
        return NULL;
    }
    http_parser_init(&chunks->parser, HTTP_REQUEST);
    chunks->parser.data = chunks;
    size_t used = http_parser_execute(&chunks->parser, &BODY_SETTINGS, HEAD, sizeof(HEAD) - 1);
    sp_require(used == sizeof(HEAD) - 1);
    return chunks;
}

void sp_http_chunks_free(struct sp_http_chunks *chunks) {
    free(chunks);
}

enum sp_http_result sp_http_chunks_read(struct sp_http_chunks *chunks, const char *bytes,
                                        size_t len, struct sp_buf *to, size_t *ret_used,
                                        struct sp_http_fault *fault) {
    sp_require(!chunks->whole);
    *ret_used = 0;
    if (len == 0) {
        return SP_HTTP_READ_MORE; /* no bytes would mean the end to the parser */
    }
    chunks->to = to;
    *ret_used = http_parser_execute(&chunks->parser, &BODY_SETTINGS, bytes, len);
    if (chunks->whole) {
        return SP_HTTP_READ_WHOLE;
    }
    if (to->status != SP_OK) {
        return fail(fault, 413, "the body is too large");
    }
    if (HTTP_PARSER_ERRNO(&chunks->parser) != HPE_OK) {
        return fail(fault, 400, http_errno_description(HTTP_PARSER_ERRNO(&chunks->parser)));
    }
    sp_ensure(*ret_used == len);
    return SP_HTTP_READ_MORE;
}
