/*
 * Two ways by the first byte:
 *
 * - otherwise: the rest, cut at zero bytes, is the names and values of an entry, taken through
 *   everything between XADD and XRANGE; the same fields must come out. A byte 1 at the start of a
 *   piece stands for a zero byte.
 * - 'e': three pieces are the type, the layout and the data of an event of unknown origin: writing
 *   it must yield a well-formed reply that is no larger than the event allows.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/json.h"
#include "proto/entry.h"
#include "proto/pubsub_message.h"
#include "proto/resp_read.h"

enum { PIECES_MAX = 4096 };

struct round {
    struct sp_event event;
    struct sp_buf scratch;
    struct sp_buf stored;
    struct sp_buf reply;
    struct sp_resp_reader reader;
    struct sp_resp_command shown;
    char expand[SP_RECORD_SCRATCH_BYTES];
    sp_str pieces[PIECES_MAX];
    uint32_t count;
};

static void cut(struct round *round, const char *at, const char *end) {
    while (round->count < PIECES_MAX) {
        const char *zero = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
        sp_str piece = sp_str_of(at, (size_t)((zero != NULL ? zero : end) - at));
        round->pieces[round->count++] =
            piece.len > 0 && *piece.ptr == 1 ? sp_str_of("\0", 1) : piece;
        if (zero == NULL) {
            break;
        }
        at = zero + 1;
    }
}

static void show(struct round *round) {
    static const struct sp_resp_limits limits = SP_RESP_LIMITS_DEFAULT;
    struct sp_resp resp = {.to = &round->reply, .version = SP_RESP_2};
    sp_entry_write(&round->event, &resp);
    sp_require(round->reply.status == SP_OK);
    enum sp_resp_result result = sp_resp_read(&round->reader, (const char *)round->reply.data,
                                              round->reply.len, &limits, &round->shown);
    sp_require(result == SP_RESP_COMMAND && round->shown.consumed == round->reply.len);
    sp_require(round->shown.argc % 2 == 0);
}

/* What the engine does with an event before it can be read. */
static bool store(struct round *round) {
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    struct sp_event *event = &round->event;
    struct sp_error error;
    if (sp_event_check(event, SP_EVENT_FROM_JSON, &limits, &round->scratch, &error) != SP_OK) {
        sp_require(error.status == SP_LIMIT);
        return false;
    }
    event->attr[SP_ATTR_ID] =
        sp_event_has(event, SP_ATTR_ID) ? event->attr[SP_ATTR_ID] : SP_STR("e1");
    event->attr[SP_ATTR_CORRELATION] = sp_event_has(event, SP_ATTR_CORRELATION)
                                           ? event->attr[SP_ATTR_CORRELATION]
                                           : event->attr[SP_ATTR_ID];
    event->position = 1;
    event->version = 1;
    uint8_t *room = sp_buf_reserve(&round->stored, sp_record_size_max(event));
    sp_require(room != NULL);
    sp_buf_advance(&round->stored, sp_record_encode(event, room));
    struct sp_record record;
    sp_require(sp_record_read(sp_buf_str(&round->stored), 1, &record) == SP_OK);
    sp_require(sp_record_decode(&record, round->expand, event) == SP_OK);
    return true;
}

static void there_and_back(struct round *round, uint8_t choice) {
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    struct sp_entry entry = {.fields = round->pieces,
                             .count = round->count & ~1u,
                             .stream = SP_STR("s"),
                             .source = SP_STR("c")};
    if (choice == 'i') {
        entry.producer = SP_STR("p");
        entry.iid = round->pieces[0];
    }
    if (entry.count == 0) {
        return;
    }
    sp_require(sp_entry_to_event(&entry, &limits, &round->scratch, &round->event, NULL) == SP_OK);
    if (!store(round)) {
        return;
    }
    show(round);
    sp_require(round->shown.argc == entry.count);
    for (uint32_t i = 0; i < entry.count; i++) {
        sp_require(sp_str_eq(round->shown.args[i], entry.fields[i]));
    }
}

static void any_event(struct round *round, size_t size) {
    struct sp_event *event = &round->event;
    memset(event, 0, sizeof(*event));
    event->attr[SP_ATTR_TYPE] = round->pieces[0];
    event->attr[SP_ATTR_SOURCE] = SP_STR("c");
    event->attr[SP_ATTR_ID] = SP_STR("e1");
    event->attr[SP_ATTR_TIME] = SP_STR("2026-11-20T00:00:00Z");
    event->extensions[0] = (struct sp_extension){.name = SP_STR(SP_ENTRY_LAYOUT_NAME),
                                                 .value = round->pieces[round->count > 1 ? 1 : 0]};
    event->extensions[1] = (struct sp_extension){.name = SP_STR("x"), .value = SP_STR("y")};
    event->extension_count = 2;
    event->has_data = true;
    event->data = round->pieces[round->count - 1];
    event->data_is_json = sp_json_check(event->data, NULL) == SP_OK;
    event->attr[SP_ATTR_CONTENTTYPE] = SP_STR(SP_ENTRY_FIELDS_TYPE);
    show(round);
    sp_require(round->reply.len <= 2 * size + 4096);
    (void)sp_message_channel(event);
    event->extension_count = 1;
    sp_buf_reset(&round->reply);
    show(round);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct round *round = calloc(1, sizeof(*round));
    sp_require(round != NULL);
    sp_buf_init(&round->scratch, SIZE_MAX);
    sp_buf_init(&round->stored, SIZE_MAX);
    sp_buf_init(&round->reply, SIZE_MAX);
    sp_resp_reader_init(&round->reader);
    cut(round, (const char *)data + 1, (const char *)data + size);
    if (data[0] == 'e') {
        any_event(round, size);
    } else {
        there_and_back(round, data[0]);
    }
    sp_buf_fini(&round->scratch);
    sp_buf_fini(&round->stored);
    sp_buf_fini(&round->reply);
    sp_resp_reader_fini(&round->reader);
    free(round);
    return 0;
}
