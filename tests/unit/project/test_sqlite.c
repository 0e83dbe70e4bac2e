/* Builds on SQLite: made, reopened, swapped, dropped, copied; and what statements may not do. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fold_help.h"

static const char COUNTS[] =
    "-- spoor: projection counts version 2\n"
    "CREATE TABLE counts (source TEXT PRIMARY KEY, n BIGINT NOT NULL);\n"
    "INSERT INTO counts VALUES ('none', 0);\n"
    "-- spoor: on a\n"
    "INSERT INTO counts VALUES (:source, 1) ON CONFLICT (source) DO UPDATE SET n = n + 1;\n";

struct fixture {
    char folder[64];
    struct sp_sink *sink;
    struct sp_definition *definition;
    struct memory *memory;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    make_folder(f->folder);
    f->sink = open_sink(f->folder);
    f->definition = definition_of(COUNTS);
    f->memory = memory_new();
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    f->sink->ops->close(f->sink);
    sp_definition_unref(f->definition);
    remove_folder(f->folder);
    free(f->memory);
    free(f);
    return 0;
}

static const char *file_in(const struct fixture *f, const char *name) {
    static char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    return path;
}

static void add_events(struct fixture *f, size_t count) {
    for (size_t i = 0; i < count; i++) {
        memory_add(f->memory, "a", "x", "{}");
    }
}

struct list {
    size_t count;
    struct sp_build_state states[8];
};

static bool note(void *context, const struct sp_build_state *state) {
    struct list *list = context;
    assert_true(list->count < 8);
    size_t at = list->count++;
    while (at > 0 && list->states[at - 1].number > state->number) { /* by number */
        list->states[at] = list->states[at - 1];
        at--;
    }
    list->states[at] = *state;
    return true;
}

static struct list list_of(struct sp_sink *sink) {
    struct list list = {.count = 0};
    struct sp_error error;
    if (sink->ops->builds(sink, note, &list, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    return list;
}

static void makes_and_reopens(void **state) {
    struct fixture *f = *state;
    assert_int_equal(list_of(f->sink).count, 0);
    struct sp_build *build = open_build(f->sink, f->definition, 1);
    assert_int_equal(state_of(build).position, 0);
    add_events(f, 3);
    fold_all(build, f->memory, SP_FOLD_CAUGHT_UP);
    build->ops->close(build);
    assert_rows(file_in(f, "counts.1.db"), "SELECT source || n FROM counts ORDER BY 1", "none0,x3");
    assert_rows(file_in(f, "counts.1.db"), "SELECT position || '/' || applied FROM spoor_build",
                "3/3");
    add_events(f, 2);
    build = open_build(f->sink, f->definition, 1);
    assert_int_equal(state_of(build).position, 3);
    assert_int_equal(state_of(build).version, 2);
    fold_all(build, f->memory, SP_FOLD_CAUGHT_UP);
    build->ops->close(build);
    struct list list = list_of(f->sink);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.states[0].name, "counts");
    assert_int_equal(list.states[0].number, 1);
    assert_int_equal(list.states[0].position, 5);
    assert_memory_equal(list.states[0].sha256, f->definition->sha256, 32);
    assert_false(list.states[0].current);
}

static void another_text_is_another_build(void **state) {
    struct fixture *f = *state;
    struct sp_build *build = open_build(f->sink, f->definition, 1);
    build->ops->close(build);
    char other[sizeof(COUNTS) + 32];
    struct sp_error error;
    (void)snprintf(other, sizeof(other), "%s-- changed\n", COUNTS);
    struct sp_definition *definition = definition_of(other);
    assert_int_equal(f->sink->ops->open(f->sink, definition, 1, &build, &error), SP_CONFLICT);
    assert_non_null(strstr(error.text, "build 1 of counts was made from another text"));
    build = open_build(f->sink, definition, 2);
    build->ops->close(build);
    sp_definition_unref(definition);
}

static void swaps_and_drops(void **state) {
    struct fixture *f = *state;
    struct sp_error error;
    sp_str name = SP_STR("counts");
    assert_int_equal(f->sink->ops->swap(f->sink, name, 1, &error), SP_NOT_FOUND);
    struct sp_build *first = open_build(f->sink, f->definition, 1);
    struct sp_build *second = open_build(f->sink, f->definition, 2);
    add_events(f, 1);
    fold_all(second, f->memory, SP_FOLD_CAUGHT_UP);
    assert_int_equal(symlink("nowhere", file_in(f, "counts.db.new")), 0); /* of a crash */
    assert_int_equal(f->sink->ops->swap(f->sink, name, 1, &error), SP_OK);
    assert_rows(file_in(f, "counts.db"), "SELECT count(*) FROM counts", "1");
    assert_true(list_of(f->sink).states[0].current);
    assert_int_equal(f->sink->ops->swap(f->sink, name, 2, &error), SP_OK);
    assert_rows(file_in(f, "counts.db"), "SELECT count(*) FROM counts", "2");
    struct list list = list_of(f->sink);
    assert_int_equal(list.count, 2);
    assert_false(list.states[0].current);
    assert_true(list.states[0].retired_us > UINT64_C(1600000000000000));
    assert_true(list.states[1].current);
    assert_int_equal(list.states[1].retired_us, 0);
    first->ops->close(first);
    assert_int_equal(f->sink->ops->drop(f->sink, name, 1, &error), SP_OK);
    assert_int_equal(f->sink->ops->drop(f->sink, name, 7, &error), SP_OK);
    assert_int_equal(list_of(f->sink).count, 1);
    second->ops->close(second);
    assert_int_equal(f->sink->ops->drop(f->sink, name, 2, &error), SP_OK);
    assert_int_equal(list_of(f->sink).count, 0);
    assert_int_not_equal(access(file_in(f, "counts.db"), F_OK), 0);
}

static void put_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void removes_what_a_crash_left(void **state) {
    struct fixture *f = *state;
    put_file(file_in(f, "counts.3.db"), ""); /* made, and nothing in it */
    put_file(file_in(f, "counts.4.db-wal"), "x");
    put_file(file_in(f, "counts.5.db"), "this is no database, by its first sixteen bytes and more");
    put_file(file_in(f, "notes.txt"), "somebody's own");
    assert_int_equal(list_of(f->sink).count, 0);
    assert_int_not_equal(access(file_in(f, "counts.3.db"), F_OK), 0);
    assert_int_not_equal(access(file_in(f, "counts.4.db-wal"), F_OK), 0);
    assert_int_not_equal(access(file_in(f, "counts.5.db"), F_OK), 0);
    assert_int_equal(access(file_in(f, "counts.5.db.damaged"), F_OK), 0);
    assert_int_equal(access(file_in(f, "notes.txt"), F_OK), 0);
}

static void one_process_fills(void **state) {
    struct fixture *f = *state;
    struct sp_sink *other = NULL;
    struct sp_error error;
    struct sp_build *build = open_build(f->sink, f->definition, 1);
    struct sp_sqlite_options options = {.folder = f->folder, .clock = sp_clock_system()};
    assert_int_equal(sp_sqlite_sink_open(&options, &other, &error), SP_BUSY);
    options.read_only = true;
    assert_int_equal(sp_sqlite_sink_open(&options, &other, &error), SP_OK);
    assert_int_equal(list_of(other).count, 1);
    struct sp_build *second = NULL;
    assert_int_equal(other->ops->open(other, f->definition, 2, &second, &error), SP_DENIED);
    assert_int_equal(other->ops->swap(other, SP_STR("counts"), 1, &error), SP_DENIED);
    assert_int_equal(other->ops->drop(other, SP_STR("counts"), 1, &error), SP_DENIED);
    other->ops->close(other);
    build->ops->close(build);
    options.folder = file_in(f, "missing");
    assert_int_equal(sp_sqlite_sink_open(&options, &other, &error), SP_NOT_FOUND);
}

static uint32_t builds_of_log(struct fixture *f, const uint8_t log[16]) {
    struct sp_sqlite_options options = {
        .folder = f->folder, .clock = sp_clock_system(), .log = log};
    struct sp_error error;
    f->sink->ops->close(f->sink);
    assert_int_equal(sp_sqlite_sink_open(&options, &f->sink, &error), SP_OK);
    return (uint32_t)list_of(f->sink).count;
}

static void another_log_has_nothing_here(void **state) {
    struct fixture *f = *state;
    static const uint8_t one[16] = {1};
    static const uint8_t other[16] = {2};
    struct sp_error error;
    struct sp_build *build = open_build(f->sink, f->definition, 1);
    build->ops->close(build);
    assert_int_equal(f->sink->ops->swap(f->sink, SP_STR("counts"), 1, &error), SP_OK);
    assert_int_equal(mkdir(file_in(f, "snapshots"), 0700), 0);
    put_file(file_in(f, "snapshots/counts.1.snap"), "x");
    assert_int_equal(builds_of_log(f, one), 1); /* whose they were was not said */
    assert_int_equal(builds_of_log(f, one), 1);
    assert_int_equal(builds_of_log(f, other), 0);
    assert_int_not_equal(access(file_in(f, "counts.db"), F_OK), 0);
    assert_int_not_equal(access(file_in(f, "snapshots/counts.1.snap"), F_OK), 0);
    build = open_build(f->sink, f->definition, 1);
    build->ops->close(build);
    put_file(file_in(f, "ORIGIN"), "torn");
    assert_int_equal(builds_of_log(f, other), 0);
}

static void copies(void **state) {
    struct fixture *f = *state;
    struct sp_error error;
    struct sp_build *copy = NULL;
    struct sp_build *build = open_build(f->sink, f->definition, 1);
    add_events(f, 4);
    fold_all(build, f->memory, SP_FOLD_CAUGHT_UP);
    char path[256];
    (void)snprintf(path, sizeof(path), "%s", file_in(f, "copy"));
    assert_int_equal(sp_sqlite_backup(build, path, &error), SP_OK);
    assert_int_equal(sp_sqlite_backup(build, path, &error), SP_CONFLICT);
    assert_int_not_equal(access(file_in(f, "copy-wal"), F_OK), 0);
    add_events(f, 2);
    fold_all(build, f->memory, SP_FOLD_CAUGHT_UP);
    assert_int_equal(sp_sqlite_scratch_new(f->definition, sp_clock_system(), path, &copy, &error),
                     SP_OK);
    assert_int_equal(state_of(copy).position, 4);
    assert_build_rows(copy, "SELECT n FROM counts WHERE source = 'x'", "4");
    fold_all(copy, f->memory, SP_FOLD_CAUGHT_UP);
    assert_build_rows(copy, "SELECT n FROM counts WHERE source = 'x'", "6");
    copy->ops->close(copy);
    assert_rows(path, "SELECT n FROM counts WHERE source = 'x'", "4");
    put_file(path, "no database at all, and long enough to be told from an empty one");
    assert_int_equal(sp_sqlite_scratch_new(f->definition, sp_clock_system(), path, &copy, &error),
                     SP_CORRUPT);
    build->ops->close(build);
}

/*
 * ---- what statements may not do
 * ------------------------------------------------------------------
 */

#define HEAD "-- spoor: projection p version 1\n"
#define TAIL "\n-- spoor: on a\nDELETE FROM t"

static const struct {
    const char *text;
    const char *error; /* how it goes on behind the projection's name */
} BAD[] = {
    {HEAD "CREATE TABLE t (a TEXT);\nCREATE INDEX i ON u (a);" TAIL,
     "p: line 3, column 1: no such table: main.u"},
    {HEAD "CREATE TABLE t (a TEXT,);" TAIL, "p: line 2, column 24: near \")\": syntax error"},
    {HEAD "CREATE TABLE t (a TEXT);" TAIL " WHERE b = :source AND c = :id",
     "p: line 4, column 21: no such column: b"},
    {HEAD "CREATE TABLE t (a TEXT);" TAIL " WHERE a = :source AND cc = :id",
     "p: line 4, column 37: no such column: cc"},
    {HEAD "CREATE TABLE t (a TEXT);" TAIL " WHERE a = \"text\"",
     "p: line 4, column 25: no such column: text"},
    {HEAD "CREATE TABLE t (a TEXT);" TAIL "; UPDATE spoor_build SET position = 0",
     "p: line 4, column 16: no such table: spoor_build"},
    {HEAD "CREATE TABLE t (a TEXT);" TAIL "; UPDATE sqlite_schema SET name = 'x'",
     "p: line 4, column 16: "},
    {HEAD "CREATE TABLE t (a TEXT);" TAIL " WHERE a = (SELECT last_insert_rowid)",
     "p: line 4, column 33: no such column: last_insert_rowid"},
    {HEAD "CREATE TABLE t (a TEXT);" TAIL " WHERE a = sqlite_version()",
     "p: line 4, column 25: a fu"},
    {HEAD "CREATE VIRTUAL TABLE t USING dbstat;" TAIL,
     "p: line 2, column 1: of virtual tables only"},
    {HEAD "CREATE TABLE t AS SELECT * FROM pragma_database_list;" TAIL, "p: line 2, column 1: "},
    {HEAD "CREATE TABLE t (a TEXT DEFAULT (random(1)));" TAIL, NULL}, /* the parser's */
    {HEAD "CREATE TABLE t (a TEXT);\nINSERT INTO t VALUES (abs(-9223372036854775808));" TAIL,
     "p: line 3, column 1: integer overflow"},
};

static void says_what_is_wrong_with_statements(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct sp_definition *definition = NULL;
        struct sp_build *build = NULL;
        struct sp_error error;
        sp_status status = sp_definition_parse(sp_str_from(BAD[i].text), &definition, &error);
        if (BAD[i].error == NULL) {
            assert_int_equal(status, SP_INVALID);
            continue;
        }
        assert_int_equal(status, SP_OK);
        status = f->sink->ops->open(f->sink, definition, 1, &build, &error);
        if (status != SP_INVALID || strncmp(error.text, BAD[i].error, strlen(BAD[i].error)) != 0) {
            fail_msg("%s\ngave `%s`,\nnot  `%s`", BAD[i].text, status == SP_OK ? "ok" : error.text,
                     BAD[i].error);
        }
        assert_int_equal(list_of(f->sink).count, 0);
        assert_int_not_equal(access(file_in(f, "p.1.db"), F_OK), 0);
        sp_definition_unref(definition);
    }
}

static void full_text_search_works(void **state) {
    struct fixture *f = *state;
    struct sp_definition *definition =
        definition_of(HEAD "-- spoor: only sqlite\n"
                           "CREATE VIRTUAL TABLE t USING fts5 (id UNINDEXED, body);\n"
                           "-- spoor: on a\n"
                           "INSERT INTO t (id, body) VALUES (:id, :data);\n"
                           "-- spoor: on gone\n"
                           "DELETE FROM t WHERE rowid = CAST(:data ->> 'row' AS BIGINT);");
    struct sp_build *build = open_build(f->sink, definition, 1);
    memory_add(f->memory, "a", "x", "{\"text\":\"the quick fox\"}");
    memory_add(f->memory, "a", "x", "{\"text\":\"a slow hound\"}");
    memory_add(f->memory, "a", "x", "{\"text\":\"a quick hare\"}");
    memory_add(f->memory, "gone", "x", "{\"row\":1}");
    fold_all(build, f->memory, SP_FOLD_CAUGHT_UP);
    build->ops->close(build);
    assert_rows(file_in(f, "p.1.db"), "SELECT id FROM t WHERE t MATCH 'quick'", "e-3");
    sp_definition_unref(definition);
}

/* A statement without an end stops its projection, at the same event in every rebuild. */
static void ends_what_would_not_end(void **state) {
    struct fixture *f = *state;
    struct sp_definition *definition = definition_of(
        HEAD "CREATE TABLE t (a BIGINT);\n-- spoor: on a\n"
             "INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
             "SELECT i FROM n WHERE i < 0;");
    struct sp_build *build = open_build(f->sink, definition, 1);
    add_events(f, 1);
    fold_all(build, f->memory, SP_FOLD_FAILED);
    assert_string_equal(state_of(build).failed_text,
                        "line 4, column 1: more work than one event may make: is there an end to "
                        "it?");
    build->ops->close(build);
    sp_definition_unref(definition);
}

/*
 * ---- kill -9
 * -------------------------------------------------------------------------------------
 */

enum { KILL_EVENTS = 400 };

/* Folds slowly, in small batches, swapping now and then, until it is killed. */
static void work_until_killed(const char *folder, struct sp_definition *definition,
                              struct memory *memory, uint64_t number) {
    struct sp_sqlite_options options = {.folder = folder, .clock = sp_clock_system()};
    struct sp_sink *sink = NULL;
    struct sp_build *build = NULL;
    struct sp_fold *fold = NULL;
    enum sp_fold_end end = SP_FOLD_OVER;
    if (sp_sqlite_sink_open(&options, &sink, NULL) != SP_OK ||
        sink->ops->open(sink, definition, number, &build, NULL) != SP_OK) {
        _exit(3);
    }
    struct sp_fold_options fold_options = {.build = build,
                                           .source = memory_source(memory),
                                           .clock = sp_clock_system(),
                                           .batch_events = 2};
    if (sp_fold_new(&fold_options, &fold, NULL) != SP_OK ||
        sp_fold_run(fold, 0, &end, NULL) != SP_OK || end != SP_FOLD_CAUGHT_UP ||
        sink->ops->swap(sink, SP_STR("counts"), number, NULL) != SP_OK) {
        _exit(4);
    }
    _exit(0);
}

/* Whenever it is killed, a build is the fold of the events up to its position. */
static void survives_kill(void **state) {
    struct fixture *f = *state;
    add_events(f, KILL_EVENTS);
    f->sink->ops->close(f->sink);
    unsigned killed = 0;
    bool finished = false;
    for (unsigned round = 0; round < 200 && !finished; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            work_until_killed(f->folder, f->definition, f->memory, 1);
        }
        sp_sleep_us(500 + 700 * round);
        (void)kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        killed += WIFSIGNALED(status) ? 1 : 0;
        finished = WIFEXITED(status);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        f->sink = open_sink(f->folder);
        struct list list = list_of(f->sink);
        if (list.count == 1) {
            char sum[32];
            uint64_t position = list.states[0].position;
            (void)snprintf(sum, sizeof(sum), "%llu", (unsigned long long)position);
            assert_rows(file_in(f, "counts.1.db"), "SELECT sum(n) FROM counts", sum);
            assert_true(!list.states[0].current || position == KILL_EVENTS);
        }
        f->sink->ops->close(f->sink);
    }
    assert_true(finished && killed > 0);
    f->sink = open_sink(f->folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(makes_and_reopens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_text_is_another_build, set_up, tear_down),
        cmocka_unit_test_setup_teardown(swaps_and_drops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removes_what_a_crash_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_process_fills, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_log_has_nothing_here, set_up, tear_down),
        cmocka_unit_test_setup_teardown(copies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_what_is_wrong_with_statements, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_text_search_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_what_would_not_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_kill, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
