#include "project/sql_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/utf8.h"

enum { NUMBER_SIZE = 32, DIGITS_FEW = 15, DIGITS_ALL = 17 };

static void add_real(struct sp_buf *to, double real) {
    char text[NUMBER_SIZE];
    int len = 0;
    if (!isfinite(real)) {
        sp_buf_add_str(to, SP_STR("null"));
        return;
    }
    for (int digits = DIGITS_FEW; digits <= DIGITS_ALL; digits++) {
        len = snprintf(text, sizeof(text), "%.*g", digits, real);
        char *comma = memchr(text, ',', (size_t)len); /* of the user's locale */
        if (comma != NULL) {
            *comma = '.';
        }
        double back = sp_json_number(sp_str_of(text, (size_t)len));
        if (memcmp(&back, &real, sizeof(real)) == 0) {
            break;
        }
    }
    sp_str number = sp_str_of(text, (size_t)len);
    sp_buf_add_str(to, number);
    bool is_whole = memchr(text, '.', number.len) == NULL && memchr(text, 'e', number.len) == NULL;
    if (is_whole) { /* a REAL stays one for whoever reads it */
        sp_buf_add_str(to, SP_STR(".0"));
    }
}

static void add_bytes(struct sp_buf *to, sp_str bytes) {
    sp_buf_add_str(to, SP_STR("{\"$base64\":\""));
    sp_base64_add(to, bytes);
    sp_buf_add_str(to, SP_STR("\"}"));
}

void sp_sql_json_add(struct sp_buf *to, const struct sp_sql_value *value) {
    char text[NUMBER_SIZE];
    switch (value->kind) {
    case SP_SQL_NULL:
        sp_buf_add_str(to, SP_STR("null"));
        return;
    case SP_SQL_INTEGER:
        (void)snprintf(text, sizeof(text), "%" PRId64, value->integer);
        sp_buf_add_str(to, sp_str_from(text));
        return;
    case SP_SQL_REAL:
        add_real(to, value->real);
        return;
    case SP_SQL_TEXT:
        if (sp_utf8_valid(value->text)) {
            sp_json_add_string(to, value->text);
        } else {
            add_bytes(to, value->text);
        }
        return;
    case SP_SQL_BLOB:
        add_bytes(to, value->text);
        return;
    }
    sp_never();
}

void sp_sql_json_add_object(struct sp_buf *to, const sp_str *names,
                            const struct sp_sql_value *values, uint32_t count) {
    sp_buf_add_byte(to, '{');
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            sp_buf_add_byte(to, ',');
        }
        sp_json_add_string(to, names[i]);
        sp_buf_add_byte(to, ':');
        sp_sql_json_add(to, &values[i]);
    }
    sp_buf_add_byte(to, '}');
}
