/* COMMAND: the table of commands, told in the shape that clients read. */
#include <stdio.h>

#include "match/glob.h"
#include "server/cmd_groups.h"
#include "server/handlers.h"
#include "server/server.h"

/* ---- one row --------------------------------------------------------------------------------- */

static const struct {
    unsigned flag;
    const char *name;
} FLAG_NAMES[] = {
    {SP_CMD_WRITE, "write"},       {SP_CMD_READ, "readonly"},         {SP_CMD_FAST, "fast"},
    {SP_CMD_NO_AUTH, "no_auth"},   {SP_CMD_ADMIN, "admin"},           {SP_CMD_BLOCKING, "blocking"},
    {SP_CMD_NO_MULTI, "no_multi"}, {SP_CMD_KEYS_MOVE, "movablekeys"},
};

enum { FLAG_COUNT = sizeof(FLAG_NAMES) / sizeof(*FLAG_NAMES) };

static void write_flags(struct sp_resp *reply, const struct sp_command_row *row) {
    unsigned flags = row->flags; /* what reads and decides, as XREADGROUP does, is no reader */
    flags &= (flags & SP_CMD_WRITE) != 0 ? ~(unsigned)SP_CMD_READ : ~0u;
    unsigned count = 0;
    for (unsigned i = 0; i < FLAG_COUNT; i++) {
        count += (flags & FLAG_NAMES[i].flag) != 0;
    }
    sp_resp_set(reply, count);
    for (unsigned i = 0; i < FLAG_COUNT; i++) {
        if ((flags & FLAG_NAMES[i].flag) != 0) {
            sp_resp_simple(reply, sp_str_from(FLAG_NAMES[i].name));
        }
    }
}

static void write_name(struct sp_resp *reply, const struct sp_command_row *parent,
                       const struct sp_command_row *row, struct sp_buf *scratch) {
    sp_buf_reset(scratch);
    if (parent != NULL) {
        sp_buf_add_str(scratch, sp_str_from(parent->name));
        sp_buf_add_byte(scratch, '|');
    }
    sp_buf_add_str(scratch, sp_str_from(row->name));
    sp_resp_bulk(reply, sp_buf_str(scratch));
}

static uint64_t count_rows(const struct sp_command_row *rows) {
    uint64_t count = 0;
    while (rows != NULL && rows[count].name != NULL) {
        count++;
    }
    return count;
}

static void write_categories(struct sp_resp *reply, const struct sp_command_row *row) {
    static const char *const GROUPS[][2] = {{"stream", "@stream"},
                                            {"connection", "@connection"},
                                            {"generic", "@keyspace"},
                                            {"transactions", "@transaction"},
                                            {"pubsub", "@pubsub"}};
    const char *group = NULL;
    for (size_t i = 0; i < sizeof(GROUPS) / sizeof(*GROUPS); i++) {
        if (strcmp(row->group, GROUPS[i][0]) == 0) {
            group = GROUPS[i][1];
        }
    }
    sp_resp_set(reply, group != NULL ? 2 : 1);
    sp_resp_simple(reply, (row->flags & SP_CMD_FAST) != 0 ? SP_STR("@fast") : SP_STR("@slow"));
    if (group != NULL) {
        sp_resp_simple(reply, sp_str_from(group));
    }
}

/* The ten elements of COMMAND INFO but the last, which are the subcommands. */
static void write_info_head(struct sp_resp *reply, const struct sp_command_row *parent,
                            const struct sp_command_row *row, struct sp_buf *scratch) {
    sp_resp_array(reply, 10);
    write_name(reply, parent, row, scratch);
    sp_resp_integer(reply, row->arity);
    write_flags(reply, row);
    sp_resp_integer(reply, row->first_key);
    sp_resp_integer(reply, row->last_key);
    sp_resp_integer(reply, row->key_step);
    write_categories(reply, row);
    sp_resp_array(reply, 0); /* tips */
    sp_resp_array(reply, 0); /* key specifications */
}

static void write_info(struct sp_request *request, const struct sp_command_row *row) {
    struct sp_resp *reply = request->reply;
    struct sp_buf *scratch = &request->server->scratch;
    write_info_head(reply, NULL, row, scratch);
    sp_resp_array(reply, count_rows(row->subcommands));
    for (const struct sp_command_row *at = row->subcommands; at != NULL && at->name != NULL; at++) {
        write_info_head(reply, row, at, scratch);
        sp_resp_array(reply, 0);
    }
}

static void write_docs_head(struct sp_request *request, const struct sp_command_row *parent,
                            const struct sp_command_row *row) {
    struct sp_resp *reply = request->reply;
    write_name(reply, parent, row, &request->server->scratch);
    sp_resp_map(reply, row->subcommands != NULL ? 4 : 3);
    sp_resp_bulk_text(reply, "summary");
    sp_resp_bulk_text(reply, row->summary);
    sp_resp_bulk_text(reply, "since");
    sp_resp_bulk_text(reply, row->since);
    sp_resp_bulk_text(reply, "group");
    sp_resp_bulk_text(reply, row->group[0] != '\0' || parent == NULL ? row->group : parent->group);
}

static void write_docs(struct sp_request *request, const struct sp_command_row *row) {
    write_docs_head(request, NULL, row);
    if (row->subcommands == NULL) {
        return;
    }
    sp_resp_bulk_text(request->reply, "subcommands");
    sp_resp_map(request->reply, count_rows(row->subcommands));
    for (const struct sp_command_row *at = row->subcommands; at->name != NULL; at++) {
        write_docs_head(request, row, at);
    }
}

/* ---- the subcommands ------------------------------------------------------------------------- */

enum sp_verdict sp_on_command(struct sp_request *request) {
    if (request->argc > 1) {
        char text[256];
        sp_str word = request->args[1];
        (void)snprintf(text, sizeof(text), "unknown subcommand '%.*s'. Try COMMAND HELP.",
                       word.len > 128 ? 128 : (int)word.len, word.len > 0 ? word.ptr : "");
        return sp_reply_error(request, text);
    }
    const struct sp_command_row *rows = sp_command_rows();
    sp_resp_array(request->reply, count_rows(rows));
    for (; rows->name != NULL; rows++) {
        write_info(request, rows);
    }
    return SP_DONE;
}

enum sp_verdict sp_on_command_count(struct sp_request *request) {
    sp_resp_unsigned(request->reply, count_rows(sp_command_rows()));
    return SP_DONE;
}

enum sp_verdict sp_on_command_info(struct sp_request *request) {
    if (request->argc == 2) {
        struct sp_request all = *request;
        all.argc = 1;
        return sp_on_command(&all);
    }
    sp_resp_array(request->reply, request->argc - 2);
    for (uint32_t i = 2; i < request->argc; i++) {
        const struct sp_command_row *row =
            sp_command_find(&request->server->commands, request->args[i]);
        if (row != NULL) {
            write_info(request, row);
        } else {
            sp_resp_null_array(request->reply);
        }
    }
    return SP_DONE;
}

enum sp_verdict sp_on_command_docs(struct sp_request *request) {
    uint64_t count = 0;
    struct sp_resp_open open = sp_resp_open_map(request->reply, count_rows(sp_command_rows()));
    if (request->argc == 2) {
        for (const struct sp_command_row *row = sp_command_rows(); row->name != NULL; row++) {
            write_docs(request, row);
            count++;
        }
    }
    for (uint32_t i = 2; i < request->argc; i++) {
        const struct sp_command_row *row =
            sp_command_find(&request->server->commands, request->args[i]);
        if (row != NULL) {
            write_docs(request, row);
            count++;
        }
    }
    sp_resp_close(request->reply, open, count);
    return SP_DONE;
}

enum sp_verdict sp_on_command_list(struct sp_request *request) {
    sp_str pattern = SP_STR("*");
    if (request->argc == 5 && sp_word_is(request->args[2], "filterby") &&
        sp_word_is(request->args[3], "pattern")) {
        pattern = request->args[4];
    } else if (request->argc != 2) {
        return sp_reply_syntax(request);
    }
    uint64_t count = 0;
    struct sp_resp_open open = sp_resp_open_array(request->reply, count_rows(sp_command_rows()));
    for (const struct sp_command_row *row = sp_command_rows(); row->name != NULL; row++) {
        if (sp_redis_glob_match(pattern, sp_str_from(row->name))) {
            sp_resp_bulk_text(request->reply, row->name);
            count++;
        }
    }
    sp_resp_close(request->reply, open, count);
    return SP_DONE;
}

/*
 * Where the keys stand that have no fixed place: the first half of what follows STREAMS (XREAD,
 * XREADGROUP), or all that follows KEYS (SPOOR.RECEIVE).
 */
static bool find_moving_keys(const struct sp_command_row *row, const sp_str *args, uint32_t argc,
                             uint32_t *ret_first, uint32_t *ret_count) {
    bool all = row->handler == sp_on_spoor_receive;
    for (uint32_t i = 1; i < argc; i++) {
        if (sp_word_is(args[i], all ? "keys" : "streams")) {
            *ret_first = i + 1;
            *ret_count = all ? argc - i - 1 : (argc - i - 1) / 2;
            return *ret_count > 0;
        }
    }
    return false;
}

enum sp_verdict sp_on_command_getkeys(struct sp_request *request) {
    const sp_str *args = request->args + 2;
    uint32_t argc = request->argc - 2;
    const struct sp_command_row *row = sp_command_find(&request->server->commands, args[0]);
    if (row != NULL && row->subcommands != NULL && argc > 1) {
        row = sp_subcommand_find(row, args[1]);
    }
    if (row == NULL) {
        return sp_reply_error(request, "Invalid command specified");
    }
    bool arity = row->arity >= 0 ? argc == (uint32_t)row->arity : argc >= (uint32_t)-row->arity;
    if (!arity) {
        return sp_reply_error(request, "Invalid number of arguments specified for command");
    }
    uint32_t first = (uint32_t)row->first_key;
    uint32_t count = 0;
    uint32_t step = row->key_step > 0 ? (uint32_t)row->key_step : 1;
    if (first > 0) {
        int last = row->last_key >= 0 ? row->last_key : (int)argc + row->last_key;
        count = last < (int)first ? 0 : ((uint32_t)last - first) / step + 1;
    } else if ((row->flags & SP_CMD_KEYS_MOVE) != 0) {
        (void)find_moving_keys(row, args, argc, &first, &count);
    }
    if (count == 0) {
        return sp_reply_error(request, "The command has no key arguments");
    }
    sp_resp_array(request->reply, count);
    for (uint32_t i = 0; i < count; i++) {
        sp_resp_bulk(request->reply, args[first + i * step]);
    }
    return SP_DONE;
}

/* ---- HELP ------------------------------------------------------------------------------------ */

enum sp_verdict sp_on_help(struct sp_request *request) {
    const struct sp_command_row *row =
        sp_command_find(&request->server->commands, request->args[0]);
    sp_require(row != NULL && row->subcommands != NULL);
    struct sp_buf *scratch = &request->server->scratch;
    sp_resp_array(request->reply, 1 + 2 * count_rows(row->subcommands));
    sp_buf_reset(scratch);
    sp_buf_add_str(scratch, sp_str_from(row->name));
    for (size_t i = 0; i < scratch->len; i++) {
        scratch->data[i] &= (uint8_t)(scratch->data[i] >= 'a' ? ~0x20 : 0xff);
    }
    sp_buf_add_str(scratch, SP_STR(" <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    sp_resp_simple(request->reply, sp_buf_str(scratch));
    for (const struct sp_command_row *at = row->subcommands; at->name != NULL; at++) {
        sp_buf_reset(scratch);
        for (const char *byte = at->name; *byte != '\0'; byte++) {
            sp_buf_add_byte(scratch,
                            (uint8_t)(*byte >= 'a' && *byte <= 'z' ? *byte & ~0x20 : *byte));
        }
        sp_resp_simple(request->reply, sp_buf_str(scratch));
        sp_buf_reset(scratch);
        sp_buf_add_str(scratch, SP_STR("    "));
        sp_buf_add_str(scratch, sp_str_from(at->summary));
        sp_resp_simple(request->reply, sp_buf_str(scratch));
    }
    return SP_DONE;
}
