/*
 * Read models in a folder of SQLite files. helper
 *
 *     projections/LOCK            held by whoever fills read models here
 *     projections/NAME.3.db       build 3 of NAME, with -wal and -shm beside it; its state is the
 *                                 row of its table spoor_build
 *     projections/NAME.db         a symbolic link to the current build
 *     projections/ORIGIN          the uuid of the log that all of it was filled from
 *
 * People may open any of them with the sqlite3 shell, while they are filled: they are in WAL mode,
 * where readers wait for nobody and hold up nobody.
 *
 * What can go wrong: a kill at any instruction leaves the last commit, for position and effects are
 * one transaction; a build whose making was not finished is one file without its row, and is
 * removed when the builds are listed. After a loss of power a build may be some commits behind, not
 * torn (synchronous NORMAL), and folds on from there.
 *
 * A definition is input from outside: its statements are compiled under an authorizer that allows
 * them their own tables and nothing else: no other databases, pragmas, extensions, triggers,
 * temporary tables, and nothing that would give other rows the next time (the time of day, random
 * numbers). SQLite's own limits are lowered (sqlite_build.c).
 */
#ifndef SP_PROJECT_SQLITE_H
#define SP_PROJECT_SQLITE_H

#include "os/fs.h"
#include "os/os.h"
#include "project/sink.h"

struct sp_sqlite_options {
    const char *folder; /* made where it is missing; copied */
    struct sp_fs *fs;   /* of the folder; outlives the sink; NULL: the machine's */
    struct sp_clock clock;
    /*
     * Takes no lock and writes nothing: for the builds that are there and queries over them.
     * `open`, `swap` and `drop` are SP_DENIED then.
     */
    bool read_only;
    uint32_t cache_kib; /* of pages, per build that is open; 0: 16,384 */
    /*
     * The uuid of the log that they are filled from; NULL: not said. What was filled from another
     * one is removed, unless read_only.
     */
    const uint8_t *log;
};

/*
 * Opens the sink. SP_BUSY where another process fills read models in this folder, SP_NOT_FOUND
 * where it is missing and read_only, SP_IO.
 */
SP_WARN_UNUSED sp_status sp_sqlite_sink_open(const struct sp_sqlite_options *options,
                                             struct sp_sink **ret_sink, struct sp_error *error);

/* The folder of a sink that sp_sqlite_sink_open made. */
const char *sp_sqlite_sink_folder(const struct sp_sink *sink);

/*
 * A build that is in no sink: in memory, with nothing in it, or as a copy of the database file
 * `path`, which is a build of the same definition and is not changed. It goes when it is closed.
 * SP_CONFLICT where the file is of another definition, SP_CORRUPT where it is none.
 */
SP_WARN_UNUSED sp_status sp_sqlite_scratch_new(struct sp_definition *definition,
                                               struct sp_clock clock, const char *path,
                                               struct sp_build **ret_build, struct sp_error *error);

/*
 * Writes a copy of the build, as of its last commit, to the file `path`, which must not be there.
 * One database file, nothing beside it; not synced. Outside a batch.
 */
SP_WARN_UNUSED sp_status sp_sqlite_backup(struct sp_build *build, const char *path,
                                          struct sp_error *error);

/*
 * The connection of a build, for query.h's readers of scratch builds: a `struct sqlite3 *`. Used
 * by the build's thread; it has the build's authorizer until another one is set, which must be set
 * back by sp_sqlite_handle_return before the build is used again.
 */
struct sqlite3;
struct sqlite3 *sp_sqlite_handle(struct sp_build *build);
void sp_sqlite_handle_return(struct sp_build *build);

#endif
