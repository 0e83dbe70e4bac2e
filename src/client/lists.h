/*
 * Streams, runs and what the store says of itself, from a server.
 */
#ifndef SP_CLIENT_LISTS_H
#define SP_CLIENT_LISTS_H

#include "client/client.h"
#include "spoor.h"

SP_WARN_UNUSED sp_status sp_client_streams(struct sp_client *client, uint64_t skip,
                                           spoor_stream_fn *each, void *context,
                                           struct sp_error *error);
/* ret_stream->name is the text that was given. */
SP_WARN_UNUSED sp_status sp_client_stream_get(struct sp_client *client, const char *name,
                                              spoor_stream *ret_stream, struct sp_error *error);
SP_WARN_UNUSED sp_status sp_client_runs(struct sp_client *client, const spoor_query *query,
                                        spoor_run_fn *each, void *context, struct sp_error *error);
SP_WARN_UNUSED sp_status sp_client_info(struct sp_client *client, spoor_info *ret_info,
                                        struct sp_error *error);

#endif
