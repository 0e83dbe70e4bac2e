#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/definition.h"
#include "yaml/yaml.h"

/* What the YAML says, as JSON; the caller frees it. */
static char *as_json(const char *text, enum sp_yaml_form form) {
    struct sp_doc doc;
    struct sp_error error;
    struct sp_buf json;
    sp_doc_init(&doc);
    if (sp_yaml_read(&doc, sp_str_from(text), form, &error) != SP_OK) {
        fail_msg("%s: %s", text, error.text);
    }
    sp_buf_init(&json, 1 << 20);
    sp_doc_write(doc.root, &json);
    sp_buf_add_byte(&json, 0);
    char *copy = strdup((const char *)json.data);
    sp_buf_fini(&json);
    sp_doc_fini(&doc);
    return copy;
}

static void assert_reads(const char *text, const char *expected) {
    char *json = as_json(text, SP_YAML_YAML);
    assert_string_equal(json, expected);
    free(json);
}

static void assert_refused(const char *text, sp_status status, const char *expected) {
    struct sp_doc doc;
    struct sp_error error;
    sp_doc_init(&doc);
    assert_int_equal(sp_yaml_read(&doc, sp_str_from(text), SP_YAML_YAML, &error), status);
    assert_string_equal(error.text, expected);
    sp_doc_fini(&doc);
}

static void scalars_are_what_json_would_say(void **state) {
    (void)state;
    assert_reads("[1, -2.50, 1e3, true, false, null, ~]", "[1,-2.50,1e3,true,false,null,null]");
    assert_reads("- a b\n- '1'\n- \"x\\ty\"\n- 24h\n- 2026-11-20\n- 12:30\n",
                 "[\"a b\",\"1\",\"x\\ty\",\"24h\",\"2026-11-20\",\"12:30\"]");
    assert_reads("a: |\n  one\n  two\nb: >\n  one\n  two\n",
                 "{\"a\":\"one\\ntwo\\n\",\"b\":\"one two\\n\"}");
    assert_reads("a:\nb: {}\nc: []\n", "{\"a\":null,\"b\":{},\"c\":[]}");
}

static void what_yaml_1_1_takes_for_something_else_is_text(void **state) {
    (void)state;
    assert_reads("start: {on: lead.received}", "{\"start\":{\"on\":\"lead.received\"}}");
    assert_reads("{yes: no, on: off, y: n, No: Yes}",
                 "{\"yes\":\"no\",\"on\":\"off\",\"y\":\"n\",\"No\":\"Yes\"}");
    assert_reads("[012, 0x1f, 1_000, .5, +1, 1., .inf, True, NULL, 1:30]",
                 "[\"012\",\"0x1f\",\"1_000\",\".5\",\"+1\",\"1.\",\".inf\",\"True\",\"NULL\","
                 "\"1:30\"]");
    assert_reads("{1: a, true: b, null: c}", "{\"1\":\"a\",\"true\":\"b\",\"null\":\"c\"}");
    assert_reads("version: 1", "{\"version\":1}");
}

static void every_key_and_value_has_its_place(void **state) {
    struct sp_doc doc;
    (void)state;
    sp_doc_init(&doc);
    sp_str text = SP_STR("# a comment\na:\n  - b: é\n    ü: {x: 1}\n");
    assert_int_equal(sp_yaml_read(&doc, text, SP_YAML_YAML, NULL), SP_OK);
    const struct sp_doc_node *item = sp_doc_get(doc.root, "a")->first;
    const struct sp_doc_node *u = sp_doc_get(item, "ü");
    assert_int_equal(u->key_at.line, 4);
    assert_int_equal(u->key_at.column, 5);
    assert_int_equal(u->place.column, 8);
    assert_int_equal(sp_doc_get(u, "x")->place.column, 12);
    assert_int_equal(sp_doc_get(item, "b")->place.line, 3);
    sp_doc_fini(&doc);
}

static void what_has_no_one_meaning_is_refused(void **state) {
    (void)state;
    assert_refused("a: &x 1\n", SP_INVALID,
                   "line 1, column 4: anchors (`&name`) are not taken: write it out");
    assert_refused("a: 1\nb: *x\n", SP_INVALID,
                   "line 2, column 4: aliases (`*name`) are not taken: write it out");
    assert_refused("a: !!int 1\n", SP_INVALID, "line 1, column 4: tags (`!name`) are not taken");
    assert_refused("a: !x {b: 1}\n", SP_INVALID, "line 1, column 4: tags (`!name`) are not taken");
    assert_refused("a: 1\n---\nb: 2\n", SP_INVALID,
                   "line 2, column 1: a second document begins here; one is expected");
    assert_refused("a: 1\nb: 2\na: 3\n", SP_INVALID,
                   "line 3, column 1: the key `a` is there twice, first in line 1");
    assert_refused("? [a]\n: 1\n", SP_INVALID,
                   "line 1, column 3: a key is text, not a list or a mapping (jq programs need "
                   "quotes)");
    assert_refused("", SP_INVALID, "line 1, column 1: the document is empty");
    assert_refused("# nothing\n", SP_INVALID, "line 1, column 1: the document is empty");
}

static void what_is_no_yaml_is_refused_with_its_place(void **state) {
    (void)state;
    assert_refused("a: [1, 2\nb: 3\n", SP_INVALID,
                   "line 2, column 2: did not find expected ',' or ']', while parsing a flow "
                   "sequence");
    assert_refused("a: b: c\n", SP_INVALID,
                   "line 1, column 5: mapping values are not allowed in this context");
    assert_refused("a: \"\xff\"\n", SP_INVALID, "byte 4: invalid leading UTF-8 octet");
    assert_refused("a:\n\t- b\n", SP_INVALID,
                   "line 2, column 1: found character that cannot start any token, while scanning "
                   "for the next token");
}

static void limits_are_those_of_documents(void **state) {
    char *text = calloc(1, SP_DOC_BYTES_MAX + 2);
    char expected[80];
    (void)state;
    memset(text, '[', SP_DOC_DEPTH_MAX + 1);
    assert_refused(text, SP_LIMIT, "line 1, column 65: more than 64 levels");
    memset(text, '#', SP_DOC_BYTES_MAX + 1);
    (void)snprintf(expected, sizeof(expected), "%d bytes, more than %d", SP_DOC_BYTES_MAX + 1,
                   SP_DOC_BYTES_MAX);
    assert_refused(text, SP_LIMIT, expected);
    free(text);
}

static const char BOOK_DEMO[] =
    "saga: book-demo\n"
    "version: 1\n"
    "start: {on: lead.received}            # or by call\n"
    "steps:\n"
    "  - name: qualify_lead\n"
    "    action: sales.qualify_lead         # type of the command event that workers consume\n"
    "    input: '{lead_id: .lead_id}'       # jq over the saga's context\n"
    "    compensate: sales.unqualify_lead\n"
    "    timeout: 30s\n"
    "    retry: {limit: 3, backoff: 1s, factor: 2, max: 30s, jitter: 0.2}\n"
    "  - name: confirm\n"
    "    approval: {prompt: \"Book the demo?\", timeout: 24h, on_timeout: reject}\n"
    "  - name: book\n"
    "    parallel:\n"
    "      - {name: slot, action: calendar.book, compensate: calendar.cancel}\n"
    "      - {name: crm, action: crm.create_opportunity, compensate: crm.delete_opportunity}\n";

static void a_saga_is_the_same_in_yaml_and_json(void **state) {
    struct sp_saga_definition *definition = NULL;
    struct sp_error error;
    char *json = as_json(BOOK_DEMO, SP_YAML_GUESS);
    (void)state;
    assert_int_equal(sp_saga_definition_parse(sp_str_from(json), &definition, &error), SP_OK);
    assert_true(sp_str_eq(definition->text, sp_str_from(json)));
    assert_true(sp_str_eq(definition->start_pattern, SP_STR("lead.received")));
    assert_int_equal(definition->step_count, 5);
    sp_saga_definition_unref(definition);
    free(json);
}

static void a_name_or_the_first_character_tells_the_form(void **state) {
    (void)state;
    assert_int_equal(sp_yaml_form_of(SP_STR("a.yaml")), SP_YAML_YAML);
    assert_int_equal(sp_yaml_form_of(SP_STR("a.yml")), SP_YAML_YAML);
    assert_int_equal(sp_yaml_form_of(SP_STR("a.json")), SP_YAML_JSON);
    assert_int_equal(sp_yaml_form_of(SP_STR("a")), SP_YAML_GUESS);
    char *json = as_json(" \n{\"a\": \"\\u0041\"}", SP_YAML_GUESS);
    assert_string_equal(json, "{\"a\":\"A\"}");
    free(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_what_json_would_say),
        cmocka_unit_test(what_yaml_1_1_takes_for_something_else_is_text),
        cmocka_unit_test(every_key_and_value_has_its_place),
        cmocka_unit_test(what_has_no_one_meaning_is_refused),
        cmocka_unit_test(what_is_no_yaml_is_refused_with_its_place),
        cmocka_unit_test(limits_are_those_of_documents),
        cmocka_unit_test(a_saga_is_the_same_in_yaml_and_json),
        cmocka_unit_test(a_name_or_the_first_character_tells_the_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
