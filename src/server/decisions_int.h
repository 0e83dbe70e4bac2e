/*
 * What the files of commands share; only decisions*.c include this. loop-thread
 */
#ifndef SP_SERVER_DECISIONS_INT_H
#define SP_SERVER_DECISIONS_INT_H

#include "project/query.h"
#include "server/decisions.h"

enum {
    DECISIONS_MAX = 1024,
    DECISION_SQL_MS = 250, /* the loop waits so long for an answer at most */
    DECISION_SQL_ROWS = 1000,
    DECISION_SQL_BYTES = 1 << 20,
    DECISION_WAIT_MS = 10000, /* for read models, in all */
    BARRIER_MS = 500,
    BARRIER_PAUSE_MS = 100,
    BARRIER_LAG = 2000, /* events that a read model may be behind when the barrier goes down */
    DECISION_TEXT_BYTES_MAX = 32 << 20,
};

/* One that is known. */
struct decision_row {
    sp_str name; /* owned */
    sp_str text; /* owned; of one that ships static */
    bool shipped;
    uint64_t position;            /* of the event that defined it; 0: it ships */
    struct sp_decision *compiled; /* NULL: not used yet */
};

/* A connection whose command waits. */
struct decision_waiter {
    struct decision_waiter *next;
    const struct sp_connection *connection;
    uint64_t since_ms;
    uint64_t seen_ms; /* when it was run last: one that is not run any more is forgotten */
};

struct sp_decisions {
    struct sp_server *server;
    struct sp_jq *jq;
    struct decision_row *rows[DECISIONS_MAX]; /* by name */
    uint32_t row_count;
    struct sp_sql_reader *reader; /* NULL: not opened yet */
    struct decision_waiter *waiters;
    const struct sp_connection *holder; /* of the barrier; NULL: it is up */
    uint64_t held_ms;                   /* since when */
    uint64_t lifted_ms;                 /* when it was lifted because its time was over */
};

/* ---- decisions.c ---- */

struct decision_row *decisions_find(struct sp_decisions *decisions, sp_str name);

/* Compiles it where it is not yet. */
SP_WARN_UNUSED sp_status decisions_compile(struct sp_decisions *decisions, struct decision_row *row,
                                           struct sp_error *error);

/*
 * A command cannot be decided yet: lets the barrier down where `near`. SP_BUSY: to be run again;
 * SP_TIMEOUT: it has waited for too long.
 */
SP_WARN_UNUSED sp_status decisions_wait(struct sp_decisions *decisions,
                                        const struct sp_connection *connection, bool near);

/* It waits no more: the barrier goes up. */
void decisions_done(struct sp_decisions *decisions, const struct sp_connection *connection);

/* ---- decisions_sql.c ---- */

/*
 * Asks the read models, which must have seen `seen`; `params` is a JSON object or empty: all NULL,
 * to try the SQL out. Appends {"columns": […], "rows": […]} and tells the number of rows. SP_BUSY:
 * they have not; *ret_near says whether they nearly have.
 */
SP_WARN_UNUSED sp_status decisions_ask(struct sp_decisions *decisions,
                                       const struct sp_condition *condition, sp_str params,
                                       uint64_t seen, struct sp_buf *to, uint64_t *ret_rows,
                                       bool *ret_near, struct sp_error *error);

#endif
