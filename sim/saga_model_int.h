/*
 * What the files of the oracle share: the tree of steps, and whose turn it is. pure
 */
#ifndef SIM_SAGA_MODEL_INT_H
#define SIM_SAGA_MODEL_INT_H

#include "base/assert.h"
#include "sim/saga_model.h"

static inline const struct saga_step *step_of(const struct saga_model *model, int at) {
    return &model->plan->steps[at];
}

static inline bool is_leaf(const struct saga_model *model, int at) {
    return step_of(model, at)->kind > SAGA_CHOICE;
}

/* The container itself is inside, too. */
bool saga_is_inside(const struct saga_model *model, int at, int container);
/* Containers that tell when they begin and end; sequences, branches and items do not. */
bool saga_is_told(const struct saga_model *model, int at);
/* Of what is below, nothing is left to be done. */
bool saga_is_all_done(const struct saga_model *model, int container);
/* It has been dealt with, going forward, and that was told. */
bool saga_is_passed(const struct saga_model *model, int at);
/* All before it in every sequence around it has passed, and an item has its place. */
bool saga_has_turn(const struct saga_model *model, int at);
/* It was done, or nobody knows. */
bool saga_may_be_done(const struct saga_state *state);
/* What can be undone of that; and what asks for it although it failed. */
bool saga_needs_undoing(const struct saga_model *model, int at);
/* Nothing below is left to be undone. */
bool saga_is_undone(const struct saga_model *model, int container);
/* All behind it in every sequence around it has been undone. */
bool saga_has_undo_turn(const struct saga_model *model, int at);
/* Nothing is under way any more, going forward. */
bool saga_is_settled(const struct saga_model *model);

/* Notes what is wrong, the first of it; false. */
bool saga_model_wrong(struct saga_model *model, const char *format, ...) SP_PRINTF(2, 3);

#endif
