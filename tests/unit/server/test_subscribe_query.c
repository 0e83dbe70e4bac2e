/* Queries as words of a command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "server/subscribe_query.h"

enum { WORDS_MAX = 1200 };

static struct sp_query_words read_words;
static struct sp_error error;

/* Reads words that are separated by blanks. */
static sp_status read_text(const char *text) {
    static sp_str words[WORDS_MAX];
    uint32_t count = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        words[count++] = sp_str_of(text, len);
        text += len;
        text += *text == ' ';
    }
    sp_error_clear(&error);
    return sp_query_words_read(words, count, &read_words, &error);
}

static void assert_text(sp_str found, const char *expected) {
    assert_int_equal(found.len, strlen(expected));
    assert_memory_equal(found.ptr, expected, found.len);
}

static void test_all_words(void **state) {
    (void)state;
    assert_int_equal(
        read_text("TYPE a.* source shop Stream s-1 correlation r limit 7 type b FILTER {} "
                  "FROM -10m UNTIL now REVERSE AS me"),
        SP_OK);
    const struct sp_query *query = &read_words.query;
    assert_int_equal(query->type_count, 2);
    assert_text(query->types[0], "a.*");
    assert_text(query->types[1], "b");
    assert_text(query->source, "shop");
    assert_text(query->stream, "s-1");
    assert_text(query->correlation, "r");
    assert_text(query->filter, "{}");
    assert_text(query->from, "-10m");
    assert_text(query->until, "now");
    assert_text(read_words.name, "me");
    assert_int_equal(query->limit, 7);
    assert_true(query->reverse);
    assert_false(query->follow);
}

/* What was read before leaves nothing behind. */
static void test_no_words(void **state) {
    (void)state;
    assert_int_equal(read_text("TYPE a REVERSE AS x"), SP_OK);
    assert_int_equal(read_text(""), SP_OK);
    assert_int_equal(read_words.query.type_count, 0);
    assert_null(read_words.query.source.ptr);
    assert_null(read_words.query.from.ptr);
    assert_null(read_words.name.ptr);
    assert_false(read_words.query.reverse);
}

/* A condition with an empty text is a condition: it is not the same as none. */
static void test_an_empty_text_is_there(void **state) {
    (void)state;
    const sp_str words[] = {SP_STR("STREAM"), {.ptr = NULL}, SP_STR("AS"), SP_STR("")};
    assert_int_equal(sp_query_words_read(words, 4, &read_words, &error), SP_OK);
    assert_non_null(read_words.query.stream.ptr);
    assert_int_equal(read_words.query.stream.len, 0);
    assert_non_null(read_words.name.ptr);
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *piece;
    } rows[] = {
        {"TYPE", "nothing follows 'TYPE'"},
        {"SOURCE a SOURCE b", "SOURCE is there twice"},
        {"AS a as b", "as is there twice"},
        {"COLOUR red", "'COLOUR' is none of TYPE"},
        {"LIMIT few", "LIMIT few is no number"},
        {"LIMIT -1", "LIMIT -1 is no number"},
        {"LIMIT 99999999999999999999", "is no number"},
        {"TYPE a LIMIT", "nothing follows 'LIMIT'"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(read_text(rows[i].text), SP_INVALID);
        if (strstr(error.text, rows[i].piece) == NULL) {
            fail_msg("%s: %s", rows[i].text, error.text);
        }
    }
}

static void test_only_so_many_types(void **state) {
    (void)state;
    static char text[WORDS_MAX * 8];
    for (unsigned i = 0; i < SP_QUERY_TYPES_MAX; i++) {
        (void)strcat(text, "TYPE a ");
    }
    assert_int_equal(read_text(text), SP_OK);
    (void)strcat(text, "TYPE a");
    assert_int_equal(read_text(text), SP_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_words),
        cmocka_unit_test(test_no_words),
        cmocka_unit_test(test_an_empty_text_is_there),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_only_so_many_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
