/*
 * SPOOR.NACK, XNACK and SPOOR.DEAD: attempts that failed, and entries that a group gave up.
 * loop-thread
 */
#include <stdio.h>

#include "base/json.h"
#include "engine/query.h"
#include "proto/entry.h"
#include "proto/policy_text.h"
#include "proto/stream_id.h"
#include "server/cmd_groups.h"

enum {
    LIST_COUNT = 100, /* of SPOOR.DEAD LIST that does not say how many */
    CHUNK = 64,       /* dead entries asked for at a time */
};

/* ---- NACK ------------------------------------------------------------------------------------ */

static enum sp_verdict refuse_plain(struct sp_request *request) {
    return sp_reply_error(request, "the group has no policy, and its entries have no attempts: "
                                   "SPOOR.GROUP SET gives it one");
}

/* A whole number of milliseconds, or a wait with its unit. */
static bool read_delay(struct sp_request *request, sp_str text, struct sp_bus_nack *nack) {
    struct sp_error error;
    int64_t ms = 0;
    nack->has_delay = true;
    if (sp_word_i64(text, &ms) && ms >= 0) {
        nack->delay_ms = (uint64_t)ms;
    } else {
        sp_error_clear(&error);
        if (sp_delay_parse(text, &nack->delay_ms, &error) != SP_OK) {
            (void)sp_reply_error(request, "DELAY: expected milliseconds, or a wait as 30s");
            return false;
        }
    }
    if (nack->delay_ms > SP_GROUP_TIME_MS_MAX) {
        (void)sp_reply_error(request, "DELAY: more than three years");
        return false;
    }
    return true;
}

static bool read_nack(struct sp_request *request, struct sp_bus_nack *nack) {
    for (uint32_t at = 4; at < request->argc; at++) {
        sp_str word = request->args[at];
        bool more = at + 1 < request->argc;
        if (sp_word_is(word, "dead")) {
            nack->dead = true;
        } else if (more && sp_word_is(word, "error")) {
            nack->text = request->args[++at];
        } else if (more && sp_word_is(word, "delay")) {
            if (!read_delay(request, request->args[++at], nack)) {
                return false;
            }
        } else {
            (void)sp_reply_error(request, "syntax error, expected DELAY ms, ERROR text or DEAD");
            return false;
        }
    }
    size_t most = SP_DEAD_ERROR_BYTES_MAX;
    nack->text.len = nack->text.len > most ? most : nack->text.len;
    return true;
}

/* Answers how many entries it was that an attempt failed at: one that nobody has is none. */
enum sp_verdict sp_on_spoor_nack(struct sp_request *request) {
    struct sp_bus_nack nack = {.text = SP_STR("")};
    struct sp_group_named named;
    struct sp_error error;
    if (!sp_group_needed(request, 1, 2, &named) || !read_nack(request, &nack)) {
        return SP_DONE;
    }
    const struct sp_entry_id *id = sp_group_ids(request, 3, 1);
    if (id == NULL) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        sp_bus_nack(request->server->bus, &named.key, named.name, *id, &nack, &error);
    if (status == SP_UNSUPPORTED) {
        return refuse_plain(request);
    }
    if (status != SP_OK && status != SP_NOT_FOUND) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_integer(request->reply, status == SP_OK);
    return SP_DONE;
}

/* ---- XNACK ----------------------------------------------------------------------------------- */

/* Where the ids stand. 0 where the reply, an error, is written. */
static uint32_t read_xnack(struct sp_request *request, struct sp_bus_nack *nack) {
    sp_str mode = request->args[3];
    int64_t count = 0;
    nack->dead = sp_word_is(mode, "fatal");
    if (sp_word_is(mode, "silent")) {
        (void)sp_reply_error(request, "SILENT is not supported: every delivery is an attempt");
        return 0;
    }
    if ((!nack->dead && !sp_word_is(mode, "fail")) || request->argc < 7 ||
        !sp_word_is(request->args[4], "ids")) {
        (void)sp_reply_error(request, "syntax error, expected FAIL or FATAL, then IDS n id ...");
        return 0;
    }
    if (!sp_word_i64(request->args[5], &count)) {
        (void)sp_reply_not_integer(request);
        return 0;
    }
    if (count < 1 || (uint64_t)count != request->argc - 6) {
        (void)sp_reply_error(request, "The number of ids is not that of IDS, or options follow: "
                                      "RETRYCOUNT and FORCE are not supported");
        return 0;
    }
    return 6;
}

/* Each id on its own: what was said to be failed before the store was busy has failed. */
static sp_status nack_each(struct sp_request *request, const struct sp_group_named *named,
                           const struct sp_bus_nack *nack, const struct sp_entry_id *ids,
                           uint32_t count, uint64_t *ret_done, struct sp_error *error) {
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < count && status == SP_OK; i++) {
        status = sp_bus_nack(request->server->bus, &named->key, named->name, ids[i], nack, error);
        *ret_done += status == SP_OK;
        status = status == SP_NOT_FOUND ? SP_OK : status;
    }
    return *ret_done > 0 ? SP_OK : status;
}

enum sp_verdict sp_on_xnack(struct sp_request *request) {
    struct sp_bus_nack nack = {.text = SP_STR("")};
    struct sp_group_named named;
    struct sp_error error;
    uint64_t done = 0;
    if (!sp_group_needed(request, 1, 2, &named)) {
        return SP_DONE;
    }
    uint32_t at = read_xnack(request, &nack);
    if (at == 0) {
        return SP_DONE;
    }
    const struct sp_entry_id *ids = sp_group_ids(request, at, request->argc - at);
    if (ids == NULL) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = nack_each(request, &named, &nack, ids, request->argc - at, &done, &error);
    if (status == SP_UNSUPPORTED) {
        return refuse_plain(request);
    }
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_unsigned(request->reply, done);
    return SP_DONE;
}

/* ---- SPOOR.DEAD: which ----------------------------------------------------------------------- */

struct chosen {
    bool all;
    uint64_t count;                /* where neither all nor ids: so many of the oldest */
    uint64_t after;                /* LIST: behind this position */
    const struct sp_entry_id *ids; /* NULL: not by id */
    uint32_t id_count;
};

static bool read_number(struct sp_request *request, uint32_t at, uint64_t *ret_value) {
    int64_t value = 0;
    if (!sp_word_i64(request->args[at], &value) || value < 0) {
        (void)sp_reply_not_integer(request);
        return false;
    }
    *ret_value = (uint64_t)value;
    return true;
}

/* `ALL`, `COUNT n [AFTER position]`, or ids, from argument 4 on. */
static bool choose(struct sp_request *request, struct chosen *chosen) {
    uint32_t at = 4;
    if (request->argc == 5 && sp_word_is(request->args[4], "all")) {
        chosen->all = true;
        return true;
    }
    bool by_word = false;
    while (at + 1 < request->argc) {
        uint64_t *to = sp_word_is(request->args[at], "count")   ? &chosen->count
                       : sp_word_is(request->args[at], "after") ? &chosen->after
                                                                : NULL;
        if (to == NULL) {
            break;
        }
        if (!read_number(request, at + 1, to)) {
            return false;
        }
        by_word = true;
        at += 2;
    }
    if (by_word && at < request->argc) {
        (void)sp_reply_error(request, "syntax error, expected ALL, COUNT n, or ids");
        return false;
    }
    if (at < request->argc) {
        chosen->id_count = request->argc - at;
        chosen->ids = sp_group_ids(request, at, chosen->id_count);
        return chosen->ids != NULL;
    }
    return true;
}

/* ---- SPOOR.DEAD LIST ------------------------------------------------------------------------- */

sp_status sp_dead_read(struct sp_engine *engine, uint64_t position, struct sp_cursor **ret_cursor,
                       const struct sp_event **ret_event, struct sp_error *error) {
    char text[SP_DECIMAL_BYTES_MAX];
    struct sp_query query = {.from = sp_str_of(text, sp_decimal_format(position, text)),
                             .limit = 1};
    *ret_event = NULL;
    sp_status status = sp_cursor_open(engine, &query, ret_cursor, error);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_event *event = NULL;
    status = sp_cursor_next(*ret_cursor, &event, error);
    if (status == SP_OK && event->position == position) {
        *ret_event = event;
    }
    bool lost = status == SP_END || status == SP_CORRUPT || status == SP_NOT_FOUND;
    return lost ? SP_OK : status;
}

sp_str sp_dead_error(const struct sp_event *letter, struct sp_buf *to) {
    struct sp_json json;
    sp_str none = {.ptr = NULL};
    if (letter == NULL) {
        return none;
    }
    sp_json_init(&json, letter->data);
    if (sp_json_next(&json).type != SP_JSON_OBJECT) {
        return none;
    }
    for (struct sp_json_token key = sp_json_next(&json); key.type == SP_JSON_KEY;
         key = sp_json_next(&json)) {
        struct sp_json_token value = sp_json_next(&json);
        if (sp_json_equal(key, SP_STR("error")) && value.type == SP_JSON_STRING) {
            sp_buf_reset(to);
            sp_json_unescape(to, value.raw);
            return to->status == SP_OK && to->len > 0 ? sp_buf_str(to) : none;
        }
        (void)sp_json_skip(&json, value);
    }
    return none;
}

static sp_status write_error(struct sp_request *request, const struct sp_dead *dead,
                             struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    const struct sp_event *letter = NULL;
    struct sp_buf text;
    sp_status status = dead->letter == 0 ? SP_OK
                                         : sp_dead_read(request->server->engine, dead->letter,
                                                        &cursor, &letter, error);
    if (status == SP_OK) {
        sp_buf_init(&text, 2 * SP_DEAD_ERROR_BYTES_MAX);
        sp_str said = sp_dead_error(letter, &text);
        sp_resp_bulk_text(request->reply, "error");
        if (said.ptr != NULL) {
            sp_resp_bulk(request->reply, said);
        } else {
            sp_resp_null(request->reply);
        }
        sp_buf_fini(&text);
    }
    sp_cursor_close(cursor);
    return status;
}

static sp_status write_fields(struct sp_request *request, const struct sp_dead *dead,
                              struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    sp_status status =
        sp_dead_read(request->server->engine, dead->position, &cursor, &event, error);
    if (status == SP_OK) {
        sp_resp_bulk_text(request->reply, "fields");
        if (event != NULL) {
            sp_entry_write(event, request->reply);
        } else {
            sp_resp_null_array(request->reply);
        }
    }
    sp_cursor_close(cursor);
    return status;
}

static sp_status write_dead(struct sp_request *request, const struct sp_dead *dead,
                            struct sp_error *error) {
    struct sp_resp *reply = request->reply;
    sp_resp_map(reply, 8);
    sp_resp_bulk_text(reply, "id");
    sp_resp_id(reply, dead->id);
    sp_resp_bulk_text(reply, "position");
    sp_resp_unsigned(reply, dead->position);
    sp_resp_bulk_text(reply, "attempts");
    sp_resp_unsigned(reply, dead->count);
    sp_resp_bulk_text(reply, "reason");
    sp_resp_bulk_text(reply, dead->reason == SP_DEAD_REFUSED ? "refused" : "attempts");
    sp_resp_bulk_text(reply, "time");
    sp_resp_unsigned(reply, dead->time_ms);
    sp_resp_bulk_text(reply, "last-delivery");
    if (dead->last_time_ms != 0) {
        sp_resp_unsigned(reply, dead->last_time_ms);
    } else {
        sp_resp_null(reply);
    }
    sp_status status = write_error(request, dead, error);
    return status == SP_OK ? write_fields(request, dead, error) : status;
}

static sp_status list_ids(struct sp_request *request, const struct sp_group *group,
                          const struct chosen *chosen, uint64_t *ret_count,
                          struct sp_error *error) {
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < chosen->id_count && status == SP_OK; i++) {
        struct sp_dead dead;
        if (sp_dead_get(group, chosen->ids[i], &dead)) {
            status = write_dead(request, &dead, error);
            ++*ret_count;
        }
    }
    return status;
}

static sp_status list_oldest(struct sp_request *request, const struct sp_group *group,
                             const struct chosen *chosen, uint64_t *ret_count,
                             struct sp_error *error) {
    uint64_t most =
        chosen->all || chosen->count > SP_BUS_DEAD_MAX ? SP_BUS_DEAD_MAX : chosen->count;
    uint64_t after = chosen->after;
    sp_status status = SP_OK;
    while (status == SP_OK && *ret_count < most) {
        struct sp_dead chunk[CHUNK];
        size_t room = most - *ret_count < CHUNK ? (size_t)(most - *ret_count) : CHUNK;
        size_t got = sp_dead_list(group, after, chunk, room);
        for (size_t i = 0; i < got && status == SP_OK; i++) {
            status = write_dead(request, &chunk[i], error);
            after = chunk[i].position;
            ++*ret_count;
        }
        if (got < room) {
            break;
        }
    }
    return status;
}

enum sp_verdict sp_on_spoor_dead_list(struct sp_request *request) {
    struct chosen chosen = {.count = LIST_COUNT};
    struct sp_group_named named;
    struct sp_error error;
    uint64_t count = 0;
    if (!sp_group_needed(request, 2, 3, &named) || !choose(request, &chosen)) {
        return SP_DONE;
    }
    struct sp_resp_open open = sp_resp_open_array(request->reply, 1);
    sp_error_clear(&error);
    sp_status status = chosen.ids != NULL
                           ? list_ids(request, named.group, &chosen, &count, &error)
                           : list_oldest(request, named.group, &chosen, &count, &error);
    if (status != SP_OK) {
        sp_resp_drop(request->reply, open);
        return sp_reply_status(request, status, &error);
    }
    sp_resp_close(request->reply, open, count);
    return SP_DONE;
}

/* ---- SPOOR.DEAD REDRIVE and DISCARD ---------------------------------------------------------- */

typedef sp_status settle_fn(struct sp_bus *bus, const struct sp_key *key, sp_str group,
                            const struct sp_entry_id *ids, size_t count, uint64_t *ret_count,
                            struct sp_error *error);

/*
 * So many of the oldest, in as many calls as it takes. Where the store gets busy on the way, what
 * is done is done: the reply says how many.
 */
static sp_status settle_oldest(struct sp_request *request, const struct sp_group_named *named,
                               uint64_t most, settle_fn *settle, uint64_t *ret_count,
                               struct sp_error *error) {
    sp_status status = SP_OK;
    bool more = true;
    while (status == SP_OK && more && *ret_count < most) {
        uint64_t left = most - *ret_count;
        uint64_t done = 0;
        size_t asked = left < SP_BUS_DEAD_MAX ? (size_t)left : SP_BUS_DEAD_MAX;
        status = settle(request->server->bus, &named->key, named->name, NULL, asked, &done, error);
        *ret_count += status == SP_OK ? done : 0;
        more = done == asked;
    }
    return *ret_count > 0 ? SP_OK : status;
}

static enum sp_verdict settle(struct sp_request *request, settle_fn *how) {
    struct chosen chosen = {.count = 0};
    struct sp_group_named named;
    struct sp_error error;
    uint64_t count = 0;
    if (!sp_group_needed(request, 2, 3, &named) || !choose(request, &chosen)) {
        return SP_DONE;
    }
    if (chosen.after != 0) {
        return sp_reply_error(request, "syntax error, expected ALL, COUNT n, or ids");
    }
    /* ALL is all that there is now: what dies meanwhile is for the next time. */
    uint64_t most = chosen.all ? sp_group_get(named.group).dead : chosen.count;
    sp_error_clear(&error);
    sp_status status = chosen.ids != NULL
                           ? how(request->server->bus, &named.key, named.name, chosen.ids,
                                 chosen.id_count, &count, &error)
                           : settle_oldest(request, &named, most, how, &count, &error);
    if (status == SP_UNSUPPORTED) {
        return refuse_plain(request);
    }
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_unsigned(request->reply, count);
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_dead_redrive(struct sp_request *request) {
    return settle(request, sp_bus_redrive);
}

enum sp_verdict sp_on_spoor_dead_discard(struct sp_request *request) {
    return settle(request, sp_bus_discard);
}
