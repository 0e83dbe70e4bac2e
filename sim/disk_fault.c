/*
 * When an operation of the simulated disk fails: armed faults, the crash counter, dead processes.
 */
#include "base/assert.h"
#include "sim/disk_internal.h"

/* A solid-state drive with a volatile cache, roughly; what matters is that syncs dwarf the rest. */
static const struct {
    const char *name;
    uint32_t cost_ns;
} op_table[SIM_OP_COUNT] = {
    [SIM_OP_OPEN] = {"open", 5000},         [SIM_OP_READ] = {"read", 40000},
    [SIM_OP_WRITE] = {"write", 3000},       [SIM_OP_WRITE_DURABLE] = {"write durably", 75000},
    [SIM_OP_SYNC] = {"sync", 120000},       [SIM_OP_SIZE] = {"size", 500},
    [SIM_OP_TRUNCATE] = {"truncate", 5000}, [SIM_OP_LOCK] = {"lock", 1000},
    [SIM_OP_RENAME] = {"rename", 10000},    [SIM_OP_UNLINK] = {"unlink", 10000},
    [SIM_OP_MKDIR] = {"mkdir", 10000},      [SIM_OP_SYNC_DIR] = {"sync folder", 120000},
    [SIM_OP_LIST] = {"list", 5000},         [SIM_OP_SPACE] = {"space", 1000},
};

enum { BYTES_PER_NS = 3 };

const char *sim_op_name(enum sim_op op) {
    sp_require(op < SIM_OP_COUNT);
    return op_table[op].name;
}

static bool fault_matches(const struct sim_fault *fault, enum sim_op op, const char *path) {
    return fault->repeat > 0 && fault->op == op &&
           (fault->path_end == NULL ||
            sp_str_ends_with(sp_str_from(path), sp_str_from(fault->path_end)));
}

/* Counts one matching call; true where the fault fires at it. */
static bool fault_fires(struct sim_disk *disk, struct sim_fault *fault) {
    if (fault->chance_per_million > 0) {
        if (sp_prng_below(&disk->prng, 1000000) >= fault->chance_per_million) {
            return false;
        }
    } else if (fault->countdown > 1) {
        fault->countdown--;
        return false;
    }
    fault->repeat -= fault->repeat == UINT32_MAX ? 0 : 1;
    disk->fired++;
    bool reads = fault->op == SIM_OP_READ || fault->op == SIM_OP_OPEN || fault->op == SIM_OP_SIZE;
    disk->failed_reads += reads && fault->kind == SIM_FAULT_EIO ? 1 : 0;
    return true;
}

static struct sim_verdict verdict_of(const struct sim_fault *fault) {
    struct sim_verdict verdict = {.kind = SIM_GO, .status = SP_OK, .amount = fault->amount};
    switch (fault->kind) {
    case SIM_FAULT_EIO:
        verdict.kind = SIM_FAIL;
        verdict.status = SP_IO;
        break;
    case SIM_FAULT_NO_SPACE:
        verdict.kind = SIM_FAIL;
        verdict.status = SP_NO_SPACE;
        break;
    case SIM_FAULT_LOST:
        verdict.kind = SIM_LOSE;
        break;
    case SIM_FAULT_MISPLACED:
        verdict.kind = SIM_MISPLACE;
        break;
    case SIM_FAULT_STALL:
        break;
    default:
        sp_never();
    }
    return verdict;
}

static void spend(struct sim_disk *disk, uint64_t ns) {
    if (disk->clock != NULL) {
        sim_clock_advance_ns(disk->clock, ns);
    }
}

/* All armed faults count the call; the first that fires, stalls aside, decides. */
static struct sim_verdict judge_faults(struct sim_disk *disk, enum sim_op op, const char *path) {
    struct sim_verdict verdict = {.kind = SIM_GO, .status = SP_OK};
    for (size_t i = 0; i < SIM_FAULTS_MAX; i++) {
        struct sim_fault *fault = &disk->faults[i];
        if (!fault_matches(fault, op, path) || !fault_fires(disk, fault)) {
            continue;
        }
        if (fault->kind == SIM_FAULT_STALL) {
            spend(disk, fault->amount * 1000u);
        } else if (verdict.kind == SIM_GO) {
            verdict = verdict_of(fault);
        }
    }
    return verdict;
}

struct sim_verdict sim_disk_judge(struct sim_process *process, enum sim_op op, const char *path,
                                  uint64_t len, bool changes) {
    struct sim_disk *disk = process->disk;
    if (!process->alive || disk->down) {
        return (struct sim_verdict){.kind = SIM_DEAD, .status = SP_IO};
    }
    spend(disk, op_table[op].cost_ns + len / BYTES_PER_NS);
    if (changes) {
        disk->op_count++;
        if (disk->crash_in > 0 && --disk->crash_in == 0) {
            disk->down = true;
            return (struct sim_verdict){.kind = SIM_CUT_OFF, .status = SP_IO};
        }
    }
    return judge_faults(disk, op, path);
}

bool sim_node_is_bad(const struct sim_node *node, uint64_t offset, uint64_t len) {
    for (size_t i = 0; i < SIM_BAD_RANGES_MAX; i++) {
        const struct sim_bad_range *bad = &node->bad[i];
        if (bad->len > 0 && bad->offset < offset + len && offset < bad->offset + bad->len) {
            return true;
        }
    }
    return false;
}

void sim_disk_arm(struct sim_disk *disk, const struct sim_fault *fault) {
    sp_require(fault->op < SIM_OP_COUNT && fault->repeat > 0);
    sp_require((fault->countdown > 0) != (fault->chance_per_million > 0));
    size_t i = 0;
    while (i < SIM_FAULTS_MAX && disk->faults[i].repeat > 0) {
        i++;
    }
    sp_require(i < SIM_FAULTS_MAX);
    disk->faults[i] = *fault;
}

void sim_disk_disarm(struct sim_disk *disk) {
    for (size_t i = 0; i < SIM_FAULTS_MAX; i++) {
        disk->faults[i].repeat = 0;
    }
}

uint64_t sim_disk_failed_reads(const struct sim_disk *disk) {
    return disk->failed_reads;
}

bool sim_disk_is_armed(const struct sim_disk *disk) {
    for (uint32_t i = 0; i < SIM_FAULTS_MAX; i++) {
        if (disk->faults[i].repeat > 0) {
            return true;
        }
    }
    return disk->crash_in != 0;
}

uint64_t sim_disk_fired(const struct sim_disk *disk) {
    return disk->fired;
}

void sim_disk_crash_at(struct sim_disk *disk, uint64_t count) {
    sp_require(!disk->down);
    disk->crash_in = count;
}

bool sim_disk_is_down(const struct sim_disk *disk) {
    return disk->down;
}

uint64_t sim_disk_op_count(const struct sim_disk *disk) {
    return disk->op_count;
}
