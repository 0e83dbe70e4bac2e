/*
 * Groups as bytes in a snapshot, and what the hash of the state says of them. docs/format.md has
 * the layout.
 */
#include "base/hash.h"
#include "core/bytes.h"
#include "core/groups_int.h"

enum { GROUP_BYTES_MIN = 11, ENTRY_BYTES_MIN = 7, PARKED_BYTES_MIN = 4, DEAD_BYTES_MIN = 9 };

/* ---- hash ---- */

static uint64_t hash_rows(const struct sp_rows *rows, uint64_t hash) {
    struct sp_rows_at at = sp_rows_first();
    for (const uint64_t *row = sp_rows_get(rows, at); row != NULL; row = sp_rows_get(rows, at)) {
        hash = sp_hash_seeded(row, rows->words * sizeof(*row), hash);
        at = sp_rows_next(rows, at);
    }
    return hash;
}

static uint64_t hash_text(sp_str text, uint64_t hash) {
    return sp_hash_seeded(text.ptr, text.len, hash + text.len);
}

static uint64_t hash_policy(const struct sp_group_policy *policy, uint64_t hash) {
    const uint64_t numbers[] = {
        policy->ack_wait_ms,    policy->deliveries_max,       policy->backoff_first_ms,
        policy->backoff_max_ms, policy->backoff_factor_milli, policy->backoff_jitter_milli,
        policy->order_by,       policy->in_flight_max,        policy->keep_on_leave,
    };
    return sp_hash_seeded(numbers, sizeof(numbers),
                          hash_text(policy->filter, hash_text(policy->type, hash)));
}

static uint64_t hash_group(const struct sp_group *group) {
    const struct sp_group_cursor *cursor = &group->cursor;
    const uint64_t numbers[] = {
        group->number,  cursor->position,      cursor->version,      cursor->id.ms,
        cursor->id.seq, group->consumer_count, group->pending.count, group->care != NULL,
    };
    uint64_t hash = sp_hash(numbers, sizeof(numbers));
    hash = hash_text(sp_str_of(group->key->text, group->key->bytes), hash);
    hash = hash_text(sp_str_of(group->name, group->bytes), hash);
    for (uint32_t i = 0; i < group->consumer_count; i++) {
        const struct sp_consumer *consumer = group->consumers[group->by_name[i]];
        const uint64_t times[3] = {group->by_name[i], consumer->seen_ms, consumer->active_ms};
        hash = hash_text(sp_str_of(consumer->name, consumer->bytes), hash);
        hash = sp_hash_seeded(times, sizeof(times), hash);
    }
    hash = hash_rows(&group->pending, hash);
    if (group->care != NULL) {
        hash = hash_policy(&group->care->policy, hash);
        hash = hash_rows(&group->care->parked, hash);
        hash = hash_rows(&group->care->dead, hash);
    }
    return hash;
}

uint64_t sp_groups_hash(const struct sp_groups *groups) {
    uint64_t sum = groups->last_number;
    for (uint32_t i = 0; i < groups->count; i++) {
        sum += hash_group(groups->list[i]);
    }
    return sum;
}

/* ---- encoding ---- */

static void encode_pending(const struct sp_group *group, struct sp_buf *to) {
    struct sp_pending before = {.position = 0};
    struct sp_rows_at at = sp_rows_first();
    sp_add_number(to, group->pending.count);
    for (const struct sp_pending *row = sp_pending_row(&group->pending, at); row != NULL;
         row = sp_pending_row(&group->pending, at)) {
        sp_add_number(to, row->position - before.position);
        sp_add_number(to, row->id.ms - before.id.ms);
        sp_add_number(to, row->id.seq);
        sp_add_number(to, sp_zigzag((int64_t)(row->time_ms - before.time_ms)));
        sp_add_number(to, row->key);
        sp_add_number(to, row->state == SP_PENDING_WAITING ? 0 : (uint64_t)row->consumer + 1);
        sp_add_number(to, row->count);
        before = *row;
        at = sp_rows_next(&group->pending, at);
    }
}

static void encode_parked(const struct sp_rows *parked, struct sp_buf *to) {
    struct sp_rows_at at = sp_rows_first();
    sp_add_number(to, parked->count);
    for (const uint64_t *row = sp_rows_get(parked, at); row != NULL;
         row = sp_rows_get(parked, at)) {
        for (int i = 0; i < PARKED_WORDS; i++) {
            sp_add_number(to, row[i]);
        }
        at = sp_rows_next(parked, at);
    }
}

static void encode_dead(const struct sp_rows *rows, struct sp_buf *to) {
    struct sp_rows_at at = sp_rows_first();
    sp_add_number(to, rows->count);
    for (const struct sp_dead *dead = (const struct sp_dead *)sp_rows_get(rows, at); dead != NULL;
         dead = (const struct sp_dead *)sp_rows_get(rows, at)) {
        sp_add_number(to, dead->position);
        sp_add_id(to, dead->id);
        sp_add_number(to, dead->time_ms);
        sp_add_number(to, dead->letter);
        sp_add_number(to, dead->last_time_ms);
        sp_add_number(to, dead->key);
        sp_add_number(to, dead->count);
        sp_add_number(to, dead->reason);
        at = sp_rows_next(rows, at);
    }
}

static void encode_group(const struct sp_group *group, struct sp_buf *to) {
    sp_add_number(to, group->number);
    sp_add_text(to, sp_str_of(group->key->text, group->key->bytes));
    sp_add_text(to, sp_str_of(group->name, group->bytes));
    sp_add_number(to, group->cursor.position);
    sp_add_number(to, group->cursor.version);
    sp_add_id(to, group->cursor.id);
    sp_add_number(to, group->care != NULL ? 1 : 0);
    if (group->care != NULL) {
        sp_op_put_policy(to, &group->care->policy);
    }
    sp_add_number(to, group->consumer_count);
    for (uint32_t i = 0; i < group->consumer_count; i++) {
        const struct sp_consumer *consumer = group->consumers[group->by_name[i]];
        sp_add_number(to, group->by_name[i]);
        sp_add_text(to, sp_str_of(consumer->name, consumer->bytes));
        sp_add_number(to, consumer->seen_ms);
        sp_add_number(to, consumer->active_ms);
    }
    encode_pending(group, to);
    if (group->care != NULL) {
        encode_parked(&group->care->parked, to);
        encode_dead(&group->care->dead, to);
    }
}

void sp_groups_encode(const struct sp_groups *groups, struct sp_buf *to) {
    sp_add_number(to, groups->last_number);
    sp_add_number(to, groups->count);
    for (uint32_t i = 0; i < groups->count; i++) {
        encode_group(groups->list[i], to);
    }
}

/* ---- restoring ---- */

/* A count of things that take at least so many bytes each. SP_CORRUPT where it cannot be. */
static sp_status take_count(struct sp_wire *wire, size_t bytes_min, uint64_t *ret_count) {
    *ret_count = sp_wire_varint(wire);
    return wire->bad || *ret_count > sp_wire_left(wire) / bytes_min ? SP_CORRUPT : SP_OK;
}

static sp_status restore_consumers(struct sp_group *group, struct sp_wire *wire) {
    uint64_t count;
    sp_status status = take_count(wire, 4, &count);
    for (uint64_t i = 0; i < count && status == SP_OK; i++) {
        uint64_t number = sp_wire_varint(wire);
        sp_str name = sp_wire_lstr(wire);
        uint64_t seen_ms = sp_wire_varint(wire);
        uint64_t active_ms = sp_wire_varint(wire);
        if (wire->bad || number >= SP_GROUP_CONSUMERS_MAX || name.len > SP_GROUP_NAME_BYTES_MAX) {
            return SP_CORRUPT;
        }
        status = sp_group_add_consumer(group, (uint32_t)number, name, seen_ms);
        if (status == SP_OK) {
            group->consumers[number]->active_ms = active_ms;
        }
    }
    return status;
}

static bool take_entry(const struct sp_group *group, struct sp_wire *wire,
                       struct sp_pending *entry) {
    uint64_t step = sp_wire_varint(wire);
    entry->position += step;
    entry->id.ms += sp_wire_varint(wire);
    entry->id.seq = sp_wire_varint(wire);
    entry->time_ms += (uint64_t)sp_unzigzag(sp_wire_varint(wire));
    uint64_t key = sp_wire_varint(wire);
    uint64_t holder = sp_wire_varint(wire);
    uint64_t count = sp_wire_varint(wire);
    bool waits = holder == 0;
    entry->key = (uint32_t)key;
    entry->consumer = waits ? SP_CONSUMER_NONE : (uint32_t)(holder - 1);
    entry->count = (uint32_t)count;
    entry->state = waits ? SP_PENDING_WAITING : SP_PENDING_IN_FLIGHT;
    bool held = waits ? group->care != NULL : sp_consumer_at(group, holder - 1) != NULL;
    return !wire->bad && step > 0 && key <= UINT32_MAX && count <= UINT32_MAX && held &&
           (key == 0 || sp_group_has_order(group));
}

static sp_status restore_pending(struct sp_groups *groups, struct sp_group *group,
                                 struct sp_wire *wire) {
    uint64_t count;
    struct sp_pending entry = {.position = 0};
    sp_status status = take_count(wire, ENTRY_BYTES_MIN, &count);
    for (uint64_t i = 0; i < count && status == SP_OK; i++) {
        if (groups->pending >= SP_GROUP_PENDING_MAX) {
            return SP_LIMIT;
        }
        status =
            take_entry(group, wire, &entry) ? sp_pending_add(groups, group, &entry) : SP_CORRUPT;
    }
    return status == SP_CONFLICT ? SP_CORRUPT : status;
}

static sp_status restore_parked(struct sp_group *group, struct sp_wire *wire) {
    uint64_t count;
    sp_status status = take_count(wire, PARKED_BYTES_MIN, &count);
    if (status != SP_OK || count > SP_GROUP_PARKED_MAX) {
        return SP_CORRUPT;
    }
    for (uint64_t i = 0; i < count && status == SP_OK; i++) {
        struct sp_parked parked = {.key = sp_wire_varint(wire)};
        parked.position = sp_wire_varint(wire);
        parked.id = sp_take_id(wire);
        bool fits =
            !wire->bad && parked.key > 0 && parked.key <= UINT32_MAX && sp_group_has_order(group);
        status = fits ? sp_parked_add(group, &parked) : SP_CORRUPT;
    }
    return status == SP_CONFLICT ? SP_CORRUPT : status;
}

static sp_status restore_dead(struct sp_group *group, struct sp_wire *wire) {
    uint64_t count;
    sp_status status = take_count(wire, DEAD_BYTES_MIN, &count);
    if (status != SP_OK || count > SP_GROUP_DEAD_MAX) {
        return SP_CORRUPT;
    }
    for (uint64_t i = 0; i < count && status == SP_OK; i++) {
        struct sp_dead dead = {.position = sp_wire_varint(wire)};
        dead.id = sp_take_id(wire);
        dead.time_ms = sp_wire_varint(wire);
        dead.letter = sp_wire_varint(wire);
        dead.last_time_ms = sp_wire_varint(wire);
        uint64_t key = sp_wire_varint(wire);
        uint64_t deliveries = sp_wire_varint(wire);
        uint64_t reason = sp_wire_varint(wire);
        dead.key = (uint32_t)key;
        dead.count = (uint32_t)deliveries;
        dead.reason = (uint32_t)reason;
        bool fits = !wire->bad && key <= UINT32_MAX && deliveries <= UINT32_MAX &&
                    reason >= SP_DEAD_ATTEMPTS && reason <= SP_DEAD_REFUSED;
        status = fits ? sp_rows_add(&group->care->dead, (const uint64_t *)&dead) : SP_CORRUPT;
    }
    return status == SP_CONFLICT ? SP_CORRUPT : status;
}

/* The policy comes before what it looks after. */
static sp_status restore_policy(struct sp_group *group, struct sp_wire *wire) {
    uint64_t has_policy = sp_wire_varint(wire);
    struct sp_group_policy policy;
    if (wire->bad || has_policy > 1) {
        return SP_CORRUPT;
    }
    sp_status status = has_policy == 1 ? sp_op_take_policy(wire, &policy) : SP_OK;
    return status == SP_OK && has_policy == 1 ? sp_group_care_set(group, &policy) : status;
}

static sp_status restore_group(struct sp_groups *groups, struct sp_wire *wire) {
    uint64_t number = sp_wire_varint(wire);
    sp_str key = sp_wire_lstr(wire);
    sp_str name = sp_wire_lstr(wire);
    struct sp_group_cursor cursor = {.position = sp_wire_varint(wire)};
    cursor.version = sp_wire_varint(wire);
    cursor.id = sp_take_id(wire);
    if (wire->bad || key.len > SP_GROUP_KEY_BYTES_MAX || name.len > SP_GROUP_NAME_BYTES_MAX) {
        return SP_CORRUPT;
    }
    struct sp_group *group;
    sp_status status = sp_group_table_add(groups, number, key, name, &group);
    if (status != SP_OK) {
        return status;
    }
    group->cursor = cursor;
    status = restore_policy(group, wire);
    status = status == SP_OK ? restore_consumers(group, wire) : status;
    status = status == SP_OK ? restore_pending(groups, group, wire) : status;
    if (status == SP_OK && group->care != NULL) {
        status = restore_parked(group, wire);
        status = status == SP_OK ? restore_dead(group, wire) : status;
    }
    return status == SP_OK ? sp_group_set_wake(groups, group, 0) : status;
}

sp_status sp_groups_restore(struct sp_groups *groups, struct sp_wire *wire) {
    uint64_t last_number = sp_wire_varint(wire);
    uint64_t count;
    sp_status status = take_count(wire, GROUP_BYTES_MIN, &count);
    for (uint64_t i = 0; i < count && status == SP_OK; i++) {
        status = restore_group(groups, wire);
    }
    if (status == SP_OK && (wire->bad || last_number < groups->last_number)) {
        return SP_CORRUPT;
    }
    groups->last_number = last_number;
    return status;
}
