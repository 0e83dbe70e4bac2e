/* Flows within an engine: their life, and how their events get into the log. */
#include <stdlib.h>

#include "engine/flows_int.h"

/* ---- what parts read ---- */

static sp_status read_event(void *context, uint64_t position, struct sp_event *ret_event,
                            struct sp_error *error) {
    struct engine_flows *flows = context;
    struct sp_engine *engine = flows->engine;
    struct sp_record record;
    if (position == 0 || position > engine->core.position) {
        return sp_error_set(error, SP_NOT_FOUND, "there is no event %llu",
                            (unsigned long long)position);
    }
    sp_status status = engine_record(engine, position, &record, error);
    if (status == SP_OK) {
        status = sp_record_decode(&record, flows->read_scratch, &flows->read_event);
    }
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "event %llu", (unsigned long long)position);
    }
    *ret_event = flows->read_event;
    return SP_OK;
}

/* ---- life ---- */

sp_status engine_flows_open(struct sp_engine *engine, struct sp_error *error) {
    struct engine_flows *flows = calloc(1, sizeof(*flows));
    if (flows == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "flows");
    }
    engine->flows = flows;
    flows->engine = engine;
    flows->on = !engine->options.read_only;
    flows->ports = (struct sp_flow_ports){.context = flows, .read = read_event};
    flows->random = sp_prng_seed(engine->id_salt);
    sp_flow_out_init(&flows->out);
    sp_flow_out_init(&flows->delay_out);
    sp_buf_init(&flows->asks, FLOWS_ASKS_BYTES_MAX);
    sp_buf_init(&flows->answers, FLOWS_ASKS_BYTES_MAX);
    sp_htab_init(&flows->program_table);
    sp_status status = sp_flow_new(&flows->flow, error);
    if (status == SP_OK) {
        engine->flow = flows->flow;
        flows->sagas = sp_flow_sagas(flows->flow);
        flows->approvals = sp_flow_approvals(flows->flow);
        flows->joins = sp_flow_joins(flows->flow);
        flows->schedules = sp_flow_schedules(flows->flow);
        flows->delayed = sp_flow_delayed(flows->flow);
    }
    return status;
}

void engine_flows_close(struct sp_engine *engine) {
    struct engine_flows *flows = engine->flows;
    if (flows == NULL) {
        return;
    }
    flows_programs_free(flows);
    sp_flow_out_fini(&flows->out);
    sp_flow_out_fini(&flows->delay_out);
    sp_buf_fini(&flows->asks);
    sp_buf_fini(&flows->answers);
    sp_flow_free(flows->flow);
    free(flows);
    engine->flows = NULL;
    engine->flow = NULL;
}

sp_status engine_flows_restore(struct sp_engine *engine, sp_str bytes, struct sp_error *error) {
    struct sp_wire wire = sp_wire_of(bytes.ptr, bytes.len);
    sp_status status = sp_flow_restore(engine->flow, &wire, error);
    if (status == SP_OK && (wire.bad || sp_wire_left(&wire) != 0)) {
        status = SP_CORRUPT;
    }
    return status == SP_OK
               ? SP_OK
               : sp_error_set(error, status, "snapshot: flows: %s", sp_status_text(status));
}

/* ---- the fold ---- */

/* What another store told of before: kept, and nothing follows from it here. */
static bool is_imported(const struct sp_event *event) {
    const sp_str name = SP_STR(SP_FLOW_HISTORY_NAME);
    for (uint16_t i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, name)) {
            return true;
        }
    }
    return false;
}

sp_status engine_flow_mark(struct sp_engine *engine, struct sp_event *event,
                           struct sp_error *error) {
    if (!sp_flow_wants(engine->flow, event) || is_imported(event)) {
        return SP_OK;
    }
    if (event->extension_count == SP_EVENT_EXTENSIONS_MAX) {
        return sp_error_set(error, SP_LIMIT, "%u extensions leave no room for a mark of history",
                            SP_EVENT_EXTENSIONS_MAX);
    }
    event->extensions[event->extension_count++] = (struct sp_extension){
        .name = SP_STR(SP_FLOW_HISTORY_NAME), .value = SP_STR("true"), .kind = SP_VALUE_JSON};
    return SP_OK;
}

sp_status engine_flow_event(struct sp_engine *engine, const struct sp_event *event,
                            struct sp_error *error) {
    if (is_imported(event)) {
        return SP_OK;
    }
    engine->flows->idle_until_us = 0;
    sp_status status = sp_flow_apply(engine->flow, event, error);
    return status == SP_OK ? SP_OK
                           : sp_error_prefix(error, status, "flows at event %llu",
                                             (unsigned long long)event->position);
}

void engine_flow_taken(struct sp_engine *engine, const struct sp_event *event) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = engine_flow_event(engine, event, &error);
    if (status != SP_OK) { /* the event is in the block already */
        engine_fail(engine, status, &error);
    }
}

/* ---- appending ---- */

void engine_flows_now(struct engine_flows *flows, struct sp_flow_now *ret_now) {
    struct sp_engine *engine = flows->engine;
    const struct sp_clock *clock = &engine->options.clock;
    *ret_now = (struct sp_flow_now){
        .now_us = flows->working ? flows->now_us : clock->wall_us(clock->context),
        .random = sp_prng_next(&flows->random),
        .ports = &flows->ports,
    };
    if (ret_now->now_us < engine->core.recorded_us) {
        ret_now->now_us = engine->core.recorded_us; /* what is appended has no earlier time */
    }
    engine->now_us = ret_now->now_us > engine->now_us ? ret_now->now_us : engine->now_us;
    engine_make_id(engine, ret_now->now_us, ret_now->new_id);
}

static bool all_known(const struct engine_flows *flows, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (!flows->results[i].duplicate) {
            return false;
        }
    }
    return true;
}

sp_status engine_flows_append(struct engine_flows *flows, struct sp_error *error) {
    const struct sp_flow_out *out = &flows->out;
    sp_status status = sp_flow_out_status(out);
    if (status != SP_OK || out->count == 0) {
        return status == SP_OK
                   ? SP_OK
                   : sp_error_set(error, status, "events of a flow: %s", sp_status_text(status));
    }
    if (flows->barred) { /* what is asked for from outside: works do not run meanwhile */
        return sp_error_set(error, SP_BUSY, "a command is being decided");
    }
    for (uint32_t i = 0; i < out->count; i++) {
        sp_flow_out_event(out, i, &flows->events[i]);
    }
    const struct sp_engine_append append = {
        .events = flows->events,
        .count = out->count,
        .origin = SP_EVENT_FROM_JSON,
        .results = flows->results,
        .at_once = true,
    };
    status = sp_engine_submit(flows->engine, &append, error);
    if (status == SP_OK && all_known(flows, out->count)) {
        uint64_t position = flows->results[out->count - 1].position;
        return sp_error_set(error, SP_CONFLICT, "all of it is there already: event %llu",
                            (unsigned long long)position);
    }
    return status;
}

/* ---- from outside ---- */

const struct sp_flow *sp_engine_flow(const struct sp_engine *engine) {
    return engine->flow;
}

void sp_engine_flows_run(struct sp_engine *engine, bool on) {
    engine->flows->on = on && !engine->options.read_only;
}

void engine_flows_bar(struct sp_engine *engine, bool down) {
    struct engine_flows *flows = engine->flows;
    bool lifted = flows->barred && !down;
    flows->barred = down;
    if (lifted) {
        engine_flows_work(engine);
    }
}

uint64_t sp_engine_flows_due_us(const struct sp_engine *engine) {
    const struct engine_flows *flows = engine->flows;
    if (!flows->on || flows->barred || engine->closing || engine->state != SP_OK) {
        return UINT64_MAX;
    }
    uint64_t due_us = sp_flow_due(flows->flow);
    uint64_t until_us =
        flows->pause_until_us > flows->idle_until_us ? flows->pause_until_us : flows->idle_until_us;
    return due_us < until_us ? until_us : due_us;
}

bool engine_flows_have_room(const struct sp_engine *engine) {
    return engine->open.record_count > 0 || engine->log->ops->ready(engine->log, NULL) == SP_OK;
}

int sp_engine_flows_wait_ms(const struct sp_engine *engine) {
    uint64_t due_us = sp_engine_flows_due_us(engine);
    if (due_us == UINT64_MAX) {
        return -1;
    }
    const struct sp_clock *clock = &engine->options.clock;
    uint64_t now_us = clock->wall_us(clock->context);
    if (due_us > now_us) {
        uint64_t wait_ms = (due_us - now_us + 999) / 1000;
        return wait_ms > FLOWS_WAIT_MS_MAX ? FLOWS_WAIT_MS_MAX : (int)wait_ms;
    }
    return engine_flows_have_room(engine) ? 0 : FLOWS_NO_ROOM_MS;
}

void sp_engine_flow_stats(const struct sp_engine *engine, struct sp_flow_stats *ret_stats) {
    *ret_stats = engine->flows->stats;
    uint64_t oldest = sp_flow_oldest(engine->flow);
    ret_stats->pinned = oldest == UINT64_MAX ? 0 : oldest;
}

uint64_t engine_hook_keep(void *context) {
    const struct sp_engine *engine = context;
    return sp_flow_oldest(engine->flow);
}
