/* XRANGE, XREVRANGE and XREAD: entries of streams, virtual ones too. */
#include <stdio.h>

#include "proto/entry.h"
#include "proto/stream_id.h"
#include "server/handlers.h"
#include "server/server.h"
#include "server/wait.h"

/* ---- entries --------------------------------------------------------------------------------- */

/* Where entries are written to. */
struct entries {
    struct sp_resp *reply;
    uint64_t count;
};

static bool write_entry(void *context, const struct sp_event *event, struct sp_entry_id id) {
    struct entries *entries = context;
    sp_resp_array(entries->reply, 2);
    sp_resp_id(entries->reply, id);
    sp_entry_write(event, entries->reply);
    entries->count++;
    return entries->reply->to->status == SP_OK;
}

/* Damage met on the way is told of in the log as well. */
static sp_status note_damage(struct sp_request *request, sp_status status, sp_str key,
                             const struct sp_error *error) {
    if (status != SP_CORRUPT) {
        return status;
    }
    sp_say(&request->server->logger, SP_LEVEL_ERROR, "damage met while reading",
           SP_FIELD_NUMBER("client", request->connection->id), SP_FIELD_TEXT("key", key),
           SP_FIELD_TEXT("error", sp_str_from(error->text)));
    return status;
}

/* ---- XRANGE ---------------------------------------------------------------------------------- */

static bool read_count(struct sp_request *request, bool *ret_given, uint64_t *ret_count) {
    *ret_given = request->argc > 4;
    for (uint32_t i = 4; i < request->argc; i += 2) {
        int64_t count = 0;
        if (i + 1 == request->argc || !sp_word_is(request->args[i], "count")) {
            (void)sp_reply_syntax(request);
            return false;
        }
        if (!sp_word_i64(request->args[i + 1], &count)) {
            (void)sp_reply_not_integer(request);
            return false;
        }
        *ret_count = count < 0 ? 0 : (uint64_t)count;
    }
    return true;
}

static enum sp_verdict range(struct sp_request *request, bool reverse) {
    struct sp_key key;
    struct sp_error error;
    struct sp_bus_range range = {.key = &key, .reverse = reverse};
    bool count_given = false;
    const char *problem = sp_stream_id_parse_start(request->args[reverse ? 3 : 2], &range.from);
    if (problem == NULL) {
        problem = sp_stream_id_parse_end(request->args[reverse ? 2 : 3], &range.until);
    }
    if (problem != NULL) {
        return sp_reply_error(request, problem);
    }
    if (!read_count(request, &count_given, &range.count) ||
        !sp_request_key(request, request->args[1], &key)) {
        return SP_DONE;
    }
    if (count_given && range.count == 0) {
        if (sp_bus_exists(request->server->bus, &key)) {
            sp_resp_null_array(request->reply);
        } else {
            sp_resp_array(request->reply, 0);
        }
        return SP_DONE;
    }
    struct entries entries = {.reply = request->reply};
    struct sp_resp_open open = sp_resp_open_array(request->reply, range.count);
    sp_error_clear(&error);
    sp_status status = sp_bus_read(request->server->bus, &range, write_entry, &entries, &error);
    status = note_damage(request, status, key.text, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        sp_resp_drop(request->reply, open);
        return sp_reply_status(request, status, &error);
    }
    sp_resp_close(request->reply, open, entries.count);
    return SP_DONE;
}

enum sp_verdict sp_on_xrange(struct sp_request *request) {
    return range(request, false);
}

enum sp_verdict sp_on_xrevrange(struct sp_request *request) {
    return range(request, true);
}

/* ---- XREAD ----------------------------------------------------------------------------------- */

struct read_options {
    uint64_t count; /* 0: no limit */
    bool block;
    uint64_t block_ms;
    uint32_t streams_at; /* the first key */
    uint32_t stream_count;
};

static bool read_block_ms(struct sp_request *request, sp_str text, uint64_t *ret_ms) {
    int64_t ms = 0;
    if (!sp_word_i64(text, &ms)) {
        (void)sp_reply_error(request, "timeout is not an integer or out of range");
        return false;
    }
    if (ms < 0) {
        (void)sp_reply_error(request, "timeout is negative");
        return false;
    }
    *ret_ms = (uint64_t)ms;
    return true;
}

/* COUNT or BLOCK at *at. *ret_known false: it is neither. False where the error is written. */
static bool read_option(struct sp_request *request, uint32_t *at, struct read_options *options,
                        bool *ret_known) {
    int64_t count = 0;
    uint32_t left = request->argc - 1 - *at;
    sp_str word = request->args[*at];
    *ret_known = left >= 1 && (sp_word_is(word, "count") || sp_word_is(word, "block"));
    if (!*ret_known) {
        return true;
    }
    (*at)++;
    if (sp_word_is(word, "block")) {
        options->block = true;
        return read_block_ms(request, request->args[*at], &options->block_ms);
    }
    if (!sp_word_i64(request->args[*at], &count)) {
        (void)sp_reply_not_integer(request);
        return false;
    }
    options->count = count < 0 ? 0 : (uint64_t)count;
    return true;
}

static void refuse_option(struct sp_request *request, sp_str word) {
    if (sp_word_is(word, "group")) {
        (void)sp_reply_error(request,
                             "The GROUP option is only supported by XREADGROUP. You called "
                             "XREAD instead.");
    } else if (sp_word_is(word, "noack")) {
        (void)sp_reply_error(request,
                             "The NOACK option is only supported by XREADGROUP. You called "
                             "XREAD instead.");
    } else {
        (void)sp_reply_syntax(request);
    }
}

static bool read_options(struct sp_request *request, struct read_options *options) {
    for (uint32_t at = 1; at < request->argc; at++) {
        bool known = false;
        if (sp_word_is(request->args[at], "streams") && at + 1 < request->argc) {
            options->streams_at = at + 1;
            break;
        }
        if (!read_option(request, &at, options, &known)) {
            return false;
        }
        if (!known) {
            refuse_option(request, request->args[at]);
            return false;
        }
    }
    uint32_t words = request->argc - options->streams_at;
    if (options->streams_at == 0) {
        (void)sp_reply_syntax(request);
        return false;
    }
    if (words % 2 != 0) {
        (void)sp_reply_error(request,
                             "Unbalanced 'xread' list of streams: for each stream key an ID, "
                             "'+', or '$' must be specified.");
        return false;
    }
    options->stream_count = words / 2;
    if (options->stream_count > SP_WAIT_KEYS_MAX) {
        (void)sp_reply_error(request, "too many streams in one XREAD");
        return false;
    }
    return true;
}

/* The id behind which `$` reads: that of the last entry there is by now. */
static bool last_id(struct sp_request *request, const struct sp_key *key,
                    struct sp_entry_id *ret_id) {
    struct sp_server *server = request->server;
    struct sp_bus_stream_info info;
    struct sp_error error;
    *ret_id = SP_ENTRY_ID_NONE;
    if (key->kind != SP_KEY_STREAM) {
        const struct sp_core *core = sp_engine_core(server->engine);
        *ret_id = sp_entry_id_of_log(core->recorded_us, core->entry_seq);
        return true;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_stream(server->bus, key, &info, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        (void)sp_reply_status(request, status, &error);
        return false;
    }
    *ret_id = status == SP_OK ? info.last_id : SP_ENTRY_ID_NONE;
    return true;
}

/* One of the streams. */
struct read_stream {
    struct sp_key key;
    struct sp_entry_id after;
    bool last_only; /* `+` */
};

/* False where the error is written. */
static bool read_stream_id(struct sp_request *request, sp_str text, struct read_stream *stream) {
    enum sp_stream_id_read kind;
    if (!sp_stream_id_parse_read(text, &kind, &stream->after)) {
        (void)sp_reply_error(request, SP_STREAM_ID_INVALID);
        return false;
    }
    switch (kind) {
    case SP_STREAM_READ_AFTER:
        return true;
    case SP_STREAM_READ_NEW:
        return last_id(request, &stream->key, &stream->after);
    case SP_STREAM_READ_LAST:
        stream->last_only = true;
        return last_id(request, &stream->key, &stream->after);
    case SP_STREAM_READ_NEVER:
        (void)sp_reply_error(request, "The > ID can be specified only when calling XREADGROUP "
                                      "using the GROUP <group> <consumer> option.");
        return false;
    }
    sp_never();
}

/* Writes what one stream has, as an element of the reply. *ret_any false: it has nothing. */
static sp_status read_one(struct sp_request *request, const struct read_options *options,
                          const struct read_stream *stream, sp_str name, bool *ret_any,
                          struct sp_error *error) {
    struct sp_resp *reply = request->reply;
    struct sp_bus_range range = {.key = &stream->key,
                                 .from = stream->after,
                                 .until = SP_ENTRY_ID_MAX,
                                 .count = options->count};
    struct entries entries = {.reply = reply};
    *ret_any = false;
    if (stream->last_only) {
        range.from = SP_ENTRY_ID_NONE;
        range.reverse = true;
        range.count = 1;
    } else if (!sp_stream_id_increment(&range.from)) {
        return SP_OK;
    }
    size_t begun = reply->to->len;
    if (reply->version == SP_RESP_2) {
        sp_resp_array(reply, 2);
    }
    sp_resp_bulk(reply, name);
    struct sp_resp_open open = sp_resp_open_array(reply, options->count);
    sp_status status = sp_bus_read(request->server->bus, &range, write_entry, &entries, error);
    status = note_damage(request, status, stream->key.text, error);
    if (status != SP_OK || entries.count == 0) {
        if (reply->to->status == SP_OK) {
            reply->to->len = begun;
        }
        return status == SP_NOT_FOUND ? SP_OK : status;
    }
    sp_resp_close(reply, open, entries.count);
    *ret_any = true;
    return SP_OK;
}

/* All streams. SP_OK with *ret_any false: there is nothing, and nothing was written. */
static sp_status read_all(struct sp_request *request, const struct read_options *options,
                          const struct read_stream *streams, bool *ret_any,
                          struct sp_error *error) {
    struct sp_resp *reply = request->reply;
    uint64_t count = 0;
    struct sp_resp_open open =
        reply->version == SP_RESP_2 ? sp_resp_open_array(reply, 1) : sp_resp_open_map(reply, 1);
    for (uint32_t i = 0; i < options->stream_count; i++) {
        bool any = false;
        sp_str name = request->args[options->streams_at + i];
        sp_status status = read_one(request, options, &streams[i], name, &any, error);
        if (status != SP_OK) {
            sp_resp_drop(reply, open);
            return status;
        }
        count += any;
    }
    *ret_any = count > 0;
    if (count == 0) {
        sp_resp_drop(reply, open);
    } else {
        sp_resp_close(reply, open, count);
    }
    return SP_OK;
}

/* What wait() needs of the scratch space. */
static size_t wait_room(const struct sp_request *request, const struct read_options *options) {
    return request->argc * sizeof(sp_str) +
           options->stream_count * (sizeof(struct sp_key) + SP_ENTRY_ID_TEXT_SIZE);
}

/* Waits, with the ids that `$` and `+` meant in their place. */
static enum sp_verdict wait(struct sp_request *request, const struct read_options *options,
                            const struct read_stream *streams) {
    struct sp_buf *scratch = &request->server->scratch;
    uint8_t *at = sp_buf_reserve(scratch, wait_room(request, options));
    sp_ensure(at != NULL); /* it was reserved with the streams, which must not move */
    sp_str *args = (sp_str *)(void *)at;
    struct sp_key *keys = (struct sp_key *)(void *)(args + request->argc);
    char *texts = (char *)(keys + options->stream_count);
    memcpy(args, request->args, request->argc * sizeof(*args));
    for (uint32_t i = 0; i < options->stream_count; i++) {
        char *text = texts + (size_t)i * SP_ENTRY_ID_TEXT_SIZE;
        size_t len = sp_entry_id_format(streams[i].after, text);
        keys[i] = streams[i].key;
        args[options->streams_at + options->stream_count + i] = sp_str_of(text, len);
    }
    struct sp_wait_spec spec = {.args = args,
                                .argc = request->argc,
                                .keys = keys,
                                .count = options->stream_count,
                                .timeout_ms = options->block_ms};
    return sp_wait_begin(request, &spec);
}

enum sp_verdict sp_on_xread(struct sp_request *request) {
    struct sp_server *server = request->server;
    struct read_options options = {.count = 0};
    struct sp_error error;
    bool any = false;
    if (!read_options(request, &options)) {
        return SP_DONE;
    }
    sp_buf_reset(&server->scratch);
    size_t bytes = options.stream_count * sizeof(struct read_stream);
    struct read_stream *streams = (struct read_stream *)(void *)sp_buf_reserve(
        &server->scratch, bytes + wait_room(request, &options));
    if (streams == NULL) {
        return sp_reply_status(request, SP_NO_MEMORY, NULL);
    }
    sp_buf_advance(&server->scratch, bytes);
    for (uint32_t i = 0; i < options.stream_count; i++) {
        uint32_t at = options.streams_at + i;
        streams[i] = (struct read_stream){.last_only = false};
        if (!sp_request_key(request, request->args[at], &streams[i].key) ||
            !read_stream_id(request, request->args[at + options.stream_count], &streams[i])) {
            return SP_DONE;
        }
    }
    sp_error_clear(&error);
    sp_status status = read_all(request, &options, streams, &any, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    if (!any && options.block && !request->in_transaction) {
        return wait(request, &options, streams);
    }
    if (!any) {
        sp_resp_null_array(request->reply);
    }
    return SP_DONE;
}
