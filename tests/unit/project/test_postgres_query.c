/* Queries on PostgreSQL: values, parameters, limits, errors, and the moment that is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres_server.h"
#include "project/postgres.h"
#include "project/query.h"

static struct postgres_server server;
static char url[640];
static struct sp_sink *sink;
static struct sp_sql_reader *reader;

static struct sp_definition *parse(const char *text) {
    struct sp_definition *definition = NULL;
    struct sp_error error = {0};
    if (sp_definition_parse(sp_str_from(text), &definition, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    return definition;
}

/* A build with what its set-up puts into it, at a position; it becomes the current one. */
static void add_build(const char *text, uint64_t number, uint64_t position) {
    struct sp_error error = {0};
    struct sp_definition *definition = parse(text);
    struct sp_build *build = NULL;
    if (sink->ops->open(sink, definition, number, &build, &error) != SP_OK ||
        build->ops->begin(build, &error) != SP_OK ||
        build->ops->commit(build, position, &error) != SP_OK ||
        sink->ops->swap(sink, sp_str_from(definition->name), number, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    build->ops->close(build);
    sp_definition_unref(definition);
}

static const char AGENTS[] =
    "-- spoor: projection agents version 1\n"
    "CREATE TABLE agents (agent_id TEXT PRIMARY KEY, runs BIGINT NOT NULL, rate DOUBLE PRECISION,"
    " busy BOOLEAN);\n"
    "CREATE TABLE places (x BIGINT, y INTEGER, note TEXT, PRIMARY KEY (y, x));\n"
    "CREATE VIEW active AS SELECT agent_id FROM agents WHERE runs > 2;\n"
    "INSERT INTO agents VALUES ('anna', 3, 0.5, TRUE), ('bert', 1, NULL, FALSE),"
    " ('carla', 7, 2.25, NULL);\n"
    "-- spoor: on a\nDELETE FROM agents;\n";

static const char TOOLS[] = "-- spoor: projection tools version 1\n"
                            "CREATE TABLE tools (tool TEXT PRIMARY KEY, calls BIGINT NOT NULL);\n"
                            "INSERT INTO tools VALUES ('search', 12), ('fetch', 30);\n"
                            "-- spoor: on a\nDELETE FROM tools;\n";

/* ---- asking ---- */

/* An answer as text: names and rows, `|` between values and a line each. */
struct answer {
    char text[8192];
    size_t length;
    struct sp_sql_done done;
    struct sp_error error;
};

static SP_PRINTF(2, 3) void put(struct answer *answer, const char *format, ...) {
    va_list args;
    va_start(args, format);
    size_t room = sizeof(answer->text) - answer->length;
    int wrote = vsnprintf(answer->text + answer->length, room, format, args);
    va_end(args);
    assert_true(wrote >= 0 && (size_t)wrote < room);
    answer->length += (size_t)wrote;
}

static bool take_columns(void *context, const sp_str *names, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        put(context, "%s%.*s", i > 0 ? "|" : "", SP_STR_ARG(names[i]));
    }
    return true;
}

static void put_value(struct answer *answer, const struct sp_sql_value *value) {
    switch (value->kind) {
    case SP_SQL_NULL:
        put(answer, "NULL");
        break;
    case SP_SQL_INTEGER:
        put(answer, "%lld", (long long)value->integer);
        break;
    case SP_SQL_REAL:
        put(answer, "r%.17g", value->real);
        break;
    case SP_SQL_TEXT:
        put(answer, "'%.*s'", SP_STR_ARG(value->text));
        break;
    case SP_SQL_BLOB:
        for (size_t i = 0; i < value->text.len; i++) {
            put(answer, "%s%02x", i == 0 ? "x" : "", (unsigned char)value->text.ptr[i]);
        }
        break;
    }
}

static bool take_row(void *context, const struct sp_sql_value *values, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        put(context, "%s", i > 0 ? "|" : "\n");
        put_value(context, &values[i]);
    }
    return true;
}

static const struct sp_rows ROWS = {.columns = take_columns, .row = take_row};

static sp_status ask(const struct sp_sql *sql, struct answer *answer) {
    answer->length = 0;
    answer->text[0] = '\0';
    sp_error_clear(&answer->error);
    return sp_reader_query(reader, sql, &ROWS, answer, &answer->done, &answer->error);
}

static void check_of(const struct sp_sql *sql, const char *wanted) {
    struct answer answer;
    if (ask(sql, &answer) != SP_OK) {
        fail_msg("%.*s: %s", SP_STR_ARG(sql->text), answer.error.text);
    }
    assert_string_equal(answer.text, wanted);
}

static void check(const char *text, const char *wanted) {
    check_of(&(struct sp_sql){.text = sp_str_from(text)}, wanted);
}

static void check_fails_of(const struct sp_sql *sql, sp_status wanted, const char *part) {
    struct answer answer;
    sp_status status = ask(sql, &answer);
    if (status != wanted || answer.error.status != wanted ||
        strstr(answer.error.text, part) == NULL) {
        fail_msg("%.*s: %s: %s", SP_STR_ARG(sql->text), sp_status_name(status), answer.error.text);
    }
    check("SELECT 1 AS fine", "fine\n1"); /* the reader is as good as before */
}

static void check_fails(const char *text, sp_status wanted, const char *part) {
    check_fails_of(&(struct sp_sql){.text = sp_str_from(text)}, wanted, part);
}

/* ---- tests ---- */

static void values_are_those_that_sqlite_would_give(void **state) {
    (void)state;
    check("SELECT agent_id, runs, rate, busy FROM agents ORDER BY runs",
          "agent_id|runs|rate|busy\n'bert'|1|NULL|0\n'anna'|3|r0.5|1\n'carla'|7|r2.25|NULL");
    check("SELECT SUM(runs), AVG(runs), COUNT(*), MAX(rate), 7 / 2, 7.0 / 2 FROM agents",
          "sum|avg|count|max|?column?|?column?\n"
          "11|r3.6666666666666665|3|r2.25|3|r3.5");
    check("SELECT 1e300::float8 * 10, 'NaN'::float8, '-Infinity'::float8, 12345678901234567890.0,"
          " 12345678901234567890, 9223372036854775807",
          "?column?|float8|float8|?column?|?column?|?column?\n"
          "r1.0000000000000001e+301|NULL|r-inf|r1.2345678901234567e+19|"
          "r1.2345678901234567e+19|9223372036854775807");
    check("SELECT '\\x00ff'::bytea, ''::bytea, '\\x01'::bytea, '{\"a\":1}'::jsonb, "
          "TIMESTAMP '2026-11-20 05:49:12'",
          "bytea|bytea|bytea|jsonb|timestamp\nx00ff||x01|'{\"a\": 1}'|'2026-11-20 05:49:12'");
    check("SELECT agent_id FROM agents WHERE runs > 100", "agent_id");
    check("WITH a AS (SELECT runs FROM agents) SELECT COUNT(*) AS n FROM a;", "n\n3");
    check("VALUES (1, 'x')", "column1|column2\n1|'x'");
    check("SELECT agent_id FROM active ORDER BY 1", "agent_id\n'anna'\n'carla'");
    check("SELECT a.agent_id, t.calls FROM agents a, TOOLS t WHERE t.tool = 'fetch' AND a.runs = 1",
          "agent_id|calls\n'bert'|30");
    check("SELECT agent_id, rate FROM agents GROUP BY agent_id HAVING runs = 1",
          "agent_id|rate\n'bert'|NULL");
}

static void parameters_are_given_by_name_and_by_order(void **state) {
    (void)state;
    const struct sp_sql_value by_name[] = {
        {.kind = SP_SQL_INTEGER, .integer = 1, .name = SP_STR("least")},
        {.kind = SP_SQL_TEXT, .text = SP_STR("carla"), .name = SP_STR("who")}};
    check_of(&(struct sp_sql){.text = SP_STR("SELECT agent_id FROM agents WHERE runs > :least AND "
                                             "agent_id <> :who -- :least, 'x' :who"),
                              .params = by_name,
                              .param_count = 2},
             "agent_id\n'anna'");
    const struct sp_sql_value by_order[] = {{.kind = SP_SQL_REAL, .real = 1.5},
                                            {.kind = SP_SQL_INTEGER, .integer = 9},
                                            {.kind = SP_SQL_NULL},
                                            {.kind = SP_SQL_BLOB, .text = SP_STR("\x01\x02")},
                                            {.kind = SP_SQL_TEXT, .text = SP_STR("it's")}};
    check_of(&(struct sp_sql){.text = SP_STR("SELECT agent_id, ? IS NULL, ?2 + 1, ?4, ?5 FROM "
                                             "agents WHERE runs > ?1 AND ?3 IS NULL ORDER BY 1"),
                              .params = by_order,
                              .param_count = 5},
             "agent_id|?column?|?column?|?column?|?column?\n'anna'|0|10|x0102|'it's'\n"
             "'carla'|0|10|x0102|'it's'");
    /* A number where a text stands, and where a smaller number is wanted. */
    const struct sp_sql_value number[] = {{.kind = SP_SQL_INTEGER, .integer = 2}};
    check_of(&(struct sp_sql){.text = SP_STR("SELECT substr(agent_id, ?) FROM agents LIMIT 1"),
                              .params = number,
                              .param_count = 1},
             "substr\n'nna'");
    check_fails_of(
        &(struct sp_sql){.text = SP_STR("SELECT :a"), .params = number, .param_count = 0},
        SP_INVALID, "");
    check_fails_of(&(struct sp_sql){.text = SP_STR("SELECT 1"), .params = number, .param_count = 1},
                   SP_INVALID, "parameters");
}

static void errors_name_the_place(void **state) {
    (void)state;
    check_fails("SELECT runs,\n  nothing FROM agents", SP_INVALID,
                "line 2, column 3: PostgreSQL: column \"nothing\" does not exist");
    check_fails("SELECT runs FROM agents WHERE", SP_INVALID, "syntax error");
    check_fails("SELECT * FROM agent", SP_NOT_FOUND,
                "line 1, column 15: there is no table 'agent'");
    check_fails("SELECT 1; SELECT 2", SP_INVALID, "multiple commands");
    check_fails("", SP_INVALID, "there is no statement");
    check_fails("SELECT 'x", SP_INVALID, "does not end");
    check_fails("SELECT 1 / 0", SP_INVALID, "division by zero");
    const struct sp_sql_value who[] = {{.kind = SP_SQL_TEXT, .text = SP_STR("x")}};
    check_fails_of(&(struct sp_sql){.text = SP_STR("SELECT '\xc3\xa9', ?1, ?1, missing"),
                                    .params = who,
                                    .param_count = 1},
                   SP_INVALID, "line 1, column 22: PostgreSQL: column \"missing\"");
}

static void nothing_can_be_changed(void **state) {
    (void)state;
    static const char *const denied[] = {
        "DELETE FROM agents",
        "WITH gone AS (DELETE FROM agents RETURNING *) SELECT * FROM gone",
        "SELECT * INTO more FROM agents",
        "COMMIT",
        "SET TRANSACTION READ WRITE",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "SELECT \"pg_read_file\" ('x')",
        "SELECT U&\"p\\0067_sleep\"(1)",
        "SELECT pg_advisory_lock(1)",
        "EXPLAIN ANALYZE DELETE FROM agents",
        "COPY agents TO STDOUT",
        "SELECT * FROM agents FOR UPDATE",
    };
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
        check_fails(denied[i], SP_DENIED, "");
    }
    check("SELECT COUNT(*) AS n FROM agents", "n\n3");
}

static void answers_have_limits(void **state) {
    (void)state;
    struct sp_sql sql = {.text = SP_STR("SELECT * FROM generate_series(1, 1000000) AS n"),
                         .rows_max = 3};
    check_fails_of(&sql, SP_LIMIT, "more than 3 rows");
    sql.cut = true;
    check_of(&sql, "n\n1\n2\n3");
    sql.rows_max = 1000000;
    sql.bytes_max = 20;
    check_of(&sql, "n\n1\n2");
    sql.cut = false;
    check_fails_of(&sql, SP_LIMIT, "more than 20 bytes");
    sql =
        (struct sp_sql){.text = SP_STR("SELECT * FROM generate_series(1, 3) AS n"), .rows_max = 3};
    check_of(&sql, "n\n1\n2\n3");
    sql = (struct sp_sql){
        .text = SP_STR("SELECT COUNT(*) FROM generate_series(1, 100000) a, generate_series(1, "
                       "1000000) b"),
        .timeout_ms = 50};
    check_fails_of(&sql, SP_TIMEOUT, "longer than 50 ms");
}

static void *interrupt_soon(void *context) {
    (void)context;
    for (int i = 0; i < 100; i++) { /* again and again: it may not run yet */
        sp_sleep_us(20000);
        sp_reader_interrupt(reader);
    }
    return NULL;
}

static void a_query_can_be_interrupted(void **state) {
    (void)state;
    pthread_t thread;
    struct answer answer;
    struct sp_sql sql = {
        .text = SP_STR("SELECT COUNT(*) FROM generate_series(1, 1000000) a, generate_series(1, "
                       "1000000) b"),
        .timeout_ms = 600000};
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, NULL), 0);
    assert_int_equal(ask(&sql, &answer), SP_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    check("SELECT 1 AS fine", "fine\n1");
}

static void the_position_is_that_of_what_is_read(void **state) {
    (void)state;
    struct answer answer;
    struct sp_sql sql = {.text = SP_STR("SELECT calls FROM tools"), .seen = 55};
    assert_int_equal(ask(&sql, &answer), SP_OK);
    assert_int_equal(answer.done.position, 60);
    sql.text = SP_STR("SELECT COUNT(*) FROM tools, active");
    assert_int_equal(ask(&sql, &answer), SP_BUSY);
    assert_string_equal(answer.done.lagging, "agents");
    assert_int_equal(answer.done.position, 40);
    assert_string_equal(answer.text, "");
    sql.text = SP_STR("SELECT 1");
    assert_int_equal(ask(&sql, &answer), SP_OK);
    assert_true(answer.done.position == UINT64_MAX);
}

static bool take_table(void *context, const struct sp_sql_table *table) {
    put(context, "%.*s.%.*s%s@%llu(", SP_STR_ARG(table->projection), SP_STR_ARG(table->name),
        table->view ? " view" : "", (unsigned long long)table->position);
    for (uint32_t i = 0; i < table->column_count; i++) {
        put(context, "%s%.*s %.*s %u", i > 0 ? ", " : "", SP_STR_ARG(table->columns[i].name),
            SP_STR_ARG(table->columns[i].type), table->columns[i].key);
    }
    put(context, ") ");
    return true;
}

static void tables_are_listed_with_their_keys(void **state) {
    (void)state;
    struct answer answer = {.length = 0};
    assert_int_equal(sp_reader_tables(reader, SP_STR(""), take_table, &answer, &answer.error),
                     SP_OK);
    assert_string_equal(
        answer.text,
        "agents.active view@40(agent_id text 0) "
        "agents.agents@40(agent_id text 1, runs bigint 0, rate double precision 0, busy boolean 0) "
        "agents.places@40(x bigint 2, y integer 1, note text 0) "
        "tools.tools@60(tool text 1, calls bigint 0) ");
    answer.length = 0;
    assert_int_equal(sp_reader_tables(reader, SP_STR("Tools.tools"), take_table, &answer, NULL),
                     SP_OK);
    assert_string_equal(answer.text, "tools.tools@60(tool text 1, calls bigint 0) ");
    assert_int_equal(sp_reader_tables(reader, SP_STR("tool"), take_table, &answer, &answer.error),
                     SP_NOT_FOUND);
    assert_non_null(strstr(answer.error.text, "tools"));
}

/* People's locks delay a swap, which gets through all the same; queries notice neither. */
static void *hold_a_view(void *context) {
    (void)context;
    (void)postgres_server_psql(&server, "BEGIN; SELECT COUNT(*) FROM spoor.tools; "
                                        "SELECT pg_sleep(1); COMMIT");
    return NULL;
}

static void a_swap_is_seen_by_the_next_query(void **state) {
    (void)state;
    pthread_t thread;
    check("SELECT calls FROM tools WHERE tool = 'search'", "calls\n12");
    assert_int_equal(pthread_create(&thread, NULL, hold_a_view, NULL), 0);
    sp_sleep_us(300000);
    add_build("-- spoor: projection tools version 2\n"
              "CREATE TABLE tools (tool TEXT PRIMARY KEY, calls BIGINT NOT NULL, errors BIGINT);\n"
              "INSERT INTO tools VALUES ('search', 13, 1);\n"
              "-- spoor: on a\nDELETE FROM tools;\n",
              2, 70);
    assert_int_equal(pthread_join(thread, NULL), 0);
    check("SELECT * FROM tools", "tool|calls|errors\n'search'|13|1");
    assert_int_equal(sink->ops->drop(sink, SP_STR("tools"), 1, NULL), SP_OK);
    check("SELECT * FROM tools", "tool|calls|errors\n'search'|13|1");
}

static void a_query_survives_a_restart(void **state) {
    (void)state;
    check("SELECT COUNT(*) AS n FROM agents", "n\n3");
    (void)postgres_server_ask(&server, "stop");
    struct answer answer;
    struct sp_sql sql = {.text = SP_STR("SELECT COUNT(*) AS n FROM agents")};
    assert_int_equal(ask(&sql, &answer), SP_IO);
    (void)postgres_server_ask(&server, "start");
    check("SELECT COUNT(*) AS n FROM agents", "n\n3");
    (void)postgres_server_ask(&server, "stop");
    (void)postgres_server_ask(&server, "start");
    check("SELECT COUNT(*) AS n FROM agents", "n\n3"); /* the connection was lost while idle */
}

static void open_all(void) {
    struct sp_error error = {0};
    struct sp_postgres_options options = {
        .url = sp_str_from(url), .uuid = {7}, .clock = sp_clock_system()};
    if (sp_postgres_sink_open(&options, &sink, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    add_build(AGENTS, 1, 40);
    add_build(TOOLS, 1, 60);
    assert_int_equal(sink->ops->reader_new(sink, &reader, &error), SP_OK);
}

static int start_all(void **state) {
    (void)state;
    struct sp_postgres_options options = {.url = SP_STR("postgres:///x"),
                                          .clock = sp_clock_system()};
    if (sp_postgres_sink_open(&options, &sink, NULL) == SP_UNSUPPORTED) {
        print_message("1..0 # SKIP built without libpq\n");
        exit(0);
    }
    if (!postgres_server_start(&server)) {
        print_message("1..0 # SKIP %s\n", server.answer);
        exit(0);
    }
    (void)snprintf(url, sizeof(url), "%s", server.url);
    open_all();
    return 0;
}

static int stop_all(void **state) {
    (void)state;
    sp_reader_close(reader);
    sink->ops->close(sink);
    postgres_server_stop(&server);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_that_sqlite_would_give),
        cmocka_unit_test(parameters_are_given_by_name_and_by_order),
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(nothing_can_be_changed),
        cmocka_unit_test(answers_have_limits),
        cmocka_unit_test(a_query_can_be_interrupted),
        cmocka_unit_test(the_position_is_that_of_what_is_read),
        cmocka_unit_test(tables_are_listed_with_their_keys),
        cmocka_unit_test(a_swap_is_seen_by_the_next_query),
        cmocka_unit_test(a_query_survives_a_restart),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
