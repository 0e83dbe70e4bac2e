/*
 * Ops on their way into the log: what the core decides beside events (core/control.h).
 *
 * Ops of groups are gathered, and become one control record at the end of the block; events between
 * them do not matter to them, nor they to the events. Ops whose place among the events matters are
 * a record at once, behind all that was gathered. Either way they are folded into the core as they
 * are taken: room for their record was reserved before, so that nothing can fail behind that.
 */
#include "engine/engine_ops.h"
#include "core/control.h"
#include "engine/engine_int.h"

enum {
    OPS_BYTES_MAX = 64 << 10, /* gathered ops that wait longer than for a block are few */
    OPS_SHARE = 4,            /* of a small block they take at most one in so many bytes */
    OPS_WAIT_NS = 100000000,
};

size_t engine_ops_record_bytes(const struct sp_engine *engine, size_t more) {
    size_t bytes = engine->ops.bytes.len + more;
    return bytes == 0 ? 0 : sp_record_control_size(bytes);
}

/* Writes a record into the open block, which has room for it. */
static void put_record(struct sp_engine *engine, sp_str body) {
    struct open_block *open = &engine->open;
    struct sp_control control = {
        .kind = SP_CONTROL_OPS,
        .number = sp_core_control_next(&engine->core),
        .position = engine->core.position,
        .recorded_us = engine->core.recorded_us,
        .entry_seq = engine->core.entry_seq,
        .body = body,
    };
    uint8_t *to = sp_log_block_body(open->blob) + open->body_bytes;
    size_t size = sp_record_encode_control(&control, to);
    sp_invariant(open->body_bytes + size <= open->body_room);
    open->body_bytes += (uint32_t)size;
    open->record_count++;
    engine->control_bytes += size;
}

void engine_ops_flush(struct sp_engine *engine) {
    struct gathered_ops *ops = &engine->ops;
    if (ops->bytes.len > 0) {
        put_record(engine, sp_buf_str(&ops->bytes));
        sp_buf_reset(&ops->bytes);
    }
    ops->urgent = false;
    ops->since_ns = 0;
}

void engine_ops_upkeep(struct sp_engine *engine) {
    struct gathered_ops *ops = &engine->ops;
    if (ops->since_ns == 0 || ops->urgent) {
        return;
    }
    uint64_t now_ns = engine->options.clock.monotonic_ns(engine->options.clock.context);
    ops->urgent = now_ns - ops->since_ns >= OPS_WAIT_NS;
}

/* The wake-up comes when the newest flight lands; where it has landed, none comes any more. */
static bool wakes_by_itself(const struct sp_engine *engine) {
    return engine->flight_count > 0 &&
           engine->flights[engine->flight_count - 1].block > engine->progress.durable_block;
}

int sp_engine_ops_wait_ms(const struct sp_engine *engine) {
    const struct gathered_ops *ops = &engine->ops;
    if (ops->urgent) {
        return wakes_by_itself(engine) ? -1 : 0;
    }
    if (ops->since_ns == 0) {
        return -1;
    }
    uint64_t now_ns = engine->options.clock.monotonic_ns(engine->options.clock.context);
    uint64_t spent_ns = now_ns - ops->since_ns;
    return spent_ns >= OPS_WAIT_NS ? 0 : (int)((OPS_WAIT_NS - spent_ns) / 1000000) + 1;
}

/* Refuses what cannot be taken now. */
static sp_status admit(struct sp_engine *engine, struct sp_error *error) {
    if (engine->state != SP_OK) {
        (void)sp_engine_state(engine, error);
        return sp_error_prefix(error, SP_FAILED, "the store has failed");
    }
    if (engine->closing) {
        return sp_error_set(error, SP_CANCELLED, "the store is being closed");
    }
    if (engine->options.read_only) {
        return sp_error_set(error, SP_DENIED, "the store is open read-only");
    }
    if (engine->open.record_count == 0 && !engine->held) {
        sp_status status = engine->log->ops->ready(engine->log, error);
        return status == SP_BUSY ? sp_error_set(error, status, "room is being made") : status;
    }
    return SP_OK;
}

static sp_status say_room(sp_status status, size_t bytes, struct sp_error *error) {
    if (status == SP_LIMIT) {
        return sp_error_set(error, status, "%zu bytes are more than are written at once", bytes);
    }
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "%s", sp_status_text(status));
}

/* Room for the ops, gathered or as a record of their own; nothing has changed on failure. */
static sp_status reserve(struct sp_engine *engine, size_t bytes, bool ordered,
                         struct sp_error *error) {
    struct gathered_ops *ops = &engine->ops;
    if (ordered) {
        return say_room(engine_block_reserve(engine, sp_record_control_size(bytes), 0, 0), bytes,
                        error);
    }
    size_t most = engine->block_bytes_max / OPS_SHARE;
    most = most > OPS_BYTES_MAX ? OPS_BYTES_MAX : most;
    sp_status status = engine_block_reserve(engine, 0, bytes, 0);
    if (status == SP_OK && ops->bytes.len > 0 && ops->bytes.len + bytes > most) {
        /* They are a record now; the next ones are another. */
        status = engine_block_reserve(engine, sp_record_control_size(bytes), 0, 0);
        if (status == SP_OK) {
            engine_ops_flush(engine);
        }
    }
    if (status == SP_OK && sp_buf_reserve(&ops->bytes, bytes) == NULL) {
        ops->bytes.status = SP_OK;
        status = SP_NO_MEMORY;
    }
    return say_room(status, bytes, error);
}

static void note_wish(struct sp_engine *engine, enum sp_engine_ops_way way) {
    struct gathered_ops *ops = &engine->ops;
    if (way == SP_OPS_GATHERED) {
        ops->urgent = true;
    } else if (way == SP_OPS_LAZY && ops->since_ns == 0) {
        ops->since_ns = engine->options.clock.monotonic_ns(engine->options.clock.context);
        ops->since_ns += ops->since_ns == 0 ? 1 : 0; /* 0 is for: nothing waits */
    }
}

static sp_status fold(struct sp_engine *engine, sp_str ops, struct sp_error *error) {
    sp_status status = sp_core_fold(&engine->core, ops);
    if (status != SP_OK) {
        /* Half of it may be folded in: what is in memory is not what the log says any more. */
        (void)sp_error_set(error, status, "ops of the core: %s", sp_status_text(status));
        engine_fail(engine, status, error);
        return SP_FAILED;
    }
    return SP_OK;
}

sp_status engine_ops_gather(struct sp_engine *engine, sp_str ops, struct sp_error *error) {
    sp_status status = reserve(engine, ops.len, false, error);
    status = status == SP_OK ? fold(engine, ops, error) : status;
    if (status == SP_OK) {
        sp_buf_add_str(&engine->ops.bytes, ops);
        note_wish(engine, SP_OPS_GATHERED);
    }
    return status;
}

sp_status sp_engine_ops(struct sp_engine *engine, sp_str ops, enum sp_engine_ops_way way,
                        struct sp_error *error) {
    if (ops.len == 0) {
        return SP_OK;
    }
    bool ordered = way == SP_OPS_ORDERED;
    sp_status status = admit(engine, error);
    status = status == SP_OK ? reserve(engine, ops.len, ordered, error) : status;
    if (status != SP_OK) {
        return status;
    }
    if (ordered) { /* those gathered were decided before */
        engine_ops_flush(engine);
    }
    status = fold(engine, ops, error);
    if (status != SP_OK) {
        return status;
    }
    if (ordered) {
        put_record(engine, ops);
    } else {
        sp_buf_add_str(&engine->ops.bytes, ops);
        note_wish(engine, way);
    }
    if (engine->open.body_bytes >= CUT_BYTES) {
        engine_cut(engine);
    }
    return SP_OK;
}

uint64_t sp_engine_gate(const struct sp_engine *engine) {
    return engine->progress.head_block + (engine_has_work(engine) ? 1 : 0);
}

bool sp_engine_passed(const struct sp_engine *engine, uint64_t gate) {
    return engine->progress.durable_block >= gate;
}

sp_status sp_engine_begin(struct sp_engine *engine, size_t bytes, uint32_t events,
                          struct sp_error *error) {
    sp_require(!engine->held);
    sp_status status = admit(engine, error);
    status = status == SP_OK
                 ? say_room(engine_block_reserve(engine, bytes, 0, events), bytes, error)
                 : status;
    engine->held = status == SP_OK;
    return status;
}

void sp_engine_end(struct sp_engine *engine) {
    sp_require(engine->held);
    engine->held = false;
    if (engine->open.body_bytes >= CUT_BYTES) {
        engine_cut(engine);
    }
}

void sp_engine_listen(struct sp_engine *engine, sp_engine_live_fn *each, void *context) {
    engine->live = each;
    engine->live_context = context;
}

/* Shows the events of a block that has become durable. */
static sp_status show_block(struct sp_engine *engine, const struct flight *flight) {
    struct sp_block_walk walk = sp_block_walk_of(
        sp_str_of(sp_log_block_body(flight->blob), flight->body_bytes), flight->first_position);
    struct sp_record record;
    sp_status status;
    while (engine->live != NULL && (status = sp_block_walk_next(&walk, &record)) != SP_END) {
        char scratch[SP_RECORD_SCRATCH_BYTES];
        struct sp_event event;
        if (status != SP_OK) {
            return status;
        }
        if (record.kind == SP_RECORD_EVENT) {
            status = sp_record_decode(&record, scratch, &event);
            if (status != SP_OK) {
                return status;
            }
            engine->live(engine->live_context, &event);
        }
    }
    return SP_OK;
}

void engine_show_live(struct sp_engine *engine, const struct flight *flight) {
    if (engine->live != NULL && flight->event_count > 0) {
        sp_status status = show_block(engine, flight);
        sp_ensure(status == SP_OK); /* it was encoded here, and has not left memory */
    }
}
