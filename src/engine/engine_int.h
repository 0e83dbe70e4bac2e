/*
 * The engine's own state; only src/engine includes this. See engine.h.
 */
#ifndef SP_ENGINE_ENGINE_INT_H
#define SP_ENGINE_ENGINE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/prng.h"
#include "core/presence_read.h"
#include "engine/engine.h"
#include "engine/engine_ops.h"
#include "flow/flow.h"
#include "index/index.h"

enum {
    IN_FLIGHT_MAX = 4,     /* blocks handed to the log and not durable yet; it takes fewer */
    CUT_BYTES = 160 << 10, /* an open block this large is cut while another is being written */
    FIRST_BLOCK_BYTES = 8 << 10,
    FIRST_PENDING = 256, /* a ring no larger than what is outstanding stays in the cache */
    PREFETCH_EVENTS = 8, /* the index is told of keys so long before they are added */
    SINGLE_RESULTS = 1,
    SNAPSHOT_WITH_FLOWS = 4, /* format of a snapshot's state; those before are the core's alone */
    PINS_MAX = 1024,
    RECENT_MAX = 64,             /* a power of two */
    RECENT_BYTES_MAX = 16 << 20, /* the log keeps more of them: they are shared */
};

/* An event in the open block. */
struct open_event {
    struct sp_index_keys keys;
    uint64_t recorded_us;
    uint32_t offset;      /* of its record in the body */
    uint32_t type_offset; /* of its type in the body */
    uint32_t type_bytes;
};

/* The block that gathers what is submitted. */
struct open_block {
    struct sp_blob *blob;    /* NULL while nothing was submitted */
    uint64_t first_position; /* where it has events */
    uint32_t body_bytes;
    uint32_t body_room;
    uint32_t record_count; /* events and control records */
    uint32_t event_count;
    uint32_t event_capacity;
    struct open_event *events;
    struct sp_htab ids; /* unique keys and id hashes, to index in events */
    size_t last_bytes;  /* of the block before: a guess for this one */
};

/*
 * Ops that are folded into the core and in no record yet. While there are any, the open block has
 * room for a record of them.
 */
struct gathered_ops {
    struct sp_buf bytes;
    bool urgent;       /* to be written with the next block: it does not wait for events */
    uint64_t since_ns; /* when the first one came that is to be written soon; 0: none */
};

/* A block on its way to the disk, for lookups of what is not durable yet. */
struct flight {
    struct sp_blob *blob;
    uint64_t block;
    uint64_t first_position;
    uint32_t body_bytes;
    uint32_t event_count;
    uint32_t *offsets; /* of its events in the body; owned; NULL: there was no memory for them */
};

/*
 * Blocks that became durable a while ago, whose events are found at once: what flows read, and what
 * an answer names, is mostly not much older.
 */
struct recent {
    struct flight blocks[RECENT_MAX]; /* ring, in order */
    uint32_t start;
    uint32_t count;
    uint64_t bytes;
};

/* An append that waits for its block. */
struct pending {
    uint64_t block; /* that it is in: answered when that is durable */
    uint32_t count;
    sp_engine_done_fn *done;
    sp_engine_extra_fn *extra;
    void *context;
    union {
        struct sp_engine_result one;
        struct sp_engine_result *many; /* owned */
    } results;
};

/*
 * A full segment that waits to be sealed, with its finished index: the tail, which the seal worker
 * encodes, or a side index that took its place.
 */
struct pin {
    uint64_t segment_id;
    struct sp_tail *tail; /* NULL where there is a side index */
};

/* Background work of the engine's own worker: one snapshot, one fold of index filters at a time. */
struct snapshot_job {
    struct sp_job job;
    struct sp_engine *engine;
    struct sp_core_snapshot *snapshot;
    struct sp_buf flows; /* of the same moment */
    uint64_t block;      /* whose being durable makes it true */
    bool busy;
};

struct side_job {
    struct sp_job job;
    struct sp_engine *engine;
    uint64_t segment_id;
    struct sp_tail *tail; /* a reference of its own */
    sp_status status;
    bool busy;
};

struct fold_job {
    struct sp_job job;
    struct sp_engine *engine;
    struct sp_index_fold *fold;
    bool busy;
};

struct sp_engine {
    struct sp_engine_options options;
    struct sp_core core;
    struct sp_log *log;
    struct sp_index *index;
    struct sp_log_reader *reader; /* for lookups on the loop thread */
    bool local;                   /* the log is the local driver: it seals */
    uint32_t block_bytes_max;
    uint32_t blocks_in_flight_max;
    sp_status state;
    struct sp_error failure;
    bool closing;           /* what was taken is finished, and nothing more is taken */
    struct sp_guard *guard; /* held by whoever uses the engine, where threads share it; else NULL */

    struct sp_log_progress progress;
    _Atomic uint64_t durable_seen; /* its durable position, for cursors of other threads */
    struct open_block open;
    struct gathered_ops ops;
    bool held; /* from begin to end: the open block is not cut */
    struct flight flights[IN_FLIGHT_MAX];
    uint32_t flight_count;
    struct recent recent;
    uint64_t index_segment; /* id of the newest tail's segment */
    bool index_begun;
    bool index_ended; /* the newest tail is finished; the next event begins another */
    bool recovering;

    struct pending *pending; /* ring; capacities are powers of two */
    uint32_t pending_capacity;
    uint32_t pending_start;
    uint32_t pending_count;
    uint32_t outstanding; /* events in it */

    sp_engine_live_fn *live; /* NULL: nobody listens */
    void *live_context;

    struct engine_schemas *schemas; /* see engine_schema.c */
    uint32_t schema_count;          /* registered: with none there is nothing to look for */
    uint64_t schemas_first;         /* what is registered before it has been dropped; 0: nothing */

    struct sp_flow *flow;       /* sagas, timers and so on: a fold like the core */
    struct engine_flows *flows; /* what does their work; see flows_int.h */

    uint64_t now_us;          /* the clock, as last read for an append */
    struct sp_buf scratch;    /* of one submit */
    struct sp_buf agent_text; /* of one event that announces an agent */
    struct sp_buf agent_ops;
    struct sp_core_candidate *candidates;
    struct sp_core_expectation *expectations;
    uint32_t candidate_capacity;
    uint32_t expectation_capacity;

    /* Identifiers: time, a counter, and what makes this opening unlike all others. */
    uint64_t id_salt;
    uint64_t id_last_ms;
    uint32_t id_counter;

    pthread_mutex_t pins_mutex;
    struct pin pins[PINS_MAX];
    uint32_t pin_count;

    struct sp_worker *worker;
    struct snapshot_job snapshot;
    struct side_job side;
    bool side_failed;      /* no more side indexes are written: opening will take longer */
    uint64_t side_segment; /* while recovering: whose events a side index covers, */
    uint64_t side_last;    /* and the last of them */
    bool side_refused;     /* while recovering: one did not fit its segment */
    bool passed_over;      /* full segments were not read when opening */
    struct fold_job fold;
    bool fold_failed;           /* no more folds: lookups read the files instead */
    uint64_t snapshot_position; /* of the newest one taken */
    uint64_t control_bytes;     /* of control records since */
    uint64_t snapshot_segment;  /* that was appended to when it was taken */
    uint64_t sealed_last;       /* last event that is sealed */
    uint64_t replayed_events;
};

/* ---- engine_recover.c ---- */
SP_WARN_UNUSED sp_status engine_recover(struct sp_engine *engine, struct sp_error *error);

/* ---- engine_index.c: tails, sealing, folding ---- */
/* Enters an event into the index of the given segment, whose tail is begun where it is new. */
SP_WARN_UNUSED sp_status engine_index_add(struct sp_engine *engine, uint64_t segment_id,
                                          uint64_t position, const struct sp_index_keys *keys,
                                          sp_str type, uint64_t recorded_us);
/*
 * Goes over to a segment; *ret_covered says that its index is there already. SP_CORRUPT where that
 * index does not fit the segment: side_refused is then set, and opening starts over without.
 */
SP_WARN_UNUSED sp_status engine_index_enter(struct sp_engine *engine, uint64_t segment_id,
                                            uint64_t position, bool *ret_covered);
/* A block without events went into a segment: what it does not continue is finished. */
SP_WARN_UNUSED sp_status engine_index_leave(struct sp_engine *engine, uint64_t segment_id,
                                            uint64_t next_position);
SP_WARN_UNUSED sp_status engine_index_open_sealed(struct sp_engine *engine,
                                                  const struct sp_log_segment_info *info,
                                                  struct sp_error *error);
bool engine_hook_known(void *context, uint64_t segment_id, uint64_t first, uint64_t next);
sp_status engine_hook_encode(void *context, uint64_t segment_id, struct sp_buf *section,
                             struct sp_error *error);
void engine_hook_sealed(void *context, uint64_t segment_id, struct sp_log_sealed *sealed);
void engine_hook_trimmed(void *context, uint64_t first_position);
void engine_fold_upkeep(struct sp_engine *engine);
void engine_drop_pins(struct sp_engine *engine);

/* The pins' list is shared with the seal worker. */
bool engine_pin_is_waiting(struct sp_engine *engine, uint64_t segment_id);
void engine_pin_set_side(struct sp_engine *engine, uint64_t segment_id);
/* A reference to the oldest tail that has no side index yet; NULL where there is none. */
struct sp_tail *engine_pin_next_tail(struct sp_engine *engine, uint64_t *ret_segment_id);
/* At the end of recovery: SP_CORRUPT where a side index covers more than its segment has. */
SP_WARN_UNUSED sp_status engine_index_settle(struct sp_engine *engine);

/* ---- engine_side.c: indexes of segments that wait to be sealed ---- */
void engine_side_upkeep(struct sp_engine *engine);
void engine_side_remove(struct sp_engine *engine, uint64_t segment_id);
SP_WARN_UNUSED sp_status engine_side_load(struct sp_engine *engine, uint64_t segment_id,
                                          struct sp_buf *to, struct sp_error *error);
/*
 * Puts a segment's side index into the index, if there is one that begins there, and ends where it
 * should: last_position, or anywhere where that is 0.
 */
bool engine_side_adopt(struct sp_engine *engine, uint64_t segment_id, uint64_t first_position,
                       uint64_t last_position, uint64_t *ret_last_position);
/* Removes all side indexes: the next opening reads and checks everything that is not sealed. */
void engine_side_forget(struct sp_engine *engine);
/* After recovery: makes the folder, removes side indexes that no waiting segment has. */
SP_WARN_UNUSED sp_status engine_side_prepare(struct sp_engine *engine, struct sp_error *error);

/* ---- engine_snapshot.c ---- */
void engine_snapshot_upkeep(struct sp_engine *engine);

/* ---- engine_lookup.c: what is there already, durable or not ---- */
/* The record at a position up to the core's head. Valid until the next lookup or turn. */
SP_WARN_UNUSED sp_status engine_record(struct sp_engine *engine, uint64_t position,
                                       struct sp_record *ret_record, struct sp_error *error);
/* Position of the event with this source and id, 0 where there is none. */
SP_WARN_UNUSED sp_status engine_find_same(struct sp_engine *engine, sp_str source, sp_str id,
                                          uint64_t *ret_position, struct sp_error *error);
/*
 * The correlation of the newest event with this id, copied into `to`; empty where no event has it.
 */
SP_WARN_UNUSED sp_status engine_find_correlation(struct sp_engine *engine, sp_str id,
                                                 struct sp_buf *to, sp_str *ret_correlation,
                                                 struct sp_error *error);

/* ---- engine_block.c: the open block ---- */
/*
 * Room in the open block for so many bytes of records, of ops to be gathered and events. SP_LIMIT:
 * more than a block takes, or than was reserved for all that has to be in one; SP_BUSY.
 */
SP_WARN_UNUSED sp_status engine_block_reserve(struct sp_engine *engine, size_t record_bytes,
                                              size_t ops_bytes, uint32_t events);
/* Encodes an event that the core has placed; room was reserved. */
void engine_block_add(struct sp_engine *engine, const struct sp_event *event,
                      const struct sp_index_keys *keys, bool id_given);
/* A block has become durable: its events are found for a while yet. Takes it over. */
void engine_block_landed(struct sp_engine *engine, struct flight *flight);
void engine_block_forget_recent(struct sp_engine *engine);
/* The block that has the position, under way or not long durable; NULL: another. O(log blocks). */
const struct flight *engine_block_find(const struct sp_engine *engine, uint64_t position);
/* Hands the open block to the log, if there is one and the log takes it. */
void engine_cut(struct sp_engine *engine);
/*
 * The rule of group commit: with nothing under way whatever there is, else only what is worth a
 * write.
 */
void engine_cut_if_due(struct sp_engine *engine);
/* Whether there is something that a block is to be written for. */
static inline bool engine_has_work(const struct sp_engine *engine) {
    return engine->open.record_count > 0 || engine->ops.urgent;
}

/* ---- engine_ops.c ---- */
/* Bytes of the record of all ops gathered and so many bytes more. */
size_t engine_ops_record_bytes(const struct sp_engine *engine, size_t more);
/* Writes what was gathered as a record; room is there. */
void engine_ops_flush(struct sp_engine *engine);
/* Sees to it that lazy ops do not wait for ever. */
void engine_ops_upkeep(struct sp_engine *engine);
/*
 * As sp_engine_ops, gathered with this block, for who has reserved the room of a record for them:
 * never cuts. Unless SP_OK the engine may be dead.
 */
SP_WARN_UNUSED sp_status engine_ops_gather(struct sp_engine *engine, sp_str ops,
                                           struct sp_error *error);
/* Shows the events of a block that has become durable to who listens. */
void engine_show_live(struct sp_engine *engine, const struct flight *flight);

/* ---- engine_presence.c: events as signs of life ---- */
/* Room of what follows from the event; 0 for all but those that announce an agent or end it. */
size_t engine_presence_room(const struct sp_event *event);
/* Takes note of an event that is in the open block. O(1); see engine_presence_note. */
void engine_presence_event(struct sp_engine *engine, const struct sp_event *event,
                           uint64_t source_hash);
/* The same; without agents it costs one comparison. */
static inline void engine_presence_note(struct sp_engine *engine, const struct sp_event *event,
                                        uint64_t source_hash) {
    if (engine->core.presence.count > 0 ||
        sp_agent_event_of(event->attr[SP_ATTR_TYPE]) != SP_AGENT_EVENT_NONE) {
        engine_presence_event(engine, event, source_hash);
    }
}

/* ---- flows.c: sagas, timers and so on; see flows_int.h ---- */
SP_WARN_UNUSED sp_status engine_flows_open(struct sp_engine *engine, struct sp_error *error);
void engine_flows_close(struct sp_engine *engine);
/* Restores them from their part of a snapshot. */
SP_WARN_UNUSED sp_status engine_flows_restore(struct sp_engine *engine, sp_str bytes,
                                              struct sp_error *error);
/* Folds an event in that they want. SP_NO_MEMORY, SP_LIMIT: their state is wrong. */
SP_WARN_UNUSED sp_status engine_flow_event(struct sp_engine *engine, const struct sp_event *event,
                                           struct sp_error *error);
/* The same for one that is in the open block: what goes wrong is the engine's end. */
void engine_flow_taken(struct sp_engine *engine, const struct sp_event *event);
/* Does what is due, some of it: part of a turn, before the block is cut. */
void engine_flows_work(struct sp_engine *engine);
/* While a command is being decided nothing is done; see flows_int.h. */
void engine_flows_bar(struct sp_engine *engine, bool down);
/* The first position that they may still read; UINT64_MAX: none. */
uint64_t engine_hook_keep(void *context);

/* Marks an event that was recorded elsewhere before, where flows would take note of it. */
SP_WARN_UNUSED sp_status engine_flow_mark(struct sp_engine *engine, struct sp_event *event,
                                          struct sp_error *error);

/* ---- flows_delay.c: events that are to come later ---- */
struct delayed_event;
/* Position of what tells of a delayed event that waits, 0: none does; and when it is due. */
uint64_t engine_delayed_find(struct sp_engine *engine, sp_str source, sp_str id,
                             uint64_t *ret_due_us);
/* When the event asks to be appended; 0: now. SP_INVALID: no time. */
SP_WARN_UNUSED sp_status engine_delayed_due(struct sp_engine *engine, const struct sp_event *event,
                                            uint64_t now_us, uint64_t *ret_due_us,
                                            struct sp_error *error);
/* Puts what tells of it before *list. SP_LIMIT: too many wait. */
SP_WARN_UNUSED sp_status engine_delayed_wrap(struct sp_engine *engine, struct sp_event *event,
                                             uint64_t now_us, uint64_t due_us,
                                             struct delayed_event **list, struct sp_error *error);
/* The first one of the list, complete. */
struct sp_event *engine_delayed_event(struct delayed_event *list);
void engine_delayed_free(struct delayed_event *list);

/* ---- engine_append.c ---- */
/* A fresh UUIDv7. */
void engine_make_id(struct sp_engine *engine, uint64_t now_us, uint8_t ret_id[16]);

/* ---- engine_schema.c: schemas of events ---- */
SP_WARN_UNUSED sp_status engine_schemas_open(struct sp_engine *engine, struct sp_error *error);
void engine_schemas_close(struct sp_engine *engine);
/* Checks an event that is complete and new, or makes ready what it registers. */
SP_WARN_UNUSED sp_status engine_schema_event(struct sp_engine *engine, const struct sp_event *event,
                                             uint32_t index, uint32_t count,
                                             struct sp_error *error);
/* Registers anew what the log has dropped: who drops old events means no rules by it. */
void engine_schemas_carry(struct sp_engine *engine);
/* Whether the append under way registers something, and taking that in: 0: it came to nothing. */
bool engine_schema_waits(const struct sp_engine *engine);
void engine_schema_settle(struct sp_engine *engine, uint64_t position);

void engine_fail(struct sp_engine *engine, sp_status status, const struct sp_error *error);

/* Asks the log where it stands. */
void engine_note_progress(struct sp_engine *engine);

#endif
