/* What joins have to tell: which of it comes next, what its programs see, what is appended. */
#include "base/time.h"
#include "flow/join_int.h"
#include "flow/members.h"

#define STREAM     SP_STR("$joins")
#define X_POSITION SP_STR("joinposition")
#define X_DEFINED  SP_STR("joindefined")

enum { ID_BYTES_MAX = SP_DOC_NAME_BYTES_MAX + 64, DIGITS_MAX = 20 };

/* ---- next ---- */

static sp_str program_of(const struct sp_joins *joins, const struct sp_flow_work *work) {
    const struct join *join = join_at(joins, work->c);
    if (join == NULL || (work->kind != JOIN_EMIT && work->kind != JOIN_TIMEOUT)) {
        return (sp_str){.ptr = NULL, .len = 0};
    }
    return work->kind == JOIN_EMIT ? join->definition->emit.data
                                   : join->definition->on_timeout.data;
}

/* The next window of the join that ran out of time before somebody was told. */
static bool next_timeout(struct sp_joins *joins, struct join *join, uint64_t now_us,
                         struct sp_flow_work *ret_work) {
    while (join->cursor != JOIN_NONE) {
        uint32_t slot = join->cursor;
        const struct window *window = joins->windows[slot];
        if (window_end(join, window) > now_us) {
            return false;
        }
        join->cursor = window->next;
        if (window->state == WINDOW_OPEN) {
            *ret_work = (struct sp_flow_work){.kind = JOIN_TIMEOUT,
                                              .a = window_first(window),
                                              .b = slot,
                                              .c = join->defined_position};
            return true;
        }
    }
    return false;
}

static bool next_by_time(struct sp_joins *joins, uint64_t now_us, struct sp_flow_work *ret_work) {
    struct sp_timer timer;
    while (sp_timers_take(&joins->timers, now_us, &timer)) {
        struct join *join = join_at(joins, timer.a);
        if (join == NULL || join->is_gone || join->cursor == JOIN_NONE) {
            continue;
        }
        uint64_t end = window_end(join, joins->windows[join->cursor]);
        bool is_found = end <= now_us && next_timeout(joins, join, now_us, ret_work);
        /* The heap has just given room for one. */
        if (join_arm(joins, join) != SP_OK) {
            join->cursor = join->first;
        }
        if (is_found) {
            return true;
        }
    }
    return false;
}

bool join_next(void *self, uint64_t now_us, struct sp_flow_work *ret_work) {
    struct sp_joins *joins = self;
    const struct sp_queue_item *item = sp_queue_next(&joins->queue);
    if (item != NULL) {
        *ret_work =
            (struct sp_flow_work){.kind = item->kind, .a = item->a, .b = item->b, .c = item->c};
    } else if (!next_by_time(joins, now_us, ret_work)) {
        return false;
    }
    ret_work->program = program_of(joins, ret_work);
    return true;
}

void join_back(void *self, const struct sp_flow_work *work) {
    struct sp_joins *joins = self;
    struct join *join = join_at(joins, work->c);
    sp_queue_back(&joins->queue, work->kind, work->a, work->c);
    if (join != NULL && !join->is_gone && work->kind == JOIN_TIMEOUT) {
        join->cursor = join->first;
        if (join_arm(joins, join) != SP_OK) {
            join->cursor = JOIN_NONE; /* the next window that begins arms it again */
        }
    }
}

uint64_t join_due(const void *self) {
    const struct sp_joins *joins = self;
    return sp_queue_has_next(&joins->queue) ? 0 : sp_timers_due(&joins->timers);
}

/* The window that a work is about; NULL: it is told already. */
static const struct window *window_of(const struct sp_joins *joins,
                                      const struct sp_flow_work *work) {
    const struct window *window = work->b < joins->window_count ? joins->windows[work->b] : NULL;
    if (window == NULL || window_first(window) != work->a ||
        window->join->defined_position != work->c) {
        return NULL;
    }
    bool is_due = work->kind == JOIN_EMIT
                      ? window->state == WINDOW_READY
                      : window->state == WINDOW_OPEN || window->state == WINDOW_TIMING;
    return is_due ? window : NULL;
}

/* ---- ask ---- */

static void put_comma(struct sp_buf *to) {
    if (to->len > 0 && to->data[to->len - 1] != '{' && to->data[to->len - 1] != '[') {
        sp_buf_add_byte(to, ',');
    }
}

static void put_event(struct sp_buf *to, const struct sp_event *event, bool with_data) {
    sp_buf_add_byte(to, '{');
    sp_put_text(to, "id", event->attr[SP_ATTR_ID]);
    sp_put_text(to, "type", event->attr[SP_ATTR_TYPE]);
    sp_put_text(to, "source", event->attr[SP_ATTR_SOURCE]);
    sp_put_text(to, "stream", event->attr[SP_ATTR_STREAM]);
    sp_put_number(to, "position", event->position);
    sp_put_text(to, "time", event->attr[SP_ATTR_TIME]);
    sp_put_time(to, "recordedtime", event->recorded_us);
    if (with_data) {
        bool is_json = event->has_data && event->data_is_json;
        sp_put_json(to, "data", is_json ? event->data : SP_STR("null"));
    }
    sp_buf_add_byte(to, '}');
}

static sp_status write_view(const struct join *join, const struct window *window, bool with_data,
                            const struct sp_flow_ports *ports, struct sp_buf *to,
                            struct sp_error *error) {
    const struct sp_join_definition *definition = join->definition;
    struct sp_event event;
    sp_buf_add_byte(to, '{');
    sp_put_text(to, "join", definition->name);
    sp_put_text(to, "key", window_key(window));
    sp_put_time(to, "first_at", window->first_us);
    sp_buf_add_str(to, SP_STR(",\"events\":{"));
    for (uint32_t i = 0; i < definition->type_count; i++) {
        if (window->positions[i] != 0) {
            sp_status status = ports->read(ports->context, window->positions[i], &event, error);
            if (status != SP_OK) {
                return status;
            }
            put_comma(to);
            sp_json_add_string(to, definition->types[i]);
            sp_buf_add_byte(to, ':');
            put_event(to, &event, with_data);
        }
    }
    sp_buf_add_str(to, SP_STR("},\"missing\":["));
    for (uint32_t i = 0; i < definition->type_count; i++) {
        if (window->positions[i] == 0) {
            put_comma(to);
            sp_json_add_string(to, definition->types[i]);
        }
    }
    sp_buf_add_str(to, SP_STR("]}"));
    return to->status == SP_OK ? SP_OK : sp_error_set(error, to->status, "the events of a join");
}

sp_status join_ask(void *self, const struct sp_flow_work *work, const struct sp_flow_ports *ports,
                   struct sp_buf *to, struct sp_error *error) {
    struct sp_joins *joins = self;
    const struct window *window = window_of(joins, work);
    if (window == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "it is told already");
    }
    return write_view(window->join, window, true, ports, to, error);
}

/* ---- act ---- */

static void tell(struct sp_flow_out *out, sp_str type, const struct sp_flow_work *work,
                 const struct sp_event *cause) {
    sp_flow_out_begin(out, type, STREAM);
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, cause->attr[SP_ATTR_ID]);
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, cause->attr[SP_ATTR_CORRELATION]);
    sp_flow_out_number(out, X_POSITION, work->a);
    sp_flow_out_number(out, X_DEFINED, work->c);
}

/* `join:<name>:<first position>` */
static sp_str id_of(const struct join *join, uint64_t position, sp_str end, char to[ID_BYTES_MAX]) {
    char digits[DIGITS_MAX];
    size_t at = sizeof(digits);
    size_t len = 0;
    do {
        digits[--at] = (char)('0' + position % 10);
        position /= 10;
    } while (position > 0);
    const sp_str parts[] = {SP_STR("join:"), sp_str_from(join->name), SP_STR(":"),
                            sp_str_of(digits + at, sizeof(digits) - at), end};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        sp_require(len + parts[i].len <= ID_BYTES_MAX);
        memcpy(to + len, parts[i].len == 0 ? "" : parts[i].ptr, parts[i].len);
        len += parts[i].len;
    }
    return sp_str_of(to, len);
}

static sp_str stream_of(const struct join *join, const struct sp_join_emit *emit,
                        char to[ID_BYTES_MAX]) {
    size_t len = strlen(join->name);
    if (emit->stream.len > 0) {
        return emit->stream;
    }
    memcpy(to, "join:", 5);
    memcpy(to + 5, join->name, len);
    return sp_str_of(to, len + 5);
}

/* The event itself. */
static sp_status add_event(const struct window *window, const struct sp_join_emit *emit, sp_str id,
                           const struct sp_flow_now *now, const struct sp_event *cause,
                           struct sp_flow_out *out, struct sp_error *error) {
    const struct join *join = window->join;
    char stream[ID_BYTES_MAX];
    sp_status status = SP_OK;
    sp_flow_out_begin(out, emit->type, stream_of(join, emit, stream));
    sp_flow_out_attr(out, SP_ATTR_ID, id);
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, cause->attr[SP_ATTR_ID]);
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, cause->attr[SP_ATTR_CORRELATION]);
    sp_flow_out_text(out, SP_STR("join"), sp_str_from(join->name));
    sp_flow_out_text(out, SP_STR("joinkey"), window_key(window));
    struct sp_buf *data = sp_flow_out_data_begin(out);
    if (emit->data.len > 0) {
        sp_buf_add_str(data, now->answer.value);
    } else {
        status = write_view(join, window, false, now->ports, data, error);
    }
    sp_flow_out_data_end(out);
    return status;
}

/* What is told of it in `$joins`. */
static void add_told(const struct window *window, const struct sp_flow_work *work, sp_str id,
                     sp_str failure, const struct sp_event *cause, struct sp_flow_out *out) {
    const struct sp_join_definition *definition = window->join->definition;
    sp_str type = work->kind == JOIN_TIMEOUT ? SP_STR("join.timed_out")
                  : failure.len > 0          ? SP_STR("join.failed")
                                             : SP_STR("join.emitted");
    tell(out, type, work, cause);
    struct sp_buf *data = sp_flow_out_data_begin(out);
    sp_buf_add_byte(data, '{');
    sp_put_text(data, "join", definition->name);
    sp_put_text(data, "key", window_key(window));
    sp_put_text(data, "event", failure.len > 0 ? SP_STR("") : id);
    sp_buf_add_str(data, SP_STR(",\"positions\":{"));
    for (uint32_t i = 0; i < definition->type_count; i++) {
        if (window->positions[i] != 0) {
            put_comma(data);
            sp_json_add_string(data, definition->types[i]);
            sp_buf_add_byte(data, ':');
            sp_buf_add_u64(data, window->positions[i]);
        }
    }
    sp_buf_add_byte(data, '}');
    sp_put_text(data, "error", failure);
    sp_buf_add_byte(data, '}');
    sp_flow_out_data_end(out);
}

/* The event that completed it, or, of one that was not, the newest one. */
static uint64_t newest_of(const struct window *window) {
    uint64_t newest = 0;
    for (uint32_t i = 0; i < window->types; i++) {
        newest = window->positions[i] > newest ? window->positions[i] : newest;
    }
    return newest;
}

static sp_status act_window(struct sp_joins *joins, const struct sp_flow_work *work,
                            const struct sp_flow_now *now, struct sp_flow_out *out,
                            struct sp_error *error) {
    const struct window *window = window_of(joins, work);
    struct sp_event first;
    struct sp_event cause;
    char id_room[ID_BYTES_MAX];
    if (window == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "it is told already");
    }
    const struct join *join = window->join;
    bool is_timeout = work->kind == JOIN_TIMEOUT;
    const struct sp_join_emit *emit =
        is_timeout ? &join->definition->on_timeout : &join->definition->emit;
    sp_str id = id_of(join, work->a, is_timeout ? SP_STR(":timeout") : SP_STR(""), id_room);
    sp_status status = now->ports->read(now->ports->context, work->a, &first, error);
    /* The run is that of the first event: kept beside, as reading goes on. */
    sp_buf_reset(&joins->scratch);
    if (status == SP_OK) {
        sp_buf_add_str(&joins->scratch, first.attr[SP_ATTR_CORRELATION]);
        status = now->ports->read(now->ports->context, newest_of(window), &cause, error);
    }
    if (status != SP_OK) {
        return status;
    }
    size_t run_len = joins->scratch.len;
    sp_buf_add_str(&joins->scratch, cause.attr[SP_ATTR_ID]);
    if (joins->scratch.status != SP_OK) {
        return sp_error_set(error, joins->scratch.status, "joins");
    }
    sp_str both = sp_buf_str(&joins->scratch);
    cause.attr[SP_ATTR_CORRELATION] = sp_str_of(both.ptr, run_len);
    cause.attr[SP_ATTR_ID] = sp_str_from_byte(both, run_len);
    bool failed = now->answer.refused || (emit->data.len > 0 && now->answer.status != SP_OK);
    if (!failed) {
        status = add_event(window, emit, id, now, &cause, out, error);
        if (status != SP_OK) {
            return status;
        }
    }
    sp_str failure = now->answer.error.len > 0 ? now->answer.error : SP_STR("it failed");
    add_told(window, work, id, failed ? failure : SP_STR(""), &cause, out);
    return sp_flow_out_status(out);
}

static sp_status act_note(struct sp_joins *joins, const struct sp_flow_work *work,
                          const struct sp_flow_now *now, struct sp_flow_out *out,
                          struct sp_error *error) {
    const struct join *join = join_at(joins, work->c);
    struct sp_event event;
    if (join == NULL || sp_queue_find(&joins->queue, work->kind, work->a, work->c) == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "it is told already");
    }
    sp_status status = now->ports->read(now->ports->context, work->a, &event, error);
    if (status != SP_OK) {
        return status;
    }
    bool is_late = work->kind == JOIN_LATE;
    tell(out, is_late ? SP_STR("join.late") : SP_STR("join.full"), work, &event);
    struct sp_buf *data = sp_flow_out_data_begin(out);
    sp_buf_add_byte(data, '{');
    sp_put_text(data, "join", sp_str_from(join->name));
    if (is_late) {
        sp_put_text(data, "event", event.attr[SP_ATTR_ID]);
        sp_put_text(data, "type", event.attr[SP_ATTR_TYPE]);
        sp_put_number(data, "position", event.position);
    } else {
        sp_put_number(data, "limit", join->definition->open_max);
    }
    sp_buf_add_byte(data, '}');
    sp_flow_out_data_end(out);
    return sp_flow_out_status(out);
}

sp_status join_act(void *self, const struct sp_flow_work *work, const struct sp_flow_now *now,
                   struct sp_flow_out *out, struct sp_error *error) {
    struct sp_joins *joins = self;
    if (work->kind == JOIN_EMIT || work->kind == JOIN_TIMEOUT) {
        return act_window(joins, work, now, out, error);
    }
    return act_note(joins, work, now, out, error);
}
