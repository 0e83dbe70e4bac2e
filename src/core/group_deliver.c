/*
 * Handing out: new entries, those that are due again, and a consumer's own once more.
 */
#include "core/bytes.h"
#include "core/groups_int.h"

/* An offer in the making. */
struct offering {
    const struct sp_group *group;
    const struct sp_group_offer *offer;
    uint8_t *what;
    struct sp_group_offered done;
    uint64_t wanted;     /* deliveries that may still be made */
    struct sp_rows keys; /* with an order: those delivered or parked in this offer */
    sp_status status;
    /* the op */
    struct sp_buf *to;
    struct sp_op_positions list;
    uint64_t id_ms; /* of the entry written last */
};

/* ---- the op ---- */

static void begin_op(struct offering *offering) {
    const struct sp_group_offer *offer = offering->offer;
    offering->list = sp_op_positions_of(offering->group);
    offering->id_ms = offer->now_ms;
    sp_op_begin(offering->to, SP_OP_DELIVER, offering->group);
    sp_add_number(offering->to, offer->consumer);
    sp_add_number(offering->to, offer->now_ms);
    /* The flags: whether anything is delivered shows later. */
    sp_buf_add_byte(offering->to, sp_group_has_order(offering->group) ? SP_DELIVER_KEYED : 0);
}

static void put_entry(struct offering *offering, const struct sp_group_entry *entry, bool parked) {
    uint8_t *at = sp_buf_reserve(offering->to, (size_t)4 * SP_VARINT_BYTES_MAX);
    if (at == NULL) {
        return;
    }
    size_t len = sp_op_put_position(&offering->list, at, entry->position);
    len += sp_put_varint(at + len, sp_zigzag((int64_t)(entry->id.ms - offering->id_ms)));
    len += sp_put_varint(at + len, entry->id.seq);
    if (sp_group_has_order(offering->group)) {
        len += sp_put_varint(at + len, (uint64_t)entry->key << 1 | (parked ? 1 : 0));
    }
    offering->id_ms = entry->id.ms;
    sp_buf_advance(offering->to, len);
}

static void end_op(struct offering *offering, const struct sp_group_cursor *cursor,
                   size_t flags_at) {
    struct sp_buf *to = offering->to;
    const struct sp_group_cursor *old = &offering->group->cursor;
    sp_buf_add_byte(to, 0);
    sp_add_number(to, cursor->position - old->position);
    sp_add_number(to, sp_zigzag((int64_t)(cursor->version - old->version)));
    sp_add_number(to, sp_zigzag((int64_t)(cursor->id.ms - offering->id_ms)));
    sp_add_number(to, cursor->id.seq);
    if (to->status == SP_OK && offering->done.delivered > 0) {
        to->data[flags_at] |= SP_DELIVER_ACTIVE;
    }
}

/* ---- what becomes of an entry ---- */

/* True where the key's turn is somebody else's. */
static bool is_key_taken(const struct offering *offering, uint64_t key) {
    const struct sp_group_care *care = offering->group->care;
    const uint64_t from[2] = {key, 0};
    const uint64_t *busy = sp_rows_get(&care->busy, sp_rows_seek(&care->busy, from));
    const uint64_t *parked = sp_rows_get(&care->parked, sp_rows_seek(&care->parked, from));
    return (busy != NULL && busy[0] == key) || (parked != NULL && parked[0] == key) ||
           sp_rows_find(&offering->keys, &key) != NULL;
}

/* After the cursor was moved back: what the group takes care of already is passed over. */
static bool is_taken_care_of(const struct sp_group *group, const struct sp_group_entry *entry) {
    const uint64_t parked[2] = {entry->key, entry->position};
    return sp_pending_find(group, entry->position) != NULL ||
           sp_rows_find(&group->care->parked, parked) != NULL ||
           sp_rows_find(&group->care->dead, &entry->position) != NULL;
}

static enum sp_offer_what consider_ordered(struct offering *offering,
                                           const struct sp_group_entry *entry) {
    const uint64_t key = entry->key;
    sp_require(key != 0);
    if (!is_key_taken(offering, key)) {
        offering->status = sp_rows_add(&offering->keys, &key);
        return SP_OFFER_DELIVERED;
    }
    uint64_t parked = offering->group->care->parked.count + offering->done.parked;
    return parked < SP_GROUP_PARKED_MAX ? SP_OFFER_PARKED : SP_OFFER_LEFT;
}

static enum sp_offer_what consider(struct offering *offering, const struct sp_group_entry *entry) {
    if (offering->group->care == NULL) {
        return SP_OFFER_DELIVERED;
    }
    if (is_taken_care_of(offering->group, entry)) {
        return SP_OFFER_PASSED;
    }
    return sp_group_has_order(offering->group) ? consider_ordered(offering, entry)
                                               : SP_OFFER_DELIVERED;
}

/* Takes the next entry; false where the offer ends before it. */
static bool take_entry(struct offering *offering) {
    const struct sp_group_entry *entry = &offering->offer->entries[offering->done.considered];
    if (offering->done.delivered == offering->wanted) {
        return false;
    }
    enum sp_offer_what what = consider(offering, entry);
    if (what == SP_OFFER_LEFT || offering->status != SP_OK) {
        return false;
    }
    offering->what[offering->done.considered++] = (uint8_t)what;
    if (what == SP_OFFER_PASSED) {
        return true;
    }
    offering->done.delivered += what == SP_OFFER_DELIVERED ? 1 : 0;
    offering->done.parked += what == SP_OFFER_PARKED ? 1 : 0;
    if (!offering->offer->noack) {
        put_entry(offering, entry, what == SP_OFFER_PARKED);
    }
    return true;
}

/* Where the cursor goes. */
static struct sp_group_cursor cursor_behind(const struct offering *offering) {
    const struct sp_group_offer *offer = offering->offer;
    uint32_t considered = offering->done.considered;
    if (considered == offer->entry_count) {
        return offer->until;
    }
    if (considered == 0) {
        return offering->group->cursor;
    }
    const struct sp_group_entry *last = &offer->entries[considered - 1];
    return (struct sp_group_cursor){
        .position = last->position, .version = last->version, .id = last->id};
}

static bool is_in_order(const struct sp_group *group, const struct sp_group_offer *offer) {
    uint64_t position = group->cursor.position;
    for (uint32_t i = 0; i < offer->entry_count; i++) {
        if (offer->entries[i].position <= position) {
            return false;
        }
        position = offer->entries[i].position;
    }
    return offer->until.position >= position;
}

static sp_status check_offer(const struct sp_groups *groups, const struct sp_group *group,
                             const struct sp_group_offer *offer, struct sp_error *error) {
    sp_require(sp_consumer_at(group, offer->consumer) != NULL);
    sp_require(offer->wanted > 0 && is_in_order(group, offer));
    if (offer->noack && sp_group_has_order(group)) {
        return sp_error_set(error, SP_UNSUPPORTED,
                            "NOACK cannot keep the order that the group's policy asks for");
    }
    if (!offer->noack && offer->entry_count > 0 && groups->pending >= SP_GROUP_PENDING_MAX) {
        return sp_error_set(error, SP_LIMIT, "%d entries are pending, and no more can be",
                            SP_GROUP_PENDING_MAX);
    }
    return SP_OK;
}

sp_status sp_group_offer(const struct sp_groups *groups, const struct sp_group *group,
                         const struct sp_group_offer *offer, uint8_t *ret_what,
                         struct sp_group_offered *ret_offered, struct sp_buf *to,
                         struct sp_error *error) {
    sp_status status = check_offer(groups, group, offer, error);
    if (status != SP_OK) {
        return status;
    }
    uint64_t room = offer->noack ? UINT64_MAX : SP_GROUP_PENDING_MAX - groups->pending;
    uint64_t more = offer->noack ? UINT64_MAX : sp_group_room(group);
    room = more < room ? more : room;
    struct offering offering = {.group = group,
                                .offer = offer,
                                .what = ret_what,
                                .wanted = offer->wanted < room ? offer->wanted : room,
                                .to = to};
    size_t start = to->len;
    sp_rows_init(&offering.keys, 1, 1);
    if (offer->entry_count > 0) {
        memset(ret_what, SP_OFFER_LEFT, offer->entry_count);
    }
    begin_op(&offering);
    size_t flags_at = to->len - 1;
    while (offering.done.considered < offer->entry_count && take_entry(&offering)) {
    }
    struct sp_group_cursor cursor = cursor_behind(&offering);
    end_op(&offering, &cursor, flags_at);
    if (offering.done.considered == 0 && cursor.position == group->cursor.position) {
        to->len = start;
    }
    sp_rows_fini(&offering.keys);
    *ret_offered = offering.done;
    return offering.status == SP_OK
               ? SP_OK
               : sp_error_set(error, offering.status, "%s", sp_status_text(offering.status));
}

/* ---- again ---- */

bool sp_group_has_due(const struct sp_group *group, uint64_t now_ms) {
    const struct sp_group_care *care = group->care;
    if (care == NULL || sp_group_room(group) == 0) {
        return false;
    }
    const uint64_t *due = sp_rows_get(&care->waiting, sp_rows_first());
    return care->ready.count > 0 || (due != NULL && due[0] <= now_ms);
}

static struct sp_group_given give(const struct sp_pending *row) {
    return (struct sp_group_given){.position = row->position,
                                   .id = row->id,
                                   .count = row->count < UINT32_MAX ? row->count + 1 : UINT32_MAX};
}

static size_t pick_due(const struct sp_group *group, uint64_t now_ms, struct sp_group_given *ret,
                       size_t max) {
    const struct sp_rows *waiting = &group->care->waiting;
    struct sp_rows_at at = sp_rows_first();
    size_t count = 0;
    for (const uint64_t *row = sp_rows_get(waiting, at);
         row != NULL && row[0] <= now_ms && count < max; row = sp_rows_get(waiting, at)) {
        ret[count++] = give(sp_pending_find(group, row[1]));
        at = sp_rows_next(waiting, at);
    }
    return count;
}

static size_t pick_ready(const struct sp_group *group, struct sp_group_given *ret, size_t max) {
    const struct sp_group_care *care = group->care;
    struct sp_rows_at at = sp_rows_first();
    size_t count = 0;
    for (const uint64_t *row = sp_rows_get(&care->ready, at); row != NULL && count < max;
         row = sp_rows_get(&care->ready, at)) {
        const uint64_t key[2] = {row[1], row[0]};
        const struct sp_parked *parked = (const struct sp_parked *)sp_rows_find(&care->parked, key);
        ret[count++] =
            (struct sp_group_given){.position = parked->position, .id = parked->id, .count = 1};
        at = sp_rows_next(&care->ready, at);
    }
    return count;
}

static void put_again(const struct sp_group *group, uint32_t consumer, uint64_t now_ms,
                      struct sp_op_positions *list, struct sp_buf *to) {
    *list = sp_op_positions_of(group);
    sp_op_begin(to, SP_OP_AGAIN, group);
    sp_add_number(to, consumer);
    sp_add_number(to, now_ms);
}

size_t sp_group_again(const struct sp_group *group, uint32_t consumer, uint64_t now_ms,
                      struct sp_group_given *ret, size_t max, struct sp_buf *to) {
    sp_require(sp_consumer_at(group, consumer) != NULL);
    if (!sp_group_has_due(group, now_ms) || max == 0) {
        return 0;
    }
    uint64_t room = sp_group_room(group);
    max = room < max ? (size_t)room : max;
    size_t count = pick_due(group, now_ms, ret, max);
    count += pick_ready(group, ret + count, max - count);
    struct sp_op_positions list;
    put_again(group, consumer, now_ms, &list, to);
    for (size_t i = 0; i < count; i++) {
        sp_op_add_position(&list, to, ret[i].position);
    }
    sp_buf_add_byte(to, 0);
    return count;
}

size_t sp_group_reread(const struct sp_group *group, uint32_t consumer, uint64_t now_ms,
                       const uint64_t *positions, size_t count, struct sp_buf *to) {
    struct sp_op_positions list;
    size_t start = to->len;
    size_t given = 0;
    uint64_t before = 0;
    put_again(group, consumer, now_ms, &list, to);
    for (size_t i = 0; i < count; i++) {
        const struct sp_pending *row = sp_pending_find(group, positions[i]);
        bool rises = i == 0 || positions[i] > before;
        before = positions[i];
        if (rises && row != NULL && row->state == SP_PENDING_IN_FLIGHT &&
            row->consumer == consumer) {
            sp_op_add_position(&list, to, row->position);
            given++;
        }
    }
    sp_buf_add_byte(to, 0);
    to->len = given > 0 ? to->len : start;
    return given;
}
