/* Timers: what comes out when, against a sorted list; what dropped ones cost; how much memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/prng.h"
#include "flow/timers.h"

enum { MANY = 20000, MILLION = 1000000 };

static struct sp_timer at(uint64_t at_us, uint64_t a, uint32_t b) {
    return (struct sp_timer){.at_us = at_us, .a = a, .b = b};
}

static void arm(struct sp_timers *timers, struct sp_timer timer) {
    assert_int_equal(sp_timers_arm(timers, timer), SP_OK);
}

static void test_empty(void **state) {
    (void)state;
    struct sp_timers timers;
    struct sp_timer out = at(7, 7, 7);
    sp_timers_init(&timers);
    assert_true(sp_timers_due(&timers) == SP_TIMERS_NEVER);
    assert_false(sp_timers_take(&timers, UINT64_MAX, &out));
    assert_int_equal(out.at_us, 7);
    assert_false(sp_timers_is_crowded(&timers));
    sp_timers_fini(&timers);
}

static void test_nothing_comes_early(void **state) {
    (void)state;
    struct sp_timers timers;
    struct sp_timer out;
    sp_timers_init(&timers);
    arm(&timers, at(100, 1, 0));
    arm(&timers, at(50, 2, 0));
    assert_int_equal(sp_timers_due(&timers), 50);
    assert_false(sp_timers_take(&timers, 49, &out));
    assert_true(sp_timers_take(&timers, 50, &out));
    assert_int_equal(out.a, 2);
    assert_false(sp_timers_take(&timers, 99, &out));
    assert_int_equal(sp_timers_due(&timers), 100);
    assert_true(sp_timers_take(&timers, 1000, &out));
    assert_int_equal(out.a, 1);
    assert_false(sp_timers_take(&timers, 1000, &out));
    sp_timers_fini(&timers);
}

static int compare(const void *x, const void *y) {
    const struct sp_timer *p = x;
    const struct sp_timer *q = y;
    if (p->at_us != q->at_us) {
        return p->at_us < q->at_us ? -1 : 1;
    }
    if (p->a != q->a) {
        return p->a < q->a ? -1 : 1;
    }
    return p->b < q->b ? -1 : p->b > q->b;
}

/* Many equal times among them: the order is the same however they came. */
static void test_order(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(11);
    struct sp_timer *list = calloc(MANY, sizeof(*list));
    assert_non_null(list);
    struct sp_timers timers;
    sp_timers_init(&timers);
    for (uint32_t i = 0; i < MANY; i++) {
        list[i] = at(sp_prng_below(&prng, 500), sp_prng_below(&prng, 100), i);
        arm(&timers, list[i]);
    }
    qsort(list, MANY, sizeof(*list), compare);
    for (uint32_t i = 0; i < MANY; i++) {
        struct sp_timer out;
        assert_true(sp_timers_take(&timers, 500, &out));
        assert_int_equal(out.at_us, list[i].at_us);
        assert_int_equal(out.a, list[i].a);
        assert_int_equal(out.b, list[i].b);
    }
    assert_int_equal(timers.count, 0);
    sp_timers_fini(&timers);
    free(list);
}

/* An owner with generations, as parts have them. */
struct owner {
    struct sp_timers timers;
    uint32_t generation[64];
    uint64_t due[64]; /* 0: none */
};

static bool is_alive(const void *context, const struct sp_timer *timer) {
    const struct owner *owner = context;
    return owner->generation[timer->a] == timer->generation;
}

static void set(struct owner *owner, uint32_t which, uint64_t due) {
    if (owner->due[which] != 0) {
        sp_timers_drop(&owner->timers);
    }
    owner->due[which] = due;
    owner->generation[which]++;
    if (due != 0) {
        arm(&owner->timers,
            (struct sp_timer){.at_us = due, .a = which, .generation = owner->generation[which]});
    }
    if (sp_timers_is_crowded(&owner->timers)) {
        sp_timers_keep(&owner->timers, is_alive, owner);
    }
}

static void fire(struct owner *owner, uint64_t now) {
    struct sp_timer out;
    while (sp_timers_take(&owner->timers, now, &out)) {
        if (!is_alive(owner, &out)) {
            sp_timers_dropped_came(&owner->timers);
            continue;
        }
        assert_int_equal(owner->due[out.a], out.at_us);
        owner->due[out.a] = 0;
    }
    for (uint32_t i = 0; i < 64; i++) {
        assert_true(owner->due[i] == 0 || owner->due[i] > now);
    }
}

/* Times that change again and again: each fires when it should, and dropped ones never pile up. */
static void test_dropped(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(5);
    struct owner owner = {.due = {0}};
    sp_timers_init(&owner.timers);
    uint64_t now = 1;
    for (uint32_t round = 0; round < 50000; round++) {
        uint32_t which = sp_prng_below(&prng, 64);
        set(&owner, which, sp_prng_below(&prng, 4) == 0 ? 0 : now + 1 + sp_prng_below(&prng, 2000));
        if (sp_prng_below(&prng, 8) == 0) {
            now += sp_prng_below(&prng, 20);
            fire(&owner, now);
        }
        assert_true(owner.timers.count <= 64 * 2 + 1);
        assert_true(owner.timers.dropped <= owner.timers.count);
    }
    fire(&owner, now + 5000);
    assert_int_equal(owner.timers.count, 0);
    assert_int_equal(owner.timers.dropped, 0);
    sp_timers_fini(&owner.timers);
}

static void test_a_million(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(3);
    struct sp_timers timers;
    sp_timers_init(&timers);
    for (uint32_t i = 0; i < MILLION; i++) {
        arm(&timers, at(sp_prng_next(&prng) >> 20, i, 0));
    }
    assert_true(timers.capacity * sizeof(struct sp_timer) <= (size_t)MILLION * 32);
    uint64_t last = 0;
    struct sp_timer out;
    while (sp_timers_take(&timers, UINT64_MAX - 1, &out)) {
        assert_true(out.at_us >= last);
        last = out.at_us;
    }
    sp_timers_fini(&timers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),     cmocka_unit_test(test_nothing_comes_early),
        cmocka_unit_test(test_order),     cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_a_million),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
