/*
 * The packed ids of a frame's headers, as columns of their own. pure
 *
 * Sixteen bytes of UUID in every header are what compresses worst, though they say little: ids that
 * the store made count up, a cause is an event not long before, and the events of a frame belong to
 * few runs. So the ids are taken out of the headers and written as differences, byte plane by byte
 * plane; a correlation that the frame had before is a number. Random ids lose nothing by it. Layout
 * in docs/format.md.
 */
#ifndef SP_LOG_FRAME_IDS_H
#define SP_LOG_FRAME_IDS_H

#include "base/buf.h"
#include "base/wire.h"
#include "log/frame.h"

/* Which headers have their ids apart, and where these stand in the whole header. */
struct sp_frame_ids {
    bool apart[SP_FRAME_RECORDS_MAX];
    uint32_t offsets[SP_FRAME_RECORDS_MAX][SP_PACKED_COUNT];
};

/* Finds the ids. A header that makes no sense, or has none, stays whole. */
void sp_frame_ids_find(const struct sp_record *records, uint32_t count, struct sp_frame_ids *ids);

/* Writes the headers without their ids, and then the columns of ids. */
void sp_frame_ids_put(const struct sp_record *records, uint32_t count,
                      const struct sp_frame_ids *ids, struct sp_buf *to);

/* Sixteen bytes as two big-endian numbers. */
struct sp_packed_halves {
    uint64_t high;
    uint64_t low;
};

/* What sp_frame_ids_put wrote, while it is put together again. */
struct sp_frame_ids_taken {
    bool apart[SP_FRAME_RECORDS_MAX]; /* in: from the flags column */
    sp_str headers[SP_FRAME_RECORDS_MAX];
    uint32_t offsets[SP_FRAME_RECORDS_MAX][SP_PACKED_COUNT]; /* where the ids belong */
    uint8_t ids[SP_FRAME_RECORDS_MAX][SP_PACKED_BYTES];      /* each as its difference */
    uint8_t causes[SP_FRAME_RECORDS_MAX][SP_PACKED_BYTES];   /* likewise */
    uint32_t id_count;
    uint32_t cause_count;
    uint32_t correlation_count;
    uint32_t id_at;
    uint32_t cause_at;
    struct sp_wire correlation_numbers;
    const uint8_t *correlations; /* the distinct ones */
    uint32_t correlation_max;
    struct sp_packed_halves id; /* of the record before */
    struct sp_packed_halves cause;
};

/*
 * Reads the headers and the columns; `sizes` are those of the whole headers. Turns the wire bad on
 * error.
 */
void sp_frame_ids_take(struct sp_wire *wire, const uint32_t *sizes, uint32_t count,
                       struct sp_frame_ids_taken *taken);

/*
 * Writes the whole header of record i, of `size` bytes; records come in order. False on nonsense.
 */
bool sp_frame_ids_join(struct sp_frame_ids_taken *taken, uint32_t i, uint32_t size, uint8_t *to);

#endif
