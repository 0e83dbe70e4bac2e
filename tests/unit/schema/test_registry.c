/* The registry by itself: which schema holds for an event, and what may be registered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/compatible.h"
#include "schema/registry.h"

static struct sp_error error;

static sp_status put(struct sp_registry *registry, const char *data) {
    struct sp_registry_change *change = NULL;
    sp_error_clear(&error);
    sp_status status = sp_registry_prepare(registry, SP_STR("schema.registered"), sp_str_from(data),
                                           false, &change, &error);
    if (status == SP_OK) {
        assert_non_null(change);
        sp_registry_commit(registry, change, 1);
    }
    return status;
}

static sp_status drop(struct sp_registry *registry, const char *data) {
    struct sp_registry_change *change = NULL;
    sp_status status = sp_registry_prepare(registry, SP_STR("schema.removed"), sp_str_from(data),
                                           false, &change, &error);
    if (status == SP_OK) {
        sp_registry_commit(registry, change, 2);
    }
    return status;
}

static struct sp_schema_refusal refusal;

static sp_status check(struct sp_registry *registry, const char *type, const char *version,
                       const char *data) {
    struct sp_event event = {.position = 0};
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_SCHEMAVERSION] = sp_str_from(version);
    event.has_data = data != NULL;
    event.data_is_json = data != NULL && data[0] != '!';
    event.data = sp_str_from(data);
    return sp_registry_check(registry, &event, &refusal);
}

static void versions_have_an_order(void **state) {
    (void)state;
    static const char *const RISING[] = {"", "1", "1.9", "1.10", "1.10.1", "2", "10", "v2", "v10"};
    for (size_t i = 0; i < sizeof(RISING) / sizeof(RISING[0]); i++) {
        for (size_t k = 0; k < sizeof(RISING) / sizeof(RISING[0]); k++) {
            int order = sp_schema_version_compare(sp_str_from(RISING[i]), sp_str_from(RISING[k]));
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
}

static void an_event_is_held_to_its_version(void **state) {
    (void)state;
    struct sp_registry *registry = sp_registry_new();
    assert_int_equal(check(registry, "a", NULL, "1"), SP_OK);
    assert_int_equal(put(registry, "{\"type\":\"a\",\"version\":\"2\",\"schema\":{\"type\":"
                                   "\"object\"}}"),
                     SP_OK);
    assert_int_equal(put(registry, "{\"type\":\"a\",\"version\":\"10\",\"compatibility\":\"none\","
                                   "\"schema\":{\"type\":\"string\"}}"),
                     SP_OK);
    assert_int_equal(check(registry, "a", "2", "{}"), SP_OK);
    assert_int_equal(check(registry, "a", "2", "\"x\""), SP_INVALID);
    assert_true(refusal.enforced);
    assert_string_equal(refusal.version, "2");
    assert_string_equal(refusal.fault.rule, "/type");
    assert_int_equal(check(registry, "a", NULL, "\"x\""), SP_OK); /* 10 is the newest */
    assert_int_equal(check(registry, "a", NULL, "{}"), SP_INVALID);
    assert_string_equal(refusal.version, "10");
    assert_int_equal(check(registry, "a", "3", "{}"), SP_INVALID);
    assert_non_null(strstr(refusal.fault.text, "no schema of this version"));
    assert_int_equal(check(registry, "a", NULL, "!binary"), SP_INVALID);
    assert_int_equal(check(registry, "a", NULL, NULL), SP_INVALID);
    assert_non_null(strstr(refusal.fault.text, "no data"));
    assert_int_equal(check(registry, "b", NULL, "1"), SP_OK);
    assert_int_equal(sp_registry_counts(registry).refused, 5);
    assert_int_equal(drop(registry, "{\"type\":\"a\",\"version\":\"10\"}"), SP_OK);
    assert_int_equal(check(registry, "a", NULL, "{}"), SP_OK);
    assert_int_equal(drop(registry, "{\"type\":\"a\",\"version\":\"10\"}"), SP_NOT_FOUND);
    assert_int_equal(drop(registry, "{\"type\":\"a\",\"version\":\"2\"}"), SP_OK);
    assert_int_equal(check(registry, "a", NULL, "7"), SP_OK);
    assert_int_equal(sp_registry_count(registry), 0);
    sp_registry_free(registry);
}

static void modes_decide_what_becomes_of_it(void **state) {
    (void)state;
    struct sp_registry *registry = sp_registry_new();
    const char *warn = "{\"type\":\"a\",\"version\":\"1\",\"mode\":\"warn\",\"schema\":false}";
    const char *off = "{\"type\":\"a\",\"version\":\"1\",\"mode\":\"off\",\"schema\": false}";
    assert_int_equal(put(registry, warn), SP_OK);
    assert_int_equal(check(registry, "a", NULL, "1"), SP_INVALID);
    assert_false(refusal.enforced);
    assert_int_equal(put(registry, off), SP_OK);
    assert_int_equal(check(registry, "a", NULL, "1"), SP_OK);
    assert_int_equal(check(registry, "a", "1", "1"), SP_OK);
    assert_int_equal(check(registry, "a", "2", "1"), SP_OK); /* all that there is is off */
    assert_int_equal(sp_registry_count(registry), 1);
    assert_int_equal(sp_registry_at(registry, 0)->warned, 1); /* whatever its mode was */
    assert_int_equal(sp_registry_counts(registry).warned, 1);
    sp_registry_free(registry);
}

static void braces_stand_for_a_token(void **state) {
    (void)state;
    struct sp_registry *registry = sp_registry_new();
    assert_int_equal(
        put(registry, "{\"type\":\"task.given.{agent}\",\"version\":\"1\",\"schema\":false}"),
        SP_OK);
    assert_int_equal(check(registry, "task.given.ann", NULL, "1"), SP_INVALID);
    assert_string_equal(refusal.type, "task.given.ann");
    assert_int_equal(check(registry, "task.given", NULL, "1"), SP_OK);
    assert_int_equal(check(registry, "task.given.ann.x", NULL, "1"), SP_OK);
    assert_int_equal(
        put(registry, "{\"type\":\"task.given.bob\",\"version\":\"1\",\"schema\":true}"), SP_OK);
    assert_int_equal(check(registry, "task.given.bob", NULL, "1"), SP_OK);
    sp_registry_free(registry);
}

static void wrong_registrations_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *data;
        sp_status status;
        const char *text;
    } CASES[] = {
        {"[]", SP_INVALID, "expected an object"},
        {"{\"version\":\"1\",\"schema\":{}}", SP_INVALID, "type:"},
        {"{\"type\":\"a.*\",\"version\":\"1\",\"schema\":{}}", SP_INVALID, "type:"},
        {"{\"type\":\"a\",\"schema\":{}}", SP_INVALID, "version:"},
        {"{\"type\":\"a\",\"version\":\"1 2\",\"schema\":{}}", SP_INVALID, "version:"},
        {"{\"type\":\"a\",\"version\":1,\"schema\":{}}", SP_INVALID, "version: expected a string"},
        {"{\"type\":\"a\",\"version\":\"1\"}", SP_INVALID, "schema: absent"},
        {"{\"type\":\"a\",\"version\":\"1\",\"mode\":\"x\",\"schema\":{}}", SP_INVALID, "mode:"},
        {"{\"type\":\"a\",\"version\":\"1\",\"schema\":{\"type\":\"x\"}}", SP_INVALID, "/type"},
        {"{\"type\":\"old\",\"version\":\"1\",\"schema\":{\"minimum\":2}}", SP_CONFLICT,
         "does not change"},
        {"{\"type\":\"old\",\"version\":\"2\",\"schema\":{\"minimum\":2}}", SP_CONFLICT,
         "not backward compatible with version 1: at /minimum"},
    };
    struct sp_registry *registry = sp_registry_new();
    assert_int_equal(
        put(registry, "{\"type\":\"old\",\"version\":\"1\",\"schema\":{\"minimum\":1}}"), SP_OK);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        sp_status status = put(registry, CASES[i].data);
        if (status != CASES[i].status || strstr(error.text, CASES[i].text) == NULL) {
            fail_msg("%s: %s: %s", CASES[i].data, sp_status_name(status), error.text);
        }
    }
    assert_int_equal(sp_registry_count(registry), 1);
    sp_registry_free(registry);
}

static const struct {
    const char *wide;
    const char *narrow;
    bool covered;
    const char *text;
} PAIRS[] = {
    {"{}", "{\"type\":\"object\"}", true, ""},
    {"{\"type\":\"object\"}", "{}", false, "/type"},
    {"{\"type\":\"number\"}", "{\"type\":\"integer\"}", true, ""},
    {"{\"type\":\"integer\"}", "{\"type\":\"number\"}", false, "/type"},
    {"{\"required\":[\"a\"]}", "{\"required\":[\"a\",\"b\"]}", true, ""},
    {"{\"required\":[\"a\",\"b\"]}", "{\"required\":[\"a\"]}", false, "\"b\" is required"},
    {"{\"properties\":{\"a\":{\"type\":\"string\"},\"new\":{\"type\":\"string\"}}}",
     "{\"properties\":{\"a\":{\"type\":\"string\"}}}", true, ""},
    {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"properties\":{\"a\":{}}}", false,
     "/properties/a/type"},
    {"{\"properties\":{\"a\":{}},\"additionalProperties\":false}",
     "{\"properties\":{\"a\":{},\"b\":{}},\"additionalProperties\":false}", false, "\"b\""},
    {"{\"properties\":{\"a\":{},\"b\":{}},\"additionalProperties\":false}",
     "{\"properties\":{\"a\":{}},\"additionalProperties\":false}", true, ""},
    {"{\"additionalProperties\":false}", "{}", false, "/additionalProperties"},
    {"{\"enum\":[1,2,3]}", "{\"enum\":[1,2]}", true, ""},
    {"{\"enum\":[1,2]}", "{\"enum\":[1,2,3]}", false, "does not accept 3"},
    {"{\"type\":\"string\"}", "{\"enum\":[\"a\",\"b\"]}", true, ""},
    {"{\"enum\":[\"a\"]}", "{\"type\":\"string\"}", false, "/enum"},
    {"{\"minimum\":1}", "{\"minimum\":2}", true, ""},
    {"{\"minimum\":2}", "{\"minimum\":1}", false, "/minimum"},
    {"{\"exclusiveMinimum\":1}", "{\"minimum\":1}", false, "/exclusiveMinimum"},
    {"{\"maximum\":5}", "{\"exclusiveMaximum\":5}", true, ""},
    {"{\"multipleOf\":2}", "{\"multipleOf\":4}", true, ""},
    {"{\"multipleOf\":4}", "{\"multipleOf\":2}", false, "/multipleOf"},
    {"{\"maxLength\":10}", "{\"maxLength\":5}", true, ""},
    {"{\"maxLength\":5}", "{\"maxLength\":10}", false, "/maxLength"},
    {"{\"maxLength\":5}", "{\"type\":\"number\"}", true, ""},
    {"{\"pattern\":\"^a\"}", "{\"pattern\":\"^a\"}", true, ""},
    {"{\"pattern\":\"^a\"}", "{\"pattern\":\"^ab\"}", false, "cannot be shown"},
    {"{\"items\":{\"type\":\"number\"}}", "{\"items\":{\"type\":\"integer\"}}", true, ""},
    {"{\"items\":{\"type\":\"integer\"}}", "{\"items\":{\"type\":\"number\"}}", false,
     "/items/type"},
    {"{\"items\":{\"type\":\"integer\"}}", "{}", false, "/items"},
    {"{\"minItems\":1}", "{\"minItems\":2}", true, ""},
    {"{\"uniqueItems\":true}", "{}", false, "/uniqueItems"},
    {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "{\"type\":\"null\"}", true, ""},
    {"{\"type\":[\"string\",\"null\"]}", "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}",
     true, ""},
    {"{\"type\":\"string\"}", "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", false,
     "/type"},
    {"{\"not\":{\"type\":\"null\"}}", "{\"not\":{\"type\":\"null\"}}", true, ""},
    {"{\"not\":{\"type\":\"null\"}}", "{\"type\":\"string\"}", false, "cannot be shown"},
    {"{\"$ref\":\"#/$defs/s\",\"$defs\":{\"s\":{\"type\":\"string\"}}}", "{\"type\":\"string\"}",
     true, ""},
    {"{\"type\":\"string\"}", "{\"$ref\":\"#/$defs/s\",\"$defs\":{\"s\":{\"type\":\"string\"}}}",
     true, ""},
    {"{\"properties\":{\"next\":{\"$ref\":\"#\"},\"n\":{\"minimum\":0}}}",
     "{\"properties\":{\"next\":{\"$ref\":\"#\"},\"n\":{\"minimum\":1}}}", true, ""},
    {"{\"properties\":{\"next\":{\"$ref\":\"#\"},\"n\":{\"minimum\":1}}}",
     "{\"properties\":{\"next\":{\"$ref\":\"#\"},\"n\":{\"minimum\":0}}}", false, "/n/minimum"},
    {"{\"allOf\":[{\"minimum\":1},{\"maximum\":9}]}", "{\"minimum\":2,\"maximum\":8}", true, ""},
    {"false", "{}", false, "nothing"},
    {"false", "false", true, ""},
};

static struct sp_schema *compile(const char *text) {
    struct sp_schema *schema = NULL;
    assert_int_equal(sp_schema_compile(sp_str_from(text), NULL, &schema, NULL), SP_OK);
    return schema;
}

static void what_is_compatible(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(PAIRS) / sizeof(PAIRS[0]); i++) {
        struct sp_schema *wide = compile(PAIRS[i].wide);
        struct sp_schema *narrow = compile(PAIRS[i].narrow);
        sp_error_clear(&error);
        sp_status status = sp_schema_accepts_all(wide, narrow, &error);
        if ((status == SP_OK) != PAIRS[i].covered || strstr(error.text, PAIRS[i].text) == NULL) {
            fail_msg("%s by %s: %s: %s", PAIRS[i].narrow, PAIRS[i].wide, sp_status_name(status),
                     error.text);
        }
        assert_int_equal(sp_schema_accepts_all(wide, wide, NULL), SP_OK);
        sp_schema_unref(wide);
        sp_schema_unref(narrow);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_have_an_order),
        cmocka_unit_test(an_event_is_held_to_its_version),
        cmocka_unit_test(modes_decide_what_becomes_of_it),
        cmocka_unit_test(braces_stand_for_a_token),
        cmocka_unit_test(wrong_registrations_are_refused),
        cmocka_unit_test(what_is_compatible),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
