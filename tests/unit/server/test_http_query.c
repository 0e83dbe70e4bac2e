/* Queries as parameters of a URL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "server/http_query.h"

enum { PAIRS_MAX = 300 };

static struct sp_query_words words;
static struct sp_error error;
static struct sp_http_pair pairs[PAIRS_MAX];

static const char *const OTHERS[] = {"event", "after", NULL};

/* Reads pairs of names and values, ended by a NULL name. */
static sp_status read_pairs(const char *const *texts) {
    uint32_t count = 0;
    for (; texts[2 * count] != NULL; count++) {
        pairs[count] = (struct sp_http_pair){.name = sp_str_from(texts[2 * count]),
                                             .value = sp_str_from(texts[2 * count + 1])};
    }
    const struct sp_http_request request = {.query = pairs, .query_count = count};
    sp_error_clear(&error);
    return sp_http_query_read(&request, OTHERS, &words, &error);
}

static void assert_text(sp_str found, const char *expected) {
    assert_int_equal(found.len, strlen(expected));
    assert_memory_equal(found.ptr, expected, found.len);
}

static void test_all_parameters(void **state) {
    (void)state;
    const char *const texts[] = {"type",        "a.*", "source", "shop",     "stream", "s 1",
                                 "correlation", "r",   "type",   "b",        "limit",  "7",
                                 "filter",      "{}",  "from",   "-10m",     "until",  "now",
                                 "reverse",     "",    "event",  "anything", NULL};
    assert_int_equal(read_pairs(texts), SP_OK);
    const struct sp_query *query = &words.query;
    assert_int_equal(query->type_count, 2);
    assert_text(query->types[0], "a.*");
    assert_text(query->types[1], "b");
    assert_text(query->source, "shop");
    assert_text(query->stream, "s 1");
    assert_text(query->correlation, "r");
    assert_text(query->filter, "{}");
    assert_text(query->from, "-10m");
    assert_text(query->until, "now");
    assert_int_equal(query->limit, 7);
    assert_true(query->reverse);
}

static void test_none_leaves_nothing_of_before(void **state) {
    (void)state;
    const char *const none[] = {NULL};
    assert_int_equal(read_pairs(none), SP_OK);
    assert_int_equal(words.query.type_count, 0);
    assert_null(words.query.source.ptr);
    assert_int_equal(words.query.limit, 0);
    assert_false(words.query.reverse);
}

static void expect_refused(const char *name, const char *value, const char *told) {
    const char *const texts[] = {"type", "a", name, value, NULL};
    assert_int_equal(read_pairs(texts), SP_INVALID);
    assert_non_null(strstr(error.text, told));
}

static void test_what_is_refused_is_named(void **state) {
    (void)state;
    expect_refused("types", "a", "unknown parameter 'types'");
    expect_refused("as", "a", "unknown parameter 'as'");
    expect_refused("TYPE", "a", "unknown parameter 'TYPE'");
    expect_refused("", "a", "unknown parameter ''");
    expect_refused("limit", "many", "many");
    expect_refused("limit", "-1", "-1");
    expect_refused("reverse", "maybe", "reverse: expected true or false");
    const char *const twice[] = {"source", "a", "source", "b", NULL};
    assert_int_equal(read_pairs(twice), SP_INVALID);
    assert_non_null(strstr(error.text, "source"));
}

static void test_reverse_is_yes_or_no(void **state) {
    (void)state;
    const char *const no[] = {"reverse", "false", NULL};
    const char *const yes[] = {"reverse", "1", NULL};
    assert_int_equal(read_pairs(no), SP_OK);
    assert_false(words.query.reverse);
    assert_int_equal(read_pairs(yes), SP_OK);
    assert_true(words.query.reverse);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_parameters),
        cmocka_unit_test(test_none_leaves_nothing_of_before),
        cmocka_unit_test(test_what_is_refused_is_named),
        cmocka_unit_test(test_reverse_is_yes_or_no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
