/*
 * Who wants to hear of what: every subscription and every waiting read, and which of them an event
 * concerns. loop-thread
 *
 * An *interest* is embedded in whatever it belongs to (a channel of a client, a subscription, a
 * read that waits) and is added under a name, a key or a query. Matching an event looks up what the
 * event has (its channel, type, stream, source, correlation), so that the cost follows the
 * interests that are found and not those that there are:
 *
 *     channel, key     one lookup
 *     glob             match/globs.h
 *     query            one lookup of its correlation, stream or source, the first it names; one
 *                      without any through the trie of types (match/trie.h). Where many would
 *                      be found so, by the value that its filter demands (match/demand.h), if it
 *                      does. What is found is compared with the rest of the query. A filter that
 *                      several share is compiled once, and compared once with an event.
 *
 * Nothing may be added or removed from within a match: remember it, and do it afterwards.
 *
 * For a read that waits (the registry of waiters): embed an interest, add it under each of its keys
 * (one interest a key), and when a match yields it, remember that it has something to look at; when
 * the turn goes on, remove it and read. Which client of a consumer group comes first is not decided
 * here: add one interest for the group.
 *
 * Limits: SP_LIVE_INTERESTS_MAX; the patterns of a query as of the trie. Beyond: SP_LIMIT.
 */
#ifndef SP_SERVER_LIVE_H
#define SP_SERVER_LIVE_H

#include "engine/bus.h"
#include "engine/query.h"

enum { SP_LIVE_INTERESTS_MAX = 5000000 };

enum sp_live_kind {
    SP_LIVE_CHANNEL = 0, /* SUBSCRIBE */
    SP_LIVE_SHARD,       /* SSUBSCRIBE: names of their own */
    SP_LIVE_GLOB,        /* PSUBSCRIBE */
    SP_LIVE_QUERY,       /* SPOOR.SUBSCRIBE */
    SP_LIVE_KEY,         /* a read that waits */
    SP_LIVE_KINDS,
};

struct sp_live_query; /* a query's own copy */

/* All fields are live's own, but for `kind`, which may be read. Zeroed before it is added first. */
struct sp_live_interest {
    enum sp_live_kind kind;
    bool added;
    bool by_type;                /* found through the trie */
    uint32_t place;              /* the topic it stands under, or its id in the trie */
    uint32_t slot;               /* among those of the topic */
    struct sp_live_query *query; /* owned; KEY by type: its pattern */
};

struct sp_live;

SP_WARN_UNUSED sp_status sp_live_new(struct sp_live **ret_live);
/* What is still added is forgotten. NULL is fine. */
void sp_live_free(struct sp_live *live);

/*
 * Adds a channel, shard channel or glob. SP_LIMIT, SP_NO_MEMORY: nothing changed. The name is
 * copied.
 */
SP_WARN_UNUSED sp_status sp_live_add_name(struct sp_live *live, enum sp_live_kind kind, sp_str name,
                                          struct sp_live_interest *interest,
                                          struct sp_error *error);

/* Adds a key; of each durable event that is an entry of it, the interest is told. */
SP_WARN_UNUSED sp_status sp_live_add_key(struct sp_live *live, const struct sp_key *key,
                                         struct sp_live_interest *interest, struct sp_error *error);

/*
 * Adds the conditions of a query: types, source, stream, correlation and filter; the rest of it
 * does not count. SP_INVALID where a pattern or the filter is none. Everything is copied.
 */
SP_WARN_UNUSED sp_status sp_live_add_query(struct sp_live *live, const struct sp_query *query,
                                           struct sp_live_interest *interest,
                                           struct sp_error *error);

/* Takes it out; nothing happens where it was not added. */
void sp_live_remove(struct sp_live *live, struct sp_live_interest *interest);

/* How many interests there are. */
uint32_t sp_live_count(const struct sp_live *live);

/*
 * An interest was found. `name` is what it was added under: the channel, or the glob; of others it
 * is empty. Lasts for the call. Those of one name come one after another.
 */
typedef void sp_live_found_fn(void *context, struct sp_live_interest *interest, sp_str name);

/* Finds those who subscribed to the channel, then the globs that match it, in a fixed order. */
void sp_live_match_channel(struct sp_live *live, sp_str channel, sp_live_found_fn *found,
                           void *context);
/* The same of shard channels, which no glob matches. */
void sp_live_match_shard(struct sp_live *live, sp_str channel, sp_live_found_fn *found,
                         void *context);
/* Finds queries and keys that the event concerns; each interest once. */
void sp_live_match_event(struct sp_live *live, const struct sp_event *event,
                         sp_live_found_fn *found, void *context);

/* How many would be found by sp_live_match_channel or _shard. */
size_t sp_live_receivers(struct sp_live *live, enum sp_live_kind kind, sp_str channel);

/* The names of globs that match the channel, in the order of sp_live_match_channel. */
typedef void sp_live_name_fn(void *context, sp_str name);
void sp_live_match_globs(struct sp_live *live, sp_str channel, sp_live_name_fn *each,
                         void *context);

/* How many interests stand under one name, and how many names there are. */
uint32_t sp_live_name_count(const struct sp_live *live, enum sp_live_kind kind, sp_str name);
uint32_t sp_live_names(const struct sp_live *live, enum sp_live_kind kind);
/* Walks the names, in no order that means anything. O(all names of all kinds). */
void sp_live_each_name(const struct sp_live *live, enum sp_live_kind kind, sp_live_name_fn *each,
                       void *context);

#endif
