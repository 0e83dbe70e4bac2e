/*
 * Looking at many bytes at once: where does a run of harmless bytes end? pure
 *
 * Each question is answered by a version in plain C, eight bytes at a time (SWAR: SIMD within a
 * register), and on x86-64 by one in SSE2, sixteen at a time; both give the same answer and a unit
 * test compares them. They read no byte outside [at, end).
 */
#ifndef SP_BASE_SCAN_H
#define SP_BASE_SCAN_H

#include "base/assert.h"
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

/* One bit for each of the sixteen bytes at `at` that ends the run. */
static inline unsigned sp_sse_not_plain_(const char *at) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
    /* The comparison is signed, so that bytes from 0x80 on are below the space as well. */
    __m128i hit = _mm_or_si128(_mm_cmplt_epi8(x, _mm_set1_epi8(0x20)),
                               _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
                                            _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'))));
    return (unsigned)_mm_movemask_epi8(hit);
}

static inline unsigned sp_sse_not_ascii_(const char *at) {
    return (unsigned)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)at));
}

static inline unsigned sp_sse_not_visible_(const char *at) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i seen = _mm_andnot_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)),
                                    _mm_cmpgt_epi8(x, _mm_set1_epi8(0x20)));
    return ~(unsigned)_mm_movemask_epi8(seen) & 0xffff;
}

/*
 * The loop that the three share; `look` is known where this is inlined. The last bytes of a run
 * that is longer than sixteen are looked at together with some before them, which are shifted out.
 */
static SP_ALWAYS_INLINE const char *sp_sse_scan_(const char *at, const char *end,
                                                 unsigned look(const char *)) {
    sp_require(end - at >= 16);
    do {
        unsigned hits = look(at);
        if (hits != 0) {
            return at + __builtin_ctz(hits);
        }
        at += 16;
    } while (end - at >= 16);
    unsigned rest = at == end ? 0 : look(end - 16) >> (16 - (end - at));
    return rest != 0 ? at + __builtin_ctz(rest) : end;
}

static SP_ALWAYS_INLINE const char *sp_scan_plain(const char *at, const char *end) {
    return end - at >= 16 ? sp_sse_scan_(at, end, sp_sse_not_plain_) : sp_scan_plain_swar(at, end);
}

static inline const char *sp_scan_ascii(const char *at, const char *end) {
    return end - at >= 16 ? sp_sse_scan_(at, end, sp_sse_not_ascii_) : sp_scan_ascii_swar(at, end);
}

static inline const char *sp_scan_visible(const char *at, const char *end) {
    return end - at >= 16 ? sp_sse_scan_(at, end, sp_sse_not_visible_)
                          : sp_scan_visible_swar(at, end);
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
