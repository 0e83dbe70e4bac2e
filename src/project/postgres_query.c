/*
 * Queries on PostgreSQL: one statement in a read-only transaction of its own.
 *
 * The transaction's first statement, which reads what builds are current, fixes its snapshot, and
 * with it that it only reads: PostgreSQL lets nobody change that afterwards. Rows come one by one;
 * what is enough is ended by a cancel.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "project/postgres_query_int.h"
#include "project/postgres_sql.h"
#include "project/sql_text.h"

enum {
    TRIES = 3, /* a connection that was lost while it was idle, a build that went meanwhile */
    BLOBS_BYTES_MAX = 1 << 30,
    TYPE_NONE = 0,
    TYPE_BYTEA = 17,
    TYPE_INT8 = 20,
    TYPE_TEXT = 25,
    TYPE_FLOAT8 = 701,
};

struct pg_reader {
    struct sp_sql_reader base;
    struct sp_pg_target target;
    struct sp_pg_link link;
    pthread_mutex_t lock; /* of the three below */
    PGcancel *cancel;     /* of the link */
    bool running;
    bool interrupted;
};

static struct pg_reader *self_of(struct sp_sql_reader *base) {
    return (struct pg_reader *)(void *)base; /* its first member */
}

/* ---- connecting, interrupting ---- */

static void disconnect(struct pg_reader *self) {
    (void)pthread_mutex_lock(&self->lock);
    PQfreeCancel(self->cancel);
    self->cancel = NULL;
    (void)pthread_mutex_unlock(&self->lock);
    sp_pg_link_close(&self->link);
}

static sp_status connect_reader(struct pg_reader *self, struct sp_error *error) {
    if (sp_pg_link_whole(&self->link)) {
        return SP_OK;
    }
    disconnect(self);
    sp_status status = sp_pg_link_open(&self->link, &self->target, "query", error);
    if (status != SP_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&self->lock);
    self->cancel = PQgetCancel(self->link.conn);
    (void)pthread_mutex_unlock(&self->lock);
    return SP_OK;
}

static void cancel(struct pg_reader *self) {
    char why[256];
    (void)pthread_mutex_lock(&self->lock);
    if (self->running && self->cancel != NULL) {
        (void)PQcancel(self->cancel, why, sizeof(why)); /* where it fails the time limit ends it */
    }
    (void)pthread_mutex_unlock(&self->lock);
}

static void interrupt(struct sp_sql_reader *base) {
    struct pg_reader *self = self_of(base);
    (void)pthread_mutex_lock(&self->lock);
    self->interrupted = self->running;
    (void)pthread_mutex_unlock(&self->lock);
    cancel(self);
}

static void set_running(struct pg_reader *self, bool running) {
    (void)pthread_mutex_lock(&self->lock);
    self->running = running;
    self->interrupted = self->interrupted && !running;
    (void)pthread_mutex_unlock(&self->lock);
}

static bool was_interrupted(struct pg_reader *self) {
    (void)pthread_mutex_lock(&self->lock);
    bool interrupted = self->interrupted;
    (void)pthread_mutex_unlock(&self->lock);
    return interrupted;
}

/* ---- errors ---- */

/* What a query's caller is told where a link says: try again. */
static sp_status for_query(sp_status status, struct sp_error *error) {
    if (status == SP_BUSY && error != NULL) {
        error->status = SP_IO;
    }
    return status == SP_BUSY ? SP_IO : status;
}

static sp_status fail_ended(struct pg_reader *self, const struct sp_sql *sql,
                            struct sp_error *error) {
    uint64_t ms = sql->timeout_ms > 0 ? sql->timeout_ms : SP_SQL_TIMEOUT_MS;
    if (was_interrupted(self)) {
        return sp_error_set(error, SP_CANCELLED, "the query was interrupted");
    }
    return sp_error_set(error, SP_TIMEOUT, "the query ran for longer than %llu ms",
                        (unsigned long long)ms);
}

static bool state_begins(const PGresult *result, const char *prefix) {
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return sqlstate != NULL && strncmp(sqlstate, prefix, strlen(prefix)) == 0;
}

/* What PostgreSQL says of the statement, with the place in the text that was asked. */
static sp_status fail_query(struct pg_reader *self, const struct sp_sql *sql,
                            const struct sp_pg_query *query, const PGresult *result,
                            struct sp_error *error) {
    if (sp_pg_state_is(result, "57014")) {
        return fail_ended(self, sql, error);
    }
    sp_status status = for_query(sp_pg_result_check(&self->link, result, error), error);
    if (state_begins(result, "54") || state_begins(result, "53200")) {
        status = SP_LIMIT;
    } else if (sp_pg_state_is(result, "42P01")) {
        status = SP_NOT_FOUND;
    }
    error->status = status;
    const char *place =
        result != NULL ? PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION) : NULL;
    if (place == NULL) {
        return status;
    }
    return sp_sql_error_at(
        error, sql->text,
        sp_pg_place(sql->text, query->uses, query->use_count, strtoull(place, NULL, 10)));
}

/* The name of a table that is not there, as the text has it at the error's offset. */
static sp_str name_at(sp_str text, size_t offset) {
    size_t end = offset;
    while (end < text.len && text.ptr[end] != ' ' && text.ptr[end] != ',' && text.ptr[end] != ')' &&
           text.ptr[end] != ';' && text.ptr[end] != '\n') {
        end++;
    }
    return sp_str_of(text.ptr + offset, end - offset);
}

/* PostgreSQL reads a name without quotes in lower case. */
static void note_missing(struct sp_sql_done *done, sp_str name) {
    bool quoted = name.len >= 2 && name.ptr[0] == '"' && name.ptr[name.len - 1] == '"';
    name = quoted ? sp_str_of(name.ptr + 1, name.len - 2) : name;
    size_t len = name.len < SP_SQL_NAME_SIZE ? name.len : SP_SQL_NAME_SIZE - 1;
    for (size_t i = 0; i < len; i++) {
        char c = name.ptr[i];
        done->missing[i] = !quoted && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    done->missing[len] = '\0';
}

/* ---- parameters ---- */

/*
 * PostgreSQL wants the type of a parameter, or guesses it from where it stands. What is a number is
 * said to be one, as `count > 1.5` shall not be read as a comparison of whole numbers; where that
 * finds no operator (a number compared with a text) it guesses; and what it cannot guess is text.
 */
enum guess { GUESS_TEXT, GUESS_ALL, GUESS_NONE, GUESS_COUNT };

static Oid type_of(const struct sp_sql_value *value, enum guess guess) {
    switch (value->kind) {
    case SP_SQL_INTEGER:
        return guess == GUESS_ALL ? TYPE_NONE : TYPE_INT8;
    case SP_SQL_REAL:
        return guess == GUESS_ALL ? TYPE_NONE : TYPE_FLOAT8;
    case SP_SQL_BLOB:
        return TYPE_BYTEA;
    case SP_SQL_TEXT:
    case SP_SQL_NULL:
        break;
    }
    return guess == GUESS_NONE ? TYPE_TEXT : TYPE_NONE;
}

struct params {
    Oid types[SP_SQL_PARAMS_MAX];
    const char *values[SP_SQL_PARAMS_MAX];
    int lengths[SP_SQL_PARAMS_MAX];
    int formats[SP_SQL_PARAMS_MAX];
    size_t offsets[SP_SQL_PARAMS_MAX];
    uint32_t from[SP_SQL_PARAMS_MAX];
    struct sp_buf texts;
};

static void add_value(struct sp_buf *to, const struct sp_sql_value *value) {
    char text[64];
    switch (value->kind) {
    case SP_SQL_INTEGER:
        (void)snprintf(text, sizeof(text), "%lld", (long long)value->integer);
        sp_buf_add_str(to, sp_str_from(text));
        break;
    case SP_SQL_REAL:
        (void)snprintf(text, sizeof(text), "%.17g", value->real);
        sp_buf_add_str(to, sp_str_from(text));
        break;
    case SP_SQL_TEXT:
        sp_pg_text_add(to, value->text);
        break;
    case SP_SQL_BLOB:
        sp_buf_add_str(to, value->text);
        break;
    case SP_SQL_NULL:
        break;
    }
    sp_buf_add_byte(to, '\0');
}

static sp_status fill_params(struct params *params, const struct sp_sql *sql,
                             const struct sp_pg_query *query, struct sp_error *error) {
    sp_status status =
        sp_sql_params_match(sql, query->names, query->param_count, params->from, error);
    for (uint32_t i = 0; status == SP_OK && i < query->param_count; i++) {
        const struct sp_sql_value *value = &sql->params[params->from[i]];
        params->offsets[i] = params->texts.len;
        params->formats[i] = value->kind == SP_SQL_BLOB;
        params->lengths[i] = (int)value->text.len;
        add_value(&params->texts, value);
    }
    if (status == SP_OK && params->texts.status != SP_OK) {
        return sp_error_set(error, params->texts.status, "the parameters take too much memory");
    }
    return status;
}

static void point_params(struct params *params, const struct sp_sql *sql,
                         const struct sp_pg_query *query, enum guess guess) {
    for (uint32_t i = 0; i < query->param_count; i++) {
        const struct sp_sql_value *value = &sql->params[params->from[i]];
        params->types[i] = type_of(value, guess);
        params->values[i] = value->kind == SP_SQL_NULL
                                ? NULL
                                : (const char *)params->texts.data + params->offsets[i];
    }
}

/* True where another type of a parameter may make sense of the statement. */
static bool may_guess(const PGresult *result) {
    static const char *const states[] = {"42883", "42804", "42P18", "42P08",
                                         "42725", "22P02", "42846"};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (sp_pg_state_is(result, states[i])) {
            return true;
        }
    }
    return false;
}

/* ---- one query ---- */

/* Reads and drops whatever is still to come of the statement. */
static void drain(struct pg_reader *self) {
    PGresult *result;
    while ((result = PQgetResult(self->link.conn)) != NULL) {
        PQclear(result);
    }
}

static sp_status give_result(struct pg_answer *answer, const PGresult *result,
                             struct sp_error *error) {
    sp_status status = answer->told ? SP_OK : sp_pg_columns_give(answer, result, error);
    for (int row = 0; status == SP_OK && row < PQntuples(result); row++) {
        status = sp_pg_row_give(answer, result, row, error);
    }
    return status;
}

/* What came of one attempt, beside its status. */
struct attempt {
    enum guess guess;
    bool guess_again; /* with other types */
    bool enter_again; /* with other builds, or on another connection */
};

static sp_status receive(struct pg_reader *self, struct pg_answer *answer,
                         const struct sp_pg_query *query, struct attempt *attempt,
                         struct sp_error *error) {
    sp_status status = SP_OK;
    PGresult *result;
    while (status == SP_OK && (result = PQgetResult(self->link.conn)) != NULL) {
        ExecStatusType kind = PQresultStatus(result);
        if (kind == PGRES_SINGLE_TUPLE || kind == PGRES_TUPLES_OK) {
            status = give_result(answer, result, error);
        } else {
            attempt->guess_again = !answer->told && may_guess(result);
            attempt->enter_again = !answer->told && (sp_pg_state_is(result, "42P01") ||
                                                     sp_pg_state_is(result, "3F000"));
            status = sp_pg_result_check(&self->link, result, NULL) == SP_OK
                         ? sp_error_set(error, SP_DENIED, "a query may only read")
                         : fail_query(self, answer->sql, query, result, error);
        }
        PQclear(result);
    }
    if (status != SP_OK) {
        cancel(self);
        drain(self);
    }
    return status == SP_END ? SP_OK : status;
}

static sp_status run(struct pg_reader *self, struct pg_answer *answer,
                     const struct sp_pg_query *query, struct params *params,
                     struct attempt *attempt, struct sp_error *error) {
    point_params(params, answer->sql, query, attempt->guess);
    if (PQsendQueryParams(self->link.conn, (const char *)query->text.data, (int)query->param_count,
                          params->types, params->values, params->lengths, params->formats,
                          0) != 1 ||
        PQsetSingleRowMode(self->link.conn) != 1) {
        return sp_pg_result_check(&self->link, NULL, error);
    }
    return receive(self, answer, query, attempt, error);
}

/* One transaction, from its beginning to its end. */
static sp_status try_once(struct pg_reader *self, struct pg_answer *answer,
                          const struct sp_pg_query *query, struct params *params,
                          struct attempt *attempt, struct sp_error *error) {
    *answer->done = (struct sp_sql_done){.position = UINT64_MAX};
    sp_status status = connect_reader(self, error);
    if (status != SP_OK) {
        return for_query(status, error);
    }
    status = sp_pg_models_enter(&self->link, &self->target, answer, error);
    if (status == SP_BUSY && answer->done->lagging[0] == '\0') {
        attempt->enter_again = !sp_pg_link_whole(&self->link);
        status = for_query(status, error);
    }
    if (was_interrupted(self)) {
        status = fail_ended(self, answer->sql, error);
    }
    if (status == SP_OK) {
        status = for_query(run(self, answer, query, params, attempt, error), error);
    }
    sp_pg_roll_back(&self->link);
    return status;
}

/* A cancel that came late could end a statement of the next query: it gets another connection. */
static void settle(struct pg_reader *self, const struct pg_answer *answer, sp_status status) {
    if (status == SP_CANCELLED || status == SP_LIMIT || status == SP_TIMEOUT || answer->done->cut) {
        disconnect(self);
    }
}

static sp_status try_all(struct pg_reader *self, struct pg_answer *answer,
                         const struct sp_pg_query *query, struct params *params,
                         struct sp_error *error) {
    struct attempt attempt = {.guess = GUESS_TEXT};
    struct sp_error first;
    sp_status status = SP_OK;
    for (unsigned tries = 0; tries < TRIES + GUESS_COUNT; tries++) {
        attempt.guess_again = false;
        attempt.enter_again = false;
        status = try_once(self, answer, query, params, &attempt, error);
        if (attempt.guess_again && query->param_count > 0) {
            first = attempt.guess == GUESS_TEXT ? *error : first;
            if (++attempt.guess < GUESS_COUNT) {
                continue;
            }
            *error = first;
            status = first.status;
        }
        if (!attempt.enter_again || tries >= TRIES) {
            break;
        }
    }
    if (status == SP_NOT_FOUND) {
        size_t offset = error->offset;
        sp_str name = name_at(answer->sql->text, offset);
        note_missing(answer->done, name);
        status = sp_pg_models_nearest(&self->link, &self->target, name, error);
        status = status == SP_NOT_FOUND ? sp_sql_error_at(error, answer->sql->text, offset)
                                        : for_query(status, error);
    }
    return status;
}

static sp_status check_text(const struct sp_sql *sql, struct sp_error *error) {
    if (sql->text.len > SP_SQL_TEXT_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "the SQL has %zu bytes; the limit is %d",
                            sql->text.len, SP_SQL_TEXT_BYTES_MAX);
    }
    if (sql->param_count > SP_SQL_PARAMS_MAX) {
        return sp_error_set(error, SP_LIMIT, "%u parameters; the limit is %d", sql->param_count,
                            SP_SQL_PARAMS_MAX);
    }
    return SP_OK;
}

static sp_status ask(struct pg_reader *self, struct pg_answer *answer, struct sp_error *error) {
    struct sp_pg_query query;
    struct params *params = malloc(sizeof(*params));
    if (params == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for a query");
    }
    sp_status status = sp_pg_query_init(&query, answer->sql->text, SP_SQL_PARAMS_MAX, error);
    if (status == SP_OK) {
        sp_buf_init(&params->texts, BLOBS_BYTES_MAX);
        status = fill_params(params, answer->sql, &query, error);
        if (status == SP_OK) {
            status = try_all(self, answer, &query, params, error);
            settle(self, answer, status);
        }
        sp_buf_fini(&params->texts);
        sp_pg_query_fini(&query);
    }
    free(params);
    return status;
}

static sp_status query_reader(struct sp_sql_reader *base, const struct sp_sql *sql,
                              const struct sp_rows *rows, void *context,
                              struct sp_sql_done *ret_done, struct sp_error *error) {
    struct sp_sql_done done = {.position = UINT64_MAX};
    struct sp_error own;
    error = error != NULL ? error : &own;
    sp_error_clear(error);
    struct pg_answer answer = {.sql = sql,
                               .rows = rows,
                               .context = context,
                               .rows_max = sql->rows_max > 0 ? sql->rows_max : SP_SQL_ROWS_MAX,
                               .bytes_max = sql->bytes_max > 0 ? sql->bytes_max : SP_SQL_BYTES_MAX,
                               .done = &done};
    sp_buf_init(&answer.bytes, BLOBS_BYTES_MAX);
    sp_status status = check_text(sql, error);
    set_running(self_of(base), true);
    status = status == SP_OK ? ask(self_of(base), &answer, error) : status;
    set_running(self_of(base), false);
    sp_buf_fini(&answer.bytes);
    if (ret_done != NULL) {
        *ret_done = done;
    }
    return status;
}

static sp_status tables_reader(struct sp_sql_reader *base, sp_str name, sp_sql_table_fn *each,
                               void *context, struct sp_error *error) {
    struct pg_reader *self = self_of(base);
    sp_status status = SP_OK;
    for (int i = 0; i < TRIES; i++) {
        status = connect_reader(self, error);
        status = status == SP_OK
                     ? sp_pg_models_tables(&self->link, &self->target, name, each, context, error)
                     : status;
        if (status != SP_BUSY || sp_pg_link_whole(&self->link)) {
            break;
        }
    }
    return for_query(status, error);
}

/* ---- opening and closing ---- */

static void close_reader(struct sp_sql_reader *base) {
    struct pg_reader *self = self_of(base);
    disconnect(self);
    sp_pg_target_fini(&self->target);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

static const struct sp_sql_reader_ops OPS = {
    .query = query_reader,
    .interrupt = interrupt,
    .tables = tables_reader,
    .close = close_reader,
};

/* Connects with its first query. */
sp_status sp_pg_reader_new(struct sp_sink *sink, struct sp_sql_reader **ret_reader,
                           struct sp_error *error) {
    const struct sp_pg_sink *owner = (const struct sp_pg_sink *)sink;
    struct pg_reader *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for a reader");
    }
    self->base.ops = &OPS;
    (void)pthread_mutex_init(&self->lock, NULL);
    sp_status status = sp_pg_target_copy(&self->target, &owner->target, error);
    if (status != SP_OK) {
        close_reader(&self->base);
        return status;
    }
    *ret_reader = &self->base;
    return SP_OK;
}
