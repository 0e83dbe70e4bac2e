/* What becomes of entries in hand: acknowledged, refused, claimed, left behind, dug out. */
#include "engine/engine_int.h"
#include "sim/world_bus_int.h"

enum { IDS_MAX = 64, TOLD_MAX = 100 };

static const struct sp_group *core_group(struct bus_system *sys, const struct bus_group *group) {
    return sp_group_find(&sp_engine_core(sys->engine)->groups,
                         sp_str_from(bus_key_texts[group->key]),
                         sp_str_from(bus_group_names[group->name]));
}

static sp_str name_of(const struct bus_group *group) {
    return sp_str_from(bus_group_names[group->name]);
}

static bool is_pending(const struct bus_entry *entry) {
    return entry->state == BUS_FLIGHT || entry->state == BUS_WAITING;
}

/* Ids of entries that the group has, or had, some of them twice. */
static size_t pick_ids(struct bus_system *sys, const struct bus_group *group,
                       struct sp_entry_id *ids, size_t max, uint32_t percent) {
    size_t count = 0;
    for (size_t i = 0; i < group->count && count + 1 < max; i++) {
        const struct bus_entry *entry = &group->entries[i];
        uint32_t chance = is_pending(entry) ? percent : percent < 100 ? 2 : 0;
        if (sim_chance(sys->world, chance)) {
            ids[count++] = bus_entry_id(&sys->log, group->key, entry->position);
        }
    }
    if (count > 1 && sim_chance(sys->world, 20)) { /* in any order, and one twice */
        uint32_t i = sim_pick(sys->world, (uint32_t)count);
        ids[count++] = ids[i];
        ids[i] = ids[0];
    }
    return count;
}

/* ---- acknowledging ---- */

void bus_step_ack(struct bus_system *sys, struct bus_group *group, bool all) {
    struct sp_entry_id ids[IDS_MAX];
    struct sp_error error = {.status = SP_OK};
    struct sp_key key = bus_world_key(sys, group->key);
    size_t count = pick_ids(sys, group, ids, IDS_MAX, all ? 100 : 40);
    uint64_t done = 0;
    bool lives = bus_key_lives(sys, group->key);
    bus_call_begin(sys, "ack");
    sp_status status = sp_bus_ack(sys->bus, &key, name_of(group), ids, count, &done, &error);
    if (!bus_call_returned(sys, status, lives ? SP_OK : SP_NOT_FOUND, &error)) {
        return;
    }
    uint64_t expected = 0;
    for (size_t i = 0; status == SP_OK && i < count; i++) {
        struct bus_entry *entry = bus_entry_of_id(&sys->log, group, ids[i]);
        if (entry != NULL && is_pending(entry)) {
            bus_entry_done(group, entry);
            expected++;
        }
    }
    if (status == SP_OK && done != expected) {
        sim_wrong(sys->world, "ack: answered %llu instead of %llu (%s of %s)",
                  (unsigned long long)done, (unsigned long long)expected,
                  bus_group_names[group->name], bus_key_texts[group->key]);
    }
    sim_note(sys->world, "%s of %s: %llu of %zu are done", bus_group_names[group->name],
             bus_key_texts[group->key], (unsigned long long)done, count);
    bus_call_end(sys);
}

/* ---- refusing ---- */

void bus_step_nack(struct bus_system *sys) {
    struct sim_world *world = sys->world;
    struct bus_group *group = bus_pick_group(sys);
    if (group == NULL || group->count == 0) {
        return;
    }
    struct bus_entry *entry = &group->entries[sim_pick(world, (uint32_t)group->count)];
    for (size_t i = 0; i < group->count && entry->state != BUS_FLIGHT; i++) {
        entry = &group->entries[i];
    }
    struct sp_key key = bus_world_key(sys, group->key);
    struct sp_entry_id id = bus_entry_id(&sys->log, group->key, entry->position);
    struct sp_error error = {.status = SP_OK};
    sp_status expected = !bus_key_lives(sys, group->key) ? SP_NOT_FOUND
                         : !group->has_policy            ? SP_UNSUPPORTED
                         : entry->state != BUS_FLIGHT    ? SP_NOT_FOUND
                                                         : SP_OK;
    bus_call_begin(sys, "nack");
    struct bus_call *call = &sys->call;
    call->nack = (struct sp_bus_nack){.has_delay = sim_chance(world, 40),
                                      .delay_ms = sim_pick(world, 3000),
                                      .text = SP_STR("no \"good\""),
                                      .dead = sim_chance(world, 15)};
    call->cause = BUS_CAUSE_NACK;
    call->cause_group = (uint32_t)(group - sys->model.groups);
    call->cause_position = entry->position;
    bool dies = call->nack.dead || entry->count >= group->policy.deliveries_max;
    sp_status status = sp_bus_nack(sys->bus, &key, name_of(group), id, &call->nack, &error);
    if (!bus_call_returned(sys, status, expected, &error)) {
        return;
    }
    bus_call_told(sys, BUS_TOLD_DEAD, status == SP_OK && dies ? 1 : 0);
    bus_call_told(sys, BUS_TOLD_FAILED, status == SP_OK && !dies ? 1 : 0);
    bus_call_end(sys);
}

/* ---- more time ---- */

/* The core's time of an entry that was extended must lie within the call. */
static void take_extended(struct bus_system *sys, const struct bus_group *group,
                          struct bus_entry *entry, const uint64_t *ms) {
    const struct bus_call *call = &sys->call;
    struct sp_pending now = {.time_ms = 0};
    bool there = sp_pending_at(core_group(sys, group), entry->position, &now);
    uint64_t since_ms = now.time_ms;
    if (ms != NULL) {
        since_ms += group->policy.ack_wait_ms - *ms;
    }
    if (!there || now.count != entry->count || since_ms < call->from_ms ||
        since_ms > call->until_ms) {
        sim_wrong(sys->world, "extend: event %llu counts from %llu, delivery %u",
                  (unsigned long long)entry->position, (unsigned long long)now.time_ms, now.count);
    }
    entry->time_ms = now.time_ms;
}

void bus_step_extend(struct bus_system *sys) {
    struct sp_entry_id ids[IDS_MAX];
    struct sp_error error = {.status = SP_OK};
    struct bus_group *group = bus_pick_group(sys);
    if (group == NULL) {
        return;
    }
    struct sp_key key = bus_world_key(sys, group->key);
    uint64_t ms = sim_pick(sys->world, 5000);
    const uint64_t *given_ms = sim_chance(sys->world, 50) ? &ms : NULL;
    size_t count = pick_ids(sys, group, ids, IDS_MAX, 60);
    uint64_t done = 0;
    uint64_t expected = 0;
    sp_status right = !bus_key_lives(sys, group->key)          ? SP_NOT_FOUND
                      : given_ms != NULL && !group->has_policy ? SP_UNSUPPORTED
                                                               : SP_OK;
    bus_call_begin(sys, "extend");
    sp_status status =
        sp_bus_extend(sys->bus, &key, name_of(group), ids, count, given_ms, &done, &error);
    if (!bus_call_returned(sys, status, right, &error)) {
        return;
    }
    for (size_t i = 0; status == SP_OK && i < group->count; i++) {
        struct bus_entry *entry = &group->entries[i];
        struct sp_entry_id id = bus_entry_id(&sys->log, group->key, entry->position);
        for (size_t j = 0; entry->state == BUS_FLIGHT && j < count; j++) {
            if (sp_entry_id_compare(ids[j], id) == 0) {
                take_extended(sys, group, entry, given_ms);
                expected++;
                break;
            }
        }
    }
    if (status == SP_OK && done != expected) {
        sim_wrong(sys->world, "extend: answered %llu instead of %llu", (unsigned long long)done,
                  (unsigned long long)expected);
    }
    bus_call_end(sys);
}

/* ---- claiming ---- */

/* The clock may have been set back since. */
static bool has_been_idle(const struct bus_entry *entry, uint64_t idle_ms, uint64_t now_ms) {
    return (now_ms > entry->time_ms ? now_ms - entry->time_ms : 0) >= idle_ms;
}

static void take_claimed(struct bus_system *sys, struct bus_group *group, uint32_t consumer,
                         const struct sp_bus_claim *claim, size_t i) {
    const struct bus_given *given = &sys->given[i];
    struct bus_entry *entry = bus_entry_of_id(&sys->log, group, given->id);
    const struct bus_call *call = &sys->call;
    bool pending = entry != NULL && is_pending(entry);
    if (!pending && !(claim->force && !group->has_policy)) {
        sim_wrong(sys->world, "%s: an entry that is not pending", call->what);
        return;
    }
    if (!pending) { /* found by its id */
        for (uint64_t p = sys->log.first; p <= sys->model.position; p++) {
            if (bus_model_has(&sys->model, &sys->log, group->key, p) &&
                sp_entry_id_compare(bus_entry_id(&sys->log, group->key, p), given->id) == 0) {
                entry = bus_entry_make(group, p);
                entry->count = 1;
                entry->key = 0;
                break;
            }
        }
    }
    bool idle = entry != NULL && (entry->state != BUS_FLIGHT ||
                                  has_been_idle(entry, claim->idle_min_ms, call->until_ms));
    if (entry == NULL || !idle) {
        sim_wrong(sys->world, "%s: an entry that is unknown, or not idle so long", call->what);
        return;
    }
    entry->count =
        claim->has_retry_count ? claim->retry_count : entry->count + (claim->justid ? 0 : 1);
    if (given->count != entry->count) {
        sim_wrong(sys->world, "%s: event %llu has count %u instead of %u", call->what,
                  (unsigned long long)entry->position, given->count, entry->count);
    }
    struct sp_pending now = {.time_ms = 0};
    (void)sp_pending_at(core_group(sys, group), entry->position, &now);
    bool dated = claim->time_ms < call->from_ms;
    bool right = dated ? now.time_ms == claim->time_ms
                       : now.time_ms >= call->from_ms && now.time_ms <= call->until_ms;
    if (!right) {
        sim_wrong(sys->world, "%s: event %llu counts from %llu, now being %llu", call->what,
                  (unsigned long long)entry->position, (unsigned long long)now.time_ms,
                  (unsigned long long)call->from_ms);
    }
    entry->state = BUS_FLIGHT;
    entry->consumer = consumer;
    entry->time_ms = now.time_ms;
}

static bool was_given(const struct bus_system *sys, struct sp_entry_id id) {
    for (size_t i = 0; i < sys->given_count; i++) {
        if (sp_entry_id_compare(sys->given[i].id, id) == 0) {
            return true;
        }
    }
    return false;
}

static bool begin_claim(struct bus_system *sys, struct bus_group *group, uint32_t consumer,
                        struct sp_key *key, struct sp_bus_claim *claim) {
    *key = bus_world_key(sys, group->key);
    claim->key = key;
    claim->group = name_of(group);
    claim->consumer = sp_str_from(bus_consumer_names[consumer]);
    claim->time_ms = UINT64_MAX;
    return bus_key_lives(sys, group->key);
}

static void end_claim(struct bus_system *sys, struct bus_group *group, uint32_t consumer,
                      const struct sp_bus_claim *claim, sp_status status) {
    const struct sp_group *of_core = core_group(sys, group);
    if (of_core != NULL) {
        group->consumers[consumer] = sp_consumer_find(of_core, claim->consumer) != SP_CONSUMER_NONE;
    }
    for (size_t i = 0; status == SP_OK && i < sys->given_count && !sys->world->wrong; i++) {
        take_claimed(sys, group, consumer, claim, i);
    }
    uint32_t gone = bus_forget_gone(sys, group);
    sys->call.lazy = sys->given_count + gone == 0; /* that a consumer was made is no answer */
    bus_call_end(sys);
}

void bus_step_claim(struct bus_system *sys) {
    struct sim_world *world = sys->world;
    struct bus_group *group = bus_pick_group(sys);
    if (group == NULL) {
        return;
    }
    struct sp_entry_id ids[IDS_MAX];
    struct sp_error error = {.status = SP_OK};
    struct sp_key key;
    uint32_t consumer = sim_pick(world, BUS_CONSUMERS);
    struct sp_bus_claim claim = {.idle_min_ms = sim_chance(world, 50) ? 0 : sim_pick(world, 3000),
                                 .justid = sim_chance(world, 30),
                                 .force = sim_chance(world, 20),
                                 .has_retry_count = sim_chance(world, 15),
                                 .retry_count = sim_pick(world, 6)};
    bool lives = begin_claim(sys, group, consumer, &key, &claim);
    claim.time_ms =
        sim_chance(world, 20) ? bus_world_now_ms(sys) - sim_pick(world, 2000) : UINT64_MAX;
    size_t count = pick_ids(sys, group, ids, IDS_MAX, 50);
    if (group->has_policy && claim.force) {
        return;
    }
    bus_call_begin(sys, "claim");
    sys->call.in_parts = true;
    sp_status status = sp_bus_claim(sys->bus, &claim, ids, count, bus_see, sys, &error);
    if (!bus_call_returned(sys, status, lives ? SP_OK : SP_NOT_FOUND, &error)) {
        return;
    }
    for (size_t i = 0; status == SP_OK && i < count; i++) { /* none that was to be had is missing */
        struct bus_entry *entry = bus_entry_of_id(&sys->log, group, ids[i]);
        bool had = entry != NULL && entry->state == BUS_FLIGHT &&
                   has_been_idle(entry, claim.idle_min_ms, sys->call.from_ms) &&
                   bus_model_has(&sys->model, &sys->log, group->key, entry->position) &&
                   entry->position <= bus_durable(sys);
        if (had && !was_given(sys, ids[i])) {
            sim_wrong(world, "claim: event %llu was not given",
                      (unsigned long long)entry->position);
        }
    }
    end_claim(sys, group, consumer, &claim, status);
}

static void see_gone(void *context, struct sp_entry_id id) {
    struct bus_system *sys = context;
    (void)id;
    sim_note(sys->world, "one is gone");
}

void bus_step_autoclaim(struct bus_system *sys, struct bus_group *group, uint64_t idle_ms) {
    struct sp_error error = {.status = SP_OK};
    struct sp_key key;
    struct sp_entry_id next = SP_ENTRY_ID_NONE;
    uint32_t consumer = sim_pick(sys->world, BUS_CONSUMERS);
    uint32_t count = 1 + sim_pick(sys->world, 30);
    struct sp_bus_claim claim = {.idle_min_ms = idle_ms, .justid = sim_chance(sys->world, 30)};
    bool lives = begin_claim(sys, group, consumer, &key, &claim);
    bus_call_begin(sys, "autoclaim");
    sys->call.in_parts = true;
    sp_status status = sp_bus_autoclaim(sys->bus, &claim, SP_ENTRY_ID_NONE, count, bus_see,
                                        see_gone, sys, &next, &error);
    if (!bus_call_returned(sys, status, lives ? SP_OK : SP_NOT_FOUND, &error)) {
        return;
    }
    for (size_t i = 0; status == SP_OK && i < group->count; i++) {
        const struct bus_entry *entry = &group->entries[i];
        struct sp_entry_id id = bus_entry_id(&sys->log, group->key, entry->position);
        bool passed = sp_entry_id_is_none(next) || sp_entry_id_compare(id, next) < 0;
        if (passed && entry->state == BUS_FLIGHT &&
            has_been_idle(entry, idle_ms, sys->call.from_ms) && !was_given(sys, id) &&
            bus_model_has(&sys->model, &sys->log, group->key, entry->position)) {
            sim_wrong(sys->world, "autoclaim: event %llu was passed over",
                      (unsigned long long)entry->position);
        }
    }
    end_claim(sys, group, consumer, &claim, status);
}

/* ---- leaving ---- */

/* How many of what a consumer has wait for another attempt when it leaves, and how many die. */
static void count_leaving(const struct bus_group *group, uint32_t consumer, uint32_t *ret_failed,
                          uint32_t *ret_dead) {
    *ret_failed = 0;
    *ret_dead = 0;
    for (size_t i = 0; i < group->count; i++) {
        const struct bus_entry *entry = &group->entries[i];
        if (entry->state == BUS_FLIGHT && entry->consumer == consumer) {
            bool dies = entry->count >= group->policy.deliveries_max;
            *ret_failed += dies ? 0 : 1;
            *ret_dead += dies ? 1 : 0;
        }
    }
}

static void begin_leaving(struct bus_system *sys, const struct bus_group *group, uint32_t consumer,
                          const char *what) {
    bus_call_begin(sys, what);
    sys->call.in_parts = true;
    sys->call.cause = BUS_CAUSE_LEAVE;
    sys->call.cause_group = (uint32_t)(group - sys->model.groups);
    sys->call.cause_consumer = consumer;
}

/* The connection of a consumer is gone. */
void bus_step_leave(struct bus_system *sys) {
    struct bus_group *group = bus_pick_group(sys);
    if (group == NULL) {
        return;
    }
    uint32_t consumer = sim_pick(sys->world, BUS_CONSUMERS);
    uint32_t failed;
    uint32_t dead;
    struct sp_error error = {.status = SP_OK};
    count_leaving(group, consumer, &failed, &dead);
    if (failed + dead > TOLD_MAX) { /* the rest would leave without an event */
        return;
    }
    begin_leaving(sys, group, consumer, "leave");
    sp_status status = sp_bus_consumer_left(sys->bus, group->number,
                                            sp_str_from(bus_consumer_names[consumer]), &error);
    if (!bus_call_returned(sys, status, SP_OK, &error)) {
        return;
    }
    bool stays = !group->has_policy || group->policy.keep_on_leave;
    if (status == SP_OK && !sys->world->wrong) {
        bus_call_told(sys, BUS_TOLD_FAILED, stays ? 0 : failed);
        bus_call_told(sys, BUS_TOLD_DEAD, stays ? 0 : dead);
    }
    sys->call.told[BUS_TOLD_FAILED] = 0;
    sys->call.told[BUS_TOLD_DEAD] = 0;
    bus_call_end(sys);
}

static void drop_consumer(struct bus_system *sys, struct bus_group *group, uint32_t consumer) {
    struct sp_key key = bus_world_key(sys, group->key);
    struct sp_error error = {.status = SP_OK};
    uint32_t failed;
    uint32_t dead;
    uint64_t pending = 0;
    bool lives = bus_key_lives(sys, group->key);
    count_leaving(group, consumer, &failed, &dead);
    if (failed + dead > TOLD_MAX) { /* the rest would leave without an event */
        return;
    }
    begin_leaving(sys, group, consumer, "drop consumer");
    sp_status status =
        sp_bus_consumer_drop(sys->bus, &key, name_of(group),
                             sp_str_from(bus_consumer_names[consumer]), &pending, &error);
    if (!bus_call_returned(sys, status, lives ? SP_OK : SP_NOT_FOUND, &error)) {
        return;
    }
    if (status == SP_OK) {
        if (pending != (uint64_t)failed + dead) {
            sim_wrong(sys->world, "drop consumer: answered %llu pending instead of %u",
                      (unsigned long long)pending, failed + dead);
        }
        bus_call_told(sys, BUS_TOLD_FAILED, group->has_policy ? failed : 0);
        bus_call_told(sys, BUS_TOLD_DEAD, group->has_policy ? dead : 0);
        group->consumers[consumer] = false;
        for (size_t i = group->count; !group->has_policy && i > 0; i--) {
            struct bus_entry *entry = &group->entries[i - 1];
            if (entry->state == BUS_FLIGHT && entry->consumer == consumer) {
                bus_entry_done(group, entry); /* as Redis does */
            }
        }
    }
    sys->call.told[BUS_TOLD_FAILED] = 0;
    sys->call.told[BUS_TOLD_DEAD] = 0;
    bus_call_end(sys);
}

void bus_step_consumer(struct bus_system *sys) {
    struct bus_group *group = bus_pick_group(sys);
    if (group == NULL) {
        return;
    }
    uint32_t consumer = sim_pick(sys->world, BUS_CONSUMERS);
    if (sim_chance(sys->world, 60)) {
        drop_consumer(sys, group, consumer);
        return;
    }
    struct sp_key key = bus_world_key(sys, group->key);
    struct sp_error error = {.status = SP_OK};
    bool made = false;
    bool lives = bus_key_lives(sys, group->key);
    bus_call_begin(sys, "make consumer");
    sp_status status = sp_bus_consumer_make(
        sys->bus, &key, name_of(group), sp_str_from(bus_consumer_names[consumer]), &made, &error);
    if (!bus_call_returned(sys, status, lives ? SP_OK : SP_NOT_FOUND, &error)) {
        return;
    }
    if (status == SP_OK) {
        if (made == group->consumers[consumer]) {
            sim_wrong(sys->world, "make consumer: it was there: %d, answered %d",
                      group->consumers[consumer], made);
        }
        group->consumers[consumer] = true;
    }
    bus_call_end(sys);
}

/* ---- the dead ---- */

void bus_step_dig(struct bus_system *sys, struct bus_group *group, bool redrive, bool all) {
    struct sp_entry_id ids[IDS_MAX];
    struct sp_error error = {.status = SP_OK};
    struct sp_key key = bus_world_key(sys, group->key);
    size_t count = 0;
    uint64_t dead = bus_group_count(group, BUS_DEAD);
    for (size_t i = 0; i < group->count && count < IDS_MAX; i++) {
        if (group->entries[i].state == BUS_DEAD && sim_chance(sys->world, 50)) {
            ids[count++] = bus_entry_id(&sys->log, group->key, group->entries[i].position);
        }
    }
    bool first = all || sim_chance(sys->world, 40);
    size_t wanted = !first ? count : all ? 0 : sim_pick(sys->world, 5);
    uint64_t done = 0;
    bool lives = bus_key_lives(sys, group->key);
    bus_call_begin(sys, redrive ? "redrive" : "discard");
    sys->call.in_parts = true;
    sp_status status = redrive ? sp_bus_redrive(sys->bus, &key, name_of(group), first ? NULL : ids,
                                                wanted, &done, &error)
                               : sp_bus_discard(sys->bus, &key, name_of(group), first ? NULL : ids,
                                                wanted, &done, &error);
    if (!bus_call_returned(sys, status, lives ? SP_OK : SP_NOT_FOUND, &error)) {
        return;
    }
    uint64_t expected = first && (wanted == 0 || wanted > dead) ? dead : wanted;
    bool in_part = done > 0 && done < expected; /* of very many; the block was full */
    if (status == SP_OK && done != expected && !in_part) {
        sim_wrong(sys->world, "%s: answered %llu of %llu, %llu are dead", sys->call.what,
                  (unsigned long long)done, (unsigned long long)expected, (unsigned long long)dead);
    }
    bus_call_told(sys, redrive ? BUS_TOLD_REDRIVEN : BUS_TOLD_DISCARDED,
                  status == SP_OK ? (uint32_t)done : 0);
    bus_call_end(sys);
}
