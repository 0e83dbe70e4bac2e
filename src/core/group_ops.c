/*
 * Ops on groups as bytes, and what they do: see docs/format.md. They come from the disk: nothing in
 * them is believed.
 */
#include "core/bytes.h"
#include "core/groups_int.h"

void sp_op_begin(struct sp_buf *to, enum sp_op op, const struct sp_group *group) {
    sp_buf_add_byte(to, (uint8_t)op);
    sp_add_number(to, group->number);
}

void sp_op_add_position(struct sp_op_positions *list, struct sp_buf *to, uint64_t position) {
    uint8_t *at = sp_buf_reserve(to, SP_VARINT_BYTES_MAX);
    if (at != NULL) {
        sp_buf_advance(to, sp_op_put_position(list, at, position));
    }
}

void sp_op_put_list(struct sp_buf *to, enum sp_op op, const struct sp_group *group,
                    const uint64_t *positions, size_t count) {
    struct sp_op_positions list = sp_op_positions_of(group);
    sp_op_begin(to, op, group);
    for (size_t i = 0; i < count; i++) {
        sp_op_add_position(&list, to, positions[i]);
    }
    sp_buf_add_byte(to, 0);
}

void sp_op_put_policy(struct sp_buf *to, const struct sp_group_policy *policy) {
    sp_add_text(to, policy->type);
    sp_add_text(to, policy->filter);
    sp_add_number(to, policy->ack_wait_ms);
    sp_add_number(to, policy->deliveries_max);
    sp_add_number(to, policy->backoff_first_ms);
    sp_add_number(to, policy->backoff_max_ms);
    sp_add_number(to, policy->backoff_factor_milli);
    sp_add_number(to, policy->backoff_jitter_milli);
    sp_add_number(to, policy->order_by);
    sp_add_number(to, policy->in_flight_max);
    sp_add_number(to, policy->keep_on_leave ? 1 : 0);
}

static uint32_t take_u32(struct sp_wire *wire) {
    uint64_t number = sp_wire_varint(wire);
    wire->bad = wire->bad || number > UINT32_MAX;
    return (uint32_t)number;
}

sp_status sp_op_take_policy(struct sp_wire *wire, struct sp_group_policy *ret) {
    struct sp_group_policy policy = {.type = sp_wire_lstr(wire)};
    policy.filter = sp_wire_lstr(wire);
    policy.ack_wait_ms = sp_wire_varint(wire);
    policy.deliveries_max = take_u32(wire);
    policy.backoff_first_ms = sp_wire_varint(wire);
    policy.backoff_max_ms = sp_wire_varint(wire);
    policy.backoff_factor_milli = take_u32(wire);
    policy.backoff_jitter_milli = take_u32(wire);
    uint32_t order = take_u32(wire);
    policy.in_flight_max = take_u32(wire);
    uint64_t keep = sp_wire_varint(wire);
    if (wire->bad || order > SP_GROUP_ORDER_CORRELATION || keep > 1) {
        return SP_CORRUPT;
    }
    policy.order_by = (enum sp_group_order)order;
    policy.keep_on_leave = keep == 1;
    *ret = policy;
    return sp_group_policy_fault(ret) == NULL ? SP_OK : SP_CORRUPT;
}
