/*
 * Readers (query.h) over SQLite: over the current builds of a folder, or over one build. any-thread
 *
 * A reader of a folder is a connection to an empty database in memory, to which it attaches the
 * current builds that its queries name, read-only; each under the name of its projection, so that
 * `projection.table` may be said where a bare name is not enough. Which projection has a table it
 * learns by looking into the builds, anew where a name is unknown. Attached builds and compiled
 * statements are kept: a query that was asked before costs one readlink for each build it reads,
 * which tells whether it is still the current one, and the query itself.
 *
 * What a query may do is decided when it is compiled, by an authorizer that lets pass reading,
 * functions and a few harmless pragmas, and again by SQLite, which has opened the files for
 * reading only. Time, memory and interruption are looked at every few hundred steps of its machine.
 *
 * Limits: SP_SQLITE_ATTACHED_MAX builds in one query (SP_UNSUPPORTED), a value of
 * SP_SQLITE_VALUE_BYTES_MAX (SP_LIMIT), SP_SQLITE_MEMORY_BYTES_MAX of memory for all that SQLite
 * holds beyond what it held when the query began (SP_LIMIT); temporary tables are in memory, never
 * in files. Further ones in sqlite_guard.c.
 */
#ifndef SP_PROJECT_SQLITE_QUERY_H
#define SP_PROJECT_SQLITE_QUERY_H

#include "os/os.h"
#include "project/query.h"
#include "project/sink.h"

enum {
    SP_SQLITE_ATTACHED_MAX = 10,
    SP_SQLITE_VALUE_BYTES_MAX = 8 << 20,
    SP_SQLITE_MEMORY_BYTES_MAX = 256 << 20,
};

/*
 * Opens a reader of the folder's builds; opens none of them yet, and the folder may be missing. The
 * path is copied. SP_NO_MEMORY, SP_IO.
 */
SP_WARN_UNUSED sp_status sp_sqlite_reader_new(const char *folder, struct sp_clock clock,
                                              struct sp_sql_reader **ret_reader,
                                              struct sp_error *error);

/*
 * A reader of one build of SQLite's, such as a scratch one, which outlives it: on the build's
 * thread, and outside of its batches. `projection` of its tables is the definition's name.
 */
SP_WARN_UNUSED sp_status sp_sqlite_reader_of(struct sp_build *build, struct sp_clock clock,
                                             struct sp_sql_reader **ret_reader,
                                             struct sp_error *error);

#endif
