/*
 * Events across the public border: views, no copies; and as JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api_int.h"
#include "event/event_json.h"

enum { JSON_BYTES_MAX = 0x7fffffff };

sp_status api_event_in(const spoor_event *from, struct sp_event *to, struct sp_error *error) {
    if (from->size != sizeof(*from)) {
        return sp_error_set(error, SP_INVALID, "event of %zu bytes: begin with SPOOR_EVENT_INIT",
                            from->size);
    }
    if (from->extension_count > SP_EVENT_EXTENSIONS_MAX) {
        return sp_error_set(error, SP_LIMIT, "%zu extensions, at most %d", from->extension_count,
                            SP_EVENT_EXTENSIONS_MAX);
    }
    to->position = 0;
    to->attr[SP_ATTR_TYPE] = api_str_in(from->type);
    to->attr[SP_ATTR_SOURCE] = api_str_in(from->source);
    to->attr[SP_ATTR_STREAM] = api_str_in(from->stream);
    to->attr[SP_ATTR_ID] = api_str_in(from->id);
    to->attr[SP_ATTR_CORRELATION] = api_str_in(from->correlationid);
    to->attr[SP_ATTR_CAUSATION] = api_str_in(from->causationid);
    to->attr[SP_ATTR_TIME] = api_str_in(from->time);
    to->attr[SP_ATTR_SCHEMAVERSION] = api_str_in(from->schemaversion);
    to->attr[SP_ATTR_CONTENTTYPE] = api_str_in(from->datacontenttype);
    to->attr[SP_ATTR_METADATA] = api_str_in(from->metadata);
    to->data = api_str_in(from->data);
    to->has_data = from->data.ptr != NULL;
    to->data_is_json = from->data_is_json != 0;
    to->is_history = from->recorded_us != 0;
    to->extension_count = (uint16_t)from->extension_count;
    for (size_t i = 0; i < from->extension_count; i++) {
        to->extensions[i] = (struct sp_extension){
            .name = api_str_in(from->extensions[i].name),
            .value = api_str_in(from->extensions[i].value),
            .kind = from->extensions[i].is_json ? SP_VALUE_JSON : SP_VALUE_STRING};
    }
    return SP_OK;
}

void api_event_out(const struct sp_event *from, spoor_extension *extensions, spoor_event *to) {
    to->size = sizeof(*to);
    to->position = from->position;
    to->version = from->version;
    to->recorded_us = from->recorded_us;
    to->entry_ms = from->recorded_us / 1000;
    to->entry_seq = from->entry_seq;
    to->data_is_json = from->data_is_json;
    to->id = api_str_out(from->attr[SP_ATTR_ID]);
    to->type = api_str_out(from->attr[SP_ATTR_TYPE]);
    to->source = api_str_out(from->attr[SP_ATTR_SOURCE]);
    to->stream = api_str_out(from->attr[SP_ATTR_STREAM]);
    to->time = api_str_out(from->attr[SP_ATTR_TIME]);
    to->correlationid = api_str_out(from->attr[SP_ATTR_CORRELATION]);
    to->causationid = api_str_out(from->attr[SP_ATTR_CAUSATION]);
    to->schemaversion = api_str_out(from->attr[SP_ATTR_SCHEMAVERSION]);
    to->datacontenttype = api_str_out(from->attr[SP_ATTR_CONTENTTYPE]);
    to->metadata = api_str_out(from->attr[SP_ATTR_METADATA]);
    /* Data of no bytes is there all the same. */
    to->data = (spoor_str){from->has_data && from->data.ptr == NULL ? "" : from->data.ptr,
                           from->has_data ? from->data.len : 0};
    to->data.ptr = from->has_data ? to->data.ptr : NULL;
    to->extensions = extensions;
    to->extension_count = from->extension_count;
    for (unsigned i = 0; i < from->extension_count; i++) {
        extensions[i] = (spoor_extension){.name = api_str_out(from->extensions[i].name),
                                          .value = api_str_out(from->extensions[i].value),
                                          .is_json = from->extensions[i].kind == SP_VALUE_JSON};
    }
}

struct spoor_parsed {
    struct sp_buf scratch;
    struct sp_event event;
    spoor_event out;
    spoor_extension extensions[SP_EVENT_EXTENSIONS_MAX];
};

spoor_status spoor_parse_json(const char *json, size_t len, spoor_parsed **parsed,
                              const spoor_event **ret_event, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    struct spoor_parsed *into = *parsed;
    if (into == NULL) {
        into = calloc(1, sizeof(*into));
        if (into == NULL) {
            return api_error(sp_error_set(&error, SP_NO_MEMORY, "event"), &error, ret_error);
        }
        sp_buf_init(&into->scratch, JSON_BYTES_MAX);
        *parsed = into;
    }
    sp_buf_reset(&into->scratch);
    sp_status status = sp_event_from_json(sp_str_of(json, len), SP_EVENT_LENIENT, &into->scratch,
                                          &into->event, &error);
    if (status == SP_OK) {
        api_event_out(&into->event, into->extensions, &into->out);
        into->out.recorded_us = into->event.is_history ? 1 : 0;
        *ret_event = &into->out;
    }
    return api_error(status, &error, ret_error);
}

void spoor_parsed_free(spoor_parsed *parsed) {
    if (parsed != NULL) {
        sp_buf_fini(&parsed->scratch);
        free(parsed);
    }
}

spoor_status spoor_format_json(const spoor_event *event, const uint8_t hash[32], char **buffer,
                               size_t *capacity, size_t *ret_len, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    struct sp_event view;
    sp_status status = api_event_in(event, &view, &error);
    if (status != SP_OK) {
        return api_error(status, &error, ret_error);
    }
    view.position = event->position;
    view.version = event->version;
    view.recorded_us = event->recorded_us;
    view.entry_seq = event->entry_seq;
    struct sp_buf text;
    sp_buf_init(&text, JSON_BYTES_MAX);
    text.data = (uint8_t *)*buffer;
    text.capacity = *capacity;
    sp_event_to_json(&view, hash, &text);
    sp_buf_add_byte(&text, 0);
    *buffer = (char *)text.data;
    *capacity = text.capacity;
    if (text.status != SP_OK) {
        return api_error(sp_error_set(&error, text.status, "event as JSON"), &error, ret_error);
    }
    *ret_len = text.len - 1;
    return SPOOR_OK;
}
