/*
 * Events that ask for another time: `deliverat`. What is appended now is `event.delayed`, which has
 * the whole event in it; the part of the flows that keeps them (flow/delayed.h) appends the event
 * itself when its time has come.
 */
#include <stdlib.h>

#include "base/time.h"
#include "engine/flows_int.h"
#include "flow/delayed.h"

struct delayed_event {
    struct delayed_event *next;
    struct sp_buf text; /* of the event below */
    char id[SP_UUID_TEXT_SIZE];
    struct sp_event event;
};

uint64_t engine_delayed_find(struct sp_engine *engine, sp_str source, sp_str id,
                             uint64_t *ret_due_us) {
    const struct engine_flows *flows = engine->flows;
    struct sp_delayed_info info;
    if (sp_delayed_count(flows->delayed) == 0 ||
        sp_delayed_find(flows->delayed, &flows->ports, source, id, &info, NULL) != SP_OK) {
        return 0;
    }
    *ret_due_us = info.due_us;
    return info.position;
}

static const struct sp_extension *find_wish(const struct sp_event *event) {
    const sp_str name = SP_STR(SP_DELIVER_AT_NAME);
    for (uint16_t i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, name)) {
            return &event->extensions[i];
        }
    }
    return NULL;
}

/* A time like that of an event, in whatever spelling those may have. */
static sp_status read_time(sp_str text, uint64_t *ret_us, struct sp_error *error) {
    struct sp_buf scratch;
    sp_str time = text;
    sp_buf_init(&scratch, 256);
    sp_status status = sp_event_time(text, &scratch, &time, error);
    status = status == SP_OK ? sp_time_parse(time, true, ret_us, NULL) : status;
    sp_buf_fini(&scratch);
    return status;
}

sp_status engine_delayed_due(struct sp_engine *engine, const struct sp_event *event,
                             uint64_t now_us, uint64_t *ret_due_us, struct sp_error *error) {
    const struct sp_extension *wish = find_wish(event);
    uint64_t due_us = 0;
    (void)engine;
    if (wish == NULL || event->is_history) {
        return SP_OK;
    }
    if (read_time(wish->value, &due_us, error) != SP_OK) {
        return sp_error_set(error, SP_INVALID,
                            "extension " SP_DELIVER_AT_NAME
                            ": found \"%.*s\", expected a time (RFC 3339)",
                            wish->value.len > 64 ? 64 : (int)wish->value.len, wish->value.ptr);
    }
    if (due_us > now_us) {
        *ret_due_us = due_us;
    }
    return SP_OK;
}

static sp_status wrap(struct engine_flows *flows, struct sp_event *event, uint64_t due_us,
                      struct delayed_event *delayed, struct sp_error *error) {
    struct sp_flow_out *out = &flows->delay_out;
    event->position = 0; /* of an append before, where the struct is used again */
    sp_flow_out_reset(out);
    sp_status status = sp_delayed_wrap(flows->delayed, event, due_us, out, error);
    if (status == SP_OK && sp_flow_out_status(out) != SP_OK) {
        status = sp_error_set(error, sp_flow_out_status(out), "a delayed event: %s",
                              sp_status_text(sp_flow_out_status(out)));
    }
    if (status == SP_OK) {
        sp_invariant(out->count == 1);
        sp_flow_out_event(out, 0, &delayed->event);
        delayed->text = out->text; /* its texts stay where they are */
        sp_buf_init(&out->text, delayed->text.size_bytes_max);
    }
    return status;
}

sp_status engine_delayed_wrap(struct sp_engine *engine, struct sp_event *event, uint64_t now_us,
                              uint64_t due_us, struct delayed_event **list,
                              struct sp_error *error) {
    struct delayed_event *delayed = calloc(1, sizeof(*delayed));
    sp_status status = delayed == NULL ? sp_error_set(error, SP_NO_MEMORY, "a delayed event")
                                       : wrap(engine->flows, event, due_us, delayed, error);
    if (status != SP_OK) {
        free(delayed);
        return status;
    }
    uint8_t id[16];
    engine_make_id(engine, now_us, id);
    sp_uuid_format(id, delayed->id);
    delayed->event.attr[SP_ATTR_ID] = sp_str_of(delayed->id, SP_UUID_TEXT_SIZE);
    delayed->event.attr[SP_ATTR_CORRELATION] = event->attr[SP_ATTR_CORRELATION];
    delayed->next = *list;
    *list = delayed;
    return SP_OK;
}

struct sp_event *engine_delayed_event(struct delayed_event *list) {
    return &list->event;
}

void engine_delayed_free(struct delayed_event *list) {
    while (list != NULL) {
        struct delayed_event *next = list->next;
        sp_buf_fini(&list->text);
        free(list);
        list = next;
    }
}
