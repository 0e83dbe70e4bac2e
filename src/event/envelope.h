/*
 * Checking and completing an event before it is appended. pure
 *
 * The happy path: a protocol fills a struct sp_event with what the producer gave, sp_event_check
 * says that it may be stored and supplies what follows from the rest. What needs a clock,
 * randomness or the store (an absent id, correlation with the cause's run, position and version) is
 * left to those who have them.
 */
#ifndef SP_EVENT_ENVELOPE_H
#define SP_EVENT_ENVELOPE_H

#include "base/buf.h"
#include "event/attributes.h"

/* How much of the event has been validated already. */
enum sp_event_origin {
    SP_EVENT_FROM_FIELDS, /* nothing: names and bytes of some protocol */
    SP_EVENT_FROM_JSON,   /* data that is JSON, metadata, extensions: by sp_event_from_json */
};

/*
 * Bytes that reading and checking one event of so many bytes of text may take in the scratch
 * buffer. Who reserves them (for a batch: of its whole text) before the first call can rely on that
 * no slice moves.
 */
static inline size_t sp_event_scratch_bytes(size_t text_bytes) {
    return 2 * text_bytes + 64;
}

/*
 * Completes the event and says whether it may be appended.
 *
 * Completed:
 * - time: a text without zone gets `Z`, a date alone its midnight, a number (Unix seconds below
 *   10^11, else milliseconds) becomes RFC 3339; what is RFC 3339 already stays byte for byte;
 * - correlation and causation where absent: from metadata, under any spelling of attributes.h, from
 *   its uppermost level; of several the first in the order of the table; what could not be an id
 *   there is passed over, for metadata belongs to the producer;
 * - stream where absent: the source;
 * - data: data_is_json says the truth afterwards. Without a content type, or with one of JSON, data
 *   that is JSON is taken for JSON; else it is bytes, and where no content type says of which kind,
 *   it becomes text/plain if it is UTF-8, application/octet-stream if not;
 * - an optional attribute given as empty text (time, correlation, causation, schemaversion, content
 *   type) becomes absent.
 *
 * Demanded: type is a topic; source, and id and stream where given, are not empty; attributes are
 * UTF-8 without control characters and not too long; time can be read; metadata is a JSON object;
 * data is JSON where data_is_json or its content type say so, and values of SP_VALUE_JSON are, with
 * at most SP_JSON_DEPTH_MAX - 1 levels; names of extensions are right; the limits hold. id may be
 * absent. Extensions may have names of the table (XADD takes any field); event_json.h shows how
 * they are told apart.
 *
 * What is completed is appended to `scratch` and lives as long as that; see sp_event_scratch_bytes.
 * On failure the event is part completed and not to be used; SP_INVALID, SP_LIMIT or SP_NO_MEMORY,
 * and the error names the attribute, what was found and what was expected. Costs one scan of what
 * is not validated yet.
 */
SP_WARN_UNUSED sp_status sp_event_check(struct sp_event *event, enum sp_event_origin origin,
                                        const struct sp_event_limits *limits,
                                        struct sp_buf *scratch, struct sp_error *error);

/*
 * The completion of time alone, for protocols that keep an unreadable one as an extension.
 * *ret_time is the text itself where it is RFC 3339 already, else appended to scratch, at most 64
 * bytes.
 */
SP_WARN_UNUSED sp_status sp_event_time(sp_str text, struct sp_buf *scratch, sp_str *ret_time,
                                       struct sp_error *error);

/* Bytes of all names and values and of data: what event_bytes_max limits. O(attributes). */
size_t sp_event_size(const struct sp_event *event);

#endif
