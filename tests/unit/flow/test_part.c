/* What acts write: events out of the builder; and patterns that several parts wait for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/part.h"
#include "flow/watch.h"

static void assert_str(sp_str text, const char *expected) {
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

static void write_one(struct sp_flow_out *out) {
    sp_flow_out_begin(out, SP_STR("a.b"), SP_STR("s"));
    sp_flow_out_attr(out, SP_ATTR_ID, SP_STR("i"));
    sp_flow_out_text(out, SP_STR("step"), SP_STR(""));
    sp_flow_out_number(out, SP_STR("n"), UINT64_MAX);
    sp_buf_add_str(sp_flow_out_data_begin(out), SP_STR("{\"x\":1}"));
    sp_flow_out_data_end(out);
}

static void check_one(const struct sp_event *event) {
    assert_str(event->attr[SP_ATTR_TYPE], "a.b");
    assert_str(event->attr[SP_ATTR_SOURCE], "spoor");
    assert_str(event->attr[SP_ATTR_STREAM], "s");
    assert_str(event->attr[SP_ATTR_ID], "i");
    assert_null(event->attr[SP_ATTR_CAUSATION].ptr);
    assert_str(event->data, "{\"x\":1}");
    assert_true(event->has_data && event->data_is_json);
    assert_int_equal(event->extension_count, 2);
    assert_str(event->extensions[0].name, "step");
    assert_non_null(event->extensions[0].value.ptr);
    assert_int_equal(event->extensions[0].value.len, 0);
    assert_str(event->extensions[1].value, "18446744073709551615");
    assert_int_equal(event->extensions[1].kind, SP_VALUE_JSON);
}

static void test_out(void **state) {
    (void)state;
    struct sp_flow_out out;
    struct sp_event event;
    struct sp_event copied;
    sp_flow_out_init(&out);
    write_one(&out);
    sp_flow_out_begin(&out, SP_STR("c"), SP_STR("t"));
    sp_flow_out_attr(&out, SP_ATTR_SOURCE, SP_STR("me"));
    sp_flow_out_number(&out, SP_STR("zero"), 0);
    assert_int_equal(sp_flow_out_status(&out), SP_OK);
    assert_int_equal(out.count, 2);
    sp_flow_out_event(&out, 0, &event);
    check_one(&event);
    struct sp_flow_out other;
    sp_flow_out_init(&other);
    sp_flow_out_copy(&other, &event);
    sp_flow_out_event(&other, 0, &copied);
    check_one(&copied);
    sp_flow_out_event(&out, 1, &event);
    assert_str(event.attr[SP_ATTR_SOURCE], "me");
    assert_str(event.extensions[0].value, "0");
    assert_false(event.has_data);
    sp_flow_out_fini(&other);
    sp_flow_out_reset(&out);
    assert_int_equal(out.count, 0);
    sp_flow_out_fini(&out);
}

static void test_out_is_limited(void **state) {
    (void)state;
    struct sp_flow_out out;
    sp_flow_out_init(&out);
    for (unsigned i = 0; i < SP_FLOW_OUT_EVENTS_MAX; i++) {
        write_one(&out);
    }
    assert_int_equal(sp_flow_out_status(&out), SP_OK);
    write_one(&out);
    assert_int_equal(sp_flow_out_status(&out), SP_LIMIT);
    sp_flow_out_reset(&out);
    write_one(&out);
    assert_int_equal(sp_flow_out_status(&out), SP_OK);
    sp_flow_out_fini(&out);
}

static void test_watch(void **state) {
    (void)state;
    struct sp_watch watch;
    uint32_t a = 0;
    uint32_t b = 0;
    uint32_t again = 0;
    sp_watch_init(&watch);
    assert_false(sp_watch_match(&watch, SP_STR("x.y")));
    assert_int_equal(sp_watch_add(&watch, SP_STR("x.*"), &a, NULL), SP_OK);
    assert_int_equal(sp_watch_add(&watch, SP_STR("x.y"), &b, NULL), SP_OK);
    assert_int_equal(sp_watch_add(&watch, SP_STR("x.*"), &again, NULL), SP_OK);
    assert_int_equal(a, again);
    assert_true(sp_watch_match(&watch, SP_STR("x.y")));
    assert_int_equal(watch.matched_count, 2);
    sp_watch_remove(&watch, a);
    assert_true(sp_watch_match(&watch, SP_STR("x.z")));
    assert_int_equal(watch.matched[0], a);
    sp_watch_remove(&watch, a);
    assert_false(sp_watch_match(&watch, SP_STR("x.z")));
    assert_int_equal(sp_watch_add(&watch, SP_STR("q"), &again, NULL), SP_OK);
    assert_int_equal(again, a); /* the number was free */
    assert_int_equal(watch.live, 2);
    assert_int_equal(sp_watch_add(&watch, SP_STR(""), &again, NULL), SP_INVALID);
    assert_int_equal(sp_watch_add(&watch, SP_STR("a.>.b"), &again, NULL), SP_INVALID);
    assert_int_equal(watch.live, 2);
    for (unsigned i = 0; i < 100; i++) {
        char text[2] = {(char)('A' + i % 26), (char)('a' + i / 26)};
        assert_int_equal(sp_watch_add(&watch, sp_str_of(text, 2), &again, NULL), SP_OK);
    }
    assert_true(sp_watch_match(&watch, SP_STR("Zc")));
    sp_watch_fini(&watch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out),
        cmocka_unit_test(test_out_is_limited),
        cmocka_unit_test(test_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
