/*
 * Ops on groups, folded in. They come from the disk: nothing in them is believed.
 */
#include "core/bytes.h"
#include "core/groups_int.h"

/* What an op is folded with. */
struct folding {
    struct sp_groups *groups;
    struct sp_group *group;
    struct sp_wire *wire;
};

/* ---- groups ---- */

static struct sp_group_cursor take_cursor(struct sp_wire *wire) {
    struct sp_group_cursor cursor = {.position = sp_wire_varint(wire)};
    cursor.version = sp_wire_varint(wire);
    cursor.id = sp_take_id(wire);
    return cursor;
}

static sp_status fold_make(struct sp_groups *groups, uint64_t number, struct sp_wire *wire) {
    sp_str key = sp_wire_lstr(wire);
    sp_str name = sp_wire_lstr(wire);
    struct sp_group_cursor cursor = take_cursor(wire);
    if (wire->bad || key.len > SP_GROUP_KEY_BYTES_MAX || name.len > SP_GROUP_NAME_BYTES_MAX) {
        return SP_CORRUPT;
    }
    struct sp_group *group;
    sp_status status = sp_group_table_add(groups, number, key, name, &group);
    if (status == SP_OK) {
        group->cursor = cursor;
    }
    return status;
}

static sp_status fold_move(struct folding *folding) {
    struct sp_group_cursor cursor = take_cursor(folding->wire);
    if (folding->wire->bad) {
        return SP_CORRUPT;
    }
    folding->group->cursor = cursor;
    return SP_OK;
}

static sp_status fold_policy(struct folding *folding) {
    struct sp_group *group = folding->group;
    uint64_t set = sp_wire_varint(folding->wire);
    struct sp_group_policy policy;
    if (set == 1) {
        sp_status status = sp_op_take_policy(folding->wire, &policy);
        return status == SP_OK ? sp_group_care_set(group, &policy) : status;
    }
    const struct sp_group_care *care = group->care;
    if (folding->wire->bad || set != 0 || care == NULL || care->waiting.count > 0 ||
        care->parked.count > 0 || care->dead.count > 0) {
        return SP_CORRUPT;
    }
    sp_group_care_clear(group);
    return SP_OK;
}

static sp_status fold_rekey(struct folding *folding) {
    sp_str key = sp_wire_lstr(folding->wire);
    if (folding->wire->bad || key.len > SP_GROUP_KEY_BYTES_MAX) {
        return SP_CORRUPT;
    }
    return sp_group_table_rekey(folding->groups, folding->group, key);
}

/* ---- consumers ---- */

static sp_status fold_consumer_make(struct folding *folding) {
    uint64_t number = sp_wire_varint(folding->wire);
    sp_str name = sp_wire_lstr(folding->wire);
    uint64_t seen_ms = sp_wire_varint(folding->wire);
    if (folding->wire->bad || number >= SP_GROUP_CONSUMERS_MAX ||
        name.len > SP_GROUP_NAME_BYTES_MAX) {
        return SP_CORRUPT;
    }
    return sp_group_add_consumer(folding->group, (uint32_t)number, name, seen_ms);
}

/* The consumer that the op names next, or NULL; *ret_number is its number. */
static struct sp_consumer *take_consumer(struct folding *folding, uint32_t *ret_number) {
    uint64_t number = sp_wire_varint(folding->wire);
    *ret_number = (uint32_t)number;
    return folding->wire->bad ? NULL : sp_consumer_at(folding->group, number);
}

static sp_status fold_consumer_drop(struct folding *folding) {
    uint32_t number;
    struct sp_consumer *consumer = take_consumer(folding, &number);
    if (consumer == NULL || (folding->group->care != NULL && consumer->entries.count > 0)) {
        return SP_CORRUPT;
    }
    while (consumer->entries.count > 0) {
        uint64_t position = *sp_rows_get(&consumer->entries, sp_rows_first());
        struct sp_rows_at at = sp_rows_seek(&folding->group->pending, &position);
        sp_status status = sp_pending_remove(folding->groups, folding->group, &at);
        if (status != SP_OK) {
            return status;
        }
    }
    sp_group_remove_consumer(folding->group, number);
    return SP_OK;
}

static sp_status fold_consumer_seen(struct folding *folding) {
    uint32_t number;
    struct sp_consumer *consumer = take_consumer(folding, &number);
    uint64_t seen_ms = sp_wire_varint(folding->wire);
    if (consumer == NULL || folding->wire->bad) {
        return SP_CORRUPT;
    }
    consumer->seen_ms = seen_ms;
    return SP_OK;
}

/* ---- handing out ---- */

/* A plain group hands an entry out again that is pending: it is the new one's, delivered once. */
static sp_status redeliver(struct folding *folding, const struct sp_pending *entry) {
    struct sp_pending *row = sp_pending_find(folding->group, entry->position);
    if (folding->group->care != NULL) {
        return SP_CORRUPT;
    }
    struct sp_pending changed = *entry;
    changed.id = row->id;
    return sp_pending_change(folding->group, row, &changed);
}

static sp_status deliver_one(struct folding *folding, const struct sp_pending *entry) {
    if (folding->groups->pending >= SP_GROUP_PENDING_MAX) {
        return SP_LIMIT;
    }
    sp_status status = sp_pending_add(folding->groups, folding->group, entry);
    return status == SP_CONFLICT ? redeliver(folding, entry) : status;
}

static sp_status park_one(struct folding *folding, const struct sp_pending *entry) {
    const struct sp_parked parked = {
        .key = entry->key, .position = entry->position, .id = entry->id};
    if (!sp_group_has_order(folding->group) || entry->key == 0 ||
        folding->group->care->parked.count >= SP_GROUP_PARKED_MAX) {
        return SP_CORRUPT;
    }
    sp_status status = sp_parked_add(folding->group, &parked);
    return status == SP_CONFLICT ? SP_CORRUPT : status;
}

/* The entries of a delivery; *entry has what is the same for all, and is the last one then. */
static sp_status fold_entries(struct folding *folding, bool keyed, struct sp_pending *entry) {
    struct sp_wire *wire = folding->wire;
    struct sp_op_positions list = sp_op_positions_of(folding->group);
    uint64_t before = list.before;
    sp_status status = SP_OK;
    while (status == SP_OK && sp_op_take_position(&list, wire, &entry->position)) {
        bool rises = entry->position > before;
        before = entry->position;
        entry->id.ms += (uint64_t)sp_unzigzag(sp_wire_varint(wire));
        entry->id.seq = sp_wire_varint(wire);
        uint64_t key = keyed ? sp_wire_varint(wire) : 0;
        bool parked = (key & 1) != 0;
        entry->key = (uint32_t)(key >> 1);
        if (wire->bad || !rises || key >> 33 != 0 || (keyed && entry->key == 0)) {
            return SP_CORRUPT;
        }
        status = parked ? park_one(folding, entry) : deliver_one(folding, entry);
    }
    return status == SP_OK && wire->bad ? SP_CORRUPT : status;
}

static sp_status fold_deliver(struct folding *folding) {
    struct sp_wire *wire = folding->wire;
    struct sp_group *group = folding->group;
    uint32_t number;
    struct sp_consumer *consumer = take_consumer(folding, &number);
    uint64_t now_ms = sp_wire_varint(wire);
    uint64_t flags = sp_wire_varint(wire);
    struct sp_pending entry = {.id = {.ms = now_ms},
                               .time_ms = now_ms,
                               .consumer = number,
                               .count = 1,
                               .state = SP_PENDING_IN_FLIGHT};
    bool keyed = (flags & SP_DELIVER_KEYED) != 0;
    if (wire->bad || consumer == NULL || flags > SP_DELIVER_FLAGS ||
        keyed != sp_group_has_order(group)) {
        return SP_CORRUPT;
    }
    sp_status status = fold_entries(folding, keyed, &entry);
    if (status != SP_OK) {
        return status;
    }
    uint64_t position = group->cursor.position + sp_wire_varint(wire);
    group->cursor.version += (uint64_t)sp_unzigzag(sp_wire_varint(wire));
    group->cursor.id.ms = entry.id.ms + (uint64_t)sp_unzigzag(sp_wire_varint(wire));
    group->cursor.id.seq = sp_wire_varint(wire);
    if (wire->bad || position < group->cursor.position || position < entry.position) {
        return SP_CORRUPT;
    }
    group->cursor.position = position;
    consumer->seen_ms = now_ms;
    consumer->active_ms = (flags & SP_DELIVER_ACTIVE) != 0 ? now_ms : consumer->active_ms;
    return SP_OK;
}

/* An entry that was parked, to a consumer. */
static sp_status unpark(struct folding *folding, struct sp_pending *entry) {
    struct sp_parked parked;
    sp_status status = folding->group->care == NULL
                           ? SP_CORRUPT
                           : sp_parked_take(folding->group, entry->position, &parked);
    if (status != SP_OK) {
        return status;
    }
    entry->id = parked.id;
    entry->key = (uint32_t)parked.key;
    entry->count = 1;
    status = sp_pending_add(folding->groups, folding->group, entry);
    return status == SP_CONFLICT ? SP_CORRUPT : status;
}

/* One delivery more of what was waiting, parked, or the consumer's own. */
static sp_status give_again(struct folding *folding, struct sp_pending *entry) {
    struct sp_pending *row = sp_pending_find(folding->group, entry->position);
    if (row == NULL) {
        return unpark(folding, entry);
    }
    if (row->state == SP_PENDING_IN_FLIGHT && row->consumer != entry->consumer) {
        return SP_CORRUPT;
    }
    entry->id = row->id;
    entry->key = row->key;
    entry->count = row->count < UINT32_MAX ? row->count + 1 : UINT32_MAX;
    return sp_pending_change(folding->group, row, entry);
}

static sp_status fold_again(struct folding *folding) {
    uint32_t number;
    struct sp_consumer *consumer = take_consumer(folding, &number);
    uint64_t now_ms = sp_wire_varint(folding->wire);
    if (consumer == NULL || folding->wire->bad) {
        return SP_CORRUPT;
    }
    struct sp_pending entry = {
        .time_ms = now_ms, .consumer = number, .state = SP_PENDING_IN_FLIGHT};
    struct sp_op_positions list = sp_op_positions_of(folding->group);
    sp_status status = SP_OK;
    while (status == SP_OK && sp_op_take_position(&list, folding->wire, &entry.position)) {
        status = give_again(folding, &entry);
    }
    consumer->seen_ms = now_ms;
    consumer->active_ms = now_ms;
    return status;
}

/* ---- settling ---- */

/* Done, or gone. */
static sp_status fold_done(struct folding *folding) {
    struct sp_group *group = folding->group;
    struct sp_op_positions list = sp_op_positions_of(group);
    struct sp_rows_at at = sp_rows_first();
    uint64_t position;
    sp_status status = SP_OK;
    while (status == SP_OK && sp_op_take_position(&list, folding->wire, &position)) {
        const struct sp_pending *row = sp_pending_row(&group->pending, at);
        if (row == NULL || row->position != position) {
            at = sp_rows_seek(&group->pending, &position);
            row = sp_pending_row(&group->pending, at);
        }
        bool there = row != NULL && row->position == position;
        status = there ? sp_pending_remove(folding->groups, group, &at) : SP_CORRUPT;
    }
    return status;
}

static sp_status claim_one(struct folding *folding, struct sp_pending *entry, bool fresh,
                           struct sp_entry_id id) {
    struct sp_pending *row = sp_pending_find(folding->group, entry->position);
    if (fresh != (row == NULL) || entry->position == 0 || (fresh && folding->group->care != NULL)) {
        return SP_CORRUPT;
    }
    entry->id = fresh ? id : row->id;
    entry->key = fresh ? 0 : row->key;
    return fresh ? deliver_one(folding, entry) : sp_pending_change(folding->group, row, entry);
}

static sp_status fold_claim(struct folding *folding) {
    struct sp_wire *wire = folding->wire;
    uint32_t number;
    struct sp_consumer *consumer = take_consumer(folding, &number);
    uint64_t now_ms = sp_wire_varint(wire);
    uint64_t time_ms = now_ms - sp_wire_varint(wire);
    if (wire->bad || consumer == NULL || time_ms > now_ms) {
        return SP_CORRUPT;
    }
    struct sp_pending entry = {
        .time_ms = time_ms, .consumer = number, .state = SP_PENDING_IN_FLIGHT};
    struct sp_op_positions list = sp_op_positions_of(folding->group);
    sp_status status = SP_OK;
    while (status == SP_OK && sp_op_take_position(&list, wire, &entry.position)) {
        uint64_t count = sp_wire_varint(wire);
        bool fresh = (count & 1) != 0;
        struct sp_entry_id id = fresh ? sp_take_id(wire) : SP_ENTRY_ID_NONE;
        entry.count = (uint32_t)(count >> 1);
        bool fits = !wire->bad && count >> 33 == 0;
        status = fits ? claim_one(folding, &entry, fresh, id) : SP_CORRUPT;
    }
    consumer->seen_ms = now_ms;
    consumer->active_ms = now_ms;
    return status;
}

static sp_status fold_release(struct folding *folding) {
    struct sp_op_positions list = sp_op_positions_of(folding->group);
    uint64_t due_ms = 0;
    uint64_t position;
    sp_status status = SP_OK;
    while (status == SP_OK && sp_op_take_position(&list, folding->wire, &position)) {
        struct sp_pending *row = sp_pending_find(folding->group, position);
        due_ms += (uint64_t)sp_unzigzag(sp_wire_varint(folding->wire));
        if (folding->wire->bad || folding->group->care == NULL || row == NULL ||
            row->state != SP_PENDING_IN_FLIGHT) {
            return SP_CORRUPT;
        }
        struct sp_pending entry = *row;
        entry.state = SP_PENDING_WAITING;
        entry.time_ms = due_ms;
        entry.consumer = SP_CONSUMER_NONE;
        status = sp_pending_change(folding->group, row, &entry);
    }
    return status;
}

static sp_status fold_extend(struct folding *folding) {
    struct sp_op_positions list = sp_op_positions_of(folding->group);
    uint64_t time_ms = sp_wire_varint(folding->wire);
    uint64_t position;
    sp_status status = folding->wire->bad ? SP_CORRUPT : SP_OK;
    while (status == SP_OK && sp_op_take_position(&list, folding->wire, &position)) {
        struct sp_pending *row = sp_pending_find(folding->group, position);
        if (folding->wire->bad || row == NULL || row->state != SP_PENDING_IN_FLIGHT) {
            return SP_CORRUPT;
        }
        struct sp_pending entry = *row;
        entry.time_ms = time_ms;
        status = sp_pending_change(folding->group, row, &entry);
    }
    return status;
}

/* ---- the dead ---- */

static sp_status fold_bury(struct folding *folding) {
    struct sp_group *group = folding->group;
    struct sp_op_positions list = sp_op_positions_of(group);
    struct sp_dead dead = {.position = 0};
    bool one = sp_op_take_position(&list, folding->wire, &dead.position);
    dead.time_ms = sp_wire_varint(folding->wire);
    uint64_t reason = sp_wire_varint(folding->wire);
    dead.letter = sp_wire_varint(folding->wire);
    struct sp_rows_at at = sp_rows_seek(&group->pending, &dead.position);
    const struct sp_pending *row = sp_pending_row(&group->pending, at);
    if (folding->wire->bad || !one || group->care == NULL || row == NULL ||
        row->position != dead.position || reason < SP_DEAD_ATTEMPTS || reason > SP_DEAD_REFUSED) {
        return SP_CORRUPT;
    }
    dead.id = row->id;
    dead.last_time_ms = row->state == SP_PENDING_IN_FLIGHT ? row->time_ms : 0;
    dead.key = row->key;
    dead.count = row->count;
    dead.reason = (uint32_t)reason;
    sp_status status = sp_pending_remove(folding->groups, group, &at);
    status = status == SP_OK ? sp_rows_add(&group->care->dead, (const uint64_t *)&dead) : status;
    if (group->care->dead.count > SP_GROUP_DEAD_MAX) {
        (void)sp_rows_remove(&group->care->dead, sp_rows_first());
    }
    return status == SP_CONFLICT ? SP_CORRUPT : status;
}

static sp_status revive(struct folding *folding, const struct sp_dead *dead, uint64_t now_ms) {
    struct sp_group *group = folding->group;
    if (sp_group_has_order(group) && dead->key != 0) {
        struct sp_pending entry = {.position = dead->position, .id = dead->id, .key = dead->key};
        return park_one(folding, &entry);
    }
    const struct sp_pending entry = {.position = dead->position,
                                     .id = dead->id,
                                     .time_ms = now_ms,
                                     .consumer = SP_CONSUMER_NONE,
                                     .state = SP_PENDING_WAITING};
    sp_status status = folding->groups->pending < SP_GROUP_PENDING_MAX
                           ? sp_pending_add(folding->groups, group, &entry)
                           : SP_LIMIT;
    return status == SP_CONFLICT ? SP_CORRUPT : status;
}

/* Out of the dead: back to the group, or away. */
static sp_status fold_undead(struct folding *folding, bool back) {
    struct sp_group *group = folding->group;
    uint64_t now_ms = back ? sp_wire_varint(folding->wire) : 0;
    struct sp_op_positions list = sp_op_positions_of(group);
    uint64_t position;
    sp_status status = group->care != NULL ? SP_OK : SP_CORRUPT;
    while (status == SP_OK && sp_op_take_position(&list, folding->wire, &position)) {
        const uint64_t *row = sp_rows_find(&group->care->dead, &position);
        if (row == NULL) {
            return SP_CORRUPT;
        }
        const struct sp_dead dead = *(const struct sp_dead *)row;
        (void)sp_rows_remove_key(&group->care->dead, &position);
        status = back ? revive(folding, &dead, now_ms) : SP_OK;
    }
    return status;
}

/* ---- which op ---- */

static sp_status fold_op(struct folding *folding, enum sp_op op) {
    switch ((int)op) {
    case SP_OP_GROUP_MOVE:
        return fold_move(folding);
    case SP_OP_GROUP_POLICY:
        return fold_policy(folding);
    case SP_OP_GROUP_REKEY:
        return fold_rekey(folding);
    case SP_OP_CONSUMER_MAKE:
        return fold_consumer_make(folding);
    case SP_OP_CONSUMER_DROP:
        return fold_consumer_drop(folding);
    case SP_OP_CONSUMER_SEEN:
        return fold_consumer_seen(folding);
    case SP_OP_DELIVER:
        return fold_deliver(folding);
    case SP_OP_AGAIN:
        return fold_again(folding);
    case SP_OP_ACK:
    case SP_OP_FORGET:
        return fold_done(folding);
    case SP_OP_CLAIM:
        return fold_claim(folding);
    case SP_OP_RELEASE:
        return fold_release(folding);
    case SP_OP_BURY:
        return fold_bury(folding);
    case SP_OP_REDRIVE:
        return fold_undead(folding, true);
    case SP_OP_DISCARD:
        return fold_undead(folding, false);
    case SP_OP_EXTEND:
        return fold_extend(folding);
    default:
        return SP_CORRUPT;
    }
}

sp_status sp_groups_fold(struct sp_groups *groups, enum sp_op op, struct sp_wire *wire) {
    uint64_t number = sp_wire_varint(wire);
    if (op == SP_OP_GROUP_MAKE) {
        return wire->bad ? SP_CORRUPT : fold_make(groups, number, wire);
    }
    struct folding folding = {
        .groups = groups, .group = sp_group_at_mutable(groups, number), .wire = wire};
    if (wire->bad || folding.group == NULL) {
        return SP_CORRUPT;
    }
    if (op == SP_OP_GROUP_DROP) {
        sp_group_table_remove(groups, folding.group);
        return SP_OK;
    }
    sp_status status = fold_op(&folding, op);
    if (status == SP_OK && wire->bad) {
        return SP_CORRUPT;
    }
    bool timed = folding.group->care != NULL || folding.group->wake.at != 0;
    return status == SP_OK && timed ? sp_group_set_wake(groups, folding.group, 0) : status;
}
