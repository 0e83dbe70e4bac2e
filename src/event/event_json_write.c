#include "base/base64.h"
#include "base/json.h"
#include "base/time.h"
#include "event/event_json.h"
#include "event/names.h"

struct writing {
    const struct sp_event *event;
    struct sp_buf *to;
    bool any; /* a member has been written: the next one needs a comma */
};

/* Begins a member with a name that needs no escapes. */
static void add_key(struct writing *w, sp_str name) {
    sp_require(name.len > 0);
    sp_buf_add_str(w->to, w->any ? SP_STR(",\"") : SP_STR("\""));
    sp_buf_add_str(w->to, name);
    sp_buf_add_str(w->to, SP_STR("\":"));
    w->any = true;
}

/* Appends JSON text. Line breaks in it stand between tokens only, where a space does as well. */
static void add_json(struct sp_buf *to, sp_str json) {
    size_t from = to->len;
    sp_buf_add_str(to, json);
    static const char BREAKS[] = {'\n', '\r'};
    for (size_t i = 0; i < sizeof(BREAKS); i++) {
        size_t at = from;
        while (at < to->len) {
            uint8_t *found = memchr(to->data + at, BREAKS[i], to->len - at);
            if (found == NULL) {
                break;
            }
            *found = ' ';
            at = (size_t)(found - to->data) + 1;
        }
    }
}

static void add_attributes(struct writing *w) {
    static const enum sp_attr ORDER[SP_ATTR_COUNT] = {
        SP_ATTR_ID,          SP_ATTR_TYPE,        SP_ATTR_SOURCE,    SP_ATTR_STREAM,
        SP_ATTR_TIME,        SP_ATTR_CORRELATION, SP_ATTR_CAUSATION, SP_ATTR_SCHEMAVERSION,
        SP_ATTR_CONTENTTYPE, SP_ATTR_METADATA,
    };
    for (int i = 0; i < SP_ATTR_COUNT; i++) {
        sp_str value = w->event->attr[ORDER[i]];
        if (value.ptr == NULL) {
            continue;
        }
        add_key(w, sp_attr_name(ORDER[i]));
        if (ORDER[i] == SP_ATTR_METADATA) {
            add_json(w->to, value);
        } else {
            sp_json_add_string(w->to, value);
        }
    }
}

/* True for text and numbers: what an alias gives to its attribute when it is read. */
static bool could_be_attribute(const struct sp_extension *extension) {
    return extension->kind == SP_VALUE_STRING ||
           (extension->value.len > 0 &&
            (*extension->value.ptr == '-' || (uint8_t)(*extension->value.ptr - '0') < 10));
}

/* True where a reader would take the extension's name for something else without a mark. */
static bool needs_mark(const struct sp_event *event, const struct sp_extension *extension) {
    const struct sp_name *name = sp_name_find(extension->name);
    if (name == NULL) {
        return sp_name_is_marked(extension->name);
    }
    switch ((enum sp_name_kind)name->kind) {
    case SP_NAME_ALIAS:
        return event->attr[name->attr].ptr == NULL && could_be_attribute(extension);
    case SP_NAME_DATA_ALIAS:
        return !event->has_data;
    case SP_NAME_ATTRIBUTE:
    case SP_NAME_DATA:
    case SP_NAME_DATA_BASE64:
    case SP_NAME_SPECVERSION:
    case SP_NAME_ASSIGNED:
        return true;
    }
    sp_never();
}

static void add_extension(struct writing *w, const struct sp_extension *extension) {
    /* Names may need escapes: written as a string, with the mark put after its opening quote. */
    sp_buf_add_str(w->to, w->any ? SP_STR(",") : SP_STR(""));
    size_t quote = w->to->len;
    if (needs_mark(w->event, extension)) {
        sp_buf_add_byte(w->to, '$');
    }
    sp_json_add_string(w->to, extension->name);
    if (w->to->status == SP_OK && w->to->data[quote] == '$') {
        sp_invariant(w->to->data[quote + 1] == '"');
        w->to->data[quote] = '"';
        w->to->data[quote + 1] = '$';
    }
    sp_buf_add_byte(w->to, ':');
    w->any = true;
    if (extension->kind == SP_VALUE_JSON) {
        add_json(w->to, extension->value);
    } else if (sp_utf8_valid(extension->value)) {
        sp_json_add_string(w->to, extension->value);
    } else {
        sp_buf_add_str(w->to, SP_STR("{\"" SP_BASE64_KEY "\":\""));
        sp_base64_add(w->to, extension->value);
        sp_buf_add_str(w->to, SP_STR("\"}"));
    }
}

static void add_data(struct writing *w) {
    const struct sp_event *event = w->event;
    if (!event->has_data) {
        return;
    }
    if (event->data_is_json) {
        add_key(w, SP_STR("data"));
        add_json(w->to, event->data);
    } else if (sp_utf8_valid(event->data)) {
        add_key(w, SP_STR("data"));
        sp_json_add_string(w->to, event->data);
    } else {
        add_key(w, SP_STR("data_base64"));
        sp_buf_add_byte(w->to, '"');
        sp_base64_add(w->to, event->data);
        sp_buf_add_byte(w->to, '"');
    }
}

static void add_hash(struct writing *w, const uint8_t hash[32]) {
    static const char DIGITS[16] = "0123456789abcdef";
    char text[64];
    for (size_t i = 0; i < 32; i++) {
        text[2 * i] = DIGITS[hash[i] >> 4];
        text[2 * i + 1] = DIGITS[hash[i] & 15];
    }
    add_key(w, SP_STR("hash"));
    sp_json_add_string(w->to, sp_str_of(text, sizeof(text)));
}

static void add_assigned(struct writing *w) {
    const struct sp_event *event = w->event;
    if (event->position == 0) {
        return;
    }
    sp_require(event->version > 0);
    add_key(w, SP_STR("position"));
    sp_buf_add_u64(w->to, event->position);
    add_key(w, SP_STR("version"));
    sp_buf_add_u64(w->to, event->version);
    char time[SP_TIME_TEXT_SIZE];
    sp_time_format(event->recorded_us, time);
    add_key(w, SP_STR("recordedtime"));
    sp_json_add_string(w->to, sp_str_of(time, SP_TIME_TEXT_SIZE - 1));
    char entry[SP_ENTRYID_TEXT_SIZE];
    size_t length = sp_entryid_format(event->recorded_us / 1000, event->entry_seq, entry);
    add_key(w, SP_STR("entryid"));
    sp_json_add_string(w->to, sp_str_of(entry, length));
}

void sp_event_to_json(const struct sp_event *event, const uint8_t hash[32], struct sp_buf *to) {
    sp_require(event->extension_count <= SP_EVENT_EXTENSIONS_MAX);
    struct writing w = {.event = event, .to = to};
    sp_buf_add_byte(to, '{');
    add_attributes(&w);
    for (unsigned i = 0; i < event->extension_count; i++) {
        add_extension(&w, &event->extensions[i]);
    }
    add_data(&w);
    add_assigned(&w);
    if (hash != NULL) {
        add_hash(&w, hash);
    }
    sp_buf_add_byte(to, '}');
}
