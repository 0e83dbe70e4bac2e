/*
 * A raw segment: a pre-written file of blocks, of which one at a time is appended to. helper,
 * loop-thread
 *
 * The first 4 KiB hold the segment header, written once when the segment comes into use; blocks
 * follow, each at a multiple of 4 KiB. All bytes never written are zero: the file is made of zeros,
 * and zeroed again before it is reused, which lets recovery tell a torn write from damage.
 */
#ifndef SP_LOG_RAW_H
#define SP_LOG_RAW_H

#include "base/error.h"
#include "base/str.h"
#include "record/block.h"

enum { SP_RAW_HEADER_BYTES = 4096 };

struct sp_raw_header {
    uint8_t uuid[16];       /* of the log */
    uint64_t epoch;         /* rises by one with each segment; the segment's id */
    uint64_t segment_bytes; /* the file's size */
    uint64_t first_block;
    uint64_t first_position;
    uint64_t prev_check; /* header check of the last block of the segment before; 0 for the first */
    uint64_t prev_end;   /* where in that segment's file the log goes over to this one */
    uint64_t created_us;
    uint8_t salt_key[SP_HASH_BYTES];
};

/* Writes SP_RAW_HEADER_BYTES. */
void sp_raw_header_encode(const struct sp_raw_header *header, uint8_t *to);

/* SP_NOT_FOUND: all zeros, a spare. SP_UNSUPPORTED: a newer format. SP_CORRUPT: neither. */
SP_WARN_UNUSED sp_status sp_raw_header_decode(sp_str bytes, struct sp_raw_header *ret_header);

#endif
