#include "helper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/time.h"
#include "event/envelope.h"
#include "event/event_json.h"

/* The attributes that a producer cannot set. */
static void read_assigned(struct sp_event *event, sp_str text) {
    struct sp_json json;
    sp_json_init(&json, text);
    (void)sp_json_next(&json);
    for (;;) {
        struct sp_json_token key = sp_json_next(&json);
        if (key.type != SP_JSON_KEY) {
            return;
        }
        struct sp_json_token value = sp_json_next(&json);
        if (sp_str_eq(key.raw, SP_STR("position"))) {
            event->position = (uint64_t)sp_json_number(value.raw);
        } else if (sp_str_eq(key.raw, SP_STR("version"))) {
            event->version = (uint64_t)sp_json_number(value.raw);
        } else if (sp_str_eq(key.raw, SP_STR("recordedtime"))) {
            assert_int_equal(sp_time_parse(value.raw, false, &event->recorded_us, NULL), SP_OK);
        } else if (sp_str_eq(key.raw, SP_STR("entryid"))) {
            uint64_t ms = 0;
            bool has_seq = false;
            assert_int_equal(sp_entryid_parse(value.raw, &ms, &event->entry_seq, &has_seq, NULL),
                             SP_OK);
            event->recorded_us = ms * 1000;
        }
        (void)sp_json_skip(&json, value);
    }
}

void make_event(struct made_event *made, sp_str json) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_buf_init(&made->scratch, 1 << 22);
    made->event = (struct sp_event){.position = 0};
    sp_status status =
        sp_event_from_json(json, SP_EVENT_LENIENT, &made->scratch, &made->event, &error);
    if (status == SP_OK) {
        struct sp_event *event = &made->event;
        event->attr[SP_ATTR_TYPE] =
            sp_event_has(event, SP_ATTR_TYPE) ? event->attr[SP_ATTR_TYPE] : SP_STR("t");
        event->attr[SP_ATTR_SOURCE] =
            sp_event_has(event, SP_ATTR_SOURCE) ? event->attr[SP_ATTR_SOURCE] : SP_STR("s");
        struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
        status = sp_event_check(event, SP_EVENT_FROM_JSON, &limits, &made->scratch, &error);
    }
    if (status != SP_OK) {
        fail_msg("%.*s: %s", SP_STR_ARG(json), error.text);
    }
    read_assigned(&made->event, json);
}

void unmake_event(struct made_event *made) {
    sp_buf_fini(&made->scratch);
}

bool filter_matches(sp_str filter, sp_str event) {
    struct sp_error error;
    sp_error_clear(&error);
    struct sp_filter *compiled = NULL;
    if (sp_filter_compile(filter, &compiled, &error) != SP_OK) {
        fail_msg("%.*s: %s", SP_STR_ARG(filter), error.text);
    }
    struct made_event made;
    make_event(&made, event);
    bool matches = sp_filter_match(compiled, &made.event);
    unmake_event(&made);
    sp_filter_free(compiled);
    return matches;
}

sp_str requote(const char *text, char *to, size_t size) {
    size_t len = strlen(text);
    assert_true(len < size);
    for (size_t i = 0; i < len; i++) {
        to[i] = text[i] == '\'' ? '"' : text[i];
    }
    return sp_str_of(to, len);
}

bool quoted_matches(const char *filter, const char *event) {
    char filter_text[8192];
    char event_text[8192];
    return filter_matches(requote(filter, filter_text, sizeof(filter_text)),
                          requote(event, event_text, sizeof(event_text)));
}
