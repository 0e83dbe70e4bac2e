/*
 * GET /v1/sagas of those that have ended: what runs is in memory, what has ended in the read model
 * `sagas`, which is asked on a thread of its own.
 */
#include "server/http_sagas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/queries.h"

enum { PARAMS = 4, TIMEOUT_MS = 10000 };

/* The request's state. */
struct ended {
    struct sp_query_job *job;
    uint32_t limit;
};

static void free_ended(struct sp_connection *connection, void *state) {
    struct ended *ended = state;
    (void)connection;
    sp_query_drop(ended->job);
    free(ended);
}

static sp_status start(struct sp_http_request *request, const struct sp_desk_request *asked,
                       struct ended *ended, struct sp_error *error) {
    static const struct {
        const char *name;
        enum sp_desk_option option;
        const char *absent;
    } OPTIONS[PARAMS] = {
        {"status", SP_DESK_STATUS, ""},
        {"name", SP_DESK_NAME, ""},
        {"step", SP_DESK_STEP, ""},
        {"after", SP_DESK_AFTER, "0"},
    };
    struct sp_sql_value params[PARAMS];
    for (size_t i = 0; i < PARAMS; i++) {
        sp_str value = asked->options[OPTIONS[i].option];
        params[i] = (struct sp_sql_value){
            .name = sp_str_from(OPTIONS[i].name),
            .kind = SP_SQL_TEXT,
            .text = value.len > 0 ? value : sp_str_from(OPTIONS[i].absent),
        };
    }
    /* One more than is shown tells whether there are more. */
    ended->limit = asked->limit;
    const struct sp_query_ask ask = {
        .form = SP_QUERY_NDJSON,
        .sql = {.text = sp_str_from(sp_desk_sagas_ended_sql()),
                .params = params,
                .param_count = PARAMS,
                .timeout_ms = TIMEOUT_MS,
                .rows_max = (uint64_t)asked->limit + 1,
                .cut = true},
        .key = SP_STR(""),
        .column = SP_STR(""),
    };
    return sp_query_start(request->connection, &ask, &ended->job, error);
}

static enum sp_http_verdict wait_for_it(struct sp_http_request *request) {
    static const struct sp_http_wait WAIT = {.timeout_ms = TIMEOUT_MS};
    return sp_http_wait(request, &WAIT);
}

enum sp_http_verdict sp_http_sagas_start(struct sp_http_request *request,
                                         const struct sp_desk_request *asked) {
    struct sp_error error;
    struct ended *ended = calloc(1, sizeof(*ended));
    sp_error_clear(&error);
    sp_status status = ended != NULL ? start(request, asked, ended, &error) : SP_NO_MEMORY;
    if (status != SP_OK) {
        free(ended);
        return sp_http_refuse_status(request, status == SP_BUSY ? SP_FAILED : status, &error);
    }
    request->state = ended;
    request->free_state = free_ended;
    return wait_for_it(request);
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* The number behind `"position":` in a row. */
static sp_str position_of(sp_str row) {
    static const char NAME[] = "\"position\":";
    size_t at = row.len;
    while (at > 0 && !sp_str_starts_with(sp_str_from_byte(row, at), sp_str_from(NAME))) {
        at--; /* it is the last member */
    }
    sp_str number = sp_str_from_byte(row, at + sizeof(NAME) - 1);
    size_t len = 0;
    while (len < number.len && number.ptr[len] >= '0' && number.ptr[len] <= '9') {
        len++;
    }
    return sp_str_of(number.ptr, len);
}

static void add_rows(struct sp_buf *body, sp_str rows, uint32_t limit) {
    sp_str last = SP_STR("");
    uint32_t count = 0;
    sp_buf_add_str(body, SP_STR("{\"sagas\":["));
    while (rows.len > 0 && count < limit) {
        const char *end = memchr(rows.ptr, '\n', rows.len);
        size_t len = end != NULL ? (size_t)(end - rows.ptr) : rows.len;
        last = sp_str_of(rows.ptr, len);
        sp_buf_add_str(body, count > 0 ? SP_STR(",") : SP_STR(""));
        sp_buf_add_str(body, last);
        rows = sp_str_from_byte(rows, len < rows.len ? len + 1 : len);
        count++;
    }
    sp_buf_add_byte(body, ']');
    if (rows.len > 0) {
        sp_buf_add_str(body, SP_STR(",\"next\":\""));
        sp_buf_add_str(body, position_of(last));
        sp_buf_add_byte(body, '"');
    }
    sp_buf_add_byte(body, '}');
}

static enum sp_http_verdict reply(struct sp_http_request *request,
                                  const struct sp_query_answer *answer, uint32_t limit) {
    struct sp_buf *body = sp_http_scratch(request);
    struct sp_buf rows;
    sp_buf_init(&rows, SIZE_MAX / 4);
    sp_buf_add_str(&rows, answer->piece_count == 0 ? answer->body : SP_STR(""));
    for (uint32_t i = 0; i < answer->piece_count; i++) {
        sp_buf_add_str(&rows, sp_str_of(answer->pieces[i]->data, answer->pieces[i]->len));
    }
    add_rows(body, sp_buf_str(&rows), limit);
    sp_status status = rows.status != SP_OK ? rows.status : body->status;
    sp_buf_fini(&rows);
    return status == SP_OK ? sp_http_json(request, 200, sp_buf_str(body))
                           : sp_http_refuse_status(request, status, NULL);
}

enum sp_http_verdict sp_http_sagas_go_on(struct sp_http_request *request) {
    struct ended *ended = request->state;
    struct sp_query_answer answer;
    if (!sp_query_is_done(ended->job, &answer)) {
        return request->timed_out ? sp_http_refuse(request, 504, "query-timeout",
                                                   "the read model sagas did not answer in time")
                                  : wait_for_it(request);
    }
    if (answer.status == SP_NOT_FOUND) { /* lazy: it has no table before there is a saga */
        return sp_http_json(request, 200, SP_STR("{\"sagas\":[]}"));
    }
    return answer.status == SP_OK ? reply(request, &answer, ended->limit)
                                  : sp_http_refuse_status(request, answer.status, answer.error);
}
