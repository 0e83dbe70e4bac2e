/*
 * Of a projection's events: the least and the greatest own time, per stretch of the log. pure
 *
 * What makes a moment by the events' own time cheap: a snapshot may be begun from where everything
 * before it is not later, and stretches in which everything is later need not be read. Learned as
 * events go by, kept in a file beside the snapshots; missing or damaged it costs time only.
 *
 * Invariants: every event that the projection could want, with a position up to `known`, lies
 * within the bounds of its stretch. Bounds may be wider than the events are.
 *
 * Beyond `known` there may be one more span that was noted (whoever follows the log goes on where
 * it left off, though the file is older): filling what lies between joins the two.
 */
#ifndef SP_PROJECT_BOUNDS_H
#define SP_PROJECT_BOUNDS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

enum { SP_BOUNDS_STRETCH = 8192 };

struct sp_bounds_of { /* nothing noted: least > greatest */
    uint64_t least_us;
    uint64_t greatest_us;
};

struct sp_bounds {
    struct sp_bounds_of *stretches; /* of positions from 1 on, SP_BOUNDS_STRETCH each */
    size_t count;
    size_t capacity;
    uint64_t known;
    uint64_t span_first; /* the span beyond: none where first is 0 */
    uint64_t span_last;
};

void sp_bounds_init(struct sp_bounds *bounds);
void sp_bounds_fini(struct sp_bounds *bounds);

/* Notes an event. SP_NO_MEMORY: what is known stays true, and the position must not be covered. */
SP_WARN_UNUSED sp_status sp_bounds_note(struct sp_bounds *bounds, uint64_t position,
                                        uint64_t time_us);

/* Every event of [first, last] that could matter has been noted. */
void sp_bounds_cover(struct sp_bounds *bounds, uint64_t first, uint64_t last);

/*
 * The first gap at or before `until`: what has to be noted so that more is known. False where all
 * of it is known.
 */
bool sp_bounds_gap(const struct sp_bounds *bounds, uint64_t until, uint64_t *ret_first,
                   uint64_t *ret_last);

/*
 * The greatest position up to which everything is known, and not later than the time; whole
 * stretches only, unless all that is known is not later.
 */
uint64_t sp_bounds_prefix(const struct sp_bounds *bounds, uint64_t time_us);

/*
 * The first span of positions in [from, until] that may hold an event which is not later than the
 * time, as long as it goes on. What is not known may. False where there is none.
 */
bool sp_bounds_next(const struct sp_bounds *bounds, uint64_t time_us, uint64_t from, uint64_t until,
                    uint64_t *ret_first, uint64_t *ret_last);

/* Appends its stored form, of what is known; and reads it: SP_CORRUPT, SP_UNSUPPORTED. */
void sp_bounds_encode(const struct sp_bounds *bounds, struct sp_buf *to);
SP_WARN_UNUSED sp_status sp_bounds_decode(sp_str bytes, struct sp_bounds *bounds);

#endif
