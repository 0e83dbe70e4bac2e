#include "memory_fs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

struct handle {
    struct sp_file base; /* first */
    struct memory_fs *fs;
    char path[SP_FS_PATH_BYTES_MAX + 1];
};

static struct memory_fs *fs_of(struct sp_fs *fs) {
    return (struct memory_fs *)fs;
}

static struct memory_file *file_of(struct sp_file *file) {
    struct handle *handle = (struct handle *)file;
    struct memory_file *found = memory_fs_find(handle->fs, handle->path);
    sp_require(found != NULL);
    return found;
}

struct memory_file *memory_fs_find(struct memory_fs *fs, const char *path) {
    for (size_t i = 0; i < fs->count; i++) {
        if (strcmp(fs->files[i].path, path) == 0) {
            return &fs->files[i];
        }
    }
    return NULL;
}

static void resize(struct memory_file *file, size_t len) {
    uint8_t *data = realloc(file->data, len + 1);
    sp_require(data != NULL);
    if (len > file->len) {
        memset(data + file->len, 0, len - file->len);
    }
    file->data = data;
    file->len = len;
}

static struct memory_file *make(struct memory_fs *fs, const char *path) {
    sp_require(fs->count < MEMORY_FILES_MAX);
    struct memory_file *file = &fs->files[fs->count++];
    *file = (struct memory_file){.data = NULL};
    (void)snprintf(file->path, sizeof(file->path), "%s", path);
    resize(file, 0);
    return file;
}

void memory_fs_put(struct memory_fs *fs, const char *path, sp_str content) {
    struct memory_file *file = memory_fs_find(fs, path);
    file = file != NULL ? file : make(fs, path);
    resize(file, content.len);
    if (content.len > 0) {
        memcpy(file->data, content.ptr, content.len);
    }
}

void memory_fs_remove(struct memory_fs *fs, const char *path) {
    struct memory_file *file = memory_fs_find(fs, path);
    if (file != NULL) {
        free(file->data);
        *file = fs->files[--fs->count];
    }
}

static sp_status mem_open(struct sp_fs *base, const char *path, unsigned flags,
                          struct sp_file **ret_file, struct sp_error *error) {
    struct memory_fs *fs = fs_of(base);
    if (memory_fs_find(fs, path) == NULL) {
        if ((flags & SP_FS_CREATE) == 0) {
            return sp_error_set(error, SP_NOT_FOUND, "open %s", path);
        }
        (void)make(fs, path);
    }
    struct handle *handle = calloc(1, sizeof(*handle));
    sp_require(handle != NULL);
    handle->base.fs = base;
    handle->fs = fs;
    (void)snprintf(handle->path, sizeof(handle->path), "%s", path);
    *ret_file = &handle->base;
    return SP_OK;
}

static void mem_close(struct sp_file *file) {
    free(file);
}

static sp_status mem_read(struct sp_file *base, void *to, size_t len, uint64_t offset,
                          size_t *ret_read, struct sp_error *error) {
    const struct memory_file *file = file_of(base);
    (void)error;
    size_t got = offset >= file->len ? 0 : file->len - (size_t)offset;
    got = got < len ? got : len;
    if (got > 0) {
        memcpy(to, file->data + offset, got);
    }
    *ret_read = got;
    return SP_OK;
}

static sp_status mem_write(struct sp_file *base, const void *from, size_t len, uint64_t offset,
                           struct sp_error *error) {
    struct memory_file *file = file_of(base);
    (void)error;
    if (offset + len > file->len) {
        resize(file, (size_t)offset + len);
    }
    memcpy(file->data + offset, from, len);
    return SP_OK;
}

static sp_status mem_sync(struct sp_file *file, struct sp_error *error) {
    (void)file;
    (void)error;
    return SP_OK;
}

static sp_status mem_size(struct sp_file *file, uint64_t *ret_size, struct sp_error *error) {
    (void)error;
    *ret_size = file_of(file)->len;
    return SP_OK;
}

static sp_status mem_truncate(struct sp_file *file, uint64_t size, struct sp_error *error) {
    (void)error;
    resize(file_of(file), (size_t)size);
    return SP_OK;
}

static void mem_advise(struct sp_file *file, uint64_t offset, uint64_t len, bool will_need) {
    (void)file;
    (void)offset;
    (void)len;
    (void)will_need;
}

static sp_status mem_lock(struct sp_file *file, struct sp_error *error) {
    (void)error;
    return ((struct handle *)file)->fs->locked ? SP_BUSY : SP_OK;
}

static sp_status mem_rename(struct sp_fs *base, const char *from, const char *to,
                            struct sp_error *error) {
    struct memory_fs *fs = fs_of(base);
    if (memory_fs_find(fs, from) == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "rename %s", from);
    }
    memory_fs_remove(fs, to);
    struct memory_file *file = memory_fs_find(fs, from);
    (void)snprintf(file->path, sizeof(file->path), "%s", to);
    return SP_OK;
}

static sp_status mem_unlink(struct sp_fs *base, const char *path, struct sp_error *error) {
    if (memory_fs_find(fs_of(base), path) == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "unlink %s", path);
    }
    memory_fs_remove(fs_of(base), path);
    return SP_OK;
}

static sp_status mem_folder(struct sp_fs *fs, const char *path, struct sp_error *error) {
    (void)fs;
    (void)path;
    (void)error;
    return SP_OK;
}

static sp_status mem_list(struct sp_fs *base, const char *path, sp_fs_list_fn *each, void *context,
                          struct sp_error *error) {
    struct memory_fs *fs = fs_of(base);
    size_t len = strlen(path);
    (void)error;
    /* The callback may remove files: names are collected first. */
    char(*names)[SP_FS_PATH_BYTES_MAX + 1] = calloc(fs->count + 1, sizeof(*names));
    sp_require(names != NULL);
    size_t count = 0;
    for (size_t i = 0; i < fs->count; i++) {
        const char *name = fs->files[i].path;
        if (strncmp(name, path, len) == 0 && name[len] == '/') {
            (void)snprintf(names[count++], sizeof(*names), "%s", name + len + 1);
        }
    }
    for (size_t i = 0; i < count && each(context, sp_str_from(names[i])); i++) {
    }
    free(names);
    return SP_OK;
}

static sp_status mem_space(struct sp_fs *fs, uint64_t *ret_free_bytes, struct sp_error *error) {
    (void)fs;
    (void)error;
    *ret_free_bytes = UINT64_MAX;
    return SP_OK;
}

static void mem_destroy(struct sp_fs *fs) {
    memory_fs_free(fs_of(fs));
}

static const struct sp_fs_ops memory_ops = {
    .open = mem_open,
    .close = mem_close,
    .read = mem_read,
    .write = mem_write,
    .write_durable = mem_write,
    .sync = mem_sync,
    .size = mem_size,
    .truncate = mem_truncate,
    .advise = mem_advise,
    .lock = mem_lock,
    .rename = mem_rename,
    .unlink = mem_unlink,
    .mkdir = mem_folder,
    .sync_dir = mem_folder,
    .list = mem_list,
    .space = mem_space,
    .destroy = mem_destroy,
};

struct memory_fs *memory_fs_new(void) {
    struct memory_fs *fs = calloc(1, sizeof(*fs));
    sp_require(fs != NULL);
    fs->base.ops = &memory_ops;
    return fs;
}

void memory_fs_free(struct memory_fs *fs) {
    if (fs != NULL) {
        for (size_t i = 0; i < fs->count; i++) {
            free(fs->files[i].data);
        }
        free(fs);
    }
}

struct memory_fs *memory_fs_copy(const struct memory_fs *fs) {
    struct memory_fs *copy = memory_fs_new();
    for (size_t i = 0; i < fs->count; i++) {
        memory_fs_put(copy, fs->files[i].path, sp_str_of(fs->files[i].data, fs->files[i].len));
    }
    copy->locked = fs->locked;
    return copy;
}
