#include "flow/part.h"

enum { OUT_BYTES_MAX = 256 << 20 };

void sp_flow_out_init(struct sp_flow_out *out) {
    sp_buf_init(&out->text, OUT_BYTES_MAX);
    out->count = 0;
    out->full = false;
}

void sp_flow_out_fini(struct sp_flow_out *out) {
    sp_buf_fini(&out->text);
}

void sp_flow_out_reset(struct sp_flow_out *out) {
    sp_buf_reset(&out->text);
    out->count = 0;
    out->full = false;
}

static struct sp_flow_slice keep(struct sp_flow_out *out, sp_str text) {
    size_t offset = out->text.len;
    sp_buf_add_str(&out->text, text);
    return (struct sp_flow_slice){.offset = (uint32_t)offset,
                                  .len = (uint32_t)(out->text.len - offset)};
}

static struct sp_flow_out_event *current(struct sp_flow_out *out) {
    sp_require(out->count > 0);
    return &out->events[out->count - 1];
}

void sp_flow_out_begin(struct sp_flow_out *out, sp_str type, sp_str stream) {
    if (out->count == SP_FLOW_OUT_EVENTS_MAX) {
        out->full = true;
        out->count--; /* what follows goes somewhere, and is never appended */
    }
    struct sp_flow_out_event *event = &out->events[out->count++];
    event->present = 0;
    event->has_data = false;
    event->extension_count = 0;
    sp_flow_out_attr(out, SP_ATTR_TYPE, type);
    sp_flow_out_attr(out, SP_ATTR_SOURCE, SP_STR("spoor"));
    sp_flow_out_attr(out, SP_ATTR_STREAM, stream);
}

void sp_flow_out_attr(struct sp_flow_out *out, enum sp_attr attr, sp_str value) {
    struct sp_flow_out_event *event = current(out);
    event->attr[attr] = keep(out, value);
    event->present |= 1u << attr;
}

static void extend(struct sp_flow_out *out, sp_str name, sp_str value, enum sp_value_kind kind) {
    struct sp_flow_out_event *event = current(out);
    if (event->extension_count == SP_EVENT_EXTENSIONS_MAX) {
        out->full = true;
        return;
    }
    struct sp_flow_out_extension *extension = &event->extensions[event->extension_count++];
    extension->name = keep(out, name);
    extension->value = keep(out, value);
    extension->kind = kind;
}

void sp_flow_out_text(struct sp_flow_out *out, sp_str name, sp_str value) {
    extend(out, name, value, SP_VALUE_STRING);
}

void sp_flow_out_number(struct sp_flow_out *out, sp_str name, uint64_t value) {
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    extend(out, name, sp_str_of(digits + at, sizeof(digits) - at), SP_VALUE_JSON);
}

void sp_flow_out_data(struct sp_flow_out *out, sp_str json) {
    struct sp_flow_out_event *event = current(out);
    event->data = keep(out, json);
    event->has_data = true;
}

struct sp_buf *sp_flow_out_data_begin(struct sp_flow_out *out) {
    struct sp_flow_out_event *event = current(out);
    event->data = (struct sp_flow_slice){.offset = (uint32_t)out->text.len};
    return &out->text;
}

void sp_flow_out_data_end(struct sp_flow_out *out) {
    struct sp_flow_out_event *event = current(out);
    sp_require(out->text.len >= event->data.offset);
    event->data.len = (uint32_t)(out->text.len - event->data.offset);
    event->has_data = true;
}

sp_status sp_flow_out_status(const struct sp_flow_out *out) {
    return out->full ? SP_LIMIT : out->text.status;
}

void sp_flow_out_copy(struct sp_flow_out *out, const struct sp_event *event) {
    sp_flow_out_begin(out, event->attr[SP_ATTR_TYPE], event->attr[SP_ATTR_STREAM]);
    for (unsigned i = 0; i < SP_ATTR_COUNT; i++) {
        if (event->attr[i].ptr != NULL && i != SP_ATTR_TYPE && i != SP_ATTR_STREAM) {
            sp_flow_out_attr(out, (enum sp_attr)i, event->attr[i]);
        }
    }
    for (unsigned i = 0; i < event->extension_count; i++) {
        extend(out, event->extensions[i].name, event->extensions[i].value,
               event->extensions[i].kind);
    }
    if (event->has_data) {
        sp_flow_out_data(out, event->data);
    }
}

static sp_str slice(const struct sp_flow_out *out, struct sp_flow_slice at) {
    /* An empty text is there all the same: its ptr is not NULL. */
    return at.len == 0 ? SP_STR("") : sp_str_of(out->text.data + at.offset, at.len);
}

void sp_flow_out_event(const struct sp_flow_out *out, uint32_t index, struct sp_event *ret_event) {
    sp_require(index < out->count && sp_flow_out_status(out) == SP_OK);
    const struct sp_flow_out_event *event = &out->events[index];
    ret_event->position = 0;
    ret_event->version = 0;
    ret_event->recorded_us = 0;
    ret_event->entry_seq = 0;
    for (unsigned i = 0; i < SP_ATTR_COUNT; i++) {
        bool is_there = (event->present >> i & 1) != 0;
        ret_event->attr[i] = is_there ? slice(out, event->attr[i]) : (sp_str){.ptr = NULL};
    }
    ret_event->data = event->has_data ? slice(out, event->data) : (sp_str){.ptr = NULL};
    ret_event->has_data = event->has_data;
    ret_event->data_is_json = event->has_data && (event->present >> SP_ATTR_CONTENTTYPE & 1) == 0;
    ret_event->is_history = false;
    ret_event->extension_count = (uint16_t)event->extension_count;
    for (unsigned i = 0; i < event->extension_count; i++) {
        const struct sp_flow_out_extension *from = &event->extensions[i];
        ret_event->extensions[i] = (struct sp_extension){
            .name = slice(out, from->name), .value = slice(out, from->value), .kind = from->kind};
    }
}
