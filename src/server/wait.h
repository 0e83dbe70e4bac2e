/*
 * Commands that wait for entries: XREAD BLOCK, XREADGROUP BLOCK. loop-thread
 *
 * A waiting command is kept as it was said, with `$` replaced by what it meant, and is run again
 * when something came for one of its keys: it then has an answer, or goes on waiting. Who came
 * first is asked first. The members of a consumer group are asked one after another, and only as
 * long as the group has something to hand out.
 */
#ifndef SP_SERVER_WAIT_H
#define SP_SERVER_WAIT_H

#include "server/server.h"

enum { SP_WAIT_KEYS_MAX = 1024 };

/* Makes the server's waits and hooks them in. */
SP_WARN_UNUSED sp_status sp_waits_init(struct sp_server *server, struct sp_error *error);

/* What a handler says that wants to wait. Everything is copied. */
struct sp_wait_spec {
    const sp_str *args; /* the command as it is to be run again */
    uint32_t argc;
    const struct sp_key *keys; /* wakes when an entry of one of them becomes durable; or */
    const uint64_t *groups;    /* when one of these groups has something to hand out; else NULL */
    uint32_t count;            /* keys, or groups; 0: sp_wait_wake wakes it */
    uint64_t timeout_ms;       /* 0: for ever */
};

/*
 * Blocks the request's connection: SP_BLOCKED, or SP_DONE with an error as its reply. Where it is
 * a waiting command that is run again, it goes on waiting as it did.
 */
SP_WARN_UNUSED enum sp_verdict sp_wait_begin(struct sp_request *request,
                                             const struct sp_wait_spec *spec);

/*
 * The same for a request of HTTP (sp_http_wake runs it again): no words, and no key or group where
 * it waits for the time alone. False where memory is out.
 */
SP_WARN_UNUSED bool sp_wait_begin_http(struct sp_connection *connection,
                                       const struct sp_wait_spec *spec);

/*
 * Runs the waiting command or request of the connection again, now: for parts that it waits for
 * without a key or group. From their `turn` only. Does nothing where the connection waits no more.
 */
void sp_wait_wake(struct sp_connection *connection);

/* What a waiting command takes in memory. */
size_t sp_wait_bytes(const struct sp_connection *connection);

/* Ends the waiting without a reply: the connection goes. */
void sp_wait_drop(struct sp_connection *connection);

/* CLIENT UNBLOCK: ends it as a timeout would, or with an error. */
void sp_wait_unblock(struct sp_connection *connection, bool with_error);

/* A group may have more to hand out than before, or is gone: its members are asked in turn. */
void sp_wait_group_ready(struct sp_server *server, uint64_t group);

/* ms until the first deadline; -1: there is none. */
int sp_waits_timeout(const struct sp_server *server);

#endif
