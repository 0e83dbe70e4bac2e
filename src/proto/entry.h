/*
 * A stream entry of Redis (XADD's fields and values) as an event, and back. pure
 *
 * Reading gives the very fields that were added: in order, byte for byte, with the spelling used.
 *
 * In. Fields are looked at in order; what none of the rules takes is an *ordinary* field.
 *
 * - A field named as an attribute or one of its aliases (event/attributes.h: type, source, time,
 *   correlationid, causationid, schemaversion, metadata and theirs; of the id only `event_id`; not
 *   stream) is that attribute. The first whose value the attribute can have is taken, whatever its
 *   spelling; later ones are ordinary, and so are those with an unusable value: empty, not UTF-8 or
 *   with control characters; a type that is no topic; a time that cannot be read; metadata that is
 *   no JSON object. A time without zone, a date, a Unix time become RFC 3339.
 * - The first `data` or `payload` is the event's data: JSON if it is JSON, else text/plain or
 *   application/octet-stream. Beside it `datacontenttype` is an attribute too, if it does not call
 *   JSON what is none. Ordinary fields are then extensions of kind string.
 * - Without one, the ordinary fields together are the data: a JSON object of strings in the order
 *   given.
 * - No usable type: `redis.entry`. No usable source: the default one. Stream: the key.
 *
 * Nothing is refused for its content. Where ordinary fields cannot be extensions (more than the
 * event may have; a name that is empty, repeated, over 255 bytes, not UTF-8, or hidden, see below)
 * `data`, `payload` and `datacontenttype` are ordinary fields as well, and all of them together are
 * the data. Where these cannot be a JSON object (a name repeats, something is not UTF-8, more than
 * SP_ENTRY_OBJECT_FIELDS_MAX of them, escapes would more than double the bytes, or the event would
 * be over its limit) the data is the fields as RESP bulk strings back to back
 *
 *     $<bytes of name>\r\n<name>\r\n$<bytes of value>\r\n<value>\r\n ...
 *
 * under the content type application/vnd.redis.fields.
 *
 * Idempotency. `event_id` is the event's id. An entry added with IDMP has as id a UUID (version 8)
 * made of the SHA-256 of key, producer and iid; `event_id` is then ordinary, and the producer is
 * the default source if it could be one. The same source and id again append nothing; a repetition
 * with another field `source` is therefore another event.
 *
 * What is kept to give the fields back: the extension `redisfields`, a text. It is absent where all
 * fields are ordinary. Else it says in which order attributes and ordinary fields came, as a
 * sequence of
 *
 *     a letter        one field: an attribute under this spelling, its value as the event has it
 *     W<text>;        the field `time`, which was given as <text> and completed
 *     X<text>;        the same of `timestamp`
 *     a number        so many ordinary fields, taken from where they are, in order; decimal, from 1
 *
 * Ordinary fields that follow the last letter are not mentioned, so a usual entry costs a byte for
 * each attribute: `type order.placed amount 5` has "t", `amount 5 type order.placed` has "1t".
 *
 *     t type        s source         i event_id    w time       d data     m metadata
 *     e event_type  u source_agent                 x timestamp  p payload  l datacontenttype
 *                   a agent_id
 *                   n agent_name
 *                   g agent
 *     c correlationid    k causationid      b schemaversion
 *     o correlation_id   y causation_id     f schema_version
 *     r correlationId    z causationId      h schemaVersion
 *     v conversation_id  q parent_event_id  j event_version
 *
 * Where `d` or `p` is there, ordinary fields are the extensions in their order, hidden ones left
 * out; else the members of the data object, or the bulk strings. The text "!" marks an event that
 * came by PUBLISH (pubsub_message.h). Letters not in the table are for later versions: an event
 * with one is shown as one that came another way, and so is one whose text does not fit the event.
 *
 * Out. An event with a `redisfields` that fits, or of the type redis.entry with data that is an
 * object of strings or of redis' fields and without extensions, gives its fields. Any other gives
 * those present of id, type, source, time, correlationid, causationid, schemaversion, data and
 * metadata, then its extensions. The extensions `redisfields` and `streamentryid` are hidden: never
 * shown as fields.
 */
#ifndef SP_PROTO_ENTRY_H
#define SP_PROTO_ENTRY_H

#include "event/envelope.h"
#include "proto/resp_write.h"
#include "record/entry_id.h"

#define SP_ENTRY_TYPE        "redis.entry"
#define SP_ENTRY_LAYOUT_NAME "redisfields"
#define SP_ENTRY_FIELDS_TYPE "application/vnd.redis.fields"

enum {
    SP_ENTRY_OBJECT_FIELDS_MAX = 1024, /* ordinary fields of one JSON object */
    /* Attributes an event can have that are no ordinary field: those of spoor, and the hidden. */
    SP_ENTRY_ATTRIBUTES_OTHER = SP_ATTR_COUNT + 2,
};

/* What an XADD says. All of it is borrowed. */
struct sp_entry {
    const sp_str *fields;      /* names and values in turn, a name first */
    uint32_t count;            /* of both together: even */
    sp_str stream;             /* the key; the engine refuses one that no stream can be called */
    sp_str source;             /* where no field says another; a usable source */
    sp_str producer;           /* with iid: of IDMP or IDMPAUTO */
    sp_str iid;                /* NULL ptr: not idempotent */
    struct sp_entry_id own_id; /* chosen by the client; SP_ENTRY_ID_NONE: there is none */
};

/*
 * Bytes that sp_entry_to_event may take in the scratch buffer. Who reserves the sum for several
 * entries before the first call can rely on that no slice moves.
 */
size_t sp_entry_scratch_bytes(const struct sp_entry *entry);

/*
 * Makes the event of an entry. Submit it as SP_EVENT_FROM_JSON: its data, metadata and extensions
 * are checked. Its slices point into the entry and into scratch. The limits are the engine's; that
 * the event keeps to them, its stream's name included, is checked there. SP_NO_MEMORY or SP_LIMIT
 * where the scratch buffer cannot grow; nothing else fails. Cost: O(bytes).
 */
SP_WARN_UNUSED sp_status sp_entry_to_event(const struct sp_entry *entry,
                                           const struct sp_event_limits *limits,
                                           struct sp_buf *scratch, struct sp_event *ret_event,
                                           struct sp_error *error);

enum { SP_ENTRY_IID_BYTES = 32 };

/*
 * The iid of IDMPAUTO: a hash of the fields with their values, whatever their order, in hex, no
 * NUL. Not collision-proof against those who try.
 */
void sp_entry_auto_iid(const sp_str *fields, uint32_t count, char ret_iid[SP_ENTRY_IID_BYTES]);

/*
 * Writes the fields of an event, as said above, as an array of bulk strings: names and values in
 * turn. The event is complete, decoded from the log or just appended. Any event will do: what the
 * hidden extensions hold is compared with the rest and never believed. Failure sticks in the
 * buffer. Cost: O(bytes).
 */
void sp_entry_write(const struct sp_event *event, struct sp_resp *resp);

/* True where the extension is never shown as a field. */
bool sp_entry_is_hidden(sp_str extension_name);

#endif
