#include "engine/engine_int.h"

#include <stdlib.h>

#include "base/time.h"

enum {
    DEFAULT_OUTSTANDING = 65536,
    SCRATCH_BYTES_MAX = 0x7fffffff,
};

/*
 * ---- failure
 * --------------------------------------------------------------------------------------
 */

void engine_fail(struct sp_engine *engine, sp_status status, const struct sp_error *error) {
    sp_require(status != SP_OK);
    if (engine->state == SP_OK) {
        engine->state = status;
        engine->failure =
            error != NULL && error->status != SP_OK ? *error : (struct sp_error){.status = status};
        if (engine->failure.text[0] == '\0') {
            (void)sp_error_set(&engine->failure, status, "%s", sp_status_text(status));
        }
    }
}

sp_status sp_engine_state(const struct sp_engine *engine, struct sp_error *error) {
    if (engine->state != SP_OK && error != NULL) {
        *error = engine->failure;
    }
    return engine->state;
}

/*
 * ---- what becomes durable
 * -------------------------------------------------------------------------
 */

static struct pending *oldest_pending(struct sp_engine *engine) {
    return &engine->pending[engine->pending_start];
}

/* Answers the oldest append. It is off the ring before the callback runs, which may submit more. */
static void answer(struct sp_engine *engine, sp_status status) {
    struct pending pending = *oldest_pending(engine);
    engine->pending_start = (engine->pending_start + 1) & (engine->pending_capacity - 1);
    engine->pending_count--;
    engine->outstanding -= pending.count;
    const struct sp_engine_result *results =
        pending.count == SINGLE_RESULTS ? &pending.results.one : pending.results.many;
    if (pending.done != NULL) {
        pending.done(pending.context, pending.extra, status, results, pending.count,
                     status == SP_OK ? NULL : &engine->failure);
    }
    if (pending.count != SINGLE_RESULTS) {
        free(pending.results.many);
    }
}

void engine_note_progress(struct sp_engine *engine) {
    engine->log->ops->poll(engine->log, &engine->progress);
    atomic_store(&engine->durable_seen, engine->progress.durable_position);
}

static void land_flights(struct sp_engine *engine) {
    struct flight landed[IN_FLIGHT_MAX];
    uint32_t count = 0;
    while (count < engine->flight_count &&
           engine->flights[count].block <= engine->progress.durable_block) {
        landed[count] = engine->flights[count];
        count++;
    }
    engine->flight_count -= count;
    for (uint32_t i = 0; count > 0 && i < engine->flight_count; i++) {
        engine->flights[i] = engine->flights[i + count];
    }
    for (uint32_t i = 0; i < count; i++) { /* who is shown them may append */
        engine_show_live(engine, &landed[i]);
        engine_block_landed(engine, &landed[i]);
    }
}

/* The durability gate: nobody is answered before what he is told is durable. */
static uint32_t release(struct sp_engine *engine) {
    engine_note_progress(engine);
    if (engine->progress.state != SP_OK) {
        struct sp_error error;
        sp_error_clear(&error);
        (void)engine->log->ops->ready(engine->log, &error);
        if (engine->state == SP_OK && engine->progress.state == SP_CORRUPT) {
            engine_side_forget(
                engine); /* what was passed over when opening is damaged: look at it */
        }
        engine_fail(engine, engine->progress.state, &error);
    }
    land_flights(engine);
    uint32_t answered = 0;
    uint32_t waiting = engine->pending_count; /* what callbacks add waits for the next turn */
    while (answered < waiting && engine->pending_count > 0) {
        bool durable = oldest_pending(engine)->block <= engine->progress.durable_block;
        if (!durable && engine->state == SP_OK) {
            break;
        }
        answer(engine, durable ? SP_OK : engine->state);
        answered++;
    }
    return answered;
}

/*
 * ---- turns
 * ----------------------------------------------------------------------------------------
 */

static void upkeep(struct sp_engine *engine) {
    if (engine->state != SP_OK || engine->options.read_only) {
        return;
    }
    engine->log->ops->upkeep(engine->log);
    if (engine->schemas_first != 0) {
        engine_schemas_carry(engine);
    }
    engine_snapshot_upkeep(engine);
    engine_side_upkeep(engine);
    engine_fold_upkeep(engine);
    while (engine->options.inline_jobs && sp_worker_run(engine->worker)) {
    }
    (void)sp_worker_poll(engine->worker);
}

uint32_t sp_engine_poll(struct sp_engine *engine) {
    engine_ops_upkeep(engine);
    engine_flows_work(engine); /* what follows from an event gets into its block */
    engine_cut_if_due(engine);
    uint32_t answered = release(engine);
    engine_cut_if_due(engine); /* what callbacks submitted goes on its way at once */
    upkeep(engine);
    return answered;
}

bool sp_engine_must_wait(const struct sp_engine *engine) {
    return engine->state == SP_OK && (engine->flight_count > 0 || engine_has_work(engine));
}

void sp_engine_wait(struct sp_engine *engine, int timeout_ms) {
    engine->log->ops->wait(engine->log, timeout_ms);
}

/* Nothing is under way, but no append is taken until the log has made room. */
static bool waits_for_room(struct sp_engine *engine) {
    return engine->pending_count == 0 && engine->state == SP_OK && !engine->options.read_only &&
           engine->log->ops->ready(engine->log, NULL) == SP_BUSY;
}

uint32_t sp_engine_turn(struct sp_engine *engine, int timeout_ms) {
    uint32_t answered = sp_engine_poll(engine);
    while (answered == 0 && timeout_ms != 0 &&
           (engine->pending_count > 0 || waits_for_room(engine))) {
        uint64_t before = engine->options.clock.monotonic_ns(engine->options.clock.context);
        sp_engine_wait(engine, timeout_ms);
        answered = sp_engine_poll(engine);
        uint64_t after = engine->options.clock.monotonic_ns(engine->options.clock.context);
        if (timeout_ms > 0) {
            uint64_t spent_ms = (after - before) / 1000000 + 1;
            timeout_ms = spent_ms >= (uint64_t)timeout_ms ? 0 : timeout_ms - (int)spent_ms;
        }
    }
    return answered;
}

uint32_t sp_engine_outstanding(const struct sp_engine *engine) {
    return engine->outstanding;
}

uint64_t sp_engine_durable_position(const struct sp_engine *engine) {
    return engine->progress.durable_position;
}

const struct sp_core *sp_engine_core(const struct sp_engine *engine) {
    return &engine->core;
}

struct sp_log *sp_engine_log(struct sp_engine *engine) {
    return engine->log;
}

/*
 * ---- opening and closing
 * --------------------------------------------------------------------------
 */

static sp_status allocate(struct sp_engine *engine, struct sp_error *error) {
    struct sp_engine_options *options = &engine->options;
    options->outstanding_max =
        options->outstanding_max != 0 ? options->outstanding_max : DEFAULT_OUTSTANDING;
    options->entropy = options->entropy != NULL ? options->entropy : sp_entropy;
    engine->pending_capacity = FIRST_PENDING;
    engine->pending = calloc(engine->pending_capacity, sizeof(*engine->pending));
    options->entropy(&engine->id_salt, sizeof(engine->id_salt));
    struct sp_index_options index_options = {.seed = engine->id_salt};
    engine->index = sp_index_new(&index_options);
    sp_buf_init(&engine->scratch, SCRATCH_BYTES_MAX);
    sp_buf_init(&engine->agent_text, SCRATCH_BYTES_MAX);
    sp_buf_init(&engine->agent_ops, SCRATCH_BYTES_MAX);
    sp_buf_init(&engine->ops.bytes, SCRATCH_BYTES_MAX);
    sp_htab_init(&engine->open.ids);
    sp_core_init(&engine->core);
    struct sp_worker_options worker = {.name = "spoor-index",
                                       .inline_jobs = options->inline_jobs,
                                       .wake = options->wake,
                                       .wake_context = options->wake_context};
    engine->worker = options->read_only ? NULL : sp_worker_new(&worker, error);
    if (engine->pending == NULL || engine->index == NULL ||
        (engine->worker == NULL && !options->read_only)) {
        return sp_error_set(error, SP_NO_MEMORY, "engine");
    }
    return SP_OK;
}

static sp_status open_local(struct sp_engine *engine, struct sp_engine_opened *opened,
                            struct sp_error *error) {
    const struct sp_engine_options *options = &engine->options;
    struct sp_log_local_options log_options = {
        .fs = options->fs,
        .clock = options->clock,
        .entropy = options->entropy,
        .hooks = {.context = engine,
                  .encode = engine_hook_encode,
                  .known = engine_hook_known,
                  .sealed = engine_hook_sealed,
                  .keep = engine_hook_keep,
                  .trimmed = engine_hook_trimmed},
        .create = options->create,
        .read_only = options->read_only,
        .inline_jobs = options->inline_jobs,
        .threaded_writes = options->threaded_writes,
        .seal = !options->keeps_raw,
        .wake = options->wake,
        .wake_context = options->wake_context,
        .block_bytes_max = options->block_bytes_max,
        .segment_bytes_min = options->segment_bytes_min,
        .segment_bytes_max = options->segment_bytes_max,
        .tail_bytes_max = options->tail_bytes_max,
        .retain_bytes_max = options->retain_bytes_max,
        .retain_age_us = options->retain_age_us,
        .durability = options->durability,
        .sync_period_us = options->sync_period_us,
    };
    engine->local = true;
    return sp_log_local_open(&log_options, &engine->log, &opened->log, error);
}

static sp_status start(struct sp_engine *engine, struct sp_log *log,
                       struct sp_engine_opened *opened, struct sp_error *error) {
    engine->log = log;
    sp_status status = allocate(engine, error);
    status = status == SP_OK ? engine_flows_open(engine, error) : status;
    status = status == SP_OK && log == NULL ? open_local(engine, opened, error) : status;
    if (status == SP_OK) {
        struct sp_log_description description;
        engine->log->ops->describe(engine->log, &description);
        engine->block_bytes_max = description.block_bytes_max;
        engine->blocks_in_flight_max = description.blocks_in_flight_max < IN_FLIGHT_MAX
                                           ? description.blocks_in_flight_max
                                           : IN_FLIGHT_MAX;
        status = engine->log->ops->reader_new(engine->log, &engine->reader, error);
    }
    status = status == SP_OK ? engine_recover(engine, error) : status;
    if (status == SP_OK && engine->local) {
        sp_log_local_cut(engine->log, &opened->log);
        status = engine->options.read_only ? SP_OK : engine_side_prepare(engine, error);
    }
    status = status == SP_OK ? engine_schemas_open(engine, error) : status;
    opened->replayed_events = engine->replayed_events;
    opened->side_index_refused = engine->side_refused;
    return status;
}

sp_status sp_engine_open_log(const struct sp_engine_options *options, struct sp_log *log,
                             struct sp_engine **ret_engine, struct sp_engine_opened *ret_opened,
                             struct sp_error *error) {
    struct sp_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        if (log != NULL) {
            log->ops->close(log);
        }
        return sp_error_set(error, SP_NO_MEMORY, "engine");
    }
    engine->options = *options;
    engine->guard = options->guard;
    pthread_mutex_init(&engine->pins_mutex, NULL);
    struct sp_engine_opened opened = {.replayed_events = 0};
    sp_status status = start(engine, log, &opened, error);
    if (ret_opened != NULL) {
        *ret_opened = opened;
    }
    if (status != SP_OK) {
        engine->state = status;
        sp_engine_close(engine);
        return status;
    }
    *ret_engine = engine;
    return SP_OK;
}

sp_status sp_engine_open(const struct sp_engine_options *options, struct sp_engine **ret_engine,
                         struct sp_engine_opened *ret_opened, struct sp_error *error) {
    struct sp_engine_opened opened;
    sp_status status = sp_engine_open_log(options, NULL, ret_engine, &opened, error);
    if (status == SP_CORRUPT &&
        opened.side_index_refused) { /* only an index was wrong: do without */
        struct sp_engine_options without = *options;
        without.no_side_indexes = true;
        sp_error_clear(error);
        status = sp_engine_open_log(&without, NULL, ret_engine, &opened, error);
    }
    if (ret_opened != NULL) {
        *ret_opened = opened;
    }
    return status;
}

static void dispose(struct sp_engine *engine) {
    engine_schemas_close(engine);
    engine_flows_close(engine);
    sp_index_free(engine->index);
    engine_drop_pins(engine);
    sp_core_fini(&engine->core);
    sp_blob_unref(engine->open.blob);
    for (uint32_t i = 0; i < engine->flight_count; i++) {
        sp_blob_unref(engine->flights[i].blob);
        free(engine->flights[i].offsets);
    }
    engine_block_forget_recent(engine);
    sp_htab_fini(&engine->open.ids);
    sp_buf_fini(&engine->ops.bytes);
    free(engine->open.events);
    free(engine->pending);
    free(engine->candidates);
    free(engine->expectations);
    sp_buf_fini(&engine->scratch);
    sp_buf_fini(&engine->agent_text);
    sp_buf_fini(&engine->agent_ops);
    pthread_mutex_destroy(&engine->pins_mutex);
    free(engine);
}

/* Writes what was taken and waits for it; lazy ops too, where the log takes them. */
static void write_rest(struct sp_engine *engine) {
    engine->ops.urgent =
        engine->ops.bytes.len > 0 && engine->state == SP_OK &&
        (engine->open.record_count > 0 || engine->log->ops->ready(engine->log, NULL) == SP_OK);
    while (engine->pending_count > 0 && engine->state == SP_OK) {
        (void)sp_engine_turn(engine, -1);
    }
    while (sp_engine_must_wait(engine)) {
        sp_engine_wait(engine, -1);
        (void)sp_engine_poll(engine);
    }
}

/*
 * Closing waits for the Merkle tree in any case. Where that finds damage in what opening has passed
 * over, nobody is there to be told any more: the next opening will.
 */
static void look_at_passed(struct sp_engine *engine) {
    struct sp_log_tree tree;
    if (engine->state == SP_OK && engine->passed_over && !engine->options.read_only &&
        engine->log->ops->tree(engine->log, true, &tree, NULL) == SP_CORRUPT) {
        engine_side_forget(engine);
    }
}

void sp_engine_close(struct sp_engine *engine) {
    if (engine == NULL) {
        return;
    }
    engine->closing = true;
    engine->held = false;
    write_rest(engine);
    while (engine->pending_count > 0) {
        answer(engine, engine->state);
    }
    sp_worker_free(engine->worker); /* before the log: a snapshot may be on its way into it */
    engine->worker = NULL;
    look_at_passed(engine);
    if (engine->snapshot.snapshot != NULL) {
        sp_core_snapshot_free(engine->snapshot.snapshot);
        sp_buf_fini(&engine->snapshot.flows);
    }
    if (engine->reader != NULL) {
        engine->reader->ops->free(engine->reader);
    }
    if (engine->log != NULL) {
        engine->log->ops->close(engine->log); /* its last hooks reach the index */
    }
    dispose(engine);
}
