#include "server/server.h"

#include <stdlib.h>

#include "engine/bus_agents.h"
#include "engine/schemas.h"
#include "server/consumers.h"
#include "server/transaction.h"
#include "server/wait.h"

enum {
    ROUNDS_MAX = 4, /* of one turn: commands that go on may give the store new work */
    SCRATCH_BYTES_MAX = 256 << 20,
    SCRATCH_KEPT_BYTES = 1 << 20,
    KEY_ROOM_BYTES_MAX = 1 << 30,
    US_PER_MS = 1000,
    NS_PER_MS = 1000 * 1000,
};

/* ---- making and ending ----------------------------------------------------------------------- */

void sp_server_tick(struct sp_server *server) {
    server->wall_ms = server->clock.wall_us(server->clock.context) / US_PER_MS;
    server->monotonic_ms = server->clock.monotonic_ns(server->clock.context) / NS_PER_MS;
}

void sp_server_apply_settings(struct sp_server *server) {
    const struct sp_settings *settings = &server->settings;
    server->logger.json = sp_settings_u64(settings, SP_SET_LOG_FORMAT) == 1;
    server->logger.level = (enum sp_level)sp_settings_u64(settings, SP_SET_LOG_LEVEL);
    for (struct sp_connection *at = server->connections; at != NULL; at = at->all.next) {
        at->input.size_bytes_max = sp_settings_u64(settings, SP_SET_QUERY_BUFFER);
        at->output.bytes.size_bytes_max = sp_settings_u64(settings, SP_SET_REPLY_BYTES_MAX);
    }
    const struct sp_presence_limits limits = {
        .stale_ms = sp_settings_u64(settings, SP_SET_AGENT_STALE_AFTER),
        .suspect_ms = sp_settings_u64(settings, SP_SET_AGENT_SUSPECT_AFTER),
        .grace_ms = sp_settings_u64(settings, SP_SET_AGENT_GRACE),
    };
    sp_bus_agent_limits(server->bus, &limits);
}

/* An event was stored although its schema does not accept it. The logger says it so often. */
static void warn_of_event(void *context, const struct sp_schema_refusal *refusal) {
    struct sp_server *server = context;
    sp_say(&server->logger, SP_LEVEL_WARN, "event does not keep to its schema",
           SP_FIELD_TEXT("type", sp_str_from(refusal->type)),
           SP_FIELD_TEXT("version", sp_str_from(refusal->version)),
           SP_FIELD_TEXT("pointer", sp_str_from(refusal->fault.pointer)),
           SP_FIELD_TEXT("rule", sp_str_from(refusal->fault.rule)),
           SP_FIELD_TEXT("reason", sp_str_from(refusal->fault.text)));
}

sp_status sp_server_init(struct sp_server *server, struct sp_settings *settings,
                         struct sp_engine *engine, struct sp_bus *bus, struct sp_clock clock,
                         int log_fd, struct sp_error *error) {
    *server = (struct sp_server){.engine = engine, .bus = bus, .clock = clock, .wake_fd = -1};
    server->settings = *settings;
    *settings = (struct sp_settings){.numbers = {0}};
    sp_logger_init(&server->logger, log_fd, clock);
    sp_server_apply_settings(server);
    sp_buf_init(&server->scratch, SCRATCH_BYTES_MAX);
    sp_buf_init(&server->key_room, KEY_ROOM_BYTES_MAX);
    sp_engine_on_schema_warning(engine, warn_of_event, server);
    sp_server_tick(server);
    server->started_ms = server->wall_ms;
    sp_status status = sp_command_index_init(&server->commands);
    if (status != SP_OK) {
        return sp_error_set(error, status, "no memory for the table of commands");
    }
    status = sp_waits_init(server, error);
    return status == SP_OK ? sp_consumers_init(server, error) : status;
}

void sp_server_fini(struct sp_server *server) {
    while (server->connections != NULL) {
        sp_connection_free(server->connections);
    }
    for (uint32_t i = server->hook_count; i > 0; i--) {
        if (server->hooks[i - 1].fini != NULL) {
            server->hooks[i - 1].fini(server, server->hooks[i - 1].context);
        }
    }
    sp_command_index_fini(&server->commands);
    sp_settings_fini(&server->settings);
    sp_buf_fini(&server->scratch);
    sp_buf_fini(&server->key_room);
    sp_spare_fini(&server->spares);
}

void sp_server_hook(struct sp_server *server, const struct sp_server_hooks *hooks) {
    sp_require(server->hook_count < SP_SERVER_HOOKS_MAX);
    server->hooks[server->hook_count++] = *hooks;
}

/* ---- live ------------------------------------------------------------------------------------ */

static void on_live(void *context, const struct sp_event *event) {
    struct sp_server *server = context;
    for (uint32_t i = 0; i < server->hook_count; i++) {
        if (server->hooks[i].live != NULL) {
            server->hooks[i].live(server, server->hooks[i].context, event);
        }
    }
}

void sp_server_listen(struct sp_server *server, bool on) {
    sp_require(on || server->listening > 0);
    server->listening = on ? server->listening + 1 : server->listening - 1;
    if (on ? server->listening == 1 : server->listening == 0) {
        sp_bus_listen(server->bus, on ? on_live : NULL, server);
    }
}

/* ---- a turn ---------------------------------------------------------------------------------- */

/* True where a part has more to do at once. */
static bool tell_turn(struct sp_server *server) {
    bool more = false;
    for (uint32_t i = 0; i < server->hook_count; i++) {
        if (server->hooks[i].turn != NULL) {
            more = server->hooks[i].turn(server, server->hooks[i].context) || more;
        }
    }
    return more;
}

static void tell_drained(struct sp_server *server, struct sp_connection *connection) {
    if (sp_connection_unsent(connection) >= connection->drain_below) {
        return;
    }
    connection->drain_below = 0;
    for (uint32_t i = 0; i < server->hook_count; i++) {
        if (server->hooks[i].drained != NULL) {
            server->hooks[i].drained(server, server->hooks[i].context, connection);
        }
    }
}

static void let_go(struct sp_server *server, struct sp_connection *connection) {
    uint64_t gate = sp_output_gate(&connection->output);
    while (gate != 0 && sp_bus_passed(server->bus, gate)) {
        sp_output_pass(&connection->output, gate);
        gate = sp_output_gate(&connection->output);
    }
}

void sp_server_count(struct sp_server *server, struct sp_connection *connection) {
    const struct sp_output *output = &connection->output;
    size_t bytes = connection->input.capacity + output->bytes.capacity + output->blob_bytes +
                   output->mark_capacity * sizeof(*output->marks) +
                   connection->reader.args_capacity * sizeof(*connection->reader.args) +
                   connection->reader.words.capacity + connection->subscription_bytes;
    if (connection->protocol->bytes != NULL) {
        bytes += connection->protocol->bytes(connection);
    }
    if (connection->transaction != NULL || connection->wait != NULL) {
        bytes += sp_transaction_bytes(connection) + sp_wait_bytes(connection);
    }
    bytes = connection->broken ? 0 : bytes; /* it is about to be closed */
    server->buffer_bytes = server->buffer_bytes - connection->counted_bytes + bytes;
    connection->counted_bytes = bytes;
}

bool sp_server_is_over_budget(const struct sp_server *server) {
    uint64_t budget = sp_settings_u64(&server->settings, SP_SET_MEMORY_BUDGET);
    return budget != 0 && server->buffer_bytes > budget;
}

/* Goes on wherever something may have changed. True where commands were run. */
static bool go_on(struct sp_server *server) {
    uint64_t before = server->stats.commands;
    struct sp_connection *next = NULL;
    for (struct sp_connection *at = server->dirty; at != NULL; at = next) {
        next = at->dirty.next;
        let_go(server, at);
        tell_drained(server, at);
        sp_connection_resume(at);
        sp_server_count(server, at);
    }
    return server->stats.commands != before;
}

/* Memory is bounded: the client that holds most of it goes first. */
static void keep_budget(struct sp_server *server) {
    struct sp_connection *largest = NULL;
    if (!sp_server_is_over_budget(server)) {
        return;
    }
    for (struct sp_connection *at = server->connections; at != NULL; at = at->all.next) {
        if (largest == NULL || at->counted_bytes > largest->counted_bytes) {
            largest = at;
        }
    }
    if (largest != NULL) {
        sp_say(&server->logger, SP_LEVEL_WARN, "memory-budget exceeded: closing the largest client",
               SP_FIELD_NUMBER("client", largest->id),
               SP_FIELD_TEXT("peer", sp_str_from(largest->peer)),
               SP_FIELD_NUMBER("bytes", largest->counted_bytes));
        sp_connection_break(largest);
        sp_server_count(server, largest);
    }
}

/* What one command needed beyond the usual is not kept for the next. */
static void shrink(struct sp_buf *scratch) {
    if (scratch->capacity > SCRATCH_KEPT_BYTES) {
        size_t size_bytes_max = scratch->size_bytes_max;
        sp_buf_fini(scratch);
        sp_buf_init(scratch, size_bytes_max);
    }
}

static void check_store(struct sp_server *server) {
    struct sp_error error;
    sp_error_clear(&error);
    if (server->failed || sp_engine_state(server->engine, &error) == SP_OK) {
        return;
    }
    server->failed = true;
    sp_say(&server->logger, SP_LEVEL_ERROR, "the store failed: the server ends",
           SP_FIELD_TEXT("error", sp_str_from(error.text)));
}

static int sooner(int a_ms, int b_ms) {
    if (a_ms < 0 || b_ms < 0) {
        return a_ms < 0 ? b_ms : a_ms;
    }
    return a_ms < b_ms ? a_ms : b_ms;
}

/* ms until a part must have its turn; -1: whenever something comes. */
static int ask_timeouts(struct sp_server *server) {
    int wait_ms = sp_waits_timeout(server);
    for (uint32_t i = 0; i < server->hook_count; i++) {
        if (server->hooks[i].timeout != NULL) {
            wait_ms = sooner(wait_ms, server->hooks[i].timeout(server, server->hooks[i].context));
        }
    }
    return wait_ms;
}

int sp_server_turn(struct sp_server *server) {
    int wait_ms = -1;
    bool ran = true;
    bool more = false;
    server->stats.turns++;
    for (int round = 0; ran && round < ROUNDS_MAX; round++) {
        (void)sp_engine_poll(server->engine);
        wait_ms = sp_bus_tick(server->bus);
        more = tell_turn(server);
        ran = go_on(server);
    }
    check_store(server);
    keep_budget(server);
    shrink(&server->scratch);
    shrink(&server->key_room);
    more = more || server->again;
    server->again = false;
    return ran || more ? 0 : sooner(wait_ms, ask_timeouts(server));
}

/* ---- passwords ------------------------------------------------------------------------------- */

bool sp_server_password_is(const struct sp_server *server, sp_str password) {
    sp_str secret = sp_settings_text(&server->settings, SP_SET_PASSWORD);
    uint8_t difference = password.len != secret.len;
    for (size_t i = 0; i < password.len; i++) {
        char byte = secret.len > 0 ? secret.ptr[i % secret.len] : 0;
        difference |= (uint8_t)(password.ptr[i] ^ byte);
    }
    return difference == 0;
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* Virtual streams are the same in every database: they look at the whole log. */
static bool is_virtual(sp_str text) {
    return sp_str_eq(text, SP_STR("$all")) || sp_str_starts_with(text, SP_STR("$type:")) ||
           sp_str_starts_with(text, SP_STR("$source:")) ||
           sp_str_starts_with(text, SP_STR("$correlation:"));
}

bool sp_request_key(struct sp_request *request, sp_str text, struct sp_key *ret_key) {
    struct sp_server *server = request->server;
    struct sp_error error;
    sp_str whole = text;
    if (SP_UNLIKELY(request->connection->database != 0) && !is_virtual(text)) {
        char room[16];
        sp_str prefix = sp_connection_prefix(request->connection, room);
        size_t at = server->key_room.len;
        sp_buf_add_str(&server->key_room, prefix);
        sp_buf_add_str(&server->key_room, text);
        if (server->key_room.status != SP_OK) {
            (void)sp_reply_error(request, "out of memory");
            return false;
        }
        whole = sp_str_of(server->key_room.data + at, server->key_room.len - at);
    }
    sp_error_clear(&error);
    sp_status status = sp_key_parse(server->bus, whole, ret_key, &error);
    if (status != SP_OK) {
        (void)sp_reply_status(request, status, &error);
        return false;
    }
    return true;
}

bool sp_request_key_to_write(struct sp_request *request, sp_str text, struct sp_key *ret_key) {
    if (!sp_request_key(request, text, ret_key)) {
        return false;
    }
    if (!sp_key_writable(ret_key)) {
        (void)sp_reply_error(request, ret_key->kind == SP_KEY_STREAM
                                          ? "this stream is the store's own and read-only"
                                          : "a virtual stream is read-only");
        return false;
    }
    return true;
}
