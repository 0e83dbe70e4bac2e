/*
 * The composition. Encoded, little-endian and varints:
 *
 *     u32 format (1) | varint parts | per part: its name, varint bytes, the part's own bytes
 *
 * A part that the bytes do not have, since the one who wrote them did not know it, stays as new.
 */
#include "flow/flow.h"

#include <stdlib.h>

#include "base/hash.h"
#include "flow/approvals.h"
#include "flow/delayed.h"
#include "flow/join.h"
#include "flow/saga.h"
#include "flow/schedule.h"

enum { FORMAT = 1 };

/* ---- life ---- */

static void add_part(struct sp_flow *flow, const struct sp_flow_part_ops *ops, void *part) {
    sp_require(flow->count < SP_FLOW_PARTS_MAX);
    flow->ops[flow->count] = ops;
    flow->parts[flow->count++] = part;
}

/* Starts a saga for a schedule. */
static sp_status start_saga(void *context, const struct sp_schedule_start *start,
                            const struct sp_flow_now *now, struct sp_flow_out *out,
                            struct sp_error *error) {
    const struct sp_flow *flow = context;
    struct sp_saga_start from = {
        .name = start->saga, .data = start->data, .key = start->key, .by = start->by};
    return sp_saga_start_events(sp_flow_sagas(flow), &from, now->new_id, now->now_us, out, error);
}

static sp_status make_parts(struct sp_flow *flow) {
    struct sp_sagas *sagas = NULL;
    struct sp_approvals *approvals = NULL;
    struct sp_joins *joins = NULL;
    struct sp_schedules *schedules = NULL;
    struct sp_delayed *delayed = NULL;
    struct sp_schedule_starter starter = {.context = flow, .start = start_saga};
    sp_status status = sp_sagas_new(&flow->watch, &sagas);
    if (status == SP_OK) {
        add_part(flow, &sp_sagas_part, sagas);
        status = sp_approvals_new(&approvals);
    }
    if (status == SP_OK) {
        add_part(flow, &sp_approvals_part, approvals);
        status = sp_joins_new(&flow->watch, &joins);
    }
    if (status == SP_OK) {
        add_part(flow, &sp_joins_part, joins);
        status = sp_schedules_new(&schedules, starter);
    }
    if (status == SP_OK) {
        add_part(flow, &sp_schedules_part, schedules);
        status = sp_delayed_new(&delayed);
    }
    if (status == SP_OK) {
        add_part(flow, &sp_delayed_part, delayed);
    }
    return status;
}

sp_status sp_flow_new(struct sp_flow **ret_flow, struct sp_error *error) {
    struct sp_flow *flow = calloc(1, sizeof(*flow));
    sp_status status = SP_NO_MEMORY;
    if (flow != NULL) {
        sp_watch_init(&flow->watch);
        status = make_parts(flow);
    }
    if (status != SP_OK) {
        sp_flow_free(flow);
        return sp_error_set(error, status, "flows: %s", sp_status_text(status));
    }
    *ret_flow = flow;
    return SP_OK;
}

static void free_part(const struct sp_flow_part_ops *ops, void *part) {
    if (ops == &sp_sagas_part) {
        sp_sagas_free(part);
    } else if (ops == &sp_approvals_part) {
        sp_approvals_free(part);
    } else if (ops == &sp_joins_part) {
        sp_joins_free(part);
    } else if (ops == &sp_schedules_part) {
        sp_schedules_free(part);
    } else if (ops == &sp_delayed_part) {
        sp_delayed_free(part);
    }
}

void sp_flow_free(struct sp_flow *flow) {
    if (flow != NULL) {
        for (uint32_t i = flow->count; i > 0; i--) {
            free_part(flow->ops[i - 1], flow->parts[i - 1]);
        }
        sp_watch_fini(&flow->watch);
        free(flow);
    }
}

void *sp_flow_part(const struct sp_flow *flow, const struct sp_flow_part_ops *ops) {
    for (uint32_t i = 0; i < flow->count; i++) {
        if (flow->ops[i] == ops) {
            return flow->parts[i];
        }
    }
    return NULL;
}

struct sp_sagas *sp_flow_sagas(const struct sp_flow *flow) {
    return sp_flow_part(flow, &sp_sagas_part);
}

struct sp_approvals *sp_flow_approvals(const struct sp_flow *flow) {
    return sp_flow_part(flow, &sp_approvals_part);
}

struct sp_joins *sp_flow_joins(const struct sp_flow *flow) {
    return sp_flow_part(flow, &sp_joins_part);
}

struct sp_schedules *sp_flow_schedules(const struct sp_flow *flow) {
    return sp_flow_part(flow, &sp_schedules_part);
}

struct sp_delayed *sp_flow_delayed(const struct sp_flow *flow) {
    return sp_flow_part(flow, &sp_delayed_part);
}

/* ---- the fold ---- */

bool sp_flow_wants_type(const struct sp_flow *flow, const struct sp_event *event) {
    struct sp_watch *watch =
        (struct sp_watch *)(uintptr_t)&flow->watch; /* it has room for a match */
    return sp_watch_match(watch, event->attr[SP_ATTR_TYPE]);
}

sp_status sp_flow_apply(struct sp_flow *flow, const struct sp_event *event,
                        struct sp_error *error) {
    sp_status status = SP_OK;
    uint32_t changes = flow->watch.changes + 1;
    for (uint32_t i = 0; i < flow->count && status == SP_OK; i++) {
        if (flow->watch.changes != changes) { /* also where a part has changed what is watched */
            (void)sp_watch_match(&flow->watch, event->attr[SP_ATTR_TYPE]);
            changes = flow->watch.changes;
        }
        status = flow->ops[i]->apply(flow->parts[i], event, error);
        if (status != SP_OK) {
            (void)sp_error_prefix(error, status, "%s", flow->ops[i]->name);
        }
    }
    return status;
}

/* ---- work ---- */

bool sp_flow_next(struct sp_flow *flow, uint64_t now_us, struct sp_flow_work *ret_work) {
    for (uint32_t i = 0; i < flow->count; i++) {
        uint32_t part = (flow->turn + i) % flow->count;
        if (flow->ops[part]->next(flow->parts[part], now_us, ret_work)) {
            ret_work->part = part;
            flow->turn = (part + 1) % flow->count;
            return true;
        }
    }
    return false;
}

void sp_flow_back(struct sp_flow *flow, const struct sp_flow_work *work) {
    sp_require(work->part < flow->count);
    flow->ops[work->part]->back(flow->parts[work->part], work);
}

sp_status sp_flow_ask(struct sp_flow *flow, const struct sp_flow_work *work,
                      const struct sp_flow_ports *ports, struct sp_buf *to,
                      struct sp_error *error) {
    sp_require(work->part < flow->count);
    return flow->ops[work->part]->ask(flow->parts[work->part], work, ports, to, error);
}

sp_status sp_flow_act(struct sp_flow *flow, const struct sp_flow_work *work,
                      const struct sp_flow_now *now, struct sp_flow_out *out,
                      struct sp_error *error) {
    sp_require(work->part < flow->count);
    return flow->ops[work->part]->act(flow->parts[work->part], work, now, out, error);
}

uint64_t sp_flow_due(const struct sp_flow *flow) {
    uint64_t soonest = UINT64_MAX;
    for (uint32_t i = 0; i < flow->count; i++) {
        uint64_t due = flow->ops[i]->due(flow->parts[i]);
        soonest = due < soonest ? due : soonest;
    }
    return soonest;
}

uint64_t sp_flow_oldest(const struct sp_flow *flow) {
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < flow->count; i++) {
        uint64_t position = flow->ops[i]->oldest(flow->parts[i]);
        oldest = position < oldest ? position : oldest;
    }
    return oldest;
}

/* ---- keeping ---- */

uint64_t sp_flow_hash(const struct sp_flow *flow) {
    uint64_t hashes[SP_FLOW_PARTS_MAX];
    for (uint32_t i = 0; i < flow->count; i++) {
        hashes[i] = flow->ops[i]->hash(flow->parts[i]);
    }
    return sp_hash(hashes, flow->count * sizeof(hashes[0]));
}

static void add_varint(struct sp_buf *to, uint64_t value) {
    uint8_t bytes[SP_VARINT_BYTES_MAX];
    sp_buf_add(to, bytes, sp_put_varint(bytes, value));
}

void sp_flow_encode(const struct sp_flow *flow, struct sp_buf *to) {
    uint8_t format[4];
    struct sp_buf part;
    sp_put_u32(format, FORMAT);
    sp_buf_add(to, format, sizeof(format));
    add_varint(to, flow->count);
    sp_buf_init(&part, SIZE_MAX);
    for (uint32_t i = 0; i < flow->count; i++) {
        sp_str name = sp_str_from(flow->ops[i]->name);
        sp_buf_reset(&part);
        flow->ops[i]->encode(flow->parts[i], &part);
        add_varint(to, name.len);
        sp_buf_add_str(to, name);
        add_varint(to, part.len);
        sp_buf_add_str(to, sp_buf_str(&part));
        to->status = to->status == SP_OK ? part.status : to->status;
    }
    sp_buf_fini(&part);
}

static sp_status restore_part(struct sp_flow *flow, sp_str name, sp_str bytes) {
    for (uint32_t i = 0; i < flow->count; i++) {
        if (sp_str_eq(sp_str_from(flow->ops[i]->name), name)) {
            struct sp_wire wire = sp_wire_of(bytes.ptr, bytes.len);
            sp_status status = flow->ops[i]->restore(flow->parts[i], &wire);
            bool whole = !wire.bad && sp_wire_left(&wire) == 0;
            return status == SP_OK && !whole ? SP_CORRUPT : status;
        }
    }
    return SP_UNSUPPORTED;
}

sp_status sp_flow_restore(struct sp_flow *flow, struct sp_wire *wire, struct sp_error *error) {
    uint32_t format = sp_wire_u32(wire);
    uint64_t count = sp_wire_varint(wire);
    if (wire->bad || count > SP_FLOW_PARTS_MAX) {
        return sp_error_set(error, SP_CORRUPT, "flows: %s", sp_status_text(SP_CORRUPT));
    }
    if (format != FORMAT) {
        return sp_error_set(error, SP_UNSUPPORTED, "flows of format %u", format);
    }
    for (uint64_t i = 0; i < count; i++) {
        sp_str name = sp_wire_lstr(wire);
        sp_str bytes = sp_wire_lstr(wire);
        sp_status status = wire->bad ? SP_CORRUPT : restore_part(flow, name, bytes);
        if (status != SP_OK) {
            return sp_error_set(error, status, "flows: %.*s: %s",
                                name.len > 32 ? 32 : (int)name.len, name.len > 0 ? name.ptr : "",
                                sp_status_text(status));
        }
    }
    return SP_OK;
}
