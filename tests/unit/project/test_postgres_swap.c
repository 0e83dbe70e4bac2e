/*
 * One build takes another's place again and again while queries run without pause: spoor's own, and
 * people's on the views. None fails, and none sees two builds or half of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres_server.h"
#include "project/postgres.h"
#include "project/query.h"

enum { SWAPS = 40, ROWS = 50 };

static struct postgres_server server;
static atomic_bool over;

/* What one of the asking threads found. */
struct asker {
    pthread_t thread;
    struct sp_sql_reader *reader;
    uint64_t asked;
    long long last; /* the build that it saw last */
    long long builds;
    char problem[512];
};

/* An answer is whole: all rows are of one build, and none is missing. */
static void judge(struct asker *asker, long long least, long long greatest, long long count) {
    if (least != greatest || count != ROWS || least < asker->last) {
        (void)snprintf(asker->problem, sizeof(asker->problem),
                       "builds %lld to %lld, %lld rows, after build %lld", least, greatest, count,
                       asker->last);
    }
    asker->builds += least != asker->last;
    asker->last = least;
    asker->asked++;
}

static bool take_row(void *context, const struct sp_sql_value *values, uint32_t count) {
    (void)count;
    judge(context, values[0].integer, values[1].integer, values[2].integer);
    return true;
}

static const char OWN[] = "SELECT MIN(a.build) AS least, MAX(b.build) AS greatest, COUNT(*) AS n "
                          "FROM ticks a JOIN tocks b ON b.id = a.id";

static void *ask_spoor(void *context) {
    struct asker *asker = context;
    static const struct sp_rows ROWS_OF = {.row = take_row};
    struct sp_sql sql = {.text = sp_str_from(OWN)};
    while (!atomic_load(&over) && asker->problem[0] == '\0') {
        struct sp_error error = {0};
        if (sp_reader_query(asker->reader, &sql, &ROWS_OF, asker, NULL, &error) != SP_OK) {
            (void)snprintf(asker->problem, sizeof(asker->problem), "%s", error.text);
        }
    }
    return NULL;
}

static void *ask_as_people_do(void *context) {
    struct asker *asker = context;
    PGconn *conn = PQconnectdb(server.url);
    PQclear(PQexec(conn, "SET search_path = spoor"));
    while (!atomic_load(&over) && asker->problem[0] == '\0') {
        PGresult *result = PQexec(conn, OWN);
        if (PQresultStatus(result) != PGRES_TUPLES_OK) {
            (void)snprintf(asker->problem, sizeof(asker->problem), "%s", PQerrorMessage(conn));
        } else {
            judge(asker, strtoll(PQgetvalue(result, 0, 0), NULL, 10),
                  strtoll(PQgetvalue(result, 0, 1), NULL, 10),
                  strtoll(PQgetvalue(result, 0, 2), NULL, 10));
        }
        PQclear(result);
    }
    PQfinish(conn);
    return NULL;
}

/* Every third version has other columns, so that views are now replaced and now made anew. */
static struct sp_definition *definition_of(uint64_t number) {
    char text[1024];
    struct sp_definition *definition = NULL;
    struct sp_error error = {0};
    (void)snprintf(
        text, sizeof(text),
        "-- spoor: projection clock version %llu\n"
        "CREATE TABLE ticks (%sid BIGINT PRIMARY KEY, build BIGINT NOT NULL);\n"
        "CREATE TABLE tocks (id BIGINT PRIMARY KEY, build BIGINT NOT NULL);\n"
        "INSERT INTO ticks (id, build) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM"
        " n WHERE i < %d) SELECT i, %llu FROM n;\n"
        "INSERT INTO tocks SELECT id, build FROM ticks;\n"
        "-- spoor: on tick\nUPDATE ticks SET build = build;\n",
        (unsigned long long)number, number % 3 == 0 ? "extra TEXT, " : "", ROWS,
        (unsigned long long)number);
    if (sp_definition_parse(sp_str_from(text), &definition, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    return definition;
}

static void make_current(struct sp_sink *sink, uint64_t number) {
    struct sp_error error = {0};
    struct sp_definition *definition = definition_of(number);
    struct sp_build *build = NULL;
    if (sink->ops->open(sink, definition, number, &build, &error) != SP_OK ||
        sink->ops->swap(sink, SP_STR("clock"), number, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    build->ops->close(build);
    sp_definition_unref(definition);
}

static void swaps_are_one_instant(void **state) {
    (void)state;
    struct sp_sink *sink = NULL;
    struct sp_error error = {0};
    struct asker spoor = {.last = 0};
    struct asker people = {.last = 0};
    struct sp_postgres_options options = {.url = sp_str_from(server.url),
                                          .clock = sp_clock_system()};
    if (sp_postgres_sink_open(&options, &sink, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    make_current(sink, 1);
    assert_int_equal(sink->ops->reader_new(sink, &spoor.reader, &error), SP_OK);
    assert_int_equal(pthread_create(&spoor.thread, NULL, ask_spoor, &spoor), 0);
    assert_int_equal(pthread_create(&people.thread, NULL, ask_as_people_do, &people), 0);
    for (uint64_t number = 2; number <= SWAPS; number++) {
        make_current(sink, number);
        if (number > 3) { /* the grace that the manager gives, in small */
            assert_int_equal(sink->ops->drop(sink, SP_STR("clock"), number - 2, &error), SP_OK);
        }
    }
    sp_sleep_us(200000);
    atomic_store(&over, true);
    assert_int_equal(pthread_join(spoor.thread, NULL), 0);
    assert_int_equal(pthread_join(people.thread, NULL), 0);
    assert_string_equal(spoor.problem, "");
    assert_string_equal(people.problem, "");
    assert_int_equal(spoor.last, SWAPS);
    assert_int_equal(people.last, SWAPS);
    assert_true(spoor.builds > 3 && people.builds > 3); /* they asked in between */
    print_message("asked %llu and %llu times, saw %lld and %lld builds\n",
                  (unsigned long long)spoor.asked, (unsigned long long)people.asked, spoor.builds,
                  people.builds);
    sp_reader_close(spoor.reader);
    sink->ops->close(sink);
}

static int start_server(void **state) {
    (void)state;
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(swaps_are_one_instant)};
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
