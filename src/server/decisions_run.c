/* Running a command: one attempt, from the body to the append; see decisions.h. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/time.h"
#include "engine/engine_ops.h"
#include "engine/query.h"
#include "event/event_json.h"
#include "server/decisions_int.h"

enum {
    ID_BYTES_MAX = 256,
    NUMBER_SIZE = 24,
    EXPECTS_MAX = SP_DECISION_CONDITIONS_MAX,
    /* Ids of all events, streams of all conditions: reserved at once, so that no slice moves. */
    NAMES_BYTES_MAX = SP_DECISION_EVENTS_MAX * (ID_BYTES_MAX + NUMBER_SIZE) +
                      SP_DECISION_CONDITIONS_MAX * 4096 + 1024,
};

/* All that one attempt holds. */
struct attempt {
    struct sp_decisions *decisions;
    struct sp_server *server;
    const struct sp_connection *connection;
    struct sp_decided *decided;
    const struct sp_decision *decision;
    sp_str id;
    sp_str source;
    sp_str correlation; /* NULL ptr: none */
    sp_str causation;
    sp_str data;           /* JSON */
    struct sp_buf texts;   /* of id, source … */
    struct sp_buf command; /* what programs see */
    struct sp_buf results; /* the answers of SQL, joined by commas */
    struct sp_buf emitted;
    struct sp_buf scratch; /* of its events */
    struct sp_buf record;  /* data of the event that tells of the command */
    struct sp_buf names;   /* streams of expectations; ids of events: it never moves */
    struct sp_engine_expect expects[EXPECTS_MAX];
    int expect_of[EXPECTS_MAX]; /* the condition that it is of */
    uint32_t expect_count;
    struct sp_event *events; /* the record first */
    uint32_t event_count;
    struct sp_bus_added *added;
};

static bool end(struct attempt *attempt, enum sp_decision_end how, const char *type) {
    attempt->decided->end = how;
    attempt->decided->type = type;
    return false;
}

static bool end_status(struct attempt *attempt, sp_status status) {
    attempt->decided->status = status;
    return end(attempt, SP_DECISION_ERROR, NULL);
}

/* What a program or the store said: the definition's fault, the machine's, or nobody's yet. */
static bool end_program(struct attempt *attempt, sp_status status, const char *where, int number) {
    struct sp_error *error = &attempt->decided->error;
    if (number >= 0) {
        (void)sp_error_prefix(error, status, "/conditions/%d%s", number, where);
    } else {
        (void)sp_error_prefix(error, status, "%s", where);
    }
    attempt->decided->condition = number;
    return status == SP_INVALID || status == SP_LIMIT || status == SP_DENIED ||
                   status == SP_NOT_FOUND
               ? end(attempt, SP_DECISION_INVALID, "command-broken")
               : end_status(attempt, status);
}

/* To be run again; or it has waited for too long, and `error` says for what. */
static bool wait(struct attempt *attempt, bool near) {
    sp_status status = decisions_wait(attempt->decisions, attempt->connection, near);
    if (status == SP_BUSY) {
        return end(attempt, SP_DECISION_WAITS, NULL);
    }
    (void)sp_error_set(&attempt->decided->error, SP_TIMEOUT,
                       "the read models have not caught up with the log in time");
    return end(attempt, SP_DECISION_LATE, "read-model-behind");
}

/* ---- the body -------------------------------------------------------------------------------- */

static bool refuse_body(struct attempt *attempt) {
    return end(attempt, SP_DECISION_INVALID, "invalid-command");
}

/* One member; its text goes to `texts`, which has room for all of them. */
static sp_status take_member(struct attempt *attempt, struct sp_json *json,
                             struct sp_json_token key, struct sp_error *error) {
    static const char *const names[] = {"id", "source", "correlationid", "causationid"};
    sp_str *const places[] = {&attempt->id, &attempt->source, &attempt->correlation,
                              &attempt->causation};
    struct sp_json_token value = sp_json_next(json);
    if (value.type == SP_JSON_ERROR) {
        return sp_json_fail(json, error);
    }
    if (sp_json_equal(key, SP_STR("data"))) {
        attempt->data = sp_json_skip(json, value);
        return attempt->data.len > 0 ? SP_OK : sp_json_fail(json, error);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (sp_json_equal(key, sp_str_from(names[i])) && value.type == SP_JSON_NULL) {
            return SP_OK;
        }
        if (sp_json_equal(key, sp_str_from(names[i]))) {
            size_t at = attempt->texts.len;
            if (value.type != SP_JSON_STRING || value.raw.len == 0 ||
                value.raw.len > ID_BYTES_MAX) {
                return sp_error_set(error, SP_INVALID,
                                    "/%s: expected a string of 1 to %d bytes, found %s", names[i],
                                    ID_BYTES_MAX, sp_json_type_name(value.type));
            }
            sp_json_unescape(&attempt->texts, value.raw);
            *places[i] = sp_str_of(attempt->texts.data + at, attempt->texts.len - at);
            return SP_OK;
        }
    }
    return sp_error_set(error, SP_INVALID,
                        "'%.*s' is not known; expected id, source, correlationid, causationid, "
                        "data",
                        (int)(key.raw.len > 64 ? 64 : key.raw.len), key.raw.ptr);
}

static sp_status read_members(struct attempt *attempt, sp_str body, struct sp_error *error) {
    struct sp_json json;
    sp_status status = SP_OK;
    sp_json_init(&json, body);
    struct sp_json_token token = sp_json_next(&json);
    if (token.type != SP_JSON_OBJECT) {
        return token.type == SP_JSON_ERROR
                   ? sp_json_fail(&json, error)
                   : sp_error_set(error, SP_INVALID, "expected an object, found %s",
                                  sp_json_type_name(token.type));
    }
    for (token = sp_json_next(&json); token.type == SP_JSON_KEY; token = sp_json_next(&json)) {
        status = take_member(attempt, &json, token, error);
        if (status != SP_OK) {
            return status;
        }
    }
    return token.type == SP_JSON_OBJECT_END && sp_json_next(&json).type == SP_JSON_END
               ? SP_OK
               : sp_json_fail(&json, error);
}

/* An id of its own for a command that has none: it then cannot be sent again. */
static void make_id(struct attempt *attempt) {
    uint8_t bytes[16];
    size_t at = attempt->texts.len;
    char text[SP_UUID_TEXT_SIZE];
    sp_entropy(bytes, sizeof(bytes));
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    sp_uuid_format(bytes, text);
    sp_buf_add(&attempt->texts, text, sizeof(text));
    attempt->id = sp_str_of(attempt->texts.data + at, attempt->texts.len - at);
}

static bool read_body(struct attempt *attempt, sp_str body) {
    struct sp_error *error = &attempt->decided->error;
    size_t room = body.len + attempt->source.len + SP_UUID_TEXT_SIZE + 1;
    if (sp_buf_reserve(&attempt->texts, room) == NULL) {
        return end_status(attempt, SP_NO_MEMORY);
    }
    attempt->data = SP_STR("null");
    if (body.len > 0 && read_members(attempt, body, error) != SP_OK) {
        return refuse_body(attempt);
    }
    if (attempt->id.len == 0) {
        make_id(attempt);
    }
    return true;
}

static void add_member(struct sp_buf *to, const char *name, sp_str text) {
    if (text.ptr != NULL) {
        sp_buf_add_str(to, SP_STR(",\""));
        sp_buf_add_str(to, sp_str_from(name));
        sp_buf_add_str(to, SP_STR("\":"));
        sp_json_add_string(to, text);
    }
}

static void write_command(struct attempt *attempt, sp_str name, struct sp_buf *to) {
    sp_buf_add_str(to, SP_STR("{\"name\":"));
    sp_json_add_string(to, name);
    add_member(to, "id", attempt->id);
    add_member(to, "source", attempt->source);
    add_member(to, "correlationid", attempt->correlation);
    sp_buf_add_str(to, SP_STR(",\"data\":"));
    sp_buf_add_str(to, attempt->data);
    sp_buf_add_byte(to, '}');
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void begin_answer(struct attempt *attempt, sp_str name, uint64_t position, bool duplicate) {
    struct sp_buf *to = &attempt->decided->answer;
    sp_buf_add_str(to, SP_STR("{\"command\":"));
    sp_json_add_string(to, name);
    add_member(to, "id", attempt->id);
    sp_buf_add_str(to, SP_STR(",\"position\":"));
    sp_buf_add_u64(to, position);
    sp_buf_add_str(to, duplicate ? SP_STR(",\"duplicate\":true,\"events\":[")
                                 : SP_STR(",\"events\":["));
}

static void add_event(struct attempt *attempt, uint32_t number, const struct sp_event *event,
                      uint64_t position, uint64_t version) {
    struct sp_buf *to = &attempt->decided->answer;
    sp_buf_add_str(to, number == 0 ? SP_STR("{\"id\":") : SP_STR(",{\"id\":"));
    sp_json_add_string(to, event->attr[SP_ATTR_ID]);
    add_member(to, "type", event->attr[SP_ATTR_TYPE]);
    add_member(to, "stream", event->attr[SP_ATTR_STREAM]);
    sp_buf_add_str(to, SP_STR(",\"position\":"));
    sp_buf_add_u64(to, position);
    sp_buf_add_str(to, SP_STR(",\"version\":"));
    sp_buf_add_u64(to, version);
    sp_buf_add_byte(to, '}');
}

static bool end_answer(struct attempt *attempt) {
    struct sp_buf *to = &attempt->decided->answer;
    sp_buf_add_str(to, SP_STR("]}"));
    return to->status == SP_OK ? end(attempt, SP_DECIDED, NULL) : end_status(attempt, to->status);
}

/* ---- the same id again ----------------------------------------------------------------------- */

static void record_stream(struct attempt *attempt, sp_str name, sp_str *ret_stream) {
    size_t at = attempt->names.len;
    sp_buf_add_str(&attempt->names, SP_STR("$command:"));
    sp_buf_add_str(&attempt->names, name);
    *ret_stream = sp_str_of(attempt->names.data + at, attempt->names.len - at);
}

/* Opens a cursor over positions. */
static sp_status open_range(struct sp_engine *engine, uint64_t first, uint64_t last,
                            struct sp_cursor **ret_cursor, struct sp_error *error) {
    char from[NUMBER_SIZE];
    char until[NUMBER_SIZE];
    (void)snprintf(from, sizeof(from), "%llu", (unsigned long long)first);
    (void)snprintf(until, sizeof(until), "%llu", (unsigned long long)last);
    const struct sp_query query = {.from = sp_str_from(from), .until = sp_str_from(until)};
    return sp_cursor_open(engine, &query, ret_cursor, error);
}

/* The member `events` of a record's data. */
static uint32_t events_of(sp_str data) {
    struct sp_json json;
    sp_json_init(&json, data);
    (void)sp_json_next(&json);
    for (struct sp_json_token key = sp_json_next(&json); key.type == SP_JSON_KEY;
         key = sp_json_next(&json)) {
        struct sp_json_token value = sp_json_next(&json);
        if (sp_json_equal(key, SP_STR("events")) && value.type == SP_JSON_NUMBER) {
            return (uint32_t)sp_json_number(value.raw);
        }
        if (value.type == SP_JSON_ERROR || sp_json_skip(&json, value).len == 0) {
            break;
        }
    }
    return 0;
}

/* The member `data` of a record's data, as it was given. */
static sp_str data_of(sp_str data) {
    struct sp_json json;
    sp_json_init(&json, data);
    (void)sp_json_next(&json);
    for (struct sp_json_token key = sp_json_next(&json); key.type == SP_JSON_KEY;
         key = sp_json_next(&json)) {
        struct sp_json_token value = sp_json_next(&json);
        sp_str raw = value.type == SP_JSON_ERROR ? SP_STR("") : sp_json_skip(&json, value);
        if (raw.len == 0 || sp_json_equal(key, SP_STR("data"))) {
            return raw;
        }
    }
    return SP_STR("");
}

static bool refuse_id(struct attempt *attempt, uint64_t position, bool is_record) {
    (void)sp_error_set(&attempt->decided->error, SP_CONFLICT,
                       "the id '%.*s' of this source is that of %s at position %llu",
                       SP_STR_ARG(attempt->id),
                       is_record ? "the same command with other data" : "another event",
                       (unsigned long long)position);
    return end(attempt, SP_DECISION_REFUSED, "id-taken");
}

/* What was answered then, read from the record and the events behind it. */
static bool answer_again(struct attempt *attempt, sp_str name, uint64_t position) {
    struct sp_engine *engine = attempt->server->engine;
    struct sp_error *error = &attempt->decided->error;
    const struct sp_event *event = NULL;
    struct sp_cursor *cursor = NULL;
    sp_str stream;
    record_stream(attempt, name, &stream);
    sp_status status =
        open_range(engine, position, position + SP_DECISION_EVENTS_MAX, &cursor, error);
    status = status == SP_OK ? sp_cursor_next(cursor, &event, error) : status;
    bool is_record = status == SP_OK && sp_str_eq(event->attr[SP_ATTR_STREAM], stream);
    if (status == SP_OK && !(is_record && sp_str_eq(data_of(event->data), attempt->data))) {
        sp_cursor_close(cursor);
        return refuse_id(attempt, position, is_record);
    }
    uint32_t count = status == SP_OK ? events_of(event->data) : 0;
    begin_answer(attempt, name, position, true);
    for (uint32_t i = 0; i < count && status == SP_OK; i++) {
        status = sp_cursor_next(cursor, &event, error);
        if (status == SP_OK) {
            add_event(attempt, i, event, event->position, event->version);
        }
    }
    sp_cursor_close(cursor);
    attempt->decided->duplicate = true;
    return status == SP_OK ? end_answer(attempt) : end_status(attempt, status);
}

static bool is_settled(const struct attempt *attempt) {
    struct sp_engine *engine = attempt->server->engine;
    return sp_engine_durable_position(engine) == sp_engine_core(engine)->position;
}

/* False where it is over: the command was taken before, or may have been. */
static bool is_new(struct attempt *attempt, sp_str name) {
    uint64_t position = 0;
    sp_status status = sp_engine_find(attempt->server->engine, attempt->source, attempt->id,
                                      &position, &attempt->decided->error);
    if (status != SP_OK) {
        return end_status(attempt, status);
    }
    if (position == 0) {
        return true;
    }
    return is_settled(attempt) ? answer_again(attempt, name, position) : wait(attempt, false);
}

/* ---- conditions ------------------------------------------------------------------------------ */

static bool refuse_condition(struct attempt *attempt, uint32_t number, const char *text) {
    const struct sp_condition *condition = &attempt->decision->conditions[number];
    attempt->decided->condition = (int)number;
    (void)sp_error_set(&attempt->decided->error, SP_CONFLICT, "%.*s%s%s",
                       SP_STR_ARG(condition->reason), condition->reason.len > 0 ? ": " : "", text);
    if (condition->reason.len > 0 && text[0] == 0) {
        (void)sp_error_set(&attempt->decided->error, SP_CONFLICT, "%.*s",
                           SP_STR_ARG(condition->reason));
    }
    return end(attempt, SP_DECISION_REFUSED, "condition-failed");
}

/* What a condition's program makes of the command. */
static bool run_program(struct attempt *attempt, uint32_t number, const char *where,
                        struct sp_buf *to) {
    const sp_str command = sp_buf_str(&attempt->command);
    sp_status status = sp_jq_value(attempt->decision->conditions[number].program, &command, to,
                                   &attempt->decided->error);
    return status == SP_OK || end_program(attempt, status, where, (int)number);
}

static bool broken(struct attempt *attempt, uint32_t number, const char *where,
                   const char *expected) {
    (void)sp_error_set(&attempt->decided->error, SP_INVALID, "expected %s", expected);
    return end_program(attempt, SP_INVALID, where, (int)number);
}

/* {"stream": …, "version": …} becomes an expectation of the append. */
static bool check_version(struct attempt *attempt, uint32_t number) {
    struct sp_buf value;
    struct sp_json json;
    sp_str stream = {.ptr = NULL};
    uint64_t version = 0;
    bool has_version = false;
    sp_buf_init(&value, DECISION_TEXT_BYTES_MAX);
    if (!run_program(attempt, number, "/version", &value)) {
        sp_buf_fini(&value);
        return false;
    }
    sp_json_init(&json, sp_buf_str(&value));
    bool right = sp_json_next(&json).type == SP_JSON_OBJECT;
    for (struct sp_json_token key = sp_json_next(&json); right && key.type == SP_JSON_KEY;
         key = sp_json_next(&json)) {
        struct sp_json_token token = sp_json_next(&json);
        int64_t integer = 0;
        if (sp_json_equal(key, SP_STR("stream")) && token.type == SP_JSON_STRING) {
            size_t at = attempt->names.len;
            sp_json_unescape(&attempt->names, token.raw);
            stream = sp_str_of(attempt->names.data + at, attempt->names.len - at);
        } else if (sp_json_equal(key, SP_STR("version"))) {
            has_version = token.type == SP_JSON_NUMBER ? sp_word_i64(token.raw, &integer)
                                                       : token.type == SP_JSON_STRING &&
                                                             sp_json_equal(token, SP_STR("none"));
            right = has_version && integer >= 0;
            version = (uint64_t)integer;
        } else {
            right = false;
        }
    }
    sp_buf_fini(&value);
    if (!right || stream.ptr == NULL || !has_version || attempt->names.status != SP_OK) {
        return broken(attempt, number, "/version",
                      "an object of stream (a string) and version (a number or none)");
    }
    attempt->expect_of[attempt->expect_count] = (int)number;
    attempt->expects[attempt->expect_count++] =
        (struct sp_engine_expect){.stream = stream, .version = version};
    return true;
}

/* Whether the answer is as expected. */
static bool check_rows(struct attempt *attempt, uint32_t number, sp_str answer, uint64_t rows) {
    const struct sp_condition *condition = &attempt->decision->conditions[number];
    struct sp_buf verdict;
    if (condition->expect != SP_EXPECT_PROGRAM) {
        return (rows == 0) == (condition->expect == SP_EXPECT_NONE) ||
               refuse_condition(attempt, number,
                                condition->reason.len > 0 ? ""
                                : rows == 0               ? "the query gives no row"
                                                          : "the query gives rows");
    }
    const sp_str values[] = {answer, sp_buf_str(&attempt->command)};
    sp_buf_init(&verdict, DECISION_TEXT_BYTES_MAX);
    sp_status status = sp_jq_value(condition->expected, values, &verdict, &attempt->decided->error);
    bool yes = sp_str_eq(sp_buf_str(&verdict), SP_STR("true"));
    bool no = sp_str_eq(sp_buf_str(&verdict), SP_STR("false"));
    sp_buf_fini(&verdict);
    if (status != SP_OK) {
        return end_program(attempt, status, "/expect", (int)number);
    }
    if (!yes && !no) {
        return broken(attempt, number, "/expect", "true or false");
    }
    return yes || refuse_condition(attempt, number,
                                   condition->reason.len > 0 ? "" : "the query says otherwise");
}

static bool check_sql(struct attempt *attempt, uint32_t number) {
    const struct sp_condition *condition = &attempt->decision->conditions[number];
    uint64_t head = sp_engine_durable_position(attempt->server->engine);
    struct sp_buf params;
    uint64_t rows = 0;
    bool near = false;
    sp_buf_init(&params, DECISION_TEXT_BYTES_MAX);
    if (condition->program != NULL && !run_program(attempt, number, "/params", &params)) {
        sp_buf_fini(&params);
        return false;
    }
    sp_buf_add_str(&attempt->results, attempt->results.len > 0 ? SP_STR(",") : SP_STR(""));
    size_t at = attempt->results.len;
    sp_status status = decisions_ask(attempt->decisions, condition, sp_buf_str(&params), head,
                                     &attempt->results, &rows, &near, &attempt->decided->error);
    sp_buf_fini(&params);
    if (status == SP_BUSY) {
        return wait(attempt, near);
    }
    if (status == SP_TIMEOUT) {
        return end(attempt, SP_DECISION_LATE, "read-model-behind");
    }
    if (status != SP_OK) {
        return end_program(attempt, status, "/sql", (int)number);
    }
    sp_str answer = sp_str_from_byte(sp_buf_str(&attempt->results), at);
    return check_rows(attempt, number, answer, rows);
}

/* ---- no event since -------------------------------------------------------------------------- */

enum { QUERY_TYPES_MAX = 16 };

struct since {
    sp_str types[QUERY_TYPES_MAX];
    struct sp_query query;
    struct sp_buf texts;
};

static sp_str take_text(struct since *since, struct sp_json *json, struct sp_json_token token) {
    size_t at = since->texts.len;
    if (token.type == SP_JSON_STRING) {
        sp_json_unescape(&since->texts, token.raw);
    } else {
        sp_buf_add_str(&since->texts, sp_json_skip(json, token));
    }
    return sp_str_of(since->texts.data + at, since->texts.len - at);
}

static bool take_types(struct since *since, struct sp_json *json, struct sp_json_token token) {
    if (token.type == SP_JSON_STRING) {
        since->types[since->query.type_count++] = take_text(since, json, token);
        return true;
    }
    if (token.type != SP_JSON_ARRAY) {
        return false;
    }
    for (token = sp_json_next(json); token.type == SP_JSON_STRING; token = sp_json_next(json)) {
        if (since->query.type_count == QUERY_TYPES_MAX) {
            return false;
        }
        since->types[since->query.type_count++] = take_text(since, json, token);
    }
    return token.type == SP_JSON_ARRAY_END;
}

/* {"type", "stream", "source", "correlation", "filter", "since"}; a position is exclusive. */
static bool take_since(struct since *since, struct sp_json *json, struct sp_json_token key) {
    struct sp_json_token token = sp_json_next(json);
    struct sp_query *query = &since->query;
    const struct {
        const char *name;
        sp_str *to;
        enum sp_json_type type;
    } rows[] = {{"stream", &query->stream, SP_JSON_STRING},
                {"source", &query->source, SP_JSON_STRING},
                {"correlation", &query->correlation, SP_JSON_STRING},
                {"filter", &query->filter, SP_JSON_OBJECT}};
    if (sp_json_equal(key, SP_STR("type"))) {
        return take_types(since, json, token);
    }
    if (sp_json_equal(key, SP_STR("since")) && token.type == SP_JSON_NUMBER) {
        int64_t position = 0;
        char text[NUMBER_SIZE];
        if (!sp_word_i64(token.raw, &position) || position < 0) {
            return false;
        }
        int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)position + 1);
        size_t at = since->texts.len;
        sp_buf_add(&since->texts, text, (size_t)len);
        query->from = sp_str_of(since->texts.data + at, (size_t)len);
        return true;
    }
    if (sp_json_equal(key, SP_STR("since")) && token.type == SP_JSON_STRING) {
        query->from = take_text(since, json, token);
        return true;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (sp_json_equal(key, sp_str_from(rows[i].name)) && token.type == rows[i].type) {
            *rows[i].to = take_text(since, json, token);
            return true;
        }
    }
    return false;
}

static bool read_since(struct since *since, sp_str text) {
    struct sp_json json;
    since->query = (struct sp_query){.types = since->types, .limit = 1};
    if (sp_buf_reserve(&since->texts, text.len + NUMBER_SIZE) == NULL) {
        return false;
    }
    sp_json_init(&json, text);
    if (sp_json_next(&json).type != SP_JSON_OBJECT) {
        return false;
    }
    struct sp_json_token key = sp_json_next(&json);
    for (; key.type == SP_JSON_KEY; key = sp_json_next(&json)) {
        if (!take_since(since, &json, key)) {
            return false;
        }
    }
    return key.type == SP_JSON_OBJECT_END;
}

/* A position beyond the head: nothing can be there. */
static sp_status find_one(struct attempt *attempt, const struct sp_query *query,
                          uint64_t *ret_position) {
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    struct sp_error *error = &attempt->decided->error;
    sp_status status = sp_cursor_open(attempt->server->engine, query, &cursor, error);
    *ret_position = 0;
    if (status == SP_OK) {
        status = sp_cursor_next(cursor, &event, error);
        *ret_position = status == SP_OK ? event->position : 0;
        sp_cursor_close(cursor);
    }
    return status == SP_END ? SP_OK : status;
}

static bool check_none(struct attempt *attempt, uint32_t number) {
    struct since *since = calloc(1, sizeof(*since));
    struct sp_buf value;
    uint64_t position = 0;
    if (since == NULL) {
        return end_status(attempt, SP_NO_MEMORY);
    }
    sp_buf_init(&value, DECISION_TEXT_BYTES_MAX);
    sp_buf_init(&since->texts, DECISION_TEXT_BYTES_MAX);
    bool holds = run_program(attempt, number, "/none", &value);
    if (holds && !read_since(since, sp_buf_str(&value))) {
        holds = broken(attempt, number, "/none",
                       "an object of type, stream, source, correlation, filter, since");
    }
    if (holds) {
        sp_status status = find_one(attempt, &since->query, &position);
        holds = status == SP_OK || end_program(attempt, status, "/none", (int)number);
    }
    if (holds && position != 0) {
        char text[64];
        (void)snprintf(text, sizeof(text), "there is an event at position %llu",
                       (unsigned long long)position);
        attempt->decided->has_position = true;
        attempt->decided->position = position;
        holds = refuse_condition(attempt, number, text);
    }
    sp_buf_fini(&since->texts);
    sp_buf_fini(&value);
    free(since);
    return holds;
}

static bool check_conditions(struct attempt *attempt) {
    const struct sp_decision *decision = attempt->decision;
    bool holds = true;
    for (uint32_t i = 0; i < decision->condition_count && holds; i++) {
        enum sp_condition_kind kind = decision->conditions[i].kind;
        if (kind != SP_CONDITION_VERSION && !is_settled(attempt)) {
            (void)sp_bus_gate(attempt->server->bus);
            return wait(attempt, true);
        }
        holds = kind == SP_CONDITION_VERSION ? check_version(attempt, i)
                : kind == SP_CONDITION_SQL   ? check_sql(attempt, i)
                                             : check_none(attempt, i);
    }
    return holds;
}

/* ---- what it emits --------------------------------------------------------------------------- */

/* `ID:1`, `ID:2` … */
static void name_event(struct attempt *attempt, struct sp_event *event, uint32_t number) {
    char text[NUMBER_SIZE];
    size_t at = attempt->names.len;
    int len = snprintf(text, sizeof(text), ":%u", number);
    sp_buf_add_str(&attempt->names, attempt->id);
    sp_buf_add(&attempt->names, text, (size_t)len);
    event->attr[SP_ATTR_ID] = sp_str_of(attempt->names.data + at, attempt->names.len - at);
}

static void complete_event(struct attempt *attempt, struct sp_event *event, uint32_t number) {
    name_event(attempt, event, number);
    if (!sp_event_has(event, SP_ATTR_SOURCE)) {
        event->attr[SP_ATTR_SOURCE] = attempt->source;
    }
    if (!sp_event_has(event, SP_ATTR_CAUSATION)) {
        event->attr[SP_ATTR_CAUSATION] = attempt->id;
    }
    if (!sp_event_has(event, SP_ATTR_CORRELATION)) {
        event->attr[SP_ATTR_CORRELATION] =
            attempt->correlation.ptr != NULL ? attempt->correlation : attempt->id;
    }
}

static bool count_events(struct attempt *attempt, sp_str array, uint32_t *ret_count) {
    struct sp_json json;
    uint32_t count = 0;
    sp_json_init(&json, array);
    if (sp_json_next(&json).type == SP_JSON_ARRAY) {
        struct sp_json_token token = sp_json_next(&json);
        for (; token.type == SP_JSON_OBJECT; token = sp_json_next(&json)) {
            (void)sp_json_skip(&json, token);
            count++;
        }
        if (token.type == SP_JSON_ARRAY_END && count > 0 && count <= SP_DECISION_EVENTS_MAX) {
            *ret_count = count;
            return true;
        }
    }
    (void)sp_error_set(&attempt->decided->error, SP_INVALID,
                       "expected an array of 1 to %d events, objects", SP_DECISION_EVENTS_MAX);
    return end_program(attempt, SP_INVALID, "/emit", -1);
}

static sp_status read_events(struct attempt *attempt, sp_str array, struct sp_error *error) {
    struct sp_json json;
    sp_json_init(&json, array);
    (void)sp_json_next(&json);
    for (uint32_t i = 1; i < attempt->event_count; i++) {
        struct sp_event *event = &attempt->events[i];
        (void)sp_json_next(&json);
        sp_status status =
            sp_event_from_scanner(&json, SP_EVENT_LENIENT, &attempt->scratch, event, error);
        if (status == SP_OK && sp_event_has(event, SP_ATTR_ID)) {
            status = sp_error_set(error, SP_INVALID, "event %u: has an id: that is made here", i);
        }
        if (status != SP_OK) {
            return status;
        }
        complete_event(attempt, event, i);
    }
    return SP_OK;
}

static void write_record(struct attempt *attempt) {
    struct sp_event *event = &attempt->events[0];
    struct sp_buf *to = &attempt->record;
    sp_str stream;
    sp_buf_add_str(to, SP_STR("{\"command\":"));
    sp_json_add_string(to, attempt->decision->name);
    sp_buf_add_str(to, SP_STR(",\"events\":"));
    sp_buf_add_u64(to, attempt->event_count - 1);
    sp_buf_add_str(to, SP_STR(",\"data\":"));
    sp_buf_add_str(to, attempt->data);
    sp_buf_add_byte(to, '}');
    record_stream(attempt, attempt->decision->name, &stream);
    *event = (struct sp_event){.has_data = true, .data_is_json = true, .data = sp_buf_str(to)};
    event->attr[SP_ATTR_TYPE] = SP_STR("command.accepted");
    event->attr[SP_ATTR_SOURCE] = attempt->source;
    event->attr[SP_ATTR_STREAM] = stream;
    event->attr[SP_ATTR_ID] = attempt->id;
    event->attr[SP_ATTR_CORRELATION] = attempt->correlation;
    event->attr[SP_ATTR_CAUSATION] = attempt->causation;
}

/* Makes the events, the record first. */
static bool emit(struct attempt *attempt) {
    struct sp_error *error = &attempt->decided->error;
    struct sp_buf results;
    sp_buf_init(&results, DECISION_TEXT_BYTES_MAX);
    sp_buf_add_byte(&results, '[');
    sp_buf_add_str(&results, sp_buf_str(&attempt->results));
    sp_buf_add_byte(&results, ']');
    const sp_str command = sp_buf_str(&attempt->command);
    const sp_str values[] = {command, command, sp_buf_str(&results)};
    sp_status status = results.status == SP_OK
                           ? sp_jq_value(attempt->decision->emit, values, &attempt->emitted, error)
                           : sp_error_set(error, results.status, "results");
    sp_buf_fini(&results);
    if (status != SP_OK) {
        return end_program(attempt, status, "/emit", -1);
    }
    sp_str array = sp_buf_str(&attempt->emitted);
    uint32_t count = 0;
    if (!count_events(attempt, array, &count)) {
        return false;
    }
    attempt->event_count = count + 1;
    attempt->events = calloc(attempt->event_count, sizeof(*attempt->events));
    attempt->added = calloc(attempt->event_count, sizeof(*attempt->added));
    if (attempt->events == NULL || attempt->added == NULL ||
        sp_buf_reserve(&attempt->scratch, sp_event_scratch_bytes(array.len)) == NULL) {
        return end_status(attempt, SP_NO_MEMORY);
    }
    status = read_events(attempt, array, error);
    if (status != SP_OK) {
        return end_program(attempt, status, "/emit", -1);
    }
    write_record(attempt);
    return (attempt->record.status == SP_OK && attempt->names.status == SP_OK) ||
           end_status(attempt, SP_NO_MEMORY);
}

/* An event that has the id of one to be emitted would be taken for it. */
static bool ids_are_free(struct attempt *attempt) {
    for (uint32_t i = 1; i < attempt->event_count; i++) {
        const struct sp_event *event = &attempt->events[i];
        uint64_t position = 0;
        sp_status status =
            sp_engine_find(attempt->server->engine, event->attr[SP_ATTR_SOURCE],
                           event->attr[SP_ATTR_ID], &position, &attempt->decided->error);
        if (status != SP_OK) {
            return end_status(attempt, status);
        }
        if (position != 0) {
            (void)sp_error_set(&attempt->decided->error, SP_CONFLICT,
                               "the id '%.*s' is that of the event at position %llu",
                               SP_STR_ARG(event->attr[SP_ATTR_ID]), (unsigned long long)position);
            return end(attempt, SP_DECISION_REFUSED, "id-taken");
        }
    }
    return true;
}

static bool submit(struct attempt *attempt) {
    struct sp_decided *decided = attempt->decided;
    decisions_done(attempt->decisions, attempt->connection); /* the barrier is for the others */
    sp_status status = sp_bus_append_decided(
        attempt->server->bus, attempt->events, attempt->event_count, 1, SP_EVENT_FROM_JSON,
        attempt->expects, attempt->expect_count, attempt->added, &decided->error);
    if (status == SP_BUSY) {
        return wait(attempt, false);
    }
    if (status == SP_CONFLICT) {
        decided->condition = attempt->expect_count == 1 ? attempt->expect_of[0] : -1;
        if (decided->condition >= 0 &&
            attempt->decision->conditions[decided->condition].reason.len > 0) {
            (void)sp_error_prefix(
                &decided->error, status, "%.*s",
                SP_STR_ARG(attempt->decision->conditions[decided->condition].reason));
        }
        return end(attempt, SP_DECISION_REFUSED, "wrong-version");
    }
    if (status == SP_INVALID || status == SP_DENIED || status == SP_LIMIT) {
        return end_program(attempt, status, "/emit", -1);
    }
    if (status != SP_OK) {
        return end_status(attempt, status);
    }
    begin_answer(attempt, attempt->decision->name, attempt->added[0].position, false);
    for (uint32_t i = 1; i < attempt->event_count; i++) {
        add_event(attempt, i - 1, &attempt->events[i], attempt->added[i].position,
                  attempt->added[i].version);
    }
    return end_answer(attempt);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool check_data(struct attempt *attempt) {
    struct sp_decided *decided = attempt->decided;
    if (attempt->decision->schema == NULL) {
        return true;
    }
    sp_status status =
        sp_schema_check(attempt->decision->schema, NULL, attempt->data, &decided->fault);
    if (status == SP_OK) {
        return true;
    }
    decided->has_fault = status == SP_INVALID;
    (void)sp_error_set(&decided->error, status, "data%s: %s", decided->fault.pointer,
                       decided->fault.text);
    return status == SP_NO_MEMORY ? end_status(attempt, status)
                                  : end(attempt, SP_DECISION_INVALID, "invalid-data");
}

static bool find_decision(struct attempt *attempt, sp_str name) {
    struct sp_error *error = &attempt->decided->error;
    struct decision_row *row = decisions_find(attempt->decisions, name);
    if (row == NULL) {
        (void)sp_error_set(error, SP_NOT_FOUND, "there is no command '%.*s'",
                           (int)(name.len > 128 ? 128 : name.len), name.ptr);
        return end(attempt, SP_DECISION_UNKNOWN, "no-command");
    }
    sp_status status = decisions_compile(attempt->decisions, row, error);
    attempt->decision = row->compiled;
    return status == SP_OK || end_program(attempt, status, "definition", -1);
}

static void run(struct attempt *attempt, sp_str name, sp_str body) {
    if (!find_decision(attempt, name) || !read_body(attempt, body) || !is_new(attempt, name) ||
        !check_data(attempt)) {
        return;
    }
    write_command(attempt, name, &attempt->command);
    if (attempt->command.status != SP_OK) {
        (void)end_status(attempt, attempt->command.status);
        return;
    }
    if (check_conditions(attempt) && emit(attempt) && ids_are_free(attempt)) {
        (void)submit(attempt);
    }
}

void sp_decisions_run(struct sp_connection *connection, sp_str name, sp_str body, sp_str source,
                      struct sp_decided *ret_decided) {
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    *ret_decided = (struct sp_decided){.end = SP_DECISION_ERROR, .condition = -1};
    sp_error_clear(&ret_decided->error);
    sp_buf_init(&ret_decided->answer, DECISION_TEXT_BYTES_MAX);
    if (attempt == NULL) {
        ret_decided->status = SP_NO_MEMORY;
        return;
    }
    struct sp_buf *const bufs[] = {&attempt->texts,   &attempt->command, &attempt->results,
                                   &attempt->emitted, &attempt->scratch, &attempt->record};
    for (size_t i = 0; i < sizeof(bufs) / sizeof(*bufs); i++) {
        sp_buf_init(bufs[i], DECISION_TEXT_BYTES_MAX);
    }
    sp_buf_init(&attempt->names, NAMES_BYTES_MAX);
    attempt->decisions = connection->server->decisions;
    attempt->server = connection->server;
    attempt->connection = connection;
    attempt->decided = ret_decided;
    attempt->source = source;
    if (sp_buf_reserve(&attempt->names, NAMES_BYTES_MAX) != NULL) {
        run(attempt, name, body);
    } else {
        ret_decided->status = SP_NO_MEMORY;
    }
    if (ret_decided->end != SP_DECISION_WAITS) {
        decisions_done(attempt->decisions, connection);
    }
    for (size_t i = 0; i < sizeof(bufs) / sizeof(*bufs); i++) {
        sp_buf_fini(bufs[i]);
    }
    sp_buf_fini(&attempt->names);
    free(attempt->events);
    free(attempt->added);
    free(attempt);
}

void sp_decided_fini(struct sp_decided *decided) {
    sp_buf_fini(&decided->answer);
}
