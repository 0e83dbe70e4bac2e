/*
 * The worker: reads frames from its standard input, a socket, and answers them there.
 *
 * It has no environment, no files but that socket, and limits: of memory for its whole
 * life, of processor time anew for every frame. So it ends when its parent does, at the latest
 * when the program that it runs then has used up its time.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "jq/eval.h"
#include "jq/frame.h"
#include "jq/jq.h"
#include "jq/jq_int.h"
#include "jq/worker.h"

enum {
    SOCKET_FD = 0,
    FILES_MAX = 8,
    FD_SWEEP_MAX = 65536,
    SPARE_CPU_SECONDS = 2, /* beyond the deadline, which the parent watches more closely */
    COMPILE_CPU_SECONDS = 10,
};

struct worker {
    struct sp_jq_eval *programs[SP_JQ_PROGRAMS_MAX];
    struct sp_buf body;
    struct sp_buf answer;
    struct sp_buf results;
    size_t results_max;
    uint64_t cpu_seconds;
};

/* ---- limits ---------------------------------------------------------------------------------- */

static bool limit(__rlimit_resource_t resource, rlim_t most) {
    struct rlimit now;
    if (getrlimit(resource, &now) != 0) {
        return false;
    }
    now.rlim_cur = now.rlim_max != RLIM_INFINITY && now.rlim_max < most ? now.rlim_max : most;
    return setrlimit(resource, &now) == 0;
}

/* The sanitizers take address space as they please. */
#if defined(__SANITIZE_ADDRESS__)
#define SP_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define SP_SANITIZED 1
#endif
#endif
#ifndef SP_SANITIZED
#define SP_SANITIZED 0
#endif

static bool confine(uint64_t memory_bytes) {
    struct rlimit files;
    rlim_t open = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : FD_SWEEP_MAX;
    for (int fd = STDERR_FILENO + 1; fd < FD_SWEEP_MAX && (rlim_t)fd < open; fd++) {
        (void)close(fd);
    }
    return limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_NOFILE, FILES_MAX) &&
           (SP_SANITIZED || limit(RLIMIT_AS, memory_bytes));
}

/* So many seconds of processor time from now on; then the system ends this process. */
static void grant_cpu(uint64_t seconds) {
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) == 0) {
        rlim_t spent = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 1;
        (void)limit(RLIMIT_CPU, spent + seconds);
    }
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static bool read_all(uint8_t *to, size_t len) {
    while (len > 0) {
        ssize_t got = read(SOCKET_FD, to, len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        to += got;
        len -= (size_t)got;
    }
    return true;
}

static bool send_all(sp_str bytes) {
    while (bytes.len > 0) {
        ssize_t sent = send(SOCKET_FD, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        bytes = sp_str_from_byte(bytes, (size_t)sent);
    }
    return true;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void on_define(struct worker *worker, struct sp_jq_frame *frame) {
    struct sp_error error;
    sp_error_clear(&error);
    struct sp_jq_eval **place = &worker->programs[frame->id];
    sp_jq_eval_free(*place);
    *place = NULL;
    grant_cpu(COMPILE_CPU_SECONDS);
    sp_status status = sp_jq_eval_new(frame->text, frame->rest, frame->count, place, &error);
    if (status != SP_OK) {
        sp_jq_frame_problem(&worker->answer, status, sp_str_from(error.text));
        return;
    }
    size_t begin = sp_jq_frame_begin(&worker->answer, SP_JQ_DONE);
    sp_jq_frame_add_count(&worker->answer, 0);
    sp_jq_frame_end(&worker->answer, begin);
}

static void on_run(struct worker *worker, struct sp_jq_frame *frame) {
    struct sp_error error;
    uint64_t count = 0;
    sp_error_clear(&error);
    sp_buf_reset(&worker->results);
    grant_cpu(worker->cpu_seconds);
    sp_status status = sp_jq_eval_run(worker->programs[frame->id], frame->rest, frame->count,
                                      &worker->results, &count, &error);
    if (status != SP_OK) {
        sp_jq_frame_problem(&worker->answer, status, sp_str_from(error.text));
        return;
    }
    size_t begin = sp_jq_frame_begin(&worker->answer, SP_JQ_DONE);
    sp_jq_frame_add_count(&worker->answer, count);
    sp_buf_add_str(&worker->answer, sp_buf_str(&worker->results));
    sp_jq_frame_end(&worker->answer, begin);
}

/* False where the parent talks nonsense. */
static bool answer(struct worker *worker, struct sp_jq_head head) {
    struct sp_jq_frame frame;
    if (sp_jq_frame_read(head, sp_buf_str(&worker->body), &frame) != SP_OK ||
        frame.id >= SP_JQ_PROGRAMS_MAX) {
        return false;
    }
    sp_buf_reset(&worker->answer);
    if (head.kind == SP_JQ_DEFINE) {
        on_define(worker, &frame);
    } else if (head.kind == SP_JQ_RUN && worker->programs[frame.id] != NULL && frame.count > 0) {
        on_run(worker, &frame);
    } else if (head.kind == SP_JQ_FORGET) {
        sp_jq_eval_free(worker->programs[frame.id]);
        worker->programs[frame.id] = NULL;
    } else {
        return false;
    }
    return worker->answer.status == SP_OK && send_all(sp_buf_str(&worker->answer));
}

static bool serve_one(struct worker *worker) {
    uint8_t bytes[SP_JQ_FRAME_HEAD_BYTES];
    struct sp_jq_head head;
    sp_buf_reset(&worker->body);
    if (!read_all(bytes, sizeof(bytes)) || sp_jq_head_read(bytes, &head) != SP_OK) {
        return false;
    }
    uint8_t *to = head.body_bytes > 0 ? sp_buf_reserve(&worker->body, head.body_bytes) : NULL;
    if (head.body_bytes > 0 && (to == NULL || !read_all(to, head.body_bytes))) {
        return false;
    }
    sp_buf_advance(&worker->body, head.body_bytes);
    return answer(worker, head);
}

static void serve(struct worker *worker) {
    sp_buf_init(&worker->body, SP_JQ_FRAME_BYTES_MAX);
    sp_buf_init(&worker->answer, SP_JQ_FRAME_BYTES_MAX + SP_JQ_FRAME_HEAD_BYTES);
    sp_buf_init(&worker->results, worker->results_max);
    while (serve_one(worker)) {
    }
    sp_buf_fini(&worker->body);
    sp_buf_fini(&worker->answer);
    sp_buf_fini(&worker->results);
    for (size_t i = 0; i < SP_JQ_PROGRAMS_MAX; i++) {
        sp_jq_eval_free(worker->programs[i]);
    }
}

/* ---- main ------------------------------------------------------------------------------------ */

static bool read_number(const char *text, uint64_t most, uint64_t *ret_number) {
    uint64_t number = 0;
    for (size_t i = 0; text[i] != 0; i++) {
        if (text[i] < '0' || text[i] > '9' || number > most / 10) {
            return false;
        }
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    *ret_number = number;
    return number > 0 && number <= most;
}

static _Atomic bool main_has_asked;

bool sp_jq_can_be_worker(void) {
    return atomic_load(&main_has_asked);
}

bool sp_jq_worker_main(int argc, char *const argv[], int *ret_exit) {
    atomic_store(&main_has_asked, true);
    if (argc != 5 || strcmp(argv[1], SP_JQ_WORKER_WORD) != 0) {
        return false;
    }
    uint64_t memory;
    uint64_t deadline_ms;
    uint64_t results;
    *ret_exit = EXIT_FAILURE;
    if (!read_number(argv[2], UINT64_MAX / 16, &memory) ||
        !read_number(argv[3], UINT32_MAX, &deadline_ms) ||
        !read_number(argv[4], SP_JQ_VALUE_BYTES_MAX, &results) || !confine(memory)) {
        return true;
    }
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker != NULL) {
        worker->cpu_seconds = deadline_ms / 1000 + SPARE_CPU_SECONDS;
        worker->results_max = (size_t)results;
        serve(worker);
        free(worker);
        *ret_exit = EXIT_SUCCESS;
    }
    return true;
}
