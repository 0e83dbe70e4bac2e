#include "base/base64.h"

static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits of a letter, or a number above 63. */
static uint32_t value_of(char letter) {
    if (letter >= 'A' && letter <= 'Z') {
        return (uint32_t)(letter - 'A');
    }
    if (letter >= 'a' && letter <= 'z') {
        return (uint32_t)(letter - 'a') + 26;
    }
    if (letter >= '0' && letter <= '9') {
        return (uint32_t)(letter - '0') + 52;
    }
    return letter == '+' ? 62 : letter == '/' ? 63 : 64;
}

void sp_base64_add(struct sp_buf *to, sp_str bytes) {
    if (bytes.len == 0) {
        return;
    }
    sp_require(bytes.ptr != NULL && bytes.len <= SIZE_MAX / 2);
    size_t size = (bytes.len + 2) / 3 * 4;
    uint8_t *out = sp_buf_reserve(to, size);
    if (out == NULL) {
        return;
    }
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t triple = (uint32_t)(uint8_t)bytes.ptr[i] << 16;
        triple |= left > 1 ? (uint32_t)(uint8_t)bytes.ptr[i + 1] << 8 : 0;
        triple |= left > 2 ? (uint8_t)bytes.ptr[i + 2] : 0;
        *out++ = (uint8_t)LETTERS[triple >> 18];
        *out++ = (uint8_t)LETTERS[triple >> 12 & 63];
        *out++ = (uint8_t)(left > 1 ? LETTERS[triple >> 6 & 63] : '=');
        *out++ = (uint8_t)(left > 2 ? LETTERS[triple & 63] : '=');
    }
    sp_buf_advance(to, size);
}

bool sp_base64_decode(struct sp_buf *to, sp_str text) {
    if (text.len % 4 != 0) {
        return false;
    }
    if (text.len == 0) {
        return true;
    }
    size_t padding = text.ptr[text.len - 1] != '=' ? 0 : text.ptr[text.len - 2] != '=' ? 1 : 2;
    uint8_t *out = sp_buf_reserve(to, text.len / 4 * 3);
    if (out == NULL) {
        return to->status != SP_OK; /* the failure is the buffer's, and sticks there */
    }
    size_t letters = text.len - padding;
    size_t written = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < letters; i++) {
        uint32_t value = value_of(text.ptr[i]);
        if (value > 63) {
            return false;
        }
        bits = bits << 6 | value;
        if (i % 4 != 0) {
            out[written++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
        }
    }
    if (padding > 0 && (bits & (padding == 1 ? 3u : 15u)) != 0) {
        return false;
    }
    sp_ensure(written == text.len / 4 * 3 - padding);
    sp_buf_advance(to, written);
    return true;
}
