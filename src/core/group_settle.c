/*
 * Settling: acknowledged, or forgotten since the event is gone; and what is given more time.
 */
#include <stdlib.h>

#include "core/bytes.h"
#include "core/groups_int.h"
#include "core/sort.h"

/* Positions of an op in the making: written at once while they rise, else sorted in the end. */
struct settling {
    const struct sp_group *group;
    struct sp_buf *to;
    struct sp_op_positions list;
    uint64_t highest;
    size_t count;
    bool rises;
};

static struct settling begin_settling(const struct sp_group *group, enum sp_op op,
                                      struct sp_buf *to) {
    sp_op_begin(to, op, group);
    return (struct settling){
        .group = group, .to = to, .list = sp_op_positions_of(group), .rises = true};
}

/* Adds one; false where the order ends here. */
static bool settle(struct settling *settling, uint64_t position) {
    if (settling->count > 0 && position <= settling->highest) {
        settling->rises = false;
        return false;
    }
    settling->highest = position;
    settling->count++;
    sp_op_add_position(&settling->list, settling->to, position);
    return true;
}

static size_t end_settling(struct settling *settling, size_t start) {
    sp_buf_add_byte(settling->to, 0);
    if (settling->count == 0) {
        settling->to->len = start;
    }
    return settling->count;
}

/* The slow way, for positions in any order. Frees what it is given. */
static size_t settle_sorted(const struct sp_group *group, enum sp_op op, uint64_t *positions,
                            size_t count, struct sp_buf *to) {
    count = sp_sort_unique(positions, count);
    if (count > 0) {
        sp_op_put_list(to, op, group, positions, count);
    }
    free(positions);
    return count;
}

static uint64_t *positions_of_ids(const struct sp_group *group, const struct sp_entry_id *ids,
                                  size_t count, size_t *ret_count) {
    uint64_t *positions = malloc((count + 1) * sizeof(*positions));
    struct sp_rows_at at = sp_rows_first();
    size_t found = 0;
    for (size_t i = 0; positions != NULL && i < count; i++) {
        const struct sp_pending *row = sp_pending_find_id(group, ids[i], &at);
        if (row != NULL) {
            positions[found++] = row->position;
        }
    }
    *ret_count = found;
    return positions;
}

/* The place behind, where there is one. */
static struct sp_rows_at behind(const struct sp_group *group, struct sp_rows_at at) {
    return at.block < group->pending.block_count ? sp_rows_next(&group->pending, at) : at;
}

size_t sp_group_ack(const struct sp_group *group, const struct sp_entry_id *ids, size_t count,
                    struct sp_buf *to) {
    size_t start = to->len;
    struct settling settling = begin_settling(group, SP_OP_ACK, to);
    struct sp_rows_at at = sp_rows_first();
    for (size_t i = 0; i < count && settling.rises; i++) {
        const struct sp_pending *row = sp_pending_find_id(group, ids[i], &at);
        if (row != NULL && settle(&settling, row->position)) {
            at = behind(group, at);
        }
    }
    if (settling.rises) {
        return end_settling(&settling, start);
    }
    to->len = start;
    size_t found;
    uint64_t *positions = positions_of_ids(group, ids, count, &found);
    if (positions == NULL) {
        to->status = SP_NO_MEMORY;
        return 0;
    }
    return settle_sorted(group, SP_OP_ACK, positions, found, to);
}

static size_t settle_positions(const struct sp_group *group, enum sp_op op,
                               const uint64_t *positions, size_t count, struct sp_buf *to) {
    uint64_t *pending = malloc((count + 1) * sizeof(*pending));
    size_t found = 0;
    if (pending == NULL) {
        to->status = SP_NO_MEMORY;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (sp_pending_find(group, positions[i]) != NULL) {
            pending[found++] = positions[i];
        }
    }
    return settle_sorted(group, op, pending, found, to);
}

size_t sp_group_ack_positions(const struct sp_group *group, const uint64_t *positions, size_t count,
                              struct sp_buf *to) {
    return settle_positions(group, SP_OP_ACK, positions, count, to);
}

size_t sp_group_forget(const struct sp_group *group, const uint64_t *positions, size_t count,
                       struct sp_buf *to) {
    return settle_positions(group, SP_OP_FORGET, positions, count, to);
}

/* ---- more time ---- */

/* Since when the entries count: what is left is counted from there. */
static uint64_t counted_from(const struct sp_group *group,
                             const struct sp_group_extension *extension) {
    if (!extension->has_ms || group->care == NULL) {
        return extension->now_ms;
    }
    uint64_t wait_ms = group->care->policy.ack_wait_ms;
    uint64_t until_ms = extension->now_ms + extension->ms;
    return until_ms > wait_ms ? until_ms - wait_ms : 0;
}

static size_t keep_in_flight(const struct sp_group *group, uint64_t *positions, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (sp_pending_find(group, positions[i])->state == SP_PENDING_IN_FLIGHT) {
            positions[kept++] = positions[i];
        }
    }
    return kept;
}

size_t sp_group_extend(const struct sp_group *group, const struct sp_entry_id *ids, size_t count,
                       const struct sp_group_extension *extension, struct sp_buf *to) {
    sp_require(extension->ms <= SP_GROUP_TIME_MS_MAX);
    size_t found;
    uint64_t *positions = positions_of_ids(group, ids, count, &found);
    if (positions == NULL) {
        to->status = SP_NO_MEMORY;
        return 0;
    }
    found = keep_in_flight(group, positions, found);
    found = sp_sort_unique(positions, found);
    if (found > 0) {
        struct sp_op_positions list = sp_op_positions_of(group);
        sp_op_begin(to, SP_OP_EXTEND, group);
        sp_add_number(to, counted_from(group, extension));
        for (size_t i = 0; i < found; i++) {
            sp_op_add_position(&list, to, positions[i]);
        }
        sp_buf_add_byte(to, 0);
    }
    free(positions);
    return found;
}
