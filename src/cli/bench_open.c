/*
 * bench open: how long opening takes after the writer was killed in the middle of its appends.
 *
 * A child process writes until the log is large enough, goes on at full speed for a moment and is
 * killed. Another one opens the store and is measured. What was acknowledged before the kill must
 * be there: that is checked each time, through memory that the processes share.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "cli/bench.h"

enum {
    OUTSTANDING = 1000,
    INFO_PERIOD = 64,         /* loops between two looks at the size */
    SEGMENTS_WAITING_MAX = 2, /* the build waits for the sealing, as a busy store would */
    FULL_SPEED_MS = 700,      /* between the build and the kill */
    POLL_MS = 20,
};

/* Shared by the processes. */
struct shared {
    _Atomic uint64_t acknowledged; /* position */
    _Atomic uint64_t bytes_on_disk;
    _Atomic bool is_built;
    _Atomic bool has_failed;
};

struct writer {
    struct shared *shared;
    spoor *store;
    uint64_t bytes_wanted;
    uint64_t turns;
};

/* Called between turns: tells the parent where the log stands, and lets the sealing keep up. */
static bool watch(void *context, uint64_t last_position) {
    struct writer *writer = context;
    atomic_store(&writer->shared->acknowledged, last_position);
    if (writer->turns++ % INFO_PERIOD != 0 || atomic_load(&writer->shared->is_built)) {
        return false;
    }
    spoor_info info = sp_bench_info(writer->store);
    atomic_store(&writer->shared->bytes_on_disk, info.bytes_on_disk);
    if (info.bytes_on_disk >= writer->bytes_wanted) {
        atomic_store(&writer->shared->is_built, true);
        return false;
    }
    while (info.segments_waiting > SEGMENTS_WAITING_MAX) {
        (void)spoor_turn(writer->store, 0, NULL);
        sp_bench_sleep_ms(POLL_MS);
        info = sp_bench_info(writer->store);
    }
    return false;
}

static int write_until_killed(struct sp_bench *bench, struct shared *shared, uint64_t bytes_wanted,
                              uint64_t seed) {
    struct sp_workload_options options = bench->workload;
    options.seed = seed;
    struct sp_workload *workload = sp_workload_new(&options);
    struct writer writer = {
        .shared = shared,
        .store = sp_bench_open(bench, "log", SPOOR_CREATE),
        .bytes_wanted = bytes_wanted,
    };
    sp_require(workload != NULL);
    if (writer.store != NULL) {
        (void)sp_bench_append(writer.store, workload, UINT64_MAX, OUTSTANDING, NULL, watch,
                              &writer);
    }
    atomic_store(&shared->has_failed, true);
    return SP_EXIT_FAILURE;
}

/* Forks; the child dies with its parent. */
static pid_t fork_child(struct sp_bench *bench) {
    sp_out_flush(&bench->cli->out); /* or the child would write it again */
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    return child;
}

/* Lets a writer bring the log to its size and kills it. */
static bool write_and_kill(struct sp_bench *bench, struct shared *shared, uint64_t bytes_wanted,
                           uint64_t seed) {
    atomic_store(&shared->is_built, false);
    pid_t child = fork_child(bench);
    if (child == 0) {
        _exit(write_until_killed(bench, shared, bytes_wanted, seed));
    }
    while (child > 0 && !atomic_load(&shared->is_built) && !atomic_load(&shared->has_failed)) {
        sp_bench_sleep_ms(POLL_MS);
    }
    sp_bench_sleep_ms(FULL_SPEED_MS);
    if (child > 0) {
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
    }
    return child > 0 && !atomic_load(&shared->has_failed);
}

/* In a process of its own, whose memory is then that of the store. */
static int open_and_measure(struct sp_bench *bench, const struct shared *shared,
                            const char *cache) {
    struct sp_bench_memory before = sp_bench_memory();
    struct sp_bench_watch watch = sp_bench_start();
    spoor *store = sp_bench_open(bench, "log", 0);
    sp_bench_stop(&watch);
    if (store == NULL) {
        return SP_EXIT_FAILURE;
    }
    struct sp_bench_memory memory = sp_bench_memory();
    spoor_info info = sp_bench_info(store);
    uint64_t acknowledged = atomic_load(&shared->acknowledged);
    sp_bench_begin(bench, "open");
    sp_bench_add_text(bench, "cache", cache);
    sp_bench_add_number(bench, "seconds", watch.seconds);
    sp_bench_add_number(bench, "cpu_seconds", watch.cpu_seconds);
    sp_bench_add_number(bench, "rss_before_mib", (double)before.resident_bytes / 1048576.0);
    sp_bench_add_number(bench, "rss_mib", (double)memory.resident_bytes / 1048576.0);
    sp_bench_add_number(bench, "rss_max_mib", (double)memory.resident_bytes_max / 1048576.0);
    sp_bench_add_u64(bench, "acknowledged", acknowledged);
    sp_bench_add_u64(bench, "lost",
                     acknowledged > info.last_position ? acknowledged - info.last_position : 0);
    sp_bench_add_u64(bench, "cut_bytes", info.cut_bytes);
    sp_bench_add_info(bench, &info);
    sp_bench_end(bench);
    spoor_close(store);
    return acknowledged > info.last_position ? SP_EXIT_DAMAGED : SP_EXIT_OK;
}

static int open_in_child(struct sp_bench *bench, const struct shared *shared, const char *cache) {
    pid_t child = fork_child(bench);
    if (child == 0) {
        int code = open_and_measure(bench, shared, cache);
        sp_out_flush(&bench->cli->out);
        _exit(code);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
        return SP_EXIT_FAILURE;
    }
    return WEXITSTATUS(status);
}

static int bench_open(struct sp_bench *bench) {
    const struct sp_args *args = &bench->cli->args;
    uint64_t bytes = sp_args_u64(args, SP_FLAG_BYTES, UINT64_C(10) << 30);
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sp_require(shared != MAP_FAILED);
    int code = SP_EXIT_OK;
    static const char *const CACHES[] = {"warm", "cold"};
    for (unsigned i = 0; i < 2 && code == SP_EXIT_OK; i++) {
        if (!write_and_kill(bench, shared, bytes, bench->workload.seed + i)) {
            return SP_EXIT_FAILURE;
        }
        if (i == 1) {
            sp_bench_drop_cache(bench, "log");
        }
        code = open_in_child(bench, shared, CACHES[i]);
    }
    return code;
}

int sp_cmd_bench_open(struct sp_cli *cli) {
    bool keeps = sp_args_has(&cli->args, SP_FLAG_KEEP);
    return sp_bench_run(cli, keeps ? "open" : NULL, bench_open);
}
