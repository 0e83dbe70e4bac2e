/* The table of streams: every name is found again, whatever its length and whatever its hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/streams.h"

enum { MANY = 3 * SP_STREAM_CHUNK + 17, NAME_SIZE = 128 };

/* Name number i: short ones, ones as long as fits into an entry, and longer ones. */
static sp_str name_of(uint32_t i, char text[NAME_SIZE]) {
    int len = snprintf(text, NAME_SIZE, "stream-%u", i);
    if (i % 5 == 0) {
        while (len < SP_STREAM_INLINE_BYTES + (int)(i % 3) - 1) {
            text[len++] = 'x';
        }
    }
    return sp_str_of(text, (size_t)len);
}

static void test_finds_every_name(void **state) {
    (void)state;
    struct sp_streams streams;
    char text[NAME_SIZE];
    sp_streams_init(&streams);
    for (uint32_t i = 0; i < MANY; i++) {
        sp_str name = name_of(i, text);
        uint32_t index = UINT32_MAX;
        assert_int_equal(sp_streams_add(&streams, sp_stream_hash(name), name, &index), SP_OK);
        assert_int_equal(index, i);
        sp_stream_at(&streams, index)->version = i + 1;
    }
    assert_int_equal(streams.count, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        sp_str name = name_of(i, text);
        uint32_t again = UINT32_MAX;
        assert_int_equal(sp_streams_find(&streams, sp_stream_hash(name), name), i);
        assert_int_equal(sp_streams_add(&streams, sp_stream_hash(name), name, &again), SP_OK);
        assert_int_equal(again, i);
        assert_true(sp_str_eq(sp_stream_name(sp_stream_at(&streams, i)), name));
        assert_int_equal(sp_stream_at(&streams, i)->version, i + 1);
    }
    assert_int_equal(streams.count, MANY);
    sp_str stranger = SP_STR("nobody");
    assert_int_equal(sp_streams_find(&streams, sp_stream_hash(stranger), stranger), UINT32_MAX);
    sp_streams_fini(&streams);
}

/* Names tell streams apart, hashes only help: here all names have one. */
static void test_hashes_may_collide(void **state) {
    (void)state;
    enum { HASH = 4711, COUNT = 200 };
    struct sp_streams streams;
    char text[NAME_SIZE];
    sp_streams_init(&streams);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t index = UINT32_MAX;
        assert_int_equal(sp_streams_add(&streams, HASH, name_of(i, text), &index), SP_OK);
        assert_int_equal(index, i);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(sp_streams_find(&streams, HASH, name_of(i, text)), i);
    }
    assert_int_equal(sp_streams_find(&streams, HASH, name_of(COUNT, text)), UINT32_MAX);
    sp_streams_fini(&streams);
}

/* One is a beginning of the other, and what is behind the name in memory must not matter. */
static void test_names_of_all_lengths(void **state) {
    (void)state;
    static const size_t lengths[] = {1,
                                     2,
                                     SP_STREAM_INLINE_BYTES - 1,
                                     SP_STREAM_INLINE_BYTES,
                                     SP_STREAM_INLINE_BYTES + 1,
                                     4096,
                                     UINT16_MAX};
    struct sp_streams streams;
    char *text = malloc(UINT16_MAX);
    assert_non_null(text);
    memset(text, 'a', UINT16_MAX);
    sp_streams_init(&streams);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        sp_str name = sp_str_of(text, lengths[i]);
        uint32_t index = UINT32_MAX;
        assert_int_equal(sp_streams_find(&streams, sp_stream_hash(name), name), UINT32_MAX);
        assert_int_equal(sp_streams_add(&streams, sp_stream_hash(name), name, &index), SP_OK);
        assert_int_equal(index, i);
    }
    memset(text, 'b', UINT16_MAX); /* the table has copies of its own */
    memset(text, 'a', UINT16_MAX);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        sp_str name = sp_str_of(text, lengths[i]);
        assert_int_equal(sp_streams_find(&streams, sp_stream_hash(name), name), i);
    }
    sp_streams_fini(&streams);
    free(text);
}

/* What was asked for ahead is only a hint, also on an empty table. */
static void test_prefetching_changes_nothing(void **state) {
    (void)state;
    struct sp_streams streams;
    sp_str name = SP_STR("orders");
    uint32_t index = 0;
    sp_streams_init(&streams);
    sp_streams_prefetch(&streams, sp_stream_hash(name));
    sp_streams_prefetch_entry(&streams, sp_stream_hash(name));
    assert_int_equal(sp_streams_find(&streams, sp_stream_hash(name), name), UINT32_MAX);
    assert_int_equal(sp_streams_add(&streams, sp_stream_hash(name), name, &index), SP_OK);
    sp_streams_prefetch(&streams, sp_stream_hash(name));
    sp_streams_prefetch_entry(&streams, sp_stream_hash(name));
    assert_int_equal(sp_streams_find(&streams, sp_stream_hash(name), name), 0);
    sp_streams_fini(&streams);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_every_name),
        cmocka_unit_test(test_hashes_may_collide),
        cmocka_unit_test(test_names_of_all_lengths),
        cmocka_unit_test(test_prefetching_changes_nothing),
    };
    return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
