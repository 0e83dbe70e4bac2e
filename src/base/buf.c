#include "base/buf.h"

#include <stdlib.h>

enum { BUF_FIRST_BYTES = 256 };

void sp_buf_init(struct sp_buf *buf, size_t size_bytes_max) {
    *buf = (struct sp_buf){.size_bytes_max = size_bytes_max, .status = SP_OK};
}

void sp_buf_fini(struct sp_buf *buf) {
    free(buf->data);
    *buf = (struct sp_buf){.size_bytes_max = 0, .status = SP_OK};
}

uint8_t *sp_buf_grow(struct sp_buf *buf, size_t extra) {
    if (buf->status != SP_OK) {
        return NULL;
    }
    if (extra > buf->size_bytes_max || buf->len > buf->size_bytes_max - extra) {
        buf->status = SP_LIMIT;
        return NULL;
    }
    size_t needed = buf->len + extra;
    if (needed > buf->capacity) {
        size_t capacity = buf->capacity < BUF_FIRST_BYTES ? BUF_FIRST_BYTES : buf->capacity;
        while (capacity < needed) {
            capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
        }
        if (capacity > buf->size_bytes_max) {
            capacity = buf->size_bytes_max;
        }
        uint8_t *data = realloc(buf->data, capacity);
        if (data == NULL) {
            buf->status = SP_NO_MEMORY;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    sp_ensure(buf->capacity - buf->len >= extra);
    return buf->data + buf->len;
}

void sp_buf_add_u64(struct sp_buf *buf, uint64_t value) {
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    sp_buf_add(buf, digits + at, sizeof(digits) - at);
}
