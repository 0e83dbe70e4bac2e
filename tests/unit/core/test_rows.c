/*
 * Sorted rows, the heap and sorting, each beside the simplest thing that does the same.
 */
#include "core_help.h"

#include <stdlib.h>

#include "core/heap.h"
#include "core/rows.h"
#include "core/sort.h"

enum { SPACE = 6000 };

/* Every number that could be a key, and whether it is. */
struct model {
    bool there[SPACE];
    uint64_t count;
};

static uint64_t value_of(uint64_t key) {
    return key * 7 + 1;
}

/* A row of four words: key, two that rise with it, and something. */
static void add(struct sp_rows *rows, struct model *model, uint64_t key) {
    const uint64_t row[4] = {key, key / 2, key % 2, value_of(key)};
    sp_status status = sp_rows_add(rows, row);
    assert_int_equal(status, model->there[key] ? SP_CONFLICT : SP_OK);
    model->count += model->there[key] ? 0 : 1;
    model->there[key] = true;
}

static void take(struct sp_rows *rows, struct model *model, uint64_t key) {
    assert_int_equal(sp_rows_remove_key(rows, &key), model->there[key]);
    model->count -= model->there[key] ? 1 : 0;
    model->there[key] = false;
}

static uint64_t next_in_model(const struct model *model, uint64_t key) {
    while (key < SPACE && !model->there[key]) {
        key++;
    }
    return key;
}

static void expect_same(const struct sp_rows *rows, const struct model *model) {
    struct sp_rows_at at = sp_rows_first();
    uint64_t last = SPACE;
    assert_int_equal(rows->count, model->count);
    for (uint64_t key = next_in_model(model, 0); key < SPACE; key = next_in_model(model, key + 1)) {
        const uint64_t *row = sp_rows_get(rows, at);
        assert_non_null(row);
        assert_int_equal(row[0], key);
        assert_int_equal(row[3], value_of(key));
        last = key;
        at = sp_rows_next(rows, at);
    }
    assert_null(sp_rows_get(rows, at));
    assert_true(last == SPACE ? sp_rows_last(rows) == NULL : *sp_rows_last(rows) == last);
}

static void expect_found(const struct sp_rows *rows, const struct model *model, uint64_t key) {
    const uint64_t *row = sp_rows_find(rows, &key);
    uint64_t next = next_in_model(model, key);
    uint64_t rank = 0;
    assert_true((row != NULL) == model->there[key]);
    row = sp_rows_get(rows, sp_rows_seek(rows, &key));
    assert_true(next == SPACE ? row == NULL : row != NULL && row[0] == next);
    const uint64_t other[2] = {key / 2, key % 2};
    row = sp_rows_get(rows, sp_rows_seek_words(rows, 1, 2, other));
    assert_true(next == SPACE ? row == NULL : row != NULL && row[0] == next);
    for (uint64_t i = 0; i < key; i++) {
        rank += model->there[i] ? 1 : 0;
    }
    assert_int_equal(sp_rows_rank(rows, &key), rank);
}

static void expect_skips(const struct sp_rows *rows, const struct model *model,
                         struct sp_prng *prng) {
    uint64_t from = sp_prng_below(prng, (uint32_t)next_in_model(model, 0) + 1);
    uint64_t absent = sp_prng_below(prng, SPACE / 2);
    uint64_t end = from;
    for (uint64_t left = absent; left > 0; end++) {
        left -= end >= SPACE || !model->there[end] ? 1 : 0;
    }
    assert_int_equal(sp_rows_skip_absent(rows, from, absent), end);
}

/* Adds behind, takes in front, and anywhere, in waves that fill and empty the table. */
static void one_change(struct sp_rows *rows, struct model *model, struct sp_prng *prng, int wave) {
    uint32_t what = sp_prng_below(prng, 10);
    uint64_t key = sp_prng_below(prng, SPACE);
    uint64_t first = next_in_model(model, 0);
    if (what < (wave % 2 == 0 ? 6u : 3u)) {
        add(rows, model, key);
    } else if (what < 9) {
        take(rows, model, wave % 3 == 0 && first < SPACE ? first : key);
    } else if (wave % 4 == 1 && sp_prng_below(prng, 50) == 0) {
        uint64_t below = first + sp_prng_below(prng, 300);
        uint64_t gone = 0;
        for (uint64_t i = 0; i < below && i < SPACE; i++) {
            gone += model->there[i] ? 1 : 0;
            model->there[i] = false;
        }
        assert_int_equal(sp_rows_remove_below(rows, &below), gone);
        model->count -= gone;
    }
}

static void test_rows_are_as_a_set(void **state) {
    (void)state;
    static struct model model;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct sp_prng prng = sp_prng_seed(seed);
        struct sp_rows rows;
        model = (struct model){.count = 0};
        sp_rows_init(&rows, 4, 1);
        for (int wave = 0; wave < 24; wave++) {
            for (int i = 0; i < 800; i++) {
                one_change(&rows, &model, &prng, wave);
            }
            expect_same(&rows, &model);
            for (int i = 0; i < 20; i++) {
                expect_found(&rows, &model, sp_prng_below(&prng, SPACE));
                expect_skips(&rows, &model, &prng);
            }
        }
        sp_rows_fini(&rows);
    }
}

/* Keys of two words; and a walk that takes as it goes. */
static void test_two_words_are_a_key(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(5);
    struct sp_rows rows;
    sp_rows_init(&rows, 2, 2);
    for (int i = 0; i < 5000; i++) {
        const uint64_t row[2] = {sp_prng_below(&prng, 40), sp_prng_below(&prng, 1000)};
        bool there = sp_rows_find(&rows, row) != NULL;
        assert_int_equal(sp_rows_add(&rows, row), there ? SP_CONFLICT : SP_OK);
    }
    uint64_t before[2] = {0, 0};
    uint64_t taken = 0;
    uint64_t all = rows.count;
    struct sp_rows_at at = sp_rows_first();
    for (const uint64_t *row = sp_rows_get(&rows, at); row != NULL; row = sp_rows_get(&rows, at)) {
        assert_true(row[0] > before[0] || (row[0] == before[0] && row[1] >= before[1]));
        before[0] = row[0];
        before[1] = row[1];
        bool odd = row[1] % 2 == 1;
        taken += odd ? 1 : 0;
        at = odd ? sp_rows_remove(&rows, at) : sp_rows_next(&rows, at);
    }
    assert_int_equal(rows.count, all - taken);
    for (at = sp_rows_first(); sp_rows_get(&rows, at) != NULL; at = sp_rows_next(&rows, at)) {
        assert_int_equal(sp_rows_get(&rows, at)[1] % 2, 0);
    }
    sp_rows_fini(&rows);
}

/* Rows that come behind and go in front need hardly more than their own bytes. */
static void test_a_queue_takes_little_memory(void **state) {
    (void)state;
    enum { LENGTH = 100000 };
    struct sp_rows rows;
    sp_rows_init(&rows, 6, 1);
    for (uint64_t i = 0; i < (uint64_t)LENGTH * 3; i++) {
        const uint64_t row[6] = {i};
        assert_int_equal(sp_rows_add(&rows, row), SP_OK);
        if (i >= LENGTH) {
            assert_int_equal(*sp_rows_get(&rows, sp_rows_first()), i - LENGTH);
            (void)sp_rows_remove(&rows, sp_rows_first());
        }
    }
    assert_int_equal(rows.count, LENGTH);
    assert_true(sp_rows_memory(&rows) < (size_t)LENGTH * 50);
    sp_rows_fini(&rows);
}

/* What is thinned out everywhere gives memory back. */
static void test_thinned_rows_give_memory_back(void **state) {
    (void)state;
    enum { LENGTH = 50000 };
    struct sp_prng prng = sp_prng_seed(9);
    struct sp_rows rows;
    sp_rows_init(&rows, 6, 1);
    for (uint64_t i = 0; i < LENGTH; i++) {
        const uint64_t row[6] = {i};
        assert_int_equal(sp_rows_add(&rows, row), SP_OK);
    }
    while (rows.count > LENGTH / 50) {
        uint64_t key = sp_prng_below(&prng, LENGTH);
        (void)sp_rows_remove_key(&rows, &key);
    }
    assert_true(sp_rows_memory(&rows) < rows.count * 48 * 5 + 16384);
    sp_rows_fini(&rows);
}

static void test_the_heap_has_the_earliest_on_top(void **state) {
    (void)state;
    enum { ITEMS = 200 };
    struct sp_prng prng = sp_prng_seed(3);
    static struct sp_heap_item items[ITEMS];
    struct sp_heap heap;
    sp_heap_init(&heap);
    for (int i = 0; i < 20000; i++) {
        struct sp_heap_item *item = &items[sp_prng_below(&prng, ITEMS)];
        uint64_t at = sp_prng_below(&prng, 3) == 0 ? 0 : sp_prng_below(&prng, 1000);
        assert_int_equal(sp_heap_set(&heap, item, at), SP_OK);
        uint64_t earliest = 0;
        uint32_t count = 0;
        for (int j = 0; j < ITEMS; j++) {
            count += items[j].at != 0 ? 1 : 0;
            bool earlier = items[j].at != 0 && (earliest == 0 || items[j].at < earliest);
            earliest = earlier ? items[j].at : earliest;
        }
        const struct sp_heap_item *top = sp_heap_top(&heap);
        assert_int_equal(heap.count, count);
        assert_int_equal(top != NULL ? top->at : 0, earliest);
    }
    sp_heap_fini(&heap);
}

static void test_sorting_leaves_each_number_once(void **state) {
    (void)state;
    enum { NUMBERS = 300 };
    struct sp_prng prng = sp_prng_seed(4);
    for (int i = 0; i < 500; i++) {
        uint64_t numbers[NUMBERS];
        bool there[NUMBERS] = {false};
        size_t count = sp_prng_below(&prng, NUMBERS);
        size_t different = 0;
        for (size_t j = 0; j < count; j++) {
            numbers[j] = i % 5 == 0 ? j : sp_prng_below(&prng, NUMBERS);
            different += there[numbers[j]] ? 0 : 1;
            there[numbers[j]] = true;
        }
        assert_int_equal(sp_sort_unique(numbers, count), different);
        for (size_t j = 0; j < different; j++) {
            assert_true(there[numbers[j]] && (j == 0 || numbers[j] > numbers[j - 1]));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_as_a_set),
        cmocka_unit_test(test_two_words_are_a_key),
        cmocka_unit_test(test_a_queue_takes_little_memory),
        cmocka_unit_test(test_thinned_rows_give_memory_back),
        cmocka_unit_test(test_the_heap_has_the_earliest_on_top),
        cmocka_unit_test(test_sorting_leaves_each_number_once),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
