/*
 * JSON numbers as doubles, correctly rounded.
 *
 * Most numbers have at most 15 significant digits and a small power of ten: both are exact as
 * doubles, so one multiplication or division rounds once, and correctly (Clinger, PLDI 1990). All
 * others go to strtod, written anew as digits and exponent without a decimal point: the point is
 * the only thing in which a host's setlocale could change the answer. Of a number longer than any
 * tie can be, the tail is replaced by one digit that says on which side of a tie it lies.
 */
#include "base/json.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/json_decimal.h"

enum {
    DIGITS_EXACT_MAX = 19, /* so many always fit into 64 bits */
    DIGITS_TIE_MAX = 800,  /* more than the 768 that decide the hardest tie between two doubles */
    EXPONENT_DIGITS_MAX = 8,
    POWER_EXACT_MAX = 22, /* 10^22 is the largest power of ten that is exact as a double */
    MAGNITUDE_MAX = 310,  /* 10^309 is beyond the largest double, 10^-326 below half the smallest */
    MAGNITUDE_MIN = -326,
};

#define MANTISSA_EXACT_MAX (UINT64_C(1) << DBL_MANT_DIG)

static bool is_digit(char byte) {
    return (uint8_t)(byte - '0') < 10;
}

/* The exponent in [at, end), a sign and digits; saturates far beyond what a double holds. */
static int64_t read_exponent(const char *at, const char *end) {
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    while (end - at > 1 && *at == '0') {
        at++;
    }
    int64_t value = 0;
    if (end - at > EXPONENT_DIGITS_MAX) {
        value = INT64_C(1) << 40;
    } else {
        for (; at < end && is_digit(*at); at++) {
            value = value * 10 + (*at - '0');
        }
    }
    return negative ? -value : value;
}

struct sp_decimal sp_decimal_read(sp_str raw) {
    sp_require(raw.len > 0);
    const char *end = raw.ptr + raw.len;
    struct sp_decimal d = {.negative = raw.ptr[0] == '-'};
    const char *at = raw.ptr + d.negative;
    const char *point = NULL;
    for (; at < end && (is_digit(*at) || *at == '.'); at++) {
        if (*at == '.') {
            point = at;
            continue;
        }
        if (d.first == NULL && *at != '0') {
            d.first = at;
        }
        d.count += d.first != NULL;
    }
    d.last = at;
    if (at < end) {
        d.exponent = read_exponent(at + 1, end);
    }
    if (point != NULL) {
        d.exponent -= at - point - 1;
    }
    return d;
}

/* Clinger's fast path: both factors and so the single rounding exact. */
static bool exact_product(const struct sp_decimal *d, double *ret_value) {
    static const double POWERS[POWER_EXACT_MAX + 1] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    };
    if (FLT_EVAL_METHOD != 0 || d->count > DIGITS_EXACT_MAX || d->exponent > POWER_EXACT_MAX ||
        d->exponent < -POWER_EXACT_MAX) {
        return false;
    }
    sp_require(d->first != NULL && d->first < d->last);
    uint64_t mantissa = 0;
    for (const char *at = d->first; at < d->last; at++) {
        if (*at != '.') {
            mantissa = mantissa * 10 + (uint64_t)(*at - '0');
        }
    }
    if (mantissa > MANTISSA_EXACT_MAX) {
        return false;
    }
    *ret_value = d->exponent < 0 ? (double)mantissa / POWERS[-d->exponent]
                                 : (double)mantissa * POWERS[d->exponent];
    return true;
}

/* Writes `e` and the exponent, a number of few digits, and a NUL. */
static void write_exponent(char *to, int64_t exponent) {
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t rest = (uint64_t)(exponent < 0 ? -exponent : exponent);
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    sp_ensure(sizeof(digits) - at <= EXPONENT_DIGITS_MAX);
    *to++ = 'e';
    *to++ = exponent < 0 ? '-' : '+';
    memcpy(to, digits + at, sizeof(digits) - at);
    to[sizeof(digits) - at] = '\0';
}

static double slow_product(const struct sp_decimal *d) {
    char text[DIGITS_TIE_MAX + 32];
    size_t count = 0;
    bool tail = false; /* a digit other than 0 was left out */
    for (const char *at = d->first; at < d->last; at++) {
        if (*at == '.') {
            continue;
        }
        if (count < DIGITS_TIE_MAX) {
            text[count++] = *at;
        } else {
            tail |= *at != '0';
        }
    }
    sp_ensure(count > 0 && count <= DIGITS_TIE_MAX && count <= d->count);
    int64_t exponent = d->exponent + (int64_t)(d->count - count);
    if (tail) {
        text[count++] = '1';
        exponent--;
    }
    write_exponent(text + count, exponent);
    return strtod(text, NULL);
}

double sp_json_number(sp_str raw) {
    struct sp_decimal d = sp_decimal_read(raw);
    double value = 0;
    if (d.first != NULL && !exact_product(&d, &value)) {
        /* The value is below 10^magnitude and at least a tenth of that. */
        int64_t magnitude = d.exponent + (int64_t)d.count;
        if (magnitude > MAGNITUDE_MAX) {
            value = HUGE_VAL;
        } else if (magnitude >= MAGNITUDE_MIN) {
            value = slow_product(&d);
        }
    }
    sp_ensure(value >= 0);
    return d.negative ? -value : value;
}

/* Reads an integer of up to 19 digits without fraction or exponent as sign and magnitude. */
static bool read_integer(sp_str raw, bool *ret_negative, uint64_t *ret_magnitude) {
    bool negative = raw.len > 0 && raw.ptr[0] == '-';
    size_t digits = raw.len - negative;
    if (digits == 0 || digits > DIGITS_EXACT_MAX) {
        return false;
    }
    uint64_t magnitude = 0;
    for (size_t i = negative; i < raw.len; i++) {
        if (!is_digit(raw.ptr[i])) {
            return false;
        }
        magnitude = magnitude * 10 + (uint64_t)(raw.ptr[i] - '0');
    }
    *ret_negative = negative && magnitude != 0;
    *ret_magnitude = magnitude;
    return true;
}

int sp_json_compare_numbers(sp_str a, sp_str b) {
    bool a_negative = false;
    bool b_negative = false;
    uint64_t a_magnitude = 0;
    uint64_t b_magnitude = 0;
    if (read_integer(a, &a_negative, &a_magnitude) && read_integer(b, &b_negative, &b_magnitude)) {
        if (a_negative != b_negative) {
            return a_negative ? -1 : 1;
        }
        int order = (a_magnitude > b_magnitude) - (a_magnitude < b_magnitude);
        return a_negative ? -order : order;
    }
    double x = sp_json_number(a);
    double y = sp_json_number(b);
    return (x > y) - (x < y);
}
