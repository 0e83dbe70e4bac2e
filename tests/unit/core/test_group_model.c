/*
 * Groups beside a naive model: all that can be asked, at random, and after every step the group is
 * as the model has it. What was folded is replayed, and now and then the core goes on from a
 * snapshot.
 */
#include "group_help.h"

#include <stdio.h>
#include <stdlib.h>

enum { POSITIONS = 48, CONSUMERS = 4, KEYS = 4, NAME_SIZE = 8 };

enum entry_state { FAR, IN_FLIGHT, WAITING, PARKED, DEAD, DONE };

struct entry {
    enum entry_state state;
    uint32_t consumer; /* of CONSUMERS: not the number in the core */
    uint64_t time_ms;
    uint32_t count;
    uint32_t key;
    uint64_t letter;
};

struct model {
    struct help_core help;
    struct sp_prng prng;
    struct entry entries[POSITIONS + 1];
    uint64_t cursor;
    bool has_policy;
    struct sp_group_policy policy;
    bool here[CONSUMERS];
    uint64_t seen_ms[CONSUMERS];
    uint64_t active_ms[CONSUMERS];
    uint64_t now_ms;
    bool told; /* that something can be handed out, since it can */
};

static uint32_t below(struct model *model, uint32_t bound) {
    return sp_prng_below(&model->prng, bound);
}

static const struct sp_group *group_of(const struct model *model) {
    return help_group_again(&model->help, "g");
}

static bool ordered(const struct model *model) {
    return model->has_policy && model->policy.order_by != SP_GROUP_ORDER_NONE;
}

/* The order-by value of an entry. */
static uint32_t key_of(const struct model *model, uint64_t position) {
    return ordered(model) ? 1 + (uint32_t)(position * 2654435761u % KEYS) : 0;
}

static const char *name_of(uint32_t consumer) {
    static const char *const names[CONSUMERS] = {"zoe", "ann", "bob", ""};
    return names[consumer];
}

static uint32_t number_of(const struct model *model, uint32_t consumer) {
    return sp_consumer_find(group_of(model), sp_str_from(name_of(consumer)));
}

static uint64_t count_in(const struct model *model, enum entry_state state) {
    uint64_t count = 0;
    for (uint64_t i = 1; i <= POSITIONS; i++) {
        count += model->entries[i].state == state ? 1 : 0;
    }
    return count;
}

static uint64_t room_of(const struct model *model) {
    uint64_t in_flight = count_in(model, IN_FLIGHT);
    if (!model->has_policy || model->policy.in_flight_max == 0) {
        return UINT64_MAX;
    }
    return model->policy.in_flight_max > in_flight ? model->policy.in_flight_max - in_flight : 0;
}

/* A consumer that is there; makes one where none is. */
static uint32_t pick_consumer(struct model *model) {
    uint32_t consumer = below(model, CONSUMERS);
    if (!model->here[consumer]) {
        (void)help_consumer(&model->help, "g", name_of(consumer), model->now_ms);
        model->here[consumer] = true;
        model->seen_ms[consumer] = model->now_ms;
        model->active_ms[consumer] = 0;
    }
    return consumer;
}

static void fly(struct model *model, uint64_t position, uint32_t consumer, uint32_t count) {
    struct entry *entry = &model->entries[position];
    entry->state = IN_FLIGHT;
    entry->consumer = consumer;
    entry->time_ms = model->now_ms;
    entry->count = count;
}

static void was_active(struct model *model, uint32_t consumer) {
    model->seen_ms[consumer] = model->now_ms;
    model->active_ms[consumer] = model->now_ms;
}

/* ---- the group is as the model has it ---- */

static void expect_entry(const struct model *model, uint64_t position) {
    const struct sp_group *group = group_of(model);
    const struct entry *entry = &model->entries[position];
    struct sp_pending pending;
    struct sp_dead dead;
    bool is_pending = entry->state == IN_FLIGHT || entry->state == WAITING;
    assert_int_equal(sp_pending_at(group, position, &pending), is_pending);
    assert_int_equal(sp_pending_get(group, help_id(position), &pending), is_pending);
    if (is_pending) {
        assert_int_equal(pending.position, position);
        assert_int_equal(pending.time_ms, entry->time_ms);
        assert_int_equal(pending.count, entry->count);
        assert_int_equal(pending.key, entry->key);
        assert_int_equal(pending.state,
                         entry->state == WAITING ? SP_PENDING_WAITING : SP_PENDING_IN_FLIGHT);
        assert_int_equal(pending.consumer, entry->state == WAITING
                                               ? SP_CONSUMER_NONE
                                               : number_of(model, entry->consumer));
    }
    assert_int_equal(sp_dead_at(group, position, &dead), entry->state == DEAD);
    assert_int_equal(sp_dead_get(group, help_id(position), &dead), entry->state == DEAD);
    if (entry->state == DEAD) {
        assert_int_equal(dead.count, entry->count);
        assert_int_equal(dead.letter, entry->letter);
        assert_int_equal(dead.time_ms, entry->time_ms);
    }
}

static void expect_consumers(const struct model *model) {
    const struct sp_group *group = group_of(model);
    static const uint32_t by_name[CONSUMERS] = {3, 1, 2, 0};
    size_t nth = 0;
    for (uint32_t i = 0; i < CONSUMERS; i++) {
        uint32_t consumer = by_name[i];
        struct sp_consumer_facts facts;
        struct sp_pending listed[POSITIONS];
        uint64_t in_flight = 0;
        if (!model->here[consumer]) {
            assert_int_equal(number_of(model, consumer), SP_CONSUMER_NONE);
            continue;
        }
        uint32_t number = sp_consumer_nth(group, nth++);
        assert_int_equal(number, number_of(model, consumer));
        assert_true(sp_consumer_get(group, number, &facts));
        assert_int_equal(facts.seen_ms, model->seen_ms[consumer]);
        assert_int_equal(facts.active_ms, model->active_ms[consumer]);
        struct sp_pending_range range = {.until = SP_ENTRY_ID_MAX, .consumer = number};
        size_t count = sp_pending_list(group, &range, listed, POSITIONS);
        for (uint64_t at = 1; at <= POSITIONS; at++) {
            const struct entry *entry = &model->entries[at];
            if (entry->state == IN_FLIGHT && entry->consumer == consumer) {
                assert_true(in_flight < count && listed[in_flight].position == at);
                in_flight++;
            }
        }
        assert_int_equal(count, in_flight);
        assert_int_equal(facts.pending, in_flight);
    }
    assert_int_equal(sp_consumer_nth(group, nth), SP_CONSUMER_NONE);
}

/* What core/groups.h says holds always. */
static void expect_invariants(const struct model *model) {
    uint32_t busy[KEYS + 1] = {0};
    for (uint64_t i = 1; i <= POSITIONS; i++) {
        const struct entry *entry = &model->entries[i];
        bool pending = entry->state == IN_FLIGHT || entry->state == WAITING;
        if (pending && entry->key != 0) {
            assert_int_equal(busy[entry->key]++, 0);
        }
    }
}

static void expect_range(struct model *model) {
    struct sp_pending listed[POSITIONS];
    uint64_t from = below(model, POSITIONS) + 1;
    uint64_t until = from + below(model, POSITIONS);
    size_t max = 1 + below(model, POSITIONS - 1);
    uint64_t idle_min_ms = below(model, 2) == 0 ? 0 : below(model, 5000);
    struct sp_pending_range range = {.from = help_id(from),
                                     .until = help_id(until),
                                     .consumer = SP_CONSUMER_NONE,
                                     .idle_min_ms = idle_min_ms,
                                     .now_ms = model->now_ms};
    size_t count = sp_pending_list(group_of(model), &range, listed, max);
    size_t found = 0;
    for (uint64_t i = from; i <= until && i <= POSITIONS && found < max; i++) {
        const struct entry *entry = &model->entries[i];
        bool idle = idle_min_ms == 0 ||
                    (entry->state == IN_FLIGHT && entry->time_ms + idle_min_ms <= model->now_ms);
        if ((entry->state == IN_FLIGHT || entry->state == WAITING) && idle) {
            assert_true(found < count && listed[found].position == i);
            found++;
        }
    }
    assert_int_equal(count, found);
}

static bool is_ready(const struct model *model, uint64_t position) {
    const struct entry *entry = &model->entries[position];
    bool ready = entry->state == PARKED;
    for (uint64_t i = 1; i <= POSITIONS && ready; i++) {
        const struct entry *other = &model->entries[i];
        bool pending = other->state == IN_FLIGHT || other->state == WAITING;
        ready = other->key != entry->key || !(pending || (other->state == PARKED && i < position));
    }
    return ready;
}

static bool has_due(const struct model *model) {
    bool due = false;
    for (uint64_t i = 1; i <= POSITIONS; i++) {
        const struct entry *entry = &model->entries[i];
        due = due || (entry->state == WAITING && entry->time_ms <= model->now_ms) ||
              is_ready(model, i);
    }
    return due && room_of(model) > 0;
}

static void expect_same(struct model *model) {
    struct sp_group_facts facts = sp_group_get(group_of(model));
    for (uint64_t i = 1; i <= POSITIONS; i++) {
        expect_entry(model, i);
    }
    assert_int_equal(facts.in_flight, count_in(model, IN_FLIGHT));
    assert_int_equal(facts.waiting, count_in(model, WAITING));
    assert_int_equal(facts.parked, count_in(model, PARKED));
    assert_int_equal(facts.dead, count_in(model, DEAD));
    assert_int_equal(facts.pending, facts.in_flight + facts.waiting);
    assert_int_equal(model->help.core.groups.pending, facts.pending);
    assert_int_equal(facts.cursor.position, model->cursor);
    assert_int_equal(facts.has_policy, model->has_policy);
    assert_int_equal(sp_group_has_due(group_of(model), model->now_ms), has_due(model));
    expect_consumers(model);
    expect_invariants(model);
    expect_range(model);
}

/* ---- what can be asked ---- */

static bool offered_is_taken(const struct model *model, uint64_t position) {
    for (uint64_t i = 1; i <= POSITIONS; i++) {
        const struct entry *entry = &model->entries[i];
        bool held = entry->state == IN_FLIGHT || entry->state == WAITING || entry->state == PARKED;
        if (i != position && held && entry->key == key_of(model, position)) {
            return true;
        }
    }
    return false;
}

/* What the model does with an offered entry. */
static enum sp_offer_what offer_one(struct model *model, uint64_t position, uint32_t consumer,
                                    bool noack) {
    struct entry *entry = &model->entries[position];
    bool held = entry->state == IN_FLIGHT || entry->state == WAITING || entry->state == PARKED ||
                entry->state == DEAD;
    if (model->has_policy && held) {
        return SP_OFFER_PASSED;
    }
    if (noack) {
        return SP_OFFER_DELIVERED;
    }
    entry->key = key_of(model, position);
    if (ordered(model) && offered_is_taken(model, position)) {
        entry->state = PARKED;
        return SP_OFFER_PARKED;
    }
    fly(model, position, consumer, 1);
    return SP_OFFER_DELIVERED;
}

static void do_offer(struct model *model) {
    struct sp_group_entry entries[POSITIONS];
    uint8_t what[POSITIONS];
    struct sp_group_offered offered;
    uint32_t consumer = pick_consumer(model);
    struct sp_group_offer offer = {.consumer = number_of(model, consumer),
                                   .now_ms = model->now_ms,
                                   .noack = !ordered(model) && below(model, 8) == 0,
                                   .entries = entries,
                                   .wanted = 1 + below(model, 6)};
    uint64_t until = model->cursor + below(model, 10);
    until = until > POSITIONS ? POSITIONS : until;
    for (uint64_t i = model->cursor + 1; i <= until; i++) {
        if (below(model, 4) != 0) { /* others do not match */
            entries[offer.entry_count++] = (struct sp_group_entry){
                .position = i, .version = i * 2, .id = help_id(i), .key = key_of(model, i)};
        }
    }
    offer.until =
        (struct sp_group_cursor){.position = until, .version = until * 2, .id = help_id(until)};
    assert_int_equal(sp_group_offer(&model->help.core.groups, group_of(model), &offer, what,
                                    &offered, &model->help.ops, &model->help.error),
                     SP_OK);
    bool op = model->help.ops.len > 0;
    help_fold(&model->help);
    uint64_t wanted = offer.noack || room_of(model) > offer.wanted ? offer.wanted : room_of(model);
    uint32_t delivered = 0;
    uint32_t at = 0;
    while (at < offer.entry_count && delivered < wanted) {
        enum sp_offer_what expected = offer_one(model, entries[at].position, consumer, offer.noack);
        assert_int_equal(what[at], expected);
        delivered += expected == SP_OFFER_DELIVERED ? 1 : 0;
        at++;
    }
    assert_int_equal(offered.considered, at);
    assert_int_equal(offered.delivered, delivered);
    uint64_t cursor = at > 0 ? entries[at - 1].position : model->cursor;
    cursor = at == offer.entry_count ? until : cursor;
    assert_int_equal(op, cursor != model->cursor);
    model->cursor = cursor;
    model->seen_ms[consumer] = op ? model->now_ms : model->seen_ms[consumer];
    model->active_ms[consumer] = delivered > 0 ? model->now_ms : model->active_ms[consumer];
    struct sp_group_facts facts = sp_group_get(group_of(model));
    if (op && at == offer.entry_count) {
        assert_int_equal(facts.cursor.version, until * 2);
        assert_int_equal(sp_entry_id_compare(facts.cursor.id, help_id(until)), 0);
    }
}

/* The next entry that the model would hand out again; 0: none. */
static uint64_t next_again(const struct model *model) {
    uint64_t best = 0;
    for (uint64_t i = 1; i <= POSITIONS; i++) {
        const struct entry *entry = &model->entries[i];
        if (entry->state == WAITING && entry->time_ms <= model->now_ms &&
            (best == 0 || entry->time_ms < model->entries[best].time_ms)) {
            best = i;
        }
    }
    for (uint64_t i = 1; i <= POSITIONS && best == 0; i++) {
        best = is_ready(model, i) ? i : 0;
    }
    return best;
}

static void do_again(struct model *model) {
    struct sp_group_given given[8];
    uint32_t consumer = pick_consumer(model);
    size_t max = 1 + below(model, 8);
    size_t count = sp_group_again(group_of(model), number_of(model, consumer), model->now_ms, given,
                                  max, &model->help.ops);
    help_fold(&model->help);
    for (size_t i = 0; i < count; i++) {
        uint64_t position = next_again(model);
        assert_true(room_of(model) > 0);
        assert_int_equal(given[i].position, position);
        fly(model, position, consumer,
            model->entries[position].state == WAITING ? model->entries[position].count + 1 : 1);
        assert_int_equal(given[i].count, model->entries[position].count);
    }
    if (count > 0) {
        was_active(model, consumer);
    }
    assert_true(count == max || next_again(model) == 0 || room_of(model) == 0);
}

static void do_reread(struct model *model) {
    uint64_t positions[POSITIONS];
    uint32_t consumer = pick_consumer(model);
    size_t count = 0;
    size_t expected = 0;
    for (uint64_t i = 1; i <= POSITIONS; i++) {
        if (below(model, 3) == 0) {
            positions[count++] = i;
        }
    }
    size_t reread = sp_group_reread(group_of(model), number_of(model, consumer), model->now_ms,
                                    positions, count, &model->help.ops);
    help_fold(&model->help);
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &model->entries[positions[i]];
        if (entry->state == IN_FLIGHT && entry->consumer == consumer) {
            fly(model, positions[i], consumer, entry->count + 1);
            expected++;
        }
    }
    assert_int_equal(reread, expected);
    if (expected > 0) {
        was_active(model, consumer);
    }
}

static void do_ack(struct model *model) {
    struct sp_entry_id ids[12];
    uint64_t positions[12];
    size_t count = 1 + below(model, 12);
    size_t expected = 0;
    bool rising = below(model, 2) == 0;
    uint32_t how = below(model, 3);
    for (size_t i = 0; i < count; i++) {
        positions[i] = rising ? 3 * (i + 1) : 1 + below(model, POSITIONS);
        ids[i] = help_id(positions[i]);
    }
    const struct sp_group *group = group_of(model);
    size_t acked = how == 0   ? sp_group_ack_positions(group, positions, count, &model->help.ops)
                   : how == 1 ? sp_group_forget(group, positions, count, &model->help.ops)
                              : sp_group_ack(group, ids, count, &model->help.ops);
    help_fold(&model->help);
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &model->entries[positions[i]];
        if (entry->state == IN_FLIGHT || entry->state == WAITING) {
            entry->state = DONE;
            expected++;
        }
    }
    assert_int_equal(acked, expected);
}

static void do_extend(struct model *model) {
    struct sp_entry_id ids[9];
    size_t count = 1 + below(model, 9);
    size_t expected = 0;
    const struct sp_group_extension extension = {
        .now_ms = model->now_ms, .has_ms = below(model, 2) == 0, .ms = below(model, 5000)};
    bool seen[POSITIONS + 1] = {false};
    uint64_t from_ms = model->now_ms;
    if (extension.has_ms && model->has_policy) {
        from_ms = from_ms + extension.ms - model->policy.ack_wait_ms;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t position = 1 + below(model, POSITIONS);
        struct entry *entry = &model->entries[position];
        ids[i] = help_id(position);
        if (entry->state == IN_FLIGHT && !seen[position]) {
            entry->time_ms = from_ms;
            expected++;
        }
        seen[position] = true;
    }
    assert_int_equal(sp_group_extend(group_of(model), ids, count, &extension, &model->help.ops),
                     expected);
    help_fold(&model->help);
}

/* Every fifth event was deleted. */
static bool exists(void *context, uint64_t position, struct sp_entry_id id) {
    (void)context;
    assert_int_equal(sp_entry_id_compare(id, help_id(position)), 0);
    return position % 5 != 0;
}

static uint32_t count_after(const struct sp_group_claim *claim, uint32_t count) {
    return claim->has_retry_count ? claim->retry_count : claim->justid ? count : count + 1;
}

static struct sp_group_claim random_claim(struct model *model, uint32_t consumer) {
    return (struct sp_group_claim){
        .consumer = number_of(model, consumer),
        .now_ms = model->now_ms,
        .idle_min_ms = below(model, 3) == 0 ? 0 : below(model, 3000),
        .justid = below(model, 3) == 0,
        .has_retry_count = below(model, 3) == 0,
        .retry_count = below(model, 9),
        .time_ms = below(model, 2) == 0 ? UINT64_MAX : model->now_ms - below(model, 1000),
        .exists = below(model, 3) == 0 ? NULL : exists,
    };
}

/* What the model does with an entry that is claimed; false where it is not handed over. */
static bool claim_one(struct model *model, const struct sp_group_claim *claim, uint64_t position,
                      uint32_t consumer, uint64_t *room) {
    struct entry *entry = &model->entries[position];
    if (entry->state == WAITING
            ? *room == 0
            : model->now_ms < entry->time_ms + claim->idle_min_ms && claim->idle_min_ms > 0) {
        return false;
    }
    *room -= entry->state == WAITING ? 1 : 0;
    fly(model, position, consumer, count_after(claim, entry->count));
    entry->time_ms = claim->time_ms < model->now_ms ? claim->time_ms : model->now_ms;
    return true;
}

static void do_claim(struct model *model) {
    struct sp_group_claim_id ids[10];
    struct sp_group_given given[10];
    size_t count = 1 + below(model, 10);
    size_t given_count;
    size_t expected = 0;
    bool seen[POSITIONS + 1] = {false};
    uint32_t consumer = pick_consumer(model);
    struct sp_group_claim claim = random_claim(model, consumer);
    struct sp_group_cursor last = {.position = model->cursor, .version = model->cursor * 2};
    bool force = !model->has_policy && below(model, 3) == 0;
    if (below(model, 4) == 0 && model->cursor < POSITIONS) {
        last = (struct sp_group_cursor){.position = model->cursor + 1,
                                        .id = help_id(model->cursor + 1)};
        claim.last = &last;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t position = 1 + below(model, POSITIONS);
        ids[i] =
            (struct sp_group_claim_id){.id = help_id(position), .position = force ? position : 0};
    }
    assert_int_equal(sp_group_claim(&model->help.core.groups, group_of(model), &claim, ids, count,
                                    given, &given_count, &model->help.ops, &model->help.error),
                     SP_OK);
    help_fold(&model->help);
    uint64_t room = room_of(model);
    for (size_t i = 0; i < count; i++) {
        uint64_t position = (ids[i].id.ms - 1000) * 3 + ids[i].id.seq;
        struct entry *entry = &model->entries[position];
        bool pending = entry->state == IN_FLIGHT || entry->state == WAITING;
        if (seen[position] || (!pending && !force)) {
            continue;
        }
        seen[position] = true;
        if (claim.exists != NULL && position % 5 == 0) {
            entry->state = pending ? DONE : entry->state;
            continue;
        }
        if (!pending) {
            *entry = (struct entry){.state = IN_FLIGHT, .count = 1};
        }
        if (claim_one(model, &claim, position, consumer, &room)) {
            assert_int_equal(given[expected].position, position);
            assert_int_equal(given[expected].count, entry->count);
            expected++;
        }
    }
    assert_int_equal(given_count, expected);
    model->seen_ms[consumer] = model->now_ms;
    model->active_ms[consumer] = expected > 0 ? model->now_ms : model->active_ms[consumer];
    model->cursor = claim.last != NULL ? last.position : model->cursor;
}

static void do_autoclaim(struct model *model) {
    struct sp_group_given given[6];
    struct sp_entry_id gone[6];
    uint32_t consumer = pick_consumer(model);
    struct sp_group_claim claim = random_claim(model, consumer);
    uint64_t from = 1 + below(model, POSITIONS);
    size_t max = 1 + below(model, 6);
    struct sp_group_autoclaimed done = sp_group_autoclaim(group_of(model), &claim, help_id(from),
                                                          given, gone, max, &model->help.ops);
    help_fold(&model->help);
    size_t given_count = 0;
    size_t gone_count = 0;
    size_t looks = max * 10;
    uint64_t room = room_of(model);
    uint64_t at = from;
    for (; at <= POSITIONS; at++) {
        struct entry *entry = &model->entries[at];
        if (entry->state != IN_FLIGHT && entry->state != WAITING) {
            continue;
        }
        if (looks == 0 || given_count + gone_count == max) {
            break;
        }
        looks--;
        if (claim.exists != NULL && at % 5 == 0) {
            assert_int_equal(sp_entry_id_compare(gone[gone_count++], help_id(at)), 0);
            entry->state = DONE;
        } else if (claim_one(model, &claim, at, consumer, &room)) {
            assert_int_equal(given[given_count].position, at);
            assert_int_equal(given[given_count++].count, entry->count);
        }
    }
    assert_int_equal(done.given, given_count);
    assert_int_equal(done.gone, gone_count);
    struct sp_entry_id next = at <= POSITIONS ? help_id(at) : SP_ENTRY_ID_NONE;
    assert_int_equal(sp_entry_id_compare(done.next, next), 0);
    model->seen_ms[consumer] = model->now_ms;
    model->active_ms[consumer] = given_count > 0 ? model->now_ms : model->active_ms[consumer];
}

static void bury(struct model *model, uint64_t position) {
    struct entry *entry = &model->entries[position];
    uint64_t letter = below(model, 1000);
    assert_true(sp_group_bury(group_of(model), position, SP_DEAD_ATTEMPTS, letter, model->now_ms,
                              &model->help.ops));
    help_fold(&model->help);
    entry->state = DEAD;
    entry->time_ms = model->now_ms;
    entry->letter = letter;
}

/* An attempt failed. */
static void fail_one(struct model *model, uint64_t position) {
    struct entry *entry = &model->entries[position];
    struct sp_group_failure failure = {.position = position,
                                       .now_ms = model->now_ms,
                                       .has_delay = below(model, 2) == 0,
                                       .delay_ms = below(model, 2000),
                                       .random = sp_prng_next(&model->prng)};
    struct sp_group_failed failed = sp_group_fail(group_of(model), &failure, &model->help.ops);
    help_fold(&model->help);
    if (!model->has_policy || entry->state != IN_FLIGHT) {
        assert_int_equal(failed.what, SP_FAIL_NONE);
    } else if (entry->count >= model->policy.deliveries_max) {
        assert_int_equal(failed.what, SP_FAIL_BURY);
        bury(model, position);
    } else {
        assert_int_equal(failed.what, SP_FAIL_RETRY);
        assert_int_equal(failed.entry.count, entry->count);
        if (failure.has_delay) {
            assert_int_equal(failed.due_ms, model->now_ms + failure.delay_ms);
        }
        entry->state = WAITING;
        entry->time_ms = failed.due_ms;
    }
}

static void do_fail(struct model *model) {
    fail_one(model, 1 + below(model, POSITIONS));
}

static void do_bury(struct model *model) {
    uint64_t position = 1 + below(model, POSITIONS);
    enum entry_state state = model->entries[position].state;
    if (model->has_policy && (state == IN_FLIGHT || state == WAITING)) {
        bury(model, position);
    } else {
        assert_false(sp_group_bury(group_of(model), position, SP_DEAD_REFUSED, 0, model->now_ms,
                                   &model->help.ops));
    }
}

static void leave(struct model *model, uint32_t consumer, bool disconnected) {
    struct sp_pending used_up[2];
    size_t count;
    do {
        count = sp_group_leave(group_of(model), number_of(model, consumer), disconnected,
                               model->now_ms, used_up, 2, &model->help.ops);
        help_fold(&model->help);
        for (size_t i = 0; i < count; i++) {
            assert_true(model->entries[used_up[i].position].count >= model->policy.deliveries_max);
            bury(model, used_up[i].position);
        }
    } while (count == 2);
    if (!model->has_policy || (disconnected && model->policy.keep_on_leave)) {
        return;
    }
    for (uint64_t i = 1; i <= POSITIONS; i++) {
        struct entry *entry = &model->entries[i];
        if (entry->state == IN_FLIGHT && entry->consumer == consumer) {
            assert_true(entry->count < model->policy.deliveries_max);
            entry->state = WAITING;
            entry->time_ms = model->now_ms;
        }
    }
}

static void do_leave(struct model *model) {
    leave(model, pick_consumer(model), true);
}

static void do_drop_consumer(struct model *model) {
    uint32_t consumer = pick_consumer(model);
    uint64_t pending = 0;
    uint64_t expected = 0;
    leave(model, consumer, false);
    for (uint64_t i = 1; i <= POSITIONS; i++) {
        struct entry *entry = &model->entries[i];
        if (entry->state == IN_FLIGHT && entry->consumer == consumer) {
            entry->state = DONE;
            expected++;
        }
    }
    assert_int_equal(sp_consumer_drop(group_of(model), number_of(model, consumer), &pending,
                                      &model->help.ops, &model->help.error),
                     SP_OK);
    help_fold(&model->help);
    assert_int_equal(pending, expected);
    model->here[consumer] = false;
}

static void do_dead(struct model *model) {
    uint64_t positions[8];
    bool all = below(model, 2) == 0;
    bool back = below(model, 2) == 0;
    size_t count = 1 + below(model, 8);
    size_t expected = 0;
    for (size_t i = 0; i < count; i++) {
        positions[i] = 1 + below(model, POSITIONS);
    }
    const uint64_t *given = all ? NULL : positions;
    size_t done = back ? sp_group_redrive(&model->help.core.groups, group_of(model), given, count,
                                          model->now_ms, &model->help.ops)
                       : sp_group_discard(group_of(model), given, count, &model->help.ops);
    help_fold(&model->help);
    for (uint64_t i = 1; i <= POSITIONS; i++) {
        struct entry *entry = &model->entries[i];
        bool named = all && expected < count;
        for (size_t j = 0; j < count && !all; j++) {
            named = named || positions[j] == i;
        }
        if (entry->state != DEAD || !named) {
            continue;
        }
        expected++;
        entry->state = !back ? DONE : ordered(model) && entry->key != 0 ? PARKED : WAITING;
        entry->time_ms = model->now_ms;
        entry->count = 0;
    }
    assert_int_equal(done, expected);
}

static void do_move(struct model *model) {
    model->cursor = below(model, POSITIONS);
    struct sp_group_cursor cursor = {.position = model->cursor, .version = model->cursor * 2};
    cursor.id = help_id(model->cursor);
    sp_group_move(group_of(model), &cursor, &model->help.ops);
    help_fold(&model->help);
}

static void do_policy(struct model *model) {
    struct sp_group_policy policy = {
        .type = SP_STR("a.*"),
        .filter = SP_STR("{}"),
        .ack_wait_ms = 1 + below(model, 4000),
        .deliveries_max = 1 + below(model, 4),
        .backoff_first_ms = below(model, 500),
        .backoff_max_ms = 500 + below(model, 2000),
        .backoff_factor_milli = 1000 + below(model, 3000),
        .backoff_jitter_milli = below(model, 1001),
        .order_by = (enum sp_group_order)below(model, 4),
        .in_flight_max = below(model, 2) == 0 ? 0 : 1 + below(model, 9),
        .keep_on_leave = below(model, 2) == 0,
    };
    enum sp_group_order before = model->has_policy ? model->policy.order_by : SP_GROUP_ORDER_NONE;
    bool changes = policy.order_by != before;
    bool refused = changes && count_in(model, PARKED) > 0;
    assert_int_equal(
        sp_group_set_policy(group_of(model), &policy, &model->help.ops, &model->help.error),
        refused ? SP_CONFLICT : SP_OK);
    if (refused) {
        return;
    }
    help_fold(&model->help);
    model->policy = policy;
    model->has_policy = true;
    for (uint64_t i = 1; i <= POSITIONS && changes; i++) {
        model->entries[i].key = 0;
    }
}

static void do_clear_policy(struct model *model) {
    bool refused = count_in(model, WAITING) + count_in(model, PARKED) + count_in(model, DEAD) > 0;
    assert_int_equal(sp_group_clear_policy(group_of(model), &model->help.ops, &model->help.error),
                     refused ? SP_CONFLICT : SP_OK);
    help_fold(&model->help);
    if (!refused) {
        model->has_policy = false;
        for (uint64_t i = 1; i <= POSITIONS; i++) {
            model->entries[i].key = 0;
        }
    }
}

/* Time goes on; what happens by itself is told, and settled. */
static void do_time(struct model *model) {
    struct sp_group_due due[POSITIONS + 1];
    model->now_ms += below(model, 800);
    uint64_t next = sp_groups_next(&model->help.core.groups);
    size_t count = sp_groups_due(&model->help.core.groups, model->now_ms, due, POSITIONS + 1);
    bool told = false;
    size_t overdue = 0;
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(due[i].group, group_of(model));
        told = told || due[i].position == 0;
        overdue += due[i].position != 0 ? 1 : 0;
    }
    assert_true(count == 0 || (next != 0 && next <= model->now_ms));
    assert_true(told || model->told || !has_due(model));
    model->told = model->told || told;
    for (uint64_t i = 1; i <= POSITIONS && model->has_policy; i++) {
        const struct entry *entry = &model->entries[i];
        bool over = entry->state == IN_FLIGHT &&
                    entry->time_ms + model->policy.ack_wait_ms <= model->now_ms;
        overdue -= over ? 1 : 0;
    }
    assert_int_equal(overdue, 0);
    for (size_t i = 0; i < count; i++) {
        if (due[i].position != 0 && below(model, 4) != 0) { /* or the owner has no time now */
            fail_one(model, due[i].position);
        }
    }
}

typedef void step_fn(struct model *model);

static void one_step(struct model *model) {
    static step_fn *const steps[] = {
        do_offer, do_offer, do_offer, do_offer,  do_again,     do_again,  do_ack,  do_ack,
        do_ack,   do_claim, do_claim, do_fail,   do_fail,      do_time,   do_time, do_time,
        do_dead,  do_bury,  do_leave, do_reread, do_autoclaim, do_extend,
    };
    static step_fn *const rare[] = {do_move, do_policy, do_clear_policy, do_drop_consumer};
    model->told = has_due(model) && model->told;
    if (below(model, 25) == 0) {
        rare[below(model, 4)](model);
    } else {
        steps[below(model, sizeof(steps) / sizeof(steps[0]))](model);
    }
}

static void tell(uint64_t seed) {
    enum { STEPS = 700 };
    static struct model model;
    model = (struct model){.prng = sp_prng_seed(seed), .now_ms = 100000};
    help_core_init(&model.help);
    (void)help_group(&model.help, "g");
    for (int i = 0; i < STEPS; i++) {
        one_step(&model);
        expect_same(&model);
        if (below(&model, 100) == 0) {
            help_expect_replay(&model.help);
            help_reopen(&model.help);
            expect_same(&model);
        }
    }
    help_expect_replay(&model.help);
    help_core_fini(&model.help);
}

static void test_groups_are_as_the_model_has_them(void **state) {
    (void)state;
    const char *wanted = getenv("SPOOR_SEEDS");
    uint64_t seeds = wanted != NULL ? strtoull(wanted, NULL, 10) : 60;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        tell(seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_groups_are_as_the_model_has_them)};
    return cmocka_run_group_tests_name("group_model", tests, NULL, NULL);
}
