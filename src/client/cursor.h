/*
 * Reading from a server: pages of a query, lists, subscriptions. A cursor belongs to one thread at
 * a time.
 *
 * A read is fetched in pages over the client's connection; the first page fixes the range, so that
 * it shows what was durable then, however long it takes. A subscription has a connection of its
 * own: who does not ask for the next event is sent nothing more than that holds. It remembers the
 * position to go on with, and where the connection is lost it comes again with that.
 */
#ifndef SP_CLIENT_CURSOR_H
#define SP_CLIENT_CURSOR_H

#include "client/client.h"
#include "record/event.h"
#include "spoor.h"

struct sp_remote;

SP_WARN_UNUSED sp_status sp_remote_read(struct sp_client *client, const spoor_query *query,
                                        struct sp_remote **ret_remote, struct sp_error *error);
SP_WARN_UNUSED sp_status sp_remote_subscribe(struct sp_client *client, const spoor_query *query,
                                             struct sp_remote **ret_remote, struct sp_error *error);

/* SP_NOT_FOUND where there is none. `source` NULL: any. */
SP_WARN_UNUSED sp_status sp_remote_find(struct sp_client *client, const char *id,
                                        const char *source, struct sp_remote **ret_remote,
                                        struct sp_error *error);
SP_WARN_UNUSED sp_status sp_remote_trace(struct sp_client *client, const char *id, bool effects,
                                         struct sp_remote **ret_remote, struct sp_error *error);

/* As spoor_next. */
SP_WARN_UNUSED sp_status sp_remote_next(struct sp_remote *remote, int timeout_ms,
                                        const struct sp_event **ret_event, struct sp_error *error);

SP_WARN_UNUSED sp_status sp_remote_hash(struct sp_remote *remote, uint8_t ret_hash[32],
                                        struct sp_error *error);
unsigned sp_remote_depth(const struct sp_remote *remote);
void sp_remote_close(struct sp_remote *remote);

#endif
