/*
 * What sim/world_project*.c share. loop-thread; for these only
 */
#ifndef SIM_WORLD_PROJECT_INT_H
#define SIM_WORLD_PROJECT_INT_H

#include "engine/engine.h"
#include "engine/query.h"
#include "project/fold.h"
#include "project/projects.h"
#include "project/sqlite.h"
#include "project/travel.h"
#include "sim/sqlite_crash.h"
#include "sim/world.h"
#include "sim/world_project.h"

enum { PROJECT_NAMES = 3, PROJECT_FOLDER_SIZE = 64, PROJECT_TEXT_SIZE = 1500 };

struct project_system {
    struct sim_system base;
    struct sim_world *world;
    struct sp_engine_options options;
    struct sp_engine *engine; /* NULL while closed */
    struct sp_projects *projects;
    struct sp_sink *sink; /* the manager's */
    struct sp_travel *travel;
    struct sp_fs *folder_fs;
    char folder[PROJECT_FOLDER_SIZE]; /* another one in each telling: never noted */
    uint64_t grace_ms;
    uint64_t snapshot_bytes;
    uint64_t snapshot_events;
    uint64_t sent;                    /* events, as far as the world remembers */
    uint64_t editions[PROJECT_NAMES]; /* versions that were given */
    uint64_t seen[PROJECT_NAMES];     /* the farthest position that queries saw */
    uint64_t compared;                /* builds held against a fresh fold */
};

extern const char *const project_names[PROJECT_NAMES];

/* The text of an edition of a projection. */
void project_text(uint32_t which, uint64_t edition, char to[PROJECT_TEXT_SIZE]);

/* True where errors are no surprise: the disk's, or the process is gone. */
bool project_excused(const struct project_system *sys);

/* Holds every build of the folder against a fresh fold. */
void project_check_all(struct project_system *sys);

/* What queries see of a projection is the fold up to `head` at least, and never goes back. */
void project_check_visible(struct project_system *sys, uint32_t which, uint64_t head);

/* Goes on from a copy of what queries see, up to the head, as time travel does. */
void project_check_copy(struct project_system *sys, uint32_t which);

/* Asks how a projection was at some moment, from the nearest snapshot on. */
void project_check_state(struct project_system *sys, uint32_t which);

#endif
