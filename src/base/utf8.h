/*
 * UTF-8: validation, single code points, and the characters that names refuse. pure
 *
 * Well-formed means Unicode 15, table 3-7: no overlong form, no surrogate, nothing above U+10FFFF.
 */
#ifndef SP_BASE_UTF8_H
#define SP_BASE_UTF8_H

#include "base/assert.h"
#include "base/str.h"

enum { SP_UTF8_SEQUENCE_MAX = 4 };

/* True where the bytes are well-formed UTF-8. O(bytes), ASCII sixteen bytes at a time. */
bool sp_utf8_valid(sp_str text);

/* The lower six bits of a continuation byte; a value of 64 or more where it is none. */
static inline uint32_t sp_utf8_tail_(char byte) {
    return (uint32_t)((uint8_t)byte ^ 0x80u);
}

/*
 * Reads the code point that begins at `at` (before `end`). Returns its length in bytes, 1 to 4, and
 * sets *ret_code; 0 where the bytes are not well-formed.
 */
static inline size_t sp_utf8_decode(const char *at, const char *end, uint32_t *ret_code) {
    size_t left = (size_t)(end - at);
    uint32_t first = (uint8_t)at[0];
    if (first < 0x80) {
        *ret_code = first;
        return 1;
    }
    if (first < 0xe0) {
        uint32_t tail = left >= 2 ? sp_utf8_tail_(at[1]) : 64;
        *ret_code = (first & 0x1f) << 6 | tail;
        return first >= 0xc2 && tail < 64 ? 2 : 0;
    }
    if (first < 0xf0) {
        if (left < 3 || (sp_utf8_tail_(at[1]) | sp_utf8_tail_(at[2])) >= 64) {
            return 0;
        }
        uint32_t code = (first & 0x0f) << 12 | sp_utf8_tail_(at[1]) << 6 | sp_utf8_tail_(at[2]);
        *ret_code = code;
        return code >= 0x800 && (code & 0xf800) != 0xd800 ? 3 : 0;
    }
    if (left < 4 || (sp_utf8_tail_(at[1]) | sp_utf8_tail_(at[2]) | sp_utf8_tail_(at[3])) >= 64) {
        return 0;
    }
    uint32_t code = (first & 0x0f) << 18 | sp_utf8_tail_(at[1]) << 12 | sp_utf8_tail_(at[2]) << 6 |
                    sp_utf8_tail_(at[3]);
    *ret_code = code;
    return first < 0xf5 && code >= 0x10000 && code <= 0x10ffff ? 4 : 0;
}

/* Writes a code point other than a surrogate as UTF-8 and returns its length in bytes, 1 to 4. */
size_t sp_utf8_encode(uint32_t code, char to[SP_UTF8_SEQUENCE_MAX]);

/* True for the control characters U+0000 to U+001F and U+007F to U+009F (category Cc). */
static inline bool sp_utf8_is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/* True for the code points that Unicode keeps for itself and that no text should have. */
static inline bool sp_utf8_is_noncharacter(uint32_t code) {
    return (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe;
}

/* True for the 25 characters of Unicode 15 with the property White_Space. */
bool sp_utf8_is_space(uint32_t code);

#endif
