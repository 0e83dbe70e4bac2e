#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "entry_help.h"
#include "event/event_json.h"
#include "proto/pubsub_message.h"

static struct trip *published(sp_str channel, sp_str bytes) {
    struct trip *trip = trip_new();
    struct sp_message message = {.channel = channel, .bytes = bytes, .source = SP_STR("client-1")};
    struct sp_error error;
    sp_message_to_event(&message, &trip->event);
    if (sp_event_check(&trip->event, SP_EVENT_FROM_JSON, &trip->limits, &trip->scratch, &error) !=
        SP_OK) {
        fail_msg("%s", error.text);
    }
    return trip;
}

static void text_of(struct trip *trip, sp_str expected) {
    sp_buf_reset(&trip->reply);
    sp_str found = sp_message_bytes(&trip->event, NULL, &trip->reply);
    assert_true(sp_str_eq(found, expected));
}

static void a_message_is_given_as_its_bytes(void **state) {
    (void)state;
    static const char *const MESSAGES[] = {"hello", "", "{\"a\": 1}", "12", "\"x\"", "\xff\r\n"};
    for (size_t i = 0; i < sizeof(MESSAGES) / sizeof(MESSAGES[0]); i++) {
        sp_str bytes = sp_str_from(MESSAGES[i]);
        struct trip *trip = published(SP_STR("news.tech"), bytes);
        assert_true(sp_message_is_published(&trip->event));
        text_is(sp_message_channel(&trip->event), "news.tech");
        text_is(trip->event.attr[SP_ATTR_TYPE], "news.tech");
        text_is(trip->event.attr[SP_ATTR_STREAM], "client-1");
        assert_int_equal(trip->event.data_is_json, i >= 2 && i <= 4);
        text_of(trip, bytes);
        trip_free(trip);
    }
}

static void a_channel_that_is_no_type_is_kept(void **state) {
    (void)state;
    static const char *const CHANNELS[] = {"two words", "", "a.*", "\xff\xfe", "line\n"};
    for (size_t i = 0; i < sizeof(CHANNELS) / sizeof(CHANNELS[0]); i++) {
        struct trip *trip = published(sp_str_from(CHANNELS[i]), SP_STR("m"));
        text_is(trip->event.attr[SP_ATTR_TYPE], "redis.message");
        text_is(sp_message_channel(&trip->event), CHANNELS[i]);
        text_of(trip, SP_STR("m"));
        trip_free(trip);
    }
}

static void other_events_are_given_as_json(void **state) {
    (void)state;
    struct trip *trip = trip_new();
    trip_fields(trip, "type", "order.placed", "amount", "5", NULL);
    assert_false(sp_message_is_published(&trip->event));
    text_is(sp_message_channel(&trip->event), "order.placed");
    struct sp_buf line;
    sp_buf_init(&line, 1 << 20);
    sp_event_to_json(&trip->event, NULL, &line);
    text_of(trip, sp_buf_str(&line));
    sp_buf_fini(&line);
    trip_free(trip);
}

/* XRANGE shows a published event as it shows any that did not come by XADD. */
static void a_message_is_no_entry(void **state) {
    (void)state;
    struct trip *trip = published(SP_STR("redis.entry"), SP_STR("{\"a\":\"b\"}"));
    trip->event.attr[SP_ATTR_ID] = SP_STR("e1");
    trip->event.attr[SP_ATTR_CORRELATION] = SP_STR("e1");
    trip_show(trip);
    assert_int_equal(trip->shown.argc, 10);
    text_is(trip->shown.args[0], "id");
    text_is(trip->shown.args[8], "data");
    trip_free(trip);
}

static void the_mark_alone_makes_no_message(void **state) {
    (void)state;
    struct trip *trip = published(SP_STR("redis.message"), SP_STR("m"));
    text_is(sp_message_channel(&trip->event), "redis.message");
    trip->event.has_data = false;
    assert_false(sp_message_is_published(&trip->event));
    trip_free(trip);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_given_as_its_bytes),
        cmocka_unit_test(a_channel_that_is_no_type_is_kept),
        cmocka_unit_test(other_events_are_given_as_json),
        cmocka_unit_test(a_message_is_no_entry),
        cmocka_unit_test(the_mark_alone_makes_no_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
