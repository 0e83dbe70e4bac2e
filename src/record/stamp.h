/*
 * The stamp: the first bytes of every stored structure but the block. pure
 *
 *     magic (8)  what it is
 *     u32        version of its layout: 1
 *     u32        features: bits of what a reader must know to read it; 0 so far
 *     u64        check: XXH3-64 of the whole structure, these eight bytes taken as zero
 *
 * The stamp and the size of what it covers are the same in all versions, so that a program can
 * tell a structure of a later one from a damaged one. Bytes that a version does not use are zero.
 */
#ifndef SP_RECORD_STAMP_H
#define SP_RECORD_STAMP_H

#include "base/assert.h"
#include "base/status.h"
#include "base/str.h"

enum {
    SP_STAMP_BYTES = 24,
    SP_STAMP_AT_VERSION = 8,
    SP_STAMP_AT_FEATURES = 12,
    SP_STAMP_AT_CHECK = 16,
    SP_FORMAT_VERSION = 1,
    SP_FORMAT_FEATURES = 0, /* the bits this program knows */
};

/*
 * Completes a structure of `len` bytes, whose first SP_STAMP_BYTES are free, and returns its
 * check.
 */
uint64_t sp_stamp_put(uint8_t *bytes, size_t len, const char magic[8]);

/* SP_OK, SP_CORRUPT, or SP_UNSUPPORTED: whole, but of a later version or with unknown features. */
SP_WARN_UNUSED sp_status sp_stamp_check(sp_str bytes, const char magic[8]);

#endif
