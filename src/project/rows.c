#include "project/rows.h"

#include <math.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/json.h"
#include "project/sql_json.h"

enum {
    KEYS_BYTES_MAX = 1 << 20,
    SUFFIX_SIZE = 16,
};

/* ---- values ---------------------------------------------------------------------------------- */

/* A field is quoted where it would be read otherwise. */
static void add_csv_text(struct sp_buf *to, sp_str text) {
    bool quoted = text.len == 0 || text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' ';
    for (size_t i = 0; i < text.len && !quoted; i++) {
        char byte = text.ptr[i];
        quoted = byte == ',' || byte == '"' || byte == '\n' || byte == '\r';
    }
    if (!quoted) {
        sp_buf_add_str(to, text);
        return;
    }
    sp_buf_add_byte(to, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"') {
            sp_buf_add_byte(to, '"');
        }
        sp_buf_add_byte(to, (uint8_t)text.ptr[i]);
    }
    sp_buf_add_byte(to, '"');
}

static void add_csv(struct sp_buf *to, const struct sp_sql_value *value) {
    switch (value->kind) {
    case SP_SQL_NULL:
        break;
    case SP_SQL_INTEGER:
    case SP_SQL_REAL:
        sp_sql_json_add(to, value);
        break;
    case SP_SQL_TEXT:
        add_csv_text(to, value->text);
        break;
    case SP_SQL_BLOB:
        sp_base64_add(to, value->text);
        break;
    }
}

/* ---- columns --------------------------------------------------------------------------------- */

static bool is_taken(const sp_str *names, uint32_t count, sp_str name) {
    for (uint32_t i = 0; i < count; i++) {
        if (sp_str_eq(names[i], name)) {
            return true;
        }
    }
    return false;
}

/* How often the name was there before: what is put behind it. */
static uint32_t repeats(const sp_str *names, uint32_t at) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < at; i++) {
        count += sp_str_eq(names[i], names[at]);
    }
    return count;
}

static void add_key(struct sp_rows_writer *writer, const sp_str *names, uint32_t at) {
    struct sp_buf name;
    char suffix[SUFFIX_SIZE] = "";
    if (is_taken(names, at, names[at])) {
        (void)snprintf(suffix, sizeof(suffix), ":%u", repeats(names, at));
    }
    sp_buf_init(&name, KEYS_BYTES_MAX);
    sp_buf_add_str(&name, names[at]);
    sp_buf_add_str(&name, sp_str_from(suffix));
    sp_buf_add_byte(&writer->keys, at == 0 ? '{' : ',');
    sp_json_add_string(&writer->keys, sp_buf_str(&name));
    sp_buf_add(&writer->keys, ":", sizeof(":"));
    writer->keys.status = writer->keys.status == SP_OK ? name.status : writer->keys.status;
    sp_buf_fini(&name);
}

static void add_names(struct sp_rows_writer *writer, const sp_str *names, uint32_t count) {
    bool csv = writer->form == SP_ROWS_CSV;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            sp_buf_add_byte(writer->to, ',');
        }
        if (csv) {
            add_csv_text(writer->to, names[i]);
        } else {
            sp_json_add_string(writer->to, names[i]);
        }
    }
}

static bool on_columns(void *context, const sp_str *names, uint32_t count) {
    struct sp_rows_writer *writer = context;
    switch (writer->form) {
    case SP_ROWS_JSON:
        sp_buf_add_str(writer->to, SP_STR("{\"columns\":["));
        add_names(writer, names, count);
        sp_buf_add_str(writer->to, SP_STR("],\"rows\":["));
        break;
    case SP_ROWS_NDJSON:
        sp_buf_reset(&writer->keys);
        for (uint32_t i = 0; i < count; i++) {
            add_key(writer, names, i);
        }
        break;
    case SP_ROWS_CSV:
        add_names(writer, names, count);
        sp_buf_add_str(writer->to, SP_STR("\r\n"));
        break;
    }
    return writer->to->status == SP_OK && writer->keys.status == SP_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void add_array(struct sp_rows_writer *writer, const struct sp_sql_value *values,
                      uint32_t count) {
    sp_buf_add_str(writer->to, writer->rows > 0 ? SP_STR(",\n[") : SP_STR("["));
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            sp_buf_add_byte(writer->to, ',');
        }
        sp_sql_json_add(writer->to, &values[i]);
    }
    sp_buf_add_byte(writer->to, ']');
}

static void add_object(struct sp_rows_writer *writer, const struct sp_sql_value *values,
                       uint32_t count) {
    const char *key = (const char *)writer->keys.data;
    for (uint32_t i = 0; i < count; i++) {
        sp_str text = sp_str_from(key);
        sp_buf_add_str(writer->to, text);
        sp_sql_json_add(writer->to, &values[i]);
        key += text.len + 1;
    }
    sp_buf_add_str(writer->to, SP_STR("}\n"));
}

static void add_line(struct sp_rows_writer *writer, const struct sp_sql_value *values,
                     uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            sp_buf_add_byte(writer->to, ',');
        }
        add_csv(writer->to, &values[i]);
    }
    sp_buf_add_str(writer->to, SP_STR("\r\n"));
}

static bool on_row(void *context, const struct sp_sql_value *values, uint32_t count) {
    struct sp_rows_writer *writer = context;
    switch (writer->form) {
    case SP_ROWS_JSON:
        add_array(writer, values, count);
        break;
    case SP_ROWS_NDJSON:
        add_object(writer, values, count);
        break;
    case SP_ROWS_CSV:
        add_line(writer, values, count);
        break;
    }
    writer->rows++;
    return writer->to->status == SP_OK;
}

const struct sp_rows sp_rows_writing = {.columns = on_columns, .row = on_row};

void sp_rows_writer_init(struct sp_rows_writer *writer, enum sp_rows_form form, struct sp_buf *to) {
    *writer = (struct sp_rows_writer){.form = form, .to = to};
    sp_buf_init(&writer->keys, KEYS_BYTES_MAX);
}

void sp_rows_writer_fini(struct sp_rows_writer *writer) {
    sp_buf_fini(&writer->keys);
}

void sp_rows_writer_end(struct sp_rows_writer *writer, const struct sp_sql_done *done) {
    if (writer->form != SP_ROWS_JSON) {
        return;
    }
    sp_buf_add_str(writer->to, SP_STR("],\"position\":"));
    if (done->position == UINT64_MAX) {
        sp_buf_add_str(writer->to, SP_STR("null"));
    } else {
        sp_buf_add_u64(writer->to, done->position);
    }
    sp_buf_add_str(writer->to, done->cut ? SP_STR(",\"cut\":true}\n") : SP_STR("}\n"));
}

/* ---- JSON as a value ------------------------------------------------------------------------- */

static bool read_number(sp_str raw, struct sp_sql_value *value) {
    bool negative = raw.ptr[0] == '-';
    uint64_t number = 0;
    bool whole = true;
    for (size_t i = negative; i < raw.len && whole; i++) {
        uint64_t digit = (uint64_t)raw.ptr[i] - '0'; /* large for `.` and `e` */
        whole = digit <= 9 && number <= (UINT64_MAX - digit) / 10;
        number = number * 10 + digit;
    }
    if (whole && number <= (uint64_t)INT64_MAX + negative) {
        value->kind = SP_SQL_INTEGER;
        value->integer = negative ? (int64_t)(0 - number) : (int64_t)number;
        return true;
    }
    value->kind = SP_SQL_REAL;
    value->real = sp_json_number(raw);
    return isfinite(value->real);
}

/* {"$base64": "…"} and nothing else. */
static bool is_blob(sp_str raw, struct sp_json_token *ret_text) {
    struct sp_json json;
    sp_json_init(&json, raw);
    bool is = sp_json_next(&json).type == SP_JSON_OBJECT;
    struct sp_json_token key = sp_json_next(&json);
    *ret_text = sp_json_next(&json);
    is = is && key.type == SP_JSON_KEY && sp_json_equal(key, SP_STR("$base64"));
    return is && ret_text->type == SP_JSON_STRING && !ret_text->escaped &&
           sp_json_next(&json).type == SP_JSON_OBJECT_END;
}

/* A string, or an object or array as its text. */
static bool read_text(struct sp_json_token token, sp_str raw, struct sp_buf *to,
                      struct sp_sql_value *value) {
    size_t from = to->len;
    struct sp_json_token text;
    value->kind = SP_SQL_TEXT;
    if (token.type == SP_JSON_STRING) {
        sp_json_unescape(to, token.raw);
    } else if (is_blob(raw, &text)) {
        value->kind = SP_SQL_BLOB;
        if (!sp_base64_decode(to, text.raw)) {
            return false;
        }
    } else {
        sp_buf_add_str(to, raw);
    }
    value->text = to->len > from ? sp_str_of(to->data + from, to->len - from) : SP_STR("");
    return to->status == SP_OK;
}

bool sp_rows_read_json(struct sp_json_token token, sp_str raw, struct sp_buf *to,
                       struct sp_sql_value *ret_value) {
    struct sp_sql_value value = {.kind = SP_SQL_NULL};
    bool fine = true;
    switch (token.type) {
    case SP_JSON_NULL:
        break;
    case SP_JSON_TRUE:
    case SP_JSON_FALSE:
        value.kind = SP_SQL_INTEGER;
        value.integer = token.type == SP_JSON_TRUE;
        break;
    case SP_JSON_NUMBER:
        fine = read_number(token.raw, &value);
        break;
    case SP_JSON_STRING:
    case SP_JSON_OBJECT:
    case SP_JSON_ARRAY:
        fine = read_text(token, raw, to, &value);
        break;
    case SP_JSON_ERROR:
    case SP_JSON_OBJECT_END:
    case SP_JSON_ARRAY_END:
    case SP_JSON_KEY:
    case SP_JSON_END:
        fine = false;
    }
    if (fine) {
        *ret_value = value;
    }
    return fine;
}
