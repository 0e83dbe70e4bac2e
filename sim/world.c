/*
 * Happy path of a story: some lives with faults, damage if the story is about that, and one last
 * life without any fault, in which everything is held against the oracle.
 */
#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/hash.h"
#include "sim/world_fault.h"

enum {
    LIVES_MAX = 4,
    LIVES_MANY_MAX = 12,
    STEPS_MAX = 60,
    STEPS_LONG_MAX = 250,
    CAPACITY_NONE = 0
};

static const struct {
    const char *name;
    const char *text;
} stories[SIM_STORY_COUNT] = {
#define SIM_STORY_ROW_(code, name, text) [SIM_STORY_##code] = {name, text},
    SIM_STORY_TABLE(SIM_STORY_ROW_)
#undef SIM_STORY_ROW_
};

const char *sim_story_name(enum sim_story story) {
    return stories[story].name;
}

const char *sim_story_text(enum sim_story story) {
    return stories[story].text;
}

enum sim_story sim_story_of(uint64_t seed) {
    return (enum sim_story)(seed % SIM_STORY_COUNT);
}

uint32_t sim_pick(struct sim_world *world, uint32_t bound) {
    return sp_prng_below(&world->prng, bound);
}

bool sim_chance(struct sim_world *world, uint32_t percent) {
    return sim_pick(world, 100) < percent;
}

static void add_to_trace(struct sim_world *world, const char *line) {
    world->trace = sp_hash_seeded(line, strlen(line), world->trace);
    if (world->verbose) {
        (void)printf("%10llu us  %s\n", (unsigned long long)(world->clock.monotonic_ns / 1000),
                     line);
    }
}

void sim_note(struct sim_world *world, const char *format, ...) {
    char line[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    add_to_trace(world, line);
}

void sim_wrong(struct sim_world *world, const char *format, ...) {
    char line[sizeof(world->what)];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (!world->wrong) {
        memcpy(world->what, line, sizeof(line));
    }
    world->wrong = true;
    add_to_trace(world, line);
}

static bool has_fired(const struct sim_world *world) {
    return sim_disk_fired(world->disk) > world->fired_at_birth;
}

bool sim_excused(const struct sim_world *world) {
    return sim_disk_is_down(world->disk) || has_fired(world) || world->full || world->damaged;
}

bool sim_is_damaged(const struct sim_world *world) {
    return world->damaged || (world->lies && has_fired(world));
}

/* ---- a life ---- */

static void be_born(struct sim_world *world) {
    if (world->story == SIM_STORY_STALE && sim_chance(world, 50)) {
        sim_disk_free(world->older);
        world->older = sim_disk_clone(world->disk, &(struct sim_disk_options){.seed = 1});
    }
    world->fs = sim_disk_process(world->disk, false);
    world->fired_at_birth = sim_disk_fired(world->disk);
    world->lies = false;
}

static const char *how_name(enum sim_crash how) {
    return how == SIM_CRASH_LOSE ? "lose" : how == SIM_CRASH_KEEP ? "keep" : "any";
}

static void crash(struct sim_world *world) {
    enum sim_crash how = sim_chance(world, 70)   ? SIM_CRASH_ANY
                         : sim_chance(world, 66) ? SIM_CRASH_LOSE
                                                 : SIM_CRASH_KEEP;
    sim_note(world, "power failure: %s", how_name(how));
    sim_disk_crash(world->disk, how);
}

/* Ends the process, and the system with it where it is open. */
static void die(struct sim_world *world, struct sim_system *system, bool open) {
    bool in_order = false;
    uint32_t end = sim_pick(world, 10);
    if (sim_disk_is_down(world->disk) || end < 3) {
        crash(world);
    } else if (end < 6) {
        sim_note(world, "killed");
        sim_disk_kill(world->fs);
    } else {
        in_order = true;
    }
    if (open) {
        sim_note(world, "close %s", in_order ? "in order" : "with a dead disk");
        system->ops->close(system, in_order);
    }
    if (sim_disk_is_down(world->disk)) { /* it failed while the system was being closed */
        crash(world);
    }
    world->fs->ops->destroy(world->fs);
    world->fs = NULL;
    world->damaged = sim_is_damaged(world);
    sim_disarm(world);
    if (sim_chance(world, 10)) {
        sim_disk_drop_caches(world->disk);
    }
}

/* Refusing to open needs a reason. */
static void judge_refusal(struct sim_world *world, sp_status status, const struct sp_error *error) {
    sim_note(world, "refused: %s: %s", sp_status_name(status), error->text);
    bool mild = status == SP_IO || status == SP_NO_SPACE || status == SP_FAILED;
    if (!sim_excused(world) || (!mild && !sim_is_damaged(world))) {
        sim_wrong(world, "open refused: %s: %s", sp_status_name(status), error->text);
    }
}

static void work(struct sim_world *world, struct sim_system *system, bool last) {
    uint32_t steps = sim_pick(world, sim_chance(world, 80) ? STEPS_MAX : STEPS_LONG_MAX);
    while (steps-- > 0 && !world->wrong && !sim_disk_is_down(world->disk)) {
        sim_befall(world, system, last);
        if (!system->ops->step(system)) {
            return;
        }
    }
}

static void live(struct sim_world *world, struct sim_system *system, bool last) {
    be_born(world);
    bool early = world->story == SIM_STORY_RECOVERY || sim_chance(world, 30);
    if (early) {
        sim_arm(world, last);
    }
    struct sp_error error = {.status = SP_OK};
    sp_status status = system->ops->open(system, &error);
    if (status != SP_OK) {
        judge_refusal(world, status, &error);
        die(world, system, false);
        return;
    }
    if (!early) {
        system->ops->check(system);
        sim_arm(world, last);
    }
    work(world, system, last);
    die(world, system, true);
}

/* The last life meets no fault. What was damaged may be refused; all else must be there. */
static void check_at_last(struct sim_world *world, struct sim_system *system) {
    be_born(world);
    struct sp_error error = {.status = SP_OK};
    sp_status status = system->ops->open(system, &error);
    if (status != SP_OK) {
        judge_refusal(world, status, &error);
    } else {
        system->ops->check(system);
        for (int i = 0; i < 10 && !world->wrong && !world->damaged; i++) {
            (void)system->ops->step(system);
        }
        if (!world->wrong && !world->damaged) {
            system->ops->rest(system);
            system->ops->check(system);
        }
        system->ops->close(system, true);
    }
    world->fs->ops->destroy(world->fs);
    world->fs = NULL;
}

static void tell(struct sim_world *world, struct sim_system *system) {
    uint32_t lives = 1 + sim_pick(world, sim_chance(world, 80) ? LIVES_MAX : LIVES_MANY_MAX);
    for (uint32_t i = 0; i < lives && !world->wrong; i++) {
        sim_note(world, "life %u of %u", i + 1, lives);
        live(world, system, i + 1 == lives);
    }
    if (!world->wrong) {
        sim_do_damage(world, system);
        sim_note(world, "last life");
        check_at_last(world, system);
    }
    sim_note(world, "disk %016llx", (unsigned long long)sim_disk_hash(world->disk));
}

void sim_world_run(uint64_t seed, const struct sim_system_ops *ops, bool verbose,
                   struct sim_outcome *ret_outcome) {
    struct sim_world world = {
        .seed = seed,
        .story = sim_story_of(seed),
        .verbose = verbose,
        .prng = sp_prng_seed(seed),
        .clock = sim_clock_at(UINT64_C(1700000000000000)),
    };
    world.disk = sim_disk_new(&(struct sim_disk_options){
        .seed = sp_prng_next(&world.prng), .capacity_bytes = CAPACITY_NONE, .clock = &world.clock});
    struct sim_system *system = ops->make(&world);
    tell(&world, system);
    ops->destroy(system);
    *ret_outcome = (struct sim_outcome){
        .wrong = world.wrong, .trace = world.trace, .disk_ops = sim_disk_op_count(world.disk)};
    memcpy(ret_outcome->what, world.what, sizeof(world.what));
    sim_disk_free(world.older);
    sim_disk_free(world.disk);
}
