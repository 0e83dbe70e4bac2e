/*
 * GET /v1/events and those of a stream: a page as an array, or all as lines; an event by its id,
 * what caused it, and what it caused.
 */
#include "server/http_events.h"

#include <stdio.h>
#include <stdlib.h>

#include "event/event_json.h"
#include "proto/cloudevent.h"
#include "server/http_parts.h"
#include "server/http_query.h"
#include "server/upcasting.h"

enum {
    SLICE_EVENTS = 1024, /* looked at before others have their turn */
    PAUSE_MS = 1,
    TREE_DEFAULT = 1000, /* of causes and effects */
    TREE_MAX = 10000,
    SOURCES_MAX = 100, /* named in a problem */
};

/* ---- forms ----------------------------------------------------------------------------------- */

enum sp_http_form sp_http_form_of(const struct sp_http_request *request) {
    static const struct {
        const char *type;
        enum sp_http_form form;
    } FORMS[] = {
        {"application/x-ndjson", SP_HTTP_FORM_LINES},
        {"application/ndjson", SP_HTTP_FORM_LINES},
        {"application/jsonl", SP_HTTP_FORM_LINES},
        {SP_CE_BATCH_TYPE, SP_HTTP_FORM_CLOUD},
        {SP_CE_TYPE, SP_HTTP_FORM_CLOUD},
    };
    for (size_t i = 0; i < sizeof(FORMS) / sizeof(FORMS[0]); i++) {
        if (sp_http_prefers(request, FORMS[i].type, "application/json")) {
            return FORMS[i].form;
        }
    }
    return SP_HTTP_FORM_JSON;
}

static const char *type_of(enum sp_http_form form) {
    switch (form) {
    case SP_HTTP_FORM_JSON:
        return "application/json";
    case SP_HTTP_FORM_LINES:
        return "application/x-ndjson";
    case SP_HTTP_FORM_CLOUD:
        return SP_CE_BATCH_TYPE;
    }
    sp_never();
}

sp_status sp_http_write_event(enum sp_http_form form, struct sp_server *upcast,
                              struct sp_cursor *cursor, const struct sp_event *event,
                              struct sp_buf *to, struct sp_error *error) {
    uint8_t hash[SP_HASH_BYTES];
    sp_status status = sp_cursor_hash(cursor, hash, error);
    status = status == SP_OK ? sp_upcasting_view(upcast, event, &event, error) : status;
    if (status != SP_OK) {
        return status;
    }
    if (form == SP_HTTP_FORM_CLOUD) {
        sp_ce_write(event, hash, to);
    } else {
        sp_event_to_json(event, hash, to);
    }
    return to->status;
}

/* ---- parameters ------------------------------------------------------------------------------ */

bool sp_http_only(struct sp_http_request *request, const char *const *names) {
    for (uint32_t i = 0; i < request->query_count; i++) {
        sp_str name = request->query[i].name;
        const char *const *at = names;
        while (*at != NULL && !sp_str_eq(name, sp_str_from(*at))) {
            at++;
        }
        if (*at == NULL) {
            (void)sp_http_refuse(request, 400, "invalid", "unknown parameter '%.*s'",
                                 name.len > 64 ? 64 : (int)name.len, name.len > 0 ? name.ptr : "");
            return false;
        }
    }
    return true;
}

bool sp_http_number(struct sp_http_request *request, const char *name, uint64_t most,
                    uint64_t *ret_value) {
    sp_str text;
    int64_t value = 0;
    if (!sp_http_query(request, name, &text)) {
        return true;
    }
    if (!sp_word_i64(text, &value) || value < 1 || (uint64_t)value > most) {
        (void)sp_http_refuse(request, 400, "invalid",
                             "%s: found %.*s, expected a number from 1 to %llu", name,
                             text.len > 64 ? 64 : (int)text.len, text.len > 0 ? text.ptr : "",
                             (unsigned long long)most);
        return false;
    }
    *ret_value = (uint64_t)value;
    return true;
}

enum sp_http_verdict sp_http_pause(struct sp_http_request *request) {
    const struct sp_http_wait wait = {.timeout_ms = PAUSE_MS};
    return sp_http_wait(request, &wait);
}

/* ---- a page ---------------------------------------------------------------------------------- */

struct page {
    struct sp_cursor *cursor;
    enum sp_http_form form;
    struct sp_server *upcast; /* NULL: as stored */
    bool reverse;
    uint64_t left;
    uint64_t count;
    struct sp_buf body;
};

static void free_page(struct sp_connection *connection, void *state) {
    struct page *page = state;
    (void)connection;
    sp_cursor_close(page->cursor);
    sp_buf_fini(&page->body);
    free(page);
}

static void add_escaped(struct sp_buf *to, sp_str text) {
    static const char HEX[16] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.ptr[i];
        bool plain = (uint8_t)((byte | 0x20) - 'a') < 26 || (uint8_t)(byte - '0') < 10 ||
                     byte == '-' || byte == '.' || byte == '_' || byte == '~';
        if (plain) {
            sp_buf_add_byte(to, byte);
        } else {
            const char escape[3] = {'%', HEX[byte >> 4], HEX[byte & 15]};
            sp_buf_add(to, escape, sizeof(escape));
        }
    }
}

/* `</v1/events?type=a&from=1001>; rel="next"`: the same query, from where this page ended. */
static void add_link(const struct sp_http_request *request, bool reverse, uint64_t at,
                     struct sp_buf *to) {
    sp_str moves = reverse ? SP_STR("until") : SP_STR("from");
    sp_buf_add_byte(to, '<');
    sp_buf_add_str(to, request->head->path);
    sp_buf_add_byte(to, '?');
    for (uint32_t i = 0; i < request->query_count; i++) {
        const struct sp_http_pair *pair = &request->query[i];
        if (!sp_str_eq(pair->name, moves)) {
            add_escaped(to, pair->name);
            sp_buf_add_byte(to, '=');
            add_escaped(to, pair->value);
            sp_buf_add_byte(to, '&');
        }
    }
    sp_buf_add_str(to, moves);
    sp_buf_add_byte(to, '=');
    sp_buf_add_u64(to, at);
    sp_buf_add_str(to, SP_STR(">; rel=\"next\""));
}

static enum sp_http_verdict reply_page(struct sp_http_request *request, struct page *page,
                                       bool full) {
    struct sp_http_pair link = {.name = SP_STR("Link")};
    struct sp_buf *text = sp_http_scratch(request);
    uint64_t first = 0;
    uint64_t last = 0;
    sp_cursor_range(page->cursor, &first, &last);
    sp_buf_add_str(&page->body, page->count == 0 ? SP_STR("[]\n") : SP_STR("]\n"));
    if (page->body.status != SP_OK) {
        return sp_http_refuse_status(request, page->body.status, NULL);
    }
    bool more = full && first <= last;
    if (more) {
        add_link(request, page->reverse, page->reverse ? last : first, text);
        link.value = sp_buf_str(text);
    }
    const struct sp_http_reply reply = {.status = 200,
                                        .content_type = type_of(page->form),
                                        .body = sp_buf_str(&page->body),
                                        .fields = &link,
                                        .field_count = more};
    return sp_http_reply(request, &reply);
}

static enum sp_http_verdict fill_page(struct sp_http_request *request) {
    struct page *page = request->state;
    struct sp_error error;
    const struct sp_event *event = NULL;
    sp_status status = SP_OK;
    sp_error_clear(&error);
    sp_cursor_allow(page->cursor, SLICE_EVENTS);
    while (page->left > 0 && page->body.len < SP_HTTP_PAGE_BYTES_MAX) {
        status = sp_cursor_next(page->cursor, &event, &error);
        if (status != SP_OK) {
            break;
        }
        sp_buf_add_byte(&page->body, page->count == 0 ? '[' : ',');
        status =
            sp_http_write_event(page->form, page->upcast, page->cursor, event, &page->body, &error);
        if (status != SP_OK) {
            break;
        }
        page->count++;
        page->left--;
    }
    if (status == SP_BUSY) {
        return sp_http_pause(request);
    }
    if (status != SP_OK && status != SP_END) {
        return sp_http_refuse_event(request, status, &error);
    }
    return reply_page(request, page, status == SP_OK);
}

static enum sp_http_verdict begin_page(struct sp_http_request *request, struct sp_cursor *cursor,
                                       enum sp_http_form form, struct sp_server *upcast,
                                       const struct sp_query *query) {
    struct page *page = calloc(1, sizeof(*page));
    if (page == NULL) {
        sp_cursor_close(cursor);
        return sp_http_refuse_status(request, SP_NO_MEMORY, NULL);
    }
    page->cursor = cursor;
    page->form = form;
    page->upcast = upcast;
    page->reverse = query->reverse;
    page->left = query->limit != 0 ? query->limit : SP_HTTP_PAGE_DEFAULT;
    sp_buf_init(&page->body, SIZE_MAX / 4);
    request->state = page;
    request->free_state = free_page;
    return fill_page(request);
}

/* Reads events; `stream`: of this one alone, NULL ptr: whatever the query says. */
static enum sp_http_verdict read_events(struct sp_http_request *request, sp_str stream) {
    static const char *const others[] = {"upcast", NULL};
    struct sp_query_words words;
    struct sp_error error;
    struct sp_cursor *cursor = NULL;
    struct sp_server *upcast = NULL;
    enum sp_http_form form = sp_http_form_of(request);
    if (request->state != NULL) {
        return fill_page(request);
    }
    if (!sp_http_upcast(request, &upcast)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_http_query_read(request, others, &words, &error);
    if (status == SP_OK && stream.ptr != NULL && words.query.stream.ptr != NULL) {
        status = sp_error_set(&error, SP_INVALID, "stream: is in the path already");
    }
    if (status == SP_OK && form != SP_HTTP_FORM_LINES && words.query.limit > SP_HTTP_PAGE_MAX) {
        status = sp_error_set(&error, SP_INVALID,
                              "limit: expected at most %d of an array; as application/x-ndjson "
                              "there is no limit",
                              SP_HTTP_PAGE_MAX);
    }
    if (status == SP_OK) {
        words.query.stream = stream.ptr != NULL ? stream : words.query.stream;
        struct sp_query query = words.query;
        query.limit = form == SP_HTTP_FORM_LINES ? query.limit : 0;
        status = sp_cursor_open(request->server->engine, &query, &cursor, &error);
    }
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    return form == SP_HTTP_FORM_LINES ? sp_http_send_lines(request, cursor, upcast)
                                      : begin_page(request, cursor, form, upcast, &words.query);
}

static enum sp_http_verdict on_events(struct sp_http_request *request) {
    return read_events(request, sp_str_of(NULL, 0));
}

static enum sp_http_verdict on_stream_events(struct sp_http_request *request) {
    return read_events(request, sp_http_param(request, "stream"));
}

/* ---- one event ------------------------------------------------------------------------------- */

/* Several sources have an event with this id: the client must say which is meant. */
static enum sp_http_verdict refuse_ambiguous(struct sp_http_request *request) {
    struct sp_buf sources;
    struct sp_error error;
    const struct sp_event *event = NULL;
    struct sp_cursor *again = NULL;
    uint32_t count = 0;
    sp_buf_init(&sources, SIZE_MAX / 4);
    sp_status status = sp_cursor_find(request->server->engine, sp_http_param(request, "id"),
                                      sp_str_of(NULL, 0), &again, &error);
    sp_buf_add_byte(&sources, '[');
    while (status == SP_OK && count < SOURCES_MAX &&
           sp_cursor_next(again, &event, &error) == SP_OK) {
        if (count++ > 0) {
            sp_buf_add_byte(&sources, ',');
        }
        sp_json_add_string(&sources, event->attr[SP_ATTR_SOURCE]);
    }
    sp_buf_add_byte(&sources, ']');
    if (status == SP_OK) {
        sp_cursor_close(again);
    }
    const struct sp_http_member member = {
        .name = "sources", .kind = SP_HTTP_JSON, .text = sp_buf_str(&sources)};
    const struct sp_http_problem problem = {
        .status = 409,
        .type = "ambiguous-id",
        .detail = SP_STR("several sources have an event with this id: say which with ?source="),
        .members = &member,
        .member_count = sources.status == SP_OK,
    };
    enum sp_http_verdict verdict = sp_http_problem(request, &problem);
    sp_buf_fini(&sources);
    return verdict;
}

static enum sp_http_verdict reply_event(struct sp_http_request *request, struct sp_cursor *cursor,
                                        struct sp_server *upcast) {
    struct sp_buf *body = sp_http_scratch(request);
    struct sp_error error;
    const struct sp_event *event = NULL;
    bool cloud = sp_http_form_of(request) == SP_HTTP_FORM_CLOUD;
    sp_error_clear(&error);
    sp_status status = sp_cursor_next(cursor, &event, &error);
    if (status == SP_OK) {
        status = sp_http_write_event(cloud ? SP_HTTP_FORM_CLOUD : SP_HTTP_FORM_JSON, upcast, cursor,
                                     event, body, &error);
    }
    sp_buf_add_byte(body, '\n');
    if (status == SP_OK && sp_cursor_next(cursor, &event, &error) == SP_OK) {
        return refuse_ambiguous(request);
    }
    if (status != SP_OK) {
        return sp_http_refuse_event(request, status == SP_END ? SP_NOT_FOUND : status, &error);
    }
    const struct sp_http_reply reply = {.status = 200,
                                        .content_type = cloud ? SP_CE_TYPE : "application/json",
                                        .body = sp_buf_str(body)};
    return sp_http_reply(request, &reply);
}

static enum sp_http_verdict on_event(struct sp_http_request *request) {
    static const char *const NAMES[] = {"source", "upcast", NULL};
    struct sp_cursor *cursor = NULL;
    struct sp_server *upcast = NULL;
    struct sp_error error;
    sp_str source = {.ptr = NULL};
    if (!sp_http_only(request, NAMES) || !sp_http_upcast(request, &upcast)) {
        return SP_HTTP_DONE;
    }
    (void)!sp_http_query(request, "source", &source);
    sp_error_clear(&error);
    sp_status status = sp_cursor_find(request->server->engine, sp_http_param(request, "id"), source,
                                      &cursor, &error);
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    enum sp_http_verdict verdict = reply_event(request, cursor, upcast);
    sp_cursor_close(cursor);
    return verdict;
}

/* ---- causes and effects ---------------------------------------------------------------------- */

static bool has_extension(const struct sp_event *event, sp_str name) {
    for (unsigned i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Adds `depth` to the event written last; one of its own of that name keeps its place. */
static void add_depth(struct sp_cursor *cursor, const struct sp_event *event, struct sp_buf *to) {
    if (to->status != SP_OK || has_extension(event, SP_STR("depth"))) {
        return;
    }
    sp_require(to->data[to->len - 1] == '}');
    to->len--;
    sp_buf_add_str(to, SP_STR(",\"depth\":"));
    sp_buf_add_u64(to, sp_cursor_depth(cursor));
    sp_buf_add_byte(to, '}');
}

/* Writes the events of the list. */
static sp_status write_tree(struct sp_cursor *cursor, enum sp_http_form form,
                            struct sp_server *upcast, bool with_depth, struct sp_buf *to,
                            struct sp_error *error) {
    const struct sp_event *event = NULL;
    bool lines = form == SP_HTTP_FORM_LINES;
    uint64_t count = 0;
    sp_status status = SP_OK;
    if (!lines) {
        sp_buf_add_byte(to, '[');
    }
    while ((status = sp_cursor_next(cursor, &event, error)) == SP_OK) {
        if (count++ > 0) {
            sp_buf_add_byte(to, lines ? '\n' : ',');
        }
        status = sp_http_write_event(form, upcast, cursor, event, to, error);
        if (status != SP_OK) {
            return status;
        }
        if (with_depth) {
            add_depth(cursor, event, to);
        }
    }
    sp_buf_add_str(to, lines ? SP_STR("\n") : SP_STR("]\n"));
    return status == SP_END ? to->status : status;
}

typedef sp_status open_tree_fn(struct sp_engine *, sp_str, size_t, struct sp_cursor **,
                               struct sp_error *);

static enum sp_http_verdict reply_tree(struct sp_http_request *request, open_tree_fn *open_tree,
                                       bool with_depth) {
    static const char *const NAMES[] = {"limit", "upcast", NULL};
    enum sp_http_form form = sp_http_form_of(request);
    struct sp_server *upcast = NULL;
    struct sp_buf *body = sp_http_scratch(request);
    struct sp_cursor *cursor = NULL;
    struct sp_error error;
    uint64_t limit = TREE_DEFAULT;
    if (!sp_http_only(request, NAMES) || !sp_http_number(request, "limit", TREE_MAX, &limit) ||
        !sp_http_upcast(request, &upcast)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        open_tree(request->server->engine, sp_http_param(request, "id"), limit, &cursor, &error);
    if (status == SP_OK) {
        bool depth = with_depth && form != SP_HTTP_FORM_CLOUD;
        status = write_tree(cursor, form, upcast, depth, body, &error);
        sp_cursor_close(cursor);
    }
    if (status != SP_OK) {
        return sp_http_refuse_event(request, status, &error);
    }
    const struct sp_http_reply reply = {
        .status = 200, .content_type = type_of(form), .body = sp_buf_str(body)};
    return sp_http_reply(request, &reply);
}

static enum sp_http_verdict on_causes(struct sp_http_request *request) {
    return reply_tree(request, sp_cursor_causes_first, false);
}

static enum sp_http_verdict on_effects(struct sp_http_request *request) {
    return reply_tree(request, sp_cursor_effects_first, true);
}

const struct sp_http_route sp_http_event_routes[] = {
    {SP_HTTP_GET, "/v1/events", SP_HTTP_READ, on_events},
    {SP_HTTP_GET, "/v1/events/{id}", SP_HTTP_READ, on_event},
    {SP_HTTP_GET, "/v1/events/{id}/causes", SP_HTTP_READ, on_causes},
    {SP_HTTP_GET, "/v1/events/{id}/effects", SP_HTTP_READ, on_effects},
    {SP_HTTP_GET, "/v1/streams/{stream}/events", SP_HTTP_READ, on_stream_events},
    {.path = NULL},
};
