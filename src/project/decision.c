/* Definitions of commands, read from JSON; see decision.h. */
#include "project/decision.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

enum { POINTER_SIZE = 96 };

struct reader {
    struct sp_json json;
    struct sp_jq *jq;
    struct sp_decision *decision;
    char *at; /* where the next text goes in the copy */
    struct sp_error *error;
};

/* ---- names ----------------------------------------------------------------------------------- */

sp_status sp_decision_name_check(sp_str name, struct sp_error *error) {
    bool right = name.len > 0 && name.len <= SP_DECISION_NAME_BYTES_MAX;
    bool begins = true;
    for (size_t i = 0; i < name.len && right; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-';
        right = letter || (c == '.' && !begins && i + 1 < name.len);
        begins = c == '.';
    }
    return right ? SP_OK
                 : sp_error_set(error, SP_INVALID,
                                "a command's name is of letters, digits, _ and -, in parts joined "
                                "by dots, at most %d bytes",
                                SP_DECISION_NAME_BYTES_MAX);
}

/* ---- values ---------------------------------------------------------------------------------- */

static sp_status found(struct reader *reader, const char *pointer, const char *expected,
                       struct sp_json_token token) {
    return token.type == SP_JSON_ERROR
               ? sp_json_fail(&reader->json, reader->error)
               : sp_error_set(reader->error, SP_INVALID, "%s: expected %s, found %s", pointer,
                              expected, sp_json_type_name(token.type));
}

static sp_status take_text(struct reader *reader, const char *pointer, struct sp_json_token token,
                           sp_str *ret_text) {
    struct sp_buf text;
    if (token.type != SP_JSON_STRING) {
        return found(reader, pointer, "a string", token);
    }
    sp_buf_init(&text, SP_DECISION_BYTES_MAX);
    sp_json_unescape(&text, token.raw);
    sp_status status = text.status;
    if (status == SP_OK) { /* never longer than it is written, so that the copy has room */
        *ret_text = sp_str_of(reader->at, text.len);
        if (text.len > 0) {
            memcpy(reader->at, text.data, text.len);
        }
        reader->at += text.len;
    }
    sp_buf_fini(&text);
    return status == SP_OK ? SP_OK : sp_error_set(reader->error, status, "%s", pointer);
}

static sp_status take_program(struct reader *reader, const char *pointer,
                              struct sp_json_token token, const char *const *names, uint32_t count,
                              struct sp_jq_program **ret_program) {
    sp_str text;
    sp_status status = take_text(reader, pointer, token, &text);
    if (status == SP_OK) {
        status = sp_jq_define(reader->jq, text, names, count, ret_program, reader->error);
        status = status == SP_OK ? SP_OK : sp_error_prefix(reader->error, status, "%s", pointer);
    }
    return status;
}

/* ---- the parameters of a query --------------------------------------------------------------- */

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The byte behind what begins at `at` and holds no parameters: a text, a name, a comment. */
static size_t pass_quoted(sp_str sql, size_t at) {
    char quote = sql.ptr[at];
    if (quote == '-' && at + 1 < sql.len && sql.ptr[at + 1] == '-') {
        while (at < sql.len && sql.ptr[at] != '\n') {
            at++;
        }
        return at;
    }
    if (quote == '/' && at + 1 < sql.len && sql.ptr[at + 1] == '*') {
        for (at += 2; at + 1 < sql.len && (sql.ptr[at] != '*' || sql.ptr[at + 1] != '/'); at++) {
        }
        return at + 2 < sql.len ? at + 2 : sql.len;
    }
    if (quote != '\'' && quote != '"') {
        return at + 1;
    }
    for (at++; at < sql.len && sql.ptr[at] != quote; at++) {
    }
    return at < sql.len ? at + 1 : at;
}

static sp_status add_param(struct reader *reader, const char *pointer,
                           struct sp_condition *condition, sp_str name) {
    for (uint32_t i = 0; i < condition->param_count; i++) {
        if (sp_str_eq(condition->params[i], name)) {
            return SP_OK;
        }
    }
    if (condition->param_count == SP_DECISION_PARAMS_MAX) {
        return sp_error_set(reader->error, SP_LIMIT, "%s: more than %d parameters", pointer,
                            SP_DECISION_PARAMS_MAX);
    }
    condition->params[condition->param_count++] = name;
    return SP_OK;
}

/* `::` is PostgreSQL's cast. */
static sp_status find_params(struct reader *reader, const char *pointer,
                             struct sp_condition *condition) {
    sp_str sql = condition->sql;
    sp_status status = SP_OK;
    for (size_t at = 0; at < sql.len && status == SP_OK;) {
        if (sql.ptr[at] == '?') {
            return sp_error_set(reader->error, SP_INVALID,
                                "%s: parameters have names here: `:task` in the place of `?`",
                                pointer);
        }
        if (sql.ptr[at] != ':') {
            at = pass_quoted(sql, at);
            continue;
        }
        size_t begin = ++at;
        if (at < sql.len && sql.ptr[at] == ':') {
            at++;
            continue;
        }
        while (at < sql.len && is_name_byte(sql.ptr[at])) {
            at++;
        }
        if (at > begin) {
            status = add_param(reader, pointer, condition, sp_str_of(sql.ptr + begin, at - begin));
        }
    }
    return status;
}

/* ---- conditions ------------------------------------------------------------------------------ */

enum member { VERSION, SQL, NONE, PARAMS, EXPECT, REASON, MEMBERS };
static const char *const MEMBER_NAMES[MEMBERS] = {"version", "sql",    "none",
                                                  "params",  "expect", "reason"};

static sp_status take_expect(struct reader *reader, const char *pointer, struct sp_json_token token,
                             struct sp_condition *condition) {
    static const char *const names[] = {"command"};
    bool word = token.type == SP_JSON_STRING;
    if (word && sp_json_equal(token, SP_STR("none"))) {
        condition->expect = SP_EXPECT_NONE;
        return SP_OK;
    }
    if (word && sp_json_equal(token, SP_STR("some"))) {
        condition->expect = SP_EXPECT_SOME;
        return SP_OK;
    }
    return take_program(reader, pointer, token, names, 1, &condition->expected);
}

static sp_status take_member(struct reader *reader, const char *pointer, enum member member,
                             struct sp_json_token token, struct sp_condition *condition) {
    sp_status status;
    switch (member) {
    case VERSION:
    case NONE:
        condition->kind = member == NONE ? SP_CONDITION_NONE : SP_CONDITION_VERSION;
        return take_program(reader, pointer, token, NULL, 0, &condition->program);
    case SQL:
        condition->kind = SP_CONDITION_SQL;
        status = take_text(reader, pointer, token, &condition->sql);
        return status == SP_OK ? find_params(reader, pointer, condition) : status;
    case PARAMS:
        return take_program(reader, pointer, token, NULL, 0, &condition->program);
    case EXPECT:
        return take_expect(reader, pointer, token, condition);
    case REASON:
        return take_text(reader, pointer, token, &condition->reason);
    case MEMBERS:
        break;
    }
    sp_never();
}

static enum member member_of(struct sp_json_token key) {
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (sp_json_equal(key, sp_str_from(MEMBER_NAMES[i]))) {
            return (enum member)i;
        }
    }
    return MEMBERS;
}

/* That the members which are there belong together. */
static sp_status check_members(struct reader *reader, const char *pointer, const bool *given,
                               const struct sp_condition *condition) {
    if (given[VERSION] + given[SQL] + given[NONE] != 1) {
        return sp_error_set(reader->error, SP_INVALID, "%s: expected one of version, sql and none",
                            pointer);
    }
    if (!given[SQL] && (given[PARAMS] || given[EXPECT])) {
        return sp_error_set(reader->error, SP_INVALID, "%s: params and expect belong to sql",
                            pointer);
    }
    if (given[SQL] && !given[EXPECT]) {
        return sp_error_set(reader->error, SP_INVALID,
                            "%s/expect: is missing: none, some, or a jq program", pointer);
    }
    if (given[SQL] && (condition->param_count > 0) != given[PARAMS]) {
        return sp_error_set(reader->error, SP_INVALID,
                            given[PARAMS] ? "%s/params: the SQL has no parameters"
                                          : "%s/params: is missing: the SQL has parameters",
                            pointer);
    }
    return SP_OK;
}

static sp_status take_condition(struct reader *reader, uint32_t number,
                                struct sp_json_token token) {
    char pointer[POINTER_SIZE];
    bool given[MEMBERS] = {false};
    struct sp_condition *condition = &reader->decision->conditions[number];
    (void)snprintf(pointer, sizeof(pointer), "/conditions/%u", number);
    if (token.type != SP_JSON_OBJECT) {
        return found(reader, pointer, "an object", token);
    }
    for (token = sp_json_next(&reader->json); token.type == SP_JSON_KEY;
         token = sp_json_next(&reader->json)) {
        char place[2 * POINTER_SIZE];
        enum member member = member_of(token);
        if (member == MEMBERS || given[member]) {
            return sp_error_set(reader->error, SP_INVALID, "%s: '%.*s' is %s", pointer,
                                (int)(token.raw.len > 64 ? 64 : token.raw.len), token.raw.ptr,
                                member == MEMBERS ? "not known; expected version, sql, none, "
                                                    "params, expect, reason"
                                                  : "there twice");
        }
        given[member] = true;
        (void)snprintf(place, sizeof(place), "%s/%s", pointer, MEMBER_NAMES[member]);
        sp_status status =
            take_member(reader, place, member, sp_json_next(&reader->json), condition);
        if (status != SP_OK) {
            return status;
        }
    }
    return token.type == SP_JSON_OBJECT_END ? check_members(reader, pointer, given, condition)
                                            : sp_json_fail(&reader->json, reader->error);
}

static sp_status take_conditions(struct reader *reader, struct sp_json_token token) {
    struct sp_decision *decision = reader->decision;
    if (token.type != SP_JSON_ARRAY) {
        return found(reader, "/conditions", "an array", token);
    }
    for (token = sp_json_next(&reader->json); token.type != SP_JSON_ARRAY_END;
         token = sp_json_next(&reader->json)) {
        if (decision->condition_count == SP_DECISION_CONDITIONS_MAX) {
            return sp_error_set(reader->error, SP_LIMIT, "/conditions: more than %d",
                                SP_DECISION_CONDITIONS_MAX);
        }
        sp_status status = take_condition(reader, decision->condition_count++, token);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static sp_status take_schema(struct reader *reader, struct sp_json_token token) {
    sp_str text = sp_json_skip(&reader->json, token);
    if (text.len == 0) {
        return sp_json_fail(&reader->json, reader->error);
    }
    sp_status status = sp_schema_compile(text, NULL, &reader->decision->schema, reader->error);
    return status == SP_OK ? SP_OK : sp_error_prefix(reader->error, status, "/schema");
}

static sp_status take_top(struct reader *reader, struct sp_json_token key) {
    static const char *const names[] = {"command", "results"};
    struct sp_decision *decision = reader->decision;
    struct sp_json_token value = sp_json_next(&reader->json);
    sp_str text;
    if (value.type == SP_JSON_ERROR) {
        return sp_json_fail(&reader->json, reader->error);
    }
    if (sp_json_equal(key, SP_STR("schema")) && decision->schema == NULL) {
        return take_schema(reader, value);
    }
    if (sp_json_equal(key, SP_STR("conditions")) && decision->condition_count == 0) {
        return take_conditions(reader, value);
    }
    if (sp_json_equal(key, SP_STR("emit")) && decision->emit == NULL) {
        return take_program(reader, "/emit", value, names, 2, &decision->emit);
    }
    if (sp_json_equal(key, SP_STR("description"))) {
        return take_text(reader, "/description", value, &text);
    }
    if (sp_json_equal(key, SP_STR("name"))) {
        sp_status status = take_text(reader, "/name", value, &text);
        return status != SP_OK || sp_str_eq(text, decision->name)
                   ? status
                   : sp_error_set(reader->error, SP_INVALID,
                                  "/name: is '%.*s', and '%.*s' is meant", SP_STR_ARG(text),
                                  SP_STR_ARG(decision->name));
    }
    return sp_error_set(reader->error, SP_INVALID,
                        "'%.*s' is not known, or there twice; expected name, description, schema, "
                        "conditions, emit",
                        (int)(key.raw.len > 64 ? 64 : key.raw.len), key.raw.ptr);
}

static sp_status read_all(struct reader *reader) {
    struct sp_json_token token = sp_json_next(&reader->json);
    if (token.type != SP_JSON_OBJECT) {
        return found(reader, "definition", "an object", token);
    }
    sp_status status = SP_OK;
    for (token = sp_json_next(&reader->json); token.type == SP_JSON_KEY && status == SP_OK;
         token = sp_json_next(&reader->json)) {
        status = take_top(reader, token);
        if (status != SP_OK) {
            return status;
        }
    }
    if (token.type != SP_JSON_OBJECT_END || sp_json_next(&reader->json).type != SP_JSON_END) {
        return sp_json_fail(&reader->json, reader->error);
    }
    return reader->decision->emit != NULL
               ? SP_OK
               : sp_error_set(reader->error, SP_INVALID,
                              "/emit: is missing: a jq program that gives an array of events");
}

sp_status sp_decision_parse(sp_str name, sp_str text, struct sp_jq *jq,
                            struct sp_decision **ret_decision, struct sp_error *error) {
    sp_status status = sp_decision_name_check(name, error);
    if (status != SP_OK) {
        return status;
    }
    if (text.len > SP_DECISION_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "a definition has at most %d bytes",
                            SP_DECISION_BYTES_MAX);
    }
    struct sp_decision *decision = calloc(1, sizeof(*decision));
    char *copy = malloc(name.len + 2 * text.len + 1);
    if (decision == NULL || copy == NULL) {
        free(decision);
        free(copy);
        return sp_error_set(error, SP_NO_MEMORY, "command");
    }
    memcpy(copy, name.ptr, name.len);
    memcpy(copy + name.len, text.ptr, text.len);
    decision->copy = copy;
    decision->name = sp_str_of(copy, name.len);
    decision->text = sp_str_of(copy + name.len, text.len);
    struct reader reader = {
        .jq = jq, .decision = decision, .at = copy + name.len + text.len, .error = error};
    sp_json_init(&reader.json, decision->text);
    status = read_all(&reader);
    if (status != SP_OK) {
        sp_decision_free(decision);
        return status;
    }
    *ret_decision = decision;
    return SP_OK;
}

void sp_decision_free(struct sp_decision *decision) {
    if (decision == NULL) {
        return;
    }
    for (uint32_t i = 0; i < decision->condition_count; i++) {
        sp_jq_drop(decision->conditions[i].program);
        sp_jq_drop(decision->conditions[i].expected);
    }
    sp_jq_drop(decision->emit);
    sp_schema_unref(decision->schema);
    free(decision->copy);
    free(decision);
}
