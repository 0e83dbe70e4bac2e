/*
 * Parameters: what their names mean, and their values for an event.
 */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "base/utf8.h"
#include "event/attributes.h"
#include "project/definition_int.h"

/* Names that are no attributes of section "parameters": assigned ones and numbers. */
static const struct {
    const char *name;
    enum sp_parameter_kind kind;
} OWN[] = {
    {"data", SP_PARAMETER_DATA},
    {"data_text", SP_PARAMETER_DATA_TEXT},
    {"position", SP_PARAMETER_POSITION},
    {"version", SP_PARAMETER_VERSION},
    {"recordedtime", SP_PARAMETER_RECORDEDTIME},
    {"entryid", SP_PARAMETER_ENTRYID},
    {"time_ms", SP_PARAMETER_TIME_MS},
    {"recordedtime_ms", SP_PARAMETER_RECORDEDTIME_MS},
};

static sp_status refuse_alias(sp_str text, size_t offset, const struct sp_name *known,
                              struct sp_error *error) {
    bool attribute = known->kind == SP_NAME_ALIAS;
    bool data = known->kind == SP_NAME_DATA_ALIAS || known->kind == SP_NAME_DATA_BASE64;
    if (attribute || data) {
        sp_str right = attribute ? sp_attr_name((enum sp_attr)known->attr) : SP_STR("data");
        return lex_fail(text, offset, error, SP_INVALID,
                        ":%s: the parameter is called :%.*s, however the producer called it",
                        known->text, SP_STR_ARG(right));
    }
    return lex_fail(text, offset, error, SP_INVALID, ":%s: there is no such parameter",
                    known->text);
}

static bool extension_name(sp_str name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!fine) {
            return false;
        }
    }
    return name.len > 0 && name.len <= SP_EVENT_NAME_BYTES_MAX;
}

sp_status parameter_find(sp_str text, size_t offset, sp_str name,
                         struct sp_parameter *ret_parameter, struct sp_error *error) {
    const struct sp_name *known = sp_name_find(name);
    struct sp_parameter parameter = {.kind = SP_PARAMETER_EXTENSION, .name = name};
    for (size_t i = 0; i < sizeof(OWN) / sizeof(OWN[0]); i++) {
        if (sp_str_eq(name, sp_str_from(OWN[i].name))) {
            parameter.kind = OWN[i].kind;
            *ret_parameter = parameter;
            return SP_OK;
        }
    }
    if (known != NULL && known->kind == SP_NAME_ATTRIBUTE) {
        parameter.kind = SP_PARAMETER_ATTRIBUTE;
        parameter.attr = (enum sp_attr)known->attr;
    } else if (known != NULL) {
        return refuse_alias(text, offset, known, error);
    } else if (!extension_name(name)) {
        return lex_fail(
            text, offset, error, SP_INVALID,
            ":%.*s: no parameter is called so; expected an attribute of the event, "
            ":data, :data_text, :metadata, :position, :version, :time_ms, :recordedtime_ms, or an "
            "extension's name of letters and digits",
            SP_STR_ARG(name));
    }
    *ret_parameter = parameter;
    return SP_OK;
}

static void bind_integer(struct sp_bound *bound, uint64_t value) {
    bound->type = SP_BOUND_INTEGER;
    bound->integer = value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static void bind_text(struct sp_bound *bound, enum sp_bound_type type, sp_str text) {
    bound->type = text.ptr == NULL ? SP_BOUND_NULL : type;
    bound->text = text;
}

/* The producer's time in UTC: as it is where it ends in Z or cannot be turned. */
static void bind_time(struct sp_bound *bound, sp_str time, struct sp_bound_scratch *scratch) {
    uint64_t time_us;
    if (time.len > 0 && time.ptr[time.len - 1] != 'Z' && time.ptr[time.len - 1] != 'z' &&
        sp_time_parse(time, true, &time_us, NULL) == SP_OK) {
        sp_time_format(time_us, scratch->time);
        time = sp_str_of(scratch->time, SP_TIME_TEXT_SIZE - 1);
    }
    bind_text(bound, SP_BOUND_TEXT, time);
}

static void bind_attribute(struct sp_bound *bound, const struct sp_event *event, enum sp_attr attr,
                           struct sp_bound_scratch *scratch) {
    sp_str value = event->attr[attr];
    if (attr == SP_ATTR_TIME) {
        bind_time(bound, value, scratch);
    } else {
        bind_text(bound, attr == SP_ATTR_METADATA ? SP_BOUND_JSON : SP_BOUND_TEXT, value);
    }
}

static void bind_time_ms(struct sp_bound *bound, sp_str time) {
    uint64_t time_us;
    bound->type = SP_BOUND_NULL;
    if (time.ptr != NULL && sp_time_parse(time, true, &time_us, NULL) == SP_OK) {
        bind_integer(bound, time_us / 1000);
    }
}

static void bind_data(struct sp_bound *bound, const struct sp_event *event) {
    bound->type = SP_BOUND_NULL;
    if (event->has_data) {
        bound->type = event->data_is_json ? SP_BOUND_JSON : SP_BOUND_BYTES;
        bound->text = event->data;
    }
}

static void bind_data_text(struct sp_bound *bound, const struct sp_event *event) {
    bound->type = SP_BOUND_NULL;
    sp_str data = event->data;
    if (event->has_data && sp_utf8_valid(data) &&
        (data.len == 0 || memchr(data.ptr, '\0', data.len) == NULL)) {
        bound->type = SP_BOUND_TEXT;
        bound->text = data;
    }
}

static void bind_extension(struct sp_bound *bound, const struct sp_event *event, sp_str name) {
    bound->type = SP_BOUND_NULL;
    for (uint32_t i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, name)) {
            bind_text(bound, SP_BOUND_TEXT, event->extensions[i].value);
            return;
        }
    }
}

void sp_parameter_get(const struct sp_parameter *parameter, const struct sp_event *event,
                      struct sp_bound_scratch *scratch, struct sp_bound *ret_bound) {
    *ret_bound = (struct sp_bound){.type = SP_BOUND_NULL};
    switch (parameter->kind) {
    case SP_PARAMETER_ATTRIBUTE:
        bind_attribute(ret_bound, event, parameter->attr, scratch);
        break;
    case SP_PARAMETER_DATA:
        bind_data(ret_bound, event);
        break;
    case SP_PARAMETER_DATA_TEXT:
        bind_data_text(ret_bound, event);
        break;
    case SP_PARAMETER_POSITION:
        bind_integer(ret_bound, event->position);
        break;
    case SP_PARAMETER_VERSION:
        bind_integer(ret_bound, event->version);
        break;
    case SP_PARAMETER_RECORDEDTIME:
        sp_time_format(event->recorded_us, scratch->recordedtime);
        bind_text(ret_bound, SP_BOUND_TEXT,
                  sp_str_of(scratch->recordedtime, SP_TIME_TEXT_SIZE - 1));
        break;
    case SP_PARAMETER_ENTRYID: {
        size_t len =
            sp_entryid_format(event->recorded_us / 1000, event->entry_seq, scratch->entryid);
        bind_text(ret_bound, SP_BOUND_TEXT, sp_str_of(scratch->entryid, len));
        break;
    }
    case SP_PARAMETER_TIME_MS:
        bind_time_ms(ret_bound, event->attr[SP_ATTR_TIME]);
        break;
    case SP_PARAMETER_RECORDEDTIME_MS:
        bind_integer(ret_bound, event->recorded_us / 1000);
        break;
    case SP_PARAMETER_EXTENSION:
        bind_extension(ret_bound, event, parameter->name);
        break;
    }
}
