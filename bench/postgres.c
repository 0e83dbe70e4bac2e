/*
 * How fast events become rows in PostgreSQL: made up in memory, folded into agent_stats, through
 * the sink. bench/postgres.py starts a server for it.
 *
 *     build/bench/postgres URL [EVENTS [BATCH]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"
#include "project/fold.h"
#include "project/postgres.h"
#include "project/shipped.h"

enum { AGENTS = 50, RUN_EVENTS = 10 };

static const char PLAIN[] =
    "-- spoor: projection agent_stats version 1\n"
    "CREATE TABLE agent_stats (agent_id TEXT PRIMARY KEY, runs BIGINT NOT NULL DEFAULT 0,"
    " tokens BIGINT NOT NULL DEFAULT 0);\n"
    "-- spoor: on agent.started\n"
    "INSERT INTO agent_stats (agent_id, runs) VALUES (:source, 1) ON CONFLICT (agent_id) DO UPDATE"
    " SET runs = agent_stats.runs + 1;\n"
    "-- spoor: on agent.tokens_generated where {\"data.count\": {\"$gt\": 0}}\n"
    "UPDATE agent_stats SET tokens = tokens + CAST(:data ->> 'count' AS BIGINT)"
    " WHERE agent_id = :source;\n";

struct maker {
    uint64_t count;
    uint64_t at;
    struct sp_event event;
    char source[32];
    char run[32];
    char data[64];
};

static sp_status make_next(void *context, const struct sp_event **ret_event,
                           struct sp_error *error) {
    struct maker *maker = context;
    (void)error;
    if (maker->at == maker->count) {
        return SP_END;
    }
    uint64_t number = maker->at++;
    uint64_t run = number / RUN_EVENTS;
    struct sp_event *event = &maker->event;
    (void)snprintf(maker->source, sizeof(maker->source), "agent:%u", (unsigned)(run % AGENTS));
    (void)snprintf(maker->run, sizeof(maker->run), "run-%llu", (unsigned long long)run);
    (void)snprintf(maker->data, sizeof(maker->data), "{\"count\": %u, \"model\": \"small\"}",
                   (unsigned)(number % 900 + 1));
    *event = (struct sp_event){.position = number + 1,
                               .version = number + 1,
                               .recorded_us = 1700000000000000 + number,
                               .data = sp_str_from(maker->data),
                               .has_data = true,
                               .data_is_json = true};
    event->attr[SP_ATTR_TYPE] = number % RUN_EVENTS == 0 ? SP_STR("agent.started")
                                : number % RUN_EVENTS == RUN_EVENTS - 1
                                    ? SP_STR("agent.completed")
                                    : SP_STR("agent.tokens_generated");
    event->attr[SP_ATTR_SOURCE] = sp_str_from(maker->source);
    event->attr[SP_ATTR_STREAM] = sp_str_from(maker->source);
    event->attr[SP_ATTR_ID] = sp_str_from(maker->run);
    event->attr[SP_ATTR_CORRELATION] = sp_str_from(maker->run);
    *ret_event = event;
    return SP_OK;
}

static uint64_t position(void *context) {
    return ((struct maker *)context)->at;
}

static sp_status seek(void *context, uint64_t to, struct sp_error *error) {
    (void)error;
    ((struct maker *)context)->at = to;
    return SP_OK;
}

static void check(sp_status status, const struct sp_error *error) {
    if (status != SP_OK) {
        (void)fprintf(stderr, "%s\n", error->text);
        exit(1);
    }
}

static sp_str shipped(void) {
    for (size_t i = 0; i < sp_shipped_projection_count; i++) {
        if (sp_str_eq(sp_shipped_projections[i].name, SP_STR("agent_stats"))) {
            return sp_shipped_projections[i].text;
        }
    }
    return sp_str_from(PLAIN);
}

static void measure(struct sp_sink *sink, const char *name, sp_str text, uint64_t number,
                    uint64_t count, uint32_t batch) {
    struct sp_error error = {0};
    struct sp_definition *definition = NULL;
    struct sp_build *build = NULL;
    struct sp_fold *fold = NULL;
    struct maker maker = {.count = count};
    struct sp_clock clock = sp_clock_system();
    check(sp_definition_parse(text, &definition, &error), &error);
    check(sink->ops->open(sink, definition, number, &build, &error), &error);
    struct sp_fold_options options = {
        .build = build,
        .source = {.next = make_next, .position = position, .seek = seek, .context = &maker},
        .clock = clock,
        .batch_events = batch,
    };
    check(sp_fold_new(&options, &fold, &error), &error);
    enum sp_fold_end end = SP_FOLD_CAUGHT_UP;
    uint64_t start = clock.monotonic_ns(clock.context);
    check(sp_fold_run(fold, 0, &end, &error), &error);
    check(sp_fold_flush(fold, &error), &error);
    double seconds = (double)(clock.monotonic_ns(clock.context) - start) / 1e9;
    struct sp_fold_progress progress;
    struct sp_build_state state;
    sp_fold_progress(fold, &progress);
    build->ops->state(build, &state);
    if (end != SP_FOLD_OVER || state.position != count) {
        (void)fprintf(stderr, "it ended early: %s\n", state.failed_text);
        exit(1);
    }
    (void)printf("%-22s %8llu events  %7.0f events/s  %llu commits\n", name,
                 (unsigned long long)count, (double)count / seconds,
                 (unsigned long long)progress.batches);
    sp_fold_free(fold);
    build->ops->close(build);
    check(sink->ops->drop(sink, SP_STR("agent_stats"), number, &error), &error);
    sp_definition_unref(definition);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        (void)fprintf(stderr, "usage: postgres URL [EVENTS [BATCH]]\n");
        return 2;
    }
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 200000;
    uint32_t batch = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    struct sp_error error = {0};
    struct sp_sink *sink = NULL;
    struct sp_postgres_options options = {
        .url = sp_str_from(argv[1]), .uuid = {42}, .clock = sp_clock_system()};
    check(sp_postgres_sink_open(&options, &sink, &error), &error);
    measure(sink, "two clauses", sp_str_from(PLAIN), 1, count, batch);
    measure(sink, "agent_stats as shipped", shipped(), 2, count, batch);
    sink->ops->close(sink);
    return 0;
}
