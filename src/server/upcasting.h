/*
 * Upcasters in the server: events as readers see them. loop-thread
 *
 * What is read as JSON is brought up (project/upcast.h), unless the reader asks for what is stored.
 * Where that fails, the reader is told which event, which upcaster and why, and is stopped; nobody
 * else is.
 */
#ifndef SP_SERVER_UPCASTING_H
#define SP_SERVER_UPCASTING_H

#include "engine/bus_groups.h"
#include "project/upcast.h"
#include "server/http.h"
#include "server/server.h"

/* Makes the server's upcasters and reads what the store has of them. */
SP_WARN_UNUSED sp_status sp_upcasting_init(struct sp_server *server, struct sp_error *error);

/* The schemas have changed: results are compared with those of now. */
void sp_upcasting_refresh(struct sp_server *server);

/*
 * The event as a reader is to see it: itself, or a copy that lasts until the next call. `server`
 * NULL: as it is stored. SP_INVALID where an upcaster is broken.
 */
SP_WARN_UNUSED sp_status sp_upcasting_view(struct sp_server *server, const struct sp_event *event,
                                           const struct sp_event **ret_event,
                                           struct sp_error *error);

/* Entries of a group that were handed out and cannot be brought up: to be given back. */
struct sp_upcasting_failed {
    struct sp_buf list; /* of what follows; zeroed: begun by the first one */
};

/* Takes note of one. */
void sp_upcasting_note(struct sp_upcasting_failed *failed, struct sp_entry_id id,
                       const struct sp_error *error);

/*
 * Gives them all back with the reason, as SPOOR.NACK does; those of a group without a policy stay
 * pending. Says so in the log. Returns how many there were.
 */
uint32_t sp_upcasting_give_back(struct sp_server *server, const struct sp_key *key, sp_str group,
                                struct sp_upcasting_failed *failed);

/* Reads ?upcast=…: *ret_server is the server, or NULL for `false`. False: a problem was written. */
SP_WARN_UNUSED bool sp_http_upcast(struct sp_http_request *request, struct sp_server **ret_server);

/* What writing an event said: SP_INVALID is 422 `upcast-failed`, all else as refuse_status. */
enum sp_http_verdict sp_http_refuse_event(struct sp_http_request *request, sp_status status,
                                          const struct sp_error *error);

#endif
