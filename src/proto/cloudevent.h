/*
 * CloudEvents 1.0.2 over HTTP: which of its modes a request is in, the events it holds, and events
 * written as CloudEvents in JSON. pure
 *
 * In. The mode follows from Content-Type and from whether there are `ce-` headers; media types are
 * compared in any case:
 *
 *     application/cloudevents-batch+json   an array of events, possibly empty: strict
 *     application/cloudevents+json         one event: strict
 *     any other, with `ce-` headers        binary: attributes in headers, the body is data: strict
 *     application/json, or nothing         one event or an array, in any spelling: lenient; so is
 *                                          what `curl -d` says, application/x-www-form-urlencoded
 *     application/x-ndjson                 one event a line: lenient
 *
 * Strict and lenient are those of event/event_json.h; event/strict.h has the rules for values.
 *
 * Values of `ce-` headers: double quotes around one are taken off with their escapes, then
 * %-escapes are resolved, once. Bytes beyond ASCII, which do not belong there, are taken as UTF-8
 * where they are that, else as ISO 8859-1, which is what Node sends for them. All values are
 * strings: a header does not tell a number from its digits.
 *
 * Out. Everything that is not in CloudEvents' grammar is brought into it:
 *   - position and version are strings, as an Integer has 32 bits there; `sequence` is the position
 *     with 20 digits, so that it sorts as text;
 *   - metadata is a string that holds its JSON; so are extensions that are fractions, objects or
 *     arrays;
 *   - a source that is no URI-reference has %-escapes for what does not belong into one;
 *   - extensions with names or values that are not allowed stand together in the string
 *     `otherattributes`, a JSON object of them; so does a datacontenttype that is no media type;
 *   - data that is neither JSON nor UTF-8 is data_base64.
 * Noncharacters of Unicode in an id and the like, which only lenient producers can give, stay.
 */
#ifndef SP_PROTO_CLOUDEVENT_H
#define SP_PROTO_CLOUDEVENT_H

#include "event/event_json.h"
#include "proto/http_read.h"

#define SP_CE_TYPE       "application/cloudevents+json"
#define SP_CE_BATCH_TYPE "application/cloudevents-batch+json"
#define SP_CE_OTHER_NAME "otherattributes"

enum sp_ce_mode {
    SP_CE_BINARY,
    SP_CE_STRUCTURED,
    SP_CE_BATCH,
    SP_CE_LENIENT,
    SP_CE_LINES,
};

/* SP_UNSUPPORTED where the request is in none of the modes: the error says which there are. */
SP_WARN_UNUSED sp_status sp_ce_mode_of(const struct sp_http_pair *headers, uint32_t header_count,
                                       enum sp_ce_mode *ret_mode, struct sp_error *error);

/*
 * Reads the event of a request in binary mode. Its slices point into headers, body and scratch.
 * Submit it as SP_EVENT_FROM_FIELDS. SP_INVALID, SP_LIMIT (too many attributes), SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_ce_from_headers(const struct sp_http_pair *headers,
                                            uint32_t header_count, sp_str body,
                                            struct sp_buf *scratch, struct sp_event *ret_event,
                                            struct sp_error *error);

/* The events of a body of JSON, one after another. */
struct sp_ce_reader {
    struct sp_json json;
    enum sp_event_mode mode;
    struct sp_buf *scratch;
    bool is_array;  /* known once it is begun */
    uint32_t count; /* read so far */
};

/*
 * Begins to read a body of structured, batch or lenient mode. Reserves all that its events need in
 * the scratch buffer, so that none of their slices moves. SP_INVALID where the body is not what the
 * mode has: the error says what was expected.
 */
SP_WARN_UNUSED sp_status sp_ce_read_begin(struct sp_ce_reader *reader, enum sp_ce_mode mode,
                                          sp_str body, struct sp_buf *scratch,
                                          struct sp_error *error);

/*
 * The next event: submit it as SP_EVENT_FROM_JSON. SP_END behind the last one, and only where the
 * rest of the body is right too. The error of an array begins with `event 3: `, counted from 1.
 */
SP_WARN_UNUSED sp_status sp_ce_read_next(struct sp_ce_reader *reader, struct sp_event *ret_event,
                                         struct sp_error *error);

/*
 * The attribute that an error's text is about, as the functions here and sp_event_check write them;
 * empty where it is about none. Points into the text, or is static.
 */
sp_str sp_ce_error_attribute(sp_str text);

/*
 * Appends the event as a CloudEvent in JSON, one line. The event comes from the log, or has passed
 * sp_event_check; `hash` is its leaf hash, or NULL. Failure sticks in the buffer. O(bytes).
 */
void sp_ce_write(const struct sp_event *event, const uint8_t hash[32], struct sp_buf *to);

#endif
