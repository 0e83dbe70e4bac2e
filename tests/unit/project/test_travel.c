/*
 * States of a read model at any moment: they equal a fold of what counts, with and without caches.
 */
#include "../engine/bus_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "project/difference.h"
#include "project/sqlite.h"
#include "project/travel.h"

enum { EVENTS = 3000, SOURCES = 7, MOMENTS = 40 };

static const uint64_t EPOCH_US = UINT64_C(1754000000000000); /* 2025-07-31T22:13:20Z */

static const char DEFINITION[] =
    "-- spoor: projection tally version 1\n"
    "CREATE TABLE tally (source TEXT PRIMARY KEY, n BIGINT NOT NULL, total BIGINT NOT NULL);\n"
    "CREATE TABLE done (position BIGINT, run TEXT);\n"
    "CREATE TABLE strict (n BIGINT CHECK (n <> 13));\n"
    "-- spoor: on task.*\n"
    "INSERT INTO tally (source, n, total) VALUES (:source, 1, :data ->> 'n')\n"
    "  ON CONFLICT (source) DO UPDATE SET n = n + 1, total = total + (:data ->> 'n');\n"
    "-- spoor: on task.done\n"
    "INSERT INTO done VALUES (:position, :correlationid);\n"
    "-- spoor: on task.poison\n"
    "INSERT INTO strict VALUES (13);\n";

/* What was appended, to be folded by hand. */
struct noted {
    uint64_t position;
    uint64_t time_us; /* of its own, or recorded */
    uint64_t recorded_us;
    unsigned source;
    unsigned run;
    uint64_t n;
    bool done;
    bool wanted;
};

struct story {
    struct bus_help help;
    struct sp_definition *definition;
    struct sp_travel *travel;
    struct noted noted[EVENTS + 8];
    uint64_t count;
    uint64_t random;
    uint64_t clock_step_ns; /* that the clock goes on with every look */
    uint64_t clock_ns;
    unsigned said;
};

static uint64_t wall_us(void *context) {
    return ((struct story *)context)->help.wall_us;
}

static uint64_t monotonic_ns(void *context) {
    struct story *story = context;
    return story->clock_ns += story->clock_step_ns;
}

static struct sp_clock clock_of(struct story *story) {
    return (struct sp_clock){.wall_us = wall_us, .monotonic_ns = monotonic_ns, .context = story};
}

static void on_say(void *context, const char *text) {
    (void)text;
    ((struct story *)context)->said++;
}

/* Opens time travel; `events` between snapshots, 0: none are kept. */
static void travel_begin(struct story *story, uint64_t events) {
    struct sp_error error;
    const struct sp_travel_options options = {
        .engine = story->help.engine,
        .folder = help_folder,
        .copies = true,
        .clock = clock_of(story),
        .snapshot_bytes_max = events != 0 ? 1 << 30 : 0,
        .snapshot_events = events,
        .say = on_say,
        .say_context = story,
    };
    bus_ok(sp_travel_open(&options, &story->travel, &error), &error);
}

static void travel_again(struct story *story, uint64_t events) {
    sp_travel_close(story->travel);
    travel_begin(story, events);
}

static struct story *story_begin(uint64_t seed) {
    struct sp_error error;
    struct story *story = calloc(1, sizeof(*story));
    assert_non_null(story);
    story->random = seed;
    bus_open(&story->help);
    bus_ok(sp_definition_parse(sp_str_from(DEFINITION), &story->definition, &error), &error);
    travel_begin(story, 0);
    return story;
}

static void story_end(struct story *story) {
    sp_travel_close(story->travel);
    sp_definition_unref(story->definition);
    bus_close(&story->help);
    free(story);
}

static void on_done(void *context, sp_engine_extra_fn *extra, sp_status status,
                    const struct sp_engine_result *results, uint32_t count,
                    const struct sp_error *error) {
    (void)extra;
    bus_ok(status, error);
    assert_int_equal(count, 1);
    *(struct sp_engine_result *)context = results[0];
}

/* Appends an event; time_us 0: without a time of its own. */
static void put(struct story *story, const char *type, unsigned source, unsigned run,
                uint64_t time_us, uint64_t n) {
    char source_text[16];
    char run_text[16];
    char time_text[SP_TIME_TEXT_SIZE];
    char data[32];
    struct sp_error error;
    struct sp_engine_result result = {.position = 0};
    (void)snprintf(source_text, sizeof(source_text), "agent-%u", source);
    (void)snprintf(run_text, sizeof(run_text), "run-%u", run);
    (void)snprintf(data, sizeof(data), "{\"n\":%llu}", (unsigned long long)n);
    struct sp_event event = {.data = sp_str_from(data), .has_data = true};
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_SOURCE] = sp_str_from(source_text);
    event.attr[SP_ATTR_CORRELATION] = sp_str_from(run_text);
    if (time_us != 0) {
        sp_time_format(time_us, time_text);
        event.attr[SP_ATTR_TIME] = sp_str_from(time_text);
    }
    const struct sp_engine_append append = {
        .events = &event, .count = 1, .done = on_done, .context = &result};
    bus_ok(sp_engine_submit(story->help.engine, &append, &error), &error);
    while (result.position == 0) {
        (void)sp_engine_poll(story->help.engine);
        sp_engine_wait(story->help.engine, 1);
    }
    story->noted[story->count++] = (struct noted){
        .position = result.position,
        .time_us = time_us != 0 ? time_us : result.recorded_us,
        .recorded_us = result.recorded_us,
        .source = source,
        .run = run,
        .n = n,
        .done = strcmp(type, "task.done") == 0,
        .wanted = strncmp(type, "task.", 5) == 0,
    };
    story->help.wall_us += help_below(&story->random, 3) * 1000;
}

/* Events whose own times are in order, nearly in order, or anyhow; some have none. */
static void fill(struct story *story, uint64_t events, uint32_t disorder, bool some_without) {
    static const char *const TYPES[] = {"task.assigned", "task.done", "other.thing"};
    for (uint64_t i = 0; i < events; i++) {
        uint64_t time_us = EPOCH_US + (i + help_below(&story->random, disorder)) * 1000000;
        bool without = some_without && help_below(&story->random, 10) == 0;
        put(story, TYPES[help_below(&story->random, 3)], help_below(&story->random, SOURCES),
            help_below(&story->random, 50), without ? 0 : time_us,
            help_below(&story->random, 1000));
    }
}

/*
 * ---- comparing
 * ------------------------------------------------------------------------------------
 */

struct tallied {
    uint64_t n[SOURCES];
    uint64_t total[SOURCES];
    uint64_t done;
    uint64_t done_sum;
};

static void check_rows(sqlite3 *db, const char *sql, struct tallied *found) {
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        unsigned source = (unsigned)sqlite3_column_int(statement, 0);
        assert_true(source < SOURCES);
        found->n[source] = (uint64_t)sqlite3_column_int64(statement, 1);
        found->total[source] = (uint64_t)sqlite3_column_int64(statement, 2);
    }
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

static void look(struct sp_build *build, struct tallied *found) {
    sqlite3 *db = sp_sqlite_handle(build);
    sqlite3_stmt *statement;
    *found = (struct tallied){.done = 0};
    (void)sqlite3_set_authorizer(db, NULL, NULL);
    check_rows(db, "SELECT substr(source, 7), n, total FROM tally", found);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT count(*), total(position) FROM done", -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    found->done = (uint64_t)sqlite3_column_int64(statement, 0);
    found->done_sum = (uint64_t)sqlite3_column_int64(statement, 1);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    sp_sqlite_handle_return(build);
}

static void add(struct tallied *wanted, const struct noted *noted) {
    if (noted->wanted) {
        wanted->n[noted->source]++;
        wanted->total[noted->source] += noted->n;
        wanted->done += noted->done ? 1 : 0;
        wanted->done_sum += noted->done ? noted->position : 0;
    }
}

enum moment { BY_POSITION, BY_OWN_TIME, BY_RECORDED };

static struct tallied fold_by_hand(const struct story *story, enum moment by, uint64_t until) {
    struct tallied wanted = {.done = 0};
    for (uint64_t i = 0; i < story->count; i++) {
        const struct noted *noted = &story->noted[i];
        uint64_t at = by == BY_POSITION   ? noted->position
                      : by == BY_OWN_TIME ? noted->time_us
                                          : noted->recorded_us;
        if (at <= until) {
            add(&wanted, noted);
        }
    }
    return wanted;
}

static void same(const struct tallied *a, const struct tallied *b) {
    for (unsigned i = 0; i < SOURCES; i++) {
        assert_int_equal(a->n[i], b->n[i]);
        assert_int_equal(a->total[i], b->total[i]);
    }
    assert_int_equal(a->done, b->done);
    assert_int_equal(a->done_sum, b->done_sum);
}

static void moment_text(enum moment by, uint64_t until, char text[SP_TIME_TEXT_SIZE]) {
    if (by == BY_POSITION) {
        (void)snprintf(text, SP_TIME_TEXT_SIZE, "%llu", (unsigned long long)until);
    } else {
        sp_time_format(until, text);
    }
}

static struct sp_travel_state ask(struct story *story, enum moment by, uint64_t until) {
    char text[SP_TIME_TEXT_SIZE];
    struct sp_error error;
    struct sp_travel_state state;
    moment_text(by, until, text);
    const struct sp_travel_ask asked = {.definition = story->definition,
                                        .until = sp_str_from(text),
                                        .by_recorded = by == BY_RECORDED};
    bus_ok(sp_travel_ask(story->travel, &asked, &state, &error), &error);
    return state;
}

/* Asks and compares; tells whether it began from a snapshot. */
static bool check(struct story *story, enum moment by, uint64_t until) {
    struct tallied found;
    struct tallied wanted = fold_by_hand(story, by, until);
    struct sp_travel_state state = ask(story, by, until);
    look(state.build, &found);
    state.build->ops->close(state.build);
    same(&found, &wanted);
    return state.from_snapshot;
}

static uint64_t random_moment(struct story *story, enum moment by) {
    const struct noted *noted = &story->noted[help_below(&story->random, (uint32_t)story->count)];
    uint64_t at = by == BY_POSITION   ? noted->position
                  : by == BY_OWN_TIME ? noted->time_us
                                      : noted->recorded_us;
    return at + help_below(&story->random, 3) - 1;
}

static unsigned check_many(struct story *story) {
    unsigned from_snapshot = 0;
    for (int i = 0; i < MOMENTS; i++) {
        enum moment by = (enum moment)help_below(&story->random, 3);
        from_snapshot += check(story, by, random_moment(story, by)) ? 1 : 0;
    }
    assert_true(check(story, BY_POSITION, 0) == false);
    return from_snapshot;
}

/*
 * ---- the tests
 * ------------------------------------------------------------------------------------
 */

static void a_state_is_the_fold_of_what_counts(void **state) {
    (void)state;
    static const uint32_t DISORDERS[] = {1, 50, EVENTS};
    for (size_t i = 0; i < sizeof(DISORDERS) / sizeof(*DISORDERS); i++) {
        struct story *story = story_begin(i + 1);
        fill(story, i == 0 ? EVENTS : EVENTS / 4, DISORDERS[i], i > 0);
        assert_int_equal(check_many(story), 0); /* no snapshots are kept */
        travel_again(story, 40);
        (void)check(story, BY_POSITION, story->count); /* leaves some on its way */
        unsigned used = check_many(story);
        assert_true(used > 0);
        travel_again(story, 40); /* found again by the next one who opens it */
        assert_true(check_many(story) > 0);
        story_end(story);
        help_end(NULL);
        assert_int_equal(help_begin(NULL), 0);
    }
}

/* Who follows the log leaves snapshots and notes times; states use them. */
static void followers_leave_snapshots(void **state) {
    (void)state;
    struct story *story = story_begin(7);
    struct sp_error error;
    travel_again(story, 50);
    fill(story, 600, 1, false); /* of one stretch: only the last moment is behind all of it */
    struct sp_build *build = NULL;
    struct sp_travel_track *track = NULL;
    struct sp_log_source *source = NULL;
    bus_ok(sp_sqlite_scratch_new(story->definition, clock_of(story), NULL, &build, &error), &error);
    bus_ok(sp_log_source_new(story->help.engine, story->definition, false, &source, &error),
           &error);
    bus_ok(sp_travel_track_new(story->travel, build, &track, &error), &error);
    const struct sp_fold_source inner = sp_log_source_of(source);
    struct sp_fold *fold = NULL;
    enum sp_fold_end end = SP_FOLD_CAUGHT_UP;
    const struct sp_fold_options options = {
        .build = build, .source = sp_travel_track_source(track, &inner), .clock = clock_of(story)};
    bus_ok(sp_fold_new(&options, &fold, &error), &error);
    for (uint64_t until = 100; until <= 600; until += 100) {
        bus_ok(sp_fold_run(fold, until, &end, &error), &error);
        bus_ok(sp_fold_flush(fold, &error), &error);
        sp_travel_track_committed(track, build, until);
    }
    assert_true(check(story, BY_POSITION, 599));
    assert_true(check(story, BY_OWN_TIME, story->noted[599].time_us));
    assert_true(check(story, BY_RECORDED, story->noted[550].recorded_us));
    sp_fold_free(fold);
    sp_travel_track_free(track);
    sp_log_source_free(source);
    build->ops->close(build);
    sp_travel_forget(story->travel, SP_STR("tally"), NULL);
    assert_false(check(story, BY_POSITION, 599));
    assert_int_equal(story->said, 0);
    story_end(story);
}

/* Flips a byte of every file that time travel keeps. */
static void damage_all(uint64_t *random) {
    char folder[128];
    char path[512];
    (void)snprintf(folder, sizeof(folder), "%s/snapshots", help_folder);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    unsigned count = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        int fd = open(path, O_RDWR);
        off_t size = lseek(fd, 0, SEEK_END);
        off_t at = (off_t)help_below(random, (uint32_t)size);
        uint8_t byte = 0;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_int_equal(close(fd), 0);
        count++;
    }
    assert_true(count > 1);
    assert_int_equal(closedir(dir), 0);
}

static void damage_costs_time_only(void **state) {
    (void)state;
    struct story *story = story_begin(9);
    travel_again(story, 40);
    fill(story, 500, 20, true);
    (void)check(story, BY_POSITION, story->count);
    assert_true(check(story, BY_POSITION, 400));
    sp_travel_close(story->travel);
    damage_all(&story->random);
    travel_begin(story, 40);
    (void)check_many(story);
    assert_true(story->said > 0);
    story_end(story);
}

/* A question about one run reads its events alone, whatever is kept. */
static void a_restricted_state_reads_its_events_alone(void **state) {
    (void)state;
    struct story *story = story_begin(11);
    travel_again(story, 40);
    fill(story, EVENTS, 30, false);
    (void)check(story, BY_POSITION, story->count);
    for (unsigned run = 0; run < 5; run++) {
        char text[16];
        char moment[SP_TIME_TEXT_SIZE];
        struct sp_error error;
        struct sp_travel_state found;
        struct tallied tallied;
        struct tallied wanted = {.done = 0};
        uint64_t count = 0;
        uint64_t until = random_moment(story, BY_OWN_TIME);
        for (uint64_t i = 0; i < story->count; i++) {
            if (story->noted[i].run == run && story->noted[i].time_us <= until) {
                add(&wanted, &story->noted[i]);
            }
            count += story->noted[i].run == run ? 1 : 0;
        }
        (void)snprintf(text, sizeof(text), "run-%u", run);
        moment_text(BY_OWN_TIME, until, moment);
        const struct sp_travel_ask asked = {.definition = story->definition,
                                            .query = {.correlation = sp_str_from(text)},
                                            .until = sp_str_from(moment)};
        bus_ok(sp_travel_ask(story->travel, &asked, &found, &error), &error);
        assert_false(found.from_snapshot);
        assert_true(found.read <= count);
        look(found.build, &tallied);
        same(&tallied, &wanted);
        found.build->ops->close(found.build);
    }
    story_end(story);
}

static sp_status try(struct story *story, const char *until, struct sp_travel_ask *asked,
                     struct sp_error *error) {
    struct sp_travel_state found;
    asked->definition = story->definition;
    asked->until = sp_str_from(until);
    sp_error_clear(error);
    sp_status status = sp_travel_ask(story->travel, asked, &found, error);
    if (status == SP_OK) {
        found.build->ops->close(found.build);
    }
    return status;
}

static void what_cannot_be_told_is_said(void **state) {
    (void)state;
    struct story *story = story_begin(13);
    struct sp_travel_ask asked = {.by_recorded = false};
    struct sp_error error;
    fill(story, 50, 1, false);
    assert_int_equal(try(story, "last tuesday", &asked, &error), SP_INVALID);
    assert_non_null(strstr(error.text, "last tuesday"));
    asked.query.filter = SP_STR("{");
    assert_int_equal(try(story, "now", &asked, &error), SP_INVALID);
    asked.query.filter = (sp_str){.ptr = NULL};
    _Atomic bool stop = true;
    asked.stop = &stop;
    assert_int_equal(try(story, "now", &asked, &error), SP_CANCELLED);
    asked.stop = NULL;
    put(story, "task.poison", 1, 1, 0, 1);
    fill(story, 5, 1, false);
    assert_int_equal(try(story, "50", &asked, &error), SP_OK);
    assert_int_equal(try(story, "52", &asked, &error), SP_FAILED);
    assert_non_null(strstr(error.text, "event 51"));
    asked.timeout_ms = 5;
    story->clock_step_ns = 10000000;
    assert_int_equal(try(story, "50", &asked, &error), SP_TIMEOUT);
    story_end(story);
}

static void a_moment_in_the_future_is_told(void **state) {
    (void)state;
    struct story *story = story_begin(15);
    fill(story, 50, 1, false);
    struct sp_travel_state found = ask(story, BY_POSITION, 1000);
    assert_true(found.cut.in_future);
    assert_int_equal(found.cut.position, 50);
    found.build->ops->close(found.build);
    found = ask(story, BY_POSITION, 50);
    assert_false(found.cut.in_future);
    found.build->ops->close(found.build);
    found = ask(story, BY_OWN_TIME, story->help.wall_us + 1000000);
    assert_true(found.cut.in_future && found.cut.by_time);
    found.build->ops->close(found.build);
    story_end(story);
}

/*
 * ---- differences
 * ----------------------------------------------------------------------------------
 */

struct changes {
    struct tallied before; /* of the rows told; then turned into those after */
    unsigned changed;
    unsigned added;
    unsigned removed;
};

static bool on_change(void *context, const struct sp_difference *difference) {
    struct changes *changes = context;
    bool tally = sp_str_eq(difference->table, SP_STR("tally"));
    assert_true(tally || sp_str_eq(difference->table, SP_STR("done")));
    assert_int_equal(difference->column_count, tally ? 3 : 2);
    changes->changed += difference->change == SP_CHANGE_CHANGED ? 1 : 0;
    changes->added += difference->change == SP_CHANGE_ADDED ? 1 : 0;
    changes->removed += difference->change == SP_CHANGE_REMOVED ? 1 : 0;
    const struct sp_sql_value *row =
        difference->after != NULL ? difference->after : difference->before;
    if (tally) {
        assert_true(difference->is_key[0] && !difference->is_key[1]);
        unsigned source = (unsigned)(row[0].text.ptr[6] - '0');
        if (difference->before != NULL) {
            assert_int_equal(changes->before.n[source], difference->before[1].integer);
            assert_int_equal(changes->before.total[source], difference->before[2].integer);
        }
        changes->before.n[source] = difference->after != NULL ? (uint64_t)row[1].integer : 0;
        changes->before.total[source] = difference->after != NULL ? (uint64_t)row[2].integer : 0;
    } else {
        assert_true(difference->before == NULL || difference->after == NULL);
        uint64_t position = (uint64_t)row[0].integer;
        changes->before.done += difference->after != NULL ? 1 : UINT64_MAX;
        changes->before.done_sum += difference->after != NULL ? position : -position;
    }
    return true;
}

/* One state and what differs make the other one. */
static void a_difference_leads_from_one_state_to_the_other(void **state) {
    (void)state;
    struct story *story = story_begin(17);
    fill(story, 400, 1, false);
    for (int i = 0; i < 30; i++) {
        struct sp_error error;
        struct changes changes = {.changed = 0};
        uint64_t a = help_below(&story->random, 401);
        uint64_t b = i == 0 ? a : help_below(&story->random, 401);
        struct sp_travel_state before = ask(story, BY_POSITION, a);
        struct sp_travel_state after = ask(story, BY_POSITION, b);
        changes.before = fold_by_hand(story, BY_POSITION, a);
        bus_ok(
            sp_difference_walk(before.build, after.build, SP_STR(""), on_change, &changes, &error),
            &error);
        struct tallied wanted = fold_by_hand(story, BY_POSITION, b);
        same(&changes.before, &wanted);
        assert_true(a != b || changes.changed + changes.added + changes.removed == 0);
        assert_true(a <= b || changes.added == 0);
        assert_true(b <= a || changes.removed == 0);
        assert_int_equal(sp_difference_walk(before.build, after.build, SP_STR("nothing"), on_change,
                                            &changes, &error),
                         SP_NOT_FOUND);
        before.build->ops->close(before.build);
        after.build->ops->close(after.build);
    }
    story_end(story);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, help_begin, help_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_state_is_the_fold_of_what_counts),
        IN_FOLDER(followers_leave_snapshots),
        IN_FOLDER(damage_costs_time_only),
        IN_FOLDER(a_restricted_state_reads_its_events_alone),
        IN_FOLDER(what_cannot_be_told_is_said),
        IN_FOLDER(a_moment_in_the_future_is_told),
        IN_FOLDER(a_difference_leads_from_one_state_to_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
