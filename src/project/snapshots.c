#include "project/snapshots.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/wire.h"
#include "project/snapshot_file.h"

enum { KEY_DIGITS = 16, POSITION_DIGITS = 20, APPLIED_DIGITS = 20 };

/* One file of the folder. */
struct entry {
    char name[SP_SNAPSHOT_NAME_BYTES_MAX + 1]; /* of the projection */
    char key[KEY_DIGITS + 1];
    struct sp_snapshot snapshot;
};

struct sp_snapshots {
    struct sp_fs *fs;
    bool read_only;
    uint64_t bytes_max;
    sp_snapshots_say_fn *say;
    void *say_context;

    pthread_mutex_t mutex; /* of what follows */
    struct entry *entries; /* by name, key, position */
    size_t count;
    size_t capacity;
    uint64_t bytes;
};

/*
 * ---- names
 * ----------------------------------------------------------------------------------------
 */

static void key_text(const struct sp_snapshot_key *key, char text[KEY_DIGITS + 1]) {
    for (size_t i = 0; i < KEY_DIGITS / 2; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", key->sha256[i]);
    }
}

static void snapshot_path(const char *name, const char *key, const struct sp_snapshot *snapshot,
                          char path[SP_FS_PATH_BYTES_MAX + 1]) {
    (void)snprintf(path, SP_FS_PATH_BYTES_MAX + 1, "%s.%s.%020llu-%020llu.snap", name, key,
                   (unsigned long long)snapshot->position, (unsigned long long)snapshot->applied);
}

static bool bounds_path(const struct sp_snapshot_key *key, char path[SP_FS_PATH_BYTES_MAX + 1]) {
    char text[KEY_DIGITS + 1];
    key_text(key, text);
    (void)snprintf(path, SP_FS_PATH_BYTES_MAX + 1, "%.*s.%s.times", SP_STR_ARG(key->name), text);
    return key->name.len <= SP_SNAPSHOT_NAME_BYTES_MAX;
}

static bool take_digits(sp_str *text, size_t count, uint64_t *ret_number) {
    uint64_t number = 0;
    if (text->len < count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t digit = (uint64_t)(uint8_t)text->ptr[i] - '0';
        if (digit > 9 || number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *text = sp_str_from_byte(*text, count);
    *ret_number = number;
    return true;
}

static bool take_byte(sp_str *text, char byte) {
    bool there = text->len > 0 && text->ptr[0] == byte;
    if (there) {
        *text = sp_str_from_byte(*text, 1);
    }
    return there;
}

/* Reads `NAME.<key>.<position>-<applied>.snap`. */
static bool entry_of_name(sp_str file, struct entry *ret_entry) {
    struct entry entry = {.name = ""};
    size_t len = 0;
    while (len < file.len && file.ptr[len] != '.') {
        len++;
    }
    if (len == 0 || len > SP_SNAPSHOT_NAME_BYTES_MAX || file.len < len + 1 + KEY_DIGITS) {
        return false;
    }
    memcpy(entry.name, file.ptr, len);
    memcpy(entry.key, file.ptr + len + 1, KEY_DIGITS);
    sp_str rest = sp_str_from_byte(file, len + 1 + KEY_DIGITS);
    bool right =
        take_byte(&rest, '.') && take_digits(&rest, POSITION_DIGITS, &entry.snapshot.position) &&
        take_byte(&rest, '-') && take_digits(&rest, APPLIED_DIGITS, &entry.snapshot.applied) &&
        sp_str_eq(rest, SP_STR(".snap"));
    if (right) {
        *ret_entry = entry;
    }
    return right;
}

/*
 * ---- the list of them, under the mutex
 * ------------------------------------------------------------
 */

static int compare(const struct entry *a, const struct entry *b) {
    int order = strcmp(a->name, b->name);
    order = order != 0 ? order : strcmp(a->key, b->key);
    return order != 0 ? order
                      : (a->snapshot.position > b->snapshot.position) -
                            (a->snapshot.position < b->snapshot.position);
}

/* The first entry that is not before this one. */
static size_t find(const struct sp_snapshots *snapshots, const struct entry *entry) {
    size_t low = 0;
    size_t high = snapshots->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&snapshots->entries[middle], entry) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool same_key(const struct entry *a, const struct entry *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->key, b->key) == 0;
}

static void remove_at(struct sp_snapshots *snapshots, size_t at) {
    sp_require(at < snapshots->count);
    sp_invariant(snapshots->bytes >= snapshots->entries[at].snapshot.bytes);
    snapshots->bytes -= snapshots->entries[at].snapshot.bytes;
    snapshots->count--;
    memmove(&snapshots->entries[at], &snapshots->entries[at + 1],
            (snapshots->count - at) * sizeof(*snapshots->entries));
}

static sp_status insert(struct sp_snapshots *snapshots, const struct entry *entry) {
    size_t at = find(snapshots, entry);
    if (at < snapshots->count && compare(&snapshots->entries[at], entry) == 0) {
        remove_at(snapshots, at); /* written anew, with other figures */
    }
    if (snapshots->count == snapshots->capacity) {
        size_t capacity = snapshots->capacity * 2 + 64;
        struct entry *entries = realloc(snapshots->entries, capacity * sizeof(*entries));
        if (entries == NULL) {
            return SP_NO_MEMORY;
        }
        snapshots->entries = entries;
        snapshots->capacity = capacity;
    }
    memmove(&snapshots->entries[at + 1], &snapshots->entries[at],
            (snapshots->count - at) * sizeof(*snapshots->entries));
    snapshots->entries[at] = *entry;
    snapshots->count++;
    snapshots->bytes += entry->snapshot.bytes;
    return SP_OK;
}

/* What the gap would be, in events applied, if this one were not there; none for a newest one. */
static uint64_t gap_without(const struct sp_snapshots *snapshots, size_t at) {
    const struct entry *entry = &snapshots->entries[at];
    bool is_newest = at + 1 == snapshots->count || !same_key(entry, &snapshots->entries[at + 1]);
    if (is_newest) {
        return UINT64_MAX;
    }
    bool is_first = at == 0 || !same_key(entry, &snapshots->entries[at - 1]);
    uint64_t before = is_first ? 0 : snapshots->entries[at - 1].snapshot.applied;
    uint64_t after = snapshots->entries[at + 1].snapshot.applied;
    return after > before ? after - before : 0;
}

/* The one that is missed least, of those of the projection that takes the most room. */
static bool find_worst(const struct sp_snapshots *snapshots, size_t *ret_at) {
    size_t best_first = 0;
    size_t best_end = 0;
    uint64_t most = 0;
    for (size_t first = 0, end = 0; first < snapshots->count; first = end) {
        uint64_t bytes = 0;
        while (end < snapshots->count &&
               same_key(&snapshots->entries[first], &snapshots->entries[end])) {
            bytes += snapshots->entries[end++].snapshot.bytes;
        }
        if (end - first > 1 && bytes > most) {
            most = bytes;
            best_first = first;
            best_end = end;
        }
    }
    uint64_t least = UINT64_MAX;
    for (size_t i = best_first; i < best_end; i++) {
        uint64_t gap = gap_without(snapshots, i);
        if (gap < least) {
            least = gap;
            *ret_at = i;
        }
    }
    return least != UINT64_MAX;
}

static void say(const struct sp_snapshots *snapshots, const char *path, const char *what) {
    if (snapshots->say != NULL) {
        char text[SP_FS_PATH_BYTES_MAX + SP_ERROR_TEXT_SIZE + 16];
        (void)snprintf(text, sizeof(text), "snapshot %s: %s", path, what);
        snapshots->say(snapshots->say_context, text);
    }
}

static void unlink_entry(struct sp_snapshots *snapshots, const struct entry *entry) {
    char path[SP_FS_PATH_BYTES_MAX + 1];
    struct sp_error error;
    snapshot_path(entry->name, entry->key, &entry->snapshot, path);
    sp_status status = snapshots->fs->ops->unlink(snapshots->fs, path, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        say(snapshots, path, error.text);
    }
}

/* Drops one after another until the limits hold. The mutex is held. */
static void thin(struct sp_snapshots *snapshots) {
    size_t worst;
    while ((snapshots->bytes > snapshots->bytes_max || snapshots->count > SP_SNAPSHOTS_MAX) &&
           find_worst(snapshots, &worst)) {
        struct entry entry = snapshots->entries[worst];
        remove_at(snapshots, worst);
        unlink_entry(snapshots, &entry);
    }
}

/*
 * ---- opening
 * --------------------------------------------------------------------------------------
 */

struct listing {
    struct sp_snapshots *snapshots;
    struct sp_buf leftovers; /* names, each with a NUL */
    sp_status status;
};

static bool list_one(void *context, sp_str name) {
    struct listing *listing = context;
    struct entry entry;
    if (sp_str_ends_with(name, SP_STR(".tmp"))) {
        sp_buf_add_str(&listing->leftovers, name);
        sp_buf_add_byte(&listing->leftovers, '\0');
    } else if (entry_of_name(name, &entry)) {
        listing->status = insert(listing->snapshots, &entry);
    }
    return listing->status == SP_OK;
}

static void remove_leftovers(struct sp_snapshots *snapshots, const struct sp_buf *names) {
    for (size_t at = 0; at < names->len;) {
        const char *name = (const char *)names->data + at;
        (void)snapshots->fs->ops->unlink(snapshots->fs, name, NULL);
        at += strlen(name) + 1;
    }
}

static sp_status measure(struct sp_snapshots *snapshots, struct entry *entry) {
    char path[SP_FS_PATH_BYTES_MAX + 1];
    struct sp_file *file;
    snapshot_path(entry->name, entry->key, &entry->snapshot, path);
    sp_status status = snapshots->fs->ops->open(snapshots->fs, path, SP_FS_READ, &file, NULL);
    if (status == SP_OK) {
        status = snapshots->fs->ops->size(file, &entry->snapshot.bytes, NULL);
        snapshots->fs->ops->close(file);
    }
    return status;
}

static sp_status list_all(struct sp_snapshots *snapshots, struct sp_error *error) {
    struct listing listing = {.snapshots = snapshots, .status = SP_OK};
    sp_buf_init(&listing.leftovers, 1 << 20);
    sp_status status = snapshots->fs->ops->list(snapshots->fs, ".", list_one, &listing, error);
    status = status == SP_NOT_FOUND ? SP_OK : status;
    if (status == SP_OK && listing.status != SP_OK) {
        status = sp_error_set(error, listing.status, "list of snapshots");
    }
    if (!snapshots->read_only) {
        remove_leftovers(snapshots, &listing.leftovers);
    }
    sp_buf_fini(&listing.leftovers);
    for (size_t i = 0; i < snapshots->count; i++) {
        if (measure(snapshots, &snapshots->entries[i]) == SP_OK) {
            snapshots->bytes += snapshots->entries[i].snapshot.bytes;
        }
    }
    return status;
}

sp_status sp_snapshots_open(const struct sp_snapshots_options *options,
                            struct sp_snapshots **ret_snapshots, struct sp_error *error) {
    struct sp_snapshots *snapshots = calloc(1, sizeof(*snapshots));
    if (snapshots == NULL || pthread_mutex_init(&snapshots->mutex, NULL) != 0) {
        free(snapshots);
        return sp_error_set(error, SP_NO_MEMORY, "snapshots");
    }
    snapshots->fs = options->fs;
    snapshots->read_only = options->read_only;
    snapshots->bytes_max = options->bytes_max;
    snapshots->say = options->say;
    snapshots->say_context = options->say_context;
    sp_status status = list_all(snapshots, error);
    if (status != SP_OK) {
        sp_snapshots_close(snapshots);
        return status;
    }
    if (!snapshots->read_only) {
        thin(snapshots);
    }
    *ret_snapshots = snapshots;
    return SP_OK;
}

void sp_snapshots_close(struct sp_snapshots *snapshots) {
    if (snapshots != NULL) {
        pthread_mutex_destroy(&snapshots->mutex);
        free(snapshots->entries);
        free(snapshots);
    }
}

/*
 * ---- looking
 * --------------------------------------------------------------------------------------
 */

static struct entry entry_of(const struct sp_snapshot_key *key, uint64_t position) {
    struct entry entry = {.snapshot = {.position = position}};
    sp_require(key->name.len <= SP_SNAPSHOT_NAME_BYTES_MAX);
    memcpy(entry.name, key->name.ptr, key->name.len);
    key_text(key, entry.key);
    return entry;
}

bool sp_snapshots_before(struct sp_snapshots *snapshots, const struct sp_snapshot_key *key,
                         uint64_t position, struct sp_snapshot *ret_snapshot) {
    struct entry wanted = entry_of(key, position);
    pthread_mutex_lock(&snapshots->mutex);
    size_t at = find(snapshots, &wanted);
    bool exact = at < snapshots->count && compare(&snapshots->entries[at], &wanted) == 0;
    at += exact ? 1 : 0;
    bool found = at > 0 && same_key(&snapshots->entries[at - 1], &wanted);
    if (found) {
        *ret_snapshot = snapshots->entries[at - 1].snapshot;
    }
    pthread_mutex_unlock(&snapshots->mutex);
    sp_ensure(!found || ret_snapshot->position <= position);
    return found;
}

bool sp_snapshots_near(struct sp_snapshots *snapshots, const struct sp_snapshot_key *key,
                       uint64_t position, uint64_t applied, uint64_t events) {
    struct entry wanted = entry_of(key, position);
    pthread_mutex_lock(&snapshots->mutex);
    size_t at = find(snapshots, &wanted);
    bool near = false;
    for (size_t i = at > 0 ? at - 1 : 0; i < snapshots->count && i <= at; i++) {
        const struct entry *entry = &snapshots->entries[i];
        uint64_t other = entry->snapshot.applied;
        uint64_t apart = other > applied ? other - applied : applied - other;
        near = near || (same_key(entry, &wanted) && apart < events);
    }
    pthread_mutex_unlock(&snapshots->mutex);
    return near;
}

void sp_snapshots_count(struct sp_snapshots *snapshots, uint64_t *ret_count, uint64_t *ret_bytes) {
    pthread_mutex_lock(&snapshots->mutex);
    *ret_count = snapshots->count;
    *ret_bytes = snapshots->bytes;
    pthread_mutex_unlock(&snapshots->mutex);
}

/*
 * ---- storing and loading
 * --------------------------------------------------------------------------
 */

static sp_status deny_writing(const struct sp_snapshots *snapshots, struct sp_error *error) {
    return snapshots->read_only
               ? sp_error_set(error, SP_DENIED, "snapshots are kept by whoever writes the store")
               : SP_OK;
}

sp_status sp_snapshots_save(struct sp_snapshots *snapshots, const struct sp_snapshot_key *key,
                            uint64_t position, uint64_t applied, const char *path,
                            struct sp_error *error) {
    sp_status status = deny_writing(snapshots, error);
    if (status != SP_OK) {
        return status;
    }
    struct entry entry = entry_of(key, position);
    entry.snapshot.applied = applied;
    char to[SP_FS_PATH_BYTES_MAX + 1];
    snapshot_path(entry.name, entry.key, &entry.snapshot, to);
    status = sp_snapshot_file_write(snapshots->fs, path, to, key->sha256, &entry.snapshot,
                                    snapshots->bytes_max, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "snapshot %s", to);
    }
    pthread_mutex_lock(&snapshots->mutex);
    status = insert(snapshots, &entry);
    if (status == SP_OK) {
        thin(snapshots);
    }
    pthread_mutex_unlock(&snapshots->mutex);
    return status == SP_OK ? status : sp_error_set(error, status, "list of snapshots");
}

/* Takes a snapshot off the list. */
static bool take_off(struct sp_snapshots *snapshots, const struct entry *wanted,
                     struct entry *ret_entry) {
    pthread_mutex_lock(&snapshots->mutex);
    size_t at = find(snapshots, wanted);
    bool there = at < snapshots->count && compare(&snapshots->entries[at], wanted) == 0;
    if (there) {
        *ret_entry = snapshots->entries[at];
        remove_at(snapshots, at);
    }
    pthread_mutex_unlock(&snapshots->mutex);
    return there;
}

static void drop_bad(struct sp_snapshots *snapshots, const struct entry *entry, const char *path,
                     const char *why) {
    struct entry taken;
    say(snapshots, path, why);
    if (take_off(snapshots, entry, &taken) && !snapshots->read_only) {
        unlink_entry(snapshots, &taken);
    }
}

sp_status sp_snapshots_load(struct sp_snapshots *snapshots, const struct sp_snapshot_key *key,
                            uint64_t position, struct sp_fs *to, const char *path,
                            struct sp_error *error) {
    struct entry entry = entry_of(key, position);
    struct sp_snapshot snapshot;
    if (!sp_snapshots_before(snapshots, key, position, &snapshot) ||
        snapshot.position != position) {
        return sp_error_set(error, SP_NOT_FOUND, "no snapshot at %llu",
                            (unsigned long long)position);
    }
    char from[SP_FS_PATH_BYTES_MAX + 1];
    snapshot_path(entry.name, entry.key, &snapshot, from);
    struct sp_error local;
    sp_status status =
        sp_snapshot_file_read(snapshots->fs, from, key->sha256, &snapshot, to, path, &local);
    if (status == SP_CORRUPT || status == SP_UNSUPPORTED) {
        drop_bad(snapshots, &entry, from, local.text);
        status = SP_CORRUPT;
    } else if (status == SP_NOT_FOUND) {
        struct entry taken;
        (void)take_off(snapshots, &entry, &taken);
    }
    if (status != SP_OK && error != NULL) {
        *error = local;
        error->status = status;
    }
    return status;
}

void sp_snapshots_trim(struct sp_snapshots *snapshots, uint64_t position) {
    pthread_mutex_lock(&snapshots->mutex);
    for (size_t i = snapshots->count; i-- > 0;) {
        struct entry entry = snapshots->entries[i];
        if (entry.snapshot.position > position) {
            remove_at(snapshots, i);
            if (!snapshots->read_only) {
                unlink_entry(snapshots, &entry);
            }
        }
    }
    pthread_mutex_unlock(&snapshots->mutex);
}

void sp_snapshots_forget(struct sp_snapshots *snapshots, sp_str name, const uint8_t *sha256_kept) {
    struct sp_snapshot_key key = {.name = name};
    char kept[KEY_DIGITS + 1] = "";
    if (sha256_kept != NULL) {
        memcpy(key.sha256, sha256_kept, sizeof(key.sha256));
        key_text(&key, kept);
    }
    if (snapshots->read_only || name.len > SP_SNAPSHOT_NAME_BYTES_MAX) {
        return;
    }
    pthread_mutex_lock(&snapshots->mutex);
    for (size_t i = snapshots->count; i-- > 0;) {
        struct entry entry = snapshots->entries[i];
        if (sp_str_eq(sp_str_from(entry.name), name) && strcmp(entry.key, kept) != 0) {
            remove_at(snapshots, i);
            unlink_entry(snapshots, &entry);
        }
    }
    pthread_mutex_unlock(&snapshots->mutex);
}

/*
 * ---- bounds
 * ---------------------------------------------------------------------------------------
 */

enum { BOUNDS_FILE_BYTES_MAX = 256 << 20 };

sp_status sp_snapshots_load_bounds(struct sp_snapshots *snapshots,
                                   const struct sp_snapshot_key *key, struct sp_bounds *bounds,
                                   struct sp_error *error) {
    char path[SP_FS_PATH_BYTES_MAX + 1];
    struct sp_buf bytes;
    if (!bounds_path(key, path)) {
        return sp_error_set(error, SP_INVALID, "a name of %zu bytes", key->name.len);
    }
    sp_buf_init(&bytes, BOUNDS_FILE_BYTES_MAX);
    sp_status status = sp_fs_read_all(snapshots->fs, path, &bytes, error);
    if (status == SP_OK) {
        status = sp_bounds_decode(sp_buf_str(&bytes), bounds);
        if (status != SP_OK && status != SP_NO_MEMORY) {
            say(snapshots, path, "damaged, or of a later version: it is made anew");
            status = sp_error_set(error, SP_NOT_FOUND, "%s cannot be used", path);
        }
    }
    sp_buf_fini(&bytes);
    return status;
}

sp_status sp_snapshots_save_bounds(struct sp_snapshots *snapshots,
                                   const struct sp_snapshot_key *key, sp_str encoded,
                                   struct sp_error *error) {
    char path[SP_FS_PATH_BYTES_MAX + 1];
    sp_status status = deny_writing(snapshots, error);
    if (status == SP_OK && !bounds_path(key, path)) {
        status = sp_error_set(error, SP_INVALID, "a name of %zu bytes", key->name.len);
    }
    return status == SP_OK ? sp_fs_replace(snapshots->fs, path, encoded, error) : status;
}
