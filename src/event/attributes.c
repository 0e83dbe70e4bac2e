#include "event/attributes.h"

#include "base/scan.h"
#include "base/utf8.h"

#define NAME(text_, kind_, attr_, rank_)                                                           \
    {                                                                                              \
        .text = (text_), .length = sizeof(text_) - 1, .kind = (kind_), .attr = (attr_),            \
        .rank = (rank_)                                                                            \
    }
#define ATTRIBUTE(text_, attr_)    NAME(text_, SP_NAME_ATTRIBUTE, attr_, 0)
#define ALIAS(text_, attr_, rank_) NAME(text_, SP_NAME_ALIAS, attr_, rank_)
#define OTHER(text_, kind_, rank_) NAME(text_, kind_, SP_ATTR_COUNT, rank_)

/* Sorted by length; FIRST_OF_LENGTH says where each length begins. */
const struct sp_name sp_names[SP_NAME_COUNT] = {
    ATTRIBUTE("id", SP_ATTR_ID),

    ATTRIBUTE("type", SP_ATTR_TYPE),
    ATTRIBUTE("time", SP_ATTR_TIME),
    OTHER("data", SP_NAME_DATA, 0),
    OTHER("hash", SP_NAME_ASSIGNED, 0),

    ALIAS("agent", SP_ATTR_SOURCE, 4),

    ATTRIBUTE("source", SP_ATTR_SOURCE),
    ATTRIBUTE("stream", SP_ATTR_STREAM),

    OTHER("payload", SP_NAME_DATA_ALIAS, 1),
    OTHER("version", SP_NAME_ASSIGNED, 0),
    OTHER("entryid", SP_NAME_ASSIGNED, 0),

    ALIAS("event_id", SP_ATTR_ID, 1),
    ALIAS("agent_id", SP_ATTR_SOURCE, 2),
    ATTRIBUTE("metadata", SP_ATTR_METADATA),
    OTHER("position", SP_NAME_ASSIGNED, 0),

    ALIAS("timestamp", SP_ATTR_TIME, 1),
    ALIAS("stream_id", SP_ATTR_STREAM, 1),

    ALIAS("event_type", SP_ATTR_TYPE, 1),
    ALIAS("agent_name", SP_ATTR_SOURCE, 3),

    ATTRIBUTE("causationid", SP_ATTR_CAUSATION),
    ALIAS("causationId", SP_ATTR_CAUSATION, 2),
    OTHER("specversion", SP_NAME_SPECVERSION, 0),
    OTHER("data_base64", SP_NAME_DATA_BASE64, 0),

    ALIAS("source_agent", SP_ATTR_SOURCE, 1),
    ALIAS("causation_id", SP_ATTR_CAUSATION, 1),
    OTHER("recordedtime", SP_NAME_ASSIGNED, 0),

    ATTRIBUTE("correlationid", SP_ATTR_CORRELATION),
    ALIAS("correlationId", SP_ATTR_CORRELATION, 2),
    ATTRIBUTE("schemaversion", SP_ATTR_SCHEMAVERSION),
    ALIAS("schemaVersion", SP_ATTR_SCHEMAVERSION, 2),
    ALIAS("event_version", SP_ATTR_SCHEMAVERSION, 3),

    ALIAS("correlation_id", SP_ATTR_CORRELATION, 1),
    ALIAS("schema_version", SP_ATTR_SCHEMAVERSION, 1),

    ALIAS("conversation_id", SP_ATTR_CORRELATION, 3),
    ALIAS("parent_event_id", SP_ATTR_CAUSATION, 3),
    ATTRIBUTE("datacontenttype", SP_ATTR_CONTENTTYPE),
};

enum { LENGTH_MAX = 15 };

/* Index of the first name of each length; a length without names repeats the next one's. */
static const uint8_t FIRST_OF_LENGTH[LENGTH_MAX + 2] = {0,  0,  0,  1,  1,  5,  6,  8, 11,
                                                        15, 17, 19, 23, 26, 31, 33, 36};

const struct sp_name *sp_name_find(sp_str name) {
    if (name.len < 2 || name.len > LENGTH_MAX) {
        return NULL;
    }
    sp_require(name.ptr != NULL);
    size_t end = FIRST_OF_LENGTH[name.len + 1];
    sp_invariant(end <= SP_NAME_COUNT);
    for (size_t i = FIRST_OF_LENGTH[name.len]; i < end; i++) {
        const struct sp_name *entry = &sp_names[i];
        sp_invariant(entry->length == name.len);
        if (entry->text[0] == name.ptr[0] && memcmp(entry->text, name.ptr, name.len) == 0) {
            return entry;
        }
    }
    return NULL;
}

const sp_str sp_attr_names[SP_ATTR_COUNT] = {
    [SP_ATTR_TYPE] = {.ptr = "type", .len = 4},
    [SP_ATTR_SOURCE] = {.ptr = "source", .len = 6},
    [SP_ATTR_STREAM] = {.ptr = "stream", .len = 6},
    [SP_ATTR_ID] = {.ptr = "id", .len = 2},
    [SP_ATTR_CORRELATION] = {.ptr = "correlationid", .len = 13},
    [SP_ATTR_CAUSATION] = {.ptr = "causationid", .len = 11},
    [SP_ATTR_TIME] = {.ptr = "time", .len = 4},
    [SP_ATTR_SCHEMAVERSION] = {.ptr = "schemaversion", .len = 13},
    [SP_ATTR_CONTENTTYPE] = {.ptr = "datacontenttype", .len = 15},
    [SP_ATTR_METADATA] = {.ptr = "metadata", .len = 8},
};

/* What is wrong with a text whose characters are limited, and where. */
struct flaw {
    const char *what; /* NULL where nothing is wrong */
    size_t offset;
};

/* True for visible ASCII alone, in which there is no flaw: nearly always. */
static inline bool is_visible(sp_str text) {
    const char *end = text.ptr + text.len;
    return sp_scan_visible(text.ptr, end) == end;
}

static struct flaw find_flaw(sp_str text, bool space_allowed) {
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; (at = sp_scan_visible(at, end)) < end;) {
        uint32_t code = 0;
        size_t length = sp_utf8_decode(at, end, &code);
        const char *what = length == 0                                ? "bytes that are not UTF-8"
                           : sp_utf8_is_control(code)                 ? "a control character"
                           : !space_allowed && sp_utf8_is_space(code) ? "white space"
                                                                      : NULL;
        if (what != NULL) {
            return (struct flaw){.what = what, .offset = (size_t)(at - text.ptr)};
        }
        sp_invariant(length > 0 && length <= (size_t)(end - at));
        at += length;
    }
    return (struct flaw){.what = NULL};
}

static bool is_wildcard(char byte) {
    return byte == '*' || byte == '#' || byte == '>';
}

/* True where the byte at `at` is a token of its own. */
static bool stands_alone(sp_str type, size_t at) {
    return (at == 0 || type.ptr[at - 1] == '.') && (at + 1 == type.len || type.ptr[at + 1] == '.');
}

sp_status sp_event_type_check(sp_str type, struct sp_error *error) {
    if (type.len == 0) {
        return sp_error_set(error, SP_INVALID, "type: found nothing, expected a topic");
    }
    if (type.len > SP_EVENT_TYPE_BYTES_MAX) {
        return sp_error_set(error, SP_INVALID, "type: found %zu bytes, expected at most %d",
                            type.len, SP_EVENT_TYPE_BYTES_MAX);
    }
    struct flaw flaw = {.what = NULL};
    if (SP_UNLIKELY(!is_visible(type))) {
        flaw = find_flaw(type, false);
    }
    if (flaw.what != NULL) {
        return sp_error_set_at(error, SP_INVALID, flaw.offset,
                               "type: found %s at byte %zu, expected tokens joined by '.'",
                               flaw.what, flaw.offset);
    }
    for (size_t at = 0; at < type.len; at++) {
        /* Letters lie above all of them. */
        if (type.ptr[at] <= '>' && is_wildcard(type.ptr[at]) && stands_alone(type, at)) {
            return sp_error_set_at(error, SP_INVALID, at,
                                   "type: found the wildcard %c as a token at byte %zu, "
                                   "expected a topic, not a pattern",
                                   type.ptr[at], at);
        }
    }
    return SP_OK;
}

static bool is_cloudevents_name(sp_str name) {
    for (size_t i = 0; i < name.len; i++) {
        char letter = name.ptr[i];
        if (!((letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9'))) {
            return false;
        }
    }
    return true;
}

sp_status sp_event_name_check(sp_str name, bool strict, struct sp_error *error) {
    if (name.len == 0) {
        return sp_error_set(error, SP_INVALID, "found an attribute without a name");
    }
    if (name.len > SP_EVENT_NAME_BYTES_MAX) {
        return sp_error_set(error, SP_INVALID,
                            "attribute %.32s...: found a name of %zu bytes, expected at most %d",
                            name.ptr, name.len, SP_EVENT_NAME_BYTES_MAX);
    }
    struct flaw flaw = find_flaw(name, true);
    if (flaw.what != NULL) {
        return sp_error_set_at(error, SP_INVALID, flaw.offset,
                               "found %s in the name of an attribute, at its byte %zu", flaw.what,
                               flaw.offset);
    }
    if (strict && !is_cloudevents_name(name)) {
        return sp_error_set(error, SP_INVALID,
                            "attribute %.*s: expected a name of lower-case letters and digits",
                            SP_STR_ARG(name));
    }
    return SP_OK;
}

sp_status sp_event_text_check(enum sp_attr attr, sp_str text, struct sp_error *error) {
    const char *name = sp_attr_name(attr).ptr;
    if (text.len == 0) {
        return sp_error_set(error, SP_INVALID, "%s: found nothing, expected some text", name);
    }
    if (text.len > SP_EVENT_ID_BYTES_MAX) {
        return sp_error_set(error, SP_INVALID, "%s: found %zu bytes, expected at most %d", name,
                            text.len, SP_EVENT_ID_BYTES_MAX);
    }
    if (SP_LIKELY(is_visible(text))) {
        return SP_OK;
    }
    struct flaw flaw = find_flaw(text, true);
    if (flaw.what != NULL) {
        return sp_error_set_at(error, SP_INVALID, flaw.offset,
                               "%s: found %s at byte %zu, expected text", name, flaw.what,
                               flaw.offset);
    }
    return SP_OK;
}

static bool ends_with_json(sp_str subtype) {
    static const char JSON[] = "json";
    if (subtype.len < 4 || (subtype.len > 4 && subtype.ptr[subtype.len - 5] != '+')) {
        return false;
    }
    const char *at = subtype.ptr + subtype.len - 4;
    for (size_t i = 0; i < 4; i++) {
        if ((at[i] | 0x20) != JSON[i]) {
            return false;
        }
    }
    return true;
}

bool sp_content_type_is_json(sp_str type) {
    const char *slash = type.len == 0 ? NULL : memchr(type.ptr, '/', type.len);
    if (slash == NULL) {
        return false;
    }
    /* Parameters and the space before them are no part of the subtype. */
    const char *end = slash + 1;
    while (end < type.ptr + type.len && *end != ';' && *end != ' ' && *end != '\t') {
        end++;
    }
    return ends_with_json(sp_str_of(slash + 1, (size_t)(end - slash - 1)));
}
