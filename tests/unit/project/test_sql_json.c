/* Values of rows as JSON. */
#include "../engine/folder.h"

#include <math.h>

#include "project/sql_json.h"

static void gives(struct sp_sql_value value, const char *wanted) {
    struct sp_buf text;
    sp_buf_init(&text, SIZE_MAX);
    sp_sql_json_add(&text, &value);
    sp_buf_add_byte(&text, '\0');
    assert_string_equal((const char *)text.data, wanted);
    sp_buf_fini(&text);
}

static void every_kind_has_its_form(void **state) {
    (void)state;
    gives((struct sp_sql_value){.kind = SP_SQL_NULL}, "null");
    gives((struct sp_sql_value){.kind = SP_SQL_INTEGER, .integer = INT64_MIN},
          "-9223372036854775808");
    gives((struct sp_sql_value){.kind = SP_SQL_REAL, .real = 0.1}, "0.1");
    gives((struct sp_sql_value){.kind = SP_SQL_REAL, .real = 1.0 / 3}, "0.3333333333333333");
    gives((struct sp_sql_value){.kind = SP_SQL_REAL, .real = 7}, "7.0");
    gives((struct sp_sql_value){.kind = SP_SQL_REAL, .real = 1e300}, "1e+300");
    gives((struct sp_sql_value){.kind = SP_SQL_REAL, .real = -INFINITY}, "null");
    gives((struct sp_sql_value){.kind = SP_SQL_TEXT, .text = SP_STR("a \"b\"\n")},
          "\"a \\\"b\\\"\\n\"");
    gives((struct sp_sql_value){.kind = SP_SQL_TEXT, .text = SP_STR("\xff")},
          "{\"$base64\":\"/w==\"}");
    gives((struct sp_sql_value){.kind = SP_SQL_BLOB, .text = SP_STR("ab")},
          "{\"$base64\":\"YWI=\"}");
}

static void a_row_is_an_object(void **state) {
    (void)state;
    const sp_str names[] = {SP_STR("a"), SP_STR("b\"")};
    const struct sp_sql_value values[] = {{.kind = SP_SQL_INTEGER, .integer = 1},
                                          {.kind = SP_SQL_TEXT, .text = SP_STR("x")}};
    struct sp_buf text;
    sp_buf_init(&text, SIZE_MAX);
    sp_sql_json_add_object(&text, names, values, 2);
    sp_sql_json_add_object(&text, names, values, 0);
    assert_true(sp_str_eq(sp_buf_str(&text), SP_STR("{\"a\":1,\"b\\\"\":\"x\"}{}")));
    sp_buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_its_form),
        cmocka_unit_test(a_row_is_an_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
