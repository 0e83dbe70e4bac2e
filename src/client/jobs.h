/*
 * Commands for a worker, out of groups of a server: taken several at a time over a connection of
 * their own, on which their answers and acknowledgements go as well, one behind the other and
 * without waiting. So an answer is with the server before its acknowledgement, and both before the
 * next commands are asked for; and all of that is one round trip. One thread at a time.
 */
#ifndef SP_CLIENT_JOBS_H
#define SP_CLIENT_JOBS_H

#include "client/client.h"
#include "record/event.h"

enum { SP_JOBS_KEYS_MAX = 64, SP_JOBS_BATCH_MAX = 1024 };

struct sp_jobs;

/* The group is there on each of the keys. */
SP_WARN_UNUSED sp_status sp_jobs_open(struct sp_client *client, const char *group,
                                      const char *consumer, const char *const *keys,
                                      size_t key_count, uint32_t batch, struct sp_jobs **ret_jobs,
                                      struct sp_error *error);

/* What was handed out; all of it lasts until the next receive. */
struct sp_job_delivery {
    const struct sp_event *event;
    sp_str key;
    sp_str entry;
    uint32_t attempts; /* this one included */
};

/*
 * The next command; SP_TIMEOUT where none came within timeout_ms. A request for more stays under
 * way then, and its commands come with the next call.
 */
SP_WARN_UNUSED sp_status sp_jobs_receive(struct sp_jobs *jobs, int timeout_ms,
                                         struct sp_job_delivery *ret_delivery,
                                         struct sp_error *error);

/* Done with it: behind all that was sent to sp_jobs_client so far. SP_BUSY is waited for. */
SP_WARN_UNUSED sp_status sp_jobs_ack(struct sp_jobs *jobs, const struct sp_job_delivery *delivery,
                                     struct sp_error *error);

/* The connection. */
struct sp_client *sp_jobs_client(struct sp_jobs *jobs);

/* Waits for what was sent; up to a second for commands that were asked for. NULL is fine. */
void sp_jobs_close(struct sp_jobs *jobs);

#endif
