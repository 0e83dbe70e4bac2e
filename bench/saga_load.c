/*
 * Load on sagas, timers and joins, through the Redis protocol.
 *
 * usage: saga_load work PORT PATTERN         answers every command whose type matches, until killed
 *        saga_load one PORT SAGA COUNT       sagas one after another: how long each takes
 *        saga_load many PORT SAGA COUNT AT_ONCE
 *        saga_load start PORT SAGA COUNT     only starts them
 *        saga_load delay PORT TYPE COUNT FIRST_DUE_MS OVER_MS
 *        saga_load listen PORT TYPE COUNT    how late delayed events come
 *        saga_load append PORT TYPE KEYS COUNT
 * Times are from the sending of a request to the arrival of what it led to, which is durable by
 * then. Prints a JSON line per measurement.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/load.h"

const char load_name[] = "saga_load";

enum {
    BATCH = 128, /* commands that a worker takes at a time */
    FIELD_SIZE = 320,
    COMMAND_SIZE = 2048,
    PIPELINE = 1000,
};

/* Work -------------------------------------------------------------------------------------- */

/*
 * What comes of one read: the bulk strings of an entry are its id, then names and values. A name
 * is told from a value by its place, an entry's id by what stood before it.
 */
struct batch {
    char out[BATCH * COMMAND_SIZE]; /* the answers */
    size_t out_len;
    char acks[BATCH * 64];
    size_t ack_len;
    uint32_t count;
};

/* The text behind a header such as `*3` or `$5`, and its number; NULL: not all of it is there. */
static const char *header(const char *at, const char *end, int64_t *ret_number) {
    const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    if (newline == NULL) {
        return NULL;
    }
    *ret_number = strtoll(at + 1, NULL, 10);
    return newline + 1;
}

static const char *bulk(const char *at, const char *end, char *to, size_t size) {
    int64_t len = 0;
    at = header(at, end, &len);
    if (at == NULL || len < 0 || end - at < len + 2) {
        die("a reply that is none");
    }
    size_t kept = (size_t)len < size - 1 ? (size_t)len : size - 1;
    memcpy(to, at, kept);
    to[kept] = '\0';
    return at + len + 2;
}

static void add_bulk(char *to, size_t *len, const char *text) {
    *len += (size_t)snprintf(to + *len, FIELD_SIZE + 32, "$%zu\r\n%s\r\n", strlen(text), text);
}

static void add_answer(struct batch *batch, const char *type, const char *id, const char *run) {
    char completed[FIELD_SIZE + 16];
    (void)snprintf(completed, sizeof(completed), "%s.completed", type);
    batch->out_len += (size_t)snprintf(batch->out + batch->out_len, 16, "*11\r\n");
    const char *const words[] = {"SPOOR.APPEND",
                                 "bench",
                                 "*",
                                 completed,
                                 "{\"ok\":true}",
                                 "source",
                                 "bench-worker",
                                 "causationid",
                                 id,
                                 "correlationid",
                                 run};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        add_bulk(batch->out, &batch->out_len, words[i]);
    }
}

/* One entry: [id, [name, value, …]]. */
static const char *take_entry(struct batch *batch, const char *at, const char *end) {
    char entry[64];
    char name[FIELD_SIZE];
    char value[FIELD_SIZE];
    char id[FIELD_SIZE] = "";
    char type[FIELD_SIZE] = "";
    char run[FIELD_SIZE] = "";
    int64_t count = 0;
    at = header(at, end, &count);
    at = bulk(at, end, entry, sizeof(entry));
    at = header(at, end, &count);
    for (int64_t i = 0; i + 1 < count; i += 2) {
        at = bulk(at, end, name, sizeof(name));
        at = bulk(at, end, value, sizeof(value));
        char *to = strcmp(name, "id") == 0              ? id
                   : strcmp(name, "type") == 0          ? type
                   : strcmp(name, "correlationid") == 0 ? run
                                                        : NULL;
        if (to != NULL) {
            memcpy(to, value, sizeof(value));
        }
    }
    add_answer(batch, type, id, run);
    add_bulk(batch->acks, &batch->ack_len, entry);
    batch->count++;
    return at;
}

/* A reply to XREADGROUP of one stream: [[stream, [entry, …]]], or nothing in time. */
static void take_batch(struct batch *batch, const char *reply, const char *end) {
    char stream[FIELD_SIZE];
    int64_t count = 0;
    batch->out_len = batch->ack_len = batch->count = 0;
    const char *at = header(reply, end, &count);
    if (count <= 0) {
        return;
    }
    at = header(at, end, &count);
    at = bulk(at, end, stream, sizeof(stream));
    at = header(at, end, &count);
    for (int64_t i = 0; i < count; i++) {
        at = take_entry(batch, at, end);
    }
}

static void send_answers(const struct conn *conn, struct batch *batch, const char *key) {
    char text[FIELD_SIZE];
    if (batch->count > 0) {
        conn_send(conn, batch->out, batch->out_len);
        int size = snprintf(text, sizeof(text),
                            "*%" PRIu32 "\r\n$4\r\nXACK\r\n$%zu\r\n%s\r\n$5\r\nbench\r\n",
                            batch->count + 3, strlen(key), key);
        conn_send(conn, text, (size_t)size);
        conn_send(conn, batch->acks, batch->ack_len);
    }
    int size = snprintf(text, sizeof(text),
                        "XREADGROUP GROUP bench w%d COUNT %d BLOCK 30000 STREAMS %s >\r\n",
                        (int)getpid(), BATCH, key);
    conn_send(conn, text, (size_t)size);
}

static int work(char *argv[]) {
    struct conn conn;
    char key[FIELD_SIZE];
    char create[FIELD_SIZE * 2];
    struct batch *batch = must_calloc(1, sizeof(*batch));
    conn_open(&conn, number(argv[0], 1, 65535));
    (void)snprintf(key, sizeof(key), "$type:%s", argv[1]);
    (void)snprintf(create, sizeof(create), "XGROUP CREATE %s bench 0 MKSTREAM\r\n", key);
    conn_send(&conn, create, strlen(create));
    conn_skip(&conn); /* the first worker makes it, the others are told that it is there */
    (void)printf("{\"ready\":true}\n");
    (void)fflush(stdout);
    do {
        send_answers(&conn, batch, key);
        for (uint32_t i = 0; i < batch->count + (batch->count > 0 ? 1 : 0); i++) {
            (void)conn_reply(&conn); /* of the answers, and of XACK */
        }
        const char *reply = conn_reply(&conn);
        take_batch(batch, reply, conn.buffer + conn.at);
    } while (conn.fd >= 0); /* whoever started it ends it */
    free(batch);
    return 0;
}

/* Sagas ------------------------------------------------------------------------------------- */

struct sagas {
    struct conn starter;
    struct conn ends;
    char start[FIELD_SIZE + 128]; /* the command */
};

static void sagas_open(struct sagas *sagas, char *argv[]) {
    uint64_t port = number(argv[0], 1, 65535);
    conn_open(&sagas->starter, port);
    conn_open(&sagas->ends, port);
    (void)conn_call(&sagas->ends, "SUBSCRIBE saga.completed\r\n");
    static const char DATA[] = "{\"n\":1}";
    size_t len = (size_t)snprintf(sagas->start, 64, "*4\r\n$10\r\nSPOOR.SAGA\r\n$5\r\nSTART\r\n");
    add_bulk(sagas->start, &len, argv[1]);
    add_bulk(sagas->start, &len, DATA);
}

static void wait_end(struct sagas *sagas) {
    (void)conn_reply(&sagas->ends);
}

static int one(char *argv[]) {
    struct sagas sagas;
    uint64_t count = number(argv[2], 1, 10000000);
    uint64_t *times = must_calloc(count, sizeof(*times));
    sagas_open(&sagas, argv);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t before_ns = now_ns();
        conn_send(&sagas.starter, sagas.start, strlen(sagas.start));
        wait_end(&sagas);
        times[i] = now_ns() - before_ns;
        (void)conn_reply(&sagas.starter);
    }
    (void)printf("{\"kind\":\"one\",\"sagas\":%" PRIu64 ",", count);
    show_times("saga", times, count);
    (void)printf("}\n");
    free(times);
    return 0;
}

static void start_many(struct sagas *sagas, uint64_t count) {
    size_t size = strlen(sagas->start);
    char *text = must_calloc(PIPELINE, size);
    for (size_t i = 0; i < PIPELINE; i++) {
        memcpy(text + i * size, sagas->start, size);
    }
    while (count > 0) {
        uint64_t now = count < PIPELINE ? count : PIPELINE;
        conn_send(&sagas->starter, text, now * size);
        for (uint64_t i = 0; i < now; i++) {
            (void)conn_reply(&sagas->starter);
        }
        count -= now;
    }
    free(text);
}

/* As many ends as came are as many new starts; replies to starts are taken when they are there. */
static void keep_busy(struct sagas *sagas, uint64_t count, uint64_t at_once) {
    uint64_t started = at_once;
    uint64_t ended = 0;
    const char *reply = NULL;
    char *text = must_calloc(at_once, strlen(sagas->start));
    start_many(sagas, at_once);
    while (ended < count) {
        size_t len = 0;
        conn_fill(&sagas->ends);
        while (conn_take(&sagas->ends, NULL, NULL, &reply)) {
            ended++;
            if (started < count) {
                memcpy(text + len, sagas->start, strlen(sagas->start));
                len += strlen(sagas->start);
                started++;
            }
        }
        conn_send(&sagas->starter, text, len);
        for (size_t i = 0; i < len / strlen(sagas->start); i++) {
            (void)conn_reply(&sagas->starter);
        }
    }
    free(text);
}

static int many(char *argv[]) {
    struct sagas sagas;
    uint64_t count = number(argv[2], 1, 10000000);
    uint64_t at_once = number(argv[3], 1, 10000);
    at_once = at_once < count ? at_once : count;
    sagas_open(&sagas, argv);
    uint64_t before_ns = now_ns();
    keep_busy(&sagas, count, at_once);
    double seconds = (double)(now_ns() - before_ns) / 1e9;
    (void)printf("{\"kind\":\"many\",\"sagas\":%" PRIu64 ",\"at_once\":%" PRIu64
                 ",\"seconds\":%.3f,\"sagas_per_s\":%.0f}\n",
                 count, at_once, seconds, (double)count / seconds);
    return 0;
}

static int start(char *argv[]) {
    struct sagas sagas;
    uint64_t count = number(argv[2], 1, 100000000);
    sagas_open(&sagas, argv);
    uint64_t before_ns = now_ns();
    start_many(&sagas, count);
    double seconds = (double)(now_ns() - before_ns) / 1e9;
    (void)printf("{\"kind\":\"start\",\"sagas\":%" PRIu64 ",\"seconds\":%.3f}\n", count, seconds);
    return 0;
}

/* Timers and joins -------------------------------------------------------------------------- */

static uint64_t wall_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/*
 * Sends what `add` writes, PIPELINE commands at a time: the next ones go out before the replies to
 * those before them are read, so that the server always has something to do.
 */
typedef size_t add_fn(void *context, uint64_t number, char *to);

static void skip_replies(struct conn *conn, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        (void)conn_reply(conn);
    }
}

static double send_all(uint64_t port, uint64_t count, add_fn *add, void *context) {
    struct conn conn;
    char *text = must_calloc(PIPELINE, COMMAND_SIZE);
    conn_open(&conn, port);
    uint64_t before_ns = now_ns();
    uint64_t unread = 0;
    for (uint64_t sent = 0; sent < count;) {
        size_t len = 0;
        uint64_t now = count - sent < PIPELINE ? count - sent : PIPELINE;
        for (uint64_t i = 0; i < now; i++) {
            len += add(context, sent + i, text + len);
        }
        conn_send(&conn, text, len);
        skip_replies(&conn, unread);
        unread = now;
        sent += now;
    }
    skip_replies(&conn, unread);
    double seconds = (double)(now_ns() - before_ns) / 1e9;
    free(text);
    conn_close(&conn);
    return seconds;
}

struct delays {
    const char *type;
    uint64_t first_ms;
    uint64_t over_ms;
    uint64_t count;
};

static size_t add_delay(void *context, uint64_t number, char *to) {
    const struct delays *delays = context;
    uint64_t due_ms = delays->first_ms + delays->over_ms * number / delays->count;
    time_t seconds = (time_t)(due_ms / 1000);
    struct tm parts;
    char due[64];
    char data[64];
    size_t len = 0;
    (void)gmtime_r(&seconds, &parts);
    size_t used = strftime(due, sizeof(due), "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(due + used, sizeof(due) - used, ".%03uZ", (unsigned)(due_ms % 1000));
    (void)snprintf(data, sizeof(data), "{\"due_ms\":%" PRIu64 "}", due_ms);
    const char *const words[] = {"SPOOR.APPEND", "bench", "*",         delays->type, data,
                                 "source",       "bench", "deliverat", due};
    len += (size_t)snprintf(to, 16, "*%zu\r\n", sizeof(words) / sizeof(*words));
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        add_bulk(to, &len, words[i]);
    }
    return len;
}

static int delay(char *argv[]) {
    struct delays delays = {.type = argv[1],
                            .count = number(argv[2], 1, 10000000),
                            .first_ms = number(argv[3], 1, UINT64_MAX / 2),
                            .over_ms = number(argv[4], 0, UINT64_MAX / 2 / 10000000)};
    double seconds = send_all(number(argv[0], 1, 65535), delays.count, add_delay, &delays);
    (void)printf("{\"kind\":\"delay\",\"events\":%" PRIu64 ",\"seconds\":%.3f}\n", delays.count,
                 seconds);
    return 0;
}

struct lateness {
    uint64_t *times;
    uint64_t count;
};

static void take_late(void *context, const char *bytes, size_t size) {
    static const char NAME[] = "\"due_ms\":";
    struct lateness *late = context;
    const char *found = memmem(bytes, size, NAME, sizeof(NAME) - 1);
    if (found != NULL) {
        uint64_t due_us = strtoull(found + sizeof(NAME) - 1, NULL, 10) * 1000;
        uint64_t now_us = wall_us();
        late->times[late->count++] = now_us > due_us ? (now_us - due_us) * 1000 : 0;
    }
}

static int listen_to(char *argv[]) {
    struct conn conn;
    char text[FIELD_SIZE];
    uint64_t count = number(argv[2], 1, 10000000);
    struct lateness late = {.times = must_calloc(count + BATCH, sizeof(uint64_t))};
    conn_open(&conn, number(argv[0], 1, 65535));
    (void)snprintf(text, sizeof(text), "SUBSCRIBE %s\r\n", argv[1]);
    (void)conn_call(&conn, text);
    (void)printf("{\"ready\":true}\n");
    (void)fflush(stdout);
    while (late.count < count) {
        const char *reply = NULL;
        if (!conn_take(&conn, take_late, &late, &reply)) {
            conn_fill(&conn);
        }
    }
    (void)printf("{\"kind\":\"listen\",\"events\":%" PRIu64 ",", late.count);
    show_times("late", late.times, late.count);
    (void)printf("}\n");
    free(late.times);
    return 0;
}

struct keyed {
    const char *type;
    uint64_t keys;
};

static size_t add_keyed(void *context, uint64_t number, char *to) {
    const struct keyed *keyed = context;
    char data[64];
    size_t len = 0;
    (void)snprintf(data, sizeof(data), "{\"customer_id\":\"c-%" PRIu64 "\"}", number % keyed->keys);
    const char *const words[] = {"SPOOR.APPEND", "bench",  "*",    keyed->type,
                                 data,           "source", "bench"};
    len += (size_t)snprintf(to, 16, "*%zu\r\n", sizeof(words) / sizeof(*words));
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        add_bulk(to, &len, words[i]);
    }
    return len;
}

static int append(char *argv[]) {
    struct keyed keyed = {.type = argv[1], .keys = number(argv[2], 1, 10000000)};
    uint64_t count = number(argv[3], 1, 100000000);
    double seconds = send_all(number(argv[0], 1, 65535), count, add_keyed, &keyed);
    (void)printf("{\"kind\":\"append\",\"events\":%" PRIu64 ",\"seconds\":%.3f,"
                 "\"events_per_s\":%.0f}\n",
                 count, seconds, (double)count / seconds);
    return 0;
}

int main(int argc, char *argv[]) {
    static const struct {
        const char *name;
        int argc;
        int (*run)(char *argv[]);
    } kinds[] = {
        {"work", 4, work},   {"one", 5, one},          {"many", 6, many},     {"start", 5, start},
        {"delay", 7, delay}, {"listen", 5, listen_to}, {"append", 6, append},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (argc == kinds[i].argc && strcmp(argv[1], kinds[i].name) == 0) {
            return kinds[i].run(argv + 2);
        }
    }
    (void)fprintf(stderr, "usage: saga_load work PORT PATTERN\n"
                          "       saga_load one PORT SAGA COUNT\n"
                          "       saga_load many PORT SAGA COUNT AT_ONCE\n"
                          "       saga_load start PORT SAGA COUNT\n"
                          "       saga_load delay PORT TYPE COUNT FIRST_DUE_MS OVER_MS\n"
                          "       saga_load listen PORT TYPE COUNT\n"
                          "       saga_load append PORT TYPE KEYS COUNT\n");
    return 2;
}
