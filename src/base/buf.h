/*
 * A growable byte buffer with a maximum. pure
 *
 * Failure is sticky: the first append beyond the maximum, or out of memory, sets `status`; later
 * appends do nothing. Check once at the end. Appending is O(1) amortised.
 */
#ifndef SP_BASE_BUF_H
#define SP_BASE_BUF_H

#include "base/status.h"
#include "base/str.h"

struct sp_buf {
    uint8_t *data;
    size_t len;            /* bytes used */
    size_t capacity;       /* bytes allocated */
    size_t size_bytes_max; /* never grows beyond */
    sp_status status;      /* SP_OK, SP_LIMIT or SP_NO_MEMORY */
};

/* Makes an empty buffer; nothing is allocated yet. */
void sp_buf_init(struct sp_buf *buf, size_t size_bytes_max);

/* Frees the storage. The buffer may be used again only after sp_buf_init. */
void sp_buf_fini(struct sp_buf *buf);

/* Empties the buffer, keeps its storage, forgets a sticky failure. */
static inline void sp_buf_reset(struct sp_buf *buf) {
    buf->len = 0;
    buf->status = SP_OK;
}

/* Slow path of sp_buf_reserve. */
uint8_t *sp_buf_grow(struct sp_buf *buf, size_t extra);

/*
 * Makes room for `extra` bytes and returns where they go, or NULL (status says why). The caller
 * writes at most that many and then calls sp_buf_advance. Valid until the next call on the buffer.
 */
static inline uint8_t *sp_buf_reserve(struct sp_buf *buf, size_t extra) {
    if (SP_LIKELY(buf->status == SP_OK && extra <= buf->capacity - buf->len)) {
        return buf->data + buf->len;
    }
    return sp_buf_grow(buf, extra);
}

static inline void sp_buf_advance(struct sp_buf *buf, size_t written) {
    buf->len += written;
}

static inline void sp_buf_add(struct sp_buf *buf, const void *bytes, size_t len) {
    uint8_t *at = len == 0 ? NULL : sp_buf_reserve(buf, len);
    if (at != NULL) {
        memcpy(at, bytes, len);
        buf->len += len;
    }
}

static inline void sp_buf_add_str(struct sp_buf *buf, sp_str s) {
    sp_buf_add(buf, s.ptr, s.len);
}

static inline void sp_buf_add_byte(struct sp_buf *buf, uint8_t byte) {
    sp_buf_add(buf, &byte, 1);
}

/* Appends an unsigned decimal number. */
void sp_buf_add_u64(struct sp_buf *buf, uint64_t value);

static inline sp_str sp_buf_str(const struct sp_buf *buf) {
    return sp_str_of(buf->data, buf->len);
}

#endif
