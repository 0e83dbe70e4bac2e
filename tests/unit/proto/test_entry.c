#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "entry_help.h"
#include "event/event_json.h"
#include "proto/entry_layout.h"

#define END ((const char *)NULL)

static void attr_is(const struct trip *trip, enum sp_attr attr, const char *expected) {
    text_is(trip->event.attr[attr], expected);
}

static void layout_is(const struct trip *trip, const char *expected) {
    text_is(trip_extension(trip, "redisfields"), expected);
}

static void plain_fields_are_an_object(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip_fields(trip, "f", "value", END);
    attr_is(trip, SP_ATTR_TYPE, "redis.entry");
    attr_is(trip, SP_ATTR_SOURCE, "client-1");
    attr_is(trip, SP_ATTR_STREAM, "orders");
    attr_is(trip, SP_ATTR_CONTENTTYPE, NULL);
    assert_true(trip->event.data_is_json);
    text_is(trip->event.data, "{\"f\":\"value\"}");
    assert_int_equal(trip->event.extension_count, 0);
    trip_fields(trip, "id", "7", "", "", "quote\"", "line\n\\ \x01 \xc3\xa4", "stream", "s",
                "position", "3", "version", "2", "redisfields", "x", END);
    text_is(
        trip->event.data,
        "{\"id\":\"7\",\"\":\"\",\"quote\\\"\":\"line\\n\\\\ \\u0001 \xc3\xa4\",\"stream\":\"s\","
        "\"position\":\"3\",\"version\":\"2\",\"redisfields\":\"x\"}");
    assert_int_equal(trip->event.extension_count, 0);
    trip_free(trip);
}

static void attributes_are_taken_out(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip_fields(trip, "type", "order.placed", "amount", "5", "currency", "EUR", END);
    attr_is(trip, SP_ATTR_TYPE, "order.placed");
    text_is(trip->event.data, "{\"amount\":\"5\",\"currency\":\"EUR\"}");
    layout_is(trip, "t");
    trip_fields(trip, "amount", "5", "event_type", "order.placed", "x", "1", "y", "2", "agent", "a",
                "z", "3", END);
    attr_is(trip, SP_ATTR_SOURCE, "a");
    text_is(trip->event.data, "{\"amount\":\"5\",\"x\":\"1\",\"y\":\"2\",\"z\":\"3\"}");
    layout_is(trip, "1e2g");
    trip_fields(trip, "type", "only.type", END);
    assert_false(trip->event.has_data);
    layout_is(trip, "t");
    trip_fields(trip, "event_id", "e-1", "correlationId", "run", "parent_event_id", "e-0",
                "schema_version", "2", "metadata", "{\"a\": 1}", END);
    attr_is(trip, SP_ATTR_ID, "e-1");
    attr_is(trip, SP_ATTR_CORRELATION, "run");
    attr_is(trip, SP_ATTR_CAUSATION, "e-0");
    attr_is(trip, SP_ATTR_SCHEMAVERSION, "2");
    attr_is(trip, SP_ATTR_METADATA, "{\"a\": 1}");
    layout_is(trip, "irqfm");
    trip_free(trip);
}

static void the_first_usable_spelling_wins(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip_fields(trip, "agent_id", "a", "source", "b", "data", "1", END);
    attr_is(trip, SP_ATTR_SOURCE, "a");
    text_is(trip_extension(trip, "source"), "b");
    layout_is(trip, "a1d");
    trip_fields(trip, "type", "not a topic", "event_type", "good", "data", "1", END);
    attr_is(trip, SP_ATTR_TYPE, "good");
    text_is(trip_extension(trip, "type"), "not a topic");
    trip_fields(trip, "data", "1", "payload", "2", END);
    text_is(trip->event.data, "1");
    text_is(trip_extension(trip, "payload"), "2");
    layout_is(trip, "d");
    trip_free(trip);
}

static void what_an_attribute_cannot_be_stays_a_field(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip_fields(trip, "type", "a.*.b", "source", "", "time", "yesterday", "metadata", "[1]",
                "causationid", "a\nb", "payload", "x", END);
    attr_is(trip, SP_ATTR_TYPE, "redis.entry");
    attr_is(trip, SP_ATTR_SOURCE, "client-1");
    attr_is(trip, SP_ATTR_TIME, NULL);
    attr_is(trip, SP_ATTR_METADATA, NULL);
    text_is(trip_extension(trip, "time"), "yesterday");
    text_is(trip_extension(trip, "metadata"), "[1]");
    layout_is(trip, "5p");
    trip_fields(trip, "type", "", END);
    text_is(trip->event.data, "{\"type\":\"\"}");
    layout_is(trip, NULL);
    trip_fields(trip, "time", "2026-13-40", "metadata", "", "type", "#", END);
    layout_is(trip, NULL);
    trip_free(trip);
}

static void times_are_completed_and_given_back(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip_fields(trip, "time", "2026-11-20T05:49:12+01:00", "f", "v", END);
    attr_is(trip, SP_ATTR_TIME, "2026-11-20T05:49:12+01:00");
    layout_is(trip, "w");
    trip_fields(trip, "f", "v", "timestamp", "1795153752.5", "type", "t", END);
    attr_is(trip, SP_ATTR_TIME, "2026-11-20T05:49:12.500000Z");
    layout_is(trip, "1X1795153752.5;t");
    trip_fields(trip, "time", "2026-11-20", "f", "v", END);
    attr_is(trip, SP_ATTR_TIME, "2026-11-20T00:00:00Z");
    layout_is(trip, "W2026-11-20;");
    trip_fields(trip, "time", "1795153752.50000000000000000000000000000000000000000000000000000000",
                "f", "v", END);
    attr_is(trip, SP_ATTR_TIME, NULL);
    trip_free(trip);
}

static void beside_data_other_fields_are_extensions(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip_fields(trip, "data", "{\"a\":1}", "region", "eu", "empty", "", END);
    assert_true(trip->event.data_is_json);
    text_is(trip->event.data, "{\"a\":1}");
    text_is(trip_extension(trip, "region"), "eu");
    layout_is(trip, "d");
    trip_fields(trip, "region", "eu", "payload", "plain words", END);
    assert_false(trip->event.data_is_json);
    attr_is(trip, SP_ATTR_CONTENTTYPE, "text/plain");
    layout_is(trip, "1p");
    trip_fields(trip, "data", "\xff\xfe", END);
    attr_is(trip, SP_ATTR_CONTENTTYPE, "application/octet-stream");
    trip_fields(trip, "data", "", "bytes", "\xff", END);
    assert_true(trip->event.has_data);
    attr_is(trip, SP_ATTR_CONTENTTYPE, "text/plain");
    trip_free(trip);
}

static void a_content_type_goes_with_data(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip_fields(trip, "datacontenttype", "image/png", "data", "\x89PNG", END);
    attr_is(trip, SP_ATTR_CONTENTTYPE, "image/png");
    layout_is(trip, "ld");
    trip_fields(trip, "data", "{\"a\":1}", "datacontenttype", "text/x-template", END);
    assert_false(trip->event.data_is_json);
    trip_fields(trip, "data", "{\"a\":1}", "datacontenttype", "application/json", END);
    assert_true(trip->event.data_is_json);
    trip_fields(trip, "data", "{no", "datacontenttype", "application/json", END);
    attr_is(trip, SP_ATTR_CONTENTTYPE, "text/plain");
    layout_is(trip, "d");
    trip_fields(trip, "data", "x", "datacontenttype", "application/vnd.redis.fields", END);
    attr_is(trip, SP_ATTR_CONTENTTYPE, "text/plain");
    trip_fields(trip, "datacontenttype", "image/png", "f", "v", END);
    attr_is(trip, SP_ATTR_CONTENTTYPE, NULL);
    layout_is(trip, NULL);
    trip_free(trip);
}

static void what_no_object_holds_is_kept_as_bulk_strings(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip_fields(trip, "a", "1", "a", "2", END);
    assert_false(trip->event.data_is_json);
    attr_is(trip, SP_ATTR_CONTENTTYPE, "application/vnd.redis.fields");
    text_is(trip->event.data, "$1\r\na\r\n$1\r\n1\r\n$1\r\na\r\n$1\r\n2\r\n");
    layout_is(trip, NULL);
    trip_fields(trip, "bytes", "\xff\r\n$", "type", "t", END);
    attr_is(trip, SP_ATTR_TYPE, "t");
    layout_is(trip, "1t");
    trip_fields(trip, "\xff", "x", END);
    assert_false(trip->event.data_is_json);
    trip_fields(trip, "f", "\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07", END);
    assert_false(trip->event.data_is_json); /* escapes would take six times as much */
    trip_fields(trip, "e", "\x01", END);
    assert_true(trip->event.data_is_json);
    trip_free(trip);
}

static void what_cannot_be_an_extension_joins_the_object(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip_fields(trip, "type", "t", "data", "1", "", "nameless", END);
    text_is(trip->event.data, "{\"data\":\"1\",\"\":\"nameless\"}");
    layout_is(trip, "t");
    trip_fields(trip, "data", "1", "a\nb", "x", END);
    text_is(trip->event.data, "{\"data\":\"1\",\"a\\nb\":\"x\"}");
    trip_fields(trip, "data", "1", "redisfields", "x", "streamentryid", "1-1", END);
    text_is(trip->event.data, "{\"data\":\"1\",\"redisfields\":\"x\",\"streamentryid\":\"1-1\"}");
    assert_int_equal(trip->event.extension_count, 0);
    trip_fields(trip, "data", "1", "x", "1", "x", "2", "source", "s", END);
    attr_is(trip, SP_ATTR_CONTENTTYPE, "application/vnd.redis.fields");
    attr_is(trip, SP_ATTR_SOURCE, "s");
    trip_free(trip);
}

/* Fields f0 f1 ... with their numbers as values, and data before them. */
static void many(struct trip *trip, uint32_t count, bool with_data) {
    char *texts = malloc((size_t)count * 16);
    sp_str *fields = malloc((2 * (size_t)count + 2) * sizeof(*fields));
    assert_non_null(texts);
    assert_non_null(fields);
    uint32_t at = 0;
    if (with_data) {
        fields[at++] = SP_STR("data");
        fields[at++] = SP_STR("[]");
    }
    for (uint32_t i = 0; i < count; i++) {
        int len = snprintf(texts + (size_t)16 * i, 16, "f%u", i);
        fields[at] = sp_str_of(texts + (size_t)16 * i, (size_t)len);
        fields[at + 1] = sp_str_from_byte(fields[at], 1);
        at += 2;
    }
    trip->entry.fields = fields;
    trip->entry.count = at;
    trip_same(trip);
    free(texts);
    free(fields);
}

static void many_fields_are_no_trouble(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    many(trip, 52, true);
    layout_is(trip, "d");
    assert_int_equal(trip->event.extension_count, 53);
    many(trip, 53, true);
    layout_is(trip, NULL);
    assert_true(trip->event.data_is_json);
    many(trip, 16, false);
    many(trip, 17, false);
    many(trip, 1024, false);
    assert_true(trip->event.data_is_json);
    many(trip, 1025, false);
    assert_false(trip->event.data_is_json);
    many(trip, 40000, false);
    trip->limits.attributes_max = 20;
    many(trip, 8, true);
    assert_int_equal(trip->event.extension_count, 9);
    many(trip, 9, true);
    assert_int_equal(trip->event.extension_count, 0);
    trip->limits.attributes_max = 6;
    many(trip, 1, true);
    trip_free(trip);
}

static void a_name_that_repeats_late_is_found(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    char names[100][8];
    sp_str fields[200];
    trip->entry.fields = fields;
    for (uint32_t last = 1; last < 100; last++) {
        for (uint32_t i = 0; i <= last; i++) {
            int len = snprintf(names[i], 8, "n%u", i == last ? (last * 7) % last : i);
            fields[2 * i] = sp_str_of(names[i], (size_t)len);
            fields[2 * i + 1] = SP_STR("v");
        }
        trip->entry.count = 2 * last + 2;
        trip_same(trip);
        assert_false(trip->event.data_is_json);
    }
    trip_free(trip);
}

static void size_decides_where_json_would_be_too_long(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    char *quotes = malloc(1000);
    assert_non_null(quotes);
    memset(quotes, '"', 1000);
    sp_str fields[] = {SP_STR("f"), sp_str_of(quotes, 1000)};
    trip->entry.fields = fields;
    trip->entry.count = 2;
    trip_same(trip);
    assert_true(trip->event.data_is_json);
    trip->limits.event_bytes_max = 1500;
    trip_same(trip);
    assert_false(trip->event.data_is_json);
    free(quotes);
    trip_free(trip);
}

static void idempotent_entries_have_an_id_of_their_own(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip->entry.producer = SP_STR("p1");
    trip->entry.iid = SP_STR("i1");
    trip_fields(trip, "f", "v", END);
    char first[37] = "";
    memcpy(first, trip->event.attr[SP_ATTR_ID].ptr, 36);
    assert_int_equal(trip->event.attr[SP_ATTR_ID].len, 36);
    assert_int_equal(first[14], '8');
    attr_is(trip, SP_ATTR_SOURCE, "p1");
    trip_fields(trip, "g", "other", "event_id", "mine", "source", "s", END);
    attr_is(trip, SP_ATTR_ID, first);
    attr_is(trip, SP_ATTR_SOURCE, "s");
    text_is(trip->event.data, "{\"g\":\"other\",\"event_id\":\"mine\"}");
    trip->entry.producer = SP_STR("p1i");
    trip->entry.iid = SP_STR("1");
    trip_fields(trip, "f", "v", END);
    assert_memory_not_equal(trip->event.attr[SP_ATTR_ID].ptr, first, 36);
    trip->entry.stream = SP_STR("other");
    trip->entry.producer = SP_STR("p1");
    trip->entry.iid = SP_STR("i1");
    trip_fields(trip, "f", "v", END);
    assert_memory_not_equal(trip->event.attr[SP_ATTR_ID].ptr, first, 36);
    static char large[65536];
    trip->entry.iid = sp_str_of(large, sizeof(large));
    trip->entry.producer = SP_STR("\xff");
    trip_fields(trip, "time", "2026-11-20 05:00", "time", "2026-11-20", "f", "v", END);
    attr_is(trip, SP_ATTR_SOURCE, "client-1");
    trip_free(trip);
}

static void an_automatic_iid_does_not_mind_the_order(void **state) {
    (void)state;
    const sp_str one[] = {SP_STR("a"), SP_STR("1"), SP_STR("b"), SP_STR("2")};
    const sp_str two[] = {SP_STR("b"), SP_STR("2"), SP_STR("a"), SP_STR("1")};
    const sp_str three[] = {SP_STR("a"), SP_STR("2"), SP_STR("b"), SP_STR("1")};
    char iid[3][SP_ENTRY_IID_BYTES];
    sp_entry_auto_iid(one, 4, iid[0]);
    sp_entry_auto_iid(two, 4, iid[1]);
    sp_entry_auto_iid(three, 4, iid[2]);
    assert_memory_equal(iid[0], iid[1], SP_ENTRY_IID_BYTES);
    assert_memory_not_equal(iid[0], iid[2], SP_ENTRY_IID_BYTES);
    for (size_t i = 0; i < SP_ENTRY_IID_BYTES; i++) {
        assert_non_null(memchr("0123456789abcdef", iid[0][i], 16));
    }
}

static void an_own_id_is_hidden(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip->entry.own_id = (struct sp_entry_id){.ms = 5, .seq = UINT64_MAX};
    trip_fields(trip, "f", "v", END);
    text_is(trip_extension(trip, "streamentryid"), "5-18446744073709551615");
    assert_true(sp_event_entry_id(&trip->event).ms == 5);
    trip_fields(trip, "data", "1", "x", "y", "type", "t", END);
    layout_is(trip, "d1t");
    assert_int_equal(trip->event.extension_count, 3);
    trip_free(trip);
}

static void the_letters_are_those_of_the_attributes(void **state) {
    (void)state;
    uint32_t letters = 0;
    for (size_t i = 0; i < SP_NAME_COUNT; i++) {
        const struct sp_name *name = &sp_names[i];
        char letter = entry_letter(sp_str_of(name->text, name->length));
        bool never = name->kind > SP_NAME_DATA_ALIAS || name->attr == SP_ATTR_STREAM ||
                     (name->attr == SP_ATTR_ID && name->rank == 0);
        assert_int_equal(letter == 0, never);
        if (letter != 0) {
            const struct entry_spelling *spelling = entry_spelling(letter);
            text_is(spelling->name, name->text);
            assert_int_equal(spelling->attr, name->attr);
            assert_int_equal(spelling->rank, name->rank);
            letters++;
        }
    }
    assert_int_equal(letters, ENTRY_LETTERS);
    assert_int_equal(entry_letter(SP_STR("f")), 0);
    assert_int_equal(entry_letter(SP_STR("")), 0);
}

static void without_room_it_says_so(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    struct sp_error error;
    sp_str fields[] = {SP_STR("f"), SP_STR("v")};
    trip->entry.fields = fields;
    trip->entry.count = 2;
    sp_buf_init(&trip->scratch, 100);
    assert_int_equal(
        sp_entry_to_event(&trip->entry, &trip->limits, &trip->scratch, &trip->event, &error),
        SP_LIMIT);
    assert_non_null(strstr(error.text, "out of room"));
    trip_free(trip);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_fields_are_an_object),
        cmocka_unit_test(attributes_are_taken_out),
        cmocka_unit_test(the_first_usable_spelling_wins),
        cmocka_unit_test(what_an_attribute_cannot_be_stays_a_field),
        cmocka_unit_test(times_are_completed_and_given_back),
        cmocka_unit_test(beside_data_other_fields_are_extensions),
        cmocka_unit_test(a_content_type_goes_with_data),
        cmocka_unit_test(what_no_object_holds_is_kept_as_bulk_strings),
        cmocka_unit_test(what_cannot_be_an_extension_joins_the_object),
        cmocka_unit_test(many_fields_are_no_trouble),
        cmocka_unit_test(a_name_that_repeats_late_is_found),
        cmocka_unit_test(size_decides_where_json_would_be_too_long),
        cmocka_unit_test(idempotent_entries_have_an_id_of_their_own),
        cmocka_unit_test(an_automatic_iid_does_not_mind_the_order),
        cmocka_unit_test(an_own_id_is_hidden),
        cmocka_unit_test(the_letters_are_those_of_the_attributes),
        cmocka_unit_test(without_room_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
