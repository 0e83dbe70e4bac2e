/* Comparing what the bus shows, and the core's state, with the model. */
#include "core/groups_int.h"
#include "engine/engine_int.h"
#include "sim/world_bus_int.h"

/* ---- after every step ---- */

static void compare_stream(struct bus_system *sys, uint32_t key) {
    uint32_t number = sys->model.key_stream[key];
    sp_str name = sp_str_from(sys->log.names[number]);
    const struct bus_stream *stream = bus_model_stream(&sys->model, number);
    struct sp_view_facts facts = sp_view_get(&sys->engine->core.views, name);
    struct sp_key parsed = bus_world_key(sys, key);
    if (!sp_str_eq(parsed.name, name)) {
        sim_wrong(sys->world, "%s: %s stands for %.*s instead of %s", sys->call.what,
                  bus_key_texts[key], SP_STR_ARG(parsed.name), sys->log.names[number]);
        return;
    }
    if (facts.exists != stream->exists || facts.length != stream->length ||
        facts.last != stream->version || facts.entries_added != stream->entries_added ||
        facts.expire_ms != stream->expire_ms ||
        sp_entry_id_compare(facts.max_deleted, stream->max_deleted) != 0) {
        sim_wrong(sys->world,
                  "%s: %s exists %d, has %llu entries of %llu, added %llu, instead of %d, %llu of "
                  "%llu, %llu",
                  sys->call.what, bus_key_texts[key], facts.exists,
                  (unsigned long long)facts.length, (unsigned long long)facts.last,
                  (unsigned long long)facts.entries_added, stream->exists,
                  (unsigned long long)stream->length, (unsigned long long)stream->version,
                  (unsigned long long)stream->entries_added);
    } else if (facts.last_id_known && sp_entry_id_compare(facts.last_id, stream->last_id) != 0) {
        sim_wrong(sys->world, "%s: the last id of %s is %llu-%llu instead of %llu-%llu",
                  sys->call.what, bus_key_texts[key], (unsigned long long)facts.last_id.ms,
                  (unsigned long long)facts.last_id.seq, (unsigned long long)stream->last_id.ms,
                  (unsigned long long)stream->last_id.seq);
    }
}

static bool same_pending(const struct bus_log *log, const struct bus_group *group,
                         const struct sp_group *of_core, const struct bus_entry *entry) {
    struct sp_pending pending;
    struct sp_consumer_facts consumer;
    if (!sp_pending_at(of_core, entry->position, &pending)) {
        return false;
    }
    bool flies = entry->state == BUS_FLIGHT;
    bool named =
        !flies || (sp_consumer_get(of_core, pending.consumer, &consumer) &&
                   sp_str_eq(consumer.name, sp_str_from(bus_consumer_names[entry->consumer])));
    return named && pending.count == entry->count && pending.time_ms == entry->time_ms &&
           pending.state ==
               (flies ? (uint32_t)SP_PENDING_IN_FLIGHT : (uint32_t)SP_PENDING_WAITING) &&
           sp_entry_id_compare(pending.id, bus_entry_id(log, group->key, entry->position)) == 0;
}

bool bus_core_has_parked(const struct sp_group *of_core, uint64_t position) {
    const struct sp_rows *parked = of_core->care != NULL ? &of_core->care->parked : NULL;
    struct sp_rows_at at = sp_rows_first();
    for (const uint64_t *row = parked != NULL ? sp_rows_get(parked, at) : NULL; row != NULL;
         row = sp_rows_get(parked, at)) {
        if (((const struct sp_parked *)row)->position == position) {
            return true;
        }
        at = sp_rows_next(parked, at);
    }
    return false;
}

/* What the core has parked is parked in the model; their number is compared elsewhere. */
static bool same_parked(const struct bus_group *group, const struct sp_group *of_core) {
    const struct sp_rows *parked = of_core->care != NULL ? &of_core->care->parked : NULL;
    struct sp_rows_at at = sp_rows_first();
    for (const uint64_t *row = parked != NULL ? sp_rows_get(parked, at) : NULL; row != NULL;
         row = sp_rows_get(parked, at)) {
        const struct bus_entry *entry =
            bus_entry_find(group, ((const struct sp_parked *)row)->position);
        if (entry == NULL || entry->state != BUS_PARKED) {
            return false;
        }
        at = sp_rows_next(parked, at);
    }
    return true;
}

static bool same_dead(const struct sp_group *of_core, const struct bus_entry *entry) {
    struct sp_dead dead;
    return sp_dead_at(of_core, entry->position, &dead) && dead.count == entry->count &&
           dead.reason == entry->reason && dead.letter == entry->letter;
}

/* With an order two of a key are never pending. */
static void check_keys(struct bus_system *sys, const struct bus_group *group) {
    for (size_t i = 0; i < group->count; i++) {
        const struct bus_entry *a = &group->entries[i];
        for (size_t k = i + 1; a->key != 0 && a->state <= BUS_WAITING && k < group->count; k++) {
            const struct bus_entry *b = &group->entries[k];
            if (b->key == a->key && b->state <= BUS_WAITING) {
                sim_wrong(sys->world, "%s: events %llu and %llu of one key are both pending",
                          sys->call.what, (unsigned long long)a->position,
                          (unsigned long long)b->position);
            }
        }
    }
}

static void compare_group(struct bus_system *sys, const struct bus_group *group) {
    const struct sp_group *of_core =
        sp_group_find(&sys->engine->core.groups, sp_str_from(bus_key_texts[group->key]),
                      sp_str_from(bus_group_names[group->name]));
    struct sim_world *world = sys->world;
    const char *name = bus_group_names[group->name];
    const char *key = bus_key_texts[group->key];
    if (of_core == NULL || sp_group_get(of_core).number != group->number) {
        sim_wrong(world, "%s: group %s of %s is not there", sys->call.what, name, key);
        return;
    }
    const struct sp_group_facts facts = sp_group_get(of_core);
    uint64_t counts[BUS_DONE + 1] = {0};
    for (size_t i = 0; i < group->count && !world->wrong; i++) {
        const struct bus_entry *entry = &group->entries[i];
        counts[entry->state]++;
        bool same = entry->state <= BUS_WAITING ? same_pending(&sys->log, group, of_core, entry)
                    : entry->state == BUS_DEAD  ? same_dead(of_core, entry)
                                                : true;
        if (!same) {
            struct sp_pending pending = {.state = 99};
            (void)sp_pending_at(of_core, entry->position, &pending);
            sim_wrong(world,
                      "%s: event %llu in %s of %s: state %d, count %u, time %llu, instead of %d, "
                      "%u, %llu",
                      sys->call.what, (unsigned long long)entry->position, name, key,
                      (int)pending.state, pending.count, (unsigned long long)pending.time_ms,
                      (int)entry->state, entry->count, (unsigned long long)entry->time_ms);
        }
    }
    uint32_t consumers = 0;
    for (int i = 0; i < BUS_CONSUMERS; i++) {
        consumers += group->consumers[i] ? 1 : 0;
    }
    if (!world->wrong &&
        (facts.in_flight != counts[BUS_FLIGHT] || facts.waiting != counts[BUS_WAITING] ||
         facts.parked != counts[BUS_PARKED] || facts.dead != counts[BUS_DEAD] ||
         facts.cursor.position != group->cursor || facts.has_policy != group->has_policy ||
         facts.consumers != consumers || !same_parked(group, of_core))) {
        sim_wrong(world,
                  "%s: %s of %s has %llu in flight, %llu waiting, %llu parked, %llu dead, at event "
                  "%llu, %u consumers, instead of %llu, %llu, %llu, %llu, %llu, %u",
                  sys->call.what, name, key, (unsigned long long)facts.in_flight,
                  (unsigned long long)facts.waiting, (unsigned long long)facts.parked,
                  (unsigned long long)facts.dead, (unsigned long long)facts.cursor.position,
                  facts.consumers, (unsigned long long)counts[BUS_FLIGHT],
                  (unsigned long long)counts[BUS_WAITING], (unsigned long long)counts[BUS_PARKED],
                  (unsigned long long)counts[BUS_DEAD], (unsigned long long)group->cursor,
                  consumers);
    }
    check_keys(sys, group);
}

void bus_compare(struct bus_system *sys) {
    const struct sp_core *core = &sys->engine->core;
    uint32_t groups = 0;
    if (core->position != sys->model.position) {
        sim_wrong(sys->world, "%s: the core is at event %llu, the model at %llu", sys->call.what,
                  (unsigned long long)core->position, (unsigned long long)sys->model.position);
    }
    for (uint32_t i = 0; i < BUS_KEYS && !sys->world->wrong; i++) {
        compare_stream(sys, i);
    }
    for (int i = 0; i < BUS_GROUPS && !sys->world->wrong; i++) {
        if (sys->model.groups[i].used) {
            groups++;
            compare_group(sys, &sys->model.groups[i]);
        }
    }
    if (!sys->world->wrong && groups != core->groups.count) {
        sim_wrong(sys->world, "%s: %u groups instead of %u", sys->call.what, core->groups.count,
                  groups);
    }
    if (!sys->world->wrong) {
        bus_agents_compare(sys);
    }
}

/* ---- reading ---- */

struct reading {
    struct bus_system *sys;
    const struct sp_bus_range *range;
    uint32_t key;
    uint64_t expected;
    uint64_t durable;
    uint64_t left;
};

static uint64_t next_in_range(const struct reading *r, uint64_t p) {
    const struct bus_system *sys = r->sys;
    while (r->left > 0 && p >= 1 && p <= r->durable) {
        if (bus_model_has(&sys->model, &sys->log, r->key, p)) {
            struct sp_entry_id id = bus_entry_id(&sys->log, r->key, p);
            if (sp_entry_id_compare(id, r->range->from) >= 0 &&
                sp_entry_id_compare(id, r->range->until) <= 0) {
                return p;
            }
        }
        p += r->range->reverse ? UINT64_MAX : 1;
    }
    return 0;
}

static bool see_entry(void *context, const struct sp_event *event, struct sp_entry_id id) {
    struct reading *r = context;
    struct bus_system *sys = r->sys;
    uint64_t p = event->position;
    if (p != r->expected) {
        sim_wrong(sys->world, "read of %s: event %llu instead of %llu", bus_key_texts[r->key],
                  (unsigned long long)p, (unsigned long long)r->expected);
        return false;
    }
    if (sys->log.events[p - 1].hash != bus_hash_event(event) ||
        sp_entry_id_compare(id, bus_entry_id(&sys->log, r->key, p)) != 0) {
        sim_wrong(sys->world, "read of %s: event %llu is not the one appended, or has another id",
                  bus_key_texts[r->key], (unsigned long long)p);
        return false;
    }
    r->left--;
    r->expected = next_in_range(r, r->range->reverse ? p - 1 : p + 1);
    return true;
}

static void read_range(struct bus_system *sys, uint32_t number, struct sp_bus_range *range) {
    struct sp_error error = {.status = SP_OK};
    struct sp_key key = bus_world_key(sys, number);
    bool lives = bus_key_lives(sys, number);
    range->key = &key;
    struct reading r = {.sys = sys,
                        .range = range,
                        .key = number,
                        .durable = bus_durable(sys),
                        .left = range->count == 0 ? UINT64_MAX : range->count};
    r.expected = lives ? next_in_range(&r, range->reverse ? r.durable : sys->log.first) : 0;
    sp_status status = sp_bus_read(sys->bus, range, see_entry, &r, &error);
    if (bus_is_blind(sys)) {
        return;
    }
    if (status != SP_OK) {
        sim_wrong(sys->world, "read of %s: %s: %s", bus_key_texts[number], sp_status_name(status),
                  error.text);
    } else if (r.expected != 0 && lives == bus_key_lives(sys, number)) {
        sim_wrong(sys->world, "read of %s: event %llu is missing", bus_key_texts[number],
                  (unsigned long long)r.expected);
    }
}

static struct sp_entry_id some_id(struct bus_system *sys, uint32_t key) {
    if (sys->model.position == 0) {
        return SP_ENTRY_ID_NONE;
    }
    uint64_t p = 1 + sim_pick(sys->world, (uint32_t)sys->model.position);
    struct sp_entry_id id = bus_entry_id(&sys->log, key, p);
    id.seq += sim_chance(sys->world, 30) ? 1 : 0;
    id.ms -= sim_chance(sys->world, 20) && id.ms > 0 ? 1 : 0;
    return id;
}

void bus_check_read(struct bus_system *sys) {
    struct sim_world *world = sys->world;
    uint32_t key = sim_pick(world, BUS_KEYS_ALL);
    struct sp_bus_range range = {
        .from = sim_chance(world, 60) ? some_id(sys, key) : SP_ENTRY_ID_NONE,
        .until = sim_chance(world, 50) ? some_id(sys, key) : SP_ENTRY_ID_MAX,
        .reverse = sim_chance(world, 40),
        .count = sim_chance(world, 50) ? 0 : 1 + sim_pick(world, 20)};
    read_range(sys, key, &range);
    sim_note(world, "read of %s", bus_key_texts[key]);
}

/* Everything of every key. */
void bus_check_all(struct bus_system *sys) {
    if (sys->lost || bus_is_blind(sys)) {
        return;
    }
    sys->call.what = "check";
    bus_compare(sys);
    for (uint32_t key = 0; key < BUS_KEYS_ALL && !sys->world->wrong; key++) {
        struct sp_bus_range range = {.until = SP_ENTRY_ID_MAX};
        read_range(sys, key, &range);
    }
    for (int i = 0; i < BUS_GROUPS && !sys->world->wrong; i++) {
        if (sys->model.groups[i].used) {
            bus_check_lag(sys, &sys->model.groups[i]);
        }
    }
}

/* ---- numbers ---- */

void bus_check_lag(struct bus_system *sys, struct bus_group *group) {
    struct sp_bus_group_info info;
    struct sp_error error = {.status = SP_OK};
    struct sp_key key = bus_world_key(sys, group->key);
    if (!bus_key_lives(sys, group->key)) {
        return;
    }
    sp_status status =
        sp_bus_group_info(sys->bus, &key, sp_str_from(bus_group_names[group->name]), &info, &error);
    if (bus_is_blind(sys) || !bus_key_lives(sys, group->key)) {
        return;
    }
    if (status != SP_OK) {
        sim_wrong(sys->world, "info of a group: %s: %s", sp_status_name(status), error.text);
        return;
    }
    bool plain = !bus_is_virtual(group->key) && group->pattern == 0 && group->filter == 0;
    uint64_t until = plain ? sys->model.position : bus_durable(sys);
    uint64_t lag = 0;
    for (uint64_t p = group->cursor + 1; p <= until; p++) {
        lag += bus_group_wants_it(&sys->model, &sys->log, group, p) ? 1 : 0;
    }
    if (info.lag != lag && !(plain && sys->log.first > group->cursor + 1)) {
        sim_wrong(sys->world, "%s of %s lags by %llu, not by %llu, from event %llu to %llu",
                  bus_group_names[group->name], bus_key_texts[group->key],
                  (unsigned long long)info.lag, (unsigned long long)lag,
                  (unsigned long long)group->cursor, (unsigned long long)until);
    }
}

void bus_check_info(struct bus_system *sys) {
    uint32_t number = sim_pick(sys->world, BUS_KEYS_ALL);
    struct sp_key key = bus_world_key(sys, number);
    struct sp_bus_stream_info info;
    struct sp_error error = {.status = SP_OK};
    bool lives = bus_key_lives(sys, number);
    sp_status status = sp_bus_stream(sys->bus, &key, &info, &error);
    if (bus_is_blind(sys) || lives != bus_key_lives(sys, number)) {
        return;
    }
    if (status != (lives ? SP_OK : SP_NOT_FOUND)) {
        sim_wrong(sys->world, "info of %s: %s: %s", bus_key_texts[number], sp_status_name(status),
                  error.text);
        return;
    }
    if (!lives) {
        return;
    }
    uint64_t length = 0;
    uint32_t groups = 0;
    for (uint64_t p = sys->log.first; p <= bus_durable(sys); p++) {
        length += bus_model_has(&sys->model, &sys->log, number, p) ? 1 : 0;
    }
    for (int i = 0; i < BUS_GROUPS; i++) {
        groups += sys->model.groups[i].used && sys->model.groups[i].key == number ? 1 : 0;
    }
    struct sp_entry_id last = info.last_id;
    if (!bus_is_virtual(number)) {
        const struct bus_stream *stream =
            bus_model_stream(&sys->model, sys->model.key_stream[number]);
        length = stream->length;
        last = stream->last_id;
    }
    if (info.length != length || info.group_count != groups ||
        (sp_entry_id_compare(info.last_id, last) != 0 && sys->log.first == 1)) {
        sim_wrong(sys->world,
                  "info of %s: %llu entries, %u groups, last id %llu-%llu, instead of "
                  "%llu, %u, %llu-%llu",
                  bus_key_texts[number], (unsigned long long)info.length, info.group_count,
                  (unsigned long long)info.last_id.ms, (unsigned long long)info.last_id.seq,
                  (unsigned long long)length, groups, (unsigned long long)last.ms,
                  (unsigned long long)last.seq);
    }
}

static bool count_key(void *context, sp_str key) {
    uint32_t *seen = context;
    for (uint32_t i = 0; i < BUS_KEYS; i++) {
        if (sp_str_eq(key, sp_str_from(bus_key_texts[i]))) {
            seen[i]++;
            return true;
        }
    }
    seen[BUS_KEYS] += bus_agents_own_stream(key) ? 0 : 1;
    return true;
}

void bus_check_keys(struct bus_system *sys) {
    uint32_t seen[BUS_KEYS + 1] = {0};
    uint64_t cursor = 0;
    uint64_t count = bus_agents_streams(sys);
    do {
        cursor = sp_bus_scan(sys->bus, cursor, 1 + sim_pick(sys->world, 10), count_key, seen);
    } while (cursor != 0);
    for (uint32_t i = 0; i < BUS_KEYS; i++) {
        count += bus_model_stream(&sys->model, sys->model.key_stream[i])->exists ? 1 : 0;
        if (seen[i] != (bus_key_lives(sys, i) ? 1u : 0u)) {
            sim_wrong(sys->world, "a scan found %s %u times", bus_key_texts[i], seen[i]);
        }
    }
    if (seen[BUS_KEYS] != 0 || sp_bus_key_count(sys->bus) != count) {
        sim_wrong(sys->world, "a scan found %u strange keys; there are %llu, the bus says %llu",
                  seen[BUS_KEYS], (unsigned long long)count,
                  (unsigned long long)sp_bus_key_count(sys->bus));
    }
}
