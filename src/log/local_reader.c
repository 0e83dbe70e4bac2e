/*
 * Readers: from recent blocks in memory, from raw segments through the page cache, from sealed ones
 * by decompressing a frame. A reader holds a reference of the segment it is in, so that sealing and
 * retention go on beside it.
 */
#include <stdlib.h>

#include "log/local_int.h"

enum { READ_AHEAD_BYTES = 256 << 10 };

struct local_reader {
    struct sp_log_reader base;
    struct local_log *log;
    struct segment *segment;    /* referenced; NULL before the first chunk */
    uint64_t next_block;        /* raw: of the chunk after the last one */
    uint32_t next_frame;        /* sealed: likewise */
    struct sp_log_chunk last;   /* what was yielded last */
    struct sp_log_chunk failed; /* where the last chunk could not be read: its place, no body */
    struct sp_blob *blob;       /* what it is borrowed from, if from memory */
    struct sp_sealed_scratch *scratch;
    /* A window of a raw segment's file. */
    struct sp_buf window;
    uint64_t window_offset;
    uint64_t window_segment; /* its id: a segment's memory may be another's by now; 0: none */
};

static struct local_reader *reader_of(struct sp_log_reader *base) {
    return (struct local_reader *)base;
}

static void release_chunk(struct local_reader *reader) {
    sp_blob_unref(reader->blob);
    reader->blob = NULL;
    reader->last = (struct sp_log_chunk){.event_count = 0};
}

/* Moves the reader into a segment. The mutex is held. */
static void enter_segment_locked(struct local_reader *reader, struct segment *segment) {
    if (reader->segment == segment) {
        return;
    }
    if (reader->segment != NULL) {
        segment_unref_locked(reader->segment);
    }
    reader->segment = segment_ref_locked(segment);
}

/* A block that is still in memory, referenced; NULL where it is not. The mutex is held. */
static struct sp_blob *find_in_tail_locked(struct local_log *log, uint64_t block) {
    if (log->tail_count == 0) {
        return NULL;
    }
    uint64_t oldest = log->tail[log->tail_start].block;
    if (block < oldest || block >= oldest + log->tail_count) {
        return NULL;
    }
    uint64_t at = (log->tail_start + (block - oldest)) % log->tail_capacity;
    sp_invariant(log->tail[at].block == block);
    return sp_blob_ref(log->tail[at].blob);
}

static uint64_t offset_of(const struct block_entry *entry) {
    return (uint64_t)entry->offset_pages * SP_BLOCK_ALIGN;
}

static uint64_t end_of(const struct block_entry *entry) {
    return ((uint64_t)entry->offset_pages + entry->stored_pages) * SP_BLOCK_ALIGN;
}

/* Whether the window holds the block of the reader's segment. */
static bool window_holds(const struct local_reader *reader, const struct block_entry *entry) {
    return reader->window_segment == reader->segment->id &&
           offset_of(entry) >= reader->window_offset &&
           end_of(entry) <= reader->window_offset + reader->window.len;
}

/*
 * Where a window that begins with block `index` of the segment ends: whole blocks, as many as are
 * worth one read. Bytes of blocks still in flight are not read: the page cache must not see them
 * half done. The mutex is held.
 */
static uint64_t window_end_locked(const struct local_log *log, const struct segment *segment,
                                  uint64_t index) {
    uint64_t last =
        segment->next_block - 1 < log->durable_block ? segment->next_block - 1 : log->durable_block;
    uint64_t limit = offset_of(&segment->blocks[index]) + READ_AHEAD_BYTES;
    while (segment->first_block + index < last && end_of(&segment->blocks[index + 1]) <= limit) {
        index++;
    }
    return end_of(&segment->blocks[index]);
}

/* Brings the file from the block's beginning up to `end` into the window. */
static sp_status load_window(struct local_reader *reader, const struct block_entry *entry,
                             uint64_t end, struct sp_error *error) {
    uint64_t offset = offset_of(entry);
    size_t want = (size_t)(end - offset);
    sp_buf_reset(&reader->window);
    reader->window_segment = 0;
    uint8_t *to = sp_buf_reserve(&reader->window, want);
    if (to == NULL) {
        return sp_error_set(error, reader->window.status, "read of %zu bytes", want);
    }
    size_t got = 0;
    sp_status status =
        reader->log->fs->ops->read(reader->segment->file, to, want, offset, &got, error);
    if (status == SP_OK && offset + got < end_of(entry)) {
        status = sp_error_set(error, SP_CORRUPT, "the file ends early");
    }
    if (status == SP_OK) {
        sp_buf_advance(&reader->window, got);
        reader->window_offset = offset;
        reader->window_segment = reader->segment->id;
    }
    return status;
}

/* True where the window holds exactly the block that is meant. */
static bool block_valid(const struct local_reader *reader, uint64_t block, uint64_t offset,
                        struct sp_block_header *ret_header) {
    sp_str bytes =
        sp_str_from_byte(sp_buf_str(&reader->window), (size_t)(offset - reader->window_offset));
    return sp_block_read_header(bytes, ret_header) == SP_OK && ret_header->number == block &&
           ret_header->epoch == reader->segment->id && ret_header->file_offset == offset &&
           sp_block_body_valid(ret_header, bytes);
}

/* The page cache may hold what was there before a durable write went past it: ask the device. */
static sp_status reload_direct(struct local_reader *reader, uint64_t offset, size_t stored,
                               struct sp_error *error) {
    size_t got = 0;
    sp_status status = reader->log->fs->ops->read(
        reader->segment->direct, reader->window.data + (offset - reader->window_offset), stored,
        offset, &got, error);
    if (status == SP_OK && got != stored) {
        status = sp_error_set(error, SP_CORRUPT, "the file ends early");
    }
    return status;
}

static sp_status block_damaged(const struct local_reader *reader, uint64_t offset, uint64_t first,
                               uint64_t next, struct sp_error *error) {
    char path[RAW_PATH_BYTES];
    local_raw_path(reader->segment->file_number, path);
    return sp_error_set_at(
        error, SP_CORRUPT, offset, "%s: events %llu to %llu at offset %llu are damaged", path,
        (unsigned long long)first, (unsigned long long)(next - 1), (unsigned long long)offset);
}

/* Where the events of block `index` of the segment end. The mutex is held. */
static uint64_t next_position_locked(const struct segment *segment, uint64_t index) {
    return segment->first_block + index + 1 < segment->next_block
               ? segment->blocks[index + 1].first_position
               : segment->next_position;
}

/* The block to go on with behind this one: those lost in one damage are told of once. */
static uint64_t block_behind_locked(const struct segment *segment, uint64_t index) {
    uint64_t end = segment->next_block - segment->first_block;
    bool lost = segment->blocks[index].stored_pages == 0;
    do {
        index++;
    } while (lost && index < end && segment->blocks[index].stored_pages == 0 &&
             segment->blocks[index].offset_pages == segment->blocks[index - 1].offset_pages);
    return segment->first_block + index;
}

static sp_status yield_from_file(struct local_reader *reader, uint64_t block,
                                 const struct block_entry *entry, uint64_t next_position,
                                 uint64_t end, struct sp_error *error) {
    uint64_t offset = offset_of(entry);
    size_t stored = (size_t)entry->stored_pages * SP_BLOCK_ALIGN;
    if (stored == 0) {
        return block_damaged(reader, offset, entry->first_position, next_position, error);
    }
    sp_status status = window_holds(reader, entry) ? SP_OK : load_window(reader, entry, end, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_block_header header;
    if (!block_valid(reader, block, offset, &header)) {
        status = reload_direct(reader, offset, stored, error);
        if (status == SP_OK && !block_valid(reader, block, offset, &header)) {
            status = block_damaged(reader, offset, entry->first_position, next_position, error);
        }
    }
    if (status == SP_OK) {
        sp_str bytes =
            sp_str_from_byte(sp_buf_str(&reader->window), (size_t)(offset - reader->window_offset));
        reader->last = (struct sp_log_chunk){
            .body = sp_str_of(bytes.ptr + SP_BLOCK_HEADER_BYTES, header.body_bytes),
            .first_position = header.first_position,
            .event_count = header.event_count};
    }
    return status;
}

static sp_status yield_from_memory(struct local_reader *reader, struct sp_blob *blob,
                                   struct sp_error *error) {
    reader->blob = blob;
    struct sp_block_header header;
    if (sp_block_read_header(sp_str_of(blob->data, blob->len), &header) != SP_OK) {
        return sp_error_set(error, SP_CORRUPT, "a block in memory is damaged");
    }
    reader->last = (struct sp_log_chunk){
        .body = sp_str_of(blob->data + SP_BLOCK_HEADER_BYTES, header.body_bytes),
        .first_position = header.first_position,
        .event_count = header.event_count};
    return SP_OK;
}

/* Where the table of a segment cannot be made, nothing of it can be read for now. */
static sp_status need_table(struct local_reader *reader, struct sp_error *error) {
    const struct segment *segment = reader->segment;
    sp_status status = local_table_need(reader->segment, error);
    if (status != SP_OK) {
        release_chunk(reader);
        reader->next_block = segment->next_block;
        reader->failed = (struct sp_log_chunk){
            .first_position = segment->first_position,
            .event_count = (uint32_t)(segment->next_position - segment->first_position)};
    }
    return status;
}

/* Yields block `block` of the reader's raw segment, which holds it and is durable. */
static sp_status yield_block(struct local_reader *reader, uint64_t block, struct sp_error *error) {
    struct local_log *log = reader->log;
    struct segment *segment = reader->segment;
    sp_require(segment->sealed == NULL && block >= segment->first_block);
    sp_status status = need_table(reader, error);
    if (status != SP_OK) {
        return status;
    }
    pthread_mutex_lock(&log->mutex);
    sp_require(block < segment->next_block && block <= log->durable_block);
    uint64_t index = block - segment->first_block;
    struct block_entry entry = segment->blocks[index];
    uint64_t next_position = next_position_locked(segment, index);
    struct sp_blob *blob = find_in_tail_locked(log, block);
    bool loads = blob == NULL && !window_holds(reader, &entry);
    uint64_t end = loads ? window_end_locked(log, segment, index) : 0;
    reader->next_block = block_behind_locked(segment, index);
    pthread_mutex_unlock(&log->mutex);
    release_chunk(reader);
    reader->failed =
        (struct sp_log_chunk){.first_position = entry.first_position,
                              .event_count = (uint32_t)(next_position - entry.first_position)};
    return blob != NULL ? yield_from_memory(reader, blob, error)
                        : yield_from_file(reader, block, &entry, next_position, end, error);
}

static sp_status yield_frame(struct local_reader *reader, uint32_t frame, struct sp_error *error) {
    struct sp_log_sealed *sealed = reader->segment->sealed;
    release_chunk(reader);
    reader->next_frame = frame + 1;
    struct sp_sealed_frame row;
    sp_str rows;
    if (reader->scratch == NULL) { /* a reader of raw segments has no need of it */
        reader->scratch = sp_sealed_scratch_new();
    }
    sp_status status = reader->scratch == NULL ? sp_error_set(error, SP_NO_MEMORY, "reader")
                                               : sp_log_sealed_frame(sealed, frame, &row, error);
    reader->failed = (struct sp_log_chunk){.event_count = 0};
    if (status == SP_OK) {
        reader->failed.first_position = reader->segment->first_position + row.first_ordinal;
        reader->failed.event_count = row.event_count;
        status = sp_log_sealed_read(sealed, frame, reader->scratch, &rows, error);
    }
    if (status == SP_OK) {
        reader->last = reader->failed;
        reader->last.body = rows;
    }
    return status;
}

/*
 * Index of the last block of the segment that begins at or before the position. The mutex is held.
 */
static uint64_t block_of_locked(const struct segment *segment, uint64_t position) {
    uint64_t low = 0;
    uint64_t high = segment->next_block - segment->first_block;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (segment->blocks[middle].first_position <= position) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return segment->first_block + low;
}

/* Yields the block of the reader's raw segment that holds the position. */
static sp_status yield_block_of(struct local_reader *reader, uint64_t position,
                                struct sp_error *error) {
    sp_status status = need_table(reader, error);
    if (status != SP_OK) {
        return status;
    }
    pthread_mutex_lock(&reader->log->mutex);
    uint64_t block = block_of_locked(reader->segment, position);
    pthread_mutex_unlock(&reader->log->mutex);
    return yield_block(reader, block, error);
}

static bool chunk_holds(const struct sp_log_chunk *chunk, uint64_t position) {
    return position >= chunk->first_position &&
           position - chunk->first_position < chunk->event_count;
}

static sp_status seek_once(struct local_reader *reader, uint64_t position,
                           struct sp_log_chunk *ret_chunk, struct sp_error *error) {
    if (chunk_holds(&reader->last, position)) {
        *ret_chunk = reader->last;
        return SP_OK;
    }
    struct local_log *log = reader->log;
    sp_status status = SP_OK;
    reader->failed.event_count = 0;
    pthread_mutex_lock(&log->mutex);
    if (position == 0 || position > log->durable_position) {
        status = SP_END;
    } else if (position < log->begin_position) {
        status = SP_NOT_FOUND;
    } else {
        struct segment *segment = local_find_position_locked(log, position);
        if (segment == NULL) {
            status = SP_NOT_FOUND;
        } else {
            enter_segment_locked(reader, segment);
        }
    }
    pthread_mutex_unlock(&log->mutex);
    if (status == SP_OK && reader->segment->sealed != NULL) {
        uint32_t frame = 0;
        status = sp_log_sealed_find(reader->segment->sealed, position, &frame, error);
        status = status == SP_OK ? yield_frame(reader, frame, error) : status;
    } else if (status == SP_OK) {
        status = yield_block_of(reader, position, error);
    }
    if (status == SP_OK && !chunk_holds(&reader->last, position)) {
        reader->failed.event_count = 0;
        status = sp_error_set(error, SP_CORRUPT, "event %llu is not where it should be",
                              (unsigned long long)position);
    }
    if (status != SP_END && status != SP_NOT_FOUND) {
        *ret_chunk = status == SP_OK ? reader->last : reader->failed;
    }
    return status;
}

/* Puts the sealed file in the place of the reader's raw segment. False where memory is out. */
static bool put_sealed(struct local_reader *reader, struct sp_log_sealed *file) {
    struct local_log *log = reader->log;
    struct segment *sealed = segment_of_sealed(log, file);
    if (sealed == NULL) {
        return false;
    }
    pthread_mutex_lock(&log->mutex);
    bool put = false;
    for (size_t i = 0; i < log->segment_count && !put; i++) {
        if (log->segments[i] == reader->segment) {
            log->segments[i] = sealed;
            put = true;
        }
    }
    segment_unref_locked(put ? reader->segment : sealed);
    pthread_mutex_unlock(&log->mutex);
    return true;
}

/*
 * A writer may have sealed a raw file since this reader of another process found it, and taken the
 * file for another segment: what it held is in the sealed file then. True where it is worth another
 * look.
 */
static bool look_for_sealed(struct local_reader *reader, uint64_t position) {
    struct local_log *log = reader->log;
    if (!log->options.read_only || reader->segment == NULL || reader->segment->sealed != NULL) {
        return false;
    }
    pthread_mutex_lock(&log->mutex);
    bool changed = local_find_position_locked(log, position) != reader->segment;
    pthread_mutex_unlock(&log->mutex);
    if (changed) {
        return true; /* another reader was here before */
    }
    struct sp_log_sealed *file = NULL;
    if (sp_log_sealed_open(log->fs, reader->segment->id, &file, NULL) != SP_OK) {
        return false;
    }
    if (!put_sealed(reader, file)) {
        sp_log_sealed_unref(file);
        return false;
    }
    return true;
}

/*
 * It may also have trimmed what this log still lists. True where the position is not kept any more.
 */
static bool look_for_trimming(struct local_log *log, uint64_t position) {
    struct sp_manifest manifest;
    if (sp_manifest_load(log->fs, &manifest, NULL) != SP_OK) {
        return false;
    }
    bool trimmed = memcmp(manifest.uuid, log->uuid, sizeof(log->uuid)) == 0 &&
                   position < manifest.first_position;
    pthread_mutex_lock(&log->mutex);
    if (trimmed && manifest.first_position > log->begin_position) {
        log->begin_block = manifest.first_block;
        log->begin_position = manifest.first_position;
        log->begin_prev_check = manifest.first_prev_check;
    }
    pthread_mutex_unlock(&log->mutex);
    sp_manifest_fini(&manifest);
    return trimmed;
}

/* Damage to the eyes of a log that is open read-only may be a writer's doing: looks again. */
static sp_status look_again(struct local_reader *reader, uint64_t position, sp_status status,
                            struct sp_log_chunk *ret_chunk, struct sp_error *error) {
    if (status == SP_CORRUPT && look_for_sealed(reader, position)) {
        sp_error_clear(error);
        status = seek_once(reader, position, ret_chunk, error);
    }
    if (status == SP_CORRUPT && reader->log->options.read_only &&
        look_for_trimming(reader->log, position)) {
        sp_error_clear(error);
        status = SP_NOT_FOUND;
    }
    return status;
}

static sp_status reader_seek(struct sp_log_reader *base, uint64_t position,
                             struct sp_log_chunk *ret_chunk, struct sp_error *error) {
    struct local_reader *reader = reader_of(base);
    sp_status status = seek_once(reader, position, ret_chunk, error);
    return look_again(reader, position, status, ret_chunk, error);
}

/* Whether the reader has yielded all of the segment it is in. The mutex is held. */
static bool segment_exhausted_locked(const struct local_reader *reader) {
    const struct segment *at = reader->segment;
    if (at == NULL) {
        return true;
    }
    return at->sealed != NULL ? reader->next_frame >= sp_log_sealed_footer(at->sealed)->frame_count
                              : reader->next_block >= at->next_block;
}

/*
 * Makes sure that the next chunk lies in the reader's segment. SP_END where nothing more is
 * durable, SP_NOT_FOUND where what comes next was trimmed while the reader stood before it.
 */
static sp_status advance_segment(struct local_reader *reader) {
    struct local_log *log = reader->log;
    sp_status status = SP_END;
    pthread_mutex_lock(&log->mutex);
    const struct segment *at = reader->segment;
    if (!segment_exhausted_locked(reader)) {
        status = at->sealed != NULL || reader->next_block <= log->durable_block ? SP_OK : SP_END;
    } else {
        uint64_t block = at == NULL ? log->begin_block : at->next_block;
        status = block < log->begin_block ? SP_NOT_FOUND : SP_END;
        struct segment *next =
            block <= log->durable_block ? local_find_block_locked(log, block) : NULL;
        if (next != NULL) {
            enter_segment_locked(reader, next);
            reader->next_block = block;
            reader->next_frame = 0;
            status = SP_OK;
        }
    }
    pthread_mutex_unlock(&log->mutex);
    return status;
}

static sp_status reader_next(struct sp_log_reader *base, struct sp_log_chunk *ret_chunk,
                             struct sp_error *error) {
    struct local_reader *reader = reader_of(base);
    sp_status status = advance_segment(reader);
    if (status == SP_NOT_FOUND) {
        return sp_error_set(error, status, "the events that follow were trimmed");
    }
    if (status != SP_OK) {
        return status;
    }
    status = reader->segment->sealed != NULL ? yield_frame(reader, reader->next_frame, error)
                                             : yield_block(reader, reader->next_block, error);
    *ret_chunk = status == SP_OK ? reader->last : reader->failed;
    return reader->failed.event_count > 0
               ? look_again(reader, reader->failed.first_position, status, ret_chunk, error)
               : status;
}

sp_status local_reader_block(struct sp_log_reader *base, uint64_t block,
                             struct sp_log_chunk *ret_chunk, struct segment **ret_segment,
                             struct sp_error *error) {
    struct local_reader *reader = reader_of(base);
    struct local_log *log = reader->log;
    pthread_mutex_lock(&log->mutex);
    struct segment *segment = local_find_block_locked(log, block);
    if (segment != NULL) {
        enter_segment_locked(reader, segment);
    }
    pthread_mutex_unlock(&log->mutex);
    if (segment == NULL || segment->sealed != NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "block %llu is in no raw segment",
                            (unsigned long long)block);
    }
    sp_status status = yield_block(reader, block, error);
    if (status == SP_OK) {
        *ret_chunk = reader->last;
        *ret_segment = reader->segment;
    }
    return status;
}

static void reader_free(struct sp_log_reader *base) {
    struct local_reader *reader = reader_of(base);
    release_chunk(reader);
    if (reader->segment != NULL) {
        pthread_mutex_lock(&reader->log->mutex);
        segment_unref_locked(reader->segment);
        pthread_mutex_unlock(&reader->log->mutex);
    }
    sp_sealed_scratch_free(reader->scratch);
    sp_buf_fini(&reader->window);
    free(reader);
}

sp_status local_reader_new(struct sp_log *base, struct sp_log_reader **ret_reader,
                           struct sp_error *error) {
    static const struct sp_log_reader_ops ops = {
        .seek = reader_seek, .next = reader_next, .free = reader_free};
    struct local_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "reader");
    }
    reader->base.ops = &ops;
    reader->log = local_of(base);
    sp_buf_init(&reader->window, (size_t)SP_BLOCK_BYTES_MAX + READ_AHEAD_BYTES);
    *ret_reader = &reader->base;
    return SP_OK;
}
