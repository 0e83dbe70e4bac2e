/*
 * A saga that goes on where another one was: it inherits what that one did before a step, and does
 * the rest itself. pure
 *
 * The owner shows the events of the other saga's stream, from the first to the last, and gets
 * saga.started of the new one. It goes by the same definition, with the same data unless told, and
 * finds what it inherits where it would have done it: results by their positions, nothing again.
 * Inherited are the steps before `at` (in the order of the definition; of a for_each, the items
 * before) that were done and not undone, and wherever they stand irreversible steps and the pivot,
 * once they were done. What is inherited is never undone by the new saga.
 *
 * Where nobody runs by that definition any more it is not in memory: then the owner shows the
 * events of `$sagas` too (sp_saga_fork_needs_definition), and the definition is recalled.
 */
#ifndef SP_FLOW_SAGA_FORK_H
#define SP_FLOW_SAGA_FORK_H

#include "flow/saga.h"

struct sp_saga_fork;

struct sp_saga_fork_ask {
    sp_str sagaid;
    sp_str at;   /* the first step to be done again; empty: the one that failed last */
    sp_str data; /* JSON; empty: that of the other one */
    sp_str by;
};

/* Texts of `ask` are copied. `sagas` outlives it. SP_INVALID, SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_saga_fork_new(const struct sp_sagas *sagas,
                                          const struct sp_saga_fork_ask *ask,
                                          struct sp_saga_fork **ret_fork, struct sp_error *error);
void sp_saga_fork_free(struct sp_saga_fork *fork); /* NULL is fine */

/* The next event of `saga:<id>`, or of `$sagas`. SP_NO_MEMORY, SP_LIMIT. */
SP_WARN_UNUSED sp_status sp_saga_fork_take(struct sp_saga_fork *fork, const struct sp_event *event,
                                           struct sp_error *error);

/* After the saga's own events: whether those of `$sagas` are needed too. */
bool sp_saga_fork_needs_definition(const struct sp_saga_fork *fork);

/*
 * What to append. SP_NOT_FOUND: there was no such saga, or it has no such step; SP_INVALID: no step
 * failed, and none is named; SP_UNSUPPORTED: its definition cannot be had; SP_LIMIT.
 */
SP_WARN_UNUSED sp_status sp_saga_fork_events(struct sp_saga_fork *fork, const uint8_t new_id[16],
                                             uint64_t now_us, struct sp_flow_out *out,
                                             struct sp_error *error);

#endif
