/* Folding events into a build: batches, ends, events that cannot be applied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "fold_help.h"

static const char COUNTS[] =
    "-- spoor: projection counts version 1\n"
    "CREATE TABLE counts (source TEXT PRIMARY KEY, n BIGINT NOT NULL CHECK (n < 100));\n"
    "CREATE TABLE seen (position BIGINT PRIMARY KEY);\n"
    "-- spoor: on a.*\n"
    "INSERT INTO seen VALUES (:position);\n"
    "-- spoor: on a.add, b where {\"data.n\": {\"$gt\": 0}}\n"
    "INSERT INTO counts VALUES (:source, CAST(:data ->> 'n' AS BIGINT)) ON CONFLICT (source)\n"
    "  DO UPDATE SET n = counts.n + excluded.n;\n";

struct fixture {
    struct sp_definition *definition;
    struct sp_build *build;
    struct memory *memory;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    f->definition = definition_of(COUNTS);
    f->memory = memory_new();
    struct sp_error error;
    assert_int_equal(
        sp_sqlite_scratch_new(f->definition, sp_clock_system(), NULL, &f->build, &error), SP_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    f->build->ops->close(f->build);
    sp_definition_unref(f->definition);
    free(f->memory);
    free(f);
    return 0;
}

static struct sp_fold *fold_of(struct fixture *f, struct sp_fold_options options) {
    struct sp_fold *fold = NULL;
    struct sp_error error;
    options.build = f->build;
    options.source = memory_source(f->memory);
    options.clock = sp_clock_system();
    assert_int_equal(sp_fold_new(&options, &fold, &error), SP_OK);
    return fold;
}

static enum sp_fold_end run_to(struct sp_fold *fold, uint64_t until) {
    enum sp_fold_end end = SP_FOLD_OVER;
    struct sp_error error;
    if (sp_fold_run(fold, until, &end, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    return end;
}

static void finds_clauses(void **state) {
    struct fixture *f = *state;
    struct sp_clauses *clauses = NULL;
    struct sp_error error;
    assert_int_equal(sp_clauses_new(f->definition, &clauses, &error), SP_OK);
    static const struct {
        const char *type;
        const char *data;
        size_t count;
        uint16_t first;
    } wanted[] = {{"a.add", "{\"n\":1}", 2, 0},
                  {"a.add", "{\"n\":0}", 1, 0},
                  {"a.x", "{\"n\":1}", 1, 0},
                  {"b", "{\"n\":1}", 1, 1},
                  {"b", "{}", 0, 0},
                  {"c", "{\"n\":1}", 0, 0}};
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
            struct sp_event event = {
                .data = sp_str_from(wanted[i].data), .has_data = true, .data_is_json = true};
            const uint16_t *numbers = NULL;
            event.attr[SP_ATTR_TYPE] = sp_str_from(wanted[i].type);
            assert_int_equal(sp_clauses_of(clauses, &event, &numbers), wanted[i].count);
            assert_true(wanted[i].count == 0 || numbers[0] == wanted[i].first);
        }
        for (int i = 0; i < 1500; i++) { /* more types than are remembered */
            char type[16];
            struct sp_event event = {.has_data = false};
            const uint16_t *numbers = NULL;
            (void)snprintf(type, sizeof(type), "a.t%d", i);
            event.attr[SP_ATTR_TYPE] = sp_str_from(type);
            assert_int_equal(sp_clauses_of(clauses, &event, &numbers), 1);
        }
    }
    sp_clauses_free(clauses);
}

static void applies_and_commits(void **state) {
    struct fixture *f = *state;
    memory_add(f->memory, "a.add", "x", "{\"n\":1}");
    memory_add(f->memory, "a.add", "y", "{\"n\":2}");
    memory_add(f->memory, "c", "x", "{\"n\":3}");
    memory_add(f->memory, "b", "x", "{\"n\":4}");
    memory_add(f->memory, "c", "x", "{\"n\":5}");
    fold_all(f->build, f->memory, SP_FOLD_CAUGHT_UP);
    assert_build_rows(f->build, "SELECT source || n FROM counts ORDER BY 1", "x5,y2");
    assert_build_rows(f->build, "SELECT position FROM seen ORDER BY 1", "1,2");
    assert_int_equal(state_of(f->build).position, 5);
    assert_int_equal(state_of(f->build).applied, 3);
    f->memory->over = true;
    fold_all(f->build, f->memory, SP_FOLD_OVER);
    assert_int_equal(state_of(f->build).position, 5);
}

struct told {
    size_t calls;
    uint64_t committed;
};

static void tell(void *context, const struct sp_fold_progress *progress) {
    struct told *told = context;
    told->calls++;
    assert_int_equal(progress->position, progress->committed);
    assert_true(progress->committed >= told->committed);
    told->committed = progress->committed;
}

static void commits_in_batches(void **state) {
    struct fixture *f = *state;
    struct told told = {.calls = 0};
    for (int i = 0; i < 95; i++) {
        memory_add(f->memory, i % 2 == 0 ? "a.add" : "a.x", "x", "{\"n\":1}");
    }
    f->memory->busy_every = 7;
    struct sp_fold *fold = fold_of(f, (struct sp_fold_options){.batch_events = 10,
                                                               .batch_us = UINT64_C(1) << 40,
                                                               .progress = tell,
                                                               .progress_context = &told});
    assert_int_equal(run_to(fold, 0), SP_FOLD_CAUGHT_UP);
    struct sp_fold_progress progress;
    sp_fold_progress(fold, &progress);
    assert_int_equal(progress.applied, 95);
    assert_int_equal(progress.batches, 10);
    assert_int_equal(told.calls, 10);
    assert_int_equal(told.committed, 95);
    assert_build_rows(f->build, "SELECT n FROM counts", "48");
    sp_fold_free(fold);
}

static void stops_at_a_position(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        memory_add(f->memory, i % 5 == 0 ? "a.add" : "c", "x", "{\"n\":1}");
    }
    struct sp_fold *fold = fold_of(f, (struct sp_fold_options){.batch_events = 3});
    struct sp_error error;
    enum sp_fold_end end;
    assert_int_equal(run_to(fold, 8), SP_FOLD_UNTIL);
    assert_int_equal(sp_fold_flush(fold, &error), SP_OK);
    assert_int_equal(state_of(f->build).position, 8);
    assert_build_rows(f->build, "SELECT n FROM counts", "2");
    assert_int_equal(run_to(fold, 8), SP_FOLD_UNTIL);
    assert_int_equal(run_to(fold, 11), SP_FOLD_UNTIL);
    assert_build_rows(f->build, "SELECT n FROM counts", "3");
    assert_int_equal(sp_fold_run(fold, 7, &end, &error), SP_INVALID);
    assert_int_equal(run_to(fold, 50), SP_FOLD_CAUGHT_UP);
    assert_build_rows(f->build, "SELECT n FROM counts", "4");
    sp_fold_free(fold);
}

static void stops_when_told(void **state) {
    struct fixture *f = *state;
    _Atomic bool stop = true;
    memory_add(f->memory, "a.add", "x", "{\"n\":1}");
    struct sp_fold *fold = fold_of(f, (struct sp_fold_options){.stop = &stop});
    assert_int_equal(run_to(fold, 0), SP_FOLD_STOPPED);
    assert_build_rows(f->build, "SELECT n FROM counts", "");
    atomic_store(&stop, false);
    assert_int_equal(run_to(fold, 0), SP_FOLD_CAUGHT_UP);
    assert_build_rows(f->build, "SELECT n FROM counts", "1");
    sp_fold_free(fold);
}

/* A position without effects is written when somebody waits for it, or on flush. */
static void writes_a_bare_position_when_it_is_awaited(void **state) {
    struct fixture *f = *state;
    _Atomic uint64_t awaited = 0;
    struct sp_error error;
    struct sp_fold *fold = fold_of(
        f, (struct sp_fold_options){.awaited = &awaited, .idle_commit_us = UINT64_C(1) << 40});
    memory_add(f->memory, "c", "x", "{}");
    assert_int_equal(run_to(fold, 0), SP_FOLD_CAUGHT_UP);
    assert_int_equal(state_of(f->build).position, 0);
    atomic_store(&awaited, 1);
    assert_int_equal(run_to(fold, 0), SP_FOLD_CAUGHT_UP);
    assert_int_equal(state_of(f->build).position, 1);
    memory_add(f->memory, "c", "x", "{}");
    assert_int_equal(run_to(fold, 0), SP_FOLD_CAUGHT_UP);
    assert_int_equal(state_of(f->build).position, 1);
    assert_int_equal(sp_fold_flush(fold, &error), SP_OK);
    assert_int_equal(state_of(f->build).position, 2);
    assert_int_equal(state_of(f->build).applied, 0);
    sp_fold_free(fold);
}

/* The second statement of event 6 breaks the CHECK: nothing of it stays, all before it does. */
static void stops_at_a_poison_event(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        memory_add(f->memory, "a.add", "x", "{\"n\":10}");
    }
    memory_add(f->memory, "a.add", "x", "{\"n\":50}");
    memory_add(f->memory, "a.add", "y", "{\"n\":1}");
    struct sp_fold *fold = fold_of(f, (struct sp_fold_options){.batch_events = 4});
    assert_int_equal(run_to(fold, 0), SP_FOLD_FAILED);
    struct sp_build_state failed = state_of(f->build);
    assert_true(failed.failed);
    assert_int_equal(failed.position, 5);
    assert_int_equal(failed.applied, 5);
    assert_int_equal(failed.failed_position, 6);
    assert_string_equal(failed.failed_id, "e-6");
    assert_string_equal(failed.failed_text, "line 7, column 1: CHECK constraint failed: n < 100");
    assert_build_rows(f->build, "SELECT n FROM counts", "50");
    assert_build_rows(f->build, "SELECT max(position) FROM seen", "5");
    assert_int_equal(run_to(fold, 0), SP_FOLD_FAILED); /* until somebody resumes */
    struct sp_error error;
    assert_int_equal(f->build->ops->resume(f->build, &error), SP_OK);
    assert_false(state_of(f->build).failed);
    assert_int_equal(run_to(fold, 0), SP_FOLD_FAILED);
    assert_int_equal(f->build->ops->resume(f->build, &error), SP_OK);
    (void)snprintf(f->memory->events[5].data, sizeof(f->memory->events[5].data), "{\"n\":49}");
    assert_int_equal(run_to(fold, 0), SP_FOLD_CAUGHT_UP);
    assert_build_rows(f->build, "SELECT source || n FROM counts ORDER BY 1", "x99,y1");
    assert_int_equal(state_of(f->build).position, 7);
    sp_fold_free(fold);
}

static void a_poison_event_may_be_the_first(void **state) {
    struct fixture *f = *state;
    memory_add(f->memory, "c", "x", "{}");
    memory_add(f->memory, "a.add", "x", "{\"n\":1000}");
    fold_all(f->build, f->memory, SP_FOLD_FAILED);
    assert_int_equal(state_of(f->build).failed_position, 2);
    assert_int_equal(state_of(f->build).position, 1);
    assert_build_rows(f->build, "SELECT count(*) FROM seen", "0");
}

/* A foreign key that is looked at when the batch commits names no event: it is found all the same.
 */
static void finds_what_a_commit_refuses(void **state) {
    struct fixture *f = *state;
    static const char text[] =
        "-- spoor: projection keys version 1\n"
        "CREATE TABLE a (id TEXT PRIMARY KEY);\n"
        "CREATE TABLE b (a TEXT REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED);\n"
        "-- spoor: on a\nINSERT INTO a VALUES (:source);\n"
        "-- spoor: on b\nINSERT INTO b VALUES (:source);\n";
    struct sp_definition *definition = definition_of(text);
    struct sp_build *build = NULL;
    struct sp_error error;
    assert_int_equal(sp_sqlite_scratch_new(definition, sp_clock_system(), NULL, &build, &error),
                     SP_OK);
    memory_add(f->memory, "a", "x", "{}");
    memory_add(f->memory, "b", "x", "{}");
    memory_add(f->memory, "b", "y", "{}"); /* there is no y */
    memory_add(f->memory, "b", "x", "{}");
    fold_all(build, f->memory, SP_FOLD_FAILED);
    assert_int_equal(state_of(build).failed_position, 3);
    assert_string_equal(state_of(build).failed_id, "e-3");
    assert_int_equal(state_of(build).position, 2);
    assert_build_rows(build, "SELECT count(*) FROM b", "1");
    build->ops->close(build);
    sp_definition_unref(definition);
}

/* Data that is no JSON has no members, and does not stop what looks for one. */
static sp_status make_bytes(void *context, struct sp_event *event, struct sp_error *error) {
    (void)context;
    (void)error;
    event->data = SP_STR("no json");
    event->data_is_json = false;
    return SP_OK;
}

static void takes_data_that_is_no_json(void **state) {
    struct fixture *f = *state;
    struct sp_error error;
    struct sp_build *build = NULL;
    struct sp_definition *definition =
        definition_of("-- spoor: projection bytes version 1\n"
                      "CREATE TABLE t (a TEXT, b TEXT);\n"
                      "-- spoor: on a\nINSERT INTO t VALUES (:data ->> 'n', :data_text);\n");
    assert_int_equal(sp_sqlite_scratch_new(definition, sp_clock_system(), NULL, &build, &error),
                     SP_OK);
    struct fixture own = {.build = build, .memory = f->memory};
    memory_add(f->memory, "a", "x", "{}");
    struct sp_fold *fold = fold_of(&own, (struct sp_fold_options){.upcast = make_bytes});
    assert_int_equal(run_to(fold, 0), SP_FOLD_CAUGHT_UP);
    assert_build_rows(build, "SELECT a IS NULL AND b = 'no json' FROM t", "1");
    sp_fold_free(fold);
    build->ops->close(build);
    sp_definition_unref(definition);
}

static void stops_at_a_damaged_event(void **state) {
    struct fixture *f = *state;
    memory_add(f->memory, "a.add", "x", "{\"n\":1}");
    memory_add(f->memory, "a.add", "x", "{\"n\":1}");
    memory_add(f->memory, "a.add", "x", "{\"n\":1}");
    f->memory->damaged = 2;
    fold_all(f->build, f->memory, SP_FOLD_FAILED);
    assert_int_equal(state_of(f->build).failed_position, 2);
    assert_string_equal(state_of(f->build).failed_text, "event 2 is damaged");
    assert_build_rows(f->build, "SELECT n FROM counts", "1");
    struct sp_error error;
    f->memory->damaged = 0;
    assert_int_equal(f->build->ops->resume(f->build, &error), SP_OK);
    fold_all(f->build, f->memory, SP_FOLD_CAUGHT_UP);
    assert_build_rows(f->build, "SELECT n FROM counts", "3");
}

static sp_status upcast(void *context, struct sp_event *event, struct sp_error *error) {
    uint64_t *broken = context;
    if (event->position == *broken) {
        return sp_error_set(error, SP_INVALID, "upcaster: broken");
    }
    if (sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR("b"))) {
        event->data = SP_STR("{\"n\":7}");
    }
    return SP_OK;
}

static void upcasts_first(void **state) {
    struct fixture *f = *state;
    uint64_t broken = 0;
    memory_add(f->memory, "b", "x", "{\"count\":7}");
    memory_add(f->memory, "a.add", "x", "{\"n\":1}");
    memory_add(f->memory, "b", "x", "{}");
    struct sp_fold *fold =
        fold_of(f, (struct sp_fold_options){.upcast = upcast, .upcast_context = &broken});
    assert_int_equal(run_to(fold, 2), SP_FOLD_UNTIL);
    assert_build_rows(f->build, "SELECT n FROM counts", "8");
    broken = 3;
    assert_int_equal(run_to(fold, 0), SP_FOLD_FAILED);
    assert_int_equal(state_of(f->build).failed_position, 3);
    assert_string_equal(state_of(f->build).failed_text, "upcaster: broken");
    sp_fold_free(fold);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_clauses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(applies_and_commits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(commits_in_batches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_at_a_position, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_when_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_a_bare_position_when_it_is_awaited, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(stops_at_a_poison_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_poison_event_may_be_the_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_what_a_commit_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(takes_data_that_is_no_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_at_a_damaged_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(upcasts_first, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
