/* Runs: what belongs together by its correlation id. */
#include "helper.h"

#include <stdio.h>
#include <stdlib.h>

static spoor *store;

static int begin(void **state) {
    int failed = help_begin(state);
    store = failed ? NULL : help_open_small(SPOOR_CREATE, 256 << 10);
    return failed;
}

static int end(void **state) {
    spoor_close(store);
    return help_end_all(state);
}

static void put(const char *run, const char *type, const char *time) {
    spoor_event event = help_event(type, "a", NULL);
    event.correlationid = spoor_text(run);
    event.time = spoor_text(time);
    (void)help_append(store, &event);
}

struct list {
    char text[2000];
    int left;
};

static int note(void *context, const spoor_run *run) {
    struct list *list = context;
    size_t len = strlen(list->text);
    (void)snprintf(list->text + len, sizeof(list->text) - len, "%.*s:%.*s:%llu:%llu-%llu ",
                   (int)run->correlationid.len, run->correlationid.ptr, (int)run->status.len,
                   run->status.ptr, (unsigned long long)run->event_count,
                   (unsigned long long)run->first_position, (unsigned long long)run->last_position);
    assert_true(run->first_recorded_us <= run->last_recorded_us);
    return --list->left == 0;
}

static void expect_runs(const spoor_query *query, int left, const char *expected) {
    struct list list = {.left = left};
    spoor_error error;
    help_ok(spoor_runs(store, query, note, &list, &error), &error);
    assert_string_equal(list.text, expected);
}

static void test_statuses(void **state) {
    (void)state;
    expect_runs(NULL, -1, "");
    put("open", "agent.started", NULL);
    put("done", "agent.started", NULL);
    put("done", "agent.completed", NULL);
    put("bad", "conversation.started", NULL);
    put("bad", "conversation.failed", NULL);
    put("retried", "run.failed", NULL);
    put("retried", "run.completed", NULL);
    put("retried", "tool.called", NULL);
    put("ended", "conversation.ended", NULL);
    put("task", "task.completed", NULL); /* a task is not the run */
    expect_runs(NULL, -1,
                "open:running:1:1-1 done:completed:2:2-3 bad:failed:2:4-5 "
                "retried:completed:3:6-8 ended:completed:1:9-9 task:running:1:10-10 ");
}

static void test_queries(void **state) {
    (void)state;
    put("r1", "start", NULL);
    put("r2", "start", NULL);
    put("r1", "x", NULL);
    put("r3", "other", NULL);
    put("r3", "start", NULL);
    static const char *const types[] = {"start"};
    spoor_query query = SPOOR_QUERY_INIT;
    query.types = types;
    query.type_count = 1;
    /* A run is listed where its first event matches. */
    expect_runs(&query, -1, "r1:running:2:1-3 r2:running:1:2-2 ");
    query.reverse = 1;
    expect_runs(&query, -1, "r2:running:1:2-2 r1:running:2:1-3 ");
    query.limit = 1;
    expect_runs(&query, -1, "r2:running:1:2-2 ");
    query.reverse = 0;
    expect_runs(&query, -1, "r1:running:2:1-3 ");
    query.type_count = 0;
    query.limit = 0;
    expect_runs(&query, 2, "r1:running:2:1-3 r2:running:1:2-2 ");
    query.from = "2";
    expect_runs(&query, -1, "r2:running:1:2-2 r3:running:2:4-5 ");
    query.until = "3";
    expect_runs(&query, -1, "r2:running:1:2-2 ");
    query.from = NULL;
    query.until = NULL;
    query.correlation = "r3";
    expect_runs(&query, -1, "r3:running:2:4-5 ");
    query.correlation = "nobody";
    expect_runs(&query, -1, "");
    spoor_error error;
    query.filter = "{";
    help_refused(spoor_runs(store, &query, note, NULL, &error), &error, SPOOR_INVALID, "filter");
}

static int check_times(void *context, const spoor_run *run) {
    assert_true(help_is(run->first_type, "first"));
    assert_true(help_is(run->last_type, "last"));
    assert_true(help_is(run->first_time, "2026-01-01T00:00:00Z"));
    assert_null(run->last_time.ptr);
    ++*(int *)context;
    return 0;
}

static void test_types_and_times(void **state) {
    (void)state;
    int calls = 0;
    spoor_error error;
    put("r", "first", "2026-01-01T00:00:00Z");
    put("r", "between", "2026-01-01T00:00:01Z");
    put("r", "last", NULL);
    help_ok(spoor_runs(store, NULL, check_times, &calls, &error), &error);
    assert_int_equal(calls, 1);
}

/*
 * ---- many runs
 * ------------------------------------------------------------------------------------
 */

struct tally {
    const struct help_copies *all;
    uint64_t runs;
    uint64_t events;
    uint64_t last_first;
};

/* Compares a run with a naive look at all events. */
static int check_run(void *context, const spoor_run *run) {
    struct tally *tally = context;
    uint64_t count = 0;
    uint64_t first = 0;
    uint64_t last = 0;
    for (size_t i = 0; i < tally->all->count; i++) {
        const spoor_event *event = &tally->all->items[i].event;
        if (help_same_text(event->correlationid, run->correlationid)) {
            first = count++ == 0 ? event->position : first;
            last = event->position;
        }
    }
    assert_int_equal(run->event_count, count);
    assert_int_equal(run->first_position, first);
    assert_int_equal(run->last_position, last);
    assert_true(first > tally->last_first);
    tally->last_first = first;
    tally->runs++;
    tally->events += count;
    return 0;
}

static void test_many_runs(void **state) {
    (void)state;
    enum { EVENTS = 6000 };
    help_fill(store, 3, EVENTS);
    help_seal(store);
    for (int pass = 0; pass < 2; pass++) {
        struct help_copies all = help_read(store, NULL);
        struct tally tally = {.all = &all};
        spoor_error error;
        help_ok(spoor_runs(store, NULL, check_run, &tally, &error), &error);
        assert_int_equal(tally.events, EVENTS);
        assert_true(tally.runs > 1000);
        help_copies_free(&all);
        spoor_close(store);
        store = help_open_small(0, 256 << 10);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_statuses, begin, end),
        cmocka_unit_test_setup_teardown(test_queries, begin, end),
        cmocka_unit_test_setup_teardown(test_types_and_times, begin, end),
        cmocka_unit_test_setup_teardown(test_many_runs, begin, end),
    };
    return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}
