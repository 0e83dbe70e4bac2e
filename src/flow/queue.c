#include "flow/queue.h"

#include <stdlib.h>

enum { FIRST_ITEMS = 16 };

void sp_queue_init(struct sp_queue *queue) {
    *queue = (struct sp_queue){.items = NULL};
}

void sp_queue_fini(struct sp_queue *queue) {
    free(queue->items);
    sp_queue_init(queue);
}

static struct sp_queue_item *at(const struct sp_queue *queue, uint32_t number) {
    return &queue->items[number & queue->mask];
}

static sp_status grow(struct sp_queue *queue) {
    uint32_t old = queue->tail - queue->head;
    uint32_t wanted = old == 0 ? FIRST_ITEMS : old * 2;
    struct sp_queue_item *items = calloc(wanted, sizeof(*items));
    if (items == NULL) {
        return SP_NO_MEMORY;
    }
    for (uint32_t i = 0; i < old; i++) {
        items[i] = *at(queue, queue->head + i);
    }
    free(queue->items);
    queue->items = items;
    queue->mask = wanted - 1;
    queue->given -= queue->head;
    queue->head = 0;
    queue->tail = old;
    return SP_OK;
}

sp_status sp_queue_add(struct sp_queue *queue, struct sp_queue_item item) {
    sp_require(item.kind != 0);
    bool is_full = queue->items == NULL || queue->tail - queue->head == queue->mask + 1;
    sp_status status = is_full ? grow(queue) : SP_OK;
    if (status == SP_OK) {
        *at(queue, queue->tail++) = item;
        queue->live++;
    }
    return status;
}

struct sp_queue_item *sp_queue_next(struct sp_queue *queue) {
    while (queue->given != queue->tail) {
        struct sp_queue_item *item = at(queue, queue->given++);
        if (item->kind != 0) {
            return item;
        }
    }
    return NULL;
}

static bool is(const struct sp_queue_item *item, uint32_t kind, uint64_t a, uint64_t c) {
    return item->kind == kind && item->a == a && item->c == c;
}

struct sp_queue_item *sp_queue_find(const struct sp_queue *queue, uint32_t kind, uint64_t a,
                                    uint64_t c) {
    for (uint32_t i = queue->head; i != queue->tail; i++) {
        struct sp_queue_item *item = at(queue, i);
        if (is(item, kind, a, c)) {
            return item;
        }
    }
    return NULL;
}

void sp_queue_back(struct sp_queue *queue, uint32_t kind, uint64_t a, uint64_t c) {
    for (uint32_t i = queue->head; i != queue->given; i++) {
        if (is(at(queue, i), kind, a, c)) {
            queue->given = i;
            return;
        }
    }
}

void sp_queue_end(struct sp_queue *queue, struct sp_queue_item *item) {
    sp_require(item->kind != 0);
    item->kind = 0;
    queue->live--;
    while (queue->head != queue->tail && at(queue, queue->head)->kind == 0) {
        queue->given += queue->given == queue->head;
        queue->head++;
    }
    sp_ensure(queue->live <= queue->tail - queue->head);
}

const struct sp_queue_item *sp_queue_walk(const struct sp_queue *queue, uint32_t *number) {
    while (*number != queue->tail) {
        const struct sp_queue_item *item = at(queue, (*number)++);
        if (item->kind != 0) {
            return item;
        }
    }
    return NULL;
}

void sp_queue_encode(const struct sp_queue *queue, struct sp_buf *to) {
    const struct sp_queue_item *item;
    uint32_t number = queue->head;
    sp_add_number(to, queue->live);
    while ((item = sp_queue_walk(queue, &number)) != NULL) {
        sp_add_number(to, item->kind);
        sp_add_number(to, item->a);
        sp_add_number(to, item->b);
        sp_add_number(to, item->c);
    }
}

sp_status sp_queue_restore(struct sp_queue *queue, uint32_t count_max, struct sp_wire *wire) {
    uint64_t count = sp_wire_varint(wire);
    if (wire->bad || count > count_max || count > sp_wire_left(wire) / 4) {
        return SP_CORRUPT;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct sp_queue_item item = {.kind = (uint32_t)sp_wire_varint(wire)};
        item.a = sp_wire_varint(wire);
        item.b = (uint32_t)sp_wire_varint(wire);
        item.c = sp_wire_varint(wire);
        sp_status status = wire->bad || item.kind == 0 ? SP_CORRUPT : sp_queue_add(queue, item);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}
