/* Faults and declared damage: each does what sim/README.md says, when armed, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "disk_help.h"

enum { READ_WRITE = SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE };

static void arm(struct sim_disk *disk, enum sim_fault_kind kind, enum sim_op op, uint64_t amount) {
    sim_disk_arm(disk, &(struct sim_fault){
                           .kind = kind, .op = op, .countdown = 1, .repeat = 1, .amount = amount});
}

/* ---- when a fault fires ---- */

static void test_countdown_and_repeat(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    fill_durable(file, 'a', 0);
    sim_disk_arm(disk, &(struct sim_fault){
                           .kind = SIM_FAULT_EIO, .op = SIM_OP_READ, .countdown = 3, .repeat = 2});
    int expected[] = {'a', 'a', -2, -2, 'a'};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_int_equal(byte_at(file, 0), expected[i]);
        fill_durable(file, 'a', 0); /* other operations do not count */
    }
    assert_int_equal(sim_disk_fired(disk), 2);
    sim_disk_free(disk);
}

static void test_fault_of_one_path(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *log = open_file(fs, "1.seg", READ_WRITE);
    struct sp_file *manifest = open_file(fs, "MANIFEST", READ_WRITE);
    sim_disk_arm(disk, &(struct sim_fault){.kind = SIM_FAULT_EIO,
                                           .op = SIM_OP_WRITE_DURABLE,
                                           .path_end = ".seg",
                                           .countdown = 1,
                                           .repeat = UINT32_MAX});
    fill_durable(manifest, 'm', 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(try_fill(log, 'l', 0, true), SP_IO);
    }
    sim_disk_disarm(disk);
    fill_durable(log, 'l', 0);
    assert_int_equal(sim_disk_fired(disk), 10);
    sim_disk_free(disk);
}

static void test_fault_by_chance(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(5);
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    sim_disk_arm(disk, &(struct sim_fault){.kind = SIM_FAULT_NO_SPACE,
                                           .op = SIM_OP_SYNC,
                                           .chance_per_million = 200000,
                                           .repeat = 50});
    unsigned failed = 0;
    for (unsigned i = 0; i < 200; i++) {
        failed += fs->ops->sync(file, NULL) == SP_NO_SPACE;
    }
    assert_in_range(failed, 20, 50);
    assert_int_equal(sim_disk_fired(disk), failed);
    sim_disk_free(disk);
}

static bool note_nothing(void *context, sp_str name) {
    (void)context;
    (void)name;
    return true;
}

static void test_every_operation_can_fail(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    for (unsigned op = 0; op < SIM_OP_COUNT; op++) {
        arm(disk, SIM_FAULT_EIO, (enum sim_op)op, 0);
    }
    struct sp_file *none = NULL;
    uint64_t number = 0;
    assert_int_equal(fs->ops->open(fs, "f", SP_FS_READ, &none, NULL), SP_IO);
    assert_int_equal(byte_at(file, 0), -2);
    assert_int_equal(fs->ops->write(file, "x", 1, 0, NULL), SP_IO);
    assert_int_equal(try_fill(file, 'x', 0, true), SP_IO);
    assert_int_equal(fs->ops->sync(file, NULL), SP_IO);
    assert_int_equal(fs->ops->size(file, &number, NULL), SP_IO);
    assert_int_equal(fs->ops->truncate(file, 9, NULL), SP_IO);
    assert_int_equal(fs->ops->lock(file, NULL), SP_IO);
    assert_int_equal(fs->ops->rename(fs, "f", "g", NULL), SP_IO);
    assert_int_equal(fs->ops->unlink(fs, "f", NULL), SP_IO);
    assert_int_equal(fs->ops->mkdir(fs, "d", NULL), SP_IO);
    assert_int_equal(fs->ops->sync_dir(fs, "", NULL), SP_IO);
    assert_int_equal(fs->ops->list(fs, "", note_nothing, NULL, NULL), SP_IO);
    assert_int_equal(fs->ops->space(fs, &number, NULL), SP_IO);
    assert_int_equal(sim_disk_fired(disk), SIM_OP_COUNT);
    assert_true(exists(fs, "f") && !exists(fs, "g"));
    sim_disk_free(disk);
}

/* ---- failed writes and syncs ---- */

/* Any subset of the sectors, and the caller cannot know which: each outcome must occur. */
static void test_failed_durable_write_leaves_a_part(void **state) {
    (void)state;
    unsigned first_kept = 0;
    unsigned last_kept = 0;
    unsigned torn = 0;
    enum { SEEDS = 200 };
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = disk_of_seed(seed);
        struct sp_fs *fs = sim_disk_process(disk, false);
        struct sp_file *file = open_file(fs, "f", READ_WRITE | SP_FS_DIRECT);
        fill_durable(file, 'o', 0);
        arm(disk, SIM_FAULT_EIO, SIM_OP_WRITE_DURABLE, 0);
        assert_int_equal(try_fill(file, 'n', 0, true), SP_IO);
        int first = byte_at(file, 0);
        int last = byte_at(file, BLOCK - 1);
        assert_true((first == 'o' || first == 'n') && (last == 'o' || last == 'n'));
        first_kept += first == 'n';
        last_kept += last == 'n';
        torn += first != last;
        sim_disk_free(disk);
    }
    assert_in_range(first_kept, SEEDS / 5, SEEDS * 4 / 5);
    assert_in_range(last_kept, SEEDS / 5, SEEDS * 4 / 5);
    assert_true(torn > SEEDS / 10);
}

/*
 * The failed sync that every database got wrong: the second sync succeeds, buffered reads show the
 * new bytes, also to the next process, and the medium does not have them.
 */
static bool sync_fails_and_lies(uint64_t seed) {
    struct sim_disk *disk = disk_of_seed(seed);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "old");
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    put(file, "new", 0);
    arm(disk, SIM_FAULT_EIO, SIM_OP_SYNC, 0);
    assert_int_equal(fs->ops->sync(file, NULL), SP_IO);
    assert_int_equal(fs->ops->sync(file, NULL), SP_OK);
    sim_disk_kill(fs);
    fs = sim_disk_process(disk, false);
    assert_true(has_content(fs, "f", "new"));
    struct sp_file *direct = open_file(fs, "f", SP_FS_READ | SP_FS_DIRECT);
    int seen = byte_at(direct, 0);
    assert_true(seen == 'o' || seen == 'n');
    assert_int_equal(sim_disk_peek(disk, "f").ptr[0], seen);
    sim_disk_drop_caches(disk);
    assert_true(has_content(fs, "f", seen == 'o' ? "old" : "new"));
    sim_disk_crash(disk, SIM_CRASH_ANY);
    fs = sim_disk_process(disk, false);
    assert_true(has_content(fs, "f", seen == 'o' ? "old" : "new"));
    sim_disk_free(disk);
    return seen == 'o';
}

static void test_failed_sync_marks_pages_clean(void **state) {
    (void)state;
    unsigned lied = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        lied += sync_fails_and_lies(seed);
    }
    assert_in_range(lied, 20, 80);
}

static void test_what_is_written_after_a_failed_sync_is_durable(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(3);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "old");
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    put(file, "new", 0);
    arm(disk, SIM_FAULT_EIO, SIM_OP_SYNC, 0);
    assert_int_equal(fs->ops->sync(file, NULL), SP_IO);
    put(file, "NEW", 0);
    assert_int_equal(fs->ops->sync(file, NULL), SP_OK);
    sim_disk_crash(disk, SIM_CRASH_LOSE);
    assert_true(has_content(sim_disk_process(disk, false), "f", "NEW"));
    sim_disk_free(disk);
}

static void test_failed_folder_sync_decides_nothing(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    fill_durable(file, 'a', 0);
    arm(disk, SIM_FAULT_EIO, SIM_OP_SYNC_DIR, 0);
    assert_int_equal(fs->ops->sync_dir(fs, "", NULL), SP_IO);
    sim_disk_crash(disk, SIM_CRASH_LOSE);
    assert_false(exists(sim_disk_process(disk, false), "f"));
    sim_disk_free(disk);
}

/* ---- space ---- */

static void test_device_fills_up(void **state) {
    (void)state;
    struct sim_disk *disk =
        sim_disk_new(&(struct sim_disk_options){.seed = 1, .capacity_bytes = 3 * BLOCK});
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    uint64_t left = 0;
    fill_durable(file, 'a', 0);
    fill_durable(file, 'b', 1);
    assert_int_equal(fs->ops->space(fs, &left, NULL), SP_OK);
    assert_int_equal(left, BLOCK);
    fill_durable(file, 'c', 2);
    assert_int_equal(try_fill(file, 'd', 3, true), SP_NO_SPACE);
    assert_int_equal(try_fill(file, 'd', 3, false), SP_NO_SPACE);
    fill_durable(file, 'C', 2); /* what is there already needs no space */
    uint64_t size = 0;
    assert_int_equal(fs->ops->size(file, &size, NULL), SP_OK);
    assert_int_equal(size, 3 * BLOCK);
    struct sp_file *other = open_file(fs, "g", READ_WRITE);
    assert_int_equal(fs->ops->write(other, "x", 1, 0, NULL), SP_NO_SPACE);
    fs->ops->close(file);
    assert_int_equal(fs->ops->unlink(fs, "f", NULL), SP_OK);
    assert_int_equal(fs->ops->sync_dir(fs, "", NULL), SP_OK);
    fill_durable(other, 'g', 0);
    sim_disk_free(disk);
}

static void test_write_that_fits_in_part(void **state) {
    (void)state;
    struct sim_disk *disk =
        sim_disk_new(&(struct sim_disk_options){.seed = 1, .capacity_bytes = BLOCK + 100});
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    fill_durable(file, 'a', 0);
    assert_int_equal(try_fill(file, 'b', 1, true), SP_IO); /* cut short */
    assert_int_equal(byte_at(file, BLOCK + 99), 'b');
    assert_int_equal(byte_at(file, BLOCK + 100), -1);
    sim_disk_free(disk);
}

/* ---- declared damage ---- */

static void test_damage_in_place(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "0123456789");
    assert_true(sim_disk_flip_bit(disk, "f", 3, 6));
    assert_true(has_content(fs, "f", "012s456789"));
    assert_true(sim_disk_poke(disk, "f", 8, SP_STR("xy")));
    assert_true(has_content(fs, "f", "012s4567xy"));
    sim_disk_crash(disk, SIM_CRASH_LOSE);
    fs = sim_disk_process(disk, false);
    assert_true(has_content(fs, "f", "012s4567xy"));
    assert_true(sim_disk_cut(disk, "f", 4));
    assert_true(has_content(fs, "f", "012s"));
    assert_false(sim_disk_flip_bit(disk, "f", 4, 0));
    assert_false(sim_disk_poke(disk, "f", 3, SP_STR("ab")));
    assert_false(sim_disk_cut(disk, "f", 5));
    assert_false(sim_disk_flip_bit(disk, "missing", 0, 0));
    assert_true(sim_disk_delete(disk, "f"));
    assert_false(sim_disk_delete(disk, "f"));
    sim_disk_crash(disk, SIM_CRASH_KEEP);
    assert_false(exists(sim_disk_process(disk, false), "f"));
    sim_disk_free(disk);
}

static void test_bad_range(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    for (uint64_t block = 0; block < 3; block++) {
        fill_durable(file, 'a', block);
    }
    assert_false(sim_disk_bad_range(disk, "f", 3 * BLOCK, 1));
    assert_true(sim_disk_bad_range(disk, "f", BLOCK + 512, 512));
    assert_int_equal(byte_at(file, BLOCK + 511), 'a');
    assert_int_equal(byte_at(file, BLOCK + 512), -2);
    assert_int_equal(byte_at(file, BLOCK + 1023), -2);
    assert_int_equal(byte_at(file, BLOCK + 1024), 'a');
    fill_durable(file, 'b', 1);
    assert_int_equal(byte_at(file, BLOCK + 512), 'b');
    sim_disk_free(disk);
}

static void test_misplaced(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    fill_durable(file, 'a', 0);
    fill_durable(file, 'b', 1);
    arm(disk, SIM_FAULT_MISPLACED, SIM_OP_WRITE_DURABLE, BLOCK);
    fill_durable(file, 'n', 0);
    assert_int_equal(byte_at(file, 0), 'a');
    assert_int_equal(byte_at(file, BLOCK), 'n');
    arm(disk, SIM_FAULT_MISPLACED, SIM_OP_READ, BLOCK);
    assert_int_equal(byte_at(file, 0), 'n');
    assert_int_equal(byte_at(file, 0), 'a');
    sim_disk_free(disk);
}

static void test_lost_though_acknowledged(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    make_durable(fs, "f", "");
    struct sp_file *file = open_file(fs, "f", READ_WRITE | SP_FS_DIRECT);
    fill_durable(file, 'o', 0);
    arm(disk, SIM_FAULT_LOST, SIM_OP_WRITE_DURABLE, 0);
    fill_durable(file, 'n', 0);
    assert_int_equal(byte_at(file, 0), 'o');
    struct sp_file *cached = open_file(fs, "f", READ_WRITE);
    put(cached, "p", 0);
    arm(disk, SIM_FAULT_LOST, SIM_OP_SYNC, 0);
    assert_int_equal(fs->ops->sync(cached, NULL), SP_OK);
    sim_disk_crash(disk, SIM_CRASH_LOSE);
    file = open_file(sim_disk_process(disk, false), "f", SP_FS_READ);
    assert_int_equal(byte_at(file, 0), 'o');
    sim_disk_free(disk);
}

/* ---- time ---- */

static void test_operations_take_virtual_time(void **state) {
    (void)state;
    struct sim_clock clock = sim_clock_at(0);
    struct sim_disk *disk = sim_disk_new(&(struct sim_disk_options){.seed = 1, .clock = &clock});
    struct sp_fs *fs = sim_disk_process(disk, false);
    struct sp_file *file = open_file(fs, "f", READ_WRITE);
    uint64_t start = clock.monotonic_ns;
    fill_durable(file, 'a', 0);
    uint64_t quick = clock.monotonic_ns - start;
    assert_in_range(quick, 10000, 1000000);
    arm(disk, SIM_FAULT_STALL, SIM_OP_WRITE_DURABLE, 500000);
    start = clock.monotonic_ns;
    fill_durable(file, 'b', 0);
    assert_int_equal(clock.monotonic_ns - start, quick + 500000000u);
    assert_int_equal(byte_at(file, 0), 'b');
    sim_disk_free(disk);
}

/* ---- copies ---- */

static void test_clone_is_a_backup(void **state) {
    (void)state;
    struct sim_disk *disk = disk_of_seed(1);
    struct sp_fs *fs = sim_disk_process(disk, false);
    assert_int_equal(fs->ops->mkdir(fs, "d", NULL), SP_OK);
    assert_int_equal(fs->ops->sync_dir(fs, "", NULL), SP_OK);
    make_durable(fs, "d/f", "then");
    put(open_file(fs, "d/f", READ_WRITE), "????", 0);
    struct sim_disk *backup = sim_disk_clone(disk, &(struct sim_disk_options){.seed = 2});
    make_durable(fs, "d/f", "now");
    assert_true(sim_disk_hash(backup) != sim_disk_hash(disk));
    struct sp_fs *restored = sim_disk_process(backup, false);
    assert_true(has_content(restored, "d/f", "then"));
    assert_true(has_content(fs, "d/f", "now"));
    make_durable(restored, "d/f", "now");
    assert_int_equal(sim_disk_hash(backup), sim_disk_hash(disk));
    sim_disk_free(disk);
    sim_disk_free(backup);
}

/* Files come and go; what nobody can reach any more is not kept. */
static void test_replaced_files_are_freed(void **state) {
    (void)state;
    struct sim_disk *disk =
        sim_disk_new(&(struct sim_disk_options){.seed = 1, .capacity_bytes = 100});
    struct sp_fs *fs = sim_disk_process(disk, false);
    for (unsigned i = 0; i < 1000; i++) {
        make_durable(fs, "f", "0123456789012345678901234567890123456789");
    }
    uint64_t left = 0;
    assert_int_equal(fs->ops->space(fs, &left, NULL), SP_OK);
    assert_int_equal(left, 60);
    sim_disk_free(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_countdown_and_repeat),
        cmocka_unit_test(test_fault_of_one_path),
        cmocka_unit_test(test_fault_by_chance),
        cmocka_unit_test(test_every_operation_can_fail),
        cmocka_unit_test(test_failed_durable_write_leaves_a_part),
        cmocka_unit_test(test_failed_sync_marks_pages_clean),
        cmocka_unit_test(test_what_is_written_after_a_failed_sync_is_durable),
        cmocka_unit_test(test_failed_folder_sync_decides_nothing),
        cmocka_unit_test(test_device_fills_up),
        cmocka_unit_test(test_write_that_fits_in_part),
        cmocka_unit_test(test_damage_in_place),
        cmocka_unit_test(test_bad_range),
        cmocka_unit_test(test_misplaced),
        cmocka_unit_test(test_lost_though_acknowledged),
        cmocka_unit_test(test_operations_take_virtual_time),
        cmocka_unit_test(test_clone_is_a_backup),
        cmocka_unit_test(test_replaced_files_are_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
