#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event/moment.h"

static const uint64_t NOW_US = UINT64_C(1795153752123456); /* 2026-11-20T05:49:12.123456Z */

static struct sp_moment parsed(const char *text) {
    struct sp_moment moment;
    struct sp_error error;
    if (sp_moment_parse(sp_str_from(text), NOW_US, &moment, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    return moment;
}

static void digits_alone_are_a_position(void **state) {
    (void)state;
    static const char *const TEXTS[] = {"0", "1", "1795153752", "18446744073709551615", "007"};
    static const uint64_t POSITIONS[] = {0, 1, 1795153752, UINT64_MAX, 7};
    for (size_t i = 0; i < 5; i++) {
        struct sp_moment moment = parsed(TEXTS[i]);
        assert_int_equal(moment.kind, SP_MOMENT_POSITION);
        assert_int_equal(moment.position, POSITIONS[i]);
    }
}

static void entry_ids_have_a_hyphen(void **state) {
    (void)state;
    struct sp_moment moment = parsed("1795153752123-7");
    assert_int_equal(moment.kind, SP_MOMENT_ENTRY);
    assert_int_equal(moment.entry_ms, UINT64_C(1795153752123));
    assert_int_equal(moment.entry_seq, 7);
    assert_int_equal(parsed("2026-11").kind, SP_MOMENT_ENTRY);
}

static void times_are_absolute_or_relative(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t time_us;
    } CASES[] = {
        {"2026-11-20T05:49:12Z", UINT64_C(1795153752000000)},
        {"2026-11-20T06:49:12.5+01:00", UINT64_C(1795153752500000)},
        {"2026-11-20T05:49:12", UINT64_C(1795153752000000)},
        {"2026-11-20", UINT64_C(1795132800000000)},
        {"-10m", NOW_US - UINT64_C(600000000)},
        {"-1h30m", NOW_US - UINT64_C(5400000000)},
        {"-30", NOW_US - UINT64_C(30000000)},
        {"-0s", NOW_US},
        {"-9999w", 0},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct sp_moment moment = parsed(CASES[i].text);
        assert_int_equal(moment.kind, SP_MOMENT_TIME);
        assert_int_equal(moment.time_us, CASES[i].time_us);
    }
    struct sp_moment now = parsed("now");
    assert_int_equal(now.kind, SP_MOMENT_NOW);
    assert_int_equal(now.time_us, NOW_US);
}

static void other_texts_are_refused_with_the_forms(void **state) {
    (void)state;
    static const char *const WRONG[] = {"",     "-",    "now-1h",
                                        "Now",  "10m",  "+10m",
                                        "-10x", "1.5",  "18446744073709551616",
                                        "5-",   "--5s", "2026-11-31",
                                        " 5",   "$",    "1-4294967296"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct sp_moment moment = {.position = 42};
        struct sp_error error;
        assert_int_equal(sp_moment_parse(sp_str_from(WRONG[i]), NOW_US, &moment, &error),
                         SP_INVALID);
        assert_int_equal(moment.position, 42);
        assert_non_null(strstr(error.text, "expected a position, an entry id"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_alone_are_a_position),
        cmocka_unit_test(entry_ids_have_a_hyphen),
        cmocka_unit_test(times_are_absolute_or_relative),
        cmocka_unit_test(other_texts_are_refused_with_the_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
