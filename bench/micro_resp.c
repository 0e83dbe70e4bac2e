/*
 * What the Redis protocol costs without its sockets, in one thread: prints one JSON line a measure.
 * `read` parses an XADD of five arguments, `inline` a command typed by hand; `write` a reply with
 * the entry's id; `entry_in` makes an event of one field of 100 bytes, `entry_out` writes it again;
 * `order_in` and `order_out` are a typed entry of six fields, `payload_in` and `payload_out` one
 * with JSON data and three extensions.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/entry.h"
#include "proto/resp_read.h"

enum { ROUNDS = 400000, REPEATS = 5, FIELDS_MAX = 16 };

#define HUNDRED                                                                                    \
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrst" \
    "uvwxyzAB"

static const char XADD[] =
    "*5\r\n$4\r\nXADD\r\n$9\r\nstream:17\r\n$1\r\n*\r\n$1\r\nf\r\n$100\r\n" HUNDRED "\r\n";
static const char INLINE[] =
    "XADD stream:17 * name \"a value with \\\"quotes\\\"\" other plain\r\n";

static double now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static struct sp_resp_reader reader;
static struct sp_buf scratch;
static struct sp_buf reply;
static struct sp_event event;
static struct sp_entry entry;
static sp_str fields[FIELDS_MAX];

static size_t run_read(sp_str text) {
    static const struct sp_resp_limits limits = SP_RESP_LIMITS_DEFAULT;
    struct sp_resp_command command;
    return sp_resp_read(&reader, text.ptr, text.len, &limits, &command) == SP_RESP_COMMAND
               ? command.argc
               : 0;
}

static size_t run_write(sp_str text) {
    (void)text;
    struct sp_resp resp = {.to = &reply, .version = SP_RESP_2};
    sp_buf_reset(&reply);
    sp_resp_id(&resp, (struct sp_entry_id){.ms = 1795153752123, .seq = 42});
    return reply.len;
}

static size_t run_in(sp_str text) {
    (void)text;
    static const struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    sp_buf_reset(&scratch);
    return sp_entry_to_event(&entry, &limits, &scratch, &event, NULL) == SP_OK;
}

static size_t run_out(sp_str text) {
    (void)text;
    struct sp_resp resp = {.to = &reply, .version = SP_RESP_2};
    sp_buf_reset(&reply);
    sp_entry_write(&event, &resp);
    return reply.len;
}

static void measure(const char *name, size_t (*run)(sp_str text), sp_str text) {
    double best_ns = 1e18;
    size_t sum = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double from_ns = now_ns();
        for (int i = 0; i < ROUNDS; i++) {
            sum += run(text);
            /* Keeps the compiler from hoisting the call out of the loop. */
            __asm__ volatile("" : : "r"(text.ptr) : "memory");
        }
        double each_ns = (now_ns() - from_ns) / ROUNDS;
        best_ns = each_ns < best_ns ? each_ns : best_ns;
    }
    printf("{\"bench\":\"resp_%s\",\"bytes\":%zu,\"ns\":%.1f,\"result\":%zu}\n", name, text.len,
           best_ns, sum / ROUNDS / REPEATS);
}

/* Names and values, up to a NULL. */
static void measure_entry(const char *in, const char *out, const char *const *texts) {
    sp_str all = {.ptr = "", .len = 0};
    entry = (struct sp_entry){
        .fields = fields, .stream = SP_STR("stream:17"), .source = SP_STR("client-1")};
    for (; texts[entry.count] != NULL; entry.count++) {
        fields[entry.count] = sp_str_from(texts[entry.count]);
        all.len += fields[entry.count].len;
    }
    measure(in, run_in, all);
    measure(out, run_out, all);
}

int main(void) {
    static const char *const ENTRY[] = {"f", HUNDRED, NULL};
    static const char *const ORDER[] = {"type",     "order.placed", "source", "shop-7", "amount",
                                        "129.50",   "currency",     "EUR",    "item",   "book-4711",
                                        "customer", "c-123456",     NULL};
    static const char *const PAYLOAD[] = {
        "type",   "task.completed",
        "data",   "{\"task_id\":4711,\"status\":\"done\",\"score\":0.9375}",
        "region", "eu-central-1",
        "trace",  "4bf92f3577b34da6a3ce929d0e0e4736",
        "tenant", "t-17",
        NULL};
    sp_resp_reader_init(&reader);
    sp_buf_init(&scratch, 1 << 20);
    sp_buf_init(&reply, 1 << 20);
    measure("read", run_read, SP_STR(XADD));
    measure("inline", run_read, SP_STR(INLINE));
    measure("write", run_write, SP_STR("1795153752123-42"));
    measure_entry("entry_in", "entry_out", ENTRY);
    measure_entry("order_in", "order_out", ORDER);
    measure_entry("payload_in", "payload_out", PAYLOAD);
    sp_resp_reader_fini(&reader);
    sp_buf_fini(&scratch);
    sp_buf_fini(&reply);
    return 0;
}
