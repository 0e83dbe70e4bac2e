/* What the benchmarks stand on: events of the promised size and shape, times counted truly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/prng.h"
#include "cli/histogram.h"
#include "cli/workload.h"

static size_t size_of(const spoor_event *event) {
    return event->type.len + event->source.len + event->stream.len +
           (event->id.ptr != NULL ? event->id.len : 36) + event->correlationid.len +
           event->causationid.len + event->data.len;
}

static void events_have_the_size_asked_for(void **state) {
    (void)state;
    static const uint32_t SIZES[] = {256, 300, 301, 1000, 65536};
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(*SIZES); i++) {
        struct sp_workload_options options = {
            .seed = i, .event_bytes = SIZES[i], .makes_ids = true, .stream_count = i};
        struct sp_workload *workload = sp_workload_new(&options);
        uint64_t ticket;
        for (unsigned j = 0; j < 3000; j++) {
            const spoor_event *event = sp_workload_next(workload, &ticket);
            sp_str data = sp_str_of(event->data.ptr, event->data.len);
            assert_int_equal(sp_json_check(data, NULL), SP_OK);
            /* Only the smallest events may be larger: attributes and a minimum of data. */
            assert_true(size_of(event) == SIZES[i] || (SIZES[i] < 300 && j > 0));
        }
        sp_workload_free(workload);
    }
}

static void the_same_seed_gives_the_same_events(void **state) {
    (void)state;
    struct sp_workload_options options = {.seed = 3, .event_bytes = 300, .makes_ids = true};
    struct sp_workload *a = sp_workload_new(&options);
    struct sp_workload *b = sp_workload_new(&options);
    uint64_t ticket;
    for (unsigned i = 0; i < 1000; i++) {
        const spoor_event *left = sp_workload_next(a, &ticket);
        const spoor_event *right = sp_workload_next(b, &ticket);
        assert_int_equal(left->data.len, right->data.len);
        assert_memory_equal(left->data.ptr, right->data.ptr, left->data.len);
        assert_memory_equal(left->id.ptr, right->id.ptr, left->id.len);
    }
    sp_workload_free(a);
    sp_workload_free(b);
}

static void causes_lie_within_the_run(void **state) {
    (void)state;
    struct sp_workload_options options = {.seed = 3, .event_bytes = 300};
    struct sp_workload *workload = sp_workload_new(&options);
    unsigned caused = 0;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t ticket;
        const spoor_event *event = sp_workload_next(workload, &ticket);
        assert_null(event->id.ptr);
        char id[37];
        /* The id tells the run, as the acknowledgement of a store would not. */
        memcpy(id, event->correlationid.ptr, 36);
        id[36] = '\0';
        if (event->causationid.ptr != NULL) {
            assert_memory_equal(event->causationid.ptr, event->correlationid.ptr, 36);
            caused++;
        }
        sp_workload_acknowledge(workload, ticket, id);
    }
    assert_in_range(caused, 18500, 19500); /* all but the first of each run of 25 */
    sp_workload_free(workload);
}

static void streams_are_filled_once_each(void **state) {
    (void)state;
    enum { STREAMS = 500 };
    struct sp_workload_options options = {
        .seed = 1, .event_bytes = 300, .stream_count = STREAMS, .fills_streams = true};
    struct sp_workload *workload = sp_workload_new(&options);
    bool seen[STREAMS] = {false};
    uint64_t ticket;
    for (unsigned i = 0; i < STREAMS; i++) {
        const spoor_event *event = sp_workload_next(workload, &ticket);
        char name[48] = "";
        memcpy(name, event->stream.ptr, event->stream.len);
        unsigned long number = strtoul(name + strlen("task-"), NULL, 10);
        assert_in_range(number, 0, STREAMS - 1);
        assert_false(seen[number]);
        seen[number] = true;
    }
    sp_workload_free(workload);
}

static void percentiles_are_near(void **state) {
    (void)state;
    struct sp_histogram *histogram = calloc(1, sizeof(*histogram));
    assert_non_null(histogram);
    assert_true(sp_histogram_us(histogram, 0.5) == 0);
    for (uint64_t us = 1; us <= 10000; us++) {
        sp_histogram_add(histogram, us * 1000);
    }
    assert_true(sp_histogram_us(histogram, 0.5) >= 5000 && sp_histogram_us(histogram, 0.5) < 5100);
    assert_true(sp_histogram_us(histogram, 0.99) >= 9900);
    assert_true(sp_histogram_us(histogram, 1) == 10000);
    assert_true(sp_histogram_us(histogram, 0) < 1.1);
    free(histogram);
}

static void every_time_has_a_slot(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(1);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t ns = sp_prng_next(&prng) >> sp_prng_below(&prng, 64);
        assert_true(sp_histogram_slot(ns) < SP_HISTOGRAM_SLOTS);
        assert_true(ns == 0 || sp_histogram_slot(ns - 1) <= sp_histogram_slot(ns));
    }
    assert_true(sp_histogram_slot(UINT64_MAX) == SP_HISTOGRAM_SLOTS - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_have_the_size_asked_for),
        cmocka_unit_test(the_same_seed_gives_the_same_events),
        cmocka_unit_test(causes_lie_within_the_run),
        cmocka_unit_test(streams_are_filled_once_each),
        cmocka_unit_test(percentiles_are_near),
        cmocka_unit_test(every_time_has_a_slot),
    };
    return cmocka_run_group_tests_name("bench parts", tests, NULL, NULL);
}
