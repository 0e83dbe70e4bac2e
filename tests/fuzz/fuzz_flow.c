/*
 * Events for the flows, one a line as JSON: definitions, proposals, decisions, delayed events, and
 * what nobody but the store writes. All of it is folded, what is to be done is done and folded too;
 * then a restored state, and one folded anew, are the same.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "event/event_json.h"
#include "flow/flow.h"

enum { EVENTS_MAX = 120, LINE_BYTES_MAX = 8192, WORKS_PER_EVENT = 4 };

#define START   UINT64_C(1700000000000000)
#define STEP_US UINT64_C(1500000)

struct kept {
    char *line;
    size_t len;
};

struct log {
    struct kept events[EVENTS_MAX];
    uint32_t count;
    struct sp_buf scratch;      /* of the event that is applied */
    struct sp_buf read_scratch; /* of those that are read */
};

/* False: it is no event. */
static bool event_at(const struct log *log, uint32_t number, struct sp_buf *scratch,
                     struct sp_event *ret_event) {
    const struct kept *kept = &log->events[number];
    sp_buf_reset(scratch);
    *ret_event = (struct sp_event){.position = 0};
    if (sp_event_from_json(sp_str_of(kept->line, kept->len), SP_EVENT_LENIENT, scratch, ret_event,
                           NULL) != SP_OK) {
        return false;
    }
    sp_str *attr = ret_event->attr;
    ret_event->position = number + 1u;
    ret_event->version = number + 1u;
    ret_event->recorded_us = START + STEP_US * number;
    attr[SP_ATTR_TYPE] = attr[SP_ATTR_TYPE].len > 0 ? attr[SP_ATTR_TYPE] : SP_STR("t");
    attr[SP_ATTR_SOURCE] = attr[SP_ATTR_SOURCE].len > 0 ? attr[SP_ATTR_SOURCE] : SP_STR("s");
    attr[SP_ATTR_STREAM] = attr[SP_ATTR_STREAM].len > 0 ? attr[SP_ATTR_STREAM] : SP_STR("s");
    attr[SP_ATTR_ID] = attr[SP_ATTR_ID].len > 0 ? attr[SP_ATTR_ID] : SP_STR("id");
    attr[SP_ATTR_CORRELATION] =
        attr[SP_ATTR_CORRELATION].len > 0 ? attr[SP_ATTR_CORRELATION] : SP_STR("run");
    return true;
}

static sp_status read_event(void *context, uint64_t position, struct sp_event *ret_event,
                            struct sp_error *error) {
    struct log *log = context;
    if (position == 0 || position > log->count) {
        return sp_error_set(error, SP_NOT_FOUND, "no such event");
    }
    sp_require(event_at(log, (uint32_t)position - 1, &log->read_scratch, ret_event));
    return SP_OK;
}

static bool keep(struct log *log, sp_str line) {
    struct sp_event event;
    if (log->count == EVENTS_MAX || line.len > LINE_BYTES_MAX) {
        return false;
    }
    struct kept *kept = &log->events[log->count];
    kept->line = malloc(line.len + 1);
    sp_require(kept->line != NULL);
    memcpy(kept->line, line.len == 0 ? "" : line.ptr, line.len);
    kept->len = line.len;
    if (!event_at(log, log->count, &log->scratch, &event)) {
        free(kept->line);
        return false;
    }
    log->count++;
    return true;
}

static void fold(struct sp_flow *flow, struct log *log, uint32_t number) {
    struct sp_event event;
    struct sp_error error;
    sp_require(event_at(log, number, &log->scratch, &event));
    sp_require(sp_flow_apply(flow, &event, &error) == SP_OK);
}

static void append_out(struct sp_flow *flow, struct log *log, const struct sp_flow_out *out) {
    struct sp_buf line;
    sp_buf_init(&line, SIZE_MAX);
    for (uint32_t i = 0; i < out->count; i++) {
        struct sp_event event;
        sp_flow_out_event(out, i, &event);
        sp_buf_reset(&line);
        sp_event_to_json(&event, NULL, &line);
        if (keep(log, sp_buf_str(&line))) {
            fold(flow, log, log->count - 1);
        }
    }
    sp_buf_fini(&line);
}

static void work(struct sp_flow *flow, struct log *log, struct sp_flow_out *out) {
    struct sp_flow_ports ports = {.context = log, .read = read_event};
    struct sp_flow_work item;
    struct sp_error error;
    uint64_t now_us = START + STEP_US * log->count;
    for (uint32_t i = 0; i < WORKS_PER_EVENT && log->count + SP_FLOW_OUT_EVENTS_MAX < EVENTS_MAX &&
                         sp_flow_next(flow, now_us, &item);
         i++) {
        struct sp_flow_now now = {.now_us = now_us, .random = log->count, .ports = &ports};
        struct sp_buf view;
        memcpy(now.new_id, &log->count, sizeof(log->count));
        sp_buf_init(&view, 1 << 20);
        sp_status status =
            item.program.len == 0 ? SP_OK : sp_flow_ask(flow, &item, &ports, &view, &error);
        now.answer.value = view.len > 0 ? sp_buf_str(&view) : SP_STR("null");
        sp_flow_out_reset(out);
        status = status == SP_OK ? sp_flow_act(flow, &item, &now, out, &error) : status;
        if (status == SP_OK) {
            append_out(flow, log, out);
        }
        sp_buf_fini(&view);
    }
}

static struct sp_flow *fresh(void) {
    struct sp_flow *flow = NULL;
    sp_require(sp_flow_new(&flow, NULL) == SP_OK);
    return flow;
}

static void compare(const struct sp_flow *flow, struct log *log) {
    struct sp_flow *other = fresh();
    for (uint32_t i = 0; i < log->count; i++) {
        fold(other, log, i);
    }
    sp_require(sp_flow_hash(other) == sp_flow_hash(flow));
    sp_flow_free(other);
    other = fresh();
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    sp_flow_encode(flow, &bytes);
    struct sp_wire wire = sp_wire_of(bytes.data, bytes.len);
    sp_require(sp_flow_restore(other, &wire, NULL) == SP_OK);
    sp_require(sp_flow_hash(other) == sp_flow_hash(flow));
    sp_require(sp_flow_oldest(other) == sp_flow_oldest(flow));
    sp_buf_fini(&bytes);
    sp_flow_free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct log log;
    struct sp_flow *flow = fresh();
    struct sp_flow_out *out = calloc(1, sizeof(*out));
    sp_str rest = sp_str_of(data, size);
    sp_require(out != NULL);
    sp_flow_out_init(out);
    log.count = 0;
    sp_buf_init(&log.scratch, SIZE_MAX);
    sp_buf_init(&log.read_scratch, SIZE_MAX);
    while (rest.len > 0 && log.count < EVENTS_MAX) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end == NULL ? rest.len : (size_t)(end - rest.ptr);
        if (keep(&log, sp_str_of(rest.ptr, len))) {
            fold(flow, &log, log.count - 1);
            work(flow, &log, out);
        }
        rest = sp_str_from_byte(rest, end == NULL ? len : len + 1);
    }
    compare(flow, &log);
    for (uint32_t i = 0; i < log.count; i++) {
        free(log.events[i].line);
    }
    sp_flow_out_fini(out);
    free(out);
    sp_buf_fini(&log.scratch);
    sp_buf_fini(&log.read_scratch);
    sp_flow_free(flow);
    return 0;
}
