/*
 * The id table of a tail: from the hash of an id to the events that have it or were caused by it.
 * pure
 *
 * Of a hash the upper 48 bits count. A node is one entry: role and ordinal in 24 bits. A slot is
 * eight bytes: 40 bits of the hash and the first node; the other 8 bits choose one of 256 tables,
 * which double one by one, so that no add waits for a large move. The nodes of one hash form a list
 * in the order in which they were added, through one link per node, so that a cause with a million
 * effects, or an id that a million sources use, costs no more to enter than any other:
 *
 *     slot ──> first        link(first) = last
 *              second …     link(any other) = the next one
 *              last         link(last) = second
 *
 * The last node is found through the first, and the second through the last: appending and walking
 * in order need no other field. A link of 0 at the first node says that it is alone.
 */
#ifndef SP_INDEX_IDTAB_H
#define SP_INDEX_IDTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    SP_IDTAB_TABLES = 256,
    SP_IDTAB_ROLES = 3,
    SP_IDTAB_ORDINAL_BITS = 22,
    SP_IDTAB_LINKS = 4096, /* per chunk */
    SP_IDTAB_LINK_CHUNKS = (1 << SP_IDTAB_ORDINAL_BITS) / SP_IDTAB_LINKS,
};

/* A node: number of the role << SP_IDTAB_ORDINAL_BITS | ordinal. */
typedef uint32_t sp_idtab_node;

struct sp_idtab_table {
    uint64_t *slots; /* 0 is empty; else upper 40 bits of the 48 << 24 | first node + 1 */
    uint32_t mask;   /* slots - 1 */
    uint32_t count;  /* of slots in use */
};

struct sp_idtab {
    uint64_t factor; /* odd */
    struct sp_idtab_table tables[SP_IDTAB_TABLES];
    uint32_t *links[SP_IDTAB_ROLES][SP_IDTAB_LINK_CHUNKS]; /* a node + 1; NULL where no node is */
    size_t size_bytes;                                     /* allocated */
    uint32_t node_count;
};

static inline uint64_t sp_idtab_hash48(uint64_t hash) {
    return hash >> 16;
}

/* `factor` is odd and decides where in the tables hashes go. Nothing is allocated yet. */
void sp_idtab_init(struct sp_idtab *tab, uint64_t factor);
void sp_idtab_fini(struct sp_idtab *tab);

/* Makes sure that sp_idtab_add of this hash and node finds room. SP_OK or SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_idtab_reserve(struct sp_idtab *tab, uint64_t hash48,
                                          sp_idtab_node node);

/* Enters what was reserved for. O(1). */
void sp_idtab_add(struct sp_idtab *tab, uint64_t hash48, sp_idtab_node node);

/* Hashes that have nodes. O(SP_IDTAB_TABLES). */
uint32_t sp_idtab_count(const struct sp_idtab *tab);

void sp_idtab_prefetch(const struct sp_idtab *tab, uint64_t hash48);

/* A walk over the nodes of one hash, in the order in which they were added. */
struct sp_idtab_walk {
    const struct sp_idtab *tab;
    sp_idtab_node next;
    sp_idtab_node last; /* set once the first node is past */
    enum { SP_IDTAB_FIRST, SP_IDTAB_REST, SP_IDTAB_DONE } state;
};

/* The table must not change during the walk. */
struct sp_idtab_walk sp_idtab_find(const struct sp_idtab *tab, uint64_t hash48);
bool sp_idtab_next(struct sp_idtab_walk *walk, sp_idtab_node *ret_node);

/* The walk over a slot's nodes, and the hash the slot stands for; false where the slot is empty. */
bool sp_idtab_slot(const struct sp_idtab *tab, uint32_t table, uint32_t slot, uint64_t *ret_hash48,
                   struct sp_idtab_walk *ret_walk);

/* For who visits slot after slot: brings towards the cache what the walks after this one touch. */
void sp_idtab_prefetch_walk(const struct sp_idtab *tab, uint32_t table, uint32_t slot);

#endif
