#include "log/manifest.h"

#include <stdlib.h>

#include "base/wire.h"
#include "record/stamp.h"

static const char manifest_magic[8] = {'s', 'p', 'o', 'o', 'r', 'M', 'A', 'N'};

enum {
    MANIFEST_FIXED_BYTES = 128,
    MANIFEST_ROW_BYTES = 80,
    AT_UUID = SP_STAMP_BYTES,
    AT_CREATED = 40,
    AT_FIRST_BLOCK = 48,
    AT_FIRST_POSITION = 56,
    AT_FIRST_PREV_CHECK = 64,
    AT_COUNT = 72,   /* from 76 on unused */
    ROW_NUMBERS = 8, /* of eight bytes; then 16 unused ones, with room for a file's generation */
};

void sp_manifest_fini(struct sp_manifest *manifest) {
    free(manifest->segments);
    manifest->segments = NULL;
    manifest->segment_count = 0;
}

static void encode_row(const struct sp_manifest_segment *row, uint8_t *to) {
    const uint64_t fields[ROW_NUMBERS] = {row->id,          row->first_position, row->last_position,
                                          row->first_block, row->last_block,     row->last_check,
                                          row->file_bytes,  row->footer_check};
    memcpy(to, fields, sizeof(fields));
}

void sp_manifest_encode(const struct sp_manifest *manifest, struct sp_buf *to) {
    size_t size = MANIFEST_FIXED_BYTES + (size_t)manifest->segment_count * MANIFEST_ROW_BYTES;
    uint8_t *at = sp_buf_reserve(to, size);
    if (at == NULL) {
        return;
    }
    memset(at, 0, size);
    sp_put_u32(at + AT_COUNT, manifest->segment_count);
    memcpy(at + AT_UUID, manifest->uuid, 16);
    sp_put_u64(at + AT_CREATED, manifest->created_us);
    sp_put_u64(at + AT_FIRST_BLOCK, manifest->first_block);
    sp_put_u64(at + AT_FIRST_POSITION, manifest->first_position);
    sp_put_u64(at + AT_FIRST_PREV_CHECK, manifest->first_prev_check);
    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        encode_row(&manifest->segments[i],
                   at + MANIFEST_FIXED_BYTES + (size_t)i * MANIFEST_ROW_BYTES);
    }
    (void)sp_stamp_put(at, size, manifest_magic);
    sp_buf_advance(to, size);
}

static void decode_row(const uint8_t *from, struct sp_manifest_segment *row) {
    uint64_t fields[ROW_NUMBERS];
    memcpy(fields, from, sizeof(fields));
    *row = (struct sp_manifest_segment){
        .id = fields[0],
        .first_position = fields[1],
        .last_position = fields[2],
        .first_block = fields[3],
        .last_block = fields[4],
        .last_check = fields[5],
        .file_bytes = fields[6],
        .footer_check = fields[7],
    };
}

sp_status sp_manifest_decode(sp_str bytes, struct sp_manifest *ret_manifest,
                             struct sp_error *error) {
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    sp_status status = sp_stamp_check(bytes, manifest_magic);
    if (status == SP_UNSUPPORTED) {
        return sp_error_set(error, status, "%s: written by a later version", SP_MANIFEST_PATH);
    }
    uint32_t count = status == SP_OK && bytes.len >= MANIFEST_FIXED_BYTES
                         ? sp_get_u32(at + AT_COUNT)
                         : UINT32_MAX;
    if (count > SP_MANIFEST_SEGMENTS_MAX ||
        bytes.len != MANIFEST_FIXED_BYTES + (size_t)count * MANIFEST_ROW_BYTES) {
        return sp_error_set(error, SP_CORRUPT,
                            "%s: damaged: its checksum does not match (%zu bytes)",
                            SP_MANIFEST_PATH, bytes.len);
    }
    struct sp_manifest manifest = {
        .created_us = sp_get_u64(at + AT_CREATED),
        .first_block = sp_get_u64(at + AT_FIRST_BLOCK),
        .first_position = sp_get_u64(at + AT_FIRST_POSITION),
        .first_prev_check = sp_get_u64(at + AT_FIRST_PREV_CHECK),
        .segment_count = count,
        .segments = calloc((size_t)count + 1, sizeof(struct sp_manifest_segment)),
    };
    if (manifest.segments == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "%s: %u segments", SP_MANIFEST_PATH, count);
    }
    memcpy(manifest.uuid, at + AT_UUID, 16);
    for (uint32_t i = 0; i < count; i++) {
        decode_row(at + MANIFEST_FIXED_BYTES + (size_t)i * MANIFEST_ROW_BYTES,
                   &manifest.segments[i]);
    }
    *ret_manifest = manifest;
    return SP_OK;
}

sp_status sp_manifest_load(struct sp_fs *fs, struct sp_manifest *ret_manifest,
                           struct sp_error *error) {
    struct sp_buf bytes;
    sp_buf_init(&bytes,
                MANIFEST_FIXED_BYTES + (size_t)SP_MANIFEST_SEGMENTS_MAX * MANIFEST_ROW_BYTES);
    sp_status status = sp_fs_read_all(fs, SP_MANIFEST_PATH, &bytes, error);
    if (status == SP_OK) {
        status = sp_manifest_decode(sp_buf_str(&bytes), ret_manifest, error);
    }
    sp_buf_fini(&bytes);
    return status;
}
