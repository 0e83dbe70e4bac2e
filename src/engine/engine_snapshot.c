/*
 * Snapshots of the core, so that opening replays little. The state is copied at once on the loop
 * thread (16 bytes a stream), encoded and written by the engine's worker, and only when everything
 * in it is durable: a snapshot from the future would be a lie.
 */
#include "engine/engine_int.h"

enum {
    SNAPSHOT_EVENTS = 1 << 20,
    SNAPSHOT_CONTROL_BYTES = 64 << 20,
    SNAPSHOT_BYTES_MAX = 0x7fffffff
};

static void snapshot_work(struct sp_job *base) {
    struct snapshot_job *job = (struct snapshot_job *)base;
    struct sp_log *log = job->engine->log;
    struct sp_buf bytes;
    sp_buf_init(&bytes, SNAPSHOT_BYTES_MAX);
    sp_core_snapshot_encode(job->snapshot, &bytes);
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
    job->busy = false;
}

/*
 * Often enough that opening replays little, and after each sealing: damage in a sealed file then
 * costs no more than the frame it is in, and retention may drop the file. With many streams a
 * snapshot is large: it shall stay small beside what it saves replaying. Control records count by
 * their bytes: one may hold a thousand ops.
 */
enum { CONTROL_BYTES_AN_EVENT = 64 /* that take about as long to replay */ };

static bool is_due(const struct sp_engine *engine) {
    uint64_t since = engine->core.position - engine->snapshot_position;
    uint64_t every =
        engine->options.snapshot_events != 0 ? engine->options.snapshot_events : SNAPSHOT_EVENTS;
    uint64_t bytes = since * CONTROL_BYTES_AN_EVENT + engine->control_bytes;
    return bytes > 0 && bytes / CONTROL_BYTES_AN_EVENT >= engine->core.streams.count &&
           (since >= every || engine->control_bytes >= SNAPSHOT_CONTROL_BYTES ||
            engine->sealed_since_snapshot);
}

void engine_snapshot_upkeep(struct sp_engine *engine) {
    struct snapshot_job *job = &engine->snapshot;
    if (job->busy) {
        return;
    }
    if (job->snapshot == NULL && is_due(engine)) {
        engine_ops_flush(engine); /* what they did is in the snapshot: it is in the log before */
        job->snapshot = sp_core_snapshot_new(&engine->core);
        job->block = sp_engine_gate(engine);
        engine->snapshot_position = engine->core.position; /* without memory: later again */
        engine->control_bytes = 0;
        engine->sealed_since_snapshot = false;
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
