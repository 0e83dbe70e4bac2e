/*
 * Connections, replies and time, for the programs that make load.
 */
#include "bench/load.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

_Noreturn void die(const char *what) {
    (void)fprintf(stderr, "%s: %s\n", load_name, what);
    exit(1);
}

uint64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t number(const char *text, uint64_t least, uint64_t most) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *text == '\0' || *end != '\0' || value < least || value > most) {
        (void)fprintf(stderr, "%s: %s is no number of %" PRIu64 " to %" PRIu64 "\n", load_name,
                      text, least, most);
        exit(2);
    }
    return value;
}

void *must_calloc(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) {
        die("no memory");
    }
    return memory;
}

/* Connections --------------------------------------------------------------------------------- */

void conn_open(struct conn *conn, uint64_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        die("cannot connect");
    }
    int on = 1;
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    conn->buffer = must_calloc(1, BUFFER_SIZE);
    conn->at = 0;
    conn->end = 0;
}

void conn_close(struct conn *conn) {
    (void)close(conn->fd);
    free(conn->buffer);
}

void conn_send(const struct conn *conn, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(conn->fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            die("the server closed a connection");
        }
        bytes += sent;
        size -= (size_t)sent;
    }
}

void conn_fill(struct conn *conn) {
    if (conn->at > 0) {
        memmove(conn->buffer, conn->buffer + conn->at, conn->end - conn->at);
        conn->end -= conn->at;
        conn->at = 0;
    }
    if (conn->end == BUFFER_SIZE) {
        die("a reply is larger than the buffer");
    }
    ssize_t got = recv(conn->fd, conn->buffer + conn->end, BUFFER_SIZE - conn->end, 0);
    if (got <= 0) {
        die("the server closed a connection");
    }
    conn->end += (size_t)got;
}

size_t reply_size(const char *bytes, size_t size, bulk_fn *bulk, void *context) {
    size_t at = 0;
    for (int64_t open = 1; open > 0; open--) {
        const char *newline = at < size ? memchr(bytes + at, '\n', size - at) : NULL;
        if (newline == NULL) {
            return 0;
        }
        char kind = bytes[at];
        int64_t count = kind == '$' || kind == '*' ? strtoll(bytes + at + 1, NULL, 10) : 0;
        if (kind == '-') {
            (void)fprintf(stderr, "%s: the server says %.*s\n", load_name,
                          (int)(newline - bytes - 1), bytes);
            exit(1);
        }
        at = (size_t)(newline - bytes) + 1;
        if (kind == '*' && count > 0) {
            open += count;
        } else if (kind == '$' && count >= 0) {
            if (size - at < (size_t)count + 2) {
                return 0;
            }
            if (bulk != NULL) {
                bulk(context, bytes + at, (size_t)count);
            }
            at += (size_t)count + 2;
        }
    }
    return at;
}

bool conn_take(struct conn *conn, bulk_fn *bulk, void *context, const char **ret_reply) {
    const char *reply = conn->buffer + conn->at;
    size_t size = reply_size(reply, conn->end - conn->at, NULL, NULL);
    if (size == 0) {
        return false;
    }
    if (bulk != NULL) {
        (void)reply_size(reply, size, bulk, context);
    }
    *ret_reply = reply;
    conn->at += size;
    return true;
}

const char *conn_reply(struct conn *conn) {
    const char *reply = NULL;
    while (!conn_take(conn, NULL, NULL, &reply)) {
        conn_fill(conn);
    }
    return reply;
}

const char *conn_call(struct conn *conn, const char *text) {
    conn_send(conn, text, strlen(text));
    return conn_reply(conn);
}

void conn_skip(struct conn *conn) {
    const char *end = NULL;
    while ((end = memchr(conn->buffer + conn->at, '\n', conn->end - conn->at)) == NULL) {
        conn_fill(conn);
    }
    conn->at = (size_t)(end - conn->buffer) + 1;
}

int watch_all(struct conn *conns, size_t count) {
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};
        if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conns[i].fd, &event) != 0) {
            die("cannot watch a connection");
        }
    }
    return epoll_fd;
}

size_t wait_turn(int epoll_fd, struct epoll_event *events) {
    int ready = epoll_wait(epoll_fd, events, TURN_EVENTS, SILENCE_MS);
    if (ready <= 0) {
        die("the server has been silent for a minute");
    }
    return (size_t)ready;
}

static int compare_times(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

void show_times(const char *name, uint64_t *times, uint64_t count) {
    qsort(times, count, sizeof(*times), compare_times);
    (void)printf("\"%s_p50_us\":%.1f,\"%s_p99_us\":%.1f,\"%s_max_us\":%.1f", name,
                 (double)times[count / 2] / 1e3, name, (double)times[count * 99 / 100] / 1e3, name,
                 (double)times[count - 1] / 1e3);
}
