/*
 * What calls of the bus cost on the loop thread, the disk left out: adding, reading a hot tail,
 * handing out and acknowledging. Run alone; a folder for the store is made and removed.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/bus_groups.h"
#include "engine/engine_ops.h"
#include "os/fs.h"

enum { EVENTS = 400000, STREAMS = 1000, TURN = 500, COUNT = 100, ROUNDS = 2000 };

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
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

static struct sp_key key_of(struct sp_bus *bus, const char *text) {
    struct sp_key key;
    struct sp_error error;
    check(sp_key_parse(bus, sp_str_from(text), &key, &error), &error);
    return key;
}

static void drain(struct sp_engine *engine) {
    while (sp_engine_must_wait(engine)) {
        (void)sp_engine_poll(engine);
        sp_engine_wait(engine, 10);
    }
}

/* Adds; returns nanoseconds per event, turns left out. `streams` 1: one key. */
static double add_many(struct sp_engine *engine, struct sp_bus *bus, uint32_t count,
                       uint32_t streams, bool trims) {
    static char data[101];
    memset(data, 'x', 100);
    uint64_t spent = 0;
    struct sp_error error;
    struct sp_bus_added added;
    char text[32];
    for (uint32_t i = 0; i < count; i += TURN) {
        uint64_t start = now_ns();
        for (uint32_t k = i; k < i + TURN; k++) {
            (void)snprintf(text, sizeof(text), "s:%u", k % streams);
            struct sp_key key = key_of(bus, text);
            struct sp_event event = {
                .data = sp_str_of(data, 100), .has_data = true, .data_is_json = false};
            event.attr[SP_ATTR_TYPE] = SP_STR("redis.entry");
            event.attr[SP_ATTR_SOURCE] = SP_STR("bench");
            event.attr[SP_ATTR_CONTENTTYPE] = SP_STR("text/plain");
            struct sp_bus_add add = {.key = &key, .event = &event};
            if (trims) {
                add.trim = (struct sp_bus_trim){.kind = SP_TRIM_LENGTH,
                                                .approximate = true,
                                                .length = 1000,
                                                .limit = UINT64_MAX};
            }
            check(sp_bus_add(bus, &add, &added, &error), &error);
        }
        spent += now_ns() - start;
        drain(engine);
    }
    return (double)spent / count;
}

static bool take(void *context, const struct sp_event *event, struct sp_entry_id id) {
    *(struct sp_entry_id *)context = id;
    return event->position != 0;
}

/* Reads on in a stream, a hundred entries at a time; microseconds per read. */
static double read_on(struct sp_bus *bus, const char *text, uint32_t rounds, bool tail) {
    struct sp_key key = key_of(bus, text);
    struct sp_error error;
    struct sp_entry_id last = SP_ENTRY_ID_NONE;
    struct sp_entry_id from = SP_ENTRY_ID_NONE;
    uint64_t spent = 0;
    if (tail) {
        struct sp_bus_range back = {
            .key = &key, .until = SP_ENTRY_ID_MAX, .reverse = true, .count = COUNT};
        check(sp_bus_read(bus, &back, take, &from, &error), &error);
    }
    for (uint32_t i = 0; i < rounds; i++) {
        struct sp_bus_range range = {.key = &key,
                                     .from = tail ? from : sp_entry_id_next(last),
                                     .until = SP_ENTRY_ID_MAX,
                                     .count = COUNT};
        uint64_t start = now_ns();
        check(sp_bus_read(bus, &range, take, &last, &error), &error);
        spent += now_ns() - start;
    }
    return (double)spent / rounds / 1000;
}

struct given {
    struct sp_entry_id ids[COUNT];
    uint32_t count;
};

static void keep(void *context, const struct sp_event *event, struct sp_entry_id id,
                 uint32_t count) {
    struct given *given = context;
    (void)event;
    (void)count;
    given->ids[given->count++] = id;
}

/*
 * Receives a hundred and acknowledges them; microseconds for both. `fresh`: those that were just
 * added, else from the begin of the log on.
 */
static double work(struct sp_engine *engine, struct sp_bus *bus, const char *text,
                   const struct sp_group_policy *policy, bool fresh) {
    struct sp_key key = key_of(bus, text);
    struct sp_error error;
    struct sp_bus_start start = {.at_end = fresh};
    uint64_t spent = 0;
    uint32_t rounds = 0;
    bool there;
    check(sp_bus_group_make(bus, &key, SP_STR("g"), &start, true, &error), &error);
    if (policy != NULL) {
        check(sp_bus_group_policy(bus, &key, SP_STR("g"), policy, &error), &error);
    }
    drain(engine);
    struct given given;
    do {
        struct sp_bus_receive receive = {
            .key = &key, .group = SP_STR("g"), .consumer = SP_STR("c"), .count = COUNT};
        uint32_t count;
        uint64_t done;
        if (fresh) {
            (void)add_many(engine, bus, TURN, TURN / COUNT, false);
        }
        given.count = 0;
        uint64_t begin = now_ns();
        check(sp_bus_receive(bus, &receive, keep, &given, &count, &error), &error);
        check(sp_bus_ack(bus, &key, SP_STR("g"), given.ids, given.count, &done, &error), &error);
        spent += now_ns() - begin;
        rounds++;
        drain(engine);
    } while (given.count == COUNT && rounds < ROUNDS);
    check(sp_bus_group_drop(bus, &key, SP_STR("g"), &there, &error), &error);
    drain(engine);
    return (double)spent / rounds / 1000;
}

int main(void) {
    char folder[] = "/tmp/spoor-micro-bus-XXXXXX";
    struct sp_error error;
    struct sp_engine *engine;
    struct sp_bus *bus;
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    struct sp_engine_options options = {
        .clock = sp_clock_system(), .create = true, .limits = SP_EVENT_LIMITS_DEFAULT};
    check(sp_fs_posix_open(folder, true, false, &options.fs, &error), &error);
    check(sp_engine_open(&options, &engine, NULL, &error), &error);
    check(sp_bus_new(engine, &bus, &error), &error);
    printf("add, one stream            %8.0f ns\n", add_many(engine, bus, EVENTS, 1, false));
    printf("add, a thousand streams    %8.0f ns\n", add_many(engine, bus, EVENTS, STREAMS, false));
    printf("add, MAXLEN ~ 1000         %8.0f ns\n", add_many(engine, bus, EVENTS, 10, true));
    (void)add_many(engine, bus, EVENTS, 1, false);
    printf("read 100, the same again   %8.2f us\n", read_on(bus, "s:0", ROUNDS, true));
    printf("read 100, on and on        %8.2f us\n", read_on(bus, "s:0", ROUNDS, false));
    printf("read 100, one of a thousand%8.2f us\n", read_on(bus, "s:7", ROUNDS, true));
    printf("read 100, $all             %8.2f us\n", read_on(bus, "$all", ROUNDS, false));
    printf("receive and ack 100        %8.2f us\n", work(engine, bus, "s:0", NULL, true));
    printf("the same, of old ones      %8.2f us\n", work(engine, bus, "s:0", NULL, false));
    struct sp_group_policy policy = sp_group_policy_default();
    printf("the same, with a policy    %8.2f us\n", work(engine, bus, "s:0", &policy, true));
    policy.order_by = SP_GROUP_ORDER_STREAM;
    printf("the same, in order         %8.2f us\n", work(engine, bus, "s:0", &policy, true));
    printf("the same, of $all          %8.2f us\n", work(engine, bus, "$all", NULL, false));
    sp_bus_free(bus);
    sp_engine_close(engine);
    options.fs->ops->destroy(options.fs);
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
