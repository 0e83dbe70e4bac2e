/* Events as CloudEvents in JSON. */
#include "base/base64.h"
#include "base/scan.h"
#include "base/time.h"
#include "event/strict.h"
#include "proto/cloudevent.h"

enum { SEQUENCE_DIGITS = 20 };

/* Begins a member, never the first one, with a name that needs no escapes. */
static void add_key(struct sp_buf *to, sp_str name) {
    sp_buf_add_str(to, SP_STR(",\""));
    sp_buf_add_str(to, name);
    sp_buf_add_str(to, SP_STR("\":"));
}

static void add_text(struct sp_buf *to, sp_str name, sp_str value) {
    add_key(to, name);
    sp_json_add_string(to, value);
}

/* A character of JSON text that a string of CloudEvents has not: escaped, as JSON may write it. */
static void add_escape(struct sp_buf *to, uint32_t code) {
    static const char HEX[16] = "0123456789abcdef";
    uint32_t units[2] = {code, 0};
    uint32_t count = 1;
    if (code > 0xffff) {
        units[0] = 0xd800 + ((code - 0x10000) >> 10);
        units[1] = 0xdc00 + (code & 0x3ff);
        count = 2;
    }
    for (uint32_t i = 0; i < count; i++) {
        const char escape[7] = {'\\',
                                '\\',
                                'u',
                                HEX[units[i] >> 12 & 15],
                                HEX[units[i] >> 8 & 15],
                                HEX[units[i] >> 4 & 15],
                                HEX[units[i] & 15]};
        sp_buf_add(to, escape, sizeof(escape));
    }
}

/*
 * Adds JSON as a string that holds it. Line breaks and tabs stand between its tokens only, where a
 * blank does as well; controls and noncharacters within its strings are escaped.
 */
static void add_json_text(struct sp_buf *to, sp_str json) {
    const char *end = json.ptr + json.len;
    sp_buf_add_byte(to, '"');
    for (const char *at = json.ptr; at < end;) {
        const char *special = sp_scan_plain(at, end);
        const char *del = special == at ? NULL : memchr(at, 0x7f, (size_t)(special - at));
        special = del != NULL ? del : special;
        sp_buf_add(to, at, (size_t)(special - at));
        at = special;
        if (at < end && (*at == '"' || *at == '\\')) {
            const char escape[2] = {'\\', *at++};
            sp_buf_add(to, escape, sizeof(escape));
        } else if (at < end && (uint8_t)*at < 0x20) {
            sp_buf_add_byte(to, ' ');
            at++;
        } else if (at < end) {
            uint32_t code = 0;
            size_t length = sp_utf8_decode(at, end, &code);
            sp_require(length > 0); /* it was validated as JSON */
            if (sp_utf8_is_control(code) || sp_utf8_is_noncharacter(code)) {
                add_escape(to, code);
            } else {
                sp_buf_add(to, at, length);
            }
            at += length;
        }
    }
    sp_buf_add_byte(to, '"');
}

/* ---- attributes ------------------------------------------------------------------------------ */

/* A source that is no URI-reference, with escapes for all but letters, digits, `-._~` and `/`. */
static void add_escaped(struct sp_buf *to, sp_str source) {
    static const char DIGITS[16] = "0123456789ABCDEF";
    sp_buf_add_byte(to, '"');
    for (size_t i = 0; i < source.len; i++) {
        uint8_t byte = (uint8_t)source.ptr[i];
        bool plain = (uint8_t)((byte | 0x20) - 'a') < 26 || (uint8_t)(byte - '0') < 10 ||
                     byte == '-' || byte == '.' || byte == '_' || byte == '~' || byte == '/';
        if (plain) {
            sp_buf_add_byte(to, byte);
        } else {
            const char escape[3] = {'%', DIGITS[byte >> 4], DIGITS[byte & 15]};
            sp_buf_add(to, escape, sizeof(escape));
        }
    }
    sp_buf_add_byte(to, '"');
}

static void add_time(struct sp_buf *to, sp_str time) {
    size_t from = to->len;
    sp_json_add_string(to, time);
    if (to->status == SP_OK && to->len > from + 11 && to->data[from + 11] == ' ') {
        to->data[from + 11] = 'T';
    }
}

static bool has_media_type(const struct sp_event *event) {
    return sp_event_has(event, SP_ATTR_CONTENTTYPE) &&
           sp_media_type_valid(event->attr[SP_ATTR_CONTENTTYPE]);
}

/* The content type: where it is no media type, one that says as little as that. */
static void add_content_type(struct sp_buf *to, const struct sp_event *event) {
    if (has_media_type(event)) {
        add_text(to, SP_STR("datacontenttype"), event->attr[SP_ATTR_CONTENTTYPE]);
    } else if (sp_event_has(event, SP_ATTR_CONTENTTYPE) && event->has_data &&
               !event->data_is_json) {
        add_text(to, SP_STR("datacontenttype"), SP_STR("application/octet-stream"));
    }
}

static void add_attributes(struct sp_buf *to, const struct sp_event *event) {
    static const enum sp_attr ORDER[] = {
        SP_ATTR_ID,        SP_ATTR_TYPE,          SP_ATTR_SOURCE,
        SP_ATTR_STREAM,    SP_ATTR_TIME,          SP_ATTR_CORRELATION,
        SP_ATTR_CAUSATION, SP_ATTR_SCHEMAVERSION, SP_ATTR_METADATA,
    };
    for (size_t i = 0; i < sizeof(ORDER) / sizeof(ORDER[0]); i++) {
        sp_str value = event->attr[ORDER[i]];
        if (value.ptr == NULL) {
            continue;
        }
        add_key(to, sp_attr_name(ORDER[i]));
        if (ORDER[i] == SP_ATTR_SOURCE && !sp_uri_reference_valid(value)) {
            add_escaped(to, value);
        } else if (ORDER[i] == SP_ATTR_TIME) {
            add_time(to, value);
        } else if (ORDER[i] == SP_ATTR_METADATA) {
            add_json_text(to, value);
        } else {
            sp_json_add_string(to, value);
        }
    }
    add_content_type(to, event);
}

/* ---- extensions ------------------------------------------------------------------------------ */

/* True where CloudEvents allows the name, and nothing else is called so. */
static bool name_is_free(sp_str name) {
    const struct sp_name *known = sp_name_find(name);
    bool taken = known != NULL && known->kind != SP_NAME_ALIAS && known->kind != SP_NAME_DATA_ALIAS;
    return !taken && !sp_str_eq(name, SP_STR(SP_CE_OTHER_NAME)) &&
           sp_event_name_check(name, true, NULL) == SP_OK;
}

static bool is_legal(const struct sp_extension *extension) {
    return name_is_free(extension->name) &&
           (extension->kind == SP_VALUE_JSON ||
            sp_strict_check_extension(extension->name, extension->value, NULL) == SP_OK);
}

/* True for what CloudEvents calls Boolean and Integer. */
static bool is_scalar(sp_str json) {
    if (sp_str_eq(json, SP_STR("true")) || sp_str_eq(json, SP_STR("false"))) {
        return true;
    }
    size_t digits = 0;
    for (size_t i = json.len > 0 && json.ptr[0] == '-' ? 1 : 0; i < json.len; i++, digits++) {
        if ((uint8_t)(json.ptr[i] - '0') > 9) {
            return false;
        }
    }
    double value = digits == 0 || digits > 10 ? 1e10 : sp_json_number(json);
    return value >= -2147483648.0 && value <= 2147483647.0;
}

static void add_extension(struct sp_buf *to, const struct sp_extension *extension) {
    add_key(to, extension->name);
    if (extension->kind == SP_VALUE_STRING) {
        sp_json_add_string(to, extension->value);
    } else if (is_scalar(extension->value)) {
        sp_buf_add_str(to, extension->value);
    } else {
        add_json_text(to, extension->value);
    }
}

static void add_other(struct sp_buf *object, sp_str name, sp_str value, enum sp_value_kind kind) {
    sp_buf_add_byte(object, object->len == 0 ? '{' : ',');
    sp_json_add_string(object, name);
    sp_buf_add_byte(object, ':');
    if (kind == SP_VALUE_JSON) {
        sp_buf_add_str(object, value);
    } else if (sp_utf8_valid(value)) {
        sp_json_add_string(object, value);
    } else {
        sp_buf_add_str(object, SP_STR("{\"$base64\":\""));
        sp_base64_add(object, value);
        sp_buf_add_str(object, SP_STR("\"}"));
    }
}

/* What has no place of its own: rare enough for a buffer of its own. */
static void add_others(struct sp_buf *to, const struct sp_event *event) {
    struct sp_buf object;
    sp_buf_init(&object, to->size_bytes_max);
    if (sp_event_has(event, SP_ATTR_CONTENTTYPE) && !has_media_type(event)) {
        add_other(&object, SP_STR("datacontenttype"), event->attr[SP_ATTR_CONTENTTYPE],
                  SP_VALUE_STRING);
    }
    for (unsigned i = 0; i < event->extension_count; i++) {
        const struct sp_extension *extension = &event->extensions[i];
        if (!is_legal(extension)) {
            add_other(&object, extension->name, extension->value, extension->kind);
        }
    }
    if (object.len > 0 || object.status != SP_OK) {
        sp_buf_add_byte(&object, '}');
        add_key(to, SP_STR(SP_CE_OTHER_NAME));
        add_json_text(to, sp_buf_str(&object));
        to->status = to->status == SP_OK ? object.status : to->status;
    }
    sp_buf_fini(&object);
}

/* *ret_sequence: whether the producer gave one. */
static void add_extensions(struct sp_buf *to, const struct sp_event *event, bool *ret_sequence) {
    bool others = sp_event_has(event, SP_ATTR_CONTENTTYPE) && !has_media_type(event);
    *ret_sequence = false;
    for (unsigned i = 0; i < event->extension_count; i++) {
        const struct sp_extension *extension = &event->extensions[i];
        if (is_legal(extension)) {
            add_extension(to, extension);
            *ret_sequence |= sp_str_eq(extension->name, SP_STR("sequence"));
        } else {
            others = true;
        }
    }
    if (others) {
        add_others(to, event);
    }
}

/* ---- what the store gave, and data ----------------------------------------------------------- */

static void add_number_text(struct sp_buf *to, sp_str name, uint64_t value) {
    add_key(to, name);
    sp_buf_add_byte(to, '"');
    sp_buf_add_u64(to, value);
    sp_buf_add_byte(to, '"');
}

static void add_sequence(struct sp_buf *to, uint64_t position) {
    char digits[SEQUENCE_DIGITS];
    for (size_t i = SEQUENCE_DIGITS; i > 0; i--, position /= 10) {
        digits[i - 1] = (char)('0' + position % 10);
    }
    add_text(to, SP_STR("sequence"), sp_str_of(digits, sizeof(digits)));
}

static void add_hash(struct sp_buf *to, const uint8_t hash[32]) {
    static const char DIGITS[16] = "0123456789abcdef";
    char text[64];
    for (size_t i = 0; i < 32; i++) {
        text[2 * i] = DIGITS[hash[i] >> 4];
        text[2 * i + 1] = DIGITS[hash[i] & 15];
    }
    add_text(to, SP_STR("hash"), sp_str_of(text, sizeof(text)));
}

static void add_assigned(struct sp_buf *to, const struct sp_event *event, bool has_sequence) {
    char time[SP_TIME_TEXT_SIZE];
    char entry[SP_ENTRYID_TEXT_SIZE];
    if (event->position == 0) {
        return;
    }
    add_number_text(to, SP_STR("position"), event->position);
    add_number_text(to, SP_STR("version"), event->version);
    if (!has_sequence) {
        add_sequence(to, event->position);
    }
    sp_time_format(event->recorded_us, time);
    add_text(to, SP_STR("recordedtime"), sp_str_of(time, SP_TIME_TEXT_SIZE - 1));
    size_t length = sp_entryid_format(event->recorded_us / 1000, event->entry_seq, entry);
    add_text(to, SP_STR("entryid"), sp_str_of(entry, length));
}

/* Adds JSON as it stands, on one line: breaks stand between its tokens only. */
static void add_line(struct sp_buf *to, sp_str json) {
    size_t from = to->len;
    sp_buf_add_str(to, json);
    for (size_t i = from; i < to->len; i++) {
        uint8_t byte = to->data[i];
        to->data[i] = byte == '\n' || byte == '\r' ? ' ' : byte;
    }
}

static void add_data(struct sp_buf *to, const struct sp_event *event) {
    if (!event->has_data) {
        return;
    }
    if (event->data_is_json) {
        add_key(to, SP_STR("data"));
        add_line(to, event->data);
    } else if (sp_utf8_valid(event->data)) {
        add_text(to, SP_STR("data"), event->data);
    } else {
        add_key(to, SP_STR("data_base64"));
        sp_buf_add_byte(to, '"');
        sp_base64_add(to, event->data);
        sp_buf_add_byte(to, '"');
    }
}

void sp_ce_write(const struct sp_event *event, const uint8_t hash[32], struct sp_buf *to) {
    bool has_sequence;
    sp_require(event->extension_count <= SP_EVENT_EXTENSIONS_MAX);
    sp_buf_add_str(to, SP_STR("{\"specversion\":\"1.0\""));
    add_attributes(to, event);
    add_extensions(to, event, &has_sequence);
    add_assigned(to, event, has_sequence);
    if (hash != NULL) {
        add_hash(to, hash);
    }
    add_data(to, event);
    sp_buf_add_byte(to, '}');
}
