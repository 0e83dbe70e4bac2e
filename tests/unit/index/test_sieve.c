/* The filter's arithmetic and the groups of the sieve. */
#include <stdlib.h>

#include "index/sieve.h"
#include "model.h"

enum { KEYS = 3000, COLUMNS = 70 };

static uint64_t key_of(uint32_t column, uint32_t number) {
    struct sp_prng prng = sp_prng_seed((uint64_t)column << 32 | number);
    return sp_prng_next(&prng);
}

static uint64_t *filter_of(uint32_t column, uint32_t blocks) {
    uint64_t *words = calloc(blocks, SP_FILTER_BLOCK_BYTES);
    assert_non_null(words);
    for (uint32_t i = 0; i < KEYS; i++) {
        uint64_t key = key_of(column, i);
        uint64_t *block = words + (size_t)sp_filter_block(key, blocks) * SP_FILTER_BLOCK_WORDS;
        uint64_t probes = sp_filter_probes(key);
        for (int j = 0; j < SP_FILTER_PROBES; j++) {
            block[probes % 512 / 64] |= (uint64_t)1 << probes % 64;
            probes >>= SP_FILTER_PROBE_BITS;
        }
    }
    return words;
}

/* Sizes are 4, 5, 6 or 7 times a power of two, the smallest that gives the bits a key needs. */
static void sizes_are_few_and_large_enough(void **state) {
    (void)state;
    uint32_t last = 0;
    for (uint32_t keys = 0; keys < 30000000; keys += keys / 7 + 1) {
        uint32_t blocks = sp_filter_blocks(keys);
        uint32_t odd = blocks;
        while (odd % 2 == 0 && odd > 4) {
            odd /= 2;
        }
        assert_true(odd >= 3 && odd <= 7);
        assert_true(blocks >= 4 && blocks >= last);
        assert_true((uint64_t)blocks * SP_FILTER_BLOCK_BITS >= (uint64_t)keys * SP_FILTER_KEY_BITS);
        assert_true(keys < 200 || (uint64_t)blocks * SP_FILTER_BLOCK_BITS <=
                                      (uint64_t)keys * SP_FILTER_KEY_BITS * 5 / 4 + 4096);
        last = blocks;
    }
}

/* To fill a group gives the rows that building it anew gives. */
static void assert_filled_as_built(struct sp_sieve_group *group, const uint64_t *const *filters,
                                   const struct sp_sieve_group *built) {
    sp_sieve_group_fill(group, filters, built->column_count - group->column_count);
    assert_int_equal(group->column_count, built->column_count);
    assert_int_equal(group->row_bytes, built->row_bytes);
    assert_memory_equal(group->rows, built->rows, sp_sieve_group_bytes(built));
}

/* Groups that grow over every width of rows: no key is ever missed, few are wrong. */
static void no_key_is_missed(void **state) {
    (void)state;
    uint32_t blocks = sp_filter_blocks(KEYS);
    uint64_t *filters[SP_SIEVE_COLUMNS_MAX];
    for (uint32_t i = 0; i < SP_SIEVE_COLUMNS_MAX; i++) {
        filters[i] = filter_of(i, blocks);
    }
    const uint32_t steps[] = {1, 3, 4, 1, 7, 2, 14, 1, 31};
    struct sp_sieve_group *group = NULL;
    uint32_t columns = 0;
    uint32_t filled = 0;
    for (size_t step = 0; step < sizeof(steps) / sizeof(*steps); step++) {
        struct sp_sieve_group *grown = sp_sieve_group_new(
            group, blocks, (const uint64_t *const *)filters + columns, steps[step]);
        assert_non_null(grown);
        if (group != NULL && sp_sieve_group_has_room(group, steps[step])) {
            assert_filled_as_built(group, (const uint64_t *const *)filters + columns, grown);
            filled++;
        }
        sp_sieve_group_free(group);
        group = grown;
        columns += steps[step];
        assert_int_equal(group->column_count, columns);
        for (uint32_t column = 0; column < columns; column++) {
            for (uint32_t i = 0; i < KEYS; i += 50) {
                uint64_t key = key_of(column, i);
                sp_sieve_prefetch(group, key);
                assert_true((sp_sieve_ask(group, key) >> column & 1) == 1);
            }
        }
        uint64_t wrong = 0;
        for (uint32_t i = 0; i < 4000; i++) {
            uint64_t answer = sp_sieve_ask(group, key_of(COLUMNS, i));
            assert_true(columns == 64 || answer >> columns == 0);
            wrong += (uint64_t)__builtin_popcountll(answer);
        }
        assert_true(wrong * 1000 < (uint64_t)4000 * columns * 4); /* fewer than 4 in 1000 */
    }
    assert_int_equal(columns, SP_SIEVE_COLUMNS_MAX);
    assert_int_equal(filled, 5);
    sp_sieve_group_free(group);
    for (uint32_t i = 0; i < SP_SIEVE_COLUMNS_MAX; i++) {
        free(filters[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_few_and_large_enough),
        cmocka_unit_test(no_key_is_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
