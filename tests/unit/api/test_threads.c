/*
 * Several threads and one store: synchronous appends, submits whose callbacks submit more, readers
 * beside them; and a host that drives the store itself, with a descriptor to wait on.
 */
#include "helper.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { SMALL = 256 << 10, THREADS = 4, EACH = 400 };

static void *append_each(void *context) {
    spoor *store = context;
    static _Atomic int names;
    char source[24];
    (void)snprintf(source, sizeof(source), "thread-%d", atomic_fetch_add(&names, 1));
    for (uint64_t i = 0; i < EACH; i++) {
        spoor_event event = help_event("t", source, "{\"n\": 1}");
        spoor_appended appended;
        spoor_error error;
        /* Each thread has a stream of its own, so that its expectations always hold. */
        help_ok(spoor_append(store, &event, i, &appended, &error), &error);
        assert_int_equal(appended.version, i + 1);
    }
    return NULL;
}

static void *read_now_and_then(void *context) {
    spoor *store = context;
    for (int i = 0; i < 20; i++) {
        uint64_t last = help_last_position(store);
        spoor_query query = SPOOR_QUERY_INIT;
        query.reverse = i % 2;
        assert_true(help_count(store, &query) >= last);
        query.source = "thread-1";
        (void)help_count(store, &query);
        spoor_stream stream;
        (void)spoor_stream_get(store, "thread-0", &stream, NULL);
    }
    return NULL;
}

static void join_all(pthread_t *threads, int count) {
    for (int i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void test_appends_from_several_threads(void **state) {
    (void)state;
    pthread_t threads[THREADS + 2];
    spoor *store = help_open_small(SPOOR_CREATE | SPOOR_OWN_THREAD, SMALL);
    for (int i = 0; i < THREADS + 2; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < THREADS ? append_each : read_now_and_then, store),
            0);
    }
    join_all(threads, THREADS + 2);
    struct help_copies copies = help_read(store, NULL);
    assert_int_equal(copies.count, THREADS * EACH);
    for (size_t i = 0; i < copies.count; i++) {
        assert_int_equal(copies.items[i].event.position, i + 1);
    }
    help_copies_free(&copies);
    assert_int_equal(help_info(store).stream_count, THREADS);
    spoor_close(store);
}

/* One event, wanted by all threads at once: one stores it, the others are told where it is. */
static void *append_the_same(void *context) {
    uint64_t fresh = 0;
    for (int i = 0; i < EACH; i++) {
        char id[24];
        (void)snprintf(id, sizeof(id), "shared-%d", i);
        spoor_appended appended = help_put(context, "t", "a", id);
        assert_int_equal(appended.position, i + 1);
        fresh += !appended.duplicate;
    }
    return (void *)(uintptr_t)fresh;
}

static void test_one_event_from_several_threads(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    uintptr_t total = 0;
    spoor *store = help_open(SPOOR_CREATE | SPOOR_OWN_THREAD);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, append_the_same, store), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *fresh = NULL;
        assert_int_equal(pthread_join(threads[i], &fresh), 0);
        total += (uintptr_t)fresh;
    }
    assert_int_equal(total, EACH);
    assert_int_equal(help_last_position(store), EACH);
    spoor_close(store);
}

/*
 * ---- callbacks
 * ------------------------------------------------------------------------------------
 */

struct relay {
    spoor *store;
    _Atomic int inside; /* callbacks that run now: never two */
    _Atomic int calls;
    _Atomic int left; /* submits still to be made, by callbacks too */
    uint64_t last;    /* position of the one before: outcomes come in order */
};

static void submit_one(struct relay *relay);

static void pass_on(void *context, spoor_status status, const spoor_appended *appended,
                    size_t count, const spoor_error *error) {
    struct relay *relay = context;
    assert_int_equal(atomic_fetch_add(&relay->inside, 1), 0);
    assert_int_equal(status, SPOOR_OK);
    assert_int_equal(error->status, SPOOR_OK);
    assert_int_equal(count, 2);
    assert_int_equal(appended[1].position, appended[0].position + 1);
    assert_true(appended[0].position > relay->last);
    relay->last = appended[1].position;
    assert_int_equal(atomic_fetch_sub(&relay->inside, 1), 1);
    submit_one(relay);
    atomic_fetch_add(&relay->calls, 1);
}

static void submit_one(struct relay *relay) {
    spoor_event events[2] = {help_event("t", "a", NULL), help_event("t", "b", NULL)};
    spoor_error error;
    if (atomic_fetch_sub(&relay->left, 1) <= 0) {
        return;
    }
    spoor_status status = spoor_submit(relay->store, events, 2, NULL, 0, pass_on, relay, &error);
    help_ok(status, &error);
}

static void *start_relays(void *context) {
    for (int i = 0; i < 50; i++) {
        submit_one(context);
    }
    return NULL;
}

static void test_callbacks_that_submit_more(void **state) {
    (void)state;
    enum { TOTAL = 2000 };
    pthread_t threads[THREADS];
    struct relay relay = {.left = TOTAL};
    relay.store = help_open(SPOOR_CREATE | SPOOR_OWN_THREAD);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, start_relays, &relay), 0);
    }
    join_all(threads, THREADS);
    for (int i = 0; i < 20000 && atomic_load(&relay.calls) < TOTAL; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(atomic_load(&relay.calls), TOTAL);
    assert_int_equal(help_last_position(relay.store), 2 * TOTAL);
    spoor_close(relay.store);
}

/*
 * ---- driven by a host
 * -----------------------------------------------------------------------------
 */

static void test_driven_by_a_host(void **state) {
    (void)state;
    enum { TOTAL = 300 };
    struct relay relay = {.left = TOTAL};
    spoor_error error;
    relay.store = help_open(SPOOR_CREATE);
    int fd = spoor_fd(relay.store);
    assert_true(fd >= 0);
    assert_int_equal(spoor_fd(relay.store), fd);
    for (int i = 0; i < 10; i++) {
        submit_one(&relay);
    }
    for (int i = 0; i < 5000 && atomic_load(&relay.calls) < TOTAL; i++) {
        struct pollfd wanted = {.fd = fd, .events = POLLIN};
        int deadline = spoor_deadline_ms(relay.store);
        assert_true(poll(&wanted, 1, deadline) >= 0);
        spoor_status status = spoor_turn(relay.store, 0, &error);
        assert_true(status == SPOOR_OK || status == SPOOR_TIMEOUT);
    }
    assert_int_equal(atomic_load(&relay.calls), TOTAL);
    assert_int_equal(help_last_position(relay.store), 2 * TOTAL);
    assert_int_equal(spoor_turn(relay.store, 0, &error), SPOOR_TIMEOUT);
    spoor_close(relay.store);
    spoor *own = help_open(SPOOR_OWN_THREAD);
    help_refused(spoor_turn(own, 0, &error), &error, SPOOR_INVALID, NULL);
    assert_int_equal(spoor_deadline_ms(own), -1);
    spoor_close(own);
}

/*
 * A thread that waits for what never comes is not in the way of the others, nor of its own
 * deadline.
 */
static void *wait_in_vain(void *context) {
    spoor_query query = SPOOR_QUERY_INIT;
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    spoor_error error;
    query.source = "never";
    help_ok(spoor_subscribe(context, &query, &cursor, &error), &error);
    assert_int_equal(spoor_next(cursor, 300, &event, &error), SPOOR_TIMEOUT);
    spoor_cursor_close(cursor);
    return NULL;
}

static void test_waiting_holds_up_nobody(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    spoor *store = help_open(SPOOR_CREATE | SPOOR_OWN_THREAD);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_in_vain, store), 0);
    }
    help_fill(store, 1, 5000);
    assert_int_equal(help_count(store, NULL), 5000);
    join_all(threads, THREADS);
    spoor_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_appends_from_several_threads, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_one_event_from_several_threads, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_callbacks_that_submit_more, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_driven_by_a_host, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_waiting_holds_up_nobody, help_begin, help_end_all),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
