/*
 * How a saga goes through its definition, forward and back: which step begins when another is
 * finished. What needs an event of its own to begin or end waits for that (READY, CLOSING,
 * UNDO_READY); sequences, parallels, branches and items do not, and are passed through here at
 * once. A stack of what is still to be looked at stands for recursion.
 */
#include "flow/saga_int.h"

enum { OP_BEGIN = 0, OP_FINISHED = 1, OP_UNDO = 2, OP_UNDONE = 3 };

static void push(struct sp_sagas *sagas, uint32_t op, uint32_t at) {
    if (sp_sagas_room(sagas, &sagas->stack, &sagas->stack_capacity, sagas->stack_count,
                      sizeof(*sagas->stack))) {
        sp_require(at < 1u << 30);
        sagas->stack[sagas->stack_count++] = op << 30 | at;
    }
}

/* One after another. */
static bool is_sequence(const struct sp_saga *saga, const struct sp_act *act) {
    switch (sp_act_node(saga, act)->kind) {
    case SP_SAGA_ROOT:
    case SP_SAGA_SEQUENCE:
    case SP_SAGA_BRANCH:
    case SP_SAGA_NESTED:
    case SP_SAGA_CHOICE:
        return true;
    case SP_SAGA_FOR_EACH:
        return (act->flags & SP_ACT_IS_ITEM) != 0;
    case SP_SAGA_PARALLEL:
    case SP_SAGA_ACTION:
    case SP_SAGA_WAIT:
    case SP_SAGA_APPROVAL:
    case SP_SAGA_EMIT:
        return false;
    }
    sp_never();
}

/* Of a container: whether its beginning and its end are events. */
static bool is_told(const struct sp_saga *saga, const struct sp_act *act) {
    const struct sp_saga_node *node = sp_act_node(saga, act);
    switch (node->kind) {
    case SP_SAGA_CHOICE:
    case SP_SAGA_NESTED:
        return true;
    case SP_SAGA_FOR_EACH:
        return (act->flags & SP_ACT_IS_ITEM) == 0;
    case SP_SAGA_SEQUENCE:
    case SP_SAGA_PARALLEL:
        return node->when.len > 0; /* whether it holds is found out once */
    case SP_SAGA_ROOT:
    case SP_SAGA_BRANCH:
    case SP_SAGA_ACTION:
    case SP_SAGA_WAIT:
    case SP_SAGA_APPROVAL:
    case SP_SAGA_EMIT:
        return false;
    }
    sp_never();
}

static uint32_t concurrency(const struct sp_saga *saga, const struct sp_act *act) {
    uint32_t most = sp_act_node(saga, act)->concurrency;
    return most == 0 || most > act->count ? act->count : most;
}

/* ---- forward ---- */

static void end_container(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    if (at == 0 || is_told(saga, &saga->acts[at])) {
        sp_act_move(sagas, saga, at, SP_ACT_CLOSING);
    } else {
        sp_act_move(sagas, saga, at, SP_ACT_DONE);
        push(sagas, OP_FINISHED, at);
    }
}

static void begin_children(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    struct sp_act *act = &saga->acts[at];
    uint32_t begun = is_sequence(saga, act) ? act->count > 0 : act->count;
    if (!is_sequence(saga, act) && sp_act_node(saga, act)->kind == SP_SAGA_FOR_EACH) {
        begun = concurrency(saga, act);
    }
    act->left = act->count;
    act->next = begun;
    if (act->count == 0) {
        end_container(sagas, saga, at);
        return;
    }
    for (uint32_t i = begun; i > 0; i--) { /* the first one is looked at first */
        push(sagas, OP_BEGIN, act->first + i - 1);
    }
}

static void enter(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at, uint32_t number) {
    sp_act_move(sagas, saga, at, SP_ACT_RUNNING);
    if (sp_act_expand(sagas, saga, at, number)) {
        begin_children(sagas, saga, at);
    }
}

static void pass_pivot(struct sp_sagas *sagas, struct sp_saga *saga) {
    saga->is_past_pivot = true;
    sp_act_set_due(sagas, saga, 0, 0); /* the saga may not run out of time any more */
}

/* What the saga that this one is forked from did already. */
static bool inherit(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    struct sp_act *act = &saga->acts[at];
    char path[SP_SAGA_PATH_BYTES_MAX];
    if (saga->inheritance == NULL || (act->flags & SP_ACT_IS_ITEM) != 0 ||
        sp_act_node(saga, act)->kind == SP_SAGA_BRANCH) {
        return false;
    }
    size_t len = sp_act_path_text(saga, at, path);
    const struct sp_inherited *from = sp_saga_inherits(saga, sp_str_of(path, len));
    bool is_begun = from != NULL && from->kind == SP_INHERITED_BEGUN;
    bool is_done = from != NULL && from->kind == SP_INHERITED_DONE;
    if (from == NULL || (is_begun && !is_told(saga, act)) ||
        (is_done && !sp_act_is_leaf(saga, act))) {
        return false;
    }
    act->flags |= SP_ACT_IS_INHERITED;
    act->input = from->input;
    act->result = from->result;
    if (is_begun) {
        enter(sagas, saga, at, from->number);
        return true;
    }
    if (is_done && sp_act_node(saga, act)->pivot) {
        pass_pivot(sagas, saga);
    }
    sp_act_move(sagas, saga, at, is_done ? SP_ACT_DONE : SP_ACT_SKIPPED);
    push(sagas, OP_FINISHED, at);
    return true;
}

static void begin(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    struct sp_act *act = &saga->acts[at];
    sp_invariant(act->state == SP_ACT_PENDING);
    if (inherit(sagas, saga, at)) {
        return;
    }
    if (sp_act_is_leaf(saga, act) || is_told(saga, act)) {
        sp_act_move(sagas, saga, at, SP_ACT_READY);
    } else {
        enter(sagas, saga, at, 0);
    }
}

static void finished(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    uint32_t above = saga->acts[at].parent;
    struct sp_act *parent = &saga->acts[above];
    sp_invariant(parent->state == SP_ACT_RUNNING && parent->left > 0);
    parent->left--;
    if (parent->left == 0) {
        end_container(sagas, saga, above);
    } else if (is_sequence(saga, parent)) {
        push(sagas, OP_BEGIN, at + 1);
    } else if (parent->next < parent->count) {
        push(sagas, OP_BEGIN, parent->first + parent->next++);
    }
}

/* ---- back ---- */

static void undo_children(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    struct sp_act *act = &saga->acts[at];
    uint32_t begun = is_sequence(saga, act) ? 1 : act->count;
    if (!is_sequence(saga, act) && sp_act_node(saga, act)->kind == SP_SAGA_FOR_EACH) {
        begun = concurrency(saga, act);
    }
    act->left = act->count;
    act->next = act->count - begun;
    for (uint32_t i = act->next; i < act->count; i++) { /* the last one is looked at first */
        push(sagas, OP_UNDO, act->first + i);
    }
}

static void undo(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    struct sp_act *act = &saga->acts[at];
    if (sp_act_is_leaf(saga, act)) {
        if (sp_act_needs_undo(saga, act)) {
            sp_act_move(sagas, saga, at, SP_ACT_UNDO_READY);
        } else {
            push(sagas, OP_UNDONE, at);
        }
    } else if (act->first == SP_NONE || act->count == 0) {
        if (at == 0) {
            sp_act_move(sagas, saga, at, SP_ACT_UNDONE);
        } else {
            push(sagas, OP_UNDONE, at);
        }
    } else {
        sp_act_move(sagas, saga, at, SP_ACT_UNDO_RUNNING);
        undo_children(sagas, saga, at);
    }
}

static void undone(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    uint32_t above = saga->acts[at].parent;
    struct sp_act *parent = above == SP_NONE ? NULL : &saga->acts[above];
    if (parent == NULL) {
        return;
    }
    sp_invariant(parent->state == SP_ACT_UNDO_RUNNING && parent->left > 0);
    parent->left--;
    if (parent->left == 0) {
        sp_act_move(sagas, saga, above, SP_ACT_UNDONE);
        push(sagas, OP_UNDONE, above);
    } else if (is_sequence(saga, parent)) {
        push(sagas, OP_UNDO, at - 1);
    } else if (parent->next > 0) {
        push(sagas, OP_UNDO, parent->first + --parent->next);
    }
}

/* ---- one move leads to others ---- */

static void run(struct sp_sagas *sagas, struct sp_saga *saga) {
    while (sagas->stack_count > 0 && sagas->failed == SP_OK) {
        uint32_t entry = sagas->stack[--sagas->stack_count];
        uint32_t at = entry & ((1u << 30) - 1);
        switch (entry >> 30) {
        case OP_BEGIN:
            begin(sagas, saga, at);
            break;
        case OP_FINISHED:
            finished(sagas, saga, at);
            break;
        case OP_UNDO:
            undo(sagas, saga, at);
            break;
        case OP_UNDONE:
            undone(sagas, saga, at);
            break;
        default:
            sp_never();
        }
    }
    sagas->stack_count = 0;
}

void sp_saga_walk_begin(struct sp_sagas *sagas, struct sp_saga *saga) {
    uint64_t due_us = saga->acts[0].due_us;
    saga->phase = SP_SAGA_PHASE_FORWARD;
    saga->acts[0].generation++;
    enter(sagas, saga, 0, 0);
    if (saga->acts[0].state == SP_ACT_RUNNING && !saga->is_past_pivot) {
        sp_act_set_due(sagas, saga, 0, due_us);
    }
    run(sagas, saga);
}

void sp_saga_walk_enter(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at,
                        uint32_t number) {
    enter(sagas, saga, at, number);
    run(sagas, saga);
}

/*
 * Only the pivot was under way when the saga was told to halt, and it is done: too late for that.
 * Where something else may have been under way with it, what was halted stays halted.
 */
static bool is_overtaken(const struct sp_saga *saga, const struct sp_act *act) {
    if (saga->phase != SP_SAGA_PHASE_HALTING || !sp_act_node(saga, act)->pivot || saga->open > 0 ||
        saga->reason == SP_SAGA_REASON_FAILED) {
        return false;
    }
    for (uint32_t at = act->parent; at != SP_NONE; at = saga->acts[at].parent) {
        enum sp_saga_kind kind = sp_act_node(saga, &saga->acts[at])->kind;
        if (kind == SP_SAGA_PARALLEL || kind == SP_SAGA_FOR_EACH) {
            return false;
        }
    }
    return true;
}

void sp_saga_walk_finish(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    const struct sp_act *act = &saga->acts[at];
    if (sp_act_node(saga, act)->pivot && act->state == SP_ACT_DONE) {
        pass_pivot(sagas, saga);
    }
    if (is_overtaken(saga, act)) {
        saga->phase = SP_SAGA_PHASE_FORWARD;
        saga->reason = SP_SAGA_REASON_NONE;
        saga->cause = SP_NONE;
        saga->cause_position = 0;
    }
    if (saga->phase == SP_SAGA_PHASE_FORWARD) {
        push(sagas, OP_FINISHED, at);
        run(sagas, saga);
    }
}

bool sp_saga_asks(const struct sp_saga *saga) {
    return saga->phase == SP_SAGA_PHASE_FORWARD &&
           (saga->is_past_pivot || saga->version->definition->pause_on_failure);
}

void sp_saga_walk_fail(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at,
                       uint64_t position) {
    if (sp_saga_asks(saga)) {
        sp_act_move(sagas, saga, at, SP_ACT_STUCK);
        return;
    }
    sp_act_move(sagas, saga, at, SP_ACT_FAILED);
    if (saga->phase == SP_SAGA_PHASE_FORWARD) {
        sp_saga_walk_halt(sagas, saga, SP_SAGA_REASON_FAILED, at, position);
    }
}

void sp_saga_walk_halt(struct sp_sagas *sagas, struct sp_saga *saga, enum sp_saga_reason reason,
                       uint32_t cause, uint64_t position) {
    sp_require(saga->phase == SP_SAGA_PHASE_FORWARD || saga->phase == SP_SAGA_PHASE_WAITING);
    if (saga->phase == SP_SAGA_PHASE_WAITING) {
        sp_sagas_unqueue(sagas, saga); /* to end, it need not wait */
    }
    saga->phase = SP_SAGA_PHASE_HALTING;
    saga->reason = (uint8_t)reason;
    saga->cause = cause;
    saga->cause_position = position;
    sp_act_set_due(sagas, saga, 0, 0);
    for (uint32_t i = 1; i < saga->act_count; i++) {
        const struct sp_act *act = &saga->acts[i];
        if (act->state == SP_ACT_READY) {
            sp_act_move(sagas, saga, i, act->attempt > 0 ? SP_ACT_FAILED : SP_ACT_PENDING);
        } else if (act->state == SP_ACT_STUCK) {
            sp_act_move(sagas, saga, i, SP_ACT_FAILED);
        } else if (sp_act_is_open(saga, act)) {
            sp_act_hint(sagas, saga, i);
        }
    }
    if (saga->open == 0) {
        sp_act_hint(sagas, saga, 0);
    }
}

void sp_saga_walk_undo(struct sp_sagas *sagas, struct sp_saga *saga) {
    sp_require(saga->phase == SP_SAGA_PHASE_HALTING && saga->open == 0);
    saga->phase = SP_SAGA_PHASE_UNDOING;
    push(sagas, OP_UNDO, 0);
    run(sagas, saga);
}

void sp_saga_walk_undone(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at) {
    push(sagas, OP_UNDONE, at);
    run(sagas, saga);
}
