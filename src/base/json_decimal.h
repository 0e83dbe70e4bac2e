/*
 * A JSON number taken apart, for json_number.c and json_decimal.c alone. pure
 */
#ifndef SP_BASE_JSON_DECIMAL_H
#define SP_BASE_JSON_DECIMAL_H

#include "base/str.h"

/* The value is digits × 10^exponent; the digits are those of raw between first and last. */
struct sp_decimal {
    bool negative;
    const char *first; /* first digit other than 0, NULL where the value is 0 */
    const char *last;  /* behind the last digit of the fraction, or of the integer */
    size_t count;      /* digits in [first, last), the point not counted */
    int64_t exponent;
};

struct sp_decimal sp_decimal_read(sp_str raw);

#endif
