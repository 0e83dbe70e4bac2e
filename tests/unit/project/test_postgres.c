/* The PostgreSQL sink, on a server of its own: builds, batches, swaps, and what goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres_server.h"
#include "project/postgres.h"

static struct postgres_server server;
static unsigned schemas; /* each test has one of its own */

struct world {
    char url[640];
    char schema[24];
    struct sp_sink *sink;
    struct sp_definition *definition;
    struct sp_build *build;
    struct sp_error error;
};

static const char COUNTS[] =
    "-- spoor: projection counts version 1\n"
    "CREATE TABLE counts (name TEXT PRIMARY KEY, n BIGINT NOT NULL, last TEXT);\n"
    "-- spoor: on count.*\n"
    "INSERT INTO counts (name, n, last) VALUES (:source, CAST(:data ->> 'n' AS BIGINT), :note)\n"
    "ON CONFLICT (name) DO UPDATE SET n = counts.n + excluded.n, last = excluded.last;\n"
    "-- spoor: on divide\n"
    "INSERT INTO counts (name, n) VALUES (:source, 100);\n"
    "UPDATE counts SET n = n / CAST(:data ->> 'n' AS BIGINT) WHERE name = :source;\n";

static struct sp_definition *parse(const char *text) {
    struct sp_definition *definition = NULL;
    struct sp_error error = {0};
    if (sp_definition_parse(sp_str_from(text), &definition, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    return definition;
}

#define OK(call, world)                                                                            \
    do {                                                                                           \
        if ((call) != SP_OK) {                                                                     \
            fail_msg("%s: %s", #call, (world)->error.text);                                        \
        }                                                                                          \
    } while (0)

static struct sp_postgres_options options_of(const struct world *world) {
    return (struct sp_postgres_options){
        .url = sp_str_from(world->url), .uuid = {1, 2, 3}, .clock = sp_clock_system()};
}

static void open_sink(struct world *world) {
    struct sp_postgres_options options = options_of(world);
    OK(sp_postgres_sink_open(&options, &world->sink, &world->error), world);
}

static void open_build(struct world *world, uint64_t number) {
    OK(world->sink->ops->open(world->sink, world->definition, number, &world->build, &world->error),
       world);
}

static void begin_world(struct world *world, const char *text) {
    *world = (struct world){0};
    (void)snprintf(world->schema, sizeof(world->schema), "test%u", ++schemas);
    (void)snprintf(world->url, sizeof(world->url), "%s&schema=%s", server.url, world->schema);
    world->definition = parse(text);
    open_sink(world);
    open_build(world, 1);
}

static void end_world(struct world *world) {
    if (world->build != NULL) {
        world->build->ops->close(world->build);
    }
    if (world->sink != NULL) {
        world->sink->ops->close(world->sink);
    }
    sp_definition_unref(world->definition);
}

/* `clause` of the definition, for one event. */
static sp_status apply_note(struct world *world, uint64_t position, uint16_t clause,
                            const char *source, const char *data, sp_str note) {
    struct sp_event event = {.position = position,
                             .version = position,
                             .recorded_us = 1700000000000000 + position,
                             .has_data = data != NULL,
                             .data_is_json = data != NULL,
                             .data = sp_str_from(data)};
    event.attr[SP_ATTR_TYPE] = SP_STR("count.up");
    event.attr[SP_ATTR_SOURCE] = sp_str_from(source);
    event.attr[SP_ATTR_STREAM] = sp_str_from(source);
    event.attr[SP_ATTR_ID] = SP_STR("id");
    if (note.ptr != NULL) {
        event.extension_count = 1;
        event.extensions[0] = (struct sp_extension){.name = SP_STR("note"), .value = note};
    }
    return world->build->ops->apply(world->build, &event, &clause, 1, &world->error);
}

static sp_status apply(struct world *world, uint64_t position, uint16_t clause, const char *source,
                       const char *data) {
    return apply_note(world, position, clause, source, data, (sp_str){0});
}

static void begin_batch(struct world *world) {
    OK(world->build->ops->begin(world->build, &world->error), world);
}

static void commit_batch(struct world *world, uint64_t position) {
    OK(world->build->ops->commit(world->build, position, &world->error), world);
}

static const char *psql(const struct world *world, const char *format) {
    char sql[2048];
    size_t length = 0;
    for (; *format != '\0'; format++) { /* `@` stands for the test's schema */
        int wrote = *format == '@'
                        ? snprintf(sql + length, sizeof(sql) - length, "%s", world->schema)
                        : snprintf(sql + length, sizeof(sql) - length, "%c", *format);
        length += (size_t)wrote;
        assert_true(length < sizeof(sql));
    }
    return postgres_server_psql(&server, sql);
}

static const char ROWS[] = "SELECT name, n FROM @_1_counts.counts ORDER BY name COLLATE \"C\"";

/* ---- builds ---- */

struct listing {
    struct sp_build_state states[8];
    size_t count;
};

static bool keep_state(void *context, const struct sp_build_state *state) {
    struct listing *listing = context;
    assert_true(listing->count < 8);
    listing->states[listing->count++] = *state;
    return true;
}

static struct listing list(struct world *world) {
    struct listing listing = {0};
    OK(world->sink->ops->builds(world->sink, keep_state, &listing, &world->error), world);
    return listing;
}

static void a_build_is_made_and_found_again(void **state) {
    (void)state;
    struct world world;
    begin_world(&world, COUNTS);
    begin_batch(&world);
    OK(apply(&world, 3, 0, "anna", "{\"n\": 2}"), &world);
    commit_batch(&world, 7);
    world.build->ops->close(world.build);
    world.sink->ops->close(world.sink);
    open_sink(&world);
    struct listing listing = list(&world);
    assert_int_equal(listing.count, 1);
    assert_string_equal(listing.states[0].name, "counts");
    assert_int_equal(listing.states[0].number, 1);
    assert_int_equal(listing.states[0].version, 1);
    assert_int_equal(listing.states[0].position, 7);
    assert_int_equal(listing.states[0].applied, 1);
    assert_false(listing.states[0].current);
    assert_memory_equal(listing.states[0].sha256, world.definition->sha256, 32);
    open_build(&world, 1);
    struct sp_build_state now;
    world.build->ops->state(world.build, &now);
    assert_int_equal(now.position, 7);
    begin_batch(&world);
    OK(apply(&world, 8, 0, "anna", "{\"n\": 3}"), &world);
    commit_batch(&world, 8);
    assert_string_equal(psql(&world, ROWS), "\"anna|5\"");
    end_world(&world);
}

static void another_text_is_refused(void **state) {
    (void)state;
    struct world world;
    begin_world(&world, COUNTS);
    world.build->ops->close(world.build);
    world.build = NULL;
    struct sp_definition *other = parse("-- spoor: projection counts version 2\n"
                                        "CREATE TABLE counts (name TEXT);\n"
                                        "-- spoor: on a\nDELETE FROM counts;\n");
    assert_int_equal(world.sink->ops->open(world.sink, other, 1, &world.build, &world.error),
                     SP_CONFLICT);
    sp_definition_unref(other);
    end_world(&world);
}

static void check_refused(const char *text, sp_status wanted, const char *part) {
    struct world world = {0};
    (void)snprintf(world.schema, sizeof(world.schema), "test%u", ++schemas);
    (void)snprintf(world.url, sizeof(world.url), "%s&schema=%s", server.url, world.schema);
    world.definition = parse(text);
    open_sink(&world);
    assert_int_equal(
        world.sink->ops->open(world.sink, world.definition, 1, &world.build, &world.error), wanted);
    if (strstr(world.error.text, part) == NULL) {
        fail_msg("'%s' does not say '%s'", world.error.text, part);
    }
    assert_int_equal(list(&world).count, 0); /* nothing half made stays */
    assert_string_equal(psql(&world, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '@_1%'"),
                        "\"0\"");
    end_world(&world);
}

static void wrong_sql_is_told_with_its_place(void **state) {
    (void)state;
    check_refused("-- spoor: projection p version 1\nCREATE TABLE t (a TEXTT);\n"
                  "-- spoor: on a\nDELETE FROM t;\n",
                  SP_INVALID, "line 2, column 19: PostgreSQL: type \"textt\" does not exist");
    check_refused("-- spoor: projection p version 1\nCREATE TABLE t (a TEXT);\n"
                  "-- spoor: on a\nDELETE FROM t\n  WHERE a = :source AND b = :id;\n",
                  SP_INVALID, "line 5, column 25: PostgreSQL: column \"b\" does not exist");
    check_refused("-- spoor: projection p version 1\nCREATE TABLE t (a TEXT);\n"
                  "-- spoor: on a\nUPDATE t SET a = pg_read_file('x');\n",
                  SP_INVALID, "this function reaches outside");
}

/* ---- batches ---- */

static void what_is_rolled_back_leaves_nothing(void **state) {
    (void)state;
    struct world world;
    begin_world(&world, COUNTS);
    begin_batch(&world);
    for (uint64_t i = 1; i <= 2000; i++) {
        OK(apply(&world, i, 0, "anna", "{\"n\": 1}"), &world);
    }
    world.build->ops->rollback(world.build);
    assert_string_equal(psql(&world, ROWS), "\"\"");
    begin_batch(&world);
    for (uint64_t i = 1; i <= 2000; i++) {
        OK(apply(&world, i, 0, i % 2 == 0 ? "anna" : "bert", "{\"n\": 1}"), &world);
    }
    commit_batch(&world, 2000);
    assert_string_equal(psql(&world, ROWS), "\"anna|1000\\nbert|1000\"");
    begin_batch(&world);
    commit_batch(&world, 5000); /* nothing was wanted: only the position moves */
    struct sp_build_state now;
    world.build->ops->state(world.build, &now);
    assert_int_equal(now.position, 5000);
    assert_int_equal(now.applied, 2000);
    assert_int_equal(list(&world).states[0].position, 5000);
    end_world(&world);
}

/* The sink may learn of the failure late, and names the event. */
static void an_event_that_cannot_be_applied_is_named(void **state) {
    (void)state;
    for (uint64_t batch = 10; batch <= 3000; batch += 2990) {
        struct world world;
        begin_world(&world, COUNTS);
        begin_batch(&world);
        sp_status status = SP_OK;
        for (uint64_t i = 1; i <= batch && status == SP_OK; i++) {
            status = i == 5 ? apply(&world, i, 1, "zero", "{\"n\": 0}")
                            : apply(&world, i, 0, "anna", "{\"n\": 1}");
        }
        status =
            status == SP_OK ? world.build->ops->commit(world.build, batch, &world.error) : status;
        assert_int_equal(status, SP_INVALID);
        assert_int_equal(world.error.offset, 5);
        assert_non_null(strstr(world.error.text, "line 8, column 1: PostgreSQL: division by zero"));
        world.build->ops->rollback(world.build);
        begin_batch(&world);
        for (uint64_t i = 1; i < 5; i++) {
            OK(apply(&world, i, 0, "anna", "{\"n\": 1}"), &world);
        }
        commit_batch(&world, 4);
        assert_string_equal(psql(&world, ROWS), "\"anna|4\"");
        OK((world.build->ops->fail)(world.build, 5, SP_STR("poison"), "division by zero",
                                    &world.error),
           &world);
        struct sp_build_state told = list(&world).states[0];
        assert_true(told.failed);
        assert_int_equal(told.position, 4);
        assert_int_equal(told.failed_position, 5);
        assert_string_equal(told.failed_id, "poison");
        assert_string_equal(told.failed_text, "division by zero");
        OK(world.build->ops->resume(world.build, &world.error), &world);
        assert_false(list(&world).states[0].failed);
        end_world(&world);
    }
}

/* A constraint that is looked at last speaks of no event: the caller finds out which one it was. */
static void what_commit_refuses_is_of_some_event(void **state) {
    (void)state;
    struct world world;
    begin_world(&world, "-- spoor: projection counts version 1\n"
                        "CREATE TABLE counts (name TEXT PRIMARY KEY, n BIGINT UNIQUE DEFERRABLE "
                        "INITIALLY DEFERRED);\n"
                        "-- spoor: on a\nINSERT INTO counts VALUES (:source, 1);\n");
    begin_batch(&world);
    OK(apply(&world, 1, 0, "anna", NULL), &world);
    OK(apply(&world, 2, 0, "bert", NULL), &world);
    assert_int_equal(world.build->ops->commit(world.build, 2, &world.error), SP_INVALID);
    assert_int_equal(world.error.offset, 0);
    assert_non_null(strstr(world.error.text, "duplicate key"));
    world.build->ops->rollback(world.build);
    begin_batch(&world);
    OK(apply(&world, 1, 0, "anna", NULL), &world);
    commit_batch(&world, 1);
    assert_string_equal(psql(&world, ROWS), "\"anna|1\"");
    end_world(&world);
}

/* It is ended after ten seconds, and is the event's fault. */
static void a_statement_that_never_ends_is_ended(void **state) {
    (void)state;
    struct world world;
    begin_world(&world,
                "-- spoor: projection counts version 1\n"
                "CREATE TABLE counts (n BIGINT);\n"
                "-- spoor: on a\n"
                "INSERT INTO counts WITH RECURSIVE f(i) AS (SELECT 1 UNION ALL SELECT 1 - i "
                "FROM f) SELECT COUNT(*) FROM f;\n");
    begin_batch(&world);
    sp_status status = apply(&world, 7, 0, "anna", NULL);
    status = status == SP_OK ? world.build->ops->commit(world.build, 7, &world.error) : status;
    assert_int_equal(status, SP_INVALID);
    assert_int_equal(world.error.offset, 7);
    assert_non_null(strstr(world.error.text, "line 4, column 1: ran for longer than 10 seconds"));
    world.build->ops->rollback(world.build);
    begin_batch(&world);
    commit_batch(&world, 6);
    end_world(&world);
}

static void what_postgresql_cannot_hold_is_replaced(void **state) {
    (void)state;
    struct world world;
    begin_world(&world, COUNTS);
    begin_batch(&world);
    OK(apply_note(&world, 1, 0, "anna", "{\"n\": 1, \"t\": \"\\u0000 \\\\u0000\"}",
                  sp_str_of("a\0b\xff", 4)),
       &world);
    OK(apply_note(&world, 2, 0, "bert", "{\"n\": 1}", sp_str_of("", 0)), &world);
    OK(apply_note(&world, 3, 0, "carl", "{\"n\": 1}", SP_STR("gr\xc3\xbc\xc3\x9f")), &world);
    commit_batch(&world, 3);
    assert_string_equal(psql(&world, "SELECT encode(convert_to(last, 'UTF8'), 'hex'), last IS NULL"
                                     " FROM @_1_counts.counts ORDER BY name"),
                        "\"61efbfbd62efbfbd|f\\n|f\\n6772c3bcc39f|f\"");
    end_world(&world);
}

/* ---- swaps ---- */

static void swap_to(struct world *world, uint64_t number) {
    OK(world->sink->ops->swap(world->sink, SP_STR("counts"), number, &world->error), world);
}

static void people_see_the_current_build(void **state) {
    (void)state;
    struct world world;
    begin_world(&world, COUNTS);
    begin_batch(&world);
    OK(apply(&world, 1, 0, "anna", "{\"n\": 1}"), &world);
    commit_batch(&world, 1);
    swap_to(&world, 1);
    assert_string_equal(psql(&world, "SELECT * FROM @.counts"), "\"anna|1|\"");
    world.build->ops->close(world.build);
    sp_definition_unref(world.definition);
    world.definition = parse("-- spoor: projection counts version 2\n"
                             "CREATE TABLE counts (total BIGINT);\n"
                             "CREATE VIEW twice AS SELECT 2 * total AS total FROM counts;\n"
                             "INSERT INTO counts VALUES (21);\n"
                             "-- spoor: on a\nDELETE FROM counts;\n");
    open_build(&world, 2);
    swap_to(&world, 2);
    assert_string_equal(psql(&world, "SELECT c.total, t.total FROM @.counts c, @.twice t"),
                        "\"21|42\"");
    struct listing listing = list(&world);
    assert_int_equal(listing.count, 2);
    assert_false(listing.states[0].current);
    assert_true(listing.states[0].retired_us > 0);
    assert_true(listing.states[1].current);
    OK(world.sink->ops->drop(world.sink, SP_STR("counts"), 1, &world.error), &world);
    OK(world.sink->ops->drop(world.sink, SP_STR("counts"), 1, &world.error), &world);
    assert_int_equal(list(&world).count, 1);
    world.build->ops->close(world.build);
    world.build = NULL;
    OK(world.sink->ops->drop(world.sink, SP_STR("counts"), 2, &world.error), &world);
    assert_string_equal(
        psql(&world, "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
                     "WHERE nspname LIKE '@%' AND relkind IN ('r', 'v') AND relname NOT LIKE "
                     "'spoor%'"),
        "\"0\"");
    assert_int_equal(world.sink->ops->swap(world.sink, SP_STR("counts"), 2, &world.error),
                     SP_NOT_FOUND);
    end_world(&world);
}

static void a_name_that_is_taken_is_refused(void **state) {
    (void)state;
    struct world world;
    begin_world(&world, COUNTS);
    (void)psql(&world, "CREATE TABLE @.counts (mine int); INSERT INTO @.counts VALUES (1)");
    assert_int_equal(world.sink->ops->swap(world.sink, SP_STR("counts"), 1, &world.error),
                     SP_CONFLICT);
    assert_non_null(strstr(world.error.text, "has a counts already"));
    assert_string_equal(psql(&world, "SELECT mine FROM @.counts"), "\"1\"");
    assert_false(list(&world).states[0].current);
    end_world(&world);
}

/* ---- others ---- */

static void another_log_is_refused(void **state) {
    (void)state;
    struct world world;
    struct sp_sink *second = NULL;
    begin_world(&world, COUNTS);
    struct sp_postgres_options options = options_of(&world);
    options.uuid[0] = 9;
    assert_int_equal(sp_postgres_sink_open(&options, &second, &world.error), SP_CONFLICT);
    assert_non_null(strstr(world.error.text, "holds read models of another log"));
    options.uuid[0] = 1;
    assert_int_equal(sp_postgres_sink_open(&options, &second, &world.error), SP_BUSY);
    assert_non_null(strstr(world.error.text, "another process fills its read models"));
    options.read_only = true;
    OK(sp_postgres_sink_open(&options, &second, &world.error), &world);
    struct sp_build *build = NULL;
    assert_int_equal(second->ops->open(second, world.definition, 2, &build, &world.error),
                     SP_DENIED);
    second->ops->close(second);
    end_world(&world);
}

static void urls_that_make_no_sense_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *url;
        sp_status status;
        const char *part;
    } CASES[] = {
        {"postgres:///x?schema=Upper", SP_INVALID, "schema=Upper"},
        {"postgres:///x?schema=pg_x", SP_INVALID, "schema=pg_x"},
        {"postgres:///x?colour=red", SP_INVALID, "none that PostgreSQL knows"},
        {"postgres://u:secret@[::1/x", SP_INVALID, "none that PostgreSQL knows"},
        {"postgres:///x?host=/nowhere/at/all", SP_BUSY, "PostgreSQL at /nowhere/at/all"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct sp_sink *sink = NULL;
        struct sp_error error = {0};
        struct sp_postgres_options options = {.url = sp_str_from(CASES[i].url),
                                              .clock = sp_clock_system()};
        assert_true(sp_postgres_is_url(options.url));
        assert_int_equal(sp_postgres_sink_open(&options, &sink, &error), CASES[i].status);
        assert_non_null(strstr(error.text, CASES[i].part));
        assert_null(strstr(error.text, "secret"));
    }
    assert_false(sp_postgres_is_url(SP_STR("sqlite")));
}

/* What somebody else committed is never written over, nor added to. */
static void a_build_that_was_moved_on_is_given_up(void **state) {
    (void)state;
    struct world world;
    begin_world(&world, COUNTS);
    for (int piped = 0; piped < 2; piped++) {
        (void)psql(&world, "UPDATE @.spoor_builds SET position = 50");
        begin_batch(&world);
        if (piped) {
            OK(apply(&world, 1, 0, "anna", "{\"n\": 1}"), &world);
        }
        assert_int_equal(world.build->ops->commit(world.build, 10, &world.error), SP_FAILED);
        world.build->ops->rollback(world.build);
        assert_int_equal(world.build->ops->begin(world.build, &world.error), SP_FAILED);
        assert_string_equal(psql(&world, ROWS), "\"\"");
        world.build->ops->close(world.build);
        (void)psql(&world, "UPDATE @.spoor_builds SET position = 0");
        open_build(&world, 1);
    }
    end_world(&world);
}

static void it_goes_on_when_postgresql_comes_back(void **state) {
    (void)state;
    struct world world;
    begin_world(&world, COUNTS);
    begin_batch(&world);
    OK(apply(&world, 1, 0, "anna", "{\"n\": 1}"), &world);
    commit_batch(&world, 1);
    swap_to(&world, 1); /* waits for the disk, so that what is before it is there after a crash */
    begin_batch(&world);
    OK(apply(&world, 2, 0, "anna", "{\"n\": 1}"), &world);
    (void)postgres_server_ask(&server, "crash");
    sp_status status = SP_OK;
    for (uint64_t i = 3; i < 20000 && status == SP_OK; i++) {
        status = apply(&world, i, 0, "anna", "{\"n\": 1}");
    }
    status = status == SP_OK ? world.build->ops->commit(world.build, 20000, &world.error) : status;
    assert_int_equal(status, SP_BUSY);
    world.build->ops->rollback(world.build);
    assert_int_equal(world.build->ops->begin(world.build, &world.error), SP_BUSY);
    assert_int_equal(world.sink->ops->swap(world.sink, SP_STR("counts"), 1, &world.error), SP_BUSY);
    (void)postgres_server_ask(&server, "start");
    begin_batch(&world);
    OK(apply(&world, 2, 0, "anna", "{\"n\": 1}"), &world);
    commit_batch(&world, 2);
    assert_string_equal(psql(&world, ROWS), "\"anna|2\"");
    swap_to(&world, 1);
    end_world(&world);
}

/* Without libpq there is one thing to test: what is said. */
static void check_unsupported(void) {
    struct sp_sink *sink = NULL;
    struct sp_error error = {0};
    struct sp_postgres_options options = {.url = SP_STR("postgres:///x"),
                                          .clock = sp_clock_system()};
    if (sp_postgres_sink_open(&options, &sink, &error) == SP_UNSUPPORTED) {
        assert_non_null(strstr(error.text, "built without PostgreSQL"));
        print_message("1..0 # SKIP built without libpq\n");
        exit(0);
    }
    assert_null(sink);
}

static int start_server(void **state) {
    (void)state;
    check_unsupported();
    if (!postgres_server_start(&server)) {
        print_message("1..0 # SKIP %s\n", server.answer);
        exit(0);
    }
    return 0;
}

static int stop_server(void **state) {
    (void)state;
    postgres_server_stop(&server);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_build_is_made_and_found_again),
        cmocka_unit_test(another_text_is_refused),
        cmocka_unit_test(wrong_sql_is_told_with_its_place),
        cmocka_unit_test(what_is_rolled_back_leaves_nothing),
        cmocka_unit_test(an_event_that_cannot_be_applied_is_named),
        cmocka_unit_test(what_commit_refuses_is_of_some_event),
        cmocka_unit_test(a_statement_that_never_ends_is_ended),
        cmocka_unit_test(what_postgresql_cannot_hold_is_replaced),
        cmocka_unit_test(people_see_the_current_build),
        cmocka_unit_test(a_name_that_is_taken_is_refused),
        cmocka_unit_test(another_log_is_refused),
        cmocka_unit_test(urls_that_make_no_sense_are_refused),
        cmocka_unit_test(a_build_that_was_moved_on_is_given_up),
        cmocka_unit_test(it_goes_on_when_postgresql_comes_back),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
