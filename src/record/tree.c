/*
 * SHA-256 comes from libcrypto by its low-level calls, which OpenSSL 3 marks deprecated in favour
 * of EVP: an EVP one-shot costs 290 to 390 ns for one event's part, these cost 65 to 160, and this
 * is the busiest loop of the program. They are part of every OpenSSL 1.1 and 3.x.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "record/tree.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/assert.h"
#include "base/wire.h"
#include "record/event.h"

enum { SALT_BYTES = 16, BLOCK_BYTES = 64, LEAF_PREFIX = 0x00, NODE_PREFIX = 0x01, TILE_LEVEL = 8 };

_Static_assert(1 << TILE_LEVEL == SP_TILE_LEAVES, "a tile is the subtree of one level");

static void store_state(const SHA256_CTX *sha, uint8_t ret_hash[SP_HASH_BYTES]) {
    for (int i = 0; i < 8; i++) {
        uint32_t word = __builtin_bswap32((uint32_t)sha->h[i]);
        memcpy(ret_hash + 4 * i, &word, 4);
    }
}

/* Finishes a message of len bytes that lies in `blocks`, which has room for the padding. */
static void hash_padded(uint8_t *blocks, size_t len, uint8_t ret_hash[SP_HASH_BYTES]) {
    size_t block_count = (len + 9 + BLOCK_BYTES - 1) / BLOCK_BYTES;
    size_t total = block_count * BLOCK_BYTES;
    blocks[len] = 0x80;
    memset(blocks + len + 1, 0, total - len - 1 - 8);
    uint64_t bits = __builtin_bswap64((uint64_t)len * 8);
    memcpy(blocks + total - 8, &bits, 8);
    SHA256_CTX sha;
    SHA256_Init(&sha);
    SHA256_Update(&sha, blocks, total); /* whole blocks go through without buffering */
    store_state(&sha, ret_hash);
}

void sp_sha256(const void *bytes, size_t len, uint8_t ret_hash[SP_HASH_BYTES]) {
    SHA256_CTX sha;
    SHA256_Init(&sha);
    SHA256_Update(&sha, bytes, len);
    SHA256_Final(ret_hash, &sha);
}

static void hash_key_and_number(const uint8_t key[SP_HASH_BYTES], uint64_t number,
                                uint8_t ret_hash[SP_HASH_BYTES]) {
    uint8_t blocks[BLOCK_BYTES];
    memcpy(blocks, key, SP_HASH_BYTES);
    sp_put_u64(blocks + SP_HASH_BYTES, number);
    hash_padded(blocks, SP_HASH_BYTES + 8, ret_hash);
}

void sp_salter_init(struct sp_salter *salter, const uint8_t salt_key[SP_HASH_BYTES]) {
    memcpy(salter->salt_key, salt_key, SP_HASH_BYTES);
    memset(salter->group_key, 0, SP_HASH_BYTES);
    salter->group = UINT64_MAX;
}

static void derive_salts(struct sp_salter *salter, uint64_t position,
                         uint8_t ret_salts[2 * SALT_BYTES]) {
    uint64_t group = (position - 1) / SP_TILE_LEAVES;
    if (group != salter->group) {
        hash_key_and_number(salter->salt_key, group, salter->group_key);
        salter->group = group;
    }
    hash_key_and_number(salter->group_key, position, ret_salts);
}

/*
 * SHA-256(salt || bytes). Short messages are padded in place: libcrypto's buffering costs as much
 * again.
 */
static void commit(const uint8_t salt[SALT_BYTES], const void *bytes, size_t len,
                   uint8_t ret_hash[SP_HASH_BYTES]) {
    enum { SHORT_BYTES = 12 * BLOCK_BYTES };
    if (len + SALT_BYTES + 9 <= SHORT_BYTES) {
        uint8_t blocks[SHORT_BYTES];
        memcpy(blocks, salt, SALT_BYTES);
        if (len > 0) {
            memcpy(blocks + SALT_BYTES, bytes, len);
        }
        hash_padded(blocks, SALT_BYTES + len, ret_hash);
        return;
    }
    SHA256_CTX sha;
    SHA256_Init(&sha);
    SHA256_Update(&sha, salt, SALT_BYTES);
    SHA256_Update(&sha, bytes, len);
    SHA256_Final(ret_hash, &sha);
}

void sp_leaf_hash(struct sp_salter *salter, const struct sp_record *record,
                  uint8_t ret_hash[SP_HASH_BYTES]) {
    sp_require(record->kind == SP_RECORD_EVENT && record->position > 0);
    uint8_t salts[2 * SALT_BYTES];
    derive_salts(salter, record->position, salts);
    uint8_t blocks[2 * BLOCK_BYTES];
    uint8_t *leaf = blocks + 1;
    blocks[0] = LEAF_PREFIX;
    memcpy(leaf, "spr1", 4);
    sp_put_u16(leaf + 4, record->flags);
    sp_put_u16(leaf + 6, 0);
    sp_put_u64(leaf + 8, record->position);
    sp_put_u64(leaf + 16, record->recorded_us);
    commit(salts, record->bytes + 8, SP_RECORD_FIXED_BYTES - 8 + record->header.len, leaf + 24);
    commit(salts + SALT_BYTES, record->data.ptr, record->data.len, leaf + 56);
    hash_padded(blocks, 1 + SP_LEAF_RECORD_BYTES, ret_hash);
}

static void hash_node(const uint8_t left[SP_HASH_BYTES], const uint8_t right[SP_HASH_BYTES],
                      uint8_t ret_hash[SP_HASH_BYTES]) {
    uint8_t blocks[2 * BLOCK_BYTES];
    blocks[0] = NODE_PREFIX;
    memcpy(blocks + 1, left, SP_HASH_BYTES);
    memcpy(blocks + 1 + SP_HASH_BYTES, right, SP_HASH_BYTES);
    hash_padded(blocks, 1 + 2 * SP_HASH_BYTES, ret_hash);
}

void sp_tree_init(struct sp_tree *tree) {
    memset(tree, 0, sizeof(*tree));
}

bool sp_tree_add(struct sp_tree *tree, const uint8_t leaf[SP_HASH_BYTES],
                 uint8_t ret_tile[SP_HASH_BYTES]) {
    uint8_t hash[SP_HASH_BYTES];
    memcpy(hash, leaf, SP_HASH_BYTES);
    unsigned level = 0;
    bool tile = false;
    for (uint64_t carry = tree->size; (carry & 1) != 0; carry >>= 1) {
        hash_node(tree->edge[level], hash, hash);
        level++;
        if (level == TILE_LEVEL) {
            tile = true;
            if (ret_tile != NULL) {
                memcpy(ret_tile, hash, SP_HASH_BYTES);
            }
        }
    }
    memcpy(tree->edge[level], hash, SP_HASH_BYTES);
    tree->size++;
    return tile;
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
