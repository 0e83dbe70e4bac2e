/* Workers of sagas' steps: what they are handed, what they answer, what they leave alone. */
#include "helper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_worker_int.h"

enum { LONG_MS = 60000 };

static const char SAGAID[] = "0192f0a0-0000-7000-8000-000000000001";

/* What a callback has seen, and what it is to do. */
struct seen {
    int count;
    int calls_to_stop; /* the worker is stopped at this call */
    spoor_worker *worker;
    char step[64];
    char data[256];
    char key[128];
    uint32_t attempt;
    int compensates;
    const char *result;
    const char *failure;
    int retryable;
};

static void copy(char *to, size_t size, spoor_str text) {
    (void)snprintf(to, size, "%.*s", (int)text.len, text.ptr != NULL ? text.ptr : "");
}

static void step(void *context, spoor_job *job) {
    struct seen *seen = context;
    seen->count++;
    copy(seen->step, sizeof(seen->step), job->step);
    copy(seen->data, sizeof(seen->data), job->data);
    copy(seen->key, sizeof(seen->key), job->idempotencykey);
    seen->attempt = job->attempt;
    seen->compensates = job->compensates;
    if (seen->failure != NULL) {
        spoor_job_fail(job, seen->failure, seen->retryable);
    } else if (seen->result != NULL) {
        (void)spoor_job_result(job, seen->result, strlen(seen->result));
    }
    if (seen->count == seen->calls_to_stop) {
        spoor_worker_stop(seen->worker);
    }
}

/* A command as a saga gives it, in a stream of the test's own. */
static void command(spoor *store, const char *type, const char *suffix, const char *data) {
    char id[96];
    spoor_extension extensions[5] = {
        {spoor_text("sagaid"), spoor_text(SAGAID), 0},
        {spoor_text("saga"), spoor_text("book-demo"), 0},
        {spoor_text("sagastep"), spoor_text("book/slot"), 0},
        {spoor_text("attempt"), spoor_text(suffix + strlen(suffix) - 1), 1},
        {spoor_text("idempotencykey"), spoor_text("the-key"), 0},
    };
    (void)snprintf(id, sizeof(id), "%s/book/slot%s", SAGAID, suffix);
    spoor_event event = help_event(type, "spoor", data);
    event.id = spoor_text(id);
    event.stream = spoor_text("commands");
    event.correlationid = spoor_text("run-1");
    event.extensions = extensions;
    event.extension_count = 5;
    (void)help_append(store, &event);
}

static spoor_worker *make(spoor *store, const char *type, struct seen *seen, uint32_t batch) {
    spoor_worker_options options = SPOOR_WORKER_INIT;
    spoor_error error;
    options.name = "sales";
    options.batch = batch;
    help_ok(spoor_worker_new(store, type, step, seen, &options, &seen->worker, &error), &error);
    return seen->worker;
}

static void work(spoor_worker *worker, int timeout_ms) {
    spoor_error error;
    help_ok(spoor_worker_run(worker, timeout_ms, &error), &error);
}

/* The one answer of a type, and its data. */
static void assert_answer(spoor *store, const char *type, const char *suffix, const char *data) {
    char id[96];
    const char *types[] = {type};
    spoor_query query = SPOOR_QUERY_INIT;
    query.types = types;
    query.type_count = 1;
    (void)snprintf(id, sizeof(id), "%s/book/slot%s", SAGAID, suffix);
    struct help_copies answers = help_read(store, &query);
    assert_int_equal(answers.count, 1);
    const spoor_event *answer = &answers.items[0].event;
    assert_true(help_is(answer->causationid, id));
    assert_true(help_is(answer->source, "sales"));
    assert_true(help_is(answer->correlationid, "run-1"));
    assert_true(help_is(answer->data, data));
    help_copies_free(&answers);
}

static void test_a_command_is_carried_out_and_answered(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct seen seen = {.calls_to_stop = 1, .result = "{\"slot\": 7}"};
    spoor_worker *worker = make(store, "calendar.book", &seen, 1);
    work(worker, 0);
    command(store, "calendar.book", ":2", "{\"day\": 3}");
    work(worker, LONG_MS);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.step, "book/slot");
    assert_string_equal(seen.data, "{\"day\": 3}");
    assert_string_equal(seen.key, "the-key");
    assert_int_equal(seen.attempt, 2);
    assert_int_equal(seen.compensates, 0);
    assert_int_equal(spoor_worker_answered(worker), 1);
    assert_answer(store, "calendar.book.completed", ":2", "{\"slot\": 7}");
    spoor_worker_free(worker);
    spoor_close(store);
}

static void test_failures_say_whether_to_try_again(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct seen book = {.calls_to_stop = 1, .failure = "no \"slot\" left", .retryable = 0};
    struct seen cancel = {.calls_to_stop = 1, .failure = "busy", .retryable = 1};
    spoor_worker *worker = make(store, "calendar.book", &book, 8);
    spoor_error error;
    cancel.worker = worker;
    help_ok(spoor_worker_add(worker, "calendar.cancel", step, &cancel, &error), &error);
    work(worker, 0);
    command(store, "calendar.book", ":1", "{}");
    work(worker, LONG_MS);
    command(store, "calendar.cancel", "~1", "{\"input\": {}}");
    work(worker, LONG_MS);
    assert_int_equal(cancel.compensates, 1);
    assert_answer(store, "calendar.book.failed", ":1",
                  "{\"error\":\"no \\\"slot\\\" left\",\"retryable\":false}");
    assert_answer(store, "calendar.cancel.failed", "~1", "{\"error\":\"busy\",\"retryable\":true}");
    spoor_worker_free(worker);
    spoor_close(store);
}

static void test_a_result_that_is_none_fails_the_step(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct seen seen = {.calls_to_stop = 1, .result = "{slot: 7}"};
    spoor_worker *worker = make(store, "calendar.book", &seen, 1);
    work(worker, 0);
    command(store, "calendar.book", ":1", "{}");
    work(worker, LONG_MS);
    assert_answer(store, "calendar.book.failed", ":1",
                  "{\"error\":\"the result is not JSON\",\"retryable\":false}");
    spoor_worker_free(worker);
    spoor_close(store);
}

static void test_an_answer_that_is_refused_is_given_otherwise(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct seen seen = {.calls_to_stop = 1, .result = "{\"slot\": 7}"};
    static const char SCHEMA[] = "{\"type\": \"object\", \"required\": [\"slot_id\"]}";
    spoor_error error;
    help_ok(
        spoor_schema_add(store, "calendar.book.completed", "1", SCHEMA, "enforce", NULL, &error),
        &error);
    spoor_worker *worker = make(store, "calendar.book", &seen, 1);
    work(worker, 0);
    command(store, "calendar.book", ":1", "{}");
    work(worker, LONG_MS);
    const char *types[] = {"calendar.book.failed"};
    spoor_query query = SPOOR_QUERY_INIT;
    query.types = types;
    query.type_count = 1;
    struct help_copies answers = help_read(store, &query);
    assert_int_equal(answers.count, 1);
    assert_non_null(strstr(answers.items[0].text, "the answer was refused: "));
    assert_non_null(strstr(answers.items[0].text, "slot_id"));
    help_copies_free(&answers);
    spoor_worker_free(worker);
    spoor_close(store);
}

static void test_what_is_no_command_is_left_alone(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct seen seen = {.calls_to_stop = 1};
    spoor_worker *worker = make(store, "calendar.book", &seen, 4);
    work(worker, 0);
    spoor_event event = help_event("calendar.book", "somebody", "{}");
    (void)help_append(store, &event);
    command(store, "calendar.book", ":1", NULL);
    work(worker, LONG_MS);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.step, "book/slot");
    assert_answer(store, "calendar.book.completed", ":1", "null");
    spoor_worker_free(worker);
    spoor_close(store);
}

/* What was told of a command that was cancelled before it began. */
static void test_a_cancelled_command_is_not_carried_out(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct seen seen = {.calls_to_stop = 1};
    spoor_worker *worker = make(store, "calendar.book", &seen, 1);
    char id[96];
    work(worker, 0);
    (void)snprintf(id, sizeof(id), "%s/book/slot:1", SAGAID);
    spoor_event event = help_event("saga.step.cancelled", "test", "{\"step\":\"book/slot\"}");
    event.causationid = spoor_text(id);
    (void)help_append(store, &event);
    while (worker->cancelled_count == 0) { /* it comes over a connection of its own */
        work(worker, 10);
    }
    command(store, "calendar.book", ":1", "{}");
    command(store, "calendar.book", ":2", "{}");
    work(worker, LONG_MS);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.attempt, 2);
    spoor_worker_free(worker);
    spoor_close(store);
}

static void wait_until_cancelled(void *context, spoor_job *job) {
    struct seen *seen = context;
    spoor *store = seen->worker->store;
    seen->count++;
    assert_int_equal(spoor_job_wait(job, 0), SPOOR_TIMEOUT);
    assert_int_equal(spoor_job_cancelled(job), 0);
    spoor_event event = help_event("saga.step.cancelled", "test", "{\"step\":\"book/slot\"}");
    event.causationid = job->command->id;
    (void)help_append(store, &event);
    assert_int_equal(spoor_job_wait(job, LONG_MS), SPOOR_CANCELLED);
    assert_int_equal(spoor_job_cancelled(job), 1);
    spoor_job_unknown(job, "stopped");
    spoor_worker_stop(seen->worker);
}

static void test_a_cancellation_reaches_a_command_in_hand(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct seen seen = {.count = 0};
    spoor_worker_options options = SPOOR_WORKER_INIT;
    spoor_error error;
    options.name = "sales";
    help_ok(spoor_worker_new(store, "calendar.book", wait_until_cancelled, &seen, &options,
                             &seen.worker, &error),
            &error);
    work(seen.worker, 0);
    command(store, "calendar.book", ":1", "{}");
    work(seen.worker, LONG_MS);
    assert_int_equal(seen.count, 1);
    assert_answer(store, "calendar.book.failed", ":1",
                  "{\"error\":\"stopped\",\"retryable\":false,\"unknown\":true}");
    spoor_worker_free(seen.worker);
    spoor_close(store);
}

static void test_many_commands_in_batches(void **state) {
    (void)state;
    enum { COUNT = 100 };
    spoor *store = help_open(SPOOR_CREATE);
    struct seen seen = {.calls_to_stop = COUNT, .result = "true"};
    spoor_worker *worker = make(store, "calendar.book", &seen, 32);
    work(worker, 0);
    for (int i = 0; i < COUNT; i++) {
        char suffix[16];
        (void)snprintf(suffix, sizeof(suffix), "/%d:1", i);
        command(store, "calendar.book", suffix, "{}");
    }
    work(worker, LONG_MS);
    assert_int_equal(seen.count, COUNT);
    const char *types[] = {"calendar.book.completed"};
    spoor_query query = SPOOR_QUERY_INIT;
    query.types = types;
    query.type_count = 1;
    assert_int_equal(help_count(store, &query), COUNT);
    spoor_worker_free(worker);
    spoor_close(store);
}

static void test_wrong_calls_are_refused(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct seen seen = {.count = 0};
    spoor_worker *worker = NULL;
    spoor_error error;
    help_refused(spoor_worker_new(store, "not a type", step, &seen, NULL, &worker, &error), &error,
                 SPOOR_INVALID, "not a type");
    help_refused(spoor_worker_new(store, "a.b", NULL, &seen, NULL, &worker, &error), &error,
                 SPOOR_INVALID, "callback");
    spoor_worker_options options = SPOOR_WORKER_INIT;
    options.batch = 5000;
    help_refused(spoor_worker_new(store, "a.b", step, &seen, &options, &worker, &error), &error,
                 SPOOR_INVALID, "at most 1024");
    options.size = 3;
    help_refused(spoor_worker_new(store, "a.b", step, &seen, &options, &worker, &error), &error,
                 SPOOR_INVALID, "SPOOR_WORKER_INIT");
    assert_null(worker);
    help_ok(spoor_worker_new(store, "a.b", step, &seen, NULL, &worker, &error), &error);
    help_refused(spoor_worker_add(worker, "a.b", step, &seen, &error), &error, SPOOR_INVALID,
                 "already");
    work(worker, 0);
    help_refused(spoor_worker_add(worker, "a.c", step, &seen, &error), &error, SPOOR_INVALID,
                 "runs already");
    spoor_worker_free(worker);
    spoor_worker_free(NULL);
    spoor_close(store);
}

/* As in the SDKs: sdk/ids.json. */
static void test_ids_of_answers_are_those_of_every_sdk(void **state) {
    (void)state;
    char id[SP_UUID_TEXT_SIZE + 1];
    worker_answer_id(spoor_text("spoor"),
                     spoor_text("0192f0a0-0000-7000-8000-000000000001/book/slot:2"), "sales", id);
    assert_string_equal(id, "db351896-f320-58c4-9b5d-d6ef64dd8828");
    worker_answer_id(spoor_text("spoor"),
                     spoor_text("0192f0a0-0000-7000-8000-000000000001/schritt~1"), "prüfer", id);
    assert_string_equal(id, "7c33d7bb-6359-5212-bd08-320b1abd6c80");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_command_is_carried_out_and_answered, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_failures_say_whether_to_try_again, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_a_result_that_is_none_fails_the_step, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_an_answer_that_is_refused_is_given_otherwise,
                                        help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_what_is_no_command_is_left_alone, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_a_cancelled_command_is_not_carried_out, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_a_cancellation_reaches_a_command_in_hand, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_many_commands_in_batches, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_wrong_calls_are_refused, help_begin, help_end_all),
        cmocka_unit_test(test_ids_of_answers_are_those_of_every_sdk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
