/* Binary mode: attributes in `ce-` headers, data in the body. */
#include "base/json_escape.h"
#include "base/utf8.h"
#include "event/strict.h"
#include "proto/cloudevent.h"

enum { PREFIX_BYTES = 3 }; /* `ce-` */

struct reading {
    struct sp_event *event;
    struct sp_buf *scratch; /* has room for all names and values */
    struct sp_error *error;
    bool has_version;
};

static bool is_ce_header(sp_str name) {
    return name.len >= PREFIX_BYTES &&
           sp_http_same(sp_str_of(name.ptr, PREFIX_BYTES), SP_STR("ce-"));
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Takes off double quotes and the backslashes between them. False where they do not end well. */
static bool unquote(struct sp_buf *to, sp_str value) {
    if (value.len == 0 || value.ptr[0] != '"') {
        sp_buf_add_str(to, value);
        return true;
    }
    size_t at = 1;
    for (; at < value.len && value.ptr[at] != '"'; at++) {
        if (value.ptr[at] == '\\' && ++at == value.len) {
            return false;
        }
        sp_buf_add_byte(to, (uint8_t)value.ptr[at]);
    }
    return at + 1 == value.len;
}

/* Reads bytes beyond ASCII as the letters of ISO 8859-1, from `from` on, where there is room. */
static void widen(struct sp_buf *text, size_t from) {
    size_t extra = 0;
    for (size_t i = from; i < text->len; i++) {
        extra += text->data[i] >= 0x80;
    }
    sp_require(text->capacity - text->len >= extra);
    size_t to = text->len + extra;
    for (size_t i = text->len; i > from && to > i; i--) {
        uint8_t byte = text->data[i - 1];
        if (byte >= 0x80) {
            text->data[--to] = (uint8_t)(0x80 | (byte & 0x3f));
            text->data[--to] = (uint8_t)(0xc0 | byte >> 6);
        } else {
            text->data[--to] = byte;
        }
    }
    text->len += extra;
}

/* Resolves %-escapes in place, from `from` on. False at the first that is none: *ret_at. */
static bool resolve_escapes(struct sp_buf *text, size_t from, size_t *ret_at) {
    size_t to = from;
    for (size_t i = from; i < text->len; i++) {
        uint8_t byte = text->data[i];
        if (byte == '%') {
            uint32_t high = text->len - i >= 3 ? sp_json_hex[text->data[i + 1]] : 0;
            uint32_t low = text->len - i >= 3 ? sp_json_hex[text->data[i + 2]] : 0;
            if (high == 0 || low == 0) {
                *ret_at = i - from;
                return false;
            }
            byte = (uint8_t)((high - 1) << 4 | (low - 1));
            i += 2;
        }
        text->data[to++] = byte;
    }
    text->len = to;
    return true;
}

static sp_status wrong(struct reading *r, sp_str name, const char *found, const char *expected) {
    return sp_error_set(r->error, SP_INVALID, "attribute %.*s: found %s, expected %s",
                        SP_STR_ARG(name), found, expected);
}

/* The text that a header's value stands for. */
static sp_status read_value(struct reading *r, sp_str name, sp_str value, sp_str *ret_text) {
    struct sp_buf *scratch = r->scratch;
    size_t from = scratch->len;
    size_t at = 0;
    if (!unquote(scratch, value)) {
        return wrong(r, name, "a double quote",
                     "another one where the value ends, and none before");
    }
    if (!sp_utf8_valid(sp_str_of(scratch->data + from, scratch->len - from))) {
        widen(scratch, from);
    }
    if (!resolve_escapes(scratch, from, &at)) {
        return sp_error_set_at(
            r->error, SP_INVALID, at,
            "attribute %.*s: found %% alone at byte %zu, expected two hexadecimal "
            "digits behind it (a percent sign is sent as %%25)",
            SP_STR_ARG(name), at);
    }
    *ret_text = sp_str_of(scratch->data + from, scratch->len - from);
    return SP_OK;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static sp_status set_extension(struct reading *r, sp_str name, sp_str value) {
    struct sp_event *event = r->event;
    for (unsigned i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, name)) {
            return wrong(r, name, "its header twice", "it once");
        }
    }
    if (event->extension_count == SP_EVENT_EXTENSIONS_MAX) {
        return sp_error_set(r->error, SP_LIMIT, "event: found more than %d extension attributes",
                            SP_EVENT_EXTENSIONS_MAX);
    }
    event->extensions[event->extension_count++] =
        (struct sp_extension){.name = name, .value = value, .kind = SP_VALUE_STRING};
    return sp_strict_check_extension(name, value, r->error);
}

static sp_status set_attribute(struct reading *r, const struct sp_name *known, sp_str value) {
    enum sp_attr attr = (enum sp_attr)known->attr;
    if (sp_event_has(r->event, attr)) {
        return wrong(r, sp_attr_name(attr), "its header twice", "it once");
    }
    r->event->attr[attr] = value;
    return sp_strict_check(attr, value, r->error);
}

static sp_status set_version(struct reading *r, sp_str value) {
    if (r->has_version) {
        return wrong(r, SP_STR("specversion"), "its header twice", "it once");
    }
    r->has_version = true;
    return sp_strict_check_specversion(value, r->error);
}

static sp_status set_value(struct reading *r, sp_str name, sp_str value) {
    const struct sp_name *known = sp_name_find(name);
    if (known == NULL) {
        return set_extension(r, name, value);
    }
    switch ((enum sp_name_kind)known->kind) {
    case SP_NAME_ATTRIBUTE:
        return set_attribute(r, known, value);
    case SP_NAME_ALIAS:
    case SP_NAME_DATA_ALIAS:
        return set_extension(r, name, value);
    case SP_NAME_SPECVERSION:
        return set_version(r, value);
    case SP_NAME_ASSIGNED:
        return SP_OK;
    case SP_NAME_DATA:
    case SP_NAME_DATA_BASE64:
        return wrong(r, name, "it in a header", "data in the body");
    }
    sp_never();
}

/* The attribute's name: the header's without `ce-`, in lower case. */
static sp_str read_name(struct reading *r, sp_str header) {
    size_t from = r->scratch->len;
    for (size_t i = PREFIX_BYTES; i < header.len; i++) {
        uint8_t byte = (uint8_t)header.ptr[i];
        sp_buf_add_byte(r->scratch, byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte);
    }
    return sp_str_of(r->scratch->data + from, r->scratch->len - from);
}

static sp_status take_header(struct reading *r, const struct sp_http_pair *header) {
    sp_str name = read_name(r, header->name);
    sp_str value = {.ptr = NULL};
    sp_status status = sp_event_name_check(name, true, r->error);
    if (status != SP_OK) {
        return status;
    }
    if (sp_str_eq(name, SP_STR("datacontenttype"))) {
        return wrong(r, name, "the header ce-datacontenttype", "Content-Type instead");
    }
    status = read_value(r, name, header->value, &value);
    return status == SP_OK ? set_value(r, name, value) : status;
}

/* ---- the event ------------------------------------------------------------------------------- */

static sp_status check_demanded(const struct reading *r) {
    static const enum sp_attr DEMANDED[] = {SP_ATTR_ID, SP_ATTR_SOURCE, SP_ATTR_TYPE};
    if (!r->has_version) {
        return sp_error_set(
            r->error, SP_INVALID,
            "attribute specversion: absent, expected the header ce-specversion: 1.0");
    }
    for (size_t i = 0; i < sizeof(DEMANDED) / sizeof(DEMANDED[0]); i++) {
        const char *name = sp_attr_name(DEMANDED[i]).ptr;
        if (!sp_event_has(r->event, DEMANDED[i])) {
            return sp_error_set(r->error, SP_INVALID,
                                "attribute %s: absent, expected the header ce-%s", name, name);
        }
    }
    return SP_OK;
}

static sp_status take_body(struct reading *r, sp_str content_type, sp_str body) {
    r->event->has_data = body.len > 0;
    r->event->data = body;
    if (content_type.ptr == NULL) {
        return SP_OK;
    }
    r->event->attr[SP_ATTR_CONTENTTYPE] = content_type;
    return sp_strict_check(SP_ATTR_CONTENTTYPE, content_type, r->error);
}

/* Room for all names and values; what is no UTF-8 may double. */
static bool reserve(struct sp_buf *scratch, const struct sp_http_pair *headers, uint32_t count) {
    size_t room = 1;
    for (uint32_t i = 0; i < count; i++) {
        room += is_ce_header(headers[i].name) ? headers[i].name.len + 2 * headers[i].value.len : 0;
    }
    return sp_buf_reserve(scratch, room) != NULL;
}

sp_status sp_ce_from_headers(const struct sp_http_pair *headers, uint32_t header_count, sp_str body,
                             struct sp_buf *scratch, struct sp_event *ret_event,
                             struct sp_error *error) {
    struct reading r = {.event = ret_event, .scratch = scratch, .error = error};
    sp_str content_type = {.ptr = NULL};
    memset(ret_event, 0, offsetof(struct sp_event, extensions));
    if (!reserve(scratch, headers, header_count)) {
        return sp_error_set(error, scratch->status, "event: out of room to read its headers");
    }
    const uint8_t *home = scratch->data;
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < header_count && status == SP_OK; i++) {
        if (is_ce_header(headers[i].name)) {
            status = take_header(&r, &headers[i]);
        }
    }
    (void)!sp_http_find(headers, header_count, SP_STR("content-type"), &content_type);
    status = status == SP_OK ? check_demanded(&r) : status;
    status = status == SP_OK ? take_body(&r, content_type, body) : status;
    sp_ensure(scratch->data == home); /* or the slices would dangle */
    return status;
}
