/*
 * What timers, delayed events and joins cost by themselves, in one thread: folding, no log, no
 * programs. Processor time, since nothing here waits. Prints one JSON line a measure: the best of
 * several repeats, since what disturbs only slows down; of memory, what the allocator gave out,
 * divided by what is held.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/prng.h"
#include "flow/delayed.h"
#include "flow/join.h"
#include "flow/timers.h"

enum { REPEATS = 3, MILLION = 1000000, KEYS = 100000, JOIN_EVENTS = 1000000 };

#define START UINT64_C(1700000000000000)

static struct sp_error error;

static double now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void check(sp_status status, const char *what) {
    if (status != SP_OK) {
        fprintf(stderr, "micro_flow: %s: %s\n", what, sp_status_text(status));
        exit(1);
    }
}

static void report(const char *what, double value, const char *unit) {
    printf("{\"measure\": \"%s\", \"value\": %.1f, \"unit\": \"%s\"}\n", what, value, unit);
}

static size_t held_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static double least(double best, double value) {
    return best == 0 || value < best ? value : best;
}

static void timers(void) {
    double arm_ns = 0;
    double take_ns = 0;
    double bytes = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        struct sp_prng prng = sp_prng_seed(1);
        struct sp_timers timers;
        struct sp_timer out;
        size_t before = held_bytes();
        sp_timers_init(&timers);
        double start = now_ns();
        for (uint32_t i = 0; i < MILLION; i++) {
            struct sp_timer timer = {.at_us = START + sp_prng_below(&prng, 1u << 31), .a = i};
            check(sp_timers_arm(&timers, timer), "arm");
        }
        double armed = now_ns();
        bytes = (double)(held_bytes() - before) / MILLION;
        while (sp_timers_take(&timers, UINT64_MAX - 1, &out)) {
        }
        arm_ns = least(arm_ns, (armed - start) / MILLION);
        take_ns = least(take_ns, (now_ns() - armed) / MILLION);
        sp_timers_fini(&timers);
    }
    report("timer, armed, of a million", arm_ns, "ns");
    report("timer, taken in order, of a million", take_ns, "ns");
    report("timer, memory", bytes, "bytes");
}

/* An event whose data is written anew for each. */
struct maker {
    struct sp_event event;
    char data[128];
    char due[24];
};

static void make_event(struct maker *maker, const char *type, const char *stream) {
    maker->event = (struct sp_event){.has_data = true, .data_is_json = true};
    maker->event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    maker->event.attr[SP_ATTR_STREAM] = sp_str_from(stream);
    maker->event.attr[SP_ATTR_SOURCE] = SP_STR("bench");
    maker->event.attr[SP_ATTR_ID] = SP_STR("id");
    maker->event.attr[SP_ATTR_CORRELATION] = SP_STR("run");
    maker->event.recorded_us = START;
}

static void delayed(void) {
    struct sp_delayed *delayed = NULL;
    struct sp_prng prng = sp_prng_seed(2);
    struct maker maker;
    struct sp_flow_work work;
    size_t before = held_bytes();
    check(sp_delayed_new(&delayed), "delayed");
    make_event(&maker, "event.delayed", "$delayed");
    maker.event.extension_count = 1;
    maker.event.extensions[0].name = SP_STR("dueus");
    double start = now_ns();
    for (uint32_t i = 1; i <= MILLION; i++) {
        int len = snprintf(maker.data, sizeof(maker.data),
                           "{\"id\":\"reminder-%u\",\"source\":\"bench\",\"type\":\"t\"}", i);
        int digits = snprintf(maker.due, sizeof(maker.due), "%llu",
                              (unsigned long long)START + sp_prng_below(&prng, 1u << 31));
        maker.event.data = sp_str_of(maker.data, (size_t)len);
        maker.event.extensions[0].value = sp_str_of(maker.due, (size_t)digits);
        maker.event.position = i;
        check(sp_delayed_part.apply(delayed, &maker.event, &error), "apply");
    }
    report("delayed event, folded, of a million", (now_ns() - start) / MILLION, "ns");
    report("delayed event, memory", (double)(held_bytes() - before) / MILLION, "bytes");
    start = now_ns();
    uint32_t count = 0;
    while (sp_delayed_part.next(delayed, UINT64_MAX - 1, &work)) {
        count++;
    }
    report("delayed event, found due, of a million", (now_ns() - start) / count, "ns");
    sp_delayed_free(delayed);
}

static void fold(struct sp_joins *joins, struct sp_watch *watch, const struct sp_event *event) {
    (void)sp_watch_match(watch, event->attr[SP_ATTR_TYPE]);
    check(sp_joins_part.apply(joins, event, &error), "apply");
}

/* Every key has a window that is open; the events are for the one type that each has already. */
static void joins(void) {
    static const char text[] =
        "{\"join\":\"definition\",\"definition\":{\"join\":\"definition\",\"of\":[\"order.paid\","
        "\"order.packed\"],\"key\":\"data.order\",\"window\":\"24h\",\"emit\":{\"type\":\"done\"}}"
        "}";
    struct sp_watch watch;
    struct sp_joins *joins = NULL;
    struct maker maker;
    struct sp_prng prng = sp_prng_seed(3);
    sp_watch_init(&watch);
    check(sp_joins_new(&watch, &joins), "joins");
    make_event(&maker, "join.defined", "$joins");
    maker.event.position = 1;
    maker.event.data = sp_str_from(text);
    fold(joins, &watch, &maker.event);
    size_t before = held_bytes();
    double best = 0;
    uint64_t position = 1;
    make_event(&maker, "order.paid", "orders");
    for (int repeat = 0; repeat <= REPEATS; repeat++) {
        uint32_t events = repeat == 0 ? KEYS : JOIN_EVENTS;
        double start = now_ns();
        for (uint32_t i = 0; i < events; i++) {
            uint32_t key = repeat == 0 ? i : sp_prng_below(&prng, KEYS);
            int len = snprintf(maker.data, sizeof(maker.data),
                               "{\"order\":\"o-%06u\",\"amount\":12.5,\"currency\":\"EUR\"}", key);
            maker.event.data = sp_str_of(maker.data, (size_t)len);
            maker.event.position = ++position;
            fold(joins, &watch, &maker.event);
        }
        if (repeat == 0) {
            report("join, memory of an open key of 8 bytes, 100,000 of them",
                   (double)(held_bytes() - before) / KEYS, "bytes");
        } else {
            best = least(best, (now_ns() - start) / events);
        }
    }
    report("join, event folded over 100,000 open keys", best, "ns");
    report("join, events over 100,000 open keys", 1e9 / best, "events/s");
    sp_joins_free(joins);
    sp_watch_fini(&watch);
}

int main(void) {
    timers();
    delayed();
    joins();
    return 0;
}
