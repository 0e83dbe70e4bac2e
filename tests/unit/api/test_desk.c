/* What is asked at the desk, from words to a request and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/desk.h"

static const struct sp_desk_verb *verb(const char *desk, const char *name) {
    return sp_desk_find(sp_str_from(desk), sp_str_from(name));
}

static sp_status read_words(const struct sp_desk_verb *of, const char *const *texts, uint32_t count,
                            struct sp_desk_request *request, struct sp_error *error) {
    sp_str words[SP_DESK_WORDS_MAX];
    assert_true(count <= SP_DESK_WORDS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        words[i] = sp_str_from(texts[i]);
    }
    sp_error_clear(error);
    return sp_desk_read(of, words, count, request, error);
}

#define READ(of, ...)                                                                              \
    read_words(of, (const char *const[]){__VA_ARGS__},                                             \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), &request, &error)

static void assert_text(sp_str found, const char *wanted) {
    assert_true(sp_str_eq(found, sp_str_from(wanted)));
}

static void test_names_have_no_case(void **state) {
    (void)state;
    assert_non_null(verb("saga", "start"));
    assert_ptr_equal(verb("SAGA", "Start"), verb("saga", "start"));
    assert_null(verb("saga", "star"));
    assert_null(verb("saga", "starts"));
    assert_null(verb("", ""));
}

static void test_words_become_a_request(void **state) {
    struct sp_desk_request request;
    struct sp_error error;
    const struct sp_desk_verb *start = verb("saga", "start");
    (void)state;
    assert_int_equal(READ(start, "order"), SP_OK);
    assert_text(request.subject, "order");
    assert_null(request.options[SP_DESK_DATA].ptr);
    assert_int_equal(request.limit, SP_DESK_LIMIT_DEFAULT);
    assert_int_equal(READ(start, "order", "{}", "KEY", "7", "by", "ann"), SP_OK);
    assert_text(request.options[SP_DESK_DATA], "{}");
    assert_text(request.options[SP_DESK_KEY], "7");
    assert_text(request.options[SP_DESK_BY], "ann");
    /* Without data, what follows the name are pairs. */
    assert_int_equal(READ(start, "order", "KEY", "7"), SP_OK);
    assert_null(request.options[SP_DESK_DATA].ptr);
    assert_text(request.options[SP_DESK_KEY], "7");
    assert_int_equal(READ(verb("saga", "ls"), "LIMIT", "10000", "waiting_for", "timer"), SP_OK);
    assert_int_equal(request.limit, SP_DESK_LIMIT_MAX);
    assert_text(request.options[SP_DESK_WAITING], "timer");
}

static void test_wrong_words_are_refused(void **state) {
    struct sp_desk_request request;
    struct sp_error error;
    const struct sp_desk_verb *start = verb("saga", "start");
    (void)state;
    assert_int_equal(READ(start, ""), SP_INVALID);
    assert_non_null(strstr(error.text, "found no name, expected one"));
    assert_int_equal(READ(start, "order", "KEE", "7"), SP_INVALID);
    assert_non_null(strstr(error.text, "key"));
    assert_non_null(strstr(error.text, "'KEE'"));
    assert_int_equal(READ(start, "order", "KEY", "7", "key", "8"), SP_INVALID);
    assert_non_null(strstr(error.text, "twice"));
    assert_int_equal(READ(verb("saga", "cancel"), "id", "REASON"), SP_INVALID);
    assert_non_null(strstr(error.text, "no value"));
    assert_int_equal(READ(verb("saga", "show"), "id", "BY", "ann"), SP_INVALID);
    for (const char *const *bad = (const char *const[]){"0", "-1", "10001", "x", "", NULL}; *bad;
         bad++) {
        assert_int_equal(READ(verb("saga", "ls"), "LIMIT", *bad), SP_INVALID);
        assert_non_null(strstr(error.text, "limit: expected"));
    }
}

/* What a request says in words reads as the same request: so a server is asked what was meant. */
static void test_words_and_back(void **state) {
    (void)state;
    for (const struct sp_desk_verb *row = sp_desk_verbs(); row->desk != NULL; row++) {
        struct sp_desk_request request = {.verb = row, .limit = SP_DESK_LIMIT_DEFAULT};
        struct sp_desk_request again;
        struct sp_error error;
        char room[SP_DESK_ROOM_SIZE];
        sp_str words[SP_DESK_WORDS_MAX];
        sp_error_clear(&error);
        if (row->subject != NULL) {
            request.subject = SP_STR("what");
        }
        for (unsigned i = 0; i < SP_DESK_OPTION_COUNT; i++) {
            if ((row->options & SP_DESK_BIT(i)) != 0) {
                request.options[i] = SP_STR("5");
            }
        }
        uint32_t count = sp_desk_words(&request, room, words);
        assert_true(count <= SP_DESK_WORDS_MAX);
        assert_ptr_equal(sp_desk_find(sp_str_from_byte(words[0], sizeof("SPOOR.") - 1), words[1]),
                         row);
        assert_int_equal(sp_desk_read(row, words + 2, count - 2, &again, &error), SP_OK);
        assert_true(sp_str_eq(again.subject, request.subject));
        for (unsigned i = 0; i < SP_DESK_OPTION_COUNT; i++) {
            assert_true(sp_str_eq(again.options[i], request.options[i]));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_have_no_case),
        cmocka_unit_test(test_words_become_a_request),
        cmocka_unit_test(test_wrong_words_are_refused),
        cmocka_unit_test(test_words_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
