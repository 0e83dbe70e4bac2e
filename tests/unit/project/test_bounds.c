/* Bounds of the times of a projection's events: never narrower than the events are. */
#include "../engine/folder.h"

#include <stdlib.h>

#include "project/bounds.h"

enum { EVENTS = 40000, STORIES = 40 };

static void note(struct sp_bounds *bounds, uint64_t position, uint64_t time_us) {
    assert_int_equal(sp_bounds_note(bounds, position, time_us), SP_OK);
}

/* Notes events whose times rise with their positions, all of them. */
static void note_rising(struct sp_bounds *bounds, uint64_t first, uint64_t last) {
    for (uint64_t position = first; position <= last; position++) {
        note(bounds, position, position * 10);
    }
    sp_bounds_cover(bounds, first, last);
}

static void a_prefix_ends_before_what_is_later(void **state) {
    (void)state;
    struct sp_bounds bounds;
    sp_bounds_init(&bounds);
    assert_int_equal(sp_bounds_prefix(&bounds, UINT64_MAX), 0);
    note_rising(&bounds, 1, EVENTS);
    assert_int_equal(sp_bounds_prefix(&bounds, UINT64_MAX), EVENTS);
    assert_int_equal(sp_bounds_prefix(&bounds, EVENTS * 10), EVENTS);
    assert_int_equal(sp_bounds_prefix(&bounds, 9), 0);
    assert_int_equal(sp_bounds_prefix(&bounds, 20000 * 10), 2 * SP_BOUNDS_STRETCH);
    sp_bounds_fini(&bounds);
}

/* One clock that runs ahead makes all behind it useless as a beginning, and nothing wrong. */
static void one_late_event_ends_every_prefix(void **state) {
    (void)state;
    struct sp_bounds bounds;
    sp_bounds_init(&bounds);
    note_rising(&bounds, 1, EVENTS);
    note(&bounds, 5, UINT64_MAX);
    assert_int_equal(sp_bounds_prefix(&bounds, EVENTS * 10), 0);
    sp_bounds_fini(&bounds);
}

static void what_is_not_known_has_to_be_read(void **state) {
    (void)state;
    struct sp_bounds bounds;
    sp_bounds_init(&bounds);
    note_rising(&bounds, 1, 10000);
    uint64_t first = 0;
    uint64_t last = 0;
    /* Events of the second stretch are later, but not all of it is known. */
    assert_true(sp_bounds_next(&bounds, 0, 1, 30000, &first, &last));
    assert_int_equal(first, SP_BOUNDS_STRETCH + 1);
    assert_int_equal(last, 30000);
    assert_true(sp_bounds_gap(&bounds, 30000, &first, &last));
    assert_int_equal(first, 10001);
    assert_int_equal(last, 30000);
    assert_false(sp_bounds_gap(&bounds, 10000, &first, &last));
    sp_bounds_fini(&bounds);
}

/* Who goes on where it left off leaves a gap behind an older file; filling it joins the two. */
static void a_gap_is_filled(void **state) {
    (void)state;
    struct sp_bounds bounds;
    sp_bounds_init(&bounds);
    note_rising(&bounds, 1, 1000);
    note_rising(&bounds, 5001, 20000);
    uint64_t first = 0;
    uint64_t last = 0;
    assert_int_equal(bounds.known, 1000);
    assert_true(sp_bounds_gap(&bounds, 20000, &first, &last));
    assert_int_equal(first, 1001);
    assert_int_equal(last, 5000);
    note_rising(&bounds, first, last);
    assert_int_equal(bounds.known, 20000);
    assert_false(sp_bounds_gap(&bounds, 20000, &first, &last));
    sp_bounds_fini(&bounds);
}

static void stored_and_read_again(void **state) {
    (void)state;
    struct sp_bounds bounds;
    struct sp_bounds again;
    struct sp_buf bytes;
    sp_bounds_init(&bounds);
    sp_bounds_init(&again);
    sp_buf_init(&bytes, SIZE_MAX);
    note_rising(&bounds, 1, EVENTS);
    sp_bounds_encode(&bounds, &bytes);
    assert_int_equal(bytes.status, SP_OK);
    assert_int_equal(sp_bounds_decode(sp_buf_str(&bytes), &again), SP_OK);
    assert_int_equal(again.known, EVENTS);
    for (uint64_t time_us = 0; time_us < EVENTS * 10; time_us += 777) {
        assert_int_equal(sp_bounds_prefix(&again, time_us), sp_bounds_prefix(&bounds, time_us));
    }
    for (size_t at = 0; at < bytes.len; at++) { /* every byte is held by the checksum */
        bytes.data[at] ^= 1;
        assert_int_not_equal(sp_bounds_decode(sp_buf_str(&bytes), &again), SP_OK);
        bytes.data[at] ^= 1;
    }
    for (size_t len = 0; len < bytes.len; len += 97) {
        assert_int_not_equal(sp_bounds_decode(sp_str_of(bytes.data, len), &again), SP_OK);
    }
    sp_buf_fini(&bytes);
    sp_bounds_fini(&again);
    sp_bounds_fini(&bounds);
}

/*
 * Whatever the times, what was noted and in which order: each event that is not later lies in a
 * span, and none of a prefix is later.
 */
static void one_story(uint64_t seed) {
    uint64_t random = seed;
    uint64_t *times = calloc(EVENTS + 1, sizeof(*times));
    assert_non_null(times);
    struct sp_bounds bounds;
    sp_bounds_init(&bounds);
    uint32_t disorder = help_below(&random, 3) == 0 ? EVENTS : 1 + help_below(&random, 3000);
    for (uint64_t position = 1; position <= EVENTS; position++) {
        times[position] = position + help_below(&random, disorder);
    }
    for (unsigned i = 0; i < 6; i++) { /* spans in any order, some over one another */
        uint64_t first = 1 + help_below(&random, EVENTS);
        uint64_t last = first + help_below(&random, (uint32_t)(EVENTS - first + 1));
        first = i == 0 && help_below(&random, 2) == 0 ? 1 : first;
        for (uint64_t position = first; position <= last; position++) {
            note(&bounds, position, times[position]);
        }
        sp_bounds_cover(&bounds, first, last);
        uint64_t time_us = help_below(&random, EVENTS);
        uint64_t prefix = sp_bounds_prefix(&bounds, time_us);
        assert_true(prefix <= bounds.known);
        for (uint64_t position = 1; position <= prefix; position++) {
            assert_true(times[position] <= time_us);
        }
        uint64_t at = 1 + help_below(&random, EVENTS);
        uint64_t until = at + help_below(&random, (uint32_t)(EVENTS - at + 1));
        uint64_t span_first = 0;
        uint64_t span_last = 0;
        while (at <= until) {
            bool there = sp_bounds_next(&bounds, time_us, at, until, &span_first, &span_last);
            uint64_t skipped_to = there ? span_first - 1 : until;
            for (uint64_t position = at; position <= skipped_to; position++) {
                assert_true(times[position] > time_us);
            }
            if (!there) {
                break;
            }
            assert_true(span_first >= at && span_last >= span_first && span_last <= until);
            at = span_last + 1;
        }
    }
    sp_bounds_fini(&bounds);
    free(times);
}

static void no_event_is_lost(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= STORIES; seed++) {
        one_story(seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_ends_before_what_is_later),
        cmocka_unit_test(one_late_event_ends_every_prefix),
        cmocka_unit_test(what_is_not_known_has_to_be_read),
        cmocka_unit_test(a_gap_is_filled),
        cmocka_unit_test(stored_and_read_again),
        cmocka_unit_test(no_event_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
