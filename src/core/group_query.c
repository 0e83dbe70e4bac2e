/*
 * What there is to know of a group and of what is pending in it.
 */
#include "core/groups_int.h"

struct sp_group_facts sp_group_get(const struct sp_group *group) {
    const struct sp_group_care *care = group->care;
    struct sp_group_facts facts = {
        .number = group->number,
        .key = sp_str_of(group->key->text, group->key->bytes),
        .name = sp_str_of(group->name, group->bytes),
        .cursor = group->cursor,
        .has_policy = care != NULL,
        .pending = group->pending.count,
        .in_flight = sp_group_in_flight(group),
        .consumers = group->consumer_count,
    };
    if (care != NULL) {
        facts.policy = care->policy;
        facts.waiting = care->waiting.count;
        facts.parked = care->parked.count;
        facts.dead = care->dead.count;
    }
    if (group->pending.count > 0) {
        facts.first_id = sp_pending_row(&group->pending, sp_rows_first())->id;
        facts.last_id = ((const struct sp_pending *)sp_rows_last(&group->pending))->id;
    }
    return facts;
}

bool sp_pending_get(const struct sp_group *group, struct sp_entry_id id, struct sp_pending *ret) {
    struct sp_rows_at at = sp_rows_first();
    const struct sp_pending *row = sp_pending_find_id(group, id, &at);
    if (row == NULL) {
        return false;
    }
    *ret = *row;
    return true;
}

bool sp_pending_at(const struct sp_group *group, uint64_t position, struct sp_pending *ret) {
    const struct sp_pending *row = sp_pending_find(group, position);
    if (row == NULL) {
        return false;
    }
    *ret = *row;
    return true;
}

static bool is_idle(const struct sp_pending_range *range, const struct sp_pending *row) {
    if (range->idle_min_ms == 0) {
        return true;
    }
    return row->state == SP_PENDING_IN_FLIGHT && range->now_ms >= row->time_ms &&
           range->now_ms - row->time_ms >= range->idle_min_ms;
}

static size_t list_all(const struct sp_group *group, const struct sp_pending_range *range,
                       struct sp_pending *ret, size_t max) {
    struct sp_rows_at at = sp_pending_seek_id(group, range->from);
    size_t count = 0;
    for (const struct sp_pending *row = sp_pending_row(&group->pending, at);
         row != NULL && count < max && sp_entry_id_compare(row->id, range->until) <= 0;
         row = sp_pending_row(&group->pending, at)) {
        if (is_idle(range, row)) {
            ret[count++] = *row;
        }
        at = sp_rows_next(&group->pending, at);
    }
    return count;
}

/* Along the consumer's own list, from where the group has the first entry of the range. */
static size_t list_one(const struct sp_group *group, const struct sp_consumer *consumer,
                       const struct sp_pending_range *range, struct sp_pending *ret, size_t max) {
    const struct sp_pending *first =
        sp_pending_row(&group->pending, sp_pending_seek_id(group, range->from));
    if (consumer == NULL || first == NULL) {
        return 0;
    }
    struct sp_rows_at at = sp_rows_seek(&consumer->entries, &first->position);
    size_t count = 0;
    for (const uint64_t *position = sp_rows_get(&consumer->entries, at);
         position != NULL && count < max; position = sp_rows_get(&consumer->entries, at)) {
        const struct sp_pending *row = sp_pending_find(group, *position);
        if (sp_entry_id_compare(row->id, range->until) > 0) {
            break;
        }
        if (is_idle(range, row)) {
            ret[count++] = *row;
        }
        at = sp_rows_next(&consumer->entries, at);
    }
    return count;
}

size_t sp_pending_list(const struct sp_group *group, const struct sp_pending_range *range,
                       struct sp_pending *ret, size_t max) {
    return range->consumer == SP_CONSUMER_NONE
               ? list_all(group, range, ret, max)
               : list_one(group, sp_consumer_at(group, range->consumer), range, ret, max);
}
