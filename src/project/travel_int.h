/*
 * Time travel's own state; only travel*.c include this.
 */
#ifndef SP_PROJECT_TRAVEL_INT_H
#define SP_PROJECT_TRAVEL_INT_H

#include <pthread.h>

#include "project/snapshots.h"
#include "project/travel.h"

enum { TRAVEL_PATH_SIZE = 4096 };

/* What is known of one text of one projection; shared by those who follow it and who ask. */
struct model {
    struct model *next;
    char name[SP_PROJECTION_NAME_MAX + 1];
    struct sp_snapshot_key key; /* of name */
    pthread_mutex_t mutex;      /* of what follows */
    struct sp_bounds bounds;
    uint64_t bounds_saved; /* how much was known when they were written last */
    bool is_saving;        /* a snapshot of it is on its way */
    bool is_forgotten;     /* the projection is gone, or has another text: nothing is left */
};

struct sp_travel {
    struct sp_engine *engine;
    struct sp_travel_options options; /* without the folder */
    char folder[TRAVEL_PATH_SIZE];    /* of the snapshots */
    uint8_t log[16];                  /* its uuid: what is kept belongs to one log */
    uint64_t head; /* where the log ended when it was opened: what is kept goes no further */

    pthread_mutex_t mutex; /* of what follows */
    struct model *models;
    struct sp_fs *fs;               /* NULL: there is no such folder yet */
    struct sp_snapshots *snapshots; /* likewise */
    struct sp_worker *worker;       /* NULL: none was needed yet */
    uint64_t copies;                /* numbers the files that come and go */
};

/* The model of a definition; made where it is not there. */
SP_WARN_UNUSED sp_status travel_model(struct sp_travel *travel,
                                      const struct sp_definition *definition,
                                      struct model **ret_model, struct sp_error *error);

/* What is kept of a text of a projection, over this log, goes by. */
void travel_key(const struct sp_travel *travel, const uint8_t sha256[SP_SNAPSHOT_KEY_BYTES],
                uint8_t ret_key[SP_SNAPSHOT_KEY_BYTES]);

/* The snapshots; NULL where there are none, and none shall be made. */
struct sp_snapshots *travel_snapshots(struct sp_travel *travel, bool create);

/* A new file's name in the snapshots' folder, and its whole path. */
void travel_copy_name(struct sp_travel *travel, char name[SP_FS_PATH_BYTES_MAX + 1],
                      char path[TRAVEL_PATH_SIZE]);

/*
 * How many events are to be applied after one snapshot before the next is worth its cost, for a
 * build as large as this one.
 */
uint64_t travel_snapshot_events(const struct sp_travel *travel, struct sp_build *build);

/*
 * Has the build, as of its last commit or a later one, made a snapshot. Nothing where one is on its
 * way or one is near. What goes wrong is said: nobody depends on it.
 */
void travel_take(struct sp_travel *travel, struct model *model, struct sp_build *build,
                 uint64_t events);

/* Writes the bounds where much more is known than was written. */
void travel_save_bounds(struct sp_travel *travel, struct model *model, uint64_t more);

void travel_say(const struct sp_travel *travel, const char *what, const struct sp_error *error);

#endif
