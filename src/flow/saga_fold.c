/*
 * The fold of a saga's own events. Each is looked at against the state: one that does not fit it (a
 * log that was put together by hand, a copy of a part of one) changes nothing.
 */
#include "flow/saga_int.h"

#include <stdlib.h>

sp_str sp_saga_extension(const struct sp_event *event, sp_str name) {
    for (uint16_t i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, name)) {
            return event->extensions[i].value;
        }
    }
    return (sp_str){.ptr = NULL, .len = 0};
}

uint64_t sp_saga_number(const struct sp_event *event, sp_str name) {
    sp_str digits = sp_saga_extension(event, name);
    uint64_t number = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9' || i == 19) {
            return 0;
        }
        number = number * 10 + (uint64_t)(digits.ptr[i] - '0');
    }
    return number;
}

/* An event about one step, and what it is about. */
struct move {
    struct sp_sagas *sagas;
    struct sp_saga *saga;
    const struct sp_event *event;
    uint32_t at;
    uint32_t attempt;
    uint64_t due_us;
};

static struct sp_act *act_of(const struct move *move) {
    return &move->saga->acts[move->at];
}

static enum sp_act_state state_of(const struct move *move) {
    return (enum sp_act_state)act_of(move)->state;
}

static const struct sp_saga_node *node_of(const struct move *move) {
    return sp_act_node(move->saga, act_of(move));
}

static void to(const struct move *move, enum sp_act_state state) {
    sp_act_move(move->sagas, move->saga, move->at, state);
}

static void to_until(const struct move *move, enum sp_act_state state) {
    to(move, state);
    sp_act_set_due(move->sagas, move->saga, move->at, move->due_us);
}

static bool is_forward(const struct move *move) {
    return move->saga->phase == SP_SAGA_PHASE_FORWARD;
}

static bool may_halt(const struct sp_saga *saga) {
    return (saga->phase == SP_SAGA_PHASE_FORWARD || saga->phase == SP_SAGA_PHASE_WAITING) &&
           !saga->is_past_pivot;
}

/* ---- forward ---- */

/* The command stands directly before the event that tells of it. */
static void start_action(const struct move *move) {
    struct sp_act *act = act_of(move);
    if (move->attempt != act->attempt + 1) {
        return;
    }
    act->attempt = move->attempt;
    act->input = move->event->position - 1;
    act->result = 0;
    to_until(move, SP_ACT_RUNNING);
}

static void start_wait(const struct move *move) {
    struct sp_act *act = act_of(move);
    struct sp_member key = {.name = "key"};
    bool is_event = node_of(move)->wait->pattern.len > 0;
    sp_buf_reset(&move->sagas->scratch_more);
    if (is_event && sp_members_of(move->event, &key, 1, &move->sagas->scratch_more) != SP_OK) {
        move->sagas->failed = SP_NO_MEMORY;
        return;
    }
    act->attempt++;
    act->input = move->event->position;
    act->result = 0;
    to_until(move, SP_ACT_RUNNING);
    if (is_event) {
        sp_saga_wait_add(move->sagas, move->saga, move->at, sp_member_text(&key));
    }
}

static void start_container(const struct move *move) {
    uint64_t number = 0;
    enum sp_saga_kind kind = node_of(move)->kind;
    if (kind == SP_SAGA_FOR_EACH) {
        number = sp_saga_number(move->event, SP_STR("items"));
        number = number > SP_SAGA_ITEMS_MAX ? SP_SAGA_ITEMS_MAX : number;
    } else if (kind == SP_SAGA_CHOICE) {
        number = sp_saga_number(move->event, SP_STR("branch"));
        number = number > SP_SAGA_BRANCHES_MAX ? SP_SAGA_BRANCHES_MAX : number;
    }
    act_of(move)->input = move->event->position;
    sp_saga_walk_enter(move->sagas, move->saga, move->at, (uint32_t)number);
    if (move->due_us != 0 && state_of(move) == SP_ACT_RUNNING) {
        sp_act_set_due(move->sagas, move->saga, move->at, move->due_us);
    }
}

static void on_started(const struct move *move) {
    bool is_action = node_of(move)->kind == SP_SAGA_ACTION;
    if (!is_forward(move) ||
        (state_of(move) != SP_ACT_READY && !(is_action && state_of(move) == SP_ACT_BACKOFF))) {
        return;
    }
    switch (node_of(move)->kind) {
    case SP_SAGA_ACTION:
        start_action(move);
        return;
    case SP_SAGA_WAIT:
        start_wait(move);
        return;
    case SP_SAGA_EMIT:
        act_of(move)->attempt++;
        act_of(move)->input = move->event->position - 1;
        to(move, SP_ACT_RUNNING);
        return;
    case SP_SAGA_CHOICE:
    case SP_SAGA_FOR_EACH:
    case SP_SAGA_NESTED:
    case SP_SAGA_SEQUENCE:
    case SP_SAGA_PARALLEL:
        start_container(move);
        return;
    case SP_SAGA_APPROVAL:
    case SP_SAGA_ROOT:
    case SP_SAGA_BRANCH:
        return;
    }
}

static void on_approval_requested(const struct move *move) {
    struct sp_act *act = act_of(move);
    if (!is_forward(move) || state_of(move) != SP_ACT_READY ||
        node_of(move)->kind != SP_SAGA_APPROVAL || move->attempt != act->attempt + 1) {
        return;
    }
    act->attempt = move->attempt;
    act->input = move->event->position - 1; /* action.proposed */
    act->result = 0;
    act->flags &= (uint8_t)~SP_ACT_IS_ESCALATED;
    act->escalate_us = 0;
    to(move, SP_ACT_RUNNING);
    act->due_us = move->due_us;
    act->escalate_us = sp_saga_number(move->event, SP_STR("escalateus"));
    act->generation++;
    sp_act_arm(move->sagas, move->saga, move->at);
}

static void on_approval_escalated(const struct move *move) {
    struct sp_act *act = act_of(move);
    if (state_of(move) == SP_ACT_RUNNING && node_of(move)->kind == SP_SAGA_APPROVAL) {
        uint64_t due_us = act->due_us;
        sp_act_set_due(move->sagas, move->saga, move->at, 0);
        act->flags |= SP_ACT_IS_ESCALATED;
        sp_act_set_due(move->sagas, move->saga, move->at, due_us);
    }
}

static void finish(const struct move *move, enum sp_act_state state) {
    to(move, state);
    sp_saga_walk_finish(move->sagas, move->saga, move->at);
}

static void on_completed(const struct move *move) {
    struct sp_act *act = act_of(move);
    switch (state_of(move)) {
    case SP_ACT_STUCK: /* done by hand: the result is in this event */
        act->flags |= SP_ACT_IS_OK;
        act->result = move->event->position;
        finish(move, SP_ACT_DONE);
        return;
    case SP_ACT_CLOSING:
        act->result = move->event->position;
        finish(move, SP_ACT_DONE);
        return;
    case SP_ACT_RUNNING:
        if (node_of(move)->kind == SP_SAGA_WAIT || node_of(move)->kind == SP_SAGA_EMIT) {
            act->result = move->event->position;
            finish(move, SP_ACT_DONE);
        }
        return;
    case SP_ACT_ANSWERED:
        if (node_of(move)->kind == SP_SAGA_ACTION || node_of(move)->kind == SP_SAGA_WAIT) {
            finish(move, SP_ACT_DONE);
        }
        return;
    case SP_ACT_PENDING:
    case SP_ACT_READY:
    case SP_ACT_BACKOFF:
    case SP_ACT_CANCELLING:
    case SP_ACT_DONE:
    case SP_ACT_SKIPPED:
    case SP_ACT_FAILED:
    case SP_ACT_CANCELLED:
    case SP_ACT_UNDO_READY:
    case SP_ACT_UNDO_RUNNING:
    case SP_ACT_UNDO_ANSWERED:
    case SP_ACT_UNDO_BACKOFF:
    case SP_ACT_UNDO_STUCK:
    case SP_ACT_UNDONE:
    case SP_ACT_STATES:
        return;
    }
}

static void on_approved(const struct move *move) {
    if ((state_of(move) == SP_ACT_ANSWERED || state_of(move) == SP_ACT_RUNNING) &&
        node_of(move)->kind == SP_SAGA_APPROVAL) {
        act_of(move)->result = move->event->position;
        finish(move, SP_ACT_DONE);
    }
}

static void on_rejected(const struct move *move) {
    if ((state_of(move) != SP_ACT_ANSWERED && state_of(move) != SP_ACT_RUNNING) ||
        node_of(move)->kind != SP_SAGA_APPROVAL) {
        return;
    }
    act_of(move)->result = move->event->position;
    if (node_of(move)->approval->on_reject == SP_SAGA_CONTINUE) {
        finish(move, SP_ACT_DONE);
    } else {
        sp_saga_walk_fail(move->sagas, move->saga, move->at, move->event->position);
    }
}

/* Another attempt at its time, or none. */
static void fail_attempt(const struct move *move) {
    if (move->due_us != 0 && is_forward(move) && node_of(move)->kind == SP_SAGA_ACTION &&
        state_of(move) != SP_ACT_READY) {
        to_until(move, SP_ACT_BACKOFF);
    } else {
        sp_saga_walk_fail(move->sagas, move->saga, move->at, move->event->position);
    }
}

static void on_failed(const struct move *move) {
    enum sp_act_state state = state_of(move);
    if (state != SP_ACT_READY && state != SP_ACT_ANSWERED && state != SP_ACT_BACKOFF) {
        return;
    }
    if (sp_saga_extension(move->event, SP_STR("unknown")).len > 0) {
        act_of(move)->flags |= SP_ACT_IS_UNKNOWN;
    }
    fail_attempt(move);
}

static void on_timed_out(const struct move *move) {
    enum sp_act_state state = state_of(move);
    bool is_leaf = sp_act_is_leaf(move->saga, act_of(move));
    if (!is_leaf) { /* a nested saga */
        if (state != SP_ACT_RUNNING || !may_halt(move->saga)) {
            return;
        }
        sp_saga_walk_halt(move->sagas, move->saga, SP_SAGA_REASON_TIMED_OUT, move->at,
                          move->event->position);
        return;
    }
    if (state != SP_ACT_RUNNING && state != SP_ACT_CANCELLING) {
        return;
    }
    if (node_of(move)->kind == SP_SAGA_ACTION) {
        act_of(move)->flags |= SP_ACT_IS_UNKNOWN;
    }
    fail_attempt(move);
}

static void on_skipped(const struct move *move) {
    if (state_of(move) == SP_ACT_READY || state_of(move) == SP_ACT_STUCK) {
        finish(move, SP_ACT_SKIPPED);
    }
}

static void on_cancelled_step(const struct move *move) {
    if (move->saga->phase != SP_SAGA_PHASE_HALTING) {
        return;
    }
    if (state_of(move) == SP_ACT_BACKOFF) {
        to(move, SP_ACT_CANCELLED);
    } else if (state_of(move) == SP_ACT_RUNNING && node_of(move)->kind == SP_SAGA_ACTION) {
        to_until(move, SP_ACT_CANCELLING);
    } else if (state_of(move) == SP_ACT_RUNNING && sp_act_is_leaf(move->saga, act_of(move))) {
        to(move, SP_ACT_CANCELLED);
    }
}

/* ---- back ---- */

static void on_compensating(const struct move *move) {
    struct sp_act *act = act_of(move);
    if ((state_of(move) != SP_ACT_UNDO_READY && state_of(move) != SP_ACT_UNDO_BACKOFF) ||
        move->attempt != act->undo_attempt + 1) {
        return;
    }
    act->undo_attempt = move->attempt;
    act->undo = move->event->position - 1;
    act->undo_answer = 0;
    to_until(move, SP_ACT_UNDO_RUNNING);
}

static void on_compensated(const struct move *move) {
    bool is_stuck = state_of(move) == SP_ACT_UNDO_STUCK;
    if (state_of(move) != SP_ACT_UNDO_ANSWERED && !is_stuck) {
        return;
    }
    if (is_stuck && sp_str_eq(sp_saga_extension(move->event, SP_STR("how")), SP_STR("skipped"))) {
        act_of(move)->flags |= SP_ACT_IS_GIVEN_UP;
    }
    to(move, SP_ACT_UNDONE);
    sp_saga_walk_undone(move->sagas, move->saga, move->at);
}

static void on_compensation_failed(const struct move *move) {
    enum sp_act_state state = state_of(move);
    bool has_run = state == SP_ACT_UNDO_ANSWERED ||
                   (state == SP_ACT_UNDO_RUNNING && sp_act_is_leaf(move->saga, act_of(move)));
    if (has_run && move->due_us != 0) {
        to_until(move, SP_ACT_UNDO_BACKOFF);
    } else if (has_run || state == SP_ACT_UNDO_READY || state == SP_ACT_UNDO_BACKOFF) {
        to(move, SP_ACT_UNDO_STUCK);
    }
}

/* ---- what people asked for ---- */

static void retry_forward(const struct move *move) {
    struct sp_act *act = act_of(move);
    act->base = act->attempt;
    bool has_command = node_of(move)->kind == SP_SAGA_ACTION && act->attempt > 0;
    to(move, has_command ? SP_ACT_BACKOFF : SP_ACT_READY);
    if (has_command) {
        sp_act_set_due(move->sagas, move->saga, move->at, move->event->recorded_us);
    }
}

static void retry_undo(const struct move *move) {
    struct sp_act *act = act_of(move);
    act->undo_base = act->undo_attempt;
    bool has_command = act->undo_attempt > 0;
    to(move, has_command ? SP_ACT_UNDO_BACKOFF : SP_ACT_UNDO_READY);
    if (has_command) {
        sp_act_set_due(move->sagas, move->saga, move->at, move->event->recorded_us);
    }
}

/* Skipping and marking are moves of their own, told by the event behind this one. */
static void on_resolved(const struct move *move) {
    sp_str action = sp_saga_extension(move->event, SP_STR("action"));
    bool is_retry = sp_str_eq(action, SP_STR("retry"));
    if (state_of(move) == SP_ACT_STUCK && is_retry) {
        retry_forward(move);
    } else if (state_of(move) == SP_ACT_UNDO_STUCK && is_retry) {
        retry_undo(move);
    } else if (state_of(move) == SP_ACT_STUCK && sp_str_eq(action, SP_STR("compensate")) &&
               is_forward(move) && !move->saga->is_past_pivot) {
        sp_saga_walk_halt(move->sagas, move->saga, SP_SAGA_REASON_FAILED, move->at,
                          move->event->position);
    }
}

/* ---- the saga itself ---- */

static void halt(const struct move *move, enum sp_saga_reason reason) {
    if (may_halt(move->saga)) {
        sp_saga_walk_halt(move->sagas, move->saga, reason, SP_NONE, move->event->position);
    }
}

static void on_cancel_requested(const struct move *move) {
    halt(move, SP_SAGA_REASON_CANCELLED);
}

static void on_saga_timed_out(const struct move *move) {
    halt(move, SP_SAGA_REASON_TIMED_OUT);
}

static void on_compensation_started(const struct move *move) {
    if (move->saga->phase == SP_SAGA_PHASE_HALTING && move->saga->open == 0) {
        sp_saga_walk_undo(move->sagas, move->saga);
    }
}

static void on_completed_saga(const struct move *move) {
    if (move->saga->acts[0].state == SP_ACT_CLOSING && move->saga->phase == SP_SAGA_PHASE_FORWARD) {
        sp_sagas_remember(move->sagas, move->saga->id, move->saga->ignored);
        sp_sagas_drop(move->sagas, move->saga);
    }
}

static void on_undone_saga(const struct move *move) {
    if (move->saga->acts[0].state == SP_ACT_UNDONE && move->saga->phase == SP_SAGA_PHASE_UNDOING) {
        sp_sagas_remember(move->sagas, move->saga->id, move->saga->ignored);
        sp_sagas_drop(move->sagas, move->saga);
    }
}

/* Behind `saga.`. */
static const struct {
    const char *type;
    void (*apply)(const struct move *move);
    bool of_step;
} moves[] = {
    {"step.completed", on_completed, true},
    {"step.started", on_started, true},
    {"step.failed", on_failed, true},
    {"step.timed_out", on_timed_out, true},
    {"step.skipped", on_skipped, true},
    {"step.cancelled", on_cancelled_step, true},
    {"step.compensating", on_compensating, true},
    {"step.compensated", on_compensated, true},
    {"step.compensation_failed", on_compensation_failed, true},
    {"approval.requested", on_approval_requested, true},
    {"approval.escalated", on_approval_escalated, true},
    {"approval.granted", on_approved, true},
    {"approval.rejected", on_rejected, true},
    {"attention.resolved", on_resolved, true},
    {"cancel.requested", on_cancel_requested, false},
    {"timed_out", on_saga_timed_out, false},
    {"compensation.started", on_compensation_started, false},
    {"completed", on_completed_saga, false},
    {"compensated", on_undone_saga, false},
    {"cancelled", on_undone_saga, false},
};

static void fold_move(struct sp_sagas *sagas, struct sp_saga *saga, const struct sp_event *event,
                      sp_str kind) {
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        if (!sp_str_eq(kind, sp_str_from(moves[i].type))) {
            continue;
        }
        uint64_t attempt = sp_saga_number(event, SP_STR("attempt"));
        struct move move = {.sagas = sagas,
                            .saga = saga,
                            .event = event,
                            .attempt = attempt > UINT32_MAX ? 0 : (uint32_t)attempt,
                            .due_us = sp_saga_number(event, SP_STR("dueus"))};
        if (moves[i].of_step) {
            move.at = sp_saga_find_path(saga, sp_saga_extension(event, SP_STR("sagastep")));
        }
        if (move.at != SP_NONE) {
            moves[i].apply(&move);
        }
        return;
    }
}

void sp_sagas_fold_own(struct sp_sagas *sagas, const struct sp_event *event) {
    const sp_str prefix = SP_STR("saga.");
    sp_str stream = event->attr[SP_ATTR_STREAM];
    sp_str type = event->attr[SP_ATTR_TYPE];
    sp_str sagaid = sp_str_from_byte(stream, sizeof("saga:") - 1);
    if (!sp_str_starts_with(type, prefix)) {
        return; /* a command, a proposal, an event that it emits */
    }
    sp_str kind = sp_str_from_byte(type, prefix.len);
    if (sp_str_eq(kind, SP_STR("started"))) {
        sp_sagas_fold_started(sagas, event, sagaid);
        return;
    }
    if (sp_str_eq(kind, SP_STR("answer.ignored"))) {
        sp_sagas_end_ignored(sagas, sp_saga_number(event, SP_STR("answerposition")));
        return;
    }
    struct sp_saga *saga = sp_sagas_get_text(sagas, sagaid);
    if (saga != NULL) {
        fold_move(sagas, saga, event, kind);
    }
}
