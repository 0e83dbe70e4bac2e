/*
 * Flows in an engine: sagas, approvals, joins, schedules and delayed events. loop-thread
 *
 * The engine shows every event to the flows (flow/part.h) as it is appended, and again when it
 * opens. What they want done is done within a turn (sp_engine_poll), before the open block is
 * written: so what answers an event is usually in one block with it.
 *
 * As in bus.h every call here decides at once: it appends what is to happen and returns. Show what
 * it says only when it is durable: take sp_engine_gate (sp_bus_gate) behind it. Texts given stay
 * the caller's.
 *
 * Statuses, beside those of sp_engine_submit: SP_INVALID: it makes no sense, and the error says
 * what and where; SP_NOT_FOUND: there is no such thing; SP_CONFLICT: it cannot be done to it as it
 * is now, and the error says how it is; SP_BUSY: turn, and call again.
 */
#ifndef SP_ENGINE_FLOWS_H
#define SP_ENGINE_FLOWS_H

#include "engine/engine.h"
#include "flow/doc.h"

struct sp_flow;

enum {
    SP_FLOW_SAGA_ID_SIZE = 37,     /* with its NUL */
    SP_FLOW_SHA256_TEXT_SIZE = 65, /* likewise */
    SP_FLOW_TEXT_BYTES_MAX = 4096, /* of a reason, a key, a name of who asks: SP_LIMIT */
};

/*
 * The state of all flows, for lists and looks; changes with every append, so what is borrowed from
 * it lasts until then. Never NULL.
 */
const struct sp_flow *sp_engine_flow(const struct sp_engine *engine);

/*
 * Whether this opening does the work that falls due. On where an engine is opened for writing, off
 * where it is read-only, and never on there. Events are folded in any case.
 */
void sp_engine_flows_run(struct sp_engine *engine, bool on);

/* When a turn has work to do, microseconds since 1970; 0: now; UINT64_MAX: nothing waits for it. */
uint64_t sp_engine_flows_due_us(const struct sp_engine *engine);
/* Milliseconds until then, rounded up; 0: now; -1: never. */
int sp_engine_flows_wait_ms(const struct sp_engine *engine);

/* ---- definitions ---- */

/*
 * An event that carries this extension was recorded elsewhere before: it is kept, and shown, but no
 * flow takes note of it. Set where an export is imported.
 */
#define SP_FLOW_HISTORY_NAME "spoorimported"

enum sp_flow_defines {
    SP_FLOW_DEFINES_SAGA,
    SP_FLOW_DEFINES_JOIN,
    SP_FLOW_DEFINES_SCHEDULE,
};

struct sp_engine_defined {
    uint64_t position; /* of the event that defines it */
    bool unchanged;    /* the very same was there, and nothing is appended */
    char sha256[SP_FLOW_SHA256_TEXT_SIZE];
};

/*
 * Checks a definition: all that can be wrong with it, its jq programs too, is added to `problems`.
 * Nested sagas are put into the document. SP_INVALID where there is an error among them.
 */
SP_WARN_UNUSED sp_status sp_engine_flow_check(struct sp_engine *engine, enum sp_flow_defines kind,
                                              struct sp_doc *doc, struct sp_doc_problems *problems,
                                              struct sp_error *error);

/* The same, and defines it: what begins from now on goes by it. `by` may be empty. */
SP_WARN_UNUSED sp_status sp_engine_flow_define(struct sp_engine *engine, enum sp_flow_defines kind,
                                               struct sp_doc *doc, sp_str by,
                                               struct sp_doc_problems *problems,
                                               struct sp_engine_defined *ret_defined,
                                               struct sp_error *error);

/* Removes it: what runs goes on, nothing begins any more. SP_NOT_FOUND. */
SP_WARN_UNUSED sp_status sp_engine_flow_remove(struct sp_engine *engine, enum sp_flow_defines kind,
                                               sp_str name, sp_str by, uint64_t *ret_position,
                                               struct sp_error *error);

/* ---- sagas ---- */

struct sp_engine_saga_start {
    sp_str name;
    sp_str data;        /* JSON; empty: null */
    sp_str key;         /* empty: none; one that was started by this key is the one there is */
    sp_str correlation; /* empty: its own id */
    sp_str causation;   /* empty: none */
    sp_str by;          /* who asks; empty: nobody says */
};

struct sp_engine_saga_started {
    char sagaid[SP_FLOW_SAGA_ID_SIZE];
    uint64_t position; /* of saga.started */
    bool duplicate;    /* it was there by this key */
};

/* Starts a saga. SP_NOT_FOUND: no definition of this name. */
SP_WARN_UNUSED sp_status sp_engine_saga_start(struct sp_engine *engine,
                                              const struct sp_engine_saga_start *start,
                                              struct sp_engine_saga_started *ret_started,
                                              struct sp_error *error);

/* What a person asks of a running saga. */
enum sp_engine_saga_ask {
    SP_ENGINE_SAGA_CANCEL,
    SP_ENGINE_SAGA_RETRY,
    SP_ENGINE_SAGA_SKIP,
    SP_ENGINE_SAGA_MARK_DONE,
    SP_ENGINE_SAGA_COMPENSATE,
};

struct sp_engine_saga_request {
    enum sp_engine_saga_ask ask;
    sp_str sagaid;
    sp_str step; /* its path; empty: the one that needs attention, where it is the only one */
    sp_str by;
    sp_str why;
    sp_str result; /* of MARK_DONE: JSON; empty: null */
};

/* SP_NOT_FOUND: no such running saga. */
SP_WARN_UNUSED sp_status sp_engine_saga_request(struct sp_engine *engine,
                                                const struct sp_engine_saga_request *request,
                                                uint64_t *ret_position, struct sp_error *error);

struct sp_engine_saga_fork {
    sp_str sagaid; /* running, or ended and still in the log */
    sp_str at;     /* the step to go on with, a path; empty: the one that failed */
    sp_str data;   /* JSON instead of the first one's start data; empty: the same */
    sp_str by;
};

/* A new saga of the same definition, which inherits what was done before the step. */
SP_WARN_UNUSED sp_status sp_engine_saga_fork(struct sp_engine *engine,
                                             const struct sp_engine_saga_fork *fork,
                                             struct sp_engine_saga_started *ret_started,
                                             struct sp_error *error);

/* ---- approvals ---- */

struct sp_engine_decision {
    sp_str approval; /* the id of the proposal, or <saga's id>[/<step>], where one is pending */
    sp_str choice;   /* `approve`, `reject`, or one of its own */
    sp_str by;
    sp_str reason;
    sp_str data; /* JSON; empty: none */
};

struct sp_engine_decided {
    uint64_t position; /* of the decision */
    /* SP_CONFLICT: it was decided before, so: */
    uint64_t first_position; /* of what tells of it; 0: not known any more */
    char first_choice[64];
    char first_by[128];
};

/*
 * Decides a pending approval. The first decision counts: later ones are SP_CONFLICT, and are told
 * the first. SP_DENIED: not one of those who may. *ret_decided is filled with SP_CONFLICT too.
 */
SP_WARN_UNUSED sp_status sp_engine_decide(struct sp_engine *engine,
                                          const struct sp_engine_decision *decision,
                                          struct sp_engine_decided *ret_decided,
                                          struct sp_error *error);

/* ---- delayed events ---- */

/*
 * Cancels a delayed event by its id; `source` empty: any, where only one has the id. SP_NOT_FOUND:
 * none waits by that id.
 */
SP_WARN_UNUSED sp_status sp_engine_delayed_cancel(struct sp_engine *engine, sp_str source,
                                                  sp_str id, sp_str by, sp_str why,
                                                  uint64_t *ret_position, struct sp_error *error);

/* ---- numbers ---- */

struct sp_flow_stats {
    uint64_t works;     /* pieces of work done since opening */
    uint64_t events;    /* appended by them */
    uint64_t postponed; /* works given back, for the log took no more */
    uint64_t lost;      /* works that were no longer to be done when their turn came */
    uint64_t failed;    /* works that gave nothing for an error of their own */
    uint64_t jq_runs;
    uint64_t jq_failures;
    uint64_t jq_us;   /* spent waiting for programs */
    uint64_t late_us; /* how late the newest work of a deadline came */
    uint64_t pinned;  /* the first position that is kept for them; 0: none */
};

void sp_engine_flow_stats(const struct sp_engine *engine, struct sp_flow_stats *ret_stats);

#endif
