/* stream and run: what there is, and one of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/list.h"
#include "cli/run_step.h"
#include "cli/text.h"

enum { TYPES_COUNTED_MAX = 256 }; /* different types of one run; further ones are not counted */

/* ---- streams --------------------------------------------------------------------------------- */

static const struct sp_table_column STREAM_COLUMNS[] = {
    {.title = "EVENTS", .is_number = true},
    {.title = "LAST POSITION", .is_number = true},
    {.title = "STREAM"},
};

struct streams {
    struct sp_cli *cli;
    struct sp_table table;
    uint64_t left; /* to show; UINT64_MAX: all */
};

static int show_stream(void *context, const spoor_stream *stream) {
    struct streams *streams = context;
    struct sp_out *out = &streams->cli->out;
    if (streams->cli->wants_json) {
        sp_out_print(out, "{");
        sp_out_json_text(out, "stream", sp_text_str(stream->name));
        sp_out_json_u64(out, "version", stream->version);
        sp_out_json_u64(out, "last_position", stream->last_position);
        sp_out_print(out, "}\n");
        sp_out_line_end(out);
    } else {
        sp_table_add_u64(&streams->table, stream->version);
        sp_table_add_u64(&streams->table, stream->last_position);
        sp_table_add(&streams->table, sp_text_str(stream->name));
    }
    streams->left--;
    return streams->left == 0 || sp_out_is_over(out);
}

int sp_cmd_stream_ls(struct sp_cli *cli) {
    spoor *store = NULL;
    int code = sp_cli_open(cli, SPOOR_READ_ONLY, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    uint64_t limit = sp_args_u64(&cli->args, SP_FLAG_LIMIT, 0);
    struct streams streams = {.cli = cli, .left = limit == 0 ? UINT64_MAX : limit};
    sp_table_init(&streams.table, &cli->out, STREAM_COLUMNS,
                  sizeof(STREAM_COLUMNS) / sizeof(*STREAM_COLUMNS));
    spoor_error error = {.status = SPOOR_OK};
    spoor_status status = spoor_streams(store, 0, show_stream, &streams, &error);
    sp_table_fini(&streams.table);
    code = status == SPOOR_OK ? SP_EXIT_OK : sp_cli_fail(&error);
    spoor_close(store);
    return code;
}

int sp_cmd_stream_show(struct sp_cli *cli) {
    spoor *store = NULL;
    int code = sp_cli_open(cli, SPOOR_READ_ONLY, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    code = sp_cli_upcast(cli, store);
    if (code != SP_EXIT_OK) {
        spoor_close(store);
        return code;
    }
    const char *name = cli->args.operands[0];
    spoor_stream stream = {.version = 0};
    spoor_error error = {.status = SPOOR_OK};
    spoor_status status = spoor_stream_get(store, name, &stream, &error);
    if (status == SPOOR_NOT_FOUND) {
        sp_cli_complain("there is no stream '%s' in %s", name, cli->place);
        code = SP_EXIT_NOT_FOUND;
    } else if (status != SPOOR_OK) {
        code = sp_cli_fail(&error);
    } else {
        spoor_query query = sp_cli_query(&cli->args);
        query.stream = name;
        code = sp_list_query(cli, store, &query, true, NULL);
    }
    spoor_close(store);
    return code;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static const struct sp_table_column RUN_COLUMNS[] = {
    {.title = "POSITION", .is_number = true},
    {.title = "STARTED (UTC)", .is_dim = true},
    {.title = "STATUS"},
    {.title = "EVENTS", .is_number = true},
    {.title = "LAST TYPE"},
    {.title = "RUN"},
};

struct runs {
    struct sp_cli *cli;
    struct sp_table table;
};

static void add_recorded(struct sp_out *out, const char *name, uint64_t time_us) {
    char text[SP_TIME_TEXT_SIZE];
    sp_time_format(time_us > SP_TIME_US_MAX ? SP_TIME_US_MAX : time_us, text);
    sp_out_json_text(out, name, sp_str_from(text));
}

static void show_run_json(struct sp_out *out, const spoor_run *run) {
    sp_out_print(out, "{");
    sp_out_json_text(out, "correlationid", sp_text_str(run->correlationid));
    sp_out_json_text(out, "status", sp_text_str(run->status));
    sp_out_json_u64(out, "events", run->event_count);
    sp_out_json_u64(out, "first_position", run->first_position);
    sp_out_json_u64(out, "last_position", run->last_position);
    sp_out_json_text(out, "first_type", sp_text_str(run->first_type));
    sp_out_json_text(out, "last_type", sp_text_str(run->last_type));
    sp_out_json_text(out, "first_time", sp_text_str(run->first_time));
    sp_out_json_text(out, "last_time", sp_text_str(run->last_time));
    add_recorded(out, "first_recordedtime", run->first_recorded_us);
    add_recorded(out, "last_recordedtime", run->last_recorded_us);
    sp_out_print(out, "}\n");
    sp_out_line_end(out);
}

static int show_run(void *context, const spoor_run *run) {
    struct runs *runs = context;
    if (runs->cli->wants_json) {
        show_run_json(&runs->cli->out, run);
    } else {
        spoor_event first = {.size = sizeof(first)};
        first.time = run->first_time;
        first.recorded_us = run->first_recorded_us;
        char time[SP_TEXT_TIME_SIZE];
        sp_text_event_time(&first, time);
        sp_table_add_u64(&runs->table, run->first_position);
        sp_table_add(&runs->table, sp_str_from(time));
        sp_table_add(&runs->table, sp_text_str(run->status));
        sp_table_add_u64(&runs->table, run->event_count);
        sp_table_add(&runs->table, sp_text_str(run->last_type));
        sp_table_add(&runs->table, sp_text_str(run->correlationid));
    }
    return sp_out_is_over(&runs->cli->out);
}

int sp_cmd_run_ls(struct sp_cli *cli) {
    spoor *store = NULL;
    int code = sp_cli_open(cli, SPOOR_READ_ONLY, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    struct runs runs = {.cli = cli};
    spoor_query query = sp_cli_query(&cli->args);
    spoor_error error = {.status = SPOOR_OK};
    sp_table_init(&runs.table, &cli->out, RUN_COLUMNS, sizeof(RUN_COLUMNS) / sizeof(*RUN_COLUMNS));
    spoor_status status = spoor_runs(store, &query, show_run, &runs, &error);
    sp_table_fini(&runs.table);
    code = status == SPOOR_OK ? SP_EXIT_OK : sp_cli_fail(&error);
    spoor_close(store);
    return code;
}

/* ---- one run --------------------------------------------------------------------------------- */

struct type_count {
    sp_str name; /* in names */
    uint64_t count;
};

/* What one run shows up to a moment, gathered while its events are read. */
struct run {
    struct sp_cli *cli;
    struct sp_buf names; /* its storage never moves: reserved at once */
    struct type_count types[TYPES_COUNTED_MAX];
    size_t type_count;
    uint64_t event_count;
    uint64_t first_position;
    uint64_t last_position;
    const char *status;
    const struct sp_run_step *step; /* NULL: the run as it is */
};

/*
 * How an event leaves its run, as spoor_runs has it: the last terminal event decides. NULL: as it
 * was.
 */
static const char *status_after(sp_str type) {
    static const struct {
        sp_str type;
        const char *status;
    } ENDINGS[] = {
        {SP_STR("run.completed"), "completed"},
        {SP_STR("conversation.completed"), "completed"},
        {SP_STR("conversation.ended"), "completed"},
        {SP_STR("agent.completed"), "completed"},
        {SP_STR("run.failed"), "failed"},
        {SP_STR("conversation.failed"), "failed"},
        {SP_STR("agent.failed"), "failed"},
    };
    for (size_t i = 0; i < sizeof(ENDINGS) / sizeof(*ENDINGS); i++) {
        if (sp_str_eq(type, ENDINGS[i].type)) {
            return ENDINGS[i].status;
        }
    }
    return NULL;
}

static void count_type(struct run *run, sp_str type) {
    for (size_t i = 0; i < run->type_count; i++) {
        if (sp_str_eq(run->types[i].name, type)) {
            run->types[i].count++;
            return;
        }
    }
    if (run->type_count == TYPES_COUNTED_MAX) {
        return;
    }
    size_t start = run->names.len;
    sp_buf_add_str(&run->names, type);
    run->types[run->type_count++] = (struct type_count){
        .name = sp_str_of(run->names.data + start, type.len),
        .count = 1,
    };
}

static void count_event(struct run *run, const spoor_event *event) {
    sp_str type = sp_text_str(event->type);
    const char *status = status_after(type);
    run->status = status != NULL ? status : run->status;
    run->event_count++;
    run->first_position = run->first_position == 0 ? event->position : run->first_position;
    run->last_position = event->position;
    count_type(run, type);
}

static int show_run_event(void *context, spoor_cursor *cursor, const spoor_event *event) {
    struct run *run = context;
    struct sp_buf *buf = &run->cli->out.buf;
    if (run->event_count > 0) {
        sp_buf_add_byte(buf, ',');
    }
    count_event(run, event);
    int code = sp_cli_add_json(run->cli, buf, cursor, event);
    if (code == SP_EXIT_OK && buf->len > 0 && buf->data[buf->len - 1] == '\n') {
        buf->len--;
    }
    sp_out_line_end(&run->cli->out);
    return code;
}

static int count_run_event(void *context, spoor_cursor *cursor, const spoor_event *event) {
    (void)cursor;
    count_event(context, event);
    return SP_EXIT_OK;
}

static void show_types(struct sp_out *out, const struct run *run) {
    sp_out_print(out, ",\"types\":{");
    for (size_t i = 0; i < run->type_count; i++) {
        struct sp_buf name;
        sp_buf_init(&name, SIZE_MAX);
        sp_buf_add_str(&name, run->types[i].name);
        sp_buf_add_byte(&name, '\0');
        sp_out_json_u64(out, (const char *)name.data, run->types[i].count);
        sp_buf_fini(&name);
    }
    sp_out_print(out, "}");
}

/* One object: its events as they come, then what they add up to. */
static int show_run_object(struct run *run, spoor *store, spoor_cursor *cursor, const char *id) {
    struct sp_out *out = &run->cli->out;
    sp_out_print(out, "{");
    sp_out_json_text(out, "correlationid", sp_str_from(id));
    sp_out_print(out, ",\"events\":[");
    int code = sp_cli_read(run->cli, cursor, show_run_event, run, NULL);
    sp_out_print(out, "]");
    sp_out_json_text(out, "status", sp_str_from(run->status));
    sp_out_json_u64(out, "event_count", run->event_count);
    sp_out_json_u64(out, "first_position", run->first_position);
    sp_out_json_u64(out, "last_position", run->last_position);
    show_types(out, run);
    if (run->step != NULL && code == SP_EXIT_OK) {
        code = sp_run_step_json(run->cli, store, run->step);
    }
    sp_out_print(out, "}\n");
    return code;
}

/* For people: how it stands, then its events. Two reads, as the head comes first. */
static int show_run_table(struct run *run, spoor *store, const spoor_query *query) {
    struct sp_out *out = &run->cli->out;
    (void)sp_text_add(&out->buf, sp_str_from(query->correlation), SP_TEXT_WHOLE);
    sp_out_print(out, ": %s, %" PRIu64 " event%s, positions %" PRIu64 " to %" PRIu64 "\n",
                 run->status, run->event_count, run->event_count == 1 ? "" : "s",
                 run->first_position, run->last_position);
    for (size_t i = 0; i < run->type_count; i++) {
        sp_out_print(out, "%8" PRIu64 "  ", run->types[i].count);
        (void)sp_text_add(&out->buf, run->types[i].name, SP_TEXT_WHOLE);
        sp_out_print(out, "\n");
    }
    sp_out_print(out, "\n");
    return run->step != NULL ? sp_run_step_show(run->cli, store, run->step)
                             : sp_list_query(run->cli, store, query, false, NULL);
}

static int show_one_run(struct run *run, spoor *store) {
    spoor_query query = {.size = sizeof(query)};
    query.correlation = run->cli->args.operands[0];
    query.until = run->step != NULL ? run->step->until : NULL;
    spoor_cursor *cursor = NULL;
    spoor_error error = {.status = SPOOR_OK};
    if (spoor_read(store, &query, &cursor, &error) != SPOOR_OK) {
        return sp_cli_fail(&error);
    }
    int code = SP_EXIT_OK;
    if (run->cli->wants_json) {
        code = show_run_object(run, store, cursor, query.correlation);
    } else {
        code = sp_cli_read(run->cli, cursor, count_run_event, run, NULL);
        if (run->event_count > 0) {
            int shown = show_run_table(run, store, &query);
            code = code == SP_EXIT_OK ? shown : code;
        }
    }
    if (code == SP_EXIT_OK && run->event_count == 0) {
        sp_buf_reset(&run->cli->out.buf);
        sp_cli_complain("no event of the run '%s' in %s", query.correlation, run->cli->place);
        return SP_EXIT_NOT_FOUND;
    }
    return code;
}

static int show_run_at(struct run *run, spoor *store, const char *at) {
    struct sp_run_step step;
    if (at == NULL) {
        return show_one_run(run, store);
    }
    int code = sp_run_step_init(run->cli, store, run->cli->args.operands[0], at, &step);
    run->step = &step;
    code = code == SP_EXIT_OK ? show_one_run(run, store) : code;
    sp_run_step_fini(&step);
    return code;
}

int sp_cmd_run_show(struct sp_cli *cli) {
    spoor *store = NULL;
    int code = sp_cli_open(cli, SPOOR_READ_ONLY, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    code = sp_cli_upcast(cli, store);
    if (code != SP_EXIT_OK) {
        spoor_close(store);
        return code;
    }
    struct run *run = calloc(1, sizeof(*run));
    sp_require(run != NULL);
    run->cli = cli;
    run->status = "running";
    sp_buf_init(&run->names, TYPES_COUNTED_MAX * 256);
    if (sp_buf_reserve(&run->names, TYPES_COUNTED_MAX * 256) == NULL) {
        sp_cli_complain("no memory");
        code = SP_EXIT_FAILURE;
    } else {
        code = show_run_at(run, store, cli->args.values[SP_FLAG_AT]);
    }
    sp_buf_fini(&run->names);
    free(run);
    spoor_close(store);
    return code;
}
