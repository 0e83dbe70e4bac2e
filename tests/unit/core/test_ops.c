/*
 * Ops come from the disk: whatever their bytes are, folding says yes or no and breaks nothing, and
 * where it says yes the state can be stored and restored. A story with every kind of op is told,
 * and each of its records is cut short and changed bit by bit.
 */
#include "group_help.h"

#include <stdlib.h>

#include "core/control.h"

enum { BYTES_MAX = 1 << 20, RECORDS_MAX = 200 };

static struct help_core help;
static struct help_append append;

static int begin(void **state) {
    (void)state;
    help_core_init(&help);
    return 0;
}

static int end(void **state) {
    (void)state;
    help_core_fini(&help);
    return 0;
}

/* ---- a story with every kind of op ---- */

static void tell_views(void) {
    struct sp_view_trim exact = {.node = 0};
    const uint64_t versions[] = {7, 9, 12};
    struct sp_entry_id id = {.ms = 900, .seq = 1};
    for (int i = 0; i < 20; i++) {
        (void)help_put(&help.core, &append, "s", 1000);
    }
    (void)sp_view_trim_to_length(&help.core.views, SP_STR("s"), 17, &exact, &help.ops);
    help_fold(&help);
    (void)sp_view_hide(&help.core.views, SP_STR("s"), versions, 3, id, &help.ops);
    help_fold(&help);
    (void)sp_view_expire(&help.core.views, SP_STR("s"), 5000, &help.ops);
    help_fold(&help);
    sp_view_set(&help.core.views, SP_STR("s"), id, NULL, NULL, &help.ops);
    help_fold(&help);
    (void)sp_view_make(&help.core.views, SP_STR("t"), &help.ops);
    help_fold(&help);
    assert_int_equal(sp_view_rename(&help.core.views, SP_STR("s"), SP_STR("t"), &help.ops, NULL),
                     SP_OK);
    help_fold(&help);
}

static void tell_plain_group(void) {
    uint32_t ann;
    uint32_t bob;
    struct sp_group_given given[4];
    size_t count;
    const uint64_t gone[] = {4};
    (void)help_group(&help, "plain");
    ann = help_consumer(&help, "plain", "ann", 10);
    bob = help_consumer(&help, "plain", "bob", 11);
    sp_consumer_seen(help_group_again(&help, "plain"), bob, 12, &help.ops);
    help_fold(&help);
    assert_int_equal(help_deliver(&help, "plain", ann, 8, 6, 20), 6);
    assert_int_equal(help_ack(&help, "plain", 2), 1);
    struct sp_group_claim claim = {.consumer = bob, .now_ms = 40, .time_ms = 35};
    const struct sp_group_claim_id ids[] = {{.id = help_id(3)}, {.id = help_id(8), .position = 8}};
    assert_int_equal(sp_group_claim(&help.core.groups, help_group_again(&help, "plain"), &claim,
                                    ids, 2, given, &count, &help.ops, NULL),
                     SP_OK);
    assert_int_equal(count, 2);
    help_fold(&help);
    assert_int_equal(sp_group_forget(help_group_again(&help, "plain"), gone, 1, &help.ops), 1);
    help_fold(&help);
    uint64_t pending;
    assert_int_equal(
        sp_consumer_drop(help_group_again(&help, "plain"), ann, &pending, &help.ops, NULL), SP_OK);
    help_fold(&help);
    assert_int_equal(pending, 3);
}

static void tell_failures(uint32_t ann) {
    struct sp_group_given given[4];
    const uint64_t mine[] = {1, 2};
    const struct sp_entry_id ids[] = {help_id(2), help_id(1)};
    const struct sp_group_extension longer = {.now_ms = 25, .has_ms = true, .ms = 90000};
    assert_int_equal(
        sp_group_extend(help_group_again(&help, "careful"), ids, 2, &longer, &help.ops), 2);
    help_fold(&help);
    struct sp_group_failure failure = {.position = 1, .now_ms = 60};
    assert_int_equal(
        sp_group_reread(help_group_again(&help, "careful"), ann, 30, mine, 2, &help.ops), 2);
    help_fold(&help);
    assert_int_equal(sp_group_fail(help_group_again(&help, "careful"), &failure, &help.ops).what,
                     SP_FAIL_RETRY);
    help_fold(&help);
    assert_int_equal(
        sp_group_again(help_group_again(&help, "careful"), ann, 99, given, 4, &help.ops), 1);
    help_fold(&help);
    for (uint64_t i = 1; i <= 2; i++) {
        assert_true(sp_group_bury(help_group_again(&help, "careful"), i, SP_DEAD_REFUSED, 77, 70,
                                  &help.ops));
        help_fold(&help);
    }
    assert_int_equal(sp_group_redrive(&help.core.groups, help_group_again(&help, "careful"), NULL,
                                      1, 80, &help.ops),
                     1);
    help_fold(&help);
    assert_int_equal(sp_group_discard(help_group_again(&help, "careful"), NULL, 5, &help.ops), 1);
    help_fold(&help);
}

static void tell_careful_group(void) {
    struct sp_group_policy policy = sp_group_policy_default();
    struct sp_group_cursor cursor = {.position = 30, .version = 3, .id = {.ms = 9, .seq = 9}};
    policy.type = SP_STR("a.*");
    policy.filter = SP_STR("{\"data.x\": 1}");
    policy.order_by = SP_GROUP_ORDER_SOURCE;
    policy.backoff_first_ms = 10;
    policy.backoff_jitter_milli = 0;
    (void)help_group(&help, "careful");
    help_policy(&help, "careful", &policy);
    uint32_t ann = help_consumer(&help, "careful", "ann", 10);
    assert_int_equal(help_deliver(&help, "careful", ann, 9, 9, 20), 3); /* a key each */
    tell_failures(ann);
    sp_group_move(help_group_again(&help, "careful"), &cursor, &help.ops);
    help_fold(&help);
    (void)help_group(&help, "short");
    help_policy(&help, "short", &policy);
    assert_int_equal(sp_group_clear_policy(help_group_again(&help, "short"), &help.ops, NULL),
                     SP_OK);
    help_fold(&help);
    const struct sp_group *group = help_group_again(&help, "short");
    assert_int_equal(sp_group_rekey(&help.core.groups, group, SP_STR("elsewhere"), &help.ops, NULL),
                     SP_OK);
    help_fold(&help);
    group = sp_group_find(&help.core.groups, SP_STR("elsewhere"), SP_STR("short"));
    assert_non_null(group);
    sp_group_drop(group, &help.ops);
    help_fold(&help);
}

static void tell_story(void) {
    tell_views();
    tell_plain_group();
    tell_careful_group();
}

/* ---- changing it ---- */

static void encode(const struct sp_core *core, struct sp_buf *bytes) {
    struct sp_core_snapshot *snapshot = sp_core_snapshot_new(core);
    assert_non_null(snapshot);
    sp_buf_init(bytes, BYTES_MAX);
    sp_core_snapshot_encode(snapshot, bytes);
    sp_core_snapshot_free(snapshot);
    assert_int_equal(bytes->status, SP_OK);
}

/* Folds bytes into a core as it was; what was taken can be stored and comes back. */
static sp_status try_ops(sp_str before, sp_str ops) {
    struct sp_core core;
    sp_core_init(&core);
    assert_int_equal(sp_core_restore(&core, before, NULL), SP_OK);
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_core_control(&core, core.control_number + 1, ops, &error);
    assert_true(status == SP_OK || status == SP_CORRUPT || status == SP_LIMIT);
    if (status == SP_OK) {
        struct sp_buf bytes;
        struct sp_core restored;
        encode(&core, &bytes);
        sp_core_init(&restored);
        assert_int_equal(sp_core_restore(&restored, sp_buf_str(&bytes), NULL), SP_OK);
        assert_int_equal(sp_core_hash(&restored), sp_core_hash(&core));
        sp_core_fini(&restored);
        sp_buf_fini(&bytes);
    } else {
        assert_true(error.text[0] != '\0');
    }
    sp_core_fini(&core);
    return status;
}

/* A core with the story's events, to fold its ops into one record after another. */
static void init_with_events(struct sp_core *core) {
    sp_core_init(core);
    for (int i = 0; i < 20; i++) {
        (void)help_put(core, &append, "s", 1000);
    }
}

typedef void change_fn(sp_str before, sp_str ops);

static void for_each_record(change_fn *change) {
    struct sp_core core;
    struct sp_wire wire = sp_wire_of(help.record.data, help.record.len);
    init_with_events(&core);
    while (sp_wire_left(&wire) > 0) {
        struct sp_buf before;
        uint32_t len = sp_wire_u32(&wire);
        sp_str ops = sp_wire_bytes(&wire, len);
        encode(&core, &before);
        change(sp_buf_str(&before), ops);
        sp_buf_fini(&before);
        assert_int_equal(sp_core_control(&core, core.control_number + 1, ops, NULL), SP_OK);
    }
    assert_int_equal(sp_core_hash(&core), sp_core_hash(&help.core));
    sp_core_fini(&core);
}

static void cut_short(sp_str before, sp_str ops) {
    for (size_t len = 1; len < ops.len; len++) {
        /* Two ops may stand in one record: the first alone is whole. */
        sp_status status = try_ops(before, sp_str_of(ops.ptr, len));
        assert_true(status == SP_CORRUPT || (status == SP_OK && ops.len > len + 3));
    }
    assert_int_equal(try_ops(before, ops), SP_OK);
}

static void flip_bits(sp_str before, sp_str ops) {
    uint8_t changed[512];
    assert_true(ops.len <= sizeof(changed));
    for (size_t bit = 0; bit < ops.len * 8; bit++) {
        memcpy(changed, ops.ptr, ops.len);
        changed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        (void)try_ops(before, sp_str_of(changed, ops.len));
    }
}

static void change_bytes(sp_str before, sp_str ops) {
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
    uint8_t changed[512];
    for (size_t i = 0; i < ops.len; i++) {
        for (size_t j = 0; j < sizeof(values); j++) {
            memcpy(changed, ops.ptr, ops.len);
            changed[i] = values[j];
            (void)try_ops(before, sp_str_of(changed, ops.len));
        }
    }
}

/* What was folded once does not fold again, unless it says the same once more. */
static void fold_twice(sp_str before, sp_str ops) {
    uint8_t twice[1024];
    memcpy(twice, ops.ptr, ops.len);
    memcpy(twice + ops.len, ops.ptr, ops.len);
    sp_status status = try_ops(before, sp_str_of(twice, ops.len * 2));
    switch (ops.ptr[0]) {
    case SP_OP_VIEW_SET:
    case SP_OP_VIEW_EXPIRE:
    case SP_OP_GROUP_MOVE:
    case SP_OP_GROUP_POLICY:
    case SP_OP_CONSUMER_SEEN:
    case SP_OP_DELIVER: /* the cursor went on: positions are told from there */
    case SP_OP_AGAIN:
    case SP_OP_EXTEND:
        break;
    default:
        assert_int_equal(status, SP_CORRUPT);
    }
}

static void test_ops_cut_short_are_refused(void **state) {
    (void)state;
    tell_story();
    for_each_record(cut_short);
}

static void test_changed_ops_break_nothing(void **state) {
    (void)state;
    tell_story();
    for_each_record(flip_bits);
    for_each_record(change_bytes);
}

static void test_ops_do_not_fold_twice(void **state) {
    (void)state;
    tell_story();
    for_each_record(fold_twice);
}

static void test_random_bytes_break_nothing(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(6);
    struct sp_buf before;
    tell_story();
    encode(&help.core, &before);
    for (int i = 0; i < 20000; i++) {
        static const uint8_t kinds[] = {1,  2,  3,  4,  5,  6,  7,  20, 21, 22, 23, 24, 30,
                                        31, 32, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49};
        uint8_t ops[40];
        size_t len = 1 + sp_prng_below(&prng, sizeof(ops) - 1);
        for (size_t j = 0; j < len; j++) {
            ops[j] = (uint8_t)sp_prng_below(&prng, sp_prng_below(&prng, 4) == 0 ? 256 : 6);
        }
        ops[0] = kinds[sp_prng_below(&prng, sizeof(kinds))];
        (void)try_ops(sp_buf_str(&before), sp_str_of(ops, len));
    }
    sp_buf_fini(&before);
}

/* Numbers are dense: neither one left out nor one twice. */
static void test_records_follow_one_another(void **state) {
    (void)state;
    struct sp_core core;
    const char make[] = {SP_OP_VIEW_MAKE, 1, 'x'};
    sp_core_init(&core);
    assert_int_equal(sp_core_control(&core, 2, sp_str_of(make, 3), &help.error), SP_CORRUPT);
    assert_int_equal(sp_core_control(&core, 1, sp_str_of(make, 3), &help.error), SP_OK);
    assert_int_equal(sp_core_control(&core, 1, sp_str_of(make, 3), &help.error), SP_CORRUPT);
    assert_int_equal(core.control_number, 1);
    assert_int_equal(sp_core_control_next(&core), 2);
    sp_core_fini(&core);
}

/* Every cut and every changed byte of a snapshot with views and groups. */
static void test_changed_snapshots_break_nothing(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(8);
    struct sp_buf bytes;
    tell_story();
    encode(&help.core, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        struct sp_core core;
        sp_core_init(&core);
        assert_int_equal(sp_core_restore(&core, sp_str_of(bytes.data, len), NULL), SP_CORRUPT);
        sp_core_fini(&core);
    }
    for (int i = 0; i < 20000; i++) {
        struct sp_core core;
        size_t at = 28 + sp_prng_below(&prng, (uint32_t)bytes.len - 28);
        uint8_t was = bytes.data[at];
        bytes.data[at] = (uint8_t)sp_prng_next(&prng);
        sp_core_init(&core);
        sp_status status = sp_core_restore(&core, sp_buf_str(&bytes), NULL);
        assert_true(status == SP_OK || status == SP_CORRUPT || status == SP_LIMIT);
        sp_core_fini(&core);
        bytes.data[at] = was;
    }
    sp_buf_fini(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ops_cut_short_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_changed_ops_break_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_ops_do_not_fold_twice, begin, end),
        cmocka_unit_test_setup_teardown(test_random_bytes_break_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_records_follow_one_another, begin, end),
        cmocka_unit_test_setup_teardown(test_changed_snapshots_break_nothing, begin, end),
    };
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
