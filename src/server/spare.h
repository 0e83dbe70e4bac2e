/*
 * Storage of buffers that are empty now and will be needed again soon. loop-thread
 *
 * A client's buffers have storage only while there is something in them; this keeps a few of them
 * warm, last in, first out. Larger ones go back to the heap.
 */
#ifndef SP_SERVER_SPARE_H
#define SP_SERVER_SPARE_H

#include "base/buf.h"

enum { SP_SPARE_COUNT_MAX = 64, SP_SPARE_KEPT_BYTES_MAX = 64 << 10 };

struct sp_spares {
    uint8_t *spare[SP_SPARE_COUNT_MAX];
    size_t capacity[SP_SPARE_COUNT_MAX];
    uint32_t count;
};

void sp_spare_fini(struct sp_spares *spares);

/* Gives an empty buffer storage, if there is some to spare. */
static inline void sp_spare_lend(struct sp_spares *spares, struct sp_buf *buf) {
    if (buf->data == NULL && spares->count > 0) {
        spares->count--;
        buf->data = spares->spare[spares->count];
        buf->capacity = spares->capacity[spares->count];
        buf->len = 0;
    }
}

/* Takes an emptied buffer's storage back. */
void sp_spare_take(struct sp_spares *spares, struct sp_buf *buf);

#endif
