/* The pool: the queue, the threads, what the loop does with what is done. */
#include "server/queries.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "os/wakeup.h"
#include "server/http_parts.h"
#include "server/queries_int.h"
#include "server/wait.h"

enum {
    THREADS_MAX = 64,
    IDLE_S = 30,            /* a reader nobody has asked for so long is closed */
    INTERRUPT_AGAIN_MS = 5, /* an abandoned query may not have begun when it was interrupted */
    REPLY_FACTOR = 8,       /* bytes of an encoded answer for each byte of its values */
    REPLY_BYTES_LEAST = 1 << 20,
};

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

struct job_list {
    struct sp_query_job *first;
    struct sp_query_job *last;
};

struct sp_queries {
    struct sp_server *server;
    pthread_mutex_t mutex;
    pthread_cond_t work; /* of CLOCK_MONOTONIC */
    /* Guarded by the mutex: */
    struct job_list queue;
    struct sp_query_job *parked; /* in no order */
    struct job_list done;
    uint32_t waiting; /* in the queue and parked */
    uint32_t running;
    bool stopping;
    _Atomic uint32_t working; /* threads that do work of another kind */
    /* The loop's: */
    struct query_thread *threads;
    uint32_t thread_count;
    uint32_t thread_max;
    uint32_t orphans; /* running jobs that were abandoned */
    uint64_t started;
    uint64_t failed;
    uint64_t refused;
};

static uint64_t now_ns(void) {
    struct sp_clock clock = sp_clock_system();
    return clock.monotonic_ns(clock.context);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_add(struct job_list *list, struct sp_query_job *job) {
    job->next = NULL;
    if (list->last != NULL) {
        list->last->next = job;
    } else {
        list->first = job;
    }
    list->last = job;
}

static struct sp_query_job *list_take(struct job_list *list) {
    struct sp_query_job *job = list->first;
    if (job != NULL) {
        list->first = job->next;
        list->last = list->first == NULL ? NULL : list->last;
    }
    return job;
}

/* True where it was there. */
static bool list_remove(struct job_list *list, const struct sp_query_job *job) {
    struct sp_query_job *before = NULL;
    for (struct sp_query_job *at = list->first; at != NULL; before = at, at = at->next) {
        if (at == job) {
            *(before != NULL ? &before->next : &list->first) = at->next;
            list->last = list->last == at ? before : list->last;
            return true;
        }
    }
    return false;
}

static bool unpark(struct sp_queries *queries, const struct sp_query_job *job) {
    for (struct sp_query_job **at = &queries->parked; *at != NULL; at = &(*at)->next) {
        if (*at == job) {
            *at = job->next;
            return true;
        }
    }
    return false;
}

static void free_work(struct sp_query_work *work) {
    if (work != NULL) {
        work->free(work);
    }
}

static void free_job(struct sp_query_job *job) {
    free_work(job->ask.work);
    for (uint32_t i = 0; i < job->piece_count; i++) {
        sp_blob_unref(job->pieces[i]);
    }
    free(job->pieces);
    sp_buf_fini(&job->body);
    sp_buf_fini(&job->room);
    free(job->params);
    free(job);
}

void query_set_reader(struct query_thread *thread, struct sp_sql_reader *reader) {
    (void)pthread_mutex_lock(&thread->queries->mutex);
    thread->reader = reader; /* under the mutex: the loop may be about to interrupt it */
    (void)pthread_mutex_unlock(&thread->queries->mutex);
}

struct sp_server *query_server(const struct query_thread *thread) {
    return thread->queries->server;
}

bool query_may_work(const struct query_thread *thread) {
    struct sp_queries *queries = thread->queries;
    uint32_t most = queries->thread_max > 1 ? queries->thread_max - 1 : 1;
    bool may = atomic_fetch_add(&queries->working, 1) < most;
    if (!may) {
        query_worked(thread);
    }
    return may;
}

void query_worked(const struct query_thread *thread) {
    uint32_t before = atomic_fetch_sub(&thread->queries->working, 1);
    sp_invariant(before > 0);
}

/* ---- threads --------------------------------------------------------------------------------- */

/* The parked job whose time comes first; NULL where none is parked. */
static struct sp_query_job *first_parked(const struct sp_queries *queries) {
    struct sp_query_job *best = queries->parked;
    for (struct sp_query_job *at = best; at != NULL; at = at->next) {
        best = at->due_ns < best->due_ns ? at : best;
    }
    return best;
}

/* What is to be run now; NULL: nothing until *ret_until_ns. */
static struct sp_query_job *take_job(struct sp_queries *queries, uint64_t now,
                                     uint64_t *ret_until_ns) {
    struct sp_query_job *job = first_parked(queries);
    *ret_until_ns = job != NULL ? job->due_ns : now + IDLE_S * NS_PER_S;
    if (job != NULL && job->due_ns <= now) {
        (void)unpark(queries, job);
        return job;
    }
    return list_take(&queries->queue);
}

/* Sleeps until there is work. False: nobody asked for a long time. */
static bool sleep_until(struct sp_queries *queries, uint64_t until_ns) {
    const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                                   .tv_nsec = (long)(until_ns % NS_PER_S)};
    return pthread_cond_timedwait(&queries->work, &queries->mutex, &until) == 0 ||
           queries->parked != NULL;
}

static void finish(struct sp_queries *queries, struct sp_query_job *job, bool is_done) {
    queries->running--;
    if (!is_done && !atomic_load(&job->abandoned)) {
        job->state = QUERY_WAITING;
        job->next = queries->parked;
        queries->parked = job;
        queries->waiting++;
        return;
    }
    bool was_empty = queries->done.first == NULL;
    job->state = QUERY_DONE;
    list_add(&queries->done, job);
    if (was_empty && queries->server->wake_fd >= 0) {
        sp_wakeup_signal(queries->server->wake_fd);
    }
}

static void run_one(struct query_thread *thread, struct sp_query_job *job, uint64_t now) {
    struct sp_queries *queries = thread->queries;
    job->state = QUERY_RUNNING;
    thread->job = job;
    queries->waiting--;
    queries->running++;
    (void)pthread_mutex_unlock(&queries->mutex);
    bool is_done = query_run(thread, job, now);
    (void)pthread_mutex_lock(&queries->mutex);
    thread->job = NULL;
    finish(queries, job, is_done);
}

static void close_reader(struct query_thread *thread) {
    struct sp_sql_reader *reader = thread->reader;
    thread->reader = NULL; /* under the mutex: nobody interrupts what is closed */
    (void)pthread_mutex_unlock(&thread->queries->mutex);
    sp_reader_close(reader);
    (void)pthread_mutex_lock(&thread->queries->mutex);
}

static void *run_thread(void *context) {
    struct query_thread *thread = context;
    struct sp_queries *queries = thread->queries;
    (void)pthread_mutex_lock(&queries->mutex);
    while (!queries->stopping) {
        uint64_t now = now_ns();
        uint64_t until_ns = 0;
        struct sp_query_job *job = take_job(queries, now, &until_ns);
        if (job != NULL) {
            run_one(thread, job, now);
        } else if (!sleep_until(queries, until_ns) && thread->reader != NULL) {
            close_reader(thread);
        }
    }
    close_reader(thread);
    (void)pthread_mutex_unlock(&queries->mutex);
    return NULL;
}

/* One thread more, with no signals: those are the loop's. False where there is none to be had. */
static bool add_thread(struct sp_queries *queries) {
    struct query_thread *thread = &queries->threads[queries->thread_count];
    sigset_t all;
    sigset_t before;
    *thread = (struct query_thread){.queries = queries};
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread->thread, NULL, run_thread, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0) {
        (void)pthread_setname_np(thread->thread, "spoor-query");
        queries->thread_count++;
    }
    return failed == 0;
}

/* ---- the loop's side ------------------------------------------------------------------------- */

/* Interrupts what is still run for nobody: an interruption before it began was none. */
static void interrupt_orphans(struct sp_queries *queries) {
    (void)pthread_mutex_lock(&queries->mutex);
    for (uint32_t i = 0; i < queries->thread_count; i++) {
        const struct query_thread *thread = &queries->threads[i];
        if (thread->job != NULL && thread->reader != NULL &&
            (queries->stopping || atomic_load(&thread->job->abandoned))) {
            sp_reader_interrupt(thread->reader);
        }
    }
    (void)pthread_mutex_unlock(&queries->mutex);
}

static void deliver(struct sp_queries *queries, struct sp_query_job *job) {
    queries->failed += job->status != SP_OK;
    if (job->connection == NULL) {
        queries->orphans--;
        free_job(job);
    } else {
        sp_wait_wake(job->connection);
    }
}

static struct sp_query_job *take_done(struct sp_queries *queries) {
    (void)pthread_mutex_lock(&queries->mutex);
    struct sp_query_job *job = list_take(&queries->done);
    (void)pthread_mutex_unlock(&queries->mutex);
    return job;
}

static bool on_turn(struct sp_server *server, void *context) {
    struct sp_queries *queries = context;
    uint32_t left = server->connection_count + queries->orphans + 1;
    struct sp_query_job *job = NULL;
    while (left-- > 0 && (job = take_done(queries)) != NULL) {
        deliver(queries, job); /* the job may be gone then */
    }
    if (queries->orphans > 0) {
        interrupt_orphans(queries);
    }
    return job != NULL; /* there may be more */
}

static int on_timeout(struct sp_server *server, void *context) {
    const struct sp_queries *queries = context;
    (void)server;
    return queries->orphans > 0 ? INTERRUPT_AGAIN_MS : -1;
}

static void on_closed(struct sp_server *server, void *context, struct sp_connection *connection) {
    (void)server;
    (void)context;
    sp_query_drop(connection->query);
    connection->query = NULL;
}

static void on_drained(struct sp_server *server, void *context, struct sp_connection *connection) {
    (void)server;
    (void)context;
    sp_http_query_drained(connection);
}

static void free_list(struct sp_query_job *job) {
    while (job != NULL) {
        struct sp_query_job *next = job->next;
        free_job(job);
        job = next;
    }
}

/* All connections are gone by now: what is left is abandoned. */
static void on_fini(struct sp_server *server, void *context) {
    struct sp_queries *queries = context;
    (void)pthread_mutex_lock(&queries->mutex);
    queries->stopping = true;
    (void)pthread_cond_broadcast(&queries->work);
    bool busy = queries->running > 0;
    (void)pthread_mutex_unlock(&queries->mutex);
    while (busy) {
        interrupt_orphans(queries);
        sp_sleep_us(1000);
        (void)pthread_mutex_lock(&queries->mutex);
        busy = queries->running > 0;
        (void)pthread_mutex_unlock(&queries->mutex);
    }
    for (uint32_t i = 0; i < queries->thread_count; i++) {
        (void)pthread_join(queries->threads[i].thread, NULL);
    }
    free_list(queries->queue.first);
    free_list(queries->parked);
    free_list(queries->done.first);
    (void)pthread_cond_destroy(&queries->work);
    (void)pthread_mutex_destroy(&queries->mutex);
    free(queries->threads);
    free(queries);
    server->queries = NULL;
}

static struct sp_queries *queries_of(struct sp_server *server) {
    if (server->queries != NULL) {
        return server->queries;
    }
    struct sp_queries *queries = calloc(1, sizeof(*queries));
    uint32_t threads = (uint32_t)sp_settings_u64(&server->settings, SP_SET_QUERY_THREADS);
    struct query_thread *room = calloc(threads, sizeof(*room));
    pthread_condattr_t attributes;
    if (queries == NULL || room == NULL) {
        free(queries);
        free(room);
        return NULL;
    }
    *queries = (struct sp_queries){.server = server, .threads = room, .thread_max = threads};
    (void)pthread_mutex_init(&queries->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&queries->work, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    const struct sp_server_hooks hooks = {.turn = on_turn,
                                          .timeout = on_timeout,
                                          .closed = on_closed,
                                          .drained = on_drained,
                                          .fini = on_fini,
                                          .context = queries};
    sp_server_hook(server, &hooks);
    server->queries = queries;
    return queries;
}

/* ---- starting -------------------------------------------------------------------------------- */

/* Copies a text into the job's room, which has been reserved. */
static sp_str keep(struct sp_query_job *job, sp_str text) {
    size_t from = job->room.len;
    sp_buf_add_str(&job->room, text);
    return sp_str_of(job->room.data + from, text.len);
}

static size_t bytes_of(const struct sp_query_ask *ask) {
    size_t bytes = ask->sql.text.len + ask->key.len + ask->column.len + 1;
    for (uint32_t i = 0; i < ask->sql.param_count; i++) {
        bytes += ask->sql.params[i].name.len + ask->sql.params[i].text.len;
    }
    return bytes;
}

static bool copy_ask(struct sp_query_job *job, const struct sp_query_ask *ask) {
    uint32_t count = ask->sql.param_count;
    size_t bytes = bytes_of(ask);
    sp_buf_init(&job->room, bytes);
    job->params = calloc(count + 1, sizeof(*job->params));
    if (job->params == NULL || sp_buf_reserve(&job->room, bytes) == NULL) {
        return false;
    }
    job->ask = *ask;
    job->ask.sql.text = keep(job, ask->sql.text);
    job->ask.key = keep(job, ask->key);
    job->ask.column = keep(job, ask->column);
    for (uint32_t i = 0; i < count; i++) {
        job->params[i] = ask->sql.params[i];
        job->params[i].name = keep(job, ask->sql.params[i].name);
        job->params[i].text = keep(job, ask->sql.params[i].text);
    }
    job->ask.sql.params = job->params;
    return true;
}

/* Fills in the defaults, and refuses what is beyond what may be asked for. */
static sp_status check_limits(const struct sp_server *server, struct sp_sql *sql,
                              struct sp_error *error) {
    const struct sp_settings *settings = &server->settings;
    uint64_t timeout_max = sp_settings_u64(settings, SP_SET_QUERY_TIMEOUT_MAX);
    uint64_t rows_max = sp_settings_u64(settings, SP_SET_QUERY_ROWS_MAX);
    uint64_t timeout = sp_settings_u64(settings, SP_SET_QUERY_TIMEOUT);
    if (sql->text.len > SP_SQL_TEXT_BYTES_MAX || sql->param_count > SP_SQL_PARAMS_MAX) {
        return sp_error_set(error, SP_LIMIT,
                            "a query has at most %d bytes of SQL and %d parameters",
                            SP_SQL_TEXT_BYTES_MAX, SP_SQL_PARAMS_MAX);
    }
    if (sql->timeout_ms > timeout_max) {
        return sp_error_set(error, SP_INVALID, "a query may run for %llu ms at most",
                            (unsigned long long)timeout_max);
    }
    if (sql->rows_max > rows_max) {
        return sp_error_set(error, SP_INVALID, "an answer may have %llu rows at most",
                            (unsigned long long)rows_max);
    }
    uint64_t rows = SP_SQL_ROWS_MAX < rows_max ? SP_SQL_ROWS_MAX : rows_max;
    sql->timeout_ms = sql->timeout_ms > 0     ? sql->timeout_ms
                      : timeout < timeout_max ? timeout
                                              : timeout_max;
    sql->rows_max = sql->rows_max > 0 ? sql->rows_max : rows;
    sql->bytes_max = sp_settings_u64(settings, SP_SET_QUERY_BYTES_MAX);
    return SP_OK;
}

static sp_status check_position(const struct sp_server *server, const struct sp_sql *sql,
                                struct sp_error *error) {
    uint64_t head = sp_engine_durable_position(server->engine);
    if (sql->seen > head) {
        return sp_error_set(error, SP_INVALID,
                            "position %llu is not there yet: the log ends at %llu",
                            (unsigned long long)sql->seen, (unsigned long long)head);
    }
    return SP_OK;
}

static struct sp_query_job *new_job(struct sp_queries *queries, struct sp_connection *connection,
                                    const struct sp_query_ask *ask) {
    struct sp_query_job *job = calloc(1, sizeof(*job));
    if (job == NULL || !copy_ask(job, ask)) {
        if (job != NULL) {
            job->ask.work = NULL; /* the caller's still */
            free_job(job);
        }
        return NULL;
    }
    uint64_t most = ask->sql.bytes_max * REPLY_FACTOR + REPLY_BYTES_LEAST;
    uint64_t reply_max = sp_settings_u64(&queries->server->settings, SP_SET_REPLY_BYTES_MAX);
    uint64_t pieces_max = (uint64_t)SP_QUERY_PIECES_MAX * SP_QUERY_PIECE_BYTES;
    most = most > reply_max ? reply_max : most;
    job->bytes_max = (size_t)(most > pieces_max ? pieces_max : most);
    job->queries = queries;
    job->connection = connection;
    job->deadline_ns = now_ns() + ask->sql.timeout_ms * NS_PER_MS;
    sp_buf_init(&job->body, job->bytes_max);
    return job;
}

static sp_status enqueue(struct sp_queries *queries, struct sp_query_job *job,
                         struct sp_error *error) {
    uint64_t most = sp_settings_u64(&queries->server->settings, SP_SET_QUERY_QUEUE);
    (void)pthread_mutex_lock(&queries->mutex);
    bool full = queries->waiting >= most + queries->thread_max - queries->running;
    bool more = queries->waiting + queries->running >= queries->thread_count;
    uint32_t waiting = queries->waiting;
    if (!full) {
        queries->waiting++;
        list_add(&queries->queue, job);
        (void)pthread_cond_signal(&queries->work);
    }
    (void)pthread_mutex_unlock(&queries->mutex);
    if (full) {
        queries->refused++;
        return sp_error_set(error, SP_BUSY, "%u queries wait already: try again", waiting);
    }
    if (more && queries->thread_count < queries->thread_max && !add_thread(queries) &&
        queries->thread_count == 0) {
        (void)pthread_mutex_lock(&queries->mutex);
        (void)list_remove(&queries->queue, job);
        queries->waiting--;
        (void)pthread_mutex_unlock(&queries->mutex);
        return sp_error_set(error, SP_NO_MEMORY, "no thread to be had for queries");
    }
    queries->started++;
    return SP_OK;
}

sp_status sp_query_start(struct sp_connection *connection, const struct sp_query_ask *ask,
                         struct sp_query_job **ret_job, struct sp_error *error) {
    struct sp_server *server = connection->server;
    struct sp_queries *queries = queries_of(server);
    struct sp_query_ask checked = *ask;
    sp_status status = check_limits(server, &checked.sql, error);
    status = status == SP_OK ? check_position(server, &checked.sql, error) : status;
    if (status != SP_OK) {
        free_work(ask->work);
        return status;
    }
    struct sp_query_job *job = queries == NULL ? NULL : new_job(queries, connection, &checked);
    if (job == NULL) {
        free_work(ask->work);
        return sp_error_set(error, SP_NO_MEMORY, "no memory for a query");
    }
    status = enqueue(queries, job, error);
    if (status != SP_OK) {
        free_job(job);
        return status;
    }
    *ret_job = job;
    return SP_OK;
}

/* ---- what becomes of a job ------------------------------------------------------------------- */

bool sp_query_is_done(const struct sp_query_job *job, struct sp_query_answer *ret_answer) {
    (void)pthread_mutex_lock(&job->queries->mutex);
    bool is_done = job->state == QUERY_DONE;
    (void)pthread_mutex_unlock(&job->queries->mutex);
    if (is_done) {
        *ret_answer = (struct sp_query_answer){
            .status = job->status,
            .error = &job->error,
            .done = &job->done,
            .body = sp_buf_str(&job->body),
            .pieces = job->pieces,
            .piece_count = job->piece_count,
        };
    }
    return is_done;
}

void sp_query_drop(struct sp_query_job *job) {
    if (job == NULL) {
        return;
    }
    struct sp_queries *queries = job->queries;
    (void)pthread_mutex_lock(&queries->mutex);
    bool free_now = job->state == QUERY_DONE;
    if (job->state == QUERY_WAITING) {
        free_now = list_remove(&queries->queue, job) || unpark(queries, job);
        queries->waiting -= free_now;
    } else if (job->state == QUERY_DONE) {
        (void)list_remove(&queries->done, job); /* where it has not been delivered yet */
    }
    atomic_store(&job->abandoned, true);
    (void)pthread_mutex_unlock(&queries->mutex);
    if (free_now) {
        free_job(job);
        return;
    }
    job->connection = NULL;
    queries->orphans++;
    interrupt_orphans(queries);
}

struct sp_query_figures sp_queries_figures(const struct sp_server *server) {
    struct sp_queries *queries = server->queries;
    struct sp_query_figures figures = {.started = 0};
    if (queries != NULL) {
        (void)pthread_mutex_lock(&queries->mutex);
        figures.waiting = queries->waiting;
        figures.running = queries->running;
        (void)pthread_mutex_unlock(&queries->mutex);
        figures.started = queries->started;
        figures.failed = queries->failed;
        figures.refused = queries->refused;
    }
    return figures;
}
