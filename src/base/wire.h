/*
 * Reading and writing of fixed-layout bytes with a sticky error. pure
 *
 * All numbers are little-endian. Varints are LEB128: seven bits a byte, low ones first, at most ten
 * bytes. A reader that runs past the end, or meets an overlong varint, turns bad and from then on
 * yields zeros and empty slices; check `bad` once at the end.
 */
#ifndef SP_BASE_WIRE_H
#define SP_BASE_WIRE_H

#include "base/str.h"

static inline uint16_t sp_get_u16(const void *from) {
    uint16_t v;
    memcpy(&v, from, sizeof(v));
    return v;
}
static inline uint32_t sp_get_u32(const void *from) {
    uint32_t v;
    memcpy(&v, from, sizeof(v));
    return v;
}
static inline uint64_t sp_get_u64(const void *from) {
    uint64_t v;
    memcpy(&v, from, sizeof(v));
    return v;
}
static inline void sp_put_u16(void *to, uint16_t v) {
    memcpy(to, &v, sizeof(v));
}
static inline void sp_put_u32(void *to, uint32_t v) {
    memcpy(to, &v, sizeof(v));
}
static inline void sp_put_u64(void *to, uint64_t v) {
    memcpy(to, &v, sizeof(v));
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the stored format is little-endian; a big-endian host needs byte swaps here"
#endif

enum { SP_VARINT_BYTES_MAX = 10 };

/* Writes v at `to` (room for SP_VARINT_BYTES_MAX) and returns the bytes used. */
static inline size_t sp_put_varint(uint8_t *to, uint64_t v) {
    size_t n = 0;
    while (v >= 0x80) {
        to[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    to[n++] = (uint8_t)v;
    return n;
}

static inline size_t sp_varint_size(uint64_t v) {
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

/* Maps signed to unsigned so that small magnitudes stay small: 0, -1, 1, -2 become 0, 1, 2, 3. */
static inline uint64_t sp_zigzag(int64_t v) {
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t sp_unzigzag(uint64_t v) {
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

struct sp_wire {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static inline struct sp_wire sp_wire_of(const void *bytes, size_t len) {
    const uint8_t *at = bytes;
    return (struct sp_wire){.at = at, .end = at + len, .bad = false};
}

static inline size_t sp_wire_left(const struct sp_wire *w) {
    return (size_t)(w->end - w->at);
}

/* The next `len` bytes, borrowed from the input. */
static inline sp_str sp_wire_bytes(struct sp_wire *w, size_t len) {
    if (len > sp_wire_left(w)) {
        w->bad = true;
        w->at = w->end;
        return (sp_str){.ptr = NULL, .len = 0};
    }
    sp_str taken = sp_str_of(w->at, len);
    w->at += len;
    return taken;
}

static inline uint8_t sp_wire_u8(struct sp_wire *w) {
    sp_str s = sp_wire_bytes(w, 1);
    return s.len == 1 ? (uint8_t)s.ptr[0] : 0;
}
static inline uint16_t sp_wire_u16(struct sp_wire *w) {
    sp_str s = sp_wire_bytes(w, 2);
    return s.len == 2 ? sp_get_u16(s.ptr) : 0;
}
static inline uint32_t sp_wire_u32(struct sp_wire *w) {
    sp_str s = sp_wire_bytes(w, 4);
    return s.len == 4 ? sp_get_u32(s.ptr) : 0;
}
static inline uint64_t sp_wire_u64(struct sp_wire *w) {
    sp_str s = sp_wire_bytes(w, 8);
    return s.len == 8 ? sp_get_u64(s.ptr) : 0;
}

/* Slow path of sp_wire_varint: two bytes or more, or an error. */
uint64_t sp_wire_varint_long(struct sp_wire *w);

static inline uint64_t sp_wire_varint(struct sp_wire *w) {
    if (w->at < w->end && *w->at < 0x80) {
        return *w->at++;
    }
    return sp_wire_varint_long(w);
}

/* A slice that a varint length precedes. */
static inline sp_str sp_wire_lstr(struct sp_wire *w) {
    uint64_t len = sp_wire_varint(w);
    return sp_wire_bytes(w, len > SIZE_MAX ? SIZE_MAX : (size_t)len);
}

#endif
