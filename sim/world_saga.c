/* The life of an engine with sagas: how it is configured, opened, and how it ends. */
#include "sim/world_saga.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "flow/flow.h"
#include "sim/world_saga_int.h"

enum { KIB = 1 << 10, PAGE = 4096, BLOCK_BYTES = 64 * KIB, ROUNDS_TO_REST = 3000 };

static struct saga_system *saga_of(struct sim_system *base) {
    return (struct saga_system *)base;
}

static struct sp_prng entropy_prng; /* the engine asks without saying who asks */

static void seeded_entropy(void *bytes, size_t len) {
    uint8_t *to = bytes;
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)(sp_prng_next(&entropy_prng) >> 32);
    }
}

uint64_t saga_now_us(const struct saga_system *sys) {
    return sys->options.clock.wall_us(sys->options.clock.context);
}

bool saga_alive(struct saga_system *sys) {
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

static uint64_t pages(struct sim_world *world, uint64_t from, uint64_t to) {
    return from + (uint64_t)sim_pick(world, (uint32_t)((to - from) / PAGE) + 1) * PAGE;
}

static void choose_options(struct saga_system *sys) {
    struct sim_world *world = sys->world;
    struct sp_engine_options *options = &sys->options;
    options->block_bytes_max = BLOCK_BYTES;
    options->segment_bytes_min = pages(world, BLOCK_BYTES + PAGE, BLOCK_BYTES + 64 * KIB);
    options->segment_bytes_max = pages(world, options->segment_bytes_min, 256 * KIB);
    options->tail_bytes_max = 1 + sim_pick(world, sim_chance(world, 50) ? 16 * KIB : 400 * KIB);
    options->snapshot_events = 1 + sim_pick(world, sim_chance(world, 50) ? 20 : 400);
    options->scan_short_events = sim_chance(world, 70) ? 1 : 0;
    options->threaded_writes = sim_chance(world, 50);
    sys->keeps_all = true;
    options->create = true;
    options->inline_jobs = true;
    options->entropy = seeded_entropy;
    options->clock = sim_clock_face(&world->clock);
    options->limits = SP_EVENT_LIMITS_DEFAULT;
}

static struct sim_system *saga_make(struct sim_world *world) {
    struct saga_system *sys = calloc(1, sizeof(*sys));
    sp_ensure(sys != NULL);
    sys->base.ops = &sim_saga_system;
    sys->world = world;
    sys->mail = calloc(SAGA_MAIL_MAX, sizeof(*sys->mail));
    sp_ensure(sys->mail != NULL);
    entropy_prng = sp_prng_seed(sp_prng_next(&world->prng));
    for (int i = 0; i < SAGA_PLANS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "t%d", i);
        saga_plan_random(&sys->plans[i], name, &world->prng, 1 + sim_pick(world, 8));
    }
    choose_options(sys);
    return &sys->base;
}

static void saga_destroy(struct sim_system *base) {
    struct saga_system *sys = saga_of(base);
    sp_require(sys->engine == NULL);
    for (uint32_t i = 0; i < sys->saga_count; i++) {
        free(sys->models[i]);
    }
    free(sys->mail);
    free(sys->hashes);
    free(sys);
}

static sp_status saga_open(struct sim_system *base, struct sp_error *error) {
    struct saga_system *sys = saga_of(base);
    struct sp_engine_opened opened;
    sys->options.fs = sys->world->fs;
    sp_status status = sp_engine_open(&sys->options, &sys->engine, &opened, error);
    if (status != SP_OK) {
        sys->engine = NULL;
        return status;
    }
    uint64_t last = sp_engine_durable_position(sys->engine);
    uint64_t hash = sp_flow_hash(sp_engine_flow(sys->engine));
    sim_note(sys->world, "found %llu events, %llu were seen, replayed %llu, state %llx",
             (unsigned long long)last, (unsigned long long)sys->seen,
             (unsigned long long)opened.replayed_events, (unsigned long long)hash);
    if (last < sys->seen) {
        sim_wrong(sys->world, "found %llu events, and %llu were durable", (unsigned long long)last,
                  (unsigned long long)sys->seen);
        return SP_OK;
    }
    if (last == sys->count_at_end && last > 0 && hash != sys->hash_at_end) {
        sim_wrong(sys->world, "nothing was lost, and the flows are not what they were");
    }
    for (uint32_t i = sys->mail_done; i < sys->mail_count; i++) {
        if (!sys->mail[i].is_done) {
            sys->mail[i].position = 0; /* nobody has said that it arrived: sent again */
        }
    }
    saga_check_state(sys);
    saga_look(sys);
    return SP_OK;
}

static void saga_close(struct sim_system *base, bool in_order) {
    struct saga_system *sys = saga_of(base);
    (void)in_order;
    sys->hash_at_end = sp_flow_hash(sp_engine_flow(sys->engine));
    sys->count_at_end = sp_engine_core(sys->engine)->position;
    sp_engine_close(sys->engine);
    sys->engine = NULL;
}

static void saga_check(struct sim_system *base) {
    struct saga_system *sys = saga_of(base);
    if (!sys->world->wrong) {
        saga_look(sys);
    }
}

static bool saga_do_step(struct sim_system *base) {
    return saga_step_once(saga_of(base));
}

/* Workers answer, people help, time passes: everything comes to its end. */
static void saga_rest(struct sim_system *base) {
    struct saga_system *sys = saga_of(base);
    sys->peaceful = true;
    for (int i = 0; i < ROUNDS_TO_REST && saga_alive(sys) && !sys->world->wrong; i++) {
        saga_send(sys);
        saga_turn(sys);
        saga_help(sys);
        if (saga_all_over(sys)) {
            break;
        }
        uint64_t due_us = sp_engine_flows_due_us(sys->engine);
        uint64_t now_us = saga_now_us(sys);
        uint64_t mail_us = saga_next_mail_us(sys);
        uint64_t next_us = due_us < mail_us ? due_us : mail_us;
        uint64_t wait_us = next_us > now_us && next_us < UINT64_MAX ? next_us - now_us : 1000;
        sim_clock_advance_ns(&sys->world->clock, wait_us * 1000);
    }
    if (!sys->world->wrong && saga_alive(sys)) {
        saga_turn(sys);
        saga_check_end(sys);
    }
    sys->peaceful = false;
}

static void saga_damage(struct sim_system *base, const struct sim_damage *damage) {
    (void)base;
    (void)damage;
}

const struct sim_system_ops sim_saga_system = {
    .survivable_only = true,
    .make = saga_make,
    .destroy = saga_destroy,
    .open = saga_open,
    .check = saga_check,
    .step = saga_do_step,
    .rest = saga_rest,
    .close = saga_close,
    .damage = saga_damage,
};
