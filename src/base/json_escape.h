/*
 * The escapes of a JSON string, shared by the scanner and by what resolves them. pure
 */
#ifndef SP_BASE_JSON_ESCAPE_H
#define SP_BASE_JSON_ESCAPE_H

#include "base/str.h"

/* For the byte after a backslash: the byte it stands for, 0 where the two are no escape. */
extern const uint8_t sp_json_escaped[256];

/* The value of a hexadecimal digit plus one, 0 for every other byte. */
extern const uint8_t sp_json_hex[256];

/* The number that four hexadecimal digits write, or UINT32_MAX where one of them is none. */
static inline uint32_t sp_json_hex4(const char *digits) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t digit = sp_json_hex[(uint8_t)digits[i]];
        if (digit == 0) {
            return UINT32_MAX;
        }
        value = value << 4 | (digit - 1);
    }
    return value;
}

static inline bool sp_json_is_high_surrogate(uint32_t unit) {
    return (unit & 0xfffffc00) == 0xd800;
}

static inline bool sp_json_is_low_surrogate(uint32_t unit) {
    return (unit & 0xfffffc00) == 0xdc00;
}

#endif
