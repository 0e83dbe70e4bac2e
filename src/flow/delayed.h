/*
 * Delayed events: appended now, to happen later. pure
 *
 * `event.delayed` in the stream `$delayed` holds the event as its data (the JSON form of
 * event/event_json.h, with its id and source) and the extension `dueus`, microseconds since 1970.
 * When that time has come one append has the event itself, with the extension `delayedposition`,
 * and `event.due` {id, source, due} in `$delayed`; the extension `delayedposition` of that one is
 * the position of event.delayed, and ends it. `event.cancelled` {id, source, by, why} with the same
 * extension ends it too. What comes first counts; so an event happens once, or never.
 *
 * Where the event can no longer be appended (it is there by another way, a schema does not allow it
 * now) event.due alone tells of it, with `refused`.
 *
 * A waiting event takes about 60 bytes: its position, its time and a few bits of its id. Everything
 * else is read from the log.
 *
 * Limits: SP_DELAYED_MAX; whoever lets them in asks sp_delayed_count first. Beyond it an
 * event.delayed is not taken, and stays in the log.
 */
#ifndef SP_FLOW_DELAYED_H
#define SP_FLOW_DELAYED_H

#include "flow/part.h"

enum { SP_DELAYED_MAX = 10000000 };

struct sp_delayed;

SP_WARN_UNUSED sp_status sp_delayed_new(struct sp_delayed **ret_delayed);
void sp_delayed_free(struct sp_delayed *delayed); /* NULL is fine */

extern const struct sp_flow_part_ops sp_delayed_part;

/* How many wait. O(1). */
uint32_t sp_delayed_count(const struct sp_delayed *delayed);

/* One that waits: `position` is that of event.delayed, whose data tells the rest. */
struct sp_delayed_info {
    uint64_t position;
    uint64_t due_us;
};

/*
 * The one that waits by this id; `source` empty: of any source. SP_NOT_FOUND; SP_CONFLICT: several
 * sources have one, and the error names two; what reading says. A read for each candidate: one.
 */
SP_WARN_UNUSED sp_status sp_delayed_find(const struct sp_delayed *delayed,
                                         const struct sp_flow_ports *ports, sp_str source,
                                         sp_str id, struct sp_delayed_info *ret_info,
                                         struct sp_error *error);

/*
 * Adds the event.delayed of an event to `out`. The event has an id, a source, a type, and is
 * checked: it has passed whatever the log demands. SP_LIMIT: SP_DELAYED_MAX wait already.
 */
SP_WARN_UNUSED sp_status sp_delayed_wrap(const struct sp_delayed *delayed,
                                         const struct sp_event *event, uint64_t due_us,
                                         struct sp_flow_out *out, struct sp_error *error);

/* Adds the event.cancelled of what sp_delayed_find finds, whose statuses it has. */
struct sp_delayed_cancel {
    sp_str source; /* empty: any */
    sp_str id;
    sp_str by;  /* empty: nobody says */
    sp_str why; /* likewise */
};
SP_WARN_UNUSED sp_status sp_delayed_cancel(const struct sp_delayed *delayed,
                                           const struct sp_delayed_cancel *cancel,
                                           const struct sp_flow_ports *ports,
                                           struct sp_flow_out *out, struct sp_error *error);

/*
 * The next ones in the order of (due, position) behind the one given ({0, 0}: from the first), up
 * to `max`, in order. Returns how many were written. O(waiting * log max): for lists.
 */
size_t sp_delayed_list(const struct sp_delayed *delayed, struct sp_delayed_info after,
                       struct sp_delayed_info *ret_infos, size_t max);

#endif
