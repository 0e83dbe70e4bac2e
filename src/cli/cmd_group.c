/* group: consumer groups of a server. */
#include <string.h>

#include "cli/server.h"
#include "cli/table.h"

static const struct sp_table_column COLUMNS[] = {
    {.title = "GROUP", .columns_max = 28},     {.title = "KEY", .columns_max = 40},
    {.title = "CONSUMERS", .is_number = true}, {.title = "IN FLIGHT", .is_number = true},
    {.title = "WAITING", .is_number = true},   {.title = "PARKED", .is_number = true},
    {.title = "DEAD", .is_number = true},
};

static const struct sp_table_column LAG_COLUMNS[] = {
    {.title = "GROUP", .columns_max = 28},   {.title = "KEY", .columns_max = 40},
    {.title = "BEHIND", .is_number = true},  {.title = "SECONDS", .is_number = true},
    {.title = "PENDING", .is_number = true}, {.title = "DEAD", .is_number = true},
};

/* One cell for each of the keys, the group's name and key first. */
static void add_row(struct sp_table *table, sp_str name, sp_str key,
                    const struct sp_reply_node *map, const char *const *keys, size_t count) {
    sp_table_add(table, name);
    sp_table_add(table, key);
    for (size_t i = 0; i < count; i++) {
        sp_table_add(table, sp_server_text(map, keys[i]));
    }
}

/* ---- ls -------------------------------------------------------------------------------------- */

static void show_groups(struct sp_cli *cli, const struct sp_reply_node *list) {
    static const char *const KEYS[] = {"consumers", "in-flight", "waiting", "parked", "dead"};
    struct sp_table table;
    const struct sp_reply_node *at = sp_reply_child(list);
    sp_table_init(&table, &cli->out, COLUMNS, sizeof(COLUMNS) / sizeof(*COLUMNS));
    for (uint32_t i = 0; i < list->count; i++, at = sp_reply_next(at)) {
        if (cli->wants_json) {
            sp_server_add_object(&cli->out, at);
            sp_out_print(&cli->out, "\n");
            sp_out_line_end(&cli->out);
        } else {
            add_row(&table, sp_server_text(at, "name"), sp_server_text(at, "key"), at, KEYS, 5);
        }
    }
    sp_table_fini(&table);
}

int sp_cmd_group_ls(struct sp_cli *cli) {
    struct sp_answer answer;
    const sp_str args[] = {SP_STR("SPOOR.GROUP"), SP_STR("LIST"),
                           sp_str_from(cli->args.operands[0])};
    int code = sp_server_ask_once(cli, args, cli->args.operand_count == 1 ? 3 : 2, &answer);
    if (code == SP_EXIT_OK) {
        show_groups(cli, sp_answer_node(&answer));
        sp_answer_fini(&answer);
    }
    return code;
}

/* ---- create, set, rm ------------------------------------------------------------------------- */

enum { WORDS_MAX = 4 + 2 * SP_GROUP_FLAG_COUNT };

/* The options of the command line in the order of their table, as words of SPOOR.GROUP. */
static size_t add_options(const struct sp_args *args, sp_str *words) {
    size_t count = 0;
    for (size_t i = 0; i < args->command->own_flag_count; i++) {
        if (args->own_values[i] == NULL) {
            continue;
        }
        words[count++] = sp_str_from(args->command->own_flags[i].name);
        if (i != SP_GROUP_MKSTREAM) {
            words[count++] = sp_str_from(args->own_values[i]);
        }
    }
    return count;
}

static int ask_group(struct sp_cli *cli, const char *what, int64_t *ret_number) {
    struct sp_answer answer;
    sp_str words[WORDS_MAX] = {SP_STR("SPOOR.GROUP"), sp_str_from(what),
                               sp_str_from(cli->args.operands[0]),
                               sp_str_from(cli->args.operands[1])};
    size_t count = 4 + add_options(&cli->args, words + 4);
    int code = sp_server_ask_once(cli, words, count, &answer);
    if (code == SP_EXIT_OK) {
        *ret_number = sp_answer_node(&answer)->integer;
        sp_answer_fini(&answer);
    }
    return code;
}

static int change(struct sp_cli *cli, const char *what, const char *done) {
    int64_t number = 0;
    int code = ask_group(cli, what, &number);
    if (code == SP_EXIT_OK) {
        sp_cli_say(cli, "group %s of %s is %s", cli->args.operands[0], cli->args.operands[1], done);
    }
    return code;
}

int sp_cmd_group_create(struct sp_cli *cli) {
    return change(cli, "CREATE", "made");
}

int sp_cmd_group_set(struct sp_cli *cli) {
    sp_str words[WORDS_MAX];
    if (add_options(&cli->args, words) == 0) {
        return sp_cli_usage(cli, "nothing to change: give an option of the policy");
    }
    return change(cli, "SET", "changed");
}

int sp_cmd_group_rm(struct sp_cli *cli) {
    int64_t was_there = 0;
    int code = ask_group(cli, "DROP", &was_there);
    if (code == SP_EXIT_OK && was_there == 0) {
        sp_cli_complain("there is no group %s of %s; 'spoor group ls' lists them",
                        cli->args.operands[0], cli->args.operands[1]);
        return SP_EXIT_NOT_FOUND;
    }
    if (code == SP_EXIT_OK) {
        sp_cli_say(cli, "group %s of %s is dropped", cli->args.operands[0], cli->args.operands[1]);
    }
    return code;
}

/* ---- lag ------------------------------------------------------------------------------------- */

static int show_lag(struct sp_cli *cli, struct sp_client *client, struct sp_table *table,
                    sp_str name, sp_str key) {
    static const char *const KEYS[] = {"events", "seconds", "pending", "dead"};
    struct sp_answer answer;
    const sp_str args[] = {SP_STR("SPOOR.GROUP"), SP_STR("LAG"), name, key};
    int code = sp_server_ask(client, args, 4, &answer);
    if (code != SP_EXIT_OK) {
        return code;
    }
    if (cli->wants_json) {
        struct sp_out *out = &cli->out;
        sp_out_print(out, "{");
        sp_out_json_text(out, "name", name);
        sp_out_json_text(out, "key", key);
        size_t at = out->buf.len;
        sp_server_add_object(out, sp_answer_node(&answer));
        out->buf.data[at] = ','; /* the members of one object */
        sp_out_print(out, "\n");
    } else {
        add_row(table, name, key, sp_answer_node(&answer), KEYS, 4);
    }
    sp_answer_fini(&answer);
    return SP_EXIT_OK;
}

static int show_all_lags(struct sp_cli *cli, struct sp_client *client, struct sp_table *table) {
    struct sp_answer answer;
    const sp_str args[] = {SP_STR("SPOOR.GROUP"), SP_STR("LIST")};
    int code = sp_server_ask(client, args, 2, &answer);
    if (code != SP_EXIT_OK) {
        return code;
    }
    const struct sp_reply_node *list = sp_answer_node(&answer);
    const struct sp_reply_node *at = sp_reply_child(list);
    for (uint32_t i = 0; i < list->count && code == SP_EXIT_OK; i++, at = sp_reply_next(at)) {
        code = show_lag(cli, client, table, sp_server_text(at, "name"), sp_server_text(at, "key"));
    }
    sp_answer_fini(&answer);
    return code;
}

int sp_cmd_group_lag(struct sp_cli *cli) {
    const struct sp_args *args = &cli->args;
    struct sp_client *client = NULL;
    struct sp_table table;
    if (args->operand_count == 1) {
        return sp_cli_usage(cli, "a group is named by its name and its key");
    }
    int code = sp_server_connect(cli, &client);
    if (code != SP_EXIT_OK) {
        return code;
    }
    sp_table_init(&table, &cli->out, LAG_COLUMNS, sizeof(LAG_COLUMNS) / sizeof(*LAG_COLUMNS));
    code = args->operand_count == 2 ? show_lag(cli, client, &table, sp_str_from(args->operands[0]),
                                               sp_str_from(args->operands[1]))
                                    : show_all_lags(cli, client, &table);
    sp_table_fini(&table);
    sp_client_close(client);
    return code;
}
