/*
 * What the files of the SQLite reader share. any-thread
 *
 *     sqlite_query.c    one query: find or compile the statement, bind, step, give the rows
 *     sqlite_attach.c   which build has which table; attaching and detaching
 *     sqlite_guard.c    what a statement may do, and for how long
 *     sqlite_tables.c   the list of tables
 *     sqlite_lend.c     a reader of one build, on the build's own connection
 */
#ifndef SP_PROJECT_SQLITE_QUERY_INT_H
#define SP_PROJECT_SQLITE_QUERY_INT_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "project/sqlite_query.h"

enum {
    READER_CACHED_MAX = 64,              /* compiled statements */
    READER_CACHED_TEXT_BYTES_MAX = 8192, /* a longer one is compiled each time */
    READER_TARGET_SIZE = 128,            /* of the file name of a build */
    READER_MODELS_MAX = 1024,            /* current builds in a folder; more are not looked at */
    READER_DENIED_SIZE = 128,
};

/* A current build as it was seen last: its projection, its file, its tables. */
struct reader_model {
    char name[SP_SQL_NAME_SIZE];
    char target[READER_TARGET_SIZE]; /* file name within the folder */
    struct sp_buf tables;            /* names, each with a NUL behind it */
};

/* A build that is attached. */
struct reader_slot {
    char name[SP_SQL_NAME_SIZE]; /* the projection, and the schema of SQLite; empty: free */
    char target[READER_TARGET_SIZE];
    sqlite3_stmt *position; /* reads how far the build is */
    uint64_t attached;      /* reader->turn when it was attached: current enough for that query */
    uint64_t used;          /* reader->turn of its last use */
};

struct reader_statement {
    sqlite3_stmt *stmt;
    char *text; /* owned; NULL: free */
    size_t text_len;
    uint32_t slots; /* one bit for each slot that it reads */
    uint64_t used;
};

enum { READER_LIMIT_COUNT = 11 };

/* Why the machine was stopped. */
enum reader_stop { STOP_NONE, STOP_TIME, STOP_MEMORY, STOP_INTERRUPTED };

struct sqlite_reader {
    struct sp_sql_reader base;
    struct sp_clock clock;
    sqlite3 *db;
    struct sp_build *build; /* borrowed; NULL: a folder's */
    /* Of a build: takes its connection into `db` for one query, and gives it back. */
    void (*lend)(struct sqlite_reader *reader, bool taken);
    int lent_limits[READER_LIMIT_COUNT];
    char *folder;
    atomic_bool interrupted;

    bool inside;         /* what runs is the reader's own: anything is allowed */
    uint32_t slots_used; /* gathered by the authorizer */
    unsigned growing;    /* functions met whose results may be larger than what they get */
    char denied[READER_DENIED_SIZE]; /* what the authorizer refused; empty: nothing */
    enum reader_stop stop;
    uint64_t deadline_ns;
    int64_t memory_max; /* of sqlite3_memory_used() */

    uint64_t turn;
    uint32_t slot_count;
    struct reader_slot slots[SP_SQLITE_ATTACHED_MAX];
    struct reader_statement cached[READER_CACHED_MAX];
    sqlite3_stmt *begin;
    sqlite3_stmt *commit;
    struct reader_model *models; /* by name */
    uint32_t model_count;
};

/* ---- sqlite_guard.c ---- */

/* Sets the limits that bound a query's memory. `old`: what they were; NULL: not wanted. */
void reader_limit(sqlite3 *db, int old[READER_LIMIT_COUNT]);
void reader_unlimit(sqlite3 *db, const int old[READER_LIMIT_COUNT]);

/* Hangs the authorizer and the watch over time and memory into reader->db; takes the watch off. */
void reader_guard(struct sqlite_reader *reader);
void reader_unguard(struct sqlite_reader *reader);

/* The status that a result code of SQLite stands for. */
sp_status reader_status(int code);

/* What ended a step or a compilation that failed; fills the error. */
sp_status reader_fail(struct sqlite_reader *reader, const struct sp_sql *sql, int code,
                      struct sp_error *error);

/* ---- sqlite_attach.c ---- */

/*
 * Attaches the build that has this table, `table` or `projection.table` as SQLite's messages name
 * it. `pinned`: slots that must stay; the one that it took is added. SP_NOT_FOUND, SP_UNSUPPORTED.
 */
sp_status reader_attach_for(struct sqlite_reader *reader, sp_str table, uint32_t *pinned,
                            struct sp_error *error);

/*
 * Looks whether the builds in these slots are still the current ones, and attaches those that are;
 * *ret_changed: one was not. One that was attached for this query is.
 */
sp_status reader_freshen(struct sqlite_reader *reader, uint32_t slots, bool *ret_changed,
                         struct sp_error *error);

/* Reads the names of the folder's builds anew, and of each that has changed those of its tables. */
sp_status reader_look_around(struct sqlite_reader *reader, struct sp_error *error);

/* Opens a build by itself, read-only. The caller closes it, also on failure, NULL or not. */
int reader_open_file(const struct sqlite_reader *reader, const char *target, sqlite3 **ret_db);

/* True where the build that is attached there has this table. */
bool reader_slot_has(const struct sqlite_reader *reader, uint32_t slot, const char *table);

void reader_detach_all(struct sqlite_reader *reader);

/* ---- sqlite_query.c ---- */

/* Forgets the compiled statements that read this slot. */
void reader_forget_slot(struct sqlite_reader *reader, uint32_t slot);

/* What both kinds of reader can do. */
extern const struct sp_sql_reader_ops reader_ops;

/* Runs a statement of the reader's own. */
int reader_exec(struct sqlite_reader *reader, const char *text);

/* ---- sqlite_tables.c ---- */

sp_status reader_tables(struct sp_sql_reader *base, sp_str name, sp_sql_table_fn *each,
                        void *context, struct sp_error *error);

#endif
