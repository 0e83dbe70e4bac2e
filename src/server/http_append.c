/*
 * POST /v1/events: the events of the body are read straight into those that the engine takes, and
 * appended in one block, all or none. When they are refused they are read once more, one by one, to
 * say which of them is wrong: that costs nothing while all goes well.
 */
#include "server/http_append.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/time.h"
#include "engine/schemas.h"
#include "proto/cloudevent.h"
#include "server/http_parts.h"

enum {
    EVENT_BYTES_GUESS = 160, /* of an event in a batch, to guess how many there are */
    EVENTS_MIN = 16,
    MEMBERS_MAX = 12,
};

/* ---- what the request says ------------------------------------------------------------------- */

/* A number, `none` or `any`. */
static bool read_expected(sp_str text, uint64_t *ret_version) {
    int64_t version = 0;
    if (sp_word_is(text, "any")) {
        *ret_version = (uint64_t)SP_CORE_ANY_VERSION;
        return true;
    }
    if (!sp_word_is(text, "none") && (!sp_word_i64(text, &version) || version < 0)) {
        return false;
    }
    *ret_version = (uint64_t)version;
    return true;
}

bool sp_http_append_options(struct sp_http_request *request,
                            struct sp_http_append_options *ret_options) {
    static const char *const HEADER = "spoor-expected-version";
    *ret_options = (struct sp_http_append_options){.expected = (uint64_t)SP_CORE_ANY_VERSION};
    for (uint32_t i = 0; i < request->query_count; i++) {
        if (!sp_str_eq(request->query[i].name, SP_STR("stream"))) {
            sp_str name = request->query[i].name;
            (void)sp_http_refuse(request, 400, "invalid", "unknown parameter '%.*s'",
                                 name.len > 64 ? 64 : (int)name.len, name.len > 0 ? name.ptr : "");
            return false;
        }
        ret_options->stream = request->query[i].value;
        if (ret_options->stream.len == 0) {
            (void)sp_http_refuse(request, 400, "invalid", "stream: found nothing, expected a name");
            return false;
        }
    }
    if (sp_http_has_header(request, HEADER) &&
        !read_expected(sp_http_header(request, HEADER), &ret_options->expected)) {
        sp_str found = sp_http_header(request, HEADER);
        (void)sp_http_refuse(request, 400, "invalid",
                             "Spoor-Expected-Version: found %.*s, expected a number, none or any",
                             found.len > 64 ? 64 : (int)found.len, found.len > 0 ? found.ptr : "");
        return false;
    }
    return true;
}

sp_status sp_http_set_stream(const struct sp_http_append_options *options, struct sp_event *event,
                             struct sp_error *error) {
    if (options->stream.ptr == NULL) {
        return SP_OK;
    }
    sp_str own = event->attr[SP_ATTR_STREAM];
    if (own.len > 0 && !sp_str_eq(own, options->stream)) {
        return sp_error_set(error, SP_INVALID,
                            "attribute stream: found \"%.*s\", expected that of the URL, or none",
                            own.len > 64 ? 64 : (int)own.len, own.ptr);
    }
    event->attr[SP_ATTR_STREAM] = options->stream;
    return SP_OK;
}

/* ---- problems -------------------------------------------------------------------------------- */

/* What a schema found wrong. `type` is the problem's own member, so the event's is `event_type`. */
static uint32_t add_refusal(const struct sp_schema_refusal *refusal,
                            struct sp_http_member *members) {
    const struct sp_http_member all[] = {
        {.name = "event_type", .kind = SP_HTTP_TEXT, .text = sp_str_from(refusal->type)},
        {.name = "version", .kind = SP_HTTP_TEXT, .text = sp_str_from(refusal->version)},
        {.name = "pointer", .kind = SP_HTTP_TEXT, .text = sp_str_from(refusal->fault.pointer)},
        {.name = "rule", .kind = SP_HTTP_TEXT, .text = sp_str_from(refusal->fault.rule)},
    };
    memcpy(members, all, sizeof(all));
    return sizeof(all) / sizeof(all[0]);
}

enum sp_http_verdict sp_http_refuse_append(struct sp_http_request *request, sp_status status,
                                           const struct sp_error *error, const char *place,
                                           uint64_t number, const struct sp_http_member *more,
                                           uint32_t more_count) {
    struct sp_http_member members[MEMBERS_MAX];
    uint32_t count = 0;
    sp_require(more_count + 6 <= MEMBERS_MAX);
    const struct sp_schema_refusal *refusal = sp_engine_refusal(request->server->engine, error);
    if (refusal != NULL) {
        count = add_refusal(refusal, members);
    }
    sp_str attribute = sp_ce_error_attribute(sp_str_from(error->text));
    bool of_event = status == SP_INVALID || status == SP_LIMIT;
    if ((!of_event && more_count == 0) || error->text[0] == '\0') {
        return sp_http_refuse_status(request, status, error);
    }
    if (attribute.len > 0 && of_event) {
        members[count++] =
            (struct sp_http_member){.name = "attribute", .kind = SP_HTTP_TEXT, .text = attribute};
    }
    if (place != NULL) {
        members[count++] =
            (struct sp_http_member){.name = place, .kind = SP_HTTP_NUMBER, .number = number};
    }
    for (uint32_t i = 0; i < more_count; i++) {
        members[count++] = more[i];
    }
    const struct sp_http_problem problem = {
        .status = refusal != NULL ? 422 : sp_http_status_of(status),
        .type = refusal != NULL        ? "invalid-data"
                : status == SP_INVALID ? "invalid-event"
                : status == SP_LIMIT   ? "event-too-large"
                                       : "store-failed",
        .detail = sp_str_from(error->text),
        .members = members,
        .member_count = count,
    };
    return sp_http_problem(request, &problem);
}

/* ---- a request ------------------------------------------------------------------------------- */

struct append {
    struct sp_http_request *request;
    struct sp_http_append_options options;
    enum sp_ce_mode mode;
    bool is_array;
    struct sp_buf text; /* what the events' slices point into, beside the body */
    struct sp_event *events;
    bool events_owned;
    uint32_t count;
    uint32_t capacity;
    struct sp_bus_added *added;
    struct sp_bus_added one;
    sp_str *names; /* of each event its id, or NULL ptr, and its stream */
    sp_str two[2];
    struct sp_error error;
};

static void fini(struct append *append) {
    sp_buf_fini(&append->text);
    if (append->events_owned) {
        free(append->events);
    }
    if (append->added != &append->one) {
        free(append->added);
    }
    if (append->names != append->two) {
        free(append->names);
    }
}

/* Room for one event more. */
static sp_status grow(struct append *append) {
    if (append->count < append->capacity) {
        return SP_OK;
    }
    if (append->count >= SP_HTTP_BATCH_EVENTS_MAX) {
        return sp_error_set(&append->error, SP_LIMIT,
                            "the body: found more than %d events, expected fewer, or NDJSON",
                            SP_HTTP_BATCH_EVENTS_MAX);
    }
    size_t wanted = append->request->body.len / EVENT_BYTES_GUESS + EVENTS_MIN;
    wanted = append->capacity > 0 ? (size_t)append->capacity * 2 : wanted;
    wanted = wanted < SP_HTTP_BATCH_EVENTS_MAX ? wanted : SP_HTTP_BATCH_EVENTS_MAX;
    struct sp_event *events =
        realloc(append->events_owned ? append->events : NULL, wanted * sizeof(*events));
    if (events == NULL) {
        return sp_error_set(&append->error, SP_NO_MEMORY, "out of memory");
    }
    append->events = events;
    append->events_owned = true;
    append->capacity = (uint32_t)wanted;
    return SP_OK;
}

/* Every event's text is read; the rest is for the engine to say. */
static sp_status read_json(struct append *append) {
    struct sp_ce_reader reader;
    sp_status status = sp_ce_read_begin(&reader, append->mode, append->request->body, &append->text,
                                        &append->error);
    append->is_array = status == SP_OK && reader.is_array;
    if (status == SP_OK && !append->is_array) {
        append->events = &append->request->server->event;
        append->capacity = 1;
    }
    while (status == SP_OK) {
        status = append->is_array ? grow(append) : SP_OK;
        /* Behind the only event of a body there is nothing to be read into. */
        struct sp_event *to = &append->events[append->is_array ? append->count : 0];
        status = status == SP_OK ? sp_ce_read_next(&reader, to, &append->error) : status;
        append->count += status == SP_OK;
    }
    return status == SP_END ? SP_OK : status;
}

static sp_status read_events(struct append *append) {
    struct sp_http_request *request = append->request;
    append->count = 0;
    sp_buf_init(&append->text, SIZE_MAX / 4);
    if (append->mode != SP_CE_BINARY) {
        return read_json(append);
    }
    append->events = &request->server->event;
    append->count = 1;
    return sp_ce_from_headers(request->head->headers, request->head->header_count, request->body,
                              &append->text, append->events, &append->error);
}

static enum sp_event_origin origin_of(const struct append *append) {
    return append->mode == SP_CE_BINARY ? SP_EVENT_FROM_FIELDS : SP_EVENT_FROM_JSON;
}

static sp_status say_which(struct append *append, sp_status status, uint32_t i) {
    return append->is_array ? sp_error_prefix(&append->error, status, "event %u", i + 1) : status;
}

/* The stream that an event goes to; NULL ptr where it names none, and no source. */
static sp_str stream_of(const struct sp_event *event) {
    return event->attr[sp_event_has(event, SP_ATTR_STREAM) ? SP_ATTR_STREAM : SP_ATTR_SOURCE];
}

/* Puts the events into their streams and notes what the reply will need: they are scratch then. */
static sp_status prepare(struct append *append) {
    append->added = &append->one;
    append->names = append->two;
    if (append->count > 1) {
        append->added = malloc(append->count * sizeof(*append->added));
        append->names = malloc(2 * (size_t)append->count * sizeof(*append->names));
        if (append->added == NULL || append->names == NULL) {
            return sp_error_set(&append->error, SP_NO_MEMORY, "out of memory");
        }
    }
    for (uint32_t i = 0; i < append->count; i++) {
        struct sp_event *event = &append->events[i];
        sp_status status = sp_http_set_stream(&append->options, event, &append->error);
        sp_str stream = stream_of(event);
        if (status == SP_OK && stream.len == 0) { /* a stream is needed before all is checked */
            status = sp_error_set(&append->error, SP_INVALID,
                                  "attribute source: absent, expected who did it");
        }
        if (status != SP_OK) {
            return say_which(append, status, i);
        }
        append->names[2 * (size_t)i] = event->attr[SP_ATTR_ID];
        append->names[2 * (size_t)i + 1] = stream;
    }
    return SP_OK;
}

/* An expectation is about one stream, and all events must be of it. */
static sp_status check_one_stream(struct append *append) {
    for (uint32_t i = 1; i < append->count; i++) {
        if (!sp_str_eq(append->names[1], append->names[2 * (size_t)i + 1])) {
            return say_which(append,
                             sp_error_set(&append->error, SP_INVALID,
                                          "attribute stream: found another one, expected that of "
                                          "event 1: Spoor-Expected-Version is about one stream"),
                             i);
        }
    }
    return SP_OK;
}

static bool expects(const struct append *append) {
    return append->options.expected != (uint64_t)SP_CORE_ANY_VERSION;
}

static sp_status submit(struct append *append) {
    struct sp_server *server = append->request->server;
    sp_status status = expects(append) ? check_one_stream(append) : SP_OK;
    if (status != SP_OK) {
        return status;
    }
    const struct sp_core *core = sp_engine_core(server->engine);
    struct sp_engine_expect expect = {.version = append->options.expected};
    if (expects(append)) {
        expect.stream = sp_view_resolve(&core->views, append->names[1]);
    }
    return sp_bus_append_all(server->bus, append->events, append->count, origin_of(append),
                             expects(append) ? &expect : NULL, expects(append) ? 1 : 0,
                             append->added, &append->error);
}

/*
 * One of several events was refused: says which one. The events have been completed in place, so
 * they are read anew.
 */
static void find_wrong(struct append *append) {
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    struct sp_buf scratch;
    struct sp_error error;
    sp_buf_fini(&append->text);
    limits.event_bytes_max =
        sp_settings_u64(&append->request->server->settings, SP_SET_EVENT_BYTES_MAX);
    if (read_events(append) != SP_OK) {
        return;
    }
    sp_buf_init(&scratch, SIZE_MAX / 4);
    for (uint32_t i = 0; i < append->count; i++) {
        sp_error_clear(&error);
        sp_buf_reset(&scratch);
        sp_status status =
            sp_event_check(&append->events[i], origin_of(append), &limits, &scratch, &error);
        if (status != SP_OK) {
            append->error = error;
            (void)say_which(append, status, i);
            break;
        }
    }
    sp_buf_fini(&scratch);
}

/* The number in `event 3: …`, 0 where the error is about none. */
static uint64_t number_in(const char *text) {
    static const char BEFORE[] = "event ";
    uint64_t number = 0;
    if (strncmp(text, BEFORE, sizeof(BEFORE) - 1) != 0) {
        return 0;
    }
    for (text += sizeof(BEFORE) - 1; *text >= '0' && *text <= '9'; text++) {
        number = number * 10 + (uint64_t)(*text - '0');
    }
    return number;
}

static enum sp_http_verdict refuse_version(struct append *append) {
    const struct sp_http_member members[] = {
        {.name = "stream", .kind = SP_HTTP_TEXT, .text = append->names[1]},
        {.name = "expected_version", .kind = SP_HTTP_NUMBER, .number = append->options.expected},
        {.name = "actual_version", .kind = SP_HTTP_NUMBER, .number = append->error.offset},
    };
    const struct sp_http_problem problem = {
        .status = 409,
        .type = "wrong-version",
        .detail = sp_str_from(append->error.text),
        .members = members,
        .member_count = sizeof(members) / sizeof(members[0]),
    };
    return sp_http_problem(append->request, &problem);
}

static enum sp_http_verdict refuse(struct append *append, sp_status status) {
    if (status == SP_CONFLICT && expects(append)) {
        return refuse_version(append);
    }
    if ((status == SP_INVALID || status == SP_LIMIT) && append->is_array &&
        number_in(append->error.text) == 0) {
        find_wrong(append);
    }
    uint64_t number = append->is_array ? number_in(append->error.text) : 0;
    return sp_http_refuse_append(append->request, status, &append->error,
                                 number > 0 ? "event" : NULL, number, NULL, 0);
}

/* ---- replies --------------------------------------------------------------------------------- */

static void add_id(struct sp_buf *to, const struct sp_bus_added *added, sp_str given) {
    char text[SP_UUID_TEXT_SIZE];
    if (added->id_made) {
        sp_uuid_format(added->made_id, text);
        given = sp_str_of(text, sizeof(text));
    }
    sp_json_add_string(to, given);
}

/*
 * {"id":…,"position":…,"stream":…,"version":…,"entryid":…}, of a duplicate "duplicate":true too, of
 * what waits "delayed":true and "due".
 */
static void add_result(struct sp_buf *to, const struct append *append, uint32_t i) {
    const struct sp_bus_added *added = &append->added[i];
    char entry[SP_ENTRY_ID_TEXT_SIZE];
    sp_buf_add_str(to, SP_STR("{\"id\":"));
    add_id(to, added, append->names[2 * (size_t)i]);
    sp_buf_add_str(to, SP_STR(",\"position\":"));
    sp_buf_add_u64(to, added->position);
    sp_buf_add_str(to, SP_STR(",\"stream\":"));
    sp_json_add_string(to, added->delayed_us > 0             ? SP_STR("$delayed")
                           : added->first_stream.ptr != NULL ? added->first_stream
                                                             : append->names[2 * (size_t)i + 1]);
    sp_buf_add_str(to, SP_STR(",\"version\":"));
    sp_buf_add_u64(to, added->version);
    sp_buf_add_str(to, SP_STR(",\"entryid\":\""));
    sp_buf_add(to, entry, sp_entry_id_format(added->id, entry));
    sp_buf_add_str(to, added->duplicate ? SP_STR("\",\"duplicate\":true") : SP_STR("\""));
    if (added->delayed_us > 0) {
        char due[SP_TIME_TEXT_SIZE];
        sp_time_format(added->delayed_us, due);
        sp_buf_add_str(to, SP_STR(",\"delayed\":true,\"due\":\""));
        sp_buf_add_str(to, sp_str_from(due));
        sp_buf_add_byte(to, '"');
    }
    sp_buf_add_byte(to, '}');
}

static enum sp_http_verdict reply(struct append *append) {
    struct sp_http_request *request = append->request;
    struct sp_buf *body = sp_http_scratch(request);
    bool any_new = false;
    if (append->is_array) {
        sp_buf_add_byte(body, '[');
    }
    for (uint32_t i = 0; i < append->count; i++) {
        if (i > 0) {
            sp_buf_add_byte(body, ',');
        }
        add_result(body, append, i);
        any_new |= !append->added[i].duplicate;
    }
    sp_buf_add_str(body, append->is_array ? SP_STR("]\n") : SP_STR("\n"));
    if (body->status != SP_OK) {
        return sp_http_refuse_status(request, body->status, NULL);
    }
    request->appended = true;
    if (!append->is_array && append->names[0].ptr != NULL) {
        request->event_id = append->names[0];
    }
    return sp_http_json(request, any_new ? 201 : 200, sp_buf_str(body));
}

static enum sp_http_verdict run(struct append *append) {
    sp_status status = read_events(append);
    status = status == SP_OK ? prepare(append) : status;
    if (status == SP_OK && append->count > 0) {
        status = submit(append);
    }
    return status == SP_OK ? reply(append) : refuse(append, status);
}

static enum sp_http_verdict on_append(struct sp_http_request *request) {
    struct append append;
    const struct sp_http_head *head = request->head;
    append.request = request;
    append.events = NULL;
    append.events_owned = false;
    append.is_array = false;
    append.capacity = 0;
    append.added = &append.one;
    append.names = append.two;
    sp_error_clear(&append.error);
    sp_status status =
        sp_ce_mode_of(head->headers, head->header_count, &append.mode, &append.error);
    if (status != SP_OK) {
        return sp_http_refuse(request, 415, "unsupported-media-type", "%s", append.error.text);
    }
    if (append.mode == SP_CE_LINES) {
        return sp_http_import(request);
    }
    if (!sp_http_append_options(request, &append.options)) {
        return SP_HTTP_DONE;
    }
    enum sp_http_verdict verdict = run(&append);
    fini(&append);
    return verdict;
}

const struct sp_http_route sp_http_append_routes[] = {
    {SP_HTTP_POST, "/v1/events", SP_HTTP_WRITE | SP_HTTP_STREAMED_LINES, on_append},
    {.path = NULL},
};
