/* The header of a raw segment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "log/raw.h"

static struct sp_raw_header plain_header(void) {
    struct sp_raw_header header = {
        .epoch = 9,
        .segment_bytes = 1 << 20,
        .first_block = 100,
        .first_position = 1000,
        .prev_check = 0xfeed,
        .prev_end = 8192,
        .created_us = 1700000000000000,
    };
    memset(header.uuid, 0x11, sizeof(header.uuid));
    memset(header.salt_key, 0x22, sizeof(header.salt_key));
    return header;
}

static void test_comes_back(void **state) {
    (void)state;
    struct sp_raw_header header = plain_header();
    struct sp_raw_header found;
    uint8_t bytes[SP_RAW_HEADER_BYTES];
    memset(bytes, 0xff, sizeof(bytes));
    sp_raw_header_encode(&header, bytes);
    assert_int_equal(sp_raw_header_decode(sp_str_of(bytes, sizeof(bytes)), &found), SP_OK);
    assert_memory_equal(&header, &found, sizeof(header));
    for (size_t i = SP_BLOCK_SECTOR_BYTES; i < sizeof(bytes); i++) {
        assert_int_equal(bytes[i], 0); /* one sector: a crash leaves all of it or nothing */
    }
}

static void test_zeros_are_a_spare(void **state) {
    (void)state;
    struct sp_raw_header found;
    uint8_t bytes[SP_RAW_HEADER_BYTES] = {0};
    assert_int_equal(sp_raw_header_decode(sp_str_of(bytes, sizeof(bytes)), &found), SP_NOT_FOUND);
    for (size_t at = 0; at < sizeof(bytes); at += 61) {
        bytes[at] = 1;
        assert_int_equal(sp_raw_header_decode(sp_str_of(bytes, sizeof(bytes)), &found), SP_CORRUPT);
        bytes[at] = 0;
    }
    assert_int_equal(sp_raw_header_decode(sp_str_of(bytes, sizeof(bytes) - 1), &found), SP_CORRUPT);
    assert_int_equal(sp_raw_header_decode(sp_str_of(NULL, 0), &found), SP_CORRUPT);
}

static void test_every_change_is_noticed(void **state) {
    (void)state;
    struct sp_raw_header header = plain_header();
    struct sp_raw_header found;
    uint8_t bytes[SP_RAW_HEADER_BYTES];
    sp_raw_header_encode(&header, bytes);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(sp_raw_header_decode(sp_str_of(bytes, sizeof(bytes)), &found), SP_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_zeros_are_a_spare),
        cmocka_unit_test(test_every_change_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
