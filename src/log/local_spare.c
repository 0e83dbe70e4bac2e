/*
 * Spares: files of zeros, made and synced before they are needed, so that going over to the next
 * segment costs one write and no metadata. Writing into blocks that were written before is twice as
 * fast as writing into blocks that were only reserved (no extent conversion, hence no journal
 * commit).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/wire.h"
#include "log/local_int.h"

enum {
    ZERO_CHUNK_BYTES = 256 << 10, /* an append waits for one of them at most */
    SPARE_RETRY_US = 1000000
};

static sp_status write_zeros(struct sp_fs *fs, struct sp_file *file, uint64_t bytes,
                             struct sp_error *error) {
    struct sp_blob *zeros = sp_blob_new(ZERO_CHUNK_BYTES, SP_FS_BLOCK_BYTES);
    if (zeros == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "spare segment");
    }
    memset(zeros->data, 0, ZERO_CHUNK_BYTES);
    sp_status status = SP_OK;
    for (uint64_t at = 0; at < bytes && status == SP_OK; at += ZERO_CHUNK_BYTES) {
        size_t len = bytes - at < ZERO_CHUNK_BYTES ? (size_t)(bytes - at) : ZERO_CHUNK_BYTES;
        status = fs->ops->write(file, zeros->data, len, at, error);
    }
    sp_blob_unref(zeros);
    return status == SP_OK ? fs->ops->sync(file, error) : status;
}

/*
 * Makes wal/<number>.seg a file of zeros. It is written under another name first: a file with the
 * real name is either in use or all zeros. A file that is reused is renamed away for the time,
 * durably: else a crash could bring the name back with a part of the zeros, and what is half of an
 * old segment would look like a spare.
 */
static sp_status make_file(struct sp_fs *fs, const struct background_job *job,
                           struct sp_error *error) {
    char path[RAW_PATH_BYTES];
    char tmp[RAW_PATH_BYTES + 8];
    local_raw_path(job->file_number, path);
    (void)snprintf(tmp, sizeof(tmp), "%s.tmp", path);
    sp_status status = job->reuse ? fs->ops->rename(fs, path, tmp, error) : SP_OK;
    if (status == SP_OK && job->reuse) {
        status = fs->ops->sync_dir(fs, SP_WAL_FOLDER, error);
    }
    struct sp_file *file = NULL;
    if (status == SP_OK) {
        /* Past the page cache: the zeros would only push out what is worth keeping there. */
        status = fs->ops->open(fs, tmp, SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE | SP_FS_DIRECT,
                               &file, error);
    }
    if (status == SP_OK) {
        status = write_zeros(fs, file, job->bytes, error);
        fs->ops->close(file);
    }
    if (status == SP_OK) {
        status = fs->ops->rename(fs, tmp, path, error);
    }
    if (status == SP_OK) {
        status = fs->ops->sync_dir(fs, SP_WAL_FOLDER, error);
    }
    if (status != SP_OK) {
        (void)fs->ops->unlink(fs, tmp, NULL);
        return sp_error_prefix(error, status, "spare segment");
    }
    return SP_OK;
}

/*
 * Segments double from the first size to the largest, so that a small log is a small folder. They
 * grow with each one made, not with each one tried: a full device is not asked for more and more.
 */
static void add_spare(struct local_log *log, const struct background_job *job) {
    sp_require(log->spare_count < SPARES_MAX);
    log->spares[log->spare_count++] =
        (struct spare){.file_number = job->file_number, .bytes = job->bytes};
    uint64_t doubled = log->next_spare_bytes * 2;
    uint64_t most = log->options.segment_bytes_max;
    log->next_spare_bytes = job->reuse ? log->next_spare_bytes : doubled > most ? most : doubled;
}

static void spare_work(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    job->status = make_file(job->log->fs, job, &job->error);
}

static void spare_done(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    struct local_log *log = job->log;
    job->busy = false;
    if (job->status != SP_OK) {
        log->background = job->status;
        log->spare_retry_us = local_now_us(log) + SPARE_RETRY_US;
        return;
    }
    add_spare(log, job);
}

/* Takes a file that a sealed segment left behind, if there is one. */
static bool take_recycled(struct local_log *log, struct spare *ret_spare) {
    bool found = false;
    pthread_mutex_lock(&log->mutex);
    if (log->recycle.len >= sizeof(*ret_spare)) {
        log->recycle.len -= sizeof(*ret_spare);
        memcpy(ret_spare, log->recycle.data + log->recycle.len, sizeof(*ret_spare));
        found = true;
    }
    pthread_mutex_unlock(&log->mutex);
    return found;
}

static void remove_file(struct local_log *log, uint32_t file_number) {
    char path[RAW_PATH_BYTES];
    local_raw_path(file_number, path);
    (void)log->fs->ops->unlink(log->fs, path, NULL); /* what stays is found at the next open */
}

static void fill_spare_job(struct local_log *log, struct background_job *job) {
    struct spare recycled;
    job->reuse = take_recycled(log, &recycled);
    while (job->reuse && recycled.bytes < log->next_spare_bytes) {
        remove_file(log, recycled.file_number); /* of a time when segments were smaller */
        job->reuse = take_recycled(log, &recycled);
    }
    if (job->reuse) {
        job->file_number = recycled.file_number;
        job->bytes = recycled.bytes;
    } else {
        job->file_number = log->next_file_number++;
        job->bytes = log->next_spare_bytes;
    }
}

/* More files than spares are wanted: the surplus is removed. */
static void drop_surplus(struct local_log *log) {
    struct spare recycled;
    while (log->spare_count == SPARES_MAX && take_recycled(log, &recycled)) {
        remove_file(log, recycled.file_number);
    }
}

void local_spare_upkeep(struct local_log *log) {
    drop_surplus(log);
    pthread_mutex_lock(&log->mutex); /* readers, of any thread, let files fall free */
    bool free_file = log->recycle.len > 0;
    pthread_mutex_unlock(&log->mutex);
    /* One spare is kept; a second only when a file falls free anyway. */
    bool wanted = log->spare_count == 0 || (log->spare_count < SPARES_MAX && free_file);
    if (!wanted || log->spare_job.busy || local_now_us(log) < log->spare_retry_us) {
        return;
    }
    fill_spare_job(log, &log->spare_job);
    log->spare_job.busy = true;
    log->spare_job.job.work = spare_work;
    log->spare_job.job.done = spare_done;
    sp_worker_submit(log->prepare_worker, &log->spare_job.job);
}

sp_status local_spare_make(struct local_log *log, struct sp_error *error) {
    struct background_job *job = &log->spare_job;
    sp_require(!job->busy && log->spare_count < SPARES_MAX);
    fill_spare_job(log, job);
    spare_work(&job->job);
    spare_done(&job->job);
    if (job->status != SP_OK && error != NULL) {
        *error = job->error;
    }
    return job->status;
}

/* The header of the segment that follows the head. */
static struct sp_raw_header next_header(struct local_log *log, const struct spare *spare) {
    const struct segment *last =
        log->segment_count > 0 ? log->segments[log->segment_count - 1] : NULL;
    struct sp_raw_header header = {
        .epoch = last != NULL ? last->id + 1 : 1,
        .segment_bytes = spare->bytes,
        .first_block = log->head_block + 1,
        .first_position = log->head_position + 1,
        .prev_check = log->head_check,
        .prev_end = last != NULL && last->sealed == NULL ? last->end_offset : 0,
        .created_us = log->options.clock.wall_us(log->options.clock.context),
    };
    memcpy(header.uuid, log->uuid, 16);
    log->options.entropy(header.salt_key, SP_HASH_BYTES);
    return header;
}

sp_status local_rotate(struct local_log *log, struct sp_error *error) {
    sp_require(log->spare_count > 0);
    struct spare spare = log->spares[0];
    struct sp_raw_header header = next_header(log, &spare);
    struct segment *segment = segment_new(log);
    if (segment == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "segment");
    }
    segment->id = header.epoch;
    segment->first_position = header.first_position;
    segment->next_position = header.first_position;
    segment->first_block = header.first_block;
    segment->next_block = header.first_block;
    segment->prev_check = header.prev_check;
    segment->last_check = header.prev_check;
    segment->file_number = spare.file_number;
    segment->file_bytes = spare.bytes;
    segment->end_offset = SP_RAW_HEADER_BYTES;
    memcpy(segment->salt_key, header.salt_key, SP_HASH_BYTES);
    sp_status status = segment_open_files(segment, error);
    if (status == SP_OK) {
        status = local_list_add(log, segment);
    }
    if (status != SP_OK) {
        pthread_mutex_lock(&log->mutex);
        segment_unref_locked(segment);
        pthread_mutex_unlock(&log->mutex);
        return status;
    }
    if (log->segment_count > 1) {
        log->segments[log->segment_count - 2]->full = true;
    }
    log->spare_count--;
    log->spares[0] = log->spares[log->spare_count];
    /* Last: its file must stay open until the write is done. Where it fails the log ends. */
    return local_write_header(log, segment, &header, error);
}
