#include "base/blob.h"

#include <stdlib.h>

#include "base/assert.h"

struct sp_blob *sp_blob_new(size_t capacity, size_t alignment) {
    sp_require(alignment >= 16 && (alignment & (alignment - 1)) == 0);
    if (capacity > SIZE_MAX - (alignment - 1)) {
        return NULL; /* rounding up would wrap around to a small size */
    }
    struct sp_blob *blob = malloc(sizeof(*blob));
    size_t rounded = (capacity + alignment - 1) & ~(alignment - 1);
    uint8_t *data = blob != NULL ? aligned_alloc(alignment, rounded) : NULL;
    if (data == NULL) {
        free(blob);
        return NULL;
    }
    blob->len = 0;
    blob->capacity = rounded;
    blob->data = data;
    atomic_init(&blob->refs, 1);
    return blob;
}

struct sp_blob *sp_blob_ref(struct sp_blob *blob) {
    uint32_t before = atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
    sp_require(before > 0);
    return blob;
}

void sp_blob_unref(struct sp_blob *blob) {
    if (blob == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel);
    sp_require(before > 0);
    if (before == 1) {
        free(blob->data);
        free(blob);
    }
}
