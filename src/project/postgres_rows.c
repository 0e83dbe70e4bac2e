/*
 * PostgreSQL's values as those that SQLite would give: booleans are 0 and 1, numerics without a
 * fraction integers where they fit and reals otherwise, NaN is NULL, what has no like is its text.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "project/postgres_query_int.h"

enum { FIXED_BYTES = 8 /* what a number counts as */ };

enum {
    TYPE_BOOL = 16,
    TYPE_BYTEA = 17,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_OID = 26,
    TYPE_FLOAT4 = 700,
    TYPE_FLOAT8 = 701,
    TYPE_NUMERIC = 1700,
};

sp_status sp_pg_columns_give(struct pg_answer *answer, const PGresult *result,
                             struct sp_error *error) {
    sp_str names[SP_SQL_COLUMNS_MAX];
    int count = PQnfields(result);
    if (count > SP_SQL_COLUMNS_MAX) {
        return sp_error_set(error, SP_LIMIT, "%d columns; the limit is %d", count,
                            SP_SQL_COLUMNS_MAX);
    }
    for (int i = 0; i < count; i++) {
        names[i] = sp_str_from(PQfname(result, i));
    }
    answer->told = true;
    bool goes_on = answer->rows->columns == NULL ||
                   answer->rows->columns(answer->context, names, (uint32_t)count);
    return goes_on ? SP_OK : sp_error_set(error, SP_CANCELLED, "the query was ended");
}

/* ---- values ---- */

static void read_real(sp_str text, struct sp_sql_value *value) {
    value->kind = SP_SQL_REAL;
    if (sp_str_eq(text, SP_STR("NaN"))) {
        value->kind = SP_SQL_NULL;
    } else if (sp_str_ends_with(text, SP_STR("Infinity"))) {
        value->real = text.ptr[0] == '-' ? -INFINITY : INFINITY;
    } else {
        value->real = sp_json_number(text); /* PostgreSQL writes numbers as JSON does */
    }
}

/* True where the text, digits alone, fits. */
static bool read_integer(sp_str text, struct sp_sql_value *value) {
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text.ptr, &end, 10);
    if (errno != 0 || end != text.ptr + text.len) {
        return false;
    }
    value->kind = SP_SQL_INTEGER;
    value->integer = number;
    return true;
}

static unsigned hex_digit(char c) {
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* `\x0a0b` into bytes, which a later blob of the row may move: where they begin is kept. */
static void read_bytes(struct sp_buf *to, sp_str text, struct sp_sql_value *value) {
    size_t start = to->len;
    for (size_t i = 2; i + 1 < text.len; i += 2) {
        sp_buf_add_byte(to, (uint8_t)(hex_digit(text.ptr[i]) << 4 | hex_digit(text.ptr[i + 1])));
    }
    value->kind = SP_SQL_BLOB;
    value->integer = (int64_t)start;
    value->text.len = to->len - start;
}

static void read_value(struct pg_answer *answer, const PGresult *result, int row, int column,
                       struct sp_sql_value *value) {
    *value = (struct sp_sql_value){.kind = SP_SQL_NULL};
    if (PQgetisnull(result, row, column)) {
        return;
    }
    sp_str text = sp_pg_text(result, row, column);
    switch (PQftype(result, column)) {
    case TYPE_BOOL:
        value->kind = SP_SQL_INTEGER;
        value->integer = text.ptr[0] == 't';
        return;
    case TYPE_BYTEA:
        read_bytes(&answer->bytes, text, value);
        return;
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8:
    case TYPE_OID:
    case TYPE_NUMERIC:
        if (read_integer(text, value)) {
            return;
        }
        read_real(text, value);
        return;
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
        read_real(text, value);
        return;
    default:
        value->kind = SP_SQL_TEXT;
        value->text = text;
        return;
    }
}

/* ---- rows ---- */

static sp_status refuse_row(const struct pg_answer *answer, bool rows, struct sp_error *error) {
    if (answer->sql->cut) {
        answer->done->cut = true;
        return SP_END;
    }
    if (rows) {
        return sp_error_set(error, SP_LIMIT,
                            "the answer has more than %llu rows: add a LIMIT, or ask for more",
                            (unsigned long long)answer->rows_max);
    }
    return sp_error_set(error, SP_LIMIT,
                        "the answer has more than %llu bytes: ask for fewer rows or columns",
                        (unsigned long long)answer->bytes_max);
}

sp_status sp_pg_row_give(struct pg_answer *answer, const PGresult *result, int row,
                         struct sp_error *error) {
    struct sp_sql_value values[SP_SQL_COLUMNS_MAX];
    uint32_t count = (uint32_t)PQnfields(result);
    uint64_t bytes = 0;
    if (answer->done->rows == answer->rows_max) {
        return refuse_row(answer, true, error);
    }
    sp_buf_reset(&answer->bytes);
    for (uint32_t i = 0; i < count; i++) {
        read_value(answer, result, row, (int)i, &values[i]);
        bytes += FIXED_BYTES + values[i].text.len;
    }
    if (answer->bytes.status != SP_OK) {
        return sp_error_set(error, answer->bytes.status, "a row takes too much memory");
    }
    if (bytes > answer->bytes_max - answer->done->bytes) {
        return refuse_row(answer, false, error);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].kind == SP_SQL_BLOB && values[i].text.len > 0) {
            values[i].text.ptr = (const char *)answer->bytes.data + values[i].integer;
        }
    }
    answer->done->rows++;
    answer->done->bytes += bytes;
    return answer->rows->row(answer->context, values, count)
               ? SP_OK
               : sp_error_set(error, SP_CANCELLED, "the query was ended");
}
