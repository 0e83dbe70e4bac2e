/*
 * What came of a step, recorded: its answer or decision, or that its time ran out; and what is
 * recorded of the saga itself.
 */
#include "flow/approval.h"
#include "flow/saga_int.h"

static const sp_str nothing = {.ptr = NULL, .len = 0};

static struct sp_buf *open_data(struct sp_saga_turn *turn) {
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    return to;
}

static void close_data(struct sp_saga_turn *turn, struct sp_buf *to) {
    sp_json_close(to);
    sp_flow_out_data_end(turn->out);
}

static sp_status read_event(const struct sp_saga_turn *turn, uint64_t position,
                            struct sp_event *ret_event) {
    return sp_saga_read(turn->now->ports, position, ret_event, turn->error);
}

static bool is_forward(const struct sp_saga_turn *turn) {
    return turn->saga->phase == SP_SAGA_PHASE_FORWARD;
}

/* When the step is tried once more; 0: never. */
static uint64_t retry_at(const struct sp_saga_turn *turn) {
    if (!is_forward(turn) || turn->node->kind != SP_SAGA_ACTION) {
        return 0;
    }
    return sp_retry_at(&turn->node->retry, turn->act->attempt - turn->act->base, turn->now);
}

static void ask_if_final(struct sp_saga_turn *turn, uint64_t retry_us, sp_str error) {
    if (retry_us == 0 && sp_saga_asks(turn->saga)) {
        sp_turn_ask(turn, false, error);
    }
}

/* ---- answers ---- */

static sp_status record_completed(struct sp_saga_turn *turn, const struct sp_event *answer) {
    sp_turn_begin_step(turn, SP_STR("saga.step.completed"), turn->act->attempt,
                       answer->attr[SP_ATTR_ID]);
    struct sp_buf *to = open_data(turn);
    sp_json_text(to, "step", turn->step);
    sp_json_u64(to, "attempt", turn->act->attempt);
    if (turn->now->answer.refused) {
        sp_json_u64(to, "result_position", answer->position);
    } else {
        sp_json_result(to, answer);
    }
    close_data(turn, to);
    return SP_OK;
}

static sp_status record_failed(struct sp_saga_turn *turn, const struct sp_event *answer) {
    struct sp_failure failure;
    sp_status status = sp_failure_read(answer, &turn->sagas->scratch, &failure);
    if (status != SP_OK) {
        return sp_error_set(turn->error, status, "out of memory");
    }
    uint64_t retry_us = failure.is_retryable ? retry_at(turn) : 0;
    sp_turn_begin_step(turn, SP_STR("saga.step.failed"), turn->act->attempt,
                       answer->attr[SP_ATTR_ID]);
    sp_turn_due(turn, retry_us);
    if (failure.is_unknown) {
        sp_flow_out_text(turn->out, SP_STR("unknown"), SP_STR("true"));
    }
    struct sp_buf *to = open_data(turn);
    sp_json_text(to, "step", turn->step);
    sp_json_u64(to, "attempt", turn->act->attempt);
    sp_json_text(to, "error", failure.error);
    sp_json_bool(to, "retryable", failure.is_retryable);
    if (failure.is_unknown) {
        sp_json_bool(to, "unknown", true);
    }
    sp_json_time(to, "retry_at", retry_us);
    close_data(turn, to);
    ask_if_final(turn, retry_us, failure.error);
    return SP_OK;
}

/* ---- waits and approvals ---- */

static sp_status record_wait(struct sp_saga_turn *turn, const struct sp_event *event) {
    sp_turn_begin_step(turn, SP_STR("saga.step.completed"), 0, event->attr[SP_ATTR_ID]);
    struct sp_buf *to = open_data(turn);
    sp_json_text(to, "step", turn->step);
    sp_json_text(to, "event", event->attr[SP_ATTR_TYPE]);
    sp_json_u64(to, "position", event->position);
    sp_json_result(to, event);
    close_data(turn, to);
    return SP_OK;
}

/* As decided, or as the definition says where nobody did. */
static void record_choice(struct sp_saga_turn *turn, bool is_granted, sp_str cause,
                          const struct sp_approval_verdict *verdict, bool on_timeout) {
    sp_turn_begin_step(
        turn, is_granted ? SP_STR("saga.approval.granted") : SP_STR("saga.approval.rejected"),
        turn->act->attempt, cause);
    struct sp_buf *to = open_data(turn);
    sp_json_text(to, "step", turn->step);
    sp_json_text(to, "choice", verdict->choice);
    sp_json_text(to, "by", verdict->by);
    sp_json_text(to, "reason", verdict->reason);
    if (verdict->data.len <= SP_SAGA_RESULT_BYTES_MAX) {
        sp_json_raw(to, "data", verdict->data);
    }
    sp_json_bool(to, "on_timeout", on_timeout);
    close_data(turn, to);
    if (!is_granted && turn->node->approval->on_reject != SP_SAGA_CONTINUE &&
        sp_saga_asks(turn->saga)) {
        sp_turn_ask(turn, false, SP_STR("it was rejected"));
    }
}

static sp_status record_decision(struct sp_saga_turn *turn, const struct sp_event *decision) {
    struct sp_approval_rules rules;
    struct sp_approval_verdict verdict;
    sp_act_rules(turn->saga, turn->act, &rules);
    rules.deadline_us = 0; /* that it was in time has been looked at when it came */
    sp_buf_reset(&turn->sagas->scratch);
    sp_status status = sp_approval_judge(&rules, decision, &turn->sagas->scratch, &verdict);
    if (status != SP_OK) {
        return sp_error_set(turn->error, status, "out of memory");
    }
    bool is_granted = (turn->act->flags & SP_ACT_IS_OK) != 0;
    record_choice(turn, is_granted, decision->attr[SP_ATTR_ID], &verdict, false);
    return SP_OK;
}

sp_status sp_saga_act_record(struct sp_saga_turn *turn) {
    struct sp_event event;
    sp_status status = read_event(turn, turn->act->result, &event);
    if (status != SP_OK) {
        return status;
    }
    switch (turn->node->kind) {
    case SP_SAGA_ACTION:
        return (turn->act->flags & SP_ACT_IS_OK) != 0 ? record_completed(turn, &event)
                                                      : record_failed(turn, &event);
    case SP_SAGA_WAIT:
        return record_wait(turn, &event);
    case SP_SAGA_APPROVAL:
        return record_decision(turn, &event);
    case SP_SAGA_ROOT:
    case SP_SAGA_PARALLEL:
    case SP_SAGA_SEQUENCE:
    case SP_SAGA_CHOICE:
    case SP_SAGA_BRANCH:
    case SP_SAGA_FOR_EACH:
    case SP_SAGA_NESTED:
    case SP_SAGA_EMIT:
        break;
    }
    sp_never();
}

/* ---- time that ran out ---- */

static sp_status step_timed_out(struct sp_saga_turn *turn, uint64_t retry_us, sp_str error) {
    sp_turn_begin_step(turn, SP_STR("saga.step.timed_out"), turn->act->attempt, nothing);
    sp_turn_due(turn, retry_us);
    struct sp_buf *to = open_data(turn);
    sp_json_text(to, "step", turn->step);
    sp_json_u64(to, "attempt", turn->act->attempt);
    sp_json_time(to, "retry_at", retry_us);
    close_data(turn, to);
    ask_if_final(turn, retry_us, error);
    return SP_OK;
}

static sp_status wait_is_over(struct sp_saga_turn *turn) {
    const struct sp_saga_wait *wait = turn->node->wait;
    bool is_event = wait->pattern.len > 0;
    if (is_event && wait->on_timeout != SP_SAGA_CONTINUE) {
        return step_timed_out(turn, 0, SP_STR("the event did not come in time"));
    }
    sp_turn_begin_step(turn, SP_STR("saga.step.completed"), 0, nothing);
    struct sp_buf *to = open_data(turn);
    sp_json_text(to, "step", turn->step);
    sp_json_raw(to, "result", nothing);
    if (is_event) {
        sp_json_bool(to, "timed_out", true);
    }
    close_data(turn, to);
    return SP_OK;
}

static sp_status approval_is_over(struct sp_saga_turn *turn) {
    enum sp_saga_outcome outcome = turn->node->approval->on_timeout;
    struct sp_approval_verdict verdict = {.choice = SP_STR("reject")};
    if (outcome != SP_SAGA_APPROVE && outcome != SP_SAGA_REJECT) {
        return step_timed_out(turn, 0, SP_STR("nobody decided in time"));
    }
    if (outcome == SP_SAGA_APPROVE) {
        const struct sp_saga_texts *choices = &turn->node->approval->choices;
        verdict.choice = SP_STR("approve");
        for (uint32_t i = choices->count; i > 0; i--) { /* the first that leads on */
            if (sp_approval_grants(choices->items[i - 1])) {
                verdict.choice = choices->items[i - 1];
            }
        }
    }
    record_choice(turn, outcome == SP_SAGA_APPROVE, nothing, &verdict, true);
    return SP_OK;
}

static sp_status saga_timed_out(struct sp_saga_turn *turn) {
    sp_turn_begin(turn, SP_STR("saga.timed_out"), nothing);
    struct sp_buf *to = open_data(turn);
    sp_json_time(to, "timeout_at", turn->act->due_us);
    close_data(turn, to);
    return SP_OK;
}

sp_status sp_saga_act_time_out(struct sp_saga_turn *turn) {
    switch (turn->node->kind) {
    case SP_SAGA_ROOT:
        return saga_timed_out(turn);
    case SP_SAGA_WAIT:
        return wait_is_over(turn);
    case SP_SAGA_APPROVAL:
        return approval_is_over(turn);
    case SP_SAGA_ACTION: {
        bool may_retry = !turn->node->at_most_once;
        return step_timed_out(turn, may_retry ? retry_at(turn) : 0,
                              SP_STR("no answer came in time"));
    }
    case SP_SAGA_NESTED:
        return step_timed_out(turn, 0, SP_STR("it took too long"));
    case SP_SAGA_PARALLEL:
    case SP_SAGA_SEQUENCE:
    case SP_SAGA_CHOICE:
    case SP_SAGA_BRANCH:
    case SP_SAGA_FOR_EACH:
    case SP_SAGA_EMIT:
        break;
    }
    sp_never();
}

sp_status sp_saga_act_escalate(struct sp_saga_turn *turn) {
    const struct sp_saga_texts *to_whom = &turn->node->approval->escalate_to;
    sp_turn_begin_step(turn, SP_STR("saga.approval.escalated"), turn->act->attempt, nothing);
    struct sp_buf *to = open_data(turn);
    sp_json_text(to, "step", turn->step);
    sp_json_member(to, "to");
    sp_buf_add_byte(to, '[');
    for (uint32_t i = 0; i < to_whom->count; i++) {
        if (i > 0) {
            sp_buf_add_byte(to, ',');
        }
        sp_json_bytes(to, to_whom->items[i]);
    }
    sp_buf_add_byte(to, ']');
    close_data(turn, to);
    return SP_OK;
}

/* ---- the saga halts ---- */

static const char *reason_name(const struct sp_saga *saga) {
    switch ((enum sp_saga_reason)saga->reason) {
    case SP_SAGA_REASON_CANCELLED:
        return "cancelled";
    case SP_SAGA_REASON_TIMED_OUT:
        return "timed_out";
    case SP_SAGA_REASON_FAILED:
    case SP_SAGA_REASON_NONE:
        return "failed";
    }
    sp_never();
}

/* Tells the worker to stop. An open command is waited for, but not longer than the grace. */
sp_status sp_saga_act_cancel(struct sp_saga_turn *turn) {
    char room[SP_COMMAND_ID_SIZE];
    bool is_open = turn->node->kind == SP_SAGA_ACTION && turn->act->state == SP_ACT_RUNNING;
    sp_str id = turn->act->attempt > 0 && turn->node->kind != SP_SAGA_WAIT
                    ? sp_turn_command_id(turn, false, turn->act->attempt, room)
                    : nothing;
    uint64_t due_us = turn->now->now_us + SP_SAGA_CANCEL_GRACE_US;
    if (turn->act->due_us != 0 && turn->act->due_us < due_us) {
        due_us = turn->act->due_us;
    }
    sp_turn_begin_step(turn, SP_STR("saga.step.cancelled"), turn->act->attempt, id);
    sp_turn_due(turn, is_open ? due_us : 0);
    struct sp_buf *to = open_data(turn);
    sp_json_text(to, "step", turn->step);
    sp_json_u64(to, "attempt", turn->act->attempt);
    sp_json_text(to, "command", id);
    sp_json_text(to, "reason", sp_str_from(reason_name(turn->saga)));
    if (is_open) {
        sp_json_time(to, "waited_for_until", due_us);
    }
    close_data(turn, to);
    return SP_OK;
}

/* ---- ends ---- */

enum { PATHS_MAX = 256 }; /* that are listed in one event */

/* What was done and stays so: irreversible steps, and those that a person gave up. */
static bool is_not_undone(const struct sp_saga *saga, const struct sp_act *act) {
    const struct sp_saga_node *node = sp_act_node(saga, act);
    if ((act->flags & SP_ACT_IS_GIVEN_UP) != 0) {
        return true;
    }
    bool was_done = act->state == SP_ACT_DONE || (act->flags & SP_ACT_IS_UNKNOWN) != 0;
    return node->kind == SP_SAGA_ACTION && (node->irreversible || node->pivot) &&
           node->compensation == NULL && was_done && (act->flags & SP_ACT_IS_INHERITED) == 0;
}

static void add_paths(struct sp_buf *to, const char *name, const struct sp_saga *saga,
                      bool wanted(const struct sp_saga *saga, const struct sp_act *act)) {
    uint32_t count = 0;
    sp_json_member(to, name);
    sp_buf_add_byte(to, '[');
    for (uint32_t at = sp_act_undo_first(saga, 0); at != SP_NONE && count < PATHS_MAX;
         at = sp_act_undo_next(saga, at)) {
        if (wanted(saga, &saga->acts[at])) {
            if (count++ > 0) {
                sp_buf_add_byte(to, ',');
            }
            sp_buf_add_byte(to, '"'); /* names need no escapes */
            sp_act_path(saga, at, to);
            sp_buf_add_byte(to, '"');
        }
    }
    sp_buf_add_byte(to, ']');
}

/* The step that failed, and what it or the one who cancelled said. */
static sp_status add_cause(struct sp_saga_turn *turn, struct sp_buf *to) {
    const struct sp_saga *saga = turn->saga;
    struct sp_event event;
    sp_status status = read_event(turn, saga->cause_position, &event);
    if (status != SP_OK) {
        return status;
    }
    struct sp_member members[] = {{.name = "error"}, {.name = "reason"}};
    sp_buf_reset(&turn->sagas->scratch);
    status = sp_members_of(&event, members, 2, &turn->sagas->scratch);
    sp_json_member(to, "step");
    if (saga->cause == SP_NONE) {
        sp_buf_add_str(to, SP_STR("null"));
    } else {
        sp_buf_add_byte(to, '"');
        sp_act_path(saga, saga->cause, to);
        sp_buf_add_byte(to, '"');
    }
    sp_str error = sp_member_text(&members[0]);
    if (error.ptr == NULL && saga->reason != SP_SAGA_REASON_CANCELLED) {
        sp_str type = event.attr[SP_ATTR_TYPE];
        error = sp_str_ends_with(type, SP_STR("timed_out"))  ? SP_STR("no answer came in time")
                : sp_str_ends_with(type, SP_STR("rejected")) ? SP_STR("it was rejected")
                                                             : sp_member_text(&members[1]);
    }
    sp_json_text(to, "error", error);
    return status;
}

sp_status sp_saga_act_compensate(struct sp_saga_turn *turn) {
    sp_turn_begin(turn, SP_STR("saga.compensation.started"), nothing);
    struct sp_buf *to = open_data(turn);
    sp_json_text(to, "reason", sp_str_from(reason_name(turn->saga)));
    sp_status status = add_cause(turn, to);
    add_paths(to, "steps", turn->saga, sp_act_needs_undo);
    close_data(turn, to);
    return status;
}

static void add_duration(struct sp_saga_turn *turn, struct sp_buf *to) {
    uint64_t began_us = turn->saga->started_us;
    uint64_t now_us = turn->now->now_us;
    sp_json_u64(to, "duration_ms", now_us > began_us ? (now_us - began_us) / 1000 : 0);
}

sp_status sp_saga_act_end(struct sp_saga_turn *turn) {
    bool is_cancelled = turn->saga->reason == SP_SAGA_REASON_CANCELLED;
    struct sp_event event;
    sp_turn_begin(turn, is_cancelled ? SP_STR("saga.cancelled") : SP_STR("saga.compensated"),
                  nothing);
    struct sp_buf *to = open_data(turn);
    sp_status status = SP_OK;
    if (is_cancelled) {
        struct sp_member members[] = {{.name = "by"}, {.name = "reason"}};
        status = read_event(turn, turn->saga->cause_position, &event);
        if (status != SP_OK) {
            return status;
        }
        sp_buf_reset(&turn->sagas->scratch);
        status = sp_members_of(&event, members, 2, &turn->sagas->scratch);
        sp_json_text(to, "by", sp_member_text(&members[0]));
        sp_json_text(to, "reason", sp_member_text(&members[1]));
    } else {
        sp_json_text(to, "reason", sp_str_from(reason_name(turn->saga)));
        status = add_cause(turn, to);
    }
    add_duration(turn, to);
    add_paths(to, "not_undone", turn->saga, is_not_undone);
    close_data(turn, to);
    return status;
}

/*
 * All in it is done. Where `output` fails the result is null and the event says why: what was done
 * is not undone for that.
 */
sp_status sp_saga_act_close(struct sp_saga_turn *turn) {
    const struct sp_flow_answer *answer = &turn->now->answer;
    bool is_saga = turn->at == 0;
    bool has_output = turn->node->output.len > 0;
    sp_str value = has_output && answer->status == SP_OK ? answer->value : nothing;
    sp_str error = has_output && answer->status != SP_OK ? answer->error : nothing;
    if (answer->refused || value.len > SP_SAGA_DATA_BYTES_MAX) {
        value = nothing;
        error = answer->refused ? answer->error : SP_STR("the output is too large for an event");
    }
    if (is_saga) {
        sp_turn_begin(turn, SP_STR("saga.completed"), nothing);
    } else {
        sp_turn_begin_step(turn, SP_STR("saga.step.completed"), 0, nothing);
    }
    struct sp_buf *to = open_data(turn);
    if (!is_saga) {
        sp_json_text(to, "step", turn->step);
    }
    sp_json_raw(to, "result", value);
    if (error.ptr != NULL) {
        sp_json_text(to, "output_error", error);
    }
    if (is_saga) {
        add_duration(turn, to);
    }
    close_data(turn, to);
    return SP_OK;
}
