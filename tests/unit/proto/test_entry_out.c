#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "entry_help.h"
#include "event/event_json.h"

/* An event as it comes from elsewhere. */
static struct trip *other_way(void) {
    struct trip *trip = trip_new();
    struct sp_event *event = &trip->event;
    memset(event, 0, offsetof(struct sp_event, extensions));
    event->attr[SP_ATTR_TYPE] = SP_STR("order.placed");
    event->attr[SP_ATTR_SOURCE] = SP_STR("shop");
    event->attr[SP_ATTR_STREAM] = SP_STR("order-1");
    event->attr[SP_ATTR_ID] = SP_STR("e1");
    event->attr[SP_ATTR_CORRELATION] = SP_STR("run1");
    return trip;
}

static void extend(struct trip *trip, const char *name, const char *value) {
    trip->event.extensions[trip->event.extension_count++] =
        (struct sp_extension){.name = sp_str_from(name), .value = sp_str_from(value)};
}

static void set_data(struct trip *trip, const char *data, bool is_json) {
    trip->event.has_data = true;
    trip->event.data = sp_str_from(data);
    trip->event.data_is_json = is_json;
}

/* Fails unless the event shows these names and values, separated by spaces. */
static void shows(struct trip *trip, const char *expected) {
    trip_show(trip);
    struct sp_buf text;
    sp_buf_init(&text, 1 << 20);
    for (uint32_t i = 0; i < trip->shown.argc; i++) {
        sp_buf_add_str(&text, i > 0 ? SP_STR(" ") : SP_STR(""));
        sp_buf_add_str(&text, trip->shown.args[i]);
    }
    text_is(sp_buf_str(&text), expected);
    sp_buf_fini(&text);
}

#define PLAIN "id e1 type order.placed source shop correlationid run1"

static void other_events_show_their_attributes(void **state) {
    (void)state;
    struct trip *trip = other_way();
    shows(trip, PLAIN);
    set_data(trip, "{\"a\":1}", true);
    extend(trip, "region", "eu");
    extend(trip, "streamentryid", "1-1");
    trip->event.attr[SP_ATTR_METADATA] = SP_STR("{}");
    trip->event.attr[SP_ATTR_TIME] = SP_STR("2026-11-20T00:00:00Z");
    trip->event.attr[SP_ATTR_CAUSATION] = SP_STR("e0");
    trip->event.attr[SP_ATTR_SCHEMAVERSION] = SP_STR("1");
    shows(trip, "id e1 type order.placed source shop time 2026-11-20T00:00:00Z correlationid run1 "
                "causationid e0 schemaversion 1 data {\"a\":1} metadata {} region eu");
    trip_free(trip);
}

/* Whatever a layout says, it is believed only where the event bears it out. */
static void layouts_that_do_not_fit_are_not_believed(void **state) {
    (void)state;
    static const char *const BAD[] = {
        "tt",
        "te",
        "w",
        "W2026;",
        "Wx",
        "W",
        "A",
        "!",
        "m",
        "0",
        "t0",
        "t3",
        "99999999999999999999999",
        "\xff",
        "t;",
        "t.",
        "T",
        "Tx;",
        "ts1sd",
        "d1t",
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct trip *trip = other_way();
        set_data(trip, "{\"a\":\"1\",\"b\":\"2\"}", true);
        extend(trip, "redisfields", BAD[i]);
        shows(trip, PLAIN " data {\"a\":\"1\",\"b\":\"2\"}");
        trip_free(trip);
    }
    struct trip *trip = other_way();
    set_data(trip, "{\"a\":\"1\",\"b\":\"2\"}", true);
    extend(trip, "redisfields", "1t1s");
    shows(trip, "a 1 type order.placed b 2 source shop");
    extend(trip, "extra", "x"); /* it has no place among the fields */
    shows(trip, PLAIN " data {\"a\":\"1\",\"b\":\"2\"} extra x");
    trip_free(trip);
}

static void data_that_is_no_field_list_is_shown_as_data(void **state) {
    (void)state;
    static const char *const OBJECTS[] = {"{\"a\":1}", "{\"a\":\"1\",\"b\":[]}", "[]", "\"a\"",
                                          "{}"};
    static const char *const BULKS[] = {
        "",
        "$1\r\na\r\n",
        "$1\r\na\r\n$2\r\nb\r\n",
        "$1\r\na\r\n$\r\nb\r\n",
        "x",
        "$1\r\na\r\n$99999999999999999999\r\nb\r\n",
        "$1\r\na\r\n$1\r\nb\r\nz",
        "$1\na\n",
        "$1\r\na\r\n$1\r\nb\n\n",
    };
    for (size_t i = 0; i < sizeof(OBJECTS) / sizeof(OBJECTS[0]); i++) {
        struct trip *trip = other_way();
        trip->event.attr[SP_ATTR_TYPE] = SP_STR("redis.entry");
        set_data(trip, OBJECTS[i], true);
        trip_show(trip);
        assert_int_equal(trip->shown.argc, 10);
        text_is(trip->shown.args[9], OBJECTS[i]);
        trip_free(trip);
    }
    for (size_t i = 0; i < sizeof(BULKS) / sizeof(BULKS[0]); i++) {
        struct trip *trip = other_way();
        trip->event.attr[SP_ATTR_TYPE] = SP_STR("redis.entry");
        trip->event.attr[SP_ATTR_CONTENTTYPE] = SP_STR("application/vnd.redis.fields");
        set_data(trip, BULKS[i], false);
        trip_show(trip);
        assert_int_equal(trip->shown.argc, 10);
        text_is(trip->shown.args[9], BULKS[i]);
        trip_free(trip);
    }
}

static void an_object_of_strings_under_the_type_is_fields(void **state) {
    (void)state;
    struct trip *trip = other_way();
    trip->event.attr[SP_ATTR_TYPE] = SP_STR("redis.entry");
    set_data(trip, " { \"a\\u0041\" : \"\\ud83d\\ude00\\n\" , \"\": \"\" } ", true);
    shows(trip, "aA \xf0\x9f\x98\x80\n  ");
    assert_int_equal(trip->shown.argc, 4);
    trip->event.attr[SP_ATTR_TIME] = SP_STR("2026-11-20T00:00:00Z"); /* XADD would have said so */
    trip_show(trip);
    assert_int_equal(trip->shown.argc, 12);
    trip_free(trip);
}

static const char *const NAMES[] = {
    "type",
    "event_type",
    "source",
    "source_agent",
    "agent_id",
    "agent_name",
    "agent",
    "event_id",
    "time",
    "timestamp",
    "correlationid",
    "correlation_id",
    "correlationId",
    "conversation_id",
    "causationid",
    "causation_id",
    "causationId",
    "schemaversion",
    "parent_event_id",
    "schema_version",
    "schemaVersion",
    "event_version",
    "metadata",
    "datacontenttype",
    "data",
    "payload",
    "id",
    "stream",
    "stream_id",
    "position",
    "data_base64",
    "redisfields",
    "streamentryid",
    "$id",
    "specversion",
};

static const char *const VALUES[] = {
    "order.placed",
    "a.*",
    "",
    "2026-11-20T05:49:12Z",
    "2026-11-20",
    "1795153752",
    "{\"a\":[1,2]}",
    "{\"correlationId\":\"m\"}",
    "[1]",
    "null",
    "\"text\"",
    "12.5",
    "plain words",
    "\xff\xfe",
    "a\nb",
    "application/json",
    "image/png",
    "application/vnd.redis.fields",
    "quote\"back\\slash",
    "\xc3\xa4",
    "t",
    "0",
    "yesterday",
    "\x01",
};

enum { RANDOM_FIELDS_MAX = 400, RANDOM_BYTES_MAX = 1 << 16 };

struct random_fields {
    struct sp_prng prng;
    sp_str fields[2 * RANDOM_FIELDS_MAX];
    char bytes[RANDOM_BYTES_MAX];
    size_t used;
};

static uint32_t below(struct random_fields *r, uint32_t bound) {
    return sp_prng_below(&r->prng, bound);
}

/* A text of random bytes of one of three alphabets. */
static sp_str random_text(struct random_fields *r, uint32_t len_max) {
    size_t len = below(r, len_max);
    uint32_t kind = below(r, 3);
    char *at = r->bytes + r->used;
    assert_true(r->used + len <= sizeof(r->bytes));
    for (size_t i = 0; i < len; i++) {
        at[i] = kind == 0 ? (char)below(r, 256) : (char)('a' + below(r, kind == 1 ? 3 : 26));
    }
    r->used += len;
    return sp_str_of(at, len);
}

static void fill(struct random_fields *r, struct sp_entry *entry) {
    uint32_t count = below(r, 20) == 0 ? 1 + below(r, RANDOM_FIELDS_MAX) : 1 + below(r, 8);
    uint32_t known = 1 + below(r, 4); /* one in so many names is of the table */
    bool tame = below(r, 2) == 0;
    r->used = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool from_table = below(r, known) == 0;
        r->fields[2 * i] = from_table ? sp_str_from(NAMES[below(r, sizeof(NAMES) / sizeof(*NAMES))])
                                      : random_text(r, 20);
        if (tame && !from_table) {
            r->fields[2 * i] = sp_str_from(&"abcdefghijklmnopqrstuvwxyz"[below(r, 26)]);
        }
        r->fields[2 * i + 1] = below(r, 2) == 0
                                   ? sp_str_from(VALUES[below(r, sizeof(VALUES) / sizeof(*VALUES))])
                                   : random_text(r, below(r, 50) == 0 ? 500 : 40);
    }
    entry->fields = r->fields;
    entry->count = 2 * count;
    entry->iid = below(r, 10) == 0 ? random_text(r, 30) : sp_str_of(NULL, 0);
    entry->producer = random_text(r, 10);
    entry->own_id = below(r, 5) == 0 ? (struct sp_entry_id){.ms = below(r, 1000) + 1, .seq = 7}
                                     : SP_ENTRY_ID_NONE;
}

static bool has_line_break(const struct sp_entry *entry) {
    for (uint32_t i = 0; i < entry->count; i++) {
        sp_str text = entry->fields[i];
        if (text.len > 0 &&
            (memchr(text.ptr, '\n', text.len) || memchr(text.ptr, '\r', text.len))) {
            return true;
        }
    }
    return false;
}

/* An event that was exported and imported gives the same fields. */
static void by_way_of_json(struct trip *trip) {
    struct sp_buf line;
    struct sp_buf scratch;
    struct sp_error error;
    sp_buf_init(&line, SIZE_MAX);
    sp_buf_init(&scratch, SIZE_MAX);
    sp_event_to_json(&trip->event, NULL, &line);
    assert_int_equal(line.status, SP_OK);
    if (sp_event_from_json(sp_buf_str(&line), SP_EVENT_LENIENT, &scratch, &trip->event, &error) !=
        SP_OK) {
        fail_msg("%s in %.*s", error.text, SP_STR_ARG(sp_buf_str(&line)));
    }
    assert_int_equal(
        sp_event_check(&trip->event, SP_EVENT_FROM_JSON, &trip->limits, &scratch, &error), SP_OK);
    trip_show(trip);
    trip_compare(trip);
    sp_buf_fini(&line);
    sp_buf_fini(&scratch);
}

static void random_fields_come_back(void **state) {
    (void)state;
    struct random_fields *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->prng = sp_prng_seed(2026);
    struct trip *trip = trip_new();
    uint32_t kinds[4] = {0}; /* object, bulk strings, extensions, json */
    for (int round = 0; round < 20000; round++) {
        fill(r, &trip->entry);
        trip_same(trip);
        bool bulks = sp_str_eq(trip->event.attr[SP_ATTR_CONTENTTYPE], SP_STR(SP_ENTRY_FIELDS_TYPE));
        kinds[bulks]++;
        kinds[2] += trip->event.extension_count > 2;
        if (!has_line_break(&trip->entry)) {
            by_way_of_json(trip);
            kinds[3]++;
        }
    }
    for (size_t i = 0; i < 4; i++) {
        assert_true(kinds[i] > 500);
    }
    trip_free(trip);
    free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_events_show_their_attributes),
        cmocka_unit_test(layouts_that_do_not_fit_are_not_believed),
        cmocka_unit_test(data_that_is_no_field_list_is_shown_as_data),
        cmocka_unit_test(an_object_of_strings_under_the_type_is_fields),
        cmocka_unit_test(random_fields_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
