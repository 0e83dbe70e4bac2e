/* Who hears of what: names, globs, keys and queries, and what finding them costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "match/filter.h"
#include "match/pattern.h"
#include "server/live.h"

enum { INTERESTS = 300, FOUND_MAX = 4096 };

/* An interest with a number, so that findings can be told. */
struct wish {
    struct sp_live_interest interest; /* first */
    uint32_t number;
};

struct found {
    uint32_t numbers[FOUND_MAX];
    char names[64][32];
    uint32_t count;
};

static void on_found(void *context, struct sp_live_interest *interest, sp_str name) {
    struct found *found = context;
    const struct wish *wish = (const struct wish *)interest;
    assert_true(found->count < FOUND_MAX);
    if (found->count < 64) {
        (void)snprintf(found->names[found->count], 32, "%.*s", SP_STR_ARG(name));
    }
    found->numbers[found->count++] = wish->number;
}

static struct sp_live *live_new(void) {
    struct sp_live *live = NULL;
    assert_int_equal(sp_live_new(&live), SP_OK);
    return live;
}

static void add_name(struct sp_live *live, enum sp_live_kind kind, const char *name,
                     struct wish *wish) {
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_live_add_name(live, kind, sp_str_from(name), &wish->interest, &error) != SP_OK) {
        fail_msg("%s: %s", name, error.text);
    }
}

static struct sp_event event_of(const char *type, const char *source, const char *stream,
                                const char *correlation, const char *data) {
    struct sp_event event = {.position = 1, .version = 1};
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_SOURCE] = sp_str_from(source);
    event.attr[SP_ATTR_STREAM] = sp_str_from(stream);
    event.attr[SP_ATTR_CORRELATION] = sp_str_from(correlation);
    event.attr[SP_ATTR_ID] = SP_STR("id");
    event.data = sp_str_from(data);
    event.has_data = true;
    event.data_is_json = true;
    return event;
}

static void test_channels_and_globs(void **state) {
    (void)state;
    struct sp_live *live = live_new();
    struct wish wishes[6] = {{.number = 0}, {.number = 1}, {.number = 2},
                             {.number = 3}, {.number = 4}, {.number = 5}};
    add_name(live, SP_LIVE_CHANNEL, "news", &wishes[0]);
    add_name(live, SP_LIVE_CHANNEL, "news", &wishes[1]);
    add_name(live, SP_LIVE_GLOB, "n*", &wishes[2]);
    add_name(live, SP_LIVE_GLOB, "*s", &wishes[3]);
    add_name(live, SP_LIVE_GLOB, "n*", &wishes[4]);
    add_name(live, SP_LIVE_SHARD, "news", &wishes[5]);
    struct found found = {.count = 0};
    sp_live_match_channel(live, SP_STR("news"), on_found, &found);
    assert_int_equal(found.count, 5);
    assert_int_equal(found.numbers[0], 0);
    assert_int_equal(found.numbers[1], 1);
    assert_string_equal(found.names[0], "news");
    assert_int_equal(found.numbers[2], 2);
    assert_int_equal(found.numbers[3], 4);
    assert_string_equal(found.names[3], "n*");
    assert_int_equal(found.numbers[4], 3);
    assert_int_equal(sp_live_receivers(live, SP_LIVE_CHANNEL, SP_STR("news")), 5);
    assert_int_equal(sp_live_receivers(live, SP_LIVE_SHARD, SP_STR("news")), 1);
    assert_int_equal(sp_live_receivers(live, SP_LIVE_CHANNEL, SP_STR("nothing")), 2);
    assert_int_equal(sp_live_names(live, SP_LIVE_CHANNEL), 1);
    assert_int_equal(sp_live_names(live, SP_LIVE_GLOB), 2);
    assert_int_equal(sp_live_name_count(live, SP_LIVE_CHANNEL, SP_STR("news")), 2);
    found.count = 0;
    sp_live_match_shard(live, SP_STR("news"), on_found, &found);
    assert_int_equal(found.count, 1);
    sp_live_remove(live, &wishes[2].interest);
    sp_live_remove(live, &wishes[4].interest);
    sp_live_remove(live, &wishes[4].interest);
    assert_int_equal(sp_live_names(live, SP_LIVE_GLOB), 1);
    sp_live_remove(live, &wishes[0].interest);
    found.count = 0;
    sp_live_match_channel(live, SP_STR("news"), on_found, &found);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.numbers[0], 1);
    assert_int_equal(sp_live_count(live), 3);
    sp_live_free(live);
}

static void on_name(void *context, sp_str name) {
    char *text = context;
    (void)snprintf(text + strlen(text), 64 - strlen(text), "%.*s ", SP_STR_ARG(name));
}

static void test_names_are_walked(void **state) {
    (void)state;
    struct sp_live *live = live_new();
    struct wish wishes[3] = {{.number = 0}};
    add_name(live, SP_LIVE_CHANNEL, "a", &wishes[0]);
    add_name(live, SP_LIVE_GLOB, "b*", &wishes[1]);
    add_name(live, SP_LIVE_CHANNEL, "c", &wishes[2]);
    char text[64] = "";
    sp_live_each_name(live, SP_LIVE_CHANNEL, on_name, text);
    assert_string_equal(text, "a c ");
    text[0] = '\0';
    sp_live_match_globs(live, SP_STR("bee"), on_name, text);
    assert_string_equal(text, "b* ");
    sp_live_free(live);
}

static void test_keys(void **state) {
    (void)state;
    struct sp_live *live = live_new();
    struct sp_error error;
    const struct sp_key keys[] = {
        {.kind = SP_KEY_STREAM, .name = SP_STR("orders")},
        {.kind = SP_KEY_ALL},
        {.kind = SP_KEY_TYPE, .name = SP_STR("order.*")},
        {.kind = SP_KEY_SOURCE, .name = SP_STR("shop")},
        {.kind = SP_KEY_CORRELATION, .name = SP_STR("run-1")},
        {.kind = SP_KEY_STREAM, .name = SP_STR("others")},
        {.kind = SP_KEY_TYPE, .name = SP_STR("order.*.late")},
    };
    enum { KEYS = sizeof(keys) / sizeof(keys[0]) };
    struct wish wishes[KEYS] = {{.number = 0}};
    for (uint32_t i = 0; i < KEYS; i++) {
        wishes[i].number = 1u << i;
        assert_int_equal(sp_live_add_key(live, &keys[i], &wishes[i].interest, &error), SP_OK);
        assert_int_equal(wishes[i].interest.kind, SP_LIVE_KEY);
    }
    struct sp_event event = event_of("order.placed", "shop", "orders", "run-1", "{}");
    struct found found = {.count = 0};
    sp_live_match_event(live, &event, on_found, &found);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < found.count; i++) {
        sum += found.numbers[i];
    }
    assert_int_equal(found.count, 5);
    assert_int_equal(sum, 31);
    for (uint32_t i = 0; i < KEYS; i++) {
        sp_live_remove(live, &wishes[i].interest);
    }
    found.count = 0;
    sp_live_match_event(live, &event, on_found, &found);
    assert_int_equal(found.count, 0);
    assert_int_equal(sp_live_count(live), 0);
    sp_live_free(live);
}

static void test_bad_queries_change_nothing(void **state) {
    (void)state;
    struct sp_live *live = live_new();
    struct sp_error error;
    struct wish wish = {.number = 1};
    const sp_str types[] = {SP_STR("a.b"), SP_STR("a b"), SP_STR("a.b")};
    struct sp_query query = {.types = types, .type_count = 2};
    assert_int_equal(sp_live_add_query(live, &query, &wish.interest, &error), SP_INVALID);
    query = (struct sp_query){.filter = SP_STR("{\"data.n\": {\"$gt\"}}")};
    assert_int_equal(sp_live_add_query(live, &query, &wish.interest, &error), SP_INVALID);
    assert_false(wish.interest.added);
    assert_int_equal(sp_live_count(live), 0);
    const sp_str twice[] = {SP_STR("a.b"), SP_STR("a.*"), SP_STR("a.b")};
    query = (struct sp_query){.types = twice, .type_count = 3};
    assert_int_equal(sp_live_add_query(live, &query, &wish.interest, &error), SP_OK);
    struct sp_event event = event_of("a.b", "s", "s", "c", "{}");
    struct found found = {.count = 0};
    sp_live_match_event(live, &event, on_found, &found);
    assert_int_equal(found.count, 1);
    sp_live_remove(live, &wish.interest);
    found.count = 0;
    sp_live_match_event(live, &event, on_found, &found);
    assert_int_equal(found.count, 0);
    sp_live_free(live);
}

/* -- Against a model: each query is compared alone --------------------------------------------- */

struct drawn {
    sp_str types[3];
    struct sp_query query;
    struct sp_filter *filter;
};

static sp_str pick(struct sp_prng *prng, const char *const *from, uint32_t count) {
    return sp_str_from(from[sp_prng_below(prng, count)]);
}

static const char *const TYPES[] = {"a.b", "a.c", "b.b", "a.b.c", "a"};
static const char *const PATTERNS[] = {"a.b", "a.*", "#", "*.b", "a.#", "b.>", "a.b.c"};
static const char *const NAMES[] = {"x", "y", "z"};
static const char *const FILTERS[] = {
    "{\"data.n\": 1}",
    "{\"data.n\": {\"$gt\": 1}}",
    "{\"source\": \"x\"}",
    "{\"data.n\": 2}",
    "{\"data.n\": 2.0, \"data.who\": \"ann\"}",
    "{\"payload.who\": \"b\\u00e4r\"}",
    "{\"data.who\": \"ann\", \"data.n\": {\"$exists\": true}}",
    "{\"$or\": [{\"data.n\": 1}, {\"data.who\": \"ann\"}]}",
    "{\"data.who\": {\"$in\": [\"ann\", \"bob\"]}}",
    "{\"data.who\": {\"$not\": {\"$eq\": \"ann\"}}}",
    "{\"data\": {\"who\": [\"ann\"]}}",
    "{\"data.n\": -0.0}",
};
enum { FILTER_COUNT = sizeof(FILTERS) / sizeof(FILTERS[0]) };

static void draw_query(struct sp_prng *prng, struct drawn *drawn) {
    sp_filter_free(drawn->filter);
    *drawn = (struct drawn){.filter = NULL};
    struct sp_query *query = &drawn->query;
    query->types = drawn->types;
    query->type_count = sp_prng_below(prng, 4);
    for (size_t i = 0; i < query->type_count; i++) {
        drawn->types[i] = pick(prng, PATTERNS, 7);
    }
    if (sp_prng_below(prng, 4) == 0) {
        query->source = pick(prng, NAMES, 3);
    }
    if (sp_prng_below(prng, 4) == 0) {
        query->stream = pick(prng, NAMES, 3);
    }
    if (sp_prng_below(prng, 4) == 0) {
        query->correlation = pick(prng, NAMES, 3);
    }
    if (sp_prng_below(prng, 2) == 0) {
        query->filter = pick(prng, FILTERS, FILTER_COUNT);
        assert_int_equal(sp_filter_compile(query->filter, &drawn->filter, NULL), SP_OK);
    }
}

static bool alone_matches(const struct drawn *drawn, const struct sp_event *event) {
    const struct sp_query *query = &drawn->query;
    bool type = query->type_count == 0;
    for (size_t i = 0; i < query->type_count; i++) {
        type = type || sp_pattern_match(query->types[i], event->attr[SP_ATTR_TYPE]);
    }
    return type &&
           (query->source.ptr == NULL || sp_str_eq(query->source, event->attr[SP_ATTR_SOURCE])) &&
           (query->stream.ptr == NULL || sp_str_eq(query->stream, event->attr[SP_ATTR_STREAM])) &&
           (query->correlation.ptr == NULL ||
            sp_str_eq(query->correlation, event->attr[SP_ATTR_CORRELATION])) &&
           (drawn->filter == NULL || sp_filter_match(drawn->filter, event));
}

static void compare(struct sp_live *live, const struct drawn *drawn, const struct wish *wishes,
                    const struct sp_event *event) {
    static struct found found;
    found.count = 0;
    sp_live_match_event(live, event, on_found, &found);
    uint32_t times[INTERESTS] = {0};
    for (uint32_t i = 0; i < found.count; i++) {
        times[found.numbers[i]]++;
    }
    for (uint32_t i = 0; i < INTERESTS; i++) {
        bool expected = wishes[i].interest.added && alone_matches(&drawn[i], event);
        assert_int_equal(times[i], expected);
    }
}

static void test_agrees_with_each_alone(void **state) {
    (void)state;
    static struct drawn drawn[INTERESTS];
    static struct wish wishes[INTERESTS];
    static const char *const data[] = {"{\"n\":1}",
                                       "{\"n\":2e0,\"who\":\"ann\"}",
                                       "{}",
                                       "{\"n\":0,\"who\":\"b\u00e4r\"}",
                                       "{\"n\":2,\"who\":\"b\\u00e4r\"}",
                                       "{\"n\":[1],\"who\":{\"n\":1}}"};
    struct sp_prng prng = sp_prng_seed(5);
    struct sp_live *live = live_new();
    struct sp_error error;
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t i = sp_prng_below(&prng, INTERESTS);
        wishes[i].number = i;
        if (wishes[i].interest.added) {
            sp_live_remove(live, &wishes[i].interest);
        } else {
            draw_query(&prng, &drawn[i]);
            assert_int_equal(sp_live_add_query(live, &drawn[i].query, &wishes[i].interest, &error),
                             SP_OK);
        }
        struct sp_event event =
            event_of(TYPES[sp_prng_below(&prng, 5)], NAMES[sp_prng_below(&prng, 3)],
                     NAMES[sp_prng_below(&prng, 3)], NAMES[sp_prng_below(&prng, 3)],
                     data[sp_prng_below(&prng, 6)]);
        compare(live, drawn, wishes, &event);
    }
    for (uint32_t i = 0; i < INTERESTS; i++) {
        sp_live_remove(live, &wishes[i].interest);
        sp_filter_free(drawn[i].filter);
    }
    assert_int_equal(sp_live_count(live), 0);
    sp_live_free(live);
}

/* Many who want the same type, each with a value of its own, cost as much as few. */
static void test_a_crowd_is_told_apart_by_its_filters(void **state) {
    (void)state;
    enum { CROWD = 5000 };
    static struct wish wishes[CROWD];
    struct sp_live *live = live_new();
    struct sp_error error;
    const sp_str type = SP_STR("order.placed");
    for (uint32_t i = 0; i < CROWD; i++) {
        char filter[64];
        (void)snprintf(filter, sizeof(filter), "{\"data.order\": %u, \"data.total\": {\"$gt\": 5}}",
                       i);
        struct sp_query query = {.types = &type, .type_count = 1, .filter = sp_str_from(filter)};
        wishes[i].number = i;
        assert_int_equal(sp_live_add_query(live, &query, &wishes[i].interest, &error), SP_OK);
        assert_int_equal(wishes[i].interest.by_type, i < 1);
    }
    struct found found = {.count = 0};
    struct sp_event event = event_of("order.placed", "s", "s", "c", "{\"order\":4711,\"total\":6}");
    sp_live_match_event(live, &event, on_found, &found);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.numbers[0], 4711);
    event = event_of("order.placed", "s", "s", "c", "{\"order\":4711,\"total\":5}");
    sp_live_match_event(live, &event, on_found, &found);
    event = event_of("order.late", "s", "s", "c", "{\"order\":4711,\"total\":6}");
    sp_live_match_event(live, &event, on_found, &found);
    assert_int_equal(found.count, 1);
    event = event_of("order.placed", "s", "s", "c", "{\"order\":3,\"total\":6}");
    sp_live_match_event(live, &event, on_found, &found);
    assert_int_equal(found.count, 2);
    for (uint32_t i = 0; i < CROWD; i++) {
        sp_live_remove(live, &wishes[i].interest);
    }
    assert_int_equal(sp_live_count(live), 0);
    sp_live_free(live);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels_and_globs),
        cmocka_unit_test(test_names_are_walked),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_bad_queries_change_nothing),
        cmocka_unit_test(test_agrees_with_each_alone),
        cmocka_unit_test(test_a_crowd_is_told_apart_by_its_filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
