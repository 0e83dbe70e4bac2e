/*
 * Adding: XADD's ids, NOMKSTREAM and trimming along; any append.
 */
#include <stdlib.h>

#include "engine/bus_int.h"

/* ---- trimming, as part of an add or alone ---- */

static struct sp_view_trim how_to_trim(const struct sp_bus_trim *trim) {
    struct sp_view_trim how = {.node = trim->approximate ? SP_VIEW_NODE_ENTRIES : 0,
                               .limit = trim->limit};
    if (!trim->approximate) {
        how.limit = 0;
    } else if (trim->limit == UINT64_MAX) {
        how.limit = (uint64_t)100 * SP_VIEW_NODE_ENTRIES;
    }
    return how;
}

sp_status bus_decide_trim(struct sp_bus *bus, const struct sp_key *key,
                          const struct sp_bus_trim *trim, uint64_t *ret_count,
                          struct sp_error *error) {
    const struct sp_view_trim how = how_to_trim(trim);
    uint64_t version = 0;
    uint64_t position = 0;
    *ret_count = 0;
    switch (trim->kind) {
    case SP_TRIM_NONE:
        break;
    case SP_TRIM_LENGTH:
        *ret_count =
            sp_view_trim_to_length(&bus->core->views, key->name, trim->length, &how, &bus->ops);
        break;
    case SP_TRIM_ID: {
        sp_status status = bus_first_from(bus, key, trim->id, &version, &position, error);
        if (status != SP_OK) {
            return status;
        }
        if (version == 0) { /* nothing reaches the id: all of it goes */
            version = sp_view_get(&bus->core->views, key->name).last + 1;
        }
        *ret_count = sp_view_trim_below(&bus->core->views, key->name, version, &how, &bus->ops);
        break;
    }
    }
    return SP_OK;
}

/* ---- the barrier ---- */

void sp_bus_bar(struct sp_bus *bus, bool down) {
    bus->barred = down;
    engine_flows_bar(bus->engine, down);
}

sp_status bus_check_barrier(const struct sp_bus *bus, struct sp_error *error) {
    return bus->barred ? sp_error_set(error, SP_BUSY, "a command is being decided") : SP_OK;
}

/* ---- XADD ---- */

/* What must hold of the key before anything is added. */
static sp_status check_key(struct sp_bus *bus, const struct sp_bus_add *add,
                           struct sp_error *error) {
    sp_status status = bus_check_barrier(bus, error);
    status = status == SP_OK ? bus_check_stream(add->key, error) : status;
    status = status == SP_OK ? bus_settle_key(bus, add->key, error) : status;
    if (status == SP_OK && add->only_existing && !bus_facts(bus, add->key).exists) {
        return sp_error_set(error, SP_NOT_FOUND, "no such key");
    }
    return status;
}

static struct sp_engine_id wish_of(const struct sp_bus_add *add) {
    static const enum sp_id_wish wishes[] = {[SP_ID_AUTO] = SP_ID_WISH_NONE,
                                             [SP_ID_MS] = SP_ID_WISH_MS,
                                             [SP_ID_GIVEN] = SP_ID_WISH_GIVEN};
    return (struct sp_engine_id){.wish = wishes[add->id_kind], .id = add->id};
}

/* The table of streams keeps names in their place. */
static sp_str first_stream(const struct sp_bus *bus, const struct sp_engine_result *result) {
    const struct sp_streams *streams = &sp_engine_core(bus->engine)->streams;
    return result->known_stream == 0
               ? (sp_str){.ptr = NULL}
               : sp_stream_name(sp_stream_at(streams, result->known_stream - 1));
}

static struct sp_bus_added added_of(const struct sp_bus *bus,
                                    const struct sp_engine_result *result) {
    bool own = !sp_entry_id_is_none(result->own_id);
    struct sp_bus_added added = {
        .id = own ? result->own_id : sp_entry_id_of_log(result->recorded_us, result->entry_seq),
        .recorded_us = result->recorded_us,
        .position = result->position,
        .version = result->version,
        .first_stream = first_stream(bus, result),
        .delayed_us = result->delayed_us,
        .duplicate = result->duplicate,
        .id_made = result->id_made,
    };
    memcpy(added.made_id, result->id, sizeof(added.made_id));
    return added;
}

sp_status sp_bus_add(struct sp_bus *bus, const struct sp_bus_add *add,
                     struct sp_bus_added *ret_added, struct sp_error *error) {
    sp_status status = check_key(bus, add, error);
    if (status != SP_OK) {
        return status;
    }
    bool trims = add->trim.kind != SP_TRIM_NONE;
    const struct sp_engine_id wish = wish_of(add);
    struct sp_engine_result result;
    const struct sp_engine_append append = {
        .events = add->event,
        .count = 1,
        .origin = add->origin,
        .ids = wish.wish != SP_ID_WISH_NONE ? &wish : NULL,
        .results = &result,
        .room_bytes = trims ? BUS_OP_BYTES + add->key->name.len : 0,
    };
    add->event->attr[SP_ATTR_STREAM] = add->key->name;
    status = sp_engine_submit(bus->engine, &append, error);
    if (status == SP_OK && trims && !result.duplicate) {
        uint64_t count;
        sp_buf_reset(&bus->ops);
        status = bus_decide_trim(bus, add->key, &add->trim, &count, error);
        /* The entry is there: what cannot be found now is trimmed with the next one. */
        status = status == SP_OK ? bus_take_ops(bus, SP_OPS_ORDERED, error) : SP_OK;
    }
    if (status == SP_OK) {
        *ret_added = added_of(bus, &result);
    }
    return status;
}

/* ---- any append ---- */

/*
 * The stream an event goes to, renames resolved: it may be written and nothing of it is due. What
 * the store itself wrote elsewhere is taken from an import.
 */
static sp_status settle_stream(struct sp_bus *bus, struct sp_event *event, bool imports,
                               struct sp_error *error) {
    sp_str text =
        event->attr[sp_event_has(event, SP_ATTR_STREAM) ? SP_ATTR_STREAM : SP_ATTR_SOURCE];
    if (imports && event->is_history && sp_stream_is_own(text)) {
        return SP_OK;
    }
    struct sp_key key = {
        .kind = SP_KEY_STREAM, .text = text, .name = sp_view_resolve(&bus->core->views, text)};
    sp_status status = bus_check_stream(&key, error);
    status = status == SP_OK ? bus_settle_key(bus, &key, error) : status;
    event->attr[SP_ATTR_STREAM] = key.name;
    return status;
}

sp_status sp_bus_append(struct sp_bus *bus, struct sp_event *event, uint64_t expected_version,
                        struct sp_bus_added *ret_added, struct sp_error *error) {
    sp_status status = bus_check_barrier(bus, error);
    status = status == SP_OK ? settle_stream(bus, event, false, error) : status;
    if (status != SP_OK) {
        return status;
    }
    const struct sp_engine_expect expect = {.stream = event->attr[SP_ATTR_STREAM],
                                            .version = expected_version};
    bool expects = expected_version != (uint64_t)SP_CORE_ANY_VERSION;
    struct sp_engine_result result;
    const struct sp_engine_append append = {
        .events = event,
        .count = 1,
        .origin = SP_EVENT_FROM_FIELDS,
        .expects = expects ? &expect : NULL,
        .expect_count = expects ? 1 : 0,
        .results = &result,
    };
    status = sp_engine_submit(bus->engine, &append, error);
    if (status == SP_OK) {
        *ret_added = added_of(bus, &result);
    }
    return status;
}

/* Of the events the first `own` go to streams of the store's own, whatever their streams are. */
static sp_status append_many(struct sp_bus *bus, struct sp_event *events, uint32_t count,
                             uint32_t own, bool imports, enum sp_event_origin origin,
                             const struct sp_engine_expect *expects, uint32_t expect_count,
                             struct sp_bus_added *ret_added, struct sp_error *error) {
    sp_status status = bus_check_barrier(bus, error);
    status = status == SP_OK ? sp_engine_check_count(bus->engine, count, error) : status;
    for (uint32_t i = own; i < count && status == SP_OK; i++) {
        status = settle_stream(bus, &events[i], imports, error);
    }
    struct sp_engine_result *results = status == SP_OK ? malloc(count * sizeof(*results)) : NULL;
    if (status == SP_OK && results == NULL) {
        status = sp_error_set(error, SP_NO_MEMORY, "append");
    }
    if (status == SP_OK) {
        const struct sp_engine_append append = {
            .events = events,
            .count = count,
            .origin = origin,
            .expects = expects,
            .expect_count = expect_count,
            .results = results,
        };
        status = sp_engine_submit(bus->engine, &append, error);
    }
    for (uint32_t i = 0; i < count && status == SP_OK; i++) {
        ret_added[i] = added_of(bus, &results[i]);
    }
    free(results);
    return status;
}

sp_status sp_bus_import(struct sp_bus *bus, struct sp_event *events, uint32_t count,
                        enum sp_event_origin origin, struct sp_bus_added *ret_added,
                        struct sp_error *error) {
    return append_many(bus, events, count, 0, true, origin, NULL, 0, ret_added, error);
}

sp_status sp_bus_append_all(struct sp_bus *bus, struct sp_event *events, uint32_t count,
                            enum sp_event_origin origin, const struct sp_engine_expect *expects,
                            uint32_t expect_count, struct sp_bus_added *ret_added,
                            struct sp_error *error) {
    return sp_bus_append_decided(bus, events, count, 0, origin, expects, expect_count, ret_added,
                                 error);
}

sp_status sp_bus_append_decided(struct sp_bus *bus, struct sp_event *events, uint32_t count,
                                uint32_t own, enum sp_event_origin origin,
                                const struct sp_engine_expect *expects, uint32_t expect_count,
                                struct sp_bus_added *ret_added, struct sp_error *error) {
    return append_many(bus, events, count, own, false, origin, expects, expect_count, ret_added,
                       error);
}
