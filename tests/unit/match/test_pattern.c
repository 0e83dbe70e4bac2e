/* Topic patterns: what is one, and what it matches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "match/pattern.h"

struct match_case {
    const char *pattern;
    const char *type;
    bool matches;
};

static const struct match_case MATCHES[] = {
    {"task.created", "task.created", true},
    {"task.created", "task.create", false},
    {"task.created", "task.created.x", false},
    {"task.created", "task", false},
    {"task.created", "Task.created", false},
    {"task.*", "task.created", true},
    {"task.*", "task", false},
    {"task.*", "task.created.late", false},
    {"task.*", "tasks.created", false},
    {"*", "task", true},
    {"*", "task.created", false},
    {"*.*", "task.created", true},
    {"*.created", "task.created", true},
    {"agent.*.memory", "agent.planner.memory", true},
    {"agent.*.memory", "agent.memory", false},
    {"agent.*.memory", "agent.planner.x.memory", false},
    {"#", "a", true},
    {"#", "a.b.c.d", true},
    {"task.#", "task", true},
    {"task.#", "task.a", true},
    {"task.#", "task.a.b", true},
    {"task.#", "tasks", false},
    {"#.failed", "failed", true},
    {"#.failed", "a.failed", true},
    {"#.failed", "a.b.failed", true},
    {"#.failed", "a.failed.b", false},
    {"#.failed", "failed.failed", true},
    {"a.#.z", "a.z", true},
    {"a.#.z", "a.b.z", true},
    {"a.#.z", "a.z.z", true},
    {"a.#.z", "a.z.b", false},
    {"a.#.b.#.c", "a.b.c", true},
    {"a.#.b.#.c", "a.x.b.y.b.z.c", true},
    {"a.#.b.#.c", "a.c.b", false},
    {"#.a.#", "x.y.a.z", true},
    {"#.a.#", "x.y.z", false},
    {"#.#", "a", true},
    {"#.*", "a", true},
    {"#.*", "a.b.c", true},
    {"*.#", "a", true},
    {"#.*.*", "a", false},
    {"#.*.*", "a.b", true},
    {">", "a", true},
    {">", "a.b.c", true},
    {"task.>", "task", false},
    {"task.>", "task.a", true},
    {"task.>", "task.a.b", true},
    {"*.>", "a", false},
    {"*.>", "a.b", true},
    {"#.>", "a", true},
    {"#.b.>", "a.b", false},
    {"#.b.>", "a.b.c", true},
    {"#.b.>", "b.b", true},
    /* Only a token that is the sign alone is a wildcard. */
    {"a*.b", "a*.b", true},
    {"a*.b", "ax.b", false},
    {"a.b>", "a.b>", true},
    {"a#", "a", false},
    /* A type may have empty tokens. */
    {"a..b", "a..b", true},
    {"a.*.b", "a..b", true},
    {"a..b", "a.b", false},
    {".", ".", true},
    {"*.*", ".", true},
    {"a.>", "a.", true},
    {"a.", "a", false},
    /* Any UTF-8 is a token. */
    {"tâche.créée", "tâche.créée", true},
    {"tâche.*", "tâche.créée", true},
};

static void test_matches(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(MATCHES) / sizeof(MATCHES[0]); i++) {
        const struct match_case *c = &MATCHES[i];
        sp_str pattern = sp_str_from(c->pattern);
        assert_int_equal(sp_pattern_check(pattern, NULL), SP_OK);
        bool matches = sp_pattern_match(pattern, sp_str_from(c->type));
        if (matches != c->matches) {
            fail_msg("`%s` on `%s`: %d", c->pattern, c->type, matches);
        }
        if (sp_pattern_is_exact(pattern)) {
            assert_int_equal(matches, sp_str_eq(pattern, sp_str_from(c->type)));
        }
    }
}

static const struct {
    const char *pattern;
    sp_status status;
    uint64_t offset;
    const char *text; /* a part of the message */
} REFUSED[] = {
    {"", SP_INVALID, 0, "empty"},
    {">.a", SP_INVALID, 0, "token 1 is `>`"},
    {"a.>.b", SP_INVALID, 2, "token 2 is `>`"},
    {"a.b c", SP_INVALID, 3, "white space"},
    {"a.b\tc", SP_INVALID, 3, "white space"},
    {"a.\x7f", SP_INVALID, 2, "control"},
    {"a.b\xc2\xa0", SP_INVALID, 3, "white space"},
    {"a.\xff", SP_INVALID, 2, "UTF-8"},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
        struct sp_error error;
        sp_error_clear(&error);
        sp_status status = sp_pattern_check(sp_str_from(REFUSED[i].pattern), &error);
        assert_int_equal(status, REFUSED[i].status);
        assert_int_equal(error.offset, REFUSED[i].offset);
        if (strstr(error.text, REFUSED[i].text) == NULL) {
            fail_msg("`%s`: %s", REFUSED[i].pattern, error.text);
        }
    }
    char longest[SP_PATTERN_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(sp_pattern_check(sp_str_of(longest, SP_PATTERN_BYTES_MAX), NULL), SP_OK);
    assert_int_equal(sp_pattern_check(sp_str_of(longest, sizeof(longest)), NULL), SP_LIMIT);
    memset(longest, '.', sizeof(longest));
    sp_str dots = sp_str_of(longest, SP_PATTERN_BYTES_MAX);
    assert_int_equal(sp_pattern_check(dots, NULL), SP_OK);
    assert_true(sp_pattern_match(dots, dots));
}

/* The definition of a match, word for word, as recursion: slow, and plainly right. */
static bool defined_match(const char *pattern, const char *type) {
    if (pattern == NULL) {
        return type == NULL;
    }
    size_t wanted_len = strcspn(pattern, ".");
    const char *wanted_rest = pattern[wanted_len] == '.' ? pattern + wanted_len + 1 : NULL;
    size_t len = type != NULL ? strcspn(type, ".") : 0;
    const char *rest = type != NULL && type[len] == '.' ? type + len + 1 : NULL;
    if (wanted_len == 1 && pattern[0] == '#') {
        return defined_match(wanted_rest, type) || (type != NULL && defined_match(pattern, rest));
    }
    if (type == NULL) {
        return false;
    }
    if (wanted_len == 1 && pattern[0] == '>') {
        return true;
    }
    bool fits = (wanted_len == 1 && pattern[0] == '*') ||
                (wanted_len == len && memcmp(pattern, type, len) == 0);
    return fits && defined_match(wanted_rest, rest);
}

/* A text of 1 to `tokens` tokens, each one character of the choice. */
static void random_tokens(struct sp_prng *prng, const char *choice, uint32_t tokens, char *text) {
    uint32_t count = 1 + sp_prng_below(prng, tokens);
    uint32_t choices = (uint32_t)strlen(choice);
    for (uint32_t i = 0; i < count; i++) {
        text[2 * i] = choice[sp_prng_below(prng, choices)];
        text[2 * i + 1] = i + 1 < count ? '.' : '\0';
    }
}

static void test_agrees_with_definition(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(7);
    int matched = 0;
    for (int i = 0; i < 200000; i++) {
        char pattern[32];
        char type[32];
        random_tokens(&prng, "ab*##>", 7, pattern);
        random_tokens(&prng, "ab", 8, type);
        if (sp_pattern_check(sp_str_from(pattern), NULL) != SP_OK) {
            continue;
        }
        bool expected = defined_match(pattern, type);
        if (sp_pattern_match(sp_str_from(pattern), sp_str_from(type)) != expected) {
            fail_msg("`%s` on `%s` should be %d", pattern, type, expected);
        }
        matched += expected;
    }
    assert_true(matched > 5000);
}

/* With backtracking over every `#` this would take 2^60 steps. */
static void test_many_hashes_end(void **state) {
    (void)state;
    char pattern[SP_PATTERN_BYTES_MAX];
    char type[SP_PATTERN_BYTES_MAX];
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = i % 2 == 1 ? '.' : i % 4 == 0 ? '#' : 'a';
        type[i] = i % 2 == 1 ? '.' : 'a';
    }
    pattern[sizeof(pattern) - 1] = 'z';
    sp_str p = sp_str_of(pattern, sizeof(pattern));
    assert_int_equal(sp_pattern_check(p, NULL), SP_OK);
    assert_false(sp_pattern_match(p, sp_str_of(type, sizeof(type))));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_agrees_with_definition),
        cmocka_unit_test(test_many_hashes_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
