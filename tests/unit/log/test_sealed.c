/* Sealed files: what sealing wrote is read, and damage costs no more than the frame it lies in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "log/sealed.h"
#include "record/block.h"
#include "verify_help.h"

struct rig {
    struct memory_fs *fs;
    struct memory_file *file; /* of segment 1 */
    struct sp_log_sealed *sealed;
    struct sp_sealed_scratch *scratch;
};

static int set_up(void **state) {
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    struct help_log help = {.wall_us = 0};
    rig->fs = memory_fs_new();
    help_open(&help, &rig->fs->base);
    for (unsigned i = 0; i < 60; i++) { /* several frames, and control records between them */
        help_append(&help, 20 + i % 9, i % 3, 40);
    }
    help_close(&help);
    char path[SP_SEALED_PATH_BYTES];
    sp_sealed_path(1, path);
    rig->file = memory_fs_find(rig->fs, path);
    assert_non_null(rig->file);
    assert_int_equal(sp_log_sealed_open(&rig->fs->base, 1, &rig->sealed, NULL), SP_OK);
    rig->scratch = sp_sealed_scratch_new();
    assert_non_null(rig->scratch);
    *state = rig;
    return 0;
}

static int tear_down(void **state) {
    struct rig *rig = *state;
    sp_sealed_scratch_free(rig->scratch);
    sp_log_sealed_unref(rig->sealed);
    memory_fs_free(rig->fs);
    free(rig);
    return 0;
}

/* Reads one frame; returns the number of its events. */
static sp_status read_frame(struct rig *rig, uint32_t frame, uint64_t first_position,
                            uint32_t *ret_events, struct sp_error *error) {
    sp_str rows;
    sp_status status = sp_log_sealed_read(rig->sealed, frame, rig->scratch, &rows, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_block_walk walk = sp_block_walk_of(rows, first_position);
    struct sp_record record;
    while ((status = sp_block_walk_next(&walk, &record)) == SP_OK) {
        if (record.kind == SP_RECORD_EVENT) {
            char scratch[SP_RECORD_SCRATCH_BYTES];
            struct sp_event event;
            assert_int_equal(sp_record_decode(&record, scratch, &event), SP_OK);
            assert_true(sp_str_eq(event.attr[SP_ATTR_TYPE], SP_STR("task.completed")));
        }
    }
    assert_int_equal(status, SP_END);
    *ret_events = (uint32_t)(walk.next_position - first_position);
    return SP_OK;
}

static void test_all_frames_are_read(void **state) {
    struct rig *rig = *state;
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(rig->sealed);
    assert_int_equal(footer->id, 1);
    assert_int_equal(footer->first_position, 1);
    assert_true(footer->last_position > 64);
    assert_int_equal(sp_log_sealed_bytes(rig->sealed), rig->file->len);
    uint64_t position = footer->first_position;
    for (uint32_t i = 0; i < footer->frame_count; i++) {
        struct sp_sealed_frame row;
        uint32_t events = 0;
        assert_int_equal(sp_log_sealed_frame(rig->sealed, i, &row, NULL), SP_OK);
        assert_int_equal(footer->first_position + row.first_ordinal, position);
        assert_int_equal(read_frame(rig, i, position, &events, NULL), SP_OK);
        assert_int_equal(events, row.event_count);
        position += events;
    }
    assert_int_equal(position, footer->last_position + 1);
}

static void test_every_position_is_found(void **state) {
    struct rig *rig = *state;
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(rig->sealed);
    uint64_t position = footer->first_position;
    for (; position <= footer->last_position; position++) {
        uint32_t frame = 0;
        struct sp_sealed_frame row;
        assert_int_equal(sp_log_sealed_find(rig->sealed, position, &frame, NULL), SP_OK);
        assert_int_equal(sp_log_sealed_frame(rig->sealed, frame, &row, NULL), SP_OK);
        uint64_t ordinal = position - footer->first_position;
        assert_true(ordinal >= row.first_ordinal && ordinal - row.first_ordinal < row.event_count);
    }
}

static void test_sections(void **state) {
    struct rig *rig = *state;
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(rig->sealed);
    uint64_t events = footer->last_position - footer->first_position + 1;
    struct sp_buf bytes;
    sp_buf_init(&bytes, 1 << 20);
    assert_int_equal(sp_log_sealed_section_all(rig->sealed, SP_SECTION_INDEX, &bytes, NULL), SP_OK);
    assert_true(sp_str_eq(sp_buf_str(&bytes), SP_STR("index of segment 1")));
    char part[5];
    assert_int_equal(sp_log_sealed_section(rig->sealed, SP_SECTION_INDEX, 9, 5, part, NULL), SP_OK);
    assert_memory_equal(part, "segme", 5);
    uint64_t len = bytes.len;
    assert_int_equal(sp_log_sealed_section(rig->sealed, SP_SECTION_INDEX, len - 4, 5, part, NULL),
                     SP_INVALID);
    assert_int_equal(
        sp_log_sealed_section(rig->sealed, SP_SECTION_INDEX, UINT64_MAX, 5, part, NULL),
        SP_INVALID);
    sp_buf_reset(&bytes);
    assert_int_equal(sp_log_sealed_section_all(rig->sealed, SP_SECTION_TAGS, &bytes, NULL), SP_OK);
    assert_int_equal(bytes.len, events * 2);
    sp_buf_reset(&bytes);
    assert_int_equal(sp_log_sealed_section_all(rig->sealed, SP_SECTION_TILES, &bytes, NULL), SP_OK);
    assert_int_equal(bytes.len, events / SP_TILE_LEAVES * SP_HASH_BYTES);
    assert_int_equal(sp_log_sealed_check_layout(rig->sealed, NULL), SP_OK);
    sp_buf_fini(&bytes);
}

/* A flipped bit in a frame costs that frame, and the message says which events. */
static void test_damage_costs_one_frame(void **state) {
    struct rig *rig = *state;
    uint32_t count = sp_log_sealed_footer(rig->sealed)->frame_count;
    assert_true(count > 1);
    for (uint32_t damaged = 0; damaged < count; damaged++) {
        struct sp_sealed_frame row;
        assert_int_equal(sp_log_sealed_frame(rig->sealed, damaged, &row, NULL), SP_OK);
        for (uint32_t at = row.offset; at < row.offset + row.stored_bytes; at += 97) {
            rig->file->data[at] ^= 8;
            for (uint32_t i = 0; i < count; i++) {
                struct sp_sealed_frame each;
                struct sp_error error = {.status = SP_OK};
                uint32_t events = 0;
                assert_int_equal(sp_log_sealed_frame(rig->sealed, i, &each, NULL), SP_OK);
                sp_status status = read_frame(rig, i, 1 + each.first_ordinal, &events, &error);
                assert_int_equal(status, i == damaged ? SP_CORRUPT : SP_OK);
                assert_true(i != damaged || strstr(error.text, "seg/") != NULL);
            }
            rig->file->data[at] ^= 8;
        }
    }
}

/* Each bit of the footer is checked when the file is opened; a file that is cut has none. */
static void test_footer_is_checked(void **state) {
    struct rig *rig = *state;
    struct sp_log_sealed *again = NULL;
    struct sp_error error = {.status = SP_OK};
    size_t len = rig->file->len;
    for (size_t at = len - SP_SEALED_FOOTER_BYTES; at < len; at++) {
        rig->file->data[at] ^= 1;
        assert_int_equal(sp_log_sealed_open(&rig->fs->base, 1, &again, &error), SP_CORRUPT);
        rig->file->data[at] ^= 1;
    }
    assert_non_null(strstr(error.text, "seg/"));
    for (size_t cut = 0; cut < len; cut += 101) {
        rig->file->len = cut;
        assert_int_equal(sp_log_sealed_open(&rig->fs->base, 1, &again, NULL), SP_CORRUPT);
    }
    rig->file->len = len;
    assert_int_equal(sp_log_sealed_open(&rig->fs->base, 99, &again, NULL), SP_NOT_FOUND);
}

static void test_sections_are_checked(void **state) {
    struct rig *rig = *state;
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(rig->sealed);
    for (int i = SP_SECTION_DIRECTORY; i < SP_SECTION_COUNT; i++) {
        const struct sp_sealed_extent *extent = &footer->sections[i];
        for (uint64_t at = extent->offset; at < extent->offset + extent->bytes; at += 13) {
            struct sp_buf bytes;
            sp_buf_init(&bytes, 1 << 20);
            rig->file->data[at] ^= 0x10;
            assert_int_equal(
                sp_log_sealed_section_all(rig->sealed, (enum sp_sealed_section)i, &bytes, NULL),
                SP_CORRUPT);
            rig->file->data[at] ^= 0x10;
            sp_buf_fini(&bytes);
        }
    }
    rig->file->data[40] ^= 1;
    assert_int_equal(sp_log_sealed_check_layout(rig->sealed, NULL), SP_CORRUPT);
    rig->file->data[40] ^= 1;
}

/* A damaged directory is found before anything is read by it. */
static void test_directory_is_checked(void **state) {
    struct rig *rig = *state;
    const struct sp_sealed_extent *extent =
        &sp_log_sealed_footer(rig->sealed)->sections[SP_SECTION_DIRECTORY];
    struct sp_log_sealed *fresh = NULL;
    struct sp_sealed_frame row;
    rig->file->data[extent->offset + 9] ^= 2;
    assert_int_equal(sp_log_sealed_open(&rig->fs->base, 1, &fresh, NULL), SP_OK);
    assert_int_equal(sp_log_sealed_frame(fresh, 0, &row, NULL), SP_CORRUPT);
    rig->file->data[extent->offset + 9] ^= 2;
    assert_int_equal(sp_log_sealed_frame(fresh, 0, &row, NULL), SP_OK); /* it is read again */
    sp_log_sealed_unref(fresh);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_all_frames_are_read),
        CASE(test_every_position_is_found),
        CASE(test_sections),
        CASE(test_damage_costs_one_frame),
        CASE(test_footer_is_checked),
        CASE(test_sections_are_checked),
        CASE(test_directory_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
