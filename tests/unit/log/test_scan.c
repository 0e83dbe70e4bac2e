/* Scanning a raw segment: where its valid part ends, and what it means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "log/scan.h"
#include "memory_fs.h"

enum {
    PAGE = SP_BLOCK_ALIGN,
    SEGMENT_BYTES = 64 * PAGE,
    LOG_ID = 0x1234,
    EPOCH = 4,
    FIRST_BLOCK = 11,
    FIRST_POSITION = 101,
    BLOCKS = 6,
};

static const char path[] = "segment";

/* A segment of BLOCKS blocks of one to three pages, of two events each. */
struct rig {
    struct memory_fs *fs;
    struct memory_file *file;
    struct sp_raw_header segment;
    uint64_t offsets[BLOCKS + 1]; /* of the blocks, and of their end */
    uint64_t check;               /* of the last block */
    uint64_t seen;                /* blocks that the scan has shown */
    uint64_t features;            /* of the blocks that are put */
    struct sp_scan_result result;
    struct sp_error error;
};

static void put_block(struct rig *rig, uint64_t number, uint64_t at, uint64_t said_at,
                      uint32_t body_bytes, uint64_t epoch) {
    uint8_t *block = rig->file->data + at;
    struct sp_block_header header = {
        .log_id = LOG_ID,
        .epoch = epoch,
        .file_offset = said_at,
        .number = number,
        .first_position = FIRST_POSITION + (number - FIRST_BLOCK) * 2,
        .event_count = 2,
        .record_count = 2,
        .body_bytes = body_bytes,
        .durable_upto = number - 2, /* as where two are in flight */
        .prev_check = rig->check,
        .features = rig->features,
    };
    memset(block + SP_BLOCK_HEADER_BYTES, (int)number, body_bytes);
    sp_block_finish(block, &header);
    rig->check = header.check;
}

static uint32_t body_of(unsigned index) {
    return (index % 3) * PAGE + 500;
}

static int set_up(void **state) {
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->fs = memory_fs_new();
    rig->segment = (struct sp_raw_header){.epoch = EPOCH,
                                          .segment_bytes = SEGMENT_BYTES,
                                          .first_block = FIRST_BLOCK,
                                          .first_position = FIRST_POSITION,
                                          .prev_check = 99};
    uint8_t *zeros = calloc(1, SEGMENT_BYTES);
    assert_non_null(zeros);
    memory_fs_put(rig->fs, path, sp_str_of(zeros, SEGMENT_BYTES));
    free(zeros);
    rig->file = memory_fs_find(rig->fs, path);
    sp_raw_header_encode(&rig->segment, rig->file->data);
    rig->check = 99;
    rig->offsets[0] = SP_RAW_HEADER_BYTES;
    for (unsigned i = 0; i < BLOCKS; i++) {
        put_block(rig, FIRST_BLOCK + i, rig->offsets[i], rig->offsets[i], body_of(i), EPOCH);
        rig->offsets[i + 1] = rig->offsets[i] + sp_block_stored_bytes(body_of(i));
    }
    *state = rig;
    return 0;
}

static int tear_down(void **state) {
    struct rig *rig = *state;
    memory_fs_free(rig->fs);
    free(rig);
    return 0;
}

static sp_status see(void *context, const struct sp_block_header *header, sp_str stored,
                     struct sp_error *error) {
    struct rig *rig = context;
    (void)error;
    assert_int_equal(header->number, FIRST_BLOCK + rig->seen);
    assert_int_equal(stored.len, sp_block_stored_bytes(header->body_bytes));
    rig->seen++;
    return SP_OK;
}

static sp_status scan(struct rig *rig, uint64_t stop_offset) {
    struct sp_file *file = NULL;
    struct sp_scan_chain chain = {.log_id = LOG_ID,
                                  .next_block = FIRST_BLOCK,
                                  .next_position = FIRST_POSITION,
                                  .prev_check = 99};
    assert_int_equal(rig->fs->base.ops->open(&rig->fs->base, path, SP_FS_READ, &file, NULL), SP_OK);
    struct sp_scan setup = {.fs = &rig->fs->base,
                            .file = file,
                            .segment = &rig->segment,
                            .stop_offset = stop_offset,
                            .chain = &chain,
                            .each = see,
                            .context = rig};
    rig->seen = 0;
    sp_status status = sp_scan_segment(&setup, &rig->result, &rig->error);
    rig->fs->base.ops->close(file);
    if (status == SP_OK) {
        assert_int_equal(rig->result.end_offset, rig->offsets[rig->seen]);
        assert_int_equal(chain.next_block, FIRST_BLOCK + rig->seen);
        assert_int_equal(chain.next_position, FIRST_POSITION + 2 * rig->seen);
    }
    return status;
}

static void expect(struct rig *rig, uint64_t blocks, enum sp_scan_end end) {
    assert_int_equal(scan(rig, 0), SP_OK);
    assert_int_equal(rig->seen, blocks);
    assert_int_equal(rig->result.end, end);
}

static void test_clean(void **state) {
    struct rig *rig = *state;
    expect(rig, BLOCKS, SP_SCAN_CLEAN);
    assert_int_equal(rig->result.junk_bytes, 0);
}

static void test_filled_to_the_end(void **state) {
    struct rig *rig = *state;
    rig->segment.segment_bytes = rig->offsets[BLOCKS];
    rig->file->len = (size_t)rig->offsets[BLOCKS];
    expect(rig, BLOCKS, SP_SCAN_CLEAN);
}

static void test_nothing_in_it(void **state) {
    struct rig *rig = *state;
    memset(rig->file->data + PAGE, 0, SEGMENT_BYTES - PAGE);
    expect(rig, 0, SP_SCAN_CLEAN);
}

/* The newest block misses a sector: power cut it short. */
static void test_torn_at_the_end(void **state) {
    struct rig *rig = *state;
    uint8_t *last = rig->file->data + rig->offsets[BLOCKS - 1];
    size_t used = SP_BLOCK_HEADER_BYTES + body_of(BLOCKS - 1);
    for (size_t at = 0; at < used; at += SP_BLOCK_SECTOR_BYTES) {
        uint8_t kept[SP_BLOCK_SECTOR_BYTES];
        memcpy(kept, last + at, sizeof(kept));
        memset(last + at, 0, sizeof(kept));
        expect(rig, BLOCKS - 1, SP_SCAN_TORN);
        assert_true(rig->result.junk_bytes >= PAGE);
        memcpy(last + at, kept, sizeof(kept));
    }
    expect(rig, BLOCKS, SP_SCAN_CLEAN);
}

static void test_damaged_at_the_end(void **state) {
    struct rig *rig = *state;
    for (uint64_t at = rig->offsets[BLOCKS - 1]; at < rig->offsets[BLOCKS]; at += 7) {
        rig->file->data[at] ^= 0x40;
        expect(rig, BLOCKS - 1, SP_SCAN_DAMAGED);
        rig->file->data[at] ^= 0x40;
    }
}

/* What lies before another block was written, and perhaps acknowledged, whatever is there now. */
static void test_damaged_in_the_middle(void **state) {
    struct rig *rig = *state;
    for (unsigned i = 0; i + 1 < BLOCKS; i++) {
        size_t len = (size_t)(rig->offsets[i + 1] - rig->offsets[i]);
        uint8_t *kept = malloc(len);
        assert_non_null(kept);
        memcpy(kept, rig->file->data + rig->offsets[i], len);
        memset(rig->file->data + rig->offsets[i], 0, len); /* as if it had never been written */
        expect(rig, i, SP_SCAN_DAMAGED);
        memcpy(rig->file->data + rig->offsets[i], kept, len);
        free(kept);
    }
}

/*
 * Blocks that were not synced one by one may be missing although later ones are there, unless one
 * of those knew of them: here each knows of all but the one before it.
 */
static void test_missing_in_the_middle_of_what_was_not_synced(void **state) {
    struct rig *rig = *state;
    rig->features = SP_BLOCK_UNORDERED;
    rig->check = 99;
    for (unsigned i = 0; i < BLOCKS; i++) {
        put_block(rig, FIRST_BLOCK + i, rig->offsets[i], rig->offsets[i], body_of(i), EPOCH);
    }
    expect(rig, BLOCKS, SP_SCAN_CLEAN);
    size_t len = (size_t)(rig->offsets[BLOCKS - 1] - rig->offsets[BLOCKS - 2]);
    memset(rig->file->data + rig->offsets[BLOCKS - 2], 0, len);
    expect(rig, BLOCKS - 2, SP_SCAN_TORN);
    len = (size_t)(rig->offsets[BLOCKS - 2] - rig->offsets[BLOCKS - 3]);
    memset(rig->file->data + rig->offsets[BLOCKS - 3], 0, len);
    expect(rig, BLOCKS - 3, SP_SCAN_DAMAGED);
}

/* The newest block lies one page too far. */
static void test_written_to_the_wrong_place(void **state) {
    struct rig *rig = *state;
    uint64_t end = rig->offsets[BLOCKS];
    for (uint64_t by = PAGE; by < 8 * PAGE; by += PAGE) {
        uint64_t check = rig->check;
        put_block(rig, FIRST_BLOCK + BLOCKS, end + by, end, 100, EPOCH);
        expect(rig, BLOCKS, SP_SCAN_DAMAGED);
        assert_int_equal(rig->result.problem, SP_SCAN_MISPLACED);
        memset(rig->file->data + end + by, 0, PAGE);
        rig->check = check;
    }
}

/* Somebody's event holds a copy of an older block: that is no evidence of anything. */
static void test_copies_in_a_torn_write(void **state) {
    struct rig *rig = *state;
    uint64_t end = rig->offsets[BLOCKS];
    memcpy(rig->file->data + end + PAGE, rig->file->data + rig->offsets[3], PAGE);
    expect(rig, BLOCKS, SP_SCAN_TORN);
}

static void test_blocks_of_another_time(void **state) {
    struct rig *rig = *state;
    uint64_t end = rig->offsets[BLOCKS];
    put_block(rig, FIRST_BLOCK + BLOCKS, end, end, 100, EPOCH - 1);
    expect(rig, BLOCKS, SP_SCAN_DAMAGED); /* segments are zeroed before they are used again */
}

/* A segment that another one follows ends where that one says. */
static void test_finished_segment(void **state) {
    struct rig *rig = *state;
    uint64_t end = rig->offsets[BLOCKS];
    memset(rig->file->data + end, 0x77, PAGE); /* what a torn write left there was given up */
    assert_int_equal(scan(rig, end), SP_OK);
    assert_int_equal(rig->result.end, SP_SCAN_CLEAN);
    assert_int_equal(rig->seen, BLOCKS);
    assert_int_equal(scan(rig, rig->offsets[4]), SP_OK);
    assert_int_equal(rig->result.end, SP_SCAN_CLEAN);
    assert_int_equal(rig->seen, 4);
    memset(rig->file->data + rig->offsets[BLOCKS - 1], 0, PAGE);
    assert_int_equal(scan(rig, end), SP_OK);
    assert_int_equal(rig->result.end, SP_SCAN_DAMAGED);
    assert_int_equal(rig->seen, BLOCKS - 1);
}

static void test_file_is_cut(void **state) {
    struct rig *rig = *state;
    rig->file->len = SEGMENT_BYTES - PAGE;
    assert_int_equal(scan(rig, 0), SP_CORRUPT);
    assert_non_null(strstr(rig->error.text, "cut"));
}

static sp_status refuse(void *context, const struct sp_block_header *header, sp_str stored,
                        struct sp_error *error) {
    (void)context;
    (void)header;
    (void)stored;
    return sp_error_set(error, SP_LIMIT, "no more");
}

static void test_the_callback_may_end_it(void **state) {
    struct rig *rig = *state;
    struct sp_file *file = NULL;
    struct sp_scan_chain chain = {.log_id = LOG_ID,
                                  .next_block = FIRST_BLOCK,
                                  .next_position = FIRST_POSITION,
                                  .prev_check = 99};
    assert_int_equal(rig->fs->base.ops->open(&rig->fs->base, path, SP_FS_READ, &file, NULL), SP_OK);
    struct sp_scan setup = {.fs = &rig->fs->base,
                            .file = file,
                            .segment = &rig->segment,
                            .chain = &chain,
                            .each = refuse};
    assert_int_equal(sp_scan_segment(&setup, &rig->result, &rig->error), SP_LIMIT);
    assert_string_equal(rig->error.text, "no more");
    rig->fs->base.ops->close(file);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_clean),
        CASE(test_filled_to_the_end),
        CASE(test_nothing_in_it),
        CASE(test_torn_at_the_end),
        CASE(test_damaged_at_the_end),
        CASE(test_damaged_in_the_middle),
        CASE(test_missing_in_the_middle_of_what_was_not_synced),
        CASE(test_written_to_the_wrong_place),
        CASE(test_copies_in_a_torn_write),
        CASE(test_blocks_of_another_time),
        CASE(test_finished_segment),
        CASE(test_file_is_cut),
        CASE(test_the_callback_may_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
