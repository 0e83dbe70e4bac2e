/*
 * One client: what it said and was not answered yet, what it is sent, and where it stands between.
 * loop-thread
 *
 * A connection knows no socket: the loop hands it bytes and takes bytes from it, and so does a
 * test.
 *
 *     bytes ──► input ──► one command after another ──► output ──► bytes
 *                            │ pauses
 *                            ├ GATE     a read waits until the own writes are durable
 *                            ├ BUSY     too much is on its way to the disk, or memory is short
 *                            ├ BLOCKED  XREAD BLOCK and the like
 *                            ├ OUTPUT   the client does not read: nothing more until it has
 *                            └ CLOSING  what is there is still sent, then the end
 *
 * Idle, a connection is this struct and what the loop has for it: buffers come with the first byte
 * and go when they are empty.
 */
#ifndef SP_SERVER_CONNECTION_H
#define SP_SERVER_CONNECTION_H

#include "core/presence.h"
#include "proto/resp_read.h"
#include "proto/resp_write.h"
#include "server/output.h"

struct sp_server;
struct sp_transaction;   /* transaction.h */
struct sp_wait;          /* wait.h */
struct sp_subscriber;    /* pubsub.h */
struct sp_http_exchange; /* http_int.h */
struct sp_query_job;     /* queries_int.h */

enum {
    SP_PEER_TEXT_SIZE = 64,
    SP_CLIENT_NAME_BYTES_MAX = 1024,
    SP_OUTPUT_PAUSE_BYTES = 1 << 20,  /* unread replies at which commands wait */
    SP_INPUT_PAUSED_BYTES = 64 << 10, /* what is taken from a client whose commands wait */
};

enum sp_pause {
    SP_PAUSE_GATE = 1,
    SP_PAUSE_BUSY = 2,
    SP_PAUSE_BLOCKED = 4,
    SP_PAUSE_OUTPUT = 8,
    SP_PAUSE_CLOSING = 16,
};

enum sp_reply_mode { SP_REPLY_ON, SP_REPLY_OFF, SP_REPLY_SKIP_NEXT, SP_REPLY_SKIP };

/* Which of the server's lists of connections a link belongs to. */
struct sp_link {
    struct sp_connection *next;
    struct sp_connection *before;
    bool linked;
};

/*
 * How the bytes of a connection are understood: the Redis protocol or HTTP. All but name and run
 * may be NULL.
 */
struct sp_protocol {
    const char *name; /* resp, http */
    /* Runs what is complete at the start of the bytes; returns how many are done with. */
    size_t (*run)(struct sp_connection *connection, const char *bytes, size_t len);
    /* True where there is something to go on with though no bytes wait for it. */
    bool (*is_busy)(const struct sp_connection *connection);
    /* True while the connection is the listening end: nothing is expected of the client. */
    bool (*stays)(const struct sp_connection *connection);
    size_t (*bytes)(const struct sp_connection *connection); /* of memory */
    void (*each_second)(struct sp_connection *connection);
    void (*stop)(struct sp_connection *connection); /* the server ends */
    void (*fini)(struct sp_connection *connection);
};

/* Where a connection of HTTP stands; see http_int.h. */
struct sp_http_state {
    struct sp_http_exchange *exchange; /* a request that lasts; NULL: none */
    size_t scanned;                    /* of a head that is not whole */
    uint64_t since_ms;                 /* since when the client owes the rest of a request; 0 */
    uint64_t busy_ms;                  /* since when the store is too busy for it; 0 */
    uint64_t linger_ms;                /* with lingers: the end of it */
    bool lingers;     /* the last reply is written: what still comes is read and forgotten */
    bool stream_open; /* a streamed reply goes on */
    bool stream_chunked;
};

struct sp_connection {
    struct sp_server *server;
    const struct sp_protocol *protocol;
    uint64_t id; /* from 1, never used twice */
    struct sp_link all;
    struct sp_link dirty; /* something to send, or to go on with, at the end of the turn */

    struct sp_resp resp; /* writes into output.bytes */
    struct sp_output output;
    struct sp_resp_reader reader;
    struct sp_buf input; /* read and not done with; without storage where there is nothing */

    unsigned pause;       /* of enum sp_pause */
    uint64_t resume_gate; /* with SP_PAUSE_GATE */
    uint64_t append_gate; /* of the client's last append: what its reads wait for */
    bool ended;           /* the client will send nothing more */
    size_t drain_below;   /* hooks are told when fewer bytes wait; 0: they are not */
    bool broken;          /* to be closed at once: nothing more is sent */

    bool authenticated;
    enum sp_reply_mode reply_mode;
    uint32_t database;
    char *name;    /* CLIENT SETNAME; NULL: none */
    char *library; /* CLIENT SETINFO */
    char *library_version;
    char peer[SP_PEER_TEXT_SIZE]; /* 127.0.0.1:50123 */
    uint64_t since_ms;            /* wall clock */
    uint64_t last_ms;             /* monotonic: the last command */
    const struct sp_command_row *last_command;

    size_t counted_bytes;      /* what the server's sum of buffers holds of it */
    size_t subscription_bytes; /* what its subscriptions take, roughly */

    struct sp_transaction *transaction; /* MULTI or WATCH; NULL: neither */
    struct sp_wait *wait;               /* with SP_PAUSE_BLOCKED */
    struct sp_query_job *query;         /* of a command that waits for its answer; NULL */
    uint32_t consumers;                 /* consumers.h: 1 + the first that it works as; 0: none */

    struct sp_http_state http;
    struct sp_agent_holder agents; /* those that it speaks for: cmd_agents.c */

    struct sp_subscriber *subscriber; /* whatever the subscriptions need; freed by their hook */
    uint32_t subscription_count; /* channels and patterns: RESP2 restricts commands from 1 on */

    void *socket; /* the loop's own; NULL in tests */
};

/* Makes a connection of the server's and links it in. NULL where memory is out. */
struct sp_connection *sp_connection_new(struct sp_server *server, const char *peer);

/* Tells the hooks, gives up what it waits for, frees. */
void sp_connection_free(struct sp_connection *connection);

/* Takes bytes the client sent and runs the commands that are complete. */
void sp_connection_feed(struct sp_connection *connection, const char *bytes, size_t len);

/* The protocol speaks RESP from here on: what every connection does at first. */
void sp_connection_speak_resp(struct sp_connection *connection);

/* True while the client is only listening: it waits, or is subscribed. */
bool sp_connection_stays(const struct sp_connection *connection);

/* Goes on with what waits in the input, where nothing pauses it any more. */
void sp_connection_resume(struct sp_connection *connection);

/* Says that the output changed, or that there is something to look at when the turn ends. */
void sp_connection_touch(struct sp_connection *connection);

/* Takes it off the list of those that the end of the turn looks at. */
void sp_connection_settle(struct sp_connection *connection);

/* Sends what is there, then closes. */
void sp_connection_finish(struct sp_connection *connection);

/* Closes when the turn ends; what waits is not sent. Safe wherever a connection is in hand. */
void sp_connection_break(struct sp_connection *connection);

/*
 * A message that no command asked for, already encoded for the client's protocol: may be called at
 * any time but from within a handler of this connection, where the reply is written directly.
 * False where the client has too much unread (sp_connection_unsent would exceed the setting
 * output-buffer) or memory is out: nothing was queued then, and whether the client is closed or
 * lags is for the caller to say.
 */
SP_WARN_UNUSED bool sp_connection_push(struct sp_connection *connection, struct sp_blob *message);

static inline size_t sp_connection_unsent(const struct sp_connection *connection) {
    return sp_output_waiting(&connection->output);
}

/*
 * Replaces a name, library or version: printable ASCII but blanks; empty text is none. False where
 * it is something else, or memory is out.
 */
SP_WARN_UNUSED bool sp_connection_set_text(char **field, sp_str text);

/* The source of what the client publishes: its name (CLIENT SETNAME), else `redis`. */
sp_str sp_connection_source(const struct sp_connection *connection);

#endif
