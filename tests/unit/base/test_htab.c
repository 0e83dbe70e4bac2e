/* The hash table: what was added is found, among as few others as the hash allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/htab.h"
#include "base/prng.h"

/* How many candidates a lookup yields; whether `value` is one of them. */
static unsigned candidates(const struct sp_htab *table, uint64_t hash, uint32_t value,
                           bool *ret_found) {
    unsigned count = 0;
    uint32_t seen = 0;
    *ret_found = false;
    struct sp_htab_probe probe = sp_htab_find(table, hash);
    while (sp_htab_next(&probe, &seen)) {
        *ret_found = *ret_found || seen == value;
        count++;
    }
    return count;
}

static bool has(const struct sp_htab *table, uint64_t hash, uint32_t value) {
    bool found = false;
    (void)candidates(table, hash, value, &found);
    return found;
}

static uint64_t hash_of(uint64_t number) {
    return sp_hash(&number, sizeof(number));
}

static void test_empty(void **state) {
    (void)state;
    struct sp_htab table;
    sp_htab_init(&table);
    assert_false(has(&table, 0, 0));
    assert_false(has(&table, UINT64_MAX, 0));
    sp_htab_prefetch(&table, 7);
    sp_htab_clear(&table);
    sp_htab_fini(&table);
    sp_htab_fini(&table);
}

static void test_finds_what_was_added(void **state) {
    (void)state;
    enum { COUNT = 200000 };
    struct sp_htab table;
    sp_htab_init(&table);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(sp_htab_add(&table, hash_of(i), i), SP_OK);
    }
    assert_int_equal(table.count, COUNT);
    uint64_t yielded = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        bool found = false;
        sp_htab_prefetch(&table, hash_of(i));
        yielded += candidates(&table, hash_of(i), i, &found);
        assert_true(found);
    }
    assert_in_range(yielded, COUNT, COUNT + 100); /* strangers are rare: 2^-32 a pair */
    unsigned strangers = 0;
    for (uint64_t i = COUNT; i < 2 * COUNT; i++) {
        bool found = false;
        strangers += candidates(&table, hash_of(i), 0, &found);
    }
    assert_in_range(strangers, 0, 100);
    sp_htab_fini(&table);
}

/* Equal hashes, and equal upper halves, yield all their values; the caller tells them apart. */
static void test_collisions_yield_all(void **state) {
    (void)state;
    struct sp_htab table;
    sp_htab_init(&table);
    uint64_t hash = 0xabcdef0100000000u;
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(sp_htab_add(&table, hash + i % 3, i), SP_OK);
    }
    for (uint32_t i = 0; i < 100; i++) {
        bool found = false;
        assert_int_equal(candidates(&table, hash, i, &found), 100);
        assert_true(found);
    }
    bool found = false;
    assert_int_equal(candidates(&table, hash + (1ull << 32), 0, &found), 0);
    sp_htab_fini(&table);
}

static void test_extreme_hashes_and_values(void **state) {
    (void)state;
    struct sp_htab table;
    sp_htab_init(&table);
    static const uint64_t hashes[] = {0, 1, UINT32_MAX, 1ull << 32, UINT64_MAX};
    static const uint32_t values[] = {0, 1, UINT32_MAX - 1};
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            assert_int_equal(sp_htab_add(&table, hashes[i], values[j]), SP_OK);
        }
    }
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            assert_true(has(&table, hashes[i], values[j]));
        }
    }
    sp_htab_fini(&table);
}

/* All probes run over the end of the slots and go on at their start. */
static void test_probing_wraps_around(void **state) {
    (void)state;
    struct sp_htab table;
    sp_htab_init(&table);
    for (uint32_t i = 0; i < 40; i++) {
        assert_int_equal(sp_htab_add(&table, UINT64_MAX - ((uint64_t)i << 40), i), SP_OK);
    }
    for (uint32_t i = 0; i < 40; i++) {
        assert_true(has(&table, UINT64_MAX - ((uint64_t)i << 40), i));
    }
    sp_htab_fini(&table);
}

static void test_clear_forgets_and_keeps_the_storage(void **state) {
    (void)state;
    struct sp_htab table;
    sp_htab_init(&table);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(sp_htab_add(&table, hash_of(i), i), SP_OK);
    }
    const uint64_t *slots = table.slots;
    sp_htab_clear(&table);
    assert_int_equal(table.count, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_false(has(&table, hash_of(i), i));
    }
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(sp_htab_add(&table, hash_of(i), i), SP_OK);
    }
    assert_ptr_equal(table.slots, slots);
    sp_htab_fini(&table);
}

static void test_reserve_moves_nothing_later(void **state) {
    (void)state;
    struct sp_htab table;
    sp_htab_init(&table);
    assert_int_equal(sp_htab_add(&table, hash_of(0), 0), SP_OK);
    assert_int_equal(sp_htab_reserve(&table, 10000), SP_OK);
    assert_true(has(&table, hash_of(0), 0));
    const uint64_t *slots = table.slots;
    for (uint32_t i = 1; i < 10000; i++) {
        assert_int_equal(sp_htab_add(&table, hash_of(i), i), SP_OK);
    }
    assert_ptr_equal(table.slots, slots);
    assert_int_equal(sp_htab_reserve(&table, 1), SP_OK);
    assert_ptr_equal(table.slots, slots);
    assert_true(table.count <= ((uint64_t)table.mask + 1) * 3 / 4);
    sp_htab_fini(&table);
}

enum { REMOVE_VALUES = 500 };

/* What was removed is gone, and everything else is still found, however the slots cluster. */
static void test_removes(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(7);
    struct sp_htab table;
    sp_htab_init(&table);
    bool there[REMOVE_VALUES] = {false};
    uint32_t count = 0;
    for (unsigned step = 0; step < 20000; step++) {
        uint32_t value = sp_prng_below(&prng, REMOVE_VALUES);
        uint64_t hash =
            UINT64_MAX - ((uint64_t)(value / 7) << 33); /* neighbours, and over the end */
        if (there[value]) {
            sp_htab_remove(&table, hash, value);
            count--;
        } else {
            assert_int_equal(sp_htab_add(&table, hash, value), SP_OK);
            count++;
        }
        there[value] = !there[value];
        assert_int_equal(table.count, count);
        uint32_t other = sp_prng_below(&prng, REMOVE_VALUES);
        assert_int_equal(has(&table, UINT64_MAX - ((uint64_t)(other / 7) << 33), other),
                         there[other]);
    }
    for (uint32_t value = 0; value < REMOVE_VALUES; value++) {
        assert_int_equal(has(&table, UINT64_MAX - ((uint64_t)(value / 7) << 33), value),
                         there[value]);
    }
    sp_htab_fini(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_finds_what_was_added),
        cmocka_unit_test(test_collisions_yield_all),
        cmocka_unit_test(test_extreme_hashes_and_values),
        cmocka_unit_test(test_probing_wraps_around),
        cmocka_unit_test(test_clear_forgets_and_keeps_the_storage),
        cmocka_unit_test(test_reserve_moves_nothing_later),
        cmocka_unit_test(test_removes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
