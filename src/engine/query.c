#include "engine/query.h"

#include <stdlib.h>

#include "engine/query_int.h"
#include "match/pattern.h"

void engine_enter(struct sp_engine *engine) {
    if (engine->guard != NULL) {
        sp_guard_enter(engine->guard);
    }
}

void engine_leave(struct sp_engine *engine) {
    if (engine->guard != NULL) {
        sp_guard_leave(engine->guard);
    }
}

/*
 * ---- opening
 * --------------------------------------------------------------------------------------
 */

static size_t query_text_bytes(const struct sp_query *query) {
    size_t total = query->source.len + query->stream.len + query->correlation.len;
    for (size_t i = 0; i < query->type_count; i++) {
        total += query->types[i].len;
    }
    return total + 1;
}

/* Copies text that was given room for; absent stays absent. */
static sp_str keep(struct sp_buf *text, sp_str s) {
    if (s.ptr == NULL) {
        return s;
    }
    sp_str kept = sp_str_of(text->data + text->len, s.len);
    sp_buf_add_str(text, s);
    return kept;
}

sp_status cursor_new(struct sp_engine *engine, struct sp_cursor **ret_cursor,
                     struct sp_error *error) {
    struct sp_cursor *cursor = calloc(1, sizeof(*cursor));
    if (cursor == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "cursor");
    }
    cursor->engine = engine;
    cursor->remaining = UINT64_MAX;
    sp_buf_init(&cursor->text, SIZE_MAX / 2);
    sp_buf_init(&cursor->share_text, SIZE_MAX / 2);
    sp_status status = engine->log->ops->reader_new(engine->log, &cursor->reader, error);
    if (status != SP_OK) {
        sp_cursor_close(cursor);
        return status;
    }
    *ret_cursor = cursor;
    return SP_OK;
}

static sp_status keep_types(struct sp_cursor *cursor, const struct sp_query *query,
                            struct sp_error *error) {
    if (query->type_count > SP_QUERY_TYPES_MAX) {
        return sp_error_set(error, SP_LIMIT, "%zu type patterns, at most %d", query->type_count,
                            SP_QUERY_TYPES_MAX);
    }
    cursor->types = calloc(query->type_count + 1, sizeof(*cursor->types));
    if (cursor->types == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "query");
    }
    for (size_t i = 0; i < query->type_count; i++) {
        sp_status status = sp_pattern_check(query->types[i], error);
        if (status != SP_OK) {
            return sp_error_prefix(error, status, "type");
        }
        cursor->types[cursor->type_count++] = keep(&cursor->text, query->types[i]);
    }
    return SP_OK;
}

static sp_status keep_query(struct sp_cursor *cursor, const struct sp_query *query,
                            struct sp_error *error) {
    if (sp_buf_reserve(&cursor->text, query_text_bytes(query)) == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "query");
    }
    cursor->source = keep(&cursor->text, query->source);
    cursor->stream = keep(&cursor->text, query->stream);
    cursor->correlation = keep(&cursor->text, query->correlation);
    cursor->remaining = query->limit != 0 ? query->limit : UINT64_MAX;
    cursor->reverse = query->reverse;
    cursor->follow = query->follow;
    cursor->from_version = query->from_version;
    sp_status status = keep_types(cursor, query, error);
    if (status == SP_OK && query->filter.ptr != NULL) {
        status = sp_filter_compile(query->filter, &cursor->filter, error);
        status = status == SP_OK ? status : sp_error_prefix(error, status, "filter");
    }
    return status;
}

static sp_status keep_range(struct sp_cursor *cursor, const struct sp_query *query,
                            struct sp_error *error) {
    struct sp_engine *engine = cursor->engine;
    if (query->follow && (query->reverse || query->until.ptr != NULL)) {
        return sp_error_set(error, SP_INVALID, "a subscription has no until and no reverse");
    }
    if (query->follow && engine->options.read_only) {
        return sp_error_set(
            error, SP_UNSUPPORTED,
            "a store that is open read-only sees nothing new: subscribe where it is "
            "written");
    }
    if (query->from_version != 0 && query->stream.ptr == NULL) {
        return sp_error_set(error, SP_INVALID, "a version to start from needs a stream");
    }
    uint64_t first;
    uint64_t last;
    engine_enter(engine);
    engine->log->ops->bounds(engine->log, &first, &last);
    engine_leave(engine);
    uint64_t from = 0;
    uint64_t until = UINT64_MAX;
    sp_status status = SP_OK;
    if (query->from.ptr != NULL) {
        status = cursor_resolve(cursor, query->from, "from", false, &from, error);
    }
    if (status == SP_OK && query->until.ptr != NULL) {
        status = cursor_resolve(cursor, query->until, "until", true, &until, error);
    }
    first = first == 0 ? 1 : first;
    cursor->from = from > first ? from : first;
    cursor->until = until < last ? until : last;
    return status;
}

sp_status sp_cursor_open(struct sp_engine *engine, const struct sp_query *query,
                         struct sp_cursor **ret_cursor, struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    sp_status status = cursor_new(engine, &cursor, error);
    if (status != SP_OK) {
        return status;
    }
    status = keep_query(cursor, query, error);
    status = status == SP_OK ? keep_range(cursor, query, error) : status;
    if (status == SP_OK && query->correlation.ptr != NULL && !query->own) {
        status = cursor_find_shares(cursor, error);
    }
    if (status != SP_OK) {
        sp_cursor_close(cursor);
        return status;
    }
    *ret_cursor = cursor;
    return SP_OK;
}

void sp_cursor_close(struct sp_cursor *cursor) {
    if (cursor == NULL) {
        return;
    }
    cursor_unplan(cursor);
    if (cursor->reader != NULL) {
        cursor->reader->ops->free(cursor->reader);
    }
    sp_filter_free(cursor->filter);
    sp_buf_fini(&cursor->text);
    sp_buf_fini(&cursor->share_text);
    free(cursor->shares);
    free(cursor->types);
    free(cursor->list);
    free(cursor->offsets);
    free(cursor);
}

/*
 * ---- reading
 * --------------------------------------------------------------------------------------
 */

/* Notes where the events of the chunk lie, so that any of them is reached at once. */
static sp_status note_offsets(struct sp_cursor *cursor) {
    if (cursor->chunk.event_count > cursor->offset_capacity) {
        uint32_t capacity = cursor->chunk.event_count;
        uint32_t *offsets = realloc(cursor->offsets, capacity * sizeof(*offsets));
        if (offsets == NULL) {
            return SP_NO_MEMORY;
        }
        cursor->offsets = offsets;
        cursor->offset_capacity = capacity;
    }
    struct sp_block_walk walk = sp_block_walk_of(cursor->chunk.body, cursor->chunk.first_position);
    struct sp_record record;
    sp_status status;
    uint32_t count = 0;
    while ((status = sp_block_walk_next(&walk, &record)) == SP_OK) {
        if (record.kind == SP_RECORD_EVENT) {
            if (count == cursor->chunk.event_count) {
                return SP_CORRUPT;
            }
            cursor->offsets[count++] =
                (uint32_t)((const char *)record.bytes - cursor->chunk.body.ptr);
        }
    }
    cursor->offsets_noted = status == SP_END && count == cursor->chunk.event_count;
    return cursor->offsets_noted ? SP_OK : SP_CORRUPT;
}

/* Places the walk before an event of the chunk that it has passed, or that a later one precedes. */
static sp_status walk_back(struct sp_cursor *cursor, uint64_t position) {
    sp_status status = cursor->offsets_noted ? SP_OK : note_offsets(cursor);
    if (status == SP_OK) {
        uint32_t offset = cursor->offsets[position - cursor->chunk.first_position];
        cursor->walk = sp_block_walk_of(sp_str_from_byte(cursor->chunk.body, offset), position);
    }
    return status;
}

/* Finds the record of an event of the chunk. Who reads on needs no more than the walk. */
static sp_status find_record(struct sp_cursor *cursor, uint64_t position) {
    sp_status status = SP_OK;
    if (position < cursor->walk.next_position || cursor->reverse) {
        status = walk_back(cursor, position);
    }
    while (status == SP_OK && cursor->walk.next_position <= position) {
        status = sp_block_walk_next(&cursor->walk, &cursor->record);
    }
    return status == SP_END ? SP_CORRUPT : status;
}

static bool chunk_holds(const struct sp_cursor *cursor, uint64_t position) {
    return cursor->chunk_valid && position >= cursor->chunk.first_position &&
           position - cursor->chunk.first_position < cursor->chunk.event_count;
}

static sp_status load_chunk(struct sp_cursor *cursor, uint64_t position, struct sp_error *error) {
    const struct sp_log_reader_ops *ops = cursor->reader->ops;
    bool follows =
        cursor->chunk_valid && position == cursor->chunk.first_position + cursor->chunk.event_count;
    cursor->chunk_valid = false;
    sp_status status = SP_END;
    while (follows && (status = ops->next(cursor->reader, &cursor->chunk, error)) == SP_OK &&
           cursor->chunk.event_count == 0) { /* a chunk of control records alone */
    }
    bool there = status == SP_OK && position >= cursor->chunk.first_position &&
                 position - cursor->chunk.first_position < cursor->chunk.event_count;
    if (!there && status != SP_CORRUPT) {
        status = ops->seek(cursor->reader, position, &cursor->chunk, error);
    }
    cursor->chunk_valid = status == SP_OK;
    cursor->offsets_noted = false;
    cursor->walk = sp_block_walk_of(cursor->chunk.body, cursor->chunk.first_position);
    if (status == SP_CORRUPT && error != NULL && error->status != SP_CORRUPT) {
        (void)sp_error_set(error, status, "event %llu is damaged", (unsigned long long)position);
    }
    return status;
}

sp_status cursor_fetch(struct sp_cursor *cursor, uint64_t position, struct sp_error *error) {
    if (!chunk_holds(cursor, position)) {
        sp_status status = load_chunk(cursor, position, error);
        if (status != SP_OK) {
            return status;
        }
    }
    sp_status status = find_record(cursor, position);
    cursor->chunk_valid = status == SP_OK; /* where lengths do not fit, nothing behind is found */
    status = status == SP_OK ? sp_record_decode(&cursor->record, cursor->scratch, &cursor->event)
                             : status;
    return status == SP_OK ? SP_OK
                           : sp_error_set(error, status, "event %llu makes no sense",
                                          (unsigned long long)position);
}

/*
 * ---- matching
 * -------------------------------------------------------------------------------------
 */

static bool type_matches(const struct sp_cursor *cursor, sp_str type) {
    for (size_t i = 0; i < cursor->type_count; i++) {
        if (sp_pattern_match(cursor->types[i], type)) {
            return true;
        }
    }
    return cursor->type_count == 0;
}

static bool text_matches(sp_str wanted, sp_str found) {
    return wanted.ptr == NULL || sp_str_eq(wanted, found);
}

/* Whether the event is of the run: one of its own, or one that it shares. */
static bool is_of_run(const struct sp_cursor *cursor) {
    const struct sp_event *event = &cursor->event;
    sp_str run = event->attr[SP_ATTR_CORRELATION];
    if (text_matches(cursor->correlation, run)) {
        return true;
    }
    for (size_t i = 0; i < cursor->share_count; i++) {
        if (event->position <= cursor->shares[i].until &&
            sp_str_eq(run, cursor_share_run(cursor, i))) {
            return true;
        }
    }
    return false;
}

static bool matches(const struct sp_cursor *cursor) {
    const struct sp_event *event = &cursor->event;
    return text_matches(cursor->id, event->attr[SP_ATTR_ID]) &&
           text_matches(cursor->stream, event->attr[SP_ATTR_STREAM]) && is_of_run(cursor) &&
           text_matches(cursor->source, event->attr[SP_ATTR_SOURCE]) &&
           event->version >= cursor->from_version &&
           type_matches(cursor, event->attr[SP_ATTR_TYPE]) &&
           (cursor->filter == NULL || sp_filter_match(cursor->filter, event));
}

/*
 * ---- candidates
 * -----------------------------------------------------------------------------------
 */

/* Takes the next candidates out of the index. The guard is held. */
static sp_status refill_locked(struct sp_cursor *cursor) {
    sp_status status = SP_OK;
    cursor->candidate_at = 0;
    cursor->candidate_count = 0;
    while (cursor->candidate_count < CANDIDATES_MAX) {
        uint64_t position;
        status = cursor->plan == PLAN_KEY ? sp_index_scan_next(&cursor->scan, &position)
                                          : sp_index_merge_next(&cursor->merge, &position);
        if (status != SP_OK) {
            break;
        }
        cursor->candidates[cursor->candidate_count++] = position;
    }
    cursor->candidates_over = status == SP_END;
    return status == SP_END || cursor->candidate_count > 0 ? SP_OK : status;
}

static sp_status say_dropped(uint64_t first, uint64_t next, struct sp_error *error) {
    return sp_error_set(error, SP_NOT_FOUND, "events before %llu were dropped, %llu was to be next",
                        (unsigned long long)first, (unsigned long long)next);
}

/* A following cursor looks at what has become durable since. SP_TIMEOUT where nothing has. */
static sp_status follow_on(struct sp_cursor *cursor) {
    uint64_t durable = atomic_load(&cursor->engine->durable_seen);
    if (cursor->from > durable) {
        return SP_TIMEOUT;
    }
    cursor_unplan(cursor);
    cursor->until = durable;
    return SP_OK;
}

/* The next position to look at; moves the range on. SP_END where it is used up. */
static sp_status next_in_scan(struct sp_cursor *cursor, uint64_t *ret_position) {
    if (cursor->from > cursor->until) {
        return SP_END;
    }
    *ret_position = cursor->reverse ? cursor->until : cursor->from;
    return SP_OK;
}

/*
 * Events that the cursor has not come to yet may have been dropped meanwhile. An index would not
 * show that, so it is asked for before each look into one; who reads event by event sees it anyway.
 * The guard is held.
 */
static sp_status overtaken_locked(struct sp_cursor *cursor, struct sp_error *error) {
    uint64_t first;
    uint64_t last;
    cursor->engine->log->ops->bounds(cursor->engine->log, &first, &last);
    if (cursor->reverse || cursor->from >= first || cursor->from > cursor->until) {
        return SP_OK;
    }
    uint64_t next = cursor->from;
    cursor->from = first;
    return say_dropped(first, next, error);
}

static sp_status next_in_index(struct sp_cursor *cursor, uint64_t *ret_position,
                               struct sp_error *error) {
    if (cursor->candidate_at == cursor->candidate_count && !cursor->candidates_over) {
        engine_enter(cursor->engine);
        sp_status status = overtaken_locked(cursor, error);
        bool overtaken = status != SP_OK;
        status = overtaken ? status : refill_locked(cursor);
        engine_leave(cursor->engine);
        if (overtaken) {
            return status;
        }
        if (status == SP_CORRUPT || status == SP_IO) {
            cursor_unplan(cursor); /* the index cannot be read: look at every event instead */
            cursor->plan = PLAN_SCAN;
            cursor->planned = true;
            return next_in_scan(cursor, ret_position);
        }
        if (status != SP_OK) {
            return sp_error_set(error, status, "query: %s", sp_status_text(status));
        }
    }
    if (cursor->candidate_at == cursor->candidate_count) {
        cursor->from = cursor->until + 1; /* nothing more in this range */
        return SP_END;
    }
    *ret_position = cursor->candidates[cursor->candidate_at++];
    return SP_OK;
}

static sp_status next_in_list(struct sp_cursor *cursor, uint64_t *ret_position) {
    if (cursor->list_at == cursor->list_count) {
        return SP_END;
    }
    cursor->depth = cursor->list[cursor->list_at].depth;
    *ret_position = cursor->list[cursor->list_at++].position;
    return SP_OK;
}

static sp_status next_position(struct sp_cursor *cursor, uint64_t *ret_position,
                               struct sp_error *error) {
    if (cursor->plan == PLAN_LIST) {
        return next_in_list(cursor, ret_position);
    }
    if (!cursor->planned && !cursor_plan_short(cursor)) {
        engine_enter(cursor->engine);
        sp_status status = overtaken_locked(cursor, error);
        status = status == SP_OK ? cursor_plan_locked(cursor, error) : status;
        engine_leave(cursor->engine);
        if (status != SP_OK) {
            return status;
        }
    }
    switch (cursor->plan) {
    case PLAN_SCAN:
        return next_in_scan(cursor, ret_position);
    case PLAN_KEY:
    case PLAN_KEYS:
        return next_in_index(cursor, ret_position, error);
    case PLAN_NONE:
    case PLAN_LIST:
        break;
    }
    cursor->from = cursor->until + 1;
    return SP_END;
}

/* Everything up to the position (in reverse: down to it) has been looked at. */
static void pass(struct sp_cursor *cursor, uint64_t position) {
    if (cursor->reverse) {
        cursor->until = position - 1;
    } else {
        cursor->from = position + 1;
    }
}

/* Nothing up to the position (in reverse: down to it) is looked at any more. */
static void pass_to(struct sp_cursor *cursor, uint64_t position) {
    pass(cursor, position);
    while (cursor->candidate_at < cursor->candidate_count) {
        uint64_t candidate = cursor->candidates[cursor->candidate_at];
        if (candidate >= cursor->from && candidate <= cursor->until) {
            break;
        }
        cursor->candidate_at++;
    }
}

/* Damage costs the chunk it is in, and is told once: goes on behind it. */
static void pass_damage(struct sp_cursor *cursor, uint64_t position) {
    const struct sp_log_chunk *chunk = &cursor->chunk;
    bool known = !cursor->chunk_valid && position >= chunk->first_position &&
                 position - chunk->first_position < chunk->event_count;
    if (!known) {
        pass_to(cursor, position);
    } else {
        pass_to(cursor, cursor->reverse ? chunk->first_position
                                        : chunk->first_position + chunk->event_count - 1);
    }
}

/*
 * What was to be read next has been dropped meanwhile: says so once, and goes on with what is
 * kept.
 */
static sp_status pass_dropped(struct sp_cursor *cursor, uint64_t position, struct sp_error *error) {
    uint64_t first;
    uint64_t last;
    engine_enter(cursor->engine);
    cursor->engine->log->ops->bounds(cursor->engine->log, &first, &last);
    engine_leave(cursor->engine);
    first = first != 0 ? first : cursor->until + 1; /* nothing of it is kept */
    if (position >= first) {
        pass_to(cursor, position);
        return sp_error_set(error, SP_CORRUPT, "event %llu is missing",
                            (unsigned long long)position);
    }
    pass_to(cursor, cursor->reverse ? 1 : first - 1);
    return say_dropped(first, position, error);
}

/* The event at the position cannot be had. The next call goes on behind what is lost. */
static sp_status fail_at(struct sp_cursor *cursor, uint64_t position, sp_status status,
                         struct sp_error *error) {
    bool from_index = cursor->plan == PLAN_KEY || cursor->plan == PLAN_KEYS;
    if (status == SP_NO_MEMORY) { /* the next call tries it again */
        cursor->candidate_at -= from_index ? 1 : 0;
        cursor->list_at -= cursor->plan == PLAN_LIST ? 1 : 0;
        return status;
    }
    if (cursor->plan == PLAN_LIST) {
        return status;
    }
    if (status == SP_NOT_FOUND) {
        return pass_dropped(cursor, position, error);
    }
    pass_damage(cursor, position);
    return status;
}

sp_status sp_cursor_next(struct sp_cursor *cursor, const struct sp_event **ret_event,
                         struct sp_error *error) {
    cursor->yielded = false;
    while (cursor->remaining > 0) {
        if (cursor->bounded && cursor->allowed == 0) {
            return SP_BUSY;
        }
        uint64_t position = 0;
        sp_status status = next_position(cursor, &position, error);
        if (status == SP_END && cursor->follow) {
            status = follow_on(cursor);
            if (status == SP_OK) {
                continue;
            }
        }
        if (status != SP_OK) {
            return status;
        }
        cursor->allowed -= cursor->bounded ? 1 : 0;
        status = cursor_fetch(cursor, position, error);
        if (status != SP_OK) {
            return fail_at(cursor, position, status, error);
        }
        if (cursor->plan != PLAN_LIST) {
            pass(cursor, position);
        }
        if (matches(cursor)) {
            cursor->remaining--;
            cursor->yielded = true;
            *ret_event = &cursor->event;
            return SP_OK;
        }
    }
    return SP_END;
}

void sp_cursor_allow(struct sp_cursor *cursor, uint32_t events) {
    cursor->bounded = true;
    cursor->allowed = events;
}

uint32_t sp_cursor_allowed(const struct sp_cursor *cursor) {
    return cursor->allowed;
}

uint64_t sp_cursor_position(const struct sp_cursor *cursor) {
    return cursor->from;
}

void sp_cursor_range(const struct sp_cursor *cursor, uint64_t *ret_first, uint64_t *ret_last) {
    *ret_first = cursor->from;
    *ret_last = cursor->until;
}

sp_status sp_cursor_hash(struct sp_cursor *cursor, uint8_t ret_hash[SP_HASH_BYTES],
                         struct sp_error *error) {
    if (!cursor->yielded) {
        return sp_error_set(error, SP_INVALID, "no event was read");
    }
    return cursor->engine->log->ops->leaf(cursor->engine->log, &cursor->record, ret_hash, error);
}

uint32_t sp_cursor_depth(const struct sp_cursor *cursor) {
    return cursor->depth;
}
