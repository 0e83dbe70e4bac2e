/*
 * Jobs that run beside the loop.
 *
 * Two stacks of jobs, each an atomic pointer: callers push on `submitted`, the worker takes the
 * whole stack at once and turns it round, which gives the order of submission; finished jobs go
 * back the same way through `finished`. No lock is ever held, so a background thread that the
 * scheduler has set aside in the middle of a hand-over cannot hold up the loop.
 *
 * Who finds nothing to do sleeps on a futex. Waking a sleeper costs the waker a system call and the
 * sleeper a trip through the scheduler: 22 us each way on a virtual machine, where a synced write
 * takes 75. So both sides look again for SPIN_NS before they sleep, where there is more than one
 * processor.
 *
 *                 submit              work                 poll
 *     caller's ----------> submitted ------> finished ------------> caller's (done)
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/os.h"

#ifndef SP_WORKER_SPIN_NS
#define SP_WORKER_SPIN_NS 20000
#endif

enum {
    NAME_SIZE = 16,
    SPIN_NS = SP_WORKER_SPIN_NS,
    SPIN_LOOKS = 32, /* between two looks at the clock */
    NICE_LOWEST = 19,
};

/*
 * Wakes whoever waits for a condition. The waiter reads `sequence`, looks at the condition, then
 * sleeps only while the sequence is still the same; the waker changes the condition, then the
 * sequence. So no wake-up is lost, and none costs a system call while nobody sleeps.
 */
struct bell {
    _Atomic uint32_t sequence;
    _Atomic uint32_t sleepers;
};

struct sp_worker {
    _Atomic(struct sp_job *) submitted;
    _Atomic(struct sp_job *) finished;
    struct sp_job *inline_next; /* inline only: taken from `submitted`, in order */
    struct bell work_bell;
    struct bell done_bell;
    _Atomic uint32_t pending;
    _Atomic bool closing;
    bool inline_jobs;
    bool background;
    uint8_t niceness;
    bool idle_io;
    bool spins;
    char name[NAME_SIZE];
    void (*wake)(void *context);
    void *wake_context;
    pthread_t thread;
};

static uint64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- the bell ---- */

static void bell_ring(struct bell *bell) {
    atomic_fetch_add(&bell->sequence, 1);
    if (atomic_load(&bell->sleepers) > 0) {
        (void)syscall(SYS_futex, &bell->sequence, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}

/* Sleeps until the bell rings after `seen` was read, or until timeout_ns went by (0: no limit). */
static void bell_sleep(struct bell *bell, uint32_t seen, uint64_t timeout_ns) {
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                               .tv_nsec = (long)(timeout_ns % 1000000000u)};
    atomic_fetch_add(&bell->sleepers, 1);
    (void)syscall(SYS_futex, &bell->sequence, FUTEX_WAIT_PRIVATE, seen,
                  timeout_ns != 0 ? &timeout : NULL, NULL, 0);
    atomic_fetch_sub(&bell->sleepers, 1);
}

/* Looks at the sequence for a while; true where the bell rang meanwhile. */
static bool bell_spin(const struct bell *bell, uint32_t seen) {
    uint64_t until = now_ns() + SPIN_NS;
    do {
        for (unsigned i = 0; i < SPIN_LOOKS; i++) {
            if (atomic_load_explicit(&bell->sequence, memory_order_acquire) != seen) {
                return true;
            }
            relax();
        }
    } while (now_ns() < until);
    return false;
}

/* ---- the stacks ---- */

static void stack_push(_Atomic(struct sp_job *) *stack, struct sp_job *job) {
    struct sp_job *top = atomic_load_explicit(stack, memory_order_relaxed);
    do {
        job->next = top;
    } while (!atomic_compare_exchange_weak(stack, &top, job));
}

/* Takes all jobs, oldest first. Taking everything at once is what makes the stack free of ABA. */
static struct sp_job *stack_take(_Atomic(struct sp_job *) *stack) {
    struct sp_job *from = atomic_exchange(stack, NULL);
    struct sp_job *oldest = NULL;
    while (from != NULL) {
        struct sp_job *next = from->next;
        from->next = oldest;
        oldest = from;
        from = next;
    }
    return oldest;
}

/* ---- the thread ---- */

static void finish(struct sp_worker *worker, struct sp_job *job) {
    job->work(job);
    stack_push(&worker->finished, job);
    bell_ring(&worker->done_bell);
    if (worker->wake != NULL) {
        worker->wake(worker->wake_context);
    }
}

/*
 * SCHED_IDLE is better than the lowest nice value: it never delays a runnable thread of the others.
 */
static void set_up_thread(const struct sp_worker *worker) {
    if (worker->name[0] != '\0') {
        (void)pthread_setname_np(pthread_self(), worker->name);
    }
    if (worker
            /* glibc has no name for this; the numbers are the kernel's (linux/ioprio.h) */
            ->idle_io) {
        enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_CLASS_IDLE = 3, IOPRIO_CLASS_SHIFT = 13 };
        (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
                      IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT);
    }
    if (worker->niceness > 0) {
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), worker->niceness);
    }
    if (worker->background) {
        struct sched_param none = {.sched_priority = 0};
        if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) {
            (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE_LOWEST);
        }
    }
}

static void *worker_main(void *context) {
    struct sp_worker *worker = context;
    set_up_thread(worker);
    for (;;) {
        uint32_t seen = atomic_load(&worker->work_bell.sequence);
        struct sp_job *job = stack_take(&worker->submitted);
        if (job == NULL && atomic_load(&worker->closing)) {
            return NULL;
        }
        if (job == NULL && !(worker->spins && bell_spin(&worker->work_bell, seen))) {
            bell_sleep(&worker->work_bell, seen, 0);
        }
        while (job != NULL) {
            struct sp_job *next = job->next; /* the job is the caller's again once it is finished */
            finish(worker, job);
            job = next;
        }
    }
}

/* Signals are for the program's own threads, and none may interrupt a synced write. */
static int start_thread(struct sp_worker *worker) {
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int os_error = pthread_create(&worker->thread, NULL, worker_main, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return os_error;
}

/* ---- the caller's side ---- */

struct sp_worker *sp_worker_new(const struct sp_worker_options *options, struct sp_error *error) {
    sp_require(options != NULL);
    struct sp_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        (void)sp_error_set(error, SP_NO_MEMORY, "start a worker: out of memory");
        return NULL;
    }
    size_t name_len = options->name != NULL ? strlen(options->name) : 0;
    sp_require(name_len < NAME_SIZE);
    if (name_len > 0) {
        memcpy(worker->name, options->name, name_len);
    }
    worker->inline_jobs = options->inline_jobs;
    worker->background = options->background;
    worker->niceness = options->niceness;
    worker->idle_io = options->idle_io || options->background;
    worker->spins = !options->background && sysconf(_SC_NPROCESSORS_ONLN) > 1;
    worker->wake = options->wake;
    worker->wake_context = options->wake_context;
    int os_error = worker->inline_jobs ? 0 : start_thread(worker);
    if (os_error != 0) {
        char text[96];
        (void)sp_error_set_os(error, SP_LIMIT, os_error, "start thread %s: %s", worker->name,
                              strerror_r(os_error, text, sizeof(text)));
        free(worker);
        return NULL;
    }
    return worker;
}

void sp_worker_submit(struct sp_worker *worker, struct sp_job *job) {
    sp_require(job->work != NULL && job->done != NULL);
    sp_require(!atomic_load_explicit(&worker->closing, memory_order_relaxed));
    atomic_fetch_add(&worker->pending, 1);
    stack_push(&worker->submitted, job);
    bell_ring(&worker->work_bell);
}

bool sp_worker_run(struct sp_worker *worker) {
    sp_require(worker->inline_jobs);
    if (worker->inline_next == NULL) {
        worker->inline_next = stack_take(&worker->submitted);
    }
    struct sp_job *job = worker->inline_next;
    if (job == NULL) {
        return false;
    }
    worker->inline_next = job->next;
    finish(worker, job);
    return true;
}

unsigned sp_worker_poll(struct sp_worker *worker) {
    if (atomic_load_explicit(&worker->finished, memory_order_relaxed) == NULL) {
        return 0;
    }
    unsigned count = 0;
    struct sp_job *job = stack_take(&worker->finished);
    while (job != NULL) {
        struct sp_job *next = job->next; /* `done` may free the job or submit it again */
        uint32_t before = atomic_fetch_sub(&worker->pending, 1);
        sp_invariant(before > 0);
        job->done(job);
        count++;
        job = next;
    }
    return count;
}

unsigned sp_worker_pending(struct sp_worker *worker) {
    return atomic_load(&worker->pending);
}

static bool has_finished(struct sp_worker *worker) {
    return atomic_load(&worker->finished) != NULL || atomic_load(&worker->pending) == 0;
}

void sp_worker_wait(struct sp_worker *worker, int timeout_ms) {
    if (worker->inline_jobs) {
        if (!has_finished(worker)) {
            (void)sp_worker_run(worker);
        }
        return;
    }
    uint64_t until = timeout_ms < 0 ? UINT64_MAX : now_ns() + (uint64_t)timeout_ms * 1000000u;
    for (;;) {
        uint32_t seen = atomic_load(&worker->done_bell.sequence);
        uint64_t now = now_ns();
        if (has_finished(worker) || now >= until) {
            return;
        }
        if (!(worker->spins && bell_spin(&worker->done_bell, seen))) {
            bell_sleep(&worker->done_bell, seen, timeout_ms < 0 ? 0 : until - now);
        }
    }
}

void sp_worker_free(struct sp_worker *worker) {
    if (worker == NULL) {
        return;
    }
    while (sp_worker_pending(worker) > 0) {
        sp_worker_wait(worker, -1);
        (void)sp_worker_poll(worker);
    }
    atomic_store(&worker->closing, true);
    if (!worker->inline_jobs) {
        bell_ring(&worker->work_bell);
        int os_error = pthread_join(worker->thread, NULL);
        sp_ensure(os_error == 0);
    }
    sp_ensure(atomic_load(&worker->submitted) == NULL);
    free(worker);
}
