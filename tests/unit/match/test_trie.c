/* The trie of patterns: what it finds, what it forgets, and what finding costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "match/trie.h"

static void add(struct sp_trie *trie, const char *pattern, uint32_t id) {
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_trie_add(trie, sp_str_from(pattern), id, &error) != SP_OK) {
        fail_msg("%s: %s", pattern, error.text);
    }
}

static void assert_ids(struct sp_trie *trie, const char *type, const char *expected) {
    const uint32_t *ids = NULL;
    size_t count = sp_trie_match(trie, sp_str_from(type), &ids);
    char text[256] = "";
    size_t at = 0;
    for (uint32_t id = 0; id < 32; id++) {
        for (size_t i = 0; i < count; i++) {
            if (ids[i] == id) {
                at += (size_t)snprintf(text + at, sizeof(text) - at, "%u ", id);
            }
        }
    }
    assert_string_equal(text, expected);
}

static void test_finds(void **state) {
    (void)state;
    struct sp_trie trie;
    sp_trie_init(&trie, 100, 31);
    assert_ids(&trie, "task.created", "");
    add(&trie, "task.created", 1);
    add(&trie, "task.*", 2);
    add(&trie, "#", 3);
    add(&trie, "task.>", 4);
    add(&trie, "task.#", 5);
    add(&trie, "#.created", 6);
    add(&trie, "*.created", 7);
    add(&trie, ">", 8);
    add(&trie, "#.task.#", 9);
    assert_ids(&trie, "task.created", "1 2 3 4 5 6 7 8 9 ");
    assert_ids(&trie, "task", "3 5 8 9 ");
    assert_ids(&trie, "created", "3 6 8 ");
    assert_ids(&trie, "task.created.late", "3 4 5 8 9 ");
    assert_ids(&trie, "a.b.task.c", "3 8 9 ");
    assert_ids(&trie, "a.b.created", "3 6 8 ");
    add(&trie, "a..b", 10);
    add(&trie, ".", 11);
    assert_ids(&trie, "a..b", "3 8 10 ");
    assert_ids(&trie, ".", "3 8 11 ");
    assert_ids(&trie, "task.", "2 3 4 5 8 9 ");
    sp_trie_fini(&trie);
}

static void test_one_id_is_found_once(void **state) {
    (void)state;
    struct sp_trie trie;
    sp_trie_init(&trie, 100, 31);
    add(&trie, "a.b", 1);
    add(&trie, "a.*", 1);
    add(&trie, "#", 1);
    add(&trie, "a.>", 1);
    add(&trie, "#.a.#", 2);
    add(&trie, "#.a.#.a.#", 2);
    assert_ids(&trie, "a.b", "1 2 ");
    assert_ids(&trie, "a.a.a.a.a.a.a", "1 2 ");
    sp_trie_fini(&trie);
}

static void test_removes(void **state) {
    (void)state;
    struct sp_trie trie;
    sp_trie_init(&trie, 100, 31);
    assert_int_equal(sp_trie_remove(&trie, SP_STR("a"), 1), SP_NOT_FOUND);
    add(&trie, "a.b.c", 1);
    add(&trie, "a.b.c", 2);
    add(&trie, "a.#.#", 3);
    add(&trie, "a.>", 4);
    assert_int_equal(sp_trie_add(&trie, SP_STR("a.b.c"), 2, NULL), SP_CONFLICT);
    assert_int_equal(sp_trie_add(&trie, SP_STR("a.#"), 3, NULL), SP_CONFLICT);
    assert_int_equal(sp_trie_remove(&trie, SP_STR("a.b"), 1), SP_NOT_FOUND);
    assert_int_equal(sp_trie_remove(&trie, SP_STR("a.b.c"), 9), SP_NOT_FOUND);
    assert_int_equal(sp_trie_remove(&trie, SP_STR("a b"), 1), SP_NOT_FOUND);
    assert_ids(&trie, "a.b.c", "1 2 3 4 ");
    assert_int_equal(sp_trie_remove(&trie, SP_STR("a.b.c"), 1), SP_OK);
    assert_ids(&trie, "a.b.c", "2 3 4 ");
    assert_int_equal(sp_trie_remove(&trie, SP_STR("a.b.c"), 2), SP_OK);
    assert_int_equal(sp_trie_remove(&trie, SP_STR("a.#"), 3), SP_OK);
    assert_ids(&trie, "a.b.c", "4 ");
    assert_int_equal(sp_trie_remove(&trie, SP_STR("a.>"), 4), SP_OK);
    assert_ids(&trie, "a.b.c", "");
    assert_int_equal(trie.pair_count, 0);
    assert_int_equal(trie.edge_count, 0);
    sp_trie_fini(&trie);
}

static void test_limits(void **state) {
    (void)state;
    struct sp_trie trie;
    sp_trie_init(&trie, 2, 5);
    add(&trie, "a", 0);
    assert_int_equal(sp_trie_add(&trie, SP_STR("b"), 6, NULL), SP_LIMIT);
    add(&trie, "b", 5);
    assert_int_equal(sp_trie_add(&trie, SP_STR("c"), 1, NULL), SP_LIMIT);
    assert_int_equal(sp_trie_remove(&trie, SP_STR("a"), 0), SP_OK);
    add(&trie, "c", 1);
    assert_int_equal(sp_trie_add(&trie, SP_STR("a. "), 1, NULL), SP_INVALID);
    assert_ids(&trie, "a", "");
    assert_ids(&trie, "b", "5 ");
    assert_ids(&trie, "c", "1 ");
    sp_trie_fini(&trie);
}

/* Property: at any time the trie finds what matching every pattern by itself would find. */

enum { PAIRS = 2000, IDS = 300 };

struct pair {
    char pattern[24];
    uint32_t id;
    bool present;
};

static void random_tokens(struct sp_prng *prng, const char *choice, uint32_t tokens, char *text) {
    uint32_t count = 1 + sp_prng_below(prng, tokens);
    uint32_t choices = (uint32_t)strlen(choice);
    for (uint32_t i = 0; i < count; i++) {
        text[2 * i] = choice[sp_prng_below(prng, choices)];
        text[2 * i + 1] = i + 1 < count ? '.' : '\0';
    }
}

static void assert_agrees(struct sp_trie *trie, const struct pair *pairs, const char *type) {
    bool expected[IDS] = {false};
    size_t expected_count = 0;
    for (size_t i = 0; i < PAIRS; i++) {
        if (pairs[i].present && !expected[pairs[i].id] &&
            sp_pattern_match(sp_str_from(pairs[i].pattern), sp_str_from(type))) {
            expected[pairs[i].id] = true;
            expected_count++;
        }
    }
    const uint32_t *ids = NULL;
    size_t count = sp_trie_match(trie, sp_str_from(type), &ids);
    assert_int_equal(count, expected_count);
    for (size_t i = 0; i < count; i++) {
        assert_true(ids[i] < IDS && expected[ids[i]]);
        expected[ids[i]] = false; /* a second one would be a duplicate */
    }
}

static void test_agrees_with_one_by_one(void **state) {
    (void)state;
    static struct pair pairs[PAIRS];
    struct sp_prng prng = sp_prng_seed(11);
    struct sp_trie trie;
    sp_trie_init(&trie, PAIRS, IDS - 1);
    for (int round = 0; round < 30000; round++) {
        struct pair *pair = &pairs[sp_prng_below(&prng, PAIRS)];
        sp_str pattern = sp_str_from(pair->pattern);
        if (pair->present) {
            assert_int_equal(sp_trie_remove(&trie, pattern, pair->id), SP_OK);
            pair->present = false;
        } else {
            random_tokens(&prng, round % 3 == 0 ? "abcdef" : "abcdef*#>", 6, pair->pattern);
            pair->id = sp_prng_below(&prng, IDS);
            pattern = sp_str_from(pair->pattern);
            pair->present = sp_trie_add(&trie, pattern, pair->id, NULL) == SP_OK;
        }
        if (round % 10 == 0) {
            char type[24];
            random_tokens(&prng, "abcdef", 7, type);
            assert_agrees(&trie, pairs, type);
        }
    }
    for (size_t i = 0; i < PAIRS; i++) {
        if (pairs[i].present) {
            assert_int_equal(sp_trie_remove(&trie, sp_str_from(pairs[i].pattern), pairs[i].id),
                             SP_OK);
        }
    }
    assert_int_equal(trie.pair_count, 0);
    assert_int_equal(trie.edge_count, 0);
    sp_trie_fini(&trie);
}

/* The order of the answer does not tell in which order the subscriptions came. */
static void test_order_is_fixed(void **state) {
    (void)state;
    static const char *const PATTERNS[] = {"a.b", "a.*", "#", "*.b", "a.>", "#.b", "a.#", "*.*"};
    const size_t count = sizeof(PATTERNS) / sizeof(PATTERNS[0]);
    uint32_t first[32];
    size_t first_count = 0;
    struct sp_prng prng = sp_prng_seed(3);
    for (int round = 0; round < 50; round++) {
        struct sp_trie trie;
        sp_trie_init(&trie, 1000, 31);
        uint32_t have = 0;
        while (have != (1u << count) - 1) {
            uint32_t i = sp_prng_below(&prng, (uint32_t)count);
            if ((have & 1u << i) != 0) {
                assert_int_equal(sp_trie_remove(&trie, sp_str_from(PATTERNS[i]), i), SP_OK);
                have &= ~(1u << i);
            }
            add(&trie, PATTERNS[i], i);
            have |= 1u << i;
        }
        const uint32_t *ids = NULL;
        size_t found = sp_trie_match(&trie, SP_STR("a.b"), &ids);
        if (round == 0) {
            first_count = found;
            memcpy(first, ids, found * sizeof(*ids));
        }
        assert_int_equal(found, first_count);
        assert_memory_equal(first, ids, found * sizeof(*ids));
        sp_trie_fini(&trie);
    }
}

/* Subscriptions that do not match cost nothing: the same nodes are visited with 10 and 100,000. */
static void test_cost_follows_matches(void **state) {
    (void)state;
    uint64_t steps[2];
    for (int big = 0; big < 2; big++) {
        struct sp_trie trie;
        sp_trie_init(&trie, 200000, 200000);
        add(&trie, "agent.*.memory", 0);
        add(&trie, "#.memory", 1);
        uint32_t others = big != 0 ? 100000 : 8;
        for (uint32_t i = 0; i < others; i++) {
            char pattern[64];
            snprintf(pattern, sizeof(pattern), i % 2 == 0 ? "agent.a%u.*" : "#.t%u.>", i);
            add(&trie, pattern, i + 2);
        }
        const uint32_t *ids = NULL;
        trie.steps = 0;
        assert_int_equal(sp_trie_match(&trie, SP_STR("agent.planner.memory"), &ids), 2);
        steps[big] = trie.steps;
        sp_trie_fini(&trie);
    }
    assert_int_equal(steps[0], steps[1]);
}

/* Every `#` node is visited once a token, so that many of them add up and do not multiply. */
static void test_many_hashes_add_up(void **state) {
    (void)state;
    struct sp_trie trie;
    sp_trie_init(&trie, 100, 31);
    add(&trie, "#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.z", 1);
    char type[200];
    for (size_t i = 0; i < sizeof(type); i++) {
        type[i] = i % 2 == 0 ? 'a' : '.';
    }
    const uint32_t *ids = NULL;
    trie.steps = 0;
    assert_int_equal(sp_trie_match(&trie, sp_str_of(type, sizeof(type) - 1), &ids), 0);
    assert_true(trie.steps < 100 * 20);
    sp_trie_fini(&trie);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds),
        cmocka_unit_test(test_one_id_is_found_once),
        cmocka_unit_test(test_removes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_agrees_with_one_by_one),
        cmocka_unit_test(test_order_is_fixed),
        cmocka_unit_test(test_cost_follows_matches),
        cmocka_unit_test(test_many_hashes_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
