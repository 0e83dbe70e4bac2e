#include "client/tables.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "proto/resp_write.h"

enum {
    COMMAND_BYTES_MAX = 64 << 20,
    COLUMNS_MAX = 1000,
    NUMBER_SIZE = 40,
    TIMEOUT_MS = 10000, /* of a query that does not say */
};

static sp_status makes_no_sense(struct sp_error *error) {
    return sp_error_set(error, SP_FAILED, "the server's answer makes no sense");
}

static spoor_str text_out(const struct sp_reply_node *node) {
    sp_str text = sp_answer_text(node);
    return (spoor_str){.ptr = text.ptr, .len = text.len};
}

/* ---- the command ----------------------------------------------------------------------------- */

/* A parameter that is no text goes as JSON. */
static void add_param(struct sp_resp *resp, const spoor_sql_param *param, struct sp_buf *room) {
    const spoor_sql_value *value = &param->value;
    char number[NUMBER_SIZE];
    sp_buf_reset(room);
    sp_resp_bulk_text(resp, value->kind == SPOOR_SQL_TEXT ? "PARAM" : "JSON");
    sp_resp_bulk_text(resp, param->name != NULL ? param->name : "");
    switch (value->kind) {
    case SPOOR_SQL_NULL:
        sp_resp_bulk_text(resp, "null");
        return;
    case SPOOR_SQL_INTEGER:
        (void)snprintf(number, sizeof(number), "%lld", (long long)value->integer);
        sp_resp_bulk_text(resp, number);
        return;
    case SPOOR_SQL_REAL:
        (void)snprintf(number, sizeof(number), "%.17e", value->real);
        if (strchr(number, ',') != NULL) { /* of the program's locale */
            *strchr(number, ',') = '.';
        }
        sp_resp_bulk_text(resp, number);
        return;
    case SPOOR_SQL_TEXT:
        sp_resp_bulk(resp, sp_str_of(value->text.ptr, value->text.len));
        return;
    case SPOOR_SQL_BLOB:
        sp_buf_add_str(room, SP_STR("{\"$base64\":\""));
        sp_base64_add(room, sp_str_of(value->text.ptr, value->text.len));
        sp_buf_add_str(room, SP_STR("\"}"));
        sp_resp_bulk(resp, sp_buf_str(room));
        return;
    }
}

static void add_number(struct sp_resp *resp, const char *name, uint64_t number) {
    if (number > 0) {
        sp_resp_bulk_text(resp, name);
        sp_resp_bulk_unsigned(resp, number);
    }
}

static bool is_finite(const spoor_sql_options *options) {
    bool finite = true;
    for (size_t i = 0; i < options->param_count; i++) {
        const spoor_sql_value *value = &options->params[i].value;
        finite = finite && (value->kind != SPOOR_SQL_REAL || isfinite(value->real));
    }
    return finite;
}

static sp_status encode(const spoor_sql_options *options, struct sp_buf *to,
                        struct sp_error *error) {
    struct sp_resp resp = {.to = to, .version = SP_RESP_3};
    struct sp_buf room;
    uint64_t words = 3 + 3 * options->param_count + (options->seen > 0 ? 2 : 0) +
                     (options->timeout_ms > 0 ? 2 : 0) + (options->rows_max > 0 ? 2 : 0);
    if (!is_finite(options)) {
        return sp_error_set(error, SP_INVALID, "a parameter is no finite number");
    }
    sp_buf_init(&room, COMMAND_BYTES_MAX);
    sp_resp_array(&resp, words);
    sp_resp_bulk_text(&resp, "SPOOR.QUERY");
    sp_resp_bulk_text(&resp, options->sql);
    sp_resp_bulk_text(&resp, "KINDS");
    for (size_t i = 0; i < options->param_count; i++) {
        add_param(&resp, &options->params[i], &room);
    }
    add_number(&resp, "SEEN", options->seen);
    add_number(&resp, "TIMEOUT", options->timeout_ms);
    add_number(&resp, "MAXROWS", options->rows_max);
    sp_status status = room.status != SP_OK ? room.status : to->status;
    sp_buf_fini(&room);
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "the query is too large");
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct reading {
    spoor_columns_fn *columns;
    spoor_row_fn *row;
    void *context;
    spoor_str names[COLUMNS_MAX];
    spoor_sql_value values[COLUMNS_MAX];
    uint32_t count;
};

static double real_of(sp_str text) {
    bool negative = text.len > 0 && text.ptr[0] == '-';
    if (sp_str_ends_with(text, SP_STR("inf"))) {
        return negative ? -INFINITY : INFINITY;
    }
    return sp_json_number(text);
}

/* False where the kind and what came do not fit. */
static bool value_out(const struct sp_reply_node *node, char kind, spoor_sql_value *to) {
    *to = (spoor_sql_value){.kind = SPOOR_SQL_NULL, .text = {.ptr = "", .len = 0}};
    switch (kind) {
    case 'n':
        return node->kind == SP_REPLY_NULL;
    case 'i':
        to->kind = SPOOR_SQL_INTEGER;
        to->integer = node->integer;
        return node->kind == SP_REPLY_INTEGER;
    case 'r':
        to->kind = SPOOR_SQL_REAL;
        to->real = real_of(node->text);
        return node->kind == SP_REPLY_TEXT;
    case 't':
    case 'b':
        to->kind = kind == 't' ? SPOOR_SQL_TEXT : SPOOR_SQL_BLOB;
        to->text = text_out(node);
        return node->kind == SP_REPLY_TEXT;
    default:
        return false;
    }
}

static sp_status give_columns(struct reading *reading, const struct sp_reply_node *list,
                              struct sp_error *error) {
    const struct sp_reply_node *at = sp_reply_child(list);
    if (list->count > COLUMNS_MAX) {
        return makes_no_sense(error);
    }
    reading->count = list->count;
    for (uint32_t i = 0; i < list->count; i++, at = sp_reply_next(at)) {
        reading->names[i] = text_out(at);
    }
    bool more = reading->columns == NULL ||
                reading->columns(reading->context, reading->names, list->count) == 0;
    return more ? SP_OK : sp_error_set(error, SP_CANCELLED, "the query was ended");
}

static sp_status give_row(struct reading *reading, const struct sp_reply_node *row,
                          const struct sp_reply_node *kinds, struct sp_error *error) {
    sp_str letters = sp_answer_text(kinds);
    const struct sp_reply_node *at = sp_reply_child(row);
    if (row->kind != SP_REPLY_ARRAY || row->count != reading->count ||
        letters.len != reading->count) {
        return makes_no_sense(error);
    }
    for (uint32_t i = 0; i < row->count; i++, at = sp_reply_next(at)) {
        if (!value_out(at, letters.ptr[i], &reading->values[i])) {
            return makes_no_sense(error);
        }
    }
    bool more = reading->row == NULL ||
                reading->row(reading->context, reading->values, reading->count) == 0;
    return more ? SP_OK : sp_error_set(error, SP_CANCELLED, "the query was ended");
}

static sp_status give(struct reading *reading, const struct sp_reply_node *answer,
                      spoor_sql_result *result, struct sp_error *error) {
    const struct sp_reply_node *columns = sp_reply_find(answer, "columns");
    const struct sp_reply_node *rows = sp_reply_find(answer, "rows");
    const struct sp_reply_node *kinds = sp_reply_find(answer, "kinds");
    const struct sp_reply_node *position = sp_reply_find(answer, "position");
    if (columns == NULL || rows == NULL || kinds == NULL || position == NULL ||
        columns->kind != SP_REPLY_ARRAY || rows->kind != SP_REPLY_ARRAY ||
        kinds->kind != SP_REPLY_ARRAY || kinds->count != rows->count) {
        return makes_no_sense(error);
    }
    sp_status status = give_columns(reading, columns, error);
    const struct sp_reply_node *row = sp_reply_child(rows);
    const struct sp_reply_node *kind = sp_reply_child(kinds);
    for (uint32_t i = 0; i < rows->count && status == SP_OK; i++) {
        status = give_row(reading, row, kind, error);
        row = sp_reply_next(row);
        kind = sp_reply_next(kind);
    }
    result->row_count = rows->count;
    result->position = position->kind == SP_REPLY_NULL ? UINT64_MAX : sp_answer_u64(position);
    return status;
}

sp_status sp_client_sql(struct sp_client *client, const spoor_sql_options *options,
                        spoor_columns_fn *columns, spoor_row_fn *row, void *context,
                        spoor_sql_result *ret_result, struct sp_error *error) {
    struct sp_buf command;
    struct sp_answer answer;
    struct reading *reading = calloc(1, sizeof(*reading));
    if (reading == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for a query");
    }
    reading->columns = columns;
    reading->row = row;
    reading->context = context;
    uint32_t wait_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    sp_buf_init(&command, COMMAND_BYTES_MAX);
    sp_status status = encode(options, &command, error);
    if (status == SP_OK) {
        status = sp_client_call_encoded(client, sp_buf_str(&command), wait_ms, &answer, error);
    }
    sp_buf_fini(&command);
    if (status == SP_OK) {
        status = give(reading, sp_answer_node(&answer), ret_result, error);
        sp_answer_fini(&answer);
    }
    free(reading);
    return status;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static bool column_out(const struct sp_reply_node *node, spoor_table_column *to) {
    if (node->kind != SP_REPLY_ARRAY || node->count != 3 || node->span != 4) {
        return false;
    }
    const struct sp_reply_node *fields = sp_reply_child(node);
    to->name = text_out(&fields[0]);
    to->type = text_out(&fields[1]);
    to->key = (uint32_t)sp_answer_u64(&fields[2]);
    return to->name.ptr != NULL && to->type.ptr != NULL;
}

static bool table_out(const struct sp_reply_node *node, spoor_table_column *columns,
                      spoor_table *to) {
    const struct sp_reply_node *fields = sp_reply_child(node);
    if (node->kind != SP_REPLY_ARRAY || node->count != 5 || fields[4].kind != SP_REPLY_ARRAY ||
        fields[4].count > COLUMNS_MAX) {
        return false;
    }
    to->projection = text_out(&fields[0]);
    to->name = text_out(&fields[1]);
    to->is_view = sp_str_eq(sp_answer_text(&fields[2]), SP_STR("view"));
    to->position = sp_answer_u64(&fields[3]);
    to->columns = columns;
    to->column_count = fields[4].count;
    const struct sp_reply_node *at = sp_reply_child(&fields[4]);
    for (uint32_t i = 0; i < fields[4].count; i++, at = sp_reply_next(at)) {
        if (!column_out(at, &columns[i])) {
            return false;
        }
    }
    return to->projection.ptr != NULL && to->name.ptr != NULL;
}

sp_status sp_client_tables(struct sp_client *client, spoor_table_fn *each, void *context,
                           struct sp_error *error) {
    const sp_str args[] = {SP_STR("SPOOR.TABLES")};
    struct sp_answer answer;
    spoor_table_column *columns = calloc(COLUMNS_MAX, sizeof(*columns));
    if (columns == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for a list of tables");
    }
    sp_status status = sp_client_call(client, args, 1, TIMEOUT_MS, &answer, error);
    if (status == SP_OK) {
        const struct sp_reply_node *list = sp_answer_node(&answer);
        const struct sp_reply_node *at = sp_reply_child(list);
        bool more = true;
        for (uint32_t i = 0; i < list->count && status == SP_OK && more; i++) {
            spoor_table table;
            status = table_out(at, columns, &table) ? SP_OK : makes_no_sense(error);
            more = status == SP_OK && each(context, &table) == 0;
            at = sp_reply_next(at);
        }
        sp_answer_fini(&answer);
    }
    free(columns);
    return status;
}
