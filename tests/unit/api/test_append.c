/* Appends: where events go, what is refused and leaves nothing behind, what is stored once only. */
#include "helper.h"

#include <stdio.h>
#include <stdlib.h>

enum { SMALL = 256 << 10 };

/*
 * ---- places and attributes
 * ------------------------------------------------------------------------
 */

static void test_places(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    static const char *const sources[] = {"a", "b", "a", "a", "b"};
    static const uint64_t versions[] = {1, 1, 2, 3, 2};
    spoor_appended before = {.position = 0};
    for (uint64_t i = 0; i < 5; i++) {
        spoor_appended appended = help_put(store, "t", sources[i], NULL);
        assert_int_equal(appended.position, i + 1);
        assert_int_equal(appended.version, versions[i]);
        assert_int_equal(appended.entry_ms, appended.recorded_us / 1000);
        assert_int_equal(appended.duplicate, 0);
        assert_true(appended.recorded_us >= before.recorded_us);
        assert_true(appended.entry_ms > before.entry_ms || appended.entry_seq > before.entry_seq);
        before = appended;
    }
    assert_int_equal(help_last_position(store), 5);
    assert_int_equal(help_info(store).first_position, 1);
    assert_int_equal(help_info(store).stream_count, 2);
    spoor_close(store);
}

/* What the producer gave comes back byte for byte, what is assigned beside it. */
static void test_everything_comes_back(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    const spoor_extension extensions[] = {
        {spoor_text("attempt"), spoor_text("3"), 1},
        {spoor_text("region"), spoor_text("d\xc3\xbcsseldorf"), 0},
        {spoor_text("flags"), spoor_text("{\"a\": [1, 2]}"), 1},
    };
    spoor_event event = help_event("task.done", "agent:x", "{ \"ok\" : true }");
    event.id = spoor_text("id-1");
    event.stream = spoor_text("task-9");
    event.time = spoor_text("2026-11-20T05:49:12.25+01:00");
    event.correlationid = spoor_text("run 1");
    event.causationid = spoor_text("id-0");
    event.schemaversion = spoor_text("2");
    event.metadata = spoor_text("{\"k\": 1}");
    event.extensions = extensions;
    event.extension_count = 3;
    event.position = 99; /* assigned ones are ignored on input */
    event.version = 99;
    event.recorded_us = 99;
    spoor_appended appended = help_append(store, &event);
    assert_string_equal(appended.id, "");
    struct help_copies copies = help_read(store, NULL);
    assert_int_equal(copies.count, 1);
    event.position = appended.position;
    event.version = appended.version;
    event.recorded_us = appended.recorded_us;
    event.entry_ms = appended.entry_ms;
    event.entry_seq = appended.entry_seq;
    event.data_is_json = 1;
    help_same_event(&copies.items[0].event, &event);
    help_copies_free(&copies);
    spoor_close(store);
}

static void test_defaults(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_appended appended = help_put(store, "t", "agent", NULL);
    struct help_copies copies = help_read(store, NULL);
    const spoor_event *event = &copies.items[0].event;
    assert_true(help_is(event->stream, "agent"));
    assert_true(help_is(event->id, appended.id));
    assert_true(help_is(event->correlationid, appended.id));
    assert_null(event->causationid.ptr);
    assert_null(event->time.ptr);
    assert_null(event->data.ptr);
    assert_null(event->schemaversion.ptr);
    assert_null(event->metadata.ptr);
    assert_int_equal(event->extension_count, 0);
    help_copies_free(&copies);
    spoor_close(store);
}

static void test_data_of_all_kinds(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_event event = help_event("t", "a", "");
    (void)help_append(store, &event); /* data of no bytes is there */
    event.data = spoor_text("no json");
    (void)help_append(store, &event);
    event.data = (spoor_str){"\0\xff", 2};
    (void)help_append(store, &event);
    event.data = spoor_text("null");
    (void)help_append(store, &event);
    event.data = spoor_text("[1]");
    event.datacontenttype = spoor_text("text/plain");
    (void)help_append(store, &event);
    struct help_copies copies = help_read(store, NULL);
    assert_int_equal(copies.count, 5);
    assert_non_null(copies.items[0].event.data.ptr);
    assert_int_equal(copies.items[0].event.data.len, 0);
    static const uint32_t is_json[] = {0, 0, 0, 1, 0};
    for (size_t i = 1; i < 5; i++) {
        assert_int_equal(copies.items[i].event.data_is_json, is_json[i]);
    }
    assert_true(help_is(copies.items[1].event.datacontenttype, "text/plain"));
    assert_true(help_is(copies.items[2].event.datacontenttype, "application/octet-stream"));
    assert_int_equal(copies.items[2].event.data.len, 2);
    assert_memory_equal(copies.items[2].event.data.ptr, "\0\xff", 2);
    help_copies_free(&copies);
    spoor_close(store);
}

/*
 * ---- expectations
 * ---------------------------------------------------------------------------------
 */

static void test_expected_version(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_event event = help_event("t", "agent", NULL);
    spoor_appended appended;
    spoor_error error;
    help_append_refused(store, &event, 1, SPOOR_CONFLICT, "version 0");
    help_ok(spoor_append(store, &event, SPOOR_NO_STREAM, &appended, &error), &error);
    help_append_refused(store, &event, SPOOR_NO_STREAM, SPOOR_CONFLICT, "agent is at version 1");
    help_ok(spoor_append(store, &event, 1, &appended, &error), &error);
    assert_int_equal(appended.version, 2);
    help_append_refused(store, &event, 1, SPOOR_CONFLICT, "version 2");
    help_append_refused(store, &event, 3, SPOOR_CONFLICT, "version 2");
    event.stream = spoor_text("cart");
    help_append_refused(store, &event, 2, SPOOR_CONFLICT, "cart is at version 0");
    help_ok(spoor_append(store, &event, SPOOR_NO_STREAM, NULL, NULL), &error);
    help_ok(spoor_append(store, &event, SPOOR_ANY_VERSION, NULL, NULL), &error);
    char name[1000];
    memset(name, 'n', sizeof(name));
    event.stream = (spoor_str){name, sizeof(name)};
    help_append_refused(store, &event, 7, SPOOR_CONFLICT, "is at version 0, expected 7");
    spoor_close(store);
}

/* Also for streams that the batch does not touch, and NULL where nobody listens. */
static void test_expectations_of_a_batch(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_event events[2] = {help_event("t", "a", NULL), help_event("t", "b", NULL)};
    spoor_expect expects[2] = {{spoor_text("a"), 0}, {spoor_text("lock"), SPOOR_NO_STREAM}};
    spoor_appended appended[2];
    spoor_error error;
    help_ok(spoor_append_batch(store, events, 2, expects, 2, appended, &error), &error);
    assert_int_equal(appended[0].position + 1, appended[1].position);
    expects[0].version = 1;
    (void)help_put(store, "t", "lock", NULL);
    spoor_status status = spoor_append_batch(store, events, 2, expects, 2, appended, &error);
    help_refused(status, &error, SPOOR_CONFLICT, "stream lock is at version 1");
    assert_int_equal(help_last_position(store), 3);
    assert_int_equal(spoor_append_batch(store, events, 2, expects, 2, NULL, NULL), SPOOR_CONFLICT);
    expects[1].version = SPOOR_ANY_VERSION;
    help_ok(spoor_append_batch(store, events, 2, expects, 2, NULL, NULL), &error);
    expects[0] = (spoor_expect){{NULL, 0}, 1};
    status = spoor_append_batch(store, events, 2, expects, 1, NULL, &error);
    help_refused(status, &error, SPOOR_INVALID, "stream");
    spoor_close(store);
}

/*
 * ---- batches
 * --------------------------------------------------------------------------------------
 */

static void test_a_batch_is_all_or_nothing(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_event events[3] = {help_event("t", "a", NULL), help_event("t", "b", NULL),
                             help_event("bad type", "c", NULL)};
    spoor_appended appended[3] = {{.position = 7}};
    spoor_error error;
    spoor_status status = spoor_append_batch(store, events, 3, NULL, 0, appended, &error);
    help_refused(status, &error, SPOOR_INVALID, "event 3");
    assert_int_equal(appended[0].position, 7);
    assert_int_equal(help_last_position(store), 0);
    assert_int_equal(help_count(store, NULL), 0);
    events[2].type = spoor_text("t");
    help_ok(spoor_append_batch(store, events, 3, NULL, 0, appended, &error), &error);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(appended[i].position, i + 1);
        assert_int_equal(appended[i].version, 1);
    }
    spoor_close(store);
}

static void test_a_batch_beyond_a_block(void **state) {
    (void)state;
    enum { COUNT = 6, SIZE = 1 << 20 };
    spoor *store = help_open(SPOOR_CREATE);
    char *data = malloc(SIZE);
    spoor_event events[COUNT];
    spoor_error error;
    assert_non_null(data);
    memset(data, 'x', SIZE);
    for (int i = 0; i < COUNT; i++) {
        events[i] = help_event("t", "a", NULL);
        events[i].data = (spoor_str){data, SIZE - 100};
    }
    spoor_status status = spoor_append_batch(store, events, COUNT, NULL, 0, NULL, &error);
    help_refused(status, &error, SPOOR_LIMIT, "at most");
    assert_int_equal(help_last_position(store), 0);
    help_ok(spoor_append_batch(store, events, 3, NULL, 0, NULL, &error), &error);
    assert_int_equal(help_last_position(store), 3);
    free(data);
    spoor_close(store);
}

/*
 * ---- idempotency
 * ----------------------------------------------------------------------------------
 */

static void expect_duplicate(spoor *store, const char *source, const char *id,
                             const spoor_appended *original) {
    spoor_event event = help_event("another.type", source, "{\"another\": 1}");
    spoor_appended again;
    spoor_error error;
    uint64_t before = help_last_position(store);
    event.id = spoor_text(id);
    /* Also where the expectation no longer holds. */
    help_ok(spoor_append(store, &event, SPOOR_NO_STREAM, &again, &error), &error);
    assert_int_equal(again.duplicate, 1);
    assert_int_equal(again.position, original->position);
    assert_int_equal(again.version, original->version);
    assert_int_equal(again.recorded_us, original->recorded_us);
    assert_int_equal(again.entry_ms, original->entry_ms);
    assert_int_equal(again.entry_seq, original->entry_seq);
    assert_string_equal(again.id, "");
    assert_int_equal(help_last_position(store), before);
}

static const char *const IDS[] = {"plain", "0192d3a0-7e5c-7abc-8def-0123456789ab",
                                  "0192D3A0-7E5C-7ABC-8DEF-0123456789AB", "id with spaces", "1"};
enum { ID_COUNT = sizeof(IDS) / sizeof(IDS[0]) };

static void test_same_source_and_id_is_stored_once(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_appended first[ID_COUNT];
    for (int i = 0; i < ID_COUNT; i++) {
        first[i] = help_put(store, "t", "a", IDS[i]);
        expect_duplicate(store, "a", IDS[i], &first[i]);
    }
    for (int i = 0; i < ID_COUNT; i++) {
        expect_duplicate(store, "a", IDS[i], &first[i]);
        spoor_appended other = help_put(store, "t", "b", IDS[i]); /* another event */
        assert_int_equal(other.duplicate, 0);
        expect_duplicate(store, "a", IDS[i], &first[i]);
        expect_duplicate(store, "b", IDS[i], &other);
    }
    spoor_close(store);
    store = help_open(0);
    for (int i = 0; i < ID_COUNT; i++) {
        expect_duplicate(store, "a", IDS[i], &first[i]);
    }
    spoor_close(store);
}

/* The event that was made without an id is named by the id it was given. */
static void test_a_made_id_is_a_name_like_any(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_appended made = help_put(store, "t", "a", NULL);
    expect_duplicate(store, "a", made.id, &made);
    spoor_close(store);
    store = help_open(0);
    expect_duplicate(store, "a", made.id, &made);
    spoor_close(store);
}

static void test_doubles_within_a_batch(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_appended known = help_put(store, "t", "a", "known");
    static const char *const ids[] = {"x", "known", "x", "y", "x", "y"};
    spoor_event events[7];
    spoor_appended appended[7];
    spoor_error error;
    for (int i = 0; i < 6; i++) {
        events[i] = help_event("t", "a", NULL);
        events[i].id = spoor_text(ids[i]);
    }
    events[6] = help_event("t", "b", NULL);
    events[6].id = spoor_text("x");
    help_ok(spoor_append_batch(store, events, 7, NULL, 0, appended, &error), &error);
    static const uint64_t positions[] = {2, 1, 2, 3, 2, 3, 4};
    static const uint32_t duplicates[] = {0, 1, 1, 0, 1, 1, 0};
    for (int i = 0; i < 7; i++) {
        assert_int_equal(appended[i].position, positions[i]);
        assert_int_equal(appended[i].duplicate, duplicates[i]);
    }
    assert_int_equal(appended[1].version, known.version);
    assert_int_equal(help_last_position(store), 4);
    spoor_close(store);
}

/* What `done` hears, kept. */
struct outcome {
    int calls;
    spoor_status status;
    size_t count;
    spoor_appended appended[4];
    int order; /* among all outcomes of the test */
};

static int outcomes;

static void note(void *context, spoor_status status, const spoor_appended *appended, size_t count,
                 const spoor_error *error) {
    struct outcome *outcome = context;
    (void)error;
    outcome->calls++;
    outcome->status = status;
    outcome->count = count;
    outcome->order = outcomes++;
    for (size_t i = 0; i < count && i < 4; i++) {
        outcome->appended[i] = appended[i];
    }
}

static void submit(spoor *store, const spoor_event *events, size_t count, struct outcome *outcome) {
    spoor_error error;
    memset(outcome, 0, sizeof(*outcome));
    help_ok(spoor_submit(store, events, count, NULL, 0, note, outcome, &error), &error);
}

static void turn_until(spoor *store, const struct outcome *outcome) {
    spoor_error error;
    for (int i = 0; i < 10000 && outcome->calls == 0; i++) {
        spoor_status status = spoor_turn(store, 100, &error);
        assert_true(status == SPOOR_OK || status == SPOOR_TIMEOUT);
    }
    assert_int_equal(outcome->calls, 1);
}

/* The original is submitted and nowhere durable yet: in the open block, or on its way. */
static void test_doubles_of_what_is_under_way(void **state) {
    (void)state;
    enum { BIG = 200 << 10 };
    spoor *store = help_open(SPOOR_CREATE);
    struct outcome outcome[4];
    char *data = malloc(BIG);
    assert_non_null(data);
    memset(data, 'x', BIG);
    spoor_event event = help_event("t", "a", NULL);
    event.id = spoor_text("open");
    submit(store, &event, 1, &outcome[0]);
    submit(store, &event, 1, &outcome[1]);
    event.id = spoor_text("flight");
    event.data = (spoor_str){data, BIG}; /* large enough to be written at once */
    submit(store, &event, 1, &outcome[2]);
    submit(store, &event, 1, &outcome[3]);
    /* Over a server a submit may find that an answer has come; here only a turn looks. */
    assert_true(help_is_remote() || outcome[1].calls == 0);
    for (int i = 0; i < 4; i++) {
        turn_until(store, &outcome[i]);
        assert_int_equal(outcome[i].status, SPOOR_OK);
        assert_int_equal(outcome[i].count, 1);
        assert_int_equal(outcome[i].appended[0].position, 1 + i / 2);
        assert_int_equal(outcome[i].appended[0].duplicate, i % 2);
        assert_int_equal(outcome[i].order, outcome[0].order + i);
    }
    assert_int_equal(help_last_position(store), 2);
    free(data);
    spoor_close(store);
}

/* Originals in sealed segments, in raw ones and in memory, and all of it again after opening. */
static void test_doubles_of_what_is_sealed(void **state) {
    (void)state;
    enum { ROUNDS = 8, PER_ROUND = 1000 };
    spoor *store = help_open_small(SPOOR_CREATE, SMALL);
    spoor_appended first[ROUNDS];
    char id[40];
    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(id, sizeof(id), "round %d", i);
        first[i] = help_put(store, "t", "a", id);
        help_fill(store, (uint64_t)i, PER_ROUND);
    }
    help_seal(store);
    help_sealed(store, 2);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < ROUNDS; i++) {
            (void)snprintf(id, sizeof(id), "round %d", i);
            expect_duplicate(store, "a", id, &first[i]);
            spoor_event strange = help_event("t", pass == 0 ? "b" : "c", NULL);
            strange.id = spoor_text(id);
            assert_int_equal(help_append(store, &strange).duplicate, 0);
        }
        spoor_close(store);
        store = help_open_small(0, SMALL);
    }
    spoor_close(store);
}

/*
 * ---- correlation
 * ----------------------------------------------------------------------------------
 */

static void expect_run(spoor *store, uint64_t position, const char *run) {
    char at[24];
    spoor_query query = SPOOR_QUERY_INIT;
    (void)snprintf(at, sizeof(at), "%llu", (unsigned long long)position);
    query.from = at;
    query.until = at;
    struct help_copies copies = help_read(store, &query);
    assert_int_equal(copies.count, 1);
    if (!help_is(copies.items[0].event.correlationid, run)) {
        fail_msg("event %s is in run %.*s, not %s", at,
                 (int)copies.items[0].event.correlationid.len,
                 copies.items[0].event.correlationid.ptr, run);
    }
    help_copies_free(&copies);
}

static uint64_t put_caused(spoor *store, const char *id, const char *cause) {
    spoor_event event = help_event("t", "a", NULL);
    event.id = spoor_text(id);
    event.causationid = spoor_text(cause);
    return help_append(store, &event).position;
}

static void test_the_run_is_that_of_the_cause(void **state) {
    (void)state;
    spoor *store = help_open_small(SPOOR_CREATE, SMALL);
    spoor_event event = help_event("t", "a", NULL);
    event.id = spoor_text("root");
    event.correlationid = spoor_text("the run");
    (void)help_append(store, &event);
    expect_run(store, put_caused(store, "child", "root"), "the run");
    expect_run(store, put_caused(store, "grandchild", "child"), "the run");
    expect_run(store, put_caused(store, "orphan", "nobody"), "orphan");
    expect_run(store, put_caused(store, "own cause", "own cause"), "own cause");
    event.id = spoor_text("given");
    event.causationid = spoor_text("root");
    event.correlationid = spoor_text("its own");
    expect_run(store, help_append(store, &event).position, "its own");
    help_fill(store, 1, 5000);
    help_seal(store);
    help_sealed(store, 1);
    expect_run(store, put_caused(store, "late", "grandchild"), "the run");
    spoor_close(store);
    store = help_open_small(0, SMALL);
    expect_run(store, put_caused(store, "later", "child"), "the run");
    expect_run(store, put_caused(store, "latest", "later"), "the run");
    spoor_close(store);
}

static void test_the_cause_is_in_the_same_batch(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    static const char *const ids[] = {"first", "one", "two", "three", NULL};
    static const char *const causes[] = {"three", NULL, "one", "two", "three"};
    spoor_event events[5];
    spoor_error error;
    for (int i = 0; i < 5; i++) {
        events[i] = help_event("t", "a", NULL);
        events[i].id = spoor_text(ids[i]);
        events[i].causationid = spoor_text(causes[i]);
    }
    events[1].correlationid = spoor_text("run");
    help_ok(spoor_append_batch(store, events, 5, NULL, 0, NULL, &error), &error);
    expect_run(store, 1, "first"); /* its cause comes later: not known yet */
    for (uint64_t i = 2; i <= 5; i++) {
        expect_run(store, i, "run");
    }
    spoor_close(store);
}

static void test_the_cause_is_under_way(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct outcome outcome[2];
    spoor_event event = help_event("t", "a", NULL);
    event.id = spoor_text("cause");
    event.correlationid = spoor_text("run");
    submit(store, &event, 1, &outcome[0]);
    event.correlationid.ptr = NULL;
    event.causationid = event.id;
    event.id = spoor_text("effect");
    submit(store, &event, 1, &outcome[1]);
    turn_until(store, &outcome[1]);
    expect_run(store, 2, "run");
    spoor_close(store);
}

/* Of several events with the cause's id the newest counts. */
static void test_the_newest_of_several_causes(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_event event = help_event("t", "a", NULL);
    event.id = spoor_text("x");
    event.correlationid = spoor_text("old");
    (void)help_append(store, &event);
    event.source = spoor_text("b");
    event.correlationid = spoor_text("new");
    (void)help_append(store, &event);
    expect_run(store, put_caused(store, "effect", "x"), "new");
    spoor_close(store);
}

/*
 * ---- made ids
 * -------------------------------------------------------------------------------------
 */

static int compare_ids(const void *a, const void *b) {
    return strcmp(a, b);
}

static void test_made_ids_are_uuids_and_unique(void **state) {
    (void)state;
    enum { OPENINGS = 4, EACH = 300 };
    static char ids[OPENINGS * EACH][40];
    int count = 0;
    for (int i = 0; i < OPENINGS; i++) {
        spoor *store = help_open(SPOOR_CREATE);
        for (int k = 0; k < EACH; k++) {
            spoor_event events[2] = {help_event("t", "a", NULL), help_event("t", "a", NULL)};
            spoor_appended appended[2];
            spoor_error error;
            help_ok(spoor_append_batch(store, events, 1 + (size_t)k % 2, NULL, 0, appended, &error),
                    &error);
            const char *id = appended[k % 2].id;
            assert_int_equal(strlen(id), 36);
            assert_int_equal(strspn(id, "0123456789abcdef-"), 36);
            assert_int_equal(id[14], '7');           /* the version */
            assert_non_null(strchr("89ab", id[19])); /* the variant */
            char high[16];
            (void)snprintf(high, sizeof(high), "%.8s%.4s", id, id + 9);
            uint64_t ms = strtoull(high, NULL, 16);
            assert_true(ms + 1000 > appended[0].entry_ms && ms < appended[0].entry_ms + 1000);
            assert_true(k == 0 || strcmp(ids[count - 1], id) < 0); /* they rise */
            memcpy(ids[count++], id, 37);
        }
        spoor_close(store);
    }
    qsort(ids, (size_t)count, sizeof(ids[0]), compare_ids);
    for (int i = 1; i < count; i++) {
        assert_string_not_equal(ids[i - 1], ids[i]);
    }
}

/*
 * ---- refusals
 * -------------------------------------------------------------------------------------
 */

static void refuse(spoor *store, const spoor_event *event, spoor_status status, const char *piece) {
    help_append_refused(store, event, SPOOR_ANY_VERSION, status, piece);
}

static void test_refuses_what_is_no_event(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_event good = help_event("t", "a", "1");
    spoor_event event = good;
    event.type = spoor_text(NULL);
    refuse(store, &event, SPOOR_INVALID, "type");
    event.type = spoor_text("a b");
    refuse(store, &event, SPOOR_INVALID, "type");
    event.type = spoor_text("a.*");
    refuse(store, &event, SPOOR_INVALID, "type");
    event = good;
    event.source = spoor_text(NULL);
    refuse(store, &event, SPOOR_INVALID, "source");
    event.source = spoor_text("");
    refuse(store, &event, SPOOR_INVALID, "source");
    event.source = spoor_text("a\nb");
    refuse(store, &event, SPOOR_INVALID, "source");
    event = good;
    event.id = spoor_text("");
    refuse(store, &event, SPOOR_INVALID, "id");
    event = good;
    event.stream = spoor_text("");
    refuse(store, &event, SPOOR_INVALID, "stream");
    event = good;
    event.time = spoor_text("yesterday");
    refuse(store, &event, SPOOR_INVALID, "time");
    event = good;
    event.metadata = spoor_text("[1]");
    refuse(store, &event, SPOOR_INVALID, "metadata");
    event = good;
    event.data = spoor_text("{");
    event.datacontenttype = spoor_text("application/json");
    refuse(store, &event, SPOOR_INVALID, "data");
    event = good;
    event.size = 8;
    refuse(store, &event, SPOOR_INVALID, "SPOOR_EVENT_INIT");
    spoor_extension extension = {spoor_text("x"), spoor_text("{"), 1};
    event = good;
    event.extensions = &extension;
    event.extension_count = 1;
    refuse(store, &event, SPOOR_INVALID, "x");
    assert_int_equal(spoor_append(store, NULL, 0, NULL, NULL), SPOOR_INVALID);
    assert_int_equal(spoor_append_batch(store, &good, 0, NULL, 0, NULL, NULL), SPOOR_INVALID);
    assert_int_equal(spoor_append_batch(store, &good, 1, NULL, 1, NULL, NULL), SPOOR_INVALID);
    assert_int_equal(spoor_submit(store, NULL, 1, NULL, 0, NULL, NULL, NULL), SPOOR_INVALID);
    assert_int_equal(help_count(store, NULL), 0);
    assert_int_equal(help_append(store, &good).position, 1);
    spoor_close(store);
}

static void test_limits(void **state) {
    (void)state;
    spoor_options options;
    spoor_error error;
    spoor *store = NULL;
    spoor_options_init(&options);
    options.event_bytes_max = 1000;
    help_ok(spoor_open(help_place(), &options, &store, &error), &error);
    char *text = calloc(1, 8192);
    assert_non_null(text);
    memset(text, 'x', 8191);
    spoor_event good = help_event("t", "a", NULL);
    spoor_event event = good;
    event.data = (spoor_str){text, 1001};
    refuse(store, &event, SPOOR_LIMIT, "1000");
    event.data.len = 900;
    (void)help_append(store, &event);
    event = good;
    event.type = (spoor_str){text, 256};
    refuse(store, &event, SPOOR_INVALID, "255");
    event.type.len = 255;
    (void)help_append(store, &event);
    spoor_extension extensions[70];
    char names[70][16];
    for (int i = 0; i < 70; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "x%d", i);
        extensions[i] = (spoor_extension){spoor_text(names[i]), spoor_text("1"), 0};
    }
    event = good;
    event.extensions = extensions;
    event.extension_count = 70;
    refuse(store, &event, SPOOR_LIMIT, NULL);
    event.extension_count = 50;
    (void)help_append(store, &event);
    spoor_close(store);
    options.event_bytes_max = 1 << 20;
    help_ok(spoor_open(help_place(), &options, &store, &error), &error);
    event = good;
    event.id = (spoor_str){text, 4097};
    assert_int_not_equal(spoor_append(store, &event, SPOOR_ANY_VERSION, NULL, NULL), SPOOR_OK);
    event.id.len = 4096;
    event.stream = event.id;
    event.correlationid = event.id;
    event.causationid = event.id;
    uint64_t position = help_append(store, &event).position;
    assert_int_equal(help_append(store, &event).duplicate, 1);
    assert_int_equal(help_last_position(store), position);
    free(text);
    spoor_close(store);
}

/* More events than a block can ever hold are refused by their number: not one is looked at. */
static void test_a_batch_of_millions(void **state) {
    (void)state;
    spoor *store = NULL;
    spoor_error error;
    spoor_options options;
    spoor_options_init(&options);
    options.outstanding_max = 1 << 22;
    help_ok(spoor_open(help_place(), &options, &store, &error), &error);
    static const spoor_event event = {.size = 0}; /* which would be refused for its size */
    spoor_status status = spoor_append_batch(store, &event, 1 << 22, NULL, 0, NULL, &error);
    help_refused(status, &error, SPOOR_LIMIT, "4194304 events in one append");
    status = spoor_submit(store, &event, 200000, NULL, 0, NULL, NULL, &error);
    help_refused(status, &error, SPOOR_LIMIT, "written at once");
    spoor_close(store);
}

/* Beyond outstanding_max: refused at once, and later there is room. */
static void test_too_much_is_outstanding(void **state) {
    (void)state;
    spoor_options options;
    spoor_error error;
    spoor *store = NULL;
    spoor_options_init(&options);
    options.outstanding_max = 4;
    help_ok(spoor_open(help_place(), &options, &store, &error), &error);
    struct outcome outcome[5];
    spoor_event events[5];
    for (int i = 0; i < 5; i++) {
        events[i] = help_event("t", "a", NULL);
    }
    for (int i = 0; i < 4; i++) {
        submit(store, events, 1, &outcome[i]);
    }
    spoor_status status = spoor_submit(store, events, 1, NULL, 0, note, &outcome[4], &error);
    help_refused(status, &error, SPOOR_BUSY, "4");
    status = spoor_append_batch(store, events, 5, NULL, 0, NULL, &error);
    help_refused(status, &error, SPOOR_LIMIT, "at most 4");
    assert_int_equal(help_append(store, events).position, 5); /* waits for room by itself */
    turn_until(store, &outcome[3]);
    submit(store, events, 4, &outcome[4]);
    turn_until(store, &outcome[4]);
    assert_int_equal(outcome[4].count, 4);
    assert_int_equal(outcome[4].appended[3].position, 9);
    spoor_close(store);
}

static void test_read_only_refuses(void **state) {
    (void)state;
    spoor_close(help_open(SPOOR_CREATE));
    spoor *store = help_open(SPOOR_READ_ONLY);
    spoor_event event = help_event("t", "a", NULL);
    refuse(store, &event, SPOOR_DENIED, "read-only");
    assert_int_equal(spoor_submit(store, &event, 1, NULL, 0, NULL, NULL, NULL), SPOOR_DENIED);
    spoor_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_places, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_everything_comes_back, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_defaults, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_data_of_all_kinds, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_expected_version, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_expectations_of_a_batch, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_a_batch_is_all_or_nothing, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_a_batch_beyond_a_block, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_same_source_and_id_is_stored_once, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_a_made_id_is_a_name_like_any, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_doubles_within_a_batch, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_doubles_of_what_is_under_way, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_doubles_of_what_is_sealed, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_the_run_is_that_of_the_cause, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_the_cause_is_in_the_same_batch, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_the_cause_is_under_way, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_the_newest_of_several_causes, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_made_ids_are_uuids_and_unique, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_refuses_what_is_no_event, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_limits, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_a_batch_of_millions, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_too_much_is_outstanding, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_read_only_refuses, help_begin, help_end_all),
    };
    return cmocka_run_group_tests_name("append", tests, NULL, NULL);
}
