#include "os/guard.h"

#include <errno.h>

#include "base/assert.h"

/* Its address is another one in each thread. */
static _Thread_local const char thread_mark;

static uintptr_t this_thread(void) {
    return (uintptr_t)&thread_mark;
}

void sp_guard_init(struct sp_guard *guard) {
    pthread_mutex_init(&guard->next, NULL);
    pthread_mutex_init(&guard->held, NULL);
    atomic_init(&guard->owner, 0);
    guard->depth = 0;
}

void sp_guard_fini(struct sp_guard *guard) {
    sp_require(atomic_load(&guard->owner) == 0);
    pthread_mutex_destroy(&guard->next);
    pthread_mutex_destroy(&guard->held);
}

/* What others write there is never this thread's mark, so that no order is needed. */
bool sp_guard_is_mine(const struct sp_guard *guard) {
    return atomic_load_explicit(&guard->owner, memory_order_relaxed) == this_thread();
}

static void own(struct sp_guard *guard, bool mine) {
    atomic_store_explicit(&guard->owner, mine ? this_thread() : 0, memory_order_relaxed);
}

void sp_guard_enter(struct sp_guard *guard) {
    if (!sp_guard_is_mine(guard)) {
        pthread_mutex_lock(&guard->next);
        pthread_mutex_lock(&guard->held);
        pthread_mutex_unlock(&guard->next);
        own(guard, true);
    }
    guard->depth++;
}

void sp_guard_leave(struct sp_guard *guard) {
    sp_require(sp_guard_is_mine(guard) && guard->depth > 0);
    guard->depth--;
    if (guard->depth == 0) {
        own(guard, false);
        pthread_mutex_unlock(&guard->held);
    }
}

bool sp_guard_wait(struct sp_guard *guard, pthread_cond_t *condition,
                   const struct timespec *until) {
    sp_require(sp_guard_is_mine(guard) && guard->depth == 1);
    guard->depth = 0;
    own(guard, false);
    int failed = until == NULL ? pthread_cond_wait(condition, &guard->held)
                               : pthread_cond_timedwait(condition, &guard->held, until);
    own(guard, true);
    guard->depth = 1;
    return failed != ETIMEDOUT;
}
