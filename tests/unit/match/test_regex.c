/* Regular expressions: what they match, what is refused, and that no expression takes long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "match/regex.h"

static struct sp_regex *compile(const char *expression) {
    struct sp_regex *regex = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_regex_compile(sp_str_from(expression), &regex, &error) != SP_OK) {
        fail_msg("`%s`: %s", expression, error.text);
    }
    return regex;
}

struct search_case {
    const char *expression;
    const char *text;
    bool found;
};

static const struct search_case SEARCHES[] = {
    /* Literals are found anywhere. */
    {"", "", true},
    {"", "abc", true},
    {"b", "abc", true},
    {"bc", "abc", true},
    {"cb", "abc", false},
    {"a.c", "xabcx", true},
    {"a.c", "a\nc", false},
    {"(?s)a.c", "a\nc", true},
    {"a.c", "aéc", true},
    {"^a.c$", "a€c", true},
    {"^..$", "é", false},
    {"^.$", "😀", true},
    /* Places. */
    {"^a", "ba", false},
    {"^a", "ab", true},
    {"a$", "ba", true},
    {"a$", "ab", false},
    {"a$", "a\n", false},
    {"^$", "", true},
    {"^$", "a", false},
    {"^^a$$", "a", true},
    {"a^b", "ab", false},
    {"\\Aab\\z", "ab", true},
    {"(^|,)x(,|$)", "a,x", true},
    {"(^|,)x(,|$)", "ax", false},
    {"\\bfail", "did fail", true},
    {"\\bfail", "didfail", false},
    {"fail\\b", "failed", false},
    {"fail\\b", "fail.", true},
    {"\\bfail\\b", "fail", true},
    {"\\Bail", "fail", true},
    {"\\Bfail", "fail", false},
    {"\\b", "", false},
    {"\\B", "", true},
    /* Alternatives and groups. */
    {"cat|dog", "hotdog", true},
    {"^(cat|dog)$", "hotdog", false},
    {"^cat|dog$", "catfish", true},
    {"a(b|)c", "ac", true},
    {"a(|b)c", "abc", true},
    {"(?:ab)+c", "xababc", true},
    {"(?P<name>ab)", "ab", true},
    {"(?<name>ab)", "ab", true},
    {"()", "", true},
    /* Repetition. */
    {"^a*$", "", true},
    {"^a*$", "aaa", true},
    {"^a*$", "aab", false},
    {"^a+$", "", false},
    {"^a?b$", "ab", true},
    {"^a?b$", "aab", false},
    {"^a{3}$", "aaa", true},
    {"^a{3}$", "aa", false},
    {"^a{2,}$", "aaaaa", true},
    {"^a{2,}$", "a", false},
    {"^a{2,3}$", "aaaa", false},
    {"^a{0}$", "", true},
    {"^a{0,0}b$", "b", true},
    {"^(ab){2}$", "abab", true},
    {"^a*?b$", "aab", true},
    {"^a+?$", "aa", true},
    {"^a{1,2}?$", "aa", true},
    {"^(a*)*$", "aaa", true},
    {"^(a|b*)*$", "abba", true},
    {"^(a?){3}$", "aa", true},
    {"a{", "a{", true},
    {"a{,3}", "a{,3}", true},
    {"a{x}", "a{x}", true},
    {"^x{2}{3}$", "xxxxxx", true},
    /* Classes. */
    {"^[abc]+$", "cab", true},
    {"^[abc]+$", "cad", false},
    {"^[a-c]+$", "cab", true},
    {"^[^a-c]+$", "xyz", true},
    {"^[^a-c]+$", "xaz", false},
    {"^[^a]$", "é", true},
    {"^[à-ï]$", "é", true},
    {"^[à-ï]$", "ð", false},
    {"^[^à-ï]$", "é", false},
    {"^[]]$", "]", true},
    {"^[^]]$", "]", false},
    {"^[-a]+$", "a-a", true},
    {"^[a-]+$", "a-a", true},
    {"^[\\d.]+$", "10.5", true},
    {"^[\\]\\\\]+$", "]\\", true},
    {"[^\\s\\S]", "abc", false},
    {"^[\\s\\S]*$", "a\nb€", true},
    {"^[\\x00-\\x{10ffff}]$", "😀", true},
    {"^[\\u0400-\\u04ff]+$", "ж", true},
    {"^[😀-😂]$", "😁", true},
    {"^[😀-😂]$", "😃", false},
    {"\\d{3}-\\d{4}", "call 555-1234 now", true},
    {"\\d{3}-\\d{4}", "call 55-1234 now", false},
    {"^\\w+$", "abc_09", true},
    {"^\\w+$", "abc-09", false},
    {"^\\W$", "-", true},
    {"^\\W$", "é", true},
    {"^\\D\\S$", "ab", true},
    {"\\s", "a\tb", true},
    {"\\S", " \t\n", false},
    {"a\\.b", "a.b", true},
    {"a\\.b", "axb", false},
    {"\\x41\\x{e9}\\u20ac", "Aé€", true},
    {"\\n\\t\\r\\f\\v\\a\\e", "\n\t\r\f\v\a\x1b", true},
    {"\\/\\-\\_\\\"", "/-_\"", true},
    /* Case. */
    {"(?i)error", "an ErRoR", true},
    {"error", "an ErRoR", false},
    {"a(?i)b", "aB", true},
    {"a(?i)b", "AB", false},
    {"a(?i:b)c", "aBc", true},
    {"a(?i:b)c", "aBC", false},
    {"(?i)a(?-i)b", "AB", false},
    {"(?i)a(?-i)b", "Ab", true},
    {"(?i)[a-f]+$", "CaFE", true},
    {"(?i)[^a]", "A", false},
    {"(?i)straße", "STRAßE", true},
    {"(?i)élan", "ÉLAN", true},
    {"(?i)привет", "ПРИВЕТ", true},
    {"(?i)σ", "ς", true},
    {"(?is)a.b", "A\nB", true},
    /* What people write. */
    {"^(\\d{1,3}\\.){3}\\d{1,3}$", "192.168.0.1", true},
    {"^(\\d{1,3}\\.){3}\\d{1,3}$", "192.168.0", false},
    {"^[\\w.+-]+@[\\w-]+\\.[\\w.-]+$", "ada@example.org", true},
    {"(?i)\\b(time ?out|timed out)\\b", "request Timed Out after 30 s", true},
    {"^(deploy|rollback)/v\\d+(\\.\\d+)*$", "deploy/v1.22.3", true},
    {"HTTP/1\\.[01]\" (4|5)\\d\\d", "GET / HTTP/1.1\" 503", true},
};

static void test_searches(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(SEARCHES) / sizeof(SEARCHES[0]); i++) {
        const struct search_case *c = &SEARCHES[i];
        struct sp_regex *regex = compile(c->expression);
        if (sp_regex_search(regex, sp_str_from(c->text), false) != c->found) {
            fail_msg("`%s` in `%s`: expected %d", c->expression, c->text, c->found);
        }
        sp_regex_free(regex);
    }
}

static void test_escaped_text(void **state) {
    (void)state;
    struct sp_regex *regex = compile("^a\"\n€😀\\\\$");
    assert_true(sp_regex_search(regex, SP_STR("a\\\"\\n\\u20AC\\ud83d\\ude00\\\\"), true));
    assert_false(sp_regex_search(regex, SP_STR("a\\\"\\n\\u20AC\\ud83d\\ude00"), true));
    sp_regex_free(regex);
    /* Longer than one piece of decoded text. */
    char text[3000] = "";
    for (int i = 0; i < 400; i++) {
        strcat(text, "ab\\n");
    }
    strcat(text, "end");
    regex = compile("^(ab\n){400}end$");
    assert_true(sp_regex_search(regex, sp_str_from(text), true));
    sp_regex_free(regex);
}

static const struct {
    const char *expression;
    sp_status status;
    uint64_t offset;
    const char *text;
} REFUSED[] = {
    {"a(b", SP_INVALID, 1, "never closed"},
    {"ab)", SP_INVALID, 2, "never opened"},
    {"a[b", SP_INVALID, 1, "never closed"},
    {"[]", SP_INVALID, 0, "never closed"},
    {"*a", SP_INVALID, 0, "nothing to repeat"},
    {"a|+", SP_INVALID, 2, "nothing to repeat"},
    {"(?:?)", SP_INVALID, 3, "nothing to repeat"},
    {"[z-a]", SP_INVALID, 1, "below its start"},
    {"[a-\\d]", SP_INVALID, 1, "below its start"},
    {"a\\", SP_INVALID, 2, "after the backslash"},
    {"[\\", SP_INVALID, 2, "after the backslash"},
    {"\\xg0", SP_INVALID, 2, "hexadecimal"},
    {"\\x{41", SP_INVALID, 5, "expected `}`"},
    {"\\x{}", SP_INVALID, 3, "hexadecimal"},
    {"\\x{110000}", SP_INVALID, 9, "10ffff"},
    {"a{3,2}", SP_INVALID, 1, "below the minimum"},
    {"a{1001}", SP_LIMIT, 1, "1000"},
    {"a{1,2000}", SP_LIMIT, 1, "1000"},
    {"\xff", SP_INVALID, 0, "UTF-8"},
    {"(a)\\1", SP_UNSUPPORTED, 4, "references"},
    {"(?=a)", SP_UNSUPPORTED, 2, "looking"},
    {"(?!a)", SP_UNSUPPORTED, 2, "looking"},
    {"(?<=a)b", SP_UNSUPPORTED, 2, "looking"},
    {"(?<!a)b", SP_UNSUPPORTED, 2, "looking"},
    {"(?>a)", SP_UNSUPPORTED, 2, "this kind of group"},
    {"a*+", SP_UNSUPPORTED, 2, "possessive"},
    {"\\p{Greek}", SP_UNSUPPORTED, 2, "general categories"},
    {"\\pL", SP_INVALID, 2, "expected `{`"},
    {"[[:alpha:]]", SP_UNSUPPORTED, 1, "[:alpha:]"},
    {"\\q", SP_UNSUPPORTED, 1, "not known"},
    {"(?x)a", SP_UNSUPPORTED, 2, "flags"},
    {"(?i", SP_INVALID, 3, "never closed"},
    {"(?<a", SP_INVALID, 3, "name"},
    {"(a{1000}){1000}", SP_LIMIT, 0, "too large"},
    {"(((((){1000}){1000}){1000}){1000}){1000}", SP_LIMIT, 0, "too large"},
    {"((((a{50}){50}){50}){50}){50}", SP_LIMIT, 0, "too large"},
    {"a*****************", SP_LIMIT, 10, "repetitions of repetitions"},
};

/* As ECMA-262 reads them, and differently from the usual. */
static const struct search_case ECMA[] = {
    {"^\\s$", "\u00a0", true},
    {"^\\S$", "\u00a0", false},
    {"^.$", "\u2028", false},
    {"(?s:^.$)", "\u2028", true},
    {"a[]", "a", false},
    {"^a[^]$", "a\n", true},
    {"^\\cJ$", "\n", true},
    {"^\\u{1F600}$", "😀", true},
    {"^\\ud83d\\ude00$", "😀", true},
    {"^\\p{Lu}\\P{Lu}$", "Éé", true},
    {"^[\\p{L}_]+$", "a_é", true},
    {"^\\p{Letter}+$", "aéя漢", true},
    {"^\\p{Letter}+$", "a1", false},
    {"^\\p{Nd}$", "৪", true},
    {"^\\p{gc=Nd}$", "4", true},
    {"^\\p{ASCII}$", "é", false},
    {"^\\P{ASCII}$", "é", true},
    {"^\\p{Any}$", "é", true},
    {"^\\p{Assigned}$", "\u0378", false},
    {"^\\p{LC}$", "ǅ", true},
    {"^\\p{P}+$", "!?«", true},
    {"^(?<year>\\d{4})$", "2026", true},
    {"^[^\\p{L}]$", "漢", false},
};

static void test_ecma(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(ECMA) / sizeof(ECMA[0]); i++) {
        struct sp_regex *regex = NULL;
        struct sp_error error;
        sp_error_clear(&error);
        sp_status status =
            sp_regex_compile_as(sp_str_from(ECMA[i].expression), SP_REGEX_ECMA, &regex, &error);
        if (status != SP_OK ||
            sp_regex_search(regex, sp_str_from(ECMA[i].text), false) != ECMA[i].found) {
            fail_msg("`%s` in `%s`: %s", ECMA[i].expression, ECMA[i].text, error.text);
        }
        sp_regex_free(regex);
    }
    static const char *const NONE[] = {"\\a", "\\e", "\\A", "\\z", "(?P<n>a)", "(?i)a", "(?#x)"};
    for (size_t i = 0; i < sizeof(NONE) / sizeof(NONE[0]); i++) {
        struct sp_regex *regex = NULL;
        assert_int_equal(sp_regex_compile_as(sp_str_from(NONE[i]), SP_REGEX_ECMA, &regex, NULL),
                         SP_INVALID);
    }
}

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
        struct sp_regex *regex = NULL;
        struct sp_error error;
        sp_error_clear(&error);
        sp_status status = sp_regex_compile(sp_str_from(REFUSED[i].expression), &regex, &error);
        if (status != REFUSED[i].status || error.offset != REFUSED[i].offset ||
            strstr(error.text, REFUSED[i].text) == NULL) {
            fail_msg("`%s`: %s, byte %d: %s", REFUSED[i].expression, sp_status_name(status),
                     (int)error.offset, error.text);
        }
    }
    char deep[2 * SP_REGEX_DEPTH_MAX + 4];
    memset(deep, '(', sizeof(deep));
    struct sp_regex *regex = NULL;
    assert_int_equal(sp_regex_compile(sp_str_of(deep, sizeof(deep)), &regex, NULL), SP_LIMIT);
    char longest[SP_REGEX_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(sp_regex_compile(sp_str_of(longest, sizeof(longest)), &regex, NULL), SP_LIMIT);
}

/* Expressions on which backtracking takes exponential time. Counted in steps, not in seconds. */
static void test_time_is_linear(void **state) {
    (void)state;
    static const char *const NASTY[] = {
        "(a*)*b",         "(a+)+$b",   "(a|a)*b",        "(a|aa)+b",          "(.*)*b",
        "(.*.*.*.*.*)*b", "a*a*a*a*b", "(a?){50}a{50}b", "(x+x+)+y|(a+a+)+b", "((a*)*)*b",
    };
    const size_t size = 100000;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'a', size);
    for (size_t i = 0; i < sizeof(NASTY) / sizeof(NASTY[0]); i++) {
        struct sp_regex *regex = compile(NASTY[i]);
        uint64_t steps = 0;
        assert_false(sp_regex_search_counted(regex, sp_str_of(text, size), false, &steps));
        uint64_t factor = sp_regex_is_table(regex) ? 1 : 1000;
        if (steps > factor * (size + 1)) {
            fail_msg("`%s`: %llu steps", NASTY[i], (unsigned long long)steps);
        }
        sp_regex_free(regex);
    }
    free(text);
}

/* Without a table the same answers come, within steps bounded by text times program. */
static void test_without_table(void **state) {
    (void)state;
    struct sp_regex *regex = compile("(a|b)*a(a|b){12}c");
    assert_false(sp_regex_is_table(regex));
    char text[20000];
    struct sp_prng prng = sp_prng_seed(5);
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = sp_prng_below(&prng, 2) == 0 ? 'a' : 'b';
    }
    uint64_t steps = 0;
    assert_false(sp_regex_search_counted(regex, sp_str_of(text, sizeof(text)), false, &steps));
    assert_true(steps <= sizeof(text) * 200);
    text[sizeof(text) - 1] = 'c';
    text[sizeof(text) - 14] = 'a';
    assert_true(sp_regex_search(regex, sp_str_of(text, sizeof(text)), false));
    text[sizeof(text) - 14] = 'b';
    assert_false(sp_regex_search(regex, sp_str_of(text, sizeof(text)), false));
    sp_regex_free(regex);
}

/* A random expression that POSIX extended syntax and ours read the same way. */
static size_t random_expression(struct sp_prng *prng, int depth, char *to) {
    size_t len = 0;
    uint32_t items = 1 + sp_prng_below(prng, 3);
    for (uint32_t i = 0; i < items; i++) {
        static const char *const ATOMS[] = {"a", "b", "c", ".", "[ab]", "[^a]"};
        uint32_t choice = sp_prng_below(prng, depth > 0 ? 9 : 6);
        if (choice >= 6) {
            to[len++] = '(';
            len += random_expression(prng, depth - 1, to + len);
            to[len++] = ')';
        } else {
            len += (size_t)sprintf(to + len, "%s", ATOMS[choice]);
        }
        static const char *const REPEATS[] = {"", "", "", "*", "+", "?", "{2}", "{1,2}"};
        len += (size_t)sprintf(to + len, "%s", REPEATS[sp_prng_below(prng, 8)]);
    }
    if (sp_prng_below(prng, 4) == 0) {
        to[len++] = '|';
        len += random_expression(prng, 0, to + len);
    }
    return len;
}

static void test_agrees_with_posix(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(17);
    int found = 0;
    for (int i = 0; i < 3000; i++) {
        char expression[4096];
        size_t len = 0;
        bool start = sp_prng_below(&prng, 3) == 0;
        bool end = sp_prng_below(&prng, 3) == 0;
        len += (size_t)sprintf(expression, "%s(", start ? "^" : "");
        len += random_expression(&prng, 2, expression + len);
        sprintf(expression + len, ")%s", end ? "$" : "");
        regex_t posix;
        assert_int_equal(regcomp(&posix, expression, REG_EXTENDED | REG_NOSUB), 0);
        struct sp_regex *regex = compile(expression);
        for (int k = 0; k < 20; k++) {
            char text[12];
            uint32_t size = sp_prng_below(&prng, sizeof(text));
            for (uint32_t n = 0; n < size; n++) {
                text[n] = (char)('a' + sp_prng_below(&prng, 4));
            }
            text[size] = '\0';
            bool expected = regexec(&posix, text, 0, NULL, 0) == 0;
            if (sp_regex_search(regex, sp_str_of(text, size), false) != expected) {
                fail_msg("`%s` in `%s`: expected %d", expression, text, expected);
            }
            found += expected;
        }
        sp_regex_free(regex);
        regfree(&posix);
    }
    assert_true(found > 10000);
}

/* Each class of code points takes exactly its members, whatever their length in UTF-8. */
static void test_ranges_of_code_points(void **state) {
    (void)state;
    static const uint32_t EDGES[] = {0x01,    0x7f,     0x80,   0x7ff,  0x800,   0xfff,
                                     0x1000,  0xd7ff,   0xe000, 0xffff, 0x10000, 0x3ffff,
                                     0x40000, 0x10ffff, 0x20ac, 0x1f600};
    const size_t count = sizeof(EDGES) / sizeof(EDGES[0]);
    for (size_t i = 0; i < count * count; i++) {
        uint32_t first = EDGES[i / count];
        uint32_t last = EDGES[i % count];
        if (first > last) {
            continue;
        }
        char expression[64];
        sprintf(expression, "^[\\x{%x}-\\x{%x}]$", (unsigned)first, (unsigned)last);
        struct sp_regex *regex = compile(expression);
        for (size_t k = 0; k < 3 * count; k++) {
            uint32_t code = EDGES[k / 3] + (uint32_t)(k % 3) - 1;
            char utf8[8];
            if (code == 0 || code > 0x10ffff || (code & 0xfffff800) == 0xd800) {
                continue;
            }
            size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
            utf8[0] = (char)(len == 1   ? code
                             : len == 2 ? 0xc0 | code >> 6
                             : len == 3 ? 0xe0 | code >> 12
                                        : 0xf0 | code >> 18);
            for (size_t n = 1; n < len; n++) {
                utf8[n] = (char)(0x80 | (code >> 6 * (len - 1 - n) & 0x3f));
            }
            bool expected = code >= first && code <= last;
            if (sp_regex_search(regex, sp_str_of(utf8, len), false) != expected) {
                fail_msg("%s on %x: expected %d", expression, (unsigned)code, expected);
            }
        }
        sp_regex_free(regex);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_searches),
        cmocka_unit_test(test_escaped_text),
        cmocka_unit_test(test_ecma),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_time_is_linear),
        cmocka_unit_test(test_without_table),
        cmocka_unit_test(test_agrees_with_posix),
        cmocka_unit_test(test_ranges_of_code_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
