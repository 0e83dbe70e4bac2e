/*
 * What the folder holds, found when a log is opened. loop-thread
 */
#ifndef SP_LOG_LOCAL_OPEN_H
#define SP_LOG_LOCAL_OPEN_H

#include "base/buf.h"
#include "log/raw.h"
#include "os/fs.h"

#define SP_LOCK_PATH     "LOCK"
#define SP_WAL_FOLDER    "wal"
#define SP_SEALED_FOLDER "seg"

/* The path of a raw segment's file, with its NUL. */
enum { RAW_PATH_BYTES = 40 };
void local_raw_path(uint32_t file_number, char path[RAW_PATH_BYTES]);

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
 * Lists the wal folder and reads the headers, past the page cache. Files of the sealed part (epoch
 * up to `sealed_epoch`) are listed as spares that want zeroing: bytes is then 0. SP_CORRUPT names
 * the file.
 */
SP_WARN_UNUSED sp_status wal_list(struct sp_fs *fs, const uint8_t uuid[16], uint64_t sealed_epoch,
                                  struct wal_listing *ret_listing, struct sp_error *error);
void wal_listing_fini(struct wal_listing *listing);

/* Appends the numbers of the wal folder's files, each a uint32_t. */
SP_WARN_UNUSED sp_status wal_numbers(struct sp_fs *fs, struct sp_buf *to, struct sp_error *error);

/*
 * Reads the header of one file, past the page cache, and compares the file's size with it.
 * SP_NOT_FOUND: a spare; then only number and bytes are filled in. SP_CORRUPT and SP_UNSUPPORTED
 * name the file.
 */
SP_WARN_UNUSED sp_status wal_file_read(struct sp_fs *fs, uint32_t number, struct wal_file *ret_file,
                                       struct sp_error *error);

#endif
