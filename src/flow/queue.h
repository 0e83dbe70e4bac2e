/*
 * Things that a part has to tell, in the order in which they came up. pure
 *
 * An item stays until the event that tells of it has been applied; as a rule it is the first one
 * then. What has been handed out as work is remembered beside, and is no part of the state: after a
 * restart all of it is handed out again.
 */
#ifndef SP_FLOW_QUEUE_H
#define SP_FLOW_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/put.h"
#include "base/status.h"
#include "base/wire.h"

struct sp_queue_item {
    uint32_t kind; /* the owner's, above 0; 0: it is over */
    uint32_t b;
    uint64_t a; /* what it is known by, with its kind and c */
    uint64_t c;
};

struct sp_queue {
    struct sp_queue_item *items; /* a ring */
    uint32_t mask;               /* its length - 1; 0 where there is none */
    uint32_t head;               /* counts up, as do the others */
    uint32_t tail;
    uint32_t given; /* those before it have been handed out */
    uint32_t live;  /* items that are not over */
};

void sp_queue_init(struct sp_queue *queue);
void sp_queue_fini(struct sp_queue *queue);

/* SP_NO_MEMORY: nothing has changed. O(1) amortised. */
SP_WARN_UNUSED sp_status sp_queue_add(struct sp_queue *queue, struct sp_queue_item item);

/* The next one that has not been handed out; NULL: there is none. Borrowed until the next call. */
struct sp_queue_item *sp_queue_next(struct sp_queue *queue);

/* Whether there is one that has not been handed out. It may be one that is over. O(1). */
static inline bool sp_queue_has_next(const struct sp_queue *queue) {
    return queue->given != queue->tail;
}

/* It is to be handed out again, with those behind it. */
void sp_queue_back(struct sp_queue *queue, uint32_t kind, uint64_t a, uint64_t c);

/* The item; NULL: there is none, or it is over. O(items before it). */
struct sp_queue_item *sp_queue_find(const struct sp_queue *queue, uint32_t kind, uint64_t a,
                                    uint64_t c);

/* It is over. */
void sp_queue_end(struct sp_queue *queue, struct sp_queue_item *item);

/* The items that are not over, in order. */
void sp_queue_encode(const struct sp_queue *queue, struct sp_buf *to);
/* SP_CORRUPT, SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_queue_restore(struct sp_queue *queue, uint32_t count_max,
                                          struct sp_wire *wire);

/* Walks them: *at begins with queue->head. NULL: there are no more. */
const struct sp_queue_item *sp_queue_walk(const struct sp_queue *queue, uint32_t *at);

#endif
