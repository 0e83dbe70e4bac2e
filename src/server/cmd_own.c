/*
 * SPOOR.APPEND, SPOOR.READ, SPOOR.EVENT, SPOOR.TRACE: events as such, for clients that speak Redis'
 * protocol.
 */
#include <stdio.h>

#include "base/time.h"
#include "engine/query.h"
#include "event/event_json.h"
#include "server/handlers.h"
#include "server/server.h"
#include "server/subscribe_query.h"
#include "server/upcasting.h"

/* ---- SPOOR.APPEND ---------------------------------------------------------------------------- */

/* `*`: any; `none` or 0: the stream is not there yet. False where the error is written. */
static bool read_expected(struct sp_request *request, sp_str text, uint64_t *ret_version) {
    int64_t version = 0;
    if ((text.len == 1 && text.ptr[0] == '*') || sp_word_is(text, "any")) {
        *ret_version = (uint64_t)SP_CORE_ANY_VERSION;
        return true;
    }
    if (!sp_word_is(text, "none") && (!sp_word_i64(text, &version) || version < 0)) {
        (void)sp_reply_error(request, "the expected version is a number, none or *");
        return false;
    }
    *ret_version = (uint64_t)version;
    return true;
}

/* Puts one attribute or extension into the event. False where the error is written. */
static bool set_attribute(struct sp_request *request, struct sp_event *event, sp_str name,
                          sp_str value) {
    const struct sp_name *known = sp_name_find(name);
    char text[300];
    if (known == NULL) {
        if (event->extension_count == SP_EVENT_EXTENSIONS_MAX) {
            (void)sp_reply_error(request, "too many attributes");
            return false;
        }
        event->extensions[event->extension_count++] =
            (struct sp_extension){.name = name, .value = value, .kind = SP_VALUE_STRING};
        return true;
    }
    bool attribute = known->kind == SP_NAME_ATTRIBUTE || known->kind == SP_NAME_ALIAS;
    if (!attribute || known->attr == SP_ATTR_TYPE || known->attr == SP_ATTR_STREAM) {
        (void)snprintf(text, sizeof(text), "'%.*s' is given by its place, or made by the store",
                       name.len > 128 ? 128 : (int)name.len, name.ptr);
        (void)sp_reply_error(request, text);
        return false;
    }
    if (sp_event_has(event, (enum sp_attr)known->attr)) {
        (void)snprintf(text, sizeof(text), "'%.*s' is given twice",
                       name.len > 128 ? 128 : (int)name.len, name.ptr);
        (void)sp_reply_error(request, text);
        return false;
    }
    event->attr[known->attr] = value;
    return true;
}

static bool read_event(struct sp_request *request, const struct sp_key *key,
                       struct sp_event *event) {
    for (unsigned i = 0; i < SP_ATTR_COUNT; i++) {
        event->attr[i] = (sp_str){.ptr = NULL};
    }
    event->extension_count = 0;
    event->is_history = false;
    event->attr[SP_ATTR_TYPE] = request->args[3];
    event->attr[SP_ATTR_STREAM] = key->name;
    event->data = request->args[4];
    event->has_data = true;
    event->data_is_json = false;
    for (uint32_t i = 5; i + 1 < request->argc; i += 2) {
        if (!set_attribute(request, event, request->args[i], request->args[i + 1])) {
            return false;
        }
    }
    if (!sp_event_has(event, SP_ATTR_SOURCE)) {
        event->attr[SP_ATTR_SOURCE] = sp_connection_source(request->connection);
    }
    return true;
}

static void write_added(struct sp_resp *reply, sp_str stream, const struct sp_bus_added *added) {
    sp_resp_map(reply, added->delayed_us > 0 ? 7 : 5);
    sp_resp_bulk_text(reply, "position");
    sp_resp_unsigned(reply, added->position);
    sp_resp_bulk_text(reply, "stream");
    sp_resp_bulk(reply, added->delayed_us > 0             ? SP_STR("$delayed")
                        : added->first_stream.ptr != NULL ? added->first_stream
                                                          : stream);
    sp_resp_bulk_text(reply, "version");
    sp_resp_unsigned(reply, added->version);
    sp_resp_bulk_text(reply, "entryid");
    sp_resp_id(reply, added->id);
    sp_resp_bulk_text(reply, "duplicate");
    sp_resp_integer(reply, added->duplicate);
    if (added->delayed_us > 0) {
        char due[SP_TIME_TEXT_SIZE];
        sp_time_format(added->delayed_us, due);
        sp_resp_bulk_text(reply, "delayed");
        sp_resp_integer(reply, 1);
        sp_resp_bulk_text(reply, "due");
        sp_resp_bulk_text(reply, due);
    }
}

enum sp_verdict sp_on_spoor_append(struct sp_request *request) {
    struct sp_event *event = &request->server->event;
    struct sp_bus_added added;
    struct sp_error error;
    struct sp_key key;
    uint64_t expected = 0;
    if (request->argc % 2 == 0) {
        return sp_reply_arity(request);
    }
    if (!read_expected(request, request->args[2], &expected) ||
        !sp_request_key_to_write(request, request->args[1], &key) ||
        !read_event(request, &key, event)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_append(request->server->bus, event, expected, &added, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = true;
    write_added(request->reply, request->args[1], &added);
    return SP_DONE;
}

/* ---- SPOOR.READ ------------------------------------------------------------------------------ */

enum { READ_DEFAULT = 1000 }; /* events, where the query has no limit */

static const char UPCAST_CODE[] = "UPCAST"; /* of an error: an event could not be brought up */

/*
 * Writes an event as one bulk string of JSON; brought up by `upcast`, or as it is stored where that
 * is NULL.
 */
static sp_status write_json(struct sp_request *request, struct sp_server *upcast,
                            struct sp_cursor *cursor, const struct sp_event *event,
                            struct sp_error *error) {
    uint8_t hash[SP_HASH_BYTES];
    struct sp_buf *scratch = &request->server->scratch;
    sp_status status = sp_cursor_hash(cursor, hash, error);
    status = status == SP_OK ? sp_upcasting_view(upcast, event, &event, error) : status;
    if (status != SP_OK) {
        return status;
    }
    sp_buf_reset(scratch);
    sp_event_to_json(event, hash, scratch);
    sp_resp_bulk(request->reply, sp_buf_str(scratch));
    return scratch->status;
}

/*
 * ---- a page
 * ----------------------------------------------------------------------------------------
 *
 * [next, last, events, problem]: the range that is still to be read, `next` null where it is used
 * up; the events; and what stopped the page where that was neither its size nor its end, as the
 * text of an error whose cause lies behind the last event and before `next`.
 */

enum {
    PAGE_BYTES_MAX = 1 << 20,
    PAGE_EVENTS_LOOKED_AT = 20000, /* so that a search for little does not hold up everybody */
};

/* Fills the page; SP_BUSY: there is more. */
static sp_status write_page_events(struct sp_request *request, struct sp_server *upcast,
                                   struct sp_cursor *cursor, uint64_t limit,
                                   struct sp_error *error) {
    struct sp_resp_open open = sp_resp_open_array(request->reply, limit);
    size_t from = request->reply->to->len;
    uint64_t count = 0;
    sp_status status = SP_OK;
    sp_cursor_allow(cursor, PAGE_EVENTS_LOOKED_AT);
    while (status == SP_OK && request->reply->to->status == SP_OK) {
        const struct sp_event *event = NULL;
        bool full = count == limit || request->reply->to->len - from > PAGE_BYTES_MAX;
        status = full ? SP_BUSY : sp_cursor_next(cursor, &event, error);
        if (status == SP_OK) {
            status = write_json(request, upcast, cursor, event, error);
            count += status == SP_OK;
        }
    }
    sp_resp_close(request->reply, open, count);
    return status;
}

/* Position by position; the head is written last, as it tells of what was read. */
static sp_status write_page(struct sp_request *request, struct sp_server *upcast,
                            struct sp_cursor *cursor, uint64_t limit, struct sp_error *error) {
    struct sp_resp *reply = request->reply;
    struct sp_buf events;
    struct sp_buf *to = reply->to;
    uint64_t first = 0;
    uint64_t last = 0;
    sp_buf_init(&events, to->size_bytes_max);
    reply->to = &events;
    sp_status status = write_page_events(request, upcast, cursor, limit, error);
    reply->to = to;
    sp_cursor_range(cursor, &first, &last);
    sp_resp_array(reply, 4);
    if (status == SP_END || first > last) {
        sp_resp_null(reply);
    } else {
        sp_resp_unsigned(reply, first);
    }
    sp_resp_unsigned(reply, last);
    sp_buf_add_str(to, sp_buf_str(&events));
    bool stopped = status != SP_BUSY && status != SP_END;
    if (stopped) {
        char text[SP_ERROR_TEXT_SIZE + 16];
        (void)snprintf(text, sizeof(text), "%s %s",
                       status == SP_INVALID ? UPCAST_CODE : sp_status_code(status), error->text);
        sp_resp_bulk_text(reply, text);
    } else {
        sp_resp_null(reply);
    }
    sp_status written = events.status;
    sp_buf_fini(&events);
    sp_cursor_close(cursor);
    return written;
}

/* Writes all events of the cursor, each with its depth before it or not, and closes it. */
static sp_status write_cursor(struct sp_request *request, struct sp_server *upcast,
                              struct sp_cursor *cursor, bool with_depth, struct sp_error *error) {
    struct sp_resp *reply = request->reply;
    struct sp_resp_open open = sp_resp_open_array(reply, 10);
    uint64_t count = 0;
    sp_status status = SP_OK;
    while (status == SP_OK && reply->to->status == SP_OK) {
        const struct sp_event *event = NULL;
        status = sp_cursor_next(cursor, &event, error);
        if (status != SP_OK) {
            break;
        }
        if (with_depth) {
            sp_resp_array(reply, 2);
            sp_resp_unsigned(reply, sp_cursor_depth(cursor));
        }
        status = write_json(request, upcast, cursor, event, error);
        count++;
    }
    sp_cursor_close(cursor);
    if (status != SP_OK && status != SP_END) {
        return status;
    }
    sp_resp_close(reply, open, count);
    return SP_OK;
}

/* What reading events said: SP_INVALID is an upcaster's. */
static enum sp_verdict refuse_events(struct sp_request *request, sp_status status,
                                     const struct sp_error *error) {
    return status == SP_INVALID ? sp_reply_error_str(request, UPCAST_CODE, sp_str_from(error->text))
                                : sp_reply_own_status(request, status, error);
}

enum sp_verdict sp_on_spoor_read(struct sp_request *request) {
    struct sp_query_words words;
    struct sp_error error;
    struct sp_cursor *cursor = NULL;
    struct sp_server *upcast = NULL;
    uint64_t limit = 0;
    size_t from = request->reply->to->len;
    sp_error_clear(&error);
    sp_status status = sp_query_words_read(request->args + 1, request->argc - 1, &words, &error);
    if (status == SP_OK && words.query.follow) {
        return sp_reply_syntax(request);
    }
    if (status == SP_OK) {
        limit = words.query.limit == 0 ? READ_DEFAULT : words.query.limit;
        words.query.limit = words.paged ? 0 : limit;
        status = sp_cursor_open(request->server->engine, &words.query, &cursor, &error);
    }
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    upcast = words.raw ? NULL : request->server;
    status = words.paged ? write_page(request, upcast, cursor, limit, &error)
                         : write_cursor(request, upcast, cursor, false, &error);
    if (status != SP_OK) {
        request->reply->to->len = from;
        return refuse_events(request, status, &error);
    }
    return SP_DONE;
}

/* ---- SPOOR.EVENT ----------------------------------------------------------------------------- */

/* The number of words without a RAW at their end; *ret_upcast NULL where it was there. */
static uint32_t without_raw(const struct sp_request *request, struct sp_server **ret_upcast) {
    bool raw = request->argc > 2 && sp_word_is(request->args[request->argc - 1], "raw");
    *ret_upcast = raw ? NULL : request->server;
    return request->argc - (raw ? 1 : 0);
}

enum sp_verdict sp_on_spoor_event(struct sp_request *request) {
    struct sp_cursor *cursor = NULL;
    struct sp_error error;
    sp_str source = {.ptr = NULL};
    size_t from = request->reply->to->len;
    struct sp_server *upcast = NULL;
    uint32_t argc = without_raw(request, &upcast);
    if (argc == 4 && sp_word_is(request->args[2], "source")) {
        source = request->args[3];
    } else if (argc != 2) {
        return sp_reply_error(request, "syntax error, expected id [SOURCE source] [RAW]");
    }
    sp_error_clear(&error);
    sp_status status =
        sp_cursor_find(request->server->engine, request->args[1], source, &cursor, &error);
    if (status == SP_NOT_FOUND) {
        sp_resp_array(request->reply, 0);
        return SP_DONE;
    }
    if (status == SP_OK) {
        status = write_cursor(request, upcast, cursor, false, &error);
    }
    if (status != SP_OK) {
        request->reply->to->len = from;
        return refuse_events(request, status, &error);
    }
    return SP_DONE;
}

/* ---- SPOOR.TRACE ----------------------------------------------------------------------------- */

/* Which halves of a trace are asked for. False where the word is none. */
static bool read_halves(const struct sp_request *request, uint32_t argc, bool *ret_causes,
                        bool *ret_effects) {
    bool one = argc == 3;
    *ret_causes = !one || sp_word_is(request->args[2], "causes");
    *ret_effects = !one || sp_word_is(request->args[2], "effects");
    return *ret_causes || *ret_effects;
}

static sp_status write_causes(struct sp_request *request, struct sp_server *upcast,
                              struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    sp_status status = sp_cursor_causes(request->server->engine, request->args[1], &cursor, error);
    sp_resp_bulk_text(request->reply, "causes");
    return status == SP_OK ? write_cursor(request, upcast, cursor, false, error) : status;
}

static sp_status write_effects(struct sp_request *request, struct sp_server *upcast,
                               struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    sp_status status = sp_cursor_effects(request->server->engine, request->args[1], &cursor, error);
    sp_resp_bulk_text(request->reply, "effects");
    return status == SP_OK ? write_cursor(request, upcast, cursor, true, error) : status;
}

enum sp_verdict sp_on_spoor_trace(struct sp_request *request) {
    struct sp_error error;
    bool causes = false;
    bool effects = false;
    size_t from = request->reply->to->len;
    sp_error_clear(&error);
    struct sp_server *upcast = NULL;
    uint32_t argc = without_raw(request, &upcast);
    if (argc > 3) {
        return sp_reply_arity(request);
    }
    if (!read_halves(request, argc, &causes, &effects)) {
        return sp_reply_syntax(request);
    }
    sp_resp_map(request->reply, (uint64_t)causes + (uint64_t)effects);
    sp_status status = causes ? write_causes(request, upcast, &error) : SP_OK;
    if (status == SP_OK && effects) {
        status = write_effects(request, upcast, &error);
    }
    if (status != SP_OK) {
        request->reply->to->len = from;
        return status == SP_NOT_FOUND
                   ? sp_reply_error_str(request, "NOTFOUND", SP_STR("no such event"))
                   : refuse_events(request, status, &error);
    }
    return SP_DONE;
}
