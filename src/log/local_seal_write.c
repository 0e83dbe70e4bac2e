/*
 * Writing a sealed file: the records of a raw segment, re-cut into frames and compressed with a
 * dictionary, and everything that finds and proves them. Runs on the seal worker; reads a segment
 * that no longer changes. The file is written under another name, synced, renamed: it is whole or
 * not there.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zdict.h>
#include <zstd.h>

#include "base/hash.h"
#include "base/wire.h"
#include "log/frame.h"
#include "log/local_int.h"

enum {
    ZSTD_LEVEL = 2,
    ZSTD_MATCH_LEAST = 7, /* fewer, longer matches: read and written a fifth faster, as small */
    FLUSH_BYTES = 1 << 20,
    DICTIONARY_BYTES = 110 << 10,
    DICTIONARY_BYTES_LEAST = 4 << 10,
    DICTIONARY_SHARE = 100, /* of the raw bytes: one in so many */
    SAMPLES_MAX = 20000,
    SAMPLE_BYTES_MAX = 4096,
    TRAIN_EVERY_SEALS = 16,
    STAND_BACK_US = 3000,
};

struct writer {
    struct local_log *log;
    struct segment *segment;
    struct sp_log_reader *reader;
    struct sp_file *file;
    uint64_t offset; /* of the end of what was given to the file or waits in `out` */
    struct sp_buf out;
    struct sp_buf directory;
    struct sp_buf columns;
    struct sp_frame frame;
    struct sp_buf rows; /* what the frame's records point into */
    ZSTD_CCtx *zstd;
    struct sp_sealed_footer footer;
};

static sp_status flush(struct writer *w, struct sp_error *error) {
    if (w->out.status != SP_OK) {
        return sp_error_set(error, w->out.status, "sealing: out of memory");
    }
    sp_status status = w->out.len == 0 ? SP_OK
                                       : w->log->fs->ops->write(w->file, w->out.data, w->out.len,
                                                                w->offset - w->out.len, error);
    sp_buf_reset(&w->out);
    return status;
}

static sp_status put(struct writer *w, sp_str bytes, struct sp_error *error) {
    sp_buf_add_str(&w->out, bytes);
    w->offset += bytes.len;
    return w->out.len >= FLUSH_BYTES || w->out.status != SP_OK ? flush(w, error) : SP_OK;
}

static sp_status put_section(struct writer *w, enum sp_sealed_section section, sp_str bytes,
                             struct sp_error *error) {
    w->footer.sections[section] = (struct sp_sealed_extent){
        .offset = w->offset, .bytes = bytes.len, .check = sp_hash(bytes.ptr, bytes.len)};
    return put(w, bytes, error);
}

/* Compresses the columns behind what `out` holds; stored as they are where that is no larger. */
static sp_status put_frame(struct writer *w, struct sp_error *error) {
    sp_buf_reset(&w->columns);
    sp_frame_encode(&w->frame, &w->columns);
    size_t bound = ZSTD_compressBound(w->columns.len);
    uint8_t *to = w->columns.status == SP_OK ? sp_buf_reserve(&w->out, bound) : NULL;
    if (to == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "sealing: frame of %zu bytes", w->columns.len);
    }
    size_t stored = ZSTD_compress2(w->zstd, to, bound, w->columns.data, w->columns.len);
    bool plain = ZSTD_isError(stored) || stored >= w->columns.len;
    if (plain) {
        memcpy(to, w->columns.data, w->columns.len);
        stored = w->columns.len;
    }
    struct sp_sealed_frame row = {
        .check = sp_hash(to, stored),
        .offset = (uint32_t)w->offset,
        .stored_bytes = (uint32_t)stored,
        .column_bytes = (uint32_t)w->columns.len,
        .raw_bytes = (uint32_t)w->frame.raw_bytes,
        .first_ordinal = (uint32_t)(w->frame.first_position - w->segment->first_position),
        .event_count = (uint16_t)w->frame.event_count,
        .flags = plain ? SP_FRAME_STORED : 0,
    };
    sp_buf_advance(&w->out, stored);
    w->offset += stored;
    uint8_t *at = sp_buf_reserve(&w->directory, SP_SEALED_DIRECTORY_ROW_BYTES);
    if (at == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "sealing: directory");
    }
    sp_sealed_directory_row_encode(&row, at);
    sp_buf_advance(&w->directory, SP_SEALED_DIRECTORY_ROW_BYTES);
    w->footer.frame_count++;
    sp_frame_reset(&w->frame, w->frame.first_position + w->frame.event_count);
    sp_buf_reset(&w->rows);
    return w->out.len >= FLUSH_BYTES ? flush(w, error) : SP_OK;
}

/* Copies the record to where it stays until its frame is written. */
static sp_status add_record(struct writer *w, const struct sp_record *record,
                            struct sp_error *error) {
    if (sp_frame_full(&w->frame, record)) {
        sp_status status = put_frame(w, error);
        if (status != SP_OK) {
            return status;
        }
    }
    struct sp_record copy = *record;
    sp_require(w->rows.capacity - w->rows.len >= record->size); /* reserved: the rows never move */
    uint8_t *at = w->rows.data + w->rows.len;
    memcpy(at, record->bytes, record->size);
    sp_buf_advance(&w->rows, record->size);
    copy.bytes = at;
    copy.header.ptr = (const char *)at + (record->header.ptr - (const char *)record->bytes);
    copy.data.ptr = (const char *)at + (record->data.ptr - (const char *)record->bytes);
    sp_frame_add(&w->frame, &copy);
    w->footer.record_count++;
    if (w->footer.record_count == 1) {
        w->footer.first_recorded_us = record->recorded_us;
    }
    return SP_OK;
}

/*
 * Appends are in full swing: they want the device and both processors, and sealing can wait. It
 * goes on when they pause, or when too many segments wait for it.
 */
static void stand_back(struct local_log *log) {
    const struct timespec pause = {.tv_nsec = 1000000};
    while (!log->options.inline_jobs &&
           !atomic_load_explicit(&log->closing, memory_order_relaxed) &&
           !atomic_load_explicit(&log->seal_hurry, memory_order_relaxed) &&
           local_now_us(log) - atomic_load_explicit(&log->appended_us, memory_order_relaxed) <
               STAND_BACK_US) {
        (void)nanosleep(&pause, NULL);
    }
}

typedef sp_status record_fn(void *context, const struct sp_record *record, struct sp_error *error);

/* Calls `each` for every record of the segment. SP_CANCELLED when the log is being closed. */
static sp_status each_record(struct writer *w, record_fn *each, void *context,
                             struct sp_error *error) {
    for (uint64_t block = w->segment->first_block; block < w->segment->next_block; block++) {
        struct sp_log_chunk chunk;
        struct segment *segment;
        stand_back(w->log);
        if (atomic_load_explicit(&w->log->closing, memory_order_relaxed)) {
            return SP_CANCELLED;
        }
        sp_status status = local_reader_block(w->reader, block, &chunk, &segment, error);
        struct sp_block_walk walk = sp_block_walk_of(chunk.body, chunk.first_position);
        struct sp_record record;
        while (status == SP_OK && (status = sp_block_walk_next(&walk, &record)) == SP_OK) {
            status = each(context, &record, error);
        }
        if (status != SP_END) {
            return status == SP_OK ? SP_CORRUPT : status;
        }
    }
    return SP_OK;
}

static sp_status seal_record(void *context, const struct sp_record *record,
                             struct sp_error *error) {
    return add_record(context, record, error);
}

/* Samples for the dictionary: headers and data of events spread over the segment. */
struct samples {
    struct sp_buf bytes;
    size_t sizes[SAMPLES_MAX];
    unsigned count;
    uint64_t seen;
    uint64_t every;
};

static sp_status take_sample(void *context, const struct sp_record *record,
                             struct sp_error *error) {
    struct samples *samples = context;
    (void)error;
    if (samples->seen++ % samples->every != 0 || samples->count == SAMPLES_MAX) {
        return SP_OK;
    }
    size_t before = samples->bytes.len;
    sp_str data = record->data;
    data.len = data.len > SAMPLE_BYTES_MAX ? SAMPLE_BYTES_MAX : data.len;
    sp_buf_add_str(&samples->bytes, record->header);
    sp_buf_add_str(&samples->bytes, data);
    if (samples->bytes.status == SP_OK && samples->bytes.len > before) {
        samples->sizes[samples->count++] = samples->bytes.len - before;
    }
    return SP_OK;
}

/* Trains a new dictionary where there is none yet, or the old one has served for long. */
static sp_status train(struct writer *w, struct sp_error *error) {
    struct local_log *log = w->log;
    size_t wanted = (size_t)(w->segment->end_offset / DICTIONARY_SHARE);
    wanted = wanted > DICTIONARY_BYTES ? DICTIONARY_BYTES : wanted;
    bool larger = wanted > log->dictionary.len + log->dictionary.len / 2;
    if (wanted < DICTIONARY_BYTES_LEAST ||
        (!larger && log->seals_since_training < TRAIN_EVERY_SEALS)) {
        log->seals_since_training++;
        return SP_OK;
    }
    struct samples *samples = calloc(1, sizeof(*samples));
    if (samples == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "sealing: samples");
    }
    sp_buf_init(&samples->bytes, (size_t)SAMPLES_MAX * SAMPLE_BYTES_MAX * 2);
    uint64_t events = w->segment->next_position - w->segment->first_position;
    samples->every = events / SAMPLES_MAX + 1;
    sp_status status = each_record(w, take_sample, samples, error);
    if (status == SP_OK) {
        sp_buf_fini(&log->dictionary);
        sp_buf_init(&log->dictionary, DICTIONARY_BYTES);
        uint8_t *to = sp_buf_reserve(&log->dictionary, wanted);
        size_t made = to != NULL ? ZDICT_trainFromBuffer(to, wanted, samples->bytes.data,
                                                         samples->sizes, samples->count)
                                 : 0;
        /* Few or very uneven samples train nothing: the segment is then compressed without. */
        sp_buf_advance(&log->dictionary, to != NULL && !ZDICT_isError(made) ? made : 0);
        log->seals_since_training = 0;
    }
    sp_buf_fini(&samples->bytes);
    free(samples);
    return status;
}

static sp_status put_tree(struct writer *w, struct sp_error *error) {
    uint8_t packed[2 * sizeof(struct sp_tree)];
    const struct segment *segment = w->segment;
    size_t start = sp_tree_packed_bytes(segment->tree_start.size);
    size_t end = sp_tree_packed_bytes(segment->tree_end.size);
    sp_invariant(segment->tree_start.size == segment->first_position - 1);
    sp_invariant(segment->tree_end.size == segment->next_position - 1);
    sp_tree_pack(&segment->tree_start, packed);
    sp_tree_pack(&segment->tree_end, packed + start);
    return put_section(w, SP_SECTION_TREE, sp_str_of(packed, start + end), error);
}

static sp_status put_index(struct writer *w, struct sp_error *error) {
    struct sp_buf section;
    sp_buf_init(&section, SP_SEALED_BYTES_MAX / 2);
    const struct sp_log_seal_hooks *hooks = &w->log->options.hooks;
    /* Of control records alone there is nothing to index. */
    bool events = w->segment->next_position > w->segment->first_position;
    sp_status status =
        events ? hooks->encode(hooks->context, w->segment->id, &section, error) : SP_OK;
    if (status == SP_OK) {
        status = put_section(w, SP_SECTION_INDEX, sp_buf_str(&section), error);
    }
    sp_buf_fini(&section);
    return status;
}

static sp_status put_footer(struct writer *w, struct sp_error *error) {
    const struct segment *segment = w->segment;
    struct sp_sealed_footer *footer = &w->footer;
    footer->last_position = segment->next_position - 1;
    footer->last_block = segment->next_block - 1;
    footer->prev_check = segment->prev_check;
    footer->last_check = segment->last_check;
    footer->last_recorded_us = segment->last_recorded_us;
    footer->tile_count = (uint32_t)segment->tile_count;
    footer->salt_form = SP_SALT_FORM_KEY;
    footer->codec = SP_CODEC_ZSTD;
    memcpy(footer->salt_key, segment->salt_key, SP_HASH_BYTES);
    uint8_t bytes[SP_SEALED_FOOTER_BYTES];
    sp_sealed_footer_encode(footer, bytes);
    return put(w, sp_str_of(bytes, sizeof(bytes)), error);
}

/* All sections, in the order they lie in the file. */
static sp_status put_all(struct writer *w, struct sp_error *error) {
    const struct segment *segment = w->segment;
    uint8_t head[SP_SEALED_HEADER_BYTES];
    sp_sealed_header_encode(&w->footer, head);
    sp_status status = put(w, sp_str_of(head, sizeof(head)), error);
    w->footer.sections[SP_SECTION_FRAMES].offset = w->offset;
    status = status == SP_OK ? each_record(w, seal_record, w, error) : status;
    status = status == SP_OK && w->frame.record_count > 0 ? put_frame(w, error) : status;
    w->footer.sections[SP_SECTION_FRAMES].bytes = w->offset - SP_SEALED_HEADER_BYTES;
    status = status == SP_OK
                 ? put_section(w, SP_SECTION_DIRECTORY, sp_buf_str(&w->directory), error)
                 : status;
    sp_str dictionary = w->log->dictionary.len > 0 ? sp_buf_str(&w->log->dictionary)
                                                   : (sp_str){.ptr = "", .len = 0};
    status = status == SP_OK ? put_section(w, SP_SECTION_DICTIONARY, dictionary, error) : status;
    sp_str tags = sp_str_of(segment->tags, segment->tag_count * sizeof(uint16_t));
    status = status == SP_OK ? put_section(w, SP_SECTION_TAGS, tags, error) : status;
    sp_str tiles = sp_str_of(segment->tiles, segment->tile_count * SP_HASH_BYTES);
    status = status == SP_OK ? put_section(w, SP_SECTION_TILES, tiles, error) : status;
    status = status == SP_OK ? put_tree(w, error) : status;
    status = status == SP_OK ? put_index(w, error) : status;
    status = status == SP_OK ? put_footer(w, error) : status;
    return status == SP_OK ? flush(w, error) : status;
}

/* No record is larger than the largest block. */
static size_t largest_block(const struct segment *segment) {
    uint32_t pages = 0;
    sp_invariant(segment->blocks != NULL); /* the Merkle worker has read them */
    for (uint64_t i = 0; i < segment->next_block - segment->first_block; i++) {
        pages = segment->blocks[i].stored_pages > pages ? segment->blocks[i].stored_pages : pages;
    }
    return (size_t)pages * SP_BLOCK_ALIGN;
}

static sp_status prepare_zstd(struct writer *w, struct sp_error *error) {
    const struct sp_buf *dictionary = &w->log->dictionary;
    w->zstd = ZSTD_createCCtx();
    bool fine =
        w->zstd != NULL &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)) &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_minMatch, ZSTD_MATCH_LEAST)) &&
        !ZSTD_isError(ZSTD_CCtx_loadDictionary(w->zstd, dictionary->data, dictionary->len));
    return fine ? SP_OK : sp_error_set(error, SP_NO_MEMORY, "sealing: zstd");
}

static sp_status prepare(struct writer *w, struct sp_error *error) {
    struct local_log *log = w->log;
    size_t rows_bytes_max = SP_FRAME_BYTES_SOFT_MAX + largest_block(w->segment);
    sp_buf_init(&w->out, SP_SEALED_BYTES_MAX);
    sp_buf_init(&w->directory, SP_SEALED_BYTES_MAX);
    sp_buf_init(&w->columns, SP_SEALED_BYTES_MAX);
    sp_buf_init(&w->rows, rows_bytes_max);
    sp_status status = local_reader_new(&log->base, &w->reader, error);
    if (status != SP_OK) {
        return status;
    }
    if (sp_buf_reserve(&w->rows, rows_bytes_max) == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "sealing: frame");
    }
    status = train(w, error);
    status = status == SP_OK ? prepare_zstd(w, error) : status;
    memcpy(w->footer.uuid, log->uuid, 16);
    w->footer.id = w->segment->id;
    w->footer.first_position = w->segment->first_position;
    w->footer.first_block = w->segment->first_block;
    sp_frame_reset(&w->frame, w->segment->first_position);
    return status;
}

static void dispose(struct writer *w) {
    if (w->reader != NULL) {
        w->reader->ops->free(w->reader);
    }
    sp_buf_fini(&w->out);
    sp_buf_fini(&w->directory);
    sp_buf_fini(&w->columns);
    sp_buf_fini(&w->rows);
    ZSTD_freeCCtx(w->zstd);
    free(w);
}

/* Writes and syncs the file under its temporary name. */
static sp_status write_file(struct writer *w, const char *tmp, struct sp_error *error) {
    struct sp_fs *fs = w->log->fs;
    sp_status status =
        fs->ops->open(fs, tmp, SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE, &w->file, error);
    if (status != SP_OK) {
        return status;
    }
    status = fs->ops->truncate(w->file, 0, error);
    status = status == SP_OK ? put_all(w, error) : status;
    status = status == SP_OK ? fs->ops->sync(w->file, error) : status;
    fs->ops->close(w->file);
    return status;
}

sp_status local_seal_write(struct local_log *log, struct segment *segment, struct sp_error *error) {
    struct writer *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "sealing");
    }
    w->log = log;
    w->segment = segment;
    char path[SP_SEALED_PATH_BYTES];
    char tmp[SP_SEALED_PATH_BYTES + 8];
    sp_sealed_path(segment->id, path);
    (void)snprintf(tmp, sizeof(tmp), "%s.tmp", path);
    struct sp_fs *fs = log->fs;
    sp_status status = prepare(w, error);
    status = status == SP_OK ? write_file(w, tmp, error) : status;
    status = status == SP_OK ? fs->ops->rename(fs, tmp, path, error) : status;
    status = status == SP_OK ? fs->ops->sync_dir(fs, SP_SEALED_FOLDER, error) : status;
    dispose(w);
    if (status != SP_OK) {
        (void)fs->ops->unlink(fs, tmp, NULL);
        return sp_error_prefix(error, status, "seal segment %llu", (unsigned long long)segment->id);
    }
    return SP_OK;
}
