/*
 * Snapshots of the owner's state: one file each, replaced atomically, named by position. A damaged
 * one is passed over for the one before: a snapshot only saves replaying, it is never the truth.
 */
#include <stdlib.h>

#include "log/local_int.h"

enum { SNAPSHOTS_KEPT = 2, SNAPSHOTS_LISTED_MAX = 16 };

/* The positions of the snapshots in the folder, newest first. */
struct listing {
    uint64_t positions[SNAPSHOTS_LISTED_MAX];
    size_t count;
};

static bool list_one(void *context, sp_str name) {
    struct listing *listing = context;
    uint64_t position;
    if (!sp_snapshot_of_name(name, &position)) {
        return true;
    }
    size_t at = listing->count < SNAPSHOTS_LISTED_MAX ? listing->count++ : listing->count - 1;
    while (at > 0 && listing->positions[at - 1] < position) {
        listing->positions[at] = listing->positions[at - 1];
        at--;
    }
    listing->positions[at] = position;
    return true;
}

sp_status local_snapshot_store(struct sp_log *base, uint64_t position, sp_str bytes,
                               struct sp_error *error) {
    struct local_log *log = local_of(base);
    char path[SP_SNAPSHOT_PATH_BYTES];
    sp_status synced = local_sync_now(log, error);
    if (synced != SP_OK) {
        return synced;
    }
    sp_snapshot_path(position, path);
    struct sp_buf content;
    sp_buf_init(&content, bytes.len + SP_SNAPSHOT_HEADER_BYTES);
    sp_snapshot_encode(log->uuid, position, bytes, &content);
    sp_status status = content.status != SP_OK
                           ? sp_error_set(error, content.status, "snapshot of %zu bytes", bytes.len)
                           : sp_fs_replace(log->fs, path, sp_buf_str(&content), error);
    sp_buf_fini(&content);
    if (status != SP_OK) {
        return status;
    }
    pthread_mutex_lock(&log->mutex);
    log->snapshot_position = position;
    pthread_mutex_unlock(&log->mutex);
    struct listing listing = {.count = 0};
    status = log->fs->ops->list(log->fs, SP_SNAPSHOT_FOLDER, list_one, &listing, error);
    for (size_t i = SNAPSHOTS_KEPT; status == SP_OK && i < listing.count; i++) {
        sp_snapshot_path(listing.positions[i], path);
        status = log->fs->ops->unlink(log->fs, path, error);
    }
    return status;
}

/* Reads one; its header is taken off. SP_CORRUPT where it is not what was stored. */
static sp_status load_one(struct local_log *log, uint64_t position, struct sp_buf *to,
                          struct sp_error *error) {
    char path[SP_SNAPSHOT_PATH_BYTES];
    sp_snapshot_path(position, path);
    sp_buf_reset(to);
    sp_status status = sp_fs_read_all(log->fs, path, to, error);
    if (status != SP_OK) {
        return status;
    }
    sp_str state;
    status = sp_snapshot_decode(sp_buf_str(to), log->uuid, position, &state);
    if (status != SP_OK) {
        return sp_error_set(error, SP_CORRUPT, "%s: damaged, or of a later version", path);
    }
    memmove(to->data, state.ptr, state.len);
    to->len = state.len;
    return SP_OK;
}

sp_status local_snapshot_load(struct sp_log *base, struct sp_buf *to, uint64_t *ret_position,
                              struct sp_error *error) {
    struct local_log *log = local_of(base);
    struct listing listing = {.count = 0};
    sp_status status = log->fs->ops->list(log->fs, SP_SNAPSHOT_FOLDER, list_one, &listing, error);
    if (status == SP_NOT_FOUND) {
        return status;
    }
    for (size_t i = 0; status == SP_OK && i < listing.count; i++) {
        sp_status loaded = load_one(log, listing.positions[i], to, error);
        if (loaded == SP_OK) {
            *ret_position = listing.positions[i];
            pthread_mutex_lock(&log->mutex);
            log->snapshot_position = *ret_position;
            pthread_mutex_unlock(&log->mutex);
            return SP_OK;
        }
        status = loaded == SP_CORRUPT || loaded == SP_NOT_FOUND ? SP_OK : loaded;
    }
    return status == SP_OK ? sp_error_set(error, SP_NOT_FOUND, "no snapshot") : status;
}
