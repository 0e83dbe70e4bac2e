/* A call of the bus, and what the model makes of it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "engine/engine_int.h"
#include "sim/world_bus_int.h"

enum { NEAR_BYTES = 40 << 10 };

/* ---- blocks ---- */

static uint64_t hash_of_core(struct bus_system *sys, bool with_ops) {
    struct sp_core *core = &sys->engine->core;
    uint64_t number = core->control_number;
    core->control_number += with_ops && sys->engine->ops.bytes.len > 0 ? 1 : 0;
    uint64_t hash = sp_core_hash(core);
    core->control_number = number;
    return hash;
}

static void keep(struct bus_system *sys, uint64_t block, const struct bus_model *model,
                 uint64_t hash) {
    struct bus_boundary *boundary = &sys->boundaries[block % BUS_BOUNDARIES];
    boundary->known = model != NULL;
    boundary->block = block;
    boundary->hash = hash;
    if (model != NULL) {
        bus_model_copy(&boundary->model, model);
    }
}

void bus_keep_boundary(struct bus_system *sys) {
    const struct sp_engine *engine = sys->engine;
    if (engine->open.record_count > 0 || engine->ops.bytes.len > 0) {
        bool blind = bus_is_blind(sys) || sys->lost;
        keep(sys, engine->progress.head_block + 1, blind ? NULL : &sys->model,
             hash_of_core(sys, true));
    }
}

/* A block may be cut within the call: then what was before is needed. */
static bool may_cut(const struct sp_engine *engine) {
    size_t bytes = engine->open.body_bytes + engine->ops.bytes.len + NEAR_BYTES;
    return bytes > engine->block_bytes_max || bytes > CUT_BYTES;
}

void bus_call_begin(struct bus_system *sys, const char *what) {
    sys->call = (struct bus_call){.what = what,
                                  .head = sys->engine->progress.head_block,
                                  .position = sys->engine->core.position,
                                  .from_ms = bus_world_now_ms(sys),
                                  .live_from_ms = bus_world_live_ms(sys),
                                  .hash = hash_of_core(sys, true)};
    sys->given_count = 0;
    if (may_cut(sys->engine)) {
        sys->call.copied = true;
        bus_model_copy(&sys->before, &sys->model);
    }
}

/* Blocks that were cut within the call: where its own decisions are tells what they end with. */
static void keep_cut_blocks(struct bus_system *sys) {
    const struct sp_engine *engine = sys->engine;
    uint64_t head = engine->progress.head_block;
    bool blind = bus_is_blind(sys) || sys->lost;
    if (blind && sys->call.copied) {
        keep(sys, sys->call.head + 1, NULL, 0);
    }
    for (uint64_t block = sys->call.head + 1; block <= head; block++) {
        bool changed = hash_of_core(sys, true) != sys->call.hash;
        bool behind = engine->open.record_count > 0 || engine->ops.bytes.len > 0;
        if (blind || block < head || !sys->call.copied) {
            keep(sys, block, NULL, 0);
        } else if (!behind) {
            keep(sys, block, &sys->model, hash_of_core(sys, false));
        } else if (!changed) {
            keep(sys, block, &sys->before, sys->call.hash);
        } else {
            keep(sys, block, NULL, 0);
        }
        sim_note(sys->world, "block %llu was cut within %s", (unsigned long long)block,
                 sys->call.what);
    }
}

/* ---- events ---- */

uint64_t bus_hash_event(const struct sp_event *event) {
    uint64_t hash = sp_hash_seeded(&event->version, sizeof(event->version), event->position);
    for (int i = 0; i < SP_ATTR_COUNT; i++) {
        if (event->attr[i].ptr != NULL) {
            hash = sp_hash_seeded(event->attr[i].ptr, event->attr[i].len, hash + (uint64_t)i);
        }
    }
    for (uint16_t i = 0; i < event->extension_count; i++) {
        hash = sp_hash_seeded(event->extensions[i].value.ptr, event->extensions[i].value.len, hash);
    }
    return event->data.len > 0 ? sp_hash_seeded(event->data.ptr, event->data.len, hash) : hash;
}

static void copy_text(char *to, size_t size, sp_str text) {
    size_t len = text.len < size - 1 ? text.len : size - 1;
    if (len > 0) {
        memcpy(to, text.ptr, len);
    }
    to[len] = '\0';
}

/* The number behind a member of JSON that the store or this world has written. */
static bool json_number(sp_str data, const char *member, uint64_t *ret_number) {
    size_t len = strlen(member);
    for (size_t i = 0; i + len < data.len; i++) {
        if (memcmp(data.ptr + i, member, len) == 0) {
            uint64_t number = 0;
            bool any = false;
            for (size_t k = i + len; k < data.len && data.ptr[k] >= '0' && data.ptr[k] <= '9';
                 k++) {
                number = number * 10 + (uint64_t)(data.ptr[k] - '0');
                any = true;
            }
            *ret_number = number;
            return any;
        }
    }
    return false;
}

static void remember(struct bus_system *sys, const struct sp_event *event) {
    struct bus_event *to = bus_log_add(&sys->log);
    uint64_t n;
    to->stream = bus_log_name(&sys->log, event->attr[SP_ATTR_STREAM]);
    to->version = event->version;
    to->of_log = sp_entry_id_of_log(event->recorded_us, event->entry_seq);
    to->id = sp_event_entry_id(event);
    to->hash = bus_hash_event(event);
    to->own = event->attr[SP_ATTR_STREAM].ptr[0] == '$';
    to->n = !to->own && json_number(event->data, "\"n\":", &n) ? (int)n : -1;
    copy_text(to->type, sizeof(to->type), event->attr[SP_ATTR_TYPE]);
    copy_text(to->source, sizeof(to->source), event->attr[SP_ATTR_SOURCE]);
    copy_text(to->id_text, sizeof(to->id_text), event->attr[SP_ATTR_ID]);
    copy_text(to->run, sizeof(to->run), event->attr[SP_ATTR_CORRELATION]);
}

/* ---- what the store tells of itself ---- */

static const char *const told_types[BUS_TOLD_COUNT] = {
    [BUS_TOLD_CREATED] = "group.created",       [BUS_TOLD_MOVED] = "group.moved",
    [BUS_TOLD_POLICY] = "group.policy_changed", [BUS_TOLD_DROPPED] = "group.deleted",
    [BUS_TOLD_FAILED] = "delivery.failed",      [BUS_TOLD_DEAD] = "delivery.dead_lettered",
    [BUS_TOLD_REDRIVEN] = "delivery.redriven",  [BUS_TOLD_DISCARDED] = "delivery.discarded",
    [BUS_TOLD_TRIMMED] = "stream.trimmed",      [BUS_TOLD_HIDDEN] = "stream.entries_deleted",
    [BUS_TOLD_DELETED] = "stream.deleted",      [BUS_TOLD_EXPIRED] = "stream.expired",
    [BUS_TOLD_RENAMED] = "stream.renamed",      [BUS_TOLD_SUSPECTED] = "agent.suspected_failure",
    [BUS_TOLD_RECOVERED] = "agent.recovered",
};

static struct bus_group *group_of_stream(struct bus_system *sys, sp_str stream) {
    size_t prefix = sp_str_starts_with(stream, SP_STR("$dead:")) ? 6 : 7;
    for (int i = 0; i < BUS_GROUPS; i++) {
        struct bus_group *group = &sys->model.groups[i];
        char name[BUS_NAME_SIZE];
        int len = snprintf(name, sizeof(name), "%s:%s", bus_key_texts[group->key],
                           bus_group_names[group->name]);
        if (group->used &&
            sp_str_eq(sp_str_from_byte(stream, prefix), sp_str_of(name, (size_t)len))) {
            return group;
        }
    }
    return NULL;
}

static uint64_t backoff_of(const struct sp_group_policy *policy, uint32_t count) {
    double ms = (double)policy->backoff_first_ms;
    for (uint32_t i = 1; i < count && ms < (double)policy->backoff_max_ms; i++) {
        ms = ms * policy->backoff_factor_milli / 1000.0;
    }
    ms = ms < (double)policy->backoff_max_ms ? ms : (double)policy->backoff_max_ms;
    return (uint64_t)ms;
}

/* The time at which it is due lies where the policy, or who refused it, wanted it. */
static bool is_due_right(const struct bus_system *sys, const struct bus_group *group,
                         const struct bus_entry *entry, uint64_t due_ms) {
    const struct bus_call *call = &sys->call;
    if (call->cause == BUS_CAUSE_LEAVE) {
        return due_ms >= call->from_ms && due_ms <= call->until_ms;
    }
    if (call->cause == BUS_CAUSE_NACK && call->nack.has_delay) {
        return due_ms >= call->from_ms + call->nack.delay_ms &&
               due_ms <= call->until_ms + call->nack.delay_ms;
    }
    uint64_t backoff_ms = backoff_of(&group->policy, entry->count);
    uint64_t span_ms = backoff_ms * group->policy.backoff_jitter_milli / 1000 + 2 + entry->count;
    return due_ms + span_ms >= call->from_ms + backoff_ms &&
           due_ms <= call->until_ms + backoff_ms + span_ms;
}

/* Whether an attempt at the entry may end now. */
static bool may_fail(const struct bus_system *sys, const struct bus_group *group,
                     const struct bus_entry *entry) {
    const struct bus_call *call = &sys->call;
    switch (call->cause) {
    case BUS_CAUSE_NONE:
        return false;
    case BUS_CAUSE_TIME:
        return entry->time_ms + group->policy.ack_wait_ms <= call->until_ms;
    case BUS_CAUSE_NACK:
        return group == &sys->model.groups[call->cause_group] &&
               entry->position == call->cause_position;
    case BUS_CAUSE_LEAVE:
        return group == &sys->model.groups[call->cause_group] &&
               entry->consumer == call->cause_consumer;
    }
    return false;
}

static void entry_failed(struct bus_system *sys, struct bus_group *group, struct bus_entry *entry,
                         uint64_t attempt) {
    struct sp_pending pending;
    const struct sp_group *of_core = sp_group_at(&sys->engine->core.groups, group->number);
    if (!group->has_policy || entry->state != BUS_FLIGHT || !may_fail(sys, group, entry) ||
        entry->count >= group->policy.deliveries_max || attempt != entry->count) {
        sim_wrong(sys->world,
                  "%s: told that attempt %llu at event %llu failed, it had %u, state %d",
                  sys->call.what, (unsigned long long)attempt, (unsigned long long)entry->position,
                  entry->count, (int)entry->state);
        return;
    }
    if (of_core == NULL || !sp_pending_at(of_core, entry->position, &pending) ||
        pending.state != SP_PENDING_WAITING) {
        sim_wrong(sys->world, "%s: told that event %llu failed, but it does not wait",
                  sys->call.what, (unsigned long long)entry->position);
        return;
    }
    if (!is_due_right(sys, group, entry, pending.time_ms)) {
        sim_wrong(sys->world, "%s: event %llu is due at %llu, now being %llu, after %u attempts",
                  sys->call.what, (unsigned long long)entry->position,
                  (unsigned long long)pending.time_ms, (unsigned long long)sys->call.from_ms,
                  entry->count);
    }
    entry->state = BUS_WAITING;
    entry->time_ms = pending.time_ms;
}

static void entry_died(struct bus_system *sys, struct bus_group *group, struct bus_entry *entry,
                       uint64_t attempt, uint64_t letter) {
    bool refused = sys->call.cause == BUS_CAUSE_NACK && sys->call.nack.dead;
    if (!group->has_policy || entry->state != BUS_FLIGHT || !may_fail(sys, group, entry) ||
        attempt != entry->count || (!refused && entry->count < group->policy.deliveries_max)) {
        sim_wrong(sys->world,
                  "%s: told that event %llu is dead after %llu attempts, it had %u of %u",
                  sys->call.what, (unsigned long long)entry->position, (unsigned long long)attempt,
                  entry->count, group->policy.deliveries_max);
        return;
    }
    entry->state = BUS_DEAD;
    entry->reason = refused ? SP_DEAD_REFUSED : SP_DEAD_ATTEMPTS;
    entry->letter = letter;
}

static void entry_dug(struct bus_system *sys, struct bus_group *group, struct bus_entry *entry,
                      bool back) {
    if (entry->state != BUS_DEAD) {
        sim_wrong(sys->world, "%s: told that event %llu is dead no more, it was not",
                  sys->call.what, (unsigned long long)entry->position);
    } else if (!back) {
        bus_entry_done(group, entry);
    } else {
        bool parks = group->policy.order_by != SP_GROUP_ORDER_NONE && entry->key != 0;
        struct sp_pending pending = {.time_ms = sys->call.from_ms};
        const struct sp_group *of_core = sp_group_at(&sys->engine->core.groups, group->number);
        (void)sp_pending_at(of_core, entry->position, &pending);
        entry->state = parks ? BUS_PARKED : BUS_WAITING;
        entry->count = 0;
        entry->time_ms = pending.time_ms;
        if (!parks && pending.time_ms > sys->call.until_ms) {
            sim_wrong(sys->world, "event %llu was redriven and is not due",
                      (unsigned long long)entry->position);
        }
    }
}

static void told_of_delivery(struct bus_system *sys, const struct sp_event *event,
                             enum bus_told kind) {
    struct bus_group *group = group_of_stream(sys, event->attr[SP_ATTR_STREAM]);
    uint64_t position = 0;
    uint64_t attempt = 0;
    (void)json_number(event->data, "\"position\":", &position);
    (void)json_number(event->data, "\"attempt\":", &attempt);
    struct bus_entry *entry = group != NULL ? bus_entry_find(group, position) : NULL;
    if (entry == NULL) {
        sim_wrong(sys->world, "%s: told of event %llu in a group that does not have it",
                  sys->call.what, (unsigned long long)position);
        return;
    }
    const struct bus_event *cause = &sys->log.events[position - 1];
    bool kept = position >= sys->log.first;
    if (kept && (!sp_str_eq(event->attr[SP_ATTR_CAUSATION], sp_str_from(cause->id_text)) ||
                 !sp_str_eq(event->attr[SP_ATTR_CORRELATION], sp_str_from(cause->run)))) {
        sim_wrong(sys->world, "%s: told of event %llu with a wrong cause", sys->call.what,
                  (unsigned long long)position);
    }
    if (kind == BUS_TOLD_FAILED) {
        entry_failed(sys, group, entry, attempt);
    } else if (kind == BUS_TOLD_DEAD) {
        entry_died(sys, group, entry, attempt, event->position);
    } else {
        entry_dug(sys, group, entry, kind == BUS_TOLD_REDRIVEN);
    }
}

/* Streams expire when they are named, and by themselves. */
static void told_of_end(struct bus_system *sys, const struct sp_event *event, bool expired) {
    sp_str key = sp_str_from_byte(event->attr[SP_ATTR_STREAM], 8);
    for (uint32_t i = 0; i < BUS_KEYS; i++) {
        if (sp_str_eq(key, sp_str_from(bus_key_texts[i]))) {
            const struct bus_stream *stream =
                bus_model_stream(&sys->model, sys->model.key_stream[i]);
            if (!stream->exists ||
                (expired && (stream->expire_ms == 0 || stream->expire_ms > sys->call.until_ms))) {
                sim_wrong(sys->world, "%s: told that %s went, exists %d, expires %llu",
                          sys->call.what, bus_key_texts[i], stream->exists,
                          (unsigned long long)stream->expire_ms);
            }
            bus_model_delete(&sys->model, &sys->log, i);
            return;
        }
    }
    sim_wrong(sys->world, "%s: told that a key went which nobody knows", sys->call.what);
}

static void hear_told(struct bus_system *sys, const struct sp_event *event) {
    for (int kind = 0; kind < BUS_TOLD_COUNT; kind++) {
        if (!sp_str_eq(event->attr[SP_ATTR_TYPE], sp_str_from(told_types[kind]))) {
            continue;
        }
        sys->call.told[kind]++;
        sim_note(sys->world, "told %s, event %llu", told_types[kind],
                 (unsigned long long)event->position);
        if (kind >= BUS_TOLD_FAILED && kind <= BUS_TOLD_DISCARDED) {
            told_of_delivery(sys, event, (enum bus_told)kind);
        } else if (kind == BUS_TOLD_DELETED || kind == BUS_TOLD_EXPIRED) {
            told_of_end(sys, event, kind == BUS_TOLD_EXPIRED);
        } else if (kind == BUS_TOLD_SUSPECTED || kind == BUS_TOLD_RECOVERED) {
            bus_agents_told(sys, event, kind == BUS_TOLD_RECOVERED);
        }
        return;
    }
    sim_wrong(sys->world, "%s: an event of an unknown type in a stream of the store's own",
              sys->call.what);
}

static bool absorb(struct bus_system *sys, uint64_t position) {
    char scratch[SP_RECORD_SCRATCH_BYTES];
    struct sp_record record;
    struct sp_event event;
    struct sp_error error = {.status = SP_OK};
    sp_status status = engine_record(sys->engine, position, &record, &error);
    status = status == SP_OK ? sp_record_decode(&record, scratch, &event) : status;
    if (status != SP_OK) {
        if (bus_is_blind(sys)) {
            sys->lost = true;
        } else {
            sim_wrong(sys->world, "%s: event %llu cannot be looked up: %s", sys->call.what,
                      (unsigned long long)position, error.text);
        }
        return false;
    }
    remember(sys, &event);
    const char *fault = bus_model_add(&sys->model, &sys->log);
    if (fault != NULL) {
        sim_wrong(sys->world, "%s: event %llu: %s", sys->call.what, (unsigned long long)position,
                  fault);
    } else if (sys->log.events[position - 1].own) {
        hear_told(sys, &event);
    } else {
        bus_agents_heard(sys, &event);
    }
    return !sys->world->wrong;
}

/* ---- calls ---- */

static bool is_excused(const struct bus_system *sys, sp_status status) {
    return status == SP_BUSY || (sys->world->full && status == SP_NO_SPACE) ||
           (sim_excused(sys->world) && status != SP_OK && status != SP_CONFLICT);
}

bool bus_call_returned(struct bus_system *sys, sp_status status, sp_status expected,
                       const struct sp_error *error) {
    struct bus_call *call = &sys->call;
    call->until_ms = bus_world_now_ms(sys);
    sim_note(sys->world, "%s: %s", call->what, sp_status_name(status));
    if (sys->lost || bus_is_blind(sys)) {
        sys->lost =
            sys->lost || (sys->engine->state == SP_OK && !sim_disk_is_down(sys->world->disk));
        keep_cut_blocks(sys);
        return false;
    }
    if (status != expected && !is_excused(sys, status)) {
        sim_wrong(sys->world, "%s: %s instead of %s: %s", call->what, sp_status_name(status),
                  sp_status_name(expected), status != SP_OK ? error->text : "");
        return false;
    }
    const struct sp_core *core = &sys->engine->core;
    for (uint64_t p = call->position + 1; p <= core->position; p++) {
        if (!absorb(sys, p)) {
            return false;
        }
    }
    bool same = hash_of_core(sys, true) == call->hash;
    if (status != SP_OK && !call->in_parts && !same && call->told[BUS_TOLD_EXPIRED] == 0) {
        sim_wrong(sys->world, "%s: %s, and yet something happened", call->what,
                  sp_status_name(status));
    }
    return !sys->world->wrong;
}

void bus_call_told(struct bus_system *sys, enum bus_told kind, uint32_t count) {
    if (!sys->world->wrong && sys->call.told[kind] != count) {
        sim_wrong(sys->world, "%s: told %u times of %s, not %u times", sys->call.what,
                  sys->call.told[kind], told_types[kind], count);
    }
    sys->call.told[kind] = 0;
}

void bus_note_passed(struct bus_system *sys) {
    if (sys->gate_calls > sys->kept_calls && sp_bus_passed(sys->bus, sys->gate)) {
        sys->kept_calls = sys->gate_calls;
    }
}

/* The answer would go out as soon as the gate has passed. */
static void promise(struct bus_system *sys) {
    bus_note_passed(sys);
    sys->model.calls++;
    if (sys->gate_calls == sys->kept_calls || sp_bus_gate(sys->bus) == sys->gate) {
        sys->gate = sp_bus_gate(sys->bus);
        sys->gate_calls = sys->model.calls;
        bus_note_passed(sys);
    }
}

void bus_call_end(struct bus_system *sys) {
    if (!sys->call.lazy && hash_of_core(sys, true) != sys->call.hash) {
        promise(sys);
    }
    sys->call.told[BUS_TOLD_EXPIRED] = 0;
    for (int kind = 0; kind < BUS_TOLD_COUNT; kind++) {
        if (sys->call.told[kind] != 0) {
            sim_wrong(sys->world, "%s: told of %s for no reason", sys->call.what, told_types[kind]);
        }
    }
    keep_cut_blocks(sys);
    if (!sys->world->wrong) {
        bus_compare(sys);
    }
}
