/*
 * The table of os/fs.h over the nodes of sim/disk_node.h. Each operation asks sim_disk_judge first;
 * what it does on each verdict is all there is to say about it here. Statuses agree with
 * fs_posix.c: one set of tests runs over both.
 */
#include "sim/disk.h"

#include <stdlib.h>

#include "base/assert.h"
#include "sim/disk_internal.h"

static struct sim_process *process_of(struct sp_fs *fs) {
    sp_require(fs != NULL && fs->ops == &sim_disk_ops);
    return (struct sim_process *)fs;
}

static struct sim_file *file_of(struct sp_file *file) {
    sp_require(file != NULL && file->fs->ops == &sim_disk_ops);
    struct sim_file *f = (struct sim_file *)file;
    sp_invariant(f->process != NULL && f->node != NULL);
    return f;
}

static sp_status fail(sp_status status, enum sim_op op, const char *path, const char *why,
                      struct sp_error *error) {
    return sp_error_set(error, status, "%s %s: %s (simulated)", sim_op_name(op), path, why);
}

static sp_status fail_verdict(struct sim_verdict verdict, enum sim_op op, const char *path,
                              struct sp_error *error) {
    const char *why = verdict.kind == SIM_FAIL      ? sp_status_text(verdict.status)
                      : verdict.kind == SIM_CUT_OFF ? "the power failed"
                                                    : "the process is dead";
    return fail(verdict.status, op, path, why, error);
}

/* True where the operation ends here, doing nothing: all but the verdicts that let it go on. */
static bool is_refused(struct sim_verdict verdict) {
    return verdict.kind == SIM_FAIL || verdict.kind == SIM_DEAD;
}

static bool is_aligned(uint64_t value) {
    return value % SP_FS_BLOCK_BYTES == 0;
}

/* ---- paths ---- */

/* The next part of a path; empty at its end. Doubled slashes and "." name nothing. */
static sp_str next_part(sp_str *rest) {
    for (;;) {
        while (rest->len > 0 && rest->ptr[0] == '/') {
            *rest = sp_str_from_byte(*rest, 1);
        }
        size_t len = 0;
        while (len < rest->len && rest->ptr[len] != '/') {
            len++;
        }
        sp_str part = sp_str_of(rest->ptr, len);
        *rest = sp_str_from_byte(*rest, len);
        if (!sp_str_eq(part, SP_STR("."))) {
            return part;
        }
    }
}

struct sim_node *sim_disk_find_parent(const struct sim_disk *disk, const char *path,
                                      sp_str *ret_leaf) {
    struct sim_node *folder = disk->root;
    sp_str rest = sp_str_from(path);
    sp_str part = next_part(&rest);
    for (;;) {
        sp_str after = next_part(&rest);
        if (after.len == 0) {
            *ret_leaf = part;
            return folder;
        }
        folder = sim_node_find(folder, part);
        if (folder == NULL || !folder->is_folder) {
            return NULL;
        }
        part = after;
    }
}

struct sim_node *sim_disk_find(const struct sim_disk *disk, const char *path) {
    sp_str leaf;
    struct sim_node *folder = sim_disk_find_parent(disk, path, &leaf);
    return folder == NULL || leaf.len == 0 ? folder : sim_node_find(folder, leaf);
}

static sp_status check_path(enum sim_op op, const char *path, struct sp_error *error) {
    sp_str rest = sp_str_from(path);
    bool bad = rest.len > SP_FS_PATH_BYTES_MAX || path[0] == '/';
    while (!bad && rest.len > 0) {
        bad = sp_str_eq(next_part(&rest), SP_STR(".."));
    }
    return bad ? fail(SP_INVALID, op, path, "not a path within the folder", error) : SP_OK;
}

static sp_status check_writing(const struct sim_process *process, enum sim_op op, const char *path,
                               struct sp_error *error) {
    if (process->read_only) {
        return fail(SP_DENIED, op, path, "read-only", error);
    }
    return check_path(op, path, error);
}

/* ---- space ---- */

static uint64_t used_bytes(const struct sim_disk *disk) {
    uint64_t used = 0;
    for (const struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
        used += node->cache.len;
    }
    return used;
}

/* How many of len bytes at offset fit, counting only what makes the file longer. */
static uint64_t bytes_that_fit(struct sim_disk *disk, const struct sim_node *node, uint64_t len,
                               uint64_t offset) {
    uint64_t end = offset + len;
    if (disk->capacity_bytes == 0 || end <= node->cache.len) {
        return len;
    }
    sim_disk_sweep(disk);
    uint64_t used = used_bytes(disk);
    uint64_t room = disk->capacity_bytes > used ? disk->capacity_bytes - used : 0;
    uint64_t growth = end - node->cache.len;
    uint64_t missing = growth > room ? growth - room : 0;
    return missing < len ? len - missing : 0;
}

/* ---- files ---- */

/* The node to open: the one that is there, or a fresh one whose name is on its way. */
static sp_status find_or_create(struct sim_process *process, const char *path, unsigned flags,
                                struct sim_node **ret_node, struct sp_error *error) {
    sp_str leaf;
    struct sim_node *folder = sim_disk_find_parent(process->disk, path, &leaf);
    struct sim_node *node = folder == NULL || leaf.len == 0 ? folder : sim_node_find(folder, leaf);
    bool creates = node == NULL && folder != NULL && (flags & SP_FS_CREATE) != 0;
    struct sim_verdict verdict = sim_disk_judge(process, SIM_OP_OPEN, path, 0, creates);
    if (is_refused(verdict)) {
        return fail_verdict(verdict, SIM_OP_OPEN, path, error);
    }
    if (node != NULL && (flags & SP_FS_EXCLUSIVE) != 0) {
        return fail(SP_CONFLICT, SIM_OP_OPEN, path, "there already", error);
    }
    if (node != NULL && node->is_folder) {
        return fail(SP_IO, SIM_OP_OPEN, path, "is a folder", error);
    }
    if (node == NULL && !creates) {
        return fail(SP_NOT_FOUND, SIM_OP_OPEN, path, "no such file", error);
    }
    if (creates) {
        node = sim_disk_add_node(process->disk, false);
        sim_node_change_names(folder, sp_str_of(NULL, 0), leaf, node);
    }
    if (verdict.kind == SIM_CUT_OFF) {
        return fail_verdict(verdict, SIM_OP_OPEN, path, error);
    }
    *ret_node = node;
    return SP_OK;
}

static sp_status sim_open(struct sp_fs *fs, const char *path, unsigned flags,
                          struct sp_file **ret_file, struct sp_error *error) {
    sp_require((flags & (SP_FS_READ | SP_FS_WRITE)) != 0);
    sp_require((flags & SP_FS_CREATE) == 0 || (flags & SP_FS_WRITE) != 0);
    struct sim_process *process = process_of(fs);
    bool writing = (flags & SP_FS_WRITE) != 0;
    sp_status status = writing ? check_writing(process, SIM_OP_OPEN, path, error)
                               : check_path(SIM_OP_OPEN, path, error);
    struct sim_node *node = NULL;
    status = status == SP_OK ? find_or_create(process, path, flags, &node, error) : status;
    if (status != SP_OK) {
        return status;
    }
    struct sim_file *f = sim_alloc(sizeof(*f));
    f->base.fs = fs;
    f->process = process;
    f->node = node;
    f->flags = flags;
    memcpy(f->path, path, strlen(path) + 1);
    f->next = process->files;
    process->files = f;
    *ret_file = &f->base;
    return SP_OK;
}

static void sim_close(struct sp_file *file) {
    if (file == NULL) {
        return;
    }
    struct sim_file *f = file_of(file);
    struct sim_file **at = &f->process->files;
    while (*at != f) {
        sp_invariant(*at != NULL);
        at = &(*at)->next;
    }
    *at = f->next;
    if (f->node->lock_owner == f) {
        f->node->lock_owner = NULL;
    }
    free(f);
}

/* The bytes that this handle reads: past the cache it sees what a failed sync left behind. */
static sp_str bytes_seen(const struct sim_file *f, struct sim_bytes *scratch) {
    if ((f->flags & SP_FS_DIRECT) == 0 || !f->node->cache_lies) {
        return sp_str_of(f->node->cache.data, f->node->cache.len);
    }
    sim_node_view(f->node, scratch);
    return sp_str_of(scratch->data, scratch->len);
}

static sp_status sim_read(struct sp_file *file, void *to, size_t len, uint64_t offset,
                          size_t *ret_read, struct sp_error *error) {
    struct sim_file *f = file_of(file);
    sp_require((f->flags & SP_FS_READ) != 0);
    struct sim_verdict verdict = sim_disk_judge(f->process, SIM_OP_READ, f->path, len, false);
    if (is_refused(verdict)) {
        return fail_verdict(verdict, SIM_OP_READ, f->path, error);
    }
    if (sim_node_is_bad(f->node, offset, len)) {
        return fail(SP_IO, SIM_OP_READ, f->path, "bad sector", error);
    }
    offset += verdict.kind == SIM_MISPLACE ? verdict.amount : 0;
    struct sim_bytes scratch = {.data = NULL};
    sp_str seen = bytes_seen(f, &scratch);
    size_t left = offset < seen.len ? seen.len - (size_t)offset : 0;
    size_t got = len < left ? len : left;
    if (got > 0) {
        memcpy(to, seen.ptr + offset, got);
    }
    sim_bytes_fini(&scratch);
    *ret_read = got;
    return SP_OK;
}

/* The cache takes what the medium never will. */
static void write_cache_only(struct sim_node *node, const void *from, uint64_t len,
                             uint64_t offset) {
    sim_bytes_put(&node->cache, offset, from, len);
    node->cache_lies = true;
}

static sp_status sim_write(struct sp_file *file, const void *from, size_t len, uint64_t offset,
                           struct sp_error *error) {
    struct sim_file *f = file_of(file);
    sp_require((f->flags & SP_FS_WRITE) != 0);
    sp_require((f->flags & SP_FS_DIRECT) == 0 ||
               (is_aligned((uintptr_t)from) && is_aligned(len) && is_aligned(offset)));
    struct sim_disk *disk = f->process->disk;
    struct sim_verdict verdict = sim_disk_judge(f->process, SIM_OP_WRITE, f->path, len, true);
    if (is_refused(verdict)) {
        if (verdict.kind == SIM_FAIL && verdict.status == SP_IO) {
            sim_node_write(f->node, from, sp_prng_below(&disk->prng, 2) * (len / 2), offset);
        }
        return fail_verdict(verdict, SIM_OP_WRITE, f->path, error);
    }
    if (verdict.kind == SIM_LOSE) {
        write_cache_only(f->node, from, len, offset);
        return SP_OK;
    }
    offset += verdict.kind == SIM_MISPLACE ? verdict.amount : 0;
    uint64_t fits = bytes_that_fit(disk, f->node, len, offset);
    sim_node_write(f->node, from, fits, offset);
    if (verdict.kind == SIM_CUT_OFF) {
        return fail_verdict(verdict, SIM_OP_WRITE, f->path, error);
    }
    return fits == len ? SP_OK : fail(SP_NO_SPACE, SIM_OP_WRITE, f->path, "device full", error);
}

/* As in the kernel, a full device cuts the write short where part of it fits: that is no ENOSPC. */
static sp_status write_until_full(struct sim_file *f, const void *from, uint64_t fits,
                                  uint64_t offset, struct sp_error *error) {
    if (fits == 0) {
        return fail(SP_NO_SPACE, SIM_OP_WRITE_DURABLE, f->path, "device full", error);
    }
    sim_node_write(f->node, from, fits, offset);
    return fail(SP_IO, SIM_OP_WRITE_DURABLE, f->path, "cut short", error);
}

/* Written through the cache, the bytes stay to be seen there; past it, only the medium has them. */
static void fail_write_durable(struct sim_file *f, const void *from, size_t len, uint64_t offset) {
    sim_node_write_torn(f->node, from, len, offset, &f->process->disk->prng);
    if ((f->flags & SP_FS_DIRECT) == 0) {
        write_cache_only(f->node, from, len, offset);
    } else if (!f->node->cache_lies) {
        sim_node_view(f->node, &f->node->cache);
    }
}

static sp_status sim_write_durable(struct sp_file *file, const void *from, size_t len,
                                   uint64_t offset, struct sp_error *error) {
    struct sim_file *f = file_of(file);
    sp_require((f->flags & SP_FS_WRITE) != 0 && len > 0);
    sp_require(is_aligned((uintptr_t)from) && is_aligned(len) && is_aligned(offset));
    enum sim_op op = SIM_OP_WRITE_DURABLE;
    struct sim_verdict verdict = sim_disk_judge(f->process, op, f->path, len, true);
    if (is_refused(verdict)) {
        if (verdict.kind == SIM_FAIL && verdict.status == SP_IO) {
            fail_write_durable(f, from, len, offset);
        }
        return fail_verdict(verdict, op, f->path, error);
    }
    if (verdict.kind == SIM_LOSE) {
        write_cache_only(f->node, from, len, offset);
        return SP_OK;
    }
    offset += verdict.kind == SIM_MISPLACE ? verdict.amount : 0;
    uint64_t fits = bytes_that_fit(f->process->disk, f->node, len, offset);
    if (verdict.kind == SIM_CUT_OFF) {
        sim_node_write(f->node, from, fits, offset);
        return fail_verdict(verdict, op, f->path, error);
    }
    if (fits < len) {
        return write_until_full(f, from, fits, offset, error);
    }
    sim_node_write_durable(f->node, from, len, offset);
    return SP_OK;
}

static sp_status sim_sync(struct sp_file *file, struct sp_error *error) {
    struct sim_file *f = file_of(file);
    struct sim_verdict verdict = sim_disk_judge(f->process, SIM_OP_SYNC, f->path, 0, true);
    if (verdict.kind == SIM_FAIL) {
        sim_node_sync_failed(f->node, &f->process->disk->prng);
    }
    if (is_refused(verdict) || verdict.kind == SIM_CUT_OFF) {
        return fail_verdict(verdict, SIM_OP_SYNC, f->path, error);
    }
    if (verdict.kind != SIM_LOSE) {
        sim_node_sync(f->node);
    }
    return SP_OK;
}

static sp_status sim_size(struct sp_file *file, uint64_t *ret_size, struct sp_error *error) {
    struct sim_file *f = file_of(file);
    struct sim_verdict verdict = sim_disk_judge(f->process, SIM_OP_SIZE, f->path, 0, false);
    if (is_refused(verdict)) {
        return fail_verdict(verdict, SIM_OP_SIZE, f->path, error);
    }
    *ret_size = f->node->cache.len; /* the size is metadata: it is cached for a direct file too */
    return SP_OK;
}

static sp_status sim_truncate(struct sp_file *file, uint64_t size, struct sp_error *error) {
    struct sim_file *f = file_of(file);
    sp_require((f->flags & SP_FS_WRITE) != 0);
    struct sim_verdict verdict = sim_disk_judge(f->process, SIM_OP_TRUNCATE, f->path, 0, true);
    if (is_refused(verdict)) {
        return fail_verdict(verdict, SIM_OP_TRUNCATE, f->path, error);
    }
    sim_node_truncate(f->node, size);
    return verdict.kind == SIM_CUT_OFF ? fail_verdict(verdict, SIM_OP_TRUNCATE, f->path, error)
                                       : SP_OK;
}

static void sim_advise(struct sp_file *file, uint64_t offset, uint64_t len, bool will_need) {
    (void)file_of(file);
    (void)offset;
    (void)len;
    (void)will_need;
}

static sp_status sim_lock(struct sp_file *file, struct sp_error *error) {
    struct sim_file *f = file_of(file);
    struct sim_verdict verdict = sim_disk_judge(f->process, SIM_OP_LOCK, f->path, 0, false);
    if (is_refused(verdict)) {
        return fail_verdict(verdict, SIM_OP_LOCK, f->path, error);
    }
    if (f->node->lock_owner != NULL && f->node->lock_owner != f) {
        return fail(SP_BUSY, SIM_OP_LOCK, f->path, "held by another", error);
    }
    if ((f->flags & SP_FS_WRITE) != 0) { /* a reader only asks */
        f->node->lock_owner = f;
    }
    return SP_OK;
}

/* ---- names ---- */

/* Within one folder a rename is one change; between two, each folder's half survives on its own. */
static void move_name(struct sim_node *from_folder, sp_str from, struct sim_node *to_folder,
                      sp_str to, struct sim_node *node) {
    sp_str none = sp_str_of(NULL, 0);
    if (from_folder == to_folder) {
        sim_node_change_names(from_folder, from, to, node);
        return;
    }
    sim_node_change_names(to_folder, none, to, node);
    sim_node_change_names(from_folder, from, none, NULL);
}

static sp_status sim_rename(struct sp_fs *fs, const char *from, const char *to,
                            struct sp_error *error) {
    struct sim_process *process = process_of(fs);
    sp_status status = check_writing(process, SIM_OP_RENAME, from, error);
    status = status == SP_OK ? check_path(SIM_OP_RENAME, to, error) : status;
    if (status != SP_OK) {
        return status;
    }
    struct sim_verdict verdict = sim_disk_judge(process, SIM_OP_RENAME, from, 0, true);
    if (is_refused(verdict)) {
        return fail_verdict(verdict, SIM_OP_RENAME, from, error);
    }
    sp_str from_leaf;
    sp_str to_leaf;
    struct sim_node *from_folder = sim_disk_find_parent(process->disk, from, &from_leaf);
    struct sim_node *to_folder = sim_disk_find_parent(process->disk, to, &to_leaf);
    struct sim_node *node = from_folder != NULL ? sim_node_find(from_folder, from_leaf) : NULL;
    if (node == NULL || to_folder == NULL) {
        return fail(SP_NOT_FOUND, SIM_OP_RENAME, from, "no such file or folder", error);
    }
    const struct sim_node *target = sim_node_find(to_folder, to_leaf);
    if (target != NULL && target->is_folder != node->is_folder) {
        return fail(SP_IO, SIM_OP_RENAME, from, "a file and a folder", error);
    }
    if (target != node) {
        move_name(from_folder, from_leaf, to_folder, to_leaf, node);
        process->disk->unlinked++;
    }
    return verdict.kind == SIM_CUT_OFF ? fail_verdict(verdict, SIM_OP_RENAME, from, error) : SP_OK;
}

static sp_status sim_unlink(struct sp_fs *fs, const char *path, struct sp_error *error) {
    struct sim_process *process = process_of(fs);
    sp_status status = check_writing(process, SIM_OP_UNLINK, path, error);
    if (status != SP_OK) {
        return status;
    }
    struct sim_verdict verdict = sim_disk_judge(process, SIM_OP_UNLINK, path, 0, true);
    if (is_refused(verdict)) {
        return fail_verdict(verdict, SIM_OP_UNLINK, path, error);
    }
    sp_str leaf;
    struct sim_node *folder = sim_disk_find_parent(process->disk, path, &leaf);
    const struct sim_node *node = folder != NULL ? sim_node_find(folder, leaf) : NULL;
    if (node == NULL || node->is_folder) {
        bool missing = node == NULL;
        return fail(missing ? SP_NOT_FOUND : SP_IO, SIM_OP_UNLINK, path,
                    missing ? "no such file" : "is a folder", error);
    }
    sim_node_change_names(folder, leaf, sp_str_of(NULL, 0), NULL);
    process->disk->unlinked++;
    return verdict.kind == SIM_CUT_OFF ? fail_verdict(verdict, SIM_OP_UNLINK, path, error) : SP_OK;
}

static sp_status sim_mkdir(struct sp_fs *fs, const char *path, struct sp_error *error) {
    struct sim_process *process = process_of(fs);
    sp_status status = check_writing(process, SIM_OP_MKDIR, path, error);
    if (status != SP_OK) {
        return status;
    }
    struct sim_verdict verdict = sim_disk_judge(process, SIM_OP_MKDIR, path, 0, true);
    if (is_refused(verdict)) {
        return fail_verdict(verdict, SIM_OP_MKDIR, path, error);
    }
    sp_str leaf;
    struct sim_node *folder = sim_disk_find_parent(process->disk, path, &leaf);
    if (folder == NULL) {
        return fail(SP_NOT_FOUND, SIM_OP_MKDIR, path, "no such folder", error);
    }
    const struct sim_node *there = leaf.len > 0 ? sim_node_find(folder, leaf) : folder;
    if (there != NULL && !there->is_folder) {
        return fail(SP_CONFLICT, SIM_OP_MKDIR, path, "a file of this name", error);
    }
    if (there == NULL) {
        struct sim_node *made = sim_disk_add_node(process->disk, true);
        sim_node_change_names(folder, sp_str_of(NULL, 0), leaf, made);
    }
    return verdict.kind == SIM_CUT_OFF ? fail_verdict(verdict, SIM_OP_MKDIR, path, error) : SP_OK;
}

static sp_status find_folder(struct sim_process *process, enum sim_op op, const char *path,
                             struct sim_node **ret_folder, struct sp_error *error) {
    struct sim_node *folder = sim_disk_find(process->disk, path);
    if (folder == NULL || !folder->is_folder) {
        bool missing = folder == NULL;
        return fail(missing ? SP_NOT_FOUND : SP_INVALID, op, path,
                    missing ? "no such folder" : "not a folder", error);
    }
    *ret_folder = folder;
    return SP_OK;
}

static sp_status sim_sync_dir(struct sp_fs *fs, const char *path, struct sp_error *error) {
    struct sim_process *process = process_of(fs);
    sp_status status = check_path(SIM_OP_SYNC_DIR, path, error);
    if (status != SP_OK) {
        return status;
    }
    struct sim_verdict verdict = sim_disk_judge(process, SIM_OP_SYNC_DIR, path, 0, true);
    if (is_refused(verdict) || verdict.kind == SIM_CUT_OFF) {
        return fail_verdict(verdict, SIM_OP_SYNC_DIR, path, error);
    }
    struct sim_node *folder = NULL;
    status = find_folder(process, SIM_OP_SYNC_DIR, path, &folder, error);
    if (status == SP_OK && verdict.kind != SIM_LOSE) {
        sim_node_sync_names(folder);
        if (process->disk->unlinked > 0) {
            sim_disk_sweep(process->disk);
        }
    }
    return status;
}

static sp_status sim_list(struct sp_fs *fs, const char *path, sp_fs_list_fn *each, void *context,
                          struct sp_error *error) {
    sp_require(each != NULL);
    struct sim_process *process = process_of(fs);
    sp_status status = check_path(SIM_OP_LIST, path, error);
    if (status != SP_OK) {
        return status;
    }
    struct sim_verdict verdict = sim_disk_judge(process, SIM_OP_LIST, path, 0, false);
    if (is_refused(verdict)) {
        return fail_verdict(verdict, SIM_OP_LIST, path, error);
    }
    struct sim_node *folder = NULL;
    status = find_folder(process, SIM_OP_LIST, path, &folder, error);
    /* Backwards, so that `each` may unlink what it is shown, as it may with readdir. */
    bool more = status == SP_OK;
    for (size_t i = more ? folder->cache_names.count : 0; more && i > 0; i--) {
        more = i > folder->cache_names.count ||
               each(context, sp_str_from(folder->cache_names.at[i - 1].text));
    }
    return status;
}

static sp_status sim_space(struct sp_fs *fs, uint64_t *ret_free_bytes, struct sp_error *error) {
    struct sim_process *process = process_of(fs);
    struct sim_verdict verdict = sim_disk_judge(process, SIM_OP_SPACE, "", 0, false);
    if (is_refused(verdict)) {
        return fail_verdict(verdict, SIM_OP_SPACE, "", error);
    }
    struct sim_disk *disk = process->disk;
    uint64_t used = used_bytes(disk);
    uint64_t capacity = disk->capacity_bytes == 0 ? (uint64_t)INT64_MAX : disk->capacity_bytes;
    *ret_free_bytes = capacity > used ? capacity - used : 0;
    return SP_OK;
}

/* A process that ends in order has closed its files; one that was killed could not. */
static void sim_destroy(struct sp_fs *fs) {
    if (fs == NULL) {
        return;
    }
    struct sim_process *process = process_of(fs);
    sp_require(!process->alive || process->files == NULL);
    sim_process_end(process);
    struct sim_process **at = &process->disk->processes;
    while (*at != process) {
        sp_invariant(*at != NULL);
        at = &(*at)->next;
    }
    *at = process->next;
    while (process->files != NULL) {
        sim_close(&process->files->base);
    }
    free(process);
}

const struct sp_fs_ops sim_disk_ops = {
    .open = sim_open,
    .close = sim_close,
    .read = sim_read,
    .write = sim_write,
    .write_durable = sim_write_durable,
    .sync = sim_sync,
    .size = sim_size,
    .truncate = sim_truncate,
    .advise = sim_advise,
    .lock = sim_lock,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .mkdir = sim_mkdir,
    .sync_dir = sim_sync_dir,
    .list = sim_list,
    .space = sim_space,
    .destroy = sim_destroy,
};
