/* CLIENT: who is connected, and what is to be done with them. */
#include <stdio.h>
#include <stdlib.h>

#include "server/handlers.h"
#include "server/pubsub.h"
#include "server/server.h"
#include "server/transaction.h"
#include "server/wait.h"

enum {
    MS_PER_S = 1000,
    IDS_MAX = 1024, /* of one CLIENT LIST: each is compared with every client */
};

/* ---- describing ------------------------------------------------------------------------------ */

static const char *text_or_empty(const char *text) {
    return text != NULL ? text : "";
}

static void add_flags(const struct sp_connection *connection, struct sp_buf *to) {
    size_t before = to->len;
    if (connection->subscription_count > 0) {
        sp_buf_add_byte(to, 'P');
    }
    if (sp_transaction_is_open(connection)) {
        sp_buf_add_byte(to, 'x');
    }
    if ((connection->pause & SP_PAUSE_BLOCKED) != 0) {
        sp_buf_add_byte(to, 'b');
    }
    if ((connection->pause & SP_PAUSE_CLOSING) != 0) {
        sp_buf_add_byte(to, 'c');
    }
    if (to->len == before) {
        sp_buf_add_byte(to, 'N');
    }
}

/* The command that this row is a subcommand of; NULL where it is none. */
static const struct sp_command_row *parent_of(const struct sp_command_row *row) {
    for (const struct sp_command_row *at = sp_command_rows(); at->name != NULL; at++) {
        for (const struct sp_command_row *sub = at->subcommands; sub != NULL && sub->name != NULL;
             sub++) {
            if (sub == row) {
                return at;
            }
        }
    }
    return NULL;
}

static void add_name_of(const struct sp_command_row *row, struct sp_buf *to) {
    const struct sp_command_row *parent = row != NULL ? parent_of(row) : NULL;
    if (parent != NULL) {
        sp_buf_add_str(to, sp_str_from(parent->name));
        sp_buf_add_byte(to, '|');
    }
    sp_buf_add_str(to, row != NULL ? sp_str_from(row->name) : SP_STR("NULL"));
}

static void add_line(const struct sp_connection *connection, struct sp_buf *to) {
    const struct sp_server *server = connection->server;
    char text[256];
    uint64_t age_ms =
        server->wall_ms > connection->since_ms ? server->wall_ms - connection->since_ms : 0;
    uint64_t idle_ms = server->monotonic_ms - connection->last_ms;
    (void)snprintf(text, sizeof(text),
                   "id=%llu addr=%s laddr=%s:%d fd=0 name=", (unsigned long long)connection->id,
                   connection->peer, sp_settings_text(&server->settings, SP_SET_LISTEN).ptr,
                   server->resp_port);
    sp_buf_add_str(to, sp_str_from(text));
    sp_buf_add_str(to, sp_str_from(text_or_empty(connection->name)));
    (void)snprintf(text, sizeof(text),
                   " age=%llu idle=%llu flags=", (unsigned long long)(age_ms / MS_PER_S),
                   (unsigned long long)(idle_ms / MS_PER_S));
    sp_buf_add_str(to, sp_str_from(text));
    add_flags(connection, to);
    uint32_t channels = 0;
    uint32_t patterns = 0;
    uint32_t shard_channels = 0;
    sp_pubsub_counts(connection, &channels, &patterns, &shard_channels);
    (void)snprintf(text, sizeof(text),
                   " db=%u sub=%u psub=%u ssub=%u multi=%d watch=0 qbuf=%zu qbuf-free=%zu obl=%zu "
                   "oll=0 omem=%zu tot-mem=%zu events=r cmd=",
                   connection->database, channels, patterns, shard_channels,
                   sp_transaction_is_open(connection) ? 0 : -1, connection->input.len,
                   connection->input.capacity - connection->input.len,
                   sp_connection_unsent(connection), connection->output.blob_bytes,
                   connection->counted_bytes + sizeof(*connection));
    sp_buf_add_str(to, sp_str_from(text));
    add_name_of(connection->last_command, to);
    (void)snprintf(text, sizeof(text),
                   " user=default redir=-1 resp=%d lib-name=", connection->resp.version);
    sp_buf_add_str(to, sp_str_from(text));
    sp_buf_add_str(to, sp_str_from(text_or_empty(connection->library)));
    sp_buf_add_str(to, SP_STR(" lib-ver="));
    sp_buf_add_str(to, sp_str_from(text_or_empty(connection->library_version)));
    sp_buf_add_byte(to, '\n');
}

enum sp_verdict sp_on_client_id(struct sp_request *request) {
    sp_resp_unsigned(request->reply, request->connection->id);
    return SP_DONE;
}

enum sp_verdict sp_on_client_info(struct sp_request *request) {
    struct sp_buf *scratch = &request->server->scratch;
    sp_buf_reset(scratch);
    add_line(request->connection, scratch);
    sp_resp_verbatim(request->reply, "txt", sp_buf_str(scratch));
    return SP_DONE;
}

/* Which clients CLIENT LIST and CLIENT KILL mean. Zeros: any. */
struct chosen {
    const sp_str *ids;
    uint32_t id_count;
    sp_str address;
    bool normal;
    bool pubsub;
    bool skip_me;
    bool none; /* a type that nobody is of */
    int64_t max_age_s;
};

static bool is_chosen(const struct chosen *chosen, const struct sp_request *request,
                      const struct sp_connection *connection) {
    bool subscribed = connection->subscription_count > 0;
    bool by_type = !chosen->normal && !chosen->pubsub;
    by_type = by_type || (subscribed ? chosen->pubsub : chosen->normal);
    bool by_id = chosen->id_count == 0;
    for (uint32_t i = 0; i < chosen->id_count && !by_id; i++) {
        int64_t id = 0;
        by_id = sp_word_i64(chosen->ids[i], &id) && (uint64_t)id == connection->id;
    }
    bool by_address =
        chosen->address.ptr == NULL || sp_str_eq(chosen->address, sp_str_from(connection->peer));
    uint64_t now_ms = connection->server->wall_ms;
    uint64_t age_ms = now_ms > connection->since_ms ? now_ms - connection->since_ms : 0;
    bool by_age = age_ms / MS_PER_S >= (uint64_t)chosen->max_age_s;
    return by_type && by_id && by_address && by_age && !chosen->none &&
           !(chosen->skip_me && connection == request->connection);
}

static bool choose_type(struct sp_request *request, sp_str word, struct chosen *chosen) {
    chosen->normal = sp_word_is(word, "normal");
    chosen->pubsub = sp_word_is(word, "pubsub");
    chosen->none =
        sp_word_is(word, "master") || sp_word_is(word, "replica") || sp_word_is(word, "slave");
    if (!chosen->normal && !chosen->pubsub && !chosen->none) {
        char text[256];
        (void)snprintf(text, sizeof(text), "Unknown client type '%.*s'",
                       word.len > 128 ? 128 : (int)word.len, word.len > 0 ? word.ptr : "");
        (void)sp_reply_error(request, text);
        return false;
    }
    return true;
}

static bool check_ids(struct sp_request *request, const struct chosen *chosen) {
    if (chosen->id_count > IDS_MAX) {
        (void)sp_reply_error(request, "too many client ids, expected at most 1024");
        return false;
    }
    for (uint32_t i = 0; i < chosen->id_count; i++) {
        int64_t id = 0;
        if (!sp_word_i64(chosen->ids[i], &id) || id < 1) {
            (void)sp_reply_error(request, "Invalid client ID");
            return false;
        }
    }
    return true;
}

enum sp_verdict sp_on_client_list(struct sp_request *request) {
    struct chosen chosen = {.id_count = 0};
    uint32_t argc = request->argc;
    if (argc == 4 && sp_word_is(request->args[2], "type")) {
        if (!choose_type(request, request->args[3], &chosen)) {
            return SP_DONE;
        }
    } else if (argc > 3 && sp_word_is(request->args[2], "id")) {
        chosen.ids = request->args + 3;
        chosen.id_count = argc - 3;
        if (!check_ids(request, &chosen)) {
            return SP_DONE;
        }
    } else if (argc != 2) {
        return sp_reply_syntax(request);
    }
    struct sp_buf *scratch = &request->server->scratch;
    sp_buf_reset(scratch);
    for (const struct sp_connection *at = request->server->connections; at != NULL;
         at = at->all.next) {
        if (is_chosen(&chosen, request, at)) {
            add_line(at, scratch);
        }
    }
    sp_resp_verbatim(request->reply, "txt", sp_buf_str(scratch));
    return SP_DONE;
}

/* ---- ending others --------------------------------------------------------------------------- */

static uint64_t kill_chosen(struct sp_request *request, const struct chosen *chosen) {
    uint64_t count = 0;
    for (struct sp_connection *at = request->server->connections; at != NULL; at = at->all.next) {
        if (!is_chosen(chosen, request, at) || at->broken) {
            continue;
        }
        if (at == request->connection) {
            sp_connection_finish(at); /* its own reply is still sent */
        } else {
            sp_connection_break(at);
        }
        count++;
    }
    return count;
}

/* One pair of CLIENT KILL. False where the reply, an error, is written. */
static bool read_kill_pair(struct sp_request *request, uint32_t at, struct chosen *chosen) {
    sp_str word = request->args[at];
    const sp_str *value = &request->args[at + 1];
    if (sp_word_is(word, "id")) {
        chosen->ids = value;
        chosen->id_count = 1;
        int64_t id = 0;
        if (!sp_word_i64(*value, &id) || id < 1) {
            (void)sp_reply_error(request, "client-id should be greater than 0");
            return false;
        }
        return true;
    }
    if (sp_word_is(word, "addr")) {
        chosen->address = *value;
        return true;
    }
    if (sp_word_is(word, "type")) {
        return choose_type(request, *value, chosen);
    }
    if (sp_word_is(word, "maxage") && sp_word_i64(*value, &chosen->max_age_s) &&
        chosen->max_age_s > 0) {
        return true;
    }
    if (sp_word_is(word, "user") && sp_word_is(*value, "default")) {
        return true;
    }
    if (sp_word_is(word, "skipme") && (sp_word_is(*value, "yes") || sp_word_is(*value, "no"))) {
        chosen->skip_me = sp_word_is(*value, "yes");
        return true;
    }
    (void)sp_reply_syntax(request);
    return false;
}

enum sp_verdict sp_on_client_kill(struct sp_request *request) {
    struct chosen chosen = {.skip_me = true};
    if (request->argc == 3) {
        chosen = (struct chosen){.address = request->args[2]};
        if (kill_chosen(request, &chosen) == 0) {
            return sp_reply_error(request, "No such client");
        }
        sp_resp_ok(request->reply);
        return SP_DONE;
    }
    if (request->argc % 2 != 0) {
        return sp_reply_syntax(request);
    }
    for (uint32_t i = 2; i < request->argc; i += 2) {
        if (!read_kill_pair(request, i, &chosen)) {
            return SP_DONE;
        }
    }
    sp_resp_unsigned(request->reply, kill_chosen(request, &chosen));
    return SP_DONE;
}

enum sp_verdict sp_on_client_unblock(struct sp_request *request) {
    int64_t id = 0;
    bool with_error = request->argc == 4 && sp_word_is(request->args[3], "error");
    if (request->argc > 4 ||
        (request->argc == 4 && !with_error && !sp_word_is(request->args[3], "timeout"))) {
        return sp_reply_error(request, "CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
    if (!sp_word_i64(request->args[2], &id)) {
        return sp_reply_not_integer(request);
    }
    struct sp_connection *at = request->server->connections;
    while (at != NULL && at->id != (uint64_t)id) {
        at = at->all.next;
    }
    bool blocked = at != NULL && at->wait != NULL;
    if (blocked) {
        sp_wait_unblock(at, with_error);
    }
    sp_resp_integer(request->reply, blocked);
    return SP_DONE;
}

/* ---- settings of the connection -------------------------------------------------------------- */

enum sp_verdict sp_on_client_setinfo(struct sp_request *request) {
    struct sp_connection *connection = request->connection;
    bool name = sp_word_is(request->args[2], "lib-name");
    char text[256];
    if (!name && !sp_word_is(request->args[2], "lib-ver")) {
        sp_str option = request->args[2];
        (void)snprintf(text, sizeof(text), "Unrecognized option '%.*s'",
                       option.len > 128 ? 128 : (int)option.len, option.len > 0 ? option.ptr : "");
        return sp_reply_error(request, text);
    }
    if (!sp_connection_set_text(name ? &connection->library : &connection->library_version,
                                request->args[3])) {
        (void)snprintf(text, sizeof(text),
                       "%.*s cannot contain spaces, newlines or special characters.",
                       SP_STR_ARG(request->args[2]));
        return sp_reply_error(request, text);
    }
    sp_resp_ok(request->reply);
    return SP_DONE;
}

static enum sp_verdict accept_switch(struct sp_request *request) {
    if (!sp_word_is(request->args[2], "on") && !sp_word_is(request->args[2], "off")) {
        return sp_reply_syntax(request);
    }
    sp_resp_ok(request->reply);
    return SP_DONE;
}

enum sp_verdict sp_on_client_no_evict(struct sp_request *request) {
    return accept_switch(request);
}

enum sp_verdict sp_on_client_no_touch(struct sp_request *request) {
    return accept_switch(request);
}

enum sp_verdict sp_on_client_reply(struct sp_request *request) {
    struct sp_connection *connection = request->connection;
    if (sp_word_is(request->args[2], "on")) {
        connection->reply_mode = SP_REPLY_ON;
        sp_resp_ok(request->reply);
    } else if (sp_word_is(request->args[2], "off")) {
        connection->reply_mode = SP_REPLY_OFF;
    } else if (sp_word_is(request->args[2], "skip")) {
        if (connection->reply_mode != SP_REPLY_OFF) {
            connection->reply_mode = SP_REPLY_SKIP_NEXT;
        }
    } else {
        return sp_reply_syntax(request);
    }
    return SP_DONE;
}

enum sp_verdict sp_on_client_tracking(struct sp_request *request) {
    return sp_reply_error(request, "client-side caching is not supported");
}
