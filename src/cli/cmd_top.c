/*
 * top: what a server does, each second anew.
 *
 * A sample is asked for whole before anything is shown. On a terminal it is drawn on the other
 * screen, which is left again however the command ends; piped, each sample is an object of JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/agents.h"
#include "cli/interrupt.h"
#include "cli/server.h"
#include "cli/table.h"
#include "cli/text.h"

enum {
    PERIOD_MS = 1000,
    GROUPS_MAX = 100, /* whose lag is asked for */
    AGENTS_SHOWN = 20,
};

static const struct sp_table_column GROUP_COLUMNS[] = {
    {.title = "GROUP", .columns_max = 24},     {.title = "KEY", .columns_max = 32},
    {.title = "BEHIND", .is_number = true},    {.title = "SECONDS", .is_number = true},
    {.title = "IN FLIGHT", .is_number = true}, {.title = "WAITING", .is_number = true},
    {.title = "DEAD", .is_number = true},
};

/* What is asked for, and the facts it is made of. */
struct sample {
    struct sp_answer store;  /* SPOOR.INFO */
    struct sp_answer server; /* INFO, a text */
    struct sp_answer groups; /* SPOOR.GROUP LIST */
    struct sp_answer agents; /* SPOOR.AGENT LIST */
    struct sp_answer lags[GROUPS_MAX];
    uint32_t lag_count;
    uint64_t at_ms;
    double rate; /* events a second since the sample before */
};

struct top {
    struct sp_cli *cli;
    struct sp_client *client;
    struct sample sample;
    uint64_t last_position; /* of the sample before */
    uint64_t last_ms;       /* 0: there was none */
};

/* ---- asking ---------------------------------------------------------------------------------- */

static void drop_sample(struct sample *sample) {
    sp_answer_fini(&sample->store);
    sp_answer_fini(&sample->server);
    sp_answer_fini(&sample->groups);
    sp_answer_fini(&sample->agents);
    for (uint32_t i = 0; i < sample->lag_count; i++) {
        sp_answer_fini(&sample->lags[i]);
    }
    sample->lag_count = 0;
}

static int ask_two(struct top *top, const char *first, const char *second,
                   struct sp_answer *answer) {
    const sp_str words[] = {sp_str_from(first), sp_str_from(second)};
    return sp_server_ask(top->client, words, second != NULL ? 2 : 1, answer);
}

static int ask_lags(struct top *top) {
    struct sample *sample = &top->sample;
    const struct sp_reply_node *list = sp_answer_node(&sample->groups);
    const struct sp_reply_node *at = sp_reply_child(list);
    int code = SP_EXIT_OK;
    for (uint32_t i = 0; i < list->count && i < GROUPS_MAX && code == SP_EXIT_OK; i++) {
        const sp_str words[] = {SP_STR("SPOOR.GROUP"), SP_STR("LAG"), sp_server_text(at, "name"),
                                sp_server_text(at, "key")};
        code = sp_server_ask(top->client, words, 4, &sample->lags[i]);
        sample->lag_count += code == SP_EXIT_OK;
        at = sp_reply_next(at);
    }
    return code;
}

static void find_rate(struct top *top) {
    struct sample *sample = &top->sample;
    uint64_t position =
        sp_answer_u64(sp_reply_find(sp_answer_node(&sample->store), "last_position"));
    sample->at_ms = sp_client_now_ms();
    uint64_t passed_ms = sample->at_ms - top->last_ms;
    sample->rate = top->last_ms != 0 && passed_ms > 0
                       ? (double)(position - top->last_position) * 1000.0 / (double)passed_ms
                       : 0;
    top->last_position = position;
    top->last_ms = sample->at_ms;
}

static int take_sample(struct top *top) {
    struct sample *sample = &top->sample;
    sample->lag_count = 0;
    sp_answer_init(&sample->store);
    sp_answer_init(&sample->server);
    sp_answer_init(&sample->groups);
    sp_answer_init(&sample->agents);
    int code = ask_two(top, "SPOOR.INFO", NULL, &sample->store);
    if (code == SP_EXIT_OK) {
        find_rate(top);
        code = ask_two(top, "INFO", "clients", &sample->server);
    }
    if (code == SP_EXIT_OK) {
        code = ask_two(top, "SPOOR.GROUP", "LIST", &sample->groups);
    }
    if (code == SP_EXIT_OK) {
        code = ask_two(top, "SPOOR.AGENT", "LIST", &sample->agents);
    }
    return code == SP_EXIT_OK ? ask_lags(top) : code;
}

/* The number behind `name:` in INFO's text. */
static uint64_t info_number(const struct sample *sample, const char *name) {
    sp_str text = sp_answer_text(sp_answer_node(&sample->server));
    size_t len = strlen(name);
    for (size_t i = 0; i + len < text.len; i++) {
        if (memcmp(text.ptr + i, name, len) == 0 && text.ptr[i + len] == ':') {
            uint64_t value = 0;
            for (i += len + 1; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
                value = value * 10 + (uint64_t)(text.ptr[i] - '0');
            }
            return value;
        }
    }
    return 0;
}

static uint64_t sum_dead(const struct sample *sample) {
    const struct sp_reply_node *list = sp_answer_node(&sample->groups);
    const struct sp_reply_node *at = sp_reply_child(list);
    uint64_t dead = 0;
    for (uint32_t i = 0; i < list->count; i++, at = sp_reply_next(at)) {
        dead += sp_answer_u64(sp_reply_find(at, "dead"));
    }
    return dead;
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static void add_groups_json(struct sp_out *out, const struct sample *sample) {
    const struct sp_reply_node *list = sp_answer_node(&sample->groups);
    const struct sp_reply_node *at = sp_reply_child(list);
    sp_out_print(out, ",\"groups\":[");
    for (uint32_t i = 0; i < sample->lag_count; i++, at = sp_reply_next(at)) {
        sp_out_print(out, i > 0 ? ",{" : "{");
        sp_out_json_text(out, "name", sp_server_text(at, "name"));
        sp_out_json_text(out, "key", sp_server_text(at, "key"));
        size_t from = out->buf.len;
        sp_server_add_object(out, sp_answer_node(&sample->lags[i]));
        out->buf.data[from] = ',';
    }
    sp_out_print(out, "]");
}

static void add_agents_json(struct sp_out *out, const struct sample *sample) {
    const struct sp_reply_node *list = sp_answer_node(&sample->agents);
    const struct sp_reply_node *at = sp_reply_child(list);
    sp_out_print(out, ",\"agents\":[");
    for (uint32_t i = 0; i < list->count; i++, at = sp_reply_next(at)) {
        sp_out_print(out, "%s%.*s", i > 0 ? "," : "", SP_STR_ARG(at->text));
    }
    sp_out_print(out, "]");
}

static void show_json(struct top *top) {
    struct sp_out *out = &top->cli->out;
    const struct sample *sample = &top->sample;
    const struct sp_reply_node *store = sp_answer_node(&sample->store);
    sp_out_print(out, "{");
    sp_out_json_text(out, "url", sp_str_from(sp_client_shown(top->client)));
    sp_out_json_u64(out, "position", sp_answer_u64(sp_reply_find(store, "last_position")));
    sp_out_print(out, ",\"rate\":%.1f", sample->rate);
    sp_out_json_u64(out, "streams", sp_answer_u64(sp_reply_find(store, "stream_count")));
    sp_out_json_u64(out, "bytes_on_disk", sp_answer_u64(sp_reply_find(store, "bytes_on_disk")));
    sp_out_json_u64(out, "clients", info_number(sample, "connected_clients"));
    sp_out_json_u64(out, "dead", sum_dead(sample));
    add_groups_json(out, sample);
    add_agents_json(out, sample);
    sp_out_print(out, "}\n");
}

/* ---- on a terminal --------------------------------------------------------------------------- */

static void show_head(struct top *top) {
    struct sp_out *out = &top->cli->out;
    const struct sample *sample = &top->sample;
    const struct sp_reply_node *store = sp_answer_node(&sample->store);
    char bytes[SP_TEXT_BYTES_SIZE];
    sp_text_bytes(sp_answer_u64(sp_reply_find(store, "bytes_on_disk")), bytes);
    sp_out_print(out, out->has_colour ? "\x1b[1m%s\x1b[0m\n" : "%s\n",
                 sp_client_shown(top->client));
    sp_out_print(out, "%" PRIu64 " events, %.0f/s, %" PRIu64 " streams, %s on disk\n",
                 sp_answer_u64(sp_reply_find(store, "last_position")), sample->rate,
                 sp_answer_u64(sp_reply_find(store, "stream_count")), bytes);
    sp_out_print(out, "%" PRIu64 " clients, %" PRIu64 " blocked, %" PRIu64 " dead letters\n\n",
                 info_number(sample, "connected_clients"), info_number(sample, "blocked_clients"),
                 sum_dead(sample));
}

static void show_groups(struct sp_out *out, const struct sample *sample) {
    static const char *const KEYS[] = {"events", "seconds", "in-flight", "waiting", "dead"};
    struct sp_table table;
    const struct sp_reply_node *at = sp_reply_child(sp_answer_node(&sample->groups));
    sp_table_init(&table, out, GROUP_COLUMNS, sizeof(GROUP_COLUMNS) / sizeof(*GROUP_COLUMNS));
    for (uint32_t i = 0; i < sample->lag_count; i++, at = sp_reply_next(at)) {
        const struct sp_reply_node *lag = sp_answer_node(&sample->lags[i]);
        sp_table_add(&table, sp_server_text(at, "name"));
        sp_table_add(&table, sp_server_text(at, "key"));
        for (size_t k = 0; k < sizeof(KEYS) / sizeof(*KEYS); k++) {
            sp_table_add(&table, sp_server_text(lag, KEYS[k]));
        }
    }
    sp_table_fini(&table);
}

static void show_agents(struct sp_out *out, const struct sample *sample) {
    const struct sp_reply_node *list = sp_answer_node(&sample->agents);
    const struct sp_reply_node *at = sp_reply_child(list);
    struct sp_table table;
    sp_out_print(out, list->count > 0 ? "\n" : "");
    sp_agents_table(&table, out);
    for (uint32_t i = 0; i < list->count && i < AGENTS_SHOWN; i++, at = sp_reply_next(at)) {
        sp_agents_add_row(&table, at->text);
    }
    sp_table_fini(&table);
    if (list->count > AGENTS_SHOWN) {
        sp_out_print(out, "and %u more\n", list->count - AGENTS_SHOWN);
    }
}

static void show_sample(struct top *top, bool whole_screen) {
    struct sp_out *out = &top->cli->out;
    if (top->cli->wants_json) {
        show_json(top);
    } else {
        sp_out_print(out, whole_screen ? "\x1b[H\x1b[2J" : "");
        show_head(top);
        show_groups(out, &top->sample);
        show_agents(out, &top->sample);
    }
    sp_out_flush(out);
}

/* ---- each second ----------------------------------------------------------------------------- */

static int watch(struct top *top, struct sp_interrupt *interrupt, bool once, bool whole_screen) {
    for (;;) {
        int code = take_sample(top);
        if (code == SP_EXIT_OK) {
            show_sample(top, whole_screen);
        }
        drop_sample(&top->sample);
        if (code != SP_EXIT_OK || once || sp_out_is_over(&top->cli->out)) {
            return code;
        }
        if (sp_interrupt_wait(interrupt, -1, PERIOD_MS) == SP_INTERRUPT_CAME) {
            return SP_EXIT_OK; /* it has no other end */
        }
    }
}

int sp_cmd_top(struct sp_cli *cli) {
    struct top top = {.cli = cli};
    struct sp_interrupt interrupt;
    bool once = cli->args.own_values[SP_TOP_ONCE] != NULL;
    bool whole_screen = cli->out.is_terminal && !cli->wants_json && !once;
    sp_interrupt_open(&interrupt);
    int code = sp_server_connect(cli, &top.client);
    if (code == SP_EXIT_OK) {
        sp_out_print(&cli->out, whole_screen ? "\x1b[?1049h\x1b[?25l" : "");
        code = watch(&top, &interrupt, once, whole_screen);
        sp_out_print(&cli->out, whole_screen ? "\x1b[?25h\x1b[?1049l" : "");
        sp_out_flush(&cli->out);
        sp_client_close(top.client);
    }
    sp_interrupt_close(&interrupt);
    return code;
}
