/* One query on its thread: the reader, the tries, the answer in pieces. */
#include <stdio.h>
#include <stdlib.h>

#include "project/rows.h"
#include "project/sqlite_query.h"
#include "server/queries_int.h"

enum { PATH_SIZE = 4096 + 32, PIECE_ALIGNMENT = 16 };

#define NS_PER_MS      UINT64_C(1000000)
#define PAUSE_FIRST_NS UINT64_C(500000)
#define PAUSE_MAX_NS   UINT64_C(32000000)

static sp_status open_reader(struct query_thread *thread, struct sp_error *error) {
    const struct sp_settings *settings = &query_server(thread)->settings;
    struct sp_sql_reader *reader = NULL;
    char path[PATH_SIZE];
    if (thread->reader != NULL) {
        return SP_OK;
    }
    (void)snprintf(path, sizeof(path), "%s/projections",
                   sp_settings_text(settings, SP_SET_DATA).ptr);
    sp_status status = sp_sqlite_reader_new(path, sp_clock_system(), &reader, error);
    if (status == SP_OK) {
        query_set_reader(thread, reader);
    }
    return status;
}

/* ---- one try --------------------------------------------------------------------------------- */

static sp_status ask_text(struct query_thread *thread, struct sp_query_job *job,
                          const struct sp_sql *sql) {
    static const enum sp_rows_form FORMS[] = {[SP_QUERY_JSON] = SP_ROWS_JSON,
                                              [SP_QUERY_NDJSON] = SP_ROWS_NDJSON,
                                              [SP_QUERY_CSV] = SP_ROWS_CSV};
    struct sp_rows_writer writer;
    sp_rows_writer_init(&writer, FORMS[job->ask.form], &job->body);
    sp_status status =
        sp_reader_query(thread->reader, sql, &sp_rows_writing, &writer, &job->done, &job->error);
    if (status == SP_OK) {
        sp_rows_writer_end(&writer, &job->done);
    }
    sp_rows_writer_fini(&writer);
    return status;
}

static sp_status ask_resp(struct query_thread *thread, struct sp_query_job *job,
                          const struct sp_sql *sql) {
    struct query_writer writer;
    query_writer_init(&writer, job);
    sp_status status =
        sp_reader_query(thread->reader, sql, &query_writing, &writer, &job->done, &job->error);
    if (status == SP_OK) {
        query_writer_end(&writer, &job->done);
    }
    query_writer_fini(&writer);
    return status;
}

static sp_status ask_row(struct query_thread *thread, struct sp_query_job *job, uint64_t now_ns) {
    struct sp_sql_value values[QUERY_KEY_PARTS_MAX];
    struct sp_sql sql;
    sp_status status = query_key_sql(thread, job, now_ns, values, &sql, &job->error);
    status = status == SP_OK ? ask_resp(thread, job, &sql) : status;
    if (status == SP_INVALID || status == SP_NOT_FOUND) {
        query_key_forget(thread, job);
    }
    return status;
}

static sp_status try_once(struct query_thread *thread, struct sp_query_job *job, uint64_t now_ns) {
    struct sp_sql sql = job->ask.sql;
    uint64_t left_ms = (job->deadline_ns - now_ns) / NS_PER_MS;
    sp_buf_reset(&job->body);
    sql.timeout_ms = left_ms > 0 ? left_ms : 1;
    job->done = (struct sp_sql_done){.position = UINT64_MAX};
    sp_status status = open_reader(thread, &job->error);
    if (status != SP_OK) {
        return status;
    }
    switch (job->ask.form) {
    case SP_QUERY_JSON:
    case SP_QUERY_NDJSON:
    case SP_QUERY_CSV:
        status = ask_text(thread, job, &sql);
        break;
    case SP_QUERY_RESP:
        status = ask_resp(thread, job, &sql);
        break;
    case SP_QUERY_HASH:
    case SP_QUERY_CELL:
        status = ask_row(thread, job, now_ns);
        break;
    }
    if (status == SP_TIMEOUT) { /* what it had left of its time is less than it was given */
        return sp_error_set(&job->error, SP_TIMEOUT, "the query ran for longer than %llu ms",
                            (unsigned long long)job->ask.sql.timeout_ms);
    }
    if (job->body.status != SP_OK) { /* the callback ended it for that */
        return sp_error_set(&job->error, job->body.status,
                            "the answer has more than %zu bytes: ask for fewer rows or columns",
                            job->bytes_max);
    }
    return status;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* A large answer is cut here, so that the loop has nothing to copy. */
static sp_status cut(struct sp_query_job *job) {
    size_t count = (job->body.len + SP_QUERY_PIECE_BYTES - 1) / SP_QUERY_PIECE_BYTES;
    if (count <= 1) {
        return SP_OK;
    }
    job->pieces = calloc(count, sizeof(*job->pieces));
    for (size_t at = 0; job->pieces != NULL && at < job->body.len;) {
        size_t len = job->body.len - at;
        len = len > SP_QUERY_PIECE_BYTES ? SP_QUERY_PIECE_BYTES : len;
        struct sp_blob *piece = sp_blob_new(len, PIECE_ALIGNMENT);
        if (piece == NULL) {
            return SP_NO_MEMORY;
        }
        memcpy(piece->data, job->body.data + at, len);
        piece->len = len;
        job->pieces[job->piece_count++] = piece;
        at += len;
    }
    sp_buf_fini(&job->body);
    sp_buf_init(&job->body, job->bytes_max);
    return job->pieces != NULL ? SP_OK : SP_NO_MEMORY;
}

/* Where the read model has not seen the position yet: when to ask again. */
static void park(struct sp_query_job *job, uint64_t now_ns) {
    job->pause_ns = job->pause_ns == 0 ? PAUSE_FIRST_NS : job->pause_ns * 2;
    job->pause_ns = job->pause_ns > PAUSE_MAX_NS ? PAUSE_MAX_NS : job->pause_ns;
    job->due_ns = now_ns + job->pause_ns;
    job->due_ns = job->due_ns > job->deadline_ns ? job->deadline_ns : job->due_ns;
}

static sp_status out_of_time(struct sp_query_job *job) {
    if (job->pause_ns > 0) { /* the error says which read model lags, and where it is */
        return sp_error_prefix(&job->error, SP_TIMEOUT, "after %llu ms",
                               (unsigned long long)job->ask.sql.timeout_ms);
    }
    return sp_error_set(&job->error, SP_TIMEOUT, "the query waited for others for its %llu ms",
                        (unsigned long long)job->ask.sql.timeout_ms);
}

bool query_run(struct query_thread *thread, struct sp_query_job *job, uint64_t now_ns) {
    sp_status status = SP_CANCELLED;
    if (!atomic_load(&job->abandoned)) {
        status = now_ns >= job->deadline_ns ? SP_TIMEOUT : try_once(thread, job, now_ns);
        if (now_ns >= job->deadline_ns) {
            (void)out_of_time(job);
        }
    }
    if (status == SP_BUSY) {
        park(job, now_ns);
        return false;
    }
    if (status == SP_OK) {
        status = cut(job);
    }
    job->status = status;
    return true;
}
