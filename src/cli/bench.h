/*
 * What the benchmarks share: a folder of their own that is always removed, one line of JSON per
 * measurement, a store filled with events, what the process and the device have to say. loop-thread
 *
 * A benchmark runs in a child process: its parent waits and removes the folder, whatever happens to
 * the child, so that no crash or Ctrl-C leaves gigabytes behind.
 */
#ifndef SP_CLI_BENCH_H
#define SP_CLI_BENCH_H

#include "base/status.h"
#include "cli/cli.h"
#include "cli/histogram.h"
#include "cli/workload.h"
#include "spoor.h"

enum { SP_BENCH_PATH_SIZE = 1024, SP_BENCH_NAME_SIZE = 40 };

struct sp_bench {
    struct sp_cli *cli;
    struct sp_workload_options workload;
    uint64_t segment_bytes;          /* 0: the store's default */
    char folder[SP_BENCH_PATH_SIZE]; /* of this benchmark alone */
};

/* A measurement. Returns the exit code. */
typedef int sp_bench_fn(struct sp_bench *bench);

/*
 * Runs `measure` in a child process with a folder beside the data folder. `keep_name` NULL: the
 * folder is new and is removed; else it is `<data>.bench-<keep_name>` and stays.
 */
int sp_bench_run(struct sp_cli *cli, const char *keep_name, sp_bench_fn *measure);

/* ---- stores ---------------------------------------------------------------------------------- */

/* Joins the bench's folder and a name. */
void sp_bench_path(const struct sp_bench *bench, const char *name, char path[SP_BENCH_PATH_SIZE]);

/* Opens the store of this name in the bench's folder. Says what went wrong; NULL then. */
spoor *sp_bench_open(const struct sp_bench *bench, const char *name, unsigned flags);

/* Removes a store of the bench's folder. */
void sp_bench_remove(const struct sp_bench *bench, const char *name);

/* Makes the page cache forget the files of a store. */
void sp_bench_drop_cache(const struct sp_bench *bench, const char *name);

/*
 * Waits until no full segment waits to be sealed, some minutes at most. Returns the seconds it
 * took.
 */
double sp_bench_await_sealed(spoor *store);

spoor_info sp_bench_info(spoor *store);

/*
 * Appends `count` events in a closed loop with so many outstanding, each timed into the histogram
 * (NULL: not). One outstanding goes through spoor_append. `is_over` (may be NULL) is asked now and
 * then whether to stop before. Returns false, after saying why, where an append failed.
 */
typedef bool sp_bench_over_fn(void *context, uint64_t last_position);
bool sp_bench_append(spoor *store, struct sp_workload *workload, uint64_t count,
                     uint32_t outstanding_max, struct sp_histogram *histogram,
                     sp_bench_over_fn *is_over, void *context);

/* ---- measuring ------------------------------------------------------------------------------- */

uint64_t sp_bench_now_ns(void);

/* Seconds since sp_bench_now_ns gave `before_ns`. */
double sp_bench_seconds_since(uint64_t before_ns);

void sp_bench_sleep_ms(unsigned ms);

/* What a measurement took: time, and processor time of all threads of the process. */
struct sp_bench_watch {
    uint64_t started_ns;
    uint64_t started_cpu_ns;
    double seconds;
    double cpu_seconds; /* tells on a busy machine, where the other does not */
};
struct sp_bench_watch sp_bench_start(void);
/* Adds what went by since the start to seconds and cpu_seconds. */
void sp_bench_stop(struct sp_bench_watch *watch);

/* Memory of this process in use now, and at most so far, in bytes. */
struct sp_bench_memory {
    uint64_t resident_bytes;
    uint64_t resident_bytes_max;
};
struct sp_bench_memory sp_bench_memory(void);

/* What the device does: 4 KiB written and synced, one after another, into a file that is there. */
struct sp_bench_device {
    double p50_us;
    double p99_us;
    double per_second;
};
struct sp_bench_device sp_bench_device(const struct sp_bench *bench);

/* ---- one line of JSON ------------------------------------------------------------------------ */

/* Begins a line: `{"bench":"append"`. */
void sp_bench_begin(struct sp_bench *bench, const char *name);
void sp_bench_add_u64(struct sp_bench *bench, const char *name, uint64_t value);
void sp_bench_add_number(struct sp_bench *bench, const char *name, double value);
void sp_bench_add_text(struct sp_bench *bench, const char *name, const char *value);
/* `events`, `seconds`, `events_per_s`, `cpu_seconds`, `size`. */
void sp_bench_add_rate(struct sp_bench *bench, uint64_t events, const struct sp_bench_watch *watch);
/* `p50_us`, `p99_us`, `max_us`. */
void sp_bench_add_histogram(struct sp_bench *bench, const struct sp_histogram *histogram);
/* `rss_mib`, `rss_max_mib`. */
void sp_bench_add_memory(struct sp_bench *bench);
/* What is on disk: `bytes_on_disk`, `bytes_per_sealed_event` and more. */
void sp_bench_add_info(struct sp_bench *bench, const spoor_info *info);
/* Ends the line and writes it. */
void sp_bench_end(struct sp_bench *bench);

#endif
