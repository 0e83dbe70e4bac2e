/*
 * What is particular to the local driver: its options, its folder, and what it says when something
 * there is missing or damaged. What all logs have in common is in tests/conformance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "log/sealed.h"
#include "verify_help.h"

static sp_status pass_over(void *context, uint64_t segment_id, const struct sp_log_chunk *chunk,
                           struct sp_error *error) {
    (void)context;
    (void)segment_id;
    (void)chunk;
    (void)error;
    return SP_OK;
}

struct opening {
    sp_status status;
    struct sp_log_opened opened;
    struct sp_log_progress progress;
    struct sp_error error;
};

static struct sp_log_local_options plain_options(struct memory_fs *fs) {
    return (struct sp_log_local_options){
        .fs = &fs->base,
        .clock = sp_clock_system(),
        .inline_jobs = true,
        .block_bytes_max = HELP_BLOCK_BYTES,
        .segment_bytes_min = HELP_SEGMENT_BYTES,
        .segment_bytes_max = HELP_SEGMENT_BYTES,
    };
}

/* Opens, recovers, looks, and closes again. */
static struct opening try_open(const struct sp_log_local_options *options) {
    struct opening opening = {.error = {.status = SP_OK}};
    struct sp_log *log = NULL;
    opening.status = sp_log_local_open(options, &log, &opening.opened, &opening.error);
    if (opening.status != SP_OK) {
        assert_null(log);
        return opening;
    }
    opening.status = log->ops->recover(log, pass_over, NULL, &opening.error);
    if (opening.status == SP_OK) {
        log->ops->poll(log, &opening.progress);
        sp_log_local_cut(log, &opening.opened);
    }
    log->ops->close(log);
    return opening;
}

static void test_options_are_checked(void **state) {
    (void)state;
    struct memory_fs *fs = memory_fs_new();
    const struct {
        uint32_t block;
        uint64_t least;
        uint64_t most;
        sp_status expected;
    } rows[] = {
        {64 << 10, 68 << 10, 68 << 10, SP_OK},
        {64 << 10, 1 << 20, 68 << 10, SP_OK}, /* the smaller one counts */
        {60 << 10, 1 << 20, 1 << 20, SP_INVALID},
        {65 << 20, 100 << 20, 100 << 20, SP_INVALID},
        {(64 << 10) + 1, 1 << 20, 1 << 20, SP_INVALID},
        {64 << 10, 64 << 10, 1 << 20, SP_INVALID},
        {64 << 10, (1 << 20) + 1, 2 << 20, SP_INVALID},
        {64 << 10, 1 << 20, UINT64_C(1) << 31, SP_INVALID},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sp_log_local_options options = plain_options(fs);
        options.create = true;
        options.block_bytes_max = rows[i].block;
        options.segment_bytes_min = rows[i].least;
        options.segment_bytes_max = rows[i].most;
        assert_int_equal(try_open(&options).status, rows[i].expected);
    }
    memory_fs_free(fs);
}

static void test_made_only_when_asked(void **state) {
    (void)state;
    struct memory_fs *fs = memory_fs_new();
    struct sp_log_local_options options = plain_options(fs);
    assert_int_equal(try_open(&options).status, SP_NOT_FOUND);
    options.create = true;
    struct opening first = try_open(&options);
    assert_int_equal(first.status, SP_OK);
    assert_true(first.opened.created);
    struct opening second = try_open(&options);
    assert_int_equal(second.status, SP_OK);
    assert_false(second.opened.created);
    assert_memory_equal(first.opened.uuid, second.opened.uuid, 16);
    assert_int_equal(first.opened.uuid[6] >> 4, 4);
    memory_fs_free(fs);
}

static void test_says_who_holds_it(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    struct sp_log_local_options options = plain_options(fs);
    fs->locked = true;
    struct opening opening = try_open(&options);
    assert_int_equal(opening.status, SP_BUSY);
    assert_int_equal(opening.opened.holder_pid, sp_process_id());
    options.read_only = true;
    opening = try_open(&options);
    assert_int_equal(opening.status, SP_OK);
    assert_true(opening.opened.live_writer);
    memory_fs_free(fs);
}

static void expect_corrupt(struct memory_fs *fs, const char *said) {
    struct sp_log_local_options options = plain_options(fs);
    options.create = true; /* nothing may be made over what is left */
    for (int i = 0; i < 2; i++) {
        size_t files = fs->count;
        struct opening opening = try_open(&options);
        assert_int_equal(opening.status, SP_CORRUPT);
        if (strstr(opening.error.text, said) == NULL) {
            fail_msg("said: %s", opening.error.text);
        }
        assert_true(fs->count >= files); /* what could still be repaired is left alone */
    }
}

static void test_missing_manifest(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    memory_fs_remove(fs, "MANIFEST");
    expect_corrupt(fs, "MANIFEST is missing");
    memory_fs_free(fs);
}

static void test_missing_sealed_segment(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    char path[SP_SEALED_PATH_BYTES];
    sp_sealed_path(1, path);
    memory_fs_remove(fs, path);
    expect_corrupt(fs, path);
    memory_fs_free(fs);
}

/* The checkpoint says how far the log went. */
static void test_missing_newest_segment(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    memory_fs_remove(fs, newest_raw(fs));
    expect_corrupt(fs, "vouches for");
    memory_fs_free(fs);
}

static void test_older_manifest(void **state) {
    (void)state;
    struct memory_fs *fs = memory_fs_new();
    struct help_log help = {.wall_us = 0};
    help_open(&help, &fs->base);
    const struct memory_file *file = memory_fs_find(fs, "MANIFEST");
    assert_non_null(file);
    struct sp_buf older;
    sp_buf_init(&older, 4096);
    sp_buf_add(&older, file->data, file->len);
    for (unsigned i = 0; i < 40; i++) {
        help_append(&help, 2, 0, 100);
    }
    help_close(&help);
    memory_fs_put(fs, "MANIFEST", sp_buf_str(&older));
    expect_corrupt(fs, "missing or damaged");
    char path[SP_SEALED_PATH_BYTES];
    sp_sealed_path(1, path);
    assert_non_null(memory_fs_find(fs, path)); /* it is the only copy of its events */
    sp_buf_fini(&older);
    memory_fs_free(fs);
}

static void test_cut_raw_file(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    struct memory_file *file = memory_fs_find(fs, newest_raw(fs));
    assert_non_null(file);
    file->len -= 4096;
    expect_corrupt(fs, "should have");
    memory_fs_free(fs);
}

static void test_lost_segment_header(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    memory_fs_remove(fs, "checkpoint");
    struct memory_file *file = memory_fs_find(fs, newest_raw(fs));
    assert_non_null(file);
    memset(file->data, 0, SP_RAW_HEADER_BYTES);
    expect_corrupt(fs, "without a segment header");
    memory_fs_free(fs);
}

static void test_damaged_last_block(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    memory_fs_remove(fs, "checkpoint"); /* even where nothing vouches for it */
    struct memory_file *file = memory_fs_find(fs, newest_raw(fs));
    assert_non_null(file);
    unsigned last = 0;
    while (block_at(file, last + 1) != 0) {
        last++;
    }
    file->data[block_at(file, last) + SP_BLOCK_HEADER_BYTES + 50] ^= 1;
    expect_corrupt(fs, "acknowledged data is damaged");
    memory_fs_free(fs);
}

static void test_torn_write_is_cut_and_said(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    struct help_log help = {.wall_us = 0};
    help_open(&help, &fs->base);
    help_append(&help, 5, 0, 400); /* of several sectors */
    help_close(&help);
    struct sp_log_local_options options = plain_options(fs);
    struct opening whole = try_open(&options);
    assert_int_equal(whole.status, SP_OK);
    assert_false(whole.opened.cut);
    memory_fs_remove(fs, "checkpoint");
    char path[SP_FS_PATH_BYTES_MAX];
    (void)snprintf(path, sizeof(path), "%s", newest_raw(fs));
    struct memory_file *file = memory_fs_find(fs, path);
    assert_non_null(file);
    unsigned last = 0;
    while (block_at(file, last + 1) != 0) {
        last++;
    }
    uint64_t offset = block_at(file, last);
    memset(file->data + offset, 0, SP_BLOCK_SECTOR_BYTES);
    struct opening cut = try_open(&options);
    assert_int_equal(cut.status, SP_OK);
    assert_true(cut.opened.cut);
    assert_string_equal(cut.opened.cut_file, path);
    assert_int_equal(cut.opened.cut_offset, offset);
    assert_true(cut.opened.cut_bytes > 0);
    assert_int_equal(cut.progress.head_block, whole.progress.head_block - 1);
    struct opening after = try_open(&options); /* a new segment follows; what was torn stays */
    assert_int_equal(after.status, SP_OK);
    assert_false(after.opened.cut);
    assert_int_equal(after.progress.head_block, cut.progress.head_block);
    memory_fs_free(fs);
}

static void test_damaged_checkpoint_is_made_anew(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    memory_fs_put(fs, "checkpoint", SP_STR("no checkpoint at all"));
    struct help_log help = {.wall_us = 0};
    help_open(&help, &fs->base);
    help_append(&help, 1, 0, 100);
    help_close(&help);
    const struct memory_file *file = memory_fs_find(fs, "checkpoint");
    assert_non_null(file);
    assert_memory_equal(file->data, "spoor/", 6);
    memory_fs_free(fs);
}

static void test_damaged_snapshot_is_passed_over(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    struct help_log help = {.wall_us = 0};
    help_open(&help, &fs->base);
    uint64_t first = help.position;
    help_append(&help, 1, 0, 100);
    const struct sp_log_ops *ops = help.log->ops;
    assert_int_equal(ops->snapshot_store(help.log, help.position, SP_STR("newer"), NULL), SP_OK);
    help_close(&help);
    for (size_t i = 0; i < fs->count; i++) {
        struct memory_file *file = &fs->files[i];
        char position[17];
        (void)snprintf(position, sizeof(position), "%016llx", (unsigned long long)help.position);
        if (strstr(file->path, position) != NULL && strncmp(file->path, "snap/", 5) == 0) {
            file->data[file->len - 1] ^= 1;
        }
    }
    help_open(&help, &fs->base);
    struct sp_buf bytes;
    uint64_t position = 0;
    sp_buf_init(&bytes, 1000);
    assert_int_equal(ops->snapshot_load(help.log, &bytes, &position, NULL), SP_OK);
    assert_int_equal(position, first);
    assert_true(sp_str_eq(sp_buf_str(&bytes), SP_STR("some state")));
    sp_buf_fini(&bytes);
    help_close(&help);
    memory_fs_free(fs);
}

static void count_segment(void *context, const struct sp_log_segment_info *info) {
    uint64_t *next = context;
    assert_int_equal(info->first_position, *next);
    assert_int_equal(info->sealed, info->sealed_file != NULL);
    *next = info->last_position + 1;
}

static void test_listing_and_figures(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    struct help_log help = {.wall_us = 0};
    help_open(&help, &fs->base);
    uint64_t next = 1;
    sp_log_local_segments(help.log, count_segment, &next);
    assert_int_equal(next, help.position + 1);
    struct sp_log_local_stats stats;
    sp_log_local_stats(help.log, &stats);
    assert_int_equal(stats.segments_sealed, 2);
    assert_int_equal(stats.segments_raw, 1);
    assert_int_equal(stats.segments_waiting, 0);
    assert_int_equal(stats.background, SP_OK);
    assert_true(stats.bytes_sealed > 0 && stats.bytes_raw > 0);
    help_close(&help);
    memory_fs_free(fs);
}

static struct sp_log_progress progress_of(const struct help_log *help) {
    struct sp_log_progress progress;
    help->log->ops->poll(help->log, &progress);
    return progress;
}

/* Durable at once, synced before a snapshot is stored, and when the log is closed. */
static void test_what_is_durable_is_synced_later(void **state) {
    (void)state;
    const enum sp_log_local_durability rows[] = {SP_LOG_DURABLE_INTERVAL, SP_LOG_DURABLE_OS};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct memory_fs *fs = memory_fs_new();
        struct help_log help = {
            .keeps_raw = true, .durability = rows[i], .sync_period_us = UINT64_C(1) << 40};
        struct sp_log_description description;
        help_open(&help, &fs->base);
        help.log->ops->describe(help.log, &description);
        assert_int_equal(description.durability, SP_LOG_OS_CACHED);
        help_append(&help, 3, 0, 100);
        struct sp_log_progress progress = progress_of(&help);
        assert_int_equal(progress.durable_block, progress.head_block);
        assert_true(progress.durable_block > 0);
        uint64_t block = progress.durable_block;
        assert_int_equal(
            help.log->ops->snapshot_store(help.log, help.position, SP_STR("state"), NULL), SP_OK);
        assert_int_equal(progress_of(&help).synced_block, block);
        help_append(&help, 1, 0, 100);
        help_close(&help);
        struct sp_log_local_options options = plain_options(fs);
        struct opening opening = try_open(&options); /* and now each block is synced */
        assert_int_equal(opening.status, SP_OK);
        assert_int_equal(opening.progress.durable_block, opening.progress.synced_block);
        assert_int_equal(opening.progress.durable_position, 4);
        memory_fs_free(fs);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_are_checked),
        cmocka_unit_test(test_made_only_when_asked),
        cmocka_unit_test(test_says_who_holds_it),
        cmocka_unit_test(test_missing_manifest),
        cmocka_unit_test(test_missing_sealed_segment),
        cmocka_unit_test(test_missing_newest_segment),
        cmocka_unit_test(test_older_manifest),
        cmocka_unit_test(test_cut_raw_file),
        cmocka_unit_test(test_lost_segment_header),
        cmocka_unit_test(test_damaged_last_block),
        cmocka_unit_test(test_torn_write_is_cut_and_said),
        cmocka_unit_test(test_damaged_checkpoint_is_made_anew),
        cmocka_unit_test(test_damaged_snapshot_is_passed_over),
        cmocka_unit_test(test_listing_and_figures),
        cmocka_unit_test(test_what_is_durable_is_synced_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
