/* States: read models as they were, through the library. */
#include "helper.h"

#include <stdio.h>
#include <string.h>

static spoor *store;

static int begin(void **state) {
    int failed = help_begin(state);
    store = failed ? NULL : help_open(SPOOR_CREATE);
    return failed;
}

static int end(void **state) {
    spoor_close(store);
    return help_end_all(state);
}

static void put(const char *run, const char *type, const char *time) {
    spoor_event event = help_event(type, "agent:a", NULL);
    event.correlationid = spoor_text(run);
    event.time = spoor_text(time);
    (void)help_append(store, &event);
}

static void fill(void) {
    put("run-1", "conversation.started", "2026-11-20T09:00:00Z");
    put("run-2", "conversation.started", "2026-11-20T08:00:00Z");
    put("run-1", "run.completed", "2026-11-20T09:00:05Z");
    put("run-2", "run.failed", "2026-11-20T08:30:00Z");
}

struct taken {
    char text[4000];
    int count;
};

static void take(void *context, const char *text, size_t len) {
    struct taken *taken = context;
    assert_true(len < sizeof(taken->text));
    memcpy(taken->text, text, len);
    taken->text[len] = '\0';
    taken->count++;
}

static spoor_state_options ask_runs(const spoor_query *query) {
    spoor_state_options options = SPOOR_STATE_INIT;
    options.projection = "runs";
    options.query = query;
    options.sql = "SELECT correlationid, status FROM runs ORDER BY 1";
    return options;
}

/* The answer has these rows. */
static void expect(const spoor_state_options *options, const char *rows) {
    struct taken taken = {.count = 0};
    spoor_error error;
    help_ok(spoor_state(store, options, take, &taken, &error), &error);
    assert_int_equal(taken.count, 1);
    const char *found = strstr(taken.text, rows);
    if (found == NULL) {
        fail_msg("%s is not in %s", rows, taken.text);
    }
}

static void test_moments(void **state) {
    (void)state;
    fill();
    spoor_query query = SPOOR_QUERY_INIT;
    spoor_state_options options = ask_runs(&query);
    expect(&options, "\"rows\":[[\"run-1\",\"completed\"],\n[\"run-2\",\"failed\"]]");
    query.until = "2";
    expect(&options, "\"rows\":[[\"run-1\",\"running\"],\n[\"run-2\",\"running\"]]");
    query.until = "2026-11-20T08:45:00Z"; /* whatever its place in the log */
    expect(&options, "\"rows\":[[\"run-2\",\"failed\"]]");
    options.by_recorded = 1;
    expect(&options, "\"rows\":[]");
    options.by_recorded = 0;
    query.until = NULL;
    query.correlation = "run-1";
    expect(&options, "\"rows\":[[\"run-1\",\"completed\"]]");
    query.until = "1";
    options.sql = NULL;
    expect(&options, "\"table\":\"runs\",\"columns\":[\"correlationid\",\"status\"");
}

static void test_differences(void **state) {
    (void)state;
    fill();
    spoor_state_options options = ask_runs(NULL);
    options.sql = NULL;
    options.table = "runs";
    options.diff = "1..3";
    expect(&options, "\"change\":\"changed\",\"key\":{\"correlationid\":\"run-1\"},"
                     "\"before\":{\"status\":\"running\"");
    expect(&options, "\"change\":\"added\",\"key\":{\"correlationid\":\"run-2\"},\"before\":null");
    options.diff = "3..3";
    expect(&options, "\"changes\":[]");
}

static void refused(const spoor_state_options *options, spoor_status status, const char *piece) {
    struct taken taken = {.count = 0};
    spoor_error error;
    help_refused(spoor_state(store, options, take, &taken, &error), &error, status, piece);
    assert_int_equal(taken.count, 0);
}

static void test_refusals(void **state) {
    (void)state;
    fill();
    spoor_query query = SPOOR_QUERY_INIT;
    spoor_state_options options = ask_runs(&query);
    options.projection = "nothing";
    refused(&options, SPOOR_NOT_FOUND, "nothing");
    options = ask_runs(&query);
    options.sql = "DELETE FROM runs";
    refused(&options, SPOOR_DENIED, "read");
    options = ask_runs(&query);
    query.until = "never";
    refused(&options, SPOOR_INVALID, "never");
    query.until = NULL;
    query.reverse = 1;
    refused(&options, SPOOR_INVALID, "reverse");
    query.reverse = 0;
    options.projection = NULL;
    refused(&options, SPOOR_INVALID, "projection");
    options.size = 3;
    refused(&options, SPOOR_INVALID, "SPOOR_STATE_INIT");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_moments, begin, end),
        cmocka_unit_test_setup_teardown(test_differences, begin, end),
        cmocka_unit_test_setup_teardown(test_refusals, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
