/*
 * SPOOR.STREAMS, SPOOR.RUNS, SPOOR.INFO: what the store holds, beside its events. loop-thread
 *
 * Lists come in pages: the first element of an answer is what the next page begins with, null where
 * there is none.
 */
#include "engine/query.h"
#include "log/local.h"
#include "server/handlers.h"
#include "server/server.h"
#include "server/subscribe_query.h"
#include "spoor.h"

enum {
    STREAMS_DEFAULT = 1000,
    STREAMS_MAX = 10000,
    RUNS_DEFAULT = 100, /* each is read whole */
    RUNS_MAX = 1000,
};

static void write_number(struct sp_resp *reply, const char *name, uint64_t value) {
    sp_resp_bulk_text(reply, name);
    sp_resp_unsigned(reply, value);
}

/* A text, or null. */
static void write_text(struct sp_resp *reply, const char *name, sp_str value) {
    sp_resp_bulk_text(reply, name);
    if (value.ptr != NULL) {
        sp_resp_bulk(reply, value);
    } else {
        sp_resp_null(reply);
    }
}

/* ---- SPOOR.STREAMS --------------------------------------------------------------------------- */

/* [FROM n] [LIMIT n]: places in the order of the streams' first events. */
static bool read_window(struct sp_request *request, uint64_t *ret_from, uint64_t *ret_limit) {
    for (uint32_t i = 1; i < request->argc; i += 2) {
        int64_t value = 0;
        bool from = sp_word_is(request->args[i], "from");
        if (!from && !sp_word_is(request->args[i], "limit")) {
            (void)sp_reply_syntax(request);
            return false;
        }
        if (!sp_word_i64(request->args[i + 1], &value) || value < 0) {
            (void)sp_reply_not_integer(request);
            return false;
        }
        *(from ? ret_from : ret_limit) = (uint64_t)value;
    }
    *ret_limit = *ret_limit < STREAMS_MAX ? *ret_limit : STREAMS_MAX;
    return true;
}

static void write_stream(struct sp_resp *reply, const struct sp_stream *stream) {
    sp_resp_array(reply, 3);
    sp_resp_bulk(reply, sp_stream_name(stream));
    sp_resp_unsigned(reply, stream->version);
    sp_resp_unsigned(reply, stream->last_position);
}

static enum sp_verdict write_one_stream(struct sp_request *request,
                                        const struct sp_streams *streams, sp_str name) {
    uint32_t index = sp_streams_find(streams, sp_stream_hash(name), name);
    const struct sp_stream *stream = index != UINT32_MAX ? sp_stream_at(streams, index) : NULL;
    bool there = stream != NULL && stream->version > 0;
    sp_resp_array(request->reply, 2);
    sp_resp_null(request->reply);
    sp_resp_array(request->reply, there);
    if (there) {
        write_stream(request->reply, stream);
    }
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_streams(struct sp_request *request) {
    const struct sp_streams *streams = &sp_engine_core(request->server->engine)->streams;
    uint64_t from = 0;
    uint64_t limit = STREAMS_DEFAULT;
    if (request->argc % 2 == 0) {
        return sp_reply_arity(request);
    }
    if (request->argc == 3 && sp_word_is(request->args[1], "name")) {
        return write_one_stream(request, streams, request->args[2]);
    }
    if (!read_window(request, &from, &limit)) {
        return SP_DONE;
    }
    uint64_t end = from < streams->count ? streams->count : from;
    end = end - from > limit ? from + limit : end;
    sp_resp_array(request->reply, 2);
    if (end < streams->count) {
        sp_resp_unsigned(request->reply, end);
    } else {
        sp_resp_null(request->reply);
    }
    struct sp_resp_open open = sp_resp_open_array(request->reply, limit);
    uint64_t count = 0;
    for (uint64_t i = from; i < end; i++) {
        const struct sp_stream *stream = sp_stream_at(streams, (uint32_t)i);
        if (stream->version > 0) { /* else only made ready for an event that was refused */
            write_stream(request->reply, stream);
            count++;
        }
    }
    sp_resp_close(request->reply, open, count);
    return SP_DONE;
}

/* ---- SPOOR.RUNS ------------------------------------------------------------------------------ */

struct run_page {
    struct sp_resp *reply;
    uint64_t count;
    uint64_t first_position; /* of the last run */
};

static bool write_run(void *context, const struct sp_run *run) {
    static const char *const STATUSES[] = {
        [SP_RUN_RUNNING] = "running", [SP_RUN_COMPLETED] = "completed", [SP_RUN_FAILED] = "failed"};
    struct run_page *page = context;
    struct sp_resp *reply = page->reply;
    sp_resp_map(reply, 11);
    write_text(reply, "correlationid", run->correlation);
    write_text(reply, "status", sp_str_from(STATUSES[run->status]));
    write_number(reply, "event_count", run->event_count);
    write_number(reply, "first_position", run->first_position);
    write_number(reply, "last_position", run->last_position);
    write_number(reply, "first_recorded_us", run->first_recorded_us);
    write_number(reply, "last_recorded_us", run->last_recorded_us);
    write_text(reply, "first_type", run->first_type);
    write_text(reply, "last_type", run->last_type);
    write_text(reply, "first_time", run->first_time);
    write_text(reply, "last_time", run->last_time);
    page->count++;
    page->first_position = run->first_position;
    return reply->to->status == SP_OK;
}

/* The positions that a query's moments mean now: later pages go by these. */
static sp_status find_range(struct sp_request *request, const struct sp_query *query,
                            uint64_t *ret_first, uint64_t *ret_last, struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    sp_status status = sp_cursor_open(request->server->engine, query, &cursor, error);
    if (status == SP_OK) {
        sp_cursor_range(cursor, ret_first, ret_last);
        sp_cursor_close(cursor);
    }
    return status;
}

/* [next, last, runs]. */
static sp_status write_runs(struct sp_request *request, struct sp_query *query,
                            struct sp_error *error) {
    struct sp_resp *reply = request->reply;
    struct sp_buf *to = reply->to;
    struct sp_buf runs;
    struct sp_resp inner = {.to = &runs, .version = reply->version};
    struct run_page page = {.reply = &inner};
    uint64_t first = 0;
    uint64_t last = 0;
    sp_status status = find_range(request, query, &first, &last, error);
    if (status != SP_OK) {
        return status;
    }
    sp_buf_init(&runs, to->size_bytes_max);
    status = sp_runs_walk(request->server->engine, query, write_run, &page, error);
    first = query->reverse || page.count == 0 ? first : page.first_position + 1;
    last = query->reverse && page.count > 0 ? page.first_position - 1 : last;
    sp_resp_array(reply, 3);
    if (page.count == query->limit && first <= last) {
        sp_resp_unsigned(reply, first);
    } else {
        sp_resp_null(reply);
    }
    sp_resp_unsigned(reply, last);
    sp_resp_array(reply, page.count);
    sp_buf_add_str(to, sp_buf_str(&runs));
    status = status == SP_OK ? runs.status : status;
    sp_buf_fini(&runs);
    return status;
}

enum sp_verdict sp_on_spoor_runs(struct sp_request *request) {
    struct sp_query_words words;
    struct sp_error error;
    size_t from = request->reply->to->len;
    sp_error_clear(&error);
    sp_status status = sp_query_words_read(request->args + 1, request->argc - 1, &words, &error);
    if (status == SP_OK && (words.paged || words.name.ptr != NULL)) {
        return sp_reply_syntax(request);
    }
    if (status == SP_OK) {
        uint64_t limit = words.query.limit == 0 ? RUNS_DEFAULT : words.query.limit;
        words.query.limit = limit < RUNS_MAX ? limit : RUNS_MAX;
        status = write_runs(request, &words.query, &error);
    }
    if (status != SP_OK) {
        request->reply->to->len = from;
        return sp_reply_own_status(request, status, &error);
    }
    return SP_DONE;
}

/* ---- SPOOR.INFO ------------------------------------------------------------------------------ */

static void write_hex(struct sp_resp *reply, const char *name, const uint8_t *bytes, size_t len) {
    static const char DIGITS[] = "0123456789abcdef";
    sp_resp_bulk_text(reply, name);
    char *to = sp_resp_bulk_room(reply, 2 * len);
    for (size_t i = 0; i < len && to != NULL; i++) {
        to[2 * i] = DIGITS[bytes[i] >> 4];
        to[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
}

enum sp_verdict sp_on_spoor_info(struct sp_request *request) {
    struct sp_engine *engine = request->server->engine;
    struct sp_log *log = sp_engine_log(engine);
    struct sp_resp *reply = request->reply;
    struct sp_log_local_stats stats;
    struct sp_log_tree tree;
    struct sp_error error;
    uint64_t first = 0;
    uint64_t last = 0;
    sp_error_clear(&error);
    sp_status status = log->ops->tree(log, false, &tree, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    log->ops->bounds(log, &first, &last);
    sp_log_local_stats(log, &stats);
    sp_resp_map(reply, 11);
    write_text(reply, "version", sp_str_from(spoor_version()));
    write_number(reply, "first_position", first);
    write_number(reply, "last_position", last);
    write_number(reply, "stream_count", sp_engine_core(engine)->streams.count);
    write_number(reply, "bytes_on_disk", stats.bytes_sealed + stats.bytes_raw);
    write_number(reply, "bytes_sealed", stats.bytes_sealed);
    write_number(reply, "events_sealed", stats.events_sealed);
    write_number(reply, "segments_sealed", stats.segments_sealed);
    write_number(reply, "segments_waiting", stats.segments_waiting);
    write_number(reply, "tree_size", tree.size);
    write_hex(reply, "tree_root", tree.root, sizeof(tree.root));
    return SP_DONE;
}
