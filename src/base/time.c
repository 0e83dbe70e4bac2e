/*
 * Dates are counted in days since 1970-01-01 in the proleptic Gregorian calendar. The year is taken
 * to begin in March, so that the leap day is its last one and a month's first day follows from its
 * number by one line through the month lengths: (153 * month + 2) / 5.
 */
#include "base/time.h"

enum {
    DAYS_IN_ERA = 146097,   /* 400 years */
    DAYS_TO_EPOCH = 719468, /* from 0000-03-01 to 1970-01-01 */
    SECONDS_IN_DAY = 24 * 60 * 60,
    MICROS_IN_SECOND = 1000000,
    FRACTION_DIGITS = 6,
};

/* Where the text is being read, and what was wrong with it first. */
struct reader {
    const char *start;
    const char *at;
    const char *end;
    const char *problem;
};

static struct reader reader_of(sp_str text) {
    sp_require(text.ptr != NULL || text.len == 0);
    const char *start = text.ptr != NULL ? text.ptr : "";
    return (struct reader){.start = start, .at = start, .end = start + text.len};
}

static bool is_digit(char byte) {
    return (uint8_t)(byte - '0') < 10;
}

static char peek(const struct reader *r) {
    return r->at < r->end ? *r->at : '\0';
}

static void wrong(struct reader *r, const char *problem) {
    if (r->problem == NULL) {
        r->problem = problem;
    }
}

/* Reads exactly `count` digits as a number from `min` to `max`. */
static uint32_t read_field(struct reader *r, int count, uint32_t min, uint32_t max,
                           const char *problem) {
    const char *from = r->at;
    uint32_t value = 0;
    for (int i = 0; i < count; i++) {
        if (r->problem != NULL || !is_digit(peek(r))) {
            wrong(r, problem);
            return min;
        }
        value = value * 10 + (uint32_t)(*r->at++ - '0');
    }
    if (value < min || value > max) {
        r->at = from;
        wrong(r, problem);
        return min;
    }
    return value;
}

static void read_byte(struct reader *r, char byte, const char *problem) {
    if (r->problem != NULL) {
        return;
    }
    if (peek(r) != byte) {
        wrong(r, problem);
        return;
    }
    r->at++;
}

static bool is_leap(uint32_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static uint32_t days_in_month(uint32_t year, uint32_t month) {
    static const uint8_t DAYS[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    sp_require(month >= 1 && month <= 12);
    return DAYS[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

static int64_t days_from_civil(uint32_t year, uint32_t month, uint32_t day) {
    sp_require(month >= 1 && month <= 12 && day >= 1 && day <= 31 && year <= 9999);
    uint32_t march_month = month > 2 ? month - 3 : month + 9;
    int64_t y = (int64_t)year - (month <= 2 ? 1 : 0) + 400; /* one era up, so never negative */
    int64_t era = y / 400;
    int64_t year_of_era = y % 400;
    int64_t day_of_year = (153 * march_month + 2) / 5 + day - 1;
    sp_ensure(day_of_year >= 0 && day_of_year < 366);
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (era - 1) * DAYS_IN_ERA + day_of_era - DAYS_TO_EPOCH;
}

static int64_t read_date(struct reader *r) {
    uint32_t year = read_field(r, 4, 0, 9999, "expected a year of four digits");
    read_byte(r, '-', "expected '-' after the year");
    uint32_t month = read_field(r, 2, 1, 12, "expected a month from 01 to 12");
    read_byte(r, '-', "expected '-' after the month");
    uint32_t day = read_field(r, 2, 1, days_in_month(year, month), "expected a day of that month");
    return days_from_civil(year, month, day);
}

/* Reads the digits after a point: microseconds, more digits are passed over. */
static uint32_t read_fraction(struct reader *r) {
    uint32_t micros = 0;
    int digits = 0;
    if (!is_digit(peek(r))) {
        wrong(r, "expected digits after the point");
    }
    for (; is_digit(peek(r)); r->at++) {
        if (digits < FRACTION_DIGITS) {
            micros = micros * 10 + (uint32_t)(*r->at - '0');
            digits++;
        }
    }
    for (; digits < FRACTION_DIGITS; digits++) {
        micros *= 10;
    }
    sp_ensure(micros < MICROS_IN_SECOND);
    return micros;
}

/* Reads hh:mm:ss and a fraction as microseconds since midnight. */
static int64_t read_clock(struct reader *r) {
    uint32_t hour = read_field(r, 2, 0, 23, "expected an hour from 00 to 23");
    read_byte(r, ':', "expected ':' after the hour");
    uint32_t minute = read_field(r, 2, 0, 59, "expected a minute from 00 to 59");
    read_byte(r, ':', "expected ':' and seconds after the minute");
    uint32_t second = read_field(r, 2, 0, 60, "expected a second from 00 to 60");
    uint32_t micros = 0;
    if (r->problem == NULL && peek(r) == '.') {
        r->at++;
        micros = read_fraction(r);
    }
    if (second == 60) {
        /* Days of the count have no leap second: it is folded into the last instant before it. */
        second = 59;
        micros = MICROS_IN_SECOND - 1;
    }
    sp_ensure(hour < 24 && minute < 60 && second < 60);
    return (int64_t)(hour * 3600 + minute * 60 + second) * MICROS_IN_SECOND + micros;
}

/* Reads Z or ±hh:mm; returns how far the zone is ahead of UTC. */
static int64_t read_zone(struct reader *r, bool lenient) {
    if (r->at == r->end && lenient) {
        return 0;
    }
    char sign = peek(r);
    if (sign == 'Z' || sign == 'z') {
        r->at++;
        return 0;
    }
    if (sign != '+' && sign != '-') {
        wrong(r, "expected a zone, Z or +hh:mm");
        return 0;
    }
    r->at++;
    uint32_t hours = read_field(r, 2, 0, 23, "expected a zone's hours from 00 to 23");
    read_byte(r, ':', "expected ':' after the zone's hours");
    uint32_t minutes = read_field(r, 2, 0, 59, "expected a zone's minutes from 00 to 59");
    int64_t ahead_us = (int64_t)(hours * 60 + minutes) * 60 * MICROS_IN_SECOND;
    return sign == '+' ? ahead_us : -ahead_us;
}

/* Reads any time of the years 0000 to 9999, as microseconds before or after 1970. */
static sp_status read_time(sp_str text, bool lenient, int64_t *ret_us, struct sp_error *error) {
    struct reader r = reader_of(text);
    int64_t us = read_date(&r) * SECONDS_IN_DAY * MICROS_IN_SECOND;
    bool date_alone = lenient && r.at == r.end;
    if (r.problem == NULL && !date_alone) {
        char separator = peek(&r);
        if (separator != 'T' && separator != 't' && separator != ' ') {
            wrong(&r, "expected 'T' and a time of day after the date");
        } else {
            r.at++;
            us += read_clock(&r);
        }
        if (r.problem == NULL) {
            us -= read_zone(&r, lenient);
        }
    }
    if (r.problem == NULL && r.at < r.end) {
        wrong(&r, "expected nothing after the time");
    }
    sp_ensure(r.at >= r.start && r.at <= r.end);
    if (r.problem != NULL) {
        uint64_t offset = (uint64_t)(r.at - r.start);
        return sp_error_set_at(error, SP_INVALID, offset, "not a time of RFC 3339: byte %llu: %s",
                               (unsigned long long)offset, r.problem);
    }
    *ret_us = us;
    return SP_OK;
}

sp_status sp_time_parse(sp_str text, bool lenient, uint64_t *ret_time_us, struct sp_error *error) {
    int64_t us = 0;
    sp_status status = read_time(text, lenient, &us, error);
    if (status != SP_OK) {
        return status;
    }
    if (us < 0 || (uint64_t)us > SP_TIME_US_MAX) {
        return sp_error_set(error, SP_INVALID, "the time %.*s is outside the years 1970 to 9999",
                            SP_STR_ARG(text));
    }
    *ret_time_us = (uint64_t)us;
    return SP_OK;
}

sp_status sp_time_check(sp_str text, bool lenient, struct sp_error *error) {
    int64_t us = 0;
    return read_time(text, lenient, &us, error);
}

static void put_two(char *to, uint32_t value) {
    static const char PAIRS[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    sp_require(value < 100);
    memcpy(to, PAIRS + (size_t)value * 2, 2);
}

static void format_date(uint32_t days, char *text) {
    uint32_t shifted = days + DAYS_TO_EPOCH;
    uint32_t era = shifted / DAYS_IN_ERA;
    uint32_t day_of_era = shifted % DAYS_IN_ERA;
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t march_month = (5 * day_of_year + 2) / 153;
    uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    uint32_t year = era * 400 + year_of_era + (month <= 2 ? 1u : 0u);
    sp_ensure(month >= 1 && month <= 12 && year <= 9999);
    put_two(text, year / 100);
    put_two(text + 2, year % 100);
    put_two(text + 5, month);
    put_two(text + 8, day_of_year - (153 * march_month + 2) / 5 + 1);
}

void sp_time_format(uint64_t time_us, char text[SP_TIME_TEXT_SIZE]) {
    sp_require(time_us <= SP_TIME_US_MAX);
    uint64_t seconds = time_us / MICROS_IN_SECOND;
    uint32_t micros = (uint32_t)(time_us % MICROS_IN_SECOND);
    uint32_t second_of_day = (uint32_t)(seconds % SECONDS_IN_DAY);
    memcpy(text, "....-..-..T..:..:.........Z", SP_TIME_TEXT_SIZE);
    format_date((uint32_t)(seconds / SECONDS_IN_DAY), text);
    put_two(text + 11, second_of_day / 3600);
    put_two(text + 14, second_of_day / 60 % 60);
    put_two(text + 17, second_of_day % 60);
    put_two(text + 20, micros / 10000);
    put_two(text + 22, micros / 100 % 100);
    put_two(text + 24, micros % 100);
}

/* Reads a whole number of at least one digit; what does not fit below `max` is wrong. */
static uint64_t read_number(struct reader *r, uint64_t max, const char *problem) {
    const char *from = r->at;
    uint64_t value = 0;
    for (; is_digit(peek(r)); r->at++) {
        uint64_t digit = (uint64_t)(*r->at - '0');
        if (value > (max - digit) / 10) {
            wrong(r, problem);
            return 0;
        }
        value = value * 10 + digit;
    }
    if (r->at == from) {
        wrong(r, problem);
    }
    return value;
}

/* Reads a unit's name; returns its microseconds, 0 where there is none. */
static uint64_t read_unit(struct reader *r) {
    static const struct {
        char name[3];
        uint8_t length;
        uint64_t us;
    } UNITS[] = {
        /* The longer names first: `m` begins `ms`. */
        {"us", 2, 1},
        {"ms", 2, 1000},
        {"s", 1, MICROS_IN_SECOND},
        {"m", 1, UINT64_C(60) * MICROS_IN_SECOND},
        {"h", 1, UINT64_C(3600) * MICROS_IN_SECOND},
        {"d", 1, UINT64_C(1) * SECONDS_IN_DAY * MICROS_IN_SECOND},
        {"w", 1, UINT64_C(7) * SECONDS_IN_DAY * MICROS_IN_SECOND},
    };
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
        size_t length = UNITS[i].length;
        if ((size_t)(r->end - r->at) >= length && memcmp(r->at, UNITS[i].name, length) == 0) {
            r->at += length;
            return UNITS[i].us;
        }
    }
    return 0;
}

sp_status sp_duration_parse(sp_str text, uint64_t *ret_us, struct sp_error *error) {
    struct reader r = reader_of(text);
    uint64_t sum_us = 0;
    bool first = true;
    do {
        uint64_t number = read_number(&r, UINT64_MAX, "expected a whole number");
        uint64_t unit_us = read_unit(&r);
        if (unit_us == 0) {
            if (!first || r.at < r.end) {
                wrong(&r, "expected a unit, one of us ms s m h d w");
            }
            unit_us = MICROS_IN_SECOND;
        }
        if (number > (UINT64_MAX - sum_us) / unit_us) {
            wrong(&r, "expected a shorter time");
            break;
        }
        sum_us += number * unit_us;
        first = false;
    } while (r.problem == NULL && r.at < r.end);
    if (r.problem != NULL) {
        uint64_t offset = (uint64_t)(r.at - r.start);
        return sp_error_set_at(error, SP_INVALID, offset, "not a duration: byte %llu: %s",
                               (unsigned long long)offset, r.problem);
    }
    *ret_us = sum_us;
    return SP_OK;
}

/* Writes a decimal number without a NUL; returns its length. */
static size_t put_number(char *to, uint64_t value) {
    char digits[20]; /* as many as 2^64 has */
    size_t at = sizeof(digits);
    do {
        sp_invariant(at > 0);
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    memcpy(to, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

void sp_duration_format(uint64_t duration_us, char text[SP_DURATION_TEXT_SIZE]) {
    static const struct {
        uint64_t us;
        const char *name;
    } UNITS[] = {
        {UINT64_C(86400000000), "d"},
        {UINT64_C(3600000000), "h"},
        {60000000, "m"},
        {MICROS_IN_SECOND, "s"},
        {1000, "ms"},
        {1, "us"},
    };
    size_t length = 0;
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(*UNITS); i++) {
        uint64_t number = duration_us / UNITS[i].us;
        duration_us %= UNITS[i].us;
        if (number != 0 || (length == 0 && UNITS[i].us == MICROS_IN_SECOND && duration_us == 0)) {
            size_t unit = strlen(UNITS[i].name);
            length += put_number(text + length, number);
            memcpy(text + length, UNITS[i].name, unit);
            length += unit;
        }
    }
    sp_ensure(length > 0 && length < SP_DURATION_TEXT_SIZE);
    text[length] = '\0';
}

size_t sp_entryid_format(uint64_t ms, uint32_t seq, char text[SP_ENTRYID_TEXT_SIZE]) {
    size_t length = put_number(text, ms);
    text[length++] = '-';
    length += put_number(text + length, seq);
    sp_ensure(length < SP_ENTRYID_TEXT_SIZE);
    text[length] = '\0';
    return length;
}

sp_status sp_entryid_parse(sp_str text, uint64_t *ret_ms, uint32_t *ret_seq, bool *ret_has_seq,
                           struct sp_error *error) {
    struct reader r = reader_of(text);
    uint64_t ms = read_number(&r, UINT64_MAX, "expected milliseconds of at most 64 bits");
    bool has_seq = r.problem == NULL && r.at < r.end;
    uint64_t seq = 0;
    if (has_seq) {
        read_byte(&r, '-', "expected '-' after the milliseconds");
    }
    if (has_seq && r.problem == NULL) {
        seq = read_number(&r, UINT32_MAX, "expected a sequence number of at most 32 bits");
    }
    if (r.problem == NULL && r.at < r.end) {
        wrong(&r, "expected nothing after the sequence number");
    }
    if (r.problem != NULL) {
        uint64_t offset = (uint64_t)(r.at - r.start);
        return sp_error_set_at(error, SP_INVALID, offset, "not an entry id: byte %llu: %s",
                               (unsigned long long)offset, r.problem);
    }
    sp_ensure(seq <= UINT32_MAX && (has_seq || seq == 0));
    *ret_ms = ms;
    *ret_seq = (uint32_t)seq;
    *ret_has_seq = has_seq;
    return SP_OK;
}
