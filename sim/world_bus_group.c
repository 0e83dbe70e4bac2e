/* What is done with groups: made, moved, given policies, and asked for entries. */
#include "engine/engine_int.h"
#include "sim/world_bus_int.h"

/* ---- which ---- */

struct bus_group *bus_pick_group(struct bus_system *sys) {
    uint32_t start = sim_pick(sys->world, BUS_GROUPS);
    for (uint32_t i = 0; i < BUS_GROUPS; i++) {
        struct bus_group *group = &sys->model.groups[(start + i) % BUS_GROUPS];
        if (group->used) {
            return group;
        }
    }
    return NULL;
}

static struct bus_group *find_group(struct bus_system *sys, uint32_t key, uint32_t name) {
    for (int i = 0; i < BUS_GROUPS; i++) {
        struct bus_group *group = &sys->model.groups[i];
        if (group->used && group->key == key && group->name == name) {
            return group;
        }
    }
    return NULL;
}

static struct bus_group *free_group(struct bus_system *sys) {
    for (int i = 0; i < BUS_GROUPS; i++) {
        if (!sys->model.groups[i].used) {
            return &sys->model.groups[i];
        }
    }
    return NULL;
}

static const struct sp_group *core_group(struct bus_system *sys, uint32_t key, uint32_t name) {
    return sp_group_find(&sp_engine_core(sys->engine)->groups, sp_str_from(bus_key_texts[key]),
                         sp_str_from(bus_group_names[name]));
}

/* ---- making and moving ---- */

static struct sp_bus_start choose_start(struct bus_system *sys, uint32_t key) {
    struct sim_world *world = sys->world;
    struct sp_bus_start start = {.at_end = sim_chance(world, 25)};
    if (!start.at_end && sim_chance(world, 60) && sys->model.position > 0) {
        uint64_t p = 1 + sim_pick(world, (uint32_t)sys->model.position);
        for (uint64_t i = 0; i < 50 && p <= sys->model.position; i++, p++) {
            if (bus_model_has(&sys->model, &sys->log, key, p)) {
                start.id = bus_entry_id(&sys->log, key, p);
                break;
            }
        }
    }
    return start;
}

/* The cursor is where the start wanted it: behind all with ids up to it, before all others. */
static void check_cursor(struct bus_system *sys, uint32_t key, const struct sp_bus_start *start,
                         uint64_t cursor, uint64_t end) {
    if (start->at_end && cursor != end) {
        sim_wrong(sys->world, "%s: `$` at event %llu, the last is %llu", sys->call.what,
                  (unsigned long long)cursor, (unsigned long long)end);
    }
    for (uint64_t p = sys->log.first; !start->at_end && p <= end; p++) {
        if (!bus_model_has(&sys->model, &sys->log, key, p)) {
            continue;
        }
        bool behind = sp_entry_id_compare(bus_entry_id(&sys->log, key, p), start->id) > 0;
        if (behind != (p > cursor)) {
            sim_wrong(sys->world, "%s: the cursor is at event %llu, event %llu is %s",
                      sys->call.what, (unsigned long long)cursor, (unsigned long long)p,
                      behind ? "behind the start" : "not");
            return;
        }
    }
}

void bus_step_make(struct bus_system *sys) {
    struct sim_world *world = sys->world;
    uint32_t number = sim_pick(world, sim_chance(world, 60) ? 2 : BUS_KEYS_ALL);
    uint32_t name = sim_pick(world, BUS_GROUP_NAMES);
    struct sp_key key = bus_world_key(sys, number);
    struct sp_bus_start start = choose_start(sys, number);
    struct sp_error error = {.status = SP_OK};
    bool make_key = sim_chance(world, 60);
    bool lives = bus_key_lives(sys, number);
    struct bus_group *group = free_group(sys);
    if (group == NULL) {
        return;
    }
    sp_status expected = !lives && !make_key                              ? SP_NOT_FOUND
                         : lives && find_group(sys, number, name) != NULL ? SP_CONFLICT
                                                                          : SP_OK;
    bus_call_begin(sys, "make group");
    sp_status status = sp_bus_group_make(sys->bus, &key, sp_str_from(bus_group_names[name]), &start,
                                         make_key, &error);
    if (!bus_call_returned(sys, status, expected, &error)) {
        return;
    }
    if (status == SP_OK) {
        const struct sp_group *of_core = core_group(sys, number, name);
        struct sp_group_facts facts = sp_group_get(of_core);
        struct bus_entry *entries = group->entries;
        size_t capacity = group->capacity;
        *group = (struct bus_group){.used = true,
                                    .number = facts.number,
                                    .key = number,
                                    .name = name,
                                    .cursor = facts.cursor.position,
                                    .entries = entries,
                                    .capacity = capacity};
        sys->blocked[group - sys->model.groups] = false;
        if (!bus_is_virtual(number)) {
            bus_model_stream(&sys->model, sys->model.key_stream[number])->exists = true;
        }
        uint64_t end = sys->call.position + sys->call.told[BUS_TOLD_EXPIRED];
        check_cursor(sys, number, &start, group->cursor, end);
    }
    bus_call_told(sys, BUS_TOLD_CREATED, status == SP_OK ? 1 : 0);
    bus_call_end(sys);
}

void bus_step_move(struct bus_system *sys) {
    struct bus_group *group = bus_pick_group(sys);
    if (group == NULL) {
        return;
    }
    struct sp_key key = bus_world_key(sys, group->key);
    struct sp_bus_start start = choose_start(sys, group->key);
    struct sp_error error = {.status = SP_OK};
    sp_status expected = bus_key_lives(sys, group->key) ? SP_OK : SP_NOT_FOUND;
    bus_call_begin(sys, "move group");
    sp_status status = sp_bus_group_move(sys->bus, &key, sp_str_from(bus_group_names[group->name]),
                                         &start, &error);
    if (!bus_call_returned(sys, status, expected, &error)) {
        return;
    }
    if (status == SP_OK) {
        group->cursor = sp_group_get(core_group(sys, group->key, group->name)).cursor.position;
        check_cursor(sys, group->key, &start, group->cursor, sys->call.position);
        for (size_t i = group->count; i > 0; i--) { /* what is done may come again */
            struct bus_entry *entry = &group->entries[i - 1];
            if (entry->position > group->cursor && entry->state == BUS_DONE) {
                bus_entry_drop(group, entry);
            }
        }
    }
    bus_call_told(sys, BUS_TOLD_MOVED, status == SP_OK ? 1 : 0);
    bus_call_end(sys);
}

void bus_step_drop(struct bus_system *sys) {
    uint32_t number = sim_pick(sys->world, BUS_KEYS_ALL);
    uint32_t name = sim_pick(sys->world, BUS_GROUP_NAMES);
    struct sp_key key = bus_world_key(sys, number);
    struct bus_group *group = find_group(sys, number, name);
    struct sp_error error = {.status = SP_OK};
    bool was_there = false;
    sp_status expected = bus_key_lives(sys, number) ? SP_OK : SP_NOT_FOUND;
    bus_call_begin(sys, "drop group");
    sp_status status =
        sp_bus_group_drop(sys->bus, &key, sp_str_from(bus_group_names[name]), &was_there, &error);
    if (!bus_call_returned(sys, status, expected, &error)) {
        return;
    }
    if (status == SP_OK && was_there != (group != NULL)) {
        sim_wrong(sys->world, "drop group: was there %d, answered %d", group != NULL, was_there);
    }
    if (status == SP_OK && group != NULL) {
        group->used = false;
    }
    bus_call_told(sys, BUS_TOLD_DROPPED, status == SP_OK && group != NULL ? 1 : 0);
    bus_call_end(sys);
}

/* ---- policies ---- */

static void choose_policy(struct bus_system *sys, struct sp_group_policy *policy, uint32_t *pattern,
                          uint32_t *filter) {
    struct sim_world *world = sys->world;
    *pattern = sim_chance(world, 50) ? 0 : sim_pick(world, BUS_PATTERNS);
    *filter = sim_chance(world, 70) ? 0 : sim_pick(world, BUS_FILTERS);
    *policy = sp_group_policy_default();
    policy->type = sp_str_from(bus_patterns[*pattern]);
    policy->filter = sp_str_from(bus_filters[*filter]);
    policy->ack_wait_ms = 1 + sim_pick(world, 5000);
    policy->deliveries_max = 1 + sim_pick(world, 4);
    policy->backoff_first_ms = sim_pick(world, 500);
    policy->backoff_max_ms = policy->backoff_first_ms + sim_pick(world, 5000);
    policy->backoff_factor_milli = 1000 + sim_pick(world, 3000);
    policy->backoff_jitter_milli = sim_pick(world, 1001);
    policy->order_by =
        sim_chance(world, 50) ? SP_GROUP_ORDER_NONE : (enum sp_group_order)(1 + sim_pick(world, 3));
    policy->in_flight_max = sim_chance(world, 60) ? 0 : 1 + sim_pick(world, 5);
    policy->keep_on_leave = sim_chance(world, 20);
}

static void forget_keys(struct bus_group *group) {
    for (size_t i = 0; i < group->count; i++) {
        group->entries[i].key = 0;
    }
}

/* What a policy that was set or taken away does to the model. */
static void take_policy(struct bus_group *group, bool set, const struct sp_group_policy *policy,
                        uint32_t pattern, uint32_t filter) {
    enum sp_group_order before = group->has_policy ? group->policy.order_by : SP_GROUP_ORDER_NONE;
    if (!set || before != policy->order_by) {
        forget_keys(group);
    }
    group->has_policy = set;
    group->policy = set ? *policy : (struct sp_group_policy){.ack_wait_ms = 0};
    group->pattern = set ? pattern : 0;
    group->filter = set ? filter : 0;
}

void bus_step_policy(struct bus_system *sys) {
    struct bus_group *group = bus_pick_group(sys);
    if (group == NULL) {
        return;
    }
    struct sp_group_policy policy;
    uint32_t pattern;
    uint32_t filter;
    struct sp_error error = {.status = SP_OK};
    struct sp_key key = bus_world_key(sys, group->key);
    bool set = sim_chance(sys->world, 90);
    choose_policy(sys, &policy, &pattern, &filter);
    uint64_t parked = bus_group_count(group, BUS_PARKED);
    bool kept = bus_group_count(group, BUS_WAITING) + parked + bus_group_count(group, BUS_DEAD) > 0;
    bool reorders = group->has_policy && parked > 0 && group->policy.order_by != policy.order_by;
    sp_status expected = !bus_key_lives(sys, group->key) ? SP_NOT_FOUND
                         : (set ? reorders : kept)       ? SP_CONFLICT
                                                         : SP_OK;
    bus_call_begin(sys, "policy");
    sp_status status = sp_bus_group_policy(
        sys->bus, &key, sp_str_from(bus_group_names[group->name]), set ? &policy : NULL, &error);
    if (!bus_call_returned(sys, status, expected, &error)) {
        return;
    }
    if (status == SP_OK) {
        take_policy(group, set, &policy, pattern, filter);
    }
    bus_call_told(sys, BUS_TOLD_POLICY, status == SP_OK ? 1 : 0);
    bus_call_end(sys);
}

/* ---- handing out ---- */

void bus_see(void *context, const struct sp_event *event, struct sp_entry_id id, uint32_t count) {
    struct bus_system *sys = context;
    if (sys->given_count == BUS_GIVEN_MAX) {
        sim_wrong(sys->world, "%s: more entries than were asked for", sys->call.what);
        return;
    }
    struct bus_given *given = &sys->given[sys->given_count++];
    *given = (struct bus_given){.id = id, .count = count};
    if (event == NULL) {
        return;
    }
    given->position = event->position;
    if (event->position > sys->log.count ||
        sys->log.events[event->position - 1].hash != bus_hash_event(event)) {
        sim_wrong(sys->world, "%s: event %llu is not the one appended", sys->call.what,
                  (unsigned long long)event->position);
    }
}

/* Entries that the core has no more: rightly only where their events are gone. */
uint32_t bus_forget_gone(struct bus_system *sys, struct bus_group *group) {
    const struct sp_group *of_core = core_group(sys, group->key, group->name);
    struct sp_pending ignored;
    uint32_t gone = 0;
    for (size_t i = 0; of_core != NULL && i < group->count;) {
        struct bus_entry *entry = &group->entries[i];
        size_t count = group->count;
        if (entry->state == BUS_DONE || entry->state == BUS_DEAD ||
            bus_model_has(&sys->model, &sys->log, group->key, entry->position)) {
            i++;
            continue;
        }
        bool pending = entry->state == BUS_FLIGHT || entry->state == BUS_WAITING;
        bool there = entry->state == BUS_PARKED
                         ? bus_core_has_parked(of_core, entry->position)
                         : !pending || sp_pending_at(of_core, entry->position, &ignored);
        if (!there) {
            bus_entry_done(group, entry);
            gone++;
        }
        i += group->count == count ? 1 : 0;
    }
    return gone;
}

/* An entry that may be handed out to somebody now, for the first time or again. */
static const char *judge_given(struct bus_system *sys, struct bus_group *group, uint64_t cursor,
                               const struct bus_given *given) {
    uint64_t p = given->position;
    const struct bus_entry *entry = bus_entry_find(group, p);
    bool dropped = p < sys->log.first; /* and read before */
    if (!dropped && !bus_model_has(&sys->model, &sys->log, group->key, p)) {
        return "that the key does not show";
    }
    if (sp_entry_id_compare(given->id, bus_entry_id(&sys->log, group->key, p)) != 0) {
        return "with a wrong id";
    }
    if (entry != NULL && entry->state == BUS_DONE) {
        return "that is done";
    }
    if (group->has_policy && entry != NULL) {
        bool due = entry->state == BUS_WAITING && entry->time_ms <= sys->call.until_ms;
        bool free = entry->state == BUS_PARKED && !bus_key_is_taken(group, entry->key, p);
        if (!due && !free) {
            return "that is in flight, dead, not due or behind another of its key";
        }
        /* Given up as dropped, and read again for a cursor that was set back: it is new. */
        bool anew = dropped && given->count == 1;
        return given->count == entry->count + 1 || anew ? NULL : "with a wrong count";
    }
    if (p <= cursor || p > bus_durable(sys)) {
        return "that is not between the cursor and the durable end";
    }
    if (!dropped && !bus_group_wants_it(&sys->model, &sys->log, group, p)) {
        return "that the policy does not ask for";
    }
    if (bus_key_is_taken(group, bus_order_key(&sys->log, group, p), p)) {
        return "though another of its key is in hand";
    }
    return given->count == 1 ? NULL : "the first time, with a count";
}

static void take_given(struct bus_system *sys, struct bus_group *group, uint64_t cursor,
                       uint32_t consumer, const struct bus_given *given, bool noack) {
    const char *fault = judge_given(sys, group, cursor, given);
    if (fault != NULL) {
        const struct bus_entry *at = bus_entry_find(group, given->position);
        uint32_t key_of = bus_order_key(&sys->log, group, given->position);
        for (size_t i = 0; i < group->count; i++) {
            const struct bus_entry *e = &group->entries[i];
            if (e->key == key_of && e->state < BUS_DONE) {
                sim_note(sys->world, "event %llu: key %x, state %d",
                         (unsigned long long)e->position, e->key, (int)e->state);
            }
        }
        sim_wrong(sys->world, "%s: event %llu was handed out %s (%s of %s, count %u, state %d)",
                  sys->call.what, (unsigned long long)given->position, fault,
                  bus_group_names[group->name], bus_key_texts[group->key], given->count,
                  at != NULL ? (int)at->state : -1);
        return;
    }
    struct bus_entry *entry = bus_entry_make(group, given->position);
    bool again = group->has_policy && (entry->state == BUS_WAITING || entry->state == BUS_PARKED);
    if (!again) {
        entry->key = bus_order_key(&sys->log, group, given->position);
    }
    if (noack && !again) {
        bool was = entry->state == BUS_FLIGHT;
        entry->state = was ? BUS_FLIGHT : BUS_DONE; /* of a plain group it stays whose it was */
        return;
    }
    entry->state = BUS_FLIGHT;
    entry->count = given->count;
    entry->consumer = consumer;
    entry->time_ms = sys->call.from_ms;
}

/* What the cursor has passed was handed out, is parked behind its key, or is in hand already. */
static void pass_cursor(struct bus_system *sys, struct bus_group *group, uint64_t before,
                        uint64_t cursor) {
    for (uint64_t p = before + 1; p <= cursor && !sys->world->wrong; p++) {
        bool dropped = p < sys->log.first; /* it may be parked all the same: see below */
        if (bus_entry_find(group, p) != NULL ||
            !bus_group_wanted_it(&sys->model, &sys->log, group, p)) {
            continue;
        }
        uint32_t key = bus_order_key(&sys->log, group, p);
        /* Behind a cursor that was moved back: also by later ones that are parked. */
        bool taken = key != 0 &&
                     (bus_key_is_taken(group, key, p) || bus_key_is_taken(group, key, UINT64_MAX));
        if (dropped && !taken) {
            continue;
        }
        if (!taken) {
            sim_wrong(sys->world, "%s: event %llu was passed over (%s of %s)", sys->call.what,
                      (unsigned long long)p, bus_group_names[group->name],
                      bus_key_texts[group->key]);
            return;
        }
        struct bus_entry *entry = bus_entry_make(group, p);
        entry->state = BUS_PARKED;
        entry->key = key;
    }
    group->cursor = cursor;
}

/* An order: parked entries between those handed out must come in their turn. */
static void take_all_given(struct bus_system *sys, struct bus_group *group, uint32_t consumer,
                           bool noack, uint64_t cursor_after) {
    uint64_t cursor = group->cursor;
    for (size_t i = 0; i < sys->given_count && !sys->world->wrong; i++) {
        const struct bus_given *given = &sys->given[i];
        bool fresh = given->position > group->cursor &&
                     (!group->has_policy || bus_entry_find(group, given->position) == NULL);
        if (fresh) {
            pass_cursor(sys, group, group->cursor, given->position - 1);
        }
        take_given(sys, group, cursor, consumer, given, noack);
        group->cursor = fresh ? given->position : group->cursor;
    }
    if (!sys->world->wrong) {
        pass_cursor(sys, group, group->cursor < cursor_after ? group->cursor : cursor_after,
                    cursor_after);
    }
    if (group->has_policy && group->policy.in_flight_max > 0 && !noack &&
        bus_group_count(group, BUS_FLIGHT) > group->policy.in_flight_max && sys->given_count > 0) {
        sim_wrong(sys->world, "%s: %llu are in flight, more than %u", sys->call.what,
                  (unsigned long long)bus_group_count(group, BUS_FLIGHT),
                  group->policy.in_flight_max);
    }
}

/* Times of entries in flight are the core's, within the call. */
static void take_times(struct bus_system *sys, struct bus_group *group) {
    const struct sp_group *of_core = core_group(sys, group->key, group->name);
    for (size_t i = 0; i < sys->given_count; i++) {
        struct bus_entry *entry = bus_entry_find(group, sys->given[i].position);
        struct sp_pending pending;
        if (entry != NULL && entry->state == BUS_FLIGHT && of_core != NULL &&
            sp_pending_at(of_core, entry->position, &pending) &&
            pending.time_ms >= sys->call.from_ms && pending.time_ms <= sys->call.until_ms) {
            entry->time_ms = pending.time_ms;
        }
    }
}

/* Tried again for a consumer, found to be gone, and there was no room to forget them. */
static void adopt_gone(struct bus_system *sys, struct bus_group *group,
                       const struct sp_group *of_core, uint32_t consumer) {
    for (size_t i = 0; i < group->count; i++) {
        struct bus_entry *entry = &group->entries[i];
        struct sp_pending pending;
        if (entry->state == BUS_WAITING && entry->position < sys->log.first &&
            sp_pending_at(of_core, entry->position, &pending) &&
            pending.count == entry->count + 1) {
            entry->state = BUS_FLIGHT;
            entry->count = pending.count;
            entry->time_ms = pending.time_ms;
            entry->consumer = consumer;
        }
    }
}

void bus_step_receive(struct bus_system *sys, struct bus_group *group, uint32_t consumer,
                      uint32_t count, bool noack) {
    struct sp_key key = bus_world_key(sys, group->key);
    const struct sp_bus_receive receive = {.key = &key,
                                           .group = sp_str_from(bus_group_names[group->name]),
                                           .consumer = sp_str_from(bus_consumer_names[consumer]),
                                           .count = count,
                                           .noack = noack};
    struct sp_error error = {.status = SP_OK};
    uint32_t given = 0;
    bool lives = bus_key_lives(sys, group->key);
    bool orders = group->has_policy && group->policy.order_by != SP_GROUP_ORDER_NONE;
    bus_call_begin(sys, noack ? "receive without ack" : "receive");
    sys->call.in_parts = true;
    sys->call.lazy = true;
    sp_status status = sp_bus_receive(sys->bus, &receive, bus_see, sys, &given, &error);
    if (noack && orders && status == SP_UNSUPPORTED) {
        status = SP_BUSY; /* where there was nothing to offer it is not said */
    }
    if (!bus_call_returned(sys, status, lives ? SP_OK : SP_NOT_FOUND, &error)) {
        return;
    }
    const struct sp_group *of_core = core_group(sys, group->key, group->name);
    if (lives && of_core != NULL) {
        group->consumers[consumer] =
            sp_consumer_find(of_core, receive.consumer) != SP_CONSUMER_NONE;
        uint32_t gone = bus_forget_gone(sys, group);
        take_all_given(sys, group, consumer, noack, sp_group_get(of_core).cursor.position);
        take_times(sys, group);
        adopt_gone(sys, group, of_core, consumer);
        bool forgot = bus_forget_gone(sys, group) + gone > 0;
        if (status == SP_OK && given != sys->given_count) {
            sim_wrong(sys->world, "receive: answered %u, gave %zu", given, sys->given_count);
        }
        /* Where the block is full, what went before is given all the same. */
        bool cut_short = given > 0 && sys->call.copied;
        uint64_t could =
            status == SP_OK && given < count && !forgot && !cut_short && !(noack && orders)
                ? bus_group_could_give(&sys->model, &sys->log, group, sys->call.from_ms,
                                       bus_durable(sys))
                : 0;
        if (could != 0) {
            sim_wrong(sys->world, "receive: gave %u of %u, event %llu was kept back (%s of %s)",
                      given, count, (unsigned long long)could, bus_group_names[group->name],
                      bus_key_texts[group->key]);
        }
        sys->blocked[group - sys->model.groups] = status == SP_OK && given == 0;
    }
    sim_note(sys->world, "%s of %s for %s: %zu", bus_group_names[group->name],
             bus_key_texts[group->key], bus_consumer_names[consumer], sys->given_count);
    bus_call_end(sys);
}

/* How many there are, as somebody who lets consumers wait asks. */
void bus_step_ready(struct bus_system *sys) {
    struct bus_group *group = bus_pick_group(sys);
    if (group == NULL || !bus_key_lives(sys, group->key)) {
        return;
    }
    const struct sp_group *of_core = core_group(sys, group->key, group->name);
    uint64_t now_ms = bus_world_now_ms(sys);
    uint32_t count = sp_bus_group_ready(sys->bus, of_core, 1 + sim_pick(sys->world, 20));
    uint64_t until_ms = bus_world_now_ms(sys);
    if (bus_is_blind(sys) || sys->lost) {
        return;
    }
    uint64_t could = bus_group_could_give(&sys->model, &sys->log, group, now_ms, bus_durable(sys));
    bool vague = now_ms != until_ms || bus_group_count(group, BUS_WAITING) > 0 ||
                 bus_group_count(group, BUS_PARKED) > 0 || sys->trims;
    bool orders = group->has_policy && group->policy.order_by != SP_GROUP_ORDER_NONE;
    if ((could != 0 && count == 0) ||
        (could == 0 && count > 0 && !vague && !orders && !group->has_policy)) {
        sim_wrong(sys->world, "%u are said to be ready, event %llu could go (%s of %s)", count,
                  (unsigned long long)could, bus_group_names[group->name],
                  bus_key_texts[group->key]);
    }
    sys->blocked[group - sys->model.groups] = false;
}

void bus_step_history(struct bus_system *sys) {
    struct bus_group *group = bus_pick_group(sys);
    if (group == NULL) {
        return;
    }
    uint32_t consumer = sim_pick(sys->world, BUS_CONSUMERS);
    struct sp_key key = bus_world_key(sys, group->key);
    uint32_t count = 1 + sim_pick(sys->world, 20);
    const struct sp_bus_receive receive = {.key = &key,
                                           .group = sp_str_from(bus_group_names[group->name]),
                                           .consumer = sp_str_from(bus_consumer_names[consumer]),
                                           .count = count};
    struct sp_error error = {.status = SP_OK};
    uint32_t given = 0;
    bool lives = bus_key_lives(sys, group->key);
    bus_call_begin(sys, "history");
    sys->call.in_parts = true;
    sys->call.lazy = true;
    sp_status status =
        sp_bus_history(sys->bus, &receive, SP_ENTRY_ID_NONE, bus_see, sys, &given, &error);
    if (!bus_call_returned(sys, status, lives ? SP_OK : SP_NOT_FOUND, &error)) {
        return;
    }
    size_t at = 0;
    for (size_t i = 0; i < sys->given_count; i++) {
        sim_note(sys->world, "gave event %llu, count %u",
                 (unsigned long long)sys->given[i].position, sys->given[i].count);
    }
    if (status == SP_OK) {
        group->consumers[consumer] = true;
    }
    for (size_t i = 0; status == SP_OK && i < group->count && at < count; i++) {
        struct bus_entry *entry = &group->entries[i];
        if (entry->state != BUS_FLIGHT || entry->consumer != consumer) {
            continue;
        }
        bool there = bus_model_has(&sys->model, &sys->log, group->key, entry->position);
        const struct bus_given *got = &sys->given[at++];
        entry->count += there ? 1 : 0;
        if (at > sys->given_count || (got->position != 0) != there || got->count != entry->count ||
            (there && got->position != entry->position)) {
            sim_wrong(sys->world, "history: event %llu, count %u, should be the %zuth of %zu",
                      (unsigned long long)entry->position, entry->count, at, sys->given_count);
            return;
        }
    }
    if (status == SP_OK && at != sys->given_count) {
        sim_wrong(sys->world, "history: %zu entries instead of %zu", sys->given_count, at);
    }
    if (status == SP_OK) {
        take_times(sys, group);
    }
    bus_call_end(sys);
}
