#include "cli/server.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"

enum { TIMEOUT_MS = 10000 };

int sp_server_connect(struct sp_cli *cli, struct sp_client **ret_client) {
    struct sp_error error;
    const struct sp_client_options options = {
        .outstanding_max = 1024, .timeout_ms = TIMEOUT_MS, .limits = SP_EVENT_LIMITS_DEFAULT};
    sp_error_clear(&error);
    sp_cli_want_server(cli);
    if (cli->url == NULL) {
        sp_cli_complain("'%s' asks a server, and a folder is named: --url or $SPOOR_URL names one",
                        cli->args.command->name);
        sp_cli_complain("'spoor serve --data %s' starts one for it", cli->folder);
        return SP_EXIT_USAGE;
    }
    sp_status status = sp_client_open(sp_str_from(cli->url), &options, ret_client, &error);
    if (status == SP_OK) {
        return SP_EXIT_OK;
    }
    sp_cli_complain("%s", error.text);
    if (status == SP_IO) {
        sp_cli_complain("'spoor serve --data %s' starts a server", cli->folder);
    }
    int code = sp_cli_exit_code((spoor_status)status);
    return code == SP_EXIT_NOT_FOUND ? SP_EXIT_FAILURE : code;
}

int sp_server_or_folder(struct sp_cli *cli, unsigned flags, spoor **ret_store,
                        struct sp_client **ret_client) {
    int code = sp_cli_open(cli, flags, ret_store);
    if (code == SP_EXIT_OK && cli->url != NULL) {
        spoor_close(*ret_store);
        *ret_store = NULL;
        code = sp_server_connect(cli, ret_client);
    }
    return code;
}

int sp_server_ask(struct sp_client *client, const sp_str *args, size_t argc,
                  struct sp_answer *answer) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_client_call(client, args, argc, 0, answer, &error);
    if (status != SP_OK) {
        sp_cli_complain("%s", error.text);
    }
    return sp_cli_exit_code((spoor_status)status);
}

int sp_server_ask_once(struct sp_cli *cli, const sp_str *args, size_t argc,
                       struct sp_answer *answer) {
    struct sp_client *client = NULL;
    int code = sp_server_connect(cli, &client);
    if (code == SP_EXIT_OK) {
        code = sp_server_ask(client, args, argc, answer);
        sp_client_close(client);
    }
    return code;
}

/* ---- showing --------------------------------------------------------------------------------- */

/* Numbers with a fraction come as text. */
static bool is_fraction(const char *key) {
    return sp_str_eq(sp_str_from(key), SP_STR("seconds"));
}

static void add_texts(struct sp_out *out, const char *name, const struct sp_reply_node *array) {
    const struct sp_reply_node *at = sp_reply_child(array);
    sp_out_print(out, "%s\"%s\":[", out->buf.data[out->buf.len - 1] == '{' ? "" : ",", name);
    for (uint32_t i = 0; i < array->count; i++, at = sp_reply_next(at)) {
        sp_str text = sp_answer_text(at);
        sp_out_print(out, i > 0 ? "," : "");
        sp_json_add_string(&out->buf, text.ptr != NULL ? text : SP_STR(""));
    }
    sp_out_print(out, "]");
}

static void add_member(struct sp_out *out, const char *name, const struct sp_reply_node *value) {
    const char *comma = out->buf.data[out->buf.len - 1] == '{' ? "" : ",";
    switch (value->kind) {
    case SP_REPLY_TEXT:
        if (is_fraction(name)) {
            sp_out_print(out, "%s\"%s\":%.*s", comma, name, SP_STR_ARG(value->text));
        } else {
            sp_out_json_text(out, name, value->text);
        }
        return;
    case SP_REPLY_INTEGER:
        if (sp_str_eq(value->text, SP_STR("t")) || sp_str_eq(value->text, SP_STR("f"))) {
            sp_out_print(out, "%s\"%s\":%s", comma, name, value->integer != 0 ? "true" : "false");
        } else {
            sp_out_print(out, "%s\"%s\":%" PRId64, comma, name, value->integer);
        }
        return;
    case SP_REPLY_ARRAY:
        add_texts(out, name, value);
        return;
    case SP_REPLY_NULL:
    case SP_REPLY_FAILURE:
    case SP_REPLY_PUSH:
        sp_out_print(out, "%s\"%s\":null", comma, name);
        return;
    }
}

void sp_server_add_object(struct sp_out *out, const struct sp_reply_node *map) {
    const struct sp_reply_node *at = sp_reply_child(map);
    sp_out_print(out, "{");
    for (uint32_t i = 0; i + 1 < map->count; i += 2) {
        const struct sp_reply_node *value = sp_reply_next(at);
        char name[64];
        (void)snprintf(name, sizeof(name), "%.*s", SP_STR_ARG(at->text));
        add_member(out, name, value);
        at = sp_reply_next(value);
    }
    sp_out_print(out, "}");
}

sp_str sp_server_text(const struct sp_reply_node *map, const char *key) {
    const struct sp_reply_node *value = sp_reply_find(map, key);
    bool is_shown = value != NULL && value->text.len > 0;
    return is_shown ? value->text : SP_STR("");
}
