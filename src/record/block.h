/*
 * The block: one group commit, the unit of atomicity, of checksums and of the hash chain. pure
 *
 * In memory a block is one blob, aligned to 4 KiB, that is written as it lies: a header of
 * SP_BLOCK_HEADER_BYTES, the records (the body), and zeros up to a multiple of 4 KiB.
 * docs/format.md has the layout byte by byte. A block is valid wholly or not at all.
 */
#ifndef SP_RECORD_BLOCK_H
#define SP_RECORD_BLOCK_H

#include "base/error.h"
#include "base/str.h"
#include "record/event.h"
#include "record/tree.h"

enum {
    SP_BLOCK_HEADER_BYTES = 160,
    SP_BLOCK_ALIGN = 4096,
    SP_BLOCK_SECTOR_BYTES = 512,
    SP_BLOCK_BYTES_MAX = 64 << 20, /* of any stored block, whatever the settings allow now */
};

/* Bits of what a reader must know; with others a block is of a later format. */
enum sp_block_feature {
    SP_BLOCK_UNORDERED = 1, /* blocks before it may not have been on stable storage yet */
};

struct sp_block_header {
    uint64_t log_id;         /* which log: first 8 bytes of its UUID */
    uint64_t epoch;          /* which use of which segment; 0 where the driver has no segments */
    uint64_t file_offset;    /* where in the segment it was meant to lie */
    uint64_t number;         /* of the block, from 1, dense */
    uint64_t first_position; /* of its first event, or of the next one where it has none */
    uint32_t event_count;
    uint32_t record_count;
    uint32_t body_bytes;
    /* sectors of header and body that hold only zeros: see sp_block_diagnose */
    uint32_t zero_sectors;
    uint64_t body_check;
    uint64_t durable_upto; /* number of the last block known durable when this one was written */
    uint64_t prev_check;   /* header check of the block before */
    uint64_t tree_size;    /* a size the Merkle tree had reached, and its root then */
    uint8_t tree_root[SP_HASH_BYTES];
    uint64_t recorded_us; /* of the last record */
    uint64_t features;    /* of enum sp_block_feature */
    uint64_t check;       /* over this header; the next block's prev_check */
};

/*
 * The last block that was on stable storage when this one was written. Where each write is synced
 * before the next one begins, that is the one before; an unordered block was written by somebody
 * who syncs later, and vouches only for what it says.
 */
static inline uint64_t sp_block_vouches_upto(const struct sp_block_header *header) {
    bool says_more =
        (header->features & SP_BLOCK_UNORDERED) != 0 || header->durable_upto >= header->number;
    return says_more ? header->durable_upto : header->number - 1;
}

/* Bytes a block with such a body takes on disk. */
static inline size_t sp_block_stored_bytes(size_t body_bytes) {
    return (SP_BLOCK_HEADER_BYTES + body_bytes + SP_BLOCK_ALIGN - 1) / SP_BLOCK_ALIGN *
           SP_BLOCK_ALIGN;
}

/*
 * Completes a block in memory: zeroes the padding, computes the checks and zero_sectors, writes the
 * header. `header` gives everything else; its computed fields are filled in too. `block` has room
 * for sp_block_stored_bytes(body_bytes). O(bytes).
 */
void sp_block_finish(uint8_t *block, struct sp_block_header *header);

/*
 * Reads a header and compares its own check. SP_NOT_FOUND: not a block header; SP_CORRUPT: a bad
 * one; SP_UNSUPPORTED: a whole one of a later format.
 */
SP_WARN_UNUSED sp_status sp_block_read_header(sp_str bytes, struct sp_block_header *ret_header);

/* True where the stored bytes (header, body and padding) have the header's body check. */
bool sp_block_body_valid(const struct sp_block_header *header, sp_str stored);

/* What an invalid block at the tail is. */
enum sp_block_damage {
    SP_BLOCK_TORN, /* sectors are missing that were never written: a write that power cut short */
    SP_BLOCK_DAMAGED, /* every sector was written, and at least one holds something else now */
};

/*
 * Tells a torn write from damage. Segments hold zeros before they are written, and a sector of 512
 * bytes is written whole or not at all; so a torn block has more all-zero sectors than its header
 * counted, or its header's sector itself is zero. `stored` starts at the block's place and may hold
 * more than the block. O(bytes).
 */
enum sp_block_damage sp_block_diagnose(sp_str stored);

/* Walks the records of a body. */
struct sp_block_walk {
    sp_str rest;
    uint64_t next_position;
};

static inline struct sp_block_walk sp_block_walk_of(sp_str body, uint64_t first_position) {
    return (struct sp_block_walk){.rest = body, .next_position = first_position};
}

/* SP_OK and the next record, SP_END after the last, SP_CORRUPT where the lengths do not fit. */
SP_WARN_UNUSED static inline sp_status sp_block_walk_next(struct sp_block_walk *walk,
                                                          struct sp_record *ret_record) {
    if (walk->rest.len == 0) {
        return SP_END;
    }
    sp_status status = sp_record_read(walk->rest, walk->next_position, ret_record);
    if (status != SP_OK) {
        return status;
    }
    if (ret_record->kind == SP_RECORD_EVENT) {
        walk->next_position++;
    } else {
        ret_record->position--;
    }
    walk->rest = sp_str_from_byte(walk->rest, ret_record->size);
    return SP_OK;
}

#endif
