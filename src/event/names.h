/*
 * How the JSON form tells an extension from an attribute of the same name. pure
 */
#ifndef SP_EVENT_NAMES_H
#define SP_EVENT_NAMES_H

#include "event/attributes.h"

#define SP_BASE64_KEY "$base64"

/* The name without the `$` that stand before it. */
static inline sp_str sp_name_bare(sp_str name) {
    size_t marks = 0;
    while (marks < name.len && name.ptr[marks] == '$') {
        marks++;
    }
    return sp_str_from_byte(name, marks);
}

/* True for `$id`, `$$payload` and the like: one `$` was put before the name of an extension. */
static inline bool sp_name_is_marked(sp_str name) {
    return name.len > 0 && name.ptr[0] == '$' && sp_name_find(sp_name_bare(name)) != NULL;
}

#endif
