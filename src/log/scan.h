/*
 * Scanning a raw segment's file block by block, past the page cache: for recovery and verification. helper
 */
#ifndef SP_LOG_SCAN_H
#define SP_LOG_SCAN_H

#include "log/raw.h"
#include "os/fs.h"

/* What every block must continue. */
struct sp_scan_chain {
    uint64_t log_id;
    uint64_t next_block;
    uint64_t next_position;
    uint64_t prev_check;
};

/* Called for each valid block. `stored` is the whole block, borrowed for the call. */
typedef sp_status sp_scan_fn(void *context, const struct sp_block_header *header, sp_str stored,
                             struct sp_error *error);

enum sp_scan_end {
    SP_SCAN_CLEAN,   /* nothing but zeros follow */
    SP_SCAN_TORN,    /* a write that was cut short follows; nothing of it was acknowledged */
    SP_SCAN_DAMAGED, /* acknowledged data is damaged */
};

struct sp_scan_result {
    enum sp_scan_end end;
    uint64_t end_offset;   /* behind the last valid block */
    uint64_t durable_upto; /* the largest any header of the segment names, 0: none */
    uint64_t junk_bytes;   /* from end_offset to the last byte that is not zero */
    const char *problem;   /* of damage: what is wrong with the block at end_offset; static */
};

struct sp_scan {
    struct sp_fs *fs;
    struct sp_file *file; /* opened with SP_FS_DIRECT */
    const struct sp_raw_header *segment;
    uint32_t block_bytes_max;
    uint64_t stop_offset; /* where the next segment takes over; 0: this is the last one */
    struct sp_scan_chain *chain; /* in: what the first block must continue; out: what comes next */
    sp_scan_fn *each;
    void *context;
};

/*
 * Scans from the first block to the end of what is valid, then looks at what follows, to the end of the
 * file. SP_OK with the result, or an error of reading, or of `each`. Reads every byte once.
 */
SP_WARN_UNUSED sp_status sp_scan_segment(const struct sp_scan *scan,
                                         struct sp_scan_result *ret_result,
                                         struct sp_error *error);

#endif
