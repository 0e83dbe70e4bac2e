#include "project/difference.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "base/assert.h"
#include "project/sqlite.h"

enum { SQL_BYTES_MAX = 1 << 20 };

/* One table on both sides. */
struct walk {
    sp_str table;
    sqlite3_stmt *sides[2]; /* before, after */
    bool has_row[2];
    uint32_t column_count;
    uint32_t key_count;
    bool has_key;
    uint32_t keys[SP_SQL_COLUMNS_MAX]; /* columns, in the order of the key */
    bool is_key[SP_SQL_COLUMNS_MAX];
    sp_str columns[SP_SQL_COLUMNS_MAX];
    struct sp_sql_value values[2][SP_SQL_COLUMNS_MAX];
    sp_difference_fn *each;
    void *context;
};

/*
 * ---- values
 * ---------------------------------------------------------------------------------------
 */

static struct sp_sql_value value_of(sqlite3_stmt *statement, int column) {
    struct sp_sql_value value = {.kind = SP_SQL_NULL};
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        value.kind = SP_SQL_INTEGER;
        value.integer = sqlite3_column_int64(statement, column);
        break;
    case SQLITE_FLOAT:
        value.kind = SP_SQL_REAL;
        value.real = sqlite3_column_double(statement, column);
        break;
    case SQLITE_TEXT:
        value.kind = SP_SQL_TEXT;
        value.text.ptr = (const char *)sqlite3_column_text(statement, column);
        value.text.len = (size_t)sqlite3_column_bytes(statement, column);
        break;
    case SQLITE_BLOB:
        value.kind = SP_SQL_BLOB;
        value.text.ptr = sqlite3_column_blob(statement, column);
        value.text.len = (size_t)sqlite3_column_bytes(statement, column);
        break;
    default:
        break;
    }
    return value;
}

static int rank_of(enum sp_sql_kind kind) {
    return kind == SP_SQL_NULL                             ? 0
           : kind == SP_SQL_INTEGER || kind == SP_SQL_REAL ? 1
           : kind == SP_SQL_TEXT                           ? 2
                                                           : 3;
}

/* Whole numbers of 64 bits and doubles both fit into it without loss. */
static long double number_of(const struct sp_sql_value *value) {
    return value->kind == SP_SQL_INTEGER ? (long double)value->integer : (long double)value->real;
}

/* In the order that SQLite sorts by, without a collation. */
static int compare(const struct sp_sql_value *a, const struct sp_sql_value *b) {
    int rank = rank_of(a->kind) - rank_of(b->kind);
    if (rank != 0 || a->kind == SP_SQL_NULL) {
        return rank;
    }
    if (rank_of(a->kind) == 1) {
        long double x = number_of(a);
        long double y = number_of(b);
        return (x > y) - (x < y);
    }
    return sp_str_cmp(a->text, b->text);
}

bool sp_sql_value_same(const struct sp_sql_value *a, const struct sp_sql_value *b) {
    return a->kind == b->kind && compare(a, b) == 0;
}

/*
 * ---- the statements
 * -------------------------------------------------------------------------------
 */

static sp_status fail(sqlite3 *db, sp_str table, struct sp_error *error) {
    int code = sqlite3_errcode(db) & 0xff;
    sp_status status = code == SQLITE_NOMEM                              ? SP_NO_MEMORY
                       : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? SP_CORRUPT
                       : code == SQLITE_FULL || code == SQLITE_TOOBIG    ? SP_LIMIT
                                                                         : SP_IO;
    return sp_error_set(error, status, "compare %.*s: %s", SP_STR_ARG(table), sqlite3_errmsg(db));
}

static void add_name(struct sp_buf *sql, sp_str name) {
    sp_buf_add_byte(sql, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"') {
            sp_buf_add_byte(sql, '"');
        }
        sp_buf_add_byte(sql, (uint8_t)name.ptr[i]);
    }
    sp_buf_add_byte(sql, '"');
}

static sp_status prepare(sqlite3 *db, sp_str table, const struct sp_buf *sql,
                         sqlite3_stmt **ret_statement, struct sp_error *error) {
    if (sql->status != SP_OK) {
        return sp_error_set(error, sql->status, "compare %.*s", SP_STR_ARG(table));
    }
    return sqlite3_prepare_v2(db, (const char *)sql->data, (int)sql->len, ret_statement, NULL) ==
                   SQLITE_OK
               ? SP_OK
               : fail(db, table, error);
}

/* The columns of its primary key, or 0: a statement that yields their names in order. */
static sp_status add_order(sqlite3 *db, struct walk *walk, bool is_virtual, struct sp_buf *sql,
                           struct sp_error *error) {
    sqlite3_stmt *statement = NULL;
    static const char TEXT[] = "SELECT name, cid FROM pragma_table_info(?1) "
                               "WHERE ?2 = 0 OR pk > 0 ORDER BY pk, cid";
    for (int by_key = 1; by_key >= 0 && walk->key_count == 0; by_key--) {
        if (sqlite3_prepare_v2(db, TEXT, -1, &statement, NULL) != SQLITE_OK) {
            return fail(db, walk->table, error);
        }
        (void)sqlite3_bind_text(statement, 1, walk->table.ptr, (int)walk->table.len, SQLITE_STATIC);
        (void)sqlite3_bind_int(statement, 2, by_key != 0 && !is_virtual ? 1 : 0);
        while (sqlite3_step(statement) == SQLITE_ROW && walk->key_count < SP_SQL_COLUMNS_MAX) {
            struct sp_sql_value name = value_of(statement, 0);
            sp_buf_add_str(sql, walk->key_count == 0 ? SP_STR(" ORDER BY ") : SP_STR(", "));
            add_name(sql, name.text);
            sp_buf_add_str(sql, SP_STR(" COLLATE BINARY"));
            walk->keys[walk->key_count++] = (uint32_t)sqlite3_column_int(statement, 1);
        }
        walk->has_key = walk->has_key || (by_key != 0 && !is_virtual && walk->key_count > 0);
        int code = sqlite3_finalize(statement);
        if (code != SQLITE_OK) {
            return fail(db, walk->table, error);
        }
    }
    return SP_OK;
}

static sp_status open_sides(sqlite3 *dbs[2], struct walk *walk, bool is_virtual,
                            struct sp_error *error) {
    struct sp_buf sql;
    sp_buf_init(&sql, SQL_BYTES_MAX);
    sp_buf_add_str(&sql, SP_STR("SELECT * FROM "));
    add_name(&sql, walk->table);
    sp_status status = add_order(dbs[0], walk, is_virtual, &sql, error);
    for (int side = 0; status == SP_OK && side < 2; side++) {
        status = prepare(dbs[side], walk->table, &sql, &walk->sides[side], error);
    }
    sp_buf_fini(&sql);
    if (status != SP_OK) {
        return status;
    }
    walk->column_count = (uint32_t)sqlite3_column_count(walk->sides[0]);
    if (walk->column_count > SP_SQL_COLUMNS_MAX ||
        walk->column_count != (uint32_t)sqlite3_column_count(walk->sides[1])) {
        return sp_error_set(error, SP_LIMIT, "compare %.*s: %u columns", SP_STR_ARG(walk->table),
                            walk->column_count);
    }
    for (uint32_t i = 0; i < walk->column_count; i++) {
        walk->columns[i] = sp_str_from(sqlite3_column_name(walk->sides[0], (int)i));
    }
    for (uint32_t i = 0; i < walk->key_count; i++) {
        walk->is_key[walk->keys[i]] = true;
    }
    return SP_OK;
}

/*
 * ---- the walk
 * -------------------------------------------------------------------------------------
 */

static sp_status step(struct walk *walk, int side, struct sp_error *error) {
    sqlite3_stmt *statement = walk->sides[side];
    int code = sqlite3_step(statement);
    walk->has_row[side] = code == SQLITE_ROW;
    if (code == SQLITE_DONE) {
        return SP_OK;
    }
    if (code != SQLITE_ROW) {
        return fail(sqlite3_db_handle(statement), walk->table, error);
    }
    for (uint32_t i = 0; i < walk->column_count; i++) {
        walk->values[side][i] = value_of(statement, (int)i);
    }
    return SP_OK;
}

/* Which side comes first: negative: before's row is not in after. */
static int order_of(const struct walk *walk) {
    if (!walk->has_row[0] || !walk->has_row[1]) {
        return (walk->has_row[1] ? 1 : 0) - (walk->has_row[0] ? 1 : 0);
    }
    for (uint32_t i = 0; i < walk->key_count; i++) {
        uint32_t column = walk->keys[i];
        int order = compare(&walk->values[0][column], &walk->values[1][column]);
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

static bool rows_same(const struct walk *walk) {
    for (uint32_t i = 0; i < walk->column_count; i++) {
        if (!sp_sql_value_same(&walk->values[0][i], &walk->values[1][i])) {
            return false;
        }
    }
    return true;
}

static bool tell(const struct walk *walk, enum sp_change change) {
    const struct sp_difference difference = {
        .change = change,
        .table = walk->table,
        .columns = walk->columns,
        .has_key = walk->has_key,
        .is_key = walk->is_key,
        .before = change == SP_CHANGE_ADDED ? NULL : walk->values[0],
        .after = change == SP_CHANGE_REMOVED ? NULL : walk->values[1],
        .column_count = walk->column_count,
    };
    return walk->each(walk->context, &difference);
}

static sp_status walk_rows(struct walk *walk, struct sp_error *error) {
    sp_status status = step(walk, 0, error);
    status = status == SP_OK ? step(walk, 1, error) : status;
    while (status == SP_OK && (walk->has_row[0] || walk->has_row[1])) {
        int order = order_of(walk);
        bool goes_on = true;
        if (order < 0) {
            goes_on = tell(walk, SP_CHANGE_REMOVED);
        } else if (order > 0) {
            goes_on = tell(walk, SP_CHANGE_ADDED);
        } else if (!rows_same(walk)) {
            goes_on = tell(walk, SP_CHANGE_CHANGED);
        }
        if (!goes_on) {
            return sp_error_set(error, SP_CANCELLED, "ended by who was told");
        }
        status = order <= 0 ? step(walk, 0, error) : status;
        status = status == SP_OK && order >= 0 ? step(walk, 1, error) : status;
    }
    return status;
}

static sp_status walk_table(sqlite3 *dbs[2], const struct sp_definition_table *table,
                            struct walk *walk, struct sp_error *error) {
    sp_difference_fn *each = walk->each;
    void *context = walk->context;
    *walk = (struct walk){.table = table->name, .each = each, .context = context};
    sp_status status = open_sides(dbs, walk, table->virtual_table, error);
    status = status == SP_OK ? walk_rows(walk, error) : status;
    (void)sqlite3_finalize(walk->sides[0]);
    (void)sqlite3_finalize(walk->sides[1]);
    return status;
}

/* Names are compared as SQLite does: without case. */
static bool is_wanted(const struct sp_definition_table *table, sp_str name) {
    bool here = (table->dialects & SP_DIALECT_SQLITE) != 0 && !table->view;
    return here &&
           (name.len == 0 || (table->name.len == name.len &&
                              sqlite3_strnicmp(table->name.ptr, name.ptr, (int)name.len) == 0));
}

sp_status sp_difference_walk(struct sp_build *before, struct sp_build *after, sp_str table,
                             sp_difference_fn *each, void *context, struct sp_error *error) {
    sp_require(before->definition == after->definition);
    const struct sp_definition *definition = before->definition;
    sqlite3 *dbs[2] = {sp_sqlite_handle(before), sp_sqlite_handle(after)};
    struct walk *walk = malloc(sizeof(*walk));
    if (walk == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "compare");
    }
    (void)sqlite3_set_authorizer(dbs[0], NULL, NULL);
    (void)sqlite3_set_authorizer(dbs[1], NULL, NULL);
    sp_status status = SP_OK;
    bool found = table.len == 0;
    *walk = (struct walk){.each = each, .context = context};
    for (uint32_t i = 0; status == SP_OK && i < definition->table_count; i++) {
        if (is_wanted(&definition->tables[i], table)) {
            found = true;
            status = walk_table(dbs, &definition->tables[i], walk, error);
        }
    }
    free(walk);
    sp_sqlite_handle_return(before);
    sp_sqlite_handle_return(after);
    return found ? status
                 : sp_error_set(error, SP_NOT_FOUND, "projection %s has no table %.*s",
                                definition->name, SP_STR_ARG(table));
}
