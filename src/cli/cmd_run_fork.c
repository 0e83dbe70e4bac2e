/* run fork, run resume: another run from a point of one, and one that goes on. */
#include <inttypes.h>

#include "cli/server.h"

enum { WORDS_MAX = 10 };

int sp_cmd_run_fork(struct sp_cli *cli) {
    static const char *const NAMES[] = {"ID", "BY", "REASON"};
    const struct sp_args *args = &cli->args;
    const char *at = args->own_values[SP_RUN_FORK_AT];
    struct sp_answer answer;
    if (at == NULL) {
        return sp_cli_usage(cli, "--at is missing: behind which event, by position or id?");
    }
    sp_str words[WORDS_MAX] = {SP_STR("SPOOR.RUN"), SP_STR("FORK"), sp_str_from(args->operands[0]),
                               sp_str_from(at)};
    size_t count = 4;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        const char *value = args->own_values[SP_RUN_FORK_AT + 1 + i];
        if (value != NULL) {
            words[count++] = sp_str_from(NAMES[i]);
            words[count++] = sp_str_from(value);
        }
    }
    int code = sp_server_ask_once(cli, words, count, &answer);
    if (code != SP_EXIT_OK) {
        return code;
    }
    const struct sp_reply_node *map = sp_answer_node(&answer);
    if (cli->wants_json) {
        sp_server_add_object(&cli->out, map);
        sp_out_print(&cli->out, "\n");
    } else {
        sp_str run = sp_server_text(map, "correlationid");
        sp_out_print(&cli->out, "%.*s\n", SP_STR_ARG(run));
    }
    sp_answer_fini(&answer);
    return code;
}

int sp_cmd_run_resume(struct sp_cli *cli) {
    struct sp_answer answer;
    const sp_str words[] = {SP_STR("SPOOR.RUN"), SP_STR("RESUME"),
                            sp_str_from(cli->args.operands[0])};
    int code = sp_server_ask_once(cli, words, 3, &answer);
    if (code != SP_EXIT_OK) {
        return code;
    }
    int64_t count = sp_answer_node(&answer)->integer;
    if (cli->wants_json) {
        sp_out_print(&cli->out, "{\"redriven\":%" PRId64 "}\n", count);
    } else {
        sp_out_print(&cli->out, "%" PRId64 " redriven\n", count);
    }
    sp_answer_fini(&answer);
    return code;
}
