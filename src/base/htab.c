#include "base/htab.h"

#include <stdlib.h>
#include <string.h>

enum { HTAB_FIRST_SLOTS = 64 };

void sp_htab_init(struct sp_htab *table) {
    *table = (struct sp_htab){.slots = NULL};
}

void sp_htab_fini(struct sp_htab *table) {
    free(table->slots);
    *table = (struct sp_htab){.slots = NULL};
}

void sp_htab_clear(struct sp_htab *table) {
    if (table->slots != NULL) {
        memset(table->slots, 0, ((size_t)table->mask + 1) * sizeof(*table->slots));
    }
    table->count = 0;
}

static void htab_place(uint64_t *slots, uint32_t mask, uint64_t slot) {
    uint32_t at = (uint32_t)(slot >> 32) & mask;
    while (slots[at] != 0) {
        at = (at + 1) & mask;
    }
    slots[at] = slot;
}

/* Filled to three quarters at most: linear probing grows slow beyond. */
static bool htab_has_room(const struct sp_htab *table, size_t count) {
    size_t slots = (size_t)table->mask + 1;
    return table->slots != NULL && count <= slots - slots / 4;
}

sp_status sp_htab_reserve(struct sp_htab *table, size_t count) {
    if (htab_has_room(table, count)) {
        return SP_OK;
    }
    sp_require(count < (size_t)1 << 31);
    size_t slot_count = table->slots != NULL ? ((size_t)table->mask + 1) * 2 : HTAB_FIRST_SLOTS;
    while (count > slot_count - slot_count / 4) {
        slot_count *= 2;
    }
    uint64_t *slots = calloc(slot_count, sizeof(*slots));
    if (slots == NULL) {
        return SP_NO_MEMORY;
    }
    uint32_t mask = (uint32_t)(slot_count - 1);
    for (size_t i = 0; table->slots != NULL && i <= table->mask; i++) {
        if (table->slots[i] != 0) {
            htab_place(slots, mask, table->slots[i]);
        }
    }
    free(table->slots);
    table->slots = slots;
    table->mask = mask;
    return SP_OK;
}

sp_status sp_htab_add(struct sp_htab *table, uint64_t hash, uint32_t value) {
    sp_require(value < UINT32_MAX);
    sp_status status = sp_htab_reserve(table, (size_t)table->count + 1);
    if (status != SP_OK) {
        return status;
    }
    htab_place(table->slots, table->mask, (hash >> 32) << 32 | ((uint64_t)value + 1));
    table->count++;
    return SP_OK;
}

/* Whether an entry whose home is `home` may move from `from` back to `to`, a free slot. */
static bool htab_may_move(uint32_t home, uint32_t from, uint32_t to, uint32_t mask) {
    return ((from - home) & mask) >= ((from - to) & mask);
}

void sp_htab_remove(struct sp_htab *table, uint64_t hash, uint32_t value) {
    sp_require(table->slots != NULL && value < UINT32_MAX);
    uint64_t slot = (hash >> 32) << 32 | ((uint64_t)value + 1);
    uint32_t mask = table->mask;
    uint32_t hole = (uint32_t)(slot >> 32) & mask;
    while (table->slots[hole] != slot) {
        sp_require(table->slots[hole] != 0);
        hole = (hole + 1) & mask;
    }
    for (uint32_t at = (hole + 1) & mask; table->slots[at] != 0; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)(table->slots[at] >> 32) & mask;
        if (htab_may_move(home, at, hole, mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole] = 0;
    sp_invariant(table->count > 0);
    table->count--;
}
