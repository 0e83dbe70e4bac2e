/*
 * Exact arithmetic on JSON numbers as they are written: order, being whole, being a multiple.
 * Digits are read where they lie, so that nothing is allocated and no size is too large.
 */
#include "base/json_decimal.h"

#include "base/json.h"

/* Walks the significant digits of a number, then yields zeros. */
struct digits {
    const char *at;
    const char *last;
};

static unsigned next_digit(struct digits *d) {
    while (d->at < d->last && *d->at == '.') {
        d->at++;
    }
    return d->at < d->last ? (unsigned)(*d->at++ - '0') : 0;
}

static int compare_magnitudes(const struct sp_decimal *a, const struct sp_decimal *b) {
    int64_t a_size = a->exponent + (int64_t)a->count;
    int64_t b_size = b->exponent + (int64_t)b->count;
    if (a_size != b_size) {
        return a_size < b_size ? -1 : 1;
    }
    struct digits x = {.at = a->first, .last = a->last};
    struct digits y = {.at = b->first, .last = b->last};
    size_t longer = a->count > b->count ? a->count : b->count;
    for (size_t i = 0; i < longer; i++) {
        unsigned p = next_digit(&x);
        unsigned q = next_digit(&y);
        if (p != q) {
            return p < q ? -1 : 1;
        }
    }
    return 0;
}

static int sign_of(const struct sp_decimal *d) {
    return d->first == NULL ? 0 : d->negative ? -1 : 1;
}

int sp_json_compare_exact(sp_str a, sp_str b) {
    struct sp_decimal x = sp_decimal_read(a);
    struct sp_decimal y = sp_decimal_read(b);
    int x_sign = sign_of(&x);
    int y_sign = sign_of(&y);
    if (x_sign != y_sign) {
        return x_sign < y_sign ? -1 : 1;
    }
    return x_sign == 0 ? 0 : x_sign * compare_magnitudes(&x, &y);
}

/* Takes the zeros that the digits end with into the exponent. */
static void strip_zeros(struct sp_decimal *d) {
    while (d->count > 1 && (d->last[-1] == '0' || d->last[-1] == '.')) {
        if (d->last[-1] == '0') {
            d->count--;
            d->exponent++;
        }
        d->last--;
    }
}

bool sp_json_is_integral(sp_str raw) {
    /* Nearly all are digits alone. */
    size_t i = raw.len > 0 && raw.ptr[0] == '-';
    while (i < raw.len && (uint8_t)(raw.ptr[i] - '0') < 10) {
        i++;
    }
    if (i == raw.len) {
        return true;
    }
    struct sp_decimal d = sp_decimal_read(raw);
    if (d.first == NULL) {
        return true;
    }
    strip_zeros(&d);
    return d.exponent >= 0;
}

bool sp_json_is_divisor(sp_str raw) {
    struct sp_decimal d = sp_decimal_read(raw);
    if (d.first == NULL || d.negative) {
        return false;
    }
    strip_zeros(&d);
    return d.count <= SP_JSON_DIVISOR_DIGITS_MAX;
}

/* By doubling where the product has no room: a modulus is below 10^18. */
static uint64_t multiply_modulo(uint64_t a, uint64_t b, uint64_t modulus) {
    sp_require(a < modulus && b < modulus);
    if (modulus <= UINT32_MAX) {
        return a * b % modulus;
    }
    uint64_t result = 0;
    for (; b > 0; b >>= 1) {
        result = (b & 1) != 0 ? (result + a) % modulus : result;
        a = (a + a) % modulus;
    }
    return result;
}

static uint64_t power_of_ten_modulo(uint64_t exponent, uint64_t modulus) {
    uint64_t result = 1 % modulus;
    for (uint64_t power = 10 % modulus; exponent > 0; exponent >>= 1) {
        result = (exponent & 1) != 0 ? multiply_modulo(result, power, modulus) : result;
        power = multiply_modulo(power, power, modulus);
    }
    return result;
}

/*
 * With A × 10^x by B × 10^y, both without zeros at their end: where x >= y, A × 10^(x-y) must be
 * divisible by B; else A itself would have to be divisible by ten, and is not.
 */
bool sp_json_is_multiple(sp_str raw, sp_str divisor) {
    struct sp_decimal a = sp_decimal_read(raw);
    struct sp_decimal b = sp_decimal_read(divisor);
    sp_require(b.first != NULL && !b.negative);
    if (a.first == NULL) {
        return true;
    }
    strip_zeros(&a);
    strip_zeros(&b);
    sp_require(b.count <= SP_JSON_DIVISOR_DIGITS_MAX);
    if (a.exponent < b.exponent) {
        return false;
    }
    uint64_t modulus = 0;
    struct digits y = {.at = b.first, .last = b.last};
    for (size_t i = 0; i < b.count; i++) {
        modulus = modulus * 10 + next_digit(&y);
    }
    uint64_t rest = 0;
    struct digits x = {.at = a.first, .last = a.last};
    for (size_t i = 0; i < a.count; i++) {
        rest = (rest * 10 + next_digit(&x)) % modulus; /* below 10^19: there is room */
    }
    uint64_t scale = power_of_ten_modulo((uint64_t)(a.exponent - b.exponent), modulus);
    return multiply_modulo(rest, scale, modulus) == 0;
}
