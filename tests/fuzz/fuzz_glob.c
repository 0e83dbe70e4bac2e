/*
 * The pattern, a zero byte, the text. No crash; a literal pattern matches itself alone; the same
 * answer with every star doubled, and with a star put before both that has a byte to take.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/buf.h"
#include "match/glob.h"

static bool has(sp_str text, char byte) {
    return text.len > 0 && memchr(text.ptr, byte, text.len) != NULL;
}

static void with_double_stars(struct sp_buf *to, sp_str pattern) {
    for (size_t i = 0; i < pattern.len; i++) {
        sp_buf_add_byte(to, (uint8_t)pattern.ptr[i]);
        if (pattern.ptr[i] == '*') {
            sp_buf_add_byte(to, '*');
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    if (zero == NULL || size > 2000) {
        return 0;
    }
    sp_str pattern = sp_str_of(data, (size_t)(zero - data));
    sp_str text = sp_str_of(zero + 1, size - pattern.len - 1);
    bool matches = sp_redis_glob_match(pattern, text);
    if (sp_redis_glob_is_literal(pattern)) {
        sp_require(matches == sp_str_eq(pattern, text));
    }
    struct sp_buf other;
    sp_buf_init(&other, 1 << 16);
    if (!has(pattern, '[') && !has(pattern, '\\')) { /* where a star is always a star */
        with_double_stars(&other, pattern);
        sp_require(sp_redis_glob_match(sp_buf_str(&other), text) == matches);
    }
    sp_buf_reset(&other);
    sp_buf_add_byte(&other, '*');
    sp_buf_add_str(&other, pattern);
    if (matches && text.len > 0) {
        sp_require(sp_redis_glob_match(sp_buf_str(&other), text));
    }
    sp_buf_fini(&other);
    return 0;
}
