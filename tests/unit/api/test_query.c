/*
 * Queries: every condition alone and with others, forwards and backwards, within ranges of all
 * kinds, against a naive look at all events; over events in memory, in raw and in sealed segments.
 */
#include "helper.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SMALL = 256 << 10, EVENTS = 12000 };

static spoor *store;
static struct help_copies all;

static int begin(void **state) {
    if (help_begin(state) != 0) {
        return -1;
    }
    store = help_open_small(SPOOR_CREATE, SMALL);
    help_fill(store, 42, EVENTS);
    help_seal(store);
    if (!help_is_remote() && help_info(store).segments_sealed < 3) {
        return -1;
    }
    all = help_read(store, NULL);
    return all.count == EVENTS ? 0 : -1;
}

static int end(void **state) {
    help_copies_free(&all);
    spoor_close(store);
    return help_end_all(state);
}

/*
 * ---- the naive way
 * --------------------------------------------------------------------------------
 */

static unsigned number_of(const spoor_event *event) {
    return (unsigned)strtoul(event->data.ptr + strlen("{\"n\":"), NULL, 10);
}

static int has_priority(const spoor_event *event, const char *priority) {
    char text[200];
    char piece[40];
    (void)snprintf(text, sizeof(text), "%.*s", (int)event->data.len, event->data.ptr);
    (void)snprintf(piece, sizeof(piece), "\"priority\":\"%s\"", priority);
    return strstr(text, piece) != NULL;
}

static int any_of(const spoor_event *event) {
    (void)event;
    return 1;
}

static int small_number(const spoor_event *event) {
    return number_of(event) < 100;
}

static int at_least_high(const spoor_event *event) {
    return has_priority(event, "high") || has_priority(event, "critical");
}

static int odd_source(const spoor_event *event) {
    return at_least_high(event) && help_is(event->source, "agent:3");
}

static int bridge(const spoor_event *event) {
    return (has_priority(event, "low") || has_priority(event, "high")) && event->type.len >= 5 &&
           memcmp(event->type.ptr, "task.", 5) == 0;
}

static const struct {
    const char *json;
    int (*matches)(const spoor_event *event);
} FILTERS[] = {
    {NULL, any_of},
    {"{\"data.n\": {\"$lt\": 100}}", small_number},
    {"{\"data.priority\": {\"$gte\": \"high\"}}", at_least_high},
    {"{\"payload.priority\": {\"$gte\": \"high\"}, \"source\": \"agent:3\"}", odd_source},
    {"{\"data\": {\"priority\": [\"low\", \"high\"]}, \"type\": [{\"prefix\": \"task.\"}]}",
     bridge},
};

static int type_any(const spoor_event *event) {
    (void)event;
    return 1;
}

static int starts(const spoor_event *event, const char *text) {
    return event->type.len >= strlen(text) && memcmp(event->type.ptr, text, strlen(text)) == 0;
}

static int type_exact(const spoor_event *event) {
    return help_is(event->type, "task.failed");
}

static int type_star(const spoor_event *event) {
    return starts(event, "task.");
}

static int type_middle(const spoor_event *event) {
    return help_is(event->type, "agent.a.memory");
}

static int type_hash(const spoor_event *event) {
    return starts(event, "agent.");
}

static int type_more(const spoor_event *event) {
    return starts(event, "tool.");
}

static int type_two(const spoor_event *event) {
    return help_is(event->type, "code") || help_is(event->type, "tool.called");
}

static int type_none(const spoor_event *event) {
    (void)event;
    return 0;
}

static const struct {
    const char *patterns[2];
    size_t count;
    int (*matches)(const spoor_event *event);
} TYPES[] = {
    {{NULL}, 0, type_any},
    {{"task.failed"}, 1, type_exact},
    {{"task.*"}, 1, type_star},
    {{"agent.*.memory"}, 1, type_middle},
    {{"agent.#"}, 1, type_hash},
    {{"tool.>"}, 1, type_more},
    {{"code", "tool.called"}, 2, type_two},
    {{"#"}, 1, type_any},
    {{"nothing.like.this"}, 1, type_none},
};

enum { TYPE_COUNT = sizeof(TYPES) / sizeof(TYPES[0]) };
enum { FILTER_COUNT = sizeof(FILTERS) / sizeof(FILTERS[0]) };

/* A query and what only the naive way needs to know of it. */
struct question {
    spoor_query query;
    size_t type;
    size_t filter;
    uint64_t first; /* positions that from and until come to */
    uint64_t last;
};

static int text_matches(const char *wanted, spoor_str found) {
    return wanted == NULL || help_is(found, wanted);
}

static int matches(const struct question *question, const spoor_event *event) {
    const spoor_query *query = &question->query;
    return event->position >= question->first && event->position <= question->last &&
           text_matches(query->source, event->source) &&
           text_matches(query->stream, event->stream) &&
           text_matches(query->correlation, event->correlationid) &&
           event->version >= query->from_version && TYPES[question->type].matches(event) &&
           FILTERS[question->filter].matches(event);
}

static struct question question_new(void) {
    struct question question = {.first = 1, .last = EVENTS};
    spoor_query query = SPOOR_QUERY_INIT;
    question.query = query;
    return question;
}

/* Asks the store, and compares with the naive answer event by event. */
static size_t ask(struct question *question) {
    spoor_query *query = &question->query;
    query->types = TYPES[question->type].patterns;
    query->type_count = TYPES[question->type].count;
    query->filter = FILTERS[question->filter].json;
    struct help_copies found = help_read(store, query);
    size_t at = 0;
    for (size_t i = 0; i < all.count && (query->limit == 0 || at < query->limit); i++) {
        const spoor_event *event = &all.items[query->reverse ? all.count - 1 - i : i].event;
        if (matches(question, event)) {
            if (at == found.count) {
                fail_msg("event %llu is missing", (unsigned long long)event->position);
            }
            help_same_event(&found.items[at++].event, event);
        }
    }
    assert_int_equal(found.count, at);
    help_copies_free(&found);
    return at;
}

/* Forwards, backwards, and cut by limits. */
static void ask_all_ways(struct question *question) {
    size_t total = ask(question);
    question->query.reverse = 1;
    assert_int_equal(ask(question), total);
    question->query.limit = 1 + total / 3;
    (void)ask(question);
    question->query.reverse = 0;
    (void)ask(question);
    question->query.limit = 0;
}

/*
 * ---- conditions
 * -----------------------------------------------------------------------------------
 */

static void test_each_type_pattern(void **state) {
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct question question = question_new();
        question.type = i;
        ask_all_ways(&question);
    }
}

static void test_each_filter(void **state) {
    (void)state;
    for (size_t i = 0; i < FILTER_COUNT; i++) {
        struct question question = question_new();
        question.filter = i;
        ask_all_ways(&question);
    }
}

static void test_source_stream_and_correlation(void **state) {
    (void)state;
    static const char *const sources[] = {"agent:0", "agent:6", "nobody"};
    static const char *const streams[] = {"stream-0", "stream-299", "nobody"};
    static const char *const runs[] = {"run-0", "run-77", "run-4999", "nobody"};
    for (size_t i = 0; i < 3; i++) {
        struct question question = question_new();
        question.query.source = sources[i];
        ask_all_ways(&question);
        question = question_new();
        question.query.stream = streams[i];
        ask_all_ways(&question);
        question.query.from_version = 10;
        ask_all_ways(&question);
    }
    for (size_t i = 0; i < 4; i++) {
        struct question question = question_new();
        question.query.correlation = runs[i];
        ask_all_ways(&question);
    }
}

/* Any conditions with any others, over any range. */
static void test_random_queries(void **state) {
    (void)state;
    uint64_t random = 99;
    char source[24];
    char stream[24];
    char run[24];
    char from[24];
    char until[24];
    for (int i = 0; i < 300; i++) {
        struct question question = question_new();
        spoor_query *query = &question.query;
        (void)snprintf(source, sizeof(source), "agent:%u", help_below(&random, 8));
        (void)snprintf(stream, sizeof(stream), "stream-%u", help_below(&random, 310));
        (void)snprintf(run, sizeof(run), "run-%u", help_below(&random, 12));
        query->source = help_below(&random, 3) == 0 ? source : NULL;
        query->stream = help_below(&random, 4) == 0 ? stream : NULL;
        query->correlation = help_below(&random, 4) == 0 ? run : NULL;
        query->from_version = query->stream != NULL ? help_below(&random, 30) : 0;
        question.type = help_below(&random, 2) == 0 ? help_below(&random, TYPE_COUNT) : 0;
        question.filter = help_below(&random, 3) == 0 ? help_below(&random, FILTER_COUNT) : 0;
        if (help_below(&random, 2) == 0) {
            question.first = help_below(&random, EVENTS + 100);
            (void)snprintf(from, sizeof(from), "%llu", (unsigned long long)question.first);
            query->from = from;
        }
        if (help_below(&random, 2) == 0) {
            question.last = help_below(&random, EVENTS + 100);
            (void)snprintf(until, sizeof(until), "%llu", (unsigned long long)question.last);
            query->until = until;
        }
        query->reverse = (int)help_below(&random, 2);
        query->limit = help_below(&random, 2) == 0 ? help_below(&random, 50) : 0;
        (void)ask(&question);
    }
}

/*
 * ---- ranges
 * ---------------------------------------------------------------------------------------
 */

static void time_text(uint64_t us, char text[40]) {
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    (void)gmtime_r(&seconds, &parts);
    size_t len = strftime(text, 40, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text + len, 40 - len, ".%06uZ", (unsigned)(us % 1000000));
}

static void test_ranges_by_entry_id(void **state) {
    (void)state;
    for (size_t i = 0; i < EVENTS; i += 397) {
        char entry[40];
        const spoor_event *event = &all.items[i].event;
        (void)snprintf(entry, sizeof(entry), "%llu-%u", (unsigned long long)event->entry_ms,
                       event->entry_seq);
        struct question question = question_new();
        question.query.from = entry;
        question.first = event->position;
        question.query.limit = 5;
        (void)ask(&question);
        question = question_new();
        question.query.until = entry;
        question.last = event->position;
        question.query.limit = 5;
        question.query.reverse = 1;
        (void)ask(&question);
    }
    struct question question = question_new();
    question.query.from = "0-0";
    question.query.until = "99999999999999-0";
    assert_int_equal(ask(&question), EVENTS);
    question.query.until = "0-0";
    question.last = 0;
    assert_int_equal(ask(&question), 0);
}

static void test_ranges_by_time(void **state) {
    (void)state;
    for (size_t i = 0; i < EVENTS; i += 397) {
        char text[40];
        uint64_t us = all.items[i].event.recorded_us;
        uint64_t first = all.items[i].event.position;
        uint64_t last = first;
        while (first > 1 && all.items[first - 2].event.recorded_us == us) {
            first--;
        }
        while (last < EVENTS && all.items[last].event.recorded_us == us) {
            last++;
        }
        time_text(us, text);
        struct question question = question_new();
        question.query.from = text;
        question.first = first;
        question.query.limit = 5;
        (void)ask(&question);
        question = question_new();
        question.query.until = text;
        question.last = last;
        question.query.limit = 5;
        question.query.reverse = 1;
        (void)ask(&question);
    }
}

static void test_ranges_relative_to_now(void **state) {
    (void)state;
    struct question question = question_new();
    question.query.from = "-10m";
    assert_int_equal(ask(&question), EVENTS);
    question.query.until = "now";
    assert_int_equal(ask(&question), EVENTS);
    question.query.until = "-10m";
    question.last = 0;
    assert_int_equal(ask(&question), 0);
    question = question_new();
    question.query.from = "now";
    question.first = EVENTS + 1;
    assert_int_equal(ask(&question), 0);
    question.query.from = "2100-01-01T00:00:00Z";
    assert_int_equal(ask(&question), 0);
    question.query.from = "999999999";
    assert_int_equal(ask(&question), 0);
    question = question_new();
    question.query.until = "1970-01-01T00:00:00Z";
    question.last = 0;
    assert_int_equal(ask(&question), 0);
    question.query.until = "0";
    assert_int_equal(ask(&question), 0);
}

/*
 * ---- what is refused
 * ------------------------------------------------------------------------------
 */

static void refuse(spoor_query query, spoor_status expected, const char *piece) {
    spoor_cursor *cursor = NULL;
    spoor_error error;
    spoor_status status = spoor_read(store, &query, &cursor, &error);
    help_refused(status, &error, expected, piece);
    assert_null(cursor);
}

static void test_refusals(void **state) {
    (void)state;
    static const char *const bad[] = {"a.*.*b c"};
    static const char *const tail[] = {"a.>.b"};
    const spoor_query fresh = SPOOR_QUERY_INIT;
    spoor_query query = fresh;
    query.types = bad;
    query.type_count = 1;
    refuse(query, SPOOR_INVALID, "type");
    query.types = tail;
    refuse(query, SPOOR_INVALID, "type");
    query = fresh;
    query.filter = "{\"data.n\": {\"$nope\": 1}}";
    refuse(query, SPOOR_INVALID, "filter");
    query.filter = "{";
    refuse(query, SPOOR_INVALID, "filter");
    query = fresh;
    query.from = "last week";
    refuse(query, SPOOR_INVALID, "from");
    query = fresh;
    query.until = "";
    refuse(query, SPOOR_INVALID, "until");
    query = fresh;
    query.from_version = 3;
    refuse(query, SPOOR_INVALID, "stream");
    query = fresh;
    query.size = 1;
    refuse(query, SPOOR_INVALID, "SPOOR_QUERY_INIT");
    query = fresh;
    spoor_cursor *cursor = NULL;
    spoor_error error;
    query.until = "now";
    help_refused(spoor_subscribe(store, &query, &cursor, &error), &error, SPOOR_INVALID, "until");
    query = fresh;
    query.reverse = 1;
    help_refused(spoor_subscribe(store, &query, &cursor, &error), &error, SPOOR_INVALID, "reverse");
}

/*
 * ---- others
 * ---------------------------------------------------------------------------------------
 */

/* A read is of its moment: what comes later is not in it, whatever the order. */
static void test_a_read_is_of_its_moment(void **state) {
    (void)state;
    spoor_cursor *cursors[2] = {NULL, NULL};
    spoor_query query = SPOOR_QUERY_INIT;
    spoor_error error;
    help_ok(spoor_read(store, &query, &cursors[0], &error), &error);
    query.source = "agent:1";
    query.reverse = 1;
    help_ok(spoor_read(store, &query, &cursors[1], &error), &error);
    (void)help_put(store, "late", "agent:1", NULL);
    for (int i = 0; i < 2; i++) {
        struct help_copies found = help_drain(cursors[i]);
        assert_true(found.count > 0);
        for (size_t k = 0; k < found.count; k++) {
            assert_true(found.items[k].event.position <= EVENTS);
        }
        help_copies_free(&found);
    }
}

/* The hash of an event is the same wherever it is read, and no two events have one. */
static void test_hashes(void **state) {
    (void)state;
    uint8_t forward[4][32];
    spoor_query query = SPOOR_QUERY_INIT;
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    spoor_error error;
    query.limit = 4;
    query.from = "100";
    help_ok(spoor_read(store, &query, &cursor, &error), &error);
    help_refused(spoor_event_hash(cursor, forward[0], &error), &error, SPOOR_INVALID, NULL);
    for (int i = 0; i < 4; i++) {
        help_ok(spoor_next(cursor, 0, &event, &error), &error);
        help_ok(spoor_event_hash(cursor, forward[i], &error), &error);
        assert_true(i == 0 || memcmp(forward[i], forward[i - 1], 32) != 0);
    }
    spoor_cursor_close(cursor);
    query.from = NULL;
    query.until = "103";
    query.reverse = 1;
    help_ok(spoor_read(store, &query, &cursor, &error), &error);
    for (int i = 3; i >= 0; i--) {
        uint8_t hash[32];
        help_ok(spoor_next(cursor, 0, &event, &error), &error);
        help_ok(spoor_event_hash(cursor, hash, &error), &error);
        assert_memory_equal(hash, forward[i], 32);
    }
    spoor_cursor_close(cursor);
}

/* The same answers from what is found when the folder is opened again. */
static void test_after_opening_again(void **state) {
    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        spoor_close(store);
        store = help_open_small(pass == 0 ? 0 : SPOOR_READ_ONLY, SMALL);
        struct question question = question_new();
        question.query.until = "12000";
        ask_all_ways(&question);
        question.query.source = "agent:2";
        question.type = 2;
        ask_all_ways(&question);
        question.query.source = NULL;
        question.query.correlation = "run-3";
        ask_all_ways(&question);
    }
    spoor_close(store);
    store = help_open_small(0, SMALL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_type_pattern),
        cmocka_unit_test(test_each_filter),
        cmocka_unit_test(test_source_stream_and_correlation),
        cmocka_unit_test(test_random_queries),
        cmocka_unit_test(test_ranges_by_entry_id),
        cmocka_unit_test(test_ranges_by_time),
        cmocka_unit_test(test_ranges_relative_to_now),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_after_opening_again),
        cmocka_unit_test(test_a_read_is_of_its_moment),
    };
    return cmocka_run_group_tests_name("query", tests, begin, end);
}
