/*
 * A file system in memory, without crashes and faults, whose files a test may read and change. For
 * one thread of writers; the verification's own thread touches no file.
 */
#ifndef TESTS_UNIT_LOG_MEMORY_FS_H
#define TESTS_UNIT_LOG_MEMORY_FS_H

#include "base/str.h"
#include "os/fs.h"

struct memory_file {
    char path[SP_FS_PATH_BYTES_MAX + 1];
    uint8_t *data;
    size_t len;
};

enum { MEMORY_FILES_MAX = 256 };

struct memory_fs {
    struct sp_fs base; /* first */
    struct memory_file files[MEMORY_FILES_MAX];
    size_t count;
    bool locked; /* another process seems to write */
};

struct memory_fs *memory_fs_new(void);
void memory_fs_free(struct memory_fs *fs);

/* An independent copy of all files. */
struct memory_fs *memory_fs_copy(const struct memory_fs *fs);

/* NULL where there is none. */
struct memory_file *memory_fs_find(struct memory_fs *fs, const char *path);
/* Makes or replaces a file. */
void memory_fs_put(struct memory_fs *fs, const char *path, sp_str content);
void memory_fs_remove(struct memory_fs *fs, const char *path);

#endif
