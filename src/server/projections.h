/*
 * Projections as a part of the server: opened with it, given their turn, told of in its log.
 * loop-thread
 *
 * server->projects is NULL where the setting `projections` is off.
 */
#ifndef SP_SERVER_PROJECTIONS_H
#define SP_SERVER_PROJECTIONS_H

#include "project/projects.h"
#include "server/server.h"

/*
 * Opens the place of read models and the catalog. `wake` has the loop turn; it is called on any
 * thread. SP_BUSY where another process goes on filling read models there; what the sink says.
 */
SP_WARN_UNUSED sp_status sp_projections_init(struct sp_server *server, void (*wake)(void *context),
                                             void *wake_context, struct sp_error *error);

#endif
