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

static const sp_str *choices_of(const struct sp_approval_rules *rules, uint32_t *ret_count) {
    *ret_count = rules->choice_count > 0 ? rules->choice_count : 2;
    return rules->choice_count > 0 ? rules->choices : default_choices;
}

sp_str sp_approval_default_choice(const struct sp_approval_rules *rules) {
    uint32_t count = 0;
    const sp_str *choices = choices_of(rules, &count);
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
    uint32_t count = 0;
    const sp_str *choices = choices_of(rules, &count);
    if (asked->type == SP_TYPE_MISSING || asked->type == SP_TYPE_NULL) {
        *ret_choice = is_veto ? REJECT : sp_approval_default_choice(rules);
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

static void add_decision(const struct sp_approval_decision *decision, struct sp_flow_out *out) {
    bool is_veto = sp_str_eq(decision->choice, REJECT);
    sp_flow_out_begin(out, is_veto ? TYPE_VETOED : TYPE_APPROVED, SP_STR("approvals"));
    if (decision->by.len > 0) {
        sp_flow_out_attr(out, SP_ATTR_SOURCE, decision->by);
    }
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, decision->proposal);
    if (decision->correlation.len > 0) {
        sp_flow_out_attr(out, SP_ATTR_CORRELATION, decision->correlation);
    }
    struct sp_buf *data = sp_flow_out_data_begin(out);
    sp_buf_add_byte(data, '{');
    sp_put_text(data, "choice", decision->choice);
    sp_put_text(data, "by", decision->by);
    sp_put_text(data, "reason", decision->reason);
    sp_put_json(data, "data", decision->data);
    sp_buf_add_byte(data, '}');
    sp_flow_out_data_end(out);
}

static void list_choices(const struct sp_approval_rules *rules, struct sp_buf *to) {
    uint32_t count = 0;
    const sp_str *choices = choices_of(rules, &count);
    for (uint32_t i = 0; i < count; i++) {
        sp_buf_add_str(to, i == 0 ? SP_STR("") : i + 1 == count ? SP_STR(" or ") : SP_STR(", "));
        sp_buf_add_str(to, choices[i]);
    }
}

static sp_status explain(const struct sp_approval_rules *rules,
                         const struct sp_approval_verdict *verdict, struct sp_buf *scratch,
                         struct sp_error *error) {
    switch (verdict->fault) {
    case SP_APPROVAL_ACCEPTED:
        return SP_OK;
    case SP_APPROVAL_DUPLICATE:
        return sp_error_set(error, SP_CONFLICT, "it is decided already");
    case SP_APPROVAL_LATE:
        return sp_error_set(error, SP_CONFLICT, "its time ran out before it was decided");
    case SP_APPROVAL_NOT_ALLOWED:
        return sp_error_set(error, SP_DENIED, "%.*s is not one of those who may decide this",
                            SP_STR_ARG(verdict->by));
    case SP_APPROVAL_UNKNOWN_CHOICE: {
        struct sp_error ignored = {.status = SP_OK};
        sp_status status =
            sp_error_set(&ignored, SP_INVALID, "'%.*s'", SP_STR_ARG(verdict->choice));
        sp_buf_reset(scratch);
        list_choices(rules, scratch);
        return sp_error_set(error, status, "%s is no choice here: expected %.*s", ignored.text,
                            SP_STR_ARG(sp_buf_str(scratch)));
    }
    }
    sp_never();
}

sp_status sp_approval_decide(const struct sp_approval_rules *rules,
                             const struct sp_approval_decision *decision, uint64_t now_us,
                             struct sp_flow_out *out, struct sp_error *error) {
    struct sp_event event;
    struct sp_buf scratch;
    struct sp_approval_verdict verdict;
    sp_require(out->count == 0);
    add_decision(decision, out);
    sp_status status = sp_flow_out_status(out);
    if (status != SP_OK) {
        return sp_error_set(error, status, "out of memory");
    }
    sp_flow_out_event(out, 0, &event);
    event.recorded_us = now_us;
    sp_buf_init(&scratch, SIZE_MAX);
    status = sp_approval_judge(rules, &event, &scratch, &verdict);
    status = status == SP_OK ? explain(rules, &verdict, &scratch, error)
                             : sp_error_set(error, status, "out of memory");
    sp_buf_fini(&scratch);
    return status;
}
