/*
 * The local log as the system under test: random appends, reads, snapshots, trims and upkeep, with
 * sim/model.h as the oracle. loop-thread
 *
 * What it demands: nothing acknowledged is lost; a block is there wholly or not at all; what was
 * not acknowledged is there only as a continuation; order, positions, leaves and the root are the
 * model's; a failed log acknowledges nothing more; damaged data is never returned as good.
 */
#ifndef SIM_WORLD_LOG_H
#define SIM_WORLD_LOG_H

#include "sim/world.h"

extern const struct sim_system_ops sim_log_system;

#endif
