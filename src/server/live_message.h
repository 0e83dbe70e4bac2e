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
 * that of event/event_json.h.
 */
#ifndef SP_SERVER_LIVE_MESSAGE_H
#define SP_SERVER_LIVE_MESSAGE_H

#include "base/blob.h"
#include "proto/resp_write.h"
#include "record/event.h"

enum sp_message_form {
    SP_FORM_MESSAGE = 0,
    SP_FORM_PMESSAGE,
    SP_FORM_SMESSAGE,
    SP_FORM_EVENT,
    SP_FORM_SSE,
    SP_FORM_SSE_TYPED,
    SP_MESSAGE_FORMS,
};

enum { SP_MESSAGE_VERSIONS = 2 }; /* RESP2 and RESP3 */

/* One encoded form. */
struct sp_message_kept {
    struct sp_blob *blob; /* NULL: not made yet */
    struct sp_buf name;   /* that it was made with, where it has one */
};

/* All fields are its own. Holds the memory of the largest event until sp_messages_done. */
struct sp_messages {
    const struct sp_event *event; /* NULL: a message that is not stored */
    sp_str channel;
    sp_str payload; /* NULL ptr: not made yet */
    bool has_line;
    struct sp_buf line;    /* the JSON line */
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
