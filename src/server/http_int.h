/*
 * What the parts of HTTP's core share; handlers see http.h only. loop-thread
 *
 * A request that is whole in the bytes that came, and is answered at once, is read in the server's
 * one `sp_http` and allocates nothing. One that has to last (its body is still coming, it waits,
 * its reply is streamed) is copied into an *exchange*, which its connection owns.
 *
 *     BODY ──► READY ──► handler ──► over
 *      ▲ MORE   ▲ LATER      │
 *      └────────┴────────────┤
 *               WAITS ◄──────┤  connection->wait wakes it
 *               OPEN  ◄──────┘  until sp_http_stream_end
 */
#ifndef SP_SERVER_HTTP_INT_H
#define SP_SERVER_HTTP_INT_H

#include "proto/http_write.h"
#include "server/gzip.h"
#include "server/http.h"

enum {
    HTTP_SEGMENTS_MAX = 8,       /* of a route's path */
    HTTP_LINGER_MS = 2000,       /* what a refused client still sends is read away for so long */
    HTTP_BUSY_MS = 5000,         /* a store that is busy for longer is said to be: 429 */
    HTTP_BODY_BYTES_PER_MS = 16, /* a body may take the time that it would at this rate */
};

/* A row of the tables, taken apart. */
struct http_row {
    const struct sp_http_route *route;
    uint32_t segment_count;
    uint32_t literals; /* which segments are literal: bit 31 is the first */
    sp_str segments[HTTP_SEGMENTS_MAX];
};

struct sp_http {
    struct http_row *rows;
    uint32_t row_count;
    struct sp_http_pair headers[SP_HTTP_HEADERS_MAX];
    struct sp_http_pair query[SP_HTTP_QUERY_MAX];
    struct sp_http_head head;
    struct sp_http_request request;
    struct sp_buf decoded; /* parts of the target with escapes */
    struct sp_buf problem; /* the body of one */
    struct sp_buf zipped;
    struct sp_gzip *gzip;          /* NULL until it is needed first */
    struct sp_connection *running; /* whose handler runs */
    size_t from;                   /* where its reply begins in the output's bytes */
    bool shared;                   /* the handler that runs pushed a message that is not copied */
    size_t date_len;
    uint64_t date_s;
    char date[SP_HTTP_DATE_SIZE];
};

enum http_phase { HTTP_BODY, HTTP_READY, HTTP_WAITS, HTTP_OPEN };

struct sp_http_exchange {
    struct sp_http_request request;
    struct sp_http_head head;
    enum http_phase phase;
    size_t size;                   /* of this allocation */
    uint64_t body_left;            /* of a body of known length */
    uint64_t body_bytes;           /* as received */
    bool body_came;                /* all of it; what is in `raw` is still to be inflated */
    bool inflated;                 /* the end of the compressed body was met */
    bool later;                    /* the handler is to be run again */
    struct sp_http_chunks *chunks; /* NULL: the length is known */
    struct sp_gunzip *gunzip;      /* NULL: not compressed */
    struct sp_buf raw;             /* compressed */
    struct sp_buf body;
    struct sp_http_pair pairs[]; /* headers, query; then the bytes they point to */
};

extern const struct sp_protocol http_protocol;

/* ---- http_route.c ---- */

SP_WARN_UNUSED sp_status http_rows_init(struct sp_http *http,
                                        const struct sp_http_route *const *tables,
                                        struct sp_error *error);

/*
 * Finds the route and sets route, params and query. False where a problem was written: 400, 404,
 * 405; also where OPTIONS was answered.
 */
SP_WARN_UNUSED bool http_route(struct sp_http_request *request);

/* True where the route takes this request's body in pieces. */
bool http_takes_pieces(const struct sp_http_request *request);

/* ---- http_guard.c ---- */

/* True where the request may be answered; else a problem was written: 401, 403. */
SP_WARN_UNUSED bool http_may_enter(struct sp_http_request *request);

/* True where the request has an Origin that cors-origins lists. */
bool http_allows_origin(const struct sp_http_request *request);

/* Adds what the Origin header calls for. */
void http_add_cors(const struct sp_http_request *request, struct sp_buf *to);

/* ---- http_reply.c ---- */

/* Status line and the headers that all replies have. `request` may be NULL. */
void http_begin_head(struct sp_connection *connection, struct sp_http_request *request, int status);

/* A problem of a request that was not read: the connection ends with it. */
void http_refuse_unread(struct sp_connection *connection, int status, const char *text);

/* 204 to OPTIONS; 405. `methods` of enum sp_http_method. */
void http_reply_options(struct sp_http_request *request, unsigned methods);
void http_refuse_method(struct sp_http_request *request, unsigned methods);

/* 101: what follows is another protocol. */
void http_upgrade(struct sp_http_request *request, const char *protocol);

/* ---- http_exchange.c ---- */

/* Copies a request that lasts. NULL where memory is out. */
struct sp_http_exchange *http_exchange_new(const struct sp_http_request *request,
                                           const char *head_bytes);
void http_exchange_free(struct sp_http_exchange *exchange);

/* Prepares for the body; 0, or the status to refuse with: 415, 503. */
int http_exchange_expect(struct sp_http_exchange *exchange);

/*
 * Takes bytes of the body. *ret_used: how many. False where the fault says why not. Afterwards
 * request.body and body_ended are set.
 */
SP_WARN_UNUSED bool http_exchange_read(struct sp_http_exchange *exchange, const char *bytes,
                                       size_t len, size_t *ret_used, struct sp_http_fault *fault);

/* Forgets what the handler of a STREAMED route took. True where that was something. */
bool http_exchange_took(struct sp_http_exchange *exchange);

size_t http_exchange_bytes(const struct sp_http_exchange *exchange);

/* ---- http.c ---- */

/* Holds back what the request writes until what was decided so far is durable. */
void http_hold(struct sp_http_request *request);

/* The exchange is over. */
void http_end_exchange(struct sp_connection *connection);

#endif
