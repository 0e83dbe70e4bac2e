/* Upcasters: which chain an event takes, what it becomes, and what is said where one is broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "project/upcast.h"

static uint64_t position;

static sp_status check(void *context, sp_str type, sp_str version, sp_str data,
                       struct sp_error *error) {
    (void)context;
    (void)type;
    if (sp_str_eq(version, SP_STR("9")) && !sp_str_eq(data, SP_STR("{\"ok\":true}"))) {
        return sp_error_set(error, SP_INVALID, "/ok: required");
    }
    return SP_OK;
}

static struct sp_upcasters *new_upcasters(void) {
    const struct sp_upcasters_options options = {.jq = {.deadline_ms = 1000}, .check = check};
    struct sp_upcasters *upcasters = NULL;
    assert_int_equal(sp_upcasters_new(&options, &upcasters, NULL), SP_OK);
    return upcasters;
}

static void fold(struct sp_upcasters *upcasters, const char *type, const char *data) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status =
        sp_upcasters_fold(upcasters, sp_str_from(type), sp_str_from(data), ++position, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, SP_OK);
}

static void add(struct sp_upcasters *upcasters, const char *from, const char *to,
                const char *program) {
    struct sp_buf data;
    const struct sp_upcaster upcaster = {.type = SP_STR("order.placed"),
                                         .from = sp_str_from(from),
                                         .to = sp_str_from(to),
                                         .program = sp_str_from(program)};
    sp_buf_init(&data, 1 << 16);
    sp_upcaster_to_json(&upcaster, true, &data);
    sp_buf_add_byte(&data, 0);
    fold(upcasters, "upcaster.registered", (const char *)data.data);
    sp_buf_fini(&data);
}

/* Compares version and data of what an event becomes; NULL: it stays as it is. */
static void expect(struct sp_upcasters *upcasters, const char *version, const char *data,
                   const char *new_version, const char *new_data) {
    static struct sp_event event;
    struct sp_error error;
    sp_error_clear(&error);
    event = (struct sp_event){.position = 42, .has_data = data != NULL, .data_is_json = true};
    event.attr[SP_ATTR_TYPE] = SP_STR("order.placed");
    event.attr[SP_ATTR_ID] = SP_STR("e1");
    event.attr[SP_ATTR_SCHEMAVERSION] = sp_str_from(version);
    event.data = sp_str_from(data);
    sp_status status = sp_upcast(upcasters, &event, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, SP_OK);
    new_version = new_version != NULL ? new_version : version;
    new_data = new_data != NULL ? new_data : data;
    assert_int_equal(event.attr[SP_ATTR_SCHEMAVERSION].len,
                     new_version != NULL ? strlen(new_version) : 0);
    assert_true(sp_str_eq(event.attr[SP_ATTR_SCHEMAVERSION], sp_str_from(new_version)));
    assert_true(sp_str_eq(event.data, sp_str_from(new_data)));
}

static void expect_error(struct sp_upcasters *upcasters, const char *version, const char *data,
                         const char *text) {
    static struct sp_event event;
    struct sp_error error;
    sp_error_clear(&error);
    event = (struct sp_event){.position = 42, .has_data = true, .data_is_json = true};
    event.attr[SP_ATTR_TYPE] = SP_STR("order.placed");
    event.attr[SP_ATTR_ID] = SP_STR("e1");
    event.attr[SP_ATTR_SCHEMAVERSION] = sp_str_from(version);
    event.data = sp_str_from(data);
    assert_int_equal(sp_upcast(upcasters, &event, &error), SP_INVALID);
    assert_string_equal(error.text, text);
    assert_true(sp_str_eq(event.data, sp_str_from(data)));
}

static void test_versions(void **state) {
    (void)state;
    static const char *const rising[] = {"0", "1", "1.0", "1.2", "1.10", "2", "9", "10", "10.0.1"};
    for (size_t i = 0; i < sizeof(rising) / sizeof(*rising); i++) {
        for (size_t j = 0; j < sizeof(rising) / sizeof(*rising); j++) {
            int order = sp_version_compare(sp_str_from(rising[i]), sp_str_from(rising[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    assert_int_equal(sp_version_compare(SP_STR("01"), SP_STR("1")), 0);
    sp_str from;
    sp_str to;
    assert_true(sp_upcaster_split(SP_STR("1-2"), &from, &to));
    assert_true(sp_str_eq(from, SP_STR("1")) && sp_str_eq(to, SP_STR("2")));
    assert_true(sp_upcaster_split(SP_STR("1.9-1.10"), &from, &to));
    static const char *const wrong[] = {"", "1", "1-", "-2", "1-2-3", "a-b", "1.-2", "1..2-3"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_false(sp_upcaster_split(sp_str_from(wrong[i]), &from, &to));
    }
}

static void test_chains(void **state) {
    (void)state;
    struct sp_upcasters *upcasters = new_upcasters();
    expect(upcasters, "1", "{\"a\":1}", NULL, NULL);
    add(upcasters, "1", "2", "{b: .a}");
    add(upcasters, "2", "3", "{c: .b}");
    expect(upcasters, "1", "{\"a\":1}", "3", "{\"c\":1}");
    expect(upcasters, NULL, "{\"a\":1}", "3", "{\"c\":1}"); /* without a version it is of 1 */
    expect(upcasters, "2", "{\"b\":1}", "3", "{\"c\":1}");
    expect(upcasters, "3", "{\"c\":1}", NULL, NULL);
    expect(upcasters, "7", "{\"c\":1}", NULL, NULL);
    expect(upcasters, NULL, NULL, "3", "{\"c\":null}");
    add(upcasters, "1", "3", "{direct: .a}"); /* as far in fewer steps */
    expect(upcasters, "1", "{\"a\":1}", "3", "{\"direct\":1}");
    add(upcasters, "2", "10", "{ten: .b}"); /* further, and ten is more than three */
    expect(upcasters, "1", "{\"a\":1}", "10", "{\"ten\":1}");
    fold(upcasters, "upcaster.removed", "{\"type\":\"order.placed\",\"from\":\"2\",\"to\":\"10\"}");
    expect(upcasters, "1", "{\"a\":1}", "3", "{\"direct\":1}");
    add(upcasters, "1", "3", "{anew: .a}");
    expect(upcasters, "1", "{\"a\":1}", "3", "{\"anew\":1}");
    fold(upcasters, "schema.registered", "{\"type\":\"order.placed\"}"); /* none of ours */
    assert_non_null(sp_upcasters_find(upcasters, SP_STR("order.placed"), SP_STR("1"), SP_STR("2")));
    assert_null(sp_upcasters_find(upcasters, SP_STR("order.placed"), SP_STR("2"), SP_STR("10")));
    sp_upcasters_free(upcasters);
}

static void test_broken_ones(void **state) {
    (void)state;
    struct sp_upcasters *upcasters = new_upcasters();
    add(upcasters, "1", "2", "if .a == 1 then . else error(\"no tier \\(.a)\") end");
    add(upcasters, "2", "3", ".");
    expect(upcasters, "1", "{\"a\":1}", "3", "{\"a\":1}");
    expect_error(upcasters, "1", "{\"a\":2}",
                 "event 42 (order.placed, id e1): upcaster 1-2: no tier 2");
    add(upcasters, "3", "9", "{ok: (.a == 1)}");
    expect(upcasters, "2", "{\"a\":1}", "9", "{\"ok\":true}");
    expect_error(upcasters, "2", "{\"a\":2}",
                 "event 42 (order.placed, id e1): upcaster 3-9: the result is not of version 9: "
                 "/ok: required");
    add(upcasters, "5", "6", "def f: f; f");
    expect_error(upcasters, "5", "{}",
                 "event 42 (order.placed, id e1): upcaster 5-6: the jq program took more than 1000 "
                 "ms: it is refused from now on, until it is defined anew");
    expect_error(upcasters, "5", "{}",
                 "event 42 (order.placed, id e1): upcaster 5-6: the jq program passed its limits "
                 "before: it is refused until it is defined anew");
    expect(upcasters, "2", "{\"a\":1}", "9", "{\"ok\":true}"); /* the others still run */
    add(upcasters, "5", "6", "{mended: true}");
    expect(upcasters, "5", "{}", "6", "{\"mended\":true}");
    sp_upcasters_free(upcasters);
}

static void refuse(struct sp_upcasters *upcasters, const char *data) {
    assert_int_equal(
        sp_upcasters_fold(upcasters, SP_STR("upcaster.registered"), sp_str_from(data), 1, NULL),
        SP_INVALID);
}

static void test_events_that_are_none(void **state) {
    (void)state;
    struct sp_upcasters *upcasters = new_upcasters();
    refuse(upcasters, "[]");
    refuse(upcasters, "{}");
    refuse(upcasters, "{\"type\":\"a b\",\"from\":\"1\",\"to\":\"2\",\"program\":\".\"}");
    refuse(upcasters, "{\"type\":\"a\",\"from\":\"2\",\"to\":\"1\",\"program\":\".\"}");
    refuse(upcasters, "{\"type\":\"a\",\"from\":\"1\",\"to\":\"1\",\"program\":\".\"}");
    refuse(upcasters, "{\"type\":\"a\",\"from\":1,\"to\":\"2\",\"program\":\".\"}");
    refuse(upcasters, "{\"type\":\"a\",\"from\":\"x\",\"to\":\"2\",\"program\":\".\"}");
    sp_upcasters_free(upcasters);
}

/* ---- several threads ------------------------------------------------------------------------- */

enum { THREADS = 4, EVENTS = 200 };

static void *upcast_many(void *context) {
    uintptr_t wrong = 0;
    for (unsigned i = 0; i < EVENTS; i++) {
        bool changed = false;
        sp_str version;
        sp_str data;
        sp_status status = sp_upcast_data(context, SP_STR("order.placed"), SP_STR("1"), true,
                                          SP_STR("{\"a\":1}"), &changed, &version, &data, NULL);
        wrong += status != SP_OK || !changed || !sp_str_eq(data, SP_STR("{\"b\":1}"));
    }
    return (void *)wrong; /* NOLINT: a count in a pointer */
}

static void test_threads(void **state) {
    (void)state;
    struct sp_upcasters *upcasters = new_upcasters();
    pthread_t threads[THREADS];
    add(upcasters, "1", "2", "{b: .a}");
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, upcast_many, upcasters), 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        add(upcasters, "50", "60", "."); /* the table changes meanwhile */
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    expect(upcasters, "1", "{\"a\":1}", "2", "{\"b\":1}");
    sp_upcasters_free(upcasters);
}

int main(int argc, char *argv[]) {
    int code = 0;
    if (sp_jq_worker_main(argc, argv, &code)) {
        return code;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),    cmocka_unit_test(test_chains),
        cmocka_unit_test(test_broken_ones), cmocka_unit_test(test_events_that_are_none),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
