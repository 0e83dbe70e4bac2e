#include <stdlib.h>

#include "engine/engine_int.h"

static void block_forget(struct open_block *open) {
    sp_blob_unref(open->blob);
    open->blob = NULL;
    open->body_bytes = 0;
    open->record_count = 0;
    open->event_count = 0;
    if (open->ids.count > 0) {
        sp_htab_clear(&open->ids);
    }
}

/* Moves the block to a larger blob. The log's limit was checked by the caller. */
static sp_status block_grow(struct open_block *open, size_t body_bytes, size_t body_max) {
    /* Some more than the block before: to grow is to copy what is there. */
    size_t guess = open->last_bytes + open->last_bytes / 4;
    size_t room = open->blob != NULL ? (size_t)open->body_room * 2 : guess;
    room = room < FIRST_BLOCK_BYTES ? FIRST_BLOCK_BYTES : room;
    while (room < body_bytes) {
        room *= 2;
    }
    room = room > body_max ? body_max : room;
    struct sp_blob *blob = sp_log_block_new(room);
    if (blob == NULL) {
        return SP_NO_MEMORY;
    }
    if (open->blob != NULL) {
        memcpy(sp_log_block_body(blob), sp_log_block_body(open->blob), open->body_bytes);
        sp_blob_unref(open->blob);
    }
    open->blob = blob;
    open->body_room = (uint32_t)room;
    return SP_OK;
}

static sp_status events_grow(struct open_block *open, uint32_t count) {
    uint32_t capacity = open->event_capacity == 0 ? 256 : open->event_capacity;
    while (capacity < count) {
        capacity *= 2;
    }
    if (capacity == open->event_capacity) {
        return SP_OK;
    }
    struct open_event *events = realloc(open->events, capacity * sizeof(*events));
    if (events == NULL) {
        return SP_NO_MEMORY;
    }
    open->events = events;
    open->event_capacity = capacity;
    return SP_OK;
}

/* Bytes of the body with what is asked for, and with a record of the ops that were gathered. */
static size_t wanted_bytes(const struct sp_engine *engine, size_t record_bytes, size_t ops_bytes) {
    return engine->open.body_bytes + record_bytes + engine_ops_record_bytes(engine, ops_bytes);
}

sp_status engine_block_reserve(struct sp_engine *engine, size_t record_bytes, size_t ops_bytes,
                               uint32_t events) {
    struct open_block *open = &engine->open;
    size_t body_max = engine->block_bytes_max - SP_BLOCK_HEADER_BYTES;
    if (record_bytes > body_max || ops_bytes > body_max / 2) {
        return SP_LIMIT;
    }
    if (wanted_bytes(engine, record_bytes, ops_bytes) > body_max) {
        if (engine->held) {
            return SP_LIMIT;
        }
        engine->ops.urgent = engine->ops.bytes.len > 0;
        engine_cut(engine);
        if (engine_has_work(engine)) {
            return engine->state == SP_OK ? SP_BUSY : engine->state;
        }
        sp_status ready = engine->log->ops->ready(engine->log, NULL);
        if (ready != SP_OK) {
            return ready;
        }
    }
    size_t wanted = wanted_bytes(engine, record_bytes, ops_bytes);
    if (wanted > body_max) {
        return SP_LIMIT;
    }
    sp_status status = SP_OK;
    if (open->blob == NULL || wanted > open->body_room) {
        status = block_grow(open, wanted, body_max);
    }
    if (status == SP_OK) {
        status = events_grow(open, open->event_count + events);
    }
    /* At most two keys an event. */
    return status == SP_OK
               ? sp_htab_reserve(&open->ids, (size_t)open->ids.count + (size_t)events * 2)
               : status;
}

void engine_block_add(struct sp_engine *engine, const struct sp_event *event,
                      const struct sp_index_keys *keys, bool id_given) {
    struct open_block *open = &engine->open;
    if (open->event_count == 0) {
        open->first_position = event->position;
    }
    sp_invariant(event->position == open->first_position + open->event_count);
    uint8_t *to = sp_log_block_body(open->blob) + open->body_bytes;
    size_t size = sp_record_encode(event, to);
    sp_invariant(open->body_bytes + size <= open->body_room);
    struct open_event *entry = &open->events[open->event_count];
    sp_str type = event->attr[SP_ATTR_TYPE];
    *entry = (struct open_event){
        .keys = *keys,
        .recorded_us = event->recorded_us,
        .offset = open->body_bytes,
        .type_offset = open->body_bytes + (uint32_t)sp_record_type_offset(type.len),
        .type_bytes = (uint32_t)type.len,
    };
    if (id_given) { /* nobody can name an id yet that was only made here */
        sp_status status = sp_htab_add(&open->ids, keys->id, open->event_count);
        if (status == SP_OK && keys->has_source_id) {
            status = sp_htab_add(&open->ids, keys->source_id, open->event_count);
        }
        sp_ensure(status == SP_OK);
    }
    open->body_bytes += (uint32_t)size;
    open->record_count++;
    open->event_count++;
}

/* The events enter the index of the segment that the block went into. */
static sp_status index_block(struct sp_engine *engine) {
    const struct open_block *open = &engine->open;
    if (open->event_count == 0) {
        return engine_index_leave(engine, engine->progress.head_segment, open->first_position);
    }
    const char *body = (const char *)sp_log_block_body(open->blob);
    for (uint32_t i = 0; i < open->event_count; i++) {
        const struct open_event *entry = &open->events[i];
        if (i + PREFETCH_EVENTS < open->event_count) {
            sp_index_prefetch_add(engine->index, &open->events[i + PREFETCH_EVENTS].keys);
        }
        sp_status status = engine_index_add(
            engine, engine->progress.head_segment, open->first_position + i, &entry->keys,
            sp_str_of(body + entry->type_offset, entry->type_bytes), entry->recorded_us);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

static void drop_oldest(struct recent *recent) {
    struct flight *oldest = &recent->blocks[recent->start];
    recent->bytes -= oldest->body_bytes;
    sp_blob_unref(oldest->blob);
    free(oldest->offsets);
    recent->start = (recent->start + 1) % RECENT_MAX;
    recent->count--;
}

void engine_block_forget_recent(struct sp_engine *engine) {
    while (engine->recent.count > 0) {
        drop_oldest(&engine->recent);
    }
}

void engine_block_landed(struct sp_engine *engine, struct flight *flight) {
    struct recent *recent = &engine->recent;
    bool fits = flight->event_count > 0 && flight->body_bytes <= RECENT_BYTES_MAX / 2;
    while (recent->count > 0 &&
           (recent->count == RECENT_MAX || recent->bytes + flight->body_bytes > RECENT_BYTES_MAX)) {
        drop_oldest(recent);
    }
    if (!fits) {
        sp_blob_unref(flight->blob);
        free(flight->offsets);
        return;
    }
    recent->blocks[(recent->start + recent->count) % RECENT_MAX] = *flight;
    recent->count++;
    recent->bytes += flight->body_bytes;
}

static bool has(const struct flight *flight, uint64_t position) {
    return position >= flight->first_position &&
           position - flight->first_position < flight->event_count;
}

const struct flight *engine_block_find(const struct sp_engine *engine, uint64_t position) {
    const struct recent *recent = &engine->recent;
    for (uint32_t i = 0; i < engine->flight_count; i++) {
        if (has(&engine->flights[i], position)) {
            return &engine->flights[i];
        }
    }
    uint32_t low = 0;
    uint32_t high = recent->count; /* the last one that begins at or before it is below */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct flight *at = &recent->blocks[(recent->start + middle) % RECENT_MAX];
        if (at->first_position <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const struct flight *found =
        low == 0 ? NULL : &recent->blocks[(recent->start + low - 1) % RECENT_MAX];
    return found != NULL && has(found, position) ? found : NULL;
}

/* Where its events lie; NULL where there is no memory, or they are none. */
static uint32_t *copy_offsets(const struct open_block *open) {
    uint32_t *offsets = open->event_count > 0 ? malloc(open->event_count * sizeof(*offsets)) : NULL;
    for (uint32_t i = 0; offsets != NULL && i < open->event_count; i++) {
        offsets[i] = open->events[i].offset;
    }
    return offsets;
}

static void take_off(struct sp_engine *engine) {
    struct open_block *open = &engine->open;
    sp_require(engine->flight_count < IN_FLIGHT_MAX);
    engine->flights[engine->flight_count++] = (struct flight){
        .blob = sp_blob_ref(open->blob),
        .block = engine->progress.head_block,
        .first_position = open->first_position,
        .body_bytes = open->body_bytes,
        .event_count = open->event_count,
        .offsets = copy_offsets(open),
    };
}

void engine_cut_if_due(struct sp_engine *engine) {
    if (engine->flight_count == 0 || engine->open.body_bytes >= CUT_BYTES) {
        engine_cut(engine);
    }
}

void engine_cut(struct sp_engine *engine) {
    struct open_block *open = &engine->open;
    struct sp_error error;
    sp_error_clear(&error);
    if (!engine_has_work(engine) || engine->held || engine->state != SP_OK ||
        engine->flight_count >= engine->blocks_in_flight_max) {
        return;
    }
    sp_status status = engine->log->ops->ready(engine->log, &error);
    if (status == SP_BUSY || status == SP_NO_SPACE) {
        return; /* what was taken stays; new appends are refused by their own check */
    }
    engine_ops_flush(engine);
    open->first_position = open->event_count > 0 ? open->first_position : engine->core.position + 1;
    struct sp_log_block block = {
        .blob = open->blob,
        .first_position = open->first_position,
        .event_count = open->event_count,
        .record_count = open->record_count,
        .body_bytes = open->body_bytes,
        .recorded_us = engine->core.recorded_us,
    };
    if (status == SP_OK) {
        status = engine->log->ops->append(engine->log, engine->progress.head_block, &block, &error);
    }
    if (status == SP_OK) {
        engine_note_progress(engine);
        take_off(engine);
        status = index_block(engine);
    }
    open->last_bytes = open->body_bytes;
    block_forget(open);
    if (status != SP_OK) {
        engine_fail(engine, status, &error);
    }
}
