/*
 * Events as a server sends them: one line of JSON, with what the store assigned. pure
 *
 * What differs from the event as it is stored: line breaks between the tokens of a JSON value come
 * as spaces (see event/event_json.h).
 */
#ifndef SP_CLIENT_DECODE_H
#define SP_CLIENT_DECODE_H

#include "base/buf.h"
#include "base/error.h"
#include "record/event.h"

enum { SP_DECODED_HASH_BYTES = 32 };

struct sp_decoded {
    struct sp_event event; /* points into the text and into scratch */
    struct sp_buf scratch;
    bool has_hash;
    uint8_t hash[SP_DECODED_HASH_BYTES];
};

void sp_decoded_init(struct sp_decoded *decoded);
void sp_decoded_fini(struct sp_decoded *decoded);

/* Reads an event; the text stays the caller's for as long as the event is used. SP_INVALID. */
SP_WARN_UNUSED sp_status sp_decode(struct sp_decoded *to, sp_str text, struct sp_error *error);

#endif
