/* The virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/clock.h"

static void test_stands_still(void **state) {
    (void)state;
    struct sim_clock clock = sim_clock_at(1700000000000000u);
    struct sp_clock face = sim_clock_face(&clock);
    assert_int_equal(face.wall_us(face.context), 1700000000000000u);
    assert_int_equal(face.monotonic_ns(face.context), face.monotonic_ns(face.context));
    assert_true(face.monotonic_ns(face.context) > 0);
}

static void test_both_advance_together(void **state) {
    (void)state;
    struct sim_clock clock = sim_clock_at(5000);
    struct sp_clock face = sim_clock_face(&clock);
    uint64_t before = face.monotonic_ns(face.context);
    for (unsigned i = 0; i < 1000; i++) {
        sim_clock_advance_ns(&clock, 1); /* parts of a microsecond add up */
    }
    assert_int_equal(face.monotonic_ns(face.context), before + 1000);
    assert_int_equal(face.wall_us(face.context), 5001);
}

static void test_wall_may_jump(void **state) {
    (void)state;
    struct sim_clock clock = sim_clock_at(9000000);
    struct sp_clock face = sim_clock_face(&clock);
    sim_clock_advance_ns(&clock, 1000000);
    uint64_t before = face.monotonic_ns(face.context);
    sim_clock_set_wall_us(&clock, 2000000);
    assert_int_equal(face.wall_us(face.context), 2000000);
    assert_int_equal(face.monotonic_ns(face.context), before);
    sim_clock_advance_ns(&clock, 5000);
    assert_int_equal(face.wall_us(face.context), 2000005);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stands_still),
        cmocka_unit_test(test_both_advance_together),
        cmocka_unit_test(test_wall_may_jump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
