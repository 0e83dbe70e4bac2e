/*
 * Sagas in an engine as the system under test: definitions by the generator, workers and people who
 * answer what is durable, in time, late, twice or never, joins, schedules, delayed events, with
 * sim/saga_model.h as the oracle. loop-thread
 *
 * What it demands: nothing acknowledged is lost; the state of all flows that was recovered is the
 * one that the log's events give from the first one on, and where nothing was lost the one that was
 * there before; each saga keeps the oracle's rules over all crashes; in the end, with workers that
 * answer, every saga is over; a join emits once for each key and window, a schedule fires each of
 * its times once, a delayed event comes once and not before its time.
 */
#ifndef SIM_WORLD_SAGA_H
#define SIM_WORLD_SAGA_H

#include "sim/world.h"

extern const struct sim_system_ops sim_saga_system;

#endif
