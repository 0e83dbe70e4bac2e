/*
 * Many patterns at once: which subscribers want an event of this type. pure, loop-thread
 *
 * A trie over tokens. Ordinary children are found through one hash table keyed by (node, token),
 * the three wildcards hang at their node directly, so a match costs one lookup for each token and
 * each node that is still possible, plus the ids found: it does not grow with the number of
 * patterns that do not match. Matching and changing use scratch space inside the trie: one thread
 * at a time.
 *
 * The answer depends only on the set of (pattern, id) pairs, not on the order in which they came
 * and went, nor on any hash: it may decide what is written to the log.
 *
 * Limits: given to sp_trie_init; adding beyond them is SP_LIMIT and changes nothing.
 */
#ifndef SP_MATCH_TRIE_H
#define SP_MATCH_TRIE_H

#include "base/htab.h"
#include "match/pattern.h"

struct sp_trie_node;

struct sp_trie {
    struct sp_trie_node *nodes; /* by number; 0 is the root */
    uint32_t node_count;        /* used and freed ones */
    uint32_t node_capacity;
    uint32_t node_free; /* head of the list of freed nodes */
    struct sp_htab
        edges;           /* hash of (node, token) to child, and entries of children that are gone */
    uint32_t edge_count; /* entries whose child is there */
    uint32_t pair_count; /* (pattern, id) pairs */
    uint32_t pair_count_max;
    uint32_t id_max;
    uint32_t id_capacity; /* the highest id in use is below */
    /* Scratch of a match. */
    uint32_t *queue;   /* node numbers: three lists of node_capacity each */
    uint64_t *id_seen; /* by id: the match that found it last */
    uint32_t *found;   /* ids */
    uint32_t found_count;
    uint64_t turn;  /* counts tokens stepped over, so that a mark of an old turn is no mark */
    uint64_t match; /* the turn in which this match began */
    uint64_t steps; /* nodes visited by all matches so far, for tests and metrics */
};

enum {
    SP_TRIE_PAIRS_MAX = 10000000,
    SP_TRIE_IDS_MAX = 10000000,
};

/*
 * Makes an empty trie that will hold at most pair_count_max pairs (at most SP_TRIE_PAIRS_MAX) of
 * ids from 0 to id_max (below SP_TRIE_IDS_MAX). Ids should be small: the scratch space has 12 bytes
 * for each up to the highest in use. Nothing is allocated yet.
 */
void sp_trie_init(struct sp_trie *trie, uint32_t pair_count_max, uint32_t id_max);

void sp_trie_fini(struct sp_trie *trie);

/*
 * Subscribes id to pattern. One id may have many patterns and one pattern many ids. SP_INVALID or
 * SP_LIMIT as sp_pattern_check, SP_CONFLICT where the pair is there already, SP_LIMIT,
 * SP_NO_MEMORY; on all of them nothing has changed. `a.#.#` and `a.#` are the same pattern.
 * O(tokens + ids of this pattern).
 */
SP_WARN_UNUSED sp_status sp_trie_add(struct sp_trie *trie, sp_str pattern, uint32_t id,
                                     struct sp_error *error);

/*
 * Takes back what sp_trie_add did. SP_NOT_FOUND where there is no such pair. O(tokens + ids of this
 * pattern), amortised: from time to time the table of edges is built anew.
 */
SP_WARN_UNUSED sp_status sp_trie_remove(struct sp_trie *trie, sp_str pattern, uint32_t id);

/*
 * Finds the ids subscribed to any pattern that matches the type. Each is given once, however many
 * of its patterns match; the order is fixed by the pairs alone. *ret_ids is borrowed until the next
 * call on the trie. Cannot fail and allocates nothing.
 */
size_t sp_trie_match(struct sp_trie *trie, sp_str type, const uint32_t **ret_ids);

#endif
