/*
 * Snapshots of the core, so that opening replays little. The state is copied at once on the loop
 * thread (16 bytes a stream), encoded and written by the engine's worker, and only when everything
 * in it is durable: a snapshot from the future would be a lie. The state of flows is encoded at
 * that moment. All of it, numbers little-endian:
 *
 *     u32 format (4) | u32 0 | u64 bytes of the core | the core (core/snapshot.c) | flows
 *
 * Formats 1 to 3 are the core's alone.
 */
#include "base/wire.h"
#include "engine/engine_int.h"

enum {
    SNAPSHOT_EVENTS = 1 << 20,
    SNAPSHOT_CONTROL_BYTES = 64 << 20,
    SNAPSHOT_BYTES_MAX = 0x7fffffff,
    SNAPSHOT_HEAD_BYTES = 16,
};

static void snapshot_work(struct sp_job *base) {
    struct snapshot_job *job = (struct snapshot_job *)base;
    struct sp_log *log = job->engine->log;
    struct sp_buf bytes;
    sp_buf_init(&bytes, SNAPSHOT_BYTES_MAX);
    uint8_t head[SNAPSHOT_HEAD_BYTES] = {SNAPSHOT_WITH_FLOWS};
    sp_buf_add(&bytes, head, sizeof(head));
    sp_core_snapshot_encode(job->snapshot, &bytes);
    if (bytes.status == SP_OK) {
        sp_put_u64(bytes.data + 8, bytes.len - sizeof(head));
    }
    sp_buf_add_str(&bytes, sp_buf_str(&job->flows));
    if (bytes.status == SP_OK) {
        /* A failure costs time at the next opening, nothing else; the next snapshot tries again. */
        sp_status status = log->ops->snapshot_store(log, sp_core_snapshot_position(job->snapshot),
                                                    sp_buf_str(&bytes), NULL);
        (void)status;
    }
    sp_buf_fini(&bytes);
}

static void snapshot_done(struct sp_job *base) {
    struct snapshot_job *job = (struct snapshot_job *)base;
    sp_core_snapshot_free(job->snapshot);
    job->snapshot = NULL;
    sp_buf_fini(&job->flows);
    job->busy = false;
}

/*
 * Often enough that opening replays little: with each segment that is begun, since one that ends
 * before the newest snapshot is not read when opening, and damage in it costs no more than the
 * block or frame it is in. With many streams a snapshot is large: it shall stay small beside what
 * it saves reading and replaying. Control records count by their bytes: one may hold a thousand
 * ops.
 */
enum {
    CONTROL_BYTES_AN_EVENT = 64, /* that take about as long to replay */
    STREAMS_AN_EVENT = 2,        /* that are restored in about the time one event is replayed in */
};

/* Whether one was sealed, or begun, since the newest snapshot was taken that it ends before. */
static bool is_behind(const struct sp_engine *engine) {
    return engine->snapshot_segment != engine->progress.head_segment ||
           (engine->sealed_last > 0 && engine->sealed_last >= engine->snapshot_position);
}

static bool is_due(const struct sp_engine *engine) {
    uint64_t since = engine->core.position - engine->snapshot_position;
    uint64_t every =
        engine->options.snapshot_events != 0 ? engine->options.snapshot_events : SNAPSHOT_EVENTS;
    uint64_t bytes = since * CONTROL_BYTES_AN_EVENT + engine->control_bytes;
    uint64_t worth = bytes / CONTROL_BYTES_AN_EVENT * STREAMS_AN_EVENT;
    return bytes > 0 && worth >= engine->core.streams.count &&
           (since >= every || engine->control_bytes >= SNAPSHOT_CONTROL_BYTES || is_behind(engine));
}

/* Copies the state, or nothing where there is no memory for it. */
static void take(const struct sp_engine *engine, struct snapshot_job *job) {
    sp_buf_init(&job->flows, SNAPSHOT_BYTES_MAX);
    sp_flow_encode(engine->flow, &job->flows);
    job->snapshot = job->flows.status == SP_OK ? sp_core_snapshot_new(&engine->core) : NULL;
    if (job->snapshot == NULL) {
        sp_buf_fini(&job->flows);
    }
}

void engine_snapshot_upkeep(struct sp_engine *engine) {
    struct snapshot_job *job = &engine->snapshot;
    if (job->busy) {
        return;
    }
    if (job->snapshot == NULL && is_due(engine)) {
        engine_ops_flush(engine); /* what they did is in the snapshot: it is in the log before */
        take(engine, job);
        job->block = sp_engine_gate(engine);
        engine->snapshot_position = engine->core.position; /* without memory: later again */
        engine->snapshot_segment = engine->progress.head_segment;
        engine->control_bytes = 0;
    }
    if (job->snapshot == NULL || !sp_engine_passed(engine, job->block)) {
        return;
    }
    job->busy = true;
    job->engine = engine;
    job->job.work = snapshot_work;
    job->job.done = snapshot_done;
    sp_worker_submit(engine->worker, &job->job);
}
