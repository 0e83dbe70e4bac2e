/*
 * The file system waist over POSIX with Linux's O_DIRECT, RWF_DSYNC and open-file-description
 * locks.
 *
 * Happy path: a file is opened below the folder's descriptor, so a folder that is renamed while it
 * is open stays the same; durable writes are one pwritev2(RWF_DSYNC) past the page cache.
 *
 * What can go wrong: a file system that refuses O_DIRECT (then the page cache is used and the rest
 * is the same), a kernel or sandbox without RWF_DSYNC (then pwrite and fdatasync), and failing
 * syncs. The kernel marks the pages of a failed sync clean, so a second try would succeed without
 * having written anything: a failed sync is reported once, and no system call that syncs is ever
 * repeated here, not even after EINTR.
 */
#include "os/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h> /* renameat */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"

enum {
    FOLDER_SHOWN_BYTES_MAX = 100,  /* of the folder's path in messages: its end tells the most */
    BOUNCE_BYTES_MAX = 256 * 1024, /* of the buffer between an unaligned reader and the device */
    FOLDER_MODE = 0750,            /* events hold what agents read and wrote: not for everybody */
    FILE_MODE = 0640,
};

struct posix_fs {
    struct sp_fs base;
    int fd;
    bool read_only;
    char shown[FOLDER_SHOWN_BYTES_MAX + 1];
};

struct posix_file {
    struct sp_file base;
    int fd;
    bool aligned; /* opened with SP_FS_DIRECT: writes must be aligned */
    bool direct;  /* and the file system agreed: reads must be aligned as well */
    bool dsync;   /* RWF_DSYNC is believed to work; only the writing thread looks at it */
    char path[];
};

static struct posix_fs *fs_of(struct sp_fs *fs) {
    sp_require(fs != NULL);
    return (struct posix_fs *)fs;
}

static struct posix_file *file_of(struct sp_file *file) {
    sp_require(file != NULL);
    struct posix_file *f = (struct posix_file *)file;
    sp_invariant(f->fd >= 0);
    return f;
}

static bool is_aligned(uint64_t value) {
    return value % SP_FS_BLOCK_BYTES == 0;
}

static sp_status status_of_errno(int os_error) {
    switch (os_error) {
    case ENOENT:
        return SP_NOT_FOUND;
    case EEXIST:
        return SP_CONFLICT;
    case EACCES:
    case EPERM:
    case EROFS:
        return SP_DENIED;
    case ENOSPC:
    case EDQUOT:
        return SP_NO_SPACE;
    case ENOMEM:
        return SP_NO_MEMORY;
    case ENAMETOOLONG:
    case ENOTDIR:
        return SP_INVALID;
    default:
        return SP_IO;
    }
}

static sp_status fail(const struct sp_fs *fs, sp_status status, int os_error, const char *operation,
                      const char *path, struct sp_error *error) {
    const struct posix_fs *p = (const struct posix_fs *)fs;
    char text[96];
    return sp_error_set_os(error, status, os_error, "%s %s/%s: %s", operation, p->shown, path,
                           strerror_r(os_error, text, sizeof(text)));
}

static sp_status fail_errno(const struct sp_fs *fs, const char *operation, const char *path,
                            struct sp_error *error) {
    int os_error = errno;
    return fail(fs, status_of_errno(os_error), os_error, operation, path, error);
}

static sp_status fail_file(const struct posix_file *f, const char *operation,
                           struct sp_error *error) {
    return fail_errno(f->base.fs, operation, f->path, error);
}

/* A path comes from the program or a manifest: it must not lead out of the folder. */
static sp_status check_path(const struct sp_fs *fs, const char *operation, const char *path,
                            struct sp_error *error) {
    sp_require(path != NULL);
    size_t len = strlen(path);
    bool climbs = strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0 ||
                  strstr(path, "/../") != NULL || (len >= 3 && strcmp(path + len - 3, "/..") == 0);
    if (len > SP_FS_PATH_BYTES_MAX || path[0] == '/' || climbs) {
        return fail(fs, SP_INVALID, EINVAL, operation, path, error);
    }
    return SP_OK;
}

static sp_status check_writing(const struct sp_fs *fs, const char *operation, const char *path,
                               struct sp_error *error) {
    if (((const struct posix_fs *)fs)->read_only) {
        return fail(fs, SP_DENIED, EROFS, operation, path, error);
    }
    return check_path(fs, operation, path, error);
}

/* The folder itself is "" or "." to the caller. */
static const char *folder_name(const char *path) {
    return path[0] == '\0' ? "." : path;
}

static int open_flags(unsigned flags) {
    int os_flags = O_CLOEXEC;
    if ((flags & SP_FS_WRITE) != 0) {
        os_flags |= (flags & SP_FS_READ) != 0 ? O_RDWR : O_WRONLY;
    }
    if ((flags & SP_FS_CREATE) != 0) {
        os_flags |= O_CREAT;
        os_flags |= (flags & SP_FS_EXCLUSIVE) != 0 ? O_EXCL : 0;
    }
    return os_flags;
}

/*
 * O_DIRECT is set after opening: where the file system refuses it, open(O_CREAT | O_DIRECT) fails
 * and yet leaves the file behind.
 */
static bool try_direct(int fd) {
    int os_flags = fcntl(fd, F_GETFL);
    return os_flags >= 0 && fcntl(fd, F_SETFL, os_flags | O_DIRECT) == 0;
}

static sp_status posix_open(struct sp_fs *fs, const char *path, unsigned flags,
                            struct sp_file **ret_file, struct sp_error *error) {
    sp_require((flags & (SP_FS_READ | SP_FS_WRITE)) != 0);
    sp_require((flags & SP_FS_CREATE) == 0 || (flags & SP_FS_WRITE) != 0);
    bool writing = (flags & SP_FS_WRITE) != 0;
    sp_status status =
        writing ? check_writing(fs, "open", path, error) : check_path(fs, "open", path, error);
    if (status != SP_OK) {
        return status;
    }
    int fd;
    do {
        fd = openat(fs_of(fs)->fd, path, open_flags(flags), FILE_MODE);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return fail_errno(fs, "open", path, error);
    }
    size_t path_size = strlen(path) + 1;
    struct posix_file *f = malloc(sizeof(*f) + path_size);
    if (f == NULL) {
        (void)close(fd);
        return fail(fs, SP_NO_MEMORY, ENOMEM, "open", path, error);
    }
    f->base.fs = fs;
    f->fd = fd;
    f->aligned = (flags & SP_FS_DIRECT) != 0;
    f->direct = f->aligned && try_direct(fd);
    f->dsync = true;
    memcpy(f->path, path, path_size);
    *ret_file = &f->base;
    return SP_OK;
}

/* What matters was synced before, so an error of close() says nothing that anybody could use. */
static void posix_close(struct sp_file *file) {
    if (file == NULL) {
        return;
    }
    struct posix_file *f = file_of(file);
    (void)close(f->fd);
    f->fd = -1;
    free(f);
}

static ssize_t pread_restarted(int fd, void *to, size_t len, uint64_t offset) {
    ssize_t got;
    do {
        got = pread(fd, to, len, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    return got;
}

/*
 * One read of at most `len` bytes at any offset into any memory from a direct file: through an
 * aligned buffer that starts at the block before. Returns what is new behind `offset`; 0 is the
 * end.
 */
static ssize_t read_bounced(int fd, uint8_t *to, size_t len, uint64_t offset) {
    size_t skip = (size_t)(offset % SP_FS_BLOCK_BYTES);
    size_t wanted = len < BOUNCE_BYTES_MAX - skip ? len : BOUNCE_BYTES_MAX - skip;
    size_t blocks = (skip + wanted + SP_FS_BLOCK_BYTES - 1) / SP_FS_BLOCK_BYTES;
    uint8_t *bounce = aligned_alloc(SP_FS_BLOCK_BYTES, blocks * SP_FS_BLOCK_BYTES);
    if (bounce == NULL) {
        errno = ENOMEM;
        return -1;
    }
    ssize_t got = pread_restarted(fd, bounce, blocks * SP_FS_BLOCK_BYTES, offset - skip);
    if (got > 0) {
        size_t fresh = (size_t)got > skip ? (size_t)got - skip : 0;
        fresh = fresh < wanted ? fresh : wanted;
        memcpy(to, bounce + skip, fresh);
        got = (ssize_t)fresh;
    }
    free(bounce);
    return got;
}

static ssize_t read_some(const struct posix_file *f, uint8_t *to, size_t len, uint64_t offset) {
    bool bounce =
        f->direct && !(is_aligned((uintptr_t)to) && is_aligned(len) && is_aligned(offset));
    return bounce ? read_bounced(f->fd, to, len, offset) : pread_restarted(f->fd, to, len, offset);
}

static sp_status posix_read(struct sp_file *file, void *to, size_t len, uint64_t offset,
                            size_t *ret_read, struct sp_error *error) {
    struct posix_file *f = file_of(file);
    uint8_t *at = to;
    size_t done = 0;
    while (done < len) {
        ssize_t got = read_some(f, at + done, len - done, offset + done);
        if (got < 0) {
            return fail_file(f, "read", error);
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    sp_ensure(done <= len);
    *ret_read = done;
    return SP_OK;
}

static sp_status posix_write(struct sp_file *file, const void *from, size_t len, uint64_t offset,
                             struct sp_error *error) {
    struct posix_file *f = file_of(file);
    sp_require(!f->aligned ||
               (is_aligned((uintptr_t)from) && is_aligned(len) && is_aligned(offset)));
    const uint8_t *at = from;
    size_t done = 0;
    while (done < len) {
        ssize_t put = pwrite(f->fd, at + done, len - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            errno = put == 0 ? EIO : errno;
            return fail_file(f, "write", error);
        }
        done += (size_t)put;
    }
    return SP_OK;
}

static bool dsync_unknown(int os_error) {
    return os_error == EOPNOTSUPP || os_error == ENOSYS;
}

/*
 * Bytes written and on stable storage, or -1. Falls back, once and for good, where DSYNC is
 * unknown.
 */
static ssize_t write_dsync(struct posix_file *f, const void *from, size_t len, uint64_t offset) {
    if (f->dsync) {
        struct iovec bytes = {.iov_base = (void *)(uintptr_t)from, .iov_len = len};
        ssize_t put = pwritev2(f->fd, &bytes, 1, (off_t)offset, RWF_DSYNC);
        if (put >= 0 || !dsync_unknown(errno)) {
            return put;
        }
        f->dsync = false; /* the flag was refused before anything was written */
    }
    ssize_t put = pwrite(f->fd, from, len, (off_t)offset);
    return put == (ssize_t)len && fdatasync(f->fd) != 0 ? -1 : put;
}

static sp_status posix_write_durable(struct sp_file *file, const void *from, size_t len,
                                     uint64_t offset, struct sp_error *error) {
    struct posix_file *f = file_of(file);
    sp_require(len > 0);
    sp_require(is_aligned((uintptr_t)from) && is_aligned(len) && is_aligned(offset));
    ssize_t put = write_dsync(f, from, len, offset);
    if (put < 0) {
        return fail_file(f, "write durably", error);
    }
    if ((size_t)put != len) {
        return fail(f->base.fs, SP_IO, EIO, "write durably, cut short,", f->path, error);
    }
    return SP_OK;
}

static sp_status posix_sync(struct sp_file *file, struct sp_error *error) {
    struct posix_file *f = file_of(file);
    return fdatasync(f->fd) == 0 ? SP_OK : fail_file(f, "sync", error);
}

static sp_status posix_size(struct sp_file *file, uint64_t *ret_size, struct sp_error *error) {
    struct posix_file *f = file_of(file);
    struct stat facts;
    if (fstat(f->fd, &facts) != 0) {
        return fail_file(f, "size", error);
    }
    sp_ensure(facts.st_size >= 0);
    *ret_size = (uint64_t)facts.st_size;
    return SP_OK;
}

static sp_status posix_truncate(struct sp_file *file, uint64_t size, struct sp_error *error) {
    struct posix_file *f = file_of(file);
    int result;
    do {
        result = ftruncate(f->fd, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? SP_OK : fail_file(f, "truncate", error);
}

static void posix_advise(struct sp_file *file, uint64_t offset, uint64_t len, bool will_need) {
    struct posix_file *f = file_of(file);
    int advice = will_need ? POSIX_FADV_WILLNEED : POSIX_FADV_DONTNEED;
    (void)posix_fadvise(f->fd, (off_t)offset, (off_t)len, advice);
}

/*
 * The lock belongs to this open file, not to the process as plain POSIX locks do: two engines
 * within one process exclude each other too, and closing some other descriptor of the file does not
 * drop it.
 */
static sp_status posix_lock(struct sp_file *file, struct sp_error *error) {
    struct posix_file *f = file_of(file);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int result;
    do {
        result = fcntl(f->fd, F_OFD_SETLK, &whole);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && (errno == EAGAIN || errno == EACCES)) {
        return fail(f->base.fs, SP_BUSY, errno, "lock", f->path, error);
    }
    if (result != 0 && errno == EBADF) { /* open for reading only: ask who holds it */
        result = fcntl(f->fd, F_OFD_GETLK, &whole);
        if (result == 0 && whole.l_type != F_UNLCK) {
            return fail(f->base.fs, SP_BUSY, EAGAIN, "lock", f->path, error);
        }
    }
    return result == 0 ? SP_OK : fail_file(f, "lock", error);
}

static sp_status posix_rename(struct sp_fs *fs, const char *from, const char *to,
                              struct sp_error *error) {
    struct posix_fs *p = fs_of(fs);
    sp_status status = check_writing(fs, "rename", from, error);
    status = status == SP_OK ? check_path(fs, "rename to", to, error) : status;
    if (status != SP_OK) {
        return status;
    }
    return renameat(p->fd, from, p->fd, to) == 0 ? SP_OK : fail_errno(fs, "rename", from, error);
}

static sp_status posix_unlink(struct sp_fs *fs, const char *path, struct sp_error *error) {
    sp_status status = check_writing(fs, "unlink", path, error);
    if (status != SP_OK) {
        return status;
    }
    return unlinkat(fs_of(fs)->fd, path, 0) == 0 ? SP_OK : fail_errno(fs, "unlink", path, error);
}

static sp_status posix_mkdir(struct sp_fs *fs, const char *path, struct sp_error *error) {
    sp_status status = check_writing(fs, "mkdir", path, error);
    if (status != SP_OK) {
        return status;
    }
    struct posix_fs *p = fs_of(fs);
    if (mkdirat(p->fd, path, FOLDER_MODE) == 0) {
        return SP_OK;
    }
    struct stat facts;
    if (errno == EEXIST && fstatat(p->fd, path, &facts, 0) == 0 && S_ISDIR(facts.st_mode)) {
        return SP_OK;
    }
    return fail_errno(fs, "mkdir", path, error);
}

static int open_folder(struct sp_fs *fs, const char *path) {
    return openat(fs_of(fs)->fd, folder_name(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static sp_status posix_sync_dir(struct sp_fs *fs, const char *path, struct sp_error *error) {
    sp_status status = check_path(fs, "sync folder", path, error);
    if (status != SP_OK) {
        return status;
    }
    int fd = open_folder(fs, path);
    if (fd < 0 || fsync(fd) != 0) {
        status = fail_errno(fs, "sync folder", path, error);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}

static sp_status posix_list(struct sp_fs *fs, const char *path, sp_fs_list_fn *each, void *context,
                            struct sp_error *error) {
    sp_require(each != NULL);
    sp_status status = check_path(fs, "list", path, error);
    if (status != SP_OK) {
        return status;
    }
    int fd = open_folder(fs, path);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        status = fail_errno(fs, "list", path, error);
        if (fd >= 0) {
            (void)close(fd);
        }
        return status;
    }
    for (bool more = true; more;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            status = errno != 0 ? fail_errno(fs, "list", path, error) : SP_OK;
            break;
        }
        bool itself = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        more = itself || each(context, sp_str_from(entry->d_name));
    }
    (void)closedir(folder);
    return status;
}

static sp_status posix_space(struct sp_fs *fs, uint64_t *ret_free_bytes, struct sp_error *error) {
    struct statvfs facts;
    if (fstatvfs(fs_of(fs)->fd, &facts) != 0) {
        return fail_errno(fs, "space of", "", error);
    }
    *ret_free_bytes = (uint64_t)facts.f_bavail * (uint64_t)facts.f_frsize;
    return SP_OK;
}

static void posix_destroy(struct sp_fs *fs) {
    if (fs == NULL) {
        return;
    }
    struct posix_fs *p = fs_of(fs);
    (void)close(p->fd);
    free(p);
}

static const struct sp_fs_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .write = posix_write,
    .write_durable = posix_write_durable,
    .sync = posix_sync,
    .size = posix_size,
    .truncate = posix_truncate,
    .advise = posix_advise,
    .lock = posix_lock,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .mkdir = posix_mkdir,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .space = posix_space,
    .destroy = posix_destroy,
};

static sp_status fail_opening(const char *directory, int os_error, struct sp_error *error) {
    char text[96];
    return sp_error_set_os(error, status_of_errno(os_error), os_error, "open folder %s: %s",
                           directory, strerror_r(os_error, text, sizeof(text)));
}

/* The name of a folder that was just made is durable only when its parent is. */
static bool sync_parent(int folder_fd) {
    int parent = openat(folder_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = parent >= 0 && fsync(parent) == 0;
    int os_error = errno;
    if (parent >= 0) {
        (void)close(parent);
    }
    errno = os_error;
    return synced;
}

static void set_shown(struct posix_fs *p, const char *directory) {
    size_t len = strlen(directory);
    while (len > 1 && directory[len - 1] == '/') {
        len--;
    }
    bool cut = len > FOLDER_SHOWN_BYTES_MAX;
    const char *from = cut ? directory + len - FOLDER_SHOWN_BYTES_MAX : directory;
    size_t shown = cut ? FOLDER_SHOWN_BYTES_MAX : len;
    memcpy(p->shown, from, shown);
    p->shown[shown] = '\0';
    if (cut) {
        memcpy(p->shown, "...", 3);
    }
}

sp_status sp_fs_posix_open(const char *directory, bool create, bool read_only,
                           struct sp_fs **ret_fs, struct sp_error *error) {
    sp_require(directory != NULL && ret_fs != NULL);
    bool made = create && !read_only && mkdir(directory, FOLDER_MODE) == 0;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail_opening(directory, errno, error);
    }
    struct posix_fs *p = calloc(1, sizeof(*p));
    if (p == NULL || (made && !sync_parent(fd))) {
        sp_status status = fail_opening(directory, p == NULL ? ENOMEM : errno, error);
        (void)close(fd);
        free(p);
        return status;
    }
    p->base.ops = &posix_ops;
    p->fd = fd;
    p->read_only = read_only;
    set_shown(p, directory);
    *ret_fs = &p->base;
    return SP_OK;
}
