/*
 * How fast events are projected into SQLite: from a log that has been sealed for the most part,
 * through the index, into one build. Once with events of which nearly all are wanted, once with one
 * in a hundred.
 *
 * usage: micro_project [EVENTS [FOLDER [FILE.sql]]]
 * Prints a JSON line each. The store is made in FOLDER (default: the current one), and removed.
 */
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/prng.h"
#include "engine/engine.h"
#include "os/fs.h"
#include "project/fold.h"
#include "project/sqlite.h"

enum { TURN = 500, AGENTS = 200, RUN_EVENTS = 25, DATA_SIZE = 400, TEXT_BYTES = 180 };

static const char AGENT_STATS[] =
    "-- spoor: projection agent_stats version 1\n"
    "CREATE TABLE agent_stats (agent_id TEXT PRIMARY KEY, runs BIGINT NOT NULL DEFAULT 0,\n"
    "  tokens BIGINT NOT NULL DEFAULT 0, errors BIGINT NOT NULL DEFAULT 0,\n"
    "  measured BIGINT NOT NULL DEFAULT 0, latency_ms DOUBLE PRECISION NOT NULL DEFAULT 0);\n"
    "-- spoor: on agent.started\n"
    "INSERT INTO agent_stats (agent_id, runs) VALUES (:source, 1)\n"
    "  ON CONFLICT (agent_id) DO UPDATE SET runs = agent_stats.runs + 1;\n"
    "-- spoor: on agent.tokens_generated where {\"data.count\": {\"$gt\": 0}}\n"
    "UPDATE agent_stats SET tokens = tokens + CAST(:data ->> 'count' AS BIGINT)\n"
    "  WHERE agent_id = :source;\n"
    "-- spoor: on agent.error\n"
    "UPDATE agent_stats SET errors = errors + 1 WHERE agent_id = :source;\n"
    "-- spoor: on agent.completed\n"
    "UPDATE agent_stats SET measured = measured + 1,\n"
    "  latency_ms = latency_ms + CAST(:data ->> 'duration_ms' AS DOUBLE PRECISION)\n"
    "  WHERE agent_id = :source;\n";

struct bench {
    struct sp_engine *engine;
    struct sp_definition *definition;
    struct sp_prng prng;
    uint64_t made;
    unsigned wanted_percent;
    const char *folder;
};

static uint64_t now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* What this thread has worked: the machine may have others. */
static uint64_t cpu_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void check(sp_status status, const struct sp_error *error) {
    if (status != SP_OK) {
        (void)fprintf(stderr, "micro_project: %s: %s\n", sp_status_text(status), error->text);
        exit(1);
    }
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

/*
 * ---- events
 * --------------------------------------------------------------------------------------
 */

/* What an event is made of, for as long as its append lasts. */
struct made {
    char source[24];
    char run[40];
    char data[DATA_SIZE];
};

/* The type of an event by its place in its run; wanted ones, or others. */
static const char *type_of(struct bench *bench, uint64_t step) {
    static const char *const others[] = {"tool.called", "model.completed", "memory.stored",
                                         "message.received"};
    if (sp_prng_below(&bench->prng, 100) >= bench->wanted_percent) {
        return others[sp_prng_below(&bench->prng, 4)];
    }
    return step == 0                ? "agent.started"
           : step == RUN_EVENTS - 1 ? "agent.completed"
           : step == 7              ? "agent.error"
                                    : "agent.tokens_generated";
}

static void make_event(struct bench *bench, struct made *made, struct sp_event *event) {
    static const char text[TEXT_BYTES + 1] =
        "The agent looked into the archive, found three letters and a map, compared what they say "
        "of the bridge with the survey of last spring, and wrote down where they part from it.....";
    uint64_t number = bench->made++;
    uint64_t run = number / RUN_EVENTS;
    int len = snprintf(made->data, sizeof(made->data),
                       "{\"count\":%u,\"duration_ms\":%u.5,\"model\":\"large\",\"text\":\"%.*s\"}",
                       1 + sp_prng_below(&bench->prng, 500), sp_prng_below(&bench->prng, 90000),
                       (int)(100 + sp_prng_below(&bench->prng, 80)), text);
    (void)snprintf(made->source, sizeof(made->source), "agent:%" PRIu64, run * 7919 % AGENTS);
    (void)snprintf(made->run, sizeof(made->run), "run-%" PRIu64, run);
    *event = (struct sp_event){
        .data = sp_str_of(made->data, (size_t)len), .has_data = true, .data_is_json = true};
    event->attr[SP_ATTR_TYPE] = sp_str_from(type_of(bench, number % RUN_EVENTS));
    event->attr[SP_ATTR_SOURCE] = sp_str_from(made->source);
    event->attr[SP_ATTR_CORRELATION] = sp_str_from(made->run);
}

static void append_many(struct bench *bench, uint64_t count) {
    static struct sp_event events[TURN];
    static struct sp_event taken[TURN]; /* an attempt to append completes them in place */
    static struct made made[TURN];
    struct sp_error error;
    for (uint64_t at = 0; at < count; at += TURN) {
        for (uint32_t i = 0; i < TURN; i++) {
            make_event(bench, &made[i], &events[i]);
        }
        struct sp_engine_append append = {
            .events = taken, .count = TURN, .origin = SP_EVENT_FROM_FIELDS};
        memcpy(taken, events, sizeof(taken));
        sp_status status;
        while ((status = sp_engine_submit(bench->engine, &append, &error)) == SP_BUSY) {
            memcpy(taken, events, sizeof(taken));
            (void)sp_engine_turn(bench->engine, 100);
        }
        check(status, &error);
        (void)sp_engine_turn(bench->engine, 0);
    }
    while (sp_engine_must_wait(bench->engine)) {
        (void)sp_engine_turn(bench->engine, 100);
    }
}

/*
 * ---- the store
 * -----------------------------------------------------------------------------------
 */

static void open_engine(struct bench *bench, struct sp_fs *fs, bool create) {
    struct sp_engine_opened opened;
    struct sp_error error;
    struct sp_engine_options options = {.fs = fs,
                                        .clock = sp_clock_system(),
                                        .entropy = sp_entropy,
                                        .create = create,
                                        .limits = SP_EVENT_LIMITS_DEFAULT,
                                        .outstanding_max = 100000,
                                        .durability = SP_LOG_DURABLE_OS};
    check(sp_engine_open(&options, &bench->engine, &opened, &error), &error);
}

static void show(const struct bench *bench, const struct sp_fold_progress *progress, double seconds,
                 double cpu_seconds, bool scratch) {
    (void)printf("{\"bench\":\"project\",\"projection\":\"%s\",\"sink\":\"sqlite%s\","
                 "\"wanted_percent\":%u,"
                 "\"events\":%" PRIu64 ",\"applied\":%" PRIu64 ",\"batches\":%" PRIu64
                 ",\"seconds\":%.3f,\"cpu_seconds\":%.3f,\"events_per_s\":%.0f}\n",
                 bench->definition->name, scratch ? ", in memory" : "", bench->wanted_percent,
                 progress->position, progress->applied, progress->batches, seconds, cpu_seconds,
                 (double)progress->position / seconds);
    (void)fflush(stdout);
}

/* Projects the whole log into a fresh build. */
static void project(struct bench *bench, const char *folder, bool scratch) {
    struct sp_sqlite_options options = {.folder = folder, .clock = sp_clock_system()};
    struct sp_sink *sink = NULL;
    struct sp_build *build = NULL;
    struct sp_log_source *source = NULL;
    struct sp_fold *fold = NULL;
    struct sp_fold_progress progress;
    enum sp_fold_end end;
    struct sp_error error;
    check(sp_sqlite_sink_open(&options, &sink, &error), &error);
    check(scratch ? sp_sqlite_scratch_new(bench->definition, options.clock, NULL, &build, &error)
                  : sink->ops->open(sink, bench->definition, 1, &build, &error),
          &error);
    uint64_t start = now_ns();
    uint64_t cpu_start = cpu_ns();
    check(sp_log_source_new(bench->engine, bench->definition, true, &source, &error), &error);
    struct sp_fold_options fold_options = {
        .build = build, .source = sp_log_source_of(source), .clock = options.clock};
    check(sp_fold_new(&fold_options, &fold, &error), &error);
    check(sp_fold_run(fold, 0, &end, &error), &error);
    check(sp_fold_flush(fold, &error), &error);
    sp_fold_progress(fold, &progress);
    show(bench, &progress, (double)(now_ns() - start) / 1e9, (double)(cpu_ns() - cpu_start) / 1e9,
         scratch);
    if (end != SP_FOLD_CAUGHT_UP) {
        struct sp_build_state state;
        build->ops->state(build, &state);
        (void)fprintf(stderr, "micro_project: %s\n", state.failed_text);
        exit(1);
    }
    sp_fold_free(fold);
    sp_log_source_free(source);
    build->ops->close(build);
    check(sink->ops->drop(sink, sp_str_from(bench->definition->name), 1, &error), &error);
    sink->ops->close(sink);
}

static void measure(struct bench *bench, uint64_t count, unsigned wanted_percent) {
    char folder[1024];
    char projections[1100];
    struct sp_fs *fs = NULL;
    struct sp_error error;
    (void)snprintf(folder, sizeof(folder), "%s/micro-project-XXXXXX", bench->folder);
    if (mkdtemp(folder) == NULL) {
        perror("micro_project: mkdtemp");
        exit(1);
    }
    (void)snprintf(projections, sizeof(projections), "%s/projections", folder);
    check(sp_fs_posix_open(folder, true, false, &fs, &error), &error);
    open_engine(bench, fs, true);
    bench->made = 0;
    bench->wanted_percent = wanted_percent;
    append_many(bench, count);
    sp_engine_close(bench->engine); /* so that nothing is sealed meanwhile */
    open_engine(bench, fs, false);
    project(bench, projections, false);
    project(bench, projections, true);
    sp_engine_close(bench->engine);
    fs->ops->destroy(fs);
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct sp_definition *read_definition(const char *path) {
    struct sp_buf text;
    struct sp_definition *definition = NULL;
    struct sp_error error;
    sp_buf_init(&text, SP_DEFINITION_BYTES_MAX);
    sp_buf_add(&text, AGENT_STATS, path == NULL ? sizeof(AGENT_STATS) - 1 : 0);
    if (path != NULL) {
        const char *slash = strrchr(path, '/');
        struct sp_fs *fs = NULL;
        char folder[1024];
        (void)snprintf(folder, sizeof(folder), "%.*s", slash != NULL ? (int)(slash - path) : 1,
                       slash != NULL ? path : ".");
        check(sp_fs_posix_open(folder, false, true, &fs, &error), &error);
        check(sp_fs_read_all(fs, slash != NULL ? slash + 1 : path, &text, &error), &error);
        fs->ops->destroy(fs);
    }
    check(sp_definition_parse(sp_buf_str(&text), &definition, &error), &error);
    sp_buf_fini(&text);
    return definition;
}

int main(int argc, char **argv) {
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    struct bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL || count < TURN) {
        (void)fprintf(stderr, "usage: micro_project [EVENTS [FOLDER [FILE.sql]]]\n");
        return 2;
    }
    bench->prng = sp_prng_seed(7);
    bench->folder = argc > 2 ? argv[2] : ".";
    bench->definition = read_definition(argc > 3 ? argv[3] : NULL);
    measure(bench, count, 97);
    measure(bench, 3 * count, 1);
    sp_definition_unref(bench->definition);
    free(bench);
    return 0;
}
