/*
 * What the files of pub/sub and SPOOR.SUBSCRIBE share; only pubsub*.c and subscribe*.c include
 * this.
 *
 * A client that subscribed to anything has a *subscriber*. It has one *outlet* for all its channels
 * and globs together, for their messages come in the order of the log, and one for each watch
 * (SPOOR.SUBSCRIBE, GET /v1/subscribe). An outlet is a feed (subscribe.h) with its owner. Shard
 * channels and messages that are not stored go past the feeds: there is nothing to read them from
 * again.
 */
#ifndef SP_SERVER_PUBSUB_INT_H
#define SP_SERVER_PUBSUB_INT_H

#include "base/htab.h"
#include "server/live.h"
#include "server/live_message.h"
#include "server/pubsub.h"
#include "server/subscribe.h"

enum {
    SUBSCRIBER_NAMES_MAX = 1000000, /* channels, globs and shard channels of one client */
    SUBSCRIBER_WATCHES_MAX = 1024,
    SUBSCRIBER_NAME_BYTES_MAX = 1 << 20,
    FEED_UNSENT_MAX = 256 << 10, /* what a feed that is behind lets wait for its client */
    NOTICES_MAX = 4096,
    PLAIN_QUEUE_BYTES_MAX = 16 << 20, /* of messages that are not stored, within a turn */
    NAME_KINDS = SP_LIVE_GLOB + 1,
    LOG_TEXT_SIZE = 17, /* what identifies the log, in hexadecimal digits */
};

struct outlet {
    struct sp_feed feed; /* first */
    struct sp_subscriber *subscriber;
    bool is_watch;
};

/* A channel, glob or shard channel of one client. */
struct named {
    struct sp_live_interest interest; /* first */
    struct sp_subscriber *subscriber;
    uint64_t since; /* events up to here were there before */
    uint32_t slot;  /* in subscriber->named */
    uint32_t len;
    char text[];
};

/* When a stream is to be sent something, if only a comment. */
struct beat {
    struct watch *next;
    struct watch *before;
    uint64_t at_ms;      /* monotonic */
    uint64_t told;       /* the position that the client was told last it has got to by a beat */
    uint64_t metrics_ms; /* it is sent the server's metrics so often; 0: never */
};

/* A SPOOR.SUBSCRIBE, or a stream of server-sent events: the only watch of its connection then. */
struct watch {
    struct outlet outlet; /* first */
    struct sp_live_interest interest;
    struct watch *next;
    enum sp_message_form form;
    sp_str name; /* that its messages are made with */
    struct beat beat;
    struct sp_query query; /* its texts are in `text`, its types in `types` */
    sp_str *types;
    char *text;
    size_t counted_bytes; /* in the connection's subscription_bytes */
    char *trouble;        /* why it cannot go on; NULL: it does. Owned */
};

struct sp_subscriber {
    struct sp_pubsub *pubsub;
    struct sp_connection *connection;
    struct outlet outlet; /* of channels and globs */
    struct named **named; /* of all kinds, in no order */
    uint32_t named_count;
    uint32_t named_capacity;
    uint32_t counts[NAME_KINDS]; /* by kind */
    struct sp_htab table;        /* by kind and name, to slots */
    struct watch *watches;
    uint32_t watch_count;
    uint32_t watch_number; /* of the last one without a name */
};

/* An event about a subscriber that is still to be appended. */
struct notice {
    bool begins;
    struct sp_buf data; /* JSON */
};

struct sp_pubsub {
    struct sp_server *server;
    struct sp_live *live;
    struct sp_feeds feeds;
    struct sp_messages messages;
    bool listening;
    char log[LOG_TEXT_SIZE];
    struct watch *beat_first; /* streams of server-sent events, by when they are due */
    struct watch *beat_last;
    struct notice *notices; /* ring of NOTICES_MAX, allocated when it is used first */
    uint32_t notice_start;
    uint32_t notice_count;
    struct sp_buf plain;    /* messages that are not stored and wait for the turn's end */
    struct sp_event event;  /* of what is appended here: it is large */
    uint32_t troubled;      /* watches that are to be ended */
    uint64_t plain_dropped; /* messages that were not stored and not taken either */
    uint64_t notices_dropped;
};

static inline struct outlet *outlet_of(struct sp_feed *feed) {
    return (struct outlet *)feed;
}

static inline struct watch *watch_of(struct outlet *outlet) {
    sp_require(outlet->is_watch);
    return (struct watch *)outlet;
}

static inline bool watch_is_stream(const struct watch *watch) {
    return sp_message_form_is_stream(watch->form);
}

static inline struct watch *watch_of_interest(struct sp_live_interest *interest) {
    return (struct watch *)((char *)interest - offsetof(struct watch, interest));
}

/* ---- pubsub.c ---- */

/* The event at hand cannot be shown to a watch: it is ended with the turn. */
void pubsub_stop_watch(struct watch *watch, const struct sp_error *error);

/* Tells it so and ends it; subscribe_watch.c, and for streams subscribe_sse.c. */
void pubsub_watch_stops(struct watch *watch);
void pubsub_stream_stops(struct watch *watch);

/* The client's subscriber, made where it has none yet; NULL where memory is out. */
struct sp_subscriber *pubsub_subscriber(struct sp_connection *connection);

/* After interests came or went: listens if there are any; tells the connection how many it has. */
void pubsub_changed(struct sp_subscriber *subscriber);

/* The position of the last event that was decided: what comes behind is new. */
uint64_t pubsub_head(const struct sp_pubsub *pubsub);

/*
 * Sends one form of the message at hand, as a piece of the reply where it is a server-sent event.
 * False where the client takes no more.
 */
bool pubsub_push(struct sp_subscriber *subscriber, enum sp_message_form form, sp_str name);

/* ---- pubsub_names.c ---- */

/* Forgets all channels, globs and shard channels. */
void pubsub_forget_names(struct sp_subscriber *subscriber);

struct named *pubsub_find_named(const struct sp_subscriber *subscriber, enum sp_live_kind kind,
                                sp_str name);

/* ---- pubsub_publish.c ---- */

/* Delivers what was published and is not stored. */
void pubsub_flush_plain(struct sp_pubsub *pubsub);

/* ---- subscribe_watch.c ---- */

/*
 * A watch of the query, known by a name, from where the query says on; *ret_from is its first
 * position. Its events are given in later turns. SP_INVALID, SP_LIMIT, SP_NO_MEMORY, or what
 * reading the log says: there is none then.
 */
struct sp_query_words;
SP_WARN_UNUSED sp_status pubsub_start_watch(struct sp_subscriber *subscriber,
                                            const struct sp_query_words *words, sp_str name,
                                            enum sp_message_form form, struct watch **ret_watch,
                                            uint64_t *ret_from, struct sp_error *error);

/* Ends it and frees it. Nothing is said of it. */
void pubsub_end_watch(struct watch *watch);

void pubsub_free_watch(struct watch *watch);

/* The last event of a limited watch was given. */
void pubsub_watch_is_over(struct watch *watch);

/* Tells the client that its watch has lost something. */
void pubsub_watch_gap(struct watch *watch, const char *text);

/* ---- subscribe_sse.c ---- */

/* The stream's limit is reached: says so and ends the reply. The watch is gone then. */
void pubsub_stream_is_over(struct watch *watch);
void pubsub_stream_gap(struct watch *watch, const char *text);

/* Out of the list of those that are due, if it is there. */
void pubsub_forget_beat(struct watch *watch);

/* Sends what is due to streams. */
void pubsub_beat(struct sp_pubsub *pubsub);

/* ms until pubsub_beat has something to do; -1: never. */
int pubsub_beat_timeout(const struct sp_pubsub *pubsub);

/* ---- subscribe_notice.c ---- */

/* An episode of the outlet begins or is over: to be appended as an event. */
void pubsub_notice(struct outlet *outlet, bool begins);

/* Appends what is to be. True where something is left for the next turn. */
bool pubsub_append_notices(struct sp_pubsub *pubsub);

void pubsub_free_notices(struct sp_pubsub *pubsub);

#endif
