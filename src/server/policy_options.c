#include "server/policy_options.h"

#include "match/filter.h"
#include "match/pattern.h"
#include "proto/policy_text.h"

static const char *const NAMES[SP_POLICY_OPTIONS] = {
    [SP_POLICY_TYPE] = "type",
    [SP_POLICY_FILTER] = "filter",
    [SP_POLICY_ACK_WAIT] = "ack-wait",
    [SP_POLICY_MAX_DELIVERIES] = "max-deliveries",
    [SP_POLICY_BACKOFF] = "backoff",
    [SP_POLICY_ORDER_BY] = "order-by",
    [SP_POLICY_MAX_IN_FLIGHT] = "max-in-flight",
    [SP_POLICY_ON_LEAVE] = "on-leave",
};

static const char *const ORDERS[] = {
    [SP_GROUP_ORDER_NONE] = "none",
    [SP_GROUP_ORDER_STREAM] = "stream",
    [SP_GROUP_ORDER_SOURCE] = "source",
    [SP_GROUP_ORDER_CORRELATION] = "correlation",
};

enum { ORDER_COUNT = sizeof(ORDERS) / sizeof(*ORDERS) };

const char *sp_policy_option_name(enum sp_policy_option option) {
    sp_require(option < SP_POLICY_OPTIONS);
    return NAMES[option];
}

/* ASCII case does not count; `word` is lower case. */
static bool is_word(sp_str text, const char *word) {
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];
        byte = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
        if (byte != word[i]) { /* a NUL ends the comparison: no word has one */
            return false;
        }
    }
    return word[text.len] == '\0';
}

enum sp_policy_option sp_policy_option_find(sp_str name) {
    unsigned i = 0;
    while (i < SP_POLICY_OPTIONS && !is_word(name, NAMES[i])) {
        i++;
    }
    return (enum sp_policy_option)i;
}

/* ---- reading --------------------------------------------------------------------------------- */

static sp_status set_type(struct sp_group_policy *policy, sp_str value, struct sp_error *error) {
    sp_status status = value.len == 0 ? SP_OK : sp_pattern_check(value, error);
    if (status == SP_OK) {
        policy->type = value;
    }
    return status;
}

static sp_status set_filter(struct sp_group_policy *policy, sp_str value, struct sp_error *error) {
    struct sp_filter *filter = NULL;
    sp_status status = value.len == 0 ? SP_OK : sp_filter_compile(value, &filter, error);
    sp_filter_free(filter);
    if (status == SP_OK) {
        policy->filter = value;
    }
    return status;
}

static sp_status read_time(sp_str value, uint64_t least_ms, uint64_t *ret_ms,
                           struct sp_error *error) {
    uint64_t ms = 0;
    sp_status status = sp_delay_parse(value, &ms, error);
    if (status == SP_OK && (ms < least_ms || ms > SP_GROUP_TIME_MS_MAX)) {
        return sp_error_set(error, SP_INVALID, "'%.*s' is not from %llums to three years",
                            SP_STR_ARG(value), (unsigned long long)least_ms);
    }
    *ret_ms = status == SP_OK ? ms : *ret_ms;
    return status;
}

static sp_status set_backoff(struct sp_group_policy *policy, sp_str value, struct sp_error *error) {
    struct sp_backoff backoff;
    sp_status status = sp_backoff_parse(value, &backoff, error);
    if (status != SP_OK) {
        return status;
    }
    if (backoff.max_ms > SP_GROUP_TIME_MS_MAX) {
        return sp_error_set(error, SP_INVALID, "'%.*s' is longer than three years",
                            SP_STR_ARG(value));
    }
    policy->backoff_first_ms = backoff.first_ms;
    policy->backoff_max_ms = backoff.max_ms;
    policy->backoff_factor_milli = backoff.factor_milli;
    policy->backoff_jitter_milli = backoff.jitter_milli;
    return SP_OK;
}

static sp_status set_order(struct sp_group_policy *policy, sp_str value, struct sp_error *error) {
    unsigned i = 0;
    while (i < ORDER_COUNT && !is_word(value, ORDERS[i])) {
        i++;
    }
    if (i == ORDER_COUNT) {
        return sp_error_set(error, SP_INVALID,
                            "'%.*s' is none of: none, stream, source, correlation",
                            SP_STR_ARG(value));
    }
    policy->order_by = (enum sp_group_order)i;
    return SP_OK;
}

static sp_status set_leave(struct sp_group_policy *policy, sp_str value, struct sp_error *error) {
    bool keep = is_word(value, "keep");
    if (!keep && !is_word(value, "return")) {
        return sp_error_set(error, SP_INVALID, "'%.*s' is neither return nor keep",
                            SP_STR_ARG(value));
    }
    policy->keep_on_leave = keep;
    return SP_OK;
}

static sp_status set(struct sp_group_policy *policy, enum sp_policy_option option, sp_str value,
                     struct sp_error *error) {
    switch (option) {
    case SP_POLICY_TYPE:
        return set_type(policy, value, error);
    case SP_POLICY_FILTER:
        return set_filter(policy, value, error);
    case SP_POLICY_ACK_WAIT:
        return read_time(value, 1, &policy->ack_wait_ms, error);
    case SP_POLICY_MAX_DELIVERIES:
        return sp_count_parse(value, 1, UINT32_MAX, &policy->deliveries_max, error);
    case SP_POLICY_BACKOFF:
        return set_backoff(policy, value, error);
    case SP_POLICY_ORDER_BY:
        return set_order(policy, value, error);
    case SP_POLICY_MAX_IN_FLIGHT:
        return sp_count_parse(value, 0, UINT32_MAX, &policy->in_flight_max, error);
    case SP_POLICY_ON_LEAVE:
        return set_leave(policy, value, error);
    case SP_POLICY_OPTIONS:
        break;
    }
    sp_never();
}

sp_status sp_policy_option_set(struct sp_group_policy *policy, enum sp_policy_option option,
                               sp_str value, struct sp_error *error) {
    sp_status status = set(policy, option, value, error);
    return status == SP_OK ? SP_OK : sp_error_prefix(error, status, "%s", NAMES[option]);
}

/* ---- showing --------------------------------------------------------------------------------- */

static void format_backoff(const struct sp_group_policy *policy, struct sp_buf *to) {
    struct sp_backoff backoff = {.first_ms = policy->backoff_first_ms,
                                 .max_ms = policy->backoff_max_ms,
                                 .factor_milli = policy->backoff_factor_milli,
                                 .jitter_milli = policy->backoff_jitter_milli};
    sp_backoff_format(&backoff, to);
}

void sp_policy_option_format(const struct sp_group_policy *policy, enum sp_policy_option option,
                             struct sp_buf *to) {
    switch (option) {
    case SP_POLICY_TYPE:
        sp_buf_add_str(to, policy->type);
        return;
    case SP_POLICY_FILTER:
        sp_buf_add_str(to, policy->filter);
        return;
    case SP_POLICY_ACK_WAIT:
        sp_delay_format(policy->ack_wait_ms, to);
        return;
    case SP_POLICY_MAX_DELIVERIES:
        sp_buf_add_u64(to, policy->deliveries_max);
        return;
    case SP_POLICY_BACKOFF:
        format_backoff(policy, to);
        return;
    case SP_POLICY_ORDER_BY:
        sp_buf_add_str(to, sp_str_from(ORDERS[policy->order_by]));
        return;
    case SP_POLICY_MAX_IN_FLIGHT:
        sp_buf_add_u64(to, policy->in_flight_max);
        return;
    case SP_POLICY_ON_LEAVE:
        sp_buf_add_str(to, policy->keep_on_leave ? SP_STR("keep") : SP_STR("return"));
        return;
    case SP_POLICY_OPTIONS:
        break;
    }
    sp_never();
}
