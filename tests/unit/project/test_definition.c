/* Projection files: what is read from them, and what is said of those that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "project/definition.h"

#define HEAD  "-- spoor: projection p version 1\n"
#define TABLE "CREATE TABLE t (a TEXT);\n"

static struct sp_definition *read_file(const char *text) {
    struct sp_definition *definition = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_definition_parse(sp_str_from(text), &definition, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    return definition;
}

static void assert_str(sp_str actual, const char *expected) {
    if (!sp_str_eq(actual, sp_str_from(expected))) {
        fail_msg("`%.*s` is not `%s`", SP_STR_ARG(actual), expected);
    }
}

static void assert_written(const struct sp_statement *statement, enum sp_dialect dialect,
                           const char *expected) {
    struct sp_buf to;
    sp_buf_init(&to, 1 << 20);
    sp_statement_write(statement, dialect, &to);
    assert_str(sp_buf_str(&to), expected);
    sp_buf_fini(&to);
}

static const char AGENT_STATS[] =
    "-- what agents did\n"
    "-- spoor: projection agent_stats version 3\n"
    "CREATE TABLE agent_stats (agent_id TEXT PRIMARY KEY, runs BIGINT); -- one row an agent\n"
    "CREATE INDEX by_runs ON agent_stats (runs);\n"
    "\n"
    "-- spoor: on agent.started, agent.*.started\n"
    "INSERT INTO agent_stats VALUES (:source, 1)\n"
    "  ON CONFLICT (agent_id) DO UPDATE SET runs = agent_stats.runs + 1;\n"
    "-- spoor: on agent.started where {\"data.count\": {\"$gt\": 0}}\n"
    "UPDATE agent_stats SET runs = 0 WHERE agent_id = :source AND :data ->> 'x;:y' = :source;\n"
    "DELETE FROM agent_stats WHERE runs < :position";

static void reads_a_file(void **state) {
    (void)state;
    struct sp_definition *d = read_file(AGENT_STATS);
    assert_string_equal(d->name, "agent_stats");
    assert_int_equal(d->version, 3);
    assert_str(d->text, AGENT_STATS);
    assert_int_equal(d->setup_count, 2);
    assert_int_equal(d->statement_count, 5);
    assert_str(d->statements[1].text, "CREATE INDEX by_runs ON agent_stats (runs)");
    assert_int_equal(d->clause_count, 2);
    assert_int_equal(d->clauses[0].pattern_count, 2);
    assert_str(d->clauses[0].patterns[1], "agent.*.started");
    assert_int_equal(d->clauses[0].statement_count, 1);
    assert_null(d->clauses[0].filter);
    assert_int_equal(d->clauses[1].statement_count, 2);
    assert_non_null(d->clauses[1].filter);
    assert_int_equal(d->clauses[1].line, 9);
    assert_int_equal(d->pattern_count, 2); /* agent.started is there once */
    assert_int_equal(d->table_count, 1);
    assert_str(d->tables[0].name, "agent_stats");
    sp_definition_unref(d);
}

static void numbers_parameters(void **state) {
    (void)state;
    struct sp_definition *d = read_file(AGENT_STATS);
    const struct sp_statement *statement = &d->clauses[1].statements[0];
    assert_int_equal(statement->line, 10);
    assert_int_equal(statement->column, 1);
    assert_int_equal(statement->parameter_count, 2);
    assert_int_equal(statement->use_count, 3);
    assert_written(statement, SP_DIALECT_SQLITE,
                   "UPDATE agent_stats SET runs = 0 WHERE agent_id = ?1 AND ?2 ->> 'x;:y' = ?1");
    assert_written(statement, SP_DIALECT_POSTGRESQL,
                   "UPDATE agent_stats SET runs = 0 WHERE agent_id = $1 AND $2 ->> 'x;:y' = $1");
    assert_written(&d->clauses[1].statements[1], SP_DIALECT_POSTGRESQL,
                   "DELETE FROM agent_stats WHERE runs < $1");
    sp_definition_unref(d);
}

/* What a database says of a byte of the rewritten text is found in the file. */
static void finds_the_place_of_an_error(void **state) {
    (void)state;
    struct sp_definition *d = read_file(AGENT_STATS);
    const struct sp_statement *statement = &d->clauses[1].statements[0];
    static const struct {
        const char *written; /* behind this text of the written statement */
        const char *place;
    } places[] = {
        {"", "line 10, column 1: wrong"},
        {"UPDATE ", "line 10, column 8: wrong"},
        {"UPDATE agent_stats SET runs = 0 WHERE agent_id = ", "line 10, column 50: wrong"},
        {"UPDATE agent_stats SET runs = 0 WHERE agent_id = ?1 ", "line 10, column 58: wrong"},
        {"UPDATE agent_stats SET runs = 0 WHERE agent_id = ?1 AND ?2 ",
         "line 10, column 68: wrong"},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct sp_error error;
        assert_int_equal(
            sp_statement_fail(d, statement, strlen(places[i].written), &error, "wrong"),
            SP_INVALID);
        assert_string_equal(error.text, places[i].place);
    }
    sp_definition_unref(d);
}

static void reads_quotes_and_comments(void **state) {
    (void)state;
    struct sp_definition *d = read_file(
        HEAD "CREATE TABLE \"a;b\" (c TEXT DEFAULT 'it''s; -- no comment', d TEXT);\n" TABLE
             "-- spoor: on #\n"
             "/* ; :no */ INSERT INTO t VALUES (':no' /* ' */ || :id) -- ';\n"
             ";;\n"
             "-- spoor: only postgresql\n"
             "UPDATE t SET a = E'it\\'s; :no' || $tag$ ; $no$ :no $tag$ || :data::text;\n");
    assert_int_equal(d->statement_count, 4);
    assert_str(d->tables[0].name, "a;b");
    assert_int_equal(d->clauses[0].statement_count, 2);
    assert_int_equal(d->statements[2].parameter_count, 1);
    assert_int_equal(d->statements[2].dialects, SP_DIALECT_ALL);
    assert_str(d->statements[2].text, "INSERT INTO t VALUES (':no' /* ' */ || :id)");
    assert_int_equal(d->statements[3].dialects, SP_DIALECT_POSTGRESQL);
    assert_written(&d->statements[3], SP_DIALECT_POSTGRESQL,
                   "UPDATE t SET a = E'it\\'s; :no' || $tag$ ; $no$ :no $tag$ || $1::text");
    sp_definition_unref(d);
}

static void knows_parameters(void **state) {
    (void)state;
    struct sp_definition *d = read_file(
        HEAD TABLE "-- spoor: on #\n"
                   "INSERT INTO t VALUES (:id), (:data), (:time_ms), (:correlationid), (:Ext9), "
                   "(:position), (:entryid), (:recordedtime_ms), (:metadata), (:id);");
    static const enum sp_parameter_kind kinds[] = {
        SP_PARAMETER_ATTRIBUTE, SP_PARAMETER_DATA,
        SP_PARAMETER_TIME_MS,   SP_PARAMETER_ATTRIBUTE,
        SP_PARAMETER_EXTENSION, SP_PARAMETER_POSITION,
        SP_PARAMETER_ENTRYID,   SP_PARAMETER_RECORDEDTIME_MS,
        SP_PARAMETER_ATTRIBUTE};
    assert_int_equal(d->statements[1].parameter_count, 9);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(d->statements[1].parameters[i].kind, kinds[i]);
    }
    assert_int_equal(d->statements[1].parameters[3].attr, SP_ATTR_CORRELATION);
    sp_definition_unref(d);
}

static void tables_per_database_are_one(void **state) {
    (void)state;
    struct sp_definition *d =
        read_file(HEAD "-- spoor: only sqlite\nCREATE VIRTUAL TABLE t USING fts5 (a);\n"
                       "-- spoor: only postgresql\nCREATE TABLE IF NOT EXISTS t (a TEXT);\n"
                       "CREATE VIEW v AS SELECT 1;\n-- spoor: on a\nDELETE FROM t");
    assert_int_equal(d->table_count, 2);
    assert_int_equal(d->tables[0].dialects, SP_DIALECT_ALL);
    assert_true(d->tables[0].virtual_table);
    assert_true(d->tables[1].view);
    sp_definition_unref(d);
}

struct bad {
    const char *text;
    const char *error; /* how it begins */
};

static const struct bad BAD[] = {
    {"", "line 1, column 1: no projection: expected `-- spoor: projection NAME version N`"},
    {"SELECT 1;", "line 1, column 1: expected `-- spoor: projection NAME"},
    {"-- spoor: on a\n", "line 1, column 11: expected `-- spoor: projection NAME"},
    {"-- spoor: projection P version 1", "line 1, column 22: expected the projection's name"},
    {"-- spoor: projection p", "line 1, column 23: expected `version` and a number"},
    {"-- spoor: projection p version 0", "line 1, column 32: expected the version, a number"},
    {"-- spoor: projection p version 1x", "line 1, column 32: expected the version"},
    {"-- spoor: projection p version 99999999999999999999", "line 1, column 32: expected the ver"},
    {"-- spoor: projection p version 1 now", "line 1, column 34: expected the end of the line"},
    {HEAD HEAD, "line 2, column 11: a second `projection`"},
    {HEAD "-- spoor: no", "line 2, column 11: expected `projection`, `on` or `only`"},
    {HEAD "--SPOOR : no", "line 2, column 11: expected `projection`, `on` or `only`"},
    {HEAD TABLE, "line 3, column 1: no clause"},
    {HEAD "-- spoor: on a\nDELETE FROM t", "line 3, column 14: no table"},
    {HEAD TABLE "-- spoor: on a", "line 3, column 11: a clause without statements"},
    {HEAD TABLE "-- spoor: on a\n-- spoor: on b\n", "line 3, column 11: a clause without"},
    {HEAD TABLE "-- spoor: on", "line 3, column 13: expected a pattern"},
    {HEAD TABLE "-- spoor: on a,, b", "line 3, column 16: expected a pattern"},
    {HEAD TABLE "-- spoor: on a b", "line 3, column 16: expected `,` and a further pattern"},
    {HEAD TABLE "-- spoor: on a, >.b", "line 3, column 17: pattern: token 1 is `>`"},
    {HEAD TABLE "-- spoor: on a where", "line 3, column 21: expected a filter"},
    {HEAD TABLE "-- spoor: on a where {\"b\": }", "line 3, column 28: filter: "},
    {HEAD TABLE "-- spoor: on a where {\"b\": {\"$no\": 1}}", "line 3, column 29: filter: "},
    {HEAD "-- spoor: only mysql", "line 2, column 16: expected `sqlite` or `postgresql`"},
    {HEAD TABLE "-- spoor: only sqlite", "line 3, column 11: `only` restricts the statement"},
    {HEAD "-- spoor: only sqlite\n-- spoor: only sqlite\n", "line 3, column 11: a second `only`"},
    {HEAD "CREATE TABLE t (a 'x);", "line 2, column 19: a string that does not end"},
    {HEAD "CREATE TABLE t (a \"x);", "line 2, column 19: a name in quotes that does not end"},
    {HEAD "/* a", "line 2, column 1: a comment that does not end"},
    {HEAD "/* a /* b */ */", "line 2, column 6: `/*` within a comment"},
    {HEAD "CREATE TABLE t (a TEXT)\n-- spoor: on a\n", "line 3, column 11: a directive within a"},
    {HEAD "CREATE TABLE t (a TEXT;", "line 2, column 1: 1 parentheses"},
    {HEAD "CREATE TABLE t a);", "line 2, column 17: ): nothing is open here"},
    {HEAD "CREATE", "line 2, column 1: CREATE: the statement ends here"},
    {HEAD "CREATE TABLE main.t (a)", "line 2, column 18: .: expected the name of a table without"},
    {HEAD "CREATE TABLE spoor_x (a)", "line 2, column 14: spoor_x: names that begin with"},
    {HEAD "CREATE TABLE sqlite_x (a)", "line 2, column 14: sqlite_x: names that begin with"},
    {HEAD "CREATE TEMP TABLE x (a)", "line 2, column 8: TEMP: what is temporary"},
    {HEAD "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END;",
     "line 2, column 8: TRIGGER: triggers are not supported"},
    {HEAD "CREATE FUNCTION f()", "line 2, column 8: FUNCTION: expected TABLE"},
    {HEAD "PRAGMA journal_mode=DELETE", "line 2, column 1: PRAGMA: the set-up may have"},
    {HEAD "ATTACH 'x' AS y", "line 2, column 1: ATTACH: the set-up may have"},
    {HEAD "INSERT INTO t VALUES (:id)", "line 2, column 23: :id: the set-up has no event"},
    {HEAD TABLE "-- spoor: on a\nBEGIN;", "line 4, column 1: BEGIN: no statement may control tra"},
    {HEAD TABLE "-- spoor: on a\ncommit;", "line 4, column 1: commit: no statement may control"},
    {HEAD TABLE "-- spoor: on a\nSELECT 1;", "line 4, column 1: SELECT: changes nothing"},
    {HEAD TABLE "-- spoor: on a\nWITH x AS (SELECT 1) SELECT 1;", "line 4, column 1: WITH: cha"},
    {HEAD TABLE "-- spoor: on a\nCREATE TABLE x (a);", "line 4, column 1: CREATE: a clause may"},
    {HEAD TABLE "-- spoor: on a\nDROP TABLE t;", "line 4, column 1: DROP: a clause may have"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = :correlation_id;",
     "line 4, column 25: :correlation_id: the parameter is called :correlationid"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = :payload;",
     "line 4, column 25: :payload: the parameter is called :data"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = :hash;",
     "line 4, column 25: :hash: there"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = :a_b;",
     "line 4, column 25: :a_b: no para"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = ?;",
     "line 4, column 25: ?: parameters ar"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = $1;", "line 4, column 25: $: parameters"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = @a;", "line 4, column 25: @: parameters"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = :id::text;",
     "line 4, column 28: a cast with :: is PostgreSQL's: write it otherwise (CAST(value AS type)), "
     "or put `-- spoor: only postgresql`"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = E'x';",
     "line 4, column 25: such a string"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = $$x$$;", "line 4, column 25: such a str"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = RANDOM();",
     "line 4, column 25: RANDOM: g"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = CURRENT_TIMESTAMP;",
     "line 4, column 25: CURRENT_TIMESTAMP: is another one each time"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = datetime('Now', '-1 day');",
     "line 4, column 34: 'Now': the present is another one"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = strftime('%s', ('now'));",
     NULL}, /* the databases' own guard, not the parser's: it sees one level */
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = julianday();",
     "line 4, column 35: ): the"},
    {HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = load_extension('x');",
     "line 4, column 25: load_extension: reaches outside"},
    {HEAD "CREATE TABLE t (a\x01);", "line 2, column 18: the control character U+0001"},
    {HEAD "CREATE TABLE t (\xff);", "line 2, column 17: bytes that are not UTF-8"},
};

static void says_what_is_wrong(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct sp_definition *definition = NULL;
        struct sp_error error;
        sp_status status = sp_definition_parse(sp_str_from(BAD[i].text), &definition, &error);
        if (BAD[i].error == NULL) {
            assert_int_equal(status, SP_OK);
            sp_definition_unref(definition);
            continue;
        }
        if (status != SP_INVALID || strncmp(error.text, BAD[i].error, strlen(BAD[i].error)) != 0) {
            fail_msg("%s\ngave `%s`,\nnot  `%s`", BAD[i].text, status == SP_OK ? "ok" : error.text,
                     BAD[i].error);
        }
        assert_true(error.offset <= strlen(BAD[i].text));
        assert_null(definition);
    }
}

/* Repeats a piece of text between two others, and says what reading it gives. */
static sp_status read_many(const char *before, const char *piece, size_t count, const char *after,
                           struct sp_error *error) {
    struct sp_buf text;
    struct sp_definition *definition = NULL;
    sp_buf_init(&text, 8 << 20);
    sp_buf_add_str(&text, sp_str_from(before));
    for (size_t i = 0; i < count; i++) {
        char numbered[200];
        (void)snprintf(numbered, sizeof(numbered), "%s%zu", piece, i);
        sp_buf_add_str(&text, sp_str_from(numbered));
        sp_buf_add_str(&text, sp_str_from(after));
    }
    sp_status status = sp_definition_parse(sp_buf_str(&text), &definition, error);
    sp_buf_fini(&text);
    sp_definition_unref(definition);
    return status;
}

static void has_limits(void **state) {
    (void)state;
    struct sp_error error;
    const char *clause = HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a IN (1";
    assert_int_equal(read_many(clause, ", :x", 64, "", &error), SP_INVALID); /* not closed */
    assert_int_equal(read_many(clause, ", :x", 65, "", &error), SP_LIMIT);
    assert_int_equal(read_many(HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = :id ", "/*", 600,
                               "*/ OR a = :id ", &error),
                     SP_LIMIT);
    const char *many = "-- spoor: on a";
    assert_int_equal(read_many(HEAD TABLE, many, 128, "\nDELETE FROM t;\n", &error), SP_OK);
    assert_int_equal(read_many(HEAD TABLE, many, 129, "\nDELETE FROM t;\n", &error), SP_LIMIT);
    assert_int_equal(read_many(HEAD TABLE "-- spoor: on x", ", a", 256, "", &error), SP_LIMIT);
    assert_int_equal(read_many(HEAD, "CREATE TABLE t", 257, " (a);\n", &error), SP_LIMIT);
    assert_int_equal(
        read_many(HEAD TABLE "-- spoor: on a\n", "DELETE FROM t WHERE a = ", 1000, ";", &error),
        SP_LIMIT);
    assert_int_equal(read_many(HEAD, "-- ", 200000, "xxxxxxxx\n", &error), SP_LIMIT);
    assert_int_equal(read_many(HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a IN (", "", 40000,
                               ", 'x'||", &error),
                     SP_INVALID); /* 40,000 entries: it ends in || and without ) */
}

static void takes_references(void **state) {
    (void)state;
    struct sp_definition *d = read_file(AGENT_STATS);
    assert_ptr_equal(sp_definition_ref(d), d);
    sp_definition_unref(d);
    assert_string_equal(d->name, "agent_stats");
    sp_definition_unref(d);
    sp_definition_unref(NULL);
}

/*
 * ---- values
 * --------------------------------------------------------------------------------------
 */

static struct sp_event sample(void) {
    struct sp_event event = {
        .position = 7,
        .version = 2,
        .recorded_us = UINT64_C(1795153752123456),
        .entry_seq = 3,
        .data = SP_STR("{\"a\":1}"),
        .has_data = true,
        .data_is_json = true,
        .extension_count = 1,
    };
    event.attr[SP_ATTR_ID] = SP_STR("e-1");
    event.attr[SP_ATTR_TIME] = SP_STR("2026-11-20T07:49:12.5+02:00");
    event.attr[SP_ATTR_METADATA] = SP_STR("{}");
    event.extensions[0] =
        (struct sp_extension){.name = SP_STR("tries"), .value = SP_STR("5"), .kind = SP_VALUE_JSON};
    return event;
}

static void assert_bound(const struct sp_event *event, const char *name, enum sp_bound_type type,
                         const char *text) {
    char file[200];
    struct sp_bound_scratch scratch;
    struct sp_bound bound;
    (void)snprintf(file, sizeof(file), HEAD TABLE "-- spoor: on a\nDELETE FROM t WHERE a = :%s",
                   name);
    struct sp_definition *d = read_file(file);
    sp_parameter_get(&d->statements[1].parameters[0], event, &scratch, &bound);
    assert_int_equal(bound.type, type);
    if (type == SP_BOUND_INTEGER) {
        assert_int_equal(bound.integer, strtoll(text, NULL, 10));
    } else if (type != SP_BOUND_NULL) {
        assert_str(bound.text, text);
    }
    sp_definition_unref(d);
}

static void gives_values(void **state) {
    (void)state;
    struct sp_event event = sample();
    assert_bound(&event, "id", SP_BOUND_TEXT, "e-1");
    assert_bound(&event, "causationid", SP_BOUND_NULL, "");
    assert_bound(&event, "time", SP_BOUND_TEXT, "2026-11-20T05:49:12.500000Z");
    assert_bound(&event, "time_ms", SP_BOUND_INTEGER, "1795153752500");
    assert_bound(&event, "recordedtime", SP_BOUND_TEXT, "2026-11-20T05:49:12.123456Z");
    assert_bound(&event, "recordedtime_ms", SP_BOUND_INTEGER, "1795153752123");
    assert_bound(&event, "entryid", SP_BOUND_TEXT, "1795153752123-3");
    assert_bound(&event, "position", SP_BOUND_INTEGER, "7");
    assert_bound(&event, "version", SP_BOUND_INTEGER, "2");
    assert_bound(&event, "data", SP_BOUND_JSON, "{\"a\":1}");
    assert_bound(&event, "data_text", SP_BOUND_TEXT, "{\"a\":1}");
    assert_bound(&event, "metadata", SP_BOUND_JSON, "{}");
    assert_bound(&event, "tries", SP_BOUND_TEXT, "5");
    assert_bound(&event, "other", SP_BOUND_NULL, "");
    event.data_is_json = false;
    assert_bound(&event, "data", SP_BOUND_BYTES, "{\"a\":1}");
    assert_bound(&event, "data_text", SP_BOUND_TEXT, "{\"a\":1}");
    event.data = sp_str_of("a\0b", 3);
    assert_bound(&event, "data_text", SP_BOUND_NULL, "");
    event.data = SP_STR("\xff");
    assert_bound(&event, "data_text", SP_BOUND_NULL, "");
    event.has_data = false;
    assert_bound(&event, "data", SP_BOUND_NULL, "");
    event.attr[SP_ATTR_TIME] = SP_STR("2026-11-20T05:49:12Z");
    assert_bound(&event, "time", SP_BOUND_TEXT, "2026-11-20T05:49:12Z"); /* as it was given */
    event.attr[SP_ATTR_TIME] = SP_STR("0001-01-01T00:00:00Z");
    assert_bound(&event, "time_ms", SP_BOUND_NULL, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_file),
        cmocka_unit_test(numbers_parameters),
        cmocka_unit_test(finds_the_place_of_an_error),
        cmocka_unit_test(reads_quotes_and_comments),
        cmocka_unit_test(knows_parameters),
        cmocka_unit_test(tables_per_database_are_one),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(takes_references),
        cmocka_unit_test(gives_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
