/*
 * Questions to read models over HTTP. loop-thread
 *
 *     POST /v1/query   {"sql": "SELECT …", "params": [..] or {..}, "position": N, "timeout_ms": N,
 *                       "max_rows": N}                          or application/sql: the SQL itself
 *
 * The answer is JSON, NDJSON (application/x-ndjson) or CSV (text/csv), as Accept says. It is whole
 * before its first byte is sent, so that what goes wrong in the middle has a status of its own; a
 * large one leaves piece by piece, as the client reads it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "project/rows.h"
#include "server/http_body.h"
#include "server/http_int.h"
#include "server/http_parts.h"
#include "server/queries.h"

enum {
    UNSENT_HIGH = 1 << 20, /* no piece more from here on */
    UNSENT_LOW = 256 << 10,
    RETRY_AFTER_S = 1,
    NUMBER_SIZE = 24,
};

enum { SQL, PARAMS, POSITION, TIMEOUT_MS, MAX_ROWS, MEMBERS };

/* ---- what is asked --------------------------------------------------------------------------- */

/* What the body says; slices point into the body or into `texts`. */
struct asked {
    struct sp_query_ask ask;
    struct sp_buf texts;
    struct sp_sql_value params[SP_SQL_PARAMS_MAX];
};

static sp_status read_param(struct asked *asked, struct sp_json *json, struct sp_json_token token,
                            sp_str name, struct sp_error *error) {
    struct sp_sql *sql = &asked->ask.sql;
    sp_str raw = sp_json_skip(json, token);
    if (sql->param_count == SP_SQL_PARAMS_MAX) {
        return sp_error_set(error, SP_INVALID, "params: more than %d", SP_SQL_PARAMS_MAX);
    }
    struct sp_sql_value *value = &asked->params[sql->param_count];
    if (!sp_rows_read_json(token, raw, &asked->texts, value)) {
        return sp_error_set(error, SP_INVALID, "params: number %u cannot be read as a value",
                            sql->param_count + 1);
    }
    value->name = name;
    sql->param_count++;
    return SP_OK;
}

/* The text of a member's name, its escapes resolved. */
static sp_str name_of(struct asked *asked, struct sp_json_token key) {
    size_t from = asked->texts.len;
    sp_json_unescape(&asked->texts, key.raw);
    sp_str name = sp_str_of(asked->texts.data + from, asked->texts.len - from);
    return sp_str_starts_with(name, SP_STR(":")) ? sp_str_from_byte(name, 1) : name;
}

/* An array, by order, or an object, by name. The body has been checked to be JSON. */
static sp_status read_params(struct asked *asked, const struct sp_http_value *value,
                             struct sp_error *error) {
    struct sp_json json;
    sp_status status = SP_OK;
    if (!value->given) {
        return SP_OK;
    }
    if (value->token.type != SP_JSON_ARRAY && value->token.type != SP_JSON_OBJECT) {
        return sp_error_set(error, SP_INVALID, "params: expected an array or an object, not %s",
                            sp_json_type_name(value->token.type));
    }
    bool named = value->token.type == SP_JSON_OBJECT;
    sp_json_init(&json, value->raw);
    (void)sp_json_next(&json);
    for (struct sp_json_token token = sp_json_next(&json);
         status == SP_OK && token.type != SP_JSON_ARRAY_END && token.type != SP_JSON_OBJECT_END;
         token = sp_json_next(&json)) {
        sp_str name = SP_STR("");
        if (named) {
            name = name_of(asked, token);
            token = sp_json_next(&json);
            if (name.len == 0) {
                return sp_error_set(error, SP_INVALID, "params: a name is empty");
            }
        }
        status = read_param(asked, &json, token, name, error);
        if (status != SP_OK) {
            return status;
        }
    }
    return status;
}

static sp_status read_json(const struct sp_http_request *request, struct asked *asked,
                           struct sp_error *error) {
    static const char *const NAMES[] = {"sql",        "params",   "position",
                                        "timeout_ms", "max_rows", NULL};
    struct sp_http_value values[MEMBERS];
    struct sp_sql *sql = &asked->ask.sql;
    sp_status status = sp_http_body_members(request, NAMES, values, error);
    status = status == SP_OK ? sp_http_value_needed(&values[SQL], NAMES[SQL], error) : status;
    if (status == SP_OK) {
        status = sp_http_value_text(&values[SQL], NAMES[SQL], SIZE_MAX, &asked->texts, &sql->text,
                                    error);
    }
    status = status == SP_OK ? read_params(asked, &values[PARAMS], error) : status;
    if (status == SP_OK) {
        status = sp_http_value_number(&values[POSITION], NAMES[POSITION], 0, INT64_MAX, &sql->seen,
                                      error);
    }
    if (status == SP_OK) {
        status = sp_http_value_number(&values[TIMEOUT_MS], NAMES[TIMEOUT_MS], 1, INT64_MAX,
                                      &sql->timeout_ms, error);
    }
    return status == SP_OK ? sp_http_value_number(&values[MAX_ROWS], NAMES[MAX_ROWS], 1, INT64_MAX,
                                                  &sql->rows_max, error)
                           : status;
}

static sp_status read_number(sp_str text, const char *name, uint64_t *ret_number,
                             struct sp_error *error) {
    int64_t number = 0;
    if (!sp_word_i64(text, &number) || number < 0) {
        return sp_error_set(error, SP_INVALID, "%s: expected a whole number", name);
    }
    *ret_number = (uint64_t)number;
    return SP_OK;
}

/* The header Spoor-Position says the same as `position`; the greater one counts. */
static sp_status read_header(const struct sp_http_request *request, struct asked *asked,
                             struct sp_error *error) {
    uint64_t position = 0;
    if (!sp_http_has_header(request, "spoor-position")) {
        return SP_OK;
    }
    sp_status status =
        read_number(sp_http_header(request, "spoor-position"), "Spoor-Position", &position, error);
    if (status == SP_OK && position > asked->ask.sql.seen) {
        asked->ask.sql.seen = position;
    }
    return status;
}

/* Beside a body that is SQL the limits are parameters of the URL. */
static sp_status read_sql(const struct sp_http_request *request, struct asked *asked,
                          struct sp_error *error) {
    struct sp_sql *sql = &asked->ask.sql;
    const struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {
        {"position", &sql->seen}, {"timeout_ms", &sql->timeout_ms}, {"max_rows", &sql->rows_max}};
    sql->text = request->body;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        sp_str text;
        sp_status status = sp_http_query(request, numbers[i].name, &text)
                               ? read_number(text, numbers[i].name, numbers[i].number, error)
                               : SP_OK;
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

enum sp_query_form sp_http_query_form(const struct sp_http_request *request) {
    return sp_http_prefers(request, "application/x-ndjson", "application/json") ? SP_QUERY_NDJSON
           : sp_http_prefers(request, "text/csv", "application/json")           ? SP_QUERY_CSV
                                                                                : SP_QUERY_JSON;
}

static sp_status read_asked(const struct sp_http_request *request, struct asked *asked,
                            struct sp_error *error) {
    bool raw = sp_http_body_is(request, "application/sql");
    asked->ask = (struct sp_query_ask){
        .form = sp_http_query_form(request), .key = SP_STR(""), .column = SP_STR("")};
    asked->ask.sql.params = asked->params;
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < request->query_count && !raw; i++) {
        return sp_error_set(error, SP_INVALID,
                            "unknown parameter '%.*s': the body says what is asked",
                            SP_STR_ARG(request->query[i].name));
    }
    if (sp_buf_reserve(&asked->texts, request->body.len + 1) == NULL) {
        return SP_NO_MEMORY;
    }
    status = raw ? read_sql(request, asked, error) : read_json(request, asked, error);
    return status == SP_OK ? read_header(request, asked, error) : status;
}

/* ---- what went wrong ------------------------------------------------------------------------- */

static const struct {
    sp_status status;
    int code;
    const char *type;
} PROBLEMS[] = {
    {SP_INVALID, 400, "invalid-query"},     {SP_NOT_FOUND, 404, "no-such-table"},
    {SP_DENIED, 403, "read-only"},          {SP_LIMIT, 422, "query-limit"},
    {SP_TIMEOUT, 504, "query-timeout"},     {SP_BUSY, 503, "query-queue-full"},
    {SP_UNSUPPORTED, 422, "query-limit"},   {SP_FAILED, 503, "projection-failed"},
    {SP_CANCELLED, 503, "query-cancelled"},
};

static enum sp_http_verdict refuse(struct sp_http_request *request, sp_status status,
                                   const struct sp_error *error, const struct sp_sql_done *done) {
    struct sp_http_member members[2];
    for (size_t i = 0; i < sizeof(PROBLEMS) / sizeof(*PROBLEMS); i++) {
        if (PROBLEMS[i].status != status) {
            continue;
        }
        struct sp_http_problem problem = {.status = PROBLEMS[i].code,
                                          .type = PROBLEMS[i].type,
                                          .detail = sp_str_from(error->text),
                                          .members = members,
                                          .retry_after_s = status == SP_BUSY ? RETRY_AFTER_S : 0};
        if (done != NULL && done->lagging[0] != '\0') {
            problem.type = status == SP_TIMEOUT ? "position-not-seen" : problem.type;
            members[0] = (struct sp_http_member){
                .name = "projection", .kind = SP_HTTP_TEXT, .text = sp_str_from(done->lagging)};
            members[1] = (struct sp_http_member){
                .name = "position", .kind = SP_HTTP_NUMBER, .number = done->position};
            problem.member_count = 2;
        }
        return sp_http_problem(request, &problem);
    }
    return sp_http_refuse_status(request, status, error);
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* The request's state: the job, and how much of its answer is sent. */
struct query {
    struct sp_query_job *job;
    uint32_t piece;
};

static void free_query(struct sp_connection *connection, void *state) {
    struct query *query = state;
    (void)connection;
    sp_query_drop(query->job);
    free(query);
}

/* Sends pieces until the client has enough to read. */
static void send_pieces(struct sp_connection *connection, struct query *query) {
    struct sp_query_answer answer;
    bool done = sp_query_is_done(query->job, &answer);
    sp_require(done);
    while (query->piece < answer.piece_count) {
        if (sp_connection_unsent(connection) >= UNSENT_HIGH) {
            connection->drain_below = UNSENT_LOW;
            return;
        }
        if (!sp_http_stream_push(connection, answer.pieces[query->piece])) {
            sp_http_stream_abort(connection);
            return;
        }
        query->piece++;
    }
    sp_http_stream_end(connection);
}

static enum sp_http_verdict answer_with(struct sp_http_request *request,
                                        const struct sp_query_answer *answer) {
    enum sp_query_form form = sp_http_query_form(request);
    char number[NUMBER_SIZE] = "";
    const char *type = form == SP_QUERY_NDJSON ? "application/x-ndjson"
                       : form == SP_QUERY_CSV  ? "text/csv; charset=utf-8"
                                               : "application/json";
    struct sp_http_pair field = {.name = SP_STR("Spoor-Position"), .value = SP_STR("")};
    bool told = answer->done->position != UINT64_MAX;
    int len = snprintf(number, sizeof(number), "%llu", (unsigned long long)answer->done->position);
    field.value = sp_str_of(number, (size_t)len);
    if (answer->piece_count == 0) {
        const struct sp_http_reply reply = {.status = 200,
                                            .content_type = type,
                                            .body = answer->body,
                                            .fields = &field,
                                            .field_count = told ? 1 : 0};
        return sp_http_reply(request, &reply);
    }
    request->finite = true;
    enum sp_http_verdict verdict = sp_http_stream_begin(request, 200, type, &field, told ? 1 : 0);
    if (verdict == SP_HTTP_OPEN) { /* the pieces follow when what is there has been sent */
        request->connection->drain_below = UNSENT_LOW;
        sp_connection_touch(request->connection);
    }
    return verdict;
}

static enum sp_http_verdict wait_for_it(struct sp_http_request *request) {
    static const struct sp_http_wait WAIT = {.timeout_ms = 0};
    return sp_http_wait(request, &WAIT);
}

enum sp_http_verdict sp_http_query_begin(struct sp_http_request *request,
                                         const struct sp_query_ask *ask) {
    struct sp_error error;
    struct query *query = calloc(1, sizeof(*query));
    sp_error_clear(&error);
    if (query == NULL) {
        if (ask->work != NULL) {
            ask->work->free(ask->work);
        }
        return sp_http_refuse_status(request, SP_NO_MEMORY, NULL);
    }
    sp_status status = sp_query_start(request->connection, ask, &query->job, &error);
    if (status != SP_OK) {
        free(query);
        return refuse(request, status, &error, NULL);
    }
    request->state = query;
    request->free_state = free_query;
    return wait_for_it(request);
}

static enum sp_http_verdict start(struct sp_http_request *request, struct asked *asked) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = read_asked(request, asked, &error);
    if (status != SP_OK) {
        return refuse(request, status == SP_LIMIT ? SP_INVALID : status, &error, NULL);
    }
    return sp_http_query_begin(request, &asked->ask);
}

static enum sp_http_verdict on_query(struct sp_http_request *request) {
    if (request->state != NULL) {
        return sp_http_query_go_on(request);
    }
    struct asked *asked = calloc(1, sizeof(*asked));
    if (asked == NULL) {
        return sp_http_refuse_status(request, SP_NO_MEMORY, NULL);
    }
    sp_buf_init(&asked->texts, SIZE_MAX / 4);
    enum sp_http_verdict verdict = start(request, asked);
    sp_buf_fini(&asked->texts);
    free(asked);
    return verdict;
}

enum sp_http_verdict sp_http_query_go_on(struct sp_http_request *request) {
    struct query *query = request->state;
    struct sp_query_answer answer;
    if (!sp_query_is_done(query->job, &answer)) {
        return request->timed_out
                   ? sp_http_refuse(request, 503, "draining", "the server is about to end")
                   : wait_for_it(request);
    }
    return answer.status == SP_OK ? answer_with(request, &answer)
                                  : refuse(request, answer.status, answer.error, answer.done);
}

void sp_http_query_drained(struct sp_connection *connection) {
    struct sp_http_exchange *exchange = connection->http.exchange;
    if (connection->protocol == &http_protocol && exchange != NULL &&
        exchange->phase == HTTP_OPEN && exchange->request.free_state == free_query) {
        send_pieces(connection, exchange->request.state);
    }
}

const struct sp_http_route sp_http_sql_routes[] = {
    {SP_HTTP_POST, "/v1/query", 0, on_query},
    {.path = NULL},
};
