/*
 * Builds that are in no sink, and copies of builds.
 */
#include <stdlib.h>
#include <unistd.h>

#include "project/sqlite_int.h"

static struct sqlite_build *of(struct sp_build *build) {
    return (struct sqlite_build *)(void *)build;
}

/* Copies one database over another, page by page. */
static sp_status copy_pages(sqlite3 *to, sqlite3 *from, struct sp_error *error) {
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    int code = backup != NULL ? sqlite3_backup_step(backup, -1) : sqlite3_errcode(to);
    if (backup != NULL) {
        int end = sqlite3_backup_finish(backup);
        code = code == SQLITE_DONE ? end : code;
    }
    return code == SQLITE_OK ? SP_OK : sqlite_fail(to, code, error, "copy of a read model");
}

/* Fills a scratch build with what a file holds. */
static sp_status copy_file(struct sqlite_build *build, const char *path, struct sp_error *error) {
    sqlite3 *from = NULL;
    int code = sqlite3_open_v2(
        path, &from, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    (void)sqlite3_busy_timeout(from, SQLITE_BUSY_MS);
    sp_status status = code == SQLITE_OK ? copy_pages(build->db, from, error)
                                         : sqlite_fail(from, code, error, path);
    (void)sqlite3_close_v2(from);
    return status;
}

static sp_status start_copy(struct sqlite_build *build, const char *path, struct sp_error *error) {
    sp_status status = copy_file(build, path, error);
    status = status == SP_OK ? sqlite_build_start(build, error) : status;
    if (status == SP_NOT_FOUND) {
        return sp_error_set(error, SP_CORRUPT, "%s is no read model", path);
    }
    if (status == SP_OK &&
        memcmp(build->committed.sha256, build->pub.definition->sha256, 32) != 0) {
        return sp_error_set(error, SP_CONFLICT, "%s was made from another text of %s", path,
                            build->pub.definition->name);
    }
    return status;
}

sp_status sp_sqlite_scratch_new(struct sp_definition *definition, struct sp_clock clock,
                                const char *path, struct sp_build **ret_build,
                                struct sp_error *error) {
    struct sqlite_build *build = NULL;
    sp_status status = sqlite_build_new(definition, clock, "", 0, &build, error);
    if (status == SP_OK && path != NULL) {
        status = start_copy(build, path, error);
    } else if (status == SP_OK) {
        status = sqlite_build_make(build, 0, error);
        status = status == SP_OK ? sqlite_build_start(build, error) : status;
    }
    if (status != SP_OK) {
        sqlite_build_free(build);
        return status;
    }
    *ret_build = &build->pub;
    return SP_OK;
}

sp_status sp_sqlite_backup(struct sp_build *pub, const char *path, struct sp_error *error) {
    struct sqlite_build *build = of(pub);
    sqlite3 *to = NULL;
    sp_require(!build->in_batch);
    if (access(path, F_OK) == 0) {
        return sp_error_set(error, SP_CONFLICT, "%s is there already", path);
    }
    int code = sqlite3_open_v2(path, &to,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                   SQLITE_OPEN_EXRESCODE,
                               NULL);
    sp_status status =
        code == SQLITE_OK
            ? sqlite_run(to, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF", error)
            : sqlite_fail(to, code, error, path);
    status = status == SP_OK ? copy_pages(to, build->db, error) : status;
    /* The copy says of itself that it has a write-ahead log, as its source has. It needs none. */
    status = status == SP_OK ? sqlite_run(to, "PRAGMA journal_mode = DELETE", error) : status;
    (void)sqlite3_close_v2(to);
    if (status != SP_OK) {
        (void)unlink(path);
    }
    return status;
}

struct sqlite3 *sp_sqlite_handle(struct sp_build *build) {
    return of(build)->db;
}

void sp_sqlite_handle_return(struct sp_build *build) {
    sqlite_fence(of(build));
}
