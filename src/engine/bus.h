/*
 * The bus: streams as Redis' clients see them, consumer groups, and what comes live. loop-thread
 *
 * A face of the engine for servers: every call decides at once and never waits for the disk. What a
 * call says may be shown to anybody only when it is durable: take `sp_bus_gate` after the call, and
 * hold the answer back until `sp_bus_passed` says so. Calls that read events show only what is
 * durable; who wants to read his own writes waits for their gate first.
 *
 * SP_BUSY from a call that writes: too much is on its way to the disk; nothing happened, call it
 * again after a turn. Other statuses are about the request, and the error says what was wrong.
 * SP_FAILED: the store is dead.
 *
 * All bytes given to a call stay the caller's. Slices given to callbacks last for the call.
 */
#ifndef SP_ENGINE_BUS_H
#define SP_ENGINE_BUS_H

#include "core/groups.h"
#include "core/views.h"
#include "engine/engine.h"
#include "record/entry_id.h"

struct sp_bus;

SP_WARN_UNUSED sp_status sp_bus_new(struct sp_engine *engine, struct sp_bus **ret_bus,
                                    struct sp_error *error);
void sp_bus_free(struct sp_bus *bus);

/* ---- durability ---- */

/*
 * The block that all decided so far will be in. Taking the gate asks for that block to be written
 * in this turn; who does not care when (a delivery) does not take it.
 */
uint64_t sp_bus_gate(struct sp_bus *bus);
bool sp_bus_passed(const struct sp_bus *bus, uint64_t gate);

/*
 * From begin to end everything decided lands in one block, all or nothing. SP_LIMIT where `bytes`
 * (an upper bound of what the calls between will write) is more than a block takes; SP_BUSY. No
 * nesting, no turns between.
 */
SP_WARN_UNUSED sp_status sp_bus_begin(struct sp_bus *bus, size_t bytes, uint32_t events,
                                      struct sp_error *error);
void sp_bus_end(struct sp_bus *bus);

/*
 * Timers: what is due (expiry, ack-wait, backoff). Part of every turn; returns ms until the next
 * one, -1: none.
 */
int sp_bus_tick(struct sp_bus *bus);

/* ---- keys ---- */

enum sp_key_kind {
    SP_KEY_STREAM,
    /*
     * Virtual: all that the log has of it, whatever is trimmed or deleted in the streams it came
     * from.
     */
    SP_KEY_ALL,         /* $all */
    SP_KEY_TYPE,        /* $type:<pattern> */
    SP_KEY_SOURCE,      /* $source:<id> */
    SP_KEY_CORRELATION, /* $correlation:<id> */
};

struct sp_key {
    enum sp_key_kind kind;
    sp_str text; /* as the client wrote it */
    sp_str name; /* stream (renames resolved), pattern, source or correlation id */
};

/*
 * SP_INVALID: a bad pattern, an empty name behind a colon. Any other text, also `$x`, is a stream;
 * those that begin with `$` or `saga:` are the store's own and read-only to clients
 * (sp_key_writable).
 */
SP_WARN_UNUSED sp_status sp_key_parse(const struct sp_bus *bus, sp_str text, struct sp_key *ret_key,
                                      struct sp_error *error);
bool sp_key_writable(const struct sp_key *key);

bool sp_bus_exists(struct sp_bus *bus, const struct sp_key *key);
/* Changes whenever the key does; for WATCH. */
uint64_t sp_bus_stamp(struct sp_bus *bus, const struct sp_key *key);
/* Streams that exist, those of the store's own left out. */
uint64_t sp_bus_key_count(struct sp_bus *bus);
/* False ends the walk. */
typedef bool sp_bus_key_fn(void *context, sp_str key);
/*
 * Walks existing keys from a cursor (0: the start), looking at `steps` streams; returns the cursor
 * to go on with, 0: done.
 */
uint64_t sp_bus_scan(struct sp_bus *bus, uint64_t cursor, uint64_t steps, sp_bus_key_fn *each,
                     void *context);
SP_WARN_UNUSED sp_status sp_bus_delete(struct sp_bus *bus, const struct sp_key *key,
                                       bool *ret_was_there, struct sp_error *error);
SP_WARN_UNUSED sp_status sp_bus_rename(struct sp_bus *bus, const struct sp_key *from,
                                       const struct sp_key *to, struct sp_error *error);
/*
 * at_ms 0: never. *ret_changed false where the key does not exist, or had no expiry to take away.
 */
SP_WARN_UNUSED sp_status sp_bus_expire(struct sp_bus *bus, const struct sp_key *key, uint64_t at_ms,
                                       bool *ret_changed, struct sp_error *error);

/* ---- adding ---- */

enum sp_bus_trim_kind { SP_TRIM_NONE, SP_TRIM_LENGTH, SP_TRIM_ID };

struct sp_bus_trim {
    enum sp_bus_trim_kind kind;
    bool approximate;
    uint64_t length;
    struct sp_entry_id id;
    uint64_t
        /* with approximate: at most so many; UINT64_MAX: the default of 100 nodes; 0: no limit */
        limit;
};

enum sp_bus_id_kind { SP_ID_AUTO, SP_ID_MS /* seq made */, SP_ID_GIVEN };

struct sp_bus_add {
    const struct sp_key *key;
    struct sp_event *event;      /* without stream; completed in place, scratch afterwards */
    enum sp_event_origin origin; /* how much of it is validated already */
    bool only_existing;          /* NOMKSTREAM */
    enum sp_bus_id_kind id_kind;
    struct sp_entry_id id;
    struct sp_bus_trim trim;
};

struct sp_bus_added {
    struct sp_entry_id id;
    uint64_t recorded_us;
    uint64_t position;
    uint64_t version;
    uint64_t delayed_us; /* see sp_engine_result */
    sp_str first_stream; /* of a duplicate: where the event went; else, or unknown, a NULL ptr */
    bool duplicate;
    bool id_made;        /* the event had no id, and was given this one: */
    uint8_t made_id[16]; /* as a packed UUID */
};

/*
 * Adds an entry. SP_NOT_FOUND: only_existing and no such key; SP_CONFLICT: the id is not above the
 * stream's last; SP_END: the stream's ids are exhausted; SP_INVALID: id 0-0, or what sp_event_check
 * says; SP_DENIED: the key is virtual, the store's own, or its name is taken (sp_view_resolve).
 */
SP_WARN_UNUSED sp_status sp_bus_add(struct sp_bus *bus, const struct sp_bus_add *add,
                                    struct sp_bus_added *ret_added, struct sp_error *error);

/*
 * Any append, with its outcome at once: PUBLISH, SPOOR.APPEND. See sp_engine_submit; the stream is
 * a key, which may be renamed; SP_DENIED as above.
 */
SP_WARN_UNUSED sp_status sp_bus_append(struct sp_bus *bus, struct sp_event *event,
                                       uint64_t expected_version, struct sp_bus_added *ret_added,
                                       struct sp_error *error);

/*
 * Several events of any streams, all or none, under any number of expectations. The streams are
 * keys, as in sp_bus_append. ret_added has room for `count`; ids of entries are the log's.
 */
SP_WARN_UNUSED sp_status sp_bus_append_all(struct sp_bus *bus, struct sp_event *events,
                                           uint32_t count, enum sp_event_origin origin,
                                           const struct sp_engine_expect *expects,
                                           uint32_t expect_count, struct sp_bus_added *ret_added,
                                           struct sp_error *error);

/*
 * The same, of which the first `own` events go to streams of the store's own: for who decides on
 * behalf of clients, while he keeps them out.
 */
SP_WARN_UNUSED sp_status sp_bus_append_decided(
    struct sp_bus *bus, struct sp_event *events, uint32_t count, uint32_t own,
    enum sp_event_origin origin, const struct sp_engine_expect *expects, uint32_t expect_count,
    struct sp_bus_added *ret_added, struct sp_error *error);

/*
 * Likewise, without expectations, of events that may have been recorded elsewhere before: those of
 * streams of the store's own are taken too, and are history (SP_FLOW_HISTORY_NAME).
 */
SP_WARN_UNUSED sp_status sp_bus_import(struct sp_bus *bus, struct sp_event *events, uint32_t count,
                                       enum sp_event_origin origin, struct sp_bus_added *ret_added,
                                       struct sp_error *error);

/*
 * A barrier: while it is down every append of a client is SP_BUSY, so that what was read to decide
 * by stays true until all of it is durable. Whoever lets it down lifts it soon.
 */
void sp_bus_bar(struct sp_bus *bus, bool down);

/* ---- reading ---- */

/* False ends the read. `id` is the entry's in the key that is read. */
typedef bool sp_bus_entry_fn(void *context, const struct sp_event *event, struct sp_entry_id id);

struct sp_bus_range {
    const struct sp_key *key;
    struct sp_entry_id from;  /* inclusive */
    struct sp_entry_id until; /* inclusive */
    bool reverse;
    uint64_t count; /* 0: no limit */
};

/*
 * Visible, durable entries. O(index lookup + entries). SP_CORRUPT where one is damaged: those
 * before it were given.
 */
SP_WARN_UNUSED sp_status sp_bus_read(struct sp_bus *bus, const struct sp_bus_range *range,
                                     sp_bus_entry_fn *each, void *context, struct sp_error *error);

struct sp_bus_stream_info {
    uint64_t length;
    uint64_t entries_added;
    struct sp_entry_id last_id;
    struct sp_entry_id max_deleted;
    uint64_t nodes; /* 100 entries each, as Redis counts its radix tree */
    uint64_t expire_ms;
    uint32_t group_count;
};

/*
 * SP_NOT_FOUND. Of virtual streams length is counted with the index: O(matches) the first time,
 * then what is new.
 */
SP_WARN_UNUSED sp_status sp_bus_stream(struct sp_bus *bus, const struct sp_key *key,
                                       struct sp_bus_stream_info *ret_info, struct sp_error *error);
SP_WARN_UNUSED sp_status sp_bus_length(struct sp_bus *bus, const struct sp_key *key,
                                       uint64_t *ret_length, struct sp_error *error);

/* ---- hiding ---- */

SP_WARN_UNUSED sp_status sp_bus_trim(struct sp_bus *bus, const struct sp_key *key,
                                     const struct sp_bus_trim *trim, uint64_t *ret_count,
                                     struct sp_error *error);
SP_WARN_UNUSED sp_status sp_bus_hide(struct sp_bus *bus, const struct sp_key *key,
                                     const struct sp_entry_id *ids, size_t count,
                                     uint64_t *ret_count, struct sp_error *error);
/* XSETID. SP_INVALID with Redis' texts. */
SP_WARN_UNUSED sp_status sp_bus_set_id(struct sp_bus *bus, const struct sp_key *key,
                                       struct sp_entry_id last, const uint64_t *entries_added,
                                       const struct sp_entry_id *max_deleted,
                                       struct sp_error *error);

/* ---- groups: engine/bus_groups.h ---- */

/* ---- live ---- */

/*
 * Called for every event that became durable, in order, from within a turn, while `sp_bus_listen`
 * is on. The event is decoded; `record` is the same as it lies in its block. Must not call anything
 * that turns the engine; may append.
 */
typedef void sp_bus_live_fn(void *context, const struct sp_event *event);
void sp_bus_listen(struct sp_bus *bus, sp_bus_live_fn *each, void *context); /* NULL: off */

#endif
