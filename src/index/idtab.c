#include "index/idtab.h"

#include <assert.h>
#include <stdlib.h>

#include "base/assert.h"
#include "index/mix.h"

enum {
    TABLE_FIRST_SLOTS = 32,
    NODE_BITS = 24,
    NODE_MASK = (1 << NODE_BITS) - 1,
    TABLE_BITS = 8,
};

static_assert(SP_IDTAB_ROLES << SP_IDTAB_ORDINAL_BITS < NODE_MASK, "node + 1 fits its bits");
static_assert(1 << TABLE_BITS == SP_IDTAB_TABLES, "the hash's lower bits choose the table");

void sp_idtab_init(struct sp_idtab *tab, uint64_t factor) {
    sp_require((factor & 1) == 1);
    *tab = (struct sp_idtab){.factor = factor};
}

void sp_idtab_fini(struct sp_idtab *tab) {
    for (size_t i = 0; i < SP_IDTAB_TABLES; i++) {
        free(tab->tables[i].slots);
    }
    for (size_t role = 0; role < SP_IDTAB_ROLES; role++) {
        for (size_t i = 0; i < SP_IDTAB_LINK_CHUNKS; i++) {
            free(tab->links[role][i]);
        }
    }
    *tab = (struct sp_idtab){.factor = tab->factor};
}

static inline struct sp_idtab_table *idtab_table(struct sp_idtab *tab, uint64_t hash48) {
    return &tab->tables[hash48 & (SP_IDTAB_TABLES - 1)];
}

/* The multiplication carries every bit upwards, so the upper bits are the well-mixed ones. */
static inline uint32_t idtab_home(uint64_t factor, uint64_t hash48, uint32_t mask) {
    return (uint32_t)(sp_mix(hash48, factor) >> 24) & mask;
}

static inline uint32_t *idtab_link(const struct sp_idtab *tab, sp_idtab_node node) {
    uint32_t ordinal = node & ((1u << SP_IDTAB_ORDINAL_BITS) - 1);
    uint32_t *chunk = tab->links[node >> SP_IDTAB_ORDINAL_BITS][ordinal / SP_IDTAB_LINKS];
    sp_invariant(chunk != NULL);
    return &chunk[ordinal % SP_IDTAB_LINKS];
}

static void idtab_move(const struct sp_idtab *tab, const struct sp_idtab_table *from,
                       uint64_t *slots, uint32_t mask, uint64_t table_bits) {
    for (uint32_t i = 0; from->slots != NULL && i <= from->mask; i++) {
        uint64_t slot = from->slots[i];
        if (slot == 0) {
            continue;
        }
        uint64_t hash48 = slot >> NODE_BITS << TABLE_BITS | table_bits;
        uint32_t at = idtab_home(tab->factor, hash48, mask);
        while (slots[at] != 0) {
            at = (at + 1) & mask;
        }
        slots[at] = slot;
    }
}

static sp_status idtab_double(struct sp_idtab *tab, struct sp_idtab_table *table) {
    uint32_t old_count = table->slots == NULL ? 0 : table->mask + 1;
    uint32_t slot_count = old_count == 0 ? TABLE_FIRST_SLOTS : old_count * 2;
    uint64_t *slots = calloc(slot_count, sizeof(*slots));
    if (slots == NULL) {
        return SP_NO_MEMORY;
    }
    idtab_move(tab, table, slots, slot_count - 1, (uint64_t)(table - tab->tables));
    free(table->slots);
    table->slots = slots;
    table->mask = slot_count - 1;
    tab->size_bytes += (slot_count - old_count) * sizeof(*slots);
    return SP_OK;
}

static sp_status idtab_reserve_link(struct sp_idtab *tab, sp_idtab_node node) {
    uint32_t ordinal = node & ((1u << SP_IDTAB_ORDINAL_BITS) - 1);
    uint32_t **chunk = &tab->links[node >> SP_IDTAB_ORDINAL_BITS][ordinal / SP_IDTAB_LINKS];
    if (SP_UNLIKELY(*chunk == NULL)) {
        *chunk = calloc(SP_IDTAB_LINKS, sizeof(**chunk));
        if (*chunk == NULL) {
            return SP_NO_MEMORY;
        }
        tab->size_bytes += SP_IDTAB_LINKS * sizeof(**chunk);
    }
    return SP_OK;
}

sp_status sp_idtab_reserve(struct sp_idtab *tab, uint64_t hash48, sp_idtab_node node) {
    struct sp_idtab_table *table = idtab_table(tab, hash48);
    uint32_t slots = table->slots == NULL ? 0 : table->mask + 1;
    if (SP_UNLIKELY(table->count >= slots - slots / 4)) {
        sp_status status = idtab_double(tab, table);
        if (status != SP_OK) {
            return status;
        }
    }
    return idtab_reserve_link(tab, node);
}

/* Appends a node to the list whose first node is known. */
static void idtab_chain(struct sp_idtab *tab, sp_idtab_node first, sp_idtab_node node) {
    uint32_t *first_link = idtab_link(tab, first);
    uint32_t *link = idtab_link(tab, node);
    if (*first_link == 0) {
        *link = node + 1;
    } else {
        uint32_t *last_link = idtab_link(tab, *first_link - 1);
        *link = *last_link;
        *last_link = node + 1;
    }
    *first_link = node + 1;
}

void sp_idtab_add(struct sp_idtab *tab, uint64_t hash48, sp_idtab_node node) {
    tab->node_count++;
    struct sp_idtab_table *table = idtab_table(tab, hash48);
    uint64_t tag = hash48 >> TABLE_BITS;
    uint32_t at = idtab_home(tab->factor, hash48, table->mask);
    for (;;) {
        uint64_t slot = table->slots[at];
        if (slot == 0) {
            break;
        }
        if (slot >> NODE_BITS == tag) {
            idtab_chain(tab, (uint32_t)(slot & NODE_MASK) - 1, node);
            return;
        }
        at = (at + 1) & table->mask;
    }
    table->slots[at] = tag << NODE_BITS | (node + 1);
    table->count++;
    sp_ensure(table->count <= table->mask);
}

void sp_idtab_prefetch(const struct sp_idtab *tab, uint64_t hash48) {
    const struct sp_idtab_table *table = &tab->tables[hash48 & (SP_IDTAB_TABLES - 1)];
    if (table->slots != NULL) {
        __builtin_prefetch(&table->slots[idtab_home(tab->factor, hash48, table->mask)]);
    }
}

uint32_t sp_idtab_count(const struct sp_idtab *tab) {
    uint32_t count = 0;
    for (size_t i = 0; i < SP_IDTAB_TABLES; i++) {
        count += tab->tables[i].count;
    }
    return count;
}

struct sp_idtab_walk sp_idtab_find(const struct sp_idtab *tab, uint64_t hash48) {
    const struct sp_idtab_table *table = &tab->tables[hash48 & (SP_IDTAB_TABLES - 1)];
    struct sp_idtab_walk walk = {.tab = tab, .state = SP_IDTAB_DONE};
    if (table->slots == NULL) {
        return walk;
    }
    uint64_t tag = hash48 >> TABLE_BITS;
    uint32_t at = idtab_home(tab->factor, hash48, table->mask);
    for (uint64_t slot; (slot = table->slots[at]) != 0; at = (at + 1) & table->mask) {
        if (slot >> NODE_BITS == tag) {
            walk.next = (uint32_t)(slot & NODE_MASK) - 1;
            walk.state = SP_IDTAB_FIRST;
            break;
        }
    }
    return walk;
}

bool sp_idtab_next(struct sp_idtab_walk *walk, sp_idtab_node *ret_node) {
    if (walk->state == SP_IDTAB_DONE) {
        return false;
    }
    sp_idtab_node node = walk->next;
    uint32_t link = *idtab_link(walk->tab, node);
    if (walk->state == SP_IDTAB_FIRST && link != 0) {
        walk->last = link - 1;
        walk->next = *idtab_link(walk->tab, walk->last) - 1;
        walk->state = SP_IDTAB_REST;
    } else if (walk->state == SP_IDTAB_FIRST || node == walk->last) {
        walk->state = SP_IDTAB_DONE;
    } else {
        walk->next = link - 1;
    }
    *ret_node = node;
    return true;
}

/*
 * The first link of a slot far ahead, and, for a slot half as far, whose first link has come
 * meanwhile, the last one.
 */
void sp_idtab_prefetch_walk(const struct sp_idtab *tab, uint32_t table, uint32_t slot) {
    enum { NEAR = 8, FAR = 16 };
    const struct sp_idtab_table *at = &tab->tables[table];
    uint64_t far = slot + FAR <= at->mask ? at->slots[slot + FAR] : 0;
    uint64_t near = slot + NEAR <= at->mask ? at->slots[slot + NEAR] : 0;
    if (far != 0) {
        __builtin_prefetch(idtab_link(tab, (uint32_t)(far & NODE_MASK) - 1));
    }
    uint32_t last = near != 0 ? *idtab_link(tab, (uint32_t)(near & NODE_MASK) - 1) : 0;
    if (last != 0) {
        __builtin_prefetch(idtab_link(tab, last - 1));
    }
}

bool sp_idtab_slot(const struct sp_idtab *tab, uint32_t table, uint32_t slot, uint64_t *ret_hash48,
                   struct sp_idtab_walk *ret_walk) {
    sp_require(table < SP_IDTAB_TABLES && slot <= tab->tables[table].mask);
    uint64_t value = tab->tables[table].slots[slot];
    if (value == 0) {
        return false;
    }
    *ret_hash48 = value >> NODE_BITS << TABLE_BITS | table;
    *ret_walk = (struct sp_idtab_walk){
        .tab = tab,
        .next = (uint32_t)(value & NODE_MASK) - 1,
        .state = SP_IDTAB_FIRST,
    };
    return true;
}
