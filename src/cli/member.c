#include "cli/member.h"

#include "base/json.h"

sp_str sp_cli_member(sp_str object, const char *name) {
    struct sp_json json;
    sp_json_init(&json, object);
    if (sp_json_next(&json).type != SP_JSON_OBJECT) {
        return SP_STR("");
    }
    for (;;) {
        struct sp_json_token key = sp_json_next(&json);
        if (key.type != SP_JSON_KEY) {
            return SP_STR("");
        }
        struct sp_json_token value = sp_json_next(&json);
        sp_str raw = sp_json_skip(&json, value);
        if (sp_json_equal(key, sp_str_from(name))) {
            return value.type == SP_JSON_NULL ? SP_STR("") : raw;
        }
    }
}

sp_str sp_cli_member_raw(sp_str object, const char *name) {
    sp_str raw = sp_cli_member(object, name);
    bool is_text = raw.len >= 2 && raw.ptr[0] == '"';
    return is_text ? sp_str_of(raw.ptr + 1, raw.len - 2) : SP_STR("");
}

sp_str sp_cli_member_text(sp_str object, const char *name, struct sp_buf *room) {
    sp_str raw = sp_cli_member_raw(object, name);
    size_t at = room->len;
    if (raw.len > 0) {
        sp_json_unescape(room, raw);
    }
    return sp_str_of(room->data + at, room->len - at);
}

void sp_cli_member_items(sp_str array, void (*each)(void *context, sp_str item), void *context) {
    struct sp_json json;
    sp_json_init(&json, array);
    if (sp_json_next(&json).type != SP_JSON_ARRAY) {
        return;
    }
    for (;;) {
        struct sp_json_token value = sp_json_next(&json);
        if (value.type == SP_JSON_ARRAY_END || value.type == SP_JSON_ERROR) {
            return;
        }
        each(context, sp_json_skip(&json, value));
    }
}
