#include "client/client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/time.h"
#include "client/socket.h"
#include "os/os.h"
#include "os/wakeup.h"
#include "proto/resp_write.h"

enum {
    COMMAND_BYTES_MAX = 1 << 30,
    PENDING_BYTES_MAX = 64 << 20,
    SEND_AHEAD_BYTES = 4 << 20, /* encoded ahead of what the socket takes */
    RETRY_FIRST_MS = 10,
    RETRY_MOST_MS = 1000,
    UUID_COUNTER_BITS = 26,
};

struct sp_request {
    struct sp_request *next;
    struct sp_buf command;
    sp_request_fn *done; /* NULL: its time was up, the reply is waited for and dropped */
    void *context;
    uint64_t deadline_ms;
    uint32_t events;
    bool sent;       /* over the present connection */
    bool sent_twice; /* it had been sent over another before */
};

struct sp_client {
    struct sp_socket socket;
    struct sp_client_options options;
    bool closing;
    bool stepping; /* an answer must not step within a step */
    struct sp_request *first;
    struct sp_request **last;
    struct sp_request *unsent; /* the first one that is */
    uint32_t count;
    uint32_t events; /* that the requests append */
    uint32_t live;   /* of them that somebody waits for */
    size_t pending_bytes;
    uint32_t answered;
    uint64_t retry_at_ms; /* while CLOSED */
    uint32_t retry_ms;
    struct sp_error trouble; /* why the connection was lost last */

    uint64_t id_last_ms;
    uint64_t id_counter;
    uint64_t id_salt;

    int epoll;             /* -1 until the host asks */
    uint32_t epoll_socket; /* sp_socket.made of the one that it watches */
    uint32_t epoll_events;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t news; /* an answer was given */
    int wakeup;          /* wakes the thread out of its poll */
};

uint64_t sp_client_now_ms(void) {
    struct sp_clock clock = sp_clock_system();
    return clock.monotonic_ns(clock.context) / 1000000;
}

void sp_client_lock(struct sp_client *client) {
    if (client->options.own_thread) {
        pthread_mutex_lock(&client->lock);
    }
}

void sp_client_unlock(struct sp_client *client) {
    if (client->options.own_thread) {
        pthread_mutex_unlock(&client->lock);
    }
}

const char *sp_client_shown(const struct sp_client *client) {
    return client->socket.url.shown;
}

const struct sp_url *sp_client_url(const struct sp_client *client) {
    return &client->socket.url;
}

const struct sp_client_options *sp_client_options(const struct sp_client *client) {
    return &client->options;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void free_request(struct sp_request *request) {
    sp_buf_fini(&request->command);
    free(request);
}

/* What counts for a request that leaves the queue. */
static void forget(struct sp_client *client, const struct sp_request *request) {
    client->count--;
    client->events -= request->events;
    client->pending_bytes -= request->command.len;
}

/* Takes the first request off the queue. */
static struct sp_request *take_first(struct sp_client *client) {
    struct sp_request *request = client->first;
    client->first = request->next;
    if (client->first == NULL) {
        client->last = &client->first;
    }
    if (client->unsent == request) {
        client->unsent = request->next;
    }
    forget(client, request);
    return request;
}

static void tell(struct sp_client *client, struct sp_request *request, sp_status status,
                 const struct sp_reply_node *reply, const struct sp_error *error) {
    sp_request_fn *done = request->done;
    request->done = NULL;
    if (done != NULL) {
        client->answered++;
        client->live--;
        done(request->context, status, reply, request->sent_twice, error);
    }
}

/* Fails everything that waits: no other attempt would end better. */
static void fail_all(struct sp_client *client, sp_status status, const struct sp_error *error) {
    struct sp_error said = *error;
    for (uint32_t left = client->count; left > 0; left--) {
        struct sp_request *request = take_first(client);
        tell(client, request, status, NULL, &said);
        free_request(request);
    }
}

/* What was sent and not answered is to be sent again; what nobody waits for is forgotten. */
static void rewind_requests(struct sp_client *client) {
    struct sp_request **at = &client->first;
    while (*at != NULL) {
        struct sp_request *request = *at;
        if (request->done == NULL) {
            *at = request->next;
            forget(client, request);
            free_request(request);
            continue;
        }
        request->sent_twice = request->sent_twice || request->sent;
        request->sent = false;
        at = &request->next;
    }
    client->last = at;
    client->unsent = client->first;
}

/*
 * Those whose time is up hear of it. One that was sent keeps its place, for its reply will come;
 * others go.
 */
static void expire(struct sp_client *client, uint64_t now_ms) {
    struct sp_request **at = &client->first;
    while (*at != NULL && (*at)->deadline_ms <= now_ms) {
        struct sp_request *request = *at;
        struct sp_error error;
        sp_error_clear(&error);
        bool down = !sp_socket_is_ready(&client->socket) && client->trouble.status != SP_OK;
        (void)sp_error_set(&error, SP_TIMEOUT, "no answer within %u ms%s%s",
                           client->options.timeout_ms, down ? ": " : "",
                           down ? client->trouble.text : "");
        if (request->done != NULL) {
            tell(client, request, SP_TIMEOUT, NULL, &error);
        }
        if (request->sent) {
            at = &request->next;
        } else {
            sp_require(client->unsent == request);
            *at = request->next;
            client->last = *at == NULL ? at : client->last;
            client->unsent = request->next;
            forget(client, request);
            free_request(request);
        }
    }
}

static void answer_first(struct sp_client *client, const struct sp_reply *reply) {
    struct sp_request *request = take_first(client);
    const struct sp_reply_node *node = reply->nodes;
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status =
        node->kind == SP_REPLY_FAILURE ? sp_answer_status(node->text, &error) : SP_OK;
    tell(client, request, status, status == SP_OK ? node : NULL, &error);
    free_request(request);
}

/* ---- one step -------------------------------------------------------------------------------- */

static void send_requests(struct sp_client *client) {
    struct sp_socket *to = &client->socket;
    while (client->unsent != NULL && sp_socket_unsent(to) < SEND_AHEAD_BYTES) {
        struct sp_request *request = client->unsent;
        sp_buf_add_str(sp_socket_out(to), sp_buf_str(&request->command));
        if (sp_socket_out(to)->status != SP_OK) {
            return; /* no memory now: what is there goes first */
        }
        request->sent = true;
        client->unsent = request->next;
    }
}

/* The connection is gone, or could not be made. */
static void lose(struct sp_client *client, sp_status status, const struct sp_error *error) {
    client->trouble = *error;
    client->retry_at_ms = sp_client_now_ms() + client->retry_ms;
    client->retry_ms = client->retry_ms * 2 < RETRY_MOST_MS ? client->retry_ms * 2 : RETRY_MOST_MS;
    rewind_requests(client);
    if (status != SP_IO && status != SP_NOT_FOUND) {
        fail_all(client, status, error);
    }
}

static sp_status take_replies(struct sp_client *client, struct sp_error *error) {
    struct sp_reply reply;
    sp_str bytes;
    sp_status status = SP_OK;
    while (sp_socket_is_ready(&client->socket) &&
           sp_socket_take(&client->socket, &reply, &bytes, &status, error)) {
        if (reply.nodes[0].kind == SP_REPLY_PUSH) {
            continue;
        }
        if (client->first == NULL || !client->first->sent) {
            sp_socket_close(&client->socket);
            return sp_error_set(error, SP_IO, "%s: a reply that nothing asked for",
                                client->socket.url.shown);
        }
        answer_first(client, &reply);
    }
    return status;
}

static sp_status connect_again(struct sp_client *client, uint64_t now_ms, struct sp_error *error) {
    if (client->socket.state != SP_SOCKET_CLOSED || now_ms < client->retry_at_ms ||
        client->live == 0) {
        return SP_OK;
    }
    return sp_socket_start(&client->socket, error);
}

static sp_status step_socket(struct sp_client *client, struct sp_error *error) {
    bool was_ready = sp_socket_is_ready(&client->socket);
    sp_status status = sp_socket_step(&client->socket, true, error);
    if (status == SP_OK && !was_ready && sp_socket_is_ready(&client->socket)) {
        client->retry_ms = RETRY_FIRST_MS;
        sp_error_clear(&client->trouble);
    }
    status = status == SP_OK ? take_replies(client, error) : status;
    if (status == SP_OK && sp_socket_is_ready(&client->socket) && client->unsent != NULL) {
        send_requests(client);
        status = sp_socket_step(&client->socket, false, error);
    }
    return status;
}

/* Does what can be done without waiting. The lock is held. */
static void step(struct sp_client *client) {
    struct sp_error error;
    if (client->stepping) {
        return;
    }
    client->stepping = true;
    sp_error_clear(&error);
    uint64_t now_ms = sp_client_now_ms();
    sp_status status = connect_again(client, now_ms, &error);
    status = status == SP_OK ? step_socket(client, &error) : status;
    if (status != SP_OK) {
        lose(client, status, &error);
    }
    expire(client, now_ms);
    client->stepping = false;
}

/* How long to wait at most before the next step; -1: until something comes. */
static int step_deadline_ms(const struct sp_client *client) {
    uint64_t now_ms = sp_client_now_ms();
    uint64_t at_ms = UINT64_MAX;
    const struct sp_request *waiting = client->first;
    while (waiting != NULL && waiting->done == NULL) {
        waiting = waiting->next;
    }
    if (waiting != NULL) {
        at_ms = waiting->deadline_ms;
        if (client->socket.state == SP_SOCKET_CLOSED && client->retry_at_ms < at_ms) {
            at_ms = client->retry_at_ms;
        }
    }
    if (at_ms == UINT64_MAX) {
        return -1;
    }
    uint64_t left = at_ms > now_ms ? at_ms - now_ms : 0;
    return left > INT_MAX ? INT_MAX : (int)left;
}

/* Waits for the socket, the other descriptor (-1: none), or the time. */
static void wait_for(const struct sp_client *client, int other, int timeout_ms) {
    struct pollfd fds[2] = {{.fd = other, .events = POLLIN}};
    nfds_t count = 1;
    if (client->socket.fd >= 0) {
        fds[count++] =
            (struct pollfd){.fd = client->socket.fd, .events = sp_socket_events(&client->socket)};
    }
    (void)poll(fds, count, timeout_ms);
}

static int least(int a_ms, int b_ms) {
    return a_ms < 0 ? b_ms : b_ms < 0 ? a_ms : a_ms < b_ms ? a_ms : b_ms;
}

/* ---- the host's loop ------------------------------------------------------------------------- */

/* Has epoll look at the socket as it is now. */
static void refresh_watch(struct sp_client *client) {
    if (client->epoll < 0) {
        return;
    }
    uint32_t events = EPOLLIN | (sp_socket_unsent(&client->socket) > 0 ||
                                         client->socket.state == SP_SOCKET_CONNECTING
                                     ? EPOLLOUT
                                     : 0u);
    int fd = client->socket.fd;
    if (client->socket.made != client->epoll_socket || events != client->epoll_events) {
        struct epoll_event event = {.events = events, .data.fd = fd};
        /* A descriptor that was closed has left by itself, and its number may be another's now. */
        if (fd >= 0 && epoll_ctl(client->epoll, EPOLL_CTL_MOD, fd, &event) != 0) {
            (void)epoll_ctl(client->epoll, EPOLL_CTL_ADD, fd, &event);
        }
        client->epoll_socket = client->socket.made;
        client->epoll_events = events;
    }
}

void sp_client_turn(struct sp_client *client, int timeout_ms, uint32_t *ret_answered) {
    uint64_t until_ms = timeout_ms < 0 ? UINT64_MAX : sp_client_now_ms() + (uint64_t)timeout_ms;
    uint32_t before = client->answered;
    struct epoll_event events[8];
    if (client->epoll >= 0) {
        (void)epoll_wait(client->epoll, events, 8, 0); /* edges of subscriptions are seen */
    }
    step(client);
    while (client->answered == before && client->live > 0 && timeout_ms != 0) {
        uint64_t now_ms = sp_client_now_ms();
        if (now_ms >= until_ms) {
            break;
        }
        uint64_t left = until_ms - now_ms;
        int left_ms = until_ms == UINT64_MAX ? -1 : left > INT_MAX ? INT_MAX : (int)left;
        wait_for(client, -1, least(left_ms, step_deadline_ms(client)));
        step(client);
    }
    refresh_watch(client);
    *ret_answered = client->answered - before;
}

int sp_client_fd(struct sp_client *client) {
    if (client->epoll < 0 && !client->options.own_thread) {
        client->epoll = epoll_create1(EPOLL_CLOEXEC);
        refresh_watch(client);
    }
    return client->epoll;
}

int sp_client_deadline_ms(struct sp_client *client) {
    return client->options.own_thread ? -1 : step_deadline_ms(client);
}

bool sp_client_watch(struct sp_client *client, int fd, bool on) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};
    return client->epoll >= 0 && fd >= 0 &&
           epoll_ctl(client->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &event) == 0;
}

void sp_client_wait(struct sp_client *client, int fd, short events, int timeout_ms) {
    struct pollfd fds[2] = {{.fd = fd, .events = events}};
    nfds_t count = 1;
    uint32_t answered = 0;
    if (!client->options.own_thread) {
        sp_client_turn(client, 0, &answered);
        timeout_ms = least(timeout_ms, step_deadline_ms(client));
        if (client->socket.fd >= 0) {
            fds[count++] = (struct pollfd){.fd = client->socket.fd,
                                           .events = sp_socket_events(&client->socket)};
        }
    }
    (void)poll(fds, count, timeout_ms);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void announce(struct sp_client *client, uint32_t before) {
    if (client->options.own_thread && client->answered != before) {
        pthread_cond_broadcast(&client->news);
    }
}

static void *drive(void *context) {
    struct sp_client *client = context;
    pthread_mutex_lock(&client->lock);
    while (!client->closing || client->live > 0) {
        uint32_t before = client->answered;
        step(client);
        announce(client, before);
        if (client->closing && client->live == 0) {
            break;
        }
        struct pollfd fds[2] = {
            {.fd = client->wakeup, .events = POLLIN},
            {.fd = client->socket.fd,
             .events = client->socket.fd >= 0 ? sp_socket_events(&client->socket) : (short)0}};
        int timeout_ms = step_deadline_ms(client);
        pthread_mutex_unlock(&client->lock);
        (void)poll(fds, 2, timeout_ms);
        sp_wakeup_drain(client->wakeup);
        pthread_mutex_lock(&client->lock);
    }
    pthread_mutex_unlock(&client->lock);
    return NULL;
}

void sp_client_await(struct sp_client *client, const bool *flag) {
    uint32_t answered = 0;
    while (!*flag) {
        if (client->options.own_thread) {
            pthread_cond_wait(&client->news, &client->lock);
        } else {
            sp_client_turn(client, -1, &answered);
        }
    }
}

void sp_client_make_room(struct sp_client *client) {
    uint32_t answered = 0;
    if (client->options.own_thread) {
        pthread_cond_wait(&client->news, &client->lock);
    } else {
        sp_client_turn(client, -1, &answered);
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

static sp_status has_room(const struct sp_client *client, uint32_t events, size_t bytes,
                          struct sp_error *error) {
    bool full = client->events + events > client->options.outstanding_max ||
                (client->count > 0 && client->pending_bytes + bytes > PENDING_BYTES_MAX);
    return full && events > 0
               ? sp_error_set(error, SP_BUSY, "%u events are outstanding", client->events)
               : SP_OK;
}

sp_status sp_client_send(struct sp_client *client, struct sp_buf *command, uint32_t wait_ms,
                         uint32_t events, sp_request_fn *done, void *context,
                         struct sp_error *error) {
    if (client->closing) {
        return sp_error_set(error, SP_CANCELLED, "the store is being closed");
    }
    sp_status status = command->status;
    if (status != SP_OK) {
        return sp_error_set(error, status, "request: %s", sp_status_text(status));
    }
    status = has_room(client, events, command->len, error);
    struct sp_request *request = status == SP_OK ? calloc(1, sizeof(*request)) : NULL;
    if (request == NULL) {
        return status != SP_OK ? status : sp_error_set(error, SP_NO_MEMORY, "request");
    }
    request->command = *command;
    sp_buf_init(command, command->size_bytes_max);
    request->events = events;
    request->done = done;
    request->context = context;
    request->deadline_ms = sp_client_now_ms() + client->options.timeout_ms + wait_ms;
    *client->last = request;
    client->last = &request->next;
    client->unsent = client->unsent != NULL ? client->unsent : request;
    client->count++;
    client->events += events;
    client->live++;
    client->pending_bytes += request->command.len;
    uint32_t before = client->answered;
    step(client);
    announce(client, before);
    if (client->options.own_thread) {
        sp_wakeup_signal(client->wakeup); /* the thread polls for what is as it was */
    } else {
        refresh_watch(client);
    }
    return SP_OK;
}

void sp_client_encode(struct sp_buf *to, const sp_str *args, size_t argc) {
    struct sp_resp resp = {.to = to, .version = SP_RESP_3};
    sp_resp_array(&resp, argc);
    for (size_t i = 0; i < argc; i++) {
        sp_resp_bulk(&resp, args[i]);
    }
}

/* Somebody who waits for a reply. */
struct call {
    bool answered;
    sp_status status;
    struct sp_answer *answer;
    struct sp_error *error;
};

static void answer_call(void *context, sp_status status, const struct sp_reply_node *reply,
                        bool sent_twice, const struct sp_error *error) {
    struct call *call = context;
    (void)sent_twice;
    call->status = status;
    if (status == SP_OK) {
        call->status = sp_answer_copy(call->answer, reply);
        if (call->status != SP_OK) {
            (void)sp_error_set(call->error, call->status, "no memory for a reply");
        }
    } else if (call->error != NULL) {
        *call->error = *error;
    }
    call->answered = true;
}

static sp_status call_with(struct sp_client *client, struct sp_buf *command, uint32_t wait_ms,
                           struct sp_answer *answer, struct sp_error *error) {
    struct sp_error ignored;
    struct call call = {.answer = answer, .error = error != NULL ? error : &ignored};
    sp_answer_init(answer);
    sp_client_lock(client);
    sp_status status = sp_client_send(client, command, wait_ms, 0, answer_call, &call, error);
    if (status == SP_OK) {
        sp_client_await(client, &call.answered);
        status = call.status;
    }
    sp_client_unlock(client);
    sp_buf_fini(command);
    if (status != SP_OK) {
        sp_answer_fini(answer);
    }
    return status;
}

sp_status sp_client_call_encoded(struct sp_client *client, sp_str encoded, uint32_t wait_ms,
                                 struct sp_answer *answer, struct sp_error *error) {
    struct sp_buf command;
    sp_buf_init(&command, COMMAND_BYTES_MAX);
    sp_buf_add_str(&command, encoded);
    return call_with(client, &command, wait_ms, answer, error);
}

sp_status sp_client_call(struct sp_client *client, const sp_str *args, size_t argc,
                         uint32_t wait_ms, struct sp_answer *answer, struct sp_error *error) {
    struct sp_buf command;
    sp_buf_init(&command, COMMAND_BYTES_MAX);
    sp_client_encode(&command, args, argc);
    return call_with(client, &command, wait_ms, answer, error);
}

/* ---- ids ------------------------------------------------------------------------------------- */

/* As those that a store makes: milliseconds, a counter, and random bits that stay. */
void sp_client_make_id(struct sp_client *client, char ret_text[37]) {
    struct sp_clock clock = sp_clock_system();
    uint64_t ms = clock.wall_us(clock.context) / 1000;
    if (ms > client->id_last_ms) {
        client->id_last_ms = ms;
        client->id_counter = 0;
    } else if (++client->id_counter >> UUID_COUNTER_BITS != 0) {
        client->id_last_ms++;
        client->id_counter = 0;
    }
    uint64_t high = client->id_last_ms << 16 | 0x7000 | client->id_counter >> 14;
    uint64_t low = (uint64_t)2 << 62 | (uint64_t)(client->id_counter & 0x3fff) << 48 |
                   (client->id_salt & 0xffffffffffffu);
    uint8_t id[16];
    high = __builtin_bswap64(high);
    low = __builtin_bswap64(low);
    memcpy(id, &high, 8);
    memcpy(id + 8, &low, 8);
    sp_uuid_format(id, ret_text);
    ret_text[SP_UUID_TEXT_SIZE] = '\0';
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void init_locks(struct sp_client *client) {
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&client->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    pthread_cond_init(&client->news, NULL);
}

static void free_client(struct sp_client *client) {
    struct sp_error error;
    (void)sp_error_set(&error, SP_CANCELLED, "the store was closed");
    fail_all(client, SP_CANCELLED, &error);
    sp_socket_fini(&client->socket);
    if (client->epoll >= 0) {
        (void)close(client->epoll);
    }
    if (client->wakeup >= 0) {
        sp_wakeup_close(client->wakeup);
    }
    pthread_cond_destroy(&client->news);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

/* The first connection is made here and now: who opens wants to know whether somebody is there. */
static sp_status connect_first(struct sp_client *client, struct sp_error *error) {
    uint64_t until_ms = sp_client_now_ms() + client->options.timeout_ms;
    sp_status status = sp_socket_start(&client->socket, error);
    while (status == SP_OK && !sp_socket_is_ready(&client->socket)) {
        uint64_t now_ms = sp_client_now_ms();
        if (now_ms >= until_ms) {
            return sp_error_set(error, SP_TIMEOUT, "%s: no answer within %u ms",
                                client->socket.url.shown, client->options.timeout_ms);
        }
        uint64_t left = until_ms - now_ms;
        wait_for(client, -1, left > INT_MAX ? INT_MAX : (int)left);
        status = sp_socket_step(&client->socket, true, error);
    }
    return status;
}

static sp_status start_thread(struct sp_client *client, struct sp_error *error) {
    if (!client->options.own_thread) {
        return SP_OK;
    }
    client->wakeup = sp_wakeup_open();
    int failed = client->wakeup < 0 ? EMFILE : pthread_create(&client->thread, NULL, drive, client);
    return failed == 0 ? SP_OK
                       : sp_error_set_os(error, SP_NO_MEMORY, failed, "no thread to be had");
}

sp_status sp_client_open(sp_str text, const struct sp_client_options *options,
                         struct sp_client **ret_client, struct sp_error *error) {
    struct sp_url url;
    sp_status status = sp_url_parse(text, &url, error);
    return status == SP_OK ? sp_client_open_url(&url, options, ret_client, error) : status;
}

sp_status sp_client_open_url(const struct sp_url *url, const struct sp_client_options *options,
                             struct sp_client **ret_client, struct sp_error *error) {
    struct sp_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "client");
    }
    sp_socket_init(&client->socket, url);
    client->options = *options;
    client->last = &client->first;
    client->retry_ms = RETRY_FIRST_MS;
    client->epoll = -1;
    client->wakeup = -1;
    sp_entropy(&client->id_salt, sizeof(client->id_salt));
    init_locks(client);
    sp_status status = connect_first(client, error);
    status = status == SP_OK ? start_thread(client, error) : status;
    if (status != SP_OK) {
        free_client(client);
        return status;
    }
    *ret_client = client;
    return SP_OK;
}

void sp_client_close(struct sp_client *client) {
    uint32_t answered = 0;
    if (client == NULL) {
        return;
    }
    sp_client_lock(client);
    client->closing = true;
    sp_client_unlock(client);
    if (client->options.own_thread) {
        sp_wakeup_signal(client->wakeup);
        pthread_join(client->thread, NULL);
    }
    while (client->live > 0) {
        sp_client_turn(client, -1, &answered);
    }
    free_client(client);
}
