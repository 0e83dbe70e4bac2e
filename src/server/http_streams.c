/* GET /v1/streams and /v1/runs: what events belong to, page by page. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/time.h"
#include "server/http_events.h"
#include "server/http_parts.h"
#include "server/http_query.h"

enum {
    STREAMS_DEFAULT = 1000,
    STREAMS_MAX = 10000,
    RUNS_DEFAULT = 100, /* each is read whole */
    RUNS_MAX = 1000,
    RUNS_WINDOW = 2048, /* events among which runs are looked for before others have their turn */
    NUMBER_SIZE = 24,
};

static void add_number(struct sp_buf *to, const char *key, uint64_t value) {
    sp_buf_add_str(to, SP_STR(",\""));
    sp_buf_add_str(to, sp_str_from(key));
    sp_buf_add_str(to, SP_STR("\":"));
    sp_buf_add_u64(to, value);
}

static void add_text(struct sp_buf *to, const char *key, sp_str value) {
    if (value.ptr == NULL) {
        return;
    }
    sp_buf_add_str(to, SP_STR(",\""));
    sp_buf_add_str(to, sp_str_from(key));
    sp_buf_add_str(to, SP_STR("\":"));
    sp_json_add_string(to, value);
}

static void add_time(struct sp_buf *to, const char *key, uint64_t time_us) {
    char text[SP_TIME_TEXT_SIZE];
    sp_time_format(time_us, text);
    add_text(to, key, sp_str_of(text, SP_TIME_TEXT_SIZE - 1));
}

/* ---- streams --------------------------------------------------------------------------------- */

static void add_stream(struct sp_buf *to, const struct sp_stream *stream) {
    sp_buf_add_str(to, SP_STR("{\"stream\":"));
    sp_json_add_string(to, sp_stream_name(stream));
    add_number(to, "version", stream->version);
    add_number(to, "position", stream->last_position);
}

/* The parameter `after`: the `next` of the page before. False where a problem was written. */
static bool read_after(struct sp_http_request *request, uint64_t *ret_after) {
    sp_str text;
    int64_t value = 0;
    if (!sp_http_query(request, "after", &text)) {
        return true;
    }
    if (!sp_word_i64(text, &value) || value < 0) {
        (void)sp_http_refuse(request, 400, "invalid",
                             "after: expected the `next` of the page before");
        return false;
    }
    *ret_after = (uint64_t)value;
    return true;
}

static enum sp_http_verdict on_streams(struct sp_http_request *request) {
    static const char *const NAMES[] = {"after", "limit", NULL};
    const struct sp_streams *streams = &sp_engine_core(request->server->engine)->streams;
    struct sp_buf *body = sp_http_scratch(request);
    uint64_t at = 0;
    uint64_t limit = STREAMS_DEFAULT;
    uint64_t count = 0;
    if (!sp_http_only(request, NAMES) || !read_after(request, &at) ||
        !sp_http_number(request, "limit", STREAMS_MAX, &limit)) {
        return SP_HTTP_DONE;
    }
    sp_buf_add_str(body, SP_STR("{\"streams\":["));
    for (; at < streams->count && count < limit; at++) {
        const struct sp_stream *stream = sp_stream_at(streams, (uint32_t)at);
        if (stream->version == 0) { /* only made ready for an event that was refused */
            continue;
        }
        if (count++ > 0) {
            sp_buf_add_byte(body, ',');
        }
        add_stream(body, stream);
        sp_buf_add_byte(body, '}');
    }
    sp_buf_add_byte(body, ']');
    if (at < streams->count) {
        add_number(body, "next", at);
    }
    sp_buf_add_str(body, SP_STR("}\n"));
    return body->status == SP_OK ? sp_http_json(request, 200, sp_buf_str(body))
                                 : sp_http_refuse_status(request, body->status, NULL);
}

/* What clients of Redis see of it: what is trimmed and deleted is hidden there. */
static void add_view(struct sp_buf *to, const struct sp_bus_stream_info *info) {
    char id[SP_ENTRY_ID_TEXT_SIZE];
    add_number(to, "length", info->length);
    add_text(to, "entryid", sp_str_of(id, sp_entry_id_format(info->last_id, id)));
    add_number(to, "groups", info->group_count);
}

static enum sp_http_verdict on_stream(struct sp_http_request *request) {
    static const char *const NAMES[] = {NULL};
    const struct sp_core *core = sp_engine_core(request->server->engine);
    sp_str text = sp_http_param(request, "stream");
    struct sp_key key = {
        .kind = SP_KEY_STREAM, .text = text, .name = sp_view_resolve(&core->views, text)};
    struct sp_bus_stream_info info = {.length = 0};
    struct sp_error error;
    if (!sp_http_only(request, NAMES)) {
        return SP_HTTP_DONE;
    }
    uint32_t index = sp_streams_find(&core->streams, sp_stream_hash(key.name), key.name);
    const struct sp_stream *stream =
        index != UINT32_MAX ? sp_stream_at(&core->streams, index) : NULL;
    if (stream == NULL || stream->version == 0) {
        return sp_http_refuse(request, 404, "not-found", "there is no stream of this name");
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_stream(request->server->bus, &key, &info, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        return sp_http_refuse_status(request, status, &error);
    }
    struct sp_buf *body = sp_http_scratch(request);
    add_stream(body, stream);
    add_view(body, &info);
    sp_buf_add_str(body, SP_STR("}\n"));
    return sp_http_json(request, 200, sp_buf_str(body));
}

/* ---- runs ------------------------------------------------------------------------------------ */

struct runs {
    struct sp_buf body;
    uint64_t first; /* positions that are not looked at yet */
    uint64_t last;
    uint64_t left;
    uint64_t count;
    uint64_t found; /* where the last run begins */
};

static void free_runs(struct sp_connection *connection, void *state) {
    struct runs *runs = state;
    (void)connection;
    sp_buf_fini(&runs->body);
    free(runs);
}

static bool add_run(void *context, const struct sp_run *run) {
    static const char *const STATUSES[] = {
        [SP_RUN_RUNNING] = "running", [SP_RUN_COMPLETED] = "completed", [SP_RUN_FAILED] = "failed"};
    struct runs *runs = context;
    struct sp_buf *to = &runs->body;
    if (runs->count++ > 0) {
        sp_buf_add_byte(to, ',');
    }
    sp_buf_add_str(to, SP_STR("{\"correlationid\":"));
    sp_json_add_string(to, run->correlation);
    add_text(to, "status", sp_str_from(STATUSES[run->status]));
    add_number(to, "event_count", run->event_count);
    add_number(to, "first_position", run->first_position);
    add_number(to, "last_position", run->last_position);
    add_time(to, "first_recordedtime", run->first_recorded_us);
    add_time(to, "last_recordedtime", run->last_recorded_us);
    add_text(to, "first_type", run->first_type);
    add_text(to, "last_type", run->last_type);
    add_text(to, "first_time", run->first_time);
    add_text(to, "last_time", run->last_time);
    if (run->fork_of.ptr != NULL) {
        add_text(to, "fork_of", run->fork_of);
        add_number(to, "fork_position", run->fork_position);
    }
    sp_buf_add_byte(to, '}');
    runs->found = run->first_position;
    return to->status == SP_OK;
}

/* Looks for runs among the next events; what is left to look at is moved on. */
static sp_status walk(struct sp_http_request *request, struct runs *runs, struct sp_query query,
                      struct sp_error *error) {
    char from[NUMBER_SIZE];
    char until[NUMBER_SIZE];
    uint64_t width = runs->last - runs->first;
    width = width < RUNS_WINDOW ? width : RUNS_WINDOW - 1;
    uint64_t first = query.reverse ? runs->last - width : runs->first;
    uint64_t last = first + width;
    uint64_t before = runs->count;
    query.from =
        sp_str_of(from, (size_t)snprintf(from, sizeof(from), "%llu", (unsigned long long)first));
    query.until =
        sp_str_of(until, (size_t)snprintf(until, sizeof(until), "%llu", (unsigned long long)last));
    query.limit = runs->left;
    sp_status status = sp_runs_walk(request->server->engine, &query, add_run, runs, error);
    runs->left -= runs->count - before;
    bool stopped = runs->left == 0; /* within the window, behind the run found last */
    if (query.reverse) {
        runs->last = (stopped ? runs->found : first) - 1;
    } else {
        runs->first = (stopped ? runs->found : last) + 1;
    }
    return status == SP_OK ? runs->body.status : status;
}

static enum sp_http_verdict reply_runs(struct sp_http_request *request, struct runs *runs,
                                       bool reverse) {
    struct sp_buf *body = &runs->body;
    sp_buf_add_byte(body, ']');
    if (runs->left == 0 && runs->first <= runs->last) {
        add_number(body, "next", reverse ? runs->last : runs->first);
    }
    sp_buf_add_str(body, SP_STR("}\n"));
    return body->status == SP_OK ? sp_http_json(request, 200, sp_buf_str(body))
                                 : sp_http_refuse_status(request, body->status, NULL);
}

/* The positions that the query's moments mean now. */
static sp_status find_range(struct sp_http_request *request, const struct sp_query *query,
                            struct runs *runs, struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    sp_status status = sp_cursor_open(request->server->engine, query, &cursor, error);
    if (status == SP_OK) {
        sp_cursor_range(cursor, &runs->first, &runs->last);
        sp_cursor_close(cursor);
    }
    return status;
}

static sp_status begin_runs(struct sp_http_request *request, const struct sp_query *query,
                            struct sp_error *error) {
    if (query->limit > RUNS_MAX) {
        return sp_error_set(error, SP_INVALID, "limit: expected at most %d runs", RUNS_MAX);
    }
    struct runs *runs = calloc(1, sizeof(*runs));
    if (runs == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    sp_buf_init(&runs->body, SIZE_MAX / 4);
    sp_buf_add_str(&runs->body, SP_STR("{\"runs\":["));
    runs->left = query->limit != 0 ? query->limit : RUNS_DEFAULT;
    request->state = runs;
    request->free_state = free_runs;
    return find_range(request, query, runs, error);
}

static enum sp_http_verdict on_runs(struct sp_http_request *request) {
    struct sp_query_words words;
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_http_query_read(request, NULL, &words, &error);
    if (status == SP_OK && request->state == NULL) {
        status = begin_runs(request, &words.query, &error);
    }
    struct runs *runs = request->state;
    if (status == SP_OK && runs->left > 0 && runs->first <= runs->last) {
        status = walk(request, runs, words.query, &error);
    }
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    if (runs->left > 0 && runs->first <= runs->last && runs->last > 0) {
        return sp_http_pause(request);
    }
    return reply_runs(request, runs, words.query.reverse);
}

static enum sp_http_verdict on_run(struct sp_http_request *request) {
    static const char *const NAMES[] = {NULL};
    const struct sp_query query = {.correlation = sp_http_param(request, "correlation"),
                                   .limit = 1};
    struct runs runs = {.count = 0};
    struct sp_error error;
    if (!sp_http_only(request, NAMES)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_buf_init(&runs.body, SIZE_MAX / 4);
    sp_status status = sp_runs_walk(request->server->engine, &query, add_run, &runs, &error);
    sp_buf_add_byte(&runs.body, '\n');
    status = status == SP_OK ? runs.body.status : status;
    enum sp_http_verdict verdict =
        status != SP_OK ? sp_http_refuse_status(request, status, &error)
        : runs.count == 0
            ? sp_http_refuse(request, 404, "not-found", "no event has this correlation id")
            : sp_http_json(request, 200, sp_buf_str(&runs.body));
    sp_buf_fini(&runs.body);
    return verdict;
}

const struct sp_http_route sp_http_stream_routes[] = {
    {SP_HTTP_GET, "/v1/streams", SP_HTTP_READ, on_streams},
    {SP_HTTP_GET, "/v1/streams/{stream}", SP_HTTP_READ, on_stream},
    {SP_HTTP_GET, "/v1/runs", SP_HTTP_READ, on_runs},
    {SP_HTTP_GET, "/v1/runs/{correlation}", SP_HTTP_READ, on_run},
    {.path = NULL},
};
