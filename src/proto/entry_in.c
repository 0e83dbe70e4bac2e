/*
 * One walk over the fields decides of each what it is and writes it where it belongs. There are
 * three ways to keep ordinary fields; the walk begins with the first that may do and, where that
 * turns out not to, begins anew with the next. The last one always does.
 *
 *     KEEP_EXTENSIONS (only with data or payload) ──▶ KEEP_OBJECT ──▶ KEEP_BULKS
 *
 * All that is written goes into one stretch of the scratch buffer, reserved at the start, so no
 * slice ever moves: first a small one for texts (a completed time, an id, the layout), then data.
 */
#include "proto/entry.h"

#include "base/hash.h"
#include "base/scan.h"
#include "base/time.h"
#include "base/utf8.h"
#include "proto/entry_layout.h"
#include "proto/payload.h"
#include "record/tree.h"

enum {
    TEXT_BYTES = 512,   /* of the texts in scratch: time 64, two ids 36 and 44, the layout */
    OVERHEAD_BYTES = 8, /* of one string in data, beyond twice its bytes */
    SLACK_BYTES = 32,   /* a reply writer reserves for the longest of numbers */
    SLOTS = 2048,       /* of the table of names, twice the names it may hold */
    NAMES_WITHOUT_TABLE = 16,
    IDMP_LENGTHS_BYTES = 24, /* three lengths of 64 bits */
};

_Static_assert(TEXT_BYTES >=
                   64 + SP_UUID_TEXT_SIZE + SP_ENTRY_ID_TEXT_SIZE + ENTRY_LAYOUT_BYTES_MAX,
               "the texts of one event have room");

enum keep {
    KEEP_EXTENSIONS,
    KEEP_OBJECT,
    KEEP_BULKS,
};

/* The names of ordinary fields so far, to find one that repeats. */
struct names {
    uint32_t count;
    uint32_t at[SP_ENTRY_OBJECT_FIELDS_MAX]; /* where in the entry's fields */
    uint16_t slots[SLOTS];                   /* 1 + index in `at`; made when there are many */
};

struct mapping {
    const struct sp_entry *entry;
    const struct sp_event_limits *limits;
    struct sp_event *event;
    struct sp_buf texts; /* windows on the scratch buffer, which never grow */
    struct sp_buf data;
    enum keep keep;
    uint32_t extensions_max;
    enum sp_json_type payload_type;
    char idempotent_id[SP_UUID_TEXT_SIZE]; /* where the entry has an iid */
    struct entry_layout_writer layout;
    struct names names;
};

static size_t text_bytes(const struct sp_entry *entry) {
    size_t total = 0;
    for (uint32_t i = 0; i < entry->count; i++) {
        total += entry->fields[i].len;
    }
    return total;
}

/* What is hashed for an idempotent entry stands in scratch for a moment. */
static size_t idmp_bytes(const struct sp_entry *entry) {
    return entry->iid.ptr == NULL
               ? 0
               : entry->stream.len + entry->producer.len + entry->iid.len + IDMP_LENGTHS_BYTES;
}

size_t sp_entry_scratch_bytes(const struct sp_entry *entry) {
    size_t data = 2 * text_bytes(entry) + (size_t)OVERHEAD_BYTES * entry->count + SLACK_BYTES;
    size_t idmp = idmp_bytes(entry);
    return TEXT_BYTES + (data > idmp ? data : idmp);
}

static bool is_data(sp_str name) {
    return sp_str_eq(name, SP_STR("data")) || sp_str_eq(name, SP_STR("payload"));
}

/* The first data or payload field, NULL where there is none. */
static const sp_str *find_payload(const struct sp_entry *entry) {
    for (uint32_t i = 0; i < entry->count; i += 2) {
        if (is_data(entry->fields[i])) {
            return &entry->fields[i + 1];
        }
    }
    return NULL;
}

bool sp_entry_is_hidden(sp_str extension_name) {
    return sp_str_eq(extension_name, SP_STR(SP_ENTRY_LAYOUT_NAME)) ||
           sp_str_eq(extension_name, SP_STR(SP_OWN_ID_NAME));
}

static uint32_t slot_of(sp_str name) {
    return (uint32_t)sp_hash(name.ptr, name.len) & (SLOTS - 1);
}

/* Puts the name into the table; false where it is there already. */
static bool names_insert(struct mapping *m, uint32_t index) {
    struct names *names = &m->names;
    sp_str name = m->entry->fields[names->at[index]];
    uint32_t slot = slot_of(name);
    while (names->slots[slot] != 0) {
        if (sp_str_eq(m->entry->fields[names->at[names->slots[slot] - 1]], name)) {
            return false;
        }
        slot = (slot + 1) & (SLOTS - 1);
    }
    names->slots[slot] = (uint16_t)(index + 1);
    return true;
}

static bool names_fill_table(struct mapping *m) {
    memset(m->names.slots, 0, sizeof(m->names.slots));
    for (uint32_t i = 0; i < m->names.count; i++) {
        if (!names_insert(m, i)) {
            return false;
        }
    }
    return true;
}

/* Remembers the name of the ordinary field `field`; false where it repeats or is one too many. */
static bool names_add(struct mapping *m, uint32_t field) {
    struct names *names = &m->names;
    if (names->count == SP_ENTRY_OBJECT_FIELDS_MAX) {
        return false;
    }
    names->at[names->count++] = field;
    if (names->count > NAMES_WITHOUT_TABLE) {
        return names->count == NAMES_WITHOUT_TABLE + 1 ? names_fill_table(m)
                                                       : names_insert(m, names->count - 1);
    }
    for (uint32_t i = 0; i + 1 < names->count; i++) {
        if (sp_str_eq(m->entry->fields[names->at[i]], m->entry->fields[field])) {
            return false;
        }
    }
    return true;
}

/* Completes a time; what was given is kept in the layout where it differs. */
static bool take_time(struct mapping *m, sp_str value, sp_str *ret_given) {
    sp_str time;
    if (value.len > ENTRY_TIME_TEXT_MAX || sp_event_time(value, &m->texts, &time, NULL) != SP_OK ||
        memchr(value.ptr, ';', value.len) != NULL) {
        return false;
    }
    *ret_given = time.ptr == value.ptr ? sp_str_of(NULL, 0) : value;
    m->event->attr[SP_ATTR_TIME] = time;
    return true;
}

/* A content type goes with the payload, and may call it JSON only if it is. */
static bool content_type_fits(const struct mapping *m, sp_str value) {
    return m->keep == KEEP_EXTENSIONS && !sp_str_eq(value, SP_STR(SP_ENTRY_FIELDS_TYPE)) &&
           (m->payload_type != SP_JSON_ERROR || !sp_content_type_is_json(value));
}

/* True where the attribute can have the value; then it has. */
static bool take_attribute(struct mapping *m, enum sp_attr attr, sp_str value, sp_str *ret_given) {
    struct sp_event *event = m->event;
    if (sp_event_has(event, attr) || value.len == 0) {
        return false;
    }
    bool usable = attr == SP_ATTR_METADATA || sp_event_text_check(attr, value, NULL) == SP_OK;
    switch (attr) {
    case SP_ATTR_TIME:
        return usable && take_time(m, value, ret_given);
    case SP_ATTR_TYPE:
        usable = usable && sp_event_type_check(value, NULL) == SP_OK;
        break;
    case SP_ATTR_METADATA:
        usable = payload_json_type(value) == SP_JSON_OBJECT;
        break;
    case SP_ATTR_CONTENTTYPE:
        usable = usable && content_type_fits(m, value);
        break;
    case SP_ATTR_SOURCE:
    case SP_ATTR_STREAM:
    case SP_ATTR_ID:
    case SP_ATTR_CORRELATION:
    case SP_ATTR_CAUSATION:
    case SP_ATTR_SCHEMAVERSION:
    case SP_ATTR_COUNT:
        break;
    }
    if (usable) {
        event->attr[attr] = value;
    }
    return usable;
}

static bool take_payload(struct mapping *m, sp_str value) {
    if (m->keep != KEEP_EXTENSIONS || m->event->has_data) {
        return false;
    }
    m->event->has_data = true;
    m->event->data = value;
    return true;
}

/* True where the field is an attribute's, or the payload. */
static bool take_known(struct mapping *m, sp_str name, sp_str value) {
    char letter = entry_letter(name);
    if (SP_LIKELY(letter == 0)) {
        return false;
    }
    uint8_t attr = entry_spelling(letter)->attr;
    sp_str given = sp_str_of(NULL, 0);
    bool taken = attr == SP_ATTR_COUNT ? take_payload(m, value)
                                       : take_attribute(m, (enum sp_attr)attr, value, &given);
    if (taken) {
        entry_layout_add(&m->layout, letter, given);
    }
    return taken;
}

static bool add_extension(struct mapping *m, sp_str name, sp_str value) {
    struct sp_event *event = m->event;
    if (event->extension_count >= m->extensions_max ||
        sp_event_name_check(name, false, NULL) != SP_OK || sp_entry_is_hidden(name)) {
        return false;
    }
    event->extensions[event->extension_count++] =
        (struct sp_extension){.name = name, .value = value, .kind = SP_VALUE_STRING};
    return true;
}

/* Appends a JSON string; false where the bytes are not UTF-8. */
static bool add_string(struct sp_buf *to, sp_str text) {
    if (text.len > 0 && sp_scan_plain(text.ptr, text.ptr + text.len) != text.ptr + text.len) {
        if (!sp_utf8_valid(text)) {
            return false;
        }
        sp_json_add_string(to, text);
        return to->status == SP_OK;
    }
    uint8_t *at = sp_buf_reserve(to, text.len + 2);
    if (at == NULL) {
        return false;
    }
    *at++ = '"';
    if (text.len > 0) {
        memcpy(at, text.ptr, text.len);
    }
    at[text.len] = '"';
    sp_buf_advance(to, text.len + 2);
    return true;
}

static bool add_member(struct mapping *m, sp_str name, sp_str value) {
    sp_buf_add_byte(&m->data, m->data.len == 0 ? '{' : ',');
    if (!add_string(&m->data, name)) {
        return false;
    }
    sp_buf_add_byte(&m->data, ':');
    return add_string(&m->data, value);
}

static bool add_bulks(struct mapping *m, sp_str name, sp_str value) {
    struct sp_resp resp = {.to = &m->data, .version = SP_RESP_2};
    sp_resp_bulk(&resp, name);
    sp_resp_bulk(&resp, value);
    return true;
}

/* Keeps the ordinary field; false where it cannot be kept this way. */
static bool keep_ordinary(struct mapping *m, uint32_t field) {
    sp_str name = m->entry->fields[field];
    sp_str value = m->entry->fields[field + 1];
    m->layout.run++;
    switch (m->keep) {
    case KEEP_EXTENSIONS:
        return names_add(m, field) && add_extension(m, name, value);
    case KEEP_OBJECT:
        return names_add(m, field) && add_member(m, name, value);
    case KEEP_BULKS:
        return add_bulks(m, name, value);
    }
    sp_never();
}

static void add_hidden(struct mapping *m, sp_str name, const char *value, size_t len) {
    struct sp_event *event = m->event;
    sp_require(event->extension_count < SP_EVENT_EXTENSIONS_MAX);
    size_t from = m->texts.len;
    sp_buf_add(&m->texts, value, len);
    sp_ensure(m->texts.status == SP_OK);
    event->extensions[event->extension_count++] = (struct sp_extension){
        .name = name, .value = sp_str_of(m->texts.data + from, len), .kind = SP_VALUE_STRING};
}

/* Says that what was gathered is the event's data. False where the event becomes too large. */
static bool give_data(struct mapping *m) {
    struct sp_event *event = m->event;
    if (m->keep == KEEP_EXTENSIONS) {
        bool is_text = sp_event_has(event, SP_ATTR_CONTENTTYPE) &&
                       !sp_content_type_is_json(event->attr[SP_ATTR_CONTENTTYPE]);
        payload_set(event, event->data, is_text ? SP_JSON_ERROR : m->payload_type);
        return true;
    }
    if (m->data.len == 0) {
        return true;
    }
    event->has_data = true;
    event->data_is_json = m->keep == KEEP_OBJECT;
    if (m->keep == KEEP_OBJECT) {
        sp_buf_add_byte(&m->data, '}');
    } else {
        event->attr[SP_ATTR_CONTENTTYPE] = SP_STR(SP_ENTRY_FIELDS_TYPE);
    }
    event->data = sp_buf_str(&m->data);
    bool small = event->data.len < m->limits->event_bytes_max / 2;
    return m->data.status == SP_OK && (small || sp_event_size(event) <= m->limits->event_bytes_max);
}

/* Walks over the fields, keeping ordinary ones in the way chosen; false where that will not do. */
static bool walk(struct mapping *m) {
    const struct sp_entry *entry = m->entry;
    memset(m->event, 0, offsetof(struct sp_event, extensions));
    sp_buf_reset(&m->texts);
    sp_buf_reset(&m->data);
    m->layout.len = 0;
    m->layout.run = 0;
    m->names.count = 0;
    if (entry->iid.ptr != NULL) { /* before the fields: an event_id is ordinary then */
        sp_buf_add(&m->texts, m->idempotent_id, SP_UUID_TEXT_SIZE);
        m->event->attr[SP_ATTR_ID] = sp_str_of(m->texts.data, SP_UUID_TEXT_SIZE);
    }
    for (uint32_t i = 0; i < entry->count; i += 2) {
        if (!take_known(m, entry->fields[i], entry->fields[i + 1]) && !keep_ordinary(m, i)) {
            return false;
        }
    }
    return give_data(m);
}

/* Appends a text behind its length, so that no two lists of texts look the same. */
static void add_counted(struct sp_buf *to, sp_str text) {
    uint64_t len = text.len;
    sp_buf_add(to, &len, sizeof(len));
    sp_buf_add_str(to, text);
}

/* The id of an idempotent entry: UUID version 8, 122 bits of the hash of what makes it one. */
static void make_idempotent_id(struct mapping *m) {
    add_counted(&m->data, m->entry->stream);
    add_counted(&m->data, m->entry->producer);
    add_counted(&m->data, m->entry->iid);
    sp_ensure(m->data.status == SP_OK);
    uint8_t hash[SP_HASH_BYTES];
    sp_sha256(m->data.data, m->data.len, hash);
    hash[6] = (uint8_t)((hash[6] & 0x0f) | 0x80);
    hash[8] = (uint8_t)((hash[8] & 0x3f) | 0x80);
    sp_uuid_format(hash, m->idempotent_id);
}

static bool usable_source(sp_str source) {
    return sp_event_text_check(SP_ATTR_SOURCE, source, NULL) == SP_OK;
}

/* What follows from the entry where no field said it, and the hidden extensions. */
static void complete(struct mapping *m) {
    const struct sp_entry *entry = m->entry;
    struct sp_event *event = m->event;
    bool by_producer = entry->iid.ptr != NULL && usable_source(entry->producer);
    if (!sp_event_has(event, SP_ATTR_TYPE)) {
        event->attr[SP_ATTR_TYPE] = SP_STR(SP_ENTRY_TYPE);
    }
    if (!sp_event_has(event, SP_ATTR_SOURCE)) {
        event->attr[SP_ATTR_SOURCE] = by_producer ? entry->producer : entry->source;
    }
    event->attr[SP_ATTR_STREAM] = entry->stream;
    if (m->layout.len > 0) {
        add_hidden(m, SP_STR(SP_ENTRY_LAYOUT_NAME), m->layout.text, m->layout.len);
    }
    if (!sp_entry_id_is_none(entry->own_id)) {
        char text[SP_ENTRY_ID_TEXT_SIZE];
        size_t len = sp_entry_id_format(entry->own_id, text);
        add_hidden(m, SP_STR(SP_OWN_ID_NAME), text, len);
    }
    sp_ensure(m->texts.status == SP_OK && m->data.status == SP_OK);
}

/* A stretch of memory as a buffer that cannot grow. */
static struct sp_buf window_on(uint8_t *at, size_t size) {
    return (struct sp_buf){.data = at, .capacity = size, .size_bytes_max = size, .status = SP_OK};
}

sp_status sp_entry_to_event(const struct sp_entry *entry, const struct sp_event_limits *limits,
                            struct sp_buf *scratch, struct sp_event *ret_event,
                            struct sp_error *error) {
    sp_require(entry->count > 0 && entry->count % 2 == 0);
    size_t size = sp_entry_scratch_bytes(entry);
    uint8_t *room = sp_buf_reserve(scratch, size);
    if (room == NULL) {
        return sp_error_set(error, scratch->status, "entry: out of room to read %zu bytes", size);
    }
    struct mapping m; /* large: its tables are filled as they are needed */
    m.entry = entry;
    m.limits = limits;
    m.event = ret_event;
    m.texts = window_on(room, TEXT_BYTES);
    m.data = window_on(room + TEXT_BYTES, size - TEXT_BYTES);
    uint32_t attributes_max = limits->attributes_max;
    m.extensions_max =
        attributes_max > SP_ENTRY_ATTRIBUTES_OTHER ? attributes_max - SP_ENTRY_ATTRIBUTES_OTHER : 0;
    const sp_str *payload = find_payload(entry);
    m.payload_type = payload != NULL ? payload_json_type(*payload) : SP_JSON_ERROR;
    m.keep = payload != NULL ? KEEP_EXTENSIONS : KEEP_OBJECT;
    if (entry->iid.ptr != NULL) {
        make_idempotent_id(&m);
    }
    while (!walk(&m) && m.keep != KEEP_BULKS) {
        m.keep = m.keep == KEEP_EXTENSIONS ? KEEP_OBJECT : KEEP_BULKS;
    }
    complete(&m);
    sp_buf_advance(scratch, TEXT_BYTES + m.data.len);
    return SP_OK;
}

/* Both halves of a sum over the fields: whatever their order, it is the same. */
void sp_entry_auto_iid(const sp_str *fields, uint32_t count, char ret_iid[SP_ENTRY_IID_BYTES]) {
    static const char HEX[16] = "0123456789abcdef";
    uint64_t sums[2] = {0, 0};
    sp_require(count % 2 == 0);
    for (uint32_t i = 0; i < count; i += 2) {
        for (uint64_t half = 0; half < 2; half++) {
            uint64_t name = sp_hash_seeded(fields[i].ptr, fields[i].len, half);
            sums[half] += sp_hash_seeded(fields[i + 1].ptr, fields[i + 1].len, name);
        }
    }
    for (uint32_t i = 0; i < SP_ENTRY_IID_BYTES; i++) {
        ret_iid[i] = HEX[sums[i / 16] >> (4 * (15 - i % 16)) & 15];
    }
}
