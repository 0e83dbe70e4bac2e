/*
 * Flows over the simulated disk, with the power failing at any write: what is there again is their
 * state as it was at that event, and what was to happen once happens once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "engine/bus.h"
#include "engine/flows.h"
#include "engine/query.h"
#include "flow/flow.h"
#include "flow/saga.h"
#include "sim/disk.h"

enum {
    SEEDS = 60,
    LIVES = 5,
    CALLS = 60,
    IDS = 400,
    POSITIONS_MAX = 1 << 14,
    KIB = 1 << 10,
    SECOND_US = 1000000,
};

struct story {
    struct sp_prng prng;
    struct sim_clock clock;
    struct sim_disk *disk;
    struct sp_fs *fs;
    struct sp_engine *engine;
    struct sp_bus *bus;
    uint64_t *hashes;   /* of the flows, as they were at each position of this life; 0: not noted */
    bool accepted[IDS]; /* an append of this id was acknowledged */
    bool tried[IDS];
    uint32_t next_id;
    uint32_t compared;  /* openings whose state was known before */
    uint32_t delivered; /* events that came later than they were appended */
};

static uint32_t pick(struct story *story, uint32_t bound) {
    return sp_prng_below(&story->prng, bound);
}

static void entropy(void *bytes, size_t len) {
    memset(bytes, 7, len);
}

static bool open_story(struct story *story) {
    struct sp_error error;
    sp_error_clear(&error);
    story->fs = sim_disk_process(story->disk, false);
    struct sp_engine_options options = {
        .fs = story->fs,
        .clock = sim_clock_face(&story->clock),
        .entropy = entropy,
        .create = true,
        .inline_jobs = true,
        .limits = SP_EVENT_LIMITS_DEFAULT,
        .segment_bytes_min = 128 * KIB,
        .segment_bytes_max = 256 * KIB,
        .block_bytes_max = 64 * KIB,
        .snapshot_events = 1 + pick(story, 40),
    };
    sp_status status = sp_engine_open(&options, &story->engine, NULL, &error);
    if (status != SP_OK) {
        fail_msg("open: %s", error.text);
    }
    status = sp_bus_new(story->engine, &story->bus, &error);
    assert_int_equal(status, SP_OK);
    return true;
}

static void close_story(struct story *story) {
    sp_bus_free(story->bus);
    sp_engine_close(story->engine);
    story->fs->ops->destroy(story->fs);
}

static uint64_t position(const struct story *story) {
    return sp_engine_core(story->engine)->position;
}

/* The state after the last event; of one append only that behind its last event is seen. */
static void note(struct story *story) {
    assert_true(position(story) < POSITIONS_MAX);
    story->hashes[position(story)] = sp_flow_hash(sp_engine_flow(story->engine));
}

/* What was found when opening is what there was at that position, where that was seen. */
static void compare(struct story *story) {
    uint64_t at = position(story);
    uint64_t noted = at < POSITIONS_MAX ? story->hashes[at] : 0;
    if (noted != 0 && noted != sp_flow_hash(sp_engine_flow(story->engine))) {
        fail_msg("the state at event %llu is another one", (unsigned long long)at);
    }
    story->compared += noted != 0;
    memset(story->hashes, 0, POSITIONS_MAX * sizeof(*story->hashes));
    note(story);
}

/* ---- what is done: sagas ---- */

static const char *const DEFINITIONS[] = {
    "{\"saga\":\"pair\",\"start\":{\"on\":\"t\"},\"steps\":["
    "{\"name\":\"a\",\"action\":\"work.a\",\"compensate\":\"undo.a\",\"timeout\":\"2s\","
    "\"retry\":{\"limit\":2,\"backoff\":\"1s\"}},"
    "{\"name\":\"b\",\"action\":\"work.b\",\"compensate\":\"undo.b\",\"timeout\":\"2s\","
    "\"retry\":{\"limit\":1}}]}",
    "{\"saga\":\"wide\",\"steps\":[{\"name\":\"all\",\"parallel\":["
    "{\"name\":\"a\",\"action\":\"work.a\",\"compensate\":\"undo.a\",\"timeout\":\"3s\"},"
    "{\"name\":\"w\",\"wait\":\"1s\"},"
    "{\"name\":\"sure\",\"approval\":{\"prompt\":\"Sure?\",\"timeout\":\"2s\"}}]}]}",
};

static void define_all(struct story *story) {
    struct sp_doc_problems *problems = calloc(1, sizeof(*problems));
    assert_non_null(problems);
    for (size_t i = 0; i < sizeof(DEFINITIONS) / sizeof(DEFINITIONS[0]); i++) {
        struct sp_engine_defined defined;
        struct sp_error error;
        struct sp_doc doc;
        sp_doc_init(&doc);
        sp_doc_problems_init(problems);
        sp_error_clear(&error);
        assert_int_equal(sp_doc_parse_json(&doc, sp_str_from(DEFINITIONS[i]), &error), SP_OK);
        sp_status status = sp_engine_flow_define(story->engine, SP_FLOW_DEFINES_SAGA, &doc,
                                                 SP_STR("ann"), problems, &defined, &error);
        if (status != SP_OK && status != SP_BUSY && sp_engine_state(story->engine, NULL) == SP_OK) {
            fail_msg("define: %s", error.text);
        }
        sp_doc_fini(&doc);
    }
    free(problems);
}

static void start_saga(struct story *story) {
    struct sp_engine_saga_started started;
    const struct sp_engine_saga_start how = {.name = SP_STR("wide")};
    sp_status status = sp_engine_saga_start(story->engine, &how, &started, NULL);
    (void)status;
}

/* Answers some event of the log, whatever it is: a command now and then, or what never was one. */
static void answer_some(struct story *story) {
    const struct sp_event *event = NULL;
    struct sp_cursor *cursor = NULL;
    char from[24];
    char type[64];
    char id[300];
    (void)snprintf(from, sizeof(from), "%u", 1 + pick(story, (uint32_t)position(story) + 1));
    const sp_str types[] = {SP_STR("work.*"), SP_STR("undo.*"), SP_STR("action.proposed")};
    const struct sp_query query = {.types = types, .type_count = 3, .from = sp_str_from(from)};
    if (sp_cursor_open(story->engine, &query, &cursor, NULL) != SP_OK ||
        sp_cursor_next(cursor, &event, NULL) != SP_OK) {
        sp_cursor_close(cursor);
        return;
    }
    bool proposed = sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR("action.proposed"));
    (void)snprintf(id, sizeof(id), "%.*s", SP_STR_ARG(event->attr[SP_ATTR_ID]));
    (void)snprintf(type, sizeof(type), "%.*s.%s", SP_STR_ARG(event->attr[SP_ATTR_TYPE]),
                   pick(story, 4) > 0 ? "completed" : "failed");
    sp_cursor_close(cursor);
    struct sp_event answer = {.data = SP_STR("{\"error\":\"x\"}"), .has_data = true};
    answer.attr[SP_ATTR_TYPE] = proposed ? SP_STR("action.approved") : sp_str_from(type);
    answer.attr[SP_ATTR_SOURCE] = SP_STR("worker");
    answer.attr[SP_ATTR_CAUSATION] = sp_str_from(id);
    struct sp_bus_added added;
    sp_status status =
        sp_bus_append(story->bus, &answer, (uint64_t)SP_CORE_ANY_VERSION, &added, NULL);
    (void)status;
}

/* ---- what is done: delayed events ---- */

struct told {
    struct story *story;
    uint32_t id;
};

static void answered(void *context, sp_engine_extra_fn *extra, sp_status status,
                     const struct sp_engine_result *results, uint32_t count,
                     const struct sp_error *error) {
    struct told *told = context;
    (void)extra;
    (void)results;
    (void)count;
    (void)error;
    told->story->accepted[told->id] |= status == SP_OK;
    free(told);
}

static void publish(struct story *story, uint32_t id) {
    char name[16];
    char time[40];
    uint64_t due_us = story->clock.wall_us + (uint64_t)pick(story, 5) * SECOND_US / 2;
    (void)snprintf(name, sizeof(name), "e%u", id);
    (void)snprintf(time, sizeof(time), "%llu", (unsigned long long)due_us / 1000);
    struct sp_event event = {.data = SP_STR("{\"n\":1}"), .has_data = true};
    event.attr[SP_ATTR_TYPE] = SP_STR("t");
    event.attr[SP_ATTR_SOURCE] = SP_STR("s");
    event.attr[SP_ATTR_STREAM] = SP_STR("k");
    event.attr[SP_ATTR_ID] = sp_str_from(name);
    if (pick(story, 5) > 0) {
        event.extensions[event.extension_count++] =
            (struct sp_extension){.name = SP_STR(SP_DELIVER_AT_NAME), .value = sp_str_from(time)};
    }
    struct told *told = malloc(sizeof(*told));
    assert_non_null(told);
    *told = (struct told){.story = story, .id = id};
    const struct sp_engine_append append = {
        .events = &event, .count = 1, .done = answered, .context = told};
    story->tried[id] = true;
    if (sp_engine_submit(story->engine, &append, NULL) != SP_OK) {
        free(told);
    }
}

static void step(struct story *story) {
    uint32_t what = pick(story, 14);
    if (what == 13) {
        start_saga(story);
    } else if (what >= 10) {
        answer_some(story);
    } else if (what < 4 && story->next_id < IDS) {
        publish(story, story->next_id++);
    } else if (what < 5 && story->next_id > 0) {
        publish(story, pick(story, story->next_id)); /* again: a duplicate, or lost before */
    } else if (what < 7) {
        sim_clock_advance_ns(&story->clock, UINT64_C(1000000) * pick(story, 400));
    } else {
        note(story);
        (void)sp_engine_poll(story->engine);
        (void)sp_bus_tick(story->bus);
    }
    note(story);
}

static void live(struct story *story) {
    define_all(story);
    for (int i = 0; i < CALLS && sp_engine_state(story->engine, NULL) == SP_OK; i++) {
        step(story);
    }
}

/* ---- what came of it ---- */

/* Nobody answers any more: what has a time comes to its end, or waits for a person. */
static void drain(struct story *story) {
    for (int i = 0; i < 400; i++) {
        sim_clock_advance_ns(&story->clock, UINT64_C(100000000));
        (void)sp_engine_poll(story->engine);
        assert_int_equal(sp_engine_state(story->engine, NULL), SP_OK);
        sp_engine_wait(story->engine, 0);
    }
    struct sp_sagas_stats stats;
    sp_sagas_stats(sp_flow_sagas(sp_engine_flow(story->engine)), &stats);
    assert_int_equal(stats.running, stats.stuck);
    assert_int_equal(sp_engine_flows_wait_ms(story->engine), -1);
}

/* Each event that was acknowledged is there once, and none twice. */
static void count_events(struct story *story) {
    uint32_t seen[IDS] = {0};
    const struct sp_event *event;
    struct sp_cursor *cursor = NULL;
    const struct sp_query query = {.stream = SP_STR("k")};
    assert_int_equal(sp_cursor_open(story->engine, &query, &cursor, NULL), SP_OK);
    while (sp_cursor_next(cursor, &event, NULL) == SP_OK) {
        unsigned id = 0;
        char text[16];
        (void)snprintf(text, sizeof(text), "%.*s", SP_STR_ARG(event->attr[SP_ATTR_ID]));
        assert_int_equal(sscanf(text, "e%u", &id), 1);
        assert_true(id < IDS);
        seen[id]++;
        story->delivered += event->extension_count > 1;
    }
    sp_cursor_close(cursor);
    for (uint32_t i = 0; i < IDS; i++) {
        if (seen[i] > 1 || (story->accepted[i] && seen[i] == 0) ||
            (seen[i] > 0 && !story->tried[i])) {
            fail_msg("event e%u is there %u times", i, seen[i]);
        }
    }
}

static uint32_t count_types(struct story *story, const char *pattern) {
    const struct sp_event *event;
    struct sp_cursor *cursor = NULL;
    const sp_str types[] = {sp_str_from(pattern)};
    const struct sp_query query = {.types = types, .type_count = 1};
    uint32_t count = 0;
    assert_int_equal(sp_cursor_open(story->engine, &query, &cursor, NULL), SP_OK);
    while (sp_cursor_next(cursor, &event, NULL) == SP_OK) {
        count++;
    }
    sp_cursor_close(cursor);
    return count;
}

/* What began has one end, or waits for a person. */
static uint32_t count_sagas(struct story *story) {
    uint32_t started = count_types(story, "saga.started");
    uint32_t ended = count_types(story, "saga.completed") + count_types(story, "saga.compensated") +
                     count_types(story, "saga.cancelled");
    assert_int_equal(started, ended + sp_sagas_count(sp_flow_sagas(sp_engine_flow(story->engine))));
    return ended;
}

static void one_story(uint64_t seed, uint32_t *compared, uint32_t *delivered, uint32_t *ended) {
    struct story story = {.prng = sp_prng_seed(seed)};
    story.clock = sim_clock_at(UINT64_C(1700000000000000));
    story.disk = sim_disk_new(&(struct sim_disk_options){.seed = seed, .clock = &story.clock});
    story.hashes = calloc(POSITIONS_MAX, sizeof(*story.hashes));
    assert_non_null(story.hashes);
    for (int life = 0; life < LIVES; life++) {
        bool in_order = pick(&story, 4) == 0;
        (void)open_story(&story);
        compare(&story);
        if (!in_order) {
            sim_disk_crash_at(story.disk, 1 + pick(&story, 40));
        }
        live(&story);
        if (!in_order && !sim_disk_is_down(story.disk)) {
            sim_disk_kill(story.fs);
        }
        close_story(&story);
        if (!in_order) {
            sim_disk_crash(story.disk, SIM_CRASH_ANY);
        }
    }
    (void)open_story(&story);
    compare(&story);
    drain(&story);
    count_events(&story);
    *ended += count_sagas(&story);
    close_story(&story);
    *compared += story.compared;
    *delivered += story.delivered;
    sim_disk_free(story.disk);
    free(story.hashes);
}

static void test_what_a_crash_leaves(void **state) {
    (void)state;
    uint32_t compared = 0;
    uint32_t delivered = 0;
    uint32_t ended = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        one_story(seed, &compared, &delivered, &ended);
    }
    assert_true(compared > (uint32_t)SEEDS * LIVES / 2);
    assert_true(delivered > (uint32_t)SEEDS * 4);
    assert_true(ended > (uint32_t)SEEDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_a_crash_leaves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
