/*
 * The loop: libevent, sockets, signals and time around a server. loop-thread
 *
 * One turn: whatever the sockets have is read and handed to the connections, the server moves the
 * store on, then everything that may be sent is sent, directly; a socket that takes no more is
 * waited for. Reading goes through one buffer for all clients; only what is left over is kept with
 * a client. The engine may be used by other threads while the loop sleeps, or behind each turn: it
 * takes turns with them (os/guard.h).
 */
#ifndef SP_SERVER_LOOP_H
#define SP_SERVER_LOOP_H

#include "server/server.h"

struct sp_loop;

/*
 * Makes the loop of a server and listens. The loop holds the engine's guard whenever it does not
 * sleep. `wake_fd` becomes readable when the store has finished something. SP_INVALID: the address;
 * SP_BUSY: the port is taken; SP_DENIED; SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_loop_new(struct sp_server *server, struct sp_guard *guard, int wake_fd,
                                     struct sp_loop **ret_loop, struct sp_error *error);

/* Closes what is still connected, frees. */
void sp_loop_free(struct sp_loop *loop);

/* The port of the Redis protocol as bound. */
int sp_loop_port(const struct sp_loop *loop);

/*
 * Turns until SIGTERM, SIGINT or SIGHUP came and all that was received is done with and answered
 * (or ten seconds went by, or a second signal came): SP_OK. SP_FAILED: the store died.
 */
SP_WARN_UNUSED sp_status sp_loop_run(struct sp_loop *loop);

#endif
