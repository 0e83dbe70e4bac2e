/* The log as a source: what the index skips, going on after the end, and two folds side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "fold_help.h"

enum { EVENTS = 6000, RARE_EVERY = 100, TURN = 50 };

static const char RARE[] = "-- spoor: projection rare version 1\n"
                           "CREATE TABLE rare (position BIGINT PRIMARY KEY);\n"
                           "-- spoor: on rare.*\n"
                           "INSERT INTO rare VALUES (:position);\n";

struct fixture {
    char folder[64];
    struct sp_fs *fs;
    struct sp_engine *engine;
    struct sp_definition *definition;
    struct sp_build *build;
    uint64_t made;
};

/* An append completes its events in place: each attempt has fresh ones. */
static sp_status try_append(struct fixture *f, struct sp_event *events, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        bool rare = (f->made + i + 1) % RARE_EVERY == 0;
        events[i] = (struct sp_event){
            .data = SP_STR("{\"text\":\"something\"}"), .has_data = true, .data_is_json = true};
        events[i].attr[SP_ATTR_TYPE] = rare ? SP_STR("rare.one") : SP_STR("common");
        events[i].attr[SP_ATTR_SOURCE] = SP_STR("test");
    }
    struct sp_engine_append append = {
        .events = events, .count = count, .origin = SP_EVENT_FROM_FIELDS};
    return sp_engine_submit(f->engine, &append, NULL);
}

static void append(struct fixture *f, uint32_t count) {
    struct sp_event *events = calloc(count, sizeof(*events));
    sp_status status;
    while ((status = try_append(f, events, count)) == SP_BUSY) {
        (void)sp_engine_turn(f->engine, 100);
    }
    assert_int_equal(status, SP_OK);
    free(events);
    f->made += count;
    while (sp_engine_must_wait(f->engine)) {
        (void)sp_engine_turn(f->engine, 100);
    }
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    struct sp_error error;
    make_folder(f->folder);
    assert_int_equal(sp_fs_posix_open(f->folder, true, false, &f->fs, &error), SP_OK);
    const struct sp_engine_options options = {
        .fs = f->fs,
        .clock = sp_clock_system(),
        .entropy = sp_entropy,
        .create = true,
        .limits = SP_EVENT_LIMITS_DEFAULT,
        .outstanding_max = 1000,
        .segment_bytes_min = 256 << 10,
        .segment_bytes_max = 256 << 10,
        .block_bytes_max = 64 << 10,
        .durability = SP_LOG_DURABLE_OS,
        .scan_short_events = 64,
    };
    assert_int_equal(sp_engine_open(&options, &f->engine, NULL, &error), SP_OK);
    f->definition = definition_of(RARE);
    assert_int_equal(
        sp_sqlite_scratch_new(f->definition, sp_clock_system(), NULL, &f->build, &error), SP_OK);
    for (int i = 0; i < EVENTS / TURN; i++) {
        append(f, TURN);
    }
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    f->build->ops->close(f->build);
    sp_definition_unref(f->definition);
    sp_engine_close(f->engine);
    f->fs->ops->destroy(f->fs);
    remove_folder(f->folder);
    free(f);
    return 0;
}

/* Counts what a source yields beside the fold. */
struct counting {
    struct sp_fold_source inner;
    size_t events;
};

static sp_status counting_next(void *context, const struct sp_event **ret_event,
                               struct sp_error *error) {
    struct counting *counting = context;
    sp_status status = counting->inner.next(counting->inner.context, ret_event, error);
    counting->events += status == SP_OK ? 1 : 0;
    return status;
}

static uint64_t counting_position(void *context) {
    struct counting *counting = context;
    return counting->inner.position(counting->inner.context);
}

static sp_status counting_seek(void *context, uint64_t position, struct sp_error *error) {
    struct counting *counting = context;
    return counting->inner.seek(counting->inner.context, position, error);
}

static struct sp_fold *fold_of(struct fixture *f, struct sp_log_source *source,
                               struct counting *counting) {
    struct sp_fold *fold = NULL;
    struct sp_error error;
    *counting = (struct counting){.inner = sp_log_source_of(source)};
    struct sp_fold_options options = {.build = f->build,
                                      .source = {.next = counting_next,
                                                 .position = counting_position,
                                                 .seek = counting_seek,
                                                 .context = counting},
                                      .clock = sp_clock_system()};
    assert_int_equal(sp_fold_new(&options, &fold, &error), SP_OK);
    return fold;
}

static void run(struct fixture *f, struct sp_fold *fold, enum sp_fold_end expected) {
    enum sp_fold_end end = SP_FOLD_UNTIL;
    struct sp_error error;
    char count[24];
    assert_int_equal(sp_fold_run(fold, 0, &end, &error), SP_OK);
    assert_int_equal(end, expected);
    assert_int_equal(sp_fold_flush(fold, &error), SP_OK);
    assert_int_equal(state_of(f->build).position, f->made);
    (void)snprintf(count, sizeof(count), "%llu", (unsigned long long)(f->made / RARE_EVERY));
    assert_build_rows(f->build, "SELECT count(*) FROM rare", count);
}

/* Only what a clause may want is yielded, and the position is that of the log all the same. */
static void goes_on_where_the_log_grows(void **state, bool follow, enum sp_fold_end end) {
    struct fixture *f = *state;
    struct sp_log_source *source = NULL;
    struct counting counting;
    struct sp_error error;
    assert_int_equal(sp_log_source_new(f->engine, f->definition, follow, &source, &error), SP_OK);
    struct sp_fold *fold = fold_of(f, source, &counting);
    run(f, fold, end);
    assert_int_equal(counting.events, EVENTS / RARE_EVERY);
    append(f, TURN);
    run(f, fold, end);
    append(f, TURN);
    run(f, fold, end);
    run(f, fold, end);
    assert_int_equal(counting.events, f->made / RARE_EVERY);
    sp_fold_free(fold);
    sp_log_source_free(source);
}

static void follows(void **state) {
    goes_on_where_the_log_grows(state, true, SP_FOLD_CAUGHT_UP);
}

static void looks_for_a_new_head(void **state) {
    goes_on_where_the_log_grows(state, false, SP_FOLD_OVER);
}

/* A fold that stopped at a position goes on behind it. */
static void stops_between(void **state) {
    struct fixture *f = *state;
    struct sp_log_source *source = NULL;
    struct counting counting;
    struct sp_error error;
    enum sp_fold_end end;
    assert_int_equal(sp_log_source_new(f->engine, f->definition, false, &source, &error), SP_OK);
    sp_log_source_allow(source, 7);
    struct sp_fold *fold = fold_of(f, source, &counting);
    for (uint64_t until = 37; until < EVENTS; until += 537) {
        assert_int_equal(sp_fold_run(fold, until, &end, &error), SP_OK);
        assert_int_equal(end, SP_FOLD_UNTIL);
        assert_int_equal(sp_fold_flush(fold, &error), SP_OK);
        assert_int_equal(state_of(f->build).position, until);
        assert_int_equal(state_of(f->build).applied, until / RARE_EVERY);
    }
    run(f, fold, SP_FOLD_OVER);
    sp_fold_free(fold);
    sp_log_source_free(source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(follows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(looks_for_a_new_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_between, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
