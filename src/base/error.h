/*
 * The error record: what went wrong, where, and what was expected. pure
 *
 * Caller-supplied, fixed size, no allocation. Every function that takes a `struct sp_error *`
 * accepts NULL and then keeps only the status. Context is prefixed on the way up: "open ./data:
 * segment 3: …".
 */
#ifndef SP_BASE_ERROR_H
#define SP_BASE_ERROR_H

#include <stdarg.h>
#include <stdint.h>

#include "base/status.h"

enum { SP_ERROR_TEXT_SIZE = 240 };

struct sp_error {
    sp_status status;
    int os_error;    /* errno of the failed call, 0 if none */
    uint64_t offset; /* byte position in the input or file the text speaks of, 0 if none */
    char text[SP_ERROR_TEXT_SIZE]; /* NUL-terminated; cut, not overrun, where too long */
};

/* Makes the record say "no error". */
void sp_error_clear(struct sp_error *error);

/* Fills the record and returns `status`, so that a caller can `return sp_error_set(...)`. */
sp_status sp_error_set(struct sp_error *error, sp_status status, const char *format, ...)
    SP_PRINTF(3, 4);

/* As sp_error_set, for functions that take a format themselves. */
sp_status sp_error_set_list(struct sp_error *error, sp_status status, const char *format,
                            va_list args) SP_PRINTF(3, 0);

/* As sp_error_set, for a failed system call: also keeps errno's value. */
sp_status sp_error_set_os(struct sp_error *error, sp_status status, int os_error,
                          const char *format, ...) SP_PRINTF(4, 5);

/* As sp_error_set, for a parser: also keeps the byte position. */
sp_status sp_error_set_at(struct sp_error *error, sp_status status, uint64_t offset,
                          const char *format, ...) SP_PRINTF(4, 5);

/*
 * Puts "prefix: " before the text that is there; returns the record's status (or `status` if NULL).
 */
sp_status sp_error_prefix(struct sp_error *error, sp_status status, const char *format, ...)
    SP_PRINTF(3, 4);

#endif
