/*
 * Reading entries of a key in order: the index names candidates, the log has the events, the view
 * says which of them clients see.
 */
#include "base/hash.h"
#include "engine/bus_int.h"
#include "match/pattern.h"

enum { SCAN_TYPES_EVENTS = 8192 /* ranges this short are scanned for a pattern with wildcards */ };

bool bus_key_has(const struct sp_key *key, const struct sp_event *event) {
    switch (key->kind) {
    case SP_KEY_STREAM:
        return sp_str_eq(key->name, event->attr[SP_ATTR_STREAM]);
    case SP_KEY_ALL:
        return true;
    case SP_KEY_TYPE:
        return sp_pattern_match(key->name, event->attr[SP_ATTR_TYPE]);
    case SP_KEY_SOURCE:
        return sp_str_eq(key->name, event->attr[SP_ATTR_SOURCE]);
    case SP_KEY_CORRELATION:
        return sp_str_eq(key->name, event->attr[SP_ATTR_CORRELATION]);
    }
    sp_never();
}

/* ---- fetchers ---- */

sp_status bus_fetcher(struct sp_bus *bus, uint64_t hash, struct sp_cursor **ret_fetch,
                      struct sp_error *error) {
    struct sp_cursor **slot = &bus->fetchers[hash % BUS_FETCHERS];
    if (*slot == NULL) {
        sp_status status = cursor_new(bus->engine, slot, error);
        if (status != SP_OK) {
            return status;
        }
    }
    *ret_fetch = *slot;
    return SP_OK;
}

sp_status bus_fetch(struct sp_bus *bus, uint64_t position, const struct sp_event **ret_event,
                    struct sp_error *error) {
    struct sp_cursor *fetch;
    sp_status status = bus_fetcher(bus, position / 1024, &fetch, error);
    if (status == SP_OK) {
        fetch->reverse = false;
        status = cursor_fetch(fetch, position, error);
        *ret_event = &fetch->event;
    }
    return status;
}

/* ---- walks ---- */

/* The index's name for the key; false where it has none. */
static bool index_name(const struct sp_key *key, enum sp_index_kind *ret_kind) {
    switch (key->kind) {
    case SP_KEY_STREAM:
        *ret_kind = SP_INDEX_STREAM;
        return true;
    case SP_KEY_SOURCE:
        *ret_kind = SP_INDEX_SOURCE;
        return true;
    case SP_KEY_CORRELATION:
        *ret_kind = SP_INDEX_CORRELATION;
        return true;
    case SP_KEY_TYPE:
        *ret_kind = SP_INDEX_TYPE;
        return sp_pattern_is_exact(key->name);
    case SP_KEY_ALL:
        return false;
    }
    sp_never();
}

struct matching {
    sp_str pattern;
    struct sp_buf hashes;
};

static bool take_type(void *context, sp_str type) {
    struct matching *matching = context;
    if (sp_pattern_match(matching->pattern, type)) {
        uint64_t hash = sp_index_hash(SP_INDEX_TYPE, type);
        sp_buf_add(&matching->hashes, &hash, sizeof(hash));
    }
    return true;
}

/* All types that match, merged; where that cannot be, every event is looked at. */
static sp_status begin_types(struct bus_walk *walk) {
    struct sp_index *index = walk->bus->engine->index;
    struct matching matching = {.pattern = walk->key.name};
    walk->how = WALK_EVERY;
    if (walk->until - walk->from < SCAN_TYPES_EVENTS) {
        return SP_OK;
    }
    sp_buf_init(&matching.hashes, (size_t)SP_INDEX_TYPES_MAX * sizeof(uint64_t));
    sp_status status = sp_index_each_type(index, take_type, &matching);
    if (status == SP_OK && matching.hashes.status == SP_OK) {
        status = sp_index_merge_init(&walk->merge, index, SP_INDEX_TYPE,
                                     (const uint64_t *)(const void *)matching.hashes.data,
                                     matching.hashes.len / sizeof(uint64_t), walk->from,
                                     walk->until + 1, walk->reverse);
        walk->how = status == SP_OK ? WALK_TYPES : WALK_EVERY;
    }
    sp_buf_fini(&matching.hashes);
    return status == SP_NO_MEMORY ? status : SP_OK;
}

static sp_status begin(struct bus_walk *walk) {
    enum sp_index_kind kind;
    walk->begun = true;
    if (index_name(&walk->key, &kind)) {
        walk->how = WALK_KEY;
        sp_index_scan_init(&walk->scan, walk->bus->engine->index, kind,
                           sp_index_hash(kind, walk->key.name), walk->from, walk->until + 1,
                           walk->reverse);
        return SP_OK;
    }
    if (walk->key.kind == SP_KEY_TYPE) {
        return begin_types(walk);
    }
    walk->how = WALK_EVERY;
    return SP_OK;
}

sp_status bus_walk_init(struct bus_walk *walk, struct sp_bus *bus, const struct sp_key *key,
                        uint64_t from, uint64_t until, bool reverse, struct sp_error *error) {
    uint64_t first;
    uint64_t last;
    struct sp_log *log = bus->engine->log;
    log->ops->bounds(log, &first, &last);
    first = first == 0 ? 1 : first;
    walk->bus = bus;
    walk->key = *key;
    walk->from = from > first ? from : first;
    walk->until = until < last ? until : last;
    walk->reverse = reverse;
    walk->begun = false;
    walk->stream = UINT32_MAX;
    walk->own_ids = false;
    walk->viewed = false;
    uint64_t hash = sp_stream_hash(key->name);
    if (key->kind == SP_KEY_STREAM) {
        walk->stream = sp_streams_find(&bus->core->streams, hash, key->name);
        if (walk->stream == UINT32_MAX) {
            walk->until = 0;
        } else if (bus->core->views.count > 0) {
            struct sp_view_facts facts = sp_view_at(&bus->core->views, walk->stream);
            walk->own_ids = facts.own_ids;
            walk->viewed = facts.length != facts.last;
        }
    }
    return bus_fetcher(bus, hash, &walk->fetch, error);
}

void bus_walk_fini(struct bus_walk *walk) {
    if (walk->begun && walk->how == WALK_TYPES) {
        sp_index_merge_fini(&walk->merge);
    }
    walk->begun = false;
}

struct sp_entry_id bus_walk_id(const struct bus_walk *walk, const struct sp_event *event) {
    return walk->own_ids ? sp_event_entry_id(event)
                         : sp_entry_id_of_log(event->recorded_us, event->entry_seq);
}

/* Everything up to the position (in reverse: down to it) has been looked at. */
static void pass(struct bus_walk *walk, uint64_t position) {
    if (walk->reverse) {
        walk->until = position - 1;
    } else {
        walk->from = position + 1;
    }
}

sp_status bus_walk_position(struct bus_walk *walk, uint64_t *ret_position) {
    if (walk->from > walk->until || walk->until == 0) {
        return SP_END;
    }
    sp_status status = walk->begun ? SP_OK : begin(walk);
    if (status != SP_OK) {
        return status;
    }
    uint64_t position = walk->reverse ? walk->until : walk->from;
    if (walk->how != WALK_EVERY) {
        status = walk->how == WALK_KEY ? sp_index_scan_next(&walk->scan, &position)
                                       : sp_index_merge_next(&walk->merge, &position);
        if (status == SP_CORRUPT || status == SP_IO) { /* costs time, not answers */
            bus_walk_fini(walk);
            walk->begun = true;
            walk->how = WALK_EVERY;
            position = walk->reverse ? walk->until : walk->from;
            status = SP_OK;
        }
    }
    if (status == SP_OK) {
        pass(walk, position);
        *ret_position = position;
    }
    return status;
}

/* What was to be read was dropped meanwhile: goes on with what is kept. */
static void pass_dropped(struct bus_walk *walk) {
    uint64_t first;
    uint64_t last;
    struct sp_log *log = walk->bus->engine->log;
    log->ops->bounds(log, &first, &last);
    if (walk->reverse || first == 0) {
        walk->until = 0;
    } else if (walk->from < first) {
        walk->from = first;
        if (walk->how == WALK_KEY) {
            sp_index_scan_seek(&walk->scan, first);
        } else if (walk->how == WALK_TYPES) {
            sp_index_merge_seek(&walk->merge, first);
        }
    }
}

static bool shows(const struct bus_walk *walk, const struct sp_event *event) {
    return bus_key_has(&walk->key, event) &&
           (!walk->viewed || sp_view_shows(&walk->bus->core->views, walk->stream, event->version));
}

sp_status bus_walk_next(struct bus_walk *walk, const struct sp_event **ret_event,
                        struct sp_error *error) {
    for (;;) {
        uint64_t position;
        sp_status status = bus_walk_position(walk, &position);
        if (status != SP_OK) {
            return status == SP_END ? status
                                    : sp_error_set(error, status, "%s", sp_status_text(status));
        }
        walk->fetch->reverse = walk->reverse;
        status = cursor_fetch(walk->fetch, position, error);
        if (status == SP_NOT_FOUND) {
            pass_dropped(walk);
            continue;
        }
        if (status != SP_OK) {
            return status;
        }
        if (shows(walk, &walk->fetch->event)) {
            *ret_event = &walk->fetch->event;
            return SP_OK;
        }
    }
}

/* ---- ranges ---- */

/* The positions in which the range's ids lie, or a little more. */
static sp_status locate_ids(struct sp_bus *bus, const struct sp_bus_range *range,
                            const struct sp_view_facts *facts, uint64_t *ret_from,
                            uint64_t *ret_until, struct sp_error *error) {
    const struct sp_key *key = range->key;
    sp_status status = SP_OK;
    *ret_from = 1;
    *ret_until = UINT64_MAX - 1;
    if (key->kind == SP_KEY_STREAM && facts->own_ids) {
        uint32_t stream =
            sp_streams_find(&bus->core->streams, sp_stream_hash(key->name), key->name);
        uint64_t ignored;
        sp_view_locate(&bus->core->views, stream, range->from, ret_from, &ignored);
        if (range->reverse && sp_entry_id_compare(range->until, SP_ENTRY_ID_MAX) < 0) {
            sp_view_locate(&bus->core->views, stream, sp_entry_id_next(range->until), &ignored,
                           ret_until);
        }
        return SP_OK;
    }
    if (!sp_entry_id_is_none(range->from)) {
        status = bus_seek_id(bus, key, range->from, ret_from, error);
    }
    if (status == SP_OK && range->reverse &&
        sp_entry_id_compare(range->until, SP_ENTRY_ID_MAX) < 0) {
        status = bus_seek_id(bus, key, sp_entry_id_next(range->until), ret_until, error);
        *ret_until -= status == SP_OK ? 1 : 0;
    }
    return status;
}

/* Likewise; of a trimmed stream nothing of what was trimmed off its begin is looked at. */
static sp_status locate(struct sp_bus *bus, const struct sp_bus_range *range,
                        const struct sp_view_facts *facts, uint64_t *ret_from, uint64_t *ret_until,
                        struct sp_error *error) {
    uint64_t first = 0;
    sp_status status = locate_ids(bus, range, facts, ret_from, ret_until, error);
    if (status == SP_OK && range->key->kind == SP_KEY_STREAM && facts->first > 1) {
        status = bus_seek_version(bus, range->key, facts->first, &first, error);
        *ret_from = *ret_from > first ? *ret_from : first;
    }
    return status;
}

/* Gives the entries of the walk that are in the range. */
static sp_status give(struct bus_walk *walk, const struct sp_bus_range *range,
                      sp_bus_entry_fn *each, void *context, struct sp_error *error) {
    uint64_t left = range->count == 0 ? UINT64_MAX : range->count;
    struct sp_entry_id last = SP_ENTRY_ID_NONE;
    uint64_t position = 0;
    sp_status status = SP_OK;
    while (left > 0) {
        const struct sp_event *event;
        status = bus_walk_next(walk, &event, error);
        if (status != SP_OK) {
            break;
        }
        struct sp_entry_id id = bus_walk_id(walk, event);
        bool below = sp_entry_id_compare(id, range->from) < 0;
        bool above = sp_entry_id_compare(id, range->until) > 0;
        if (range->reverse ? below : above) {
            break;
        }
        if (below || above) {
            continue;
        }
        last = sp_entry_id_of_log(event->recorded_us, event->entry_seq);
        position = event->position;
        left--;
        if (!each(context, event, id)) {
            break;
        }
    }
    if (position != 0 && !range->reverse) {
        bus_hint(walk->bus, last, position);
    }
    return status == SP_END ? SP_OK : status;
}

sp_status sp_bus_read(struct sp_bus *bus, const struct sp_bus_range *range, sp_bus_entry_fn *each,
                      void *context, struct sp_error *error) {
    struct sp_view_facts facts = {.exists = true};
    if (range->key->kind == SP_KEY_STREAM) {
        facts = bus_facts(bus, range->key);
    }
    if (!facts.exists || sp_entry_id_compare(range->from, range->until) > 0) {
        return SP_OK;
    }
    uint64_t from;
    uint64_t until;
    struct bus_walk walk;
    sp_status status = locate(bus, range, &facts, &from, &until, error);
    if (status != SP_OK || from > until) {
        return status;
    }
    status = bus_walk_init(&walk, bus, range->key, from, until, range->reverse, error);
    if (status == SP_OK) {
        status = give(&walk, range, each, context, error);
        bus_walk_fini(&walk);
    }
    return status;
}
