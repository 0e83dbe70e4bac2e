/*
 * What the statements of a projection file may do, and how long. The file comes from outside; its
 * statements are compiled and run with this between them and everything that is not theirs.
 */
#include "project/definition_lex.h"
#include "project/sqlite_int.h"

static bool begins(const char *text, const char *with) {
    size_t len = strlen(with);
    return text != NULL && strlen(text) >= len && lex_equals(sp_str_of(text, len), with);
}

static bool equals(const char *text, const char *other) {
    return text != NULL && lex_equals(sp_str_from(text), other);
}

static int deny(struct sqlite_build *build, const char *why) {
    build->denied = why;
    return SQLITE_DENY;
}

/* Functions that know the time of day, chance, the connection or the machine. */
static int authorize_function(struct sqlite_build *build, const char *name) {
    static const char *const denied[] = {"load_extension",
                                         "random",
                                         "randomblob",
                                         "changes",
                                         "total_changes",
                                         "last_insert_rowid",
                                         "current_timestamp",
                                         "current_date",
                                         "current_time",
                                         "fts3_tokenizer",
                                         "readfile",
                                         "writefile",
                                         "edit",
                                         "sqlite_offset",
                                         "sqlite_compileoption_get",
                                         "sqlite_source_id",
                                         "sqlite_log",
                                         "sqlite_version"};
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
        if (equals(name, denied[i])) {
            return deny(build, "a function that a projection may not use, as a rebuild would give "
                               "other rows or it reaches outside");
        }
    }
    return SQLITE_OK;
}

/* Rows of any table of the file's own. In the set-up SQLite itself writes its schema so. */
static int authorize_change(struct sqlite_build *build, const char *table) {
    if (begins(table, "spoor_")) {
        return deny(build, "tables of the projector's own");
    }
    if (begins(table, "sqlite_") && build->phase == SQLITE_PHASE_EVENT &&
        !equals(table, "sqlite_sequence")) {
        return deny(build, "tables of SQLite's own");
    }
    return SQLITE_OK;
}

static int authorize_create(struct sqlite_build *build, int action, const char *name,
                            const char *module) {
    if (build->phase != SQLITE_PHASE_SETUP) {
        return deny(build, "tables are made in the set-up");
    }
    if (begins(name, "spoor_")) {
        return deny(build, "names that begin with spoor_ are not the file's to give");
    }
    bool known = equals(module, "fts5") || equals(module, "rtree");
    if (action == SQLITE_CREATE_VTABLE && !known) {
        return deny(build, "of virtual tables only fts5 and rtree are allowed");
    }
    return SQLITE_OK;
}

static int authorize(void *context, int action, const char *first, const char *second,
                     const char *database, const char *trigger) {
    struct sqlite_build *build = context;
    (void)trigger;
    if (build->phase == SQLITE_PHASE_OWN) {
        return SQLITE_OK;
    }
    if (database != NULL && !equals(database, "main")) {
        return deny(build, "only the read model's own database can be reached");
    }
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_READ:
        return begins(first, "spoor_") ? deny(build, "tables of the projector's own") : SQLITE_OK;
    case SQLITE_FUNCTION:
        return authorize_function(build, second);
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
        return authorize_change(build, first);
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_VIEW:
    case SQLITE_CREATE_VTABLE:
        return authorize_create(build, action, first, second);
    case SQLITE_REINDEX: /* SQLite asks so while it fills a new index */
        return build->phase == SQLITE_PHASE_SETUP ? SQLITE_OK : deny(build, "reindexing");
    case SQLITE_PRAGMA: /* fts5 asks whether somebody else has written */
        return equals(first, "data_version") ? SQLITE_OK : deny(build, "pragmas are not allowed");
    default:
        return deny(build, "only its own tables can be read and changed");
    }
}

/* Ends a statement that would run for ever: by steps, so that it ends alike in every rebuild. */
static int count_steps(void *context) {
    struct sqlite_build *build = context;
    build->step_units++;
    return build->step_units > SQLITE_STEPS_UNITS_MAX && build->phase != SQLITE_PHASE_OWN;
}

void sqlite_fence(struct sqlite_build *build) {
    sqlite3 *db = build->db;
    (void)sqlite3_set_authorizer(db, authorize, build);
    sqlite3_progress_handler(db, SQLITE_STEPS_UNIT, count_steps, build);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL); /* "x" is a name, never text */
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, SQLITE_VALUE_BYTES_MAX);
}
