/*
 * A lock that threads take in turns: who lets it go and wants it back at once has to stand behind
 * those who wait. For a loop that holds it all the time, beside threads that need it now and then.
 * any-thread
 *
 * Two locks, taken one after the other: who wants to be next holds `next` while it waits for
 * `held`. Who has just left must come past `next` again, and so lets one of the others in first. A
 * thread that has the guard may take it again. Where nobody waits, entering costs two locks that
 * are free.
 */
#ifndef SP_OS_GUARD_H
#define SP_OS_GUARD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sp_guard {
    pthread_mutex_t next;
    pthread_mutex_t held;
    _Atomic uintptr_t owner; /* names the thread that holds it; 0: nobody */
    uint32_t depth;          /* how often it does; the owner's */
};

void sp_guard_init(struct sp_guard *guard);
/* Nobody holds it or waits for it. */
void sp_guard_fini(struct sp_guard *guard);

void sp_guard_enter(struct sp_guard *guard);
/* Once for each entering, by the thread that has entered. */
void sp_guard_leave(struct sp_guard *guard);

/* Whether the calling thread holds it. */
bool sp_guard_is_mine(const struct sp_guard *guard);

/*
 * Lets go, waits for the condition or until a moment of its clock (NULL: no limit), and has the
 * guard again. The caller has entered once. False where the moment has come.
 */
bool sp_guard_wait(struct sp_guard *guard, pthread_cond_t *condition, const struct timespec *until);

#endif
