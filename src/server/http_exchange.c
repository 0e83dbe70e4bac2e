/* Requests that last: copies of heads, and bodies as they come. */
#include <stdlib.h>

#include "server/http_int.h"

enum { RAW_BYTES_MAX = 128 << 10 };

/* ---- copies ---------------------------------------------------------------------------------- */

/* From where to where the bytes of a request move. */
struct move {
    const char *head;
    size_t head_len;
    const char *decoded;
    size_t decoded_len;
    char *to; /* the head, then what was decoded */
};

/* The same text among the bytes that were copied; one from elsewhere is static. */
static sp_str moved(const struct move *move, sp_str text) {
    if (text.len == 0) {
        return sp_str_of(NULL, 0);
    }
    if (text.ptr >= move->head && text.ptr < move->head + move->head_len) {
        return sp_str_of(move->to + (text.ptr - move->head), text.len);
    }
    if (text.ptr >= move->decoded && text.ptr < move->decoded + move->decoded_len) {
        return sp_str_of(move->to + move->head_len + (text.ptr - move->decoded), text.len);
    }
    return text;
}

static void move_pairs(const struct move *move, const struct sp_http_pair *from, uint32_t count,
                       struct sp_http_pair *to) {
    for (uint32_t i = 0; i < count; i++) {
        to[i].name = moved(move, from[i].name);
        to[i].value = moved(move, from[i].value);
    }
}

static void move_head(const struct move *move, struct sp_http_exchange *exchange,
                      const struct sp_http_head *head) {
    exchange->head = *head;
    exchange->head.headers = exchange->pairs;
    exchange->head.method_text = moved(move, head->method_text);
    exchange->head.target = moved(move, head->target);
    exchange->head.path = moved(move, head->path);
    exchange->head.query = moved(move, head->query);
    move_pairs(move, head->headers, head->header_count, exchange->pairs);
}

struct sp_http_exchange *http_exchange_new(const struct sp_http_request *request,
                                           const char *head_bytes) {
    const struct sp_http_head *head = request->head;
    const struct sp_buf *decoded = &request->server->http->decoded;
    size_t pairs = (size_t)head->header_count + request->query_count;
    size_t size = sizeof(struct sp_http_exchange) + pairs * sizeof(struct sp_http_pair) +
                  head->bytes + decoded->len;
    struct sp_http_exchange *exchange = calloc(1, size);
    if (exchange == NULL) {
        return NULL;
    }
    struct move move = {.head = head_bytes,
                        .head_len = head->bytes,
                        .decoded = (const char *)decoded->data,
                        .decoded_len = decoded->len,
                        .to = (char *)(exchange->pairs + pairs)};
    memcpy(move.to, head_bytes, head->bytes);
    if (decoded->len > 0) {
        memcpy(move.to + head->bytes, decoded->data, decoded->len);
    }
    move_head(&move, exchange, head);
    move_pairs(&move, request->query, request->query_count, exchange->pairs + head->header_count);
    exchange->size = size;
    exchange->request = *request;
    exchange->request.head = &exchange->head;
    exchange->request.query = exchange->pairs + head->header_count;
    exchange->request.event_id = (sp_str){.ptr = NULL};
    exchange->request.correlation_id = (sp_str){.ptr = NULL};
    for (size_t i = 0; i < SP_HTTP_PARAMS_MAX; i++) {
        exchange->request.params[i] = moved(&move, request->params[i]);
    }
    sp_buf_init(&exchange->raw, RAW_BYTES_MAX);
    sp_buf_init(&exchange->body, SIZE_MAX);
    exchange->phase = HTTP_READY;
    return exchange;
}

void http_exchange_free(struct sp_http_exchange *exchange) {
    if (exchange == NULL) {
        return;
    }
    sp_http_chunks_free(exchange->chunks);
    sp_gunzip_free(exchange->gunzip);
    sp_buf_fini(&exchange->raw);
    sp_buf_fini(&exchange->body);
    free(exchange);
}

size_t http_exchange_bytes(const struct sp_http_exchange *exchange) {
    return exchange->size + exchange->raw.capacity + exchange->body.capacity;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static bool is_streamed(const struct sp_http_exchange *exchange) {
    return http_takes_pieces(&exchange->request);
}

int http_exchange_expect(struct sp_http_exchange *exchange) {
    const struct sp_http_head *head = &exchange->head;
    sp_str coding = sp_http_header(&exchange->request, "content-encoding");
    bool plain = coding.len == 0 || sp_http_same(coding, SP_STR("identity"));
    if (!plain && !sp_http_same(coding, SP_STR("gzip")) &&
        !sp_http_same(coding, SP_STR("x-gzip"))) {
        return 415;
    }
    if (!is_streamed(exchange)) {
        exchange->body.size_bytes_max =
            sp_settings_u64(&exchange->request.server->settings, SP_SET_HTTP_BODY_BYTES_MAX);
    }
    exchange->phase = HTTP_BODY;
    exchange->body_left = head->content_length;
    exchange->chunks = head->chunked ? sp_http_chunks_new() : NULL;
    exchange->gunzip = plain ? NULL : sp_gunzip_new();
    bool fine = (exchange->chunks != NULL) == head->chunked && (exchange->gunzip != NULL) == !plain;
    return fine ? 0 : 503;
}

static bool fault(struct sp_http_fault *to, int status, const char *text) {
    to->status = status;
    size_t len = strlen(text);
    memcpy(to->text, text, len + 1);
    return false;
}

/* What of the body fits is taken from the connection into `to`. */
static bool receive(struct sp_http_exchange *exchange, sp_str bytes, struct sp_buf *to,
                    size_t *ret_used, struct sp_http_fault *ret_fault) {
    if (exchange->chunks == NULL) {
        size_t len = exchange->body_left < bytes.len ? (size_t)exchange->body_left : bytes.len;
        sp_buf_add(to, bytes.ptr, len);
        exchange->body_left -= len;
        exchange->body_came = exchange->body_left == 0;
        *ret_used = len;
    } else {
        switch (
            sp_http_chunks_read(exchange->chunks, bytes.ptr, bytes.len, to, ret_used, ret_fault)) {
        case SP_HTTP_READ_MORE:
            break;
        case SP_HTTP_READ_WHOLE:
            exchange->body_came = true;
            break;
        case SP_HTTP_READ_ERROR:
            return false;
        }
    }
    exchange->body_bytes += *ret_used;
    if (to->status == SP_LIMIT) {
        return fault(ret_fault, 413, "the body is larger than http-body-bytes-max");
    }
    return to->status == SP_OK || fault(ret_fault, 503, "out of memory");
}

/* How many bytes more the body may have for now. */
static size_t room_of(const struct sp_http_exchange *exchange) {
    size_t most = is_streamed(exchange) ? SP_HTTP_WINDOW_BYTES : exchange->body.size_bytes_max;
    return exchange->body.len < most ? most - exchange->body.len : 0;
}

/* Inflates what came. False where it cannot be, or is too much. */
static bool inflate_raw(struct sp_http_exchange *exchange, struct sp_http_fault *ret_fault) {
    struct sp_buf *raw = &exchange->raw;
    size_t used = 0;
    size_t room = room_of(exchange);
    enum sp_gunzip_result result =
        sp_gunzip_read(exchange->gunzip, sp_buf_str(raw), &exchange->body, room, &used);
    if (used > 0) {
        memmove(raw->data, raw->data + used, raw->len - used);
        raw->len -= used;
    }
    switch (result) {
    case SP_GUNZIP_MORE:
        break;
    case SP_GUNZIP_END:
        exchange->inflated = true;
        break;
    case SP_GUNZIP_BAD:
        return fault(ret_fault, 400, "the body is not gzip, as Content-Encoding says");
    case SP_GUNZIP_NO_MEMORY:
        return fault(ret_fault, 503, "out of memory");
    }
    if (!is_streamed(exchange) && room_of(exchange) == 0 && !exchange->inflated) {
        return fault(ret_fault, 413, "the body is larger than http-body-bytes-max, inflated");
    }
    if (exchange->body_came && raw->len == 0 && !exchange->inflated && room_of(exchange) > 0) {
        return fault(ret_fault, 400, "the gzip body ends too early");
    }
    return true;
}

bool http_exchange_read(struct sp_http_exchange *exchange, const char *bytes, size_t len,
                        size_t *ret_used, struct sp_http_fault *ret_fault) {
    struct sp_buf *to = exchange->gunzip != NULL ? &exchange->raw : &exchange->body;
    bool waits = exchange->gunzip != NULL ? exchange->raw.len > 0
                                          : is_streamed(exchange) && room_of(exchange) == 0;
    *ret_used = 0;
    if (!exchange->body_came && !waits) {
        size_t most = exchange->gunzip != NULL ? RAW_BYTES_MAX : len;
        if (!receive(exchange, sp_str_of(bytes, len < most ? len : most), to, ret_used,
                     ret_fault)) {
            return false;
        }
    }
    bool compressed = exchange->gunzip != NULL && (exchange->raw.len > 0 || exchange->body_came);
    if (compressed && !exchange->inflated && !inflate_raw(exchange, ret_fault)) {
        return false;
    }
    if (exchange->inflated && exchange->raw.len > 0) {
        return fault(ret_fault, 400, "bytes follow the end of the gzip body");
    }
    exchange->request.body = sp_buf_str(&exchange->body);
    exchange->request.body_ended =
        exchange->body_came && (exchange->gunzip == NULL || exchange->inflated);
    return true;
}

bool http_exchange_took(struct sp_http_exchange *exchange) {
    struct sp_http_request *request = &exchange->request;
    struct sp_buf *body = &exchange->body;
    size_t taken = request->body_taken;
    sp_require(taken <= body->len);
    if (taken > 0) {
        memmove(body->data, body->data + taken, body->len - taken);
        body->len -= taken;
    }
    request->body_taken = 0;
    request->body = sp_buf_str(body);
    return taken > 0;
}
