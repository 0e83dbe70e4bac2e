#include "entry_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FIELDS_MAX = 256 };

struct trip *trip_new(void) {
    struct trip *trip = calloc(1, sizeof(*trip));
    assert_non_null(trip);
    trip->entry.stream = SP_STR("orders");
    trip->entry.source = SP_STR("client-1");
    trip->limits = SP_EVENT_LIMITS_DEFAULT;
    sp_buf_init(&trip->scratch, SIZE_MAX);
    sp_buf_init(&trip->stored, SIZE_MAX);
    sp_buf_init(&trip->reply, SIZE_MAX);
    sp_resp_reader_init(&trip->reader);
    return trip;
}

void trip_free(struct trip *trip) {
    sp_buf_fini(&trip->scratch);
    sp_buf_fini(&trip->stored);
    sp_buf_fini(&trip->reply);
    sp_resp_reader_fini(&trip->reader);
    free(trip);
}

/* What the engine supplies. */
static void complete(struct sp_event *event) {
    if (!sp_event_has(event, SP_ATTR_ID)) {
        event->attr[SP_ATTR_ID] = SP_STR("0192f3c1-7a4e-7c1b-9d2e-5b6f8a901234");
    }
    if (!sp_event_has(event, SP_ATTR_CORRELATION)) {
        event->attr[SP_ATTR_CORRELATION] = event->attr[SP_ATTR_ID];
    }
    event->position = 1;
    event->version = 1;
    event->recorded_us = 1795153752123000;
}

void trip_store(struct trip *trip) {
    struct sp_error error;
    sp_buf_reset(&trip->scratch);
    sp_buf_reset(&trip->stored);
    memset(&trip->event, 0xee, sizeof(trip->event));
    size_t bound = sp_entry_scratch_bytes(&trip->entry);
    assert_int_equal(
        sp_entry_to_event(&trip->entry, &trip->limits, &trip->scratch, &trip->event, &error),
        SP_OK);
    assert_true(trip->scratch.len <= bound);
    if (sp_event_check(&trip->event, SP_EVENT_FROM_JSON, &trip->limits, &trip->scratch, &error) !=
        SP_OK) {
        fail_msg("%s", error.text);
    }
    /* What was promised is so: what is validated without trust has the same outcome. */
    bool was_json = trip->event.data_is_json;
    if (sp_event_check(&trip->event, SP_EVENT_FROM_FIELDS, &trip->limits, &trip->scratch, &error) !=
        SP_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(trip->event.data_is_json, was_json);
    complete(&trip->event);
    uint8_t *room = sp_buf_reserve(&trip->stored, sp_record_size_max(&trip->event));
    assert_non_null(room);
    sp_buf_advance(&trip->stored, sp_record_encode(&trip->event, room));
}

void trip_show(struct trip *trip) {
    static const struct sp_resp_limits limits = SP_RESP_LIMITS_DEFAULT;
    sp_buf_reset(&trip->reply);
    struct sp_resp resp = {.to = &trip->reply, .version = SP_RESP_3};
    sp_entry_write(&trip->event, &resp);
    assert_int_equal(trip->reply.status, SP_OK);
    assert_int_equal(sp_resp_read(&trip->reader, (const char *)trip->reply.data, trip->reply.len,
                                  &limits, &trip->shown),
                     SP_RESP_COMMAND);
    assert_int_equal(trip->shown.consumed, trip->reply.len);
}

void trip_load(struct trip *trip) {
    struct sp_record record;
    memset(&trip->event, 0xee, sizeof(trip->event));
    assert_int_equal(sp_record_read(sp_buf_str(&trip->stored), 1, &record), SP_OK);
    assert_int_equal(sp_record_decode(&record, trip->expand, &trip->event), SP_OK);
    trip_show(trip);
}

void trip_compare(struct trip *trip) {
    assert_int_equal(trip->shown.argc, trip->entry.count);
    for (uint32_t i = 0; i < trip->entry.count; i++) {
        if (!sp_str_eq(trip->shown.args[i], trip->entry.fields[i])) {
            fail_msg("field %u, %s: found %.*s, expected %.*s", i / 2, i % 2 ? "value" : "name",
                     SP_STR_ARG(trip->shown.args[i]), SP_STR_ARG(trip->entry.fields[i]));
        }
    }
}

void trip_same(struct trip *trip) {
    trip_store(trip);
    trip_load(trip);
    trip_compare(trip);
}

void trip_fields(struct trip *trip, ...) {
    static sp_str fields[FIELDS_MAX];
    va_list args;
    va_start(args, trip);
    trip->entry.fields = fields;
    trip->entry.count = 0;
    for (const char *text; (text = va_arg(args, const char *)) != NULL;) {
        assert_true(trip->entry.count < FIELDS_MAX);
        fields[trip->entry.count++] = sp_str_from(text);
    }
    va_end(args);
    trip_same(trip);
}

sp_str trip_extension(const struct trip *trip, const char *name) {
    for (unsigned i = 0; i < trip->event.extension_count; i++) {
        if (sp_str_eq(trip->event.extensions[i].name, sp_str_from(name))) {
            return trip->event.extensions[i].value;
        }
    }
    return sp_str_of(NULL, 0);
}

void text_is(sp_str text, const char *expected) {
    if (!sp_str_eq(text, sp_str_from(expected)) || (text.ptr == NULL) != (expected == NULL)) {
        fail_msg("found %.*s, expected %s", SP_STR_ARG(text), expected != NULL ? expected : "none");
    }
}
