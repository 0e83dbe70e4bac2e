/*
 * A run of postings, taken out of a tail or a section to be handed on one by one. pure
 *
 * A posting is an ordinal: the event's position less the first position of its segment.
 */
#ifndef SP_INDEX_POSTINGS_H
#define SP_INDEX_POSTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SP_POSTINGS_MAX = 512 };

/* Those that are still to be handed on are ordinals[begin … end), strictly ascending. */
struct sp_postings {
    uint16_t begin;
    uint16_t end;
    uint32_t ordinals[SP_POSTINGS_MAX];
};

/* Cuts off what lies before `bound`, or after it where `reverse`. O(log of the run). */
static inline void sp_postings_cut(struct sp_postings *run, uint32_t bound, bool reverse) {
    uint16_t low = run->begin;
    uint16_t high = run->end;
    while (low < high) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        bool left = reverse ? run->ordinals[middle] <= bound : run->ordinals[middle] < bound;
        if (left) {
            low = (uint16_t)(middle + 1);
        } else {
            high = middle;
        }
    }
    if (reverse) {
        run->end = low;
    } else {
        run->begin = low;
    }
}

#endif
