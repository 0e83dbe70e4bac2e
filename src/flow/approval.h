/*
 * Judging a decision: may this one decide, in this way, and is there still something to decide.
 * pure
 *
 * A decision is an event `action.approved` or `action.vetoed`, of anybody, in any stream. Its
 * causationid, or else data.action_id, names the proposal that it decides. In its data: `choice`
 * (text; absent: `approve` where that is one of the choices, else the first that leads on; of a
 * veto `reject`), `by` (text; absent: the event's source), `reason` (text), `data` (any JSON).
 *
 * The choice `reject` rejects, all others grant. A veto can only choose `reject`, an approval all
 * but that. Sagas and standalone approvals judge by this same function.
 */
#ifndef SP_FLOW_APPROVAL_H
#define SP_FLOW_APPROVAL_H

#include "flow/part.h"

enum {
    SP_APPROVAL_CHOICES_MAX = 16,
    SP_APPROVAL_WHO_MAX = 64, /* names, those it is escalated to apart */
    SP_APPROVAL_CHOICE_BYTES_MAX = 63,
};

/* What is asked, and how it stands. Texts are borrowed. */
struct sp_approval_rules {
    const sp_str *choices; /* none: `approve` and `reject` */
    uint32_t choice_count;
    const sp_str *who; /* who may decide; none: anybody */
    uint32_t who_count;
    const sp_str *escalate_to; /* who may decide too, once it is escalated */
    uint32_t escalate_to_count;
    uint64_t deadline_us; /* a decision recorded at this time or later is late; 0: no deadline */
    bool is_escalated;
    bool is_decided; /* by an earlier decision; where it expired, its deadline says so */
};

/* In the order in which they are looked for. */
enum sp_approval_fault {
    SP_APPROVAL_ACCEPTED = 0,
    SP_APPROVAL_DUPLICATE,
    SP_APPROVAL_LATE,
    SP_APPROVAL_NOT_ALLOWED,
    SP_APPROVAL_UNKNOWN_CHOICE,
};

/* Texts are borrowed from the event, the rules and the scratch buffer. */
struct sp_approval_verdict {
    enum sp_approval_fault fault;
    bool is_granted; /* where it is accepted */
    sp_str choice;   /* as accepted, or as asked for; empty where none was readable */
    sp_str by;
    sp_str reason; /* empty: none */
    sp_str data;   /* JSON; empty: none */
};

/* `duplicate`, `late`, `not_allowed`, `unknown_choice`; "accepted". Static. */
const char *sp_approval_fault_name(enum sp_approval_fault fault);

/* True for the two types of a decision. O(1). */
bool sp_approval_is_decision(const struct sp_event *event);

/*
 * The id of the proposal that a decision names; empty where it names none. Borrowed from the event
 * or the scratch buffer, which is appended to. SP_NO_MEMORY. O(data).
 */
SP_WARN_UNUSED sp_status sp_approval_target(const struct sp_event *event, struct sp_buf *scratch,
                                            sp_str *ret_id);

/*
 * Judges a decision, whose proposal has been found. The scratch buffer is appended to, so what was
 * borrowed from it before may move. SP_NO_MEMORY. O(data + choices + who).
 */
SP_WARN_UNUSED sp_status sp_approval_judge(const struct sp_approval_rules *rules,
                                           const struct sp_event *decision, struct sp_buf *scratch,
                                           struct sp_approval_verdict *ret_verdict);

/* What an approval chooses that names no choice; empty where none leads on. */
sp_str sp_approval_default_choice(const struct sp_approval_rules *rules);

/* True where the choice leads on: every one but `reject`. */
bool sp_approval_grants(sp_str choice);

/* ---- deciding on request ---- */

/* What somebody asks for, by a command rather than by an event of their own. */
struct sp_approval_decision {
    sp_str proposal; /* the id of its event */
    sp_str choice;   /* empty: `approve`, as above; `reject` is a veto */
    sp_str by;       /* empty: nobody says, and the source is `spoor` */
    sp_str reason;   /* or empty */
    sp_str data;     /* JSON; empty: none */
    sp_str correlation;
};

/*
 * Adds the event of the decision to `out`, if it would be accepted at `now_us`; `out` is empty
 * before. SP_CONFLICT: decided already, or too late; SP_DENIED: not one of those who may;
 * SP_INVALID: no such choice. The error says so.
 */
SP_WARN_UNUSED sp_status sp_approval_decide(const struct sp_approval_rules *rules,
                                            const struct sp_approval_decision *decision,
                                            uint64_t now_us, struct sp_flow_out *out,
                                            struct sp_error *error);

#endif
