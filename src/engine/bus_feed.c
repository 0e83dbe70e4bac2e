/*
 * Handing out: what is due, what was parked, and new entries, which a feed finds ahead of the
 * group's cursor. A feed is only a memory of what was looked at: losing it costs a search.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "engine/bus_int.h"

enum {
    FEEDS_MAX = 1024,
    LOOKED_MAX = 20000,    /* entries looked at in one go, where few of them match */
    IDLE_MOVE_MIN = 65536, /* positions without a match that are worth moving the cursor for */
    BATCH = SP_BUS_READY_MAX,
    COPIES_BYTES_MAX = 256 << 10,
    COPIES_BYTES_KEPT = 64 << 10, /* of a feed that is empty */
};

/* ---- the list of feeds, the one used last first ---- */

static void unlink_feed(struct bus_groups *groups, struct bus_group *side) {
    *(side->newer != NULL ? &side->newer->older : &groups->newest) = side->older;
    *(side->older != NULL ? &side->older->newer : &groups->oldest) = side->newer;
    side->newer = NULL;
    side->older = NULL;
}

static void link_feed(struct bus_groups *groups, struct bus_group *side) {
    side->older = groups->newest;
    *(groups->newest != NULL ? &groups->newest->newer : &groups->oldest) = side;
    groups->newest = side;
}

void bus_feed_free(struct sp_bus *bus, struct bus_group *side) {
    if (side->feed != NULL) {
        unlink_feed(&bus->groups, side);
        bus->groups.feed_count--;
        sp_buf_fini(&side->feed->bytes);
        free(side->feed);
        side->feed = NULL;
    }
}

static struct bus_feed *open_feed(struct sp_bus *bus, struct bus_group *side) {
    struct bus_groups *groups = &bus->groups;
    if (side->feed != NULL) {
        if (groups->newest != side) {
            unlink_feed(groups, side);
            link_feed(groups, side);
        }
        return side->feed;
    }
    if (groups->feed_count == FEEDS_MAX) {
        bus_feed_free(bus, groups->oldest);
    }
    side->feed = calloc(1, sizeof(*side->feed));
    if (side->feed != NULL) {
        sp_buf_init(&side->feed->bytes, COPIES_BYTES_MAX);
        link_feed(groups, side);
        groups->feed_count++;
    }
    return side->feed;
}

/* ---- looking ahead ---- */

/* The hash of the value that an order goes by; never 0. */
static uint32_t order_key(enum sp_group_order order_by, const struct sp_event *event) {
    static const enum sp_attr attrs[] = {[SP_GROUP_ORDER_STREAM] = SP_ATTR_STREAM,
                                         [SP_GROUP_ORDER_SOURCE] = SP_ATTR_SOURCE,
                                         [SP_GROUP_ORDER_CORRELATION] = SP_ATTR_CORRELATION};
    if (order_by == SP_GROUP_ORDER_NONE) {
        return 0;
    }
    sp_str value = event->attr[attrs[order_by]];
    uint32_t hash = (uint32_t)(sp_hash(value.ptr, value.len) >> 16);
    return hash != 0 ? hash : 1;
}

/* Forgets what the cursor has passed; starts anew where it was moved back. */
static void align(struct bus_feed *feed, uint64_t cursor) {
    if (cursor < feed->cursor) {
        feed->next = cursor + 1;
        feed->count = 0;
    }
    while (feed->count > 0 && feed->entries[feed->begin].position <= cursor) {
        feed->begin++;
        feed->count--;
    }
    feed->next = feed->next > cursor ? feed->next : cursor + 1;
    if (feed->count == 0) {
        feed->begin = 0;
        sp_buf_reset(&feed->bytes);
    }
    feed->cursor = cursor;
}

static void push(struct bus_feed *feed, const struct bus_walk *walk, const struct bus_group *side,
                 const struct sp_event *event) {
    const struct sp_record *record = &walk->fetch->record;
    uint32_t at = feed->begin + feed->count++;
    bool fits = record->size <= COPIES_BYTES_MAX - feed->bytes.len;
    feed->offsets[at] = fits ? (uint32_t)feed->bytes.len : UINT32_MAX;
    if (fits) {
        sp_buf_add(&feed->bytes, record->bytes, record->size);
        if (feed->bytes.status != SP_OK) { /* out of memory: read again, then */
            feed->bytes.status = SP_OK;
            feed->offsets[at] = UINT32_MAX;
        }
    }
    feed->entries[at] = (struct sp_group_entry){
        .position = event->position,
        .version = walk->key.kind == SP_KEY_STREAM ? event->version : 0,
        .id = bus_walk_id(walk, event),
        .key = order_key(side->order_by, event),
    };
}

/* Looks for more entries, behind what was looked at. */
static sp_status search(struct sp_bus *bus, struct bus_group *side, struct bus_feed *feed,
                        uint32_t wanted, struct sp_error *error) {
    struct bus_walk walk;
    const struct sp_event *event;
    uint64_t durable = bus->engine->progress.durable_position;
    struct sp_key key = bus_group_key(bus, side);
    sp_status status = bus_walk_init(&walk, bus, &key, feed->next, durable, false, error);
    uint32_t looked = 0;
    while (status == SP_OK && feed->count < wanted && looked < LOOKED_MAX) {
        status = bus_walk_next(&walk, &event, error);
        if (status == SP_OK) {
            feed->next = event->position + 1;
            if (bus_group_wants(side, event)) {
                push(feed, &walk, side, event);
            }
        }
        looked++;
        status =
            status == SP_CORRUPT ? SP_OK : status; /* what is damaged is told when it is read */
    }
    bus_walk_fini(&walk);
    feed->more = looked == LOOKED_MAX && status == SP_OK;
    bus->groups.searching |= feed->more;
    if (status == SP_END) {
        feed->next = durable + 1 > feed->next ? durable + 1 : feed->next;
        return SP_OK;
    }
    return status;
}

/* Makes room at the end, and takes out what was hidden since it was found. */
static void compact(struct sp_bus *bus, const struct bus_group *side, struct bus_feed *feed) {
    const struct sp_views *views = &bus->core->views;
    uint32_t stream = UINT32_MAX;
    if (side->key.kind == SP_KEY_STREAM && views->count > 0) {
        sp_str name = bus_group_key(bus, side).name;
        stream = sp_streams_find(&bus->core->streams, sp_stream_hash(name), name);
    }
    if (feed->begin == 0 && stream == UINT32_MAX) {
        return;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < feed->count; i++) {
        const struct sp_group_entry entry = feed->entries[feed->begin + i];
        if (stream == UINT32_MAX || sp_view_shows(views, stream, entry.version)) {
            feed->offsets[kept] = feed->offsets[feed->begin + i];
            feed->entries[kept++] = entry;
        }
    }
    feed->begin = 0;
    feed->count = kept;
}

/* Up to `wanted` entries ahead of the cursor, in feed->entries from feed->begin on. */
static sp_status look_ahead(struct sp_bus *bus, struct bus_group *side, uint64_t cursor,
                            uint32_t wanted, struct bus_feed **ret_feed, struct sp_error *error) {
    struct bus_feed *feed = open_feed(bus, side);
    if (feed == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "feed");
    }
    align(feed, cursor);
    compact(bus, side, feed);
    *ret_feed = feed;
    bool behind = feed->next <= bus->engine->progress.durable_position;
    return feed->count < wanted && behind ? search(bus, side, feed, wanted, error) : SP_OK;
}

/* ---- events of entries ---- */

sp_status bus_entry_event(struct sp_bus *bus, const struct sp_key *key, uint64_t position,
                          const struct sp_event **ret_event, struct sp_error *error) {
    struct sp_cursor *fetch;
    uint64_t first;
    uint64_t last;
    bus->engine->log->ops->bounds(bus->engine->log, &first, &last);
    if (position < first) { /* dropped: what is in memory of it is there one moment, not the next */
        return sp_error_set(error, SP_NOT_FOUND, "event %llu was dropped from the log",
                            (unsigned long long)position);
    }
    /* Not the one that a feed of this key reads on with. */
    uint64_t slot = sp_stream_hash(key->name) + BUS_FETCHERS / 2;
    sp_status status = bus_fetcher(bus, slot, &fetch, error);
    if (status == SP_OK) {
        fetch->reverse = false;
        status = cursor_fetch(fetch, position, error);
    }
    if (status == SP_OK && key->kind == SP_KEY_STREAM && bus->core->views.count > 0) {
        uint32_t stream =
            sp_streams_find(&bus->core->streams, sp_stream_hash(key->name), key->name);
        if (stream == UINT32_MAX ||
            !sp_view_shows(&bus->core->views, stream, fetch->event.version)) {
            return SP_NOT_FOUND;
        }
    }
    *ret_event = &fetch->event;
    return status;
}

/* ---- receiving ---- */

struct receiving {
    struct sp_bus *bus;
    const struct sp_group *group;
    struct bus_group *side;
    struct sp_key key;
    uint64_t number;
    uint32_t consumer;
    uint64_t now_ms;
    uint32_t wanted;
    uint32_t given;
    bool noack;
    sp_bus_given_fn *each;
    void *context;
    struct sp_error *error;
};

/* Ops of the group are folded: what is known of it is found again. */
static sp_status take_ops(struct receiving *r, enum sp_engine_ops_way way) {
    sp_status status = bus_take_ops(r->bus, way, r->error);
    r->group = sp_group_at(&r->bus->core->groups, r->number);
    return status;
}

/* Gives one entry; false where its event is gone for good. */
static bool give(struct receiving *r, uint64_t position, struct sp_entry_id id, uint32_t count) {
    const struct sp_event *event;
    sp_status status = bus_entry_event(r->bus, &r->key, position, &event, NULL);
    if (status == SP_OK) {
        r->each(r->context, event, id, count);
        r->given++;
    }
    return status != SP_NOT_FOUND;
}

/* Gives an entry of the feed, from the copy of its record; false where its event is gone. */
static bool give_new(struct receiving *r, const struct bus_feed *feed, uint32_t at) {
    const struct sp_group_entry *entry = &feed->entries[at];
    char scratch[SP_RECORD_SCRATCH_BYTES];
    struct sp_record record;
    struct sp_event event;
    if (feed->offsets[at] == UINT32_MAX) {
        return give(r, entry->position, entry->id, 1);
    }
    sp_str bytes = sp_str_from_byte(sp_buf_str(&feed->bytes), feed->offsets[at]);
    sp_status status = sp_record_read(bytes, entry->position, &record);
    status = status == SP_OK ? sp_record_decode(&record, scratch, &event) : status;
    sp_ensure(status == SP_OK); /* it was decoded before it was copied */
    r->each(r->context, &event, entry->id, 1);
    r->given++;
    return true;
}

/*
 * Entries whose events are gone are not pending any more. Where there is no room to say so now they
 * stay until they are due again: what was asked has been done.
 */
static sp_status forget_gone(struct receiving *r, const uint64_t *gone, size_t count) {
    if (count == 0) {
        return SP_OK;
    }
    sp_buf_reset(&r->bus->ops);
    (void)sp_group_forget(r->group, gone, count, &r->bus->ops);
    return take_ops(r, SP_OPS_LAZY) == SP_FAILED ? SP_FAILED : SP_OK;
}

/* What is due and what is free to go again. */
static sp_status receive_again(struct receiving *r) {
    struct sp_group_given given[BATCH];
    uint64_t gone[BATCH];
    sp_status status = SP_OK;
    while (status == SP_OK && r->wanted > r->given) {
        uint32_t most = r->wanted - r->given < BATCH ? r->wanted - r->given : BATCH;
        size_t gone_count = 0;
        sp_buf_reset(&r->bus->ops);
        size_t count = sp_group_again(r->group, r->consumer, r->now_ms, given, most, &r->bus->ops);
        if (count == 0) {
            break;
        }
        status = take_ops(r, SP_OPS_LAZY);
        for (size_t i = 0; i < count && status == SP_OK; i++) {
            if (!give(r, given[i].position, given[i].id, given[i].count)) {
                gone[gone_count++] = given[i].position;
            }
        }
        status = status == SP_OK ? forget_gone(r, gone, gone_count) : status;
        if (count < most) {
            break;
        }
    }
    return status;
}

/* The lag that is known shrinks by what was considered. */
static void note_considered(struct receiving *r, const struct sp_group_entry *entries,
                            uint32_t count) {
    struct bus_group *side = r->side;
    for (uint32_t i = 0; side->lag_known && i < count; i++) {
        side->lag -= entries[i].position < side->lag_until && side->lag > 0 ? 1 : 0;
    }
    side->lag_cursor = sp_group_get(r->group).cursor.position;
}

/* Offers entries of the feed; *ret_on false where there is no more to be had. */
static sp_status offer_once(struct receiving *r, struct bus_feed *feed, uint32_t count,
                            bool *ret_on) {
    uint8_t what[BATCH];
    struct sp_group_offered offered = {.considered = 0};
    const struct sp_group_entry *entries = feed->entries + feed->begin;
    const struct sp_group_facts facts = sp_group_get(r->group);
    struct sp_group_offer offer = {
        .consumer = r->consumer,
        .now_ms = r->now_ms,
        .noack = r->noack,
        .entries = entries,
        .entry_count = count,
        .wanted = r->wanted - r->given,
        .until = facts.cursor,
    };
    if (count > 0) {
        const struct sp_group_entry *last = &entries[count - 1];
        offer.until = (struct sp_group_cursor){
            .position = last->position, .version = last->version, .id = last->id};
    } else { /* a long stretch without a match need not be searched again */
        offer.until.position = feed->next - 1;
    }
    sp_buf_reset(&r->bus->ops);
    sp_status status = sp_group_offer(&r->bus->core->groups, r->group, &offer, what, &offered,
                                      &r->bus->ops, r->error);
    status = status == SP_OK ? take_ops(r, SP_OPS_LAZY) : status;
    if (status != SP_OK) {
        return status;
    }
    note_considered(r, entries, offered.considered);
    uint64_t gone[BATCH];
    size_t gone_count = 0;
    for (uint32_t i = 0; i < offered.considered; i++) {
        if (what[i] == SP_OFFER_DELIVERED && !give_new(r, feed, feed->begin + i)) {
            gone[gone_count++] = entries[i].position;
        }
    }
    feed->begin += offered.considered;
    feed->count -= offered.considered;
    if (feed->count == 0 && feed->bytes.capacity > COPIES_BYTES_KEPT) {
        sp_buf_fini(&feed->bytes);
        sp_buf_init(&feed->bytes, COPIES_BYTES_MAX);
    }
    *ret_on = count > 0 && offered.considered == count;
    return r->noack ? SP_OK : forget_gone(r, gone, gone_count);
}

static sp_status receive_new(struct receiving *r) {
    bool on = true;
    sp_status status = SP_OK;
    while (status == SP_OK && on && r->given < r->wanted) {
        struct bus_feed *feed;
        uint32_t left = r->wanted - r->given;
        uint64_t cursor = sp_group_get(r->group).cursor.position;
        status = look_ahead(r->bus, r->side, cursor, left < BATCH ? left : BATCH, &feed, r->error);
        if (status != SP_OK) {
            break;
        }
        uint32_t count = feed->count < BATCH ? feed->count : BATCH;
        bool moves = count == 0 && feed->next > cursor + IDLE_MOVE_MIN;
        on = feed->more;
        if (count > 0 || moves) {
            bool all = false;
            status = offer_once(r, feed, count, &all);
            on = all;
        }
        on = on && !(count == 0 && feed->more); /* a turn of its own: see bus_groups_upkeep */
    }
    return status;
}

static sp_status begin_receive(struct sp_bus *bus, const struct sp_bus_receive *receive,
                               sp_bus_given_fn *each, void *context, struct receiving *r,
                               struct sp_error *error) {
    uint32_t count = receive->count;
    *r = (struct receiving){
        .bus = bus,
        .key = *receive->key,
        .now_ms = bus_now_ms(bus),
        .wanted = count == 0 || count > SP_BUS_RECEIVE_MAX ? SP_BUS_RECEIVE_MAX : count,
        .noack = receive->noack,
        .each = each,
        .context = context,
        .error = error,
    };
    sp_status status = bus_group_find(bus, receive->key, receive->group, &r->group, error);
    if (status == SP_OK) {
        status = bus_consumer(bus, &r->group, receive->consumer, &r->consumer, error);
    }
    if (status == SP_OK) {
        r->side = bus_group_of(bus, r->group);
        r->number = r->side->number;
        r->side->told = false;
    }
    return status;
}

sp_status sp_bus_receive(struct sp_bus *bus, const struct sp_bus_receive *receive,
                         sp_bus_given_fn *each, void *context, uint32_t *ret_count,
                         struct sp_error *error) {
    struct receiving r;
    sp_status status = begin_receive(bus, receive, each, context, &r, error);
    if (status != SP_OK) {
        return status;
    }
    if (r.side->has_policy) {
        status = receive_again(&r);
    }
    status = status == SP_OK ? receive_new(&r) : status;
    if (status == SP_OK && r.given == 0) {
        sp_buf_reset(&bus->ops);
        sp_consumer_seen(r.group, r.consumer, r.now_ms, &bus->ops);
        sp_status seen = bus_take_ops(bus, SP_OPS_WEAK, NULL);
        (void)seen; /* where there is no room it is not written down that somebody asked */
    }
    /* What was handed out already is told, whatever came behind it. */
    if (status == SP_OK || r.given > 0) {
        *ret_count = r.given;
        return SP_OK;
    }
    return status;
}

/* ---- how many could go ---- */

uint32_t sp_bus_group_ready(struct sp_bus *bus, const struct sp_group *group, uint32_t max) {
    struct bus_group *side = bus_group_of(bus, group);
    const struct sp_group_facts facts = sp_group_get(group);
    max = max < SP_BUS_READY_MAX ? max : SP_BUS_READY_MAX;
    side->told = false;
    if (facts.has_policy && facts.policy.in_flight_max > 0) {
        uint64_t room = facts.policy.in_flight_max > facts.in_flight
                            ? facts.policy.in_flight_max - facts.in_flight
                            : 0;
        max = max < room ? max : (uint32_t)room;
    }
    uint32_t count = 0;
    if (max > 0 && facts.has_policy && sp_group_has_due(group, bus_now_ms(bus))) {
        struct sp_group_given given[SP_BUS_READY_MAX];
        uint32_t consumer = sp_consumer_nth(group, 0); /* any will do; who asks may be gone */
        sp_buf_reset(&bus->ops);
        /* Decided and not folded: nothing happens. */
        count =
            consumer == SP_CONSUMER_NONE
                ? 1
                : (uint32_t)sp_group_again(group, consumer, bus_now_ms(bus), given, max, &bus->ops);
        sp_buf_reset(&bus->ops);
    }
    struct bus_feed *feed;
    if (count < max &&
        look_ahead(bus, side, facts.cursor.position, max - count, &feed, NULL) == SP_OK) {
        count += feed->count < max - count ? feed->count : max - count;
    }
    return count;
}

/* ---- a consumer's history ---- */

static sp_status give_history(struct receiving *r, const struct sp_pending *pending, size_t count) {
    uint64_t positions[BATCH];
    size_t there = 0;
    for (size_t i = 0; i < count; i++) { /* those that are gone are no delivery */
        const struct sp_event *event;
        if (bus_entry_event(r->bus, &r->key, pending[i].position, &event, NULL) == SP_OK) {
            positions[there++] = pending[i].position;
        }
    }
    sp_buf_reset(&r->bus->ops);
    (void)sp_group_reread(r->group, r->consumer, r->now_ms, positions, there, &r->bus->ops);
    sp_status status = take_ops(r, SP_OPS_LAZY);
    for (size_t i = 0; i < count && status == SP_OK; i++) {
        if (!give(r, pending[i].position, pending[i].id, pending[i].count + 1)) {
            r->each(r->context, NULL, pending[i].id, pending[i].count);
            r->given++;
        }
    }
    return status;
}

sp_status sp_bus_history(struct sp_bus *bus, const struct sp_bus_receive *receive,
                         struct sp_entry_id after, sp_bus_given_fn *each, void *context,
                         uint32_t *ret_count, struct sp_error *error) {
    struct receiving r;
    struct sp_pending pending[BATCH];
    sp_status status = begin_receive(bus, receive, each, context, &r, error);
    struct sp_pending_range range = {.until = SP_ENTRY_ID_MAX, .consumer = r.consumer};
    bool on = status == SP_OK && sp_entry_id_compare(after, SP_ENTRY_ID_MAX) < 0;
    range.from = sp_entry_id_next(after);
    while (on && status == SP_OK && r.given < r.wanted) {
        size_t most = r.wanted - r.given < BATCH ? r.wanted - r.given : BATCH;
        size_t count = sp_pending_list(r.group, &range, pending, most);
        status = count > 0 ? give_history(&r, pending, count) : SP_OK;
        on = count == most;
        range.from = count > 0 ? sp_entry_id_next(pending[count - 1].id) : range.from;
    }
    if (status == SP_OK) {
        *ret_count = r.given;
    }
    return status;
}

/* ---- lag ---- */

/* Counts on behind what is known. */
static sp_status count_lag(struct sp_bus *bus, struct bus_group *side, uint64_t cursor,
                           struct sp_error *error) {
    uint64_t durable = bus->engine->progress.durable_position;
    uint64_t first;
    uint64_t last;
    bus->engine->log->ops->bounds(bus->engine->log, &first, &last);
    /* What is hidden meanwhile, or dropped from the log, lags no more. */
    uint64_t stamp = side->key.kind == SP_KEY_STREAM ? bus->core->views.stamp : 0;
    if (!side->lag_known || side->lag_cursor != cursor || side->lag_stamp != stamp ||
        side->lag_first != first) {
        side->lag_first = first;
        side->lag = 0;
        side->lag_cursor = cursor;
        side->lag_until = cursor + 1;
        side->lag_stamp = stamp;
    }
    /* What was handed out before it was ever counted lags no more, either. */
    side->lag_until = side->lag_until > cursor ? side->lag_until : cursor + 1;
    struct bus_walk walk;
    const struct sp_event *event;
    struct sp_key key = bus_group_key(bus, side);
    sp_status status = bus_walk_init(&walk, bus, &key, side->lag_until, durable, false, error);
    while (status == SP_OK) {
        status = bus_walk_next(&walk, &event, error);
        side->lag += status == SP_OK && bus_group_wants(side, event) ? 1 : 0;
        status = status == SP_CORRUPT ? SP_OK : status;
    }
    bus_walk_fini(&walk);
    side->lag_known = status == SP_END;
    side->lag_until = durable + 1;
    return status == SP_END ? SP_OK : status;
}

/* How long ago the first entry behind the cursor was recorded. */
static sp_status lag_time(struct sp_bus *bus, struct bus_group *side, uint64_t cursor,
                          uint64_t *ret_ms, struct sp_error *error) {
    struct bus_feed *feed;
    const struct sp_event *event;
    *ret_ms = 0;
    sp_status status = look_ahead(bus, side, cursor, 1, &feed, error);
    if (status == SP_OK && feed->count > 0) {
        struct sp_key key = bus_group_key(bus, side);
        if (bus_entry_event(bus, &key, feed->entries[feed->begin].position, &event, NULL) ==
            SP_OK) {
            uint64_t now_ms = bus_now_ms(bus);
            uint64_t then_ms = event->recorded_us / 1000;
            *ret_ms = now_ms > then_ms ? now_ms - then_ms : 0;
        }
    }
    return status;
}

sp_status sp_bus_group_info(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                            struct sp_bus_group_info *ret_info, struct sp_error *error) {
    const struct sp_group *group = NULL;
    sp_status status = bus_group_find(bus, key, name, &group, error);
    if (status != SP_OK) {
        return status;
    }
    struct bus_group *side = bus_group_of(bus, group);
    struct sp_bus_group_info info = {.facts = sp_group_get(group)};
    const struct sp_group_cursor *cursor = &info.facts.cursor;
    if (key->kind == SP_KEY_STREAM) {
        struct sp_view_facts facts = sp_view_get(&bus->core->views, key->name);
        uint64_t seen = cursor->version > facts.base ? cursor->version : facts.base;
        uint64_t behind = facts.last > seen ? facts.last - seen : 0;
        info.entries_read = facts.entries_added > behind ? facts.entries_added - behind : 0;
    }
    if (key->kind == SP_KEY_STREAM && side->type.len == 0 && side->filter == NULL) {
        uint32_t stream =
            sp_streams_find(&bus->core->streams, sp_stream_hash(key->name), key->name);
        info.lag = stream == UINT32_MAX
                       ? 0
                       : sp_view_count_above(&bus->core->views, stream, cursor->version);
    } else {
        status = count_lag(bus, side, cursor->position, error);
        info.lag = side->lag;
    }
    if (status == SP_OK && info.lag > 0) {
        status = lag_time(bus, side, cursor->position, &info.lag_ms, error);
    }
    if (status == SP_OK) {
        *ret_info = info;
    }
    return status;
}
