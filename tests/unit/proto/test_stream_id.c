#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/stream_id.h"

#define MAX UINT64_MAX

static void is(struct sp_entry_id id, uint64_t ms, uint64_t seq) {
    assert_true(id.ms == ms);
    assert_true(id.seq == seq);
}

static void parses(const char *text, uint64_t missing, uint64_t ms, uint64_t seq) {
    struct sp_entry_id id;
    assert_true(sp_stream_id_parse(sp_str_from(text), missing, &id));
    is(id, ms, seq);
}

static void ids_are_read(void **state) {
    (void)state;
    parses("0-0", 9, 0, 0);
    parses("1526919030474-55", 9, 1526919030474, 55);
    parses("1526919030474", 9, 1526919030474, 9);
    parses("18446744073709551615-18446744073709551615", 0, MAX, MAX);
    parses("007-08", 0, 7, 8);
    static const char *const BAD[] = {
        "",
        "-",
        "+",
        "$",
        "*",
        "1-",
        "-1",
        "a",
        "1-a",
        "1a",
        "1 ",
        "1-2-3",
        "1--2",
        "1-*",
        "18446744073709551616",
        "1-18446744073709551616",
        "+1",
        ">",
        "(1-1",
    };
    struct sp_entry_id id = {.ms = 4, .seq = 5};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_false(sp_stream_id_parse(sp_str_from(BAD[i]), 0, &id));
    }
    char zeros[128];
    memset(zeros, '0', sizeof(zeros));
    assert_true(sp_stream_id_parse(sp_str_of(zeros, 127), 4, &(struct sp_entry_id){.ms = 0}));
    assert_false(sp_stream_id_parse(sp_str_of(zeros, 128), 4, &id));
    is(id, 4, 5);
}

static void neighbours_carry(void **state) {
    (void)state;
    struct sp_entry_id id = {.ms = 5, .seq = MAX};
    assert_true(sp_stream_id_increment(&id));
    is(id, 6, 0);
    assert_true(sp_stream_id_decrement(&id));
    is(id, 5, MAX);
    assert_true(sp_stream_id_decrement(&id));
    is(id, 5, MAX - 1);
    id = SP_ENTRY_ID_MAX;
    assert_false(sp_stream_id_increment(&id));
    is(id, MAX, MAX);
    id = SP_ENTRY_ID_NONE;
    assert_false(sp_stream_id_decrement(&id));
    is(id, 0, 0);
}

static void adds(const char *text, enum sp_stream_id_add kind, uint64_t ms, uint64_t seq) {
    struct sp_entry_id id;
    enum sp_stream_id_add found;
    assert_true(sp_stream_id_parse_add(sp_str_from(text), &found, &id));
    assert_int_equal(found, kind);
    is(id, ms, seq);
}

static void ids_of_xadd_may_be_left_open(void **state) {
    (void)state;
    adds("*", SP_STREAM_ADD_AUTO, 0, 0);
    adds("123-*", SP_STREAM_ADD_AUTO_SEQ, 123, 0);
    adds("123", SP_STREAM_ADD_ID, 123, 0);
    adds("123-456", SP_STREAM_ADD_ID, 123, 456);
    struct sp_entry_id id;
    enum sp_stream_id_add kind;
    static const char *const BAD[] = {"-*", "**", "*-1", "1-2-*", "1-**", "-", "+", "$", "a-*", ""};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_false(sp_stream_id_parse_add(sp_str_from(BAD[i]), &kind, &id));
    }
}

static void reads(const char *text, enum sp_stream_id_read kind, uint64_t ms, uint64_t seq) {
    struct sp_entry_id id;
    enum sp_stream_id_read found;
    assert_true(sp_stream_id_parse_read(sp_str_from(text), &found, &id));
    assert_int_equal(found, kind);
    is(id, ms, seq);
}

static void ids_of_xread_may_be_signs(void **state) {
    (void)state;
    reads("$", SP_STREAM_READ_NEW, 0, 0);
    reads("+", SP_STREAM_READ_LAST, 0, 0);
    reads(">", SP_STREAM_READ_NEVER, 0, 0);
    reads("7", SP_STREAM_READ_AFTER, 7, 0);
    reads("7-3", SP_STREAM_READ_AFTER, 7, 3);
    struct sp_entry_id id;
    enum sp_stream_id_read kind;
    assert_false(sp_stream_id_parse_read(SP_STR("$$"), &kind, &id));
    assert_false(sp_stream_id_parse_read(SP_STR("-"), &kind, &id));
    assert_false(sp_stream_id_parse_read(SP_STR("(7"), &kind, &id));
}

static void starts_at(const char *text, uint64_t ms, uint64_t seq) {
    struct sp_entry_id id;
    assert_null(sp_stream_id_parse_start(sp_str_from(text), &id));
    is(id, ms, seq);
}

static void ends_at(const char *text, uint64_t ms, uint64_t seq) {
    struct sp_entry_id id;
    assert_null(sp_stream_id_parse_end(sp_str_from(text), &id));
    is(id, ms, seq);
}

static void intervals_have_open_ends(void **state) {
    (void)state;
    starts_at("-", 0, 0);
    starts_at("+", MAX, MAX);
    starts_at("5", 5, 0);
    starts_at("(5", 5, 1);
    starts_at("(5-18446744073709551615", 6, 0);
    ends_at("+", MAX, MAX);
    ends_at("5", 5, MAX);
    ends_at("(5", 5, MAX - 1);
    ends_at("(5-0", 4, MAX);
    struct sp_entry_id id;
    const char *max = "(18446744073709551615-18446744073709551615";
    assert_string_equal(sp_stream_id_parse_start(sp_str_from(max), &id),
                        "invalid start ID for the interval");
    assert_string_equal(sp_stream_id_parse_end(SP_STR("(0-0"), &id),
                        "invalid end ID for the interval");
    static const char *const BAD[] = {"(", "(-", "(+", "x", "", "((1", "1-*"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_string_equal(sp_stream_id_parse_start(sp_str_from(BAD[i]), &id),
                            "Invalid stream ID specified as stream command argument");
        assert_string_equal(sp_stream_id_parse_end(sp_str_from(BAD[i]), &id),
                            "Invalid stream ID specified as stream command argument");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_read),
        cmocka_unit_test(neighbours_carry),
        cmocka_unit_test(ids_of_xadd_may_be_left_open),
        cmocka_unit_test(ids_of_xread_may_be_signs),
        cmocka_unit_test(intervals_have_open_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
