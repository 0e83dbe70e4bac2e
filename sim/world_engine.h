/*
 * The engine as the system under test: random appends, turns, questions, trims, with
 * sim/model_engine.h as the oracle. loop-thread
 *
 * What it demands: what was acknowledged is there after every crash, where and as it was said; an
 * append is there wholly or not at all; versions are dense; the same source and id is stored once,
 * also where an append is tried again after a crash; the state recovered is the one that the log's
 * events give; the Merkle root is that of the events read; questions are answered as a look at all
 * events answers them.
 */
#ifndef SIM_WORLD_ENGINE_H
#define SIM_WORLD_ENGINE_H

#include "sim/world.h"

extern const struct sim_system_ops sim_engine_system;

#endif
