#include "event/moment.h"

#include "base/time.h"

/* Reads digits alone as a number of 64 bits. */
static bool read_position(sp_str text, uint64_t *ret_position) {
    uint64_t position = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)(uint8_t)text.ptr[i] - '0';
        if (digit > 9 || position > (UINT64_MAX - digit) / 10) {
            return false;
        }
        position = position * 10 + digit;
    }
    *ret_position = position;
    return text.len > 0;
}

static struct sp_moment moment_of_time(uint64_t time_us) {
    return (struct sp_moment){.kind = SP_MOMENT_TIME, .time_us = time_us};
}

sp_status sp_moment_parse(sp_str text, uint64_t now_us, struct sp_moment *ret_moment,
                          struct sp_error *error) {
    sp_require(now_us <= SP_TIME_US_MAX);
    struct sp_moment moment = {.kind = SP_MOMENT_POSITION};
    bool has_seq = false;
    uint64_t us = 0;
    if (sp_str_eq(text, SP_STR("now"))) {
        moment = (struct sp_moment){.kind = SP_MOMENT_NOW, .time_us = now_us};
    } else if (text.len > 1 && text.ptr[0] == '-' &&
               sp_duration_parse(sp_str_from_byte(text, 1), &us, NULL) == SP_OK) {
        moment = moment_of_time(us < now_us ? now_us - us : 0);
    } else if (read_position(text, &moment.position)) {
        moment.kind = SP_MOMENT_POSITION;
    } else if (sp_entryid_parse(text, &moment.entry_ms, &moment.entry_seq, &has_seq, NULL) ==
                   SP_OK &&
               has_seq) {
        moment.kind = SP_MOMENT_ENTRY;
    } else if (sp_time_parse(text, true, &us, NULL) == SP_OK) {
        moment = moment_of_time(us);
    } else {
        return sp_error_set(error, SP_INVALID,
                            "found %.*s, expected a position, an entry id (<ms>-<seq>), a time "
                            "(RFC 3339), now, or a span such as -10m",
                            text.len > 64 ? 64 : (int)text.len, text.len > 0 ? text.ptr : "");
    }
    sp_ensure(moment.time_us <= SP_TIME_US_MAX);
    *ret_moment = moment;
    return SP_OK;
}
