/*
 * The tree of what was read, held against what recorded it. The tags of a sealed file name the
 * very event that is not what it was; its tiles and edges, and the roots in block headers and in
 * the checkpoint, show that something was altered even where the tags were rewritten as well.
 *
 * Where a part cannot be read, or differs, the tree is taken up again at the next recorded edge,
 * so that one finding does not hide the next.
 */
#include <stdlib.h>

#include "log/verify_int.h"

static void compare_tag(struct verifier *v, uint64_t position, uint64_t offset,
                        const uint8_t leaf[SP_HASH_BYTES]) {
    uint64_t at = (position - v->recorded.first_position) * 2;
    if (at + 2 <= v->recorded.tags.len && memcmp(v->recorded.tags.data + at, leaf, 2) != 0) {
        verify_say(v, SP_VERIFY_ALTERATION, position, position, offset,
                   "event %llu is not the one that was recorded: its hash is another",
                   (unsigned long long)position);
        v->state.tile_explained = true;
    }
}

/* A tile of 256 leaves ended with event `last`. */
static void compare_tile(struct verifier *v, uint64_t last, const uint8_t root[SP_HASH_BYTES]) {
    uint64_t first_tile = (v->recorded.first_position - 1) / SP_TILE_LEAVES;
    uint64_t at = ((last - 1) / SP_TILE_LEAVES - first_tile) * SP_HASH_BYTES;
    bool known = v->state.tile_known && at + SP_HASH_BYTES <= v->recorded.tiles.len;
    if (known && memcmp(v->recorded.tiles.data + at, root, SP_HASH_BYTES) != 0) {
        if (!v->state.tile_explained) {
            uint64_t first = last + 1 - SP_TILE_LEAVES;
            verify_say(
                v, SP_VERIFY_ALTERATION, first, last, 0,
                "an event among %llu to %llu is not the one that was recorded: their tile of "
                "the Merkle tree has another root",
                (unsigned long long)first, (unsigned long long)last);
        }
        v->state.tree_known = false;
        v->state.mismatch = false; /* it is explained */
    }
    v->state.tile_known = true;
    v->state.tile_explained = false;
}

void verify_tree_add(struct verifier *v, uint64_t position, uint64_t offset,
                     const uint8_t leaf[SP_HASH_BYTES]) {
    struct verify_state *state = &v->state;
    sp_invariant(state->tree.size == position - 1);
    uint8_t root[SP_HASH_BYTES];
    compare_tag(v, position, offset, leaf);
    if (sp_tree_add(&state->tree, leaf, root)) {
        compare_tile(v, position, root);
    }
    verify_claims_pass(v);
}

/* The tree's levels are stale then; whole tiles that follow can be computed all the same. */
void verify_tree_place(struct verifier *v, uint64_t position) {
    struct verify_state *state = &v->state;
    if (state->tree.size != position - 1) {
        state->tree.size = position - 1;
        state->tree_known = false;
        state->tile_known = state->tree.size % SP_TILE_LEAVES == 0;
        state->tile_explained = false;
    }
    verify_claims_pass(v);
}

void verify_tree_gap(struct verifier *v, uint64_t count) {
    verify_tree_place(v, v->state.tree.size + 1 + count);
}

static bool same_tree(const struct sp_tree *a, const struct sp_tree *b) {
    bool same = a->size == b->size;
    for (int level = 0; same && level < SP_TREE_LEVELS_MAX; level++) {
        if ((a->size >> level & 1) != 0) {
            same = memcmp(a->edge[level], b->edge[level], SP_HASH_BYTES) == 0;
        }
    }
    return same;
}

static void take_up(struct verifier *v, const struct sp_tree *edge) {
    v->state.tree = *edge;
    v->state.tree_known = true;
    v->state.tile_known = true;
    v->state.tile_explained = false;
}

void verify_tree_begin(struct verifier *v, const struct sp_tree *edge, uint64_t last_position) {
    uint64_t first = v->recorded.first_position;
    if (edge == NULL) {
        return;
    }
    if (edge->size != first - 1 || (v->state.tree_known && !same_tree(&v->state.tree, edge))) {
        verify_say(
            v, SP_VERIFY_ALTERATION, first, last_position, 0,
            "the Merkle tree before event %llu that the file begins with is not the one that "
            "the events before it have",
            (unsigned long long)first);
    } else if (!v->state.tree_known) {
        take_up(v, edge);
        verify_claims_pass(v);
    }
}

void verify_tree_end(struct verifier *v, const struct sp_tree *edge) {
    struct verify_state *state = &v->state;
    if (edge == NULL) {
        return;
    }
    if (edge->size != state->tree.size) {
        verify_say(v, SP_VERIFY_ALTERATION, 0, 0, 0,
                   "the Merkle tree that the file ends with is of %llu events, not of %llu",
                   (unsigned long long)edge->size, (unsigned long long)state->tree.size);
        return;
    }
    if (state->tree_known && !same_tree(&state->tree, edge) && !state->tile_explained) {
        uint64_t first = state->tree.size / SP_TILE_LEAVES * SP_TILE_LEAVES + 1;
        first = first < v->recorded.first_position ? first : v->recorded.first_position;
        verify_say(
            v, SP_VERIFY_ALTERATION, first, state->tree.size, 0,
            "the Merkle tree that the file ends with is not the one of its events: one among "
            "%llu to %llu was altered, or the record of the tree",
            (unsigned long long)first, (unsigned long long)state->tree.size);
        state->mismatch = false;
    }
    take_up(v, edge);
}

/* ---- roots that block headers and the checkpoint name ---- */

sp_status verify_claim_add(struct verifier *v, const struct verify_claim *claim) {
    const struct verify_claim *last = v->claim_count > 0 ? &v->claims[v->claim_count - 1] : NULL;
    if (last != NULL && last->size == claim->size &&
        memcmp(last->root, claim->root, SP_HASH_BYTES) == 0) {
        return SP_OK;
    }
    if (v->claim_count == v->claim_capacity) {
        size_t capacity = v->claim_capacity == 0 ? 256 : v->claim_capacity * 2;
        struct verify_claim *claims = realloc(v->claims, capacity * sizeof(*claims));
        if (claims == NULL) {
            return SP_NO_MEMORY;
        }
        v->claims = claims;
        v->claim_capacity = capacity;
    }
    v->claims[v->claim_count++] = *claim;
    return SP_OK;
}

/* By size; of the same size the checkpoint last. */
static int by_size(const void *a, const void *b) {
    const struct verify_claim *left = a;
    const struct verify_claim *right = b;
    if (left->size != right->size) {
        return left->size < right->size ? -1 : 1;
    }
    uint64_t left_block = left->block - 1;
    uint64_t right_block = right->block - 1;
    return (left_block > right_block) - (left_block < right_block);
}

void verify_claims_sort(struct verifier *v) {
    if (v->claim_count > 0) {
        qsort(v->claims, v->claim_count, sizeof(*v->claims), by_size);
    }
}

static void say_claim_altered(struct verifier *v, const struct verify_claim *claim) {
    if (claim->block == 0) {
        verify_say_file(
            v, SP_VERIFY_ALTERATION, 0, 0, SP_CHECKPOINT_PATH, 0,
            "it names a root that the first %llu events never had, and the roots recorded "
            "later fit: the checkpoint was altered, not the events",
            (unsigned long long)claim->size);
        return;
    }
    char path[RAW_PATH_BYTES];
    local_raw_path(claim->file_number, path);
    verify_say_file(
        v, SP_VERIFY_ALTERATION, 0, 0, path, claim->offset,
        "the header of block %llu names a root that the first %llu events never had, and "
        "the roots recorded later fit: the header was altered, not the events",
        (unsigned long long)claim->block, (unsigned long long)claim->size);
}

static void compare_claim(struct verifier *v, size_t index) {
    struct verify_state *state = &v->state;
    const struct verify_claim *claim = &v->claims[index];
    uint8_t root[SP_HASH_BYTES];
    sp_tree_root(&state->tree, root);
    if (memcmp(root, claim->root, SP_HASH_BYTES) == 0) {
        if (state->mismatch) {
            say_claim_altered(v, &v->claims[state->mismatch_claim]);
            state->mismatch = false;
        }
        state->proven = claim->size;
    } else if (!state->mismatch) {
        state->mismatch = true;
        state->mismatch_claim = index;
        state->mismatch_proven = state->proven;
    }
}

void verify_claims_pass(struct verifier *v) {
    struct verify_state *state = &v->state;
    while (state->next_claim < v->claim_count &&
           v->claims[state->next_claim].size <= state->tree.size) {
        size_t index = state->next_claim++;
        if (v->claims[index].size == state->tree.size && state->tree_known &&
            !state->tile_explained) {
            compare_claim(v, index);
        }
    }
}

/* The root differed, and no later one agreed: an event was altered. */
void verify_claims_finish(struct verifier *v) {
    const struct verify_state *state = &v->state;
    if (!state->mismatch) {
        return;
    }
    const struct verify_claim *claim = &v->claims[state->mismatch_claim];
    uint64_t first = state->mismatch_proven + 1;
    char path[RAW_PATH_BYTES];
    local_raw_path(claim->file_number, path);
    if (claim->block == 0) {
        verify_say_file(v, SP_VERIFY_ALTERATION, first, claim->size, SP_CHECKPOINT_PATH, 0,
                        "an event among %llu to %llu is not the one that was recorded, or the "
                        "checkpoint was altered: it names another root of the Merkle tree",
                        (unsigned long long)first, (unsigned long long)claim->size);
    } else {
        verify_say_file(
            v, SP_VERIFY_ALTERATION, first, claim->size, path, claim->offset,
            "an event among %llu to %llu is not the one that was recorded: the header of "
            "block %llu names another root of the Merkle tree",
            (unsigned long long)first, (unsigned long long)claim->size,
            (unsigned long long)claim->block);
    }
}
