/*
 * The parts of the flow floor together: sagas, approvals, joins, schedules and delayed events, as
 * one fold with one queue of work. pure, loop-thread
 *
 * The owner shows every event to sp_flow_apply, in the log's order; sp_flow_wants tells in a few
 * comparisons that an event is of no concern, and then it need not. What is to be done comes out of
 * sp_flow_next, in turns over the parts. part.h says what all of this means.
 */
#ifndef SP_FLOW_FLOW_H
#define SP_FLOW_FLOW_H

#include "flow/part.h"
#include "flow/watch.h"

enum { SP_FLOW_PARTS_MAX = 8 };

struct sp_approvals;
struct sp_delayed;
struct sp_joins;
struct sp_sagas;
struct sp_schedules;

struct sp_flow {
    struct sp_watch watch;
    const struct sp_flow_part_ops *ops[SP_FLOW_PARTS_MAX];
    void *parts[SP_FLOW_PARTS_MAX];
    uint32_t count;
    uint32_t turn; /* the part that is asked first for work */
};

/* SP_NO_MEMORY. The caller frees it; NULL is fine there. */
SP_WARN_UNUSED sp_status sp_flow_new(struct sp_flow **ret_flow, struct sp_error *error);
void sp_flow_free(struct sp_flow *flow);

/* The part of sp_flow_wants that looks at patterns. */
bool sp_flow_wants_type(const struct sp_flow *flow, const struct sp_event *event);

/* True for the id of a command or a proposal of a saga: `<sagaid>/<path>:<attempt>`. */
static inline bool sp_flow_is_command_id(sp_str id) {
    return id.len > 38 && id.ptr[36] == '/' && id.ptr[8] == '-' && id.ptr[23] == '-';
}

/* Whether the event must be applied; one that need not may be, all the same. */
static inline bool sp_flow_wants(const struct sp_flow *flow, const struct sp_event *event) {
    sp_str stream = event->attr[SP_ATTR_STREAM];
    return sp_str_starts_with(stream, SP_STR("saga:")) || (stream.len > 0 && *stream.ptr == '$') ||
           sp_str_starts_with(event->attr[SP_ATTR_TYPE], SP_STR("action.")) ||
           sp_flow_is_command_id(event->attr[SP_ATTR_CAUSATION]) ||
           (flow->watch.live > 0 && sp_flow_wants_type(flow, event));
}

/* As the parts' operations of the same names; `work->part` says whose it is. */
SP_WARN_UNUSED sp_status sp_flow_apply(struct sp_flow *flow, const struct sp_event *event,
                                       struct sp_error *error);
bool sp_flow_next(struct sp_flow *flow, uint64_t now_us, struct sp_flow_work *ret_work);
void sp_flow_back(struct sp_flow *flow, const struct sp_flow_work *work);
SP_WARN_UNUSED sp_status sp_flow_ask(struct sp_flow *flow, const struct sp_flow_work *work,
                                     const struct sp_flow_ports *ports, struct sp_buf *to,
                                     struct sp_error *error);
SP_WARN_UNUSED sp_status sp_flow_act(struct sp_flow *flow, const struct sp_flow_work *work,
                                     const struct sp_flow_now *now, struct sp_flow_out *out,
                                     struct sp_error *error);
uint64_t sp_flow_due(const struct sp_flow *flow);
uint64_t sp_flow_oldest(const struct sp_flow *flow);
uint64_t sp_flow_hash(const struct sp_flow *flow);
void sp_flow_encode(const struct sp_flow *flow, struct sp_buf *to);
/* Into a fresh one; what fails leaves one that can only be freed. SP_CORRUPT, SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_flow_restore(struct sp_flow *flow, struct sp_wire *wire,
                                         struct sp_error *error);

/* The part of these operations; NULL: there is none. Borrowed. */
void *sp_flow_part(const struct sp_flow *flow, const struct sp_flow_part_ops *ops);
/* The parts themselves, for lists and for checks of what is asked of them. Never NULL. */
struct sp_sagas *sp_flow_sagas(const struct sp_flow *flow);
struct sp_approvals *sp_flow_approvals(const struct sp_flow *flow);
struct sp_joins *sp_flow_joins(const struct sp_flow *flow);
struct sp_schedules *sp_flow_schedules(const struct sp_flow *flow);
struct sp_delayed *sp_flow_delayed(const struct sp_flow *flow);

#endif
