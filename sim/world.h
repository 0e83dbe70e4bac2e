/*
 * One story by one seed: a disk, a clock, a system under test, and what befalls them. loop-thread
 *
 * A story is a few lives of the system, one after another, on one disk. A life opens the system,
 * lets it do random work step by step, and ends: in order, killed, or with the power. Which faults
 * it meets is what the story is named after. The system is whatever implements sim_system_ops: it
 * brings its own workload and its own oracle, and says through sim_wrong what should not have been.
 *
 * Everything is decided by the generator of the world, so one seed is one story: running it twice
 * gives the same trace.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/prng.h"
#include "sim/clock.h"
#include "sim/disk.h"

/* What a story is about. Before SIM_STORY_SURVIVABLE the system must go on; then it must notice. */
#define SIM_STORY_TABLE(X)                                                                         \
    X(POWER, "power", "the power fails anywhere, processes are killed")                            \
    X(RECOVERY, "recovery", "the power fails while the system recovers, again and again")          \
    X(EIO, "eio", "reads, writes, syncs and changes of names fail")                                \
    X(NO_SPACE, "no-space", "the device is full, and has room again")                              \
    X(SLOW, "slow", "the device stalls, the wall clock steps")                                     \
    X(MIXED, "mixed", "all of these at once")                                                      \
    X(FLIP, "flip", "bits change in what is stored")                                               \
    X(CUT, "cut", "a file is cut short")                                                           \
    X(DELETE, "delete", "a file is deleted")                                                       \
    X(STALE, "stale", "a part of a file is as it was earlier")                                     \
    X(LOST, "lost", "the device says done and has not")                                            \
    X(MISPLACED, "misplaced", "the device writes or reads the wrong place")                        \
    X(BAD_SECTOR, "bad-sector", "sectors cannot be read any more")

enum sim_story {
#define SIM_STORY_ENUM_(code, name, text) SIM_STORY_##code,
    SIM_STORY_TABLE(SIM_STORY_ENUM_)
#undef SIM_STORY_ENUM_
        SIM_STORY_COUNT,
    SIM_STORY_SURVIVABLE = SIM_STORY_FLIP /* those before it */
};

const char *sim_story_name(enum sim_story story);
const char *sim_story_text(enum sim_story story);

/* The story that a seed tells. */
enum sim_story sim_story_of(uint64_t seed);

struct sim_world {
    uint64_t seed;
    enum sim_story story;
    bool verbose;
    struct sp_prng prng;
    struct sim_clock clock;
    struct sim_disk *disk;
    struct sp_fs *fs;        /* of the process that lives now */
    struct sim_disk *older;  /* what was stored at some time before; NULL where nobody kept it */
    bool lies;               /* a fault is armed in this life that does damage when it fires */
    bool damaged;            /* declared damage was done in an earlier life */
    uint64_t fired_at_birth; /* sim_disk_fired when this life began */
    bool full;               /* the device has a limit in this life */
    uint64_t trace;          /* hash of all that was noted */
    bool wrong;
    char what[512]; /* the first thing that was wrong */
};

/* Declared damage, told to the system just before it is done. */
struct sim_damage {
    enum sim_story kind;
    const char *path;
    uint64_t offset;
    uint64_t len;
    bool erases; /* what was there reads as zeros, or is gone: as if never written */
};

struct sim_system {
    const struct sim_system_ops *ops;
};

struct sim_system_ops {
    bool survivable_only; /* it is told no stories of damage */
    /* Makes the system's side of the story; nothing is opened yet. */
    struct sim_system *(*make)(struct sim_world *world);
    void (*destroy)(struct sim_system *system);
    /* Opens on world->fs, holds what it finds against the oracle. Nothing is open on failure. */
    sp_status (*open)(struct sim_system *system, struct sp_error *error);
    /* Compares everything with the oracle; no fault is armed meanwhile. */
    void (*check)(struct sim_system *system);
    /* One random piece of work. False: the system has failed, as it should; close it. */
    bool (*step)(struct sim_system *system);
    /* With time, and without faults, all comes to rest: nothing waits, nothing is left over. */
    void (*rest)(struct sim_system *system);
    /* Closes: in order, or with its disk already dead. */
    void (*close)(struct sim_system *system, bool in_order);
    /* Damage is about to be done: the oracle adapts what it demands. */
    void (*damage)(struct sim_system *system, const struct sim_damage *damage);
};

struct sim_outcome {
    bool wrong;
    char what[512];
    uint64_t trace;
    uint64_t disk_ops;
};

/* Tells the whole story of a seed. */
void sim_world_run(uint64_t seed, const struct sim_system_ops *ops, bool verbose,
                   struct sim_outcome *ret_outcome);

/* ---- for systems ---- */

/* A number below `bound`, which is at least 1. */
uint32_t sim_pick(struct sim_world *world, uint32_t bound);
bool sim_chance(struct sim_world *world, uint32_t percent);

/* Adds a line to the trace. */
void sim_note(struct sim_world *world, const char *format, ...) SP_PRINTF(2, 3);

/* Says that something should not have been. The first one is kept; the story ends soon. */
void sim_wrong(struct sim_world *world, const char *format, ...) SP_PRINTF(2, 3);

/* True where a fault fired in this life, or the power is gone: then errors are no surprise. */
bool sim_excused(const struct sim_world *world);

/* True where damage was done: refusing is allowed then, lying is not. */
bool sim_is_damaged(const struct sim_world *world);

#endif
