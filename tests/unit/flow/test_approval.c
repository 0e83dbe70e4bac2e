/* Judging decisions: who may, what may be chosen, until when, and what comes of nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/approval.h"
#include "flow/members.h"

static struct sp_buf scratch;

static struct sp_event decision(const char *type, const char *source, const char *data) {
    struct sp_event event = {.position = 9, .recorded_us = 1000};
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_SOURCE] = sp_str_from(source);
    event.has_data = data != NULL;
    event.data_is_json = data != NULL;
    event.data = sp_str_from(data);
    return event;
}

static void assert_text(sp_str text, const char *expected) {
    if (!sp_str_eq(text, sp_str_from(expected))) {
        fail_msg("'%.*s' instead of '%s'", SP_STR_ARG(text), expected);
    }
}

static struct sp_approval_verdict judge(const struct sp_approval_rules *rules, const char *type,
                                        const char *source, const char *data) {
    struct sp_event event = decision(type, source, data);
    struct sp_approval_verdict verdict;
    assert_int_equal(sp_approval_judge(rules, &event, &scratch, &verdict), SP_OK);
    return verdict;
}

static void test_plain(void **state) {
    (void)state;
    struct sp_approval_rules rules = {.choices = NULL};
    struct sp_approval_verdict verdict = judge(&rules, "action.approved", "ann", NULL);
    assert_int_equal(verdict.fault, SP_APPROVAL_ACCEPTED);
    assert_true(verdict.is_granted);
    assert_text(verdict.choice, "approve");
    assert_text(verdict.by, "ann");
    verdict = judge(&rules, "action.vetoed", "cli",
                    "{\"by\":\"J\\u00fcrgen\",\"reason\":\"too \\\"dear\\\"\",\"data\":\"x\\ny\"}");
    assert_int_equal(verdict.fault, SP_APPROVAL_ACCEPTED);
    assert_false(verdict.is_granted);
    assert_text(verdict.choice, "reject");
    assert_text(verdict.by, "J\xc3\xbcrgen");
    assert_text(verdict.reason, "too \"dear\"");
    assert_text(verdict.data, "\"x\\ny\"");
}

static void test_choices(void **state) {
    (void)state;
    const sp_str choices[] = {SP_STR("small"), SP_STR("large"), SP_STR("reject")};
    struct sp_approval_rules rules = {.choices = choices, .choice_count = 3};
    struct sp_approval_verdict verdict =
        judge(&rules, "action.approved", "ann", "{\"choice\":\"large\"}");
    assert_int_equal(verdict.fault, SP_APPROVAL_ACCEPTED);
    assert_text(verdict.choice, "large");
    assert_text(judge(&rules, "action.approved", "ann", "{}").choice, "small");
    assert_text(judge(&rules, "action.approved", "ann", "{\"choice\":null}").choice, "small");
    static const char *const wrong[] = {
        "{\"choice\":\"approve\"}", "{\"choice\":\"reject\"}",  "{\"choice\":7}",
        "{\"choice\":\"\"}",        "{\"choice\":[\"large\"]}",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        verdict = judge(&rules, "action.approved", "ann", wrong[i]);
        assert_int_equal(verdict.fault, SP_APPROVAL_UNKNOWN_CHOICE);
        assert_false(verdict.is_granted);
    }
    verdict = judge(&rules, "action.vetoed", "ann", "{\"choice\":\"small\"}");
    assert_int_equal(verdict.fault, SP_APPROVAL_UNKNOWN_CHOICE);
    verdict = judge(&rules, "action.vetoed", "ann", "{\"choice\":\"reject\"}");
    assert_int_equal(verdict.fault, SP_APPROVAL_ACCEPTED);
    rules.choices = &choices[2]; /* nothing that leads on */
    rules.choice_count = 1;
    assert_int_equal(judge(&rules, "action.approved", "ann", NULL).fault,
                     SP_APPROVAL_UNKNOWN_CHOICE);
}

static void test_who(void **state) {
    (void)state;
    const sp_str who[] = {SP_STR("ann"), SP_STR("bob")};
    const sp_str boss[] = {SP_STR("boss")};
    struct sp_approval_rules rules = {
        .who = who, .who_count = 2, .escalate_to = boss, .escalate_to_count = 1};
    assert_int_equal(judge(&rules, "action.approved", "bob", NULL).fault, SP_APPROVAL_ACCEPTED);
    assert_int_equal(judge(&rules, "action.approved", "http", "{\"by\":\"ann\"}").fault,
                     SP_APPROVAL_ACCEPTED);
    assert_int_equal(judge(&rules, "action.approved", "ann", "{\"by\":\"eve\"}").fault,
                     SP_APPROVAL_NOT_ALLOWED);
    assert_int_equal(judge(&rules, "action.vetoed", "boss", NULL).fault, SP_APPROVAL_NOT_ALLOWED);
    rules.is_escalated = true;
    assert_int_equal(judge(&rules, "action.vetoed", "boss", NULL).fault, SP_APPROVAL_ACCEPTED);
    assert_int_equal(judge(&rules, "action.vetoed", "ann", NULL).fault, SP_APPROVAL_ACCEPTED);
}

static void test_late_and_twice(void **state) {
    (void)state;
    struct sp_approval_rules rules = {.deadline_us = 1001};
    assert_int_equal(judge(&rules, "action.approved", "a", NULL).fault, SP_APPROVAL_ACCEPTED);
    rules.deadline_us = 1000;
    assert_int_equal(judge(&rules, "action.approved", "a", NULL).fault, SP_APPROVAL_LATE);
    rules.is_decided = true;
    struct sp_approval_verdict verdict = judge(&rules, "action.approved", "a", NULL);
    assert_int_equal(verdict.fault, SP_APPROVAL_DUPLICATE);
    assert_false(verdict.is_granted);
    assert_string_equal(sp_approval_fault_name(verdict.fault), "duplicate");
}

static void test_target(void **state) {
    (void)state;
    sp_str id;
    struct sp_event event = decision("action.approved", "a", "{\"action_id\":\"p\\u0031\"}");
    assert_true(sp_approval_is_decision(&event));
    assert_int_equal(sp_approval_target(&event, &scratch, &id), SP_OK);
    assert_text(id, "p1");
    event.attr[SP_ATTR_CAUSATION] = SP_STR("p2");
    assert_int_equal(sp_approval_target(&event, &scratch, &id), SP_OK);
    assert_text(id, "p2");
    event = decision("action.vetoed", "a", "{\"action_id\":42}");
    assert_int_equal(sp_approval_target(&event, &scratch, &id), SP_OK);
    assert_text(id, "42");
    static const char *const none[] = {"{}", "[]", "7", "{\"action_id\":{}}", "{\"action_id\":"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        event = decision("action.vetoed", "a", none[i]);
        assert_int_equal(sp_approval_target(&event, &scratch, &id), SP_OK);
        assert_int_equal(id.len, 0);
    }
    event = decision("action.proposed", "a", NULL);
    assert_false(sp_approval_is_decision(&event));
}

static void test_members(void **state) {
    (void)state;
    struct sp_member members[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}};
    sp_str text = SP_STR("{\"x\":{\"a\":1},\"\\u0061\":\"o\\u006e\\u0065\",\"b\":[1,{}],\"a\":2,"
                         "\"c\":\"t\\u0077o\",\"d\":\"\"}");
    struct sp_buf own;
    sp_buf_init(&own, SIZE_MAX);
    assert_int_equal(sp_members_read(text, members, 4, &own), SP_OK);
    assert_text(members[0].text, "one");
    assert_text(members[0].json, "\"o\\u006e\\u0065\"");
    assert_text(members[1].text, "[1,{}]");
    assert_int_equal(members[1].type, SP_TYPE_ARRAY);
    assert_int_equal(sp_member_text(&members[1]).len, 0);
    assert_text(members[2].text, "two");
    assert_int_equal(members[3].type, SP_TYPE_TEXT);
    sp_buf_fini(&own);
    sp_buf_init(&own, 4);
    assert_int_equal(sp_members_read(text, members, 4, &own), SP_LIMIT);
    sp_buf_fini(&own);
}

static int set_up(void **state) {
    (void)state;
    sp_buf_init(&scratch, SIZE_MAX);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    sp_buf_fini(&scratch);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),  cmocka_unit_test(test_choices),
        cmocka_unit_test(test_who),    cmocka_unit_test(test_late_and_twice),
        cmocka_unit_test(test_target), cmocka_unit_test(test_members),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
