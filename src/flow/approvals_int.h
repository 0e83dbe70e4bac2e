/*
 * Approvals that stand alone, within: their table, and what is to be told. See approvals.h. pure
 */
#ifndef SP_FLOW_APPROVALS_INT_H
#define SP_FLOW_APPROVALS_INT_H

#include "base/htab.h"
#include "flow/approvals.h"
#include "flow/proposal.h"
#include "flow/queue.h"
#include "flow/timers.h"

#define STREAM      SP_STR("$approvals")
#define T_PROPOSED  SP_STR("action.proposed")
#define T_GRANTED   SP_STR("approval.granted")
#define T_REJECTED  SP_STR("approval.rejected")
#define T_EXPIRED   SP_STR("approval.expired")
#define T_ESCALATED SP_STR("approval.escalated")
#define T_IGNORED   SP_STR("approval.ignored")
#define X_PROPOSAL  SP_STR("proposalposition")
#define X_DECISION  SP_STR("decisionposition")

#define APPROVAL_NONE UINT32_MAX

/* Kinds of work: the first three are kinds of items in the queue too. */
enum {
    WORK_DECIDED = 1, /* a: the decision, c: the proposal */
    WORK_IGNORED,     /* a: the decision, b: the reason, c: the proposal */
    WORK_NOT_OPENED,  /* a: the proposal, b: the reason */
    WORK_TIME,        /* a: the proposal, b: its slot, c: the time */
};

enum reason { REASON_INVALID = 64, REASON_SAME_ID, REASON_FULL }; /* above those of the judge */

enum text {
    TEXT_ID,
    TEXT_ACTION_ID,
    TEXT_PROMPT,
    TEXT_ASKED_BY,
    TEXT_CHOICES,
    TEXT_WHO,
    TEXT_ESCALATE_TO,
    TEXT_CHOICE,
    TEXT_BY,
    TEXTS,
};

struct approval {
    uint64_t position; /* of the proposal; 0: a free slot */
    uint64_t since_us;
    uint64_t deadline_us;
    uint64_t escalate_us;
    uint64_t settled_position;
    uint32_t next; /* in its list */
    uint32_t previous;
    enum sp_approval_state state;
    enum sp_proposal_end on_timeout;
    bool is_escalated;
    bool by_time; /* settled by its deadline */
    char *bytes;  /* owned: of the texts */
    sp_str texts[TEXTS];
};

struct list {
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

/* Room for the rules of one approval, as the judge takes them. */
struct room {
    sp_str choices[SP_APPROVAL_CHOICES_MAX];
    sp_str who[SP_APPROVAL_WHO_MAX];
    sp_str escalate_to[SP_APPROVAL_WHO_MAX];
    struct sp_buf text;
};

struct sp_approvals {
    struct approval *slots;
    uint32_t slot_count;
    uint32_t capacity;
    uint32_t free;
    struct list pending; /* in the order of proposal */
    struct list settled; /* in the order of settling */
    struct sp_htab by_id;
    struct sp_timers timers;
    bool is_short;
    struct sp_queue queue;
    struct room *room;
    struct sp_buf scratch;
    struct sp_buf scratch_nested;
};

/* ---- approvals.c ---- */
/* The one of a proposal that stands there, whose event has this id. */
uint32_t approval_at(const struct sp_approvals *approvals, sp_str id, uint64_t position);
/* The approval that a decision means; APPROVAL_NONE: none that is remembered. */
SP_WARN_UNUSED sp_status approval_target(struct sp_approvals *approvals,
                                         const struct sp_event *event, uint32_t *ret_slot);
/* What is asked, from its own texts, as the judge takes it: until the next call. */
struct sp_approval_rules approval_rules(const struct sp_approvals *approvals,
                                        const struct approval *approval);
/* Whether the timer is still wanted. */
bool approval_is_alive(const void *context, const struct sp_timer *timer);
SP_WARN_UNUSED sp_status approval_take_slot(struct sp_approvals *approvals, uint32_t *ret_slot);
SP_WARN_UNUSED sp_status approval_set_texts(struct approval *approval, const sp_str texts[TEXTS]);
SP_WARN_UNUSED sp_status approval_index(struct sp_approvals *approvals, uint32_t slot);
void approval_append(struct sp_approvals *approvals, struct list *list, uint32_t slot);
void approval_arm(struct sp_approvals *approvals, uint32_t slot);

/* ---- approvals_act.c ---- */
sp_status approval_act(void *self, const struct sp_flow_work *work, const struct sp_flow_now *now,
                       struct sp_flow_out *out, struct sp_error *error);

/* ---- approvals_snapshot.c ---- */
uint64_t approval_hash(const void *self);
void approval_encode(const void *self, struct sp_buf *to);
sp_status approval_restore(void *self, struct sp_wire *wire);

#endif
