/* Waits and backoffs as people write them, and as they are shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "proto/policy_text.h"

static void expect_delay(const char *text, uint64_t ms) {
    struct sp_error error;
    uint64_t got = 0;
    sp_error_clear(&error);
    if (sp_delay_parse(sp_str_from(text), &got, &error) != SP_OK) {
        fail_msg("%s: %s", text, error.text);
    }
    assert_int_equal(got, ms);
}

static void waits_are_read(void **state) {
    (void)state;
    expect_delay("30s", 30000);
    expect_delay("500ms", 500);
    expect_delay("2m", 120000);
    expect_delay("1h30m", 5400000);
    expect_delay("7", 7000);
    expect_delay("0s", 0);
    expect_delay("1000us", 1);
}

static void what_is_no_wait_is_refused(void **state) {
    (void)state;
    static const char *const BAD[] = {
        "", "s", "-1s", "1.5s", "10 s", "1x", "1s ", "99999999999999999999s", "1us", "1500us"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        struct sp_error error;
        uint64_t got = 77;
        sp_error_clear(&error);
        assert_int_equal(sp_delay_parse(sp_str_from(BAD[i]), &got, &error), SP_INVALID);
        assert_int_equal(got, 77);
        assert_true(strlen(error.text) > 0);
    }
}

static void expect_shown(uint64_t ms, const char *text) {
    struct sp_buf to;
    sp_buf_init(&to, 1024);
    sp_delay_format(ms, &to);
    sp_buf_add_byte(&to, '\0');
    assert_string_equal((const char *)to.data, text);
    sp_buf_fini(&to);
}

static void waits_are_shown_in_their_largest_unit(void **state) {
    (void)state;
    expect_shown(0, "0s");
    expect_shown(1, "1ms");
    expect_shown(1500, "1500ms");
    expect_shown(30000, "30s");
    expect_shown(90000, "90s");
    expect_shown(120000, "2m");
    expect_shown(7200000, "2h");
    expect_shown(172800000, "2d");
}

static struct sp_backoff read_backoff(const char *text) {
    struct sp_backoff got = {.first_ms = 0};
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_backoff_parse(sp_str_from(text), &got, &error) != SP_OK) {
        fail_msg("%s: %s", text, error.text);
    }
    return got;
}

static void expect_backoff(const char *text, uint64_t first_ms, uint64_t max_ms, uint32_t factor,
                           uint32_t jitter) {
    struct sp_backoff got = read_backoff(text);
    assert_int_equal(got.first_ms, first_ms);
    assert_int_equal(got.max_ms, max_ms);
    assert_int_equal(got.factor_milli, factor);
    assert_int_equal(got.jitter_milli, jitter);
}

static void backoffs_are_read(void **state) {
    (void)state;
    expect_backoff("1s..60s x2 jitter 0.2", 1000, 60000, 2000, 200);
    expect_backoff("1s..60s", 1000, 60000, 2000, 200);
    expect_backoff("5s", 5000, 5000, 2000, 200);
    expect_backoff("5s jitter 0", 5000, 5000, 2000, 0);
    expect_backoff("  250ms..1h30m   jitter 1  x1.125 ", 250, 5400000, 1125, 1000);
    expect_backoff("0s x1000 jitter 0.005", 0, 0, 1000000, 5);
}

static void what_is_no_backoff_is_refused(void **state) {
    (void)state;
    static const char *const BAD[] = {
        "",
        " ",
        "x2",
        "1s..",
        "..1s",
        "1s...2s",
        "2s..1s",
        "1s..2s x",
        "1s..2s x0.5",
        "1s..2s x1001",
        "1s..2s x2 x2",
        "1s..2s jitter",
        "1s..2s jitter 1.1",
        "1s..2s jitter -0.1",
        "1s..2s jitter 0.1234",
        "1s..2s jitter 0.",
        "1s..2s jitter .5",
        "1s..2s jitter 0.1 jitter 0.1",
        "1s..2s X2",
        "1s 2s",
        "1s..2s,x2",
        "1s..2s x99999999999999999999",
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        struct sp_error error;
        struct sp_backoff got = {.first_ms = 77};
        sp_error_clear(&error);
        if (sp_backoff_parse(sp_str_from(BAD[i]), &got, &error) != SP_INVALID) {
            fail_msg("'%s' was read", BAD[i]);
        }
        assert_int_equal(got.first_ms, 77);
        assert_non_null(strstr(error.text, "1s..60s x2 jitter 0.2"));
    }
}

/* Whatever can be said is read back as it was. */
static void what_is_shown_is_read_back(void **state) {
    (void)state;
    struct sp_prng prng = {.state = 20261127};
    struct sp_buf to;
    sp_buf_init(&to, 1024);
    for (int round = 0; round < 20000; round++) {
        uint64_t a = sp_prng_next(&prng) >> (sp_prng_next(&prng) % 40 + 24);
        uint64_t b = a + (sp_prng_next(&prng) >> (sp_prng_next(&prng) % 40 + 24));
        struct sp_backoff is = {
            .first_ms = a,
            .max_ms = b,
            .factor_milli = (uint32_t)(1000 + sp_prng_next(&prng) % 999001),
            .jitter_milli = (uint32_t)(sp_prng_next(&prng) % 1001),
        };
        sp_buf_reset(&to);
        sp_backoff_format(&is, &to);
        sp_buf_add_byte(&to, '\0');
        struct sp_backoff got = read_backoff((const char *)to.data);
        assert_int_equal(got.first_ms, is.first_ms);
        assert_int_equal(got.max_ms, is.max_ms);
        assert_int_equal(got.factor_milli, is.factor_milli);
        assert_int_equal(got.jitter_milli, is.jitter_milli);
    }
    sp_buf_fini(&to);
}

static void counts_keep_to_their_range(void **state) {
    (void)state;
    uint32_t got = 7;
    assert_int_equal(sp_count_parse(SP_STR("5"), 1, 10, &got, NULL), SP_OK);
    assert_int_equal(got, 5);
    assert_int_equal(sp_count_parse(SP_STR("4294967295"), 0, UINT32_MAX, &got, NULL), SP_OK);
    assert_int_equal(got, UINT32_MAX);
    static const char *const BAD[] = {"", "0", "11", "-1", "+1", "5x", "4294967296", "00000000001"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        assert_int_equal(sp_count_parse(sp_str_from(BAD[i]), 1, 10, &got, NULL), SP_INVALID);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_are_read),
        cmocka_unit_test(what_is_no_wait_is_refused),
        cmocka_unit_test(waits_are_shown_in_their_largest_unit),
        cmocka_unit_test(backoffs_are_read),
        cmocka_unit_test(what_is_no_backoff_is_refused),
        cmocka_unit_test(what_is_shown_is_read_back),
        cmocka_unit_test(counts_keep_to_their_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
