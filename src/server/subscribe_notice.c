/*
 * Events about subscribers that do not keep up, for people and for whatever wants to react:
 * `agent.backpressure` when an episode begins, `agent.backpressure_cleared` when it is over.
 */
#include <stdlib.h>

#include "base/json.h"
#include "server/pubsub_int.h"

static const char *const TYPES[] = {"agent.backpressure_cleared", "agent.backpressure"};

static void add_key(struct sp_buf *to, const char *key) {
    sp_buf_add_byte(to, to->len == 0 ? '{' : ',');
    sp_json_add_string(to, sp_str_from(key));
    sp_buf_add_byte(to, ':');
}

static void add_number(struct sp_buf *to, const char *key, uint64_t value) {
    add_key(to, key);
    sp_buf_add_u64(to, value);
}

/* Names are any bytes in Redis; what is no text is left out. */
static void add_text(struct sp_buf *to, const char *key, sp_str value) {
    if (value.ptr != NULL && sp_utf8_valid(value)) {
        add_key(to, key);
        sp_json_add_string(to, value);
    }
}

static void describe(const struct outlet *outlet, bool begins, struct sp_buf *to) {
    const struct sp_subscriber *subscriber = outlet->subscriber;
    const struct sp_connection *connection = subscriber->connection;
    const struct sp_feed *feed = &outlet->feed;
    uint64_t durable = sp_engine_durable_position(subscriber->pubsub->server->engine);
    const struct watch *watch = outlet->is_watch ? (const struct watch *)outlet : NULL;
    sp_str name = watch == NULL            ? SP_STR("channels")
                  : watch_is_stream(watch) ? SP_STR("sse")
                                           : watch->name;
    add_number(to, "client", connection->id);
    add_text(to, "name", sp_str_from(connection->name));
    add_text(to, "address", sp_str_from(connection->peer));
    add_text(to, "subscription", name);
    add_number(to, "position", feed->fell_at);
    add_number(to, "lag",
               feed->next <= durable && feed->state != SP_FEED_LIVE ? durable - feed->next + 1 : 0);
    if (begins) {
        add_number(to, "buffered", sp_connection_unsent(connection));
    }
    sp_buf_add_byte(to, '}');
}

void pubsub_notice(struct outlet *outlet, bool begins) {
    struct sp_pubsub *pubsub = outlet->subscriber->pubsub;
    if (pubsub->notices == NULL) {
        pubsub->notices = calloc(NOTICES_MAX, sizeof(*pubsub->notices));
    }
    if (pubsub->notices == NULL || pubsub->notice_count == NOTICES_MAX) {
        pubsub->notices_dropped++;
        return;
    }
    struct notice *notice =
        &pubsub->notices[(pubsub->notice_start + pubsub->notice_count) % NOTICES_MAX];
    notice->begins = begins;
    sp_buf_init(&notice->data, SIZE_MAX / 2);
    describe(outlet, begins, &notice->data);
    if (notice->data.status != SP_OK) {
        sp_buf_fini(&notice->data);
        pubsub->notices_dropped++;
        return;
    }
    pubsub->notice_count++;
    pubsub->server->again = true;
}

/* Straight to the engine: the bus keeps clients from streams that begin with `$`. */
static sp_status append(struct sp_pubsub *pubsub, const struct notice *notice) {
    struct sp_event *event = &pubsub->event;
    struct sp_engine_result result;
    struct sp_error error;
    sp_error_clear(&error);
    *event = (struct sp_event){.has_data = true, .data_is_json = true};
    event->attr[SP_ATTR_TYPE] = sp_str_from(TYPES[notice->begins]);
    event->attr[SP_ATTR_SOURCE] = SP_STR("spoor");
    event->attr[SP_ATTR_STREAM] = SP_STR("$subscribers");
    event->data = sp_buf_str(&notice->data);
    const struct sp_engine_append append = {
        .events = event, .count = 1, .origin = SP_EVENT_FROM_JSON, .results = &result};
    sp_status status = sp_engine_submit(pubsub->server->engine, &append, &error);
    if (status != SP_OK && status != SP_BUSY) {
        sp_say(&pubsub->server->logger, SP_LEVEL_WARN, "backpressure could not be announced",
               SP_FIELD_TEXT("error", sp_str_from(error.text)));
    }
    return status;
}

bool pubsub_append_notices(struct sp_pubsub *pubsub) {
    bool appended = false;
    while (pubsub->notice_count > 0) {
        struct notice *notice = &pubsub->notices[pubsub->notice_start];
        if (append(pubsub, notice) == SP_BUSY) {
            return appended; /* the next turn tries again */
        }
        sp_buf_fini(&notice->data);
        pubsub->notice_start = (pubsub->notice_start + 1) % NOTICES_MAX;
        pubsub->notice_count--;
        (void)sp_bus_gate(pubsub->server->bus);
        appended = true;
    }
    return appended;
}

void pubsub_free_notices(struct sp_pubsub *pubsub) {
    for (uint32_t i = 0; i < pubsub->notice_count; i++) {
        sp_buf_fini(&pubsub->notices[(pubsub->notice_start + i) % NOTICES_MAX].data);
    }
    free(pubsub->notices);
    pubsub->notices = NULL;
    pubsub->notice_count = 0;
}
