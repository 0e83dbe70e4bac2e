/*
 * Times at which something falls due, by the million. pure
 *
 * A heap of values with four children to a node: the earliest on top, 24 bytes each and nothing
 * beside it. Among equal times the smaller `a`, then `b`, then `generation` comes first, so that
 * the order is the same however the timers came in.
 *
 * A timer is never searched for. Who no longer wants one counts its own generation on and says
 * sp_timers_drop; when the timer comes out its generation is no longer the owner's, and the owner
 * passes it by. Once more than half of many are dropped ones, sp_timers_is_crowded asks the owner
 * to say which are alive (sp_timers_keep), so that dropped ones take no more room than live ones.
 *
 * Nothing of this is stored: owners arm their timers anew when they are restored.
 *
 * Limits: SP_TIMERS_MAX, beyond which arming is SP_LIMIT.
 */
#ifndef SP_FLOW_TIMERS_H
#define SP_FLOW_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define SP_TIMERS_NEVER UINT64_MAX

enum { SP_TIMERS_MAX = 100000000 };

struct sp_timer {
    uint64_t at_us;
    uint64_t a;          /* the owner's: which of its things */
    uint32_t b;          /* likewise */
    uint32_t generation; /* likewise; compared when the timer comes out */
};

struct sp_timers {
    struct sp_timer *heap;
    uint32_t count; /* dropped ones too */
    uint32_t capacity;
    uint32_t dropped; /* how many of them nobody wants */
};

void sp_timers_init(struct sp_timers *timers);
void sp_timers_fini(struct sp_timers *timers);

/* Adds a timer. SP_NO_MEMORY, SP_LIMIT: nothing has changed. O(log timers), as a rule O(1). */
SP_WARN_UNUSED sp_status sp_timers_arm(struct sp_timers *timers, struct sp_timer timer);

/* When the next one is due, dropped or not; SP_TIMERS_NEVER where there is none. O(1). */
static inline uint64_t sp_timers_due(const struct sp_timers *timers) {
    return timers->count > 0 ? timers->heap[0].at_us : SP_TIMERS_NEVER;
}

/*
 * Takes the earliest one out if its time has come; false: none has. Where the owner finds that it
 * was a dropped one it says sp_timers_dropped_came. O(log timers).
 */
bool sp_timers_take(struct sp_timers *timers, uint64_t now_us, struct sp_timer *ret_timer);

/* One that is still in there is no longer wanted. O(1). */
static inline void sp_timers_drop(struct sp_timers *timers) {
    timers->dropped++;
}

/* One that was dropped came out. O(1). */
static inline void sp_timers_dropped_came(struct sp_timers *timers) {
    timers->dropped -= timers->dropped > 0;
}

/* True where sp_timers_keep is worth its while. O(1). */
bool sp_timers_is_crowded(const struct sp_timers *timers);

/* Forgets all but those that are alive. O(timers). */
void sp_timers_keep(struct sp_timers *timers,
                    bool (*is_alive)(const void *context, const struct sp_timer *timer),
                    const void *context);

#endif
