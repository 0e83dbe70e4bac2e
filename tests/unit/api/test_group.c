/* Groups over a server: workers that share, retries, dead letters, a server that dies. */
#include "helper.h"

#include <stdio.h>
#include <stdlib.h>

enum { LONG_MS = 60000 };

static int begin(void **state) {
    (void)setenv("SPOOR_TEST_REMOTE", "1", 1);
    return help_begin(state);
}

static spoor_group *join(spoor *store, const char *consumer) {
    spoor_group *group = NULL;
    spoor_error error;
    help_ok(spoor_group_join(store, "jobs", "workers", consumer, &group, &error), &error);
    return group;
}

static const spoor_delivery *receive(spoor_group *group) {
    const spoor_delivery *delivery = NULL;
    spoor_error error;
    help_ok(spoor_group_receive(group, LONG_MS, &delivery, &error), &error);
    return delivery;
}

static void expect_nothing(spoor_group *group) {
    const spoor_delivery *delivery = NULL;
    assert_int_equal(spoor_group_receive(group, 0, &delivery, NULL), SPOOR_TIMEOUT);
    assert_null(delivery);
}

static void make(spoor *store, const spoor_group_option *options, size_t count) {
    spoor_error error;
    help_ok(spoor_group_create(store, "jobs", "workers", "0", options, count, &error), &error);
}

static void test_workers_share(void **state) {
    (void)state;
    spoor *store = help_open(0);
    spoor_error error;
    make(store, NULL, 0);
    spoor_status status = spoor_group_create(store, "jobs", "workers", NULL, NULL, 0, &error);
    help_refused(status, &error, SPOOR_CONFLICT, "exists");
    spoor_group *one = join(store, "one");
    spoor_group *two = join(store, "two");
    expect_nothing(one);
    (void)help_put(store, "job.asked", "jobs", "j-1");
    (void)help_put(store, "job.asked", "jobs", "j-2");
    const spoor_delivery *first = receive(one);
    const spoor_delivery *second = receive(two);
    assert_true(help_is(first->event->id, "j-1"));
    assert_true(help_is(second->event->id, "j-2"));
    assert_int_equal(first->attempts, 1);
    assert_int_equal(first->event->position, second->event->position - 1);
    help_ok(spoor_group_extend(two, second->entry, 0, &error), &error);
    help_ok(spoor_group_ack(one, first->entry, &error), &error);
    help_ok(spoor_group_ack(two, second->entry, &error), &error);
    help_refused(spoor_group_ack(two, second->entry, &error), &error, SPOOR_NOT_FOUND,
                 "not in flight");
    expect_nothing(two);
    spoor_group_leave(one);
    spoor_group_leave(two);
    spoor_close(store);
}

static void test_what_fails_comes_again_and_dies(void **state) {
    (void)state;
    spoor *store = help_open(0);
    spoor_error error;
    const spoor_group_option options[] = {{"max-deliveries", "2"}};
    make(store, options, 1);
    (void)help_put(store, "job.asked", "jobs", "j-1");
    (void)help_put(store, "job.asked", "jobs", "j-2");
    spoor_group *group = join(store, "one");
    for (uint32_t attempt = 1; attempt <= 2; attempt++) {
        const spoor_delivery *delivery = receive(group);
        assert_int_equal(delivery->attempts, attempt);
        assert_true(help_is(delivery->event->id, "j-1"));
        help_ok(spoor_group_nack(group, delivery->entry, 0, "not yet", 0, &error), &error);
    }
    const spoor_delivery *delivery = receive(group);
    assert_true(help_is(delivery->event->id, "j-2"));
    help_ok(spoor_group_nack(group, delivery->entry, -1, "never", 1, &error), &error);
    spoor_query query = SPOOR_QUERY_INIT;
    query.stream = "$dead:jobs:workers";
    assert_int_equal(help_count(store, &query), 2);
    spoor_group_leave(group);
    spoor_close(store);
}

/* What was handed out over a connection that is lost comes again; what was acknowledged never. */
static void test_a_server_that_dies(void **state) {
    (void)state;
    enum { JOBS = 20 };
    spoor *store = help_open(0);
    spoor_error error;
    unsigned seen[JOBS] = {0};
    const spoor_group_option options[] = {{"ack-wait", "500ms"}, {"max-deliveries", "100"}};
    make(store, options, 2);
    for (int i = 0; i < JOBS; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%d", i);
        (void)help_put(store, "job.asked", "jobs", id);
    }
    spoor_group *group = join(store, "one");
    int killed_at = 0;
    for (int done = 0; done < JOBS;) {
        const spoor_delivery *delivery = receive(group);
        int number = atoi(delivery->event->id.ptr);
        if (done % 7 == 3 && done > killed_at) {
            killed_at = done;
            help_stop_server(true);
            help_start_server();
        }
        spoor_status status = spoor_group_ack(group, delivery->entry, &error);
        if (status != SPOOR_NOT_FOUND) { /* else it was given back meanwhile, and comes again */
            help_ok(status, &error);
            seen[number]++;
            done++;
        }
    }
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(seen[i], 1);
    }
    expect_nothing(group);
    spoor_group_leave(group);
    spoor_close(store);
}

static void test_what_is_no_group(void **state) {
    (void)state;
    spoor *store = help_open(0);
    spoor_group *group = NULL;
    const spoor_delivery *delivery = NULL;
    spoor_error error;
    const spoor_group_option wrong[] = {{"ack-wait", "soon"}};
    spoor_status status = spoor_group_create(store, "jobs", "workers", NULL, wrong, 1, &error);
    help_refused(status, &error, SPOOR_INVALID, "ack-wait");
    help_ok(spoor_group_join(store, "jobs", "workers", "one", &group, &error), &error);
    status = spoor_group_receive(group, 0, &delivery, &error);
    help_refused(status, &error, SPOOR_NOT_FOUND, "group");
    spoor_group_leave(group);
    spoor_close(store);
}

static void test_a_folder_has_none(void **state) {
    (void)state;
    spoor *store = NULL;
    spoor_error error;
    spoor_group *group = NULL;
    help_ok(spoor_open(help_folder, NULL, &store, &error), &error);
    spoor_status status = spoor_group_create(store, "jobs", "workers", NULL, NULL, 0, &error);
    help_refused(status, &error, SPOOR_UNSUPPORTED, "URL");
    status = spoor_group_join(store, "jobs", "workers", "one", &group, &error);
    help_refused(status, &error, SPOOR_UNSUPPORTED, "URL");
    assert_null(group);
    spoor_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, help_end_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_workers_share),      TEST(test_what_fails_comes_again_and_dies),
        TEST(test_a_server_that_dies), TEST(test_what_is_no_group),
        TEST(test_a_folder_has_none),
    };
    return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
