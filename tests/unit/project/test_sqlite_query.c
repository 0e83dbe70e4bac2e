/* The SQLite reader: what queries see, what they may not do, what stops them. */
#include "../engine/folder.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "project/sql_text.h"
#include "project/sqlite_query.h"

#include "fold_help.h"

/* ---- a folder of builds, as the sink leaves it ----------------------------------------------- */

struct place {
    char folder[64];
    struct sp_sql_reader *reader;
};

static void in_folder(const struct place *place, const char *name, char path[256]) {
    assert_true(snprintf(path, 256, "%s/%s", place->folder, name) < 256);
}

static void run_sql(const struct place *place, const char *file, const char *sql) {
    char path[256];
    char *text = NULL;
    sqlite3 *db = NULL;
    in_folder(place, file, path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK) {
        fail_msg("%s: %s", sql, text);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The build becomes the current one in one instant. */
static void make_current(const struct place *place, const char *name, const char *file) {
    char link[256];
    char made[256];
    char link_name[80];
    (void)snprintf(link_name, sizeof(link_name), "%s.db", name);
    in_folder(place, link_name, link);
    in_folder(place, "next", made);
    assert_int_equal(symlink(file, made), 0);
    assert_int_equal(rename(made, link), 0);
}

static void add_build(const struct place *place, const char *name, unsigned number,
                      unsigned position, const char *sql) {
    char file[80];
    char meta[160];
    (void)snprintf(file, sizeof(file), "%s.%u.db", name, number);
    (void)snprintf(meta, sizeof(meta),
                   "PRAGMA journal_mode = WAL; CREATE TABLE spoor_build (position INTEGER);"
                   "INSERT INTO spoor_build VALUES (%u)",
                   position);
    run_sql(place, file, meta);
    run_sql(place, file, sql);
    make_current(place, name, file);
}

static const char AGENTS[] =
    "CREATE TABLE agent_stats (agent_id TEXT PRIMARY KEY, runs BIGINT NOT NULL DEFAULT 0,"
    " rate REAL, raw BLOB);"
    "INSERT INTO agent_stats VALUES ('anna', 3, 0.5, x'00ff'), ('bert', 1, NULL, NULL),"
    " ('carla', 7, 2.25, x'01');"
    "CREATE VIEW busy AS SELECT agent_id FROM agent_stats WHERE runs > 2;";

static int set_up(void **state) {
    struct place *place = calloc(1, sizeof(*place));
    (void)snprintf(place->folder, sizeof(place->folder), "/tmp/spoor-reader-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    add_build(place, "agent_stats", 1, 40, AGENTS);
    add_build(place, "tool_usage", 1, 42,
              "CREATE TABLE tool_usage (tool TEXT PRIMARY KEY, calls BIGINT);"
              "INSERT INTO tool_usage VALUES ('search', 5), ('mail', 2);");
    assert_int_equal(sp_sqlite_reader_new(place->folder, sp_clock_system(), &place->reader, NULL),
                     SP_OK);
    *state = place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    char command[128];
    sp_reader_close(place->reader);
    (void)snprintf(command, sizeof(command), "rm -r %s", place->folder);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Rows as text: `a|1|NULL` and a line end. */
struct seen {
    struct sp_buf text;
    uint32_t columns;
    uint64_t rows;
    uint64_t stop_at; /* the row at which the callback ends it; 0: never */
};

static bool on_columns(void *context, const sp_str *names, uint32_t count) {
    struct seen *seen = context;
    seen->columns = count;
    for (uint32_t i = 0; i < count; i++) {
        sp_buf_add_str(&seen->text, i > 0 ? SP_STR("|") : SP_STR(""));
        sp_buf_add_str(&seen->text, names[i]);
    }
    sp_buf_add_byte(&seen->text, '\n');
    return true;
}

static bool on_row(void *context, const struct sp_sql_value *values, uint32_t count) {
    struct seen *seen = context;
    assert_int_equal(count, seen->columns);
    for (uint32_t i = 0; i < count; i++) {
        char text[64] = "NULL";
        sp_buf_add_str(&seen->text, i > 0 ? SP_STR("|") : SP_STR(""));
        if (values[i].kind == SP_SQL_TEXT || values[i].kind == SP_SQL_BLOB) {
            sp_buf_add_str(&seen->text, values[i].text);
            continue;
        }
        if (values[i].kind == SP_SQL_INTEGER) {
            (void)snprintf(text, sizeof(text), "%lld", (long long)values[i].integer);
        } else if (values[i].kind == SP_SQL_REAL) {
            (void)snprintf(text, sizeof(text), "%.3f", values[i].real);
        }
        sp_buf_add_str(&seen->text, sp_str_from(text));
    }
    sp_buf_add_byte(&seen->text, '\n');
    seen->rows++;
    return seen->stop_at == 0 || seen->rows < seen->stop_at;
}

static const struct sp_rows ROWS = {.columns = on_columns, .row = on_row};

static void seen_init(struct seen *seen) {
    *seen = (struct seen){.columns = 0};
    sp_buf_init(&seen->text, 64 << 20);
}

/* What the query says is what is expected; *ret_done may be NULL. */
static void expect(struct place *place, const struct sp_sql *sql, const char *rows,
                   struct sp_sql_done *ret_done) {
    struct seen seen;
    struct sp_error error;
    seen_init(&seen);
    sp_status status = sp_reader_query(place->reader, sql, &ROWS, &seen, ret_done, &error);
    if (status != SP_OK) {
        fail_msg("%.*s: %s", SP_STR_ARG(sql->text), error.text);
    }
    sp_buf_add_byte(&seen.text, '\0');
    assert_string_equal((const char *)seen.text.data, rows);
    sp_buf_fini(&seen.text);
}

static void expect_text(struct place *place, const char *text, const char *rows) {
    const struct sp_sql sql = {.text = sp_str_from(text)};
    expect(place, &sql, rows, NULL);
}

static void expect_error_of(struct place *place, const struct sp_sql *sql, sp_status expected,
                            const char *part) {
    struct seen seen;
    struct sp_error error;
    seen_init(&seen);
    sp_status status = sp_reader_query(place->reader, sql, &ROWS, &seen, NULL, &error);
    sp_buf_fini(&seen.text);
    if (status != expected || strstr(error.text, part) == NULL) {
        fail_msg("%.*s: %s: %s", SP_STR_ARG(sql->text), sp_status_name(status),
                 status != SP_OK ? error.text : "");
    }
    expect_text(place, "SELECT 1 AS one", "one\n1\n"); /* as good as before */
}

static void expect_error(struct place *place, const char *text, sp_status expected,
                         const char *part) {
    const struct sp_sql sql = {.text = sp_str_from(text), .timeout_ms = 600000};
    expect_error_of(place, &sql, expected, part);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_rows(void **state) {
    struct sp_sql_done done;
    const struct sp_sql sql = {
        .text = SP_STR("SELECT agent_id, runs, rate FROM agent_stats ORDER BY agent_id")};
    for (int i = 0; i < 3; i++) { /* compiled, then known */
        expect(*state, &sql, "agent_id|runs|rate\nanna|3|0.500\nbert|1|NULL\ncarla|7|2.250\n",
               &done);
        assert_int_equal(done.rows, 3);
        assert_int_equal(done.position, 40);
        assert_false(done.cut);
    }
    expect_text(*state, "SELECT agent_id FROM agent_stats WHERE runs > 100", "agent_id\n");
    expect_text(*state, "SELECT * FROM busy ORDER BY 1 -- a view\n;", "agent_id\nanna\ncarla\n");
    expect_text(*state, "SELECT count(*) AS n FROM agent_stats; ; /* over */", "n\n3\n");
}

static void test_two_read_models(void **state) {
    struct sp_sql_done done;
    const struct sp_sql sql = {.text =
                                   SP_STR("SELECT agent_id, calls FROM agent_stats JOIN tool_usage"
                                          " ON tool = 'mail' WHERE runs = 7")};
    expect(*state, &sql, "agent_id|calls\ncarla|2\n", &done);
    assert_int_equal(done.position, 40); /* the one that is behind */
    expect_text(*state, "SELECT count(*) AS n FROM tool_usage.tool_usage", "n\n2\n");
    expect_text(*state, "SELECT count(*) AS n FROM Agent_Stats", "n\n3\n");
}

static void test_without_tables(void **state) {
    struct sp_sql_done done;
    const struct sp_sql sql = {.text = SP_STR("SELECT 1 + 1 AS two, 'x' AS x")};
    expect(*state, &sql, "two|x\n2|x\n", &done);
    assert_true(done.position == UINT64_MAX);
}

static void test_params(void **state) {
    const struct sp_sql_value named[] = {
        {.kind = SP_SQL_INTEGER, .integer = 2, .name = SP_STR("least")},
        {.kind = SP_SQL_TEXT, .text = SP_STR("carla"), .name = SP_STR("not")},
    };
    const struct sp_sql_value ordered[] = {{.kind = SP_SQL_REAL, .real = 0.5},
                                           {.kind = SP_SQL_NULL},
                                           {.kind = SP_SQL_BLOB, .text = SP_STR("z")}};
    struct sp_sql sql = {
        .text = SP_STR("SELECT agent_id FROM agent_stats WHERE runs > :least AND agent_id <> :not"),
        .params = named,
        .param_count = 2};
    expect(*state, &sql, "agent_id\nanna\n", NULL);
    sql.param_count = 1;
    expect_error_of(*state, &sql, SP_INVALID, ":not has no value");
    sql.text = SP_STR("SELECT 1 WHERE 1 = :least");
    sql.param_count = 2;
    expect_error_of(*state, &sql, SP_INVALID, "no parameter :not");
    sql = (struct sp_sql){
        .text = SP_STR("SELECT ? AS a, ? AS b, ? AS c"), .params = ordered, .param_count = 3};
    expect(*state, &sql, "a|b|c\n0.500|NULL|z\n", NULL);
    sql.param_count = 2;
    expect_error_of(*state, &sql, SP_INVALID, "3 parameters, and 2 were given");
    sql.params = named;
    expect_error_of(*state, &sql, SP_INVALID, "has no name");
    expect_error(*state, "SELECT :a", SP_INVALID, ":a has no value");
    expect_error(*state, "SELECT ?", SP_INVALID, "has no value");
}

static void test_wrong(void **state) {
    expect_error(*state, "", SP_INVALID, "there is no SQL");
    expect_error(*state, " -- nothing\n", SP_INVALID, "there is no SQL");
    expect_error(*state, "SELEC 1", SP_INVALID, "line 1, column 1: near \"SELEC\"");
    expect_error(*state, "SELECT agent_id,\n  absent FROM agent_stats", SP_INVALID,
                 "line 2, column 3: no such column: absent");
    expect_error(*state, "SELECT 1; SELECT 2", SP_INVALID, "one statement at a time");
    expect_error(*state, "SELECT * FROM agentstats", SP_NOT_FOUND,
                 "there is no table 'agentstats'");
    expect_error(*state, "SELECT * FROM agentstats", SP_NOT_FOUND, "agent_stats");
    expect_error(*state, "SELECT * FROM agent_stats.absent", SP_NOT_FOUND, "'agent_stats.absent'");
    expect_error(*state, "SELECT json('{') FROM agent_stats", SP_INVALID, "malformed JSON");
    const struct sp_sql nul = {.text = SP_STR("SELECT 1\0")};
    expect_error_of(*state, &nul, SP_INVALID, "no UTF-8 text");
    const struct sp_sql bad = {.text = SP_STR("SELECT '\xff'")};
    expect_error_of(*state, &bad, SP_INVALID, "no UTF-8 text");
}

static void test_missing_is_named(void **state) {
    struct place *place = *state;
    struct sp_sql_done done;
    struct sp_error error;
    const struct sp_sql sql = {.text = SP_STR("SELECT * FROM conversations")};
    assert_int_equal(sp_reader_query(place->reader, &sql, &ROWS, NULL, &done, &error),
                     SP_NOT_FOUND);
    assert_string_equal(done.missing, "conversations");
}

static void test_only_reads(void **state) {
    static const char *const DENIED[] = {
        "INSERT INTO agent_stats (agent_id) VALUES ('x')",
        "UPDATE agent_stats SET runs = 0",
        "DELETE FROM agent_stats",
        "DROP TABLE agent_stats",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE TEMP TRIGGER t AFTER INSERT ON agent_stats BEGIN SELECT 1; END",
        "ATTACH '/etc/passwd' AS p",
        "ATTACH ':memory:' AS p",
        "DETACH agent_stats",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT s",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = 1",
        "VACUUM",
        "VACUUM INTO '/tmp/spoor-must-not-be'",
        "REINDEX",
        "ANALYZE",
        "SELECT load_extension('x')",
        "WITH x AS (SELECT 1) DELETE FROM agent_stats",
        "ALTER TABLE agent_stats ADD COLUMN y",
    };
    expect_text(*state, "SELECT count(*) AS n FROM agent_stats", "n\n3\n"); /* it is attached */
    for (size_t i = 0; i < sizeof(DENIED) / sizeof(*DENIED); i++) {
        expect_error(*state, DENIED[i], SP_DENIED, "may only read");
    }
    expect_error(*state, "UPDATE agent_stats.sqlite_schema SET name = 'x'", SP_INVALID,
                 "may not be modified");
    assert_int_equal(access("/tmp/spoor-must-not-be", F_OK), -1);
    expect_text(*state, "SELECT count(*) AS n FROM agent_stats", "n\n3\n");
    expect_text(*state, "SELECT name FROM pragma_table_info('agent_stats') WHERE pk = 1",
                "name\nagent_id\n");
}

static void test_limits(void **state) {
    static const char ENDLESS[] = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";
    char text[256];
    (void)snprintf(text, sizeof(text), "%s SELECT count(*) FROM c", ENDLESS);
    struct sp_sql sql = {.text = sp_str_from(text), .timeout_ms = 20};
    expect_error_of(*state, &sql, SP_TIMEOUT, "longer than 20 ms");
    (void)snprintf(text, sizeof(text), "%s SELECT x FROM c", ENDLESS);
    sql = (struct sp_sql){.text = sp_str_from(text), .rows_max = 100};
    expect_error_of(*state, &sql, SP_LIMIT, "more than 100 rows");
    sql.bytes_max = 80;
    expect_error_of(*state, &sql, SP_LIMIT, "more than 80 bytes");
    sql.text = SP_STR("SELECT agent_id FROM agent_stats ORDER BY 1");
    sql.rows_max = 3;
    sql.bytes_max = 0;
    expect(*state, &sql, "agent_id\nanna\nbert\ncarla\n", NULL);
    struct sp_sql_done done;
    sql.rows_max = 2;
    sql.cut = true;
    expect(*state, &sql, "agent_id\nanna\nbert\n", &done);
    assert_true(done.cut);
    expect_error(*state, "SELECT hex(zeroblob(5000000))", SP_LIMIT, "more than 8 MiB");
    /* All of it is to be in memory at once, in order. */
    expect_error(*state,
                 "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2000)"
                 " SELECT y FROM (SELECT hex(zeroblob(500000)) || x AS y FROM c ORDER BY y)",
                 SP_LIMIT, "MiB of memory");
}

/* A statement cannot make large values without end between two looks at memory. */
static void test_large_values_at_once(void **state) {
    struct sp_buf text;
    sp_buf_init(&text, 1 << 20);
    sp_buf_add_str(&text, SP_STR("SELECT 1"));
    for (int i = 0; i < 500; i++) {
        sp_buf_add_str(&text, SP_STR(", length(hex(zeroblob(4000000)))"));
    }
    const struct sp_sql sql = {.text = sp_buf_str(&text)};
    expect_error_of(*state, &sql, SP_DENIED, "so many calls");
    sp_buf_fini(&text);
}

static void test_callback_ends(void **state) {
    struct place *place = *state;
    struct seen seen;
    struct sp_error error;
    seen_init(&seen);
    seen.stop_at = 2;
    const struct sp_sql sql = {.text = SP_STR("SELECT agent_id FROM agent_stats")};
    assert_int_equal(sp_reader_query(place->reader, &sql, &ROWS, &seen, NULL, &error),
                     SP_CANCELLED);
    assert_int_equal(seen.rows, 2);
    sp_buf_fini(&seen.text);
    expect_text(place, "SELECT count(*) AS n FROM agent_stats", "n\n3\n");
}

struct interrupter {
    struct sp_sql_reader *reader;
    atomic_bool over;
};

/* Again and again: an interruption before the query began would be none. */
static void *interrupt(void *context) {
    struct interrupter *interrupter = context;
    while (!atomic_load(&interrupter->over)) {
        sp_reader_interrupt(interrupter->reader);
        usleep(1000);
    }
    return NULL;
}

static void test_interrupt(void **state) {
    struct place *place = *state;
    struct sp_error error;
    pthread_t thread;
    struct interrupter interrupter = {.reader = place->reader};
    const struct sp_sql sql = {
        .text = SP_STR("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
                       " SELECT count(*) FROM c"),
        .timeout_ms = 600000};
    assert_int_equal(pthread_create(&thread, NULL, interrupt, &interrupter), 0);
    assert_int_equal(sp_reader_query(place->reader, &sql, &ROWS, NULL, NULL, &error), SP_CANCELLED);
    atomic_store(&interrupter.over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_text(place, "SELECT 1 AS one", "one\n1\n");
}

static void test_swap(void **state) {
    struct place *place = *state;
    const char *sql = "SELECT sum(runs) AS runs FROM agent_stats";
    expect_text(place, sql, "runs\n11\n");
    expect_error(place, "SELECT more FROM agent_stats", SP_INVALID, "no such column: more");
    add_build(place, "agent_stats", 2, 50,
              "CREATE TABLE agent_stats (agent_id TEXT, runs BIGINT, more TEXT);"
              "CREATE TABLE extra (x);"
              "INSERT INTO agent_stats VALUES ('anna', 100, 'm')");
    expect_text(place, sql, "runs\n100\n");
    expect_text(place, "SELECT more FROM agent_stats", "more\nm\n");
    expect_text(place, "SELECT count(*) AS n FROM extra", "n\n0\n");
    make_current(place, "agent_stats", "agent_stats.1.db");
    expect_text(place, sql, "runs\n11\n");
    expect_error(place, "SELECT more FROM agent_stats", SP_INVALID, "no such column: more");
    expect_error(place, "SELECT * FROM extra", SP_NOT_FOUND, "there is no table 'extra'");
}

static void test_removed(void **state) {
    struct place *place = *state;
    char path[256];
    expect_text(place, "SELECT count(*) AS n FROM tool_usage", "n\n2\n");
    in_folder(place, "tool_usage.db", path);
    assert_int_equal(unlink(path), 0);
    expect_error(place, "SELECT count(*) AS n FROM tool_usage", SP_NOT_FOUND, "'tool_usage'");
}

static void test_seen(void **state) {
    struct place *place = *state;
    struct sp_sql_done done;
    struct sp_error error;
    struct sp_sql sql = {.text = SP_STR("SELECT count(*) AS n FROM agent_stats, tool_usage"),
                         .seen = 40};
    expect(place, &sql, "n\n6\n", &done);
    sql.seen = 41;
    assert_int_equal(sp_reader_query(place->reader, &sql, &ROWS, NULL, &done, &error), SP_BUSY);
    assert_string_equal(done.lagging, "agent_stats");
    assert_int_equal(done.position, 40);
    run_sql(place, "agent_stats.1.db", "UPDATE spoor_build SET position = 41");
    expect(place, &sql, "n\n6\n", &done);
    assert_int_equal(done.position, 41);
}

/* More read models than fit come and go; more of them in one query is an error. */
static void test_many(void **state) {
    struct place *place = *state;
    struct sp_buf all;
    sp_buf_init(&all, 4096);
    sp_buf_add_str(&all, SP_STR("SELECT 1"));
    for (unsigned i = 0; i < 12; i++) {
        char name[32];
        char sql[96];
        (void)snprintf(name, sizeof(name), "many%u", i);
        (void)snprintf(sql, sizeof(sql), "CREATE TABLE many%u (x); INSERT INTO many%u VALUES (%u)",
                       i, i, i);
        add_build(place, name, 1, 1, sql);
        (void)snprintf(sql, sizeof(sql), " UNION ALL SELECT x FROM many%u", i);
        sp_buf_add_str(&all, sp_str_from(sql));
    }
    for (unsigned i = 0; i < 24; i++) {
        char sql[64];
        char rows[32];
        (void)snprintf(sql, sizeof(sql), "SELECT x FROM many%u", i % 12);
        (void)snprintf(rows, sizeof(rows), "x\n%u\n", i % 12);
        expect_text(place, sql, rows);
    }
    const struct sp_sql sql = {.text = sp_buf_str(&all)};
    expect_error_of(place, &sql, SP_UNSUPPORTED, "10 read models at most");
    expect_text(place, "SELECT x FROM many3", "x\n3\n");
    sp_buf_fini(&all);
}

/* More different texts than are kept compiled. */
static void test_many_texts(void **state) {
    for (int i = 0; i < 300; i++) {
        char sql[64];
        char rows[32];
        (void)snprintf(sql, sizeof(sql), "SELECT %d AS x FROM agent_stats LIMIT 1", i % 150);
        (void)snprintf(rows, sizeof(rows), "x\n%d\n", i % 150);
        expect_text(*state, sql, rows);
    }
}

/* A query sees one moment although somebody writes between its rows. */
static bool write_meanwhile(void *context, const struct sp_sql_value *values, uint32_t count) {
    (void)count;
    run_sql(context, "agent_stats.1.db",
            "UPDATE agent_stats SET runs = 1000; UPDATE spoor_build SET position = 99");
    assert_true(values[0].integer < 100);
    return true;
}

static void test_one_moment(void **state) {
    struct place *place = *state;
    static const struct sp_rows rows = {.row = write_meanwhile};
    struct sp_sql_done done;
    struct sp_error error;
    const struct sp_sql sql = {.text = SP_STR("SELECT runs FROM agent_stats")};
    assert_int_equal(sp_reader_query(place->reader, &sql, &rows, place, &done, &error), SP_OK);
    assert_int_equal(done.rows, 3);
    assert_int_equal(done.position, 40);
    expect_text(place, "SELECT sum(runs) AS n FROM agent_stats", "n\n3000\n");
}

struct told {
    char text[512];
};

static bool tell(void *context, const struct sp_sql_table *table) {
    struct told *told = context;
    size_t len = strlen(told->text);
    (void)snprintf(told->text + len, sizeof(told->text) - len, "%.*s.%.*s%s@%u(%.*s %.*s %u);",
                   SP_STR_ARG(table->projection), SP_STR_ARG(table->name),
                   table->view ? " view" : "", (unsigned)table->position,
                   SP_STR_ARG(table->columns[0].name), SP_STR_ARG(table->columns[0].type),
                   table->columns[0].key);
    return true;
}

static void test_tables(void **state) {
    struct place *place = *state;
    struct told told = {.text = ""};
    struct sp_error error;
    assert_int_equal(sp_reader_tables(place->reader, SP_STR(""), tell, &told, &error), SP_OK);
    assert_string_equal(told.text, "agent_stats.agent_stats@40(agent_id TEXT 1);"
                                   "agent_stats.busy view@40(agent_id TEXT 0);"
                                   "tool_usage.tool_usage@42(tool TEXT 1);");
    told.text[0] = '\0';
    assert_int_equal(sp_reader_tables(place->reader, SP_STR("TOOL_usage"), tell, &told, &error),
                     SP_OK);
    assert_string_equal(told.text, "tool_usage.tool_usage@42(tool TEXT 1);");
    assert_int_equal(sp_reader_tables(place->reader, SP_STR("tools"), tell, &told, &error),
                     SP_NOT_FOUND);
    assert_non_null(strstr(error.text, "tool_usage"));
}

static void test_full_text(void **state) {
    struct place *place = *state;
    add_build(place, "event_search", 1, 7,
              "CREATE VIRTUAL TABLE event_search USING fts5(text);"
              "INSERT INTO event_search VALUES ('a red fox'), ('a blue bird')");
    expect_text(place, "SELECT rowid, text FROM event_search WHERE event_search MATCH 'fox'",
                "rowid|text\n1|a red fox\n");
    struct told told = {.text = ""};
    assert_int_equal(sp_reader_tables(place->reader, SP_STR("event_search"), tell, &told, NULL),
                     SP_OK);
    assert_non_null(strstr(told.text, "event_search.event_search@7(text"));
}

/* ---- a build that is nowhere else ------------------------------------------------------------ */

static void expect_of(struct sp_sql_reader *reader, struct sp_sql sql, sp_status expected,
                      const char *rows) {
    struct seen seen;
    struct sp_error error;
    seen_init(&seen);
    sp_status status = sp_reader_query(reader, &sql, &ROWS, &seen, NULL, &error);
    sp_buf_add_byte(&seen.text, '\0');
    if (status != expected) {
        fail_msg("%.*s: %s: %s", SP_STR_ARG(sql.text), sp_status_name(status), error.text);
    }
    assert_string_equal(status == SP_OK ? (const char *)seen.text.data : error.text, rows);
    sp_buf_fini(&seen.text);
}

static void test_of_a_build(void **state) {
    struct sp_definition *definition =
        definition_of("-- spoor: projection counts version 1\n"
                      "CREATE TABLE counts (type TEXT PRIMARY KEY, n BIGINT NOT NULL);\n"
                      "-- spoor: on #\n"
                      "INSERT INTO counts VALUES (:type, 1)"
                      " ON CONFLICT (type) DO UPDATE SET n = counts.n + 1;\n");
    struct memory *memory = memory_new();
    struct sp_build *build = NULL;
    struct sp_sql_reader *reader = NULL;
    struct told told = {.text = ""};
    (void)state;
    assert_int_equal(sp_sqlite_scratch_new(definition, sp_clock_system(), NULL, &build, NULL),
                     SP_OK);
    assert_int_equal(sp_sqlite_reader_of(build, sp_clock_system(), &reader, NULL), SP_OK);
    memory->over = true;
    memory_add(memory, "a.b", "s", "{}");
    memory_add(memory, "a.b", "s", "{}");
    fold_all(build, memory, SP_FOLD_OVER);
    const struct sp_sql sql = {.text = SP_STR("SELECT * FROM counts")};
    expect_of(reader, sql, SP_OK, "type|n\na.b|2\n");
    expect_of(reader, (struct sp_sql){.text = SP_STR("DELETE FROM counts")}, SP_DENIED,
              "a query may only read: DELETE from counts is not allowed");
    expect_of(reader, (struct sp_sql){.text = SP_STR("SELECT * FROM count")}, SP_NOT_FOUND,
              "no such table: count");
    expect_of(reader, (struct sp_sql){.text = sql.text, .seen = 3}, SP_BUSY,
              "the read model counts is at position 2 and has not seen 3");
    memory_add(memory, "c", "s", "{}"); /* the build is as it was, and goes on */
    fold_all(build, memory, SP_FOLD_OVER);
    expect_of(reader, (struct sp_sql){.text = sql.text, .seen = 3}, SP_OK, "type|n\na.b|2\nc|1\n");
    assert_int_equal(sp_reader_tables(reader, SP_STR(""), tell, &told, NULL), SP_OK);
    assert_string_equal(told.text, "counts.counts@3(type TEXT 1);");
    sp_reader_close(reader);
    build->ops->close(build);
    sp_definition_unref(definition);
    free(memory);
}

static void test_no_folder(void **state) {
    struct place *place = *state;
    struct place nowhere = {.folder = "/tmp/spoor-not-there"};
    assert_int_equal(sp_sqlite_reader_new(nowhere.folder, sp_clock_system(), &nowhere.reader, NULL),
                     SP_OK);
    expect_error(&nowhere, "SELECT * FROM runs", SP_NOT_FOUND, "no read model has any yet");
    sp_reader_close(nowhere.reader);
    assert_non_null(place);
}

static void test_place(void **state) {
    uint32_t line = 0;
    uint32_t column = 0;
    (void)state;
    sp_sql_place(SP_STR("ab\ncd"), 4, &line, &column);
    assert_int_equal(line, 2);
    assert_int_equal(column, 2);
    sp_sql_place(SP_STR("ab"), 9, &line, &column);
    assert_int_equal(line, 1);
    assert_int_equal(column, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_rows),
        TEST(test_two_read_models),
        TEST(test_without_tables),
        TEST(test_params),
        TEST(test_wrong),
        TEST(test_missing_is_named),
        TEST(test_only_reads),
        TEST(test_limits),
        TEST(test_large_values_at_once),
        TEST(test_callback_ends),
        TEST(test_interrupt),
        TEST(test_swap),
        TEST(test_removed),
        TEST(test_seen),
        TEST(test_many),
        TEST(test_many_texts),
        TEST(test_one_moment),
        TEST(test_tables),
        cmocka_unit_test(test_of_a_build),
        TEST(test_full_text),
        TEST(test_no_folder),
        TEST(test_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
