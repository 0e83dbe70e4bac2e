/*
 * Files of SQLite, and of a sink, that a process leaves behind when it is killed at any of its
 * changes. loop-thread
 *
 * The files are real ones, in a folder under /tmp. What changes them is counted: writes, syncs,
 * truncations, deletions, renames. From the one on that was chosen, nothing changes any more and
 * every call fails, as if the process were gone; what is in the folder then is what kill -9 would
 * have left. Closing is possible and changes nothing. Writes may also be refused for a while, as by
 * a device that is full.
 *
 * SQLite's file layer belongs to the whole process: sim_sqlite_begin puts one in front of it, for
 * good; one story is told at a time.
 */
#ifndef SIM_SQLITE_CRASH_H
#define SIM_SQLITE_CRASH_H

#include "os/fs.h"

/* A new process. Nothing is armed, nothing is counted yet. */
void sim_sqlite_begin(void);

/* It is killed at the count-th change from now (1: the next). 0 disarms. */
void sim_sqlite_kill_at(uint64_t count);

/* It is killed now. */
void sim_sqlite_kill(void);
bool sim_sqlite_is_dead(void);

/*
 * The device is full from the count-th write of SQLite's on, for so many writes; then it has room
 * again. 0, 0 makes room.
 */
void sim_sqlite_fill_at(uint64_t count, uint64_t writes);

/* True where a write was refused since sim_sqlite_begin, or since room was made. */
bool sim_sqlite_was_full(void);

/* Changes so far. */
uint64_t sim_sqlite_changes(void);

/*
 * The folder as a file system of the same process: what it changes counts too. Made where it is
 * missing. Free with ops->destroy.
 */
struct sp_fs *sim_sqlite_folder(const char *path);

#endif
