/*
 * The values of `from` and `until` in a query: a place in the log, or a time. pure
 *
 *   4711                      a position: digits alone, whatever their number
 *   1795153752123-0           an entry id: digits, a hyphen, digits
 *   2026-11-20T05:49:12Z      a time of RFC 3339; without a zone UTC, a date alone its midnight
 *   now                       the end of the log as it is now, and this instant
 *   -10m  -1h30m  -30         so long before now (a duration as in base/time.h)
 *
 * So a number is never a Unix time here, and `2026-11` is an entry id, not a month.
 */
#ifndef SP_EVENT_MOMENT_H
#define SP_EVENT_MOMENT_H

#include "base/error.h"
#include "base/str.h"

enum sp_moment_kind {
    SP_MOMENT_POSITION,
    SP_MOMENT_ENTRY,
    SP_MOMENT_TIME, /* a recorded time; relative ones are resolved */
    SP_MOMENT_NOW,
};

struct sp_moment {
    enum sp_moment_kind kind;
    uint64_t position;  /* POSITION */
    uint64_t entry_ms;  /* ENTRY */
    uint32_t entry_seq; /* ENTRY */
    uint64_t time_us;   /* TIME and NOW: since 1970 */
};

/*
 * Reads a moment. `now_us` is the present; what lies so far before it that 1970 is passed is 1970.
 * SP_INVALID names the text and the forms that are expected.
 */
SP_WARN_UNUSED sp_status sp_moment_parse(sp_str text, uint64_t now_us, struct sp_moment *ret_moment,
                                         struct sp_error *error);

#endif
