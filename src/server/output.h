/*
 * What waits to be sent to one client: bytes in order, some of which may not leave before a block
 * of the log is durable, and messages that are shared with other clients. pure
 *
 *     bytes   [ reply | reply | reply | push | reply ]
 *                     ^ gate 7               ^ gate 8
 *
 * Replies are written into `bytes`, a plain buffer, so that writing one costs no more than its
 * bytes. A mark stands at an offset of it: a gate, which holds back everything behind it until the
 * block is durable, or a shared message, which is sent there without having been copied. Gates
 * rise, so that replies which wait for the same block have one mark between them.
 *
 * Idle, it owns no memory. Failure sticks in `bytes` (SP_LIMIT, SP_NO_MEMORY): the client is then
 * closed.
 */
#ifndef SP_SERVER_OUTPUT_H
#define SP_SERVER_OUTPUT_H

#include "base/blob.h"
#include "base/buf.h"

struct iovec;

enum {
    SP_OUTPUT_COPY_BYTES_MAX = 2048, /* a shorter message is copied, which costs less */
};

struct sp_output_mark {
    uint64_t at;          /* absolute offset among the own bytes */
    uint64_t gate;        /* where blob is NULL; 0: it has passed */
    struct sp_blob *blob; /* owned reference */
};

struct sp_output {
    struct sp_buf bytes;
    size_t sent;        /* own bytes at the start of `bytes` that have been sent */
    uint64_t base;      /* absolute offset of bytes.data[0] */
    uint64_t gate_last; /* of the last gate that was set */
    size_t blob_bytes;  /* of shared messages that wait, the sent part of the first one included */
    size_t blob_sent;   /* of the first one that waits */
    struct sp_output_mark *marks; /* ring */
    uint32_t mark_start;
    uint32_t mark_count;
    uint32_t mark_capacity; /* power of two, or 0 */
    uint32_t gate_count;    /* gates that have not passed */
};

void sp_output_init(struct sp_output *output, size_t size_bytes_max);
void sp_output_fini(struct sp_output *output);

/* Bytes that wait, shared messages included. */
static inline size_t sp_output_waiting(const struct sp_output *output) {
    return output->bytes.len - output->sent + output->blob_bytes - output->blob_sent;
}

/*
 * Holds back what stands from `from` on, an index into bytes.data taken before a reply was written,
 * until the gate has passed. False where memory is out.
 */
SP_WARN_UNUSED bool sp_output_hold(struct sp_output *output, size_t from, uint64_t gate);

/* Sends a message behind what is there; takes a reference of its own where it does not copy. */
SP_WARN_UNUSED bool sp_output_share(struct sp_output *output, struct sp_blob *blob);

/* Lets go what waits for blocks up to this one. */
void sp_output_pass(struct sp_output *output, uint64_t durable_block);

/* The gate that the first bytes held back wait for; 0: nothing is held back. */
uint64_t sp_output_gate(const struct sp_output *output);

/* What may be sent now, in at most `max` pieces; returns how many. */
size_t sp_output_pieces(const struct sp_output *output, struct iovec *ret_pieces, size_t max);

/* Says that so many of these bytes were sent. What is done with is dropped, storage is kept. */
void sp_output_sent(struct sp_output *output, size_t bytes);

#endif
