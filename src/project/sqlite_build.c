/*
 * One build on SQLite: its tables, its compiled statements, its state.
 */
#include <stdio.h>
#include <stdlib.h>

#include "project/sqlite_int.h"

/*
 * ---- errors
 * --------------------------------------------------------------------------------------
 */

sp_status sqlite_status_of(int code) {
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SP_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return SP_BUSY;
    case SQLITE_NOMEM:
        return SP_NO_MEMORY;
    case SQLITE_FULL:
        return SP_NO_SPACE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SP_CORRUPT;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return SP_IO;
    default:
        return SP_INVALID;
    }
}

sp_status sqlite_fail(sqlite3 *db, int code, struct sp_error *error, const char *what) {
    return sp_error_set(error, sqlite_status_of(code), "%s: %s", what,
                        db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(code));
}

sp_status sqlite_run(sqlite3 *db, const char *sql, struct sp_error *error) {
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? SP_OK : sqlite_fail(db, code, error, "read model");
}

/*
 * ---- state
 * ---------------------------------------------------------------------------------------
 */

static const char STATE_TABLE[] =
    "CREATE TABLE spoor_build ("
    " one INTEGER PRIMARY KEY CHECK (one = 1), projection TEXT NOT NULL, version INTEGER NOT NULL,"
    " number INTEGER NOT NULL, sha256 TEXT NOT NULL, position INTEGER NOT NULL,"
    " applied INTEGER NOT NULL, failed_position INTEGER, failed_id TEXT, failed_error TEXT,"
    " started_us INTEGER NOT NULL, changed_us INTEGER NOT NULL, definition TEXT NOT NULL)";

static const char STATE_INSERT[] =
    "INSERT INTO spoor_build (one, projection, version, number, sha256, position, applied,"
    " started_us, changed_us, definition) VALUES (1, ?1, ?2, ?3, ?4, 0, 0, ?5, ?5, ?6)";

static const char STATE_SELECT[] =
    "SELECT projection, version, number, sha256, position, applied, failed_position, failed_id,"
    " failed_error, started_us, changed_us FROM spoor_build";

static const char STATE_NOTE[] =
    "UPDATE spoor_build SET position = ?1, applied = ?2, changed_us = ?3";

static const char STATE_FAIL[] =
    "UPDATE spoor_build SET failed_position = ?1, failed_id = ?2, failed_error = ?3,"
    " changed_us = ?4";

/* Copies a text column, cut where it is too long, between two characters. */
static void copy_column(sqlite3_stmt *row, int column, char *to, size_t size) {
    const void *text = sqlite3_column_text(row, column);
    size_t len = (size_t)sqlite3_column_bytes(row, column);
    if (len >= size) {
        len = size - 1;
        while (len > 0 && ((const uint8_t *)text)[len] >= 0x80 &&
               ((const uint8_t *)text)[len] < 0xc0) {
            len--;
        }
    }
    if (text != NULL) {
        memcpy(to, text, len);
    }
    to[text != NULL ? len : 0] = '\0';
}

static int hex_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hash(sqlite3_stmt *row, int column, uint8_t ret_hash[32]) {
    char text[65];
    copy_column(row, column, text, sizeof(text));
    for (size_t i = 0; i < 32; i++) {
        int high = hex_value(text[2 * i]);
        int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        ret_hash[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

static uint64_t number_column(sqlite3_stmt *row, int column) {
    int64_t number = sqlite3_column_int64(row, column);
    return number < 0 ? 0 : (uint64_t)number;
}

static void read_row(sqlite3_stmt *row, struct sp_build_state *state, bool *ret_whole) {
    copy_column(row, 0, state->name, sizeof(state->name));
    state->version = number_column(row, 1);
    state->number = number_column(row, 2);
    *ret_whole = read_hash(row, 3, state->sha256);
    state->position = number_column(row, 4);
    state->applied = number_column(row, 5);
    state->failed = sqlite3_column_type(row, 6) != SQLITE_NULL;
    state->failed_position = number_column(row, 6);
    copy_column(row, 7, state->failed_id, sizeof(state->failed_id));
    copy_column(row, 8, state->failed_text, sizeof(state->failed_text));
    state->started_us = number_column(row, 9);
    state->changed_us = number_column(row, 10);
}

sp_status sqlite_state_read(sqlite3 *db, struct sp_build_state *ret_state, struct sp_error *error) {
    sqlite3_stmt *row = NULL;
    struct sp_build_state state = {.number = 0};
    bool whole = false;
    int code = sqlite3_prepare_v2(db, STATE_SELECT, -1, &row, NULL);
    if (code == SQLITE_ERROR) {
        return sp_error_set(error, SP_NOT_FOUND, "no build of a projection: %s",
                            sqlite3_errmsg(db));
    }
    code = code == SQLITE_OK ? sqlite3_step(row) : code;
    if (code == SQLITE_ROW) {
        read_row(row, &state, &whole);
    }
    (void)sqlite3_finalize(row);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        return sqlite_fail(db, code, error, "state of a build");
    }
    if (!whole) {
        return sp_error_set(error, SP_NOT_FOUND, "a build whose making was not finished");
    }
    *ret_state = state;
    return SP_OK;
}

static void bind_str(sqlite3_stmt *statement, int number, sp_str text) {
    (void)sqlite3_bind_text(statement, number, text.ptr != NULL ? text.ptr : "", (int)text.len,
                            SQLITE_STATIC);
}

/* The times of the state; a clock before 1970 is none. */
static int64_t now_us(const struct sqlite_build *build) {
    return (int64_t)(build->clock.wall_us(build->clock.context) & INT64_MAX);
}

static sp_status insert_state(struct sqlite_build *build, uint64_t number, struct sp_error *error) {
    const struct sp_definition *definition = build->pub.definition;
    sqlite3_stmt *insert = NULL;
    char hex[65];
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", definition->sha256[i]);
    }
    int code = sqlite3_prepare_v2(build->db, STATE_INSERT, -1, &insert, NULL);
    if (code == SQLITE_OK) {
        bind_str(insert, 1, sp_str_from(definition->name));
        (void)sqlite3_bind_int64(insert, 2, (int64_t)definition->version);
        (void)sqlite3_bind_int64(insert, 3, (int64_t)number);
        bind_str(insert, 4, sp_str_of(hex, 64));
        (void)sqlite3_bind_int64(insert, 5, now_us(build));
        bind_str(insert, 6, definition->text);
        code = sqlite3_step(insert);
    }
    (void)sqlite3_finalize(insert);
    return code == SQLITE_DONE ? SP_OK : sqlite_fail(build->db, code, error, "state of a build");
}

/*
 * ---- opening
 * -------------------------------------------------------------------------------------
 */

/* What a database said of a statement of the file: with the place, unless the database is broken.
 */
static sp_status fail_statement(struct sqlite_build *build, const struct sp_statement *statement,
                                int code, bool compiling, struct sp_error *error) {
    const char *what = build->denied != NULL ? build->denied : sqlite3_errmsg(build->db);
    sp_status status = sqlite_status_of(code);
    char text[SP_ERROR_TEXT_SIZE];
    int offset = compiling ? sqlite3_error_offset(build->db) : 0;
    if (status != SP_INVALID) {
        return sp_error_set(error, status, "line %u: %s", statement->line, what);
    }
    if (code == SQLITE_INTERRUPT) {
        what = "more work than one event may make: is there an end to it?";
    }
    (void)snprintf(text, sizeof(text), "%s", what); /* it goes with the next call */
    return sp_statement_fail(build->pub.definition, statement, offset < 0 ? 0 : (size_t)offset,
                             error, text);
}

/* Compiles a statement of the file. */
static sp_status compile(struct sqlite_build *build, const struct sp_statement *statement,
                         bool lasting, sqlite3_stmt **ret_compiled, struct sp_error *error) {
    struct sp_buf written;
    const char *tail = NULL;
    sp_buf_init(&written, 2 * (size_t)SP_STATEMENT_BYTES_MAX);
    sp_statement_write(statement, SP_DIALECT_SQLITE, &written);
    sp_buf_add_byte(&written, '\0');
    if (written.status != SP_OK) {
        sp_buf_fini(&written);
        return sp_error_set(error, SP_NO_MEMORY, "line %u: out of memory", statement->line);
    }
    build->denied = NULL;
    int code = sqlite3_prepare_v3(build->db, (const char *)written.data, (int)written.len,
                                  lasting ? SQLITE_PREPARE_PERSISTENT : 0, ret_compiled, &tail);
    sp_status status =
        code == SQLITE_OK ? SP_OK : fail_statement(build, statement, code, true, error);
    if (status == SP_OK && (*ret_compiled == NULL || *tail != '\0')) {
        status = sp_statement_fail(build->pub.definition, statement,
                                   (size_t)(tail - (const char *)written.data), error,
                                   "expected the end of the statement here");
    } else if (status == SP_OK && lasting && sqlite3_stmt_readonly(*ret_compiled)) {
        status = sp_statement_fail(build->pub.definition, statement, 0, error, "changes nothing");
    }
    sp_buf_fini(&written);
    return status;
}

static bool is_ours(const struct sp_statement *statement) {
    return (statement->dialects & SP_DIALECT_SQLITE) != 0;
}

/* Runs one statement of the set-up. */
static sp_status make_one(struct sqlite_build *build, const struct sp_statement *statement,
                          struct sp_error *error) {
    sqlite3_stmt *compiled = NULL;
    sp_status status = compile(build, statement, false, &compiled, error);
    int code = SQLITE_ROW;
    while (status == SP_OK && code == SQLITE_ROW) {
        code = sqlite3_step(compiled);
    }
    if (status == SP_OK && code != SQLITE_DONE) {
        status = fail_statement(build, statement, code, false, error);
    }
    (void)sqlite3_finalize(compiled);
    return status;
}

static sp_status compile_clauses(struct sqlite_build *build, struct sp_error *error);

sp_status sqlite_build_make(struct sqlite_build *build, uint64_t number, struct sp_error *error) {
    const struct sp_definition *definition = build->pub.definition;
    sp_status status = sqlite_run(build->db, "BEGIN IMMEDIATE", error);
    if (status != SP_OK) {
        return status;
    }
    build->phase = SQLITE_PHASE_SETUP;
    for (uint32_t i = 0; i < definition->setup_count && status == SP_OK; i++) {
        build->step_units = 0;
        if (is_ours(&definition->statements[i])) {
            status = make_one(build, &definition->statements[i], error);
        }
    }
    status = status == SP_OK ? compile_clauses(build, error) : status; /* before any of it counts */
    build->phase = SQLITE_PHASE_OWN;
    status = status == SP_OK ? sqlite_run(build->db, STATE_TABLE, error) : status;
    status = status == SP_OK ? insert_state(build, number, error) : status;
    status = status == SP_OK ? sqlite_run(build->db, "COMMIT", error) : status;
    if (status != SP_OK && !sqlite3_get_autocommit(build->db)) {
        (void)sqlite3_exec(build->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return status;
}

static sp_status compile_clauses(struct sqlite_build *build, struct sp_error *error) {
    const struct sp_definition *definition = build->pub.definition;
    uint32_t count = definition->statement_count - definition->setup_count;
    if (build->statements != NULL) {
        return SP_OK;
    }
    build->statements = calloc(count + 1, sizeof(*build->statements));
    build->first = calloc(definition->clause_count + 1, sizeof(*build->first));
    if (build->statements == NULL || build->first == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "read model: out of memory");
    }
    build->phase = SQLITE_PHASE_EVENT;
    sp_status status = SP_OK;
    uint32_t at = 0;
    for (uint32_t i = 0; i < definition->clause_count; i++) {
        const struct sp_clause *clause = &definition->clauses[i];
        build->first[i] = at;
        for (uint32_t j = 0; j < clause->statement_count && status == SP_OK; j++, at++) {
            build->statements[at].statement = &clause->statements[j];
            if (is_ours(&clause->statements[j])) {
                status = compile(build, &clause->statements[j], true,
                                 &build->statements[at].compiled, error);
            }
        }
    }
    build->phase = SQLITE_PHASE_OWN;
    return status;
}

static sp_status prepare_own(struct sqlite_build *build, struct sp_error *error) {
    const struct {
        sqlite3_stmt **to;
        const char *sql;
    } own[] = {
        {&build->begin, "BEGIN IMMEDIATE"},
        {&build->commit, "COMMIT"},
        {&build->rollback, "ROLLBACK"},
        {&build->note, STATE_NOTE},
    };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        int code = sqlite3_prepare_v3(build->db, own[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                                      own[i].to, NULL);
        if (code != SQLITE_OK) {
            return sqlite_fail(build->db, code, error, "read model");
        }
    }
    return SP_OK;
}

sp_status sqlite_build_start(struct sqlite_build *build, struct sp_error *error) {
    sp_status status = sqlite_state_read(build->db, &build->committed, error);
    status = status == SP_OK ? prepare_own(build, error) : status;
    return status == SP_OK ? compile_clauses(build, error) : status;
}

/* How the connection keeps its pages. A temporary one needs no more than to be able to roll back.
 */
static sp_status set_up_connection(struct sqlite_build *build, uint32_t cache_kib,
                                   struct sp_error *error) {
    char sql[256];
    (void)snprintf(sql, sizeof(sql), "PRAGMA cache_size = -%u; PRAGMA foreign_keys = ON; %s",
                   (unsigned)(cache_kib != 0 ? cache_kib : SQLITE_CACHE_KIB),
                   build->scratch ? "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF"
                                  : "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                                    "PRAGMA temp_store = MEMORY");
    (void)sqlite3_busy_timeout(build->db, SQLITE_BUSY_MS);
    sp_status status = sqlite_run(build->db, sql, error);
    (void)sqlite3_wal_autocheckpoint(build->db, SQLITE_WAL_PAGES);
    sqlite_fence(build);
    return status;
}

sp_status sqlite_build_new(struct sp_definition *definition, struct sp_clock clock,
                           const char *path, uint32_t cache_kib, struct sqlite_build **ret_build,
                           struct sp_error *error) {
    struct sqlite_build *build = calloc(1, sizeof(*build));
    if (build == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "read model: out of memory");
    }
    build->pub.ops = &sqlite_build_ops;
    build->pub.definition = sp_definition_ref(definition);
    build->clock = clock;
    build->scratch = path[0] == '\0';
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE;
    int code = sqlite3_open_v2(path, &build->db, flags, NULL);
    sp_status status =
        code == SQLITE_OK ? SP_OK : sqlite_fail(build->db, code, error, "read model");
    status = status == SP_OK ? set_up_connection(build, cache_kib, error) : status;
    if (status != SP_OK) {
        sqlite_build_free(build);
        return status;
    }
    *ret_build = build;
    return SP_OK;
}

void sqlite_build_free(struct sqlite_build *build) {
    if (build == NULL) {
        return;
    }
    const struct sp_definition *definition = build->pub.definition;
    uint32_t count = definition->statement_count - definition->setup_count;
    for (uint32_t i = 0; build->statements != NULL && i < count; i++) {
        (void)sqlite3_finalize(build->statements[i].compiled);
    }
    (void)sqlite3_finalize(build->begin);
    (void)sqlite3_finalize(build->commit);
    (void)sqlite3_finalize(build->rollback);
    (void)sqlite3_finalize(build->note);
    (void)sqlite3_close_v2(build->db);
    sp_definition_unref(build->pub.definition);
    free(build->statements);
    free(build->first);
    free(build);
}

/*
 * ---- a batch
 * -------------------------------------------------------------------------------------
 */

static struct sqlite_build *of(struct sp_build *build) {
    return (struct sqlite_build *)(void *)build;
}

/* Steps a statement of the sink's own. */
static sp_status run_own(struct sqlite_build *build, sqlite3_stmt *statement,
                         struct sp_error *error) {
    build->phase = SQLITE_PHASE_OWN;
    int code = sqlite3_step(statement);
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE ? SP_OK : sqlite_fail(build->db, code, error, "read model");
}

static sp_status build_begin(struct sp_build *pub, struct sp_error *error) {
    struct sqlite_build *build = of(pub);
    sp_require(!build->in_batch);
    sp_status status = run_own(build, build->begin, error);
    build->in_batch = status == SP_OK;
    build->batch_applied = 0;
    build->phase = SQLITE_PHASE_EVENT;
    return status;
}

static void bind_value(sqlite3_stmt *compiled, int number, const struct sp_bound *bound) {
    const char *text = bound->text.ptr != NULL ? bound->text.ptr : "";
    switch (bound->type) {
    case SP_BOUND_NULL:
    case SP_BOUND_BYTES: /* `->>` of what is no JSON would stop the projection */
        (void)sqlite3_bind_null(compiled, number);
        break;
    case SP_BOUND_INTEGER:
        (void)sqlite3_bind_int64(compiled, number, bound->integer);
        break;
    case SP_BOUND_TEXT:
    case SP_BOUND_JSON:
        (void)sqlite3_bind_text64(compiled, number, text, bound->text.len, SQLITE_STATIC,
                                  SQLITE_UTF8);
        break;
    }
}

static SP_HOT sp_status run_statement(struct sqlite_build *build,
                                      const struct sqlite_statement *statement,
                                      const struct sp_event *event,
                                      struct sp_bound_scratch *scratch, struct sp_error *error) {
    const struct sp_statement *parsed = statement->statement;
    for (uint32_t i = 0; i < parsed->parameter_count; i++) {
        struct sp_bound bound;
        sp_parameter_get(&parsed->parameters[i], event, scratch, &bound);
        bind_value(statement->compiled, (int)i + 1, &bound);
    }
    int code = sqlite3_step(statement->compiled);
    while (code == SQLITE_ROW) { /* of RETURNING: nobody reads them */
        code = sqlite3_step(statement->compiled);
    }
    if (SP_LIKELY(code == SQLITE_DONE)) {
        (void)sqlite3_reset(statement->compiled);
        return SP_OK;
    }
    sp_status status = fail_statement(build, parsed, code, false, error);
    (void)sqlite3_reset(statement->compiled);
    return status;
}

static SP_HOT sp_status build_apply(struct sp_build *pub, const struct sp_event *event,
                                    const uint16_t *clauses, size_t clause_count,
                                    struct sp_error *error) {
    struct sqlite_build *build = of(pub);
    struct sp_bound_scratch scratch;
    sp_require(build->in_batch);
    build->denied = NULL;
    build->step_units = 0;
    build->batch_applied++;
    for (size_t i = 0; i < clause_count; i++) {
        uint32_t first = build->first[clauses[i]];
        uint32_t count = pub->definition->clauses[clauses[i]].statement_count;
        for (uint32_t j = 0; j < count; j++) {
            const struct sqlite_statement *statement = &build->statements[first + j];
            sp_status status = statement->compiled != NULL
                                   ? run_statement(build, statement, event, &scratch, error)
                                   : SP_OK;
            if (status != SP_OK) {
                if (status == SP_INVALID && error != NULL) {
                    error->offset = event->position;
                }
                return status;
            }
        }
    }
    return SP_OK;
}

static sp_status build_commit(struct sp_build *pub, uint64_t position, struct sp_error *error) {
    struct sqlite_build *build = of(pub);
    struct sp_build_state *state = &build->committed;
    sp_require(build->in_batch && position >= state->position);
    uint64_t applied = state->applied + build->batch_applied;
    int64_t changed = build->batch_applied > 0 ? now_us(build) : (int64_t)state->changed_us;
    (void)sqlite3_bind_int64(build->note, 1, (int64_t)position);
    (void)sqlite3_bind_int64(build->note, 2, (int64_t)applied);
    (void)sqlite3_bind_int64(build->note, 3, changed);
    sp_status status = run_own(build, build->note, error);
    status = status == SP_OK ? run_own(build, build->commit, error) : status;
    if (status == SP_INVALID && error != NULL) {
        error->offset = 0; /* a constraint that is looked at here: whose fault it is nobody knows */
    }
    if (status == SP_OK) {
        build->in_batch = false;
        state->position = position;
        state->applied = applied;
        state->changed_us = (uint64_t)changed;
    }
    return status;
}

static void build_rollback(struct sp_build *pub) {
    struct sqlite_build *build = of(pub);
    if (build->in_batch && !sqlite3_get_autocommit(build->db)) {
        struct sp_error error;
        /* Whatever it says, no transaction is open afterwards. */
        if (run_own(build, build->rollback, &error) != SP_OK) {
            sp_ensure(sqlite3_get_autocommit(build->db) != 0);
        }
    }
    build->in_batch = false;
}

/*
 * ---- failing and resuming
 * ------------------------------------------------------------------------
 */

/* Writes the note of a failure; a `text` of NULL takes it away. */
static sp_status note_failure(struct sqlite_build *build, uint64_t position, sp_str id,
                              const char *text, struct sp_error *error) {
    sqlite3_stmt *note = NULL;
    int64_t changed = now_us(build);
    sp_require(!build->in_batch);
    build->phase = SQLITE_PHASE_OWN;
    int code = sqlite3_prepare_v2(build->db, STATE_FAIL, -1, &note, NULL);
    if (code == SQLITE_OK) {
        if (text != NULL) {
            (void)sqlite3_bind_int64(note, 1, (int64_t)position);
            bind_str(note, 2, id);
            bind_str(note, 3, sp_str_from(text));
        }
        (void)sqlite3_bind_int64(note, 4, changed);
        code = sqlite3_step(note);
    }
    (void)sqlite3_finalize(note);
    return code == SQLITE_DONE ? sqlite_state_read(build->db, &build->committed, error)
                               : sqlite_fail(build->db, code, error, "read model");
}

static sp_status build_fail(struct sp_build *pub, uint64_t position, sp_str id, const char *text,
                            struct sp_error *error) {
    return note_failure(of(pub), position, id, text, error);
}

static sp_status build_resume(struct sp_build *pub, struct sp_error *error) {
    return note_failure(of(pub), 0, SP_STR(""), NULL, error);
}

static void build_state(const struct sp_build *pub, struct sp_build_state *ret_state) {
    const struct sqlite_build *build = (const struct sqlite_build *)(const void *)pub;
    *ret_state = build->committed;
}

static void build_close(struct sp_build *pub) {
    build_rollback(pub);
    sqlite_build_free(of(pub));
}

const struct sp_build_ops sqlite_build_ops = {
    .begin = build_begin,
    .apply = build_apply,
    .commit = build_commit,
    .rollback = build_rollback,
    .fail = build_fail,
    .resume = build_resume,
    .state = build_state,
    .close = build_close,
};
