/*
 * Status codes: one table from which code, class, name and text derive. pure
 *
 * The numbers are part of the C ABI (spoor.h repeats them) and never change; new ones go at the
 * end.
 */
#ifndef SP_BASE_STATUS_H
#define SP_BASE_STATUS_H

#include "base/assert.h"

/*   code, number, class, name, text */
#define SP_STATUS_TABLE(X)                                                                         \
    X(OK, 0, FINE, "ok", "ok")                                                                     \
    X(INVALID, 1, CALLER, "invalid", "invalid argument or input")                                  \
    X(LIMIT, 2, CALLER, "limit", "beyond a configured limit")                                      \
    X(NOT_FOUND, 3, CALLER, "not_found", "not found")                                              \
    X(CONFLICT, 4, CALLER, "conflict", "expected version does not match")                          \
    X(DENIED, 5, CALLER, "denied", "not allowed")                                                  \
    X(BUSY, 6, RETRY, "busy", "held by another process or out of room for now")                    \
    X(TIMEOUT, 7, RETRY, "timeout", "timed out")                                                   \
    X(END, 8, FINE, "end", "no more")                                                              \
    X(UNSUPPORTED, 9, CALLER, "unsupported", "not supported")                                      \
    X(CORRUPT, 10, FATAL, "corrupt", "stored data is damaged")                                     \
    X(IO, 11, FATAL, "io", "input/output error")                                                   \
    X(NO_SPACE, 12, FATAL, "no_space", "no space left on the device")                              \
    X(FENCED, 13, FATAL, "fenced", "another writer holds the log")                                 \
    X(FAILED, 14, FATAL, "failed", "the handle has failed; close and open it again")               \
    X(NO_MEMORY, 15, FATAL, "no_memory", "out of memory")                                          \
    X(CANCELLED, 16, FINE, "cancelled", "cancelled")

typedef enum sp_status {
#define SP_STATUS_ENUM_(code, number, class, name, text) SP_##code = (number),
    SP_STATUS_TABLE(SP_STATUS_ENUM_)
#undef SP_STATUS_ENUM_
} sp_status;

/* Short lower-case name ("not_found"), for machine-readable output. Never NULL; static storage. */
const char *sp_status_name(sp_status status);

/* One phrase for people. Never NULL; static storage. */
const char *sp_status_text(sp_status status);

#endif
