/*
 * Bytes that a client gives as data, when nothing says whether they are JSON. pure
 */
#ifndef SP_PROTO_PAYLOAD_H
#define SP_PROTO_PAYLOAD_H

#include "base/json.h"
#include "record/event.h"

/*
 * What the text is as JSON that an event may hold, SP_JSON_ERROR where it is none: nested no deeper
 * than sp_event_check allows. One scan.
 */
enum sp_json_type payload_json_type(sp_str text);

/*
 * Makes the bytes the event's data. `json` says what they are; where they are no JSON and the event
 * has no content type, it gets text/plain or application/octet-stream.
 */
void payload_set(struct sp_event *event, sp_str bytes, enum sp_json_type json);

#endif
