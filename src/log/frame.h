/*
 * The frame of a sealed segment: up to 128 events, transposed into columns so that they compress.
 * pure
 *
 * Decoding gives back the records byte for byte, but for the checksum tag, which is left zero: a
 * frame has a checksum of its own. Layout in docs/format.md.
 */
#ifndef SP_LOG_FRAME_H
#define SP_LOG_FRAME_H

#include "base/buf.h"
#include "base/error.h"
#include "record/event.h"

enum {
    SP_FRAME_EVENTS_MAX = 128,
    SP_FRAME_BYTES_SOFT_MAX = 256 << 10, /* a frame is closed when its records pass this */
    SP_FRAME_RECORDS_MAX = 512,
};

/* Gathers records; they must stay where they are until encoded. */
struct sp_frame {
    uint64_t first_position; /* of the first event, or of the next one */
    uint32_t event_count;
    uint32_t record_count;
    size_t raw_bytes; /* of the records as rows */
    struct sp_record records[SP_FRAME_RECORDS_MAX];
};

void sp_frame_reset(struct sp_frame *frame, uint64_t first_position);

/* Whether the next record belongs to another frame. */
bool sp_frame_full(const struct sp_frame *frame, const struct sp_record *next);

void sp_frame_add(struct sp_frame *frame, const struct sp_record *record);

/* Writes the columns. The buffer's sticky status says whether it fitted. */
void sp_frame_encode(const struct sp_frame *frame, struct sp_buf *to);

/*
 * Rebuilds the records as rows in `to`, which has room for `raw_bytes`. SP_CORRUPT where the
 * columns do not make exactly that many bytes.
 */
SP_WARN_UNUSED sp_status sp_frame_decode(sp_str columns, uint8_t *to, size_t raw_bytes);

#endif
