/* SQL and values on their way to PostgreSQL: no server is needed for that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "project/postgres_sql.h"

static void check_query(const char *text, const char *wanted, uint32_t params) {
    struct sp_pg_query query;
    struct sp_error error = {0};
    if (sp_pg_query_init(&query, sp_str_from(text), 100, &error) != SP_OK) {
        fail_msg("%s: %s", text, error.text);
    }
    assert_string_equal((const char *)query.text.data, wanted);
    assert_int_equal(query.param_count, params);
    sp_pg_query_fini(&query);
}

static void parameters_become_numbers(void **state) {
    (void)state;
    check_query("SELECT 1", "SELECT 1", 0);
    check_query("SELECT :a, :b, :a", "SELECT $1, $2, $1", 2);
    check_query("SELECT ?, ?, ?1, ?5, ?", "SELECT $1, $2, $1, $5, $6", 6);
    check_query("SELECT ':a', \":b\", a::text, $$ :c ? $$ -- :d ?\n, /* :e */ :f",
                "SELECT ':a', \":b\", a::text, $$ :c ? $$ -- :d ?\n, /* :e */ $1", 1);
    check_query("SELECT ?", "SELECT $1", 1);
    check_query("-- spoor: on a\nSELECT :x;", "-- spoor: on a\nSELECT $1;", 1);
    check_query("(SELECT ?+?)", "(SELECT $1+$2)", 2);
}

static void check_fails(const char *text, sp_status wanted, const char *part) {
    struct sp_pg_query query;
    struct sp_error error = {0};
    assert_int_equal(sp_pg_query_init(&query, sp_str_from(text), 100, &error), wanted);
    if (strstr(error.text, part) == NULL) {
        fail_msg("%s: '%s' does not say '%s'", text, error.text, part);
    }
}

static void what_is_no_query_is_refused(void **state) {
    (void)state;
    check_fails("", SP_INVALID, "no statement");
    check_fails("-- nothing", SP_INVALID, "no statement");
    check_fails("UPDATE t SET a = 1", SP_DENIED, "line 1, column 1: UPDATE");
    check_fails("SELECT $1", SP_INVALID, "column 8: parameters are written");
    check_fails("SELECT ?101", SP_LIMIT, "more than 100 parameters");
    check_fails("SELECT ?0", SP_LIMIT, "more than 100");
    check_fails("SELECT ?1x", SP_INVALID, "expected a parameter's number");
    check_fails("SELECT ?99999999999999999999", SP_INVALID, "expected a parameter's number");
    check_fails("SELECT 'x", SP_INVALID, "does not end");
    check_fails("SELECT \x01", SP_INVALID, "control character");
    check_fails("SELECT 1,\n pg_sleep(1)", SP_DENIED, "line 2, column 2: pg_sleep");
    check_fails("SELECT PG_Sleep /* */ (1)", SP_DENIED, "PG_Sleep");
    check_fails("SELECT \"lo_export\"(1)", SP_DENIED, "reaches outside");
    check_fails("SELECT query_to_xml_and_xmlschema('x')", SP_DENIED, "reaches outside");
    check_fails("SELECT u&\"\\0070g_sleep\"(1)", SP_DENIED, "U&");
    check_query("SELECT pg_typeof(pg_sleep) FROM t", "SELECT pg_typeof(pg_sleep) FROM t", 0);
}

/* PostgreSQL counts characters of the text with `$n`; people look for bytes of their own text. */
static void places_are_those_of_the_own_text(void **state) {
    (void)state;
    struct sp_pg_query query;
    sp_str text = SP_STR("SELECT :abc, '\xc3\xa9\xe2\x82\xac', :abc + x FROM t");
    assert_int_equal(sp_pg_query_init(&query, text, 10, NULL), SP_OK);
    static const struct {
        uint64_t place;
        const char *at;
    } CASES[] = {
        {1, "SELECT"},        {8, ":abc,"},      {9, ":abc,"},   {10, ", '"},    {13, "\xc3\xa9"},
        {14, "\xe2\x82\xac"}, {15, "', :abc +"}, {18, ":abc +"}, {23, "x FROM"}, {30, "t"}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        size_t at = sp_pg_place(text, query.uses, query.use_count, CASES[i].place);
        if (!sp_str_starts_with(sp_str_from_byte(text, at), sp_str_from(CASES[i].at))) {
            fail_msg("place %u is byte %zu", (unsigned)CASES[i].place, at);
        }
    }
    assert_int_equal(sp_pg_place(text, query.uses, query.use_count, 1000), text.len);
    sp_pg_query_fini(&query);
}

static void check_text(sp_str text, sp_str wanted) {
    struct sp_buf to;
    sp_buf_init(&to, 1000);
    sp_pg_text_add(&to, text);
    assert_true(sp_str_eq(sp_buf_str(&to), wanted));
    sp_buf_fini(&to);
}

static void check_json(const char *json, const char *wanted) {
    struct sp_buf to;
    sp_buf_init(&to, 1000);
    sp_pg_json_add(&to, sp_str_from(json));
    sp_buf_add_byte(&to, '\0');
    assert_string_equal((const char *)to.data, wanted);
    sp_buf_fini(&to);
}

static void what_it_cannot_hold_is_replaced(void **state) {
    (void)state;
    check_text(SP_STR(""), SP_STR(""));
    check_text(SP_STR("gr\xc3\xbc\xc3\x9f"), SP_STR("gr\xc3\xbc\xc3\x9f"));
    check_text(sp_str_of("a\0b", 3), SP_STR("a\xef\xbf\xbd"
                                            "b"));
    check_text(SP_STR("\xff\xc3"), SP_STR("\xef\xbf\xbd\xef\xbf\xbd"));
    check_json("{\"a\": \"\\u0000\"}", "{\"a\": \"\\ufffd\"}");
    check_json("\"\\\\u0000\\u0000\\n\\u00001\\\\\"", "\"\\\\u0000\\ufffd\\n\\ufffd1\\\\\"");
    check_json("[1, \"u0000\", \"\\\"\\u0041\"]", "[1, \"u0000\", \"\\\"\\u0041\"]");
    assert_int_equal(sp_pg_text_cut(SP_STR("ab\xe2\x82\xac"), 4).len, 2);
    assert_int_equal(sp_pg_text_cut(SP_STR("ab\xe2\x82\xac"), 5).len, 5);
    assert_int_equal(sp_pg_text_cut(SP_STR("\xe2\x82\xac"), 2).len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_become_numbers),
        cmocka_unit_test(what_is_no_query_is_refused),
        cmocka_unit_test(places_are_those_of_the_own_text),
        cmocka_unit_test(what_it_cannot_hold_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
