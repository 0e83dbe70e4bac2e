/*
 * The manager of projections over a real store, with threads and without: who waits for a read
 * model, a sink that cannot just now, what is refused, and what is known after opening again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/query.h"
#include "fold_help.h"
#include "os/guard.h"
#include "project/projects.h"

static const char COUNTS[] = "-- spoor: projection counts version 1\n"
                             "CREATE TABLE counts (source TEXT PRIMARY KEY, n BIGINT NOT NULL);\n"
                             "-- spoor: on work.done\n"
                             "INSERT INTO counts VALUES (:source, 1)\n"
                             "ON CONFLICT (source) DO UPDATE SET n = counts.n + 1;\n";

static const char PICKY[] = "-- spoor: projection picky version 1\n"
                            "CREATE TABLE picky (n BIGINT NOT NULL);\n"
                            "-- spoor: on work.done\n"
                            "INSERT INTO picky VALUES (:data ->> 'n');\n";

/* A sink before the real one, that can be made to fail for a while. */
struct shaky {
    struct sp_sink base;
    struct sp_sink *inner;
    _Atomic int failures; /* of opening, still to come */
};

struct rig {
    char folder[64];
    char models[80];
    struct sp_fs *fs;
    struct sp_guard guard;
    struct sp_engine *engine;
    struct shaky shaky;
    struct sp_projects *projects;
    bool threads;
};

/* ---- the shaky sink -------------------------------------------------------------------------- */

static sp_status shaky_builds(struct sp_sink *sink, sp_sink_build_fn *each, void *context,
                              struct sp_error *error) {
    struct sp_sink *inner = ((struct shaky *)sink)->inner;
    return inner->ops->builds(inner, each, context, error);
}

static sp_status shaky_open(struct sp_sink *sink, struct sp_definition *definition, uint64_t number,
                            struct sp_build **ret_build, struct sp_error *error) {
    struct shaky *shaky = (struct shaky *)sink;
    if (atomic_load(&shaky->failures) > 0) {
        atomic_fetch_sub(&shaky->failures, 1);
        return sp_error_set(error, SP_NO_SPACE, "no room just now");
    }
    return shaky->inner->ops->open(shaky->inner, definition, number, ret_build, error);
}

static sp_status shaky_swap(struct sp_sink *sink, sp_str name, uint64_t number,
                            struct sp_error *error) {
    struct sp_sink *inner = ((struct shaky *)sink)->inner;
    return inner->ops->swap(inner, name, number, error);
}

static sp_status shaky_drop(struct sp_sink *sink, sp_str name, uint64_t number,
                            struct sp_error *error) {
    struct sp_sink *inner = ((struct shaky *)sink)->inner;
    return inner->ops->drop(inner, name, number, error);
}

static void shaky_close(struct sp_sink *sink) {
    struct sp_sink *inner = ((struct shaky *)sink)->inner;
    inner->ops->close(inner);
}

static const struct sp_sink_ops SHAKY = {.builds = shaky_builds,
                                         .open = shaky_open,
                                         .swap = shaky_swap,
                                         .drop = shaky_drop,
                                         .close = shaky_close};

/* ---- the rig --------------------------------------------------------------------------------- */

static void must(sp_status status, const struct sp_error *error) {
    if (status != SP_OK) {
        fail_msg("%s: %s", sp_status_text(status), error->text);
    }
}

static void open_store(struct rig *rig) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_guard_init(&rig->guard);
    must(sp_fs_posix_open(rig->folder, true, false, &rig->fs, &error), &error);
    const struct sp_engine_options options = {.fs = rig->fs,
                                              .clock = sp_clock_system(),
                                              .create = true,
                                              .guard = &rig->guard,
                                              .limits = SP_EVENT_LIMITS_DEFAULT,
                                              .outstanding_max = 4096,
                                              .durability = SP_LOG_DURABLE_OS};
    must(sp_engine_open(&options, &rig->engine, NULL, &error), &error);
}

static void open_projects(struct rig *rig) {
    struct sp_error error;
    sp_error_clear(&error);
    (void)snprintf(rig->models, sizeof(rig->models), "%s/projections", rig->folder);
    const struct sp_sqlite_options sqlite = {.folder = rig->models, .clock = sp_clock_system()};
    rig->shaky.base.ops = &SHAKY;
    must(sp_sqlite_sink_open(&sqlite, &rig->shaky.inner, &error), &error);
    const struct sp_projects_options options = {.engine = rig->engine,
                                                .writable = true,
                                                .sink = &rig->shaky.base,
                                                .threads = rig->threads,
                                                .tries_out = true,
                                                .retains = true,
                                                .clock = sp_clock_system(),
                                                .grace_ms = 3600000};
    must(sp_projects_new(&options, &rig->projects, &error), &error);
}

static struct rig *open_rig(bool threads) {
    struct rig *rig = test_calloc(1, sizeof(*rig));
    rig->threads = threads;
    make_folder(rig->folder);
    open_store(rig);
    open_projects(rig);
    return rig;
}

static void close_store(struct rig *rig) {
    sp_projects_free(rig->projects);
    sp_engine_close(rig->engine);
    rig->fs->ops->destroy(rig->fs);
    sp_guard_fini(&rig->guard);
}

static void close_rig(struct rig *rig) {
    close_store(rig);
    remove_folder(rig->folder);
    test_free(rig);
}

/* As the loop of a server: the guard is held for a turn. */
static void turn(struct rig *rig) {
    sp_guard_enter(&rig->guard);
    (void)sp_engine_turn(rig->engine, 0);
    (void)sp_projects_turn(rig->projects);
    sp_guard_leave(&rig->guard);
    sp_sleep_us(200);
}

static void put(struct rig *rig, const char *source, const char *data) {
    struct sp_event event = {.data = sp_str_from(data), .has_data = true};
    struct sp_error error;
    event.attr[SP_ATTR_TYPE] = SP_STR("work.done");
    event.attr[SP_ATTR_SOURCE] = sp_str_from(source);
    const struct sp_engine_append append = {.events = &event, .count = 1};
    sp_error_clear(&error);
    sp_guard_enter(&rig->guard);
    must(sp_engine_submit(rig->engine, &append, &error), &error);
    sp_guard_leave(&rig->guard);
}

static uint64_t add(struct rig *rig, const char *text) {
    enum sp_projects_outcome outcome = SP_PROJECTS_UNCHANGED;
    struct sp_error error;
    const sp_str any = {.ptr = NULL};
    sp_error_clear(&error);
    sp_guard_enter(&rig->guard);
    must(sp_projects_add(rig->projects, sp_str_from(text), any, NULL, &outcome, &error), &error);
    sp_guard_leave(&rig->guard);
    return outcome;
}

static bool says(struct rig *rig, const char *name, const char *words) {
    struct sp_buf text;
    struct sp_error error;
    sp_buf_init(&text, 1 << 20);
    sp_error_clear(&error);
    must(sp_projects_status(rig->projects, sp_str_from(name), &text, &error), &error);
    sp_buf_add_byte(&text, 0);
    bool found = strstr((const char *)text.data, words) != NULL;
    sp_buf_fini(&text);
    return found;
}

static void wait_until_says(struct rig *rig, const char *name, const char *words) {
    for (int i = 0; i < 200000 && !says(rig, name, words); i++) {
        turn(rig);
    }
    assert_true(says(rig, name, words));
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* A thread that reads its own writes. */
struct waiter {
    pthread_t thread;
    struct rig *rig;
    const char *name;
    uint64_t position;
    uint64_t timeout_ms;
    sp_status status;
    struct sp_error error;
    _Atomic bool over;
};

static void *wait_for(void *context) {
    struct waiter *waiter = context;
    sp_error_clear(&waiter->error);
    waiter->status = sp_projects_wait(waiter->rig->projects, sp_str_from(waiter->name),
                                      waiter->position, waiter->timeout_ms, &waiter->error);
    atomic_store(&waiter->over, true);
    return NULL;
}

static void start_waiting(struct waiter *waiter, struct rig *rig, const char *name,
                          uint64_t position, uint64_t timeout_ms) {
    *waiter =
        (struct waiter){.rig = rig, .name = name, .position = position, .timeout_ms = timeout_ms};
    assert_int_equal(pthread_create(&waiter->thread, NULL, wait_for, waiter), 0);
}

static void join_turning(struct waiter *waiter) {
    while (!atomic_load(&waiter->over)) {
        turn(waiter->rig);
    }
    assert_int_equal(pthread_join(waiter->thread, NULL), 0);
}

static void test_waiting_for_a_position(void **state) {
    struct rig *rig = open_rig(true);
    struct waiter waiter;
    (void)state;
    assert_int_equal(add(rig, COUNTS), SP_PROJECTS_ADDED); /* an event itself: position 1 */
    start_waiting(&waiter, rig, "counts", 4, 60000);
    for (int i = 0; i < 3; i++) {
        put(rig, "a", "{}");
    }
    join_turning(&waiter);
    must(waiter.status, &waiter.error);
    assert_true(says(rig, "counts", "\"position\":4,"));

    start_waiting(&waiter, rig, "counts", 1000, 30); /* nobody will append so much */
    join_turning(&waiter);
    assert_int_equal(waiter.status, SP_TIMEOUT);
    assert_non_null(strstr(waiter.error.text, "at 4, not yet at 1000"));

    start_waiting(&waiter, rig, "nix", 1, 60000);
    join_turning(&waiter);
    assert_int_equal(waiter.status, SP_NOT_FOUND);
    close_rig(rig);
}

static void test_waiting_for_what_has_stopped(void **state) {
    struct rig *rig = open_rig(true);
    struct waiter waiter;
    (void)state;
    (void)add(rig, PICKY);
    put(rig, "a", "{\"n\": 1}");
    put(rig, "a", "{}");
    put(rig, "a", "{\"n\": 3}");
    start_waiting(&waiter, rig, "picky", 4, 60000);
    join_turning(&waiter);
    assert_int_equal(waiter.status, SP_FAILED);
    assert_non_null(strstr(waiter.error.text, "stopped at event 3"));
    start_waiting(&waiter, rig, "picky", 2, 60000); /* so far it is there */
    join_turning(&waiter);
    must(waiter.status, &waiter.error);
    close_rig(rig);
}

static void test_a_removal_ends_waiting(void **state) {
    struct rig *rig = open_rig(true);
    struct waiter waiter;
    struct sp_error error;
    (void)state;
    (void)add(rig, COUNTS);
    wait_until_says(rig, "counts", "\"running\"");
    start_waiting(&waiter, rig, "counts", 1000, 60000);
    sp_error_clear(&error);
    sp_guard_enter(&rig->guard);
    must(sp_projects_remove(rig->projects, SP_STR("counts"), &error), &error);
    sp_guard_leave(&rig->guard);
    join_turning(&waiter);
    assert_int_equal(waiter.status, SP_NOT_FOUND);
    close_rig(rig);
}

/* ---- a sink that cannot ---------------------------------------------------------------------- */

static void test_a_sink_is_tried_again(void **state) {
    struct rig *rig = open_rig(true);
    (void)state;
    atomic_store(&rig->shaky.failures, 2);
    (void)add(rig, COUNTS);
    put(rig, "a", "{}");
    wait_until_says(rig, "counts", "no room just now");
    wait_until_says(rig, "counts", "\"running\"");
    assert_true(says(rig, "counts", "\"error\":null"));
    assert_true(says(rig, "counts", "\"applied\":1,"));
    close_rig(rig);
}

/* ---- opening again --------------------------------------------------------------------------- */

static void reopen(struct rig *rig) {
    close_store(rig);
    open_store(rig);
    open_projects(rig);
}

static void test_a_build_ahead_of_the_log_is_made_anew(void **state) {
    static const char *const folders[] = {"wal", "seg", "idx", "snap"};
    static const char *const files[] = {"MANIFEST", "checkpoint"};
    struct rig *rig = open_rig(true);
    char path[512];
    (void)state;
    (void)add(rig, COUNTS);
    for (int i = 0; i < 5; i++) {
        put(rig, "a", "{}");
    }
    wait_until_says(rig, "counts", "\"applied\":5,");
    close_store(rig);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", rig->folder, folders[i]);
        remove_folder(path);
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", rig->folder, files[i]);
        (void)unlink(path);
    }
    open_store(rig);
    open_projects(rig);
    (void)add(rig, COUNTS);
    put(rig, "a", "{}");
    wait_until_says(rig, "counts", "\"applied\":1,");
    close_rig(rig);
}

static void test_what_was_decided_is_known_again(void **state) {
    struct rig *rig = open_rig(true);
    uint64_t number = 0;
    struct sp_error error;
    (void)state;
    (void)add(rig, COUNTS);
    (void)add(rig, PICKY);
    put(rig, "a", "{}");
    wait_until_says(rig, "picky", "\"failed\"");
    sp_error_clear(&error);
    sp_guard_enter(&rig->guard);
    must(sp_projects_rebuild(rig->projects, SP_STR("counts"), &number, &error), &error);
    sp_guard_leave(&rig->guard);
    assert_int_equal(number, 2);
    reopen(rig); /* at whatever moment of the rebuild this is */
    wait_until_says(rig, "counts", "\"build\":2,\"settled\":true");
    assert_true(says(rig, "picky", "\"failed\""));
    assert_int_equal(add(rig, COUNTS), SP_PROJECTS_UNCHANGED);
    assert_int_equal(sp_projects_count(rig->projects), 2);
    close_rig(rig);
}

/* ---- without threads ------------------------------------------------------------------------- */

static void settle(struct rig *rig) {
    while (sp_engine_outstanding(rig->engine) > 0 || sp_engine_must_wait(rig->engine)) {
        turn(rig);
    }
    turn(rig);
}

static bool count_reports(void *context, const struct sp_projects_progress *progress) {
    int *reports = context;
    (*reports)++;
    assert_true(progress->position <= progress->head);
    return true;
}

static void test_without_threads(void **state) {
    struct rig *rig = open_rig(false);
    struct sp_error error;
    uint64_t number = 0;
    int reports = 0;
    char path[128];
    const sp_str all = {.ptr = NULL};
    (void)state;
    sp_error_clear(&error);
    (void)add(rig, COUNTS);
    (void)add(rig, PICKY);
    put(rig, "a", "{\"n\": 1}");
    put(rig, "b", "{\"n\": 2}");
    settle(rig);
    must(sp_projects_catch_up(rig->projects, all, count_reports, &reports, &error), &error);
    assert_true(reports >= 2);
    (void)snprintf(path, sizeof(path), "%s/counts.db", rig->models);
    assert_rows(path, "SELECT source FROM counts ORDER BY 1", "a,b");
    put(rig, "c", "{}");
    settle(rig);
    assert_int_equal(sp_projects_catch_up(rig->projects, SP_STR("picky"), NULL, NULL, &error),
                     SP_FAILED);
    assert_non_null(strstr(error.text, "'picky' stops at event 5"));
    must(sp_projects_rebuild(rig->projects, SP_STR("counts"), &number, &error), &error);
    settle(rig);
    must(sp_projects_catch_up(rig->projects, SP_STR("counts"), NULL, NULL, &error), &error);
    assert_true(says(rig, "counts", "\"build\":2,\"settled\":true"));
    assert_rows(path, "SELECT source FROM counts ORDER BY 1", "a,b,c");
    assert_int_equal(sp_projects_wait(rig->projects, SP_STR("counts"), 1, 0, &error),
                     SP_UNSUPPORTED);
    close_rig(rig);
}

/* ---- retention ------------------------------------------------------------------------------- */

/* How many events of the type there are in the stream of projections, and the last one's place. */
static uint32_t count_told(struct rig *rig, const char *type, uint64_t *ret_last) {
    const sp_str pattern = sp_str_from(type);
    const struct sp_query query = {
        .types = &pattern, .type_count = 1, .stream = SP_STR(SP_PROJECTS_STREAM)};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    struct sp_error error;
    uint32_t count = 0;
    sp_error_clear(&error);
    must(sp_cursor_open(rig->engine, &query, &cursor, &error), &error);
    while (sp_cursor_next(cursor, &event, &error) == SP_OK) {
        *ret_last = event->position;
        count++;
    }
    sp_cursor_close(cursor);
    return count;
}

/* What stands in the older half of a log that drops its oldest events stands in the newer, too. */
static void test_decisions_do_not_grow_old(void **state) {
    struct rig *rig = open_rig(true);
    struct sp_error error;
    uint64_t last = 0;
    (void)state;
    (void)add(rig, COUNTS);
    (void)add(rig, PICKY);
    sp_error_clear(&error);
    sp_guard_enter(&rig->guard);
    must(sp_projects_remove(rig->projects, SP_STR("picky"), &error), &error);
    sp_guard_leave(&rig->guard);
    while (count_told(rig, "projection.added", &last) < 3 ||
           count_told(rig, "projection.removed", &last) < 2) {
        for (int i = 0; i < 100; i++) {
            put(rig, "a", "{}");
        }
        turn(rig);
    }
    assert_true(last > 1000);
    reopen(rig);
    assert_int_equal(sp_projects_count(rig->projects), 1);
    assert_int_equal(add(rig, COUNTS), SP_PROJECTS_UNCHANGED);
    close_rig(rig);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void test_too_many(void **state) {
    struct rig *rig = open_rig(false);
    enum sp_projects_outcome outcome;
    struct sp_error error;
    char text[160];
    const sp_str any = {.ptr = NULL};
    sp_status status = SP_OK;
    (void)state;
    sp_error_clear(&error);
    for (int i = 0; i <= SP_PROJECTS_MAX; i++) {
        assert_int_equal(status, SP_OK);
        (void)snprintf(text, sizeof(text),
                       "-- spoor: projection p%d version 1\nCREATE TABLE t%d (n BIGINT);\n"
                       "-- spoor: on work.done\nINSERT INTO t%d VALUES (1);\n",
                       i, i, i);
        status = sp_projects_add(rig->projects, sp_str_from(text), any, NULL, &outcome, &error);
    }
    assert_int_equal(status, SP_LIMIT);
    assert_int_equal(sp_projects_count(rig->projects), SP_PROJECTS_MAX);
    close_rig(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waiting_for_a_position),
        cmocka_unit_test(test_waiting_for_what_has_stopped),
        cmocka_unit_test(test_a_removal_ends_waiting),
        cmocka_unit_test(test_a_sink_is_tried_again),
        cmocka_unit_test(test_a_build_ahead_of_the_log_is_made_anew),
        cmocka_unit_test(test_what_was_decided_is_known_again),
        cmocka_unit_test(test_without_threads),
        cmocka_unit_test(test_decisions_do_not_grow_old),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests_name("project projects", tests, NULL, NULL);
}
