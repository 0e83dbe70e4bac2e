/* The guard: one at a time, again by who has it, and in turns with one who never rests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "os/guard.h"

enum { VISITS = 200, THREADS = 4 };

struct shared {
    struct sp_guard guard;
    uint64_t count; /* the guard's */
    uint64_t other; /* likewise; equal to it whenever nobody is within */
    _Atomic bool stop;
    pthread_cond_t changed;
};

static void change(struct shared *shared) {
    shared->count++;
    sp_guard_enter(&shared->guard);
    shared->other++;
    sp_guard_leave(&shared->guard);
}

/* Holds it all the time, as a busy loop does. */
static void *hog(void *context) {
    struct shared *shared = context;
    while (!atomic_load(&shared->stop)) {
        sp_guard_enter(&shared->guard);
        for (int i = 0; i < 100; i++) {
            change(shared);
        }
        sp_guard_leave(&shared->guard);
    }
    return NULL;
}

static void *visit(void *context) {
    struct shared *shared = context;
    for (int i = 0; i < VISITS; i++) {
        sp_guard_enter(&shared->guard);
        change(shared);
        sp_guard_leave(&shared->guard);
    }
    return NULL;
}

/* Without turns the visitors would wait for as long as the hog goes on: for ever. */
static void test_turns(void **state) {
    struct shared shared = {.count = 0};
    pthread_t hogging;
    pthread_t visitors[THREADS];
    (void)state;
    sp_guard_init(&shared.guard);
    assert_int_equal(pthread_create(&hogging, NULL, hog, &shared), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&visitors[i], NULL, visit, &shared), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(visitors[i], NULL), 0);
    }
    atomic_store(&shared.stop, true);
    assert_int_equal(pthread_join(hogging, NULL), 0);
    assert_true(shared.count >= (uint64_t)VISITS * THREADS);
    assert_int_equal(shared.count, shared.other);
    sp_guard_fini(&shared.guard);
}

static void *announce(void *context) {
    struct shared *shared = context;
    sp_guard_enter(&shared->guard);
    shared->count = 1;
    pthread_cond_signal(&shared->changed);
    sp_guard_leave(&shared->guard);
    return NULL;
}

static void test_wait_lets_others_in(void **state) {
    struct shared shared = {.count = 0};
    pthread_t thread;
    (void)state;
    sp_guard_init(&shared.guard);
    pthread_cond_init(&shared.changed, NULL);
    sp_guard_enter(&shared.guard);
    assert_int_equal(pthread_create(&thread, NULL, announce, &shared), 0);
    while (shared.count == 0) {
        assert_true(sp_guard_wait(&shared.guard, &shared.changed, NULL));
        assert_true(sp_guard_is_mine(&shared.guard));
    }
    sp_guard_leave(&shared.guard);
    assert_false(sp_guard_is_mine(&shared.guard));
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_cond_destroy(&shared.changed);
    sp_guard_fini(&shared.guard);
}

static void test_wait_until(void **state) {
    struct shared shared = {.count = 0};
    struct timespec past;
    (void)state;
    sp_guard_init(&shared.guard);
    pthread_cond_init(&shared.changed, NULL);
    clock_gettime(CLOCK_REALTIME, &past);
    sp_guard_enter(&shared.guard);
    while (sp_guard_wait(&shared.guard, &shared.changed, &past)) { /* woken for no reason */
    }
    assert_true(sp_guard_is_mine(&shared.guard));
    sp_guard_leave(&shared.guard);
    pthread_cond_destroy(&shared.changed);
    sp_guard_fini(&shared.guard);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_wait_lets_others_in),
        cmocka_unit_test(test_wait_until),
    };
    return cmocka_run_group_tests_name("os guard", tests, NULL, NULL);
}
