#include "proto/payload.h"

#include "base/utf8.h"

enum sp_json_type payload_json_type(sp_str text) {
    struct sp_json json;
    sp_json_init(&json, text);
    json.depth_max = SP_JSON_DEPTH_MAX - 1;
    struct sp_json_token first = sp_json_next(&json);
    (void)sp_json_skip(&json, first);
    return sp_json_next(&json).type == SP_JSON_END ? first.type : SP_JSON_ERROR;
}

void payload_set(struct sp_event *event, sp_str bytes, enum sp_json_type json) {
    event->has_data = true;
    event->data = bytes;
    event->data_is_json = json != SP_JSON_ERROR;
    if (!event->data_is_json && !sp_event_has(event, SP_ATTR_CONTENTTYPE)) {
        event->attr[SP_ATTR_CONTENTTYPE] =
            sp_utf8_valid(bytes) ? SP_STR("text/plain") : SP_STR("application/octet-stream");
    }
}
