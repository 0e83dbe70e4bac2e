/*
 * The bus's own state; only bus*.c include this. See bus.h.
 */
#ifndef SP_ENGINE_BUS_INT_H
#define SP_ENGINE_BUS_INT_H

#include "engine/bus.h"
#include "engine/bus_groups.h"
#include "engine/query_int.h"
#include "match/trie.h"

enum {
    BUS_FETCHERS = 16,
    BUS_HINTS = 1024,
    BUS_COUNTS = 64,
    BUS_OP_BYTES = 256,       /* more than any op that is not a list, its record included */
    BUS_EVENT_BYTES = 2048,   /* of an event of the store's own, beside its names and texts */
    BUS_NAME_BYTES_MAX = 900, /* of a key and a group in a stream's name; what is longer is cut */
};

/* Where an entry id of the log was seen: who reads on from there is spared the search. */
struct bus_hint {
    struct sp_entry_id id;
    uint64_t position;
};

/* Where a version of a stream is: who reads a trimmed stream from its begin starts there. */
struct bus_version_hint {
    uint32_t stream; /* index + 1; 0: unused */
    uint64_t version;
    uint64_t position;
};

/* How many entries a virtual stream has, as far as it was counted. */
struct bus_count {
    sp_str key; /* owned; empty: unused */
    uint64_t first;
    uint64_t until; /* positions below are counted */
    uint64_t count;
    uint64_t used; /* when, in calls */
};

/* Entries behind a group's cursor, as far as they were looked for. */
struct bus_feed {
    uint64_t cursor; /* of the group, when it was asked last */
    uint64_t next;   /* positions below were looked at */
    bool more;       /* the search stopped because it took long */
    uint32_t begin;
    uint32_t count;
    struct sp_group_entry entries[SP_BUS_READY_MAX];
    /*
     * Their records as they were found, so that none is read twice; where they are not too large.
     */
    struct sp_buf bytes;
    uint32_t offsets[SP_BUS_READY_MAX]; /* UINT32_MAX: read it again */
};

/* The bus's side of a group. */
struct bus_group {
    uint64_t number;
    uint32_t slot;
    struct sp_key key; /* text owned; the name of a stream is looked up when it is used */
    bool in_trie;
    sp_str pattern; /* owned: what it is in the trie for */
    sp_str type;    /* owned: of the policy; empty: any */
    struct sp_filter *filter;
    enum sp_group_order order_by;
    bool has_policy;
    bool capped;           /* settling entries may let others go */
    bool sees_own;         /* also events of the store's own streams */
    bool told;             /* that it is ready, and nobody has asked since */
    struct bus_feed *feed; /* NULL: not needed lately */
    struct bus_group *newer;
    struct bus_group *older;
    bool lag_known;
    uint64_t lag;
    uint64_t lag_cursor;
    uint64_t lag_until;
    uint64_t lag_stamp;
    uint64_t lag_first; /* of the log */
};

/* All of them, by slot, so that a trie can name them. */
struct bus_groups {
    struct bus_group **slots;
    uint32_t slot_count;
    uint32_t slot_capacity;
    struct sp_buf free_slots; /* u32 each */
    struct sp_htab by_number;
    struct sp_htab
        by_key; /* groups of streams, sources, correlations, and those of all without a type */
    struct sp_trie types;
    uint32_t
        of_kind[5]; /* in by_key, by enum sp_key_kind: what nobody waits for is not looked up */
    struct bus_group *newest; /* those with a feed */
    struct bus_group *oldest;
    uint32_t feed_count;
    bool searching; /* a feed stopped because it took long */
    sp_bus_ready_fn *ready;
    void *ready_context;
    struct sp_prng random; /* for jitter */
    uint64_t seen_ms;      /* the time of the last tick */
};

struct sp_bus {
    struct sp_engine *engine;
    struct sp_core *core;                     /* the engine's */
    struct sp_buf ops;                        /* of one call */
    struct sp_buf text;                       /* of one event of the store's own: its stream */
    struct sp_buf name;                       /* of one call */
    struct sp_buf json;                       /* of one event of the store's own */
    struct sp_buf agent;                      /* what one agent says of itself */
    struct sp_cursor *fetchers[BUS_FETCHERS]; /* NULL until needed */
    struct bus_hint *hints;
    struct bus_version_hint *versions;
    struct bus_count counts[BUS_COUNTS];
    uint64_t calls;
    bool barred; /* clients append nothing now */
    sp_bus_live_fn *live;
    void *live_context;
    struct bus_groups groups;
};

uint64_t bus_now_ms(const struct sp_bus *bus);

/* Takes what is in bus->ops to the core and the log. */
SP_WARN_UNUSED sp_status bus_take_ops(struct sp_bus *bus, enum sp_engine_ops_way way,
                                      struct sp_error *error);

/* ---- bus.c: events of the store's own ---- */

struct bus_note {
    const char *type;
    const char *prefix; /* of the stream: "$group:" and so on */
    sp_str key;
    sp_str group;                 /* empty: none */
    const struct sp_event *cause; /* NULL: none */
    sp_str data;                  /* JSON */
};

/* Upper bound of what telling costs in a block. */
size_t bus_note_bytes(const struct bus_note *note, size_t data_bytes);
/* Appends it; *ret_position may be NULL. */
SP_WARN_UNUSED sp_status bus_tell(struct sp_bus *bus, const struct bus_note *note,
                                  uint64_t *ret_position, struct sp_error *error);

/* JSON of such events: `{"a":1,"b":"x"}`, member by member into bus->json. */
void bus_json_begin(struct sp_bus *bus);
void bus_json_text(struct sp_bus *bus, const char *name, sp_str value);
void bus_json_number(struct sp_bus *bus, const char *name, uint64_t value);
void bus_json_id(struct sp_bus *bus, const char *name, struct sp_entry_id id);
void bus_json_time(struct sp_bus *bus, const char *name, uint64_t ms);
SP_WARN_UNUSED sp_status bus_json_end(struct sp_bus *bus, sp_str *ret_data, struct sp_error *error);

/* ---- bus_keys.c ---- */

/* Facts of a stream's key; one whose time has come does not exist. */
struct sp_view_facts bus_facts(const struct sp_bus *bus, const struct sp_key *key);
/* Deletes the key where its time has come. */
SP_WARN_UNUSED sp_status bus_settle_key(struct sp_bus *bus, const struct sp_key *key,
                                        struct sp_error *error);
/* Deletes keys whose time has come; ms until the next one, -1: none. */
int bus_expire_upkeep(struct sp_bus *bus);
SP_WARN_UNUSED sp_status bus_check_stream(const struct sp_key *key, struct sp_error *error);

/* ---- bus_add.c ---- */

/* SP_BUSY while the barrier is down. */
SP_WARN_UNUSED sp_status bus_check_barrier(const struct sp_bus *bus, struct sp_error *error);

/* The op of a trim, into bus->ops. */
SP_WARN_UNUSED sp_status bus_decide_trim(struct sp_bus *bus, const struct sp_key *key,
                                         const struct sp_bus_trim *trim, uint64_t *ret_count,
                                         struct sp_error *error);

/* ---- bus_read.c, bus_seek.c ---- */

/* A walk over the durable entries of a key, by position. */
struct bus_walk {
    struct sp_bus *bus;
    struct sp_cursor *fetch;
    struct sp_key key;
    uint32_t stream; /* index; UINT32_MAX: none */
    bool own_ids;
    bool viewed;   /* something may be hidden */
    uint64_t from; /* what is still to be looked at */
    uint64_t until;
    bool reverse;
    enum { WALK_EVERY, WALK_KEY, WALK_TYPES } how;
    bool begun;
    struct sp_index_scan scan;
    struct sp_index_merge merge;
};

SP_WARN_UNUSED sp_status bus_walk_init(struct bus_walk *walk, struct sp_bus *bus,
                                       const struct sp_key *key, uint64_t from, uint64_t until,
                                       bool reverse, struct sp_error *error);
/*
 * The next entry, borrowed until the next call. SP_END; SP_CORRUPT: one cannot be read, the next
 * call goes on behind it.
 */
SP_WARN_UNUSED sp_status bus_walk_next(struct bus_walk *walk, const struct sp_event **ret_event,
                                       struct sp_error *error);
/* The next position that may have one, nothing is read: for counting. */
SP_WARN_UNUSED sp_status bus_walk_position(struct bus_walk *walk, uint64_t *ret_position);
void bus_walk_fini(struct bus_walk *walk);
/* The id that the event has in the walk's key. */
struct sp_entry_id bus_walk_id(const struct bus_walk *walk, const struct sp_event *event);

/*
 * The event at a durable position, borrowed until the next read. SP_NOT_FOUND: it is gone from the
 * log.
 */
SP_WARN_UNUSED sp_status bus_fetch(struct sp_bus *bus, uint64_t position,
                                   const struct sp_event **ret_event, struct sp_error *error);
/* A fetcher for reading on in a key. */
SP_WARN_UNUSED sp_status bus_fetcher(struct sp_bus *bus, uint64_t hash,
                                     struct sp_cursor **ret_fetch, struct sp_error *error);

/*
 * Where in the key the first durable entry with an id at or above `id` can be at the lowest:
 * nothing before has such an id.
 */
SP_WARN_UNUSED sp_status bus_seek_id(struct sp_bus *bus, const struct sp_key *key,
                                     struct sp_entry_id id, uint64_t *ret_position,
                                     struct sp_error *error);
/*
 * The first entry with an id at or above `id`, durable or not, hidden or not: version and position;
 * 0: none.
 */
SP_WARN_UNUSED sp_status bus_first_from(struct sp_bus *bus, const struct sp_key *key,
                                        struct sp_entry_id id, uint64_t *ret_version,
                                        uint64_t *ret_position, struct sp_error *error);
/* Position and version of the entry with exactly this id, durable or not; 0: none. */
SP_WARN_UNUSED sp_status bus_find_id(struct sp_bus *bus, const struct sp_key *key,
                                     struct sp_entry_id id, uint64_t *ret_version,
                                     uint64_t *ret_position, struct sp_error *error);
/*
 * Where in a stream entries with at least this version begin: nothing before has one. O(log
 * events), or O(1) near where it was asked before.
 */
SP_WARN_UNUSED sp_status bus_seek_version(struct sp_bus *bus, const struct sp_key *key,
                                          uint64_t version, uint64_t *ret_position,
                                          struct sp_error *error);
void bus_hint(struct sp_bus *bus, struct sp_entry_id id, uint64_t position);
/* The id of a stream's last entry. */
SP_WARN_UNUSED sp_status bus_last_id(struct sp_bus *bus, const struct sp_view_facts *facts,
                                     struct sp_entry_id *ret_id, struct sp_error *error);
/* Whether the event is one that the key has, hidden or not. */
bool bus_key_has(const struct sp_key *key, const struct sp_event *event);

/* ---- bus_groups.c ---- */
SP_WARN_UNUSED sp_status bus_groups_init(struct sp_bus *bus, struct sp_error *error);
void bus_groups_fini(struct sp_bus *bus);
/* Shows them an event that became durable. */
void bus_groups_live(struct sp_bus *bus, const struct sp_event *event);
/* A key goes: the ops that drop its groups. */
void bus_groups_drop_ops(struct sp_bus *bus, sp_str key);
/* Before its groups go in the core, or after they came: the bus's side of them. */
void bus_groups_forget_key(struct sp_bus *bus, sp_str key);
SP_WARN_UNUSED sp_status bus_groups_know_key(struct sp_bus *bus, sp_str key,
                                             struct sp_error *error);
uint32_t bus_groups_of_key(const struct sp_bus *bus, sp_str key);
/* The bus's side of a group of the core. */
struct bus_group *bus_group_of(struct sp_bus *bus, const struct sp_group *group);
/* The group of a key, or SP_NOT_FOUND. */
SP_WARN_UNUSED sp_status bus_group_find(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                                        const struct sp_group **ret_group, struct sp_error *error);
/* The key with the name of its stream as it is now. */
struct sp_key bus_group_key(const struct sp_bus *bus, const struct bus_group *side);
/* Says that it may have something to hand out. */
void bus_group_tell_ready(struct sp_bus *bus, struct bus_group *side);
/* Whether the group hands the event out, its key apart. */
bool bus_group_wants(const struct bus_group *side, const struct sp_event *event);
/* The consumer's number; one that is new is made, and the group found again. */
SP_WARN_UNUSED sp_status bus_consumer(struct sp_bus *bus, const struct sp_group **group,
                                      sp_str name, uint32_t *ret_consumer, struct sp_error *error);
/* Begins a block unless the caller has; end it with what *ret_held says. */
SP_WARN_UNUSED sp_status bus_hold(struct sp_bus *bus, size_t bytes, uint32_t events, bool *ret_held,
                                  struct sp_error *error);
void bus_release(struct sp_bus *bus, bool held);

/* ---- bus_feed.c ---- */
void bus_feed_free(struct sp_bus *bus, struct bus_group *side);
/* The event of a pending entry; SP_NOT_FOUND where it is gone or hidden. */
SP_WARN_UNUSED sp_status bus_entry_event(struct sp_bus *bus, const struct sp_key *key,
                                         uint64_t position, const struct sp_event **ret_event,
                                         struct sp_error *error);

/* ---- bus_agents.c ---- */
void bus_agents_init(struct sp_bus *bus);
/* Suspects who is silent, recovers who is back; ms until the next look, -1: none. */
int bus_agents_upkeep(struct sp_bus *bus);

/* ---- bus_settle.c ---- */
int bus_groups_upkeep(struct sp_bus *bus);
/* Everything that a consumer has goes back to the group; `disconnected` as in sp_group_leave. */
SP_WARN_UNUSED sp_status bus_consumer_leave(struct sp_bus *bus, uint64_t group, uint32_t consumer,
                                            bool disconnected, struct sp_error *error);

#endif
