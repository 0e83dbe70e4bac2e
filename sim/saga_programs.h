/*
 * In place of jq, where only the simplest programs are used, and speed counts. pure
 *
 * Paths (`.a.b`, `.`), JSON literals, parentheses, `[…]` of one value or none, and
 * `if … then … elif … else … end`, which is what the machine makes of several programs of a step.
 * What is missing is null. Everything else is an error.
 */
#ifndef SIM_SAGA_PROGRAMS_H
#define SIM_SAGA_PROGRAMS_H

#include "base/buf.h"
#include "base/error.h"

/* As sp_rehearsal_ports.evaluate; `context` is unused. */
SP_WARN_UNUSED sp_status saga_programs_run(void *context, sp_str program, sp_str input,
                                           struct sp_buf *to, struct sp_error *error);

#endif
