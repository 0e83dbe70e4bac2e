/*
 * Requests with CloudEvents of any bytes: no crash, every refusal says why, and what is accepted is
 * written as a CloudEvent that is read strictly, with the same attributes, and the same data but
 * for blanks around JSON.
 *
 * The input is a head of lines `name: value`, an empty line, and a body.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "proto/cloudevent.h"

enum { HEADERS_MAX = 100, BUFFER_BYTES_MAX = 1 << 26 };

struct request {
    struct sp_http_pair headers[HEADERS_MAX];
    uint32_t header_count;
    sp_str body;
};

/* Takes the line off the text, without its end. */
static sp_str take_line(sp_str *text) {
    const char *end = text->len == 0 ? NULL : memchr(text->ptr, '\n', text->len);
    size_t len = end == NULL ? text->len : (size_t)(end - text->ptr);
    sp_str line = sp_str_of(text->ptr, len);
    *text = sp_str_from_byte(*text, end == NULL ? len : len + 1);
    return line;
}

static void split(sp_str text, struct request *request) {
    request->header_count = 0;
    for (;;) {
        sp_str line = take_line(&text);
        const char *colon = line.len == 0 ? NULL : memchr(line.ptr, ':', line.len);
        if (colon == NULL) {
            break;
        }
        size_t name = (size_t)(colon - line.ptr);
        size_t skip = name + 1 + (line.len > name + 1 && colon[1] == ' ');
        if (request->header_count < HEADERS_MAX) {
            request->headers[request->header_count++] = (struct sp_http_pair){
                .name = sp_str_of(line.ptr, name), .value = sp_str_from_byte(line, skip)};
        }
    }
    request->body = text;
}

/* Checks the event as the engine does; false where it is refused. */
static bool check(struct sp_event *event, enum sp_event_origin origin, struct sp_buf *scratch) {
    const struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_event_check(event, origin, &limits, scratch, &error) != SP_OK) {
        sp_require(error.text[0] != '\0');
        (void)sp_ce_error_attribute(sp_str_from(error.text));
        return false;
    }
    return true;
}

static void is_same(const struct sp_event *event, const struct sp_event *again) {
    static const enum sp_attr KEPT[] = {SP_ATTR_TYPE,      SP_ATTR_ID,
                                        SP_ATTR_STREAM,    SP_ATTR_CORRELATION,
                                        SP_ATTR_CAUSATION, SP_ATTR_SCHEMAVERSION};
    for (size_t i = 0; i < sizeof(KEPT) / sizeof(KEPT[0]); i++) {
        sp_require(sp_str_eq(event->attr[KEPT[i]], again->attr[KEPT[i]]));
    }
    sp_require(again->has_data == event->has_data);
    sp_require(again->data_is_json || sp_str_eq(again->data, event->data));
}

/* True where an attribute has code points that CloudEvents does not allow, and the store does. */
static bool has_noncharacters(const struct sp_event *event) {
    for (unsigned i = 0; i < SP_ATTR_COUNT; i++) {
        const char *at = event->attr[i].ptr;
        const char *end = at == NULL ? at : at + event->attr[i].len;
        uint32_t code = 0;
        for (; at < end; at += sp_utf8_decode(at, end, &code)) {
            sp_require(sp_utf8_decode(at, end, &code) > 0);
            if (sp_utf8_is_noncharacter(code)) {
                return true;
            }
        }
    }
    return false;
}

/* Writes the event and reads that strictly. */
static void go_round(struct sp_event *event, enum sp_event_origin origin) {
    struct sp_buf scratch;
    struct sp_buf line;
    struct sp_buf text;
    struct sp_error error;
    struct sp_event *again = malloc(sizeof(*again));
    sp_require(again != NULL);
    sp_buf_init(&scratch, BUFFER_BYTES_MAX);
    sp_buf_init(&line, BUFFER_BYTES_MAX);
    sp_buf_init(&text, BUFFER_BYTES_MAX);
    if (check(event, origin, &scratch) && !has_noncharacters(event)) {
        if (!sp_event_has(event, SP_ATTR_ID)) { /* the store would have made one */
            event->attr[SP_ATTR_ID] = SP_STR("made");
        }
        sp_ce_write(event, NULL, &line);
        sp_require(line.status == SP_OK);
        sp_require(sp_event_from_json(sp_buf_str(&line), SP_EVENT_STRICT, &text, again, &error) ==
                   SP_OK);
        is_same(event, again);
    }
    sp_buf_fini(&scratch);
    sp_buf_fini(&line);
    sp_buf_fini(&text);
    free(again);
}

static void read_body(const struct request *request, enum sp_ce_mode mode, struct sp_event *event,
                      struct sp_buf *scratch) {
    struct sp_ce_reader reader;
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_ce_read_begin(&reader, mode, request->body, scratch, &error);
    while (status == SP_OK) {
        status = sp_ce_read_next(&reader, event, &error);
        if (status == SP_OK) {
            go_round(event, SP_EVENT_FROM_JSON);
        }
    }
    sp_require(status == SP_END || error.text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char NOTHING[] = "";
    struct request request;
    struct sp_error error;
    struct sp_buf scratch;
    enum sp_ce_mode mode;
    struct sp_event *event = malloc(sizeof(*event));
    sp_require(event != NULL);
    sp_error_clear(&error);
    split(size == 0 ? sp_str_of(NOTHING, 0) : sp_str_of(data, size), &request);
    sp_buf_init(&scratch, BUFFER_BYTES_MAX);
    if (sp_ce_mode_of(request.headers, request.header_count, &mode, &error) != SP_OK) {
        sp_require(error.text[0] != '\0');
    } else if (mode == SP_CE_BINARY) {
        if (sp_ce_from_headers(request.headers, request.header_count, request.body, &scratch, event,
                               &error) == SP_OK) {
            go_round(event, SP_EVENT_FROM_FIELDS);
        } else {
            sp_require(error.text[0] != '\0');
        }
    } else if (mode != SP_CE_LINES) {
        read_body(&request, mode, event, &scratch);
    }
    sp_buf_fini(&scratch);
    free(event);
    return 0;
}
