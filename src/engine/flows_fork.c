/*
 * Forks of sagas: the record of the one that was is read from the log, and the new one begins with
 * what it inherits (flow/saga_fork.h).
 */
#include <stdio.h>

#include "engine/flows_int.h"
#include "engine/query.h"
#include "flow/saga_fork.h"

/* The version of the last event of a stream; 0: there is no such stream. */
static uint64_t version_of(const struct sp_engine *engine, sp_str stream) {
    const struct sp_streams *streams = &engine->core.streams;
    uint32_t index = sp_streams_find(streams, sp_stream_hash(stream), stream);
    return index == UINT32_MAX ? 0 : sp_stream_at(streams, index)->version;
}

/* Shows all events of a stream. SP_BUSY: some of them are not durable yet, and cannot be read. */
static sp_status show_stream(struct sp_engine *engine, sp_str stream, struct sp_saga_fork *fork,
                             struct sp_error *error) {
    const struct sp_query query = {.stream = stream};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    uint64_t version = 0;
    sp_status status = sp_cursor_open(engine, &query, &cursor, error);
    while (status == SP_OK) {
        status = sp_cursor_next(cursor, &event, error);
        if (status == SP_OK) {
            version = event->version;
            status = sp_saga_fork_take(fork, event, error);
        }
    }
    sp_cursor_close(cursor);
    if (status == SP_END && version < version_of(engine, stream)) {
        return sp_error_set(error, SP_BUSY, "its last events are being written");
    }
    return status == SP_END ? SP_OK : status;
}

static sp_status read_record(struct sp_engine *engine, sp_str sagaid, struct sp_saga_fork *fork,
                             struct sp_error *error) {
    char stream[sizeof("saga:") + SP_FLOW_SAGA_ID_SIZE];
    int len = snprintf(stream, sizeof(stream), "saga:%.*s", SP_STR_ARG(sagaid));
    sp_status status = show_stream(engine, sp_str_of(stream, (size_t)len), fork, error);
    if (status == SP_OK && sp_saga_fork_needs_definition(fork)) {
        status = show_stream(engine, SP_STR("$sagas"), fork, error);
    }
    return status;
}

sp_status sp_engine_saga_fork(struct sp_engine *engine, const struct sp_engine_saga_fork *fork,
                              struct sp_engine_saga_started *ret_started, struct sp_error *error) {
    struct engine_flows *flows = engine->flows;
    struct sp_saga_fork *making = NULL;
    struct sp_flow_now now;
    const struct sp_saga_fork_ask ask = {
        .sagaid = fork->sagaid, .at = fork->at, .data = fork->data, .by = fork->by};
    sp_status status = flows_check_text("by", fork->by, error);
    status = status == SP_OK ? flows_check_json("data", fork->data, error) : status;
    if (status == SP_OK && fork->sagaid.len != SP_FLOW_SAGA_ID_SIZE - 1) {
        return sp_error_set(error, SP_NOT_FOUND, "there is no saga %.*s",
                            fork->sagaid.len > 64 ? 64 : (int)fork->sagaid.len, fork->sagaid.ptr);
    }
    status = status == SP_OK ? sp_saga_fork_new(flows->sagas, &ask, &making, error) : status;
    status = status == SP_OK ? read_record(engine, fork->sagaid, making, error) : status;
    if (status == SP_OK) {
        engine_flows_now(flows, &now);
        sp_flow_out_reset(&flows->out);
        status = sp_saga_fork_events(making, now.new_id, now.now_us, &flows->out, error);
    }
    status = status == SP_OK ? flows_append_start(flows, ret_started, error) : status;
    sp_saga_fork_free(making);
    return status;
}
