/*
 * What the programs share that make load on a server that speaks the Redis protocol: connections,
 * replies, time. Whatever goes wrong ends the program, with what it was on stderr.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

enum {
    BUFFER_SIZE = 1 << 20,
    TURN_EVENTS = 64,
    SILENCE_MS = 60000,
};

extern const char load_name[]; /* the program's: it defines it */

/* A connection: bytes read and not yet used lie in [at, end). */
struct conn {
    int fd;
    char *buffer;
    size_t at;
    size_t end;
};

_Noreturn void die(const char *what);
uint64_t now_ns(void);
uint64_t number(const char *text, uint64_t least, uint64_t most);
void *must_calloc(size_t count, size_t size);

/* Sorts the times, in nanoseconds, and prints three of them as members of a JSON object. */
void show_times(const char *name, uint64_t *times, uint64_t count);

void conn_open(struct conn *conn, uint64_t port);
void conn_close(struct conn *conn);
/* Sends all; the sockets stay blocking, and no load here sends more than the server can take. */
void conn_send(const struct conn *conn, const char *bytes, size_t size);
/* Reads what is there; waits for the first byte. */
void conn_fill(struct conn *conn);

/* Called with each bulk string of a reply. */
typedef void bulk_fn(void *context, const char *bytes, size_t size);

/* The size of the first whole reply, 0 where it is not all there. Errors end the program. */
size_t reply_size(const char *bytes, size_t size, bulk_fn *bulk, void *context);
/* Takes one reply from the buffer, if it is all there. */
bool conn_take(struct conn *conn, bulk_fn *bulk, void *context, const char **ret_reply);
/* Waits for one reply, which stays in the buffer until the next call. */
const char *conn_reply(struct conn *conn);
const char *conn_call(struct conn *conn, const char *text);
/* Waits for a reply of one line, and does not care what it says. */
void conn_skip(struct conn *conn);

int watch_all(struct conn *conns, size_t count);
size_t wait_turn(int epoll_fd, struct epoll_event *events);

#endif
