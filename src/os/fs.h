/*
 * Files and directories: the narrow waist between the log and a disk. helper, loop-thread
 *
 * The log never makes a system call: it goes through this table, of which there are two: the POSIX
 * one (fs_posix.c) and the simulated disk with crashes and faults (sim/disk.c). Paths are relative
 * to the directory the file system was opened on, '/'-separated. A file may be read from several
 * threads at once; writes to one file come from one thread at a time.
 *
 * What is durable when: bytes after write_durable returned SP_OK, or after write and then sync did;
 * a name after sync_dir on its folder. An error of write_durable or sync says nothing about what
 * reached the disk, and must never be retried: the caller stops.
 */
#ifndef SP_OS_FS_H
#define SP_OS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum {
    SP_FS_BLOCK_BYTES = 4096,   /* durable writes: offset, length, memory are multiples of it */
    SP_FS_PATH_BYTES_MAX = 255, /* of a relative path */
};

enum sp_fs_open_flags {
    SP_FS_READ = 1,
    SP_FS_WRITE = 2,
    SP_FS_CREATE = 4,    /* make it where it is missing */
    SP_FS_EXCLUSIVE = 8, /* with CREATE: SP_CONFLICT where it is there */
    SP_FS_DIRECT = 16,   /* past the page cache where the file system can: for write_durable, and
                            for recovery, which must not trust the cache after a failed sync */
};

struct sp_fs;

struct sp_file {
    const struct sp_fs *fs;
};

struct sp_fs {
    const struct sp_fs_ops *ops;
};

/* Called once per name of a folder, in no particular order; a false return ends the walk. */
typedef bool sp_fs_list_fn(void *context, sp_str name);

struct sp_fs_ops {
    /* SP_NOT_FOUND where there is no such file and CREATE is not set. The caller closes. */
    sp_status (*open)(struct sp_fs *fs, const char *path, unsigned flags, struct sp_file **ret_file,
                      struct sp_error *error);
    void (*close)(struct sp_file *file);

    /* Reads up to len bytes at offset; *ret_read is short only at the end of the file. */
    sp_status (*read)(struct sp_file *file, void *to, size_t len, uint64_t offset, size_t *ret_read,
                      struct sp_error *error);
    /*
     * Writes all bytes, not durably. Loops over short writes and EINTR. SP_NO_SPACE, SP_IO. On a
     * DIRECT file offset, length and memory are aligned as for write_durable; reading needs none.
     */
    sp_status (*write)(struct sp_file *file, const void *from, size_t len, uint64_t offset,
                       struct sp_error *error);
    /*
     * Writes all bytes and returns when they are on stable storage. One request: a short write is
     * SP_IO.
     */
    sp_status (*write_durable)(struct sp_file *file, const void *from, size_t len, uint64_t offset,
                               struct sp_error *error);
    sp_status (*sync)(struct sp_file *file, struct sp_error *error);
    sp_status (*size)(struct sp_file *file, uint64_t *ret_size, struct sp_error *error);
    sp_status (*truncate)(struct sp_file *file, uint64_t size, struct sp_error *error);
    /* A hint: the page cache may forget (advice false) or should fetch (true) this range. */
    void (*advise)(struct sp_file *file, uint64_t offset, uint64_t len, bool will_need);
    /*
     * Takes an exclusive advisory lock that dies with the process. SP_BUSY where another has it. On
     * a file that is open for reading only it takes nothing and only asks: SP_BUSY or SP_OK.
     */
    sp_status (*lock)(struct sp_file *file, struct sp_error *error);

    sp_status (*rename)(struct sp_fs *fs, const char *from, const char *to, struct sp_error *error);
    sp_status (*unlink)(struct sp_fs *fs, const char *path, struct sp_error *error);
    /* Makes a folder; one that is there already is fine. */
    sp_status (*mkdir)(struct sp_fs *fs, const char *path, struct sp_error *error);
    sp_status (*sync_dir)(struct sp_fs *fs, const char *path, struct sp_error *error);
    sp_status (*list)(struct sp_fs *fs, const char *path, sp_fs_list_fn *each, void *context,
                      struct sp_error *error);
    /* Free bytes of the device, for messages and for refusing early. */
    sp_status (*space)(struct sp_fs *fs, uint64_t *ret_free_bytes, struct sp_error *error);
    void (*destroy)(struct sp_fs *fs);
};

/*
 * Opens the POSIX file system on `directory`, which is made (one level) where `create` is set and
 * it is missing. read_only refuses every writing operation with SP_DENIED. Free with ops->destroy.
 */
SP_WARN_UNUSED sp_status sp_fs_posix_open(const char *directory, bool create, bool read_only,
                                          struct sp_fs **ret_fs, struct sp_error *error);

/* Reads a whole file into a fresh buffer. SP_LIMIT where it is larger than the buffer's maximum. */
struct sp_buf;
SP_WARN_UNUSED sp_status sp_fs_read_all(struct sp_fs *fs, const char *path, struct sp_buf *to,
                                        struct sp_error *error);

/*
 * Replaces a small file atomically and durably: writes `<path>.tmp`, syncs, renames, syncs the
 * folder. After a crash the old or the new content is there, never neither and never a mixture.
 */
SP_WARN_UNUSED sp_status sp_fs_replace(struct sp_fs *fs, const char *path, sp_str content,
                                       struct sp_error *error);

#endif
