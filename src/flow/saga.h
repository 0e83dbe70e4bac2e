/*
 * Running sagas: what each has done, what it waits for, what is to be undone. A part of the flow
 * floor (part.h): a fold of the events of streams `saga:<id>` and `$sagas`, of answers to their
 * commands, decisions of people, and what they wait for. pure, loop-thread
 *
 * A saga walks through its definition (definition.h) step by step. Each move is an event in its
 * stream; the moves and what may follow which are in saga_int.h. Answers are recognised by their
 * causationid, which is the id of a command: `<sagaid>/<path>:<attempt>`, `~` for `:` where
 * something is being undone.
 *
 * Extensions of a saga's events, beside `sagaid` and `saga`: `sagastep` (path) and `attempt` where
 * it is about a step; `dueus`, microseconds since 1970, when a time runs out that the event begins
 * (timeout_at, retry_at, until, deadline, timeout_at of saga.started); `escalateus`; `items`,
 * `branch`; `depth` where other sagas led to this one. They are what the fold reads: data is for
 * people and programs.
 *
 * Rules that are easily missed:
 * - Sequences, parallels and branches have no events of their own, but where `when` decides on
 *   them; every other step that was begun has an event that ends it.
 * - A command without `input` carries the start data of its scope; in a for_each, the item.
 * - A program that fails fails its step for good; that of `output` does not: the result is null
 *   then, and `output_error` says why. That of `compensate.input` asks a person.
 * - What is under way when the saga halts is told so (saga.step.cancelled). Commands are waited for
 *   until they are answered, time out, or the grace is over: then nobody knows, and they are
 *   undone. All else ends with it.
 * - A pivot that is done although the saga was cancelled or out of time meanwhile wins: the saga
 *   goes on, and only goes forward.
 * - A saga is not begun by events of sagas of its name, nor by those of sagas at all but where they
 *   are emitted, or the pattern names `saga.`; chains of sagas have at most SP_SAGA_CHAIN_MAX.
 *
 * Of a saga that has ended nothing is kept but, of the last SP_SAGA_ENDED_MAX ones, that it was
 * there: so that answers that come late can be recorded.
 *
 * Limits: below; a saga that cannot be started for one of them is refused, or where an event was to
 * start it, `saga.start.ignored` in `$sagas` says so.
 */
#ifndef SP_FLOW_SAGA_H
#define SP_FLOW_SAGA_H

#include "flow/definition.h"
#include "flow/rule.h"
#include "flow/watch.h"

enum {
    SP_SAGAS_RUNNING_MAX = 10000000,
    SP_SAGA_DEFINITIONS_MAX = 10000,
    SP_SAGA_ENDED_MAX = 65536,
    SP_SAGA_IGNORED_MAX = 100,          /* answers without effect that are recorded, of one saga */
    SP_SAGA_CHAIN_MAX = 16,             /* sagas that start one another by their events */
    SP_SAGA_RESULT_BYTES_MAX = 65536,   /* of a result in the saga's own events */
    SP_SAGA_DATA_BYTES_MAX = 900 << 10, /* of what a command or an own event carries */
    SP_SAGA_KEY_BYTES_MAX = 1024,
    SP_SAGA_PATH_BYTES_MAX = 2048,
    SP_SAGA_ID_SIZE = 37, /* with its NUL */
};

#define SP_SAGA_CANCEL_GRACE_US UINT64_C(30000000) /* for a running worker to answer */

struct sp_sagas;
extern const struct sp_flow_part_ops sp_sagas_part;

/* `watch` outlives it. SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_sagas_new(struct sp_watch *watch, struct sp_sagas **ret_sagas);
void sp_sagas_free(struct sp_sagas *sagas); /* NULL is fine */

/* ---- what is running ---- */

enum sp_saga_waiting {
    SP_SAGA_WAITS_NOT = 0, /* there is work of its own to be done now */
    SP_SAGA_WAITS_WORKER,
    SP_SAGA_WAITS_TIMER, /* a wait, or the time before the next attempt */
    SP_SAGA_WAITS_APPROVAL,
    SP_SAGA_WAITS_EVENT,
    SP_SAGA_WAITS_LIMIT, /* for others of its name to end */
    SP_SAGA_WAITS_OPERATOR,
};

/* `worker`, `timer` …; empty for WAITS_NOT. */
sp_str sp_saga_waiting_name(enum sp_saga_waiting waiting);

/* Of a running saga. Texts are borrowed until the next apply. */
struct sp_saga_info {
    char id[SP_SAGA_ID_SIZE];
    sp_str name;
    sp_str version;
    const uint8_t *sha256; /* of its definition */
    sp_str status; /* running, waiting, cancelling, failing, compensating, needs_attention */
    enum sp_saga_waiting waiting;
    char step[SP_SAGA_PATH_BYTES_MAX]; /* that it waits for, or the first of several; NUL-ended */
    uint64_t due_us;                   /* of that, 0: no time is set */
    uint64_t timeout_us;               /* when the whole saga runs out of time; 0: never */
    uint64_t started_us;
    uint64_t started_position; /* of saga.started: its key, data, correlation are there */
    uint32_t open_count;       /* steps that are under way */
    uint32_t stuck_count;      /* steps that need attention */
};

/* Of one of its steps. */
struct sp_saga_step_info {
    char path[SP_SAGA_PATH_BYTES_MAX];
    enum sp_saga_kind kind;
    sp_str status; /* pending, running, retrying, completed, skipped, failed, unknown, cancelled,
                      compensating, compensated, stuck, … (saga_int.h) */
    uint32_t attempt;
    uint32_t undo_attempt;
    uint64_t due_us;   /* 0: none */
    uint64_t command;  /* position of the newest command, 0: none */
    uint64_t answer;   /* position of what its result is from, 0: none */
    bool is_stuck;     /* needs attention */
    bool is_inherited; /* of the saga it was forked from */
};

uint32_t sp_sagas_count(const struct sp_sagas *sagas);

/* All running ones in the order in which they began; false from `each` ends it. */
typedef bool sp_saga_each_fn(void *context, const struct sp_saga_info *info);
void sp_sagas_each(const struct sp_sagas *sagas, sp_saga_each_fn *each, void *context);
/* False: it is not running. O(steps). */
bool sp_sagas_find(const struct sp_sagas *sagas, sp_str sagaid, struct sp_saga_info *ret_info);
/* Its steps that have been reached, containers too, parents before what is in them. */
typedef bool sp_saga_step_fn(void *context, const struct sp_saga_step_info *step);
void sp_sagas_steps(const struct sp_sagas *sagas, sp_str sagaid, sp_saga_step_fn *each,
                    void *context);

/* ---- definitions ---- */

struct sp_saga_definition_info {
    sp_str name;
    const struct sp_saga_definition *definition; /* NULL: unusable */
    sp_str unusable;   /* why this spoor cannot read it, though another let it in; or empty */
    uint64_t position; /* of the event that defined it */
    uint64_t defined_us;
    uint32_t running; /* sagas of this name, waiting ones too */
};

/* The newest of each name, in the order in which their names came. */
typedef bool sp_saga_definition_fn(void *context, const struct sp_saga_definition_info *info);
void sp_sagas_definitions(const struct sp_sagas *sagas, sp_saga_definition_fn *each, void *context);
/* The newest of one name; false: there is none. */
bool sp_sagas_definition(const struct sp_sagas *sagas, sp_str name,
                         struct sp_saga_definition_info *ret_info);

/*
 * What to append so that a definition, which has been checked, is the newest of its name: nothing
 * where it is. SP_LIMIT.
 */
SP_WARN_UNUSED sp_status sp_sagas_define(const struct sp_sagas *sagas,
                                         const struct sp_saga_definition *definition, sp_str by,
                                         struct sp_flow_out *out,
                                         struct sp_rule_defined *ret_defined,
                                         struct sp_error *error);
/* And so that there is none any more. SP_NOT_FOUND. */
SP_WARN_UNUSED sp_status sp_sagas_remove(const struct sp_sagas *sagas, sp_str name, sp_str by,
                                         struct sp_flow_out *out, struct sp_error *error);

/* ---- beginning one ---- */

struct sp_saga_start {
    sp_str name;
    sp_str data;        /* JSON; empty: null */
    sp_str key;         /* empty: none. One key begins one saga: the id of saga.started is made of
                           it, so that the log finds a second one by its id */
    sp_str correlation; /* empty: its own id */
    sp_str causation;   /* id of what led to it; empty: none */
    sp_str by;          /* who asks, or empty */
    uint32_t depth;     /* sagas that led to this one by their events */
};

/*
 * Appends saga.started to `out`. `new_id` is a fresh UUIDv7. SP_NOT_FOUND: no such definition;
 * SP_UNSUPPORTED: it is unusable; SP_LIMIT: too many run, or a text is too long.
 */
SP_WARN_UNUSED sp_status sp_saga_start_events(const struct sp_sagas *sagas,
                                              const struct sp_saga_start *start,
                                              const uint8_t new_id[16], uint64_t now_us,
                                              struct sp_flow_out *out, struct sp_error *error);

/* ---- what people ask ---- */

enum sp_saga_action {
    SP_SAGA_CANCEL,
    SP_SAGA_RETRY,     /* what is stuck: another round of attempts */
    SP_SAGA_SKIP,      /* go on without it */
    SP_SAGA_MARK_DONE, /* somebody did it by hand */
    SP_SAGA_UNDO,      /* give up: undo what was done */
};

struct sp_saga_request {
    enum sp_saga_action action;
    sp_str sagaid;
    sp_str step; /* empty: the one that is stuck, where it is the only one */
    sp_str by;
    sp_str why;
    sp_str result; /* of MARK_DONE: JSON, empty: null */
};

/*
 * Whether it can be asked now. SP_NOT_FOUND: no such running saga or step; SP_CONFLICT: not as it
 * stands, and the error says how it does; SP_INVALID.
 */
SP_WARN_UNUSED sp_status sp_sagas_check_request(const struct sp_sagas *sagas,
                                                const struct sp_saga_request *request,
                                                struct sp_error *error);
/* The same, and what to append at once: nothing else may come between. */
SP_WARN_UNUSED sp_status sp_sagas_request_events(const struct sp_sagas *sagas,
                                                 const struct sp_saga_request *request,
                                                 struct sp_flow_out *out, struct sp_error *error);

/* ---- approvals that wait for a decision ---- */

struct sp_saga_approval_info {
    char sagaid[SP_SAGA_ID_SIZE];
    char step[SP_SAGA_PATH_BYTES_MAX];
    char proposal[SP_SAGA_PATH_BYTES_MAX]; /* id of its action.proposed: decisions name it */
    sp_str saga;                           /* name */
    const struct sp_saga_approval *rules;
    uint64_t position;    /* of action.proposed */
    uint64_t deadline_us; /* 0: none */
    uint64_t escalate_us; /* 0: never */
    bool is_escalated;
};

typedef bool sp_saga_approval_fn(void *context, const struct sp_saga_approval_info *info);
void sp_sagas_approvals(const struct sp_sagas *sagas, sp_saga_approval_fn *each, void *context);
/*
 * By the id of the proposal, `<sagaid>/<step>`, or the saga's id where one is pending. SP_NOT_FOUND
 * or SP_CONFLICT: several are.
 */
SP_WARN_UNUSED sp_status sp_sagas_find_approval(const struct sp_sagas *sagas, sp_str id,
                                                struct sp_saga_approval_info *ret_info,
                                                struct sp_error *error);

/* ---- numbers ---- */

struct sp_sagas_stats {
    uint64_t running;
    uint64_t waiting; /* for others of their name to end */
    uint64_t stuck;   /* sagas that need attention */
    uint64_t timers;
    uint64_t starts; /* events that will begin one */
    uint64_t memory_bytes;
};

void sp_sagas_stats(const struct sp_sagas *sagas, struct sp_sagas_stats *ret_stats);

#endif
