/*
 * The whole, against the model: a log of segments that are begun, filled, sealed, folded, damaged,
 * rebuilt and dropped in random order, and asked in between.
 */
#include <stdlib.h>
#include <string.h>

#include "index/index_state.h"
#include "model.h"

enum { SEGMENTS_MAX = 200 };

struct world {
    struct model model;
    struct sp_index *index;
    size_t begins[SEGMENTS_MAX + 1]; /* of segment i, in events of the model */
    struct model_bytes *bytes[SEGMENTS_MAX];
    size_t segment_count;
    size_t sealed_count; /* segments 0 … are sealed, and some of them dropped */
    size_t dropped_count;
    struct sp_index_fold *fold; /* under way */
    bool fold_ran;
    struct model_bytes *replaced[SEGMENTS_MAX]; /* sections that others took the place of */
    size_t replaced_count;
};

static void world_init(struct world *world, uint64_t seed, const struct model_shape *shape,
                       uint64_t first_position) {
    memset(world, 0, sizeof(*world));
    model_init(&world->model, seed, shape, first_position);
    struct sp_index_options options = {.seed = seed};
    world->index = sp_index_new(&options);
    assert_non_null(world->index);
}

static void world_begin(struct world *world) {
    assert_true(world->segment_count < SEGMENTS_MAX);
    uint64_t position = world->model.first_position + world->model.count;
    assert_int_equal(sp_index_tail_begin(world->index, 1000 + world->segment_count, position),
                     SP_OK);
    world->begins[world->segment_count++] = world->model.count;
}

static void world_add(struct world *world, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct model_event *event = model_draw(&world->model);
        uint64_t position = world->model.first_position + world->model.count - 1;
        assert_int_equal(sp_index_add(world->index, position, &event->keys,
                                      sp_str_from(event->type), event->recorded_us),
                         SP_OK);
    }
    world->begins[world->segment_count] = world->model.count;
}

static void world_seal(struct world *world) {
    if (world->sealed_count + 1 >= world->segment_count) {
        return;
    }
    size_t segment = world->sealed_count++;
    struct sp_tail *tail = sp_index_tail_pin(world->index, 1000 + segment);
    assert_non_null(tail);
    world->bytes[segment] = model_encode(tail);
    struct sp_section_reader reader = model_reader(world->bytes[segment]);
    assert_int_equal(sp_index_seal(world->index, 1000 + segment, &reader, NULL), SP_OK);
    sp_tail_unref(tail);
}

static void world_drop(struct world *world) {
    if (world->dropped_count + 1 >= world->sealed_count) {
        return;
    }
    size_t end = world->begins[world->dropped_count + 1];
    sp_index_drop_before(world->index, world->model.first_position + end);
    /* A segment without events ends where the next one begins, and goes with it. */
    while (world->dropped_count + 1 < world->segment_count &&
           world->begins[world->dropped_count + 1] <= end) {
        world->dropped_count++;
    }
    if (world->sealed_count < world->dropped_count) {
        world->sealed_count = world->dropped_count;
    }
}

/* One step of a fold: begun, run, ended, with whatever else happens in between. */
static void world_fold(struct world *world) {
    if (world->fold == NULL) {
        world->fold = sp_index_fold_begin(world->index);
        world->fold_ran = false;
    } else if (!world->fold_ran) {
        sp_index_fold_run(world->fold);
        world->fold_ran = true;
    } else {
        assert_int_equal(sp_index_fold_end(world->index, world->fold), SP_OK);
        sp_index_fold_free(world->fold);
        world->fold = NULL;
    }
}

static void world_end_fold(struct world *world) {
    while (world->fold != NULL) {
        world_fold(world);
    }
}

/* A sealed segment's section is replaced by another of the same events, as after damage. */
static void world_replace(struct world *world) {
    if (world->sealed_count == world->dropped_count || world->replaced_count == SEGMENTS_MAX) {
        return;
    }
    size_t segment =
        world->dropped_count +
        sp_prng_below(&world->model.prng, (uint32_t)(world->sealed_count - world->dropped_count));
    struct sp_tail *tail =
        model_tail(&world->model, world->begins[segment], world->begins[segment + 1], segment);
    sp_tail_finish(tail);
    world->replaced[world->replaced_count++] = world->bytes[segment];
    world->bytes[segment] = model_encode(tail);
    sp_tail_unref(tail);
    struct sp_section_reader reader = model_reader(world->bytes[segment]);
    assert_int_equal(sp_index_seal(world->index, 1000 + segment, &reader, NULL), SP_OK);
}

static void world_fini(struct world *world) {
    world_end_fold(world);
    sp_index_free(world->index);
    for (size_t i = 0; i < world->sealed_count; i++) {
        assert_true(world->bytes[i] == NULL || world->bytes[i]->released == 1);
        model_bytes_free(world->bytes[i]);
    }
    for (size_t i = 0; i < world->replaced_count; i++) {
        assert_int_equal(world->replaced[i]->released, 1);
        model_bytes_free(world->replaced[i]);
    }
    model_fini(&world->model);
}

/* The first position that is still indexed. */
static uint64_t world_first(const struct world *world) {
    return world->model.first_position + world->begins[world->dropped_count];
}

static uint64_t world_end(const struct world *world) {
    return world->model.first_position + world->model.count;
}

/* -- Questions --------------------------------------------------------------------------------- */

static uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t random_position(struct world *world) {
    uint64_t span = world->model.count + 20;
    return world->model.first_position + sp_prng_below(&world->model.prng, (uint32_t)span);
}

/* Candidates may be wrong only where hashes were made to collide. */
static bool may_collide(const struct world *world) {
    return world->model.shape.hash_mask != UINT64_MAX;
}

static void ask_scan(struct world *world, enum sp_index_kind kind, bool reverse) {
    struct model *model = &world->model;
    uint64_t hash = model_pick(model, kind);
    uint64_t from = sp_prng_below(&model->prng, 3) == 0 ? 0 : random_position(world);
    uint64_t until = sp_prng_below(&model->prng, 3) == 0 ? UINT64_MAX : random_position(world);
    uint64_t first = world_first(world);
    struct sp_index_scan scan;
    sp_index_scan_init(&scan, world->index, kind, hash, from, until, reverse);
    for (;;) {
        if (sp_prng_below(&model->prng, 16) == 0) {
            uint64_t to = random_position(world);
            sp_index_scan_seek(&scan, to);
            from = reverse ? from : max_u64(from, to);
            until = reverse && to + 1 < until ? to + 1 : until;
        }
        uint64_t expected = reverse ? model_previous(model, kind, hash, max_u64(from, first), until)
                                    : model_next(model, kind, hash, max_u64(from, first), until);
        uint64_t position = 0;
        sp_status status = sp_index_scan_next(&scan, &position);
        if (status == SP_END) {
            assert_int_equal(expected, 0);
            break;
        }
        assert_int_equal(status, SP_OK);
        assert_in_range(position, from, until - 1);
        if (model_key(&model->events[position - model->first_position], kind) == hash) {
            assert_int_equal(position, expected);
        } else {
            assert_true(may_collide(world));
        }
        from = reverse ? from : position + 1;
        until = reverse ? position : until;
    }
}

struct found {
    const struct world *world;
    uint64_t hash;
    uint64_t last;
    size_t count;
    size_t right;
};

static bool on_found(void *context, uint64_t position, enum sp_index_role role) {
    struct found *found = context;
    found->count++;
    found->right += model_has_id(&found->world->model, position, found->hash, role);
    return true;
}

static size_t count_ids(const struct world *world, uint64_t hash, unsigned roles, uint64_t from,
                        uint64_t until) {
    size_t count = 0;
    for (uint64_t position = max_u64(from, world_first(world));
         position < until && position < world_end(world); position++) {
        for (unsigned role = 1; role <= 4; role *= 2) {
            count += (roles & role) != 0 &&
                     model_has_id(&world->model, position, hash, (enum sp_index_role)role);
        }
    }
    return count;
}

static void ask_id(struct world *world) {
    struct model *model = &world->model;
    uint64_t hash = model_pick_id(model);
    unsigned roles = 1 + sp_prng_below(&model->prng, 7);
    uint64_t from = sp_prng_below(&model->prng, 2) == 0 ? 0 : random_position(world);
    uint64_t until = sp_prng_below(&model->prng, 2) == 0 ? UINT64_MAX : random_position(world);
    struct found found = {.world = world, .hash = hash};
    sp_index_prefetch_id(world->index, hash);
    assert_int_equal(sp_index_find_id(world->index, hash, roles, from, until, on_found, &found),
                     SP_OK);
    size_t expected = count_ids(world, hash, roles, from, until);
    assert_int_equal(found.right, expected);
    if (!may_collide(world)) {
        assert_true(found.count <= expected + 2);
    }
}

static void ask_merge(struct world *world, bool reverse) {
    struct model *model = &world->model;
    uint64_t hashes[5];
    size_t count = 1 + sp_prng_below(&model->prng, 5);
    for (size_t i = 0; i < count; i++) {
        hashes[i] = model_pick(model, SP_INDEX_TYPE);
    }
    uint64_t from = world_first(world);
    uint64_t until = world_end(world);
    struct sp_index_merge merge;
    assert_int_equal(sp_index_merge_init(&merge, world->index, SP_INDEX_TYPE, hashes, count, from,
                                         until, reverse),
                     SP_OK);
    for (;;) {
        if (sp_prng_below(&model->prng, 64) == 0) {
            uint64_t to = random_position(world);
            sp_index_merge_seek(&merge, to);
            from = reverse ? from : max_u64(from, to);
            until = reverse && to + 1 < until ? to + 1 : until;
        }
        uint64_t expected = 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t one = reverse ? model_previous(model, SP_INDEX_TYPE, hashes[i], from, until)
                                   : model_next(model, SP_INDEX_TYPE, hashes[i], from, until);
            bool better = reverse ? one > expected : one < expected;
            expected = one != 0 && (expected == 0 || better) ? one : expected;
        }
        uint64_t position = 0;
        sp_status status = sp_index_merge_next(&merge, &position);
        if (status == SP_END) {
            assert_int_equal(expected, 0);
            break;
        }
        assert_int_equal(status, SP_OK);
        assert_in_range(position, from, until - 1);
        assert_true(position == expected || may_collide(world));
        /* What is there must not be passed over. */
        assert_true(expected == 0 || (reverse ? position >= expected : position <= expected));
        from = reverse ? from : position + 1;
        until = reverse ? position : until;
    }
    sp_index_merge_fini(&merge);
}

static void ask_count(struct world *world, enum sp_index_kind kind) {
    struct model *model = &world->model;
    uint64_t hash = model_pick(model, kind);
    uint64_t count;
    assert_int_equal(sp_index_count_estimate(world->index, kind, hash, 0, UINT64_MAX, &count),
                     SP_OK);
    uint64_t actual = 0;
    uint64_t position = world_first(world);
    while ((position = model_next(model, kind, hash, position, UINT64_MAX)) != 0) {
        actual++;
        position++;
    }
    assert_true(count > 0 || actual == 0);
}

static void ask_time(struct world *world) {
    struct model *model = &world->model;
    if (world_end(world) == world_first(world)) {
        return;
    }
    uint64_t time = 999990 + sp_prng_below(&model->prng, (uint32_t)(model->count + 20));
    uint64_t position = sp_index_position_at_time(world->index, time);
    assert_in_range(position, world_first(world), world_end(world));
    uint64_t exact = world_first(world);
    while (exact < world_end(world) &&
           model->events[exact - model->first_position].recorded_us < time) {
        exact++;
    }
    assert_true(position <= exact && exact - position < SP_TAIL_TIME_EVENTS);
    assert_true(exact < world_end(world) || position == exact);
}

struct types_seen {
    const struct world *world;
    size_t count;
    bool wrong;
};

static bool on_type(void *context, sp_str type) {
    struct types_seen *seen = context;
    seen->count++;
    const struct model *model = &seen->world->model;
    size_t i = seen->world->begins[seen->world->dropped_count];
    while (i < model->count && !sp_str_eq(sp_str_from(model->events[i].type), type)) {
        i++;
    }
    seen->wrong = seen->wrong || i == model->count;
    return true;
}

static void ask_types(struct world *world) {
    struct types_seen seen = {.world = world};
    sp_status status = sp_index_each_type(world->index, on_type, &seen);
    const struct model *model = &world->model;
    bool there[64] = {false};
    size_t distinct = 0;
    for (size_t i = world->begins[world->dropped_count]; i < model->count; i++) {
        size_t type = (size_t)strtoul(model->events[i].type + 5, NULL, 10);
        distinct += !there[type];
        there[type] = true;
    }
    assert_false(seen.wrong);
    if (!may_collide(world)) {
        assert_int_equal(status, SP_OK);
        assert_int_equal(seen.count, distinct);
    } else {
        assert_true(status == SP_LIMIT || seen.count == distinct);
    }
}

static void ask(struct world *world) {
    for (int kind = 0; kind < SP_INDEX_KIND_COUNT; kind++) {
        ask_scan(world, (enum sp_index_kind)kind, false);
        ask_scan(world, (enum sp_index_kind)kind, true);
        ask_count(world, (enum sp_index_kind)kind);
    }
    for (int i = 0; i < 10; i++) {
        ask_id(world);
    }
    ask_merge(world, false);
    ask_merge(world, true);
    ask_time(world);
    ask_types(world);
}

/* -- The tests --------------------------------------------------------------------------------- */

/* A scan that is held while the index changes under it goes on where it was. */
static void scan_survives_changes(void **state) {
    (void)state;
    for (int reverse = 0; reverse <= 1; reverse++) {
        struct world world;
        world_init(&world, 77, &MODEL_USUAL, 1);
        for (int i = 0; i < 6; i++) {
            world_begin(&world);
            world_add(&world, 500);
        }
        uint64_t hash = world.model.events[0].keys.type;
        uint64_t from = 0;
        uint64_t until = world_end(&world);
        struct sp_index_scan scan;
        sp_index_scan_init(&scan, world.index, SP_INDEX_TYPE, hash, 0, until, reverse == 1);
        for (size_t step = 0;; step++) {
            uint64_t first = world_first(&world);
            uint64_t expected =
                reverse
                    ? model_previous(&world.model, SP_INDEX_TYPE, hash, first, until)
                    : model_next(&world.model, SP_INDEX_TYPE, hash, max_u64(from, first), until);
            uint64_t position;
            sp_status status = sp_index_scan_next(&scan, &position);
            if (expected == 0) {
                assert_int_equal(status, SP_END);
                break;
            }
            assert_int_equal(status, SP_OK);
            assert_int_equal(position, expected);
            from = reverse ? from : position + 1;
            until = reverse ? position : until;
            if (step % 7 == 0) {
                world_seal(&world);
            } else if (step % 7 == 3) {
                world_fold(&world);
            } else if (step == 60) {
                world_drop(&world);
            }
        }
        world_fini(&world);
    }
}

/* A scan with an open end that came to it yields what is added later. */
static void scan_goes_on_after_the_end(void **state) {
    (void)state;
    struct world world;
    world_init(&world, 3, &MODEL_USUAL, 1);
    world_begin(&world);
    uint64_t hash = 0;
    struct sp_index_scan scan;
    uint64_t position;
    world_add(&world, 1);
    hash = world.model.events[0].keys.source;
    sp_index_scan_init(&scan, world.index, SP_INDEX_SOURCE, hash, 0, UINT64_MAX, false);
    uint64_t from = 0;
    for (int round = 0; round < 200; round++) {
        while (sp_index_scan_next(&scan, &position) == SP_OK) {
            assert_int_equal(position,
                             model_next(&world.model, SP_INDEX_SOURCE, hash, from, UINT64_MAX));
            from = position + 1;
        }
        assert_int_equal(model_next(&world.model, SP_INDEX_SOURCE, hash, from, UINT64_MAX), 0);
        world_add(&world, 20);
        if (round % 50 == 49) {
            world_begin(&world);
        }
        if (round % 60 == 59) {
            world_seal(&world);
        }
    }
    assert_true(from > 1000);
    world_fini(&world);
}

static bool stop_at_once(void *context, uint64_t position, enum sp_index_role role) {
    (void)role;
    *(uint64_t *)context = position;
    return false;
}

/* The caller may stop at the first candidate, which is the oldest. */
static void finding_may_stop(void **state) {
    (void)state;
    struct world world;
    world_init(&world, 5, &MODEL_SKEWED, 1);
    for (int i = 0; i < 4; i++) {
        world_begin(&world);
        world_add(&world, 300);
    }
    uint64_t hot = world.model.events[0].keys.id;
    for (int i = 0; i < 4; i++) {
        uint64_t position = 0;
        assert_int_equal(sp_index_find_id(world.index, hot, SP_INDEX_CAUSE, 0, UINT64_MAX,
                                          stop_at_once, &position),
                         SP_OK);
        uint64_t expected = 1;
        while (!model_has_id(&world.model, expected, hot, SP_INDEX_CAUSE)) {
            expected++;
        }
        assert_int_equal(position, expected);
        world_seal(&world);
        world_fold(&world);
    }
    world_fini(&world);
}

/* What a read answers is passed on; nothing is lost by it, and the question may be repeated. */
static void failed_reads_are_passed_on(void **state) {
    (void)state;
    struct world world;
    world_init(&world, 8, &MODEL_USUAL, 1);
    for (int i = 0; i < 3; i++) {
        world_begin(&world);
        world_add(&world, 400);
        world_seal(&world);
    }
    uint64_t hash = world.model.events[0].keys.type;
    struct sp_index_scan scan;
    sp_index_scan_init(&scan, world.index, SP_INDEX_TYPE, hash, 0, UINT64_MAX, false);
    uint64_t position;
    uint64_t count;
    world.bytes[0]->fail = SP_IO;
    assert_int_equal(sp_index_scan_next(&scan, &position), SP_IO);
    assert_int_equal(
        sp_index_count_estimate(world.index, SP_INDEX_TYPE, hash, 0, UINT64_MAX, &count), SP_IO);
    assert_int_equal(sp_index_fold_all(world.index), SP_IO);
    uint64_t segment;
    assert_false(sp_index_damaged(world.index, &segment));
    world.bytes[0]->fail = SP_CORRUPT;
    assert_int_equal(sp_index_scan_next(&scan, &position), SP_CORRUPT);
    assert_true(sp_index_damaged(world.index, &segment));
    assert_int_equal(segment, 1000);
    world.bytes[0]->fail = SP_OK;
    assert_int_equal(sp_index_scan_next(&scan, &position), SP_OK);
    assert_int_equal(position, 1);
    world_fini(&world);
}

/* A section of other events, or a damaged one, is refused and its reader stays the caller's. */
static void wrong_sections_are_refused(void **state) {
    (void)state;
    struct world world;
    world_init(&world, 9, &MODEL_USUAL, 1);
    world_begin(&world);
    world_add(&world, 100);
    world_begin(&world);
    struct sp_tail *tail = model_tail(&world.model, 0, 99, 1);
    sp_tail_finish(tail);
    struct model_bytes *bytes = model_encode(tail);
    struct sp_section_reader reader = model_reader(bytes);
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(sp_index_seal(world.index, 1000, &reader, &error), SP_CORRUPT);
    assert_string_not_equal(error.text, "");
    assert_int_equal(sp_index_seal(world.index, 5, &reader, &error), SP_NOT_FOUND);
    bytes->fail = SP_IO;
    assert_int_equal(sp_index_seal(world.index, 1000, &reader, &error), SP_IO);
    assert_int_equal(bytes->released, 0);
    assert_null(sp_index_tail_pin(world.index, 5));
    sp_tail_unref(tail);
    model_bytes_free(bytes);
    ask(&world);
    world_fini(&world);
}

/* What was written is opened again, and answers the same. */
static void reopens(void **state) {
    (void)state;
    struct world world;
    world_init(&world, 10, &MODEL_USUAL, 50);
    for (int i = 0; i < 5; i++) {
        world_begin(&world);
        world_add(&world, i == 2 ? 0 : 300);
    }
    for (int i = 0; i < 4; i++) {
        world_seal(&world);
    }
    sp_index_free(world.index);
    world.index = sp_index_new(NULL);
    for (size_t i = 0; i < world.sealed_count; i++) {
        struct sp_section_reader reader = model_reader(world.bytes[i]);
        world.bytes[i]->released = 0;
        assert_int_equal(sp_index_open_sealed(world.index, 1000 + i, 50 + world.begins[i],
                                              (uint32_t)(world.begins[i + 1] - world.begins[i]),
                                              &reader, NULL),
                         SP_OK);
    }
    world.model.count = world.begins[world.sealed_count];
    world.segment_count = world.sealed_count;
    ask(&world);
    world_begin(&world);
    world_add(&world, 200);
    ask(&world);
    struct sp_index_stats stats;
    sp_index_stats(world.index, &stats);
    assert_int_equal(stats.first_position, 50);
    assert_int_equal(stats.next_position, world_end(&world));
    assert_int_equal(stats.segments_sealed, 4);
    assert_int_equal(stats.segments_folded, 0);
    assert_int_equal(stats.tails, 1);
    assert_int_equal(sp_index_fold_all(world.index), SP_OK);
    sp_index_stats(world.index, &stats);
    assert_int_equal(stats.segments_folded, 4);
    assert_true(stats.sieve_bytes > 0 && stats.section_bytes > 0 && stats.tail_bytes > 0);
    ask(&world);
    world_fini(&world);
}

/* More than 64 segments, so that there are several groups, and groups lose all their members. */
static void fills_several_groups(void **state) {
    (void)state;
    struct world world;
    world_init(&world, 11, &MODEL_USUAL, 1);
    for (int i = 0; i < 150; i++) {
        world_begin(&world);
        world_add(&world, 40);
        world_seal(&world);
        if (i % 5 == 0) {
            world_fold(&world);
        }
        if (i > 100) {
            world_drop(&world);
        }
    }
    world_end_fold(&world);
    assert_int_equal(sp_index_fold_all(world.index), SP_OK);
    assert_true(world.index->group_count >= 2);
    ask(&world);
    while (world.dropped_count + 1 < world.sealed_count) {
        world_drop(&world);
    }
    assert_int_equal(world.index->group_count, 1);
    ask(&world);
    world_fini(&world);
}

/* An empty index answers everything. */
static void empty_index_answers(void **state) {
    (void)state;
    struct sp_index *index = sp_index_new(NULL);
    struct sp_index_scan scan;
    uint64_t number;
    for (int reverse = 0; reverse <= 1; reverse++) {
        sp_index_scan_init(&scan, index, SP_INDEX_TYPE, 1, 0, UINT64_MAX, reverse == 1);
        assert_int_equal(sp_index_scan_next(&scan, &number), SP_END);
    }
    assert_int_equal(sp_index_find_id(index, 1, 7, 0, UINT64_MAX, stop_at_once, &number), SP_OK);
    assert_int_equal(sp_index_count_estimate(index, SP_INDEX_TYPE, 1, 0, UINT64_MAX, &number),
                     SP_OK);
    assert_int_equal(number, 0);
    assert_int_equal(sp_index_position_at_time(index, 5), 1);
    assert_null(sp_index_fold_begin(index));
    sp_index_drop_before(index, 1000);
    struct sp_index_merge merge;
    assert_int_equal(
        sp_index_merge_init(&merge, index, SP_INDEX_TYPE, NULL, 0, 0, UINT64_MAX, false), SP_OK);
    assert_int_equal(sp_index_merge_next(&merge, &number), SP_END);
    sp_index_merge_fini(&merge);
    assert_int_equal(sp_index_merge_init(&merge, index, SP_INDEX_TYPE, &number,
                                         SP_INDEX_MERGE_KEYS_MAX + 1, 0, UINT64_MAX, false),
                     SP_LIMIT);
    sp_index_free(index);
}

static void run_world(uint64_t seed, const struct model_shape *shape, uint64_t first_position,
                      size_t rounds, size_t segment_events) {
    struct world world;
    world_init(&world, seed, shape, first_position);
    world_begin(&world);
    for (size_t round = 0; round < rounds; round++) {
        uint32_t what = sp_prng_below(&world.model.prng, 15);
        if (what < 5) {
            world_add(&world, sp_prng_below(&world.model.prng, (uint32_t)segment_events));
        } else if (what < 7) {
            world_begin(&world);
        } else if (what < 9) {
            world_seal(&world);
        } else if (what < 11) {
            world_fold(&world);
        } else if (what == 11) {
            world_replace(&world);
        } else if (what == 12 && round % 2 == 0) {
            world_drop(&world);
        } else {
            ask(&world);
        }
    }
    ask(&world);
    world_fini(&world);
}

static void answers_like_the_model(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        run_world(seed, &MODEL_USUAL, seed % 3 == 0 ? 1 : seed * 1000, 150, 400);
    }
}

static void answers_with_collisions(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        run_world(seed, &MODEL_COLLIDING, 1, 120, 200);
    }
}

static void answers_with_long_lists(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        run_world(seed, &MODEL_SKEWED, 1, 60, 4000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_like_the_model),
        cmocka_unit_test(answers_with_collisions),
        cmocka_unit_test(answers_with_long_lists),
        cmocka_unit_test(scan_survives_changes),
        cmocka_unit_test(scan_goes_on_after_the_end),
        cmocka_unit_test(finding_may_stop),
        cmocka_unit_test(failed_reads_are_passed_on),
        cmocka_unit_test(wrong_sections_are_refused),
        cmocka_unit_test(reopens),
        cmocka_unit_test(fills_several_groups),
        cmocka_unit_test(empty_index_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
