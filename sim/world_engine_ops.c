/*
 * Ops of groups beside the events: decided at random, taken in every way there is. They get into
 * the log in the order in which they were decided; so what a crash leaves is what some first part
 * of them makes, and that part ends nowhere before the last one that was said to be durable.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "sim/world_engine_int.h"

enum { GROUPS = 6, CONSUMERS = 3, ENTRIES_MAX = 20, OPS_BYTES_MAX = 64 << 20 };

void engine_ops_init(struct engine_system *sys) {
    sp_buf_init(&sys->ops.bytes, OPS_BYTES_MAX);
    sp_buf_init(&sys->ops.decided, OPS_BYTES_MAX);
}

void engine_ops_fini(struct engine_system *sys) {
    sp_buf_fini(&sys->ops.bytes);
    sp_buf_fini(&sys->ops.decided);
}

static size_t count_of(const struct engine_system *sys) {
    return sys->ops.decided.len / sizeof(struct engine_op);
}

static struct engine_op *op_at(const struct engine_system *sys, size_t i) {
    return (struct engine_op *)(void *)sys->ops.decided.data + i;
}

/* ---- what was said to be durable ---- */

void engine_ops_note(struct engine_system *sys) {
    while (sys->ops.acked < count_of(sys) &&
           sp_engine_passed(sys->engine, op_at(sys, sys->ops.acked)->gate)) {
        sys->ops.acked++;
    }
}

sp_str engine_ops_all(const struct engine_system *sys) {
    return sp_buf_str(&sys->ops.bytes);
}

/* The longest first part that makes the groups that are there; SIZE_MAX: none does. */
static size_t find_part(const struct engine_system *sys, uint64_t hash) {
    struct sp_groups none;
    for (size_t i = count_of(sys); i > 0; i--) {
        if (op_at(sys, i - 1)->groups_hash == hash) {
            return i;
        }
    }
    sp_groups_init(&none);
    uint64_t empty = sp_groups_hash(&none);
    sp_groups_fini(&none);
    return hash == empty ? 0 : SIZE_MAX;
}

void engine_ops_settle(struct engine_system *sys) {
    const struct sp_core *core = sp_engine_core(sys->engine);
    size_t found = find_part(sys, sp_groups_hash(&core->groups));
    sim_note(sys->world, "found %zd ops of %zu, %zu were durable", (ptrdiff_t)found, count_of(sys),
             sys->ops.acked);
    if (found == SIZE_MAX || (found < sys->ops.acked && !sim_is_damaged(sys->world))) {
        sim_wrong(sys->world, "found %zd ops of %zu, and %zu were said to be durable",
                  (ptrdiff_t)found, count_of(sys), sys->ops.acked);
        return;
    }
    sys->ops.lost = found < count_of(sys);
    sys->ops.bytes.len = found > 0 ? op_at(sys, found - 1)->end : 0;
    sys->ops.decided.len = found * sizeof(struct engine_op);
    sys->ops.acked = found; /* whoever looks at them now relies on them */
}

/* ---- deciding ---- */

struct deciding {
    struct engine_system *sys;
    struct sp_buf *to;
    uint64_t now_ms;
    const struct sp_group *group;
    struct sp_group_facts facts;
};

static void deliver(struct deciding *d) {
    struct sim_world *world = d->sys->world;
    struct sp_group_entry entries[ENTRIES_MAX];
    uint8_t what[ENTRIES_MAX];
    struct sp_group_offered offered;
    uint32_t count = 1 + sim_pick(world, ENTRIES_MAX);
    uint64_t position = d->facts.cursor.position;
    for (uint32_t i = 0; i < count; i++) {
        position += 1 + sim_pick(world, 3);
        entries[i] = (struct sp_group_entry){
            .position = position, .version = position, .id = {.ms = position, .seq = 7}};
        entries[i].key =
            d->facts.policy.order_by != SP_GROUP_ORDER_NONE ? 1 + (uint32_t)(position % 5) : 0;
    }
    const struct sp_group_entry *last = &entries[count - 1];
    struct sp_group_offer offer = {
        .consumer = sp_consumer_nth(d->group, sim_pick(world, d->facts.consumers)),
        .now_ms = d->now_ms,
        .entries = entries,
        .entry_count = count,
        .wanted = 1 + sim_pick(world, count),
        .until = {.position = last->position, .version = last->version, .id = last->id}};
    struct sp_error error;
    sp_status status = sp_group_offer(&sp_engine_core(d->sys->engine)->groups, d->group, &offer,
                                      what, &offered, d->to, &error);
    sp_ensure(status == SP_OK);
}

/* Acknowledges, fails or buries one that is pending. */
static void settle_one(struct deciding *d) {
    struct sim_world *world = d->sys->world;
    struct sp_pending pending[ENTRIES_MAX];
    struct sp_pending_range range = {.until = SP_ENTRY_ID_MAX, .consumer = SP_CONSUMER_NONE};
    size_t count = sp_pending_list(d->group, &range, pending, ENTRIES_MAX);
    if (count == 0) {
        return;
    }
    const struct sp_pending *one = &pending[sim_pick(world, (uint32_t)count)];
    struct sp_group_failure failure = {
        .position = one->position, .now_ms = d->now_ms, .random = sp_prng_next(&world->prng)};
    switch (sim_pick(world, 4)) {
    case 0:
        (void)sp_group_fail(d->group, &failure, d->to);
        break;
    case 1:
        (void)sp_group_bury(d->group, one->position, SP_DEAD_REFUSED, 0, d->now_ms, d->to);
        break;
    default:
        (void)sp_group_ack(d->group, &one->id, 1, d->to);
        break;
    }
}

static void set_policy(struct deciding *d) {
    struct sim_world *world = d->sys->world;
    struct sp_group_policy policy = sp_group_policy_default();
    struct sp_error error;
    policy.order_by = sim_chance(world, 50) ? SP_GROUP_ORDER_STREAM : SP_GROUP_ORDER_NONE;
    policy.deliveries_max = 1 + sim_pick(world, 4);
    policy.in_flight_max = sim_pick(world, 30);
    sp_status status = sp_group_set_policy(d->group, &policy, d->to, &error);
    sp_ensure(status == SP_OK || status == SP_CONFLICT);
}

static void again(struct deciding *d) {
    struct sp_group_given given[ENTRIES_MAX];
    uint32_t consumer = sp_consumer_nth(d->group, sim_pick(d->sys->world, d->facts.consumers));
    (void)sp_group_again(d->group, consumer, d->now_ms, given, ENTRIES_MAX, d->to);
}

/* Something with a group that is there; how it is to be taken. */
static enum sp_engine_ops_way decide_within(struct deciding *d) {
    struct sim_world *world = d->sys->world;
    struct sp_error error;
    uint32_t what = sim_pick(world, 100);
    uint32_t number;
    char name[16];
    if (what < 5) {
        sp_group_drop(d->group, d->to);
        return SP_OPS_ORDERED;
    }
    if (what < 12) {
        set_policy(d);
        return SP_OPS_ORDERED;
    }
    if (d->facts.consumers < CONSUMERS) {
        (void)snprintf(name, sizeof(name), "c%u", d->facts.consumers);
        sp_status status =
            sp_consumer_make(d->group, sp_str_from(name), d->now_ms, d->to, &number, &error);
        sp_ensure(status == SP_OK);
        return SP_OPS_GATHERED;
    }
    if (what < 50) {
        deliver(d);
        return sim_chance(world, 80) ? SP_OPS_LAZY : SP_OPS_WEAK;
    }
    if (what < 60) {
        again(d);
        return SP_OPS_LAZY;
    }
    if (what < 65) {
        (void)sp_group_redrive(&sp_engine_core(d->sys->engine)->groups, d->group, NULL, 3,
                               d->now_ms, d->to);
        return SP_OPS_GATHERED;
    }
    settle_one(d);
    return SP_OPS_GATHERED;
}

static enum sp_engine_ops_way decide(struct deciding *d) {
    const struct sp_groups *groups = &sp_engine_core(d->sys->engine)->groups;
    char name[16];
    (void)snprintf(name, sizeof(name), "g%u", sim_pick(d->sys->world, GROUPS));
    d->group = sp_group_find(groups, SP_STR("key"), sp_str_from(name));
    if (d->group != NULL) {
        d->facts = sp_group_get(d->group);
        return decide_within(d);
    }
    struct sp_group_cursor cursor = {.position = 0};
    struct sp_error error;
    sp_status status =
        sp_group_make(groups, SP_STR("key"), sp_str_from(name), &cursor, d->to, &error);
    sp_ensure(status == SP_OK);
    return SP_OPS_ORDERED;
}

/* What was taken, and when it will have to be there. */
static void note_taken(struct engine_system *sys, sp_str ops, enum sp_engine_ops_way way) {
    bool promised = way == SP_OPS_ORDERED || way == SP_OPS_GATHERED;
    sp_buf_add_str(&sys->ops.bytes, ops);
    struct engine_op op = {
        .end = sys->ops.bytes.len,
        .groups_hash = sp_groups_hash(&sp_engine_core(sys->engine)->groups),
        .gate = promised ? sp_engine_gate(sys->engine) : UINT64_MAX,
    };
    /* What comes before it in the log is durable with it. */
    for (size_t i = count_of(sys); promised && i > sys->ops.acked; i--) {
        struct engine_op *before = op_at(sys, i - 1);
        before->gate = before->gate < op.gate ? before->gate : op.gate;
    }
    sp_buf_add(&sys->ops.decided, &op, sizeof(op));
    sp_ensure(sys->ops.decided.status == SP_OK && sys->ops.bytes.status == SP_OK);
}

void engine_ops_step(struct engine_system *sys) {
    struct sp_clock clock = sys->options.clock;
    struct sp_buf ops;
    struct sp_error error = {.status = SP_OK};
    sp_buf_init(&ops, OPS_BYTES_MAX);
    struct deciding d = {.sys = sys, .to = &ops, .now_ms = clock.wall_us(clock.context) / 1000};
    enum sp_engine_ops_way way = decide(&d);
    sp_status status = sp_engine_ops(sys->engine, sp_buf_str(&ops), way, &error);
    sim_note(sys->world, "%zu bytes of ops, way %d: %s", ops.len, (int)way, sp_status_name(status));
    if (status == SP_OK && ops.len > 0) {
        note_taken(sys, sp_buf_str(&ops), way);
    } else if (status != SP_OK && status != SP_BUSY && !sim_excused(sys->world)) {
        sim_wrong(sys->world, "ops were refused: %s: %s", sp_status_name(status), error.text);
    }
    sp_buf_fini(&ops);
}
