#include "cli/run_step.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "cli/list.h"
#include "cli/state.h"
#include "cli/text.h"
#include "event/moment.h"
#include "os/os.h"

enum { EVENTS_MAX = 1 << 24, EVENTS_SHOWN = 5 };

/* ---- which event ----------------------------------------------------------------------------- */

struct one {
    uint64_t position;
    uint64_t time_us; /* its own, or recorded */
    uint64_t recorded_us;
    uint32_t entry_seq;
};

struct finding {
    struct sp_buf all; /* of struct one */
    uint64_t count;
};

static int note_one(void *context, spoor_cursor *cursor, const spoor_event *event) {
    (void)cursor;
    struct finding *finding = context;
    struct one one = {.position = event->position,
                      .time_us = event->recorded_us,
                      .recorded_us = event->recorded_us,
                      .entry_seq = event->entry_seq};
    uint64_t time_us = 0;
    if (event->time.ptr != NULL) {
        one.time_us =
            sp_time_parse(sp_text_str(event->time), false, &time_us, NULL) == SP_OK ? time_us : 0;
    }
    sp_buf_add(&finding->all, &one, sizeof(one));
    finding->count++;
    return finding->all.status == SP_OK ? SP_EXIT_OK : SP_EXIT_FAILURE;
}

static struct one one_at(const struct finding *finding, uint64_t number) {
    struct one one;
    memcpy(&one, finding->all.data + (number - 1) * sizeof(one), sizeof(one));
    return one;
}

static bool had_happened(const struct one *one, const struct sp_moment *moment) {
    switch (moment->kind) {
    case SP_MOMENT_POSITION:
        return one->position <= moment->position;
    case SP_MOMENT_ENTRY:
        return one->recorded_us / 1000 < moment->entry_ms ||
               (one->recorded_us / 1000 == moment->entry_ms && one->entry_seq <= moment->entry_seq);
    case SP_MOMENT_TIME:
        return one->time_us <= moment->time_us;
    case SP_MOMENT_NOW:
        return true;
    }
    return false;
}

/* The number of the last event that had happened; 0: none. */
static uint64_t last_of(const struct finding *finding, const struct sp_moment *moment) {
    for (uint64_t number = finding->count; number > 0; number--) {
        struct one one = one_at(finding, number);
        if (had_happened(&one, moment)) {
            return number;
        }
    }
    return 0;
}

static int find(struct sp_cli *cli, const struct finding *finding, const char *at,
                struct sp_run_step *step) {
    struct sp_moment moment;
    struct sp_error error;
    struct sp_clock clock = sp_clock_system();
    if (finding->count == 0) {
        sp_cli_complain("no event of the run '%s' in %s", step->run, cli->place);
        return SP_EXIT_NOT_FOUND;
    }
    if (sp_moment_parse(sp_str_from(at), clock.wall_us(clock.context), &moment, &error) != SP_OK) {
        sp_cli_complain("--at: %s", error.text);
        return SP_EXIT_USAGE;
    }
    bool is_number = moment.kind == SP_MOMENT_POSITION && moment.position >= 1 &&
                     moment.position <= finding->count;
    step->number = is_number ? moment.position : last_of(finding, &moment);
    if (step->number == 0) {
        sp_cli_complain("no event of the run '%s' in %s at %s: its first is at position %" PRIu64,
                        step->run, cli->place, at, one_at(finding, 1).position);
        return SP_EXIT_NOT_FOUND;
    }
    uint64_t shown = step->number > EVENTS_SHOWN ? step->number - EVENTS_SHOWN + 1 : 1;
    step->of = finding->count;
    step->position = one_at(finding, step->number).position;
    step->position_before = step->number > 1 ? one_at(finding, step->number - 1).position : 0;
    step->position_shown = one_at(finding, shown).position;
    (void)snprintf(step->until, sizeof(step->until), "%" PRIu64, step->position);
    return SP_EXIT_OK;
}

/* ---- its row --------------------------------------------------------------------------------- */

/* What cannot be asked is said, and shown as nothing. */
static void ask_row(struct sp_cli *cli, spoor *store, const char *run, uint64_t position,
                    struct sp_buf *to) {
    spoor_query query = SPOOR_QUERY_INIT;
    spoor_state_options options = SPOOR_STATE_INIT;
    char until[SP_RUN_POSITION_SIZE];
    (void)snprintf(until, sizeof(until), "%" PRIu64, position);
    query.correlation = run;
    query.until = until;
    options.projection = "runs";
    options.table = "runs";
    options.query = &query;
    if (sp_state_ask(cli, store, &options, to) != SP_EXIT_OK) {
        sp_buf_reset(to);
    }
}

int sp_run_step_init(struct sp_cli *cli, spoor *store, const char *run, const char *at,
                     struct sp_run_step *step) {
    struct finding finding = {.count = 0};
    spoor_query query = SPOOR_QUERY_INIT;
    spoor_cursor *cursor = NULL;
    spoor_error error = {.status = SPOOR_OK};
    *step = (struct sp_run_step){.run = run};
    sp_buf_init(&step->before, SIZE_MAX);
    sp_buf_init(&step->after, SIZE_MAX);
    sp_buf_init(&finding.all, EVENTS_MAX * sizeof(struct one));
    query.correlation = run;
    if (spoor_read(store, &query, &cursor, &error) != SPOOR_OK) {
        return sp_cli_fail(&error);
    }
    int code = sp_cli_read(cli, cursor, note_one, &finding, NULL);
    code = code == SP_EXIT_OK ? find(cli, &finding, at, step) : code;
    sp_buf_fini(&finding.all);
    if (code == SP_EXIT_OK) {
        if (step->position_before > 0) {
            ask_row(cli, store, run, step->position_before, &step->before);
        }
        ask_row(cli, store, run, step->position, &step->after);
    }
    return code;
}

void sp_run_step_fini(struct sp_run_step *step) {
    sp_buf_fini(&step->before);
    sp_buf_fini(&step->after);
}

/* The row of an answer: an array of values. A NULL ptr: none. */
static sp_str row_of(const struct sp_buf *answer) {
    struct sp_json json;
    struct sp_json_token token;
    sp_str row = {.ptr = NULL};
    sp_str rows = sp_state_member(sp_buf_str(answer), "rows", &token);
    if (sp_state_begin(rows, &json) && !sp_state_next(&json, &token, &row)) {
        row.ptr = NULL;
    }
    return row;
}

/* Walks the columns of both rows side by side; a value that is not there is null. */
struct sides {
    struct sp_json names;
    struct sp_json rows[2];
    bool has[2];
    struct sp_json_token name;
    struct sp_json_token tokens[2];
    sp_str raws[2];
};

static bool sides_begin(const struct sp_run_step *step, struct sides *sides) {
    struct sp_json_token token;
    sp_str rows[2] = {row_of(&step->before), row_of(&step->after)};
    for (int i = 0; i < 2; i++) {
        sides->has[i] = rows[i].ptr != NULL && sp_state_begin(rows[i], &sides->rows[i]);
    }
    const struct sp_buf *told = sides->has[1] ? &step->after : &step->before;
    return (sides->has[0] || sides->has[1]) &&
           sp_state_begin(sp_state_member(sp_buf_str(told), "columns", &token), &sides->names);
}

static bool sides_next(struct sides *sides) {
    sp_str raw;
    if (!sp_state_next(&sides->names, &sides->name, &raw)) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        sides->raws[i] = SP_STR("null");
        sides->tokens[i] = (struct sp_json_token){.type = SP_JSON_NULL, .raw = SP_STR("null")};
        if (sides->has[i] && !sp_state_next(&sides->rows[i], &sides->tokens[i], &sides->raws[i])) {
            return false;
        }
    }
    return true;
}

static bool is_changed(const struct sides *sides) {
    return !sp_str_eq(sides->raws[0], sides->raws[1]);
}

/* ---- for people ------------------------------------------------------------------------------ */

static const struct sp_table_column COLUMNS[] = {
    {.title = ""},
    {.title = "COLUMN"},
    {.title = "BEFORE", .is_dim = true},
    {.title = "AFTER"},
};

static void add_cell(struct sp_table *table, struct sp_json_token token, sp_str raw,
                     struct sp_buf *text) {
    sp_buf_reset(text);
    if (token.type == SP_JSON_STRING) {
        sp_json_unescape(text, token.raw);
    } else if (token.type != SP_JSON_NULL) {
        sp_buf_add_str(text, raw);
    }
    sp_table_add(table, sp_buf_str(text));
}

static void show_changes(struct sp_cli *cli, const struct sp_run_step *step) {
    struct sides sides;
    struct sp_table table;
    struct sp_buf text;
    if (!sides_begin(step, &sides)) {
        return;
    }
    sp_buf_init(&text, SIZE_MAX);
    sp_table_init(&table, &cli->out, COLUMNS, sizeof(COLUMNS) / sizeof(*COLUMNS));
    while (sides_next(&sides)) {
        if (sides.tokens[0].type == SP_JSON_NULL && sides.tokens[1].type == SP_JSON_NULL) {
            continue;
        }
        sp_table_add(&table, is_changed(&sides) ? SP_STR("*") : SP_STR(""));
        sp_table_add(&table, sides.name.raw);
        add_cell(&table, sides.tokens[0], sides.raws[0], &text);
        add_cell(&table, sides.tokens[1], sides.raws[1], &text);
    }
    sp_table_fini(&table);
    sp_buf_fini(&text);
    sp_out_print(&cli->out, "\n");
}

static void show_neighbours(struct sp_cli *cli, const struct sp_run_step *step) {
    struct sp_out *out = &cli->out;
    sp_out_print(out, "\n");
    if (step->number > 1) {
        sp_out_print(out, "before: --at %" PRIu64 "%s", step->number - 1,
                     step->number < step->of ? "   " : "\n");
    }
    if (step->number < step->of) {
        sp_out_print(out, "next: --at %" PRIu64 "\n", step->number + 1);
    }
}

int sp_run_step_show(struct sp_cli *cli, spoor *store, const struct sp_run_step *step) {
    char from[SP_RUN_POSITION_SIZE];
    spoor_query query = SPOOR_QUERY_INIT;
    sp_out_print(&cli->out, "event %" PRIu64 " of %" PRIu64 ", position %" PRIu64 "\n\n",
                 step->number, step->of, step->position);
    show_changes(cli, step);
    (void)snprintf(from, sizeof(from), "%" PRIu64, step->position_shown);
    query.correlation = step->run;
    query.from = from;
    query.until = step->until;
    int code = sp_list_query(cli, store, &query, false, NULL);
    show_neighbours(cli, step);
    return code;
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static int add_event(void *context, spoor_cursor *cursor, const spoor_event *event) {
    struct sp_cli *cli = context;
    struct sp_buf *buf = &cli->out.buf;
    int code = sp_cli_add_json(cli, buf, cursor, event);
    if (code == SP_EXIT_OK && buf->len > 0 && buf->data[buf->len - 1] == '\n') {
        buf->len--;
    }
    return code;
}

static int event_json(struct sp_cli *cli, spoor *store, const struct sp_run_step *step) {
    spoor_query query = SPOOR_QUERY_INIT;
    spoor_cursor *cursor = NULL;
    spoor_error error = {.status = SPOOR_OK};
    query.correlation = step->run;
    query.from = step->until;
    query.until = step->until;
    if (spoor_read(store, &query, &cursor, &error) != SPOOR_OK) {
        return sp_cli_fail(&error);
    }
    sp_out_print(&cli->out, ",\"event\":");
    return sp_cli_read(cli, cursor, add_event, cli, NULL);
}

static void side_json(struct sp_cli *cli, const struct sp_run_step *step, int side) {
    struct sp_buf *to = &cli->out.buf;
    struct sides sides;
    bool is_first = true;
    sp_out_print(&cli->out, ",\"%s\":", side == 0 ? "before" : "after");
    if (!sides_begin(step, &sides) || !sides.has[side]) {
        sp_out_print(&cli->out, "null");
        return;
    }
    while (sides_next(&sides)) {
        sp_out_print(&cli->out, "%s\"", is_first ? "{" : ",");
        sp_buf_add_str(to, sides.name.raw);
        sp_out_print(&cli->out, "\":");
        sp_buf_add_str(to, sides.raws[side]);
        is_first = false;
    }
    sp_out_print(&cli->out, "}");
}

static void changed_json(struct sp_cli *cli, const struct sp_run_step *step) {
    struct sides sides;
    bool is_first = true;
    sp_out_print(&cli->out, ",\"changed\":[");
    for (bool more = sides_begin(step, &sides); more && sides_next(&sides);) {
        if (is_changed(&sides)) {
            sp_out_print(&cli->out, "%s\"", is_first ? "" : ",");
            sp_buf_add_str(&cli->out.buf, sides.name.raw);
            sp_out_print(&cli->out, "\"");
            is_first = false;
        }
    }
    sp_out_print(&cli->out, "]");
}

int sp_run_step_json(struct sp_cli *cli, spoor *store, const struct sp_run_step *step) {
    struct sp_out *out = &cli->out;
    sp_out_print(out, ",\"at\":{");
    sp_out_json_u64(out, "number", step->number);
    sp_out_json_u64(out, "of", step->of);
    sp_out_json_u64(out, "position", step->position);
    if (step->number > 1) {
        sp_out_json_u64(out, "previous", step->number - 1);
    }
    if (step->number < step->of) {
        sp_out_json_u64(out, "next", step->number + 1);
    }
    sp_out_print(out, "}");
    int code = event_json(cli, store, step);
    side_json(cli, step, 0);
    side_json(cli, step, 1);
    changed_json(cli, step);
    return code;
}
