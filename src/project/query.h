/*
 * Questions to read models: one SQL statement that reads, its parameters, its rows, its limits, and
 * what can answer it. any-thread
 *
 *     struct sp_sql ──► reader ──► columns, once ──► row, row, row … ──► struct sp_sql_done
 *
 * A *reader* is one connection to where read models live: a folder of SQLite files
 * (sqlite_query.h), a PostgreSQL database (postgres.h), or one build that is nowhere else. It
 * resolves the tables anew for each query, so that a swap is seen by the next one, and each query
 * sees one moment of every build it reads. One thread at a time; only sp_reader_interrupt may be
 * called from another one meanwhile.
 *
 * Invariants: nothing that a query says changes anything, in the read models or elsewhere. After an
 * error, of whatever kind, the reader is as good as before. `columns` is called before the first
 * row, also where there are no rows; where the status is not SP_OK what was given before is part of
 * an answer at most.
 *
 * Limits: one statement of SP_SQL_TEXT_BYTES_MAX, SP_SQL_PARAMS_MAX parameters, SP_SQL_COLUMNS_MAX
 * columns; time, rows and bytes of the answer as the query says, or the defaults.
 *
 * The statuses of a query: SP_INVALID (the SQL or its parameters; error.offset is the byte of the
 * text where that is known, and the error says line and column), SP_NOT_FOUND (a table that is not
 * there, with those that are named alike), SP_DENIED (it would change something), SP_LIMIT (rows,
 * bytes, memory or complexity), SP_TIMEOUT, SP_CANCELLED (interrupted, or a callback said so),
 * SP_BUSY (a read model has not seen the position `seen`: done->lagging says which, and no callback
 * was called), SP_UNSUPPORTED (more read models at once than can be had), SP_IO, SP_CORRUPT,
 * SP_NO_MEMORY.
 */
#ifndef SP_PROJECT_QUERY_H
#define SP_PROJECT_QUERY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

enum {
    SP_SQL_TEXT_BYTES_MAX = 256 << 10,
    SP_SQL_PARAMS_MAX = 1000,
    SP_SQL_COLUMNS_MAX = 1000,
    SP_SQL_NAME_SIZE = 64, /* of a read model, NUL included */
    SP_SQL_TIMEOUT_MS = 10000,
    SP_SQL_ROWS_MAX = 10000,
    SP_SQL_BYTES_MAX = 16 << 20,
};

enum sp_sql_kind {
    SP_SQL_NULL,
    SP_SQL_INTEGER,
    SP_SQL_REAL,
    SP_SQL_TEXT, /* UTF-8 */
    SP_SQL_BLOB,
};

/*
 * A value of a row or a parameter. What PostgreSQL knows beyond these kinds comes as the nearest
 * one that SQLite would give: boolean as INTEGER, numeric as REAL or INTEGER, jsonb and times as
 * TEXT.
 */
struct sp_sql_value {
    enum sp_sql_kind kind;
    int64_t integer; /* INTEGER */
    double real;     /* REAL; no NaN, but it may be infinite */
    sp_str text;     /* TEXT and BLOB; borrowed */
    sp_str name;     /* of a parameter: without `:`; empty: the next one by order */
};

struct sp_sql {
    sp_str text; /* UTF-8; one statement; a `;` may end it */
    /*
     * All of them by name (`:name`), or all in the order in which `?`, `?1` or the names come first
     * in the text. One that the text does not have, or that is missing, is SP_INVALID.
     */
    const struct sp_sql_value *params;
    uint32_t param_count;
    uint64_t timeout_ms; /* 0: SP_SQL_TIMEOUT_MS */
    uint64_t rows_max;   /* 0: SP_SQL_ROWS_MAX */
    uint64_t bytes_max;  /* of the values of all rows; 0: SP_SQL_BYTES_MAX */
    bool cut;            /* at rows_max or bytes_max: SP_OK with what fits, and done->cut */
    uint64_t seen;       /* every read model that it reads must have looked at this position; 0 */
};

/* What is given the answer. False ends the query with SP_CANCELLED. Values last for the call. */
struct sp_rows {
    bool (*columns)(void *context, const sp_str *names, uint32_t count); /* may be NULL */
    bool (*row)(void *context, const struct sp_sql_value *values, uint32_t count);
};

struct sp_sql_done {
    uint64_t rows;
    uint64_t bytes;
    bool cut;
    /*
     * The least position that the read models it read have looked at, as of the moment it saw;
     * UINT64_MAX where it read none.
     */
    uint64_t position;
    /* With SP_BUSY the read model that lags behind `seen`, and where it is: `position`. */
    char lagging[SP_SQL_NAME_SIZE];
    /* With SP_NOT_FOUND the table, as the query names it, cut where it is longer. */
    char missing[SP_SQL_NAME_SIZE];
};

struct sp_sql_column {
    sp_str name;
    sp_str type;  /* as declared; may be empty */
    uint32_t key; /* place in the primary key, from 1; 0: not in it */
};

struct sp_sql_table {
    sp_str name;
    sp_str projection;
    bool view;
    uint64_t position; /* of its read model */
    const struct sp_sql_column *columns;
    uint32_t column_count;
};

/* Everything lasts for the call. False ends the list with SP_OK. */
typedef bool sp_sql_table_fn(void *context, const struct sp_sql_table *table);

struct sp_sql_reader;

struct sp_sql_reader_ops {
    sp_status (*query)(struct sp_sql_reader *reader, const struct sp_sql *sql,
                       const struct sp_rows *rows, void *context, struct sp_sql_done *ret_done,
                       struct sp_error *error);
    void (*interrupt)(struct sp_sql_reader *reader); /* any thread */
    sp_status (*tables)(struct sp_sql_reader *reader, sp_str name, sp_sql_table_fn *each,
                        void *context, struct sp_error *error);
    void (*close)(struct sp_sql_reader *reader);
};

/* The first member of whatever implements one. */
struct sp_sql_reader {
    const struct sp_sql_reader_ops *ops;
};

/*
 * Runs one query. `ret_done` may be NULL; of another status than SP_OK, SP_BUSY and SP_NOT_FOUND it
 * says nothing.
 */
static inline sp_status sp_reader_query(struct sp_sql_reader *reader, const struct sp_sql *sql,
                                        const struct sp_rows *rows, void *context,
                                        struct sp_sql_done *ret_done, struct sp_error *error) {
    return reader->ops->query(reader, sql, rows, context, ret_done, error);
}

/*
 * Ends the query that runs now with SP_CANCELLED, soon; where none runs nothing happens. From any
 * thread, as long as the reader is open.
 */
static inline void sp_reader_interrupt(struct sp_sql_reader *reader) {
    reader->ops->interrupt(reader);
}

/*
 * Tells every table and view of the current builds, by projection and name, the tables that index
 * or store others' text left out; or, where `name` is not empty, the one that a query of this name
 * would read: SP_NOT_FOUND where there is none.
 */
static inline sp_status sp_reader_tables(struct sp_sql_reader *reader, sp_str name,
                                         sp_sql_table_fn *each, void *context,
                                         struct sp_error *error) {
    return reader->ops->tables(reader, name, each, context, error);
}

/* NULL is allowed. Not while a query runs. */
static inline void sp_reader_close(struct sp_sql_reader *reader) {
    if (reader != NULL) {
        reader->ops->close(reader);
    }
}

#endif
