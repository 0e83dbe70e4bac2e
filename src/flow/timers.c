#include "flow/timers.h"

#include <stdlib.h>

enum {
    CHILDREN = 4,
    FIRST_CAPACITY = 16,
    SMALL_MAX = 4096, /* below it the heap doubles, from there on it grows by an eighth */
    CROWD_MIN = 64,   /* fewer are not worth building anew */
};

_Static_assert(sizeof(struct sp_timer) == 24, "a timer is three words");

void sp_timers_init(struct sp_timers *timers) {
    *timers = (struct sp_timers){.heap = NULL};
}

void sp_timers_fini(struct sp_timers *timers) {
    free(timers->heap);
    sp_timers_init(timers);
}

static bool is_before(const struct sp_timer *x, const struct sp_timer *y) {
    if (SP_LIKELY(x->at_us != y->at_us)) {
        return x->at_us < y->at_us;
    }
    if (x->a != y->a) {
        return x->a < y->a;
    }
    return x->b != y->b ? x->b < y->b : x->generation < y->generation;
}

/* Puts the timer at the slot or above it: those that come later than it move down. */
static void rise(struct sp_timers *timers, uint32_t slot, struct sp_timer timer) {
    while (slot > 0) {
        uint32_t parent = (slot - 1) / CHILDREN;
        if (!is_before(&timer, &timers->heap[parent])) {
            break;
        }
        timers->heap[slot] = timers->heap[parent];
        slot = parent;
    }
    timers->heap[slot] = timer;
}

static uint32_t first_child(const struct sp_timers *timers, uint32_t from) {
    uint32_t end = timers->count - from < CHILDREN ? timers->count : from + CHILDREN;
    uint32_t best = from;
    for (uint32_t at = from + 1; at < end; at++) {
        if (is_before(&timers->heap[at], &timers->heap[best])) {
            best = at;
        }
    }
    return best;
}

/* Puts the timer at the slot or below it. */
static void sink(struct sp_timers *timers, uint32_t slot, struct sp_timer timer) {
    sp_require(slot < timers->count);
    for (;;) {
        uint32_t from = slot * CHILDREN + 1;
        if (from >= timers->count) {
            break;
        }
        uint32_t child = first_child(timers, from);
        if (!is_before(&timers->heap[child], &timer)) {
            break;
        }
        timers->heap[slot] = timers->heap[child];
        slot = child;
    }
    timers->heap[slot] = timer;
}

static sp_status grow(struct sp_timers *timers) {
    uint32_t capacity = timers->capacity;
    uint32_t wanted = capacity < SMALL_MAX ? capacity * 2 : capacity + capacity / 8;
    wanted = wanted < FIRST_CAPACITY ? FIRST_CAPACITY : wanted;
    struct sp_timer *heap = realloc(timers->heap, wanted * sizeof(*heap));
    if (heap == NULL) {
        return SP_NO_MEMORY;
    }
    timers->heap = heap;
    timers->capacity = wanted;
    return SP_OK;
}

sp_status sp_timers_arm(struct sp_timers *timers, struct sp_timer timer) {
    if (timers->count >= SP_TIMERS_MAX) {
        return SP_LIMIT;
    }
    if (timers->count == timers->capacity) {
        sp_status status = grow(timers);
        if (status != SP_OK) {
            return status;
        }
    }
    rise(timers, timers->count++, timer);
    return SP_OK;
}

bool sp_timers_take(struct sp_timers *timers, uint64_t now_us, struct sp_timer *ret_timer) {
    if (timers->count == 0 || timers->heap[0].at_us > now_us) {
        return false;
    }
    *ret_timer = timers->heap[0];
    struct sp_timer last = timers->heap[--timers->count];
    if (timers->count > 0) {
        sink(timers, 0, last);
    }
    return true;
}

bool sp_timers_is_crowded(const struct sp_timers *timers) {
    return timers->count >= CROWD_MIN && timers->dropped > timers->count / 2;
}

void sp_timers_keep(struct sp_timers *timers,
                    bool (*is_alive)(const void *context, const struct sp_timer *timer),
                    const void *context) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < timers->count; i++) {
        if (is_alive(context, &timers->heap[i])) {
            timers->heap[kept++] = timers->heap[i];
        }
    }
    timers->count = kept;
    timers->dropped = 0;
    for (uint32_t i = kept; i-- > 0;) {
        sink(timers, i, timers->heap[i]);
    }
}
