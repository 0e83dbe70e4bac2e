/*
 * PUBLISH, SUBSCRIBE and their kind, SPOOR.SUBSCRIBE: what a client is sent without asking.
 * loop-thread
 */
#ifndef SP_SERVER_PUBSUB_H
#define SP_SERVER_PUBSUB_H

#include "server/server.h"

/*
 * Hangs the subscriptions into a server (sp_server_hook). Called once, by sp_server_init's caller.
 */
SP_WARN_UNUSED sp_status sp_pubsub_init(struct sp_server *server, struct sp_error *error);

/* What is counted, for INFO. */
struct sp_pubsub_facts {
    uint32_t channels; /* names with at least one subscriber */
    uint32_t patterns;
    uint32_t shard_channels;
    uint32_t subscriptions;    /* of all kinds and clients */
    uint32_t lagging;          /* that read the log because their clients did not keep up */
    uint64_t episodes;         /* how often that has begun */
    uint64_t messages_dropped; /* not stored, and not taken by a client */
};

struct sp_pubsub_facts sp_pubsub_facts(const struct sp_server *server);

/* How many channels, patterns and shard channels a client has. */
void sp_pubsub_counts(const struct sp_connection *connection, uint32_t *ret_channels,
                      uint32_t *ret_patterns, uint32_t *ret_shard_channels);

/* The handlers, rows of commands.c. */
sp_handler_fn sp_on_publish;
sp_handler_fn sp_on_subscribe;
sp_handler_fn sp_on_psubscribe;
sp_handler_fn sp_on_unsubscribe;
sp_handler_fn sp_on_punsubscribe;
sp_handler_fn sp_on_pubsub_channels;
sp_handler_fn sp_on_pubsub_numsub;
sp_handler_fn sp_on_pubsub_numpat;
sp_handler_fn sp_on_ssubscribe;
sp_handler_fn sp_on_sunsubscribe;
sp_handler_fn sp_on_spublish;
sp_handler_fn sp_on_pubsub_shardchannels;
sp_handler_fn sp_on_pubsub_shardnumsub;
sp_handler_fn sp_on_spoor_subscribe;
sp_handler_fn sp_on_spoor_unsubscribe;

#endif
