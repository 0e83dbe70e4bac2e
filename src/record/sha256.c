/*
 * Libcrypto is used by its low-level calls, which OpenSSL 3 marks deprecated in favour of EVP: an
 * EVP one-shot costs 290 to 390 ns for one event's part, these cost 65 to 160, and this is the
 * busiest loop of the program. They are part of every OpenSSL 1.1 and 3.x.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "record/sha256.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/assert.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define HAS_PAIRS 1
#else
#define HAS_PAIRS 0
#endif

size_t sp_sha256_pad(uint8_t *blocks, size_t len) {
    size_t block_count = sp_sha256_blocks(len);
    size_t total = block_count * SP_SHA256_BLOCK_BYTES;
    blocks[len] = 0x80;
    memset(blocks + len + 1, 0, total - len - 1 - 8);
    uint64_t bits = __builtin_bswap64((uint64_t)len * 8);
    memcpy(blocks + total - 8, &bits, 8);
    return block_count;
}

void sp_sha256_salted(const void *salt, size_t salt_len, const void *bytes, size_t len,
                      uint8_t ret_hash[SP_SHA256_BYTES]) {
    SHA256_CTX sha;
    SHA256_Init(&sha);
    SHA256_Update(&sha, salt, salt_len);
    SHA256_Update(&sha, bytes, len);
    SHA256_Final(ret_hash, &sha);
}

static void hash_alone(const struct sp_sha256_message *message) {
    SHA256_CTX sha;
    SHA256_Init(&sha);
    /* Whole blocks go through without buffering; the padding is theirs already. */
    SHA256_Update(&sha, message->blocks, message->block_count * SP_SHA256_BLOCK_BYTES);
    for (int i = 0; i < 8; i++) {
        uint32_t word = __builtin_bswap32((uint32_t)sha.h[i]);
        memcpy(message->hash + 4 * i, &word, 4);
    }
}

/* ---- two at a time --------------------------------------------------------------------------- */

#if HAS_PAIRS

#define SHA_TARGET __attribute__((target("sha,sse4.1,ssse3")))

enum { LANES = 2, ROUND_GROUPS = 16 };

static const uint32_t ROUND_KEYS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* A message under way. The instructions want the eight words of the state in this order. */
struct lane {
    __m128i abef;
    __m128i cdgh;
    const uint8_t *at;
    size_t left; /* blocks */
    uint8_t *hash;
};

bool sp_sha256_can_pair(void) {
    enum { LEAF_FEATURES = 1, LEAF_MORE_FEATURES = 7, SHA_BIT = 29 };
    unsigned a, b, c, d;
    if (__get_cpuid(LEAF_FEATURES, &a, &b, &c, &d) == 0 ||
        (c & (bit_SSSE3 | bit_SSE4_1)) != (bit_SSSE3 | bit_SSE4_1)) {
        return false;
    }
    return __get_cpuid_count(LEAF_MORE_FEATURES, 0, &a, &b, &c, &d) != 0 && (b >> SHA_BIT & 1) != 0;
}

/* The next `blocks` blocks of so many lanes. Unrolled, everything stays in registers. */
SHA_TARGET static SP_ALWAYS_INLINE void compress(struct lane *lanes, int lane_count,
                                                 size_t blocks) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    for (; blocks > 0; blocks--) {
        __m128i words[LANES][4];
        __m128i abef[LANES];
        __m128i cdgh[LANES];
#pragma GCC unroll 2
        for (int l = 0; l < lane_count; l++) {
            abef[l] = lanes[l].abef;
            cdgh[l] = lanes[l].cdgh;
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                const void *from = lanes[l].at + 16 * i;
                words[l][i] = _mm_shuffle_epi8(_mm_loadu_si128(from), big_endian);
            }
            lanes[l].at += SP_SHA256_BLOCK_BYTES;
        }
#pragma GCC unroll 16
        for (int g = 0; g < ROUND_GROUPS; g++) { /* of four rounds, with four words */
            const void *round_keys = ROUND_KEYS + 4 * g;
            __m128i keys = _mm_loadu_si128(round_keys);
#pragma GCC unroll 2
            for (int l = 0; l < lane_count; l++) {
                __m128i *word = words[l];
                __m128i sums = _mm_add_epi32(word[g & 3], keys);
                cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], sums);
                abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32(sums, 0x0e));
                if (g < ROUND_GROUPS - 4) { /* the four words of the group after the next three */
                    const __m128i last = word[(g + 3) & 3];
                    __m128i next = _mm_sha256msg1_epu32(word[g & 3], word[(g + 1) & 3]);
                    next = _mm_add_epi32(next, _mm_alignr_epi8(last, word[(g + 2) & 3], 4));
                    word[g & 3] = _mm_sha256msg2_epu32(next, last);
                }
            }
        }
#pragma GCC unroll 2
        for (int l = 0; l < lane_count; l++) {
            lanes[l].abef = _mm_add_epi32(lanes[l].abef, abef[l]);
            lanes[l].cdgh = _mm_add_epi32(lanes[l].cdgh, cdgh[l]);
        }
    }
}

SHA_TARGET static void compress_one(struct lane *lane, size_t blocks) {
    compress(lane, 1, blocks);
    lane->left -= blocks;
}

SHA_TARGET static void compress_two(struct lane lanes[LANES], size_t blocks) {
    compress(lanes, LANES, blocks);
    lanes[0].left -= blocks;
    lanes[1].left -= blocks;
}

SHA_TARGET static void lane_begin(struct lane *lane, const struct sp_sha256_message *message) {
    sp_require(message->block_count > 0);
    *lane = (struct lane){
        .abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c),
        .cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19),
        .at = message->blocks,
        .left = message->block_count,
        .hash = message->hash,
    };
}

SHA_TARGET static void lane_end(const struct lane *lane) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i feba = _mm_shuffle_epi32(lane->abef, 0x1b); /* highest word last: a b e f */
    __m128i hgdc = _mm_shuffle_epi32(lane->cdgh, 0x1b); /* c d g h */
    void *to = lane->hash;
    void *to_rest = lane->hash + 16;
    _mm_storeu_si128(to, _mm_shuffle_epi8(_mm_unpacklo_epi64(feba, hgdc), big_endian));
    _mm_storeu_si128(to_rest, _mm_shuffle_epi8(_mm_unpackhi_epi64(feba, hgdc), big_endian));
}

/* Whichever lane is done takes the next message; the last message runs alone. */
SHA_TARGET static void hash_pairs(const struct sp_sha256_message *messages, size_t count) {
    struct lane lanes[LANES];
    lane_begin(&lanes[0], &messages[0]);
    lane_begin(&lanes[1], &messages[1]);
    size_t next = LANES;
    for (;;) {
        compress_two(lanes, lanes[0].left < lanes[1].left ? lanes[0].left : lanes[1].left);
        struct lane *done = lanes[0].left == 0 ? &lanes[0] : &lanes[1];
        lane_end(done);
        if (next == count) {
            struct lane *last = done == &lanes[0] ? &lanes[1] : &lanes[0];
            compress_one(last, last->left);
            lane_end(last);
            return;
        }
        lane_begin(done, &messages[next++]);
    }
}

#else

bool sp_sha256_can_pair(void) {
    return false;
}

static void hash_pairs(const struct sp_sha256_message *messages, size_t count) {
    (void)messages;
    (void)count;
    sp_never();
}

#endif

void sp_sha256_all(const struct sp_sha256_message *messages, size_t count, bool pair) {
    if (pair && count >= 2) {
        hash_pairs(messages, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        hash_alone(&messages[i]);
    }
}
