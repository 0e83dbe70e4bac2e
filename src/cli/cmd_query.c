/*
 * query: SQL over read models, of a server or of a folder; without SQL the tables that there are.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "project/rows.h"
#include "project/sql_json.h"
#include "proto/policy_text.h"

enum {
    COLUMNS_MAX = SP_SQL_COLUMNS_MAX,
    NUMBER_SIZE = 32,
};

enum query_form { FORM_TABLE, FORM_LINES, FORM_CSV };

const struct sp_flag sp_query_flags[] = {
    [SP_QUERY_FLAG_PARAM] = {.name = "param",
                             .kind = SP_FLAG_TEXT,
                             .is_repeatable = true,
                             .value = "NAME=VALUE",
                             .help = "value of :NAME, or of the next ? without NAME=; repeatable"},
    [SP_QUERY_FLAG_CSV] = {.name = "csv", .kind = SP_FLAG_SWITCH, .help = "CSV on stdout"},
    [SP_QUERY_FLAG_TABLE] = {.name = "table",
                             .kind = SP_FLAG_SWITCH,
                             .help = "a table on stdout, also where that is no terminal"},
    [SP_QUERY_FLAG_SEEN] = {.name = "seen",
                            .kind = SP_FLAG_TEXT,
                            .value = "POSITION",
                            .help = "wait until the read models have seen this position; "
                                    "default: the end of the log"},
    [SP_QUERY_FLAG_TIMEOUT] = {.name = "timeout",
                               .kind = SP_FLAG_TEXT,
                               .value = "TIME",
                               .help = "how long it may take, as 500ms or 1m; default 10s"},
    [SP_QUERY_FLAG_MAX_ROWS] = {.name = "max-rows",
                                .kind = SP_FLAG_TEXT,
                                .value = "N",
                                .help = "more rows are an error; default 10000"},
};

/* ---- what is asked --------------------------------------------------------------------------- */

struct asked {
    spoor_sql_options options;
    spoor_sql_param params[SP_ARGS_TYPES_MAX];
    struct sp_buf texts; /* names with a NUL, and texts; reserved at once */
    struct sp_buf sql;   /* where it comes from stdin */
};

/* A number, true, false, null or a "text" in JSON is that; all else is text as it stands. */
static void read_value(struct asked *asked, sp_str text, spoor_sql_value *to) {
    struct sp_json json;
    struct sp_sql_value value = {.kind = SP_SQL_TEXT, .text = text};
    sp_json_init(&json, text);
    struct sp_json_token token = sp_json_next(&json);
    bool scalar = token.type == SP_JSON_NUMBER || token.type == SP_JSON_STRING ||
                  token.type == SP_JSON_TRUE || token.type == SP_JSON_FALSE ||
                  token.type == SP_JSON_NULL;
    if (scalar && sp_json_next(&json).type == SP_JSON_END &&
        !sp_rows_read_json(token, text, &asked->texts, &value)) {
        value = (struct sp_sql_value){.kind = SP_SQL_TEXT, .text = text};
    }
    *to = (spoor_sql_value){.kind = (enum spoor_sql_kind)value.kind,
                            .integer = value.integer,
                            .real = value.real,
                            .text = {.ptr = value.text.ptr, .len = value.text.len}};
}

/* `name=value`, `:name=value`, or `value` where there is no `=` or nothing before it. */
static void read_param(struct asked *asked, const char *word, spoor_sql_param *to) {
    const char *equals = strchr(word, '=');
    const char *value = equals != NULL ? equals + 1 : word;
    const char *name = word[0] == ':' ? word + 1 : word;
    *to = (spoor_sql_param){.name = NULL};
    if (equals != NULL && equals > name) {
        size_t at = asked->texts.len;
        sp_buf_add(&asked->texts, name, (size_t)(equals - name));
        sp_buf_add_byte(&asked->texts, '\0');
        to->name = (const char *)asked->texts.data + at;
    }
    read_value(asked, sp_str_from(value), &to->value);
}

static sp_status read_stdin(struct sp_buf *to, struct sp_error *error) {
    for (;;) {
        uint8_t *at = sp_buf_reserve(to, 4096);
        ssize_t count = at != NULL ? read(STDIN_FILENO, at, 4096) : -1;
        if (at == NULL) {
            return sp_error_set(error, SP_LIMIT, "the SQL on stdin is too long");
        }
        if (count < 0 && errno != EINTR) {
            return sp_error_set_os(error, SP_IO, errno, "cannot read stdin");
        }
        if (count == 0) {
            sp_buf_add_byte(to, '\0');
            return to->status;
        }
        sp_buf_advance(to, count > 0 ? (size_t)count : 0);
    }
}

static sp_status read_number(const struct sp_args *args, int place, uint64_t *ret_number,
                             struct sp_error *error) {
    const char *text = args->own_values[place];
    sp_status status = text != NULL ? sp_args_number(sp_str_from(text), ret_number, error) : SP_OK;
    return status == SP_OK ? SP_OK
                           : sp_error_prefix(error, status, "--%s", sp_query_flags[place].name);
}

static sp_status read_timeout(const struct sp_args *args, uint32_t *ret_ms,
                              struct sp_error *error) {
    const char *text = args->own_values[SP_QUERY_FLAG_TIMEOUT];
    uint64_t ms = 0;
    if (text == NULL) {
        return SP_OK;
    }
    sp_status status = sp_delay_parse(sp_str_from(text), &ms, error);
    if (status == SP_OK && (ms == 0 || ms > INT32_MAX)) {
        status = sp_error_set(error, SP_INVALID, "expected from 1ms to 24d");
    }
    *ret_ms = (uint32_t)ms;
    return status == SP_OK ? SP_OK : sp_error_prefix(error, status, "--timeout");
}

static sp_status read_asked(const struct sp_args *args, struct asked *asked,
                            struct sp_error *error) {
    spoor_sql_options *options = &asked->options;
    size_t bytes = 1;
    for (size_t i = 0; i < args->type_count; i++) {
        bytes += 2 * strlen(args->types[i]) + 2;
    }
    if (sp_buf_reserve(&asked->texts, bytes) == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for parameters");
    }
    for (size_t i = 0; i < args->type_count; i++) {
        read_param(asked, args->types[i], &asked->params[i]);
    }
    options->sql = args->operands[0];
    options->params = asked->params;
    options->param_count = args->type_count;
    sp_status status = read_number(args, SP_QUERY_FLAG_SEEN, &options->seen, error);
    status = status == SP_OK ? read_number(args, SP_QUERY_FLAG_MAX_ROWS, &options->rows_max, error)
                             : status;
    status = status == SP_OK ? read_timeout(args, &options->timeout_ms, error) : status;
    if (status == SP_OK && strcmp(options->sql, "-") == 0) {
        status = read_stdin(&asked->sql, error);
        options->sql = (const char *)asked->sql.data;
    }
    return status;
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct showing {
    struct sp_cli *cli;
    enum query_form form;
    struct sp_rows_writer writer; /* of lines and CSV */
    struct sp_buf names;          /* each with a NUL; reserved at once */
    struct sp_buf cell;
    struct sp_table table;
    struct sp_table_column columns[SP_TABLE_COLUMNS_MAX];
    size_t column_count; /* of the answer */
    bool is_begun;       /* of a table: the first row has said which columns are numbers */
    struct sp_progress progress;
    bool is_folder; /* read models may have to be filled: that can be interrupted */
    struct sp_interrupt interrupt;
};

static sp_str text_of(spoor_str text) {
    return sp_str_of(text.ptr, text.len);
}

static int on_columns(void *context, const spoor_str *names, size_t count) {
    struct showing *showing = context;
    sp_str copies[COLUMNS_MAX];
    size_t bytes = 0;
    sp_progress_clear(&showing->progress);
    showing->column_count = count < COLUMNS_MAX ? count : COLUMNS_MAX;
    for (size_t i = 0; i < showing->column_count; i++) {
        copies[i] = text_of(names[i]);
        bytes += copies[i].len + 1;
    }
    if (showing->form != FORM_TABLE) {
        return !sp_rows_writing.columns(&showing->writer, copies, (uint32_t)showing->column_count);
    }
    sp_buf_reset(&showing->names);
    (void)sp_buf_reserve(&showing->names, bytes + 1);
    for (size_t i = 0; i < showing->column_count; i++) {
        sp_buf_add_str(&showing->names, copies[i]);
        sp_buf_add_byte(&showing->names, '\0');
    }
    return showing->names.status != SP_OK;
}

static void begin_table(struct showing *showing, const spoor_sql_value *values) {
    const char *name = (const char *)showing->names.data;
    if (showing->column_count > SP_TABLE_COLUMNS_MAX) {
        sp_cli_complain("only the first %d of %zu columns are shown; --json shows all",
                        SP_TABLE_COLUMNS_MAX, showing->column_count);
        showing->column_count = SP_TABLE_COLUMNS_MAX;
    }
    for (size_t i = 0; i < showing->column_count; i++) {
        bool number = values != NULL &&
                      (values[i].kind == SPOOR_SQL_INTEGER || values[i].kind == SPOOR_SQL_REAL);
        showing->columns[i] = (struct sp_table_column){.title = name, .is_number = number};
        name += strlen(name) + 1;
    }
    sp_table_init(&showing->table, &showing->cli->out, showing->columns, showing->column_count);
    showing->is_begun = true;
}

static void show_cell(struct showing *showing, const struct sp_sql_value *value) {
    sp_buf_reset(&showing->cell);
    if (value->kind == SP_SQL_TEXT) {
        sp_table_add(&showing->table, value->text);
    } else if (value->kind == SP_SQL_NULL) {
        sp_table_add(&showing->table, SP_STR(""));
    } else if (value->kind == SP_SQL_BLOB) {
        char text[NUMBER_SIZE];
        (void)snprintf(text, sizeof(text), "(%zu bytes)", value->text.len);
        sp_table_add(&showing->table, sp_str_from(text));
    } else {
        sp_sql_json_add(&showing->cell, value);
        sp_table_add(&showing->table, sp_buf_str(&showing->cell));
    }
}

static int on_row(void *context, const spoor_sql_value *values, size_t count) {
    struct showing *showing = context;
    struct sp_sql_value row[COLUMNS_MAX];
    size_t shown = count < showing->column_count ? count : showing->column_count;
    for (size_t i = 0; i < shown; i++) {
        row[i] = (struct sp_sql_value){.kind = (enum sp_sql_kind)values[i].kind,
                                       .integer = values[i].integer,
                                       .real = values[i].real,
                                       .text = text_of(values[i].text)};
    }
    if (showing->form != FORM_TABLE) {
        bool fine = sp_rows_writing.row(&showing->writer, row, (uint32_t)shown);
        sp_out_line_end(&showing->cli->out);
        return !fine || sp_out_is_over(&showing->cli->out);
    }
    if (!showing->is_begun) {
        begin_table(showing, values);
    }
    for (size_t i = 0; i < showing->column_count; i++) {
        show_cell(showing, &row[i]);
    }
    return sp_out_is_over(&showing->cli->out);
}

/* ---- filling read models --------------------------------------------------------------------- */

static int on_progress(void *context, const char *projection, uint64_t position, uint64_t last) {
    struct showing *showing = context;
    if (sp_progress_is_due(&showing->progress)) {
        double seconds = sp_progress_seconds(&showing->progress) + 1e-9;
        double share = last > 0 ? (double)position / (double)last * 100 : 100;
        sp_progress_show(&showing->progress, "%s: %.0f %%, %.0f events/s", projection, share,
                         (double)position / seconds);
    }
    return showing->is_folder && sp_interrupt_came(&showing->interrupt);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int finish(struct showing *showing, spoor_status status, const spoor_sql_result *result,
                  const spoor_error *error) {
    struct sp_cli *cli = showing->cli;
    sp_progress_clear(&showing->progress);
    if (status == SPOOR_OK && showing->form == FORM_TABLE && !showing->is_begun) {
        begin_table(showing, NULL); /* no rows: nothing is shown but that */
    }
    if (showing->is_begun) {
        sp_table_fini(&showing->table);
    }
    if (status == SPOOR_CANCELLED && sp_out_is_over(&cli->out)) {
        return SP_EXIT_OK; /* the reader has seen enough */
    }
    if (status == SPOOR_CANCELLED && showing->is_folder) {
        return SP_EXIT_INTERRUPTED;
    }
    if (status != SPOOR_OK) {
        return sp_cli_fail(error);
    }
    sp_out_flush(&cli->out); /* what is said comes behind the rows */
    if (result->notice[0] != '\0') {
        sp_cli_complain("%s", result->notice);
    }
    if (showing->form == FORM_TABLE && cli->out.is_terminal) {
        sp_cli_say(cli, "%" PRIu64 " row%s", result->row_count, result->row_count == 1 ? "" : "s");
    }
    return SP_EXIT_OK;
}

static enum query_form form_of(const struct sp_cli *cli) {
    if (cli->args.own_values[SP_QUERY_FLAG_CSV] != NULL) {
        return FORM_CSV;
    }
    bool table = cli->args.own_values[SP_QUERY_FLAG_TABLE] != NULL;
    return cli->is_json_explicit || (cli->wants_json && !table) ? FORM_LINES : FORM_TABLE;
}

/*
 * Over a server, unless --seen says otherwise, an answer has seen what the log had when it was
 * asked for: who has just appended finds it. What has stopped is shown as far as it came.
 */
static spoor_status ask_with_all(struct showing *showing, spoor *store, struct asked *asked,
                                 spoor_sql_result *result, spoor_error *error) {
    spoor_info info = {.size = sizeof(info)};
    bool given = showing->cli->args.own_values[SP_QUERY_FLAG_SEEN] != NULL;
    if (!given && !showing->is_folder && spoor_get_info(store, &info, NULL) == SPOOR_OK) {
        asked->options.seen = info.last_position;
    }
    spoor_status status =
        spoor_sql(store, &asked->options, on_columns, on_row, showing, result, error);
    if (status == SPOOR_FAILED && !given && asked->options.seen != 0) {
        (void)snprintf(result->notice, sizeof(result->notice), "%s", error->text);
        asked->options.seen = 0;
        spoor_sql_result there = SPOOR_SQL_RESULT_INIT;
        status = spoor_sql(store, &asked->options, on_columns, on_row, showing, &there, error);
        result->row_count = there.row_count;
        result->position = there.position;
    }
    return status;
}

static int ask(struct sp_cli *cli, spoor *store, struct asked *asked) {
    struct showing *showing = calloc(1, sizeof(*showing));
    spoor_error error = {.status = SPOOR_OK};
    spoor_sql_result result = SPOOR_SQL_RESULT_INIT;
    if (showing == NULL) {
        sp_cli_complain("out of memory");
        return SP_EXIT_FAILURE;
    }
    showing->cli = cli;
    showing->form = form_of(cli);
    sp_buf_init(&showing->names, SIZE_MAX / 2);
    sp_buf_init(&showing->cell, SIZE_MAX / 2);
    sp_rows_writer_init(&showing->writer, showing->form == FORM_CSV ? SP_ROWS_CSV : SP_ROWS_NDJSON,
                        &cli->out.buf);
    sp_progress_init(&showing->progress, cli->is_quiet);
    showing->is_folder = cli->url == NULL;
    if (showing->is_folder) {
        sp_interrupt_open(&showing->interrupt);
    }
    asked->options.progress = on_progress;
    asked->options.progress_context = showing;
    spoor_status status = ask_with_all(showing, store, asked, &result, &error);
    int code = finish(showing, status, &result, &error);
    if (showing->is_folder) {
        sp_interrupt_close(&showing->interrupt);
    }
    sp_rows_writer_fini(&showing->writer);
    sp_buf_fini(&showing->names);
    sp_buf_fini(&showing->cell);
    free(showing);
    return code;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static const struct sp_table_column TABLE_COLUMNS[] = {
    {.title = "TABLE"},
    {.title = "PROJECTION", .is_dim = true},
    {.title = "POSITION", .is_number = true},
    {.title = "COLUMNS"},
};

struct listing {
    struct sp_cli *cli;
    struct sp_table table;
    struct sp_buf text;
    size_t count;
};

static void add_columns_json(struct sp_buf *to, const spoor_table *table) {
    char key[NUMBER_SIZE];
    for (size_t i = 0; i < table->column_count; i++) {
        const spoor_table_column *column = &table->columns[i];
        sp_buf_add_str(to, i == 0 ? SP_STR("{\"name\":") : SP_STR(",{\"name\":"));
        sp_json_add_string(to, text_of(column->name));
        sp_buf_add_str(to, SP_STR(",\"type\":"));
        sp_json_add_string(to, text_of(column->type));
        (void)snprintf(key, sizeof(key), ",\"key\":%u}", column->key);
        sp_buf_add_str(to, sp_str_from(key));
    }
}

static void show_table_json(struct sp_out *out, const spoor_table *table) {
    sp_out_print(out, "{");
    sp_out_json_text(out, "table", text_of(table->name));
    sp_out_json_text(out, "projection", text_of(table->projection));
    sp_out_json_text(out, "kind", table->is_view ? SP_STR("view") : SP_STR("table"));
    sp_out_json_u64(out, "position", table->position);
    sp_out_print(out, ",\"columns\":[");
    add_columns_json(&out->buf, table);
    sp_out_print(out, "]}\n");
    sp_out_line_end(out);
}

/* `agent_id*, runs, tokens`: what is in the primary key has a star. */
static void add_names(struct sp_buf *to, const spoor_table *table) {
    sp_buf_reset(to);
    for (size_t i = 0; i < table->column_count; i++) {
        sp_buf_add_str(to, i > 0 ? SP_STR(", ") : SP_STR(""));
        sp_buf_add_str(to, text_of(table->columns[i].name));
        sp_buf_add_str(to, table->columns[i].key > 0 ? SP_STR("*") : SP_STR(""));
    }
}

static int show_table(void *context, const spoor_table *table) {
    struct listing *listing = context;
    listing->count++;
    if (form_of(listing->cli) == FORM_LINES) {
        show_table_json(&listing->cli->out, table);
    } else {
        add_names(&listing->text, table);
        sp_table_add(&listing->table, text_of(table->name));
        sp_table_add(&listing->table, text_of(table->projection));
        sp_table_add_u64(&listing->table, table->position);
        sp_table_add(&listing->table, sp_buf_str(&listing->text));
    }
    return sp_out_is_over(&listing->cli->out);
}

static int list(struct sp_cli *cli, spoor *store) {
    struct listing listing = {.cli = cli};
    spoor_error error = {.status = SPOOR_OK};
    sp_buf_init(&listing.text, SIZE_MAX / 2);
    sp_table_init(&listing.table, &cli->out, TABLE_COLUMNS,
                  sizeof(TABLE_COLUMNS) / sizeof(*TABLE_COLUMNS));
    spoor_status status = spoor_tables(store, show_table, &listing, &error);
    sp_table_fini(&listing.table);
    sp_buf_fini(&listing.text);
    if (status != SPOOR_OK) {
        return sp_cli_fail(&error);
    }
    if (listing.count == 0) {
        sp_cli_say(cli, "no read model has tables yet: see 'spoor projection ls'");
    }
    return SP_EXIT_OK;
}

int sp_cmd_query(struct sp_cli *cli) {
    struct asked *asked = calloc(1, sizeof(*asked));
    struct sp_error error;
    spoor *store = NULL;
    if (asked == NULL) {
        sp_cli_complain("out of memory");
        return SP_EXIT_FAILURE;
    }
    sp_error_clear(&error);
    asked->options = (spoor_sql_options)SPOOR_SQL_INIT;
    sp_buf_init(&asked->texts, SIZE_MAX / 2);
    sp_buf_init(&asked->sql, SP_SQL_TEXT_BYTES_MAX + 1);
    bool lists = cli->args.operand_count == 0;
    sp_status status = lists ? SP_OK : read_asked(&cli->args, asked, &error);
    int code =
        status == SP_OK ? sp_cli_open(cli, SPOOR_READ_ONLY, &store) : sp_cli_usage(cli, error.text);
    if (code == SP_EXIT_OK) {
        code = lists ? list(cli, store) : ask(cli, store, asked);
    }
    spoor_close(store);
    sp_buf_fini(&asked->texts);
    sp_buf_fini(&asked->sql);
    free(asked);
    return code;
}
