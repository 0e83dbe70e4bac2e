#include "event_same.h"

#include "event/attributes.h"

static bool same(sp_str a, sp_str b) {
    return (a.ptr == NULL) == (b.ptr == NULL) && sp_str_eq(a, b);
}

const char *event_difference(const struct sp_event *a, const struct sp_event *b) {
    for (int i = 0; i < SP_ATTR_COUNT; i++) {
        if (!same(a->attr[i], b->attr[i])) {
            return sp_attr_name((enum sp_attr)i).ptr;
        }
    }
    if (a->has_data != b->has_data || a->data_is_json != b->data_is_json ||
        !sp_str_eq(a->data, b->data)) {
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
