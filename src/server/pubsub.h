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
