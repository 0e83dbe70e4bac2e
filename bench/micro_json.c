/*
 * How fast one event of 300 bytes is read and written as JSON, in one thread: prints one JSON line
 * a measure. `check` validates the text, `tokens` pulls each token, `filter` looks up one field of
 * data and passes over the rest, as a content filter does; `prose` is a text of one long string;
 * `import` makes an event of the text and checks it, `export` writes it as a line again.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "event/event_json.h"

enum { ROUNDS = 400000, REPEATS = 5 };

static const char EVENT[] =
    "{\"id\":\"0192f3c1-7a4e-7c1b-9d2e-5b6f8a901234\",\"type\":\"task.completed\","
    "\"source\":\"agent:reviewer-7\",\"stream\":\"task-4711\",\"correlationid\":\"run-2026-11-17\","
    "\"data\":{\"task_id\":4711,\"status\":\"done\",\"score\":0.9375,\"domain\":\"financial\","
    "\"tags\":[\"a\",\"b\"],\"amount\":129.5,\"note\":\"approved after two passes, none open\"}}";

static double now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static size_t run_check(sp_str text) {
    return sp_json_check(text, NULL) == SP_OK;
}

static size_t run_tokens(sp_str text) {
    struct sp_json json;
    sp_json_init(&json, text);
    size_t count = 0;
    enum sp_json_type type;
    do {
        type = sp_json_next(&json).type;
        count++;
    } while (type != SP_JSON_END && type != SP_JSON_ERROR);
    return count;
}

/* Passes members until the key; returns its value's first token. */
static struct sp_json_token find(struct sp_json *json, sp_str key) {
    for (;;) {
        struct sp_json_token token = sp_json_next(json);
        if (token.type != SP_JSON_KEY) {
            return token;
        }
        bool found = sp_json_equal(token, key);
        token = sp_json_next(json);
        if (found) {
            return token;
        }
        (void)sp_json_skip(json, token);
    }
}

static size_t run_filter(sp_str text) {
    struct sp_json json;
    sp_json_init(&json, text);
    (void)sp_json_next(&json);
    (void)find(&json, SP_STR("data"));
    return sp_json_number(find(&json, SP_STR("amount")).raw) > 100.0;
}

static struct sp_event event;
static struct sp_buf scratch;
static struct sp_buf line;

static size_t run_import(sp_str text) {
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    sp_buf_reset(&scratch);
    return sp_event_from_json(text, SP_EVENT_LENIENT, &scratch, &event, NULL) == SP_OK &&
           sp_event_check(&event, SP_EVENT_FROM_JSON, &limits, &scratch, NULL) == SP_OK;
}

static size_t run_export(sp_str text) {
    (void)text;
    sp_buf_reset(&line);
    sp_event_to_json(&event, NULL, &line);
    return line.len;
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
    printf("{\"bench\":\"json_%s\",\"bytes\":%zu,\"ns\":%.1f,\"gb_per_s\":%.3f,\"result\":%zu}\n",
           name, text.len, best_ns, (double)text.len / best_ns, sum / ROUNDS / REPEATS);
}

int main(void) {
    sp_str event_text = SP_STR(EVENT);
    static char prose[4096];
    memset(prose, 'x', sizeof(prose));
    prose[0] = '"';
    prose[sizeof(prose) - 1] = '"';
    measure("check", run_check, event_text);
    measure("tokens", run_tokens, event_text);
    measure("filter", run_filter, event_text);
    measure("prose", run_check, sp_str_of(prose, sizeof(prose)));
    sp_buf_init(&scratch, 1 << 20);
    sp_buf_init(&line, 1 << 20);
    measure("import", run_import, event_text);
    measure("export", run_export, event_text);
    sp_buf_fini(&scratch);
    sp_buf_fini(&line);
    return 0;
}
