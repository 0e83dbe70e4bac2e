/*
 * The SQLite sink's own state; only sqlite*.c include this.
 */
#ifndef SP_PROJECT_SQLITE_INT_H
#define SP_PROJECT_SQLITE_INT_H

#include <sqlite3.h>

#include "os/fs.h"
#include "project/sqlite.h"

enum {
    SQLITE_PATH_SIZE = 4096,
    SQLITE_NAME_SIZE = SP_PROJECTION_NAME_MAX + 32, /* NAME.<number>.db */
    SQLITE_BUSY_MS = 10000,
    SQLITE_CACHE_KIB = 16384,
    SQLITE_WAL_PAGES = 4000,      /* checkpointed when it is as long */
    SQLITE_STEPS_UNIT = 1000000,  /* steps of SQLite's machine between two looks at how many */
    SQLITE_STEPS_UNITS_MAX = 100, /* of one event */
    SQLITE_VALUE_BYTES_MAX = 128 << 20,
};

struct sqlite_sink {
    struct sp_sink pub;
    char *folder;
    struct sp_fs *fs; /* of the folder */
    bool owns_fs;
    struct sp_file *lock; /* NULL: read_only */
    struct sp_clock clock;
    bool read_only;
    uint32_t cache_kib;
};

/* A statement of a clause, compiled. */
struct sqlite_statement {
    const struct sp_statement *statement;
    sqlite3_stmt *compiled; /* NULL: it is for another database */
};

/* What the authorizer allows just now. */
enum sqlite_phase {
    SQLITE_PHASE_OWN,   /* the sink's own statements: everything */
    SQLITE_PHASE_SETUP, /* those of the set-up */
    SQLITE_PHASE_EVENT, /* those of the clauses */
};

struct sqlite_build {
    struct sp_build pub;
    sqlite3 *db;
    struct sp_clock clock;
    enum sqlite_phase phase;
    const char *denied; /* why the authorizer said no; NULL: it did not */
    unsigned step_units;
    bool in_batch;
    bool scratch;
    uint64_t batch_applied;              /* events applied in the batch */
    struct sqlite_statement *statements; /* those of all clauses, in order of the file */
    uint32_t *first;                     /* by clause: its first statement there */
    sqlite3_stmt *begin;
    sqlite3_stmt *commit;
    sqlite3_stmt *rollback;
    sqlite3_stmt *note;
    struct sp_build_state committed;
};

extern const struct sp_build_ops sqlite_build_ops;

/*
 * Opens a connection with the settings and guards of a build on the file `path`, "" being one that
 * is temporary, and prepares what the sink itself needs where the tables are there.
 */
SP_WARN_UNUSED sp_status sqlite_build_new(struct sp_definition *definition, struct sp_clock clock,
                                          const char *path, uint32_t cache_kib,
                                          struct sqlite_build **ret_build, struct sp_error *error);

/* Makes the tables and the row of the state, in one transaction. */
SP_WARN_UNUSED sp_status sqlite_build_make(struct sqlite_build *build, uint64_t number,
                                           struct sp_error *error);

/* Reads the state and compiles the statements; the tables are there. */
SP_WARN_UNUSED sp_status sqlite_build_start(struct sqlite_build *build, struct sp_error *error);

void sqlite_build_free(struct sqlite_build *build);

/*
 * Reads the row of the state. SP_NOT_FOUND where there is none: the build was never finished, or
 * the file is no build.
 */
SP_WARN_UNUSED sp_status sqlite_state_read(sqlite3 *db, struct sp_build_state *ret_state,
                                           struct sp_error *error);

/*
 * Makes sure that what lies in the folder was filled from this log: removes it where not. The lock
 * is held. SP_IO, SP_NO_SPACE, SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sqlite_origin_settle(struct sp_fs *fs, const uint8_t log[16],
                                              struct sp_error *error);

/* Puts the guards of a build on its connection. */
void sqlite_fence(struct sqlite_build *build);

/* What a result code of SQLite means. SP_INVALID: the statement's own fault, or its event's. */
sp_status sqlite_status_of(int code);

/* Fills the error with what the connection says of its last failure; the status is as above. */
sp_status sqlite_fail(sqlite3 *db, int code, struct sp_error *error, const char *what);

/* Runs statements that give no rows. */
SP_WARN_UNUSED sp_status sqlite_run(sqlite3 *db, const char *sql, struct sp_error *error);

#endif
