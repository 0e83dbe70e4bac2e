#include "log/manifest.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/wire.h"

static const char manifest_magic[8] = {'s', 'p', 'o', 'o', 'r', 'M', 'A', 'N'};

enum {
    MANIFEST_VERSION = 1,
    MANIFEST_FIXED_BYTES = 80,
    MANIFEST_ROW_BYTES = 64,
    AT_VERSION = 8,
    AT_COUNT = 12,
    AT_CHECK = 16,
    AT_UUID = 24,
    AT_CREATED = 40,
    AT_FIRST_BLOCK = 48,
    AT_FIRST_POSITION = 56,
    AT_FIRST_PREV_CHECK = 64,
};

void sp_manifest_fini(struct sp_manifest *manifest) {
    free(manifest->segments);
    manifest->segments = NULL;
    manifest->segment_count = 0;
}

static uint64_t manifest_check(const uint8_t *bytes, size_t len) {
    /* The check field itself counts as zero: hash around it. */
    return sp_hash(bytes, AT_CHECK) ^
           sp_hash_seeded(bytes + AT_CHECK + 8, len - AT_CHECK - 8, MANIFEST_VERSION);
}

static void encode_row(const struct sp_manifest_segment *row, uint8_t *to) {
    const uint64_t fields[] = {row->id,          row->first_position, row->last_position,
                               row->first_block, row->last_block,     row->last_check,
                               row->file_bytes,  row->footer_check};
    _Static_assert(sizeof(fields) == MANIFEST_ROW_BYTES, "eight numbers a row");
    memcpy(to, fields, sizeof(fields));
}

void sp_manifest_encode(const struct sp_manifest *manifest, struct sp_buf *to) {
    size_t size = MANIFEST_FIXED_BYTES + (size_t)manifest->segment_count * MANIFEST_ROW_BYTES;
    uint8_t *at = sp_buf_reserve(to, size);
    if (at == NULL) {
        return;
    }
    memset(at, 0, MANIFEST_FIXED_BYTES);
    memcpy(at, manifest_magic, sizeof(manifest_magic));
    sp_put_u32(at + AT_VERSION, MANIFEST_VERSION);
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
    sp_put_u64(at + AT_CHECK, manifest_check(at, size));
    sp_buf_advance(to, size);
}

static void decode_row(const uint8_t *from, struct sp_manifest_segment *row) {
    uint64_t fields[8];
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
    if (bytes.len < MANIFEST_FIXED_BYTES || memcmp(at, manifest_magic, 8) != 0) {
        return sp_error_set(error, SP_CORRUPT, "%s: not a manifest (%zu bytes)", SP_MANIFEST_PATH,
                            bytes.len);
    }
    uint32_t version = sp_get_u32(at + AT_VERSION);
    uint32_t count = sp_get_u32(at + AT_COUNT);
    if (version != MANIFEST_VERSION) {
        return sp_error_set(error, SP_UNSUPPORTED, "%s: format %u, this program reads %d",
                            SP_MANIFEST_PATH, version, MANIFEST_VERSION);
    }
    if (count > SP_MANIFEST_SEGMENTS_MAX ||
        bytes.len != MANIFEST_FIXED_BYTES + (size_t)count * MANIFEST_ROW_BYTES ||
        sp_get_u64(at + AT_CHECK) != manifest_check(at, bytes.len)) {
        return sp_error_set(error, SP_CORRUPT, "%s: damaged: its checksum does not match",
                            SP_MANIFEST_PATH);
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
    sp_buf_init(&bytes, MANIFEST_FIXED_BYTES +
                            (size_t)SP_MANIFEST_SEGMENTS_MAX * MANIFEST_ROW_BYTES);
    sp_status status = sp_fs_read_all(fs, SP_MANIFEST_PATH, &bytes, error);
    if (status == SP_OK) {
        status = sp_manifest_decode(sp_buf_str(&bytes), ret_manifest, error);
    }
    sp_buf_fini(&bytes);
    return status;
}
