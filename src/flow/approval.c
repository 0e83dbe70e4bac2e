#include "flow/approval.h"

#include "flow/members.h"

#define TYPE_APPROVED SP_STR("action.approved")
#define TYPE_VETOED   SP_STR("action.vetoed")
#define APPROVE       SP_STR("approve")
#define REJECT        SP_STR("reject")

static const sp_str default_choices[] = {
    {.ptr = "approve", .len = 7},
    {.ptr = "reject", .len = 6},
};

const char *sp_approval_fault_name(enum sp_approval_fault fault) {
    switch (fault) {
    case SP_APPROVAL_ACCEPTED:
        return "accepted";
    case SP_APPROVAL_DUPLICATE:
        return "duplicate";
    case SP_APPROVAL_LATE:
        return "late";
    case SP_APPROVAL_NOT_ALLOWED:
        return "not_allowed";
    case SP_APPROVAL_UNKNOWN_CHOICE:
        return "unknown_choice";
    }
    sp_never();
}

bool sp_approval_grants(sp_str choice) {
    return !sp_str_eq(choice, REJECT);
}

bool sp_approval_is_decision(const struct sp_event *event) {
    sp_str type = event->attr[SP_ATTR_TYPE];
    return sp_str_eq(type, TYPE_APPROVED) || sp_str_eq(type, TYPE_VETOED);
}

sp_status sp_approval_target(const struct sp_event *event, struct sp_buf *scratch, sp_str *ret_id) {
    if (event->attr[SP_ATTR_CAUSATION].len > 0) {
        *ret_id = event->attr[SP_ATTR_CAUSATION];
        return SP_OK;
    }
    struct sp_member member = {.name = "action_id"};
    sp_status status = sp_members_of(event, &member, 1, scratch);
    if (status != SP_OK) {
        return status;
    }
    /* A number is taken as its text: ids of other systems are often numbers. */
    bool is_id = member.type == SP_TYPE_TEXT || member.type == SP_TYPE_NUMBER;
    *ret_id = is_id ? member.text : (sp_str){.ptr = NULL, .len = 0};
    return SP_OK;
}

static bool is_one_of(sp_str name, const sp_str *list, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (sp_str_eq(name, list[i])) {
            return true;
        }
    }
    return false;
}

static bool may_decide(const struct sp_approval_rules *rules, sp_str by) {
    return rules->who_count == 0 || is_one_of(by, rules->who, rules->who_count) ||
           (rules->is_escalated && is_one_of(by, rules->escalate_to, rules->escalate_to_count));
}

/* What is chosen by an approval that names no choice. */
static sp_str choice_by_default(const sp_str *choices, uint32_t count) {
    if (is_one_of(APPROVE, choices, count)) {
        return APPROVE;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (sp_approval_grants(choices[i])) {
            return choices[i];
        }
    }
    return (sp_str){.ptr = NULL, .len = 0};
}

/* True where the choice is one of those there are, and the event's type can make it. */
static bool judge_choice(const struct sp_approval_rules *rules, bool is_veto,
                         const struct sp_member *asked, sp_str *ret_choice) {
    bool has_own = rules->choice_count > 0;
    const sp_str *choices = has_own ? rules->choices : default_choices;
    uint32_t count = has_own ? rules->choice_count : 2;
    if (asked->type == SP_TYPE_MISSING || asked->type == SP_TYPE_NULL) {
        *ret_choice = is_veto ? REJECT : choice_by_default(choices, count);
    } else {
        *ret_choice = sp_member_text(asked);
    }
    if (is_veto) { /* what was proposed can always be refused, whatever it lets choose */
        return sp_str_eq(*ret_choice, REJECT);
    }
    return ret_choice->len > 0 && sp_approval_grants(*ret_choice) &&
           is_one_of(*ret_choice, choices, count);
}

sp_status sp_approval_judge(const struct sp_approval_rules *rules, const struct sp_event *decision,
                            struct sp_buf *scratch, struct sp_approval_verdict *ret_verdict) {
    enum { CHOICE, BY, REASON, DATA, COUNT };
    struct sp_member members[COUNT] = {
        [CHOICE] = {.name = "choice"},
        [BY] = {.name = "by"},
        [REASON] = {.name = "reason"},
        [DATA] = {.name = "data"},
    };
    sp_require(sp_approval_is_decision(decision));
    sp_status status = sp_members_of(decision, members, COUNT, scratch);
    if (status != SP_OK) {
        return status;
    }
    struct sp_approval_verdict verdict = {.fault = SP_APPROVAL_ACCEPTED};
    bool is_veto = sp_str_eq(decision->attr[SP_ATTR_TYPE], TYPE_VETOED);
    bool is_choice = judge_choice(rules, is_veto, &members[CHOICE], &verdict.choice);
    sp_str by = sp_member_text(&members[BY]);
    verdict.by = by.len > 0 ? by : decision->attr[SP_ATTR_SOURCE];
    verdict.reason = sp_member_text(&members[REASON]);
    verdict.data = members[DATA].json;
    if (rules->is_decided) {
        verdict.fault = SP_APPROVAL_DUPLICATE;
    } else if (rules->deadline_us != 0 && decision->recorded_us >= rules->deadline_us) {
        verdict.fault = SP_APPROVAL_LATE;
    } else if (!may_decide(rules, verdict.by)) {
        verdict.fault = SP_APPROVAL_NOT_ALLOWED;
    } else if (!is_choice) {
        verdict.fault = SP_APPROVAL_UNKNOWN_CHOICE;
    }
    verdict.is_granted = verdict.fault == SP_APPROVAL_ACCEPTED && !is_veto;
    *ret_verdict = verdict;
    return SP_OK;
}
