/*
 * The dead: entries that were given up, and their ways back.
 */
#include <stdlib.h>

#include "core/bytes.h"
#include "core/groups_int.h"
#include "core/sort.h"

bool sp_group_bury(const struct sp_group *group, uint64_t position, enum sp_dead_reason reason,
                   uint64_t letter, uint64_t now_ms, struct sp_buf *to) {
    if (group->care == NULL || sp_pending_find(group, position) == NULL) {
        return false;
    }
    struct sp_op_positions list = sp_op_positions_of(group);
    sp_op_begin(to, SP_OP_BURY, group);
    sp_op_add_position(&list, to, position);
    sp_add_number(to, now_ms);
    sp_add_number(to, reason);
    sp_add_number(to, letter);
    return true;
}

/* Those of the positions that are dead, or the first ones of all; rising, each once. */
static uint64_t *pick_dead(const struct sp_group_care *care, const uint64_t *positions,
                           size_t count, size_t *ret_count) {
    count = positions == NULL && count > care->dead.count ? (size_t)care->dead.count : count;
    uint64_t *picked = malloc((count + 1) * sizeof(*picked));
    struct sp_rows_at at = sp_rows_first();
    size_t found = 0;
    for (size_t i = 0; picked != NULL && i < count; i++) {
        if (positions == NULL) {
            picked[found++] = *sp_rows_get(&care->dead, at);
            at = sp_rows_next(&care->dead, at);
        } else if (sp_rows_find(&care->dead, &positions[i]) != NULL) {
            picked[found++] = positions[i];
        }
    }
    *ret_count = picked != NULL ? sp_sort_unique(picked, found) : 0;
    return picked;
}

/* How many of the dead there is room for. */
static size_t room_for(const struct sp_groups *groups, const struct sp_group *group,
                       const uint64_t *positions, size_t count) {
    size_t parked = group->care->parked.count;
    size_t pending = groups->pending;
    for (size_t i = 0; i < count; i++) {
        const struct sp_dead *dead =
            (const struct sp_dead *)sp_rows_find(&group->care->dead, &positions[i]);
        size_t *taken = sp_group_has_order(group) && dead->key != 0 ? &parked : &pending;
        size_t max = taken == &parked ? (size_t)SP_GROUP_PARKED_MAX : (size_t)SP_GROUP_PENDING_MAX;
        if (*taken >= max) {
            return i;
        }
        ++*taken;
    }
    return count;
}

size_t sp_group_redrive(const struct sp_groups *groups, const struct sp_group *group,
                        const uint64_t *positions, size_t count, uint64_t now_ms,
                        struct sp_buf *to) {
    if (group->care == NULL) {
        return 0;
    }
    uint64_t *picked = pick_dead(group->care, positions, count, &count);
    if (picked == NULL) {
        to->status = SP_NO_MEMORY;
        return 0;
    }
    count = room_for(groups, group, picked, count);
    if (count > 0) {
        struct sp_op_positions list = sp_op_positions_of(group);
        sp_op_begin(to, SP_OP_REDRIVE, group);
        sp_add_number(to, now_ms);
        for (size_t i = 0; i < count; i++) {
            sp_op_add_position(&list, to, picked[i]);
        }
        sp_buf_add_byte(to, 0);
    }
    free(picked);
    return count;
}

size_t sp_group_discard(const struct sp_group *group, const uint64_t *positions, size_t count,
                        struct sp_buf *to) {
    if (group->care == NULL) {
        return 0;
    }
    uint64_t *picked = pick_dead(group->care, positions, count, &count);
    if (picked == NULL) {
        to->status = SP_NO_MEMORY;
        return 0;
    }
    if (count > 0) {
        sp_op_put_list(to, SP_OP_DISCARD, group, picked, count);
    }
    free(picked);
    return count;
}

bool sp_dead_at(const struct sp_group *group, uint64_t position, struct sp_dead *ret) {
    const uint64_t *row = group->care != NULL ? sp_rows_find(&group->care->dead, &position) : NULL;
    if (row == NULL) {
        return false;
    }
    *ret = *(const struct sp_dead *)row;
    return true;
}

bool sp_dead_get(const struct sp_group *group, struct sp_entry_id id, struct sp_dead *ret) {
    const uint64_t key[2] = {id.ms, id.seq};
    if (group->care == NULL) {
        return false;
    }
    const struct sp_rows *rows = &group->care->dead;
    const struct sp_dead *dead =
        (const struct sp_dead *)sp_rows_get(rows, sp_rows_seek_words(rows, 1, 2, key));
    if (dead == NULL || sp_entry_id_compare(dead->id, id) != 0) {
        return false;
    }
    *ret = *dead;
    return true;
}

size_t sp_dead_list(const struct sp_group *group, uint64_t after, struct sp_dead *ret, size_t max) {
    if (group->care == NULL || after == UINT64_MAX) {
        return 0;
    }
    const uint64_t from = after + 1;
    struct sp_rows_at at = sp_rows_seek(&group->care->dead, &from);
    size_t count = 0;
    for (const uint64_t *row = sp_rows_get(&group->care->dead, at); row != NULL && count < max;
         row = sp_rows_get(&group->care->dead, at)) {
        ret[count++] = *(const struct sp_dead *)row;
        at = sp_rows_next(&group->care->dead, at);
    }
    return count;
}
