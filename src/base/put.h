/*
 * Numbers and texts into a buffer, as base/wire.h reads them back. pure
 */
#ifndef SP_BASE_PUT_H
#define SP_BASE_PUT_H

#include "base/buf.h"
#include "base/wire.h"

/* A varint. */
static inline void sp_add_number(struct sp_buf *to, uint64_t number) {
    uint8_t *at = sp_buf_reserve(to, SP_VARINT_BYTES_MAX);
    if (at != NULL) {
        sp_buf_advance(to, sp_put_varint(at, number));
    }
}

/* A text behind its length: sp_wire_lstr. */
static inline void sp_add_text(struct sp_buf *to, sp_str text) {
    sp_add_number(to, text.len);
    sp_buf_add_str(to, text);
}

#endif
