/*
 * Snapshots: what was copied at a moment is what a restored core has, whatever went on meanwhile.
 */
#include "core_help.h"

enum { BYTES_MAX = 1 << 24 };

static struct help_append append;

/* A core stays where it is made: its parts point at each other. */
static void grow(struct sp_core *core, uint64_t seed, int appends, uint32_t streams,
                 struct help_log *log) {
    struct sp_prng prng = sp_prng_seed(seed);
    uint64_t now_us = 10000000;
    sp_core_init(core);
    for (int i = 0; i < appends; i++) {
        help_random(&append, &prng, streams, &now_us);
        assert_int_equal(help_step(core, &append, log, NULL), SP_OK);
    }
}

static void encode(const struct sp_core *core, struct sp_buf *to) {
    struct sp_core_snapshot *snapshot = sp_core_snapshot_new(core);
    assert_non_null(snapshot);
    sp_buf_init(to, BYTES_MAX);
    sp_core_snapshot_encode(snapshot, to);
    assert_int_equal(to->status, SP_OK);
    sp_core_snapshot_free(snapshot);
}

static sp_status restore(sp_str bytes, struct sp_core *core, struct sp_error *error) {
    sp_core_init(core);
    sp_status status = sp_core_restore(core, bytes, error);
    if (status != SP_OK) {
        sp_core_fini(core);
    }
    return status;
}

static void test_restores_the_same_state(void **state) {
    (void)state;
    static const struct {
        int appends;
        uint32_t streams;
    } sizes[] = {{0, 1}, {1, 1}, {50, 3}, {500, 100}, {3000, 9000}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sp_core core;
        grow(&core, i, sizes[i].appends, sizes[i].streams, NULL);
        struct sp_core restored;
        struct sp_buf bytes;
        encode(&core, &bytes);
        assert_int_equal(restore(sp_buf_str(&bytes), &restored, NULL), SP_OK);
        assert_int_equal(sp_core_hash(&restored), sp_core_hash(&core));
        assert_int_equal(restored.position, core.position);
        sp_buf_fini(&bytes);
        sp_core_fini(&restored);
        sp_core_fini(&core);
    }
}

/* A snapshot and the events behind it are as good as all the events. */
static void test_a_snapshot_and_the_rest_of_the_log(void **state) {
    (void)state;
    struct help_log log = {.entries = NULL};
    struct sp_core core;
    grow(&core, 7, 300, 50, &log);
    for (size_t at = 0; at <= log.count; at += 97) {
        struct sp_core early;
        struct sp_core late;
        struct sp_buf bytes;
        sp_core_init(&early);
        help_replay(&early, &log, 0, at);
        encode(&early, &bytes);
        assert_int_equal(restore(sp_buf_str(&bytes), &late, NULL), SP_OK);
        help_replay(&late, &log, at, log.count);
        assert_int_equal(sp_core_hash(&late), sp_core_hash(&core));
        sp_buf_fini(&bytes);
        sp_core_fini(&early);
        sp_core_fini(&late);
    }
    help_log_fini(&log);
    sp_core_fini(&core);
}

/*
 * The core goes on, with more streams than its tables had room for, and the copy does not notice.
 */
static void test_a_snapshot_is_of_its_moment(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(3);
    struct sp_core core;
    grow(&core, 3, 200, 40, NULL);
    struct sp_core restored;
    uint64_t hash = sp_core_hash(&core);
    uint64_t position = core.position;
    uint64_t now_us = 20000000;
    struct sp_core_snapshot *snapshot = sp_core_snapshot_new(&core);
    assert_non_null(snapshot);
    for (int i = 0; i < 20000; i++) {
        help_random(&append, &prng, 100000, &now_us);
        assert_int_equal(help_step(&core, &append, NULL, NULL), SP_OK);
    }
    struct sp_buf bytes;
    sp_buf_init(&bytes, BYTES_MAX);
    sp_core_snapshot_encode(snapshot, &bytes);
    assert_int_equal(sp_core_snapshot_position(snapshot), position);
    assert_int_equal(restore(sp_buf_str(&bytes), &restored, NULL), SP_OK);
    assert_int_equal(sp_core_hash(&restored), hash);
    sp_core_snapshot_free(snapshot);
    sp_buf_fini(&bytes);
    sp_core_fini(&restored);
    sp_core_fini(&core);
}

/* Streams that were only made ready for an append that then was refused are not kept. */
static void test_streams_without_events_are_left_out(void **state) {
    (void)state;
    struct sp_core core;
    struct sp_core restored;
    struct sp_buf bytes;
    uint32_t index;
    sp_str name = SP_STR("ready and empty");
    sp_core_init(&core);
    assert_int_equal(sp_streams_add(&core.streams, sp_stream_hash(name), name, &index), SP_OK);
    (void)help_put(&core, &append, "a", 1);
    encode(&core, &bytes);
    assert_int_equal(restore(sp_buf_str(&bytes), &restored, NULL), SP_OK);
    assert_int_equal(restored.streams.count, 1);
    assert_int_equal(sp_core_hash(&restored), sp_core_hash(&core));
    sp_buf_fini(&bytes);
    sp_core_fini(&restored);
    sp_core_fini(&core);
}

static void test_refuses_every_other_length(void **state) {
    (void)state;
    struct sp_core core;
    grow(&core, 5, 10, 4, NULL);
    struct sp_core restored;
    struct sp_buf bytes;
    encode(&core, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        struct sp_error error;
        sp_error_clear(&error);
        assert_int_equal(restore(sp_str_of(bytes.data, len), &restored, &error), SP_CORRUPT);
        assert_true(strlen(error.text) > 0);
    }
    sp_buf_add_byte(&bytes, 0);
    assert_int_equal(restore(sp_buf_str(&bytes), &restored, NULL), SP_CORRUPT);
    sp_buf_fini(&bytes);
    sp_core_fini(&core);
}

static void test_refuses_a_later_format(void **state) {
    (void)state;
    struct sp_core core;
    grow(&core, 5, 1, 1, NULL);
    struct sp_core restored;
    struct sp_buf bytes;
    struct sp_error error;
    sp_error_clear(&error);
    encode(&core, &bytes);
    bytes.data[0] = 4;
    assert_int_equal(restore(sp_buf_str(&bytes), &restored, &error), SP_UNSUPPORTED);
    assert_non_null(strstr(error.text, "format 4"));
    sp_buf_fini(&bytes);
    sp_core_fini(&core);
}

/* As they were stored before there were views and groups: no control number, streams last. */
static void test_reads_the_first_format(void **state) {
    (void)state;
    struct sp_core core;
    grow(&core, 5, 40, 9, NULL);
    struct sp_core restored;
    struct sp_buf bytes;
    encode(&core, &bytes);
    /* Behind the streams stand no views, no aliases, no last number, no groups and no agents. */
    size_t end = bytes.len - 7;
    assert_memory_equal(bytes.data + end, "\0\0\0\0\0\0\0", 7);
    memmove(bytes.data + 32, bytes.data + 40, end - 40);
    bytes.data[0] = 1;
    assert_int_equal(restore(sp_str_of(bytes.data, end - 8), &restored, NULL), SP_OK);
    assert_int_equal(sp_core_hash(&restored), sp_core_hash(&core));
    assert_int_equal(sp_view_key_count(&restored.views), sp_view_key_count(&core.views));
    assert_true(sp_view_key_count(&core.views) > 0);
    sp_core_fini(&restored);
    assert_int_equal(restore(sp_str_of(bytes.data, end), &restored, NULL), SP_CORRUPT);
    sp_buf_fini(&bytes);
    sp_core_fini(&core);
}

/* As they were stored before there were agents. */
static void test_reads_the_second_format(void **state) {
    (void)state;
    struct sp_core core;
    grow(&core, 6, 40, 9, NULL);
    struct sp_core restored;
    struct sp_buf bytes;
    encode(&core, &bytes);
    bytes.data[0] = 2;
    assert_int_equal(restore(sp_str_of(bytes.data, bytes.len - 3), &restored, NULL), SP_OK);
    assert_int_equal(sp_core_hash(&restored), sp_core_hash(&core));
    assert_int_equal(restored.presence.count, 0);
    sp_core_fini(&restored);
    assert_int_equal(restore(sp_buf_str(&bytes), &restored, NULL), SP_CORRUPT);
    sp_buf_fini(&bytes);
    sp_core_fini(&core);
}

/* Whatever bytes come, restoring says yes or no, and breaks nothing. */
static void test_survives_any_bytes(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(11);
    struct sp_core core;
    grow(&core, 9, 30, 20, NULL);
    struct sp_buf bytes;
    encode(&core, &bytes);
    for (int i = 0; i < 3000; i++) {
        struct sp_core restored;
        size_t at = sp_prng_below(&prng, (uint32_t)bytes.len);
        uint8_t was = bytes.data[at];
        bytes.data[at] = (uint8_t)sp_prng_next(&prng);
        sp_status status = restore(sp_buf_str(&bytes), &restored, NULL);
        if (status == SP_OK) {
            sp_core_fini(&restored);
        }
        assert_true(status == SP_OK || status == SP_CORRUPT || status == SP_UNSUPPORTED ||
                    status == SP_NO_MEMORY || status == SP_LIMIT);
        bytes.data[at] = was;
    }
    sp_buf_fini(&bytes);
    sp_core_fini(&core);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restores_the_same_state),
        cmocka_unit_test(test_a_snapshot_and_the_rest_of_the_log),
        cmocka_unit_test(test_a_snapshot_is_of_its_moment),
        cmocka_unit_test(test_streams_without_events_are_left_out),
        cmocka_unit_test(test_refuses_every_other_length),
        cmocka_unit_test(test_refuses_a_later_format),
        cmocka_unit_test(test_reads_the_first_format),
        cmocka_unit_test(test_reads_the_second_format),
        cmocka_unit_test(test_survives_any_bytes),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
