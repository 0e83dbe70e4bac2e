/* Messages hashed side by side against libcrypto's answer to each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/prng.h"
#include "record/sha256.h"

enum { ROUNDS = 400, MESSAGES_MAX = 20, BYTES_MAX = 700 };

struct messages {
    struct sp_sha256_message all[MESSAGES_MAX];
    uint8_t blocks[MESSAGES_MAX][BYTES_MAX + SP_SHA256_BLOCK_BYTES + 9];
    uint8_t hashes[MESSAGES_MAX][SP_SHA256_BYTES];
    uint8_t expected[MESSAGES_MAX][SP_SHA256_BYTES];
};

static void make(struct messages *messages, struct sp_prng *prng, size_t i, size_t len) {
    uint8_t *blocks = messages->blocks[i];
    memset(blocks, 0xee, sizeof(messages->blocks[i])); /* padding must not count on zeros */
    for (size_t k = 0; k < len; k++) {
        blocks[k] = (uint8_t)sp_prng_next(prng);
    }
    sp_sha256_salted("", 0, blocks, len, messages->expected[i]);
    messages->all[i] = (struct sp_sha256_message){
        .blocks = blocks, .block_count = sp_sha256_pad(blocks, len), .hash = messages->hashes[i]};
}

static void check(bool pair) {
    static struct messages messages;
    struct sp_prng prng = sp_prng_seed(7);
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t count = round % (MESSAGES_MAX + 1);
        for (size_t i = 0; i < count; i++) {
            bool same_lengths = round % 3 == 0;
            make(&messages, &prng, i, same_lengths ? round : sp_prng_below(&prng, BYTES_MAX));
        }
        memset(messages.hashes, 0, sizeof(messages.hashes));
        sp_sha256_all(messages.all, count, pair);
        assert_memory_equal(messages.hashes, messages.expected, count * SP_SHA256_BYTES);
    }
}

static void test_one_by_one(void **state) {
    (void)state;
    check(false);
}

static void test_side_by_side(void **state) {
    (void)state;
    if (!sp_sha256_can_pair()) {
        skip();
    }
    check(true);
}

static void test_blocks_of_a_length(void **state) {
    (void)state;
    assert_int_equal(sp_sha256_blocks(0), 1);
    assert_int_equal(sp_sha256_blocks(55), 1);
    assert_int_equal(sp_sha256_blocks(56), 2);
    assert_int_equal(sp_sha256_blocks(119), 2);
    assert_int_equal(sp_sha256_blocks(120), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_side_by_side),
        cmocka_unit_test(test_blocks_of_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
