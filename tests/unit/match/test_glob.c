#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "match/glob.h"

static void matches(const char *pattern, const char *text, bool expected) {
    if (sp_redis_glob_match(sp_str_from(pattern), sp_str_from(text)) != expected) {
        fail_msg("%s and %s: expected %d", pattern, text, expected);
    }
}

static void what_redis_documents(void **state) {
    (void)state;
    matches("h?llo", "hello", true);
    matches("h?llo", "hllo", false);
    matches("h*llo", "hllo", true);
    matches("h*llo", "heeeello", true);
    matches("h[ae]llo", "hello", true);
    matches("h[ae]llo", "hillo", false);
    matches("h[^e]llo", "hallo", true);
    matches("h[^e]llo", "hello", false);
    matches("h[a-b]llo", "hbllo", true);
    matches("h[a-b]llo", "hcllo", false);
    matches("news.*", "news.", true);
    matches("*", "anything", true);
    matches("a\\*b", "a*b", true);
    matches("a\\*b", "axb", false);
    matches("*a*b*c*", "xxaxxbxxcxx", true);
    matches("*a*b*c*", "xxaxxcxxbxx", false);
    matches("", "", true);
    matches("", "a", false);
    matches("abc", "abcd", false);
    matches("abc", "ab", false);
}

static void its_oddities(void **state) {
    (void)state;
    matches("*", "", false);
    matches("a*", "a", true);
    matches("a**", "a", true);
    matches("[a", "a", true);
    matches("[a", "b", false);
    matches("[^", "x", true);
    matches("[", "[", false);
    matches("[]", "]", false);
    matches("[^]", "x", true);
    matches("[z-a]", "m", true);
    matches("[a-]", "]", true);
    matches("[a-", "-", true);
    matches("[\\]]", "]", true);
    matches("[\\", "\\", true);
    matches("\\", "\\", true);
    matches("a\\", "a\\", true);
    matches("[a-\xff]", "B", true);
    matches("[a-\xff]", "z", false);
}

/* The same rules, said another way: from each element on, does the rest match the rest? */
static bool oracle(sp_str p, sp_str t) {
    if (p.len == 0 || t.len == 0) {
        return p.len == 0 && t.len == 0;
    }
    sp_str rest = p;
    bool found = false;
    switch (p.ptr[0]) {
    case '*':
        while (rest.len > 0 && rest.ptr[0] == '*') {
            rest = sp_str_from_byte(rest, 1);
        }
        if (rest.len == 0) {
            return true;
        }
        for (size_t i = 0; i < t.len; i++) {
            if (oracle(rest, sp_str_from_byte(t, i))) {
                return true;
            }
        }
        return false;
    case '?':
        rest = sp_str_from_byte(p, 1);
        found = true;
        break;
    case '[': {
        rest = sp_str_from_byte(p, 1);
        bool negated = rest.len > 0 && rest.ptr[0] == '^';
        rest = sp_str_from_byte(rest, negated);
        for (; rest.len > 0 && rest.ptr[0] != ']'; rest = sp_str_from_byte(rest, 1)) {
            if (rest.ptr[0] == '\\' && rest.len >= 2) {
                rest = sp_str_from_byte(rest, 1);
            } else if (rest.len >= 3 && rest.ptr[1] == '-') {
                int low = (signed char)rest.ptr[0];
                int high = (signed char)rest.ptr[2];
                int byte = (signed char)t.ptr[0];
                found |= (byte >= low && byte <= high) || (byte >= high && byte <= low);
                rest = sp_str_from_byte(rest, 2);
                continue;
            }
            found |= rest.ptr[0] == t.ptr[0];
        }
        rest = sp_str_from_byte(rest, rest.len > 0);
        found = found != negated;
        break;
    }
    default:
        rest = sp_str_from_byte(p, p.len > 1 && p.ptr[0] == '\\');
        found = rest.ptr[0] == t.ptr[0];
        rest = sp_str_from_byte(rest, 1);
        break;
    }
    t = sp_str_from_byte(t, 1);
    while (t.len == 0 && rest.len > 0 && rest.ptr[0] == '*') {
        rest = sp_str_from_byte(rest, 1);
    }
    return found && oracle(rest, t);
}

static void random_patterns_agree_with_the_oracle(void **state) {
    (void)state;
    static const char PATTERN[] = "aab*?*[]^-\\b\xc3";
    static const char TEXT[] = "aaab-]\\\xc3";
    struct sp_prng prng = sp_prng_seed(12);
    uint32_t hits = 0;
    for (int i = 0; i < 300000; i++) {
        char p[12];
        char t[12];
        sp_str pattern = sp_str_of(p, sp_prng_below(&prng, 12));
        sp_str text = sp_str_of(t, sp_prng_below(&prng, 12));
        for (size_t k = 0; k < 12; k++) {
            p[k] = PATTERN[sp_prng_below(&prng, sizeof(PATTERN) - 1)];
            t[k] = TEXT[sp_prng_below(&prng, sizeof(TEXT) - 1)];
        }
        bool expected = oracle(pattern, text);
        hits += expected;
        if (sp_redis_glob_match(pattern, text) != expected) {
            fail_msg("%.*s and %.*s: expected %d", SP_STR_ARG(pattern), SP_STR_ARG(text), expected);
        }
    }
    assert_true(hits > 1000);
}

/* With backtracking into every star this would not end. */
static void many_stars_cost_little(void **state) {
    (void)state;
    char pattern[2001];
    char text[4000];
    for (size_t i = 0; i < 1000; i++) {
        pattern[2 * i] = '*';
        pattern[2 * i + 1] = 'a';
    }
    pattern[2000] = 'b';
    memset(text, 'a', sizeof(text));
    assert_false(sp_redis_glob_match(sp_str_of(pattern, 2001), sp_str_of(text, sizeof(text))));
    assert_true(sp_redis_glob_match(sp_str_of(pattern, 2000), sp_str_of(text, sizeof(text))));
}

static void literals_are_known(void **state) {
    (void)state;
    assert_true(sp_redis_glob_is_literal(SP_STR("news.tech")));
    assert_true(sp_redis_glob_is_literal(SP_STR("")));
    assert_true(sp_redis_glob_is_literal(SP_STR("a]b^-")));
    assert_false(sp_redis_glob_is_literal(SP_STR("news.*")));
    assert_false(sp_redis_glob_is_literal(SP_STR("a?")));
    assert_false(sp_redis_glob_is_literal(SP_STR("[a]")));
    assert_false(sp_redis_glob_is_literal(SP_STR("a\\b")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_redis_documents),
        cmocka_unit_test(its_oddities),
        cmocka_unit_test(random_patterns_agree_with_the_oracle),
        cmocka_unit_test(many_stars_cost_little),
        cmocka_unit_test(literals_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
