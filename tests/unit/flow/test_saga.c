/*
 * Sagas, move by move: steps one after another and side by side, and answers that come late, twice
 * or wrong.
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

/* ---- one after another ---- */

static void test_three_steps(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "{'n':1}");
    help_expect(help, "saga.started\ndo.a a\nsaga.step.started a\n");
    assert_string_equal(help_data(help, "do.a"), "{\"n\":1}");
    help_expect_data(help, "saga.step.started", "'compensation':'undo.a'");
    help_expect_waiting(help, "running", "worker", "a");
    help_complete(help, "a:1", "{'x':2}");
    help_expect(help, "do.a.completed\nsaga.step.completed a\ndo.b b\nsaga.step.started b\n");
    help_expect_data(help, "saga.step.completed", "'result':{'x':2}");
    help_complete(help, "b:1", NULL);
    help_expect(help, "do.b.completed\nsaga.step.completed b\ndo.c c\nsaga.step.started c\n");
    help_complete(help, "c:1", "null");
    help_expect(help, "do.c.completed\nsaga.step.completed c\nsaga.completed\n");
    assert_false(help_is_running(help));
    assert_true(sp_flow_due(help->flow) == UINT64_MAX);
    assert_true(sp_flow_oldest(help->flow) == UINT64_MAX);
}

static void test_failure_undoes_in_reverse(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "{'n':1}");
    help_complete(help, "a:1", "{'x':2}");
    help_complete(help, "b:1", "'yes'");
    help_mark(help);
    help_fail(help, "c:1", "{'error':'no','retryable':false}");
    help_expect(help, "do.c.failed\nsaga.step.failed c\nsaga.compensation.started\n"
                      "undo.b b\nsaga.step.compensating b\n");
    help_expect_data(help, "saga.compensation.started", "'steps':['b','a']");
    help_expect_data(help, "saga.compensation.started", "'step':'c','error':'no'");
    help_expect_data(help, "undo.b", "{'input':{'n':1},'result':'yes','error':null}");
    help_complete(help, "b~1", "{}");
    help_expect(help, "undo.b.completed\nsaga.step.compensated b\n"
                      "undo.a a\nsaga.step.compensating a\n");
    help_complete(help, "a~1", "{}");
    help_expect(help, "undo.a.completed\nsaga.step.compensated a\nsaga.compensated\n");
    help_expect_data(help, "saga.compensated", "'not_undone':[]");
    assert_false(help_is_running(help));
}

static void test_retries(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "1");
    help_mark(help);
    help_fail(help, "a:1", "{'error':'busy'}");
    help_expect(help, "do.a.failed\nsaga.step.failed a\n");
    help_expect_waiting(help, "running", "timer", "a");
    help_wait(help);
    help_expect(help, "do.a a\nsaga.step.started a\n");
    help_fail(help, "a:2", NULL);
    help_expect_data(help, "saga.step.failed", "'the worker did not say why'");
    help_wait(help);
    help_mark(help);
    help_fail(help, "a:3", "nonsense");
    help_expect(help, "do.a.failed\nsaga.step.failed a\nsaga.compensation.started\n"
                      "saga.compensated\n");
    help_expect_data(help, "saga.step.failed", "'error':'nonsense'");
    help_expect_data(help, "saga.compensation.started", "'steps':[]");
}

/* Time that runs out leaves it unknown whether the step was done: it is undone. */
static void test_timeouts_are_undone(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "1");
    help_mark(help);
    for (unsigned i = 0; i < 5; i++) { /* time out, retry, time out, retry, time out */
        help_wait(help);
    }
    help_expect(help, "saga.step.timed_out a\ndo.a a\nsaga.step.started a\n"
                      "saga.step.timed_out a\ndo.a a\nsaga.step.started a\n"
                      "saga.step.timed_out a\nsaga.compensation.started\n"
                      "undo.a a\nsaga.step.compensating a\n");
    help_expect_data(help, "undo.a", "'result':null,'error':'no answer came in time'");
    help_complete(help, "a~1", NULL);
    assert_false(help_is_running(help));
}

/* One attempt timed out, the next one said it failed: the first may have done it. */
static void test_unknown_then_failed_is_undone(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "1");
    help_wait(help);
    help_wait(help);
    help_mark(help);
    help_fail(help, "a:2", "{'error':'no','retryable':false}");
    help_expect(help, "do.a.failed\nsaga.step.failed a\nsaga.compensation.started\n"
                      "undo.a a\nsaga.step.compensating a\n");
}

static void test_worker_says_unknown(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "1");
    help_mark(help);
    help_fail(help, "a:1", "{'error':'?','retryable':false,'unknown':true}");
    help_expect(help, "do.a.failed\nsaga.step.failed a\nsaga.compensation.started\n"
                      "undo.a a\nsaga.step.compensating a\n");
}

static void test_at_most_once(void **state) {
    (void)state;
    help_define(help, "{'saga':'s','steps':[{'name':'a','action':'do.a','compensate':'undo.a',"
                      "'semantics':'at_most_once'}]}");
    help_start(help, "s", "1");
    help_mark(help);
    help_wait(help);
    help_expect(help, "saga.step.timed_out a\nsaga.compensation.started\n"
                      "undo.a a\nsaga.step.compensating a\n");
}

/* ---- answers that have no effect ---- */

static void test_late_and_repeated_answers(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "1");
    help_wait(help); /* a:1 timed out */
    help_mark(help);
    help_complete(help, "a:1", "1");
    help_expect(help, "do.a.completed\nsaga.answer.ignored a\n");
    help_expect_data(help, "saga.answer.ignored", "'reason':'late'");
    help_wait(help);
    help_complete(help, "a:2", "2");
    help_mark(help);
    help_complete(help, "a:2", "2");
    help_expect_data(help, "saga.answer.ignored", "'reason':'duplicate'");
    help_fail(help, "a:2", "{}");
    help_expect_data(help, "saga.answer.ignored", "'reason':'duplicate'");
    help_complete(help, "a:1", "2");
    help_expect_data(help, "saga.answer.ignored", "'reason':'late'");
    help_expect(help, "do.a.completed\nsaga.answer.ignored a\ndo.a.failed\n"
                      "saga.answer.ignored a\ndo.a.completed\nsaga.answer.ignored a\n");
    help_expect_waiting(help, "running", "worker", "b");
}

static void put_answer(const char *rest, const char *type) {
    char id[128];
    (void)snprintf(id, sizeof(id), "%s/%s", help->sagaid, rest);
    (void)help_put(help, type, NULL, id, "{}");
    help_run(help);
}

static void test_wrong_answers(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "1");
    help_mark(help);
    put_answer("a:2", "do.a.completed");
    help_expect_data(help, "saga.answer.ignored", "'reason':'wrong_attempt'");
    put_answer("zz:1", "do.a.completed");
    help_expect_data(help, "saga.answer.ignored", "'reason':'unknown_step'");
    put_answer("a~1", "undo.a.completed");
    help_expect_data(help, "saga.answer.ignored", "'reason':'wrong_attempt'");
    help_mark(help);
    put_answer("a:1", "other.completed"); /* what the worker did besides: no answer */
    put_answer("a:1", "do.a.progress");
    put_answer("a:0", "do.a.completed");
    put_answer("a:x", "do.a.completed");
    put_answer("a:99999999999999999999", "do.a.completed");
    put_answer("/:1", "do.a.completed");
    help_expect(help, "other.completed\ndo.a.progress\ndo.a.completed\ndo.a.completed\n"
                      "do.a.completed\ndo.a.completed\nsaga.answer.ignored /\n");
    help_expect_waiting(help, "running", "worker", "a");
}

static void test_ignored_answers_are_limited(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "1");
    help->lazy = true;
    help_complete(help, "a:1", "1");
    help_mark(help);
    for (unsigned i = 0; i < 150; i++) {
        help_complete(help, "a:1", "1");
    }
    unsigned count = 0;
    for (const char *at = strstr(help->types, "ignored"); at != NULL;
         at = strstr(at + 1, "ignored")) {
        count++;
    }
    assert_int_equal(count, SP_SAGA_IGNORED_MAX);
}

static void test_answers_after_the_end(void **state) {
    (void)state;
    help_define(help, "{'saga':'s','steps':[{'name':'a','action':'do.a','irreversible':true}]}");
    help_start(help, "s", "1");
    help_complete(help, "a:1", "1");
    help_mark(help);
    help_complete(help, "a:1", "1");
    help_expect(help, "do.a.completed\nsaga.answer.ignored a\n");
    help_expect_data(help, "saga.answer.ignored", "'reason':'late'");
}

/* Answer and deadline in one turn: what the log has first counts. */
static void test_answer_beats_deadline(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "1");
    help->now_us = sp_flow_due(help->flow);
    help_mark(help);
    help_complete(help, "a:1", "1");
    help_expect(help, "do.a.completed\nsaga.step.completed a\ndo.b b\nsaga.step.started b\n");
}

/* ---- side by side ---- */

static const char side[] =
    "{'saga':'side','steps':[{'name':'z','action':'do.z','compensate':'undo.z'},"
    "{'name':'p','parallel':["
    "{'name':'x','action':'do.x','compensate':'undo.x','retry':{'limit':1}},"
    "{'name':'y','action':'do.y','compensate':'undo.y','retry':{'limit':1}}]},"
    "{'name':'last','action':'do.last','irreversible':true,'retry':{'limit':1}}]}";

static void begin_side(void) {
    help_define(help, side);
    help_start(help, "side", "1");
    help_complete(help, "z:1", "1");
    help_mark(help);
}

static void test_parallel(void **state) {
    (void)state;
    help_define(help, side);
    help_start(help, "side", "1");
    help_mark(help);
    help_complete(help, "z:1", "1");
    help_expect(help, "do.z.completed\nsaga.step.completed z\ndo.x p/x\nsaga.step.started p/x\n"
                      "do.y p/y\nsaga.step.started p/y\n");
    help_complete(help, "p/y:1", "1");
    help_complete(help, "p/x:1", "1");
    help_mark(help);
    help_fail(help, "last:1", "{}");
    help_expect(help, "do.last.failed\nsaga.step.failed last\nsaga.compensation.started\n"
                      "undo.y p/y\nsaga.step.compensating p/y\n"
                      "undo.x p/x\nsaga.step.compensating p/x\n");
    help_complete(help, "p/x~1", "1");
    help_mark(help);
    help_complete(help, "p/y~1", "1"); /* z waits for both */
    help_expect(help, "undo.y.completed\nsaga.step.compensated p/y\nundo.z z\n"
                      "saga.step.compensating z\n");
    help_complete(help, "z~1", "1");
    assert_false(help_is_running(help));
}

static void test_failure_beside_a_running_step(void **state) {
    (void)state;
    begin_side();
    help_fail(help, "p/x:1", "{'error':'no'}");
    help_expect(help, "do.x.failed\nsaga.step.failed p/x\nsaga.step.cancelled p/y\n");
    help_expect_data(help, "saga.step.cancelled", "'reason':'failed'");
    help_expect_waiting(help, "failing", "worker", "p/y");
    help_complete(help, "p/y:1", "1"); /* it was done before it heard: it is undone */
    help_expect(help, "do.y.completed\nsaga.step.completed p/y\nsaga.compensation.started\n"
                      "undo.y p/y\nsaga.step.compensating p/y\n");
    help_complete(help, "p/y~1", "1");
    help_complete(help, "z~1", "1");
    help_expect_data(help, "saga.compensated", "'step':'p/x','error':'no'");
}

static void test_two_failures(void **state) {
    (void)state;
    begin_side();
    help_fail(help, "p/x:1", "{'error':'first'}");
    help_mark(help);
    help_fail(help, "p/y:1", "{'error':'second'}");
    help_expect(help, "do.y.failed\nsaga.step.failed p/y\nsaga.compensation.started\n"
                      "undo.z z\nsaga.step.compensating z\n");
    help_expect_data(help, "saga.compensation.started", "'error':'first'");
}

static void test_both_failures_before_either_is_recorded(void **state) {
    (void)state;
    begin_side();
    (void)help_answer(help, "p/x:1", "failed", "{'error':'first'}");
    (void)help_answer(help, "p/y:1", "failed", "{'error':'second'}");
    help_run(help);
    help_expect(help, "do.x.failed\ndo.y.failed\nsaga.step.failed p/x\nsaga.step.failed p/y\n"
                      "saga.compensation.started\nundo.z z\nsaga.step.compensating z\n");
}

static void test_grace_of_a_cancelled_step(void **state) {
    (void)state;
    begin_side();
    help_fail(help, "p/x:1", "{'error':'no'}");
    help_mark(help);
    uint64_t before_us = help->now_us;
    help_wait(help);
    assert_true(help->now_us - before_us == SP_SAGA_CANCEL_GRACE_US);
    help_expect(help, "saga.step.timed_out p/y\nsaga.compensation.started\n"
                      "undo.y p/y\nsaga.step.compensating p/y\n");
    help_mark(help);
    help_complete(help, "p/y:1", "1");
    help_expect_data(help, "saga.answer.ignored", "'reason':'late'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(three_steps),
        TEST(failure_undoes_in_reverse),
        TEST(retries),
        TEST(timeouts_are_undone),
        TEST(unknown_then_failed_is_undone),
        TEST(worker_says_unknown),
        TEST(at_most_once),
        TEST(late_and_repeated_answers),
        TEST(wrong_answers),
        TEST(ignored_answers_are_limited),
        TEST(answers_after_the_end),
        TEST(answer_beats_deadline),
        TEST(parallel),
        TEST(failure_beside_a_running_step),
        TEST(two_failures),
        TEST(both_failures_before_either_is_recorded),
        TEST(grace_of_a_cancelled_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
