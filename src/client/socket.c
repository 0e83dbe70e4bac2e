#include "client/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/base64.h"
#include "client/answer.h"
#include "proto/resp_write.h"

enum {
    READ_BYTES = 64 << 10,
    READS_AT_ONCE = 16,
    IN_BYTES_MAX = 1 << 30,
    OUT_BYTES_MAX = 1 << 30,
    HEAD_BYTES_MAX = 16 << 10, /* of the answer to the upgrade */
    KEPT_BYTES_MAX = 1 << 20,  /* of a buffer that is empty */
    IDLE_S = 30,               /* until the system asks whether the peer is there */
    PROBE_S = 10,
    PROBES = 3,
    GONE_MS = 30000, /* bytes not acknowledged for so long: the peer is gone */
};

void sp_socket_init(struct sp_socket *to, const struct sp_url *url) {
    *to = (struct sp_socket){.url = *url, .fd = -1, .state = SP_SOCKET_CLOSED};
    sp_buf_init(&to->out, OUT_BYTES_MAX);
    sp_buf_init(&to->in, IN_BYTES_MAX);
    sp_reply_reader_init(&to->reader);
}

static void drop_addresses(struct sp_socket *from) {
    if (from->addresses != NULL) {
        freeaddrinfo(from->addresses);
    }
    from->addresses = NULL;
    from->address = NULL;
}

void sp_socket_close(struct sp_socket *from) {
    if (from->fd >= 0) {
        (void)close(from->fd);
    }
    from->fd = -1;
    from->state = SP_SOCKET_CLOSED;
    from->sent = 0;
    from->taken = 0;
    sp_buf_reset(&from->out);
    sp_buf_reset(&from->in);
    sp_reply_reader_fini(&from->reader);
    sp_reply_reader_init(&from->reader);
    drop_addresses(from);
}

void sp_socket_fini(struct sp_socket *from) {
    sp_socket_close(from);
    sp_buf_fini(&from->out);
    sp_buf_fini(&from->in);
    sp_reply_reader_fini(&from->reader);
}

static sp_status lost(struct sp_socket *from, int os_error, const char *what,
                      struct sp_error *error) {
    char text[128] = "it is gone";
    if (os_error != 0) {
        (void)strerror_r(os_error, text, sizeof(text));
    }
    sp_status status =
        sp_error_set_os(error, SP_IO, os_error, "%s: %s: %s", from->url.shown, what, text);
    sp_socket_close(from);
    return status;
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void set_options(int fd) {
    const struct {
        int level;
        int name;
        int value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},       {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S}, {IPPROTO_TCP, TCP_KEEPINTVL, PROBE_S},
        {IPPROTO_TCP, TCP_KEEPCNT, PROBES},  {IPPROTO_TCP, TCP_USER_TIMEOUT, GONE_MS},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        /* One that the system does not have costs promptness, nothing else. */
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof(options[i].value));
    }
}

/* Tries the addresses from the present one on, until one is on its way. */
static sp_status try_addresses(struct sp_socket *to, int last_error, struct sp_error *error) {
    for (; to->address != NULL; to->address = to->address->ai_next) {
        if (to->fd >= 0) {
            (void)close(to->fd);
        }
        to->fd = socket(to->address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (to->fd < 0) {
            last_error = errno;
            continue;
        }
        to->made++;
        set_options(to->fd);
        if (connect(to->fd, to->address->ai_addr, to->address->ai_addrlen) == 0 ||
            errno == EINPROGRESS) {
            return SP_OK;
        }
        last_error = errno;
    }
    return lost(to, last_error, "cannot connect", error);
}

sp_status sp_socket_start(struct sp_socket *to, struct sp_error *error) {
    sp_require(to->state == SP_SOCKET_CLOSED);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int failed = getaddrinfo(to->url.host, to->url.port, &hints, &to->addresses);
    if (failed != 0) {
        to->addresses = NULL;
        return sp_error_set(error, failed == EAI_AGAIN ? SP_IO : SP_NOT_FOUND, "%s: %s",
                            to->url.shown, gai_strerror(failed));
    }
    to->address = to->addresses;
    to->state = SP_SOCKET_CONNECTING;
    return try_addresses(to, 0, error);
}

/* ---- the handshake --------------------------------------------------------------------------- */

static void add_text(struct sp_buf *to, const char *text) {
    sp_buf_add_str(to, sp_str_from(text));
}

static void send_upgrade(struct sp_socket *to) {
    struct sp_buf *out = &to->out;
    bool colons = strchr(to->url.host, ':') != NULL;
    add_text(out, "GET /v1/resp HTTP/1.1\r\nHost: ");
    add_text(out, colons ? "[" : "");
    add_text(out, to->url.host);
    add_text(out, colons ? "]:" : ":");
    add_text(out, to->url.port);
    add_text(out, "\r\nConnection: Upgrade\r\nUpgrade: resp\r\n");
    if (to->url.has_password) {
        char pair[2 * SP_URL_PART_SIZE];
        (void)snprintf(pair, sizeof(pair), "%s:%s", to->url.user, to->url.password);
        add_text(out, "Authorization: Basic ");
        sp_base64_add(out, sp_str_from(pair));
        add_text(out, "\r\n");
    }
    add_text(out, "\r\n");
    to->state = SP_SOCKET_UPGRADING;
}

static void send_hello(struct sp_socket *to) {
    struct sp_resp resp = {.to = &to->out, .version = SP_RESP_3};
    sp_resp_array(&resp, to->url.has_password ? 5 : 2);
    sp_resp_bulk_text(&resp, "HELLO");
    sp_resp_bulk_text(&resp, "3");
    if (to->url.has_password) {
        sp_resp_bulk_text(&resp, "AUTH");
        sp_resp_bulk_text(&resp, to->url.user);
        sp_resp_bulk_text(&resp, to->url.password);
    }
    to->state = SP_SOCKET_GREETING;
}

static sp_status finish_connect(struct sp_socket *to, struct sp_error *error) {
    int failed = 0;
    socklen_t size = sizeof(failed);
    struct pollfd poll_fd = {.fd = to->fd, .events = POLLOUT};
    if (poll(&poll_fd, 1, 0) <= 0) {
        return SP_OK;
    }
    if (getsockopt(to->fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0) {
        failed = errno;
    }
    if (failed != 0) {
        to->address = to->address->ai_next;
        return try_addresses(to, failed, error);
    }
    drop_addresses(to);
    if (to->url.is_http) {
        send_upgrade(to);
    } else {
        send_hello(to);
    }
    return SP_OK;
}

/* No other attempt would end better. */
static sp_status refused(struct sp_socket *from, sp_status status, sp_str said,
                         struct sp_error *error) {
    (void)sp_error_set(error, status, "%s: %.*s", from->url.shown, SP_STR_ARG(said));
    sp_socket_close(from);
    return status;
}

/* `HTTP/1.1 101 Switching Protocols`, and lines up to an empty one. */
static sp_status take_upgrade(struct sp_socket *from, struct sp_error *error) {
    sp_str in = sp_buf_str(&from->in);
    size_t end = 0;
    while (end + 4 <= in.len && memcmp(in.ptr + end, "\r\n\r\n", 4) != 0) {
        end++;
    }
    if (end + 4 > in.len) {
        return in.len < HEAD_BYTES_MAX
                   ? SP_OK
                   : refused(from, SP_UNSUPPORTED, SP_STR("the answer is not HTTP"), error);
    }
    const char *line_end = memchr(in.ptr, '\r', in.len);
    sp_str line = sp_str_of(in.ptr, (size_t)(line_end - in.ptr));
    if (sp_str_starts_with(line, SP_STR("HTTP/1.1 101"))) {
        from->taken = end + 4;
        send_hello(from);
        return SP_OK;
    }
    if (sp_str_starts_with(line, SP_STR("HTTP/1.1 401"))) {
        return refused(from, SP_DENIED,
                       from->url.has_password ? SP_STR("wrong password")
                                              : SP_STR("it wants a password: "
                                                       "http://:PASSWORD@host"),
                       error);
    }
    if (sp_str_starts_with(line, SP_STR("HTTP/1.1 503")) ||
        sp_str_starts_with(line, SP_STR("HTTP/1.1 429"))) {
        (void)refused(from, SP_IO, line, error);
        return SP_IO;
    }
    char text[192];
    (void)snprintf(text, sizeof(text), "no spoor answers there: %.*s", SP_STR_ARG(line));
    return refused(from, SP_UNSUPPORTED, sp_str_from(text), error);
}

static sp_status take_hello(struct sp_socket *from, struct sp_error *error) {
    struct sp_reply reply;
    sp_str bytes;
    sp_status status = SP_OK;
    if (!sp_socket_take(from, &reply, &bytes, &status, error)) {
        return status == SP_OK
                   ? SP_OK
                   : sp_error_set(error, SP_UNSUPPORTED,
                                  "%s: what answers there does not speak RESP", from->url.shown);
    }
    if (reply.nodes[0].kind == SP_REPLY_FAILURE) {
        struct sp_error said;
        sp_error_clear(&said);
        status = sp_answer_status(reply.nodes[0].text, &said);
        bool no_space = sp_str_starts_with(reply.nodes[0].text, SP_STR("ERR max number"));
        return refused(from,
                       no_space              ? SP_IO
                       : status == SP_DENIED ? SP_DENIED
                                             : SP_UNSUPPORTED,
                       sp_str_from(said.text), error);
    }
    from->state = SP_SOCKET_READY;
    return SP_OK;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void let_go(struct sp_buf *buf) {
    sp_buf_reset(buf);
    if (buf->capacity > KEPT_BYTES_MAX) {
        size_t most = buf->size_bytes_max;
        sp_buf_fini(buf);
        sp_buf_init(buf, most);
    }
}

static sp_status send_out(struct sp_socket *to, struct sp_error *error) {
    while (to->sent < to->out.len) {
        ssize_t count = send(to->fd, to->out.data + to->sent, to->out.len - to->sent, MSG_NOSIGNAL);
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return SP_OK;
        }
        if (count < 0 && errno != EINTR) {
            return lost(to, errno, "cannot send", error);
        }
        to->sent += count > 0 ? (size_t)count : 0;
    }
    to->sent = 0;
    let_go(&to->out);
    return SP_OK;
}

/* Moves what was not taken yet to the front. */
static void make_room(struct sp_socket *from) {
    size_t left = from->in.len - from->taken;
    if (left > 0 && from->taken > 0) {
        memmove(from->in.data, from->in.data + from->taken, left);
    }
    from->in.len = left;
    from->taken = 0;
    if (left == 0) {
        let_go(&from->in);
    }
}

static sp_status receive(struct sp_socket *from, struct sp_error *error) {
    make_room(from);
    for (int i = 0; i < READS_AT_ONCE; i++) {
        uint8_t *at = sp_buf_reserve(&from->in, READ_BYTES);
        if (at == NULL) {
            return lost(from, ENOMEM, "a reply is too large", error);
        }
        ssize_t count = recv(from->fd, at, READ_BYTES, 0);
        if (count > 0) {
            sp_buf_advance(&from->in, (size_t)count);
        }
        if (count > 0 && count < READ_BYTES) {
            return SP_OK;
        }
        if (count == 0) {
            return lost(from, 0, "the connection ended", error);
        }
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return SP_OK;
        }
        if (count < 0 && errno != EINTR) {
            return lost(from, errno, "the connection is lost", error);
        }
    }
    return SP_OK;
}

sp_status sp_socket_step(struct sp_socket *to, bool reads, struct sp_error *error) {
    sp_status status = SP_OK;
    if (to->state == SP_SOCKET_CLOSED) {
        return SP_OK;
    }
    if (to->state == SP_SOCKET_CONNECTING) {
        status = finish_connect(to, error);
        if (status != SP_OK || to->state == SP_SOCKET_CONNECTING) {
            return status;
        }
    }
    status = send_out(to, error);
    if (status == SP_OK && reads) {
        status = receive(to, error);
    }
    if (status == SP_OK && to->state == SP_SOCKET_UPGRADING) {
        status = take_upgrade(to, error);
        status = status == SP_OK ? send_out(to, error) : status;
    }
    if (status == SP_OK && to->state == SP_SOCKET_GREETING) {
        status = take_hello(to, error);
    }
    return status;
}

short sp_socket_events(const struct sp_socket *of) {
    bool writes = of->state == SP_SOCKET_CONNECTING || sp_socket_unsent(of) > 0;
    return (short)((of->state == SP_SOCKET_CONNECTING ? 0 : POLLIN) | (writes ? POLLOUT : 0));
}

bool sp_socket_take(struct sp_socket *from, struct sp_reply *ret_reply, sp_str *ret_bytes,
                    sp_status *ret_status, struct sp_error *error) {
    const char *at = (const char *)from->in.data + from->taken;
    *ret_status = SP_OK;
    if (from->taken == from->in.len) {
        return false;
    }
    switch (sp_reply_read(&from->reader, at, from->in.len - from->taken, ret_reply)) {
    case SP_REPLY_WHOLE:
        *ret_bytes = sp_str_of(at, ret_reply->consumed);
        from->taken += ret_reply->consumed;
        return true;
    case SP_REPLY_MORE:
        return false;
    case SP_REPLY_BROKEN:
        break;
    }
    *ret_status = sp_error_set(error, SP_IO, "%s: not the Redis protocol: %s", from->url.shown,
                               ret_reply->problem);
    sp_socket_close(from);
    return false;
}
