/*
 * Presence: which agents there are, what they can do, and whether they are alive. pure
 *
 * An agent is a source that announced itself. What it says of itself (its facts) and whether it is
 * online is folded from ops (core/control.h), live and on replay by the same code, and is part of
 * the hash of the state and of its snapshots. When it was last seen and how loaded it is lives in
 * memory only: after a restart those that were online have the whole time again.
 *
 *                  announce                     silent for too long, or its connection is lost
 *     (unknown) ──────────────► online ──────────────────────────────────────► suspected
 *         ▲                      │  ▲ └── stale: silent for a while             │  │
 *         │ forget               │  │ recover: a sign of life                   │  │
 *         │                      │  └───────────────────────────────────────────┘  │
 *         │              offline │  ▲ announce                                     │ offline
 *         │                      ▼  │                                              │
 *         └───────────────────  offline  ◄─────────────────────────────────────────┘
 *
 * Stale is an online agent that was silent for `stale_ms`: told from the time, never stored. Signs
 * of life are announcements, heartbeats and every event of the agent's own. One that is suspected
 * and gives a sign is `revived`: it stays suspected until RECOVER is folded.
 *
 * An agent may be *held* by those who speak for it (connections): when the last of them is gone
 * and no sign of life comes within `grace_ms`, it is suspected.
 *
 * Invariants: an agent is in the list of its status, which is in the order in which they came to
 * have it; every capability of it names it once, among those with free capacity exactly while it
 * is online, not found stale, and its load is below its capacity; only online ones have a timer;
 * suspicion and recovery alternate until the agent is offline.
 *
 * Deadlines are lazy: a sign of life is one store, and a timer that fires too soon moves on. No
 * clock is read here, and there are two: silence is measured by the *live* one, which nobody sets
 * and which the owner tells (sp_presence_tell); what is stored and shown are wall times. Deciding
 * writes ops and changes nothing; fold them before you decide again.
 *
 * Limits: below. With SP_AGENTS_MAX agents a new one takes the place of the one that has been
 * offline for longest, else of the one suspected for longest, else it is refused (SP_LIMIT), as it
 * is beyond SP_AGENTS_BYTES_MAX. Memory: about 250 bytes an agent, 56 bytes a capability of it, its
 * texts. An agent's address holds until it is forgotten.
 */
#ifndef SP_CORE_PRESENCE_H
#define SP_CORE_PRESENCE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/htab.h"
#include "base/wire.h"
#include "core/control.h"
#include "core/heap.h"

enum {
    SP_AGENTS_MAX = 1000000,
    SP_AGENT_ID_BYTES_MAX = 255,
    SP_AGENT_CAPABILITIES_MAX = 64,
    SP_AGENT_CAPABILITY_BYTES_MAX = 128,
    SP_AGENT_VERSION_BYTES_MAX = 255,
    SP_AGENT_DATA_BYTES_MAX = 4096,
    SP_AGENT_HOLDS_MAX = 16,            /* of one agent; who comes beyond does not hold it */
    SP_AGENTS_BYTES_MAX = 1 << 30,      /* of ids and facts of all agents */
    SP_AGENT_CAPACITY_MAX = 1000000000, /* of capacity and load */
    /* Of an op that announces, beside the JSON that it comes from. */
    SP_AGENT_OP_BYTES = 2 * (SP_AGENT_ID_BYTES_MAX + 64),
};

/* Stored as numbers. */
enum sp_agent_status {
    SP_AGENT_ONLINE = 0,
    SP_AGENT_SUSPECTED = 1,
    SP_AGENT_OFFLINE = 2,
    SP_AGENT_STALE = 3, /* never stored: online, and silent for a while */
};

/* Stored as numbers. */
enum sp_agent_reason {
    SP_AGENT_SILENT = 0,
    SP_AGENT_CONNECTION_LOST = 1,
};

struct sp_agent;
struct sp_capability;
struct sp_agent_hold;

/* What agents have in common: in the order in which they came in. */
struct sp_agent_list {
    struct sp_agent *first;
    struct sp_agent *last;
    uint32_t count;
};

/* How long silence may last. */
struct sp_presence_limits {
    uint64_t stale_ms;
    uint64_t suspect_ms;
    uint64_t grace_ms; /* for a connection that was lost */
};

/* Somebody who speaks for agents; its owner's, and not to be moved while it holds any. */
struct sp_agent_holder {
    struct sp_agent_hold *first;
};

/* Within struct sp_core, and not to be moved. */
struct sp_presence {
    struct sp_presence_limits limits; /* not part of the state */
    struct sp_agent **agents;         /* by slot; NULL: free */
    uint32_t slot_count;
    uint32_t slot_capacity;
    uint32_t slot_free; /* slots below are in use */
    uint32_t count;
    uint32_t stale_count; /* of those online, as far as timers have found them */
    uint64_t bytes;       /* of ids and facts */
    uint64_t live_ms;     /* sp_presence_tell; not part of the state */
    uint64_t wall_ms;     /* likewise */
    struct sp_htab by_id;
    struct sp_agent_list by_status[3];
    struct sp_agent_list revived;
    struct sp_capability **capabilities; /* by slot; NULL: free */
    uint32_t capability_count;
    uint32_t capability_capacity;
    uint32_t capability_used;
    struct sp_htab by_capability;
    struct sp_heap timers;
};

/* What an agent says of itself. */
struct sp_agent_facts {
    const sp_str *capabilities;
    uint32_t capability_count;
    bool has_capacity;
    uint32_t capacity;
    sp_str version; /* empty: none */
    sp_str data;    /* a JSON object; empty: none */
};

/* Which of its facts an announcement names; the others stay, unless the agent was offline. */
enum sp_agent_named {
    SP_AGENT_NAMES_CAPABILITIES = 1,
    SP_AGENT_NAMES_CAPACITY = 2,
    SP_AGENT_NAMES_VERSION = 4,
    SP_AGENT_NAMES_DATA = 8,
    SP_AGENT_NAMES_ALL = 15,
};

/* All that there is to know of an agent. Slices last until it is announced anew or forgotten. */
struct sp_agent_info {
    sp_str id;
    enum sp_agent_status status;
    enum sp_agent_reason reason; /* of the suspicion */
    uint32_t capability_count;
    bool has_capacity;
    uint32_t capacity;
    uint32_t load; /* as it said last; 0 after a restart */
    bool free;     /* online, and below its capacity */
    sp_str version;
    sp_str data;
    uint64_t announced_ms; /* when its facts, or that it is online, came to be known */
    uint64_t since_ms;     /* when it became online, suspected or offline */
    uint64_t seen_ms;      /* last sign of life; of one suspected: before that */
    uint64_t event_ms;     /* its last event since the store was opened; 0: none */
    uint64_t silent_ms;    /* how long it has been silent, where it is online */
};

/* The defaults: 30 s, 90 s, 2 s. */
struct sp_presence_limits sp_presence_limits_default(void);

/* ---- looking ---- */

/* The hash of an id; the same as that of a source in the index, so that appends have it already. */
uint64_t sp_agent_hash(sp_str id);

/* The agent, or NULL. O(1). */
struct sp_agent *sp_presence_find(const struct sp_presence *presence, uint64_t hash, sp_str id);

struct sp_agent_info sp_agent_info(const struct sp_presence *presence,
                                   const struct sp_agent *agent);
sp_str sp_agent_id(const struct sp_agent *agent);
/* Its capability by number, in the order in which it named them. */
sp_str sp_agent_capability(const struct sp_agent *agent, uint32_t number);

struct sp_agent_query {
    const sp_str *capabilities; /* all of them */
    uint32_t capability_count;
    bool has_status;
    enum sp_agent_status status;
    bool free; /* online, and below its capacity */
};

/* False ends the walk. Must not change the presence. */
typedef bool sp_agent_fn(void *context, struct sp_agent *agent);

/*
 * Walks the agents that match. With a capability O(those that have the rarest of them; with `free`
 * those of them with free capacity); else O(those of the status).
 */
void sp_presence_each(const struct sp_presence *presence, const struct sp_agent_query *query,
                      sp_agent_fn *each, void *context);

/* How many agents have a status now; stale ones are known when their timer fired. O(1). */
uint32_t sp_presence_count(const struct sp_presence *presence, enum sp_agent_status status);

/* Why an agent cannot have this id or these facts; NULL: it can. */
const char *sp_agent_facts_fault(sp_str id, const struct sp_agent_facts *facts);

/* ---- decisions: each appends ops to `to`; whether there was room its sticky status says ---- */

/*
 * The agent is there with these facts. No op where nothing changes: it is online or suspected, and
 * has the facts already. SP_INVALID: an id or facts beyond the limits; SP_LIMIT: see above.
 */
SP_WARN_UNUSED sp_status sp_presence_announce(const struct sp_presence *presence, sp_str id,
                                              unsigned named, const struct sp_agent_facts *facts,
                                              uint64_t wall_ms, struct sp_buf *to,
                                              struct sp_error *error);
/* Online: suspected from now on. */
void sp_presence_suspect(const struct sp_agent *agent, enum sp_agent_reason reason,
                         uint64_t wall_ms, struct sp_buf *to);
/* Suspected: online again. */
void sp_presence_recover(const struct sp_agent *agent, uint64_t wall_ms, struct sp_buf *to);
/* Online or suspected: offline. */
void sp_presence_end(const struct sp_agent *agent, uint64_t wall_ms, struct sp_buf *to);

/* ---- signs of life: in memory only ---- */

/*
 * Both clocks: before signs of life and folds, and whenever somebody may be due. The live one never
 * falls.
 */
void sp_presence_tell(struct sp_presence *presence, uint64_t live_ms, uint64_t wall_ms);

/* O(1), but for the first one after silence: O(its capabilities + log agents). Offline: nothing. */
void sp_presence_sign(struct sp_presence *presence, struct sp_agent *agent);
/* The same, by an event. */
void sp_presence_sign_event(struct sp_presence *presence, struct sp_agent *agent);
/* What it has to do. O(1), or O(its capabilities) where it has free capacity now or no more. */
void sp_presence_load(struct sp_presence *presence, struct sp_agent *agent, uint32_t load);

/* The holder speaks for the agent from now on. SP_NO_MEMORY. O(SP_AGENT_HOLDS_MAX). */
SP_WARN_UNUSED sp_status sp_presence_hold(struct sp_agent *agent, struct sp_agent_holder *holder);
/* Online or suspected. */
bool sp_agent_is_there(const struct sp_agent *agent);
/* Whether anybody holds it. */
bool sp_agent_is_held(const struct sp_agent *agent);
/*
 * The holder is gone; `lost`: agents that nobody holds any more have the time of grace from now on.
 * O(agents it held · SP_AGENT_HOLDS_MAX).
 */
void sp_presence_let_go(struct sp_presence *presence, struct sp_agent_holder *holder, bool lost);

/* ---- time ---- */

/* The store was opened: who is online has given a sign of life just now. O(agents). */
void sp_presence_open(struct sp_presence *presence);
/* Other limits. O(agents). */
void sp_presence_set_limits(struct sp_presence *presence, const struct sp_presence_limits *limits);

/*
 * An agent that is to be suspected, and why, or NULL. Decide and fold it, then ask again. O(timers
 * that fired · log agents).
 */
struct sp_agent *sp_presence_due(struct sp_presence *presence, enum sp_agent_reason *ret_reason);
/* A suspected agent that has given a sign of life, or NULL. Decide and fold it, then ask again. */
struct sp_agent *sp_presence_revived(const struct sp_presence *presence);
/* When to ask for those that are due, by the live clock; 0: never. */
uint64_t sp_presence_next(const struct sp_presence *presence);

/* ---- for the core's own files ---- */

void sp_presence_init(struct sp_presence *presence);
void sp_presence_fini(struct sp_presence *presence);

/* Folds one op, whose kind was read already. SP_CORRUPT, SP_NO_MEMORY, SP_LIMIT. */
SP_WARN_UNUSED sp_status sp_presence_fold(struct sp_presence *presence, enum sp_op op,
                                          struct sp_wire *wire);

uint64_t sp_presence_hash(const struct sp_presence *presence);
void sp_presence_encode(const struct sp_presence *presence, struct sp_buf *to);
/* Into a fresh table. SP_CORRUPT, SP_NO_MEMORY, SP_LIMIT. */
SP_WARN_UNUSED sp_status sp_presence_restore(struct sp_presence *presence, struct sp_wire *wire);

#endif
