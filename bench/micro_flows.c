/*
 * What flows cost on the loop thread, with the disk: steps of sagas that a worker in the same
 * process answers as soon as their commands are durable, opening with many running sagas, and
 * events that come at their time. Run alone; a folder for the store is made and removed.
 *
 * usage: micro_flows [sagas [at once [delayed events]]]
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/bus.h"
#include "engine/engine_ops.h"
#include "engine/flows.h"
#include "flow/flow.h"
#include "flow/saga.h"
#include "os/fs.h"

enum { QUEUE = 1 << 16, ID_BYTES = 96, RUNNING = 10000, STEPS = 3 };

static const char DEFINITION[] = "{\"saga\":\"bench\",\"steps\":["
                                 "{\"name\":\"a\",\"action\":\"work.a\",\"compensate\":\"undo.a\"},"
                                 "{\"name\":\"b\",\"action\":\"work.b\",\"compensate\":\"undo.b\"},"
                                 "{\"name\":\"c\",\"action\":\"work.c\",\"irreversible\":true}]}";

struct command {
    char id[ID_BYTES];
    size_t id_len;
    char type[16];
    size_t type_len;
};

struct bench {
    char folder[64];
    struct sp_fs *fs;
    struct sp_engine *engine;
    struct sp_bus *bus;
    struct command *queue;
    size_t head;
    size_t tail;
    uint64_t completed;
    uint64_t late_sum_us;
    uint32_t late_count;
    uint32_t *late; /* microseconds, of each delayed event */
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Of this thread: on a busy machine it says more than the time that went by. */
static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t wall_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void check(sp_status status, const struct sp_error *error) {
    if (status != SP_OK) {
        fprintf(stderr, "%s: %s\n", sp_status_text(status), error->text);
        exit(1);
    }
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

/* ---- the worker ---- */

static void hear(void *context, const struct sp_event *event) {
    struct bench *bench = context;
    sp_str type = event->attr[SP_ATTR_TYPE];
    sp_str id = event->attr[SP_ATTR_ID];
    if (sp_str_starts_with(type, SP_STR("work.")) && type.len == 6) {
        struct command *to = &bench->queue[bench->tail++ % QUEUE];
        to->id_len = id.len < ID_BYTES ? id.len : ID_BYTES;
        memcpy(to->id, id.ptr, to->id_len);
        to->type_len = type.len;
        memcpy(to->type, type.ptr, type.len);
    } else if (sp_str_eq(type, SP_STR("saga.completed"))) {
        bench->completed++;
    } else if (sp_str_eq(type, SP_STR("late.event"))) {
        uint64_t due_us = strtoull(event->data.ptr, NULL, 10);
        uint64_t seen_us = wall_us();
        bench->late[bench->late_count++] = seen_us > due_us ? (uint32_t)(seen_us - due_us) : 0;
    }
}

static bool answer(struct bench *bench, const struct command *command) {
    char type[32];
    struct sp_bus_added added;
    struct sp_error error;
    int len = snprintf(type, sizeof(type), "%.*s.completed", (int)command->type_len, command->type);
    struct sp_event event = {.data = SP_STR("{\"ok\":true}"), .has_data = true};
    event.attr[SP_ATTR_TYPE] = sp_str_of(type, (size_t)len);
    event.attr[SP_ATTR_SOURCE] = SP_STR("worker");
    event.attr[SP_ATTR_CAUSATION] = sp_str_of(command->id, command->id_len);
    sp_status status =
        sp_bus_append(bench->bus, &event, (uint64_t)SP_CORE_ANY_VERSION, &added, &error);
    if (status != SP_BUSY) {
        check(status, &error);
    }
    return status == SP_OK;
}

static bool start(struct bench *bench) {
    struct sp_engine_saga_started started;
    struct sp_error error;
    const struct sp_engine_saga_start how = {.name = SP_STR("bench"),
                                             .data = SP_STR("{\"order\":4711,\"amount\":12.5}")};
    sp_status status = sp_engine_saga_start(bench->engine, &how, &started, &error);
    if (status != SP_BUSY) {
        check(status, &error);
    }
    return status == SP_OK;
}

/* ---- the store ---- */

static void open_bench(struct bench *bench) {
    struct sp_error error;
    check(sp_fs_posix_open(bench->folder, true, false, &bench->fs, &error), &error);
    struct sp_engine_options options = {
        .fs = bench->fs,
        .clock = sp_clock_system(),
        .create = true,
        .limits = SP_EVENT_LIMITS_DEFAULT,
    };
    check(sp_engine_open(&options, &bench->engine, NULL, &error), &error);
    check(sp_bus_new(bench->engine, &bench->bus, &error), &error);
    sp_bus_listen(bench->bus, hear, bench);
}

static void close_bench(struct bench *bench) {
    sp_bus_free(bench->bus);
    sp_engine_close(bench->engine);
    bench->fs->ops->destroy(bench->fs);
}

static void turn(struct bench *bench) {
    struct sp_error error;
    (void)sp_engine_poll(bench->engine);
    int wait_ms = sp_bus_tick(bench->bus);
    check(sp_engine_state(bench->engine, &error), &error);
    if (wait_ms != 0 && bench->head == bench->tail) {
        sp_engine_wait(bench->engine, wait_ms < 0 || wait_ms > 1 ? 1 : wait_ms);
    }
}

static void answer_all(struct bench *bench) {
    while (bench->head < bench->tail && answer(bench, &bench->queue[bench->head % QUEUE])) {
        bench->head++;
    }
}

static void settle(struct bench *bench) {
    uint64_t gate = sp_bus_gate(bench->bus);
    while (!sp_bus_passed(bench->bus, gate) || sp_engine_flows_wait_ms(bench->engine) == 0) {
        turn(bench);
        gate = sp_bus_gate(bench->bus);
    }
}

/* ---- what is measured ---- */

static void define(struct bench *bench) {
    static struct sp_doc_problems problems;
    struct sp_engine_defined defined;
    struct sp_error error;
    struct sp_doc doc;
    sp_doc_init(&doc);
    sp_doc_problems_init(&problems);
    check(sp_doc_parse_json(&doc, sp_str_from(DEFINITION), &error), &error);
    check(sp_engine_flow_define(bench->engine, SP_FLOW_DEFINES_SAGA, &doc, SP_STR("bench"),
                                &problems, &defined, &error),
          &error);
    sp_doc_fini(&doc);
}

static void run_sagas(struct bench *bench, uint64_t count, uint64_t at_once) {
    uint64_t started = 0;
    uint64_t before_ns = now_ns();
    uint64_t before_cpu_ns = cpu_ns();
    bench->completed = 0;
    while (bench->completed < count) {
        while (started < count && started - bench->completed < at_once && start(bench)) {
            started++;
        }
        answer_all(bench);
        turn(bench);
    }
    double seconds = (double)(now_ns() - before_ns) / 1e9;
    printf("steps of %llu sagas, %llu at once  %10.0f a second\n", (unsigned long long)count,
           (unsigned long long)at_once, (double)(count * STEPS) / seconds);
    printf("the loop's processor time a step    %10.2f us\n",
           (double)(cpu_ns() - before_cpu_ns) / 1e3 / (double)(count * STEPS));
}

static void run_alone(struct bench *bench) {
    enum { ROUNDS = 200 };
    uint64_t before_ns = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t until = bench->completed + 1;
        while (!start(bench)) {
            turn(bench);
        }
        while (bench->completed < until) {
            turn(bench);
            answer_all(bench);
        }
    }
    printf("one saga alone, three steps         %10.2f ms\n",
           (double)(now_ns() - before_ns) / 1e6 / ROUNDS);
}

static void open_with_many(struct bench *bench) {
    struct sp_sagas_stats stats;
    for (int i = 0; i < RUNNING; i++) {
        while (!start(bench)) {
            turn(bench);
        }
    }
    settle(bench);
    sp_sagas_stats(sp_flow_sagas(sp_engine_flow(bench->engine)), &stats);
    printf("memory of a running saga            %10.0f bytes\n",
           (double)stats.memory_bytes / (double)stats.running);
    uint64_t hash = sp_flow_hash(sp_engine_flow(bench->engine));
    close_bench(bench);
    bench->head = bench->tail;
    uint64_t before_ns = now_ns();
    uint64_t before_cpu_ns = cpu_ns();
    open_bench(bench);
    printf("opening with %d running          %10.1f ms, %.1f ms of processor time\n", RUNNING,
           (double)(now_ns() - before_ns) / 1e6, (double)(cpu_ns() - before_cpu_ns) / 1e6);
    if (hash != sp_flow_hash(sp_engine_flow(bench->engine))) {
        fprintf(stderr, "another state\n");
        exit(1);
    }
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void run_delayed(struct bench *bench, uint32_t count) {
    enum { AHEAD_US = 10000000, OVER_US = 10000000 };
    char data[32];
    char at[32];
    bench->late = calloc(count, sizeof(*bench->late));
    uint64_t first_us = wall_us() + AHEAD_US;
    uint64_t before_ns = now_ns();
    for (uint32_t i = 0; i < count; i++) {
        uint64_t due_us = (first_us + (uint64_t)i * OVER_US / count) / 1000 * 1000;
        int data_len = snprintf(data, sizeof(data), "%llu", (unsigned long long)due_us);
        int at_len = snprintf(at, sizeof(at), "%llu", (unsigned long long)(due_us / 1000));
        struct sp_error error;
        struct sp_bus_added added;
        sp_status status = SP_BUSY;
        while (status == SP_BUSY) {
            struct sp_event event = {.data = sp_str_of(data, (size_t)data_len), .has_data = true};
            event.attr[SP_ATTR_TYPE] = SP_STR("late.event");
            event.attr[SP_ATTR_SOURCE] = SP_STR("s");
            event.extensions[event.extension_count++] = (struct sp_extension){
                .name = SP_STR(SP_DELIVER_AT_NAME), .value = sp_str_of(at, (size_t)at_len)};
            status =
                sp_bus_append(bench->bus, &event, (uint64_t)SP_CORE_ANY_VERSION, &added, &error);
            if (status == SP_BUSY || i % 64 == 0) {
                (void)sp_engine_poll(bench->engine);
            }
        }
        check(status, &error);
    }
    printf("%u delayed events accepted     %10.0f a second\n", count,
           count / ((double)(now_ns() - before_ns) / 1e9));
    while (bench->late_count < count) {
        turn(bench);
    }
    qsort(bench->late, count, sizeof(*bench->late), compare);
    printf("they came late by, p50 / p99        %7.2f / %.2f ms\n", bench->late[count / 2] / 1e3,
           bench->late[(uint64_t)count * 99 / 100] / 1e3);
    free(bench->late);
}

int main(int argc, char **argv) {
    struct bench bench = {.folder = "/tmp/spoor-flows-XXXXXX"};
    uint64_t sagas = argc > 1 ? strtoull(argv[1], NULL, 10) : 50000;
    uint64_t at_once = argc > 2 ? strtoull(argv[2], NULL, 10) : 512;
    uint32_t delayed = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 100000;
    bench.queue = calloc(QUEUE, sizeof(*bench.queue));
    if (bench.queue == NULL || mkdtemp(bench.folder) == NULL) {
        perror("micro_flows");
        return 1;
    }
    open_bench(&bench);
    define(&bench);
    run_alone(&bench);
    run_sagas(&bench, sagas, at_once);
    open_with_many(&bench);
    if (delayed > 0) {
        run_delayed(&bench, delayed);
    }
    close_bench(&bench);
    free(bench.queue);
    (void)nftw(bench.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
