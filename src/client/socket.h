/*
 * One connection to a server: a non-blocking socket, the handshake, bytes out and replies in.
 * One thread at a time.
 *
 *     CLOSED ──start──▶ CONNECTING ──▶ UPGRADING ──101──▶ GREETING ──HELLO──▶ READY
 *                           │             (http:// only)      │                  │
 *                           └──────────── any failure, or the peer is gone ──────┴──▶ CLOSED
 *
 * Nothing here waits: sp_socket_step does what can be done now, and the owner polls the descriptor
 * for sp_socket_events in between. Only the name of the host is looked up in place. What was not
 * sent when a connection is lost is gone: the owner keeps what it wants to send again.
 */
#ifndef SP_CLIENT_SOCKET_H
#define SP_CLIENT_SOCKET_H

#include "base/buf.h"
#include "client/url.h"
#include "proto/resp_reply.h"

struct addrinfo;

enum sp_socket_state {
    SP_SOCKET_CLOSED,
    SP_SOCKET_CONNECTING,
    SP_SOCKET_UPGRADING,
    SP_SOCKET_GREETING,
    SP_SOCKET_READY,
};

struct sp_socket {
    struct sp_url url;
    int fd;        /* -1: CLOSED */
    uint32_t made; /* how many there were: tells two with one number apart */
    enum sp_socket_state state;
    struct addrinfo *addresses; /* of the host, while CONNECTING */
    struct addrinfo *address;   /* the one that is tried */
    struct sp_buf out;
    size_t sent; /* bytes at the start of out that are gone */
    struct sp_buf in;
    size_t taken; /* bytes at the start of in that were given */
    struct sp_reply_reader reader;
};

void sp_socket_init(struct sp_socket *socket, const struct sp_url *url);
void sp_socket_fini(struct sp_socket *socket);

/* Begins to connect. SP_IO, with what the system said; SP_NOT_FOUND for an unknown host. */
SP_WARN_UNUSED sp_status sp_socket_start(struct sp_socket *socket, struct sp_error *error);

/*
 * Connects, shakes hands, sends and receives as far as that goes without waiting. On failure the
 * socket is CLOSED: SP_IO where another attempt may succeed; SP_DENIED (a wrong password) and
 * SP_UNSUPPORTED (no spoor at this address) where none will. `reads` false: takes no more bytes.
 */
SP_WARN_UNUSED sp_status sp_socket_step(struct sp_socket *socket, bool reads,
                                        struct sp_error *error);

/* What to poll for: POLLIN, POLLOUT. */
short sp_socket_events(const struct sp_socket *socket);

static inline bool sp_socket_is_ready(const struct sp_socket *socket) {
    return socket->state == SP_SOCKET_READY;
}

/* Where bytes to send are appended, once READY; the next step sends them. */
static inline struct sp_buf *sp_socket_out(struct sp_socket *socket) {
    return &socket->out;
}
static inline size_t sp_socket_unsent(const struct sp_socket *socket) {
    return socket->out.len - socket->sent;
}

/*
 * The next reply that has come whole, borrowed until the next call of anything; *ret_bytes is its
 * text. False where there is none yet; SP_IO in *ret_status, and CLOSED, where what came is no
 * reply.
 */
bool sp_socket_take(struct sp_socket *socket, struct sp_reply *ret_reply, sp_str *ret_bytes,
                    sp_status *ret_status, struct sp_error *error);

void sp_socket_close(struct sp_socket *socket);

#endif
