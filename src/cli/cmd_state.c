/*
 * state: a read model as it was, or what changed between two moments. The answer is one JSON text
 * (spoor_state); here its rows become a table, lines of JSON, or CSV.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "cli/cli.h"
#include "cli/state.h"
#include "cli/table.h"
#include "cli/text.h"
#include "project/rows.h"

enum { COLUMNS_MAX = 1000 };

enum state_form { FORM_TABLE, FORM_LINES, FORM_CSV };

/* What an answer says, and how its rows are shown. */
struct showing {
    struct sp_cli *cli;
    enum state_form form;
    struct sp_buf names; /* of columns, each with a NUL */
    size_t name_count;
    struct sp_buf text; /* of one value */
    struct sp_table table;
    struct sp_table_column columns[SP_TABLE_COLUMNS_MAX];
    struct sp_rows_writer writer;
    bool is_begun;
    uint64_t row_count;
};

/* ---- asking ---------------------------------------------------------------------------------- */

static void keep_text(void *context, const char *text, size_t len) {
    sp_buf_add(context, text, len);
}

int sp_state_ask(struct sp_cli *cli, spoor *store, const spoor_state_options *options,
                 struct sp_buf *to) {
    spoor_error error = {.status = SPOOR_OK};
    spoor_status status = spoor_state(store, options, keep_text, to, &error);
    if (status != SPOOR_OK) {
        return sp_cli_fail(&error);
    }
    if (to->status != SP_OK) {
        sp_cli_complain("no memory for the answer from %s", cli->place);
        return SP_EXIT_FAILURE;
    }
    return SP_EXIT_OK;
}

sp_str sp_state_member(sp_str answer, const char *name, struct sp_json_token *ret_token) {
    struct sp_json json;
    sp_json_init(&json, answer);
    struct sp_json_token token = sp_json_next(&json);
    sp_str none = {.ptr = NULL};
    if (token.type != SP_JSON_OBJECT) {
        return none;
    }
    while ((token = sp_json_next(&json)).type == SP_JSON_KEY) {
        bool found = sp_json_equal(token, sp_str_from(name));
        struct sp_json_token value = sp_json_next(&json);
        sp_str raw = sp_json_skip(&json, value);
        if (found) {
            *ret_token = value;
            return raw;
        }
    }
    return none;
}

bool sp_state_next(struct sp_json *json, struct sp_json_token *ret_token, sp_str *ret_raw) {
    struct sp_json_token token = sp_json_next(json);
    if (token.type == SP_JSON_ARRAY_END || token.type == SP_JSON_ERROR ||
        token.type == SP_JSON_END) {
        return false;
    }
    *ret_token = token;
    *ret_raw = sp_json_skip(json, token);
    return true;
}

bool sp_state_begin(sp_str array, struct sp_json *json) {
    sp_json_init(json, array);
    return array.ptr != NULL && sp_json_next(json).type == SP_JSON_ARRAY;
}

/* ---- columns --------------------------------------------------------------------------------- */

static void add_name(struct showing *showing, sp_str name) {
    sp_buf_add_str(&showing->names, name);
    sp_buf_add_byte(&showing->names, '\0');
    showing->name_count++;
}

static void read_names(struct showing *showing, sp_str columns) {
    struct sp_json json;
    struct sp_json_token token;
    sp_str raw;
    if (!sp_state_begin(columns, &json)) { /* changes name their own */
        static const char *const NAMES[] = {"table", "change", "key", "before", "after"};
        for (size_t i = 0; i < sizeof(NAMES) / sizeof(*NAMES); i++) {
            add_name(showing, sp_str_from(NAMES[i]));
        }
        return;
    }
    while (sp_state_next(&json, &token, &raw) && showing->name_count < COLUMNS_MAX) {
        sp_buf_reset(&showing->text);
        sp_json_unescape(&showing->text, token.raw);
        add_name(showing, sp_buf_str(&showing->text));
    }
}

/* Which columns are numbers shows the first row. */
static void begin_table(struct showing *showing, const struct sp_json_token *tokens, size_t count) {
    const char *name = (const char *)showing->names.data;
    if (count > SP_TABLE_COLUMNS_MAX) {
        sp_cli_complain("only the first %d of %zu columns are shown; --json shows all",
                        SP_TABLE_COLUMNS_MAX, count);
        count = SP_TABLE_COLUMNS_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        /* The last column is as wide as the line: a number would stand far from all others. */
        bool is_number = tokens[i].type == SP_JSON_NUMBER && i + 1 < count;
        showing->columns[i] = (struct sp_table_column){.title = name, .is_number = is_number};
        name += strlen(name) + 1;
    }
    sp_table_init(&showing->table, &showing->cli->out, showing->columns, count);
}

static void begin_csv(struct showing *showing) {
    sp_str names[COLUMNS_MAX];
    const char *name = (const char *)showing->names.data;
    for (size_t i = 0; i < showing->name_count; i++) {
        names[i] = sp_str_from(name);
        name += names[i].len + 1;
    }
    sp_rows_writer_init(&showing->writer, SP_ROWS_CSV, &showing->cli->out.buf);
    (void)sp_rows_writing.columns(&showing->writer, names, (uint32_t)showing->name_count);
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct cells {
    size_t count;
    struct sp_json_token tokens[COLUMNS_MAX];
    sp_str raws[COLUMNS_MAX];
};

static void show_line(struct showing *showing, const struct cells *cells) {
    struct sp_buf *to = &showing->cli->out.buf;
    const char *name = (const char *)showing->names.data;
    for (size_t i = 0; i < cells->count; i++) {
        sp_str text = sp_str_from(name);
        sp_buf_add_byte(to, i == 0 ? '{' : ',');
        sp_json_add_string(to, text);
        sp_buf_add_byte(to, ':');
        sp_buf_add_str(to, cells->raws[i]);
        name += text.len + 1;
    }
    sp_buf_add_str(to, SP_STR("}\n"));
}

static void show_csv(struct showing *showing, const struct cells *cells) {
    struct sp_sql_value values[COLUMNS_MAX];
    sp_buf_reset(&showing->text);
    size_t bytes = 0;
    for (size_t i = 0; i < cells->count; i++) {
        bytes += cells->raws[i].len;
    }
    (void)sp_buf_reserve(&showing->text, bytes + 1);
    for (size_t i = 0; i < cells->count; i++) {
        if (!sp_rows_read_json(cells->tokens[i], cells->raws[i], &showing->text, &values[i])) {
            values[i] = (struct sp_sql_value){.kind = SP_SQL_NULL};
        }
    }
    (void)sp_rows_writing.row(&showing->writer, values, (uint32_t)cells->count);
}

static void show_cells(struct showing *showing, const struct cells *cells) {
    for (size_t i = 0; i < showing->table.column_count; i++) {
        struct sp_json_token token = cells->tokens[i];
        sp_buf_reset(&showing->text);
        if (token.type == SP_JSON_STRING) {
            sp_json_unescape(&showing->text, token.raw);
        } else if (token.type != SP_JSON_NULL) {
            sp_buf_add_str(&showing->text, cells->raws[i]);
        }
        sp_table_add(&showing->table, sp_buf_str(&showing->text));
    }
}

static void show_row(struct showing *showing, const struct cells *cells) {
    if (!showing->is_begun && showing->form == FORM_TABLE) {
        begin_table(showing, cells->tokens, cells->count);
    }
    showing->is_begun = true;
    showing->row_count++;
    switch (showing->form) {
    case FORM_TABLE:
        show_cells(showing, cells);
        break;
    case FORM_LINES:
        show_line(showing, cells);
        break;
    case FORM_CSV:
        show_csv(showing, cells);
        break;
    }
    sp_out_line_end(&showing->cli->out);
}

/* The values of a row, which is an array, or of a change, which is an object. */
static bool read_cells(const struct showing *showing, sp_str row, struct cells *cells) {
    struct sp_json json;
    sp_json_init(&json, row);
    bool is_object = sp_json_next(&json).type == SP_JSON_OBJECT;
    cells->count = 0;
    while (cells->count < showing->name_count) {
        struct sp_json_token token = sp_json_next(&json);
        token = is_object && token.type == SP_JSON_KEY ? sp_json_next(&json) : token;
        if (token.type == SP_JSON_ERROR || token.type == SP_JSON_END) {
            return false;
        }
        cells->tokens[cells->count] = token;
        cells->raws[cells->count++] = sp_json_skip(&json, token);
    }
    return true;
}

static bool show_rows(struct showing *showing, sp_str rows) {
    struct cells *cells = malloc(sizeof(*cells));
    struct sp_json json;
    struct sp_json_token token;
    sp_str raw;
    bool good = cells != NULL && sp_state_begin(rows, &json);
    while (good && sp_state_next(&json, &token, &raw) && !sp_out_is_over(&showing->cli->out)) {
        good = read_cells(showing, raw, cells);
        if (good) {
            show_row(showing, cells);
        }
    }
    free(cells);
    return good;
}

/* ---- what is said beside the rows ------------------------------------------------------------ */

void sp_state_say_notices(sp_str answer) {
    struct sp_json json;
    struct sp_json_token token;
    sp_str raw;
    struct sp_buf text;
    sp_buf_init(&text, SIZE_MAX);
    sp_str notices = sp_state_member(answer, "notices", &token);
    for (bool more = sp_state_begin(notices, &json); more && sp_state_next(&json, &token, &raw);) {
        sp_buf_reset(&text);
        sp_json_unescape(&text, token.raw);
        sp_cli_complain("%.*s", SP_STR_ARG(sp_buf_str(&text)));
    }
    sp_buf_fini(&text);
}

static void say_end(const struct showing *showing, sp_str answer) {
    struct sp_json_token token;
    sp_state_say_notices(answer);
    if (sp_state_member(answer, "cut", &token).ptr != NULL) {
        sp_cli_complain("there are more than these %" PRIu64 " rows; --limit N shows up to N",
                        showing->row_count);
    }
}

static int show(struct showing *showing, sp_str answer) {
    struct sp_json_token token;
    sp_str columns = sp_state_member(answer, "columns", &token);
    sp_str rows = sp_state_member(answer, columns.ptr != NULL ? "rows" : "changes", &token);
    read_names(showing, columns);
    if (showing->form == FORM_CSV) {
        begin_csv(showing);
    }
    bool good = show_rows(showing, rows);
    if (showing->form == FORM_TABLE && showing->is_begun) {
        sp_table_fini(&showing->table);
    }
    if (showing->form == FORM_CSV) {
        sp_rows_writer_fini(&showing->writer);
    }
    if (!good) {
        sp_cli_complain("the answer from %s makes no sense", showing->cli->place);
        return SP_EXIT_FAILURE;
    }
    say_end(showing, answer);
    return SP_EXIT_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* "own" or "recorded". */
static int read_by(const struct sp_cli *cli, const char *text, int *ret_by_recorded) {
    sp_str by = sp_str_from(text);
    if (text == NULL || sp_str_eq(by, SP_STR("own"))) {
        *ret_by_recorded = 0;
    } else if (sp_str_eq(by, SP_STR("recorded"))) {
        *ret_by_recorded = 1;
    } else {
        return sp_cli_usage(cli, "--by: expected own or recorded");
    }
    return SP_EXIT_OK;
}

static int show_state(struct sp_cli *cli, spoor *store, const spoor_state_options *options) {
    struct showing *showing = calloc(1, sizeof(*showing));
    struct sp_buf answer;
    sp_require(showing != NULL);
    showing->cli = cli;
    showing->form = cli->args.own_values[SP_STATE_CSV] != NULL ? FORM_CSV
                    : cli->wants_json                          ? FORM_LINES
                                                               : FORM_TABLE;
    sp_buf_init(&answer, SIZE_MAX);
    sp_buf_init(&showing->names, SIZE_MAX);
    sp_buf_init(&showing->text, SIZE_MAX);
    int code = sp_state_ask(cli, store, options, &answer);
    code = code == SP_EXIT_OK ? show(showing, sp_buf_str(&answer)) : code;
    sp_buf_fini(&showing->text);
    sp_buf_fini(&showing->names);
    sp_buf_fini(&answer);
    free(showing);
    return code;
}

int sp_cmd_state(struct sp_cli *cli) {
    const char *const *own = cli->args.own_values;
    spoor_query query = sp_cli_query(&cli->args);
    spoor_state_options options = SPOOR_STATE_INIT;
    spoor *store = NULL;
    options.projection = cli->args.operands[0];
    options.query = &query;
    options.diff = own[SP_STATE_DIFF];
    options.table = own[SP_STATE_TABLE];
    options.sql = own[SP_STATE_SQL];
    int code = read_by(cli, own[SP_STATE_BY], &options.by_recorded);
    code = code == SP_EXIT_OK ? sp_cli_open(cli, SPOOR_READ_ONLY, &store) : code;
    if (code == SP_EXIT_OK) {
        code = show_state(cli, store, &options);
        spoor_close(store);
    }
    return code;
}
