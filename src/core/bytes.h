/*
 * Numbers, texts and ids into and out of ops and snapshots. pure
 */
#ifndef SP_CORE_BYTES_H
#define SP_CORE_BYTES_H

#include "base/put.h"
#include "record/entry_id.h"

static inline void sp_add_id(struct sp_buf *to, struct sp_entry_id id) {
    sp_add_number(to, id.ms);
    sp_add_number(to, id.seq);
}

static inline struct sp_entry_id sp_take_id(struct sp_wire *wire) {
    struct sp_entry_id id = {.ms = sp_wire_varint(wire)};
    id.seq = sp_wire_varint(wire);
    return id;
}

#endif
