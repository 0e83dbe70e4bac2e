/* SPOOR.QUERY, HGETALL and HGET: read models over the Redis protocol. */
#include "base/json.h"
#include "project/rows.h"
#include "server/handlers.h"
#include "server/queries.h"
#include "server/wait.h"

enum { COPIED_BYTES_MAX = 1 << 20 }; /* a larger answer is sent from where it is */

/* ---- waiting for the answer ------------------------------------------------------------------ */

/* The gap between a command and its answer: the connection waits, the loop does not. */
static enum sp_verdict wait_for_it(struct sp_request *request) {
    const struct sp_wait_spec spec = {.args = request->args, .argc = request->argc};
    return sp_wait_begin(request, &spec);
}

/* Of a command that was unblocked by others what is left is nothing. */
static void forget(struct sp_connection *connection) {
    sp_query_drop(connection->query);
    connection->query = NULL;
}

static enum sp_verdict write_answer(struct sp_request *request,
                                    const struct sp_query_answer *answer) {
    struct sp_connection *connection = request->connection;
    size_t bytes = 0;
    for (uint32_t i = 0; i < answer->piece_count; i++) {
        bytes += answer->pieces[i]->len;
    }
    bool share = bytes > COPIED_BYTES_MAX && connection->reply_mode == SP_REPLY_ON &&
                 request->reply->to == &connection->output.bytes;
    sp_buf_add_str(request->reply->to, answer->body);
    for (uint32_t i = 0; i < answer->piece_count; i++) {
        struct sp_blob *piece = answer->pieces[i];
        if (!share) {
            sp_buf_add(request->reply->to, piece->data, piece->len);
        } else if (!sp_output_share(&connection->output, piece)) {
            sp_connection_break(connection);
            break;
        }
    }
    return SP_DONE;
}

/* A table that is not there is no key; a stream of that name is of another type. */
static enum sp_verdict write_missing(struct sp_request *request) {
    struct sp_key key;
    struct sp_bus_stream_info info;
    if (!sp_request_key(request, request->args[1], &key)) {
        return SP_DONE;
    }
    sp_status status = sp_bus_stream(request->server->bus, &key, &info, NULL);
    if (status == SP_OK) {
        return sp_reply_error_str(
            request, "WRONGTYPE",
            SP_STR("Operation against a key holding the wrong kind of value"));
    }
    if (sp_word_is(request->args[0], "hgetall")) {
        sp_resp_map(request->reply, 0);
    } else {
        sp_resp_null(request->reply);
    }
    return SP_DONE;
}

static enum sp_verdict write_error(struct sp_request *request, sp_status status,
                                   const struct sp_error *error) {
    if (status == SP_BUSY) {
        return sp_reply_error_str(request, "BUSY", sp_str_from(error->text));
    }
    return sp_reply_own_status(request, status, error);
}

/* Starts the query, or answers with what came of it. */
enum sp_verdict sp_query_reply(struct sp_request *request, sp_handler_fn *start, bool by_key) {
    struct sp_connection *connection = request->connection;
    struct sp_query_answer answer;
    request->lazy = true;
    if (connection->wait == NULL) { /* not run again: it begins */
        forget(connection);
        return start(request);
    }
    if (connection->query == NULL || !sp_query_is_done(connection->query, &answer)) {
        return wait_for_it(request);
    }
    enum sp_verdict verdict = SP_DONE;
    if (answer.status == SP_OK) {
        verdict = write_answer(request, &answer);
    } else if (answer.status == SP_NOT_FOUND && by_key) {
        verdict = write_missing(request);
    } else {
        verdict = write_error(request, answer.status, answer.error);
    }
    forget(connection);
    return verdict;
}

enum sp_verdict sp_query_begin(struct sp_request *request, const struct sp_query_ask *ask) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status =
        sp_query_start(request->connection, ask, &request->connection->query, &error);
    if (status != SP_OK) {
        return write_error(request, status, &error);
    }
    return wait_for_it(request);
}

/* ---- SPOOR.QUERY ----------------------------------------------------------------------------- */

struct words {
    struct sp_query_ask ask;
    struct sp_sql_value params[SP_SQL_PARAMS_MAX];
    struct sp_buf texts;
};

static bool read_json_param(struct words *words, sp_str text, struct sp_sql_value *value) {
    struct sp_json json;
    sp_json_init(&json, text);
    struct sp_json_token token = sp_json_next(&json);
    if (token.type == SP_JSON_ERROR) {
        return false;
    }
    sp_str raw = sp_json_skip(&json, token);
    return sp_json_next(&json).type == SP_JSON_END &&
           sp_rows_read_json(token, raw, &words->texts, value);
}

/* PARAM name text, JSON name value; an empty name: by order. */
static enum sp_verdict add_param(struct sp_request *request, struct words *words, uint32_t at) {
    struct sp_sql *sql = &words->ask.sql;
    sp_str name = request->args[at + 1];
    if (sql->param_count == SP_SQL_PARAMS_MAX) {
        return sp_reply_error(request, "too many parameters");
    }
    struct sp_sql_value *value = &words->params[sql->param_count++];
    *value = (struct sp_sql_value){.kind = SP_SQL_TEXT, .text = request->args[at + 2]};
    if (sp_word_is(request->args[at], "json") &&
        !read_json_param(words, request->args[at + 2], value)) {
        return sp_reply_error(request, "JSON: expected a name and a value as JSON");
    }
    value->name = sp_str_starts_with(name, SP_STR(":")) ? sp_str_from_byte(name, 1) : name;
    return SP_LATER; /* no reply yet */
}

static enum sp_verdict add_number(struct sp_request *request, sp_str text, uint64_t least,
                                  uint64_t *ret_number) {
    int64_t number = 0;
    if (!sp_word_i64(text, &number) || number < 0 || (uint64_t)number < least) {
        return sp_reply_not_integer(request);
    }
    *ret_number = (uint64_t)number;
    return SP_LATER;
}

/* Reads the words behind the SQL; SP_LATER where all of them were understood. */
static enum sp_verdict read_words(struct sp_request *request, struct words *words) {
    struct sp_sql *sql = &words->ask.sql;
    enum sp_verdict verdict = SP_LATER;
    for (uint32_t at = 2; at < request->argc && verdict == SP_LATER;) {
        sp_str word = request->args[at];
        uint32_t left = request->argc - at - 1;
        if ((sp_word_is(word, "param") || sp_word_is(word, "json")) && left >= 2) {
            verdict = add_param(request, words, at);
            at += 3;
        } else if (sp_word_is(word, "seen") && left >= 1) {
            verdict = add_number(request, request->args[at + 1], 0, &sql->seen);
            at += 2;
        } else if (sp_word_is(word, "timeout") && left >= 1) {
            verdict = add_number(request, request->args[at + 1], 1, &sql->timeout_ms);
            at += 2;
        } else if (sp_word_is(word, "maxrows") && left >= 1) {
            verdict = add_number(request, request->args[at + 1], 1, &sql->rows_max);
            at += 2;
        } else if (sp_word_is(word, "kinds")) {
            words->ask.kinds = true;
            at++;
        } else if (sp_word_is(word, "asjson")) {
            words->ask.form = SP_QUERY_JSON;
            words->ask.bulk = true;
            at++;
        } else {
            verdict = sp_reply_syntax(request);
        }
    }
    return verdict;
}

static enum sp_verdict start_words(struct sp_request *request, struct words *words) {
    size_t bytes = 1;
    for (uint32_t i = 2; i < request->argc; i++) {
        bytes += request->args[i].len;
    }
    words->ask = (struct sp_query_ask){.form = SP_QUERY_RESP,
                                       .resp_version = request->reply->version,
                                       .key = SP_STR(""),
                                       .column = SP_STR("")};
    words->ask.sql.text = request->args[1];
    words->ask.sql.params = words->params;
    if (sp_buf_reserve(&words->texts, bytes) == NULL) {
        return sp_reply_own_status(request, SP_NO_MEMORY, NULL);
    }
    enum sp_verdict verdict = read_words(request, words);
    return verdict == SP_LATER ? sp_query_begin(request, &words->ask) : verdict;
}

static enum sp_verdict start_query(struct sp_request *request) {
    struct words words = {.params = {{.kind = SP_SQL_NULL}}};
    sp_buf_init(&words.texts, SIZE_MAX / 4);
    enum sp_verdict verdict = start_words(request, &words);
    sp_buf_fini(&words.texts);
    return verdict;
}

enum sp_verdict sp_on_spoor_query(struct sp_request *request) {
    return sp_query_reply(request, start_query, false);
}

/* ---- SPOOR.TABLES ---------------------------------------------------------------------------- */

static enum sp_verdict start_tables(struct sp_request *request) {
    const struct sp_query_ask ask = {.form = SP_QUERY_TABLES,
                                     .resp_version = request->reply->version,
                                     .key = SP_STR(""),
                                     .column = SP_STR("")};
    return sp_query_begin(request, &ask);
}

enum sp_verdict sp_on_spoor_tables(struct sp_request *request) {
    return sp_query_reply(request, start_tables, false);
}

/* ---- HGETALL, HGET --------------------------------------------------------------------------- */

static enum sp_verdict start_row(struct sp_request *request) {
    bool whole = request->argc == 2;
    const struct sp_query_ask ask = {.form = whole ? SP_QUERY_HASH : SP_QUERY_CELL,
                                     .resp_version = request->reply->version,
                                     .key = request->args[1],
                                     .column = whole ? SP_STR("") : request->args[2]};
    return sp_query_begin(request, &ask);
}

enum sp_verdict sp_on_hgetall(struct sp_request *request) {
    return sp_query_reply(request, start_row, true);
}

enum sp_verdict sp_on_hget(struct sp_request *request) {
    return sp_query_reply(request, start_row, true);
}
