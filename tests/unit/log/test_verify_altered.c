/* Alterations by one who computes the checksums again: the hashes tell all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/wire.h"
#include "forge.h"
#include "log/manifest.h"
#include "verify_help.h"

#define SEALED_1 "seg/0000000000000001.spoor"
#define SEALED_2 "seg/0000000000000002.spoor"

struct scene {
    struct memory_fs *fs;
    struct verified v;
};

static int set_up(void **state) {
    struct scene *scene = calloc(1, sizeof(*scene));
    scene->fs = small_log();
    *state = scene;
    return 0;
}

static int tear_down(void **state) {
    struct scene *scene = *state;
    memory_fs_free(scene->fs);
    free(scene);
    return 0;
}

static struct scene *scene_of(void **state) {
    return *state;
}

static void check(struct scene *scene, bool expected) {
    if (!expected) {
        print_said(&scene->v);
    }
    assert_true(expected);
}

/* Verifies; an alteration of this very event, and of no other one, must have been found. */
static void assert_names(struct scene *scene, const char *file, uint64_t position) {
    verify(scene->fs, &scene->v);
    assert_int_equal(scene->v.status, SP_OK);
    bool exact = false;
    for (size_t i = 0; i < scene->v.count && i < SAID_MAX; i++) {
        const struct said *said = &scene->v.said[i];
        exact |= said->finding.level == SP_VERIFY_ALTERATION &&
                 said->finding.first_position == position &&
                 said->finding.last_position == position && strcmp(said->file, file) == 0;
    }
    check(scene, exact);
}

/* Verifies; something that holds `part` was said of the file and of the event (0: whichever). */
static void assert_says(struct scene *scene, const char *file, uint64_t position,
                        const char *part) {
    verify(scene->fs, &scene->v);
    assert_int_equal(scene->v.status, SP_OK);
    const struct said *said = said_that(&scene->v, part);
    check(scene, said != NULL && strcmp(said->file, file) == 0 &&
                     said->finding.level == SP_VERIFY_ALTERATION);
    if (position != 0) {
        check(scene,
              said->finding.first_position <= position && said->finding.last_position >= position);
    }
}

/* ---- raw segments ---- */

/* The event `index` of a block. */
static struct sp_record event_at(struct memory_file *file, uint64_t block, unsigned index) {
    struct sp_block_header header;
    assert_int_equal(
        sp_block_read_header(sp_str_of(file->data + block, file->len - block), &header), SP_OK);
    struct sp_block_walk walk =
        sp_block_walk_of(sp_str_of(file->data + block + SP_BLOCK_HEADER_BYTES, header.body_bytes),
                         header.first_position);
    struct sp_record record;
    for (;;) {
        assert_int_equal(sp_block_walk_next(&walk, &record), SP_OK);
        if (record.kind == SP_RECORD_EVENT && index-- == 0) {
            return record;
        }
    }
}

/* Changes the last byte of an event's data, or of its header where it has none. */
static void change_event(struct memory_file *file, const struct sp_record *record, bool fix_tag) {
    sp_str changed = record->data.len > 0 ? record->data : record->header;
    uint64_t at = (uint64_t)((const uint8_t *)changed.ptr - file->data) + changed.len - 1;
    uint64_t begin = (uint64_t)(record->bytes - file->data);
    file->data[at] ^= 1;
    if (fix_tag) {
        sp_put_u32(file->data + begin + 4,
                   sp_record_tag(file->data + begin, record->size, record->position));
    }
}

static void test_raw_event_without_tag(void **state) {
    struct scene *scene = scene_of(state);
    const char *path = newest_raw(scene->fs);
    struct memory_file *file = memory_fs_find(scene->fs, path);
    uint64_t block = block_at(file, 2);
    struct sp_record record = event_at(file, block, 1);
    change_event(file, &record, false);
    reseal_block(file, block);
    rechain(file, block);
    assert_names(scene, path, record.position);
}

/* With tag, body, header and the whole chain in order, the roots in later headers tell. */
static void test_raw_event_with_everything(void **state) {
    struct scene *scene = scene_of(state);
    struct memory_file *file = memory_fs_find(scene->fs, newest_raw(scene->fs));
    for (unsigned index = 0; block_at(file, index + 1) != 0; index++) {
        struct memory_fs *whole = memory_fs_copy(scene->fs);
        uint64_t block = block_at(file, index);
        struct sp_record record = event_at(file, block, 0);
        struct sp_block_header header;
        assert_int_equal(
            sp_block_read_header(sp_str_of(file->data + block, file->len - block), &header), SP_OK);
        change_event(file, &record, true);
        reseal_block(file, block);
        rechain(file, block);
        verify(scene->fs, &scene->v);
        check(scene, scene->v.result.finding_count == 1 &&
                         scene->v.said[0].finding.level == SP_VERIFY_ALTERATION &&
                         scene->v.said[0].finding.first_position == header.first_position &&
                         scene->v.said[0].finding.last_position ==
                             header.first_position + header.event_count - 1);
        assert_false(scene->v.result.tree_whole);
        memory_fs_free(scene->fs);
        scene->fs = whole;
        file = memory_fs_find(scene->fs, newest_raw(scene->fs));
    }
}

/* In the last block only the checkpoint tells. */
static void test_raw_last_event_with_everything(void **state) {
    struct scene *scene = scene_of(state);
    struct memory_file *file = memory_fs_find(scene->fs, newest_raw(scene->fs));
    unsigned last = 0;
    while (block_at(file, last + 1) != 0) {
        last++;
    }
    uint64_t block = block_at(file, last);
    struct sp_record record = event_at(file, block, 0);
    change_event(file, &record, true);
    reseal_block(file, block);
    assert_says(scene, "checkpoint", record.position, "names another root");
}

static void test_raw_event_without_chain(void **state) {
    struct scene *scene = scene_of(state);
    const char *path = newest_raw(scene->fs);
    struct memory_file *file = memory_fs_find(scene->fs, path);
    uint64_t block = block_at(file, 1);
    struct sp_record record = event_at(file, block, 0);
    change_event(file, &record, true);
    reseal_block(file, block);
    assert_says(scene, path, record.position, "it was altered");
}

/*
 * Takes block `index` out of a raw file and moves up what follows; its place in the file is
 * corrected.
 */
static void remove_block(struct memory_file *file, unsigned index, bool renumber) {
    uint64_t at = block_at(file, index);
    uint64_t next = block_at(file, index + 1);
    struct sp_block_header removed;
    struct sp_block_header header;
    assert_int_equal(sp_block_read_header(sp_str_of(file->data + at, file->len - at), &removed),
                     SP_OK);
    uint64_t step = next - at;
    memmove(file->data + at, file->data + next, file->len - next);
    memset(file->data + file->len - step, 0, step);
    uint64_t prev = removed.prev_check;
    while (at < file->len &&
           sp_block_read_header(sp_str_of(file->data + at, file->len - at), &header) == SP_OK) {
        header.file_offset = at;
        if (renumber) {
            header.number--;
            header.first_position -= removed.event_count;
            header.prev_check = prev;
            header.durable_upto--;
        }
        sp_block_finish(file->data + at, &header);
        prev = header.check;
        at += sp_block_stored_bytes(header.body_bytes);
    }
}

static void test_raw_block_removed(void **state) {
    struct scene *scene = scene_of(state);
    const char *path = newest_raw(scene->fs);
    struct memory_file *file = memory_fs_find(scene->fs, path);
    struct sp_record record = event_at(file, block_at(file, 2), 0);
    remove_block(file, 2, false);
    assert_says(scene, path, record.position, "were removed");
}

/*
 * Renumbered, the records' tags, which know their positions, no longer fit, and the end is
 * missing.
 */
static void test_raw_block_removed_and_renumbered(void **state) {
    struct scene *scene = scene_of(state);
    const char *path = newest_raw(scene->fs);
    struct memory_file *file = memory_fs_find(scene->fs, path);
    struct sp_record record = event_at(file, block_at(file, 2), 0);
    remove_block(file, 2, true);
    assert_says(scene, path, record.position, "its tag does not fit");
    check(scene, said_of(&scene->v, SP_VERIFY_ALTERATION, "checkpoint", 73));
}

/* Two blocks of one page each change places. */
static void swap_blocks(struct memory_file *file, unsigned a, unsigned b, bool fix_place) {
    uint8_t page[SP_BLOCK_ALIGN];
    uint64_t at[2] = {block_at(file, a), block_at(file, b)};
    memcpy(page, file->data + at[0], sizeof(page));
    memcpy(file->data + at[0], file->data + at[1], sizeof(page));
    memcpy(file->data + at[1], page, sizeof(page));
    for (int i = 0; fix_place && i < 2; i++) {
        struct sp_block_header header;
        assert_int_equal(sp_block_read_header(sp_str_of(file->data + at[i], sizeof(page)), &header),
                         SP_OK);
        header.file_offset = at[i];
        sp_block_finish(file->data + at[i], &header);
    }
}

static void test_raw_blocks_swapped(void **state) {
    struct scene *scene = scene_of(state);
    const char *path = newest_raw(scene->fs);
    struct memory_file *file = memory_fs_find(scene->fs, path);
    struct sp_record record = event_at(file, block_at(file, 1), 0);
    swap_blocks(file, 1, 3, false);
    assert_says(scene, path, record.position, "belongs elsewhere");
}

static void test_raw_blocks_swapped_in_place(void **state) {
    struct scene *scene = scene_of(state);
    const char *path = newest_raw(scene->fs);
    struct memory_file *file = memory_fs_find(scene->fs, path);
    swap_blocks(file, 1, 3, true);
    assert_says(scene, path, 0, "reordered");
}

static void test_raw_tail_cut_off(void **state) {
    struct scene *scene = scene_of(state);
    struct memory_file *file = memory_fs_find(scene->fs, newest_raw(scene->fs));
    uint64_t block = block_at(file, 3);
    struct sp_record record = event_at(file, block, 0);
    memset(file->data + block, 0, file->len - block);
    assert_says(scene, "checkpoint", record.position, "cut off");
    assert_int_equal(scene->v.result.last_position, record.position - 1);
}

static void test_raw_segment_deleted(void **state) {
    struct scene *scene = scene_of(state);
    char path[64];
    (void)snprintf(path, sizeof(path), "%s", newest_raw(scene->fs));
    memory_fs_remove(scene->fs, path);
    assert_says(scene, "checkpoint", 73, "cut off");
}

/* A header whose root was changed is told from events that were. */
static void test_raw_root_altered(void **state) {
    struct scene *scene = scene_of(state);
    const char *path = newest_raw(scene->fs);
    struct memory_file *file = memory_fs_find(scene->fs, path);
    uint64_t block = block_at(file, 2);
    file->data[block + 110] ^= 4;
    reseal_block(file, block);
    rechain(file, block);
    assert_says(scene, path, 0, "the header was altered, not the events");
    assert_int_equal(scene->v.result.finding_count, 1);
    assert_true(scene->v.result.tree_whole);
}

/* ---- sealed files ---- */

static void test_sealed_event(void **state) {
    struct scene *scene = scene_of(state);
    forge_sealed(&(struct forgery){.fs = scene->fs, .id = 1, .position = 9, .manifest = true});
    assert_names(scene, SEALED_1, 9);
    assert_int_equal(scene->v.result.finding_count, 1);
}

/* Each event of both files, one at a time. */
static void test_sealed_every_event(void **state) {
    struct scene *scene = scene_of(state);
    for (uint64_t position = 1; position <= 60; position++) {
        struct memory_fs *whole = memory_fs_copy(scene->fs);
        uint64_t id = position <= 31 ? 1 : 2;
        forge_sealed(
            &(struct forgery){.fs = scene->fs, .id = id, .position = position, .manifest = true});
        assert_names(scene, id == 1 ? SEALED_1 : SEALED_2, position);
        memory_fs_free(scene->fs);
        scene->fs = whole;
    }
}

static void test_sealed_without_manifest(void **state) {
    struct scene *scene = scene_of(state);
    forge_sealed(&(struct forgery){.fs = scene->fs, .id = 2, .position = 40});
    assert_names(scene, SEALED_2, 40);
    assert_says(scene, SEALED_2, 40, "not the one that MANIFEST names");
}

static void test_sealed_with_tags(void **state) {
    struct scene *scene = scene_of(state);
    forge_sealed(&(struct forgery){
        .fs = scene->fs, .id = 2, .position = 40, .tags = true, .manifest = true});
    assert_says(scene, SEALED_2, 40, "is not the one of its events");
}

/* With everything of the file in order, the next file's beginning does not fit. */
static void test_sealed_with_tree(void **state) {
    struct scene *scene = scene_of(state);
    forge_sealed(&(struct forgery){.fs = scene->fs,
                                   .id = 1,
                                   .position = 9,
                                   .tags = true,
                                   .tiles_and_tree = true,
                                   .manifest = true});
    assert_says(scene, SEALED_2, 40, "the Merkle tree before event");
}

/* And of the last one, the roots that the raw segment behind it remembers. */
static void test_last_sealed_with_tree(void **state) {
    struct scene *scene = scene_of(state);
    forge_sealed(&(struct forgery){.fs = scene->fs,
                                   .id = 2,
                                   .position = 40,
                                   .tags = true,
                                   .tiles_and_tree = true,
                                   .manifest = true});
    assert_says(scene, newest_raw(scene->fs), 40, "names another root");
}

static void test_sealed_events_swapped(void **state) {
    struct scene *scene = scene_of(state);
    forge_sealed(&(struct forgery){
        .fs = scene->fs, .id = 1, .position = 8, .swap_with = 9, .manifest = true});
    assert_names(scene, SEALED_1, 8);
    assert_names(scene, SEALED_1, 9);
}

static void test_sealed_event_removed(void **state) {
    struct scene *scene = scene_of(state);
    forge_sealed(&(struct forgery){.fs = scene->fs, .id = 1, .leave_out = 20, .manifest = true});
    assert_names(scene, SEALED_1, 20);
    const struct said *said = said_that(&scene->v, "are missing");
    check(scene, said != NULL && strcmp(said->file, SEALED_2) == 0);
}

static void test_sealed_files_swapped(void **state) {
    struct scene *scene = scene_of(state);
    struct memory_file *one = memory_fs_find(scene->fs, SEALED_1);
    struct memory_file *two = memory_fs_find(scene->fs, SEALED_2);
    struct memory_file copy = *one;
    one->data = two->data;
    one->len = two->len;
    two->data = copy.data;
    two->len = copy.len;
    verify(scene->fs, &scene->v);
    assert_int_equal(scene->v.status, SP_OK);
    check(scene, said_of(&scene->v, SP_VERIFY_DAMAGE, SEALED_1, 9) &&
                     said_of(&scene->v, SP_VERIFY_DAMAGE, SEALED_2, 40));
    check(scene, said_that(&scene->v, "files were swapped") != NULL);
}

static void test_sealed_file_deleted(void **state) {
    struct scene *scene = scene_of(state);
    memory_fs_remove(scene->fs, SEALED_2);
    verify(scene->fs, &scene->v);
    check(scene, said_of(&scene->v, SP_VERIFY_ALTERATION, SEALED_2, 40) &&
                     scene->v.result.finding_count == 1);
    assert_true(scene->v.result.event_count < 73);
    memory_fs_remove(scene->fs, SEALED_1);
    verify(scene->fs, &scene->v);
    assert_int_equal(scene->v.result.finding_count, 2);
}

/* ---- the manifest, the checkpoint, snapshots ---- */

static void put_manifest(struct scene *scene, struct sp_manifest *manifest) {
    struct sp_buf bytes;
    sp_buf_init(&bytes, 1 << 20);
    sp_manifest_encode(manifest, &bytes);
    memory_fs_put(scene->fs, SP_MANIFEST_PATH, sp_buf_str(&bytes));
    sp_buf_fini(&bytes);
    sp_manifest_fini(manifest);
}

/* An old manifest hides the newest sealed file: it is found, named and verified all the same. */
static void test_manifest_rolled_back(void **state) {
    struct scene *scene = scene_of(state);
    struct sp_manifest manifest;
    assert_int_equal(sp_manifest_load(&scene->fs->base, &manifest, NULL), SP_OK);
    manifest.segment_count = 1;
    put_manifest(scene, &manifest);
    assert_says(scene, SEALED_2, 40, "MANIFEST does not name the file");
    assert_int_equal(scene->v.result.finding_count, 1);
    assert_int_equal(scene->v.result.event_count, 73);
    assert_true(scene->v.result.tree_whole);
}

/* And opening with it refuses, and destroys nothing. */
static void test_opening_rolled_back_keeps_files(void **state) {
    struct scene *scene = scene_of(state);
    struct sp_manifest manifest;
    assert_int_equal(sp_manifest_load(&scene->fs->base, &manifest, NULL), SP_OK);
    manifest.segment_count = 1;
    put_manifest(scene, &manifest);
    struct sp_log *log = NULL;
    struct sp_log_local_options options = {
        .fs = &scene->fs->base, .clock = sp_clock_system(), .inline_jobs = true};
    assert_int_equal(sp_log_local_open(&options, &log, NULL, NULL), SP_OK);
    assert_int_equal(log->ops->recover(log, NULL, NULL, NULL), SP_CORRUPT);
    log->ops->close(log);
    assert_non_null(memory_fs_find(scene->fs, SEALED_2));
}

static void test_manifest_missing(void **state) {
    struct scene *scene = scene_of(state);
    memory_fs_remove(scene->fs, SP_MANIFEST_PATH);
    assert_says(scene, SP_MANIFEST_PATH, 0, "it is missing");
    assert_int_equal(scene->v.result.finding_count, 1);
    assert_int_equal(scene->v.result.event_count, 73);
}

/* A manifest that pretends that the log was trimmed. */
static void test_manifest_trimmed_by_hand(void **state) {
    struct scene *scene = scene_of(state);
    struct sp_manifest manifest;
    assert_int_equal(sp_manifest_load(&scene->fs->base, &manifest, NULL), SP_OK);
    manifest.first_block = manifest.segments[1].first_block;
    manifest.first_position = manifest.segments[1].first_position;
    manifest.first_prev_check = manifest.segments[0].last_check;
    manifest.segments[0] = manifest.segments[1];
    manifest.segment_count = 1;
    put_manifest(scene, &manifest);
    verify(scene->fs, &scene->v);
    check(scene, said_of(&scene->v, SP_VERIFY_NOTICE, SEALED_1, 0));
}

static void test_checkpoint_altered(void **state) {
    struct scene *scene = scene_of(state);
    struct memory_file *file = memory_fs_find(scene->fs, "checkpoint");
    file->data[38 + 1 + 2] = '4'; /* the size, from 73 to … */
    verify(scene->fs, &scene->v);
    check(scene, said_of(&scene->v, SP_VERIFY_DAMAGE, "checkpoint", 0) ||
                     said_of(&scene->v, SP_VERIFY_ALTERATION, "checkpoint", 0));
}

static void test_checkpoint_missing(void **state) {
    struct scene *scene = scene_of(state);
    memory_fs_remove(scene->fs, "checkpoint");
    assert_says(scene, "checkpoint", 0, "it is missing");
    assert_int_equal(scene->v.result.finding_count, 1);
}

static void test_snapshot_of_the_future(void **state) {
    struct scene *scene = scene_of(state);
    struct memory_file *file = memory_fs_find(scene->fs, newest_raw(scene->fs));
    uint64_t block = block_at(file, 3);
    memset(file->data + block, 0, file->len - block);
    memory_fs_remove(scene->fs, "checkpoint");
    assert_says(scene, "snap/0000000000000049.snap", 73, "a snapshot was taken after event");
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(test_raw_event_without_tag),
        CASE(test_raw_event_with_everything),
        CASE(test_raw_last_event_with_everything),
        CASE(test_raw_event_without_chain),
        CASE(test_raw_block_removed),
        CASE(test_raw_block_removed_and_renumbered),
        CASE(test_raw_blocks_swapped),
        CASE(test_raw_blocks_swapped_in_place),
        CASE(test_raw_tail_cut_off),
        CASE(test_raw_segment_deleted),
        CASE(test_raw_root_altered),
        CASE(test_sealed_event),
        CASE(test_sealed_every_event),
        CASE(test_sealed_without_manifest),
        CASE(test_sealed_with_tags),
        CASE(test_sealed_with_tree),
        CASE(test_last_sealed_with_tree),
        CASE(test_sealed_events_swapped),
        CASE(test_sealed_event_removed),
        CASE(test_sealed_files_swapped),
        CASE(test_sealed_file_deleted),
        CASE(test_manifest_rolled_back),
        CASE(test_opening_rolled_back_keeps_files),
        CASE(test_manifest_missing),
        CASE(test_manifest_trimmed_by_hand),
        CASE(test_checkpoint_altered),
        CASE(test_checkpoint_missing),
        CASE(test_snapshot_of_the_future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
