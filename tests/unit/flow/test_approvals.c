/* Approvals that stand alone: the first decision counts, time runs out, everything is told once. */
#include "flow_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/approvals.h"

#define START UINT64_C(1700000000000000)
#define HOUR  UINT64_C(3600000000)

static void *make(struct stage *stage) {
    (void)stage;
    struct sp_approvals *approvals = NULL;
    assert_int_equal(sp_approvals_new(&approvals), SP_OK);
    return approvals;
}

static void drop(void *self) {
    sp_approvals_free(self);
}

static struct stage new_stage(void) {
    struct stage stage = {.ops = &sp_approvals_part, .make = make, .drop = drop};
    stage_begin(&stage);
    return stage;
}

static uint64_t propose(struct stage *stage, const char *id, const char *data) {
    struct sp_event event = stage_make("action.proposed", "agent-1", data);
    event.attr[SP_ATTR_ID] = sp_str_from(id);
    event.attr[SP_ATTR_SOURCE] = SP_STR("agent-1");
    event.attr[SP_ATTR_CORRELATION] = SP_STR("run-7");
    return stage_append(stage, &event);
}

static uint64_t decide(struct stage *stage, const char *type, const char *by, const char *cause,
                       const char *data) {
    struct sp_event event = stage_make(type, NULL, data);
    event.attr[SP_ATTR_SOURCE] = sp_str_from(by);
    event.attr[SP_ATTR_CAUSATION] = sp_str_from(cause);
    return stage_append(stage, &event);
}

static void assert_last(struct stage *stage, const char *type, const char *data) {
    stage_assert_attr(stage, stage->count, SP_ATTR_TYPE, type);
    stage_assert_attr(stage, stage->count, SP_ATTR_STREAM, "$approvals");
    stage_assert_data(stage, stage->count, data);
}

static void test_approve(void **state) {
    (void)state;
    struct stage stage = new_stage();
    struct sp_approval_info info;
    uint64_t cursor = 0;
    (void)propose(&stage, "p1", "{\"action\":\"rollback\",\"rationale\":\"errors\"}");
    assert_int_equal(sp_approvals_count(stage.self), 1);
    assert_true(sp_approvals_next(stage.self, &cursor, &info));
    assert_str(info.id, "p1");
    assert_str(info.prompt, "rollback");
    assert_str(info.asked_by, "agent-1");
    assert_str(info.choices, "[\"approve\",\"reject\"]");
    assert_int_equal(info.position, 1);
    assert_int_equal(info.since_us, START);
    assert_int_equal(info.deadline_us, 0);
    assert_false(sp_approvals_next(stage.self, &cursor, &info));
    assert_int_equal(stage_work(&stage, 9), 0);
    (void)decide(&stage, "action.approved", "ann", "p1", "{\"reason\":\"do it\"}");
    assert_int_equal(sp_approvals_count(stage.self), 0);
    assert_int_equal(sp_approvals_part.due(stage.self), 0);
    assert_int_equal(stage_work(&stage, 9), 1);
    assert_last(&stage, "approval.granted",
                "{\"proposal\":\"p1\",\"choice\":\"approve\",\"by\":\"ann\",\"reason\":\"do it\","
                "\"on_timeout\":false}");
    stage_assert_attr(&stage, 3, SP_ATTR_CAUSATION, "e2");
    stage_assert_attr(&stage, 3, SP_ATTR_CORRELATION, "run-7");
    assert_true(sp_approvals_find(stage.self, SP_STR("p1"), &info));
    assert_int_equal(info.state, SP_APPROVAL_GRANTED);
    assert_str(info.choice, "approve");
    assert_str(info.by, "ann");
    assert_int_equal(info.settled_position, 2);
    stage_end(&stage);
}

/* A second decision is answered with the first; so are one that comes in the same moment. */
static void test_second_decision(void **state) {
    (void)state;
    struct stage stage = new_stage();
    (void)propose(&stage, "p1", NULL);
    (void)decide(&stage, "action.vetoed", "ann", "p1", NULL);
    (void)decide(&stage, "action.approved", "bob", "p1", NULL);
    assert_int_equal(stage_work_batch(&stage, 9), 2);
    stage_assert_data(&stage, 4,
                      "{\"proposal\":\"p1\",\"choice\":\"reject\",\"by\":\"ann\","
                      "\"on_timeout\":false}");
    stage_assert_attr(&stage, 4, SP_ATTR_TYPE, "approval.rejected");
    assert_last(&stage, "approval.ignored",
                "{\"proposal\":\"p1\",\"decision\":\"e3\",\"reason\":\"duplicate\",\"first\":{"
                "\"choice\":\"reject\",\"by\":\"ann\"}}");
    (void)decide(&stage, "action.vetoed", "ann", "p1", NULL);
    assert_int_equal(stage_work(&stage, 9), 1);
    assert_int_equal(stage_count(&stage, "approval.ignored", NULL), 2);
    (void)decide(&stage, "action.approved", "bob", "nobody-knows", NULL);
    assert_int_equal(stage_work(&stage, 9), 0);
    stage_end(&stage);
}

static void test_who_and_choices(void **state) {
    (void)state;
    struct stage stage = new_stage();
    (void)propose(&stage, "p1",
                  "{\"prompt\":\"Which?\",\"choices\":[\"small\",\"l\\u0061rge\",\"reject\"],"
                  "\"who\":[\"ann\"],\"action_id\":42}");
    (void)decide(&stage, "action.approved", "eve", "p1", "{\"choice\":\"large\"}");
    (void)stage_work(&stage, 9);
    assert_last(&stage, "approval.ignored",
                "{\"proposal\":\"p1\",\"decision\":\"e2\",\"reason\":\"not_allowed\"}");
    (void)decide(&stage, "action.approved", "ann", "p1", "{\"choice\":\"huge\"}");
    (void)stage_work(&stage, 9);
    assert_last(&stage, "approval.ignored",
                "{\"proposal\":\"p1\",\"decision\":\"e4\",\"reason\":\"unknown_choice\"}");
    /* By the proposer's own number, though it was caused by something else. */
    (void)decide(&stage, "action.approved", "ann", "message-9",
                 "{\"choice\":\"large\",\"action_id\":42,\"data\":{\"n\":1}}");
    (void)stage_work(&stage, 9);
    assert_last(&stage, "approval.granted",
                "{\"proposal\":\"p1\",\"action_id\":\"42\",\"choice\":\"large\",\"by\":\"ann\","
                "\"data\":{\"n\":1},\"on_timeout\":false}");
    stage_end(&stage);
}

static void test_time_runs_out(void **state) {
    (void)state;
    struct stage stage = new_stage();
    (void)propose(&stage, "p1", "{\"timeout\":\"1h\"}");
    (void)propose(&stage, "p2", "{\"timeout\":3600,\"on_timeout\":\"reject\"}");
    (void)propose(&stage, "p3",
                  "{\"deadline\":\"2023-11-14T23:13:20Z\",\"on_timeout\":\"approve\","
                  "\"choices\":[\"a\",\"b\"]}");
    assert_int_equal(sp_approvals_part.due(stage.self), START + HOUR);
    stage.now_us = START + HOUR - 1;
    assert_int_equal(stage_work(&stage, 9), 0);
    stage.now_us = START + HOUR;
    /* A decision that is recorded before the time was seen to, but behind it, is late. */
    (void)decide(&stage, "action.approved", "ann", "p1", NULL);
    assert_int_equal(stage_work_batch(&stage, 9), 4);
    stage_assert_data(&stage, 5, "{\"proposal\":\"p1\",\"decision\":\"e4\",\"reason\":\"late\"}");
    stage_assert_attr(&stage, 6, SP_ATTR_TYPE, "approval.expired");
    stage_assert_data(&stage, 6,
                      "{\"proposal\":\"p1\",\"deadline\":\"2023-11-14T23:13:20.000000Z\","
                      "\"on_timeout\":true}");
    stage_assert_attr(&stage, 7, SP_ATTR_TYPE, "approval.rejected");
    stage_assert_data(&stage, 7,
                      "{\"proposal\":\"p2\",\"choice\":\"reject\",\"deadline\":"
                      "\"2023-11-14T23:13:20.000000Z\",\"on_timeout\":true}");
    assert_last(&stage, "approval.granted",
                "{\"proposal\":\"p3\",\"choice\":\"a\",\"deadline\":"
                "\"2023-11-14T23:13:20.000000Z\",\"on_timeout\":true}");
    (void)decide(&stage, "action.vetoed", "ann", "p3", NULL);
    (void)stage_work(&stage, 9);
    assert_last(&stage, "approval.ignored",
                "{\"proposal\":\"p3\",\"decision\":\"e9\",\"reason\":\"late\",\"first\":{"
                "\"choice\":\"a\"}}");
    stage_end(&stage);
}

static void test_escalation(void **state) {
    (void)state;
    struct stage stage = new_stage();
    (void)propose(&stage, "p1",
                  "{\"who\":[\"ann\"],\"timeout\":\"2h\",\"escalate\":{\"after\":\"1h\","
                  "\"to\":[\"boss\"]}}");
    (void)decide(&stage, "action.approved", "boss", "p1", NULL);
    (void)stage_work(&stage, 9);
    stage_assert_data(&stage, 3,
                      "{\"proposal\":\"p1\",\"decision\":\"e2\",\"reason\":\"not_allowed\"}");
    assert_true(stage_advance(&stage, START + HOUR));
    assert_last(&stage, "approval.escalated", "{\"proposal\":\"p1\",\"to\":[\"boss\"]}");
    struct sp_approval_info info;
    assert_true(sp_approvals_find(stage.self, SP_STR("p1"), &info));
    assert_true(info.is_escalated);
    assert_int_equal(sp_approvals_part.due(stage.self), START + 2 * HOUR);
    (void)decide(&stage, "action.approved", "boss", "p1", NULL);
    (void)stage_work(&stage, 9);
    assert_int_equal(stage_count(&stage, "approval.granted", NULL), 1);
    while (stage_advance(&stage, START + 9 * HOUR)) { /* its timer is no longer wanted */
    }
    assert_int_equal(stage_count(&stage, "approval.expired", NULL), 0);
    stage_end(&stage);
}

static void test_not_opened(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"choices\":\"x\"}", "`choices` is no list of texts with one that is not reject"},
        {"{\"choices\":[]}", "`choices` is no list of texts with one that is not reject"},
        {"{\"choices\":[\"reject\"]}", "`choices` is no list of texts with one that is not reject"},
        {"{\"choices\":[\"a\",7]}", "`choices` is no list of texts with one that is not reject"},
        {"{\"who\":{}}", "`who` is no list of ids"},
        {"{\"who\":[\"\"]}", "`who` is no list of ids"},
        {"{\"timeout\":\"soon\"}",
         "one of `deadline`, a time, and `timeout`, a duration, was expected"},
        {"{\"timeout\":-1}", "one of `deadline`, a time, and `timeout`, a duration, was expected"},
        {"{\"timeout\":\"1h\",\"deadline\":\"2030-01-01\"}",
         "one of `deadline`, a time, and `timeout`, a duration, was expected"},
        {"{\"on_timeout\":\"panic\"}", "`on_timeout` is none of expire, reject, approve"},
        {"{\"escalate\":7}", "`escalate` is no object {after, to}"},
        {"{\"escalate\":{\"to\":[\"a\"]}}",
         "`escalate` needs a time: `after`, a duration, or `at`"},
        {"{\"escalate\":{\"after\":\"1h\",\"to\":7}}", "`escalate.to` is no list of ids"},
    };
    struct stage stage = new_stage();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char id[16];
        char expected[200];
        (void)snprintf(id, sizeof(id), "p%zu", i);
        (void)propose(&stage, id, cases[i][0]);
        assert_int_equal(stage_work(&stage, 9), 1);
        (void)snprintf(expected, sizeof(expected),
                       "{\"proposal\":\"%s\",\"reason\":\"invalid\",\"error\":\"%s\"}", id,
                       cases[i][1]);
        assert_last(&stage, "approval.ignored", expected);
    }
    assert_int_equal(sp_approvals_count(stage.self), 0);
    (void)propose(&stage, "twice", NULL);
    struct sp_event event = stage_make("action.proposed", "other", NULL);
    event.attr[SP_ATTR_ID] = SP_STR("twice");
    event.attr[SP_ATTR_SOURCE] = SP_STR("other");
    (void)stage_append(&stage, &event);
    (void)stage_work(&stage, 9);
    assert_last(&stage, "approval.ignored", "{\"proposal\":\"twice\",\"reason\":\"same_id\"}");
    /* Those of sagas are none of these. */
    (void)stage_add(&stage, "action.proposed", "saga:x", "{}");
    assert_int_equal(sp_approvals_count(stage.self), 1);
    stage_end(&stage);
}

/* As a command asks: what would not be accepted is not even appended. */
static void test_decide(void **state) {
    (void)state;
    struct stage stage = new_stage();
    struct sp_error error;
    struct sp_approval_rules rules;
    struct sp_approval_decision ask = {.proposal = SP_STR("p1"),
                                       .by = SP_STR("ann"),
                                       .reason = SP_STR("fine"),
                                       .data = SP_STR("[1]")};
    (void)propose(&stage, "p1", "{\"choices\":[\"a\",\"b\",\"reject\"],\"who\":[\"ann\"]}");
    assert_false(sp_approvals_rules(stage.self, SP_STR("px"), &rules));
    assert_true(sp_approvals_rules(stage.self, SP_STR("p1"), &rules));
    ask.choice = SP_STR("c");
    sp_flow_out_reset(&stage.out);
    assert_int_equal(sp_approval_decide(&rules, &ask, START, &stage.out, &error), SP_INVALID);
    assert_string_equal(error.text, "'c' is no choice here: expected a, b or reject");
    ask.choice = SP_STR("b");
    ask.by = SP_STR("eve");
    sp_flow_out_reset(&stage.out);
    assert_int_equal(sp_approval_decide(&rules, &ask, START, &stage.out, &error), SP_DENIED);
    assert_string_equal(error.text, "eve is not one of those who may decide this");
    ask.by = SP_STR("ann");
    sp_flow_out_reset(&stage.out);
    assert_int_equal(sp_approval_decide(&rules, &ask, START, &stage.out, &error), SP_OK);
    struct sp_event event;
    sp_flow_out_event(&stage.out, 0, &event);
    assert_str(event.attr[SP_ATTR_TYPE], "action.approved");
    assert_str(event.data, "{\"choice\":\"b\",\"by\":\"ann\",\"reason\":\"fine\",\"data\":[1]}");
    (void)stage_append(&stage, &event);
    assert_true(sp_approvals_rules(stage.self, SP_STR("p1"), &rules));
    sp_flow_out_reset(&stage.out);
    assert_int_equal(sp_approval_decide(&rules, &ask, START, &stage.out, &error), SP_CONFLICT);
    (void)stage_work(&stage, 9);
    assert_last(&stage, "approval.granted",
                "{\"proposal\":\"p1\",\"choice\":\"b\",\"by\":\"ann\",\"reason\":\"fine\","
                "\"data\":[1],\"on_timeout\":false}");
    stage_end(&stage);
}

static void test_hostile(void **state) {
    (void)state;
    struct stage stage = new_stage();
    static const char *const data[] = {NULL,
                                       "7",
                                       "[]",
                                       "{\"proposal\":7}",
                                       "{\"proposal\":\"p1\"}",
                                       "{\"action_id\":[]}",
                                       "{\"choice\":{}}"};
    static const char *const types[] = {"approval.granted", "approval.rejected",
                                        "approval.expired", "approval.escalated",
                                        "approval.ignored", "other",
                                        "action.approved"};
    static const char *const numbers[] = {NULL, "0", "1", "2", "x", "18446744073709551615"};
    for (size_t t = 0; t < 7; t++) {
        for (size_t d = 0; d < 7; d++) {
            for (size_t n = 0; n < 6; n++) {
                struct sp_event event = stage_make(types[t], "$approvals", data[d]);
                if (numbers[n] != NULL) {
                    stage_extend(&event, "proposalposition", numbers[n]);
                    stage_extend(&event, "decisionposition",
                                 numbers[(n + t) % 6] == NULL ? "7" : numbers[(n + t) % 6]);
                }
                (void)stage_append(&stage, &event);
            }
            (void)decide(&stage, "action.vetoed", "x", NULL, data[d]);
        }
    }
    assert_int_equal(stage_work(&stage, 9), 0);
    stage_end(&stage);
}

/* Random proposals, decisions, time and deaths: one outcome each, and a note for every rest. */
static void test_deaths(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct sp_prng prng = sp_prng_seed(seed);
        struct stage stage = new_stage();
        stage.is_quick = true;
        uint32_t made = 0;
        uint32_t decisions = 0;
        for (int round = 0; round < 200; round++) {
            char id[16];
            uint32_t dice = sp_prng_below(&prng, 10);
            if (dice < 3) {
                (void)snprintf(id, sizeof(id), "p%u", made++);
                (void)propose(&stage, id, "{\"timeout\":\"30s\",\"escalate\":{\"after\":\"10s\"}}");
            } else if (dice < 6 && made > 0) {
                (void)snprintf(id, sizeof(id), "p%u", sp_prng_below(&prng, made));
                (void)decide(&stage, dice == 3 ? "action.vetoed" : "action.approved", "ann", id,
                             NULL);
                decisions++;
            } else if (dice < 8) {
                stage.now_us += sp_prng_below(&prng, 9) * 1000000u;
                (void)stage_work_batch(&stage, sp_prng_below(&prng, 5));
            } else if (dice == 8) {
                struct sp_flow_work lost;
                (void)sp_approvals_part.next(stage.self, stage.now_us, &lost);
                stage_restart(&stage, sp_prng_below(&prng, 2) == 0);
            } else {
                struct sp_flow_work work;
                if (sp_approvals_part.next(stage.self, stage.now_us, &work)) {
                    sp_approvals_part.back(stage.self, &work);
                }
            }
        }
        stage.now_us += HOUR;
        (void)stage_work(&stage, UINT32_MAX);
        uint32_t decided = stage_count(&stage, "approval.granted", NULL) +
                           stage_count(&stage, "approval.rejected", NULL);
        assert_int_equal(sp_approvals_count(stage.self), 0);
        assert_int_equal(decided + stage_count(&stage, "approval.expired", NULL), made);
        assert_int_equal(stage_count(&stage, "approval.ignored", NULL), decisions - decided);
        assert_true(sp_approvals_part.oldest(stage.self) == UINT64_MAX);
        stage_end(&stage);
    }
}

/* What was settled long ago is forgotten; what is told meanwhile is not. */
static void test_forgetting(void **state) {
    (void)state;
    struct stage stage = new_stage();
    stage.is_quick = true;
    for (uint32_t i = 0; i < SP_APPROVALS_SETTLED_MAX + 5; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "p%u", i);
        (void)propose(&stage, id, NULL);
        (void)decide(&stage, "action.approved", "ann", id, NULL);
    }
    struct sp_approval_info info;
    assert_false(sp_approvals_find(stage.self, SP_STR("p4"), &info));
    assert_true(sp_approvals_find(stage.self, SP_STR("p5"), &info));
    assert_int_equal(sp_approvals_part.oldest(stage.self), 1);
    struct sp_flow_work work;
    struct sp_error error;
    struct sp_flow_now now = {.now_us = START, .ports = stage_ports(&stage)};
    assert_true(sp_approvals_part.next(stage.self, START, &work));
    assert_int_equal(sp_approvals_part.act(stage.self, &work, &now, &stage.out, &error), SP_OK);
    struct sp_event event;
    sp_flow_out_event(&stage.out, 0, &event);
    assert_str(event.data, "{\"proposal\":\"p0\",\"choice\":\"approve\",\"by\":\"ann\","
                           "\"on_timeout\":false}");
    stage_end(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_approve),         cmocka_unit_test(test_second_decision),
        cmocka_unit_test(test_who_and_choices), cmocka_unit_test(test_time_runs_out),
        cmocka_unit_test(test_escalation),      cmocka_unit_test(test_not_opened),
        cmocka_unit_test(test_decide),          cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_deaths),          cmocka_unit_test(test_forgetting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
