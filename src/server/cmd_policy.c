/*
 * SPOOR.GROUP: groups that take care of retries, dead letters and order by themselves. loop-thread
 *
 *     SPOOR.GROUP CREATE name key [FROM place] [MKSTREAM] [option value …]
 *     SPOOR.GROUP SET name key option value … | NONE
 *     SPOOR.GROUP GET | DROP | LAG name key
 *     SPOOR.GROUP LIST [key]
 *
 * FROM: `$`, what comes from now on, is what is left out; `<ms>-<seq>`, what stands behind this
 * entry, as with XGROUP CREATE; else a moment of queries (event/moment.h), from there on.
 */
#include <stdio.h>

#include "engine/query.h"
#include "proto/stream_id.h"
#include "server/cmd_groups.h"
#include "server/policy_options.h"

enum {
    RECORD_BYTES_BESIDE =
        16 << 10, /* what a group's events take beside twice the command's words */
    EVENTS = 4,
};

static const char OPTIONS_ARE[] = "type, filter, ack-wait, max-deliveries, backoff, order-by, "
                                  "max-in-flight, on-leave";

/* ---- options --------------------------------------------------------------------------------- */

static bool refuse_option(struct sp_request *request, sp_str word, const char *other) {
    char text[512];
    (void)snprintf(text, sizeof(text), "'%.*s' is no option; expected %s%s",
                   word.len > 128 ? 128 : (int)word.len, word.len > 0 ? word.ptr : "", other,
                   OPTIONS_ARE);
    (void)sp_reply_error(request, text);
    return false;
}

/* The option at *at, which moves to its value. False where the error is written. */
static bool read_option(struct sp_request *request, uint32_t *at, const char *other,
                        struct sp_group_policy *policy) {
    struct sp_error error;
    sp_str word = request->args[*at];
    enum sp_policy_option option = sp_policy_option_find(word);
    if (option == SP_POLICY_OPTIONS) {
        return refuse_option(request, word, other);
    }
    if (*at + 1 == request->argc) {
        char text[128];
        (void)snprintf(text, sizeof(text), "%s: a value was expected behind it",
                       sp_policy_option_name(option));
        (void)sp_reply_error(request, text);
        return false;
    }
    sp_error_clear(&error);
    sp_status status = sp_policy_option_set(policy, option, request->args[++*at], &error);
    if (status != SP_OK) {
        (void)sp_reply_status(request, status, &error);
        return false;
    }
    return true;
}

/* ---- where a group begins -------------------------------------------------------------------- */

/* What comes before the first event of a place on is behind; where there is none: from now on. */
static sp_status find_place(struct sp_server *server, const struct sp_key *key, sp_str place,
                            struct sp_bus_start *start, struct sp_error *error) {
    struct sp_query query = {.from = place, .limit = 1};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    if (key->kind == SP_KEY_STREAM) {
        query.stream = key->name;
    }
    sp_status status = sp_cursor_open(server->engine, &query, &cursor, error);
    if (status != SP_OK) {
        return status;
    }
    status = sp_cursor_next(cursor, &event, error);
    if (status == SP_OK) {
        start->id = key->kind == SP_KEY_STREAM
                        ? sp_event_entry_id(event)
                        : sp_entry_id_of_log(event->recorded_us, event->entry_seq);
        if (!sp_stream_id_decrement(&start->id)) {
            start->id = SP_ENTRY_ID_NONE;
        }
    }
    sp_cursor_close(cursor);
    start->at_end = status == SP_END;
    return status == SP_END ? SP_OK : status;
}

sp_status sp_group_find_start(struct sp_server *server, const struct sp_key *key, sp_str place,
                              struct sp_bus_start *start, struct sp_error *error) {
    *start = (struct sp_bus_start){.at_end = false};
    start->at_end = sp_str_eq(place, SP_STR("$"));
    if (start->at_end || sp_entry_id_parse(place, &start->id)) {
        return SP_OK;
    }
    return find_place(server, key, place, start, error);
}

/* ---- CREATE ---------------------------------------------------------------------------------- */

static bool read_create(struct sp_request *request, struct sp_group_making *making, sp_str *from) {
    for (uint32_t at = 4; at < request->argc; at++) {
        sp_str word = request->args[at];
        if (sp_word_is(word, "mkstream")) {
            making->make_key = true;
        } else if (sp_word_is(word, "from") && at + 1 < request->argc) {
            *from = request->args[++at];
        } else if (!read_option(request, &at, "FROM place, MKSTREAM, ", &making->policy)) {
            return false;
        }
    }
    return true;
}

sp_status sp_group_create(struct sp_bus *bus, const struct sp_group_making *making,
                          struct sp_error *error) {
    const struct sp_key *key = making->key;
    const struct sp_group_policy *policy = &making->policy;
    sp_str name = making->name;
    bool begun = !making->in_transaction;
    size_t bytes = RECORD_BYTES_BESIDE +
                   4 * (key->text.len + name.len + policy->type.len + policy->filter.len);
    sp_status status = begun ? sp_bus_begin(bus, bytes, EVENTS, error) : SP_OK;
    if (status != SP_OK) {
        return status;
    }
    status = sp_bus_group_make(bus, key, name, &making->start, making->make_key, error);
    if (status == SP_OK) {
        status = sp_bus_group_policy(bus, key, name, policy, error);
        bool was_there = false;
        if (status != SP_OK && sp_bus_group_drop(bus, key, name, &was_there, NULL) != SP_OK) {
            status = SP_FAILED;
        }
    }
    if (begun) {
        sp_bus_end(bus);
    }
    return status;
}

enum sp_verdict sp_on_spoor_group_create(struct sp_request *request) {
    struct sp_group_making making = {.policy = sp_group_policy_default(),
                                     .in_transaction = request->in_transaction};
    struct sp_group_named named;
    struct sp_error error;
    sp_str from = SP_STR("$");
    if (!read_create(request, &making, &from) || !sp_group_named(request, 3, 2, &named)) {
        return SP_DONE;
    }
    if (named.group != NULL) {
        return sp_reply_error_str(request, "BUSYGROUP",
                                  SP_STR("Consumer Group name already exists"));
    }
    sp_error_clear(&error);
    making.key = &named.key;
    making.name = named.name;
    sp_status status =
        sp_group_find_start(request->server, &named.key, from, &making.start, &error);
    if (status == SP_OK) {
        status = sp_group_create(request->server->bus, &making, &error);
    }
    if (status == SP_NOT_FOUND) {
        return sp_reply_error(request, "there is no such key; MKSTREAM makes it");
    }
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_ok(request->reply);
    return SP_DONE;
}

/* ---- SET ------------------------------------------------------------------------------------- */

/* What the group has, its texts copied: those of the group last until it changes. */
static bool copy_policy(struct sp_request *request, const struct sp_group *group,
                        struct sp_group_policy *ret_policy) {
    struct sp_group_facts facts = sp_group_get(group);
    struct sp_buf *scratch = &request->server->scratch;
    *ret_policy = facts.has_policy ? facts.policy : sp_group_policy_default();
    sp_buf_reset(scratch);
    if (sp_buf_reserve(scratch, ret_policy->type.len + ret_policy->filter.len + 1) == NULL) {
        (void)sp_reply_status(request, scratch->status, NULL);
        return false;
    }
    sp_buf_add_str(scratch, ret_policy->type);
    sp_buf_add_str(scratch, ret_policy->filter);
    ret_policy->type = sp_str_of(scratch->data, ret_policy->type.len);
    ret_policy->filter = sp_str_of(scratch->data + ret_policy->type.len, ret_policy->filter.len);
    return true;
}

enum sp_verdict sp_on_spoor_group_set(struct sp_request *request) {
    struct sp_group_named named;
    struct sp_group_policy policy;
    struct sp_error error;
    bool none = request->argc == 5 && sp_word_is(request->args[4], "none");
    if (!sp_group_needed(request, 3, 2, &named) || !copy_policy(request, named.group, &policy)) {
        return SP_DONE;
    }
    for (uint32_t at = 4; !none && at < request->argc; at++) {
        if (!read_option(request, &at, "NONE, ", &policy)) {
            return SP_DONE;
        }
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_group_policy(request->server->bus, &named.key, named.name,
                                           none ? NULL : &policy, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_ok(request->reply);
    return SP_DONE;
}

/* ---- DROP ------------------------------------------------------------------------------------ */

enum sp_verdict sp_on_spoor_group_drop(struct sp_request *request) {
    struct sp_group_named named;
    struct sp_error error;
    bool was_there = false;
    if (!sp_group_named(request, 3, 2, &named)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        sp_bus_group_drop(request->server->bus, &named.key, named.name, &was_there, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_integer(request->reply, was_there);
    return SP_DONE;
}

/* ---- what there is --------------------------------------------------------------------------- */

static void write_number(struct sp_resp *reply, const char *name, uint64_t value) {
    sp_resp_bulk_text(reply, name);
    sp_resp_unsigned(reply, value);
}

static void write_text(struct sp_resp *reply, const char *name, sp_str value) {
    sp_resp_bulk_text(reply, name);
    sp_resp_bulk(reply, value);
}

/* A name as the connection knows it: without the database that stands before it. */
static sp_str key_shown(const struct sp_request *request, sp_str key) {
    char room[16];
    sp_str prefix = sp_connection_prefix(request->connection, room);
    return sp_str_starts_with(key, prefix) ? sp_str_from_byte(key, prefix.len) : key;
}

enum { COUNT_FIELDS = 6 };

static void write_counts(struct sp_resp *reply, const struct sp_group_facts *facts) {
    write_number(reply, "consumers", facts->consumers);
    write_number(reply, "pending", facts->pending);
    write_number(reply, "in-flight", facts->has_policy ? facts->in_flight : facts->pending);
    write_number(reply, "waiting", facts->waiting);
    write_number(reply, "parked", facts->parked);
    write_number(reply, "dead", facts->dead);
}

static void write_policy(struct sp_request *request, const struct sp_group_policy *policy) {
    for (unsigned i = 0; i < SP_POLICY_OPTIONS; i++) {
        enum sp_policy_option option = (enum sp_policy_option)i;
        sp_resp_bulk_text(request->reply, sp_policy_option_name(option));
        struct sp_resp_open open = sp_resp_open_bulk(request->reply, 8);
        sp_policy_option_format(policy, option, request->reply->to);
        sp_resp_close_bulk(request->reply, open);
    }
}

enum sp_verdict sp_on_spoor_group_get(struct sp_request *request) {
    struct sp_group_named named;
    if (!sp_group_needed(request, 3, 2, &named)) {
        return SP_DONE;
    }
    struct sp_group_facts facts = sp_group_get(named.group);
    struct sp_resp *reply = request->reply;
    sp_resp_map(reply, 6 + COUNT_FIELDS);
    write_text(reply, "name", facts.name);
    write_text(reply, "key", key_shown(request, facts.key));
    write_number(reply, "number", facts.number);
    write_number(reply, "cursor", facts.cursor.position);
    sp_resp_bulk_text(reply, "last-delivered-id");
    sp_resp_id(reply, facts.cursor.id);
    write_counts(reply, &facts);
    sp_resp_bulk_text(reply, "policy");
    if (facts.has_policy) {
        sp_resp_map(reply, SP_POLICY_OPTIONS);
        write_policy(request, &facts.policy);
    } else {
        sp_resp_null(reply);
    }
    return SP_DONE;
}

static void write_line(struct sp_request *request, const struct sp_group_facts *facts) {
    struct sp_resp *reply = request->reply;
    sp_resp_map(reply, 3 + COUNT_FIELDS);
    write_text(reply, "name", facts->name);
    write_text(reply, "key", key_shown(request, facts->key));
    sp_resp_bulk_text(reply, "policy");
    sp_resp_boolean(reply, facts->has_policy);
    write_counts(reply, facts);
}

/* All groups that the connection's database shows: those of virtual streams are everybody's. */
static bool is_shown(const struct sp_request *request, sp_str key) {
    char room[16];
    sp_str prefix = sp_connection_prefix(request->connection, room);
    return sp_str_starts_with(key, prefix) || sp_str_starts_with(key, SP_STR("$"));
}

enum sp_verdict sp_on_spoor_group_list(struct sp_request *request) {
    const struct sp_groups *groups = &sp_engine_core(request->server->engine)->groups;
    struct sp_key key = {.kind = SP_KEY_STREAM};
    bool of_key = request->argc == 3;
    uint64_t count = 0;
    if (request->argc > 3) {
        return sp_reply_arity(request);
    }
    if (of_key && !sp_request_key(request, request->args[2], &key)) {
        return SP_DONE;
    }
    struct sp_resp_open open = sp_resp_open_array(request->reply, 1);
    for (size_t i = 0; request->reply->to->status == SP_OK; i++) {
        const struct sp_group *group =
            of_key ? sp_group_of_key(groups, key.text, i) : sp_group_nth(groups, i);
        if (group == NULL) {
            break;
        }
        struct sp_group_facts facts = sp_group_get(group);
        if (of_key || is_shown(request, facts.key)) {
            write_line(request, &facts);
            count++;
        }
    }
    sp_resp_close(request->reply, open, count);
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_group_lag(struct sp_request *request) {
    struct sp_group_named named;
    struct sp_bus_group_info info;
    struct sp_error error;
    if (!sp_group_needed(request, 3, 2, &named)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        sp_bus_group_info(request->server->bus, &named.key, named.name, &info, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    struct sp_resp *reply = request->reply;
    sp_resp_map(reply, 4 + COUNT_FIELDS);
    write_number(reply, "events", info.lag);
    sp_resp_bulk_text(reply, "seconds");
    sp_resp_double(reply, (double)info.lag_ms / 1000);
    write_number(reply, "cursor", info.facts.cursor.position);
    sp_resp_bulk_text(reply, "last-delivered-id");
    sp_resp_id(reply, info.facts.cursor.id);
    write_counts(reply, &info.facts);
    return SP_DONE;
}
