/* The log's life: how it is configured, opened, recovered and closed. */
#include "sim/world_log.h"

#include <stdlib.h>

#include "base/assert.h"
#include "log/sealed.h"
#include "sim/world_log_int.h"

enum { KIB = 1 << 10, PAGE = 4096, BLOCK_BYTES = 64 * KIB };

static struct log_system *log_of(struct sim_system *base) {
    return (struct log_system *)base;
}

/* The log asks for entropy without saying who asks; one story is told at a time. */
static struct sp_prng entropy_prng;

static void seeded_entropy(void *bytes, size_t len) {
    uint8_t *to = bytes;
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)(sp_prng_next(&entropy_prng) >> 32);
    }
}

/* ---- what the log asks of its owner ---- */

/* The index of a segment is another floor's: here it is some text that names the segment. */
static sp_status encode_index(void *context, uint64_t segment_id, struct sp_buf *section,
                              struct sp_error *error) {
    (void)context;
    (void)error;
    sp_buf_add_str(section, SP_STR("index of segment "));
    sp_buf_add_u64(section, segment_id);
    return section->status;
}

static void on_sealed(void *context, uint64_t segment_id, struct sp_log_sealed *sealed) {
    struct log_system *sys = context;
    sim_note(sys->world, "segment %llu is sealed", (unsigned long long)segment_id);
    struct sp_buf expected;
    struct sp_buf found;
    sp_buf_init(&expected, 100);
    sp_buf_init(&found, 100);
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(sealed);
    if (footer->last_position >= footer->first_position) { /* without events there is no index */
        (void)encode_index(NULL, segment_id, &expected, NULL);
    }
    sp_status status = sp_log_sealed_section_all(sealed, SP_SECTION_INDEX, &found, NULL);
    bool same = status == SP_OK && sp_str_eq(sp_buf_str(&expected), sp_buf_str(&found));
    if (!same && !sim_excused(sys->world)) {
        sim_wrong(sys->world, "the index of segment %llu is not what was encoded",
                  (unsigned long long)segment_id);
    }
    sp_buf_fini(&expected);
    sp_buf_fini(&found);
}

static void on_trimmed(void *context, uint64_t first_position) {
    struct log_system *sys = context;
    sim_note(sys->world, "trimmed: begins at %llu", (unsigned long long)first_position);
    if (first_position > sys->model.trim_bound) {
        sim_wrong(sys->world, "trimmed to %llu, %llu was the bound",
                  (unsigned long long)first_position, (unsigned long long)sys->model.trim_bound);
    }
}

/* An owner that has everything up to somewhere: what lies before is not read when opening. */
static bool is_known(void *context, uint64_t segment_id, uint64_t first, uint64_t next) {
    struct log_system *sys = context;
    bool known = sys->knows && !sim_chance(sys->world, 15);
    sim_note(sys->world, "segment %llu, events %llu to before %llu, is%s known",
             (unsigned long long)segment_id, (unsigned long long)first, (unsigned long long)next,
             known ? "" : " not");
    return known;
}

/* ---- options ---- */

static uint64_t pages(struct sim_world *world, uint64_t from, uint64_t to) {
    return from + (uint64_t)sim_pick(world, (uint32_t)((to - from) / PAGE) + 1) * PAGE;
}

/* Small enough for everything to happen often: rotation, sealing, trimming, reading from files. */
static void choose_options(struct log_system *sys) {
    struct sim_world *world = sys->world;
    struct sp_log_local_options *options = &sys->options;
    options->block_bytes_max = sim_chance(world, 70) ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    uint64_t least = options->block_bytes_max + PAGE;
    options->segment_bytes_min = pages(world, least, least + 128 * KIB);
    bool large = sim_chance(world, 5); /* large enough for sealing to train a dictionary */
    uint64_t most = options->segment_bytes_min + (large ? 600 * KIB : 200 * KIB);
    options->segment_bytes_max = pages(world, options->segment_bytes_min, most);
    options->segment_bytes_min = large ? options->segment_bytes_max : options->segment_bytes_min;
    options->tail_bytes_max = 1 + sim_pick(world, sim_chance(world, 50) ? 16 * KIB : 400 * KIB);
    options->checkpoint_period_us = 1 + sim_pick(world, sim_chance(world, 50) ? 1000 : 2000000);
    options->seal = sim_chance(world, 85);
    if (sim_chance(world, 20)) {
        options->retain_bytes_max = 1 + sim_pick(world, 200 * KIB);
    }
    if (sim_chance(world, 10)) {
        options->retain_age_us = 1 + sim_pick(world, 5000000);
    }
    options->durability =
        (enum sp_log_local_durability)(sim_chance(world, 30) ? 1 + sim_pick(world, 2) : 0);
    options->sync_period_us = 1 + sim_pick(world, sim_chance(world, 50) ? 1000 : 200000);
    options->create = true;
    options->inline_jobs = true;
    options->threaded_writes = sim_chance(world, 50); /* then blocks are in flight until a poll */
    options->entropy = seeded_entropy;
    options->clock = sim_clock_face(&world->clock);
    options->hooks = (struct sp_log_seal_hooks){.context = sys,
                                                .encode = encode_index,
                                                .known = is_known,
                                                .sealed = on_sealed,
                                                .trimmed = on_trimmed};
    sys->knows = sim_chance(world, 70);
    sim_note(world, "story %s: blocks %u, segments %llu to %llu, seal %d, durability %d",
             sim_story_name(world->story), options->block_bytes_max,
             (unsigned long long)options->segment_bytes_min,
             (unsigned long long)options->segment_bytes_max, options->seal,
             (int)options->durability);
}

static struct sim_system *log_make(struct sim_world *world) {
    struct log_system *sys = calloc(1, sizeof(*sys));
    sp_ensure(sys != NULL);
    sys->base.ops = &sim_log_system;
    sys->world = world;
    sys->workload.prng = sp_prng_seed(sp_prng_next(&world->prng));
    entropy_prng = sp_prng_seed(sp_prng_next(&world->prng));
    sys->model.trim_bound = 1;
    choose_options(sys);
    return &sys->base;
}

static void log_destroy(struct sim_system *base) {
    struct log_system *sys = log_of(base);
    sp_require(sys->log == NULL);
    sim_model_fini(&sys->model);
    free(sys);
}

/* ---- opening ---- */

/* The first block that recovery shows may be any that begins where it says it does. */
static uint64_t find_block(const struct sim_model *model, const struct sp_log_chunk *chunk) {
    for (uint64_t block = 1; block <= model->block_count; block++) {
        if (sim_model_is_block(model, block, chunk)) {
            return block;
        }
    }
    return 0;
}

static sp_status on_recovered(void *context, uint64_t segment_id, const struct sp_log_chunk *chunk,
                              struct sp_error *error) {
    struct log_system *sys = context;
    (void)error;
    uint64_t block =
        sys->recovered_block == 0 ? find_block(&sys->model, chunk) : sys->recovered_block + 1;
    if (!sim_model_is_block(&sys->model, block, chunk)) {
        sim_wrong(sys->world,
                  "recovered from segment %llu what is not block %llu (events from %llu)",
                  (unsigned long long)segment_id, (unsigned long long)block,
                  (unsigned long long)chunk->first_position);
    }
    sys->recovered_block = block;
    return SP_OK;
}

/* What is there now is what there is: at least what was synced, at most the appended. */
static void settle(struct log_system *sys, const struct sp_log_progress *progress) {
    struct sim_model *model = &sys->model;
    uint64_t head = progress->head_block;
    sim_note(sys->world, "head %llu of %zu, %llu durable and %llu synced before",
             (unsigned long long)head, model->block_count, (unsigned long long)model->durable_block,
             (unsigned long long)sys->synced);
    uint64_t must_have =
        sys->world->damaged && sys->must_have < sys->synced ? sys->must_have : sys->synced;
    if (head < must_have || head > model->block_count) {
        sim_wrong(sys->world,
                  "found blocks up to %llu; up to %llu were appended, %llu must be there",
                  (unsigned long long)head, (unsigned long long)model->block_count,
                  (unsigned long long)must_have);
        return;
    }
    if ((sys->recovered_block != 0 && sys->recovered_block != head) ||
        progress->durable_block != head ||
        progress->durable_position != sim_model_position_at(model, head)) {
        sim_wrong(sys->world, "recovered up to block %llu, head %llu, durable %llu at event %llu",
                  (unsigned long long)sys->recovered_block, (unsigned long long)head,
                  (unsigned long long)progress->durable_block,
                  (unsigned long long)progress->durable_position);
        return;
    }
    sim_model_settle(model, head);
    sys->synced = head;
    uint64_t last = sim_model_position_at(model, head);
    sys->learned = sys->learned < last ? sys->learned : last;
}

static sp_status log_open(struct sim_system *base, struct sp_error *error) {
    struct log_system *sys = log_of(base);
    sys->options.fs = sys->world->fs;
    struct sp_log_opened opened;
    sp_status status = sp_log_local_open(&sys->options, &sys->log, &opened, error);
    log_note_lie(sys);
    if (status != SP_OK) {
        sys->log = NULL;
        return status;
    }
    sys->recovered_block = 0;
    status = sys->log->ops->recover(sys->log, on_recovered, sys, error);
    log_note_lie(sys);
    if (status != SP_OK) {
        sys->log->ops->close(sys->log);
        sys->log = NULL;
        return status;
    }
    struct sp_log_progress progress;
    struct sp_log_description description;
    sys->log->ops->poll(sys->log, &progress);
    sys->log->ops->describe(sys->log, &description);
    sys->blocks_in_flight_max = description.blocks_in_flight_max;
    settle(sys, &progress);
    log_check_snapshot(sys);
    return SP_OK;
}

static void log_close(struct sim_system *base, bool in_order) {
    struct log_system *sys = log_of(base);
    struct sim_world *world = sys->world;
    bool fine = in_order && log_poll(sys);
    if (sys->reader != NULL) {
        sys->reader->ops->free(sys->reader);
        sys->reader = NULL;
    }
    sys->log->ops->close(sys->log);
    sys->log = NULL;
    log_note_lie(sys);
    if (fine && !sim_excused(world)) {
        sys->model.durable_block = sys->model.block_count; /* closing waits for what is in flight */
        sys->synced = sys->model.block_count;
    }
}

static void log_check(struct sim_system *base) {
    struct log_system *sys = log_of(base);
    if (!sys->world->wrong) {
        log_check_all(sys);
    }
}

static void log_do_rest(struct sim_system *base) {
    log_rest(log_of(base));
}

static bool log_do_step(struct sim_system *base) {
    struct log_system *sys = log_of(base);
    bool alive = log_step(sys);
    log_note_lie(sys);
    return alive;
}

static void log_damage(struct sim_system *base, const struct sim_damage *damage) {
    log_note_damage(log_of(base), damage);
}

const struct sim_system_ops sim_log_system = {
    .make = log_make,
    .destroy = log_destroy,
    .open = log_open,
    .check = log_check,
    .step = log_do_step,
    .rest = log_do_rest,
    .close = log_close,
    .damage = log_damage,
};
