/* The tail of one segment: postings, ids, types, times, limits. */
#include <string.h>

#include "index/tail_state.h"
#include "model.h"

static struct sp_index_keys keys_of(uint64_t number) {
    return (struct sp_index_keys){
        .stream = number * 3,
        .type = number % 7,
        .source = number * 5,
        .correlation = number * 11,
        .id = number << 20,
    };
}

/* Walks all postings of a key from `bound` on and compares them with the model's. */
static void compare_walk(const struct model *model, const struct sp_tail *tail,
                         enum sp_index_kind kind, uint64_t hash, uint32_t bound, bool reverse) {
    struct sp_tail_cursor cursor;
    struct sp_postings run;
    bool has = sp_tail_find(tail, kind, hash, &cursor);
    assert_int_equal(has, sp_tail_count_of(tail, kind, hash) > 0);
    uint64_t from = 1 + (uint64_t)bound;
    for (;;) {
        sp_tail_fill(tail, &cursor, bound, reverse, &run);
        if (run.begin == run.end) {
            break;
        }
        while (run.begin < run.end) {
            uint32_t ordinal = reverse ? run.ordinals[--run.end] : run.ordinals[run.begin++];
            uint64_t expected = reverse ? model_previous(model, kind, hash, 0, from + 1)
                                        : model_next(model, kind, hash, from, UINT64_MAX);
            assert_int_equal(ordinal + 1, expected);
            from = reverse ? expected - 1 : expected + 1;
            bound = reverse ? ordinal - 1 : ordinal + 1;
        }
        if (reverse && bound == UINT32_MAX) {
            break;
        }
    }
    assert_int_equal(0, reverse ? model_previous(model, kind, hash, 0, from + 1)
                                : model_next(model, kind, hash, from, UINT64_MAX));
}

static void postings_are_walked_both_ways(void **state) {
    (void)state;
    const struct model_shape *shapes[] = {&MODEL_USUAL, &MODEL_SKEWED};
    for (size_t i = 0; i < 2; i++) {
        struct model model;
        model_init(&model, i + 1, shapes[i], 1);
        for (int j = 0; j < 6000; j++) {
            (void)model_draw(&model);
        }
        struct sp_tail *tail = model_tail(&model, 0, model.count, 99);
        assert_int_equal(sp_tail_count(tail), model.count);
        for (int round = 0; round < 60; round++) {
            for (int kind = 0; kind < SP_INDEX_KIND_COUNT; kind++) {
                uint64_t hash = model_pick(&model, (enum sp_index_kind)kind);
                uint32_t bound = sp_prng_below(&model.prng, 6100);
                compare_walk(&model, tail, (enum sp_index_kind)kind, hash, bound, round % 2 == 0);
            }
        }
        sp_tail_unref(tail);
        model_fini(&model);
    }
}

/* Every count around the sizes at which blocks are made. */
static void block_edges(void **state) {
    (void)state;
    struct sp_tail *tail = sp_tail_new(1, 0);
    struct sp_index_keys keys = keys_of(1);
    for (uint32_t count = 1; count <= 5000; count++) {
        keys.id = (uint64_t)count << 16;
        assert_int_equal(sp_tail_add(tail, &keys, SP_STR("t"), 0), SP_OK);
        struct sp_tail_cursor cursor;
        struct sp_postings run;
        assert_true(sp_tail_find(tail, SP_INDEX_STREAM, keys.stream, &cursor));
        sp_tail_fill(tail, &cursor, UINT32_MAX, true, &run);
        assert_int_equal(run.ordinals[run.end - 1], count - 1);
        sp_tail_fill(tail, &cursor, 0, false, &run);
        assert_int_equal(run.ordinals[run.begin], 0);
        sp_tail_fill(tail, &cursor, count / 2, false, &run);
        assert_int_equal(run.ordinals[run.begin], count / 2);
        sp_tail_fill(tail, &cursor, count, false, &run);
        assert_int_equal(run.begin, run.end);
    }
    sp_tail_unref(tail);
}

/* A cursor that was set when there were few postings walks on over those that came later. */
static void cursors_outlive_adds(void **state) {
    (void)state;
    struct sp_tail *tail = sp_tail_new(1, 0);
    struct sp_index_keys keys = keys_of(4);
    struct sp_tail_cursor cursor = {.term = UINT32_MAX};
    uint32_t next = 0;
    for (uint32_t count = 1; count <= 3000; count++) {
        keys.id = (uint64_t)count << 16;
        assert_int_equal(sp_tail_add(tail, &keys, SP_STR("t"), 0), SP_OK);
        if (count == 1) {
            assert_true(sp_tail_find(tail, SP_INDEX_TYPE, keys.type, &cursor));
        }
        if (count % 37 != 1) {
            continue;
        }
        struct sp_postings run;
        for (;;) {
            sp_tail_fill(tail, &cursor, next, false, &run);
            if (run.begin == run.end) {
                break;
            }
            for (; run.begin < run.end; run.begin++) {
                assert_int_equal(run.ordinals[run.begin], next++);
            }
        }
        assert_int_equal(next, count);
    }
    sp_tail_unref(tail);
}

struct ids_seen {
    uint32_t ordinals[64];
    enum sp_index_role roles[64];
    size_t count;
};

static bool on_id(void *context, uint32_t ordinal, enum sp_index_role role) {
    struct ids_seen *seen = context;
    seen->ordinals[seen->count] = ordinal;
    seen->roles[seen->count] = role;
    seen->count++;
    return seen->count < 64;
}

/* One id of many sources, and one cause of many effects: all of them, in order, at once. */
static void shared_ids_are_listed_in_order(void **state) {
    (void)state;
    struct sp_tail *tail = sp_tail_new(1, 0);
    uint64_t shared = 0x123456789abc0000u;
    for (uint32_t i = 0; i < 50; i++) {
        struct sp_index_keys keys = keys_of(i);
        keys.id = i % 2 == 0 ? shared : keys.id;
        keys.has_cause = i % 3 == 0;
        keys.cause = shared;
        keys.has_source_id = true;
        keys.source_id = ~keys.id;
        assert_int_equal(sp_tail_add(tail, &keys, SP_STR("t"), i), SP_OK);
        struct ids_seen seen = {.count = 0};
        assert_true(sp_tail_find_id(tail, shared, SP_INDEX_CAUSE, on_id, &seen));
        assert_int_equal(seen.count, i / 3 + 1);
        for (uint32_t j = 0; j < seen.count; j++) {
            assert_int_equal(seen.ordinals[j], 3 * j);
        }
        seen.count = 0;
        assert_true(sp_tail_find_id(tail, shared, 7, on_id, &seen));
        assert_int_equal(seen.count, i / 3 + 1 + i / 2 + 1);
        seen.count = 0;
        assert_true(sp_tail_find_id(tail, ~keys.id, SP_INDEX_SOURCE_ID, on_id, &seen));
        assert_int_equal(seen.ordinals[seen.count - 1], i);
    }
    struct ids_seen seen = {.count = 63};
    assert_false(sp_tail_find_id(tail, shared, SP_INDEX_ID, on_id, &seen));
    sp_tail_unref(tail);
}

/* Of an id hash the upper 48 bits count. */
static void low_bits_of_ids_are_ignored(void **state) {
    (void)state;
    struct sp_tail *tail = sp_tail_new(1, 0);
    struct sp_index_keys keys = keys_of(9);
    keys.id = 0xfedcba9876540001u;
    assert_int_equal(sp_tail_add(tail, &keys, SP_STR("t"), 0), SP_OK);
    struct ids_seen seen = {.count = 0};
    assert_true(sp_tail_find_id(tail, 0xfedcba987654ffffu, SP_INDEX_ID, on_id, &seen));
    assert_true(sp_tail_find_id(tail, 0xfedcba9876550001u, SP_INDEX_ID, on_id, &seen));
    assert_int_equal(seen.count, 1);
    sp_tail_unref(tail);
}

static void types_are_listed_up_to_the_limit(void **state) {
    (void)state;
    struct sp_tail *tail = sp_tail_new(1, 0);
    for (uint32_t i = 0; i < SP_TAIL_TYPES_MAX + 1; i++) {
        assert_true(sp_tail_types_complete(tail));
        struct sp_index_keys keys = keys_of(i);
        keys.type = i * 77 + 1;
        assert_int_equal(sp_tail_add(tail, &keys, sp_str_of(&i, sizeof(i)), 0), SP_OK);
        assert_int_equal(sp_tail_add(tail, &keys, sp_str_of(&i, sizeof(i)), 0), SP_OK);
    }
    assert_false(sp_tail_types_complete(tail));
    assert_int_equal(sp_tail_type_count(tail), SP_TAIL_TYPES_MAX);
    for (uint32_t i = 0; i < SP_TAIL_TYPES_MAX; i++) {
        assert_true(sp_str_eq(sp_tail_type(tail, i), sp_str_of(&i, sizeof(i))));
    }
    sp_tail_unref(tail);
}

/* Two types of one hash: the second cannot be listed, and that is said. */
static void a_hidden_type_is_said(void **state) {
    (void)state;
    struct sp_tail *tail = sp_tail_new(1, 0);
    struct sp_index_keys keys = keys_of(1);
    assert_int_equal(sp_tail_add(tail, &keys, SP_STR("task.done"), 0), SP_OK);
    assert_int_equal(sp_tail_add(tail, &keys, SP_STR("task.done"), 0), SP_OK);
    assert_true(sp_tail_types_complete(tail));
    assert_int_equal(sp_tail_add(tail, &keys, SP_STR("task.gone"), 0), SP_OK);
    assert_false(sp_tail_types_complete(tail));
    sp_tail_unref(tail);
}

static void times_lead_to_ordinals(void **state) {
    (void)state;
    struct sp_tail *tail = sp_tail_new(1, 0);
    enum { COUNT = 3 * SP_TAIL_TIME_EVENTS + 100 };
    for (uint32_t i = 0; i < COUNT; i++) {
        struct sp_index_keys keys = keys_of(1);
        keys.id = (uint64_t)i << 16;
        /* A clock that was set back must not make earlier events unfindable. */
        uint64_t recorded_us = 1000 + i * 10 - (i % 500 == 499 ? 700 : 0);
        assert_int_equal(sp_tail_add(tail, &keys, SP_STR("t"), recorded_us), SP_OK);
    }
    assert_int_equal(sp_tail_ordinal_at_time(tail, 0), 0);
    assert_int_equal(sp_tail_ordinal_at_time(tail, UINT64_MAX), COUNT);
    for (uint32_t i = 0; i < COUNT; i += 97) {
        uint32_t ordinal = sp_tail_ordinal_at_time(tail, 1000 + i * 10);
        assert_true(ordinal <= i && i - ordinal < SP_TAIL_TIME_EVENTS);
    }
    sp_tail_unref(tail);
}

/* As many events as a segment may have; then no more, and what is there stays findable. */
static void a_full_segment_refuses(void **state) {
    (void)state;
    struct sp_tail *tail = sp_tail_new(1, 5);
    struct sp_index_keys keys = keys_of(1);
    for (uint64_t i = 0; i < SP_TAIL_EVENTS_MAX; i++) {
        keys.id = (i + 1) << 40;
        sp_status status = sp_tail_add(tail, &keys, SP_STR("t"), i);
        if (status != SP_OK) {
            fail_msg("event %zu: %s", (size_t)i, sp_status_name(status));
        }
    }
    assert_int_equal(sp_tail_add(tail, &keys, SP_STR("t"), 0), SP_LIMIT);
    assert_int_equal(sp_tail_count_of(tail, SP_INDEX_STREAM, keys.stream), SP_TAIL_EVENTS_MAX);
    struct sp_tail_cursor cursor;
    struct sp_postings run;
    assert_true(sp_tail_find(tail, SP_INDEX_STREAM, keys.stream, &cursor));
    sp_tail_fill(tail, &cursor, SP_TAIL_EVENTS_MAX - 1, false, &run);
    assert_int_equal(run.ordinals[run.begin], SP_TAIL_EVENTS_MAX - 1);
    sp_tail_unref(tail);
}

/* The memory an event takes, with its id and cause: a limit that the engine plans with. */
static void memory_stays_within_bounds(void **state) {
    (void)state;
    struct sp_tail *tail = sp_tail_new(1, 1);
    struct sp_prng prng = sp_prng_seed(1);
    uint64_t last = 0;
    enum { COUNT = 400000 };
    for (uint32_t i = 0; i < COUNT; i++) {
        struct sp_index_keys keys = {
            .stream = sp_prng_below(&prng, 200),
            .type = sp_prng_below(&prng, 50),
            .source = sp_prng_below(&prng, 200),
            .correlation = i / 2000 * 64 + sp_prng_below(&prng, 64),
            .id = sp_prng_next(&prng),
            .cause = last,
            .has_cause = last != 0,
        };
        last = keys.id;
        assert_int_equal(sp_tail_add(tail, &keys, SP_STR(""), i), SP_OK);
    }
    assert_in_range(sp_tail_bytes(tail) / COUNT, 30, 64);
    sp_tail_unref(tail);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(postings_are_walked_both_ways),
        cmocka_unit_test(block_edges),
        cmocka_unit_test(cursors_outlive_adds),
        cmocka_unit_test(shared_ids_are_listed_in_order),
        cmocka_unit_test(low_bits_of_ids_are_ignored),
        cmocka_unit_test(types_are_listed_up_to_the_limit),
        cmocka_unit_test(a_hidden_type_is_said),
        cmocka_unit_test(times_lead_to_ordinals),
        cmocka_unit_test(a_full_segment_refuses),
        cmocka_unit_test(memory_stays_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
