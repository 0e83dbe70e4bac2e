/*
 * What subscriptions cost: finding those an event concerns, among 10 and among 100,000, with the
 * same findings; and sending one message to a hundred clients. Prints one JSON line a measure.
 *
 *     micro_live [MANY]       100000
 *
 * Findings: each event concerns 10 subscribers, whoever else there is. The others want what is like
 * it and yet something else: channels and globs of another name, patterns and filters of another
 * customer.
 *
 * Sending: a message of 120 bytes goes to each of 100 clients, whose output is taken away every 50
 * messages, once copied into each client's output, and once shared by reference; how the socket
 * takes it is not part of it, but for a writev to /dev/null.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "proto/pubsub_message.h"
#include "server/live.h"
#include "server/live_message.h"
#include "server/output.h"

enum { FEW = 10, ROUNDS = 200000, REPEATS = 5, CLIENTS = 100, BATCH = 50, PIECES = 1024 };

static double now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void must(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "micro_live: %s\n", what);
        exit(1);
    }
}

static struct sp_event event_of(void) {
    struct sp_event event = {.position = 1, .version = 1, .recorded_us = 1795153752123456};
    event.attr[SP_ATTR_ID] = SP_STR("01a1f856-acfb-7000-8000-630f687eea6c");
    event.attr[SP_ATTR_TYPE] = SP_STR("order.c0.placed");
    event.attr[SP_ATTR_SOURCE] = SP_STR("shop");
    event.attr[SP_ATTR_STREAM] = SP_STR("order-1");
    event.attr[SP_ATTR_CORRELATION] = SP_STR("run-1");
    event.data = SP_STR("{\"customer\":\"c0\",\"total\":99.5,\"lines\":[1,2,3]}");
    event.has_data = true;
    event.data_is_json = true;
    return event;
}

/* -- Finding ----------------------------------------------------------------------------------- */

static void on_found(void *context, struct sp_live_interest *interest, sp_str name) {
    (void)interest;
    (void)name;
    (*(uint64_t *)context)++;
}

enum kind { CHANNELS, GLOBS, PATTERNS, STREAMS, FILTERS, MIXED, KINDS };

static const char *const KIND_NAMES[KINDS] = {"channel", "glob",   "pattern",
                                              "stream",  "filter", "mixed"};

/* Subscribes one; number 0 is concerned by the event, others are not. */
static void subscribe(struct sp_live *live, enum kind kind, uint32_t number,
                      struct sp_live_interest *interest) {
    char text[96];
    sp_str type = SP_STR("order.*.placed");
    sp_status status = SP_OK;
    enum kind as = kind == MIXED ? (enum kind)(number % MIXED) : kind;
    number = kind == MIXED ? number / MIXED : number;
    struct sp_query query = {.types = &type, .type_count = 1};
    switch (as) {
    case CHANNELS:
        (void)snprintf(text, sizeof(text), "order.c%u.placed", number);
        status = sp_live_add_name(live, SP_LIVE_CHANNEL, sp_str_from(text), interest, NULL);
        break;
    case GLOBS:
        (void)snprintf(text, sizeof(text), "order.c%u.*", number);
        status = sp_live_add_name(live, SP_LIVE_GLOB, sp_str_from(text), interest, NULL);
        break;
    case PATTERNS:
        (void)snprintf(text, sizeof(text), "order.c%u.>", number);
        type = sp_str_from(text);
        status = sp_live_add_query(live, &query, interest, NULL);
        break;
    case STREAMS:
        (void)snprintf(text, sizeof(text), "order-%u", number + 1);
        query.stream = sp_str_from(text);
        status = sp_live_add_query(live, &query, interest, NULL);
        break;
    case FILTERS:
        (void)snprintf(text, sizeof(text),
                       "{\"data.customer\":\"c%u\",\"data.total\":{\"$gt\":50}}", number);
        query.filter = sp_str_from(text);
        status = sp_live_add_query(live, &query, interest, NULL);
        break;
    case MIXED:
    case KINDS:
        break;
    }
    must(status == SP_OK, "a subscription was refused");
}

static double match_ns(struct sp_live *live, const struct sp_event *event, uint64_t *ret_found) {
    double best = 1e18;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        uint64_t found = 0;
        double start = now_ns();
        for (uint32_t i = 0; i < ROUNDS / REPEATS; i++) {
            sp_live_match_channel(live, sp_message_channel(event), on_found, &found);
            sp_live_match_event(live, event, on_found, &found);
        }
        double took = (now_ns() - start) / (ROUNDS / REPEATS);
        best = took < best ? took : best;
        *ret_found = found / (ROUNDS / REPEATS);
    }
    return best;
}

/* Ten are concerned in either case; then `many` more that are not. */
static void measure_finding(enum kind kind, uint32_t many) {
    struct sp_live *live = NULL;
    struct sp_event event = event_of();
    struct sp_live_interest *interests = calloc(many, sizeof(*interests));
    uint64_t few_found = 0;
    uint64_t many_found = 0;
    must(interests != NULL && sp_live_new(&live) == SP_OK, "no memory");
    for (uint32_t i = 0; i < FEW; i++) {
        subscribe(live, kind, kind == MIXED ? i % MIXED : 0, &interests[i]);
    }
    double few_ns = match_ns(live, &event, &few_found);
    double start = now_ns();
    for (uint32_t i = FEW; i < many; i++) {
        subscribe(live, kind, kind == MIXED ? i + MIXED : i, &interests[i]);
    }
    double add_ns = (now_ns() - start) / (many - FEW);
    double many_ns = match_ns(live, &event, &many_found);
    must(few_found == many_found && few_found == FEW, "others were found");
    printf("{\"measure\":\"find\",\"by\":\"%s\",\"found\":%" PRIu64
           ",\"among_10_ns\":%.0f,\"among_%u_ns\":%.0f,\"times\":%.2f,\"subscribe_ns\":%.0f}\n",
           KIND_NAMES[kind], many_found, few_ns, many, many_ns, many_ns / few_ns, add_ns);
    for (uint32_t i = 0; i < many; i++) {
        sp_live_remove(live, &interests[i]);
    }
    sp_live_free(live);
    free(interests);
}

/* -- Sending ----------------------------------------------------------------------------------- */

static void flush_all(struct sp_output *outputs, int null_fd, bool writes) {
    struct iovec pieces[PIECES];
    for (uint32_t i = 0; i < CLIENTS; i++) {
        while (sp_output_waiting(&outputs[i]) > 0) {
            size_t count = sp_output_pieces(&outputs[i], pieces, PIECES);
            size_t bytes = 0;
            for (size_t k = 0; k < count; k++) {
                bytes += pieces[k].iov_len;
            }
            must(!writes || writev(null_fd, pieces, (int)count) == (ssize_t)bytes, "writev");
            sp_output_sent(&outputs[i], bytes);
        }
    }
}

/* The form is encoded anew for each event, and goes to all clients. */
static void measure_sending(size_t payload_bytes, bool writes) {
    struct sp_messages messages;
    struct sp_output *outputs = calloc(CLIENTS, sizeof(*outputs));
    char *payload = malloc(payload_bytes);
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    uint32_t rounds = payload_bytes > 4096 ? 2000 : 20000;
    must(outputs != NULL && payload != NULL && null_fd >= 0, "no memory");
    memset(payload, 'x', payload_bytes);
    sp_messages_init(&messages);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        sp_output_init(&outputs[i], (size_t)64 << 20);
    }
    double start = now_ns();
    for (uint32_t round = 0; round < rounds; round++) {
        sp_messages_plain(&messages, SP_STR("order.placed"), sp_str_of(payload, payload_bytes));
        for (uint32_t i = 0; i < CLIENTS; i++) {
            struct sp_blob *blob =
                sp_messages_get(&messages, SP_FORM_MESSAGE, SP_RESP_3, SP_STR(""));
            must(blob != NULL && sp_output_share(&outputs[i], blob), "no room");
        }
        if (round % BATCH == BATCH - 1) {
            flush_all(outputs, null_fd, writes);
        }
    }
    double took = (now_ns() - start) / ((double)rounds * CLIENTS);
    printf("{\"measure\":\"send\",\"payload_bytes\":%zu,\"clients\":%d,\"as\":\"%s\","
           "\"with\":\"%s\",\"delivery_ns\":%.1f,\"encoded\":%" PRIu64 "}\n",
           payload_bytes, CLIENTS,
           payload_bytes + 64 > SP_OUTPUT_COPY_BYTES_MAX ? "shared" : "copy",
           writes ? "writev" : "none", took, messages.encoded);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        sp_output_fini(&outputs[i]);
    }
    sp_messages_fini(&messages);
    free(outputs);
    free(payload);
    (void)close(null_fd);
}

int main(int argc, char **argv) {
    uint32_t many = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    must(many > FEW, "MANY is to be more than 10");
    for (enum kind kind = CHANNELS; kind < KINDS; kind++) {
        measure_finding(kind, many);
    }
    static const size_t sizes[] = {100, 1000, 1900, 2100, 16384};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        measure_sending(sizes[i], false);
        measure_sending(sizes[i], true);
    }
    return 0;
}
