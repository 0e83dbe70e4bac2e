/*
 * Looking at many bytes at once: where does a run of harmless bytes end? pure
 *
 * Each question is answered by a version in plain C, eight bytes at a time (SWAR: SIMD within a
 * register), and on x86-64 by one in SSE2, sixteen at a time; both give the same answer and a unit
 * test compares them. They read no byte outside [at, end).
 */
#ifndef SP_BASE_SCAN_H
#define SP_BASE_SCAN_H

#include "base/wire.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define SP_SWAR_ONES_  UINT64_C(0x0101010101010101)
#define SP_SWAR_HIGHS_ UINT64_C(0x8080808080808080)

/*
 * The high bit of each byte of x that is below n (at most 0x80). A borrow can spoil only bytes
 * above a true hit, so the lowest hit, which is the first in memory, is always right.
 */
static inline uint64_t sp_swar_below_(uint64_t x, uint8_t n) {
    return (x - SP_SWAR_ONES_ * n) & ~x & SP_SWAR_HIGHS_;
}

static inline uint64_t sp_swar_equal_(uint64_t x, uint8_t byte) {
    return sp_swar_below_(x ^ (SP_SWAR_ONES_ * byte), 1);
}

/* True for a byte that a JSON string holds as it is: ASCII but controls, quote and backslash. */
static inline bool sp_scan_is_plain(char byte) {
    return (uint8_t)(byte - 0x20) < 0x60 && byte != '"' && byte != '\\';
}

/* The first byte in [at, end) that is not plain (see above), or end. */
static inline const char *sp_scan_plain_swar(const char *at, const char *end) {
    while (end - at >= 8) {
        uint64_t x = sp_get_u64(at);
        uint64_t hit = (x & SP_SWAR_HIGHS_) | sp_swar_below_(x, 0x20) | sp_swar_equal_(x, '"') |
                       sp_swar_equal_(x, '\\');
        if (hit != 0) {
            return at + (__builtin_ctzll(hit) >> 3);
        }
        at += 8;
    }
    while (at < end && sp_scan_is_plain(*at)) {
        at++;
    }
    return at;
}

/* The first byte in [at, end) that is not ASCII, or end. */
static inline const char *sp_scan_ascii_swar(const char *at, const char *end) {
    while (end - at >= 8) {
        uint64_t hit = sp_get_u64(at) & SP_SWAR_HIGHS_;
        if (hit != 0) {
            return at + (__builtin_ctzll(hit) >> 3);
        }
        at += 8;
    }
    while (at < end && (uint8_t)*at < 0x80) {
        at++;
    }
    return at;
}

/* True for a visible character of ASCII. */
static inline bool sp_scan_is_visible(char byte) {
    return (uint8_t)(byte - 0x21) < 0x5e;
}

/* The first byte in [at, end) that is not visible ASCII, or end. */
static inline const char *sp_scan_visible_swar(const char *at, const char *end) {
    while (end - at >= 8) {
        uint64_t x = sp_get_u64(at);
        uint64_t hit = (x & SP_SWAR_HIGHS_) | sp_swar_below_(x, 0x21) | sp_swar_equal_(x, 0x7f);
        if (hit != 0) {
            return at + (__builtin_ctzll(hit) >> 3);
        }
        at += 8;
    }
    while (at < end && sp_scan_is_visible(*at)) {
        at++;
    }
    return at;
}

#if defined(__SSE2__)

static inline const char *sp_scan_plain(const char *at, const char *end) {
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(0x20);
    while (end - at >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* The comparison is signed, so that bytes from 0x80 on are below the space as well. */
        __m128i hit =
            _mm_or_si128(_mm_cmplt_epi8(x, space),
                         _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, backslash)));
        int mask = _mm_movemask_epi8(hit);
        if (mask != 0) {
            return at + __builtin_ctz((unsigned)mask);
        }
        at += 16;
    }
    return sp_scan_plain_swar(at, end);
}

static inline const char *sp_scan_ascii(const char *at, const char *end) {
    while (end - at >= 16) {
        int mask = _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)at));
        if (mask != 0) {
            return at + __builtin_ctz((unsigned)mask);
        }
        at += 16;
    }
    return sp_scan_ascii_swar(at, end);
}

static inline const char *sp_scan_visible(const char *at, const char *end) {
    while (end - at >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i seen = _mm_andnot_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)),
                                        _mm_cmpgt_epi8(x, _mm_set1_epi8(0x20)));
        unsigned mask = ~(unsigned)_mm_movemask_epi8(seen) & 0xffff;
        if (mask != 0) {
            return at + __builtin_ctz(mask);
        }
        at += 16;
    }
    return sp_scan_visible_swar(at, end);
}

#else

static inline const char *sp_scan_visible(const char *at, const char *end) {
    return sp_scan_visible_swar(at, end);
}

static inline const char *sp_scan_plain(const char *at, const char *end) {
    return sp_scan_plain_swar(at, end);
}

static inline const char *sp_scan_ascii(const char *at, const char *end) {
    return sp_scan_ascii_swar(at, end);
}

#endif

#endif
