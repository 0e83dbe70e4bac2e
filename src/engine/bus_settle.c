/*
 * What becomes of entries that were handed out: acknowledged, failed, claimed, buried, redriven.
 * Every failure and every death is an event beside the op, in one block with it.
 */
#include <stdlib.h>

#include "engine/bus_int.h"
#include "event/event_json.h"

enum {
    DUE_BATCH = 64,
    DUE_TURN_MAX = 1024, /* deadlines of one turn */
    TOLD_LEFT_MAX = 100, /* events of one consumer that left */
    BATCH = 256,
    LETTER_BYTES = 4096, /* of a letter, beside the event in it */
};

/* ---- acknowledging ---- */

/* Entries that are settled make room, and let others of their key go. */
static void let_others_go(struct sp_bus *bus, uint64_t number) {
    const struct sp_group *group = sp_group_at(&bus->core->groups, number);
    if (group != NULL) {
        struct bus_group *side = bus_group_of(bus, group);
        if (side->capped) {
            bus_group_tell_ready(bus, side);
        }
    }
}

sp_status sp_bus_ack(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                     const struct sp_entry_id *ids, size_t count, uint64_t *ret_count,
                     struct sp_error *error) {
    const struct sp_group *group = NULL;
    sp_status status = bus_group_find(bus, key, name, &group, error);
    if (status != SP_OK) {
        return status;
    }
    uint64_t number = sp_group_get(group).number;
    sp_buf_reset(&bus->ops);
    uint64_t done = sp_group_ack(group, ids, count, &bus->ops);
    status = bus_take_ops(bus, SP_OPS_GATHERED, error);
    if (status == SP_OK) {
        *ret_count = done;
        if (done > 0) {
            let_others_go(bus, number);
        }
    }
    return status;
}

/* ---- more time ---- */

sp_status sp_bus_extend(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                        const struct sp_entry_id *ids, size_t count, const uint64_t *ms,
                        uint64_t *ret_count, struct sp_error *error) {
    const struct sp_group *group = NULL;
    sp_status status = bus_group_find(bus, key, name, &group, error);
    if (status != SP_OK) {
        return status;
    }
    if (ms != NULL && !sp_group_get(group).has_policy) {
        return sp_error_set(error, SP_UNSUPPORTED, "the group has no policy, and no ack-wait");
    }
    const struct sp_group_extension extension = {
        .now_ms = bus_now_ms(bus), .has_ms = ms != NULL, .ms = ms != NULL ? *ms : 0};
    sp_buf_reset(&bus->ops);
    uint64_t done = sp_group_extend(group, ids, count, &extension, &bus->ops);
    status = bus_take_ops(bus, SP_OPS_GATHERED, error);
    if (status == SP_OK) {
        *ret_count = done;
    }
    return status;
}

/* ---- failures ---- */

/* An attempt that failed, or an entry that is given up. */
struct failing {
    struct sp_bus *bus;
    uint64_t number; /* of the group */
    struct sp_pending entry;
    uint64_t now_ms;
    sp_str text;
    struct sp_error *error;
};

static sp_str consumer_name(const struct sp_group *group, uint32_t consumer) {
    struct sp_consumer_facts facts;
    return consumer != SP_CONSUMER_NONE && sp_consumer_get(group, consumer, &facts)
               ? facts.name
               : (sp_str){.ptr = "", .len = 0};
}

/* What both kinds of events say. */
static void begin_data(const struct failing *f, const struct sp_group_facts *facts, sp_str consumer,
                       const struct sp_event *event) {
    struct sp_bus *bus = f->bus;
    bus_json_begin(bus);
    bus_json_text(bus, "key", facts->key);
    bus_json_text(bus, "group", facts->name);
    if (event != NULL) {
        bus_json_text(bus, "id", event->attr[SP_ATTR_ID]);
    }
    bus_json_number(bus, "position", f->entry.position);
    bus_json_id(bus, "entryid", f->entry.id);
    bus_json_text(bus, "consumer", consumer);
    bus_json_number(bus, "attempt", f->entry.count);
    bus_json_text(bus, "error", f->text);
}

/* The event of the entry; NULL where it is gone. Borrowed until the next read. */
static const struct sp_event *event_of(const struct failing *f) {
    const struct sp_event *event;
    return bus_fetch(f->bus, f->entry.position, &event, NULL) == SP_OK ? event : NULL;
}

/* The op is in bus->ops. */
static sp_status tell_failed(struct failing *f, uint64_t due_ms) {
    struct sp_bus *bus = f->bus;
    const struct sp_group *group = sp_group_at(&bus->core->groups, f->number);
    const struct sp_group_facts facts = sp_group_get(group);
    const struct sp_event *event = event_of(f);
    sp_str data;
    begin_data(f, &facts, consumer_name(group, f->entry.consumer), event);
    bus_json_time(bus, "retry_at", due_ms);
    sp_status status = bus_json_end(bus, &data, f->error);
    struct bus_note note = {.type = "delivery.failed",
                            .prefix = "$group:",
                            .key = facts.key,
                            .group = facts.name,
                            .cause = event,
                            .data = data};
    bool held;
    size_t bytes = bus_note_bytes(&note, data.len) + bus->ops.len + BUS_OP_BYTES;
    status = status == SP_OK ? bus_hold(bus, bytes, 1, &held, f->error) : status;
    if (status == SP_OK) {
        status = bus_tell(bus, &note, NULL, f->error);
        status = status == SP_OK ? bus_take_ops(bus, SP_OPS_GATHERED, f->error) : status;
        bus_release(bus, held);
    }
    return status;
}

/* The whole event goes with the letter, unless the letter would be too large to be an event. */
static void add_event(struct sp_bus *bus, const struct sp_event *event) {
    size_t before = bus->json.len;
    sp_buf_add_str(&bus->json, SP_STR(",\"event\":"));
    sp_event_to_json(event, NULL, &bus->json);
    if (bus->json.len + LETTER_BYTES > bus->engine->options.limits.event_bytes_max ||
        bus->json.status == SP_LIMIT) {
        bus->json.len = before;
        bus->json.status = SP_OK;
        sp_buf_add_str(&bus->json, SP_STR(",\"event_omitted\":true"));
    }
}

static sp_status write_letter(struct failing *f, enum sp_dead_reason reason,
                              const struct sp_group_facts *facts, sp_str consumer,
                              struct bus_note *ret_note) {
    static const char *const reasons[] = {
        [SP_DEAD_ATTEMPTS] = "attempts used up", [SP_DEAD_REFUSED] = "refused by a consumer"};
    struct sp_bus *bus = f->bus;
    const struct sp_event *event = event_of(f);
    begin_data(f, facts, consumer, event);
    bus_json_text(bus, "reason", sp_str_from(reasons[reason]));
    if (f->entry.state == SP_PENDING_IN_FLIGHT) {
        bus_json_time(bus, "delivered_at", f->entry.time_ms);
    }
    if (event != NULL) {
        bus_json_text(bus, "stream", event->attr[SP_ATTR_STREAM]);
        add_event(bus, event);
    }
    *ret_note = (struct bus_note){.type = "delivery.dead_lettered",
                                  .prefix = "$dead:",
                                  .key = facts->key,
                                  .group = facts->name,
                                  .cause = event};
    return bus_json_end(bus, &ret_note->data, f->error);
}

/* Writes the letter and buries the entry. */
static sp_status bury(struct failing *f, enum sp_dead_reason reason) {
    struct sp_bus *bus = f->bus;
    const struct sp_group *group = sp_group_at(&bus->core->groups, f->number);
    const struct sp_group_facts facts = sp_group_get(group);
    struct bus_note note;
    uint64_t letter = 0;
    bool held;
    sp_status status =
        write_letter(f, reason, &facts, consumer_name(group, f->entry.consumer), &note);
    size_t bytes = bus_note_bytes(&note, note.data.len) + BUS_OP_BYTES;
    status = status == SP_OK ? bus_hold(bus, bytes, 1, &held, f->error) : status;
    if (status != SP_OK) {
        return status;
    }
    status = bus_tell(bus, &note, &letter, f->error);
    if (status == SP_OK) {
        sp_buf_reset(&bus->ops);
        (void)sp_group_bury(group, f->entry.position, reason, letter, f->now_ms, &bus->ops);
        status = bus_take_ops(bus, SP_OPS_GATHERED, f->error);
    }
    bus_release(bus, held);
    if (status == SP_OK) {
        let_others_go(bus, f->number);
    }
    return status;
}

/*
 * One attempt failed: it waits for the next, or there is none. SP_NOT_FOUND: it is not in flight.
 */
static sp_status fail(struct failing *f, const struct sp_group_failure *failure) {
    const struct sp_group *group = sp_group_at(&f->bus->core->groups, f->number);
    sp_buf_reset(&f->bus->ops);
    struct sp_group_failed failed = sp_group_fail(group, failure, &f->bus->ops);
    f->entry = failed.entry;
    switch (failed.what) {
    case SP_FAIL_NONE:
        return sp_error_set(f->error, SP_NOT_FOUND, "the entry is not in flight");
    case SP_FAIL_RETRY: {
        sp_status status = tell_failed(f, failed.due_ms);
        if (status == SP_OK) {
            let_others_go(f->bus, f->number);
        }
        return status;
    }
    case SP_FAIL_BURY:
        return bury(f, SP_DEAD_ATTEMPTS);
    }
    sp_never();
}

sp_status sp_bus_nack(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                      struct sp_entry_id id, const struct sp_bus_nack *nack,
                      struct sp_error *error) {
    const struct sp_group *group = NULL;
    struct failing f = {.bus = bus, .now_ms = bus_now_ms(bus), .text = nack->text, .error = error};
    sp_status status = bus_group_find(bus, key, name, &group, error);
    if (status != SP_OK) {
        return status;
    }
    if (!sp_group_get(group).has_policy) {
        return sp_error_set(error, SP_UNSUPPORTED,
                            "the group has no policy: nothing would hand the entry out again");
    }
    if (!sp_pending_get(group, id, &f.entry) || f.entry.state != SP_PENDING_IN_FLIGHT) {
        return sp_error_set(error, SP_NOT_FOUND, "the entry is not in flight");
    }
    f.number = sp_group_get(group).number;
    if (nack->dead) {
        return bury(&f, SP_DEAD_REFUSED);
    }
    const struct sp_group_failure failure = {
        .position = f.entry.position,
        .now_ms = f.now_ms,
        .has_delay = nack->has_delay,
        .delay_ms = nack->delay_ms,
        .random = sp_prng_next(&bus->groups.random),
    };
    return fail(&f, &failure);
}

/* ---- a consumer leaves ---- */

static sp_status bury_all(struct failing *f, const struct sp_pending *dead, size_t count) {
    sp_status status = SP_OK;
    for (size_t i = 0; i < count && status == SP_OK; i++) {
        f->entry = dead[i];
        status = bury(f, SP_DEAD_ATTEMPTS);
    }
    return status;
}

/*
 * What it has fails, entry by entry, each in one block with the event that says so; of very many
 * the first ones. Where the store is busy half way, the rest is still the consumer's.
 */
static sp_status fail_each(struct failing *f, uint32_t consumer, size_t *ret_count) {
    struct sp_pending had[TOLD_LEFT_MAX];
    struct sp_pending_range range = {.until = SP_ENTRY_ID_MAX, .consumer = consumer};
    const struct sp_group *group = sp_group_at(&f->bus->core->groups, f->number);
    sp_status status = SP_OK;
    *ret_count = sp_pending_list(group, &range, had, TOLD_LEFT_MAX);
    for (size_t i = 0; i < *ret_count && status == SP_OK; i++) {
        const struct sp_group_failure failure = {
            .position = had[i].position, .now_ms = f->now_ms, .has_delay = true, .delay_ms = 0};
        status = fail(f, &failure);
    }
    return status;
}

/* The rest of very many: nobody reads an event for each of them. */
static sp_status release_rest(struct failing *f, uint32_t consumer, bool disconnected) {
    struct sp_bus *bus = f->bus;
    struct sp_pending dead[BATCH];
    size_t count = BATCH;
    sp_status status = SP_OK;
    while (status == SP_OK && count == BATCH) {
        const struct sp_group *group = sp_group_at(&bus->core->groups, f->number);
        sp_buf_reset(&bus->ops);
        count = sp_group_leave(group, consumer, disconnected, f->now_ms, dead, BATCH, &bus->ops);
        status = bus_take_ops(bus, SP_OPS_GATHERED, f->error);
        status = status == SP_OK ? bury_all(f, dead, count) : status;
    }
    return status;
}

sp_status bus_consumer_leave(struct sp_bus *bus, uint64_t number, uint32_t consumer,
                             bool disconnected, struct sp_error *error) {
    struct failing f = {.bus = bus,
                        .number = number,
                        .now_ms = bus_now_ms(bus),
                        .text = SP_STR("the consumer left"),
                        .error = error};
    const struct sp_group *group = sp_group_at(&bus->core->groups, number);
    if (disconnected && sp_group_get(group).policy.keep_on_leave) {
        return SP_OK;
    }
    size_t count;
    sp_status status = fail_each(&f, consumer, &count);
    if (status == SP_OK && count == TOLD_LEFT_MAX) {
        status = release_rest(&f, consumer, disconnected);
    }
    if (status == SP_OK && count > 0) {
        bus_group_tell_ready(bus, bus_group_of(bus, sp_group_at(&bus->core->groups, number)));
    }
    return status;
}

/* ---- claiming ---- */

struct claiming {
    struct sp_bus *bus;
    const struct sp_group *group;
    struct sp_key key;
    uint64_t number;
    struct sp_group_claim claim;
    struct sp_group_cursor last;
};

/* Whether clients still see the entry. */
static bool still_there(void *context, uint64_t position, struct sp_entry_id id) {
    struct claiming *c = context;
    const struct sp_event *event;
    (void)id;
    sp_status status = bus_entry_event(c->bus, &c->key, position, &event, NULL);
    return status != SP_NOT_FOUND;
}

static sp_status begin_claim(struct sp_bus *bus, const struct sp_bus_claim *claim,
                             struct claiming *c, struct sp_error *error) {
    uint64_t position = 0;
    uint64_t version = 0;
    *c = (struct claiming){.bus = bus, .key = *claim->key};
    sp_status status = bus_group_find(bus, claim->key, claim->group, &c->group, error);
    c->claim = (struct sp_group_claim){
        .now_ms = bus_now_ms(bus),
        .idle_min_ms = claim->idle_min_ms,
        .justid = claim->justid,
        .has_retry_count = claim->has_retry_count,
        .retry_count = claim->retry_count,
        .time_ms = claim->time_ms,
        .exists = still_there,
        .context = c,
    };
    if (status == SP_OK) {
        status = bus_consumer(bus, &c->group, claim->consumer, &c->claim.consumer, error);
    }
    if (status == SP_OK) {
        c->number = sp_group_get(c->group).number;
    }
    if (status == SP_OK && claim->last_id != NULL) {
        struct sp_entry_id next = sp_entry_id_next(*claim->last_id);
        status = bus_first_from(bus, claim->key, next, &version, &position, error);
        bool stream = claim->key->kind == SP_KEY_STREAM;
        uint64_t last_version = stream ? bus_facts(bus, claim->key).last : 0;
        c->last =
            (struct sp_group_cursor){.position = position != 0 ? position - 1 : bus->core->position,
                                     .version = !stream         ? 0
                                                : position != 0 ? version - 1
                                                                : last_version,
                                     .id = *claim->last_id};
        c->claim.last = &c->last;
    }
    return status;
}

static sp_status give_claimed(struct claiming *c, const struct sp_group_given *given, size_t count,
                              sp_bus_given_fn *each, void *context, struct sp_error *error) {
    sp_status status = bus_take_ops(c->bus, SP_OPS_GATHERED, error);
    for (size_t i = 0; i < count && status == SP_OK; i++) {
        const struct sp_event *event = NULL;
        if (!c->claim.justid &&
            bus_entry_event(c->bus, &c->key, given[i].position, &event, NULL) != SP_OK) {
            continue;
        }
        each(context, event, given[i].id, given[i].count);
    }
    return status;
}

sp_status sp_bus_claim(struct sp_bus *bus, const struct sp_bus_claim *claim,
                       const struct sp_entry_id *ids, size_t count, sp_bus_given_fn *each,
                       void *context, struct sp_error *error) {
    struct claiming c;
    sp_status status = begin_claim(bus, claim, &c, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_group_given *given = malloc((count + 1) * sizeof(*given));
    struct sp_group_claim_id *wanted = calloc(count + 1, sizeof(*wanted));
    if (given == NULL || wanted == NULL) {
        status = sp_error_set(error, SP_NO_MEMORY, "%zu ids", count);
    }
    for (size_t i = 0; i < count && status == SP_OK; i++) {
        struct sp_pending pending;
        uint64_t version;
        wanted[i].id = ids[i];
        if (claim->force && !sp_pending_get(c.group, ids[i], &pending)) {
            status = bus_find_id(bus, claim->key, ids[i], &version, &wanted[i].position, error);
            bool seen = wanted[i].position != 0 && still_there(&c, wanted[i].position, ids[i]);
            wanted[i].position = seen ? wanted[i].position : 0;
        }
    }
    size_t given_count = 0;
    sp_buf_reset(&bus->ops);
    if (status == SP_OK) {
        status = sp_group_claim(&bus->core->groups, c.group, &c.claim, wanted, count, given,
                                &given_count, &bus->ops, error);
    }
    if (status == SP_OK) {
        status = give_claimed(&c, given, given_count, each, context, error);
    }
    free(given);
    free(wanted);
    return status;
}

sp_status sp_bus_autoclaim(struct sp_bus *bus, const struct sp_bus_claim *claim,
                           struct sp_entry_id from, uint32_t count, sp_bus_given_fn *each,
                           sp_bus_gone_fn *gone, void *context, struct sp_entry_id *ret_next,
                           struct sp_error *error) {
    struct claiming c;
    sp_status status = begin_claim(bus, claim, &c, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_group_given *given = malloc((count + (size_t)1) * sizeof(*given));
    struct sp_entry_id *gone_ids = malloc((count + (size_t)1) * sizeof(*gone_ids));
    if (given == NULL || gone_ids == NULL) {
        status = sp_error_set(error, SP_NO_MEMORY, "%u entries", count);
    } else {
        sp_buf_reset(&bus->ops);
        struct sp_group_autoclaimed claimed =
            sp_group_autoclaim(c.group, &c.claim, from, given, gone_ids, count, &bus->ops);
        status = give_claimed(&c, given, claimed.given, each, context, error);
        for (size_t i = 0; i < claimed.gone && status == SP_OK; i++) {
            gone(context, gone_ids[i]);
        }
        *ret_next = claimed.next;
    }
    free(given);
    free(gone_ids);
    return status;
}

/* ---- the dead ---- */

sp_status sp_bus_dead_list(struct sp_bus *bus, const struct sp_key *key, sp_str name,
                           uint64_t after, uint32_t count, sp_bus_dead_fn *each, void *context,
                           struct sp_error *error) {
    const struct sp_group *group = NULL;
    struct sp_dead dead[BATCH];
    sp_status status = bus_group_find(bus, key, name, &group, error);
    while (status == SP_OK && count > 0) {
        size_t listed = sp_dead_list(group, after, dead, count < BATCH ? count : BATCH);
        for (size_t i = 0; i < listed; i++) {
            const struct sp_event *event = NULL;
            if (bus_fetch(bus, dead[i].position, &event, NULL) != SP_OK) {
                event = NULL;
            }
            each(context, &dead[i], event);
            after = dead[i].position;
        }
        count -= (uint32_t)listed;
        if (listed == 0) {
            break;
        }
    }
    return status;
}

/* The positions of dead entries; without ids the first ones. */
static size_t find_dead(const struct sp_group *group, const struct sp_entry_id *ids, size_t count,
                        uint64_t *positions) {
    struct sp_dead dead;
    size_t found = 0;
    for (size_t i = 0; ids != NULL && i < count; i++) {
        if (sp_dead_get(group, ids[i], &dead)) {
            positions[found++] = dead.position;
        }
    }
    uint64_t after = 0;
    while (ids == NULL && found < count && sp_dead_list(group, after, &dead, 1) == 1) {
        after = dead.position;
        positions[found++] = after;
    }
    return found;
}

struct digging {
    struct sp_bus *bus;
    const struct sp_group *group;
    uint64_t number;
    bool redrive;
    struct sp_error *error;
};

/* One event a dead entry: what became of its letter. */
static sp_status tell_dug(struct digging *d, uint64_t position) {
    struct sp_bus *bus = d->bus;
    const struct sp_group_facts facts = sp_group_get(d->group);
    const struct sp_event *event = NULL;
    struct sp_dead dead;
    sp_str data;
    if (!sp_dead_at(d->group, position, &dead)) {
        return SP_OK;
    }
    if (bus_fetch(bus, position, &event, NULL) != SP_OK) {
        event = NULL;
    }
    bus_json_begin(bus);
    bus_json_text(bus, "key", facts.key);
    bus_json_text(bus, "group", facts.name);
    if (event != NULL) {
        bus_json_text(bus, "id", event->attr[SP_ATTR_ID]);
    }
    bus_json_number(bus, "position", position);
    bus_json_id(bus, "entryid", dead.id);
    bus_json_number(bus, "attempts", dead.count);
    bus_json_number(bus, "letter", dead.letter);
    sp_status status = bus_json_end(bus, &data, d->error);
    struct bus_note note = {.type = d->redrive ? "delivery.redriven" : "delivery.discarded",
                            .prefix = "$group:",
                            .key = facts.key,
                            .group = facts.name,
                            .cause = event,
                            .data = data};
    return status == SP_OK ? bus_tell(bus, &note, NULL, d->error) : status;
}

static sp_status dig_within(struct digging *d, const uint64_t *positions, size_t count,
                            size_t *ret_done) {
    struct sp_bus *bus = d->bus;
    sp_status status = SP_OK;
    sp_buf_reset(&bus->ops);
    *ret_done = d->redrive ? sp_group_redrive(&bus->core->groups, d->group, positions, count,
                                              bus_now_ms(bus), &bus->ops)
                           : sp_group_discard(d->group, positions, count, &bus->ops);
    for (size_t i = 0; i < *ret_done && status == SP_OK; i++) {
        status = tell_dug(d, positions[i]);
    }
    status = status == SP_OK ? bus_take_ops(bus, SP_OPS_GATHERED, d->error) : status;
    d->group = sp_group_at(&bus->core->groups, d->number);
    return status;
}

/* As many at once as fit in a block with their events. */
static sp_status dig(struct sp_bus *bus, const struct sp_key *key, sp_str name, bool redrive,
                     const struct sp_entry_id *ids, size_t count, uint64_t *ret_count,
                     struct sp_error *error) {
    struct digging d = {.bus = bus, .redrive = redrive, .error = error};
    uint64_t *positions = NULL;
    size_t total = 0;
    sp_status status = bus_group_find(bus, key, name, &d.group, error);
    count = (ids == NULL && count == 0) || count > SP_BUS_DEAD_MAX ? SP_BUS_DEAD_MAX : count;
    if (status == SP_OK) {
        d.number = sp_group_get(d.group).number;
        positions = malloc((count + 1) * sizeof(*positions));
        status = positions == NULL ? sp_error_set(error, SP_NO_MEMORY, "dead entries") : SP_OK;
    }
    size_t found = status == SP_OK ? find_dead(d.group, ids, count, positions) : 0;
    size_t each = BUS_EVENT_BYTES * 2 + key->text.len + name.len;
    size_t most = bus->engine->block_bytes_max / 2 / each;
    for (size_t at = 0; at < found && status == SP_OK;) {
        size_t part = found - at < most ? found - at : most;
        size_t done = 0;
        bool held;
        status = bus_hold(bus, part * (each + 32) + BUS_OP_BYTES, (uint32_t)part, &held, error);
        if (status == SP_OK) {
            status = dig_within(&d, positions + at, part, &done);
            bus_release(bus, held);
        }
        total += status == SP_OK ? done : 0;
        at += part;
        if (done < part) {
            break;
        }
    }
    free(positions);
    if (status == SP_OK || total > 0) {
        *ret_count = total;
        if (total > 0) {
            bus_group_tell_ready(bus, bus_group_of(bus, d.group));
        }
        return SP_OK;
    }
    return status;
}

sp_status sp_bus_redrive(struct sp_bus *bus, const struct sp_key *key, sp_str group,
                         const struct sp_entry_id *ids, size_t count, uint64_t *ret_count,
                         struct sp_error *error) {
    return dig(bus, key, group, true, ids, count, ret_count, error);
}

sp_status sp_bus_discard(struct sp_bus *bus, const struct sp_key *key, sp_str group,
                         const struct sp_entry_id *ids, size_t count, uint64_t *ret_count,
                         struct sp_error *error) {
    return dig(bus, key, group, false, ids, count, ret_count, error);
}

/* ---- time ---- */

/* One thing that happened by itself. SP_BUSY: later again. */
static sp_status settle_due(struct sp_bus *bus, uint64_t number, uint64_t position,
                            uint64_t now_ms) {
    struct sp_error error;
    const struct sp_group *group = sp_group_at(&bus->core->groups, number);
    if (group == NULL) {
        return SP_OK;
    }
    if (position == 0) {
        bus_group_tell_ready(bus, bus_group_of(bus, group));
        return SP_OK;
    }
    struct failing f = {.bus = bus,
                        .number = number,
                        .now_ms = now_ms,
                        .text = SP_STR("not acknowledged in time"),
                        .error = &error};
    const struct sp_group_failure failure = {
        .position = position, .now_ms = now_ms, .random = sp_prng_next(&bus->groups.random)};
    sp_status status = fail(&f, &failure);
    return status == SP_NOT_FOUND ? SP_OK : status;
}

/* Feeds that stopped because little matched go on: whoever waits asks again. */
static bool go_on_searching(struct sp_bus *bus) {
    bool any = false;
    if (bus->groups.searching) {
        bus->groups.searching = false;
        for (struct bus_group *side = bus->groups.newest; side != NULL; side = side->older) {
            if (side->feed->more) {
                any = true;
                bus_group_tell_ready(bus, side);
            }
        }
    }
    return any && bus->groups.ready != NULL;
}

int bus_groups_upkeep(struct sp_bus *bus) {
    struct sp_groups *groups = &bus->core->groups;
    bool searching = go_on_searching(bus);
    uint64_t now_ms = bus_now_ms(bus);
    if (now_ms < bus->groups.seen_ms) {
        sp_groups_set_back(groups, now_ms);
    }
    bus->groups.seen_ms = now_ms;
    uint64_t next_ms = sp_groups_next(groups);
    if (next_ms == 0) {
        return searching ? 0 : -1;
    }
    size_t settled = 0;
    size_t count = DUE_BATCH;
    while (next_ms <= now_ms && count == DUE_BATCH && settled < DUE_TURN_MAX) {
        struct sp_group_due due[DUE_BATCH];
        uint64_t numbers[DUE_BATCH]; /* groups move when they are folded */
        count = sp_groups_due(groups, now_ms, due, DUE_BATCH);
        for (size_t i = 0; i < count; i++) {
            numbers[i] = sp_group_get(due[i].group).number;
        }
        for (size_t i = 0; i < count; i++) {
            if (settle_due(bus, numbers[i], due[i].position, now_ms) != SP_OK) {
                return 1; /* no room now: the next turn goes on */
            }
        }
        settled += count;
    }
    next_ms = sp_groups_next(groups);
    if (next_ms == 0) {
        return searching ? 0 : -1;
    }
    uint64_t wait_ms = next_ms > now_ms && !searching ? next_ms - now_ms : 0;
    return wait_ms > 60000 ? 60000 : (int)wait_ms;
}
