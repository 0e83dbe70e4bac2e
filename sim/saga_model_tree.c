#include "sim/saga_model_int.h"

/* ---- the tree -------------------------------------------------------------------------------- */

bool saga_is_inside(const struct saga_model *m, int at, int container) {
    while (at != SAGA_NONE && at != container) {
        at = step_of(m, at)->parent;
    }
    return at == container;
}

/* Containers that tell when they begin and end; sequences, branches and items do not. */
bool saga_is_told(const struct saga_model *m, int at) {
    const struct saga_step *step = step_of(m, at);
    return step->kind == SAGA_EACH || step->kind == SAGA_CHOICE || step->is_nested;
}

/* It has been dealt with, going forward: nothing below it is left. */
bool saga_is_all_done(const struct saga_model *m, int container) {
    for (int i = 1; i < m->plan->count; i++) {
        const struct saga_state *state = &m->states[i];
        bool is_done = is_leaf(m, i) ? state->forward == SAGA_DONE || state->forward == SAGA_SKIPPED
                                     : i == container || !saga_is_told(m, i) || state->closed;
        if (saga_is_inside(m, i, container) && !is_done) {
            return false;
        }
    }
    return true;
}

bool saga_is_passed(const struct saga_model *m, int at) {
    return saga_is_all_done(m, at) && (!saga_is_told(m, at) || m->states[at].closed);
}

static bool is_under_way(const struct saga_model *m, int container) {
    for (int i = 1; i < m->plan->count; i++) {
        bool begun = is_leaf(m, i) ? m->states[i].forward != SAGA_IDLE : m->states[i].opened;
        if (begun && saga_is_inside(m, i, container)) {
            return !saga_is_passed(m, container);
        }
    }
    return false;
}

/* No more items at once than are allowed, and the first ones first. */
static bool item_may_begin(const struct saga_model *m, int item) {
    const struct saga_step *each = step_of(m, step_of(m, item)->parent);
    uint32_t before = 0; /* that are open, or have the earlier turn */
    if (is_under_way(m, item)) {
        return true;
    }
    for (int i = each->first; i != SAGA_NONE; i = step_of(m, i)->next) {
        bool is_idle = !is_under_way(m, i) && !saga_is_passed(m, i);
        before += i != item && (is_under_way(m, i) || (i < item && is_idle)) ? 1 : 0;
    }
    return before < each->concurrency;
}

/* Whether its turn has come: all before it in every sequence around it has passed. */
bool saga_has_turn(const struct saga_model *m, int at) {
    for (int i = at; i != 0; i = step_of(m, i)->parent) {
        int parent = step_of(m, i)->parent;
        enum saga_step_kind kind = step_of(m, parent)->kind;
        if (saga_is_told(m, parent) && !m->states[parent].opened) {
            return false;
        }
        if (kind == SAGA_SEQUENCE || kind == SAGA_CHOICE) {
            for (int p = step_of(m, i)->previous; p != SAGA_NONE; p = step_of(m, p)->previous) {
                if (!saga_is_passed(m, p)) {
                    return false;
                }
            }
        } else if (kind == SAGA_EACH && !item_may_begin(m, i)) {
            return false;
        }
    }
    return true;
}

/* ---- undoing --------------------------------------------------------------------------------- */

/* It was done, or nobody knows: some attempt ended without an answer. A person's word that it is
 * skipped does not make it known. */
bool saga_may_be_done(const struct saga_state *state) {
    return state->forward == SAGA_DONE || state->forward == SAGA_UNKNOWN ||
           (state->doubtful && (state->forward == SAGA_FAILED || state->forward == SAGA_SKIPPED));
}

/* What can be undone of that; and what asks for it although it failed. */
bool saga_needs_undoing(const struct saga_model *m, int at) {
    const struct saga_step *step = step_of(m, at);
    const struct saga_state *state = &m->states[at];
    return step->kind == SAGA_ACTION && step->compensable &&
           (saga_may_be_done(state) ||
            (step->on_failure && state->attempt > 0 &&
             (state->forward == SAGA_FAILED || state->forward == SAGA_SKIPPED)));
}

bool saga_is_undone(const struct saga_model *m, int container) {
    for (int i = 1; i < m->plan->count; i++) {
        if (saga_is_inside(m, i, container) && saga_needs_undoing(m, i) &&
            m->states[i].undo != SAGA_UNDONE && m->states[i].undo != SAGA_UNDO_SKIPPED) {
            return false;
        }
    }
    return true;
}

static bool is_being_undone(const struct saga_model *m, int container) {
    for (int i = 1; i < m->plan->count; i++) {
        if (saga_is_inside(m, i, container) && m->states[i].undo != SAGA_NOT_UNDONE) {
            return !saga_is_undone(m, container);
        }
    }
    return false;
}

static bool item_may_be_undone(const struct saga_model *m, int item) {
    const struct saga_step *each = step_of(m, step_of(m, item)->parent);
    uint32_t open = 0;
    for (int i = each->first; i != SAGA_NONE; i = step_of(m, i)->next) {
        open += i != item && is_being_undone(m, i) ? 1 : 0;
    }
    if (each->concurrency == 1) { /* strictly in reverse */
        for (int i = step_of(m, item)->next; i != SAGA_NONE; i = step_of(m, i)->next) {
            if (!saga_is_undone(m, i)) {
                return false;
            }
        }
    }
    return is_being_undone(m, item) || open < each->concurrency;
}

/* All behind it in every sequence around it has been undone. */
bool saga_has_undo_turn(const struct saga_model *m, int at) {
    for (int i = at; i != 0; i = step_of(m, i)->parent) {
        enum saga_step_kind kind = step_of(m, step_of(m, i)->parent)->kind;
        if (kind == SAGA_SEQUENCE || kind == SAGA_CHOICE) {
            for (int n = step_of(m, i)->next; n != SAGA_NONE; n = step_of(m, n)->next) {
                if (!saga_is_undone(m, n)) {
                    return false;
                }
            }
        } else if (kind == SAGA_EACH && !item_may_be_undone(m, i)) {
            return false;
        }
    }
    return true;
}
