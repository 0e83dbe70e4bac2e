/*
 * The engine: marries core, log and index. loop-thread
 *
 * Happy path of an append: check the event, look up what the core cannot know (is this id there
 * already, which run is the cause in), let the core decide, encode the record into the open block.
 * The block is cut when the log is idle or the block is large, and goes to the log as one group
 * commit; its events enter the index meanwhile. When the log says that the block is durable, and
 * not before, the appenders are told: the durability gate.
 *
 * What can go wrong: bad input is refused before anything happened. When the log fails the engine
 * is dead: everything in flight is answered with the failure, and every further call too. The
 * state in memory is then a lie and is recovered from the log by opening again.
 *
 * No globals; several engines in one process. One thread at a time; api.c builds the thread-safe
 * drive on top. Reading is in query.h and trace.h.
 */
#ifndef SP_ENGINE_ENGINE_H
#define SP_ENGINE_ENGINE_H

#include "base/error.h"
#include "core/core.h"
#include "event/envelope.h"
#include "log/local.h"
#include "os/guard.h"

struct sp_engine;

struct sp_engine_options {
    struct sp_fs *fs; /* of the folder; outlives the engine; not owned */
    struct sp_clock clock;
    void (*entropy)(void *bytes, size_t len);
    bool create;
    bool read_only;
    bool inline_jobs;
    bool threaded_writes;   /* see sp_log_local_options */
    struct sp_guard *guard; /* taken by cursors of other threads; NULL: there are none */
    struct sp_event_limits limits;
    uint32_t outstanding_max;
    uint64_t segment_bytes_min; /* 0 and so on: the log's defaults */
    uint64_t segment_bytes_max;
    uint32_t block_bytes_max;
    uint64_t tail_bytes_max;
    uint64_t retain_bytes_max;
    uint64_t retain_age_us;
    enum sp_log_local_durability durability;
    uint64_t sync_period_us;
    bool no_side_indexes;     /* index everything anew that is not sealed: set when one was wrong */
    bool keeps_raw;           /* seal nothing: for tests of segments that wait */
    uint64_t snapshot_events; /* take a snapshot after so many events; 0: a default */
    uint64_t scan_short_events;  /* ranges this short are scanned without an index; 0: a default */
    void (*wake)(void *context); /* called on a worker's thread when a turn has something to do */
    void *wake_context;
};

/* What opening found, for messages. */
struct sp_engine_opened {
    struct sp_log_opened log;
    uint64_t replayed_events; /* that no snapshot covered */
    bool side_index_refused;  /* an index beside the log did not fit it: it was not used */
};

SP_WARN_UNUSED sp_status sp_engine_open(const struct sp_engine_options *options,
                                        struct sp_engine **ret_engine,
                                        struct sp_engine_opened *ret_opened,
                                        struct sp_error *error);

/*
 * The same over any log, which the engine takes over, also on failure. The index then covers what
 * the log hands to `recover`.
 */
SP_WARN_UNUSED sp_status sp_engine_open_log(const struct sp_engine_options *options,
                                            struct sp_log *log, struct sp_engine **ret_engine,
                                            struct sp_engine_opened *ret_opened,
                                            struct sp_error *error);

/*
 * Writes what was submitted, waits for it, calls back, closes the log, frees. Readers are gone
 * before.
 */
void sp_engine_close(struct sp_engine *engine);

/* Where one event of an append went. */
struct sp_engine_result {
    uint64_t position;
    uint64_t version;
    uint64_t recorded_us;
    uint32_t entry_seq;
    struct sp_entry_id own_id; /* in its stream, where that is another than the log's; else none */
    /* Of a duplicate of an earlier append: the number of its stream in the core, plus 1; else 0. */
    uint32_t known_stream;
    /* When it will be appended, where it asked for that (SP_DELIVER_AT_NAME): position and version
     * are those of the event that tells of it. 0: it is appended. */
    uint64_t delayed_us;
    bool duplicate;
    bool id_made;   /* the id was made here: */
    uint8_t id[16]; /* as a packed UUID */
};

/*
 * Any function, which `done` knows the real type of: spares a layer above an allocation per
 * append.
 */
typedef void sp_engine_extra_fn(void);

/* Called once per accepted append: durable, or failed. `results` lasts for the call. */
typedef void sp_engine_done_fn(void *context, sp_engine_extra_fn *extra, sp_status status,
                               const struct sp_engine_result *results, uint32_t count,
                               const struct sp_error *error);

struct sp_engine_expect {
    sp_str stream;
    uint64_t version; /* SP_CORE_ANY_VERSION: none */
};

/* The entry id that an event is to have in its stream. */
struct sp_engine_id {
    enum sp_id_wish wish;
    struct sp_entry_id id;
};

/*
 * Streams of the store's own: `$…`, and those of sagas, `saga:…`. Nobody else writes to them; who
 * lets events in from outside refuses theirs, but for history (sp_event.is_history).
 */
bool sp_stream_is_own(sp_str name);

/*
 * The extension by which an event asks to be appended at a time: a time like the attribute `time`.
 * Until then it waits in `$delayed`, where it is no event yet, and survives what the log survives.
 */
#define SP_DELIVER_AT_NAME "deliverat"

struct sp_engine_append {
    struct sp_event *events; /* completed in place: they are scratch afterwards */
    uint32_t count;
    enum sp_event_origin origin;
    const struct sp_engine_expect *expects;
    uint32_t expect_count;
    const struct sp_engine_id *ids; /* one per event; NULL: no wishes */
    sp_engine_done_fn *done;        /* may be NULL */
    sp_engine_extra_fn *extra;      /* handed to done */
    void *context;
    /*
     * Where it is not NULL: room for `count`, filled in at once, before anything is durable.
     * Without `done` the append then does not count as outstanding; engine_ops.h says when it is
     * durable.
     */
    struct sp_engine_result *results;
    size_t room_bytes; /* left in the same block for what is written right behind */
    bool at_once;      /* whatever its events say of a time */
};

/* SP_LIMIT where no append of so many events can ever be taken. O(1): before memory is spent. */
SP_WARN_UNUSED sp_status sp_engine_check_count(const struct sp_engine *engine, size_t count,
                                               struct sp_error *error);

/*
 * Takes an append, all or nothing. SP_OK: `done` will be called from a turn (or from close).
 * Otherwise nothing was stored and `done` is not called: SP_INVALID, SP_LIMIT, SP_CONFLICT (the
 * error names the stream and its version, or the id that is not above its last), SP_END (its ids
 * are used up), SP_DENIED, SP_NO_SPACE, SP_FAILED, SP_CANCELLED (from a callback, while the engine
 * is closed), or SP_BUSY: too much is outstanding, turn and try again. An append of nothing but
 * duplicates is answered like any other, once the originals are durable. An event that carries an
 * id of its own (the extension SP_OWN_ID_NAME) wishes for it.
 */
SP_WARN_UNUSED sp_status sp_engine_submit(struct sp_engine *engine,
                                          const struct sp_engine_append *append,
                                          struct sp_error *error);

/*
 * Moves everything on: cuts and writes the open block if the log is free, answers what became
 * durable, does upkeep. Waits up to timeout_ms (negative: no limit) if there is something to wait
 * for and nothing was finished. Returns how many appends were answered.
 */
uint32_t sp_engine_turn(struct sp_engine *engine, int timeout_ms);

/* The two halves of a turn that waits, for drivers that must drop a lock in between. */
uint32_t sp_engine_poll(struct sp_engine *engine);
bool sp_engine_must_wait(const struct sp_engine *engine);
void sp_engine_wait(struct sp_engine *engine, int timeout_ms);

/* Appends taken and not answered yet. */
uint32_t sp_engine_outstanding(const struct sp_engine *engine);

/* SP_OK, or what the engine died of. */
sp_status sp_engine_state(const struct sp_engine *engine, struct sp_error *error);

uint64_t sp_engine_durable_position(const struct sp_engine *engine);
const struct sp_core *sp_engine_core(const struct sp_engine *engine);
struct sp_log *sp_engine_log(struct sp_engine *engine);

#endif
