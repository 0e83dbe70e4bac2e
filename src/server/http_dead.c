/*
 * Worker queues over HTTP: what groups gave up. loop-thread
 *
 *     GET    /v1/groups/{group}/dead-letters?after=&limit=
 *     POST   /v1/groups/{group}/redrive         {"ids": […]}, {"count": 10} or {"all": true}
 *     DELETE /v1/groups/{group}/dead-letters?id=…&id=…, ?count=10 or ?all=true
 */
#include <stdlib.h>

#include "engine/query.h"
#include "proto/stream_id.h"
#include "server/http_groups.h"

enum {
    LIST_DEFAULT = 100,
    LIST_MAX = 1000,
    CHUNK = 32, /* dead entries asked for at a time */
};

static const char *const ONLY_KEY[] = {"key", NULL};

/* ---- the list -------------------------------------------------------------------------------- */

static sp_status add_error(struct sp_http_request *request, const struct sp_dead *dead,
                           struct sp_buf *to, struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    const struct sp_event *letter = NULL;
    struct sp_buf text;
    sp_status status = dead->letter == 0 ? SP_OK
                                         : sp_dead_read(request->server->engine, dead->letter,
                                                        &cursor, &letter, error);
    if (status == SP_OK) {
        sp_buf_init(&text, 2 * SP_DEAD_ERROR_BYTES_MAX);
        sp_str said = sp_dead_error(letter, &text);
        if (said.ptr != NULL) {
            sp_http_add_text(to, "error", said);
        } else {
            sp_http_add_name(to, "error");
            sp_buf_add_str(to, SP_STR("null"));
        }
        sp_buf_fini(&text);
    }
    sp_cursor_close(cursor);
    return status;
}

static sp_status add_event(struct sp_http_request *request, const struct sp_dead *dead,
                           struct sp_buf *to, struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    sp_status status =
        sp_dead_read(request->server->engine, dead->position, &cursor, &event, error);
    if (status == SP_OK) {
        sp_http_add_event(to, event);
    }
    sp_cursor_close(cursor);
    return status;
}

static sp_status add_dead(struct sp_http_request *request, const struct sp_dead *dead, sp_str key,
                          struct sp_buf *to, struct sp_error *error) {
    bool refused = dead->reason == SP_DEAD_REFUSED;
    sp_buf_add_byte(to, '{');
    sp_http_add_id(to, "id", dead->id);
    sp_http_add_text(to, "key", key);
    sp_http_add_number(to, "position", dead->position);
    sp_http_add_number(to, "attempts", dead->count);
    sp_http_add_text(to, "reason", refused ? SP_STR("refused") : SP_STR("attempts"));
    sp_http_add_time(to, "time", dead->time_ms);
    sp_http_add_time(to, "last_delivery", dead->last_time_ms);
    sp_status status = add_error(request, dead, to, error);
    status = status == SP_OK ? add_event(request, dead, to, error) : status;
    sp_buf_add_byte(to, '}');
    return status;
}

struct listing {
    uint64_t after;
    uint64_t limit;
    uint64_t count;
    bool more; /* there are others behind `after` */
};

static sp_status add_all(struct sp_http_request *request, const struct sp_http_group *found,
                         struct listing *listing, struct sp_buf *to, struct sp_error *error) {
    struct sp_dead chunk[CHUNK];
    size_t got = CHUNK;
    sp_status status = SP_OK;
    while (status == SP_OK && got == CHUNK && !listing->more) {
        got = sp_dead_list(found->group, listing->after, chunk, CHUNK);
        for (size_t i = 0; i < got && status == SP_OK; i++) {
            listing->more =
                listing->count == listing->limit || to->len >= SP_HTTP_REPLY_BYTES_ENOUGH;
            if (listing->more) {
                break;
            }
            sp_buf_add_str(to, listing->count++ == 0 ? SP_STR("") : SP_STR(","));
            status = add_dead(request, &chunk[i], found->key.text, to, error);
            listing->after = chunk[i].position;
        }
    }
    return status;
}

enum sp_http_verdict sp_http_on_dead_letters(struct sp_http_request *request) {
    static const char *const names[] = {"key", "after", "limit", NULL};
    struct listing listing = {.limit = LIST_DEFAULT};
    struct sp_http_group found;
    struct sp_error error;
    if (!sp_http_only_query(request, names) ||
        !sp_http_query_number(request, "after", 0, INT64_MAX, &listing.after) ||
        !sp_http_query_number(request, "limit", 1, LIST_MAX, &listing.limit) ||
        !sp_http_group_needed(request, &found)) {
        return SP_HTTP_DONE;
    }
    struct sp_buf *to = sp_http_scratch(request);
    sp_error_clear(&error);
    sp_buf_add_str(to, SP_STR("{\"entries\":["));
    sp_status status = add_all(request, &found, &listing, to, &error);
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    sp_buf_add_byte(to, ']');
    if (listing.more) {
        sp_http_add_number(to, "next", listing.after);
    }
    sp_buf_add_byte(to, '}');
    return sp_http_json(request, 200, sp_buf_str(to));
}

/* ---- which ----------------------------------------------------------------------------------- */

/* Dead entries that are meant: by id, the oldest so many, or all there are now. */
struct chosen {
    struct sp_buf ids; /* struct sp_entry_id */
    uint32_t id_count;
    uint64_t count;
    bool by_id;
    bool all;
};

/* One way of choosing, and no more. */
static sp_status check_chosen(const struct chosen *chosen, bool by_count, struct sp_error *error) {
    return chosen->by_id + by_count + chosen->all == 1
               ? SP_OK
               : sp_error_set(error, SP_INVALID,
                              "expected which entries: their ids, a count of the oldest, or all");
}

static sp_status choose_in_body(const struct sp_http_request *request, struct chosen *chosen,
                                struct sp_error *error) {
    static const char *const names[] = {"ids", "count", "all", NULL};
    struct sp_http_value values[3];
    sp_status status = sp_http_body_members(request, names, values, error);
    if (status == SP_OK) {
        status = sp_http_value_ids(&values[0], names[0], SP_HTTP_IDS_MAX, &chosen->ids,
                                   &chosen->id_count, error);
    }
    if (status == SP_OK) {
        status =
            sp_http_value_number(&values[1], names[1], 1, SP_GROUP_DEAD_MAX, &chosen->count, error);
    }
    if (status == SP_OK) {
        status = sp_http_value_bool(&values[2], names[2], &chosen->all, error);
    }
    chosen->by_id = values[0].given;
    return status == SP_OK ? check_chosen(chosen, values[1].given, error) : status;
}

static sp_status choose_in_query(const struct sp_http_request *request, struct chosen *chosen,
                                 struct sp_error *error) {
    for (uint32_t i = 0; i < request->query_count; i++) {
        struct sp_entry_id id;
        if (!sp_str_eq(request->query[i].name, SP_STR("id"))) {
            continue;
        }
        if (!sp_stream_id_parse(request->query[i].value, 0, &id)) {
            return sp_error_set(error, SP_INVALID, "id: expected an entry id");
        }
        sp_buf_add(&chosen->ids, &id, sizeof(id));
        chosen->by_id = true;
        chosen->id_count++;
    }
    return check_chosen(chosen, chosen->count > 0, error);
}

/* ---- redrive and discard --------------------------------------------------------------------- */

typedef sp_status settle_fn(struct sp_bus *bus, const struct sp_key *key, sp_str group,
                            const struct sp_entry_id *ids, size_t count, uint64_t *ret_count,
                            struct sp_error *error);

/* How far it has come, where the rest waits for the store. */
struct settling {
    bool begun;
    uint64_t left;
    uint64_t done;
};

static void free_settling(struct sp_connection *connection, void *state) {
    (void)connection;
    free(state);
}

static struct settling *settling_of(struct sp_http_request *request) {
    if (request->state == NULL) {
        request->state = calloc(1, sizeof(struct settling));
        request->free_state = free_settling;
    }
    return request->state;
}

/* The oldest, in as many calls as it takes. All is all that there was at first. */
static sp_status settle_oldest(struct sp_http_request *request, const struct sp_http_group *found,
                               settle_fn *how, struct settling *so_far, struct sp_error *error) {
    sp_status status = SP_OK;
    bool more = true;
    while (status == SP_OK && more && so_far->left > 0) {
        uint64_t done = 0;
        size_t asked = so_far->left < SP_BUS_DEAD_MAX ? (size_t)so_far->left : SP_BUS_DEAD_MAX;
        status = how(request->server->bus, &found->key, found->name, NULL, asked, &done, error);
        if (status == SP_OK) {
            so_far->done += done;
            so_far->left -= done;
            more = done == asked;
        }
    }
    return status;
}

static enum sp_http_verdict settle(struct sp_http_request *request, const struct chosen *chosen,
                                   settle_fn *how, const char *name) {
    struct settling *so_far = settling_of(request);
    struct sp_http_group found;
    struct sp_error error;
    if (!sp_http_group_needed(request, &found)) {
        return SP_HTTP_DONE;
    }
    if (so_far == NULL) {
        return sp_http_refuse_status(request, SP_NO_MEMORY, NULL);
    }
    if (!so_far->begun) {
        so_far->begun = true;
        so_far->left = chosen->all ? sp_group_get(found.group).dead : chosen->count;
    }
    sp_error_clear(&error);
    const void *ids = chosen->ids.data;
    sp_status status = chosen->by_id ? how(request->server->bus, &found.key, found.name, ids,
                                           chosen->id_count, &so_far->done, &error)
                                     : settle_oldest(request, &found, how, so_far, &error);
    return status == SP_OK ? sp_http_group_count(request, name, so_far->done)
                           : sp_http_group_refuse(request, status, &error);
}

static enum sp_http_verdict settle_chosen(struct sp_http_request *request, struct chosen *chosen,
                                          sp_status status, const struct sp_error *error,
                                          settle_fn *how, const char *name) {
    enum sp_http_verdict verdict =
        status != SP_OK
            ? sp_http_refuse_status(request, status == SP_LIMIT ? SP_INVALID : status, error)
        : chosen->by_id && chosen->id_count == 0 ? sp_http_group_count(request, name, 0)
                                                 : settle(request, chosen, how, name);
    sp_buf_fini(&chosen->ids);
    return verdict;
}

enum sp_http_verdict sp_http_on_redrive(struct sp_http_request *request) {
    struct chosen chosen = {.count = 0};
    struct sp_error error;
    if (!sp_http_only_query(request, ONLY_KEY)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_buf_init(&chosen.ids, (SP_HTTP_IDS_MAX + 1) * sizeof(struct sp_entry_id));
    sp_status status = choose_in_body(request, &chosen, &error);
    return settle_chosen(request, &chosen, status, &error, sp_bus_redrive, "redriven");
}

enum sp_http_verdict sp_http_on_discard(struct sp_http_request *request) {
    static const char *const names[] = {"key", "id", "count", "all", NULL};
    struct chosen chosen = {.count = 0};
    struct sp_error error;
    if (!sp_http_only_query(request, names) ||
        !sp_http_query_number(request, "count", 1, SP_GROUP_DEAD_MAX, &chosen.count) ||
        !sp_http_query_bool(request, "all", &chosen.all)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_buf_init(&chosen.ids, (SP_HTTP_QUERY_MAX + 1) * sizeof(struct sp_entry_id));
    sp_status status = choose_in_query(request, &chosen, &error);
    return settle_chosen(request, &chosen, status, &error, sp_bus_discard, "discarded");
}
