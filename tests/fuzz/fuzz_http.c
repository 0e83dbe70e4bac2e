/*
 * The first byte chooses how the rest is cut into pieces. Read in one piece and in many, each at an
 * address of its own, the requests and the error must be the same: heads, bodies of known length,
 * chunked ones. What is shown of a request is inside of what was given.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/prng.h"
#include "base/utf8.h"
#include "proto/http_read.h"

enum { BODY_BYTES_MAX = 4096 };

struct source {
    sp_str input;
    size_t at;   /* consumed */
    size_t have; /* arrived */
    struct sp_prng prng;
    bool whole;
};

static struct sp_http_pair room[SP_HTTP_HEADERS_MAX];

/* Lets more bytes arrive; false where there are none. */
static bool arrive(struct source *source) {
    size_t left = source->input.len - source->have;
    if (left == 0) {
        return false;
    }
    size_t piece = source->whole ? left : 1 + sp_prng_below(&source->prng, 9);
    source->have += piece < left ? piece : left;
    return true;
}

static void note_str(struct sp_buf *to, sp_str text) {
    sp_buf_add_u64(to, text.len);
    sp_buf_add_byte(to, ':');
    sp_buf_add_str(to, text);
}

static void note(struct sp_buf *to, const struct sp_http_head *head) {
    struct sp_buf decoded;
    sp_buf_init(&decoded, SP_HTTP_TARGET_BYTES_MAX + 1);
    sp_require(head->path.len + head->query.len <= head->target.len + 1);
    sp_require(head->header_count <= SP_HTTP_HEADERS_MAX && head->bytes > 0);
    sp_require(!head->chunked || head->content_length == 0);
    note_str(to, head->method_text);
    note_str(to, head->path);
    if (sp_http_decode(&decoded, head->query, true, NULL) == SP_OK) {
        sp_require(decoded.len <= head->query.len && sp_utf8_valid(sp_buf_str(&decoded)));
    }
    for (uint32_t i = 0; i < head->header_count; i++) {
        note_str(to, head->headers[i].name);
        note_str(to, head->headers[i].value);
        int weight = sp_http_weight(head->headers[i].value, SP_STR("gzip"));
        sp_require(weight >= -1 && weight <= 1000);
    }
    sp_buf_add_byte(to, head->keep_alive ? 'k' : 'c');
    sp_buf_fini(&decoded);
}

/* A copy of what has arrived, at an address of its own. */
static char *copy_of(const struct source *source, size_t *ret_len) {
    size_t len = source->have - source->at;
    char *copy = malloc(len + (len == 0));
    sp_require(copy != NULL);
    memcpy(copy, source->input.ptr + source->at, len);
    *ret_len = len;
    return copy;
}

static bool read_chunked(struct source *source, struct sp_buf *to) {
    struct sp_http_chunks *chunks = sp_http_chunks_new();
    struct sp_http_fault fault = {.status = 0};
    struct sp_buf body;
    sp_require(chunks != NULL);
    sp_buf_init(&body, BODY_BYTES_MAX);
    enum sp_http_result result = SP_HTTP_READ_MORE;
    do {
        size_t len = 0;
        size_t used = 0;
        char *copy = copy_of(source, &len);
        result = sp_http_chunks_read(chunks, copy, len, &body, &used, &fault);
        sp_require(used <= len && body.len <= BODY_BYTES_MAX);
        source->at += used;
        free(copy);
    } while (result == SP_HTTP_READ_MORE && arrive(source));
    if (result == SP_HTTP_READ_WHOLE) {
        note_str(to, sp_buf_str(&body));
    } else {
        sp_buf_add_u64(to, (uint64_t)fault.status);
    }
    sp_buf_fini(&body);
    sp_http_chunks_free(chunks);
    return result == SP_HTTP_READ_WHOLE;
}

static bool read_counted(struct source *source, uint64_t length, struct sp_buf *to) {
    while (source->have - source->at < length && arrive(source)) {
    }
    size_t left = source->have - source->at;
    if (left < length) {
        return false;
    }
    note_str(to, sp_str_of(source->input.ptr + source->at, (size_t)length));
    source->at += (size_t)length;
    return true;
}

static void read_all(struct source source, struct sp_buf *to) {
    struct sp_http_fault fault = {.status = 0};
    struct sp_http_head head;
    size_t scanned = 0;
    bool goes_on = true;
    while (goes_on) {
        size_t len = 0;
        char *copy = copy_of(&source, &len);
        enum sp_http_result result = sp_http_read_head(copy, len, &scanned, room, &head, &fault);
        bool whole = result == SP_HTTP_READ_WHOLE;
        if (whole) {
            sp_require(head.bytes <= len);
            note(to, &head);
            source.at += head.bytes;
        } else if (result == SP_HTTP_READ_ERROR) {
            sp_require(fault.status >= 400 && fault.status <= 505 && fault.text[0] != '\0');
            sp_buf_add_u64(to, (uint64_t)fault.status);
        }
        free(copy);
        if (whole) {
            goes_on = head.chunked ? read_chunked(&source, to)
                                   : read_counted(&source, head.content_length, to);
        } else {
            goes_on = result == SP_HTTP_READ_MORE && arrive(&source);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > (4 << 10)) {
        return 0;
    }
    struct source source = {
        .input = sp_str_of(data + 1, size - 1), .prng = sp_prng_seed(data[0]), .whole = true};
    struct sp_buf whole;
    struct sp_buf pieces;
    sp_buf_init(&whole, SIZE_MAX);
    sp_buf_init(&pieces, SIZE_MAX);
    read_all(source, &whole);
    source.whole = false;
    read_all(source, &pieces);
    sp_require(sp_str_eq(sp_buf_str(&whole), sp_buf_str(&pieces)));
    sp_buf_fini(&whole);
    sp_buf_fini(&pieces);
    return 0;
}
