#include "sim/saga_model_int.h"

bool saga_is_settled(const struct saga_model *m) {
    for (int i = 1; i < m->plan->count; i++) {
        if (m->states[i].forward == SAGA_STARTED || m->states[i].forward == SAGA_BACKOFF) {
            return false;
        }
    }
    return true;
}

/* ---- at rest --------------------------------------------------------------------------------- */

static bool leaf_rests(struct saga_model *m, int at, uint64_t now_us) {
    const struct saga_step *step = step_of(m, at);
    const struct saga_state *state = &m->states[at];
    if (state->answer != SAGA_NO_ANSWER) {
        return saga_model_wrong(m, "at rest, an answer to %s is not told", step->path);
    }
    if ((state->forward == SAGA_STARTED || state->forward == SAGA_BACKOFF) &&
        m->phase == SAGA_RUNNING && state->due_us <= now_us) {
        return saga_model_wrong(m, "at rest, the time of %s is over", step->path);
    }
    if (state->forward == SAGA_STARTED && m->phase == SAGA_FAILING &&
        (!state->told_to_stop || state->due_us <= now_us)) {
        return saga_model_wrong(m, "at rest, %s still runs in a saga that fails", step->path);
    }
    if (state->forward == SAGA_BACKOFF && m->phase == SAGA_FAILING) {
        return saga_model_wrong(m, "at rest, %s is to be tried again in a saga that fails",
                                step->path);
    }
    if (m->phase == SAGA_RUNNING && state->forward == SAGA_IDLE && saga_has_turn(m, at)) {
        return saga_model_wrong(m, "at rest, %s could begin", step->path);
    }
    if ((state->forward == SAGA_STUCK || state->undo == SAGA_UNDO_STUCK) && !state->told &&
        m->phase != SAGA_FAILING) {
        return saga_model_wrong(m, "at rest, nobody is told that %s needs attention", step->path);
    }
    return true;
}

static bool undo_rests(struct saga_model *m, int at, uint64_t now_us) {
    const struct saga_state *state = &m->states[at];
    bool due = (state->undo == SAGA_UNDO_STARTED || state->undo == SAGA_UNDO_BACKOFF) &&
               state->due_us <= now_us;
    bool could =
        saga_needs_undoing(m, at) && state->undo == SAGA_NOT_UNDONE && saga_has_undo_turn(m, at);
    return !due && !could
               ? true
               : saga_model_wrong(m, "at rest, undoing of %s could go on", step_of(m, at)->path);
}

bool saga_model_rest(struct saga_model *m, uint64_t now_us) {
    if (m->wrong[0] != '\0') {
        return false;
    }
    if (m->command != SAGA_NONE) {
        return saga_model_wrong(m, "at rest, a command stands alone");
    }
    if (m->owed_count > 0) {
        return saga_model_wrong(m, "at rest, %u ignored answers are not told", m->owed_count);
    }
    if (saga_model_is_over(m)) {
        return true;
    }
    for (int i = 1; i < m->plan->count; i++) {
        if (is_leaf(m, i) && !leaf_rests(m, i, now_us)) {
            return false;
        }
        if (saga_is_told(m, i) && m->phase == SAGA_RUNNING && !m->states[i].closed &&
            saga_has_turn(m, i) && (!m->states[i].opened || saga_is_all_done(m, i))) {
            return saga_model_wrong(m, "at rest, container %s could go on", step_of(m, i)->path);
        }
        if (m->phase == SAGA_UNDOING && !undo_rests(m, i, now_us)) {
            return false;
        }
    }
    if (m->phase == SAGA_RUNNING && m->deadline_us > 0 && m->deadline_us <= now_us && !m->pivoted) {
        return saga_model_wrong(m, "at rest, its time is over");
    }
    if ((m->phase == SAGA_RUNNING && saga_is_passed(m, 0)) ||
        (m->phase == SAGA_FAILING && saga_is_settled(m)) ||
        (m->phase == SAGA_UNDOING && saga_is_undone(m, 0))) {
        return saga_model_wrong(m, "at rest, it is %s and could go on", saga_phase_name(m->phase));
    }
    return true;
}
