/*
 * The engine for who decides more than events: ops, the gate, blocks that are all or nothing, and
 * what comes live. loop-thread
 *
 * Nothing here waits for the disk. What was taken is durable when its gate has passed: the number
 * of the block that it is in. On failure the engine is dead and no further gate ever passes.
 */
#ifndef SP_ENGINE_ENGINE_OPS_H
#define SP_ENGINE_ENGINE_OPS_H

#include "engine/engine.h"

/* How soon ops are to be written, and whether their place among the events matters. */
enum sp_engine_ops_way {
    SP_OPS_WEAK,     /* when something else is written: losing them costs nothing */
    SP_OPS_LAZY,     /* likewise, but after 100 ms in any case */
    SP_OPS_GATHERED, /* with this block, all of them in one record at its end */
    SP_OPS_ORDERED,  /* in this place: what was decided before comes before it */
};

/*
 * Folds the ops into the core and sees to it that they get into the log. Of group ops and ordered
 * ones, those of the same group stay in order. SP_OK; SP_BUSY: turn and try again; SP_LIMIT: more
 * than a block takes; SP_NO_MEMORY, SP_DENIED, SP_CANCELLED, SP_NO_SPACE: nothing happened;
 * SP_FAILED.
 */
SP_WARN_UNUSED sp_status sp_engine_ops(struct sp_engine *engine, sp_str ops,
                                       enum sp_engine_ops_way way, struct sp_error *error);

/* The block that will hold all that was decided so far, but for what is lazy or weak. */
uint64_t sp_engine_gate(const struct sp_engine *engine);
bool sp_engine_passed(const struct sp_engine *engine, uint64_t gate);

/*
 * From begin to end everything taken lands in one block, in the room reserved here: `bytes` of
 * records and `events`. SP_BUSY, SP_LIMIT and so on: nothing happened. No nesting, no turns
 * between. An append that does not fit in the room is SP_LIMIT.
 */
SP_WARN_UNUSED sp_status sp_engine_begin(struct sp_engine *engine, size_t bytes, uint32_t events,
                                         struct sp_error *error);
void sp_engine_end(struct sp_engine *engine);

/* Milliseconds until a turn has lazy ops to write; -1: there are none. */
int sp_engine_ops_wait_ms(const struct sp_engine *engine);

/* Position of the event with this source and id, durable or not; 0 where there is none. */
SP_WARN_UNUSED sp_status sp_engine_find(struct sp_engine *engine, sp_str source, sp_str id,
                                        uint64_t *ret_position, struct sp_error *error);

/*
 * Called for every event that became durable since, in order, from within a turn. Must not turn the
 * engine; may append. NULL: off.
 */
typedef void sp_engine_live_fn(void *context, const struct sp_event *event);
void sp_engine_listen(struct sp_engine *engine, sp_engine_live_fn *each, void *context);

#endif
