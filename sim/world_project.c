/* Projections' life: the store, the manager, what is done to them step by step, and how it ends. */
#include "sim/world_project.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "sim/world_project_int.h"

enum {
    KIB = 1 << 10,
    PAGE = 4096,
    BLOCK_BYTES = 64 * KIB,
    APPEND_MAX = 12,
    TURNS_MAX = 200,
    KILL_FEW = 30,
    KILL_MANY = 400,
};

const char *const project_names[PROJECT_NAMES] = {"counts", "strict", "rare"};

static struct project_system *project_of(struct sim_system *base) {
    return (struct project_system *)base;
}

/*
 * Each edition gives other rows than the one before. In every other one of `strict` an event
 * without `must` cannot be applied, and its first statement could.
 */
void project_text(uint32_t which, uint64_t edition, char to[PROJECT_TEXT_SIZE]) {
    unsigned long long e = edition;
    static const char *const bodies[PROJECT_NAMES] = {
        "CREATE TABLE counts (source TEXT PRIMARY KEY, n BIGINT NOT NULL);\n"
        "CREATE TABLE trail (position BIGINT PRIMARY KEY, id TEXT, edition BIGINT);\n"
        "-- spoor: on a.add where {\"data.n\": {\"$gt\": 2}}\n"
        "INSERT INTO counts VALUES (:source, CAST(:data ->> 'n' AS BIGINT) * %llu)\n"
        "  ON CONFLICT (source) DO UPDATE SET n = counts.n + excluded.n;\n"
        "-- spoor: on a.#\n"
        "INSERT INTO trail VALUES (:position, :id, %llu);\n"
        "DELETE FROM trail WHERE position < :position - 50;\n",
        "CREATE TABLE tried (position BIGINT PRIMARY KEY, edition BIGINT);\n"
        "CREATE TABLE strict (position BIGINT PRIMARY KEY, must TEXT NOT NULL);\n"
        "-- spoor: on b\n"
        "INSERT INTO tried VALUES (:position, %llu);\n"
        "INSERT INTO strict VALUES (:position, COALESCE(:data ->> 'must',\n"
        "  CASE WHEN %llu %% 2 = 0 THEN 'missing' END));\n",
        "CREATE TABLE rare (id TEXT PRIMARY KEY, entry TEXT, at BIGINT, edition BIGINT);\n"
        "-- spoor: on z.rare\n"
        "INSERT INTO rare VALUES (:id, :entryid, :recordedtime_ms, %llu * %llu);\n",
    };
    int len = snprintf(to, PROJECT_TEXT_SIZE, "-- spoor: projection %s version %llu\n",
                       project_names[which], e);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(to + len, PROJECT_TEXT_SIZE - (size_t)len, bodies[which], e, e);
#pragma GCC diagnostic pop
}

bool project_excused(const struct project_system *sys) {
    return sim_excused(sys->world) || sim_sqlite_is_dead() || sim_sqlite_was_full();
}

/* ---- a life ---- */

static struct sp_prng entropy_prng; /* the engine asks without saying who asks */

static void seeded_entropy(void *bytes, size_t len) {
    uint8_t *to = bytes;
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)(sp_prng_next(&entropy_prng) >> 32);
    }
}

static uint64_t pages(struct sim_world *world, uint64_t from, uint64_t to) {
    return from + (uint64_t)sim_pick(world, (uint32_t)((to - from) / PAGE) + 1) * PAGE;
}

static void choose_options(struct project_system *sys) {
    struct sim_world *world = sys->world;
    struct sp_engine_options *options = &sys->options;
    options->block_bytes_max = BLOCK_BYTES;
    options->segment_bytes_min = pages(world, BLOCK_BYTES + PAGE, BLOCK_BYTES + 64 * KIB);
    options->segment_bytes_max = pages(world, options->segment_bytes_min, 256 * KIB);
    options->tail_bytes_max = 1 + sim_pick(world, sim_chance(world, 50) ? 16 * KIB : 400 * KIB);
    options->snapshot_events = 1 + sim_pick(world, sim_chance(world, 50) ? 20 : 400);
    options->scan_short_events = sim_chance(world, 70) ? 1 : 0;
    options->threaded_writes = sim_chance(world, 50);
    options->create = true;
    options->inline_jobs = true;
    options->entropy = seeded_entropy;
    options->clock = sim_clock_face(&world->clock);
    options->limits = SP_EVENT_LIMITS_DEFAULT;
    sys->snapshot_bytes = sim_chance(world, 50) ? 40 * KIB : 4096 * KIB;
    sys->snapshot_events = 1 + sim_pick(world, 60);
    sys->grace_ms = sim_chance(world, 50) ? 0 : sim_pick(world, 20000);
}

static struct sim_system *project_make(struct sim_world *world) {
    struct project_system *sys = calloc(1, sizeof(*sys));
    sp_ensure(sys != NULL);
    sys->base.ops = &sim_project_system;
    sys->world = world;
    entropy_prng = sp_prng_seed(sp_prng_next(&world->prng));
    choose_options(sys);
    const char *fast = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(sys->folder, sizeof(sys->folder), "%s/spoor-sim-project-XXXXXX", fast);
    const char *made = mkdtemp(sys->folder);
    sp_ensure(made != NULL);
    return &sys->base;
}

static int remove_one(const char *path, const struct stat *facts, int type, struct FTW *place) {
    (void)facts;
    (void)type;
    (void)place;
    return remove(path);
}

static void project_destroy(struct sim_system *base) {
    struct project_system *sys = project_of(base);
    sp_require(sys->engine == NULL);
    (void)nftw(sys->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(sys);
}

static sp_status open_projects(struct project_system *sys, struct sp_error *error) {
    sim_sqlite_begin();
    sys->folder_fs = sim_sqlite_folder(sys->folder);
    struct sp_sqlite_options sqlite = {
        .folder = sys->folder, .fs = sys->folder_fs, .clock = sys->options.clock};
    sp_status status = sp_sqlite_sink_open(&sqlite, &sys->sink, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_travel_options travel = {
        .engine = sys->engine,
        .folder = sys->folder,
        .copies = true,
        .clock = sys->options.clock,
        .snapshot_bytes_max = sys->snapshot_bytes,
        .snapshot_events = sys->snapshot_events,
    };
    status = sp_travel_open(&travel, &sys->travel, error);
    if (status != SP_OK) {
        sys->sink->ops->close(sys->sink);
        return status;
    }
    struct sp_projects_options options = {
        .travel = sys->travel,
        .engine = sys->engine,
        .writable = true,
        .tries_out = true,
        .sink = sys->sink,
        .clock = sys->options.clock,
        .grace_ms = sys->grace_ms,
    };
    return sp_projects_new(&options, &sys->projects, error);
}

static void close_projects(struct project_system *sys) {
    sp_projects_free(sys->projects);
    sys->projects = NULL;
    sp_travel_close(sys->travel);
    sys->travel = NULL;
    if (sys->folder_fs != NULL) {
        sys->folder_fs->ops->destroy(sys->folder_fs);
    }
    sys->folder_fs = NULL;
}

static void close_engine(struct project_system *sys) {
    sp_engine_close(sys->engine);
    sys->engine = NULL;
}

static sp_status project_open(struct sim_system *base, struct sp_error *error) {
    struct project_system *sys = project_of(base);
    sys->options.fs = sys->world->fs;
    sp_status status = sp_engine_open(&sys->options, &sys->engine, NULL, error);
    if (status != SP_OK) {
        sys->engine = NULL;
        return status;
    }
    status = open_projects(sys, error);
    if (status != SP_OK) {
        close_projects(sys);
        close_engine(sys);
        return status;
    }
    sim_note(sys->world, "opened at %llu",
             (unsigned long long)sp_engine_durable_position(sys->engine));
    return SP_OK;
}

static void project_close(struct sim_system *base, bool in_order) {
    struct project_system *sys = project_of(base);
    if (!in_order) {
        sim_sqlite_kill(); /* whatever is closed now changes nothing any more */
    }
    sim_note(sys->world, "%llu changes to read models, %llu builds compared",
             (unsigned long long)sim_sqlite_changes(), (unsigned long long)sys->compared);
    close_projects(sys);
    close_engine(sys);
}

/* ---- steps ---- */

static bool alive(struct project_system *sys) {
    struct sp_error error = {.status = SP_OK};
    sp_status status = sp_engine_state(sys->engine, &error);
    if (status != SP_OK && !sim_excused(sys->world)) {
        sim_wrong(sys->world, "the engine has failed for no reason: %s", error.text);
    }
    return status == SP_OK && !sim_sqlite_is_dead();
}

static void turn(struct project_system *sys) {
    (void)sp_engine_turn(sys->engine, 0);
    (void)sp_projects_turn(sys->projects);
}

/* All that was appended is durable, and so are the manager's own events. */
static void turn_until_still(struct project_system *sys) {
    for (int i = 0; i < TURNS_MAX && alive(sys) && sp_engine_must_wait(sys->engine); i++) {
        turn(sys);
        sim_clock_advance_ns(&sys->world->clock, 1000000);
    }
    turn(sys);
}

static void make_event(struct project_system *sys, struct sp_event *event, char *text,
                       size_t size) {
    static const char *const types[] = {"a.add", "a.add", "a.x", "b", "c", "c", "c.d", "z.rare"};
    static const char *const sources[] = {"one", "two", "three"};
    struct sim_world *world = sys->world;
    const char *type = types[sim_pick(world, sim_chance(world, 20) ? 8 : 7)];
    bool lacks = sim_chance(world, 3);
    size_t pad = sim_chance(world, 95) ? sim_pick(world, 200) : sim_pick(world, 3000);
    int len = snprintf(text, size, "{\"n\":%u%s,\"pad\":\"%*s\"}", sim_pick(world, 9),
                       lacks ? "" : ",\"must\":\"yes\"", (int)pad, "");
    *event = (struct sp_event){
        .data = sp_str_of(text, (size_t)len), .has_data = true, .data_is_json = true};
    event->attr[SP_ATTR_TYPE] = sp_str_from(type);
    event->attr[SP_ATTR_SOURCE] = sp_str_from(sources[sim_pick(world, 3)]);
}

static void append(struct project_system *sys) {
    static struct sp_event events[APPEND_MAX];
    static char texts[APPEND_MAX][4096];
    struct sp_error error;
    uint32_t count = 1 + sim_pick(sys->world, APPEND_MAX);
    for (uint32_t i = 0; i < count; i++) {
        make_event(sys, &events[i], texts[i], sizeof(texts[i]));
    }
    struct sp_engine_append append = {
        .events = events, .count = count, .origin = SP_EVENT_FROM_FIELDS};
    sp_status status = sp_engine_submit(sys->engine, &append, &error);
    sys->sent += status == SP_OK ? count : 0;
    sim_note(sys->world, "append %u: %s", count, sp_status_name(status));
    if (status != SP_OK && status != SP_BUSY && !project_excused(sys)) {
        sim_wrong(sys->world, "an append was refused: %s", error.text);
    }
}

/* What the manager says without a reason for it. */
static void judge(struct project_system *sys, const char *what, const char *name, sp_status status,
                  const struct sp_error *error) {
    sim_note(sys->world, "%s %s: %s", what, name, sp_status_name(status));
    bool expected = status == SP_OK || status == SP_BUSY || status == SP_FAILED ||
                    status == SP_NOT_FOUND || status == SP_CONFLICT;
    if (!expected && !project_excused(sys)) {
        sim_wrong(sys->world, "%s %s: %s: %s", what, name, sp_status_name(status), error->text);
    }
}

/* A new edition is built beside the old one, and takes its place. */
static void define(struct project_system *sys, uint32_t which) {
    char text[PROJECT_TEXT_SIZE];
    enum sp_projects_outcome outcome;
    struct sp_error error;
    sp_error_clear(&error);
    project_text(which, ++sys->editions[which], text);
    sp_status status = sp_projects_add(sys->projects, sp_str_from(text), (sp_str){.ptr = NULL},
                                       NULL, &outcome, &error);
    judge(sys, "define", project_names[which], status, &error);
}

static void rebuild(struct project_system *sys, uint32_t which) {
    uint64_t number;
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status =
        sp_projects_rebuild(sys->projects, sp_str_from(project_names[which]), &number, &error);
    judge(sys, "rebuild", project_names[which], status, &error);
}

static void resume(struct project_system *sys, uint32_t which) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_projects_resume(sys->projects, sp_str_from(project_names[which]), &error);
    judge(sys, "resume", project_names[which], status, &error);
}

static void catch_up(struct project_system *sys, uint32_t which) {
    struct sp_error error;
    uint64_t head = sp_engine_durable_position(sys->engine);
    sp_error_clear(&error);
    sp_status status =
        sp_projects_catch_up(sys->projects, sp_str_from(project_names[which]), NULL, NULL, &error);
    judge(sys, "catch up", project_names[which], status, &error);
    if (status == SP_OK && !sim_sqlite_is_dead()) {
        project_check_visible(sys, which, head);
    }
}

/* The process will be gone at some change that is made soon, or after it. */
static void arm_kill(struct project_system *sys) {
    uint64_t count = 1 + sim_pick(sys->world, sim_chance(sys->world, 50) ? KILL_FEW : KILL_MANY);
    sim_note(sys->world, "killed at change %llu from now", (unsigned long long)count);
    sim_sqlite_kill_at(count);
}

/* The device of the read models is full for a while, and then has room. */
static void arm_full(struct project_system *sys) {
    uint64_t count = 1 + sim_pick(sys->world, 60);
    uint64_t writes = 1 + sim_pick(sys->world, 20);
    sim_note(sys->world, "no room at write %llu from now, for %llu writes",
             (unsigned long long)count, (unsigned long long)writes);
    sim_sqlite_fill_at(count, writes);
}

static bool project_step(struct sim_system *base) {
    struct project_system *sys = project_of(base);
    struct sim_world *world = sys->world;
    uint32_t which = sim_pick(world, PROJECT_NAMES);
    uint32_t what = sim_pick(world, 100);
    sim_clock_advance_ns(&world->clock, (uint64_t)sim_pick(world, 2000) * 1000000);
    if (what < 40) {
        append(sys);
        turn(sys);
    } else if (what < 70) {
        turn_until_still(sys);
        catch_up(sys, which);
    } else if (what < 78) {
        define(sys, which);
    } else if (what < 84) {
        rebuild(sys, which);
    } else if (what < 87) {
        resume(sys, which);
    } else if (what < 89) {
        arm_kill(sys);
    } else if (what < 90) {
        arm_full(sys);
    } else if (what < 92) {
        project_check_copy(sys, which);
    } else if (what < 95) {
        project_check_state(sys, which);
    } else if (what < 97 && !sim_excused(world)) {
        project_check_all(sys);
    } else {
        turn(sys);
    }
    return alive(sys);
}

static void project_check(struct sim_system *base) {
    struct project_system *sys = project_of(base);
    if (!sys->world->wrong && !project_excused(sys)) {
        project_check_all(sys);
    }
}

/* With time every projection that is there has seen all, or says at which event it stopped. */
static void project_rest(struct sim_system *base) {
    struct project_system *sys = project_of(base);
    sim_sqlite_kill_at(0);
    sim_sqlite_fill_at(0, 0);
    for (uint32_t which = 0; which < PROJECT_NAMES && alive(sys); which++) {
        turn_until_still(sys);
        catch_up(sys, which);
        sim_clock_advance_ns(&sys->world->clock, UINT64_C(60000000000));
    }
    turn_until_still(sys);
}

/* It is told no stories of damage. */
static void project_damage(struct sim_system *base, const struct sim_damage *damage) {
    (void)base;
    (void)damage;
    sp_never();
}

const struct sim_system_ops sim_project_system = {
    .survivable_only = true,
    .make = project_make,
    .destroy = project_destroy,
    .open = project_open,
    .check = project_check,
    .step = project_step,
    .rest = project_rest,
    .close = project_close,
    .damage = project_damage,
};
