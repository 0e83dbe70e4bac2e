#include "log/frame_ids.h"

enum { HEADER_BYTES_LEAST = 4 };

static struct sp_packed_halves halves_of(const uint8_t *packed) {
    return (struct sp_packed_halves){.high = __builtin_bswap64(sp_get_u64(packed)),
                                     .low = __builtin_bswap64(sp_get_u64(packed + 8))};
}

static void put_halves(struct sp_packed_halves halves, uint8_t to[SP_PACKED_BYTES]) {
    sp_put_u64(to, __builtin_bswap64(halves.high));
    sp_put_u64(to + 8, __builtin_bswap64(halves.low));
}

/* Subtracted half by half, neighbours differ in few bytes. */
static struct sp_packed_halves minus(struct sp_packed_halves from, struct sp_packed_halves what) {
    return (struct sp_packed_halves){.high = from.high - what.high, .low = from.low - what.low};
}

static struct sp_packed_halves plus(struct sp_packed_halves to, struct sp_packed_halves what) {
    return (struct sp_packed_halves){.high = to.high + what.high, .low = to.low + what.low};
}

void sp_frame_ids_find(const struct sp_record *records, uint32_t count, struct sp_frame_ids *ids) {
    for (uint32_t i = 0; i < count; i++) {
        const struct sp_record *record = &records[i];
        ids->apart[i] = record->kind == SP_RECORD_EVENT &&
                        record->header.len >= HEADER_BYTES_LEAST &&
                        sp_record_packed_count(record->header.ptr) > 0 &&
                        sp_record_packed_ids(record->header, false, ids->offsets[i]);
    }
}

/* The header's bytes around its ids. */
static void put_header(const struct sp_record *record, const uint32_t *offsets, struct sp_buf *to) {
    uint32_t at = 0;
    for (int k = 0; k < SP_PACKED_COUNT; k++) {
        if (offsets[k] != SP_PACKED_NONE) {
            sp_buf_add(to, record->header.ptr + at, offsets[k] - at);
            at = offsets[k] + SP_PACKED_BYTES;
        }
    }
    sp_buf_add(to, record->header.ptr + at, record->header.len - at);
}

/* Rows of sixteen bytes, written as sixteen planes. */
struct planes {
    uint8_t rows[SP_FRAME_RECORDS_MAX][SP_PACKED_BYTES];
    uint32_t count;
};

static void put_planes(const struct planes *planes, struct sp_buf *to) {
    uint8_t *at = sp_buf_reserve(to, (size_t)planes->count * SP_PACKED_BYTES);
    if (at == NULL) {
        return;
    }
    for (uint32_t plane = 0; plane < SP_PACKED_BYTES; plane++) {
        for (uint32_t i = 0; i < planes->count; i++) {
            *at++ = planes->rows[i][plane];
        }
    }
    sp_buf_advance(to, (size_t)planes->count * SP_PACKED_BYTES);
}

static const uint8_t *packed_at(const struct sp_record *record, uint32_t offset) {
    return (const uint8_t *)record->header.ptr + offset;
}

static struct sp_packed_halves halves_at(const struct sp_record *record, uint32_t offset) {
    return halves_of(packed_at(record, offset));
}

/* Ids as differences to the one before. */
static void put_ids(const struct sp_record *records, uint32_t count, const struct sp_frame_ids *ids,
                    struct sp_buf *to) {
    struct planes planes = {.count = 0};
    struct sp_packed_halves before = {.high = 0};
    for (uint32_t i = 0; i < count; i++) {
        if (ids->apart[i] && ids->offsets[i][SP_PACKED_ID] != SP_PACKED_NONE) {
            struct sp_packed_halves id = halves_at(&records[i], ids->offsets[i][SP_PACKED_ID]);
            put_halves(minus(id, before), planes.rows[planes.count++]);
            before = id;
        }
    }
    put_planes(&planes, to);
}

/*
 * Causes as differences to the event's own id, or, where that is not packed, to the cause before.
 */
static void put_causes(const struct sp_record *records, uint32_t count,
                       const struct sp_frame_ids *ids, struct sp_buf *to) {
    struct planes planes = {.count = 0};
    struct sp_packed_halves before = {.high = 0};
    for (uint32_t i = 0; i < count; i++) {
        if (ids->apart[i] && ids->offsets[i][SP_PACKED_CAUSATION] != SP_PACKED_NONE) {
            struct sp_packed_halves cause =
                halves_at(&records[i], ids->offsets[i][SP_PACKED_CAUSATION]);
            uint32_t own = ids->offsets[i][SP_PACKED_ID];
            before = own != SP_PACKED_NONE ? halves_at(&records[i], own) : before;
            put_halves(minus(before, cause), planes.rows[planes.count++]);
            before = cause;
        }
    }
    put_planes(&planes, to);
}

static void add_varint(struct sp_buf *to, uint64_t value) {
    uint8_t *at = sp_buf_reserve(to, SP_VARINT_BYTES_MAX);
    if (at != NULL) {
        sp_buf_advance(to, sp_put_varint(at, value));
    }
}

/* The number of a correlation among the distinct ones of the frame; it is added where it is new. */
static uint32_t number_of(struct planes *distinct, const uint8_t *correlation) {
    for (uint32_t i = distinct->count; i > 0; i--) { /* the latest are the likeliest */
        if (memcmp(distinct->rows[i - 1], correlation, SP_PACKED_BYTES) == 0) {
            return i;
        }
    }
    memcpy(distinct->rows[distinct->count++], correlation, SP_PACKED_BYTES);
    return 0;
}

/*
 * The distinct ones, then for each record 0 for the next distinct one, or the number of an earlier
 * one.
 */
static void put_correlations(const struct sp_record *records, uint32_t count,
                             const struct sp_frame_ids *ids, struct sp_buf *to) {
    struct planes distinct = {.count = 0};
    uint32_t numbers[SP_FRAME_RECORDS_MAX];
    uint32_t number_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (ids->apart[i] && ids->offsets[i][SP_PACKED_CORRELATION] != SP_PACKED_NONE) {
            numbers[number_count++] = number_of(
                &distinct, packed_at(&records[i], ids->offsets[i][SP_PACKED_CORRELATION]));
        }
    }
    add_varint(to, distinct.count);
    sp_buf_add(to, distinct.rows, (size_t)distinct.count * SP_PACKED_BYTES);
    for (uint32_t i = 0; i < number_count; i++) {
        add_varint(to, numbers[i]);
    }
}

void sp_frame_ids_put(const struct sp_record *records, uint32_t count,
                      const struct sp_frame_ids *ids, struct sp_buf *to) {
    for (uint32_t i = 0; i < count; i++) {
        if (ids->apart[i]) {
            put_header(&records[i], ids->offsets[i], to);
        } else {
            sp_buf_add_str(to, records[i].header);
        }
    }
    put_ids(records, count, ids, to);
    put_causes(records, count, ids, to);
    put_correlations(records, count, ids, to);
}

/*
 * ---- and back
 * -------------------------------------------------------------------------------------
 */

/* Takes one header, and counts the ids that belong into it. */
static void take_header(struct sp_wire *wire, uint32_t size, uint32_t i,
                        struct sp_frame_ids_taken *taken) {
    if (!taken->apart[i]) {
        taken->headers[i] = sp_wire_bytes(wire, size);
        return;
    }
    if (sp_wire_left(wire) < HEADER_BYTES_LEAST) {
        wire->bad = true;
        return;
    }
    uint32_t ids_bytes = sp_record_packed_count((const char *)wire->at) * SP_PACKED_BYTES;
    uint32_t *offsets = taken->offsets[i];
    wire->bad |= size < ids_bytes;
    taken->headers[i] = sp_wire_bytes(wire, wire->bad ? 0 : size - ids_bytes);
    wire->bad |= !sp_record_packed_ids(taken->headers[i], true, offsets);
    if (!wire->bad) {
        taken->id_count += offsets[SP_PACKED_ID] != SP_PACKED_NONE ? 1 : 0;
        taken->cause_count += offsets[SP_PACKED_CAUSATION] != SP_PACKED_NONE ? 1 : 0;
        taken->correlation_count += offsets[SP_PACKED_CORRELATION] != SP_PACKED_NONE ? 1 : 0;
    }
}

/* Makes rows of sixteen bytes of sixteen planes. */
static void take_planes(struct sp_wire *wire, uint32_t count, uint8_t (*rows)[SP_PACKED_BYTES]) {
    const char *at = sp_wire_bytes(wire, (size_t)count * SP_PACKED_BYTES).ptr;
    for (uint32_t plane = 0; plane < SP_PACKED_BYTES && !wire->bad; plane++) {
        for (uint32_t i = 0; i < count; i++) {
            rows[i][plane] = (uint8_t)*at++;
        }
    }
}

void sp_frame_ids_take(struct sp_wire *wire, const uint32_t *sizes, uint32_t count,
                       struct sp_frame_ids_taken *taken) {
    taken->id_count = taken->cause_count = taken->correlation_count = 0;
    taken->id_at = taken->cause_at = taken->correlation_max = 0;
    taken->id = taken->cause = (struct sp_packed_halves){.high = 0};
    for (uint32_t i = 0; i < count && !wire->bad; i++) {
        take_header(wire, sizes[i], i, taken);
    }
    take_planes(wire, taken->id_count, taken->ids);
    take_planes(wire, taken->cause_count, taken->causes);
    uint64_t distinct = sp_wire_varint(wire);
    wire->bad |= distinct > taken->correlation_count;
    size_t distinct_bytes = wire->bad ? 0 : (size_t)distinct * SP_PACKED_BYTES;
    taken->correlations = (const uint8_t *)sp_wire_bytes(wire, distinct_bytes).ptr;
    /* The numbers are read as they are used; their place is passed over here. */
    const uint8_t *start = wire->at;
    for (uint32_t i = 0; i < taken->correlation_count && !wire->bad; i++) {
        wire->bad |= sp_wire_varint(wire) > distinct;
    }
    taken->correlation_numbers = sp_wire_of(start, wire->bad ? 0 : (size_t)(wire->at - start));
    taken->correlation_count = wire->bad ? 0 : (uint32_t)distinct;
}

static void next_id(struct sp_frame_ids_taken *taken) {
    taken->id = plus(taken->id, halves_of(taken->ids[taken->id_at++]));
}

static void next_cause(struct sp_frame_ids_taken *taken, bool own_id) {
    taken->cause =
        minus(own_id ? taken->id : taken->cause, halves_of(taken->causes[taken->cause_at++]));
}

/* NULL where the number names no correlation of the frame. */
static const uint8_t *next_correlation(struct sp_frame_ids_taken *taken) {
    uint64_t number = sp_wire_varint(&taken->correlation_numbers);
    uint64_t index = number == 0 ? taken->correlation_max++ : number - 1;
    bool known = number == 0 ? index < taken->correlation_count : index < taken->correlation_max;
    return known ? taken->correlations + index * SP_PACKED_BYTES : NULL;
}

/* Writes the id that comes next in its column. False where there is none. */
static bool put_next(struct sp_frame_ids_taken *taken, enum sp_packed_id which, bool own_id,
                     uint8_t to[SP_PACKED_BYTES]) {
    if (which == SP_PACKED_ID) {
        next_id(taken);
        put_halves(taken->id, to);
        return true;
    }
    if (which == SP_PACKED_CAUSATION) {
        next_cause(taken, own_id);
        put_halves(taken->cause, to);
        return true;
    }
    const uint8_t *correlation = next_correlation(taken);
    if (correlation != NULL) {
        memcpy(to, correlation, SP_PACKED_BYTES);
    }
    return correlation != NULL;
}

bool sp_frame_ids_join(struct sp_frame_ids_taken *taken, uint32_t i, uint32_t size, uint8_t *to) {
    sp_str header = taken->headers[i];
    const uint32_t *offsets = taken->offsets[i];
    if (!taken->apart[i]) {
        if (header.len > 0) {
            memcpy(to, header.ptr, header.len);
        }
        return header.len == size;
    }
    uint32_t from = 0;
    uint8_t *at = to;
    for (int k = 0; k < SP_PACKED_COUNT; k++) {
        if (offsets[k] == SP_PACKED_NONE) {
            continue;
        }
        if (offsets[k] != from) { /* most often ids stand side by side */
            memcpy(at, header.ptr + from, offsets[k] - from);
            at += offsets[k] - from;
            from = offsets[k];
        }
        if (!put_next(taken, (enum sp_packed_id)k, offsets[SP_PACKED_ID] != SP_PACKED_NONE, at)) {
            return false;
        }
        at += SP_PACKED_BYTES;
    }
    memcpy(at, header.ptr + from, header.len - from);
    at += header.len - from;
    return (size_t)(at - to) == size;
}
