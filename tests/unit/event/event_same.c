#include "event_same.h"

#include "event/attributes.h"

static bool same(sp_str a, sp_str b) {
    return (a.ptr == NULL) == (b.ptr == NULL) && sp_str_eq(a, b);
}

/* JSON without the white space around it, which belongs to no value. */
static sp_str trimmed(sp_str json) {
    while (json.len > 0 && strchr(" \t\r\n", json.ptr[0]) != NULL) {
        json = sp_str_from_byte(json, 1);
    }
    while (json.len > 0 && strchr(" \t\r\n", json.ptr[json.len - 1]) != NULL) {
        json.len--;
    }
    return json;
}

const char *event_difference(const struct sp_event *a, const struct sp_event *b) {
    for (int i = 0; i < SP_ATTR_COUNT; i++) {
        if (!same(a->attr[i], b->attr[i])) {
            return sp_attr_name((enum sp_attr)i).ptr;
        }
    }
    if (a->has_data != b->has_data || a->data_is_json != b->data_is_json ||
        !sp_str_eq(a->data_is_json ? trimmed(a->data) : a->data,
                   b->data_is_json ? trimmed(b->data) : b->data)) {
        return "data";
    }
    if (a->extension_count != b->extension_count) {
        return "number of extensions";
    }
    for (unsigned i = 0; i < a->extension_count; i++) {
        if (!sp_str_eq(a->extensions[i].name, b->extensions[i].name)) {
            return "name of an extension";
        }
        if (a->extensions[i].kind != b->extensions[i].kind ||
            !sp_str_eq(a->extensions[i].value, b->extensions[i].value)) {
            return "value of an extension";
        }
    }
    return NULL;
}
