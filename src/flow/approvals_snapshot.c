/* Approvals as bytes in a snapshot: pending ones, settled ones, what is to be told. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/put.h"
#include "flow/approvals_int.h"

enum { FORMAT = 1 };

static void encode_list(const struct sp_approvals *approvals, const struct list *list,
                        struct sp_buf *to) {
    sp_add_number(to, list->count);
    for (uint32_t at = list->first; at != APPROVAL_NONE; at = approvals->slots[at].next) {
        const struct approval *approval = &approvals->slots[at];
        sp_add_number(to, approval->position);
        sp_add_number(to, approval->since_us);
        sp_add_number(to, approval->deadline_us);
        sp_add_number(to, approval->escalate_us);
        sp_add_number(to, approval->settled_position);
        sp_add_number(to, (uint64_t)approval->state | (uint64_t)approval->on_timeout << 2 |
                              (uint64_t)approval->is_escalated << 4 |
                              (uint64_t)approval->by_time << 5);
        for (uint32_t i = 0; i < TEXTS; i++) {
            sp_add_text(to, approval->texts[i]);
        }
    }
}

void approval_encode(const void *self, struct sp_buf *to) {
    const struct sp_approvals *approvals = self;
    sp_add_number(to, FORMAT);
    encode_list(approvals, &approvals->pending, to);
    encode_list(approvals, &approvals->settled, to);
    sp_queue_encode(&approvals->queue, to);
}

uint64_t approval_hash(const void *self) {
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    approval_encode(self, &bytes);
    uint64_t hash = sp_hash(bytes.data, bytes.len);
    sp_buf_fini(&bytes);
    return hash;
}

static sp_status restore_one(struct sp_approvals *approvals, struct list *list,
                             struct sp_wire *wire) {
    sp_str texts[TEXTS];
    struct approval read = {.position = sp_wire_varint(wire)};
    read.since_us = sp_wire_varint(wire);
    read.deadline_us = sp_wire_varint(wire);
    read.escalate_us = sp_wire_varint(wire);
    read.settled_position = sp_wire_varint(wire);
    uint64_t flags = sp_wire_varint(wire);
    for (uint32_t i = 0; i < TEXTS; i++) {
        texts[i] = sp_wire_lstr(wire);
    }
    bool is_pending = (flags & 3) == SP_APPROVAL_PENDING;
    if (wire->bad || read.position == 0 || flags > 63 || (flags >> 2 & 3) > SP_PROPOSAL_APPROVE ||
        is_pending != (list == &approvals->pending)) {
        return SP_CORRUPT;
    }
    read.state = (enum sp_approval_state)(flags & 3);
    read.on_timeout = (enum sp_proposal_end)(flags >> 2 & 3);
    read.is_escalated = (flags >> 4 & 1) != 0;
    read.by_time = (flags >> 5 & 1) != 0;
    uint32_t slot = APPROVAL_NONE;
    sp_status status = approval_take_slot(approvals, &slot);
    if (status != SP_OK) {
        return status;
    }
    approvals->slots[slot] = read;
    approval_append(approvals, list, slot);
    status = approval_set_texts(&approvals->slots[slot], texts);
    if (status == SP_OK) {
        status = approval_index(approvals, slot);
    }
    if (status == SP_OK && is_pending) {
        approval_arm(approvals, slot);
    }
    return status;
}

static sp_status restore_list(struct sp_approvals *approvals, struct list *list, uint32_t max,
                              struct sp_wire *wire) {
    uint64_t count = sp_wire_varint(wire);
    if (wire->bad || count > max) {
        return SP_CORRUPT;
    }
    for (uint64_t i = 0; i < count; i++) {
        sp_status status = restore_one(approvals, list, wire);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

sp_status approval_restore(void *self, struct sp_wire *wire) {
    struct sp_approvals *approvals = self;
    sp_status status = sp_wire_varint(wire) != FORMAT ? SP_CORRUPT : SP_OK;
    if (status == SP_OK) {
        status = restore_list(approvals, &approvals->pending, SP_APPROVALS_MAX, wire);
    }
    if (status == SP_OK) {
        status = restore_list(approvals, &approvals->settled, SP_APPROVALS_SETTLED_MAX, wire);
    }
    return status == SP_OK ? sp_queue_restore(&approvals->queue, UINT32_MAX, wire) : status;
}
