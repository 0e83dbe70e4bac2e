#include "server/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/wakeup.h"
#include "server/http.h"

enum {
    INBOX_BYTES = 128 << 10,
    PIECES_MAX = 16,
    BACKLOG = 1024,
    CRON_MS = 1000,
    BUSY_MS = 1,           /* a client is tried again after so long at the latest */
    ACCEPT_PAUSE_MS = 100, /* where no descriptor is to be had */
    DRAIN_MS = 10000,
    DRAIN_BYTES_MAX = 1 << 20, /* read from each client at the end */
    MS_PER_S = 1000,
    US_PER_MS = 1000,
};

struct client {
    struct sp_connection *connection;
    struct sp_loop *loop;
    int fd;
    bool reading;
    bool writing;
    bool shut; /* nothing more will be sent, and the client was told */
    struct event read;
    struct event write;
};

/* Where clients come in, one for each protocol. */
struct entrance {
    struct sp_loop *loop;
    struct evconnlistener *listener; /* NULL: closed */
    bool http;
    int port; /* as bound */
};

enum { RESP_ENTRANCE, HTTP_ENTRANCE, ENTRANCES };

struct sp_loop {
    struct sp_server *server;
    struct event_base *base;
    struct entrance entrances[ENTRANCES];
    struct event wake;
    struct event timer;
    struct event terminate;
    struct event interrupt;
    struct event hang_up;
    struct event accept_again;
    int wake_fd;
    struct sp_guard *guard;
    bool ticked; /* the clocks were read in this turn, and the guard is held */
    bool stopping;
    uint64_t stop_ms; /* when a drain ends at the latest */
    uint64_t cron_ms; /* when upkeep is due */
    char inbox[INBOX_BYTES];
};

/* The first thing of a turn: from here on the engine belongs to the loop, until it sleeps. */
static void tick(struct sp_loop *loop) {
    if (!loop->ticked) {
        sp_guard_enter(loop->guard);
        sp_server_tick(loop->server);
        loop->ticked = true;
    }
}

static struct timeval timeval_of(int ms) {
    return (struct timeval){.tv_sec = ms / MS_PER_S, .tv_usec = (ms % MS_PER_S) * US_PER_MS};
}

/* ---- one client ------------------------------------------------------------------------------ */

static void close_client(struct client *client) {
    (void)event_del(&client->read);
    (void)event_del(&client->write);
    sp_connection_free(client->connection);
    (void)close(client->fd);
    free(client);
}

static void set_reading(struct client *client, bool on) {
    if (client->reading != on) {
        client->reading = on;
        (void)(on ? event_add(&client->read, NULL) : event_del(&client->read));
    }
}

static void set_writing(struct client *client, bool on) {
    if (client->writing != on) {
        client->writing = on;
        (void)(on ? event_add(&client->write, NULL) : event_del(&client->write));
    }
}

/* Returns the bytes that were read; 0 where there are none, for now or for ever. */
static size_t receive(struct client *client) {
    struct sp_connection *connection = client->connection;
    struct sp_loop *loop = client->loop;
    ssize_t len = read(client->fd, loop->inbox, sizeof(loop->inbox));
    if (len > 0) {
        sp_connection_feed(connection, loop->inbox, (size_t)len);
        return (size_t)len;
    }
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    connection->ended = true;
    set_reading(client, false);
    if (len < 0 || sp_connection_stays(connection)) {
        sp_connection_break(connection); /* nobody is there to read what would come */
    }
    sp_connection_touch(connection);
    return 0;
}

static void on_readable(evutil_socket_t fd, short what, void *context) {
    struct client *client = context;
    (void)fd;
    (void)what;
    tick(client->loop);
    if (!client->connection->broken) {
        (void)receive(client);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *context) {
    struct client *client = context;
    (void)fd;
    (void)what;
    tick(client->loop);
    set_writing(client, false);
    sp_connection_touch(client->connection);
}

/* Sends what may be sent, as far as the socket takes it. */
static void transmit(struct client *client) {
    struct sp_connection *connection = client->connection;
    struct sp_server *server = connection->server;
    struct iovec pieces[PIECES_MAX];
    while (!client->writing && !connection->broken) {
        size_t count = sp_output_pieces(&connection->output, pieces, PIECES_MAX);
        size_t wanted = 0;
        for (size_t i = 0; i < count; i++) {
            wanted += pieces[i].iov_len;
        }
        if (wanted == 0) {
            break;
        }
        ssize_t len = count == 1 ? write(client->fd, pieces[0].iov_base, wanted)
                                 : writev(client->fd, pieces, (int)count);
        if (len < 0 && errno != EAGAIN && errno != EINTR) {
            sp_connection_break(connection);
            return;
        }
        size_t sent = len > 0 ? (size_t)len : 0;
        server->stats.bytes_out += sent;
        sp_output_sent(&connection->output, sent);
        set_writing(client, sent < wanted);
    }
    if (connection->output.bytes.len == 0) {
        sp_spare_take(&server->spares, &connection->output.bytes);
    }
}

static bool is_over(const struct sp_connection *connection) {
    if (connection->broken) {
        return true;
    }
    const struct sp_protocol *protocol = connection->protocol;
    bool waits = (connection->pause & (SP_PAUSE_GATE | SP_PAUSE_BUSY)) != 0 ||
                 sp_connection_unsent(connection) > 0 ||
                 (protocol->is_busy != NULL && protocol->is_busy(connection));
    bool ends = connection->ended || (connection->pause & SP_PAUSE_CLOSING) != 0;
    return ends && !waits;
}

/* True where the connection has something to go on with although nothing will come in. */
static bool can_go_on(const struct sp_connection *connection) {
    size_t unsent = sp_connection_unsent(connection);
    return ((connection->pause & SP_PAUSE_OUTPUT) != 0 && unsent < SP_OUTPUT_PAUSE_BYTES / 2) ||
           unsent < connection->drain_below;
}

static void end_slow(struct sp_connection *connection) {
    sp_say(&connection->server->logger, SP_LEVEL_WARN, "client does not read its replies",
           SP_FIELD_NUMBER("client", connection->id),
           SP_FIELD_TEXT("peer", sp_str_from(connection->peer)),
           SP_FIELD_NUMBER("unsent", sp_connection_unsent(connection)));
    sp_connection_break(connection);
}

/* The last reply is sent, and the client is told so; what it still sends is read away. */
static void shut(struct client *client) {
    if (client->connection->http.lingers && !client->shut &&
        sp_connection_unsent(client->connection) == 0) {
        client->shut = true;
        (void)shutdown(client->fd, SHUT_WR);
    }
}

/* Sends to those who have something, closes those who are done. Returns ms to wait at most. */
static int flush(struct sp_loop *loop, int wait_ms) {
    struct sp_connection *next = NULL;
    for (struct sp_connection *at = loop->server->dirty; at != NULL; at = next) {
        struct client *client = at->socket;
        next = at->dirty.next;
        transmit(client);
        shut(client);
        if (is_over(at)) {
            close_client(client);
            continue;
        }
        bool full = at->pause != 0 && at->input.len >= SP_INPUT_PAUSED_BYTES;
        set_reading(client, !at->ended && !full && (at->pause & SP_PAUSE_CLOSING) == 0);
        if (can_go_on(at)) {
            wait_ms = 0;
        } else if ((at->pause & SP_PAUSE_BUSY) != 0) {
            wait_ms = wait_ms < 0 || wait_ms > BUSY_MS ? BUSY_MS : wait_ms;
        } else if ((at->pause & SP_PAUSE_GATE) == 0 && sp_output_gate(&at->output) == 0) {
            sp_connection_settle(at);
        }
    }
    return wait_ms;
}

/* ---- new clients ----------------------------------------------------------------------------- */

static void format_peer(const struct sockaddr *address, char *to, size_t size) {
    char text[INET6_ADDRSTRLEN] = "?";
    int port = 0;
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        (void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        port = ntohs(in->sin_port);
        (void)snprintf(to, size, "%s:%d", text, port);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
        (void)inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
        port = ntohs(in->sin6_port);
        (void)snprintf(to, size, "[%s]:%d", text, port);
    } else {
        (void)snprintf(to, size, "?");
    }
}

static void refuse(const struct entrance *entrance, int fd, const char *peer) {
    struct sp_loop *loop = entrance->loop;
    sp_str text =
        entrance->http ? sp_http_too_many() : SP_STR("-ERR max number of clients reached\r\n");
    loop->server->stats.connections_rejected++;
    sp_say(&loop->server->logger, SP_LEVEL_WARN, "max-connections reached",
           SP_FIELD_TEXT("peer", sp_str_from(peer)));
    (void)!write(fd, text.ptr, text.len);
    (void)close(fd);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int address_len, void *context) {
    const struct entrance *entrance = context;
    struct sp_loop *loop = entrance->loop;
    struct sp_server *server = loop->server;
    char peer[SP_PEER_TEXT_SIZE];
    int on = 1;
    (void)listener;
    (void)address_len;
    tick(loop);
    format_peer(address, peer, sizeof(peer));
    if (server->connection_count >= sp_settings_u64(&server->settings, SP_SET_MAX_CONNECTIONS)) {
        refuse(entrance, fd, peer);
        return;
    }
    struct client *client = calloc(1, sizeof(*client));
    struct sp_connection *connection = client == NULL ? NULL : sp_connection_new(server, peer);
    if (connection == NULL) {
        free(client);
        (void)close(fd);
        return;
    }
    if (entrance->http) {
        sp_http_attach(connection);
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    client->connection = connection;
    client->loop = loop;
    client->fd = fd;
    connection->socket = client;
    (void)event_assign(&client->read, loop->base, fd, EV_READ | EV_PERSIST, on_readable, client);
    (void)event_assign(&client->write, loop->base, fd, EV_WRITE, on_writable, client);
    set_reading(client, true);
}

static void on_accept_again(evutil_socket_t fd, short what, void *context) {
    struct sp_loop *loop = context;
    (void)fd;
    (void)what;
    for (int i = 0; i < ENTRANCES && !loop->stopping; i++) {
        if (loop->entrances[i].listener != NULL) {
            (void)evconnlistener_enable(loop->entrances[i].listener);
        }
    }
}

/* No descriptors: asking again at once would ask for ever. */
static void on_accept_error(struct evconnlistener *listener, void *context) {
    struct sp_loop *loop = ((const struct entrance *)context)->loop;
    int os_error = errno;
    char text[96];
    struct timeval pause = timeval_of(ACCEPT_PAUSE_MS);
    sp_say(&loop->server->logger, SP_LEVEL_ERROR, "cannot accept",
           SP_FIELD_TEXT("error", sp_str_from(strerror_r(os_error, text, sizeof(text)))));
    (void)evconnlistener_disable(listener);
    (void)event_add(&loop->accept_again, &pause);
}

/* ---- listening ------------------------------------------------------------------------------- */

static sp_status bind_status(int os_error) {
    switch (os_error) {
    case EADDRINUSE:
        return SP_BUSY;
    case EACCES:
        return SP_DENIED;
    default:
        return SP_INVALID;
    }
}

static int bound_port(struct evconnlistener *listener) {
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    if (getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)(void *)&bound, &len) !=
        0) {
        return 0;
    }
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&bound;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&bound;
    return ntohs(bound.ss_family == AF_INET6 ? in6->sin6_port : in->sin_port);
}

static sp_status listen_at(struct entrance *entrance, const struct addrinfo *info,
                           const char *address, const char *port, struct sp_error *error) {
    const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    errno = 0;
    entrance->listener = evconnlistener_new_bind(entrance->loop->base, on_accept, entrance, flags,
                                                 BACKLOG, info->ai_addr, (int)info->ai_addrlen);
    if (entrance->listener == NULL) {
        int os_error = errno;
        char text[96];
        return sp_error_set_os(error, bind_status(os_error), os_error, "cannot listen at %s:%s: %s",
                               address, port, strerror_r(os_error, text, sizeof(text)));
    }
    evconnlistener_set_error_cb(entrance->listener, on_accept_error);
    entrance->port = bound_port(entrance->listener);
    return SP_OK;
}

static sp_status open_entrance(struct entrance *entrance, uint64_t wanted_port,
                               struct sp_error *error) {
    const struct sp_settings *settings = &entrance->loop->server->settings;
    const char *address = sp_settings_text(settings, SP_SET_LISTEN).ptr;
    char port[24];
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *info = NULL;
    (void)snprintf(port, sizeof(port), "%llu", (unsigned long long)wanted_port);
    int failed = getaddrinfo(address, port, &hints, &info);
    if (failed != 0) {
        return sp_error_set(error, SP_INVALID, "cannot listen at %s: %s", address,
                            gai_strerror(failed));
    }
    sp_status status = listen_at(entrance, info, address, port, error);
    freeaddrinfo(info);
    return status;
}

static void close_entrances(struct sp_loop *loop) {
    for (int i = 0; i < ENTRANCES; i++) {
        if (loop->entrances[i].listener != NULL) {
            evconnlistener_free(loop->entrances[i].listener);
            loop->entrances[i].listener = NULL;
        }
    }
}

/* Who asks for any port for the one protocol has not asked for a certain one for the other. */
static uint64_t http_port(const struct sp_settings *settings) {
    bool any =
        sp_settings_u64(settings, SP_SET_RESP_PORT) == 0 && !settings->given[SP_SET_HTTP_PORT];
    return any ? 0 : sp_settings_u64(settings, SP_SET_HTTP_PORT);
}

static sp_status start_listening(struct sp_loop *loop, struct sp_error *error) {
    struct sp_server *server = loop->server;
    struct entrance *resp = &loop->entrances[RESP_ENTRANCE];
    struct entrance *http = &loop->entrances[HTTP_ENTRANCE];
    *resp = (struct entrance){.loop = loop};
    *http = (struct entrance){.loop = loop, .http = true};
    sp_status status =
        open_entrance(resp, sp_settings_u64(&server->settings, SP_SET_RESP_PORT), error);
    if (status == SP_OK && server->http != NULL) {
        status = open_entrance(http, http_port(&server->settings), error);
    }
    if (status != SP_OK) {
        close_entrances(loop);
        return status;
    }
    server->resp_port = resp->port;
    server->http_port = http->port;
    return SP_OK;
}

/* ---- stopping -------------------------------------------------------------------------------- */

/* What clients have sent by now is still read, done and answered. */
static void on_stop(evutil_socket_t signal_number, short what, void *context) {
    struct sp_loop *loop = context;
    struct sp_server *server = loop->server;
    (void)what;
    tick(loop);
    sp_say(&server->logger, SP_LEVEL_INFO, "stopping",
           SP_FIELD_NUMBER("signal", (uint64_t)signal_number),
           SP_FIELD_NUMBER("connections", server->connection_count));
    if (loop->stopping) {
        loop->stop_ms = server->monotonic_ms; /* the second one: at once */
        return;
    }
    loop->stopping = true;
    server->draining = true;
    loop->stop_ms = server->monotonic_ms + DRAIN_MS;
    for (int i = 0; i < ENTRANCES; i++) {
        if (loop->entrances[i].listener != NULL) {
            (void)evconnlistener_disable(loop->entrances[i].listener);
        }
    }
    for (struct sp_connection *at = server->connections; at != NULL; at = at->all.next) {
        size_t total = 0;
        size_t len = 1;
        while (len > 0 && total < DRAIN_BYTES_MAX && !at->broken && !at->ended) {
            len = receive(at->socket);
            total += len;
        }
        at->ended = true;
        set_reading(at->socket, false);
        if (at->protocol->stop != NULL) {
            at->protocol->stop(at);
        } else if (sp_connection_stays(at)) {
            sp_connection_finish(at);
        }
        sp_connection_touch(at);
    }
}

static bool is_drained(const struct sp_loop *loop) {
    return loop->stopping &&
           (loop->server->connection_count == 0 || loop->server->monotonic_ms >= loop->stop_ms);
}

/* ---- turning --------------------------------------------------------------------------------- */

static void on_wake(evutil_socket_t fd, short what, void *context) {
    (void)what;
    (void)context;
    sp_wakeup_drain((int)fd);
}

static void on_timer(evutil_socket_t fd, short what, void *context) {
    (void)fd;
    (void)what;
    (void)context;
}

/* Closes who has been silent for too long. Once a second. */
static void upkeep(struct sp_loop *loop) {
    struct sp_server *server = loop->server;
    uint64_t limit_ms = sp_settings_u64(&server->settings, SP_SET_IDLE_TIMEOUT);
    if (server->monotonic_ms < loop->cron_ms) {
        return;
    }
    loop->cron_ms = server->monotonic_ms + CRON_MS;
    uint64_t unsent_max = sp_settings_u64(&server->settings, SP_SET_OUTPUT_BUFFER) +
                          sp_settings_u64(&server->settings, SP_SET_REPLY_BYTES_MAX);
    for (struct sp_connection *at = server->connections; at != NULL; at = at->all.next) {
        bool stays =
            sp_connection_stays(at) || (at->protocol->is_busy != NULL && at->protocol->is_busy(at));
        if (at->protocol->each_second != NULL) {
            at->protocol->each_second(at);
        }
        if (limit_ms > 0 && !stays && server->monotonic_ms - at->last_ms >= limit_ms) {
            sp_connection_break(at);
        } else if (sp_connection_unsent(at) > unsent_max) {
            end_slow(at);
        }
    }
}

/* Others may use the engine while the loop sleeps. */
static void pause_turn(struct sp_loop *loop) {
    if (loop->ticked) {
        loop->ticked = false;
        sp_guard_leave(loop->guard);
    }
}

sp_status sp_loop_run(struct sp_loop *loop) {
    struct sp_server *server = loop->server;
    int wait_ms = 0;
    while (!is_drained(loop) && !server->failed) {
        int most_ms = wait_ms < 0 || wait_ms > CRON_MS ? CRON_MS : wait_ms;
        struct timeval wait = timeval_of(most_ms);
        pause_turn(loop);
        if (most_ms > 0) {
            (void)event_add(&loop->timer, &wait);
        }
        (void)event_base_loop(loop->base,
                              most_ms > 0 ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);
        tick(loop);
        upkeep(loop);
        wait_ms = sp_server_turn(server);
        wait_ms = flush(loop, wait_ms);
    }
    pause_turn(loop);
    return server->failed ? SP_FAILED : SP_OK;
}

/* ---- making and ending ----------------------------------------------------------------------- */

static bool add_events(struct sp_loop *loop) {
    struct event_base *base = loop->base;
    return event_assign(&loop->wake, base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop) ==
               0 &&
           event_assign(&loop->timer, base, -1, 0, on_timer, loop) == 0 &&
           event_assign(&loop->accept_again, base, -1, 0, on_accept_again, loop) == 0 &&
           evsignal_assign(&loop->terminate, base, SIGTERM, on_stop, loop) == 0 &&
           evsignal_assign(&loop->interrupt, base, SIGINT, on_stop, loop) == 0 &&
           evsignal_assign(&loop->hang_up, base, SIGHUP, on_stop, loop) == 0 &&
           event_add(&loop->wake, NULL) == 0 && event_add(&loop->terminate, NULL) == 0 &&
           event_add(&loop->interrupt, NULL) == 0 && event_add(&loop->hang_up, NULL) == 0;
}

sp_status sp_loop_new(struct sp_server *server, struct sp_guard *guard, int wake_fd,
                      struct sp_loop **ret_loop, struct sp_error *error) {
    struct sp_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "loop");
    }
    loop->server = server;
    loop->guard = guard;
    loop->wake_fd = wake_fd;
    server->wake_fd = wake_fd;
    loop->base = event_base_new();
    if (loop->base == NULL) {
        free(loop);
        return sp_error_set(error, SP_NO_MEMORY, "no event loop to be had");
    }
    sp_status status = add_events(loop) ? start_listening(loop, error)
                                        : sp_error_set(error, SP_NO_MEMORY, "no events");
    if (status != SP_OK) {
        event_base_free(loop->base);
        free(loop);
        return status;
    }
    *ret_loop = loop;
    return SP_OK;
}

void sp_loop_free(struct sp_loop *loop) {
    if (loop == NULL) {
        return;
    }
    while (loop->server->connections != NULL) {
        close_client(loop->server->connections->socket);
    }
    close_entrances(loop);
    (void)event_del(&loop->wake);
    (void)event_del(&loop->timer);
    (void)event_del(&loop->accept_again);
    (void)event_del(&loop->terminate);
    (void)event_del(&loop->interrupt);
    (void)event_del(&loop->hang_up);
    event_base_free(loop->base);
    free(loop);
}

int sp_loop_port(const struct sp_loop *loop) {
    return loop->server->resp_port;
}
