/*
 * What people do to sagas: cancel them, decide what is stuck, approve; and the point of no return.
 */
#include "saga_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct help *help;

static int setup(void **state) {
    (void)state;
    help = help_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    help_free(help);
    return 0;
}

static const char three[] = "{'saga':'three','steps':["
                            "{'name':'a','action':'do.a','compensate':'undo.a'},"
                            "{'name':'b','action':'do.b','compensate':'undo.b'},"
                            "{'name':'c','action':'do.c','irreversible':true}]}";

/* ---- what people do ---- */

static void test_cancel(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "1");
    help_complete(help, "a:1", "1");
    help_mark(help);
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_OK);
    help_expect(help, "saga.cancel.requested\nsaga.step.cancelled b\n");
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_CONFLICT);
    help_fail(help, "b:1", "{'error':'stopped'}");
    help_expect(help, "do.b.failed\nsaga.step.failed b\nsaga.compensation.started\n"
                      "undo.a a\nsaga.step.compensating a\n");
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_CONFLICT);
    help_complete(help, "a~1", "1");
    help_expect_data(help, "saga.cancelled", "'by':'ann','reason':'because'");
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_CONFLICT);
    help->sagaid[0] = 'f';
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_NOT_FOUND);
}

static void test_cancel_between_attempts(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "1");
    help_fail(help, "a:1", "{}");
    help_mark(help);
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_OK);
    help_expect(help, "saga.cancel.requested\nsaga.step.cancelled a\n"
                      "saga.compensation.started\nsaga.cancelled\n");
}

static void stuck_undo(void) {
    help_define(help, "{'saga':'s','steps':["
                      "{'name':'a','action':'do.a','compensate':{'action':'undo.a',"
                      "'retry':{'limit':2}}},"
                      "{'name':'b','action':'do.b','retry':{'limit':1},'irreversible':true}]}");
    help_start(help, "s", "1");
    help_complete(help, "a:1", "1");
    help_fail(help, "b:1", "{}");
    help_fail(help, "a~1", "{}");
    help_wait(help);
    help_mark(help);
    help_fail(help, "a~2", "{'error':'cannot'}");
    help_expect(help, "undo.a.failed\nsaga.step.compensation_failed a\nsaga.needs_attention a\n");
    help_expect_data(help, "saga.needs_attention",
                     "'phase':'compensation','error':'cannot','options':['retry','skip',"
                     "'mark_done']");
    help_expect_waiting(help, "needs_attention", "operator", "a");
    assert_int_equal(help_request(help, SP_SAGA_UNDO, NULL, NULL), SP_CONFLICT);
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_CONFLICT);
}

static void test_compensation_is_retried(void **state) {
    (void)state;
    stuck_undo();
    assert_int_equal(help_request(help, SP_SAGA_RETRY, "a", NULL), SP_OK);
    help_expect(help, "saga.attention.resolved a\nundo.a a\nsaga.step.compensating a\n");
    help_fail(help, "a~3", "{}");
    help_wait(help);
    help_complete(help, "a~4", "{}");
    assert_false(help_is_running(help));
}

static void test_compensation_is_skipped(void **state) {
    (void)state;
    stuck_undo();
    assert_int_equal(help_request(help, SP_SAGA_SKIP, NULL, NULL), SP_OK);
    help_expect(help, "saga.attention.resolved a\nsaga.step.compensated a\nsaga.compensated\n");
    help_expect_data(help, "saga.compensated", "'not_undone':['a']");
    help_expect_data(help, "saga.step.compensated", "'how':'skipped'");
}

static void test_compensation_is_marked_done(void **state) {
    (void)state;
    stuck_undo();
    assert_int_equal(help_request(help, SP_SAGA_MARK_DONE, NULL, "wrong"), SP_INVALID);
    assert_int_equal(help_request(help, SP_SAGA_MARK_DONE, NULL, "{}"), SP_OK);
    help_expect_data(help, "saga.compensated", "'not_undone':[]");
    help_expect_data(help, "saga.attention.resolved", "'by':'ann','why':'because'");
}

static const char paused[] =
    "{'saga':'s','on_failure':'pause','steps':["
    "{'name':'a','action':'do.a','compensate':'undo.a','retry':{'limit':1}},"
    "{'name':'b','action':'do.b','compensate':'undo.b','retry':{'limit':1}}]}";

static void begin_paused(void) {
    help_define(help, paused);
    help_start(help, "s", "1");
    help_complete(help, "a:1", "1");
    help_mark(help);
    help_fail(help, "b:1", "{'error':'no'}");
    help_expect(help, "do.b.failed\nsaga.step.failed b\nsaga.needs_attention b\n");
    help_expect_data(help, "saga.needs_attention",
                     "'options':['retry','skip','mark_done','compensate']");
}

static void test_pause_and_retry(void **state) {
    (void)state;
    begin_paused();
    assert_int_equal(help_request(help, SP_SAGA_RETRY, "a", NULL), SP_CONFLICT);
    assert_int_equal(help_request(help, SP_SAGA_RETRY, "c", NULL), SP_NOT_FOUND);
    assert_int_equal(help_request(help, SP_SAGA_RETRY, NULL, NULL), SP_OK);
    help_expect(help, "saga.attention.resolved b\ndo.b b\nsaga.step.started b\n");
    help_complete(help, "b:2", "1");
    help_expect(help, "do.b.completed\nsaga.step.completed b\nsaga.completed\n");
}

static void test_pause_and_skip(void **state) {
    (void)state;
    begin_paused();
    assert_int_equal(help_request(help, SP_SAGA_SKIP, "b", NULL), SP_OK);
    help_expect(help, "saga.attention.resolved b\nsaga.step.skipped b\nsaga.completed\n");
}

static void test_pause_and_undo(void **state) {
    (void)state;
    begin_paused();
    assert_int_equal(help_request(help, SP_SAGA_UNDO, "b", NULL), SP_OK);
    help_expect(help, "saga.attention.resolved b\nsaga.compensation.started\n"
                      "undo.a a\nsaga.step.compensating a\n");
}

static void test_pause_and_cancel(void **state) {
    (void)state;
    begin_paused();
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_OK);
    help_expect(help, "saga.cancel.requested\nsaga.compensation.started\n"
                      "undo.a a\nsaga.step.compensating a\n");
}

/* What was marked as done by hand is undone like any other. */
static void test_marked_done_is_undone(void **state) {
    (void)state;
    begin_paused();
    help_define(help, three);
    help->lazy = false;
    assert_int_equal(help_request(help, SP_SAGA_MARK_DONE, "b", "{'r':1}"), SP_INVALID);
    assert_int_equal(help_request(help, SP_SAGA_MARK_DONE, "b", "7"), SP_OK);
    help_expect_data(help, "saga.step.completed", "'result':7");
    help_expect_data(help, "saga.completed", "'result':null");
}

/* ---- the point of no return ---- */

static const char pivot[] = "{'saga':'s','steps':["
                            "{'name':'a','action':'do.a','compensate':'undo.a'},"
                            "{'name':'p','action':'do.p','pivot':true,'retry':{'limit':1}},"
                            "{'name':'b','action':'do.b','retry':{'limit':1}}]}";

static void test_past_the_pivot(void **state) {
    (void)state;
    help_define(help, pivot);
    help_start(help, "s", "1");
    help_complete(help, "a:1", "1");
    help_complete(help, "p:1", "1");
    help_mark(help);
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_CONFLICT);
    help_fail(help, "b:1", "{'error':'no','retryable':false}");
    help_expect(help, "do.b.failed\nsaga.step.failed b\nsaga.needs_attention b\n");
    help_expect_data(help, "saga.needs_attention", "'options':['retry','skip','mark_done']");
    assert_int_equal(help_request(help, SP_SAGA_UNDO, NULL, NULL), SP_CONFLICT);
    assert_int_equal(help_request(help, SP_SAGA_RETRY, NULL, NULL), SP_OK);
    help_complete(help, "b:2", "1");
    assert_false(help_is_running(help));
}

static void test_pivot_that_fails_is_undone(void **state) {
    (void)state;
    help_define(help, pivot);
    help_start(help, "s", "1");
    help_complete(help, "a:1", "1");
    help_mark(help);
    help_fail(help, "p:1", "{'error':'no'}");
    help_expect(help, "do.p.failed\nsaga.step.failed p\nsaga.compensation.started\n"
                      "undo.a a\nsaga.step.compensating a\n");
}

/* The pivot is done before it hears that the saga is cancelled: it is too late. */
static void test_pivot_overtakes_cancel(void **state) {
    (void)state;
    help_define(help, pivot);
    help_start(help, "s", "1");
    help_complete(help, "a:1", "1");
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_OK);
    help_mark(help);
    help_complete(help, "p:1", "1");
    help_expect(help, "do.p.completed\nsaga.step.completed p\ndo.b b\nsaga.step.started b\n");
    help_complete(help, "b:1", "1");
    help_expect(help, "do.b.completed\nsaga.step.completed b\nsaga.completed\n");
}

/* ---- approvals ---- */

static const char approval[] =
    "{'saga':'s','steps':[{'name':'a','action':'do.a','compensate':'undo.a'},"
    "{'name':'ok','approval':{'prompt':'Really?','timeout':'2h','on_timeout':'reject',"
    "'who':['ann','bob'],'escalate':{'after':'1h','to':['eve']}}},"
    "{'name':'b','action':'do.b','irreversible':true}]}";

static void decide(const char *type, const char *data) {
    char id[128];
    (void)snprintf(id, sizeof(id), "%s/ok:1", help->sagaid);
    (void)help_put(help, type, NULL, id, data);
    help_run(help);
}

static void begin_approval(void) {
    help_define(help, approval);
    help_start(help, "s", "1");
    help_mark(help);
    help_complete(help, "a:1", "1");
    help_expect(help, "do.a.completed\nsaga.step.completed a\naction.proposed ok\n"
                      "saga.approval.requested ok\n");
    help_expect_waiting(help, "running", "approval", "ok");
}

static void test_approval(void **state) {
    (void)state;
    struct sp_saga_approval_info info;
    begin_approval();
    assert_int_equal(sp_sagas_find_approval(help->sagas, sp_str_from(help->sagaid), &info, NULL),
                     SP_OK);
    assert_string_equal(info.step, "ok");
    decide("action.approved", "{'by':'mallory'}");
    help_expect_data(help, "saga.answer.ignored", "'reason':'not_allowed'");
    decide("action.approved", "{'by':'ann','choice':'maybe'}");
    help_expect_data(help, "saga.answer.ignored", "'reason':'unknown_choice'");
    help_mark(help);
    decide("action.approved", "{'by':'ann','reason':'fine'}");
    help_expect(help, "action.approved\nsaga.approval.granted ok\ndo.b b\n"
                      "saga.step.started b\n");
    help_expect_data(help, "saga.approval.granted",
                     "'choice':'approve','by':'ann','reason':'fine'");
    decide("action.vetoed", "{'by':'bob'}");
    help_expect_data(help, "saga.answer.ignored", "'reason':'duplicate'");
    assert_int_equal(sp_sagas_find_approval(help->sagas, sp_str_from(help->sagaid), &info, NULL),
                     SP_NOT_FOUND);
}

static void test_veto(void **state) {
    (void)state;
    begin_approval();
    help_mark(help);
    decide("action.vetoed", "{'by':'bob'}");
    help_expect(help, "action.vetoed\nsaga.approval.rejected ok\nsaga.compensation.started\n"
                      "undo.a a\nsaga.step.compensating a\n");
    help_expect_data(help, "saga.compensation.started", "'step':'ok','error':'it was rejected'");
}

static void test_escalation_and_deadline(void **state) {
    (void)state;
    begin_approval();
    help_mark(help);
    help_wait(help);
    help_expect(help, "saga.approval.escalated ok\n");
    decide("action.approved", "{'by':'mallory'}");
    help_mark(help);
    help_wait(help);
    help_expect(help, "saga.approval.rejected ok\nsaga.compensation.started\n"
                      "undo.a a\nsaga.step.compensating a\n");
    help_expect_data(help, "saga.approval.rejected", "'on_timeout':true");
    decide("action.approved", "{'by':'ann'}");
    help_expect_data(help, "saga.answer.ignored", "'reason':'duplicate'");
}

static void test_escalated_may_decide(void **state) {
    (void)state;
    begin_approval();
    decide("action.approved", "{'by':'eve'}");
    help_expect_data(help, "saga.answer.ignored", "'reason':'not_allowed'");
    help_wait(help);
    help_mark(help);
    decide("action.approved", "{'by':'eve'}");
    help_expect(help, "action.approved\nsaga.approval.granted ok\ndo.b b\n"
                      "saga.step.started b\n");
}

static void test_cancel_while_approval_is_pending(void **state) {
    (void)state;
    begin_approval();
    help_mark(help);
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_OK);
    help_expect(help, "saga.cancel.requested\nsaga.step.cancelled ok\n"
                      "saga.compensation.started\nundo.a a\nsaga.step.compensating a\n");
    decide("action.approved", "{'by':'ann'}");
    help_expect_data(help, "saga.answer.ignored", "'reason':'not_waiting'");
}

/* ---- the saga's own time, and how many at once ---- */

static void test_saga_timeout(void **state) {
    (void)state;
    help_define(help, "{'saga':'s','timeout':'1m','steps':["
                      "{'name':'a','action':'do.a','compensate':'undo.a'}]}");
    help_start(help, "s", "1");
    help_mark(help);
    help_wait(help);
    help_expect(help, "saga.timed_out\nsaga.step.cancelled a\n");
    help_fail(help, "a:1", "{}");
    help_expect(help, "do.a.failed\nsaga.step.failed a\nsaga.compensation.started\n"
                      "saga.compensated\n");
    help_expect_data(help, "saga.compensated", "'reason':'timed_out'");
}

static void test_concurrency(void **state) {
    (void)state;
    char first[SP_SAGA_ID_SIZE];
    help_define(help, "{'saga':'s','concurrency':1,'steps':[{'name':'a','action':'do.a'}]}");
    help_start(help, "s", "1");
    memcpy(first, help->sagaid, sizeof(first));
    help_start(help, "s", "2");
    help_expect(help, "saga.started\n");
    help_expect_waiting(help, "waiting", "limit", "");
    char second[SP_SAGA_ID_SIZE];
    memcpy(second, help->sagaid, sizeof(second));
    help_start(help, "s", "3");
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_OK);
    help_expect(help, "saga.started\nsaga.cancel.requested\nsaga.compensation.started\n"
                      "saga.cancelled\n");
    memcpy(help->sagaid, first, sizeof(first));
    help_complete(help, "a:1", "1");
    help_expect(help, "do.a.completed\nsaga.step.completed a\nsaga.completed\n"
                      "do.a a\nsaga.step.started a\n");
    memcpy(help->sagaid, second, sizeof(second));
    help_expect_waiting(help, "running", "worker", "a");
}

/* A saga keeps the definition it began with. */
static void test_definition_is_pinned(void **state) {
    (void)state;
    struct sp_saga_definition_info info;
    help_define(help, "{'saga':'s','steps':[{'name':'a','action':'do.a'},"
                      "{'name':'b','action':'do.b'}]}");
    help_start(help, "s", "1");
    help_define(help, "{'saga':'s','steps':[{'name':'c','action':'do.c'}]}");
    help_mark(help);
    help_complete(help, "a:1", "1");
    help_expect(help, "do.a.completed\nsaga.step.completed a\ndo.b b\nsaga.step.started b\n");
    sp_flow_out_reset(help->out);
    assert_int_equal(sp_sagas_remove(help->sagas, SP_STR("s"), SP_STR(""), help->out, NULL), SP_OK);
    (void)help_put(help, "saga.removed", "$sagas", NULL, "{'saga':'s'}");
    assert_false(sp_sagas_definition(help->sagas, SP_STR("s"), &info));
    help_mark(help);
    help_complete(help, "b:1", "1");
    help_expect(help, "do.b.completed\nsaga.step.completed b\nsaga.completed\n");
}

static void test_unusable_definition(void **state) {
    (void)state;
    struct sp_saga_definition_info info;
    (void)help_put(help, "saga.defined", "$sagas", NULL,
                   "{'saga':'s','definition':{'saga':'s','stairs':1}}");
    assert_true(sp_sagas_definition(help->sagas, SP_STR("s"), &info));
    assert_null(info.definition);
    assert_true(info.unusable.len > 0);
    struct sp_saga_start start = {.name = SP_STR("s")};
    uint8_t id[16] = {1};
    sp_flow_out_reset(help->out);
    assert_int_equal(sp_saga_start_events(help->sagas, &start, id, 1, help->out, NULL),
                     SP_UNSUPPORTED);
    help_define(help, "{'saga':'s','steps':[{'name':'a','action':'do.a'}]}");
    help_start(help, "s", "1");
    assert_true(help_is_running(help));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(cancel),
        TEST(cancel_between_attempts),
        TEST(compensation_is_retried),
        TEST(compensation_is_skipped),
        TEST(compensation_is_marked_done),
        TEST(pause_and_retry),
        TEST(pause_and_skip),
        TEST(pause_and_undo),
        TEST(pause_and_cancel),
        TEST(marked_done_is_undone),
        TEST(past_the_pivot),
        TEST(pivot_that_fails_is_undone),
        TEST(pivot_overtakes_cancel),
        TEST(approval),
        TEST(veto),
        TEST(escalation_and_deadline),
        TEST(escalated_may_decide),
        TEST(cancel_while_approval_is_pending),
        TEST(saga_timeout),
        TEST(concurrency),
        TEST(definition_is_pinned),
        TEST(unusable_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
