/*
 * Appending to a server. See client.h for threads.
 */
#ifndef SP_CLIENT_APPEND_H
#define SP_CLIENT_APPEND_H

#include "client/client.h"
#include "record/event.h"
#include "spoor.h"

/* SP_DENIED, SP_LIMIT and SP_INVALID for what is wrong whatever the events are. O(expects). */
SP_WARN_UNUSED sp_status sp_client_check_counts(struct sp_client *client, size_t count,
                                                const spoor_expect *expects, size_t expect_count,
                                                struct sp_error *error);

/*
 * One append on its way: its events have ids, so that it may be sent again. Its counts were
 * checked; the events are checked as a store checks them; SP_INVALID and SP_LIMIT say what is wrong
 * and send nothing. `done` (may be NULL) hears of the outcome as spoor_submit says. SP_BUSY where
 * too much is under way. The lock is held.
 */
SP_WARN_UNUSED sp_status sp_client_submit(struct sp_client *client, struct sp_event *events,
                                          size_t count, const spoor_expect *expects,
                                          size_t expect_count, spoor_append_fn *done, void *context,
                                          struct sp_error *error);

#endif
