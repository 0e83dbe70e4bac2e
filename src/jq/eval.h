/*
 * libjq itself: a program compiled, and run. one thread at a time
 *
 * The only place that knows libjq's types. Out of memory within libjq aborts the process: its
 * own handler for that is never called in 1.6.
 */
#ifndef SP_JQ_EVAL_H
#define SP_JQ_EVAL_H

#include "base/buf.h"
#include "base/error.h"
#include "base/wire.h"

struct sp_jq_eval;

/*
 * Compiles. The names are `name_count` slices of the wire, as in a frame. SP_INVALID with the line,
 * SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_jq_eval_new(sp_str text, struct sp_wire names, uint64_t name_count,
                                        struct sp_jq_eval **ret_eval, struct sp_error *error);
void sp_jq_eval_free(struct sp_jq_eval *eval);

/*
 * Runs it over as many values as it has names, and one. The results are appended to `to` as
 * slices with their lengths before them; *ret_count of them. SP_INVALID: what the program said, or
 * a value is no JSON; SP_LIMIT: more results than SP_JQ_RESULTS_MAX, or than `to` holds.
 */
SP_WARN_UNUSED sp_status sp_jq_eval_run(struct sp_jq_eval *eval, struct sp_wire values,
                                        uint64_t value_count, struct sp_buf *to,
                                        uint64_t *ret_count, struct sp_error *error);

#endif
