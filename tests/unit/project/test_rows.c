/* Answers as JSON, NDJSON and CSV, and JSON as parameters. */
#include "../engine/folder.h"

#include "base/json.h"
#include "project/rows.h"

static const sp_str NAMES[] = {SP_STR("id"), SP_STR("n, m"), SP_STR("id")};

static void add_rows(struct sp_rows_writer *writer) {
    const struct sp_sql_value first[] = {{.kind = SP_SQL_TEXT, .text = SP_STR("a \"b\"")},
                                         {.kind = SP_SQL_INTEGER, .integer = INT64_MIN},
                                         {.kind = SP_SQL_BLOB, .text = SP_STR("\1\2")}};
    const struct sp_sql_value second[] = {{.kind = SP_SQL_NULL},
                                          {.kind = SP_SQL_REAL, .real = 2},
                                          {.kind = SP_SQL_TEXT, .text = SP_STR("")}};
    assert_true(sp_rows_writing.columns(writer, NAMES, 3));
    assert_true(sp_rows_writing.row(writer, first, 3));
    assert_true(sp_rows_writing.row(writer, second, 3));
}

static void gives(enum sp_rows_form form, const struct sp_sql_done *done, const char *wanted) {
    struct sp_rows_writer writer;
    struct sp_buf text;
    sp_buf_init(&text, 4096);
    sp_rows_writer_init(&writer, form, &text);
    add_rows(&writer);
    sp_rows_writer_end(&writer, done);
    sp_rows_writer_fini(&writer);
    sp_buf_add_byte(&text, '\0');
    assert_string_equal((const char *)text.data, wanted);
    sp_buf_fini(&text);
}

static void answers_have_their_forms(void **state) {
    const struct sp_sql_done done = {.position = 42};
    const struct sp_sql_done cut = {.position = UINT64_MAX, .cut = true};
    (void)state;
    gives(SP_ROWS_JSON, &done,
          "{\"columns\":[\"id\",\"n, m\",\"id\"],\"rows\":["
          "[\"a \\\"b\\\"\",-9223372036854775808,{\"$base64\":\"AQI=\"}],\n"
          "[null,2.0,\"\"]],\"position\":42}\n");
    gives(SP_ROWS_NDJSON, &cut,
          "{\"id\":\"a \\\"b\\\"\",\"n, m\":-9223372036854775808,"
          "\"id:1\":{\"$base64\":\"AQI=\"}}\n"
          "{\"id\":null,\"n, m\":2.0,\"id:1\":\"\"}\n");
    gives(SP_ROWS_CSV, &done,
          "id,\"n, m\",id\r\n\"a \"\"b\"\"\",-9223372036854775808,AQI=\r\n,2.0,\"\"\r\n");
}

static void what_was_cut_says_so(void **state) {
    const struct sp_sql_done cut = {.position = UINT64_MAX, .cut = true};
    struct sp_rows_writer writer;
    struct sp_buf text;
    (void)state;
    sp_buf_init(&text, 4096);
    sp_rows_writer_init(&writer, SP_ROWS_JSON, &text);
    assert_true(sp_rows_writing.columns(&writer, NAMES, 1));
    sp_rows_writer_end(&writer, &cut);
    assert_true(
        sp_str_eq(sp_buf_str(&text), SP_STR("{\"columns\":[\"id\"],\"rows\":[],\"position\":null,"
                                            "\"cut\":true}\n")));
    sp_rows_writer_fini(&writer);
    sp_buf_fini(&text);
}

static void a_full_buffer_ends_the_query(void **state) {
    struct sp_rows_writer writer;
    struct sp_buf text;
    const struct sp_sql_value value = {.kind = SP_SQL_TEXT, .text = SP_STR("0123456789")};
    (void)state;
    sp_buf_init(&text, 40);
    sp_rows_writer_init(&writer, SP_ROWS_JSON, &text);
    assert_true(sp_rows_writing.columns(&writer, NAMES, 1));
    bool fine = true;
    for (int i = 0; i < 10 && fine; i++) {
        fine = sp_rows_writing.row(&writer, &value, 1);
    }
    assert_false(fine);
    assert_int_equal(text.status, SP_LIMIT);
    sp_rows_writer_fini(&writer);
    sp_buf_fini(&text);
}

static bool reads(const char *text, struct sp_buf *to, struct sp_sql_value *value) {
    struct sp_json json;
    sp_json_init(&json, sp_str_from(text));
    struct sp_json_token token = sp_json_next(&json);
    sp_str raw = sp_json_skip(&json, token);
    return sp_rows_read_json(token, raw, to, value);
}

static void json_is_a_parameter(void **state) {
    struct sp_buf to;
    struct sp_sql_value value;
    (void)state;
    sp_buf_init(&to, 4096);
    assert_non_null(sp_buf_reserve(&to, 4096));
    assert_true(reads("null", &to, &value) && value.kind == SP_SQL_NULL);
    assert_true(reads("true", &to, &value) && value.kind == SP_SQL_INTEGER && value.integer == 1);
    assert_true(reads("-9223372036854775808", &to, &value) && value.kind == SP_SQL_INTEGER);
    assert_true(value.integer == INT64_MIN);
    assert_true(reads("9223372036854775808", &to, &value) && value.kind == SP_SQL_REAL);
    assert_true(reads("1.5e2", &to, &value) && value.kind == SP_SQL_REAL && value.real == 150);
    assert_false(reads("1e999", &to, &value));
    assert_true(reads("\"a\\n\"", &to, &value) && value.kind == SP_SQL_TEXT);
    assert_true(sp_str_eq(value.text, SP_STR("a\n")));
    assert_true(reads("\"\"", &to, &value) && value.kind == SP_SQL_TEXT && value.text.len == 0);
    assert_true(reads("[1, {}]", &to, &value) && value.kind == SP_SQL_TEXT);
    assert_true(sp_str_eq(value.text, SP_STR("[1, {}]")));
    assert_true(reads("{\"$base64\": \"AQI=\"}", &to, &value) && value.kind == SP_SQL_BLOB);
    assert_true(sp_str_eq(value.text, SP_STR("\1\2")));
    assert_false(reads("{\"$base64\": \"A\"}", &to, &value));
    assert_true(reads("{\"$base64\": \"AQI=\", \"x\": 1}", &to, &value));
    assert_int_equal(value.kind, SP_SQL_TEXT);
    sp_buf_fini(&to);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_have_their_forms),
        cmocka_unit_test(what_was_cut_says_so),
        cmocka_unit_test(a_full_buffer_ends_the_query),
        cmocka_unit_test(json_is_a_parameter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
