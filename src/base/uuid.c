#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/json_escape.h"
#include "base/time.h"

#if defined(__SSE2__)
/*
 * Sixteen digits to their values, each in its byte; *bad collects what of them is none of 0-9 and
 * a-f. A byte above '9' counts as a letter: its value is right if it is 10 to 15, any other's if it
 * is 0 to 9.
 */
static inline __m128i digit_values(__m128i text, __m128i *bad) {
    __m128i is_letter = _mm_cmpgt_epi8(text, _mm_set1_epi8('9'));
    __m128i above_digits = _mm_and_si128(is_letter, _mm_set1_epi8('a' - '0' - 10));
    __m128i value = _mm_sub_epi8(_mm_sub_epi8(text, _mm_set1_epi8('0')), above_digits);
    __m128i is_high = _mm_cmpgt_epi8(value, _mm_set1_epi8(9));
    *bad = _mm_or_si128(*bad, _mm_xor_si128(is_letter, is_high));
    *bad = _mm_or_si128(*bad, _mm_subs_epu8(value, _mm_set1_epi8(15)));
    return value;
}

/* Joins neighbouring values, the first being the high half, into the low bytes of 16-bit lanes. */
static inline __m128i join_digits(__m128i values) {
    __m128i joined = _mm_or_si128(_mm_slli_epi16(values, 4), _mm_srli_epi16(values, 8));
    return _mm_and_si128(joined, _mm_set1_epi16(0xff));
}

static __m128i load4(const char *from) {
    int32_t four;
    memcpy(&four, from, sizeof(four));
    return _mm_cvtsi32_si128(four);
}

static __m128i load8(const char *from) {
    return _mm_loadl_epi64((const __m128i *)(const void *)from);
}

/* The digits are gathered in registers: what is stored in pieces cannot be loaded whole at once. */
static bool pack_digits(const char text[SP_UUID_TEXT_SIZE], uint8_t bytes[16]) {
    __m128i first =
        _mm_unpacklo_epi64(load8(text), _mm_unpacklo_epi32(load4(text + 9), load4(text + 14)));
    __m128i second = _mm_unpacklo_epi64(_mm_unpacklo_epi32(load4(text + 19), load4(text + 24)),
                                        load8(text + 28));
    __m128i bad = _mm_setzero_si128();
    __m128i low = digit_values(first, &bad);
    __m128i high = digit_values(second, &bad);
    if (_mm_movemask_epi8(_mm_cmpeq_epi8(bad, _mm_setzero_si128())) != 0xffff) {
        return false;
    }
    _mm_storeu_si128((__m128i *)(void *)bytes,
                     _mm_packus_epi16(join_digits(low), join_digits(high)));
    return true;
}
#else
static bool pack_digits(const char text[SP_UUID_TEXT_SIZE], uint8_t bytes[16]) {
    char digits[32];
    memcpy(digits, text, 8);
    memcpy(digits + 8, text + 9, 4);
    memcpy(digits + 12, text + 14, 4);
    memcpy(digits + 16, text + 19, 4);
    memcpy(digits + 20, text + 24, 12);
    uint8_t packed[16];
    uint32_t bad = 0;
    for (size_t i = 0; i < 16; i++) {
        uint8_t high = (uint8_t)digits[2 * i];
        uint8_t low = (uint8_t)digits[2 * i + 1];
        /* Of a byte that is no digit the table says 0: one less sets all bits above the value. */
        uint32_t value = (sp_json_hex[high] - 1u) << 4 | (sp_json_hex[low] - 1u);
        /* Of all digits only upper-case letters lie from 0x40 to 0x5f. */
        bad |= (value >> 8) | ((high & 0x60u) == 0x40u) | ((low & 0x60u) == 0x40u);
        packed[i] = (uint8_t)value;
    }
    if (bad == 0) {
        memcpy(bytes, packed, sizeof(packed));
    }
    return bad == 0;
}
#endif

bool sp_uuid_pack(sp_str text, uint8_t bytes[16]) {
    if (text.len != SP_UUID_TEXT_SIZE || text.ptr[8] != '-' || text.ptr[13] != '-' ||
        text.ptr[18] != '-' || text.ptr[23] != '-') {
        return false;
    }
    return pack_digits(text.ptr, bytes);
}

#if defined(__SSE2__)
/* Values of 0 to 15, each in its byte, to their digits. */
static __m128i digits_of(__m128i values) {
    __m128i letters = _mm_cmpgt_epi8(values, _mm_set1_epi8(9));
    __m128i digits = _mm_add_epi8(values, _mm_set1_epi8('0'));
    return _mm_add_epi8(digits, _mm_and_si128(letters, _mm_set1_epi8('a' - '0' - 10)));
}

static void unpack_digits(const uint8_t bytes[16], char digits[32]) {
    __m128i packed = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    __m128i low = digits_of(_mm_and_si128(packed, _mm_set1_epi8(15)));
    __m128i high = digits_of(_mm_and_si128(_mm_srli_epi16(packed, 4), _mm_set1_epi8(15)));
    _mm_storeu_si128((__m128i *)(void *)digits, _mm_unpacklo_epi8(high, low));
    _mm_storeu_si128((__m128i *)(void *)(digits + 16), _mm_unpackhi_epi8(high, low));
}
#else
static void unpack_digits(const uint8_t bytes[16], char digits[32]) {
    static const char HEX[] = "0123456789abcdef";
    for (size_t i = 0; i < 16; i++) {
        digits[2 * i] = HEX[bytes[i] >> 4];
        digits[2 * i + 1] = HEX[bytes[i] & 15];
    }
}
#endif

void sp_uuid_format(const uint8_t bytes[16], char text[SP_UUID_TEXT_SIZE]) {
    char digits[32];
    unpack_digits(bytes, digits);
    memcpy(text, digits, 8);
    memcpy(text + 9, digits + 8, 4);
    memcpy(text + 14, digits + 12, 4);
    memcpy(text + 19, digits + 16, 4);
    memcpy(text + 24, digits + 20, 12);
    text[8] = '-';
    text[13] = '-';
    text[18] = '-';
    text[23] = '-';
}
