/*
 * HTTP: the contract between the connection and the handlers of routes. loop-thread
 *
 *     bytes ──► head ──► route ──► body ──► handler ──► reply ──► output behind its gate
 *                │        │        │         │
 *                400 …    404      413       ├ LATER  the store is busy: it is run again
 *                401      405                ├ WAITS  for a group, a key or a time: likewise
 *                                            └ OPEN   a streamed reply, until it is ended
 *
 * A handler decides at once, as those of the Redis protocol do: it reads the request, calls the
 * bus, and writes its reply. It never sees a socket. The core has checked method, password, origin
 * and body length before, has inflated and joined the body, and afterwards holds the reply back
 * until what was decided is durable. The requests of a connection are answered one after another.
 *
 * Parts register tables of routes (http_routes.c lists them). A reply is one of
 *   - whole: sp_http_reply, sp_http_json: with Content-Length, compressed where that pays;
 *   - a problem (RFC 9457): sp_http_problem, sp_http_refuse, sp_http_refuse_status;
 *   - streamed: sp_http_stream_begin, _write or _push, _end: chunks, for as long as it takes.
 */
#ifndef SP_SERVER_HTTP_H
#define SP_SERVER_HTTP_H

#include "base/blob.h"
#include "proto/http_read.h"
#include "server/server.h"

enum {
    SP_HTTP_PARAMS_MAX = 4,        /* {parameters} of a path */
    SP_HTTP_QUERY_MAX = 64,        /* parameters of a query; more are refused with 400 */
    SP_HTTP_GZIP_BYTES_MIN = 1024, /* a smaller body is not compressed */
};

struct sp_http_request;

enum sp_http_verdict {
    SP_HTTP_DONE,  /* the reply is written, or the streamed reply has been ended */
    SP_HTTP_LATER, /* SP_BUSY: nothing happened, nothing was written; the next turn runs it again */
    SP_HTTP_WAITS, /* sp_http_wait was called, nothing was written: it is run again */
    SP_HTTP_OPEN,  /* sp_http_stream_begin was called: the reply goes on until sp_http_stream_end */
    SP_HTTP_MORE,  /* of a STREAMED route: the body goes on, run it again when more is there */
};

typedef enum sp_http_verdict sp_http_handler_fn(struct sp_http_request *request);

enum sp_http_flag {
    SP_HTTP_WRITE = 1,    /* appends or decides: its reply waits until that is durable */
    SP_HTTP_READ = 2,     /* reads the log: runs when the connection's own appends are durable, and
                          its reply waits until all that is decided is durable */
    SP_HTTP_STREAMED = 4, /* takes its body in pieces; see sp_http_request.body */
    SP_HTTP_OPEN_TO_ALL = 8,     /* needs no password */
    SP_HTTP_STREAMED_LINES = 16, /* as STREAMED where the body is NDJSON, whole where it is not */
};

/*
 * One row of a table; the last has no path. A path is literal segments and {parameters}, each a
 * whole segment; where several fit, the one that is literal earlier is meant. HEAD is answered by
 * GET's row and OPTIONS by the core; neither has rows.
 */
struct sp_http_route {
    enum sp_http_method method;
    const char *path; /* "/v1/streams/{stream}" */
    unsigned flags;   /* of enum sp_http_flag */
    sp_http_handler_fn *handler;
};

/*
 * A request. Everything it points to lasts as long as the request does: until the handler's verdict
 * is DONE or the streamed reply is ended, across WAITS, LATER, MORE and OPEN. Its address may
 * differ from one run to the next; an open reply is known by its connection.
 */
struct sp_http_request {
    struct sp_server *server;
    struct sp_connection *connection;
    const struct sp_http_route *route;
    const struct sp_http_head *head;
    sp_str params[SP_HTTP_PARAMS_MAX]; /* decoded, in the order of the path */
    const struct sp_http_pair *query;  /* decoded, in the order of the query */
    uint32_t query_count;

    /*
     * The whole body: inflated, joined, at most http-body-bytes-max. Of a STREAMED route what has
     * come and was not taken yet: the handler says in body_taken how much of it is done with, and
     * is run again when there is more. It must take something of a body of more than
     * SP_HTTP_WINDOW_BYTES, or refuse.
     */
    sp_str body;
    bool body_ended;   /* nothing will follow */
    size_t body_taken; /* set by a handler of a STREAMED route, with MORE */

    /*
     * The handler's own, kept from one run to the next. free_state is called when the request is
     * over, however it ends: also where the client went away.
     */
    void *state;
    void (*free_state)(struct sp_connection *connection, void *state);

    uint32_t share; /* of what a group has, where members wait for it: at most; 0: all */
    bool timed_out; /* the time of sp_http_wait is over, or the server ends: answer now */
    bool lazy;      /* set by a handler: the reply need not wait for what was decided */
    bool appended;  /* set by a handler: later reads of the connection wait until it is durable */
    /*
     * Set by a handler of a streamed reply that ends by itself: a client that has said all it
     * will, and a server that ends, wait for the rest.
     */
    bool finite;
    sp_str event_id; /* set by a handler, where there is one: for the line in the log */
    sp_str correlation_id;
    bool closes; /* the core's: the connection ends with this reply */
    int status;  /* the core's: of the reply */
};

enum { SP_HTTP_WINDOW_BYTES = 4 << 20 };

/* ---- what was asked ---- */

/* The header's value; empty where there is none. Names in any case; of several the first. */
sp_str sp_http_header(const struct sp_http_request *request, const char *name);
bool sp_http_has_header(const struct sp_http_request *request, const char *name);

/* The decoded value of a {parameter} of the route. The name must be one of it. */
sp_str sp_http_param(const struct sp_http_request *request, const char *name);

/*
 * The decoded value of the query's parameter of this name, the first of several. False where there
 * is none.
 */
SP_WARN_UNUSED bool sp_http_query(const struct sp_http_request *request, const char *name,
                                  sp_str *ret_value);

/*
 * True where the body's media type (Content-Type without parameters) is this one, in any case.
 */
bool sp_http_body_is(const struct sp_http_request *request, const char *media_type);

/*
 * True where Accept names this media type itself, with a weight above 0, and wants it at least as
 * much as `instead`; wildcards do not name it.
 */
bool sp_http_prefers(const struct sp_http_request *request, const char *media_type,
                     const char *instead);

/* ---- whole replies ---- */

struct sp_http_reply {
    int status;                        /* 200 … */
    const char *content_type;          /* NULL: no body */
    sp_str body;                       /* copied */
    const struct sp_http_pair *fields; /* further headers; values are bytes from ' ' to '~' */
    uint32_t field_count;
    bool is_gzip; /* the body is compressed already, for a client that takes it so */
};

/* True where the client takes a compressed body. */
bool sp_http_takes_gzip(const struct sp_http_request *request);

/*
 * Writes the reply; of HEAD without its body. Always DONE, so that a handler can return it. A body
 * of more than reply-bytes-max becomes a problem.
 */
enum sp_http_verdict sp_http_reply(struct sp_http_request *request,
                                   const struct sp_http_reply *reply);

/* The same for application/json without further headers. */
enum sp_http_verdict sp_http_json(struct sp_http_request *request, int status, sp_str body);

/* 204. */
enum sp_http_verdict sp_http_nothing(struct sp_http_request *request);

/*
 * An empty buffer to build a body in, the server's scratch; until the reply is written nothing else
 * may use it.
 */
struct sp_buf *sp_http_scratch(struct sp_http_request *request);

/* ---- problems ---- */

enum sp_http_member_kind { SP_HTTP_TEXT, SP_HTTP_NUMBER, SP_HTTP_JSON };

/* A member of a problem beyond those that all have. */
struct sp_http_member {
    const char *name;
    enum sp_http_member_kind kind;
    sp_str text;     /* TEXT: any UTF-8; JSON: a JSON value */
    uint64_t number; /* NUMBER */
};

/*
 * {"type": "urn:spoor:problem:wrong-version", "title": "Conflict", "status": 409, "detail": "…",
 *  "expected_version": 3, "actual_version": 5}
 */
struct sp_http_problem {
    int status;       /* 400 to 599; its phrase is the title */
    const char *type; /* lower-case words joined by `-`; NULL: about:blank */
    sp_str detail;    /* what, where, and what was expected; bytes that are no UTF-8 are replaced */
    const struct sp_http_member *members;
    uint32_t member_count;
    uint32_t retry_after_s; /* 0: no Retry-After */
    sp_str allow;           /* of 405: the Allow header */
    sp_str upgrade;         /* of 426: the Upgrade header */
};

/* All three take back what the handler wrote of its reply, and return DONE. */
enum sp_http_verdict sp_http_problem(struct sp_http_request *request,
                                     const struct sp_http_problem *problem);
enum sp_http_verdict sp_http_refuse(struct sp_http_request *request, int status, const char *type,
                                    const char *format, ...) SP_PRINTF(4, 5);

/*
 * What a call of the bus said: SP_BUSY gives LATER (and after five seconds of it 429), all else a
 * problem with the error's text: INVALID 400, DENIED 403, NOT_FOUND 404, CONFLICT 409, LIMIT 413,
 * UNSUPPORTED 501, TIMEOUT 504, NO_SPACE 507, FAILED, IO, FENCED and NO_MEMORY 503, CORRUPT 500.
 */
enum sp_http_verdict sp_http_refuse_status(struct sp_http_request *request, sp_status status,
                                           const struct sp_error *error);

/* The status that sp_http_refuse_status answers with; of SP_BUSY 429. */
int sp_http_status_of(sp_status status);

/* ---- waiting ---- */

struct sp_http_wait {
    const struct sp_key *keys; /* wakes when an entry of one of them becomes durable; or */
    const uint64_t *groups;    /* when one of these groups has something to hand out; or neither */
    uint32_t count;            /* keys, or groups; at most SP_WAIT_KEYS_MAX */
    uint64_t timeout_ms;       /* from now, and then run with timed_out; 0: for ever */
};

/*
 * The handler is run again when something came, or the time is over. A request that waits already
 * goes on waiting as it did. WAITS, or DONE with a problem where memory is out.
 */
enum sp_http_verdict sp_http_wait(struct sp_http_request *request, const struct sp_http_wait *wait);

/* ---- streamed replies ---- */

/*
 * Writes the head of a reply whose body comes in pieces. OPEN: go on with _write, _push and _end,
 * now or later, with the connection; the request lasts until then. DONE where there will be no body
 * (HEAD): return it. `fields` as of a whole reply. What is sent here and until the handler returns
 * is held behind the gate as a whole reply would be.
 *
 * Where the client ends, or the server does, the core ends the reply and calls free_state. To be
 * told when the client has read, set connection->drain_below (hooks->drained).
 */
enum sp_http_verdict sp_http_stream_begin(struct sp_http_request *request, int status,
                                          const char *content_type,
                                          const struct sp_http_pair *fields, uint32_t field_count);

/* True while a streamed reply is open on the connection. */
bool sp_http_stream_is_open(const struct sp_connection *connection);

/*
 * Sends a piece of the body, copied or shared; empty ones are nothing. False where the client has
 * too much unread (as sp_connection_push) or memory is out: nothing was sent then.
 */
SP_WARN_UNUSED bool sp_http_stream_write(struct sp_connection *connection, sp_str bytes);
SP_WARN_UNUSED bool sp_http_stream_push(struct sp_connection *connection, struct sp_blob *message);

/* Ends it: the connection goes on with its next request, or closes. Calls free_state. */
void sp_http_stream_end(struct sp_connection *connection);

/* Ends it in the middle, for what cannot be said any more: the connection is closed. */
void sp_http_stream_abort(struct sp_connection *connection);

/* ---- the server's side: connection.c, loop.c, serve.c ---- */

/* Makes what HTTP needs of the server, with these tables of routes, ended by NULL. SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_http_init(struct sp_server *server,
                                      const struct sp_http_route *const *tables,
                                      struct sp_error *error);

/* The connection speaks HTTP from its first byte on. */
void sp_http_attach(struct sp_connection *connection);

/* What a client is sent for which there is no place: a whole reply. Static storage. */
sp_str sp_http_too_many(void);

/*
 * Runs the handler of a request that waits; for wait.c. `timed_out`: it is run when the turn goes
 * on with the connection. SP_DONE: it waits no more.
 */
enum sp_verdict sp_http_wake(struct sp_connection *connection, uint32_t share, bool timed_out);

/* All tables of routes, ended by NULL; http_routes.c. */
const struct sp_http_route *const *sp_http_route_tables(void);

#endif
