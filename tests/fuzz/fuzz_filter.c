/*
 * The first line is a filter, the rest an event. A filter that compiles matches the event or does
 * not, and its negation the other way round; what is refused says why.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "event/envelope.h"
#include "event/event_json.h"
#include "match/filter.h"

static bool read_event(sp_str text, struct sp_buf *scratch, struct sp_event *ret_event) {
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    *ret_event = (struct sp_event){.position = 1};
    sp_buf_init(scratch, 1 << 26);
    return sp_event_from_json(text, SP_EVENT_LENIENT, scratch, ret_event, NULL) == SP_OK &&
           sp_event_check(ret_event, SP_EVENT_FROM_JSON, &limits, scratch, NULL) == SP_OK;
}

/* Data that nobody has checked must not hurt either. */
static bool match_broken(const struct sp_filter *filter, sp_str data) {
    struct sp_event event = {.data = data, .has_data = true, .data_is_json = true};
    return sp_filter_match(filter, &event);
}

static void check_negation(sp_str text, const struct sp_event *event, bool matches) {
    static const char BEFORE[] = "{\"$not\":";
    struct sp_buf buf;
    struct sp_filter *negation = NULL;
    sp_buf_init(&buf, 1 << 20);
    sp_buf_add_str(&buf, SP_STR(BEFORE));
    sp_buf_add_str(&buf, text);
    sp_buf_add_byte(&buf, '}');
    /* It may be one level too deep, or too long by now. */
    if (sp_filter_compile(sp_buf_str(&buf), &negation, NULL) == SP_OK) {
        sp_require(sp_filter_match(negation, event) != matches);
        sp_filter_free(negation);
    }
    sp_buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t len = end != NULL ? (size_t)(end - data) : size;
    sp_str text = sp_str_of(data, len);
    sp_str rest = end != NULL ? sp_str_of(end + 1, size - len - 1) : SP_STR("");
    struct sp_filter *filter = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_filter_compile(text, &filter, &error) != SP_OK) {
        sp_require(error.text[0] != '\0' && error.offset <= len);
        return 0;
    }
    struct sp_buf scratch;
    struct sp_event event;
    if (read_event(rest, &scratch, &event)) {
        bool matches = sp_filter_match(filter, &event);
        sp_require(sp_filter_match(filter, &event) == matches);
        if (!sp_filter_is_eventbridge(filter)) {
            check_negation(text, &event, matches);
        }
    }
    (void)match_broken(filter, rest);
    sp_buf_fini(&scratch);
    sp_filter_free(filter);
    return 0;
}
