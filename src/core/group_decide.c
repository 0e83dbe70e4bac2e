/*
 * Decisions on groups, their policies and their consumers.
 */
#include "core/bytes.h"
#include "core/groups_int.h"

struct sp_group_policy sp_group_policy_default(void) {
    return (struct sp_group_policy){
        .ack_wait_ms = 30000,
        .deliveries_max = 5,
        .backoff_first_ms = 1000,
        .backoff_max_ms = 60000,
        .backoff_factor_milli = 2000,
        .backoff_jitter_milli = 200,
        .order_by = SP_GROUP_ORDER_NONE,
    };
}

const char *sp_group_policy_fault(const struct sp_group_policy *policy) {
    if (policy->type.len > SP_GROUP_TYPE_BYTES_MAX) {
        return "the type pattern is longer than 1024 bytes";
    }
    if (policy->filter.len > SP_GROUP_FILTER_BYTES_MAX) {
        return "the filter is longer than 65536 bytes";
    }
    if (policy->ack_wait_ms == 0 || policy->ack_wait_ms > SP_GROUP_TIME_MS_MAX) {
        return "ack-wait must be between 1 ms and 3 years";
    }
    if (policy->deliveries_max == 0) {
        return "max-deliveries must be at least 1";
    }
    if (policy->backoff_max_ms > SP_GROUP_TIME_MS_MAX) {
        return "backoff must be at most 3 years";
    }
    if (policy->backoff_first_ms > policy->backoff_max_ms) {
        return "backoff must not begin above its maximum";
    }
    if (policy->backoff_factor_milli < 1000 || policy->backoff_factor_milli > 1000000) {
        return "the factor of backoff must be between 1 and 1000";
    }
    if (policy->backoff_jitter_milli > 1000) {
        return "the jitter of backoff must be between 0 and 1";
    }
    switch (policy->order_by) {
    case SP_GROUP_ORDER_NONE:
    case SP_GROUP_ORDER_STREAM:
    case SP_GROUP_ORDER_SOURCE:
    case SP_GROUP_ORDER_CORRELATION:
        return NULL;
    }
    return "order-by must be none, stream, source or correlation";
}

/* ---- groups ---- */

static void add_cursor(struct sp_buf *to, const struct sp_group_cursor *cursor) {
    sp_add_number(to, cursor->position);
    sp_add_number(to, cursor->version);
    sp_add_id(to, cursor->id);
}

sp_status sp_group_make(const struct sp_groups *groups, sp_str key, sp_str name,
                        const struct sp_group_cursor *cursor, struct sp_buf *to,
                        struct sp_error *error) {
    if (key.len > SP_GROUP_KEY_BYTES_MAX) {
        return sp_error_set(error, SP_INVALID, "the key is longer than %d bytes",
                            SP_GROUP_KEY_BYTES_MAX);
    }
    if (name.len > SP_GROUP_NAME_BYTES_MAX) {
        return sp_error_set(error, SP_INVALID, "the name of the group is longer than %d bytes",
                            SP_GROUP_NAME_BYTES_MAX);
    }
    if (sp_group_find(groups, key, name) != NULL) {
        return sp_error_set(error, SP_CONFLICT, "there is a group of this name already");
    }
    if (groups->count >= SP_GROUPS_MAX) {
        return sp_error_set(error, SP_LIMIT, "there are %d groups, and no more can be made",
                            SP_GROUPS_MAX);
    }
    sp_buf_add_byte(to, SP_OP_GROUP_MAKE);
    sp_add_number(to, groups->last_number + 1);
    sp_add_text(to, key);
    sp_add_text(to, name);
    add_cursor(to, cursor);
    return SP_OK;
}

void sp_group_drop(const struct sp_group *group, struct sp_buf *to) {
    sp_op_begin(to, SP_OP_GROUP_DROP, group);
}

void sp_group_move(const struct sp_group *group, const struct sp_group_cursor *cursor,
                   struct sp_buf *to) {
    sp_op_begin(to, SP_OP_GROUP_MOVE, group);
    add_cursor(to, cursor);
}

sp_status sp_group_set_policy(const struct sp_group *group, const struct sp_group_policy *policy,
                              struct sp_buf *to, struct sp_error *error) {
    const char *fault = sp_group_policy_fault(policy);
    if (fault != NULL) {
        return sp_error_set(error, SP_INVALID, "%s", fault);
    }
    const struct sp_group_care *care = group->care;
    if (care != NULL && care->parked.count > 0 && care->policy.order_by != policy->order_by) {
        return sp_error_set(error, SP_CONFLICT,
                            "order-by cannot change while %llu entries are parked",
                            (unsigned long long)care->parked.count);
    }
    sp_op_begin(to, SP_OP_GROUP_POLICY, group);
    sp_add_number(to, 1);
    sp_op_put_policy(to, policy);
    return SP_OK;
}

sp_status sp_group_clear_policy(const struct sp_group *group, struct sp_buf *to,
                                struct sp_error *error) {
    const struct sp_group_care *care = group->care;
    if (care == NULL) {
        return SP_OK;
    }
    if (care->waiting.count > 0 || care->parked.count > 0 || care->dead.count > 0) {
        return sp_error_set(error, SP_CONFLICT,
                            "the policy cannot be taken away while %llu entries wait, %llu are "
                            "parked and %llu are dead",
                            (unsigned long long)care->waiting.count,
                            (unsigned long long)care->parked.count,
                            (unsigned long long)care->dead.count);
    }
    sp_op_begin(to, SP_OP_GROUP_POLICY, group);
    sp_add_number(to, 0);
    return SP_OK;
}

sp_status sp_group_rekey(const struct sp_groups *groups, const struct sp_group *group, sp_str key,
                         struct sp_buf *to, struct sp_error *error) {
    if (key.len > SP_GROUP_KEY_BYTES_MAX) {
        return sp_error_set(error, SP_INVALID, "the key is longer than %d bytes",
                            SP_GROUP_KEY_BYTES_MAX);
    }
    if (sp_group_find(groups, key, sp_str_of(group->name, group->bytes)) != NULL) {
        return sp_error_set(error, SP_CONFLICT, "the key has a group of this name already");
    }
    sp_op_begin(to, SP_OP_GROUP_REKEY, group);
    sp_add_text(to, key);
    return SP_OK;
}

/* ---- consumers ---- */

/* The lowest number that is free. */
static uint32_t free_number(const struct sp_group *group) {
    uint32_t number = group->consumer_slots;
    if (group->consumer_count < group->consumer_slots) {
        number = 0;
        while (group->consumers[number] != NULL) {
            number++;
        }
    }
    return number;
}

sp_status sp_consumer_make(const struct sp_group *group, sp_str name, uint64_t now_ms,
                           struct sp_buf *to, uint32_t *ret_number, struct sp_error *error) {
    if (name.len > SP_GROUP_NAME_BYTES_MAX) {
        return sp_error_set(error, SP_INVALID, "the name of the consumer is longer than %d bytes",
                            SP_GROUP_NAME_BYTES_MAX);
    }
    if (sp_consumer_find(group, name) != SP_CONSUMER_NONE) {
        return sp_error_set(error, SP_CONFLICT, "there is a consumer of this name already");
    }
    if (group->consumer_count >= SP_GROUP_CONSUMERS_MAX) {
        return sp_error_set(error, SP_LIMIT, "the group has %d consumers, and no more can be made",
                            SP_GROUP_CONSUMERS_MAX);
    }
    uint32_t number = free_number(group);
    sp_op_begin(to, SP_OP_CONSUMER_MAKE, group);
    sp_add_number(to, number);
    sp_add_text(to, name);
    sp_add_number(to, now_ms);
    *ret_number = number;
    return SP_OK;
}

sp_status sp_consumer_drop(const struct sp_group *group, uint32_t consumer, uint64_t *ret_pending,
                           struct sp_buf *to, struct sp_error *error) {
    const struct sp_consumer *found = sp_consumer_at(group, consumer);
    sp_require(found != NULL);
    if (group->care != NULL && found->entries.count > 0) {
        return sp_error_set(error, SP_CONFLICT, "the consumer has %llu entries in flight",
                            (unsigned long long)found->entries.count);
    }
    *ret_pending = found->entries.count;
    sp_op_begin(to, SP_OP_CONSUMER_DROP, group);
    sp_add_number(to, consumer);
    return SP_OK;
}

void sp_consumer_seen(const struct sp_group *group, uint32_t consumer, uint64_t now_ms,
                      struct sp_buf *to) {
    const struct sp_consumer *found = sp_consumer_at(group, consumer);
    sp_require(found != NULL);
    if (found->seen_ms != now_ms) {
        sp_op_begin(to, SP_OP_CONSUMER_SEEN, group);
        sp_add_number(to, consumer);
        sp_add_number(to, now_ms);
    }
}
