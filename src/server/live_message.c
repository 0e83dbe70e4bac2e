#include "server/live_message.h"

#include "base/assert.h"
#include "event/event_json.h"
#include "proto/pubsub_message.h"
#include "record/entry_id.h"

enum {
    MESSAGE_BYTES_MAX = 1 << 30,
    KEPT_BYTES_MAX = 256 << 10, /* of each buffer, between events */
    BLOB_ALIGN = 16,
};

void sp_messages_init(struct sp_messages *messages) {
    *messages = (struct sp_messages){.event = NULL};
    sp_buf_init(&messages->line, MESSAGE_BYTES_MAX);
    sp_buf_init(&messages->view_line, MESSAGE_BYTES_MAX);
    sp_buf_init(&messages->scratch, MESSAGE_BYTES_MAX);
    sp_buf_init(&messages->wire, MESSAGE_BYTES_MAX);
    for (unsigned form = 0; form < SP_MESSAGE_FORMS; form++) {
        for (unsigned version = 0; version < SP_MESSAGE_VERSIONS; version++) {
            sp_buf_init(&messages->kept[form][version].name, MESSAGE_BYTES_MAX);
        }
    }
}

static void forget(struct sp_messages *messages) {
    for (unsigned form = 0; form < SP_MESSAGE_FORMS; form++) {
        for (unsigned version = 0; version < SP_MESSAGE_VERSIONS; version++) {
            sp_blob_unref(messages->kept[form][version].blob);
            messages->kept[form][version].blob = NULL;
        }
    }
    messages->event = NULL;
    messages->payload = (sp_str){.ptr = NULL};
    messages->has_line = false;
    messages->has_view = false;
}

static void let_go(struct sp_buf *buf) {
    if (buf->capacity > KEPT_BYTES_MAX) {
        size_t most = buf->size_bytes_max;
        sp_buf_fini(buf);
        sp_buf_init(buf, most);
    }
}

void sp_messages_done(struct sp_messages *messages) {
    forget(messages);
    let_go(&messages->line);
    let_go(&messages->view_line);
    let_go(&messages->scratch);
    let_go(&messages->wire);
}

void sp_messages_fini(struct sp_messages *messages) {
    forget(messages);
    sp_buf_fini(&messages->line);
    sp_buf_fini(&messages->view_line);
    sp_buf_fini(&messages->scratch);
    sp_buf_fini(&messages->wire);
    for (unsigned form = 0; form < SP_MESSAGE_FORMS; form++) {
        for (unsigned version = 0; version < SP_MESSAGE_VERSIONS; version++) {
            sp_buf_fini(&messages->kept[form][version].name);
        }
    }
}

void sp_messages_event(struct sp_messages *messages, const struct sp_event *event) {
    forget(messages);
    messages->event = event;
    messages->channel = sp_message_channel(event);
}

void sp_messages_plain(struct sp_messages *messages, sp_str channel, sp_str payload) {
    forget(messages);
    messages->channel = channel;
    messages->payload = sp_str_of(payload.len > 0 ? payload.ptr : "", payload.len);
}

/* -- Parts ------------------------------------------------------------------------------------- */

/* The JSON line, made once; false where memory is out. */
static bool make_line(struct sp_messages *messages) {
    if (!messages->has_line) {
        sp_buf_reset(&messages->line);
        sp_event_to_json(messages->event, NULL, &messages->line);
        messages->has_line = true;
    }
    return messages->line.status == SP_OK;
}

static bool is_raw(enum sp_message_form form) {
    return form == SP_FORM_EVENT_RAW || form == SP_FORM_SSE_RAW || form == SP_FORM_SSE_TYPED_RAW;
}

/* The line as readers see it, made once. */
static void make_view(struct sp_messages *messages) {
    const struct sp_event *seen = messages->event;
    if (messages->has_view) {
        return;
    }
    messages->has_view = true;
    messages->view_status = SP_OK;
    sp_error_clear(&messages->view_error);
    if (messages->view != NULL) {
        messages->view_status =
            messages->view(messages->view_context, seen, &seen, &messages->view_error);
    }
    messages->view_differs = seen != messages->event;
    if (messages->view_status == SP_OK && messages->view_differs) {
        sp_buf_reset(&messages->view_line);
        sp_event_to_json(seen, NULL, &messages->view_line);
        messages->view_status = messages->view_line.status;
    }
}

sp_status sp_messages_check(struct sp_messages *messages, enum sp_message_form form,
                            const struct sp_error **ret_error) {
    if (is_raw(form)) {
        return SP_OK;
    }
    make_view(messages);
    *ret_error = &messages->view_error;
    return messages->view_status;
}

/* The line of a form. NULL ptr: memory is out, or the event cannot be brought up. */
static sp_str line_of(struct sp_messages *messages, enum sp_message_form form) {
    if (!is_raw(form)) {
        make_view(messages);
        if (messages->view_status != SP_OK) {
            return sp_str_of(NULL, 0);
        }
        if (messages->view_differs) {
            return sp_buf_str(&messages->view_line);
        }
    }
    return make_line(messages) ? sp_buf_str(&messages->line) : sp_str_of(NULL, 0);
}

static bool make_payload(struct sp_messages *messages) {
    if (messages->payload.ptr != NULL) {
        return true;
    }
    if (!sp_message_is_published(messages->event)) {
        bool made = make_line(messages);
        messages->payload = sp_buf_str(&messages->line);
        return made;
    }
    sp_buf_reset(&messages->scratch);
    sp_str bytes = sp_message_bytes(messages->event, NULL, &messages->scratch);
    messages->payload = sp_str_of(bytes.len > 0 ? bytes.ptr : "", bytes.len);
    return messages->scratch.status == SP_OK;
}

/* -- Forms ------------------------------------------------------------------------------------- */

static void write_message(struct sp_messages *messages, struct sp_resp *resp,
                          enum sp_message_form form, sp_str glob) {
    bool by_glob = form == SP_FORM_PMESSAGE;
    sp_resp_push(resp, by_glob ? 4 : 3);
    sp_resp_bulk_text(resp, by_glob                    ? "pmessage"
                            : form == SP_FORM_SMESSAGE ? "smessage"
                                                       : "message");
    if (by_glob) {
        sp_resp_bulk(resp, glob);
    }
    sp_resp_bulk(resp, messages->channel);
    sp_resp_bulk(resp, messages->payload);
}

static void write_event(struct sp_messages *messages, struct sp_resp *resp, sp_str line,
                        sp_str name) {
    const struct sp_event *event = messages->event;
    char id[SP_ENTRY_ID_TEXT_SIZE];
    size_t id_len =
        sp_entry_id_format(sp_entry_id_of_log(event->recorded_us, event->entry_seq), id);
    sp_resp_push(resp, 5);
    sp_resp_bulk_text(resp, "event");
    sp_resp_bulk(resp, name);
    sp_resp_unsigned(resp, event->position);
    sp_resp_bulk(resp, sp_str_of(id, id_len));
    sp_resp_bulk(resp, line);
}

/* The JSON line has no line ends, nor has a type: each field is one line. */
static void write_sse(struct sp_messages *messages, bool typed, sp_str line, sp_str log) {
    const struct sp_event *event = messages->event;
    struct sp_buf *to = &messages->wire;
    sp_buf_add_str(to, SP_STR("id: "));
    sp_buf_add_u64(to, event->position);
    sp_buf_add_byte(to, '@');
    sp_buf_add_str(to, log);
    if (typed) {
        sp_buf_add_str(to, SP_STR("\nevent: "));
        sp_buf_add_str(to, event->attr[SP_ATTR_TYPE]);
    }
    sp_buf_add_str(to, SP_STR("\ndata: "));
    sp_buf_add_str(to, line);
    sp_buf_add_str(to, SP_STR("\n\n"));
}

static struct sp_blob *blob_of(const struct sp_buf *wire) {
    struct sp_blob *blob = wire->status == SP_OK ? sp_blob_new(wire->len, BLOB_ALIGN) : NULL;
    if (blob != NULL) {
        memcpy(blob->data, wire->data, wire->len);
        blob->len = wire->len;
    }
    return blob;
}

static bool is_of_event(enum sp_message_form form) {
    return form == SP_FORM_EVENT || form == SP_FORM_EVENT_RAW || sp_message_form_is_stream(form);
}

static struct sp_blob *encode(struct sp_messages *messages, enum sp_message_form form, int version,
                              sp_str name) {
    struct sp_resp resp = {.to = &messages->wire, .version = version};
    sp_str line = is_of_event(form) ? line_of(messages, form) : SP_STR("");
    bool made = is_of_event(form) ? line.ptr != NULL : make_payload(messages);
    sp_buf_reset(&messages->wire);
    if (!made) {
        return NULL;
    }
    if (sp_message_form_is_stream(form)) {
        write_sse(messages, form == SP_FORM_SSE_TYPED || form == SP_FORM_SSE_TYPED_RAW, line, name);
    } else if (is_of_event(form)) {
        write_event(messages, &resp, line, name);
    } else {
        write_message(messages, &resp, form, name);
    }
    messages->encoded++;
    return blob_of(&messages->wire);
}

struct sp_blob *sp_messages_get(struct sp_messages *messages, enum sp_message_form form,
                                int version, sp_str name) {
    sp_require(version == SP_RESP_2 || version == SP_RESP_3);
    bool of_event = is_of_event(form);
    sp_require(!of_event || messages->event != NULL);
    struct sp_message_kept *kept = &messages->kept[form][version - SP_RESP_2];
    bool named = form == SP_FORM_PMESSAGE || of_event;
    if (kept->blob != NULL && (!named || sp_str_eq(sp_buf_str(&kept->name), name))) {
        return kept->blob;
    }
    sp_blob_unref(kept->blob);
    kept->blob = encode(messages, form, version, name);
    sp_buf_reset(&kept->name);
    if (named) {
        sp_buf_add_str(&kept->name, name);
    }
    if (kept->name.status != SP_OK) {
        sp_blob_unref(kept->blob);
        kept->blob = NULL;
    }
    return kept->blob;
}
