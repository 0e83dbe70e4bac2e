/*
 * Reading an event as the entry it was. The layout is read whole and compared with the event before
 * the first field is written; what the data holds shows only on the way, so an event that turns out
 * not to be an entry is taken back and written as one that came another way.
 */
#include "base/json.h"
#include "proto/entry.h"
#include "proto/entry_layout.h"

/* Where ordinary fields come from. */
enum origin {
    FROM_NOWHERE, /* there are none */
    FROM_EXTENSIONS,
    FROM_OBJECT,
    FROM_BULKS,
};

struct writing {
    const struct sp_event *event;
    struct sp_resp *resp;
    uint64_t count; /* bulk strings so far: names and values */
    enum origin origin;
    unsigned extension;  /* FROM_EXTENSIONS: the next one */
    struct sp_json json; /* FROM_OBJECT */
    sp_str rest;         /* FROM_BULKS: what has not been read */
};

/* How taking the next ordinary field ended. */
enum taken {
    TAKEN,
    TAKEN_NONE, /* there are no more */
    TAKEN_BAD,  /* what is there is no field */
};

static void add_field(struct writing *w, sp_str name, sp_str value) {
    sp_resp_bulk(w->resp, name);
    sp_resp_bulk(w->resp, value);
    w->count += 2;
}

static void add_json_text(struct writing *w, struct sp_json_token token) {
    if (SP_LIKELY(!token.escaped)) {
        sp_resp_bulk(w->resp, token.raw);
        return;
    }
    struct sp_resp_open open = sp_resp_open_bulk(w->resp, token.raw.len);
    sp_json_unescape(w->resp->to, token.raw);
    sp_resp_close_bulk(w->resp, open);
}

static enum taken take_extension(struct writing *w) {
    const struct sp_event *event = w->event;
    while (w->extension < event->extension_count) {
        const struct sp_extension *extension = &event->extensions[w->extension++];
        if (!sp_entry_is_hidden(extension->name)) {
            add_field(w, extension->name, extension->value);
            return TAKEN;
        }
    }
    return TAKEN_NONE;
}

static enum taken take_member(struct writing *w) {
    struct sp_json_token name = sp_json_next(&w->json);
    if (name.type == SP_JSON_OBJECT_END) {
        return sp_json_next(&w->json).type == SP_JSON_END ? TAKEN_NONE : TAKEN_BAD;
    }
    if (name.type == SP_JSON_END) {
        return TAKEN_NONE;
    }
    if (name.type != SP_JSON_KEY) {
        return TAKEN_BAD;
    }
    struct sp_json_token value = sp_json_next(&w->json);
    if (value.type != SP_JSON_STRING) {
        return TAKEN_BAD;
    }
    add_json_text(w, name);
    add_json_text(w, value);
    w->count += 2;
    return TAKEN;
}

/* Takes `$<n>\r\n<n bytes>\r\n` off the text. */
static bool take_bulk(sp_str *text, sp_str *ret_bytes) {
    size_t at = 1;
    size_t len = 0;
    if (text->len == 0 || text->ptr[0] != '$') {
        return false;
    }
    for (; at < text->len && (uint8_t)(text->ptr[at] - '0') < 10; at++) {
        len = len * 10 + (size_t)(text->ptr[at] - '0');
        if (len > text->len) {
            return false;
        }
    }
    if (at == 1 || text->len - at < 4 || text->len - at - 4 < len ||
        memcmp(text->ptr + at, "\r\n", 2) != 0 ||
        memcmp(text->ptr + at + 2 + len, "\r\n", 2) != 0) {
        return false;
    }
    *ret_bytes = sp_str_of(text->ptr + at + 2, len);
    *text = sp_str_from_byte(*text, at + 4 + len);
    return true;
}

static enum taken take_bulks(struct writing *w) {
    sp_str name;
    sp_str value;
    if (w->rest.len == 0) {
        return TAKEN_NONE;
    }
    if (!take_bulk(&w->rest, &name) || !take_bulk(&w->rest, &value)) {
        return TAKEN_BAD;
    }
    add_field(w, name, value);
    return TAKEN;
}

/* Writes the next ordinary field. */
static enum taken take_ordinary(struct writing *w) {
    switch (w->origin) {
    case FROM_NOWHERE:
        return TAKEN_NONE;
    case FROM_EXTENSIONS:
        return take_extension(w);
    case FROM_OBJECT:
        return take_member(w);
    case FROM_BULKS:
        return take_bulks(w);
    }
    sp_never();
}

/* Finds out where ordinary fields are. False where the event's data is no place for them. */
static bool find_origin(struct writing *w, bool has_payload, unsigned shown_extensions) {
    const struct sp_event *event = w->event;
    if (has_payload) {
        w->origin = FROM_EXTENSIONS;
        w->extension = 0;
        return true;
    }
    if (shown_extensions > 0) {
        return false;
    }
    if (!event->has_data) {
        w->origin = FROM_NOWHERE;
        return true;
    }
    if (event->data_is_json) {
        w->origin = FROM_OBJECT;
        sp_json_init(&w->json, event->data);
        return sp_json_next(&w->json).type == SP_JSON_OBJECT;
    }
    w->origin = FROM_BULKS;
    w->rest = event->data;
    return sp_str_eq(event->attr[SP_ATTR_CONTENTTYPE], SP_STR(SP_ENTRY_FIELDS_TYPE));
}

static void add_attribute(struct writing *w, const struct entry_step *step) {
    const struct entry_spelling *spelling = entry_spelling(step->letter);
    sp_str value = step->time_given.ptr != NULL      ? step->time_given
                   : spelling->attr == SP_ATTR_COUNT ? w->event->data
                                                     : w->event->attr[spelling->attr];
    add_field(w, spelling->name, value);
}

/* Writes the fields in the layout's order. False where there are fewer than that says. */
static bool add_steps(struct writing *w, const struct entry_layout *layout) {
    enum taken taken = TAKEN;
    for (uint32_t i = 0; i < layout->count; i++) {
        const struct entry_step *step = &layout->steps[i];
        if (step->letter != 0) {
            add_attribute(w, step);
        }
        for (uint64_t k = 0; k < step->run; k++) {
            if (take_ordinary(w) != TAKEN) {
                return false;
            }
        }
    }
    while (taken == TAKEN) {
        taken = take_ordinary(w);
    }
    return taken == TAKEN_NONE && w->count > 0;
}

/* True for an event that XADD makes of ordinary fields alone. */
static bool looks_plain(const struct sp_event *event) {
    return event->has_data && sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR(SP_ENTRY_TYPE)) &&
           !sp_event_has(event, SP_ATTR_TIME) && !sp_event_has(event, SP_ATTR_CAUSATION) &&
           !sp_event_has(event, SP_ATTR_SCHEMAVERSION) && !sp_event_has(event, SP_ATTR_METADATA);
}

/* Writes the event as the entry it was; false where it was none, and something may be written. */
static bool add_entry(struct writing *w) {
    const struct sp_event *event = w->event;
    struct entry_layout layout;
    layout.count = 0;
    layout.has_payload = false;
    sp_str text = sp_str_of(NULL, 0);
    unsigned shown = 0;
    for (unsigned i = 0; i < event->extension_count; i++) {
        sp_str name = event->extensions[i].name;
        if (sp_str_eq(name, SP_STR(SP_ENTRY_LAYOUT_NAME))) {
            text = event->extensions[i].value;
        }
        shown += !sp_entry_is_hidden(name);
    }
    bool known = text.len > 0 ? entry_layout_read(text, event, &layout) : looks_plain(event);
    return known && find_origin(w, layout.has_payload, shown) && add_steps(w, &layout);
}

/* Writes an event that came another way: its attributes, its data, its extensions. */
static void add_any(struct writing *w) {
    static const enum sp_attr BEFORE_DATA[] = {
        SP_ATTR_ID,          SP_ATTR_TYPE,      SP_ATTR_SOURCE,        SP_ATTR_TIME,
        SP_ATTR_CORRELATION, SP_ATTR_CAUSATION, SP_ATTR_SCHEMAVERSION,
    };
    const struct sp_event *event = w->event;
    for (size_t i = 0; i < sizeof(BEFORE_DATA) / sizeof(BEFORE_DATA[0]); i++) {
        if (sp_event_has(event, BEFORE_DATA[i])) {
            add_field(w, sp_attr_name(BEFORE_DATA[i]), event->attr[BEFORE_DATA[i]]);
        }
    }
    if (event->has_data) {
        add_field(w, SP_STR("data"), event->data);
    }
    if (sp_event_has(event, SP_ATTR_METADATA)) {
        add_field(w, sp_attr_name(SP_ATTR_METADATA), event->attr[SP_ATTR_METADATA]);
    }
    w->extension = 0;
    while (take_extension(w) == TAKEN) {
    }
}

void sp_entry_write(const struct sp_event *event, struct sp_resp *resp) {
    sp_require(event->extension_count <= SP_EVENT_EXTENSIONS_MAX);
    struct writing w; /* the scanner's state is large and made only where it is needed */
    w.event = event;
    w.resp = resp;
    w.count = 0;
    struct sp_resp_open open = sp_resp_open_array(resp, 2);
    if (!add_entry(&w)) {
        sp_resp_drop(resp, open);
        open = sp_resp_open_array(resp, 10);
        w.count = 0;
        add_any(&w);
    }
    sp_resp_close(resp, open, w.count);
}
