/*
 * The bus as the system under test: producers, consumers of plain groups and of groups with a
 * policy, deleters, renamers, subscribers, timers; with sim/bus_model.h as the oracle. loop-thread
 *
 * The model follows every call: what the call said, the events of the store's own that it wrote,
 * and the core's state afterwards must agree. Before a block is cut the model is copied; what is
 * found after a crash must be the state at the end of some block, none of those that a gate has
 * passed being missing.
 */
#ifndef SIM_WORLD_BUS_H
#define SIM_WORLD_BUS_H

#include "sim/world.h"

extern const struct sim_system_ops sim_bus_system;

#endif
