#include "flow/cron.h"

#include "base/time.h"

enum {
    MINUTE_US = 60000000,
    DAY_MINUTES = 1440,
    LOOK_DAYS_MAX = 366 * 8 + 8, /* a leap day is at most eight years from the next one */
};

struct field {
    const char *name;
    uint32_t min;
    uint32_t max;
    const char *const *words; /* for min, min + 1, … */
    uint32_t word_count;
};

static const char *const month_words[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const day_words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const struct field fields[FIELDS] = {
    [MINUTE] = {"minute", 0, 59, NULL, 0},
    [HOUR] = {"hour", 0, 23, NULL, 0},
    [DAY] = {"day of the month", 1, 31, NULL, 0},
    [MONTH] = {"month", 1, 12, month_words, 12},
    [WEEKDAY] = {"day of the week", 0, 7, day_words, 7},
};

/* ---- reading ---- */

struct reader {
    sp_str text;
    size_t at;
    const struct field *field;
    struct sp_error *error;
};

static sp_status wrong(const struct reader *r, const char *what) {
    return sp_error_set_at(r->error, SP_INVALID, r->at,
                           "%s: %s; expected %u to %u%s, as in *, 5, 1-5, */10 or 1,3",
                           r->field->name, what, r->field->min, r->field->max,
                           r->field->words != NULL ? " or a name" : "");
}

static bool is_at(const struct reader *r, char what) {
    return r->at < r->text.len && r->text.ptr[r->at] == what;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool read_word(struct reader *r, uint32_t *ret_value) {
    for (uint32_t i = 0; i < r->field->word_count && r->text.len - r->at >= 3; i++) {
        const char *word = r->field->words[i];
        const char *at = r->text.ptr + r->at;
        if (lower(at[0]) == word[0] && lower(at[1]) == word[1] && lower(at[2]) == word[2]) {
            *ret_value = r->field->min + i;
            r->at += 3;
            return true;
        }
    }
    return false;
}

static sp_status read_number(struct reader *r, uint32_t max, uint32_t *ret_value) {
    size_t from = r->at;
    uint32_t value = 0;
    while (r->at < r->text.len && r->text.ptr[r->at] >= '0' && r->text.ptr[r->at] <= '9') {
        value = value * 10 + (uint32_t)(r->text.ptr[r->at] - '0');
        if (value > max) {
            r->at = from;
            return wrong(r, "the number is too large");
        }
        r->at++;
    }
    if (r->at == from) {
        return wrong(r, "a number is missing");
    }
    *ret_value = value;
    return SP_OK;
}

static sp_status read_value(struct reader *r, uint32_t *ret_value) {
    if (read_word(r, ret_value)) {
        return SP_OK;
    }
    size_t from = r->at;
    sp_status status = read_number(r, r->field->max, ret_value);
    if (status == SP_OK && *ret_value < r->field->min) {
        r->at = from;
        return wrong(r, "the number is too small");
    }
    return status;
}

/* One element of a list: `*`, `a`, `a-b`, each perhaps with a step. */
static sp_status read_range(struct reader *r, uint64_t *bits) {
    uint32_t first = r->field->min;
    uint32_t last = r->field->max;
    uint32_t step = 1;
    bool is_one = false;
    sp_status status = SP_OK;
    if (is_at(r, '*')) {
        r->at++;
    } else {
        status = read_value(r, &first);
        is_one = !is_at(r, '-');
        if (status == SP_OK && !is_one) {
            r->at++;
            status = read_value(r, &last);
        }
        if (status == SP_OK && !is_one && last < first) {
            status = wrong(r, "a range ends before it begins");
        }
    }
    if (status == SP_OK && is_at(r, '/')) {
        r->at++;
        is_one = false; /* 5/15 is from 5 on, every 15 */
        status = read_number(r, 60, &step);
        if (status == SP_OK && step == 0) {
            status = wrong(r, "a step of 0");
        }
    }
    for (uint32_t v = first; status == SP_OK && v <= (is_one ? first : last); v += step) {
        *bits |= UINT64_C(1) << v;
    }
    return status;
}

static sp_status read_field(struct reader *r, uint64_t *ret_bits, bool *ret_any) {
    *ret_bits = 0;
    *ret_any = is_at(r, '*');
    for (;;) {
        sp_status status = read_range(r, ret_bits);
        if (status != SP_OK) {
            return status;
        }
        if (!is_at(r, ',')) {
            break;
        }
        r->at++;
    }
    bool ends = r->at == r->text.len || is_at(r, ' ') || is_at(r, '\t');
    return ends ? SP_OK : wrong(r, "something else follows");
}

static void pass_space(struct reader *r) {
    while (is_at(r, ' ') || is_at(r, '\t')) {
        r->at++;
    }
}

static const struct {
    const char *word;
    const char *fields;
} shorthands[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};

static sp_status expand(sp_str *text, struct sp_error *error) {
    if (text->len == 0 || text->ptr[0] != '@') {
        return SP_OK;
    }
    for (size_t i = 0; i < sizeof(shorthands) / sizeof(shorthands[0]); i++) {
        if (sp_str_eq(*text, sp_str_from(shorthands[i].word))) {
            *text = sp_str_from(shorthands[i].fields);
            return SP_OK;
        }
    }
    return sp_error_set_at(error, SP_INVALID, 0,
                           "'%.*s' is none of @yearly, @annually, @monthly, @weekly, @daily, "
                           "@midnight, @hourly",
                           SP_STR_ARG(*text));
}

/* Without a month in which the day exists no time would ever fit. */
static bool can_fit(const struct sp_cron *cron) {
    static const uint8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (!cron->any_weekday && !cron->any_day) {
        return true;
    }
    for (uint32_t month = 1; month <= 12; month++) {
        uint32_t first = cron->days & -cron->days; /* the earliest day */
        if ((cron->months >> month & 1) != 0 && first <= UINT32_C(1) << lengths[month - 1]) {
            return true;
        }
    }
    return false;
}

sp_status sp_cron_parse(sp_str text, struct sp_cron *ret_cron, struct sp_error *error) {
    uint64_t bits[FIELDS];
    bool any[FIELDS];
    sp_status status = expand(&text, error);
    struct reader r = {.text = text, .error = error};
    for (uint32_t i = 0; status == SP_OK && i < FIELDS; i++) {
        pass_space(&r);
        r.field = &fields[i];
        status = r.at < text.len
                     ? read_field(&r, &bits[i], &any[i])
                     : sp_error_set_at(error, SP_INVALID, r.at,
                                       "the %s is missing: a cron time has five fields, "
                                       "minute hour day month weekday",
                                       fields[i].name);
    }
    if (status != SP_OK) {
        return status;
    }
    pass_space(&r);
    if (r.at < text.len) {
        return sp_error_set_at(error, SP_INVALID, r.at,
                               "more than five fields: minute hour day month weekday");
    }
    struct sp_cron cron = {
        .minutes = bits[MINUTE],
        .hours = (uint32_t)bits[HOUR],
        .days = (uint32_t)bits[DAY],
        .months = (uint16_t)bits[MONTH],
        .weekdays = (uint8_t)((bits[WEEKDAY] | bits[WEEKDAY] >> 7) & 0x7f), /* 7 is Sunday too */
        .any_day = any[DAY],
        .any_weekday = any[WEEKDAY],
    };
    if (!can_fit(&cron)) {
        return sp_error_set_at(error, SP_INVALID, 0, "no month has such a day: it would never be");
    }
    *ret_cron = cron;
    return SP_OK;
}

sp_status sp_cron_parse_zone(sp_str text, int32_t *ret_offset_min, struct sp_error *error) {
    if (sp_str_eq(text, SP_STR("UTC")) || sp_str_eq(text, SP_STR("Z"))) {
        *ret_offset_min = 0;
        return SP_OK;
    }
    uint32_t digits[4] = {0};
    uint32_t count = 0;
    bool is_ok = text.len >= 2 && (text.ptr[0] == '+' || text.ptr[0] == '-');
    for (size_t i = 1; is_ok && i < text.len; i++) {
        bool is_digit = text.ptr[i] >= '0' && text.ptr[i] <= '9' && count < 4;
        is_ok = is_digit || (text.ptr[i] == ':' && i == 3 && text.len == 6);
        if (is_digit) {
            digits[count++] = (uint32_t)(text.ptr[i] - '0');
        }
    }
    uint32_t hours = count == 1 ? digits[0] : digits[0] * 10 + digits[1];
    uint32_t minutes = hours * 60 + digits[2] * 10 + digits[3];
    if (!is_ok || count == 3 || digits[2] > 5 || minutes > SP_CRON_OFFSET_MIN_MAX) {
        return sp_error_set(error, SP_INVALID,
                            "'%.*s' is no time zone: expected UTC or an offset as +02:00; names of "
                            "zones are not known here",
                            SP_STR_ARG(text));
    }
    *ret_offset_min = text.ptr[0] == '-' ? -(int32_t)minutes : (int32_t)minutes;
    return SP_OK;
}

/* ---- days ---- */

struct day {
    uint32_t month;   /* from 1 */
    uint32_t day;     /* from 1 */
    uint32_t weekday; /* Sunday is 0 */
};

/* The proleptic Gregorian calendar, from days since 1970-01-01; years begin in March within. */
static struct day day_of(int64_t days) {
    uint64_t shifted = (uint64_t)(days + 719468);
    uint64_t of_era = shifted % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153; /* from March */
    return (struct day){
        .month = (uint32_t)(month < 10 ? month + 3 : month - 9),
        .day = (uint32_t)(of_year - (153 * month + 2) / 5 + 1),
        .weekday = (uint32_t)((days + 4 + 7 * 1000) % 7), /* 1970-01-01 was a Thursday */
    };
}

static bool day_fits(const struct sp_cron *cron, int64_t days) {
    struct day day = day_of(days);
    if ((cron->months >> day.month & 1) == 0) {
        return false;
    }
    bool fits_day = (cron->days >> day.day & 1) != 0;
    bool fits_weekday = (cron->weekdays >> day.weekday & 1) != 0;
    return cron->any_day || cron->any_weekday ? fits_day && fits_weekday : fits_day || fits_weekday;
}

/* The first minute of the day that fits, from `from` on; -1: none. */
static int32_t next_minute(const struct sp_cron *cron, int32_t from) {
    for (int32_t hour = from / 60; hour < 24; hour++) {
        if ((cron->hours >> hour & 1) == 0) {
            continue;
        }
        uint32_t skip = hour == from / 60 ? (uint32_t)(from % 60) : 0;
        uint64_t left = cron->minutes >> skip << skip;
        if (left != 0) {
            return hour * 60 + __builtin_ctzll(left);
        }
    }
    return -1;
}

/* The last one, up to `to`. */
static int32_t last_minute(const struct sp_cron *cron, int32_t to) {
    for (int32_t hour = to / 60; hour >= 0; hour--) {
        if ((cron->hours >> hour & 1) == 0) {
            continue;
        }
        uint32_t end = hour == to / 60 ? (uint32_t)(to % 60) : 59;
        uint64_t left = cron->minutes & (UINT64_MAX >> (63 - end));
        if (left != 0) {
            return hour * 60 + 63 - __builtin_clzll(left);
        }
    }
    return -1;
}

/* Back from the zone's minutes since 1970 to a time; NEVER where it is out of range. */
static uint64_t time_of(const struct sp_cron *cron, int64_t days, int32_t minute) {
    int64_t minutes = days * DAY_MINUTES + minute - cron->offset_min;
    if (minutes < 0 || (uint64_t)minutes > SP_TIME_US_MAX / MINUTE_US) {
        return SP_CRON_NEVER;
    }
    return (uint64_t)minutes * MINUTE_US;
}

/* Minutes since 1970 in the zone. */
static int64_t minutes_of(const struct sp_cron *cron, uint64_t time_us) {
    return (int64_t)(time_us / MINUTE_US) + cron->offset_min;
}

static int64_t floor_day(int64_t minutes) {
    return minutes >= 0 ? minutes / DAY_MINUTES : -((-minutes + DAY_MINUTES - 1) / DAY_MINUTES);
}

uint64_t sp_cron_next(const struct sp_cron *cron, uint64_t after_us) {
    if (after_us >= SP_TIME_US_MAX) {
        return SP_CRON_NEVER;
    }
    int64_t minutes = minutes_of(cron, after_us) + 1;
    int64_t day = floor_day(minutes);
    int32_t from = (int32_t)(minutes - day * DAY_MINUTES);
    for (uint32_t looked = 0; looked < LOOK_DAYS_MAX; looked++) {
        int32_t minute = day_fits(cron, day) ? next_minute(cron, from) : -1;
        if (minute >= 0) {
            return time_of(cron, day, minute);
        }
        day++;
        from = 0;
    }
    return SP_CRON_NEVER;
}

uint64_t sp_cron_last(const struct sp_cron *cron, uint64_t at_us) {
    if (at_us > SP_TIME_US_MAX) {
        return SP_CRON_NEVER;
    }
    int64_t minutes = minutes_of(cron, at_us);
    int64_t day = floor_day(minutes);
    int32_t to = (int32_t)(minutes - day * DAY_MINUTES);
    for (uint32_t looked = 0; looked < LOOK_DAYS_MAX && day >= -1; looked++) {
        int32_t minute = day_fits(cron, day) ? last_minute(cron, to) : -1;
        if (minute >= 0) {
            return time_of(cron, day, minute);
        }
        day--;
        to = DAY_MINUTES - 1;
    }
    return SP_CRON_NEVER;
}
