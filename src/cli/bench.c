#include "cli/bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/fs.h"
#include "os/os.h"
#include "os/probe.h"

enum {
    FOLDER_DEPTH_MAX = 4, /* of folders in a store */
    DEVICE_WRITES = 300,
    SEAL_WAIT_SECONDS_MAX = 300,
    SEAL_POLL_MS = 5,
    SIZE_DEFAULT = 300,
};

/* ---- folders --------------------------------------------------------------------------------- */

typedef void each_file_fn(int folder_fd, const char *name, bool is_folder);

/* Calls for every file beneath an open folder, for a folder after its content. Closes fd. */
static void walk(int fd, unsigned depth, each_file_fn *each) {
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        (void)close(fd);
        return;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
            continue;
        }
        int inner = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0 && depth > 0) {
            walk(inner, depth - 1, each);
        } else if (inner >= 0) {
            (void)close(inner);
        }
        each(fd, name, inner >= 0);
    }
    (void)closedir(folder);
}

static void walk_path(const char *path, each_file_fn *each) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        walk(fd, FOLDER_DEPTH_MAX, each);
    }
}

static void remove_file(int folder_fd, const char *name, bool is_folder) {
    (void)unlinkat(folder_fd, name, is_folder ? AT_REMOVEDIR : 0);
}

static void remove_folder(const char *path) {
    walk_path(path, remove_file);
    (void)rmdir(path);
}

static void forget_file(int folder_fd, const char *name, bool is_folder) {
    int fd = is_folder ? -1 : openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fdatasync(fd); /* only clean pages can be forgotten */
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)close(fd);
    }
}

void sp_bench_path(const struct sp_bench *bench, const char *name, char path[SP_BENCH_PATH_SIZE]) {
    sp_require(strlen(name) <= SP_BENCH_NAME_SIZE);
    size_t len = strlen(bench->folder);
    sp_invariant(len + SP_BENCH_NAME_SIZE + 2 <= SP_BENCH_PATH_SIZE);
    memcpy(path, bench->folder, len);
    path[len] = '/';
    memcpy(path + len + 1, name, strlen(name) + 1);
}

void sp_bench_remove(const struct sp_bench *bench, const char *name) {
    char path[SP_BENCH_PATH_SIZE];
    sp_bench_path(bench, name, path);
    remove_folder(path);
}

void sp_bench_drop_cache(const struct sp_bench *bench, const char *name) {
    char path[SP_BENCH_PATH_SIZE];
    sp_bench_path(bench, name, path);
    walk_path(path, forget_file);
}

/* ---- the child ------------------------------------------------------------------------------- */

static bool read_options(struct sp_bench *bench) {
    const struct sp_args *args = &bench->cli->args;
    const char *ids = args->values[SP_FLAG_IDS];
    if (ids != NULL && strcmp(ids, "store") != 0 && strcmp(ids, "uuid4") != 0) {
        return false;
    }
    uint64_t bytes = sp_args_u64(args, SP_FLAG_SIZE, SIZE_DEFAULT);
    bench->workload = (struct sp_workload_options){
        .seed = sp_args_u64(args, SP_FLAG_SEED, 1),
        .event_bytes = bytes > SP_WORKLOAD_BYTES_MAX ? SP_WORKLOAD_BYTES_MAX : (uint32_t)bytes,
        .makes_ids = ids != NULL && strcmp(ids, "uuid4") == 0,
    };
    if (bench->workload.event_bytes < SP_WORKLOAD_BYTES_MIN) {
        bench->workload.event_bytes = SP_WORKLOAD_BYTES_MIN;
    }
    uint64_t streams[SP_ARGS_NUMBERS_MAX];
    if (sp_args_list(args, SP_FLAG_STREAMS, streams) > 0) {
        bench->workload.stream_count = streams[0];
    }
    bench->segment_bytes = sp_args_u64(args, SP_FLAG_SEGMENT_BYTES, 0);
    return true;
}

static bool make_folder(struct sp_bench *bench, const char *keep_name) {
    const char *data = bench->cli->folder;
    size_t len = strlen(data);
    while (len > 1 && data[len - 1] == '/') {
        len--;
    }
    int size = snprintf(bench->folder, sizeof(bench->folder), "%.*s.bench-%s", (int)len, data,
                        keep_name != NULL ? keep_name : "XXXXXX");
    if (size < 0 || (size_t)size + SP_BENCH_NAME_SIZE + 2 > sizeof(bench->folder)) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (keep_name != NULL) {
        return mkdir(bench->folder, 0777) == 0 || errno == EEXIST;
    }
    return mkdtemp(bench->folder) != NULL;
}

/* Waits for the child; a signal to stop goes to the child first. Returns its exit code. */
static int await_child(pid_t child, const sigset_t *watched) {
    for (;;) {
        int number = sigwaitinfo(watched, NULL);
        if (number >= 0 && number != SIGCHLD) {
            (void)kill(child, SIGKILL);
        }
        int status = 0;
        if (waitpid(child, &status, WNOHANG) != child) {
            continue;
        }
        if (WIFEXITED(status)) {
            return WEXITSTATUS(status);
        }
        if (number == SIGCHLD || number < 0) {
            sp_cli_complain("the benchmark was ended by signal %d", WTERMSIG(status));
        }
        return SP_EXIT_INTERRUPTED;
    }
}

static int run_child(struct sp_bench *bench, sp_bench_fn *measure) {
    sigset_t watched;
    sigset_t before;
    (void)sigemptyset(&watched);
    (void)sigaddset(&watched, SIGCHLD);
    (void)sigaddset(&watched, SIGINT);
    (void)sigaddset(&watched, SIGTERM);
    (void)sigaddset(&watched, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &watched, &before);
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        int code = measure(bench);
        sp_out_flush(&bench->cli->out);
        _exit(code);
    }
    int code = SP_EXIT_FAILURE;
    if (child < 0) {
        sp_cli_complain("no process for the benchmark");
    } else {
        code = await_child(child, &watched);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return code;
}

int sp_bench_run(struct sp_cli *cli, const char *keep_name, sp_bench_fn *measure) {
    struct sp_bench bench = {.cli = cli};
    if (!read_options(&bench)) {
        return sp_cli_usage(cli, "--ids takes store or uuid4");
    }
    if (!make_folder(&bench, keep_name)) {
        char text[128];
        sp_cli_complain("%s: %s", bench.folder, strerror_r(errno, text, sizeof(text)));
        return SP_EXIT_FAILURE;
    }
    int code = run_child(&bench, measure);
    if (keep_name == NULL) {
        remove_folder(bench.folder);
    }
    return code;
}

/* ---- stores ---------------------------------------------------------------------------------- */

spoor *sp_bench_open(const struct sp_bench *bench, const char *name, unsigned flags) {
    char path[SP_BENCH_PATH_SIZE];
    sp_bench_path(bench, name, path);
    spoor_options options;
    spoor_options_init(&options);
    options.flags = flags;
    if (bench->segment_bytes != 0) {
        options.segment_bytes_max = bench->segment_bytes;
    }
    spoor *store = NULL;
    spoor_error error = {.status = SPOOR_OK};
    if (spoor_open(path, &options, &store, &error) != SPOOR_OK) {
        (void)sp_cli_fail(&error);
        return NULL;
    }
    return store;
}

spoor_info sp_bench_info(spoor *store) {
    spoor_info info = {.size = sizeof(info)};
    spoor_error error = {.status = SPOOR_OK};
    if (spoor_get_info(store, &info, &error) != SPOOR_OK) {
        (void)sp_cli_fail(&error);
    }
    return info;
}

double sp_bench_await_sealed(spoor *store) {
    uint64_t before_ns = sp_bench_now_ns();
    while (sp_bench_info(store).segments_waiting > 0 &&
           sp_bench_seconds_since(before_ns) < SEAL_WAIT_SECONDS_MAX) {
        spoor_status status = spoor_turn(store, 0, NULL);
        if (status != SPOOR_OK && status != SPOOR_TIMEOUT) {
            break;
        }
        sp_bench_sleep_ms(SEAL_POLL_MS); /* sealing takes what others leave: leave it all */
    }
    return sp_bench_seconds_since(before_ns);
}

/* ---- appending ------------------------------------------------------------------------------- */

struct op {
    struct loop *loop;
    struct op *next; /* of those free */
    uint64_t started_ns;
    uint64_t ticket;
};

struct loop {
    spoor *store;
    struct sp_workload *workload;
    struct sp_histogram *histogram;
    struct op *free;
    const spoor_event *event; /* made, and not taken yet for want of room */
    uint64_t ticket;
    uint64_t event_started_ns;
    uint64_t now_ns; /* read once per round of callbacks; 0: not yet in this one */
    uint64_t done;
    uint64_t last_position;
    spoor_error failure;
};

/* The time; the calls of one round are so near each other that one reading does for all. */
static uint64_t round_ns(struct loop *loop) {
    if (loop->now_ns == 0) {
        loop->now_ns = sp_bench_now_ns();
    }
    return loop->now_ns;
}

static void appended(void *context, spoor_status status, const spoor_appended *appended,
                     size_t count, const spoor_error *error) {
    struct op *op = context;
    struct loop *loop = op->loop;
    sp_require(count == 1);
    op->next = loop->free;
    loop->free = op;
    loop->done++;
    if (status != SPOOR_OK) {
        loop->failure = *error;
        loop->failure.status = status;
        return;
    }
    if (loop->histogram != NULL) {
        sp_histogram_add(loop->histogram, round_ns(loop) - op->started_ns);
    }
    loop->last_position = appended->position;
    sp_workload_acknowledge(loop->workload, op->ticket, appended->id);
}

static void append_one(struct loop *loop) {
    uint64_t ticket = 0;
    spoor_appended appended = {.position = 0};
    const spoor_event *event = sp_workload_next(loop->workload, &ticket);
    uint64_t started_ns = sp_bench_now_ns();
    if (spoor_append(loop->store, event, SPOOR_ANY_VERSION, &appended, &loop->failure) ==
        SPOOR_OK) {
        if (loop->histogram != NULL) {
            sp_histogram_add(loop->histogram, sp_bench_now_ns() - started_ns);
        }
        loop->last_position = appended.position;
        sp_workload_acknowledge(loop->workload, ticket, appended.id);
    }
    loop->done++;
}

/* Submits one event with a free op. False where there is no room for it yet, or on a failure. */
static bool submit_one(struct loop *loop) {
    struct op *op = loop->free;
    if (loop->event == NULL) {
        loop->event = sp_workload_next(loop->workload, &loop->ticket);
        loop->event_started_ns = round_ns(loop);
    }
    op->ticket = loop->ticket;
    op->started_ns = loop->event_started_ns; /* waiting for room counts */
    loop->free = op->next;
    spoor_error error = {.status = SPOOR_OK};
    spoor_status status = spoor_submit(loop->store, loop->event, 1, NULL, 0, appended, op, &error);
    if (status == SPOOR_OK) {
        loop->event = NULL;
        return true;
    }
    op->next = loop->free;
    loop->free = op;
    if (status != SPOOR_BUSY) {
        loop->failure = error;
        loop->failure.status = status;
    }
    return false;
}

/* Submits with every free op; then lets the store work until at least one is done. */
static void submit_and_turn(struct loop *loop, uint64_t *submitted, uint64_t count) {
    loop->now_ns = 0;
    while (loop->free != NULL && *submitted < count && submit_one(loop)) {
        ++*submitted;
    }
    if (loop->failure.status != SPOOR_OK) {
        return;
    }
    spoor_error error = {.status = SPOOR_OK};
    loop->now_ns = 0;
    spoor_status status = spoor_turn(loop->store, -1, &error);
    if (status != SPOOR_OK && status != SPOOR_TIMEOUT) {
        loop->failure = error;
        loop->failure.status = status;
    }
}

static bool run_loop(struct loop *loop, uint64_t count, uint32_t outstanding_max,
                     sp_bench_over_fn *is_over, void *context) {
    uint64_t submitted = 0;
    while (loop->done < count && loop->failure.status == SPOOR_OK) {
        if (outstanding_max == 1) {
            append_one(loop);
        } else {
            submit_and_turn(loop, &submitted, count);
        }
        if (is_over != NULL && submitted < count && is_over(context, loop->last_position)) {
            count = outstanding_max == 1 ? loop->done : submitted;
        }
    }
    if (loop->failure.status != SPOOR_OK) {
        (void)sp_cli_fail(&loop->failure);
        return false;
    }
    return true;
}

bool sp_bench_append(spoor *store, struct sp_workload *workload, uint64_t count,
                     uint32_t outstanding_max, struct sp_histogram *histogram,
                     sp_bench_over_fn *is_over, void *context) {
    sp_require(outstanding_max > 0);
    struct loop loop = {.store = store, .workload = workload, .histogram = histogram};
    struct op *ops = calloc(outstanding_max, sizeof(*ops));
    sp_require(ops != NULL);
    for (uint32_t i = 0; i < outstanding_max; i++) {
        ops[i] = (struct op){.loop = &loop, .next = loop.free};
        loop.free = &ops[i];
    }
    bool fine = run_loop(&loop, count, outstanding_max, is_over, context);
    if (fine) {
        free(ops); /* after a failure the store may still call back with them */
    }
    return fine;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static uint64_t read_clock_ns(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t sp_bench_now_ns(void) {
    return read_clock_ns(CLOCK_MONOTONIC);
}

void sp_bench_sleep_ms(unsigned ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

struct sp_bench_watch sp_bench_start(void) {
    return (struct sp_bench_watch){
        .started_ns = sp_bench_now_ns(),
        .started_cpu_ns = read_clock_ns(CLOCK_PROCESS_CPUTIME_ID),
    };
}

void sp_bench_stop(struct sp_bench_watch *watch) {
    uint64_t cpu_ns = read_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - watch->started_cpu_ns;
    watch->seconds += sp_bench_seconds_since(watch->started_ns);
    watch->cpu_seconds += (double)cpu_ns / 1e9;
}

double sp_bench_seconds_since(uint64_t before_ns) {
    return (double)(sp_bench_now_ns() - before_ns) / 1e9;
}

static uint64_t memory_line(const char *text, const char *name) {
    const char *line = strstr(text, name);
    uint64_t kib = 0;
    if (line != NULL && sscanf(line + strlen(name), "%" SCNu64, &kib) != 1) {
        kib = 0;
    }
    return kib * 1024;
}

struct sp_bench_memory sp_bench_memory(void) {
    char text[4096] = "";
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t len = read(fd, text, sizeof(text) - 1);
        text[len > 0 ? len : 0] = '\0';
        (void)close(fd);
    }
    return (struct sp_bench_memory){
        .resident_bytes = memory_line(text, "VmRSS:"),
        .resident_bytes_max = memory_line(text, "VmHWM:"),
    };
}

struct sp_bench_device sp_bench_device(const struct sp_bench *bench) {
    struct sp_error error;
    struct sp_fs *fs = NULL;
    struct sp_clock clock = sp_clock_system();
    struct sp_device_sync_latency latency = {.p50_us = 0};
    sp_error_clear(&error);
    sp_status status = sp_fs_posix_open(bench->folder, false, false, &fs, &error);
    if (status == SP_OK) {
        status = sp_device_sync_latency(fs, &clock, "", DEVICE_WRITES, &latency, &error);
        fs->ops->destroy(fs);
    }
    if (status != SP_OK) {
        sp_cli_complain("measure the device: %s", error.text);
    }
    return (struct sp_bench_device){
        .p50_us = latency.p50_us,
        .p99_us = latency.p99_us,
        .per_second = latency.writes_per_second,
    };
}

/* ---- one line of JSON ------------------------------------------------------------------------ */

void sp_bench_begin(struct sp_bench *bench, const char *name) {
    sp_out_print(&bench->cli->out, "{");
    sp_bench_add_text(bench, "bench", name);
}

void sp_bench_add_u64(struct sp_bench *bench, const char *name, uint64_t value) {
    sp_out_json_u64(&bench->cli->out, name, value);
}

void sp_bench_add_number(struct sp_bench *bench, const char *name, double value) {
    sp_out_print(&bench->cli->out, ",\"%s\":%.*f", name,
                 value < 10     ? 4
                 : value < 1000 ? 2
                                : 0,
                 value);
}

void sp_bench_add_text(struct sp_bench *bench, const char *name, const char *value) {
    sp_out_json_text(&bench->cli->out, name, sp_str_from(value));
}

void sp_bench_add_rate(struct sp_bench *bench, uint64_t events,
                       const struct sp_bench_watch *watch) {
    sp_bench_add_u64(bench, "events", events);
    sp_bench_add_number(bench, "seconds", watch->seconds);
    sp_bench_add_number(bench, "events_per_s", (double)events / watch->seconds);
    sp_bench_add_number(bench, "cpu_seconds", watch->cpu_seconds);
    sp_bench_add_u64(bench, "size", bench->workload.event_bytes);
}

void sp_bench_add_histogram(struct sp_bench *bench, const struct sp_histogram *histogram) {
    sp_bench_add_number(bench, "p50_us", sp_histogram_us(histogram, 0.50));
    sp_bench_add_number(bench, "p99_us", sp_histogram_us(histogram, 0.99));
    sp_bench_add_number(bench, "max_us", (double)histogram->max_ns / 1000.0);
}

void sp_bench_add_memory(struct sp_bench *bench) {
    struct sp_bench_memory memory = sp_bench_memory();
    sp_bench_add_number(bench, "rss_mib", (double)memory.resident_bytes / 1048576.0);
    sp_bench_add_number(bench, "rss_max_mib", (double)memory.resident_bytes_max / 1048576.0);
}

void sp_bench_add_info(struct sp_bench *bench, const spoor_info *info) {
    sp_bench_add_u64(bench, "position", info->last_position);
    sp_bench_add_u64(bench, "streams", info->stream_count);
    sp_bench_add_u64(bench, "bytes_on_disk", info->bytes_on_disk);
    sp_bench_add_u64(bench, "segments_sealed", info->segments_sealed);
    sp_bench_add_u64(bench, "segments_waiting", info->segments_waiting);
    sp_bench_add_u64(bench, "events_sealed", info->events_sealed);
    sp_bench_add_u64(bench, "bytes_sealed", info->bytes_sealed);
    if (info->events_sealed > 0) {
        sp_bench_add_number(bench, "bytes_per_sealed_event",
                            (double)info->bytes_sealed / (double)info->events_sealed);
    }
}

void sp_bench_end(struct sp_bench *bench) {
    sp_out_print(&bench->cli->out, "}\n");
    sp_out_flush(&bench->cli->out);
}
