/*
 * Schemas by the public API, over a folder and over a server: registering, looking, what is
 * refused, and that retention does not take them away.
 */
#include "helper.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char SCHEMA[] = "{\"required\": [\"n\"]}";

struct seen {
    int count;
    char text[1024];
};

static void see(void *context, const char *text, size_t len) {
    struct seen *seen = context;
    seen->count++;
    assert_true(len < sizeof(seen->text));
    memcpy(seen->text, text, len);
    seen->text[len] = '\0';
}

static void test_events_are_held_to_them(void **state) {
    (void)state;
    spoor_error error;
    spoor *store = help_open(SPOOR_CREATE);
    help_ok(spoor_schema_add(store, "t", "1", SCHEMA, NULL, NULL, &error), &error);
    help_ok(spoor_schema_add(store, "t", "1", SCHEMA, NULL, NULL, &error), &error); /* known */
    spoor_event bad = help_event("t", "a", "{}");
    spoor_event good = help_event("t", "a", "{\"n\": 1}");
    help_append_refused(store, &bad, SPOOR_ANY_VERSION, SPOOR_INVALID,
                        "schema t version 1: the data: \"n\" is required");
    (void)help_append(store, &good);
    struct seen seen = {.count = 0};
    help_ok(spoor_schema_get(store, "t", NULL, see, &seen, &error), &error);
    assert_int_equal(seen.count, 1);
    assert_non_null(strstr(seen.text, "\"mode\":\"enforce\",\"compatibility\":\"backward\""));
    assert_non_null(strstr(seen.text, "\"schema\":{\"required\""));
    help_refused(spoor_schema_get(store, "t", "2", see, &seen, &error), &error, SPOOR_NOT_FOUND,
                 "version 2");
    help_ok(spoor_schema_add(store, "t", "1", SCHEMA, "warn", NULL, &error), &error);
    (void)help_append(store, &bad);
    help_ok(spoor_schema_add(store, "u", "1", "true", "off", "none", &error), &error);
    seen.count = 0;
    help_ok(spoor_schemas(store, see, &seen, &error), &error);
    assert_int_equal(seen.count, 2);
    assert_non_null(strstr(seen.text, "\"type\":\"u\""));
    help_ok(spoor_schema_remove(store, "u", "1", &error), &error);
    help_refused(spoor_schema_remove(store, "u", "1", &error), &error, SPOOR_NOT_FOUND,
                 "no version 1");
    spoor_close(store);
}

static void test_mistakes_are_told(void **state) {
    (void)state;
    spoor_error error;
    spoor *store = help_open(SPOOR_CREATE);
    help_refused(spoor_schema_add(store, "t", "1", "{\"type\":1}", NULL, NULL, &error), &error,
                 SPOOR_INVALID, "/type");
    help_refused(spoor_schema_add(store, "t", "1", SCHEMA, "strict", NULL, &error), &error,
                 SPOOR_INVALID, "mode");
    help_refused(spoor_schema_add(store, NULL, "1", SCHEMA, NULL, NULL, &error), &error,
                 SPOOR_INVALID, "type");
    help_ok(spoor_schema_add(store, "t", "1", SCHEMA, NULL, NULL, &error), &error);
    help_refused(spoor_schema_add(store, "t", "1", "{}", NULL, NULL, &error), &error,
                 SPOOR_CONFLICT, "does not change");
    help_refused(spoor_schema_add(store, "t", "2", "{\"required\":[\"x\"]}", NULL, NULL, &error),
                 &error, SPOOR_CONFLICT, "not backward compatible");
    spoor_close(store);
}

/* The segment that holds the registration is dropped: the engine has written it again. */
static void test_retention_keeps_them(void **state) {
    (void)state;
    help_needs_folder();
    enum { EVENTS = 40000 };
    spoor_options options;
    spoor_error error;
    spoor *store = NULL;
    spoor_options_init(&options);
    options.segment_bytes_max = 512 << 10;
    options.retain_bytes_max = 1 << 20;
    options.flags = SPOOR_CREATE;
    help_ok(spoor_open(help_place(), &options, &store, &error), &error);
    help_ok(spoor_schema_add(store, "held", "1", SCHEMA, NULL, NULL, &error), &error);
    help_fill(store, 1, EVENTS);
    for (int i = 0; i < 5000 && help_info(store).first_position == 1; i++) {
        (void)spoor_turn(store, 0, &error);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_true(help_info(store).first_position > 1);
    spoor_event bad = help_event("held", "a", "{}");
    help_append_refused(store, &bad, SPOOR_ANY_VERSION, SPOOR_INVALID, "is required");
    spoor_close(store);
    options.flags = 0;
    help_ok(spoor_open(help_place(), &options, &store, &error), &error);
    help_append_refused(store, &bad, SPOOR_ANY_VERSION, SPOOR_INVALID, "is required");
    spoor_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_events_are_held_to_them, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_mistakes_are_told, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_retention_keeps_them, help_begin, help_end_all),
    };
    return cmocka_run_group_tests_name("api_schemas", tests, NULL, NULL);
}
