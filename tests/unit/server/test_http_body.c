/* Bodies as JSON objects whose members are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "server/http_body.h"

enum { ONE, TWO, THREE, COUNT };

static const char *const NAMES[] = {"one", "two", "three", NULL};
static struct sp_http_value values[COUNT];
static struct sp_error error;
static struct sp_buf texts;

static int begin(void **state) {
    (void)state;
    sp_buf_init(&texts, 1 << 20);
    return 0;
}

static int end(void **state) {
    (void)state;
    sp_buf_fini(&texts);
    return 0;
}

static sp_status read_body(const char *body) {
    const struct sp_http_request request = {.body = sp_str_from(body)};
    sp_error_clear(&error);
    return sp_http_body_members(&request, NAMES, values, &error);
}

static void expect_refused(const char *body, const char *told) {
    assert_int_equal(read_body(body), SP_INVALID);
    if (strstr(error.text, told) == NULL) {
        fail_msg("%s: '%s' does not say '%s'", body, error.text, told);
    }
}

static void expect_text(sp_str found, const char *expected) {
    assert_int_equal(found.len, strlen(expected));
    assert_memory_equal(found.ptr, expected, found.len);
}

static void test_members_in_any_order(void **state) {
    (void)state;
    sp_str text = SP_STR("before");
    uint64_t number = 7;
    bool yes = false;
    assert_int_equal(read_body(" {\"two\": 12, \"\\u006fne\": \"a\\n\\u00e4\", \"three\": true} "),
                     SP_OK);
    assert_int_equal(sp_http_value_text(&values[ONE], "one", 4, &texts, &text, &error), SP_OK);
    expect_text(text, "a\n\xc3\xa4");
    assert_int_equal(sp_http_value_number(&values[TWO], "two", 0, 12, &number, &error), SP_OK);
    assert_int_equal(number, 12);
    assert_int_equal(sp_http_value_bool(&values[THREE], "three", &yes, &error), SP_OK);
    assert_true(yes);
}

static void test_what_is_absent_leaves_things_as_they_are(void **state) {
    (void)state;
    const char *const bodies[] = {"", "{}", "{\"one\": null, \"two\": null, \"three\": null}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        sp_str text = SP_STR("before");
        uint64_t number = 7;
        uint32_t count = 3;
        bool yes = true;
        assert_int_equal(read_body(bodies[i]), SP_OK);
        assert_int_equal(sp_http_value_text(&values[ONE], "one", 9, &texts, &text, &error), SP_OK);
        assert_int_equal(sp_http_value_number(&values[TWO], "two", 8, 9, &number, &error), SP_OK);
        assert_int_equal(sp_http_value_bool(&values[THREE], "three", &yes, &error), SP_OK);
        assert_int_equal(sp_http_value_ids(&values[ONE], "one", 9, &texts, &count, &error), SP_OK);
        expect_text(text, "before");
        assert_int_equal(number, 7);
        assert_int_equal(count, 3);
        assert_true(yes);
        assert_int_equal(sp_http_value_needed(&values[ONE], "one", &error), SP_INVALID);
        assert_non_null(strstr(error.text, "one is needed"));
    }
}

static void test_bodies_that_are_refused(void **state) {
    (void)state;
    expect_refused("[]", "expected an object, not an array");
    expect_refused("7", "expected an object");
    expect_refused("{", "byte");
    expect_refused("{} {}", "byte");
    expect_refused("{\"one\": }", "byte");
    expect_refused("{\"one\": [1, }", "byte");
    expect_refused("{\"one\": \"\xff\"}", "byte");
    expect_refused("{\"four\": 1}", "unknown member 'four', expected one, two, three");
    expect_refused("{\"ONE\": 1}", "unknown member 'ONE'");
    expect_refused("{\"one\": 1, \"one\": 2}", "one: is there twice");
    expect_refused("{\"one\": null, \"one\": null}", "one: is there twice");
}

static void test_values_that_are_refused(void **state) {
    (void)state;
    sp_str text = SP_STR("");
    uint64_t number = 0;
    bool yes = false;
    assert_int_equal(read_body("{\"one\": 1, \"two\": \"2\", \"three\": 0}"), SP_OK);
    assert_int_equal(sp_http_value_text(&values[ONE], "one", 9, &texts, &text, &error), SP_INVALID);
    assert_string_equal(error.text, "one: expected a string, not a number");
    assert_int_equal(sp_http_value_number(&values[TWO], "two", 0, 9, &number, &error), SP_INVALID);
    assert_string_equal(error.text, "two: expected a whole number from 0 to 9");
    assert_int_equal(sp_http_value_bool(&values[THREE], "three", &yes, &error), SP_INVALID);
    assert_string_equal(error.text, "three: expected true or false, not a number");
    const char *const numbers[] = {"-1", "10", "1.0", "1e1", "99999999999999999999", "[]", "true"};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char body[64];
        (void)snprintf(body, sizeof(body), "{\"two\": %s}", numbers[i]);
        assert_int_equal(read_body(body), SP_OK);
        assert_int_equal(sp_http_value_number(&values[TWO], "two", 0, 9, &number, &error),
                         SP_INVALID);
    }
    assert_int_equal(read_body("{\"one\": \"12345\"}"), SP_OK);
    assert_int_equal(sp_http_value_text(&values[ONE], "one", 4, &texts, &text, &error), SP_LIMIT);
}

static void test_ids(void **state) {
    (void)state;
    uint32_t count = 0;
    assert_int_equal(read_body("{\"one\": [\"17-3\", \"18\"], \"two\": [], \"three\": \"1-1\"}"),
                     SP_OK);
    assert_int_equal(sp_http_value_ids(&values[ONE], "one", 2, &texts, &count, &error), SP_OK);
    assert_int_equal(count, 2);
    const struct sp_entry_id expected[] = {{.ms = 17, .seq = 3}, {.ms = 18, .seq = 0}};
    assert_int_equal(texts.len, sizeof(expected));
    assert_memory_equal(texts.data, expected, sizeof(expected));
    assert_int_equal(sp_http_value_ids(&values[ONE], "one", 1, &texts, &count, &error), SP_LIMIT);
    assert_int_equal(sp_http_value_ids(&values[TWO], "two", 1, &texts, &count, &error), SP_OK);
    assert_int_equal(count, 0);
    assert_int_equal(sp_http_value_ids(&values[THREE], "three", 1, &texts, &count, &error),
                     SP_INVALID);
    const char *const wrong[] = {"[\"1-1\", \"-\"]", "[\"1-1\", 1]", "[\"1-1\", [\"1-1\"]]",
                                 "[\"1-1\", null]"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char body[64];
        (void)snprintf(body, sizeof(body), "{\"one\": %s}", wrong[i]);
        assert_int_equal(read_body(body), SP_OK);
        assert_int_equal(sp_http_value_ids(&values[ONE], "one", 9, &texts, &count, &error),
                         SP_INVALID);
        assert_non_null(strstr(error.text, "one[1]: expected an entry id"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_members_in_any_order, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_absent_leaves_things_as_they_are, begin, end),
        cmocka_unit_test_setup_teardown(test_bodies_that_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_values_that_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_ids, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
