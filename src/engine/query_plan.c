/*
 * Choosing how to answer a query, and turning moments into positions.
 */
#include <stdlib.h>

#include "engine/forks.h"
#include "engine/query_int.h"
#include "event/moment.h"
#include "match/pattern.h"

/*
 * ---- moments
 * --------------------------------------------------------------------------------------
 */

/* True where the record comes before the moment (upper: before or at it). */
static bool is_before(const struct sp_record *record, const struct sp_moment *moment, bool upper) {
    if (moment->kind == SP_MOMENT_ENTRY) {
        uint64_t ms = record->recorded_us / 1000;
        if (ms != moment->entry_ms) {
            return ms < moment->entry_ms;
        }
        return record->entry_seq < moment->entry_seq ||
               (upper && record->entry_seq == moment->entry_seq);
    }
    return record->recorded_us < moment->time_us ||
           (upper && record->recorded_us == moment->time_us);
}

/* The first durable position that is not before the moment. Walks on from what the index says. */
static sp_status first_not_before(struct sp_cursor *cursor, const struct sp_moment *moment,
                                  bool upper, uint64_t *ret_position, struct sp_error *error) {
    struct sp_engine *engine = cursor->engine;
    uint64_t first;
    uint64_t last;
    uint64_t time_us = moment->kind == SP_MOMENT_ENTRY ? moment->entry_ms * 1000 : moment->time_us;
    engine_enter(engine);
    engine->log->ops->bounds(engine->log, &first, &last);
    uint64_t position = sp_index_position_at_time(engine->index, time_us);
    engine_leave(engine);
    position = position < first ? first : position;
    while (first != 0 && position <= last) {
        sp_status status = cursor_fetch(cursor, position, error);
        if (status == SP_CORRUPT) {
            break; /* its time is unknown: a query from here on begins by saying so */
        }
        if (status != SP_OK) {
            return status;
        }
        if (!is_before(&cursor->record, moment, upper)) {
            break;
        }
        position++;
    }
    *ret_position = position;
    return SP_OK;
}

sp_status cursor_resolve(struct sp_cursor *cursor, sp_str text, const char *name, bool upper,
                         uint64_t *ret_position, struct sp_error *error) {
    struct sp_engine *engine = cursor->engine;
    struct sp_moment moment;
    uint64_t now_us = engine->options.clock.wall_us(engine->options.clock.context);
    sp_status status = sp_moment_parse(text, now_us, &moment, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "%s", name);
    }
    uint64_t position = 0;
    switch (moment.kind) {
    case SP_MOMENT_POSITION:
        position = moment.position;
        break;
    case SP_MOMENT_NOW:
        engine_enter(engine);
        position = engine->progress.durable_position + (upper ? 0 : 1);
        engine_leave(engine);
        break;
    case SP_MOMENT_ENTRY:
    case SP_MOMENT_TIME:
        status = first_not_before(cursor, &moment, upper, &position, error);
        position -= status == SP_OK && upper ? 1 : 0;
        break;
    }
    if (status == SP_OK) {
        *ret_position = position;
    }
    return status;
}

/*
 * ---- plans
 * ----------------------------------------------------------------------------------------
 */

/* The types of the log that the query's patterns match. */
struct expansion {
    const struct sp_cursor *cursor;
    struct sp_buf hashes;
};

static bool expand_type(void *context, sp_str type) {
    struct expansion *expansion = context;
    const struct sp_cursor *cursor = expansion->cursor;
    for (size_t i = 0; i < cursor->type_count; i++) {
        if (sp_pattern_match(cursor->types[i], type)) {
            uint64_t hash = sp_index_hash(SP_INDEX_TYPE, type);
            sp_buf_add(&expansion->hashes, &hash, sizeof(hash));
            break;
        }
    }
    return true;
}

/* The best plan so far and how many candidates it has. */
struct choice {
    enum cursor_plan plan;
    enum sp_index_kind kind;
    uint64_t hash;
    const struct sp_buf *hashes; /* of PLAN_KEYS */
    uint64_t count;
};

/* The sum of the candidates of several keys. */
static sp_status consider_keys(struct sp_cursor *cursor, enum sp_index_kind kind,
                               const struct sp_buf *hashes, struct choice *best) {
    uint64_t total = 0;
    sp_status status = hashes->status;
    for (size_t at = 0; at < hashes->len && status == SP_OK; at += sizeof(uint64_t)) {
        uint64_t hash;
        uint64_t count = 0;
        memcpy(&hash, hashes->data + at, sizeof(hash));
        status = sp_index_count_estimate(cursor->engine->index, kind, hash, cursor->from,
                                         cursor->until + 1, &count);
        total += count;
    }
    if (status == SP_OK && total < best->count) {
        *best = (struct choice){.plan = total == 0 ? PLAN_NONE : PLAN_KEYS,
                                .kind = kind,
                                .hashes = hashes,
                                .count = total};
    }
    return status;
}

static sp_status consider_key(struct sp_cursor *cursor, enum sp_index_kind kind, sp_str text,
                              struct choice *best) {
    if (text.ptr == NULL) {
        return SP_OK;
    }
    uint64_t hash = sp_index_hash(kind, text);
    uint64_t count = 0;
    sp_status status = sp_index_count_estimate(cursor->engine->index, kind, hash, cursor->from,
                                               cursor->until + 1, &count);
    if (status == SP_OK && count < best->count) {
        *best = (struct choice){
            .plan = count == 0 ? PLAN_NONE : PLAN_KEY, .kind = kind, .hash = hash, .count = count};
    }
    return status;
}

static sp_status consider_types(struct sp_cursor *cursor, struct expansion *expansion,
                                struct choice *best) {
    if (cursor->type_count == 0) {
        return SP_OK;
    }
    sp_status status = sp_index_each_type(cursor->engine->index, expand_type, expansion);
    if (status == SP_LIMIT) {
        return SP_OK; /* not all types are listed: the patterns are compared with the events */
    }
    size_t hash_count = expansion->hashes.len / sizeof(uint64_t);
    if (status != SP_OK || expansion->hashes.status != SP_OK ||
        hash_count > SP_INDEX_MERGE_KEYS_MAX) {
        return status;
    }
    return consider_keys(cursor, SP_INDEX_TYPE, &expansion->hashes, best);
}

/* The run that is asked for, and those that it shares events with. */
static sp_status consider_runs(struct sp_cursor *cursor, struct sp_buf *hashes,
                               struct choice *best) {
    if (cursor->share_count == 0) {
        return consider_key(cursor, SP_INDEX_CORRELATION, cursor->correlation, best);
    }
    uint64_t hash = sp_index_hash(SP_INDEX_CORRELATION, cursor->correlation);
    sp_buf_add(hashes, &hash, sizeof(hash));
    for (size_t i = 0; i < cursor->share_count; i++) {
        hash = sp_index_hash(SP_INDEX_CORRELATION, cursor_share_run(cursor, i));
        sp_buf_add(hashes, &hash, sizeof(hash));
    }
    return consider_keys(cursor, SP_INDEX_CORRELATION, hashes, best);
}

static sp_status start_plan(struct sp_cursor *cursor, const struct choice *best) {
    struct sp_index *index = cursor->engine->index;
    cursor->plan = best->plan;
    if (best->plan == PLAN_KEY) {
        sp_index_scan_init(&cursor->scan, index, best->kind, best->hash, cursor->from,
                           cursor->until + 1, cursor->reverse);
    } else if (best->plan == PLAN_KEYS) {
        return sp_index_merge_init(
            &cursor->merge, index, best->kind, (const uint64_t *)(const void *)best->hashes->data,
            best->hashes->len / sizeof(uint64_t), cursor->from, cursor->until + 1, cursor->reverse);
    }
    return SP_OK;
}

void cursor_unplan(struct sp_cursor *cursor) {
    if (cursor->planned && cursor->plan == PLAN_KEYS) {
        sp_index_merge_fini(&cursor->merge);
    }
    cursor->planned = false;
    cursor->candidates_over = false;
    cursor->candidate_at = 0;
    cursor->candidate_count = 0;
}

static bool is_short(const struct sp_cursor *cursor) {
    uint64_t range = cursor->until >= cursor->from ? cursor->until - cursor->from + 1 : 0;
    uint64_t short_events = cursor->engine->options.scan_short_events;
    return range <= (short_events != 0 ? short_events : SCAN_SHORT_EVENTS);
}

bool cursor_plan_short(struct sp_cursor *cursor) {
    sp_require(!cursor->planned && cursor->plan != PLAN_LIST);
    if (is_short(cursor)) {
        cursor->plan = PLAN_SCAN;
        cursor->planned = true;
    }
    return cursor->planned;
}

sp_status cursor_plan_locked(struct sp_cursor *cursor, struct sp_error *error) {
    sp_require(!cursor->planned && cursor->plan != PLAN_LIST);
    uint64_t range = cursor->until >= cursor->from ? cursor->until - cursor->from + 1 : 0;
    struct choice best = {.plan = PLAN_SCAN, .count = range / SCAN_SHARE};
    struct expansion expansion = {.cursor = cursor};
    struct sp_buf runs;
    sp_buf_init(&expansion.hashes, (size_t)SP_INDEX_TYPES_MAX * sizeof(uint64_t));
    sp_buf_init(&runs, (SP_FORK_DEPTH_MAX + 1) * sizeof(uint64_t));
    sp_status status = SP_OK;
    if (!is_short(cursor)) {
        status = consider_key(cursor, SP_INDEX_STREAM, cursor->stream, &best);
        status = status == SP_OK ? consider_runs(cursor, &runs, &best) : status;
        status =
            status == SP_OK ? consider_key(cursor, SP_INDEX_SOURCE, cursor->source, &best) : status;
        status = status == SP_OK ? consider_types(cursor, &expansion, &best) : status;
    }
    if (status == SP_CORRUPT || status == SP_IO) {
        best.plan = PLAN_SCAN; /* an index that cannot be read costs time, not answers */
        status = SP_OK;
    }
    status = status == SP_OK ? start_plan(cursor, &best) : status;
    sp_buf_fini(&expansion.hashes);
    sp_buf_fini(&runs);
    cursor->planned = status == SP_OK;
    return status == SP_OK ? SP_OK
                           : sp_error_set(error, status, "query: %s", sp_status_text(status));
}
