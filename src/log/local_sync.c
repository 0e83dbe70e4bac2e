/*
 * Weaker durability, for those who ask for it: blocks are in the care of the operating system when
 * they count as durable, and are synced later.
 *
 *     written ──► durable (may be shown) ──► synced (may be vouched for)
 *
 * Happy path: a block is written through the page cache; with INTERVAL a helper syncs once a period
 * where there is something new; with either, whatever is about to vouch for events (the checkpoint,
 * a snapshot, the header of the next segment, the end) syncs first. Always the whole file, so that
 * what is synced is a beginning of the log.
 *
 * What can go wrong: a sync that fails ends the log as a failed write does. None follows it.
 */
#include <stdatomic.h>

#include "log/local_int.h"

enum {
    UNSYNCED_SEGMENTS_MAX = 8, /* each but one has a header among the writes in flight */
    NAP_US = 10000,
};

static void note_failure(struct local_log *log, const struct sp_error *error) {
    pthread_mutex_lock(&log->mutex);
    log->sync_error = *error;
    pthread_mutex_unlock(&log->mutex);
    atomic_store(&log->sync_failed, true);
    atomic_store_explicit(&log->write_failed, true, memory_order_relaxed);
}

/*
 * One at a time, and none behind one that failed: the kernel tells of what it could not write once,
 * and the next sync of the same file would say that all is well.
 */
static sp_status sync_file(struct local_log *log, struct sp_file *file, struct sp_error *error) {
    pthread_mutex_lock(&log->sync_mutex);
    sp_status status = SP_FAILED;
    if (!atomic_load(&log->sync_failed)) {
        status = log->fs->ops->sync(file, error);
        if (status != SP_OK) {
            note_failure(log, error);
        }
    } else {
        (void)sp_error_set(error, SP_FAILED, "an earlier sync has failed");
    }
    pthread_mutex_unlock(&log->sync_mutex);
    return status;
}

/* References to the raw segments that hold a block that is not synced. */
static size_t find_unsynced(struct local_log *log, struct segment *found[UNSYNCED_SEGMENTS_MAX],
                            uint64_t *ret_block, uint64_t *ret_position) {
    size_t count = 0;
    pthread_mutex_lock(&log->mutex);
    *ret_block = log->durable_block;
    *ret_position = log->durable_position;
    bool all = log->durable_block <= log->synced_block;
    for (size_t i = log->segment_count; i > 0 && !all; i--) {
        struct segment *segment = log->segments[i - 1];
        if (segment->sealed == NULL && segment->next_block > log->synced_block + 1) {
            sp_ensure(count < UNSYNCED_SEGMENTS_MAX);
            found[count++] = segment_ref_locked(segment);
        }
        all = segment->first_block <= log->synced_block + 1;
    }
    pthread_mutex_unlock(&log->mutex);
    return count;
}

sp_status local_sync_now(struct local_log *log, struct sp_error *error) {
    struct segment *segments[UNSYNCED_SEGMENTS_MAX];
    struct sp_error found;
    uint64_t block = 0;
    uint64_t position = 0;
    sp_status status = SP_OK;
    if (!local_is_relaxed(log)) {
        return SP_OK;
    }
    sp_error_clear(&found);
    size_t count = find_unsynced(log, segments, &block, &position);
    for (size_t i = count; i > 0 && status == SP_OK; i--) {
        status = sync_file(log, segments[i - 1]->file, &found);
    }
    if (status != SP_OK && error != NULL) {
        *error = found;
    }
    pthread_mutex_lock(&log->mutex);
    for (size_t i = 0; i < count; i++) {
        segment_unref_locked(segments[i]);
    }
    if (status == SP_OK && block > log->synced_block) {
        log->synced_block = block;
        log->synced_position = position;
    }
    pthread_mutex_unlock(&log->mutex);
    return status;
}

void local_sync_hold(struct write_op *op, struct segment *before) {
    pthread_mutex_lock(&op->log->mutex);
    if (before->sealed == NULL) {
        op->before = segment_ref_locked(before);
    }
    pthread_mutex_unlock(&op->log->mutex);
}

void local_sync_release(struct write_op *op) {
    struct local_log *log = op->log;
    if (op->before == NULL) {
        return;
    }
    pthread_mutex_lock(&log->mutex);
    uint64_t last_block = op->before->next_block - 1;
    if (op->status == SP_OK && last_block > log->synced_block) {
        sp_invariant(last_block <= log->durable_block); /* writes finish in order */
        log->synced_block = last_block;
        log->synced_position = op->before->next_position - 1;
    }
    segment_unref_locked(op->before);
    pthread_mutex_unlock(&log->mutex);
    op->before = NULL;
}

sp_status local_sync_before(struct write_op *op) {
    return op->before == NULL ? SP_OK : sync_file(op->log, op->before->file, &op->error);
}

void local_sync_poll(struct local_log *log) {
    if (log->state == SP_OK && atomic_load(&log->sync_failed)) {
        pthread_mutex_lock(&log->mutex);
        struct sp_error error = log->sync_error;
        pthread_mutex_unlock(&log->mutex);
        local_fail(log, error.status, &error);
    }
}

/* ---- once a period --------------------------------------------------------------------------- */

/* What is new is gathered until the period is over, as long as nobody wants to be done. */
static void await_period(struct local_log *log) {
    uint64_t due_us = log->synced_us + log->options.sync_period_us;
    uint64_t now_us = local_now_us(log);
    while (now_us < due_us && !log->options.inline_jobs &&
           !atomic_load_explicit(&log->closing, memory_order_relaxed)) {
        uint64_t left_us = due_us - now_us;
        sp_sleep_us(left_us < NAP_US ? left_us : NAP_US);
        now_us = local_now_us(log);
    }
    log->synced_us = now_us;
}

static void flush_work(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    await_period(job->log);
    job->status = local_sync_now(job->log, &job->error);
}

static void flush_done(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    job->busy = false;
}

void local_sync_upkeep(struct local_log *log) {
    struct background_job *job = &log->flush_job;
    if (log->flush_worker == NULL || job->busy) {
        return;
    }
    pthread_mutex_lock(&log->mutex);
    bool all = log->durable_block <= log->synced_block;
    pthread_mutex_unlock(&log->mutex);
    bool early = log->options.inline_jobs &&
                 local_now_us(log) - log->synced_us < log->options.sync_period_us;
    if (!all && !early) {
        job->busy = true;
        job->job.work = flush_work;
        job->job.done = flush_done;
        sp_worker_submit(log->flush_worker, &job->job);
    }
}
