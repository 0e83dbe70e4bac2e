#include "core/heap.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

void sp_heap_init(struct sp_heap *heap) {
    *heap = (struct sp_heap){.items = NULL};
}

void sp_heap_fini(struct sp_heap *heap) {
    free(heap->items);
    sp_heap_init(heap);
}

static void put(struct sp_heap *heap, uint32_t slot, struct sp_heap_item *item) {
    heap->items[slot] = item;
    item->slot = slot;
}

static void rise(struct sp_heap *heap, struct sp_heap_item *item) {
    uint32_t slot = item->slot;
    while (slot > 0 && heap->items[(slot - 1) / 2]->at > item->at) {
        put(heap, slot, heap->items[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    put(heap, slot, item);
}

static void sink(struct sp_heap *heap, struct sp_heap_item *item) {
    uint32_t slot = item->slot;
    for (;;) {
        uint32_t child = slot * 2 + 1;
        if (child + 1 < heap->count && heap->items[child + 1]->at < heap->items[child]->at) {
            child++;
        }
        if (child >= heap->count || heap->items[child]->at >= item->at) {
            break;
        }
        put(heap, slot, heap->items[child]);
        slot = child;
    }
    put(heap, slot, item);
}

static void take_out(struct sp_heap *heap, struct sp_heap_item *item) {
    struct sp_heap_item *last = heap->items[--heap->count];
    if (last != item) {
        put(heap, item->slot, last);
        rise(heap, last);
        sink(heap, last);
    }
    item->at = 0;
}

static sp_status reserve(struct sp_heap *heap) {
    if (heap->count < heap->capacity) {
        return SP_OK;
    }
    uint32_t capacity = heap->capacity == 0 ? FIRST_CAPACITY : heap->capacity * 2;
    struct sp_heap_item **items = realloc(heap->items, capacity * sizeof(*items));
    if (items == NULL) {
        return SP_NO_MEMORY;
    }
    heap->items = items;
    heap->capacity = capacity;
    return SP_OK;
}

sp_status sp_heap_set(struct sp_heap *heap, struct sp_heap_item *item, uint64_t at) {
    if (item->at == at) {
        return SP_OK;
    }
    if (at == 0) {
        take_out(heap, item);
        return SP_OK;
    }
    if (item->at == 0) {
        sp_status status = reserve(heap);
        if (status != SP_OK) {
            return status;
        }
        put(heap, heap->count++, item);
    }
    item->at = at;
    rise(heap, item);
    sink(heap, item);
    return SP_OK;
}
