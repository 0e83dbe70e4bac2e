/*
 * The saga part from within: what a running saga is, the states of its steps, and what may follow
 * which. pure, loop-thread
 *
 * An *activation* (struct sp_act) is one time that a node of the definition is walked through. The
 * activations of what stands in a container are made together when the container is entered, and
 * lie one behind another; number 0 is the saga itself. Where a for_each is entered, there is one
 * for each item (is_item), and the steps in it belong to the items. So a path leads to its
 * activation step by step, and nothing is searched for.
 *
 *   step, forward                                          step, backward
 *
 *   PENDING ──► READY ──► RUNNING ──► ANSWERED ──► DONE ──► UNDO_READY ──► UNDO_RUNNING ──► UNDONE
 *                 │        │  │ ▲         │                     ▲            │      ▲         ▲
 *                 │        │  │ └─BACKOFF◄┤                     │   UNDO_BACKOFF◄───┤         │
 *                 ▼        │  ▼           ▼                     │            ▼      │         │
 *              SKIPPED     │ CANCELLING  FAILED, UNKNOWN ───────┘      UNDO_ANSWERED┴─UNDO_STUCK
 *                          ▼              STUCK
 *                       CANCELLED
 *
 * A container is PENDING, perhaps READY, RUNNING, CLOSING (all in it is done, which is to be
 * recorded), DONE; then UNDO_RUNNING and UNDONE. What was never entered is passed over backward.
 *
 *   saga:  WAITING ──► FORWARD ──► HALTING ──► UNDOING ──► (gone)
 *             └───────────┼───────────▲
 *                         └──► (gone)
 *
 * HALTING: something failed for good, somebody cancelled, or time ran out: nothing new begins, and
 * what is under way is told, and waited for. UNDOING: by structure, what stands one after another
 * from its end, branches side by side. Which steps are undone: sp_act_needs_undo.
 *
 * What there is to do follows from the state alone (sp_saga_todo); the queue of activations is only
 * a hint where to look, so that recovery is looking at all of them.
 *
 * Invariants: a saga's `open` counts its steps in RUNNING (no containers), ANSWERED, BACKOFF and
 * CANCELLING; `stuck` those in STUCK and UNDO_STUCK; no step is READY but in FORWARD; none is in an
 * UNDO state but in UNDOING; `due_us` is 0 but in states that wait for a time.
 */
#ifndef SP_FLOW_SAGA_INT_H
#define SP_FLOW_SAGA_INT_H

#include "base/htab.h"
#include "base/time.h"
#include "base/wire.h"
#include "flow/members.h"
#include "flow/saga.h"
#include "flow/timers.h"
#include "match/path.h"

#define SP_NONE UINT32_MAX

/* Allowed successors are in saga_state.c. The order is part of snapshots: add at the end. */
enum sp_act_state {
    SP_ACT_PENDING = 0, /* its turn has not come */
    SP_ACT_READY,       /* its turn has come: it is to be begun */
    SP_ACT_RUNNING,     /* a command, wait or approval is open; of a container: it was entered */
    SP_ACT_ANSWERED,    /* an answer, decision or event has come, and is to be recorded */
    SP_ACT_BACKOFF,     /* between two attempts; due_us: when the next one begins */
    SP_ACT_CANCELLING,  /* the worker was told to stop; due_us: how long it is waited for */
    SP_ACT_CLOSING,     /* of a container: all in it is done, which is to be recorded */
    SP_ACT_DONE,
    SP_ACT_SKIPPED,
    SP_ACT_FAILED,    /* for good, and did nothing unless `is_unknown` */
    SP_ACT_CANCELLED, /* of a wait, an approval, a step between attempts */
    SP_ACT_STUCK,     /* failed for good, and a person decides */
    SP_ACT_UNDO_READY,
    SP_ACT_UNDO_RUNNING,
    SP_ACT_UNDO_ANSWERED,
    SP_ACT_UNDO_BACKOFF,
    SP_ACT_UNDO_STUCK,
    SP_ACT_UNDONE,
    SP_ACT_STATES,
};

enum {
    /* Part of the state: */
    SP_ACT_IS_UNKNOWN = 1,   /* an attempt ended, and nobody knows how */
    SP_ACT_IS_INHERITED = 2, /* done by the saga that this one was forked from: never undone */
    SP_ACT_IS_ITEM = 4,      /* one item of its node, a for_each */
    SP_ACT_IS_OK = 8,        /* ANSWERED: with success, or granted */
    SP_ACT_IS_ESCALATED = 16,
    SP_ACT_IS_GIVEN_UP = 32, /* a person said not to undo it, or that it is undone */
    SP_ACT_STATE_FLAGS = 63,
    /* Hints: */
    SP_ACT_IS_QUEUED = 64,
    SP_ACT_IS_FIRED = 128, /* its timer came out of the heap */
};

struct sp_act {
    uint16_t node;
    uint8_t state; /* enum sp_act_state */
    uint8_t flags;
    uint32_t parent;       /* SP_NONE: the saga itself */
    uint32_t first;        /* of its children; SP_NONE: not entered */
    uint32_t count;        /* of its children */
    uint32_t left;         /* of them not finished: PARALLEL and FOR_EACH, forward and backward */
    uint32_t next;         /* FOR_EACH: the next item, forward and backward */
    uint32_t attempt;      /* newest one, from 1 */
    uint32_t base;         /* attempts before the last time that a person said retry */
    uint32_t undo_attempt; /* likewise, of the compensation */
    uint32_t undo_base;
    uint32_t generation; /* counts changes: of timers and works in flight. Not stored */
    uint32_t wait;       /* in the table of waits for events, SP_NONE: none. Not stored */
    uint64_t due_us;     /* 0: no time runs */
    uint64_t input;      /* position of the command, proposal, or what began it */
    uint64_t result;     /* position of the answer to the newest attempt, or what gave its result */
    union {
        uint64_t undo;        /* position of the newest compensation command */
        uint64_t escalate_us; /* of an approval; 0: never */
    };
    uint64_t undo_answer; /* position of the answer to it */
};

enum sp_saga_phase {
    SP_SAGA_PHASE_WAITING = 0, /* for others of its name to end */
    SP_SAGA_PHASE_FORWARD,
    SP_SAGA_PHASE_HALTING,
    SP_SAGA_PHASE_UNDOING,
};

enum sp_saga_reason {
    SP_SAGA_REASON_NONE = 0,
    SP_SAGA_REASON_FAILED,
    SP_SAGA_REASON_CANCELLED,
    SP_SAGA_REASON_TIMED_OUT,
};

enum sp_inherited_kind {
    SP_INHERITED_DONE = 0,
    SP_INHERITED_BEGUN, /* a container that was entered */
    SP_INHERITED_SKIPPED,
};

/* What a step was in the saga that this one is forked from. Paths are in `texts`. */
struct sp_inherited {
    uint64_t input;  /* position */
    uint64_t result; /* position */
    uint32_t offset; /* of the path */
    uint32_t len;
    uint32_t number; /* branch or count of items */
    uint8_t kind;    /* enum sp_inherited_kind */
};

struct sp_inheritance {
    uint32_t count;
    uint32_t text_bytes;
    struct sp_inherited *items; /* texts behind them, in one allocation */
    char *texts;
};

struct sp_saga_name;
struct sp_saga_version;

struct sp_saga {
    uint8_t id[16];
    struct sp_saga_version *version; /* holds one reference */
    struct sp_act *acts;
    struct sp_inheritance *inheritance; /* NULL: none */
    char *origin;                       /* its correlation, then the id of saga.started; or NULL */
    uint16_t correlation_len;           /* 0: the saga's id */
    uint16_t started_id_len;            /* 0: the saga's id */
    uint32_t act_count;
    uint32_t act_capacity;
    uint32_t serial; /* tells sagas in one slot apart. Not stored */
    uint32_t slot;
    uint32_t previous; /* in the order of beginning */
    uint32_t next;
    uint32_t queue_previous; /* while it waits for others of its name to end */
    uint32_t queue_next;
    uint8_t phase;
    uint8_t reason;
    bool is_past_pivot;
    uint8_t ignored;         /* answers without effect so far, recorded or to be */
    uint32_t depth;          /* sagas that led to it by their events */
    uint32_t open;           /* see above */
    uint32_t stuck;          /* see above */
    uint32_t cause;          /* the activation that made it halt; SP_NONE: none */
    uint64_t cause_position; /* of the event that made it halt */
    uint64_t started;        /* position of saga.started */
    uint64_t started_us;
};

/* One version of a definition: while it is the newest, sagas run by it, or are to begin. */
struct sp_saga_version {
    uint32_t refs; /* of sagas, starts, and `is_current` */
    uint32_t slot;
    bool is_current;
    uint8_t sha256[SP_SHA256_BYTES];
    struct sp_saga_name *name;
    struct sp_saga_definition *definition; /* NULL: unusable */
    char *unusable;                        /* why, then */
    char *text;                            /* then: as it came */
    size_t text_len;
    uint64_t position;
    uint64_t defined_us;
    sp_str *begin;                 /* by node: the program that is run before it begins */
    sp_str start;                  /* the one that is run before a saga begins by an event */
    uint8_t *unique;               /* by node: whether its name is the only one in its scope */
    struct sp_pool pool;           /* of these */
    struct sp_paths paths;         /* of `match` of waits */
    struct sp_saga_watcher *waits; /* by node; NULL: no waits for events */
    struct sp_saga_watcher *starter;
    struct sp_saga_version *previous;
    struct sp_saga_version *next;
};

/* What sagas of one name share. */
struct sp_saga_name {
    char *text;
    uint32_t len;
    uint32_t slot;
    uint32_t refs;    /* versions */
    uint32_t limit;   /* sagas at once, 0: any number */
    uint32_t running; /* that were let in */
    uint32_t waiting;
    uint32_t queue_head; /* the waiting ones, by slot; SP_NONE: none waits */
    uint32_t queue_tail;
    struct sp_saga_version *current; /* NULL: removed */
};

/* Who wants events of a pattern: a version that begins by them, or a wait of a version. */
struct sp_saga_watcher {
    struct sp_saga_version *version;
    uint32_t node; /* SP_NONE: it begins sagas */
    uint32_t number;
    uint32_t users;                   /* waits that are open */
    uint16_t path;                    /* in the version's paths; SP_PATH_NONE: any event will do */
    struct sp_saga_watcher *previous; /* of the same pattern */
    struct sp_saga_watcher *next;
};

/* A wait for an event. Those with the same watcher and key are a chain. */
struct sp_saga_wait_entry {
    struct sp_saga_watcher *watcher; /* NULL: free */
    char *key;
    uint32_t key_len;
    uint32_t slot;
    uint32_t act;
    uint32_t previous; /* in the chain; SP_NONE: its head */
    uint32_t next;     /* in the chain, or of free ones */
};

/* An event that is to begin a saga. */
struct sp_saga_pending {
    struct sp_saga_version *version; /* holds one reference */
    uint64_t position;               /* of the event */
    uint32_t depth;
    bool is_gone;
};

enum sp_ignored_reason {
    SP_IGNORED_LATE = 1,
    SP_IGNORED_DUPLICATE,
    SP_IGNORED_WRONG_ATTEMPT,
    SP_IGNORED_UNKNOWN_STEP,
    SP_IGNORED_NOT_WAITING,
    SP_IGNORED_NOT_ALLOWED,
    SP_IGNORED_UNKNOWN_CHOICE,
    SP_IGNORED_REASONS,
};

/* An answer without effect that is to be recorded. */
struct sp_saga_ignored {
    uint8_t id[16];
    uint64_t position; /* of the answer */
    uint8_t reason;
    bool is_gone;
};

struct sp_saga_ended {
    uint8_t id[16];
    uint32_t ignored;
};

/* Where there may be something to do. */
struct sp_saga_hint {
    uint32_t slot;
    uint32_t serial;
    uint32_t act;
};

struct sp_sagas {
    struct sp_watch *watch;
    struct sp_saga **slots;
    uint32_t slot_count;
    uint32_t slot_capacity;
    uint32_t slot_free; /* free slots are a list through `free_next` */
    uint32_t *free_next;
    struct sp_htab by_id;
    uint32_t head; /* sagas in the order of beginning */
    uint32_t tail;
    uint32_t count;
    uint32_t serial;

    struct sp_saga_version *versions; /* in the order of coming */
    struct sp_saga_version *versions_last;
    uint32_t version_count;
    struct sp_saga_name **names; /* in the order of coming; NULL: gone */
    uint32_t name_count;
    uint32_t name_capacity;
    struct sp_htab by_name;
    struct sp_saga_watcher **watchers; /* by the pattern's number: the first of a list */
    uint32_t watcher_capacity;
    struct sp_saga_wait_entry *waits;
    uint32_t wait_count;
    uint32_t wait_capacity;
    uint32_t wait_free;
    struct sp_htab by_key; /* of heads of chains */

    struct sp_saga_pending *starts; /* a queue: from start_at to start_count */
    uint32_t start_at;
    uint32_t start_count;
    uint32_t start_capacity;
    uint64_t start_base; /* the number of the first in the array, of all that ever came */
    uint64_t start_next; /* the first one, so counted, that no work was made of */
    struct sp_saga_ignored *ignored; /* likewise */
    uint32_t ignored_at;
    uint32_t ignored_count;
    uint32_t ignored_capacity;
    uint64_t ignored_base;
    uint64_t ignored_next;
    struct sp_saga_ended *ended; /* a ring */
    uint32_t ended_at;           /* where the next one goes */
    uint32_t ended_count;
    struct sp_htab by_ended;

    struct sp_saga_hint *hints; /* a ring */
    uint32_t hint_at;
    uint32_t hint_count;
    uint32_t hint_capacity; /* a power of two */
    struct sp_timers timers;
    uint32_t turn; /* which queue is asked first */

    uint32_t *stack; /* of the walk */
    uint32_t stack_count;
    uint32_t stack_capacity;
    struct sp_buf scratch;
    struct sp_buf scratch_more;
    sp_status failed; /* of an apply that is going on: what could not be had */
    uint64_t stuck;   /* sagas that need attention */
};

/* ---- states (saga_state.c) ---- */

/* What there is to do about an activation. Kinds of work are these, and two more. */
enum sp_saga_todo {
    SP_TODO_NOTHING = 0,
    SP_TODO_BEGIN,    /* READY: saga.step.started, skipped, failed … */
    SP_TODO_RETRY,    /* BACKOFF, its time has come */
    SP_TODO_RECORD,   /* ANSWERED */
    SP_TODO_TIME_OUT, /* its time has run out */
    SP_TODO_ESCALATE,
    SP_TODO_CANCEL,     /* HALTING, and it is under way */
    SP_TODO_CLOSE,      /* a container is done; the saga is */
    SP_TODO_COMPENSATE, /* HALTING, and nothing is under way: saga.compensation.started */
    SP_TODO_UNDO,
    SP_TODO_UNDO_RETRY,
    SP_TODO_UNDO_RECORD,
    SP_TODO_UNDO_TIME_OUT,
    SP_TODO_END,    /* all is undone: saga.compensated, saga.cancelled */
    SP_TODO_START,  /* an event is to begin a saga */
    SP_TODO_IGNORE, /* an answer without effect is to be recorded */
};

const char *sp_act_state_name(enum sp_act_state state);
/* What follows from the state at this time; UINT64_MAX: all times have come. */
enum sp_saga_todo sp_saga_todo(const struct sp_saga *saga, uint32_t act, uint64_t now_us);
/* Moves an activation, which may be so moved, and looks whether there is something to do. */
void sp_act_move(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t act,
                 enum sp_act_state state);
/* Sets when its time runs out (0: none does), also while it stays as it is. */
void sp_act_set_due(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t act, uint64_t due_us);
void sp_act_arm(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t act); /* by its due_us */
/* Puts it into the queue where there is, or may soon be, something to do about it. */
void sp_act_hint(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t act);
bool sp_act_is_open(const struct sp_saga *saga, const struct sp_act *act);
bool sp_act_is_leaf(const struct sp_saga *saga, const struct sp_act *act);
/* Whether it is a step whose effects are to be undone, once the saga goes back. */
bool sp_act_needs_undo(const struct sp_saga *saga, const struct sp_act *act);

static inline const struct sp_saga_node *sp_act_node(const struct sp_saga *saga,
                                                     const struct sp_act *act) {
    return &saga->version->definition->nodes[act->node];
}

/* When the timer of an activation rings: for an approval its escalation may come first. */
static inline uint64_t sp_act_rings_us(const struct sp_saga *saga, const struct sp_act *act) {
    if (act->state == SP_ACT_RUNNING && sp_act_node(saga, act)->kind == SP_SAGA_APPROVAL &&
        act->escalate_us != 0 && (act->flags & SP_ACT_IS_ESCALATED) == 0 &&
        (act->due_us == 0 || act->escalate_us < act->due_us)) {
        return act->escalate_us;
    }
    return act->due_us;
}

/* ---- the tree (saga_tree.c) ---- */

/* Makes the activations of a container's children. False: no memory (sagas->failed). */
bool sp_act_expand(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t act, uint32_t number);
/* The activation of a path; SP_NONE: there is none (yet). O(path + siblings). */
uint32_t sp_saga_find_path(const struct sp_saga *saga, sp_str path);
/* Appends the path of an activation; nothing for the saga itself. */
void sp_act_path(const struct sp_saga *saga, uint32_t act, struct sp_buf *to);
/* The same into a room of SP_SAGA_PATH_BYTES_MAX, with a NUL. */
size_t sp_act_path_text(const struct sp_saga *saga, uint32_t act, char *text);
/* The inherited entry of this path, or NULL. */
const struct sp_inherited *sp_saga_inherits(const struct sp_saga *saga, sp_str path);
/* Goes through all activations below `act` in the order in which they would be undone. */
uint32_t sp_act_undo_first(const struct sp_saga *saga, uint32_t act);
uint32_t sp_act_undo_next(const struct sp_saga *saga, uint32_t act);

struct sp_command_id {
    uint8_t sagaid[16];
    sp_str path;
    bool is_undo;
    uint32_t attempt;
};
/* Takes `<sagaid>/<path>:<attempt>` apart; false: it is something else. */
bool sp_command_id_parse(sp_str text, struct sp_command_id *ret_id);

/* ---- the walk (saga_walk.c) ---- */

/* Begins the saga itself: it was let in. */
void sp_saga_walk_begin(struct sp_sagas *sagas, struct sp_saga *saga);
/* A container's beginning was recorded: its children are made and begun. */
void sp_saga_walk_enter(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t act,
                        uint32_t number);
/* It is finished, well: what follows it begins. Not while the saga goes back. */
void sp_saga_walk_finish(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t act);
/* It failed for good: the saga halts, or a person is asked. */
void sp_saga_walk_fail(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t act,
                       uint64_t position);
/* Nothing new begins from now on; what is under way ends. */
void sp_saga_walk_halt(struct sp_sagas *sagas, struct sp_saga *saga, enum sp_saga_reason reason,
                       uint32_t act, uint64_t position);
/* Goes back, from the saga itself; and on from a step that is undone. */
void sp_saga_walk_undo(struct sp_sagas *sagas, struct sp_saga *saga);
void sp_saga_walk_undone(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t act);
/* True where a step that fails for good waits for a person. */
bool sp_saga_asks(const struct sp_saga *saga);

/* ---- sagas and their table (saga_table.c) ---- */

struct sp_saga *sp_sagas_get(const struct sp_sagas *sagas, const uint8_t id[16]);
struct sp_saga *sp_sagas_get_text(const struct sp_sagas *sagas, sp_str sagaid);
struct sp_saga *sp_sagas_at(const struct sp_sagas *sagas, uint32_t slot, uint32_t serial);
/* Makes one, without activations, behind all others. NULL: sagas->failed. */
struct sp_saga *sp_sagas_add(struct sp_sagas *sagas, const uint8_t id[16],
                             struct sp_saga_version *version);
void sp_sagas_drop(struct sp_sagas *sagas, struct sp_saga *saga);
void sp_saga_fini(struct sp_saga *saga);
/* Ended ones that are remembered; NULL: not. */
/* Room for what a fork inherits; NULL: no memory. */
struct sp_inheritance *sp_inheritance_new(uint32_t count, uint32_t text_bytes);
struct sp_saga_ended *sp_sagas_find_ended(const struct sp_sagas *sagas, const uint8_t id[16]);
void sp_sagas_remember(struct sp_sagas *sagas, const uint8_t id[16], uint32_t ignored);
sp_str sp_saga_correlation(const struct sp_saga *saga, char id_text[SP_UUID_TEXT_SIZE]);
sp_str sp_saga_started_id(const struct sp_saga *saga, char id_text[SP_UUID_TEXT_SIZE]);
/* SP_NO_MEMORY. */
sp_status sp_saga_set_origin(struct sp_saga *saga, sp_str correlation, sp_str started_id);
/* Room for one more in an array that doubles; false: sagas->failed. */
bool sp_sagas_room(struct sp_sagas *sagas, void *array, uint32_t *capacity, uint32_t count,
                   size_t size);

/* ---- definitions (saga_version.c) ---- */

struct sp_saga_version *sp_sagas_version(const struct sp_sagas *sagas, const uint8_t sha256[32]);
struct sp_saga_name *sp_sagas_name(const struct sp_sagas *sagas, sp_str name);
void sp_saga_version_ref(struct sp_saga_version *version);
void sp_saga_version_unref(struct sp_sagas *sagas, struct sp_saga_version *version);
/* Makes the version of a text that is not there yet; with no references. NULL: sagas->failed. */
struct sp_saga_version *sp_sagas_add_version(struct sp_sagas *sagas, sp_str name, sp_str text,
                                             const uint8_t sha256[SP_SHA256_BYTES],
                                             uint64_t position, uint64_t defined_us);
/* It is the newest of its name from now on; NULL: there is none any more. */
void sp_sagas_make_current(struct sp_sagas *sagas, struct sp_saga_name *name,
                           struct sp_saga_version *version);
void sp_sagas_free_versions(struct sp_sagas *sagas);
/* The events of `$sagas`. */
void sp_sagas_fold_definition(struct sp_sagas *sagas, const struct sp_event *event);

/* A saga waits for others of its name, and no longer does. */
void sp_sagas_queue(struct sp_sagas *sagas, struct sp_saga *saga);
void sp_sagas_unqueue(struct sp_sagas *sagas, struct sp_saga *saga);
/* True where the text is the hash in hex, small letters. */
bool sp_sha256_is_hex(const uint8_t sha256[SP_SHA256_BYTES], sp_str text);
void sp_sha256_hex(const uint8_t sha256[SP_SHA256_BYTES], char text[2 * SP_SHA256_BYTES]);
bool sp_sha256_parse(sp_str text, uint8_t ret_sha256[SP_SHA256_BYTES]);

/* Lets in those that wait, as many as may run. */
void sp_sagas_admit(struct sp_sagas *sagas, struct sp_saga_name *name);

/* ---- events that are waited for (saga_watch.c) ---- */

void sp_saga_watcher_use(struct sp_sagas *sagas, struct sp_saga_watcher *watcher, sp_str pattern);
void sp_saga_watcher_leave(struct sp_sagas *sagas, struct sp_saga_watcher *watcher);
void sp_saga_wait_add(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t act, sp_str key);
void sp_saga_wait_remove(struct sp_sagas *sagas, struct sp_act *act);
/* What the event begins, and whom it wakes; by sagas->watch->matched. */
void sp_sagas_fold_watched(struct sp_sagas *sagas, const struct sp_event *event);
void sp_sagas_add_start(struct sp_sagas *sagas, struct sp_saga_version *version, uint64_t position,
                        uint32_t depth);
/* One of them began, or will not: by the event's position and the definition's hash in hex. */
void sp_sagas_end_start(struct sp_sagas *sagas, uint64_t position, sp_str sha256);
/* An answer is to be recorded; and it was. */
void sp_sagas_add_ignored(struct sp_sagas *sagas, const uint8_t id[16], uint64_t position,
                          enum sp_ignored_reason reason);
void sp_sagas_end_ignored(struct sp_sagas *sagas, uint64_t position);

/* ---- the fold (saga_fold.c, saga_answer.c) ---- */

void sp_sagas_fold_own(struct sp_sagas *sagas, const struct sp_event *event);
void sp_sagas_fold_answer(struct sp_sagas *sagas, const struct sp_event *event);
void sp_sagas_fold_decision(struct sp_sagas *sagas, const struct sp_event *event);
void sp_sagas_fold_started(struct sp_sagas *sagas, const struct sp_event *event, sp_str sagaid);
sp_str sp_saga_extension(const struct sp_event *event, sp_str name);
uint64_t sp_saga_number(const struct sp_event *event, sp_str name); /* 0: none */
/* The rules by which a decision on an approval is judged. */
struct sp_approval_rules;
void sp_act_rules(const struct sp_saga *saga, const struct sp_act *act,
                  struct sp_approval_rules *ret_rules);

/* ---- the work (saga_work.c …) ---- */

/* Everything that an act looks at. */
struct sp_saga_turn {
    struct sp_sagas *sagas;
    struct sp_saga *saga;
    uint32_t at;
    struct sp_act *act;
    const struct sp_saga_node *node;
    const struct sp_flow_now *now;
    struct sp_flow_out *out;
    struct sp_error *error;
    char id[SP_UUID_TEXT_SIZE];
    char stream[5 + SP_UUID_TEXT_SIZE];
    char path[SP_SAGA_PATH_BYTES_MAX];
    sp_str step; /* the path */
};

sp_status sp_saga_act_begin(struct sp_saga_turn *turn);
sp_status sp_saga_act_retry(struct sp_saga_turn *turn);
sp_status sp_saga_act_record(struct sp_saga_turn *turn);
sp_status sp_saga_act_time_out(struct sp_saga_turn *turn);
sp_status sp_saga_act_escalate(struct sp_saga_turn *turn);
sp_status sp_saga_act_cancel(struct sp_saga_turn *turn);
sp_status sp_saga_act_close(struct sp_saga_turn *turn);
sp_status sp_saga_act_compensate(struct sp_saga_turn *turn);
sp_status sp_saga_act_undo(struct sp_saga_turn *turn);
sp_status sp_saga_act_undo_retry(struct sp_saga_turn *turn);
sp_status sp_saga_act_undo_record(struct sp_saga_turn *turn);
sp_status sp_saga_act_undo_time_out(struct sp_saga_turn *turn);
sp_status sp_saga_act_end(struct sp_saga_turn *turn);
sp_status sp_saga_act_start(struct sp_sagas *sagas, const struct sp_saga_pending *start,
                            const struct sp_flow_now *now, struct sp_flow_out *out,
                            struct sp_error *error);
sp_status sp_saga_act_ignore(struct sp_sagas *sagas, const struct sp_saga_ignored *ignored,
                             const struct sp_flow_now *now, struct sp_flow_out *out,
                             struct sp_error *error);

/* What saga.started says (saga_start.c). */
struct sp_saga_beginning {
    const struct sp_saga_definition *definition;
    sp_str data; /* JSON; empty: null */
    sp_str key;
    sp_str correlation; /* empty: its own id */
    sp_str causation;
    sp_str by;
    uint64_t trigger; /* position of the event that began it, 0: none */
    uint32_t depth;
    uint64_t now_us;
    const uint8_t *id;
    sp_str forked_from; /* a saga's id, or empty */
    sp_str forked_at;
    sp_str inherited; /* JSON: an array */
    uint32_t inherited_count;
};
void sp_saga_write_started(const struct sp_saga_beginning *from, struct sp_flow_out *out,
                           struct sp_buf *room);

/* Parts of an event (saga_emit.c). */

/* An event of the saga: with its correlation, extensions; caused by saga.started unless told. */
void sp_saga_out_begin(const struct sp_saga *saga, struct sp_flow_out *out, sp_str type,
                       sp_str causation);
void sp_turn_begin(struct sp_saga_turn *turn, sp_str type, sp_str causation);
/* The same with step and attempt (0: without). */
void sp_turn_begin_step(struct sp_saga_turn *turn, sp_str type, uint32_t attempt, sp_str causation);
/* JSON members: the first one of an object has no comma before it. */
void sp_json_open(struct sp_buf *to);
void sp_json_close(struct sp_buf *to);
void sp_json_member(struct sp_buf *to, const char *name); /* and what follows is its value */
void sp_json_text(struct sp_buf *to, const char *name, sp_str value);
void sp_json_raw(struct sp_buf *to, const char *name, sp_str json); /* empty: null */
void sp_json_u64(struct sp_buf *to, const char *name, uint64_t value);
void sp_json_bool(struct sp_buf *to, const char *name, bool value);
void sp_json_time(struct sp_buf *to, const char *name, uint64_t time_us); /* 0: null */
void sp_json_bytes(struct sp_buf *to, sp_str bytes); /* as a string: what is no UTF-8 as `?` */

/* When the next attempt begins: 0: there is none. */
uint64_t sp_retry_at(const struct sp_saga_retry *retry, uint32_t attempts,
                     const struct sp_flow_now *now);
/* Writes the id of a command: `<sagaid>/<path>:<attempt>`. */
enum { SP_COMMAND_ID_SIZE = SP_UUID_TEXT_SIZE + SP_SAGA_PATH_BYTES_MAX + 16 };
sp_str sp_turn_command_id(const struct sp_saga_turn *turn, bool is_undo, uint32_t attempt,
                          char text[SP_COMMAND_ID_SIZE]);
/* The event that a worker takes, up to its data. */
void sp_turn_command(struct sp_saga_turn *turn, sp_str type, sp_str id, bool is_undo,
                     uint32_t attempt);
/* `dueus`: when the time runs out that the event begins. 0: none is said. */
void sp_turn_due(struct sp_saga_turn *turn, uint64_t due_us);
/* What an answer that says `failed` says. Texts last as long as the event and the scratch. */
struct sp_failure {
    bool is_retryable;
    bool is_unknown;
    sp_str error;
};
sp_status sp_failure_read(const struct sp_event *event, struct sp_buf *scratch,
                          struct sp_failure *ret_failure);
/* `result` of an answer: its data, or where that is large, its position. */
void sp_json_result(struct sp_buf *to, const struct sp_event *answer);
/* saga.needs_attention, behind what it is about. */
void sp_turn_ask(struct sp_saga_turn *turn, bool is_undo, sp_str error);

/* ---- what programs see (saga_context.c) ---- */

/*
 * Reads an event that is kept for sagas: that it is gone is damage, and does not mean that there is
 * nothing to be done any more.
 */
sp_status sp_saga_read(const struct sp_flow_ports *ports, uint64_t position,
                       struct sp_event *ret_event, struct sp_error *error);

sp_status sp_saga_write_context(struct sp_sagas *sagas, const struct sp_saga *saga, uint32_t act,
                                bool is_inside, const struct sp_flow_ports *ports,
                                struct sp_buf *to, struct sp_error *error);
/* The result of an activation, as JSON. */
sp_status sp_act_write_result(struct sp_sagas *sagas, const struct sp_saga *saga, uint32_t act,
                              const struct sp_flow_ports *ports, struct sp_buf *to,
                              struct sp_error *error);
/* The data that a command has where its step says nothing: start data, or the item. */
sp_status sp_saga_write_default(struct sp_sagas *sagas, const struct sp_saga *saga, uint32_t act,
                                const struct sp_flow_ports *ports, struct sp_buf *to,
                                struct sp_error *error);
/* {input, result, error} of a step that is to be undone; without the braces where `bare`. */
sp_status sp_act_write_undo_data(struct sp_sagas *sagas, const struct sp_saga *saga, uint32_t act,
                                 const struct sp_flow_ports *ports, bool bare, struct sp_buf *to,
                                 struct sp_error *error);
/* The data of an event as JSON: bytes as a string, none as null. */
void sp_saga_event_data(const struct sp_event *event, struct sp_buf *to);

/* ---- snapshots (saga_snapshot.c) ---- */

uint64_t sp_sagas_oldest(const struct sp_sagas *sagas);
void sp_sagas_encode(const struct sp_sagas *sagas, struct sp_buf *to);
sp_status sp_sagas_restore(struct sp_sagas *sagas, struct sp_wire *wire);
uint64_t sp_sagas_hash(const struct sp_sagas *sagas);

#endif
