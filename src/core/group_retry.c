/*
 * Failed attempts: when an entry is tried again, and what happens by itself.
 */
#include "core/bytes.h"
#include "core/groups_int.h"

/* min(max, first × factor^(count - 1)), in integers. */
static uint64_t backoff_ms(const struct sp_group_policy *policy, uint32_t count) {
    uint64_t ms = policy->backoff_first_ms;
    if (policy->backoff_factor_milli == 1000 || ms == 0) {
        return ms;
    }
    for (uint32_t i = 1; i < count && ms < policy->backoff_max_ms; i++) {
        uint64_t grown = ms * policy->backoff_factor_milli / 1000;
        if (grown == ms) {
            break; /* too small for the factor to show */
        }
        ms = grown;
    }
    return ms < policy->backoff_max_ms ? ms : policy->backoff_max_ms;
}

/* × (1 ± jitter), by chance. */
static uint64_t jittered_ms(const struct sp_group_policy *policy, uint64_t ms, uint64_t random) {
    uint64_t span = ms * policy->backoff_jitter_milli / 1000;
    return ms - span + random % (2 * span + 1);
}

static void put_release(struct sp_op_positions *list, struct sp_buf *to, uint64_t position,
                        uint64_t due_ms, uint64_t due_before_ms) {
    sp_op_add_position(list, to, position);
    sp_add_number(to, sp_zigzag((int64_t)(due_ms - due_before_ms)));
}

struct sp_group_failed sp_group_fail(const struct sp_group *group,
                                     const struct sp_group_failure *failure, struct sp_buf *to) {
    const struct sp_pending *row = sp_pending_find(group, failure->position);
    if (group->care == NULL || row == NULL || row->state != SP_PENDING_IN_FLIGHT) {
        return (struct sp_group_failed){.what = SP_FAIL_NONE};
    }
    const struct sp_group_policy *policy = &group->care->policy;
    if (row->count >= policy->deliveries_max) {
        return (struct sp_group_failed){.what = SP_FAIL_BURY, .entry = *row};
    }
    uint64_t wait_ms = failure->has_delay
                           ? failure->delay_ms
                           : jittered_ms(policy, backoff_ms(policy, row->count), failure->random);
    uint64_t due_ms =
        wait_ms > UINT64_MAX - failure->now_ms ? UINT64_MAX : failure->now_ms + wait_ms;
    struct sp_op_positions list = sp_op_positions_of(group);
    sp_op_begin(to, SP_OP_RELEASE, group);
    put_release(&list, to, row->position, due_ms, 0);
    sp_buf_add_byte(to, 0);
    return (struct sp_group_failed){.what = SP_FAIL_RETRY, .due_ms = due_ms, .entry = *row};
}

size_t sp_group_leave(const struct sp_group *group, uint32_t consumer, bool disconnected,
                      uint64_t now_ms, struct sp_pending *ret_bury, size_t max, struct sp_buf *to) {
    const struct sp_consumer *found = sp_consumer_at(group, consumer);
    sp_require(found != NULL);
    const struct sp_group_care *care = group->care;
    if (care == NULL || (disconnected && care->policy.keep_on_leave)) {
        return 0;
    }
    struct sp_op_positions list = sp_op_positions_of(group);
    size_t start = to->len;
    size_t used_up = 0;
    size_t released = 0;
    uint64_t due_before_ms = 0;
    struct sp_rows_at at = sp_rows_first();
    sp_op_begin(to, SP_OP_RELEASE, group);
    for (const uint64_t *position = sp_rows_get(&found->entries, at); position != NULL;
         position = sp_rows_get(&found->entries, at)) {
        const struct sp_pending *row = sp_pending_find(group, *position);
        if (row->count < care->policy.deliveries_max) {
            put_release(&list, to, row->position, now_ms, due_before_ms);
            due_before_ms = now_ms;
            released++;
        } else if (used_up < max) {
            ret_bury[used_up++] = *row;
        }
        at = sp_rows_next(&found->entries, at);
    }
    sp_buf_add_byte(to, 0);
    to->len = released > 0 ? to->len : start;
    return used_up;
}

/* ---- time ---- */

uint64_t sp_groups_next(const struct sp_groups *groups) {
    const struct sp_heap_item *item = sp_heap_top(&groups->waking);
    return item != NULL ? item->at : 0;
}

/* True where entries became due, or free, that nobody was told of. */
static bool has_news(const struct sp_group_care *care, uint64_t now_ms) {
    const uint64_t untold[2] = {care->told_ms + 1, 0};
    const uint64_t *due = sp_rows_get(&care->waiting, sp_rows_seek(&care->waiting, untold));
    return care->nudge || (due != NULL && due[0] <= now_ms);
}

static size_t list_overdue(const struct sp_group *group, uint64_t now_ms, struct sp_group_due *ret,
                           size_t max) {
    const struct sp_rows *deadlines = &group->care->deadlines;
    struct sp_rows_at at = sp_rows_first();
    size_t count = 0;
    for (const uint64_t *row = sp_rows_get(deadlines, at);
         row != NULL && count < max && row[0] + group->care->policy.ack_wait_ms <= now_ms;
         row = sp_rows_get(deadlines, at)) {
        ret[count++] = (struct sp_group_due){.group = group, .position = row[1]};
        at = sp_rows_next(deadlines, at);
    }
    return count;
}

size_t sp_groups_due(struct sp_groups *groups, uint64_t now_ms, struct sp_group_due *ret,
                     size_t max) {
    size_t count = 0;
    struct sp_heap_item *item = sp_heap_top(&groups->waking);
    while (item != NULL && item->at <= now_ms && count < max) {
        struct sp_group *group = (struct sp_group *)item;
        if (has_news(group->care, now_ms)) {
            ret[count++] = (struct sp_group_due){.group = group};
        }
        group->care->told_ms = now_ms > group->care->told_ms ? now_ms : group->care->told_ms;
        group->care->nudge = false;
        count += list_overdue(group, now_ms, ret + count, max - count);
        /* What is listed and not settled comes again, but the other groups have their turn. */
        sp_status status = sp_group_set_wake(groups, group, now_ms + 1);
        sp_ensure(status == SP_OK); /* it is in the heap */
        item = sp_heap_top(&groups->waking);
    }
    return count;
}

void sp_groups_set_back(struct sp_groups *groups, uint64_t now_ms) {
    for (uint32_t i = 0; i < groups->count; i++) {
        struct sp_group *group = groups->list[i];
        if (group->care != NULL && group->care->told_ms > now_ms) {
            group->care->told_ms = now_ms;
            sp_status status = sp_group_set_wake(groups, group, 0);
            (void)status; /* without memory it is told of with the group's next change */
        }
    }
}
