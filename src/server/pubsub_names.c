/*
 * SUBSCRIBE and its kind, PUBSUB. Each name is confirmed by a message of its own, and no other
 * reply is written, as in Redis.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "match/glob.h"
#include "server/pubsub_int.h"

enum { NAMED_BYTES_BESIDE = 128 };

/* -- The names of a client --------------------------------------------------------------------- */

static uint64_t name_hash(enum sp_live_kind kind, sp_str name) {
    return sp_hash_seeded(name.ptr, name.len, (uint64_t)kind << 40);
}

static sp_str name_of(const struct named *named) {
    return sp_str_of(named->text, named->len);
}

struct named *pubsub_find_named(const struct sp_subscriber *subscriber, enum sp_live_kind kind,
                                sp_str name) {
    struct sp_htab_probe probe = sp_htab_find(&subscriber->table, name_hash(kind, name));
    uint32_t slot = 0;
    while (sp_htab_next(&probe, &slot)) {
        struct named *named = subscriber->named[slot];
        if (named->interest.kind == kind && sp_str_eq(name_of(named), name)) {
            return named;
        }
    }
    return NULL;
}

/* With its places in the tables, and the copy that all subscribers of the name share. */
static size_t named_bytes(const struct named *named) {
    return sizeof(*named) + 2 * (size_t)named->len + NAMED_BYTES_BESIDE;
}

static sp_status named_reserve(struct sp_subscriber *subscriber) {
    sp_status status = sp_htab_reserve(&subscriber->table, (size_t)subscriber->table.count + 1);
    if (status != SP_OK || subscriber->named_count < subscriber->named_capacity) {
        return status;
    }
    uint32_t capacity = subscriber->named_capacity == 0 ? 1 : subscriber->named_capacity * 2;
    struct named **named = realloc(subscriber->named, capacity * sizeof(struct named *));
    if (named == NULL) {
        return SP_NO_MEMORY;
    }
    subscriber->named = named;
    subscriber->named_capacity = capacity;
    return SP_OK;
}

/* Messages of channels and globs come from one feed, which runs while there are any. */
static void keep_feed(struct sp_subscriber *subscriber) {
    struct sp_feeds *feeds = &subscriber->pubsub->feeds;
    struct sp_feed *feed = &subscriber->outlet.feed;
    bool wanted = subscriber->counts[SP_LIVE_CHANNEL] + subscriber->counts[SP_LIVE_GLOB] > 0;
    if (feed->state == SP_FEED_OFF && wanted) {
        sp_feed_start_live(feeds, feed, pubsub_head(subscriber->pubsub));
    } else if (feed->state != SP_FEED_OFF && !wanted) {
        sp_feed_stop(feeds, feed);
    } else {
        sp_feed_reopen(feeds, feed);
    }
}

static sp_status add_named(struct sp_subscriber *subscriber, enum sp_live_kind kind, sp_str name,
                           struct sp_error *error) {
    if (subscriber->named_count >= SUBSCRIBER_NAMES_MAX || name.len > SUBSCRIBER_NAME_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "too many subscriptions, or a name that is too long");
    }
    struct named *named = calloc(1, sizeof(*named) + name.len + 1);
    if (named == NULL || named_reserve(subscriber) != SP_OK) {
        free(named);
        return sp_error_set(error, SP_NO_MEMORY, "subscription");
    }
    sp_status status =
        sp_live_add_name(subscriber->pubsub->live, kind, name, &named->interest, error);
    if (status != SP_OK) {
        free(named);
        return status;
    }
    named->subscriber = subscriber;
    named->since = pubsub_head(subscriber->pubsub);
    named->len = (uint32_t)name.len;
    named->slot = subscriber->named_count;
    if (name.len > 0) {
        memcpy(named->text, name.ptr, name.len);
    }
    status = sp_htab_add(&subscriber->table, name_hash(kind, name), named->slot);
    sp_ensure(status == SP_OK); /* there is room */
    subscriber->named[subscriber->named_count++] = named;
    subscriber->counts[kind]++;
    subscriber->connection->subscription_bytes += named_bytes(named);
    pubsub_changed(subscriber);
    keep_feed(subscriber);
    return SP_OK;
}

static void remove_named(struct sp_subscriber *subscriber, struct named *named) {
    enum sp_live_kind kind = named->interest.kind;
    uint32_t slot = named->slot;
    struct named *last = subscriber->named[subscriber->named_count - 1];
    sp_htab_remove(&subscriber->table, name_hash(kind, name_of(named)), slot);
    if (last != named) {
        uint64_t hash = name_hash(last->interest.kind, name_of(last));
        sp_htab_remove(&subscriber->table, hash, last->slot);
        sp_status status = sp_htab_add(&subscriber->table, hash, slot);
        sp_ensure(status == SP_OK); /* two were taken out */
        last->slot = slot;
        subscriber->named[slot] = last;
    }
    subscriber->named_count--;
    subscriber->counts[kind]--;
    subscriber->connection->subscription_bytes -= named_bytes(named);
    sp_live_remove(subscriber->pubsub->live, &named->interest);
    free(named);
    keep_feed(subscriber);
    pubsub_changed(subscriber);
}

void pubsub_forget_names(struct sp_subscriber *subscriber) {
    while (subscriber->named_count > 0) {
        remove_named(subscriber, subscriber->named[subscriber->named_count - 1]);
    }
}

/* -- SUBSCRIBE, UNSUBSCRIBE -------------------------------------------------------------------- */

static const char *const SUBSCRIBED[NAME_KINDS] = {"subscribe", "ssubscribe", "psubscribe"};
static const char *const UNSUBSCRIBED[NAME_KINDS] = {"unsubscribe", "sunsubscribe", "punsubscribe"};

/* Shard channels are counted by themselves. */
static uint32_t count_of(const struct sp_subscriber *subscriber, enum sp_live_kind kind) {
    if (subscriber == NULL) {
        return 0;
    }
    return kind == SP_LIVE_SHARD
               ? subscriber->counts[SP_LIVE_SHARD]
               : subscriber->counts[SP_LIVE_CHANNEL] + subscriber->counts[SP_LIVE_GLOB];
}

static void confirm(struct sp_request *request, const char *what, const sp_str *name,
                    uint32_t count) {
    struct sp_resp *reply = request->reply;
    sp_resp_push(reply, 3);
    sp_resp_bulk_text(reply, what);
    if (name != NULL) {
        sp_resp_bulk(reply, *name);
    } else {
        sp_resp_null(reply);
    }
    sp_resp_unsigned(reply, count);
}

static enum sp_verdict subscribe(struct sp_request *request, enum sp_live_kind kind) {
    struct sp_subscriber *subscriber = pubsub_subscriber(request->connection);
    request->unasked = true;
    if (subscriber == NULL) {
        return sp_reply_status(request, SP_NO_MEMORY, NULL);
    }
    pubsub_flush_plain(subscriber->pubsub);
    for (uint32_t i = 1; i < request->argc; i++) {
        struct sp_error error;
        sp_error_clear(&error);
        sp_status status = SP_OK;
        if (pubsub_find_named(subscriber, kind, request->args[i]) == NULL) {
            status = add_named(subscriber, kind, request->args[i], &error);
        }
        if (status != SP_OK) {
            return sp_reply_status(request, status, &error);
        }
        confirm(request, SUBSCRIBED[kind], &request->args[i], count_of(subscriber, kind));
    }
    return SP_DONE;
}

static void unsubscribe_all(struct sp_request *request, struct sp_subscriber *subscriber,
                            enum sp_live_kind kind) {
    uint32_t found = 0;
    for (uint32_t i = subscriber == NULL ? 0 : subscriber->named_count; i > 0; i--) {
        struct named *named = subscriber->named[i - 1];
        if (named->interest.kind != kind) {
            continue;
        }
        sp_str name = name_of(named);
        confirm(request, UNSUBSCRIBED[kind], &name, count_of(subscriber, kind) - 1);
        remove_named(subscriber, named);
        found++;
    }
    if (found == 0) {
        confirm(request, UNSUBSCRIBED[kind], NULL, count_of(subscriber, kind));
    }
}

static enum sp_verdict unsubscribe(struct sp_request *request, enum sp_live_kind kind) {
    struct sp_subscriber *subscriber = request->connection->subscriber;
    request->unasked = true;
    pubsub_flush_plain(request->server->pubsub);
    if (request->argc == 1) {
        unsubscribe_all(request, subscriber, kind);
    }
    for (uint32_t i = 1; i < request->argc; i++) {
        struct named *named =
            subscriber == NULL ? NULL : pubsub_find_named(subscriber, kind, request->args[i]);
        if (named != NULL) {
            remove_named(subscriber, named);
        }
        confirm(request, UNSUBSCRIBED[kind], &request->args[i], count_of(subscriber, kind));
    }
    return SP_DONE;
}

enum sp_verdict sp_on_subscribe(struct sp_request *request) {
    return subscribe(request, SP_LIVE_CHANNEL);
}

enum sp_verdict sp_on_psubscribe(struct sp_request *request) {
    return subscribe(request, SP_LIVE_GLOB);
}

enum sp_verdict sp_on_ssubscribe(struct sp_request *request) {
    return subscribe(request, SP_LIVE_SHARD);
}

enum sp_verdict sp_on_unsubscribe(struct sp_request *request) {
    return unsubscribe(request, SP_LIVE_CHANNEL);
}

enum sp_verdict sp_on_punsubscribe(struct sp_request *request) {
    return unsubscribe(request, SP_LIVE_GLOB);
}

enum sp_verdict sp_on_sunsubscribe(struct sp_request *request) {
    return unsubscribe(request, SP_LIVE_SHARD);
}

/* -- PUBSUB ------------------------------------------------------------------------------------ */

struct naming {
    struct sp_resp *reply;
    const sp_str *glob; /* NULL: all */
    uint64_t count;
};

static void on_name(void *context, sp_str name) {
    struct naming *naming = context;
    if (naming->glob == NULL || sp_redis_glob_match(*naming->glob, name)) {
        sp_resp_bulk(naming->reply, name);
        naming->count++;
    }
}

static enum sp_verdict channels(struct sp_request *request, enum sp_live_kind kind) {
    struct sp_live *live = request->server->pubsub->live;
    if (request->argc > 3) {
        return sp_reply_arity(request);
    }
    struct naming naming = {.reply = request->reply,
                            .glob = request->argc == 3 ? &request->args[2] : NULL};
    struct sp_resp_open open = sp_resp_open_array(request->reply, sp_live_names(live, kind));
    sp_live_each_name(live, kind, on_name, &naming);
    sp_resp_close(request->reply, open, naming.count);
    return SP_DONE;
}

static enum sp_verdict counts(struct sp_request *request, enum sp_live_kind kind) {
    const struct sp_live *live = request->server->pubsub->live;
    sp_resp_array(request->reply, 2 * ((uint64_t)request->argc - 2));
    for (uint32_t i = 2; i < request->argc; i++) {
        sp_resp_bulk(request->reply, request->args[i]);
        sp_resp_unsigned(request->reply, sp_live_name_count(live, kind, request->args[i]));
    }
    return SP_DONE;
}

enum sp_verdict sp_on_pubsub_channels(struct sp_request *request) {
    return channels(request, SP_LIVE_CHANNEL);
}

enum sp_verdict sp_on_pubsub_shardchannels(struct sp_request *request) {
    return channels(request, SP_LIVE_SHARD);
}

enum sp_verdict sp_on_pubsub_numsub(struct sp_request *request) {
    return counts(request, SP_LIVE_CHANNEL);
}

enum sp_verdict sp_on_pubsub_shardnumsub(struct sp_request *request) {
    return counts(request, SP_LIVE_SHARD);
}

enum sp_verdict sp_on_pubsub_numpat(struct sp_request *request) {
    sp_resp_unsigned(request->reply, sp_live_names(request->server->pubsub->live, SP_LIVE_GLOB));
    return SP_DONE;
}
