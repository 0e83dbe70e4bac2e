/*
 * What can be said in terms of the table alone, and so serves the POSIX and the simulated disk.
 */
#include "os/fs.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"

static sp_status read_into(struct sp_file *file, const char *path, struct sp_buf *to,
                           struct sp_error *error) {
    const struct sp_fs_ops *ops = file->fs->ops;
    uint64_t size;
    sp_status status = ops->size(file, &size, error);
    if (status != SP_OK || size == 0) {
        return status;
    }
    uint8_t *at = size <= SIZE_MAX ? sp_buf_reserve(to, (size_t)size) : NULL;
    if (at == NULL) {
        status = to->status != SP_OK ? to->status : SP_LIMIT;
        return sp_error_set(error, status, "read all of %s: %llu bytes: %s", path,
                            (unsigned long long)size, sp_status_text(status));
    }
    size_t got;
    status = ops->read(file, at, (size_t)size, 0, &got, error);
    if (status == SP_OK) {
        sp_ensure(got <= size);
        sp_buf_advance(to, got);
    }
    return status;
}

sp_status sp_fs_read_all(struct sp_fs *fs, const char *path, struct sp_buf *to,
                         struct sp_error *error) {
    sp_require(to->status == SP_OK);
    struct sp_file *file;
    sp_status status = fs->ops->open(fs, path, SP_FS_READ, &file, error);
    if (status != SP_OK) {
        return status;
    }
    status = read_into(file, path, to, error);
    fs->ops->close(file);
    return status;
}

/* A file of this name may be left over from a crash, longer than what is written now. */
static sp_status write_synced(struct sp_fs *fs, const char *path, sp_str content,
                              struct sp_error *error) {
    const struct sp_fs_ops *ops = fs->ops;
    struct sp_file *file;
    sp_status status = ops->open(fs, path, SP_FS_WRITE | SP_FS_CREATE, &file, error);
    if (status != SP_OK) {
        return status;
    }
    status = ops->truncate(file, 0, error);
    if (status == SP_OK && content.len > 0) {
        status = ops->write(file, content.ptr, content.len, 0, error);
    }
    if (status == SP_OK) {
        status = ops->sync(file, error);
    }
    ops->close(file);
    return status;
}

/* Copies the folder part of a path, without the slash; "" where the path is a bare name. */
static void folder_of(const char *path, char folder[SP_FS_PATH_BYTES_MAX + 1]) {
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    sp_ensure(len <= SP_FS_PATH_BYTES_MAX);
    memcpy(folder, path, len);
    folder[len] = '\0';
}

sp_status sp_fs_replace(struct sp_fs *fs, const char *path, sp_str content,
                        struct sp_error *error) {
    char temporary[SP_FS_PATH_BYTES_MAX + 1];
    char folder[SP_FS_PATH_BYTES_MAX + 1];
    int len = snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    if (len < 0 || (size_t)len >= sizeof(temporary)) {
        return sp_error_set(error, SP_INVALID, "replace %s: the path is too long", path);
    }
    folder_of(path, folder);
    sp_status status = write_synced(fs, temporary, content, error);
    if (status == SP_OK) {
        status = fs->ops->rename(fs, temporary, path, error);
    }
    if (status != SP_OK) {
        (void)fs->ops->unlink(fs, temporary, NULL);
        return status;
    }
    return fs->ops->sync_dir(fs, folder, error);
}
