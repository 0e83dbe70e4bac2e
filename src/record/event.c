#include "record/event.h"

#include "base/hash.h"
#include "base/time.h"
#include "base/wire.h"

/*
 * The header's packing bits: an id that is a canonical UUID takes 16 bytes instead of 37, and what
 * only repeats another attribute takes none. Packing is exact: the text comes back byte for byte.
 */
enum header_packing {
    PACK_ID_UUID = 1,
    PACK_CORRELATION_UUID = 2,
    PACK_CAUSATION_UUID = 4,
    PACK_STREAM_IS_SOURCE = 8,
    PACK_CORRELATION_IS_ID = 16,
    PACK_UUIDS = PACK_ID_UUID | PACK_CORRELATION_UUID | PACK_CAUSATION_UUID,
    PACK_ALL = 31,
};

enum { HEADER_FIXED_BYTES = 4 }; /* u16 presence, u8 packing, u8 zero */

static const uint8_t uuid_packing[SP_ATTR_COUNT] = {
    [SP_ATTR_ID] = PACK_ID_UUID,
    [SP_ATTR_CORRELATION] = PACK_CORRELATION_UUID,
    [SP_ATTR_CAUSATION] = PACK_CAUSATION_UUID,
};

size_t sp_record_size_max(const struct sp_event *event) {
    size_t size = SP_RECORD_FIXED_BYTES + HEADER_FIXED_BYTES + SP_VARINT_BYTES_MAX;
#pragma GCC unroll 10
    for (int i = 0; i < SP_ATTR_COUNT; i++) {
        size += event->attr[i].len;
    }
    size += (size_t)SP_ATTR_COUNT * SP_VARINT_BYTES_MAX;
    for (unsigned i = 0; i < event->extension_count; i++) {
        size += 1 + event->extensions[i].name.len + event->extensions[i].value.len +
                (size_t)2 * SP_VARINT_BYTES_MAX;
    }
    return size + event->data.len + SP_RECORD_ALIGN;
}

static uint8_t *put_lstr(uint8_t *to, sp_str s) {
    to += sp_put_varint(to, s.len);
    if (s.len > 0) {
        memcpy(to, s.ptr, s.len);
    }
    return to + s.len;
}

static uint8_t *put_extensions(uint8_t *to, const struct sp_event *event) {
    to += sp_put_varint(to, event->extension_count);
    for (unsigned i = 0; i < event->extension_count; i++) {
        const struct sp_extension *extension = &event->extensions[i];
        *to++ = (uint8_t)extension->kind;
        to = put_lstr(to, extension->name);
        to = put_lstr(to, extension->value);
    }
    return to;
}

/* Writes the canonical header: exactly one byte string for one list of attributes. */
static uint8_t *put_header(uint8_t *to, const struct sp_event *event) {
    unsigned present = sp_event_present(event);
    uint8_t packing = 0;
    uint8_t *at = to + HEADER_FIXED_BYTES;
    for (unsigned left = present; left != 0; left &= left - 1) {
        int i = __builtin_ctz(left);
        sp_str value = event->attr[i];
        if (i == SP_ATTR_STREAM && sp_str_eq(value, event->attr[SP_ATTR_SOURCE])) {
            packing |= PACK_STREAM_IS_SOURCE;
        } else if (i == SP_ATTR_CORRELATION && sp_str_eq(value, event->attr[SP_ATTR_ID])) {
            packing |= PACK_CORRELATION_IS_ID;
        } else if (uuid_packing[i] != 0 && sp_uuid_pack(value, at)) {
            packing |= uuid_packing[i];
            at += 16;
        } else {
            at = put_lstr(at, value);
        }
    }
    sp_put_u16(to, (uint16_t)present);
    to[2] = packing;
    to[3] = 0;
    return put_extensions(at, event);
}

size_t sp_record_encode(const struct sp_event *event, uint8_t *to) {
    sp_require(event->position > 0 && event->version > 0);
    sp_require(sp_event_has(event, SP_ATTR_TYPE) && sp_event_has(event, SP_ATTR_SOURCE) &&
               sp_event_has(event, SP_ATTR_STREAM) && sp_event_has(event, SP_ATTR_ID) &&
               sp_event_has(event, SP_ATTR_CORRELATION));
    uint8_t *header = to + SP_RECORD_FIXED_BYTES;
    uint8_t *at = put_header(header, event);
    size_t header_size = (size_t)(at - header);
    if (event->has_data && event->data.len > 0) {
        memcpy(at, event->data.ptr, event->data.len);
        at += event->data.len;
    }
    while ((size_t)(at - to) % SP_RECORD_ALIGN != 0) {
        *at++ = 0;
    }
    uint32_t size = (uint32_t)(at - to);
    sp_put_u32(to, size);
    to[8] = SP_RECORD_EVENT;
    to[9] = (uint8_t)((event->has_data ? SP_RECORD_HAS_DATA : 0) |
                      (event->has_data && event->data_is_json ? SP_RECORD_DATA_JSON : 0));
    sp_put_u16(to + 10, 0);
    sp_put_u32(to + 12, (uint32_t)header_size);
    sp_put_u32(to + 16, event->has_data ? (uint32_t)event->data.len : 0);
    sp_put_u32(to + 20, event->entry_seq);
    sp_put_u64(to + 24, event->recorded_us);
    sp_put_u64(to + 32, event->version);
    sp_put_u32(to + 4, sp_record_tag(to, size, event->position));
    return size;
}

size_t sp_record_encode_control(const struct sp_control *control, uint8_t *to) {
    sp_require(control->number > 0 && control->body.len > 0);
    size_t size = sp_record_control_size(control->body.len);
    size_t used = SP_RECORD_FIXED_BYTES + control->body.len;
    sp_put_u32(to, (uint32_t)size);
    to[8] = SP_RECORD_CONTROL;
    to[9] = SP_RECORD_HAS_DATA;
    sp_put_u16(to + 10, control->kind);
    sp_put_u32(to + 12, 0);
    sp_put_u32(to + 16, (uint32_t)control->body.len);
    sp_put_u32(to + 20, control->entry_seq);
    sp_put_u64(to + 24, control->recorded_us);
    sp_put_u64(to + 32, control->number);
    memcpy(to + SP_RECORD_FIXED_BYTES, control->body.ptr, control->body.len);
    memset(to + used, 0, size - used);
    sp_put_u32(to + 4, sp_record_tag(to, size, control->position));
    return size;
}

uint32_t sp_record_tag(const uint8_t *bytes, size_t size, uint64_t position) {
    return (uint32_t)sp_hash_seeded(bytes + 8, size - 8, position);
}

sp_status sp_record_read(sp_str bytes, uint64_t position, struct sp_record *ret_record) {
    if (bytes.len < SP_RECORD_FIXED_BYTES) {
        return SP_CORRUPT;
    }
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    uint32_t size = sp_get_u32(at);
    uint32_t header_size = sp_get_u32(at + 12);
    uint32_t data_size = sp_get_u32(at + 16);
    uint64_t used = (uint64_t)SP_RECORD_FIXED_BYTES + header_size + data_size;
    if (size > bytes.len || size % SP_RECORD_ALIGN != 0 || used > size ||
        size - used >= SP_RECORD_ALIGN) {
        return SP_CORRUPT;
    }
    bool known = at[8] == SP_RECORD_EVENT ? sp_get_u16(at + 10) == 0 : at[8] == SP_RECORD_CONTROL;
    if (!known || (at[9] & ~SP_RECORD_FLAGS_KNOWN) != 0 || at[9] == SP_RECORD_DATA_JSON ||
        (at[9] == 0 && data_size != 0)) {
        return SP_CORRUPT;
    }
    const char *header = bytes.ptr + SP_RECORD_FIXED_BYTES;
    *ret_record = (struct sp_record){
        .bytes = at,
        .size = size,
        .kind = at[8],
        .flags = at[9],
        .control = sp_get_u16(at + 10),
        .entry_seq = sp_get_u32(at + 20),
        .position = position,
        .version = sp_get_u64(at + 32),
        .recorded_us = sp_get_u64(at + 24),
        .header = sp_str_of(header, header_size),
        .data = sp_str_of(header + header_size, data_size),
    };
    return SP_OK;
}

bool sp_record_tag_valid(const struct sp_record *record) {
    return sp_get_u32(record->bytes + 4) ==
           sp_record_tag(record->bytes, record->size, record->position);
}

sp_str sp_record_type(const struct sp_record *record) {
    _Static_assert(SP_ATTR_TYPE == 0, "the type is the first attribute");
    struct sp_wire wire = sp_wire_of(record->header.ptr, record->header.len);
    (void)sp_wire_bytes(&wire, HEADER_FIXED_BYTES);
    return sp_wire_lstr(&wire);
}

size_t sp_record_type_offset(size_t type_len) {
    return SP_RECORD_FIXED_BYTES + HEADER_FIXED_BYTES + sp_varint_size(type_len);
}

uint32_t sp_record_packed_count(const char *header) {
    _Static_assert(PACK_UUIDS == 7, "three bits");
    uint32_t packing = (uint8_t)header[2] & PACK_UUIDS;
    return (packing & 1) + (packing >> 1 & 1) + (packing >> 2); /* no popcount in old processors */
}

bool sp_record_packed_ids(sp_str header, bool apart, uint32_t ret_offsets[SP_PACKED_COUNT]) {
    static const uint8_t slots[SP_ATTR_COUNT] = {[SP_ATTR_ID] = SP_PACKED_ID,
                                                 [SP_ATTR_CORRELATION] = SP_PACKED_CORRELATION,
                                                 [SP_ATTR_CAUSATION] = SP_PACKED_CAUSATION};
    struct sp_wire wire = sp_wire_of(header.ptr, header.len);
    uint16_t present = sp_wire_u16(&wire);
    uint8_t packing = sp_wire_u8(&wire);
    (void)sp_wire_u8(&wire);
    for (int i = 0; i < SP_PACKED_COUNT; i++) {
        ret_offsets[i] = SP_PACKED_NONE;
    }
    for (int i = 0; i <= SP_ATTR_CAUSATION && !wire.bad; i++) {
        bool elided = (i == SP_ATTR_STREAM && (packing & PACK_STREAM_IS_SOURCE) != 0) ||
                      (i == SP_ATTR_CORRELATION && (packing & PACK_CORRELATION_IS_ID) != 0);
        if ((present & 1u << i) == 0) {
            wire.bad |= (packing & uuid_packing[i]) != 0;
        } else if ((packing & uuid_packing[i]) != 0) {
            wire.bad |= elided;
            ret_offsets[slots[i]] = (uint32_t)(header.len - sp_wire_left(&wire));
            (void)sp_wire_bytes(&wire, apart ? 0 : SP_PACKED_BYTES);
        } else if (!elided) {
            (void)sp_wire_lstr(&wire);
        }
    }
    return !wire.bad;
}

/* Reads one attribute that is present; uuids are expanded into `scratch`, which moves on. */
static sp_str take_attr(struct sp_wire *wire, int attr, uint8_t packing, const sp_str *earlier,
                        char **scratch) {
    if (attr == SP_ATTR_STREAM && (packing & PACK_STREAM_IS_SOURCE) != 0) {
        return earlier[SP_ATTR_SOURCE];
    }
    if (attr == SP_ATTR_CORRELATION && (packing & PACK_CORRELATION_IS_ID) != 0) {
        return earlier[SP_ATTR_ID];
    }
    if ((packing & uuid_packing[attr]) != 0) {
        sp_str packed = sp_wire_bytes(wire, 16);
        if (packed.len == 0) {
            return packed;
        }
        char *text = *scratch;
        *scratch += SP_UUID_TEXT_SIZE;
        sp_uuid_format((const uint8_t *)packed.ptr, text);
        return sp_str_of(text, SP_UUID_TEXT_SIZE);
    }
    return sp_wire_lstr(wire);
}

static void take_extensions(struct sp_wire *wire, struct sp_event *event) {
    uint64_t count = sp_wire_varint(wire);
    if (count > SP_EVENT_EXTENSIONS_MAX) {
        wire->bad = true;
        return;
    }
    event->extension_count = (uint16_t)count;
    for (unsigned i = 0; i < count; i++) {
        struct sp_extension *extension = &event->extensions[i];
        uint8_t kind = sp_wire_u8(wire);
        extension->kind = kind == SP_VALUE_JSON ? SP_VALUE_JSON : SP_VALUE_STRING;
        extension->name = sp_wire_lstr(wire);
        extension->value = sp_wire_lstr(wire);
        wire->bad |= kind > SP_VALUE_JSON;
    }
}

sp_status sp_record_decode(const struct sp_record *record, char scratch[SP_RECORD_SCRATCH_BYTES],
                           struct sp_event *ret_event) {
    struct sp_wire wire = sp_wire_of(record->header.ptr, record->header.len);
    uint16_t present = sp_wire_u16(&wire);
    uint8_t packing = sp_wire_u8(&wire);
    uint8_t zero = sp_wire_u8(&wire);
    const uint16_t required = 1u << SP_ATTR_TYPE | 1u << SP_ATTR_SOURCE | 1u << SP_ATTR_STREAM |
                              1u << SP_ATTR_ID | 1u << SP_ATTR_CORRELATION;
    if (record->kind != SP_RECORD_EVENT || (present & required) != required ||
        present >= 1u << SP_ATTR_COUNT || packing > PACK_ALL || zero != 0) {
        return SP_CORRUPT;
    }
    struct sp_event *event = ret_event;
    event->position = record->position;
    event->version = record->version;
    event->recorded_us = record->recorded_us;
    event->entry_seq = record->entry_seq;
    event->has_data = (record->flags & SP_RECORD_HAS_DATA) != 0;
    event->data_is_json = (record->flags & SP_RECORD_DATA_JSON) != 0;
    event->data = event->has_data ? record->data : (sp_str){.ptr = NULL, .len = 0};
    char *expand = scratch;
#pragma GCC unroll 10
    for (int i = 0; i < SP_ATTR_COUNT; i++) {
        event->attr[i] = (present & 1u << i) != 0
                             ? take_attr(&wire, i, packing, event->attr, &expand)
                             : (sp_str){.ptr = NULL, .len = 0};
    }
    take_extensions(&wire, event);
    return wire.bad || sp_wire_left(&wire) != 0 ? SP_CORRUPT : SP_OK;
}
