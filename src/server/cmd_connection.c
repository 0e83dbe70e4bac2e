/* HELLO, AUTH, PING and what else a client says about its connection. */
#include <stdio.h>
#include <stdlib.h>

#include "server/handlers.h"
#include "server/server.h"
#include "server/transaction.h"
#include "server/wait.h"

#define REDIS_VERSION                                                                              \
    "7.4.0" /* whose commands these are: clients ask before they use what is newer */

/* ---- passwords ------------------------------------------------------------------------------- */

/* The only user is called `default`. */
static bool authenticate(struct sp_request *request, sp_str user, sp_str password) {
    sp_str secret = sp_settings_text(&request->server->settings, SP_SET_PASSWORD);
    bool known = sp_str_eq(user, SP_STR("default"));
    if (known && (secret.len == 0 || sp_server_password_is(request->server, password))) {
        request->connection->authenticated = true;
        return true;
    }
    sp_say(&request->server->logger, SP_LEVEL_WARN, "wrong password",
           SP_FIELD_NUMBER("client", request->connection->id),
           SP_FIELD_TEXT("peer", sp_str_from(request->connection->peer)));
    (void)sp_reply_error_str(request, "WRONGPASS",
                             SP_STR("invalid username-password pair or user is disabled."));
    return false;
}

enum sp_verdict sp_on_auth(struct sp_request *request) {
    if (request->argc > 3) {
        return sp_reply_syntax(request);
    }
    sp_str secret = sp_settings_text(&request->server->settings, SP_SET_PASSWORD);
    if (request->argc == 2 && secret.len == 0) {
        return sp_reply_error(request, "AUTH <password> called without any password configured for "
                                       "the default user. Are you sure your configuration is "
                                       "correct?");
    }
    sp_str user = request->argc == 3 ? request->args[1] : SP_STR("default");
    if (authenticate(request, user, request->args[request->argc - 1])) {
        sp_resp_ok(request->reply);
    }
    return SP_DONE;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Printable ASCII but blanks: names stand in lists whose fields are parted by blanks. */
static bool is_plain(sp_str text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '!' || text.ptr[i] > '~') {
            return false;
        }
    }
    return text.len <= SP_CLIENT_NAME_BYTES_MAX;
}

bool sp_connection_set_text(char **field, sp_str text) {
    char *copy = NULL;
    if (!is_plain(text)) {
        return false;
    }
    if (text.len > 0) {
        copy = malloc(text.len + 1);
        if (copy == NULL) {
            return false;
        }
        memcpy(copy, text.ptr, text.len);
        copy[text.len] = '\0';
    }
    free(*field);
    *field = copy;
    return true;
}

static enum sp_verdict refuse_name(struct sp_request *request) {
    return sp_reply_error(request,
                          "Client names cannot contain spaces, newlines or special characters.");
}

enum sp_verdict sp_on_client_setname(struct sp_request *request) {
    if (!sp_connection_set_text(&request->connection->name, request->args[2])) {
        return refuse_name(request);
    }
    sp_resp_ok(request->reply);
    return SP_DONE;
}

enum sp_verdict sp_on_client_getname(struct sp_request *request) {
    if (request->connection->name == NULL) {
        sp_resp_null(request->reply);
    } else {
        sp_resp_bulk_text(request->reply, request->connection->name);
    }
    return SP_DONE;
}

/* ---- HELLO ----------------------------------------------------------------------------------- */

static void describe(struct sp_request *request) {
    struct sp_resp *reply = request->reply;
    sp_resp_map(reply, 7);
    sp_resp_bulk_text(reply, "server");
    sp_resp_bulk_text(reply, "redis");
    sp_resp_bulk_text(reply, "version");
    sp_resp_bulk_text(reply, REDIS_VERSION);
    sp_resp_bulk_text(reply, "proto");
    sp_resp_integer(reply, reply->version);
    sp_resp_bulk_text(reply, "id");
    sp_resp_unsigned(reply, request->connection->id);
    sp_resp_bulk_text(reply, "mode");
    sp_resp_bulk_text(reply, "standalone");
    sp_resp_bulk_text(reply, "role");
    sp_resp_bulk_text(reply, "master");
    sp_resp_bulk_text(reply, "modules");
    sp_resp_array(reply, 0);
}

/* What HELLO's options say; indexes of args, 0: not given. */
struct hello {
    int64_t version;
    uint32_t user_at;
    uint32_t name_at;
};

/* False where the reply, an error, is written. */
static bool read_hello(struct sp_request *request, struct hello *hello) {
    uint32_t argc = request->argc;
    uint32_t at = 1;
    if (argc > 1) {
        if (!sp_word_i64(request->args[1], &hello->version)) {
            (void)sp_reply_error(request, "Protocol version is not an integer or out of range");
            return false;
        }
        if (hello->version != SP_RESP_2 && hello->version != SP_RESP_3) {
            (void)sp_reply_error_str(request, "NOPROTO", SP_STR("unsupported protocol version"));
            return false;
        }
        at = 2;
    }
    while (at < argc) {
        if (sp_word_is(request->args[at], "auth") && argc - at > 2) {
            hello->user_at = at + 1;
            at += 3;
        } else if (sp_word_is(request->args[at], "setname") && argc - at > 1) {
            hello->name_at = at + 1;
            at += 2;
        } else {
            char text[256];
            sp_str option = request->args[at];
            (void)snprintf(text, sizeof(text), "Syntax error in HELLO option '%.*s'",
                           option.len > 128 ? 128 : (int)option.len,
                           option.len > 0 ? option.ptr : "");
            (void)sp_reply_error(request, text);
            return false;
        }
    }
    return true;
}

enum sp_verdict sp_on_hello(struct sp_request *request) {
    struct sp_connection *connection = request->connection;
    struct hello hello = {.version = connection->resp.version};
    if (!read_hello(request, &hello)) {
        return SP_DONE;
    }
    if (hello.user_at > 0 &&
        !authenticate(request, request->args[hello.user_at], request->args[hello.user_at + 1])) {
        return SP_DONE;
    }
    if (!connection->authenticated) {
        return sp_reply_error_str(
            request, "NOAUTH",
            SP_STR("HELLO must be called with the client already authenticated, otherwise the "
                   "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client "
                   "and select the RESP protocol version at the same time"));
    }
    if (hello.name_at > 0 &&
        !sp_connection_set_text(&connection->name, request->args[hello.name_at])) {
        return refuse_name(request);
    }
    connection->resp.version = (int)hello.version;
    request->reply->version = (int)hello.version;
    describe(request);
    return SP_DONE;
}

/* ---- the small ones -------------------------------------------------------------------------- */

enum sp_verdict sp_on_ping(struct sp_request *request) {
    struct sp_resp *reply = request->reply;
    if (request->argc > 2) {
        return sp_reply_arity(request);
    }
    sp_str message = request->argc == 2 ? request->args[1] : SP_STR("");
    if (request->connection->subscription_count > 0 && reply->version == SP_RESP_2) {
        sp_resp_array(reply, 2);
        sp_resp_bulk_text(reply, "pong");
        sp_resp_bulk(reply, message);
    } else if (request->argc == 2) {
        sp_resp_bulk(reply, message);
    } else {
        sp_resp_simple(reply, SP_STR("PONG"));
    }
    return SP_DONE;
}

enum sp_verdict sp_on_echo(struct sp_request *request) {
    sp_resp_bulk(request->reply, request->args[1]);
    return SP_DONE;
}

enum sp_verdict sp_on_quit(struct sp_request *request) {
    sp_resp_ok(request->reply);
    sp_connection_finish(request->connection);
    return SP_DONE;
}

enum sp_verdict sp_on_reset(struct sp_request *request) {
    struct sp_connection *connection = request->connection;
    struct sp_server *server = request->server;
    for (uint32_t i = 0; i < server->hook_count; i++) {
        if (server->hooks[i].closed != NULL) {
            server->hooks[i].closed(server, server->hooks[i].context, connection);
        }
    }
    sp_transaction_drop(connection);
    connection->resp.version = SP_RESP_2;
    connection->database = 0;
    connection->reply_mode = SP_REPLY_ON;
    connection->authenticated = sp_settings_text(&server->settings, SP_SET_PASSWORD).len == 0;
    free(connection->name);
    connection->name = NULL;
    sp_resp_simple(request->reply, SP_STR("RESET"));
    return SP_DONE;
}

enum sp_verdict sp_on_select(struct sp_request *request) {
    int64_t number = 0;
    if (!sp_word_i64(request->args[1], &number)) {
        return sp_reply_not_integer(request);
    }
    if (number < 0 ||
        (uint64_t)number >= sp_settings_u64(&request->server->settings, SP_SET_DATABASES)) {
        return sp_reply_error(request, "DB index is out of range");
    }
    request->connection->database = (uint32_t)number;
    sp_resp_ok(request->reply);
    return SP_DONE;
}
