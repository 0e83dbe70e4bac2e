/*
 * Trimming, deleting and what XINFO says: a view over the log changes, the log does not. Every such
 * change is told as an event in `$stream:<key>`.
 */
#include <stdlib.h>

#include "engine/bus_int.h"

/* ---- how many ---- */

/* The place where the entries of a virtual key are counted; the one used longest ago gives way. */
static struct bus_count *count_of(struct sp_bus *bus, sp_str key) {
    struct bus_count *oldest = &bus->counts[0];
    bus->calls++;
    for (size_t i = 0; i < BUS_COUNTS; i++) {
        struct bus_count *count = &bus->counts[i];
        if (count->key.ptr != NULL && sp_str_eq(count->key, key)) {
            count->used = bus->calls;
            return count;
        }
        oldest = count->used < oldest->used ? count : oldest;
    }
    char *copy = malloc(key.len + 1);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, key.ptr, key.len);
    free((char *)(uintptr_t)oldest->key.ptr);
    *oldest = (struct bus_count){.key = sp_str_of(copy, key.len), .until = 1, .used = bus->calls};
    return oldest;
}

/* Counts on from where it stood; what was dropped at the begin makes it count anew. */
static sp_status count_virtual(struct sp_bus *bus, const struct sp_key *key, uint64_t *ret_count,
                               struct sp_error *error) {
    uint64_t first;
    uint64_t last;
    bus->engine->log->ops->bounds(bus->engine->log, &first, &last);
    if (key->kind == SP_KEY_ALL || last == 0) {
        *ret_count = last == 0 ? 0 : last - first + 1;
        return SP_OK;
    }
    struct bus_count *count = count_of(bus, key->text);
    if (count == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "count");
    }
    if (count->first != first) {
        count->first = first;
        count->until = first;
        count->count = 0;
    }
    struct bus_walk walk;
    const struct sp_event *event;
    uint64_t position;
    sp_status status = bus_walk_init(&walk, bus, key, count->until, last, false, error);
    while (status == SP_OK) {
        /* The index knows of one key what there is; else the events are looked at. */
        bool of_index = walk.begun && walk.how == WALK_KEY;
        status =
            of_index ? bus_walk_position(&walk, &position) : bus_walk_next(&walk, &event, error);
        count->count += status == SP_OK ? 1 : 0;
        status = status == SP_CORRUPT ? SP_OK : status;
    }
    bus_walk_fini(&walk);
    if (status != SP_END) {
        count->first = 0;
        return status;
    }
    count->until = last + 1;
    *ret_count = count->count;
    return SP_OK;
}

sp_status sp_bus_length(struct sp_bus *bus, const struct sp_key *key, uint64_t *ret_length,
                        struct sp_error *error) {
    if (key->kind != SP_KEY_STREAM) {
        return count_virtual(bus, key, ret_length, error);
    }
    *ret_length = bus_facts(bus, key).length;
    return SP_OK;
}

static sp_status virtual_info(struct sp_bus *bus, const struct sp_key *key,
                              struct sp_bus_stream_info *info, struct sp_error *error) {
    sp_status status = count_virtual(bus, key, &info->length, error);
    struct bus_walk walk;
    const struct sp_event *event;
    if (status == SP_OK) {
        status = bus_walk_init(&walk, bus, key, 1, UINT64_MAX - 1, true, error);
        status = status == SP_OK ? bus_walk_next(&walk, &event, error) : status;
        if (status == SP_OK) {
            info->last_id = bus_walk_id(&walk, event);
        }
        bus_walk_fini(&walk);
    }
    info->entries_added = info->length;
    return status == SP_END ? SP_OK : status;
}

sp_status sp_bus_stream(struct sp_bus *bus, const struct sp_key *key,
                        struct sp_bus_stream_info *ret_info, struct sp_error *error) {
    struct sp_bus_stream_info info = {.length = 0};
    sp_status status = SP_OK;
    if (key->kind != SP_KEY_STREAM) {
        status = virtual_info(bus, key, &info, error);
    } else {
        struct sp_view_facts facts = bus_facts(bus, key);
        if (!facts.exists) {
            return sp_error_set(error, SP_NOT_FOUND, "no such key");
        }
        info.length = facts.length;
        info.entries_added = facts.entries_added;
        info.max_deleted = facts.max_deleted;
        info.expire_ms = facts.expire_ms;
        status = bus_last_id(bus, &facts, &info.last_id, error);
    }
    info.nodes = (info.length + SP_VIEW_NODE_ENTRIES - 1) / SP_VIEW_NODE_ENTRIES;
    info.group_count = bus_groups_of_key(bus, key->text);
    if (status == SP_OK) {
        *ret_info = info;
    }
    return status;
}

/* ---- hiding ---- */

/* The event and the ops that are in bus->ops, in one block. */
static sp_status tell_and_take(struct sp_bus *bus, const struct sp_key *key, const char *type,
                               sp_str data, struct sp_error *error) {
    struct bus_note note = {.type = type, .prefix = "$stream:", .key = key->text, .data = data};
    size_t bytes = bus_note_bytes(&note, data.len) + bus->ops.len + BUS_OP_BYTES;
    bool held;
    sp_status status = bus_hold(bus, bytes, 1, &held, error);
    if (status == SP_OK) {
        status = bus_tell(bus, &note, NULL, error);
        status = status == SP_OK ? bus_take_ops(bus, SP_OPS_ORDERED, error) : status;
        bus_release(bus, held);
    }
    return status;
}

sp_status sp_bus_trim(struct sp_bus *bus, const struct sp_key *key, const struct sp_bus_trim *trim,
                      uint64_t *ret_count, struct sp_error *error) {
    sp_status status = bus_check_stream(key, error);
    status = status == SP_OK ? bus_settle_key(bus, key, error) : status;
    uint64_t count = 0;
    sp_buf_reset(&bus->ops);
    if (status == SP_OK && bus_facts(bus, key).exists) {
        status = bus_decide_trim(bus, key, trim, &count, error);
    }
    if (status == SP_OK && bus->ops.len > 0) {
        sp_str data;
        bus_json_begin(bus);
        bus_json_text(bus, "key", key->text);
        bus_json_number(bus, "entries", count);
        if (trim->kind == SP_TRIM_ID) {
            bus_json_id(bus, "minid", trim->id);
        } else {
            bus_json_number(bus, "maxlen", trim->length);
        }
        status = bus_json_end(bus, &data, error);
        status = status == SP_OK ? tell_and_take(bus, key, "stream.trimmed", data, error) : status;
    }
    if (status == SP_OK) {
        *ret_count = count;
    }
    return status;
}

/* The versions of the entries, and the greatest id among those that are visible. */
static sp_status find_versions(struct sp_bus *bus, const struct sp_key *key,
                               const struct sp_entry_id *ids, size_t count, uint64_t *versions,
                               size_t *ret_found, struct sp_entry_id *ret_greatest,
                               struct sp_error *error) {
    uint32_t stream = sp_streams_find(&bus->core->streams, sp_stream_hash(key->name), key->name);
    sp_status status = SP_OK;
    size_t found = 0;
    *ret_greatest = SP_ENTRY_ID_NONE;
    for (size_t i = 0; i < count && status == SP_OK && stream != UINT32_MAX; i++) {
        uint64_t position;
        status = bus_find_id(bus, key, ids[i], &versions[found], &position, error);
        if (status == SP_OK && versions[found] != 0 &&
            sp_view_shows(&bus->core->views, stream, versions[found])) {
            bool greater = sp_entry_id_compare(ids[i], *ret_greatest) > 0;
            *ret_greatest = greater ? ids[i] : *ret_greatest;
            found++;
        }
    }
    *ret_found = found;
    return status;
}

/* As many ids as a person reads; the number says how many there were. */
enum { TOLD_IDS_MAX = 100 };

static sp_status tell_hidden(struct sp_bus *bus, const struct sp_key *key,
                             const struct sp_entry_id *ids, size_t count, uint64_t hidden,
                             struct sp_error *error) {
    sp_str data;
    bus_json_begin(bus);
    bus_json_text(bus, "key", key->text);
    bus_json_number(bus, "entries", hidden);
    sp_buf_add_str(&bus->json, SP_STR(",\"ids\":["));
    for (size_t i = 0; i < count && i < TOLD_IDS_MAX; i++) {
        char text[SP_ENTRY_ID_TEXT_SIZE];
        size_t len = sp_entry_id_format(ids[i], text);
        sp_buf_add_str(&bus->json, i > 0 ? SP_STR(",\"") : SP_STR("\""));
        sp_buf_add(&bus->json, text, len);
        sp_buf_add_byte(&bus->json, '"');
    }
    sp_buf_add_byte(&bus->json, ']');
    sp_status status = bus_json_end(bus, &data, error);
    return status == SP_OK ? tell_and_take(bus, key, "stream.entries_deleted", data, error)
                           : status;
}

sp_status sp_bus_hide(struct sp_bus *bus, const struct sp_key *key, const struct sp_entry_id *ids,
                      size_t count, uint64_t *ret_count, struct sp_error *error) {
    sp_status status = bus_check_stream(key, error);
    status = status == SP_OK ? bus_settle_key(bus, key, error) : status;
    uint64_t *versions = malloc((count + 1) * sizeof(*versions));
    if (status == SP_OK && versions == NULL) {
        status = sp_error_set(error, SP_NO_MEMORY, "%zu ids", count);
    }
    size_t found = 0;
    uint64_t hidden = 0;
    struct sp_entry_id greatest;
    if (status == SP_OK) {
        status = find_versions(bus, key, ids, count, versions, &found, &greatest, error);
    }
    if (status == SP_OK && found > 0) {
        sp_buf_reset(&bus->ops);
        hidden = sp_view_hide(&bus->core->views, key->name, versions, found, greatest, &bus->ops);
        status = bus->ops.len > 0 ? tell_hidden(bus, key, ids, count, hidden, error) : SP_OK;
    }
    free(versions);
    if (status == SP_OK) {
        *ret_count = hidden;
    }
    return status;
}

/* ---- XSETID ---- */

/* The id of the last entry that is on its way to the disk and not hidden. SP_END: there is none. */
static sp_status top_id_under_way(struct sp_bus *bus, const struct sp_key *key,
                                  struct sp_entry_id *ret_id, struct sp_error *error) {
    struct sp_engine *engine = bus->engine;
    uint32_t stream = sp_streams_find(&bus->core->streams, sp_stream_hash(key->name), key->name);
    for (uint64_t position = bus->core->position; position > engine->progress.durable_position;
         position--) {
        char scratch[SP_RECORD_SCRATCH_BYTES];
        struct sp_record record;
        struct sp_event event;
        sp_status status = engine_record(engine, position, &record, error);
        status = status == SP_OK ? sp_record_decode(&record, scratch, &event) : status;
        if (status != SP_OK) {
            return status;
        }
        if (bus_key_has(key, &event) && sp_view_shows(&bus->core->views, stream, event.version)) {
            bool own_ids = sp_view_at(&bus->core->views, stream).own_ids;
            *ret_id = own_ids ? sp_event_entry_id(&event)
                              : sp_entry_id_of_log(event.recorded_us, event.entry_seq);
            return SP_OK;
        }
    }
    return SP_END;
}

/* The id of the last entry that clients see, or will see in a moment. */
static sp_status top_id(struct sp_bus *bus, const struct sp_key *key, struct sp_entry_id *ret_id,
                        struct sp_error *error) {
    struct bus_walk walk;
    const struct sp_event *event;
    sp_status status = top_id_under_way(bus, key, ret_id, error);
    if (status != SP_END) {
        return status;
    }
    status = bus_walk_init(&walk, bus, key, 1, UINT64_MAX - 1, true, error);
    status = status == SP_OK ? bus_walk_next(&walk, &event, error) : status;
    if (status == SP_OK) {
        *ret_id = bus_walk_id(&walk, event);
    }
    bus_walk_fini(&walk);
    return status == SP_END ? SP_OK : status;
}

static sp_status check_set_id(struct sp_bus *bus, const struct sp_key *key,
                              const struct sp_view_facts *facts, struct sp_entry_id last,
                              const uint64_t *entries_added, const struct sp_entry_id *max_deleted,
                              struct sp_error *error) {
    if (max_deleted != NULL && sp_entry_id_compare(last, *max_deleted) < 0) {
        return sp_error_set(
            error, SP_INVALID,
            "The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
    }
    if (max_deleted == NULL && sp_entry_id_compare(last, facts->max_deleted) < 0) {
        return sp_error_set(
            error, SP_INVALID,
            "The ID specified in XSETID is smaller than current max_deleted_entry_id");
    }
    struct sp_entry_id top = SP_ENTRY_ID_NONE;
    sp_status status = facts->length > 0 ? top_id(bus, key, &top, error) : SP_OK;
    if (status == SP_OK && sp_entry_id_compare(last, top) < 0) {
        return sp_error_set(
            error, SP_INVALID,
            "The ID specified in XSETID is smaller than the target stream top item");
    }
    if (status == SP_OK && entries_added != NULL && *entries_added < facts->length) {
        return sp_error_set(
            error, SP_INVALID,
            "The entries_added specified in XSETID is smaller than the target stream "
            "length");
    }
    return status;
}

sp_status sp_bus_set_id(struct sp_bus *bus, const struct sp_key *key, struct sp_entry_id last,
                        const uint64_t *entries_added, const struct sp_entry_id *max_deleted,
                        struct sp_error *error) {
    sp_status status = bus_check_stream(key, error);
    status = status == SP_OK ? bus_settle_key(bus, key, error) : status;
    if (status != SP_OK) {
        return status;
    }
    struct sp_view_facts facts = bus_facts(bus, key);
    if (!facts.exists) {
        return sp_error_set(error, SP_NOT_FOUND, "no such key");
    }
    status = check_set_id(bus, key, &facts, last, entries_added, max_deleted, error);
    if (status == SP_OK) {
        sp_buf_reset(&bus->ops);
        sp_view_set(&bus->core->views, key->name, last, entries_added, max_deleted, &bus->ops);
        status = bus_take_ops(bus, SP_OPS_ORDERED, error);
    }
    return status;
}
