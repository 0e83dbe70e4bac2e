/*
 * Messages of PUBLISH and SUBSCRIBE as events, and back. pure
 *
 * In: `PUBLISH channel message` is an event with the channel as its type and the message as its
 * data: JSON if it is JSON, else text/plain or application/octet-stream. A channel that is no valid
 * type gives the type `redis.message`, and is kept in the extension `channel`. The extension
 * `redisfields` with the text "!" marks the event (entry.h says what else that extension holds).
 *
 * Out: the message of a marked event is its data's bytes; of any other event its JSON line
 * (event/event_json.h). The channel of a marked event is the one it was published to; of any other
 * event its type.
 */
#ifndef SP_PROTO_PUBSUB_MESSAGE_H
#define SP_PROTO_PUBSUB_MESSAGE_H

#include "event/envelope.h"

#define SP_MESSAGE_TYPE         "redis.message"
#define SP_MESSAGE_CHANNEL_NAME "channel"
#define SP_MESSAGE_MARK         "!"

struct sp_message {
    sp_str channel;
    sp_str bytes;
    sp_str source; /* a usable source: the client's name */
    sp_str stream; /* NULL ptr: the source */
};

/*
 * Makes the event of a message. Its slices point into the message and constants. Submit it as
 * SP_EVENT_FROM_JSON; the limits are checked there. O(bytes).
 */
void sp_message_to_event(const struct sp_message *message, struct sp_event *ret_event);

/* True where the event came by PUBLISH. */
bool sp_message_is_published(const struct sp_event *event);

/* The channel that SUBSCRIBE and PSUBSCRIBE patterns are compared with; borrowed from the event. */
sp_str sp_message_channel(const struct sp_event *event);

/*
 * The bytes that subscribers are given: borrowed from the event, or appended to scratch and there
 * until it changes. `hash` is the event's leaf hash, or NULL. Failure sticks in scratch, and the
 * result is empty. O(bytes).
 */
sp_str sp_message_bytes(const struct sp_event *event, const uint8_t hash[32],
                        struct sp_buf *scratch);

#endif
