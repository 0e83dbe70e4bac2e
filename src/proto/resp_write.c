#include "proto/resp_write.h"

#include <math.h>
#include <stdio.h>

#include "base/json.h"

static const char DIGIT_PAIRS[201] = "00010203040506070809"
                                     "10111213141516171819"
                                     "20212223242526272829"
                                     "30313233343536373839"
                                     "40414243444546474849"
                                     "50515253545556575859"
                                     "60616263646566676869"
                                     "70717273747576777879"
                                     "80818283848586878889"
                                     "90919293949596979899";

size_t sp_decimal_size(uint64_t value) {
    size_t size = 1;
    while (value >= 10000) {
        value /= 10000;
        size += 4;
    }
    return size + (value >= 10) + (value >= 100) + (value >= 1000);
}

static inline void put_pair(char *to, uint32_t value) {
    memcpy(to, DIGIT_PAIRS + (size_t)2 * value, 2);
}

/* Writes the `size` digits of a number: eight at a time, which fit into 32 bits. */
static void put_digits(char *to, uint64_t value, size_t size) {
    while (size > 8) {
        uint32_t eight = (uint32_t)(value % 100000000);
        uint32_t high = eight / 10000;
        uint32_t low = eight % 10000;
        value /= 100000000;
        size -= 8;
        put_pair(to + size, high / 100);
        put_pair(to + size + 2, high % 100);
        put_pair(to + size + 4, low / 100);
        put_pair(to + size + 6, low % 100);
    }
    uint32_t rest = (uint32_t)value;
    for (; size > 2; rest /= 100) {
        size -= 2;
        put_pair(to + size, rest % 100);
    }
    if (size == 2) {
        put_pair(to, rest);
    } else {
        to[0] = (char)('0' + rest);
    }
}

size_t sp_decimal_format(uint64_t value, char *to) {
    if (SP_LIKELY(value < 10)) {
        to[0] = (char)('0' + value);
        return 1;
    }
    size_t size = sp_decimal_size(value);
    put_digits(to, value, size);
    return size;
}

/* Writes a type's letter, a number and the line's end; returns what stands behind. */
static inline char *put_head(char *to, char type, uint64_t number) {
    *to++ = type;
    to += sp_decimal_format(number, to);
    memcpy(to, "\r\n", 2);
    return to + 2;
}

static inline char *reserve(struct sp_resp *resp, size_t size) {
    sp_require(resp->version == SP_RESP_2 || resp->version == SP_RESP_3);
    return (char *)sp_buf_reserve(resp->to, size);
}

/* Says how far the reserved bytes were filled. */
static inline void finish(struct sp_resp *resp, const char *end) {
    sp_buf_advance(resp->to, (size_t)(end - (const char *)(resp->to->data + resp->to->len)));
    sp_ensure(resp->to->len <= resp->to->capacity);
}

static void add_head(struct sp_resp *resp, char type, uint64_t number) {
    char *at = reserve(resp, SP_RESP_HEAD_BYTES);
    if (at != NULL) {
        finish(resp, put_head(at, type, number));
    }
}

static char *put_line(char *to, sp_str text) {
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];
        to[i] = byte == '\r' || byte == '\n' ? ' ' : byte;
    }
    return to + text.len;
}

void sp_resp_simple(struct sp_resp *resp, sp_str text) {
    char *at = reserve(resp, text.len + 3);
    if (at != NULL) {
        *at++ = '+';
        at = put_line(at, text);
        memcpy(at, "\r\n", 2);
        finish(resp, at + 2);
    }
}

void sp_resp_ok(struct sp_resp *resp) {
    sp_buf_add_str(resp->to, SP_STR("+OK\r\n"));
}

void sp_resp_error(struct sp_resp *resp, const char *code, sp_str text) {
    sp_str word = sp_str_from(code);
    sp_require(word.len > 0);
    char *at = reserve(resp, word.len + text.len + 4);
    if (at != NULL) {
        *at++ = '-';
        at = put_line(at, word);
        *at++ = ' ';
        at = put_line(at, text);
        memcpy(at, "\r\n", 2);
        finish(resp, at + 2);
    }
}

void sp_resp_integer(struct sp_resp *resp, int64_t value) {
    char *at = reserve(resp, SP_RESP_HEAD_BYTES + 1);
    if (at != NULL) {
        *at++ = ':';
        if (value < 0) {
            *at++ = '-';
        }
        at += sp_decimal_format(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, at);
        memcpy(at, "\r\n", 2);
        finish(resp, at + 2);
    }
}

void sp_resp_unsigned(struct sp_resp *resp, uint64_t value) {
    add_head(resp, ':', value > (uint64_t)INT64_MAX ? (uint64_t)INT64_MAX : value);
}

char *sp_resp_bulk_room(struct sp_resp *resp, size_t len) {
    char *at = len < SIZE_MAX / 2 ? reserve(resp, SP_RESP_HEAD_BYTES + len + 2) : NULL;
    if (at == NULL) {
        return NULL;
    }
    char *room = put_head(at, '$', len);
    memcpy(room + len, "\r\n", 2);
    finish(resp, room + len + 2);
    return room;
}

void sp_resp_bulk(struct sp_resp *resp, sp_str bytes) {
    char *room = sp_resp_bulk_room(resp, bytes.len);
    if (room != NULL && bytes.len > 0) {
        memcpy(room, bytes.ptr, bytes.len);
    }
}

void sp_resp_bulk_text(struct sp_resp *resp, const char *text) {
    sp_resp_bulk(resp, sp_str_from(text));
}

void sp_resp_bulk_parts(struct sp_resp *resp, sp_str first, sp_str second) {
    char *room = sp_resp_bulk_room(resp, first.len + second.len);
    if (room != NULL && first.len > 0) {
        memcpy(room, first.ptr, first.len);
    }
    if (room != NULL && second.len > 0) {
        memcpy(room + first.len, second.ptr, second.len);
    }
}

void sp_resp_bulk_unsigned(struct sp_resp *resp, uint64_t value) {
    char digits[SP_DECIMAL_BYTES_MAX];
    size_t len = sp_decimal_format(value, digits);
    sp_resp_bulk(resp, sp_str_of(digits, len));
}

void sp_resp_id(struct sp_resp *resp, struct sp_entry_id id) {
    size_t ms_size = sp_decimal_size(id.ms);
    size_t seq_size = sp_decimal_size(id.seq);
    char *room = sp_resp_bulk_room(resp, ms_size + 1 + seq_size);
    if (room != NULL) {
        put_digits(room, id.ms, ms_size);
        room[ms_size] = '-';
        put_digits(room + ms_size + 1, id.seq, seq_size);
    }
}

void sp_resp_null(struct sp_resp *resp) {
    sp_buf_add_str(resp->to, resp->version == SP_RESP_3 ? SP_STR("_\r\n") : SP_STR("$-1\r\n"));
}

void sp_resp_null_array(struct sp_resp *resp) {
    sp_buf_add_str(resp->to, resp->version == SP_RESP_3 ? SP_STR("_\r\n") : SP_STR("*-1\r\n"));
}

void sp_resp_array(struct sp_resp *resp, uint64_t count) {
    add_head(resp, '*', count);
}

void sp_resp_map(struct sp_resp *resp, uint64_t pairs) {
    bool is_map = resp->version == SP_RESP_3;
    add_head(resp, is_map ? '%' : '*', is_map ? pairs : 2 * pairs);
}

void sp_resp_set(struct sp_resp *resp, uint64_t count) {
    add_head(resp, resp->version == SP_RESP_3 ? '~' : '*', count);
}

void sp_resp_push(struct sp_resp *resp, uint64_t count) {
    add_head(resp, resp->version == SP_RESP_3 ? '>' : '*', count);
}

enum { DOUBLE_TEXT_SIZE = 40 };

/* The shortest of the texts with 15 to 17 digits that reads as the same number. */
static size_t format_double(double value, char text[DOUBLE_TEXT_SIZE]) {
    if (isnan(value) || isinf(value)) {
        const char *name = isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
        size_t len = strlen(name);
        memcpy(text, name, len);
        return len;
    }
    for (int digits = 15;; digits++) {
        int len = snprintf(text, DOUBLE_TEXT_SIZE, "%.*g", digits, value);
        sp_ensure(len > 0 && len < DOUBLE_TEXT_SIZE);
        char *comma = memchr(text, ',', (size_t)len); /* of the user's locale */
        if (comma != NULL) {
            *comma = '.';
        }
        double back = sp_json_number(sp_str_of(text, (size_t)len));
        if (digits == 17 || memcmp(&back, &value, sizeof(value)) == 0) {
            return (size_t)len;
        }
    }
}

void sp_resp_double(struct sp_resp *resp, double value) {
    char text[DOUBLE_TEXT_SIZE];
    sp_str number = sp_str_of(text, format_double(value, text));
    if (resp->version == SP_RESP_2) {
        sp_resp_bulk(resp, number);
        return;
    }
    char *at = reserve(resp, number.len + 3);
    if (at != NULL) {
        *at++ = ',';
        at = put_line(at, number);
        memcpy(at, "\r\n", 2);
        finish(resp, at + 2);
    }
}

void sp_resp_boolean(struct sp_resp *resp, bool value) {
    if (resp->version == SP_RESP_3) {
        sp_buf_add_str(resp->to, value ? SP_STR("#t\r\n") : SP_STR("#f\r\n"));
    } else {
        add_head(resp, ':', value);
    }
}

void sp_resp_verbatim(struct sp_resp *resp, const char *format, sp_str text) {
    if (resp->version == SP_RESP_2) {
        sp_resp_bulk(resp, text);
        return;
    }
    sp_require(strlen(format) == 3);
    char *at = text.len < SIZE_MAX / 2 ? reserve(resp, SP_RESP_HEAD_BYTES + text.len + 6) : NULL;
    if (at == NULL) {
        return;
    }
    at = put_head(at, '=', text.len + 4);
    memcpy(at, format, 3);
    at[3] = ':';
    if (text.len > 0) {
        memcpy(at + 4, text.ptr, text.len);
    }
    memcpy(at + 4 + text.len, "\r\n", 2);
    finish(resp, at + 4 + text.len + 2);
}

static struct sp_resp_open open_group(struct sp_resp *resp, uint64_t expected, bool is_map) {
    struct sp_resp_open open = {.at = resp->to->len, .is_map = is_map};
    open.head_size = (uint32_t)(sp_decimal_size(expected) + 3);
    if (reserve(resp, open.head_size) != NULL) {
        sp_buf_advance(resp->to, open.head_size);
    }
    return open;
}

struct sp_resp_open sp_resp_open_array(struct sp_resp *resp, uint64_t expected) {
    return open_group(resp, expected, false);
}

struct sp_resp_open sp_resp_open_map(struct sp_resp *resp, uint64_t expected_pairs) {
    return resp->version == SP_RESP_3 ? open_group(resp, expected_pairs, true)
                                      : open_group(resp, 2 * expected_pairs, true);
}

/* Moves what follows the header, so that this becomes of the right size. */
static bool resize_head(struct sp_resp *resp, struct sp_resp_open open, size_t size) {
    struct sp_buf *to = resp->to;
    size_t from = open.at + open.head_size;
    if (size > open.head_size && sp_buf_reserve(to, size - open.head_size) == NULL) {
        return false;
    }
    memmove(to->data + open.at + size, to->data + from, to->len - from);
    to->len = to->len - open.head_size + size;
    return true;
}

static void close_group(struct sp_resp *resp, struct sp_resp_open open, char type,
                        uint64_t number) {
    char head[SP_RESP_HEAD_BYTES];
    size_t size = (size_t)(put_head(head, type, number) - head);
    if (size == open.head_size || resize_head(resp, open, size)) {
        memcpy(resp->to->data + open.at, head, size);
    }
}

void sp_resp_close(struct sp_resp *resp, struct sp_resp_open open, uint64_t count) {
    if (resp->to->status != SP_OK) {
        return;
    }
    sp_require(open.at + open.head_size <= resp->to->len);
    bool is_map = open.is_map && resp->version == SP_RESP_3;
    close_group(resp, open, is_map ? '%' : '*', open.is_map && !is_map ? 2 * count : count);
}

struct sp_resp_open sp_resp_open_bulk(struct sp_resp *resp, size_t expected_len) {
    return open_group(resp, expected_len, false);
}

void sp_resp_close_bulk(struct sp_resp *resp, struct sp_resp_open open) {
    if (resp->to->status != SP_OK) {
        return;
    }
    sp_require(open.at + open.head_size <= resp->to->len);
    close_group(resp, open, '$', resp->to->len - open.at - open.head_size);
    sp_buf_add(resp->to, "\r\n", 2);
}

void sp_resp_drop(struct sp_resp *resp, struct sp_resp_open open) {
    sp_require(open.at <= resp->to->len);
    resp->to->len = open.at;
}
