/* A reader of one build, on the build's own connection. */
#include <stdlib.h>

#include "project/sqlite.h"
#include "project/sqlite_query_int.h"

static void lend(struct sqlite_reader *reader, bool taken) {
    if (taken) {
        reader->db = sp_sqlite_handle(reader->build);
        reader_limit(reader->db, reader->lent_limits);
    } else {
        reader_unlimit(reader->db, reader->lent_limits);
        sp_sqlite_handle_return(reader->build);
    }
}

sp_status sp_sqlite_reader_of(struct sp_build *build, struct sp_clock clock,
                              struct sp_sql_reader **ret_reader, struct sp_error *error) {
    struct sqlite_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for a reader");
    }
    reader->base.ops = &reader_ops;
    reader->clock = clock;
    reader->build = build;
    reader->lend = lend;
    *ret_reader = &reader->base;
    return SP_OK;
}
