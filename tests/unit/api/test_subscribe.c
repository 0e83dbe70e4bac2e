/* Subscriptions: history, then what comes, as one sequence; and how they wait. */
#include "helper.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum { SMALL = 256 << 10 };

static uint64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static spoor_cursor *subscribe(spoor *store, const spoor_query *query) {
    spoor_cursor *cursor = NULL;
    spoor_error error;
    help_ok(spoor_subscribe(store, query, &cursor, &error), &error);
    return cursor;
}

static void expect_event(spoor_cursor *cursor, uint64_t position) {
    const spoor_event *event = NULL;
    spoor_error error;
    help_ok(spoor_next(cursor, 5000, &event, &error), &error);
    assert_int_equal(event->position, position);
}

static void expect_nothing(spoor_cursor *cursor) {
    const spoor_event *event = NULL;
    assert_int_equal(spoor_next(cursor, 0, &event, NULL), SPOOR_TIMEOUT);
    assert_null(event);
}

static void test_history_then_live(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    (void)help_put(store, "a.x", "s", NULL);
    (void)help_put(store, "b", "s", NULL);
    (void)help_put(store, "a.y", "s", NULL);
    static const char *const types[] = {"a.*"};
    spoor_query query = SPOOR_QUERY_INIT;
    query.types = types;
    query.type_count = 1;
    spoor_cursor *everything = subscribe(store, NULL);
    spoor_cursor *some = subscribe(store, &query);
    query.from = "now";
    spoor_cursor *live = subscribe(store, &query);
    query.from = "3";
    query.limit = 2;
    spoor_cursor *limited = subscribe(store, &query);
    expect_nothing(live);
    (void)help_put(store, "a.z", "s", NULL);
    (void)help_put(store, "b", "s", NULL);
    for (uint64_t i = 1; i <= 5; i++) {
        expect_event(everything, i);
    }
    expect_nothing(everything);
    expect_event(some, 1);
    expect_event(some, 3);
    expect_event(some, 4);
    expect_nothing(some);
    expect_event(live, 4);
    expect_nothing(live);
    expect_event(limited, 3);
    expect_event(limited, 4);
    const spoor_event *event = NULL;
    assert_int_equal(spoor_next(limited, 0, &event, NULL), SPOOR_END);
    (void)help_put(store, "a.w", "s", NULL);
    expect_event(some, 6);
    expect_event(live, 6);
    expect_event(everything, 6);
    spoor_cursor_close(everything);
    spoor_cursor_close(some);
    spoor_cursor_close(live);
    spoor_cursor_close(limited);
    spoor_close(store);
}

/* Nobody is shown what is not durable. */
static void test_submitted_is_not_shown_yet(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_cursor *cursor = subscribe(store, NULL);
    spoor_event event = help_event("t", "s", NULL);
    spoor_error error;
    help_ok(spoor_submit(store, &event, 1, NULL, 0, NULL, NULL, &error), &error);
    expect_nothing(cursor);
    expect_event(cursor, 1); /* waiting drives the store */
    spoor_cursor_close(cursor);
    spoor_close(store);
}

static void expect_wait(spoor *store, int timeout_ms) {
    spoor_cursor *cursor = subscribe(store, NULL);
    const spoor_event *event = NULL;
    uint64_t before = now_ms();
    assert_int_equal(spoor_next(cursor, timeout_ms, &event, NULL), SPOOR_TIMEOUT);
    uint64_t waited = now_ms() - before;
    assert_true(waited + 2 >= (uint64_t)timeout_ms && waited < (uint64_t)timeout_ms + 5000);
    spoor_cursor_close(cursor);
}

static void test_timeouts(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    expect_wait(store, 0);
    if (help_is_remote()) { /* others may append at any time */
        expect_wait(store, 60);
        spoor_close(store);
        return;
    }
    spoor_cursor *cursor = subscribe(store, NULL);
    const spoor_event *event = NULL;
    /* Only this thread appends, and nothing is under way: waiting is vain. */
    assert_int_equal(spoor_next(cursor, -1, &event, NULL), SPOOR_TIMEOUT);
    spoor_cursor_close(cursor);
    spoor_close(store);
    store = help_open(SPOOR_OWN_THREAD);
    expect_wait(store, 0);
    expect_wait(store, 60);
    spoor_close(store);
}

/*
 * ---- beside a writer
 * ------------------------------------------------------------------------------
 */

enum { WRITTEN = 6000 };

static void *write_many(void *context) {
    spoor *store = context;
    for (int i = 0; i < WRITTEN / 20; i++) {
        help_fill(store, (uint64_t)i, 20);
        if (i % 50 == 0) {
            (void)nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
        }
    }
    return NULL;
}

struct follower {
    spoor *store;
    const char *source;
    uint64_t count;
    uint64_t digest; /* of the positions, in order */
};

static void *follow(void *context) {
    struct follower *follower = context;
    spoor_query query = SPOOR_QUERY_INIT;
    query.source = follower->source;
    spoor_cursor *cursor = subscribe(follower->store, &query);
    const spoor_event *event = NULL;
    spoor_error error;
    uint64_t last = 0;
    while (last < WRITTEN) {
        spoor_status status =
            spoor_next(cursor, follower->source != NULL ? 20 : -1, &event, &error);
        if (status == SPOOR_TIMEOUT) {
            last = help_last_position(follower->store) == WRITTEN ? WRITTEN : last;
            continue;
        }
        help_ok(status, &error);
        assert_true(event->position > last);
        assert_true(follower->source != NULL || event->position == last + 1);
        last = event->position;
        follower->count++;
        follower->digest = follower->digest * 31 + last;
    }
    while (spoor_next(cursor, 0, &event, &error) == SPOOR_OK) { /* what came before the last look */
        follower->count++;
        follower->digest = follower->digest * 31 + event->position;
    }
    spoor_cursor_close(cursor);
    return NULL;
}

static void test_no_gap_and_no_double_beside_a_writer(void **state) {
    (void)state;
    static const char *const sources[] = {NULL, "agent:1", "agent:5", NULL};
    spoor *store = help_open_small(SPOOR_CREATE | SPOOR_OWN_THREAD, SMALL);
    struct follower followers[4];
    pthread_t threads[5];
    assert_int_equal(pthread_create(&threads[4], NULL, write_many, store), 0);
    for (int i = 0; i < 4; i++) {
        followers[i] = (struct follower){.store = store, .source = sources[i]};
        assert_int_equal(pthread_create(&threads[i], NULL, follow, &followers[i]), 0);
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        spoor_query query = SPOOR_QUERY_INIT;
        query.source = sources[i];
        struct help_copies copies = help_read(store, &query);
        uint64_t digest = 0;
        for (size_t k = 0; k < copies.count; k++) {
            digest = digest * 31 + copies.items[k].event.position;
        }
        assert_int_equal(followers[i].count, copies.count);
        assert_int_equal(followers[i].digest, digest);
        help_copies_free(&copies);
    }
    spoor_close(store);
}

/*
 * ---- waking up
 * ------------------------------------------------------------------------------------
 */

static void *append_later(void *context) {
    (void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    (void)help_put(context, "t", "s", NULL);
    return NULL;
}

/*
 * Submits, and then asks for a stream, which drives the store itself: subscribers must hear of it.
 */
static void *submit_and_settle(void *context) {
    spoor_event event = help_event("t", "s", NULL);
    spoor_stream stream;
    spoor_error error;
    (void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    help_ok(spoor_submit(context, &event, 1, NULL, 0, NULL, NULL, &error), &error);
    help_ok(spoor_stream_get(context, "s", &stream, &error), &error);
    return NULL;
}

static void expect_waking(spoor *store, void *(*act)(void *context), uint64_t position) {
    spoor_query query = SPOOR_QUERY_INIT;
    query.from = "now";
    spoor_cursor *cursor = subscribe(store, &query);
    pthread_t thread;
    uint64_t before = now_ms();
    assert_int_equal(pthread_create(&thread, NULL, act, store), 0);
    expect_event(cursor, position);
    assert_true(now_ms() - before < 2000);
    assert_int_equal(pthread_join(thread, NULL), 0);
    spoor_cursor_close(cursor);
}

static void test_waiting_ends_when_something_comes(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE | SPOOR_OWN_THREAD);
    for (uint64_t i = 0; i < 10; i += 2) {
        expect_waking(store, append_later, i + 1);
        expect_waking(store, submit_and_settle, i + 2);
    }
    spoor_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_history_then_live, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_submitted_is_not_shown_yet, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_timeouts, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_no_gap_and_no_double_beside_a_writer, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_waiting_ends_when_something_comes, help_begin,
                                        help_end_all),
    };
    return cmocka_run_group_tests_name("subscribe", tests, NULL, NULL);
}
