/*
 * The core: where events go, which appends are refused, and that applying what was decided gives
 * the state that deciding gave.
 */
#include "core_help.h"

#include <stdio.h>

static struct sp_core core;
static struct help_append append;

static int begin(void **state) {
    (void)state;
    sp_core_init(&core);
    return 0;
}

static int end(void **state) {
    (void)state;
    sp_core_fini(&core);
    return 0;
}

static void test_positions_and_versions_are_dense(void **state) {
    (void)state;
    static const char *const streams[] = {"a", "b", "a", "c", "a", "b"};
    static const uint64_t versions[] = {1, 1, 2, 1, 3, 2};
    for (uint64_t i = 0; i < 6; i++) {
        const struct sp_event *event = help_put(&core, &append, streams[i], 1000 + i);
        assert_int_equal(event->position, i + 1);
        assert_int_equal(event->version, versions[i]);
        assert_int_equal(event->recorded_us, 1000 + i);
    }
    assert_int_equal(core.position, 6);
    assert_int_equal(core.streams.count, 3);
}

static void test_a_batch_is_placed_in_order(void **state) {
    (void)state;
    struct sp_core_outcome outcome;
    (void)help_put(&core, &append, "b", 5000);
    help_append_init(&append, 6000);
    (void)help_append_add(&append, "a");
    (void)help_append_add(&append, "b");
    (void)help_append_add(&append, "a");
    assert_int_equal(help_step(&core, &append, NULL, &outcome), SP_OK);
    assert_int_equal(outcome.appended_count, 3);
    static const uint64_t versions[] = {1, 2, 2};
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(append.events[i].position, 2 + i);
        assert_int_equal(append.events[i].version, versions[i]);
        assert_int_equal(append.events[i].entry_seq, i);
    }
}

/* The clock may fall, entry ids do not; within one millisecond they count on. */
static void test_entry_ids_rise_whatever_the_clock_does(void **state) {
    (void)state;
    static const uint64_t clock[] = {1000, 1999, 2000, 1500, 0, 2999, 3000, 2000, 9000, 1};
    static const uint64_t recorded[] = {1000, 1999, 2000, 2000, 2000, 2999, 3000, 3000, 9000, 9000};
    static const uint32_t seq[] = {0, 1, 0, 1, 2, 3, 0, 1, 0, 1};
    for (uint64_t i = 0; i < 10; i++) {
        const struct sp_event *event = help_put(&core, &append, "a", clock[i]);
        assert_int_equal(event->recorded_us, recorded[i]);
        assert_int_equal(event->entry_seq, seq[i]);
    }
}

static void test_the_first_event_has_sequence_zero(void **state) {
    (void)state;
    assert_int_equal(help_put(&core, &append, "a", 0)->entry_seq, 0); /* as the state's time is */
    assert_int_equal(help_put(&core, &append, "a", 0)->entry_seq, 1);
}

static void expect_conflict(const char *stream, uint64_t expected, uint64_t actual) {
    uint64_t hash = sp_core_hash(&core);
    struct sp_core_outcome outcome;
    help_append_init(&append, 1);
    (void)help_append_add(&append, "a");
    (void)help_append_add(&append, "brand new");
    help_append_expect(&append, "a", help_version(&core, "a"));
    help_append_expect(&append, stream, expected);
    assert_int_equal(help_step(&core, &append, NULL, &outcome), SP_CONFLICT);
    assert_int_equal(outcome.failed_expectation, 1);
    assert_int_equal(outcome.actual_version, actual);
    assert_int_equal(append.events[0].position, 0);
    assert_int_equal(sp_core_hash(&core), hash);
}

static void test_expectations(void **state) {
    (void)state;
    (void)help_put(&core, &append, "a", 1);
    (void)help_put(&core, &append, "a", 1);
    expect_conflict("a", 0, 2);
    expect_conflict("a", 1, 2);
    expect_conflict("a", 3, 2);
    expect_conflict("nobody", 1, 0);
    expect_conflict("brand new", 1, 0);
    help_append_init(&append, 1);
    (void)help_append_add(&append, "a");
    help_append_expect(&append, "a", 2);
    help_append_expect(&append, "nobody", 0);
    help_append_expect(&append, "a", (uint64_t)SP_CORE_ANY_VERSION);
    assert_int_equal(help_step(&core, &append, NULL, NULL), SP_OK);
    assert_int_equal(help_version(&core, "a"), 3);
}

/*
 * An expectation speaks of the moment before the append, also for a batch that has two of a stream.
 */
static void test_an_expectation_holds_for_the_whole_batch(void **state) {
    (void)state;
    help_append_init(&append, 1);
    (void)help_append_add(&append, "a");
    (void)help_append_add(&append, "a");
    help_append_expect(&append, "a", 0);
    assert_int_equal(help_step(&core, &append, NULL, NULL), SP_OK);
    assert_int_equal(help_version(&core, "a"), 2);
}

static void test_what_is_known_is_left_out(void **state) {
    (void)state;
    struct sp_core_outcome outcome;
    (void)help_put(&core, &append, "a", 1);
    help_append_init(&append, 1);
    (void)help_append_add(&append, "a");
    help_append_add(&append, "a")->known_position = 1;
    help_append_add(&append, "a")->same_as = 1;
    (void)help_append_add(&append, "a");
    assert_int_equal(help_step(&core, &append, NULL, &outcome), SP_OK);
    assert_int_equal(outcome.appended_count, 2);
    assert_int_equal(append.events[0].version, 2);
    assert_int_equal(append.events[1].position, 0);
    assert_int_equal(append.events[2].position, 0);
    assert_int_equal(append.events[3].version, 3);
    assert_int_equal(core.position, 3);
}

/*
 * The retry of an append that went through before: it is done, whatever its expectation says now.
 */
static void test_known_events_alone_never_conflict(void **state) {
    (void)state;
    struct sp_core_outcome outcome;
    (void)help_put(&core, &append, "a", 1);
    uint64_t hash = sp_core_hash(&core);
    help_append_init(&append, 99);
    help_append_add(&append, "a")->known_position = 1;
    help_append_expect(&append, "a", 0);
    assert_int_equal(help_step(&core, &append, NULL, &outcome), SP_OK);
    assert_int_equal(outcome.appended_count, 0);
    assert_int_equal(sp_core_hash(&core), hash);
}

static void test_apply_refuses_what_does_not_follow(void **state) {
    (void)state;
    struct help_entry entry = {.stream = "a", .applied = {.position = 1, .version = 1}};
    entry.applied.recorded_us = 100;
    assert_int_equal(help_apply(&core, &entry), SP_OK);
    uint64_t hash = sp_core_hash(&core);
    struct help_entry next = entry;
    next.applied.position = 2;
    assert_int_equal(help_apply(&core, &next), SP_CORRUPT); /* a version twice */
    next.applied.version = 3;
    assert_int_equal(help_apply(&core, &next), SP_CORRUPT); /* one left out */
    next.applied.version = 2;
    next.applied.position = 3;
    assert_int_equal(help_apply(&core, &next), SP_CORRUPT); /* a position left out */
    next.applied.position = 1;
    assert_int_equal(help_apply(&core, &next), SP_CORRUPT); /* a position twice */
    next.applied.position = 2;
    next.applied.recorded_us = 99;
    assert_int_equal(help_apply(&core, &next), SP_CORRUPT); /* a time that falls */
    (void)snprintf(next.stream, sizeof(next.stream), "b");
    next.applied.recorded_us = 100;
    assert_int_equal(help_apply(&core, &next), SP_CORRUPT); /* a stream that begins with 2 */
    assert_int_equal(sp_core_hash(&core), hash);
    next.applied.version = 1;
    assert_int_equal(help_apply(&core, &next), SP_OK);
}

/* Everything the log determines shows in the hash, and nothing else does. */
static void test_the_hash_tells_states_apart(void **state) {
    (void)state;
    struct sp_core other;
    struct help_append refused;
    uint64_t empty = sp_core_hash(&core);
    (void)help_put(&core, &append, "a", 1000);
    uint64_t one = sp_core_hash(&core);
    assert_int_not_equal(one, empty);
    help_append_init(&refused, 1000);
    (void)help_append_add(&refused, "never");
    help_append_expect(&refused, "a", 7);
    assert_int_equal(help_step(&core, &refused, NULL, NULL), SP_CONFLICT);
    assert_int_equal(sp_core_hash(&core), one);
    sp_core_init(&other);
    (void)help_put(&other, &append, "b", 1000);
    assert_int_not_equal(sp_core_hash(&other), one);
    sp_core_fini(&other);
    sp_core_init(&other);
    (void)help_put(&other, &append, "a", 1001);
    assert_int_not_equal(sp_core_hash(&other), one);
    sp_core_fini(&other);
    sp_core_init(&other);
    (void)help_put(&other, &append, "a", 1000);
    assert_int_equal(sp_core_hash(&other), one);
    sp_core_fini(&other);
}

/* A long random history: its order, and that replaying it gives the same state at each moment. */
static void tell_random_story(uint64_t seed) {
    enum { APPENDS = 400, STREAMS = 300 };
    struct sp_prng prng = sp_prng_seed(seed);
    struct help_log log = {.entries = NULL};
    struct sp_core live;
    struct sp_core replayed;
    uint64_t now_us = 10000000;
    size_t applied = 0;
    sp_core_init(&live);
    sp_core_init(&replayed);
    for (int i = 0; i < APPENDS; i++) {
        help_random(&append, &prng, STREAMS, &now_us);
        if (sp_prng_below(&prng, 4) == 0) {
            help_append_expect(&append, append.names[0],
                               help_version(&live, append.names[0]) + sp_prng_below(&prng, 2));
        }
        sp_status status = help_step(&live, &append, &log, NULL);
        assert_true(status == SP_OK || status == SP_CONFLICT);
        if (i % 16 == 0 || i == APPENDS - 1) {
            help_replay(&replayed, &log, applied, log.count);
            applied = log.count;
            assert_int_equal(sp_core_hash(&replayed), sp_core_hash(&live));
        }
    }
    for (size_t i = 0; i < log.count; i++) {
        const struct sp_core_applied *at = &log.entries[i].applied;
        assert_int_equal(at->position, i + 1);
        if (i > 0) {
            const struct sp_core_applied *before = &log.entries[i - 1].applied;
            uint64_t ms = at->recorded_us / 1000;
            uint64_t ms_before = before->recorded_us / 1000;
            assert_true(at->recorded_us >= before->recorded_us);
            assert_true(ms > ms_before || (ms == ms_before && at->entry_seq > before->entry_seq));
        }
    }
    assert_true(log.count > APPENDS);
    help_log_fini(&log);
    sp_core_fini(&live);
    sp_core_fini(&replayed);
}

static void test_replaying_gives_the_same_state(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        tell_random_story(seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_positions_and_versions_are_dense, begin, end),
        cmocka_unit_test_setup_teardown(test_a_batch_is_placed_in_order, begin, end),
        cmocka_unit_test_setup_teardown(test_entry_ids_rise_whatever_the_clock_does, begin, end),
        cmocka_unit_test_setup_teardown(test_the_first_event_has_sequence_zero, begin, end),
        cmocka_unit_test_setup_teardown(test_expectations, begin, end),
        cmocka_unit_test_setup_teardown(test_an_expectation_holds_for_the_whole_batch, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_known_is_left_out, begin, end),
        cmocka_unit_test_setup_teardown(test_known_events_alone_never_conflict, begin, end),
        cmocka_unit_test_setup_teardown(test_apply_refuses_what_does_not_follow, begin, end),
        cmocka_unit_test_setup_teardown(test_the_hash_tells_states_apart, begin, end),
        cmocka_unit_test(test_replaying_gives_the_same_state),
    };
    return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
