/*
 * SPOOR.BATCH: events of any streams, all or none, under any number of expectations. loop-thread
 *
 *     SPOOR.BATCH [EXPECT stream version]... EVENT n name value ... [EVENT n name value ...]...
 *
 * n counts the pairs that follow. HISTORY in the place of EVENT: it was recorded elsewhere before;
 * such a one may be of a stream of the store's own, where nothing is expected of streams. A name is
 * that of an attribute or an alias of one; any other is an extension's. `$name` is an extension
 * whatever its name, `=name` one whose value is JSON text.
 * The answer is an array, for each event position, version, entryid, recorded time in microseconds,
 * and 1 where its source and id were there already; where it asked to come later (`deliverat`) also
 * when it will, in microseconds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "server/handlers.h"
#include "server/server.h"

enum { SHOWN_BYTES_MAX = 128 };

struct batch {
    struct sp_event *events;
    uint32_t event_count;
    struct sp_engine_expect *expects;
    uint32_t expect_count;
};

/* An error about one word. False, for `return refuse(…)`. */
static bool refuse(struct sp_request *request, sp_str word, const char *problem) {
    char text[SHOWN_BYTES_MAX + 128];
    (void)snprintf(text, sizeof(text), "'%.*s' %s",
                   word.len > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : (int)word.len,
                   word.len > 0 ? word.ptr : "", problem);
    (void)sp_reply_error(request, text);
    return false;
}

/* ---- counting: what memory it takes ---- */

/* How many pairs an EVENT at `at` has. False where the error is written. */
static bool read_pairs(struct sp_request *request, uint32_t at, uint32_t *ret_pairs) {
    int64_t pairs = 0;
    if (at + 1 >= request->argc || !sp_word_i64(request->args[at + 1], &pairs) || pairs < 1 ||
        pairs > (request->argc - at - 2) / 2) {
        (void)sp_reply_error(request, "EVENT is followed by a number and that many pairs of name "
                                      "and value");
        return false;
    }
    *ret_pairs = (uint32_t)pairs;
    return true;
}

static bool count_parts(struct sp_request *request, struct batch *batch) {
    uint32_t at = 1;
    while (at < request->argc) {
        uint32_t pairs = 0;
        if (sp_word_is(request->args[at], "expect") && request->argc - at >= 3 &&
            batch->event_count == 0) {
            batch->expect_count++;
            at += 3;
        } else if (!sp_word_is(request->args[at], "event") &&
                   !sp_word_is(request->args[at], "history")) {
            return refuse(request, request->args[at],
                          "is neither EXPECT stream version, before the events, nor EVENT n");
        } else if (!read_pairs(request, at, &pairs)) {
            return false;
        } else {
            batch->event_count++;
            at += 2 + 2 * pairs;
        }
    }
    return batch->event_count > 0 || refuse(request, SP_STR("SPOOR.BATCH"), "has no EVENT");
}

/* ---- reading ---- */

static bool add_extension(struct sp_request *request, struct sp_event *event, sp_str name,
                          sp_str value, bool is_json) {
    if (event->extension_count == SP_EVENT_EXTENSIONS_MAX) {
        (void)sp_reply_error_str(request, "LIMIT", SP_STR("too many attributes"));
        return false;
    }
    event->extensions[event->extension_count++] = (struct sp_extension){
        .name = name, .value = value, .kind = is_json ? SP_VALUE_JSON : SP_VALUE_STRING};
    return true;
}

static bool set_named(struct sp_request *request, struct sp_event *event, sp_str name,
                      sp_str value) {
    bool marked = name.len > 0 && (name.ptr[0] == '$' || name.ptr[0] == '=');
    const struct sp_name *known = marked ? NULL : sp_name_find(name);
    if (known == NULL) {
        return add_extension(request, event, marked ? sp_str_from_byte(name, 1) : name, value,
                             marked && name.ptr[0] == '=');
    }
    bool is_data = known->kind == SP_NAME_DATA || known->kind == SP_NAME_DATA_ALIAS;
    if (!is_data && known->kind != SP_NAME_ATTRIBUTE && known->kind != SP_NAME_ALIAS) {
        return refuse(request, name, "is made by the store");
    }
    if (is_data ? event->has_data : sp_event_has(event, (enum sp_attr)known->attr)) {
        return refuse(request, name, "is given twice");
    }
    if (is_data) {
        event->data = value;
        event->has_data = true;
    } else {
        event->attr[known->attr] = value;
    }
    return true;
}

/* The stream as a key of the connection's database; the source where there is none. */
static bool settle_names(struct sp_request *request, struct sp_event *event) {
    struct sp_key key;
    if (!sp_event_has(event, SP_ATTR_SOURCE)) {
        event->attr[SP_ATTR_SOURCE] = sp_connection_source(request->connection);
    }
    if (event->is_history) {
        return true; /* the bus looks at them */
    }
    enum sp_attr named = sp_event_has(event, SP_ATTR_STREAM) ? SP_ATTR_STREAM : SP_ATTR_SOURCE;
    if (!sp_request_key_to_write(request, event->attr[named], &key)) {
        return false;
    }
    event->attr[SP_ATTR_STREAM] = key.text;
    return true;
}

static bool read_event(struct sp_request *request, uint32_t at, uint32_t pairs,
                       struct sp_event *event) {
    event->position = 0;
    for (unsigned i = 0; i < SP_ATTR_COUNT; i++) {
        event->attr[i] = (sp_str){.ptr = NULL};
    }
    event->extension_count = 0;
    event->data = (sp_str){.ptr = NULL};
    event->has_data = false;
    event->data_is_json = false;
    event->is_history = sp_word_is(request->args[at - 2], "history");
    for (uint32_t i = at; i < at + 2 * pairs; i += 2) {
        if (!set_named(request, event, request->args[i], request->args[i + 1])) {
            return false;
        }
    }
    return settle_names(request, event);
}

static bool read_expect(struct sp_request *request, uint32_t at, struct sp_engine_expect *expect) {
    struct sp_key key;
    int64_t version = 0;
    sp_str text = request->args[at + 1];
    if (!sp_request_key_to_write(request, request->args[at], &key)) {
        return false;
    }
    if (!sp_word_is(text, "none") && (!sp_word_i64(text, &version) || version < 0)) {
        return refuse(request, text, "is no expected version: a number or none");
    }
    *expect = (struct sp_engine_expect){.stream = key.name, .version = (uint64_t)version};
    return true;
}

static bool read_parts(struct sp_request *request, struct batch *batch) {
    uint32_t at = 1;
    for (uint32_t i = 0; i < batch->expect_count; i++, at += 3) {
        if (!read_expect(request, at + 1, &batch->expects[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < batch->event_count; i++) {
        uint32_t pairs = 0;
        if (!read_pairs(request, at, &pairs) ||
            !read_event(request, at + 2, pairs, &batch->events[i])) {
            return false;
        }
        at += 2 + 2 * pairs;
    }
    return true;
}

/* ---- appending ---- */

static void write_added(struct sp_resp *reply, const struct sp_bus_added *added, uint32_t count) {
    sp_resp_array(reply, count);
    for (uint32_t i = 0; i < count; i++) {
        sp_resp_array(reply, added[i].delayed_us == 0 ? 5 : 6);
        sp_resp_unsigned(reply, added[i].position);
        sp_resp_unsigned(reply, added[i].version);
        sp_resp_id(reply, added[i].id);
        sp_resp_unsigned(reply, added[i].recorded_us);
        sp_resp_integer(reply, added[i].duplicate);
        if (added[i].delayed_us != 0) {
            sp_resp_unsigned(reply, added[i].delayed_us);
        }
    }
}

static enum sp_verdict append(struct sp_request *request, const struct batch *batch) {
    struct sp_error error;
    sp_error_clear(&error);
    struct sp_bus_added *added = malloc(batch->event_count * sizeof(*added));
    struct sp_bus *bus = request->server->bus;
    sp_status status = SP_NO_MEMORY;
    if (added != NULL && batch->expect_count == 0) {
        status = sp_bus_import(bus, batch->events, batch->event_count, SP_EVENT_FROM_FIELDS, added,
                               &error);
    } else if (added != NULL) {
        status = sp_bus_append_all(bus, batch->events, batch->event_count, SP_EVENT_FROM_FIELDS,
                                   batch->expects, batch->expect_count, added, &error);
    }
    enum sp_verdict verdict = SP_DONE;
    if (status == SP_OK) {
        request->appended = true;
        write_added(request->reply, added, batch->event_count);
    } else {
        verdict = sp_reply_own_status(request, status, &error);
    }
    free(added);
    return verdict;
}

enum sp_verdict sp_on_spoor_batch(struct sp_request *request) {
    struct batch batch = {.event_count = 0};
    struct sp_error error;
    if (!count_parts(request, &batch)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_engine_check_count(request->server->engine, batch.event_count, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    batch.events = malloc(batch.event_count * sizeof(*batch.events));
    batch.expects = malloc((batch.expect_count + 1) * sizeof(*batch.expects));
    enum sp_verdict verdict = SP_DONE;
    if (batch.events == NULL || batch.expects == NULL) {
        verdict = sp_reply_status(request, SP_NO_MEMORY, NULL);
    } else if (read_parts(request, &batch)) {
        verdict = append(request, &batch);
    }
    free(batch.events);
    free(batch.expects);
    return verdict;
}
