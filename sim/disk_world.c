/* The simulated disk seen from outside: its life, its processes, crashes, damage, inspection. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "sim/disk_internal.h"

/* ---- life ---- */

struct sim_node *sim_disk_add_node(struct sim_disk *disk, bool is_folder) {
    struct sim_node *node = sim_node_new(is_folder);
    if (disk->last_node == NULL) {
        disk->nodes = node;
    } else {
        disk->last_node->next = node;
    }
    disk->last_node = node;
    return node;
}

struct sim_disk *sim_disk_new(const struct sim_disk_options *options) {
    struct sim_disk *disk = sim_alloc(sizeof(*disk));
    disk->prng = sp_prng_seed(options->seed);
    disk->capacity_bytes = options->capacity_bytes;
    disk->clock = options->clock;
    disk->root = sim_disk_add_node(disk, true);
    return disk;
}

void sim_disk_free(struct sim_disk *disk) {
    if (disk == NULL) {
        return;
    }
    while (disk->processes != NULL) {
        disk->processes->alive = false;
        sim_disk_ops.destroy(&disk->processes->base);
    }
    while (disk->nodes != NULL) {
        struct sim_node *next = disk->nodes->next;
        sim_node_free(disk->nodes);
        disk->nodes = next;
    }
    free(disk);
}

void sim_disk_set_capacity(struct sim_disk *disk, uint64_t capacity_bytes) {
    disk->capacity_bytes = capacity_bytes;
}

struct sp_fs *sim_disk_process(struct sim_disk *disk, bool read_only) {
    sp_require(!disk->down);
    struct sim_process *process = sim_alloc(sizeof(*process));
    process->base.ops = &sim_disk_ops;
    process->disk = disk;
    process->alive = true;
    process->read_only = read_only;
    process->next = disk->processes;
    disk->processes = process;
    return &process->base;
}

void sim_process_end(struct sim_process *process) {
    process->alive = false;
    for (const struct sim_file *file = process->files; file != NULL; file = file->next) {
        if (file->node->lock_owner == file) {
            file->node->lock_owner = NULL;
        }
    }
}

void sim_disk_kill(struct sp_fs *process) {
    sp_require(process->ops == &sim_disk_ops);
    sim_process_end((struct sim_process *)process);
}

/* ---- nodes that nothing leads to ---- */

static bool mark(struct sim_node *node) {
    bool fresh = node != NULL && !node->marked;
    if (fresh) {
        node->marked = true;
    }
    return fresh;
}

/*
 * Marks what a folder leads to, on the medium, in the cache, or on its way; true where any is new.
 */
static bool mark_children(struct sim_node *folder) {
    bool fresh = false;
    for (size_t i = 0; i < folder->medium_names.count; i++) {
        fresh = mark(folder->medium_names.at[i].node) || fresh;
    }
    for (size_t i = 0; i < folder->cache_names.count; i++) {
        fresh = mark(folder->cache_names.at[i].node) || fresh;
    }
    struct sim_name_change *change = folder->first_name;
    for (; change != NULL; change = change->next) {
        fresh = mark(change->node) || fresh;
    }
    return fresh;
}

static void mark_all(struct sim_disk *disk) {
    for (struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
        node->marked = false;
    }
    (void)mark(disk->root);
    struct sim_process *process = disk->processes;
    for (; process != NULL; process = process->next) {
        for (struct sim_file *file = process->files; file != NULL; file = file->next) {
            (void)mark(file->node);
        }
    }
    for (bool fresh = true; fresh;) {
        fresh = false;
        for (struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
            fresh = (node->marked && node->is_folder && mark_children(node)) || fresh;
        }
    }
}

void sim_disk_sweep(struct sim_disk *disk) {
    mark_all(disk);
    disk->unlinked = 0;
    struct sim_node *rest = disk->nodes;
    disk->nodes = NULL;
    disk->last_node = NULL;
    while (rest != NULL) {
        struct sim_node *node = rest;
        rest = rest->next;
        node->next = NULL;
        if (!node->marked) {
            sim_node_free(node);
        } else if (disk->last_node == NULL) {
            disk->nodes = disk->last_node = node;
        } else {
            disk->last_node->next = node;
            disk->last_node = node;
        }
    }
    sp_ensure(disk->nodes == disk->root);
}

/* ---- crashes ---- */

void sim_disk_crash(struct sim_disk *disk, enum sim_crash how) {
    struct sim_process *process = disk->processes;
    for (; process != NULL; process = process->next) {
        sim_process_end(process);
    }
    for (struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
        sim_node_settle(node, how, &disk->prng);
    }
    sim_disk_sweep(disk);
    disk->down = false;
    disk->crash_in = 0;
}

void sim_disk_drop_caches(struct sim_disk *disk) {
    for (struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
        sim_node_drop_cache(node);
    }
}

/* ---- damage ---- */

static struct sim_node *find_file(const struct sim_disk *disk, const char *path) {
    struct sim_node *node = sim_disk_find(disk, path);
    return node != NULL && !node->is_folder ? node : NULL;
}

bool sim_disk_poke(struct sim_disk *disk, const char *path, uint64_t offset, sp_str bytes) {
    struct sim_node *node = find_file(disk, path);
    if (node == NULL || offset + bytes.len > node->medium.len) {
        return false;
    }
    sim_bytes_put(&node->medium, offset, bytes.ptr, bytes.len);
    sim_bytes_put(&node->cache, offset, bytes.ptr, bytes.len);
    return true;
}

bool sim_disk_flip_bit(struct sim_disk *disk, const char *path, uint64_t offset, unsigned bit) {
    sp_require(bit < 8);
    const struct sim_node *node = find_file(disk, path);
    if (node == NULL || offset >= node->medium.len) {
        return false;
    }
    char flipped = (char)(node->medium.data[offset] ^ (1u << bit));
    return sim_disk_poke(disk, path, offset, sp_str_of(&flipped, 1));
}

bool sim_disk_cut(struct sim_disk *disk, const char *path, uint64_t size) {
    struct sim_node *node = find_file(disk, path);
    if (node == NULL || size > node->medium.len) {
        return false;
    }
    sim_node_sync(node);
    sim_bytes_resize(&node->medium, size);
    sim_bytes_copy(&node->cache, &node->medium);
    node->cache_lies = false;
    return true;
}

bool sim_disk_delete(struct sim_disk *disk, const char *path) {
    sp_str leaf;
    struct sim_node *folder = sim_disk_find_parent(disk, path, &leaf);
    if (folder == NULL || find_file(disk, path) == NULL) {
        return false;
    }
    sim_node_change_names(folder, leaf, sp_str_of(NULL, 0), NULL);
    sim_node_sync_names(folder);
    return true;
}

bool sim_disk_bad_range(struct sim_disk *disk, const char *path, uint64_t offset, uint64_t len) {
    struct sim_node *node = find_file(disk, path);
    size_t i = 0;
    while (i < SIM_BAD_RANGES_MAX && node != NULL && node->bad[i].len > 0) {
        i++;
    }
    if (node == NULL || offset + len > node->medium.len || i == SIM_BAD_RANGES_MAX) {
        return false;
    }
    node->bad[i] = (struct sim_bad_range){.offset = offset, .len = len};
    return true;
}

/* ---- looking ---- */

sp_str sim_disk_peek(struct sim_disk *disk, const char *path) {
    const struct sim_node *node = find_file(disk, path);
    if (node == NULL) {
        return sp_str_of(NULL, 0);
    }
    return sp_str_of(node->medium.data != NULL ? (const char *)node->medium.data : "",
                     node->medium.len);
}

static void clone_names(struct sim_node *to, const struct sim_node *from) {
    for (size_t i = 0; i < from->medium_names.count; i++) {
        const struct sim_name *name = &from->medium_names.at[i];
        sim_node_change_names(to, sp_str_of(NULL, 0), sp_str_from(name->text), name->node->twin);
    }
    sim_node_sync_names(to);
}

struct sim_disk *sim_disk_clone(const struct sim_disk *disk,
                                const struct sim_disk_options *options) {
    struct sim_disk *clone = sim_disk_new(options);
    for (struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
        node->twin = node == disk->root ? clone->root : sim_disk_add_node(clone, node->is_folder);
        sim_bytes_copy(&node->twin->medium, &node->medium);
        sim_bytes_copy(&node->twin->cache, &node->medium);
        memcpy(node->twin->bad, node->bad, sizeof(node->bad));
    }
    for (const struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
        if (node->is_folder) {
            clone_names(node->twin, node);
        }
    }
    sim_disk_sweep(clone);
    return clone;
}

/* Gives each name's path and bytes a hash; they are added up, so their order does not matter. */
static uint64_t hash_folder(struct sim_node *folder, bool *ret_fresh) {
    uint64_t sum = 0;
    for (size_t i = 0; i < folder->medium_names.count; i++) {
        const struct sim_name *name = &folder->medium_names.at[i];
        uint64_t path_hash = sp_hash_seeded(name->text, strlen(name->text), folder->path_hash);
        const struct sim_bytes *bytes = &name->node->medium;
        sum += bytes->len > 0 ? sp_hash_seeded(bytes->data, bytes->len, path_hash) : path_hash;
        if (name->node->is_folder && mark(name->node)) {
            name->node->path_hash = path_hash;
            *ret_fresh = true;
        }
    }
    return sum;
}

uint64_t sim_disk_hash(const struct sim_disk *disk) {
    for (struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
        node->marked = false;
        node->path_hash = 0;
    }
    disk->root->marked = true;
    uint64_t sum = 0;
    for (bool fresh = true; fresh;) {
        fresh = false;
        sum = 0;
        for (struct sim_node *node = disk->nodes; node != NULL; node = node->next) {
            sum += node->marked && node->is_folder ? hash_folder(node, &fresh) : 0;
        }
    }
    return sum;
}
