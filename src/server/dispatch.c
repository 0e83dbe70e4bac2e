/* From a client's words to a handler, with the checks of Redis in the order of Redis. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "server/handlers.h"
#include "server/server.h"
#include "server/transaction.h"

enum {
    NAME_BYTES_MAX = 32, /* of a command; a longer word is none */
    SHOWN_BYTES_MAX = 128,
    ERROR_BYTES_MAX = 512,
    PREFIX_BYTES_MAX = 16,
};

/* ---- the table by name ----------------------------------------------------------------------- */

/* Names that differ only in the case of letters have one slot: few others share it. */
static uint32_t slot_of(sp_str name, uint32_t mask) {
    uint64_t hash = name.len;
    for (size_t i = 0; i < name.len; i++) {
        hash = hash * 31 + ((uint8_t)name.ptr[i] | 0x20);
    }
    return (uint32_t)(hash ^ (hash >> 11)) & mask;
}

sp_status sp_command_index_init(struct sp_command_index *index) {
    const struct sp_command_row *rows = sp_command_rows();
    uint32_t count = 0;
    uint32_t size = 64;
    while (rows[count].name != NULL) {
        count++;
    }
    while (size < count * 4) {
        size *= 2;
    }
    index->slots = calloc(size, sizeof(*index->slots));
    if (index->slots == NULL) {
        return SP_NO_MEMORY;
    }
    index->mask = size - 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = slot_of(sp_str_from(rows[i].name), index->mask);
        while (index->slots[at] != 0) {
            at = (at + 1) & index->mask;
        }
        index->slots[at] = (uint16_t)(i + 1);
    }
    return SP_OK;
}

void sp_command_index_fini(struct sp_command_index *index) {
    free(index->slots);
    index->slots = NULL;
}

const struct sp_command_row *sp_command_find(const struct sp_command_index *index, sp_str name) {
    if (name.len == 0 || name.len > NAME_BYTES_MAX) {
        return NULL;
    }
    uint32_t at = slot_of(name, index->mask);
    while (index->slots[at] != 0) {
        const struct sp_command_row *row = &sp_command_rows()[index->slots[at] - 1];
        if (sp_word_is(name, row->name)) {
            return row;
        }
        at = (at + 1) & index->mask;
    }
    return NULL;
}

const struct sp_command_row *sp_subcommand_find(const struct sp_command_row *row, sp_str name) {
    for (const struct sp_command_row *at = row->subcommands; at->name != NULL; at++) {
        if (sp_word_is(name, at->name)) {
            return at;
        }
    }
    return NULL;
}

/* ---- words ----------------------------------------------------------------------------------- */

bool sp_word_is(sp_str text, const char *word) {
    size_t i = 0;
    for (; i < text.len && word[i] != '\0'; i++) {
        char byte = text.ptr[i];
        byte = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
        if (byte != word[i]) {
            return false;
        }
    }
    return i == text.len && word[i] == '\0';
}

bool sp_word_i64(sp_str text, int64_t *ret_value) {
    bool negative = text.len > 0 && text.ptr[0] == '-';
    size_t at = negative;
    uint64_t value = 0;
    if (at == text.len || (text.ptr[at] == '0' && text.len > 1)) {
        return false;
    }
    for (; at < text.len; at++) {
        uint64_t digit = (uint64_t)(uint8_t)text.ptr[at] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (value > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* ---- replies --------------------------------------------------------------------------------- */

enum sp_verdict sp_reply_error_str(struct sp_request *request, const char *code, sp_str text) {
    request->server->stats.errors++;
    sp_resp_error(request->reply, code, text);
    return SP_DONE;
}

enum sp_verdict sp_reply_error(struct sp_request *request, const char *text) {
    return sp_reply_error_str(request, "ERR", sp_str_from(text));
}

enum sp_verdict sp_reply_syntax(struct sp_request *request) {
    return sp_reply_error(request, "syntax error");
}

enum sp_verdict sp_reply_not_integer(struct sp_request *request) {
    return sp_reply_error(request, "value is not an integer or out of range");
}

/* `client|setname`, as Redis names a subcommand in full. */
static void format_name(const struct sp_command_row *row, sp_str first, char *to, size_t size) {
    if (row->subcommands == NULL && !sp_word_is(first, row->name)) {
        (void)snprintf(to, size, "%.*s|%s", SP_STR_ARG(first), row->name);
        for (char *at = to; *at != '\0'; at++) {
            *at = *at >= 'A' && *at <= 'Z' ? (char)(*at | 0x20) : *at;
        }
        return;
    }
    (void)snprintf(to, size, "%s", row->name);
}

enum sp_verdict sp_reply_arity(struct sp_request *request) {
    char name[2 * NAME_BYTES_MAX + 2];
    char text[ERROR_BYTES_MAX];
    format_name(request->row, request->args[0], name, sizeof(name));
    (void)snprintf(text, sizeof(text), "wrong number of arguments for '%s' command", name);
    return sp_reply_error(request, text);
}

static const char *code_of(sp_status status) {
    switch (status) {
    case SP_CONFLICT:
        return "CONFLICT";
    case SP_DENIED:
        return "NOPERM";
    case SP_CORRUPT:
        return "CORRUPT";
    case SP_NO_SPACE:
    case SP_IO:
    case SP_FENCED:
    case SP_FAILED:
        return "MISCONF";
    case SP_NO_MEMORY:
        return "OOM";
    case SP_OK:
    case SP_INVALID:
    case SP_LIMIT:
    case SP_NOT_FOUND:
    case SP_BUSY:
    case SP_TIMEOUT:
    case SP_END:
    case SP_UNSUPPORTED:
    case SP_CANCELLED:
        return "ERR";
    }
    sp_never();
}

const char *sp_status_code(sp_status status) {
    return status == SP_LIMIT         ? "LIMIT"
           : status == SP_NOT_FOUND   ? "NOTFOUND"
           : status == SP_UNSUPPORTED ? "UNSUPPORTED"
           : status == SP_NO_SPACE    ? "NOSPACE"
           : status == SP_TIMEOUT     ? "TIMEOUT"
                                      : code_of(status);
}

/* What a status is told as: the error's own text where it has one. */
static sp_str text_of(sp_status status, const struct sp_error *error) {
    bool told = error != NULL && error->status != SP_OK && error->text[0] != '\0';
    return sp_str_from(told ? error->text : sp_status_text(status));
}

enum sp_verdict sp_reply_own_status(struct sp_request *request, sp_status status,
                                    const struct sp_error *error) {
    sp_require(status != SP_OK);
    return status == SP_BUSY
               ? SP_LATER
               : sp_reply_error_str(request, sp_status_code(status), text_of(status, error));
}

enum sp_verdict sp_reply_status(struct sp_request *request, sp_status status,
                                const struct sp_error *error) {
    sp_require(status != SP_OK);
    if (status == SP_BUSY) {
        return SP_LATER;
    }
    return sp_reply_error_str(request, code_of(status), text_of(status, error));
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void refuse_unknown(struct sp_request *request) {
    char text[ERROR_BYTES_MAX];
    char shown[SHOWN_BYTES_MAX + 8] = "";
    size_t len = 0;
    for (uint32_t i = 1; i < request->argc && len < SHOWN_BYTES_MAX; i++) {
        size_t part = SHOWN_BYTES_MAX - len;
        part = request->args[i].len < part ? request->args[i].len : part;
        len += (size_t)snprintf(shown + len, sizeof(shown) - len, "'%.*s' ", (int)part,
                                part > 0 ? request->args[i].ptr : "");
        len = len < sizeof(shown) ? len : sizeof(shown) - 1;
    }
    sp_str name = request->args[0];
    int name_len = name.len > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : (int)name.len;
    (void)snprintf(text, sizeof(text), "unknown command '%.*s', with args beginning with: %s",
                   name_len, name_len > 0 ? name.ptr : "", shown);
    (void)sp_reply_error(request, text);
}

static void refuse_subcommand(struct sp_request *request) {
    char text[ERROR_BYTES_MAX];
    char name[NAME_BYTES_MAX + 1];
    sp_str sub = request->args[1];
    int len = sub.len > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : (int)sub.len;
    (void)snprintf(name, sizeof(name), "%s", request->row->name);
    for (char *at = name; *at != '\0'; at++) {
        *at = *at >= 'a' && *at <= 'z' ? (char)(*at & ~0x20) : *at;
    }
    (void)snprintf(text, sizeof(text), "unknown subcommand '%.*s'. Try %s HELP.", len,
                   len > 0 ? sub.ptr : "", name);
    (void)sp_reply_error(request, text);
}

/* An EXEC that cannot be run ends the transaction. */
static void refuse_exec(struct sp_request *request) {
    sp_transaction_drop(request->connection);
    (void)sp_reply_error_str(request, "EXECABORT",
                             SP_STR("Transaction discarded because of: wrong number of arguments "
                                    "for 'exec' command"));
}

static bool has_arity(const struct sp_command_row *row, uint32_t argc) {
    return row->arity >= 0 ? argc == (uint32_t)row->arity : argc >= (uint32_t)-row->arity;
}

/* What a browser says that was led to this port: whoever led it there must not be heard. */
static bool is_http(sp_str word) {
    return sp_word_is(word, "post") || sp_word_is(word, "host:");
}

static void refuse_http(struct sp_request *request) {
    sp_say(&request->server->logger, SP_LEVEL_WARN, "HTTP at the port of the Redis protocol",
           SP_FIELD_NUMBER("client", request->connection->id),
           SP_FIELD_TEXT("peer", sp_str_from(request->connection->peer)));
    sp_connection_break(request->connection);
}

/* Finds the row that is meant. False where the request was refused. */
static bool find_row(struct sp_request *request) {
    request->row = sp_command_find(&request->server->commands, request->args[0]);
    if (request->row == NULL && is_http(request->args[0])) {
        refuse_http(request);
        return false;
    }
    if (request->row == NULL) {
        refuse_unknown(request);
        return false;
    }
    const struct sp_command_row *row = request->row;
    if (row->subcommands != NULL && request->argc > 1) {
        row = sp_subcommand_find(row, request->args[1]);
        if (row == NULL && request->row->handler == NULL) {
            refuse_subcommand(request);
            return false;
        }
        request->row = row != NULL ? row : request->row;
    }
    if (!has_arity(request->row, request->argc) ||
        (request->row->subcommands != NULL && request->row->handler == NULL)) {
        if (request->row->handler == sp_on_exec) {
            refuse_exec(request);
        } else {
            (void)sp_reply_arity(request);
        }
        return false;
    }
    return true;
}

static bool may_run(struct sp_request *request) {
    const struct sp_connection *connection = request->connection;
    unsigned flags = request->row->flags;
    if (!connection->authenticated && (flags & SP_CMD_NO_AUTH) == 0) {
        (void)sp_reply_error_str(request, "NOAUTH", SP_STR("Authentication required."));
        return false;
    }
    if (connection->subscription_count > 0 && connection->resp.version == SP_RESP_2 &&
        (flags & SP_CMD_PUBSUB) == 0) {
        char name[2 * NAME_BYTES_MAX + 2];
        char text[ERROR_BYTES_MAX];
        format_name(request->row, request->args[0], name, sizeof(name));
        (void)snprintf(text, sizeof(text),
                       "Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                       "RESET are allowed in this context",
                       name);
        (void)sp_reply_error(request, text);
        return false;
    }
    if (sp_transaction_is_open(connection) && (flags & SP_CMD_NO_MULTI) != 0) {
        (void)sp_reply_error(request, "Command not allowed inside a transaction");
        return false;
    }
    return true;
}

static void queue(struct sp_request *request) {
    if (sp_transaction_queue(request->connection, request->row, request->args, request->argc)) {
        sp_resp_simple(request->reply, SP_STR("QUEUED"));
    } else {
        sp_transaction_spoil(request->connection);
        (void)sp_reply_error(request, "the transaction is too large");
    }
}

/* ---- running --------------------------------------------------------------------------------- */

/* A reply that does not fit is taken back and an error stands in its place. */
static void check_size(struct sp_request *request, size_t from) {
    struct sp_buf *to = request->reply->to;
    if (to->status == SP_OK) {
        return;
    }
    bool limit = to->status == SP_LIMIT;
    to->len = from;
    to->status = SP_OK;
    (void)sp_reply_error(request, limit ? "the reply would be larger than reply-bytes-max: ask for "
                                          "less with COUNT"
                                        : "out of memory");
    if (to->status != SP_OK) {
        sp_connection_break(request->connection);
    }
}

/* Names that sp_request_key makes must not move while the request lasts. */
static bool reserve_names(struct sp_request *request) {
    struct sp_buf *room = &request->server->key_room;
    size_t bytes = 0;
    for (uint32_t i = 0; i < request->argc; i++) {
        bytes += request->args[i].len + PREFIX_BYTES_MAX;
    }
    sp_buf_reset(room);
    return sp_buf_reserve(room, bytes) != NULL;
}

enum sp_verdict sp_dispatch_run(struct sp_request *request) {
    size_t from = request->reply->to->len;
    if (request->connection->database != 0 && !reserve_names(request)) {
        return sp_reply_status(request, SP_NO_MEMORY, NULL);
    }
    enum sp_verdict verdict = request->row->handler(request);
    if (verdict == SP_DONE) {
        check_size(request, from);
    } else {
        request->reply->to->len = from;
        request->reply->to->status = SP_OK;
    }
    return verdict;
}

/* Holds the reply back until what was decided is durable. */
static void hold(struct sp_request *request, size_t from) {
    struct sp_connection *connection = request->connection;
    uint64_t gate = sp_bus_gate(request->server->bus);
    if (request->appended) {
        connection->append_gate = gate;
    }
    if (!sp_bus_passed(request->server->bus, gate) &&
        !sp_output_hold(&connection->output, from, gate)) {
        sp_connection_break(connection);
    }
}

static void apply_reply_mode(const struct sp_request *request, size_t from) {
    struct sp_connection *connection = request->connection;
    switch (connection->reply_mode) {
    case SP_REPLY_ON:
        return;
    case SP_REPLY_SKIP_NEXT:
        connection->reply_mode = SP_REPLY_SKIP;
        break;
    case SP_REPLY_SKIP:
        connection->reply_mode = SP_REPLY_ON;
        break;
    case SP_REPLY_OFF:
        break;
    }
    if (!request->unasked) {
        connection->output.bytes.len = from;
    }
}

void sp_dispatch_finish(struct sp_request *request, size_t from) {
    check_size(request, from);
    if (!request->lazy) {
        hold(request, from);
    }
    apply_reply_mode(request, from);
}

/* Reads its own writes: waits until they are durable. */
static bool must_wait(const struct sp_request *request) {
    const struct sp_connection *connection = request->connection;
    return (request->row->flags & (SP_CMD_READ | SP_CMD_SETTLED)) != 0 &&
           connection->append_gate != 0 &&
           !sp_bus_passed(request->server->bus, connection->append_gate);
}

static enum sp_verdict run(struct sp_request *request, size_t from) {
    struct sp_connection *connection = request->connection;
    if (must_wait(request)) {
        connection->pause |= SP_PAUSE_GATE;
        connection->resume_gate = connection->append_gate;
        return SP_LATER;
    }
    enum sp_verdict verdict = sp_dispatch_run(request);
    const unsigned gated = SP_CMD_BUS | SP_CMD_WRITE | SP_CMD_READ;
    switch (verdict) {
    case SP_DONE:
        if ((request->row->flags & gated) != 0 && !request->lazy) {
            hold(request, from);
        }
        break;
    case SP_LATER:
        connection->pause |= SP_PAUSE_BUSY;
        break;
    case SP_BLOCKED:
        sp_ensure(connection->pause != 0);
        break;
    }
    return verdict;
}

enum sp_verdict sp_dispatch(struct sp_connection *connection, const sp_str *args, uint32_t argc) {
    sp_require(argc > 0);
    struct sp_request request = {
        .server = connection->server,
        .connection = connection,
        .args = args,
        .argc = argc,
        .reply = &connection->resp,
    };
    size_t from = connection->output.bytes.len;
    enum sp_verdict verdict = SP_DONE;
    if (!find_row(&request) || !may_run(&request)) {
        sp_transaction_spoil(connection);
    } else if (sp_transaction_is_open(connection) && (request.row->flags & SP_CMD_IN_MULTI) == 0) {
        queue(&request);
    } else {
        connection->last_command = request.row;
        verdict = run(&request, from);
    }
    if (verdict != SP_LATER) {
        connection->server->stats.commands++;
    }
    if (verdict == SP_DONE) {
        apply_reply_mode(&request, from);
    }
    return verdict;
}
