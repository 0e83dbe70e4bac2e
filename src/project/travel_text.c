/*
 * Answers of states and differences as text.
 */
#include "base/json.h"
#include "project/sql_json.h"
#include "project/travel_answer.h"

enum { CHANGE_RAW = 2 /* columns of a change from here on are JSON already */ };

struct texting {
    enum sp_rows_form form;
    struct sp_rows_writer writer;
    struct sp_buf *to;
    bool is_difference;
    sp_str names[SP_TRAVEL_CHANGE_COLUMNS];
    uint64_t changes;
};

static bool is_good(const struct texting *texting) {
    return texting->to->status == SP_OK;
}

/* The facts stand first; what opens the rows' object becomes the comma behind them. */
static bool on_facts(void *context, const struct sp_travel_facts *facts) {
    struct texting *texting = context;
    texting->is_difference = facts->is_difference;
    if (texting->form == SP_ROWS_JSON) {
        sp_buf_add_byte(texting->to, '{');
        sp_travel_facts_json(facts, texting->to);
    }
    return is_good(texting);
}

static bool on_columns(void *context, const sp_str *names, uint32_t count) {
    struct texting *texting = context;
    size_t start = texting->to->len;
    if (texting->is_difference && texting->form != SP_ROWS_CSV) {
        memcpy(texting->names, names, count * sizeof(*names));
        sp_buf_add_str(texting->to,
                       texting->form == SP_ROWS_JSON ? SP_STR(",\"changes\":[") : SP_STR(""));
        return is_good(texting);
    }
    bool good = sp_rows_writing.columns(&texting->writer, names, count);
    if (good && texting->form == SP_ROWS_JSON) {
        texting->to->data[start] = ',';
    }
    return good;
}

/* A change as an object whose last members are JSON as they come. */
static void add_change(struct texting *texting, const struct sp_sql_value *values) {
    struct sp_buf *to = texting->to;
    bool lines = texting->form == SP_ROWS_NDJSON;
    sp_buf_add_str(to, texting->changes++ > 0 && !lines ? SP_STR(",\n{") : SP_STR("{"));
    for (uint32_t i = 0; i < SP_TRAVEL_CHANGE_COLUMNS; i++) {
        sp_buf_add_str(to, i > 0 ? SP_STR(",") : SP_STR(""));
        sp_json_add_string(to, texting->names[i]);
        sp_buf_add_byte(to, ':');
        if (i >= CHANGE_RAW && values[i].kind == SP_SQL_TEXT) {
            sp_buf_add_str(to, values[i].text);
        } else {
            sp_sql_json_add(to, &values[i]);
        }
    }
    sp_buf_add_str(to, lines ? SP_STR("}\n") : SP_STR("}"));
}

static bool on_row(void *context, const struct sp_sql_value *values, uint32_t count) {
    struct texting *texting = context;
    if (texting->is_difference && texting->form != SP_ROWS_CSV) {
        add_change(texting, values);
        return is_good(texting);
    }
    return sp_rows_writing.row(&texting->writer, values, count);
}

static void add_end(struct texting *texting, bool cut) {
    if (texting->form == SP_ROWS_JSON) {
        sp_buf_add_str(texting->to, cut ? SP_STR("],\"cut\":true}\n") : SP_STR("]}\n"));
    }
}

sp_status sp_travel_text(struct sp_travel *travel, const struct sp_travel_question *question,
                         enum sp_rows_form form, struct sp_buf *to, bool *ret_cut,
                         struct sp_error *error) {
    static const struct sp_travel_rows rows = {
        .facts = on_facts, .columns = on_columns, .row = on_row};
    struct texting texting = {.form = form, .to = to};
    sp_rows_writer_init(&texting.writer, form, to);
    sp_status status = sp_travel_answer(travel, question, &rows, &texting, ret_cut, error);
    sp_rows_writer_fini(&texting.writer);
    if (status == SP_OK) {
        add_end(&texting, *ret_cut);
    }
    if (to->status != SP_OK) {
        status = sp_error_set(error, to->status, "the answer is longer than %zu bytes",
                              to->size_bytes_max);
    }
    return status;
}
