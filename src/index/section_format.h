/*
 * The layout of an index section, for its encoder and its reader. docs/format-index.md is the text.
 * pure
 */
#ifndef SP_INDEX_SECTION_FORMAT_H
#define SP_INDEX_SECTION_FORMAT_H

#include "base/hash.h"
#include "base/wire.h"
#include "index/keys.h"
#include "index/mix.h"

#define SP_SECTION_MAGIC "SPOORIDX"

enum {
    SP_SECTION_VERSION = 1,
    SP_SECTION_CHECKSUM = 8,

    /* The fixed head. */
    SP_HEAD_MAGIC = 0,
    SP_HEAD_VERSION = 8,
    SP_HEAD_FLAGS = 12,
    SP_HEAD_FIRST = 16,
    SP_HEAD_COUNT = 24,
    SP_HEAD_SIZE = 28,
    SP_HEAD_SECTION_SIZE = 32,
    SP_HEAD_FILTER_BLOCKS = 40,
    SP_HEAD_FILTER_KEYS = 44,
    SP_HEAD_FIXED_CHECKSUM = 48,
    SP_HEAD_FIXED = 56,
    SP_HEAD_SIZE_MAX = 128 << 10, /* more than any section can need */

    SP_HEAD_TYPES_COMPLETE = 1, /* flag */

    /* An entry of the part table, which follows the fixed head. */
    SP_PART_OFFSET = 0,
    SP_PART_SIZE = 8,
    SP_PART_ITEMS = 16,
    SP_PART_BUCKETS = 20,
    SP_PART_ENTRY = 24,

    /* Buckets. */
    SP_TERM_BUCKETS_MAX = 1024,
    SP_TERM_BUCKET_BYTES = 1024, /* aimed at */
    SP_ID_BUCKETS_MAX = 8192,
    SP_ID_BUCKET_ENTRIES = 192, /* aimed at */
    SP_ID_BUCKET_HEAD = 8,
    SP_ID_ENTRY = 3,
    SP_ID_SPILL = 32, /* more entries than this of one hash and role become a list */

    /* Pages of long lists. */
    SP_PAGE_BYTES = 512,
    SP_PAGE_HEAD = 6,
    SP_PAGE_DATA_END = SP_PAGE_BYTES - SP_SECTION_CHECKSUM,
};

/* The parts, in the order in which they lie. The first eight have buckets and a directory. */
enum sp_section_part {
    SP_PART_STREAM = SP_INDEX_STREAM,
    SP_PART_TYPE = SP_INDEX_TYPE,
    SP_PART_SOURCE = SP_INDEX_SOURCE,
    SP_PART_CORRELATION = SP_INDEX_CORRELATION,
    SP_PART_ID_LISTS,
    SP_PART_CAUSE_LISTS,
    SP_PART_SOURCE_ID_LISTS,
    SP_PART_IDS,
    SP_PART_PAGES,
    SP_PART_TYPES,
    SP_PART_FILTER,
    SP_PART_COUNT,
};
enum { SP_PART_DIRECTORIES = SP_PART_IDS + 1 };

/* The low two bits of an entry of the id table. */
enum sp_id_code {
    SP_ID_CODE_ID = 0,
    SP_ID_CODE_CAUSE = 1,
    SP_ID_CODE_SOURCE_ID = 2,
    SP_ID_CODE_SAME_CAUSE = 3, /* a cause, of the same fingerprint as the entry before */
};

static inline uint32_t sp_term_tag(uint64_t hash) {
    return (uint32_t)hash;
}

static inline uint16_t sp_id_fingerprint(uint64_t hash) {
    return (uint16_t)(hash >> 16);
}

/* The place is part of the checksum, so that a piece read from elsewhere does not pass. */
static inline uint64_t sp_section_checksum(uint64_t first_position, enum sp_section_part part,
                                           uint64_t offset, const void *bytes, size_t len) {
    uint64_t seed = first_position * 0x9e3779b97f4a7c15u + ((uint64_t)part << 56) + offset;
    return sp_hash_seeded(bytes, len, seed);
}

#endif
