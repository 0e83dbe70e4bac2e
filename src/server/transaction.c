#include "server/transaction.h"

#include <stdlib.h>

#include "server/handlers.h"
#include "server/server.h"

enum {
    QUEUE_BYTES_MAX = 64 << 20, /* of the words, and of their places */
    REPLIES_BYTES_MAX = 256 << 20,
    RECORD_BYTES_BESIDE = 1024, /* of a record, at most, beside twice the words of its command */
};

struct queued {
    const struct sp_command_row *row;
    uint32_t first_arg;
    uint32_t argc;
    uint32_t database; /* as of its place among the commands */
    bool answered;
    size_t reply_at; /* in replies */
    size_t reply_len;
};

struct queued_arg {
    size_t at; /* in bytes */
    size_t len;
};

struct watched {
    size_t at; /* of the key's text in names, with its database */
    size_t len;
    uint64_t stamp;
};

struct sp_transaction {
    bool open;
    bool spoiled;
    bool waiting; /* the writes are done, and not durable yet */
    struct sp_buf bytes;
    struct queued *commands;
    uint32_t count;
    uint32_t capacity;
    struct queued_arg *args;
    uint32_t arg_count;
    uint32_t arg_capacity;
    uint32_t args_most; /* of one command */
    struct sp_buf replies;
    struct sp_buf names;
    struct watched *watched;
    uint32_t watched_count;
    uint32_t watched_capacity;
};

/* ---- state ----------------------------------------------------------------------------------- */

static struct sp_transaction *take(struct sp_connection *connection) {
    if (connection->transaction == NULL) {
        struct sp_transaction *made = calloc(1, sizeof(*made));
        if (made != NULL) {
            sp_buf_init(&made->bytes, QUEUE_BYTES_MAX);
            sp_buf_init(&made->replies, REPLIES_BYTES_MAX);
            sp_buf_init(&made->names, QUEUE_BYTES_MAX);
        }
        connection->transaction = made;
    }
    return connection->transaction;
}

void sp_transaction_drop(struct sp_connection *connection) {
    struct sp_transaction *transaction = connection->transaction;
    if (transaction == NULL) {
        return;
    }
    sp_buf_fini(&transaction->bytes);
    sp_buf_fini(&transaction->replies);
    sp_buf_fini(&transaction->names);
    free(transaction->commands);
    free(transaction->args);
    free(transaction->watched);
    free(transaction);
    connection->transaction = NULL;
}

bool sp_transaction_is_open(const struct sp_connection *connection) {
    return connection->transaction != NULL && connection->transaction->open;
}

void sp_transaction_spoil(struct sp_connection *connection) {
    if (sp_transaction_is_open(connection)) {
        connection->transaction->spoiled = true;
    }
}

size_t sp_transaction_bytes(const struct sp_connection *connection) {
    const struct sp_transaction *of = connection->transaction;
    return of == NULL
               ? 0
               : sizeof(*of) + of->bytes.capacity + of->replies.capacity + of->names.capacity +
                     of->capacity * sizeof(*of->commands) + of->arg_capacity * sizeof(*of->args) +
                     of->watched_capacity * sizeof(*of->watched);
}

/* Makes room in an array for `more` elements. */
static bool make_room(void **array, size_t size, uint32_t count, uint32_t *capacity,
                      uint32_t more) {
    uint64_t wanted = *capacity == 0 ? 16 : *capacity;
    while (wanted < (uint64_t)count + more) {
        wanted *= 2;
    }
    if (wanted == *capacity) {
        return true;
    }
    void *moved = wanted > UINT32_MAX / 2 ? NULL : realloc(*array, (size_t)wanted * size);
    if (moved == NULL) {
        return false;
    }
    *array = moved;
    *capacity = (uint32_t)wanted;
    return true;
}

bool sp_transaction_queue(struct sp_connection *connection, const struct sp_command_row *row,
                          const sp_str *args, uint32_t argc) {
    struct sp_transaction *to = connection->transaction;
    void *commands = to->commands;
    void *slots = to->args;
    if (to->spoiled) {
        return true; /* nothing of it will be run */
    }
    size_t places = ((size_t)to->arg_count + argc) * sizeof(*to->args);
    bool room = to->count < SP_TRANSACTION_COMMANDS_MAX && places <= QUEUE_BYTES_MAX &&
                make_room(&commands, sizeof(*to->commands), to->count, &to->capacity, 1);
    to->commands = commands;
    room = room && make_room(&slots, sizeof(*to->args), to->arg_count, &to->arg_capacity, argc);
    to->args = slots;
    if (!room) {
        return false;
    }
    to->commands[to->count] = (struct queued){.row = row, .first_arg = to->arg_count, .argc = argc};
    for (uint32_t i = 0; i < argc; i++) {
        to->args[to->arg_count + i] = (struct queued_arg){.at = to->bytes.len, .len = args[i].len};
        sp_buf_add_str(&to->bytes, args[i]);
    }
    to->count++;
    to->arg_count += argc;
    to->args_most = argc > to->args_most ? argc : to->args_most;
    return to->bytes.status == SP_OK;
}

/* ---- EXEC ------------------------------------------------------------------------------------ */

static bool is_read(const struct queued *command) {
    return (command->row->flags & SP_CMD_READ) != 0;
}

static bool watched_changed(struct sp_connection *connection) {
    const struct sp_transaction *transaction = connection->transaction;
    struct sp_bus *bus = connection->server->bus;
    for (uint32_t i = 0; i < transaction->watched_count; i++) {
        const struct watched *watched = &transaction->watched[i];
        struct sp_key key;
        sp_str text = sp_str_of(transaction->names.data + watched->at, watched->len);
        if (sp_key_parse(bus, text, &key, NULL) != SP_OK ||
            sp_bus_stamp(bus, &key) != watched->stamp) {
            return true;
        }
    }
    return false;
}

/* Runs one queued command, its reply going to `reply`. */
static void run_one(struct sp_connection *connection, const struct queued *command, sp_str *args,
                    struct sp_resp *reply, struct sp_request *outer) {
    const struct sp_transaction *from = connection->transaction;
    for (uint32_t i = 0; i < command->argc; i++) {
        const struct queued_arg *arg = &from->args[command->first_arg + i];
        args[i] = sp_str_of(from->bytes.data + arg->at, arg->len);
    }
    struct sp_request request = {
        .server = connection->server,
        .connection = connection,
        .row = command->row,
        .args = args,
        .argc = command->argc,
        .reply = reply,
        .in_transaction = true,
    };
    if (sp_dispatch_run(&request) == SP_LATER) {
        (void)sp_reply_error_str(&request, "BUSY", SP_STR("too much is being written; try again"));
    }
    outer->appended = outer->appended || request.appended;
}

/* Everything but the reads, in order. */
static void run_writes(struct sp_request *outer, sp_str *args) {
    struct sp_connection *connection = outer->connection;
    struct sp_transaction *transaction = connection->transaction;
    struct sp_resp reply = {.to = &transaction->replies, .version = connection->resp.version};
    for (uint32_t i = 0; i < transaction->count; i++) {
        struct queued *command = &transaction->commands[i];
        command->database = connection->database;
        if (is_read(command)) {
            continue;
        }
        command->reply_at = transaction->replies.len;
        run_one(connection, command, args, &reply, outer);
        command->reply_len = transaction->replies.len - command->reply_at;
        command->answered = true;
    }
}

/* The reads, and all replies in order. */
static void reply_all(struct sp_request *outer, sp_str *args) {
    struct sp_connection *connection = outer->connection;
    struct sp_transaction *transaction = connection->transaction;
    uint32_t database = connection->database;
    sp_resp_array(outer->reply, transaction->count);
    for (uint32_t i = 0; i < transaction->count; i++) {
        const struct queued *command = &transaction->commands[i];
        if (command->answered) {
            sp_buf_add(outer->reply->to, transaction->replies.data + command->reply_at,
                       command->reply_len);
        } else {
            connection->database = command->database;
            run_one(connection, command, args, outer->reply, outer);
        }
    }
    connection->database = database;
}

/* Room in one block for all that the queue will write. */
static sp_status begin_block(struct sp_request *request, bool *ret_begun, struct sp_error *error) {
    const struct sp_transaction *transaction = request->connection->transaction;
    uint32_t writes = 0;
    for (uint32_t i = 0; i < transaction->count; i++) {
        writes += (transaction->commands[i].row->flags & SP_CMD_WRITE) != 0;
    }
    *ret_begun = writes > 0;
    if (writes == 0) {
        return SP_OK;
    }
    size_t bytes = 2 * transaction->bytes.len + (size_t)writes * RECORD_BYTES_BESIDE;
    sp_status status = sp_bus_begin(request->server->bus, bytes, 2 * writes, error);
    *ret_begun = status == SP_OK;
    return status;
}

static enum sp_verdict abort_all(struct sp_request *request) {
    sp_transaction_drop(request->connection);
    return sp_reply_error_str(request, "EXECABORT",
                              SP_STR("Transaction discarded because of previous errors."));
}

static bool has_reads(const struct sp_transaction *transaction) {
    for (uint32_t i = 0; i < transaction->count; i++) {
        if (is_read(&transaction->commands[i])) {
            return true;
        }
    }
    return false;
}

/* After the writes: waits for their block where something is to be read behind them. */
static enum sp_verdict finish(struct sp_request *request, sp_str *args) {
    struct sp_connection *connection = request->connection;
    struct sp_transaction *transaction = connection->transaction;
    uint64_t gate = sp_bus_gate(request->server->bus);
    if (has_reads(transaction) && !sp_bus_passed(request->server->bus, gate)) {
        transaction->open = false;
        transaction->waiting = true;
        connection->append_gate = gate;
        connection->resume_gate = gate;
        connection->pause |= SP_PAUSE_GATE;
        return SP_BLOCKED;
    }
    reply_all(request, args);
    sp_transaction_drop(connection);
    return SP_DONE;
}

enum sp_verdict sp_on_exec(struct sp_request *request) {
    struct sp_connection *connection = request->connection;
    struct sp_error error;
    bool begun = false;
    if (!sp_transaction_is_open(connection)) {
        return sp_reply_error(request, "EXEC without MULTI");
    }
    struct sp_transaction *transaction = connection->transaction;
    if (transaction->spoiled) {
        return abort_all(request);
    }
    if (watched_changed(connection)) {
        sp_transaction_drop(connection);
        sp_resp_null_array(request->reply);
        return SP_DONE;
    }
    sp_str *args = malloc((transaction->args_most + 1) * sizeof(*args));
    sp_error_clear(&error);
    sp_status status = args == NULL ? SP_NO_MEMORY : begin_block(request, &begun, &error);
    if (status != SP_OK) {
        free(args);
        if (status != SP_BUSY) {
            sp_transaction_drop(connection);
        }
        return sp_reply_status(request, status, &error);
    }
    run_writes(request, args);
    if (begun) {
        sp_bus_end(request->server->bus);
    }
    enum sp_verdict verdict = finish(request, args);
    free(args);
    return verdict;
}

bool sp_transaction_resume(struct sp_connection *connection) {
    struct sp_transaction *transaction = connection->transaction;
    if (!transaction->waiting) {
        return true;
    }
    sp_str *args = malloc((transaction->args_most + 1) * sizeof(*args));
    struct sp_request request = {
        .server = connection->server,
        .connection = connection,
        .reply = &connection->resp,
    };
    if (args == NULL) {
        sp_connection_break(connection);
        return false;
    }
    size_t from = connection->output.bytes.len;
    transaction->waiting = false;
    reply_all(&request, args);
    sp_dispatch_finish(&request, from);
    free(args);
    sp_transaction_drop(connection);
    return true;
}

/* ---- the other commands ---------------------------------------------------------------------- */

enum sp_verdict sp_on_multi(struct sp_request *request) {
    struct sp_transaction *transaction = take(request->connection);
    if (transaction == NULL) {
        return sp_reply_status(request, SP_NO_MEMORY, NULL);
    }
    if (transaction->open) {
        return sp_reply_error(request, "MULTI calls can not be nested");
    }
    transaction->open = true;
    sp_resp_ok(request->reply);
    return SP_DONE;
}

enum sp_verdict sp_on_discard(struct sp_request *request) {
    if (!sp_transaction_is_open(request->connection)) {
        return sp_reply_error(request, "DISCARD without MULTI");
    }
    sp_transaction_drop(request->connection);
    sp_resp_ok(request->reply);
    return SP_DONE;
}

static bool watch_key(struct sp_request *request, struct sp_transaction *transaction, sp_str text) {
    struct sp_key key;
    void *watched = transaction->watched;
    if (!sp_request_key(request, text, &key)) {
        return false;
    }
    bool room = transaction->watched_count < SP_TRANSACTION_WATCHED_MAX &&
                make_room(&watched, sizeof(*transaction->watched), transaction->watched_count,
                          &transaction->watched_capacity, 1);
    transaction->watched = watched;
    size_t at = transaction->names.len;
    sp_buf_add_str(&transaction->names, key.text);
    if (!room || transaction->names.status != SP_OK) {
        (void)sp_reply_error(request, "too many watched keys");
        return false;
    }
    transaction->watched[transaction->watched_count++] = (struct watched){
        .at = at, .len = key.text.len, .stamp = sp_bus_stamp(request->server->bus, &key)};
    return true;
}

enum sp_verdict sp_on_watch(struct sp_request *request) {
    struct sp_transaction *transaction = take(request->connection);
    if (transaction == NULL) {
        return sp_reply_status(request, SP_NO_MEMORY, NULL);
    }
    if (transaction->open) {
        return sp_reply_error(request, "WATCH inside MULTI is not allowed");
    }
    for (uint32_t i = 1; i < request->argc; i++) {
        if (!watch_key(request, transaction, request->args[i])) {
            return SP_DONE;
        }
    }
    sp_resp_ok(request->reply);
    return SP_DONE;
}

enum sp_verdict sp_on_unwatch(struct sp_request *request) {
    struct sp_transaction *transaction = request->connection->transaction;
    if (transaction != NULL && !transaction->open) {
        sp_transaction_drop(request->connection);
    } else if (transaction != NULL) {
        transaction->watched_count = 0;
        sp_buf_reset(&transaction->names);
    }
    sp_resp_ok(request->reply);
    return SP_DONE;
}
