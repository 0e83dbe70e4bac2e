/* tail: events as they come. */
#include <string.h>

#include "base/time.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/text.h"

enum {
    SLICE_MS = 100, /* how soon a signal is heard of; what comes is shown at once */
    TYPE_COLUMNS = 28,
    SOURCE_COLUMNS = 24,
};

/* What went wrong is red, what ended well green, what began blue. */
static const char *colour_of(sp_str type) {
    static const struct {
        const char *ending;
        const char *colour;
    } ENDINGS[] = {
        {"failed", "31"},    {"error", "31"},     {"rejected", "31"},  {"dead_lettered", "31"},
        {"timed_out", "31"}, {"completed", "32"}, {"succeeded", "32"}, {"approved", "32"},
        {"started", "34"},   {"created", "34"},   {"requested", "34"},
    };
    for (size_t i = 0; i < sizeof(ENDINGS) / sizeof(*ENDINGS); i++) {
        if (sp_str_ends_with(type, sp_str_from(ENDINGS[i].ending))) {
            return ENDINGS[i].colour;
        }
    }
    return "36";
}

/* A cell of at least so many columns; longer ones push the line. */
static void show_cell(struct sp_out *out, sp_str text, size_t columns, const char *colour) {
    if (out->has_colour) {
        sp_out_print(out, "\x1b[%sm", colour);
    }
    size_t shown = sp_text_add(&out->buf, text, SP_TEXT_WHOLE);
    if (out->has_colour) {
        sp_out_print(out, "\x1b[0m");
    }
    sp_text_add_blanks(&out->buf, (shown < columns ? columns - shown : 0) + 2);
}

static void show_line(struct sp_out *out, const spoor_event *event) {
    char time[SP_TEXT_TIME_SIZE];
    sp_text_event_time(event, time);
    sp_str type = sp_text_str(event->type);
    size_t used = 8 + TYPE_COLUMNS + SOURCE_COLUMNS + 6;
    show_cell(out, sp_str_from(time + 11), 8, "2"); /* the day is today */
    show_cell(out, type, TYPE_COLUMNS, colour_of(type));
    show_cell(out, sp_text_str(event->source), SOURCE_COLUMNS, "0");
    sp_text_add_summary(&out->buf, event, out->columns > used + 20 ? out->columns - used : 20);
    sp_out_print(out, "\n");
}

/* Without the hash, which would have to be asked for. */
static int show_json(struct sp_cli *cli, const spoor_event *event) {
    size_t len = 0;
    spoor_error error = {.status = SPOOR_OK};
    if (spoor_format_json(event, NULL, &cli->json, &cli->json_capacity, &len, &error) != SPOOR_OK) {
        return sp_cli_fail(&error);
    }
    sp_out_print(&cli->out, "%.*s\n", (int)len, cli->json);
    return SP_EXIT_OK;
}

/* Shows what comes until the limit, a signal or the end of who reads it. */
static int follow(struct sp_cli *cli, spoor_cursor *cursor, struct sp_interrupt *interrupt) {
    for (;;) {
        const spoor_event *event = NULL;
        spoor_error error = {.status = SPOOR_OK};
        /* What has come is shown before anything is waited for. */
        spoor_status status = spoor_next(cursor, 0, &event, &error);
        if (status == SPOOR_TIMEOUT) {
            sp_out_flush(&cli->out);
            status = spoor_next(cursor, SLICE_MS, &event, &error);
        }
        if (sp_out_is_over(&cli->out)) {
            return SP_EXIT_OK;
        }
        if (sp_interrupt_came(interrupt)) {
            return SP_EXIT_INTERRUPTED;
        }
        if (status == SPOOR_END) {
            return SP_EXIT_OK;
        }
        spoor_event room;
        if (status == SPOOR_OK) {
            int code = sp_cli_view(cli, event, &room, &event);
            if (code != SP_EXIT_OK) {
                return code;
            }
        }
        if (status == SPOOR_OK && cli->wants_json) {
            int code = show_json(cli, event);
            if (code != SP_EXIT_OK) {
                return code;
            }
        } else if (status == SPOOR_OK) {
            show_line(&cli->out, event);
        } else if (status == SPOOR_CORRUPT || status == SPOOR_NOT_FOUND) {
            sp_out_flush(&cli->out);
            (void)sp_cli_fail(&error); /* a gap, said; it goes on behind */
        } else if (status != SPOOR_TIMEOUT) {
            return sp_cli_fail(&error);
        }
    }
}

int sp_cmd_tail(struct sp_cli *cli) {
    const struct sp_args *args = &cli->args;
    spoor *store = NULL;
    spoor_cursor *cursor = NULL;
    spoor_error error = {.status = SPOOR_OK};
    struct sp_interrupt interrupt;
    sp_cli_want_server(cli);
    if (cli->url == NULL) {
        sp_cli_complain("tail asks a server, and a folder is named: --url or $SPOOR_URL names one");
        sp_cli_complain("'spoor serve --data %s' starts one for it", cli->folder);
        return SP_EXIT_USAGE;
    }
    sp_interrupt_open(&interrupt);
    int code = sp_cli_open(cli, 0, &store);
    code = code == SP_EXIT_OK ? sp_cli_upcast(cli, store) : code;
    if (code != SP_EXIT_OK) {
        spoor_close(store);
    } else {
        spoor_query query = sp_cli_query(args);
        const char *const patterns[] = {args->operands[0]};
        query.types = args->operand_count > 0 ? patterns : NULL;
        query.type_count = args->operand_count;
        query.from = query.from != NULL ? query.from : "now";
        code = spoor_subscribe(store, &query, &cursor, &error) == SPOOR_OK
                   ? follow(cli, cursor, &interrupt)
                   : sp_cli_fail(&error);
        spoor_cursor_close(cursor);
        spoor_close(store);
    }
    sp_interrupt_close(&interrupt);
    return code;
}
