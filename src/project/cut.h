/*
 * Which events count at a moment. any-thread
 *
 * A position, an entry id, or a time by `recorded` is a prefix of the log: everything up to one
 * position. A time by the events' own time is not: an event counts where its `time` (where it has
 * none, its recordedtime) is not later, whatever its place in the log. Imported history has times
 * of its own; whoever asks how things were last August means those.
 *
 * Own times before 1970 count as 1970. Digits behind the microsecond are cut, as everywhere.
 */
#ifndef SP_PROJECT_CUT_H
#define SP_PROJECT_CUT_H

#include "engine/engine.h"
#include "event/moment.h"

struct sp_cut {
    uint64_t position; /* events behind it do not count */
    bool by_time;      /* and of the others only those that are not later than: */
    uint64_t time_us;
    bool in_future; /* it lies behind the head or the present: what is there so far counts */
};

/* The event's own time. */
uint64_t sp_cut_time_of(const struct sp_event *event);

static inline bool sp_cut_takes(const struct sp_cut *cut, const struct sp_event *event) {
    return event->position <= cut->position &&
           (!cut->by_time || sp_cut_time_of(event) <= cut->time_us);
}

/*
 * Reads a moment as it is meant for a store as it is now: `text` as in event/moment.h, empty for
 * now. SP_INVALID where it is none.
 */
SP_WARN_UNUSED sp_status sp_cut_resolve(struct sp_engine *engine, sp_str text, bool by_recorded,
                                        uint64_t now_us, struct sp_cut *ret_cut,
                                        struct sp_error *error);

#endif
