#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/json_escape.h"
#include "base/time.h"

/* Where the sixteen bytes' digits begin in the canonical text; the gaps hold the hyphens. */
static const uint8_t PLACES[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

/* Every byte as two lower-case digits. */
static const char PAIRS[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                            "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
                            "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
                            "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
                            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
                            "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
                            "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
                            "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

#if defined(__SSE2__)
/*
 * Sixteen digits to their values, each in its byte; *bad collects the bytes that are none of 0-9 and a-f.
 */
static __m128i digit_values(__m128i text, __m128i *bad) {
    const __m128i below = _mm_set1_epi8(-1);
    __m128i digit = _mm_sub_epi8(text, _mm_set1_epi8('0'));
    __m128i letter = _mm_sub_epi8(text, _mm_set1_epi8('a'));
    __m128i is_digit = _mm_and_si128(_mm_cmpgt_epi8(digit, below),
                                     _mm_cmplt_epi8(digit, _mm_set1_epi8(10)));
    __m128i is_letter = _mm_and_si128(_mm_cmpgt_epi8(letter, below),
                                      _mm_cmplt_epi8(letter, _mm_set1_epi8(6)));
    *bad = _mm_or_si128(*bad, _mm_xor_si128(_mm_or_si128(is_digit, is_letter), below));
    return _mm_or_si128(_mm_and_si128(is_digit, digit),
                        _mm_and_si128(is_letter, _mm_add_epi8(letter, _mm_set1_epi8(10))));
}

/* Joins neighbouring values, the first being the high half, into the low bytes of 16-bit lanes. */
static __m128i join_digits(__m128i values) {
    __m128i joined = _mm_or_si128(_mm_slli_epi16(values, 4), _mm_srli_epi16(values, 8));
    return _mm_and_si128(joined, _mm_set1_epi16(0xff));
}

static bool pack_digits(const char digits[32], uint8_t bytes[16]) {
    __m128i bad = _mm_setzero_si128();
    __m128i low = digit_values(_mm_loadu_si128((const __m128i *)(const void *)digits), &bad);
    __m128i high = digit_values(_mm_loadu_si128((const __m128i *)(const void *)(digits + 16)), &bad);
    if (_mm_movemask_epi8(bad) != 0) {
        return false;
    }
    _mm_storeu_si128((__m128i *)(void *)bytes,
                     _mm_packus_epi16(join_digits(low), join_digits(high)));
    return true;
}
#else
static bool pack_digits(const char digits[32], uint8_t bytes[16]) {
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
    char digits[32];
    memcpy(digits, text.ptr, 8);
    memcpy(digits + 8, text.ptr + 9, 4);
    memcpy(digits + 12, text.ptr + 14, 4);
    memcpy(digits + 16, text.ptr + 19, 4);
    memcpy(digits + 20, text.ptr + 24, 12);
    return pack_digits(digits, bytes);
}

void sp_uuid_format(const uint8_t bytes[16], char text[SP_UUID_TEXT_SIZE]) {
    for (size_t i = 0; i < 16; i++) {
        memcpy(text + PLACES[i], PAIRS + (size_t)bytes[i] * 2, 2);
    }
    text[8] = '-';
    text[13] = '-';
    text[18] = '-';
    text[23] = '-';
}
