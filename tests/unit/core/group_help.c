#include "group_help.h"

#include <stdio.h>
#include <stdlib.h>

enum { OPS_MAX = 1 << 24, RECORD_MAX = 1 << 28, OFFER_MAX = 4096 };

void help_core_init(struct help_core *help) {
    sp_core_init(&help->core);
    sp_buf_init(&help->ops, OPS_MAX);
    sp_buf_init(&help->record, RECORD_MAX);
    sp_error_clear(&help->error);
}

void help_core_fini(struct help_core *help) {
    sp_core_fini(&help->core);
    sp_buf_fini(&help->ops);
    sp_buf_fini(&help->record);
}

void help_fold(struct help_core *help) {
    uint8_t len[4];
    assert_int_equal(help->ops.status, SP_OK);
    if (help->ops.len == 0) {
        return;
    }
    assert_int_equal(sp_core_fold(&help->core, sp_buf_str(&help->ops)), SP_OK);
    (void)sp_core_control_next(&help->core);
    sp_put_u32(len, (uint32_t)help->ops.len);
    sp_buf_add(&help->record, len, sizeof(len));
    sp_buf_add_str(&help->record, sp_buf_str(&help->ops));
    assert_int_equal(help->record.status, SP_OK);
    sp_buf_reset(&help->ops);
}

void help_replay_ops(const struct help_core *help, struct sp_core *core) {
    struct sp_wire wire = sp_wire_of(help->record.data, help->record.len);
    struct sp_error error;
    for (uint64_t number = 1; sp_wire_left(&wire) > 0; number++) {
        uint32_t len = sp_wire_u32(&wire);
        assert_int_equal(sp_core_control(core, number, sp_wire_bytes(&wire, len), &error), SP_OK);
    }
}

void help_reopen(struct help_core *help) {
    uint64_t hash = sp_core_hash(&help->core);
    struct sp_core_snapshot *snapshot = sp_core_snapshot_new(&help->core);
    struct sp_buf bytes;
    assert_non_null(snapshot);
    sp_buf_init(&bytes, RECORD_MAX);
    sp_core_snapshot_encode(snapshot, &bytes);
    sp_core_snapshot_free(snapshot);
    sp_core_fini(&help->core);
    sp_core_init(&help->core);
    assert_int_equal(sp_core_restore(&help->core, sp_buf_str(&bytes), &help->error), SP_OK);
    sp_buf_fini(&bytes);
    assert_int_equal(sp_core_hash(&help->core), hash);
}

void help_expect_replay(const struct help_core *help) {
    struct sp_core replayed;
    sp_core_init(&replayed);
    help_replay_ops(help, &replayed);
    assert_int_equal(sp_core_hash(&replayed), sp_core_hash(&help->core));
    sp_core_fini(&replayed);
}

const struct sp_group *help_group_again(const struct help_core *help, const char *name) {
    const struct sp_group *group =
        sp_group_find(&help->core.groups, SP_STR("k"), sp_str_from(name));
    assert_non_null(group);
    return group;
}

const struct sp_group *help_group(struct help_core *help, const char *name) {
    struct sp_group_cursor start = {.position = 0};
    assert_int_equal(sp_group_make(&help->core.groups, SP_STR("k"), sp_str_from(name), &start,
                                   &help->ops, &help->error),
                     SP_OK);
    help_fold(help);
    return help_group_again(help, name);
}

uint32_t help_consumer(struct help_core *help, const char *group, const char *name,
                       uint64_t now_ms) {
    uint32_t number;
    assert_int_equal(sp_consumer_make(help_group_again(help, group), sp_str_from(name), now_ms,
                                      &help->ops, &number, &help->error),
                     SP_OK);
    help_fold(help);
    return number;
}

void help_policy(struct help_core *help, const char *group, const struct sp_group_policy *policy) {
    assert_int_equal(
        sp_group_set_policy(help_group_again(help, group), policy, &help->ops, &help->error),
        SP_OK);
    help_fold(help);
}

uint32_t help_deliver(struct help_core *help, const char *name, uint32_t consumer, uint64_t until,
                      uint32_t wanted, uint64_t now_ms) {
    static struct sp_group_entry entries[OFFER_MAX];
    static uint8_t what[OFFER_MAX];
    const struct sp_group *group = help_group_again(help, name);
    struct sp_group_facts facts = sp_group_get(group);
    bool ordered = facts.has_policy && facts.policy.order_by != SP_GROUP_ORDER_NONE;
    struct sp_group_offer offer = {
        .consumer = consumer, .now_ms = now_ms, .entries = entries, .wanted = wanted};
    struct sp_group_offered offered;
    for (uint64_t position = facts.cursor.position + 1; position <= until; position++) {
        assert_true(offer.entry_count < OFFER_MAX);
        entries[offer.entry_count++] =
            (struct sp_group_entry){.position = position,
                                    .version = position,
                                    .id = help_id(position),
                                    .key = ordered ? 1 + (uint32_t)(position % 3) : 0};
    }
    offer.until =
        (struct sp_group_cursor){.position = until, .version = until, .id = help_id(until)};
    assert_int_equal(
        sp_group_offer(&help->core.groups, group, &offer, what, &offered, &help->ops, &help->error),
        SP_OK);
    help_fold(help);
    return offered.delivered;
}

size_t help_ack(struct help_core *help, const char *group, uint64_t position) {
    struct sp_entry_id id = help_id(position);
    size_t count = sp_group_ack(help_group_again(help, group), &id, 1, &help->ops);
    help_fold(help);
    return count;
}
