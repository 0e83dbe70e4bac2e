/*
 * The read models of a folder that is open by the public API: the manager without threads, made
 * when it is first asked for, ended with the store. For the API's own functions and the command
 * line.
 *
 * Whoever calls holds the store's lock, where it has one (api_int.h), for as long as it uses the
 * manager.
 */
#ifndef SP_API_PROJECTIONS_H
#define SP_API_PROJECTIONS_H

#include <spoor.h>

#include "base/error.h"
#include "project/projects.h"

/*
 * SP_UNSUPPORTED where the store is a server. Where another process fills the read models of the
 * folder, or it cannot be written, what is there can be read, and nothing is changed.
 */
SP_WARN_UNUSED sp_status sp_api_projects(spoor *store, struct sp_projects **ret_projects,
                                         struct sp_error *error);

/* Waits until what was changed is durable. Not of a store with its own thread. */
SP_WARN_UNUSED sp_status sp_api_settle(spoor *store, struct sp_error *error);

#endif
