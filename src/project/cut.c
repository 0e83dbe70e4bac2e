#include "project/cut.h"

#include "base/time.h"
#include "engine/query.h"

uint64_t sp_cut_time_of(const struct sp_event *event) {
    sp_str text = event->attr[SP_ATTR_TIME];
    if (text.ptr == NULL) {
        return event->recorded_us;
    }
    uint64_t time_us = 0;
    /* A stored time can be read but for its year, which may lie before 1970. */
    return sp_time_parse(text, false, &time_us, NULL) == SP_OK ? time_us : 0;
}

/* The last position of the prefix that the moment ends; the engine knows. */
static sp_status resolve_prefix(struct sp_engine *engine, sp_str text, uint64_t *ret_position,
                                struct sp_error *error) {
    const struct sp_query query = {.until = text};
    struct sp_cursor *cursor = NULL;
    sp_status status = sp_cursor_open(engine, &query, &cursor, error);
    if (status == SP_OK) {
        uint64_t first;
        sp_cursor_range(cursor, &first, ret_position);
        sp_cursor_close(cursor);
    }
    return status;
}

sp_status sp_cut_resolve(struct sp_engine *engine, sp_str text, bool by_recorded, uint64_t now_us,
                         struct sp_cut *ret_cut, struct sp_error *error) {
    struct sp_cut cut = {.position = 0};
    struct sp_moment moment;
    uint64_t head = 0;
    text = text.len == 0 ? SP_STR("now") : text;
    sp_status status = sp_moment_parse(text, now_us, &moment, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "the moment");
    }
    status = resolve_prefix(engine, SP_STR("now"), &head, error);
    if (status != SP_OK) {
        return status;
    }
    if (moment.kind == SP_MOMENT_TIME && !by_recorded) {
        cut = (struct sp_cut){.position = head, .by_time = true, .time_us = moment.time_us};
    } else {
        status = resolve_prefix(engine, text, &cut.position, error);
    }
    switch (moment.kind) {
    case SP_MOMENT_POSITION:
        cut.in_future = moment.position > head;
        break;
    case SP_MOMENT_ENTRY:
        cut.in_future = moment.entry_ms > now_us / 1000;
        break;
    case SP_MOMENT_TIME:
        cut.in_future = moment.time_us > now_us;
        break;
    case SP_MOMENT_NOW:
        break;
    }
    if (status == SP_OK) {
        *ret_cut = cut;
    }
    return status;
}
