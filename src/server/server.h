/*
 * The server: its store, its clients, and what a turn of the loop does between them. loop-thread
 *
 * A turn: the loop hands over what the sockets gave (sp_connection_feed), then sp_server_turn
 * moves the store on: the open block is written, timers fire, replies whose gate has passed are
 * let go, what paused goes on. The loop then sends. Nothing else is ever waited for.
 *
 * Parts that come beside the commands (subscriptions, waiting reads) hang in by hooks.
 */
#ifndef SP_SERVER_SERVER_H
#define SP_SERVER_SERVER_H

#include "engine/bus.h"
#include "server/command.h"
#include "server/connection.h"
#include "server/logger.h"
#include "server/settings.h"
#include "server/spare.h"

struct sp_server;
struct sp_waits;      /* wait.h */
struct sp_consumers;  /* consumers.h */
struct sp_pubsub;     /* pubsub_int.h */
struct sp_loop;       /* loop.h */
struct sp_projects;   /* project/projects.h */
struct sp_travel;     /* project/travel.h */
struct sp_queries;    /* queries_int.h */
struct sp_http;       /* http_int.h */
struct sp_http_reads; /* http_events.h */
struct sp_upcasters;  /* project/upcast.h */
struct sp_decisions;  /* decisions.h */

/* What a part of the server wants to be told. Every member may be NULL. */
struct sp_server_hooks {
    /* An event became durable. Must not write replies of commands; may push, may mark as ready. */
    void (*live)(struct sp_server *server, void *context, const struct sp_event *event);
    /*
     * The turn has moved the store on: the place to push and to read the log. True where there is
     * more to do at once.
     */
    bool (*turn)(struct sp_server *server, void *context);
    /* A connection is about to be freed, or was RESET. */
    void (*closed)(struct sp_server *server, void *context, struct sp_connection *connection);
    /* Fewer bytes than connection->drain_below wait for a connection, which is 0 from then on. */
    void (*drained)(struct sp_server *server, void *context, struct sp_connection *connection);
    /* ms until `turn` must be called again; -1: whenever something comes. */
    int (*timeout)(struct sp_server *server, void *context);
    /* The server ends: free what is yours. */
    void (*fini)(struct sp_server *server, void *context);
    void *context;
};

enum { SP_SERVER_HOOKS_MAX = 16 };

/* Counted for INFO. */
struct sp_server_stats {
    uint64_t connections_total;
    uint64_t connections_rejected;
    uint64_t commands;
    uint64_t errors;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t turns;
    uint64_t http_requests;
    uint64_t http_replies[6]; /* by the first digit of their status */
};

struct sp_server {
    struct sp_settings settings;
    struct sp_logger logger;
    struct sp_engine *engine;
    struct sp_bus *bus;
    struct sp_clock clock;
    uint64_t monotonic_ms; /* read once a turn */
    uint64_t wall_ms;
    uint64_t started_ms; /* wall clock */

    struct sp_command_index commands;
    struct sp_connection *connections; /* all of them, the oldest first */
    struct sp_connection *connections_last;
    uint32_t connection_count;
    uint64_t connection_last_id;
    /*
     * Those that the end of the turn looks at, first who was touched first: who appended has its
     * reply before all those are sent to who subscribed.
     */
    struct sp_connection *dirty;
    struct sp_connection *dirty_last;
    struct sp_spares spares; /* for the connections' buffers */
    size_t buffer_bytes;     /* what all connections hold, as they were counted last */

    struct sp_server_hooks hooks[SP_SERVER_HOOKS_MAX];
    uint32_t hook_count;
    uint32_t listening; /* how many parts want `live` */
    struct sp_waits *waits;
    struct sp_consumers *consumers;
    struct sp_pubsub *pubsub;
    struct sp_queries *queries;       /* NULL: none yet */
    struct sp_http *http;             /* NULL: HTTP is off */
    struct sp_http_reads *http_reads; /* NULL: none yet */
    struct sp_upcasters *upcasters;   /* NULL: events are shown as they are stored */
    struct sp_event upcast_event;     /* one that was brought up: it is large */
    struct sp_decisions *decisions;   /* NULL: there are no commands */
    struct sp_projects *projects;     /* NULL: no projections run here */
    struct sp_travel *travel;         /* likewise */
    int projects_wait_ms;  /* until they must have a turn; -1: whenever something comes */
    bool again;            /* a part has more to do: the next turn comes at once */
    uint64_t retell_ms;    /* when retell.h looked last */
    uint64_t retell_first; /* the log's first position then */
    uint64_t receives;     /* calls of SPOOR.RECEIVE: which of its keys each one asks first */

    struct sp_buf scratch;  /* of one command */
    struct sp_event event;  /* likewise: it is large */
    struct sp_buf key_room; /* names of keys with their database before */
    struct sp_server_stats stats;
    bool draining; /* no new connections */
    bool failed;   /* the store is dead: the server must end */
    int resp_port; /* as bound */
    int http_port; /* likewise; 0: off */
    int wake_fd;   /* signalling it makes the loop turn, from any thread; -1: there is no loop */
    void *loop;
};

/*
 * Takes over settings (also on failure), opens nothing: engine and bus are the caller's and
 * outlive it.
 */
SP_WARN_UNUSED sp_status sp_server_init(struct sp_server *server, struct sp_settings *settings,
                                        struct sp_engine *engine, struct sp_bus *bus,
                                        struct sp_clock clock, int log_fd, struct sp_error *error);
void sp_server_fini(struct sp_server *server);

/* What settings say that is kept elsewhere as well: after one has changed. */
void sp_server_apply_settings(struct sp_server *server);

/* Adds a part. Its place in `hooks` stays. */
void sp_server_hook(struct sp_server *server, const struct sp_server_hooks *hooks);

/* One part more, or one fewer, that wants to be told of events: nobody listening costs nothing. */
void sp_server_listen(struct sp_server *server, bool on);

/* Counts anew what a connection holds: wherever that may have changed. O(1). */
void sp_server_count(struct sp_server *server, struct sp_connection *connection);

/* True while the connections hold more than memory-budget: nothing more is begun for them then. */
bool sp_server_is_over_budget(const struct sp_server *server);

/* True where this is the password that clients must know. Takes as long whatever is wrong. */
bool sp_server_password_is(const struct sp_server *server, sp_str password);

/* Bytes of the process that are in memory; 0 where the system does not say. */
unsigned long long sp_server_resident_bytes(void);

/* Reads the clocks: at the start of a turn. */
void sp_server_tick(struct sp_server *server);

/*
 * Moves everything on (see above). Returns ms until it must be called again; -1: whenever
 * something comes.
 */
int sp_server_turn(struct sp_server *server);

/*
 * The key that a client means: with its database before it where that is not 0. What it points to
 * lasts for the request, or as long as the text. False where it is none: the reply is then written.
 */
SP_WARN_UNUSED bool sp_request_key(struct sp_request *request, sp_str text, struct sp_key *ret_key);

/*
 * As sp_request_key, and the key must be one that clients may write: else the reply says it is
 * read-only.
 */
SP_WARN_UNUSED bool sp_request_key_to_write(struct sp_request *request, sp_str text,
                                            struct sp_key *ret_key);

/* What stands before the names of a connection's keys: empty in database 0, else `db9:`. */
sp_str sp_connection_prefix(const struct sp_connection *connection, char room[16]);

#endif
