#include "record/tree.h"

#include <string.h>

#include "base/assert.h"
#include "base/wire.h"
#include "record/event.h"
#include "record/sha256.h"

enum {
    SALT_BYTES = 16,
    BLOCK_BYTES = SP_SHA256_BLOCK_BYTES,
    SHORT_BYTES = 12 * BLOCK_BYTES, /* a commitment that is padded in place, for speed */
    LEAF_BLOCKS = 2 * BLOCK_BYTES,
    GROUP_LEAVES = 8, /* whose messages are hashed together */
    LEAF_PREFIX = 0x00,
    NODE_PREFIX = 0x01,
    TILE_LEVEL = 8,
};

_Static_assert(1 << TILE_LEVEL == SP_TILE_LEAVES, "a tile is the subtree of one level");
_Static_assert((int)SP_HASH_BYTES == (int)SP_SHA256_BYTES, "the tree's hash is SHA-256");

void sp_sha256(const void *bytes, size_t len, uint8_t ret_hash[SP_HASH_BYTES]) {
    sp_sha256_salted("", 0, bytes, len, ret_hash);
}

/* ---- leaves ---------------------------------------------------------------------------------- */

/* A key and a number: one block. The answer may be the key itself. */
static struct sp_sha256_message numbered_key(uint8_t block[BLOCK_BYTES],
                                             const uint8_t key[SP_HASH_BYTES], uint64_t number,
                                             uint8_t ret_hash[SP_HASH_BYTES]) {
    memcpy(block, key, SP_HASH_BYTES);
    sp_put_u64(block + SP_HASH_BYTES, number);
    size_t blocks = sp_sha256_pad(block, SP_HASH_BYTES + 8);
    return (struct sp_sha256_message){.blocks = block, .block_count = blocks, .hash = ret_hash};
}

void sp_salter_init(struct sp_salter *salter, const uint8_t salt_key[SP_HASH_BYTES]) {
    memcpy(salter->salt_key, salt_key, SP_HASH_BYTES);
    memset(salter->group_key, 0, SP_HASH_BYTES);
    salter->group = UINT64_MAX;
    salter->pairs = sp_sha256_can_pair();
}

static void enter_group(struct sp_salter *salter, uint64_t group) {
    uint8_t block[BLOCK_BYTES];
    struct sp_sha256_message message =
        numbered_key(block, salter->salt_key, group, salter->group_key);
    sp_sha256_all(&message, 1, salter->pairs);
    salter->group = group;
}

/* Header salt and data salt of each record. */
static void derive_salts(struct sp_salter *salter, const struct sp_record *records, size_t count,
                         uint8_t (*ret_salts)[2 * SALT_BYTES]) {
    uint8_t blocks[GROUP_LEAVES][BLOCK_BYTES];
    struct sp_sha256_message messages[GROUP_LEAVES];
    sp_require(count > 0 && count <= GROUP_LEAVES);
    for (size_t i = 0; i < count; i++) {
        uint64_t position = records[i].position;
        uint64_t group = (position - 1) / SP_TILE_LEAVES;
        if (group != salter->group) {
            enter_group(salter, group);
        }
        messages[i] = numbered_key(blocks[i], salter->group_key, position, ret_salts[i]);
    }
    sp_sha256_all(messages, count, salter->pairs);
}

/* Messages to be hashed together, and room for what is copied of them. */
struct commitments {
    struct sp_sha256_message messages[2 * GROUP_LEAVES];
    size_t count;
    uint8_t blocks[2 * GROUP_LEAVES][SHORT_BYTES];
};

/* SHA-256(salt || bytes): a short message joins the others, a long one is hashed at once. */
static void commit(struct commitments *these, const uint8_t salt[SALT_BYTES], const void *bytes,
                   size_t len, uint8_t ret_hash[SP_HASH_BYTES]) {
    if (len > SHORT_BYTES - SALT_BYTES - 9) {
        sp_sha256_salted(salt, SALT_BYTES, bytes, len, ret_hash);
        return;
    }
    uint8_t *blocks = these->blocks[these->count];
    memcpy(blocks, salt, SALT_BYTES);
    if (len > 0) {
        memcpy(blocks + SALT_BYTES, bytes, len);
    }
    these->messages[these->count++] = (struct sp_sha256_message){
        .blocks = blocks, .block_count = sp_sha256_pad(blocks, SALT_BYTES + len), .hash = ret_hash};
}

/* The leaf record, save for its commitments, behind the prefix; with its padding two blocks. */
static void put_leaf(uint8_t to[LEAF_BLOCKS], const struct sp_record *record) {
    uint8_t *leaf = to + 1;
    to[0] = LEAF_PREFIX;
    memcpy(leaf, "spr1", 4);
    sp_put_u16(leaf + 4, record->flags);
    sp_put_u16(leaf + 6, 0);
    sp_put_u64(leaf + 8, record->position);
    sp_put_u64(leaf + 16, record->recorded_us);
    size_t blocks = sp_sha256_pad(to, 1 + SP_LEAF_RECORD_BYTES);
    sp_ensure(blocks * BLOCK_BYTES == LEAF_BLOCKS);
}

static void hash_group(struct sp_salter *salter, const struct sp_record *records, size_t count,
                       uint8_t (*ret_hashes)[SP_HASH_BYTES]) {
    uint8_t salts[GROUP_LEAVES][2 * SALT_BYTES];
    uint8_t leaves[GROUP_LEAVES][LEAF_BLOCKS];
    struct sp_sha256_message messages[GROUP_LEAVES];
    struct commitments these;
    these.count = 0;
    derive_salts(salter, records, count, salts);
    for (size_t i = 0; i < count; i++) {
        const struct sp_record *record = &records[i];
        sp_require(record->kind == SP_RECORD_EVENT && record->position > 0);
        put_leaf(leaves[i], record);
        uint8_t *header_commitment = leaves[i] + 1 + 24;
        commit(&these, salts[i], record->bytes + 8, SP_RECORD_FIXED_BYTES - 8 + record->header.len,
               header_commitment);
        commit(&these, salts[i] + SALT_BYTES, record->data.ptr, record->data.len,
               header_commitment + SP_HASH_BYTES);
        messages[i] = (struct sp_sha256_message){
            .blocks = leaves[i], .block_count = LEAF_BLOCKS / BLOCK_BYTES, .hash = ret_hashes[i]};
    }
    sp_sha256_all(these.messages, these.count, salter->pairs);
    sp_sha256_all(messages, count, salter->pairs);
}

void sp_leaf_hashes(struct sp_salter *salter, const struct sp_record *records, size_t count,
                    uint8_t (*ret_hashes)[SP_HASH_BYTES]) {
    for (size_t at = 0; at < count; at += GROUP_LEAVES) {
        size_t group = count - at < GROUP_LEAVES ? count - at : GROUP_LEAVES;
        hash_group(salter, records + at, group, ret_hashes + at);
    }
}

void sp_leaf_hash(struct sp_salter *salter, const struct sp_record *record,
                  uint8_t ret_hash[SP_HASH_BYTES]) {
    uint8_t hash[1][SP_HASH_BYTES];
    hash_group(salter, record, 1, hash);
    memcpy(ret_hash, hash[0], SP_HASH_BYTES);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

enum { NODE_BLOCKS = 2 * BLOCK_BYTES };

static struct sp_sha256_message node_of(uint8_t blocks[NODE_BLOCKS],
                                        const uint8_t left[SP_HASH_BYTES],
                                        const uint8_t right[SP_HASH_BYTES],
                                        uint8_t ret_hash[SP_HASH_BYTES]) {
    blocks[0] = NODE_PREFIX;
    memcpy(blocks + 1, left, SP_HASH_BYTES);
    memcpy(blocks + 1 + SP_HASH_BYTES, right, SP_HASH_BYTES);
    size_t count = sp_sha256_pad(blocks, 1 + 2 * SP_HASH_BYTES);
    return (struct sp_sha256_message){.blocks = blocks, .block_count = count, .hash = ret_hash};
}

static void hash_node(const uint8_t left[SP_HASH_BYTES], const uint8_t right[SP_HASH_BYTES],
                      uint8_t ret_hash[SP_HASH_BYTES]) {
    uint8_t blocks[NODE_BLOCKS];
    struct sp_sha256_message message = node_of(blocks, left, right, ret_hash);
    sp_sha256_all(&message, 1, false);
}

void sp_tree_init(struct sp_tree *tree) {
    memset(tree, 0, sizeof(*tree));
}

/*
 * The parents of nodes that stand side by side, written over them from the front. `left` is the
 * first one's elder sister where it has one, else NULL. Two parents at a time.
 */
static size_t hash_parents(uint8_t (*nodes)[SP_HASH_BYTES], size_t count, const uint8_t *left,
                           bool pairs) {
    size_t odd = left != NULL ? 1 : 0;
    size_t parents = (count + odd) / 2;
    for (size_t i = 0; i < parents; i += 2) {
        uint8_t blocks[2][NODE_BLOCKS];
        struct sp_sha256_message messages[2];
        size_t these = parents - i < 2 ? 1 : 2;
        for (size_t k = i; k < i + these; k++) {
            messages[k - i] = node_of(blocks[k - i], k == 0 && odd ? left : nodes[2 * k - odd],
                                      nodes[2 * k + 1 - odd], nodes[k]);
        }
        sp_sha256_all(messages, these, pairs);
    }
    return parents;
}

size_t sp_tree_add_all(struct sp_tree *tree, uint8_t (*leaves)[SP_HASH_BYTES], size_t count,
                       uint8_t (*ret_tiles)[SP_HASH_BYTES], bool pairs) {
    uint64_t first = tree->size; /* number of the first of these nodes among those of its level */
    size_t tiles = 0;
    tree->size += count;
    for (unsigned level = 0; count > 0; level++, first >>= 1) {
        if (level == TILE_LEVEL) {
            memcpy(ret_tiles, leaves, count * sizeof(*leaves));
            tiles = count;
        }
        uint8_t last[SP_HASH_BYTES];
        bool has_left = (first & 1) != 0;
        bool last_is_left = ((first + count) & 1) != 0; /* it waits for its sister */
        memcpy(last, leaves[count - 1], SP_HASH_BYTES);
        count = hash_parents(leaves, count, has_left ? tree->edge[level] : NULL, pairs);
        if (last_is_left) {
            memcpy(tree->edge[level], last, SP_HASH_BYTES);
        }
    }
    return tiles;
}

bool sp_tree_add(struct sp_tree *tree, const uint8_t leaf[SP_HASH_BYTES],
                 uint8_t ret_tile[SP_HASH_BYTES]) {
    uint8_t leaves[1][SP_HASH_BYTES];
    uint8_t tiles[1][SP_HASH_BYTES];
    memcpy(leaves[0], leaf, SP_HASH_BYTES);
    bool complete = sp_tree_add_all(tree, leaves, 1, tiles, false) > 0;
    if (complete && ret_tile != NULL) {
        memcpy(ret_tile, tiles[0], SP_HASH_BYTES);
    }
    return complete;
}

void sp_tree_root(const struct sp_tree *tree, uint8_t ret_root[SP_HASH_BYTES]) {
    if (tree->size == 0) {
        sp_sha256("", 0, ret_root);
        return;
    }
    unsigned level = (unsigned)__builtin_ctzll(tree->size);
    uint8_t hash[SP_HASH_BYTES];
    memcpy(hash, tree->edge[level], SP_HASH_BYTES);
    for (level++; level < SP_TREE_LEVELS_MAX && tree->size >> level != 0; level++) {
        if ((tree->size >> level & 1) != 0) {
            hash_node(tree->edge[level], hash, hash);
        }
    }
    memcpy(ret_root, hash, SP_HASH_BYTES);
}

size_t sp_tree_packed_bytes(uint64_t size) {
    return 8 + (size_t)__builtin_popcountll(size) * SP_HASH_BYTES;
}

void sp_tree_pack(const struct sp_tree *tree, uint8_t *to) {
    sp_put_u64(to, tree->size);
    to += 8;
    for (int level = SP_TREE_LEVELS_MAX - 1; level >= 0; level--) {
        if ((tree->size >> level & 1) != 0) {
            memcpy(to, tree->edge[level], SP_HASH_BYTES);
            to += SP_HASH_BYTES;
        }
    }
}

bool sp_tree_unpack(struct sp_tree *tree, const uint8_t *from, size_t len) {
    if (len < 8 || len != sp_tree_packed_bytes(sp_get_u64(from))) {
        return false;
    }
    sp_tree_init(tree);
    tree->size = sp_get_u64(from);
    from += 8;
    for (int level = SP_TREE_LEVELS_MAX - 1; level >= 0; level--) {
        if ((tree->size >> level & 1) != 0) {
            memcpy(tree->edge[level], from, SP_HASH_BYTES);
            from += SP_HASH_BYTES;
        }
    }
    return true;
}

void sp_hash_hex(const uint8_t hash[SP_HASH_BYTES], char text[SP_HASH_HEX_BYTES]) {
    static const char digits[16] = {'0', '1', '2', '3', '4', '5', '6', '7',
                                    '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
    for (int i = 0; i < SP_HASH_BYTES; i++) {
        text[2 * i] = digits[hash[i] >> 4];
        text[2 * i + 1] = digits[hash[i] & 15];
    }
}
