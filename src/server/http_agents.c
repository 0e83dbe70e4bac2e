/*
 * Routes of agents: who is there, what they can do, and whether they are alive. No connection
 * speaks for an agent here: only silence counts.
 *
 *     GET    /v1/agents?capability=…&status=…&free=true&after=…&limit=…
 *     GET    /v1/agents/{id}
 *     PUT    /v1/agents/{id}             {"capabilities": […], "capacity", "version", "data": {…}}
 *     POST   /v1/agents/{id}/heartbeat   {"load": 2}
 *     DELETE /v1/agents/{id}
 */
#include "base/json.h"
#include "engine/bus_agents.h"
#include "server/http.h"
#include "server/http_parts.h"

enum { LIST_DEFAULT = 1000, LIST_MAX = 10000 };

static enum sp_http_verdict refuse_agent(struct sp_http_request *request, sp_status status,
                                         const struct sp_error *error) {
    return status == SP_NOT_FOUND ? sp_http_refuse(request, 404, "no-agent", "%s", error->text)
                                  : sp_http_refuse_status(request, status, error);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

/* A body, read strictly: what it says is what the agent is to be. */
struct agent_body {
    struct sp_agent_facts facts;
    sp_str capabilities[SP_AGENT_CAPABILITIES_MAX];
    bool has_load;
    uint32_t load;
    struct sp_buf *text; /* of strings; room for all of them was reserved: it does not move */
};

static sp_status expected(struct sp_error *error, const char *name, const char *what,
                          struct sp_json_token token) {
    return sp_error_set(error, SP_INVALID, "%s: expected %s, found %s", name, what,
                        sp_json_type_name(token.type));
}

static sp_str take_string(struct sp_buf *text, sp_str raw) {
    size_t at = text->len;
    sp_json_unescape(text, raw);
    return sp_str_of(text->data + at, text->len - at);
}

static sp_status take_number(const char *name, struct sp_json_token token, bool *ret_has,
                             uint32_t *ret, struct sp_error *error) {
    double number = token.type == SP_JSON_NUMBER ? sp_json_number(token.raw) : -1;
    if (!(number >= 0 && number <= SP_AGENT_CAPACITY_MAX && (double)(uint32_t)number == number)) {
        return expected(error, name, "a whole number from 0 to 1000000000", token);
    }
    *ret_has = true;
    *ret = (uint32_t)number;
    return SP_OK;
}

static sp_status take_capabilities(struct sp_json *json, struct sp_json_token first,
                                   struct agent_body *body, struct sp_error *error) {
    if (first.type != SP_JSON_ARRAY) {
        return expected(error, "capabilities", "an array of strings", first);
    }
    body->facts.capability_count = 0;
    for (;;) {
        struct sp_json_token token = sp_json_next(json);
        if (token.type == SP_JSON_ARRAY_END) {
            return SP_OK;
        }
        if (token.type == SP_JSON_ERROR) {
            return sp_json_fail(json, error);
        }
        if (token.type != SP_JSON_STRING) {
            return expected(error, "capabilities", "an array of strings", token);
        }
        sp_str name = take_string(body->text, token.raw);
        bool twice = false;
        for (uint32_t i = 0; i < body->facts.capability_count; i++) {
            twice = twice || sp_str_eq(body->capabilities[i], name);
        }
        if (!twice && body->facts.capability_count == SP_AGENT_CAPABILITIES_MAX) {
            return sp_error_set(error, SP_INVALID, "an agent has at most 64 capabilities");
        }
        if (!twice) {
            body->capabilities[body->facts.capability_count++] = name;
        }
    }
}

static sp_status take_member(struct sp_json *json, struct sp_json_token key, bool load,
                             struct agent_body *body, struct sp_error *error) {
    struct sp_json_token value = sp_json_next(json);
    struct sp_agent_facts *facts = &body->facts;
    if (value.type == SP_JSON_ERROR) {
        return sp_json_fail(json, error);
    }
    if (load && sp_json_equal(key, SP_STR("load"))) {
        return value.type == SP_JSON_NULL
                   ? SP_OK
                   : take_number("load", value, &body->has_load, &body->load, error);
    }
    if (load) {
        return sp_error_set(error, SP_INVALID, "'%.*s' is not known; expected load",
                            SP_STR_ARG(key.raw));
    }
    bool is_null = value.type == SP_JSON_NULL;
    if (sp_json_equal(key, SP_STR("capabilities"))) {
        return is_null ? SP_OK : take_capabilities(json, value, body, error);
    }
    if (sp_json_equal(key, SP_STR("capacity"))) {
        return is_null
                   ? SP_OK
                   : take_number("capacity", value, &facts->has_capacity, &facts->capacity, error);
    }
    if (sp_json_equal(key, SP_STR("version"))) {
        if (value.type != SP_JSON_STRING && !is_null) {
            return expected(error, "version", "a string", value);
        }
        facts->version = is_null ? sp_str_of(NULL, 0) : take_string(body->text, value.raw);
        return SP_OK;
    }
    if (sp_json_equal(key, SP_STR("data"))) {
        if (value.type != SP_JSON_OBJECT && !is_null) {
            return expected(error, "data", "an object", value);
        }
        sp_str data = sp_json_skip(json, value);
        facts->data = is_null ? sp_str_of(NULL, 0) : data;
        return SP_OK;
    }
    return sp_error_set(error, SP_INVALID,
                        "'%.*s' is not known; expected capabilities, capacity, version, data",
                        SP_STR_ARG(key.raw));
}

/* Reads the body, which may be left out; `load`: that of a heartbeat, else of an announcement. */
static sp_status read_body(struct sp_http_request *request, bool load, struct agent_body *body,
                           struct sp_error *error) {
    *body = (struct agent_body){.text = sp_http_scratch(request)};
    body->facts.capabilities = body->capabilities;
    if (request->body.len == 0) {
        return SP_OK;
    }
    if (sp_buf_reserve(body->text, request->body.len) == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "body");
    }
    struct sp_json json;
    sp_json_init(&json, request->body);
    struct sp_json_token token = sp_json_next(&json);
    if (token.type != SP_JSON_OBJECT) {
        return token.type == SP_JSON_ERROR ? sp_json_fail(&json, error)
                                           : expected(error, "body", "an object", token);
    }
    sp_status status = SP_OK;
    for (token = sp_json_next(&json); token.type == SP_JSON_KEY && status == SP_OK;
         token = sp_json_next(&json)) {
        status = take_member(&json, token, load, body, error);
    }
    if (status == SP_OK &&
        (token.type != SP_JSON_OBJECT_END || sp_json_next(&json).type != SP_JSON_END)) {
        return sp_json_fail(&json, error);
    }
    return status;
}

/* ---- routes ---------------------------------------------------------------------------------- */

static enum sp_http_verdict reply_agent(struct sp_http_request *request, sp_str id) {
    const struct sp_agent *agent = sp_bus_agent(request->server->bus, id);
    if (agent == NULL) {
        return sp_http_refuse(request, 404, "no-agent", "there is no agent '%.*s'",
                              id.len < 256 ? (int)id.len : 256, id.len > 0 ? id.ptr : "");
    }
    struct sp_buf *to = sp_http_scratch(request);
    sp_bus_agent_json(request->server->bus, agent, to);
    return to->status == SP_OK ? sp_http_json(request, 200, sp_buf_str(to))
                               : sp_http_refuse_status(request, to->status, NULL);
}

static enum sp_http_verdict on_get(struct sp_http_request *request) {
    return reply_agent(request, sp_http_param(request, "id"));
}

static enum sp_http_verdict on_put(struct sp_http_request *request) {
    struct agent_body body;
    struct sp_error error;
    sp_str id = sp_http_param(request, "id");
    sp_error_clear(&error);
    sp_status status = read_body(request, false, &body, &error);
    if (status == SP_OK) {
        status = sp_bus_agent_online(request->server->bus, id, &body.facts, NULL, &error);
    }
    if (status != SP_OK) {
        return refuse_agent(request, status, &error);
    }
    request->appended = true;
    return reply_agent(request, id);
}

static enum sp_http_verdict on_heartbeat(struct sp_http_request *request) {
    struct agent_body body;
    struct sp_error error;
    enum sp_agent_status state = SP_AGENT_ONLINE;
    sp_error_clear(&error);
    sp_status status = read_body(request, true, &body, &error);
    if (status == SP_OK) {
        status = sp_bus_agent_heartbeat(request->server->bus, sp_http_param(request, "id"),
                                        body.has_load ? &body.load : NULL, NULL, &state, &error);
    }
    if (status != SP_OK) {
        return refuse_agent(request, status, &error);
    }
    struct sp_buf *to = sp_http_scratch(request);
    sp_buf_add_str(to, SP_STR("{\"status\":\""));
    sp_buf_add_str(to, sp_str_from(sp_agent_status_name(state)));
    sp_buf_add_str(to, SP_STR("\"}"));
    return sp_http_json(request, 200, sp_buf_str(to));
}

static enum sp_http_verdict on_delete(struct sp_http_request *request) {
    struct sp_error error;
    sp_str reason;
    if (!sp_http_query(request, "reason", &reason)) {
        reason = SP_STR("");
    }
    sp_error_clear(&error);
    sp_status status =
        sp_bus_agent_offline(request->server->bus, sp_http_param(request, "id"), reason, &error);
    if (status != SP_OK) {
        return refuse_agent(request, status, &error);
    }
    request->appended = true;
    return sp_http_nothing(request);
}

/* ---- the list -------------------------------------------------------------------------------- */

struct agent_list {
    struct sp_bus *bus;
    struct sp_buf *to;
    sp_str capabilities[SP_AGENT_CAPABILITIES_MAX];
    struct sp_agent_query query;
    sp_str after;
    uint32_t limit;
    sp_str last;
    uint64_t count;
};

static bool list_one(void *context, const struct sp_agent *agent) {
    struct agent_list *list = context;
    if (list->count++ > 0) {
        sp_buf_add_byte(list->to, ',');
    }
    sp_bus_agent_json(list->bus, agent, list->to);
    list->last = sp_agent_id(agent);
    return list->to->status == SP_OK;
}

static bool read_limit(sp_str value, uint32_t *ret_limit) {
    uint32_t limit = 0;
    for (size_t i = 0; i < value.len && limit <= LIST_MAX; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return false;
        }
        limit = limit * 10 + (uint32_t)(value.ptr[i] - '0');
    }
    *ret_limit = limit;
    return limit > 0 && limit <= LIST_MAX;
}

/* One parameter; NULL, or what was expected of it. */
static const char *read_parameter(const struct sp_http_pair *pair, struct agent_list *list) {
    struct sp_agent_query *query = &list->query;
    if (sp_str_eq(pair->name, SP_STR("capability"))) {
        if (query->capability_count == SP_AGENT_CAPABILITIES_MAX) {
            return "at most 64 capabilities";
        }
        list->capabilities[query->capability_count++] = pair->value;
        return NULL;
    }
    if (sp_str_eq(pair->name, SP_STR("status"))) {
        query->has_status = sp_agent_status_find(pair->value, &query->status);
        return query->has_status ? NULL : "online, stale, suspected or offline";
    }
    if (sp_str_eq(pair->name, SP_STR("free"))) {
        query->free = pair->value.len == 0 || sp_str_eq(pair->value, SP_STR("true")) ||
                      sp_str_eq(pair->value, SP_STR("1"));
        bool off = sp_str_eq(pair->value, SP_STR("false")) || sp_str_eq(pair->value, SP_STR("0"));
        return query->free || off ? NULL : "true or false";
    }
    if (sp_str_eq(pair->name, SP_STR("after"))) {
        list->after = pair->value;
        return NULL;
    }
    if (sp_str_eq(pair->name, SP_STR("limit"))) {
        return read_limit(pair->value, &list->limit) ? NULL : "a number from 1 to 10000";
    }
    return "one of capability, status, free, after, limit";
}

static enum sp_http_verdict on_list(struct sp_http_request *request) {
    struct agent_list list = {.bus = request->server->bus, .limit = LIST_DEFAULT};
    struct sp_error error;
    bool more = false;
    for (uint32_t i = 0; i < request->query_count; i++) {
        const struct sp_http_pair *pair = &request->query[i];
        const char *wanted = read_parameter(pair, &list);
        if (wanted != NULL) {
            return sp_http_refuse(request, 400, "invalid-query", "parameter %.*s: expected %s",
                                  pair->name.len < 100 ? (int)pair->name.len : 100,
                                  pair->name.len > 0 ? pair->name.ptr : "", wanted);
        }
    }
    list.query.capabilities = list.capabilities;
    list.to = sp_http_scratch(request);
    sp_error_clear(&error);
    sp_buf_add_str(list.to, SP_STR("{\"agents\":["));
    sp_status status = sp_bus_agents_list(list.bus, &list.query, list.after, list.limit, list_one,
                                          &list, &more, &error);
    if (status != SP_OK) {
        return sp_http_refuse_status(request, status, &error);
    }
    sp_buf_add_byte(list.to, ']');
    if (more) {
        sp_buf_add_str(list.to, SP_STR(",\"next\":"));
        sp_json_add_string(list.to, list.last);
    }
    sp_buf_add_byte(list.to, '}');
    return list.to->status == SP_OK ? sp_http_json(request, 200, sp_buf_str(list.to))
                                    : sp_http_refuse_status(request, list.to->status, NULL);
}

const struct sp_http_route sp_http_agent_routes[] = {
    {SP_HTTP_GET, "/v1/agents", SP_HTTP_READ, on_list},
    {SP_HTTP_GET, "/v1/agents/{id}", SP_HTTP_READ, on_get},
    {SP_HTTP_PUT, "/v1/agents/{id}", SP_HTTP_WRITE, on_put},
    {SP_HTTP_DELETE, "/v1/agents/{id}", SP_HTTP_WRITE, on_delete},
    {SP_HTTP_POST, "/v1/agents/{id}/heartbeat", SP_HTTP_WRITE, on_heartbeat},
    {.path = NULL},
};
