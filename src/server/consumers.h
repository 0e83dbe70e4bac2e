/*
 * Which connection works as which consumer of a group with a policy, so that what a consumer had
 * goes back to the group when its connection is gone. loop-thread
 *
 *     reads ──► at work ──closed, RESET──► leaving ──1 s──► left: its entries go back
 *                  ▲                          │
 *                  └──────── reads ───────────┘
 *
 * A consumer is its last reader's: where several connections read under one name, only the last
 * one's end counts. A client that reconnects and reads within SP_CONSUMER_GRACE_MS loses nothing.
 * Plain groups are not looked at, nor are consumers of before a restart of the server: theirs go
 * back when ack-wait is over.
 *
 * Limits: SP_CONSUMERS_MAX in all. One more is not followed: its entries go back when ack-wait is
 * over. Memory: some 120 bytes a consumer and its name, as long as its connection lives.
 */
#ifndef SP_SERVER_CONSUMERS_H
#define SP_SERVER_CONSUMERS_H

#include "server/server.h"

enum {
    SP_CONSUMERS_MAX = 200000,
    SP_CONSUMER_GRACE_MS = 1000,
};

/* Makes the server's list and hooks it in. */
SP_WARN_UNUSED sp_status sp_consumers_init(struct sp_server *server, struct sp_error *error);

/* The connection works as this consumer of the group of this number, which has a policy. */
void sp_consumers_read(struct sp_connection *connection, uint64_t group, sp_str consumer);

/* The same for any group: nothing happens where it has no policy. */
struct sp_group;
void sp_consumers_read_named(struct sp_connection *connection, const struct sp_group *group,
                             sp_str consumer);

/* How many are followed, and how many of these are leaving. */
uint32_t sp_consumers_count(const struct sp_server *server);
uint32_t sp_consumers_leaving(const struct sp_server *server);

#endif
