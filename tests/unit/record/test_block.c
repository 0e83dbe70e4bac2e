/* Blocks: what was written is found, every change is noticed, and torn is told from damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/prng.h"
#include "base/wire.h"
#include "record/block.h"
#include "record/stamp.h"

enum { SECTOR = SP_BLOCK_SECTOR_BYTES, HEADER = SP_BLOCK_HEADER_BYTES };

static struct sp_block_header plain_header(uint32_t body_bytes) {
    struct sp_block_header header = {
        .log_id = UINT64_C(0x1122334455667788),
        .epoch = 3,
        .file_offset = 8192,
        .number = 17,
        .first_position = 100,
        .event_count = 2,
        .record_count = 5,
        .body_bytes = body_bytes,
        .durable_upto = 16,
        .prev_check = UINT64_C(0xabcdef),
        .tree_size = 90,
        .recorded_us = 1700000000000000,
    };
    memset(header.tree_root, 0x5a, sizeof(header.tree_root));
    return header;
}

/* A block whose body is noise, but for the sectors named by `zero`, which hold only zeros. */
static uint8_t *make_block(uint32_t body_bytes, uint32_t zero, struct sp_block_header *ret_header) {
    size_t stored = sp_block_stored_bytes(body_bytes);
    uint8_t *block = malloc(stored);
    assert_non_null(block);
    memset(block, 0xee, stored);
    struct sp_prng prng = sp_prng_seed(body_bytes);
    for (size_t i = HEADER; i < HEADER + (size_t)body_bytes; i++) {
        bool erased = i / SECTOR < 32 && (zero >> (i / SECTOR) & 1) != 0;
        block[i] = erased ? 0 : (uint8_t)(1 + sp_prng_below(&prng, 255));
    }
    *ret_header = plain_header(body_bytes);
    sp_block_finish(block, ret_header);
    return block;
}

static void test_written_and_read(void **state) {
    (void)state;
    const uint32_t sizes[] = {0, 1, 8, 351, 352, 353, 3935, 3936, 3937, 10000, 65376};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sp_block_header header;
        uint8_t *block = make_block(sizes[i], 0, &header);
        size_t stored = sp_block_stored_bytes(sizes[i]);
        assert_int_equal(stored % SP_BLOCK_ALIGN, 0);
        assert_true(stored >= HEADER + sizes[i]);
        struct sp_block_header found;
        assert_int_equal(sp_block_read_header(sp_str_of(block, stored), &found), SP_OK);
        assert_memory_equal(&header, &found, sizeof(header));
        assert_true(sp_block_body_valid(&found, sp_str_of(block, stored)));
        assert_false(sp_block_body_valid(&found, sp_str_of(block, stored - 1)));
        for (size_t at = HEADER + sizes[i]; at < stored; at++) {
            assert_int_equal(block[at], 0);
        }
        free(block);
    }
}

static void test_what_a_block_vouches_for(void **state) {
    (void)state;
    struct sp_block_header header;
    uint8_t *block = make_block(100, 0, &header);
    assert_int_equal(sp_block_vouches_upto(&header), header.number - 1);
    header.durable_upto = 5;
    assert_int_equal(sp_block_vouches_upto(&header), header.number - 1);
    header.features = SP_BLOCK_UNORDERED;
    sp_block_finish(block, &header);
    struct sp_block_header found;
    assert_int_equal(sp_block_read_header(sp_str_of(block, HEADER), &found), SP_OK);
    assert_int_equal(sp_block_vouches_upto(&found), 5);
    header.features = SP_BLOCK_UNORDERED << 1;
    sp_block_finish(block, &header);
    assert_int_equal(sp_block_read_header(sp_str_of(block, HEADER), &found), SP_UNSUPPORTED);
    free(block);
}

static void test_every_changed_bit_is_noticed(void **state) {
    (void)state;
    struct sp_block_header header;
    uint8_t *block = make_block(700, 0, &header);
    size_t stored = sp_block_stored_bytes(700);
    for (size_t bit = 0; bit < stored * 8; bit++) {
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct sp_block_header found;
        sp_status status = sp_block_read_header(sp_str_of(block, stored), &found);
        if (bit / 8 < 4) {
            assert_int_equal(status, SP_NOT_FOUND);
        } else if (bit / 8 < HEADER) {
            assert_int_equal(status, SP_CORRUPT);
        } else {
            assert_int_equal(status, SP_OK);
            assert_false(sp_block_body_valid(&found, sp_str_of(block, stored)));
        }
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(block);
}

static void test_short_bytes_hold_no_header(void **state) {
    (void)state;
    struct sp_block_header header;
    uint8_t *block = make_block(10, 0, &header);
    for (size_t len = 0; len < HEADER; len++) {
        uint8_t *part = malloc(len + 1);
        assert_non_null(part);
        memcpy(part, block, len);
        assert_int_equal(sp_block_read_header(sp_str_of(part, len), &header), SP_NOT_FOUND);
        free(part);
    }
    free(block);
}

/*
 * A write that power cut short leaves some sectors, in any combination. As long as one with
 * content is missing the block is torn, never whole and never damaged.
 */
static void try_subsets(uint32_t body_bytes, uint32_t zero) {
    struct sp_block_header header;
    uint8_t *block = make_block(body_bytes, zero, &header);
    size_t stored = sp_block_stored_bytes(body_bytes);
    unsigned sectors = (unsigned)((HEADER + body_bytes + SECTOR - 1) / SECTOR);
    uint8_t *torn = malloc(stored);
    assert_non_null(torn);
    for (uint32_t arrived = 0; arrived < 1u << sectors; arrived++) {
        bool missing = false;
        memset(torn, 0, stored);
        for (unsigned i = 0; i < sectors; i++) {
            bool empty = i > 0 && (zero >> i & 1) != 0;
            if ((arrived >> i & 1) != 0) {
                memcpy(torn + (size_t)i * SECTOR, block + (size_t)i * SECTOR, SECTOR);
            } else {
                missing = missing || !empty;
            }
        }
        struct sp_block_header found;
        bool valid = sp_block_read_header(sp_str_of(torn, stored), &found) == SP_OK &&
                     sp_block_body_valid(&found, sp_str_of(torn, stored));
        assert_int_equal(valid, !missing);
        if (missing) {
            assert_int_equal(sp_block_diagnose(sp_str_of(torn, stored)), SP_BLOCK_TORN);
        }
    }
    free(torn);
    free(block);
}

static void test_torn_in_every_way(void **state) {
    (void)state;
    try_subsets(100, 0);                     /* one sector */
    try_subsets(8 * SECTOR - HEADER, 0);     /* a page, filled */
    try_subsets(8 * SECTOR - HEADER, 0x54);  /* with empty sectors in it */
    try_subsets(7 * SECTOR - HEADER + 1, 0); /* one byte in the last sector */
    try_subsets(12 * SECTOR - HEADER, 0x800);
    try_subsets(14 * SECTOR - HEADER, 0x1ff0);
}

/* Where everything was written once, any changed byte is damage, unless it empties its sector. */
static void test_damage_is_not_torn(void **state) {
    (void)state;
    struct sp_block_header header;
    uint32_t body_bytes = 6 * SECTOR;
    uint8_t *block = make_block(body_bytes, 0x8, &header);
    size_t stored = sp_block_stored_bytes(body_bytes);
    for (size_t at = 0; at < stored; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            block[at] ^= (uint8_t)(1u << bit);
            assert_int_equal(sp_block_diagnose(sp_str_of(block, stored)), SP_BLOCK_DAMAGED);
            block[at] ^= (uint8_t)(1u << bit);
        }
    }
    free(block);
}

static void test_diagnosis_of_little(void **state) {
    (void)state;
    struct sp_block_header header;
    uint8_t *block = make_block(6 * SECTOR, 0, &header);
    assert_int_equal(sp_block_diagnose(sp_str_of(block, 10)), SP_BLOCK_TORN);
    /* It reaches beyond what there is: such a block was never begun here. */
    assert_int_equal(sp_block_diagnose(sp_str_of(block, SP_BLOCK_ALIGN / 2)), SP_BLOCK_DAMAGED);
    free(block);
}

static void test_later_formats_are_told_from_damage(void **state) {
    (void)state;
    struct sp_block_header header;
    uint8_t *block = make_block(10, 0, &header);
    uint8_t stamp[64] = {0};
    static const char magic[8] = {'s', 'p', 'o', 'o', 'r', 'X', 'X', 'X'};
    uint64_t check = sp_stamp_put(stamp, sizeof(stamp), magic);
    assert_int_equal(check, sp_get_u64(stamp + SP_STAMP_AT_CHECK));
    assert_int_equal(sp_stamp_check(sp_str_of(stamp, sizeof(stamp)), magic), SP_OK);
    for (size_t bit = 0; bit < sizeof(stamp) * 8; bit++) {
        stamp[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(sp_stamp_check(sp_str_of(stamp, sizeof(stamp)), magic), SP_CORRUPT);
        stamp[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(sp_stamp_check(sp_str_of(stamp, SP_STAMP_BYTES - 1), magic), SP_CORRUPT);
    free(block);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_and_read),
        cmocka_unit_test(test_what_a_block_vouches_for),
        cmocka_unit_test(test_every_changed_bit_is_noticed),
        cmocka_unit_test(test_short_bytes_hold_no_header),
        cmocka_unit_test(test_torn_in_every_way),
        cmocka_unit_test(test_damage_is_not_torn),
        cmocka_unit_test(test_diagnosis_of_little),
        cmocka_unit_test(test_later_formats_are_told_from_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
