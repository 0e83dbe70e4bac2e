/* Frames between a program and its worker; see frame.h. */
#include "jq/frame.h"

enum { PROBLEM_BYTES_MAX = 1024 };

sp_status sp_jq_head_read(const uint8_t bytes[SP_JQ_FRAME_HEAD_BYTES],
                          struct sp_jq_head *ret_head) {
    uint32_t length = sp_get_u32(bytes);
    uint8_t kind = bytes[4];
    if (length > SP_JQ_FRAME_BYTES_MAX || kind < SP_JQ_DEFINE || kind > SP_JQ_PROBLEM) {
        return SP_INVALID;
    }
    *ret_head = (struct sp_jq_head){.body_bytes = length, .kind = (enum sp_jq_kind)kind};
    return SP_OK;
}

/* Walks over `count` slices; what is behind them stays in `wire`. */
static bool pass_slices(struct sp_wire *wire, uint64_t count) {
    for (uint64_t i = 0; i < count && !wire->bad; i++) {
        (void)sp_wire_lstr(wire);
    }
    return !wire->bad;
}

static bool read_list(struct sp_wire *wire, struct sp_jq_frame *frame) {
    frame->count = sp_wire_varint(wire);
    frame->rest = *wire;
    return pass_slices(wire, frame->count);
}

sp_status sp_jq_frame_read(struct sp_jq_head head, sp_str body, struct sp_jq_frame *ret_frame) {
    sp_require(head.body_bytes == body.len);
    struct sp_wire wire = sp_wire_of(body.ptr, body.len);
    struct sp_jq_frame frame = {.id = 0};
    switch (head.kind) {
    case SP_JQ_DEFINE:
        frame.id = sp_wire_u32(&wire);
        if (read_list(&wire, &frame)) {
            frame.text = sp_wire_lstr(&wire);
        }
        break;
    case SP_JQ_RUN:
        frame.id = sp_wire_u32(&wire);
        (void)read_list(&wire, &frame);
        break;
    case SP_JQ_FORGET:
        frame.id = sp_wire_u32(&wire);
        break;
    case SP_JQ_DONE:
        (void)read_list(&wire, &frame);
        break;
    case SP_JQ_PROBLEM:
        frame.status = sp_wire_u8(&wire);
        frame.text = sp_wire_lstr(&wire);
        break;
    default:
        sp_never();
    }
    if (wire.bad || sp_wire_left(&wire) > 0) {
        return SP_INVALID;
    }
    *ret_frame = frame;
    return SP_OK;
}

sp_str sp_jq_frame_next(struct sp_jq_frame *frame) {
    sp_require(frame->count > 0);
    frame->count--;
    return sp_wire_lstr(&frame->rest);
}

size_t sp_jq_frame_begin(struct sp_buf *to, enum sp_jq_kind kind) {
    size_t begin = to->len;
    sp_jq_frame_add_u32(to, 0);
    sp_buf_add_byte(to, (uint8_t)kind);
    return begin;
}

void sp_jq_frame_add_u32(struct sp_buf *to, uint32_t value) {
    uint8_t bytes[4];
    sp_put_u32(bytes, value);
    sp_buf_add(to, bytes, sizeof(bytes));
}

void sp_jq_frame_add_count(struct sp_buf *to, uint64_t count) {
    uint8_t bytes[SP_VARINT_BYTES_MAX];
    sp_buf_add(to, bytes, sp_put_varint(bytes, count));
}

void sp_jq_frame_add_text(struct sp_buf *to, sp_str text) {
    sp_jq_frame_add_count(to, text.len);
    sp_buf_add_str(to, text);
}

void sp_jq_frame_end(struct sp_buf *to, size_t begin) {
    if (to->status == SP_OK) {
        size_t body = to->len - begin - SP_JQ_FRAME_HEAD_BYTES;
        sp_require(body <= SP_JQ_FRAME_BYTES_MAX);
        sp_put_u32(to->data + begin, (uint32_t)body);
    }
}

void sp_jq_frame_problem(struct sp_buf *to, sp_status status, sp_str text) {
    if (text.len > PROBLEM_BYTES_MAX) {
        text.len = PROBLEM_BYTES_MAX;
    }
    size_t begin = sp_jq_frame_begin(to, SP_JQ_PROBLEM);
    sp_buf_add_byte(to, (uint8_t)status);
    sp_jq_frame_add_text(to, text);
    sp_jq_frame_end(to, begin);
}
