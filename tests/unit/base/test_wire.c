/* Wire: fixed numbers, varints with one form each, and a cursor that stays bad once it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "base/wire.h"

static void test_numbers_are_little_endian(void **state) {
    (void)state;
    uint8_t bytes[14];
    sp_put_u16(bytes, 0x0102);
    sp_put_u32(bytes + 2, 0x03040506);
    sp_put_u64(bytes + 6, 0x0708090a0b0c0d0eu);
    static const uint8_t expected[] = {2, 1, 6, 5, 4, 3, 14, 13, 12, 11, 10, 9, 8, 7};
    assert_memory_equal(bytes, expected, sizeof(expected));
    assert_int_equal(sp_get_u16(bytes), 0x0102);
    assert_int_equal(sp_get_u32(bytes + 2), 0x03040506);
    assert_int_equal(sp_get_u64(bytes + 6), 0x0708090a0b0c0d0eu);
}

static void test_reader_passes_over_all(void **state) {
    (void)state;
    static const uint8_t bytes[] = {9, 2, 1, 6, 5,   4,   3,   14,  13,  12,  11, 10,
                                    9, 8, 7, 3, 'a', 'b', 'c', 'r', 'e', 's', 't'};
    struct sp_wire w = sp_wire_of(bytes, sizeof(bytes));
    assert_int_equal(sp_wire_u8(&w), 9);
    assert_int_equal(sp_wire_u16(&w), 0x0102);
    assert_int_equal(sp_wire_u32(&w), 0x03040506);
    assert_int_equal(sp_wire_u64(&w), 0x0708090a0b0c0d0eu);
    assert_true(sp_str_eq(sp_wire_lstr(&w), SP_STR("abc")));
    assert_int_equal(sp_wire_left(&w), 4);
    sp_str rest = sp_wire_bytes(&w, 4);
    assert_true(sp_str_eq(rest, SP_STR("rest")));
    assert_ptr_equal(rest.ptr, bytes + sizeof(bytes) - 4); /* borrowed, not copied */
    assert_int_equal(sp_wire_left(&w), 0);
    assert_false(w.bad);
}

static void test_running_past_the_end_sticks(void **state) {
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3};
    for (unsigned width = 0; width < 4; width++) {
        struct sp_wire w = sp_wire_of(bytes, width == 0 ? 0 : width == 1 ? 1 : 3);
        uint64_t got = width == 0   ? sp_wire_u8(&w)
                       : width == 1 ? sp_wire_u16(&w)
                       : width == 2 ? sp_wire_u32(&w)
                                    : sp_wire_u64(&w);
        assert_int_equal(got, 0);
        assert_true(w.bad);
        assert_int_equal(sp_wire_u8(&w), 0); /* even where bytes were left */
        assert_int_equal(sp_wire_varint(&w), 0);
        assert_int_equal(sp_wire_lstr(&w).len, 0);
        assert_int_equal(sp_wire_left(&w), 0);
    }
}

static void test_length_beyond_the_end(void **state) {
    (void)state;
    static const uint8_t past[] = {4, 'a', 'b', 'c'};
    struct sp_wire w = sp_wire_of(past, sizeof(past));
    assert_int_equal(sp_wire_lstr(&w).len, 0);
    assert_true(w.bad);
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'};
    w = sp_wire_of(huge, sizeof(huge));
    assert_int_equal(sp_wire_lstr(&w).len, 0);
    assert_true(w.bad);
    w = sp_wire_of(past, sizeof(past));
    assert_int_equal(sp_wire_bytes(&w, SIZE_MAX).len, 0);
    assert_true(w.bad);
}

/* ---- varints ---- */

static void assert_round_trip(uint64_t value) {
    uint8_t bytes[SP_VARINT_BYTES_MAX + 1];
    size_t len = sp_put_varint(bytes, value);
    assert_in_range(len, 1, SP_VARINT_BYTES_MAX);
    assert_int_equal(len, sp_varint_size(value));
    bytes[len] = 0x55;
    struct sp_wire w = sp_wire_of(bytes, len + 1);
    assert_int_equal(sp_wire_varint(&w), value);
    assert_false(w.bad);
    assert_int_equal(sp_wire_u8(&w), 0x55);
    for (size_t cut = 0; cut < len; cut++) {
        w = sp_wire_of(bytes, cut);
        assert_int_equal(sp_wire_varint(&w), 0);
        assert_true(w.bad);
    }
}

static void test_varints_round_trip(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        assert_round_trip(power - 1);
        assert_round_trip(power);
        assert_round_trip(power + 1);
    }
    assert_round_trip(UINT64_MAX);
    struct sp_prng prng = sp_prng_seed(1);
    for (unsigned i = 0; i < 100000; i++) {
        assert_round_trip(sp_prng_next(&prng) >> sp_prng_below(&prng, 64));
    }
}

static void test_varint_sizes(void **state) {
    (void)state;
    assert_int_equal(sp_varint_size(0), 1);
    assert_int_equal(sp_varint_size(127), 1);
    assert_int_equal(sp_varint_size(128), 2);
    assert_int_equal(sp_varint_size(16383), 2);
    assert_int_equal(sp_varint_size(16384), 3);
    assert_int_equal(sp_varint_size(UINT64_MAX), 10);
}

/* One value has one form: hashes over encoded bytes depend on it. */
static void test_varints_have_one_form(void **state) {
    (void)state;
    static const struct {
        uint8_t bytes[12];
        size_t len;
    } bad[] = {
        {{0x80, 0x00}, 2},                                                  /* 0 in two bytes */
        {{0xff, 0x00}, 2},                                                  /* 127 in two bytes */
        {{0x80, 0x80, 0x00}, 3},                                            /* 0 in three */
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00}, 10}, /* zero on top */
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 10}, /* 65 bits */
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x81, 0x00}, 11}, /* 11 bytes */
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 11},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sp_wire w = sp_wire_of(bad[i].bytes, bad[i].len);
        assert_int_equal(sp_wire_varint(&w), 0);
        assert_true(w.bad);
        assert_int_equal(sp_wire_left(&w), 0);
    }
}

static void test_zigzag(void **state) {
    (void)state;
    static const int64_t order[] = {0, -1, 1, -2, 2, -3, 3};
    for (uint64_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        assert_int_equal(sp_zigzag(order[i]), i);
        assert_true(sp_unzigzag(i) == order[i]);
    }
    static const int64_t far[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX - 1, INT64_MAX};
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        assert_true(sp_unzigzag(sp_zigzag(far[i])) == far[i]);
    }
    assert_int_equal(sp_zigzag(INT64_MIN), UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_little_endian),
        cmocka_unit_test(test_reader_passes_over_all),
        cmocka_unit_test(test_running_past_the_end_sticks),
        cmocka_unit_test(test_length_beyond_the_end),
        cmocka_unit_test(test_varints_round_trip),
        cmocka_unit_test(test_varint_sizes),
        cmocka_unit_test(test_varints_have_one_form),
        cmocka_unit_test(test_zigzag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
