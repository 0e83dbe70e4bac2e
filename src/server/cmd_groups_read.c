/*
 * XREADGROUP: entries handed out to the members of a group, and what a member has already.
 * loop-thread
 *
 * Deliveries are lazily durable: the reply does not wait for the disk. What is handed out is
 * durable itself, so a client waits for its own appends before (SP_CMD_READ).
 */
#include <stdio.h>

#include "proto/stream_id.h"
#include "server/cmd_groups.h"
#include "server/consumers.h"
#include "server/wait.h"

#define MEANINGLESS(sign)                                                                          \
    "The " sign " ID is meaningless in the context of XREADGROUP: you want to read the history "   \
    "of this consumer by specifying a proper ID, or use the > ID to get new messages. The " sign   \
    " ID would just return an empty result set."

struct read_options {
    sp_str group; /* NULL ptr: not given */
    sp_str consumer;
    uint64_t count; /* 0: no limit */
    uint64_t block_ms;
    bool block;
    bool noack;
    uint32_t streams_at; /* the first key */
    uint32_t stream_count;
};

/* One of the streams, with its group. */
struct read_stream {
    struct sp_key key;
    uint64_t group; /* number */
    struct sp_entry_id after;
    bool history; /* an id, and not `>` */
    bool has_policy;
};

/* ---- options --------------------------------------------------------------------------------- */

static bool read_block(struct sp_request *request, sp_str text, struct read_options *options) {
    int64_t ms = 0;
    if (!sp_word_i64(text, &ms)) {
        (void)sp_reply_error(request, "timeout is not an integer or out of range");
        return false;
    }
    if (ms < 0) {
        (void)sp_reply_error(request, "timeout is negative");
        return false;
    }
    options->block = true;
    options->block_ms = (uint64_t)ms;
    return true;
}

static bool read_count(struct sp_request *request, sp_str text, struct read_options *options) {
    int64_t count = 0;
    if (!sp_word_i64(text, &count)) {
        (void)sp_reply_not_integer(request);
        return false;
    }
    options->count = count < 0 ? 0 : (uint64_t)count;
    return true;
}

/* The option at *at, which moves to its last word. False where the error is written. */
static bool read_option(struct sp_request *request, uint32_t *at, struct read_options *options) {
    uint32_t left = request->argc - 1 - *at;
    sp_str word = request->args[*at];
    if (left >= 1 && sp_word_is(word, "block")) {
        return read_block(request, request->args[++*at], options);
    }
    if (left >= 1 && sp_word_is(word, "count")) {
        return read_count(request, request->args[++*at], options);
    }
    if (left >= 2 && sp_word_is(word, "group")) {
        options->group = request->args[++*at];
        options->consumer = request->args[++*at];
        return true;
    }
    if (sp_word_is(word, "noack")) {
        options->noack = true;
        return true;
    }
    if (left >= 1 && sp_word_is(word, "claim")) {
        (void)sp_reply_error(request, "syntax error, XREADGROUP has no CLAIM here: use XAUTOCLAIM, "
                                      "or give the group a policy with SPOOR.GROUP SET");
        return false;
    }
    (void)sp_reply_syntax(request);
    return false;
}

static bool check_streams(struct sp_request *request, struct read_options *options) {
    uint32_t words = request->argc - options->streams_at;
    if (options->streams_at == 0) {
        (void)sp_reply_syntax(request);
        return false;
    }
    if (words % 2 != 0) {
        (void)sp_reply_error(request, "Unbalanced 'xreadgroup' list of streams: for each stream "
                                      "key an ID or '>' must be specified.");
        return false;
    }
    if (options->group.ptr == NULL) {
        (void)sp_reply_error(request, "Missing GROUP option for XREADGROUP");
        return false;
    }
    options->stream_count = words / 2;
    if (options->stream_count > SP_WAIT_KEYS_MAX) {
        (void)sp_reply_error(request, "too many streams in one XREADGROUP");
        return false;
    }
    return true;
}

static bool read_options(struct sp_request *request, struct read_options *options) {
    for (uint32_t at = 1; at < request->argc; at++) {
        if (sp_word_is(request->args[at], "streams") && at + 1 < request->argc) {
            options->streams_at = at + 1;
            break;
        }
        if (!read_option(request, &at, options)) {
            return false;
        }
    }
    return check_streams(request, options);
}

/* ---- streams --------------------------------------------------------------------------------- */

static bool read_id(struct sp_request *request, sp_str text, struct read_stream *stream) {
    if (sp_str_eq(text, SP_STR(">"))) {
        return true;
    }
    stream->history = true;
    if (sp_str_eq(text, SP_STR("$"))) {
        (void)sp_reply_error(request, MEANINGLESS("$"));
        return false;
    }
    if (sp_str_eq(text, SP_STR("+"))) {
        (void)sp_reply_error(request, MEANINGLESS("+"));
        return false;
    }
    if (!sp_stream_id_parse(text, 0, &stream->after)) {
        (void)sp_reply_error(request, SP_STREAM_ID_INVALID);
        return false;
    }
    return true;
}

/* Finds a stream's group and reads its id. False where the error is written. */
static bool read_stream(struct sp_request *request, const struct read_options *options, uint32_t i,
                        struct read_stream *stream) {
    sp_str name = request->args[options->streams_at + i];
    *stream = (struct read_stream){.group = 0};
    if (!sp_request_key(request, name, &stream->key)) {
        return false;
    }
    const struct sp_group *group = sp_bus_group(request->server->bus, &stream->key, options->group);
    if (group == NULL) {
        (void)sp_reply_no_group(request, name, options->group, " in XREADGROUP with GROUP option");
        return false;
    }
    struct sp_group_facts facts = sp_group_get(group);
    stream->group = facts.number;
    stream->has_policy = facts.has_policy;
    return read_id(request, request->args[options->streams_at + options->stream_count + i], stream);
}

/* Room for `count` of them in the scratch buffer, filled in. NULL where the error is written. */
static struct read_stream *read_streams(struct sp_request *request,
                                        const struct read_options *options) {
    struct sp_buf *scratch = &request->server->scratch;
    size_t bytes = options->stream_count * sizeof(struct read_stream);
    sp_buf_reset(scratch);
    struct read_stream *streams = (struct read_stream *)(void *)sp_buf_reserve(scratch, bytes);
    if (streams == NULL) {
        (void)sp_reply_status(request, scratch->status, NULL);
        return NULL;
    }
    sp_buf_advance(scratch, bytes);
    for (uint32_t i = 0; i < options->stream_count; i++) {
        if (!read_stream(request, options, i, &streams[i])) {
            return NULL;
        }
    }
    return streams;
}

/* ---- handing out ----------------------------------------------------------------------------- */

/* How many entries the stream may give now: several members that wait share. */
static uint32_t limit_of(const struct sp_request *request, const struct read_options *options,
                         const struct read_stream *stream) {
    uint64_t limit = options->count;
    if (!stream->history && request->share > 0 && (limit == 0 || limit > request->share)) {
        limit = request->share;
    }
    return limit > SP_GROUP_CALL_MAX ? SP_GROUP_CALL_MAX : (uint32_t)limit;
}

static sp_status ask(struct sp_request *request, const struct read_options *options,
                     const struct read_stream *stream, struct sp_group_entries *entries,
                     struct sp_error *error) {
    struct sp_bus *bus = request->server->bus;
    uint32_t count = 0;
    struct sp_bus_receive receive = {.key = &stream->key,
                                     .group = options->group,
                                     .consumer = options->consumer,
                                     .count = limit_of(request, options, stream),
                                     .noack = options->noack};
    if (stream->has_policy) {
        sp_consumers_read(request->connection, stream->group, options->consumer);
    }
    if (stream->history) {
        return sp_bus_history(bus, &receive, stream->after, sp_group_write_entry, entries, &count,
                              error);
    }
    return sp_bus_receive(bus, &receive, sp_group_write_entry, entries, &count, error);
}

/* Writes what one stream has for the consumer, as an element of the reply; or nothing. */
static sp_status read_one(struct sp_request *request, const struct read_options *options,
                          const struct read_stream *stream, sp_str name, bool *ret_any,
                          struct sp_error *error) {
    struct sp_resp *reply = request->reply;
    struct sp_group_entries entries = {.reply = reply};
    size_t begun = reply->to->len;
    *ret_any = false;
    if (reply->version == SP_RESP_2) {
        sp_resp_array(reply, 2);
    }
    sp_resp_bulk(reply, name);
    struct sp_resp_open open = sp_resp_open_array(reply, options->count);
    sp_status status = ask(request, options, stream, &entries, error);
    if (entries.count == 0 && (status != SP_OK || !stream->history)) {
        if (reply->to->status == SP_OK) {
            reply->to->len = begun;
        }
        return status;
    }
    /* What was handed out is said, whatever happened behind it. */
    sp_resp_close(reply, open, entries.count);
    *ret_any = true;
    return SP_OK;
}

/* All streams. With *ret_any false nothing was written. */
static sp_status read_all(struct sp_request *request, const struct read_options *options,
                          const struct read_stream *streams, bool *ret_any,
                          struct sp_error *error) {
    struct sp_resp *reply = request->reply;
    sp_status status = SP_OK;
    uint64_t count = 0;
    struct sp_resp_open open =
        reply->version == SP_RESP_2 ? sp_resp_open_array(reply, 1) : sp_resp_open_map(reply, 1);
    for (uint32_t i = 0; i < options->stream_count && status == SP_OK; i++) {
        bool any = false;
        status = read_one(request, options, &streams[i], request->args[options->streams_at + i],
                          &any, error);
        count += any;
    }
    *ret_any = count > 0;
    if (count == 0) {
        sp_resp_drop(reply, open);
        return status;
    }
    sp_resp_close(reply, open, count);
    return SP_OK;
}

/* Joins those who wait for the groups. */
static enum sp_verdict wait(struct sp_request *request, const struct read_options *options,
                            const struct read_stream *streams) {
    uint64_t *groups = (uint64_t *)(void *)sp_buf_reserve(&request->server->scratch,
                                                          options->stream_count * sizeof(*groups));
    if (groups == NULL) {
        return sp_reply_status(request, SP_NO_MEMORY, NULL);
    }
    for (uint32_t i = 0; i < options->stream_count; i++) {
        groups[i] = streams[i].group;
    }
    struct sp_wait_spec spec = {.args = request->args,
                                .argc = request->argc,
                                .groups = groups,
                                .count = options->stream_count,
                                .timeout_ms = options->block_ms};
    return sp_wait_begin(request, &spec);
}

enum sp_verdict sp_on_xreadgroup(struct sp_request *request) {
    struct read_options options = {.count = 0};
    struct sp_error error;
    bool any = false;
    if (!read_options(request, &options)) {
        return SP_DONE;
    }
    const struct read_stream *streams = read_streams(request, &options);
    if (streams == NULL) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = read_all(request, &options, streams, &any, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    request->lazy = true;
    if (!any && options.block && !request->in_transaction) {
        return wait(request, &options, streams);
    }
    if (!any) {
        sp_resp_null_array(request->reply);
    }
    return SP_DONE;
}
