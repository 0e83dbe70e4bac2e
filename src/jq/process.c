/*
 * The worker as a process: started, spoken to, watched by the clock, ended; see jq_int.h.
 *
 * The deadline is of processor time, which a program that loops uses as fast as the clock runs, and
 * one that merely waits for a busy machine does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "jq/jq_int.h"
#include "jq/worker.h"

enum {
    PATIENCE = 20, /* times the deadline, where the machine gives no processor */
    READ_BYTES = SP_JQ_READ_BYTES,
    ARGUMENT_SIZE = 24,
};

/* ---- its life ----------------------------------------------------------------------- */

int sp_jq_stop_worker(struct sp_jq *jq, bool kill_it) {
    int ended = 0;
    if (jq->pid != 0) {
        if (kill_it) {
            (void)kill(jq->pid, SIGKILL);
        }
        (void)close(jq->fd);
        while (waitpid(jq->pid, &ended, 0) < 0 && errno == EINTR) {
        }
    }
    jq->pid = 0;
    jq->fd = -1;
    jq->sent = 0;
    jq->taken = 0;
    sp_buf_reset(&jq->out);
    sp_buf_reset(&jq->in);
    return ended;
}

/* The child's side: `fd` as its standard input, signals as they are by default. */
static int spawn(const struct sp_jq *jq, int fd, pid_t *ret_pid) {
    char memory[ARGUMENT_SIZE];
    char deadline[ARGUMENT_SIZE];
    char results[ARGUMENT_SIZE];
    char name[] = "spoor-jq";
    char word[] = SP_JQ_WORKER_WORD;
    (void)snprintf(memory, sizeof(memory), "%llu", (unsigned long long)jq->options.memory_bytes);
    (void)snprintf(deadline, sizeof(deadline), "%llu", (unsigned long long)jq->options.deadline_ms);
    (void)snprintf(results, sizeof(results), "%zu", jq->options.value_bytes_max);
    char *const argv[] = {name, word, memory, deadline, results, NULL};
    char *const envp[] = {NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) != 0) {
        return ENOMEM;
    }
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return ENOMEM;
    }
    int failed = posix_spawn_file_actions_adddup2(&files, fd, STDIN_FILENO);
    failed = failed != 0 ? failed
                         : posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null",
                                                            O_WRONLY, 0);
    failed = failed != 0 ? failed
                         : posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    failed = failed != 0 ? failed : posix_spawnattr_setsigmask(&attributes, &none);
    failed = failed != 0 ? failed : posix_spawnattr_setsigdefault(&attributes, &all);
    /* A group of its own: what a terminal sends to the program is not for the worker. */
    failed = failed != 0 ? failed : posix_spawnattr_setpgroup(&attributes, 0);
    failed = failed != 0 ? failed
                         : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
                                                                     POSIX_SPAWN_SETSIGDEF |
                                                                     POSIX_SPAWN_SETPGROUP);
    failed = failed != 0 ? failed
                         : posix_spawn(ret_pid, jq->options.exe, &files, &attributes, argv, envp);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&files);
    return failed;
}

sp_status sp_jq_start_worker(struct sp_jq *jq, struct sp_error *error) {
    if (jq->pid != 0) {
        return SP_OK;
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return sp_error_set_os(error, SP_IO, errno, "jq worker: socket");
    }
    pid_t pid;
    int failed = spawn(jq, pair[1], &pid);
    (void)close(pair[1]);
    if (failed != 0) {
        (void)close(pair[0]);
        return sp_error_set_os(error, SP_IO, failed, "jq worker: cannot be started");
    }
    jq->pid = pid;
    jq->fd = pair[0];
    jq->worker++;
    jq->answers = 0;
    return SP_OK;
}

/* Processor time that the worker has used, in ns; UINT64_MAX where the system does not say. */
static uint64_t worker_cpu_ns(const struct sp_jq *jq) {
    clockid_t id;
    struct timespec used;
    if (clock_getcpuclockid(jq->pid, &id) != 0 || clock_gettime(id, &used) != 0) {
        return UINT64_MAX;
    }
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static uint64_t now_ns(const struct sp_jq *jq) {
    return jq->clock.monotonic_ns(jq->clock.context);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* What one answer may take. */
struct patience {
    uint64_t deadline_ns; /* of processor time */
    uint64_t since_ns;
    uint64_t cpu_ns; /* of the worker then */
};

static struct patience patience_new(const struct sp_jq *jq, uint64_t deadline_ms) {
    return (struct patience){
        .deadline_ns = deadline_ms * 1000000, .since_ns = now_ns(jq), .cpu_ns = worker_cpu_ns(jq)};
}

/* The time is over, or what poll is to wait, in ms. */
static enum sp_jq_ending look_at_clock(const struct sp_jq *jq, const struct patience *patience,
                                       int *ret_wait_ms) {
    uint64_t waited = now_ns(jq) - patience->since_ns;
    if (waited < patience->deadline_ns) {
        *ret_wait_ms = (int)((patience->deadline_ns - waited) / 1000000 + 1);
        return ANSWERED;
    }
    uint64_t cpu = worker_cpu_ns(jq);
    if (cpu != UINT64_MAX && patience->cpu_ns != UINT64_MAX &&
        cpu - patience->cpu_ns < patience->deadline_ns) {
        if (waited >= PATIENCE * patience->deadline_ns) {
            return NO_PROCESSOR;
        }
        *ret_wait_ms = (int)((patience->deadline_ns - (cpu - patience->cpu_ns)) / 1000000 + 1);
        return ANSWERED;
    }
    return OUT_OF_TIME;
}

/* The worker ends by itself: how. */
static enum sp_jq_ending bury(struct sp_jq *jq) {
    int ended = sp_jq_stop_worker(jq, false);
    if (!WIFSIGNALED(ended)) {
        return WORKER_DIED;
    }
    int number = WTERMSIG(ended);
    return number == SIGXCPU ? OUT_OF_TIME : number == SIGABRT ? ABORTED : WORKER_DIED;
}

static enum sp_jq_ending send_some(struct sp_jq *jq) {
    ssize_t sent =
        send(jq->fd, jq->out.data + jq->sent, jq->out.len - jq->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        return errno == EINTR || errno == EAGAIN ? ANSWERED : bury(jq);
    }
    jq->sent += (size_t)sent;
    if (jq->sent == jq->out.len) {
        jq->sent = 0;
        sp_buf_reset(&jq->out);
    }
    return ANSWERED;
}

static enum sp_jq_ending read_some(struct sp_jq *jq) {
    uint8_t *to = sp_buf_reserve(&jq->in, READ_BYTES);
    if (to == NULL) {
        (void)sp_jq_stop_worker(jq, true);
        return WORKER_DIED;
    }
    ssize_t got = recv(jq->fd, to, READ_BYTES, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) {
        return bury(jq);
    }
    sp_buf_advance(&jq->in, got > 0 ? (size_t)got : 0);
    return ANSWERED;
}

/* Sends and reads what can be, waits where nothing can. Unless ANSWERED the worker is gone. */
static enum sp_jq_ending pump(struct sp_jq *jq, const struct patience *patience) {
    int wait_ms = 0;
    enum sp_jq_ending ending = look_at_clock(jq, patience, &wait_ms);
    if (ending != ANSWERED) {
        (void)sp_jq_stop_worker(jq, true);
        return ending;
    }
    struct pollfd poll_fd = {.fd = jq->fd, .events = POLLIN};
    if (jq->out.len > 0) {
        poll_fd.events |= POLLOUT;
    }
    if (poll(&poll_fd, 1, wait_ms) <= 0) {
        return ANSWERED;
    }
    if ((poll_fd.revents & POLLOUT) != 0) {
        ending = send_some(jq);
    }
    if (ending == ANSWERED && (poll_fd.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        ending = read_some(jq);
    }
    return ending;
}

/* Takes the next whole frame that came. False where there is none yet; *ret_bad: it is nonsense. */
static bool take_frame(struct sp_jq *jq, struct sp_jq_head *ret_head, struct sp_jq_frame *ret_frame,
                       bool *ret_bad) {
    size_t left = jq->in.len - jq->taken;
    *ret_bad = false;
    if (left < SP_JQ_FRAME_HEAD_BYTES) {
        return false;
    }
    const uint8_t *at = jq->in.data + jq->taken;
    if (sp_jq_head_read(at, ret_head) != SP_OK) {
        *ret_bad = true;
        return false;
    }
    size_t size = SP_JQ_FRAME_HEAD_BYTES + (size_t)ret_head->body_bytes;
    if (left < size) {
        return false;
    }
    sp_str body = sp_str_of(at + SP_JQ_FRAME_HEAD_BYTES, ret_head->body_bytes);
    if (sp_jq_frame_read(*ret_head, body, ret_frame) != SP_OK ||
        (ret_head->kind != SP_JQ_DONE && ret_head->kind != SP_JQ_PROBLEM)) {
        *ret_bad = true;
        return false;
    }
    jq->taken += size;
    jq->answers++;
    return true;
}

/* What was taken makes room: only where nothing points there any more. */
static void close_up(struct sp_jq *jq) {
    if (jq->taken > 0) {
        memmove(jq->in.data, jq->in.data + jq->taken, jq->in.len - jq->taken);
        jq->in.len -= jq->taken;
        jq->taken = 0;
    }
}

enum sp_jq_ending sp_jq_await(struct sp_jq *jq, uint64_t deadline_ms, struct sp_jq_head *ret_head,
                              struct sp_jq_frame *ret_frame) {
    struct patience patience = patience_new(jq, deadline_ms);
    close_up(jq);
    for (;;) {
        bool bad;
        if (take_frame(jq, ret_head, ret_frame, &bad)) {
            return ANSWERED;
        }
        if (bad) {
            (void)sp_jq_stop_worker(jq, true);
            return WORKER_DIED;
        }
        enum sp_jq_ending ending = pump(jq, &patience);
        if (ending != ANSWERED) {
            return ending;
        }
    }
}
