/*
 * Files and folders of the simulated disk: what is on the medium, what is on its way, what the
 * cache shows. loop-thread; for sim/disk*.c only
 *
 * A file is three things: `medium`, the bytes a power failure leaves; a list of changes not yet
 * there, in the order they were made; and `cache`, what a process reads. As long as nothing failed,
 * the cache is the medium with all changes applied. A failed sync breaks that (`cache_lies`): the
 * kernel marks the pages clean, keeps showing them, and never writes them. A folder is the same
 * with names for bytes.
 */
#ifndef SIM_DISK_NODE_H
#define SIM_DISK_NODE_H

#include "base/prng.h"
#include "base/str.h"
#include "sim/disk.h"

struct sim_bytes {
    uint8_t *data;
    uint64_t len;
    uint64_t capacity;
};

/* A write, or, where bytes is NULL, a change of the size to `len`. */
struct sim_change {
    struct sim_change *next;
    uint64_t offset;
    uint64_t len;
    uint8_t *bytes;
};

struct sim_name {
    char *text;
    struct sim_node *node;
};

struct sim_names {
    struct sim_name *at;
    size_t count;
    size_t capacity;
};

/* Takes one name away, sets another, or both at once (a rename within the folder). */
struct sim_name_change {
    struct sim_name_change *next;
    char *removed;         /* NULL: none */
    char *added;           /* NULL: none */
    struct sim_node *node; /* what `added` names */
};

struct sim_bad_range {
    uint64_t offset;
    uint64_t len; /* 0: unused */
};

enum { SIM_BAD_RANGES_MAX = 8 };

struct sim_node {
    struct sim_node *next; /* of all nodes of the disk, in the order they were made */
    bool is_folder;
    bool marked;           /* scratch of walks over the tree */
    uint64_t path_hash;    /* scratch of sim_disk_hash */
    struct sim_node *twin; /* scratch of sim_disk_clone */

    struct sim_bytes medium;
    struct sim_bytes cache;
    struct sim_change *first;
    struct sim_change *last;
    bool cache_lies;
    const void *lock_owner;
    struct sim_bad_range bad[SIM_BAD_RANGES_MAX];

    struct sim_names medium_names;
    struct sim_names cache_names;
    struct sim_name_change *first_name;
    struct sim_name_change *last_name;
};

/* malloc, zeroed, for a simulation that cannot go on without. */
void *sim_alloc(size_t size);

struct sim_node *sim_node_new(bool is_folder);
void sim_node_free(struct sim_node *node);

/* ---- bytes ---- */

void sim_bytes_put(struct sim_bytes *to, uint64_t offset, const void *bytes, uint64_t len);
void sim_bytes_resize(struct sim_bytes *to, uint64_t len);
void sim_bytes_copy(struct sim_bytes *to, const struct sim_bytes *from);
void sim_bytes_fini(struct sim_bytes *bytes);

/* ---- a file ---- */

/* Changes that the cache shows and a sync or a crash will decide about. */
void sim_node_write(struct sim_node *node, const void *bytes, uint64_t len, uint64_t offset);
void sim_node_truncate(struct sim_node *node, uint64_t size);

/* On the medium at once, with every earlier change of the size; other writes stay on their way. */
void sim_node_write_durable(struct sim_node *node, const void *bytes, uint64_t len,
                            uint64_t offset);

/* Part of the bytes reaches the medium, by the generator. The cache is left alone. */
void sim_node_write_torn(struct sim_node *node, const void *bytes, uint64_t len, uint64_t offset,
                         struct sp_prng *prng);

void sim_node_sync(struct sim_node *node);

/* Any part of the changes arrives, the rest never will, and the cache shows it all nevertheless. */
void sim_node_sync_failed(struct sim_node *node, struct sp_prng *prng);

/* What a read past the cache sees: the medium with the changes that are still on their way. */
void sim_node_view(const struct sim_node *node, struct sim_bytes *to);

void sim_node_drop_cache(struct sim_node *node);

/* After a power failure: decides what arrived of bytes and names; the cache is the medium again. */
void sim_node_settle(struct sim_node *node, enum sim_crash how, struct sp_prng *prng);

/* ---- a folder ---- */

/* What the name stands for as processes see it; NULL where it stands for nothing. */
struct sim_node *sim_node_find(const struct sim_node *folder, sp_str name);

/* One atomic change of names; an empty slice is none. */
void sim_node_change_names(struct sim_node *folder, sp_str removed, sp_str added,
                           struct sim_node *node);

void sim_node_sync_names(struct sim_node *folder);

#endif
