/*
 * The cursor's own state; only query*.c, trace.c and runs.c include this.
 */
#ifndef SP_ENGINE_QUERY_INT_H
#define SP_ENGINE_QUERY_INT_H

#include "engine/engine_int.h"
#include "engine/query.h"
#include "match/filter.h"

enum {
    CANDIDATES_MAX = 256,     /* taken from the index at once */
    SCAN_SHORT_EVENTS = 4096, /* a range this short is scanned, whatever the index has */
    SCAN_SHARE = 4,           /* and one of which more than one in so many events match */
};

enum cursor_plan {
    PLAN_SCAN, /* every event of the range */
    PLAN_KEY,  /* candidates of one key */
    PLAN_KEYS, /* candidates of several types, or of several runs */
    PLAN_LIST, /* positions found beforehand */
    PLAN_NONE, /* nothing can match */
};

struct listed {
    uint64_t position;
    uint32_t depth;
};

/* A run whose events up to a position count as those of the run that is asked for. */
struct share {
    size_t offset; /* of its id in share_text */
    size_t len;
    uint64_t until;
};

struct sp_cursor {
    struct sp_engine *engine;
    struct sp_log_reader *reader;

    /* The query. Text lives in `text`. */
    struct sp_buf text;
    sp_str *types;
    size_t type_count;
    sp_str source;
    sp_str stream;
    sp_str correlation;
    sp_str id;
    struct share *shares; /* owned; NULL: none */
    size_t share_count;
    struct sp_buf share_text;
    struct sp_filter *filter;
    uint64_t from_version;
    uint64_t remaining; /* of the limit */
    bool bounded;       /* sp_cursor_allow */
    uint32_t allowed;
    bool reverse;
    bool follow;

    /* What is still to be looked at: positions in [from, until]. Empty where from > until. */
    uint64_t from;
    uint64_t until;

    enum cursor_plan plan;
    bool planned; /* for the range as it is */
    struct sp_index_scan scan;
    struct sp_index_merge merge;
    uint64_t candidates[CANDIDATES_MAX];
    uint32_t candidate_count;
    uint32_t candidate_at;
    bool candidates_over;

    struct listed *list; /* PLAN_LIST; owned */
    size_t list_count;
    size_t list_at;
    uint32_t depth;

    /* The chunk that was read last, how far it is walked, and on demand where its events lie. */
    bool chunk_valid;
    struct sp_log_chunk chunk;
    struct sp_block_walk walk;
    bool offsets_noted;
    uint32_t *offsets;
    uint32_t offset_capacity;
    bool yielded;
    struct sp_record record;
    struct sp_event event;
    char scratch[SP_RECORD_SCRATCH_BYTES];
};

/* A cursor without conditions, over nothing. */
SP_WARN_UNUSED sp_status cursor_new(struct sp_engine *engine, struct sp_cursor **ret_cursor,
                                    struct sp_error *error);

/* Reads the event at a position into cursor->record and cursor->event. */
SP_WARN_UNUSED sp_status cursor_fetch(struct sp_cursor *cursor, uint64_t position,
                                      struct sp_error *error);

/*
 * Whether the range is too short for an index to be of use: it is then planned, without the guard,
 * so that a cursor that follows the log holds up nobody.
 */
bool cursor_plan_short(struct sp_cursor *cursor);

/* Chooses how to answer for [from, until]; the guard is held. */
SP_WARN_UNUSED sp_status cursor_plan_locked(struct sp_cursor *cursor, struct sp_error *error);
void cursor_unplan(struct sp_cursor *cursor);

/*
 * Resolves a moment. `upper` false: the first position at or after it; true: the last at or
 * before.
 */
SP_WARN_UNUSED sp_status cursor_resolve(struct sp_cursor *cursor, sp_str moment, const char *name,
                                        bool upper, uint64_t *ret_position, struct sp_error *error);

/* forks.c: finds what the run that is asked for shares with others. */
SP_WARN_UNUSED sp_status cursor_find_shares(struct sp_cursor *cursor, struct sp_error *error);
static inline sp_str cursor_share_run(const struct sp_cursor *cursor, size_t i) {
    return sp_str_of(cursor->share_text.data + cursor->shares[i].offset, cursor->shares[i].len);
}

/* The engine's guard, where it has one. */
void engine_enter(struct sp_engine *engine);
void engine_leave(struct sp_engine *engine);

#endif
