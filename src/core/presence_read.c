#include "core/presence_read.h"

#include "base/json.h"

enum sp_agent_event sp_agent_event_named(sp_str type) {
    if (sp_str_eq(type, SP_STR("agent.online"))) {
        return SP_AGENT_EVENT_ONLINE;
    }
    if (sp_str_eq(type, SP_STR("agent.started"))) {
        return SP_AGENT_EVENT_STARTED;
    }
    bool ended =
        sp_str_eq(type, SP_STR("agent.offline")) || sp_str_eq(type, SP_STR("agent.stopped"));
    return ended ? SP_AGENT_EVENT_ENDED : SP_AGENT_EVENT_NONE;
}

/* The text of a string, in `text`, whose room was reserved: it does not move. */
static sp_str take_string(struct sp_buf *text, struct sp_json_token token) {
    size_t at = text->len;
    sp_json_unescape(text, token.raw);
    return sp_str_of(text->data + at, text->len - at);
}

static void add_capability(struct sp_agent_read *read, sp_str name) {
    struct sp_agent_facts *facts = &read->facts;
    if (name.len == 0 || name.len > SP_AGENT_CAPABILITY_BYTES_MAX ||
        facts->capability_count == SP_AGENT_CAPABILITIES_MAX) {
        return;
    }
    for (uint32_t i = 0; i < facts->capability_count; i++) {
        if (sp_str_eq(read->capabilities[i], name)) {
            return;
        }
    }
    read->capabilities[facts->capability_count++] = name;
}

static void take_capabilities(struct sp_json *json, struct sp_json_token first, struct sp_buf *text,
                              struct sp_agent_read *read) {
    if (first.type != SP_JSON_ARRAY) {
        (void)sp_json_skip(json, first);
        return;
    }
    read->named |= SP_AGENT_NAMES_CAPABILITIES;
    read->facts.capability_count = 0;
    struct sp_json_token token = sp_json_next(json);
    while (token.type != SP_JSON_ARRAY_END && token.type != SP_JSON_ERROR) {
        if (token.type == SP_JSON_STRING) {
            add_capability(read, take_string(text, token));
        } else {
            (void)sp_json_skip(json, token);
        }
        token = sp_json_next(json);
    }
}

static void take_capacity(struct sp_json *json, struct sp_json_token first,
                          struct sp_agent_read *read) {
    double number = first.type == SP_JSON_NUMBER ? sp_json_number(first.raw) : -1;
    (void)sp_json_skip(json, first);
    if (number >= 0 && number <= SP_AGENT_CAPACITY_MAX && (double)(uint32_t)number == number) {
        read->named |= SP_AGENT_NAMES_CAPACITY;
        read->facts.has_capacity = true;
        read->facts.capacity = (uint32_t)number;
    }
}

static void take_version(struct sp_json *json, struct sp_json_token first, struct sp_buf *text,
                         struct sp_agent_read *read) {
    (void)sp_json_skip(json, first);
    if (first.type == SP_JSON_STRING) {
        sp_str version = take_string(text, first);
        if (version.len <= SP_AGENT_VERSION_BYTES_MAX) {
            read->named |= SP_AGENT_NAMES_VERSION;
            read->facts.version = version;
        }
    }
}

/* A member that is not one of ours, as it stands. */
static void add_rest(struct sp_buf *rest, sp_str key, sp_str value) {
    sp_buf_add_byte(rest, rest->len == 0 ? '{' : ',');
    sp_buf_add_byte(rest, '"');
    sp_buf_add_str(rest, key);
    sp_buf_add_str(rest, SP_STR("\":"));
    sp_buf_add_str(rest, value);
}

/* False where it is no JSON object. */
static bool take_members(sp_str data, struct sp_buf *text, struct sp_buf *rest,
                         struct sp_agent_read *read) {
    struct sp_json json;
    sp_json_init(&json, data);
    if (sp_json_next(&json).type != SP_JSON_OBJECT) {
        return false;
    }
    for (;;) {
        struct sp_json_token key = sp_json_next(&json);
        if (key.type != SP_JSON_KEY) {
            return key.type == SP_JSON_OBJECT_END && sp_json_next(&json).type == SP_JSON_END;
        }
        struct sp_json_token value = sp_json_next(&json);
        if (sp_json_equal(key, SP_STR("capabilities"))) {
            take_capabilities(&json, value, text, read);
        } else if (sp_json_equal(key, SP_STR("capacity"))) {
            take_capacity(&json, value, read);
        } else if (sp_json_equal(key, SP_STR("version"))) {
            take_version(&json, value, text, read);
        } else {
            add_rest(rest, key.raw, sp_json_skip(&json, value));
        }
    }
}

sp_status sp_agent_read(sp_str data, struct sp_buf *text, struct sp_agent_read *ret_read) {
    struct sp_buf rest;
    *ret_read = (struct sp_agent_read){.named = 0};
    sp_buf_reset(text);
    /* Strings without their escapes, and the rest: neither is longer than what it comes from. */
    if (sp_buf_reserve(text, 2 * data.len + 16) == NULL) {
        return text->status;
    }
    sp_buf_init(&rest, data.len + 16);
    if (!take_members(data, text, &rest, ret_read)) {
        *ret_read = (struct sp_agent_read){.named = 0};
    } else if (rest.len + 1 <= SP_AGENT_DATA_BYTES_MAX && rest.status == SP_OK) {
        ret_read->named |= SP_AGENT_NAMES_DATA;
        if (rest.len > 0) {
            size_t at = text->len;
            sp_buf_add_byte(&rest, '}');
            sp_buf_add_str(text, sp_buf_str(&rest));
            ret_read->facts.data = sp_str_of(text->data + at, rest.len);
        }
    }
    sp_status status = rest.status == SP_NO_MEMORY ? SP_NO_MEMORY : text->status;
    sp_buf_fini(&rest);
    ret_read->facts.capabilities = ret_read->capabilities;
    return status;
}
