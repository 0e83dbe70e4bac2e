/*
 * Snapshots of the owner's state: one file each, replaced atomically, named by position. A damaged one is
 * passed over for the one before: a snapshot only saves replaying, it is never the truth.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/wire.h"
#include "log/local_int.h"

static const char snapshot_magic[8] = {'s', 'p', 'o', 'o', 'r', 'S', 'N', 'P'};

enum {
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_HEADER_BYTES = 40,
    SNAPSHOT_PATH_BYTES = 40,
    SNAPSHOTS_KEPT = 2,
    SNAPSHOTS_LISTED_MAX = 16,
};

/* The positions of the snapshots in the folder, newest first. */
struct listing {
    uint64_t positions[SNAPSHOTS_LISTED_MAX];
    size_t count;
};

static void snapshot_path(uint64_t position, char path[SNAPSHOT_PATH_BYTES]) {
    (void)snprintf(path, SNAPSHOT_PATH_BYTES, SP_SNAPSHOT_FOLDER "/%016llx.snap",
                   (unsigned long long)position);
}

static bool list_one(void *context, sp_str name) {
    struct listing *listing = context;
    uint64_t position = 0;
    if (name.len != 21 || !sp_str_ends_with(name, SP_STR(".snap"))) {
        return true;
    }
    for (size_t i = 0; i < 16; i++) {
        char c = name.ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit == 16) {
            return true;
        }
        position = position << 4 | digit;
    }
    size_t at = listing->count < SNAPSHOTS_LISTED_MAX ? listing->count++ : listing->count - 1;
    while (at > 0 && listing->positions[at - 1] < position) {
        listing->positions[at] = listing->positions[at - 1];
        at--;
    }
    listing->positions[at] = position;
    return true;
}

static uint64_t snapshot_check(const uint8_t *header, sp_str bytes) {
    return sp_hash_seeded(bytes.ptr, bytes.len, sp_hash(header, SNAPSHOT_HEADER_BYTES - 8));
}

sp_status local_snapshot_store(struct sp_log *base, uint64_t position, sp_str bytes,
                               struct sp_error *error) {
    struct local_log *log = local_of(base);
    char path[SNAPSHOT_PATH_BYTES];
    snapshot_path(position, path);
    struct sp_buf content;
    sp_buf_init(&content, bytes.len + SNAPSHOT_HEADER_BYTES);
    uint8_t header[SNAPSHOT_HEADER_BYTES] = {0};
    memcpy(header, snapshot_magic, sizeof(snapshot_magic));
    sp_put_u64(header + 8, SNAPSHOT_VERSION);
    sp_put_u64(header + 16, position);
    sp_put_u64(header + 24, bytes.len);
    sp_put_u64(header + 32, snapshot_check(header, bytes));
    sp_buf_add(&content, header, sizeof(header));
    sp_buf_add_str(&content, bytes);
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
        snapshot_path(listing.positions[i], path);
        status = log->fs->ops->unlink(log->fs, path, error);
    }
    return status;
}

/* Reads one; its header is taken off. SP_CORRUPT where it is not what was stored. */
static sp_status load_one(struct local_log *log, uint64_t position, struct sp_buf *to,
                          struct sp_error *error) {
    char path[SNAPSHOT_PATH_BYTES];
    snapshot_path(position, path);
    sp_buf_reset(to);
    sp_status status = sp_fs_read_all(log->fs, path, to, error);
    if (status != SP_OK) {
        return status;
    }
    const uint8_t *at = to->data;
    bool fine = to->len >= SNAPSHOT_HEADER_BYTES &&
                memcmp(at, snapshot_magic, sizeof(snapshot_magic)) == 0 &&
                sp_get_u64(at + 8) == SNAPSHOT_VERSION && sp_get_u64(at + 16) == position &&
                sp_get_u64(at + 24) == to->len - SNAPSHOT_HEADER_BYTES;
    if (!fine || sp_get_u64(at + 32) !=
                     snapshot_check(at, sp_str_from_byte(sp_buf_str(to), SNAPSHOT_HEADER_BYTES))) {
        return sp_error_set(error, SP_CORRUPT, "%s: damaged", path);
    }
    to->len -= SNAPSHOT_HEADER_BYTES;
    memmove(to->data, to->data + SNAPSHOT_HEADER_BYTES, to->len);
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
