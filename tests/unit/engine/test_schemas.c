/*
 * Schemas in the path of an append: what is refused from when on, all or nothing, and what opening
 * finds again.
 */
#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/schemas.h"

static struct sp_fs *fs;
static struct sp_error error;

static uint64_t wall_us(void *context) {
    static uint64_t now = UINT64_C(1700000000000000);
    (void)context;
    return now += 1000;
}

static uint64_t monotonic_ns(void *context) {
    static uint64_t now;
    (void)context;
    return now += 1000;
}

static struct sp_engine *open_engine(void) {
    struct sp_engine *engine = NULL;
    sp_error_clear(&error);
    assert_int_equal(sp_fs_posix_open(help_folder, true, false, &fs, NULL), SP_OK);
    struct sp_engine_options options = {
        .fs = fs,
        .clock = {.wall_us = wall_us, .monotonic_ns = monotonic_ns},
        .create = true,
        .inline_jobs = true,
        .limits = SP_EVENT_LIMITS_DEFAULT,
        .segment_bytes_min = 256 << 10,
        .segment_bytes_max = 256 << 10,
        .block_bytes_max = 64 << 10,
    };
    if (sp_engine_open(&options, &engine, NULL, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    return engine;
}

static void close_engine(struct sp_engine *engine) {
    sp_engine_close(engine);
    fs->ops->destroy(fs);
}

static sp_status add(struct sp_engine *engine, const char *type, const char *version,
                     const char *schema, enum sp_schema_mode mode) {
    struct sp_schema_registration registration = {.type = sp_str_from(type),
                                                  .version = sp_str_from(version),
                                                  .text = sp_str_from(schema),
                                                  .has_mode = true,
                                                  .mode = mode};
    struct sp_engine_result result;
    bool known = false;
    sp_error_clear(&error);
    return sp_engine_schema_add(engine, &registration, &known, &result, &error);
}

struct given {
    const char *type;
    const char *stream;
    const char *id;
    const char *data;
};

static sp_status append(struct sp_engine *engine, const struct given *given, uint32_t count) {
    struct sp_event events[4];
    struct sp_engine_result results[4];
    for (uint32_t i = 0; i < count; i++) {
        events[i] = (struct sp_event){.position = 0};
        events[i].attr[SP_ATTR_TYPE] = sp_str_from(given[i].type);
        events[i].attr[SP_ATTR_SOURCE] = SP_STR("a");
        events[i].attr[SP_ATTR_STREAM] = sp_str_from(given[i].stream);
        events[i].attr[SP_ATTR_ID] = sp_str_from(given[i].id);
        events[i].data = sp_str_from(given[i].data);
        events[i].has_data = true;
    }
    const struct sp_engine_append append = {.events = events, .count = count, .results = results};
    sp_error_clear(&error);
    return sp_engine_submit(engine, &append, &error);
}

static sp_status one(struct sp_engine *engine, const char *type, const char *data) {
    const struct given given = {.type = type, .stream = "s", .data = data};
    return append(engine, &given, 1);
}

static int warned;

static void count_warning(void *context, const struct sp_schema_refusal *refusal) {
    (void)context;
    assert_string_equal(refusal->type, "t");
    warned++;
}

static void appends_obey_at_once(void **state) {
    (void)state;
    struct sp_engine *engine = open_engine();
    const char *schema = "{\"required\":[\"n\"]}";
    const struct given known = {.type = "t", .stream = "s", .id = "known", .data = "{}"};
    assert_int_equal(append(engine, &known, 1), SP_OK);
    assert_int_equal(add(engine, "t", "1", schema, SP_SCHEMA_ENFORCE), SP_OK);
    /* In the same turn, before anything is durable. */
    assert_int_equal(one(engine, "t", "{}"), SP_INVALID);
    assert_non_null(strstr(error.text, "schema t version 1: the data: \"n\" is required"));
    const struct sp_schema_refusal *refusal = sp_engine_refusal(engine, &error);
    assert_non_null(refusal);
    assert_string_equal(refusal->fault.rule, "/required");
    assert_int_equal(one(engine, "t", "{\"n\":1}"), SP_OK);
    assert_null(sp_engine_refusal(engine, &error));
    assert_int_equal(append(engine, &known, 1), SP_OK); /* it is there already */
    const struct given batch[] = {
        {"t", "s", NULL, "{\"n\":1}"}, {"u", "s", NULL, "{}"}, {"t", "s", NULL, "{}"}};
    uint64_t before = sp_engine_core(engine)->position;
    assert_int_equal(append(engine, batch, 3), SP_INVALID);
    assert_int_equal(strncmp(error.text, "event 3: ", 9), 0);
    assert_int_equal(sp_engine_refusal(engine, &error)->event, 2);
    assert_int_equal(sp_engine_core(engine)->position, before);
    const struct given own = {.type = "t", .stream = "$groups", .data = "{}"};
    assert_int_equal(append(engine, &own, 1), SP_OK);
    sp_engine_on_schema_warning(engine, count_warning, NULL);
    assert_int_equal(add(engine, "t", "1", schema, SP_SCHEMA_WARN), SP_OK);
    assert_int_equal(one(engine, "t", "{}"), SP_OK);
    assert_int_equal(warned, 1);
    close_engine(engine);
}

static void registrations_stand_alone(void **state) {
    (void)state;
    struct sp_engine *engine = open_engine();
    const struct given two[] = {
        {"schema.registered", "$schemas", NULL,
         "{\"type\":\"t\",\"version\":\"1\",\"schema\":false}"},
        {"t", "s", NULL, "{}"},
    };
    assert_int_equal(append(engine, two, 2), SP_INVALID);
    assert_non_null(strstr(error.text, "an append of its own"));
    const struct given wrong = {"schema.registered", "$schemas", NULL, "{\"type\":\"t\"}"};
    assert_int_equal(append(engine, &wrong, 1), SP_INVALID);
    assert_int_equal(append(engine, two, 1), SP_OK);
    assert_int_equal(one(engine, "t", "{}"), SP_INVALID);
    /* Another stream, another type of event: nothing is meant by it. */
    const struct given other = {"schema.registered", "s", NULL, "{}"};
    assert_int_equal(append(engine, &other, 1), SP_OK);
    const struct given upcaster = {"upcaster.registered", "$schemas", NULL, "{}"};
    assert_int_equal(append(engine, &upcaster, 1), SP_OK);
    assert_int_equal(sp_registry_count(sp_engine_schemas(engine)), 1);
    close_engine(engine);
    engine = open_engine();
    assert_int_equal(sp_registry_count(sp_engine_schemas(engine)), 1);
    assert_int_equal(one(engine, "t", "{}"), SP_INVALID);
    assert_int_equal(sp_engine_schema_remove(engine, SP_STR("t"), SP_STR("1"), NULL), SP_OK);
    assert_int_equal(one(engine, "t", "{}"), SP_OK);
    close_engine(engine);
    engine = open_engine();
    assert_int_equal(sp_registry_count(sp_engine_schemas(engine)), 0);
    close_engine(engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(appends_obey_at_once, help_begin, help_end),
        cmocka_unit_test_setup_teardown(registrations_stand_alone, help_begin, help_end),
    };
    return cmocka_run_group_tests_name("schemas", tests, NULL, NULL);
}
