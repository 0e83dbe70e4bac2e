/* Cron times: what they mean, against a search minute by minute, and what is said of wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/prng.h"
#include "base/time.h"
#include "flow/cron.h"

enum { MINUTE_US = 60000000 };

static struct sp_cron parse(const char *text) {
    struct sp_cron cron;
    struct sp_error error;
    if (sp_cron_parse(sp_str_from(text), &cron, &error) != SP_OK) {
        fail_msg("%s: %s", text, error.text);
    }
    return cron;
}

static uint64_t at(const char *text) {
    uint64_t time_us = 0;
    struct sp_error error;
    assert_int_equal(sp_time_parse(sp_str_from(text), true, &time_us, &error), SP_OK);
    return time_us;
}

static void assert_time(uint64_t time_us, const char *expected) {
    if (time_us != at(expected)) {
        char text[SP_TIME_TEXT_SIZE] = "never";
        if (time_us <= SP_TIME_US_MAX) {
            sp_time_format(time_us, text);
        }
        fail_msg("%s instead of %s", text, expected);
    }
}

static void assert_next(const char *cron_text, const char *zone, const char *after,
                        const char *expected) {
    struct sp_cron cron = parse(cron_text);
    struct sp_error error;
    assert_int_equal(sp_cron_parse_zone(sp_str_from(zone), &cron.offset_min, &error), SP_OK);
    assert_time(sp_cron_next(&cron, at(after)), expected);
}

static void test_next(void **state) {
    (void)state;
    assert_next("0 3 * * *", "UTC", "2026-11-20T02:59:59Z", "2026-11-20T03:00:00Z");
    assert_next("0 3 * * *", "UTC", "2026-11-20T03:00:00Z", "2026-11-21T03:00:00Z");
    assert_next("0 3 * * *", "+02:00", "2026-11-20T00:30:00Z", "2026-11-20T01:00:00Z");
    assert_next("30 0 * * *", "-03:30", "2026-11-20T04:00:00Z", "2026-11-21T04:00:00Z");
    assert_next("*/15 * * * *", "UTC", "2026-11-20T10:14:59.999999Z", "2026-11-20T10:15:00Z");
    assert_next("5/20 10 * * *", "UTC", "2026-11-20T10:26:00Z", "2026-11-20T10:45:00Z");
    assert_next("0 9-17/4 * * MON-FRI", "Z", "2026-11-20T17:00:00Z", "2026-11-23T09:00:00Z");
    assert_next("0 0 1 jan,Jul *", "UTC", "2026-11-20", "2027-01-01");
    assert_next("0 0 29 2 *", "UTC", "2026-11-20", "2028-02-29");
    assert_next("0 0 29 2 *", "UTC", "2096-03-01", "2104-02-29"); /* 2100 has none */
    assert_next("0 0 * * 7", "UTC", "2026-11-20", "2026-11-22");
    assert_next("0 0 * * sun", "UTC", "2026-11-22", "2026-11-29");
    assert_next("@hourly", "UTC", "2026-12-31T23:00:01Z", "2027-01-01");
    assert_next("@weekly", "UTC", "2026-11-20", "2026-11-22");
    assert_next("@yearly", "UTC", "2026-11-20", "2027-01-01");
    /* Two restricted days: either will do; a `*` with a step is no restriction, but both hold. */
    assert_next("0 0 13 * 5", "UTC", "2026-11-12", "2026-11-13");
    assert_next("0 0 13 * 5", "UTC", "2026-11-13", "2026-11-20");
    assert_next("0 0 15 * 5", "UTC", "2026-11-13", "2026-11-15");
    assert_next("0 0 */2 * 5", "UTC", "2026-11-20", "2026-11-27");
    assert_next("0 0 31 2,4 3", "UTC", "2026-11-20", "2027-02-03"); /* the weekday fits */
}

static void test_last(void **state) {
    (void)state;
    struct sp_cron cron = parse("0 3 * * *");
    assert_time(sp_cron_last(&cron, at("2026-11-20T03:00:00Z")), "2026-11-20T03:00:00Z");
    assert_time(sp_cron_last(&cron, at("2026-11-20T02:59:59Z")), "2026-11-19T03:00:00Z");
    cron = parse("59 23 31 12 *");
    assert_time(sp_cron_last(&cron, at("2026-11-20")), "2025-12-31T23:59:00Z");
    assert_true(sp_cron_last(&cron, 0) == SP_CRON_NEVER);
    assert_true(sp_cron_next(&cron, SP_TIME_US_MAX) == SP_CRON_NEVER);
    assert_true(sp_cron_next(&cron, at("9999-12-31T23:59:00Z")) == SP_CRON_NEVER);
}

/* Another way to say whether a minute fits: with the C library's calendar and the text itself. */
static bool field_fits(const char *field, int value, int top) {
    char copy[64];
    (void)snprintf(copy, sizeof(copy), "%s", field);
    char *rest = copy;
    while (rest != NULL) {
        char *comma = strchr(rest, ',');
        int first = 0;
        int last = top;
        int step = 1;
        if (comma != NULL) {
            *comma = 0;
        }
        if (rest[0] == '*') {
            (void)sscanf(rest, "*/%d", &step);
        } else if (sscanf(rest, "%d-%d/%d", &first, &last, &step) == 1) {
            last = first;
        }
        for (int v = first; v <= last; v += step) {
            if (v == value && (rest[0] != '*' || step == 1 || top != 31)) {
                return true;
            }
            if (rest[0] == '*' && top == 31 && v + 1 == value) { /* days count from 1 */
                return true;
            }
        }
        rest = comma != NULL ? comma + 1 : NULL;
    }
    return false;
}

struct random_cron {
    char fields[5][24];
    char text[128];
};

static void make_field(struct sp_prng *prng, char text[24], uint32_t min, uint32_t max) {
    uint32_t a = min + sp_prng_below(prng, max - min + 1);
    uint32_t b = a + sp_prng_below(prng, max - a + 1);
    switch (sp_prng_below(prng, 6)) {
    case 0:
        (void)snprintf(text, 24, "%u", a);
        break;
    case 1:
        (void)snprintf(text, 24, "%u-%u", a, b);
        break;
    case 2:
        (void)snprintf(text, 24, "%u-%u/%u", a, b, 1 + sp_prng_below(prng, 5));
        break;
    case 3:
        (void)snprintf(text, 24, "%u,%u", a, b);
        break;
    default:
        (void)snprintf(text, 24, "*");
        break;
    }
}

static bool fits(const struct random_cron *cron, time_t seconds) {
    struct tm tm;
    assert_non_null(gmtime_r(&seconds, &tm));
    bool day = field_fits(cron->fields[2], tm.tm_mday, 31);
    bool weekday = field_fits(cron->fields[4], tm.tm_wday, 7) ||
                   (tm.tm_wday == 0 && field_fits(cron->fields[4], 7, 7));
    bool both = cron->fields[2][0] == '*' || cron->fields[4][0] == '*';
    return field_fits(cron->fields[0], tm.tm_min, 59) &&
           field_fits(cron->fields[1], tm.tm_hour, 23) &&
           field_fits(cron->fields[3], tm.tm_mon + 1, 12) &&
           (both ? day && weekday : day || weekday);
}

/* Random ones: next and last agree with a walk over every minute of some days. */
static void test_against_a_walk(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(2);
    for (int round = 0; round < 150; round++) {
        struct random_cron random;
        struct sp_cron cron;
        make_field(&prng, random.fields[0], 0, 59);
        make_field(&prng, random.fields[1], 0, 23);
        make_field(&prng, random.fields[2], 1, 31);
        make_field(&prng, random.fields[3], 1, 12);
        make_field(&prng, random.fields[4], 0, 7);
        (void)snprintf(random.text, sizeof(random.text), "%s %s %s %s %s", random.fields[0],
                       random.fields[1], random.fields[2], random.fields[3], random.fields[4]);
        if (sp_cron_parse(sp_str_from(random.text), &cron, NULL) != SP_OK) {
            continue; /* 31 February */
        }
        uint64_t start = at("2027-12-20") / MINUTE_US + sp_prng_below(&prng, 100 * 1440);
        uint64_t from = start;
        uint64_t last = SP_CRON_NEVER;
        for (uint64_t minute = start + 1; minute < start + 3 * 1440; minute++) {
            if (fits(&random, (time_t)(minute * 60))) {
                assert_true(sp_cron_next(&cron, from * MINUTE_US + 5) == minute * MINUTE_US);
                from = minute;
                last = minute * MINUTE_US;
            } else if (last != SP_CRON_NEVER) {
                assert_true(sp_cron_last(&cron, minute * MINUTE_US) == last);
            }
        }
        assert_true(sp_cron_next(&cron, from * MINUTE_US) >= (start + 3 * 1440) * MINUTE_US);
    }
}

static void test_wrong(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "the minute is missing: a cron time has five fields, minute hour day month weekday"},
        {"0 3 * *", "the day of the week is missing: a cron time has five fields, minute hour day "
                    "month weekday"},
        {"0 3 * * * *", "more than five fields: minute hour day month weekday"},
        {"60 * * * *",
         "minute: the number is too large; expected 0 to 59, as in *, 5, 1-5, */10 or 1,3"},
        {"0 24 * * *",
         "hour: the number is too large; expected 0 to 23, as in *, 5, 1-5, */10 or 1,3"},
        {"0 0 0 * *", "day of the month: the number is too small; expected 1 to 31, as in *, 5, "
                      "1-5, */10 or 1,3"},
        {"0 0 * foo *", "month: a number is missing; expected 1 to 12 or a name, as in *, 5, 1-5, "
                        "*/10 or 1,3"},
        {"0 0 * * 5-1", "day of the week: a range ends before it begins; expected 0 to 7 or a "
                        "name, as in *, 5, 1-5, */10 or 1,3"},
        {"*/0 * * * *", "minute: a step of 0; expected 0 to 59, as in *, 5, 1-5, */10 or 1,3"},
        {"1, * * * *",
         "minute: a number is missing; expected 0 to 59, as in *, 5, 1-5, */10 or 1,3"},
        {"1x * * * *",
         "minute: something else follows; expected 0 to 59, as in *, 5, 1-5, */10 or 1,3"},
        {"0 0 30 2 *", "no month has such a day: it would never be"},
        {"0 0 31 4,6 *", "no month has such a day: it would never be"},
        {"@never", "'@never' is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, "
                   "@hourly"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_cron cron;
        struct sp_error error;
        assert_int_equal(sp_cron_parse(sp_str_from(cases[i][0]), &cron, &error), SP_INVALID);
        assert_string_equal(error.text, cases[i][1]);
    }
}

static void test_zones(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int32_t offset;
    } good[] = {{"UTC", 0},  {"Z", 0},      {"+02:00", 120}, {"-0330", -210},
                {"+2", 120}, {"-11", -660}, {"+18:00", 1080}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int32_t offset = 1;
        assert_int_equal(sp_cron_parse_zone(sp_str_from(good[i].text), &offset, NULL), SP_OK);
        assert_int_equal(offset, good[i].offset);
    }
    static const char *const wrong[] = {"",       "utc",    "Europe/Berlin", "+",
                                        "+1:00",  "+02:60", "+020",          "02:00",
                                        "+18:01", "+02:0x", "+123456"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int32_t offset = 1;
        struct sp_error error;
        assert_int_equal(sp_cron_parse_zone(sp_str_from(wrong[i]), &offset, &error), SP_INVALID);
        assert_int_equal(offset, 1);
        assert_non_null(strstr(error.text, "is no time zone: expected UTC or an offset"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next),           cmocka_unit_test(test_last),
        cmocka_unit_test(test_against_a_walk), cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
