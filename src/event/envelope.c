#include "event/envelope.h"

#include "base/json.h"
#include "base/time.h"

enum {
    TIME_TEXT_MAX = 43, /* of a time that is completed; with what is added it fits into 64 bytes */
    SCRATCH_FIXED = 64,
};

#define UNIX_SECONDS_MAX 1e11 /* from here on milliseconds: 1973 as those, 5138 as seconds */

/* What a check works on. */
struct checking {
    struct sp_event *event;
    struct sp_buf *scratch;
    struct sp_error *error;
    bool validated; /* data and metadata and extensions were read from JSON text */
};

/* Validates text that will be the value of a member, and so lie one level deeper. */
static sp_status check_json(sp_str text, enum sp_json_type *ret_type, struct sp_error *error) {
    return sp_json_check_value(text, SP_JSON_DEPTH_MAX - 1, ret_type, error);
}

/* True where the whole text is one JSON number. */
static bool is_number(sp_str text) {
    struct sp_json json;
    sp_json_init(&json, text);
    struct sp_json_token token = sp_json_next(&json);
    return token.type == SP_JSON_NUMBER && token.raw.len == text.len;
}

static sp_status time_from_number(sp_str text, struct sp_buf *scratch, sp_str *ret_time,
                                  struct sp_error *error) {
    double value = sp_json_number(text);
    double unit_us = value < UNIX_SECONDS_MAX ? 1e6 : 1e3;
    uint64_t time_us = UINT64_MAX;
    if (value >= 0 && value * unit_us < 1e18) {
        /* Whole and fraction apart: together they may need more bits than a double has. */
        uint64_t whole = (uint64_t)value;
        uint64_t fraction_us = (uint64_t)((value - (double)whole) * unit_us + 0.5);
        time_us = whole * (uint64_t)unit_us + fraction_us;
    }
    if (time_us > SP_TIME_US_MAX) {
        return sp_error_set(error, SP_INVALID,
                            "time: found %.*s, expected Unix seconds or milliseconds up to the "
                            "year 9999",
                            SP_STR_ARG(text));
    }
    sp_require(scratch->capacity - scratch->len >= SP_TIME_TEXT_SIZE);
    char formatted[SP_TIME_TEXT_SIZE];
    sp_time_format(time_us, formatted);
    sp_buf_add(scratch, formatted, SP_TIME_TEXT_SIZE - 1);
    *ret_time =
        sp_str_of(scratch->data + scratch->len - (SP_TIME_TEXT_SIZE - 1), SP_TIME_TEXT_SIZE - 1);
    return SP_OK;
}

sp_status sp_event_time(sp_str text, struct sp_buf *scratch, sp_str *ret_time,
                        struct sp_error *error) {
    if (sp_time_check(text, false, NULL) == SP_OK) {
        *ret_time = text;
        return SP_OK;
    }
    if (sp_buf_reserve(scratch, SCRATCH_FIXED) == NULL) {
        return sp_error_set(error, scratch->status, "time: out of room to complete it");
    }
    if (is_number(text)) {
        return time_from_number(text, scratch, ret_time, error);
    }
    sp_status status = sp_time_check(text, true, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "time");
    }
    if (text.len > TIME_TEXT_MAX) {
        return sp_error_set(error, SP_INVALID, "time: found %zu bytes, expected at most %d",
                            text.len, TIME_TEXT_MAX);
    }
    bool date_alone = text.len == sizeof("2026-11-20") - 1;
    sp_str rest = date_alone ? SP_STR("T00:00:00Z") : SP_STR("Z");
    size_t length = text.len + rest.len;
    sp_ensure(length <= SCRATCH_FIXED);
    sp_buf_add_str(scratch, text);
    sp_buf_add_str(scratch, rest);
    *ret_time = sp_str_of(scratch->data + scratch->len - length, length);
    return SP_OK;
}

/* An empty optional attribute is an absent one: dataclasses and SQL rows send "" for "none". */
static void drop_empty(struct sp_event *event, enum sp_attr attr) {
    if (event->attr[attr].len == 0) {
        event->attr[attr] = sp_str_of(NULL, 0);
    }
}

static sp_status check_attributes(struct checking *c) {
    struct sp_event *event = c->event;
    drop_empty(event, SP_ATTR_CORRELATION);
    drop_empty(event, SP_ATTR_CAUSATION);
    drop_empty(event, SP_ATTR_TIME);
    drop_empty(event, SP_ATTR_SCHEMAVERSION);
    drop_empty(event, SP_ATTR_CONTENTTYPE);
    if (!sp_event_has(event, SP_ATTR_TYPE)) {
        return sp_error_set(c->error, SP_INVALID, "type: absent, expected a topic");
    }
    if (!sp_event_has(event, SP_ATTR_SOURCE)) {
        return sp_error_set(c->error, SP_INVALID, "source: absent, expected who did it");
    }
    sp_status status = sp_event_type_check(event->attr[SP_ATTR_TYPE], c->error);
    unsigned texts = sp_event_present(event) & ~(1u << SP_ATTR_TYPE | 1u << SP_ATTR_METADATA);
    for (; texts != 0 && status == SP_OK; texts &= texts - 1) {
        enum sp_attr attr = (enum sp_attr)__builtin_ctz(texts);
        status = sp_event_text_check(attr, event->attr[attr], c->error);
    }
    if (status == SP_OK && sp_event_has(event, SP_ATTR_TIME)) {
        status = sp_event_time(event->attr[SP_ATTR_TIME], c->scratch, &event->attr[SP_ATTR_TIME],
                               c->error);
    }
    return status;
}

/* Where in metadata an id was found, and how good its spelling is. */
struct found_id {
    struct sp_json_token token;
    uint32_t rank; /* UINT32_MAX: none yet */
};

static void find_ids(sp_str metadata, struct found_id found[SP_ATTR_COUNT]) {
    struct sp_json json;
    sp_json_init(&json, metadata);
    (void)sp_json_next(&json);
    for (;;) {
        struct sp_json_token key = sp_json_next(&json);
        if (key.type != SP_JSON_KEY) {
            break;
        }
        struct sp_json_token value = sp_json_next(&json);
        (void)sp_json_skip(&json, value);
        const struct sp_name *name = key.escaped ? NULL : sp_name_find(key.raw);
        bool is_text = value.type == SP_JSON_STRING || value.type == SP_JSON_NUMBER;
        if (name != NULL && is_text && value.raw.len > 0 && name->kind <= SP_NAME_ALIAS &&
            name->rank < found[name->attr].rank) {
            found[name->attr] = (struct found_id){.token = value, .rank = name->rank};
        }
    }
}

/* Takes an id that metadata holds; one that could not be an id is passed over. */
static void take_id(struct checking *c, enum sp_attr attr, const struct found_id *found) {
    if (found->rank == UINT32_MAX || sp_event_has(c->event, attr)) {
        return;
    }
    sp_str text = found->token.raw;
    if (found->token.escaped) {
        sp_require(c->scratch->capacity - c->scratch->len >= found->token.raw.len);
        size_t from = c->scratch->len;
        sp_json_unescape(c->scratch, found->token.raw);
        text = sp_str_of(c->scratch->data + from, c->scratch->len - from);
    }
    if (sp_event_text_check(attr, text, NULL) == SP_OK) {
        c->event->attr[attr] = text;
    }
}

static sp_status check_metadata(struct checking *c) {
    sp_str metadata = c->event->attr[SP_ATTR_METADATA];
    if (metadata.ptr == NULL) {
        return SP_OK;
    }
    enum sp_json_type type = SP_JSON_OBJECT;
    if (!c->validated) {
        sp_status status = check_json(metadata, &type, c->error);
        if (status != SP_OK) {
            return sp_error_prefix(c->error, status, "metadata");
        }
    }
    if (type != SP_JSON_OBJECT) {
        return sp_error_set(c->error, SP_INVALID, "metadata: found %s, expected a JSON object",
                            sp_json_type_name(type));
    }
    if (sp_event_has(c->event, SP_ATTR_CORRELATION) && sp_event_has(c->event, SP_ATTR_CAUSATION)) {
        return SP_OK;
    }
    struct found_id found[SP_ATTR_COUNT];
    for (int i = 0; i < SP_ATTR_COUNT; i++) {
        found[i] = (struct found_id){.rank = UINT32_MAX};
    }
    find_ids(metadata, found);
    if (found[SP_ATTR_CORRELATION].token.escaped || found[SP_ATTR_CAUSATION].token.escaped) {
        /* Both at once, so that the second does not move the first. */
        if (sp_buf_reserve(c->scratch, metadata.len) == NULL) {
            return sp_error_set(c->error, c->scratch->status, "metadata: out of room for its ids");
        }
    }
    take_id(c, SP_ATTR_CORRELATION, &found[SP_ATTR_CORRELATION]);
    take_id(c, SP_ATTR_CAUSATION, &found[SP_ATTR_CAUSATION]);
    return SP_OK;
}

/* Supplies the content type of bytes that came without one. */
static void name_bytes(struct sp_event *event) {
    if (!sp_event_has(event, SP_ATTR_CONTENTTYPE)) {
        event->attr[SP_ATTR_CONTENTTYPE] =
            sp_utf8_valid(event->data) ? SP_STR("text/plain") : SP_STR("application/octet-stream");
    }
}

static sp_status check_data(struct checking *c) {
    struct sp_event *event = c->event;
    if (!event->has_data) {
        event->data = sp_str_of(NULL, 0);
        event->data_is_json = false;
        return SP_OK;
    }
    bool named = sp_event_has(event, SP_ATTR_CONTENTTYPE);
    bool named_json = named && sp_content_type_is_json(event->attr[SP_ATTR_CONTENTTYPE]);
    if (c->validated && event->data_is_json) {
        return SP_OK;
    }
    if (named && !named_json && !event->data_is_json) {
        return SP_OK;
    }
    enum sp_json_type type = SP_JSON_ERROR;
    bool demanded = event->data_is_json || named_json;
    sp_status status = check_json(event->data, &type, demanded ? c->error : NULL);
    if (status != SP_OK && demanded) {
        return sp_error_prefix(c->error, status, "%s",
                               named_json ? "data, JSON by its datacontenttype" : "data");
    }
    event->data_is_json = status == SP_OK;
    if (named && !named_json && type == SP_JSON_STRING) {
        /* In the JSON form a string under such a type stands for its text: keep the bytes. */
        event->data_is_json = false;
    }
    if (!event->data_is_json) {
        name_bytes(event);
        sp_ensure(sp_event_has(event, SP_ATTR_CONTENTTYPE));
    }
    return SP_OK;
}

static sp_status check_extensions(struct checking *c) {
    for (unsigned i = 0; i < c->event->extension_count; i++) {
        const struct sp_extension *extension = &c->event->extensions[i];
        sp_status status = sp_event_name_check(extension->name, false, c->error);
        if (status != SP_OK) {
            return status;
        }
        enum sp_json_type type;
        if (extension->kind == SP_VALUE_JSON && !c->validated) {
            status = check_json(extension->value, &type, c->error);
            if (status != SP_OK) {
                return sp_error_prefix(c->error, status, "attribute %.*s",
                                       SP_STR_ARG(extension->name));
            }
        }
    }
    return SP_OK;
}

size_t sp_event_size(const struct sp_event *event) {
    size_t size = event->has_data ? event->data.len : 0;
    for (unsigned left = sp_event_present(event); left != 0; left &= left - 1) {
        enum sp_attr attr = (enum sp_attr)__builtin_ctz(left);
        size += event->attr[attr].len + sp_attr_name(attr).len;
    }
    for (unsigned i = 0; i < event->extension_count; i++) {
        size += event->extensions[i].name.len + event->extensions[i].value.len;
    }
    return size;
}

static sp_status check_limits(const struct sp_event *event, const struct sp_event_limits *limits,
                              struct sp_error *error) {
    unsigned count = event->extension_count;
    for (unsigned left = sp_event_present(event); left != 0; left &= left - 1) {
        count++;
    }
    if (count > limits->attributes_max) {
        return sp_error_set(error, SP_LIMIT, "event: found %u attributes, expected at most %u",
                            count, (unsigned)limits->attributes_max);
    }
    size_t size = sp_event_size(event);
    if (size > limits->event_bytes_max) {
        return sp_error_set(error, SP_LIMIT, "event: found %zu bytes, expected at most %zu", size,
                            limits->event_bytes_max);
    }
    return SP_OK;
}

sp_status sp_event_check(struct sp_event *event, enum sp_event_origin origin,
                         const struct sp_event_limits *limits, struct sp_buf *scratch,
                         struct sp_error *error) {
    sp_require(event->extension_count <= SP_EVENT_EXTENSIONS_MAX);
    sp_require(limits->event_bytes_max <= SP_EVENT_SIZE_BYTES_MAX);
    sp_require(limits->attributes_max <= SP_ATTR_COUNT + SP_EVENT_EXTENSIONS_MAX);
    struct checking c = {
        .event = event,
        .scratch = scratch,
        .error = error,
        .validated = origin == SP_EVENT_FROM_JSON,
    };
    /* The size comes first: what is too large is not worth a scan. */
    sp_status status = check_limits(event, limits, error);
    status = status != SP_OK ? status : check_attributes(&c);
    status = status != SP_OK ? status : check_metadata(&c);
    status = status != SP_OK ? status : check_data(&c);
    status = status != SP_OK ? status : check_extensions(&c);
    if (status == SP_OK && !sp_event_has(event, SP_ATTR_STREAM)) {
        event->attr[SP_ATTR_STREAM] = event->attr[SP_ATTR_SOURCE];
    }
    sp_ensure(status != SP_OK || event->attr[SP_ATTR_STREAM].len > 0);
    return status;
}
