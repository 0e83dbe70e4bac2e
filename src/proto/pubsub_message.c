#include "proto/pubsub_message.h"

#include "event/event_json.h"
#include "proto/entry.h"
#include "proto/payload.h"

static void add_extension(struct sp_event *event, sp_str name, sp_str value) {
    sp_require(event->extension_count < SP_EVENT_EXTENSIONS_MAX);
    event->extensions[event->extension_count++] =
        (struct sp_extension){.name = name, .value = value, .kind = SP_VALUE_STRING};
}

void sp_message_to_event(const struct sp_message *message, struct sp_event *ret_event) {
    struct sp_event *event = ret_event;
    memset(event, 0, offsetof(struct sp_event, extensions));
    event->attr[SP_ATTR_TYPE] = message->channel;
    event->attr[SP_ATTR_SOURCE] = message->source;
    event->attr[SP_ATTR_STREAM] = message->stream;
    if (sp_event_type_check(message->channel, NULL) != SP_OK) {
        event->attr[SP_ATTR_TYPE] = SP_STR(SP_MESSAGE_TYPE);
        add_extension(event, SP_STR(SP_MESSAGE_CHANNEL_NAME), message->channel);
    }
    payload_set(event, message->bytes, payload_json_type(message->bytes));
    add_extension(event, SP_STR(SP_ENTRY_LAYOUT_NAME), SP_STR(SP_MESSAGE_MARK));
}

static const struct sp_extension *find_extension(const struct sp_event *event, sp_str name) {
    for (unsigned i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, name)) {
            return &event->extensions[i];
        }
    }
    return NULL;
}

bool sp_message_is_published(const struct sp_event *event) {
    const struct sp_extension *mark = find_extension(event, SP_STR(SP_ENTRY_LAYOUT_NAME));
    return mark != NULL && event->has_data && sp_str_eq(mark->value, SP_STR(SP_MESSAGE_MARK));
}

sp_str sp_message_channel(const struct sp_event *event) {
    sp_str type = event->attr[SP_ATTR_TYPE];
    if (sp_str_eq(type, SP_STR(SP_MESSAGE_TYPE)) && sp_message_is_published(event)) {
        const struct sp_extension *channel = find_extension(event, SP_STR(SP_MESSAGE_CHANNEL_NAME));
        return channel != NULL ? channel->value : type;
    }
    return type;
}

sp_str sp_message_bytes(const struct sp_event *event, const uint8_t hash[32],
                        struct sp_buf *scratch) {
    if (sp_message_is_published(event)) {
        return event->data;
    }
    size_t from = scratch->len;
    sp_event_to_json(event, hash, scratch);
    return scratch->status == SP_OK ? sp_str_of(scratch->data + from, scratch->len - from)
                                    : sp_str_of(NULL, 0);
}
