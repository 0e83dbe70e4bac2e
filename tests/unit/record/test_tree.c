/* The Merkle tree against RFC 6962: its vectors, a tree and leaves made naively. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/prng.h"
#include "base/wire.h"
#include "record/event.h"
#include "record/sha256.h"
#include "record/tree.h"

enum { LEAVES_MAX = 600, DATA_MAX = 1000 };

static void from_hex(const char *text, uint8_t ret_hash[SP_HASH_BYTES]) {
    for (int i = 0; i < SP_HASH_BYTES; i++) {
        unsigned byte = 0;
        for (int k = 0; k < 2; k++) {
            char c = text[2 * i + k];
            byte = byte << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        ret_hash[i] = (uint8_t)byte;
    }
}

static void assert_hash(const uint8_t hash[SP_HASH_BYTES], const char *text) {
    uint8_t expected[SP_HASH_BYTES];
    char hex[SP_HASH_HEX_BYTES];
    from_hex(text, expected);
    assert_memory_equal(hash, expected, SP_HASH_BYTES);
    sp_hash_hex(hash, hex);
    assert_memory_equal(hex, text, SP_HASH_HEX_BYTES);
}

static void test_sha256(void **state) {
    (void)state;
    uint8_t hash[SP_HASH_BYTES];
    sp_sha256("", 0, hash);
    assert_hash(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sp_sha256("abc", 3, hash);
    assert_hash(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* The leaves and roots that the reference implementations of RFC 6962 are tested with. */
static void test_reference_vectors(void **state) {
    (void)state;
    static const sp_str leaves[] = {
        {"", 0},
        {"\x00", 1},
        {"\x10", 1},
        {"\x20\x21", 2},
        {"\x30\x31", 2},
        {"\x40\x41\x42\x43", 4},
        {"\x50\x51\x52\x53\x54\x55\x56\x57", 8},
        {"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16},
    };
    static const char *const roots[] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    };
    struct sp_tree tree;
    sp_tree_init(&tree);
    for (size_t i = 0;; i++) {
        uint8_t root[SP_HASH_BYTES];
        sp_tree_root(&tree, root);
        assert_hash(root, roots[i]);
        if (i == 8) {
            return;
        }
        uint8_t input[17] = {0};
        uint8_t leaf[SP_HASH_BYTES];
        memcpy(input + 1, leaves[i].ptr, leaves[i].len);
        sp_sha256(input, 1 + leaves[i].len, leaf);
        assert_false(sp_tree_add(&tree, leaf, NULL));
    }
}

/* MTH of RFC 6962, section 2.1, word for word. */
static void naive_root(uint8_t (*leaves)[SP_HASH_BYTES], size_t count,
                       uint8_t ret_root[SP_HASH_BYTES]) {
    if (count == 0) {
        sp_sha256("", 0, ret_root);
        return;
    }
    if (count == 1) {
        memcpy(ret_root, leaves[0], SP_HASH_BYTES);
        return;
    }
    size_t half = 1;
    while (half * 2 < count) {
        half *= 2;
    }
    uint8_t node[1 + 2 * SP_HASH_BYTES] = {1};
    naive_root(leaves, half, node + 1);
    naive_root(leaves + half, count - half, node + 1 + SP_HASH_BYTES);
    sp_sha256(node, sizeof(node), ret_root);
}

static uint8_t (*random_leaves(void))[SP_HASH_BYTES] {
    uint8_t(*leaves)[SP_HASH_BYTES] = calloc(LEAVES_MAX, SP_HASH_BYTES);
    assert_non_null(leaves);
    struct sp_prng prng = sp_prng_seed(6962);
    for (size_t i = 0; i < LEAVES_MAX; i++) {
        for (size_t k = 0; k < SP_HASH_BYTES; k++) {
            leaves[i][k] = (uint8_t)sp_prng_next(&prng);
        }
    }
    return leaves;
}

static void check_packed(const struct sp_tree *tree, const uint8_t root[SP_HASH_BYTES]) {
    uint8_t packed[8 + SP_TREE_LEVELS_MAX * SP_HASH_BYTES];
    size_t len = sp_tree_packed_bytes(tree->size);
    sp_tree_pack(tree, packed);
    struct sp_tree again;
    uint8_t found[SP_HASH_BYTES];
    assert_true(sp_tree_unpack(&again, packed, len));
    assert_int_equal(again.size, tree->size);
    sp_tree_root(&again, found);
    assert_memory_equal(found, root, SP_HASH_BYTES);
    assert_false(sp_tree_unpack(&again, packed, len - 1));
    assert_false(sp_tree_unpack(&again, packed, len + 1));
    assert_false(sp_tree_unpack(&again, packed, 7));
}

static void test_tree_agrees_with_a_naive_one(void **state) {
    (void)state;
    uint8_t(*leaves)[SP_HASH_BYTES] = random_leaves();
    struct sp_tree tree;
    sp_tree_init(&tree);
    for (size_t size = 0; size <= LEAVES_MAX; size++) {
        uint8_t root[SP_HASH_BYTES];
        uint8_t expected[SP_HASH_BYTES];
        sp_tree_root(&tree, root);
        naive_root(leaves, size, expected);
        assert_memory_equal(root, expected, SP_HASH_BYTES);
        check_packed(&tree, root);
        if (size < LEAVES_MAX) {
            (void)sp_tree_add(&tree, leaves[size], NULL);
        }
    }
    free(leaves);
}

static void test_tiles(void **state) {
    (void)state;
    uint8_t(*leaves)[SP_HASH_BYTES] = random_leaves();
    struct sp_tree tree;
    sp_tree_init(&tree);
    for (size_t i = 0; i < LEAVES_MAX; i++) {
        uint8_t tile[SP_HASH_BYTES];
        uint8_t expected[SP_HASH_BYTES];
        bool complete = sp_tree_add(&tree, leaves[i], tile);
        assert_int_equal(complete, (i + 1) % SP_TILE_LEAVES == 0);
        if (complete) {
            naive_root(leaves + i + 1 - SP_TILE_LEAVES, SP_TILE_LEAVES, expected);
            assert_memory_equal(tile, expected, SP_HASH_BYTES);
        }
    }
    free(leaves);
}

/* Leaves that are added many at a time make the same tree and the same tiles. */
static void test_adding_many(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(3);
    for (size_t round = 0; round < 60; round++) {
        uint8_t(*leaves)[SP_HASH_BYTES] = random_leaves();
        struct sp_tree one_by_one;
        struct sp_tree many;
        sp_tree_init(&one_by_one);
        sp_tree_init(&many);
        for (size_t at = 0, count; at < LEAVES_MAX; at += count) {
            uint8_t expected[LEAVES_MAX / SP_TILE_LEAVES + 1][SP_HASH_BYTES];
            uint8_t tiles[LEAVES_MAX / SP_TILE_LEAVES + 1][SP_HASH_BYTES];
            size_t completed = 0;
            size_t most = LEAVES_MAX - at;
            count = round % 2 == 0 ? 1 + sp_prng_below(&prng, 70)
                                   : 1 + sp_prng_below(&prng, LEAVES_MAX);
            count = count > most ? most : count;
            for (size_t i = at; i < at + count; i++) {
                completed += sp_tree_add(&one_by_one, leaves[i], expected[completed]);
            }
            size_t tile_count =
                sp_tree_add_all(&many, leaves + at, count, tiles, sp_sha256_can_pair());
            assert_int_equal(tile_count, completed);
            assert_memory_equal(tiles, expected, completed * SP_HASH_BYTES);
            uint8_t root[SP_HASH_BYTES];
            sp_tree_root(&one_by_one, root);
            check_packed(&many, root);
        }
        free(leaves);
    }
}

/* The leaf hash as record/tree.h describes it, put together from whole messages. */
static void naive_leaf(const uint8_t salt_key[SP_HASH_BYTES], const struct sp_record *record,
                       uint8_t ret_hash[SP_HASH_BYTES]) {
    uint8_t input[SP_HASH_BYTES + 8];
    uint8_t group_key[SP_HASH_BYTES];
    uint8_t salts[SP_HASH_BYTES];
    memcpy(input, salt_key, SP_HASH_BYTES);
    sp_put_u64(input + SP_HASH_BYTES, (record->position - 1) / SP_TILE_LEAVES);
    sp_sha256(input, sizeof(input), group_key);
    memcpy(input, group_key, SP_HASH_BYTES);
    sp_put_u64(input + SP_HASH_BYTES, record->position);
    sp_sha256(input, sizeof(input), salts);

    uint8_t leaf[1 + SP_LEAF_RECORD_BYTES] = {0};
    memcpy(leaf + 1, "spr1", 4);
    sp_put_u16(leaf + 5, record->flags);
    sp_put_u64(leaf + 9, record->position);
    sp_put_u64(leaf + 17, record->recorded_us);
    uint8_t *message = malloc(16 + (size_t)record->size);
    assert_non_null(message);
    size_t header = SP_RECORD_FIXED_BYTES - 8 + record->header.len;
    memcpy(message, salts, 16);
    memcpy(message + 16, record->bytes + 8, header);
    sp_sha256(message, 16 + header, leaf + 25);
    memcpy(message, salts + 16, 16);
    memcpy(message + 16, record->data.ptr, record->data.len);
    sp_sha256(message, 16 + record->data.len, leaf + 57);
    free(message);
    sp_sha256(leaf, sizeof(leaf), ret_hash);
}

/* Data of every length around the paddings' and the short path's limits; many groups. */
static void test_leaf_hashes(void **state) {
    (void)state;
    uint8_t salt_key[SP_HASH_BYTES];
    memset(salt_key, 0x33, sizeof(salt_key));
    struct sp_salter salter;
    sp_salter_init(&salter, salt_key);
    char data[DATA_MAX];
    memset(data, 'd', sizeof(data));
    uint8_t bytes[DATA_MAX + 300];
    for (size_t len = 0; len < DATA_MAX; len++) {
        struct sp_event event = {.position = 1 + len * 37 % 1000,
                                 .version = 1,
                                 .recorded_us = len,
                                 .data = sp_str_of(data, len),
                                 .has_data = len > 0,
                                 .data_is_json = len % 2 == 1};
        for (int i = 0; i < SP_ATTR_CAUSATION; i++) {
            event.attr[i] = sp_str_of(data, len % 40 + 1);
        }
        size_t size = sp_record_encode(&event, bytes);
        struct sp_record record;
        uint8_t hash[SP_HASH_BYTES];
        uint8_t expected[SP_HASH_BYTES];
        assert_int_equal(sp_record_read(sp_str_of(bytes, size), event.position, &record), SP_OK);
        sp_leaf_hash(&salter, &record, hash);
        naive_leaf(salt_key, &record, expected);
        assert_memory_equal(hash, expected, SP_HASH_BYTES);
    }
}

/* Records of unlike sizes, over the border of a group of salts; with and without pairs. */
static void test_leaf_hashes_together(void **state) {
    (void)state;
    enum { RECORDS = 29, FIRST = 240 };
    uint8_t salt_key[SP_HASH_BYTES];
    memset(salt_key, 0x35, sizeof(salt_key));
    char data[DATA_MAX];
    memset(data, 'e', sizeof(data));
    static uint8_t bytes[RECORDS][DATA_MAX + 300];
    struct sp_record records[RECORDS];
    for (size_t i = 0; i < RECORDS; i++) {
        struct sp_event event = {.position = FIRST + i,
                                 .version = 1,
                                 .recorded_us = i,
                                 .data = sp_str_of(data, i * 331 % DATA_MAX),
                                 .has_data = true};
        for (int k = 0; k < SP_ATTR_CAUSATION; k++) {
            event.attr[k] = sp_str_of(data, i + 1);
        }
        size_t size = sp_record_encode(&event, bytes[i]);
        sp_status status = sp_record_read(sp_str_of(bytes[i], size), event.position, &records[i]);
        assert_int_equal(status, SP_OK);
    }
    for (size_t count = 0; count <= RECORDS; count++) {
        uint8_t hashes[2][RECORDS][SP_HASH_BYTES];
        for (int pass = 0; pass < 2; pass++) {
            struct sp_salter salter;
            sp_salter_init(&salter, salt_key);
            salter.pairs = salter.pairs && pass == 1;
            sp_leaf_hashes(&salter, records, count, hashes[pass]);
        }
        for (size_t i = 0; i < count; i++) {
            uint8_t expected[SP_HASH_BYTES];
            naive_leaf(salt_key, &records[i], expected);
            assert_memory_equal(hashes[0][i], expected, SP_HASH_BYTES);
            assert_memory_equal(hashes[1][i], expected, SP_HASH_BYTES);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_reference_vectors),
        cmocka_unit_test(test_tree_agrees_with_a_naive_one),
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_adding_many),
        cmocka_unit_test(test_leaf_hashes),
        cmocka_unit_test(test_leaf_hashes_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
