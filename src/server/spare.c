#include "server/spare.h"

#include <stdlib.h>

void sp_spare_fini(struct sp_spares *spares) {
    for (uint32_t i = 0; i < spares->count; i++) {
        free(spares->spare[i]);
    }
    spares->count = 0;
}

void sp_spare_take(struct sp_spares *spares, struct sp_buf *buf) {
    sp_require(buf->len == 0);
    size_t size_bytes_max = buf->size_bytes_max;
    if (buf->data == NULL) {
        return;
    }
    if (spares->count == SP_SPARE_COUNT_MAX || buf->capacity > SP_SPARE_KEPT_BYTES_MAX) {
        sp_buf_fini(buf);
    } else {
        spares->spare[spares->count] = buf->data;
        spares->capacity[spares->count] = buf->capacity;
        spares->count++;
    }
    sp_buf_init(buf, size_bytes_max);
}
