/*
 * The event as a JSON object, in and out. pure
 *
 * Two ways to read one, and one to write:
 *
 * - lenient (`application/json`, import): any spelling of attributes.h; specversion and id may be
 *   missing; `null` means absent (of `data` it is the payload null); a number given for a text
 *   attribute is taken as its text; metadata may also be a string that holds its JSON; an alias
 *   with a value that its attribute cannot have (an object, `true`) is an ordinary extension.
 * - strict (CloudEvents 1.0.2, JSON format, structured mode): specversion "1.0", id, source and
 *   type are demanded; names are lower-case letters and digits; values are strings that keep to
 *   strict.h, or of extensions booleans and 32-bit integers; no other spellings count. `stream`,
 *   `correlationid`, `causationid` and `schemaversion` are what spoor says they are; `metadata` is
 *   a string that holds JSON.
 *
 * In both: names assigned on append (position, version, recordedtime, entryid, hash) are dropped;
 * the same key twice is an error; `data` is kept byte for byte as it stands in the text; under a
 * content type other than JSON a string is its text; `data_base64` is bytes; both at once are an
 * error. An extension's number, boolean, object or array is kept as its JSON text and given back
 * so.
 *
 * Extensions whose names would be taken for something else are written with a `$` before: XADD can
 * add a field `id`, which is not the event's, and it becomes `$id`. When reading, `$` before a name
 * of the table (and any more `$`) marks an extension and is taken off, so that both directions
 * agree; other names that begin with `$` are left alone. A string of bytes that are not UTF-8 is
 * written as {"$base64": "…"}, and read so.
 */
#ifndef SP_EVENT_EVENT_JSON_H
#define SP_EVENT_EVENT_JSON_H

#include "base/json.h"
#include "event/envelope.h"

enum sp_event_mode {
    SP_EVENT_LENIENT,
    SP_EVENT_STRICT,
};

/*
 * Reads one event from a text that holds one JSON object. The slices of *ret_event point into the
 * text and, where escapes had to be resolved, into the scratch buffer, in which
 * sp_event_scratch_bytes(text.len) are reserved: at most one growth, at the start, which moves what
 * earlier events have there. Call sp_event_check next, with SP_EVENT_FROM_JSON; before it the
 * caller may add what the transport knows. SP_INVALID (with the byte position), SP_LIMIT (too many
 * attributes) or SP_NO_MEMORY. One pass over the text.
 */
SP_WARN_UNUSED sp_status sp_event_from_json(sp_str text, enum sp_event_mode mode,
                                            struct sp_buf *scratch, struct sp_event *ret_event,
                                            struct sp_error *error);

/*
 * The same for one object of several in a text: the scanner has just yielded its opening brace, and
 * stands behind its closing one afterwards. The caller has reserved as many bytes in the scratch
 * buffer as are left of the text; reading takes no more, however many objects follow. On failure
 * the scanner is not to be used.
 */
SP_WARN_UNUSED sp_status sp_event_from_scanner(struct sp_json *json, enum sp_event_mode mode,
                                               struct sp_buf *scratch, struct sp_event *ret_event,
                                               struct sp_error *error);

/*
 * Appends the event as one line of JSON, without the line's end. Keys in this order: id type source
 * stream time correlationid causationid schemaversion datacontenttype metadata, extensions in
 * theirs, data or data_base64, position version recordedtime entryid hash; what is absent or not
 * assigned yet is left out. There is no specversion: this is spoor's own shape, CloudEvents are
 * written elsewhere. The event has passed sp_event_check or comes from the log; `hash` is its leaf
 * hash, or NULL. Line breaks between the tokens of a JSON value become spaces, all else is written
 * as stored; reading it gives the same event but for those and for white space around such a value.
 * Failure sticks in the buffer. O(bytes).
 */
void sp_event_to_json(const struct sp_event *event, const uint8_t hash[32], struct sp_buf *to);

#endif
