/*
 * The same projection file and the same query give the same rows on SQLite and on PostgreSQL: every
 * read model that ships, over made-up events of every type it wants with data of every kind, and
 * over the recorded runs of agents where they are there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event/event_json.h"
#include "fold_help.h"
#include "postgres_server.h"
#include "project/postgres.h"
#include "project/query.h"
#include "project/shipped.h"

enum { LINES_MAX = 20000, ROWS_MAX = 20000, SQL_SIZE = 512 };

/* ---- events ---- */

struct lines {
    char *texts[LINES_MAX];
    size_t count;
    size_t at;
    struct sp_buf scratch;
    struct sp_event event;
    char id[32];
};

static struct lines made;     /* what the test makes up */
static struct lines recorded; /* what agents did */

static void add_line(struct lines *lines, const char *text) {
    assert_true(lines->count < LINES_MAX);
    lines->texts[lines->count] = strdup(text);
    assert_non_null(lines->texts[lines->count]);
    lines->count++;
}

/* As the store would take it. */
static sp_status next_line(void *context, const struct sp_event **ret_event,
                           struct sp_error *error) {
    struct lines *lines = context;
    if (lines->at == lines->count) {
        return SP_END;
    }
    sp_str text = sp_str_from(lines->texts[lines->at]);
    struct sp_event *event = &lines->event;
    sp_buf_reset(&lines->scratch);
    assert_non_null(sp_buf_reserve(&lines->scratch, sp_event_scratch_bytes(text.len)));
    assert_int_equal(sp_event_from_json(text, SP_EVENT_LENIENT, &lines->scratch, event, error),
                     SP_OK);
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    assert_int_equal(sp_event_check(event, SP_EVENT_FROM_JSON, &limits, &lines->scratch, error),
                     SP_OK);
    lines->at++;
    (void)snprintf(lines->id, sizeof(lines->id), "made-%zu", lines->at);
    event->position = lines->at;
    event->version = lines->at;
    event->recorded_us = UINT64_C(1763600000000000) + lines->at * 1500;
    for (unsigned attr = 0; attr < SP_ATTR_COUNT; attr++) {
        bool id = attr == SP_ATTR_ID || attr == SP_ATTR_CORRELATION;
        if (id && event->attr[attr].ptr == NULL) {
            event->attr[attr] = sp_str_from(lines->id);
        }
    }
    *ret_event = event;
    return SP_OK;
}

static uint64_t position_of(void *context) {
    return ((struct lines *)context)->at;
}

static sp_status seek_line(void *context, uint64_t position, struct sp_error *error) {
    (void)error;
    ((struct lines *)context)->at = position;
    return SP_OK;
}

/* Data of every kind, with the names that read models look for. */
static const char *const DATA[] = {
    "{}",
    "null",
    "5",
    "\"text\"",
    "[1, {\"tool\": \"x\"}]",
    "{\"tool\": \"search\", \"tool_call_id\": \"c1\", \"count\": 12, \"agent_id\": \"agent:z\","
    " \"task_id\": \"t1\", \"task_type\": \"review\", \"priority\": \"high\","
    " \"duration_ms\": 12.5,"
    " \"to\": \"agent:b\", \"content\": \"Gr\xc3\xbc\xc3\x9f Gott, it's done\"}",
    "{\"tool\": \"fetch\", \"tool_call_id\": \"c2\", \"is_error\": true, \"error\": {\"message\":"
    " \"no route\"}, \"task_id\": \"t2\", \"assigned_to\": \"agent:b\", \"agent_id\": \"agent:b\"}",
    "{\"tool_name\": \"search\", \"tool_call_id\": \"c1\", \"is_error\": false, \"error\": null,"
    " \"count\": 3, \"task_id\": \"t1\", \"status\": \"completed\", \"duration_s\": 0.25,"
    " \"usage\": {\"prompt_tokens\": 7, \"completion_tokens\": 5}, \"reason\": \"\\u0041\\n\"}",
    "{\"tool\": 7, \"tool_call_id\": 9, \"count\": -1, \"agent_id\": [1], \"task_id\": {\"a\": 1},"
    " \"duration_ms\": \"long\", \"error\": [true], \"content\": {\"deep\": [null, 1.5]}}",
    "{\"tool\": null, \"tool_call_id\": null, \"count\": 1e3, \"agent_id\": null,"
    " \"task_id\": null, \"total_tokens\": 2.5, \"success\": false,"
    " \"final_response\": \"bye\", \"load\": 0.5}",
};

static void make_lines_of(struct lines *lines, sp_str pattern) {
    static const char *const times[] = {"", ",\"time\":\"2026-03-01T10:00:00Z\"",
                                        ",\"time\":\"2026-03-01T12:30:00.25+02:00\""};
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.ptr[i] == '*' || pattern.ptr[i] == '#' || pattern.ptr[i] == '>') {
            return;
        }
    }
    for (size_t i = 0; i < sizeof(DATA) / sizeof(DATA[0]); i++) {
        char text[1024];
        size_t number = lines->count;
        (void)snprintf(text, sizeof(text),
                       "{\"type\":\"%.*s\",\"source\":\"agent:%c\",\"correlationid\":\"run-%zu\","
                       "\"id\":\"m%zu\"%s,\"data\":%s}",
                       SP_STR_ARG(pattern), "abc"[number % 3], number % 7, number,
                       times[number % 3], DATA[i]);
        add_line(lines, text);
    }
}

/* Twice through every type that any of them wants, so that the second meets what the first left. */
static void make_lines(struct lines *lines) {
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < sp_shipped_projection_count; i++) {
            struct sp_definition *definition = definition_of(sp_shipped_projections[i].text.ptr);
            for (uint32_t k = 0; k < definition->pattern_count; k++) {
                make_lines_of(lines, definition->patterns[k]);
            }
            sp_definition_unref(definition);
        }
    }
}

static bool read_recorded(struct lines *lines) {
    char command[4096];
    const char *source = getenv("SPOOR_SOURCE");
    (void)snprintf(command, sizeof(command), "%s/../shared/data/agent_runs.jsonl.zst",
                   source != NULL ? source : ".");
    if (access(command, R_OK) != 0 || system("command -v zstd >/dev/null") != 0) {
        return false;
    }
    (void)snprintf(command, sizeof(command), "zstd -dcq '%s/../shared/data/agent_runs.jsonl.zst'",
                   source != NULL ? source : ".");
    FILE *file = popen(command, "r");
    assert_non_null(file);
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) > 0) {
        add_line(lines, line);
    }
    free(line);
    return pclose(file) == 0;
}

static void free_lines(struct lines *lines) {
    for (size_t i = 0; i < lines->count; i++) {
        free(lines->texts[i]);
    }
    sp_buf_fini(&lines->scratch);
}

/* ---- rows ---- */

struct rows {
    char *lines[ROWS_MAX];
    size_t count;
};

/* An object or an array as text: PostgreSQL writes a blank behind `:` and `,`. */
static void add_text(struct sp_buf *to, sp_str text) {
    bool nested = text.len > 0 && (text.ptr[0] == '{' || text.ptr[0] == '[');
    for (size_t i = 0; i < text.len; i++) {
        bool blank = nested && i > 0 && text.ptr[i] == ' ' &&
                     (text.ptr[i - 1] == ':' || text.ptr[i - 1] == ',');
        if (!blank) {
            sp_buf_add_byte(to, (uint8_t)text.ptr[i]);
        }
    }
}

static void add_value(struct sp_buf *to, const struct sp_sql_value *value) {
    char text[64];
    switch (value->kind) {
    case SP_SQL_NULL:
        sp_buf_add_str(to, SP_STR("NULL"));
        break;
    case SP_SQL_INTEGER:
        (void)snprintf(text, sizeof(text), "%lld", (long long)value->integer);
        sp_buf_add_str(to, sp_str_from(text));
        break;
    case SP_SQL_REAL:
        (void)snprintf(text, sizeof(text), "r%.17g", value->real);
        sp_buf_add_str(to, sp_str_from(text));
        break;
    case SP_SQL_TEXT:
    case SP_SQL_BLOB:
        sp_buf_add_byte(to, value->kind == SP_SQL_TEXT ? '\'' : 'x');
        add_text(to, value->text);
        sp_buf_add_byte(to, '\'');
        break;
    }
}

static bool take_row(void *context, const struct sp_sql_value *values, uint32_t count) {
    struct rows *rows = context;
    struct sp_buf line;
    sp_buf_init(&line, 16 << 20);
    for (uint32_t i = 0; i < count; i++) {
        sp_buf_add_byte(&line, '|');
        add_value(&line, &values[i]);
    }
    sp_buf_add_byte(&line, '\0');
    assert_int_equal(line.status, SP_OK);
    assert_true(rows->count < ROWS_MAX);
    rows->lines[rows->count++] = (char *)line.data;
    return true;
}

static bool take_columns(void *context, const sp_str *names, uint32_t count) {
    struct sp_sql_value values[SP_SQL_COLUMNS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        values[i] = (struct sp_sql_value){.kind = SP_SQL_TEXT, .text = names[i]};
    }
    return take_row(context, values, count);
}

static void ask(struct sp_sql_reader *reader, const char *sql, struct rows *rows) {
    static const struct sp_rows INTO = {.columns = take_columns, .row = take_row};
    struct sp_error error = {0};
    struct sp_sql query = {
        .text = sp_str_from(sql), .rows_max = ROWS_MAX - 1, .bytes_max = 256 << 20};
    rows->count = 0;
    if (sp_reader_query(reader, &query, &INTO, rows, NULL, &error) != SP_OK) {
        fail_msg("%s: %s", sql, error.text);
    }
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_rows(struct rows *rows) {
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->lines[i]);
    }
    rows->count = 0;
}

/* The first line is that of the names. Without `ordered` the databases may order as they like. */
static size_t compare_answers(struct sp_sql_reader *sqlite, struct sp_sql_reader *postgres,
                              const char *sql, bool ordered) {
    static struct rows one;
    static struct rows other;
    ask(sqlite, sql, &one);
    ask(postgres, sql, &other);
    size_t count = one.count - 1;
    if (!ordered) {
        qsort(one.lines + 1, one.count - 1, sizeof(one.lines[0]), compare);
        qsort(other.lines + 1, other.count - 1, sizeof(other.lines[0]), compare);
    }
    for (size_t i = 0; i < one.count && i < other.count; i++) {
        if (strcmp(one.lines[i], other.lines[i]) != 0) {
            fail_msg("%s\nSQLite     %s\nPostgreSQL %s", sql, one.lines[i], other.lines[i]);
        }
    }
    if (one.count != other.count) {
        fail_msg("%s: %zu rows on SQLite, %zu on PostgreSQL", sql, one.count, other.count);
    }
    free_rows(&one);
    free_rows(&other);
    return count;
}

/* ---- both sinks ---- */

struct both {
    char folder[64];
    struct sp_sink *sqlite;
    struct sp_sink *postgres;
    struct sp_sql_reader *in_sqlite;
    struct sp_sql_reader *in_postgres;
};

static struct postgres_server server;
static unsigned schemas;

static void open_both(struct both *both) {
    char url[640];
    struct sp_error error = {0};
    make_folder(both->folder);
    both->sqlite = open_sink(both->folder);
    (void)snprintf(url, sizeof(url), "%s&schema=both%u", server.url, ++schemas);
    struct sp_postgres_options options = {.url = sp_str_from(url), .clock = sp_clock_system()};
    if (sp_postgres_sink_open(&options, &both->postgres, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(both->sqlite->ops->reader_new(both->sqlite, &both->in_sqlite, &error), SP_OK);
    assert_int_equal(both->postgres->ops->reader_new(both->postgres, &both->in_postgres, &error),
                     SP_OK);
}

static void close_both(struct both *both) {
    sp_reader_close(both->in_sqlite);
    sp_reader_close(both->in_postgres);
    both->sqlite->ops->close(both->sqlite);
    both->postgres->ops->close(both->postgres);
    remove_folder(both->folder);
}

static void fold_into(struct sp_sink *sink, struct sp_definition *definition, struct lines *lines) {
    struct sp_error error = {0};
    struct sp_fold *fold = NULL;
    struct sp_build *build = NULL;
    enum sp_fold_end end = SP_FOLD_CAUGHT_UP;
    if (sink->ops->open(sink, definition, 1, &build, &error) != SP_OK) {
        fail_msg("%s: %s", definition->name, error.text);
    }
    struct sp_fold_options options = {
        .build = build,
        .source = {.next = next_line, .position = position_of, .seek = seek_line, .context = lines},
        .clock = sp_clock_system(),
    };
    assert_int_equal(sp_fold_new(&options, &fold, &error), SP_OK);
    if (sp_fold_run(fold, 0, &end, &error) != SP_OK) {
        fail_msg("%s: %s", definition->name, error.text);
    }
    struct sp_build_state state;
    build->ops->state(build, &state);
    if (end != SP_FOLD_OVER) {
        size_t at = (size_t)state.failed_position - 1;
        fail_msg("%s: %s: %s", definition->name, state.failed_text, lines->texts[at]);
    }
    assert_int_equal(sp_fold_flush(fold, &error), SP_OK);
    sp_fold_free(fold);
    build->ops->close(build);
    if (sink->ops->swap(sink, sp_str_from(definition->name), 1, &error) != SP_OK) {
        fail_msg("%s: %s", definition->name, error.text);
    }
}

static void fold_into_both(struct both *both, const char *text, struct lines *lines) {
    struct sp_definition *definition = definition_of(text);
    fold_into(both->sqlite, definition, lines);
    fold_into(both->postgres, definition, lines);
    sp_definition_unref(definition);
}

static void fill_both(struct both *both, struct lines *lines) {
    for (size_t i = 0; i < sp_shipped_projection_count; i++) {
        fold_into_both(both, sp_shipped_projections[i].text.ptr, lines);
    }
}

/* What the search is made of is the database's own; what is searched for is not. */
static const char *columns_of(sp_str table) {
    if (sp_str_eq(table, SP_STR("event_search"))) {
        return "content, type, source, correlationid, position, id, recordedtime";
    }
    return sp_str_eq(table, SP_STR("notes")) ? "id, body" : "*";
}

/* Every table and view that both have. */
static size_t compare_tables_of(struct both *both, const char *text) {
    struct sp_definition *definition = definition_of(text);
    size_t rows = 0;
    for (uint32_t k = 0; k < definition->table_count; k++) {
        sp_str table = definition->tables[k].name;
        char sql[SQL_SIZE];
        (void)snprintf(sql, sizeof(sql), "SELECT %s FROM %.*s", columns_of(table),
                       SP_STR_ARG(table));
        rows += compare_answers(both->in_sqlite, both->in_postgres, sql, false);
    }
    sp_definition_unref(definition);
    return rows;
}

static size_t compare_tables(struct both *both) {
    size_t rows = 0;
    for (size_t i = 0; i < sp_shipped_projection_count; i++) {
        rows += compare_tables_of(both, sp_shipped_projections[i].text.ptr);
    }
    return rows;
}

/* What people ask, in the SQL that both understand. */
static const char *const QUERIES[] = {
    "SELECT agent_id, total_runs, total_tokens, total_errors, avg_latency_ms FROM agent_stats "
    "ORDER BY total_runs DESC, agent_id",
    "SELECT status, COUNT(*) AS n, SUM(tool_calls) AS calls, AVG(tool_calls) AS mean, "
    "MAX(tokens) AS most, MIN(handoffs) AS least FROM runs GROUP BY status ORDER BY status",
    "SELECT SUM(calls) AS calls, SUM(errors) AS errors, COUNT(DISTINCT tool) AS tools, "
    "1.0 * SUM(errors) / SUM(calls) AS rate, CAST(SUM(errors) AS BIGINT) / 2 AS half "
    "FROM tool_usage",
    "SELECT tool, calls, CASE WHEN errors > 0 THEN 'bad' ELSE 'good' END AS kind FROM tool_usage "
    "WHERE calls > 1 AND tool NOT LIKE 'zz%' ORDER BY calls DESC, tool LIMIT 5 OFFSET 1",
    "SELECT r.correlationid, t.agent_id, r.tool_calls * 2 + 1 AS x FROM runs r JOIN agent_status t "
    "ON t.agent_id = r.active_agent ORDER BY r.correlationid, t.agent_id LIMIT 50",
    "SELECT * FROM system_health",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) "
    "SELECT i, i * i AS square, CAST(i AS TEXT) AS name, i / 2 AS half, i % 2 AS odd FROM n "
    "ORDER BY i",
    "SELECT agent_id, ROW_NUMBER() OVER (ORDER BY total_tokens DESC, agent_id) AS place, "
    "COALESCE(avg_latency_ms, -1.0) AS latency, LENGTH(agent_id) AS size, UPPER(agent_id) AS name, "
    "agent_id || '!' AS loud, total_runs > 1 AS busy FROM agent_stats ORDER BY place",
    "SELECT status, COUNT(*) AS n FROM runs WHERE final_response IS NOT NULL GROUP BY status "
    "HAVING COUNT(*) > 1 ORDER BY n DESC, status",
    "SELECT COUNT(*) AS n FROM runs WHERE EXISTS (SELECT 1 FROM active_runs a WHERE "
    "a.correlationid = runs.correlationid) OR correlationid IN (SELECT id FROM conversations)",
    "SELECT NULL AS missing, 'it''s' AS text, 1.5 AS real, 9223372036854775807 AS big, 0.0 AS "
    "zero, TRUE AS yes, 2 > 3 AS no, ROUND(2.567, 2) AS rounded, ABS(-7) AS plain",
    "SELECT id, started_at, active_agent, status, tool_count, handoff_count, last_tool, "
    "duration_ms FROM conversations ORDER BY id LIMIT 100",
};

static void compare_all(struct lines *lines, size_t rows_min) {
    struct both both;
    open_both(&both);
    fill_both(&both, lines);
    size_t rows = compare_tables(&both);
    if (rows < rows_min) {
        fail_msg("%zu rows only", rows);
    }
    for (size_t i = 0; i < sizeof(QUERIES) / sizeof(QUERIES[0]); i++) {
        (void)compare_answers(both.in_sqlite, both.in_postgres, QUERIES[i], true);
    }
    close_both(&both);
}

static void made_up_events_give_the_same_rows(void **state) {
    (void)state;
    make_lines(&made);
    compare_all(&made, 50);
}

static void recorded_runs_give_the_same_rows(void **state) {
    (void)state;
    if (!read_recorded(&recorded)) {
        print_message("no recordings, or no program zstd\n");
        skip();
    }
    compare_all(&recorded, 200);
}

/* The next block of the page that begins with the fence, copied; NULL: there is none. */
static char *next_block(const char **at, const char *fence) {
    const char *start = strstr(*at, fence);
    const char *end = start != NULL ? strstr(start + strlen(fence), "\n```") : NULL;
    if (end == NULL) {
        return NULL;
    }
    start += strlen(fence);
    *at = end;
    return strndup(start, (size_t)(end - start) + 1);
}

static void add_events(struct lines *lines, char *block) {
    char *rest = NULL;
    for (char *line = strtok_r(block, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        add_line(lines, line);
    }
}

/* The examples of docs/projections.md; that their rows are those shown is tested elsewhere. */
static void the_examples_give_the_same_rows(void **state) {
    (void)state;
    static char page[1 << 20];
    char path[4096];
    size_t files = 0;
    (void)snprintf(path, sizeof(path), "%s/docs/projections.md", getenv("SPOOR_SOURCE"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    const char *at = page;
    char *events;
    while ((events = next_block(&at, "```events\n")) != NULL) {
        const char *before = page; /* the last file before it */
        char *text = NULL;
        char *found;
        while ((found = next_block(&before, "```sql\n")) != NULL && before < at) {
            free(text);
            text = found;
        }
        free(found);
        assert_non_null(text);
        struct lines lines = {.count = 0};
        struct both both;
        sp_buf_init(&lines.scratch, 64 << 20);
        add_events(&lines, events);
        open_both(&both);
        fold_into_both(&both, text, &lines);
        assert_true(compare_tables_of(&both, text) > 0);
        close_both(&both);
        free_lines(&lines);
        free(events);
        free(text);
        files++;
    }
    assert_true(files >= 3);
}

static int start_server(void **state) {
    (void)state;
    struct sp_sink *sink = NULL;
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
    sp_buf_init(&made.scratch, 64 << 20);
    sp_buf_init(&recorded.scratch, 64 << 20);
    return 0;
}

static int stop_server(void **state) {
    (void)state;
    postgres_server_stop(&server);
    free_lines(&made);
    free_lines(&recorded);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_up_events_give_the_same_rows),
        cmocka_unit_test(recorded_runs_give_the_same_rows),
        cmocka_unit_test(the_examples_give_the_same_rows),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
