/*
 * Answers of queries in the Redis protocol.
 *
 *     {"columns": [name …], "rows": [[value …] …], "position": N or null}
 *
 * and, where it was asked for, "kinds": of each row a text with a letter for each value: n null, i
 * integer, r real, t text, b blob.
 */
#include "project/sql_json.h"
#include "server/queries_int.h"

enum { NAMES_BYTES_MAX = 1 << 20, VALUE_BYTES_MAX = 64, ROWS_GUESSED = 10 };

void query_writer_init(struct query_writer *writer, struct sp_query_job *job) {
    *writer = (struct query_writer){.job = job};
    writer->resp = (struct sp_resp){.to = &job->body, .version = job->ask.resp_version};
    sp_buf_init(&writer->names, NAMES_BYTES_MAX);
    sp_buf_init(&writer->kinds, job->bytes_max);
    sp_buf_init(&writer->value, VALUE_BYTES_MAX);
}

void query_writer_fini(struct query_writer *writer) {
    sp_buf_fini(&writer->names);
    sp_buf_fini(&writer->kinds);
    sp_buf_fini(&writer->value);
}

/* ---- columns --------------------------------------------------------------------------------- */

static bool on_columns(void *context, const sp_str *names, uint32_t count) {
    struct query_writer *writer = context;
    if (writer->job->ask.form != SP_QUERY_RESP) {
        for (uint32_t i = 0; i < count; i++) {
            sp_buf_add_str(&writer->names, names[i]);
            sp_buf_add_byte(&writer->names, '\0');
        }
        return writer->names.status == SP_OK;
    }
    sp_resp_map(&writer->resp, writer->job->ask.kinds ? 4 : 3);
    sp_resp_bulk_text(&writer->resp, "columns");
    sp_resp_array(&writer->resp, count);
    for (uint32_t i = 0; i < count; i++) {
        sp_resp_bulk(&writer->resp, names[i]);
    }
    sp_resp_bulk_text(&writer->resp, "rows");
    writer->rows = sp_resp_open_array(&writer->resp, ROWS_GUESSED);
    return writer->resp.to->status == SP_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void add_value(struct sp_resp *resp, const struct sp_sql_value *value) {
    switch (value->kind) {
    case SP_SQL_NULL:
        sp_resp_null(resp);
        break;
    case SP_SQL_INTEGER:
        sp_resp_integer(resp, value->integer);
        break;
    case SP_SQL_REAL:
        sp_resp_double(resp, value->real);
        break;
    case SP_SQL_TEXT:
    case SP_SQL_BLOB:
        sp_resp_bulk(resp, value->text);
        break;
    }
}

static void add_kinds(struct query_writer *writer, const struct sp_sql_value *values,
                      uint32_t count) {
    static const char LETTERS[] = {[SP_SQL_NULL] = 'n',
                                   [SP_SQL_INTEGER] = 'i',
                                   [SP_SQL_REAL] = 'r',
                                   [SP_SQL_TEXT] = 't',
                                   [SP_SQL_BLOB] = 'b'};
    char letters[SP_SQL_COLUMNS_MAX];
    struct sp_resp resp = {.to = &writer->kinds, .version = writer->resp.version};
    for (uint32_t i = 0; i < count; i++) {
        letters[i] = LETTERS[values[i].kind];
    }
    sp_resp_bulk(&resp, sp_str_of(letters, count));
}

/* A field of a hash is a string. */
static void add_field(struct query_writer *writer, const struct sp_sql_value *value) {
    if (value->kind == SP_SQL_INTEGER || value->kind == SP_SQL_REAL) {
        sp_buf_reset(&writer->value);
        sp_sql_json_add(&writer->value, value);
        sp_resp_bulk(&writer->resp, sp_buf_str(&writer->value));
    } else {
        add_value(&writer->resp, value);
    }
}

/* The row as a map; a column that is NULL is a field that is not there. */
static void add_hash(struct query_writer *writer, const struct sp_sql_value *values,
                     uint32_t count) {
    const char *name = (const char *)writer->names.data;
    uint64_t fields = 0;
    for (uint32_t i = 0; i < count; i++) {
        fields += values[i].kind != SP_SQL_NULL;
    }
    sp_resp_map(&writer->resp, fields);
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].kind != SP_SQL_NULL) {
            sp_resp_bulk_text(&writer->resp, name);
            add_field(writer, &values[i]);
        }
        name += strlen(name) + 1;
    }
}

static void add_cell(struct query_writer *writer, const struct sp_sql_value *values,
                     uint32_t count) {
    const char *name = (const char *)writer->names.data;
    for (uint32_t i = 0; i < count; i++) {
        if (sp_str_eq(sp_str_from(name), writer->job->ask.column)) {
            add_field(writer, &values[i]);
            return;
        }
        name += strlen(name) + 1;
    }
    sp_resp_null(&writer->resp);
}

static bool on_row(void *context, const struct sp_sql_value *values, uint32_t count) {
    struct query_writer *writer = context;
    if (writer->job->ask.form == SP_QUERY_HASH) {
        add_hash(writer, values, count);
    } else if (writer->job->ask.form == SP_QUERY_CELL) {
        add_cell(writer, values, count);
    } else {
        sp_resp_array(&writer->resp, count);
        for (uint32_t i = 0; i < count; i++) {
            add_value(&writer->resp, &values[i]);
        }
        if (writer->job->ask.kinds) {
            add_kinds(writer, values, count);
        }
    }
    writer->count++;
    return writer->resp.to->status == SP_OK && writer->kinds.status == SP_OK;
}

/* [projection, name, `table` or `view`, position, [[column, type, place in the key] …]] */
bool query_writer_table(void *context, const struct sp_sql_table *table) {
    struct query_writer *writer = context;
    struct sp_resp *resp = &writer->resp;
    sp_resp_array(resp, 5);
    sp_resp_bulk(resp, table->projection);
    sp_resp_bulk(resp, table->name);
    sp_resp_bulk_text(resp, table->view ? "view" : "table");
    sp_resp_unsigned(resp, table->position);
    sp_resp_array(resp, table->column_count);
    for (uint32_t i = 0; i < table->column_count; i++) {
        sp_resp_array(resp, 3);
        sp_resp_bulk(resp, table->columns[i].name);
        sp_resp_bulk(resp, table->columns[i].type);
        sp_resp_unsigned(resp, table->columns[i].key);
    }
    writer->count++;
    return resp->to->status == SP_OK;
}

const struct sp_rows query_writing = {.columns = on_columns, .row = on_row};

void query_writer_end(struct query_writer *writer, const struct sp_sql_done *done) {
    struct sp_resp *resp = &writer->resp;
    if (writer->job->ask.form == SP_QUERY_HASH && writer->count == 0) {
        sp_resp_map(resp, 0);
    } else if (writer->job->ask.form == SP_QUERY_CELL && writer->count == 0) {
        sp_resp_null(resp);
    } else if (writer->job->ask.form == SP_QUERY_TABLES) {
        sp_resp_close(resp, writer->rows, writer->count);
    } else if (writer->job->ask.form == SP_QUERY_RESP) {
        sp_resp_close(resp, writer->rows, writer->count);
        sp_resp_bulk_text(resp, "position");
        if (done->position == UINT64_MAX) {
            sp_resp_null(resp);
        } else {
            sp_resp_unsigned(resp, done->position);
        }
        if (writer->job->ask.kinds) {
            sp_resp_bulk_text(resp, "kinds");
            sp_resp_array(resp, writer->count);
            sp_buf_add_str(resp->to, sp_buf_str(&writer->kinds));
        }
    }
}
