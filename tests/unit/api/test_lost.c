/*
 * A server that dies and comes again in the middle of appends and of subscriptions: nothing is
 * lost, nothing is there twice, and callers notice no more than that it took a while.
 */
#include "helper.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { KILLS = 5, EVENTS = 6000, UNDER_WAY = 500 };

static int begin(void **state) {
    (void)setenv("SPOOR_TEST_REMOTE", "1", 1);
    return help_begin(state);
}

struct outcomes {
    uint64_t answered;
    uint64_t wrong;
    uint64_t duplicates;
    uint64_t last_position;
};

static void note(void *context, spoor_status status, const spoor_appended *appended, size_t count,
                 const spoor_error *error) {
    struct outcomes *outcomes = context;
    outcomes->answered++;
    if (status != SPOOR_OK || count != 1) {
        print_error("%s\n", error->text);
        outcomes->wrong++;
        return;
    }
    outcomes->duplicates += appended->duplicate;
    outcomes->wrong += appended->position <= outcomes->last_position; /* in order */
    outcomes->last_position = appended->position;
}

/* Every number once, in order. */
static void expect_numbers(spoor *store, uint64_t count) {
    struct help_copies copies = help_read(store, NULL);
    assert_int_equal(copies.count, count);
    for (size_t i = 0; i < copies.count; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "{\"n\":%zu}", i);
        assert_true(help_is(copies.items[i].event.data, text));
    }
    help_copies_free(&copies);
}

static void submit_number(spoor *store, int number, struct outcomes *outcomes) {
    char text[32];
    spoor_error error;
    (void)snprintf(text, sizeof(text), "{\"n\":%d}", number);
    spoor_event event = help_event("count.counted", "counter", text);
    help_ok(spoor_submit(store, &event, 1, NULL, 0, note, outcomes, &error), &error);
}

static void test_appends_outlive_the_server(void **state) {
    (void)state;
    spoor *store = help_open(0);
    struct outcomes outcomes = {.answered = 0};
    for (int i = 0; i < EVENTS; i++) {
        submit_number(store, i, &outcomes);
        while ((uint64_t)i + 1 - outcomes.answered > UNDER_WAY) {
            (void)spoor_turn(store, 100, NULL);
        }
        if (i % (EVENTS / KILLS) == EVENTS / KILLS / 2) {
            help_stop_server(true);
            help_start_server();
        }
    }
    while (outcomes.answered < EVENTS) {
        (void)spoor_turn(store, 100, NULL);
    }
    assert_int_equal(outcomes.wrong, 0);
    assert_int_equal(outcomes.duplicates, 0);
    expect_numbers(store, EVENTS);
    spoor_close(store);
}

/* What was appended before the answer was lost is known by its id, whatever was expected. */
static void test_expectations_outlive_the_server(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_OWN_THREAD);
    for (uint64_t version = 0; version < 60; version++) {
        spoor_event event = help_event("t", "s", NULL);
        spoor_appended appended;
        spoor_error error;
        help_ok(spoor_append(store, &event, version, &appended, &error), &error);
        assert_int_equal(appended.version, version + 1);
        assert_int_equal(appended.duplicate, 0);
        if (version % 20 == 10) {
            help_stop_server(true);
            help_start_server();
        }
    }
    assert_int_equal(help_last_position(store), 60);
    spoor_close(store);
}

static void *append_all(void *context) {
    for (int i = 0; i < EVENTS; i++) {
        char text[32];
        spoor_error error;
        (void)snprintf(text, sizeof(text), "{\"n\":%d}", i);
        spoor_event event = help_event("count.counted", "counter", text);
        if (i % 100 == 0) {
            help_ok(spoor_append(context, &event, SPOOR_ANY_VERSION, NULL, &error), &error);
        } else {
            help_ok(spoor_submit(context, &event, 1, NULL, 0, NULL, NULL, &error), &error);
        }
    }
    return NULL;
}

static void test_subscriptions_outlive_the_server(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_OWN_THREAD);
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    spoor_error error;
    pthread_t thread;
    help_ok(spoor_subscribe(store, NULL, &cursor, &error), &error);
    assert_int_equal(pthread_create(&thread, NULL, append_all, store), 0);
    for (uint64_t i = 0; i < EVENTS; i++) {
        char text[32];
        help_ok(spoor_next(cursor, 60000, &event, &error), &error);
        (void)snprintf(text, sizeof(text), "{\"n\":%llu}", (unsigned long long)i);
        assert_int_equal(event->position, i + 1);
        assert_true(help_is(event->data, text));
        if (i % (EVENTS / KILLS) == EVENTS / KILLS / 3) {
            uint8_t hash[32];
            help_stop_server(true);
            help_start_server();
            help_ok(spoor_event_hash(cursor, hash, &error), &error);
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(spoor_next(cursor, 0, &event, &error), SPOOR_TIMEOUT);
    expect_numbers(store, EVENTS);
    spoor_cursor_close(cursor);
    spoor_close(store);
}

/* What comes after "now" is told also where the server died in between. */
static void test_now_is_when_it_was_asked(void **state) {
    (void)state;
    spoor *store = help_open(0);
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    spoor_error error;
    spoor_query query = SPOOR_QUERY_INIT;
    query.from = "now";
    (void)help_put(store, "t", "s", NULL);
    help_ok(spoor_subscribe(store, &query, &cursor, &error), &error);
    help_stop_server(false);
    help_start_server();
    (void)help_put(store, "t", "s", NULL);
    help_ok(spoor_next(cursor, 60000, &event, &error), &error);
    assert_int_equal(event->position, 2);
    spoor_cursor_close(cursor);
    spoor_close(store);
}

static void test_a_read_goes_on(void **state) {
    (void)state;
    spoor *store = help_open(0);
    help_fill(store, 1, 3500);
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    spoor_error error;
    spoor_query query = SPOOR_QUERY_INIT;
    query.reverse = 1;
    help_ok(spoor_read(store, &query, &cursor, &error), &error);
    (void)help_put(store, "t", "s", NULL); /* came later: not of this read */
    for (uint64_t i = 3500; i > 0; i--) {
        help_ok(spoor_next(cursor, 0, &event, &error), &error);
        assert_int_equal(event->position, i);
        if (i == 3000) {
            help_stop_server(true);
            help_start_server();
        }
    }
    assert_int_equal(spoor_next(cursor, 0, &event, &error), SPOOR_END);
    spoor_cursor_close(cursor);
    spoor_close(store);
}

static void test_nobody_answers(void **state) {
    (void)state;
    spoor_options options;
    spoor_error error;
    spoor *store = NULL;
    spoor_options_init(&options);
    options.timeout_ms = 200;
    help_ok(spoor_open(help_place(), &options, &store, &error), &error);
    help_stop_server(true);
    spoor_event event = help_event("t", "s", NULL);
    spoor_status status = spoor_append(store, &event, SPOOR_ANY_VERSION, NULL, &error);
    help_refused(status, &error, SPOOR_TIMEOUT, "within 200 ms");
    spoor *other = NULL;
    status = spoor_open(help_place_before(), &options, &other, &error);
    help_refused(status, &error, SPOOR_IO, "cannot connect");
    help_start_server();
    assert_int_equal(help_append(store, &event).position, 1); /* it comes again by itself */
    spoor_close(store);
}

/* A host's own loop: the descriptor tells of answers and of what a subscription has. */
static void test_a_loop_of_ones_own(void **state) {
    (void)state;
    spoor *store = help_open(0);
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    struct outcomes outcomes = {.answered = 0};
    spoor_error error;
    struct pollfd fd = {.fd = spoor_fd(store), .events = POLLIN};
    assert_true(fd.fd >= 0);
    help_ok(spoor_subscribe(store, NULL, &cursor, &error), &error);
    uint64_t seen = 0;
    for (int i = 0; i < 200; i++) {
        submit_number(store, i, &outcomes);
        if (i % 50 == 25) {
            help_stop_server(true);
            help_start_server();
        }
        while (outcomes.answered <= (uint64_t)i || seen <= (uint64_t)i) {
            int deadline_ms = spoor_deadline_ms(store);
            (void)poll(&fd, 1, deadline_ms < 0 || deadline_ms > 1000 ? 1000 : deadline_ms);
            (void)spoor_turn(store, 0, &error);
            while (spoor_next(cursor, 0, &event, &error) == SPOOR_OK) {
                assert_int_equal(event->position, ++seen);
            }
        }
    }
    assert_int_equal(outcomes.wrong, 0);
    spoor_cursor_close(cursor);
    spoor_close(store);
}

static void test_what_is_no_server(void **state) {
    (void)state;
    static const struct {
        const char *url;
        spoor_status status;
        const char *piece;
    } cases[] = {
        {"ftp://127.0.0.1", SPOOR_INVALID, "expected http://"},
        {"https://127.0.0.1", SPOOR_UNSUPPORTED, "TLS"},
        {"redis://127.0.0.1:1", SPOOR_IO, "cannot connect"},
    };
    spoor *store = NULL;
    spoor_error error;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        spoor_status status = spoor_open(cases[i].url, NULL, &store, &error);
        help_refused(status, &error, cases[i].status, cases[i].piece);
    }
    assert_null(store);
    spoor_status status = spoor_verify("http://127.0.0.1:7380", NULL, NULL, NULL, &error);
    help_refused(status, &error, SPOOR_UNSUPPORTED, "folder");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, help_end_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_appends_outlive_the_server),
        TEST(test_expectations_outlive_the_server),
        TEST(test_subscriptions_outlive_the_server),
        TEST(test_now_is_when_it_was_asked),
        TEST(test_a_read_goes_on),
        TEST(test_nobody_answers),
        TEST(test_a_loop_of_ones_own),
        TEST(test_what_is_no_server),
    };
    return cmocka_run_group_tests_name("lost", tests, NULL, NULL);
}
