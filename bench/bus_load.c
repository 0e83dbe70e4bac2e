/*
 * Load on a server that speaks the Redis protocol, of the kinds that redis-benchmark does not make:
 * publishers with subscribers, a consumer that waits for what a producer adds, and workers that
 * read and acknowledge. It knows no server: the same load goes to spoor and to Redis.
 *
 * usage: bus_load publish PORT SUBSCRIBERS PUBLISHERS PIPELINE MESSAGES BYTES
 *        bus_load latency PORT xread|group COUNT PAUSE_US BYTES
 *        bus_load drain PORT STREAM GROUP CONNECTIONS COUNT now|later
 * Prints a JSON line per measurement. Everything that is delivered is checked: its number, and of
 * messages each publisher's order. `drain … later` reads everything, prints, waits for a line on
 * stdin and then acknowledges.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/load.h"

const char load_name[] = "bus_load";

enum {
    BYTES_MIN = 20, /* publisher and number stand at the front of a message */
    BYTES_MAX = 1 << 16,
    ID_SIZE = 48,
};

/* publish ------------------------------------------------------------------------------------- */

struct publish {
    uint64_t port;
    uint64_t subscribers;
    uint64_t publishers;
    uint64_t pipeline;
    uint64_t messages; /* of all publishers */
    uint64_t size;
    struct conn *conns; /* the publishers, then the subscribers */
    uint64_t *sent;     /* by publisher */
    uint64_t *answered; /* by publisher */
    uint64_t *expected; /* by subscriber and publisher: the number that comes next */
    uint64_t delivered;
    char *message; /* one command, and room for it `pipeline` times */
};

/* The frame of a message that is delivered; all are of one size. */
static size_t frame_head(const struct publish *load, char *head, size_t head_size) {
    int length = snprintf(head, head_size,
                          "*3\r\n$7\r\nmessage\r\n$8\r\nbench.ch\r\n$%" PRIu64 "\r\n", load->size);
    return (size_t)length;
}

static void publish_send(struct publish *load, uint64_t publisher) {
    uint64_t share = load->messages / load->publishers;
    char *to = load->message;
    for (uint64_t i = 0; i < load->pipeline && load->sent[publisher] < share; i++) {
        to += snprintf(to, 128, "*3\r\n$7\r\nPUBLISH\r\n$8\r\nbench.ch\r\n$%" PRIu64 "\r\n",
                       load->size);
        char *payload = to;
        memset(payload, 'x', load->size);
        char front[BYTES_MIN + 1];
        (void)snprintf(front, sizeof(front), "%04" PRIu64 "%016" PRIu64, publisher % 10000,
                       load->sent[publisher] % 1000000000000000u);
        memcpy(payload, front, BYTES_MIN);
        memcpy(payload + load->size, "\r\n", 2);
        to = payload + load->size + 2;
        load->sent[publisher]++;
    }
    conn_send(&load->conns[publisher], load->message, (size_t)(to - load->message));
}

static void publish_answers(struct publish *load, uint64_t publisher) {
    struct conn *conn = &load->conns[publisher];
    const char *reply = NULL;
    conn_fill(conn);
    while (conn_take(conn, NULL, NULL, &reply)) {
        if (reply[0] != ':' || strtoull(reply + 1, NULL, 10) < load->subscribers) {
            die("PUBLISH did not answer with the number of subscribers");
        }
        load->answered[publisher]++;
    }
    if (load->answered[publisher] == load->sent[publisher] &&
        load->sent[publisher] < load->messages / load->publishers) {
        publish_send(load, publisher);
    }
}

static void publish_deliveries(struct publish *load, uint64_t subscriber, const char *head,
                               size_t head_size) {
    struct conn *conn = &load->conns[load->publishers + subscriber];
    size_t frame = head_size + load->size + 2;
    conn_fill(conn);
    for (; conn->end - conn->at >= frame; conn->at += frame) {
        const char *at = conn->buffer + conn->at;
        if (memcmp(at, head, head_size) != 0) {
            die("a subscriber got something else than the message");
        }
        char digits[BYTES_MIN + 1] = {0};
        memcpy(digits, at + head_size, BYTES_MIN);
        uint64_t which = strtoull(digits + 4, NULL, 10);
        digits[4] = '\0';
        uint64_t publisher = strtoull(digits, NULL, 10);
        uint64_t *next = &load->expected[subscriber * load->publishers + publisher];
        if (publisher >= load->publishers || which != *next) {
            die("a subscriber lost or doubled a message, or got them in another order");
        }
        (*next)++;
        load->delivered++;
    }
}

static void publish_prepare(struct publish *load) {
    static const char SUBSCRIBE[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$8\r\nbench.ch\r\n";
    uint64_t all = load->publishers + load->subscribers;
    load->conns = must_calloc(all, sizeof(*load->conns));
    load->sent = must_calloc(load->publishers, sizeof(*load->sent));
    load->answered = must_calloc(load->publishers, sizeof(*load->answered));
    load->expected = must_calloc(load->publishers * (load->subscribers + 1), sizeof(uint64_t));
    load->message = must_calloc(load->pipeline, load->size + 128);
    load->messages -= load->messages % load->publishers;
    for (uint64_t i = 0; i < all; i++) {
        conn_open(&load->conns[i], load->port);
        if (i >= load->publishers) {
            (void)conn_call(&load->conns[i], SUBSCRIBE);
        }
    }
}

static int publish(char *argv[]) {
    struct publish load = {.port = number(argv[0], 1, 65535),
                           .subscribers = number(argv[1], 0, 10000),
                           .publishers = number(argv[2], 1, 1000),
                           .pipeline = number(argv[3], 1, 10000),
                           .messages = number(argv[4], 1, 1000000000),
                           .size = number(argv[5], BYTES_MIN, BYTES_MAX)};
    char head[128];
    size_t head_size = frame_head(&load, head, sizeof(head));
    publish_prepare(&load);
    int epoll_fd = watch_all(load.conns, load.publishers + load.subscribers);
    uint64_t before_ns = now_ns();
    for (uint64_t i = 0; i < load.publishers; i++) {
        publish_send(&load, i);
    }
    uint64_t answered = 0;
    while (load.delivered < load.messages * load.subscribers || answered < load.messages) {
        struct epoll_event events[TURN_EVENTS];
        size_t ready = wait_turn(epoll_fd, events);
        for (size_t i = 0; i < ready; i++) {
            if (events[i].data.u64 < load.publishers) {
                publish_answers(&load, events[i].data.u64);
            } else {
                publish_deliveries(&load, events[i].data.u64 - load.publishers, head, head_size);
            }
        }
        answered = 0;
        for (uint64_t i = 0; i < load.publishers; i++) {
            answered += load.answered[i];
        }
    }
    double seconds = (double)(now_ns() - before_ns) / 1e9;
    (void)printf("{\"messages\":%" PRIu64 ",\"subscribers\":%" PRIu64 ",\"deliveries\":%" PRIu64
                 ",\"seconds\":%.4f,\"messages_per_s\":%.0f,\"deliveries_per_s\":%.0f}\n",
                 load.messages, load.subscribers, load.delivered, seconds,
                 (double)load.messages / seconds, (double)load.delivered / seconds);
    return 0;
}

/* latency ------------------------------------------------------------------------------------- */

/* The consumer asks for what follows the last entry, so that it cannot come too late. */
static void send_wait(const struct conn *consumer, bool group, const char *last_id) {
    char text[256];
    int size = group ? snprintf(text, sizeof(text),
                                "XREADGROUP GROUP g c COUNT 10 BLOCK 0 STREAMS bench:latency >\r\n")
                     : snprintf(text, sizeof(text),
                                "XREAD COUNT 10 BLOCK 0 STREAMS bench:latency %s\r\n", last_id);
    conn_send(consumer, text, (size_t)size);
}

static void copy_id(void *context, const char *bytes, size_t size) {
    if (size < ID_SIZE) {
        memcpy(context, bytes, size);
        ((char *)context)[size] = '\0';
    }
}

static const char LATENCY_ADD[] = "*5\r\n$4\r\nXADD\r\n$13\r\nbench:latency\r\n$1\r\n*\r\n"
                                  "$1\r\nf\r\n$%" PRIu64 "\r\n";

struct latency {
    struct conn producer;
    struct conn consumer;
    bool group;
    uint64_t pause_us;
    char *add; /* the command */
    size_t add_size;
    char last_id[ID_SIZE];
};

static void latency_open(struct latency *load, uint64_t port, uint64_t size) {
    conn_open(&load->producer, port);
    conn_open(&load->consumer, port);
    (void)conn_call(&load->producer, "DEL bench:latency\r\n");
    (void)conn_call(&load->producer, "XGROUP CREATE bench:latency g $ MKSTREAM\r\n");
    load->add = must_calloc(1, size + 128);
    size_t head = (size_t)snprintf(load->add, 128, LATENCY_ADD, size);
    memset(load->add + head, 'x', size);
    memcpy(load->add + head + size, "\r\n", 2);
    load->add_size = head + size + 2;
    memcpy(load->last_id, "0", 2);
}

/* The clock runs from the sending to the reply: the consumer's, and the producer's. */
static void latency_once(struct latency *load, uint64_t *ret_delivered, uint64_t *ret_added) {
    send_wait(&load->consumer, load->group, load->last_id);
    struct timespec pause = {.tv_nsec = (long)(200000 + load->pause_us * 1000) % 1000000000};
    (void)nanosleep(&pause, NULL); /* the consumer is waiting by then */
    uint64_t before_ns = now_ns();
    conn_send(&load->producer, load->add, load->add_size);
    if (conn_reply(&load->consumer)[0] != '*') {
        die("the consumer got no entry");
    }
    *ret_delivered = now_ns() - before_ns;
    const char *reply = NULL;
    while (!conn_take(&load->producer, copy_id, load->last_id, &reply)) {
        conn_fill(&load->producer);
    }
    *ret_added = now_ns() - before_ns;
}

static int latency(char *argv[]) {
    struct latency load = {.group = strcmp(argv[1], "group") == 0,
                           .pause_us = number(argv[3], 0, 900000)};
    uint64_t count = number(argv[2], 1, 10000000);
    latency_open(&load, number(argv[0], 1, 65535), number(argv[4], 1, BYTES_MAX));
    uint64_t *delivered = must_calloc(count, sizeof(*delivered));
    uint64_t *added = must_calloc(count, sizeof(*added));
    for (uint64_t i = 0; i < count; i++) {
        latency_once(&load, &delivered[i], &added[i]);
    }
    (void)printf("{\"kind\":\"%s\",\"events\":%" PRIu64 ",", load.group ? "group" : "xread", count);
    show_times("delivered", delivered, count);
    (void)printf(",");
    show_times("acknowledged", added, count);
    (void)printf("}\n");
    free(load.add);
    free(delivered);
    free(added);
    conn_close(&load.producer);
    conn_close(&load.consumer);
    return 0;
}

/* drain --------------------------------------------------------------------------------------- */

/* A worker: reads up to `count` entries, acknowledges them, and so on until there are none. */
struct worker {
    struct conn *conn;
    bool acknowledging;
    bool done;
    size_t ids; /* in the batch that was read last */
};

struct drain {
    const char *stream;
    const char *group;
    uint64_t count;
    bool later;
    struct worker *worker; /* whose reply is being read */
    char (*ids)[ID_SIZE];  /* of a batch, or of all where they are acknowledged later */
    size_t ids_count;
    size_t ids_room;
    uint64_t read;
    uint64_t acknowledged;
};

/* An entry's id is the only string that begins with a digit and has a dash. */
static void keep_id(void *context, const char *bytes, size_t size) {
    struct drain *drain = context;
    if (size < 3 || size >= ID_SIZE || bytes[0] < '0' || bytes[0] > '9' ||
        memchr(bytes, '-', size) == NULL) {
        return;
    }
    if (drain->ids_count == drain->ids_room) {
        drain->ids_room = drain->ids_room * 2 + 1024;
        drain->ids = realloc(drain->ids, drain->ids_room * sizeof(*drain->ids));
        if (drain->ids == NULL) {
            die("no memory");
        }
    }
    memcpy(drain->ids[drain->ids_count], bytes, size);
    drain->ids[drain->ids_count][size] = '\0';
    drain->ids_count++;
}

static void send_read(const struct drain *drain, const struct worker *worker, uint64_t name) {
    char text[512];
    int size = snprintf(text, sizeof(text),
                        "XREADGROUP GROUP %s worker-%" PRIu64 " COUNT %" PRIu64 " STREAMS %s >\r\n",
                        drain->group, name, drain->count, drain->stream);
    conn_send(worker->conn, text, (size_t)size);
}

static void send_ack(const struct drain *drain, const struct conn *conn, size_t first,
                     size_t count) {
    size_t room = 512 + count * (ID_SIZE + 16);
    char *text = must_calloc(1, room);
    size_t size = (size_t)snprintf(text, room, "*%zu\r\n$4\r\nXACK\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
                                   count + 3, strlen(drain->stream), drain->stream,
                                   strlen(drain->group), drain->group);
    for (size_t i = first; i < first + count; i++) {
        size += (size_t)snprintf(text + size, room - size, "$%zu\r\n%s\r\n", strlen(drain->ids[i]),
                                 drain->ids[i]);
    }
    conn_send(conn, text, size);
    free(text);
}

static void worker_turn(struct drain *drain, struct worker *worker, uint64_t name) {
    const char *reply = NULL;
    conn_fill(worker->conn);
    while (!worker->done) {
        if (!drain->later) {
            drain->ids_count = 0;
        }
        size_t before = drain->ids_count;
        if (!conn_take(worker->conn, keep_id, drain, &reply)) {
            return;
        }
        if (worker->acknowledging) {
            drain->acknowledged += strtoull(reply + 1, NULL, 10);
            worker->acknowledging = false;
            send_read(drain, worker, name);
            continue;
        }
        size_t ids = drain->ids_count - before;
        drain->read += ids;
        worker->done = ids == 0;
        if (ids > 0 && drain->later) {
            send_read(drain, worker, name);
        } else if (ids > 0) {
            worker->acknowledging = true;
            send_ack(drain, worker->conn, before, ids);
        }
    }
}

static void show_drain(const char *what, uint64_t events, double seconds) {
    (void)printf("{\"what\":\"%s\",\"events\":%" PRIu64
                 ",\"seconds\":%.4f,\"events_per_s\":%.0f}\n",
                 what, events, seconds, seconds > 0 ? (double)events / seconds : 0);
    (void)fflush(stdout);
}

static void acknowledge_later(struct drain *drain, struct conn *conn) {
    (void)getchar();
    uint64_t before_ns = now_ns();
    for (size_t at = 0; at < drain->ids_count; at += drain->count) {
        size_t left = drain->ids_count - at;
        send_ack(drain, conn, at, left < drain->count ? left : drain->count);
        drain->acknowledged += strtoull(conn_reply(conn) + 1, NULL, 10);
    }
    show_drain("acknowledged", drain->acknowledged, (double)(now_ns() - before_ns) / 1e9);
}

static int drain(char *argv[]) {
    struct drain drain = {.stream = argv[1],
                          .group = argv[2],
                          .count = number(argv[4], 1, 10000),
                          .later = strcmp(argv[5], "later") == 0};
    uint64_t count = number(argv[3], 1, 1000);
    struct conn *conns = must_calloc(count, sizeof(*conns));
    struct worker *workers = must_calloc(count, sizeof(*workers));
    for (uint64_t i = 0; i < count; i++) {
        conn_open(&conns[i], number(argv[0], 1, 65535));
        workers[i].conn = &conns[i];
    }
    int epoll_fd = watch_all(conns, count);
    uint64_t before_ns = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        send_read(&drain, &workers[i], i);
    }
    for (bool at_work = true; at_work;) {
        struct epoll_event events[TURN_EVENTS];
        size_t ready = wait_turn(epoll_fd, events);
        for (size_t i = 0; i < ready; i++) {
            worker_turn(&drain, &workers[events[i].data.u64], events[i].data.u64);
        }
        at_work = false;
        for (uint64_t i = 0; i < count; i++) {
            at_work = at_work || !workers[i].done;
        }
    }
    show_drain(drain.later ? "delivered" : "drained", drain.read,
               (double)(now_ns() - before_ns) / 1e9);
    if (drain.later) {
        acknowledge_later(&drain, &conns[0]);
    }
    if (drain.acknowledged != drain.read) {
        die("XACK did not count every entry that was read");
    }
    return 0;
}

int main(int argc, char *argv[]) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (argc == 8 && strcmp(argv[1], "publish") == 0) {
        return publish(argv + 2);
    }
    if (argc == 7 && strcmp(argv[1], "latency") == 0) {
        return latency(argv + 2);
    }
    if (argc == 8 && strcmp(argv[1], "drain") == 0) {
        return drain(argv + 2);
    }
    (void)fprintf(stderr,
                  "usage: bus_load publish PORT SUBSCRIBERS PUBLISHERS PIPELINE MESSAGES BYTES\n"
                  "       bus_load latency PORT xread|group COUNT PAUSE_US BYTES\n"
                  "       bus_load drain PORT STREAM GROUP CONNECTIONS COUNT now|later\n");
    return 2;
}
