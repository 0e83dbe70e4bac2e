/* What filters demand: who has a key, that an event which matches has it, how paths come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "match/demand.h"

static struct sp_filter *compile(const char *json) {
    struct sp_filter *filter = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_filter_compile(sp_str_from(json), &filter, &error) != SP_OK) {
        fail_msg("%s: %s", json, error.text);
    }
    return filter;
}

static struct sp_event event_of(const char *data) {
    struct sp_event event = {.position = 1, .has_data = true, .data_is_json = true};
    event.attr[SP_ATTR_TYPE] = SP_STR("order.placed");
    event.attr[SP_ATTR_SOURCE] = SP_STR("shop");
    event.attr[SP_ATTR_SCHEMAVERSION] = SP_STR("2");
    event.data = sp_str_from(data);
    return event;
}

static bool event_has(const struct sp_demands *demands, const char *data, uint64_t key) {
    uint64_t keys[SP_DEMAND_PATHS_MAX];
    struct sp_event event = event_of(data);
    size_t count = sp_demands_of(demands, &event, keys);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found = found || keys[i] == key;
    }
    return found;
}

static void test_who_demands(void **state) {
    (void)state;
    static const struct {
        const char *filter;
        bool demands;
        const char *has; /* data of an event that has the key, NULL: none is tried */
        const char *lacks;
    } rows[] = {
        {"{\"data.n\": 1}", true, "{\"n\":1.0}", "{\"n\":\"1\"}"},
        {"{\"data.n\": 0}", true, "{\"n\":-0.0}", "{\"n\":false}"},
        {"{\"data.n\": \"one\"}", true, "{\"n\":\"on\\u0065\"}", "{\"n\":[\"one\"]}"},
        {"{\"payload.a.b\": {\"$eq\": \"x\"}}", true, "{\"a\":{\"b\":\"x\"}}", "{\"a\":\"x\"}"},
        {"{\"data.m\": {\"$gt\": 1}, \"data.n\": \"x\"}", true, "{\"n\":\"x\"}", "{\"m\":2}"},
        {"{\"source\": \"shop\"}", true, "{}", NULL},
        {"{\"event_type\": \"order.placed\"}", true, "{}", NULL},
        {"{\"data.n\": {\"$in\": [1, 2]}}", false, NULL, NULL},
        {"{\"data.n\": {\"$gt\": 1}}", false, NULL, NULL},
        {"{\"data.n\": true}", false, NULL, NULL},
        {"{\"$or\": [{\"data.n\": 1}, {\"data.m\": 1}]}", false, NULL, NULL},
        {"{\"data.n\": {\"$not\": {\"$eq\": 1}}}", false, NULL, NULL},
        {"{\"data.n\": {\"$ne\": 1}}", false, NULL, NULL},
        {"{\"schemaversion\": 2}", false, NULL, NULL},
        {"{\"data\": {\"n\": [1]}}", false, NULL, NULL},
        {"{}", false, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sp_demands demands;
        uint64_t key = 0;
        sp_demands_init(&demands);
        struct sp_filter *filter = compile(rows[i].filter);
        bool added = sp_demands_add(&demands, filter, &key);
        if (added != rows[i].demands) {
            fail_msg("%s: %d", rows[i].filter, added);
        }
        if (rows[i].has != NULL) {
            assert_true(event_has(&demands, rows[i].has, key));
        }
        if (rows[i].lacks != NULL) {
            assert_false(event_has(&demands, rows[i].lacks, key));
        }
        if (added) {
            sp_demands_remove(&demands, filter);
        }
        assert_int_equal(demands.path_count, 0);
        sp_filter_free(filter);
        sp_demands_fini(&demands);
    }
}

static void test_paths_come_and_go(void **state) {
    (void)state;
    struct sp_demands demands;
    struct sp_filter *filters[3] = {compile("{\"data.a\": 1}"), compile("{\"data.b\": 1}"),
                                    compile("{\"data.a\": 2}")};
    uint64_t keys[3];
    sp_demands_init(&demands);
    for (int i = 0; i < 3; i++) {
        assert_true(sp_demands_add(&demands, filters[i], &keys[i]));
    }
    assert_int_equal(demands.path_count, 2);
    assert_int_not_equal(keys[0], keys[1]);
    assert_int_not_equal(keys[0], keys[2]);
    const char *both = "{\"a\":1,\"b\":1}";
    assert_true(event_has(&demands, both, keys[0]) && event_has(&demands, both, keys[1]));
    sp_demands_remove(&demands, filters[0]);
    assert_int_equal(demands.path_count, 2);
    sp_demands_remove(&demands, filters[2]);
    assert_int_equal(demands.path_count, 1);
    assert_true(event_has(&demands, both, keys[1]));
    assert_false(event_has(&demands, both, keys[0]));
    sp_demands_remove(&demands, filters[1]);
    assert_false(event_has(&demands, both, keys[1]));
    for (int i = 0; i < 3; i++) {
        sp_filter_free(filters[i]);
    }
    sp_demands_fini(&demands);
}

static void test_only_so_many_paths(void **state) {
    (void)state;
    struct sp_demands demands;
    uint64_t key = 0;
    sp_demands_init(&demands);
    for (unsigned i = 0; i < SP_DEMAND_PATHS_MAX + 2; i++) {
        char json[64];
        (void)snprintf(json, sizeof(json), "{\"data.p%u\": 1}", i);
        struct sp_filter *filter = compile(json);
        assert_int_equal(sp_demands_add(&demands, filter, &key), i < SP_DEMAND_PATHS_MAX);
        sp_filter_free(filter);
    }
    sp_demands_fini(&demands);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_demands),
        cmocka_unit_test(test_paths_come_and_go),
        cmocka_unit_test(test_only_so_many_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
