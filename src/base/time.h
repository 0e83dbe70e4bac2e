/*
 * Points in time as text and number: RFC 3339, Unix time, durations, entry ids. pure
 *
 * A time is microseconds since 1970-01-01T00:00:00Z as uint64_t; years 1970 to 9999. Reading the
 * clock is os's business.
 */
#ifndef SP_BASE_TIME_H
#define SP_BASE_TIME_H

#include "base/error.h"
#include "base/str.h"

#define SP_TIME_US_MAX UINT64_C(253402300799999999) /* 9999-12-31T23:59:59.999999Z */

enum {
    SP_TIME_TEXT_SIZE = 28,
    SP_ENTRYID_TEXT_SIZE = 32,
    SP_UUID_TEXT_SIZE = 36,
    SP_DURATION_TEXT_SIZE = 40,
};

/*
 * Reads RFC 3339 (`2026-11-20T05:49:12.25Z`, any offset, `t`/`z` and a space for T allowed, leap
 * second 60 folded into 59.999999). Strict wants a zone; lenient takes a text without one as UTC, a
 * date alone as its midnight. Digits of a second beyond the sixth are cut. SP_INVALID with place
 * and reason.
 */
SP_WARN_UNUSED sp_status sp_time_parse(sp_str text, bool lenient, uint64_t *ret_time_us,
                                       struct sp_error *error);

/*
 * SP_OK where sp_time_parse could read the text were it not for the year: any from 0000 to 9999
 * will do. For times that are only kept and shown, such as a producer's 0001-01-01T00:00:00Z.
 */
SP_WARN_UNUSED sp_status sp_time_check(sp_str text, bool lenient, struct sp_error *error);

/*
 * Writes `2026-11-20T05:49:12.123456Z` (27 bytes and a NUL): UTC, always six digits of a second.
 * The time is at most SP_TIME_US_MAX.
 */
void sp_time_format(uint64_t time_us, char text[SP_TIME_TEXT_SIZE]);

/*
 * Reads a duration: an unsigned whole number and a unit, `us ms s m h d w`, several may follow one
 * another (`1h30m`) and add up; one number alone means seconds. SP_INVALID also where the sum does
 * not fit.
 */
SP_WARN_UNUSED sp_status sp_duration_parse(sp_str text, uint64_t *ret_us, struct sp_error *error);

/* Writes the shortest text that sp_duration_parse reads so (`1h30m`, `0s`) and a NUL; no weeks. */
void sp_duration_format(uint64_t duration_us, char text[SP_DURATION_TEXT_SIZE]);

/* Writes `<ms>-<seq>` and a NUL; returns the length without the NUL. */
size_t sp_entryid_format(uint64_t ms, uint32_t seq, char text[SP_ENTRYID_TEXT_SIZE]);

/* Reads `<ms>-<seq>`, or `<ms>` alone, which leaves *ret_has_seq false and seq 0. */
SP_WARN_UNUSED sp_status sp_entryid_parse(sp_str text, uint64_t *ret_ms, uint32_t *ret_seq,
                                          bool *ret_has_seq, struct sp_error *error);

/*
 * Packs a UUID in its canonical form (36 bytes, lower-case hex, RFC 9562) into 16 bytes. False, and
 * nothing written, for every other text: packing never changes what is read back.
 */
bool sp_uuid_pack(sp_str text, uint8_t bytes[16]);

/* Writes the canonical 36 bytes, without a NUL. */
void sp_uuid_format(const uint8_t bytes[16], char text[SP_UUID_TEXT_SIZE]);

#endif
