/* XADD and what else writes to a stream: parsing as Redis does, then one call of the bus. */
#include <stdio.h>

#include "proto/entry.h"
#include "proto/stream_id.h"
#include "server/handlers.h"
#include "server/server.h"

/* ---- options of XADD and XTRIM --------------------------------------------------------------- */

struct add_options {
    struct sp_bus_trim trim;
    bool limit_given;
    int64_t limit;
    bool only_existing;
    sp_str producer; /* NULL ptr: no IDMP */
    sp_str iid;      /* NULL ptr with a producer: IDMPAUTO */
    enum sp_stream_id_add id_kind;
    struct sp_entry_id id;
    uint32_t next; /* argument behind the options, and behind XADD's id */
};

/* Reads `[=|~] threshold`; *at stands on MAXLEN or MINID. False where the error is written. */
static bool read_trim(struct sp_request *request, uint32_t *at, struct add_options *options) {
    uint32_t left = request->argc - 1 - *at;
    struct sp_bus_trim *trim = &options->trim;
    bool by_length = sp_word_is(request->args[*at], "maxlen");
    if (trim->kind != SP_TRIM_NONE) {
        (void)sp_reply_error(request, "syntax error, MAXLEN and MINID options at the same time are "
                                      "not compatible");
        return false;
    }
    trim->kind = by_length ? SP_TRIM_LENGTH : SP_TRIM_ID;
    sp_str mark = request->args[*at + 1];
    if (left >= 2 && mark.len == 1 && (mark.ptr[0] == '~' || mark.ptr[0] == '=')) {
        trim->approximate = mark.ptr[0] == '~';
        (*at)++;
    }
    sp_str threshold = request->args[*at + 1];
    (*at)++;
    if (!by_length) {
        if (!sp_stream_id_parse(threshold, 0, &trim->id)) {
            (void)sp_reply_error(request, SP_STREAM_ID_INVALID);
            return false;
        }
        return true;
    }
    int64_t length = 0;
    if (!sp_word_i64(threshold, &length)) {
        (void)sp_reply_not_integer(request);
        return false;
    }
    if (length < 0) {
        (void)sp_reply_error(request, "The MAXLEN argument must be >= 0.");
        return false;
    }
    trim->length = (uint64_t)length;
    return true;
}

static bool read_limit(struct sp_request *request, sp_str text, struct add_options *options) {
    if (!sp_word_i64(text, &options->limit)) {
        (void)sp_reply_not_integer(request);
        return false;
    }
    if (options->limit < 0) {
        (void)sp_reply_error(request, "The LIMIT argument must be >= 0.");
        return false;
    }
    options->limit_given = true;
    return true;
}

static bool read_idempotency(struct sp_request *request, uint32_t *at,
                             struct add_options *options) {
    bool automatic = sp_word_is(request->args[*at], "idmpauto");
    if (options->producer.ptr != NULL) {
        (void)sp_reply_error(request, "IDMP/IDMPAUTO specified multiple times");
        return false;
    }
    options->producer = request->args[*at + 1];
    (*at)++;
    if (options->producer.len == 0) {
        (void)sp_reply_error(request, automatic ? "IDMPAUTO requires a non-empty producer ID"
                                                : "IDMP requires a non-empty producer ID");
        return false;
    }
    if (!automatic) {
        options->iid = request->args[*at + 1];
        (*at)++;
        if (options->iid.len == 0) {
            (void)sp_reply_error(request, "IDMP requires a non-empty idempotent ID");
            return false;
        }
    }
    return true;
}

static bool is_policy(sp_str word) {
    return sp_word_is(word, "keepref") || sp_word_is(word, "delref") || sp_word_is(word, "acked");
}

/* One option at *at. *ret_known false: it is none. False where the error is written. */
static bool read_option(struct sp_request *request, bool is_add, uint32_t *at,
                        struct add_options *options, bool *ret_known) {
    sp_str word = request->args[*at];
    uint32_t left = request->argc - 1 - *at;
    *ret_known = true;
    if (left >= 1 && (sp_word_is(word, "maxlen") || sp_word_is(word, "minid"))) {
        return read_trim(request, at, options);
    }
    if (left >= 1 && sp_word_is(word, "limit")) {
        (*at)++;
        return read_limit(request, request->args[*at], options);
    }
    if (is_add && sp_word_is(word, "nomkstream")) {
        options->only_existing = true;
        return true;
    }
    if (is_add &&
        ((left >= 1 && sp_word_is(word, "idmpauto")) || (left >= 2 && sp_word_is(word, "idmp")))) {
        return read_idempotency(request, at, options);
    }
    if (is_policy(word)) {
        if (!sp_word_is(word, "keepref")) {
            (void)sp_reply_error(request, "DELREF and ACKED are not supported: entries that are "
                                          "pending stay in their groups");
            return false;
        }
        return true;
    }
    *ret_known = false;
    return true;
}

static bool check_options(struct sp_request *request, bool is_add, struct add_options *options) {
    if (options->limit_given && options->trim.kind == SP_TRIM_NONE) {
        (void)sp_reply_error(request, "syntax error, LIMIT cannot be used without specifying a "
                                      "trimming strategy");
        return false;
    }
    if (!is_add && options->trim.kind == SP_TRIM_NONE) {
        (void)sp_reply_error(request,
                             "syntax error, XTRIM must be called with a trimming strategy");
        return false;
    }
    if (options->limit_given && !options->trim.approximate) {
        (void)sp_reply_error(request,
                             "syntax error, LIMIT cannot be used without the special ~ option");
        return false;
    }
    options->trim.limit = options->limit_given ? (uint64_t)options->limit : UINT64_MAX;
    if (options->producer.ptr != NULL && options->id_kind != SP_STREAM_ADD_AUTO) {
        (void)sp_reply_error(request, "IDMP/IDMPAUTO can be used only with auto-generated IDs");
        return false;
    }
    return true;
}

/* Reads what stands between the key and XADD's fields, or the end. */
static bool read_options(struct sp_request *request, bool is_add, struct add_options *options) {
    uint32_t at = 2;
    for (; at < request->argc; at++) {
        sp_str word = request->args[at];
        bool known = false;
        if (is_add && word.len == 1 && word.ptr[0] == '*') {
            break;
        }
        if (!read_option(request, is_add, &at, options, &known)) {
            return false;
        }
        if (known) {
            continue;
        }
        if (!is_add) {
            (void)sp_reply_syntax(request);
            return false;
        }
        if (!sp_stream_id_parse_add(word, &options->id_kind, &options->id)) {
            (void)sp_reply_error(request, SP_STREAM_ID_INVALID);
            return false;
        }
        break;
    }
    options->next = at + 1;
    return check_options(request, is_add, options);
}

/* ---- XADD ------------------------------------------------------------------------------------ */

/* What the bus refused, in Redis' words. */
static enum sp_verdict reply_add_status(struct sp_request *request, sp_status status,
                                        const struct sp_error *error) {
    switch ((unsigned)status) {
    case SP_NOT_FOUND:
        sp_resp_null(request->reply);
        return SP_DONE;
    case SP_CONFLICT:
        return sp_reply_error(request, "The ID specified in XADD is equal or smaller than the "
                                       "target stream top item");
    case SP_END:
        return sp_reply_error(request, "The stream has exhausted the last possible ID, unable to "
                                       "add more items");
    default:
        return sp_reply_status(request, status, error);
    }
}

static sp_status make_event(struct sp_request *request, const struct add_options *options,
                            sp_str stream, struct sp_error *error) {
    struct sp_server *server = request->server;
    char iid[SP_ENTRY_IID_BYTES];
    const sp_str *fields = request->args + options->next;
    uint32_t count = request->argc - options->next;
    struct sp_entry entry = {
        .fields = fields,
        .count = count,
        .stream = stream,
        .source = sp_connection_source(request->connection),
        .producer = options->producer,
        .iid = options->iid,
    };
    if (options->producer.ptr != NULL && options->iid.ptr == NULL) {
        sp_entry_auto_iid(fields, count, iid);
        entry.iid = sp_str_of(iid, sizeof(iid));
    }
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    limits.event_bytes_max = sp_settings_u64(&server->settings, SP_SET_EVENT_BYTES_MAX);
    sp_buf_reset(&server->scratch);
    if (sp_buf_reserve(&server->scratch, sp_entry_scratch_bytes(&entry)) == NULL) {
        return sp_error_set(error, server->scratch.status, "the entry is too large");
    }
    return sp_entry_to_event(&entry, &limits, &server->scratch, &server->event, error);
}

enum sp_verdict sp_on_xadd(struct sp_request *request) {
    struct add_options options = {.id_kind = SP_STREAM_ADD_AUTO};
    struct sp_key key;
    struct sp_error error;
    struct sp_bus_added added;
    if (!read_options(request, true, &options)) {
        return SP_DONE;
    }
    if (request->argc < options.next + 2 || (request->argc - options.next) % 2 != 0) {
        return sp_reply_arity(request);
    }
    if (options.id_kind == SP_STREAM_ADD_ID && sp_entry_id_is_none(options.id)) {
        return sp_reply_error(request, "The ID specified in XADD must be greater than 0-0");
    }
    if (!sp_request_key_to_write(request, request->args[1], &key)) {
        return SP_DONE;
    }
    error.status = SP_OK;
    sp_status status = make_event(request, &options, key.name, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    struct sp_bus_add add = {
        .key = &key,
        .event = &request->server->event,
        .origin = SP_EVENT_FROM_JSON,
        .only_existing = options.only_existing,
        .id_kind = options.id_kind == SP_STREAM_ADD_AUTO       ? SP_ID_AUTO
                   : options.id_kind == SP_STREAM_ADD_AUTO_SEQ ? SP_ID_MS
                                                               : SP_ID_GIVEN,
        .id = options.id,
        .trim = options.trim,
    };
    status = sp_bus_add(request->server->bus, &add, &added, &error);
    if (SP_UNLIKELY(status != SP_OK)) {
        return reply_add_status(request, status, &error);
    }
    request->appended = true;
    sp_resp_id(request->reply, added.id);
    return SP_DONE;
}

/* ---- the others ------------------------------------------------------------------------------ */

enum sp_verdict sp_on_xlen(struct sp_request *request) {
    struct sp_key key;
    struct sp_error error;
    uint64_t length = 0;
    if (!sp_request_key(request, request->args[1], &key)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_length(request->server->bus, &key, &length, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_unsigned(request->reply, status == SP_OK ? length : 0);
    return SP_DONE;
}

enum sp_verdict sp_on_xdel(struct sp_request *request) {
    struct sp_server *server = request->server;
    struct sp_key key;
    struct sp_error error;
    uint64_t count = 0;
    size_t id_count = request->argc - 2;
    if (!sp_request_key_to_write(request, request->args[1], &key)) {
        return SP_DONE;
    }
    sp_buf_reset(&server->scratch);
    struct sp_entry_id *ids =
        (struct sp_entry_id *)(void *)sp_buf_reserve(&server->scratch, id_count * sizeof(*ids));
    if (ids == NULL) {
        return sp_reply_status(request, SP_NO_MEMORY, NULL);
    }
    for (size_t i = 0; i < id_count; i++) {
        if (!sp_stream_id_parse(request->args[2 + i], 0, &ids[i])) {
            return sp_reply_error(request, SP_STREAM_ID_INVALID);
        }
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_hide(server->bus, &key, ids, id_count, &count, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_unsigned(request->reply, count);
    return SP_DONE;
}

enum sp_verdict sp_on_xtrim(struct sp_request *request) {
    struct add_options options = {.id_kind = SP_STREAM_ADD_AUTO};
    struct sp_key key;
    struct sp_error error;
    uint64_t count = 0;
    if (!read_options(request, false, &options)) {
        return SP_DONE;
    }
    if (!sp_request_key_to_write(request, request->args[1], &key)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_trim(request->server->bus, &key, &options.trim, &count, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_unsigned(request->reply, count);
    return SP_DONE;
}

/* XSETID's options. False where the error is written. */
static bool read_set_options(struct sp_request *request, int64_t *ret_added, bool *ret_has_added,
                             struct sp_entry_id *ret_deleted, bool *ret_has_deleted) {
    for (uint32_t i = 3; i < request->argc; i += 2) {
        bool last = i + 1 == request->argc;
        if (!last && sp_word_is(request->args[i], "entriesadded")) {
            if (!sp_word_i64(request->args[i + 1], ret_added)) {
                (void)sp_reply_not_integer(request);
                return false;
            }
            if (*ret_added < 0) {
                (void)sp_reply_error(request, "entries_added must be positive");
                return false;
            }
            *ret_has_added = true;
        } else if (!last && sp_word_is(request->args[i], "maxdeletedid")) {
            if (!sp_stream_id_parse(request->args[i + 1], 0, ret_deleted)) {
                (void)sp_reply_error(request, SP_STREAM_ID_INVALID);
                return false;
            }
            *ret_has_deleted = true;
        } else {
            (void)sp_reply_syntax(request);
            return false;
        }
    }
    return true;
}

enum sp_verdict sp_on_xsetid(struct sp_request *request) {
    struct sp_entry_id last;
    struct sp_entry_id deleted = SP_ENTRY_ID_NONE;
    struct sp_key key;
    struct sp_error error;
    int64_t added = 0;
    bool has_added = false;
    bool has_deleted = false;
    if (!sp_stream_id_parse(request->args[2], 0, &last)) {
        return sp_reply_error(request, SP_STREAM_ID_INVALID);
    }
    if (!read_set_options(request, &added, &has_added, &deleted, &has_deleted) ||
        !sp_request_key_to_write(request, request->args[1], &key)) {
        return SP_DONE;
    }
    if (has_deleted && sp_entry_id_compare(last, deleted) < 0) {
        return sp_reply_error(request, "The ID specified in XSETID is smaller than the provided "
                                       "max_deleted_entry_id");
    }
    uint64_t entries_added = (uint64_t)added;
    sp_error_clear(&error);
    sp_status status =
        sp_bus_set_id(request->server->bus, &key, last, has_added ? &entries_added : NULL,
                      has_deleted ? &deleted : NULL, &error);
    if (status == SP_NOT_FOUND) {
        return sp_reply_error(request, "no such key");
    }
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_ok(request->reply);
    return SP_DONE;
}
