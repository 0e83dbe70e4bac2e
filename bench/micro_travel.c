/*
 * What states of the past cost (project/travel.h), in one process: a store of so many events of
 * runs of agents, read models that ship, folded once with snapshots as a server's projector would
 * leave them; then states of single runs and of whole read models at moments drawn at random.
 * Prints one JSON line a measure. The store is kept in the folder and used again.
 *
 *     micro_travel FOLDER [EVENTS [NAME.sql…]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/prng.h"
#include "base/time.h"
#include "engine/engine.h"
#include "os/fs.h"
#include "project/sqlite.h"
#include "project/travel_answer.h"

enum { BATCH = 512, RUNS_AT_ONCE = 200, RUN_EVENTS = 20, AGENTS = 300 };

static const uint64_t EPOCH_US = UINT64_C(1754000000000000);

static struct sp_error error;
static struct sp_fs *fs;
static struct sp_engine *engine;
static double cpu_total; /* of the states since the last report */

static double now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What a busy machine does not change. */
static double cpu_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void check(sp_status status, const char *what) {
    if (status != SP_OK) {
        fprintf(stderr, "micro_travel: %s: %s: %s\n", what, sp_status_text(status), error.text);
        exit(1);
    }
}

static void report(const char *model, const char *what, double value, const char *unit) {
    printf("{\"measure\": \"%s, %s\", \"value\": %.3f, \"unit\": \"%s\"}\n", model, what, value,
           unit);
    (void)fflush(stdout);
}

/*
 * ---- the store
 * ------------------------------------------------------------------------------------
 */

static void store_open(const char *folder) {
    check(sp_fs_posix_open(folder, true, false, &fs, &error), folder);
    const struct sp_engine_options options = {
        .fs = fs,
        .clock = sp_clock_system(),
        .entropy = sp_entropy,
        .create = true,
        .limits = SP_EVENT_LIMITS_DEFAULT,
        .durability = SP_LOG_DURABLE_OS,
    };
    check(sp_engine_open(&options, &engine, NULL, &error), "open");
}

struct text {
    char type[32];
    char source[24];
    char run[24];
    char time[SP_TIME_TEXT_SIZE];
    char data[160];
};

/* The n-th event of all: of one of the runs under way, each of which has RUN_EVENTS of them. */
static void make_event(uint64_t n, struct sp_prng *prng, struct text *text,
                       struct sp_event *event) {
    uint64_t round = n / RUNS_AT_ONCE;
    uint64_t run = round / RUN_EVENTS * RUNS_AT_ONCE + n % RUNS_AT_ONCE;
    unsigned step = (unsigned)(round % RUN_EVENTS);
    const char *type = step == 0                ? "conversation.started"
                       : step == RUN_EVENTS - 1 ? (run % 5 == 0 ? "run.failed" : "run.completed")
                       : step == RUN_EVENTS - 2 ? "response.generated"
                       : step == RUN_EVENTS / 2 ? "handoff.initiated"
                       : step % 3 == 1          ? "tool.called"
                       : step % 3 == 2          ? "tool.result"
                                                : "agent.tokens_generated";
    (void)snprintf(text->type, sizeof(text->type), "%s", type);
    (void)snprintf(text->source, sizeof(text->source), "agent:%03u", (unsigned)(run % AGENTS));
    (void)snprintf(text->run, sizeof(text->run), "run-%08llu", (unsigned long long)run);
    sp_time_format(EPOCH_US + n * 1000 + sp_prng_below(prng, 5000), text->time);
    (void)snprintf(
        text->data, sizeof(text->data),
        "{\"tool\":\"tool_%u\",\"count\":%u,\"is_error\":%s,\"content\":\"what was found "
        "on page %u of the report\",\"to\":\"agent:%03u\"}",
        sp_prng_below(prng, 40), sp_prng_below(prng, 900),
        sp_prng_below(prng, 20) == 0 ? "true" : "false", sp_prng_below(prng, 1000),
        sp_prng_below(prng, AGENTS));
    *event = (struct sp_event){.data = sp_str_from(text->data), .has_data = true};
    event->attr[SP_ATTR_TYPE] = sp_str_from(text->type);
    event->attr[SP_ATTR_SOURCE] = sp_str_from(text->source);
    event->attr[SP_ATTR_CORRELATION] = sp_str_from(text->run);
    event->attr[SP_ATTR_TIME] = sp_str_from(text->time);
}

static void store_fill(uint64_t events) {
    static struct text texts[BATCH];
    static struct sp_event made[BATCH];
    static struct sp_event batch[BATCH]; /* what the engine completes */
    uint64_t n = sp_engine_core(engine)->position;
    struct sp_prng prng = sp_prng_seed(n + 1);
    double start = now_s();
    uint64_t filled = events > n ? events - n : 0;
    while (n < events) {
        uint32_t count = 0;
        for (; count < BATCH && n < events; count++, n++) {
            make_event(n, &prng, &texts[count], &made[count]);
        }
        const struct sp_engine_append append = {.events = batch, .count = count};
        sp_status status = SP_BUSY;
        while (status == SP_BUSY) {
            memcpy(batch, made, sizeof(batch));
            status = sp_engine_submit(engine, &append, &error);
            if (status == SP_BUSY) {
                (void)sp_engine_turn(engine, 100);
            }
        }
        check(status, "append");
        (void)sp_engine_poll(engine);
    }
    while (sp_engine_outstanding(engine) > 0) {
        (void)sp_engine_turn(engine, 100);
    }
    if (filled > 0) {
        fprintf(stderr, "micro_travel: %llu events appended in %.1f s\n",
                (unsigned long long)filled, now_s() - start);
    }
}

/*
 * ---- the read model
 * -------------------------------------------------------------------------------
 */

static struct sp_definition *definition_read(const char *path) {
    struct sp_buf text;
    struct sp_fs *here = NULL;
    struct sp_definition *definition = NULL;
    sp_buf_init(&text, SP_DEFINITION_BYTES_MAX);
    check(sp_fs_posix_open(".", false, true, &here, &error), "open .");
    check(sp_fs_read_all(here, path, &text, &error), path);
    check(sp_definition_parse(sp_buf_str(&text), &definition, &error), path);
    here->ops->destroy(here);
    sp_buf_fini(&text);
    return definition;
}

struct following {
    struct sp_travel_track *track;
    struct sp_build *build;
};

static void on_progress(void *context, const struct sp_fold_progress *progress) {
    struct following *following = context;
    sp_travel_track_committed(following->track, following->build, progress->committed);
}

/* Folds it whole into a file as a projector would, where that is not done yet. */
static void follow(struct sp_travel *travel, struct sp_sink *sink,
                   struct sp_definition *definition) {
    struct following following = {.track = NULL};
    struct sp_log_source *source = NULL;
    struct sp_fold *fold = NULL;
    enum sp_fold_end end;
    check(sink->ops->open(sink, definition, 1, &following.build, &error), "open a build");
    struct sp_build_state state;
    following.build->ops->state(following.build, &state);
    check(sp_log_source_new(engine, definition, false, &source, &error), "source");
    check(sp_travel_track_new(travel, following.build, &following.track, &error), "track");
    const struct sp_fold_source inner = sp_log_source_of(source);
    const struct sp_fold_options options = {
        .build = following.build,
        .source = sp_travel_track_source(following.track, &inner),
        .clock = sp_clock_system(),
        .progress = on_progress,
        .progress_context = &following,
    };
    double start = now_s();
    check(sp_fold_new(&options, &fold, &error), "fold");
    check(sp_fold_run(fold, 0, &end, &error), "fold");
    check(sp_fold_flush(fold, &error), "fold");
    uint64_t before = state.position;
    following.build->ops->state(following.build, &state);
    if (state.position > before) {
        report(definition->name, "folded with snapshots",
               (double)(state.position - before) / (now_s() - start), "events/s");
    }
    sp_fold_free(fold);
    sp_travel_track_free(following.track);
    sp_log_source_free(source);
    following.build->ops->close(following.build);
}

/*
 * ---- measuring
 * ------------------------------------------------------------------------------------
 */

static bool on_facts(void *context, const struct sp_travel_facts *facts) {
    *(struct sp_travel_state *)context = facts->state;
    return true;
}

static bool on_columns(void *context, const sp_str *names, uint32_t count) {
    (void)context;
    (void)names;
    return count > 0;
}

static bool on_row(void *context, const struct sp_sql_value *values, uint32_t count) {
    (void)context;
    return values != NULL && count > 0;
}

static double ask(struct sp_travel *travel, const struct sp_travel_question *question,
                  struct sp_travel_state *state) {
    static const struct sp_travel_rows rows = {
        .facts = on_facts, .columns = on_columns, .row = on_row};
    bool cut;
    double start = now_s();
    double cpu = cpu_s();
    check(sp_travel_answer(travel, question, &rows, state, &cut, &error), "ask");
    cpu_total += cpu_s() - cpu;
    return now_s() - start;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report_all(const char *model, const char *what, double *times, size_t count) {
    char text[96];
    qsort(times, count, sizeof(*times), compare);
    (void)snprintf(text, sizeof(text), "%s, processor time, mean", what);
    report(model, text, cpu_total / (double)count * 1e3, "ms");
    cpu_total = 0;
    (void)snprintf(text, sizeof(text), "%s, median", what);
    report(model, text, times[count / 2] * 1e3, "ms");
    (void)snprintf(text, sizeof(text), "%s, slowest of %zu", what, count);
    report(model, text, times[count - 1] * 1e3, "ms");
}

static void moment_of(uint64_t n, bool by_time, char text[SP_TIME_TEXT_SIZE]) {
    if (by_time) {
        sp_time_format(EPOCH_US + n * 1000, text);
    } else {
        (void)snprintf(text, SP_TIME_TEXT_SIZE, "%llu", (unsigned long long)n);
    }
}

static void measure_runs(struct sp_travel *travel, struct sp_definition *definition,
                         uint64_t events, bool by_time) {
    enum { COUNT = 200 };
    double times[COUNT];
    struct sp_prng prng = sp_prng_seed(7);
    struct sp_travel_state state;
    uint64_t runs = events / RUN_EVENTS;
    for (size_t i = 0; i < COUNT; i++) {
        char run[24];
        char moment[SP_TIME_TEXT_SIZE];
        uint64_t n = sp_prng_below(&prng, (uint32_t)runs);
        (void)snprintf(run, sizeof(run), "run-%08llu", (unsigned long long)n);
        moment_of((n / RUNS_AT_ONCE * RUN_EVENTS + RUN_EVENTS / 2) * RUNS_AT_ONCE, by_time, moment);
        const struct sp_travel_question question = {
            .ask = {.definition = definition,
                    .query = {.correlation = sp_str_from(run)},
                    .until = sp_str_from(moment)}};
        times[i] = ask(travel, &question, &state);
    }
    report_all(definition->name, by_time ? "one run at a time" : "one run at a position", times,
               COUNT);
}

static void measure_whole(struct sp_travel *travel, struct sp_definition *definition,
                          uint64_t events, bool by_time) {
    enum { COUNT = 20 };
    double times[COUNT];
    struct sp_prng prng = sp_prng_seed(9);
    struct sp_travel_state state;
    for (size_t i = 0; i < COUNT; i++) {
        char moment[SP_TIME_TEXT_SIZE];
        moment_of(1 + sp_prng_below(&prng, (uint32_t)events), by_time, moment);
        const struct sp_travel_question question = {
            .ask = {.definition = definition, .until = sp_str_from(moment)}, .rows_max = 100};
        times[i] = ask(travel, &question, &state);
        if (getenv("VERBOSE") != NULL) {
            fprintf(stderr, "%s: %.3f s, snapshot %llu, read %llu, events %llu\n", moment, times[i],
                    (unsigned long long)state.snapshot, (unsigned long long)state.read,
                    (unsigned long long)state.events);
        }
    }
    report_all(definition->name, by_time ? "all of it at a time" : "all of it at a position", times,
               COUNT);
}

static void on_say(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "micro_travel: %s\n", text);
}

static void measure(const char *folder, const char *path, uint64_t events, uint64_t bytes_max) {
    struct sp_definition *definition = definition_read(path);
    struct sp_sink *sink = NULL;
    struct sp_travel *travel = NULL;
    const struct sp_sqlite_options sqlite = {.folder = folder, .clock = sp_clock_system()};
    const struct sp_travel_options options = {.engine = engine,
                                              .folder = folder,
                                              .threads = true,
                                              .copies = true,
                                              .clock = sp_clock_system(),
                                              .snapshot_bytes_max = bytes_max,
                                              .say = on_say};
    check(sp_sqlite_sink_open(&sqlite, &sink, &error), "sink");
    check(sp_travel_open(&options, &travel, &error), "time travel");
    follow(travel, sink, definition);
    for (int by_time = 0; by_time < 2; by_time++) {
        measure_runs(travel, definition, events, by_time != 0);
        measure_whole(travel, definition, events, by_time != 0);
    }
    sp_travel_close(travel);
    sink->ops->close(sink);
    sp_definition_unref(definition);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: micro_travel FOLDER [EVENTS [NAME.sql…]]\n");
        return 2;
    }
    uint64_t events = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    const char *bytes = getenv("SNAPSHOT_BYTES");
    char folder[512];
    (void)mkdir(argv[1], 0777);
    (void)snprintf(folder, sizeof(folder), "%s/projections", argv[1]);
    store_open(argv[1]);
    store_fill(events);
    uint64_t bytes_max = bytes != NULL ? strtoull(bytes, NULL, 10) : UINT64_C(1) << 30;
    for (int i = 3; i < argc; i++) {
        measure(folder, argv[i], events, bytes_max);
    }
    if (argc <= 3) {
        measure(folder, "projections/agent_stats.sql", events, bytes_max);
        measure(folder, "projections/runs.sql", events, bytes_max);
    }
    sp_engine_close(engine);
    fs->ops->destroy(fs);
    return 0;
}
