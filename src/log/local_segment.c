#include <stdio.h>
#include <stdlib.h>

#include "log/local_int.h"

void local_raw_path(uint32_t file_number, char path[RAW_PATH_BYTES]) {
    (void)snprintf(path, RAW_PATH_BYTES, SP_WAL_FOLDER "/%08u.seg", file_number);
}

struct segment *segment_new(struct local_log *log) {
    struct segment *segment = calloc(1, sizeof(*segment));
    if (segment != NULL) {
        segment->log = log;
        segment->refs = 1;
    }
    return segment;
}

struct segment *segment_ref_locked(struct segment *segment) {
    sp_require(segment->refs > 0);
    segment->refs++;
    return segment;
}

/* Hands the file over to be zeroed and used again; where memory is out it is found when opening. */
static void give_file_back_locked(struct segment *segment) {
    struct local_log *log = segment->log;
    struct spare spare = {.file_number = segment->file_number, .bytes = segment->file_bytes};
    sp_buf_add(&log->recycle, &spare, sizeof(spare));
}

void segment_unref_locked(struct segment *segment) {
    sp_require(segment->refs > 0);
    if (--segment->refs > 0) {
        return;
    }
    const struct sp_fs_ops *ops = segment->log->fs->ops;
    if (segment->file != NULL) {
        ops->close(segment->file);
    }
    if (segment->direct != NULL) {
        ops->close(segment->direct);
    }
    if (segment->recycle) {
        give_file_back_locked(segment);
    }
    sp_log_sealed_unref(segment->sealed);
    free(segment->blocks);
    free(segment->tags);
    free(segment->tiles);
    free(segment);
}

sp_status local_list_add(struct local_log *log, struct segment *segment) {
    sp_status status = SP_OK;
    pthread_mutex_lock(&log->mutex);
    if (log->segment_count == log->segment_capacity) {
        size_t capacity = log->segment_capacity == 0 ? 16 : log->segment_capacity * 2;
        struct segment **segments = realloc(log->segments, capacity * sizeof(struct segment *));
        status = segments == NULL ? SP_NO_MEMORY : SP_OK;
        if (segments != NULL) {
            log->segments = segments;
            log->segment_capacity = capacity;
        }
    }
    if (status == SP_OK) {
        log->segments[log->segment_count++] = segment;
    }
    pthread_mutex_unlock(&log->mutex);
    return status;
}

/* The last segment whose first position, or block, is at most the number. */
static struct segment *find_locked(struct local_log *log, uint64_t number, bool by_block) {
    size_t low = 0;
    size_t high = log->segment_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct segment *segment = log->segments[middle];
        uint64_t first = by_block ? segment->first_block : segment->first_position;
        if (first <= number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : log->segments[low - 1];
}

struct segment *local_find_position_locked(struct local_log *log, uint64_t position) {
    struct segment *segment = find_locked(log, position, false);
    return segment != NULL && position < segment->next_position ? segment : NULL;
}

struct segment *local_find_block_locked(struct local_log *log, uint64_t block) {
    struct segment *segment = find_locked(log, block, true);
    return segment != NULL && block < segment->next_block ? segment : NULL;
}

struct segment *local_active(struct local_log *log) {
    struct segment *last = log->segment_count > 0 ? log->segments[log->segment_count - 1] : NULL;
    return last != NULL && last->sealed == NULL && !last->full ? last : NULL;
}

sp_status segment_add_block(struct segment *segment, uint64_t first_position, uint64_t offset,
                            uint64_t stored_bytes) {
    uint32_t count = (uint32_t)(segment->next_block - segment->first_block);
    if (count == segment->block_capacity) {
        uint32_t capacity = count == 0 ? 64 : count * 2;
        struct block_entry *blocks = realloc(segment->blocks, capacity * sizeof(*blocks));
        if (blocks == NULL) {
            return SP_NO_MEMORY;
        }
        segment->blocks = blocks;
        segment->block_capacity = capacity;
    }
    segment->blocks[count] = (struct block_entry){
        .first_position = first_position,
        .offset_pages = (uint32_t)(offset / SP_BLOCK_ALIGN),
        .stored_pages = (uint32_t)(stored_bytes / SP_BLOCK_ALIGN),
    };
    segment->next_block++;
    segment->end_offset = offset + stored_bytes;
    return SP_OK;
}

sp_status segment_open_files(struct segment *segment, struct sp_error *error) {
    struct local_log *log = segment->log;
    char path[RAW_PATH_BYTES];
    local_raw_path(segment->file_number, path);
    unsigned write = log->options.read_only ? 0 : SP_FS_WRITE;
    unsigned buffered = local_is_relaxed(log) ? write : 0;
    sp_status status =
        log->fs->ops->open(log->fs, path, SP_FS_READ | buffered, &segment->file, error);
    if (status == SP_OK) {
        status = log->fs->ops->open(log->fs, path, SP_FS_READ | write | SP_FS_DIRECT,
                                    &segment->direct, error);
    }
    return status;
}

struct segment *segment_of_sealed(struct local_log *log, struct sp_log_sealed *sealed) {
    struct segment *segment = segment_new(log);
    if (segment == NULL) {
        return NULL;
    }
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(sealed);
    segment->id = footer->id;
    segment->first_position = footer->first_position;
    segment->next_position = footer->last_position + 1;
    segment->first_block = footer->first_block;
    segment->next_block = footer->last_block + 1;
    segment->prev_check = footer->prev_check;
    segment->last_check = footer->last_check;
    segment->last_recorded_us = footer->last_recorded_us;
    memcpy(segment->salt_key, footer->salt_key, SP_HASH_BYTES);
    segment->full = true;
    segment->sealed = sealed;
    return segment;
}
