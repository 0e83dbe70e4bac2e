/*
 * The names of an event: those that are spoor's, in all their spellings, and all others. pure
 *
 * A name is looked up once; its entry says what it means. Everything not in the table is an
 * extension.
 *
 * Several spellings of one attribute in one event: the canonical one wins, else the first in the
 * order of the table in attributes.c (which is that of the documentation). The others stay in the
 * event as extensions under their own names: somebody who sends `source` and `agent_id` reads both.
 * Empty text says nothing: any other spelling wins over it.
 */
#ifndef SP_EVENT_ATTRIBUTES_H
#define SP_EVENT_ATTRIBUTES_H

#include "base/error.h"
#include "record/event.h"

enum sp_name_kind {
    SP_NAME_ATTRIBUTE,   /* the canonical name of an attribute */
    SP_NAME_ALIAS,       /* another spelling of one */
    SP_NAME_DATA,        /* `data` */
    SP_NAME_DATA_ALIAS,  /* `payload` */
    SP_NAME_DATA_BASE64, /* `data_base64` */
    SP_NAME_SPECVERSION, /* `specversion`: of the JSON form, not of the event */
    SP_NAME_ASSIGNED,    /* set on append, never taken from a producer */
};

enum { SP_NAME_COUNT = 36 };

struct sp_name {
    const char *text;
    uint8_t length;
    uint8_t kind; /* enum sp_name_kind */
    uint8_t attr; /* ATTRIBUTE, ALIAS: enum sp_attr; DATA and DATA_ALIAS: SP_ATTR_COUNT */
    uint8_t rank; /* of the spellings of one attribute the lowest wins; 0 is the canonical one */
};

/* The table, SP_NAME_COUNT entries, for those who must walk all of it. */
extern const struct sp_name sp_names[SP_NAME_COUNT];

/*
 * The entry of a name, NULL for an extension. Exact spelling. O(1). Where `id` alone shall not be
 * the attribute (XADD), the caller passes over it.
 */
const struct sp_name *sp_name_find(sp_str name);

/* The canonical name of an attribute; static storage. */
extern const sp_str sp_attr_names[SP_ATTR_COUNT];

static inline sp_str sp_attr_name(enum sp_attr attr) {
    sp_require(attr < SP_ATTR_COUNT);
    return sp_attr_names[attr];
}

enum { SP_EVENT_ID_BYTES_MAX = 4096 }; /* of id, source, stream, correlationid and causationid */

struct sp_event_limits {
    size_t event_bytes_max;  /* names and values of all attributes, and data */
    uint32_t attributes_max; /* at most 64, extensions included, data not */
};

#define SP_EVENT_LIMITS_DEFAULT                                                                    \
    ((struct sp_event_limits){.event_bytes_max = 1 << 20, .attributes_max = 64})

/*
 * SP_OK where the text is a topic: tokens joined by `.`, UTF-8 without white space (Unicode's
 * White_Space) and control characters, 1 to 255 bytes, no token being `*`, `#` or `>` alone, which
 * in patterns stand for others. A token may be empty, as in AMQP: `a..b` has three. Else
 * SP_INVALID.
 */
SP_WARN_UNUSED sp_status sp_event_type_check(sp_str type, struct sp_error *error);

/*
 * SP_OK where an extension may have the name: UTF-8 without control characters, 1 to 255 bytes.
 * Strict, after CloudEvents: lower-case ASCII letters and digits alone. (That names should not
 * exceed 20 bytes is a recommendation there, and not enforced.)
 */
SP_WARN_UNUSED sp_status sp_event_name_check(sp_str name, bool strict, struct sp_error *error);

/*
 * SP_OK where an attribute's text is UTF-8 without control characters (CloudEvents allows none),
 * not empty and at most SP_EVENT_ID_BYTES_MAX bytes. The error names the attribute.
 */
SP_WARN_UNUSED sp_status sp_event_text_check(enum sp_attr attr, sp_str text,
                                             struct sp_error *error);

/* True where a media type (RFC 2046) says JSON: its subtype is `json` or ends in `+json`. */
bool sp_content_type_is_json(sp_str type);

#endif
