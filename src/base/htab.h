/*
 * A hash table from a 64-bit hash to a 32-bit value, for tables whose entries live elsewhere. pure
 *
 * Open addressing, linear probing, eight bytes a slot: the upper half of the hash and the value.
 * Keys are not stored: a lookup yields every value whose upper hash half matches, and the caller
 * compares the entry itself. Values are below UINT32_MAX. Insertion is O(1) amortised; a doubling
 * moves all slots once. Iteration order means nothing and is not offered.
 */
#ifndef SP_BASE_HTAB_H
#define SP_BASE_HTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct sp_htab {
    uint64_t *slots; /* 0 is empty; else upper hash half << 32 | value + 1 */
    uint32_t mask;   /* slots - 1; 0 where none are allocated */
    uint32_t count;
};

/* Walks the values that may belong to one hash. */
struct sp_htab_probe {
    const struct sp_htab *table;
    uint32_t tag;
    uint32_t at;
};

void sp_htab_init(struct sp_htab *table);
void sp_htab_fini(struct sp_htab *table);

/* Makes room for `count` entries in all. SP_NO_MEMORY leaves the table as it was. */
SP_WARN_UNUSED sp_status sp_htab_reserve(struct sp_htab *table, size_t count);

/* Adds a value; the caller has made sure that its key is not there yet. SP_OK or SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_htab_add(struct sp_htab *table, uint64_t hash, uint32_t value);

/*
 * Takes one entry of this hash and value out; it is there. The slots behind it close up, so that
 * nothing is left of it. O(1) on average.
 */
void sp_htab_remove(struct sp_htab *table, uint64_t hash, uint32_t value);

/* Forgets all entries and keeps the storage. */
void sp_htab_clear(struct sp_htab *table);

/* Brings the hash's slot towards the cache; a hint, for lookups that come in batches. */
static inline void sp_htab_prefetch(const struct sp_htab *table, uint64_t hash) {
    if (table->slots != NULL) {
        __builtin_prefetch(&table->slots[(uint32_t)(hash >> 32) & table->mask]);
    }
}

static inline struct sp_htab_probe sp_htab_find(const struct sp_htab *table, uint64_t hash) {
    uint32_t tag = (uint32_t)(hash >> 32);
    return (struct sp_htab_probe){.table = table, .tag = tag, .at = tag & table->mask};
}

/* Yields the next candidate; false when there are no more. */
static inline bool sp_htab_next(struct sp_htab_probe *probe, uint32_t *ret_value) {
    const struct sp_htab *table = probe->table;
    if (table->slots == NULL) {
        return false;
    }
    for (;;) {
        uint64_t slot = table->slots[probe->at];
        if (slot == 0) {
            return false;
        }
        probe->at = (probe->at + 1) & table->mask;
        if ((uint32_t)(slot >> 32) == probe->tag) {
            *ret_value = (uint32_t)slot - 1;
            return true;
        }
    }
}

#endif
