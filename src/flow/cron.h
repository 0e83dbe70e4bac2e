/*
 * Times in the manner of cron(8): minute, hour, day of the month, month, day of the week. pure
 *
 * Each field is `*` or a list of numbers, names (jan, mon; either case), ranges `a-b` and steps
 * `a-b/n`, `*` `/n`, joined by commas. Sunday is 0 or 7. Where both day of the month and day of the
 * week are restricted (do not begin with `*`) a day that fits either will do, as in cron(8);
 * otherwise both must fit. Or a word: @yearly @annually @monthly @weekly @daily @midnight @hourly.
 *
 * Zones are fixed offsets from UTC, so no minute is missing or comes twice.
 */
#ifndef SP_FLOW_CRON_H
#define SP_FLOW_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

#define SP_CRON_NEVER UINT64_MAX

enum { SP_CRON_OFFSET_MIN_MAX = 18 * 60 }; /* minutes either side of UTC */

struct sp_cron {
    uint64_t minutes; /* one bit each */
    uint32_t hours;
    uint32_t days;    /* bit 1: the first of the month */
    uint16_t months;  /* bit 1: January */
    uint8_t weekdays; /* bit 0: Sunday */
    bool any_day;     /* the field begins with `*` */
    bool any_weekday;
    int32_t offset_min; /* of the zone; noon UTC is noon plus this many minutes there */
};

/*
 * Reads the five fields. SP_INVALID says which field, and what was expected; the error's offset is
 * the byte. Also where no day can ever fit (30 February).
 */
SP_WARN_UNUSED sp_status sp_cron_parse(sp_str text, struct sp_cron *ret_cron,
                                       struct sp_error *error);

/* Reads `UTC`, `Z`, or `+02:00`, `-0330`, `+2`. SP_INVALID. */
SP_WARN_UNUSED sp_status sp_cron_parse_zone(sp_str text, int32_t *ret_offset_min,
                                            struct sp_error *error);

/* The first time that fits and is later than the one given; SP_CRON_NEVER beyond the year 9999. */
uint64_t sp_cron_next(const struct sp_cron *cron, uint64_t after_us);

/* The last time that fits and is at the one given or before it; SP_CRON_NEVER: none since 1970. */
uint64_t sp_cron_last(const struct sp_cron *cron, uint64_t at_us);

#endif
