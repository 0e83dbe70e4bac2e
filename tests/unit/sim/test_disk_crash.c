/* What a power failure may take from the simulated disk, and what it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/prng.h"
#include "disk_help.h"

enum { READ_WRITE = SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE };

/* ---- extremes ---- */

static void test_unsynced_is_lost(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "synced");
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    put(file, "unsynced", 0);
    struct sp_file *made = open_file(fs, "g", READ_WRITE);
    put(made, "nameless", 0);
    assert_int_equal(fs->ops->sync(made, NULL), SP_OK); /* its bytes, not its name */
    assert_int_equal(fs->ops->unlink(fs, "f", NULL), SP_OK);
    sim_disk_crash(disk, SIM_CRASH_LOSE);
    fs = sim_disk_process(disk, false);
    assert_true(has_content(fs, "f", "synced"));
    assert_false(exists(fs, "g"));
    sim_disk_free(disk);
}

static void test_unsynced_may_be_kept(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "first");
    put(open_file(fs, "f", READ_WRITE), "SECOND", 0);
    put(open_file(fs, "g", READ_WRITE), "new", 0);
    sim_disk_crash(disk, SIM_CRASH_KEEP);
    fs = sim_disk_process(disk, false);
    assert_true(has_content(fs, "f", "SECOND"));
    assert_true(has_content(fs, "g", "new"));
    sim_disk_free(disk);
}

static void test_names_need_their_own_folder(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    assert_int_equal(fs->ops->mkdir(fs, "kept", NULL), SP_OK);
    assert_int_equal(fs->ops->sync_dir(fs, "", NULL), SP_OK);
    assert_int_equal(fs->ops->mkdir(fs, "lost", NULL), SP_OK);
    make_durable(fs, "kept/f", "here");
    make_durable(fs, "lost/f", "gone with its folder");
    sim_disk_crash(disk, SIM_CRASH_LOSE);
    fs = sim_disk_process(disk, false);
    assert_true(has_content(fs, "kept/f", "here"));
    assert_int_equal(fs->ops->sync_dir(fs, "lost", NULL), SP_NOT_FOUND);
    sim_disk_free(disk);
}

/* Between two folders, each folder's sync decides about its own half. */
static void test_rename_between_folders(void **state) {
    (void)state;
    for (unsigned synced = 0; synced < 2; synced++) {
        struct sim_disk *disk = disk_of_seed(1);
        struct sp_fs *fs = sim_disk_process(disk, false);
        assert_int_equal(fs->ops->mkdir(fs, "a", NULL), SP_OK);
        assert_int_equal(fs->ops->mkdir(fs, "b", NULL), SP_OK);
        assert_int_equal(fs->ops->sync_dir(fs, "", NULL), SP_OK);
        make_durable(fs, "a/f", "moving");
        assert_int_equal(fs->ops->rename(fs, "a/f", "b/f", NULL), SP_OK);
        assert_int_equal(fs->ops->sync_dir(fs, synced == 0 ? "b" : "a", NULL), SP_OK);
        sim_disk_crash(disk, SIM_CRASH_LOSE);
        fs = sim_disk_process(disk, false);
        assert_int_equal(exists(fs, "a/f"), synced == 0);
        assert_int_equal(exists(fs, "b/f"), synced == 0);
        sim_disk_free(disk);
    }
}

static void test_durable_write_covers_itself_and_the_size(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "old text that is cut off");
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    assert_int_equal(fs->ops->truncate(file, 3, NULL), SP_OK);
    assert_int_equal(try_fill(file, 'p', 1, false), SP_OK);
    assert_int_equal(try_fill(file, 'o', 2, false), SP_OK);
    fill_durable(file, 'd', 2);
    sim_disk_crash(disk, SIM_CRASH_LOSE);
    file = open_file(sim_disk_process(disk, false), "f", SP_FS_READ);
    assert_int_equal(byte_at(file, 2), 'd'); /* of "old" */
    assert_int_equal(byte_at(file, 3), 0);
    assert_int_equal(byte_at(file, BLOCK), 0);
    assert_int_equal(byte_at(file, 2 * BLOCK), 'd');
    assert_int_equal(byte_at(file, 3 * BLOCK - 1), 'd');
    assert_int_equal(byte_at(file, 3 * BLOCK), -1);
    sim_disk_free(disk);
}

/* An older un-synced write never comes back over a durable one. */
static void test_durable_write_wins_over_older(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_disk *disk = disk_of_seed(seed);
        struct sp_fs *fs = sim_disk_process(disk, false);
        make_durable(fs, "f", "");
        struct sp_file *file = open_file(fs, "f", READ_WRITE);
        char text[2 * BLOCK + 1];
        memset(text, 'o', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        put(file, text, BLOCK / 2);
        fill_durable(file, 'd', 1);
        sim_disk_crash(disk, SIM_CRASH_ANY);
        file = open_file(sim_disk_process(disk, false), "f", SP_FS_READ);
        for (uint64_t at = BLOCK; at < 2 * BLOCK; at += SIM_SECTOR_BYTES) {
            assert_int_equal(byte_at(file, at), 'd');
        }
        sim_disk_free(disk);
    }
}

/* ---- what becomes of those who were there ---- */

static void test_handles_die_with_the_power(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "text");
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    assert_int_equal(fs->ops->lock(file, NULL), SP_OK);
    sim_disk_crash(disk, SIM_CRASH_ANY);
    struct sp_fs *next = sim_disk_process(disk, false);
    struct sp_file *theirs = open_file(next, "f", READ_WRITE);
    assert_int_equal(next->ops->lock(theirs, NULL), SP_OK);
    struct sp_file *none = NULL;
    uint64_t size = 0;
    struct sp_error error;
    assert_int_equal(byte_at(file, 0), -2);
    assert_int_equal(fs->ops->write(file, "x", 1, 0, &error), SP_IO);
    assert_non_null(strstr(error.text, "write f"));
    assert_int_equal(try_fill(file, 'x', 0, true), SP_IO);
    assert_int_equal(fs->ops->sync(file, NULL), SP_IO);
    assert_int_equal(fs->ops->size(file, &size, NULL), SP_IO);
    assert_int_equal(fs->ops->truncate(file, 0, NULL), SP_IO);
    assert_int_equal(fs->ops->lock(file, NULL), SP_IO);
    assert_int_equal(fs->ops->open(fs, "f", SP_FS_READ, &none, NULL), SP_IO);
    assert_int_equal(fs->ops->rename(fs, "f", "g", NULL), SP_IO);
    assert_int_equal(fs->ops->unlink(fs, "f", NULL), SP_IO);
    assert_int_equal(fs->ops->mkdir(fs, "d", NULL), SP_IO);
    assert_int_equal(fs->ops->sync_dir(fs, "", NULL), SP_IO);
    assert_true(has_content(next, "f", "text"));
    fs->ops->close(file); /* in order, late */
    fs->ops->destroy(fs);
    sim_disk_free(disk);
}

static void test_kill_loses_only_handles(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    put(file, "unsynced", 0);
    assert_int_equal(fs->ops->lock(file, NULL), SP_OK);
    struct sp_fs *other = sim_disk_process(disk, false);
    struct sp_file *theirs = open_file(other, "f", READ_WRITE);
    assert_int_equal(other->ops->lock(theirs, NULL), SP_BUSY);
    sim_disk_kill(fs);
    assert_int_equal(other->ops->lock(theirs, NULL), SP_OK);
    assert_int_equal(fs->ops->write(file, "x", 1, 0, NULL), SP_IO);
    assert_true(has_content(other, "f", "unsynced"));
    assert_int_equal(other->ops->sync(theirs, NULL), SP_OK);
    assert_int_equal(other->ops->sync_dir(other, "", NULL), SP_OK);
    sim_disk_crash(disk, SIM_CRASH_LOSE);
    assert_true(has_content(sim_disk_process(disk, false), "f", "unsynced"));
    sim_disk_free(disk);
}

static void test_power_fails_in_the_middle(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    uint64_t before = sim_disk_op_count(disk);
    sim_disk_crash_at(disk, 2);
    put(file, "x", 0);
    assert_int_equal(byte_at(file, 0), 'x'); /* reading is no changing operation */
    assert_false(sim_disk_is_down(disk));
    assert_int_equal(fs->ops->sync(file, NULL), SP_IO);
    assert_true(sim_disk_is_down(disk));
    assert_int_equal(sim_disk_op_count(disk), before + 2);
    assert_int_equal(byte_at(file, 0), -2);
    sim_disk_crash(disk, SIM_CRASH_KEEP);
    assert_false(sim_disk_is_down(disk));
    fs = sim_disk_process(disk, false);
    assert_true(has_content(fs, "f", "x"));
    sim_disk_crash_at(disk, 1);
    sim_disk_crash_at(disk, 0);
    make_durable(fs, "f", "disarmed");
    sim_disk_free(disk);
}

/* ---- torn writes: every outcome that the model names does occur, and no other ---- */

struct outcomes {
    unsigned whole;
    unsigned none;
    unsigned sectors; /* torn within a block */
    unsigned blocks;  /* torn between blocks only */
};

/* Sorts one outcome of a write of 'n' over 'o', whose sectors must each be one or the other. */
static void note_outcome(struct outcomes *outcomes, struct sp_file *file, unsigned blocks) {
    unsigned fresh = 0;
    unsigned mixed_blocks = 0;
    unsigned per_block = BLOCK / SIM_SECTOR_BYTES;
    for (unsigned block = 0; block < blocks; block++) {
        unsigned in_block = 0;
        for (unsigned sector = 0; sector < per_block; sector++) {
            uint64_t at = (uint64_t)block * BLOCK + sector * SIM_SECTOR_BYTES;
            int first = byte_at(file, at);
            assert_true(first == 'n' || first == 'o');
            assert_int_equal(byte_at(file, at + SIM_SECTOR_BYTES - 1), first);
            in_block += first == 'n';
        }
        fresh += in_block;
        mixed_blocks += in_block != 0 && in_block != per_block;
    }
    outcomes->whole += fresh == blocks * per_block;
    outcomes->none += fresh == 0;
    bool torn = fresh != 0 && fresh != blocks * per_block;
    outcomes->sectors += torn && mixed_blocks > 0;
    outcomes->blocks += torn && mixed_blocks == 0;
}

static void test_durable_write_cut_off(void **state) {
    (void)state;
    enum { BLOCKS = 4, SEEDS = 300 };
    struct outcomes outcomes = {0};
    uint8_t *bytes = aligned_alloc(BLOCK, BLOCKS * BLOCK);
    assert_non_null(bytes);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = disk_of_seed(seed);
        struct sp_fs *fs = sim_disk_process(disk, false);
        make_durable(fs, "f", "");
        struct sp_file *file = open_file(fs, "f", READ_WRITE | SP_FS_DIRECT);
        memset(bytes, 'o', BLOCKS * BLOCK);
        sp_status status = fs->ops->write_durable(file, bytes, BLOCKS * BLOCK, 0, NULL);
        assert_int_equal(status, SP_OK);
        memset(bytes, 'n', BLOCKS * BLOCK);
        sim_disk_crash_at(disk, 1);
        status = fs->ops->write_durable(file, bytes, BLOCKS * BLOCK, 0, NULL);
        assert_int_equal(status, SP_IO);
        sim_disk_crash(disk, SIM_CRASH_ANY);
        file = open_file(sim_disk_process(disk, false), "f", SP_FS_READ | SP_FS_DIRECT);
        note_outcome(&outcomes, file, BLOCKS);
        sim_disk_free(disk);
    }
    free(bytes);
    assert_true(outcomes.whole > SEEDS / 20 && outcomes.none > SEEDS / 20);
    assert_true(outcomes.sectors > SEEDS / 20 && outcomes.blocks > SEEDS / 20);
}

/* What a lost write leaves in the new part of a file: nothing, zeros, or garbage. */
static void test_new_size_without_the_bytes(void **state) {
    (void)state;
    unsigned absent = 0;
    unsigned zero = 0;
    unsigned garbage = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct sim_disk *disk = disk_of_seed(seed);
        struct sp_fs *fs = sim_disk_process(disk, false);
        make_durable(fs, "f", "");
        struct sp_file *file = open_file(fs, "f", READ_WRITE);
        assert_int_equal(try_fill(file, 'n', 0, false), SP_OK);
        sim_disk_crash(disk, SIM_CRASH_ANY);
        file = open_file(sim_disk_process(disk, false), "f", SP_FS_READ);
        int last = byte_at(file, BLOCK - 1);
        absent += last == -1;
        zero += last == 0;
        garbage += last > 0 && last != 'n';
        sim_disk_free(disk);
    }
    assert_true(absent > 40 && zero > 10 && garbage > 10);
}

/* ---- an oracle over random work ---- */

enum { SECTORS = 64, STEPS = 60, PENDING_MAX = STEPS };

/* What each sector of a file may hold: the durable byte, or any written since. */
struct oracle {
    uint8_t durable[SECTORS];
    uint8_t latest[SECTORS];
    uint8_t pending[SECTORS][PENDING_MAX];
    unsigned pending_count[SECTORS];
};

static void oracle_write(struct oracle *oracle, unsigned first, unsigned count, uint8_t fill) {
    for (unsigned i = first; i < first + count; i++) {
        oracle->latest[i] = fill;
        oracle->pending[i][oracle->pending_count[i]++] = fill;
    }
}

static void oracle_settle(struct oracle *oracle, unsigned first, unsigned count) {
    for (unsigned i = first; i < first + count; i++) {
        oracle->durable[i] = oracle->latest[i];
        oracle->pending_count[i] = 0;
    }
}

static bool oracle_allows(const struct oracle *oracle, unsigned sector, int byte) {
    bool allowed = byte == oracle->durable[sector];
    for (unsigned i = 0; i < oracle->pending_count[sector]; i++) {
        allowed = allowed || byte == oracle->pending[sector][i];
    }
    return allowed;
}

/* One random operation, told to the oracle. */
static void random_step(struct sp_file *file, struct oracle *oracle, struct sp_prng *prng,
                        uint8_t fill) {
    static uint8_t bytes[SECTORS * SIM_SECTOR_BYTES] __attribute__((aligned(BLOCK)));
    unsigned first = sp_prng_below(prng, SECTORS);
    unsigned count = 1 + sp_prng_below(prng, SECTORS - first);
    unsigned per_block = BLOCK / SIM_SECTOR_BYTES;
    memset(bytes, fill, sizeof(bytes));
    uint64_t offset = (uint64_t)first * SIM_SECTOR_BYTES;
    switch (sp_prng_below(prng, 4)) {
    case 0:
        first -= first % per_block;
        offset = (uint64_t)first * SIM_SECTOR_BYTES;
        oracle_write(oracle, first, per_block, fill);
        assert_int_equal(file->fs->ops->write_durable(file, bytes, BLOCK, offset, NULL), SP_OK);
        oracle_settle(oracle, first, per_block);
        break;
    case 1:
        assert_int_equal(file->fs->ops->sync(file, NULL), SP_OK);
        oracle_settle(oracle, 0, SECTORS);
        break;
    default:
        oracle_write(oracle, first, count, fill);
        assert_int_equal(
            file->fs->ops->write(file, bytes, (size_t)count * SIM_SECTOR_BYTES, offset, NULL),
            SP_OK);
        break;
    }
}

/* Returns how many sectors the crash took back to what was durable. */
static unsigned random_work_and_crash(uint64_t seed) {
    struct oracle *oracle = calloc(1, sizeof(*oracle));
    assert_non_null(oracle);
    struct sp_prng prng = sp_prng_seed(seed);
    struct sim_disk *disk = disk_of_seed(seed);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "");
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    for (unsigned block = 0; block < SECTORS * SIM_SECTOR_BYTES / BLOCK; block++) {
        fill_durable(file, 0, block);
    }
    unsigned steps = sp_prng_below(&prng, STEPS);
    for (unsigned step = 0; step < steps; step++) {
        random_step(file, oracle, &prng, (uint8_t)(step + 1));
    }
    for (unsigned i = 0; i < SECTORS; i++) {
        assert_int_equal(byte_at(file, (uint64_t)i * SIM_SECTOR_BYTES), oracle->latest[i]);
    }
    sim_disk_crash(disk, SIM_CRASH_ANY);
    file = open_file(sim_disk_process(disk, false), "f", SP_FS_READ);
    unsigned taken_back = 0;
    for (unsigned i = 0; i < SECTORS; i++) {
        int byte = byte_at(file, (uint64_t)i * SIM_SECTOR_BYTES);
        assert_true(oracle_allows(oracle, i, byte));
        assert_int_equal(byte_at(file, (uint64_t)(i + 1) * SIM_SECTOR_BYTES - 1), byte);
        taken_back += byte != oracle->latest[i];
    }
    sim_disk_free(disk);
    free(oracle);
    return taken_back;
}

static void test_durable_bytes_never_vanish(void **state) {
    (void)state;
    unsigned taken_back = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        taken_back += random_work_and_crash(seed);
    }
    assert_true(taken_back > 1000); /* the crash did take what it may */
}

/* ---- the smallest protocol that must hold ---- */

static uint64_t replace_ops(void) {
    struct sim_disk *disk = disk_of_seed(0);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "old");
    uint64_t before = sim_disk_op_count(disk);
    make_durable(fs, "f", "the new one");
    uint64_t count = sim_disk_op_count(disk) - before;
    sim_disk_free(disk);
    return count;
}

/* Crashes a replacement at one operation; true where the new content survived. */
static bool crash_replace(uint64_t seed, uint64_t at, uint64_t count) {
    struct sim_disk *disk = disk_of_seed(seed);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "old");
    sim_disk_crash_at(disk, at);
    sp_status status = sp_fs_replace(fs, "f", SP_STR("the new one"), NULL);
    assert_int_equal(status, at > count ? SP_OK : SP_IO);
    sim_disk_crash(disk, SIM_CRASH_ANY);
    fs = sim_disk_process(disk, false);
    bool renewed = has_content(fs, "f", "the new one");
    assert_true(renewed || has_content(fs, "f", "old"));
    assert_true(renewed || at <= count);
    make_durable(fs, "f", "after recovery");
    assert_true(has_content(fs, "f", "after recovery"));
    sim_disk_free(disk);
    return renewed;
}

static void test_replace_is_atomic_at_every_operation(void **state) {
    (void)state;
    uint64_t count = replace_ops();
    assert_true(count >= 5);
    unsigned renewed = 0;
    unsigned stayed = 0;
    for (uint64_t at = 1; at <= count + 1; at++) {
        for (uint64_t seed = 0; seed < 100; seed++) {
            bool is_new = crash_replace(seed, at, count);
            renewed += is_new;
            stayed += !is_new;
        }
    }
    assert_true(renewed > 100 && stayed > 100);
}

/* The same without the sync: the model must catch it, or it would catch nothing. */
static void test_replace_without_sync_is_caught(void **state) {
    (void)state;
    unsigned neither = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct sim_disk *disk = disk_of_seed(seed);
        struct sp_fs *fs = sim_disk_process(disk, false);
        make_durable(fs, "f", "old");
        struct sp_file *file = open_file(fs, "g", SP_FS_WRITE | SP_FS_CREATE);
        put(file, "new", 0);
        assert_int_equal(fs->ops->rename(fs, "g", "f", NULL), SP_OK);
        assert_int_equal(fs->ops->sync_dir(fs, "", NULL), SP_OK);
        sim_disk_crash(disk, SIM_CRASH_ANY);
        fs = sim_disk_process(disk, false);
        neither += !has_content(fs, "f", "old") && !has_content(fs, "f", "new");
        sim_disk_free(disk);
    }
    assert_true(neither > 20);
}

/* ---- determinism ---- */

static uint64_t hash_after_work(uint64_t seed) {
    struct sim_disk *disk = disk_of_seed(seed);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "text");
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    for (uint8_t i = 0; i < 20; i++) {
        assert_int_equal(try_fill(file, i, i % 5, false), SP_OK);
    }
    assert_int_equal(fs->ops->rename(fs, "f", "g", NULL), SP_OK);
    sim_disk_crash(disk, SIM_CRASH_ANY);
    uint64_t hash = sim_disk_hash(disk);
    sim_disk_free(disk);
    return hash;
}

static void test_seed_decides(void **state) {
    (void)state;
    unsigned different = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_int_equal(hash_after_work(seed), hash_after_work(seed));
        different += hash_after_work(seed) != hash_after_work(seed + 1);
    }
    assert_true(different > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsynced_is_lost),
        cmocka_unit_test(test_unsynced_may_be_kept),
        cmocka_unit_test(test_names_need_their_own_folder),
        cmocka_unit_test(test_rename_between_folders),
        cmocka_unit_test(test_durable_write_covers_itself_and_the_size),
        cmocka_unit_test(test_durable_write_wins_over_older),
        cmocka_unit_test(test_handles_die_with_the_power),
        cmocka_unit_test(test_kill_loses_only_handles),
        cmocka_unit_test(test_power_fails_in_the_middle),
        cmocka_unit_test(test_durable_write_cut_off),
        cmocka_unit_test(test_new_size_without_the_bytes),
        cmocka_unit_test(test_durable_bytes_never_vanish),
        cmocka_unit_test(test_replace_is_atomic_at_every_operation),
        cmocka_unit_test(test_replace_without_sync_is_caught),
        cmocka_unit_test(test_seed_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
