/* Many of Redis' patterns: what they find is what each finds alone, and what finding costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "match/glob.h"
#include "match/globs.h"

static void add(struct sp_globs *globs, const char *pattern, uint32_t id) {
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_globs_add(globs, sp_str_from(pattern), id, &error) != SP_OK) {
        fail_msg("%s: %s", pattern, error.text);
    }
}

static void assert_ids(struct sp_globs *globs, const char *text, const char *expected) {
    const uint32_t *ids = NULL;
    size_t count = sp_globs_match(globs, sp_str_from(text), &ids);
    char found[256] = "";
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        at += (size_t)snprintf(found + at, sizeof(found) - at, "%u ", ids[i]);
    }
    assert_string_equal(found, expected);
}

static void test_finds(void **state) {
    (void)state;
    struct sp_globs globs;
    sp_globs_init(&globs, 100);
    assert_ids(&globs, "news.art", "");
    add(&globs, "*", 9);
    add(&globs, "news.*", 1);
    add(&globs, "news.art", 2);
    add(&globs, "*.art", 3);
    add(&globs, "n?ws.*", 4);
    add(&globs, "*ws.a*", 5);
    add(&globs, "[mn]ews.art", 6);
    add(&globs, "news\\.art", 7);
    add(&globs, "news.music", 8);
    add(&globs, "*e*a*", 10);
    add(&globs, "", 11);
    add(&globs, "news.[a]", 12);
    assert_ids(&globs, "news.art", "1 2 3 4 5 6 7 9 10 ");
    assert_ids(&globs, "news.music", "1 4 8 9 ");
    assert_ids(&globs, "news.a", "1 4 5 9 10 12 ");
    assert_ids(&globs, "mews.art", "3 5 6 9 10 ");
    assert_ids(&globs, ".art", "3 9 ");
    assert_ids(&globs, "", "11 ");
    sp_globs_fini(&globs);
}

static void test_one_id_is_found_once(void **state) {
    (void)state;
    struct sp_globs globs;
    sp_globs_init(&globs, 100);
    add(&globs, "aaaa*", 1);
    add(&globs, "*aaaa*", 1);
    add(&globs, "*aaaa", 1);
    add(&globs, "*aaaa*a*", 2);
    assert_ids(&globs, "aaaaaaaaaaaa", "1 2 ");
    sp_globs_fini(&globs);
}

static void test_refuses(void **state) {
    (void)state;
    struct sp_globs globs;
    struct sp_error error;
    sp_globs_init(&globs, 2);
    add(&globs, "a*", 1);
    assert_int_equal(sp_globs_add(&globs, SP_STR("a*"), 1, &error), SP_CONFLICT);
    add(&globs, "a*", 2);
    assert_int_equal(sp_globs_add(&globs, SP_STR("b*"), 1, &error), SP_LIMIT);
    assert_int_equal(sp_globs_remove(&globs, SP_STR("b*"), 1), SP_NOT_FOUND);
    assert_int_equal(sp_globs_remove(&globs, SP_STR("a*"), 3), SP_NOT_FOUND);
    assert_int_equal(sp_globs_remove(&globs, SP_STR("a*"), 1), SP_OK);
    assert_int_equal(sp_globs_remove(&globs, SP_STR("a*"), 1), SP_NOT_FOUND);
    assert_ids(&globs, "abc", "2 ");
    assert_int_equal(sp_globs_remove(&globs, SP_STR("a*"), 2), SP_OK);
    assert_ids(&globs, "abc", "");
    sp_globs_fini(&globs);
}

enum { PATTERNS = 400, ROUNDS = 20000, TEXT_MAX = 40 };

/* Patterns of few letters, so that they match often, some long enough for every kind of place. */
static size_t draw(struct sp_prng *prng, const char *letters, uint32_t len_max, char *to) {
    size_t len = sp_prng_below(prng, len_max);
    for (size_t i = 0; i < len; i++) {
        to[i] = letters[sp_prng_below(prng, (uint32_t)strlen(letters))];
    }
    to[len] = '\0';
    return len;
}

struct model {
    char pattern[PATTERNS][TEXT_MAX + 1];
    bool there[PATTERNS];
};

static void compare(struct sp_globs *globs, const struct model *model, sp_str text) {
    const uint32_t *ids = NULL;
    size_t count = sp_globs_match(globs, text, &ids);
    size_t at = 0;
    for (uint32_t id = 0; id < PATTERNS; id++) {
        bool expected =
            model->there[id] && sp_redis_glob_match(sp_str_from(model->pattern[id]), text);
        bool found = at < count && ids[at] == id;
        if (expected != found) {
            fail_msg("pattern %s, text %.*s: found %d, expected %d", model->pattern[id],
                     SP_STR_ARG(text), found, expected);
        }
        at += found;
    }
    assert_int_equal(at, count);
}

static void test_agrees_with_each_alone(void **state) {
    (void)state;
    static struct model model;
    struct sp_prng prng = sp_prng_seed(11);
    struct sp_globs globs;
    sp_globs_init(&globs, PATTERNS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t id = sp_prng_below(&prng, PATTERNS);
        if (model.there[id]) {
            sp_str pattern = sp_str_from(model.pattern[id]);
            assert_int_equal(sp_globs_remove(&globs, pattern, id), SP_OK);
        } else {
            (void)draw(&prng, "aaaabbb**?[]\\^-", TEXT_MAX, model.pattern[id]);
            add(&globs, model.pattern[id], id);
        }
        model.there[id] = !model.there[id];
        char text[TEXT_MAX + 1];
        size_t len = draw(&prng, round % 2 == 0 ? "ab" : "aab[]*\\", TEXT_MAX, text);
        compare(&globs, &model, sp_str_of(text, len));
    }
    sp_globs_fini(&globs);
}

/* Patterns that share how they begin, or end, or both, are told apart by their other bytes. */
static void test_cost_follows_the_matches(void **state) {
    (void)state;
    enum { COUNT = 50000 };
    static const char *const forms[][2] = {
        {"user:", ":*"}, {"user:*:", ""}, {"*:", ":*"}, {"*-", ""}, {"user:*:", ":*:end"}};
    for (size_t form = 0; form < sizeof(forms) / sizeof(forms[0]); form++) {
        struct sp_globs globs;
        sp_globs_init(&globs, COUNT);
        for (uint32_t i = 0; i < COUNT; i++) {
            char pattern[64];
            (void)snprintf(pattern, sizeof(pattern), "%s%u%s", forms[form][0], 100000 + i,
                           forms[form][1]);
            add(&globs, pattern, i);
        }
        const uint32_t *ids = NULL;
        size_t count = sp_globs_match(&globs, SP_STR("user:107777:17-107777.done"), &ids);
        assert_true(count <= 1);
        assert_true(globs.steps < 200);
        sp_globs_fini(&globs);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds),
        cmocka_unit_test(test_one_id_is_found_once),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_agrees_with_each_alone),
        cmocka_unit_test(test_cost_follows_the_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
