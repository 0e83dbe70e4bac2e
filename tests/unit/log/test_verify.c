#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/wire.h"
#include "log/manifest.h"
#include "verify_help.h"

static void assert_clean(const struct verified *v) {
    if (v->count > 0) {
        print_said(v);
    }
    assert_int_equal(v->status, SP_OK);
    assert_int_equal(v->count, 0);
    assert_int_equal(v->result.finding_count, 0);
}

/* ---- what is whole ---- */

static void test_whole_log(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    struct verified *v = calloc(1, sizeof(*v));
    verify(fs, v);
    assert_clean(v);
    assert_int_equal(v->result.first_position, 1);
    assert_int_equal(v->result.last_position, 73);
    assert_int_equal(v->result.event_count, 73);
    assert_int_equal(v->result.record_count, 73 + 10);
    assert_int_equal(v->records, 73 + 10);
    assert_int_equal(v->next_position, 74);
    assert_int_equal(v->result.segments_sealed, 2);
    assert_int_equal(v->result.segments_raw, 1);
    assert_int_equal(v->segments, 3);
    assert_true(v->index_bytes > 0);
    assert_true(v->result.tree_whole);
    assert_false(v->result.live);
    free(v);
    memory_fs_free(fs);
}

/* Segments that hold only bookkeeping are a part of the log like any other. */
static void test_segments_without_events(void **state) {
    (void)state;
    struct memory_fs *fs = memory_fs_new();
    struct help_log help = {.wall_us = 0};
    help_open(&help, &fs->base);
    for (unsigned i = 0; i < 100; i++) {
        help_append(&help, i < 30 || i == 50 || i > 90 ? 2 : 0, 2, 40);
    }
    help_close(&help);
    struct verified *v = calloc(1, sizeof(*v));
    verify(fs, v);
    assert_clean(v);
    assert_int_equal(v->result.event_count, 80);
    assert_true(v->result.segments_sealed > 4);
    memory_fs_free(fs);
    fs = memory_fs_new();
    help = (struct help_log){.wall_us = 0};
    help_open(&help, &fs->base);
    for (unsigned i = 0; i < 50; i++) {
        help_append(&help, 0, 3, 0);
    }
    help_close(&help);
    verify(fs, v);
    assert_clean(v);
    assert_int_equal(v->result.event_count, 0);
    assert_int_equal(v->records, 150);
    free(v);
    memory_fs_free(fs);
}

/* With a thread of its own it says the same, over more than one batch. */
static void test_second_thread(void **state) {
    (void)state;
    struct memory_fs *fs = memory_fs_new();
    struct help_log help = {.wall_us = 0};
    help_open(&help, &fs->base);
    for (int i = 0; i < 100; i++) {
        help_append(&help, 200, 5, 80);
    }
    help_close(&help);
    struct verified *v = calloc(1, sizeof(*v));
    verify(fs, v);
    assert_clean(v);
    assert_int_equal(v->result.event_count, 20000);
    struct verified *other = calloc(1, sizeof(*other));
    struct sp_verify_options options = {.fs = &fs->base, .context = other};
    options.finding = NULL; /* never called */
    assert_int_equal(sp_verify_log(&options, &other->result, NULL), SP_OK);
    assert_memory_equal(&v->result, &other->result, sizeof(v->result));
    free(v);
    free(other);
    memory_fs_free(fs);
}

static void test_empty_folders(void **state) {
    (void)state;
    struct memory_fs *fs = memory_fs_new();
    struct verified *v = calloc(1, sizeof(*v));
    verify(fs, v);
    assert_int_equal(v->status, SP_NOT_FOUND);
    struct help_log help = {.wall_us = 0};
    help_open(&help, &fs->base);
    help_close(&help);
    verify(fs, v);
    assert_clean(v);
    assert_int_equal(v->result.first_position, 0);
    assert_int_equal(v->result.last_position, 0);
    free(v);
    memory_fs_free(fs);
}

/* A writer that died leaves no less than it acknowledged; nothing is wrong with its folder. */
static void test_crashed_folder(void **state) {
    (void)state;
    struct memory_fs *fs = memory_fs_new();
    struct help_log help = {.wall_us = 0};
    struct verified *v = calloc(1, sizeof(*v));
    help_open(&help, &fs->base);
    for (unsigned i = 0; i < 40; i++) {
        help_append(&help, 2, i % 2, 60);
        struct memory_fs *copy = memory_fs_copy(fs);
        verify(copy, v);
        if (v->result.finding_count > 0) {
            print_said(v);
        }
        assert_int_equal(v->status, SP_OK);
        assert_int_equal(v->result.finding_count, 0);
        assert_int_equal(v->result.last_position, 2 * (i + 1));
        memory_fs_free(copy);
    }
    help_close(&help);
    free(v);
    memory_fs_free(fs);
}

/* Beside a live writer only what a later block vouches for is durable for certain. */
static void test_live_writer(void **state) {
    (void)state;
    struct memory_fs *fs = memory_fs_new();
    struct help_log help = {.wall_us = 0};
    struct verified *v = calloc(1, sizeof(*v));
    help_open(&help, &fs->base);
    for (int i = 0; i < 20; i++) {
        help_append(&help, 1, 0, 60);
    }
    fs->locked = true;
    verify(fs, v);
    assert_clean(v);
    assert_true(v->result.live);
    assert_int_equal(v->result.last_position, 19);
    fs->locked = false;
    help_close(&help);
    free(v);
    memory_fs_free(fs);
}

static void test_trimmed_log(void **state) {
    (void)state;
    struct memory_fs *fs = memory_fs_new();
    struct help_log help = {.wall_us = 0};
    struct verified *v = calloc(1, sizeof(*v));
    help_open(&help, &fs->base);
    for (int i = 0; i < 100; i++) {
        help_append(&help, 3, 1, 60);
    }
    struct sp_log *log = help.log;
    assert_int_equal(log->ops->snapshot_store(log, 290, SP_STR("state"), NULL), SP_OK);
    assert_int_equal(log->ops->trim(log, 290, NULL), SP_OK);
    help_append(&help, 3, 1, 60);
    help_close(&help);
    verify(fs, v);
    assert_clean(v);
    assert_true(v->result.first_position > 1);
    assert_int_equal(v->result.last_position, 303);
    assert_int_equal(v->result.event_count, 303 + 1 - v->result.first_position);
    assert_true(v->result.tree_whole);
    /* And the log goes on from there. */
    help_open(&help, &fs->base);
    help_append(&help, 1, 0, 60);
    help_close(&help);
    verify(fs, v);
    assert_clean(v);
    free(v);
    memory_fs_free(fs);
}

static bool end_it(void *context, const struct sp_verify_finding *finding) {
    (void)context;
    (void)finding;
    return false;
}

static void test_callback_ends_it(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    memory_fs_remove(fs, "seg/0000000000000001.spoor");
    struct sp_verify_result result;
    struct sp_verify_options options = {.fs = &fs->base, .inline_jobs = true, .finding = end_it};
    assert_int_equal(sp_verify_log(&options, &result, NULL), SP_CANCELLED);
    assert_int_equal(result.finding_count, 1);
    memory_fs_free(fs);
}

/* ---- a write that was cut short ---- */

/* Bytes that a write left which nobody acknowledged are told, and are no fault. */
static void test_torn_tail_is_a_notice(void **state) {
    (void)state;
    struct memory_fs *fs = memory_fs_new();
    struct help_log help = {.wall_us = 0};
    struct verified *v = calloc(1, sizeof(*v));
    help_open(&help, &fs->base);
    for (int i = 0; i < 5; i++) {
        help_append(&help, 2, 0, 60);
    }
    struct memory_fs *before = memory_fs_copy(fs);
    help_append(&help, 20, 0, 100);
    const char *path = newest_raw(fs);
    struct memory_file *file = memory_fs_find(fs, path);
    uint64_t last = block_at(file, 5);
    assert_true(last > 0);
    memset(file->data + last + 1024, 0, 512);
    memory_fs_put(before, path, sp_str_of(file->data, file->len));
    help_close(&help);
    verify(before, v);
    assert_int_equal(v->status, SP_OK);
    assert_int_equal(v->result.finding_count, 0);
    assert_int_equal(v->result.notice_count, 1);
    assert_true(said_of(v, SP_VERIFY_NOTICE, path, 0));
    assert_int_equal(v->result.last_position, 10);
    assert_true(v->result.tree_whole);
    /* The next writer begins a new segment behind it, and then it is an old matter. */
    help_open(&help, &before->base);
    help_append(&help, 1, 0, 60);
    help_close(&help);
    verify(before, v);
    assert_int_equal(v->result.finding_count, 0);
    assert_int_equal(v->result.last_position, 11);
    free(v);
    memory_fs_free(before);
    memory_fs_free(fs);
}

/* ---- one byte ---- */

struct flip {
    struct memory_fs *fs;
    struct verified *v;
    unsigned count;
};

/* Flips one byte; something must be said of this very file, and of the event where one is known. */
static void flip(struct flip *flip, const char *path, uint64_t offset, uint64_t position,
                 bool notice) {
    struct memory_file *file = memory_fs_find(flip->fs, path);
    uint8_t *byte = &file->data[offset];
    *byte ^= (uint8_t)(offset % 3 == 0 ? 0xff : offset % 3 == 1 ? 0x01 : 0x80);
    verify(flip->fs, flip->v);
    bool found = flip->v->status == SP_OK &&
                 (said_of(flip->v, SP_VERIFY_DAMAGE, path, position) ||
                  said_of(flip->v, SP_VERIFY_ALTERATION, path, position) ||
                  (notice && said_of(flip->v, SP_VERIFY_NOTICE, path, position)));
    if (!found) {
        (void)fprintf(stderr, "%s: byte %llu, event %llu was not found:\n", path,
                      (unsigned long long)offset, (unsigned long long)position);
        print_said(flip->v);
    }
    assert_true(found);
    *byte ^= (uint8_t)(offset % 3 == 0 ? 0xff : offset % 3 == 1 ? 0x01 : 0x80);
    flip->count++;
}

static void flip_all(struct flip *flips, const char *path, uint64_t from, uint64_t until) {
    for (uint64_t at = from; at < until; at++) {
        flip(flips, path, at, 0, false);
    }
}

/* Every byte of the small files and of the sealed ones. */
static void test_flip_every_byte(void **state) {
    (void)state;
    struct flip flips = {.fs = small_log(), .v = calloc(1, sizeof(*flips.v))};
    for (size_t i = 0; i < flips.fs->count; i++) {
        const struct memory_file *file = &flips.fs->files[i];
        if (strcmp(file->path, "LOCK") != 0 && strncmp(file->path, "wal/", 4) != 0) {
            flip_all(&flips, file->path, 0, file->len);
        }
    }
    assert_true(flips.count > 3000);
    free(flips.v);
    memory_fs_free(flips.fs);
}

/*
 * Every byte of a raw segment that means something, with the event it belongs to; of zeros, a
 * sample.
 */
static void test_flip_raw_bytes(void **state) {
    (void)state;
    struct flip flips = {.fs = small_log(), .v = calloc(1, sizeof(*flips.v))};
    const char *path = newest_raw(flips.fs);
    const struct memory_file *file = memory_fs_find(flips.fs, path);
    flip_all(&flips, path, 0, 512);
    uint64_t end = 0;
    for (unsigned i = 0; block_at(file, i) != 0; i++) {
        uint64_t at = block_at(file, i);
        struct sp_block_header header;
        assert_int_equal(sp_block_read_header(sp_str_of(file->data + at, file->len - at), &header),
                         SP_OK);
        end = at + sp_block_stored_bytes(header.body_bytes);
        for (uint64_t b = 0; b < SP_BLOCK_HEADER_BYTES; b++) {
            flip(&flips, path, at + b, header.first_position, false);
        }
        struct sp_block_walk walk =
            sp_block_walk_of(sp_str_of(file->data + at + SP_BLOCK_HEADER_BYTES, header.body_bytes),
                             header.first_position);
        struct sp_record record;
        while (sp_block_walk_next(&walk, &record) == SP_OK) {
            bool event = record.kind == SP_RECORD_EVENT;
            uint64_t begin = (uint64_t)(record.bytes - file->data);
            for (uint64_t b = 0; b < record.size; b++) {
                flip(&flips, path, begin + b, event ? record.position : 0, false);
            }
        }
        for (uint64_t b = at + SP_BLOCK_HEADER_BYTES + header.body_bytes; b < end; b += 97) {
            flip(&flips, path, b, 0, false);
        }
    }
    for (uint64_t b = end; b < file->len; b += 1009) {
        flip(&flips, path, b, 0, true); /* as a torn write might leave it */
    }
    assert_true(flips.count > 2000);
    free(flips.v);
    memory_fs_free(flips.fs);
}

/* A spare is all zeros: what is not would one day pass for a torn write. */
static void test_flip_spare(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    struct flip flips = {.fs = fs, .v = calloc(1, sizeof(*flips.v))};
    char path[64] = "";
    for (size_t i = 0; i < fs->count; i++) {
        struct sp_raw_header header;
        const struct memory_file *file = &fs->files[i];
        if (strncmp(file->path, "wal/", 4) == 0 &&
            sp_raw_header_decode(sp_str_of(file->data, file->len), &header) == SP_NOT_FOUND) {
            (void)snprintf(path, sizeof(path), "%s", file->path);
        }
    }
    assert_true(path[0] != '\0');
    for (uint64_t at = 0; at < HELP_SEGMENT_BYTES; at += 4093) {
        flip(&flips, path, at, 0, false);
    }
    free(flips.v);
    memory_fs_free(fs);
}

/* Every file cut to every length, by a coarser step. */
static void test_cut_files(void **state) {
    (void)state;
    struct memory_fs *fs = small_log();
    struct verified *v = calloc(1, sizeof(*v));
    for (size_t i = 0; i < fs->count; i++) {
        struct memory_file *file = &fs->files[i];
        size_t len = file->len;
        bool live_raw = strcmp(file->path, newest_raw(fs)) == 0;
        if (strcmp(file->path, "LOCK") == 0 || (strncmp(file->path, "wal/", 4) == 0 && !live_raw)) {
            continue;
        }
        size_t step = live_raw ? 4096 : len / 23 + 1;
        for (file->len = 0; file->len < len; file->len += step) {
            verify(fs, v);
            bool found = said_of(v, SP_VERIFY_DAMAGE, file->path, 0) ||
                         said_of(v, SP_VERIFY_ALTERATION, file->path, 0) ||
                         said_of(v, SP_VERIFY_ALTERATION, "checkpoint", 0);
            if (!found) {
                (void)fprintf(stderr, "%s cut to %zu bytes was not found\n", file->path, file->len);
            }
            assert_true(found && v->status == SP_OK);
        }
        file->len = len;
    }
    verify(fs, v);
    assert_clean(v);
    free(v);
    memory_fs_free(fs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_log),
        cmocka_unit_test(test_segments_without_events),
        cmocka_unit_test(test_second_thread),
        cmocka_unit_test(test_empty_folders),
        cmocka_unit_test(test_crashed_folder),
        cmocka_unit_test(test_live_writer),
        cmocka_unit_test(test_trimmed_log),
        cmocka_unit_test(test_callback_ends_it),
        cmocka_unit_test(test_torn_tail_is_a_notice),
        cmocka_unit_test(test_flip_every_byte),
        cmocka_unit_test(test_flip_raw_bytes),
        cmocka_unit_test(test_flip_spare),
        cmocka_unit_test(test_cut_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
