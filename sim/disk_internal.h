/*
 * What sim/disk.c (the operations), sim/disk_fault.c (when they fail) and sim/disk_world.c
 * (crashes, damage, looking from outside) share. loop-thread; for these three only
 */
#ifndef SIM_DISK_INTERNAL_H
#define SIM_DISK_INTERNAL_H

#include "sim/disk_node.h"

struct sim_process {
    struct sp_fs base;
    struct sim_disk *disk;
    struct sim_process *next;
    struct sim_file *files; /* handles that are open, dead or alive */
    bool alive;
    bool read_only;
};

struct sim_file {
    struct sp_file base;
    struct sim_process *process;
    struct sim_node *node;
    struct sim_file *next;
    unsigned flags;
    char path[SP_FS_PATH_BYTES_MAX + 1];
};

struct sim_disk {
    struct sp_prng prng;
    uint64_t capacity_bytes;
    struct sim_clock *clock;
    struct sim_node *root;
    struct sim_node *nodes; /* all of them, oldest first; the root is the first */
    struct sim_node *last_node;
    struct sim_process *processes;
    struct sim_fault faults[SIM_FAULTS_MAX]; /* repeat 0: unused */
    uint64_t fired;
    uint64_t failed_reads;
    uint64_t op_count;
    uint64_t crash_in; /* changing operations until the power fails; 0: it will not */
    bool down;
    uint32_t unlinked; /* since unreachable nodes were last freed */
};

/* What the fault table, the crash counter and the process's own state let an operation do. */
enum sim_verdict_kind {
    SIM_GO,
    SIM_FAIL,     /* return `status`, after as much damage as the operation has for SP_IO */
    SIM_DEAD,     /* return SP_IO and touch nothing */
    SIM_CUT_OFF,  /* the power fails in the middle: leave the change on its way, return SP_IO */
    SIM_LOSE,     /* say SP_OK and do nothing */
    SIM_MISPLACE, /* use offset + amount */
};

struct sim_verdict {
    enum sim_verdict_kind kind;
    sp_status status;
    uint64_t amount;
};

/*
 * To be asked once at the start of each operation: advances the clock by its cost for `len` bytes,
 * counts it, and fires what is armed.
 */
struct sim_verdict sim_disk_judge(struct sim_process *process, enum sim_op op, const char *path,
                                  uint64_t len, bool changes);

/* True where a read of the range meets a bad one. */
bool sim_node_is_bad(const struct sim_node *node, uint64_t offset, uint64_t len);

const char *sim_op_name(enum sim_op op);

/* Adds a node to the disk's list. */
struct sim_node *sim_disk_add_node(struct sim_disk *disk, bool is_folder);

/* The node under a path as processes see it; NULL where there is none. "" and "." are the root. */
struct sim_node *sim_disk_find(const struct sim_disk *disk, const char *path);

/* The folder that holds the last part of the path, and that part; NULL where it does not exist. */
struct sim_node *sim_disk_find_parent(const struct sim_disk *disk, const char *path,
                                      sp_str *ret_leaf);

/* Frees nodes that no name, no change of names and no handle leads to. */
void sim_disk_sweep(struct sim_disk *disk);

/* Ends a process: its handles are dead, its locks free. */
void sim_process_end(struct sim_process *process);

extern const struct sp_fs_ops sim_disk_ops;

#endif
