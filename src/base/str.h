/*
 * Slices: pointer and length by value, never NUL-terminated, never owning. pure
 */
#ifndef SP_BASE_STR_H
#define SP_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct sp_str {
    const char *ptr; /* may be NULL where len is 0 */
    size_t len;      /* bytes */
} sp_str;

/* A slice over a string literal. */
#define SP_STR(literal) ((sp_str){.ptr = (literal), .len = sizeof(literal) - 1})

/* printf arguments for "%.*s"; the length is cut at INT_MAX. */
#define SP_STR_ARG(s) (int)((s).len > 0x7fffffff ? 0x7fffffff : (s).len), (s).len ? (s).ptr : ""

static inline sp_str sp_str_of(const void *ptr, size_t len) {
    return (sp_str){.ptr = ptr, .len = len};
}

/* Borrows a NUL-terminated string; NULL gives the empty slice. */
static inline sp_str sp_str_from(const char *text) {
    return (sp_str){.ptr = text, .len = text != NULL ? strlen(text) : 0};
}

static inline bool sp_str_eq(sp_str a, sp_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Bytewise order; a prefix sorts before the longer one. Negative, zero or positive. */
static inline int sp_str_cmp(sp_str a, sp_str b) {
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter == 0 ? 0 : memcmp(a.ptr, b.ptr, shorter);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static inline bool sp_str_starts_with(sp_str s, sp_str prefix) {
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool sp_str_ends_with(sp_str s, sp_str suffix) {
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* The slice without its first n bytes; n is at most its length. */
static inline sp_str sp_str_from_byte(sp_str s, size_t n) {
    return (sp_str){.ptr = s.ptr + n, .len = s.len - n};
}

#endif
