/*
 * Worker queues over HTTP: groups made, changed, shown and dropped. loop-thread
 *
 *     PUT GET DELETE /v1/groups/{group}    GET /v1/groups
 *
 * What a request decides is decided by engine/bus_groups.h, as for SPOOR.GROUP (cmd_policy.c).
 */
#include "server/http_groups.h"

#include <stdio.h>

#include "base/time.h"
#include "engine/query.h"
#include "event/event_json.h"
#include "server/policy_options.h"

enum {
    KEYS_SHOWN = 5, /* of groups that have the same name */
    LIST_DEFAULT = 100,
    LIST_MAX = 1000,
    BODY_BYTES_BESIDE = 64,
};

/* ---- JSON ------------------------------------------------------------------------------------ */

void sp_http_add_name(struct sp_buf *to, const char *name) {
    if (to->len > 0 && to->data[to->len - 1] != '{') {
        sp_buf_add_byte(to, ',');
    }
    sp_json_add_string(to, sp_str_from(name));
    sp_buf_add_byte(to, ':');
}

/* Names are any bytes to clients of Redis; in JSON what is no text is shown as question marks. */
static void add_text(struct sp_buf *to, sp_str value) {
    if (sp_utf8_valid(value)) {
        sp_json_add_string(to, value);
        return;
    }
    sp_buf_add_byte(to, '"');
    for (size_t i = 0; i < value.len; i++) {
        char byte = value.ptr[i];
        bool plain = byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\';
        sp_buf_add_byte(to, (uint8_t)(plain ? byte : '?'));
    }
    sp_buf_add_byte(to, '"');
}

void sp_http_add_text(struct sp_buf *to, const char *name, sp_str value) {
    sp_http_add_name(to, name);
    add_text(to, value);
}

void sp_http_add_number(struct sp_buf *to, const char *name, uint64_t value) {
    sp_http_add_name(to, name);
    sp_buf_add_u64(to, value);
}

void sp_http_add_time(struct sp_buf *to, const char *name, uint64_t ms) {
    char text[SP_TIME_TEXT_SIZE];
    sp_http_add_name(to, name);
    if (ms == 0) {
        sp_buf_add_str(to, SP_STR("null"));
        return;
    }
    sp_time_format(ms > SP_TIME_US_MAX / 1000 ? SP_TIME_US_MAX : ms * 1000, text);
    sp_json_add_string(to, sp_str_from(text));
}

void sp_http_add_id(struct sp_buf *to, const char *name, struct sp_entry_id id) {
    char text[SP_ENTRY_ID_TEXT_SIZE];
    size_t len = sp_entry_id_format(id, text);
    sp_http_add_text(to, name, sp_str_of(text, len));
}

void sp_http_add_event(struct sp_buf *to, const struct sp_event *event) {
    sp_http_add_name(to, "event");
    if (event != NULL) {
        sp_event_to_json(event, NULL, to);
    } else {
        sp_buf_add_str(to, SP_STR("null"));
    }
}

enum sp_http_verdict sp_http_group_count(struct sp_http_request *request, const char *name,
                                         uint64_t count) {
    struct sp_buf *to = sp_http_scratch(request);
    sp_buf_add_byte(to, '{');
    sp_http_add_number(to, name, count);
    sp_buf_add_byte(to, '}');
    return sp_http_json(request, 200, sp_buf_str(to));
}

/* ---- parameters ------------------------------------------------------------------------------ */

bool sp_http_only_query(struct sp_http_request *request, const char *const *names) {
    for (uint32_t i = 0; i < request->query_count; i++) {
        size_t j = 0;
        while (names[j] != NULL && !sp_str_eq(request->query[i].name, sp_str_from(names[j]))) {
            j++;
        }
        if (names[j] == NULL) {
            sp_str name = request->query[i].name;
            (void)sp_http_refuse(request, 400, "parameter", "unknown parameter '%.*s'",
                                 (int)(name.len > 64 ? 64 : name.len), name.ptr);
            return false;
        }
    }
    return true;
}

bool sp_http_query_number(struct sp_http_request *request, const char *name, uint64_t least,
                          uint64_t most, uint64_t *ret_number) {
    sp_str text;
    int64_t number = 0;
    if (!sp_http_query(request, name, &text)) {
        return true;
    }
    if (!sp_word_i64(text, &number) || number < 0 || (uint64_t)number < least ||
        (uint64_t)number > most) {
        (void)sp_http_refuse(request, 400, "parameter",
                             "%s: expected a whole number from %llu to %llu", name,
                             (unsigned long long)least, (unsigned long long)most);
        return false;
    }
    *ret_number = (uint64_t)number;
    return true;
}

bool sp_http_query_bool(struct sp_http_request *request, const char *name, bool *ret_yes) {
    sp_str text;
    if (!sp_http_query(request, name, &text)) {
        return true;
    }
    *ret_yes = text.len == 0 || sp_word_is(text, "true") || sp_str_eq(text, SP_STR("1"));
    if (*ret_yes || sp_word_is(text, "false") || sp_str_eq(text, SP_STR("0"))) {
        return true;
    }
    (void)sp_http_refuse(request, 400, "parameter", "%s: expected true or false", name);
    return false;
}

/* ---- the group that is meant ----------------------------------------------------------------- */

/* The key outlives the group: it is copied for the run. */
static bool take_key(struct sp_http_request *request, sp_str text, struct sp_key *ret_key) {
    struct sp_buf *room = &request->server->key_room;
    struct sp_error error;
    sp_error_clear(&error);
    sp_buf_reset(room);
    sp_buf_add_str(room, text);
    sp_status status = room->status != SP_OK
                           ? room->status
                           : sp_key_parse(request->server->bus, sp_buf_str(room), ret_key, &error);
    if (status != SP_OK) {
        (void)sp_http_refuse_status(request, status, &error);
    }
    return status == SP_OK;
}

static bool refuse_many(struct sp_http_request *request, sp_str name) {
    const struct sp_groups *groups = &sp_engine_core(request->server->engine)->groups;
    const struct sp_group *group = NULL;
    struct sp_buf keys;
    uint32_t count = 0;
    sp_buf_init(&keys, SP_HTTP_REPLY_BYTES_ENOUGH);
    sp_buf_add_byte(&keys, '[');
    for (size_t i = 0; count < KEYS_SHOWN && (group = sp_group_nth(groups, i)) != NULL; i++) {
        struct sp_group_facts facts = sp_group_get(group);
        if (sp_str_eq(facts.name, name)) {
            sp_buf_add_str(&keys, count++ == 0 ? SP_STR("") : SP_STR(","));
            add_text(&keys, facts.key);
        }
    }
    sp_buf_add_byte(&keys, ']');
    const struct sp_http_member member = {
        .name = "keys", .kind = SP_HTTP_JSON, .text = sp_buf_str(&keys)};
    const struct sp_http_problem problem = {
        .status = 409,
        .type = "ambiguous-group",
        .detail = SP_STR("several keys have a group of this name: ?key= says which one is meant"),
        .members = &member,
        .member_count = keys.status == SP_OK ? 1 : 0,
    };
    (void)sp_http_problem(request, &problem);
    sp_buf_fini(&keys);
    return false;
}

/* By name alone, among all groups. */
static bool find_by_name(struct sp_http_request *request, struct sp_http_group *found) {
    const struct sp_groups *groups = &sp_engine_core(request->server->engine)->groups;
    const struct sp_group *group = NULL;
    for (size_t i = 0; (group = sp_group_nth(groups, i)) != NULL; i++) {
        if (!sp_str_eq(sp_group_get(group).name, found->name)) {
            continue;
        }
        if (found->group != NULL) {
            return refuse_many(request, found->name);
        }
        found->group = group;
    }
    return found->group == NULL || take_key(request, sp_group_get(found->group).key, &found->key);
}

bool sp_http_group_named(struct sp_http_request *request, struct sp_http_group *ret_group) {
    struct sp_http_group found = {.name = sp_http_param(request, "group")};
    sp_str key;
    if (!sp_http_query(request, "key", &key)) {
        if (!find_by_name(request, &found)) {
            return false;
        }
    } else {
        if (!take_key(request, key, &found.key)) {
            return false;
        }
        found.group = sp_bus_group(request->server->bus, &found.key, found.name);
    }
    *ret_group = found;
    return true;
}

bool sp_http_group_needed(struct sp_http_request *request, struct sp_http_group *ret_group) {
    if (!sp_http_group_named(request, ret_group)) {
        return false;
    }
    if (ret_group->group == NULL) {
        (void)sp_http_refuse(
            request, 404, "no-group", "there is no group '%.*s'; PUT /v1/groups/… makes one",
            (int)(ret_group->name.len > 256 ? 256 : ret_group->name.len), ret_group->name.ptr);
        return false;
    }
    return true;
}

enum sp_http_verdict sp_http_group_refuse(struct sp_http_request *request, sp_status status,
                                          const struct sp_error *error) {
    if (status == SP_UNSUPPORTED) {
        return sp_http_refuse(request, 409, "no-policy",
                              "the group has no policy, and its entries no attempts: PUT gives it "
                              "one");
    }
    if (status ==
        SP_LIMIT) { /* of all groups or entries there may be: no less of a request helps */
        return sp_http_refuse(request, 507, "limit", "%s", error->text);
    }
    return sp_http_refuse_status(request, status, error);
}

/* ---- showing --------------------------------------------------------------------------------- */

/* As it is given: numbers as numbers, a filter as the object it is. */
static void add_option(struct sp_buf *to, const struct sp_group_policy *policy,
                       enum sp_policy_option option) {
    struct sp_buf text;
    sp_buf_init(&text, SP_HTTP_REPLY_BYTES_ENOUGH);
    sp_policy_option_format(policy, option, &text);
    sp_http_add_name(to, sp_policy_option_name(option));
    bool bare = option == SP_POLICY_FILTER || option == SP_POLICY_MAX_DELIVERIES ||
                option == SP_POLICY_MAX_IN_FLIGHT;
    if (text.status != SP_OK) {
        to->status = text.status;
    } else if (text.len == 0) {
        sp_buf_add_str(to, SP_STR("null"));
    } else if (bare) {
        sp_buf_add_str(to, sp_buf_str(&text));
    } else {
        sp_json_add_string(to, sp_buf_str(&text));
    }
    sp_buf_fini(&text);
}

static void add_policy(struct sp_buf *to, const struct sp_group_facts *facts) {
    sp_http_add_name(to, "policy");
    if (!facts->has_policy) {
        sp_buf_add_str(to, SP_STR("null"));
        return;
    }
    sp_buf_add_byte(to, '{');
    for (unsigned i = 0; i < SP_POLICY_OPTIONS; i++) {
        add_option(to, &facts->policy, (enum sp_policy_option)i);
    }
    sp_buf_add_byte(to, '}');
}

/* All but the brace that ends it. */
static void add_group(struct sp_buf *to, const struct sp_group *group) {
    struct sp_group_facts facts = sp_group_get(group);
    sp_buf_add_byte(to, '{');
    sp_http_add_text(to, "name", facts.name);
    sp_http_add_text(to, "key", facts.key);
    add_policy(to, &facts);
    sp_http_add_number(to, "cursor", facts.cursor.position);
    sp_http_add_id(to, "last_delivered_id", facts.cursor.id);
    sp_http_add_number(to, "consumers", facts.consumers);
    sp_http_add_number(to, "pending", facts.pending);
    sp_http_add_number(to, "in_flight", facts.has_policy ? facts.in_flight : facts.pending);
    sp_http_add_number(to, "waiting", facts.waiting);
    sp_http_add_number(to, "parked", facts.parked);
    sp_http_add_number(to, "dead", facts.dead);
}

/* {"events": 3, "seconds": 1.25} */
static sp_status add_lag(struct sp_http_request *request, const struct sp_key *key, sp_str name,
                         struct sp_buf *to, struct sp_error *error) {
    struct sp_bus_group_info info;
    char seconds[48];
    sp_status status = sp_bus_group_info(request->server->bus, key, name, &info, error);
    if (status == SP_OK) {
        sp_http_add_name(to, "lag");
        sp_buf_add_byte(to, '{');
        sp_http_add_number(to, "events", info.lag);
        sp_http_add_name(to, "seconds");
        int len =
            snprintf(seconds, sizeof(seconds), "%llu.%03u",
                     (unsigned long long)(info.lag_ms / 1000), (unsigned)(info.lag_ms % 1000));
        sp_buf_add(to, seconds, (size_t)len);
        sp_buf_add_byte(to, '}');
    }
    return status;
}

static enum sp_http_verdict on_get(struct sp_http_request *request) {
    static const char *const names[] = {"key", NULL};
    struct sp_http_group found;
    struct sp_error error;
    if (!sp_http_only_query(request, names) || !sp_http_group_needed(request, &found)) {
        return SP_HTTP_DONE;
    }
    struct sp_buf *to = sp_http_scratch(request);
    add_group(to, found.group);
    sp_error_clear(&error);
    sp_status status = add_lag(request, &found.key, found.name, to, &error);
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    sp_buf_add_byte(to, '}');
    return sp_http_json(request, 200, sp_buf_str(to));
}

/* ---- the list -------------------------------------------------------------------------------- */

struct listing {
    uint64_t limit;
    uint64_t after; /* the number of a group */
    bool lag;
    sp_str key; /* NULL ptr: of all keys */
};

static bool read_listing(struct sp_http_request *request, struct listing *listing) {
    static const char *const names[] = {"limit", "after", "lag", "key", NULL};
    *listing = (struct listing){.limit = LIST_DEFAULT, .key = {.ptr = NULL}};
    if (!sp_http_query(request, "key", &listing->key)) {
        listing->key = (sp_str){.ptr = NULL};
    }
    return sp_http_only_query(request, names) &&
           sp_http_query_number(request, "limit", 1, LIST_MAX, &listing->limit) &&
           sp_http_query_number(request, "after", 0, INT64_MAX, &listing->after) &&
           sp_http_query_bool(request, "lag", &listing->lag);
}

static sp_status add_listed(struct sp_http_request *request, const struct sp_group *group,
                            const struct listing *listing, struct sp_buf *to,
                            struct sp_error *error) {
    struct sp_group_facts facts = sp_group_get(group);
    struct sp_key key;
    sp_status status = SP_OK;
    add_group(to, group);
    if (listing->lag) {
        status = sp_key_parse(request->server->bus, facts.key, &key, error);
        status = status == SP_OK ? add_lag(request, &key, facts.name, to, error) : status;
    }
    sp_buf_add_byte(to, '}');
    return status;
}

static enum sp_http_verdict on_list(struct sp_http_request *request) {
    const struct sp_groups *groups = &sp_engine_core(request->server->engine)->groups;
    const struct sp_group *group = NULL;
    struct listing listing;
    struct sp_error error;
    uint64_t count = 0;
    uint64_t last = 0;
    sp_status status = SP_OK;
    if (!read_listing(request, &listing)) {
        return SP_HTTP_DONE;
    }
    struct sp_buf *to = sp_http_scratch(request);
    sp_error_clear(&error);
    sp_buf_add_str(to, SP_STR("{\"groups\":["));
    for (size_t i = 0; status == SP_OK && (group = sp_group_nth(groups, i)) != NULL; i++) {
        struct sp_group_facts facts = sp_group_get(group);
        bool wanted = facts.number > listing.after &&
                      (listing.key.ptr == NULL || sp_str_eq(facts.key, listing.key));
        if (wanted && count == listing.limit) {
            break;
        }
        if (wanted) {
            sp_buf_add_str(to, count++ == 0 ? SP_STR("") : SP_STR(","));
            status = add_listed(request, group, &listing, to, &error);
            last = facts.number;
        }
    }
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    sp_buf_add_byte(to, ']');
    if (group != NULL) {
        sp_http_add_number(to, "next", last);
    }
    sp_buf_add_byte(to, '}');
    return sp_http_json(request, 200, sp_buf_str(to));
}

/* ---- making and changing --------------------------------------------------------------------- */

enum { PUT_KEY, PUT_FROM, PUT_OPTIONS, PUT_MEMBERS = PUT_OPTIONS + SP_POLICY_OPTIONS };

struct put {
    const char *names[PUT_MEMBERS + 1];
    struct sp_http_value values[PUT_MEMBERS];
    struct sp_group_policy policy;
    sp_str key; /* NULL ptr: not given */
    sp_str from;
    struct sp_buf texts;
};

/* A text as it is, anything else as it is written: a filter is an object, a count a number. */
static sp_status put_option(struct put *put, enum sp_policy_option option, struct sp_error *error) {
    const struct sp_http_value *value = &put->values[PUT_OPTIONS + option];
    sp_str text = value->raw;
    if (!value->given) {
        return SP_OK;
    }
    sp_status status = SP_OK;
    if (value->token.type == SP_JSON_STRING) {
        status = sp_http_value_text(value, put->names[PUT_OPTIONS + option],
                                    SP_GROUP_FILTER_BYTES_MAX, &put->texts, &text, error);
    }
    return status == SP_OK ? sp_policy_option_set(&put->policy, option, text, error) : status;
}

static sp_status read_put(const struct sp_http_request *request, struct put *put,
                          struct sp_error *error) {
    put->names[PUT_KEY] = "key";
    put->names[PUT_FROM] = "from";
    for (unsigned i = 0; i < SP_POLICY_OPTIONS; i++) {
        put->names[PUT_OPTIONS + i] = sp_policy_option_name((enum sp_policy_option)i);
    }
    put->names[PUT_MEMBERS] = NULL;
    put->policy = sp_group_policy_default();
    put->from = SP_STR("$");
    put->key = (sp_str){.ptr = NULL};
    /* Nothing that was read moves: escapes resolved take no more than the body. */
    if (sp_buf_reserve(&put->texts, request->body.len + 1) == NULL) {
        return sp_error_set(error, put->texts.status, "no memory for the body");
    }
    sp_status status = sp_http_body_members(request, put->names, put->values, error);
    if (status == SP_OK) {
        status = sp_http_value_text(&put->values[PUT_KEY], "key", SP_GROUP_KEY_BYTES_MAX,
                                    &put->texts, &put->key, error);
    }
    if (status == SP_OK) {
        status = sp_http_value_text(&put->values[PUT_FROM], "from", SP_GROUP_NAME_BYTES_MAX,
                                    &put->texts, &put->from, error);
    }
    for (unsigned i = 0; i < SP_POLICY_OPTIONS && status == SP_OK; i++) {
        status = put_option(put, (enum sp_policy_option)i, error);
    }
    return status;
}

/*
 * The group: the one of the body's key, or of ?key=, which must not differ; without either the one
 * that has the name, or else one of $all.
 */
static bool find_to_put(struct sp_http_request *request, const struct put *put,
                        struct sp_http_group *found) {
    sp_str key;
    if (put->key.ptr == NULL) {
        return sp_http_group_named(request, found) &&
               (found->key.text.ptr != NULL || take_key(request, SP_STR("$all"), &found->key));
    }
    if (sp_http_query(request, "key", &key) && !sp_str_eq(key, put->key)) {
        (void)sp_http_refuse(request, 400, "key", "key: that of the body is not that of the query");
        return false;
    }
    *found = (struct sp_http_group){.name = sp_http_param(request, "group")};
    if (!take_key(request, put->key, &found->key)) {
        return false;
    }
    found->group = sp_bus_group(request->server->bus, &found->key, found->name);
    return true;
}

static sp_status make(struct sp_http_request *request, const struct put *put,
                      const struct sp_http_group *found, struct sp_error *error) {
    struct sp_group_making making = {
        .key = &found->key, .name = found->name, .policy = put->policy, .make_key = true};
    sp_status status =
        sp_group_find_start(request->server, &found->key, put->from, &making.start, error);
    if (status != SP_OK) {
        return status == SP_INVALID ? sp_error_prefix(error, status, "from") : status;
    }
    return sp_group_create(request->server->bus, &making, error);
}

static enum sp_http_verdict put_group(struct sp_http_request *request, struct put *put) {
    struct sp_http_group found;
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = read_put(request, put, &error);
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status == SP_LIMIT ? SP_INVALID : status, &error);
    }
    if (!find_to_put(request, put, &found)) {
        return SP_HTTP_DONE;
    }
    bool made = found.group == NULL;
    status = made ? make(request, put, &found, &error)
                  : sp_bus_group_policy(request->server->bus, &found.key, found.name, &put->policy,
                                        &error);
    if (status != SP_OK) {
        return sp_http_group_refuse(request, status, &error);
    }
    struct sp_buf *to = sp_http_scratch(request);
    add_group(to, sp_bus_group(request->server->bus, &found.key, found.name));
    sp_buf_add_byte(to, '}');
    return sp_http_json(request, made ? 201 : 200, sp_buf_str(to));
}

static enum sp_http_verdict on_put(struct sp_http_request *request) {
    static const char *const names[] = {"key", NULL};
    struct put put;
    if (!sp_http_only_query(request, names)) {
        return SP_HTTP_DONE;
    }
    sp_buf_init(&put.texts, request->body.len + BODY_BYTES_BESIDE);
    enum sp_http_verdict verdict = put_group(request, &put);
    sp_buf_fini(&put.texts);
    return verdict;
}

static enum sp_http_verdict on_delete(struct sp_http_request *request) {
    static const char *const names[] = {"key", NULL};
    struct sp_http_group found;
    struct sp_error error;
    bool was_there = false;
    if (!sp_http_only_query(request, names) || !sp_http_group_needed(request, &found)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        sp_bus_group_drop(request->server->bus, &found.key, found.name, &was_there, &error);
    return status == SP_OK ? sp_http_nothing(request)
                           : sp_http_refuse_status(request, status, &error);
}

/* ---- the table ------------------------------------------------------------------------------- */

enum { READ = SP_HTTP_READ, WRITE = SP_HTTP_WRITE };

const struct sp_http_route sp_http_group_routes[] = {
    {SP_HTTP_GET, "/v1/groups", READ, on_list},
    {SP_HTTP_GET, "/v1/groups/{group}", READ, on_get},
    {SP_HTTP_PUT, "/v1/groups/{group}", READ | WRITE, on_put},
    {SP_HTTP_DELETE, "/v1/groups/{group}", WRITE, on_delete},
    {SP_HTTP_POST, "/v1/groups/{group}/receive", READ | WRITE, sp_http_on_receive},
    {SP_HTTP_POST, "/v1/groups/{group}/ack", WRITE, sp_http_on_ack},
    {SP_HTTP_POST, "/v1/groups/{group}/nack", WRITE, sp_http_on_nack},
    {SP_HTTP_POST, "/v1/groups/{group}/extend", WRITE, sp_http_on_extend},
    {SP_HTTP_GET, "/v1/groups/{group}/dead-letters", READ, sp_http_on_dead_letters},
    {SP_HTTP_DELETE, "/v1/groups/{group}/dead-letters", WRITE, sp_http_on_discard},
    {SP_HTTP_POST, "/v1/groups/{group}/redrive", WRITE, sp_http_on_redrive},
    {.path = NULL},
};
