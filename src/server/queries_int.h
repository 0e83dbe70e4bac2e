/* What the pool and its threads share. */
#ifndef SP_SERVER_QUERIES_INT_H
#define SP_SERVER_QUERIES_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "proto/resp_write.h"
#include "server/queries.h"

enum query_state { QUERY_WAITING, QUERY_RUNNING, QUERY_DONE };

struct sp_query_job {
    struct sp_query_job *next; /* in the queue, among the parked, or among the done */
    struct sp_queries *queries;
    struct sp_connection *connection; /* the loop's; NULL: abandoned */
    enum query_state state;           /* guarded by the mutex */
    atomic_bool abandoned;

    struct sp_query_ask ask; /* texts in `room` */
    struct sp_buf room;
    struct sp_sql_value *params;
    uint64_t deadline_ns;
    uint64_t due_ns;   /* parked until */
    uint64_t pause_ns; /* of the last parking */
    size_t bytes_max;  /* of the answer as it is sent */

    struct sp_buf body;
    struct sp_blob **pieces; /* owned; NULL: the answer is `body` */
    uint32_t piece_count;
    sp_status status;
    struct sp_error error;
    struct sp_sql_done done;
};

/* What one thread keeps from query to query. */
enum { QUERY_KEYS_CACHED = 32, QUERY_KEY_SQL_SIZE = 2048 };

/* How a row of a table is asked for by its key. */
struct query_key {
    char table[SP_SQL_NAME_SIZE];
    char sql[QUERY_KEY_SQL_SIZE];
    uint32_t parts;   /* columns of the key */
    uint64_t made_ns; /* 0: free */
};

struct query_thread {
    struct sp_queries *queries;
    pthread_t thread;
    struct sp_sql_reader *reader; /* its own; NULL: none yet */
    struct sp_query_job *job;     /* guarded by the mutex; NULL: it has none */
    struct query_key keys[QUERY_KEYS_CACHED];
};

/*
 * Runs the job on its thread. True where it is done; false where it has not seen its position yet:
 * due_ns says when to try again.
 */
bool query_run(struct query_thread *thread, struct sp_query_job *job, uint64_t now_ns);

/* Gives the thread its reader. */
void query_set_reader(struct query_thread *thread, struct sp_sql_reader *reader);

/* Takes one of the places for work of another kind than queries; false where none is free. */
bool query_may_work(const struct query_thread *thread);
void query_worked(const struct query_thread *thread);

/* Its settings only: everything else is the loop's. */
struct sp_server *query_server(const struct query_thread *thread);

/* ---- query_write.c ---- */

/* Writes a RESP answer into the job's body. */
struct query_writer {
    struct sp_query_job *job;
    struct sp_resp resp;
    struct sp_resp_open rows;
    struct sp_buf names; /* HASH and CELL: each column's with a NUL behind it */
    struct sp_buf kinds;
    struct sp_buf value;
    uint64_t count;
};
void query_writer_init(struct query_writer *writer, struct sp_query_job *job);
void query_writer_fini(struct query_writer *writer);
/* A sp_sql_table_fn: adds a table to the list that TABLES is. */
bool query_writer_table(void *context, const struct sp_sql_table *table);
extern const struct sp_rows query_writing;
void query_writer_end(struct query_writer *writer, const struct sp_sql_done *done);

/* ---- query_key.c ---- */

enum { QUERY_KEY_PARTS_MAX = 16 };

/*
 * The query that asks for the row that the job's key names. SP_NOT_FOUND: no such table, whose name
 * is in job->done.missing then; SP_INVALID: the key has fewer parts than the table's.
 */
sp_status query_key_sql(struct query_thread *thread, struct sp_query_job *job, uint64_t now_ns,
                        struct sp_sql_value values[QUERY_KEY_PARTS_MAX], struct sp_sql *ret_sql,
                        struct sp_error *error);

/* Forgets how the rows of the job's table are asked for. */
void query_key_forget(struct query_thread *thread, const struct sp_query_job *job);

#endif
