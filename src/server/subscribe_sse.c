/*
 * GET /v1/subscribe: a query from a place in the log on, as server-sent events. loop-thread
 *
 *     event: start          data: {"position":1,"log":"…"}     id: 0@log      first of all
 *     (event: <type>)       data: <the event>                  id: 1@log
 *     event: gap            data: {"position":5,"reason":"…"}  id: 4@log      something is lost
 *     event: end            data: {"position":9}               id: 9@log/end  the limit is reached
 *     event: error          data: {"reason":"…"}               an upcaster is broken: it ends
 *     event: metrics        data: <a line of /metrics> …       id: 9@log      with ?metrics=
 *     :                                                        id: 9@log      a beat
 *
 * An id is the position that the client has got to, and what identifies the log: who comes again
 * with one (Last-Event-ID, or ?last_event_id=) goes on behind it. One of another log, or of a place
 * that this log never got to, is refused with 409: to go on there would skip or repeat events, and
 * nobody would notice. One that ends in `/end` is answered 204, which tells an EventSource not to
 * come again.
 *
 * The first message has an id so that a client which has seen nothing yet knows where it began: an
 * EventSource asks with the same URL again, and `from=now` would be a later now.
 */
#include <stdio.h>

#include "base/json.h"
#include "base/time.h"
#include "server/http_parts.h"
#include "server/http_query.h"
#include "server/pubsub_int.h"
#include "server/upcasting.h"

enum {
    RETRY_MS = 1000, /* an EventSource waits so long before it comes again */
    FRAME_BYTES_MAX = 4096,
    REASON_BYTES_MAX = 1024,
    METRICS_BYTES_MAX = 4 << 20,
    METRICS_US_MIN = 500000,
    METRICS_US_MAX = 3600000000,
    US_PER_MS = 1000,
};

static const char END_MARK[] = "/end";

/* ---- frames ---------------------------------------------------------------------------------- */

static void add_id(struct sp_buf *to, uint64_t position, const char *log, const char *mark) {
    sp_buf_add_str(to, SP_STR("id: "));
    sp_buf_add_u64(to, position);
    sp_buf_add_byte(to, '@');
    sp_buf_add_str(to, sp_str_from(log));
    sp_buf_add_str(to, sp_str_from(mark));
    sp_buf_add_byte(to, '\n');
}

/* Up to the first member of its data, a position, inclusive. */
static void begin_frame(struct sp_buf *to, const char *event, uint64_t position) {
    sp_buf_add_str(to, SP_STR("event: "));
    sp_buf_add_str(to, sp_str_from(event));
    sp_buf_add_str(to, SP_STR("\ndata: {\"position\":"));
    sp_buf_add_u64(to, position);
}

static void add_member(struct sp_buf *to, const char *name, sp_str value) {
    sp_buf_add_str(to, SP_STR(",\""));
    sp_buf_add_str(to, sp_str_from(name));
    sp_buf_add_str(to, SP_STR("\":"));
    sp_json_add_string(to, value);
}

/* Sends what was built; a client that misses it would not know, and is to come again instead. */
static void send_frame(struct sp_connection *connection, struct sp_buf *frame) {
    if (frame->status != SP_OK || !sp_http_stream_write(connection, sp_buf_str(frame))) {
        sp_connection_break(connection);
    }
    sp_buf_fini(frame);
}

/*
 * A client that asked for a position which is still to come has got to none of this log: it has no
 * id, and asks with its URL again.
 */
static bool is_reached(const struct sp_pubsub *pubsub, uint64_t position) {
    return position <= pubsub_head(pubsub);
}

static void send_start(struct watch *watch, uint64_t from) {
    const struct sp_pubsub *pubsub = watch->outlet.subscriber->pubsub;
    struct sp_buf frame;
    sp_buf_init(&frame, FRAME_BYTES_MAX);
    sp_buf_add_str(&frame, SP_STR("retry: "));
    sp_buf_add_u64(&frame, RETRY_MS);
    sp_buf_add_byte(&frame, '\n');
    if (is_reached(pubsub, from - 1)) {
        add_id(&frame, from - 1, pubsub->log, "");
    }
    begin_frame(&frame, "start", from);
    add_member(&frame, "log", sp_str_from(pubsub->log));
    sp_buf_add_str(&frame, SP_STR("}\n\n"));
    send_frame(watch->outlet.subscriber->connection, &frame);
}

void pubsub_stream_gap(struct watch *watch, const char *text) {
    struct sp_buf frame;
    uint64_t next = watch->outlet.feed.next;
    sp_str reason = sp_str_from(text);
    reason.len = reason.len > REASON_BYTES_MAX ? REASON_BYTES_MAX : reason.len;
    sp_buf_init(&frame, FRAME_BYTES_MAX);
    add_id(&frame, next - 1, watch->outlet.subscriber->pubsub->log, "");
    begin_frame(&frame, "gap", next);
    add_member(&frame, "reason", reason);
    sp_buf_add_str(&frame, SP_STR("}\n\n"));
    send_frame(watch->outlet.subscriber->connection, &frame);
}

void pubsub_stream_is_over(struct watch *watch) {
    struct sp_connection *connection = watch->outlet.subscriber->connection;
    struct sp_buf frame;
    uint64_t last = watch->outlet.feed.at;
    sp_buf_init(&frame, FRAME_BYTES_MAX);
    add_id(&frame, last, watch->outlet.subscriber->pubsub->log, END_MARK);
    begin_frame(&frame, "end", last);
    sp_buf_add_str(&frame, SP_STR("}\n\n"));
    pubsub_end_watch(watch);
    send_frame(connection, &frame);
    sp_http_stream_end(connection);
}

/* Without an id: who comes again is told again, or shown the event if its upcaster was mended. */
void pubsub_stream_stops(struct watch *watch) {
    struct sp_connection *connection = watch->outlet.subscriber->connection;
    struct sp_buf frame;
    sp_buf_init(&frame, FRAME_BYTES_MAX);
    sp_buf_add_str(&frame, SP_STR("event: error\ndata: {\"reason\":"));
    sp_json_add_string(&frame, sp_str_from(watch->trouble));
    sp_buf_add_str(&frame, SP_STR("}\n\n"));
    pubsub_end_watch(watch);
    send_frame(connection, &frame);
    sp_http_stream_end(connection);
}

/* ---- beats ----------------------------------------------------------------------------------- */

static uint64_t interval_ms(const struct sp_pubsub *pubsub, const struct watch *watch) {
    return watch->beat.metrics_ms > 0
               ? watch->beat.metrics_ms
               : sp_settings_u64(&pubsub->server->settings, SP_SET_SSE_HEARTBEAT);
}

/*
 * Into the list, which is in the order of their times: O(1) but for those who beat faster than
 * others, O(those others).
 */
static void expect_beat(struct sp_pubsub *pubsub, struct watch *watch) {
    struct watch *before = pubsub->beat_last;
    watch->beat.at_ms = pubsub->server->monotonic_ms + interval_ms(pubsub, watch);
    while (before != NULL && before->beat.at_ms > watch->beat.at_ms) {
        before = before->beat.before;
    }
    struct watch **link = before != NULL ? &before->beat.next : &pubsub->beat_first;
    watch->beat.before = before;
    watch->beat.next = *link;
    *link = watch;
    if (watch->beat.next != NULL) {
        watch->beat.next->beat.before = watch;
    } else {
        pubsub->beat_last = watch;
    }
}

void pubsub_forget_beat(struct watch *watch) {
    struct sp_pubsub *pubsub = watch->outlet.subscriber->pubsub;
    struct beat *beat = &watch->beat;
    if (beat->before == NULL && pubsub->beat_first != watch) {
        return; /* it is not there */
    }
    if (beat->before != NULL) {
        beat->before->beat.next = beat->next;
    } else {
        pubsub->beat_first = beat->next;
    }
    if (beat->next != NULL) {
        beat->next->beat.before = beat->before;
    } else {
        pubsub->beat_last = beat->before;
    }
    beat->before = NULL;
    beat->next = NULL;
}

/* Everything up to here that concerns the client was sent to it. */
static uint64_t position_of(const struct sp_pubsub *pubsub, const struct sp_feed *feed) {
    uint64_t done = feed->next - 1;
    return feed->state == SP_FEED_LIVE && pubsub->feeds.seen > done ? pubsub->feeds.seen : done;
}

/* The server's metrics, a line of them as a line of data. */
static void add_metrics(struct sp_pubsub *pubsub, struct sp_buf *to) {
    struct sp_buf text;
    sp_buf_init(&text, METRICS_BYTES_MAX);
    sp_metrics_write(pubsub->server, &text);
    sp_str rest = sp_buf_str(&text);
    sp_buf_add_str(to, SP_STR("event: metrics\n"));
    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        if (rest.ptr[0] != '#') { /* what they mean, a client knows or asks /metrics */
            sp_buf_add_str(to, SP_STR("data: "));
            sp_buf_add_str(to, sp_str_of(rest.ptr, len));
            sp_buf_add_byte(to, '\n');
        }
        rest = sp_str_from_byte(rest, end != NULL ? len + 1 : len);
    }
    sp_buf_fini(&text);
}

/*
 * A comment or metrics, and an id where the log went on without anything for the client: else it
 * would look through all of that when it comes again. Whoever has something unread needs no beat.
 */
static void send_beat(struct sp_pubsub *pubsub, struct watch *watch) {
    struct sp_connection *connection = watch->outlet.subscriber->connection;
    const struct sp_feed *feed = &watch->outlet.feed;
    struct sp_buf frame;
    if (sp_connection_unsent(connection) > 0 || feed->state == SP_FEED_OFF ||
        feed->state == SP_FEED_OVER) {
        return;
    }
    uint64_t position = position_of(pubsub, feed);
    sp_buf_init(&frame, METRICS_BYTES_MAX);
    if (watch->beat.metrics_ms > 0) {
        add_metrics(pubsub, &frame);
    } else {
        sp_buf_add_str(&frame, SP_STR(":\n"));
    }
    if (position > watch->beat.told && position > feed->at && is_reached(pubsub, position)) {
        add_id(&frame, position, pubsub->log, "");
        watch->beat.told = position;
    }
    sp_buf_add_byte(&frame, '\n');
    send_frame(connection, &frame);
}

void pubsub_beat(struct sp_pubsub *pubsub) {
    uint64_t now_ms = pubsub->server->monotonic_ms;
    while (pubsub->beat_first != NULL && pubsub->beat_first->beat.at_ms <= now_ms) {
        struct watch *watch = pubsub->beat_first;
        pubsub_forget_beat(watch);
        send_beat(pubsub, watch);
        expect_beat(pubsub, watch);
    }
}

int pubsub_beat_timeout(const struct sp_pubsub *pubsub) {
    const struct sp_server *server = pubsub->server;
    if (pubsub->beat_first == NULL) {
        return -1;
    }
    uint64_t now_ms = server->clock.monotonic_ns(server->clock.context) / 1000000;
    uint64_t at_ms = pubsub->beat_first->beat.at_ms;
    return at_ms > now_ms ? (int)(at_ms - now_ms) : 0;
}

/* ---- where to go on -------------------------------------------------------------------------- */

/* What a client says it has got to. */
struct resume {
    bool given;
    bool over; /* its stream came to its end */
    uint64_t position;
    sp_str log; /* empty: it did not say */
};

static sp_str last_event_id(const struct sp_http_request *request) {
    sp_str text = sp_http_header(request, "Last-Event-ID");
    if (text.len == 0 && !sp_http_query(request, "last_event_id", &text)) {
        text = SP_STR("");
    }
    return text;
}

/* `<position>`, `<position>@<log>`, either with `/end` behind it. */
static bool read_resume(sp_str text, struct resume *resume) {
    sp_str mark = sp_str_from(END_MARK);
    *resume = (struct resume){.given = text.len > 0};
    if (text.len == 0) {
        return true;
    }
    if (text.len > mark.len && memcmp(text.ptr + text.len - mark.len, mark.ptr, mark.len) == 0) {
        resume->over = true;
        text.len -= mark.len;
    }
    const char *at = memchr(text.ptr, '@', text.len);
    if (at != NULL) {
        sp_str rest = sp_str_from_byte(text, (size_t)(at - text.ptr));
        resume->log = sp_str_from_byte(rest, 1);
        text.len = (size_t)(at - text.ptr);
    }
    int64_t position = 0;
    bool fine = sp_word_i64(text, &position) && position >= 0;
    resume->position = fine ? (uint64_t)position : 0;
    return fine && (at == NULL || resume->log.len > 0);
}

/* False where this log is not the one that the client has read: it is told so. */
static bool is_this_log(struct sp_http_request *request, const struct resume *resume) {
    const struct sp_pubsub *pubsub = request->server->pubsub;
    uint64_t head = sp_engine_durable_position(request->server->engine);
    const struct sp_http_member members[] = {
        {.name = "position", .kind = SP_HTTP_NUMBER, .number = resume->position},
        {.name = "log", .kind = SP_HTTP_TEXT, .text = sp_str_from(pubsub->log)},
        {.name = "head", .kind = SP_HTTP_NUMBER, .number = head},
    };
    struct sp_http_problem problem = {
        .status = 409, .type = "other-log", .members = members, .member_count = 3};
    if (!resume->given) {
        return true;
    }
    if (resume->log.len > 0 && !sp_str_eq(resume->log, sp_str_from(pubsub->log))) {
        problem.detail = SP_STR("last_event_id is of another log; to begin anew come without it");
        (void)sp_http_problem(request, &problem);
        return false;
    }
    if (resume->position > head) {
        problem.detail = SP_STR("last_event_id is a position that this log has not got to: it is "
                                "another one, or an older copy");
        (void)sp_http_problem(request, &problem);
        return false;
    }
    return true;
}

/* ---- the route ------------------------------------------------------------------------------- */

struct asked {
    struct sp_query_words words;
    struct resume resume;
    enum sp_message_form form;
    uint64_t metrics_us; /* 0: none */
    char from[SP_DECIMAL_BYTES_MAX];
};

static sp_status read_form(const struct sp_http_request *request, enum sp_message_form *ret_form,
                           struct sp_error *error) {
    sp_str text;
    *ret_form = SP_FORM_SSE;
    if (!sp_http_query(request, "event", &text) || sp_str_eq(text, SP_STR("message"))) {
        return SP_OK;
    }
    *ret_form = SP_FORM_SSE_TYPED;
    return sp_str_eq(text, SP_STR("type"))
               ? SP_OK
               : sp_error_set(error, SP_INVALID, "event: expected message or type");
}

static enum sp_message_form as_stored(enum sp_message_form form) {
    return form == SP_FORM_SSE ? SP_FORM_SSE_RAW : SP_FORM_SSE_TYPED_RAW;
}

static sp_status read_metrics(const struct sp_http_request *request, uint64_t *ret_us,
                              struct sp_error *error) {
    sp_str text;
    *ret_us = 0;
    if (!sp_http_query(request, "metrics", &text)) {
        return SP_OK;
    }
    sp_status status = sp_duration_parse(text, ret_us, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "metrics");
    }
    return *ret_us >= METRICS_US_MIN && *ret_us <= METRICS_US_MAX
               ? SP_OK
               : sp_error_set(error, SP_INVALID, "metrics: expected 500ms to 1h");
}

static sp_status read_asked(const struct sp_http_request *request, struct asked *asked,
                            struct sp_error *error) {
    static const char *const others[] = {"event", "last_event_id", "upcast", "metrics", NULL};
    sp_status status = sp_http_query_read(request, others, &asked->words, error);
    struct sp_query *query = &asked->words.query;
    if (status == SP_OK && (query->until.ptr != NULL || query->reverse)) {
        status = sp_error_set(error, SP_INVALID,
                              "a subscription has no until and no reverse: see /v1/events");
    }
    status = status == SP_OK ? read_form(request, &asked->form, error) : status;
    status = status == SP_OK ? read_metrics(request, &asked->metrics_us, error) : status;
    if (status == SP_OK && !read_resume(last_event_id(request), &asked->resume)) {
        status = sp_error_set(error, SP_INVALID,
                              "last_event_id: expected <position>@<log>, as an id of the stream");
    }
    if (status == SP_OK && asked->resume.given) {
        size_t len = sp_decimal_format(asked->resume.position + 1, asked->from);
        query->from = sp_str_of(asked->from, len);
    }
    return status;
}

/* The reply is over, however it ended: the subscription with it. */
static void free_stream(struct sp_connection *connection, void *state) {
    struct sp_subscriber *subscriber = connection->subscriber;
    (void)state;
    while (subscriber != NULL && subscriber->watches != NULL &&
           watch_is_stream(subscriber->watches)) {
        pubsub_end_watch(subscriber->watches);
    }
}

static enum sp_http_verdict open_stream(struct sp_http_request *request, struct watch *watch,
                                        uint64_t from) {
    const struct sp_http_pair fields[] = {
        {.name = SP_STR("Cache-Control"), .value = SP_STR("no-store")},
        {.name = SP_STR("X-Accel-Buffering"), .value = SP_STR("no")},
    };
    request->state = watch->outlet.subscriber;
    request->free_state = free_stream;
    enum sp_http_verdict verdict =
        sp_http_stream_begin(request, 200, "text/event-stream", fields, 2);
    if (verdict == SP_HTTP_OPEN) {
        send_start(watch, from);
        if (watch->beat.metrics_ms > 0) {
            send_beat(watch->outlet.subscriber->pubsub, watch);
        }
        expect_beat(watch->outlet.subscriber->pubsub, watch);
    }
    return verdict;
}

static enum sp_http_verdict on_subscribe(struct sp_http_request *request) {
    struct sp_subscriber *subscriber = pubsub_subscriber(request->connection);
    struct watch *watch = NULL;
    struct asked asked;
    struct sp_error error;
    uint64_t from = 0;
    sp_error_clear(&error);
    sp_status status = subscriber == NULL ? SP_NO_MEMORY : read_asked(request, &asked, &error);
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    if (asked.resume.over) {
        return sp_http_nothing(request);
    }
    struct sp_server *upcast = NULL;
    if (!is_this_log(request, &asked.resume) || !sp_http_upcast(request, &upcast)) {
        return SP_HTTP_DONE;
    }
    asked.form = upcast != NULL ? asked.form : as_stored(asked.form);
    status = pubsub_start_watch(subscriber, &asked.words, sp_str_from(subscriber->pubsub->log),
                                asked.form, &watch, &from, &error);
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    watch->beat.metrics_ms = asked.metrics_us / US_PER_MS;
    return open_stream(request, watch, from);
}

const struct sp_http_route sp_http_subscribe_routes[] = {
    {SP_HTTP_GET, "/v1/subscribe", SP_HTTP_READ, on_subscribe},
    {.path = NULL},
};
