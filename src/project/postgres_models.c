#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "project/definition_lex.h"
#include "project/postgres_query_int.h"
#include "project/postgres_sql.h"
#include "project/sql_text.h"

enum {
    PATH_BYTES_MAX = 64 << 10,
    COLUMNS_BYTES_MAX = 1 << 20,
    MODELS_USED_MAX = 64, /* builds that one query reads */
};

/* The current builds with their tables and views: one row for each of these. */
#define LIST_COLUMNS "SELECT b.name, b.tables_in, b.position, r FROM "
#define LIST_REST    ".spoor_builds b, unnest(b.shown) r WHERE b.current ORDER BY b.name, r"

enum { LIST_NAME, LIST_SCHEMA, LIST_POSITION, LIST_RELATION };

static sp_status list(struct sp_pg_link *link, const struct sp_pg_target *target,
                      const char *before, PGresult **ret_result, struct sp_error *error) {
    char sql[512];
    (void)snprintf(sql, sizeof(sql), "%s" LIST_COLUMNS "%s" LIST_REST, before, target->schema);
    if (!sp_pg_link_whole(link)) {
        return sp_pg_result_check(link, NULL, error);
    }
    PGresult *result = PQexec(link->conn, sql);
    sp_status status = sp_pg_result_check(link, result, error);
    if (status != SP_OK) {
        PQclear(result);
        return status;
    }
    *ret_result = result;
    return SP_OK;
}

/* ---- which builds a query reads ---- */

static bool names(const struct lex_token *token, sp_str relation) {
    sp_str text = token->text;
    if (token->kind == LEX_QUOTED) {
        return text.len >= 2 && sp_str_eq(sp_str_of(text.ptr + 1, text.len - 2), relation);
    }
    if (token->kind != LEX_WORD || text.len != relation.len) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) { /* a name without quotes is folded to small letters */
        char c = text.ptr[i];
        if ((c >= 'A' && c <= 'Z' ? (char)(c + 32) : c) != relation.ptr[i]) {
            return false;
        }
    }
    return true;
}

static bool text_names(sp_str text, sp_str relation) {
    struct lex lex = {.text = text};
    struct lex_token token;
    while (lex_next(&lex, &token, NULL) == SP_OK && token.kind != LEX_END) {
        if (names(&token, relation)) {
            return true;
        }
    }
    return false;
}

static sp_status note(struct pg_answer *answer, sp_str name, uint64_t position,
                      struct sp_error *error) {
    struct sp_sql_done *done = answer->done;
    if (position < done->position) {
        done->position = position;
    }
    if (position >= answer->sql->seen) {
        return SP_OK;
    }
    (void)snprintf(done->lagging, sizeof(done->lagging), "%.*s", SP_STR_ARG(name));
    return sp_error_set(
        error, SP_BUSY, "the read model %s is at position %llu and has not seen %llu",
        done->lagging, (unsigned long long)position, (unsigned long long)answer->sql->seen);
}

/*
 * Rows of one build stand together, so a build is taken once. What only looks like a table, such as
 * a column of that name, does no harm: it makes the position a cautious one.
 */
static sp_status choose(const PGresult *builds, struct pg_answer *answer, struct sp_buf *path,
                        struct sp_error *error) {
    sp_str taken = SP_STR("");
    unsigned count = 0;
    sp_status lags = SP_OK;
    for (int row = 0; row < PQntuples(builds); row++) {
        sp_str schema = sp_pg_text(builds, row, LIST_SCHEMA);
        if (sp_str_eq(schema, taken) ||
            !text_names(answer->sql->text, sp_pg_text(builds, row, LIST_RELATION))) {
            continue;
        }
        if (++count > MODELS_USED_MAX) {
            return sp_error_set(error, SP_UNSUPPORTED, "more than %d read models in one query",
                                MODELS_USED_MAX);
        }
        taken = schema;
        sp_buf_add_str(path, schema); /* made of names that need no quotes; quoted all the same */
        sp_buf_add_str(path, SP_STR("\", \""));
        sp_status status = note(answer, sp_pg_text(builds, row, LIST_NAME),
                                sp_pg_number(builds, row, LIST_POSITION), error);
        lags = lags == SP_OK ? status : lags;
    }
    return lags;
}

sp_status sp_pg_models_enter(struct sp_pg_link *link, const struct sp_pg_target *target,
                             struct pg_answer *answer, struct sp_error *error) {
    PGresult *builds = NULL;
    struct sp_buf path;
    sp_buf_init(&path, PATH_BYTES_MAX);
    uint64_t ms = answer->sql->timeout_ms > 0 ? answer->sql->timeout_ms : SP_SQL_TIMEOUT_MS;
    sp_buf_add_str(&path, SP_STR("SET LOCAL statement_timeout = "));
    sp_buf_add_u64(&path, ms < 1 << 30 ? ms : 1 << 30);
    sp_buf_add_str(&path, SP_STR("; SET LOCAL search_path = \""));
    sp_status status =
        list(link, target, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ", &builds, error);
    status = status == SP_OK ? choose(builds, answer, &path, error) : status;
    PQclear(builds);
    sp_buf_add_str(&path, SP_STR("pg_temp\""));
    sp_buf_add_byte(&path, '\0');
    if (status == SP_OK) {
        status = path.status == SP_OK ? sp_pg_run(link, (const char *)path.data, error)
                                      : sp_error_set(error, SP_LIMIT, "too many read models");
    }
    sp_buf_fini(&path);
    return status;
}

sp_status sp_pg_models_nearest(struct sp_pg_link *link, const struct sp_pg_target *target,
                               sp_str wrong, struct sp_error *error) {
    struct sp_sql_nearest nearest;
    PGresult *builds = NULL;
    sp_sql_nearest_init(&nearest, wrong);
    sp_status status = list(link, target, "", &builds, error);
    if (status != SP_OK) {
        return status;
    }
    for (int row = 0; row < PQntuples(builds); row++) {
        sp_sql_nearest_try(&nearest, sp_pg_text(builds, row, LIST_RELATION));
    }
    PQclear(builds);
    return sp_sql_nearest_fail(&nearest, error);
}

/* ---- the list of tables ---- */

static const char TABLES[] =
    "SELECT b.name, c.relname, c.relkind, b.position, a.attname, "
    "format_type(a.atttypid, a.atttypmod), "
    "COALESCE(array_position(i.indkey::int2[], a.attnum) + 1, 0) FROM %s.spoor_builds b "
    "JOIN pg_namespace n ON n.nspname = b.tables_in "
    "JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'v', 'm', 'p') "
    "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary "
    "WHERE b.current ORDER BY b.name, c.relname, a.attnum";

enum { OF_PROJECTION, OF_NAME, OF_KIND, OF_POSITION, OF_COLUMN, OF_TYPE, OF_KEY };

static bool same_word(sp_str a, sp_str b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        char x = a.ptr[i];
        char y = b.ptr[i];
        if ((x >= 'A' && x <= 'Z' ? x + 32 : x) != (y >= 'A' && y <= 'Z' ? y + 32 : y)) {
            return false;
        }
    }
    return true;
}

/* The wanted name is `table` or `projection.table`; empty: every one. */
static bool is_wanted(sp_str wanted, sp_str projection, sp_str table) {
    if (wanted.len == 0 || same_word(wanted, table)) {
        return true;
    }
    return wanted.len == projection.len + 1 + table.len && wanted.ptr[projection.len] == '.' &&
           same_word(sp_str_of(wanted.ptr, projection.len), projection) &&
           same_word(sp_str_from_byte(wanted, projection.len + 1), table);
}

static bool same_table(const PGresult *result, int a, int b) {
    return sp_str_eq(sp_pg_text(result, a, OF_PROJECTION), sp_pg_text(result, b, OF_PROJECTION)) &&
           sp_str_eq(sp_pg_text(result, a, OF_NAME), sp_pg_text(result, b, OF_NAME));
}

/* Tells the table whose columns are rows `row` to `end`. */
static bool tell(const PGresult *result, int row, int end, struct sp_buf *columns,
                 sp_sql_table_fn *each, void *context) {
    sp_buf_reset(columns);
    for (int i = row; i < end; i++) {
        struct sp_sql_column column = {.name = sp_pg_text(result, i, OF_COLUMN),
                                       .type = sp_pg_text(result, i, OF_TYPE),
                                       .key = (uint32_t)sp_pg_number(result, i, OF_KEY)};
        sp_buf_add(columns, &column, sizeof(column));
    }
    struct sp_sql_table table = {
        .name = sp_pg_text(result, row, OF_NAME),
        .projection = sp_pg_text(result, row, OF_PROJECTION),
        .view = sp_pg_text(result, row, OF_KIND).ptr[0] == 'v',
        .position = sp_pg_number(result, row, OF_POSITION),
        .columns = (const void *)columns->data,
        .column_count = (uint32_t)(columns->len / sizeof(struct sp_sql_column)),
    };
    return each(context, &table);
}

static sp_status tell_all(const PGresult *result, sp_str wanted, sp_sql_table_fn *each,
                          void *context, struct sp_error *error) {
    struct sp_buf columns;
    struct sp_sql_nearest nearest;
    sp_sql_nearest_init(&nearest, wanted);
    sp_buf_init(&columns, COLUMNS_BYTES_MAX);
    bool found = false;
    bool goes_on = true;
    int end = 0;
    for (int row = 0; goes_on && row < PQntuples(result); row = end) {
        sp_str name = sp_pg_text(result, row, OF_NAME);
        for (end = row + 1; end < PQntuples(result) && same_table(result, row, end);) {
            end++;
        }
        sp_sql_nearest_try(&nearest, name);
        if (is_wanted(wanted, sp_pg_text(result, row, OF_PROJECTION), name)) {
            found = true;
            goes_on = tell(result, row, end, &columns, each, context) && wanted.len == 0;
        }
    }
    sp_status status = columns.status;
    sp_buf_fini(&columns);
    if (status != SP_OK) {
        return sp_error_set(error, status, "a table has too many columns");
    }
    return wanted.len > 0 && !found ? sp_sql_nearest_fail(&nearest, error) : SP_OK;
}

sp_status sp_pg_models_tables(struct sp_pg_link *link, const struct sp_pg_target *target,
                              sp_str wanted, sp_sql_table_fn *each, void *context,
                              struct sp_error *error) {
    const char *const schemas[] = {target->schema};
    PGresult *result = NULL;
    sp_status status = sp_pg_ask_of(link, TABLES, schemas, 0, NULL, &result, error);
    if (status == SP_OK) {
        status = tell_all(result, wanted, each, context, error);
    }
    PQclear(result);
    return status;
}
