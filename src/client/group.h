/*
 * A worker of a group, over a connection of its own: a command that waits would hold up all else.
 * One thread at a time.
 */
#ifndef SP_CLIENT_GROUP_H
#define SP_CLIENT_GROUP_H

#include "client/client.h"
#include "record/event.h"
#include "spoor.h"

struct sp_worker_of; /* a worker of a group */

SP_WARN_UNUSED sp_status sp_client_group_create(struct sp_client *client, const char *key,
                                                const char *name, const char *from,
                                                const spoor_group_option *options,
                                                size_t option_count, struct sp_error *error);

SP_WARN_UNUSED sp_status sp_client_group_join(struct sp_client *client, const char *key,
                                              const char *name, const char *consumer,
                                              struct sp_worker_of **ret_worker,
                                              struct sp_error *error);

/* Both last until the next call. SP_TIMEOUT where nothing came. */
SP_WARN_UNUSED sp_status sp_client_group_receive(struct sp_worker_of *worker, int timeout_ms,
                                                 const struct sp_event **ret_event,
                                                 const char **ret_entry, uint32_t *ret_attempts,
                                                 struct sp_error *error);

SP_WARN_UNUSED sp_status sp_client_group_ack(struct sp_worker_of *worker, const char *entry,
                                             struct sp_error *error);
SP_WARN_UNUSED sp_status sp_client_group_nack(struct sp_worker_of *worker, const char *entry,
                                              int64_t delay_ms, const char *reason, bool dead,
                                              struct sp_error *error);
SP_WARN_UNUSED sp_status sp_client_group_extend(struct sp_worker_of *worker, const char *entry,
                                                uint64_t for_ms, struct sp_error *error);
void sp_client_group_leave(struct sp_worker_of *worker);

#endif
