/*
 * One query over SQLite.
 *
 *     known text? ──no──► compile; a table that is not there ──► attach its build, again
 *          │ yes
 *     are its builds current? ──no──► attach the current ones, compile again
 *          │ yes
 *     BEGIN, positions (each fixes the moment of its build), bind, rows, COMMIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "project/sql_text.h"
#include "project/sqlite_query_int.h"

enum {
    COMPILE_TRIES_MAX = 64, /* each attaches a build, or finds one changed */
    OPEN_TRIES_MAX = 5,     /* a build may be dropped between its link and its file */
    SWAP_TRIES_MAX = 200,   /* or exchanged for another between compiling and reading */
    FIXED_BYTES = 8,        /* what a number counts as */
};

#define NS_PER_MS UINT64_C(1000000)

static struct sqlite_reader *reader_of(struct sp_sql_reader *base) {
    return (struct sqlite_reader *)(void *)base; /* its first member */
}

/* ---- compiled statements --------------------------------------------------------------------- */

static void forget(struct reader_statement *statement) {
    (void)sqlite3_finalize(statement->stmt);
    free(statement->text);
    *statement = (struct reader_statement){.stmt = NULL};
}

void reader_forget_slot(struct sqlite_reader *reader, uint32_t slot) {
    for (int i = 0; i < READER_CACHED_MAX; i++) {
        if ((reader->cached[i].slots >> slot & 1) != 0) {
            forget(&reader->cached[i]);
        }
    }
}

int reader_exec(struct sqlite_reader *reader, const char *text) {
    reader->inside = true;
    int code = sqlite3_exec(reader->db, text, NULL, NULL, NULL);
    reader->inside = false;
    return code;
}

static struct reader_statement *find_cached(struct sqlite_reader *reader, sp_str text) {
    for (int i = 0; i < READER_CACHED_MAX; i++) {
        struct reader_statement *at = &reader->cached[i];
        if (at->text != NULL && sp_str_eq(sp_str_of(at->text, at->text_len), text)) {
            return at;
        }
    }
    return NULL;
}

/* Where a new one goes: a free place, else that of the one unused for longest. */
static struct reader_statement *place_for(struct sqlite_reader *reader) {
    struct reader_statement *best = &reader->cached[0];
    for (int i = 1; i < READER_CACHED_MAX && best->text != NULL; i++) {
        struct reader_statement *at = &reader->cached[i];
        if (at->text == NULL || at->used < best->used) {
            best = at;
        }
    }
    forget(best);
    return best;
}

/* ---- compiling ------------------------------------------------------------------------------- */

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
}

/* Behind the statement may be blanks, comments and semicolons. */
static bool is_over(struct sqlite_reader *reader, const char *tail, const char *end) {
    while (tail < end && (is_blank(*tail) || *tail == ';')) {
        tail++;
    }
    while (tail < end) {
        sqlite3_stmt *stmt = NULL;
        const char *next = NULL;
        int code = sqlite3_prepare_v2(reader->db, tail, (int)(end - tail), &stmt, &next);
        (void)sqlite3_finalize(stmt);
        if (code != SQLITE_OK || stmt != NULL || next == tail) {
            return false;
        }
        tail = next;
    }
    return true;
}

static sp_status check_statement(struct sqlite_reader *reader, const struct sp_sql *sql,
                                 sqlite3_stmt *stmt, const char *tail, struct sp_error *error) {
    if (stmt == NULL) {
        return sp_error_set(error, SP_INVALID, "there is no SQL: expected one SELECT");
    }
    if (!sqlite3_stmt_readonly(stmt)) {
        return sp_error_set(error, SP_DENIED, "a query may only read: this statement would not");
    }
    if (!is_over(reader, tail, sql->text.ptr + sql->text.len)) {
        (void)sp_error_set(error, SP_INVALID, "one statement at a time: a second one begins here");
        return error != NULL ? sp_sql_error_at(error, sql->text, (size_t)(tail - sql->text.ptr))
                             : SP_INVALID;
    }
    return SP_OK;
}

/* The name in SQLite's message, `no such table: x`; false where it says something else. */
static bool missing_table(struct sqlite_reader *reader, sp_str *ret_table) {
    static const sp_str SAYS = SP_STR("no such table: ");
    sp_str text = sp_str_from(sqlite3_errmsg(reader->db));
    if (!sp_str_starts_with(text, SAYS)) {
        return false;
    }
    *ret_table = sp_str_from_byte(text, SAYS.len);
    return true;
}

static void note_missing(struct sp_sql_done *done, sp_str table) {
    size_t len = table.len < SP_SQL_NAME_SIZE ? table.len : SP_SQL_NAME_SIZE - 1;
    memcpy(done->missing, table.ptr, len);
    done->missing[len] = '\0';
}

/* Makes another try worth while, or returns why there is none. */
static sp_status mend(struct sqlite_reader *reader, const struct sp_sql *sql, int code,
                      uint32_t *pinned, struct sp_sql_done *done, struct sp_error *error) {
    struct sp_error ignored;
    bool changed = false;
    char name[SP_ERROR_TEXT_SIZE];
    sp_str table;
    (void)reader_fail(reader, sql, code, error);
    int offset = sqlite3_error_offset(reader->db);
    sp_status said = error->status;
    bool missing = missing_table(reader, &table) && table.len < sizeof(name);
    if (missing && reader->build != NULL) {
        note_missing(done, table);
        error->status = SP_NOT_FOUND;
        return SP_NOT_FOUND;
    }
    if (missing) {
        memcpy(name, table.ptr, table.len); /* the message goes with the next call of SQLite */
        table.ptr = name;
        sp_status status = reader_attach_for(reader, table, pinned, error);
        if (status == SP_NOT_FOUND) {
            note_missing(done, table);
            return offset >= 0 ? sp_sql_error_at(error, sql->text, (size_t)offset) : status;
        }
        return status;
    }
    if (reader->build == NULL && said == SP_INVALID) { /* a column that a newer build has */
        sp_error_clear(&ignored);
        sp_status status = reader_freshen(reader, UINT32_MAX, &changed, &ignored);
        return status == SP_OK && changed ? SP_OK : said;
    }
    return said;
}

static sp_status compile(struct sqlite_reader *reader, const struct sp_sql *sql,
                         sqlite3_stmt **ret_stmt, struct sp_sql_done *done,
                         struct sp_error *error) {
    uint32_t pinned = 0;
    for (int tries = 0; tries < COMPILE_TRIES_MAX; tries++) {
        sqlite3_stmt *stmt = NULL;
        const char *tail = NULL;
        reader->slots_used = 0;
        reader->growing = 0;
        reader->denied[0] = '\0';
        int code = sqlite3_prepare_v3(reader->db, sql->text.ptr, (int)sql->text.len,
                                      SQLITE_PREPARE_PERSISTENT, &stmt, &tail);
        sp_status status = SP_OK;
        if (code == SQLITE_OK) {
            status = check_statement(reader, sql, stmt, tail, error);
            if (status != SP_OK) {
                (void)sqlite3_finalize(stmt);
                return status;
            }
            *ret_stmt = stmt;
            return SP_OK;
        }
        status = mend(reader, sql, code, &pinned, done, error);
        if (status != SP_OK) {
            return status;
        }
    }
    return sp_error_set(error, SP_UNSUPPORTED,
                        "one query can read the tables of %u read models at most",
                        reader->slot_count);
}

/* The statement, known or compiled now; *ret_own: it is to be finalized after the query. */
static sp_status find_statement(struct sqlite_reader *reader, const struct sp_sql *sql,
                                struct reader_statement *ret_found, bool *ret_own,
                                struct sp_sql_done *done, struct sp_error *error) {
    struct reader_statement *known = find_cached(reader, sql->text);
    *ret_own = false;
    if (known != NULL) {
        known->used = reader->turn;
        *ret_found = *known;
        return SP_OK;
    }
    struct reader_statement made = {.used = reader->turn};
    sp_status status = compile(reader, sql, &made.stmt, done, error);
    if (status != SP_OK) {
        return status;
    }
    made.slots = reader->slots_used;
    made.text = reader->build == NULL && sql->text.len <= READER_CACHED_TEXT_BYTES_MAX
                    ? malloc(sql->text.len + 1)
                    : NULL;
    *ret_own = made.text == NULL;
    if (made.text != NULL) {
        memcpy(made.text, sql->text.ptr, sql->text.len);
        made.text_len = sql->text.len;
        *place_for(reader) = made;
    }
    *ret_found = made;
    return SP_OK;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static int bind_value(sqlite3_stmt *stmt, int at, const struct sp_sql_value *value) {
    static const char EMPTY[] = "";
    const char *bytes = value->text.len > 0 ? value->text.ptr : EMPTY;
    switch (value->kind) {
    case SP_SQL_NULL:
        return sqlite3_bind_null(stmt, at);
    case SP_SQL_INTEGER:
        return sqlite3_bind_int64(stmt, at, value->integer);
    case SP_SQL_REAL:
        return sqlite3_bind_double(stmt, at, value->real);
    case SP_SQL_TEXT:
        return sqlite3_bind_text64(stmt, at, bytes, value->text.len, SQLITE_STATIC, SQLITE_UTF8);
    case SP_SQL_BLOB:
        return sqlite3_bind_blob64(stmt, at, bytes, value->text.len, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

static sp_status bind_params(struct sqlite_reader *reader, const struct sp_sql *sql,
                             sqlite3_stmt *stmt, struct sp_error *error) {
    sp_str names[SP_SQL_PARAMS_MAX];
    uint32_t from[SP_SQL_PARAMS_MAX];
    int count = sqlite3_bind_parameter_count(stmt);
    sp_require(count <= SP_SQL_PARAMS_MAX);
    for (int i = 0; i < count; i++) {
        const char *name = sqlite3_bind_parameter_name(stmt, i + 1);
        bool named = name != NULL && name[0] != '?';
        names[i] = named ? sp_str_from(name + 1) : SP_STR("");
    }
    sp_status status = sp_sql_params_match(sql, names, (uint32_t)count, from, error);
    for (int i = 0; i < count && status == SP_OK; i++) {
        int code = bind_value(stmt, i + 1, &sql->params[from[i]]);
        status = code == SQLITE_OK ? SP_OK : reader_fail(reader, sql, code, error);
    }
    return status;
}

/* ---- the moment ------------------------------------------------------------------------------ */

/* A `:` in a name of a slot is none: names of projections have letters, digits and `_` only. */
static sp_status read_position(struct sqlite_reader *reader, struct reader_slot *slot,
                               uint64_t *ret_position, struct sp_error *error) {
    reader->inside = true; /* it may be compiled again within the step */
    int code = sqlite3_step(slot->position);
    *ret_position = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(slot->position, 0) : 0;
    int reset = sqlite3_reset(slot->position);
    reader->inside = false;
    if (code != SQLITE_ROW) {
        return sp_error_set(error, code == SQLITE_DONE ? SP_CORRUPT : reader_status(reset),
                            "the read model %s does not say how far it is: %s", slot->name,
                            sqlite3_errmsg(reader->db));
    }
    slot->used = reader->turn;
    return SP_OK;
}

static void note_position(const struct sp_sql *sql, const char *name, uint64_t position,
                          struct sp_sql_done *done, sp_status *status, struct sp_error *error) {
    if (position < done->position) {
        done->position = position;
    }
    if (position < sql->seen && *status == SP_OK) {
        (void)snprintf(done->lagging, sizeof(done->lagging), "%s", name);
        *status = sp_error_set(error, SP_BUSY,
                               "the read model %s is at position %llu and has not seen %llu", name,
                               (unsigned long long)position, (unsigned long long)sql->seen);
    }
}

/* Fixes the moment of every build that is read, and says how far they are. */
static sp_status read_positions(struct sqlite_reader *reader, const struct sp_sql *sql,
                                uint32_t slots, struct sp_sql_done *done, struct sp_error *error) {
    sp_status lags = SP_OK;
    if (reader->build != NULL) {
        struct sp_build_state state;
        reader->build->ops->state(reader->build, &state);
        note_position(sql, state.name, state.position, done, &lags, error);
        return lags;
    }
    for (uint32_t i = 0; i < reader->slot_count; i++) {
        uint64_t position = 0;
        if ((slots >> i & 1) != 0) {
            sp_status status = read_position(reader, &reader->slots[i], &position, error);
            if (status != SP_OK) {
                return status;
            }
            note_position(sql, reader->slots[i].name, position, done, &lags, error);
        }
    }
    return lags;
}

static int run_own(struct sqlite_reader *reader, sqlite3_stmt *stmt) {
    reader->inside = true;
    (void)sqlite3_step(stmt);
    int code = sqlite3_reset(stmt);
    reader->inside = false;
    return code;
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct answer {
    struct sqlite_reader *reader;
    const struct sp_sql *sql;
    const struct sp_rows *rows;
    void *context;
    struct sp_sql_done *done;
    sqlite3_stmt *stmt;
    uint32_t columns;
    uint64_t rows_max;
    uint64_t bytes_max;
};

static sp_status give_columns(struct answer *answer, struct sp_error *error) {
    sp_str names[SP_SQL_COLUMNS_MAX];
    for (uint32_t i = 0; i < answer->columns; i++) {
        names[i] = sp_str_from(sqlite3_column_name(answer->stmt, (int)i));
    }
    if (answer->rows->columns != NULL &&
        !answer->rows->columns(answer->context, names, answer->columns)) {
        return sp_error_set(error, SP_CANCELLED, "the query was ended");
    }
    return SP_OK;
}

/* Returns what the value counts as. */
static uint64_t read_value(sqlite3_stmt *stmt, int at, struct sp_sql_value *value) {
    *value = (struct sp_sql_value){.kind = SP_SQL_NULL};
    switch (sqlite3_column_type(stmt, at)) {
    case SQLITE_INTEGER:
        value->kind = SP_SQL_INTEGER;
        value->integer = sqlite3_column_int64(stmt, at);
        break;
    case SQLITE_FLOAT:
        value->kind = SP_SQL_REAL;
        value->real = sqlite3_column_double(stmt, at);
        break;
    case SQLITE_TEXT:
        value->kind = SP_SQL_TEXT;
        value->text.ptr = (const char *)sqlite3_column_text(stmt, at);
        value->text.len = (size_t)sqlite3_column_bytes(stmt, at);
        break;
    case SQLITE_BLOB:
        value->kind = SP_SQL_BLOB;
        value->text.ptr = sqlite3_column_blob(stmt, at);
        value->text.len = (size_t)sqlite3_column_bytes(stmt, at);
        break;
    default:
        break;
    }
    return FIXED_BYTES + value->text.len;
}

/* SP_END: it does not fit, and the query wants what fits. */
static sp_status refuse_row(const struct answer *answer, bool rows, struct sp_error *error) {
    if (answer->sql->cut) {
        answer->done->cut = true;
        return SP_END;
    }
    if (rows) {
        return sp_error_set(error, SP_LIMIT,
                            "the answer has more than %llu rows: add a LIMIT, or ask for more",
                            (unsigned long long)answer->rows_max);
    }
    return sp_error_set(error, SP_LIMIT,
                        "the answer has more than %llu bytes: ask for fewer rows or columns",
                        (unsigned long long)answer->bytes_max);
}

static sp_status give_row(struct answer *answer, struct sp_error *error) {
    struct sp_sql_value values[SP_SQL_COLUMNS_MAX];
    uint64_t bytes = 0;
    if (answer->done->rows == answer->rows_max) {
        return refuse_row(answer, true, error);
    }
    for (uint32_t i = 0; i < answer->columns; i++) {
        bytes += read_value(answer->stmt, (int)i, &values[i]);
        if (values[i].text.ptr == NULL && values[i].text.len > 0) {
            return sp_error_set(error, SP_NO_MEMORY, "no memory for a value");
        }
    }
    if (bytes > answer->bytes_max - answer->done->bytes) {
        return refuse_row(answer, false, error);
    }
    answer->done->rows++;
    answer->done->bytes += bytes;
    return answer->rows->row(answer->context, values, answer->columns)
               ? SP_OK
               : sp_error_set(error, SP_CANCELLED, "the query was ended");
}

static sp_status give_rows(struct answer *answer, struct sp_error *error) {
    sp_status status = SP_OK;
    bool first = true;
    while (status == SP_OK) {
        int code = sqlite3_step(answer->stmt);
        if (code != SQLITE_ROW && code != SQLITE_DONE) {
            return reader_fail(answer->reader, answer->sql, code, error);
        }
        if (first) { /* the step may have compiled it again */
            answer->columns = (uint32_t)sqlite3_column_count(answer->stmt);
            status = give_columns(answer, error);
            first = false;
        }
        if (code == SQLITE_DONE) {
            return status;
        }
        status = status == SP_OK ? give_row(answer, error) : status;
    }
    return status == SP_END ? SP_OK : status;
}

/* ---- the query ------------------------------------------------------------------------------- */

static sp_status run(struct answer *answer, uint32_t slots, struct sp_error *error) {
    struct sqlite_reader *reader = answer->reader;
    bool moment = slots != 0;
    sp_status status = bind_params(reader, answer->sql, answer->stmt, error);
    if (status == SP_OK && moment && run_own(reader, reader->begin) != SQLITE_OK) {
        return sp_error_set(error, SP_IO, "cannot begin to read: %s", sqlite3_errmsg(reader->db));
    }
    if (status == SP_OK) {
        status = read_positions(reader, answer->sql, slots, answer->done, error);
        status = status == SP_OK ? give_rows(answer, error) : status;
        (void)sqlite3_reset(answer->stmt);
        if (moment) {
            (void)run_own(reader, reader->commit);
        }
    }
    (void)sqlite3_clear_bindings(answer->stmt);
    return status;
}

/* One try; SP_END: a build was exchanged, and the next try sees the new one. */
static sp_status try_query(struct answer *answer, struct sp_error *error) {
    struct sqlite_reader *reader = answer->reader;
    struct reader_statement found;
    bool own = false;
    bool changed = false;
    sp_status status = find_statement(reader, answer->sql, &found, &own, answer->done, error);
    if (status != SP_OK) {
        return status;
    }
    if (found.slots != 0) { /* forgets the statement where it was of what has changed */
        status = reader_freshen(reader, found.slots, &changed, error);
    }
    answer->stmt = found.stmt;
    if (status == SP_OK && !changed) {
        status = run(answer, found.slots, error);
    }
    if (own) {
        (void)sqlite3_finalize(found.stmt);
    }
    return status == SP_OK && changed ? SP_END : status;
}

static sp_status check_text(const struct sp_sql *sql, struct sp_error *error) {
    if (sql->text.len > SP_SQL_TEXT_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "the SQL has %zu bytes; the limit is %d",
                            sql->text.len, SP_SQL_TEXT_BYTES_MAX);
    }
    if (sql->param_count > SP_SQL_PARAMS_MAX) {
        return sp_error_set(error, SP_LIMIT, "%u parameters; the limit is %d", sql->param_count,
                            SP_SQL_PARAMS_MAX);
    }
    if (!sp_utf8_valid(sql->text) ||
        (sql->text.len > 0 && memchr(sql->text.ptr, '\0', sql->text.len) != NULL)) {
        return sp_error_set(error, SP_INVALID, "the SQL is no UTF-8 text");
    }
    return SP_OK;
}

static void start_watch(struct sqlite_reader *reader, const struct sp_sql *sql) {
    uint64_t ms = sql->timeout_ms > 0 ? sql->timeout_ms : SP_SQL_TIMEOUT_MS;
    uint64_t now_ns = reader->clock.monotonic_ns(reader->clock.context);
    reader->deadline_ns =
        ms > (UINT64_MAX - now_ns) / NS_PER_MS ? UINT64_MAX : now_ns + ms * NS_PER_MS;
    reader->memory_max = sqlite3_memory_used() + SP_SQLITE_MEMORY_BYTES_MAX;
    reader->stop = STOP_NONE;
    reader->denied[0] = '\0';
    reader->turn++;
    atomic_store_explicit(&reader->interrupted, false, memory_order_relaxed);
}

static sp_status query_folder(struct answer *answer, struct sp_error *error) {
    sp_status status = SP_END;
    int swaps = 0;
    int failures = 0;
    while ((status == SP_END && swaps < SWAP_TRIES_MAX) ||
           (status == SP_IO && failures < OPEN_TRIES_MAX)) {
        if (answer->done->rows > 0) {
            return status;
        }
        status = try_query(answer, error);
        swaps += status == SP_END;
        failures += status == SP_IO;
    }
    return status == SP_END ? sp_error_set(error, SP_IO, "the read models change all the time")
                            : status;
}

/* Borrows the build's connection for the time of the query. */
static sp_status query_build(struct answer *answer, struct sp_error *error) {
    struct sqlite_reader *reader = answer->reader;
    reader->lend(reader, true);
    reader_guard(reader);
    sp_status status = try_query(answer, error);
    reader_unguard(reader);
    reader->lend(reader, false);
    return status;
}

static sp_status reader_query(struct sp_sql_reader *base, const struct sp_sql *sql,
                              const struct sp_rows *rows, void *context,
                              struct sp_sql_done *ret_done, struct sp_error *error) {
    struct sqlite_reader *reader = reader_of(base);
    struct sp_sql_done done = {.position = UINT64_MAX};
    struct sp_error own;
    struct answer answer = {.reader = reader,
                            .sql = sql,
                            .rows = rows,
                            .context = context,
                            .done = &done,
                            .rows_max = sql->rows_max > 0 ? sql->rows_max : SP_SQL_ROWS_MAX,
                            .bytes_max = sql->bytes_max > 0 ? sql->bytes_max : SP_SQL_BYTES_MAX};
    error = error != NULL ? error : &own;
    sp_error_clear(error);
    start_watch(reader, sql);
    sp_status status = check_text(sql, error);
    if (status == SP_OK) {
        status = reader->build != NULL ? query_build(&answer, error) : query_folder(&answer, error);
    }
    if (ret_done != NULL) {
        *ret_done = done;
    }
    return status;
}

static void reader_interrupt(struct sp_sql_reader *base) {
    atomic_store_explicit(&reader_of(base)->interrupted, true, memory_order_relaxed);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void reader_close(struct sp_sql_reader *base) {
    struct sqlite_reader *reader = reader_of(base);
    for (int i = 0; i < READER_CACHED_MAX; i++) {
        forget(&reader->cached[i]);
    }
    if (reader->build == NULL) {
        reader_detach_all(reader);
        (void)sqlite3_finalize(reader->begin);
        (void)sqlite3_finalize(reader->commit);
        (void)sqlite3_close(reader->db);
    }
    for (uint32_t i = 0; i < reader->model_count; i++) {
        sp_buf_fini(&reader->models[i].tables);
    }
    free(reader->models);
    free(reader->folder);
    free(reader);
}

const struct sp_sql_reader_ops reader_ops = {
    .query = reader_query,
    .interrupt = reader_interrupt,
    .tables = reader_tables,
    .close = reader_close,
};

static int open_empty(struct sqlite_reader *reader) {
    const unsigned persistent = SQLITE_PREPARE_PERSISTENT;
    int code = sqlite3_open_v2(":memory:", &reader->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL);
    if (code != SQLITE_OK) {
        return code;
    }
    reader_limit(reader->db, NULL);
    int attached = sqlite3_limit(reader->db, SQLITE_LIMIT_ATTACHED, -1);
    reader->slot_count =
        attached < SP_SQLITE_ATTACHED_MAX ? (uint32_t)attached : SP_SQLITE_ATTACHED_MAX;
    (void)sqlite3_db_config(reader->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_busy_timeout(reader->db, 2000);
    reader_guard(reader);
    code = reader_exec(reader, "PRAGMA temp_store = MEMORY");
    reader->inside = true;
    code = code == SQLITE_OK
               ? sqlite3_prepare_v3(reader->db, "BEGIN", -1, persistent, &reader->begin, NULL)
               : code;
    code = code == SQLITE_OK
               ? sqlite3_prepare_v3(reader->db, "COMMIT", -1, persistent, &reader->commit, NULL)
               : code;
    reader->inside = false;
    return code;
}

sp_status sp_sqlite_reader_new(const char *folder, struct sp_clock clock,
                               struct sp_sql_reader **ret_reader, struct sp_error *error) {
    struct sqlite_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for a reader");
    }
    size_t len = strlen(folder);
    reader->base.ops = &reader_ops;
    reader->clock = clock;
    reader->deadline_ns = UINT64_MAX;
    reader->memory_max = INT64_MAX;
    reader->folder = malloc(len + 1);
    int code = reader->folder != NULL ? open_empty(reader) : SQLITE_NOMEM;
    if (code != SQLITE_OK) {
        reader_close(&reader->base);
        return sp_error_set(error, reader_status(code), "cannot open a reader: %s",
                            sqlite3_errstr(code));
    }
    memcpy(reader->folder, folder, len + 1);
    *ret_reader = &reader->base;
    return SP_OK;
}
