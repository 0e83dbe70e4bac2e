/*
 * How people write what a consumer group does by itself: waits, factors, backoffs. pure
 *
 *     30s   500ms   1h30m   2            a wait; a plain number is seconds
 *     1s..60s x2 jitter 0.2              a backoff: the first wait, the longest, by how much it
 *                                        grows with each attempt, and how much is left to chance
 *     5s                                 always the same wait, but for chance
 *
 * The same texts in the Redis protocol, over HTTP and on the command line. What is formatted here
 * is read back as the same value.
 */
#ifndef SP_PROTO_POLICY_TEXT_H
#define SP_PROTO_POLICY_TEXT_H

#include "base/buf.h"
#include "base/error.h"

enum {
    SP_BACKOFF_FACTOR_MILLI_MAX = 1000000, /* x1000 */
    SP_BACKOFF_JITTER_MILLI_MAX = 1000,    /* jitter 1 */
};

struct sp_backoff {
    uint64_t first_ms;
    uint64_t max_ms;
    uint32_t factor_milli; /* 2000: x2 */
    uint32_t jitter_milli; /* 200: up to a fifth more or less */
};

/* Reads a wait, in whole milliseconds. SP_INVALID says what was expected. */
SP_WARN_UNUSED sp_status sp_delay_parse(sp_str text, uint64_t *ret_ms, struct sp_error *error);

/* Appends a wait in the largest unit that it is whole in: `90s`, `2m`, `1500ms`. */
void sp_delay_format(uint64_t ms, struct sp_buf *to);

/*
 * Reads a backoff: a wait or two with `..` between; then, in either order and each left out at
 * will, `x` with a factor from 1 to 1000 (left out: 2) and `jitter` with a share from 0 to 1 (left
 * out: 0.2), both with up to three decimals. Blanks between the parts. SP_INVALID.
 */
SP_WARN_UNUSED sp_status sp_backoff_parse(sp_str text, struct sp_backoff *ret_backoff,
                                          struct sp_error *error);
void sp_backoff_format(const struct sp_backoff *backoff, struct sp_buf *to);

/* Reads a whole number of decimal digits, from `least` to `most`. SP_INVALID. */
SP_WARN_UNUSED sp_status sp_count_parse(sp_str text, uint32_t least, uint32_t most,
                                        uint32_t *ret_value, struct sp_error *error);

#endif
