#include "server/connection.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/bus_agents.h"
#include "server/server.h"
#include "server/transaction.h"
#include "server/wait.h"

enum {
    INPUT_FIRST_BYTES = 4096,
    BUDGET_LOOK_BYTES = 64 << 10, /* replies this large are counted before the next command */
};

/* ---- making and ending ----------------------------------------------------------------------- */

static void link_all(struct sp_connection *connection) {
    struct sp_server *server = connection->server;
    connection->all.before = server->connections_last;
    if (server->connections_last != NULL) {
        server->connections_last->all.next = connection;
    } else {
        server->connections = connection;
    }
    server->connections_last = connection;
    server->connection_count++;
}

static void unlink_all(struct sp_connection *connection) {
    struct sp_server *server = connection->server;
    struct sp_link *link = &connection->all;
    if (link->before != NULL) {
        link->before->all.next = link->next;
    } else {
        server->connections = link->next;
    }
    if (link->next != NULL) {
        link->next->all.before = link->before;
    } else {
        server->connections_last = link->before;
    }
    server->connection_count--;
}

struct sp_connection *sp_connection_new(struct sp_server *server, const char *peer) {
    struct sp_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        return NULL;
    }
    connection->server = server;
    sp_connection_speak_resp(connection);
    connection->id = ++server->connection_last_id;
    sp_output_init(&connection->output, sp_settings_u64(&server->settings, SP_SET_REPLY_BYTES_MAX));
    connection->resp = (struct sp_resp){.to = &connection->output.bytes, .version = SP_RESP_2};
    sp_resp_reader_init(&connection->reader);
    sp_buf_init(&connection->input, sp_settings_u64(&server->settings, SP_SET_QUERY_BUFFER));
    connection->authenticated = sp_settings_text(&server->settings, SP_SET_PASSWORD).len == 0;
    connection->since_ms = server->wall_ms;
    connection->last_ms = server->monotonic_ms;
    (void)snprintf(connection->peer, sizeof(connection->peer), "%s", peer);
    link_all(connection);
    server->stats.connections_total++;
    return connection;
}

static void unlink_dirty(struct sp_connection *connection) {
    struct sp_link *link = &connection->dirty;
    if (!link->linked) {
        return;
    }
    if (link->before != NULL) {
        link->before->dirty.next = link->next;
    } else {
        connection->server->dirty = link->next;
    }
    if (link->next != NULL) {
        link->next->dirty.before = link->before;
    } else {
        connection->server->dirty_last = link->before;
    }
    *link = (struct sp_link){.linked = false};
}

void sp_connection_settle(struct sp_connection *connection) {
    unlink_dirty(connection);
}

void sp_connection_free(struct sp_connection *connection) {
    struct sp_server *server = connection->server;
    for (uint32_t i = 0; i < server->hook_count; i++) {
        if (server->hooks[i].closed != NULL) {
            server->hooks[i].closed(server, server->hooks[i].context, connection);
        }
    }
    if (connection->protocol->fini != NULL) {
        connection->protocol->fini(connection);
    }
    sp_bus_agents_left(server->bus, &connection->agents, server->draining);
    sp_wait_drop(connection);
    sp_transaction_drop(connection);
    unlink_dirty(connection);
    unlink_all(connection);
    server->buffer_bytes -= connection->counted_bytes;
    sp_output_fini(&connection->output);
    sp_resp_reader_fini(&connection->reader);
    sp_buf_fini(&connection->input);
    free(connection->name);
    free(connection->library);
    free(connection->library_version);
    free(connection);
}

void sp_connection_touch(struct sp_connection *connection) {
    struct sp_server *server = connection->server;
    if (connection->dirty.linked) {
        return;
    }
    connection->dirty = (struct sp_link){.before = server->dirty_last, .linked = true};
    if (server->dirty_last != NULL) {
        server->dirty_last->dirty.next = connection;
    } else {
        server->dirty = connection;
    }
    server->dirty_last = connection;
}

void sp_connection_finish(struct sp_connection *connection) {
    connection->pause |= SP_PAUSE_CLOSING;
    sp_connection_touch(connection);
}

void sp_connection_break(struct sp_connection *connection) {
    connection->broken = true;
    connection->pause |= SP_PAUSE_CLOSING;
    sp_connection_touch(connection);
}

sp_str sp_connection_source(const struct sp_connection *connection) {
    return connection->name != NULL ? sp_str_from(connection->name) : SP_STR("redis");
}

sp_str sp_connection_prefix(const struct sp_connection *connection, char room[16]) {
    if (connection->database == 0) {
        return sp_str_of(room, 0);
    }
    int len = snprintf(room, 16, "db%u:", connection->database);
    return sp_str_of(room, (size_t)len);
}

/* ---- from the client ------------------------------------------------------------------------- */

static struct sp_resp_limits limits_of(const struct sp_connection *connection) {
    struct sp_resp_limits limits = SP_RESP_LIMITS_DEFAULT;
    if (!connection->authenticated) {
        return SP_RESP_LIMITS_UNAUTHENTICATED;
    }
    limits.bulk_bytes_max =
        (uint32_t)sp_settings_u64(&connection->server->settings, SP_SET_BULK_BYTES_MAX);
    return limits;
}

/*
 * What cannot be read as a command ends the connection, as in Redis: nobody knows where it goes on.
 */
static void refuse_input(struct sp_connection *connection, sp_str problem) {
    sp_say(&connection->server->logger, SP_LEVEL_WARN, "protocol error",
           SP_FIELD_NUMBER("client", connection->id),
           SP_FIELD_TEXT("peer", sp_str_from(connection->peer)), SP_FIELD_TEXT("error", problem));
    sp_resp_error(&connection->resp, "ERR", problem);
    sp_connection_finish(connection);
}

/* Runs the commands that stand at the start of the bytes; returns how many bytes are done with. */
static size_t run_resp(struct sp_connection *connection, const char *bytes, size_t len) {
    struct sp_resp_limits limits = limits_of(connection);
    size_t at = 0;
    while (connection->pause == 0 && at < len) {
        struct sp_resp_command command;
        if (SP_UNLIKELY(sp_server_is_over_budget(connection->server))) {
            connection->pause |= SP_PAUSE_BUSY; /* the turn's end makes room */
            break;
        }
        enum sp_resp_result result =
            sp_resp_read(&connection->reader, bytes + at, len - at, &limits, &command);
        if (result == SP_RESP_ERROR) {
            refuse_input(connection, command.problem);
            return len;
        }
        if (result == SP_RESP_MORE) {
            return at + command.consumed;
        }
        bool was_authenticated = connection->authenticated;
        if (sp_dispatch(connection, command.args, command.argc) == SP_LATER) {
            return at; /* it is read again, from its start */
        }
        at += command.consumed;
        if (sp_connection_unsent(connection) >= SP_OUTPUT_PAUSE_BYTES) {
            connection->pause |= SP_PAUSE_OUTPUT;
        }
        if (sp_connection_unsent(connection) >= BUDGET_LOOK_BYTES) {
            sp_server_count(connection->server, connection);
        }
        if (was_authenticated != connection->authenticated) {
            limits = limits_of(connection);
        }
    }
    return at;
}

static const struct sp_protocol RESP = {.name = "resp", .run = run_resp};

void sp_connection_speak_resp(struct sp_connection *connection) {
    connection->protocol = &RESP;
}

bool sp_connection_stays(const struct sp_connection *connection) {
    const struct sp_protocol *protocol = connection->protocol;
    return connection->wait != NULL || connection->subscription_count > 0 ||
           (protocol->stays != NULL && protocol->stays(connection));
}

/* True where there is something to go on with. */
static bool has_work(const struct sp_connection *connection) {
    const struct sp_protocol *protocol = connection->protocol;
    return connection->input.len > 0 ||
           (protocol->is_busy != NULL && protocol->is_busy(connection));
}

static void end_by_size(struct sp_connection *connection) {
    sp_say(&connection->server->logger, SP_LEVEL_WARN, "client's command exceeds query-buffer",
           SP_FIELD_NUMBER("client", connection->id),
           SP_FIELD_TEXT("peer", sp_str_from(connection->peer)));
    sp_connection_break(connection);
}

/* Keeps what is left for later. */
static void keep(struct sp_connection *connection, const char *bytes, size_t len) {
    if (connection->input.data == NULL && len <= INPUT_FIRST_BYTES) {
        sp_spare_lend(&connection->server->spares, &connection->input);
    }
    sp_buf_add(&connection->input, bytes, len);
    if (connection->input.status != SP_OK) {
        end_by_size(connection);
    }
}

static void run_input(struct sp_connection *connection) {
    struct sp_buf *input = &connection->input;
    const char *bytes = input->data != NULL ? (const char *)input->data : "";
    size_t used = connection->protocol->run(connection, bytes, input->len);
    if (used == input->len) {
        input->len = 0;
        sp_spare_take(&connection->server->spares, input);
    } else if (used > 0) {
        memmove(input->data, input->data + used, input->len - used);
        input->len -= used;
    }
}

void sp_connection_feed(struct sp_connection *connection, const char *bytes, size_t len) {
    connection->server->stats.bytes_in += len;
    connection->last_ms = connection->server->monotonic_ms;
    sp_connection_touch(connection);
    if (connection->broken || (connection->pause & SP_PAUSE_CLOSING) != 0) {
        return;
    }
    if (connection->input.len == 0) {
        sp_spare_lend(&connection->server->spares, &connection->output.bytes);
        size_t used = connection->protocol->run(connection, bytes, len);
        if (used < len && (connection->pause & SP_PAUSE_CLOSING) == 0) {
            keep(connection, bytes + used, len - used);
        }
        return;
    }
    keep(connection, bytes, len);
    if (connection->pause == 0) {
        run_input(connection);
    }
}

/* Takes away the pauses whose reason is gone. */
static void unpause(struct sp_connection *connection) {
    struct sp_server *server = connection->server;
    if (sp_server_is_over_budget(server)) {
        return;
    }
    connection->pause &= ~(unsigned)SP_PAUSE_BUSY;
    if ((connection->pause & SP_PAUSE_GATE) != 0 &&
        sp_bus_passed(server->bus, connection->resume_gate)) {
        connection->pause &= ~(unsigned)SP_PAUSE_GATE;
        if (connection->transaction != NULL && !sp_transaction_resume(connection)) {
            return;
        }
    }
    if ((connection->pause & SP_PAUSE_OUTPUT) != 0 &&
        sp_connection_unsent(connection) < SP_OUTPUT_PAUSE_BYTES / 2) {
        connection->pause &= ~(unsigned)SP_PAUSE_OUTPUT;
    }
}

void sp_connection_resume(struct sp_connection *connection) {
    if (connection->pause != 0) {
        unpause(connection);
    }
    if (connection->pause == 0 && has_work(connection)) {
        sp_spare_lend(&connection->server->spares, &connection->output.bytes);
        run_input(connection);
    }
}

/*
 * ---- unasked ----------------------------------------------------------------------------------
 */

bool sp_connection_push(struct sp_connection *connection, struct sp_blob *message) {
    uint64_t most = sp_settings_u64(&connection->server->settings, SP_SET_OUTPUT_BUFFER);
    size_t unsent = sp_connection_unsent(connection);
    if (connection->broken || (unsent > 0 && unsent + message->len > most)) {
        return false;
    }
    sp_spare_lend(&connection->server->spares, &connection->output.bytes);
    sp_connection_touch(connection);
    size_t len = connection->output.bytes.len;
    if (!sp_output_share(&connection->output, message)) {
        connection->output.bytes.len = len;
        connection->output.bytes.status = SP_OK;
        return false;
    }
    return true;
}
