/*
 * What is said between a program and its worker: frames over a socket. pure
 *
 *     length u32 | kind u8 | body          little-endian; length is that of the body
 *
 *     DEFINE   id u32, count of names, names, text    answered with DONE (no values) or PROBLEM
 *     RUN      id u32, count of values, values        answered with DONE or PROBLEM
 *     FORGET   id u32                                 not answered
 *     DONE     count of values, values
 *     PROBLEM  status u8, text
 *
 * Counts and lengths within a body are varints. Frames are answered in their order. Both sides
 * believe nothing: what does not fit is SP_INVALID, and the other side is given up.
 */
#ifndef SP_JQ_FRAME_H
#define SP_JQ_FRAME_H

#include "base/buf.h"
#include "base/error.h"
#include "base/wire.h"

enum sp_jq_kind {
    SP_JQ_DEFINE = 1,
    SP_JQ_RUN,
    SP_JQ_FORGET,
    SP_JQ_DONE,
    SP_JQ_PROBLEM,
};

enum {
    SP_JQ_FRAME_HEAD_BYTES = 5,
    SP_JQ_FRAME_BYTES_MAX = 24 << 20, /* of a body: values, lengths, and room to spare */
};

struct sp_jq_head {
    uint32_t body_bytes;
    enum sp_jq_kind kind;
};

/* Reads a head. SP_INVALID: no such kind, or too long a body. */
SP_WARN_UNUSED sp_status sp_jq_head_read(const uint8_t bytes[SP_JQ_FRAME_HEAD_BYTES],
                                         struct sp_jq_head *ret_head);

/* A body, taken apart: what the kind has of it, else zeros. */
struct sp_jq_frame {
    uint32_t id;
    uint8_t status;
    uint64_t count;      /* of names or values, which are the next so many slices of `rest` */
    struct sp_wire rest; /* sp_jq_frame_next takes them */
    sp_str text;         /* of a program or a problem */
};

/* SP_INVALID where a length does not fit. All slices were counted: `rest` has `count` of them. */
SP_WARN_UNUSED sp_status sp_jq_frame_read(struct sp_jq_head head, sp_str body,
                                          struct sp_jq_frame *ret_frame);
sp_str sp_jq_frame_next(struct sp_jq_frame *frame);

/* Begins a frame in a buffer; returns where, for sp_jq_frame_end, which sets its length. */
size_t sp_jq_frame_begin(struct sp_buf *to, enum sp_jq_kind kind);
void sp_jq_frame_add_u32(struct sp_buf *to, uint32_t value);
void sp_jq_frame_add_count(struct sp_buf *to, uint64_t count);
void sp_jq_frame_add_text(struct sp_buf *to, sp_str text);
void sp_jq_frame_end(struct sp_buf *to, size_t begin);

/* Whole frames of a problem; the text is cut where it is long. */
void sp_jq_frame_problem(struct sp_buf *to, sp_status status, sp_str text);

#endif
