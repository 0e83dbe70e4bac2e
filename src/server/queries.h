/*
 * Queries over read models: a few threads that run them, while the loop goes on. loop-thread
 *
 *     handler ──► sp_query_start ──► QUEUED ──► RUNNING ──► DONE ──► the handler is run again
 *                                      ▲           │ has not seen `seen` yet
 *                                      └─ PARKED ◄─┘ until its time comes again
 *
 * A job has copies of all it needs, and its answer is encoded on the thread that ran it: what the
 * loop does is to hand over pointers. Threads are started when the first query comes, each with a
 * reader of its own (project/query.h), which is closed again when nobody has asked for a while.
 *
 * Limits: `query-threads` run, `query-queue` wait beside them (SP_BUSY beyond); the time of a query
 * counts from its start here, so that one that waited for its whole time is SP_TIMEOUT; an answer
 * has at most `query-bytes-max` of values.
 *
 * A job whose client goes away is abandoned: it is taken from the queue, or interrupted.
 */
#ifndef SP_SERVER_QUERIES_H
#define SP_SERVER_QUERIES_H

#include <stdatomic.h>

#include "base/blob.h"
#include "project/query.h"
#include "server/command.h"
#include "server/http.h"
#include "server/server.h"

enum {
    SP_QUERY_PIECE_BYTES = 256 << 10, /* a larger answer comes in pieces of so much */
    SP_QUERY_PIECES_MAX = 1024,
};

enum sp_query_form {
    SP_QUERY_JSON,
    SP_QUERY_NDJSON,
    SP_QUERY_CSV,
    SP_QUERY_RESP,   /* a map of columns, rows and position */
    SP_QUERY_HASH,   /* HGETALL: the one row as a map */
    SP_QUERY_CELL,   /* HGET: the one value */
    SP_QUERY_TABLES, /* every table, with its columns */
};

struct sp_query_job;

/*
 * Work of another kind than a query, that takes its time on a thread of the pool, such as making a
 * state of the past. Of these fewer run at a time than there are threads, so that queries go on.
 */
struct sp_query_work {
    /*
     * Appends the answer to `to`; on a thread of the pool. `stop`: nobody waits for it any more.
     * What it says in `done` is told as of a query.
     */
    sp_status (*run)(struct sp_query_work *work, uint64_t timeout_ms, const atomic_bool *stop,
                     struct sp_buf *to, struct sp_sql_done *done, struct sp_error *error);
    void (*free)(struct sp_query_work *work);
};

/* What is asked. Everything is copied but `work`, which is taken over. */
struct sp_query_ask {
    enum sp_query_form form;
    int resp_version;  /* of those of the Redis protocol */
    bool kinds;        /* of RESP: a letter for each value */
    bool bulk;         /* of JSON, over the Redis protocol: as one bulk string */
    struct sp_sql sql; /* of JSON, NDJSON, CSV and RESP; 0 of a limit: the default */
    sp_str key;        /* of HASH and CELL: `table:key` */
    sp_str column;     /* of CELL */
    struct sp_query_work
        *work; /* instead of SQL, of which the limits count; of RESP a bulk; NULL */
};

/* The answer of a job that is done. */
struct sp_query_answer {
    sp_status status;
    const struct sp_error *error;
    const struct sp_sql_done *done;
    sp_str body; /* SP_OK: all of it, where there are no pieces */
    struct sp_blob *const *pieces;
    uint32_t piece_count;
};

/*
 * Hands a query over, with its work also where that fails. When it is done the connection's wait is
 * woken (sp_wait_wake), unless the job was abandoned before. SP_BUSY: the queue is full; SP_LIMIT:
 * beyond what may be asked for, the error says of what; SP_INVALID; SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_query_start(struct sp_connection *connection,
                                        const struct sp_query_ask *ask,
                                        struct sp_query_job **ret_job, struct sp_error *error);

/* False while the job is not done. What the answer points to lasts as long as the job. */
SP_WARN_UNUSED bool sp_query_is_done(const struct sp_query_job *job,
                                     struct sp_query_answer *ret_answer);

/* Frees a job that is done, abandons one that is not. NULL is fine. */
void sp_query_drop(struct sp_query_job *job);

/* What metrics and INFO show. */
struct sp_query_figures {
    uint64_t started;
    uint64_t failed;
    uint64_t refused; /* the queue was full */
    uint32_t waiting; /* in the queue or parked */
    uint32_t running;
};
struct sp_query_figures sp_queries_figures(const struct sp_server *server);

/* ---- commands and routes that ask ---- */

/*
 * Begins a command whose answer is a query's: writes what is wrong, or waits. Run again, it goes on
 * with sp_query_reply, which calls `start` where nothing was begun yet. cmd_query.c
 */
enum sp_verdict sp_query_begin(struct sp_request *request, const struct sp_query_ask *ask);
enum sp_verdict sp_query_reply(struct sp_request *request, sp_handler_fn *start, bool by_key);

/* The same of a route, whose state is the pool's while it waits. http_sql.c */
enum sp_http_verdict sp_http_query_begin(struct sp_http_request *request,
                                         const struct sp_query_ask *ask);
enum sp_http_verdict sp_http_query_go_on(struct sp_http_request *request);

/* Which form Accept asks for. */
enum sp_query_form sp_http_query_form(const struct sp_http_request *request);

/* Ends the threads. Before the manager of projections is freed. */
void sp_queries_free(struct sp_server *server);

#endif
