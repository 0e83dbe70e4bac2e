#include "sim/sqlite_crash.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/assert.h"

/* The one process that is told of; SQLite has no place to hang it on. */
static struct {
    bool installed;
    bool dead;
    uint64_t changes;
    uint64_t kill_at; /* of changes; 0: never */
    uint64_t writes;
    uint64_t full_from; /* of writes; 0: never */
    uint64_t full_until;
    bool was_full;
    sqlite3_vfs vfs;
    sqlite3_vfs *below;
    uint64_t random;
} process;

/* Counts a change. False where it does not happen, because the process is gone. */
static bool change(void) {
    process.changes++;
    if (process.kill_at != 0 && process.changes >= process.kill_at) {
        process.dead = true;
    }
    return !process.dead;
}

/* ---- files of SQLite ---- */

struct crash_file {
    sqlite3_file base;
    sqlite3_file *below; /* right behind */
};

static sqlite3_file *below(sqlite3_file *file) {
    return ((struct crash_file *)(void *)file)->below;
}

static int file_close(sqlite3_file *file) {
    return below(file)->pMethods != NULL ? below(file)->pMethods->xClose(below(file)) : SQLITE_OK;
}

static int file_read(sqlite3_file *file, void *to, int len, sqlite3_int64 offset) {
    return process.dead ? SQLITE_IOERR_READ
                        : below(file)->pMethods->xRead(below(file), to, len, offset);
}

/* True where there is no room for a write. */
static bool is_full(void) {
    process.writes++;
    bool full = process.full_from != 0 && process.writes >= process.full_from &&
                process.writes < process.full_until;
    process.was_full = process.was_full || full;
    return full;
}

static int file_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 offset) {
    if (is_full() && !process.dead) {
        return SQLITE_FULL;
    }
    return !change() ? SQLITE_IOERR_WRITE
                     : below(file)->pMethods->xWrite(below(file), from, len, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    return !change() ? SQLITE_IOERR_TRUNCATE : below(file)->pMethods->xTruncate(below(file), size);
}

/* What was written stays when a process is killed: there is nothing to wait for. */
static int file_sync(sqlite3_file *file, int flags) {
    (void)file;
    (void)flags;
    return !change() ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size) {
    return below(file)->pMethods->xFileSize(below(file), ret_size);
}

static int file_lock(sqlite3_file *file, int level) {
    return below(file)->pMethods->xLock(below(file), level);
}

static int file_unlock(sqlite3_file *file, int level) {
    return below(file)->pMethods->xUnlock(below(file), level);
}

static int file_reserved(sqlite3_file *file, int *ret_is) {
    return below(file)->pMethods->xCheckReservedLock(below(file), ret_is);
}

static int file_control(sqlite3_file *file, int op, void *argument) {
    return below(file)->pMethods->xFileControl(below(file), op, argument);
}

static int file_sector(sqlite3_file *file) {
    return below(file)->pMethods->xSectorSize(below(file));
}

static int file_device(sqlite3_file *file) {
    return below(file)->pMethods->xDeviceCharacteristics(below(file));
}

static int shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret_at) {
    return process.dead ? SQLITE_IOERR_SHMMAP
                        : below(file)->pMethods->xShmMap(below(file), page, size, extend, ret_at);
}

static int shm_lock(sqlite3_file *file, int offset, int n, int flags) {
    return below(file)->pMethods->xShmLock(below(file), offset, n, flags);
}

static void shm_barrier(sqlite3_file *file) {
    below(file)->pMethods->xShmBarrier(below(file));
}

/* Who is gone deletes nothing. */
static int shm_unmap(sqlite3_file *file, int delete_it) {
    return below(file)->pMethods->xShmUnmap(below(file), delete_it != 0 && change());
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_device,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *ret_flags) {
    struct crash_file *own = (struct crash_file *)(void *)file;
    (void)vfs;
    own->base.pMethods = NULL;
    own->below = (sqlite3_file *)(void *)(own + 1);
    own->below->pMethods = NULL;
    bool creates = (flags & SQLITE_OPEN_CREATE) != 0 && name != NULL;
    if (process.dead || (creates && !change())) {
        return SQLITE_CANTOPEN;
    }
    int code = process.below->xOpen(process.below, name, own->below, flags, ret_flags);
    own->base.pMethods = code == SQLITE_OK ? &methods : NULL;
    return code;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir) {
    (void)vfs;
    (void)sync_dir;
    return !change() ? SQLITE_IOERR_DELETE : process.below->xDelete(process.below, name, 0);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_is) {
    (void)vfs;
    return process.below->xAccess(process.below, name, flags, ret_is);
}

static int vfs_full(sqlite3_vfs *vfs, const char *name, int size, char *to) {
    (void)vfs;
    return process.below->xFullPathname(process.below, name, size, to);
}

/* The same numbers in each telling. */
static int vfs_random(sqlite3_vfs *vfs, int len, char *to) {
    (void)vfs;
    for (int i = 0; i < len; i++) {
        process.random = process.random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        to[i] = (char)(process.random >> 56);
    }
    return len;
}

static void install(void) {
    process.below = sqlite3_vfs_find(NULL);
    sp_ensure(process.below != NULL);
    process.vfs = *process.below;
    process.vfs.pNext = NULL;
    process.vfs.zName = "spoor-sim";
    process.vfs.szOsFile = (int)sizeof(struct crash_file) + process.below->szOsFile;
    process.vfs.xOpen = vfs_open;
    process.vfs.xDelete = vfs_delete;
    process.vfs.xAccess = vfs_access;
    process.vfs.xFullPathname = vfs_full;
    process.vfs.xRandomness = vfs_random;
    int code = sqlite3_vfs_register(&process.vfs, 1);
    sp_ensure(code == SQLITE_OK);
    process.installed = true;
}

void sim_sqlite_begin(void) {
    if (!process.installed) {
        install();
    }
    process.dead = false;
    process.changes = 0;
    process.kill_at = 0;
    process.writes = 0;
    sim_sqlite_fill_at(0, 0);
}

void sim_sqlite_fill_at(uint64_t count, uint64_t writes) {
    process.full_from = count == 0 ? 0 : process.writes + count;
    process.full_until = process.full_from + writes;
    process.was_full = false;
}

bool sim_sqlite_was_full(void) {
    return process.was_full;
}

void sim_sqlite_kill_at(uint64_t count) {
    process.kill_at = count == 0 ? 0 : process.changes + count;
}

void sim_sqlite_kill(void) {
    process.dead = true;
}

bool sim_sqlite_is_dead(void) {
    return process.dead;
}

uint64_t sim_sqlite_changes(void) {
    return process.changes;
}

/* ---- the folder ---- */

struct crash_fs {
    struct sp_fs base;
    struct sp_fs *below;
};

static struct sp_fs *fs_below(struct sp_fs *fs) {
    return ((struct crash_fs *)(void *)fs)->below;
}

static sp_status gone(struct sp_error *error) {
    return sp_error_set(error, SP_IO, "the process was killed");
}

static sp_status fs_open(struct sp_fs *fs, const char *path, unsigned flags,
                         struct sp_file **ret_file, struct sp_error *error) {
    bool fine = (flags & SP_FS_CREATE) != 0 ? change() : !process.dead;
    struct sp_fs *real = fs_below(fs);
    return fine ? real->ops->open(real, path, flags, ret_file, error) : gone(error);
}

/* Files belong to the file system below, and so does closing and locking them. */
static void fs_close(struct sp_file *file) {
    if (file != NULL) {
        file->fs->ops->close(file);
    }
}

static sp_status fs_lock(struct sp_file *file, struct sp_error *error) {
    return file->fs->ops->lock(file, error);
}

static sp_status fs_rename(struct sp_fs *fs, const char *from, const char *to,
                           struct sp_error *error) {
    struct sp_fs *real = fs_below(fs);
    return change() ? real->ops->rename(real, from, to, error) : gone(error);
}

static sp_status fs_unlink(struct sp_fs *fs, const char *path, struct sp_error *error) {
    struct sp_fs *real = fs_below(fs);
    return change() ? real->ops->unlink(real, path, error) : gone(error);
}

static sp_status fs_sync_dir(struct sp_fs *fs, const char *path, struct sp_error *error) {
    (void)fs;
    (void)path;
    return change() ? SP_OK : gone(error);
}

/* Names in their order: a real folder has them in another one each time. */
struct names {
    char *list[256];
    size_t count;
};

static bool keep_name(void *context, sp_str name) {
    struct names *names = context;
    sp_require(names->count < sizeof(names->list) / sizeof(names->list[0]));
    char *copy = malloc(name.len + 1);
    sp_ensure(copy != NULL);
    memcpy(copy, name.ptr, name.len);
    copy[name.len] = '\0';
    size_t at = names->count++;
    while (at > 0 && strcmp(names->list[at - 1], copy) > 0) {
        names->list[at] = names->list[at - 1];
        at--;
    }
    names->list[at] = copy;
    return true;
}

static sp_status fs_list(struct sp_fs *fs, const char *path, sp_fs_list_fn *each, void *context,
                         struct sp_error *error) {
    struct sp_fs *real = fs_below(fs);
    struct names names = {.count = 0};
    bool go_on = true;
    sp_status status =
        process.dead ? gone(error) : real->ops->list(real, path, keep_name, &names, error);
    for (size_t i = 0; i < names.count; i++) {
        go_on = go_on && status == SP_OK && each(context, sp_str_from(names.list[i]));
        free(names.list[i]);
    }
    return status;
}

static void fs_destroy(struct sp_fs *fs) {
    fs_below(fs)->ops->destroy(fs_below(fs));
    free(fs);
}

/* What a sink does to its folder, no more. */
static const struct sp_fs_ops folder_ops = {
    .open = fs_open,
    .close = fs_close,
    .lock = fs_lock,
    .rename = fs_rename,
    .unlink = fs_unlink,
    .sync_dir = fs_sync_dir,
    .list = fs_list,
    .destroy = fs_destroy,
};

struct sp_fs *sim_sqlite_folder(const char *path) {
    struct crash_fs *fs = calloc(1, sizeof(*fs));
    sp_ensure(fs != NULL);
    fs->base.ops = &folder_ops;
    sp_status status = sp_fs_posix_open(path, true, false, &fs->below, NULL);
    sp_ensure(status == SP_OK);
    return &fs->base;
}
