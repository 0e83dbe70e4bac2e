#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "flow/doc.h"
#include "match/filter.h"

static void parse(struct sp_doc *doc, const char *text) {
    struct sp_error error;
    sp_doc_init(doc);
    if (sp_doc_parse_json(doc, sp_str_from(text), &error) != SP_OK) {
        fail_msg("%s: %s", text, error.text);
    }
}

static void assert_written(const struct sp_doc_node *node, const char *expected) {
    struct sp_buf buf;
    sp_buf_init(&buf, 1 << 20);
    sp_doc_write(node, &buf);
    sp_buf_add_byte(&buf, 0);
    assert_int_equal(buf.status, SP_OK);
    assert_string_equal((const char *)buf.data, expected);
    sp_buf_fini(&buf);
}

static void json_comes_back_as_it_was_written(void **state) {
    static const char *const TEXTS[] = {
        "1.50",
        "\"a\\nb\"",
        "[]",
        "{}",
        "[[],{},[1,[2,3],[]],null]",
        "{\"z\":1,\"a\":{\"b\":[true,false,{\"c\":1e3}],\"d\":{}},\"k\":\"\"}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(*TEXTS); i++) {
        struct sp_doc doc;
        parse(&doc, TEXTS[i]);
        assert_written(doc.root, TEXTS[i]);
        sp_doc_fini(&doc);
    }
}

static void every_key_and_value_has_its_place(void **state) {
    struct sp_doc doc;
    (void)state;
    parse(&doc, "{\n  \"a\": [1,\n 22],\n  \"é\": \"x\", \"b\":\n{\"c\": null}}");
    const struct sp_doc_node *a = sp_doc_get(doc.root, "a");
    assert_int_equal(a->key_at.line, 2);
    assert_int_equal(a->key_at.column, 3);
    assert_int_equal(a->place.column, 8);
    assert_int_equal(a->count, 2);
    assert_int_equal(a->last->place.line, 3);
    assert_int_equal(a->last->place.column, 2);
    const struct sp_doc_node *b = sp_doc_get(doc.root, "b");
    assert_int_equal(b->key_at.line, 4);
    assert_int_equal(b->key_at.column, 13); /* characters, not bytes */
    assert_int_equal(b->place.line, 5);
    assert_int_equal(sp_doc_get(b, "c")->kind, SP_DOC_NULL);
    assert_null(sp_doc_get(b, "d"));
    assert_null(sp_doc_get(a, "c"));
    sp_doc_fini(&doc);
}

static void assert_refused(const char *text, sp_status status, const char *expected) {
    struct sp_doc doc;
    struct sp_error error;
    sp_doc_init(&doc);
    assert_int_equal(sp_doc_parse_json(&doc, sp_str_from(text), &error), status);
    if (strstr(error.text, expected) == NULL) {
        fail_msg("%s: %s", text, error.text);
    }
    sp_doc_fini(&doc);
}

static void what_is_no_document_is_refused_with_its_place(void **state) {
    (void)state;
    assert_refused("{\"a\": 1,\n \"a\": 2}", SP_INVALID,
                   "line 2, column 2: the key `a` is there twice, first in line 1");
    assert_refused("{\"a\": 1,\n  ]", SP_INVALID, "line 2, column 3: ");
    assert_refused("", SP_INVALID, "line 1, column 1: ");
    assert_refused("{\"\\u0061\": 1, \"a\": 2}", SP_INVALID, "twice");
}

static void limits_are_kept(void **state) {
    struct sp_buf buf;
    (void)state;
    sp_buf_init(&buf, 1 << 20);
    for (int i = 0; i <= SP_DOC_DEPTH_MAX; i++) {
        sp_buf_add_byte(&buf, '[');
    }
    sp_buf_add_byte(&buf, 0);
    assert_refused((const char *)buf.data, SP_INVALID, "line 1, column");
    sp_buf_reset(&buf);
    sp_buf_add_byte(&buf, '[');
    for (int i = 0; i < SP_DOC_NODES_MAX; i++) {
        sp_buf_add_str(&buf, SP_STR("1,"));
    }
    sp_buf_add_str(&buf, SP_STR("1]"));
    sp_buf_add_byte(&buf, 0);
    assert_refused((const char *)buf.data, SP_LIMIT, "more than 32768 values");
    sp_buf_reset(&buf);
    for (int i = 0; i <= SP_DOC_MEMBERS_MAX; i++) {
        sp_buf_add_str(&buf, i == 0 ? SP_STR("{\"") : SP_STR(",\""));
        sp_buf_add_u64(&buf, (uint64_t)i);
        sp_buf_add_str(&buf, SP_STR("\":0"));
    }
    sp_buf_add_str(&buf, SP_STR("}"));
    sp_buf_add_byte(&buf, 0);
    assert_refused((const char *)buf.data, SP_LIMIT, "more than 1024 members");
    sp_buf_fini(&buf);
}

static void a_document_is_put_into_another(void **state) {
    struct sp_doc doc;
    struct sp_doc other;
    struct sp_error error;
    struct sp_doc_place place = {.line = 7, .column = 9};
    (void)state;
    parse(&doc, "{\"a\":{\"x\":1},\"b\":2}");
    parse(&other, "{\"p\":[1,{\"q\":[]},2],\"r\":{\"s\":{}},\"t\":3}");
    struct sp_doc_node *a = doc.root->first;
    assert_int_equal(sp_doc_graft(&doc, a, SP_STR("y"), other.root, place, &error), SP_OK);
    assert_written(doc.root, "{\"a\":{\"x\":1,\"y\":{\"p\":[1,{\"q\":[]},2],\"r\":{\"s\":{}},"
                             "\"t\":3}},\"b\":2}");
    assert_int_equal(sp_doc_get(sp_doc_get(a, "y"), "t")->place.line, 7);
    assert_int_equal(sp_doc_graft(&doc, a, SP_STR("y"), other.root, place, &error), SP_INVALID);
    sp_doc_fini(&other);
    sp_doc_fini(&doc);
}

/* ---- reading ---- */

struct read {
    struct sp_doc doc;
    struct sp_doc_problems problems;
};

static const struct sp_doc_node *begin(struct read *read, const char *text) {
    parse(&read->doc, text);
    sp_doc_problems_init(&read->problems);
    return sp_doc_get(read->doc.root, "v");
}

static void end(struct read *read, const char *expected) {
    struct sp_error error;
    sp_status status = sp_doc_problems_status(&read->problems, &error);
    if (expected == NULL) {
        assert_int_equal(status, SP_OK);
    } else {
        assert_int_equal(status, SP_INVALID);
        assert_string_equal(error.text, expected);
    }
    sp_doc_fini(&read->doc);
}

static void durations_are_text_or_seconds(void **state) {
    struct read *read = malloc(sizeof(*read));
    uint64_t us = 42;
    (void)state;
    assert_true(sp_doc_duration(NULL, 0, 9, &us, &read->problems));
    assert_int_equal(us, 42);
    assert_true(
        sp_doc_duration(begin(read, "{\"v\":\"1m30s\"}"), 0, 1000000000, &us, &read->problems));
    assert_int_equal(us, 90000000);
    end(read, NULL);
    assert_true(sp_doc_duration(begin(read, "{\"v\":0.25}"), 0, 1000000000, &us, &read->problems));
    assert_int_equal(us, 250000);
    end(read, NULL);
    assert_false(sp_doc_duration(begin(read, "{\"v\":-1}"), 0, 1000000, &us, &read->problems));
    end(read, "line 1, column 6: `v`: -1 is not between 0s and 1s");
    assert_false(sp_doc_duration(begin(read, "{\"v\":\"1y\"}"), 0, 9, &us, &read->problems));
    end(read, "line 1, column 6: `v`: not a duration: byte 1: expected a unit, one of us ms s m h "
              "d w");
    assert_false(sp_doc_duration(begin(read, "{\"v\":[]}"), 0, 9, &us, &read->problems));
    end(read, "line 1, column 6: `v`: expected a duration such as 30s, found a list");
    free(read);
}

static void values_are_what_is_expected_or_a_problem(void **state) {
    static const char *const WORDS[] = {"all", "any", "none"};
    struct read *read = malloc(sizeof(*read));
    uint64_t number = 0;
    uint32_t word = 9;
    bool flag = false;
    sp_str text;
    (void)state;
    assert_false(sp_doc_integer(begin(read, "{\"v\":1.5}"), 1, 9, &number, &read->problems));
    end(read, "line 1, column 6: `v`: expected a whole number from 1 to 9, found 1.5");
    assert_true(sp_doc_integer(begin(read, "{\"v\":9}"), 1, 9, &number, &read->problems));
    assert_int_equal(number, 9);
    end(read, NULL);
    assert_true(sp_doc_milli(begin(read, "{\"v\":0.2}"), 0, 1000, &number, &read->problems));
    assert_int_equal(number, 200);
    end(read, NULL);
    assert_false(sp_doc_word(begin(read, "{\"v\":\"some\"}"), WORDS, 3, &word, &read->problems));
    end(read, "line 1, column 6: `v`: expected all, any or none, found `some`");
    assert_true(sp_doc_word(begin(read, "{\"v\":\"none\"}"), WORDS, 3, &word, &read->problems));
    assert_int_equal(word, 2);
    end(read, NULL);
    assert_false(sp_doc_bool(begin(read, "{\"v\":\"yes\"}"), &flag, &read->problems));
    end(read, "line 1, column 6: `v`: expected true or false, found text");
    assert_false(sp_doc_name(begin(read, "{\"v\":\"9a\"}"), true, &text, &read->problems));
    end(read, "line 1, column 6: `9a` is no name: a letter, then letters, digits, `_`, `-`, `.`, "
              "at most 63");
    assert_false(sp_doc_pattern(begin(read, "{\"v\":\"a.>.b\"}"), &text, &read->problems));
    assert_int_equal(read->problems.error_count, 1);
    sp_doc_fini(&read->doc);
    assert_false(sp_doc_program(begin(read, "{\"v\":{}}"), &text, &read->problems));
    end(read, "line 1, column 6: `v`: expected a jq program in quotes, found an object");
    free(read);
}

static void filters_are_compiled_and_paths_checked(void **state) {
    struct read *read = malloc(sizeof(*read));
    struct sp_filter *filter = NULL;
    sp_str path;
    (void)state;
    assert_true(
        sp_doc_filter(begin(read, "{\"v\":{\"data.a\":{\"$gt\":3}}}"), &filter, &read->problems));
    assert_non_null(filter);
    sp_filter_free(filter);
    end(read, NULL);
    assert_false(
        sp_doc_filter(begin(read, "{\"v\":{\"data.a\":{\"$bad\":3}}}"), &filter, &read->problems));
    assert_int_equal(read->problems.error_count, 1);
    sp_doc_fini(&read->doc);
    assert_true(sp_doc_path(begin(read, "{\"v\":\"data.customer_id\"}"), &path, &read->problems));
    end(read, NULL);
    free(read);
}

static void problems_come_in_the_order_of_the_text_and_are_counted(void **state) {
    static const char *const KEYS[] = {"timeout", "retry"};
    struct read *read = malloc(sizeof(*read));
    struct sp_error error;
    struct sp_buf json;
    (void)state;
    (void)begin(read, "{\"timeuot\": 1, \"v\": 2}");
    assert_false(sp_doc_keys(read->doc.root, "a step", KEYS, 2, &read->problems));
    sp_doc_warn(&read->problems, (struct sp_doc_place){1, 1}, "%s", "first");
    sp_doc_problems_sort(&read->problems);
    assert_string_equal(read->problems.items[0].text, "first");
    assert_true(read->problems.items[0].is_warning);
    assert_int_equal(sp_doc_problems_status(&read->problems, &error), SP_INVALID);
    assert_string_equal(error.text, "line 1, column 2: a step has no key `timeuot`; did you mean "
                                    "`timeout`? (and 1 more)");
    sp_buf_init(&json, 4096);
    sp_doc_problems_write(&read->problems, &json);
    sp_buf_add_byte(&json, 0);
    assert_string_equal(
        (const char *)json.data,
        "[{\"line\":1,\"column\":1,\"severity\":\"warning\",\"text\":\"first\"},"
        "{\"line\":1,\"column\":2,\"severity\":\"error\",\"text\":\"a step has no key `timeuot`; "
        "did you mean `timeout`?\"},{\"line\":1,\"column\":16,\"severity\":\"error\","
        "\"text\":\"a step has no key `v`\"}]");
    sp_buf_fini(&json);
    for (int i = 0; i < 100; i++) {
        sp_doc_wrong(&read->problems, (struct sp_doc_place){2, 1}, "again");
    }
    assert_int_equal(read->problems.error_count, 102);
    assert_int_equal(read->problems.count, SP_DOC_ERRORS_MAX + 1);
    sp_doc_fini(&read->doc);
    free(read);
}

static void a_long_text_is_cut_between_characters(void **state) {
    struct sp_doc_problems *problems = malloc(sizeof(*problems));
    char text[400];
    (void)state;
    for (size_t i = 0; i + 2 < sizeof(text); i += 2) {
        memcpy(text + i, "é", 2);
    }
    text[398] = '\0';
    sp_doc_problems_init(problems);
    sp_doc_wrong(problems, (struct sp_doc_place){1, 1}, "x%s", text);
    sp_doc_wrong(problems, (struct sp_doc_place){1, 1}, "%s", text);
    assert_true(sp_utf8_valid(sp_str_from(problems->items[0].text)));
    assert_true(sp_utf8_valid(sp_str_from(problems->items[1].text)));
    assert_int_equal(strlen(problems->items[0].text), 239);
    assert_int_equal(strlen(problems->items[1].text), 238);
    free(problems);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_comes_back_as_it_was_written),
        cmocka_unit_test(every_key_and_value_has_its_place),
        cmocka_unit_test(what_is_no_document_is_refused_with_its_place),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(a_document_is_put_into_another),
        cmocka_unit_test(durations_are_text_or_seconds),
        cmocka_unit_test(values_are_what_is_expected_or_a_problem),
        cmocka_unit_test(filters_are_compiled_and_paths_checked),
        cmocka_unit_test(problems_come_in_the_order_of_the_text_and_are_counted),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
