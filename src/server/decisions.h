/*
 * Commands that decide (project/decision.h), in the server: their definitions, and running one.
 * loop-thread
 *
 *     command ──► known id? ──► schema ──► conditions ──► emit ──► one append: record and events
 *                    │             │          │  ▲
 *                  the answer    INVALID   REFUSED └── WAITS: not all is durable, or a read
 *                  of then                             model has not seen all of it
 *
 * What is decided by reading (SQL, `none`) is decided when nothing is on its way to the disk and
 * the read models have seen everything up to the head, in one call on the loop that ends with the
 * append: nothing can come between. Where others keep appending, a barrier holds them until the
 * command has had its turn, for BARRIER_MS at most; it is let down only for read models that are
 * nearly there.
 *
 * Each command that is taken leaves an event `command.accepted` in the stream `$command:NAME`, with
 * the id of the command: it causes what is emitted, whose ids are derived from it (`ID:1`, `ID:2`
 * …). The same id from the same source again is answered as the first time, and appends nothing.
 *
 * The definitions are folded from `command.defined` and `command.removed` in `$commands`, and what
 * ships with the program.
 */
#ifndef SP_SERVER_DECISIONS_H
#define SP_SERVER_DECISIONS_H

#include "project/decision.h"
#include "server/server.h"

/* Makes the server's registry and reads what the store has of it. After projections. */
SP_WARN_UNUSED sp_status sp_decisions_init(struct sp_server *server, struct sp_error *error);

/* ---- definitions ---- */

enum sp_decision_outcome {
    SP_DECISION_DEFINED,
    SP_DECISION_REPLACED,
    SP_DECISION_UNCHANGED,
};

/*
 * Checks a definition, its SQL tried out on the read models, and keeps it. SP_BUSY: again after a
 * turn. `connection` is who asks.
 */
SP_WARN_UNUSED sp_status sp_decisions_put(struct sp_connection *connection, sp_str name,
                                          sp_str text, enum sp_decision_outcome *ret_outcome,
                                          struct sp_error *error);
/* SP_NOT_FOUND. */
SP_WARN_UNUSED sp_status sp_decisions_remove(struct sp_server *server, sp_str name,
                                             struct sp_error *error);

/* Defines anew, as they are, those whose event lies before a position: retention is to drop it. */
SP_WARN_UNUSED sp_status sp_decisions_retell(struct sp_server *server, uint64_t before,
                                             struct sp_error *error);

/* Appends `{"name", "shipped", "position", "definition"}`; false where there is none. */
SP_WARN_UNUSED bool sp_decisions_get(struct sp_server *server, sp_str name, struct sp_buf *to);

/* Appends all of them as an array. */
void sp_decisions_list(struct sp_server *server, struct sp_buf *to);

/* ---- running ---- */

enum sp_decision_end {
    SP_DECIDED,          /* `answer` is JSON */
    SP_DECISION_WAITS,   /* run it again in a millisecond; nothing happened */
    SP_DECISION_REFUSED, /* a condition does not hold, or the events could not be appended */
    SP_DECISION_INVALID, /* the command or its data is wrong */
    SP_DECISION_UNKNOWN, /* no command is called so */
    SP_DECISION_LATE,    /* a read model does not catch up */
    SP_DECISION_ERROR,   /* `status` */
};

struct sp_decided {
    enum sp_decision_end end;
    sp_status status;
    struct sp_error error;
    const char *type;  /* of a problem: "condition-failed" … */
    bool duplicate;    /* SP_DECIDED: it was, earlier */
    int condition;     /* REFUSED: its number, -1: none */
    bool has_position; /* REFUSED by `none`: an event that is there */
    uint64_t position;
    struct sp_schema_fault fault; /* INVALID by the schema; else its rule is empty */
    bool has_fault;
    struct sp_buf answer; /* to be freed */
};

/*
 * Runs a command: `body` is {"id", "source", "correlationid", "causationid", "data"}, all of which
 * may be left out. What sp_decided holds is freed by sp_decided_fini.
 */
void sp_decisions_run(struct sp_connection *connection, sp_str name, sp_str body, sp_str source,
                      struct sp_decided *ret_decided);
void sp_decided_fini(struct sp_decided *decided);

#endif
