/*
 * A server without sockets: connections that a test speaks for, a store in a folder of its own, and
 * a clock that the test turns.
 */
#ifndef SP_TESTS_SERVER_DESK_H
#define SP_TESTS_SERVER_DESK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "os/fs.h"
#include "server/server.h"

struct desk {
    char folder[64];
    struct sp_fs *fs;
    struct sp_engine *engine;
    struct sp_bus *bus;
    struct sp_server *server;
    uint64_t wall_us;
    uint64_t monotonic_ns;
    char reply[1 << 16];
};

/* For cmocka_unit_test_setup_teardown: *state is a struct desk. */
int desk_begin(void **state);
int desk_end(void **state);

struct sp_connection *desk_connect(struct desk *desk);
/* The client hangs up. */
void desk_hang_up(struct desk *desk, struct sp_connection *connection);

/* Says lines of inline commands, and turns until all that was taken is durable. */
void desk_say(struct desk *desk, struct sp_connection *connection, const char *line);
void desk_turn(struct desk *desk);
/* Moves the clock, then turns. Returns ms until the server wants its next turn; -1: never. */
int desk_sleep(struct desk *desk, uint64_t ms);

/* What was sent since the last time, `|` for each line's end. Lasts until the next call. */
const char *desk_hear(struct desk *desk, struct sp_connection *connection);

/* Says a line and compares what is heard; `…` at the end of `reply`: whatever follows. */
void desk_expect(struct desk *desk, struct sp_connection *connection, const char *line,
                 const char *reply);
void desk_expect_heard(struct desk *desk, struct sp_connection *connection, const char *reply);

#endif
