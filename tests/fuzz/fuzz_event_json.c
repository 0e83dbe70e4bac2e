/*
 * The event's JSON form on any bytes: no crash, and whatever is accepted is written as one line
 * that is read as the same event and written as the same line again. The first byte chooses the
 * mode.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/json.h"
#include "event/event_json.h"

struct round {
    struct sp_event event;
    struct sp_buf scratch;
    struct sp_buf line;
};

static struct round *round_new(void) {
    struct round *round = malloc(sizeof(*round));
    sp_require(round != NULL);
    sp_buf_init(&round->scratch, 1 << 26);
    sp_buf_init(&round->line, 1 << 26);
    return round;
}

static void round_free(struct round *round) {
    sp_buf_fini(&round->scratch);
    sp_buf_fini(&round->line);
    free(round);
}

static bool go(struct round *round, sp_str text, enum sp_event_mode mode) {
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    struct sp_error error;
    if (sp_event_from_json(text, mode, &round->scratch, &round->event, &error) != SP_OK ||
        sp_event_check(&round->event, SP_EVENT_FROM_JSON, &limits, &round->scratch, &error) !=
            SP_OK) {
        sp_require(error.text[0] != '\0');
        return false;
    }
    sp_event_to_json(&round->event, NULL, &round->line);
    sp_require(round->line.status == SP_OK);
    sp_require(memchr(round->line.data, '\n', round->line.len) == NULL);
    sp_require(sp_json_check(sp_buf_str(&round->line), NULL) == SP_OK);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct round *first = round_new();
    enum sp_event_mode mode = data[0] == 's' ? SP_EVENT_STRICT : SP_EVENT_LENIENT;
    if (go(first, sp_str_of(data + 1, size - 1), mode)) {
        struct round *second = round_new();
        sp_require(go(second, sp_buf_str(&first->line), SP_EVENT_LENIENT));
        sp_require(sp_str_eq(sp_buf_str(&first->line), sp_buf_str(&second->line)));
        sp_require(first->event.extension_count == second->event.extension_count);
        sp_require(first->event.data_is_json == second->event.data_is_json);
        round_free(second);
    }
    round_free(first);
    return 0;
}
