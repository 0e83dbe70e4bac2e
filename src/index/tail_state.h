/*
 * What is in a tail, for its encoder; everybody else goes through tail.h. pure
 */
#ifndef SP_INDEX_TAIL_STATE_H
#define SP_INDEX_TAIL_STATE_H

#include <stdatomic.h>

#include "base/buf.h"
#include "index/idtab.h"
#include "index/tail.h"
#include "index/terms.h"

enum { SP_TAIL_TIMES = SP_TAIL_EVENTS_MAX / SP_TAIL_TIME_EVENTS };

struct sp_tail {
    _Atomic uint32_t refs;
    bool finished;
    bool types_complete;
    uint32_t count; /* of events */
    uint64_t first_position;
    struct sp_words words;
    struct sp_terms kinds[SP_INDEX_KIND_COUNT];
    struct sp_idtab ids;
    uint64_t times[SP_TAIL_TIMES]; /* the latest recorded time among so many events */
    struct sp_buf type_bytes;      /* texts of the first terms of kind TYPE, one after another */
    uint32_t type_ends[SP_TAIL_TYPES_MAX];
    uint32_t type_count;
};

/* The roles by their numbers in a node. */
static const enum sp_index_role SP_TAIL_ROLES[SP_IDTAB_ROLES] = {SP_INDEX_ID, SP_INDEX_CAUSE,
                                                                 SP_INDEX_SOURCE_ID};
enum { SP_TAIL_ROLE_ID = 0, SP_TAIL_ROLE_CAUSE = 1, SP_TAIL_ROLE_SOURCE_ID = 2 };

/*
 * The number of the first of `count` times that is at or past `recorded_us`, or count. `times`
 * never falls.
 */
static inline uint32_t sp_times_find(const uint64_t *times, uint32_t count, uint64_t recorded_us) {
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (times[middle] < recorded_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

#endif
