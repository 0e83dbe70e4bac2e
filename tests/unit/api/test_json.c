/* Events from JSON and to JSON, as a program that imports and exports them sees it. */
#include "helper.h"

#include <stdio.h>
#include <stdlib.h>

static void test_every_alias(void **state) {
    (void)state;
    static const char json[] =
        "{\"event_id\":\"e\",\"event_type\":\"t.x\",\"agent_id\":\"a\",\"stream_id\":\"s\","
        "\"timestamp\":\"2026-11-20T05:49:12Z\",\"correlationId\":\"r\","
        "\"parent_event_id\":\"c\",\"schema_version\":2,\"payload\":{ \"n\" : 1.50 },"
        "\"metadata\":{\"k\":1},\"position\":77,\"version\":3,\"extra\":[1],\"none\":null}";
    spoor_parsed *parsed = NULL;
    const spoor_event *event = NULL;
    spoor_error error;
    help_ok(spoor_parse_json(json, strlen(json), &parsed, &event, &error), &error);
    assert_true(help_is(event->id, "e"));
    assert_true(help_is(event->type, "t.x"));
    assert_true(help_is(event->source, "a"));
    assert_true(help_is(event->stream, "s"));
    assert_true(help_is(event->time, "2026-11-20T05:49:12Z"));
    assert_true(help_is(event->correlationid, "r"));
    assert_true(help_is(event->causationid, "c"));
    assert_true(help_is(event->schemaversion, "2"));
    assert_true(help_is(event->data, "{ \"n\" : 1.50 }"));
    assert_true(help_is(event->metadata, "{\"k\":1}"));
    assert_int_equal(event->extension_count, 1);
    assert_true(help_is(event->extensions[0].name, "extra"));
    assert_true(help_is(event->extensions[0].value, "[1]"));
    assert_int_equal(event->extensions[0].is_json, 1);
    assert_int_equal(event->position, 0);
    spoor_parsed_free(parsed);
}

static void test_parse_errors_name_the_place(void **state) {
    (void)state;
    spoor_parsed *parsed = NULL;
    const spoor_event *event = NULL;
    spoor_error error;
    static const char *const bad[] = {"",
                                      "[]",
                                      "{\"type\":}",
                                      "{\"type\":\"a\",\"type\":\"b\"}",
                                      "{\"type\":\"a\"} x",
                                      "{\"data\":1,\"data_base64\":\"AA==\"}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        spoor_status status = spoor_parse_json(bad[i], strlen(bad[i]), &parsed, &event, &error);
        help_refused(status, &error, SPOOR_INVALID, NULL);
        assert_null(event);
    }
    static const char good[] = "{\"type\":\"a\"}";
    help_ok(spoor_parse_json(good, strlen(good), &parsed, &event, &error), &error); /* reused */
    assert_true(help_is(event->type, "a"));
    spoor_parsed_free(parsed);
    spoor_parsed_free(NULL);
}

static void test_format(void **state) {
    (void)state;
    spoor_event event = help_event("t", "a", "{\n\"n\": 1}");
    const spoor_extension extension = {spoor_text("x"), spoor_text("true"), 1};
    uint8_t hash[32] = {0xab};
    char *buffer = NULL;
    size_t capacity = 0;
    size_t len = 0;
    spoor_error error;
    event.data_is_json = 1;
    event.id = spoor_text("i\"1");
    event.extensions = &extension;
    event.extension_count = 1;
    help_ok(spoor_format_json(&event, NULL, &buffer, &capacity, &len, &error), &error);
    assert_string_equal(buffer, "{\"id\":\"i\\\"1\",\"type\":\"t\",\"source\":\"a\",\"x\":true,"
                                "\"data\":{ \"n\": 1}}");
    assert_int_equal(len, strlen(buffer));
    event.position = 7;
    event.version = 2;
    event.recorded_us = 1795153752123456;
    event.entry_seq = 5;
    help_ok(spoor_format_json(&event, hash, &buffer, &capacity, &len, &error), &error);
    assert_int_equal(len, strlen(buffer));
    assert_non_null(strstr(buffer, "\"position\":7,\"version\":2,"
                                   "\"recordedtime\":\"2026-11-20T05:49:12.123456Z\","
                                   "\"entryid\":\"1795153752123-5\",\"hash\":\"ab00"));
    spoor_free(buffer);
}

/* Export, import elsewhere, export again: the same but for what is assigned anew. */
static void test_round_trip(void **state) {
    (void)state;
    enum { EVENTS = 500 };
    spoor *store = help_open(SPOOR_CREATE);
    help_fill(store, 8, EVENTS);
    struct help_copies copies = help_read(store, NULL);
    spoor_parsed *parsed = NULL;
    char *buffer = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < copies.count; i++) {
        const spoor_event *event = NULL;
        spoor_error error;
        size_t len = 0;
        help_ok(spoor_format_json(&copies.items[i].event, NULL, &buffer, &capacity, &len, &error),
                &error);
        help_ok(spoor_parse_json(buffer, len, &parsed, &event, &error), &error);
        assert_true(help_same_text(event->id, copies.items[i].event.id));
        assert_true(help_same_text(event->data, copies.items[i].event.data));
        assert_true(help_same_text(event->correlationid, copies.items[i].event.correlationid));
        spoor_appended again = help_append(store, event);
        assert_int_equal(again.duplicate, 1); /* an import is idempotent */
        assert_int_equal(again.position, i + 1);
    }
    spoor_parsed_free(parsed);
    spoor_free(buffer);
    help_copies_free(&copies);
    spoor_close(store);
}

static void test_names(void **state) {
    (void)state;
    assert_string_equal(spoor_version(), "0.1.0");
    assert_string_equal(spoor_status_name(SPOOR_NOT_FOUND), "not_found");
    assert_string_equal(spoor_status_text(SPOOR_NOT_FOUND), "not found");
    for (int i = 0; i <= SPOOR_CANCELLED; i++) {
        assert_true(strlen(spoor_status_name((spoor_status)i)) > 0);
        assert_true(strlen(spoor_status_text((spoor_status)i)) > 0);
    }
    assert_null(spoor_text(NULL).ptr);
    spoor_free(NULL);
    spoor_close(NULL);
    spoor_cursor_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_alias),
        cmocka_unit_test(test_parse_errors_name_the_place),
        cmocka_unit_test(test_format),
        cmocka_unit_test_setup_teardown(test_round_trip, help_begin, help_end_all),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
