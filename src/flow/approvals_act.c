/* What approvals have to tell: outcomes, escalations, and what was not accepted. */
#include "event/attributes.h"
#include "flow/approvals_int.h"
#include "flow/members.h"

/* The event that tells of a proposal, its data begun. */
static void begin(struct sp_flow_out *out, sp_str type, const struct sp_event *proposal,
                  sp_str cause) {
    sp_flow_out_begin(out, type, STREAM);
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, cause);
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, proposal->attr[SP_ATTR_CORRELATION]);
    sp_flow_out_number(out, X_PROPOSAL, proposal->position);
}

static struct sp_buf *begin_data(struct sp_flow_out *out, sp_str proposal_id) {
    struct sp_buf *data = sp_flow_out_data_begin(out);
    sp_buf_add_byte(data, '{');
    sp_put_text(data, "proposal", proposal_id);
    return data;
}

static void end_data(struct sp_flow_out *out, struct sp_buf *data) {
    sp_buf_add_byte(data, '}');
    sp_flow_out_data_end(out);
}

static sp_status act_decided(struct sp_approvals *approvals, const struct sp_flow_work *work,
                             const struct sp_flow_ports *ports, struct sp_flow_out *out,
                             struct sp_error *error) {
    struct sp_event event;
    struct sp_event proposal;
    struct sp_approval_verdict verdict;
    struct sp_approval_rules rules = {.choices = NULL};
    char id[SP_EVENT_ID_BYTES_MAX];
    sp_status status = ports->read(ports->context, work->c, &proposal, error);
    if (status != SP_OK) {
        return status;
    }
    sp_str proposal_id = proposal.attr[SP_ATTR_ID];
    sp_require(proposal_id.len <= sizeof(id));
    memcpy(id, proposal_id.ptr, proposal_id.len);
    proposal_id.ptr = id;
    uint32_t slot = approval_at(approvals, proposal_id, work->c);
    sp_flow_out_begin(out, T_GRANTED, STREAM);
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, proposal.attr[SP_ATTR_CORRELATION]);
    status = ports->read(ports->context, work->a, &event, error);
    if (status != SP_OK) {
        return status;
    }
    /* Judged once more for what it says; whether it counts was decided when it came. */
    sp_buf_reset(&approvals->scratch);
    status = sp_approval_judge(&rules, &event, &approvals->scratch, &verdict);
    if (status != SP_OK) {
        return sp_error_set(error, status, "approvals");
    }
    bool is_known = slot != APPROVAL_NONE && approvals->slots[slot].settled_position == work->a;
    const sp_str *texts = is_known ? approvals->slots[slot].texts : NULL;
    if (!sp_str_eq(event.attr[SP_ATTR_TYPE], SP_STR("action.approved"))) {
        sp_flow_out_attr(out, SP_ATTR_TYPE, T_REJECTED);
    }
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, event.attr[SP_ATTR_ID]);
    sp_flow_out_number(out, X_PROPOSAL, work->c);
    sp_flow_out_number(out, X_DECISION, work->a);
    struct sp_buf *data = begin_data(out, proposal_id);
    sp_put_text(data, "action_id", is_known ? texts[TEXT_ACTION_ID] : SP_STR(""));
    sp_put_text(data, "choice", is_known ? texts[TEXT_CHOICE] : verdict.choice);
    sp_put_text(data, "by", verdict.by);
    sp_put_text(data, "reason", verdict.reason);
    sp_put_json(data, "data", verdict.data);
    sp_put_json(data, "on_timeout", SP_STR("false"));
    end_data(out, data);
    return sp_flow_out_status(out);
}

static const char *reason_name(uint32_t reason) {
    switch (reason) {
    case REASON_INVALID:
        return "invalid";
    case REASON_SAME_ID:
        return "same_id";
    case REASON_FULL:
        return "full";
    default:
        return sp_approval_fault_name((enum sp_approval_fault)reason);
    }
}

static sp_status act_ignored(struct sp_approvals *approvals, const struct sp_flow_work *work,
                             const struct sp_flow_ports *ports, struct sp_flow_out *out,
                             struct sp_error *error) {
    struct sp_event event;
    uint32_t slot = APPROVAL_NONE;
    sp_status status = ports->read(ports->context, work->a, &event, error);
    status = status == SP_OK ? approval_target(approvals, &event, &slot) : status;
    if (status != SP_OK) {
        return status;
    }
    sp_flow_out_begin(out, T_IGNORED, STREAM);
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, event.attr[SP_ATTR_ID]);
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, event.attr[SP_ATTR_CORRELATION]);
    sp_flow_out_number(out, X_PROPOSAL, work->c);
    sp_flow_out_number(out, X_DECISION, work->a);
    bool is_known = slot != APPROVAL_NONE && approvals->slots[slot].position == work->c;
    const struct approval *approval = is_known ? &approvals->slots[slot] : NULL;
    struct sp_buf *data = begin_data(out, is_known ? approval->texts[TEXT_ID] : SP_STR(""));
    sp_put_text(data, "decision", event.attr[SP_ATTR_ID]);
    sp_put_text(data, "reason", sp_str_from(reason_name((uint32_t)work->b)));
    if (is_known && approval->texts[TEXT_CHOICE].len > 0) {
        sp_buf_add_str(data, SP_STR(",\"first\":{"));
        sp_put_text(data, "choice", approval->texts[TEXT_CHOICE]);
        sp_put_text(data, "by", approval->texts[TEXT_BY]);
        sp_buf_add_byte(data, '}');
    }
    end_data(out, data);
    return sp_flow_out_status(out);
}

static sp_status act_not_opened(struct sp_approvals *approvals, const struct sp_flow_work *work,
                                const struct sp_flow_ports *ports, struct sp_flow_out *out,
                                struct sp_error *error) {
    struct sp_event event;
    struct sp_proposal proposal;
    sp_status status = ports->read(ports->context, work->a, &event, error);
    if (status == SP_OK) {
        status =
            sp_proposal_read(&event, &approvals->scratch, &approvals->scratch_nested, &proposal);
    }
    if (status != SP_OK) {
        return status;
    }
    begin(out, T_IGNORED, &event, event.attr[SP_ATTR_ID]);
    struct sp_buf *data = begin_data(out, event.attr[SP_ATTR_ID]);
    sp_put_text(data, "reason", sp_str_from(reason_name((uint32_t)work->b)));
    sp_put_text(data, "error", sp_str_from(proposal.wrong));
    end_data(out, data);
    return sp_flow_out_status(out);
}

static sp_status act_time(struct sp_approvals *approvals, const struct sp_flow_work *work,
                          const struct sp_flow_ports *ports, struct sp_flow_out *out,
                          struct sp_error *error) {
    struct sp_timer timer = {.at_us = work->c, .a = work->a, .b = (uint32_t)work->b};
    struct sp_event event;
    if (!approval_is_alive(approvals, &timer)) {
        return sp_error_set(error, SP_NOT_FOUND, "it was decided meanwhile");
    }
    sp_status status = ports->read(ports->context, work->a, &event, error);
    if (status != SP_OK) {
        return status;
    }
    const struct approval *approval = &approvals->slots[timer.b];
    bool is_over = approval->deadline_us == work->c;
    sp_str type = T_ESCALATED;
    sp_str choice = SP_STR("");
    struct sp_approval_rules rules = approval_rules(approvals, approval);
    if (is_over && approval->on_timeout == SP_PROPOSAL_EXPIRE) {
        type = T_EXPIRED;
    } else if (is_over) {
        bool grants = approval->on_timeout == SP_PROPOSAL_APPROVE;
        type = grants ? T_GRANTED : T_REJECTED;
        choice = grants ? sp_approval_default_choice(&rules) : SP_STR("reject");
    }
    begin(out, type, &event, event.attr[SP_ATTR_ID]);
    struct sp_buf *data = begin_data(out, approval->texts[TEXT_ID]);
    sp_put_text(data, "action_id", approval->texts[TEXT_ACTION_ID]);
    sp_put_text(data, "choice", choice);
    if (is_over) {
        sp_put_time(data, "deadline", approval->deadline_us);
        sp_put_json(data, "on_timeout", SP_STR("true"));
    } else {
        sp_put_json(data, "to", approval->texts[TEXT_ESCALATE_TO]);
    }
    end_data(out, data);
    return sp_flow_out_status(out);
}

sp_status approval_act(void *self, const struct sp_flow_work *work, const struct sp_flow_now *now,
                       struct sp_flow_out *out, struct sp_error *error) {
    struct sp_approvals *approvals = self;
    if (work->kind == WORK_TIME) {
        return act_time(approvals, work, now->ports, out, error);
    }
    if (sp_queue_find(&approvals->queue, work->kind, work->a, work->c) == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "it is told already");
    }
    switch (work->kind) {
    case WORK_DECIDED:
        return act_decided(approvals, work, now->ports, out, error);
    case WORK_IGNORED:
        return act_ignored(approvals, work, now->ports, out, error);
    case WORK_NOT_OPENED:
        return act_not_opened(approvals, work, now->ports, out, error);
    default:
        sp_never();
    }
}
