/* Events as readers see them; see upcasting.h. And the routes and commands of upcasters. */
#include "server/upcasting.h"

#include <stdlib.h>

#include "server/handlers.h"
#include "server/http_parts.h"

enum { FAILED_BYTES_MAX = 8 << 20, LIST_BYTES_MAX = 64 << 20 };

struct failed_entry {
    struct sp_entry_id id;
    struct sp_error error;
};

static void on_fini(struct sp_server *server, void *context) {
    (void)context;
    sp_upcasters_free(server->upcasters);
    server->upcasters = NULL;
}

sp_status sp_upcasting_init(struct sp_server *server, struct sp_error *error) {
    const struct sp_upcasters_options options = {.check = NULL};
    sp_status status = sp_upcasters_new(&options, &server->upcasters, error);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_server_hooks hooks = {.fini = on_fini};
    sp_server_hook(server, &hooks);
    return sp_upcasters_load(server->upcasters, server->engine, error);
}

void sp_upcasting_refresh(struct sp_server *server) {
    struct sp_error error;
    if (server->upcasters != NULL && sp_upcasters_refresh(server->upcasters, &error) != SP_OK) {
        sp_say(&server->logger, SP_LEVEL_WARN, "upcasters go by the schemas of before",
               SP_FIELD_TEXT("error", sp_str_from(error.text)));
    }
}

sp_status sp_upcasting_view(struct sp_server *server, const struct sp_event *event,
                            const struct sp_event **ret_event, struct sp_error *error) {
    *ret_event = event;
    if (server == NULL || server->upcasters == NULL) {
        return SP_OK;
    }
    return sp_upcast_view(server->upcasters, event, &server->upcast_event, ret_event, error);
}

/* ---- entries of groups ----------------------------------------------------------------------- */

void sp_upcasting_note(struct sp_upcasting_failed *failed, struct sp_entry_id id,
                       const struct sp_error *error) {
    const struct failed_entry entry = {.id = id, .error = *error};
    if (failed->list.size_bytes_max == 0) {
        sp_buf_init(&failed->list, FAILED_BYTES_MAX);
    }
    sp_buf_add(&failed->list, &entry, sizeof(entry)); /* one that finds no room stays pending */
}

uint32_t sp_upcasting_give_back(struct sp_server *server, const struct sp_key *key, sp_str group,
                                struct sp_upcasting_failed *failed) {
    uint32_t count = (uint32_t)(failed->list.len / sizeof(struct failed_entry));
    for (uint32_t i = 0; i < count; i++) {
        struct failed_entry entry;
        struct sp_error error;
        memcpy(&entry, failed->list.data + i * sizeof(entry), sizeof(entry));
        const struct sp_bus_nack nack = {.text = sp_str_from(entry.error.text)};
        sp_status status = sp_bus_nack(server->bus, key, group, entry.id, &nack, &error);
        sp_say(&server->logger, SP_LEVEL_WARN,
               status == SP_OK ? "entry given back" : "entry stays pending",
               SP_FIELD_TEXT("key", key->text), SP_FIELD_TEXT("group", group),
               SP_FIELD_TEXT("error", sp_str_from(entry.error.text)));
    }
    sp_buf_fini(&failed->list);
    *failed = (struct sp_upcasting_failed){.list = {.data = NULL}};
    return count;
}

/* ---- HTTP ------------------------------------------------------------------------------------ */

bool sp_http_upcast(struct sp_http_request *request, struct sp_server **ret_server) {
    sp_str text;
    *ret_server = request->server;
    if (!sp_http_query(request, "upcast", &text)) {
        return true;
    }
    if (sp_word_is(text, "false") || sp_str_eq(text, SP_STR("0"))) {
        *ret_server = NULL;
        return true;
    }
    if (text.len == 0 || sp_word_is(text, "true") || sp_str_eq(text, SP_STR("1"))) {
        return true;
    }
    (void)sp_http_refuse(request, 400, "invalid", "upcast: expected true or false");
    return false;
}

enum sp_http_verdict sp_http_refuse_event(struct sp_http_request *request, sp_status status,
                                          const struct sp_error *error) {
    return status == SP_INVALID
               ? sp_http_refuse(request, 422, "upcast-failed",
                                "%s (?upcast=false shows what is stored)", error->text)
               : sp_http_refuse_status(request, status, error);
}

/* ---- the registry ---------------------------------------------------------------------------- */

struct listing {
    struct sp_buf to;
    sp_str type; /* empty: of all */
    bool whole;  /* with their programs */
    uint32_t count;
};

static bool list_one(void *context, const struct sp_upcaster *upcaster) {
    struct listing *listing = context;
    if (listing->type.len == 0 || sp_str_eq(listing->type, upcaster->type)) {
        sp_buf_add_byte(&listing->to, listing->count++ == 0 ? '[' : ',');
        sp_upcaster_to_json(upcaster, listing->whole, &listing->to);
    }
    return true;
}

static void list_all(struct sp_server *server, struct listing *listing) {
    sp_buf_init(&listing->to, LIST_BYTES_MAX);
    sp_upcasters_each(server->upcasters, list_one, listing);
    sp_buf_add_str(&listing->to, listing->count == 0 ? SP_STR("[]") : SP_STR("]"));
}

static bool is_there(struct sp_http_request *request) {
    if (request->server->upcasters == NULL) {
        (void)sp_http_refuse(request, 501, "no-upcasters", "this server has no upcasters");
        return false;
    }
    return true;
}

/* The upcaster of the path. False where the problem was written. */
static bool path_upcaster(struct sp_http_request *request, struct sp_upcaster *ret_upcaster) {
    sp_str versions = sp_http_param(request, "versions");
    *ret_upcaster = (struct sp_upcaster){.type = sp_http_param(request, "type")};
    if (!is_there(request)) {
        return false;
    }
    if (!sp_upcaster_split(versions, &ret_upcaster->from, &ret_upcaster->to)) {
        (void)sp_http_refuse(request, 400, "invalid",
                             "'%.*s': expected two versions, as in 1-2 or 1.9-1.10",
                             (int)(versions.len > 64 ? 64 : versions.len), versions.ptr);
        return false;
    }
    return true;
}

static enum sp_http_verdict on_list(struct sp_http_request *request) {
    static const char *const names[] = {"type", NULL};
    struct listing listing = {.whole = true};
    for (uint32_t i = 0; i < request->query_count; i++) {
        if (!sp_str_eq(request->query[i].name, sp_str_from(names[0]))) {
            return sp_http_refuse(request, 400, "invalid", "unknown parameter; expected type");
        }
        listing.type = request->query[i].value;
    }
    if (!is_there(request)) {
        return SP_HTTP_DONE;
    }
    list_all(request->server, &listing);
    enum sp_http_verdict verdict = listing.to.status == SP_OK
                                       ? sp_http_json(request, 200, sp_buf_str(&listing.to))
                                       : sp_http_refuse_status(request, listing.to.status, NULL);
    sp_buf_fini(&listing.to);
    return verdict;
}

static enum sp_http_verdict reply_one(struct sp_http_request *request, int status,
                                      const struct sp_upcaster *upcaster) {
    struct sp_buf *to = sp_http_scratch(request);
    sp_upcaster_to_json(upcaster, true, to);
    return sp_http_json(request, status, sp_buf_str(to));
}

static enum sp_http_verdict on_get(struct sp_http_request *request) {
    struct sp_upcaster asked;
    if (!path_upcaster(request, &asked)) {
        return SP_HTTP_DONE;
    }
    const struct sp_upcaster *found =
        sp_upcasters_find(request->server->upcasters, asked.type, asked.from, asked.to);
    return found != NULL ? reply_one(request, 200, found)
                         : sp_http_refuse(request, 404, "no-upcaster", "there is no such upcaster");
}

static enum sp_http_verdict on_put(struct sp_http_request *request) {
    struct sp_upcaster upcaster;
    struct sp_error error;
    enum sp_upcaster_outcome outcome;
    if (!path_upcaster(request, &upcaster)) {
        return SP_HTTP_DONE;
    }
    upcaster.program = request->body;
    sp_error_clear(&error);
    sp_status status = sp_upcasters_put(request->server->upcasters, request->server->engine,
                                        &upcaster, &outcome, &error);
    if (status != SP_OK) {
        return status == SP_INVALID
                   ? sp_http_refuse(request, 422, "invalid-upcaster", "%s", error.text)
                   : sp_http_refuse_status(request, status, &error);
    }
    request->appended = true;
    return reply_one(
        request, outcome == SP_UPCASTER_ADDED ? 201 : 200,
        sp_upcasters_find(request->server->upcasters, upcaster.type, upcaster.from, upcaster.to));
}

static enum sp_http_verdict on_delete(struct sp_http_request *request) {
    struct sp_upcaster asked;
    struct sp_error error;
    if (!path_upcaster(request, &asked)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_upcasters_remove(request->server->upcasters, request->server->engine,
                                           asked.type, asked.from, asked.to, &error);
    if (status == SP_NOT_FOUND) {
        return sp_http_refuse(request, 404, "no-upcaster", "%s", error.text);
    }
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    request->appended = true;
    return sp_http_nothing(request);
}

const struct sp_http_route sp_http_upcaster_routes[] = {
    {SP_HTTP_GET, "/v1/upcasters", SP_HTTP_READ, on_list},
    {SP_HTTP_GET, "/v1/upcasters/{type}/{versions}", SP_HTTP_READ, on_get},
    {SP_HTTP_PUT, "/v1/upcasters/{type}/{versions}", SP_HTTP_WRITE, on_put},
    {SP_HTTP_DELETE, "/v1/upcasters/{type}/{versions}", SP_HTTP_WRITE, on_delete},
    {.path = NULL},
};

/* ---- SPOOR.UPCASTER -------------------------------------------------------------------------- */

/* The upcaster that words 2 and 3 name. False where the error is written. */
static bool named_upcaster(struct sp_request *request, struct sp_upcaster *ret_upcaster) {
    *ret_upcaster = (struct sp_upcaster){.type = request->args[2]};
    if (request->server->upcasters == NULL) {
        (void)sp_reply_error(request, "this server has no upcasters");
        return false;
    }
    if (!sp_upcaster_split(request->args[3], &ret_upcaster->from, &ret_upcaster->to)) {
        (void)sp_reply_error(request, "expected two versions, as in 1-2 or 1.9-1.10");
        return false;
    }
    return true;
}

enum sp_verdict sp_on_spoor_upcaster_put(struct sp_request *request) {
    static const char *const words[] = {[SP_UPCASTER_ADDED] = "added",
                                        [SP_UPCASTER_REPLACED] = "replaced",
                                        [SP_UPCASTER_UNCHANGED] = "unchanged"};
    struct sp_upcaster upcaster;
    struct sp_error error;
    enum sp_upcaster_outcome outcome;
    if (!named_upcaster(request, &upcaster)) {
        return SP_DONE;
    }
    upcaster.program = request->args[4];
    sp_error_clear(&error);
    sp_status status = sp_upcasters_put(request->server->upcasters, request->server->engine,
                                        &upcaster, &outcome, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = true;
    sp_resp_bulk_text(request->reply, words[outcome]);
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_upcaster_del(struct sp_request *request) {
    struct sp_upcaster asked;
    struct sp_error error;
    if (!named_upcaster(request, &asked)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_upcasters_remove(request->server->upcasters, request->server->engine,
                                           asked.type, asked.from, asked.to, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = true;
    sp_resp_bulk_text(request->reply, "removed");
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_upcaster_list(struct sp_request *request) {
    struct listing listing = {.whole = true};
    if (request->server->upcasters == NULL) {
        return sp_reply_error(request, "this server has no upcasters");
    }
    list_all(request->server, &listing);
    if (listing.to.status == SP_OK) {
        sp_resp_bulk(request->reply, sp_buf_str(&listing.to));
    } else {
        (void)sp_reply_status(request, listing.to.status, NULL);
    }
    sp_buf_fini(&listing.to);
    return SP_DONE;
}
