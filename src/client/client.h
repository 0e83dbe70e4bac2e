/*
 * A server, as the functions of spoor.h use it: requests that are answered in order, sent again
 * over a new connection where one was lost.
 *
 * Happy path: a request is encoded, queued, sent at once, and answered by the reply that stands at
 * its place. What can go wrong: the connection is lost. Then it is made anew, with growing pauses,
 * and whatever was not answered is sent again, in order. That is harmless: events have their ids
 * before they are sent, so that the server knows those it has, and all else reads, or says the same
 * thing twice. A request that has no answer within timeout_ms gets SP_TIMEOUT; its outcome is then
 * unknown. A wrong password, or another program at the address, fails all that waits.
 *
 * Limits: outstanding_max events, PENDING_BYTES_MAX of requests; SP_BUSY beyond.
 *
 * Threading: with own_thread any thread, else one at a time. There is one recursive lock, held by
 * whoever uses the connection, never across a wait. Answers are given under it, by the client's
 * thread or by any that is in a call.
 */
#ifndef SP_CLIENT_CLIENT_H
#define SP_CLIENT_CLIENT_H

#include "base/buf.h"
#include "client/answer.h"
#include "client/url.h"
#include "event/attributes.h"

struct sp_client;

struct sp_client_options {
    bool own_thread;
    bool read_only;           /* appends are refused with SP_DENIED */
    uint32_t outstanding_max; /* events under way */
    uint32_t timeout_ms;      /* of a request, connecting again included; not 0 */
    struct sp_event_limits limits;
};

/*
 * Connects and shakes hands, within timeout_ms. SP_IO where nobody answers, SP_DENIED for a wrong
 * password, SP_UNSUPPORTED where no spoor does, SP_INVALID for what is no URL.
 */
SP_WARN_UNUSED sp_status sp_client_open(sp_str url, const struct sp_client_options *options,
                                        struct sp_client **ret_client, struct sp_error *error);

/* As sp_client_open, the URL being read already. */
SP_WARN_UNUSED sp_status sp_client_open_url(const struct sp_url *url,
                                            const struct sp_client_options *options,
                                            struct sp_client **ret_client, struct sp_error *error);

/* Waits for what is under way, until it is answered or its time is up; then frees. NULL is fine. */
void sp_client_close(struct sp_client *client);

/* The URL without its secrets. */
const char *sp_client_shown(const struct sp_client *client);

const struct sp_client_options *sp_client_options(const struct sp_client *client);
const struct sp_url *sp_client_url(const struct sp_client *client);

/* ---- calls ---- */

/*
 * Sends one command and waits for its reply. SP_OK: the answer holds it, to be freed with
 * sp_answer_fini. An error reply gives its status and text. `wait_ms` is added to the time it may
 * take: of commands that block.
 */
SP_WARN_UNUSED sp_status sp_client_call(struct sp_client *client, const sp_str *args, size_t argc,
                                        uint32_t wait_ms, struct sp_answer *answer,
                                        struct sp_error *error);

/* As sp_client_call, the command being encoded already. */
SP_WARN_UNUSED sp_status sp_client_call_encoded(struct sp_client *client, sp_str command,
                                                uint32_t wait_ms, struct sp_answer *answer,
                                                struct sp_error *error);

/* ---- requests that do not wait ---- */

struct sp_request;

/*
 * Called once: with the reply, or with the status of what went wrong and its error. `sent_twice`:
 * the request was sent again, so that the first sending may have done it already. The reply is
 * borrowed for the call; nothing may be waited for in it.
 */
typedef void sp_request_fn(void *context, sp_status status, const struct sp_reply_node *reply,
                           bool sent_twice, const struct sp_error *error);

/*
 * Queues an encoded command, which is taken over (its buffer is left empty) and may take wait_ms
 * longer than others. `events`: how many it appends, which count against outstanding_max; SP_BUSY
 * where too many are under way. SP_CANCELLED while closing. The lock is held.
 */
SP_WARN_UNUSED sp_status sp_client_send(struct sp_client *client, struct sp_buf *command,
                                        uint32_t wait_ms, uint32_t events, sp_request_fn *done,
                                        void *context, struct sp_error *error);

/* ---- driving ---- */

/*
 * Moves on what can be moved on; waits up to timeout_ms (negative: no limit) for an answer where
 * something is under way and none has come. *ret_answered counts. SP_OK also while it is
 * connecting again.
 */
void sp_client_turn(struct sp_client *client, int timeout_ms, uint32_t *ret_answered);

/* Turns until *flag, which an answer sets, is not 0. With own_thread it waits for the thread. */
void sp_client_await(struct sp_client *client, const bool *flag);

/* Waits until something that is under way was answered. The lock is held. */
void sp_client_make_room(struct sp_client *client);

/* Readable when sp_client_turn has something to do; -1 where there is none, or with own_thread. */
int sp_client_fd(struct sp_client *client);

/* Milliseconds until sp_client_turn wants to be called even so; -1: no need. */
int sp_client_deadline_ms(struct sp_client *client);

/*
 * Adds a descriptor of the caller's (a subscription's) to what sp_client_fd tells of; `on` false
 * takes it away. False where the host has not asked for sp_client_fd.
 */
bool sp_client_watch(struct sp_client *client, int fd, bool on);

/* Waits for the caller's own descriptor (-1: none), driving the client meanwhile. */
void sp_client_wait(struct sp_client *client, int fd, short events, int timeout_ms);

void sp_client_lock(struct sp_client *client);
void sp_client_unlock(struct sp_client *client);

/* A new id for an event, a UUIDv7. Under the lock. */
void sp_client_make_id(struct sp_client *client, char ret_text[37]);

/* Monotonic. */
uint64_t sp_client_now_ms(void);

/* Encodes a command's words. */
void sp_client_encode(struct sp_buf *to, const sp_str *args, size_t argc);

#endif
