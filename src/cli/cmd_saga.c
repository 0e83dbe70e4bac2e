/* saga: what is running, starting it, and what a person asks of it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/time.h"
#include "cli/desk.h"
#include "cli/files.h"
#include "cli/flows.h"
#include "cli/list.h"
#include "cli/member.h"
#include "cli/table.h"
#include "cli/text.h"
#include "os/os.h"

enum { DATA_BYTES_MAX = 64 << 20, STREAM_SIZE = 320, ENDED_ROWS_MAX = 10000 };

/* ---- ls -------------------------------------------------------------------------------------- */

struct saga_list {
    struct sp_cli *cli;
    struct sp_table table;
    uint64_t now_us;
};

static void add_saga(void *context, sp_str row) {
    struct saga_list *list = context;
    char span[SP_TEXT_SPAN_SIZE];
    if (list->cli->wants_json) {
        sp_out_print(&list->cli->out, "%.*s\n", SP_STR_ARG(row));
        return;
    }
    static const char *const MEMBERS[] = {"sagaid", "saga", "status", "step", "waiting_for"};
    for (size_t i = 0; i < sizeof(MEMBERS) / sizeof(*MEMBERS); i++) {
        sp_table_add(&list->table, sp_cli_member_raw(row, MEMBERS[i]));
    }
    sp_table_add(&list->table, sp_cli_span(row, "due", list->now_us, span));
    sp_table_add(&list->table, sp_cli_span(row, "started", list->now_us, span));
    sp_table_add(&list->table, sp_cli_member_raw(row, "key"));
}

static void add_definition(void *context, sp_str row) {
    struct saga_list *list = context;
    if (list->cli->wants_json) {
        sp_out_print(&list->cli->out, "%.*s\n", SP_STR_ARG(row));
        return;
    }
    sp_table_add(&list->table, sp_cli_member_raw(row, "saga"));
    sp_table_add(&list->table, sp_cli_member_raw(row, "version"));
    sp_table_add(&list->table, sp_cli_member(row, "steps"));
    sp_table_add(&list->table, sp_cli_member(row, "running"));
    sp_table_add(&list->table, sp_cli_member_raw(row, "on"));
    sp_str sha256 = sp_cli_member_raw(row, "sha256");
    sp_table_add(&list->table, sp_str_of(sha256.ptr, sha256.len < 12 ? sha256.len : 12));
}

static const struct sp_table_column SAGAS[] = {
    {.title = "SAGA", .columns_max = 36},
    {.title = "NAME", .columns_max = 32},
    {.title = "STATUS"},
    {.title = "STEP", .columns_max = 40},
    {.title = "WAITING FOR"},
    {.title = "DUE IN"},
    {.title = "AGE"},
    {.title = "KEY", .is_dim = true},
};

static const struct sp_table_column DEFINITIONS[] = {
    {.title = "NAME", .columns_max = 40},      {.title = "VERSION"},
    {.title = "STEPS", .is_number = true},     {.title = "RUNNING", .is_number = true},
    {.title = "STARTS ON", .columns_max = 40}, {.title = "SHA-256", .is_dim = true},
};

static int list_sagas(struct sp_cli_desk *desk, struct sp_desk_request *request) {
    struct sp_clock clock = sp_clock_system();
    bool definitions = desk->cli->args.own_values[SP_SAGA_LS_DEFINITIONS] != NULL;
    struct saga_list list = {.cli = desk->cli, .now_us = clock.wall_us(clock.context)};
    const struct sp_table_column *columns = definitions ? DEFINITIONS : SAGAS;
    size_t count =
        definitions ? sizeof(DEFINITIONS) / sizeof(*DEFINITIONS) : sizeof(SAGAS) / sizeof(*SAGAS);
    sp_table_init(&list.table, &desk->cli->out, columns, count);
    int code = sp_cli_desk_list(desk, request, sp_args_u64(&desk->cli->args, SP_FLAG_LIMIT, 0),
                                definitions ? add_definition : add_saga, &list);
    sp_table_fini(&list.table);
    return code;
}

/* ---- those that have ended ------------------------------------------------------------------- */

enum { COLUMNS_MAX = 32 };

/* Rows of the read model as those of a list, JSON. */
struct ended_list {
    struct saga_list list;
    spoor_str names[COLUMNS_MAX];
    size_t name_count;
    struct sp_buf texts; /* of the names */
    struct sp_buf row;
    uint64_t row_count;
    char last[24]; /* position of the last row */
};

static int take_columns(void *context, const spoor_str *names, size_t count) {
    struct ended_list *ended = context;
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += names[i].len;
    }
    ended->name_count = count < COLUMNS_MAX ? count : COLUMNS_MAX;
    if (sp_buf_reserve(&ended->texts, len + 1) == NULL) {
        return 1;
    }
    for (size_t i = 0; i < ended->name_count; i++) {
        ended->names[i] = (spoor_str){.ptr = (const char *)ended->texts.data + ended->texts.len,
                                      .len = names[i].len};
        sp_buf_add_str(&ended->texts, sp_text_str(names[i]));
    }
    return 0;
}

static void add_value(struct sp_buf *to, const spoor_sql_value *value) {
    char text[32];
    if (value->kind == SPOOR_SQL_INTEGER) {
        (void)snprintf(text, sizeof(text), "%" PRId64, value->integer);
        sp_buf_add_str(to, sp_str_from(text));
    } else {
        sp_json_add_string(to, sp_text_str(value->text));
    }
}

static int take_row(void *context, const spoor_sql_value *values, size_t count) {
    struct ended_list *ended = context;
    struct sp_buf *to = &ended->row;
    sp_buf_reset(to);
    sp_buf_add_byte(to, '{');
    for (size_t i = 0; i < count && i < ended->name_count; i++) {
        if (values[i].kind != SPOOR_SQL_NULL) {
            sp_buf_add_str(to, to->len > 1 ? SP_STR(",") : SP_STR(""));
            sp_json_add_string(to, sp_text_str(ended->names[i]));
            sp_buf_add_byte(to, ':');
            add_value(to, &values[i]);
        }
    }
    sp_buf_add_byte(to, '}');
    add_saga(&ended->list, sp_buf_str(to));
    sp_str position = sp_cli_member(sp_buf_str(to), "position");
    (void)snprintf(ended->last, sizeof(ended->last), "%.*s", SP_STR_ARG(position));
    ended->row_count++;
    sp_out_line_end(&ended->list.cli->out);
    return sp_out_is_over(&ended->list.cli->out);
}

static spoor_sql_param param_of(const struct sp_desk_request *request, const char *name,
                                enum sp_desk_option option) {
    sp_str value = request->options[option];
    return (spoor_sql_param){
        .name = name,
        .value = {.kind = SPOOR_SQL_TEXT,
                  .text = {.ptr = value.ptr != NULL ? value.ptr : "", .len = value.len}}};
}

/* A page of them, behind the last one that was shown. */
static spoor_status list_page(struct ended_list *ended, spoor *store,
                              const struct sp_desk_request *request, uint64_t rows,
                              spoor_error *error) {
    char sql[1024];
    const spoor_sql_param params[] = {
        param_of(request, "status", SP_DESK_STATUS),
        param_of(request, "name", SP_DESK_NAME),
        param_of(request, "step", SP_DESK_STEP),
        {.name = "after", .value = {.kind = SPOOR_SQL_TEXT, .text = spoor_text(ended->last)}},
    };
    (void)snprintf(sql, sizeof(sql), "%s LIMIT %" PRIu64, sp_desk_sagas_ended_sql(), rows);
    spoor_sql_options options = SPOOR_SQL_INIT;
    options.sql = sql;
    options.params = params;
    options.param_count = sizeof(params) / sizeof(*params);
    sp_buf_reset(&ended->texts);
    return spoor_sql(store, &options, take_columns, take_row, ended, NULL, error);
}

static spoor_status list_pages(struct ended_list *ended, spoor *store,
                               const struct sp_desk_request *request, uint64_t limit,
                               spoor_error *error) {
    spoor_status status = SPOOR_OK;
    bool more = true;
    while (status == SPOOR_OK && more) {
        uint64_t before = ended->row_count;
        uint64_t left = limit > 0 ? limit - before : ENDED_ROWS_MAX;
        uint64_t rows = left < ENDED_ROWS_MAX ? left : ENDED_ROWS_MAX;
        status = list_page(ended, store, request, rows, error);
        more = ended->row_count - before == rows && ended->row_count != limit;
    }
    return status;
}

/* Over a folder the read model is brought up to the end of the log first. */
static int list_ended(struct sp_cli *cli, const struct sp_desk_request *request) {
    struct sp_clock clock = sp_clock_system();
    struct ended_list ended = {.list = {.cli = cli, .now_us = clock.wall_us(clock.context)},
                               .last = "0"};
    spoor *store = NULL;
    spoor_error error = {.status = SPOOR_OK};
    int code = sp_cli_open(cli, 0, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    sp_buf_init(&ended.texts, SIZE_MAX / 2);
    sp_buf_init(&ended.row, SIZE_MAX / 2);
    sp_table_init(&ended.list.table, &cli->out, SAGAS, sizeof(SAGAS) / sizeof(*SAGAS));
    spoor_status status =
        list_pages(&ended, store, request, sp_args_u64(&cli->args, SP_FLAG_LIMIT, 0), &error);
    sp_table_fini(&ended.list.table);
    sp_buf_fini(&ended.texts);
    sp_buf_fini(&ended.row);
    spoor_close(store);
    /* Lazy: there is no table before there is a saga. */
    bool fine = status == SPOOR_OK || status == SPOOR_NOT_FOUND || sp_out_is_over(&cli->out);
    return fine ? SP_EXIT_OK : sp_cli_fail(&error);
}

int sp_cmd_saga_ls(struct sp_cli *cli) {
    static const char *const OTHERS[] = {"definitions", NULL};
    struct sp_cli_desk desk;
    struct sp_desk_request request;
    int code = sp_cli_desk_open(cli, SPOOR_READ_ONLY, &desk);
    code = code == SP_EXIT_OK ? sp_cli_desk_request(&desk, OTHERS, &request) : code;
    if (code == SP_EXIT_OK && cli->args.own_values[SP_SAGA_LS_DEFINITIONS] != NULL) {
        request.verb = sp_desk_find(SP_STR("saga"), SP_STR("definitions"));
    }
    bool ended = code == SP_EXIT_OK && sp_desk_asks_ended(&request);
    code = code == SP_EXIT_OK && !ended ? list_sagas(&desk, &request) : code;
    sp_cli_desk_close(&desk);
    return ended ? list_ended(cli, &request) : code;
}

/* ---- show ------------------------------------------------------------------------------------ */

int sp_cli_saga_tell(struct sp_cli_desk *desk, sp_str sagaid) {
    bool json = desk->cli->wants_json;
    const struct sp_desk_request request = {
        .verb = sp_desk_find(SP_STR("saga"), json ? SP_STR("show") : SP_STR("story")),
        .subject = sagaid,
    };
    int code = sp_cli_desk_ask(desk, &request);
    if (code == SP_EXIT_OK && json) {
        sp_cli_desk_show(desk);
    } else if (code == SP_EXIT_OK) {
        (void)sp_cli_member_text(sp_buf_str(&desk->text), "words", &desk->cli->out.buf);
    }
    return code;
}

static int show_events(struct sp_cli *cli) {
    spoor *store = NULL;
    char stream[STREAM_SIZE];
    uint64_t count = 0;
    (void)snprintf(stream, sizeof(stream), "saga:%.256s", cli->args.operands[0]);
    int code = sp_cli_open(cli, SPOOR_READ_ONLY, &store);
    if (code == SP_EXIT_OK) {
        spoor_query query = {.size = sizeof(query), .stream = stream};
        code = sp_list_query(cli, store, &query, true, &count);
    }
    if (code == SP_EXIT_OK && count == 0) {
        sp_cli_complain("there is no saga '%s'", cli->args.operands[0]);
        code = SP_EXIT_NOT_FOUND;
    }
    spoor_close(store);
    return code;
}

int sp_cmd_saga_show(struct sp_cli *cli) {
    struct sp_cli_desk desk;
    if (cli->args.own_values[SP_SAGA_SHOW_EVENTS] != NULL) {
        return show_events(cli);
    }
    int code = sp_cli_desk_open(cli, SPOOR_READ_ONLY, &desk);
    code = code == SP_EXIT_OK ? sp_cli_saga_tell(&desk, sp_str_from(cli->args.operands[0])) : code;
    sp_cli_desk_close(&desk);
    return code;
}

/* ---- start ----------------------------------------------------------------------------------- */

static int read_data(const struct sp_args *args, struct sp_buf *room,
                     struct sp_desk_request *request) {
    struct sp_error error;
    sp_error_clear(&error);
    if (args->operand_count < 2) {
        return SP_EXIT_OK;
    }
    sp_str data = sp_str_from(args->operands[1]);
    if (sp_str_eq(data, SP_STR("-"))) {
        int code = sp_cli_read_file("-", room);
        if (code != SP_EXIT_OK) {
            return code;
        }
        data = sp_buf_str(room);
    }
    if (sp_json_check(data, &error) != SP_OK) {
        sp_cli_complain("the data is not JSON: %s", error.text);
        return SP_EXIT_USAGE;
    }
    request->options[SP_DESK_DATA] = data;
    return SP_EXIT_OK;
}

static int read_timeout(struct sp_cli *cli, uint64_t *ret_timeout_us) {
    const char *text = cli->args.own_values[SP_SAGA_START_TIMEOUT];
    struct sp_error error;
    sp_error_clear(&error);
    *ret_timeout_us = 0;
    if (text == NULL) {
        return SP_EXIT_OK;
    }
    if (cli->args.own_values[SP_SAGA_START_WAIT] == NULL) {
        return sp_cli_usage(cli, "--timeout is how long --wait waits: there is no --wait");
    }
    if (sp_duration_parse(sp_str_from(text), ret_timeout_us, &error) != SP_OK ||
        *ret_timeout_us == 0) {
        return sp_cli_usage(cli, "--timeout takes a time above 0, such as 30s or 5m");
    }
    return SP_EXIT_OK;
}

static int start(struct sp_cli_desk *desk, const struct sp_desk_request *request,
                 uint64_t timeout_us) {
    char sagaid[64];
    struct sp_out *out = &desk->cli->out;
    int code = sp_cli_desk_ask(desk, request);
    if (code != SP_EXIT_OK) {
        return code;
    }
    sp_str id = sp_cli_member_raw(sp_buf_str(&desk->text), "sagaid");
    (void)snprintf(sagaid, sizeof(sagaid), "%.*s", SP_STR_ARG(id));
    sp_buf_add_str(&out->buf, sp_buf_str(&desk->text));
    sp_out_print(out, "\n");
    if (desk->cli->args.own_values[SP_SAGA_START_WAIT] == NULL) {
        return SP_EXIT_OK;
    }
    sp_out_flush(out);
    return sp_cli_saga_watch(desk, sp_str_from(sagaid), timeout_us);
}

int sp_cmd_saga_start(struct sp_cli *cli) {
    static const char *const OTHERS[] = {"wait", "timeout", NULL};
    struct sp_cli_desk desk;
    struct sp_desk_request request;
    struct sp_buf data;
    uint64_t timeout_us = 0;
    int code = read_timeout(cli, &timeout_us);
    if (code != SP_EXIT_OK) {
        return code;
    }
    sp_buf_init(&data, DATA_BYTES_MAX);
    code = sp_cli_desk_open(cli, 0, &desk);
    code = code == SP_EXIT_OK ? sp_cli_desk_request(&desk, OTHERS, &request) : code;
    code = code == SP_EXIT_OK ? read_data(&cli->args, &data, &request) : code;
    code = code == SP_EXIT_OK ? start(&desk, &request, timeout_us) : code;
    sp_cli_desk_close(&desk);
    sp_buf_fini(&data);
    return code;
}

/* ---- what people ask ------------------------------------------------------------------------- */

/* What is said when it is done, by verb. */
static const struct {
    const char *verb;
    const char *text;
} DONE[] = {
    {"approve", "approved"},       {"reject", "rejected"},
    {"decide", "decided"},         {"cancel", "is being cancelled"},
    {"retry", "is retried"},       {"skip", "is skipped"},
    {"done", "is marked as done"}, {"compensate", "is being undone"},
    {"resume", "goes on"},         {"fork", "goes on from there"},
    {"rm", "is removed"},
};

static void say_done(struct sp_cli_desk *desk, const struct sp_desk_request *request) {
    const char *text = "done";
    sp_str answer = sp_buf_str(&desk->text);
    sp_str sagaid = sp_cli_member_raw(answer, "sagaid");
    for (size_t i = 0; i < sizeof(DONE) / sizeof(*DONE); i++) {
        text = strcmp(DONE[i].verb, request->verb->name) == 0 ? DONE[i].text : text;
    }
    if (strcmp(request->verb->desk, "timer") == 0) { /* at once: a saga has something to undo */
        text = "is cancelled";
    }
    struct sp_out *out = &desk->cli->out;
    (void)sp_text_add(&out->buf, request->subject, SP_TEXT_WHOLE);
    sp_out_print(out, " %s", text);
    if (sagaid.len > 0 && !sp_str_eq(sagaid, request->subject)) {
        sp_out_print(out, ": %.*s", SP_STR_ARG(sagaid));
    }
    sp_out_print(out, "\n");
}

/* approve, reject, cancel, retry, skip, done …, of sagas and approvals; rm of anything. */
int sp_cmd_saga_ask(struct sp_cli *cli) {
    struct sp_cli_desk desk;
    struct sp_desk_request request;
    int code = sp_cli_desk_open(cli, 0, &desk);
    code = code == SP_EXIT_OK ? sp_cli_desk_request(&desk, NULL, &request) : code;
    code = code == SP_EXIT_OK ? sp_cli_desk_ask(&desk, &request) : code;
    if (code == SP_EXIT_OK && cli->wants_json) {
        sp_cli_desk_show(&desk);
    } else if (code == SP_EXIT_OK) {
        say_done(&desk, &request);
    }
    sp_cli_desk_close(&desk);
    return code;
}
