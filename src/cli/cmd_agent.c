/* agent: who is there and able. The server gives agents as lines of JSON. */
#include <stdio.h>

#include "base/json.h"
#include "cli/agents.h"
#include "cli/server.h"
#include "cli/table.h"
#include "cli/text.h"

static const struct sp_table_column COLUMNS[] = {
    {.title = "AGENT", .columns_max = 40},        {.title = "STATUS"},
    {.title = "LOAD", .is_number = true},         {.title = "CAPACITY", .is_number = true},
    {.title = "LAST SEEN (UTC)", .is_dim = true}, {.title = "CAPABILITIES"},
};

/* ---- one line -------------------------------------------------------------------------------- */

/* Text of a member: of a string what it says, of others how it is written, of null nothing. */
static sp_str value_text(struct sp_json *json, struct sp_json_token value) {
    sp_str raw = sp_json_skip(json, value);
    return value.type == SP_JSON_STRING ? value.raw : value.type == SP_JSON_NULL ? SP_STR("") : raw;
}

void sp_agents_read(sp_str line, struct sp_agent_line *ret_agent) {
    static const char *const NAMES[SP_AGENT_MEMBERS] = {"id",       "status",    "load",
                                                        "capacity", "last_seen", "capabilities"};
    struct sp_json json;
    for (size_t i = 0; i < SP_AGENT_MEMBERS; i++) {
        ret_agent->members[i] = SP_STR("");
    }
    sp_json_init(&json, line);
    (void)sp_json_next(&json);
    for (;;) {
        struct sp_json_token key = sp_json_next(&json);
        if (key.type != SP_JSON_KEY) {
            return;
        }
        sp_str text = value_text(&json, sp_json_next(&json));
        for (size_t i = 0; i < SP_AGENT_MEMBERS; i++) {
            if (sp_str_eq(key.raw, sp_str_from(NAMES[i]))) {
                ret_agent->members[i] = text;
            }
        }
    }
}

/* `["a","b"]` as `a b`. */
static void add_capabilities(struct sp_buf *to, sp_str array) {
    struct sp_json json;
    sp_json_init(&json, array);
    (void)sp_json_next(&json);
    for (;;) {
        struct sp_json_token token = sp_json_next(&json);
        if (token.type != SP_JSON_STRING) {
            return;
        }
        sp_buf_add_str(to, to->len > 0 ? SP_STR(" ") : SP_STR(""));
        sp_json_unescape(to, token.raw);
    }
}

/* `2026-11-20T05:49:12.123456Z` as `2026-11-20 05:49:12`. */
static sp_str short_time(sp_str time, char room[SP_TEXT_TIME_SIZE]) {
    bool whole = time.len >= 19;
    (void)snprintf(room, SP_TEXT_TIME_SIZE, "%.*s", whole ? 19 : 0, time.ptr);
    if (whole) {
        room[10] = ' ';
    }
    return sp_str_from(room);
}

void sp_agents_add_row(struct sp_table *table, sp_str line) {
    struct sp_agent_line agent;
    struct sp_buf text;
    char time[SP_TEXT_TIME_SIZE];
    sp_agents_read(line, &agent);
    sp_buf_init(&text, SIZE_MAX);
    sp_json_unescape(&text, agent.members[SP_AGENT_ID]);
    sp_table_add(table, sp_buf_str(&text));
    sp_table_add(table, agent.members[SP_AGENT_STATE]);
    sp_table_add(table, agent.members[SP_AGENT_LOAD]);
    sp_table_add(table, agent.members[SP_AGENT_CAPACITY]);
    sp_table_add(table, short_time(agent.members[SP_AGENT_SEEN], time));
    sp_buf_reset(&text);
    add_capabilities(&text, agent.members[SP_AGENT_ABLE]);
    sp_table_add(table, sp_buf_str(&text));
    sp_buf_fini(&text);
}

void sp_agents_table(struct sp_table *table, struct sp_out *out) {
    sp_table_init(table, out, COLUMNS, sizeof(COLUMNS) / sizeof(*COLUMNS));
}

/* ---- ls -------------------------------------------------------------------------------------- */

enum { WORDS_MAX = 12 };

static size_t add_conditions(const struct sp_args *args, sp_str *words) {
    size_t count = 0;
    if (args->own_values[SP_AGENT_CAPABILITY] != NULL) {
        words[count++] = SP_STR("CAPABILITY");
        words[count++] = sp_str_from(args->own_values[SP_AGENT_CAPABILITY]);
    }
    if (args->own_values[SP_AGENT_STATUS] != NULL) {
        words[count++] = SP_STR("STATUS");
        words[count++] = sp_str_from(args->own_values[SP_AGENT_STATUS]);
    }
    if (args->own_values[SP_AGENT_FREE] != NULL) {
        words[count++] = SP_STR("FREE");
    }
    return count;
}

static void show_agents(struct sp_cli *cli, struct sp_table *table,
                        const struct sp_reply_node *list) {
    const struct sp_reply_node *at = sp_reply_child(list);
    for (uint32_t i = 0; i < list->count; i++, at = sp_reply_next(at)) {
        sp_str line = sp_answer_text(at);
        if (line.ptr != NULL && cli->wants_json) {
            sp_out_print(&cli->out, "%.*s\n", SP_STR_ARG(line));
            sp_out_line_end(&cli->out);
        } else if (line.ptr != NULL) {
            sp_agents_add_row(table, line);
        }
    }
}

int sp_cmd_agent_ls(struct sp_cli *cli) {
    struct sp_answer answer;
    struct sp_table table;
    sp_str words[WORDS_MAX] = {SP_STR("SPOOR.AGENT"), SP_STR("LIST")};
    size_t count = 2 + add_conditions(&cli->args, words + 2);
    int code = sp_server_ask_once(cli, words, count, &answer);
    if (code == SP_EXIT_OK) {
        sp_agents_table(&table, &cli->out);
        show_agents(cli, &table, sp_answer_node(&answer));
        sp_table_fini(&table);
        sp_answer_fini(&answer);
    }
    return code;
}

/* ---- show ------------------------------------------------------------------------------------ */

int sp_cmd_agent_show(struct sp_cli *cli) {
    struct sp_answer answer;
    const char *id = cli->args.operands[0];
    const sp_str words[] = {SP_STR("SPOOR.AGENT"), SP_STR("GET"), sp_str_from(id)};
    int code = sp_server_ask_once(cli, words, 3, &answer);
    if (code != SP_EXIT_OK) {
        return code;
    }
    sp_str line = sp_answer_text(sp_answer_node(&answer));
    if (line.ptr == NULL) {
        sp_cli_complain("no agent '%s' has announced itself; 'spoor agent ls' lists them", id);
        code = SP_EXIT_NOT_FOUND;
    } else if (cli->wants_json) {
        sp_out_print(&cli->out, "%.*s\n", SP_STR_ARG(line));
    } else {
        sp_text_add_pretty(&cli->out.buf, line, 0);
        sp_out_print(&cli->out, "\n");
    }
    sp_answer_fini(&answer);
    return code;
}
