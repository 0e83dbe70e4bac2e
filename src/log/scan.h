/*
 * Scanning a raw segment's file block by block, past the page cache: for recovery and
 * verification. helper
 */
#ifndef SP_LOG_SCAN_H
#define SP_LOG_SCAN_H

#include "base/blob.h"
#include "log/raw.h"
#include "os/fs.h"
#include "os/os.h"

/* What every block must continue. */
struct sp_scan_chain {
    uint64_t log_id;
    uint64_t next_block;
    uint64_t next_position;
    uint64_t prev_check;
};

struct sp_scan_ahead; /* a read under way, of what comes behind the window */

/* A window that slides over a raw segment's file. */
struct sp_scan_window {
    struct sp_fs *fs;
    struct sp_file *file;                /* opened with SP_FS_DIRECT */
    const struct sp_raw_header *segment; /* outlives the window */
    struct sp_blob *blob;                /* that it lies in */
    uint8_t *bytes;
    size_t len;
    uint64_t offset; /* in the file, of the window's first byte; a multiple of SP_BLOCK_ALIGN */
    struct sp_scan_ahead *ahead; /* NULL: nothing is read before it is asked for */
};

SP_WARN_UNUSED sp_status sp_scan_window_init(struct sp_scan_window *window, struct sp_fs *fs,
                                             struct sp_file *file,
                                             const struct sp_raw_header *segment,
                                             struct sp_error *error);
void sp_scan_window_fini(struct sp_scan_window *window);

/*
 * Yields at least `want` bytes at `offset`, or what the segment has left there, borrowed until the
 * next call. SP_CORRUPT where the file is shorter than its header says.
 */
SP_WARN_UNUSED sp_status sp_scan_bytes(struct sp_scan_window *window, uint64_t offset, size_t want,
                                       sp_str *ret_bytes, struct sp_error *error);

/* What may be wrong with what stands at a place, in the order in which it is looked for. */
enum sp_scan_problem {
    SP_SCAN_FINE = 0, /* a valid block that continues the chain */
    SP_SCAN_NO_HEADER,
    SP_SCAN_BAD_HEADER,
    SP_SCAN_FOREIGN,
    SP_SCAN_MISPLACED,
    SP_SCAN_NUMBER,
    SP_SCAN_POSITION,
    SP_SCAN_PREV,
    SP_SCAN_TOO_LONG,
    SP_SCAN_BAD_BODY,
};

/* For people. Static storage. */
const char *sp_scan_problem_text(enum sp_scan_problem problem);

struct sp_scan_probe {
    enum sp_scan_problem problem;
    struct sp_block_header header; /* from SP_SCAN_FOREIGN on, and where fine */
    sp_str stored;                 /* the whole block, where fine or SP_SCAN_BAD_BODY */
};

/* Looks at the block at `offset`. SP_UNSUPPORTED where it is of a later format. */
SP_WARN_UNUSED sp_status sp_scan_probe(struct sp_scan_window *window,
                                       const struct sp_scan_chain *chain, uint64_t offset,
                                       struct sp_scan_probe *ret_probe, struct sp_error *error);

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
    uint64_t end_offset;          /* behind the last valid block */
    uint64_t durable_upto;        /* the largest any header of the segment names, 0: none */
    uint64_t junk_bytes;          /* from end_offset to the last byte that is not zero */
    enum sp_scan_problem problem; /* with the block at end_offset */
};

struct sp_scan {
    struct sp_fs *fs;
    struct sp_file *file; /* opened with SP_FS_DIRECT */
    const struct sp_raw_header *segment;
    struct sp_worker *worker;    /* reads ahead; has no other jobs; NULL: nobody does */
    uint64_t stop_offset;        /* where the next segment takes over; 0: this is the last one */
    struct sp_scan_chain *chain; /* in: what the first block must continue; out: what comes next */
    sp_scan_fn *each;
    void *context;
};

/*
 * Scans from the first block to the end of what is valid, then looks at what follows, to the end
 * of the file. SP_OK with the result, or an error of reading, or of `each`. Reads every byte once.
 */
SP_WARN_UNUSED sp_status sp_scan_segment(const struct sp_scan *scan,
                                         struct sp_scan_result *ret_result, struct sp_error *error);

#endif
