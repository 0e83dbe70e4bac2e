/*
 * Sagas over the engine: defined, started, driven by answers, asked to stop; found again when the
 * store is opened.
 */
#include "bus_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flows.h"
#include "engine/query.h"
#include "flow/flow.h"
#include "flow/saga.h"

enum { TYPES_BYTES = 8192, COMMANDS_MAX = 64, MANY = 200 };

static const char TRIP[] =
    "{\"saga\":\"trip\",\"start\":{\"on\":\"trip.asked\",\"key\":\".data.trip\"},\"steps\":["
    "{\"name\":\"hotel\",\"action\":\"hotel.book\",\"compensate\":\"hotel.cancel\","
    "\"input\":\"{room: .room}\"},"
    "{\"name\":\"flight\",\"action\":\"flight.book\",\"compensate\":\"flight.cancel\","
    "\"retry\":{\"limit\":1}}]}";

static const char ASK[] =
    "{\"saga\":\"ask\",\"steps\":[{\"name\":\"sure\",\"approval\":{\"prompt\":\"Are you sure?\","
    "\"who\":[\"ann\"],\"timeout\":\"1h\"}}]}";

/* ---- help ---- */

static void let_work(struct bus_help *help) {
    bus_settle(help);
    while (sp_engine_flows_wait_ms(help->engine) == 0) {
        (void)sp_engine_poll(help->engine);
        bus_settle(help);
    }
}

static sp_status define(struct bus_help *help, enum sp_flow_defines kind, const char *text,
                        struct sp_engine_defined *defined, struct sp_error *error) {
    struct sp_doc_problems *problems = calloc(1, sizeof(*problems));
    struct sp_doc doc;
    assert_non_null(problems);
    sp_doc_init(&doc);
    sp_doc_problems_init(problems);
    sp_error_clear(error);
    sp_status status = sp_doc_parse_json(&doc, sp_str_from(text), error);
    if (status == SP_OK) {
        status = sp_engine_flow_define(help->engine, kind, &doc, SP_STR("ann"), problems, defined,
                                       error);
    }
    sp_doc_fini(&doc);
    free(problems);
    return status;
}

static void define_saga(struct bus_help *help, const char *text) {
    struct sp_engine_defined defined;
    struct sp_error error;
    bus_ok(define(help, SP_FLOW_DEFINES_SAGA, text, &defined, &error), &error);
}

static struct sp_engine_saga_started start(struct bus_help *help, const char *name,
                                           const char *data, const char *key) {
    struct sp_engine_saga_started started;
    struct sp_error error;
    const struct sp_engine_saga_start how = {
        .name = sp_str_from(name), .data = sp_str_from(data), .key = sp_str_from(key)};
    sp_error_clear(&error);
    bus_ok(sp_engine_saga_start(help->engine, &how, &started, &error), &error);
    return started;
}

/* The types of a saga's events, each behind a space. */
static void read_types(struct bus_help *help, const char *sagaid, char to[TYPES_BYTES]) {
    char stream[64];
    const struct sp_event *event;
    struct sp_cursor *cursor = NULL;
    size_t len = 0;
    (void)snprintf(stream, sizeof(stream), "saga:%s", sagaid);
    const struct sp_query query = {.stream = sp_str_from(stream)};
    assert_int_equal(sp_cursor_open(help->engine, &query, &cursor, NULL), SP_OK);
    to[0] = '\0';
    while (sp_cursor_next(cursor, &event, NULL) == SP_OK) {
        len += (size_t)snprintf(to + len, TYPES_BYTES - len, " %.*s",
                                SP_STR_ARG(event->attr[SP_ATTR_TYPE]));
        assert_true(len < TYPES_BYTES);
    }
    sp_cursor_close(cursor);
}

static void assert_types(struct bus_help *help, const char *sagaid, const char *expected) {
    char found[TYPES_BYTES];
    read_types(help, sagaid, found);
    assert_string_equal(found, expected);
}

/* The id of the newest event of a type in a saga's stream; its data where `data` is not NULL. */
static void find_command(struct bus_help *help, const char *sagaid, const char *type, char id[256],
                         char data[256]) {
    char stream[64];
    const struct sp_event *event;
    struct sp_cursor *cursor = NULL;
    const sp_str types[] = {sp_str_from(type)};
    (void)snprintf(stream, sizeof(stream), "saga:%s", sagaid);
    const struct sp_query query = {
        .stream = sp_str_from(stream), .types = types, .type_count = 1, .reverse = true};
    assert_int_equal(sp_cursor_open(help->engine, &query, &cursor, NULL), SP_OK);
    assert_int_equal(sp_cursor_next(cursor, &event, NULL), SP_OK);
    (void)snprintf(id, 256, "%.*s", SP_STR_ARG(event->attr[SP_ATTR_ID]));
    if (data != NULL) {
        (void)snprintf(data, 256, "%.*s", SP_STR_ARG(event->data));
    }
    sp_cursor_close(cursor);
}

static void answer(struct bus_help *help, const char *command, const char *type, const char *data) {
    struct sp_bus_added added;
    struct sp_error error;
    struct sp_event event = {.data = sp_str_from(data), .has_data = true};
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_SOURCE] = SP_STR("worker");
    event.attr[SP_ATTR_CAUSATION] = sp_str_from(command);
    sp_error_clear(&error);
    bus_ok(sp_bus_append(help->bus, &event, (uint64_t)SP_CORE_ANY_VERSION, &added, &error), &error);
    let_work(help);
}

static uint64_t state_hash(const struct bus_help *help) {
    return sp_flow_hash(sp_engine_flow(help->engine));
}

static void reopen(struct bus_help *help) {
    bus_settle(help);
    uint64_t hash = state_hash(help);
    bus_reopen(help);
    assert_int_equal(state_hash(help), hash);
}

/* ---- tests ---- */

static void test_definitions(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_engine_defined defined;
    struct sp_engine_defined again;
    struct sp_error error;
    uint64_t position;
    (void)state;
    bus_open(&help);
    bus_ok(define(&help, SP_FLOW_DEFINES_SAGA, TRIP, &defined, &error), &error);
    assert_false(defined.unchanged);
    assert_int_equal(strlen(defined.sha256), 64);
    bus_ok(define(&help, SP_FLOW_DEFINES_SAGA, TRIP, &again, &error), &error);
    assert_true(again.unchanged);
    assert_int_equal(again.position, defined.position);
    assert_string_equal(again.sha256, defined.sha256);
    reopen(&help);
    bus_ok(define(&help, SP_FLOW_DEFINES_SAGA, TRIP, &again, &error), &error);
    assert_true(again.unchanged);
    assert_int_equal(
        define(
            &help, SP_FLOW_DEFINES_SAGA,
            "{\"saga\":\"bad\",\"steps\":[{\"name\":\"a\",\n\"action\":\"a.b\",\"input\":\"{\"}]}",
            &again, &error),
        SP_INVALID);
    assert_non_null(strstr(error.text, "line 2"));
    assert_non_null(strstr(error.text, "input"));
    bus_ok(sp_engine_flow_remove(help.engine, SP_FLOW_DEFINES_SAGA, SP_STR("trip"), SP_STR("ann"),
                                 &position, &error),
           &error);
    assert_int_equal(sp_engine_flow_remove(help.engine, SP_FLOW_DEFINES_SAGA, SP_STR("trip"),
                                           SP_STR("ann"), &position, &error),
                     SP_NOT_FOUND);
    const struct sp_engine_saga_start how = {.name = SP_STR("trip")};
    struct sp_engine_saga_started started;
    assert_int_equal(sp_engine_saga_start(help.engine, &how, &started, &error), SP_NOT_FOUND);
    bus_close(&help);
}

static void test_a_saga_completes(void **state) {
    struct bus_help help = {.engine = NULL};
    char command[256];
    char data[256];
    (void)state;
    bus_open(&help);
    define_saga(&help, TRIP);
    struct sp_engine_saga_started started = start(&help, "trip", "{\"room\":7}", "k1");
    assert_false(started.duplicate);
    let_work(&help);
    assert_types(&help, started.sagaid, " saga.started hotel.book saga.step.started");
    find_command(&help, started.sagaid, "hotel.book", command, data);
    assert_string_equal(data, "{\"room\":7}");
    answer(&help, command, "hotel.book.completed", "{\"ok\":1}");
    reopen(&help);
    find_command(&help, started.sagaid, "flight.book", command, NULL);
    answer(&help, command, "flight.book.completed", "{}");
    assert_types(&help, started.sagaid,
                 " saga.started hotel.book saga.step.started saga.step.completed flight.book "
                 "saga.step.started saga.step.completed saga.completed");
    assert_int_equal(sp_sagas_count(sp_flow_sagas(sp_engine_flow(help.engine))), 0);
    reopen(&help);
    struct sp_engine_saga_started again = start(&help, "trip", "{\"room\":8}", "k1");
    assert_true(again.duplicate);
    assert_string_equal(again.sagaid, started.sagaid);
    bus_close(&help);
}

/* What was done is undone, in a life after the one in which it failed. */
static void test_a_saga_is_undone(void **state) {
    struct bus_help help = {.engine = NULL};
    char command[256];
    (void)state;
    bus_open(&help);
    define_saga(&help, TRIP);
    struct sp_engine_saga_started started = start(&help, "trip", "{\"room\":7}", "");
    let_work(&help);
    find_command(&help, started.sagaid, "hotel.book", command, NULL);
    answer(&help, command, "hotel.book.completed", "{\"ok\":1}");
    find_command(&help, started.sagaid, "flight.book", command, NULL);
    answer(&help, command, "flight.book.failed", "{\"error\":\"full\",\"retryable\":false}");
    reopen(&help);
    let_work(&help);
    find_command(&help, started.sagaid, "hotel.cancel", command, NULL);
    answer(&help, command, "hotel.cancel.completed", "{}");
    assert_types(&help, started.sagaid,
                 " saga.started hotel.book saga.step.started saga.step.completed flight.book "
                 "saga.step.started saga.step.failed saga.compensation.started hotel.cancel "
                 "saga.step.compensating saga.step.compensated saga.compensated");
    reopen(&help);
    bus_close(&help);
}

/* An event begins a saga, once for each key; also where nobody did the work in between. */
static void test_events_begin_sagas(void **state) {
    struct bus_help help = {.engine = NULL};
    (void)state;
    bus_open(&help);
    define_saga(&help, TRIP);
    sp_engine_flows_run(help.engine, false);
    (void)bus_put(&help, "asks", "trip.asked", "{\"trip\":\"a\",\"room\":1}");
    (void)bus_put(&help, "asks", "trip.asked", "{\"trip\":\"b\",\"room\":1}");
    (void)bus_put(&help, "asks", "trip.asked", "{\"trip\":\"a\",\"room\":1}");
    bus_settle(&help);
    assert_int_equal(sp_sagas_count(sp_flow_sagas(sp_engine_flow(help.engine))), 0);
    reopen(&help);
    let_work(&help);
    assert_int_equal(sp_sagas_count(sp_flow_sagas(sp_engine_flow(help.engine))), 2);
    reopen(&help);
    let_work(&help);
    assert_int_equal(sp_sagas_count(sp_flow_sagas(sp_engine_flow(help.engine))), 2);
    bus_close(&help);
}

static void test_requests(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_error error;
    uint64_t position;
    (void)state;
    bus_open(&help);
    define_saga(&help, TRIP);
    struct sp_engine_saga_started started = start(&help, "trip", "{\"room\":7}", "");
    let_work(&help);
    struct sp_engine_saga_request request = {.ask = SP_ENGINE_SAGA_RETRY,
                                             .sagaid = sp_str_from(started.sagaid),
                                             .by = SP_STR("ann"),
                                             .why = SP_STR("because")};
    sp_error_clear(&error);
    assert_int_equal(sp_engine_saga_request(help.engine, &request, &position, &error), SP_CONFLICT);
    request.sagaid = SP_STR("0190b1f0-0000-7000-8000-000000000000");
    assert_int_equal(sp_engine_saga_request(help.engine, &request, &position, &error),
                     SP_NOT_FOUND);
    request = (struct sp_engine_saga_request){.ask = SP_ENGINE_SAGA_CANCEL,
                                              .sagaid = sp_str_from(started.sagaid),
                                              .by = SP_STR("ann"),
                                              .why = SP_STR("because")};
    bus_ok(sp_engine_saga_request(help.engine, &request, &position, &error), &error);
    let_work(&help);
    assert_types(&help, started.sagaid,
                 " saga.started hotel.book saga.step.started saga.cancel.requested "
                 "saga.step.cancelled");
    bus_sleep(&help, 60000); /* nobody answers: it is unknown, and undone */
    let_work(&help);
    char command[256];
    find_command(&help, started.sagaid, "hotel.cancel", command, NULL);
    answer(&help, command, "hotel.cancel.completed", "null");
    assert_int_equal(sp_sagas_count(sp_flow_sagas(sp_engine_flow(help.engine))), 0);
    bus_close(&help);
}

static sp_status decide(struct bus_help *help, const char *id, const char *choice, const char *by,
                        struct sp_engine_decided *decided, struct sp_error *error) {
    const struct sp_engine_decision decision = {.approval = sp_str_from(id),
                                                .choice = sp_str_from(choice),
                                                .by = sp_str_from(by),
                                                .reason = SP_STR("so")};
    sp_error_clear(error);
    return sp_engine_decide(help->engine, &decision, decided, error);
}

static void test_approvals_of_a_saga(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_engine_decided decided = {.position = 0};
    struct sp_error error;
    char path[80];
    (void)state;
    bus_open(&help);
    define_saga(&help, ASK);
    struct sp_engine_saga_started started = start(&help, "ask", "", "");
    let_work(&help);
    (void)snprintf(path, sizeof(path), "%s/sure", started.sagaid);
    assert_int_equal(decide(&help, path, "approve", "bob", &decided, &error), SP_DENIED);
    assert_int_equal(decide(&help, path, "maybe", "ann", &decided, &error), SP_INVALID);
    assert_int_equal(decide(&help, "nothing", "approve", "ann", &decided, &error), SP_NOT_FOUND);
    bus_ok(decide(&help, path, "approve", "ann", &decided, &error), &error);
    assert_true(decided.position > 0);
    let_work(&help);
    assert_types(&help, started.sagaid,
                 " saga.started action.proposed saga.approval.requested "
                 "saga.approval.granted saga.completed");
    assert_int_equal(decide(&help, path, "reject", "ann", &decided, &error), SP_CONFLICT);
    assert_string_equal(decided.first_choice, "approve");
    assert_string_equal(decided.first_by, "ann");
    assert_true(decided.first_position > 0);
    assert_int_equal(decide(&help, started.sagaid, "reject", "ann", &decided, &error), SP_CONFLICT);
    assert_int_equal(sp_sagas_count(sp_flow_sagas(sp_engine_flow(help.engine))), 0);
    bus_close(&help);
}

static void test_approvals_that_stand_alone(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_engine_decided decided = {.position = 0};
    struct sp_error error;
    (void)state;
    bus_open(&help);
    (void)bus_put(&help, "k", "action.proposed",
                  "{\"prompt\":\"May I?\",\"action_id\":\"a1\",\"choices\":[\"yes\",\"reject\"]}");
    let_work(&help);
    assert_int_equal(decide(&help, "a1", "approve", "ann", &decided, &error), SP_INVALID);
    assert_non_null(strstr(error.text, "yes"));
    bus_ok(decide(&help, "a1", "yes", "ann", &decided, &error), &error);
    let_work(&help);
    reopen(&help);
    assert_int_equal(decide(&help, "a1", "reject", "bob", &decided, &error), SP_CONFLICT);
    assert_string_equal(decided.first_choice, "yes");
    assert_string_equal(decided.first_by, "ann");
    bus_close(&help);
}

static void test_schedules_and_cancelled_events(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_engine_defined defined;
    struct sp_error error;
    struct bus_seen *seen = calloc(1, sizeof(*seen));
    uint64_t position;
    (void)state;
    assert_non_null(seen);
    bus_open(&help);
    bus_ok(define(&help, SP_FLOW_DEFINES_SCHEDULE,
                  "{\"schedule\":\"pulse\",\"every\":\"10s\",\"emit\":{\"type\":\"pulse.beat\"}}",
                  &defined, &error),
           &error);
    for (int i = 0; i < 3; i++) {
        bus_sleep(&help, 10000);
        let_work(&help);
    }
    bus_all(&help, "$type:pulse.beat", seen);
    assert_int_equal(seen->count, 3);
    struct sp_event event = {.data = SP_STR("1"), .has_data = true};
    event.attr[SP_ATTR_TYPE] = SP_STR("t");
    event.attr[SP_ATTR_SOURCE] = SP_STR("s");
    event.attr[SP_ATTR_ID] = SP_STR("late");
    event.extensions[event.extension_count++] = (struct sp_extension){
        .name = SP_STR(SP_DELIVER_AT_NAME), .value = SP_STR("2030-01-01T00:00:00Z")};
    struct sp_bus_added added;
    bus_ok(sp_bus_append(help.bus, &event, (uint64_t)SP_CORE_ANY_VERSION, &added, &error), &error);
    const sp_str none = SP_STR("");
    bus_ok(sp_engine_delayed_cancel(help.engine, none, SP_STR("late"), SP_STR("ann"), none,
                                    &position, &error),
           &error);
    assert_int_equal(sp_engine_delayed_cancel(help.engine, none, SP_STR("late"), SP_STR("ann"),
                                              none, &position, &error),
                     SP_NOT_FOUND);
    bus_close(&help);
    free(seen);
}

/* The one that failed is gone on with, where it failed; what it did is not done again. */
static void test_forks(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_engine_saga_started forked;
    struct sp_error error;
    char command[256];
    char types[TYPES_BYTES];
    (void)state;
    bus_open(&help);
    define_saga(&help, "{\"saga\":\"trip\",\"steps\":["
                       "{\"name\":\"hotel\",\"action\":\"hotel.book\",\"irreversible\":true},"
                       "{\"name\":\"flight\",\"action\":\"flight.book\","
                       "\"retry\":{\"limit\":1}}]}");
    struct sp_engine_saga_started started = start(&help, "trip", "{\"room\":7}", "");
    let_work(&help);
    find_command(&help, started.sagaid, "hotel.book", command, NULL);
    answer(&help, command, "hotel.book.completed", "{\"ok\":1}");
    find_command(&help, started.sagaid, "flight.book", command, NULL);
    answer(&help, command, "flight.book.failed", "{\"error\":\"full\",\"retryable\":false}");
    assert_int_equal(sp_sagas_count(sp_flow_sagas(sp_engine_flow(help.engine))), 0);
    reopen(&help);
    struct sp_engine_saga_fork fork = {.sagaid = sp_str_from(started.sagaid), .by = SP_STR("ann")};
    sp_error_clear(&error);
    bus_ok(sp_engine_saga_fork(help.engine, &fork, &forked, &error), &error);
    assert_string_not_equal(forked.sagaid, started.sagaid);
    let_work(&help);
    find_command(&help, forked.sagaid, "flight.book", command, NULL);
    answer(&help, command, "flight.book.completed", "{}");
    read_types(&help, forked.sagaid, types);
    assert_null(strstr(types, "hotel.book"));
    assert_non_null(strstr(types, " saga.completed"));
    reopen(&help);
    fork.sagaid = SP_STR("0190b1f0-0000-7000-8000-000000000000");
    assert_int_equal(sp_engine_saga_fork(help.engine, &fork, &forked, &error), SP_NOT_FOUND);
    fork.sagaid = SP_STR("nonsense");
    assert_int_equal(sp_engine_saga_fork(help.engine, &fork, &forked, &error), SP_NOT_FOUND);
    bus_close(&help);
}

static void test_joins(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_engine_defined defined;
    struct sp_error error;
    struct bus_seen *seen = calloc(1, sizeof(*seen));
    uint64_t position;
    (void)state;
    assert_non_null(seen);
    bus_open(&help);
    const char *text = "{\"join\":\"ready\",\"of\":[\"left.done\",\"right.done\"],\"need\":\"all\","
                       "\"key\":\"data.id\",\"window\":\"1h\","
                       "\"emit\":{\"type\":\"both.done\",\"data\":\"{id: .key}\"}}";
    bus_ok(define(&help, SP_FLOW_DEFINES_JOIN, text, &defined, &error), &error);
    (void)bus_put(&help, "k", "left.done", "{\"id\":\"a\"}");
    (void)bus_put(&help, "k", "left.done", "{\"id\":\"a\"}");
    (void)bus_put(&help, "k", "left.done", "{\"id\":\"b\"}");
    reopen(&help);
    (void)bus_put(&help, "k", "right.done", "{\"id\":\"a\"}");
    (void)bus_put(&help, "k", "right.done", "{\"id\":\"a\"}");
    let_work(&help);
    reopen(&help);
    let_work(&help);
    bus_all(&help, "$type:both.done", seen);
    assert_int_equal(seen->count, 1);
    assert_string_equal(seen->texts[0], "both.done {\"id\":\"a\"}");
    bus_ok(sp_engine_flow_remove(help.engine, SP_FLOW_DEFINES_JOIN, SP_STR("ready"), SP_STR("ann"),
                                 &position, &error),
           &error);
    bus_close(&help);
    free(seen);
}

/* Many at a time, with snapshots and openings in between: each comes to its end. */
static void test_many_sagas(void **state) {
    struct bus_help help = {.engine = NULL, .segment_bytes = 256 << 10};
    struct sp_engine_saga_started *started = calloc(MANY, sizeof(*started));
    char command[256];
    char types[TYPES_BYTES];
    (void)state;
    assert_non_null(started);
    bus_open(&help);
    define_saga(&help, TRIP);
    for (int i = 0; i < MANY; i++) {
        started[i] = start(&help, "trip", "{\"room\":7}", "");
    }
    let_work(&help);
    reopen(&help);
    for (int i = 0; i < MANY; i++) {
        find_command(&help, started[i].sagaid, "hotel.book", command, NULL);
        answer(&help, command, "hotel.book.completed", "{}");
    }
    reopen(&help);
    for (int i = 0; i < MANY; i++) {
        find_command(&help, started[i].sagaid, "flight.book", command, NULL);
        answer(&help, command, "flight.book.completed", "{}");
        read_types(&help, started[i].sagaid, types);
        assert_non_null(strstr(types, " saga.completed"));
    }
    reopen(&help);
    bus_close(&help);
    free(started);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_definitions, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_saga_completes, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_saga_is_undone, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_events_begin_sagas, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_requests, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_approvals_of_a_saga, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_approvals_that_stand_alone, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_schedules_and_cancelled_events, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_forks, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_joins, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_many_sagas, help_begin, help_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
