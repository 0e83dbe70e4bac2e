/* bench replay and bench query: how fast what is stored is read again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/prng.h"
#include "cli/bench.h"

enum {
    REPLAY_EVENTS_DEFAULT = 4000000,
    QUERY_EVENTS_DEFAULT = 2000000,
    QUERY_STREAMS_DEFAULT = 100000,
    OUTSTANDING = 1000,
    OPEN_EVENTS_MIN = 400000, /* events in segments not sealed that are worth measuring */
    TOP_UP_EVENTS = 50000,
    TOP_UPS_MAX = 40,
    WARM_PASSES = 3,
    SAMPLES = 20000,
    WARM_UP_LOOKUPS = 2000,
    PAGE_EVENTS = 10,
};

/* ---- replay ---------------------------------------------------------------------------------- */

/* Where the sealed segments end and the open ones begin. */
struct layout {
    uint64_t last_sealed;
    uint64_t last;
};

/* Builds a log whose open segments hold enough to measure. */
static bool build(struct sp_bench *bench, uint64_t events, struct layout *ret_layout) {
    spoor *store = sp_bench_open(bench, "log", SPOOR_CREATE);
    struct sp_workload *workload = sp_workload_new(&bench->workload);
    sp_require(workload != NULL);
    bool fine =
        store != NULL && sp_bench_append(store, workload, events, OUTSTANDING, NULL, NULL, NULL);
    uint64_t wanted = events < OPEN_EVENTS_MIN ? 0 : OPEN_EVENTS_MIN;
    for (unsigned i = 0; fine; i++) {
        (void)sp_bench_await_sealed(store);
        spoor_info info = sp_bench_info(store);
        *ret_layout =
            (struct layout){.last_sealed = info.events_sealed, .last = info.last_position};
        if (info.last_position - info.events_sealed >= wanted || i == TOP_UPS_MAX) {
            break;
        }
        fine = sp_bench_append(store, workload, TOP_UP_EVENTS, OUTSTANDING, NULL, NULL, NULL);
    }
    spoor_close(store);
    sp_workload_free(workload);
    return fine;
}

/* What one pass saw; the sum keeps the compiler from passing over the bytes. */
struct pass {
    struct sp_bench_watch watch;
    uint64_t events;
    uint64_t bytes;
    uint64_t sum;
};

static bool read_range(spoor *store, uint64_t first, uint64_t last, struct pass *ret_pass) {
    char from[24];
    char until[24];
    (void)snprintf(from, sizeof(from), "%" PRIu64, first);
    (void)snprintf(until, sizeof(until), "%" PRIu64, last);
    spoor_query query = {.size = sizeof(query), .from = from, .until = until};
    spoor_cursor *cursor = NULL;
    spoor_error error = {.status = SPOOR_OK};
    struct pass pass = {.watch = sp_bench_start()};
    spoor_status status = spoor_read(store, &query, &cursor, &error);
    while (status == SPOOR_OK) {
        const spoor_event *event = NULL;
        status = spoor_next(cursor, 0, &event, &error);
        if (status == SPOOR_OK) {
            pass.events++;
            pass.bytes += event->data.len;
            pass.sum += event->position + (uint8_t)event->data.ptr[event->data.len / 2];
        }
    }
    sp_bench_stop(&pass.watch);
    spoor_cursor_close(cursor);
    if (status != SPOOR_END || pass.events != last - first + 1) {
        sp_cli_complain("read %" PRIu64 " events of %" PRIu64 ": %s", pass.events, last - first + 1,
                        error.text);
        return false;
    }
    *ret_pass = pass;
    return true;
}

static void show_pass(struct sp_bench *bench, const char *segments, const char *cache,
                      const struct pass *pass) {
    sp_bench_begin(bench, "replay");
    sp_bench_add_text(bench, "segments", segments);
    sp_bench_add_text(bench, "cache", cache);
    sp_bench_add_rate(bench, pass->events, &pass->watch);
    sp_bench_add_number(bench, "data_mib_per_s",
                        (double)pass->bytes / pass->watch.seconds / 1048576.0);
    sp_bench_add_u64(bench, "sum", pass->sum);
    sp_bench_end(bench);
}

/* Reads a range with a cold page cache and a new handle, then warm; the best of the warm passes. */
static bool measure_range(struct sp_bench *bench, const char *segments, uint64_t first,
                          uint64_t last) {
    if (last < first) {
        return true;
    }
    struct pass pass;
    sp_bench_drop_cache(bench, "log");
    spoor *store = sp_bench_open(bench, "log", SPOOR_READ_ONLY);
    bool fine = store != NULL && read_range(store, first, last, &pass);
    if (fine) {
        show_pass(bench, segments, "cold", &pass);
    }
    struct pass best = {.events = 0};
    for (unsigned i = 0; i < WARM_PASSES && fine; i++) {
        fine = read_range(store, first, last, &pass);
        best = i == 0 || pass.watch.seconds < best.watch.seconds ? pass : best;
    }
    if (fine) {
        show_pass(bench, segments, "warm", &best);
    }
    spoor_close(store);
    return fine;
}

static int bench_replay(struct sp_bench *bench) {
    struct layout layout = {.last = 0};
    uint64_t events = sp_args_u64(&bench->cli->args, SP_FLAG_EVENTS, REPLAY_EVENTS_DEFAULT);
    bool fine = build(bench, events, &layout) &&
                measure_range(bench, "open", layout.last_sealed + 1, layout.last) &&
                measure_range(bench, "sealed", 1, layout.last_sealed);
    return fine ? SP_EXIT_OK : SP_EXIT_FAILURE;
}

int sp_cmd_bench_replay(struct sp_cli *cli) {
    return sp_bench_run(cli, NULL, bench_replay);
}

/* ---- query ----------------------------------------------------------------------------------- */

/* What to look up, taken from stored events. */
struct sample {
    char id[40];
    char source[48];
    char stream[48];
    char type[48];
    char correlation[40];
};

static void copy(char *to, size_t size, spoor_str from) {
    size_t len = from.len < size - 1 ? from.len : size - 1;
    memcpy(to, from.ptr, len);
    to[len] = '\0';
}

/* Takes events spread evenly over the log, in random order. Returns how many. */
static size_t take_samples(spoor *store, uint64_t count, struct sample *samples) {
    uint64_t stride = count / SAMPLES + 1;
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    size_t taken = 0;
    if (spoor_read(store, NULL, &cursor, NULL) != SPOOR_OK) {
        return 0;
    }
    for (uint64_t i = 0; taken < SAMPLES && spoor_next(cursor, 0, &event, NULL) == SPOOR_OK; i++) {
        if (i % stride == 0) {
            struct sample *sample = &samples[taken++];
            copy(sample->id, sizeof(sample->id), event->id);
            copy(sample->source, sizeof(sample->source), event->source);
            copy(sample->stream, sizeof(sample->stream), event->stream);
            copy(sample->type, sizeof(sample->type), event->type);
            copy(sample->correlation, sizeof(sample->correlation), event->correlationid);
        }
    }
    spoor_cursor_close(cursor);
    struct sp_prng prng = sp_prng_seed(7);
    for (size_t i = taken; i > 1; i--) {
        size_t other = sp_prng_below(&prng, (uint32_t)i);
        struct sample swapped = samples[i - 1];
        samples[i - 1] = samples[other];
        samples[other] = swapped;
    }
    return taken;
}

enum lookup {
    BY_ID,
    BY_ID_AND_SOURCE,
    BY_ID_UNKNOWN,
    PAGE_OF_STREAM,
    PAGE_OF_TYPE,
    PAGE_OF_CORRELATION,
    LOOKUP_COUNT
};

static spoor_status start(spoor *store, enum lookup lookup, const struct sample *sample,
                          spoor_cursor **ret_cursor) {
    const char *types[1] = {sample->type};
    spoor_query query = {.size = sizeof(query), .limit = PAGE_EVENTS};
    char unknown[48];
    switch (lookup) {
    case BY_ID:
        return spoor_find(store, sample->id, NULL, ret_cursor, NULL);
    case BY_ID_AND_SOURCE:
        return spoor_find(store, sample->id, sample->source, ret_cursor, NULL);
    case BY_ID_UNKNOWN:
        (void)snprintf(unknown, sizeof(unknown), "no-%s", sample->id);
        return spoor_find(store, unknown, NULL, ret_cursor, NULL);
    case PAGE_OF_STREAM:
        query.stream = sample->stream;
        break;
    case PAGE_OF_TYPE:
        query.types = types;
        query.type_count = 1;
        break;
    case PAGE_OF_CORRELATION:
        query.correlation = sample->correlation;
        break;
    case LOOKUP_COUNT:
        sp_never();
    }
    return spoor_read(store, &query, ret_cursor, NULL);
}

/* One lookup, read to its end. Returns how many events it gave. */
static uint64_t look_up(spoor *store, enum lookup lookup, const struct sample *sample) {
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    uint64_t events = 0;
    if (start(store, lookup, sample, &cursor) == SPOOR_OK) {
        while (spoor_next(cursor, 0, &event, NULL) == SPOOR_OK) {
            events++;
        }
        spoor_cursor_close(cursor);
    }
    return events;
}

static void measure_lookup(struct sp_bench *bench, spoor *store, enum lookup lookup,
                           const struct sample *samples, size_t count) {
    static const char *const NAMES[LOOKUP_COUNT] = {"by_id",         "by_id_and_source",
                                                    "by_id_unknown", "page_of_stream",
                                                    "page_of_type",  "page_of_correlation"};
    struct sp_histogram *histogram = calloc(1, sizeof(*histogram));
    sp_require(histogram != NULL);
    for (size_t i = 0; i < count && i < WARM_UP_LOOKUPS; i++) {
        (void)look_up(store, lookup, &samples[i]);
    }
    uint64_t events = 0;
    struct sp_bench_watch watch = sp_bench_start();
    for (size_t i = 0; i < count; i++) {
        uint64_t before_ns = sp_bench_now_ns();
        events += look_up(store, lookup, &samples[i]);
        sp_histogram_add(histogram, sp_bench_now_ns() - before_ns);
    }
    sp_bench_stop(&watch);
    sp_bench_begin(bench, "query");
    sp_bench_add_text(bench, "lookup", NAMES[lookup]);
    sp_bench_add_u64(bench, "lookups", count);
    sp_bench_add_u64(bench, "events", events);
    sp_bench_add_number(bench, "seconds", watch.seconds);
    sp_bench_add_number(bench, "lookups_per_s", (double)count / watch.seconds);
    sp_bench_add_number(bench, "cpu_us_per_lookup", watch.cpu_seconds * 1e6 / (double)count);
    sp_bench_add_histogram(bench, histogram);
    sp_bench_end(bench);
    free(histogram);
}

static int measure_queries(struct sp_bench *bench, uint64_t last) {
    struct sample *samples = calloc(SAMPLES, sizeof(*samples));
    spoor *store = sp_bench_open(bench, "log", SPOOR_READ_ONLY);
    sp_require(samples != NULL);
    if (store == NULL) {
        return SP_EXIT_FAILURE;
    }
    size_t count = take_samples(store, last, samples);
    for (unsigned i = 0; i < LOOKUP_COUNT; i++) {
        measure_lookup(bench, store, (enum lookup)i, samples, count);
    }
    spoor_close(store);
    free(samples);
    return count > 0 ? SP_EXIT_OK : SP_EXIT_FAILURE;
}

static int bench_query(struct sp_bench *bench) {
    if (bench->workload.stream_count == 0) {
        bench->workload.stream_count = QUERY_STREAMS_DEFAULT;
    }
    struct layout layout = {.last = 0};
    uint64_t events = sp_args_u64(&bench->cli->args, SP_FLAG_EVENTS, QUERY_EVENTS_DEFAULT);
    return build(bench, events, &layout) ? measure_queries(bench, layout.last) : SP_EXIT_FAILURE;
}

int sp_cmd_bench_query(struct sp_cli *cli) {
    return sp_bench_run(cli, NULL, bench_query);
}
