/* bench append and bench streams: how fast events become durable. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/bench.h"

enum {
    SLICES_MAX = 10,
    STREAM_ROUNDS = 3,
    STREAM_EVENTS_DEFAULT = 500000,
    STREAM_OUTSTANDING_DEFAULT = 1000,
};

/* Events of one measurement, where nothing is said: some seconds on a good device. */
static uint64_t default_events(uint64_t outstanding) {
    return outstanding <= 4 ? 30000 : outstanding <= 256 ? 1000000 : 4000000;
}

/* The device before, between and after the slices of one measurement. */
struct device_rates {
    struct sp_bench_device sum;
    unsigned count;
    double last_per_second;
    double ratios[SLICES_MAX]; /* of each slice to the device just before and after it */
    unsigned ratio_count;
};

static double probe(struct sp_bench *bench, struct device_rates *rates) {
    struct sp_bench_device device = sp_bench_device(bench);
    double before = rates->last_per_second;
    rates->sum.p50_us += device.p50_us;
    rates->sum.p99_us += device.p99_us;
    rates->sum.per_second += device.per_second;
    rates->last_per_second = device.per_second;
    rates->count++;
    return (before + device.per_second) / 2;
}

static int compare_numbers(const void *a, const void *b) {
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Sorts the numbers. */
static double median(double *numbers, size_t count) {
    qsort(numbers, count, sizeof(*numbers), compare_numbers);
    return numbers[count / 2];
}

static void add_device(struct sp_bench *bench, struct device_rates *rates) {
    double count = rates->count;
    sp_bench_add_number(bench, "device_sync_p50_us", rates->sum.p50_us / count);
    sp_bench_add_number(bench, "device_sync_p99_us", rates->sum.p99_us / count);
    sp_bench_add_number(bench, "device_syncs_per_s", rates->sum.per_second / count);
    sp_bench_add_number(bench, "ratio_to_device", median(rates->ratios, rates->ratio_count));
}

static void begin_append_line(struct sp_bench *bench, const char *name, uint64_t events,
                              const struct sp_bench_watch *watch) {
    sp_bench_begin(bench, name);
    sp_bench_add_rate(bench, events, watch);
    sp_bench_add_text(bench, "ids", bench->workload.makes_ids ? "uuid4" : "store");
}

/*
 * The appends of one measurement, in slices with the device's own rate measured between them: what
 * else the machine does changes from second to second, and must weigh on both alike.
 */
static bool run_slices(struct sp_bench *bench, spoor *store, uint64_t events, uint32_t outstanding,
                       struct sp_histogram *histogram, struct device_rates *rates,
                       struct sp_bench_watch *ret_watch) {
    struct sp_workload *workload = sp_workload_new(&bench->workload);
    sp_require(workload != NULL);
    unsigned slices = outstanding == 1 ? SLICES_MAX : 1;
    struct sp_bench_watch total = {.seconds = 0};
    bool fine = true;
    (void)probe(bench, rates);
    for (unsigned i = 0; i < slices && fine; i++) {
        uint64_t share = events * (i + 1) / slices - events * i / slices;
        struct sp_bench_watch watch = sp_bench_start();
        fine = sp_bench_append(store, workload, share, outstanding, histogram, NULL, NULL);
        sp_bench_stop(&watch);
        total.seconds += watch.seconds;
        total.cpu_seconds += watch.cpu_seconds;
        rates->ratios[rates->ratio_count++] = (double)share / watch.seconds / probe(bench, rates);
    }
    sp_workload_free(workload);
    *ret_watch = total;
    return fine;
}

/* One closed loop over a fresh store. */
static int measure_append(struct sp_bench *bench, uint32_t outstanding) {
    uint64_t events = sp_args_u64(&bench->cli->args, SP_FLAG_EVENTS, default_events(outstanding));
    struct sp_histogram *histogram = calloc(1, sizeof(*histogram));
    struct device_rates rates = {.count = 0};
    struct sp_bench_watch watch = {.seconds = 0};
    sp_require(histogram != NULL);
    spoor *store = sp_bench_open(bench, "append", SPOOR_CREATE);
    if (store == NULL ||
        !run_slices(bench, store, events, outstanding, histogram, &rates, &watch)) {
        return SP_EXIT_FAILURE;
    }
    struct sp_bench_memory memory = sp_bench_memory();
    double seal_seconds = sp_bench_await_sealed(store);
    spoor_info info = sp_bench_info(store);
    begin_append_line(bench, "append", events, &watch);
    sp_bench_add_u64(bench, "outstanding", outstanding);
    sp_bench_add_histogram(bench, histogram);
    add_device(bench, &rates);
    sp_bench_add_number(bench, "rss_running_mib", (double)memory.resident_bytes / 1048576.0);
    sp_bench_add_memory(bench);
    sp_bench_add_number(bench, "seal_wait_seconds", seal_seconds);
    sp_bench_add_info(bench, &info);
    sp_bench_end(bench);
    spoor_close(store);
    free(histogram);
    sp_bench_remove(bench, "append");
    return SP_EXIT_OK;
}

static int bench_append(struct sp_bench *bench) {
    static const uint64_t DEFAULT[] = {1, 64, 1000};
    uint64_t outstanding[SP_ARGS_NUMBERS_MAX];
    size_t count = sp_args_list(&bench->cli->args, SP_FLAG_OUTSTANDING, outstanding);
    if (count == 0) {
        memcpy(outstanding, DEFAULT, sizeof(DEFAULT));
        count = sizeof(DEFAULT) / sizeof(*DEFAULT);
    }
    int code = SP_EXIT_OK;
    for (size_t i = 0; i < count && code == SP_EXIT_OK; i++) {
        if (outstanding[i] == 0 || outstanding[i] > 65536) {
            return sp_cli_usage(bench->cli, "--outstanding takes 1 to 65536");
        }
        code = measure_append(bench, (uint32_t)outstanding[i]);
    }
    return code;
}

int sp_cmd_bench_append(struct sp_cli *cli) {
    return sp_bench_run(cli, NULL, bench_append);
}

/* ---- many streams ---------------------------------------------------------------------------- */

/* One store with its number of streams. */
struct contender {
    uint64_t stream_count;
    char name[SP_BENCH_NAME_SIZE];
    spoor *store;
    struct sp_workload *workload;
    double fill_seconds;
    double rates[STREAM_ROUNDS];
    struct sp_bench_watch watch; /* over all rounds */
};

static bool fill(struct sp_bench *bench, struct contender *contender, uint32_t outstanding) {
    struct sp_workload_options options = bench->workload;
    options.stream_count = contender->stream_count;
    options.fills_streams = true;
    (void)snprintf(contender->name, sizeof(contender->name), "streams-%" PRIu64,
                   contender->stream_count);
    contender->workload = sp_workload_new(&options);
    contender->store = sp_bench_open(bench, contender->name, SPOOR_CREATE);
    sp_require(contender->workload != NULL);
    if (contender->store == NULL) {
        return false;
    }
    uint64_t before_ns = sp_bench_now_ns();
    bool fine = sp_bench_append(contender->store, contender->workload, contender->stream_count,
                                outstanding, NULL, NULL, NULL);
    contender->fill_seconds = sp_bench_seconds_since(before_ns);
    return fine;
}

/* One round after the other, each over all stores; sealing of one must not slow the next. */
static bool run_rounds(struct contender *contenders, size_t count, uint64_t events,
                       uint32_t outstanding) {
    for (size_t round = 0; round < STREAM_ROUNDS; round++) {
        for (size_t i = 0; i < count; i++) {
            struct contender *contender = &contenders[i];
            (void)sp_bench_await_sealed(contender->store);
            struct sp_bench_watch watch = sp_bench_start();
            if (!sp_bench_append(contender->store, contender->workload, events, outstanding, NULL,
                                 NULL, NULL)) {
                return false;
            }
            sp_bench_stop(&watch);
            contender->rates[round] = (double)events / watch.seconds;
            contender->watch.seconds += watch.seconds;
            contender->watch.cpu_seconds += watch.cpu_seconds;
        }
    }
    return true;
}

static int bench_streams(struct sp_bench *bench) {
    static const uint64_t DEFAULT[] = {1000, 1000000};
    const struct sp_args *args = &bench->cli->args;
    uint64_t counts[SP_ARGS_NUMBERS_MAX];
    uint64_t outstanding[SP_ARGS_NUMBERS_MAX] = {STREAM_OUTSTANDING_DEFAULT};
    (void)sp_args_list(args, SP_FLAG_OUTSTANDING, outstanding);
    uint64_t events = sp_args_u64(args, SP_FLAG_EVENTS, STREAM_EVENTS_DEFAULT);
    size_t count = sp_args_list(args, SP_FLAG_STREAMS, counts);
    if (count == 0) {
        memcpy(counts, DEFAULT, sizeof(DEFAULT));
        count = sizeof(DEFAULT) / sizeof(*DEFAULT);
    }
    struct contender contenders[SP_ARGS_NUMBERS_MAX] = {{.stream_count = 0}};
    for (size_t i = 0; i < count; i++) {
        contenders[i].stream_count = counts[i] == 0 ? 1 : counts[i];
        if (!fill(bench, &contenders[i], (uint32_t)outstanding[0])) {
            return SP_EXIT_FAILURE;
        }
    }
    if (!run_rounds(contenders, count, events, (uint32_t)outstanding[0])) {
        return SP_EXIT_FAILURE;
    }
    double first = median(contenders[0].rates, STREAM_ROUNDS);
    for (size_t i = 0; i < count; i++) {
        double rate = median(contenders[i].rates, STREAM_ROUNDS);
        spoor_info info = sp_bench_info(contenders[i].store);
        begin_append_line(bench, "streams", events * STREAM_ROUNDS, &contenders[i].watch);
        sp_bench_add_number(bench, "events_per_s_median", rate);
        sp_bench_add_u64(bench, "outstanding", outstanding[0]);
        sp_bench_add_number(bench, "ratio_to_first", rate / first);
        sp_bench_add_number(bench, "fill_seconds", contenders[i].fill_seconds);
        sp_bench_add_memory(bench);
        sp_bench_add_info(bench, &info);
        sp_bench_end(bench);
    }
    for (size_t i = 0; i < count; i++) {
        spoor_close(contenders[i].store);
        sp_workload_free(contenders[i].workload);
    }
    return SP_EXIT_OK;
}

int sp_cmd_bench_streams(struct sp_cli *cli) {
    return sp_bench_run(cli, NULL, bench_streams);
}
