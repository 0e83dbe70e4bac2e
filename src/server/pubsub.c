/*
 * Between the server's hooks, who wants to hear of what (live.h), at which pace (subscribe.h) and
 * in which form (live_message.h).
 */
#include "server/pubsub.h"

#include <stdio.h>
#include <stdlib.h>

#include "match/pattern.h"
#include "proto/pubsub_message.h"
#include "server/http.h"
#include "server/pubsub_int.h"
#include "server/upcasting.h"

enum { CURSOR_TYPES_MAX = 64, POSITION_TEXT_SIZE = 24 };

uint64_t pubsub_head(const struct sp_pubsub *pubsub) {
    return sp_engine_core(pubsub->server->engine)->position;
}

/* -- Subscribers ------------------------------------------------------------------------------- */

struct sp_subscriber *pubsub_subscriber(struct sp_connection *connection) {
    if (connection->subscriber != NULL) {
        return connection->subscriber;
    }
    struct sp_subscriber *subscriber = calloc(1, sizeof(*subscriber));
    if (subscriber == NULL) {
        return NULL;
    }
    subscriber->pubsub = connection->server->pubsub;
    subscriber->connection = connection;
    subscriber->outlet.subscriber = subscriber;
    sp_htab_init(&subscriber->table);
    connection->subscriber = subscriber;
    return subscriber;
}

void pubsub_changed(struct sp_subscriber *subscriber) {
    struct sp_pubsub *pubsub = subscriber->pubsub;
    subscriber->connection->subscription_count = subscriber->named_count + subscriber->watch_count;
    bool wanted = sp_live_count(pubsub->live) > 0;
    if (wanted != pubsub->listening) {
        pubsub->listening = wanted;
        sp_server_listen(pubsub->server, wanted);
        if (wanted) {
            sp_feeds_listen(&pubsub->feeds, sp_engine_durable_position(pubsub->server->engine));
        }
    }
}

static void forget_watches(struct sp_subscriber *subscriber) {
    while (subscriber->watches != NULL) {
        struct watch *watch = subscriber->watches;
        subscriber->watches = watch->next;
        pubsub_free_watch(watch);
    }
    subscriber->watch_count = 0;
}

static void on_closed(struct sp_server *server, void *context, struct sp_connection *connection) {
    (void)server;
    (void)context;
    struct sp_subscriber *subscriber = connection->subscriber;
    if (subscriber == NULL) {
        return;
    }
    pubsub_forget_names(subscriber);
    forget_watches(subscriber);
    pubsub_changed(subscriber);
    connection->subscriber = NULL;
    sp_htab_fini(&subscriber->table);
    free(subscriber->named);
    free(subscriber);
}

/* Rather lag than be closed: half of what all clients together may take is taken. */
static bool is_short_of_memory(const struct sp_connection *connection) {
    const struct sp_server *server = connection->server;
    uint64_t budget = sp_settings_u64(&server->settings, SP_SET_MEMORY_BUDGET);
    return budget != 0 && server->buffer_bytes > budget / 2;
}

bool pubsub_push(struct sp_subscriber *subscriber, enum sp_message_form form, sp_str name) {
    struct sp_connection *connection = subscriber->connection;
    if (sp_connection_unsent(connection) > FEED_UNSENT_MAX && is_short_of_memory(connection)) {
        return false;
    }
    struct sp_blob *blob =
        sp_messages_get(&subscriber->pubsub->messages, form, connection->resp.version, name);
    if (sp_message_form_is_stream(form)) {
        return blob != NULL && sp_http_stream_push(connection, blob);
    }
    return blob != NULL && sp_connection_push(connection, blob);
}

/* -- Live -------------------------------------------------------------------------------------- */

/* What is being handed out. */
struct handing {
    struct sp_pubsub *pubsub;
    const struct sp_event *event;
};

/* Telling of a subscriber that falls over this event would only make another such event. */
static bool is_about_subscribers(const struct sp_event *event) {
    return sp_str_eq(event->attr[SP_ATTR_STREAM], SP_STR("$subscribers"));
}

/* Whether the event at hand can be shown to the watch; else that is ended with the turn. */
static bool can_show(struct sp_pubsub *pubsub, struct watch *watch) {
    const struct sp_error *error = NULL;
    if (watch->trouble != NULL) {
        return false;
    }
    if (sp_messages_check(&pubsub->messages, watch->form, &error) == SP_OK) {
        return true;
    }
    pubsub_stop_watch(watch, error);
    return false;
}

static bool hand_out(const struct handing *handing, struct outlet *outlet,
                     enum sp_message_form form, sp_str name) {
    struct sp_feed *feed = &outlet->feed;
    if (!sp_feed_takes(feed, handing->event->position)) {
        return false;
    }
    if (outlet->is_watch && !can_show(handing->pubsub, watch_of(outlet))) {
        return false;
    }
    if (!pubsub_push(outlet->subscriber, form, name)) {
        sp_feed_falls(&handing->pubsub->feeds, feed, handing->event->position,
                      is_about_subscribers(handing->event));
        return false;
    }
    sp_feed_gave(feed);
    return true;
}

static void on_named(void *context, struct sp_live_interest *interest, sp_str name) {
    const struct handing *handing = context;
    const struct named *named = (const struct named *)interest;
    if (handing->event->position > named->since) {
        (void)hand_out(handing, &named->subscriber->outlet,
                       interest->kind == SP_LIVE_GLOB ? SP_FORM_PMESSAGE : SP_FORM_MESSAGE, name);
    }
}

static void on_watched(void *context, struct sp_live_interest *interest, sp_str name) {
    (void)name;
    const struct handing *handing = context;
    struct watch *watch = watch_of_interest(interest);
    if (hand_out(handing, &watch->outlet, watch->form, watch->name)) {
        sp_feed_took(&handing->pubsub->feeds, &watch->outlet.feed);
    }
}

static void on_live(struct sp_server *server, void *context, const struct sp_event *event) {
    (void)server;
    struct sp_pubsub *pubsub = context;
    struct handing handing = {.pubsub = pubsub, .event = event};
    if (!pubsub->listening) {
        return; /* somebody else is */
    }
    if (event->position <= pubsub->feeds.seen) {
        return; /* it was durable when listening began, and is shown a little later: history */
    }
    sp_feeds_live(&pubsub->feeds, event->position);
    sp_messages_event(&pubsub->messages, event);
    sp_live_match_channel(pubsub->live, pubsub->messages.channel, on_named, &handing);
    sp_live_match_event(pubsub->live, event, on_watched, &handing);
}

/* -- What the feeds read with ------------------------------------------------------------------ */

static size_t format_position(uint64_t position, char text[POSITION_TEXT_SIZE]) {
    return sp_decimal_format(position, text);
}

/*
 * The types that the events of a client's channels have, where they are few and there are no globs;
 * 0: every event is to be looked at.
 */
static size_t channel_types(const struct sp_subscriber *subscriber,
                            sp_str types[CURSOR_TYPES_MAX]) {
    bool other = false;
    size_t count = 0;
    if (subscriber->counts[SP_LIVE_GLOB] > 0 ||
        subscriber->counts[SP_LIVE_CHANNEL] >= CURSOR_TYPES_MAX) {
        return 0;
    }
    for (uint32_t i = 0; i < subscriber->named_count; i++) {
        const struct named *named = subscriber->named[i];
        sp_str name = sp_str_of(named->text, named->len);
        if (named->interest.kind != SP_LIVE_CHANNEL) {
            continue;
        }
        if (sp_pattern_check(name, NULL) == SP_OK && sp_pattern_is_exact(name)) {
            types[count++] = name;
        } else {
            other = true;
        }
    }
    if (other) {
        types[count++] = SP_STR(SP_MESSAGE_TYPE);
    }
    return count;
}

static void on_trouble(void *context, struct sp_feed *feed, sp_status status,
                       const struct sp_error *error) {
    struct sp_pubsub *pubsub = context;
    struct outlet *outlet = outlet_of(feed);
    struct sp_connection *connection = outlet->subscriber->connection;
    const char *text = error->text[0] != '\0' ? error->text : sp_status_text(status);
    sp_say(&pubsub->server->logger, SP_LEVEL_WARN,
           feed->state == SP_FEED_OFF ? "subscription ends" : "subscription has a gap",
           SP_FIELD_NUMBER("client", connection->id),
           SP_FIELD_TEXT("peer", sp_str_from(connection->peer)),
           SP_FIELD_NUMBER("position", feed->next), SP_FIELD_TEXT("error", sp_str_from(text)));
    if (feed->state == SP_FEED_OFF) {
        sp_connection_break(connection); /* it may come again, and go on where it was */
    } else if (outlet->is_watch) {
        pubsub_watch_gap(watch_of(outlet), text);
    }
}

/* What was to be read first may have been dropped from the log while nobody read it. */
static void tell_dropped(struct sp_pubsub *pubsub, struct sp_feed *feed, uint64_t from,
                         uint64_t first) {
    struct sp_error error;
    if (from > 1 && first > from) {
        sp_status status =
            sp_error_set(&error, SP_NOT_FOUND, "events from %llu to %llu were dropped",
                         (unsigned long long)from, (unsigned long long)(first - 1));
        sp_feed_skip(feed, first);
        on_trouble(pubsub, feed, status, &error);
    }
}

static sp_status on_open(void *context, struct sp_feed *feed, uint64_t from, void **ret_cursor,
                         struct sp_error *error) {
    struct sp_pubsub *pubsub = context;
    struct outlet *outlet = outlet_of(feed);
    struct sp_query query = {.follow = true};
    sp_str types[CURSOR_TYPES_MAX];
    char text[POSITION_TEXT_SIZE];
    struct sp_cursor *cursor = NULL;
    if (outlet->is_watch) {
        query = watch_of(outlet)->query;
    } else {
        query.types = types;
        query.type_count = channel_types(outlet->subscriber, types);
    }
    query.from = sp_str_of(text, format_position(from, text));
    sp_status status = sp_cursor_open(pubsub->server->engine, &query, &cursor, error);
    if (status == SP_OK) {
        tell_dropped(pubsub, feed, from, sp_cursor_position(cursor));
        *ret_cursor = cursor;
    }
    return status;
}

static void on_close(void *context, void *cursor) {
    (void)context;
    sp_cursor_close(cursor);
}

static sp_status on_read(void *context, void *cursor, uint32_t *steps,
                         const struct sp_event **ret_event, uint64_t *ret_next,
                         struct sp_error *error) {
    (void)context;
    sp_cursor_allow(cursor, *steps);
    sp_status status = sp_cursor_next(cursor, ret_event, error);
    *steps = sp_cursor_allowed(cursor);
    *ret_next = sp_cursor_position(cursor);
    return status;
}

/* -- What the feeds write to ------------------------------------------------------------------- */

/* Messages of one event for the names of a client, in the order in which they would be live. */
struct giving {
    struct sp_subscriber *subscriber;
    const struct sp_event *event;
    uint32_t skip; /* messages that were given before */
    bool refused;
};

static void give_one(struct giving *giving, enum sp_live_kind kind, sp_str name) {
    struct sp_subscriber *subscriber = giving->subscriber;
    const struct named *named = pubsub_find_named(subscriber, kind, name);
    if (giving->refused || named == NULL || giving->event->position <= named->since) {
        return;
    }
    if (giving->skip > 0) {
        giving->skip--;
        return;
    }
    giving->refused =
        !pubsub_push(subscriber, kind == SP_LIVE_GLOB ? SP_FORM_PMESSAGE : SP_FORM_MESSAGE, name);
    if (!giving->refused) {
        sp_feed_gave(&subscriber->outlet.feed);
    }
}

static void give_glob(void *context, sp_str name) {
    give_one(context, SP_LIVE_GLOB, name);
}

static bool on_give(void *context, struct sp_feed *feed, const struct sp_event *event) {
    struct sp_pubsub *pubsub = context;
    struct outlet *outlet = outlet_of(feed);
    sp_messages_event(&pubsub->messages, event);
    if (outlet->is_watch) {
        struct watch *watch = watch_of(outlet);
        return can_show(pubsub, watch) && pubsub_push(outlet->subscriber, watch->form, watch->name);
    }
    struct giving giving = {.subscriber = outlet->subscriber, .event = event, .skip = feed->given};
    give_one(&giving, SP_LIVE_CHANNEL, pubsub->messages.channel);
    if (outlet->subscriber->counts[SP_LIVE_GLOB] > 0) {
        sp_live_match_globs(pubsub->live, pubsub->messages.channel, give_glob, &giving);
    }
    return !giving.refused;
}

static size_t on_unsent(void *context, const struct sp_feed *feed) {
    (void)context;
    return sp_connection_unsent(((const struct outlet *)feed)->subscriber->connection);
}

static void on_await(void *context, struct sp_feed *feed, size_t unsent_max) {
    (void)context;
    struct sp_connection *connection = outlet_of(feed)->subscriber->connection;
    connection->drain_below = unsent_max + 1;
    sp_connection_touch(connection); /* it may have been read already */
}

static void wake(struct sp_pubsub *pubsub, struct sp_feed *feed) {
    if (feed->asleep) {
        sp_feed_wake(&pubsub->feeds, feed);
        pubsub->server->again = true;
    }
}

static void on_drained(struct sp_server *server, void *context, struct sp_connection *connection) {
    (void)server;
    struct sp_pubsub *pubsub = context;
    struct sp_subscriber *subscriber = connection->subscriber;
    if (subscriber == NULL) {
        return;
    }
    wake(pubsub, &subscriber->outlet.feed);
    for (struct watch *watch = subscriber->watches; watch != NULL; watch = watch->next) {
        wake(pubsub, &watch->outlet.feed);
    }
}

static void on_episode(void *context, struct sp_feed *feed, bool begins) {
    (void)context;
    pubsub_notice(outlet_of(feed), begins);
}

static void on_over(void *context, struct sp_feed *feed) {
    (void)context;
    pubsub_watch_is_over(watch_of(outlet_of(feed)));
}

static const struct sp_feeds_io FEEDS_IO = {
    .open = on_open,
    .close = on_close,
    .read = on_read,
    .give = on_give,
    .unsent = on_unsent,
    .await = on_await,
    .trouble = on_trouble,
    .episode = on_episode,
    .over = on_over,
};

/* -- What is counted --------------------------------------------------------------------------- */

struct sp_pubsub_facts sp_pubsub_facts(const struct sp_server *server) {
    const struct sp_pubsub *pubsub = server->pubsub;
    if (pubsub == NULL) {
        return (struct sp_pubsub_facts){.channels = 0};
    }
    return (struct sp_pubsub_facts){
        .channels = sp_live_names(pubsub->live, SP_LIVE_CHANNEL),
        .patterns = sp_live_names(pubsub->live, SP_LIVE_GLOB),
        .shard_channels = sp_live_names(pubsub->live, SP_LIVE_SHARD),
        .subscriptions = sp_live_count(pubsub->live),
        .lagging = pubsub->feeds.lagging_now,
        .episodes = pubsub->feeds.lagging_count,
        .messages_dropped = pubsub->plain_dropped,
    };
}

void sp_pubsub_counts(const struct sp_connection *connection, uint32_t *ret_channels,
                      uint32_t *ret_patterns, uint32_t *ret_shard_channels) {
    const struct sp_subscriber *subscriber = connection->subscriber;
    *ret_channels = subscriber == NULL ? 0 : subscriber->counts[SP_LIVE_CHANNEL];
    *ret_patterns = subscriber == NULL ? 0 : subscriber->counts[SP_LIVE_GLOB];
    *ret_shard_channels = subscriber == NULL ? 0 : subscriber->counts[SP_LIVE_SHARD];
}

/* -- Watches that cannot go on ----------------------------------------------------------------- */

void pubsub_stop_watch(struct watch *watch, const struct sp_error *error) {
    struct sp_pubsub *pubsub = watch->outlet.subscriber->pubsub;
    size_t len = strlen(error->text);
    watch->trouble = malloc(len + 1);
    if (watch->trouble == NULL) {
        sp_connection_break(watch->outlet.subscriber->connection);
        return;
    }
    memcpy(watch->trouble, error->text, len + 1);
    pubsub->troubled++;
    pubsub->server->again = true;
    sp_say(&pubsub->server->logger, SP_LEVEL_WARN, "subscription ends",
           SP_FIELD_NUMBER("client", watch->outlet.subscriber->connection->id),
           SP_FIELD_TEXT("error", sp_str_from(error->text)));
}

/* The first watch of a connection that cannot go on; NULL: there is none. */
static struct watch *troubled_watch(const struct sp_connection *connection) {
    const struct sp_subscriber *subscriber = connection->subscriber;
    struct watch *watch = subscriber == NULL ? NULL : subscriber->watches;
    while (watch != NULL && watch->trouble == NULL) {
        watch = watch->next;
    }
    return watch;
}

/* They are rare: looked for only where there are some. */
static void stop_troubled(struct sp_pubsub *pubsub) {
    struct sp_connection *connection = pubsub->server->connections;
    while (pubsub->troubled > 0 && connection != NULL) {
        struct watch *watch = troubled_watch(connection);
        if (watch != NULL) {
            pubsub_watch_stops(watch);
        } else {
            connection = connection->all.next;
        }
    }
}

/* -- The server's hooks ------------------------------------------------------------------------ */

static bool on_turn(struct sp_server *server, void *context) {
    struct sp_pubsub *pubsub = context;
    pubsub_flush_plain(pubsub);
    pubsub_beat(pubsub);
    /* At the end clients are sent what waits for them, and no more of history. */
    bool more = !server->draining && sp_feeds_turn(&pubsub->feeds);
    stop_troubled(pubsub);
    more = pubsub_append_notices(pubsub) || more;
    sp_messages_done(&pubsub->messages);
    return more;
}

static void pubsub_free(struct sp_pubsub *pubsub) {
    pubsub_free_notices(pubsub);
    sp_live_free(pubsub->live);
    sp_messages_fini(&pubsub->messages);
    sp_buf_fini(&pubsub->plain);
    free(pubsub);
}

static int on_timeout(struct sp_server *server, void *context) {
    (void)server;
    return pubsub_beat_timeout(context);
}

static void on_fini(struct sp_server *server, void *context) {
    server->pubsub = NULL;
    pubsub_free(context);
}

/* Enough of the log's number to tell it from any other that a client may have read. */
static void name_log(struct sp_pubsub *pubsub) {
    struct sp_log_description description;
    struct sp_log *log = sp_engine_log(pubsub->server->engine);
    log->ops->describe(log, &description);
    for (size_t i = 0; i < (LOG_TEXT_SIZE - 1) / 2; i++) {
        (void)snprintf(pubsub->log + 2 * i, 3, "%02x", description.uuid[i]);
    }
}

static sp_status view_event(void *context, const struct sp_event *event,
                            const struct sp_event **ret_event, struct sp_error *error) {
    return sp_upcasting_view(context, event, ret_event, error);
}

sp_status sp_pubsub_init(struct sp_server *server, struct sp_error *error) {
    struct sp_pubsub *pubsub = calloc(1, sizeof(*pubsub));
    if (pubsub == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for subscriptions");
    }
    pubsub->server = server;
    name_log(pubsub);
    sp_messages_init(&pubsub->messages);
    pubsub->messages.view = view_event;
    pubsub->messages.view_context = server;
    sp_buf_init(&pubsub->plain, SIZE_MAX / 2);
    sp_feeds_init(&pubsub->feeds, &FEEDS_IO, pubsub, FEED_UNSENT_MAX);
    if (sp_live_new(&pubsub->live) != SP_OK) {
        pubsub_free(pubsub);
        return sp_error_set(error, SP_NO_MEMORY, "no memory for subscriptions");
    }
    server->pubsub = pubsub;
    const struct sp_server_hooks hooks = {
        .live = on_live,
        .turn = on_turn,
        .closed = on_closed,
        .drained = on_drained,
        .timeout = on_timeout,
        .fini = on_fini,
        .context = pubsub,
    };
    sp_server_hook(server, &hooks);
    return SP_OK;
}
