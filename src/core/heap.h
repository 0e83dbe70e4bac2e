/*
 * A heap of things that happen at a time, the next one on top. pure
 *
 * The item stands first in what it is about, and knows its place, so that its time can change. A
 * time of 0 is never: such items are not in the heap.
 */
#ifndef SP_CORE_HEAP_H
#define SP_CORE_HEAP_H

#include <stdint.h>

#include "base/status.h"

struct sp_heap_item {
    uint64_t at;   /* 0: not in the heap */
    uint32_t slot; /* where it is */
};

struct sp_heap {
    struct sp_heap_item **items;
    uint32_t count;
    uint32_t capacity;
};

void sp_heap_init(struct sp_heap *heap);
/* The items are their owners'. */
void sp_heap_fini(struct sp_heap *heap);

/* Moves the item to another time, in or out; out never fails. SP_NO_MEMORY. O(log items). */
SP_WARN_UNUSED sp_status sp_heap_set(struct sp_heap *heap, struct sp_heap_item *item, uint64_t at);

/* The next one, or NULL. */
static inline struct sp_heap_item *sp_heap_top(const struct sp_heap *heap) {
    return heap->count > 0 ? heap->items[0] : 0;
}

#endif
