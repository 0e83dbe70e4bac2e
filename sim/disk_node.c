#include "sim/disk_node.h"

#include <stdlib.h>

#include "base/assert.h"

enum { BYTES_FIRST = 4096 };

void *sim_alloc(size_t size) {
    void *memory = calloc(1, size);
    sp_ensure(memory != NULL);
    return memory;
}

/* ---- bytes ---- */

void sim_bytes_resize(struct sim_bytes *to, uint64_t len) {
    if (len > to->capacity) {
        uint64_t capacity = to->capacity == 0 ? BYTES_FIRST : to->capacity;
        while (capacity < len) {
            capacity *= 2;
        }
        uint8_t *data = realloc(to->data, capacity);
        sp_ensure(data != NULL);
        to->data = data;
        to->capacity = capacity;
    }
    if (len > to->len) {
        memset(to->data + to->len, 0, len - to->len);
    }
    to->len = len;
}

void sim_bytes_put(struct sim_bytes *to, uint64_t offset, const void *bytes, uint64_t len) {
    sp_require(len <= UINT64_MAX - offset);
    if (offset + len > to->len) {
        sim_bytes_resize(to, offset + len);
    }
    if (len > 0) {
        memcpy(to->data + offset, bytes, len);
    }
}

void sim_bytes_copy(struct sim_bytes *to, const struct sim_bytes *from) {
    sim_bytes_resize(to, 0);
    sim_bytes_put(to, 0, from->data, from->len);
}

void sim_bytes_fini(struct sim_bytes *bytes) {
    free(bytes->data);
    *bytes = (struct sim_bytes){.data = NULL};
}

/* ---- changes of a file ---- */

static void change_free(struct sim_change *change) {
    free(change->bytes);
    free(change);
}

static void changes_add(struct sim_node *node, struct sim_change *change) {
    change->next = NULL;
    if (node->last == NULL) {
        node->first = change;
    } else {
        node->last->next = change;
    }
    node->last = change;
}

static void changes_clear(struct sim_node *node) {
    while (node->first != NULL) {
        struct sim_change *next = node->first->next;
        change_free(node->first);
        node->first = next;
    }
    node->last = NULL;
}

static void changes_add_write(struct sim_node *node, const uint8_t *bytes, uint64_t len,
                              uint64_t offset) {
    if (len == 0) {
        return;
    }
    struct sim_change *change = sim_alloc(sizeof(*change));
    change->offset = offset;
    change->len = len;
    change->bytes = sim_alloc(len);
    memcpy(change->bytes, bytes, len);
    changes_add(node, change);
}

static void change_apply(struct sim_bytes *to, const struct sim_change *change) {
    if (change->bytes == NULL) {
        sim_bytes_resize(to, change->len);
    } else {
        sim_bytes_put(to, change->offset, change->bytes, change->len);
    }
}

/* Takes [from, to) out of all writes on their way: something later decided what is there. */
static void changes_cut(struct sim_node *node, uint64_t from, uint64_t to) {
    struct sim_change *old = node->first;
    node->first = NULL;
    node->last = NULL;
    while (old != NULL) {
        struct sim_change *next = old->next;
        uint64_t end = old->offset + old->len;
        if (old->bytes == NULL || end <= from || old->offset >= to) {
            changes_add(node, old);
        } else {
            uint64_t head = old->offset < from ? from - old->offset : 0;
            changes_add_write(node, old->bytes, head, old->offset);
            if (end > to) {
                changes_add_write(node, old->bytes + (to - old->offset), end - to, to);
            }
            change_free(old);
        }
        old = next;
    }
}

/*
 * Changes of the size become durable, in their order, and take with them what earlier writes had
 * put beyond: a journal commits them before, or together with, whatever comes after.
 */
static void changes_settle_sizes(struct sim_node *node) {
    struct sim_change *rest = node->first;
    node->first = NULL;
    node->last = NULL;
    while (rest != NULL) {
        struct sim_change *next = rest->next;
        if (rest->bytes == NULL) {
            changes_cut(node, rest->len, UINT64_MAX);
            sim_bytes_resize(&node->medium, rest->len);
            change_free(rest);
        } else {
            changes_add(node, rest);
        }
        rest = next;
    }
}

void sim_node_write(struct sim_node *node, const void *bytes, uint64_t len, uint64_t offset) {
    sp_require(!node->is_folder);
    sim_bytes_put(&node->cache, offset, bytes, len);
    changes_add_write(node, bytes, len, offset);
}

void sim_node_truncate(struct sim_node *node, uint64_t size) {
    sp_require(!node->is_folder);
    struct sim_change *change = sim_alloc(sizeof(*change));
    change->len = size;
    sim_bytes_resize(&node->cache, size);
    changes_add(node, change);
}

static void forget_bad(struct sim_node *node, uint64_t from, uint64_t to) {
    for (size_t i = 0; i < SIM_BAD_RANGES_MAX; i++) {
        struct sim_bad_range *bad = &node->bad[i];
        if (bad->offset >= from && bad->offset + bad->len <= to) {
            bad->len = 0;
        }
    }
}

void sim_node_write_durable(struct sim_node *node, const void *bytes, uint64_t len,
                            uint64_t offset) {
    sp_require(!node->is_folder);
    changes_settle_sizes(node);
    changes_cut(node, offset, offset + len);
    sim_bytes_put(&node->medium, offset, bytes, len);
    sim_bytes_put(&node->cache, offset, bytes, len);
    forget_bad(node, offset, offset + len);
}

void sim_node_sync(struct sim_node *node) {
    for (const struct sim_change *change = node->first; change != NULL; change = change->next) {
        change_apply(&node->medium, change);
    }
    changes_clear(node);
    sp_ensure(node->cache_lies || node->cache.len == node->medium.len);
}

void sim_node_view(const struct sim_node *node, struct sim_bytes *to) {
    sim_bytes_copy(to, &node->medium);
    for (const struct sim_change *change = node->first; change != NULL; change = change->next) {
        change_apply(to, change);
    }
}

void sim_node_drop_cache(struct sim_node *node) {
    if (node->cache_lies) {
        sim_node_view(node, &node->cache);
        node->cache_lies = false;
    }
}

/* ---- what arrives of a write that nobody waited for ---- */

/*
 * The size may have been written without the bytes: the new part of the file then reads as zeros,
 * or as whatever these blocks of the device held before.
 */
static void extend_torn(struct sim_bytes *medium, uint64_t end, struct sp_prng *prng) {
    uint64_t before = medium->len;
    uint32_t choice = sp_prng_below(prng, 4);
    if (end <= before || choice > 1) {
        return;
    }
    sim_bytes_resize(medium, end);
    for (uint64_t at = before; choice == 1 && at < end; at++) {
        medium->data[at] = (uint8_t)sp_prng_next(prng);
    }
}

enum tear { TEAR_SECTORS, TEAR_BLOCKS, TEAR_PREFIX, TEAR_COUNT };

/* Any subset of the write's sectors or blocks (by their place on the medium), or its beginning. */
static void arrive_torn(struct sim_bytes *medium, const struct sim_change *change,
                        struct sp_prng *prng) {
    uint64_t end = change->offset + change->len;
    extend_torn(medium, end, prng);
    enum tear tear = (enum tear)sp_prng_below(prng, TEAR_COUNT);
    uint64_t grain = tear == TEAR_BLOCKS ? SP_FS_BLOCK_BYTES : SIM_SECTOR_BYTES;
    uint64_t grains = (end - 1) / grain - change->offset / grain + 1;
    uint64_t stop = sp_prng_next(prng) % grains;
    uint64_t number = 0;
    for (uint64_t at = change->offset; at < end; number++) {
        uint64_t next = (at / grain + 1) * grain;
        next = next < end ? next : end;
        bool arrives = tear == TEAR_PREFIX ? number < stop : sp_prng_below(prng, 2) == 0;
        if (arrives) {
            sim_bytes_put(medium, at, change->bytes + (at - change->offset), next - at);
        }
        at = next;
    }
    sp_ensure(number == grains);
}

static void arrive_perhaps(struct sim_bytes *medium, const struct sim_change *change,
                           struct sp_prng *prng) {
    uint32_t choice = sp_prng_below(prng, 4);
    if (choice == 0) {
        change_apply(medium, change);
    } else if (choice > 1 && change->bytes != NULL) {
        arrive_torn(medium, change, prng);
    }
}

void sim_node_write_torn(struct sim_node *node, const void *bytes, uint64_t len, uint64_t offset,
                         struct sp_prng *prng) {
    struct sim_change change = {.offset = offset, .len = len, .bytes = sim_alloc(len)};
    memcpy(change.bytes, bytes, len);
    changes_settle_sizes(node);
    arrive_perhaps(&node->medium, &change, prng);
    free(change.bytes);
}

void sim_node_sync_failed(struct sim_node *node, struct sp_prng *prng) {
    for (const struct sim_change *change = node->first; change != NULL; change = change->next) {
        arrive_perhaps(&node->medium, change, prng);
    }
    changes_clear(node);
    node->cache_lies = true;
}

/* ---- names ---- */

static char *text_of(sp_str name) {
    if (name.len == 0) {
        return NULL;
    }
    char *text = sim_alloc(name.len + 1);
    memcpy(text, name.ptr, name.len);
    return text;
}

static size_t names_index(const struct sim_names *names, sp_str name) {
    size_t i = 0;
    while (i < names->count && !sp_str_eq(sp_str_from(names->at[i].text), name)) {
        i++;
    }
    return i;
}

static void names_remove(struct sim_names *names, sp_str name) {
    size_t i = names_index(names, name);
    if (i < names->count) {
        free(names->at[i].text);
        names->count--;
        memmove(&names->at[i], &names->at[i + 1], (names->count - i) * sizeof(names->at[0]));
    }
}

static void names_set(struct sim_names *names, sp_str name, struct sim_node *node) {
    sp_require(name.len > 0 && node != NULL);
    size_t i = names_index(names, name);
    if (i == names->count) {
        if (names->count == names->capacity) {
            names->capacity = names->capacity == 0 ? 8 : names->capacity * 2;
            struct sim_name *at = realloc(names->at, names->capacity * sizeof(*at));
            sp_ensure(at != NULL);
            names->at = at;
        }
        names->at[i].text = text_of(name);
        names->count++;
    }
    names->at[i].node = node;
}

static void names_clear(struct sim_names *names) {
    for (size_t i = 0; i < names->count; i++) {
        free(names->at[i].text);
    }
    names->count = 0;
}

static void names_copy(struct sim_names *to, const struct sim_names *from) {
    names_clear(to);
    for (size_t i = 0; i < from->count; i++) {
        names_set(to, sp_str_from(from->at[i].text), from->at[i].node);
    }
}

static void names_apply(struct sim_names *names, const struct sim_name_change *change) {
    if (change->removed != NULL) {
        names_remove(names, sp_str_from(change->removed));
    }
    if (change->added != NULL) {
        names_set(names, sp_str_from(change->added), change->node);
    }
}

static void name_changes_clear(struct sim_node *folder) {
    while (folder->first_name != NULL) {
        struct sim_name_change *next = folder->first_name->next;
        free(folder->first_name->removed);
        free(folder->first_name->added);
        free(folder->first_name);
        folder->first_name = next;
    }
    folder->last_name = NULL;
}

struct sim_node *sim_node_find(const struct sim_node *folder, sp_str name) {
    sp_require(folder->is_folder);
    size_t i = names_index(&folder->cache_names, name);
    return i < folder->cache_names.count ? folder->cache_names.at[i].node : NULL;
}

void sim_node_change_names(struct sim_node *folder, sp_str removed, sp_str added,
                           struct sim_node *node) {
    sp_require(folder->is_folder && (removed.len > 0 || added.len > 0));
    struct sim_name_change *change = sim_alloc(sizeof(*change));
    change->removed = text_of(removed);
    change->added = text_of(added);
    change->node = node;
    names_apply(&folder->cache_names, change);
    if (folder->last_name == NULL) {
        folder->first_name = change;
    } else {
        folder->last_name->next = change;
    }
    folder->last_name = change;
}

void sim_node_sync_names(struct sim_node *folder) {
    const struct sim_name_change *change = folder->first_name;
    for (; change != NULL; change = change->next) {
        names_apply(&folder->medium_names, change);
    }
    name_changes_clear(folder);
    sp_ensure(folder->medium_names.count == folder->cache_names.count);
}

/* ---- after a power failure ---- */

enum fate { FATE_LOST, FATE_KEPT, FATE_MIXED };

/* One file loses everything while its neighbour keeps all: that orders names before bytes. */
static enum fate choose_fate(enum sim_crash how, struct sp_prng *prng) {
    switch (how) {
    case SIM_CRASH_LOSE:
        return FATE_LOST;
    case SIM_CRASH_KEEP:
        return FATE_KEPT;
    case SIM_CRASH_ANY: {
        uint32_t choice = sp_prng_below(prng, 4);
        return choice == 0 ? FATE_LOST : choice == 1 ? FATE_KEPT : FATE_MIXED;
    }
    default:
        sp_never();
    }
}

static void settle_bytes(struct sim_node *node, enum fate fate, struct sp_prng *prng) {
    for (const struct sim_change *change = node->first; change != NULL; change = change->next) {
        if (fate == FATE_KEPT) {
            change_apply(&node->medium, change);
        } else if (fate == FATE_MIXED) {
            arrive_perhaps(&node->medium, change, prng);
        }
    }
    changes_clear(node);
    sim_bytes_copy(&node->cache, &node->medium);
    node->cache_lies = false;
}

static void settle_names(struct sim_node *folder, enum fate fate, struct sp_prng *prng) {
    const struct sim_name_change *change = folder->first_name;
    for (; change != NULL; change = change->next) {
        if (fate == FATE_KEPT || (fate == FATE_MIXED && sp_prng_below(prng, 2) == 0)) {
            names_apply(&folder->medium_names, change);
        }
    }
    name_changes_clear(folder);
    names_copy(&folder->cache_names, &folder->medium_names);
}

void sim_node_settle(struct sim_node *node, enum sim_crash how, struct sp_prng *prng) {
    enum fate fate = choose_fate(how, prng);
    if (node->is_folder) {
        settle_names(node, fate, prng);
    } else {
        settle_bytes(node, fate, prng);
    }
    node->lock_owner = NULL;
    sp_ensure(node->first == NULL && node->first_name == NULL);
}

/* ---- life ---- */

struct sim_node *sim_node_new(bool is_folder) {
    struct sim_node *node = sim_alloc(sizeof(*node));
    node->is_folder = is_folder;
    return node;
}

void sim_node_free(struct sim_node *node) {
    changes_clear(node);
    name_changes_clear(node);
    names_clear(&node->medium_names);
    names_clear(&node->cache_names);
    free(node->medium_names.at);
    free(node->cache_names.at);
    sim_bytes_fini(&node->medium);
    sim_bytes_fini(&node->cache);
    free(node);
}
