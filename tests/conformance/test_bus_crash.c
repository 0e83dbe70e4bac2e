/*
 * The bus over the simulated disk: whatever was going on when the power failed, what is there again
 * is what was decided up to some moment, and that moment is not before the last gate that passed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "engine/bus_groups.h"
#include "sim/disk.h"

enum { SEEDS = 300, LIVES = 6, CALLS = 120, KEYS = 5, MOMENTS_MAX = 1 << 16, KIB = 1 << 10 };

/* All that the log determines, after one call. */
struct moment {
    uint64_t position;
    uint64_t views;
    uint64_t groups;
    uint64_t gate;
    bool promised; /* the gate is of a block that is still open: all of this is in it */
};

struct story {
    struct sp_prng prng;
    struct sim_clock clock;
    struct sim_disk *disk;
    struct sp_fs *fs;
    struct sp_engine *engine;
    struct sp_bus *bus;
    struct moment *moments;
    size_t count;
    size_t sure; /* the last one whose gate has passed */
};

static uint32_t pick(struct story *story, uint32_t bound) {
    return sp_prng_below(&story->prng, bound);
}

static void entropy(void *bytes, size_t len) {
    memset(bytes, 7, len);
}

static struct moment now(const struct story *story) {
    const struct sp_core *core = sp_engine_core(story->engine);
    return (struct moment){.position = core->position,
                           .views = sp_views_hash(&core->views),
                           .groups = sp_groups_hash(&core->groups)};
}

static void note(struct story *story) {
    struct moment moment = now(story);
    struct sp_log *log = sp_engine_log(story->engine);
    struct sp_log_progress progress;
    log->ops->poll(log, &progress);
    moment.gate = sp_bus_gate(story->bus);
    moment.promised = moment.gate > progress.head_block;
    assert_true(story->count < MOMENTS_MAX);
    story->moments[story->count++] = moment;
}

static bool open_story(struct story *story) {
    struct sp_error error;
    story->fs = sim_disk_process(story->disk, false);
    struct sp_engine_options options = {
        .fs = story->fs,
        .clock = sim_clock_face(&story->clock),
        .entropy = entropy,
        .create = true,
        .inline_jobs = true,
        .threaded_writes = pick(story, 2) == 0,
        .limits = SP_EVENT_LIMITS_DEFAULT,
        .segment_bytes_min = 128 * KIB,
        .segment_bytes_max = 256 * KIB,
        .block_bytes_max = 64 * KIB,
        .snapshot_events = 1 + pick(story, 60),
    };
    sp_status status = sp_engine_open(&options, &story->engine, NULL, &error);
    if (status != SP_OK) {
        story->engine = NULL;
        if (!sim_disk_is_down(story->disk)) {
            fail_msg("open: %s", error.text);
        }
        return false;
    }
    status = sp_bus_new(story->engine, &story->bus, &error);
    if (status != SP_OK) {
        fail_msg("bus: %s", error.text);
    }
    return true;
}

/* What is there now was there at some moment that counts. */
static void settle(struct story *story) {
    struct moment found = now(story);
    size_t at = story->count;
    while (at > story->sure) {
        const struct moment *moment = &story->moments[at - 1];
        if (moment->position == found.position && moment->views == found.views &&
            moment->groups == found.groups) {
            break;
        }
        at--;
    }
    if (at == story->sure && story->count > 0) {
        const struct moment *last = &story->moments[story->count - 1];
        fail_msg("event %llu is the last, as at no moment of the last %zu; it was %llu in the end",
                 (unsigned long long)found.position, story->count - story->sure,
                 (unsigned long long)last->position);
    }
    story->count = 0;
    story->sure = 0;
    note(story);
    story->moments[0].gate = 0;
}

/* ---- calls ---- */

static struct sp_key key_of(struct story *story, char text[16]) {
    struct sp_key key;
    struct sp_error error;
    (void)snprintf(text, 16, pick(story, 8) == 0 ? "$all" : "k%u", pick(story, KEYS));
    sp_status status = sp_key_parse(story->bus, sp_str_from(text), &key, &error);
    assert_int_equal(status, SP_OK);
    return key;
}

static void add(struct story *story, const struct sp_key *key) {
    static const enum sp_bus_trim_kind trims[] = {SP_TRIM_NONE, SP_TRIM_NONE, SP_TRIM_LENGTH};
    struct sp_event event = {.data = SP_STR("{\"n\":1}"), .has_data = true};
    event.attr[SP_ATTR_TYPE] = SP_STR("t");
    event.attr[SP_ATTR_SOURCE] = SP_STR("s");
    struct sp_bus_add call = {.key = key, .event = &event};
    call.trim.kind = trims[pick(story, 3)];
    call.trim.length = 5;
    call.id_kind = pick(story, 10) == 0 ? SP_ID_MS : SP_ID_AUTO;
    call.id.ms = UINT64_C(3000000000000) + pick(story, 100);
    struct sp_bus_added added;
    sp_status status = sp_bus_add(story->bus, &call, &added, NULL);
    (void)status;
}

static void ignore(void *context, const struct sp_event *event, struct sp_entry_id id,
                   uint32_t count) {
    (void)context;
    (void)event;
    (void)id;
    (void)count;
}

static void use_group(struct story *story, const struct sp_key *key) {
    const struct sp_group *group = sp_bus_group(story->bus, key, SP_STR("g"));
    struct sp_bus_start start = {.at_end = pick(story, 2) == 0};
    struct sp_group_policy policy = sp_group_policy_default();
    struct sp_pending pending[4];
    sp_status status = SP_OK;
    bool there;
    if (group == NULL) {
        status = sp_bus_group_make(story->bus, key, SP_STR("g"), &start, pick(story, 2) == 0, NULL);
        return;
    }
    struct sp_pending_range range = {.until = SP_ENTRY_ID_MAX, .consumer = SP_CONSUMER_NONE};
    size_t count = sp_pending_list(group, &range, pending, 4);
    uint64_t done;
    uint32_t given;
    struct sp_bus_nack nack = {.dead = pick(story, 3) == 0, .text = SP_STR("no")};
    struct sp_bus_receive receive = {.key = key,
                                     .group = SP_STR("g"),
                                     .consumer = pick(story, 2) == 0 ? SP_STR("a") : SP_STR("b"),
                                     .count = 1 + pick(story, 5)};
    switch (pick(story, 12)) {
    case 0:
        policy.ack_wait_ms = 1 + pick(story, 300);
        policy.deliveries_max = 1 + pick(story, 3);
        status = sp_bus_group_policy(story->bus, key, SP_STR("g"), &policy, NULL);
        break;
    case 1:
        status = sp_bus_group_drop(story->bus, key, SP_STR("g"), &there, NULL);
        break;
    case 2:
        status = sp_bus_group_move(story->bus, key, SP_STR("g"), &start, NULL);
        break;
    case 3:
        status = sp_bus_redrive(story->bus, key, SP_STR("g"), NULL, 0, &done, NULL);
        break;
    case 4:
    case 5:
        if (count > 0) {
            status = sp_bus_nack(story->bus, key, SP_STR("g"), pending[0].id, &nack, NULL);
        }
        break;
    case 6:
    case 7:
        if (count > 0) {
            status =
                sp_bus_ack(story->bus, key, SP_STR("g"), &pending[count - 1].id, 1, &done, NULL);
        }
        break;
    default:
        status = sp_bus_receive(story->bus, &receive, ignore, NULL, &given, NULL);
        break;
    }
    (void)status;
}

static bool take_id(void *context, const struct sp_event *event, struct sp_entry_id id) {
    (void)event;
    *(struct sp_entry_id *)context = id;
    return false;
}

static void change_key(struct story *story, const struct sp_key *key) {
    struct sp_bus_trim trim = {.kind = SP_TRIM_LENGTH, .length = pick(story, 10)};
    struct sp_entry_id id = SP_ENTRY_ID_NONE;
    struct sp_bus_range range = {.key = key, .until = SP_ENTRY_ID_MAX, .count = 1};
    char text[16];
    struct sp_key other = key_of(story, text);
    uint64_t count;
    bool changed;
    sp_status status;
    switch (pick(story, 6)) {
    case 0:
        status = sp_bus_delete(story->bus, key, &changed, NULL);
        break;
    case 1:
        status = sp_bus_rename(story->bus, key, &other, NULL);
        break;
    case 2:
        status = sp_bus_expire(story->bus, key, story->clock.wall_us / 1000 + pick(story, 500),
                               &changed, NULL);
        break;
    case 3:
        status = sp_bus_trim(story->bus, key, &trim, &count, NULL);
        break;
    default:
        status = sp_bus_read(story->bus, &range, take_id, &id, NULL);
        if (status == SP_OK && !sp_entry_id_is_none(id)) {
            status = sp_bus_hide(story->bus, key, &id, 1, &count, NULL);
        }
        break;
    }
    (void)status;
}

static void turn(struct story *story) {
    (void)sp_engine_poll(story->engine);
    for (size_t i = story->sure + 1; i < story->count; i++) {
        const struct moment *moment = &story->moments[i];
        story->sure = moment->promised && sp_bus_passed(story->bus, moment->gate) ? i : story->sure;
    }
}

static void live(struct story *story) {
    for (int i = 0; i < CALLS && sp_engine_state(story->engine, NULL) == SP_OK; i++) {
        char text[16];
        struct sp_key key = key_of(story, text);
        uint32_t what = pick(story, 100);
        if (what < 40) {
            add(story, &key);
        } else if (what < 75) {
            use_group(story, &key);
        } else if (what < 85) {
            change_key(story, &key);
        } else if (what < 90) {
            (void)sp_bus_tick(story->bus);
        } else {
            sim_clock_advance_ns(&story->clock, UINT64_C(1000000) * pick(story, 400));
        }
        note(story);
        if (pick(story, 4) == 0) {
            turn(story);
        }
    }
}

static void one_story(uint64_t seed) {
    struct story story = {.prng = sp_prng_seed(seed)};
    story.clock = sim_clock_at(UINT64_C(1700000000000000));
    story.disk = sim_disk_new(&(struct sim_disk_options){.seed = seed, .clock = &story.clock});
    story.moments = calloc(MOMENTS_MAX, sizeof(*story.moments));
    assert_non_null(story.moments);
    for (int life = 0; life < LIVES; life++) {
        bool in_order = pick(&story, 4) == 0;
        if (!open_story(&story)) {
            fail_msg("seed %llu: does not open", (unsigned long long)seed);
        }
        settle(&story);
        if (!in_order) {
            sim_disk_crash_at(story.disk, 1 + pick(&story, 60));
        }
        live(&story);
        if (!in_order && !sim_disk_is_down(story.disk)) {
            sim_disk_kill(story.fs);
        }
        sp_bus_free(story.bus);
        sp_engine_close(story.engine);
        story.fs->ops->destroy(story.fs);
        if (!in_order) {
            sim_disk_crash(story.disk, SIM_CRASH_ANY);
        }
    }
    sim_disk_free(story.disk);
    free(story.moments);
}

static void test_what_a_crash_leaves(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        one_story(seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_a_crash_leaves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
