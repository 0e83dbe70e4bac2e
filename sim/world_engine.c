/* The engine's life: how it is configured, opened, what it must have recovered, and how it ends. */
#include "sim/world_engine.h"

#include <stdlib.h>

#include "base/assert.h"
#include "sim/world_engine_int.h"

enum {
    KIB = 1 << 10,
    PAGE = 4096,
    BLOCK_BYTES = 64 * KIB,
    DATA_BYTES = 64 * KIB,
    ROUNDS_TO_REST = 60
};

static struct engine_system *engine_of(struct sim_system *base) {
    return (struct engine_system *)base;
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

/* Small enough for rotation, sealing, snapshots, indexes and trimming to happen often. */
static void choose_options(struct engine_system *sys) {
    struct sim_world *world = sys->world;
    struct sp_engine_options *options = &sys->options;
    options->block_bytes_max = BLOCK_BYTES;
    options->segment_bytes_min = pages(world, BLOCK_BYTES + PAGE, BLOCK_BYTES + 64 * KIB);
    options->segment_bytes_max = pages(world, options->segment_bytes_min, 256 * KIB);
    options->tail_bytes_max = 1 + sim_pick(world, sim_chance(world, 50) ? 16 * KIB : 400 * KIB);
    options->snapshot_events = 1 + sim_pick(world, sim_chance(world, 50) ? 20 : 400);
    options->outstanding_max = 8 + sim_pick(world, 200);
    options->scan_short_events = sim_chance(world, 70) ? 1 : 0;
    options->threaded_writes = sim_chance(world, 50); /* then blocks are in flight until a poll */
    if (sim_chance(world, 15)) {
        options->retain_bytes_max = 1 + sim_pick(world, 200 * KIB);
    }
    if (sim_chance(world, 5)) {
        options->retain_age_us = 1 + sim_pick(world, 5000000);
    }
    sys->may_keep_raw = sim_chance(world, 50);
    sys->dropping = options->retain_bytes_max != 0 || options->retain_age_us != 0;
    sys->has_schemas = !sys->dropping && sim_chance(world, 40);
    sys->large_percent = sim_chance(world, 70) ? 10 : 70;
    options->create = true;
    options->inline_jobs = true;
    options->entropy = seeded_entropy;
    options->clock = sim_clock_face(&world->clock);
    options->limits = SP_EVENT_LIMITS_DEFAULT;
    sim_note(world, "story %s: segments %llu to %llu, snapshots after %llu, threaded %d",
             sim_story_name(world->story), (unsigned long long)options->segment_bytes_min,
             (unsigned long long)options->segment_bytes_max,
             (unsigned long long)options->snapshot_events, options->threaded_writes);
}

static struct sim_system *engine_make(struct sim_world *world) {
    struct engine_system *sys = calloc(1, sizeof(*sys));
    sp_ensure(sys != NULL);
    sys->base.ops = &sim_engine_system;
    sys->world = world;
    engine_ops_init(sys);
    sys->data = malloc((size_t)SIM_BATCH_MAX * DATA_BYTES);
    sp_ensure(sys->data != NULL);
    entropy_prng = sp_prng_seed(sp_prng_next(&world->prng));
    choose_options(sys);
    return &sys->base;
}

static void engine_destroy(struct sim_system *base) {
    struct engine_system *sys = engine_of(base);
    sp_require(sys->engine == NULL && sys->tickets == NULL);
    sim_engine_model_fini(&sys->model);
    engine_ops_fini(sys);
    free(sys->data);
    free(sys);
}

uint64_t engine_first(struct engine_system *sys) {
    uint64_t first;
    uint64_t last;
    struct sp_log *log = sp_engine_log(sys->engine);
    log->ops->bounds(log, &first, &last);
    return first == 0 ? 1 : first;
}

uint64_t engine_last(struct engine_system *sys) {
    uint64_t first;
    uint64_t last;
    struct sp_log *log = sp_engine_log(sys->engine);
    log->ops->bounds(log, &first, &last);
    return last;
}

bool engine_alive(struct engine_system *sys) {
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

/* ---- opening ---- */

/* What is there now is what there is: all that was acknowledged, and of the rest whole appends. */
static void settle(struct engine_system *sys) {
    struct sim_world *world = sys->world;
    struct sim_engine_model *model = &sys->model;
    uint64_t last = sp_engine_durable_position(sys->engine);
    sim_note(world, "found %llu events of %zu, %llu were acknowledged", (unsigned long long)last,
             model->count, (unsigned long long)model->acked);
    if (last > model->count || (last < model->acked && !sim_is_damaged(world))) {
        sim_wrong(world, "found %llu events; %zu were appended, %llu acknowledged",
                  (unsigned long long)last, model->count, (unsigned long long)model->acked);
        return;
    }
    if (last > 0 && last < model->count && model->events[last - 1].batch_last != last &&
        !sim_is_damaged(world)) {
        sim_wrong(world, "found events up to %llu of an append from %llu to %llu",
                  (unsigned long long)last, (unsigned long long)model->events[last - 1].batch_first,
                  (unsigned long long)model->events[last - 1].batch_last);
        return;
    }
    sim_engine_model_cut(model, last);
    model->acked = last; /* whoever reads them now relies on them */
    const struct sp_core *core = sp_engine_core(sys->engine);
    if (core->position != last) {
        sim_wrong(world, "the core is at event %llu, the log at %llu",
                  (unsigned long long)core->position, (unsigned long long)last);
    }
    engine_ops_settle(sys);
    if (last == sys->count_at_end && core->control_number == sys->control_at_end &&
        !sys->ops.lost && sp_core_hash(core) != sys->hash_at_end && last > 0) {
        sim_wrong(world, "nothing was lost, and the core is not what it was");
    }
}

static sp_status engine_open(struct sim_system *base, struct sp_error *error) {
    struct engine_system *sys = engine_of(base);
    struct sp_engine_opened opened;
    sys->options.fs = sys->world->fs;
    sys->options.keeps_raw = sys->may_keep_raw && sim_chance(sys->world, 60);
    sp_status status = sp_engine_open(&sys->options, &sys->engine, &opened, error);
    if (status != SP_OK) {
        sys->engine = NULL;
        return status;
    }
    sim_note(sys->world, "replayed %llu events, passed over %u segments",
             (unsigned long long)opened.replayed_events, opened.log.passed);
    settle(sys);
    if (!sys->world->wrong) {
        engine_check_all(sys);
    }
    return SP_OK;
}

static void engine_close(struct sim_system *base, bool in_order) {
    struct engine_system *sys = engine_of(base);
    struct sim_world *world = sys->world;
    sys->dying = !in_order;
    sys->closing = true;
    engine_unfollow(sys);
    bool fine = in_order && engine_alive(sys) && !sim_excused(world);
    sys->hash_at_end = sp_core_hash(sp_engine_core(sys->engine));
    sys->count_at_end = sys->model.count;
    sys->control_at_end = sp_engine_core(sys->engine)->control_number;
    sp_engine_close(sys->engine);
    sys->engine = NULL;
    sys->dying = false;
    sys->closing = false;
    if (sys->tickets != NULL) {
        sim_wrong(world, "closed, and an append was never answered");
    }
    if (fine && !sim_excused(world) && sys->model.acked != sys->model.count) {
        sim_wrong(world, "closed in order, and event %llu of %zu is the last acknowledged",
                  (unsigned long long)sys->model.acked, sys->model.count);
    }
    while (sys->tickets != NULL) {
        struct engine_ticket *ticket = sys->tickets;
        sys->tickets = ticket->next;
        free(ticket);
    }
}

static void engine_check(struct sim_system *base) {
    struct engine_system *sys = engine_of(base);
    if (!sys->world->wrong) {
        engine_check_all(sys);
    }
}

static bool engine_do_step(struct sim_system *base) {
    return engine_step(engine_of(base));
}

/* With time everything is answered, and every full segment is sealed. */
static void engine_rest(struct sim_system *base) {
    struct engine_system *sys = engine_of(base);
    struct sp_log_local_stats stats;
    for (int i = 0; i < ROUNDS_TO_REST && engine_alive(sys); i++) {
        sim_clock_advance_ns(&sys->world->clock, UINT64_C(10000000000));
        (void)sp_engine_turn(sys->engine, 0);
    }
    sp_log_local_stats(sp_engine_log(sys->engine), &stats);
    sim_note(sys->world, "at rest: %u sealed, %u waiting", stats.segments_sealed,
             stats.segments_waiting);
    if ((stats.segments_waiting > 0 && !sys->options.keeps_raw) || sys->tickets != NULL) {
        sim_wrong(sys->world, "at rest, and %u segments wait to be sealed, the last job: %s",
                  stats.segments_waiting, sp_status_name(stats.background));
    }
}

/* What is lost to declared damage is judged when it is read: see sim_is_damaged. */
static void engine_damage(struct sim_system *base, const struct sim_damage *damage) {
    (void)base;
    (void)damage;
}

const struct sim_system_ops sim_engine_system = {
    .make = engine_make,
    .destroy = engine_destroy,
    .open = engine_open,
    .check = engine_check,
    .step = engine_do_step,
    .rest = engine_rest,
    .close = engine_close,
    .damage = engine_damage,
};
