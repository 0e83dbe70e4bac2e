#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "event/envelope.h"

struct fixture {
    struct sp_event event;
    struct sp_buf scratch;
    struct sp_error error;
    struct sp_event_limits limits;
};

/* An event with no more than a producer must give. */
static struct fixture *fixture_new(void) {
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    sp_buf_init(&f->scratch, 1 << 20);
    f->limits = SP_EVENT_LIMITS_DEFAULT;
    f->event.attr[SP_ATTR_TYPE] = SP_STR("task.done");
    f->event.attr[SP_ATTR_SOURCE] = SP_STR("agent-1");
    return f;
}

static void fixture_free(struct fixture *f) {
    sp_buf_fini(&f->scratch);
    free(f);
}

static sp_status check(struct fixture *f) {
    sp_error_clear(&f->error);
    return sp_event_check(&f->event, SP_EVENT_FROM_FIELDS, &f->limits, &f->scratch, &f->error);
}

static void passes(struct fixture *f) {
    if (check(f) != SP_OK) {
        fail_msg("%s", f->error.text);
    }
}

static void fails(struct fixture *f, sp_status status, const char *text) {
    assert_int_equal(check(f), status);
    if (strstr(f->error.text, text) == NULL) {
        fail_msg("expected %s in: %s", text, f->error.text);
    }
}

static void attr_is(const struct fixture *f, enum sp_attr attr, const char *expected) {
    sp_str value = f->event.attr[attr];
    if (!sp_str_eq(value, sp_str_from(expected)) || (value.ptr == NULL) != (expected == NULL)) {
        fail_msg("%s is %.*s", sp_attr_name(attr).ptr, SP_STR_ARG(value));
    }
}

static void the_least_event_is_completed(void **state) {
    (void)state;
    struct fixture *f = fixture_new();
    passes(f);
    attr_is(f, SP_ATTR_STREAM, "agent-1");
    attr_is(f, SP_ATTR_ID, NULL);
    attr_is(f, SP_ATTR_CORRELATION, NULL);
    attr_is(f, SP_ATTR_CONTENTTYPE, NULL);
    assert_false(f->event.has_data);
    fixture_free(f);
}

static void a_stream_that_is_given_stays(void **state) {
    (void)state;
    struct fixture *f = fixture_new();
    f->event.attr[SP_ATTR_STREAM] = SP_STR("task-7");
    passes(f);
    attr_is(f, SP_ATTR_STREAM, "task-7");
    fixture_free(f);
}

static void what_must_be_there_is_demanded(void **state) {
    (void)state;
    static const enum sp_attr NAMES[] = {SP_ATTR_TYPE, SP_ATTR_SOURCE, SP_ATTR_ID, SP_ATTR_STREAM};
    for (size_t i = 0; i < 4; i++) {
        struct fixture *f = fixture_new();
        f->event.attr[NAMES[i]] = SP_STR("");
        fails(f, SP_INVALID, sp_attr_name(NAMES[i]).ptr);
        fails(f, SP_INVALID, "expected");
        f->event.attr[NAMES[i]] = sp_str_of(NULL, 0);
        assert_int_equal(check(f), i < 2 ? SP_INVALID : SP_OK);
        fixture_free(f);
    }
}

static void empty_optional_attributes_are_absent(void **state) {
    (void)state;
    static const enum sp_attr NAMES[] = {SP_ATTR_CORRELATION, SP_ATTR_CAUSATION, SP_ATTR_TIME,
                                         SP_ATTR_SCHEMAVERSION, SP_ATTR_CONTENTTYPE};
    struct fixture *f = fixture_new();
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        f->event.attr[NAMES[i]] = SP_STR("");
    }
    passes(f);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        attr_is(f, NAMES[i], NULL);
    }
    fixture_free(f);
}

static void attributes_are_text_of_limited_length(void **state) {
    (void)state;
    static char long_one[SP_EVENT_ID_BYTES_MAX + 1];
    memset(long_one, 'x', sizeof(long_one));
    for (int i = 0; i < SP_ATTR_COUNT; i++) {
        if (i == SP_ATTR_METADATA) {
            continue;
        }
        struct fixture *f = fixture_new();
        const char *name = sp_attr_name((enum sp_attr)i).ptr;
        f->event.attr[i] = SP_STR("a\nb");
        fails(f, SP_INVALID, name);
        fails(f, SP_INVALID, "control character");
        f->event.attr[i] = SP_STR("a\xc0\x80");
        fails(f, SP_INVALID, "not UTF-8");
        f->event.attr[i] = sp_str_of(long_one, sizeof(long_one));
        fails(f, SP_INVALID, "4097 bytes");
        fixture_free(f);
    }
}

static void times_become_rfc_3339(void **state) {
    (void)state;
    static const struct {
        const char *given;
        const char *kept;
    } CASES[] = {
        {"2026-11-20T05:49:12.5+01:00", "2026-11-20T05:49:12.5+01:00"},
        {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
        {"2026-11-20t05:49:12z", "2026-11-20t05:49:12z"},
        {"2026-11-20T05:49:12.123456789", "2026-11-20T05:49:12.123456789Z"},
        {"2026-11-20 05:49:12", "2026-11-20 05:49:12Z"},
        {"2026-11-20", "2026-11-20T00:00:00Z"},
        {"1795153752", "2026-11-20T05:49:12.000000Z"},
        {"1795153752.25", "2026-11-20T05:49:12.250000Z"},
        {"1795153752.1234567", "2026-11-20T05:49:12.123457Z"},
        {"1795153752123", "2026-11-20T05:49:12.123000Z"},
        {"1795153752123.5", "2026-11-20T05:49:12.123500Z"},
        {"1.795153752e9", "2026-11-20T05:49:12.000000Z"},
        {"0", "1970-01-01T00:00:00.000000Z"},
        {"99999999999", "5138-11-16T09:46:39.000000Z"},
        {"100000000000", "1973-03-03T09:46:40.000000Z"},
        {"253402300799999", "9999-12-31T23:59:59.999000Z"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct fixture *f = fixture_new();
        f->event.attr[SP_ATTR_TIME] = sp_str_from(CASES[i].given);
        passes(f);
        attr_is(f, SP_ATTR_TIME, CASES[i].kept);
        passes(f);
        attr_is(f, SP_ATTR_TIME, CASES[i].kept);
        fixture_free(f);
    }
    static const char *const WRONG[] = {"yesterday",
                                        "-1",
                                        "1e400",
                                        "253402300800000",
                                        "12:30",
                                        "2026-11-20T05:49",
                                        "1 2",
                                        "1795153752123456",
                                        "2026-11-20T05:49:12.0000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct fixture *f = fixture_new();
        f->event.attr[SP_ATTR_TIME] = sp_str_from(WRONG[i]);
        fails(f, SP_INVALID, "time: ");
        fixture_free(f);
    }
}

static void ids_in_metadata_count_where_none_is_given(void **state) {
    (void)state;
    struct fixture *f = fixture_new();
    f->event.attr[SP_ATTR_METADATA] =
        SP_STR("{\"x\":{\"correlationId\":\"no\"},"
               "\"correlationId\":\"run-1\",\"causationId\":\"e\\u002d1\"}");
    passes(f);
    attr_is(f, SP_ATTR_CORRELATION, "run-1");
    attr_is(f, SP_ATTR_CAUSATION, "e-1");
    fixture_free(f);

    f = fixture_new();
    f->event.attr[SP_ATTR_CORRELATION] = SP_STR("given");
    f->event.attr[SP_ATTR_METADATA] =
        SP_STR("{\"correlation_id\":\"other\",\"parent_event_id\":17}");
    passes(f);
    attr_is(f, SP_ATTR_CORRELATION, "given");
    attr_is(f, SP_ATTR_CAUSATION, "17");
    fixture_free(f);

    f = fixture_new();
    f->event.attr[SP_ATTR_METADATA] =
        SP_STR("{\"conversation_id\":\"late\",\"correlationId\":\"better\",\"causationid\":null,"
               "\"causationId\":\"\",\"causation_id\":\"a\\nb\"}");
    passes(f);
    attr_is(f, SP_ATTR_CORRELATION, "better");
    attr_is(f, SP_ATTR_CAUSATION, NULL);
    fixture_free(f);
}

static void metadata_is_an_object(void **state) {
    (void)state;
    static const char *const WRONG[] = {"[]", "1", "\"{}\"", "null", "", "{", "{\"a\":1}}"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct fixture *f = fixture_new();
        f->event.attr[SP_ATTR_METADATA] = sp_str_from(WRONG[i]);
        fails(f, SP_INVALID, "metadata: ");
        fixture_free(f);
    }
}

static struct fixture *with_data(const char *data, size_t len, bool is_json, const char *type) {
    struct fixture *f = fixture_new();
    f->event.has_data = true;
    f->event.data = sp_str_of(data, len);
    f->event.data_is_json = is_json;
    f->event.attr[SP_ATTR_CONTENTTYPE] = sp_str_from(type);
    return f;
}

static void data_is_json_or_bytes_with_a_type(void **state) {
    (void)state;
    static const struct {
        const char *data;
        bool given;
        const char *type;
        bool is_json;
        const char *kept;
    } CASES[] = {
        {"{\"a\":1}", true, NULL, true, NULL},
        {"{\"a\":1}", false, NULL, true, NULL},
        {" 12 ", false, NULL, true, NULL},
        {"hello", false, NULL, false, "text/plain"},
        {"", false, NULL, false, "text/plain"},
        {"h\xff", false, NULL, false, "application/octet-stream"},
        {"{}", false, "application/json", true, "application/json"},
        {"{}", false, "text/plain", false, "text/plain"},
        {"{}", true, "text/csv", true, "text/csv"},
        {"\"a,b\"", true, "text/csv", false, "text/csv"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct fixture *f =
            with_data(CASES[i].data, strlen(CASES[i].data), CASES[i].given, CASES[i].type);
        passes(f);
        assert_int_equal(f->event.data_is_json, CASES[i].is_json);
        attr_is(f, SP_ATTR_CONTENTTYPE, CASES[i].kept);
        passes(f);
        assert_int_equal(f->event.data_is_json, CASES[i].is_json);
        fixture_free(f);
    }
    struct fixture *f = with_data("hello", 5, true, NULL);
    fails(f, SP_INVALID, "data: byte 0");
    fixture_free(f);
    f = with_data("hello", 5, false, "application/json");
    fails(f, SP_INVALID, "data, JSON by its datacontenttype: byte 0");
    fixture_free(f);
}

static void nesting_leaves_room_for_the_event_around_it(void **state) {
    (void)state;
    char text[2 * SP_JSON_DEPTH_MAX];
    for (size_t depth = SP_JSON_DEPTH_MAX - 1; depth <= SP_JSON_DEPTH_MAX; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct fixture *f = with_data(text, 2 * depth, true, NULL);
        assert_int_equal(check(f), depth < SP_JSON_DEPTH_MAX ? SP_OK : SP_INVALID);
        fixture_free(f);
    }
}

static void extensions_are_checked(void **state) {
    (void)state;
    struct fixture *f = fixture_new();
    f->event.extension_count = 2;
    f->event.extensions[0] = (struct sp_extension){.name = SP_STR("id"), .value = SP_STR("\xff")};
    f->event.extensions[1] =
        (struct sp_extension){.name = SP_STR("seq"), .value = SP_STR("12"), .kind = SP_VALUE_JSON};
    passes(f);
    f->event.extensions[1].value = SP_STR("1x");
    fails(f, SP_INVALID, "attribute seq: ");
    f->event.extensions[1].value = SP_STR("1");
    f->event.extensions[1].name = SP_STR("");
    fails(f, SP_INVALID, "without a name");
    fixture_free(f);
}

static void limits_hold(void **state) {
    (void)state;
    static char names[SP_EVENT_EXTENSIONS_MAX][4];
    struct fixture *f = fixture_new();
    f->limits.attributes_max = 40;
    for (unsigned i = 0; i < 38; i++) {
        names[i][0] = 'x';
        names[i][1] = (char)('a' + i / 26);
        names[i][2] = (char)('a' + i % 26);
        f->event.extensions[i] =
            (struct sp_extension){.name = sp_str_of(names[i], 3), .value = SP_STR("1")};
    }
    f->event.extension_count = 38;
    passes(f);
    f->event.attr[SP_ATTR_STREAM] = SP_STR("s");
    fails(f, SP_LIMIT, "found 41 attributes, expected at most 40");
    f->event.attr[SP_ATTR_STREAM] = sp_str_of(NULL, 0);
    f->event.extension_count = 0;
    size_t size = sp_event_size(&f->event);
    assert_int_equal(size, strlen("typetask.donesourceagent-1"));
    f->limits.event_bytes_max = size;
    passes(f);
    f->event.attr[SP_ATTR_STREAM] = sp_str_of(NULL, 0);
    f->limits.event_bytes_max = size - 1;
    fails(f, SP_LIMIT, "expected at most 25");
    fixture_free(f);
}

static void without_memory_it_says_so(void **state) {
    (void)state;
    struct fixture *f = fixture_new();
    sp_buf_fini(&f->scratch);
    sp_buf_init(&f->scratch, 16);
    f->event.attr[SP_ATTR_TIME] = SP_STR("2026-11-20");
    fails(f, SP_LIMIT, "time: ");
    fixture_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_event_is_completed),
        cmocka_unit_test(a_stream_that_is_given_stays),
        cmocka_unit_test(what_must_be_there_is_demanded),
        cmocka_unit_test(empty_optional_attributes_are_absent),
        cmocka_unit_test(attributes_are_text_of_limited_length),
        cmocka_unit_test(times_become_rfc_3339),
        cmocka_unit_test(ids_in_metadata_count_where_none_is_given),
        cmocka_unit_test(metadata_is_an_object),
        cmocka_unit_test(data_is_json_or_bytes_with_a_type),
        cmocka_unit_test(nesting_leaves_room_for_the_event_around_it),
        cmocka_unit_test(extensions_are_checked),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
