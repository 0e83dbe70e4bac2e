/* What a user of the validator sees beyond the suite: mistakes in schemas, faults, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/json_schema.h"
#include "schema/tape.h"
#include "schema/uri.h"

static struct sp_schema *compile(const char *text) {
    struct sp_schema *schema = NULL;
    struct sp_error error;
    if (sp_schema_compile(sp_str_from(text), NULL, &schema, &error) != SP_OK) {
        fail_msg("%s: %s", text, error.text);
    }
    return schema;
}

static const struct {
    const char *schema;
    sp_status status;
    const char *text;
} MISTAKES[] = {
    {"{\"type\":\"strng\"}", SP_INVALID, "at /type: expected null, boolean"},
    {"{\"properties\":{\"a/b\":{\"minimum\":\"3\"}}}", SP_INVALID,
     "at /properties/a~1b/minimum: expected a number"},
    {"{\"required\":\"id\"}", SP_INVALID, "at /required: expected an array of names"},
    {"{\"required\":[\"id\",7]}", SP_INVALID, "at /required/1: expected a string"},
    {"{\"items\":[{}]}", SP_INVALID, "at /items: expected a schema"},
    {"{\"allOf\":[]}", SP_INVALID, "at /allOf: expected an array of schemas"},
    {"{\"properties\":[]}", SP_INVALID, "at /properties: expected an object"},
    {"{\"multipleOf\":0}", SP_INVALID, "at /multipleOf: expected a number above 0"},
    {"{\"minLength\":-1}", SP_INVALID, "at /minLength: expected a whole number"},
    {"{\"uniqueItems\":1}", SP_INVALID, "at /uniqueItems: expected true or false"},
    {"{\"enum\":3}", SP_INVALID, "at /enum: expected an array"},
    {"{\"pattern\":\"a(\"}", SP_INVALID, "at /pattern: byte 1: this group is never closed"},
    {"{\"pattern\":\"(?=a)\"}", SP_UNSUPPORTED, "at /pattern: byte 2: looking ahead"},
    {"{\"$ref\":\"#/$defs/none\"}", SP_INVALID, "at /$ref: this refers to a place"},
    {"{\"$ref\":\"http://example.com/x\"}", SP_INVALID, "nothing is fetched"},
    {"{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", SP_UNSUPPORTED,
     "at /$schema: only draft 2020-12"},
    {"{\"$defs\":{\"a\":{\"type\":7}}}", SP_INVALID, "at /$defs/a/type"},
    {"{\"$anchor\":\"a b\"}", SP_INVALID, "at /$anchor: an anchor"},
    {"{\"type\":", SP_INVALID, "byte 8: expected a value"},
    {"7", SP_INVALID, "at the top: expected a schema"},
};

static void mistakes_name_place_and_keyword(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(MISTAKES) / sizeof(MISTAKES[0]); i++) {
        struct sp_schema *schema = NULL;
        struct sp_error error;
        sp_error_clear(&error);
        sp_status status =
            sp_schema_compile(sp_str_from(MISTAKES[i].schema), NULL, &schema, &error);
        if (status != MISTAKES[i].status || strstr(error.text, MISTAKES[i].text) == NULL) {
            fail_msg("%s: %s: %s", MISTAKES[i].schema, sp_status_name(status), error.text);
        }
    }
}

static const struct {
    const char *schema;
    const char *json;
    const char *pointer;
    const char *rule;
    const char *text;
} FAULTS[] = {
    {"{\"properties\":{\"n\":{\"type\":\"integer\"}}}", "{\"n\":\"x\"}", "/n", "/properties/n/type",
     "expected an integer, found a string"},
    {"{\"type\":[\"string\",\"null\"]}", "1", "", "/type",
     "expected a string or null, found a number"},
    {"{\"required\":[\"a\",\"b\"]}", "{\"a\":1}", "", "/required", "\"b\" is required"},
    {"{\"items\":{\"minimum\":3}}", "[3,4,2.5]", "/2", "/items/minimum", "expected at least 3"},
    {"{\"additionalProperties\":false,\"properties\":{\"a\":{}}}", "{\"a\":1,\"b~/\":2}", "/b~0~1",
     "/additionalProperties", "\"b~/\" is none of the properties"},
    {"{\"enum\":[\"low\",\"high\"]}", "\"mid\"", "", "/enum", "expected one of [\"low\",\"high\"]"},
    {"{\"const\":\"x\"}", "\"y\"", "", "/const", "expected \"x\""},
    {"{\"maxLength\":2}", "\"éàü\"", "", "/maxLength", "expected at most 2 characters, found 3"},
    {"{\"pattern\":\"^a\"}", "\"b\"", "", "/pattern", "expected a match of ^a"},
    {"{\"$ref\":\"#/$defs/p\",\"$defs\":{\"p\":{\"minItems\":1}}}", "[]", "", "/$defs/p/minItems",
     "expected at least 1 items, found 0"},
    {"{\"anyOf\":[{\"type\":\"null\"},{\"minimum\":5}]}", "3", "", "/anyOf", "none of the schemas"},
    {"{\"properties\":{\"x\":false}}", "{\"x\":1}", "/x", "/properties/x", "nothing may be here"},
    {"{\"unevaluatedProperties\":false,\"allOf\":[{\"properties\":{\"a\":true}}]}",
     "{\"a\":1,\"c\":1}", "/c", "/unevaluatedProperties", "nothing else"},
    {"{\"uniqueItems\":true}", "[1,2,1.0]", "/2", "/uniqueItems", "no two equal"},
    {"{}", "{\"a\":}", "", "", "byte 5: expected a value"},
};

static void faults_name_pointer_and_rule(void **state) {
    (void)state;
    struct sp_schema_scratch *scratch = sp_schema_scratch_new();
    assert_non_null(scratch);
    for (size_t i = 0; i < sizeof(FAULTS) / sizeof(FAULTS[0]); i++) {
        struct sp_schema *schema = compile(FAULTS[i].schema);
        struct sp_schema_fault fault;
        sp_str json = sp_str_from(FAULTS[i].json);
        assert_int_equal(sp_schema_check(schema, scratch, json, &fault), SP_INVALID);
        assert_int_equal(sp_schema_check(schema, NULL, json, NULL), SP_INVALID);
        if (strcmp(fault.pointer, FAULTS[i].pointer) != 0 ||
            strcmp(fault.rule, FAULTS[i].rule) != 0 || strstr(fault.text, FAULTS[i].text) == NULL) {
            fail_msg("%s: at `%s` by `%s`: %s", FAULTS[i].schema, fault.pointer, fault.rule,
                     fault.text);
        }
        sp_schema_unref(schema);
    }
    sp_schema_scratch_free(scratch);
}

/* A schema that goes round without going deeper, and one that doubles its work at each level. */
static void endless_schemas_end(void **state) {
    (void)state;
    struct sp_schema_fault fault;
    struct sp_schema *schema = compile("{\"$ref\":\"#\"}");
    assert_int_equal(sp_schema_check(schema, NULL, SP_STR("1"), &fault), SP_LIMIT);
    assert_non_null(strstr(fault.text, "too deep"));
    sp_schema_unref(schema);
    char text[4096] = "{\"$ref\":\"#/$defs/d0\",\"$defs\":{";
    for (int i = 0; i < 40; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len,
                 "\"d%d\":{\"allOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]},", i,
                 i + 1, i + 1);
    }
    strcat(text, "\"d40\":{}}}");
    schema = compile(text);
    assert_int_equal(sp_schema_check(schema, NULL, SP_STR("1"), &fault), SP_LIMIT);
    assert_non_null(strstr(fault.text, "too many steps"));
    sp_schema_unref(schema);
}

static void deep_instances_are_refused(void **state) {
    (void)state;
    static char json[2 * SP_JSON_DEPTH_MAX + 1];
    struct sp_schema *schema = compile("{\"items\":{\"$ref\":\"#\"}}");
    struct sp_schema_fault fault;
    memset(json, '[', 200);
    memset(json + 200, ']', 200);
    assert_int_equal(sp_schema_check(schema, NULL, sp_str_of(json, 400), &fault), SP_OK);
    memset(json, '[', SP_JSON_DEPTH_MAX);
    memset(json + SP_JSON_DEPTH_MAX, ']', SP_JSON_DEPTH_MAX);
    sp_str deep = sp_str_of(json, 2 * SP_JSON_DEPTH_MAX);
    assert_int_equal(sp_schema_check(schema, NULL, deep, &fault), SP_LIMIT);
    sp_schema_unref(schema);
    memset(json, '[', SP_SCHEMA_DEPTH_MAX + 1);
    memset(json + SP_SCHEMA_DEPTH_MAX + 1, ']', SP_SCHEMA_DEPTH_MAX + 1);
    struct sp_schema *none = NULL;
    assert_int_equal(
        sp_schema_compile(sp_str_of(json, 2 * SP_SCHEMA_DEPTH_MAX + 2), NULL, &none, NULL),
        SP_INVALID);
}

/* Names of which there are more than bits. */
static void many_required_names_are_all_looked_for(void **state) {
    (void)state;
    static char text[8192];
    static char json[8192];
    strcpy(text, "{\"required\":[");
    strcpy(json, "{");
    for (int i = 0; i < 100; i++) {
        snprintf(text + strlen(text), 32, "%s\"name%d\"", i > 0 ? "," : "", i);
        snprintf(json + strlen(json), 32, "%s\"name%d\":1", i > 0 ? "," : "", i);
    }
    strcat(text, "]}");
    struct sp_schema *schema = compile(text);
    char *end = json + strlen(json);
    strcpy(end, "}");
    assert_int_equal(sp_schema_check(schema, NULL, sp_str_from(json), NULL), SP_OK);
    end[-2] = 'x'; /* "name99" is now something else */
    struct sp_schema_fault fault;
    char *quote = strstr(json, "\"name99");
    memcpy(quote, "\"nome99\":1}", 12);
    assert_int_equal(sp_schema_check(schema, NULL, sp_str_from(json), &fault), SP_INVALID);
    assert_non_null(strstr(fault.text, "name99"));
    sp_schema_unref(schema);
}

static void large_arrays_are_unique_or_not(void **state) {
    (void)state;
    static char json[40000];
    struct sp_schema *schema = compile("{\"uniqueItems\":true}");
    size_t len = 0;
    json[len++] = '[';
    for (int i = 0; i < 2000; i++) {
        len += (size_t)snprintf(json + len, 32, "{\"a\":%d},", i);
    }
    snprintf(json + len, 32, "{\"a\":-1}]");
    assert_int_equal(sp_schema_check(schema, NULL, sp_str_from(json), NULL), SP_OK);
    snprintf(json + len, 32, "{\"a\":77.0}]");
    struct sp_schema_fault fault;
    assert_int_equal(sp_schema_check(schema, NULL, sp_str_from(json), &fault), SP_INVALID);
    assert_string_equal(fault.pointer, "/2000");
    sp_schema_unref(schema);
}

static void escapes_are_resolved(void **state) {
    (void)state;
    struct sp_schema *schema =
        compile("{\"properties\":{\"a\\u0062\":{\"const\":\"x\\ny\"}},\"required\":[\"ab\"]}");
    assert_int_equal(sp_schema_check(schema, NULL, SP_STR("{\"\\u0061b\":\"x\\u000ay\"}"), NULL),
                     SP_OK);
    assert_int_equal(sp_schema_check(schema, NULL, SP_STR("{\"ab\":\"x\\\\ny\"}"), NULL),
                     SP_INVALID);
    sp_schema_unref(schema);
}

struct unknown {
    int count;
    char pointer[64];
    const char *meant;
};

static void note_unknown(void *context, uint64_t offset, const char *pointer, const char *meant) {
    struct unknown *unknown = context;
    assert_true(offset > 0);
    unknown->count++;
    unknown->meant = meant;
    snprintf(unknown->pointer, sizeof(unknown->pointer), "%s", pointer);
}

static void misspelt_keywords_are_told(void **state) {
    (void)state;
    struct unknown unknown = {.count = 0};
    struct sp_schema *schema = compile("{\"properties\":{\"a\":{\"requird\":[\"b\"]}},\"default\":{"
                                       "\"requird\":1}}");
    sp_schema_unknown(schema, note_unknown, &unknown);
    assert_int_equal(unknown.count, 1);
    assert_string_equal(unknown.pointer, "/properties/a/requird");
    assert_string_equal(unknown.meant, "required");
    sp_schema_unref(schema);
}

static void references_resolve(void **state) {
    (void)state;
    static const char *const CASES[][3] = {
        {"http://a/b/c/d;p?q", "g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "./g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "/g", "http://a/g"},
        {"http://a/b/c/d;p?q", "//g", "http://g"},
        {"http://a/b/c/d;p?q", "?y", "http://a/b/c/d;p?y"},
        {"http://a/b/c/d;p?q", "", "http://a/b/c/d;p?q"},
        {"http://a/b/c/d;p?q", "../../../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "..", "http://a/b/"},
        {"http://a/b/c/d;p?q", "g:h", "g:h"},
        {"http://a", "b", "http://a/b"},
        {"urn:uuid:1", "#x", "urn:uuid:1"},
        {"", "x.json#y", "x.json"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct sp_buf buf;
        sp_buf_init(&buf, 1000);
        sp_uri_resolve(sp_str_from(CASES[i][0]), sp_str_from(CASES[i][1]), &buf);
        sp_buf_add_byte(&buf, 0);
        assert_string_equal((const char *)buf.data, CASES[i][2]);
        sp_buf_fini(&buf);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_name_place_and_keyword),
        cmocka_unit_test(faults_name_pointer_and_rule),
        cmocka_unit_test(endless_schemas_end),
        cmocka_unit_test(deep_instances_are_refused),
        cmocka_unit_test(many_required_names_are_all_looked_for),
        cmocka_unit_test(large_arrays_are_unique_or_not),
        cmocka_unit_test(escapes_are_resolved),
        cmocka_unit_test(misspelt_keywords_are_told),
        cmocka_unit_test(references_resolve),
    };
    return cmocka_run_group_tests_name("json_schema", tests, NULL, NULL);
}
