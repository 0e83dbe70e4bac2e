/*
 * MULTI, EXEC, WATCH: commands that wait to be run together, keys that must not change before.
 * loop-thread
 *
 * EXEC runs what appends or decides first, in order, as one block of the log: all of it or
 * nothing, also after a crash. Commands that read show what is durable, so they are run when that
 * block is, in order, and the replies stand where their commands stood.
 *
 *     MULTI ──► queueing ──EXEC──► writes ──► waits for the gate ──► reads ──► replies
 */
#ifndef SP_SERVER_TRANSACTION_H
#define SP_SERVER_TRANSACTION_H

#include "server/command.h"

enum {
    SP_TRANSACTION_COMMANDS_MAX = 65536,
    SP_TRANSACTION_WATCHED_MAX = 4096,
};

/* Adds a command to the queue. False where it is full or memory is out: EXEC will refuse then. */
SP_WARN_UNUSED bool sp_transaction_queue(struct sp_connection *connection,
                                         const struct sp_command_row *row, const sp_str *args,
                                         uint32_t argc);

/* True between MULTI and EXEC. */
bool sp_transaction_is_open(const struct sp_connection *connection);

/* A command was refused while queueing: EXEC will refuse all. */
void sp_transaction_spoil(struct sp_connection *connection);

/* What the queue and the watched keys take in memory. */
size_t sp_transaction_bytes(const struct sp_connection *connection);

/* Forgets the queue and what is watched. */
void sp_transaction_drop(struct sp_connection *connection);

/* The connection's GATE pause is over: where EXEC waits for it, its replies are written. */
bool sp_transaction_resume(struct sp_connection *connection);

#endif
