/* Conditions over read models; see decisions_int.h. The loop waits for the answer. */
#include <stdlib.h>

#include "base/json.h"
#include "project/projects.h"
#include "project/sink.h"
#include "project/sql_json.h"
#include "server/decisions_int.h"

/* ---- parameters ------------------------------------------------------------------------------ */

/* A number as SQL has it: an integer where it is one and fits. */
static void set_number(struct sp_sql_value *value, sp_str raw) {
    int64_t integer = 0;
    bool whole = sp_word_i64(raw, &integer);
    value->kind = whole ? SP_SQL_INTEGER : SP_SQL_REAL;
    value->integer = integer;
    value->real = whole ? 0 : sp_json_number(raw);
}

/* Objects and arrays are their JSON text. Texts go to `to`, which has room for all. */
static sp_status set_param(struct sp_json *json, struct sp_json_token token, struct sp_buf *to,
                           struct sp_sql_value *value, struct sp_error *error) {
    size_t at = to->len;
    switch (token.type) {
    case SP_JSON_NULL:
        value->kind = SP_SQL_NULL;
        return SP_OK;
    case SP_JSON_TRUE:
    case SP_JSON_FALSE:
        value->kind = SP_SQL_INTEGER;
        value->integer = token.type == SP_JSON_TRUE;
        return SP_OK;
    case SP_JSON_NUMBER:
        set_number(value, token.raw);
        return SP_OK;
    case SP_JSON_STRING:
        sp_json_unescape(to, token.raw);
        break;
    case SP_JSON_OBJECT:
    case SP_JSON_ARRAY:
        sp_buf_add_str(to, sp_json_skip(json, token));
        break;
    case SP_JSON_ERROR:
    case SP_JSON_OBJECT_END:
    case SP_JSON_ARRAY_END:
    case SP_JSON_KEY:
    case SP_JSON_END:
        return sp_json_fail(json, error);
    }
    value->kind = SP_SQL_TEXT;
    value->text = sp_str_of(to->data + at, to->len - at);
    return SP_OK;
}

static sp_status read_params(const struct sp_condition *condition, sp_str params, struct sp_buf *to,
                             struct sp_sql_value *values, struct sp_error *error) {
    bool given[SP_DECISION_PARAMS_MAX] = {false};
    struct sp_json json;
    if (sp_buf_reserve(to, params.len + 1) == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "params");
    }
    sp_json_init(&json, params);
    if (sp_json_next(&json).type != SP_JSON_OBJECT) {
        return sp_error_set(error, SP_INVALID, "params: expected an object");
    }
    for (struct sp_json_token key = sp_json_next(&json); key.type == SP_JSON_KEY;
         key = sp_json_next(&json)) {
        uint32_t i = 0;
        while (i < condition->param_count && !sp_json_equal(key, condition->params[i])) {
            i++;
        }
        if (i == condition->param_count) {
            return sp_error_set(error, SP_INVALID, "params: the SQL has no :%.*s",
                                SP_STR_ARG(key.raw));
        }
        given[i] = true;
        sp_status status = set_param(&json, sp_json_next(&json), to, &values[i], error);
        if (status != SP_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < condition->param_count; i++) {
        if (!given[i]) {
            return sp_error_set(error, SP_INVALID, "params: :%.*s is missing",
                                SP_STR_ARG(condition->params[i]));
        }
    }
    return SP_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct rows {
    struct sp_buf *to;
    uint64_t count;
};

static bool on_columns(void *context, const sp_str *names, uint32_t count) {
    struct rows *rows = context;
    sp_buf_add_str(rows->to, SP_STR("{\"columns\":["));
    for (uint32_t i = 0; i < count; i++) {
        sp_buf_add_str(rows->to, i == 0 ? SP_STR("") : SP_STR(","));
        sp_json_add_string(rows->to, names[i]);
    }
    sp_buf_add_str(rows->to, SP_STR("],\"rows\":["));
    return true;
}

static bool on_row(void *context, const struct sp_sql_value *values, uint32_t count) {
    struct rows *rows = context;
    sp_buf_add_str(rows->to, rows->count++ == 0 ? SP_STR("[") : SP_STR(",["));
    for (uint32_t i = 0; i < count; i++) {
        sp_buf_add_str(rows->to, i == 0 ? SP_STR("") : SP_STR(","));
        sp_sql_json_add(rows->to, &values[i]);
    }
    sp_buf_add_byte(rows->to, ']');
    return rows->to->status == SP_OK;
}

/* ---- read models ----------------------------------------------------------------------------- */

static bool names_table(sp_str sql, sp_str table) {
    for (size_t i = 0; table.len > 0 && i + table.len <= sql.len; i++) {
        if (memcmp(sql.ptr + i, table.ptr, table.len) == 0) {
            return true;
        }
    }
    return false;
}

struct wanting {
    struct sp_projects *projects;
    sp_str sql;
    uint32_t wanted;
    sp_str names[SP_PROJECTS_MAX];
    uint32_t name_count;
};

static bool note_name(void *context, sp_str name) {
    struct wanting *wanting = context;
    wanting->names[wanting->name_count++] = name;
    return wanting->name_count < SP_PROJECTS_MAX;
}

/*
 * Asks for the projections whose tables the SQL may name: one that nobody asked for yet has none.
 * False where there is none that may still come to have them.
 */
static bool want_tables(struct sp_decisions *decisions, sp_str sql, uint64_t seen) {
    struct wanting *wanting = calloc(1, sizeof(*wanting));
    bool any = false;
    if (wanting == NULL) {
        return false;
    }
    wanting->projects = decisions->server->projects;
    sp_projects_each(wanting->projects, note_name, wanting);
    for (uint32_t i = 0; i < wanting->name_count; i++) {
        struct sp_definition *definition =
            sp_projects_definition(wanting->projects, wanting->names[i]);
        bool named = false;
        for (uint32_t t = 0; definition != NULL && t < definition->table_count; t++) {
            named = named || names_table(sql, definition->tables[t].name);
        }
        sp_definition_unref(definition);
        if (named) {
            struct sp_error error;
            /* One that is there has not the table that was not found. */
            any = sp_projects_wait(wanting->projects, wanting->names[i], seen, 0, &error) ==
                      SP_TIMEOUT ||
                  any;
        }
    }
    free(wanting);
    return any;
}

static sp_status open_reader(struct sp_decisions *decisions, struct sp_error *error) {
    if (decisions->server->projects == NULL) {
        return sp_error_set(error, SP_UNSUPPORTED, "this server runs no projections");
    }
    struct sp_sink *sink = sp_projects_sink(decisions->server->projects);
    return decisions->reader != NULL ? SP_OK
                                     : sink->ops->reader_new(sink, &decisions->reader, error);
}

/* A table that is not there yet may be one of a projection that nobody has asked for. */
static sp_status not_found(struct sp_decisions *decisions, const struct sp_condition *condition,
                           uint64_t seen, bool *ret_near, sp_status status) {
    *ret_near = false;
    return want_tables(decisions, condition->sql, seen) ? SP_BUSY : status;
}

sp_status decisions_ask(struct sp_decisions *decisions, const struct sp_condition *condition,
                        sp_str params, uint64_t seen, struct sp_buf *to, uint64_t *ret_rows,
                        bool *ret_near, struct sp_error *error) {
    struct sp_sql_value values[SP_DECISION_PARAMS_MAX] = {{.kind = SP_SQL_NULL}};
    struct sp_sql_done done = {.rows = 0};
    struct sp_buf texts;
    size_t from = to->len;
    sp_buf_init(&texts, DECISION_TEXT_BYTES_MAX);
    sp_status status = open_reader(decisions, error);
    if (status == SP_OK && params.len > 0) {
        status = read_params(condition, params, &texts, values, error);
    }
    for (uint32_t i = 0; i < condition->param_count; i++) {
        values[i].name = condition->params[i];
    }
    if (status == SP_OK) {
        const struct sp_sql sql = {.text = condition->sql,
                                   .params = values,
                                   .param_count = condition->param_count,
                                   .timeout_ms = DECISION_SQL_MS,
                                   .rows_max = DECISION_SQL_ROWS,
                                   .bytes_max = DECISION_SQL_BYTES,
                                   .seen = seen};
        const struct sp_rows how = {.columns = on_columns, .row = on_row};
        struct rows rows = {.to = to};
        status = sp_reader_query(decisions->reader, &sql, &how, &rows, &done, error);
        *ret_rows = rows.count;
    }
    sp_buf_fini(&texts);
    if (status == SP_OK) {
        sp_buf_add_str(to, SP_STR("]}"));
        return to->status == SP_OK ? SP_OK : sp_error_set(error, to->status, "rows");
    }
    to->len = from;
    if (status == SP_BUSY) {
        struct sp_error late;
        *ret_near = seen - done.position <= BARRIER_LAG;
        sp_status waited = sp_projects_wait(decisions->server->projects, sp_str_from(done.lagging),
                                            seen, 0, &late);
        if (waited == SP_FAILED) {
            return sp_error_set(error, SP_TIMEOUT, "%s", late.text);
        }
    }
    return status == SP_NOT_FOUND ? not_found(decisions, condition, seen, ret_near, status)
                                  : status;
}
