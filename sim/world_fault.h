/*
 * The faults of each kind of story: which are armed when, and the damage done at its end.
 * loop-thread
 */
#ifndef SIM_WORLD_FAULT_H
#define SIM_WORLD_FAULT_H

#include "sim/world.h"

/* Arms what the story has in store for this life. Damage is done in the last one only. */
void sim_arm(struct sim_world *world, bool last);

/* Takes everything back: no fault is armed, the device has no limit. */
void sim_disarm(struct sim_world *world);

/* What may happen between two steps: the wall clock steps, a bit flips beneath the open system. */
void sim_befall(struct sim_world *world, struct sim_system *system, bool last);

/* Does the damage that the story is about, if it is about any, between two lives. */
void sim_do_damage(struct sim_world *world, struct sim_system *system);

/* Gives the device room again, as an operator would. */
void sim_make_room(struct sim_world *world);

#endif
