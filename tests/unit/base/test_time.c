#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/prng.h"
#include "base/time.h"

enum { SECOND = 1000000 };

static uint64_t parsed(const char *text, bool lenient) {
    uint64_t us = 0;
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_time_parse(sp_str_from(text), lenient, &us, &error);
    if (status != SP_OK) {
        fail_msg("%s: %s", text, error.text);
    }
    return us;
}

static void refused(const char *text, bool lenient, uint64_t offset) {
    uint64_t us = 42;
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(sp_time_parse(sp_str_from(text), lenient, &us, &error), SP_INVALID);
    assert_int_equal(us, 42);
    if (error.offset != offset) {
        fail_msg("%s: %s", text, error.text);
    }
}

static void times_are_read(void **state) {
    (void)state;
    const uint64_t noon = UINT64_C(1795153752) * SECOND; /* 2026-11-20T05:49:12Z */
    assert_int_equal(parsed("2026-11-20T05:49:12Z", false), noon);
    assert_int_equal(parsed("2026-11-20t05:49:12z", false), noon);
    assert_int_equal(parsed("2026-11-20 05:49:12Z", false), noon);
    assert_int_equal(parsed("2026-11-20T05:49:12.25Z", false), noon + 250000);
    assert_int_equal(parsed("2026-11-20T05:49:12.123456789Z", false), noon + 123456);
    assert_int_equal(parsed("2026-11-20T06:49:12+01:00", false), noon);
    assert_int_equal(parsed("2026-11-19T23:19:12.5-06:30", false), noon + 500000);
    assert_int_equal(parsed("2026-11-20T05:49:12-00:00", false), noon);
    assert_int_equal(parsed("1970-01-01T00:00:00Z", false), 0);
    assert_int_equal(parsed("1969-12-31T23:00:00-01:00", false), 0);
    assert_int_equal(parsed("9999-12-31T23:59:59.999999Z", false), SP_TIME_US_MAX);
    assert_int_equal(parsed("2000-02-29T00:00:00Z", false), UINT64_C(951782400) * SECOND);
    assert_int_equal(parsed("2016-12-31T23:59:60Z", false), UINT64_C(1483228800) * SECOND - 1);
    assert_int_equal(parsed("2016-12-31T23:59:60.5Z", false), UINT64_C(1483228800) * SECOND - 1);
}

static void lenient_reading_supplies_what_is_missing(void **state) {
    (void)state;
    const uint64_t noon = UINT64_C(1795153752) * SECOND;
    assert_int_equal(parsed("2026-11-20T05:49:12", true), noon);
    assert_int_equal(parsed("2026-11-20 05:49:12.5", true), noon + 500000);
    assert_int_equal(parsed("2026-11-20", true), UINT64_C(1795132800) * SECOND);
    refused("2026-11-20T05:49:12", false, 19);
    refused("2026-11-20", false, 10);
}

static void other_texts_are_refused_with_their_place(void **state) {
    (void)state;
    refused("", true, 0);
    refused("now", true, 0);
    refused("26-11-20T05:49:12Z", true, 2);
    refused("2026-13-20T05:49:12Z", true, 5);
    refused("2026-00-20T05:49:12Z", true, 5);
    refused("2026-02-29T05:49:12Z", true, 8);
    refused("1900-02-29T05:49:12Z", true, 8);
    refused("2026-11-31T05:49:12Z", true, 8);
    refused("2026-11-00T05:49:12Z", true, 8);
    refused("2026-11-20x05:49:12Z", true, 10);
    refused("2026-11-20T24:00:00Z", true, 11);
    refused("2026-11-20T05:60:00Z", true, 14);
    refused("2026-11-20T05:49Z", true, 16);
    refused("2026-11-20T05:49:61Z", true, 17);
    refused("2026-11-20T05:49:12.Z", true, 20);
    refused("2026-11-20T05:49:12,5Z", true, 19);
    refused("2026-11-20T05:49:12+05", true, 22);
    refused("2026-11-20T05:49:12+0530", true, 22);
    refused("2026-11-20T05:49:12+25:00", true, 20);
    refused("2026-11-20T05:49:12+05:60", true, 23);
    refused("2026-11-20T05:49:12Z ", true, 20);
    refused("2026-11-20T05:49:12ZZ", true, 20);
    refused("1969-12-31T23:59:59Z", true, 0);
    refused("9999-12-31T23:59:59-01:00", true, 0);
}

static void every_year_may_be_shown(void **state) {
    (void)state;
    assert_int_equal(sp_time_check(SP_STR("0001-01-01T00:00:00Z"), false, NULL), SP_OK);
    assert_int_equal(sp_time_check(SP_STR("0000-02-29T00:00:00Z"), false, NULL), SP_OK);
    assert_int_equal(sp_time_check(SP_STR("9999-12-31T23:59:59-12:00"), false, NULL), SP_OK);
    assert_int_equal(sp_time_check(SP_STR("0001-02-29T00:00:00Z"), false, NULL), SP_INVALID);
    assert_int_equal(sp_time_check(SP_STR("0001-01-01"), false, NULL), SP_INVALID);
    assert_int_equal(sp_time_check(SP_STR("0001-01-01"), true, NULL), SP_OK);
}

static void every_prefix_is_safe(void **state) {
    (void)state;
    static const char TEXT[] = "2026-11-20T05:49:12.5+01:00";
    for (size_t length = 0; length < sizeof(TEXT) - 1; length++) {
        uint64_t us;
        sp_status lenient = sp_time_parse(sp_str_of(TEXT, length), true, &us, NULL);
        assert_int_equal(lenient,
                         length == 10 || length == 19 || length == 21 ? SP_OK : SP_INVALID);
        assert_int_equal(sp_time_parse(sp_str_of(TEXT, length), false, &us, NULL), SP_INVALID);
    }
}

/* The libc's calendar is the judge, at random instants over all years. */
static void formatting_agrees_with_the_libc(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(1);
    for (int i = 0; i < 100000; i++) {
        uint64_t us = sp_prng_next(&prng) % (SP_TIME_US_MAX + 1);
        char text[SP_TIME_TEXT_SIZE];
        sp_time_format(us, text);
        time_t seconds = (time_t)(us / SECOND);
        struct tm civil;
        assert_non_null(gmtime_r(&seconds, &civil));
        char expected[32];
        assert_int_equal(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.", &civil), 20);
        assert_memory_equal(text, expected, 20);
        assert_int_equal(strlen(text), 27);
        assert_int_equal(parsed(text, false), us);
    }
    char text[SP_TIME_TEXT_SIZE];
    sp_time_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
    sp_time_format(SP_TIME_US_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
}

static void every_day_is_counted(void **state) {
    (void)state;
    char before[SP_TIME_TEXT_SIZE] = "";
    for (uint64_t day = 0; day < 2932897; day++) {
        char text[SP_TIME_TEXT_SIZE];
        uint64_t us = day * 86400 * SECOND;
        sp_time_format(us, text);
        assert_true(strcmp(before, text) < 0);
        assert_int_equal(parsed(text, false), us);
        memcpy(before, text, sizeof(before));
    }
    assert_memory_equal(before, "9999-12-31", 10);
}

static void durations_add_up(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t us;
    } CASES[] = {
        {"0", 0},
        {"30", UINT64_C(30) * SECOND},
        {"30s", UINT64_C(30) * SECOND},
        {"5us", 5},
        {"250ms", 250000},
        {"1h30m", UINT64_C(5400) * SECOND},
        {"1w2d3h4m5s6ms7us", UINT64_C(788645006007)},
        {"24h", UINT64_C(86400) * SECOND},
        {"1m1ms", UINT64_C(60001000)},
        {"18446744073709551615us", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        uint64_t us = 0;
        assert_int_equal(sp_duration_parse(sp_str_from(CASES[i].text), &us, NULL), SP_OK);
        assert_int_equal(us, CASES[i].us);
    }
    static const char *const WRONG[] = {"",
                                        "s",
                                        "1x",
                                        "-5s",
                                        "1h30",
                                        "1.5s",
                                        "5 s",
                                        "1s ",
                                        " 1s",
                                        "1hh",
                                        "30S",
                                        "1ms2",
                                        "+1s",
                                        "18446744073709551616us",
                                        "18446744073709551615s",
                                        "18446744073709551615us1us",
                                        "99999999999999999999"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        uint64_t us = 42;
        struct sp_error error;
        assert_int_equal(sp_duration_parse(sp_str_from(WRONG[i]), &us, &error), SP_INVALID);
        assert_int_equal(us, 42);
        assert_non_null(strstr(error.text, "expected"));
    }
}

static void entry_ids_are_read_and_written(void **state) {
    (void)state;
    char text[SP_ENTRYID_TEXT_SIZE];
    assert_int_equal(sp_entryid_format(1795153752123, 7, text), 15);
    assert_string_equal(text, "1795153752123-7");
    assert_int_equal(sp_entryid_format(UINT64_MAX, UINT32_MAX, text), 31);
    assert_string_equal(text, "18446744073709551615-4294967295");

    uint64_t ms = 0;
    uint32_t seq = 0;
    bool has_seq = false;
    assert_int_equal(sp_entryid_parse(sp_str_from(text), &ms, &seq, &has_seq, NULL), SP_OK);
    assert_true(ms == UINT64_MAX && seq == UINT32_MAX && has_seq);
    assert_int_equal(sp_entryid_parse(SP_STR("0-0"), &ms, &seq, &has_seq, NULL), SP_OK);
    assert_true(ms == 0 && seq == 0 && has_seq);
    assert_int_equal(sp_entryid_parse(SP_STR("5"), &ms, &seq, &has_seq, NULL), SP_OK);
    assert_true(ms == 5 && seq == 0 && !has_seq);
    static const char *const WRONG[] = {
        "",    "-",     "5-",   "-5",           "5-x",
        "a-1", "5-1-1", "5 -1", "5-4294967296", "18446744073709551616-0"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        assert_int_equal(sp_entryid_parse(sp_str_from(WRONG[i]), &ms, &seq, &has_seq, NULL),
                         SP_INVALID);
        assert_true(ms == 5 && seq == 0 && !has_seq);
    }
}

static void durations_are_written_as_they_are_read(void **state) {
    static const struct {
        uint64_t us;
        const char *text;
    } CASES[] = {
        {0, "0s"},
        {1, "1us"},
        {500000, "500ms"},
        {90000000, "1m30s"},
        {UINT64_C(604800000000), "7d"},
        {UINT64_C(93784005006), "1d2h3m4s5ms6us"},
        {UINT64_MAX, "213503982d8h1m49s551ms615us"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        char text[SP_DURATION_TEXT_SIZE];
        uint64_t us = 1;
        sp_duration_format(CASES[i].us, text);
        assert_string_equal(text, CASES[i].text);
        assert_int_equal(sp_duration_parse(sp_str_from(text), &us, NULL), SP_OK);
        assert_int_equal(us, CASES[i].us);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(lenient_reading_supplies_what_is_missing),
        cmocka_unit_test(other_texts_are_refused_with_their_place),
        cmocka_unit_test(every_year_may_be_shown),
        cmocka_unit_test(every_prefix_is_safe),
        cmocka_unit_test(formatting_agrees_with_the_libc),
        cmocka_unit_test(every_day_is_counted),
        cmocka_unit_test(durations_add_up),
        cmocka_unit_test(entry_ids_are_read_and_written),
        cmocka_unit_test(durations_are_written_as_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
