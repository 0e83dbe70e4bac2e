/*
 * A connection to PostgreSQL, and what its errors mean. any-thread
 *
 * The happy path: a target is read from a URL once, links are opened to it, statements run. What
 * can go wrong is sorted here, by SQLSTATE, once for sink and queries: what speaks of the server or
 * of other sessions (gone, shutting down, deadlock, a lock or a statement that took too long, too
 * many connections) is SP_BUSY and may be tried again, a full disk is SP_NO_SPACE, missing rights
 * are SP_DENIED; all else is the statement's own fault, SP_INVALID.
 *
 * Every session has the same settings whatever the server's defaults are: UTC, ISO dates, numbers
 * with all their digits, no JIT, a limit on how long it waits for a lock. libpq prints nothing:
 * notices are dropped.
 *
 * A link belongs to one thread at a time; only sp_pg_link_cancel may be called by another. A link
 * that broke stays broken until it is closed and opened again.
 */
#ifndef SP_PROJECT_POSTGRES_LINK_H
#define SP_PROJECT_POSTGRES_LINK_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

enum {
    SP_PG_SCHEMA_BYTES_MAX = 24, /* of the schema where people see read models */
    SP_PG_NAME_SIZE = 64,        /* an identifier, with its NUL */
    SP_PG_URL_BYTES_MAX = 4096,
    SP_PG_SHOWN_SIZE = 96,
    SP_PG_LOCK_TIMEOUT_MS = 5000, /* of whoever waits for a lock, if not said otherwise */
};

/* A database, and the schema in it. */
struct sp_pg_target {
    char *conninfo; /* the URL without what is spoor's own */
    char schema[SP_PG_SCHEMA_BYTES_MAX + 1];
    char shown[SP_PG_SHOWN_SIZE]; /* where it is, for messages: no password */
};

/*
 * Reads `postgres://…` or `postgresql://…`, as libpq documents them, with one more parameter:
 * `schema`, a name of at most SP_PG_SCHEMA_BYTES_MAX letters, digits and `_`, default `spoor`.
 * SP_INVALID, SP_NO_MEMORY. The password never stands in an error.
 */
SP_WARN_UNUSED sp_status sp_pg_target_init(struct sp_pg_target *to, sp_str url,
                                           struct sp_error *error);
/* Free the copy as well. SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_pg_target_copy(struct sp_pg_target *to, const struct sp_pg_target *from,
                                           struct sp_error *error);
void sp_pg_target_fini(struct sp_pg_target *from);

struct sp_pg_link {
    PGconn *conn; /* NULL: closed */
};

/*
 * Connects, within ten seconds for each address. `purpose` is what pg_stat_activity shows behind
 * "spoor ". SP_BUSY where the server is not there or not ready, SP_DENIED where it refuses us.
 */
SP_WARN_UNUSED sp_status sp_pg_link_open(struct sp_pg_link *link, const struct sp_pg_target *target,
                                         const char *purpose, struct sp_error *error);

/* Closing one that is closed is fine. */
void sp_pg_link_close(struct sp_pg_link *link);

/* True while statements can be sent. */
static inline bool sp_pg_link_whole(const struct sp_pg_link *link) {
    return link->conn != NULL && PQstatus(link->conn) == CONNECTION_OK;
}

/* Runs one statement or several without parameters and drops what they answer. */
SP_WARN_UNUSED sp_status sp_pg_run(struct sp_pg_link *link, const char *sql,
                                   struct sp_error *error);

/* Ends a transaction that failed; where that fails as well the link is closed, which ends it. */
void sp_pg_roll_back(struct sp_pg_link *link);

/*
 * Runs one statement with text parameters (NULL: SQL's) and gives its answer, which the caller
 * clears with PQclear.
 */
SP_WARN_UNUSED sp_status sp_pg_ask(struct sp_pg_link *link, const char *sql, int count,
                                   const char *const *values, PGresult **ret_result,
                                   struct sp_error *error);

/*
 * The same with names put into the statement: each `%s` of `format` is one of `names`, in order,
 * as an identifier in quotes. For schemas and tables, which cannot be parameters.
 */
SP_WARN_UNUSED sp_status sp_pg_ask_of(struct sp_pg_link *link, const char *format,
                                      const char *const *names, int count,
                                      const char *const *values, PGresult **ret_result,
                                      struct sp_error *error);

/* As sp_pg_ask_of, for an answer nobody reads. */
SP_WARN_UNUSED sp_status sp_pg_run_of(struct sp_pg_link *link, const char *format,
                                      const char *const *names, int count,
                                      const char *const *values, struct sp_error *error);

/* SP_OK where the result is a success; else the error record says what PostgreSQL says. */
sp_status sp_pg_result_check(const struct sp_pg_link *link, const PGresult *result,
                             struct sp_error *error);

/* SP_OK where the SQLSTATE (may be NULL: the connection is lost) is what `wanted` says. */
bool sp_pg_state_is(const PGresult *result, const char *wanted);

/* What a SQLSTATE means; NULL or one without text: the connection is gone. */
sp_status sp_pg_status_of(const char *sqlstate);

/* A whole number from a field of a result; 0 where it is NULL. */
uint64_t sp_pg_number(const PGresult *result, int row, int column);

/* The text of a field, borrowed from the result. Empty where it is NULL. */
sp_str sp_pg_text(const PGresult *result, int row, int column);

#endif
