/*
 * The options of a group's policy: one table of names, with how each is read and shown. pure
 *
 *     type            a pattern of event types; empty: every type
 *     filter          a filter on the content (docs/filters.md); empty: none
 *     ack-wait        how long an attempt may take: 30s
 *     max-deliveries  attempts before an entry is dead: 5
 *     backoff         how long it waits between attempts: 1s..60s x2 jitter 0.2
 *     order-by        none, stream, source or correlation: never two of one at a time
 *     max-in-flight   entries in flight at most; 0: no limit
 *     on-leave        return or keep: what becomes of the entries of a consumer that disconnects
 */
#ifndef SP_SERVER_POLICY_OPTIONS_H
#define SP_SERVER_POLICY_OPTIONS_H

#include "core/groups.h"

enum sp_policy_option {
    SP_POLICY_TYPE = 0,
    SP_POLICY_FILTER,
    SP_POLICY_ACK_WAIT,
    SP_POLICY_MAX_DELIVERIES,
    SP_POLICY_BACKOFF,
    SP_POLICY_ORDER_BY,
    SP_POLICY_MAX_IN_FLIGHT,
    SP_POLICY_ON_LEAVE,
    SP_POLICY_OPTIONS,
};

/* Static storage. */
const char *sp_policy_option_name(enum sp_policy_option option);

/* SP_POLICY_OPTIONS where there is none of this name; case does not count. */
enum sp_policy_option sp_policy_option_find(sp_str name);

/*
 * Sets one option. Texts are borrowed, and checked: patterns and filters as well. SP_INVALID names
 * the option and what was expected; the policy is as it was then.
 */
SP_WARN_UNUSED sp_status sp_policy_option_set(struct sp_group_policy *policy,
                                              enum sp_policy_option option, sp_str value,
                                              struct sp_error *error);

/* Appends the option's value, in the words that set it. */
void sp_policy_option_format(const struct sp_group_policy *policy, enum sp_policy_option option,
                             struct sp_buf *to);

#endif
