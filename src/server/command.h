/*
 * The commands of the Redis protocol, as data, and the path from a client's words to a handler.
 * loop-thread
 *
 * One table (commands.c): what is not in it does not exist. COMMAND and its subcommands, arity
 * checks, the queue of MULTI and the documentation derive from it. A handler is given a request
 * and writes exactly one reply, unless its verdict says otherwise.
 */
#ifndef SP_SERVER_COMMAND_H
#define SP_SERVER_COMMAND_H

#include "base/error.h"
#include "proto/resp_write.h"
#include "server/connection.h"

struct sp_command_row;

struct sp_request {
    struct sp_server *server;
    struct sp_connection *connection;
    const struct sp_command_row *row; /* of a subcommand: its own */
    const sp_str *args;               /* args[0] is the command; borrowed for the call */
    uint32_t argc;
    struct sp_resp *reply;
    uint32_t share;      /* of what a group has, where members wait for it: at most; 0: all */
    bool in_transaction; /* run by EXEC: must not block */
    bool lazy;     /* set by a handler: the reply need not wait until what was decided is durable */
    bool appended; /* set by a handler: the client's later reads wait until this is durable */
    bool unasked;  /* set by a handler: what it wrote is sent whatever CLIENT REPLY says */
};

enum sp_verdict {
    SP_DONE,    /* the reply is written */
    SP_LATER,   /* SP_BUSY: nothing happened and nothing was written; the next turn calls again */
    SP_BLOCKED, /* nothing was written: connection->wait says what for */
};

typedef enum sp_verdict sp_handler_fn(struct sp_request *request);

enum sp_command_flag {
    SP_CMD_WRITE = 1, /* appends or decides */
    SP_CMD_READ = 2,  /* shows what the log holds: waits for the client's own appends */
    SP_CMD_BUS =
        4, /* the reply waits until all that is decided is durable; WRITE and READ imply it */
    SP_CMD_FAST = 8,      /* COMMAND says so */
    SP_CMD_NO_AUTH = 16,  /* allowed before AUTH */
    SP_CMD_NO_MULTI = 32, /* not within MULTI */
    SP_CMD_IN_MULTI = 64, /* runs at once within MULTI: EXEC, DISCARD … */
    SP_CMD_PUBSUB = 128,  /* allowed to a RESP2 client that is subscribed */
    SP_CMD_BLOCKING = 256,
    SP_CMD_ADMIN = 512,
    SP_CMD_SETTLED =
        2048, /* a write that looks into the log: waits for the own appends as READ does */
    SP_CMD_KEYS_MOVE = 1024, /* where the keys stand depends on the arguments: XREAD … STREAMS */
};

struct sp_command_row {
    const char *name; /* lower case; of a subcommand its second word */
    int arity;        /* words, the command included; negative: at least so many */
    unsigned flags;
    int8_t first_key; /* 0: no keys; of sp_request.args */
    int8_t last_key;  /* negative: from the end */
    int8_t key_step;
    const struct sp_command_row *subcommands; /* ended by a row without a name; NULL: none */
    sp_handler_fn *handler;                   /* NULL where there are subcommands only */
    const char *group;
    const char *since;
    const char *summary;
};

/* The table, ended by a row without a name. */
const struct sp_command_row *sp_command_rows(void);

/* Rows by name, made once. */
struct sp_command_index {
    uint16_t *slots; /* 1 + number of the row; power of two */
    uint32_t mask;
};

SP_WARN_UNUSED sp_status sp_command_index_init(struct sp_command_index *index);
void sp_command_index_fini(struct sp_command_index *index);

/* The row of a command, whatever its case; NULL where there is none. O(1). */
const struct sp_command_row *sp_command_find(const struct sp_command_index *index, sp_str name);

/* The row of a subcommand; NULL where there is none. */
const struct sp_command_row *sp_subcommand_find(const struct sp_command_row *row, sp_str name);

/*
 * Runs one command of the connection: checks, then MULTI's queue or the handler, then the gate.
 * SP_LATER also where a read must wait for the client's own writes: the connection is paused, and
 * the command is to be given again.
 */
enum sp_verdict sp_dispatch(struct sp_connection *connection, const sp_str *args, uint32_t argc);

/* Runs the row's handler and nothing else: for EXEC and for commands that were blocked. */
enum sp_verdict sp_dispatch_run(struct sp_request *request);

/* What follows a reply that was written outside of a command: sizes, the gate, CLIENT REPLY. */
void sp_dispatch_finish(struct sp_request *request, size_t from);

/* ---- replies that many handlers give ---- */

/* `-ERR syntax error` and the like; return SP_DONE, so that a handler can `return sp_reply_…`. */
enum sp_verdict sp_reply_error(struct sp_request *request, const char *text);
enum sp_verdict sp_reply_error_str(struct sp_request *request, const char *code, sp_str text);
enum sp_verdict sp_reply_syntax(struct sp_request *request);
enum sp_verdict sp_reply_arity(struct sp_request *request);
enum sp_verdict sp_reply_not_integer(struct sp_request *request);
/* What a call of the bus said: SP_BUSY gives SP_LATER, all else an error reply. */
enum sp_verdict sp_reply_status(struct sp_request *request, sp_status status,
                                const struct sp_error *error);

/*
 * As sp_reply_status, with a code for what programs tell apart: LIMIT, NOTFOUND, UNSUPPORTED,
 * NOSPACE. For commands of spoor's own; those of Redis keep its codes.
 */
enum sp_verdict sp_reply_own_status(struct sp_request *request, sp_status status,
                                    const struct sp_error *error);
const char *sp_status_code(sp_status status);

/* ---- arguments ---- */

/* ASCII case does not count; `word` is lower case. */
bool sp_word_is(sp_str text, const char *word);
/* Redis' integers: an optional minus, no plus, no blanks, no leading zeros; 64 bits. */
SP_WARN_UNUSED bool sp_word_i64(sp_str text, int64_t *ret_value);

#endif
