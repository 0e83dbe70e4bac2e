#include "server/output.h"

#include <stdlib.h>
#include <sys/uio.h>

enum { MARKS_FIRST = 4, MARKS_MAX = 1 << 22 };

void sp_output_init(struct sp_output *output, size_t size_bytes_max) {
    *output = (struct sp_output){.sent = 0};
    sp_buf_init(&output->bytes, size_bytes_max);
}

static struct sp_output_mark *mark_at(const struct sp_output *output, uint32_t number) {
    return &output->marks[(output->mark_start + number) & (output->mark_capacity - 1)];
}

static void drop_marks(struct sp_output *output) {
    for (uint32_t i = 0; i < output->mark_count; i++) {
        sp_blob_unref(mark_at(output, i)->blob);
    }
    free(output->marks);
    output->marks = NULL;
    output->mark_count = 0;
    output->mark_capacity = 0;
    output->mark_start = 0;
    output->gate_count = 0;
}

void sp_output_fini(struct sp_output *output) {
    drop_marks(output);
    sp_buf_fini(&output->bytes);
}

static bool grow_marks(struct sp_output *output) {
    uint32_t capacity = output->mark_capacity == 0 ? MARKS_FIRST : output->mark_capacity * 2;
    if (capacity > MARKS_MAX) {
        return false;
    }
    struct sp_output_mark *marks = malloc(capacity * sizeof(*marks));
    if (marks == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < output->mark_count; i++) {
        marks[i] = *mark_at(output, i);
    }
    free(output->marks);
    output->marks = marks;
    output->mark_start = 0;
    output->mark_capacity = capacity;
    return true;
}

static bool add_mark(struct sp_output *output, struct sp_output_mark mark) {
    if (output->mark_count == output->mark_capacity && !grow_marks(output)) {
        return false;
    }
    output->mark_count++;
    *mark_at(output, output->mark_count - 1) = mark;
    return true;
}

bool sp_output_hold(struct sp_output *output, size_t from, uint64_t gate) {
    sp_require(gate > 0 && from <= output->bytes.len && from >= output->sent);
    if (output->gate_count > 0 && gate <= output->gate_last) {
        return true; /* what stands behind a gate that is set waits for it already */
    }
    if (!add_mark(output, (struct sp_output_mark){.at = output->base + from, .gate = gate})) {
        return false;
    }
    output->gate_last = gate;
    output->gate_count++;
    return true;
}

bool sp_output_share(struct sp_output *output, struct sp_blob *blob) {
    if (blob->len <= SP_OUTPUT_COPY_BYTES_MAX) {
        sp_buf_add(&output->bytes, blob->data, blob->len);
        return output->bytes.status == SP_OK;
    }
    uint64_t at = output->base + output->bytes.len;
    if (!add_mark(output, (struct sp_output_mark){.at = at, .blob = blob})) {
        return false;
    }
    (void)sp_blob_ref(blob);
    output->blob_bytes += blob->len;
    return true;
}

/* Takes marks off the start that mean nothing any more. */
static void pop_passed(struct sp_output *output) {
    while (output->mark_count > 0 && mark_at(output, 0)->blob == NULL &&
           mark_at(output, 0)->gate == 0) {
        output->mark_start = (output->mark_start + 1) & (output->mark_capacity - 1);
        output->mark_count--;
    }
}

void sp_output_pass(struct sp_output *output, uint64_t durable_block) {
    for (uint32_t i = 0; i < output->mark_count && output->gate_count > 0; i++) {
        struct sp_output_mark *mark = mark_at(output, i);
        if (mark->blob != NULL || mark->gate == 0) {
            continue;
        }
        if (mark->gate > durable_block) {
            break;
        }
        mark->gate = 0;
        output->gate_count--;
    }
    pop_passed(output);
}

uint64_t sp_output_gate(const struct sp_output *output) {
    for (uint32_t i = 0; i < output->mark_count && output->gate_count > 0; i++) {
        const struct sp_output_mark *mark = mark_at(output, i);
        if (mark->blob == NULL && mark->gate != 0) {
            return mark->gate;
        }
    }
    return 0;
}

/* Bytes from `at` up to `until`; where there are none, `bytes` may be NULL. */
static bool add_piece(struct iovec *pieces, size_t *count, size_t max, uint8_t *bytes, size_t at,
                      size_t until) {
    if (at == until) {
        return true;
    }
    if (*count == max) {
        return false;
    }
    pieces[*count] = (struct iovec){.iov_base = bytes + at, .iov_len = until - at};
    (*count)++;
    return true;
}

size_t sp_output_pieces(const struct sp_output *output, struct iovec *ret_pieces, size_t max) {
    size_t count = 0;
    size_t at = output->sent;
    size_t blob_sent = output->blob_sent;
    for (uint32_t i = 0; i < output->mark_count; i++) {
        const struct sp_output_mark *mark = mark_at(output, i);
        size_t until = (size_t)(mark->at - output->base);
        if (mark->blob == NULL && mark->gate == 0) {
            continue;
        }
        if (!add_piece(ret_pieces, &count, max, output->bytes.data, at, until) ||
            mark->blob == NULL) {
            return count;
        }
        at = until;
        if (!add_piece(ret_pieces, &count, max, mark->blob->data, blob_sent, mark->blob->len)) {
            return count;
        }
        blob_sent = 0;
    }
    (void)add_piece(ret_pieces, &count, max, output->bytes.data, at, output->bytes.len);
    return count;
}

/* Moves what has been sent out of the way, where that is at least as much as what is left. */
static void compact(struct sp_output *output) {
    size_t left = output->bytes.len - output->sent;
    if (output->sent == 0 || left > output->sent) {
        return;
    }
    if (left > 0) {
        memmove(output->bytes.data, output->bytes.data + output->sent, left);
    }
    output->base += output->sent;
    output->bytes.len = left;
    output->sent = 0;
    if (left == 0 && output->mark_count == 0 && output->mark_capacity > MARKS_FIRST) {
        drop_marks(output);
    }
}

/* Sends of the first blob, which stands at the very front. Returns the bytes that it took. */
static size_t send_blob(struct sp_output *output, struct sp_output_mark *mark, size_t bytes) {
    size_t left = mark->blob->len - output->blob_sent;
    if (bytes < left) {
        output->blob_sent += bytes;
        return bytes;
    }
    output->blob_bytes -= mark->blob->len;
    output->blob_sent = 0;
    sp_blob_unref(mark->blob);
    *mark = (struct sp_output_mark){.at = mark->at};
    pop_passed(output);
    return left;
}

void sp_output_sent(struct sp_output *output, size_t bytes) {
    while (bytes > 0) {
        pop_passed(output);
        struct sp_output_mark *mark = output->mark_count > 0 ? mark_at(output, 0) : NULL;
        size_t own =
            (mark == NULL ? output->bytes.len : (size_t)(mark->at - output->base)) - output->sent;
        size_t taken = own < bytes ? own : bytes;
        output->sent += taken;
        bytes -= taken;
        if (bytes > 0) {
            sp_require(mark != NULL && mark->blob != NULL);
            bytes -= send_blob(output, mark, bytes);
        }
    }
    compact(output);
}
