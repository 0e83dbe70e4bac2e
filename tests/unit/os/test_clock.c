/* The machine's clock, its entropy, and who we are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

static void test_monotonic_never_falls(void **state) {
    (void)state;
    struct sp_clock clock = sp_clock_system();
    uint64_t before = clock.monotonic_ns(clock.context);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t now = clock.monotonic_ns(clock.context);
        assert_true(now >= before);
        before = now;
    }
    struct timespec pause = {.tv_nsec = 2000000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    assert_true(clock.monotonic_ns(clock.context) - before >= 2000000u);
}

static void test_wall_is_unix_time(void **state) {
    (void)state;
    struct sp_clock clock = sp_clock_system();
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    uint64_t wall_us = clock.wall_us(clock.context);
    uint64_t expected_us = (uint64_t)now.tv_sec * 1000000u;
    assert_in_range(wall_us, expected_us - 60000000u, expected_us + 60000000u);
}

static void test_entropy_differs(void **state) {
    (void)state;
    static uint8_t bytes[2][1000];
    memset(bytes, 0, sizeof(bytes));
    sp_entropy(bytes[0], sizeof(bytes[0]));
    sp_entropy(bytes[1], sizeof(bytes[1]));
    assert_memory_not_equal(bytes[0], bytes[1], sizeof(bytes[0]));
    unsigned zeros = 0;
    for (size_t i = 0; i < sizeof(bytes[0]); i++) {
        zeros += bytes[0][i] == 0;
    }
    assert_true(zeros < 50); /* it filled all of them; about 4 are zero by nature */
    sp_entropy(NULL, 0);
}

static void test_process_id(void **state) {
    (void)state;
    assert_int_equal(sp_process_id(), getpid());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monotonic_never_falls),
        cmocka_unit_test(test_wall_is_unix_time),
        cmocka_unit_test(test_entropy_differs),
        cmocka_unit_test(test_process_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
