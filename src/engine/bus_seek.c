/*
 * From ids and versions to positions. Entry ids of the log rise with positions: a few reads in the
 * span that the index names find one, and who reads on from where he was finds a hint.
 */
#include "base/hash.h"
#include "engine/bus_int.h"
#include "index/tail.h"

enum { NEAR_VERSIONS = 256 /* so many entries are walked rather than searched */ };

/* ---- hints ---- */

static struct bus_hint *hint_slot(const struct sp_bus *bus, struct sp_entry_id id) {
    uint64_t mixed = (id.ms * 0x9e3779b97f4a7c15u) ^ (id.seq * 0xbf58476d1ce4e5b9u);
    return &bus->hints[(mixed >> 32) % BUS_HINTS];
}

void bus_hint(struct sp_bus *bus, struct sp_entry_id id, uint64_t position) {
    *hint_slot(bus, id) = (struct bus_hint){.id = id, .position = position};
}

/* The position of the first event at or above the id, where somebody was there; 0: unknown. */
static uint64_t hinted(const struct sp_bus *bus, struct sp_entry_id id) {
    const struct bus_hint *hint = hint_slot(bus, id);
    if (hint->position != 0 && sp_entry_id_compare(hint->id, id) == 0) {
        return hint->position;
    }
    if (id.seq > 0) { /* directly behind the last one seen */
        struct sp_entry_id before = {.ms = id.ms, .seq = id.seq - 1};
        hint = hint_slot(bus, before);
        if (hint->position != 0 && sp_entry_id_compare(hint->id, before) == 0) {
            return hint->position + 1;
        }
    }
    return 0;
}

/* ---- ids of the log ---- */

/*
 * Whether a stream with ids of the log ends before the id: what a client asks that waits for more.
 */
static bool ends_before(struct sp_bus *bus, const struct sp_key *key, struct sp_entry_id id) {
    if (key->kind != SP_KEY_STREAM) {
        return false;
    }
    const struct sp_view_facts facts = sp_view_get(&bus->core->views, key->name);
    const struct sp_event *event;
    return !facts.own_ids && facts.last_position != 0 &&
           facts.last_position <= bus->engine->progress.durable_position &&
           bus_fetch(bus, facts.last_position, &event, NULL) == SP_OK &&
           sp_entry_id_compare(id, sp_entry_id_of_log(event->recorded_us, event->entry_seq)) > 0;
}

/* The span in which the first event at or above the id is, or directly behind. */
static void span_of(struct sp_bus *bus, struct sp_entry_id id, uint64_t *ret_low,
                    uint64_t *ret_high) {
    struct sp_engine *engine = bus->engine;
    uint64_t first;
    uint64_t last;
    engine->log->ops->bounds(engine->log, &first, &last);
    uint64_t low = sp_index_position_at_time(engine->index, id.ms * 1000);
    uint64_t high = sp_index_position_at_time(engine->index, (id.ms + 1) * 1000);
    high += SP_TAIL_TIME_EVENTS;
    *ret_low = low > first ? low : first;
    *ret_high = high < last ? high : last;
}

sp_status bus_seek_id(struct sp_bus *bus, const struct sp_key *key, struct sp_entry_id id,
                      uint64_t *ret_position, struct sp_error *error) {
    struct sp_engine *engine = bus->engine;
    uint64_t durable = engine->progress.durable_position;
    uint64_t known = hinted(bus, id);
    if (known != 0 && known <= durable + 1) {
        *ret_position = known;
        return SP_OK;
    }
    struct sp_entry_id newest = sp_entry_id_of_log(bus->core->recorded_us, bus->core->entry_seq);
    if (sp_entry_id_compare(id, newest) > 0 || ends_before(bus, key, id)) {
        *ret_position = durable + 1;
        return SP_OK;
    }
    uint64_t low;
    uint64_t high;
    span_of(bus, id, &low, &high);
    while (low <= high && high != 0) {
        uint64_t middle = low + (high - low) / 2;
        const struct sp_event *event;
        sp_status status = bus_fetch(bus, middle, &event, error);
        if (status == SP_CORRUPT || status == SP_NOT_FOUND) {
            break; /* from here on is right as well, only more */
        }
        if (status != SP_OK) {
            return status;
        }
        if (sp_entry_id_compare(sp_entry_id_of_log(event->recorded_us, event->entry_seq), id) < 0) {
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    *ret_position = low;
    return SP_OK;
}

sp_status bus_last_id(struct sp_bus *bus, const struct sp_view_facts *facts,
                      struct sp_entry_id *ret_id, struct sp_error *error) {
    if (facts->last_id_known || facts->last_position == 0) {
        *ret_id = facts->last_id;
        return SP_OK;
    }
    struct sp_record record;
    sp_status status = engine_record(bus->engine, facts->last_position, &record, error);
    if (status == SP_NOT_FOUND) { /* dropped with the segment it was in */
        *ret_id = SP_ENTRY_ID_NONE;
        return SP_OK;
    }
    if (status == SP_OK) {
        *ret_id = sp_entry_id_of_log(record.recorded_us, record.entry_seq);
    }
    return status;
}

/* ---- versions ---- */

/* The version of the key's first entry at or behind a position, and where it is. SP_END: none. */
static sp_status version_at(struct sp_bus *bus, const struct sp_key *key, uint64_t from,
                            uint64_t *ret_version, uint64_t *ret_position, struct sp_error *error) {
    struct bus_walk walk;
    const struct sp_event *event;
    sp_status status = bus_walk_init(&walk, bus, key, from, UINT64_MAX - 1, false, error);
    walk.viewed = false;
    status = status == SP_OK ? bus_walk_next(&walk, &event, error) : status;
    if (status == SP_OK) {
        *ret_version = event->version;
        *ret_position = event->position;
    }
    bus_walk_fini(&walk);
    return status;
}

static struct bus_version_hint *version_slot(const struct sp_bus *bus, uint32_t stream) {
    return &bus->versions[stream % BUS_HINTS];
}

sp_status bus_seek_version(struct sp_bus *bus, const struct sp_key *key, uint64_t version,
                           uint64_t *ret_position, struct sp_error *error) {
    uint64_t low;
    uint64_t high;
    uint32_t stream = sp_streams_find(&bus->core->streams, sp_stream_hash(key->name), key->name);
    sp_require(stream != UINT32_MAX);
    struct bus_version_hint *hint = version_slot(bus, stream);
    bus->engine->log->ops->bounds(bus->engine->log, &low, &high);
    if (hint->stream == stream + 1 && hint->version <= version) {
        low = hint->position > low ? hint->position : low;
        if (version - hint->version <= NEAR_VERSIONS) {
            *ret_position = low;
            return SP_OK;
        }
    }
    uint64_t found_version = 0;
    uint64_t found = 0;
    while (low < high) { /* the entry is at or behind low, and at or before high or not there */
        uint64_t middle = low + (high - low) / 2;
        uint64_t here = 0;
        uint64_t position = 0;
        sp_status status = version_at(bus, key, middle, &here, &position, error);
        if (status == SP_CORRUPT) {
            break;
        }
        if (status != SP_OK && status != SP_END) {
            return status;
        }
        if (status == SP_END || here >= version) {
            high = middle;
        } else {
            low = position + 1;
        }
        found = status == SP_OK && here >= version ? position : found;
        found_version = status == SP_OK && here >= version ? here : found_version;
    }
    if (found != 0 && found >= low) {
        *hint = (struct bus_version_hint){
            .stream = stream + 1, .version = found_version, .position = found};
    }
    *ret_position = low;
    return SP_OK;
}

/* ---- entries by id, durable or not ---- */

struct found {
    uint64_t version;
    uint64_t position;
    struct sp_entry_id id;
};

/* Among those that are on their way to the disk. */
static sp_status find_under_way(struct sp_bus *bus, const struct sp_key *key, struct sp_entry_id id,
                                const struct sp_view_facts *facts, struct found *found,
                                struct sp_error *error) {
    struct sp_engine *engine = bus->engine;
    for (uint64_t position = engine->progress.durable_position + 1; position <= bus->core->position;
         position++) {
        char scratch[SP_RECORD_SCRATCH_BYTES];
        struct sp_record record;
        struct sp_event event;
        sp_status status = engine_record(engine, position, &record, error);
        status = status == SP_OK ? sp_record_decode(&record, scratch, &event) : status;
        if (status != SP_OK) {
            return status;
        }
        struct sp_entry_id here = facts->own_ids
                                      ? sp_event_entry_id(&event)
                                      : sp_entry_id_of_log(event.recorded_us, event.entry_seq);
        bool of_this_life = bus_key_has(key, &event) && event.version > facts->base;
        if (of_this_life && sp_entry_id_compare(here, id) >= 0) {
            *found = (struct found){.version = event.version, .position = position, .id = here};
            return SP_OK;
        }
    }
    return SP_END;
}

/* Moves a place to where the key began anew, where it is before that: a walk there may be long. */
static sp_status behind_earlier_lives(struct sp_bus *bus, const struct sp_key *key, uint64_t base,
                                      uint64_t *from, struct sp_error *error) {
    uint64_t begin = 0;
    sp_status status = bus_seek_version(bus, key, base + 1, &begin, error);
    *from = status == SP_OK && begin > *from ? begin : *from;
    return status;
}

/* The first entry of the key's life was found: the next search begins there, without a walk. */
static void note_begin(struct sp_bus *bus, const struct sp_key *key, const struct found *found) {
    uint32_t stream = sp_streams_find(&bus->core->streams, sp_stream_hash(key->name), key->name);
    *version_slot(bus, stream) = (struct bus_version_hint){
        .stream = stream + 1, .version = found->version, .position = found->position};
}

static sp_status find_first(struct sp_bus *bus, const struct sp_key *key, struct sp_entry_id id,
                            struct found *found, struct sp_error *error) {
    struct sp_view_facts facts = {.exists = true};
    uint64_t from = 1;
    uint64_t ignored;
    sp_status status = SP_OK;
    if (key->kind == SP_KEY_STREAM) {
        facts = sp_view_get(&bus->core->views, key->name);
    }
    if (facts.own_ids) {
        uint32_t stream =
            sp_streams_find(&bus->core->streams, sp_stream_hash(key->name), key->name);
        sp_view_locate(&bus->core->views, stream, id, &from, &ignored);
    } else {
        status = bus_seek_id(bus, key, id, &from, error);
    }
    if (status == SP_OK && facts.base > 0) {
        status = behind_earlier_lives(bus, key, facts.base, &from, error);
    }
    struct bus_walk walk;
    const struct sp_event *event;
    status = status == SP_OK ? bus_walk_init(&walk, bus, key, from, UINT64_MAX - 1, false, error)
                             : status;
    if (status != SP_OK) {
        return status;
    }
    walk.viewed = false;
    while ((status = bus_walk_next(&walk, &event, error)) == SP_OK) {
        struct sp_entry_id here = bus_walk_id(&walk, event);
        /* Entries of an earlier life of the key may have any ids. */
        if (event->version > facts.base && sp_entry_id_compare(here, id) >= 0) {
            *found =
                (struct found){.version = event->version, .position = event->position, .id = here};
            break;
        }
    }
    bus_walk_fini(&walk);
    if (status == SP_OK && facts.base > 0 && found->version == facts.base + 1) {
        note_begin(bus, key, found);
    }
    return status == SP_END ? find_under_way(bus, key, id, &facts, found, error) : status;
}

sp_status bus_first_from(struct sp_bus *bus, const struct sp_key *key, struct sp_entry_id id,
                         uint64_t *ret_version, uint64_t *ret_position, struct sp_error *error) {
    struct found found = {.version = 0};
    sp_status status = find_first(bus, key, id, &found, error);
    if (status == SP_OK || status == SP_END) {
        *ret_version = found.version;
        *ret_position = found.position;
        return SP_OK;
    }
    return status;
}

sp_status bus_find_id(struct sp_bus *bus, const struct sp_key *key, struct sp_entry_id id,
                      uint64_t *ret_version, uint64_t *ret_position, struct sp_error *error) {
    struct found found = {.version = 0};
    sp_status status = find_first(bus, key, id, &found, error);
    if (status != SP_OK && status != SP_END) {
        return status;
    }
    bool exact = status == SP_OK && sp_entry_id_compare(found.id, id) == 0;
    *ret_version = exact ? found.version : 0;
    *ret_position = exact ? found.position : 0;
    return SP_OK;
}
