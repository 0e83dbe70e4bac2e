#include "log/sealed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/hash.h"
#include "base/wire.h"
#include "log/frame.h"
#include "record/stamp.h"

static const char head_magic[8] = {'s', 'p', 'o', 'o', 'r', 'S', 'L', 'D'};
static const char foot_magic[8] = {'s', 'p', 'o', 'o', 'r', 'E', 'N', 'D'};

enum {
    HEAD_AT_UUID = SP_STAMP_BYTES,
    HEAD_AT_ID = 40,
    HEAD_AT_FIRST = 48, /* from 56 on unused */
    FOOT_AT_UUID = SP_STAMP_BYTES,
    FOOT_AT_NUMBERS = 40,
    FOOT_NUMBERS = 10,
    FOOT_AT_FRAME_COUNT = 120,
    FOOT_AT_TILE_COUNT = 124,
    FOOT_AT_SALT_KEY = 128,
    FOOT_AT_SALT_FORM = 160,
    FOOT_AT_CODEC = 164,
    FOOT_AT_GENERATION = 168, /* from 176 on unused */
    FOOT_AT_SECTIONS = 192,
    FOOT_SECTION_BYTES = 24, /* from 504 on unused */
    DICTIONARY_BYTES_MAX = 1 << 20,
    FRAME_BYTES_MAX = 128 << 20,
};

_Static_assert(FOOT_AT_NUMBERS + FOOT_NUMBERS * 8 == FOOT_AT_FRAME_COUNT, "no gap");
_Static_assert(FOOT_AT_SECTIONS + SP_SECTION_SLOTS * FOOT_SECTION_BYTES <= SP_SEALED_FOOTER_BYTES,
               "the footer's fields fit");

struct sp_log_sealed {
    _Atomic uint32_t refs;
    struct sp_fs *fs;
    struct sp_file *file;
    uint64_t bytes;
    struct sp_sealed_footer footer;
    pthread_mutex_t lazy; /* guards the loading of what follows; both are immutable once loaded */
    _Atomic(uint8_t *) directory;
    _Atomic(ZSTD_DDict *) dictionary;
};

struct sp_sealed_scratch {
    ZSTD_DCtx *zstd;
    struct sp_buf stored;
    struct sp_buf columns;
    struct sp_buf rows;
};

void sp_sealed_header_encode(const struct sp_sealed_footer *footer, uint8_t *to) {
    memset(to, 0, SP_SEALED_HEADER_BYTES);
    memcpy(to + HEAD_AT_UUID, footer->uuid, 16);
    sp_put_u64(to + HEAD_AT_ID, footer->id);
    sp_put_u64(to + HEAD_AT_FIRST, footer->first_position);
    (void)sp_stamp_put(to, SP_SEALED_HEADER_BYTES, head_magic);
}

void sp_sealed_footer_encode(struct sp_sealed_footer *footer, uint8_t *to) {
    memset(to, 0, SP_SEALED_FOOTER_BYTES);
    memcpy(to + FOOT_AT_UUID, footer->uuid, 16);
    const uint64_t numbers[FOOT_NUMBERS] = {
        footer->id,          footer->first_position,    footer->last_position,
        footer->first_block, footer->last_block,        footer->prev_check,
        footer->last_check,  footer->first_recorded_us, footer->last_recorded_us,
        footer->record_count};
    memcpy(to + FOOT_AT_NUMBERS, numbers, sizeof(numbers));
    sp_put_u32(to + FOOT_AT_FRAME_COUNT, footer->frame_count);
    sp_put_u32(to + FOOT_AT_TILE_COUNT, footer->tile_count);
    memcpy(to + FOOT_AT_SALT_KEY, footer->salt_key, SP_HASH_BYTES);
    sp_put_u32(to + FOOT_AT_SALT_FORM, footer->salt_form);
    sp_put_u32(to + FOOT_AT_CODEC, footer->codec);
    sp_put_u64(to + FOOT_AT_GENERATION, footer->generation);
    for (int i = 0; i < SP_SECTION_SLOTS; i++) {
        uint8_t *at = to + FOOT_AT_SECTIONS + FOOT_SECTION_BYTES * i;
        sp_put_u64(at, footer->sections[i].offset);
        sp_put_u64(at + 8, footer->sections[i].bytes);
        sp_put_u64(at + 16, footer->sections[i].check);
    }
    footer->check = sp_stamp_put(to, SP_SEALED_FOOTER_BYTES, foot_magic);
}

/*
 * Sections lie one after another from the header to the footer: no byte belongs to nobody. Those
 * beyond the ones this program knows may be there: they are passed over.
 */
static bool sections_fill_file(const struct sp_sealed_footer *footer, uint64_t file_bytes) {
    uint64_t at = SP_SEALED_HEADER_BYTES;
    for (int i = 0; i < SP_SECTION_SLOTS; i++) {
        const struct sp_sealed_extent *extent = &footer->sections[i];
        if (i >= SP_SECTION_COUNT && extent->offset == 0 && extent->bytes == 0) {
            continue;
        }
        if (extent->offset != at || extent->bytes > file_bytes) {
            return false;
        }
        at += extent->bytes;
    }
    return at + SP_SEALED_FOOTER_BYTES == file_bytes &&
           footer->sections[SP_SECTION_DIRECTORY].bytes ==
               (uint64_t)footer->frame_count * SP_SEALED_DIRECTORY_ROW_BYTES;
}

static sp_status footer_decode(const uint8_t *at, struct sp_sealed_footer *footer) {
    sp_status status = sp_stamp_check(sp_str_of(at, SP_SEALED_FOOTER_BYTES), foot_magic);
    if (status == SP_OK && (sp_get_u32(at + FOOT_AT_SALT_FORM) != SP_SALT_FORM_KEY ||
                            sp_get_u32(at + FOOT_AT_CODEC) != SP_CODEC_ZSTD)) {
        status = SP_UNSUPPORTED;
    }
    if (status != SP_OK) {
        return status;
    }
    uint64_t n[FOOT_NUMBERS];
    memcpy(n, at + FOOT_AT_NUMBERS, sizeof(n));
    *footer = (struct sp_sealed_footer){
        .id = n[0],
        .first_position = n[1],
        .last_position = n[2],
        .first_block = n[3],
        .last_block = n[4],
        .prev_check = n[5],
        .last_check = n[6],
        .first_recorded_us = n[7],
        .last_recorded_us = n[8],
        .record_count = n[9],
        .frame_count = sp_get_u32(at + FOOT_AT_FRAME_COUNT),
        .tile_count = sp_get_u32(at + FOOT_AT_TILE_COUNT),
        .salt_form = sp_get_u32(at + FOOT_AT_SALT_FORM),
        .codec = sp_get_u32(at + FOOT_AT_CODEC),
        .generation = sp_get_u64(at + FOOT_AT_GENERATION),
        .check = sp_get_u64(at + SP_STAMP_AT_CHECK),
    };
    memcpy(footer->uuid, at + FOOT_AT_UUID, 16);
    memcpy(footer->salt_key, at + FOOT_AT_SALT_KEY, SP_HASH_BYTES);
    for (int i = 0; i < SP_SECTION_SLOTS; i++) {
        const uint8_t *from = at + FOOT_AT_SECTIONS + FOOT_SECTION_BYTES * i;
        footer->sections[i].offset = sp_get_u64(from);
        footer->sections[i].bytes = sp_get_u64(from + 8);
        footer->sections[i].check = sp_get_u64(from + 16);
    }
    return SP_OK;
}

void sp_sealed_directory_row_encode(const struct sp_sealed_frame *frame, uint8_t *to) {
    sp_put_u64(to, frame->check);
    sp_put_u32(to + 8, frame->offset);
    sp_put_u32(to + 12, frame->stored_bytes);
    sp_put_u32(to + 16, frame->column_bytes);
    sp_put_u32(to + 20, frame->raw_bytes);
    sp_put_u32(to + 24, frame->first_ordinal);
    sp_put_u16(to + 28, frame->event_count);
    sp_put_u16(to + 30, frame->flags);
}

static void directory_row_decode(const uint8_t *from, struct sp_sealed_frame *frame) {
    *frame = (struct sp_sealed_frame){
        .check = sp_get_u64(from),
        .offset = sp_get_u32(from + 8),
        .stored_bytes = sp_get_u32(from + 12),
        .column_bytes = sp_get_u32(from + 16),
        .raw_bytes = sp_get_u32(from + 20),
        .first_ordinal = sp_get_u32(from + 24),
        .event_count = sp_get_u16(from + 28),
        .flags = sp_get_u16(from + 30),
    };
}

void sp_sealed_path(uint64_t id, char path[SP_SEALED_PATH_BYTES]) {
    (void)snprintf(path, SP_SEALED_PATH_BYTES, "seg/%016llx.spoor", (unsigned long long)id);
}

static sp_status read_exact(struct sp_log_sealed *sealed, void *to, size_t len, uint64_t offset,
                            struct sp_error *error) {
    size_t got = 0;
    const struct sp_fs_ops *ops = sealed->fs->ops;
    sp_status status = ops->read(sealed->file, to, len, offset, &got, error);
    if (status == SP_OK && got != len) {
        status = sp_error_set_at(error, SP_CORRUPT, offset, "file ends early: %zu bytes of %zu",
                                 got, len);
    }
    return status;
}

static sp_status load_footer(struct sp_log_sealed *sealed, uint64_t id, struct sp_error *error) {
    const struct sp_fs_ops *ops = sealed->fs->ops;
    sp_status status = ops->size(sealed->file, &sealed->bytes, error);
    if (status != SP_OK) {
        return status;
    }
    if (sealed->bytes < SP_SEALED_HEADER_BYTES + SP_SEALED_FOOTER_BYTES) {
        return sp_error_set(error, SP_CORRUPT, "file is cut: %llu bytes",
                            (unsigned long long)sealed->bytes);
    }
    uint8_t footer[SP_SEALED_FOOTER_BYTES];
    uint64_t at = sealed->bytes - SP_SEALED_FOOTER_BYTES;
    status = read_exact(sealed, footer, sizeof(footer), at, error);
    if (status != SP_OK) {
        return status;
    }
    status = footer_decode(footer, &sealed->footer);
    if (status == SP_UNSUPPORTED) {
        return sp_error_set(error, status, "a newer format");
    }
    if (status == SP_OK && sealed->footer.id != id) {
        return sp_error_set_at(error, SP_CORRUPT, at,
                               "the file holds segment %llx: files were swapped",
                               (unsigned long long)sealed->footer.id);
    }
    if (status != SP_OK || !sections_fill_file(&sealed->footer, sealed->bytes)) {
        return sp_error_set_at(error, SP_CORRUPT, at, "footer at offset %llu is damaged",
                               (unsigned long long)at);
    }
    return SP_OK;
}

sp_status sp_log_sealed_open(struct sp_fs *fs, uint64_t id, struct sp_log_sealed **ret_sealed,
                             struct sp_error *error) {
    char path[SP_SEALED_PATH_BYTES];
    sp_sealed_path(id, path);
    struct sp_log_sealed *sealed = calloc(1, sizeof(*sealed));
    if (sealed == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "%s", path);
    }
    sealed->fs = fs;
    atomic_init(&sealed->refs, 1);
    pthread_mutex_init(&sealed->lazy, NULL);
    sp_status status = fs->ops->open(fs, path, SP_FS_READ, &sealed->file, error);
    if (status == SP_OK) {
        status = load_footer(sealed, id, error);
    }
    if (status != SP_OK) {
        sp_log_sealed_unref(sealed);
        return sp_error_prefix(error, status, "%s", path);
    }
    *ret_sealed = sealed;
    return SP_OK;
}

struct sp_log_sealed *sp_log_sealed_ref(struct sp_log_sealed *sealed) {
    atomic_fetch_add_explicit(&sealed->refs, 1, memory_order_relaxed);
    return sealed;
}

void sp_log_sealed_unref(struct sp_log_sealed *sealed) {
    if (sealed == NULL || atomic_fetch_sub_explicit(&sealed->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (sealed->file != NULL) {
        sealed->fs->ops->close(sealed->file);
    }
    free(atomic_load_explicit(&sealed->directory, memory_order_relaxed));
    ZSTD_freeDDict(atomic_load_explicit(&sealed->dictionary, memory_order_relaxed));
    pthread_mutex_destroy(&sealed->lazy);
    free(sealed);
}

const struct sp_sealed_footer *sp_log_sealed_footer(const struct sp_log_sealed *sealed) {
    return &sealed->footer;
}

uint64_t sp_log_sealed_bytes(const struct sp_log_sealed *sealed) {
    return sealed->bytes;
}

/* Prefixes an error with the file's path. */
static sp_status name_file(const struct sp_log_sealed *sealed, sp_status status,
                           struct sp_error *error) {
    if (status != SP_OK) {
        char path[SP_SEALED_PATH_BYTES];
        sp_sealed_path(sealed->footer.id, path);
        return sp_error_prefix(error, status, "%s", path);
    }
    return status;
}

const char *sp_sealed_section_name(enum sp_sealed_section section) {
    static const char *const names[SP_SECTION_COUNT] = {"frames", "directory", "dictionary", "tags",
                                                        "tiles",  "tree",      "index"};
    return section < SP_SECTION_COUNT ? names[section] : "of a later version";
}

sp_status sp_log_sealed_section(struct sp_log_sealed *sealed, enum sp_sealed_section section,
                                uint64_t offset, size_t len, void *to, struct sp_error *error) {
    const struct sp_sealed_extent *extent = &sealed->footer.sections[section];
    if (offset > extent->bytes || len > extent->bytes - offset) {
        return sp_error_set(error, SP_INVALID, "%s: bytes %llu to %llu of %llu",
                            sp_sealed_section_name(section), (unsigned long long)offset,
                            (unsigned long long)(offset + len), (unsigned long long)extent->bytes);
    }
    return name_file(sealed, read_exact(sealed, to, len, extent->offset + offset, error), error);
}

sp_status sp_log_sealed_section_all(struct sp_log_sealed *sealed, enum sp_sealed_section section,
                                    struct sp_buf *to, struct sp_error *error) {
    const struct sp_sealed_extent *extent = &sealed->footer.sections[section];
    size_t len = (size_t)extent->bytes;
    uint8_t *at = len == 0 ? NULL : sp_buf_reserve(to, len);
    if (len > 0 && at == NULL) {
        return sp_error_set(error, to->status, "%s: %zu bytes", sp_sealed_section_name(section),
                            len);
    }
    sp_status status = len == 0 ? SP_OK : sp_log_sealed_section(sealed, section, 0, len, at, error);
    if (status == SP_OK && sp_hash(at, len) != extent->check) {
        status = sp_error_set_at(
            error, SP_CORRUPT, extent->offset, "section %s at offset %llu is damaged",
            sp_sealed_section_name(section), (unsigned long long)extent->offset);
        return name_file(sealed, status, error);
    }
    if (status == SP_OK) {
        sp_buf_advance(to, len);
    }
    return status;
}

sp_status sp_log_sealed_check_layout(struct sp_log_sealed *sealed, struct sp_error *error) {
    uint8_t expected[SP_SEALED_HEADER_BYTES];
    uint8_t found[SP_SEALED_HEADER_BYTES];
    sp_sealed_header_encode(&sealed->footer, expected);
    sp_status status = read_exact(sealed, found, sizeof(found), 0, error);
    if (status == SP_OK && memcmp(expected, found, sizeof(found)) != 0) {
        status = sp_error_set_at(error, SP_CORRUPT, 0, "header at offset 0 is damaged");
    }
    /* The footer is read again: what is in memory was right when the file was opened. */
    uint8_t footer[SP_SEALED_FOOTER_BYTES];
    uint8_t again[SP_SEALED_FOOTER_BYTES];
    if (status == SP_OK) {
        struct sp_sealed_footer copy = sealed->footer;
        sp_sealed_footer_encode(&copy, footer);
        status = read_exact(sealed, again, sizeof(again), sealed->bytes - sizeof(again), error);
    }
    if (status == SP_OK && memcmp(footer, again, sizeof(again)) != 0) {
        status = sp_error_set(error, SP_CORRUPT, "footer is damaged");
    }
    return name_file(sealed, status, error);
}

/* Loads the directory once, whichever thread comes first. */
static sp_status load_directory(struct sp_log_sealed *sealed, const uint8_t **ret_rows,
                                struct sp_error *error) {
    uint8_t *rows = atomic_load_explicit(&sealed->directory, memory_order_acquire);
    if (SP_LIKELY(rows != NULL)) {
        *ret_rows = rows;
        return SP_OK;
    }
    pthread_mutex_lock(&sealed->lazy);
    sp_status status = SP_OK;
    rows = atomic_load_explicit(&sealed->directory, memory_order_relaxed);
    if (rows == NULL) {
        struct sp_buf bytes;
        sp_buf_init(&bytes, SP_SEALED_BYTES_MAX);
        status = sp_log_sealed_section_all(sealed, SP_SECTION_DIRECTORY, &bytes, error);
        if (status == SP_OK) {
            rows = bytes.data; /* the buffer's storage moves to the segment */
            atomic_store_explicit(&sealed->directory, rows, memory_order_release);
        } else {
            sp_buf_fini(&bytes);
        }
    }
    pthread_mutex_unlock(&sealed->lazy);
    *ret_rows = rows;
    return status;
}

static sp_status load_dictionary(struct sp_log_sealed *sealed, ZSTD_DDict **ret_dictionary,
                                 struct sp_error *error) {
    ZSTD_DDict *dictionary = atomic_load_explicit(&sealed->dictionary, memory_order_acquire);
    if (SP_LIKELY(dictionary != NULL ||
                  sealed->footer.sections[SP_SECTION_DICTIONARY].bytes == 0)) {
        *ret_dictionary = dictionary;
        return SP_OK;
    }
    pthread_mutex_lock(&sealed->lazy);
    sp_status status = SP_OK;
    dictionary = atomic_load_explicit(&sealed->dictionary, memory_order_relaxed);
    if (dictionary == NULL) {
        struct sp_buf bytes;
        sp_buf_init(&bytes, DICTIONARY_BYTES_MAX);
        status = sp_log_sealed_section_all(sealed, SP_SECTION_DICTIONARY, &bytes, error);
        if (status == SP_OK) {
            dictionary = ZSTD_createDDict(bytes.data, bytes.len);
            status = dictionary != NULL ? SP_OK : sp_error_set(error, SP_NO_MEMORY, "dictionary");
            atomic_store_explicit(&sealed->dictionary, dictionary, memory_order_release);
        }
        sp_buf_fini(&bytes);
    }
    pthread_mutex_unlock(&sealed->lazy);
    *ret_dictionary = dictionary;
    return status;
}

sp_status sp_log_sealed_frame(struct sp_log_sealed *sealed, uint32_t frame,
                              struct sp_sealed_frame *ret_frame, struct sp_error *error) {
    sp_require(frame < sealed->footer.frame_count);
    const uint8_t *rows = NULL;
    sp_status status = load_directory(sealed, &rows, error);
    if (status == SP_OK) {
        directory_row_decode(rows + (size_t)frame * SP_SEALED_DIRECTORY_ROW_BYTES, ret_frame);
    }
    return status;
}

sp_status sp_log_sealed_find(struct sp_log_sealed *sealed, uint64_t position, uint32_t *ret_frame,
                             struct sp_error *error) {
    sp_require(position >= sealed->footer.first_position &&
               position <= sealed->footer.last_position);
    const uint8_t *rows = NULL;
    sp_status status = load_directory(sealed, &rows, error);
    if (status != SP_OK) {
        return status;
    }
    uint32_t ordinal = (uint32_t)(position - sealed->footer.first_position);
    /*
     * The last frame that begins at or before the ordinal; frames without events begin with the
     * next.
     */
    uint32_t low = 0;
    uint32_t high = sealed->footer.frame_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        struct sp_sealed_frame row;
        directory_row_decode(rows + (size_t)middle * SP_SEALED_DIRECTORY_ROW_BYTES, &row);
        if (row.first_ordinal <= ordinal) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *ret_frame = low;
    return SP_OK;
}

struct sp_sealed_scratch *sp_sealed_scratch_new(void) {
    struct sp_sealed_scratch *scratch = calloc(1, sizeof(*scratch));
    if (scratch == NULL) {
        return NULL;
    }
    sp_buf_init(&scratch->stored, FRAME_BYTES_MAX);
    sp_buf_init(&scratch->columns, FRAME_BYTES_MAX);
    sp_buf_init(&scratch->rows, FRAME_BYTES_MAX);
    scratch->zstd = ZSTD_createDCtx();
    if (scratch->zstd == NULL) {
        sp_sealed_scratch_free(scratch);
        return NULL;
    }
    return scratch;
}

void sp_sealed_scratch_free(struct sp_sealed_scratch *scratch) {
    if (scratch == NULL) {
        return;
    }
    sp_buf_fini(&scratch->stored);
    sp_buf_fini(&scratch->columns);
    sp_buf_fini(&scratch->rows);
    ZSTD_freeDCtx(scratch->zstd);
    free(scratch);
}

/* Decompresses the stored bytes into the scratch's columns. */
static sp_status decompress(struct sp_log_sealed *sealed, const struct sp_sealed_frame *row,
                            struct sp_sealed_scratch *scratch, sp_str *ret_columns,
                            struct sp_error *error) {
    if ((row->flags & SP_FRAME_STORED) != 0) {
        *ret_columns = sp_buf_str(&scratch->stored);
        return SP_OK;
    }
    ZSTD_DDict *dictionary = NULL;
    sp_status status = load_dictionary(sealed, &dictionary, error);
    sp_buf_reset(&scratch->columns);
    uint8_t *to = status == SP_OK ? sp_buf_reserve(&scratch->columns, row->column_bytes) : NULL;
    if (to == NULL) {
        return status != SP_OK ? status : sp_error_set(error, scratch->columns.status, "frame");
    }
    size_t got =
        dictionary != NULL
            ? ZSTD_decompress_usingDDict(scratch->zstd, to, row->column_bytes, scratch->stored.data,
                                         scratch->stored.len, dictionary)
            : ZSTD_decompressDCtx(scratch->zstd, to, row->column_bytes, scratch->stored.data,
                                  scratch->stored.len);
    if (ZSTD_isError(got) || got != row->column_bytes) {
        return SP_CORRUPT;
    }
    sp_buf_advance(&scratch->columns, got);
    *ret_columns = sp_buf_str(&scratch->columns);
    return SP_OK;
}

static sp_status frame_damaged(const struct sp_log_sealed *sealed,
                               const struct sp_sealed_frame *row, struct sp_error *error) {
    uint64_t first = sealed->footer.first_position + row->first_ordinal;
    sp_status status = sp_error_set_at(
        error, SP_CORRUPT, row->offset, "events %llu to %llu at offset %u are damaged",
        (unsigned long long)first, (unsigned long long)(first + row->event_count - 1), row->offset);
    return name_file(sealed, status, error);
}

/* Reads and checks the stored bytes of a frame. */
static sp_status load_stored(struct sp_log_sealed *sealed, const struct sp_sealed_frame *row,
                             struct sp_sealed_scratch *scratch, struct sp_error *error) {
    sp_buf_reset(&scratch->stored);
    uint8_t *to = sp_buf_reserve(&scratch->stored, row->stored_bytes);
    if (to == NULL) {
        return sp_error_set(error, scratch->stored.status, "frame of %u bytes", row->stored_bytes);
    }
    sp_status status = read_exact(sealed, to, row->stored_bytes, row->offset, error);
    if (status != SP_OK) {
        return name_file(sealed, status, error);
    }
    sp_buf_advance(&scratch->stored, row->stored_bytes);
    return sp_hash(to, row->stored_bytes) == row->check ? SP_OK : frame_damaged(sealed, row, error);
}

sp_status sp_log_sealed_read(struct sp_log_sealed *sealed, uint32_t frame,
                             struct sp_sealed_scratch *scratch, sp_str *ret_rows,
                             struct sp_error *error) {
    struct sp_sealed_frame row;
    sp_status status = sp_log_sealed_frame(sealed, frame, &row, error);
    if (status != SP_OK) {
        return status;
    }
    if (row.column_bytes > FRAME_BYTES_MAX || row.raw_bytes > FRAME_BYTES_MAX) {
        return frame_damaged(sealed, &row, error);
    }
    status = load_stored(sealed, &row, scratch, error);
    sp_str columns = {.ptr = NULL, .len = 0};
    if (status == SP_OK) {
        status = decompress(sealed, &row, scratch, &columns, error);
        if (status == SP_CORRUPT) {
            return frame_damaged(sealed, &row, error);
        }
    }
    if (status != SP_OK) {
        return status;
    }
    sp_buf_reset(&scratch->rows);
    uint8_t *to = sp_buf_reserve(&scratch->rows, (size_t)row.raw_bytes + 1);
    if (to == NULL) {
        return sp_error_set(error, scratch->rows.status, "frame of %u bytes", row.raw_bytes);
    }
    if (sp_frame_decode(columns, to, row.raw_bytes) != SP_OK) {
        return frame_damaged(sealed, &row, error);
    }
    *ret_rows = sp_str_of(to, row.raw_bytes);
    return SP_OK;
}
