/*
 * The way of a block to the disk.
 *
 * Happy path: append fills in the header and, with nothing in flight and little to write, writes at
 * once on the caller's thread: a hand-over to another thread would cost half as much as a quick
 * device. A large block goes to the sync worker, and so does every block while the device is slow;
 * the caller gathers the next one meanwhile. Writes finish in order.
 *
 * What can go wrong: a failed write ends the log. The bytes may or may not be on the disk, and a
 * second try could report success for pages the kernel has dropped; only a new recovery can tell.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "log/local_int.h"

uint64_t local_now_us(const struct local_log *log) {
    return log->options.clock.monotonic_ns(log->options.clock.context) / 1000;
}

void local_fail(struct local_log *log, sp_status status, const struct sp_error *error) {
    sp_require(status != SP_OK);
    if (log->state == SP_OK) {
        log->state = status;
        log->failure = error != NULL ? *error : (struct sp_error){.status = status};
    }
}

static sp_status say_failed(const struct local_log *log, struct sp_error *error) {
    if (error != NULL) {
        *error = log->failure;
        error->status = SP_FAILED;
    }
    return sp_error_prefix(error, SP_FAILED, "the log has failed");
}

struct sp_blob *sp_log_block_new(size_t body_bytes_max) {
    return sp_blob_new(sp_block_stored_bytes(body_bytes_max), SP_BLOCK_ALIGN);
}

/* Keeps a durable block in memory for readers and the Merkle worker. Takes over the reference. */
static void tail_push_locked(struct local_log *log, struct sp_blob *blob, uint64_t block) {
    while (log->tail_count > 0 && (log->tail_count == log->tail_capacity ||
                                   log->tail_bytes + blob->len > log->options.tail_bytes_max)) {
        struct tail_entry *oldest = &log->tail[log->tail_start];
        log->tail_bytes -= oldest->blob->capacity;
        sp_blob_unref(oldest->blob);
        log->tail_start = (log->tail_start + 1) % log->tail_capacity;
        log->tail_count--;
    }
    uint32_t at = (log->tail_start + log->tail_count) % log->tail_capacity;
    log->tail[at] = (struct tail_entry){.blob = blob, .block = block};
    log->tail_count++;
    log->tail_bytes += blob->capacity;
}

void local_write_done(struct sp_job *job) {
    struct write_op *op = (struct write_op *)job;
    struct local_log *log = op->log;
    op->busy = false;
    log->writes_in_flight--;
    local_sync_release(op);
    if (op->status != SP_OK) {
        local_fail(log, op->status, &op->error);
    }
    if (log->state != SP_OK || op->block == 0) {
        sp_blob_unref(op->blob);
        return;
    }
    pthread_mutex_lock(&log->mutex);
    sp_invariant(op->block == log->durable_block + 1);
    log->durable_block = op->block;
    log->durable_position = op->last_position;
    if (!local_is_relaxed(log)) {
        log->synced_block = log->durable_block;
        log->synced_position = log->durable_position;
    }
    tail_push_locked(log, op->blob, op->block);
    pthread_mutex_unlock(&log->mutex);
}

/*
 * What a small write takes, as a mean in which the latest count most. One write is under way at a
 * time, so that there is one who writes here.
 */
static void note_duration(struct local_log *log, uint64_t took_us, size_t len) {
    uint64_t mean_us = atomic_load_explicit(&log->small_write_us, memory_order_relaxed);
    uint64_t capped_us = took_us < WRITE_OUTLIER_US ? took_us : WRITE_OUTLIER_US;
    if (len <= INLINE_BYTES_MAX) {
        mean_us = (mean_us * (WRITE_MEAN_OF - 1) + capped_us) / WRITE_MEAN_OF;
        atomic_store_explicit(&log->small_write_us, mean_us, memory_order_relaxed);
    }
}

/*
 * Behind a write that failed none is done, although more may have been handed over: a segment
 * header that came after a block that did not would say that the block is there.
 */
static void write_work(struct sp_job *job) {
    struct write_op *op = (struct write_op *)job;
    struct local_log *log = op->log;
    if (atomic_load_explicit(&log->write_failed, memory_order_relaxed)) {
        op->status = sp_error_set(&op->error, SP_CANCELLED, "an earlier write has failed");
        return;
    }
    op->status = local_sync_before(op);
    uint64_t before_us = local_now_us(log);
    if (op->status == SP_OK) {
        const struct sp_fs_ops *ops = log->fs->ops;
        op->status = (op->buffered ? ops->write : ops->write_durable)(
            op->file, op->blob->data, op->len, op->offset, &op->error);
    }
    note_duration(log, local_now_us(log) - before_us, op->len);
    if (op->status != SP_OK) {
        atomic_store_explicit(&log->write_failed, true, memory_order_relaxed);
    }
}

static struct write_op *take_op(struct local_log *log) {
    for (int i = 0; i < WRITES_MAX; i++) {
        if (!log->writes[i].busy) {
            log->writes[i] = (struct write_op){
                .job = {.work = write_work, .done = local_write_done}, .log = log, .busy = true};
            return &log->writes[i];
        }
    }
    sp_never();
}

/* Small, alone and soon done: written here and now. Otherwise by the worker, in order. */
static void start(struct local_log *log, struct write_op *op) {
    bool slow =
        atomic_load_explicit(&log->small_write_us, memory_order_relaxed) > INLINE_WRITE_US_MAX;
    bool quick = op->before == NULL && !slow && (op->buffered || op->len <= INLINE_BYTES_MAX);
    bool here = log->writes_in_flight == 0 && quick && !log->options.threaded_writes;
    bool worker_waits = log->options.inline_jobs && !log->options.threaded_writes;
    log->writes_in_flight++;
    if (here || worker_waits) {
        write_work(&op->job);
        local_write_done(&op->job);
    } else {
        sp_worker_submit(log->sync_worker, &op->job);
    }
}

sp_status local_write_header(struct local_log *log, struct segment *segment,
                             const struct sp_raw_header *header, struct sp_error *error) {
    struct sp_blob *blob = sp_blob_new(SP_RAW_HEADER_BYTES, SP_BLOCK_ALIGN);
    if (blob == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "segment header");
    }
    sp_raw_header_encode(header, blob->data);
    blob->len = SP_RAW_HEADER_BYTES;
    struct write_op *op = take_op(log);
    op->file = segment->direct;
    op->blob = blob;
    op->len = SP_RAW_HEADER_BYTES;
    if (local_is_relaxed(log) && log->segment_count > 1) {
        local_sync_hold(op, log->segments[log->segment_count - 2]);
    }
    start(log, op);
    return log->state == SP_OK ? SP_OK : say_failed(log, error);
}

static bool active_has_room(struct local_log *log) {
    const struct segment *active = local_active(log);
    return active != NULL &&
           active->file_bytes - active->end_offset >= log->options.block_bytes_max;
}

sp_status local_ready(struct sp_log *base, struct sp_error *error) {
    struct local_log *log = local_of(base);
    if (log->state != SP_OK) {
        return say_failed(log, error);
    }
    if (log->options.read_only) {
        return sp_error_set(error, SP_DENIED, "the log is open read-only");
    }
    if (active_has_room(log) || log->spare_count > 0) {
        return SP_OK;
    }
    if (!log->spare_job.busy && log->spare_job.status != SP_OK &&
        local_now_us(log) < log->spare_retry_us) {
        if (log->spare_job.status != SP_NO_SPACE) {
            local_fail(log, log->spare_job.status, &log->spare_job.error);
            return say_failed(log, error);
        }
        if (error != NULL) {
            *error = log->spare_job.error;
        }
        return SP_NO_SPACE;
    }
    local_spare_upkeep(log);
    if (log->options.inline_jobs) {
        while (sp_worker_run(log->prepare_worker)) {
            sp_worker_poll(log->prepare_worker);
        }
        return log->spare_count > 0 ? SP_OK : local_ready(base, error);
    }
    return SP_BUSY;
}

/* Fills in what only the driver knows. */
static struct sp_block_header make_header(struct local_log *log, const struct segment *segment,
                                          const struct sp_log_block *block) {
    struct sp_block_header header = {
        .log_id = log->log_id,
        .epoch = segment->id,
        .file_offset = segment->end_offset,
        .number = log->head_block + 1,
        .first_position = block->first_position,
        .event_count = block->event_count,
        .record_count = block->record_count,
        .body_bytes = block->body_bytes,
        .prev_check = log->head_check,
        .recorded_us = block->recorded_us,
        .features = local_is_relaxed(log) ? SP_BLOCK_UNORDERED : 0,
    };
    pthread_mutex_lock(&log->mutex);
    header.durable_upto = log->synced_block;
    header.tree_size = log->published.size;
    memcpy(header.tree_root, log->published.root, SP_HASH_BYTES);
    pthread_mutex_unlock(&log->mutex);
    return header;
}

/* Enters the block into the segment's table; readers see it once it is durable. */
static sp_status enter_block(struct local_log *log, struct segment *segment,
                             const struct sp_block_header *header, size_t stored) {
    pthread_mutex_lock(&log->mutex);
    sp_status status =
        segment_add_block(segment, header->first_position, segment->end_offset, stored);
    if (status == SP_OK) {
        segment->next_position = header->first_position + header->event_count;
        segment->last_check = header->check;
        segment->last_recorded_us = header->recorded_us;
    }
    pthread_mutex_unlock(&log->mutex);
    return status;
}

sp_status local_append(struct sp_log *base, uint64_t expected_head,
                       const struct sp_log_block *block, struct sp_error *error) {
    struct local_log *log = local_of(base);
    if (log->state != SP_OK) {
        return say_failed(log, error);
    }
    if (expected_head != log->head_block) {
        return sp_error_set(error, SP_CONFLICT, "the head is block %llu, not %llu",
                            (unsigned long long)log->head_block, (unsigned long long)expected_head);
    }
    size_t stored = sp_block_stored_bytes(block->body_bytes);
    sp_require(stored <= log->options.block_bytes_max && block->blob->capacity >= stored);
    sp_require(block->first_position == log->head_position + 1);
    struct segment *segment = local_active(log);
    if (segment == NULL || segment->file_bytes - segment->end_offset < stored) {
        sp_status status = local_rotate(log, error);
        if (status != SP_OK) {
            local_fail(log, status, error);
            return status;
        }
        segment = local_active(log);
    }
    uint64_t offset = segment->end_offset;
    struct sp_block_header header = make_header(log, segment, block);
    sp_block_finish(block->blob->data, &header);
    block->blob->len = stored;
    if (enter_block(log, segment, &header, stored) != SP_OK) {
        return sp_error_set(error, SP_NO_MEMORY, "block table");
    }
    atomic_store_explicit(&log->appended_us, local_now_us(log), memory_order_relaxed);
    log->head_block = header.number;
    log->head_check = header.check;
    log->head_position += header.event_count;
    struct write_op *op = take_op(log);
    op->buffered = local_is_relaxed(log);
    op->file = op->buffered ? segment->file : segment->direct;
    op->blob = sp_blob_ref(block->blob);
    op->offset = offset;
    op->len = stored;
    op->block = header.number;
    op->last_position = log->head_position;
    start(log, op);
    return SP_OK;
}

void local_poll(struct sp_log *base, struct sp_log_progress *ret_progress) {
    struct local_log *log = local_of(base);
    if (!log->options.read_only) {
        if (log->options.inline_jobs) {
            (void)sp_worker_run(log->sync_worker); /* one write a call: others come in between */
        }
        sp_worker_poll(log->sync_worker);
        sp_worker_poll(log->prepare_worker);
        sp_worker_poll(log->seal_worker);
        sp_worker_poll(log->catch_up_worker);
        sp_worker_poll(log->tree_worker);
        if (log->flush_worker != NULL) {
            sp_worker_poll(log->flush_worker);
        }
        local_sync_poll(log);
    }
    *ret_progress = (struct sp_log_progress){
        .head_block = log->head_block,
        .head_segment = log->segment_count > 0 ? log->segments[log->segment_count - 1]->id : 0,
        .durable_block = log->durable_block,
        .durable_position = log->durable_position,
        .synced_block = log->durable_block,
        .state = log->state,
    };
    if (local_is_relaxed(log)) {
        pthread_mutex_lock(&log->mutex);
        ret_progress->synced_block = log->synced_block;
        pthread_mutex_unlock(&log->mutex);
    }
}

void local_wait(struct sp_log *base, int timeout_ms) {
    struct local_log *log = local_of(base);
    if (log->options.read_only) {
        return;
    }
    if (log->writes_in_flight > 0) {
        sp_worker_wait(log->sync_worker, timeout_ms);
    } else if (log->spare_job.busy) {
        sp_worker_wait(log->prepare_worker, timeout_ms);
    }
}
