/* One query on its thread: the reader, the tries, the answer in pieces. */
#include <stdio.h>
#include <stdlib.h>

#include "project/projects_table.h"
#include "project/rows.h"
#include "project/sink.h"
#include "project/sinks.h"
#include "project/sqlite_query.h"
#include "server/queries_int.h"

enum { PATH_SIZE = 4096 + 32, PIECE_ALIGNMENT = 16, TABLES_GUESSED = 10 };

#define NS_PER_MS      UINT64_C(1000000)
#define PAUSE_FIRST_NS UINT64_C(500000)
#define PAUSE_MAX_NS   UINT64_C(32000000)

/* ---- where read models are ------------------------------------------------------------------- */

/* What lies in the data folder may be asked although nothing is built here. */
static sp_status open_folder(const struct sp_settings *settings, struct sp_sql_reader **ret_reader,
                             struct sp_error *error) {
    char path[PATH_SIZE];
    if (sp_sink_is_remote(sp_settings_text(settings, SP_SET_READ_MODELS))) {
        return sp_error_set(error, SP_UNSUPPORTED,
                            "the setting projections is off: read models are not asked here");
    }
    (void)snprintf(path, sizeof(path), "%s/projections",
                   sp_settings_text(settings, SP_SET_DATA).ptr);
    return sp_sqlite_reader_new(path, sp_clock_system(), ret_reader, error);
}

static sp_status open_reader(struct query_thread *thread, struct sp_error *error) {
    const struct sp_server *server = query_server(thread);
    struct sp_sql_reader *reader = NULL;
    sp_status status = SP_OK;
    if (thread->reader != NULL) {
        return SP_OK;
    }
    if (server->projects != NULL) {
        struct sp_sink *sink = sp_projects_sink(server->projects);
        status = sink->ops->reader_new(sink, &reader, error);
    } else {
        status = open_folder(&server->settings, &reader, error);
    }
    if (status == SP_OK) {
        query_set_reader(thread, reader);
    }
    return status;
}

/* ---- read models that are not there yet, or lag ---------------------------------------------- */

/*
 * A table that no build has may be that of a projection that waits for a first event, or is being
 * built: it is asked for, and the query waits. SP_BUSY: again later; else what to say.
 */
static sp_status seek_table(struct sp_projects *projects, struct sp_query_job *job) {
    char name[SP_PROJECTS_NAME_BYTES_MAX + 1];
    struct sp_error error;
    sp_str table = sp_str_from(job->done.missing);
    if (projects == NULL || table.len == 0) {
        return SP_NOT_FOUND;
    }
    if (!sp_projects_find_table(projects, table, name)) {
        return sp_projects_is_on_request(table)
                   ? sp_error_set(&job->error, SP_NOT_FOUND,
                                  "the read model %s is there once it is asked "
                                  "for: spoor projection add %s",
                                  job->done.missing, job->done.missing)
                   : SP_NOT_FOUND;
    }
    sp_error_clear(&error);
    sp_status status = sp_projects_wait(projects, sp_str_from(name), 0, 0, &error);
    if (status == SP_FAILED) {
        job->error = error;
        return SP_FAILED;
    }
    memcpy(job->done.lagging, name, sizeof(name));
    job->done.position = 0;
    return sp_error_set(&job->error, SP_BUSY, "the read model %s is not built yet", name);
}

/* A read model that has failed will not see the position, however long it is waited for. */
static sp_status ask_to_hurry(struct sp_projects *projects, struct sp_query_job *job) {
    struct sp_error error;
    sp_error_clear(&error);
    if (projects == NULL) {
        return SP_BUSY;
    }
    sp_status status =
        sp_projects_wait(projects, sp_str_from(job->done.lagging), job->ask.sql.seen, 0, &error);
    if (status == SP_FAILED) {
        job->error = error;
        return SP_FAILED;
    }
    return SP_BUSY;
}

/* ---- one try --------------------------------------------------------------------------------- */

static sp_status ask_text(struct query_thread *thread, struct sp_query_job *job,
                          const struct sp_sql *sql) {
    static const enum sp_rows_form FORMS[] = {[SP_QUERY_JSON] = SP_ROWS_JSON,
                                              [SP_QUERY_NDJSON] = SP_ROWS_NDJSON,
                                              [SP_QUERY_CSV] = SP_ROWS_CSV};
    struct sp_resp resp = {.to = &job->body, .version = job->ask.resp_version};
    struct sp_resp_open open = {.at = 0};
    struct sp_rows_writer writer;
    if (job->ask.bulk) {
        open = sp_resp_open_bulk(&resp, SP_QUERY_PIECE_BYTES);
    }
    sp_rows_writer_init(&writer, FORMS[job->ask.form], &job->body);
    sp_status status =
        sp_reader_query(thread->reader, sql, &sp_rows_writing, &writer, &job->done, &job->error);
    if (status == SP_OK) {
        sp_rows_writer_end(&writer, &job->done);
    }
    sp_rows_writer_fini(&writer);
    if (job->ask.bulk && status == SP_OK) {
        sp_resp_close_bulk(&resp, open);
    }
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

/* Work of another kind; SP_BUSY where enough of it is done already. */
static sp_status run_work(struct query_thread *thread, struct sp_query_job *job,
                          uint64_t timeout_ms) {
    struct sp_query_work *work = job->ask.work;
    struct sp_resp resp = {.to = &job->body, .version = job->ask.resp_version};
    struct sp_resp_open open = {.at = 0};
    bool is_bulk = job->ask.form == SP_QUERY_RESP;
    if (!query_may_work(thread)) {
        return sp_error_set(&job->error, SP_BUSY, "other states are being made");
    }
    if (is_bulk) {
        open = sp_resp_open_bulk(&resp, SP_QUERY_PIECE_BYTES);
    }
    sp_status status =
        work->run(work, timeout_ms, &job->abandoned, &job->body, &job->done, &job->error);
    query_worked(thread);
    if (is_bulk && status == SP_OK) {
        sp_resp_close_bulk(&resp, open);
    }
    return status;
}

static sp_status ask_tables(struct query_thread *thread, struct sp_query_job *job) {
    struct query_writer writer;
    query_writer_init(&writer, job);
    writer.rows = sp_resp_open_array(&writer.resp, TABLES_GUESSED);
    sp_status status =
        sp_reader_tables(thread->reader, SP_STR(""), query_writer_table, &writer, &job->error);
    query_writer_end(&writer, &job->done);
    query_writer_fini(&writer);
    return status;
}

static sp_status try_once(struct query_thread *thread, struct sp_query_job *job, uint64_t now_ns) {
    struct sp_sql sql = job->ask.sql;
    uint64_t left_ms = (job->deadline_ns - now_ns) / NS_PER_MS;
    sp_buf_reset(&job->body);
    sql.timeout_ms = left_ms > 0 ? left_ms : 1;
    job->done = (struct sp_sql_done){.position = UINT64_MAX};
    if (job->ask.work != NULL) {
        return run_work(thread, job, sql.timeout_ms);
    }
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
    case SP_QUERY_TABLES:
        status = ask_tables(thread, job);
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
    struct sp_projects *projects = query_server(thread)->projects;
    if (status == SP_NOT_FOUND) {
        status = seek_table(projects, job);
    } else if (status == SP_BUSY) {
        status = ask_to_hurry(projects, job);
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
