/*
 * PUBLISH appends an event, and its subscribers hear of it when it is durable. What matches a topic
 * of ephemeral-topics, and what SPUBLISH sends, is not stored: it is handed out when the turn ends,
 * to those who take it then.
 */
#include "match/pattern.h"
#include "proto/pubsub_message.h"
#include "server/pubsub_int.h"

/* -- Messages that are not stored -------------------------------------------------------------- */

/* In `plain` each has this before it: its bytes follow, channel first. */
struct plain_head {
    bool shard;
    size_t channel_len;
    size_t payload_len;
};

static bool is_ephemeral(const struct sp_pubsub *pubsub, sp_str channel) {
    sp_str rest = sp_settings_text(&pubsub->server->settings, SP_SET_EPHEMERAL_TOPICS);
    while (rest.len > 0) {
        size_t len = 0;
        while (len < rest.len && rest.ptr[len] != ' ') {
            len++;
        }
        sp_str pattern = sp_str_of(rest.ptr, len);
        rest = sp_str_from_byte(rest, len < rest.len ? len + 1 : len);
        if (len > 0 && sp_pattern_check(pattern, NULL) == SP_OK &&
            sp_pattern_match(pattern, channel)) {
            return true;
        }
    }
    return false;
}

static void on_plain(void *context, struct sp_live_interest *interest, sp_str name) {
    struct sp_pubsub *pubsub = context;
    const struct named *named = (const struct named *)interest;
    enum sp_message_form form = interest->kind == SP_LIVE_GLOB    ? SP_FORM_PMESSAGE
                                : interest->kind == SP_LIVE_SHARD ? SP_FORM_SMESSAGE
                                                                  : SP_FORM_MESSAGE;
    if (!pubsub_push(named->subscriber, form, name)) {
        pubsub->plain_dropped++;
    }
}

void pubsub_flush_plain(struct sp_pubsub *pubsub) {
    size_t at = 0;
    while (at < pubsub->plain.len) {
        struct plain_head head;
        memcpy(&head, pubsub->plain.data + at, sizeof(head));
        at += sizeof(head);
        sp_str channel = sp_str_of(pubsub->plain.data + at, head.channel_len);
        at += head.channel_len;
        sp_str payload = sp_str_of(pubsub->plain.data + at, head.payload_len);
        at += head.payload_len;
        sp_messages_plain(&pubsub->messages, channel, payload);
        if (head.shard) {
            sp_live_match_shard(pubsub->live, channel, on_plain, pubsub);
        } else {
            sp_live_match_channel(pubsub->live, channel, on_plain, pubsub);
        }
    }
    if (at > 0) {
        sp_messages_done(&pubsub->messages);
        sp_buf_fini(&pubsub->plain);
        sp_buf_init(&pubsub->plain, SIZE_MAX / 2);
    }
}

/* Keeps a message until the turn ends. False where there are too many. */
static bool queue_plain(struct sp_pubsub *pubsub, bool shard, sp_str channel, sp_str payload) {
    struct plain_head head = {
        .shard = shard, .channel_len = channel.len, .payload_len = payload.len};
    if (pubsub->plain.len > PLAIN_QUEUE_BYTES_MAX) {
        return false;
    }
    size_t from = pubsub->plain.len;
    sp_buf_add(&pubsub->plain, &head, sizeof(head));
    sp_buf_add_str(&pubsub->plain, channel);
    sp_buf_add_str(&pubsub->plain, payload);
    if (pubsub->plain.status != SP_OK) {
        pubsub->plain.len = from;
        pubsub->plain.status = SP_OK;
        return false;
    }
    return true;
}

static enum sp_verdict publish_plain(struct sp_request *request, enum sp_live_kind kind) {
    struct sp_pubsub *pubsub = request->server->pubsub;
    size_t receivers = sp_live_receivers(pubsub->live, kind, request->args[1]);
    if (receivers > 0 &&
        !queue_plain(pubsub, kind == SP_LIVE_SHARD, request->args[1], request->args[2])) {
        if (request->in_transaction) {
            return sp_reply_error(request, "too many messages that are not stored in one turn");
        }
        request->server->again = true;
        return SP_LATER;
    }
    request->lazy = true; /* nothing was appended */
    sp_resp_unsigned(request->reply, receivers);
    return SP_DONE;
}

/* -- Messages that are ------------------------------------------------------------------------- */

enum sp_verdict sp_on_publish(struct sp_request *request) {
    struct sp_server *server = request->server;
    struct sp_pubsub *pubsub = server->pubsub;
    if (is_ephemeral(pubsub, request->args[1])) {
        return publish_plain(request, SP_LIVE_CHANNEL);
    }
    const sp_str source = sp_connection_source(request->connection);
    const sp_str no_stream = {.ptr = NULL}; /* the source, which may not be the store's own */
    const struct sp_message message = {
        .channel = request->args[1],
        .bytes = request->args[2],
        .source = source,
        .stream = sp_str_starts_with(source, SP_STR("$")) ? SP_STR("redis") : no_stream,
    };
    struct sp_bus_added added;
    struct sp_error error;
    sp_error_clear(&error);
    sp_message_to_event(&message, &server->event);
    sp_status status =
        sp_bus_append(server->bus, &server->event, (uint64_t)SP_CORE_ANY_VERSION, &added, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    request->appended = true;
    sp_resp_unsigned(request->reply,
                     sp_live_receivers(pubsub->live, SP_LIVE_CHANNEL, request->args[1]));
    return SP_DONE;
}

enum sp_verdict sp_on_spublish(struct sp_request *request) {
    return publish_plain(request, SP_LIVE_SHARD);
}
