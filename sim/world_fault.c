#include "sim/world_fault.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

enum { FILES_MAX = 128, PATH_SIZE = SP_FS_PATH_BYTES_MAX + 1, PAGE = SP_FS_BLOCK_BYTES };

/* ---- faults of a life ---- */

static void arm_power(struct sim_world *world, uint32_t ops_max) {
    uint64_t count = 1 + sim_pick(world, ops_max);
    sim_note(world, "the power will fail at operation %llu", (unsigned long long)count);
    sim_disk_crash_at(world->disk, count);
}

static const char *const path_ends[] = {
    NULL,           NULL,        ".seg",           ".seg.tmp", ".spoor.tmp", "MANIFEST",
    "MANIFEST.tmp", ".snap.tmp", "checkpoint.tmp", "wal",      "seg",        ""};

static void arm_fault(struct sim_world *world, enum sim_fault_kind kind, enum sim_op op,
                      const char *path_end, uint32_t countdown_max) {
    struct sim_fault fault = {
        .kind = kind,
        .op = op,
        .path_end = path_end,
        .countdown = 1 + sim_pick(world, countdown_max),
        .repeat = sim_chance(world, 50) ? 1 : 1 + sim_pick(world, 20),
        .amount = 0,
    };
    if (kind == SIM_FAULT_MISPLACED) {
        fault.repeat = 1;
        fault.amount = (uint64_t)PAGE * (1 + sim_pick(world, sim_chance(world, 70) ? 4 : 40));
    } else if (kind == SIM_FAULT_LOST) {
        fault.repeat = 1;
    }
    sim_note(world, "fault %d of operation %d on *%s, from call %u on, %u times", (int)kind,
             (int)op, path_end != NULL ? path_end : "", fault.countdown, fault.repeat);
    sim_disk_arm(world->disk, &fault);
}

static void arm_eio(struct sim_world *world) {
    static const enum sim_op ops[] = {
        SIM_OP_WRITE_DURABLE, SIM_OP_WRITE_DURABLE, SIM_OP_WRITE, SIM_OP_SYNC,
        SIM_OP_SYNC,          SIM_OP_READ,          SIM_OP_READ,  SIM_OP_RENAME,
        SIM_OP_UNLINK,        SIM_OP_SYNC_DIR,      SIM_OP_OPEN,  SIM_OP_LIST,
        SIM_OP_TRUNCATE,      SIM_OP_SIZE,          SIM_OP_MKDIR, SIM_OP_LOCK};
    enum sim_op op = ops[sim_pick(world, sizeof(ops) / sizeof(ops[0]))];
    const char *end = path_ends[sim_pick(world, sizeof(path_ends) / sizeof(path_ends[0]))];
    arm_fault(world, SIM_FAULT_EIO, op, sim_chance(world, 60) ? NULL : end, 30);
}

static uint64_t used_bytes(struct sim_world *world) {
    const uint64_t plenty = UINT64_C(1) << 40;
    uint64_t free_bytes = 0;
    sim_disk_set_capacity(world->disk, plenty);
    struct sp_fs *fs = sim_disk_process(world->disk, true);
    sp_status status = fs->ops->space(fs, &free_bytes, NULL);
    fs->ops->destroy(fs);
    sp_ensure(status == SP_OK);
    return plenty - free_bytes;
}

static void arm_no_space(struct sim_world *world) {
    if (sim_chance(world, 30)) {
        static const enum sim_op ops[] = {SIM_OP_WRITE, SIM_OP_OPEN, SIM_OP_RENAME, SIM_OP_SYNC};
        arm_fault(world, SIM_FAULT_NO_SPACE, ops[sim_pick(world, 4)], NULL, 30);
        return;
    }
    uint64_t used = used_bytes(world);
    uint64_t room = sim_pick(world, sim_chance(world, 50) ? 200 << 10 : 1 << 20);
    sim_disk_set_capacity(world->disk, used + room + 1);
    world->full = true;
    sim_note(world, "room for %llu bytes", (unsigned long long)room);
}

void sim_make_room(struct sim_world *world) {
    sim_note(world, "room again");
    sim_disk_set_capacity(world->disk, 0);
    world->full = false;
}

static void arm_slow(struct sim_world *world) {
    for (int i = 0; i < 3; i++) {
        sim_disk_arm(world->disk,
                     &(struct sim_fault){.kind = SIM_FAULT_STALL,
                                         .op = (enum sim_op)sim_pick(world, SIM_OP_COUNT),
                                         .chance_per_million = 100000,
                                         .repeat = UINT32_MAX,
                                         .amount = 1 + sim_pick(world, 3000000)});
    }
}

/* Damage that is done by a lying device while the system runs. */
static void arm_damage(struct sim_world *world) {
    bool lost = world->story == SIM_STORY_LOST;
    static const enum sim_op lose[] = {SIM_OP_WRITE_DURABLE, SIM_OP_WRITE_DURABLE, SIM_OP_WRITE,
                                       SIM_OP_SYNC, SIM_OP_SYNC_DIR};
    static const enum sim_op misplace[] = {SIM_OP_WRITE_DURABLE, SIM_OP_WRITE_DURABLE, SIM_OP_WRITE,
                                           SIM_OP_READ, SIM_OP_READ};
    enum sim_op op = (lost ? lose : misplace)[sim_pick(world, 5)];
    const char *end = op == SIM_OP_WRITE_DURABLE || sim_chance(world, 70)
                          ? NULL
                          : path_ends[sim_pick(world, sizeof(path_ends) / sizeof(path_ends[0]))];
    arm_fault(world, lost ? SIM_FAULT_LOST : SIM_FAULT_MISPLACED, op, end, 40);
    world->lies = true;
}

void sim_arm(struct sim_world *world, bool last) {
    switch (world->story) {
    case SIM_STORY_POWER:
        if (sim_chance(world, 80)) {
            arm_power(world, sim_chance(world, 50) ? 40 : 150);
        }
        return;
    case SIM_STORY_RECOVERY:
        arm_power(world, sim_chance(world, 60) ? 12 : 60);
        return;
    case SIM_STORY_EIO:
        arm_eio(world);
        return;
    case SIM_STORY_NO_SPACE:
        arm_no_space(world);
        return;
    case SIM_STORY_SLOW:
        arm_slow(world);
        return;
    case SIM_STORY_MIXED:
        arm_power(world, 150);
        arm_slow(world);
        if (sim_chance(world, 50)) {
            arm_eio(world);
        } else {
            arm_no_space(world);
        }
        return;
    case SIM_STORY_LOST:
    case SIM_STORY_MISPLACED:
        if (last) {
            arm_damage(world);
            return;
        }
        break;
    case SIM_STORY_FLIP:
    case SIM_STORY_CUT:
    case SIM_STORY_DELETE:
    case SIM_STORY_STALE:
    case SIM_STORY_BAD_SECTOR:
        break;
    case SIM_STORY_COUNT:
    default:
        sp_never();
    }
    if (sim_chance(world, 40)) {
        arm_power(world, 100);
    }
}

void sim_disarm(struct sim_world *world) {
    sim_disk_disarm(world->disk);
    sim_disk_crash_at(world->disk, 0);
    sim_disk_set_capacity(world->disk, 0);
    world->full = false;
}

static void step_clock(struct sim_world *world) {
    uint64_t now_us = world->clock.wall_us;
    uint64_t by_us = (uint64_t)sim_pick(world, 1000000) * 3600;
    sim_clock_set_wall_us(&world->clock, sim_chance(world, 50) ? now_us + by_us : now_us - by_us);
    sim_note(world, "the wall clock steps");
}

void sim_befall(struct sim_world *world, struct sim_system *system, bool last) {
    bool steps = world->story == SIM_STORY_SLOW || world->story == SIM_STORY_MIXED;
    if (steps && sim_chance(world, 5)) {
        step_clock(world);
    } else if (world->story == SIM_STORY_FLIP && last && !world->damaged && sim_chance(world, 2)) {
        sim_do_damage(world, system);
    }
}

/* ---- damage between two lives ---- */

struct files {
    struct sp_fs *fs;
    const char *folder;
    size_t count;
    char paths[FILES_MAX][PATH_SIZE];
};

static bool collect(void *context, sp_str name) {
    struct files *files = context;
    if (files->count < FILES_MAX) {
        (void)snprintf(files->paths[files->count++], PATH_SIZE, "%s%s%.*s", files->folder,
                       files->folder[0] != '\0' ? "/" : "", SP_STR_ARG(name));
    }
    return files->count < FILES_MAX;
}

/* All files of the root and of the folders in it; the folders themselves are left out. */
static void list_files(struct files *files) {
    files->folder = "";
    sp_status status = files->fs->ops->list(files->fs, "", collect, files, NULL);
    sp_ensure(status == SP_OK);
    size_t top = files->count;
    for (size_t i = 0; i < top; i++) {
        char folder[PATH_SIZE];
        memcpy(folder, files->paths[i], PATH_SIZE);
        files->folder = folder;
        if (files->fs->ops->list(files->fs, folder, collect, files, NULL) == SP_OK) {
            files->paths[i][0] = '\0';
        }
    }
}

/* A file at random, or NULL where there is none. */
static const char *choose_file(struct sim_world *world, struct files *files) {
    for (int tries = 0; tries < 50 && files->count > 0; tries++) {
        const char *path = files->paths[sim_pick(world, (uint32_t)files->count)];
        if (path[0] != '\0' && sim_disk_peek(world->disk, path).len > 0) {
            return path;
        }
    }
    return NULL;
}

/* Mostly where something is stored. */
static uint64_t choose_offset(struct sim_world *world, sp_str bytes) {
    size_t end = bytes.len;
    while (end > 1 && bytes.ptr[end - 1] == 0) {
        end--;
    }
    uint32_t choice = sim_pick(world, 10);
    size_t from = choice < 3 && end > 3 * PAGE ? end - 3 * PAGE : 0;
    size_t to = choice < 8 ? end : bytes.len;
    return from + sim_pick(world, (uint32_t)(to - from));
}

static bool sector_is_zero_but(sp_str bytes, uint64_t offset, uint8_t value) {
    size_t from = offset / SIM_SECTOR_BYTES * SIM_SECTOR_BYTES;
    bool zero = value == 0;
    for (size_t i = from; i < from + SIM_SECTOR_BYTES && i < bytes.len && zero; i++) {
        zero = i == offset || bytes.ptr[i] == 0;
    }
    return zero;
}

static void flip(struct sim_world *world, struct sim_system *system, const char *path) {
    sp_str bytes = sim_disk_peek(world->disk, path);
    uint64_t offset = choose_offset(world, bytes);
    unsigned bit = sim_pick(world, 8);
    uint8_t value = (uint8_t)((uint8_t)bytes.ptr[offset] ^ (1u << bit));
    struct sim_damage damage = {.kind = SIM_STORY_FLIP,
                                .path = path,
                                .offset = offset,
                                .len = 1,
                                .erases = sector_is_zero_but(bytes, offset, value)};
    sim_note(world, "bit %u flips at %llu of %s", bit, (unsigned long long)offset, path);
    system->ops->damage(system, &damage);
    (void)sim_disk_flip_bit(world->disk, path, offset, bit);
}

static void cut(struct sim_world *world, struct sim_system *system, const char *path) {
    sp_str bytes = sim_disk_peek(world->disk, path);
    uint64_t size = sim_pick(world, (uint32_t)bytes.len);
    size = sim_chance(world, 50) ? size / PAGE * PAGE : size;
    struct sim_damage damage = {.kind = SIM_STORY_CUT,
                                .path = path,
                                .offset = size,
                                .len = bytes.len - size,
                                .erases = true};
    sim_note(world, "%s is cut to %llu", path, (unsigned long long)size);
    system->ops->damage(system, &damage);
    (void)sim_disk_cut(world->disk, path, size);
}

static void delete (struct sim_world *world, struct sim_system *system, const char *path) {
    struct sim_damage damage = {.kind = SIM_STORY_DELETE, .path = path, .erases = true};
    sim_note(world, "%s is deleted", path);
    system->ops->damage(system, &damage);
    (void)sim_disk_delete(world->disk, path);
}

static void spoil_sector(struct sim_world *world, struct sim_system *system, const char *path) {
    sp_str bytes = sim_disk_peek(world->disk, path);
    uint64_t offset = choose_offset(world, bytes) / SIM_SECTOR_BYTES * SIM_SECTOR_BYTES;
    uint64_t len = bytes.len - offset < SIM_SECTOR_BYTES ? bytes.len - offset : SIM_SECTOR_BYTES;
    struct sim_damage damage = {
        .kind = SIM_STORY_BAD_SECTOR, .path = path, .offset = offset, .len = len};
    sim_note(world, "%s is unreadable at %llu", path, (unsigned long long)offset);
    system->ops->damage(system, &damage);
    (void)sim_disk_bad_range(world->disk, path, offset, len);
}

/* The whole file is again what it was in an earlier life. */
static void restore(struct sim_world *world, struct sim_system *system, const char *path) {
    sp_str old = sim_disk_peek(world->older, path);
    struct sim_damage damage = {.kind = SIM_STORY_STALE,
                                .path = path,
                                .len = sim_disk_peek(world->disk, path).len,
                                .erases = true};
    sim_note(world, "%s is what it was, of %zu bytes", path, old.len);
    system->ops->damage(system, &damage);
    struct sp_fs *fs = sim_disk_process(world->disk, false);
    struct sp_file *file = NULL;
    sp_status status = fs->ops->open(fs, path, SP_FS_READ | SP_FS_WRITE, &file, NULL);
    sp_ensure(status == SP_OK);
    status = fs->ops->truncate(file, old.len, NULL);
    status =
        status == SP_OK && old.len > 0 ? fs->ops->write(file, old.ptr, old.len, 0, NULL) : status;
    status = status == SP_OK ? fs->ops->sync(file, NULL) : status;
    sp_ensure(status == SP_OK);
    fs->ops->close(file);
    fs->ops->destroy(fs);
}

/* Puts back zeros, as if a page had never been written. */
static void zero_again(struct sim_world *world, struct sim_system *system, const char *path) {
    static const char zeros[4 * PAGE];
    sp_str bytes = sim_disk_peek(world->disk, path);
    uint64_t offset = choose_offset(world, bytes);
    uint64_t grain = sim_chance(world, 50) ? SIM_SECTOR_BYTES : PAGE;
    offset = offset / grain * grain;
    uint64_t len = grain * (1 + sim_pick(world, 4));
    len = len < bytes.len - offset ? len : bytes.len - offset;
    struct sim_damage damage = {
        .kind = SIM_STORY_STALE, .path = path, .offset = offset, .len = len, .erases = true};
    sim_note(world, "%s holds zeros again from %llu, %llu bytes", path, (unsigned long long)offset,
             (unsigned long long)len);
    system->ops->damage(system, &damage);
    (void)sim_disk_poke(world->disk, path, offset, sp_str_of(zeros, (size_t)len));
}

static void make_stale(struct sim_world *world, struct sim_system *system, const char *path) {
    bool kept = world->older != NULL && sim_disk_peek(world->older, path).ptr != NULL;
    if (kept && sim_chance(world, 50)) {
        restore(world, system, path);
    } else {
        zero_again(world, system, path);
    }
}

typedef void damage_fn(struct sim_world *world, struct sim_system *system, const char *path);

static damage_fn *damage_of(enum sim_story story) {
    static damage_fn *const done_by[SIM_STORY_COUNT] = {
        [SIM_STORY_FLIP] = flip,
        [SIM_STORY_CUT] = cut,
        [SIM_STORY_DELETE] = delete,
        [SIM_STORY_STALE] = make_stale,
        [SIM_STORY_BAD_SECTOR] = spoil_sector,
    };
    return done_by[story];
}

void sim_do_damage(struct sim_world *world, struct sim_system *system) {
    damage_fn *fn = damage_of(world->story);
    if (fn == NULL || world->damaged) {
        return;
    }
    struct files *files = calloc(1, sizeof(*files));
    sp_ensure(files != NULL);
    files->fs = sim_disk_process(world->disk, true);
    list_files(files);
    const char *path = choose_file(world, files);
    if (path != NULL) {
        world->damaged = true;
        fn(world, system, path);
    }
    files->fs->ops->destroy(files->fs);
    free(files);
}
