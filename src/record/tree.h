/*
 * The Merkle tree over the log's events: leaves, nodes, root (RFC 6962 section 2.1). pure
 *
 * Leaf i of the tree is the event at position i + 1. What is hashed into a leaf is not the event
 * but a small commitment record, so that an event can be erased later and every proof stays valid:
 *
 *     leaf record (88 bytes)  "spr1", u16 flags, u16 0, u64 position, u64 recorded time,
 *                             header commitment[32], data commitment[32]
 *     header commitment       SHA-256(header salt || record bytes 8 to the header's end)
 *     data commitment         SHA-256(data salt || data)
 *     header salt || data salt = SHA-256(group key || u64 position), 16 bytes each
 *     group key               SHA-256(segment's salt key || u64 (position - 1) / 256)
 *     leaf hash               SHA-256(0x00 || leaf record): the event's `hash`
 *     node                    SHA-256(0x01 || left || right)
 *
 * The salts make low-entropy payloads unguessable once they are gone; deriving them costs one hash
 * an event and 32 bytes a segment instead of 32 incompressible bytes an event. Erasing one event
 * later replaces its group's key by the salts of the 255 others.
 */
#ifndef SP_RECORD_TREE_H
#define SP_RECORD_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sp_record;

enum {
    SP_HASH_BYTES = 32,
    SP_HASH_HEX_BYTES = 64,
    SP_TILE_LEAVES = 256, /* leaves of one level-0 tile, as in C2SP tlog-tiles */
    SP_TREE_LEVELS_MAX = 64,
    SP_LEAF_RECORD_BYTES = 88,
};

/* Derives salts; keeps the key of the group it used last. */
struct sp_salter {
    uint8_t salt_key[SP_HASH_BYTES];
    uint8_t group_key[SP_HASH_BYTES];
    uint64_t group; /* of group_key; UINT64_MAX before the first use */
    bool pairs;     /* the processor hashes two messages at a time: see sha256.h */
};

/* Asks the processor what it can do: once for many events, not once for each. */
void sp_salter_init(struct sp_salter *salter, const uint8_t salt_key[SP_HASH_BYTES]);

/*
 * Computes the leaf hashes of event records: about 10 compressions each for 300 bytes. Together
 * they take little more than half the time that they take one by one.
 */
void sp_leaf_hashes(struct sp_salter *salter, const struct sp_record *records, size_t count,
                    uint8_t (*ret_hashes)[SP_HASH_BYTES]);
void sp_leaf_hash(struct sp_salter *salter, const struct sp_record *record,
                  uint8_t ret_hash[SP_HASH_BYTES]);

/*
 * The right edge of a growing tree: for each set bit of the size the root of that perfect subtree,
 * the largest first. Enough to add leaves and to give the root; 2 KiB at most.
 */
struct sp_tree {
    uint64_t size;
    uint8_t edge[SP_TREE_LEVELS_MAX]
                [SP_HASH_BYTES]; /* edge[l]: the perfect subtree of 2^l leaves */
};

void sp_tree_init(struct sp_tree *tree);

/*
 * Adds one leaf hash. Where it completes a tile of SP_TILE_LEAVES leaves the answer is true and the
 * tile's root is written to ret_tile, which may be NULL. One node hash amortised.
 */
bool sp_tree_add(struct sp_tree *tree, const uint8_t leaf[SP_HASH_BYTES],
                 uint8_t ret_tile[SP_HASH_BYTES]);

/*
 * Adds leaf hashes, which are written over. The roots of the tiles that they complete go to
 * ret_tiles, which has room for count / SP_TILE_LEAVES + 1; returns how many. `pairs` as in the
 * salter.
 */
size_t sp_tree_add_all(struct sp_tree *tree, uint8_t (*leaves)[SP_HASH_BYTES], size_t count,
                       uint8_t (*ret_tiles)[SP_HASH_BYTES], bool pairs);

/* The root of the tree as it is; of the empty tree SHA-256 of nothing. O(log size). */
void sp_tree_root(const struct sp_tree *tree, uint8_t ret_root[SP_HASH_BYTES]);

/* Bytes of the packed form: the size and one hash per set bit of it. */
size_t sp_tree_packed_bytes(uint64_t size);
void sp_tree_pack(const struct sp_tree *tree, uint8_t *to);
/* False where the bytes are not a packed tree. */
bool sp_tree_unpack(struct sp_tree *tree, const uint8_t *from, size_t len);

/* Writes 64 hex digits, without a NUL. */
void sp_hash_hex(const uint8_t hash[SP_HASH_BYTES], char text[SP_HASH_HEX_BYTES]);

/* SHA-256 of a run of bytes, for what is not on the hot path. */
void sp_sha256(const void *bytes, size_t len, uint8_t ret_hash[SP_HASH_BYTES]);

#endif
