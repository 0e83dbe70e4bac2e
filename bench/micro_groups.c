/*
 * What consumer groups and views cost in the core, in one thread: deciding, the op's bytes, and
 * folding, no log. Prints one JSON line a measure: the best of several repeats, since what disturbs
 * only slows down.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/prng.h"
#include "core/core.h"

enum { REPEATS = 5, BATCH = 100, PENDING = 1000000, APPENDS = 2000000, STREAMS = 1000 };

static struct sp_core core;
static struct sp_buf ops;
static struct sp_error error;

static double now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void check(sp_status status, const char *what) {
    if (status != SP_OK || ops.status != SP_OK) {
        fprintf(stderr, "micro_groups: %s: %s\n", what, sp_status_text(status));
        exit(1);
    }
}

static void fold(void) {
    check(sp_core_fold(&core, sp_buf_str(&ops)), "fold");
    sp_buf_reset(&ops);
}

static void report(const char *what, double ns, const char *unit) {
    printf("{\"measure\": \"%s\", \"value\": %.1f, \"unit\": \"%s\"}\n", what, ns, unit);
}

static struct sp_entry_id id_at(uint64_t position) {
    return (struct sp_entry_id){.ms = 1700000000000u + position / 20, .seq = position % 20};
}

static const struct sp_group *group_of(void) {
    return sp_group_find(&core.groups, SP_STR("stream"), SP_STR("group"));
}

static void begin(uint32_t consumers, const struct sp_group_policy *policy) {
    struct sp_group_cursor start = {.position = 0};
    sp_core_init(&core);
    check(sp_group_make(&core.groups, SP_STR("stream"), SP_STR("group"), &start, &ops, &error),
          "make");
    fold();
    if (policy != NULL) {
        check(sp_group_set_policy(group_of(), policy, &ops, &error), "policy");
        fold();
    }
    for (uint32_t i = 0; i < consumers; i++) {
        char name[16];
        uint32_t number;
        int len = snprintf(name, sizeof(name), "worker-%u", i);
        check(sp_consumer_make(group_of(), sp_str_of(name, (size_t)len), 1, &ops, &number, &error),
              "consumer");
        fold();
    }
}

/* Delivers the next `count` entries to a consumer. */
static void deliver(uint64_t from, uint32_t count, uint32_t consumer, uint32_t key) {
    struct sp_group_entry entries[BATCH];
    uint8_t what[BATCH];
    struct sp_group_offered offered;
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (struct sp_group_entry){
            .position = from + i, .version = from + i, .id = id_at(from + i), .key = key + i};
        entries[i].key = key == 0 ? 0 : entries[i].key;
    }
    struct sp_group_offer offer = {.consumer = consumer,
                                   .now_ms = 1700000100000u,
                                   .entries = entries,
                                   .entry_count = count,
                                   .wanted = count};
    offer.until = (struct sp_group_cursor){
        .position = from + count - 1, .version = from + count - 1, .id = id_at(from + count - 1)};
    check(sp_group_offer(&core.groups, group_of(), &offer, what, &offered, &ops, &error), "offer");
    fold();
}

static void acknowledge(uint64_t from, uint32_t count) {
    struct sp_entry_id ids[BATCH];
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = id_at(from + i);
    }
    if (sp_group_ack(group_of(), ids, count, &ops) != count) {
        fprintf(stderr, "micro_groups: not all were acknowledged\n");
        exit(1);
    }
    fold();
}

/* Batches are delivered and acknowledged at once, while `ahead` entries are pending before them. */
static double deliver_and_ack(uint64_t ahead, uint32_t key, const struct sp_group_policy *policy) {
    double best = 1e18;
    enum { ROUNDS = 2000 };
    begin(4, policy);
    uint64_t next = 1;
    for (; next <= ahead; next += BATCH) {
        deliver(next, BATCH, 0, 0);
    }
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now_ns();
        for (int i = 0; i < ROUNDS; i++) {
            deliver(next, BATCH, (uint32_t)i % 4, key);
            acknowledge(next, BATCH);
            next += BATCH;
        }
        double ns = (now_ns() - start) / ROUNDS / BATCH;
        best = ns < best ? ns : best;
    }
    sp_core_fini(&core);
    return best;
}

/* One acknowledgement a call, of a million pending. */
static void ack_of_many(void) {
    static uint32_t order[PENDING];
    struct mallinfo2 before = mallinfo2();
    begin(100, NULL);
    for (uint64_t i = 0; i < PENDING; i += BATCH) {
        deliver(1 + i, BATCH, (uint32_t)(i / BATCH) % 100, 0);
    }
    struct mallinfo2 after = mallinfo2();
    report("memory a pending entry, plain group",
           (double)(after.uordblks - before.uordblks) / PENDING, "bytes");
    double start = now_ns();
    for (uint64_t i = 0; i < PENDING / 2; i++) {
        acknowledge(1 + i, 1);
    }
    report("ack of one id in delivery order, of 1M pending", (now_ns() - start) / (PENDING / 2),
           "ns");
    struct sp_prng prng = sp_prng_seed(1);
    uint32_t left = 0;
    for (uint32_t i = PENDING / 2; i < PENDING; i++) {
        order[left++] = i;
    }
    for (uint32_t i = left; i > 1; i--) {
        uint32_t other = sp_prng_below(&prng, i);
        uint32_t was = order[i - 1];
        order[i - 1] = order[other];
        order[other] = was;
    }
    start = now_ns();
    for (uint32_t i = 0; i < left; i++) {
        acknowledge(1 + order[i], 1);
    }
    report("ack of one id in any order, of 500k pending", (now_ns() - start) / left, "ns");
    sp_core_fini(&core);
}

/* One consumer's entries among a million that others have, delivered one at a time. */
static void list_one_consumer(void) {
    enum { CONSUMERS = 1000, ROUNDS = 200 };
    struct sp_pending *listed = malloc(PENDING / CONSUMERS * sizeof(*listed));
    begin(CONSUMERS, NULL);
    for (uint64_t i = 0; i < PENDING; i++) {
        deliver(1 + i, 1, (uint32_t)i % CONSUMERS, 0);
    }
    double start = now_ns();
    size_t count = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct sp_pending_range range = {.until = SP_ENTRY_ID_MAX, .consumer = i};
        count += sp_pending_list(group_of(), &range, listed, PENDING / CONSUMERS);
    }
    report("history of one consumer, 1000 of 1M pending, an entry",
           (now_ns() - start) / (double)count, "ns");
    free(listed);
    sp_core_fini(&core);
}

/* Appends, with so many streams that have a view. */
static double append_events(uint32_t views) {
    enum { EVENTS = 8 };
    static char names[STREAMS][16];
    double best = 1e18;
    struct sp_prng prng = sp_prng_seed(2);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        sp_core_init(&core);
        for (uint32_t i = 0; i < STREAMS; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "stream-%u", i);
        }
        for (uint32_t i = 0; i < views; i++) {
            (void)sp_view_make(&core.views, sp_str_from(names[i]), &ops);
            fold();
        }
        double start = now_ns();
        for (uint64_t i = 0; i < APPENDS; i += EVENTS) {
            struct sp_event events[EVENTS];
            struct sp_core_candidate candidates[EVENTS];
            for (int j = 0; j < EVENTS; j++) {
                sp_str name = sp_str_from(names[sp_prng_below(&prng, STREAMS)]);
                events[j].attr[SP_ATTR_STREAM] = name;
                candidates[j] = (struct sp_core_candidate){.event = &events[j],
                                                           .stream_hash = sp_stream_hash(name)};
            }
            struct sp_core_append append = {
                .now_us = 1000 + i, .candidates = candidates, .candidate_count = EVENTS};
            struct sp_core_outcome outcome;
            check(sp_core_step(&core, &append, &outcome), "step");
        }
        double ns = (now_ns() - start) / APPENDS;
        best = ns < best ? ns : best;
        sp_core_fini(&core);
    }
    return best;
}

int main(void) {
    sp_buf_init(&ops, 1 << 24);
    struct sp_group_policy policy = {.ack_wait_ms = 30000,
                                     .deliveries_max = 5,
                                     .backoff_max_ms = 1000,
                                     .backoff_factor_milli = 2000};
    struct sp_group_policy ordered = policy;
    ordered.order_by = SP_GROUP_ORDER_SOURCE;
    report("deliver and ack a batch of 100, plain, an entry", deliver_and_ack(0, 0, NULL), "ns");
    report("the same behind 1M pending", deliver_and_ack(PENDING, 0, NULL), "ns");
    report("the same with a policy", deliver_and_ack(0, 0, &policy), "ns");
    report("the same with an order", deliver_and_ack(0, 1, &ordered), "ns");
    ack_of_many();
    list_one_consumer();
    report("append to one of 1000 streams, no views", append_events(0), "ns");
    report("append to one of 1000 streams, each with a view", append_events(STREAMS), "ns");
    sp_buf_fini(&ops);
    return 0;
}
