/*
 * What the folder holds, found when a log is opened. loop-thread
 */
#ifndef SP_LOG_LOCAL_OPEN_H
#define SP_LOG_LOCAL_OPEN_H

#include "log/raw.h"
#include "os/fs.h"

/* One file of the wal folder. */
struct wal_file {
    uint32_t number;
    uint64_t bytes;
    bool spare;
    struct sp_raw_header header; /* not of a spare */
};

struct wal_listing {
    struct wal_file *files; /* live ones first, by epoch; then the spares */
    size_t count;
    size_t live_count;
    uint32_t number_max;
};

/*
 * Lists the wal folder and reads the headers, past the page cache. Files of the sealed part (epoch up to
 * `sealed_epoch`) are listed as spares that want zeroing: bytes is then 0. SP_CORRUPT names the file.
 */
SP_WARN_UNUSED sp_status wal_list(struct sp_fs *fs, const uint8_t uuid[16], uint64_t sealed_epoch,
                                  struct wal_listing *ret_listing, struct sp_error *error);
void wal_listing_fini(struct wal_listing *listing);

#endif
