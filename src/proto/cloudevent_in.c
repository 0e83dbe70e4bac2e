/* The mode of a request, and bodies of JSON. */
#include "proto/cloudevent.h"

enum { SHOWN_BYTES = 64 }; /* of what was found, in an error */

/* ---- the mode -------------------------------------------------------------------------------- */

static sp_str trim(sp_str text) {
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = sp_str_from_byte(text, 1);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

/* The media type without its parameters, which are *ret_rest, from the first semicolon on. */
static sp_str media_type(sp_str content_type, sp_str *ret_rest) {
    size_t at = 0;
    while (at < content_type.len && content_type.ptr[at] != ';') {
        at++;
    }
    *ret_rest = sp_str_from_byte(content_type, at);
    return trim(sp_str_of(content_type.ptr, at));
}

static bool begins_with(sp_str text, sp_str prefix) {
    return text.len >= prefix.len && sp_http_same(sp_str_of(text.ptr, prefix.len), prefix);
}

static bool is_ce_header(sp_str name) {
    return begins_with(name, SP_STR("ce-"));
}

/* False where a parameter `charset` names another set than UTF-8, or ASCII, which is part of it. */
static bool is_utf8(sp_str parameters) {
    static const char *const FINE[] = {"utf-8", "utf8", "us-ascii", "ascii"};
    while (parameters.len > 0) {
        sp_str rest;
        sp_str one = media_type(sp_str_from_byte(parameters, 1), &rest);
        parameters = rest;
        if (!begins_with(one, SP_STR("charset="))) {
            continue;
        }
        one = sp_str_from_byte(one, sizeof("charset=") - 1);
        if (one.len >= 2 && one.ptr[0] == '"' && one.ptr[one.len - 1] == '"') {
            one = sp_str_of(one.ptr + 1, one.len - 2);
        }
        for (size_t i = 0; i < sizeof(FINE) / sizeof(FINE[0]); i++) {
            if (sp_http_same(one, sp_str_from(FINE[i]))) {
                return true;
            }
        }
        return false;
    }
    return true;
}

static sp_status unsupported(sp_str found, const char *expected, struct sp_error *error) {
    found = found.len == 0 ? SP_STR("nothing") : found;
    found.len = found.len > SHOWN_BYTES ? SHOWN_BYTES : found.len;
    return sp_error_set(error, SP_UNSUPPORTED, "Content-Type: found %.*s, expected %s",
                        SP_STR_ARG(found), expected);
}

static bool mode_of_type(sp_str type, bool has_ce, enum sp_ce_mode *ret_mode) {
    static const struct {
        const char *type;
        enum sp_ce_mode mode;
    } OTHERS[] = {
        {"application/json", SP_CE_LENIENT},
        {"", SP_CE_LENIENT},
        {"application/x-www-form-urlencoded", SP_CE_LENIENT}, /* `curl -d` without a word more */
        {"application/x-ndjson", SP_CE_LINES},
        {"application/ndjson", SP_CE_LINES},
        {"application/jsonl", SP_CE_LINES},
    };
    if (has_ce) {
        *ret_mode = SP_CE_BINARY;
        return true;
    }
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
        if (sp_http_same(type, sp_str_from(OTHERS[i].type))) {
            *ret_mode = OTHERS[i].mode;
            return true;
        }
    }
    return false;
}

sp_status sp_ce_mode_of(const struct sp_http_pair *headers, uint32_t header_count,
                        enum sp_ce_mode *ret_mode, struct sp_error *error) {
    sp_str content_type = SP_STR("");
    sp_str parameters;
    bool has_ce = false;
    for (uint32_t i = 0; i < header_count; i++) {
        has_ce |= is_ce_header(headers[i].name);
    }
    (void)!sp_http_find(headers, header_count, SP_STR("content-type"), &content_type);
    sp_str type = media_type(content_type, &parameters);
    enum sp_ce_mode mode;
    if (begins_with(type, SP_STR("application/cloudevents"))) {
        bool batch = begins_with(type, SP_STR("application/cloudevents-batch"));
        mode = batch ? SP_CE_BATCH : SP_CE_STRUCTURED;
        if (!sp_http_same(type, batch ? SP_STR(SP_CE_BATCH_TYPE) : SP_STR(SP_CE_TYPE))) {
            return unsupported(type, "the format JSON: " SP_CE_TYPE " or " SP_CE_BATCH_TYPE, error);
        }
    } else if (!mode_of_type(type, has_ce, &mode)) {
        return unsupported(type,
                           SP_CE_TYPE ", " SP_CE_BATCH_TYPE
                                      ", application/json, application/x-ndjson, or ce- headers",
                           error);
    }
    if (mode != SP_CE_BINARY && !is_utf8(parameters)) {
        return unsupported(content_type, "charset=utf-8", error);
    }
    *ret_mode = mode;
    return SP_OK;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

/* What a body of the mode begins with. */
static const char *expected_of(enum sp_ce_mode mode) {
    switch (mode) {
    case SP_CE_STRUCTURED:
        return "a JSON object, one event";
    case SP_CE_BATCH:
        return "a JSON array of events";
    case SP_CE_LENIENT:
        return "a JSON object or an array of them";
    case SP_CE_BINARY:
    case SP_CE_LINES:
        break;
    }
    sp_never();
}

sp_status sp_ce_read_begin(struct sp_ce_reader *reader, enum sp_ce_mode mode, sp_str body,
                           struct sp_buf *scratch, struct sp_error *error) {
    const char *expected = expected_of(mode);
    reader->mode = mode == SP_CE_LENIENT ? SP_EVENT_LENIENT : SP_EVENT_STRICT;
    reader->scratch = scratch;
    reader->count = 0;
    if (sp_buf_reserve(scratch, body.len + 1) == NULL) {
        return sp_error_set(error, scratch->status, "out of room to read %zu bytes", body.len);
    }
    sp_json_init(&reader->json, body);
    struct sp_json_token first = sp_json_next(&reader->json);
    reader->is_array = first.type == SP_JSON_ARRAY;
    if (first.type == SP_JSON_ERROR) {
        return sp_error_prefix(error, sp_json_fail(&reader->json, error), "the body");
    }
    bool fits = (reader->is_array && mode != SP_CE_STRUCTURED) ||
                (first.type == SP_JSON_OBJECT && mode != SP_CE_BATCH);
    return fits ? SP_OK
                : sp_error_set(error, SP_INVALID, "the body: found %s, expected %s",
                               sp_json_type_name(first.type), expected);
}

static sp_status read_end(struct sp_ce_reader *reader, struct sp_error *error) {
    return sp_json_next(&reader->json).type == SP_JSON_END
               ? SP_END
               : sp_error_prefix(error, sp_json_fail(&reader->json, error), "the body");
}

/* Goes to the next element of the array: its opening brace. */
static sp_status next_element(struct sp_ce_reader *reader, struct sp_error *error) {
    struct sp_json_token token = sp_json_next(&reader->json);
    if (token.type == SP_JSON_OBJECT) {
        return SP_OK;
    }
    if (token.type == SP_JSON_ARRAY_END) {
        return read_end(reader, error);
    }
    if (token.type == SP_JSON_ERROR) {
        return sp_error_prefix(error, sp_json_fail(&reader->json, error), "the body");
    }
    return sp_error_set_at(error, SP_INVALID, (uint64_t)(token.raw.ptr - reader->json.start),
                           "event %u: found %s, expected a JSON object", reader->count + 1,
                           sp_json_type_name(token.type));
}

sp_status sp_ce_read_next(struct sp_ce_reader *reader, struct sp_event *ret_event,
                          struct sp_error *error) {
    sp_status status = SP_OK;
    if (reader->is_array) {
        status = next_element(reader, error);
    } else if (reader->count > 0) {
        status = read_end(reader, error);
    }
    if (status != SP_OK) {
        return status;
    }
    status = sp_event_from_scanner(&reader->json, reader->mode, reader->scratch, ret_event, error);
    if (status != SP_OK && reader->is_array) {
        return sp_error_prefix(error, status, "event %u", reader->count + 1);
    }
    reader->count++;
    return status;
}

/* ---- what an error is about ------------------------------------------------------------------ */

static bool is_number(sp_str text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
    }
    return text.len > 0;
}

/* The text up to the next colon; *rest stands behind it. Empty where there is none. */
static sp_str take_part(sp_str *rest) {
    for (size_t i = 0; i + 1 < rest->len; i++) {
        if (rest->ptr[i] == ':' && rest->ptr[i + 1] == ' ') {
            sp_str part = sp_str_of(rest->ptr, i);
            *rest = sp_str_from_byte(*rest, i + 2);
            return part;
        }
    }
    return sp_str_of(NULL, 0);
}

/* True for `event 3` and `line 3`. */
static bool is_place(sp_str part) {
    return (sp_str_starts_with(part, SP_STR("event ")) && is_number(sp_str_from_byte(part, 6))) ||
           (sp_str_starts_with(part, SP_STR("line ")) && is_number(sp_str_from_byte(part, 5)));
}

sp_str sp_ce_error_attribute(sp_str text) {
    static const sp_str BEFORE = {.ptr = "attribute ", .len = 10};
    sp_str part = take_part(&text);
    while (is_place(part)) {
        part = take_part(&text);
    }
    if (sp_str_starts_with(part, BEFORE)) {
        return sp_str_from_byte(part, BEFORE.len);
    }
    if (sp_str_starts_with(part, SP_STR("data,"))) {
        return SP_STR("data");
    }
    return sp_name_find(part) != NULL ? part : sp_str_of(NULL, 0);
}
