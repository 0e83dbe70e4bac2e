/*
 * The engine by itself, one step at a time: what is answered when, what a failing device makes of
 * it, what opening finds again. Files are real; a hook before their durable writes counts them and
 * lets them fail.
 */
#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "engine/engine.h"
#include "engine/query.h"

/*
 * ---- a device that fails on demand
 * ----------------------------------------------------------------
 */

static struct sp_fs_ops hooked;
static const struct sp_fs_ops *real;
static int durable_writes;
static bool device_fails;

static sp_status write_durable(struct sp_file *file, const void *from, size_t len, uint64_t offset,
                               struct sp_error *error) {
    durable_writes++;
    return device_fails ? sp_error_set(error, SP_IO, "the device is on fire")
                        : real->write_durable(file, from, len, offset, error);
}

static struct sp_fs *open_folder(void) {
    struct sp_fs *fs = NULL;
    assert_int_equal(sp_fs_posix_open(help_folder, true, false, &fs, NULL), SP_OK);
    real = fs->ops;
    hooked = *real;
    hooked.write_durable = write_durable;
    fs->ops = &hooked;
    device_fails = false;
    return fs;
}

/*
 * ---- a clock that obeys
 * ---------------------------------------------------------------------------
 */

static uint64_t wall;

static uint64_t wall_us(void *context) {
    (void)context;
    return wall;
}

static uint64_t monotonic_ns(void *context) {
    static uint64_t now;
    (void)context;
    return now += 1000;
}

/*
 * ---- appending
 * ------------------------------------------------------------------------------------
 */

static struct sp_engine_options options_of(struct sp_fs *fs) {
    return (struct sp_engine_options){
        .fs = fs,
        .clock = {.wall_us = wall_us, .monotonic_ns = monotonic_ns},
        .create = true,
        .inline_jobs = true,
        .limits = SP_EVENT_LIMITS_DEFAULT,
        .segment_bytes_min = 256 << 10,
        .segment_bytes_max = 256 << 10,
        .block_bytes_max = 64 << 10,
    };
}

struct outcome {
    int calls;
    sp_status status;
    struct sp_engine_result result;
    char text[SP_ERROR_TEXT_SIZE];
};

static void note(void *context, sp_engine_extra_fn *extra, sp_status status,
                 const struct sp_engine_result *results, uint32_t count,
                 const struct sp_error *error) {
    struct outcome *outcome = context;
    (void)extra;
    outcome->calls++;
    outcome->status = status;
    outcome->result = results[count - 1];
    if (error != NULL) {
        memcpy(outcome->text, error->text, sizeof(outcome->text));
    }
}

static sp_status submit(struct sp_engine *engine, const char *stream, const char *id,
                        struct outcome *outcome, struct sp_error *error) {
    struct sp_event event = {.position = 0};
    event.attr[SP_ATTR_TYPE] = SP_STR("t");
    event.attr[SP_ATTR_SOURCE] = sp_str_from(stream);
    event.attr[SP_ATTR_ID] = sp_str_from(id);
    const struct sp_engine_append append = {
        .events = &event, .count = 1, .done = note, .context = outcome};
    *outcome = (struct outcome){.calls = 0};
    return sp_engine_submit(engine, &append, error);
}

static struct sp_engine *open_engine(const struct sp_engine_options *options,
                                     struct sp_engine_opened *opened) {
    struct sp_engine *engine = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_engine_open(options, &engine, opened, &error);
    if (status != SP_OK) {
        fail_msg("%s", error.text);
    }
    return engine;
}

/*
 * ---- tests
 * ----------------------------------------------------------------------------------------
 */

/* Whatever was submitted before a turn shares one write, and is answered behind it, in order. */
static void test_group_commit(void **state) {
    (void)state;
    enum { COUNT = 50 };
    struct outcome outcomes[COUNT];
    struct sp_fs *fs = open_folder();
    struct sp_engine_options options = options_of(fs);
    struct sp_engine *engine = open_engine(&options, NULL);
    assert_int_equal(sp_engine_turn(engine, 0), 0);
    durable_writes = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(submit(engine, "s", NULL, &outcomes[i], NULL), SP_OK);
    }
    assert_int_equal(durable_writes, 0);
    assert_int_equal(sp_engine_outstanding(engine), COUNT);
    assert_int_equal(sp_engine_durable_position(engine), 0);
    assert_true(sp_engine_must_wait(engine));
    assert_int_equal(sp_engine_turn(engine, -1), COUNT);
    assert_int_equal(durable_writes, 1);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_int_equal(outcomes[i].status, SP_OK);
        assert_int_equal(outcomes[i].result.position, i + 1);
        assert_int_equal(outcomes[i].result.version, i + 1);
    }
    assert_int_equal(sp_engine_outstanding(engine), 0);
    assert_false(sp_engine_must_wait(engine));
    sp_engine_close(engine);
    fs->ops->destroy(fs);
}

/*
 * A write that fails is the end of the engine: all that is in flight hears of it, and all that
 * comes.
 */
static void test_a_failing_device(void **state) {
    (void)state;
    struct outcome outcome;
    struct outcome late;
    struct sp_error error;
    struct sp_fs *fs = open_folder();
    struct sp_engine_options options = options_of(fs);
    struct sp_engine *engine = open_engine(&options, NULL);
    assert_int_equal(submit(engine, "s", "kept", &outcome, NULL), SP_OK);
    assert_int_equal(sp_engine_turn(engine, -1), 1);
    device_fails = true;
    assert_int_equal(submit(engine, "s", "lost", &outcome, NULL), SP_OK);
    assert_int_equal(sp_engine_turn(engine, -1), 1);
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(outcome.status, SP_IO);
    assert_non_null(strstr(outcome.text, "on fire"));
    assert_int_equal(sp_engine_durable_position(engine), 1);
    device_fails = false; /* one failure is one too many */
    sp_error_clear(&error);
    assert_int_equal(submit(engine, "s", "late", &late, &error), SP_FAILED);
    assert_non_null(strstr(error.text, "on fire"));
    assert_int_equal(late.calls, 0);
    assert_int_equal(sp_engine_state(engine, &error), SP_IO);
    sp_engine_close(engine);
    engine = open_engine(&options, NULL);
    assert_int_equal(submit(engine, "s", "kept", &outcome, NULL), SP_OK);
    assert_int_equal(submit(engine, "s", "lost", &late, NULL), SP_OK);
    assert_int_equal(sp_engine_turn(engine, -1), 2);
    assert_true(outcome.result.duplicate);
    assert_int_equal(outcome.result.position, 1);
    assert_int_equal(late.result.position, 2);
    sp_engine_close(engine);
    fs->ops->destroy(fs);
}

/* Opening replays what the newest snapshot does not cover, and comes to the same state. */
static void test_snapshots_spare_replaying(void **state) {
    (void)state;
    enum { COUNT = 57, EVERY = 10 };
    struct outcome outcome;
    struct sp_engine_opened opened;
    struct sp_fs *fs = open_folder();
    struct sp_engine_options options = options_of(fs);
    options.snapshot_events = EVERY;
    struct sp_engine *engine = open_engine(&options, &opened);
    assert_true(opened.log.created);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(submit(engine, i % 2 == 0 ? "even" : "odd", NULL, &outcome, NULL), SP_OK);
        (void)sp_engine_turn(engine, -1);
    }
    uint64_t hash = sp_core_hash(sp_engine_core(engine));
    sp_engine_close(engine);
    engine = open_engine(&options, &opened);
    assert_false(opened.log.created);
    assert_true(opened.replayed_events <= EVERY);
    assert_int_equal(sp_core_hash(sp_engine_core(engine)), hash);
    sp_engine_close(engine);
    fs->ops->destroy(fs);
}

/*
 * The clock falls by a day, also while nobody looks: times stand still, made ids and entries rise.
 */
static void test_the_clock_falls(void **state) {
    (void)state;
    static const uint64_t clock[] = {1000000000000000, 1000000000000000, 999913600000000,
                                     999913600000001,  1000000000001000, 1};
    struct outcome outcome;
    struct outcome before = {.calls = 0};
    struct sp_fs *fs = open_folder();
    struct sp_engine_options options = options_of(fs);
    struct sp_engine *engine = open_engine(&options, NULL);
    for (size_t i = 0; i < sizeof(clock) / sizeof(clock[0]); i++) {
        wall = clock[i];
        if (i == 3) {
            sp_engine_close(engine);
            engine = open_engine(&options, NULL);
        }
        assert_int_equal(submit(engine, "s", NULL, &outcome, NULL), SP_OK);
        (void)sp_engine_turn(engine, -1);
        assert_true(outcome.result.id_made);
        assert_true(outcome.result.recorded_us >= before.result.recorded_us);
        uint64_t ms = outcome.result.recorded_us / 1000;
        assert_true(i == 0 || ms > before.result.recorded_us / 1000 ||
                    outcome.result.entry_seq == before.result.entry_seq + 1);
        if (i != 3) { /* another opening may begin with other ids, only never with the same */
            assert_true(memcmp(outcome.result.id, before.result.id, 16) > 0);
        }
        assert_memory_not_equal(outcome.result.id, before.result.id, 16);
        before = outcome;
    }
    sp_engine_close(engine);
    fs->ops->destroy(fs);
}

/* A query that an index can answer gives the same as a scan, however short the range. */
static void test_indexes_and_scans_agree(void **state) {
    (void)state;
    enum { COUNT = 300 };
    struct outcome outcome;
    struct sp_fs *fs = open_folder();
    for (int pass = 0; pass < 2; pass++) {
        struct sp_engine_options options = options_of(fs);
        options.scan_short_events = pass == 0 ? 1 : 0;
        struct sp_engine *engine = open_engine(&options, NULL);
        for (int i = 0; i < COUNT && pass == 0; i++) {
            assert_int_equal(submit(engine, i % 7 == 0 ? "week" : "day", NULL, &outcome, NULL),
                             SP_OK);
        }
        (void)sp_engine_turn(engine, -1);
        const struct sp_query query = {.source = SP_STR("week")};
        struct sp_cursor *cursor = NULL;
        const struct sp_event *event = NULL;
        assert_int_equal(sp_cursor_open(engine, &query, &cursor, NULL), SP_OK);
        for (uint64_t i = 1; i <= COUNT; i += 7) {
            assert_int_equal(sp_cursor_next(cursor, &event, NULL), SP_OK);
            assert_int_equal(event->position, i);
        }
        assert_int_equal(sp_cursor_next(cursor, &event, NULL), SP_END);
        sp_cursor_close(cursor);
        sp_engine_close(engine);
    }
    fs->ops->destroy(fs);
}

/* Full segments of 400 events that wait to be sealed, and events behind the last snapshot. */
static void fill_waiting(const struct sp_engine_options *options, int count) {
    struct sp_engine *engine = open_engine(options, NULL);
    for (int i = 0; i < count; i++) {
        char id[24];
        struct outcome outcome;
        (void)snprintf(id, sizeof(id), "id-%d", i);
        assert_int_equal(submit(engine, i % 2 == 0 ? "even" : "odd", id, &outcome, NULL), SP_OK);
        (void)sp_engine_turn(engine, i % 8 == 7 || i + 1 == count ? -1 : 0);
    }
    sp_engine_close(engine);
}

static void expect_all(struct sp_engine *engine, uint64_t count) {
    const struct sp_query everything = {.limit = 0};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    assert_int_equal(sp_cursor_open(engine, &everything, &cursor, NULL), SP_OK);
    for (uint64_t i = 1; i <= count; i++) {
        assert_int_equal(sp_cursor_next(cursor, &event, NULL), SP_OK);
        assert_int_equal(event->position, i);
        assert_int_equal(event->version, (i + 1) / 2);
    }
    assert_int_equal(sp_cursor_next(cursor, &event, NULL), SP_END);
    sp_cursor_close(cursor);
}

/* Of what waits to be sealed, opening reads only what the newest snapshot does not cover. */
static void test_waiting_segments_are_passed_over(void **state) {
    (void)state;
    enum { COUNT = 3000 };
    struct sp_fs *fs = open_folder();
    struct sp_engine_options options = options_of(fs);
    options.keeps_raw = true;
    options.snapshot_events = 100;
    fill_waiting(&options, COUNT);
    struct sp_engine_opened opened;
    struct sp_engine *engine = open_engine(&options, &opened);
    assert_true(opened.log.passed >= 3);
    assert_true(opened.replayed_events <= 200);
    expect_all(engine, COUNT);
    struct outcome again;
    assert_int_equal(submit(engine, "even", "id-10", &again, NULL), SP_OK);
    (void)sp_engine_turn(engine, -1);
    assert_true(again.result.duplicate);
    assert_int_equal(again.result.position, 11);
    sp_engine_close(engine);
    options.read_only = true;
    engine = open_engine(&options, &opened);
    assert_true(opened.log.passed >= 3);
    expect_all(engine, COUNT);
    sp_engine_close(engine);
    options.read_only = false;
    options.keeps_raw = false; /* sealed at last */
    engine = open_engine(&options, NULL);
    struct sp_log_local_stats stats = {.segments_waiting = 1};
    for (int i = 0; i < 100000 && stats.segments_waiting > 0; i++) {
        (void)sp_engine_turn(engine, 0);
        sp_log_local_stats(sp_engine_log(engine), &stats);
    }
    assert_int_equal(stats.segments_waiting, 0);
    expect_all(engine, COUNT);
    sp_engine_close(engine);
    fs->ops->destroy(fs);
}

enum { DAMAGED = 16384 + 200 }; /* of a segment, in its fourth block */

static void flip_byte(struct sp_fs *fs, const char *path, uint64_t offset) {
    struct sp_file *file = NULL;
    char byte;
    size_t got = 0;
    assert_int_equal(fs->ops->open(fs, path, SP_FS_READ | SP_FS_WRITE, &file, NULL), SP_OK);
    assert_int_equal(fs->ops->read(file, &byte, 1, offset, &got, NULL), SP_OK);
    byte = (char)(byte ^ 16);
    assert_int_equal(fs->ops->write(file, &byte, 1, offset, NULL), SP_OK);
    assert_int_equal(fs->ops->sync(file, NULL), SP_OK);
    fs->ops->close(file);
}

/* It is found before the store is closed, however soon that is. */
static void test_damage_and_a_short_life(void **state) {
    (void)state;
    struct sp_fs *fs = open_folder();
    struct sp_engine_options options = options_of(fs);
    options.keeps_raw = true;
    options.snapshot_events = 100;
    fill_waiting(&options, 3000);
    flip_byte(fs, "wal/00000001.seg", DAMAGED);
    struct sp_engine_opened opened;
    struct sp_engine *engine = open_engine(&options, &opened);
    assert_true(opened.log.passed >= 3);
    sp_engine_close(engine);
    engine = NULL;
    assert_int_equal(sp_engine_open(&options, &engine, &opened, NULL), SP_CORRUPT);
    fs->ops->destroy(fs);
}

/*
 * Damage in what was passed over ends the store as soon as the Merkle tree gets there; from then on
 * opening reads all of it, and refuses.
 */
static void test_damage_in_what_was_passed_over(void **state) {
    (void)state;
    enum { COUNT = 3000 };
    struct sp_fs *fs = open_folder();
    struct sp_engine_options options = options_of(fs);
    options.keeps_raw = true;
    options.snapshot_events = 100;
    fill_waiting(&options, COUNT);
    flip_byte(fs, "wal/00000001.seg", DAMAGED);
    struct sp_engine_opened opened;
    struct sp_engine *engine = open_engine(&options, &opened);
    assert_true(opened.log.passed >= 3);
    const struct sp_query everything = {.limit = 0};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    sp_status status = sp_cursor_open(engine, &everything, &cursor, NULL);
    uint64_t read = 0;
    while (status == SP_OK && (status = sp_cursor_next(cursor, &event, NULL)) == SP_OK) {
        assert_int_equal(event->position, ++read);
    }
    assert_int_equal(status, SP_CORRUPT);
    assert_true(read < 400);
    sp_cursor_close(cursor);
    for (int i = 0; i < 50 && sp_engine_state(engine, NULL) == SP_OK; i++) {
        (void)sp_engine_turn(engine, 0);
    }
    assert_int_equal(sp_engine_state(engine, NULL), SP_CORRUPT);
    sp_engine_close(engine);
    engine = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(sp_engine_open(&options, &engine, &opened, &error), SP_CORRUPT);
    assert_non_null(strstr(error.text, "acknowledged data is damaged"));
    fs->ops->destroy(fs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_group_commit, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_failing_device, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_snapshots_spare_replaying, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_waiting_segments_are_passed_over, help_begin,
                                        help_end),
        cmocka_unit_test_setup_teardown(test_damage_in_what_was_passed_over, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_damage_and_a_short_life, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_the_clock_falls, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_indexes_and_scans_agree, help_begin, help_end),
    };
    wall = 1000000000000000;
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
