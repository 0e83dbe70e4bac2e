/* What subscribers are sent: each form in both protocols, and encoded once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "event/event_json.h"
#include "proto/pubsub_message.h"
#include "server/live_message.h"

static struct sp_messages messages;

static int begin(void **state) {
    (void)state;
    sp_messages_init(&messages);
    return 0;
}

static int end(void **state) {
    (void)state;
    sp_messages_fini(&messages);
    return 0;
}

static struct sp_event published(const char *channel, sp_str bytes) {
    struct sp_event event;
    const struct sp_message message = {
        .channel = sp_str_from(channel), .bytes = bytes, .source = SP_STR("ann")};
    sp_message_to_event(&message, &event);
    event.position = 7;
    event.version = 1;
    event.recorded_us = 1795153752123456;
    event.entry_seq = 2;
    event.attr[SP_ATTR_ID] = SP_STR("e-1");
    event.attr[SP_ATTR_STREAM] = SP_STR("ann");
    event.attr[SP_ATTR_CORRELATION] = SP_STR("e-1");
    return event;
}

static void assert_wire(enum sp_message_form form, int version, sp_str name, sp_str expected) {
    const struct sp_blob *blob = sp_messages_get(&messages, form, version, name);
    assert_non_null(blob);
    assert_int_equal(blob->len, expected.len);
    assert_memory_equal(blob->data, expected.ptr, expected.len);
}

static void test_published_messages_are_their_bytes(void **state) {
    (void)state;
    struct sp_event event = published("news", SP_STR("a\r\nb\0c"));
    sp_messages_event(&messages, &event);
    assert_wire(SP_FORM_MESSAGE, SP_RESP_2, SP_STR(""),
                SP_STR("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$6\r\na\r\nb\0c\r\n"));
    assert_wire(SP_FORM_MESSAGE, SP_RESP_3, SP_STR(""),
                SP_STR(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$6\r\na\r\nb\0c\r\n"));
    assert_wire(SP_FORM_PMESSAGE, SP_RESP_3, SP_STR("n*"),
                SP_STR(">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$6\r\na\r\nb\0c\r\n"));
    assert_wire(SP_FORM_PMESSAGE, SP_RESP_3, SP_STR("*"),
                SP_STR(">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$4\r\nnews\r\n$6\r\na\r\nb\0c\r\n"));
    assert_wire(SP_FORM_PMESSAGE, SP_RESP_2, SP_STR("*"),
                SP_STR("*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$4\r\nnews\r\n$6\r\na\r\nb\0c\r\n"));
}

static void test_a_channel_that_is_no_type(void **state) {
    (void)state;
    struct sp_event event = published("two words", SP_STR(""));
    sp_messages_event(&messages, &event);
    assert_wire(SP_FORM_MESSAGE, SP_RESP_3, SP_STR(""),
                SP_STR(">3\r\n$7\r\nmessage\r\n$9\r\ntwo words\r\n$0\r\n\r\n"));
}

static void test_messages_that_are_not_stored(void **state) {
    (void)state;
    sp_messages_plain(&messages, SP_STR("c"), (sp_str){.ptr = NULL});
    assert_wire(SP_FORM_SMESSAGE, SP_RESP_3, SP_STR(""),
                SP_STR(">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$0\r\n\r\n"));
    assert_wire(SP_FORM_MESSAGE, SP_RESP_2, SP_STR(""),
                SP_STR("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$0\r\n\r\n"));
}

/* The JSON line is the payload of an event that was not published, and part of every SPOOR one. */
static void test_events_are_json(void **state) {
    (void)state;
    struct sp_event event = published("order.placed", SP_STR("{\"n\":1}"));
    event.extension_count = 0; /* no mark: it came another way */
    struct sp_buf line;
    sp_buf_init(&line, 1 << 20);
    sp_event_to_json(&event, NULL, &line);
    sp_messages_event(&messages, &event);
    const struct sp_blob *message =
        sp_messages_get(&messages, SP_FORM_MESSAGE, SP_RESP_3, SP_STR(""));
    assert_non_null(memmem(message->data, message->len, line.data, line.len));
    const struct sp_blob *blob = sp_messages_get(&messages, SP_FORM_EVENT, SP_RESP_3, SP_STR("x"));
    const sp_str head = SP_STR(">5\r\n$5\r\nevent\r\n$1\r\nx\r\n:7\r\n$15\r\n1795153752123-2\r\n$");
    assert_true(blob->len > head.len + line.len);
    assert_memory_equal(blob->data, head.ptr, head.len);
    assert_memory_equal(blob->data + blob->len - line.len - 2, line.data, line.len);
    sp_buf_fini(&line);
}

/* Each field is one line, whatever is in the event, and an empty line ends it. */
static void test_server_sent_events(void **state) {
    (void)state;
    struct sp_event event = published("order.placed", SP_STR("{\"text\":\r\n \"a\\nb\"}"));
    event.extension_count = 0;
    struct sp_buf expected;
    sp_buf_init(&expected, 1 << 20);
    sp_buf_add_str(&expected, SP_STR("id: 7@0123456789abcdef\ndata: "));
    sp_event_to_json(&event, NULL, &expected);
    sp_buf_add_str(&expected, SP_STR("\n\n"));
    sp_messages_event(&messages, &event);
    assert_wire(SP_FORM_SSE, SP_RESP_2, SP_STR("0123456789abcdef"), sp_buf_str(&expected));
    size_t lines = 0;
    for (size_t i = 0; i < expected.len; i++) {
        lines += expected.data[i] == '\n';
        assert_int_not_equal(expected.data[i], '\r');
    }
    assert_int_equal(lines, 3);
    sp_buf_reset(&expected);
    sp_buf_add_str(&expected, SP_STR("id: 7@0123456789abcdef\nevent: order.placed\ndata: "));
    sp_event_to_json(&event, NULL, &expected);
    sp_buf_add_str(&expected, SP_STR("\n\n"));
    assert_wire(SP_FORM_SSE_TYPED, SP_RESP_2, SP_STR("0123456789abcdef"), sp_buf_str(&expected));
    sp_buf_fini(&expected);
}

static void test_each_form_is_encoded_once(void **state) {
    (void)state;
    struct sp_event event = published("news", SP_STR("hello"));
    sp_messages_event(&messages, &event);
    for (int i = 0; i < 100; i++) {
        (void)sp_messages_get(&messages, SP_FORM_MESSAGE, SP_RESP_2, SP_STR(""));
        (void)sp_messages_get(&messages, SP_FORM_MESSAGE, SP_RESP_3, SP_STR(""));
        (void)sp_messages_get(&messages, SP_FORM_PMESSAGE, SP_RESP_3, SP_STR("n*"));
        (void)sp_messages_get(&messages, SP_FORM_EVENT, SP_RESP_3, SP_STR("1"));
        (void)sp_messages_get(&messages, SP_FORM_SSE, SP_RESP_2, SP_STR("ab"));
        (void)sp_messages_get(&messages, SP_FORM_SSE_TYPED, SP_RESP_2, SP_STR("ab"));
    }
    assert_int_equal(messages.encoded, 6);
    struct sp_blob *kept = sp_messages_get(&messages, SP_FORM_MESSAGE, SP_RESP_2, SP_STR(""));
    (void)sp_blob_ref(kept);
    sp_messages_event(&messages, &event);
    (void)sp_messages_get(&messages, SP_FORM_MESSAGE, SP_RESP_2, SP_STR(""));
    assert_int_equal(messages.encoded, 7);
    assert_memory_equal(kept->data, "*3\r\n$7\r\nmessage", 15);
    sp_messages_done(&messages);
    sp_blob_unref(kept);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_published_messages_are_their_bytes, begin, end),
        cmocka_unit_test_setup_teardown(test_a_channel_that_is_no_type, begin, end),
        cmocka_unit_test_setup_teardown(test_messages_that_are_not_stored, begin, end),
        cmocka_unit_test_setup_teardown(test_events_are_json, begin, end),
        cmocka_unit_test_setup_teardown(test_server_sent_events, begin, end),
        cmocka_unit_test_setup_teardown(test_each_form_is_encoded_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
