/*
 * The event as a list of named byte strings, and its stored form. pure
 *
 * A record is one entry of the log: an event, or a control record of the engine's own bookkeeping.
 * Its layout is byte by byte in docs/format.md; this file and event.c are the only code that knows
 * it. Everything in `struct sp_event` is borrowed: from the caller when encoding, from the record
 * (and the scratch space) when decoding.
 */
#ifndef SP_RECORD_EVENT_H
#define SP_RECORD_EVENT_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

/*
 * The attributes every part of spoor knows; all others are extensions. Order is the stored order.
 */
enum sp_attr {
    SP_ATTR_TYPE = 0,
    SP_ATTR_SOURCE,
    SP_ATTR_STREAM,
    SP_ATTR_ID,
    SP_ATTR_CORRELATION,
    SP_ATTR_CAUSATION,
    SP_ATTR_TIME,
    SP_ATTR_SCHEMAVERSION,
    SP_ATTR_CONTENTTYPE,
    SP_ATTR_METADATA, /* JSON object text */
    SP_ATTR_COUNT,
};

enum {
    SP_EVENT_EXTENSIONS_MAX = 64 - SP_ATTR_COUNT, /* 64 attributes in all */
    SP_EVENT_NAME_BYTES_MAX = 255,
    SP_EVENT_TYPE_BYTES_MAX = 255,
    SP_EVENT_SIZE_BYTES_MAX = 64 << 20, /* of header and data together; settings allow less */
};

/* How an extension's value came and is given back. */
enum sp_value_kind {
    SP_VALUE_STRING = 0, /* bytes; a JSON string where they are UTF-8 */
    SP_VALUE_JSON = 1,   /* JSON text of a number, true, false, an object or an array */
};

struct sp_extension {
    sp_str name;
    sp_str value;
    enum sp_value_kind kind;
};

struct sp_event {
    /* Assigned on append. */
    uint64_t position;    /* from 1, dense over the log */
    uint64_t version;     /* from 1, dense within the stream */
    uint64_t recorded_us; /* server time, microseconds since 1970 UTC, never falling */
    uint32_t entry_seq;   /* entryid is <recorded_us / 1000>-<entry_seq> */

    /* From the producer. An absent attribute has a NULL ptr. type, source, stream and id are never
     * absent in a stored event, and neither is correlation. */
    sp_str attr[SP_ATTR_COUNT];
    sp_str data;
    bool has_data;
    bool data_is_json; /* data is JSON text; else bytes of the type that contenttype names */
    bool is_history;   /* of an append, not stored: recorded elsewhere before; no sign of life */
    uint16_t extension_count;
    struct sp_extension extensions[SP_EVENT_EXTENSIONS_MAX];
};

static inline bool sp_event_has(const struct sp_event *event, enum sp_attr attr) {
    return event->attr[attr].ptr != NULL;
}

/* The attributes that are there, one bit each: most events have few of them. */
static inline unsigned sp_event_present(const struct sp_event *event) {
    unsigned present = 0;
#pragma GCC unroll 10
    for (unsigned i = 0; i < SP_ATTR_COUNT; i++) {
        present |= (unsigned)(event->attr[i].ptr != NULL) << i;
    }
    return present;
}

/* One entry of the log, as it lies there: cheap to make, nothing is decoded yet. */
struct sp_record {
    const uint8_t *bytes; /* size bytes, 8-aligned relative to its block */
    uint32_t size;
    uint8_t kind;     /* enum sp_record_kind */
    uint8_t flags;    /* SP_RECORD_* */
    uint16_t control; /* of a control record: which */
    uint32_t entry_seq;
    uint64_t position; /* of an event; of a control record: of the last event before it */
    uint64_t version;  /* of a control record its number, dense over the log */
    uint64_t recorded_us;
    sp_str header;
    sp_str data;
};

enum sp_record_kind {
    SP_RECORD_EVENT = 1,
    SP_RECORD_CONTROL = 2,
};

enum {
    SP_RECORD_HAS_DATA = 1,
    SP_RECORD_DATA_JSON = 2,
    SP_RECORD_FLAGS_KNOWN = 3,
    SP_RECORD_FIXED_BYTES = 40,
    SP_RECORD_ALIGN = 8,
    SP_RECORD_SCRATCH_BYTES = 3 * 36, /* room for the three ids that are stored packed */
};

/* Upper bound of the stored size of the event, in bytes. O(attributes). */
size_t sp_record_size_max(const struct sp_event *event);

/*
 * Encodes the event at `to`, which has room for sp_record_size_max(), and returns the stored size,
 * a multiple of SP_RECORD_ALIGN. The event is complete and within limits: the caller has checked
 * it.
 */
size_t sp_record_encode(const struct sp_event *event, uint8_t *to);

/* What a control record is made of; its time and entry number are those of the event before it. */
struct sp_control {
    uint16_t kind;
    uint64_t number;   /* dense over the log, from 1 */
    uint64_t position; /* of the last event before it; 0 where there is none */
    uint64_t recorded_us;
    uint32_t entry_seq;
    sp_str body;
};

/* Bytes that a control record with such a body takes. */
static inline size_t sp_record_control_size(size_t body_bytes) {
    return (SP_RECORD_FIXED_BYTES + body_bytes + SP_RECORD_ALIGN - 1) / SP_RECORD_ALIGN *
           SP_RECORD_ALIGN;
}

/* Encodes a control record at `to`, which has room for sp_record_control_size(body); returns it. */
size_t sp_record_encode_control(const struct sp_control *control, uint8_t *to);

/*
 * The record's checksum tag: the low half of XXH3-64, seeded with the position, over bytes 8 to
 * size.
 */
uint32_t sp_record_tag(const uint8_t *bytes, size_t size, uint64_t position);

/*
 * Reads the record at the start of `bytes`. `position` is what the block says of it. SP_CORRUPT
 * where the lengths do not fit, or the kind or a flag is none of this format's; nothing of the
 * header is decoded yet. The checksum tag is not compared here.
 */
SP_WARN_UNUSED sp_status sp_record_read(sp_str bytes, uint64_t position,
                                        struct sp_record *ret_record);

/*
 * The type of an event record, which stands first in its header, without decoding the rest. Empty
 * where the header makes no sense.
 */
sp_str sp_record_type(const struct sp_record *record);

/* Where in an encoded record the type begins that has so many bytes. */
size_t sp_record_type_offset(size_t type_len);

/* Ids that a header may hold packed, 16 bytes each: in this order. */
enum sp_packed_id {
    SP_PACKED_ID = 0,
    SP_PACKED_CORRELATION,
    SP_PACKED_CAUSATION,
    SP_PACKED_COUNT,
};

enum { SP_PACKED_BYTES = 16 };

static const uint32_t SP_PACKED_NONE = UINT32_MAX;

/*
 * Where the packed ids stand in a header; SP_PACKED_NONE for those that it has not. With `apart`
 * the header is one that they were taken out of, and the answer is where they belong. False where
 * it makes no sense.
 */
bool sp_record_packed_ids(sp_str header, bool apart, uint32_t ret_offsets[SP_PACKED_COUNT]);

/* How many packed ids a header has, by its first four bytes. */
uint32_t sp_record_packed_count(const char *header);

/* True where the record's own checksum tag is right. */
bool sp_record_tag_valid(const struct sp_record *record);

/*
 * Decodes an event record. The slices of *ret_event point into the record and into `scratch`, which
 * must live as long as the event is used. SP_CORRUPT where the header makes no sense.
 */
SP_WARN_UNUSED sp_status sp_record_decode(const struct sp_record *record,
                                          char scratch[SP_RECORD_SCRATCH_BYTES],
                                          struct sp_event *ret_event);

#endif
