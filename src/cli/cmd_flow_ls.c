/* Lists of approvals, joins, schedules and delayed events, and showing one. */
#include "base/json.h"
#include "base/time.h"
#include "cli/desk.h"
#include "cli/flows.h"
#include "cli/member.h"
#include "cli/table.h"
#include "os/os.h"

sp_str sp_cli_span(sp_str row, const char *name, uint64_t now_us, char text[SP_TEXT_SPAN_SIZE]) {
    uint64_t time_us = 0;
    sp_str time = sp_cli_member_raw(row, name);
    if (time.len == 0 || sp_time_parse(time, true, &time_us, NULL) != SP_OK) {
        return SP_STR("");
    }
    sp_text_span(time_us > now_us ? time_us - now_us : now_us - time_us, text);
    return sp_str_from(text);
}

/* How a column shows the member of a row that has its name. */
enum cell { CELL_TEXT, CELL_RAW, CELL_TEXTS, CELL_SPAN };

struct column {
    const char *member;
    enum cell cell;
};

struct list {
    struct sp_cli *cli;
    struct sp_table table;
    const struct column *columns;
    size_t column_count;
    uint64_t now_us;
    struct sp_buf room;
};

static void add_item(void *context, sp_str item) {
    struct sp_buf *to = context;
    if (item.len >= 2 && item.ptr[0] == '"') {
        sp_buf_add_str(to, to->len > 0 ? SP_STR(" ") : SP_STR(""));
        sp_json_unescape(to, sp_str_of(item.ptr + 1, item.len - 2));
    }
}

static void add_cell(struct list *list, sp_str row, const struct column *column) {
    char span[SP_TEXT_SPAN_SIZE];
    sp_buf_reset(&list->room);
    switch (column->cell) {
    case CELL_TEXT:
        sp_table_add(&list->table, sp_cli_member_text(row, column->member, &list->room));
        return;
    case CELL_RAW:
        sp_table_add(&list->table, sp_cli_member(row, column->member));
        return;
    case CELL_TEXTS:
        sp_cli_member_items(sp_cli_member(row, column->member), add_item, &list->room);
        sp_table_add(&list->table, sp_buf_str(&list->room));
        return;
    case CELL_SPAN:
        sp_table_add(&list->table, sp_cli_span(row, column->member, list->now_us, span));
        return;
    }
}

static void add_row(void *context, sp_str row) {
    struct list *list = context;
    if (list->cli->wants_json) {
        sp_out_print(&list->cli->out, "%.*s\n", SP_STR_ARG(row));
        return;
    }
    for (size_t i = 0; i < list->column_count; i++) {
        add_cell(list, row, &list->columns[i]);
    }
}

static int show_list(struct sp_cli *cli, const struct sp_table_column *titles,
                     const struct column *columns, size_t count) {
    struct sp_cli_desk desk;
    struct sp_desk_request request;
    struct sp_clock clock = sp_clock_system();
    struct list list = {.cli = cli,
                        .columns = columns,
                        .column_count = count,
                        .now_us = clock.wall_us(clock.context)};
    int code = sp_cli_desk_open(cli, SPOOR_READ_ONLY, &desk);
    code = code == SP_EXIT_OK ? sp_cli_desk_request(&desk, NULL, &request) : code;
    if (code == SP_EXIT_OK) {
        sp_buf_init(&list.room, SIZE_MAX / 2);
        sp_table_init(&list.table, &cli->out, titles, count);
        code = sp_cli_desk_list(&desk, &request, sp_args_u64(&cli->args, SP_FLAG_LIMIT, 0), add_row,
                                &list);
        sp_table_fini(&list.table);
        sp_buf_fini(&list.room);
    }
    sp_cli_desk_close(&desk);
    return code;
}

int sp_cmd_approval_ls(struct sp_cli *cli) {
    static const struct sp_table_column TITLES[] = {
        {.title = "APPROVAL", .columns_max = 60}, {.title = "WHAT", .columns_max = 48},
        {.title = "OF", .columns_max = 24},       {.title = "CHOICES", .columns_max = 32},
        {.title = "WHO", .columns_max = 32},      {.title = "TIME LEFT"},
    };
    static const struct column COLUMNS[] = {
        {"id", CELL_TEXT},       {"prompt", CELL_TEXT}, {"saga", CELL_TEXT},
        {"choices", CELL_TEXTS}, {"who", CELL_TEXTS},   {"deadline", CELL_SPAN},
    };
    return show_list(cli, TITLES, COLUMNS, sizeof(COLUMNS) / sizeof(*COLUMNS));
}

int sp_cmd_join_ls(struct sp_cli *cli) {
    static const struct sp_table_column TITLES[] = {
        {.title = "JOIN", .columns_max = 40},        {.title = "OPEN", .is_number = true},
        {.title = "EMITTED", .is_number = true},     {.title = "TIMED OUT", .is_number = true},
        {.title = "LATE", .is_number = true},        {.title = "REPEATED", .is_number = true},
        {.title = "WITHOUT KEY", .is_number = true},
    };
    static const struct column COLUMNS[] = {
        {"join", CELL_TEXT}, {"open", CELL_RAW},     {"emitted", CELL_RAW}, {"timed_out", CELL_RAW},
        {"late", CELL_RAW},  {"repeated", CELL_RAW}, {"unkeyed", CELL_RAW},
    };
    return show_list(cli, TITLES, COLUMNS, sizeof(COLUMNS) / sizeof(*COLUMNS));
}

int sp_cmd_schedule_ls(struct sp_cli *cli) {
    static const struct sp_table_column TITLES[] = {
        {.title = "SCHEDULE", .columns_max = 40},
        {.title = "NEXT (UTC)", .columns_max = 28},
        {.title = "IN"},
        {.title = "LAST (UTC)", .is_dim = true},
        {.title = "FIRED", .is_number = true},
        {.title = "PAUSED"},
    };
    static const struct column COLUMNS[] = {
        {"schedule", CELL_TEXT}, {"next", CELL_TEXT}, {"next", CELL_SPAN},
        {"last", CELL_TEXT},     {"fired", CELL_RAW}, {"paused", CELL_RAW},
    };
    return show_list(cli, TITLES, COLUMNS, sizeof(COLUMNS) / sizeof(*COLUMNS));
}

int sp_cmd_timer_ls(struct sp_cli *cli) {
    static const struct sp_table_column TITLES[] = {
        {.title = "ID", .columns_max = 48},
        {.title = "TYPE", .columns_max = 40},
        {.title = "SOURCE", .columns_max = 32},
        {.title = "DUE (UTC)", .columns_max = 28},
        {.title = "IN"},
    };
    static const struct column COLUMNS[] = {
        {"id", CELL_TEXT},  {"type", CELL_TEXT}, {"source", CELL_TEXT},
        {"due", CELL_TEXT}, {"due", CELL_SPAN},
    };
    return show_list(cli, TITLES, COLUMNS, sizeof(COLUMNS) / sizeof(*COLUMNS));
}

/* approval show, join show, schedule show. */
int sp_cmd_flow_show(struct sp_cli *cli) {
    struct sp_cli_desk desk;
    struct sp_desk_request request;
    int code = sp_cli_desk_open(cli, SPOOR_READ_ONLY, &desk);
    code = code == SP_EXIT_OK ? sp_cli_desk_request(&desk, NULL, &request) : code;
    code = code == SP_EXIT_OK ? sp_cli_desk_ask(&desk, &request) : code;
    if (code == SP_EXIT_OK) {
        sp_cli_desk_show(&desk);
    }
    sp_cli_desk_close(&desk);
    return code;
}
