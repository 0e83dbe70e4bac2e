/*
 * A disk in memory that crashes, fails and lies on demand, behind the table of os/fs.h. loop-thread
 *
 * sim/README.md is the fault model: what a crash may do, what is declared damage. In short: the
 * disk keeps for every file what is on the medium and which writes are still on their way, and for
 * every folder likewise its names. A crash decides, by the seed, what of that which was on its way
 * arrived. The same seed and the same calls give the same disk, bit for bit. Invariants: what a
 * successful write_durable, sync or sync_dir covered survives every crash; nothing else is
 * promised.
 *
 * Not for several threads. Everything is freed with the disk; handles that a dead process left open
 * too.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "os/fs.h"
#include "sim/clock.h"

enum { SIM_SECTOR_BYTES = 512, SIM_FAULTS_MAX = 16 };

struct sim_disk;

struct sim_disk_options {
    uint64_t seed;
    uint64_t capacity_bytes; /* of all files together; 0 is no limit */
    struct sim_clock *clock; /* advanced by the cost of each operation; NULL: time stands still */
};

struct sim_disk *sim_disk_new(const struct sim_disk_options *options);
void sim_disk_free(struct sim_disk *disk);

/* Changes the room on the device; 0 is no limit. What is stored stays, even where it is more. */
void sim_disk_set_capacity(struct sim_disk *disk, uint64_t capacity_bytes);

/*
 * A new process that has the disk mounted: its file system, to be given to the product. Locks
 * exclude processes (and handles) from one another. ops->destroy ends it in an orderly way.
 */
struct sp_fs *sim_disk_process(struct sim_disk *disk, bool read_only);

/*
 * kill -9: the process's handles answer SP_IO from now on and its locks are free; what it wrote
 * stays in the page cache, synced or not. The file system and its handles stay valid memory.
 */
void sim_disk_kill(struct sp_fs *process);

/* ---- crashes ---- */

enum sim_crash {
    SIM_CRASH_ANY,  /* each un-synced write and name by the seed: all, nothing, or torn */
    SIM_CRASH_LOSE, /* everything un-synced is lost */
    SIM_CRASH_KEEP, /* everything un-synced arrived */
};

/* Power failure and reboot: all processes are dead, the medium is what survived. */
void sim_disk_crash(struct sim_disk *disk, enum sim_crash how);

/*
 * Lets the power fail in the middle of the count-th changing operation from now (1: the next). That
 * operation, and all after it, answer SP_IO until sim_disk_crash decides what arrived. 0 disarms.
 */
void sim_disk_crash_at(struct sim_disk *disk, uint64_t count);

/* True between the power failure that sim_disk_crash_at armed and sim_disk_crash. */
bool sim_disk_is_down(const struct sim_disk *disk);

/*
 * Changing operations so far: open that creates, write, write_durable, sync, truncate, rename,
 * unlink, mkdir, sync_dir. A scenario that took n of them is tried with a crash at each of 1 … n.
 */
uint64_t sim_disk_op_count(const struct sim_disk *disk);

/* ---- faults that the product meets while it runs ---- */

enum sim_op {
    SIM_OP_OPEN,
    SIM_OP_READ,
    SIM_OP_WRITE,
    SIM_OP_WRITE_DURABLE,
    SIM_OP_SYNC,
    SIM_OP_SIZE,
    SIM_OP_TRUNCATE,
    SIM_OP_LOCK,
    SIM_OP_RENAME,
    SIM_OP_UNLINK,
    SIM_OP_MKDIR,
    SIM_OP_SYNC_DIR,
    SIM_OP_LIST,
    SIM_OP_SPACE,
    SIM_OP_COUNT,
};

enum sim_fault_kind {
    /*
     * SP_IO. A failed write, write_durable or sync got any part of its bytes onto the medium; the
     * pages are marked clean, so that the next sync succeeds.
     */
    SIM_FAULT_EIO,
    SIM_FAULT_NO_SPACE,  /* SP_NO_SPACE; nothing was done */
    SIM_FAULT_STALL,     /* takes `amount` microseconds more, and then does what it should */
    SIM_FAULT_LOST,      /* damage: write, write_durable, sync, sync_dir: said, not done */
    SIM_FAULT_MISPLACED, /* damage: a write or read `amount` bytes beyond the offset asked for */
};

struct sim_fault {
    enum sim_fault_kind kind;
    enum sim_op op;
    const char *path_end; /* only files whose path ends so; NULL is any; borrowed */
    uint32_t countdown;   /* fires at this matching call (1: the next) and the following ones */
    uint32_t repeat;      /* how often in all; UINT32_MAX is for ever */
    uint32_t chance_per_million; /* instead of countdown, where not 0: by the seed, at each call */
    uint64_t amount;
};

/* Arms one more fault; at most SIM_FAULTS_MAX at a time, spent ones not counted. */
void sim_disk_arm(struct sim_disk *disk, const struct sim_fault *fault);
void sim_disk_disarm(struct sim_disk *disk);

/* How often an armed fault has fired: a scenario whose fault never fired has tested nothing. */
uint64_t sim_disk_fired(const struct sim_disk *disk);

/* How often reading failed, or what leads to it, by an armed fault. */
uint64_t sim_disk_failed_reads(const struct sim_disk *disk);

/* True where a fault may still fire, or the power is to fail. */
bool sim_disk_is_armed(const struct sim_disk *disk);

/* ---- declared damage to what is stored; false where the path or the offset is not there ---- */

/* Overwrites bytes on the medium and in the cache. The length of the file stays. */
bool sim_disk_poke(struct sim_disk *disk, const char *path, uint64_t offset, sp_str bytes);
bool sim_disk_flip_bit(struct sim_disk *disk, const char *path, uint64_t offset, unsigned bit);
bool sim_disk_cut(struct sim_disk *disk, const char *path, uint64_t size);
bool sim_disk_delete(struct sim_disk *disk, const char *path);

/* Every read that touches the range answers SP_IO, until a write_durable covered it wholly. */
bool sim_disk_bad_range(struct sim_disk *disk, const char *path, uint64_t offset, uint64_t len);

/* ---- looking from outside ---- */

/*
 * Forgets cached pages, as memory pressure does at any time: after a failed sync the old bytes
 * return.
 */
void sim_disk_drop_caches(struct sim_disk *disk);

/*
 * The bytes on the medium of the file that processes see under this path, borrowed until the next
 * call; ptr is NULL where there is no such file.
 */
sp_str sim_disk_peek(struct sim_disk *disk, const char *path);

/* A copy of what is on the medium now: a backup, to be restored later, or a fork of history. */
struct sim_disk *sim_disk_clone(const struct sim_disk *disk,
                                const struct sim_disk_options *options);

/* A hash of all names and bytes on the medium: two runs of one seed agree. */
uint64_t sim_disk_hash(const struct sim_disk *disk);

#endif
