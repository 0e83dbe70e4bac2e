/* Log lines: their two shapes, what is made safe, and that they neither flood nor block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "server/logger.h"

static uint64_t now_us;

static uint64_t read_clock(void *context) {
    (void)context;
    return now_us;
}

static const struct sp_clock CLOCK = {.wall_us = read_clock, .monotonic_ns = read_clock};

static int ends[2];
static struct sp_logger logger;

static int begin(void **state) {
    (void)state;
    now_us = UINT64_C(1795000000123456);
    sp_logger_init(&logger, -1, CLOCK);
    if (pipe(ends) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        return -1;
    }
    logger.fd = ends[1];
    return 0;
}

static int end(void **state) {
    (void)state;
    return close(ends[0]) | close(ends[1]);
}

/* All that was logged since. */
static const char *logged(char text[65536]) {
    ssize_t len = read(ends[0], text, 65535);
    text[len < 0 ? 0 : len] = '\0';
    return text;
}

static void test_logfmt(void **state) {
    (void)state;
    char text[65536];
    sp_say(&logger, SP_LEVEL_WARN, "two words", SP_FIELD_NUMBER("client", 17),
           SP_FIELD_TEXT("peer", SP_STR("1.2.3.4:5")), SP_FIELD_TEXT("odd", SP_STR("a\"\n\xff=b")),
           SP_FIELD_TEXT("none", SP_STR("")));
    assert_string_equal(logged(text), "time=2026-11-18T11:06:40.123456Z level=warn "
                                      "msg=\"two words\" client=17 peer=1.2.3.4:5 "
                                      "odd=\"a\\\"\\x0a\\xff=b\" none=\"\"\n");
}

static void test_json(void **state) {
    (void)state;
    char text[65536];
    logger.json = true;
    sp_say(&logger, SP_LEVEL_ERROR, "msg", SP_FIELD_NUMBER("n", 1),
           SP_FIELD_TEXT("t", SP_STR("\x01\\")));
    assert_string_equal(logged(text), "{\"time\":\"2026-11-18T11:06:40.123456Z\","
                                      "\"level\":\"error\",\"msg\":\"msg\",\"n\":1,"
                                      "\"t\":\"\\u0001\\\\\"}\n");
}

static void test_levels(void **state) {
    (void)state;
    char text[65536];
    sp_say(&logger, SP_LEVEL_DEBUG, "quiet", SP_FIELD_NUMBER("n", 1));
    assert_string_equal(logged(text), "");
    logger.level = SP_LEVEL_DEBUG;
    sp_say(&logger, SP_LEVEL_DEBUG, "quiet", SP_FIELD_NUMBER("n", 1));
    assert_non_null(strstr(logged(text), "level=debug"));
}

static unsigned count_lines(const char *text) {
    unsigned count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '\n';
    }
    return count;
}

static void test_one_message_does_not_flood(void **state) {
    (void)state;
    char text[65536];
    static const char MESSAGE[] = "again and again";
    for (int i = 0; i < 100; i++) {
        sp_say(&logger, SP_LEVEL_WARN, MESSAGE, SP_FIELD_NUMBER("n", (uint64_t)i));
    }
    assert_int_equal(count_lines(logged(text)), SP_LOGGER_BURST);
    now_us += 1000000;
    sp_say(&logger, SP_LEVEL_WARN, MESSAGE, SP_FIELD_NUMBER("n", 7));
    assert_non_null(strstr(logged(text), "suppressed=80 n=7"));
    sp_say(&logger, SP_LEVEL_WARN, MESSAGE, SP_FIELD_NUMBER("n", 8));
    assert_null(strstr(logged(text), "suppressed"));
}

static void test_nobody_waits_for_its_reader(void **state) {
    (void)state;
    char text[65536];
    char filler[4096] = {0};
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(ends[1], filler, sizeof(filler)) > 0) {
    }
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0); /* writing would block from here on */
    sp_say(&logger, SP_LEVEL_WARN, "lost", SP_FIELD_NUMBER("n", 1));
    sp_say(&logger, SP_LEVEL_WARN, "lost", SP_FIELD_NUMBER("n", 2));
    while (read(ends[0], text, sizeof(text)) > 0) {
    }
    sp_say(&logger, SP_LEVEL_WARN, "found", SP_FIELD_NUMBER("n", 3));
    assert_non_null(strstr(logged(text), "msg=found dropped=2 n=3"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_logfmt, begin, end),
        cmocka_unit_test_setup_teardown(test_json, begin, end),
        cmocka_unit_test_setup_teardown(test_levels, begin, end),
        cmocka_unit_test_setup_teardown(test_one_message_does_not_flood, begin, end),
        cmocka_unit_test_setup_teardown(test_nobody_waits_for_its_reader, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
