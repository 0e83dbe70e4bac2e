#include "flow/saga_int.h"

#include <stdlib.h>

#define TO(state) (1u << SP_ACT_##state)

/* What may follow which. */
static const uint32_t successors[SP_ACT_STATES] = {
    [SP_ACT_PENDING] = TO(READY) | TO(RUNNING) | TO(DONE) | TO(SKIPPED) | TO(UNDONE),
    [SP_ACT_READY] = TO(PENDING) | TO(RUNNING) | TO(SKIPPED) | TO(FAILED) | TO(STUCK),
    [SP_ACT_RUNNING] = TO(ANSWERED) | TO(BACKOFF) | TO(CANCELLING) | TO(CANCELLED) | TO(DONE) |
                       TO(FAILED) | TO(STUCK) | TO(CLOSING) | TO(UNDO_RUNNING) | TO(UNDONE),
    [SP_ACT_ANSWERED] = TO(DONE) | TO(BACKOFF) | TO(FAILED) | TO(STUCK),
    [SP_ACT_BACKOFF] = TO(RUNNING) | TO(CANCELLED) | TO(FAILED) | TO(STUCK),
    [SP_ACT_CANCELLING] = TO(ANSWERED) | TO(FAILED),
    [SP_ACT_CLOSING] = TO(DONE) | TO(UNDO_RUNNING) | TO(UNDONE),
    [SP_ACT_DONE] = TO(UNDO_READY) | TO(UNDO_RUNNING) | TO(UNDONE),
    [SP_ACT_SKIPPED] = TO(UNDO_READY),
    [SP_ACT_FAILED] = TO(UNDO_READY) | TO(UNDO_RUNNING) | TO(UNDONE),
    [SP_ACT_CANCELLED] = TO(UNDO_READY),
    [SP_ACT_STUCK] = TO(READY) | TO(BACKOFF) | TO(SKIPPED) | TO(DONE) | TO(FAILED),
    [SP_ACT_UNDO_READY] = TO(UNDO_RUNNING) | TO(UNDO_STUCK),
    [SP_ACT_UNDO_RUNNING] = TO(UNDO_ANSWERED) | TO(UNDO_BACKOFF) | TO(UNDO_STUCK) | TO(UNDONE),
    [SP_ACT_UNDO_ANSWERED] = TO(UNDO_BACKOFF) | TO(UNDO_STUCK) | TO(UNDONE),
    [SP_ACT_UNDO_BACKOFF] = TO(UNDO_RUNNING) | TO(UNDO_STUCK),
    [SP_ACT_UNDO_STUCK] = TO(UNDO_READY) | TO(UNDO_BACKOFF) | TO(UNDONE),
    [SP_ACT_UNDONE] = 0,
};

const char *sp_act_state_name(enum sp_act_state state) {
    static const char *const names[SP_ACT_STATES] = {
        "pending", "pending",      "running",      "running",      "retrying",  "cancelling",
        "running", "completed",    "skipped",      "failed",       "cancelled", "stuck",
        "undoing", "compensating", "compensating", "compensating", "stuck",     "compensated",
    };
    sp_require(state < SP_ACT_STATES);
    return names[state];
}

bool sp_act_is_leaf(const struct sp_saga *saga, const struct sp_act *act) {
    switch (sp_act_node(saga, act)->kind) {
    case SP_SAGA_ACTION:
    case SP_SAGA_WAIT:
    case SP_SAGA_APPROVAL:
    case SP_SAGA_EMIT:
        return true;
    case SP_SAGA_ROOT:
    case SP_SAGA_PARALLEL:
    case SP_SAGA_SEQUENCE:
    case SP_SAGA_CHOICE:
    case SP_SAGA_BRANCH:
    case SP_SAGA_FOR_EACH:
    case SP_SAGA_NESTED:
        return false;
    }
    sp_never();
}

bool sp_act_is_open(const struct sp_saga *saga, const struct sp_act *act) {
    return act->state == SP_ACT_ANSWERED || act->state == SP_ACT_BACKOFF ||
           act->state == SP_ACT_CANCELLING ||
           (act->state == SP_ACT_RUNNING && sp_act_is_leaf(saga, act));
}

static bool is_stuck(const struct sp_act *act) {
    return act->state == SP_ACT_STUCK || act->state == SP_ACT_UNDO_STUCK;
}

bool sp_act_needs_undo(const struct sp_saga *saga, const struct sp_act *act) {
    const struct sp_saga_node *node = sp_act_node(saga, act);
    if (node->kind != SP_SAGA_ACTION || node->compensation == NULL ||
        (act->flags & SP_ACT_IS_INHERITED) != 0) {
        return false;
    }
    bool has_failed = act->state == SP_ACT_FAILED || act->state == SP_ACT_SKIPPED ||
                      act->state == SP_ACT_CANCELLED;
    return act->state == SP_ACT_DONE || (has_failed && (act->flags & SP_ACT_IS_UNKNOWN) != 0) ||
           (has_failed && node->compensate_on_failure && act->attempt > 0);
}

/* ---- what there is to do ---- */

static bool has_come(uint64_t due_us, uint64_t now_us) {
    return due_us != 0 && due_us <= now_us;
}

static enum sp_saga_todo todo_running(const struct sp_saga *saga, const struct sp_act *act,
                                      uint64_t now_us) {
    if (saga->phase == SP_SAGA_PHASE_HALTING) {
        return sp_act_is_leaf(saga, act) ? SP_TODO_CANCEL : SP_TODO_NOTHING;
    }
    if (saga->phase != SP_SAGA_PHASE_FORWARD) {
        return SP_TODO_NOTHING;
    }
    if (has_come(act->due_us, now_us)) {
        return sp_act_is_leaf(saga, act) || !saga->is_past_pivot ? SP_TODO_TIME_OUT
                                                                 : SP_TODO_NOTHING;
    }
    return has_come(sp_act_rings_us(saga, act), now_us) ? SP_TODO_ESCALATE : SP_TODO_NOTHING;
}

/* Of the saga itself. */
static enum sp_saga_todo todo_saga(const struct sp_saga *saga, uint64_t now_us) {
    const struct sp_act *root = &saga->acts[0];
    switch ((enum sp_saga_phase)saga->phase) {
    case SP_SAGA_PHASE_HALTING:
        return saga->open == 0 ? SP_TODO_COMPENSATE : SP_TODO_NOTHING;
    case SP_SAGA_PHASE_UNDOING:
        return root->state == SP_ACT_UNDONE ? SP_TODO_END : SP_TODO_NOTHING;
    case SP_SAGA_PHASE_WAITING:
    case SP_SAGA_PHASE_FORWARD:
        if (root->state == SP_ACT_CLOSING) {
            return SP_TODO_CLOSE;
        }
        return has_come(root->due_us, now_us) && !saga->is_past_pivot ? SP_TODO_TIME_OUT
                                                                      : SP_TODO_NOTHING;
    }
    sp_never();
}

enum sp_saga_todo sp_saga_todo(const struct sp_saga *saga, uint32_t at, uint64_t now_us) {
    const struct sp_act *act = &saga->acts[at];
    bool is_forward = saga->phase == SP_SAGA_PHASE_FORWARD;
    bool is_due = has_come(act->due_us, now_us);
    if (at == 0) {
        return todo_saga(saga, now_us);
    }
    switch ((enum sp_act_state)act->state) {
    case SP_ACT_READY:
        return is_forward ? SP_TODO_BEGIN : SP_TODO_NOTHING;
    case SP_ACT_RUNNING:
        return todo_running(saga, act, now_us);
    case SP_ACT_ANSWERED:
        return SP_TODO_RECORD;
    case SP_ACT_BACKOFF:
        if (!is_forward) {
            return SP_TODO_CANCEL;
        }
        return is_due ? SP_TODO_RETRY : SP_TODO_NOTHING;
    case SP_ACT_CANCELLING:
        return is_due ? SP_TODO_TIME_OUT : SP_TODO_NOTHING;
    case SP_ACT_CLOSING:
        return is_forward ? SP_TODO_CLOSE : SP_TODO_NOTHING;
    case SP_ACT_UNDO_READY:
        return SP_TODO_UNDO;
    case SP_ACT_UNDO_RUNNING:
        return is_due ? SP_TODO_UNDO_TIME_OUT : SP_TODO_NOTHING;
    case SP_ACT_UNDO_ANSWERED:
        return SP_TODO_UNDO_RECORD;
    case SP_ACT_UNDO_BACKOFF:
        return is_due ? SP_TODO_UNDO_RETRY : SP_TODO_NOTHING;
    case SP_ACT_PENDING:
    case SP_ACT_DONE:
    case SP_ACT_SKIPPED:
    case SP_ACT_FAILED:
    case SP_ACT_CANCELLED:
    case SP_ACT_STUCK:
    case SP_ACT_UNDO_STUCK:
    case SP_ACT_UNDONE:
    case SP_ACT_STATES:
        return SP_TODO_NOTHING;
    }
    sp_never();
}

/* ---- queue and timers ---- */

static bool grow_hints(struct sp_sagas *sagas) {
    uint32_t capacity = sagas->hint_capacity == 0 ? 64 : sagas->hint_capacity * 2;
    struct sp_saga_hint *hints = malloc(capacity * sizeof(*hints));
    if (hints == NULL) {
        sagas->failed = SP_NO_MEMORY;
        return false;
    }
    for (uint32_t i = 0; i < sagas->hint_count; i++) {
        hints[i] = sagas->hints[(sagas->hint_at + i) & (sagas->hint_capacity - 1)];
    }
    free(sagas->hints);
    sagas->hints = hints;
    sagas->hint_at = 0;
    sagas->hint_capacity = capacity;
    return true;
}

void sp_act_hint(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    struct sp_act *act = &saga->acts[at];
    if ((act->flags & SP_ACT_IS_QUEUED) != 0) {
        return;
    }
    if (sagas->hint_count == sagas->hint_capacity && !grow_hints(sagas)) {
        return;
    }
    act->flags |= SP_ACT_IS_QUEUED;
    uint32_t slot = (sagas->hint_at + sagas->hint_count++) & (sagas->hint_capacity - 1);
    sagas->hints[slot] =
        (struct sp_saga_hint){.slot = saga->slot, .serial = saga->serial, .act = at};
}

static bool is_alive(const void *context, const struct sp_timer *timer) {
    const struct sp_sagas *sagas = context;
    const struct sp_saga *saga = sp_sagas_at(sagas, (uint32_t)(timer->a >> 32), (uint32_t)timer->a);
    return saga != NULL && timer->b < saga->act_count &&
           saga->acts[timer->b].generation == timer->generation;
}

static void disarm(struct sp_sagas *sagas, struct sp_act *act) {
    if ((act->flags & SP_ACT_IS_FIRED) == 0) {
        sp_timers_drop(&sagas->timers);
    }
    act->flags &= (uint8_t)~SP_ACT_IS_FIRED;
}

void sp_act_arm(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    struct sp_act *act = &saga->acts[at];
    uint64_t at_us = sp_act_rings_us(saga, act);
    act->flags &= (uint8_t)~SP_ACT_IS_FIRED;
    if (at_us == 0) {
        return;
    }
    struct sp_timer timer = {.at_us = at_us,
                             .a = (uint64_t)saga->slot << 32 | saga->serial,
                             .b = at,
                             .generation = act->generation};
    if (sp_timers_arm(&sagas->timers, timer) != SP_OK) {
        sagas->failed = SP_NO_MEMORY;
    }
    if (sp_timers_is_crowded(&sagas->timers)) {
        sp_timers_keep(&sagas->timers, is_alive, sagas);
    }
}

void sp_act_set_due(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at, uint64_t due_us) {
    struct sp_act *act = &saga->acts[at];
    if (sp_act_rings_us(saga, act) != 0) {
        disarm(sagas, act);
    }
    act->generation++;
    act->due_us = due_us;
    sp_act_arm(sagas, saga, at);
}

/* ---- moves ---- */

static void count(struct sp_sagas *sagas, struct sp_saga *saga, const struct sp_act *act,
                  uint32_t by) {
    uint32_t stuck = saga->stuck;
    saga->open += sp_act_is_open(saga, act) ? by : 0;
    saga->stuck += is_stuck(act) ? by : 0;
    sagas->stuck += (uint64_t)(saga->stuck > 0) - (uint64_t)(stuck > 0);
}

void sp_act_move(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at,
                 enum sp_act_state state) {
    struct sp_act *act = &saga->acts[at];
    sp_invariant((successors[act->state] >> state & 1) != 0);
    count(sagas, saga, act, UINT32_MAX); /* one less */
    if (sp_act_rings_us(saga, act) != 0) {
        disarm(sagas, act);
    }
    if (act->wait != SP_NONE) {
        sp_saga_wait_remove(sagas, act);
    }
    act->state = (uint8_t)state;
    act->due_us = 0;
    act->generation++;
    count(sagas, saga, act, 1);
    if (sp_saga_todo(saga, at, UINT64_MAX) != SP_TODO_NOTHING) {
        sp_act_hint(sagas, saga, at);
    }
    if (at != 0 && saga->phase == SP_SAGA_PHASE_HALTING && saga->open == 0) {
        sp_act_hint(sagas, saga, 0);
    }
}
