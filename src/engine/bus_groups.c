/*
 * Groups: made, moved, given policies and dropped, and told of by events; and which of them an
 * event that comes live is for. A live event asks for its stream, source and correlation among the
 * keys that have groups, and goes through one trie of all their types: its cost follows what
 * matches.
 */
#include "engine/bus_groups.h"

#include <stdlib.h>

#include "base/hash.h"
#include "engine/bus_int.h"

enum { SLOTS_MAX = SP_GROUPS_MAX + 1 };

/* ---- blocks ---- */

sp_status bus_hold(struct sp_bus *bus, size_t bytes, uint32_t events, bool *ret_held,
                   struct sp_error *error) {
    *ret_held = bus->engine->held; /* within the caller's own begin and end */
    return *ret_held ? SP_OK : sp_engine_begin(bus->engine, bytes, events, error);
}

void bus_release(struct sp_bus *bus, bool held) {
    if (!held) {
        sp_engine_end(bus->engine);
    }
}

/* ---- the bus's side of a group ---- */

static uint64_t number_hash(uint64_t number) {
    return number * 0x9e3779b97f4a7c15u;
}

static uint64_t key_hash(enum sp_key_kind kind, sp_str name) {
    return sp_hash_seeded(name.ptr, name.len, (uint64_t)kind + 1);
}

/* What a group is found by: a stream by its key, others by what they are of. */
static uint64_t hash_of(const struct bus_group *side) {
    const struct sp_key *key = &side->key;
    return key_hash(key->kind, key->kind == SP_KEY_STREAM ? key->text : key->name);
}

static bool copy_text(sp_str text, sp_str *ret_copy) {
    char *copy = malloc(text.len + 1);
    if (copy != NULL) {
        if (text.len > 0) {
            memcpy(copy, text.ptr, text.len);
        }
        *ret_copy = sp_str_of(copy, text.len);
    }
    return copy != NULL;
}

static void free_text(sp_str text) {
    free((char *)(uintptr_t)text.ptr);
}

static void side_free(struct bus_group *side) {
    free_text(side->key.text);
    free_text(side->pattern);
    free_text(side->type);
    sp_filter_free(side->filter);
    free(side);
}

static sp_status take_slot(struct bus_groups *groups, struct bus_group *side) {
    if (groups->free_slots.len >= sizeof(uint32_t)) {
        groups->free_slots.len -= sizeof(uint32_t);
        memcpy(&side->slot, groups->free_slots.data + groups->free_slots.len, sizeof(uint32_t));
        groups->slots[side->slot] = side;
        return SP_OK;
    }
    if (groups->slot_count == groups->slot_capacity) {
        uint32_t capacity = groups->slot_capacity == 0 ? 64 : groups->slot_capacity * 2;
        struct bus_group **slots = realloc(groups->slots, capacity * sizeof(*slots));
        /* Giving a slot back must not fail: room for all of them. */
        if (slots == NULL ||
            sp_buf_reserve(&groups->free_slots, capacity * sizeof(uint32_t)) == NULL) {
            groups->slots = slots != NULL ? slots : groups->slots;
            groups->free_slots.status = SP_OK;
            return SP_NO_MEMORY;
        }
        groups->slots = slots;
        groups->slot_capacity = capacity;
    }
    side->slot = groups->slot_count++;
    groups->slots[side->slot] = side;
    return SP_OK;
}

static void give_slot(struct bus_groups *groups, struct bus_group *side) {
    groups->slots[side->slot] = NULL;
    sp_buf_add(&groups->free_slots, &side->slot, sizeof(side->slot));
}

/* Enters it into the table that a live event finds it by. */
static sp_status enter(struct bus_groups *groups, struct bus_group *side) {
    const struct sp_key *key = &side->key;
    side->in_trie = key->kind == SP_KEY_TYPE || (key->kind == SP_KEY_ALL && side->type.len > 0);
    if (!side->in_trie) {
        sp_status status = sp_htab_add(&groups->by_key, hash_of(side), side->slot);
        groups->of_kind[key->kind] += status == SP_OK ? 1 : 0;
        return status;
    }
    if (!copy_text(key->kind == SP_KEY_TYPE ? key->name : side->type, &side->pattern)) {
        return SP_NO_MEMORY;
    }
    return sp_trie_add(&groups->types, side->pattern, side->slot, NULL);
}

static void leave(struct bus_groups *groups, struct bus_group *side) {
    if (side->in_trie) {
        sp_status status = sp_trie_remove(&groups->types, side->pattern, side->slot);
        sp_ensure(status == SP_OK);
    } else {
        sp_htab_remove(&groups->by_key, hash_of(side), side->slot);
        groups->of_kind[side->key.kind]--;
    }
}

/* What the core says of the group, compiled. */
static sp_status fill_side(struct sp_bus *bus, const struct sp_group_facts *facts,
                           struct bus_group *side, struct sp_error *error) {
    sp_str text;
    side->number = facts->number;
    if (!copy_text(facts->key, &text)) {
        return sp_error_set(error, SP_NO_MEMORY, "group");
    }
    side->key.text = text;
    sp_status status = sp_key_parse(bus, text, &side->key, error);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_group_policy *policy = &facts->policy;
    side->has_policy = facts->has_policy;
    sp_str type = side->has_policy ? policy->type : (sp_str){.ptr = "", .len = 0};
    if (!copy_text(type, &side->type)) {
        return sp_error_set(error, SP_NO_MEMORY, "group");
    }
    if (side->has_policy) {
        side->order_by = policy->order_by;
        side->capped = policy->in_flight_max > 0 || policy->order_by != SP_GROUP_ORDER_NONE;
        if (policy->filter.len > 0) {
            status = sp_filter_compile(policy->filter, &side->filter, error);
        }
    }
    bool exact = side->key.kind == SP_KEY_TYPE && sp_pattern_is_exact(side->key.name);
    exact |= side->type.len > 0 && sp_pattern_is_exact(side->type);
    side->sees_own = exact || side->key.kind == SP_KEY_STREAM;
    return status;
}

static sp_status know(struct sp_bus *bus, const struct sp_group *group, struct sp_error *error) {
    struct bus_groups *groups = &bus->groups;
    const struct sp_group_facts facts = sp_group_get(group);
    struct bus_group *side = calloc(1, sizeof(*side));
    if (side == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "group");
    }
    sp_status status = fill_side(bus, &facts, side, error);
    if (status != SP_OK) {
        side_free(side);
        return status;
    }
    status = take_slot(groups, side);
    if (status == SP_OK) {
        status = enter(groups, side);
        if (status == SP_OK) {
            status = sp_htab_add(&groups->by_number, number_hash(side->number), side->slot);
            if (status == SP_OK) {
                return SP_OK;
            }
            leave(groups, side);
        }
        give_slot(groups, side);
    }
    side_free(side);
    return sp_error_set(error, status, "group: %s", sp_status_text(status));
}

static struct bus_group *find_side(const struct sp_bus *bus, uint64_t number) {
    struct sp_htab_probe probe = sp_htab_find(&bus->groups.by_number, number_hash(number));
    uint32_t slot;
    while (sp_htab_next(&probe, &slot)) {
        if (bus->groups.slots[slot]->number == number) {
            return bus->groups.slots[slot];
        }
    }
    return NULL;
}

static void forget(struct sp_bus *bus, uint64_t number) {
    struct bus_group *side = find_side(bus, number);
    if (side != NULL) {
        bus_feed_free(bus, side);
        leave(&bus->groups, side);
        sp_htab_remove(&bus->groups.by_number, number_hash(number), side->slot);
        give_slot(&bus->groups, side);
        side_free(side);
    }
}

struct bus_group *bus_group_of(struct sp_bus *bus, const struct sp_group *group) {
    struct bus_group *side = find_side(bus, sp_group_get(group).number);
    sp_invariant(side != NULL);
    return side;
}

struct sp_key bus_group_key(const struct sp_bus *bus, const struct bus_group *side) {
    struct sp_key key = side->key;
    if (key.kind == SP_KEY_STREAM) {
        key.name = sp_view_resolve(&bus->core->views, key.text);
    }
    return key;
}

/* ---- life ---- */

sp_status bus_groups_init(struct sp_bus *bus, struct sp_error *error) {
    struct bus_groups *groups = &bus->groups;
    uint64_t seed = 0;
    bus->engine->options.entropy(&seed, sizeof(seed));
    groups->random = sp_prng_seed(seed);
    sp_buf_init(&groups->free_slots, (size_t)SLOTS_MAX * 2 * sizeof(uint32_t));
    sp_htab_init(&groups->by_number);
    sp_htab_init(&groups->by_key);
    sp_trie_init(&groups->types, SP_GROUPS_MAX, SLOTS_MAX);
    sp_status status = SP_OK;
    const struct sp_group *group = NULL;
    for (size_t i = 0; status == SP_OK && (group = sp_group_nth(&bus->core->groups, i)) != NULL;
         i++) {
        status = know(bus, group, error);
    }
    return status;
}

void bus_groups_fini(struct sp_bus *bus) {
    struct bus_groups *groups = &bus->groups;
    for (uint32_t i = 0; i < groups->slot_count; i++) {
        if (groups->slots[i] != NULL) {
            bus_feed_free(bus, groups->slots[i]);
            side_free(groups->slots[i]);
        }
    }
    free(groups->slots);
    sp_buf_fini(&groups->free_slots);
    sp_htab_fini(&groups->by_number);
    sp_htab_fini(&groups->by_key);
    sp_trie_fini(&groups->types);
}

uint32_t bus_groups_of_key(const struct sp_bus *bus, sp_str key) {
    uint32_t count = 0;
    while (sp_group_of_key(&bus->core->groups, key, count) != NULL) {
        count++;
    }
    return count;
}

void bus_groups_drop_ops(struct sp_bus *bus, sp_str key) {
    const struct sp_group *group = NULL;
    for (size_t i = 0; (group = sp_group_of_key(&bus->core->groups, key, i)) != NULL; i++) {
        sp_group_drop(group, &bus->ops);
    }
}

void bus_groups_forget_key(struct sp_bus *bus, sp_str key) {
    const struct sp_group *group = NULL;
    for (size_t i = 0; (group = sp_group_of_key(&bus->core->groups, key, i)) != NULL; i++) {
        uint64_t number = sp_group_get(group).number;
        struct bus_group *side = find_side(bus, number);
        if (side != NULL) {
            bus_group_tell_ready(bus, side); /* who waits for it finds it gone */
        }
        forget(bus, number);
    }
}

sp_status bus_groups_know_key(struct sp_bus *bus, sp_str key, struct sp_error *error) {
    const struct sp_group *group = NULL;
    sp_status status = SP_OK;
    for (size_t i = 0;
         status == SP_OK && (group = sp_group_of_key(&bus->core->groups, key, i)) != NULL; i++) {
        status = know(bus, group, error);
    }
    return status;
}

/* ---- what comes live ---- */

void bus_group_tell_ready(struct sp_bus *bus, struct bus_group *side) {
    if (bus->groups.ready != NULL && !side->told) {
        side->told = true;
        bus->groups.ready(bus->groups.ready_context, side->number);
    }
}

static bool is_own_stream(const struct sp_event *event) {
    return event->attr[SP_ATTR_STREAM].ptr[0] == '$';
}

bool bus_group_wants(const struct bus_group *side, const struct sp_event *event) {
    return (side->sees_own || !is_own_stream(event)) &&
           (side->type.len == 0 || sp_pattern_match(side->type, event->attr[SP_ATTR_TYPE])) &&
           (side->filter == NULL || sp_filter_match(side->filter, event));
}

/* Whether it is worth asking: the filter is for when the entry is read. */
static void tell_if_wanted(struct sp_bus *bus, struct bus_group *side,
                           const struct sp_event *event) {
    if (!side->told && (side->sees_own || !is_own_stream(event)) &&
        (side->type.len == 0 || sp_pattern_match(side->type, event->attr[SP_ATTR_TYPE]))) {
        bus_group_tell_ready(bus, side);
    }
}

static void tell_groups_of(struct sp_bus *bus, enum sp_key_kind kind, sp_str name,
                           const struct sp_event *event) {
    if (bus->groups.of_kind[kind] == 0) {
        return;
    }
    struct sp_htab_probe probe = sp_htab_find(&bus->groups.by_key, key_hash(kind, name));
    uint32_t slot;
    while (sp_htab_next(&probe, &slot)) {
        struct bus_group *side = bus->groups.slots[slot];
        sp_str own = kind == SP_KEY_STREAM ? side->key.text : side->key.name;
        if (side->key.kind == kind && sp_str_eq(own, name)) {
            tell_if_wanted(bus, side, event);
        }
    }
}

void bus_groups_live(struct sp_bus *bus, const struct sp_event *event) {
    const struct sp_views *views = &bus->core->views;
    if (bus->groups.ready == NULL || bus->groups.slot_count == 0) {
        return;
    }
    sp_str stream = event->attr[SP_ATTR_STREAM];
    sp_str key = views->alias_count == 0 ? stream : sp_view_key_of(views, stream);
    tell_groups_of(bus, SP_KEY_STREAM, key, event);
    tell_groups_of(bus, SP_KEY_ALL, (sp_str){.ptr = "", .len = 0}, event);
    tell_groups_of(bus, SP_KEY_SOURCE, event->attr[SP_ATTR_SOURCE], event);
    tell_groups_of(bus, SP_KEY_CORRELATION, event->attr[SP_ATTR_CORRELATION], event);
    const uint32_t *slots;
    size_t count = bus->groups.types.pair_count == 0
                       ? 0
                       : sp_trie_match(&bus->groups.types, event->attr[SP_ATTR_TYPE], &slots);
    for (size_t i = 0; i < count; i++) {
        tell_if_wanted(bus, bus->groups.slots[slots[i]], event);
    }
}

/* ---- finding ---- */

const struct sp_group *sp_bus_group(const struct sp_bus *bus, const struct sp_key *key,
                                    sp_str name) {
    return sp_bus_exists((struct sp_bus *)(uintptr_t)bus, key)
               ? sp_group_find(&bus->core->groups, key->text, name)
               : NULL;
}

const struct sp_group *sp_bus_group_at(const struct sp_bus *bus, uint64_t number) {
    return sp_group_at(&bus->core->groups, number);
}

sp_status bus_group_find(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                         const struct sp_group **ret_group, struct sp_error *error) {
    const struct sp_group *group = sp_bus_group(bus, key, name);
    if (group == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "no such key or group");
    }
    *ret_group = group;
    return SP_OK;
}

/* ---- making, moving, dropping ---- */

/* The cursor that a start stands for. */
static sp_status find_start(struct sp_bus *bus, const struct sp_key *key,
                            const struct sp_bus_start *start, struct sp_group_cursor *cursor,
                            struct sp_error *error) {
    bool stream = key->kind == SP_KEY_STREAM;
    struct sp_view_facts facts = {.exists = false};
    sp_status status = SP_OK;
    if (stream) {
        facts = bus_facts(bus, key);
    }
    *cursor = (struct sp_group_cursor){.position = bus->core->position, .version = facts.last};
    if (start->at_end) {
        cursor->id = sp_entry_id_of_log(bus->core->recorded_us, bus->core->entry_seq);
        return stream ? bus_last_id(bus, &facts, &cursor->id, error) : status;
    }
    cursor->id = start->id;
    uint64_t version = 0;
    uint64_t position = 0;
    if (sp_entry_id_is_none(start->id)) {
        cursor->position = 0;
        cursor->version = 0;
    } else if (sp_entry_id_compare(start->id, SP_ENTRY_ID_MAX) < 0) {
        status = bus_first_from(bus, key, sp_entry_id_next(start->id), &version, &position, error);
    }
    if (status == SP_OK && position != 0) {
        cursor->position = position - 1;
        cursor->version = stream ? version - 1 : 0;
    }
    return status;
}

/* The event about a group, and the ops in bus->ops, in one block. */
static sp_status tell_and_take(struct sp_bus *bus, const struct sp_key *key, sp_str group,
                               const char *type, sp_str data, struct sp_error *error) {
    struct bus_note note = {
        .type = type, .prefix = "$group:", .key = key->text, .group = group, .data = data};
    bool held;
    if (bus->ops.status != SP_OK) {
        return bus_take_ops(bus, SP_OPS_ORDERED, error);
    }
    size_t bytes = bus_note_bytes(&note, data.len) + bus->ops.len + BUS_OP_BYTES;
    sp_status status = bus_hold(bus, bytes, 1, &held, error);
    if (status == SP_OK) {
        status = bus_tell(bus, &note, NULL, error);
        status = status == SP_OK ? bus_take_ops(bus, SP_OPS_ORDERED, error) : status;
        bus_release(bus, held);
    }
    return status;
}

static void begin_data(struct sp_bus *bus, const struct sp_key *key, sp_str group) {
    bus_json_begin(bus);
    bus_json_text(bus, "key", key->text);
    bus_json_text(bus, "group", group);
}

static sp_status make_group(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                            const struct sp_group_cursor *cursor, bool makes_key,
                            struct sp_error *error) {
    sp_str data;
    sp_buf_reset(&bus->ops);
    if (makes_key) {
        (void)sp_view_make(&bus->core->views, key->name, &bus->ops);
    }
    sp_status status = sp_group_make(&bus->core->groups, key->text, name, cursor, &bus->ops, error);
    if (status != SP_OK) {
        return status;
    }
    begin_data(bus, key, name);
    bus_json_id(bus, "after", cursor->id);
    bus_json_number(bus, "position", cursor->position);
    status = bus_json_end(bus, &data, error);
    status = status == SP_OK ? tell_and_take(bus, key, name, "group.created", data, error) : status;
    if (status == SP_OK) {
        status = know(bus, sp_group_find(&bus->core->groups, key->text, name), error);
    }
    return status;
}

sp_status sp_bus_group_make(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                            const struct sp_bus_start *start, bool make_key,
                            struct sp_error *error) {
    sp_status status = bus_settle_key(bus, key, error);
    bool exists = status == SP_OK && sp_bus_exists(bus, key);
    if (status == SP_OK && !exists) {
        if (!make_key) {
            return sp_error_set(error, SP_NOT_FOUND, "no such key");
        }
        status = bus_check_stream(key, error);
    }
    struct sp_group_cursor cursor;
    status = status == SP_OK ? find_start(bus, key, start, &cursor, error) : status;
    return status == SP_OK ? make_group(bus, key, name, &cursor, !exists, error) : status;
}

sp_status sp_bus_group_move(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                            const struct sp_bus_start *start, struct sp_error *error) {
    const struct sp_group *group = NULL;
    struct sp_group_cursor cursor;
    sp_str data;
    sp_status status = bus_group_find(bus, key, name, &group, error);
    status = status == SP_OK ? find_start(bus, key, start, &cursor, error) : status;
    if (status != SP_OK) {
        return status;
    }
    uint64_t number = sp_group_get(group).number;
    sp_buf_reset(&bus->ops);
    sp_group_move(group, &cursor, &bus->ops);
    begin_data(bus, key, name);
    bus_json_id(bus, "before", sp_group_get(group).cursor.id);
    bus_json_id(bus, "after", cursor.id);
    bus_json_number(bus, "position", cursor.position);
    status = bus_json_end(bus, &data, error);
    status = status == SP_OK ? tell_and_take(bus, key, name, "group.moved", data, error) : status;
    if (status == SP_OK) {
        struct bus_group *side = find_side(bus, number);
        bus_feed_free(bus, side);
        side->lag_known = false;
        bus_group_tell_ready(bus, side);
    }
    return status;
}

sp_status sp_bus_group_drop(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                            bool *ret_was_there, struct sp_error *error) {
    const struct sp_group *group = sp_bus_group(bus, key, name);
    if (group == NULL) {
        if (!sp_bus_exists(bus, key)) {
            return sp_error_set(error, SP_NOT_FOUND, "no such key");
        }
        *ret_was_there = false;
        return SP_OK;
    }
    const struct sp_group_facts facts = sp_group_get(group);
    sp_str data;
    sp_buf_reset(&bus->ops);
    sp_group_drop(group, &bus->ops);
    begin_data(bus, key, name);
    bus_json_number(bus, "pending", facts.pending);
    bus_json_number(bus, "dead", facts.dead);
    uint64_t number = facts.number;
    sp_status status = bus_json_end(bus, &data, error);
    status = status == SP_OK ? tell_and_take(bus, key, name, "group.deleted", data, error) : status;
    if (status == SP_OK) {
        struct bus_group *side = find_side(bus, number);
        bus_group_tell_ready(bus, side); /* who waits for it finds it gone */
        forget(bus, number);
        *ret_was_there = true;
    }
    return status;
}

/* ---- policies ---- */

static sp_status check_policy(const struct sp_group_policy *policy, struct sp_error *error) {
    struct sp_filter *filter = NULL;
    sp_status status = policy->type.len > 0 ? sp_pattern_check(policy->type, error) : SP_OK;
    if (status == SP_OK && policy->filter.len > 0) {
        status = sp_filter_compile(policy->filter, &filter, error);
        sp_filter_free(filter);
    }
    return status;
}

static void policy_data(struct sp_bus *bus, const struct sp_group_policy *policy) {
    static const char *const orders[] = {"none", "stream", "source", "correlation"};
    bus_json_text(bus, "type", policy->type);
    bus_json_text(bus, "filter", policy->filter);
    bus_json_number(bus, "ack_wait_ms", policy->ack_wait_ms);
    bus_json_number(bus, "max_deliveries", policy->deliveries_max);
    bus_json_number(bus, "backoff_first_ms", policy->backoff_first_ms);
    bus_json_number(bus, "backoff_max_ms", policy->backoff_max_ms);
    bus_json_number(bus, "backoff_factor_milli", policy->backoff_factor_milli);
    bus_json_number(bus, "backoff_jitter_milli", policy->backoff_jitter_milli);
    bus_json_text(bus, "order_by", sp_str_from(orders[policy->order_by]));
    bus_json_number(bus, "max_in_flight", policy->in_flight_max);
    bus_json_number(bus, "keep_on_leave", policy->keep_on_leave ? 1 : 0);
}

sp_status sp_bus_group_policy(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                              const struct sp_group_policy *policy, struct sp_error *error) {
    const struct sp_group *group = NULL;
    sp_str data;
    sp_status status = bus_group_find(bus, key, name, &group, error);
    sp_buf_reset(&bus->ops);
    if (status == SP_OK && policy != NULL) {
        status = check_policy(policy, error);
        status = status == SP_OK ? sp_group_set_policy(group, policy, &bus->ops, error) : status;
    } else if (status == SP_OK) {
        status = sp_group_clear_policy(group, &bus->ops, error);
    }
    if (status != SP_OK) {
        return status;
    }
    begin_data(bus, key, name);
    bus_json_text(bus, "policy", policy != NULL ? SP_STR("set") : SP_STR("cleared"));
    if (policy != NULL) {
        policy_data(bus, policy);
    }
    status = bus_json_end(bus, &data, error);
    status = status == SP_OK ? tell_and_take(bus, key, name, "group.policy_changed", data, error)
                             : status;
    if (status == SP_OK) { /* compiled anew; what was looked for under the old one is forgotten */
        group = sp_group_find(&bus->core->groups, key->text, name);
        forget(bus, sp_group_get(group).number);
        status = know(bus, group, error);
    }
    if (status == SP_OK) {
        bus_group_tell_ready(bus, bus_group_of(bus, group));
    }
    return status;
}

/* ---- consumers ---- */

sp_status bus_consumer(struct sp_bus *bus, const struct sp_group **group, sp_str name,
                       uint32_t *ret_consumer, struct sp_error *error) {
    *ret_consumer = sp_consumer_find(*group, name);
    if (*ret_consumer != SP_CONSUMER_NONE) {
        return SP_OK;
    }
    sp_buf_reset(&bus->ops);
    sp_status status =
        sp_consumer_make(*group, name, bus_now_ms(bus), &bus->ops, ret_consumer, error);
    uint64_t number = sp_group_get(*group).number;
    status = status == SP_OK ? bus_take_ops(bus, SP_OPS_LAZY, error) : status;
    *group = sp_group_at(&bus->core->groups, number);
    return status;
}

sp_status sp_bus_consumer_make(struct sp_bus *bus, const struct sp_key *key, sp_str group_name,
                               sp_str name, bool *ret_made, struct sp_error *error) {
    const struct sp_group *group = NULL;
    uint32_t consumer;
    sp_status status = bus_group_find(bus, key, group_name, &group, error);
    if (status != SP_OK) {
        return status;
    }
    bool there = sp_consumer_find(group, name) != SP_CONSUMER_NONE;
    if (!there) {
        sp_buf_reset(&bus->ops);
        status = sp_consumer_make(group, name, bus_now_ms(bus), &bus->ops, &consumer, error);
        status = status == SP_OK ? bus_take_ops(bus, SP_OPS_GATHERED, error) : status;
    }
    if (status == SP_OK) {
        *ret_made = !there;
    }
    return status;
}

sp_status sp_bus_consumer_drop(struct sp_bus *bus, const struct sp_key *key, sp_str group_name,
                               sp_str name, uint64_t *ret_pending, struct sp_error *error) {
    const struct sp_group *group = NULL;
    sp_status status = bus_group_find(bus, key, group_name, &group, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_consumer_facts facts = {.pending = 0};
    uint32_t consumer = sp_consumer_find(group, name);
    if (consumer == SP_CONSUMER_NONE || !sp_consumer_get(group, consumer, &facts)) {
        *ret_pending = 0;
        return SP_OK;
    }
    uint64_t pending = facts.pending;
    uint64_t number = sp_group_get(group).number;
    uint64_t ignored;
    if (sp_group_get(group).has_policy && pending > 0) {
        status = bus_consumer_leave(bus, number, consumer, false, error);
        group = sp_group_at(&bus->core->groups, number);
    }
    sp_buf_reset(&bus->ops);
    status =
        status == SP_OK ? sp_consumer_drop(group, consumer, &ignored, &bus->ops, error) : status;
    status = status == SP_OK ? bus_take_ops(bus, SP_OPS_GATHERED, error) : status;
    if (status == SP_OK) {
        *ret_pending = pending;
    }
    return status;
}

sp_status sp_bus_consumer_left(struct sp_bus *bus, uint64_t number, sp_str name,
                               struct sp_error *error) {
    const struct sp_group *group = sp_group_at(&bus->core->groups, number);
    uint32_t consumer = group != NULL ? sp_consumer_find(group, name) : SP_CONSUMER_NONE;
    if (consumer == SP_CONSUMER_NONE || !sp_group_get(group).has_policy) {
        return SP_OK;
    }
    return bus_consumer_leave(bus, number, consumer, true, error);
}
