/*
 * What sim/world_log*.c share. loop-thread; for these only
 */
#ifndef SIM_WORLD_LOG_INT_H
#define SIM_WORLD_LOG_INT_H

#include "log/local.h"
#include "sim/model.h"
#include "sim/workload.h"
#include "sim/world.h"
#include "sim/world_log.h"

struct log_system {
    struct sim_system base;
    struct sim_world *world;
    struct sp_log_local_options options;
    uint32_t blocks_in_flight_max;
    struct sp_log *log; /* NULL while closed */
    struct sim_model model;
    struct sim_workload workload;
    struct sp_log_reader *reader; /* goes on from step to step */
    uint64_t reader_record;       /* what it should show next */
    uint64_t learned;             /* leaves of events up to this are in the model */
    uint64_t recovered_block;     /* last one that recovery showed; 0: none yet */
    uint64_t synced;              /* block that was said to be synced: no crash takes it */
    uint64_t must_have;           /* blocks that must be found, damage or not */
    bool knows;                   /* recovery need not read all segments that wait */
    bool lie_noticed;             /* must_have was adapted to a lying device */
};

/* ---- sim/world_log_check.c ---- */

/* Compares all of the log with the model. */
void log_check_all(struct log_system *sys);

/* Compares the snapshot that the log loads with those that were stored. */
void log_check_snapshot(struct log_system *sys);

/* Asks for the leaves of events that are durable and not yet known. */
void log_learn_leaves(struct log_system *sys);

/* The tree's root must be the one of the model's leaves. */
void log_check_tree(struct log_system *sys, bool all);

/* Compares one chunk; false, and said, where it is not what was appended. */
bool log_check_chunk(struct log_system *sys, const struct sp_log_chunk *chunk, uint64_t *record);

/* Seeks one position and compares. */
void log_check_seek(struct log_system *sys, struct sp_log_reader *reader, uint64_t position);

/* What must be found after this damage. */
void log_note_damage(struct log_system *sys, const struct sim_damage *damage);

/* A device that lies has lied just now, perhaps: what was acknowledged since may be lost. */
void log_note_lie(struct log_system *sys);

/* Gives the log all the time it wants; then no segment waits, and no file is left over. */
void log_rest(struct log_system *sys);

/* ---- sim/world_log_step.c ---- */

/* Asks where the log stands, and compares. False where it has failed. */
bool log_poll(struct log_system *sys);

/* The log's upkeep; where it may forget by itself, the model allows it. */
void log_upkeep(struct log_system *sys);

bool log_step(struct log_system *sys);

#endif
