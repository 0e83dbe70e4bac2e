/* dead: what groups gave up. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/server.h"
#include "cli/table.h"
#include "cli/text.h"

enum { PAGE = 100 };

static const struct sp_table_column COLUMNS[] = {
    {.title = "ID"},
    {.title = "TIME (UTC)", .is_dim = true},
    {.title = "POSITION", .is_number = true},
    {.title = "ATTEMPTS", .is_number = true},
    {.title = "REASON"},
    {.title = "ERROR"},
};

struct listing {
    struct sp_cli *cli;
    struct sp_client *client;
    struct sp_table table;
    uint64_t left;
    uint64_t after; /* position of the last one shown */
};

static void show_one(struct listing *listing, const struct sp_reply_node *map) {
    struct sp_out *out = &listing->cli->out;
    listing->after = sp_answer_u64(sp_reply_find(map, "position"));
    if (listing->cli->wants_json) {
        sp_server_add_object(out, map);
        sp_out_print(out, "\n");
        sp_out_line_end(out);
        return;
    }
    char time[SP_TEXT_TIME_SIZE];
    sp_text_time(sp_answer_u64(sp_reply_find(map, "time")) * 1000, time);
    sp_table_add(&listing->table, sp_server_text(map, "id"));
    sp_table_add(&listing->table, sp_str_from(time));
    sp_table_add(&listing->table, sp_server_text(map, "position"));
    sp_table_add(&listing->table, sp_server_text(map, "attempts"));
    sp_table_add(&listing->table, sp_server_text(map, "reason"));
    sp_table_add(&listing->table, sp_server_text(map, "error"));
}

/* Shows a page; *ret_count: how many it held. */
static int show_page(struct listing *listing, uint64_t *ret_count) {
    struct sp_answer answer;
    char count[24];
    char after[24];
    const struct sp_args *args = &listing->cli->args;
    uint64_t wanted = listing->left < PAGE ? listing->left : PAGE;
    (void)snprintf(count, sizeof(count), "%" PRIu64, wanted);
    (void)snprintf(after, sizeof(after), "%" PRIu64, listing->after);
    const sp_str words[] = {SP_STR("SPOOR.DEAD"),
                            SP_STR("LIST"),
                            sp_str_from(args->operands[1]),
                            sp_str_from(args->operands[0]),
                            SP_STR("COUNT"),
                            sp_str_from(count),
                            SP_STR("AFTER"),
                            sp_str_from(after)};
    int code = sp_server_ask(listing->client, words, listing->after > 0 ? 8 : 6, &answer);
    if (code != SP_EXIT_OK) {
        return code;
    }
    const struct sp_reply_node *list = sp_answer_node(&answer);
    const struct sp_reply_node *at = sp_reply_child(list);
    for (uint32_t i = 0; i < list->count; i++, at = sp_reply_next(at)) {
        show_one(listing, at);
    }
    listing->left -= list->count < listing->left ? list->count : listing->left;
    *ret_count = list->count == wanted ? list->count : 0; /* a page that is not full is the last */
    sp_answer_fini(&answer);
    return SP_EXIT_OK;
}

int sp_cmd_dead_ls(struct sp_cli *cli) {
    uint64_t limit = sp_args_u64(&cli->args, SP_FLAG_LIMIT, 0);
    struct listing listing = {.cli = cli, .left = limit == 0 ? UINT64_MAX : limit};
    uint64_t count = 1;
    int code = sp_server_connect(cli, &listing.client);
    if (code != SP_EXIT_OK) {
        return code;
    }
    sp_table_init(&listing.table, &cli->out, COLUMNS, sizeof(COLUMNS) / sizeof(*COLUMNS));
    while (code == SP_EXIT_OK && listing.left > 0 && count > 0 && !sp_out_is_over(&cli->out)) {
        code = show_page(&listing, &count);
    }
    sp_table_fini(&listing.table);
    sp_client_close(listing.client);
    return code;
}

/* ---- redrive, discard ------------------------------------------------------------------------ */

static int settle(struct sp_cli *cli, const char *what, const char *done) {
    const struct sp_args *args = &cli->args;
    struct sp_answer answer;
    sp_str words[4 + SP_ARGS_OPERANDS_MAX] = {SP_STR("SPOOR.DEAD"), sp_str_from(what),
                                              sp_str_from(args->operands[1]),
                                              sp_str_from(args->operands[0])};
    size_t count = 4;
    bool all = args->own_values[SP_DEAD_ALL] != NULL;
    const char *oldest = args->own_values[SP_DEAD_OLDEST];
    if ((int)all + (oldest != NULL) + (args->operand_count > 2) != 1) {
        return sp_cli_usage(cli, "which ones? give ids, --count N or --all");
    }
    if (all) {
        words[count++] = SP_STR("ALL");
    } else if (oldest != NULL) {
        words[count++] = SP_STR("COUNT");
        words[count++] = sp_str_from(oldest);
    }
    for (size_t i = 2; i < args->operand_count; i++) {
        words[count++] = sp_str_from(args->operands[i]);
    }
    int code = sp_server_ask_once(cli, words, count, &answer);
    if (code == SP_EXIT_OK) {
        int64_t settled = sp_answer_node(&answer)->integer;
        if (cli->wants_json) {
            sp_out_print(&cli->out, "{\"%s\":%" PRId64 "}\n", done, settled);
        } else {
            sp_out_print(&cli->out, "%" PRId64 " %s\n", settled, done);
        }
        sp_answer_fini(&answer);
    }
    return code;
}

int sp_cmd_dead_redrive(struct sp_cli *cli) {
    return settle(cli, "REDRIVE", "redriven");
}

int sp_cmd_dead_discard(struct sp_cli *cli) {
    return settle(cli, "DISCARD", "discarded");
}
