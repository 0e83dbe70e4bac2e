/*
 * Snapshots of read models: copies of a build as it was at a position, one compressed file each.
 * any-thread
 *
 *     <folder>/NAME.<first 16 hex digits of the file's sha256>.<position>.snap
 *     <folder>/NAME.<the same>.times             the bounds of its events' times (bounds.h)
 *
 * They are caches: state at an old moment begins from the nearest one before it. A damaged one is
 * said, removed and passed over; a missing one costs time only. They belong to one text of one
 * projection: a changed text finds none of the old ones, which go with the projection.
 *
 * A file is written under another name, synced and renamed: after a crash it is whole or not there.
 * Beyond the byte limit those are dropped whose loss makes the smallest gap, in events applied, so
 * that what is left stays even; the newest of a projection stays.
 *
 * Limits: SP_SNAPSHOTS_MAX files in all; the byte limit that is set; one file SP_SNAPSHOT_BYTES_MAX
 * before compression.
 */
#ifndef SP_PROJECT_SNAPSHOTS_H
#define SP_PROJECT_SNAPSHOTS_H

#include "os/fs.h"
#include "project/bounds.h"

enum {
    SP_SNAPSHOTS_MAX = 4096,
    SP_SNAPSHOT_NAME_BYTES_MAX = 63, /* of a projection */
    SP_SNAPSHOT_KEY_BYTES = 32,      /* the sha256 of its text */
};

#define SP_SNAPSHOT_BYTES_MAX (UINT64_C(64) << 30)

struct sp_snapshots;

struct sp_snapshot_key {
    sp_str name;
    uint8_t sha256[SP_SNAPSHOT_KEY_BYTES];
};

struct sp_snapshot {
    uint64_t position; /* everything up to here is in it */
    uint64_t applied;  /* events */
    uint64_t bytes;    /* of the file */
};

/* For the log: what was damaged, what could not be removed. Any thread. */
typedef void sp_snapshots_say_fn(void *context, const char *text);

struct sp_snapshots_options {
    struct sp_fs *fs; /* of the folder; not owned */
    bool read_only;   /* nothing is stored or removed */
    uint64_t bytes_max;
    sp_snapshots_say_fn *say; /* may be NULL */
    void *say_context;
};

/* Reads what is there and removes what a crash left half written. A folder that is missing is made
 * with the first snapshot. SP_IO, SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_snapshots_open(const struct sp_snapshots_options *options,
                                           struct sp_snapshots **ret_snapshots,
                                           struct sp_error *error);
void sp_snapshots_close(struct sp_snapshots *snapshots);

/* The newest one at or before a position. */
bool sp_snapshots_before(struct sp_snapshots *snapshots, const struct sp_snapshot_key *key,
                         uint64_t position, struct sp_snapshot *ret_snapshot);

/* True where one of the same position is there, or one so near that another is not worth it. */
bool sp_snapshots_near(struct sp_snapshots *snapshots, const struct sp_snapshot_key *key,
                       uint64_t position, uint64_t applied, uint64_t events);

/*
 * Stores the file `path` of the folder, a consistent copy, as a snapshot; the copy stays. Costs
 * reading and compressing all of it. SP_LIMIT where it alone is beyond the byte limit; SP_DENIED,
 * SP_NO_SPACE, SP_IO, SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_snapshots_save(struct sp_snapshots *snapshots,
                                           const struct sp_snapshot_key *key, uint64_t position,
                                           uint64_t applied, const char *path,
                                           struct sp_error *error);

/*
 * Writes the content of a snapshot to the file `path` of `to`. SP_NOT_FOUND where it was dropped
 * meanwhile; SP_CORRUPT where it is damaged: it has been said and dropped then. The caller takes
 * the one before.
 */
SP_WARN_UNUSED sp_status sp_snapshots_load(struct sp_snapshots *snapshots,
                                           const struct sp_snapshot_key *key, uint64_t position,
                                           struct sp_fs *to, const char *path,
                                           struct sp_error *error);

/* Drops those behind a position, of which the log has lost its end or was put back from a copy. */
void sp_snapshots_trim(struct sp_snapshots *snapshots, uint64_t position);

/* Drops the snapshots of a projection: all, or but those of a text that stays (may be NULL). */
void sp_snapshots_forget(struct sp_snapshots *snapshots, sp_str name, const uint8_t *sha256_kept);

/* The bounds that are kept beside them. SP_NOT_FOUND where there are none that can be used. */
SP_WARN_UNUSED sp_status sp_snapshots_load_bounds(struct sp_snapshots *snapshots,
                                                  const struct sp_snapshot_key *key,
                                                  struct sp_bounds *bounds, struct sp_error *error);
SP_WARN_UNUSED sp_status sp_snapshots_save_bounds(struct sp_snapshots *snapshots,
                                                  const struct sp_snapshot_key *key, sp_str encoded,
                                                  struct sp_error *error);

/* What is there, for status and tests. */
void sp_snapshots_count(struct sp_snapshots *snapshots, uint64_t *ret_count, uint64_t *ret_bytes);

#endif
