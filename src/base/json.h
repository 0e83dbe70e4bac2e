/*
 * A validating pull scanner over JSON text (RFC 8259): no tree, no allocation, no copy. pure
 *
 * Each call yields the next token with its raw bytes, borrowed from the input. What the scanner has
 * yielded is valid so far; the text as a whole is valid once SP_JSON_END came. Input is UTF-8 and
 * is checked: overlong forms, surrogates and raw control characters inside strings are errors, and
 * so is a lone surrogate escape (\ud800), as it has no UTF-8 form. Nesting is limited to
 * SP_JSON_DEPTH_MAX. Cost is linear in the bytes passed. ../shared/data/json-test-suite decides
 * what is JSON.
 */
#ifndef SP_BASE_JSON_H
#define SP_BASE_JSON_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "base/utf8.h"

enum { SP_JSON_DEPTH_MAX = 512 };

enum sp_json_type {
    SP_JSON_ERROR = 0, /* not JSON; sticky; see sp_json_fail */
    SP_JSON_OBJECT,    /* { */
    SP_JSON_OBJECT_END,
    SP_JSON_ARRAY, /* [ */
    SP_JSON_ARRAY_END,
    SP_JSON_KEY, /* a member's name; its value follows */
    SP_JSON_STRING,
    SP_JSON_NUMBER,
    SP_JSON_TRUE,
    SP_JSON_FALSE,
    SP_JSON_NULL,
    SP_JSON_END, /* the text is over and was valid; sticky */
};

struct sp_json_token {
    enum sp_json_type type;
    bool escaped; /* KEY and STRING: raw holds at least one backslash escape */
    sp_str raw;   /* KEY, STRING: the bytes between the quotes; others: the token's own bytes */
};

struct sp_json {
    const char *start;
    const char *at;
    const char *end;
    const char *problem; /* static text of the first error, NULL while there is none */
    uint32_t depth;
    uint32_t depth_max;                         /* SP_JSON_DEPTH_MAX; may be lowered after init */
    uint8_t expect;                             /* the scanner's own state */
    uint8_t expect_after;                       /* the state after a value at this depth */
    uint64_t is_object[SP_JSON_DEPTH_MAX / 64]; /* one bit a level */
};

void sp_json_init(struct sp_json *json, sp_str text);

struct sp_json_token sp_json_next(struct sp_json *json);

/* The part of sp_json_skip that loops: passes the object or array that has just been opened. */
sp_str sp_json_skip_nested(struct sp_json *json, const char *open);

/*
 * Passes over the value that `first`, the token just yielded, begins, and returns its raw text: for
 * an object or array everything from the opening to the closing bracket, for a string with its
 * quotes. Everything passed is validated. On an error the slice is empty and the scanner has turned
 * bad.
 */
static inline sp_str sp_json_skip(struct sp_json *json, struct sp_json_token first) {
    sp_require(first.type != SP_JSON_KEY);
    if (first.type == SP_JSON_OBJECT || first.type == SP_JSON_ARRAY) {
        return sp_json_skip_nested(json, first.raw.ptr);
    }
    return first.type == SP_JSON_STRING ? sp_str_of(first.raw.ptr - 1, first.raw.len + 2)
                                        : first.raw;
}

/* Fills the error record with what is wrong and at which byte; returns SP_INVALID. */
sp_status sp_json_fail(const struct sp_json *json, struct sp_error *error);

/* What a token is, for an error text: "an object", "a string", "true"; static storage. */
const char *sp_json_type_name(enum sp_json_type type);

/* SP_OK where the whole text is one valid JSON value; else SP_INVALID, with place and reason. */
sp_status sp_json_check(sp_str text, struct sp_error *error);

/* The same for at most depth_max levels; *ret_type is what the value is. */
sp_status sp_json_check_value(sp_str text, uint32_t depth_max, enum sp_json_type *ret_type,
                              struct sp_error *error);

/* Appends the text of a KEY or STRING token to the buffer, with its escapes resolved, as UTF-8. */
void sp_json_unescape(struct sp_buf *to, sp_str raw);

/*
 * Compares a KEY or STRING token with plain UTF-8 text, resolving escapes as it goes; allocates
 * nothing. The order is bytewise over UTF-8: negative, zero or positive.
 */
int sp_json_compare(struct sp_json_token token, sp_str text);

/* As sp_json_compare, where only equality matters: the fast way to look for a key. */
static inline bool sp_json_equal(struct sp_json_token token, sp_str text) {
    return SP_LIKELY(!token.escaped) ? sp_str_eq(token.raw, text)
                                     : sp_json_compare(token, text) == 0;
}

/* Appends text as a JSON string with quotes; text is UTF-8. Escapes only what RFC 8259 demands. */
void sp_json_add_string(struct sp_buf *to, sp_str text);

/* The value of a NUMBER token, correctly rounded; out of range gives infinity. */
double sp_json_number(sp_str raw);

/*
 * Compares two JSON numbers by value: exact where both are integers of up to 19 digits without
 * fraction or exponent, as doubles otherwise. Negative, zero or positive.
 */
int sp_json_compare_numbers(sp_str a, sp_str b);

/*
 * The same, exact whatever the size and however they are written, but that exponents beyond some
 * 10^12 are all alike. O(digits).
 */
int sp_json_compare_exact(sp_str a, sp_str b);

/* True for a number without a fraction, however it is written: 1, 1.0, 10e-1. */
bool sp_json_is_integral(sp_str raw);

enum { SP_JSON_DIVISOR_DIGITS_MAX = 18 };

/*
 * True where the number is a whole multiple of the divisor, exactly. The divisor is above 0 and has
 * at most SP_JSON_DIVISOR_DIGITS_MAX significant digits, see sp_json_is_divisor. O(digits).
 */
bool sp_json_is_multiple(sp_str raw, sp_str divisor);

/* True for a number that sp_json_is_multiple takes as a divisor. */
bool sp_json_is_divisor(sp_str raw);

#endif
