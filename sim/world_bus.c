/* The bus's life: how it is configured, opened, what must be found, its steps, and how it ends. */
#include "sim/world_bus.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "engine/engine_int.h"
#include "sim/disk.h"
#include "sim/world_bus_int.h"

enum { KIB = 1 << 10, PAGE = 4096, PAUSE_US = 2000000, ROUNDS_MAX = 300, POLLS_MAX = 200 };

static struct bus_system *bus_of(struct sim_system *base) {
    return (struct bus_system *)base;
}

/* The engine asks for entropy without saying who asks; one story is told at a time. */
static struct sp_prng entropy_prng;

static void seeded_entropy(void *bytes, size_t len) {
    uint8_t *to = bytes;
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)(sp_prng_next(&entropy_prng) >> 32);
    }
}

static uint64_t pages(struct sim_world *world, uint64_t from, uint64_t to) {
    return from + (uint64_t)sim_pick(world, (uint32_t)((to - from) / PAGE) + 1) * PAGE;
}

static void choose_options(struct bus_system *sys) {
    struct sim_world *world = sys->world;
    struct sp_engine_options *options = &sys->options;
    uint32_t block = sim_chance(world, 80) ? 64 * KIB : 256 * KIB;
    options->block_bytes_max = block;
    options->segment_bytes_min = pages(world, block + PAGE, block + 64 * KIB);
    options->segment_bytes_max = pages(world, options->segment_bytes_min, block + 192 * KIB);
    options->tail_bytes_max = 1 + sim_pick(world, sim_chance(world, 50) ? 16 * KIB : 400 * KIB);
    options->snapshot_events = 1 + sim_pick(world, sim_chance(world, 50) ? 20 : 400);
    options->scan_short_events = sim_chance(world, 70) ? 1 : 0;
    options->threaded_writes = sim_chance(world, 50);
    options->create = true;
    options->inline_jobs = true;
    options->entropy = seeded_entropy;
    options->clock = sim_clock_face(&world->clock);
    options->limits = SP_EVENT_LIMITS_DEFAULT;
    sys->large = sim_chance(world, 30);
    sys->trims = sim_chance(world, 15);
    sys->tight = sim_chance(world, 12);
    sim_note(world, "story %s: segments %llu to %llu, snapshots after %llu, threaded %d",
             sim_story_name(world->story), (unsigned long long)options->segment_bytes_min,
             (unsigned long long)options->segment_bytes_max,
             (unsigned long long)options->snapshot_events, options->threaded_writes);
}

static struct sim_system *bus_make(struct sim_world *world) {
    struct bus_system *sys = calloc(1, sizeof(*sys));
    sp_ensure(sys != NULL);
    sys->base.ops = &sim_bus_system;
    sys->world = world;
    sys->log.first = 1;
    entropy_prng = sp_prng_seed(sp_prng_next(&world->prng));
    bus_model_init(&sys->model, &sys->log);
    sys->boundaries[0].known = true;
    bus_model_copy(&sys->boundaries[0].model, &sys->model);
    choose_options(sys);
    return &sys->base;
}

static void bus_destroy(struct sim_system *base) {
    struct bus_system *sys = bus_of(base);
    sp_require(sys->engine == NULL);
    for (int i = 0; i < BUS_BOUNDARIES; i++) {
        bus_model_fini(&sys->boundaries[i].model);
    }
    bus_model_fini(&sys->model);
    bus_model_fini(&sys->before);
    bus_log_fini(&sys->log);
    free(sys);
}

/* ---- what everybody asks ---- */

uint64_t bus_world_now_ms(const struct bus_system *sys) {
    return sys->options.clock.wall_us(sys->options.clock.context) / 1000;
}

uint64_t bus_durable(const struct bus_system *sys) {
    return sp_engine_durable_position(sys->engine);
}

bool bus_is_blind(struct bus_system *sys) {
    return sim_disk_is_down(sys->world->disk) || sys->engine->state != SP_OK ||
           sim_disk_failed_reads(sys->world->disk) > sys->failed_before;
}

bool bus_alive(struct bus_system *sys) {
    struct sp_error error = {.status = SP_OK};
    sp_status status = sp_engine_state(sys->engine, &error);
    if (status == SP_OK) {
        return true;
    }
    sim_note(sys->world, "the engine has failed: %s", sp_status_name(status));
    if (!sim_excused(sys->world)) {
        sim_wrong(sys->world, "the engine has failed for no reason: %s", error.text);
    }
    return false;
}

struct sp_key bus_world_key(struct bus_system *sys, uint32_t key) {
    struct sp_key parsed = {.kind = SP_KEY_STREAM};
    struct sp_error error;
    sp_status status = sp_key_parse(sys->bus, sp_str_from(bus_key_texts[key]), &parsed, &error);
    sp_ensure(status == SP_OK);
    return parsed;
}

static void note_bounds(struct bus_system *sys) {
    uint64_t first;
    uint64_t last;
    struct sp_log *log = sp_engine_log(sys->engine);
    log->ops->bounds(log, &first, &last);
    sys->log.first = first == 0 ? 1 : first;
    if (sys->log.first > 1 && !sys->trims) {
        sim_wrong(sys->world, "the log begins at event %llu, nothing was trimmed",
                  (unsigned long long)sys->log.first);
    }
}

void bus_poll(struct bus_system *sys) {
    bus_keep_boundary(sys);
    (void)sp_engine_poll(sys->engine);
    if (!bus_is_blind(sys)) {
        sys->passed = sys->engine->progress.durable_block;
        bus_note_passed(sys);
        note_bounds(sys);
    }
}

bool bus_flush(struct bus_system *sys) {
    uint64_t gate = sp_bus_gate(sys->bus);
    for (int i = 0; i < POLLS_MAX && !sp_bus_passed(sys->bus, gate); i++) {
        bus_poll(sys);
        if (bus_is_blind(sys)) {
            return false;
        }
        sim_clock_advance_ns(&sys->world->clock, 1000000);
    }
    if (!sp_bus_passed(sys->bus, gate) && !sim_excused(sys->world)) {
        sim_wrong(sys->world, "block %llu is not durable after %d turns", (unsigned long long)gate,
                  POLLS_MAX);
    }
    return sp_bus_passed(sys->bus, gate);
}

/* ---- timers ---- */

/* The bus must wake no later than its first deadline. */
static void check_wait(struct bus_system *sys, int wait_ms, uint64_t now_ms) {
    for (int i = 0; i < BUS_GROUPS; i++) {
        const struct bus_group *group = &sys->model.groups[i];
        for (size_t k = 0; group->used && group->has_policy && k < group->count; k++) {
            const struct bus_entry *entry = &group->entries[k];
            uint64_t at_ms = entry->state == BUS_FLIGHT ? entry->time_ms + group->policy.ack_wait_ms
                                                        : entry->time_ms;
            bool future = entry->state <= BUS_WAITING && at_ms > now_ms;
            bool overdue = entry->state == BUS_FLIGHT && at_ms <= now_ms;
            if ((overdue && wait_ms != 1 && wait_ms != 0) ||
                (future && (wait_ms < 0 || (uint64_t)wait_ms > at_ms - now_ms))) {
                sim_wrong(sys->world, "a tick says %d ms, event %llu of %s has its time in %lld ms",
                          wait_ms, (unsigned long long)entry->position, bus_key_texts[group->key],
                          (long long)(at_ms - now_ms));
                return;
            }
        }
    }
}

/* Who waits for a group that has something for him was told so. */
static void check_blocked(struct bus_system *sys) {
    uint64_t now_ms = sys->call.from_ms;
    for (int i = 0; i < BUS_GROUPS && !sys->world->wrong; i++) {
        const struct bus_group *group = &sys->model.groups[i];
        if (!group->used || !sys->blocked[i] || !bus_key_lives(sys, group->key)) {
            continue;
        }
        uint64_t could =
            bus_group_could_give(&sys->model, &sys->log, group, now_ms, sys->live_next - 1);
        if (could != 0) {
            sim_wrong(sys->world, "nobody was told that %s of %s could hand out event %llu",
                      bus_group_names[group->name], bus_key_texts[group->key],
                      (unsigned long long)could);
        }
    }
}

void bus_tick(struct bus_system *sys) {
    struct sp_error error = {.status = SP_OK};
    bus_call_begin(sys, "tick");
    sys->call.in_parts = true;
    sys->call.lazy = true;
    sys->call.cause = BUS_CAUSE_TIME;
    int wait_ms = sp_bus_tick(sys->bus);
    if (!bus_call_returned(sys, SP_OK, SP_OK, &error)) {
        return;
    }
    sys->call.told[BUS_TOLD_FAILED] = 0;
    sys->call.told[BUS_TOLD_DEAD] = 0;
    sys->call.told[BUS_TOLD_SUSPECTED] = 0;
    sys->call.told[BUS_TOLD_RECOVERED] = 0;
    bus_call_end(sys);
    if (!sys->world->wrong && wait_ms != 1) { /* 1: there was no room */
        check_wait(sys, wait_ms, sys->call.from_ms);
        check_blocked(sys);
        bus_agents_ticked(sys, wait_ms);
    }
}

/* ---- opening ---- */

static void settle(struct bus_system *sys) {
    struct sim_world *world = sys->world;
    uint64_t block = sys->engine->progress.head_block;
    const struct bus_boundary *boundary = &sys->boundaries[block % BUS_BOUNDARIES];
    sim_note(world, "found %llu blocks, %llu had passed, %llu events", (unsigned long long)block,
             (unsigned long long)sys->passed, (unsigned long long)sys->engine->core.position);
    if (block < sys->passed) {
        sim_wrong(world, "found %llu blocks, %llu were durable", (unsigned long long)block,
                  (unsigned long long)sys->passed);
        return;
    }
    sys->passed = block;
    sys->lost = !boundary->known || boundary->block != block;
    if (sys->lost) {
        sim_note(world, "where block %llu ends is not known", (unsigned long long)block);
        return;
    }
    if (boundary->model.calls < sys->kept_calls) {
        sim_wrong(world, "%llu calls are there, of %llu the gates had passed",
                  (unsigned long long)boundary->model.calls, (unsigned long long)sys->kept_calls);
        return;
    }
    bus_model_copy(&sys->model, &boundary->model);
    sys->kept_calls = sys->model.calls;
    sys->gate_calls = sys->model.calls;
    sys->gate = block;
    sys->log.count = sys->model.position;
    note_bounds(sys);
    if (block > 0 && sp_core_hash(&sys->engine->core) != boundary->hash) {
        sys->call.what = "open";
        bus_compare(sys); /* says it better, where it sees it */
        sim_wrong(world, "the core is not what it was at the end of block %llu",
                  (unsigned long long)block);
    }
}

/* Replaying everything without a snapshot comes to the same. */
static void replay_all(struct bus_system *sys) {
    struct sim_disk *copy = sim_disk_clone(sys->world->disk, &(struct sim_disk_options){.seed = 1});
    struct sp_fs *fs = sim_disk_process(copy, false);
    struct sp_engine_options options = sys->options;
    struct sp_engine *engine = NULL;
    struct sp_error error = {.status = SP_OK};
    char path[64];
    for (uint64_t p = 0; p <= sys->model.position; p++) {
        (void)snprintf(path, sizeof(path), "snap/%016llx.snap", (unsigned long long)p);
        (void)sim_disk_delete(copy, path);
    }
    options.fs = fs;
    sp_status status = sp_engine_open(&options, &engine, NULL, &error);
    if (status != SP_OK) {
        sim_wrong(sys->world, "replaying everything: %s: %s", sp_status_name(status), error.text);
    } else {
        if (sp_core_hash(&engine->core) != sp_core_hash(&sys->engine->core)) {
            sim_wrong(sys->world, "replaying everything gives another core");
        }
        sp_engine_close(engine);
    }
    fs->ops->destroy(fs);
    sim_disk_free(copy);
}

static sp_status bus_open(struct sim_system *base, struct sp_error *error) {
    struct bus_system *sys = bus_of(base);
    struct sim_world *world = sys->world;
    sys->options.fs = world->fs;
    uint64_t from_ms = bus_world_live_ms(sys);
    sp_status status = sp_engine_open(&sys->options, &sys->engine, NULL, error);
    if (status == SP_OK) {
        status = sp_bus_new(sys->engine, &sys->bus, error);
        if (status != SP_OK) {
            sp_engine_close(sys->engine);
        }
    }
    if (status != SP_OK) {
        sys->engine = NULL;
        return status;
    }
    sys->failed_before = sim_disk_failed_reads(world->disk);
    memset(sys->blocked, 0, sizeof(sys->blocked));
    sys->held = false;
    bus_agents_open(sys, from_ms);
    settle(sys);
    bus_listen_all(sys);
    bool calm = !sim_disk_is_armed(world->disk);
    if (!world->wrong && !sys->lost && calm && sys->log.first == 1 && sim_chance(world, 15)) {
        replay_all(sys);
    }
    if (!world->wrong) {
        bus_check_all(sys);
    }
    return SP_OK;
}

static void bus_close(struct sim_system *base, bool in_order) {
    struct bus_system *sys = bus_of(base);
    bool fine = in_order && bus_alive(sys) && !sim_excused(sys->world);
    uint64_t head = sys->engine->progress.head_block;
    bool more = engine_has_work(sys->engine) || sys->engine->ops.bytes.len > 0;
    bus_keep_boundary(sys);
    bus_end_subscribers(sys);
    sp_bus_free(sys->bus);
    sp_engine_close(sys->engine);
    sys->bus = NULL;
    sys->engine = NULL;
    if (fine && !sim_excused(sys->world)) {
        sys->passed = head + (more ? 1 : 0);
    }
}

static void bus_check(struct sim_system *base) {
    struct bus_system *sys = bus_of(base);
    if (!sys->world->wrong) {
        bus_check_all(sys);
    }
}

/* ---- steps ---- */

static void trim_log(struct bus_system *sys) {
    struct sp_log *log = sp_engine_log(sys->engine);
    uint64_t position = 1 + sim_pick(sys->world, (uint32_t)sys->model.position + 1);
    sp_status status = log->ops->trim(log, position, NULL);
    note_bounds(sys);
    sim_note(sys->world, "the log is trimmed to %llu: %s, begins at %llu",
             (unsigned long long)position, sp_status_name(status),
             (unsigned long long)sys->log.first);
}

static void let_time_pass(struct bus_system *sys) {
    uint32_t most = sim_chance(sys->world, 70) ? 20000 : PAUSE_US;
    sim_clock_advance_ns(&sys->world->clock, UINT64_C(1000) * sim_pick(sys->world, most));
}

static void turn(struct bus_system *sys) {
    bus_poll(sys);
    if (!bus_is_blind(sys)) {
        bus_tick(sys);
    }
    if (!bus_is_blind(sys) && !sys->world->wrong) {
        bus_step_follow(sys);
    }
}

static void receive_some(struct bus_system *sys) {
    struct bus_group *group = bus_pick_group(sys);
    if (group != NULL) {
        uint32_t consumer = sim_pick(sys->world, BUS_CONSUMERS);
        uint32_t count = 1 + sim_pick(sys->world, sim_chance(sys->world, 80) ? 8 : 100);
        bus_step_receive(sys, group, consumer, count, sim_chance(sys->world, 7));
    }
}

static void settle_some(struct bus_system *sys, uint32_t what) {
    struct bus_group *group = bus_pick_group(sys);
    if (group == NULL) {
        return;
    }
    if (what < 60) {
        bus_step_ack(sys, group, sim_chance(sys->world, 30));
    } else if (what < 80) {
        bus_step_autoclaim(sys, group, sim_pick(sys->world, 3000));
    } else {
        bus_step_dig(sys, group, what < 93, sim_chance(sys->world, 20));
    }
}

static void seldom(struct bus_system *sys) {
    static void (*const all[])(struct bus_system *) = {
        bus_step_trim,     bus_step_trim,   bus_step_hide,    bus_step_hide,      bus_step_delete,
        bus_step_expire,   bus_step_expire, bus_step_rename,  bus_step_set_id,    bus_step_move,
        bus_step_drop,     bus_step_policy, bus_step_history, bus_step_subscribe, bus_check_info,
        bus_step_consumer, bus_step_leave,  bus_step_ready,   bus_check_keys,     bus_step_claim,
        bus_step_policy,   bus_step_make,   bus_step_make,    bus_step_extend};
    all[sim_pick(sys->world, sizeof(all) / sizeof(all[0]))](sys);
}

static void step_once(struct bus_system *sys) {
    struct sim_world *world = sys->world;
    uint32_t what = sim_pick(world, 100);
    if (what < 2 && sys->tight) {
        bus_step_fill(sys);
    } else if (what < 26) {
        bus_step_add(sys);
    } else if (what < 30) {
        bus_step_append(sys);
    } else if (what < 32) {
        bus_step_batch(sys);
    } else if (what < 48) {
        turn(sys);
    } else if (what < 60) {
        receive_some(sys);
    } else if (what < 70) {
        settle_some(sys, sim_pick(world, 100));
    } else if (what < 74) {
        bus_step_nack(sys);
    } else if (what < 84) {
        seldom(sys);
    } else if (what < 90) {
        bus_step_agent(sys);
    } else if (what < 94) {
        bus_check_read(sys);
    } else if (what < 98) {
        let_time_pass(sys);
    } else if (sys->trims) {
        trim_log(sys);
    } else {
        (void)bus_flush(sys);
    }
}

static bool bus_step(struct sim_system *base) {
    struct bus_system *sys = bus_of(base);
    for (int i = 0; i < 6 && !sys->world->wrong; i++) {
        if (sys->lost || bus_is_blind(sys)) {
            bus_poll(sys); /* what it does now nobody can follow */
            break;
        }
        step_once(sys);
    }
    return !sys->world->wrong && bus_alive(sys);
}

/* ---- at the end ---- */

/* Consumers that ask, and do their work. True where the group has something in hand. */
static bool work_off(struct bus_system *sys, struct bus_group *group, int times) {
    bus_step_receive(sys, group, sim_pick(sys->world, 2), 1 + sim_pick(sys->world, 300), false);
    if (!sys->world->wrong && !group->has_policy && bus_group_count(group, BUS_FLIGHT) > 0) {
        bus_step_autoclaim(sys, group, 0);
    }
    bool more = sys->given_count > 0 && times > 1;
    if (!sys->world->wrong && group->used && bus_group_count(group, BUS_FLIGHT) > 0) {
        bus_step_ack(sys, group, true);
    }
    if (more && !sys->world->wrong && group->used && bus_key_lives(sys, group->key)) {
        return work_off(sys, group, times - 1);
    }
    return group->used && bus_group_count(group, BUS_FLIGHT) + bus_group_count(group, BUS_WAITING) +
                                  bus_group_count(group, BUS_PARKED) >
                              0;
}

/* Whatever the groups have in hand is done in the end, and nothing is left behind their cursors. */
static void drain(struct bus_system *sys) {
    bool busy = true;
    for (int round = 0; round < ROUNDS_MAX && busy && !sys->world->wrong; round++) {
        busy = !bus_flush(sys);
        uint64_t hours = round % 20 == 19 ? 2 : 0; /* the clock may have been set back so far */
        sim_clock_advance_ns(&sys->world->clock,
                             UINT64_C(500000000) + hours * UINT64_C(3600000000000));
        turn(sys);
        for (int i = 0; i < BUS_GROUPS && !sys->world->wrong; i++) {
            struct bus_group *group = &sys->model.groups[i];
            if (group->used && bus_key_lives(sys, group->key)) {
                if (round == 3) {
                    bus_step_dig(sys, group, true, true);
                }
                busy = work_off(sys, group, 40) || busy || round < 6;
                busy = busy || bus_group_could_give(&sys->model, &sys->log, group,
                                                    bus_world_now_ms(sys), bus_durable(sys)) != 0;
            }
        }
    }
    if (busy && !sys->world->wrong) {
        for (int i = 0; i < BUS_GROUPS; i++) {
            const struct bus_group *group = &sys->model.groups[i];
            if (group->used) {
                sim_note(sys->world, "%s of %s: at event %llu, could give event %llu",
                         bus_group_names[group->name], bus_key_texts[group->key],
                         (unsigned long long)group->cursor,
                         (unsigned long long)bus_group_could_give(&sys->model, &sys->log, group,
                                                                  bus_world_now_ms(sys),
                                                                  bus_durable(sys)));
            }
            for (size_t k = 0; group->used && k < group->count; k++) {
                if (group->entries[k].state <= BUS_PARKED) {
                    sim_note(sys->world, "%s of %s: event %llu, state %d, time %llu",
                             bus_group_names[group->name], bus_key_texts[group->key],
                             (unsigned long long)group->entries[k].position,
                             (int)group->entries[k].state,
                             (unsigned long long)group->entries[k].time_ms);
                }
            }
        }
        sim_wrong(sys->world, "after %d rounds of work some groups are not through, at %llu",
                  ROUNDS_MAX, (unsigned long long)bus_world_now_ms(sys));
    }
}

static void bus_rest(struct sim_system *base) {
    struct bus_system *sys = bus_of(base);
    if (sys->lost || bus_is_blind(sys)) {
        return;
    }
    drain(sys);
    if (!sys->world->wrong) {
        bus_check_subscribers(sys);
    }
    if (!sys->world->wrong && sys->log.first == 1 && bus_flush(sys)) {
        bus_poll(sys);
    }
}

static void bus_damage(struct sim_system *base, const struct sim_damage *damage) {
    (void)base;
    (void)damage;
}

const struct sim_system_ops sim_bus_system = {
    .survivable_only = true,
    .make = bus_make,
    .destroy = bus_destroy,
    .open = bus_open,
    .check = bus_check,
    .step = bus_step,
    .rest = bus_rest,
    .close = bus_close,
    .damage = bus_damage,
};
