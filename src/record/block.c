#include "record/block.h"

#include "base/hash.h"
#include "base/wire.h"

static const char block_magic[4] = {'s', 'p', 'B', '1'};

/* Offsets in the header. */
enum {
    AT_MAGIC = 0,
    AT_FORMAT = 4,
    AT_HEADER_BYTES = 6,
    AT_CHECK = 8,
    AT_LOG_ID = 16,
    AT_EPOCH = 24,
    AT_FILE_OFFSET = 32,
    AT_NUMBER = 40,
    AT_FIRST_POSITION = 48,
    AT_EVENT_COUNT = 56,
    AT_RECORD_COUNT = 60,
    AT_BODY_BYTES = 64,
    AT_ZERO_SECTORS = 68,
    AT_BODY_CHECK = 72,
    AT_DURABLE_UPTO = 80,
    AT_PREV_CHECK = 88,
    AT_TREE_SIZE = 96,
    AT_TREE_ROOT = 104,
    AT_RECORDED_US = 136,
    AT_FEATURES = 144, /* bits of what a reader must know */
    AT_UNUSED = 148,
    FORMAT_VERSION = 1,
};

_Static_assert(AT_UNUSED + 12 == SP_BLOCK_HEADER_BYTES, "the header's fields fill it");

/* The check covers the header with its own field left out. */
static uint64_t header_check(const uint8_t *header) {
    uint8_t copy[SP_BLOCK_HEADER_BYTES];
    memcpy(copy, header, sizeof(copy));
    memset(copy + AT_CHECK, 0, 8);
    return sp_hash(copy, sizeof(copy));
}

static bool is_zero(const uint8_t *bytes, size_t len) {
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        if (sp_get_u64(bytes + i) != 0) {
            return false;
        }
    }
    for (; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Counts the sectors holding only zeros among those that cover the first `used` bytes. */
static uint32_t count_zero_sectors(const uint8_t *block, size_t used) {
    uint32_t count = 0;
    for (size_t at = 0; at < used; at += SP_BLOCK_SECTOR_BYTES) {
        size_t len = used - at < SP_BLOCK_SECTOR_BYTES ? used - at : SP_BLOCK_SECTOR_BYTES;
        count += is_zero(block + at, len) ? 1 : 0;
    }
    return count;
}

void sp_block_finish(uint8_t *block, struct sp_block_header *header) {
    size_t used = SP_BLOCK_HEADER_BYTES + (size_t)header->body_bytes;
    size_t stored = sp_block_stored_bytes(header->body_bytes);
    memset(block + used, 0, stored - used);
    header->body_check = sp_hash(block + SP_BLOCK_HEADER_BYTES, stored - SP_BLOCK_HEADER_BYTES);
    memcpy(block + AT_MAGIC, block_magic, sizeof(block_magic));
    sp_put_u16(block + AT_FORMAT, FORMAT_VERSION);
    sp_put_u16(block + AT_HEADER_BYTES, SP_BLOCK_HEADER_BYTES);
    sp_put_u64(block + AT_LOG_ID, header->log_id);
    sp_put_u64(block + AT_EPOCH, header->epoch);
    sp_put_u64(block + AT_FILE_OFFSET, header->file_offset);
    sp_put_u64(block + AT_NUMBER, header->number);
    sp_put_u64(block + AT_FIRST_POSITION, header->first_position);
    sp_put_u32(block + AT_EVENT_COUNT, header->event_count);
    sp_put_u32(block + AT_RECORD_COUNT, header->record_count);
    sp_put_u32(block + AT_BODY_BYTES, header->body_bytes);
    sp_put_u64(block + AT_BODY_CHECK, header->body_check);
    sp_put_u64(block + AT_DURABLE_UPTO, header->durable_upto);
    sp_put_u64(block + AT_PREV_CHECK, header->prev_check);
    sp_put_u64(block + AT_TREE_SIZE, header->tree_size);
    memcpy(block + AT_TREE_ROOT, header->tree_root, SP_HASH_BYTES);
    sp_put_u64(block + AT_RECORDED_US, header->recorded_us);
    sp_put_u32(block + AT_FEATURES, (uint32_t)header->features);
    memset(block + AT_UNUSED, 0, SP_BLOCK_HEADER_BYTES - AT_UNUSED);
    header->zero_sectors = count_zero_sectors(block, used);
    sp_put_u32(block + AT_ZERO_SECTORS, header->zero_sectors);
    header->check = header_check(block);
    sp_put_u64(block + AT_CHECK, header->check);
}

sp_status sp_block_read_header(sp_str bytes, struct sp_block_header *ret_header) {
    if (bytes.len < SP_BLOCK_HEADER_BYTES || memcmp(bytes.ptr, block_magic, 4) != 0) {
        return SP_NOT_FOUND;
    }
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    struct sp_block_header header = {
        .log_id = sp_get_u64(at + AT_LOG_ID),
        .epoch = sp_get_u64(at + AT_EPOCH),
        .file_offset = sp_get_u64(at + AT_FILE_OFFSET),
        .number = sp_get_u64(at + AT_NUMBER),
        .first_position = sp_get_u64(at + AT_FIRST_POSITION),
        .event_count = sp_get_u32(at + AT_EVENT_COUNT),
        .record_count = sp_get_u32(at + AT_RECORD_COUNT),
        .body_bytes = sp_get_u32(at + AT_BODY_BYTES),
        .zero_sectors = sp_get_u32(at + AT_ZERO_SECTORS),
        .body_check = sp_get_u64(at + AT_BODY_CHECK),
        .durable_upto = sp_get_u64(at + AT_DURABLE_UPTO),
        .prev_check = sp_get_u64(at + AT_PREV_CHECK),
        .tree_size = sp_get_u64(at + AT_TREE_SIZE),
        .recorded_us = sp_get_u64(at + AT_RECORDED_US),
        .features = sp_get_u32(at + AT_FEATURES),
        .check = sp_get_u64(at + AT_CHECK),
    };
    memcpy(header.tree_root, at + AT_TREE_ROOT, SP_HASH_BYTES);
    if (header.check != header_check(at)) {
        return SP_CORRUPT;
    }
    if (sp_get_u16(at + AT_FORMAT) != FORMAT_VERSION ||
        (header.features & ~(uint64_t)SP_BLOCK_UNORDERED) != 0) {
        return SP_UNSUPPORTED;
    }
    if (sp_get_u16(at + AT_HEADER_BYTES) != SP_BLOCK_HEADER_BYTES ||
        header.event_count > header.record_count ||
        header.body_bytes > SP_BLOCK_BYTES_MAX - SP_BLOCK_HEADER_BYTES ||
        !is_zero(at + AT_UNUSED, SP_BLOCK_HEADER_BYTES - AT_UNUSED)) {
        return SP_CORRUPT;
    }
    *ret_header = header;
    return SP_OK;
}

bool sp_block_body_valid(const struct sp_block_header *header, sp_str stored) {
    size_t size = sp_block_stored_bytes(header->body_bytes);
    return stored.len >= size && sp_hash(stored.ptr + SP_BLOCK_HEADER_BYTES,
                                         size - SP_BLOCK_HEADER_BYTES) == header->body_check;
}

enum sp_block_damage sp_block_diagnose(sp_str stored) {
    const uint8_t *bytes = (const uint8_t *)stored.ptr;
    struct sp_block_header header;
    if (stored.len < SP_BLOCK_SECTOR_BYTES || is_zero(bytes, SP_BLOCK_SECTOR_BYTES)) {
        return SP_BLOCK_TORN;
    }
    if (sp_block_read_header(stored, &header) != SP_OK) {
        return SP_BLOCK_DAMAGED;
    }
    size_t used = SP_BLOCK_HEADER_BYTES + (size_t)header.body_bytes;
    if (used > stored.len) {
        return SP_BLOCK_DAMAGED;
    }
    return count_zero_sectors(bytes, used) > header.zero_sectors ? SP_BLOCK_TORN : SP_BLOCK_DAMAGED;
}
