#include "log/frame.h"

#include "base/wire.h"
#include "log/frame_ids.h"

enum { FLAGS_IDS_APART = 0x80 }; /* in the flags column: see frame_ids.h */

void sp_frame_reset(struct sp_frame *frame, uint64_t first_position) {
    frame->first_position = first_position;
    frame->event_count = 0;
    frame->record_count = 0;
    frame->raw_bytes = 0;
}

bool sp_frame_full(const struct sp_frame *frame, const struct sp_record *next) {
    if (frame->record_count == 0) {
        return false;
    }
    bool is_event = next->kind == SP_RECORD_EVENT;
    return frame->record_count == SP_FRAME_RECORDS_MAX ||
           (is_event && frame->event_count == SP_FRAME_EVENTS_MAX) ||
           frame->raw_bytes + next->size > SP_FRAME_BYTES_SOFT_MAX;
}

void sp_frame_add(struct sp_frame *frame, const struct sp_record *record) {
    sp_require(frame->record_count < SP_FRAME_RECORDS_MAX);
    sp_require(record->kind != SP_RECORD_EVENT ||
               record->position == frame->first_position + frame->event_count);
    frame->records[frame->record_count++] = *record;
    frame->event_count += record->kind == SP_RECORD_EVENT ? 1 : 0;
    frame->raw_bytes += record->size;
}

static void add_varint(struct sp_buf *to, uint64_t value) {
    uint8_t *at = sp_buf_reserve(to, SP_VARINT_BYTES_MAX);
    if (at != NULL) {
        sp_buf_advance(to, sp_put_varint(at, value));
    }
}

/* The entry number that follows from the record before: counted within one millisecond. */
static uint32_t expected_seq(uint64_t recorded_us, uint64_t before_us, uint32_t before_seq) {
    return recorded_us / 1000 == before_us / 1000 ? before_seq + 1 : 0;
}

static void encode_numbers(const struct sp_frame *frame, const struct sp_frame_ids *ids,
                           struct sp_buf *to) {
    uint32_t n = frame->record_count;
    for (uint32_t i = 0; i < n; i++) {
        const struct sp_record *record = &frame->records[i];
        sp_buf_add_byte(to, record->kind);
        if (record->kind != SP_RECORD_EVENT) {
            add_varint(to, record->control);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        unsigned apart = ids->apart[i] ? FLAGS_IDS_APART : 0;
        sp_buf_add_byte(to, (uint8_t)(frame->records[i].flags | apart));
    }
    uint64_t before_us = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct sp_record *record = &frame->records[i];
        add_varint(to, sp_zigzag((int64_t)(record->recorded_us - before_us)));
        before_us = record->recorded_us;
    }
    before_us = 0;
    uint32_t before_seq = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct sp_record *record = &frame->records[i];
        uint32_t expected = expected_seq(record->recorded_us, before_us, before_seq);
        add_varint(to, sp_zigzag((int64_t)record->entry_seq - (int64_t)expected));
        before_us = record->recorded_us;
        before_seq = record->entry_seq;
    }
    for (uint32_t i = 0; i < n; i++) {
        add_varint(to, frame->records[i].version);
    }
    for (uint32_t i = 0; i < n; i++) {
        add_varint(to, frame->records[i].header.len);
    }
    for (uint32_t i = 0; i < n; i++) {
        add_varint(to, frame->records[i].data.len);
    }
}

void sp_frame_encode(const struct sp_frame *frame, struct sp_buf *to) {
    struct sp_frame_ids ids;
    sp_frame_ids_find(frame->records, frame->record_count, &ids);
    add_varint(to, frame->record_count);
    encode_numbers(frame, &ids, to);
    sp_frame_ids_put(frame->records, frame->record_count, &ids, to);
    for (uint32_t i = 0; i < frame->record_count; i++) {
        sp_buf_add_str(to, frame->records[i].data);
    }
}

/* Decoded number columns of one frame. */
struct columns {
    uint32_t count;
    uint8_t kinds[SP_FRAME_RECORDS_MAX];
    uint8_t flags[SP_FRAME_RECORDS_MAX];
    uint16_t controls[SP_FRAME_RECORDS_MAX];
    uint64_t times[SP_FRAME_RECORDS_MAX];
    uint32_t seqs[SP_FRAME_RECORDS_MAX];
    uint64_t versions[SP_FRAME_RECORDS_MAX];
    uint32_t header_sizes[SP_FRAME_RECORDS_MAX];
    uint32_t data_sizes[SP_FRAME_RECORDS_MAX];
    struct sp_frame_ids_taken ids;
};

static uint32_t take_number(struct sp_wire *wire, uint32_t max) {
    uint64_t value = sp_wire_varint(wire);
    wire->bad |= value > max;
    return (uint32_t)value;
}

/* An entry number, as the difference to the one expected. */
static uint32_t take_seq(struct sp_wire *wire, uint32_t expected) {
    int64_t difference = sp_unzigzag(sp_wire_varint(wire));
    wire->bad |= difference < -(int64_t)expected || difference > (int64_t)(UINT32_MAX - expected);
    return (uint32_t)(expected + (uint64_t)difference);
}

static bool decode_numbers(struct sp_wire *wire, struct columns *columns) {
    uint64_t count = sp_wire_varint(wire);
    if (wire->bad || count > SP_FRAME_RECORDS_MAX) {
        return false;
    }
    columns->count = (uint32_t)count;
    for (uint32_t i = 0; i < count; i++) {
        columns->kinds[i] = sp_wire_u8(wire);
        columns->controls[i] =
            columns->kinds[i] == SP_RECORD_EVENT ? 0 : (uint16_t)take_number(wire, UINT16_MAX);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t flags = sp_wire_u8(wire);
        columns->flags[i] = (uint8_t)(flags & ~FLAGS_IDS_APART);
        columns->ids.apart[i] = (flags & FLAGS_IDS_APART) != 0;
    }
    uint64_t before_us = 0;
    for (uint32_t i = 0; i < count; i++) {
        before_us += (uint64_t)sp_unzigzag(sp_wire_varint(wire));
        columns->times[i] = before_us;
    }
    before_us = 0;
    uint32_t before_seq = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t expected = expected_seq(columns->times[i], before_us, before_seq);
        before_seq = take_seq(wire, expected);
        columns->seqs[i] = before_seq;
        before_us = columns->times[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        columns->versions[i] = sp_wire_varint(wire);
    }
    for (uint32_t i = 0; i < count; i++) {
        columns->header_sizes[i] = take_number(wire, UINT32_MAX);
    }
    for (uint32_t i = 0; i < count; i++) {
        columns->data_sizes[i] = take_number(wire, UINT32_MAX);
    }
    return !wire->bad;
}

/* Writes one record as a row of `size` bytes. False where its header makes no sense. */
static bool put_row(struct columns *columns, uint32_t i, sp_str data, size_t size, uint8_t *to) {
    uint32_t header_size = columns->header_sizes[i];
    sp_put_u64(to + size - SP_RECORD_ALIGN, 0); /* the padding, and what is written over it */
    sp_put_u32(to, (uint32_t)size);
    sp_put_u32(to + 4, 0);
    to[8] = columns->kinds[i];
    to[9] = columns->flags[i];
    sp_put_u16(to + 10, columns->controls[i]);
    sp_put_u32(to + 12, header_size);
    sp_put_u32(to + 16, (uint32_t)data.len);
    sp_put_u32(to + 20, columns->seqs[i]);
    sp_put_u64(to + 24, columns->times[i]);
    sp_put_u64(to + 32, columns->versions[i]);
    uint8_t *at = to + SP_RECORD_FIXED_BYTES;
    bool sense = sp_frame_ids_join(&columns->ids, i, header_size, at);
    at += header_size;
    if (data.len > 0) {
        memcpy(at, data.ptr, data.len);
    }
    return sense;
}

static uint64_t sum(const uint32_t *values, uint32_t count) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += values[i];
    }
    return total;
}

sp_status sp_frame_decode(sp_str bytes, uint8_t *to, size_t raw_bytes) {
    struct sp_wire wire = sp_wire_of(bytes.ptr, bytes.len);
    struct columns columns;
    if (!decode_numbers(&wire, &columns)) {
        return SP_CORRUPT;
    }
    sp_frame_ids_take(&wire, columns.header_sizes, columns.count, &columns.ids);
    if (wire.bad || sum(columns.data_sizes, columns.count) != sp_wire_left(&wire)) {
        return SP_CORRUPT;
    }
    size_t at = 0;
    for (uint32_t i = 0; i < columns.count; i++) {
        size_t row = (SP_RECORD_FIXED_BYTES + (size_t)columns.header_sizes[i] +
                      columns.data_sizes[i] + SP_RECORD_ALIGN - 1) /
                     SP_RECORD_ALIGN * SP_RECORD_ALIGN;
        sp_str data = sp_wire_bytes(&wire, columns.data_sizes[i]);
        if (row > raw_bytes - at || !put_row(&columns, i, data, row, to + at)) {
            return SP_CORRUPT;
        }
        at += row;
    }
    return at == raw_bytes ? SP_OK : SP_CORRUPT;
}
