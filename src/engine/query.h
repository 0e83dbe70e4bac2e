/*
 * Queries: which events, in which order; as a read of what is there, or as a subscription that
 * goes on. A cursor belongs to one thread at a time, which need not be the engine's: it takes the
 * engine's guard where it touches what the engine changes.
 *
 * A query is answered from the most selective of its keys (stream, correlation, source, types), or
 * by scanning where none restricts enough. The index names candidates; every event is compared
 * with the whole query before it is yielded. A cursor sees durable events only. The events of a run
 * that was forked are those that it shares, and then its own (forks.h).
 */
#ifndef SP_ENGINE_QUERY_H
#define SP_ENGINE_QUERY_H

#include "engine/engine.h"

/* Conditions; absent ones have a NULL ptr. All text is copied. */
struct sp_query {
    const sp_str *types; /* patterns; one of them must match */
    size_t type_count;
    sp_str source;
    sp_str stream;
    sp_str correlation;
    sp_str filter;
    sp_str from;           /* a moment (event/moment.h), inclusive */
    sp_str until;          /* likewise */
    uint64_t limit;        /* 0: none */
    uint64_t from_version; /* with `stream` */
    bool reverse;
    bool own;    /* with `correlation`: without what a fork shares with other runs (forks.h) */
    bool follow; /* goes on with what comes; not with until or reverse */
};

enum { SP_QUERY_TYPES_MAX = 256 };

struct sp_cursor;

/* SP_INVALID for a bad pattern, filter or moment, SP_NO_MEMORY, or what reading the log says. */
SP_WARN_UNUSED sp_status sp_cursor_open(struct sp_engine *engine, const struct sp_query *query,
                                        struct sp_cursor **ret_cursor, struct sp_error *error);

/*
 * The next event, borrowed until the next call. SP_END after the last one; a following cursor says
 * SP_TIMEOUT where it has caught up. SP_CORRUPT where an event is damaged; the next call goes on
 * behind.
 */
SP_WARN_UNUSED sp_status sp_cursor_next(struct sp_cursor *cursor, const struct sp_event **ret_event,
                                        struct sp_error *error);

/*
 * Bounds what sp_cursor_next does before it comes back: it looks at so many events in all from here
 * on, whether they match or not, and then says SP_BUSY until it is allowed more. For those who have
 * other work to do meanwhile.
 */
void sp_cursor_allow(struct sp_cursor *cursor, uint32_t events);

/* What is left of it. */
uint32_t sp_cursor_allowed(const struct sp_cursor *cursor);

/*
 * The first position that was not looked at yet: who opens a cursor from there misses nothing. Not
 * of a reverse one, nor of a list.
 */
uint64_t sp_cursor_position(const struct sp_cursor *cursor);

/*
 * What is still to be looked at: positions from *ret_first to *ret_last, nothing where the first is
 * the greater. Who opens a cursor over them later, in the same direction, goes on exactly here. Not
 * of a list.
 */
void sp_cursor_range(const struct sp_cursor *cursor, uint64_t *ret_first, uint64_t *ret_last);

/* The leaf hash of the event yielded last. */
SP_WARN_UNUSED sp_status sp_cursor_hash(struct sp_cursor *cursor, uint8_t ret_hash[SP_HASH_BYTES],
                                        struct sp_error *error);

/* How deep in a tree of effects the event yielded last stands. */
uint32_t sp_cursor_depth(const struct sp_cursor *cursor);

void sp_cursor_close(struct sp_cursor *cursor);

/*
 * ---- lookups that yield a list (trace.c)
 * ----------------------------------------------------------
 */

/*
 * Events with this id; `source` with a NULL ptr: of any source. SP_NOT_FOUND where there is none.
 */
SP_WARN_UNUSED sp_status sp_cursor_find(struct sp_engine *engine, sp_str id, sp_str source,
                                        struct sp_cursor **ret_cursor, struct sp_error *error);

/* The event and the chain of its causes, up to a root. */
SP_WARN_UNUSED sp_status sp_cursor_causes(struct sp_engine *engine, sp_str id,
                                          struct sp_cursor **ret_cursor, struct sp_error *error);

/* The event and everything it caused, depth first. SP_LIMIT beyond SP_EFFECTS_MAX events. */
enum { SP_EFFECTS_MAX = 1 << 20 };
SP_WARN_UNUSED sp_status sp_cursor_effects(struct sp_engine *engine, sp_str id,
                                           struct sp_cursor **ret_cursor, struct sp_error *error);

/* The same, and no more than the first `most` of them are looked for. */
SP_WARN_UNUSED sp_status sp_cursor_causes_first(struct sp_engine *engine, sp_str id, size_t most,
                                                struct sp_cursor **ret_cursor,
                                                struct sp_error *error);
SP_WARN_UNUSED sp_status sp_cursor_effects_first(struct sp_engine *engine, sp_str id, size_t most,
                                                 struct sp_cursor **ret_cursor,
                                                 struct sp_error *error);

/*
 * ---- types; loop-thread
 * ---------------------------------------------------------------------------
 */

/* How many distinct types the events of the log have: it rises when a new one comes. O(types). */
uint64_t sp_engine_type_count(const struct sp_engine *engine);

/* Called once per type; the text lasts for the call. False ends the walk. */
typedef bool sp_engine_type_fn(void *context, sp_str type);

/* SP_OK, or SP_LIMIT where there are more types than the index lists. */
SP_WARN_UNUSED sp_status sp_engine_types(const struct sp_engine *engine, sp_engine_type_fn *each,
                                         void *context);

/*
 * ---- runs (runs.c)
 * --------------------------------------------------------------------------------
 */

enum sp_run_status { SP_RUN_RUNNING, SP_RUN_COMPLETED, SP_RUN_FAILED };

struct sp_run {
    sp_str correlation;
    enum sp_run_status status;
    uint64_t event_count;
    uint64_t first_position;
    uint64_t last_position;
    uint64_t first_recorded_us;
    uint64_t last_recorded_us;
    sp_str first_type;
    sp_str last_type;
    sp_str first_time;
    sp_str last_time;
    sp_str fork_of;         /* the run that it shares events with; NULL ptr: none */
    uint64_t fork_position; /* the last one that is shared; the counts are of its own alone */
};

/* False ends the walk. */
typedef bool sp_run_fn(void *context, const struct sp_run *run);

/* Walks the runs whose first event matches the query; its limit counts runs. */
SP_WARN_UNUSED sp_status sp_runs_walk(struct sp_engine *engine, const struct sp_query *query,
                                      sp_run_fn *each, void *context, struct sp_error *error);

#endif
