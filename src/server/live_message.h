/*
 * What subscribers are sent of one event, each form of it encoded once and shared. loop-thread
 *
 *     message    channel, payload                        SUBSCRIBE
 *     pmessage   glob, channel, payload                  PSUBSCRIBE
 *     smessage   channel, payload                        SSUBSCRIBE
 *     event      name, position, entry id, JSON line     SPOOR.SUBSCRIBE
 *     sse        id, JSON line                           GET /v1/subscribe
 *     sse_typed  id, type, JSON line                     the same with ?event=type
 *
 * The first four are arrays of bulk strings that begin with the form's own name (the position is an
 * integer), as a push for RESP3. The last two are server-sent events, the id being
 * `<position>@<log>`. Payload and channel are those of proto/pubsub_message.h; the JSON line is
 * that of event/event_json.h, of the event brought up where there is something that does so.
 */
#ifndef SP_SERVER_LIVE_MESSAGE_H
#define SP_SERVER_LIVE_MESSAGE_H

#include "base/blob.h"
#include "base/error.h"
#include "proto/resp_write.h"
#include "record/event.h"

enum sp_message_form {
    SP_FORM_MESSAGE = 0,
    SP_FORM_PMESSAGE,
    SP_FORM_SMESSAGE,
    SP_FORM_EVENT,
    SP_FORM_SSE,
    SP_FORM_SSE_TYPED,
    SP_FORM_EVENT_RAW, /* the last three again, of the event as it is stored */
    SP_FORM_SSE_RAW,
    SP_FORM_SSE_TYPED_RAW,
    SP_MESSAGE_FORMS,
};

/* True for those that are server-sent events. */
static inline bool sp_message_form_is_stream(enum sp_message_form form) {
    return form == SP_FORM_SSE || form == SP_FORM_SSE_TYPED || form == SP_FORM_SSE_RAW ||
           form == SP_FORM_SSE_TYPED_RAW;
}

enum { SP_MESSAGE_VERSIONS = 2 }; /* RESP2 and RESP3 */

/* The event as readers see it: itself or another, valid until the next call. */
typedef sp_status sp_message_view_fn(void *context, const struct sp_event *event,
                                     const struct sp_event **ret_event, struct sp_error *error);

/* One encoded form. */
struct sp_message_kept {
    struct sp_blob *blob; /* NULL: not made yet */
    struct sp_buf name;   /* that it was made with, where it has one */
};

/* All fields are its own. Holds the memory of the largest event until sp_messages_done. */
struct sp_messages {
    const struct sp_event *event; /* NULL: a message that is not stored */
    sp_str channel;
    sp_str payload;           /* NULL ptr: not made yet */
    sp_message_view_fn *view; /* NULL: all is shown as it is stored */
    void *view_context;
    bool has_line;
    struct sp_buf line; /* the JSON line of the event as it is stored */
    bool has_view;      /* the next three are made */
    bool view_differs;  /* view_line is of its own; else `line` is it */
    sp_status view_status;
    struct sp_buf view_line;
    struct sp_error view_error;
    struct sp_buf scratch; /* of the payload */
    struct sp_buf wire;    /* of what is being encoded */
    struct sp_message_kept kept[SP_MESSAGE_FORMS][SP_MESSAGE_VERSIONS];
    uint64_t encoded; /* how many were, for tests and metrics */
};

void sp_messages_init(struct sp_messages *messages);
void sp_messages_fini(struct sp_messages *messages);

/* Goes over to an event, which is borrowed until the next one. */
void sp_messages_event(struct sp_messages *messages, const struct sp_event *event);

/* Goes over to a message that is not stored, borrowed likewise. */
void sp_messages_plain(struct sp_messages *messages, sp_str channel, sp_str payload);

/*
 * SP_OK where the form of the event can be made as far as bringing it up goes; else the status, and
 * *ret_error says why until the next event.
 */
SP_WARN_UNUSED sp_status sp_messages_check(struct sp_messages *messages, enum sp_message_form form,
                                           const struct sp_error **ret_error);

/* Lets what is kept of the event go, and large buffers. */
void sp_messages_done(struct sp_messages *messages);

/*
 * The message in this form and version (SP_RESP_2 or SP_RESP_3; of a server-sent event SP_RESP_2).
 * `name` is the glob of a pmessage, of an event the subscription's name, of a server-sent event
 * what identifies the log; of others it is not looked at. Borrowed until the next call
 * of any kind; whoever keeps it takes a reference. NULL where memory is out. Encoding costs
 * O(bytes), the next call for the same form, version and name O(1).
 */
struct sp_blob *sp_messages_get(struct sp_messages *messages, enum sp_message_form form,
                                int version, sp_str name);

#endif
