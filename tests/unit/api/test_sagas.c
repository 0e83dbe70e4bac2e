/* Sagas over a folder and over a server: defining, starting, working, deciding, undoing. */
#include "helper.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONG_MS = 60000, TRIES = 3000 };

static void define(spoor *store, spoor_definition_kind kind, const char *text) {
    spoor_error error;
    help_ok(spoor_define(store, kind, text, strlen(text), NULL, &error), &error);
}

static spoor_saga_started start(spoor *store, const char *name, const char *data, const char *key) {
    spoor_saga_started started = {.size = sizeof(started)};
    spoor_saga_options options = SPOOR_SAGA_INIT;
    spoor_error error;
    options.data = data;
    options.key = key;
    help_ok(spoor_saga_start(store, name, &options, &started, &error), &error);
    return started;
}

struct text {
    char bytes[65536];
    size_t len;
    int count;
};

static void take(void *context, const char *text, size_t len) {
    struct text *to = context;
    assert_true(len < sizeof(to->bytes));
    memcpy(to->bytes, text, len);
    to->bytes[len] = '\0';
    to->len = len;
    to->count++;
}

/* Where the first member of this name has its value; the saga's own come before its steps'. */
static const char *value_of(const char *shown, const char *name) {
    char key[64];
    (void)snprintf(key, sizeof(key), "\"%s\":", name);
    const char *at = strstr(shown, key);
    return at != NULL ? at + strlen(key) : "";
}

/* Works until what is shown of the saga has this value, or begins so. */
static void work_until(spoor *store, spoor_worker *worker, const char *sagaid, const char *name,
                       const char *value) {
    struct text *shown = calloc(1, sizeof(*shown));
    spoor_error error;
    bool done = false;
    for (int i = 0; i < TRIES && !done; i++) {
        help_ok(spoor_worker_run(worker, 20, &error), &error);
        help_ok(spoor_saga_show(store, sagaid, take, shown, &error), &error);
        done = strncmp(value_of(shown->bytes, name), value, strlen(value)) == 0;
    }
    if (!done) {
        fail_msg("%s is not %s in %s", name, value, shown->bytes);
    }
    free(shown);
}

static const char ORDER[] = "saga: order\n"
                            "steps:\n"
                            "  - {name: charge, action: card.charge, compensate: card.refund}\n"
                            "  - {name: ship, action: parcel.ship, retry: {limit: 1}}\n"
                            "output: .steps.charge.result\n";

/* What was done, in its order. */
struct book {
    char lines[1024];
    bool fails;
};

static void carry_out(void *context, spoor_job *job) {
    struct book *book = context;
    size_t len = strlen(book->lines);
    (void)snprintf(book->lines + len, sizeof(book->lines) - len, "%.*s %d %.*s\n",
                   (int)job->type.len, job->type.ptr, job->compensates, (int)job->data.len,
                   job->data.ptr);
    if (book->fails && help_is(job->type, "parcel.ship")) {
        spoor_job_fail(job, "no van", 0);
    } else {
        (void)spoor_job_result(job, "{\"n\":1}", 7);
    }
}

static spoor_worker *make_worker(spoor *store, struct book *book) {
    spoor_worker *worker = NULL;
    spoor_error error;
    help_ok(spoor_worker_new(store, "card.charge", carry_out, book, NULL, &worker, &error), &error);
    help_ok(spoor_worker_add(worker, "card.refund", carry_out, book, &error), &error);
    help_ok(spoor_worker_add(worker, "parcel.ship", carry_out, book, &error), &error);
    return worker;
}

static void test_a_saga_completes(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct book book = {.fails = false};
    spoor_worker *worker = make_worker(store, &book);
    define(store, SPOOR_DEFINES_SAGA, ORDER);
    spoor_saga_started started = start(store, "order", "{\"id\":7}", "o-7");
    assert_int_equal(started.known, 0);
    assert_int_equal(strlen(started.sagaid), 36);
    spoor_saga_started again = start(store, "order", "{\"id\":8}", "o-7");
    assert_int_equal(again.known, 1);
    assert_string_equal(again.sagaid, started.sagaid);
    work_until(store, worker, started.sagaid, "status", "\"completed\"");
    assert_string_equal(book.lines, "card.charge 0 {\"id\":7}\nparcel.ship 0 {\"id\":7}\n");
    spoor_worker_free(worker);
    spoor_close(store);
}

static void test_a_saga_is_undone(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct book book = {.fails = true};
    spoor_worker *worker = make_worker(store, &book);
    define(store, SPOOR_DEFINES_SAGA, ORDER);
    spoor_saga_started started = start(store, "order", "{}", NULL);
    work_until(store, worker, started.sagaid, "status", "\"compensated\"");
    assert_string_equal(book.lines, "card.charge 0 {}\nparcel.ship 0 {}\n"
                                    "card.refund 1 {\"input\":{},\"result\":{\"n\":1},"
                                    "\"error\":null}\n");
    spoor_worker_free(worker);
    spoor_close(store);
}

static void test_definitions_are_checked(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_error error;
    spoor_defined defined = {.size = sizeof(defined)};
    spoor_defined again = {.size = sizeof(again)};
    static const char BAD[] = "saga: x\nsteps:\n  - {name: a, acton: b.c}\n";
    help_refused(spoor_define(store, SPOOR_DEFINES_SAGA, BAD, strlen(BAD), NULL, &error), &error,
                 SPOOR_INVALID, "did you mean `action`");
    help_ok(spoor_define(store, SPOOR_DEFINES_SAGA, ORDER, strlen(ORDER), &defined, &error),
            &error);
    assert_int_equal(defined.unchanged, 0);
    assert_int_equal(strlen(defined.sha256), 64);
    help_ok(spoor_define(store, SPOOR_DEFINES_SAGA, ORDER, strlen(ORDER), &again, &error), &error);
    assert_int_equal(again.unchanged, 1);
    assert_string_equal(again.sha256, defined.sha256);
    assert_int_equal(again.position, defined.position);
    help_ok(spoor_undefine(store, SPOOR_DEFINES_SAGA, "order", &error), &error);
    help_refused(spoor_undefine(store, SPOOR_DEFINES_SAGA, "order", &error), &error,
                 SPOOR_NOT_FOUND, "order");
    help_refused(spoor_saga_start(store, "order", NULL, NULL, &error), &error, SPOOR_NOT_FOUND,
                 "order");
    spoor_close(store);
}

static void test_the_first_decision_counts(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct book book = {.fails = false};
    spoor_worker *worker = make_worker(store, &book);
    spoor_error error;
    spoor_decision decision = {.size = sizeof(decision), .choice = "approve", .by = "ann"};
    define(store, SPOOR_DEFINES_SAGA,
           "saga: ask\nsteps:\n  - {name: sure, approval: {prompt: Sure?}}\n"
           "  - {name: then, wait: {event: never.comes}}\n");
    spoor_saga_started started = start(store, "ask", "{}", NULL);
    work_until(store, worker, started.sagaid, "waiting_for", "\"approval\"");
    help_ok(spoor_decide(store, started.sagaid, &decision, &error), &error);
    decision.choice = "reject";
    decision.by = "bob";
    work_until(store, worker, started.sagaid, "waiting_for", "\"event\"");
    spoor_status second = spoor_decide(store, started.sagaid, &decision, &error);
    assert_true(second == SPOOR_CONFLICT || second == SPOOR_NOT_FOUND);
    spoor_wish_options wish = SPOOR_WISH_INIT;
    wish.by = "ann";
    wish.why = "enough";
    help_ok(spoor_saga_request(store, started.sagaid, SPOOR_SAGA_CANCEL, &wish, &error), &error);
    work_until(store, worker, started.sagaid, "status", "\"cancelled\"");
    help_refused(spoor_saga_request(store, started.sagaid, SPOOR_SAGA_CANCEL, &wish, &error),
                 &error, SPOOR_CONFLICT, "has ended");
    spoor_worker_free(worker);
    spoor_close(store);
}

static void test_an_event_comes_later_or_never(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_error error;
    spoor_extension later = {spoor_text("deliverat"), spoor_text("2099-01-01T00:00:00Z"), 0};
    spoor_event event = help_event("reminder.due", "calendar", "{}");
    struct text *rows = calloc(1, sizeof(*rows));
    event.id = spoor_text("r-1");
    event.extensions = &later;
    event.extension_count = 1;
    (void)help_append(store, &event);
    help_ok(spoor_ask(store, "timer ls", NULL, NULL, 0, take, rows, &error), &error);
    assert_int_equal(rows->count, 1);
    assert_non_null(strstr(rows->bytes, "r-1"));
    help_ok(spoor_delayed_cancel(store, NULL, "r-1", "ann", "not needed", &error), &error);
    help_refused(spoor_delayed_cancel(store, NULL, "r-1", NULL, NULL, &error), &error,
                 SPOOR_NOT_FOUND, "r-1");
    free(rows);
    spoor_close(store);
}

static void test_wrong_questions_are_refused(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_error error;
    const spoor_ask_option options[] = {{"colour", "red"}};
    help_refused(spoor_ask(store, "saga paint", NULL, NULL, 0, NULL, NULL, &error), &error,
                 SPOOR_INVALID, "saga paint");
    help_refused(spoor_ask(store, "saga", NULL, NULL, 0, NULL, NULL, &error), &error, SPOOR_INVALID,
                 "saga");
    help_refused(spoor_ask(store, "saga ls", NULL, options, 1, NULL, NULL, &error), &error,
                 SPOOR_INVALID, "colour");
    help_refused(spoor_ask(store, "saga show", NULL, NULL, 0, NULL, NULL, &error), &error,
                 SPOOR_INVALID, "id");
    help_refused(spoor_saga_show(store, "0192f0a0-0000-7000-8000-000000000001", NULL, NULL, &error),
                 &error, SPOOR_NOT_FOUND, "0192f0a0");
    help_refused(spoor_decide(store, "a-1", NULL, &error), &error, SPOOR_INVALID, "decision");
    spoor_close(store);
}

/* The store's own thread does what falls due: nobody turns. */
static void test_a_store_with_a_thread_drives_sagas(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE | SPOOR_OWN_THREAD);
    struct book book = {.fails = false};
    spoor_worker *worker = make_worker(store, &book);
    define(store, SPOOR_DEFINES_SAGA,
           "saga: pause\nsteps:\n  - {name: p, wait: 50ms}\n  - {name: c, action: card.charge}\n");
    spoor_saga_started started = start(store, "pause", "{}", NULL);
    work_until(store, worker, started.sagaid, "status", "\"completed\"");
    assert_string_equal(book.lines, "card.charge 0 {}\n");
    spoor_worker_free(worker);
    spoor_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_saga_completes, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_a_saga_is_undone, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_definitions_are_checked, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_the_first_decision_counts, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_an_event_comes_later_or_never, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_wrong_questions_are_refused, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_a_store_with_a_thread_drives_sagas, help_begin,
                                        help_end_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
