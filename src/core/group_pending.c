/*
 * Entries that are pending or parked, and all that leads to them.
 */
#include <stdlib.h>

#include "core/groups_int.h"

struct sp_pending *sp_pending_find_id(const struct sp_group *group, struct sp_entry_id id,
                                      struct sp_rows_at *at) {
    struct sp_pending *row = sp_pending_row(&group->pending, *at);
    if (row == NULL || sp_entry_id_compare(row->id, id) != 0) {
        *at = sp_pending_seek_id(group, id);
        row = sp_pending_row(&group->pending, *at);
    }
    return row != NULL && sp_entry_id_compare(row->id, id) == 0 ? row : NULL;
}

uint64_t sp_group_room(const struct sp_group *group) {
    if (group->care == NULL || group->care->policy.in_flight_max == 0) {
        return UINT64_MAX;
    }
    uint64_t in_flight = sp_group_in_flight(group);
    uint64_t max = group->care->policy.in_flight_max;
    return in_flight < max ? max - in_flight : 0;
}

/* ---- what leads to an entry ---- */

static sp_status link_care(struct sp_group_care *care, const struct sp_pending *entry) {
    const uint64_t row[2] = {entry->time_ms, entry->position};
    if (entry->state == SP_PENDING_IN_FLIGHT) {
        return sp_rows_add(&care->deadlines, row);
    }
    if (entry->time_ms <= care->told_ms) {
        care->told_ms = entry->time_ms > 0 ? entry->time_ms - 1 : 0;
        care->nudge = care->nudge || entry->time_ms == 0;
    }
    return sp_rows_add(&care->waiting, row);
}

static sp_status link_entry(struct sp_group *group, const struct sp_pending *entry) {
    sp_status status = SP_OK;
    if (entry->state == SP_PENDING_IN_FLIGHT) {
        status = sp_rows_add(&group->consumers[entry->consumer]->entries, &entry->position);
    }
    return status == SP_OK && group->care != NULL ? link_care(group->care, entry) : status;
}

static void unlink_entry(struct sp_group *group, const struct sp_pending *entry) {
    const uint64_t row[2] = {entry->time_ms, entry->position};
    bool in_flight = entry->state == SP_PENDING_IN_FLIGHT;
    if (in_flight) {
        bool was_there =
            sp_rows_remove_key(&group->consumers[entry->consumer]->entries, &entry->position);
        sp_invariant(was_there);
    }
    if (group->care != NULL) {
        /* Where the group was full, others can be handed out now. */
        group->care->nudge = group->care->nudge || (in_flight && sp_group_room(group) == 0);
        bool was_there =
            sp_rows_remove_key(in_flight ? &group->care->deadlines : &group->care->waiting, row);
        sp_invariant(was_there);
    }
}

/* ---- keys ---- */

static struct sp_parked *first_of_key(const struct sp_rows *rows, uint64_t key) {
    const uint64_t from[2] = {key, 0};
    uint64_t *row = sp_rows_get(rows, sp_rows_seek(rows, from));
    return row != NULL && row[0] == key ? (struct sp_parked *)row : NULL;
}

static bool is_busy(const struct sp_group_care *care, uint64_t key) {
    const uint64_t from[2] = {key, 0};
    const uint64_t *row = sp_rows_get(&care->busy, sp_rows_seek(&care->busy, from));
    return row != NULL && row[0] == key;
}

/* Around a change of a key: before it the key's first parked entry is taken off the ready ones. */
static void unready(struct sp_group_care *care, uint64_t key) {
    const struct sp_parked *first = is_busy(care, key) ? NULL : first_of_key(&care->parked, key);
    if (first != NULL) {
        bool was_there = sp_rows_remove_key(&care->ready, &first->position);
        sp_invariant(was_there);
    }
}

/* And after it, if it is ready, entered. */
static sp_status make_ready(struct sp_group_care *care, uint64_t key) {
    const struct sp_parked *first = is_busy(care, key) ? NULL : first_of_key(&care->parked, key);
    if (first == NULL) {
        return SP_OK;
    }
    const uint64_t row[2] = {first->position, key};
    care->nudge = true;
    return sp_rows_add(&care->ready, row);
}

static sp_status occupy_key(struct sp_group *group, const struct sp_pending *entry) {
    const uint64_t row[2] = {entry->key, entry->position};
    if (is_busy(group->care, entry->key)) {
        return SP_CORRUPT; /* two of a key at a time */
    }
    unready(group->care, entry->key);
    return sp_rows_add(&group->care->busy, row);
}

static sp_status free_key(struct sp_group *group, const struct sp_pending *entry) {
    const uint64_t row[2] = {entry->key, entry->position};
    bool was_there = sp_rows_remove_key(&group->care->busy, row);
    sp_invariant(was_there);
    return make_ready(group->care, entry->key);
}

/* ---- pending ---- */

sp_status sp_pending_add(struct sp_groups *groups, struct sp_group *group,
                         const struct sp_pending *entry) {
    sp_status status = sp_rows_add(&group->pending, (const uint64_t *)entry);
    if (status != SP_OK) {
        return status;
    }
    groups->pending++;
    status = link_entry(group, entry);
    return status == SP_OK && group->care != NULL && entry->key != 0 ? occupy_key(group, entry)
                                                                     : status;
}

sp_status sp_pending_remove(struct sp_groups *groups, struct sp_group *group,
                            struct sp_rows_at *at) {
    const struct sp_pending entry = *sp_pending_row(&group->pending, *at);
    unlink_entry(group, &entry);
    *at = sp_rows_remove(&group->pending, *at);
    groups->pending--;
    return group->care != NULL && entry.key != 0 ? free_key(group, &entry) : SP_OK;
}

sp_status sp_pending_change(struct sp_group *group, struct sp_pending *row,
                            const struct sp_pending *entry) {
    sp_require(row->position == entry->position && row->key == entry->key);
    if (group->care == NULL && row->consumer == entry->consumer) {
        *row = *entry; /* nothing leads to it otherwise than before */
        return SP_OK;
    }
    unlink_entry(group, row);
    *row = *entry;
    return link_entry(group, entry);
}

/* ---- parked ---- */

sp_status sp_parked_add(struct sp_group *group, const struct sp_parked *parked) {
    unready(group->care, parked->key);
    sp_status status = sp_rows_add(&group->care->parked, (const uint64_t *)parked);
    return status == SP_OK ? make_ready(group->care, parked->key) : status;
}

sp_status sp_parked_take(struct sp_group *group, uint64_t position, struct sp_parked *ret_parked) {
    const uint64_t *ready = sp_rows_find(&group->care->ready, &position);
    if (ready == NULL) {
        return SP_CORRUPT;
    }
    const uint64_t row[2] = {ready[1], position};
    *ret_parked = *(const struct sp_parked *)sp_rows_find(&group->care->parked, row);
    unready(group->care, ret_parked->key);
    bool was_there = sp_rows_remove_key(&group->care->parked, row);
    sp_invariant(was_there);
    return make_ready(group->care, ret_parked->key);
}

/* ---- the policy ---- */

static struct sp_group_care *new_care(void) {
    struct sp_group_care *care = calloc(1, sizeof(*care));
    if (care != NULL) {
        sp_rows_init(&care->deadlines, 2, 2);
        sp_rows_init(&care->waiting, 2, 2);
        sp_rows_init(&care->busy, 2, 2);
        sp_rows_init(&care->parked, PARKED_WORDS, 2);
        sp_rows_init(&care->ready, 2, 1);
        sp_rows_init(&care->dead, DEAD_WORDS, 1);
    }
    return care;
}

static sp_status take_policy(struct sp_group_care *care, const struct sp_group_policy *policy) {
    char *texts = malloc(policy->type.len + policy->filter.len + 1);
    if (texts == NULL) {
        return SP_NO_MEMORY;
    }
    if (policy->type.len > 0) {
        memcpy(texts, policy->type.ptr, policy->type.len);
    }
    if (policy->filter.len > 0) {
        memcpy(texts + policy->type.len, policy->filter.ptr, policy->filter.len);
    }
    free(care->texts);
    care->texts = texts;
    care->policy = *policy;
    care->policy.type = sp_str_of(texts, policy->type.len);
    care->policy.filter = sp_str_of(texts + policy->type.len, policy->filter.len);
    return SP_OK;
}

/* The keys of another order mean nothing. */
static void forget_keys(struct sp_group *group) {
    struct sp_rows_at at = sp_rows_first();
    for (struct sp_pending *row = sp_pending_row(&group->pending, at); row != NULL;
         row = sp_pending_row(&group->pending, at)) {
        row->key = 0;
        at = sp_rows_next(&group->pending, at);
    }
    at = sp_rows_first();
    for (uint64_t *row = sp_rows_get(&group->care->dead, at); row != NULL;
         row = sp_rows_get(&group->care->dead, at)) {
        ((struct sp_dead *)row)->key = 0;
        at = sp_rows_next(&group->care->dead, at);
    }
    sp_rows_clear(&group->care->busy);
}

static sp_status begin_care(struct sp_group *group) {
    struct sp_group_care *care = new_care();
    if (care == NULL) {
        return SP_NO_MEMORY;
    }
    group->care = care;
    struct sp_rows_at at = sp_rows_first();
    sp_status status = SP_OK;
    for (const struct sp_pending *row = sp_pending_row(&group->pending, at);
         row != NULL && status == SP_OK; row = sp_pending_row(&group->pending, at)) {
        status = link_care(care, row);
        at = sp_rows_next(&group->pending, at);
    }
    return status;
}

sp_status sp_group_care_set(struct sp_group *group, const struct sp_group_policy *policy) {
    sp_status status = group->care == NULL ? begin_care(group) : SP_OK;
    if (status != SP_OK) {
        return status;
    }
    if (policy->order_by != group->care->policy.order_by) {
        if (group->care->parked.count > 0) {
            return SP_CORRUPT;
        }
        forget_keys(group);
    }
    group->care->nudge = true; /* more may be in flight now */
    return take_policy(group->care, policy);
}

void sp_group_care_clear(struct sp_group *group) {
    forget_keys(group);
    sp_group_care_free(group->care);
    group->care = NULL;
}

/* ---- when it wakes ---- */

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a == 0 || b < a ? b : a;
}

sp_status sp_group_set_wake(struct sp_groups *groups, struct sp_group *group,
                            uint64_t not_before_ms) {
    const struct sp_group_care *care = group->care;
    uint64_t at_ms = 0;
    if (care != NULL) {
        const uint64_t untold[2] = {care->told_ms + 1, 0};
        const uint64_t *due = sp_rows_get(&care->waiting, sp_rows_seek(&care->waiting, untold));
        const uint64_t *flying = sp_rows_get(&care->deadlines, sp_rows_first());
        at_ms = care->nudge ? 1 : 0;
        at_ms = due != NULL ? earlier(at_ms, due[0]) : at_ms;
        at_ms = flying != NULL ? earlier(at_ms, flying[0] + care->policy.ack_wait_ms) : at_ms;
        at_ms = at_ms != 0 && at_ms < not_before_ms ? not_before_ms : at_ms;
    }
    return sp_heap_set(&groups->waking, &group->wake, at_ms);
}
