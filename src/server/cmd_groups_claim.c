/* XCLAIM and XAUTOCLAIM: pending entries that become another consumer's. */
#include <stdio.h>

#include "proto/stream_id.h"
#include "server/cmd_groups.h"
#include "server/consumers.h"

enum { AUTOCLAIM_COUNT = 100 };

/* A number, or the error that Redis has for it. */
static bool read_number(struct sp_request *request, sp_str text, const char *problem,
                        int64_t *ret_value) {
    if (!sp_word_i64(text, ret_value)) {
        (void)sp_reply_error(request, problem);
        return false;
    }
    return true;
}

static bool read_idle_min(struct sp_request *request, const char *problem,
                          struct sp_bus_claim *claim) {
    int64_t ms = 0;
    if (!read_number(request, request->args[4], problem, &ms)) {
        return false;
    }
    claim->idle_min_ms = ms < 0 ? 0 : (uint64_t)ms;
    return true;
}

/* A time of delivery that makes no sense is now: clients compute it with a clock of their own. */
static void set_time(struct sp_bus_claim *claim, int64_t now_ms, int64_t time_ms) {
    claim->time_ms = time_ms < 0 || time_ms > now_ms ? (uint64_t)now_ms : (uint64_t)time_ms;
}

/* ---- XCLAIM ---------------------------------------------------------------------------------- */

struct claim_options {
    struct sp_bus_claim claim;
    struct sp_entry_id last_id;
    uint32_t id_count; /* from argument 5 on */
};

static bool refuse_option(struct sp_request *request, sp_str word) {
    char text[256];
    (void)snprintf(text, sizeof(text), "Unrecognized XCLAIM option '%.*s'",
                   word.len > 128 ? 128 : (int)word.len, word.len > 0 ? word.ptr : "");
    (void)sp_reply_error(request, text);
    return false;
}

/* An option with a number behind it. */
static bool read_claim_number(struct sp_request *request, sp_str word, sp_str value,
                              struct sp_bus_claim *claim) {
    int64_t now_ms = (int64_t)request->server->wall_ms;
    int64_t number = 0;
    if (sp_word_is(word, "idle")) {
        if (!read_number(request, value, "Invalid IDLE option argument for XCLAIM", &number)) {
            return false;
        }
        set_time(claim, now_ms, number > now_ms || number < 0 ? -1 : now_ms - number);
        return true;
    }
    if (sp_word_is(word, "time")) {
        if (!read_number(request, value, "Invalid TIME option argument for XCLAIM", &number)) {
            return false;
        }
        set_time(claim, now_ms, number);
        return true;
    }
    if (!read_number(request, value, "Invalid RETRYCOUNT option argument for XCLAIM", &number)) {
        return false;
    }
    claim->has_retry_count = number >= 0;
    claim->retry_count = number > UINT32_MAX ? UINT32_MAX : (uint32_t)(number < 0 ? 0 : number);
    return true;
}

/* The option at *at, which moves to its last word. */
static bool read_claim_option(struct sp_request *request, uint32_t *at,
                              struct claim_options *options) {
    sp_str word = request->args[*at];
    bool more = *at + 1 < request->argc;
    if (sp_word_is(word, "force")) {
        options->claim.force = true;
        return true;
    }
    if (sp_word_is(word, "justid")) {
        options->claim.justid = true;
        return true;
    }
    if (more && sp_word_is(word, "lastid")) {
        if (!sp_stream_id_parse(request->args[++*at], 0, &options->last_id)) {
            (void)sp_reply_error(request, SP_STREAM_ID_INVALID);
            return false;
        }
        options->claim.last_id = &options->last_id;
        return true;
    }
    if (more &&
        (sp_word_is(word, "idle") || sp_word_is(word, "time") || sp_word_is(word, "retrycount"))) {
        ++*at;
        return read_claim_number(request, word, request->args[*at], &options->claim);
    }
    return refuse_option(request, word);
}

static bool read_claim(struct sp_request *request, struct claim_options *options) {
    struct sp_entry_id id;
    if (!read_idle_min(request, "Invalid min-idle-time argument for XCLAIM", &options->claim)) {
        return false;
    }
    uint32_t at = 5;
    while (at < request->argc && sp_stream_id_parse(request->args[at], 0, &id)) {
        at++;
    }
    options->id_count = at - 5;
    for (; at < request->argc; at++) {
        if (!read_claim_option(request, &at, options)) {
            return false;
        }
    }
    return true;
}

enum sp_verdict sp_on_xclaim(struct sp_request *request) {
    struct claim_options options = {.claim = {.time_ms = UINT64_MAX}};
    struct sp_group_named named;
    struct sp_error error;
    if (!sp_group_needed(request, 1, 2, &named) || !read_claim(request, &options)) {
        return SP_DONE;
    }
    const struct sp_entry_id *ids = sp_group_ids(request, 5, options.id_count);
    if (ids == NULL) {
        return SP_DONE;
    }
    options.claim.key = &named.key;
    options.claim.group = named.name;
    options.claim.consumer = request->args[3];
    sp_consumers_read_named(request->connection, named.group, request->args[3]);
    struct sp_group_entries entries = {.reply = request->reply, .ids_only = options.claim.justid};
    struct sp_resp_open open = sp_resp_open_array(request->reply, options.id_count);
    sp_error_clear(&error);
    sp_status status = sp_bus_claim(request->server->bus, &options.claim, ids, options.id_count,
                                    sp_group_write_entry, &entries, &error);
    if (status != SP_OK) {
        sp_resp_drop(request->reply, open);
        return sp_reply_status(request, status, &error);
    }
    sp_resp_close(request->reply, open, entries.count);
    return SP_DONE;
}

/* ---- XAUTOCLAIM ------------------------------------------------------------------------------ */

struct autoclaim_options {
    struct sp_bus_claim claim;
    struct sp_entry_id from;
    uint32_t count;
};

static bool read_autoclaim(struct sp_request *request, struct autoclaim_options *options) {
    int64_t count = 0;
    if (!read_idle_min(request, "Invalid min-idle-time argument for XAUTOCLAIM", &options->claim)) {
        return false;
    }
    const char *problem = sp_stream_id_parse_start(request->args[5], &options->from);
    if (problem != NULL) {
        (void)sp_reply_error(request, problem);
        return false;
    }
    for (uint32_t at = 6; at < request->argc; at++) {
        if (sp_word_is(request->args[at], "justid")) {
            options->claim.justid = true;
        } else if (sp_word_is(request->args[at], "count") && at + 1 < request->argc) {
            if (!sp_word_i64(request->args[++at], &count) || count < 1 ||
                count > INT64_MAX / (int64_t)sizeof(struct sp_entry_id)) {
                (void)sp_reply_error(request, "COUNT must be > 0");
                return false;
            }
            options->count = count > SP_GROUP_CALL_MAX ? SP_GROUP_CALL_MAX : (uint32_t)count;
        } else {
            (void)sp_reply_syntax(request);
            return false;
        }
    }
    return true;
}

/* Ids that are gone, kept until the entries are written. */
struct gone {
    struct sp_buf *ids; /* of struct sp_entry_id */
};

static void keep_gone(void *context, struct sp_entry_id id) {
    struct gone *gone = context;
    sp_buf_add(gone->ids, &id, sizeof(id));
}

/* What both callbacks of the bus are given. */
struct autoclaimed {
    struct sp_group_entries entries; /* first: sp_group_write_entry takes it */
    struct gone gone;
};

static void on_gone(void *context, struct sp_entry_id id) {
    struct autoclaimed *claimed = context;
    keep_gone(&claimed->gone, id);
}

static void write_gone(struct sp_resp *reply, const struct sp_buf *ids) {
    size_t count = ids->len / sizeof(struct sp_entry_id);
    sp_resp_array(reply, count);
    for (size_t i = 0; i < count; i++) {
        struct sp_entry_id id;
        memcpy(&id, ids->data + i * sizeof(id), sizeof(id));
        sp_resp_id(reply, id);
    }
}

/* The cursor, which stands first in the reply, is known last. */
static void write_before(struct sp_resp *reply, size_t at, struct sp_entry_id next) {
    char text[SP_ENTRY_ID_TEXT_SIZE];
    char head[SP_RESP_HEAD_BYTES + SP_ENTRY_ID_TEXT_SIZE + 4];
    size_t len = sp_entry_id_format(next, text);
    int bytes = snprintf(head, sizeof(head), "$%zu\r\n%s\r\n", len, text);
    size_t moved = reply->to->len - at;
    if (sp_buf_reserve(reply->to, (size_t)bytes) == NULL) {
        return;
    }
    memmove(reply->to->data + at + bytes, reply->to->data + at, moved);
    memcpy(reply->to->data + at, head, (size_t)bytes);
    sp_buf_advance(reply->to, (size_t)bytes);
}

enum sp_verdict sp_on_xautoclaim(struct sp_request *request) {
    struct autoclaim_options options = {.claim = {.time_ms = UINT64_MAX}, .count = AUTOCLAIM_COUNT};
    struct sp_group_named named;
    struct sp_entry_id next = SP_ENTRY_ID_NONE;
    struct sp_error error;
    struct sp_resp *reply = request->reply;
    if (!read_autoclaim(request, &options) || !sp_group_needed(request, 1, 2, &named)) {
        return SP_DONE;
    }
    options.claim.key = &named.key;
    options.claim.group = named.name;
    options.claim.consumer = request->args[3];
    sp_consumers_read_named(request->connection, named.group, request->args[3]);
    sp_buf_reset(&request->server->scratch);
    struct autoclaimed claimed = {.entries = {.reply = reply, .ids_only = options.claim.justid},
                                  .gone = {.ids = &request->server->scratch}};
    size_t begun = reply->to->len;
    sp_resp_array(reply, 3);
    size_t cursor_at = reply->to->len;
    struct sp_resp_open open = sp_resp_open_array(reply, options.count);
    sp_error_clear(&error);
    sp_status status =
        sp_bus_autoclaim(request->server->bus, &options.claim, options.from, options.count,
                         sp_group_write_entry, on_gone, &claimed, &next, &error);
    if (status != SP_OK) {
        if (reply->to->status == SP_OK) {
            reply->to->len = begun;
        }
        return sp_reply_status(request, status, &error);
    }
    sp_resp_close(reply, open, claimed.entries.count);
    write_before(reply, cursor_at, next);
    write_gone(reply, &request->server->scratch);
    return SP_DONE;
}
