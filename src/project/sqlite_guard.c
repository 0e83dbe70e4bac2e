/* What a query may do, and for how long. */
#include <stdio.h>
#include <string.h>

#include "project/sql_text.h"
#include "project/sqlite_query_int.h"

enum {
    WATCH_STEPS = 500, /* of SQLite's machine, between two looks at clock and memory */
    GROWING_MAX = 32,  /* functions in a statement whose results may be large at once */
    EXPRESSION_DEPTH = 200,
    COMPOUND_SELECTS = 100,
    MACHINE_STEPS = 100000, /* length of the compiled program */
    LIKE_PATTERN_BYTES = 1000,
    NS_PER_MS = 1000000,
};

/* ---- limits ---------------------------------------------------------------------------------- */

/*
 * Between two looks of the watch, which come at jumps only, a statement can make as many large
 * values as it has functions that make some: together with the limit of a value that bounds memory.
 */
static const struct {
    int which;
    int value;
} LIMITS[READER_LIMIT_COUNT] = {
    {SQLITE_LIMIT_LENGTH, SP_SQLITE_VALUE_BYTES_MAX},
    {SQLITE_LIMIT_SQL_LENGTH, SP_SQL_TEXT_BYTES_MAX},
    {SQLITE_LIMIT_COLUMN, SP_SQL_COLUMNS_MAX},
    {SQLITE_LIMIT_EXPR_DEPTH, EXPRESSION_DEPTH},
    {SQLITE_LIMIT_COMPOUND_SELECT, COMPOUND_SELECTS},
    {SQLITE_LIMIT_VDBE_OP, MACHINE_STEPS},
    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LIKE_PATTERN_BYTES},
    {SQLITE_LIMIT_VARIABLE_NUMBER, SP_SQL_PARAMS_MAX},
    {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
    {SQLITE_LIMIT_WORKER_THREADS, 0},
    {SQLITE_LIMIT_ATTACHED, SP_SQLITE_ATTACHED_MAX},
};

void reader_limit(sqlite3 *db, int old[READER_LIMIT_COUNT]) {
    for (int i = 0; i < READER_LIMIT_COUNT; i++) {
        int before = sqlite3_limit(db, LIMITS[i].which, LIMITS[i].value);
        if (old != NULL) {
            old[i] = before;
        }
    }
}

void reader_unlimit(sqlite3 *db, const int old[READER_LIMIT_COUNT]) {
    for (int i = 0; i < READER_LIMIT_COUNT; i++) {
        (void)sqlite3_limit(db, LIMITS[i].which, old[i]);
    }
}

/* ---- what is allowed ------------------------------------------------------------------------- */

static bool is_one_of(const char *name, const char *const *names) {
    for (; *names != NULL; names++) {
        if (name != NULL && sqlite3_stricmp(name, *names) == 0) {
            return true;
        }
    }
    return false;
}

/* Those that only tell; data_version is what full-text search asks for itself. */
static bool is_harmless_pragma(const char *name) {
    static const char *const NAMES[] = {"table_info",   "table_xinfo",      "table_list",
                                        "index_list",   "index_info",       "index_xinfo",
                                        "data_version", "foreign_key_list", NULL};
    return is_one_of(name, NAMES);
}

static bool grows(const char *name) {
    static const char *const NAMES[] = {"zeroblob", "randomblob", "hex",   "printf",
                                        "format",   "replace",    "quote", NULL};
    return is_one_of(name, NAMES);
}

static int deny(struct sqlite_reader *reader, const char *what, const char *name) {
    (void)snprintf(reader->denied, sizeof(reader->denied), "%s%s%s", what, name != NULL ? " " : "",
                   name != NULL ? name : "");
    return SQLITE_DENY;
}

/* A table of which no column is read comes without its database, unless the query names that. */
static void use_slot(struct sqlite_reader *reader, const char *database, const char *table) {
    for (uint32_t i = 0; i < reader->slot_count; i++) {
        const char *name = reader->slots[i].name;
        if (name[0] != '\0' && (database != NULL ? sqlite3_stricmp(name, database) == 0
                                                 : reader_slot_has(reader, i, table))) {
            reader->slots_used |= UINT32_C(1) << i;
        }
    }
}

static int call(struct sqlite_reader *reader, const char *name) {
    static const char *const NEVER[] = {"load_extension", "fts3_tokenizer", "sqlite_log", NULL};
    if (is_one_of(name, NEVER)) {
        return deny(reader, "function", name);
    }
    if (grows(name) && ++reader->growing > GROWING_MAX) {
        return deny(reader, "so many calls of functions like", name);
    }
    return SQLITE_OK;
}

/* What a statement that is refused would do. */
static const char *name_of(int action, const char *table) {
    static const char *const SCHEMA[] = {"sqlite_master", "sqlite_schema", "sqlite_temp_master",
                                         "sqlite_temp_schema", NULL};
    if (is_one_of(table, SCHEMA)) {
        return "a change of the schema";
    }
    switch (action) {
    case SQLITE_INSERT:
        return "INSERT into";
    case SQLITE_UPDATE:
        return "UPDATE of";
    case SQLITE_DELETE:
        return "DELETE from";
    case SQLITE_PRAGMA:
        return "PRAGMA";
    case SQLITE_ATTACH:
        return "ATTACH of";
    case SQLITE_DETACH:
        return "DETACH of";
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
        return "a transaction:";
    default:
        return "what is no SELECT:";
    }
}

static int authorize(void *context, int action, const char *first, const char *second,
                     const char *database, const char *trigger) {
    struct sqlite_reader *reader = context;
    (void)trigger;
    if (reader->inside) {
        return SQLITE_OK;
    }
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_READ:
        use_slot(reader, database, first);
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return call(reader, second);
    case SQLITE_PRAGMA:
        return is_harmless_pragma(first) ? SQLITE_OK : deny(reader, name_of(action, NULL), first);
    case SQLITE_UPDATE: /* a virtual table that declares itself says so; it changes nothing */
        if (strcmp(first, "sqlite_master") == 0) {
            return SQLITE_OK;
        }
        return deny(reader, name_of(action, first), first);
    default: {
        const char *what = name_of(action, first);
        return deny(reader, what, what[0] == 'a' && what[1] == ' ' ? NULL : first);
    }
    }
}

/* ---- time and memory ------------------------------------------------------------------------- */

static int watch(void *context) {
    struct sqlite_reader *reader = context;
    if (atomic_load_explicit(&reader->interrupted, memory_order_relaxed)) {
        reader->stop = STOP_INTERRUPTED;
    } else if (reader->clock.monotonic_ns(reader->clock.context) >= reader->deadline_ns) {
        reader->stop = STOP_TIME;
    } else if (sqlite3_memory_used() > reader->memory_max) {
        reader->stop = STOP_MEMORY;
    }
    return reader->stop != STOP_NONE;
}

void reader_guard(struct sqlite_reader *reader) {
    (void)sqlite3_set_authorizer(reader->db, authorize, reader);
    sqlite3_progress_handler(reader->db, WATCH_STEPS, watch, reader);
}

void reader_unguard(struct sqlite_reader *reader) {
    sqlite3_progress_handler(reader->db, 0, NULL, NULL);
}

/* ---- what went wrong ------------------------------------------------------------------------- */

sp_status reader_status(int code) {
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SP_OK;
    case SQLITE_NOMEM:
        return SP_NO_MEMORY;
    case SQLITE_TOOBIG:
        return SP_LIMIT;
    case SQLITE_AUTH:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return SP_DENIED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SP_CORRUPT;
    case SQLITE_FULL:
        return SP_NO_SPACE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return SP_IO;
    default:
        return SP_INVALID;
    }
}

static sp_status stopped(const struct sqlite_reader *reader, const struct sp_sql *sql,
                         struct sp_error *error) {
    uint64_t ms = sql->timeout_ms > 0 ? sql->timeout_ms : SP_SQL_TIMEOUT_MS;
    switch (reader->stop) {
    case STOP_TIME:
        return sp_error_set(error, SP_TIMEOUT, "the query ran for longer than %llu ms",
                            (unsigned long long)ms);
    case STOP_MEMORY:
        return sp_error_set(error, SP_LIMIT, "the query needs more than %d MiB of memory",
                            SP_SQLITE_MEMORY_BYTES_MAX >> 20);
    case STOP_NONE:
    case STOP_INTERRUPTED:
        break;
    }
    return sp_error_set(error, SP_CANCELLED, "the query was interrupted");
}

sp_status reader_fail(struct sqlite_reader *reader, const struct sp_sql *sql, int code,
                      struct sp_error *error) {
    int offset = sqlite3_error_offset(reader->db);
    if (reader->stop != STOP_NONE || code == SQLITE_INTERRUPT) {
        return stopped(reader, sql, error);
    }
    if (reader->denied[0] != '\0') {
        (void)sp_error_set(error, SP_DENIED, "a query may only read: %s is not allowed",
                           reader->denied);
    } else if ((code & 0xff) == SQLITE_TOOBIG) {
        (void)sp_error_set(error, SP_LIMIT, "a value or a row is of more than %d MiB",
                           SP_SQLITE_VALUE_BYTES_MAX >> 20);
    } else if ((code & 0xff) == SQLITE_NOMEM) {
        (void)sp_error_set(error, SP_NO_MEMORY, "no memory for the query, or it is too complex");
    } else {
        (void)sp_error_set(error, reader_status(code), "%s", sqlite3_errmsg(reader->db));
    }
    if (offset >= 0 && error != NULL) {
        return sp_sql_error_at(error, sql->text, (size_t)offset);
    }
    return error != NULL ? error->status : reader_status(code);
}
