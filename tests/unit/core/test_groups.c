/*
 * Groups: tables of groups and consumers, what is refused and how it is said, limits, backoff, and
 * what an entry costs in bytes of the log.
 */
#include "group_help.h"

#include <stdio.h>
#include <stdlib.h>

static struct help_core help;

static int begin(void **state) {
    (void)state;
    help_core_init(&help);
    return 0;
}

static int end(void **state) {
    (void)state;
    help_expect_replay(&help);
    help_reopen(&help);
    help_core_fini(&help);
    return 0;
}

static sp_status make(const char *key, const char *name) {
    struct sp_group_cursor start = {.position = 5, .version = 2, .id = {.ms = 9, .seq = 1}};
    sp_status status = sp_group_make(&help.core.groups, sp_str_from(key), sp_str_from(name), &start,
                                     &help.ops, &help.error);
    help_fold(&help);
    return status;
}

static const struct sp_group *find(const char *key, const char *name) {
    return sp_group_find(&help.core.groups, sp_str_from(key), sp_str_from(name));
}

/* ---- which groups there are ---- */

static void test_groups_are_found_by_key_and_name(void **state) {
    (void)state;
    assert_int_equal(make("$all", "b"), SP_OK);
    assert_int_equal(make("$all", "a"), SP_OK);
    assert_int_equal(make("s", "a"), SP_OK);
    assert_int_equal(make("s", "a"), SP_CONFLICT);
    assert_non_null(strstr(help.error.text, "already"));
    assert_null(find("s", "b"));
    assert_null(find("t", "a"));
    const struct sp_group *first = sp_group_of_key(&help.core.groups, SP_STR("$all"), 0);
    assert_true(sp_str_eq(sp_group_get(first).name, SP_STR("a"))); /* by name */
    assert_null(sp_group_of_key(&help.core.groups, SP_STR("$all"), 2));
    assert_int_equal(sp_group_get(sp_group_nth(&help.core.groups, 0)).number, 1);
    assert_null(sp_group_nth(&help.core.groups, 3));
    assert_ptr_equal(sp_group_at(&help.core.groups, 3), find("s", "a"));
    assert_int_equal(sp_group_get(find("s", "a")).cursor.version, 2);
    assert_int_equal(sp_group_get(find("s", "a")).cursor.id.seq, 1);
}

static void test_numbers_are_never_used_again(void **state) {
    (void)state;
    assert_int_equal(make("s", "a"), SP_OK);
    sp_group_drop(find("s", "a"), &help.ops);
    help_fold(&help);
    assert_null(find("s", "a"));
    assert_null(sp_group_of_key(&help.core.groups, SP_STR("s"), 0));
    help_reopen(&help);
    assert_int_equal(make("s", "a"), SP_OK);
    assert_int_equal(sp_group_get(find("s", "a")).number, 2);
}

static void test_groups_move_to_another_key(void **state) {
    (void)state;
    assert_int_equal(make("s", "a"), SP_OK);
    assert_int_equal(make("t", "a"), SP_OK);
    assert_int_equal(make("u", "a"), SP_OK);
    assert_int_equal(
        sp_group_rekey(&help.core.groups, find("s", "a"), SP_STR("t"), &help.ops, &help.error),
        SP_CONFLICT);
    assert_int_equal(
        sp_group_rekey(&help.core.groups, find("s", "a"), SP_STR("v"), &help.ops, &help.error),
        SP_OK);
    help_fold(&help);
    assert_null(find("s", "a"));
    assert_int_equal(sp_group_get(find("v", "a")).number, 1);
    assert_int_equal(sp_group_get(find("u", "a")).number, 3);
    assert_int_equal(sp_group_get(find("t", "a")).number, 2);
}

static void test_many_groups_come_and_go(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(2);
    bool there[40][5] = {{false}};
    for (int i = 0; i < 3000; i++) {
        char key[16];
        char name[16];
        uint32_t k = sp_prng_below(&prng, 40);
        uint32_t n = sp_prng_below(&prng, 5);
        (void)snprintf(key, sizeof(key), "key-%u", k);
        (void)snprintf(name, sizeof(name), "%u", n * 7 % 10);
        const struct sp_group *group = find(key, name);
        assert_int_equal(group != NULL, there[k][n]);
        if (group == NULL) {
            assert_int_equal(make(key, name), SP_OK);
        } else {
            sp_group_drop(group, &help.ops);
            help_fold(&help);
        }
        there[k][n] = !there[k][n];
    }
}

static void test_names_have_a_length(void **state) {
    (void)state;
    static char longest[SP_GROUP_KEY_BYTES_MAX + 1];
    struct sp_group_cursor start = {.position = 0};
    uint32_t number;
    memset(longest, 'x', sizeof(longest));
    sp_str name = sp_str_of(longest, SP_GROUP_NAME_BYTES_MAX);
    sp_str key = sp_str_of(longest, SP_GROUP_KEY_BYTES_MAX);
    assert_int_equal(sp_group_make(&help.core.groups, key, name, &start, &help.ops, &help.error),
                     SP_OK);
    help_fold(&help);
    const struct sp_group *group = sp_group_find(&help.core.groups, key, name);
    assert_non_null(group);
    assert_int_equal(sp_consumer_make(group, name, 1, &help.ops, &number, &help.error), SP_OK);
    help_fold(&help);
    name.len++;
    assert_int_equal(sp_group_make(&help.core.groups, key, name, &start, &help.ops, &help.error),
                     SP_INVALID);
    assert_int_equal(sp_consumer_make(group, name, 1, &help.ops, &number, &help.error), SP_INVALID);
    assert_non_null(strstr(help.error.text, "1024"));
    key.len++;
    assert_int_equal(
        sp_group_make(&help.core.groups, key, SP_STR("g"), &start, &help.ops, &help.error),
        SP_INVALID);
}

/* ---- consumers ---- */

static void test_consumers_have_the_lowest_free_number(void **state) {
    (void)state;
    uint64_t pending;
    (void)help_group(&help, "g");
    assert_int_equal(help_consumer(&help, "g", "a", 1), 0);
    assert_int_equal(help_consumer(&help, "g", "b", 1), 1);
    assert_int_equal(help_consumer(&help, "g", "c", 1), 2);
    assert_int_equal(sp_consumer_drop(help_group_again(&help, "g"), 1, &pending, &help.ops, NULL),
                     SP_OK);
    help_fold(&help);
    assert_int_equal(sp_consumer_find(help_group_again(&help, "g"), SP_STR("b")), SP_CONSUMER_NONE);
    assert_int_equal(help_consumer(&help, "g", "d", 1), 1);
    assert_int_equal(help_consumer(&help, "g", "b", 1), 3);
}

static void test_a_consumer_with_work_must_leave_first(void **state) {
    (void)state;
    struct sp_group_policy policy = sp_group_policy_default();
    struct sp_pending used_up[1];
    uint64_t pending;
    (void)help_group(&help, "g");
    uint32_t ann = help_consumer(&help, "g", "ann", 1);
    help_policy(&help, "g", &policy);
    assert_int_equal(help_deliver(&help, "g", ann, 3, 9, 10), 3);
    const struct sp_group *group = help_group_again(&help, "g");
    assert_int_equal(sp_consumer_drop(group, ann, &pending, &help.ops, &help.error), SP_CONFLICT);
    assert_non_null(strstr(help.error.text, "3 entries"));
    assert_int_equal(sp_group_leave(group, ann, false, 11, used_up, 1, &help.ops), 0);
    help_fold(&help);
    assert_int_equal(sp_consumer_drop(group, ann, &pending, &help.ops, &help.error), SP_OK);
    help_fold(&help);
    assert_int_equal(sp_group_get(group).waiting, 3);
}

/* Who read nothing was only seen; who got something was active. */
static void test_seen_is_not_active(void **state) {
    (void)state;
    struct sp_consumer_facts facts;
    (void)help_group(&help, "g");
    uint32_t ann = help_consumer(&help, "g", "ann", 100);
    const struct sp_group *group = help_group_again(&help, "g");
    assert_true(sp_consumer_get(group, ann, &facts));
    assert_int_equal(facts.seen_ms, 100);
    assert_int_equal(facts.active_ms, 0);
    sp_consumer_seen(group, ann, 200, &help.ops);
    help_fold(&help);
    sp_consumer_seen(group, ann, 200, &help.ops);
    assert_int_equal(help.ops.len, 0);
    assert_int_equal(help_deliver(&help, "g", ann, 1, 1, 300), 1);
    struct sp_group_given given[1];
    size_t count;
    struct sp_group_claim claim = {
        .consumer = ann, .now_ms = 400, .idle_min_ms = 5000, .time_ms = UINT64_MAX};
    const struct sp_group_claim_id id = {.id = help_id(1)};
    assert_int_equal(
        sp_group_claim(&help.core.groups, group, &claim, &id, 1, given, &count, &help.ops, NULL),
        SP_OK);
    help_fold(&help);
    assert_int_equal(count, 0);
    assert_true(sp_consumer_get(group, ann, &facts));
    assert_int_equal(facts.seen_ms, 400);
    assert_int_equal(facts.active_ms, 300);
}

/* ---- policies ---- */

static void expect_fault(const struct sp_group_policy *policy, const char *text) {
    assert_int_equal(
        sp_group_set_policy(help_group_again(&help, "g"), policy, &help.ops, &help.error),
        SP_INVALID);
    assert_non_null(strstr(help.error.text, text));
    assert_int_equal(help.ops.len, 0);
}

static void test_policies_make_sense(void **state) {
    (void)state;
    static char text[SP_GROUP_FILTER_BYTES_MAX + 1];
    struct sp_group_policy policy = sp_group_policy_default();
    (void)help_group(&help, "g");
    policy.ack_wait_ms = 0;
    expect_fault(&policy, "ack-wait");
    policy.ack_wait_ms = SP_GROUP_TIME_MS_MAX + 1;
    expect_fault(&policy, "ack-wait");
    policy = sp_group_policy_default();
    policy.deliveries_max = 0;
    expect_fault(&policy, "max-deliveries");
    policy = sp_group_policy_default();
    policy.backoff_first_ms = policy.backoff_max_ms + 1;
    expect_fault(&policy, "backoff");
    policy.backoff_max_ms = SP_GROUP_TIME_MS_MAX + 1;
    expect_fault(&policy, "backoff");
    policy = sp_group_policy_default();
    policy.backoff_factor_milli = 999;
    expect_fault(&policy, "factor");
    policy = sp_group_policy_default();
    policy.backoff_jitter_milli = 1001;
    expect_fault(&policy, "jitter");
    policy = sp_group_policy_default();
    policy.type = sp_str_of(text, SP_GROUP_TYPE_BYTES_MAX + 1);
    expect_fault(&policy, "pattern");
    policy = sp_group_policy_default();
    policy.filter = sp_str_of(text, sizeof(text));
    expect_fault(&policy, "filter");
    policy.filter.len--;
    help_policy(&help, "g", &policy);
    assert_int_equal(sp_group_get(help_group_again(&help, "g")).policy.filter.len,
                     SP_GROUP_FILTER_BYTES_MAX);
}

/* The wait before each attempt, without chance and with its extremes. */
static void test_the_wait_grows_up_to_its_maximum(void **state) {
    (void)state;
    static const uint64_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    struct sp_group_policy policy = sp_group_policy_default();
    policy.deliveries_max = 100;
    policy.backoff_jitter_milli = 0;
    (void)help_group(&help, "g");
    help_policy(&help, "g", &policy);
    uint32_t ann = help_consumer(&help, "g", "ann", 1);
    assert_int_equal(help_deliver(&help, "g", ann, 1, 1, 10), 1);
    uint64_t now_ms = 10;
    for (int i = 0; i < 8; i++) {
        struct sp_group_failure failure = {.position = 1, .now_ms = now_ms, .random = 99};
        struct sp_group_given given[1];
        struct sp_group_failed failed =
            sp_group_fail(help_group_again(&help, "g"), &failure, &help.ops);
        help_fold(&help);
        assert_int_equal(failed.due_ms, now_ms + waits[i]);
        now_ms = failed.due_ms;
        assert_int_equal(
            sp_group_again(help_group_again(&help, "g"), ann, now_ms - 1, given, 1, &help.ops), 0);
        assert_int_equal(
            sp_group_again(help_group_again(&help, "g"), ann, now_ms, given, 1, &help.ops), 1);
        help_fold(&help);
        assert_int_equal(given[0].count, i + 2);
    }
}

static void test_chance_moves_the_wait_within_bounds(void **state) {
    (void)state;
    struct sp_group_policy policy = sp_group_policy_default();
    struct sp_prng prng = sp_prng_seed(1);
    uint64_t lowest = UINT64_MAX;
    uint64_t highest = 0;
    (void)help_group(&help, "g");
    help_policy(&help, "g", &policy);
    uint32_t ann = help_consumer(&help, "g", "ann", 1);
    assert_int_equal(help_deliver(&help, "g", ann, 1, 1, 10), 1);
    for (int i = 0; i < 20000; i++) {
        struct sp_group_failure failure = {.position = 1, .random = sp_prng_next(&prng)};
        struct sp_group_failed failed =
            sp_group_fail(help_group_again(&help, "g"), &failure, &help.ops);
        lowest = failed.due_ms < lowest ? failed.due_ms : lowest;
        highest = failed.due_ms > highest ? failed.due_ms : highest;
    }
    sp_buf_reset(&help.ops); /* none of them was folded */
    assert_int_equal(lowest, 800);
    assert_int_equal(highest, 1200);
}

/* ---- limits ---- */

static void test_the_cursor_waits_for_room_to_park(void **state) {
    (void)state;
    struct sp_group_policy policy = sp_group_policy_default();
    uint32_t delivered = 0;
    policy.order_by = SP_GROUP_ORDER_STREAM;
    (void)help_group(&help, "g");
    help_policy(&help, "g", &policy);
    uint32_t ann = help_consumer(&help, "g", "ann", 1);
    for (uint64_t until = 3000; until <= 12000; until += 3000) {
        delivered += help_deliver(&help, "g", ann, until, 20000, 10);
    }
    struct sp_group_facts facts = sp_group_get(help_group_again(&help, "g"));
    assert_int_equal(delivered, 3);
    assert_int_equal(facts.parked, SP_GROUP_PARKED_MAX);
    assert_int_equal(facts.cursor.position, SP_GROUP_PARKED_MAX + 3);
    struct sp_group_given given[1];
    assert_int_equal(help_ack(&help, "g", 1), 1);
    assert_int_equal(sp_group_again(help_group_again(&help, "g"), ann, 11, given, 1, &help.ops), 1);
    help_fold(&help);
    assert_int_equal(given[0].position, 4);
    assert_int_equal(help_deliver(&help, "g", ann, 12000, 9, 10), 0);
    facts = sp_group_get(help_group_again(&help, "g"));
    assert_int_equal(facts.cursor.position, SP_GROUP_PARKED_MAX + 4);
}

static void test_too_much_is_pending(void **state) {
    (void)state;
    struct sp_group_entry entry = {.position = 1, .version = 1, .id = help_id(1)};
    struct sp_group_offered offered;
    uint8_t what[1];
    const struct sp_group *group = help_group(&help, "g");
    uint32_t ann = help_consumer(&help, "g", "ann", 1);
    struct sp_group_offer offer = {.consumer = ann,
                                   .entries = &entry,
                                   .entry_count = 1,
                                   .wanted = 1,
                                   .until = {.position = 1}};
    help.core.groups.pending = SP_GROUP_PENDING_MAX; /* as if others had it all */
    assert_int_equal(
        sp_group_offer(&help.core.groups, group, &offer, what, &offered, &help.ops, &help.error),
        SP_LIMIT);
    assert_non_null(strstr(help.error.text, "50000000"));
    struct sp_group_claim claim = {.consumer = ann};
    const struct sp_group_claim_id id = {.id = help_id(1), .position = 1};
    struct sp_group_given given[1];
    size_t count;
    assert_int_equal(sp_group_claim(&help.core.groups, group, &claim, &id, 1, given, &count,
                                    &help.ops, &help.error),
                     SP_LIMIT);
    assert_int_equal(help.ops.len, 0);
    help.core.groups.pending = 0;
}

static void test_a_group_has_so_many_consumers(void **state) {
    (void)state;
    uint32_t number;
    const struct sp_group *group = help_group(&help, "g");
    for (uint32_t i = 0; i < SP_GROUP_CONSUMERS_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%06u", i);
        assert_int_equal(
            sp_consumer_make(group, sp_str_from(name), 1, &help.ops, &number, &help.error), SP_OK);
        help_fold(&help);
    }
    assert_int_equal(
        sp_consumer_make(group, SP_STR("one more"), 1, &help.ops, &number, &help.error), SP_LIMIT);
    assert_non_null(strstr(help.error.text, "100000 consumers"));
}

static void test_force_is_for_plain_groups(void **state) {
    (void)state;
    struct sp_group_policy policy = sp_group_policy_default();
    const struct sp_group_claim_id id = {.id = help_id(1), .position = 1};
    struct sp_group_given given[1];
    size_t count;
    (void)help_group(&help, "g");
    help_policy(&help, "g", &policy);
    struct sp_group_claim claim = {.consumer = help_consumer(&help, "g", "ann", 1)};
    assert_int_equal(sp_group_claim(&help.core.groups, help_group_again(&help, "g"), &claim, &id, 1,
                                    given, &count, &help.ops, &help.error),
                     SP_UNSUPPORTED);
    assert_int_equal(help.ops.len, 0);
}

/* The dead come in pages, and go by position. */
static void test_the_dead_are_listed(void **state) {
    (void)state;
    struct sp_group_policy policy = sp_group_policy_default();
    struct sp_dead dead[4];
    (void)help_group(&help, "g");
    help_policy(&help, "g", &policy);
    uint32_t ann = help_consumer(&help, "g", "ann", 1);
    assert_int_equal(help_deliver(&help, "g", ann, 9, 9, 10), 9);
    for (uint64_t i = 2; i <= 8; i += 2) {
        assert_true(sp_group_bury(help_group_again(&help, "g"), i, SP_DEAD_REFUSED, i + 100, 20,
                                  &help.ops));
        help_fold(&help);
    }
    const struct sp_group *group = help_group_again(&help, "g");
    assert_int_equal(sp_dead_list(group, 2, dead, 2), 2);
    assert_int_equal(dead[0].position, 4);
    assert_int_equal(dead[1].position, 6);
    assert_int_equal(dead[1].letter, 106);
    assert_int_equal(dead[1].reason, SP_DEAD_REFUSED);
    assert_int_equal(dead[1].last_time_ms, 10);
    assert_int_equal(sp_dead_list(group, 8, dead, 4), 0);
    const uint64_t some[] = {6, 5, 6, 2};
    assert_int_equal(sp_group_discard(group, some, 4, &help.ops), 2);
    help_fold(&help);
    assert_int_equal(sp_dead_list(group, 0, dead, 4), 2);
}

/* An entry that is delivered and acknowledged costs few bytes of the log, also one at a time. */
static void test_ops_are_short(void **state) {
    (void)state;
    (void)help_group(&help, "g");
    uint32_t ann = help_consumer(&help, "g", "ann", 1);
    size_t before = help.record.len;
    for (uint64_t i = 1; i <= 1000; i++) {
        assert_int_equal(help_deliver(&help, "g", ann, i, 1, 1700000000000u), 1);
        assert_int_equal(help_ack(&help, "g", i), 1);
    }
    size_t one_by_one =
        (help.record.len - before) / 1000 - 8; /* less the lengths kept by the test */
    before = help.record.len;
    for (uint64_t i = 1; i <= 10; i++) {
        assert_int_equal(help_deliver(&help, "g", ann, 1000 + i * 100, 100, 1700000000000u), 100);
    }
    size_t together = (help.record.len - before) / 10;
    assert_true(one_by_one <= 36); /* ids of the tests are far from the time: 12 bytes of it */
    assert_true(together <= 330);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_groups_are_found_by_key_and_name, begin, end),
        cmocka_unit_test_setup_teardown(test_numbers_are_never_used_again, begin, end),
        cmocka_unit_test_setup_teardown(test_groups_move_to_another_key, begin, end),
        cmocka_unit_test_setup_teardown(test_many_groups_come_and_go, begin, end),
        cmocka_unit_test_setup_teardown(test_names_have_a_length, begin, end),
        cmocka_unit_test_setup_teardown(test_consumers_have_the_lowest_free_number, begin, end),
        cmocka_unit_test_setup_teardown(test_a_consumer_with_work_must_leave_first, begin, end),
        cmocka_unit_test_setup_teardown(test_seen_is_not_active, begin, end),
        cmocka_unit_test_setup_teardown(test_policies_make_sense, begin, end),
        cmocka_unit_test_setup_teardown(test_the_wait_grows_up_to_its_maximum, begin, end),
        cmocka_unit_test_setup_teardown(test_chance_moves_the_wait_within_bounds, begin, end),
        cmocka_unit_test_setup_teardown(test_the_cursor_waits_for_room_to_park, begin, end),
        cmocka_unit_test_setup_teardown(test_too_much_is_pending, begin, end),
        cmocka_unit_test_setup_teardown(test_a_group_has_so_many_consumers, begin, end),
        cmocka_unit_test_setup_teardown(test_force_is_for_plain_groups, begin, end),
        cmocka_unit_test_setup_teardown(test_the_dead_are_listed, begin, end),
        cmocka_unit_test_setup_teardown(test_ops_are_short, begin, end),
    };
    return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
