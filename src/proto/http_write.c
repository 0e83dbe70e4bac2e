#include "proto/http_write.h"

#include <stdio.h>

#include "base/json.h"
#include "base/time.h"
#include "base/utf8.h"

enum { US_PER_MS = 1000, MS_PER_DAY = 86400000, DAYS_PER_WEEK = 7, EPOCH_WEEKDAY = 4 };

const char *sp_http_phrase(int status) {
    static const struct {
        int status;
        const char *phrase;
    } PHRASES[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof(PHRASES) / sizeof(*PHRASES); i++) {
        if (PHRASES[i].status == status) {
            return PHRASES[i].phrase;
        }
    }
    return "Unknown";
}

void sp_http_add_status(struct sp_buf *to, int status) {
    sp_require(status >= 100 && status <= 599);
    sp_buf_add_str(to, SP_STR("HTTP/1.1 "));
    sp_buf_add_u64(to, (uint64_t)status);
    sp_buf_add_byte(to, ' ');
    sp_buf_add_str(to, sp_str_from(sp_http_phrase(status)));
    sp_buf_add_str(to, SP_STR("\r\n"));
}

void sp_http_add_field(struct sp_buf *to, sp_str name, sp_str value) {
    uint8_t *out = sp_buf_reserve(to, name.len + value.len + 4);
    size_t len = 0;
    if (out == NULL) {
        return;
    }
    memcpy(out, name.ptr, name.len);
    len = name.len;
    out[len++] = ':';
    out[len++] = ' ';
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] >= ' ' && value.ptr[i] <= '~') {
            out[len++] = (uint8_t)value.ptr[i];
        }
    }
    out[len++] = '\r';
    out[len++] = '\n';
    sp_buf_advance(to, len);
}

void sp_http_add_field_u64(struct sp_buf *to, sp_str name, uint64_t value) {
    sp_buf_add_str(to, name);
    sp_buf_add_str(to, SP_STR(": "));
    sp_buf_add_u64(to, value);
    sp_buf_add_str(to, SP_STR("\r\n"));
}

size_t sp_http_date(uint64_t wall_ms, char to[SP_HTTP_DATE_SIZE]) {
    static const char DAYS[] = "SunMonTueWedThuFriSat";
    static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[SP_TIME_TEXT_SIZE]; /* 2026-11-20T05:49:12.123456Z */
    uint64_t time_us = wall_ms * US_PER_MS;
    uint64_t day = (wall_ms / MS_PER_DAY + EPOCH_WEEKDAY) % DAYS_PER_WEEK;
    sp_time_format(time_us > SP_TIME_US_MAX ? SP_TIME_US_MAX : time_us, text);
    int month = (text[5] - '0') * 10 + (text[6] - '0') - 1;
    int len = snprintf(to, SP_HTTP_DATE_SIZE, "%.3s, %.2s %.3s %.4s %.8s GMT", DAYS + day * 3,
                       text + 8, MONTHS + (size_t)month * 3, text, text + 11);
    sp_ensure(len == 29);
    return (size_t)len;
}

size_t sp_http_chunk_head(size_t len, char to[SP_HTTP_CHUNK_HEAD_SIZE]) {
    static const char DIGITS[] = "0123456789abcdef";
    char digits[SP_HTTP_CHUNK_HEAD_SIZE];
    size_t count = 0;
    sp_require(len > 0 && len <= UINT32_MAX);
    for (; len > 0; len >>= 4) {
        digits[count++] = DIGITS[len & 15];
    }
    for (size_t i = 0; i < count; i++) {
        to[i] = digits[count - 1 - i];
    }
    to[count] = '\r';
    to[count + 1] = '\n';
    return count + 2;
}

void sp_http_add_json_text(struct sp_buf *to, sp_str text) {
    if (sp_utf8_valid(text)) {
        sp_json_add_string(to, text);
        return;
    }
    sp_buf_add_byte(to, '"');
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];
        if (byte == '"' || byte == '\\') {
            sp_buf_add_byte(to, '\\');
            sp_buf_add_byte(to, (uint8_t)byte);
        } else if (byte >= ' ' && byte <= '~') {
            sp_buf_add_byte(to, (uint8_t)byte);
        } else {
            sp_buf_add_str(to, SP_STR("\\ufffd"));
        }
    }
    sp_buf_add_byte(to, '"');
}
