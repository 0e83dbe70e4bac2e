/*
 * Projections as a system under test: the engine on the simulated disk, read models on SQLite in a
 * folder that is left as kill -9 leaves it. loop-thread
 *
 * Oracle: every build that is there, at any moment and after every crash, holds the rows that a
 * fresh fold of the log up to its position gives, with the definition that it says it was made
 * from; sim/README.md.
 */
#ifndef SIM_WORLD_PROJECT_H
#define SIM_WORLD_PROJECT_H

#include "sim/world.h"

extern const struct sim_system_ops sim_project_system;

#endif
