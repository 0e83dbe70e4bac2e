/*
 * Recovery: the newest snapshot, the sealed part behind it, then what is not sealed. The log
 * yields records; the same apply that live appends went through folds them in.
 */
#include <stdlib.h>

#include "base/wire.h"
#include "core/control.h"
#include "engine/engine_int.h"
#include "log/sealed.h"

enum { SNAPSHOT_BYTES_MAX = 0x7fffffff };

/* Before flows there was only the core's state; see engine_snapshot.c. */
static sp_status restore_state(struct sp_engine *engine, sp_str bytes, struct sp_error *error) {
    struct sp_wire wire = sp_wire_of(bytes.ptr, bytes.len);
    if (sp_wire_u32(&wire) != SNAPSHOT_WITH_FLOWS) {
        return sp_core_restore(&engine->core, bytes, error);
    }
    (void)sp_wire_u32(&wire);
    uint64_t core_bytes = sp_wire_u64(&wire);
    if (wire.bad || core_bytes > sp_wire_left(&wire)) {
        return sp_error_set(error, SP_CORRUPT, "snapshot: it ends too early");
    }
    sp_str rest = sp_str_of(wire.at, sp_wire_left(&wire));
    sp_status status =
        sp_core_restore(&engine->core, sp_str_of(rest.ptr, (size_t)core_bytes), error);
    return status == SP_OK
               ? engine_flows_restore(engine, sp_str_from_byte(rest, (size_t)core_bytes), error)
               : status;
}

/* The newest snapshot that can be used, or an empty core. */
static sp_status load_snapshot(struct sp_engine *engine, struct sp_error *error) {
    struct sp_buf bytes;
    sp_buf_init(&bytes, SNAPSHOT_BYTES_MAX);
    uint64_t position = 0;
    sp_status status = engine->log->ops->snapshot_load(engine->log, &bytes, &position, error);
    if (status == SP_OK) {
        status = restore_state(engine, sp_buf_str(&bytes), error);
    } else if (status == SP_NOT_FOUND) {
        status = SP_OK;
    }
    sp_buf_fini(&bytes);
    engine->snapshot_position = engine->core.position;
    return status;
}

static sp_status apply_event(struct sp_engine *engine, const struct sp_event *event,
                             uint64_t stream_hash, struct sp_error *error) {
    if (event->position <= engine->core.position) {
        return SP_OK; /* within the snapshot */
    }
    struct sp_core_applied applied = {
        .stream = event->attr[SP_ATTR_STREAM],
        .stream_hash = stream_hash,
        .position = event->position,
        .version = event->version,
        .recorded_us = event->recorded_us,
        .entry_seq = event->entry_seq,
    };
    (void)sp_event_own_id(event, &applied.own_id);
    sp_status status = sp_core_apply(&engine->core, &applied);
    engine->replayed_events++;
    if (status == SP_CORRUPT) {
        return sp_error_set(error, status,
                            "event %llu does not continue what was before it: version %llu of "
                            "stream %.*s",
                            (unsigned long long)event->position, (unsigned long long)event->version,
                            SP_STR_ARG(applied.stream));
    }
    if (status == SP_OK && sp_flow_wants(engine->flow, event)) {
        return engine_flow_event(engine, event, error);
    }
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "%s", sp_status_text(status));
}

static sp_status decode(const struct sp_record *record, char scratch[SP_RECORD_SCRATCH_BYTES],
                        struct sp_event *event, struct sp_error *error) {
    sp_status status = sp_record_decode(record, scratch, event);
    return status == SP_OK
               ? SP_OK
               : sp_error_set(error, status, "event %llu has a header that makes no sense",
                              (unsigned long long)record->position);
}

/*
 * A control record behind what the snapshot covers: its ops are folded in as they were live. They
 * are numbered without gaps, so that none can be missing.
 */
static sp_status apply_control(struct sp_engine *engine, const struct sp_record *record,
                               struct sp_error *error) {
    struct sp_core *core = &engine->core;
    if (record->control != SP_CONTROL_OPS || record->version <= core->control_number) {
        return SP_OK;
    }
    if (record->position != core->position) {
        return sp_error_set(error, SP_CORRUPT,
                            "control record %llu stands behind event %llu, not behind event %llu",
                            (unsigned long long)record->version,
                            (unsigned long long)record->position,
                            (unsigned long long)core->position);
    }
    sp_status status = sp_core_control(core, record->version, record->data, error);
    engine->control_bytes += record->size;
    return status == SP_OK ? SP_OK
                           : sp_error_prefix(error, status, "control record %llu",
                                             (unsigned long long)record->version);
}

/*
 * Some events at a time, so that the waits for memory of one overlap with the work on another: of a
 * million streams none is in the cache.
 */
enum { REPLAY_EVENTS = 16 };

struct replay {
    struct sp_engine *engine;
    uint32_t count;
    struct {
        struct sp_event event;
        char scratch[SP_RECORD_SCRATCH_BYTES];
        struct sp_index_keys keys;
        uint64_t stream_hash;
        bool indexed;
    } events[REPLAY_EVENTS];
};

/* Brings what was gathered into index and core, where they do not have it yet. */
static sp_status replay_gathered(struct replay *replay, struct sp_error *error) {
    struct sp_engine *engine = replay->engine;
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < replay->count; i++) {
        sp_streams_prefetch_entry(&engine->core.streams, replay->events[i].stream_hash);
    }
    for (uint32_t i = 0; i < replay->count && status == SP_OK; i++) {
        const struct sp_event *event = &replay->events[i].event;
        if (!replay->events[i].indexed) {
            status = sp_index_add(engine->index, event->position, &replay->events[i].keys,
                                  event->attr[SP_ATTR_TYPE], event->recorded_us);
        }
        status = status == SP_OK ? apply_event(engine, event, replay->events[i].stream_hash, error)
                                 : sp_error_set(error, status, "index: %s", sp_status_text(status));
    }
    replay->count = 0;
    return status;
}

/* Takes an event, which stays where it is until what was gathered is replayed. */
static sp_status gather(struct replay *replay, const struct sp_record *record, bool indexed,
                        struct sp_error *error) {
    struct sp_engine *engine = replay->engine;
    uint32_t at = replay->count;
    struct sp_event *event = &replay->events[at].event;
    sp_status status = decode(record, replay->events[at].scratch, event, error);
    if (status != SP_OK) {
        return status;
    }
    replay->events[at].indexed = indexed;
    replay->events[at].stream_hash = sp_stream_hash(event->attr[SP_ATTR_STREAM]);
    sp_streams_prefetch(&engine->core.streams, replay->events[at].stream_hash);
    if (!indexed) {
        replay->events[at].keys = sp_index_keys_of(event);
        sp_index_prefetch_add(engine->index, &replay->events[at].keys);
    }
    return ++replay->count == REPLAY_EVENTS ? replay_gathered(replay, error) : SP_OK;
}

/* One record of the part that is not sealed. */
static sp_status take_record(struct replay *replay, uint64_t segment_id,
                             const struct sp_record *record, struct sp_error *error) {
    struct sp_engine *engine = replay->engine;
    if (record->kind != SP_RECORD_EVENT) {
        sp_status status = replay_gathered(replay, error);
        return status == SP_OK ? apply_control(engine, record, error) : status;
    }
    bool indexed = false;
    sp_status status = engine_index_enter(engine, segment_id, record->position, &indexed);
    if (status != SP_OK) {
        return sp_error_set(error, status, "index: %s", sp_status_text(status));
    }
    bool known = indexed && record->position <= engine->core.position;
    return known ? SP_OK : gather(replay, record, indexed, error);
}

static sp_status take_chunk(void *context, uint64_t segment_id, const struct sp_log_chunk *chunk,
                            struct sp_error *error) {
    struct replay *replay = context;
    if (chunk->event_count == 0 &&
        engine_index_leave(replay->engine, segment_id, chunk->first_position) != SP_OK) {
        return sp_error_set(error, SP_CORRUPT, "an index is of other events than its segment");
    }
    struct sp_block_walk walk = sp_block_walk_of(chunk->body, chunk->first_position);
    struct sp_record record;
    sp_status status;
    while ((status = sp_block_walk_next(&walk, &record)) == SP_OK) {
        status = take_record(replay, segment_id, &record, error);
        if (status != SP_OK) {
            return status;
        }
    }
    return status == SP_END
               ? replay_gathered(replay, error)
               : sp_error_set(error, status, "records from event %llu on make no sense",
                              (unsigned long long)chunk->first_position);
}

/*
 * ---- the sealed part
 * ------------------------------------------------------------------------------
 */

struct sealed_walk {
    struct sp_engine *engine;
    uint64_t last_position; /* of the sealed part */
    bool controls;          /* from the last event of the snapshot on it has control records */
    sp_status status;
    struct sp_error *error;
};

static void open_sealed(void *context, const struct sp_log_segment_info *info) {
    struct sealed_walk *walk = context;
    if (walk->status == SP_OK && info->sealed) {
        const struct sp_sealed_footer *footer = sp_log_sealed_footer(info->sealed_file);
        uint64_t events = info->last_position + 1 - info->first_position;
        walk->last_position = info->last_position;
        walk->controls |=
            info->last_position >= walk->engine->core.position && footer->record_count > events;
        walk->engine->sealed_last = info->last_position;
        walk->status = engine_index_open_sealed(walk->engine, info, walk->error);
    }
}

static sp_status replay_chunk(struct replay *replay, const struct sp_log_chunk *chunk,
                              struct sp_error *error) {
    struct sp_engine *engine = replay->engine;
    struct sp_block_walk walk = sp_block_walk_of(chunk->body, chunk->first_position);
    struct sp_record record;
    sp_status status;
    while ((status = sp_block_walk_next(&walk, &record)) == SP_OK) {
        if (record.kind != SP_RECORD_EVENT) {
            status = replay_gathered(replay, error);
            status = status == SP_OK ? apply_control(engine, &record, error) : status;
        } else if (record.position > engine->core.position) {
            status = gather(replay, &record, true, error);
        }
        if (status != SP_OK) {
            return status;
        }
    }
    return status == SP_END ? replay_gathered(replay, error) : status;
}

/*
 * Applies the sealed events that no snapshot covers, and the control records behind the event that
 * it ends with. Nothing but what is sealed is there to be read yet.
 */
static sp_status replay_sealed(struct replay *replay, uint64_t last, struct sp_error *error) {
    struct sp_engine *engine = replay->engine;
    const struct sp_log_reader_ops *ops = engine->reader->ops;
    struct sp_log_chunk chunk;
    sp_status status = SP_NOT_FOUND;
    if (engine->core.position > 0) {
        status = ops->seek(engine->reader, engine->core.position, &chunk, error);
    }
    /*
     * That event itself is not needed. From what is kept on, or behind the damage: whether anything
     * is missing shows, as events and control records are numbered without gaps.
     */
    if (status == SP_NOT_FOUND || status == SP_CORRUPT) {
        sp_error_clear(error);
        status = ops->next(engine->reader, &chunk, error);
    }
    while (status == SP_OK) {
        if (chunk.first_position > engine->core.position + 1) {
            status = SP_NOT_FOUND;
            break;
        }
        status = replay_chunk(replay, &chunk, error);
        status = status == SP_OK ? ops->next(engine->reader, &chunk, error) : status;
    }
    if (status == SP_END && engine->core.position >= last) {
        return SP_OK;
    }
    if (status == SP_NOT_FOUND || status == SP_END) {
        return sp_error_set(error, SP_CORRUPT,
                            "events from %llu on are needed to rebuild the state, and no snapshot "
                            "covers them",
                            (unsigned long long)engine->core.position + 1);
    }
    return status;
}

/* Notes the segment that the snapshot ends in. */
static void note_snapshot_segment(void *context, const struct sp_log_segment_info *info) {
    struct sp_engine *engine = context;
    if (info->first_position <= engine->snapshot_position || engine->snapshot_segment == 0) {
        engine->snapshot_segment = info->id;
    }
}

static sp_status recover(struct replay *replay, struct sp_error *error) {
    struct sp_engine *engine = replay->engine;
    struct sp_log *log = engine->log;
    sp_status status = load_snapshot(engine, error);
    struct sealed_walk walk = {.engine = engine, .status = SP_OK, .error = error};
    if (status == SP_OK && engine->local) {
        sp_log_local_segments(log, open_sealed, &walk);
        status = walk.status;
    }
    if (status == SP_OK && (walk.controls || walk.last_position > engine->core.position)) {
        status = replay_sealed(replay, walk.last_position, error);
    }
    engine->recovering = true;
    status = status == SP_OK ? log->ops->recover(log, take_chunk, replay, error) : status;
    status = status == SP_OK ? engine_index_settle(engine) : status;
    engine->recovering = false;
    return status;
}

sp_status engine_recover(struct sp_engine *engine, struct sp_error *error) {
    struct sp_log *log = engine->log;
    struct replay *replay = calloc(1, sizeof(*replay));
    if (replay == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "replay");
    }
    replay->engine = engine;
    sp_status status = recover(replay, error);
    free(replay);
    if (status != SP_OK) {
        return status;
    }
    engine_note_progress(engine);
    engine->snapshot_segment = engine->progress.head_segment;
    if (engine->local) {
        engine->snapshot_segment = 0;
        sp_log_local_segments(log, note_snapshot_segment, engine);
    }
    uint64_t last = engine->progress.durable_position;
    if (engine->core.position > last) {
        return sp_error_set(error, SP_CORRUPT,
                            "a snapshot covers %llu events, but the log ends at %llu: acknowledged "
                            "events are missing",
                            (unsigned long long)engine->core.position, (unsigned long long)last);
    }
    return SP_OK;
}
