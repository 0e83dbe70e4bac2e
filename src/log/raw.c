#include "log/raw.h"

#include "base/wire.h"
#include "record/stamp.h"

static const char raw_magic[8] = {'s', 'p', 'o', 'o', 'r', 'S', 'E', 'G'};

enum {
    AT_UUID = SP_STAMP_BYTES,
    AT_EPOCH = 40,
    AT_BYTES = 48,
    AT_FIRST_BLOCK = 56,
    AT_FIRST_POSITION = 64,
    AT_PREV_CHECK = 72,
    AT_PREV_END = 80,
    AT_CREATED = 88,
    AT_SALT_KEY = 96,
};

_Static_assert(AT_SALT_KEY + SP_HASH_BYTES <= SP_BLOCK_SECTOR_BYTES,
               "the header is in one sector, so a crash leaves all of it or nothing");

void sp_raw_header_encode(const struct sp_raw_header *header, uint8_t *to) {
    memset(to, 0, SP_RAW_HEADER_BYTES);
    memcpy(to + AT_UUID, header->uuid, 16);
    sp_put_u64(to + AT_EPOCH, header->epoch);
    sp_put_u64(to + AT_BYTES, header->segment_bytes);
    sp_put_u64(to + AT_FIRST_BLOCK, header->first_block);
    sp_put_u64(to + AT_FIRST_POSITION, header->first_position);
    sp_put_u64(to + AT_PREV_CHECK, header->prev_check);
    sp_put_u64(to + AT_PREV_END, header->prev_end);
    sp_put_u64(to + AT_CREATED, header->created_us);
    memcpy(to + AT_SALT_KEY, header->salt_key, SP_HASH_BYTES);
    (void)sp_stamp_put(to, SP_RAW_HEADER_BYTES, raw_magic);
}

static bool all_zero(sp_str bytes) {
    return bytes.len == 0 ||
           (bytes.ptr[0] == 0 && memcmp(bytes.ptr, bytes.ptr + 1, bytes.len - 1) == 0);
}

sp_status sp_raw_header_decode(sp_str bytes, struct sp_raw_header *ret_header) {
    if (bytes.len < SP_RAW_HEADER_BYTES) {
        return SP_CORRUPT;
    }
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    if (all_zero(sp_str_of(at, SP_RAW_HEADER_BYTES))) {
        return SP_NOT_FOUND;
    }
    sp_status status = sp_stamp_check(sp_str_of(at, SP_RAW_HEADER_BYTES), raw_magic);
    if (status != SP_OK) {
        return status;
    }
    struct sp_raw_header header = {
        .epoch = sp_get_u64(at + AT_EPOCH),
        .segment_bytes = sp_get_u64(at + AT_BYTES),
        .first_block = sp_get_u64(at + AT_FIRST_BLOCK),
        .first_position = sp_get_u64(at + AT_FIRST_POSITION),
        .prev_check = sp_get_u64(at + AT_PREV_CHECK),
        .prev_end = sp_get_u64(at + AT_PREV_END),
        .created_us = sp_get_u64(at + AT_CREATED),
    };
    memcpy(header.uuid, at + AT_UUID, 16);
    memcpy(header.salt_key, at + AT_SALT_KEY, SP_HASH_BYTES);
    *ret_header = header;
    return SP_OK;
}
