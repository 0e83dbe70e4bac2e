/*
 * Approvals that stand alone: an agent proposes, somebody decides. pure
 *
 * An `action.proposed` of anybody, in any stream but those of sagas, opens one. Its data:
 * {prompt or action, choices [text], who [id], deadline (RFC 3339) or timeout (a duration),
 * on_timeout: expire|reject|approve, escalate {after or at, to [id]}, action_id}; every member may
 * be missing. A decision (approval.h) names it by the proposal's event id, or by its action_id.
 *
 *     proposed ──► pending ──decision──► decided ──act──► granted | rejected
 *                    │  └─time: escalated, and still pending
 *                    └─deadline──act──► expired, or granted | rejected by on_timeout
 *
 * The first decision that is accepted counts, from the moment it is appended. What is not accepted
 * is told by approval.ignored {proposal, decision, reason: duplicate|late|not_allowed|
 * unknown_choice, first}; as long as the proposal is remembered, which is while it is pending and
 * for SP_APPROVALS_SETTLED_MAX more that end after it. A proposal that cannot be understood, has an
 * id that is pending already, or is one too many is ignored too: reason invalid, same_id, full.
 *
 * Events of `$approvals`: approval.granted, approval.rejected, approval.expired,
 * approval.escalated, approval.ignored. All have the extension `proposalposition`, and what tells
 * of a decision `decisionposition`.
 *
 * Limits: SP_APPROVALS_MAX pending ones.
 */
#ifndef SP_FLOW_APPROVALS_H
#define SP_FLOW_APPROVALS_H

#include "flow/approval.h"
#include "flow/part.h"

enum {
    SP_APPROVALS_MAX = 100000,
    SP_APPROVALS_SETTLED_MAX = 10000, /* that are remembered */
    SP_APPROVALS_NOTES_MAX = 10000,   /* approval.ignored to be appended at a time */
    SP_APPROVAL_PROMPT_BYTES_MAX = 256,
};

struct sp_approvals;

SP_WARN_UNUSED sp_status sp_approvals_new(struct sp_approvals **ret_approvals);
void sp_approvals_free(struct sp_approvals *approvals); /* NULL is fine */

extern const struct sp_flow_part_ops sp_approvals_part;

/* How one stands. */
enum sp_approval_state {
    SP_APPROVAL_PENDING = 0,
    SP_APPROVAL_GRANTED,
    SP_APPROVAL_REJECTED,
    SP_APPROVAL_EXPIRED,
};

/*
 * A pending approval as the inbox shows it, whether it stands alone or is a saga's. Texts are
 * borrowed until the next apply.
 */
struct sp_approval_info {
    enum sp_approval_state state;
    sp_str id;          /* that decisions name: of the proposal's event */
    sp_str action_id;   /* as the proposer calls it; or empty */
    uint64_t position;  /* of the proposal, which has all of it */
    sp_str prompt;      /* the first SP_APPROVAL_PROMPT_BYTES_MAX bytes; or empty */
    sp_str asked_by;    /* its source, or the saga's name */
    sp_str choices;     /* JSON array of texts */
    sp_str who;         /* JSON array of texts; empty array: anybody */
    sp_str escalate_to; /* likewise */
    uint64_t since_us;
    uint64_t deadline_us; /* 0: none */
    uint64_t escalate_us; /* when it is or was escalated; 0: never */
    bool is_escalated;
    sp_str sagaid; /* empty: it stands alone */
    sp_str saga;   /* the saga's name */
    sp_str step;   /* its path */
    /* Where it is not pending: */
    uint64_t settled_position; /* of the decision, or the proposal where there was none */
    sp_str choice;
    sp_str by; /* empty: nobody, its time ran out */
};

uint32_t sp_approvals_count(const struct sp_approvals *approvals); /* pending ones. O(1) */

/*
 * Walks the pending ones in the order in which they were proposed: *cursor is 0 before the first,
 * and the place behind the one that was told afterwards. False: there are no more. Good until the
 * next apply. O(1).
 */
bool sp_approvals_next(const struct sp_approvals *approvals, uint64_t *cursor,
                       struct sp_approval_info *ret_info);

/* By event id or action_id, pending or remembered; false: there is none. O(1). */
bool sp_approvals_find(const struct sp_approvals *approvals, sp_str id,
                       struct sp_approval_info *ret_info);

/* The rules to judge a decision by before it is appended. Borrowed until the next apply. */
bool sp_approvals_rules(const struct sp_approvals *approvals, sp_str id,
                        struct sp_approval_rules *ret_rules);

#endif
