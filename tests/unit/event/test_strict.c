/* The grammars that CloudEvents refers to, and what an error says of a value that has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/strict.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void uris_are_told_from_other_texts(void **state) {
    (void)state;
    static const char *const REFERENCES[] = {
        "https://x.io",
        "https://x.io/a/b?c=d&e=/?#f/?",
        "#fragment",
        "?query",
        "/cloudevents/spec/pull/123",
        "//authority/path",
        "//user:word@host:80/path",
        "//[2001:db8::7]:443/x",
        "//host",
        "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
        "mailto:cncf-wg-serverless@lists.cncf.io",
        "agent:planner",
        "agent-1",
        "a_b~c.d",
        "tests/a:b",
        "1/2:3",
        "a%20b%C3%A9",
        "x(1)*;y=2,'z'!$&+@",
        "file:///tmp/x",
        ".",
        "/",
    };
    static const char *const OTHERS[] = {
        "",         "a b",   "a\"b",        "<a>",      "a\\b",   "a|b",       "a^b",
        "a`b",      "{a}",   "caf\xc3\xa9", "a#b#c",    "%",      "a%2",       "a%zz",
        "1:2",      "a_b:c", ":a",          "//[::1",   "//[]/x", "//a]b",     "//x[::1]",
        "//a@b@c/", "a\tb",  "a\x01",       "//[a b]/", "a[1]",   "//h:80x y", "?a b",
    };
    for (size_t i = 0; i < COUNT(REFERENCES); i++) {
        if (!sp_uri_reference_valid(sp_str_from(REFERENCES[i]))) {
            fail_msg("refused: %s", REFERENCES[i]);
        }
    }
    for (size_t i = 0; i < COUNT(OTHERS); i++) {
        if (sp_uri_reference_valid(sp_str_from(OTHERS[i]))) {
            fail_msg("accepted: %s", OTHERS[i]);
        }
    }
}

static void a_uri_has_a_scheme(void **state) {
    (void)state;
    assert_true(sp_uri_valid(SP_STR("https://x.io/schema#/definitions/a")));
    assert_true(sp_uri_valid(SP_STR("urn:x:y")));
    assert_false(sp_uri_valid(SP_STR("/schema")));
    assert_false(sp_uri_valid(SP_STR("schema.json")));
    assert_false(sp_uri_valid(SP_STR("https://x.io/a b")));
    assert_false(sp_uri_valid(SP_STR("")));
}

static void media_types_are_told_from_other_texts(void **state) {
    (void)state;
    static const char *const TYPES[] = {
        "text/plain",
        "application/json",
        "application/vnd.x+json",
        "application/json; charset=utf-8",
        "application/json;charset=utf-8 ; q=\"a \\\" b;c\"",
        "multipart/form-data; boundary=----x'y",
        "text/plain;",
        "image/svg+xml",
    };
    static const char *const OTHERS[] = {
        "",
        "xyz",
        "/x",
        "x/",
        "a/b/c",
        "a b/c",
        "text/pl n",
        "text/plain x",
        "text/plain; x",
        "text/plain; =y",
        "text/plain; x=",
        "text/plain; x=\"y",
        "text/pl\xc3\xa4in",
        "text/plain, text/html",
        "te(x)t/plain",
    };
    for (size_t i = 0; i < COUNT(TYPES); i++) {
        if (!sp_media_type_valid(sp_str_from(TYPES[i]))) {
            fail_msg("refused: %s", TYPES[i]);
        }
    }
    for (size_t i = 0; i < COUNT(OTHERS); i++) {
        if (sp_media_type_valid(sp_str_from(OTHERS[i]))) {
            fail_msg("accepted: %s", OTHERS[i]);
        }
    }
}

static void says(sp_status status, const struct sp_error *error, const char *expected) {
    assert_int_equal(status, SP_INVALID);
    if (strcmp(error->text, expected) != 0) {
        fail_msg("%s\nexpected: %s", error->text, expected);
    }
}

static void what_is_wrong_is_named(void **state) {
    (void)state;
    struct sp_error error;
    says(sp_strict_check(SP_ATTR_SOURCE, SP_STR("an agent"), &error), &error,
         "attribute source: found \"an agent\", expected a URI-reference (RFC 3986)");
    says(sp_strict_check(SP_ATTR_ID, SP_STR(""), &error), &error,
         "attribute id: found nothing, expected some text");
    says(sp_strict_check(SP_ATTR_ID, SP_STR("a\x07"), &error), &error,
         "attribute id: found a control character at byte 1, expected text");
    says(sp_strict_check(SP_ATTR_ID, SP_STR("a\xef\xbf\xbe"), &error), &error,
         "attribute id: found a code point that is no character at byte 1, expected text");
    says(sp_strict_check(SP_ATTR_TIME, SP_STR("2026-11-20 05:49:12Z"), &error), &error,
         "attribute time: found \"2026-11-20 05:49:12Z\", expected a T between date and time");
    says(sp_strict_check(SP_ATTR_CONTENTTYPE, SP_STR("xyz"), &error), &error,
         "attribute datacontenttype: found \"xyz\", expected a media type such as text/plain");
    says(sp_strict_check_extension(SP_STR("dataschema"), SP_STR("a/b"), &error), &error,
         "attribute dataschema: found \"a/b\", expected a URI with its scheme (RFC 3986)");
    says(sp_strict_check_extension(SP_STR("subject"), SP_STR(""), &error), &error,
         "attribute subject: found nothing, expected some text");
    says(sp_strict_check_extension(SP_STR("mine"), SP_STR("\xff"), &error), &error,
         "attribute mine: found bytes that are not UTF-8 at byte 0, expected text");
    says(sp_strict_check_specversion(SP_STR("0.9"), &error), &error,
         "attribute specversion: found \"0.9\", expected \"1.0\"");
    assert_int_equal(sp_strict_check_extension(SP_STR("mine"), SP_STR(""), &error), SP_OK);
    assert_int_equal(sp_strict_check(SP_ATTR_TIME, SP_STR("2026-11-20t05:49:12.5-07:30"), &error),
                     SP_OK);
}

static void a_long_value_is_shown_in_part_and_not_within_a_character(void **state) {
    (void)state;
    char text[100];
    struct sp_error error;
    memset(text, 'a', sizeof(text));
    memcpy(text + 63, "\xc3\xa9", 2);
    assert_int_equal(sp_strict_check(SP_ATTR_SOURCE, sp_str_of(text, sizeof(text)), &error),
                     SP_INVALID);
    assert_non_null(strstr(error.text, "aaa...\", expected"));
    assert_null(strchr(error.text, '\xc3'));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uris_are_told_from_other_texts),
        cmocka_unit_test(a_uri_has_a_scheme),
        cmocka_unit_test(media_types_are_told_from_other_texts),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_long_value_is_shown_in_part_and_not_within_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
