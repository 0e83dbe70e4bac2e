/* What producers, trimmers, deleters and renamers do with streams. */
#include <stdio.h>

#include "engine/engine_int.h"
#include "sim/world_bus_int.h"

enum { DATA_MAX = 3000, IDS_MAX = 8, LIMIT_BYTES = 24 << 10, FILL_MAX = 160 };

static struct bus_stream *stream_of(struct bus_system *sys, uint32_t key) {
    return bus_model_stream(&sys->model, sys->model.key_stream[key]);
}

static bool is_expired(const struct bus_system *sys, const struct bus_stream *stream) {
    return stream->expire_ms != 0 && stream->expire_ms <= bus_world_now_ms(sys);
}

bool bus_key_lives(struct bus_system *sys, uint32_t key) {
    const struct bus_stream *stream = bus_is_virtual(key) ? NULL : stream_of(sys, key);
    return stream == NULL || (stream->exists && !is_expired(sys, stream));
}

/* ---- adding ---- */

struct made {
    struct sp_event event;
    char id[BUS_ID_SIZE];
    char data[DATA_MAX + 64];
    int n;
};

static void make_event(struct bus_system *sys, struct made *made) {
    struct sim_world *world = sys->world;
    struct sp_event *event = &made->event;
    size_t fill =
        sim_pick(world, sys->large && sim_chance(world, sys->fills ? 95 : 30) ? DATA_MAX : 120);
    made->n = (int)sim_pick(world, 10);
    memset(event, 0, sizeof(*event));
    event->attr[SP_ATTR_TYPE] = sp_str_from(bus_types[sim_pick(world, BUS_TYPES)]);
    event->attr[SP_ATTR_SOURCE] = sp_str_from(bus_sources[sim_pick(world, BUS_SOURCES)]);
    if (sim_chance(world, 50)) {
        event->attr[SP_ATTR_CORRELATION] = sp_str_from(bus_runs[sim_pick(world, BUS_RUNS)]);
    }
    if (sim_chance(world, 30)) { /* some of them twice */
        uint64_t number = sim_chance(world, 60) ? sys->id_number++
                                                : sim_pick(world, (uint32_t)sys->id_number + 1);
        int len = snprintf(made->id, sizeof(made->id), "id-%llu", (unsigned long long)number);
        event->attr[SP_ATTR_ID] = sp_str_of(made->id, (size_t)len);
    }
    int len = snprintf(made->data, sizeof(made->data), "{\"n\":%d,\"fill\":\"", made->n);
    for (size_t i = 0; i < fill; i++) {
        made->data[len++] = (char)('a' + (int)(sp_prng_next(&world->prng) % 26));
    }
    made->data[len++] = '"';
    made->data[len++] = '}';
    event->data = sp_str_of(made->data, (size_t)len);
    event->has_data = true;
    event->data_is_json = true;
}

/* The event with this source and id, where it is kept; 0: nowhere. */
static uint64_t find_same(const struct bus_system *sys, const struct made *made) {
    if (made->event.attr[SP_ATTR_ID].ptr == NULL) {
        return 0;
    }
    for (uint64_t p = sys->log.first; p <= sys->model.position; p++) {
        const struct bus_event *event = &sys->log.events[p - 1];
        if (sp_str_eq(made->event.attr[SP_ATTR_ID], sp_str_from(event->id_text)) &&
            sp_str_eq(made->event.attr[SP_ATTR_SOURCE], sp_str_from(event->source))) {
            return p;
        }
    }
    return 0;
}

static void choose_id(struct bus_system *sys, const struct bus_stream *stream,
                      struct sp_bus_add *add) {
    struct sim_world *world = sys->world;
    uint64_t base = sim_chance(world, 50) ? bus_world_now_ms(sys) : stream->last_id.ms;
    uint32_t what = sim_pick(world, 100);
    if (what < 75) {
        return;
    }
    add->id_kind = what < 85 ? SP_ID_MS : SP_ID_GIVEN;
    add->id.ms = base + sim_pick(world, 5) - (base > 5 && sim_chance(world, 20) ? 5 : 0);
    add->id.seq = sim_pick(world, 4);
    if (sim_chance(world, 3)) {
        add->id = (struct sp_entry_id){.ms = 0, .seq = sim_pick(world, 2)};
    } else if (sim_chance(world, 1)) {
        add->id = SP_ENTRY_ID_MAX;
    }
}

static struct sp_bus_trim choose_trim(struct bus_system *sys, uint32_t key) {
    struct sim_world *world = sys->world;
    struct sp_bus_trim trim = {.kind = sim_chance(world, 60) ? SP_TRIM_LENGTH : SP_TRIM_ID,
                               .approximate = sim_chance(world, 30),
                               .length = sim_pick(world, 40),
                               .limit = UINT64_MAX};
    uint64_t at = bus_model_next_shown(&sys->model, &sys->log, sys->model.key_stream[key],
                                       1 + sim_pick(world, (uint32_t)sys->model.position + 1));
    trim.id = at != 0 ? sys->log.events[at - 1].id : stream_of(sys, key)->last_id;
    sim_note(world, "%s %s%llu-%llu %llu, last id %llu-%llu", bus_key_texts[key],
             trim.approximate ? "about " : "", (unsigned long long)trim.id.ms,
             (unsigned long long)trim.id.seq,
             (unsigned long long)(trim.kind == SP_TRIM_LENGTH ? trim.length : UINT64_MAX),
             (unsigned long long)stream_of(sys, key)->last_id.ms,
             (unsigned long long)stream_of(sys, key)->last_id.seq);
    trim.limit = sim_chance(world, 30) ? sim_pick(world, 300) : trim.limit;
    return trim;
}

/* How many entries an exact trim takes; by id, of those that the log still has. */
static uint64_t trimmed_by(struct bus_system *sys, uint32_t key, const struct sp_bus_trim *trim) {
    const struct bus_stream *stream = stream_of(sys, key);
    uint32_t name = sys->model.key_stream[key];
    uint64_t count = 0;
    if (trim->kind == SP_TRIM_LENGTH) {
        return stream->length > trim->length ? stream->length - trim->length : 0;
    }
    for (uint64_t p = sys->log.first;
         (p = bus_model_next_shown(&sys->model, &sys->log, name, p)) != 0; p++) {
        count += sp_entry_id_compare(sys->log.events[p - 1].id, trim->id) < 0 ? 1 : 0;
    }
    return count;
}

/* Takes the first entries away. */
static void trim_model(struct bus_system *sys, uint32_t key, uint64_t count) {
    uint32_t name = sys->model.key_stream[key];
    uint64_t p = 0;
    while (count-- > 0 && (p = bus_model_next_shown(&sys->model, &sys->log, name, p + 1)) != 0) {
        bus_model_hide(&sys->model, &sys->log, p);
    }
}

/* With `~` it is the bus's choice how many went, up to what an exact trim takes. */
static void trim_along(struct bus_system *sys, uint32_t key, const struct sp_bus_trim *trim) {
    const sp_str name = sp_str_from(sys->log.names[sys->model.key_stream[key]]);
    uint64_t left = sp_view_get(&sp_engine_core(sys->engine)->views, name).length;
    uint64_t before = stream_of(sys, key)->length;
    uint64_t most = trim->kind == SP_TRIM_NONE ? 0 : trimmed_by(sys, key, trim);
    uint64_t dropped = 0; /* from the log: their ids are not known any more */
    for (uint64_t p = 1; trim->kind == SP_TRIM_ID && p < sys->log.first; p++) {
        dropped +=
            sys->log.events[p - 1].stream == sys->model.key_stream[key] && sys->model.shown[p - 1];
    }
    bool exact = !trim->approximate && dropped == 0;
    most += dropped;
    if (left > before || before - left > most || (exact && before - left != most)) {
        sim_wrong(sys->world, "%s: %llu entries of %llu are left, %llu should go", sys->call.what,
                  (unsigned long long)left, (unsigned long long)before, (unsigned long long)most);
        return;
    }
    trim_model(sys, key, before - left);
}

/* What becomes of a wish for an id. */
static sp_status judge_id(const struct bus_stream *stream, const struct sp_bus_add *add,
                          struct sp_entry_id *ret_id) {
    struct sp_entry_id last = stream->last_id;
    struct sp_entry_id id = add->id;
    if (add->id_kind == SP_ID_AUTO) {
        return sp_entry_id_compare(last, SP_ENTRY_ID_MAX) == 0 ? SP_END : SP_OK;
    }
    if (add->id_kind == SP_ID_MS) {
        id.seq = id.ms == 0 ? 1 : 0;
        id.seq = id.ms == last.ms && last.seq != UINT64_MAX ? last.seq + 1 : id.seq;
    }
    *ret_id = id;
    if (sp_entry_id_is_none(id)) {
        return SP_INVALID;
    }
    if (sp_entry_id_compare(last, SP_ENTRY_ID_MAX) == 0) {
        return SP_END;
    }
    return sp_entry_id_compare(id, last) > 0 ? SP_OK : SP_CONFLICT;
}

static void check_added(struct bus_system *sys, const struct made *made,
                        const struct sp_bus_added *added, uint64_t same) {
    if (same != 0) {
        const struct bus_event *event = &sys->log.events[same - 1];
        if (!added->duplicate || added->position != same || added->version != event->version ||
            sp_entry_id_compare(added->id, event->id) != 0) {
            sim_wrong(sys->world, "%s: event %llu again was answered as event %llu, duplicate %d",
                      sys->call.what, (unsigned long long)same, (unsigned long long)added->position,
                      added->duplicate);
        }
        return;
    }
    const struct bus_event *event = &sys->log.events[sys->model.position - 1];
    if (added->duplicate || added->position != sys->model.position ||
        added->version != event->version || sp_entry_id_compare(added->id, event->id) != 0 ||
        event->n != made->n ||
        !sp_str_eq(made->event.attr[SP_ATTR_TYPE], sp_str_from(event->type))) {
        sim_wrong(sys->world, "%s: answered event %llu, the newest is %llu", sys->call.what,
                  (unsigned long long)added->position, (unsigned long long)sys->model.position);
    }
}

static void add_once(struct bus_system *sys, uint32_t key_number) {
    struct sim_world *world = sys->world;
    struct made made;
    struct sp_key key = bus_world_key(sys, key_number);
    const struct bus_stream *now = stream_of(sys, key_number);
    struct bus_stream stream = is_expired(sys, now) ? (struct bus_stream){.exists = false} : *now;
    struct sp_bus_added added;
    struct sp_error error = {.status = SP_OK};
    struct sp_entry_id id = SP_ENTRY_ID_NONE;
    make_event(sys, &made);
    struct sp_bus_add add = {.key = &key,
                             .event = &made.event,
                             .origin = SP_EVENT_FROM_FIELDS,
                             .only_existing = sim_chance(world, 8)};
    choose_id(sys, &stream, &add);
    if (sim_chance(world, 15)) {
        add.trim = choose_trim(sys, key_number);
    }
    uint64_t same = find_same(sys, &made);
    sp_status expected = judge_id(&stream, &add, &id);
    expected = same != 0 ? SP_OK : expected;
    expected = add.only_existing && !stream.exists ? SP_NOT_FOUND : expected;
    bus_call_begin(sys, "add");
    sp_status status = sp_bus_add(sys->bus, &add, &added, &error);
    if (!bus_call_returned(sys, status, expected, &error)) {
        return;
    }
    if (status == SP_OK) {
        check_added(sys, &made, &added, same);
        if (same == 0 && add.id_kind != SP_ID_AUTO && sp_entry_id_compare(added.id, id) != 0) {
            sim_wrong(world, "add: got another id than it wished for");
        }
        if (same == 0 && !world->wrong) {
            trim_along(sys, key_number, &add.trim);
        }
    }
    bus_call_end(sys);
}

void bus_step_add(struct bus_system *sys) {
    add_once(sys, sim_pick(sys->world, sim_chance(sys->world, 70) ? 2 : BUS_KEYS));
}

void bus_step_fill(struct bus_system *sys) {
    const struct sp_engine *engine = sys->engine;
    size_t spare = sim_pick(sys->world, 6000);
    bool large = sys->large;
    sys->large = true;
    sys->fills = true;
    for (int i = 0; i < FILL_MAX && !sys->world->wrong && !sys->lost && !bus_is_blind(sys); i++) {
        size_t bytes = engine->open.body_bytes + engine->ops.bytes.len;
        bool waits =
            engine->flight_count >= engine->blocks_in_flight_max || !sys->options.threaded_writes;
        if (waits && bytes + spare > engine->block_bytes_max) {
            break;
        }
        add_once(sys, sim_pick(sys->world, BUS_KEYS));
    }
    sys->large = large;
    sys->fills = false;
    sim_note(sys->world, "the block holds %u bytes", engine->open.body_bytes);
}

void bus_step_append(struct bus_system *sys) {
    struct made made;
    struct sp_bus_added added;
    struct sp_error error = {.status = SP_OK};
    uint32_t key = sim_pick(sys->world, BUS_KEYS);
    const struct bus_stream *stream = stream_of(sys, key);
    make_event(sys, &made);
    made.event.attr[SP_ATTR_STREAM] = sp_str_from(bus_key_texts[key]);
    uint64_t version = stream->version;
    bool expects = sim_chance(sys->world, 50);
    bool holds = sim_chance(sys->world, 70);
    uint64_t same = find_same(sys, &made);
    bool full =
        !is_expired(sys, stream) && sp_entry_id_compare(stream->last_id, SP_ENTRY_ID_MAX) == 0;
    sp_status expected = same != 0           ? SP_OK
                         : expects && !holds ? SP_CONFLICT
                         : full              ? SP_END
                                             : SP_OK;
    version += holds ? 0 : 1 + sim_pick(sys->world, 3);
    bus_call_begin(sys, "append");
    sp_status status = sp_bus_append(
        sys->bus, &made.event, expects ? version : (uint64_t)SP_CORE_ANY_VERSION, &added, &error);
    if (bus_call_returned(sys, status, expected, &error)) {
        if (status == SP_OK) {
            check_added(sys, &made, &added, same);
        }
        bus_call_end(sys);
    }
}

/* As MULTI and EXEC do: all of it in one block. */
void bus_step_batch(struct bus_system *sys) {
    struct sp_error error = {.status = SP_OK};
    uint32_t count = 1 + sim_pick(sys->world, 6);
    bus_call_begin(sys, "begin");
    sp_status status = sp_bus_begin(sys->bus, LIMIT_BYTES, 2 * count + 4, &error);
    if (!bus_call_returned(sys, status, SP_OK, &error)) {
        if (status == SP_OK) {
            sp_bus_end(sys->bus);
        }
        return;
    }
    bus_call_end(sys);
    if (status != SP_OK || sys->world->wrong) {
        if (status == SP_OK) {
            sp_bus_end(sys->bus);
        }
        return;
    }
    sys->held = true;
    uint64_t head = sp_bus_gate(sys->bus);
    while (count-- > 0 && !sys->world->wrong && !sys->lost && !bus_is_blind(sys)) {
        bool large = sys->large;
        sys->large = false;
        add_once(sys, sim_pick(sys->world, BUS_KEYS));
        sys->large = large;
    }
    if (!sys->world->wrong && sp_bus_gate(sys->bus) > head + 1) {
        sim_wrong(sys->world, "what was between begin and end is in more than one block");
    }
    sys->held = false;
    bus_call_begin(sys, "end");
    sp_bus_end(sys->bus);
    if (bus_call_returned(sys, SP_OK, SP_OK, &error)) {
        bus_call_end(sys);
    }
}

/* ---- hiding ---- */

void bus_step_trim(struct bus_system *sys) {
    uint32_t number = sim_pick(sys->world, BUS_KEYS);
    struct sp_key key = bus_world_key(sys, number);
    struct sp_bus_trim trim = choose_trim(sys, number);
    struct sp_error error = {.status = SP_OK};
    uint64_t count = 0;
    bus_call_begin(sys, "trim");
    sp_status status = sp_bus_trim(sys->bus, &key, &trim, &count, &error);
    if (!bus_call_returned(sys, status, SP_OK, &error)) {
        return;
    }
    if (status == SP_OK) {
        uint64_t before = stream_of(sys, number)->length;
        trim_along(sys, number, &trim);
        if (before - stream_of(sys, number)->length != count) {
            sim_wrong(sys->world, "trim: answered %llu, %llu went", (unsigned long long)count,
                      (unsigned long long)(before - stream_of(sys, number)->length));
        }
        bus_call_told(sys, BUS_TOLD_TRIMMED, count > 0 ? 1 : 0);
    }
    bus_call_end(sys);
}

void bus_step_hide(struct bus_system *sys) {
    struct sim_world *world = sys->world;
    uint32_t number = sim_pick(world, BUS_KEYS);
    struct sp_key key = bus_world_key(sys, number);
    uint32_t name = sys->model.key_stream[number];
    struct sp_entry_id ids[IDS_MAX];
    struct sp_error error = {.status = SP_OK};
    uint32_t id_count = 1 + sim_pick(world, IDS_MAX);
    for (uint32_t i = 0; i < id_count; i++) {
        uint64_t p = bus_model_next_shown(&sys->model, &sys->log, name,
                                          1 + sim_pick(world, (uint32_t)sys->model.position + 1));
        ids[i] = p != 0 && sim_chance(world, 80)
                     ? sys->log.events[p - 1].id
                     : (struct sp_entry_id){.ms = bus_world_now_ms(sys), .seq = 777};
    }
    uint64_t count = 0;
    bus_call_begin(sys, "hide");
    sp_status status = sp_bus_hide(sys->bus, &key, ids, id_count, &count, &error);
    if (!bus_call_returned(sys, status, SP_OK, &error)) {
        return;
    }
    uint64_t hidden = 0;
    for (uint32_t i = 0; status == SP_OK && i < id_count; i++) {
        for (uint64_t p = 1; (p = bus_model_next_shown(&sys->model, &sys->log, name, p)) != 0;
             p++) {
            if (p >= sys->log.first &&
                sp_entry_id_compare(sys->log.events[p - 1].id, ids[i]) == 0) {
                struct bus_stream *stream = stream_of(sys, number);
                bus_model_hide(&sys->model, &sys->log, p);
                if (sp_entry_id_compare(ids[i], stream->max_deleted) > 0) {
                    stream->max_deleted = ids[i];
                }
                hidden++;
                break;
            }
        }
    }
    if (status == SP_OK && hidden != count) {
        sim_wrong(world, "hide: answered %llu instead of %llu", (unsigned long long)count,
                  (unsigned long long)hidden);
    }
    bus_call_told(sys, BUS_TOLD_HIDDEN, hidden > 0 ? 1 : 0);
    bus_call_end(sys);
}

/* ---- the life of keys ---- */

void bus_step_delete(struct bus_system *sys) {
    uint32_t number = sim_pick(sys->world, BUS_KEYS);
    struct sp_key key = bus_world_key(sys, number);
    struct sp_error error = {.status = SP_OK};
    bool there = bus_key_lives(sys, number);
    bool was_there = false;
    bus_call_begin(sys, "delete");
    sp_status status = sp_bus_delete(sys->bus, &key, &was_there, &error);
    if (!bus_call_returned(sys, status, SP_OK, &error)) {
        return;
    }
    if (status == SP_OK && was_there != there) {
        sim_wrong(sys->world, "delete: %s was there: %d, answered %d", bus_key_texts[number], there,
                  was_there);
    }
    bus_call_told(sys, BUS_TOLD_DELETED, status == SP_OK && there ? 1 : 0);
    bus_call_end(sys);
}

void bus_step_expire(struct bus_system *sys) {
    uint32_t number = sim_pick(sys->world, BUS_KEYS);
    struct sp_key key = bus_world_key(sys, number);
    struct sp_error error = {.status = SP_OK};
    bool there = bus_key_lives(sys, number);
    uint64_t at_ms =
        sim_chance(sys->world, 30) ? 0 : bus_world_now_ms(sys) + sim_pick(sys->world, 20000);
    bool changed = false;
    bus_call_begin(sys, "expire");
    bool had = there && stream_of(sys, number)->expire_ms != 0;
    sp_status status = sp_bus_expire(sys->bus, &key, at_ms, &changed, &error);
    if (!bus_call_returned(sys, status, SP_OK, &error)) {
        return;
    }
    if (status == SP_OK && changed != (there && (at_ms != 0 || had))) {
        sim_wrong(sys->world, "expire: %s is there: %d, answered %d", bus_key_texts[number], there,
                  changed);
    }
    if (status == SP_OK && there) {
        stream_of(sys, number)->expire_ms = at_ms;
    }
    bus_call_end(sys);
}

static void rename_model(struct bus_system *sys, uint32_t from, uint32_t to) {
    struct bus_model *model = &sys->model;
    uint32_t stream = model->key_stream[from];
    if (stream_of(sys, to)->exists) {
        bus_model_delete(model, &sys->log, to);
    }
    for (int i = 0; i < BUS_GROUPS; i++) {
        if (model->groups[i].used && model->groups[i].key == from) {
            model->groups[i].key = to;
        }
    }
    model->key_stream[to] = stream;
    struct sp_key key = bus_world_key(sys, from);
    model->key_stream[from] = bus_log_name(&sys->log, key.name);
    if (key.name.len == 0 || stream_of(sys, from)->exists || model->key_stream[from] == stream) {
        sim_wrong(sys->world, "rename: %s still stands for something", bus_key_texts[from]);
    }
}

void bus_step_rename(struct bus_system *sys) {
    uint32_t from = sim_pick(sys->world, BUS_KEYS);
    uint32_t to = sim_pick(sys->world, BUS_KEYS);
    struct sp_key from_key = bus_world_key(sys, from);
    struct sp_key to_key = bus_world_key(sys, to);
    struct sp_error error = {.status = SP_OK};
    bool there = bus_key_lives(sys, from);
    bus_call_begin(sys, "rename");
    sp_status status = sp_bus_rename(sys->bus, &from_key, &to_key, &error);
    if (!bus_call_returned(sys, status, there ? SP_OK : SP_NOT_FOUND, &error)) {
        return;
    }
    if (status == SP_OK && from != to) {
        rename_model(sys, from, to);
    }
    bus_call_told(sys, BUS_TOLD_RENAMED, status == SP_OK && from != to ? 1 : 0);
    bus_call_end(sys);
}

void bus_step_set_id(struct bus_system *sys) {
    struct sim_world *world = sys->world;
    uint32_t number = sim_pick(world, BUS_KEYS);
    struct sp_key key = bus_world_key(sys, number);
    struct bus_stream stream = *stream_of(sys, number);
    struct sp_error error = {.status = SP_OK};
    struct sp_entry_id last = {.ms = stream.last_id.ms + sim_pick(world, 10),
                               .seq = sim_pick(world, 10)};
    if (sim_chance(world, 40) && last.ms > 5) {
        last.ms -= 5;
    }
    struct sp_entry_id top = SP_ENTRY_ID_NONE;
    for (uint64_t p = 1;
         (p = bus_model_next_shown(&sys->model, &sys->log, sys->model.key_stream[number], p)) != 0;
         p++) {
        top = p >= sys->log.first ? sys->log.events[p - 1].id : top;
    }
    uint64_t added = stream.length + sim_pick(world, 5);
    bool with_added = sim_chance(world, 30);
    sp_status expected = !bus_key_lives(sys, number)                         ? SP_NOT_FOUND
                         : sp_entry_id_compare(last, stream.max_deleted) < 0 ? SP_INVALID
                         : sp_entry_id_compare(last, top) < 0                ? SP_INVALID
                                                                             : SP_OK;
    bus_call_begin(sys, "set-id");
    sp_status status =
        sp_bus_set_id(sys->bus, &key, last, with_added ? &added : NULL, NULL, &error);
    if (!bus_call_returned(sys, status, expected, &error)) {
        return;
    }
    if (status == SP_OK) {
        struct bus_stream *changed = stream_of(sys, number);
        changed->last_id = last;
        changed->own_ids = true;
        changed->entries_added = with_added ? added : changed->entries_added;
    }
    bus_call_end(sys);
}
