/*
 * Frames between a program and its jq worker: each whole frame of the input is read, its slices are
 * walked, and written again; the second reading says the same as the first.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "jq/frame.h"

static void write_frame(struct sp_jq_head head, struct sp_jq_frame frame, struct sp_buf *to) {
    size_t begin = sp_jq_frame_begin(to, head.kind);
    if (head.kind == SP_JQ_PROBLEM) {
        sp_buf_add_byte(to, frame.status);
    } else if (head.kind != SP_JQ_DONE) {
        sp_jq_frame_add_u32(to, frame.id);
    }
    if (head.kind == SP_JQ_DEFINE || head.kind == SP_JQ_RUN || head.kind == SP_JQ_DONE) {
        sp_jq_frame_add_count(to, frame.count);
        while (frame.count > 0) {
            sp_jq_frame_add_text(to, sp_jq_frame_next(&frame));
        }
    }
    if (head.kind == SP_JQ_DEFINE || head.kind == SP_JQ_PROBLEM) {
        sp_jq_frame_add_text(to, frame.text);
    }
    sp_jq_frame_end(to, begin);
}

/* Reads a frame that stands alone; false where it is none. */
static bool read_frame(sp_str bytes, struct sp_jq_head *ret_head, struct sp_jq_frame *ret_frame,
                       size_t *ret_size) {
    if (bytes.len < SP_JQ_FRAME_HEAD_BYTES ||
        sp_jq_head_read((const uint8_t *)bytes.ptr, ret_head) != SP_OK ||
        bytes.len - SP_JQ_FRAME_HEAD_BYTES < ret_head->body_bytes) {
        return false;
    }
    *ret_size = SP_JQ_FRAME_HEAD_BYTES + (size_t)ret_head->body_bytes;
    sp_str body = sp_str_of(bytes.ptr + SP_JQ_FRAME_HEAD_BYTES, ret_head->body_bytes);
    return sp_jq_frame_read(*ret_head, body, ret_frame) == SP_OK;
}

static void check_frame(struct sp_jq_head head, struct sp_jq_frame frame) {
    struct sp_buf once;
    struct sp_buf twice;
    size_t size = 0;
    struct sp_jq_head again;
    struct sp_jq_frame reread;
    sp_buf_init(&once, 1 << 20);
    sp_buf_init(&twice, 1 << 20);
    write_frame(head, frame, &once);
    sp_require(read_frame(sp_buf_str(&once), &again, &reread, &size));
    sp_require(size == once.len && again.kind == head.kind && reread.count == frame.count);
    write_frame(again, reread, &twice);
    sp_require(sp_str_eq(sp_buf_str(&once), sp_buf_str(&twice)));
    sp_buf_fini(&once);
    sp_buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *copy = malloc(size + (size == 0)); /* an address of its own: overruns are seen */
    sp_require(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    sp_str left = sp_str_of(copy, size);
    struct sp_jq_head head;
    struct sp_jq_frame frame;
    size_t taken = 0;
    while (read_frame(left, &head, &frame, &taken)) {
        check_frame(head, frame);
        left = sp_str_from_byte(left, taken);
    }
    free(copy);
    return 0;
}
