/* SQL over read models, and projections, by the public API: over a folder and over a server. */
#include "helper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static const char TASKS[] =
    "-- spoor: projection tasks version 1\n"
    "CREATE TABLE tasks (id TEXT PRIMARY KEY, state TEXT NOT NULL, cost REAL, raw BLOB);\n"
    "-- spoor: on task.created\n"
    "INSERT INTO tasks VALUES (:id, 'open', NULL, x'00ff');\n"
    "-- spoor: on task.done\n"
    "UPDATE tasks SET state = 'done', cost = CAST(:data ->> 'cost' AS REAL) WHERE id = :source;\n";

/* ---- answers as text ------------------------------------------------------------------------- */

struct seen {
    char text[4096];
    size_t rows;
    size_t stop_at; /* 0: never */
};

static void add(struct seen *seen, const char *format, ...) SP_PRINTF(2, 3);

static void add(struct seen *seen, const char *format, ...) {
    size_t len = strlen(seen->text);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(seen->text + len, sizeof(seen->text) - len, format, args);
    va_end(args);
}

static int on_columns(void *context, const spoor_str *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        add(context, "%s%.*s", i > 0 ? "|" : "", (int)names[i].len, names[i].ptr);
    }
    add(context, "\n");
    return 0;
}

static void add_value(struct seen *seen, const spoor_sql_value *value) {
    assert_non_null(value->text.ptr);
    switch (value->kind) {
    case SPOOR_SQL_NULL:
        add(seen, "NULL");
        break;
    case SPOOR_SQL_INTEGER:
        add(seen, "%lld", (long long)value->integer);
        break;
    case SPOOR_SQL_REAL:
        add(seen, "%.3f", value->real);
        break;
    case SPOOR_SQL_TEXT:
        add(seen, "'%.*s'", (int)value->text.len, value->text.ptr);
        break;
    case SPOOR_SQL_BLOB:
        for (size_t i = 0; i < value->text.len; i++) {
            add(seen, "%02x", (unsigned)(uint8_t)value->text.ptr[i]);
        }
        break;
    }
}

static int on_row(void *context, const spoor_sql_value *values, size_t count) {
    struct seen *seen = context;
    for (size_t i = 0; i < count; i++) {
        add(seen, "%s", i > 0 ? "|" : "");
        add_value(seen, &values[i]);
    }
    add(seen, "\n");
    seen->rows++;
    return seen->stop_at != 0 && seen->rows == seen->stop_at;
}

static spoor_sql_result expect_of(spoor *store, const spoor_sql_options *options,
                                  const char *rows) {
    struct seen seen = {.text = ""};
    spoor_sql_result result = SPOOR_SQL_RESULT_INIT;
    spoor_error error = {.status = SPOOR_OK};
    help_ok(spoor_sql(store, options, on_columns, on_row, &seen, &result, &error), &error);
    assert_string_equal(seen.text, rows);
    assert_int_equal(result.row_count, seen.rows);
    return result;
}

static spoor_sql_result expect(spoor *store, const char *sql, const char *rows) {
    spoor_sql_options options = SPOOR_SQL_INIT;
    options.sql = sql;
    options.seen = help_last_position(store);
    options.timeout_ms = 60000;
    return expect_of(store, &options, rows);
}

static void refused_of(spoor *store, const spoor_sql_options *options, spoor_status status,
                       const char *piece) {
    struct seen seen = {.text = ""};
    spoor_error error = {.status = SPOOR_OK};
    help_refused(spoor_sql(store, options, on_columns, on_row, &seen, NULL, &error), &error, status,
                 piece);
}

static void refused(spoor *store, const char *sql, spoor_status status, const char *piece) {
    spoor_sql_options options = SPOOR_SQL_INIT;
    options.sql = sql;
    refused_of(store, &options, status, piece);
}

static void take(void *context, const char *text, size_t len) {
    struct seen *seen = context;
    seen->text[0] = '\0';
    add(seen, "%.*s", (int)len, text);
}

static void add_tasks(spoor *store) {
    struct seen seen = {.text = ""};
    spoor_error error = {.status = SPOOR_OK};
    help_ok(spoor_projection_add(store, TASKS, sizeof(TASKS) - 1, take, &seen, &error), &error);
    assert_non_null(strstr(seen.text, "\"name\":\"tasks\""));
    help_put(store, "task.created", "maker", "t1");
    help_put(store, "task.created", "maker", "t2");
    spoor_event done = help_event("task.done", "t1", "{\"cost\": 1.5}");
    help_append(store, &done);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void rows_have_their_kinds(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    add_tasks(store);
    spoor_sql_result result = expect(store, "SELECT * FROM tasks ORDER BY id",
                                     "id|state|cost|raw\n"
                                     "'t1'|'done'|1.500|00ff\n"
                                     "'t2'|'open'|NULL|00ff\n");
    assert_true(result.position >= help_last_position(store));
    result = expect(store, "SELECT 7 AS n, -2.0 AS r, '' AS t", "n|r|t\n7|-2.000|''\n");
    assert_true(result.position == UINT64_MAX);
    help_put(store, "task.created", "maker", "t3"); /* and it goes on */
    (void)expect(store, "SELECT count(*) AS n FROM tasks", "n\n3\n");
    spoor_close(store);
}

static void parameters_are_bound(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    const spoor_sql_param named[] = {
        {.name = "id", .value = {.kind = SPOOR_SQL_TEXT, .text = spoor_text("t2")}},
        {.name = "n", .value = {.kind = SPOOR_SQL_INTEGER, .integer = INT64_MIN}},
    };
    const spoor_sql_param ordered[] = {
        {.value = {.kind = SPOOR_SQL_REAL, .real = 0.1}},
        {.value = {.kind = SPOOR_SQL_BLOB, .text = {"\x00\x01", 2}}},
        {.value = {.kind = SPOOR_SQL_NULL}},
        {.value = {.kind = SPOOR_SQL_TEXT, .text = spoor_text("7")}},
    };
    spoor_sql_options options = SPOOR_SQL_INIT;
    add_tasks(store);
    options.sql = "SELECT id, :n AS n FROM tasks WHERE id = :id";
    options.params = named;
    options.param_count = 2;
    options.seen = help_last_position(store);
    (void)expect_of(store, &options, "id|n\n't2'|-9223372036854775808\n");
    options.param_count = 1;
    refused_of(store, &options, SPOOR_INVALID, ":n has no value");
    options.sql = "SELECT ? = 0.1 AS a, ? AS b, ? AS c, ? AS d";
    options.params = ordered;
    options.param_count = 4;
    (void)expect_of(store, &options, "a|b|c|d\n1|0001|NULL|'7'\n");
    spoor_close(store);
}

static void what_is_wrong_has_its_status(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_sql_options options = SPOOR_SQL_INIT;
    add_tasks(store);
    (void)expect(store, "SELECT count(*) AS n FROM tasks", "n\n2\n");
    refused(store, "SELECT *\nFORM tasks", SPOOR_INVALID, "line 2, column 1");
    refused(store, "SELECT * FROM task", SPOOR_NOT_FOUND, "tasks");
    refused(store, "SELECT * FROM event_search", SPOOR_NOT_FOUND, "projection add event_search");
    refused(store, "DELETE FROM tasks", SPOOR_DENIED, "may only read");
    options.sql = "SELECT * FROM tasks";
    options.rows_max = 1;
    refused_of(store, &options, SPOOR_LIMIT, "more than 1 rows");
    options.rows_max = 0;
    options.seen = help_last_position(store) + 1000;
    refused_of(store, &options, SPOOR_INVALID, "not there yet");
    options.seen = 0;
    options.timeout_ms = 100;
    options.sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
                  " SELECT count(*) FROM c";
    refused_of(store, &options, SPOOR_TIMEOUT, "longer than 100 ms");
    options.sql = NULL;
    refused_of(store, &options, SPOOR_INVALID, "there is no SQL");
    options.size = 1;
    refused_of(store, &options, SPOOR_INVALID, "SPOOR_SQL_INIT");
    spoor_close(store);
}

static void a_callback_ends_the_query(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct seen seen = {.stop_at = 1};
    spoor_sql_options options = SPOOR_SQL_INIT;
    spoor_error error = {.status = SPOOR_OK};
    add_tasks(store);
    options.sql = "SELECT id FROM tasks ORDER BY id";
    options.seen = help_last_position(store);
    options.timeout_ms = 60000;
    assert_int_equal(spoor_sql(store, &options, NULL, on_row, &seen, NULL, &error),
                     SPOOR_CANCELLED);
    assert_string_equal(seen.text, "'t1'\n");
    spoor_close(store);
}

static int on_table(void *context, const spoor_table *table) {
    struct seen *seen = context;
    if (strncmp(table->projection.ptr, "tasks", table->projection.len) != 0) {
        return 0;
    }
    add(seen, "%.*s %d:", (int)table->name.len, table->name.ptr, table->is_view);
    for (size_t i = 0; i < table->column_count; i++) {
        const spoor_table_column *column = &table->columns[i];
        add(seen, " %.*s %.*s %u;", (int)column->name.len, column->name.ptr, (int)column->type.len,
            column->type.ptr, column->key);
    }
    return 0;
}

static void tables_are_told(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct seen seen = {.text = ""};
    spoor_error error = {.status = SPOOR_OK};
    add_tasks(store);
    (void)expect(store, "SELECT count(*) AS n FROM tasks", "n\n2\n");
    help_ok(spoor_tables(store, on_table, &seen, &error), &error);
    assert_string_equal(seen.text, "tasks 0: id TEXT 1; state TEXT 0; cost REAL 0; raw BLOB 0;");
    spoor_close(store);
}

static void projections_come_and_go(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct seen seen = {.text = ""};
    spoor_error error = {.status = SPOOR_OK};
    add_tasks(store);
    (void)expect(store, "SELECT count(*) AS n FROM tasks", "n\n2\n");
    help_ok(spoor_projection_list(store, take, &seen, &error), &error);
    assert_non_null(strstr(seen.text, "\"name\":\"agent_stats\""));
    assert_non_null(strstr(seen.text, "\"name\":\"tasks\""));
    help_ok(spoor_projection_status(store, "tasks", take, &seen, &error), &error);
    assert_non_null(strstr(seen.text, "\"version\":1"));
    help_ok(spoor_projection_rebuild(store, "tasks", take, &seen, &error), &error);
    (void)expect(store, "SELECT count(*) AS n FROM tasks", "n\n2\n");
    help_refused(spoor_projection_status(store, "nothing", take, &seen, &error), &error,
                 SPOOR_NOT_FOUND, "nothing");
    help_refused(spoor_projection_add(store, "SELECT 1", 8, take, &seen, &error), &error,
                 SPOOR_INVALID, "line 1");
    help_ok(spoor_projection_remove(store, "tasks", &error), &error);
    help_refused(spoor_projection_status(store, "tasks", NULL, NULL, &error), &error,
                 SPOOR_NOT_FOUND, "tasks");
    help_ok(spoor_projection_add_shipped(store, "event_search", NULL, NULL, &error), &error);
    help_ok(spoor_projection_status(store, "event_search", take, &seen, &error), &error);
    spoor_close(store);
}

static void a_store_that_is_only_read_is_asked(void **state) {
    (void)state;
    help_needs_folder();
    spoor *store = help_open(SPOOR_CREATE);
    add_tasks(store);
    spoor_close(store);
    for (int i = 0; i < 2; i++) { /* it fills the tables, then finds them filled */
        store = help_open(SPOOR_READ_ONLY);
        (void)expect(store, "SELECT count(*) AS n FROM tasks", "n\n2\n");
        (void)expect(store, "SELECT state FROM tasks WHERE id = 't1'", "state\n'done'\n");
        spoor_close(store);
    }
}

/* A read model that has stopped is shown as far as it came, and says so. */
static void what_has_stopped_is_told(void **state) {
    static const char SHARES[] = "-- spoor: projection shares version 1\n"
                                 "CREATE TABLE shares (n BIGINT NOT NULL CHECK (n > 0));\n"
                                 "-- spoor: on share\n"
                                 "INSERT INTO shares VALUES (CAST(:data ->> 'n' AS BIGINT));\n";
    (void)state;
    help_needs_folder();
    spoor *store = help_open(SPOOR_CREATE);
    spoor_error error = {.status = SPOOR_OK};
    spoor_sql_options options = SPOOR_SQL_INIT;
    help_ok(spoor_projection_add(store, SHARES, sizeof(SHARES) - 1, NULL, NULL, &error), &error);
    spoor_event good = help_event("share", "s", "{\"n\": 2}");
    spoor_event bad = help_event("share", "s", "{\"n\": 0}");
    help_append(store, &good);
    spoor_appended failed = help_append(store, &bad);
    options.sql = "SELECT sum(n) AS n FROM shares";
    spoor_sql_result result = expect_of(store, &options, "n\n2\n");
    char place[32];
    (void)snprintf(place, sizeof(place), "%llu", (unsigned long long)failed.position);
    assert_non_null(strstr(result.notice, place));
    options.seen = failed.position;
    refused_of(store, &options, SPOOR_FAILED, place);
    spoor_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_have_their_kinds, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(parameters_are_bound, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(what_is_wrong_has_its_status, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(a_callback_ends_the_query, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(tables_are_told, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(projections_come_and_go, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(a_store_that_is_only_read_is_asked, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(what_has_stopped_is_told, help_begin, help_end_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
