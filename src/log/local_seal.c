/*
 * From raw to sealed, and from sealed to gone. A segment is sealed when it is full and the Merkle
 * tree has passed it. The order of steps is what makes a crash harmless: sealed file durable, then
 * the manifest that names it, then the raw file is given back. Trimming goes the other way:
 * manifest first, then unlink.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "log/local_int.h"

enum {
    SEAL_BACKLOG_MAX = 12, /* segments that wait before sealing leaves the background */
    SEAL_RETRY_US = 5000000,
    RETENTION_PERIOD_US = 1000000
};

static void seal_work(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    job->status = local_seal_write(job->log, job->segment, &job->error);
    if (job->status == SP_OK) {
        job->status = sp_log_sealed_open(job->log->fs, job->segment->id, &job->sealed, &job->error);
    }
}

static void seal_done(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    struct local_log *log = job->log;
    job->busy = false;
    if (job->status != SP_OK) {
        log->background = job->status == SP_CANCELLED ? log->background : job->status;
        log->seal_retry_us = local_now_us(log) + SEAL_RETRY_US;
        pthread_mutex_lock(&log->mutex);
        segment_unref_locked(job->segment);
        pthread_mutex_unlock(&log->mutex);
        return;
    }
    log->sealing = job->segment;
    log->sealing_to = job->sealed;
    log->manifest_dirty = true;
}

/*
 * A segment that was given up before anything came into it (the first write was torn, or too large
 * for it) falls free once it is the oldest raw one: there is nothing to seal, and no raw segment
 * before it whose end only its header knows. The mutex is held.
 */
static void drop_empty_locked(struct local_log *log) {
    size_t at = 0;
    while (at < log->segment_count && log->segments[at]->sealed != NULL) {
        at++;
    }
    while (at + 1 < log->segment_count && log->segments[at]->full &&
           log->segments[at]->next_block == log->segments[at]->first_block) {
        struct segment *empty = log->segments[at];
        log->segment_count--;
        memmove(log->segments + at, log->segments + at + 1,
                (log->segment_count - at) * sizeof(struct segment *));
        empty->recycle = true;
        segment_unref_locked(empty);
    }
}

/* The oldest raw segment, if it can be sealed. The mutex is held. */
static struct segment *next_to_seal_locked(struct local_log *log) {
    for (size_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        if (segment->sealed == NULL) {
            bool ready = segment->full && segment->next_block > segment->first_block &&
                         log->tree_block >= segment->next_block - 1 &&
                         log->durable_block >= segment->next_block - 1;
            return ready ? segment : NULL;
        }
    }
    return NULL;
}

static uint32_t waiting_segments(const struct local_log *log) {
    uint32_t count = 0;
    for (size_t i = log->segment_count; i > 0 && log->segments[i - 1]->sealed == NULL; i--) {
        count += log->segments[i - 1]->full ? 1 : 0;
    }
    return count;
}

/*
 * Sealing takes what the others leave of the processors. Where that is too little for long, it
 * takes its share like everybody: appends slow down a little, and the folder stops growing by raw
 * segments.
 */
void local_seal_upkeep(struct local_log *log) {
    if (!log->options.seal || log->options.hooks.encode == NULL || log->seal_job.busy ||
        log->sealing != NULL || log->state != SP_OK || local_now_us(log) < log->seal_retry_us) {
        return;
    }
    pthread_mutex_lock(&log->mutex);
    drop_empty_locked(log);
    struct segment *segment = next_to_seal_locked(log);
    if (segment != NULL) {
        segment_ref_locked(segment);
    }
    pthread_mutex_unlock(&log->mutex);
    if (segment == NULL) {
        return;
    }
    log->seal_job.busy = true;
    log->seal_job.segment = segment;
    log->seal_job.job.work = seal_work;
    log->seal_job.job.done = seal_done;
    bool behind = waiting_segments(log) > SEAL_BACKLOG_MAX;
    atomic_store_explicit(&log->seal_hurry, behind, memory_order_relaxed);
    sp_worker_submit(behind ? log->catch_up_worker : log->seal_worker, &log->seal_job.job);
}

static struct sp_manifest_segment manifest_row(const struct sp_log_sealed *sealed) {
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(sealed);
    return (struct sp_manifest_segment){
        .id = footer->id,
        .first_position = footer->first_position,
        .last_position = footer->last_position,
        .first_block = footer->first_block,
        .last_block = footer->last_block,
        .last_check = footer->last_check,
        .file_bytes = sp_log_sealed_bytes(sealed),
        .footer_check = footer->check,
    };
}

void local_manifest_encode(struct local_log *log, struct sp_buf *to) {
    struct sp_manifest manifest = {
        .created_us = log->created_us,
        .first_block = log->begin_block,
        .first_position = log->begin_position,
        .first_prev_check = log->begin_prev_check,
        .segments = calloc(log->segment_count + 1, sizeof(struct sp_manifest_segment)),
    };
    if (manifest.segments == NULL) {
        to->status = SP_NO_MEMORY;
        return;
    }
    memcpy(manifest.uuid, log->uuid, 16);
    for (size_t i = 0; i < log->segment_count; i++) {
        if (log->segments[i]->sealed != NULL) {
            manifest.segments[manifest.segment_count++] = manifest_row(log->segments[i]->sealed);
        }
    }
    if (log->sealing != NULL) {
        manifest.segments[manifest.segment_count++] = manifest_row(log->sealing_to);
    }
    sp_manifest_encode(&manifest, to);
    sp_manifest_fini(&manifest);
}

/* The manifest names the sealed file: from now on it serves, and the raw file falls free. */
static void swap_sealed(struct local_log *log) {
    struct segment *raw = log->sealing;
    struct segment *sealed = segment_of_sealed(log, log->sealing_to);
    if (sealed == NULL) {
        /* out of memory: the raw segment goes on serving; tried again with the next upkeep */
        return;
    }
    pthread_mutex_lock(&log->mutex);
    for (size_t i = 0; i < log->segment_count; i++) {
        if (log->segments[i] == raw) {
            log->segments[i] = sealed;
        }
    }
    raw->recycle = true;
    segment_unref_locked(raw); /* the list's */
    segment_unref_locked(raw); /* the job's */
    pthread_mutex_unlock(&log->mutex);
    log->sealing = NULL;
    log->sealing_to = NULL;
    const struct sp_log_seal_hooks *hooks = &log->options.hooks;
    if (hooks->sealed != NULL) {
        hooks->sealed(hooks->context, sealed->id, sealed->sealed);
    }
}

static void unlink_trimmed(struct local_log *log) {
    for (size_t i = 0; i + sizeof(uint64_t) <= log->trimmed.len; i += sizeof(uint64_t)) {
        uint64_t id;
        memcpy(&id, log->trimmed.data + i, sizeof(id));
        char path[SP_SEALED_PATH_BYTES];
        sp_sealed_path(id, path);
        (void)log->fs->ops->unlink(log->fs, path,
                                   NULL); /* what stays is removed at the next open */
    }
    sp_buf_reset(&log->trimmed);
}

static void manifest_work(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    job->status =
        job->content.status != SP_OK
            ? job->content.status
            : sp_fs_replace(job->log->fs, SP_MANIFEST_PATH, sp_buf_str(&job->content), &job->error);
}

static void manifest_done(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    struct local_log *log = job->log;
    job->busy = false;
    if (job->status != SP_OK) {
        log->background = job->status;
        log->manifest_dirty = true;
        log->seal_retry_us = local_now_us(log) + SEAL_RETRY_US;
        return;
    }
    /* What was trimmed or sealed after this content was made is in the next one. */
    if (!log->manifest_dirty) {
        unlink_trimmed(log);
    }
    if (log->sealing != NULL && job->segment == log->sealing) {
        swap_sealed(log);
    }
}

void local_manifest_upkeep(struct local_log *log) {
    struct background_job *job = &log->manifest_job;
    bool waiting = log->manifest_dirty || log->sealing != NULL;
    if (!waiting || job->busy || log->state != SP_OK || local_now_us(log) < log->seal_retry_us) {
        return;
    }
    if (log->sealing != NULL && !local_checkpoint_exists(log)) {
        local_checkpoint_upkeep(log, true);
        return;
    }
    sp_buf_reset(&job->content);
    local_manifest_encode(log, &job->content);
    log->manifest_dirty = false;
    job->segment = log->sealing;
    job->busy = true;
    job->job.work = manifest_work;
    job->job.done = manifest_done;
    sp_worker_submit(log->prepare_worker, &job->job);
}

/* Takes the oldest segment off the list. */
static void drop_oldest(struct local_log *log) {
    pthread_mutex_lock(&log->mutex);
    struct segment *oldest = log->segments[0];
    log->begin_block = oldest->next_block;
    log->begin_position = oldest->next_position;
    log->begin_prev_check = oldest->last_check;
    sp_buf_add(&log->trimmed, &oldest->id, sizeof(oldest->id));
    log->segment_count--;
    memmove(log->segments, log->segments + 1, log->segment_count * sizeof(struct segment *));
    segment_unref_locked(oldest);
    pthread_mutex_unlock(&log->mutex);
}

sp_status local_trim(struct sp_log *base, uint64_t position, struct sp_error *error) {
    struct local_log *log = local_of(base);
    if (log->options.read_only) {
        return sp_error_set(error, SP_DENIED, "the log is open read-only");
    }
    pthread_mutex_lock(&log->mutex);
    uint64_t snapshot = log->snapshot_position;
    pthread_mutex_unlock(&log->mutex);
    /*
     * What no snapshot covers is still needed to rebuild the owner's state: also control records
     * behind the event that it ends with. Its segment stays.
     */
    uint64_t bound = position < snapshot ? position : snapshot;
    const struct sp_log_seal_hooks *hooks = &log->options.hooks;
    uint64_t kept = hooks->keep != NULL ? hooks->keep(hooks->context) : UINT64_MAX;
    bound = kept < bound ? kept : bound;
    bool dropped = false;
    /* The last sealed one stays: the Merkle tree goes on from the edge that it ends with. */
    while (log->segment_count > 1 && log->segments[0]->sealed != NULL &&
           log->segments[1]->sealed != NULL && log->segments[0]->next_position <= bound) {
        drop_oldest(log);
        dropped = true;
    }
    if (dropped) {
        log->manifest_dirty = true;
        if (log->options.hooks.trimmed != NULL) {
            log->options.hooks.trimmed(log->options.hooks.context, log->begin_position);
        }
    }
    return SP_OK;
}

static uint64_t bytes_of(const struct segment *segment) {
    return segment->sealed != NULL ? sp_log_sealed_bytes(segment->sealed) : segment->end_offset;
}

void local_retention_upkeep(struct local_log *log) {
    const struct sp_log_local_options *options = &log->options;
    uint64_t now_us = local_now_us(log);
    if ((options->retain_bytes_max == 0 && options->retain_age_us == 0) ||
        now_us - log->retention_us < RETENTION_PERIOD_US) {
        return;
    }
    log->retention_us = now_us;
    uint64_t total = 0;
    for (size_t i = 0; i < log->segment_count; i++) {
        total += bytes_of(log->segments[i]);
    }
    uint64_t wall_us = options->clock.wall_us(options->clock.context);
    uint64_t bound = 0;
    for (size_t i = 0; i + 1 < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        bool large = options->retain_bytes_max > 0 && total > options->retain_bytes_max;
        bool old = options->retain_age_us > 0 &&
                   segment->last_recorded_us + options->retain_age_us < wall_us;
        if (segment->sealed == NULL || (!large && !old)) {
            break;
        }
        bound = segment->next_position;
        total -= bytes_of(segment);
    }
    if (bound > 0) {
        (void)local_trim(&log->base, bound, NULL);
    }
}
