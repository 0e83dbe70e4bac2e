/* Sagas, move by move: what is appended in answer to what, and what is refused or passed over. */
#include "saga_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct help *help;

/* What programs say: the first entry whose text is in the program. */
struct reply {
    const char *part;
    const char *value; /* NULL: it fails */
};

static const char *reply(void *context, const char *program, const char *input) {
    (void)input;
    for (const struct reply *at = context; at->part != NULL; at++) {
        if (strstr(program, at->part) != NULL) {
            return at->value;
        }
    }
    fail_msg("nobody told what %s says", program);
    return NULL;
}

static void programs(struct reply *replies) {
    help->program = reply;
    help->context = replies;
}

static int setup(void **state) {
    (void)state;
    help = malloc(sizeof(*help));
    assert_non_null(help);
    help_init(help);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    help_fini(help);
    free(help);
    return 0;
}

static const char three[] = "{'saga':'three','steps':["
                            "{'name':'a','action':'do.a','compensate':'undo.a'},"
                            "{'name':'b','action':'do.b','compensate':'undo.b'},"
                            "{'name':'c','action':'do.c','irreversible':true}]}";

static const char once[] = "'retry':{'limit':1}";

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

/* ---- programs ---- */

static void test_when_and_input(void **state) {
    (void)state;
    struct reply replies[] = {
        {".no", "null"}, {".yes", "[{'in':1}]"}, {".plain", "'text'"}, {NULL, NULL}};
    programs(replies);
    help_define(help, "{'saga':'s','steps':["
                      "{'name':'a','action':'do.a','when':'.no','input':'.x','irreversible':true},"
                      "{'name':'b','action':'do.b','when':'.yes','input':'.x'},"
                      "{'name':'c','action':'do.c','input':'.plain'}]}");
    help_start(help, "s", "{'n':1,'data':5}");
    help_expect(help, "saga.started\nsaga.step.skipped a\ndo.b b\nsaga.step.started b\n");
    assert_string_equal(help_data(help, "do.b"), "{\"in\":1}");
    assert_non_null(strstr(help->input, "{\"n\":1,\"data\":{\"n\":1,\"data\":5},\"saga\":"));
    assert_non_null(strstr(help->input, "\"a\":{\"status\":\"skipped\",\"result\":null"));
    help_complete(help, "b:1", "{'r':2}");
    assert_string_equal(help_data(help, "do.c"), "\"text\"");
    assert_non_null(strstr(help->input,
                           "\"b\":{\"status\":\"completed\",\"result\":{\"r\":2},\"error\":null}"));
}

static void test_programs_that_fail(void **state) {
    (void)state;
    struct reply replies[] = {{".bad", NULL}, {NULL, NULL}};
    programs(replies);
    help_define(help, "{'saga':'s','steps':["
                      "{'name':'a','action':'do.a','compensate':{'action':'undo.a',"
                      "'input':'.bad'}},"
                      "{'name':'b','action':'do.b','when':'.bad','irreversible':true}]}");
    help_start(help, "s", "1");
    help_mark(help);
    help_complete(help, "a:1", "1");
    help_expect(help, "do.a.completed\nsaga.step.completed a\nsaga.step.failed b\n"
                      "saga.compensation.started\n"
                      "saga.step.compensation_failed a\nsaga.needs_attention a\n");
    help_expect_data(help, "saga.step.failed", "'attempt':0,'error':'wrong','retryable':false");
    assert_int_equal(help_request(help, SP_SAGA_RETRY, NULL, NULL), SP_OK);
    help_expect_waiting(help, "needs_attention", "operator", "a"); /* it fails again */
    assert_int_equal(help_request(help, SP_SAGA_SKIP, NULL, NULL), SP_OK);
    assert_false(help_is_running(help));
}

static void test_values_that_are_not_one(void **state) {
    (void)state;
    struct reply replies[] = {{".two", "[1,2]"}, {NULL, NULL}};
    programs(replies);
    help_define(help, "{'saga':'s','steps':["
                      "{'name':'a','action':'do.a','when':'.two','input':'.two',"
                      "'irreversible':true}]}");
    help_start(help, "s", "1");
    help_expect(help, "saga.started\nsaga.step.failed a\nsaga.compensation.started\n"
                      "saga.compensated\n");
}

/* A saga whose output cannot be made is completed all the same. */
static void test_output(void **state) {
    (void)state;
    struct reply replies[] = {{".out", "{'all':1}"}, {NULL, NULL}};
    programs(replies);
    help_define(help, "{'saga':'s','output':'.out','steps':[{'name':'a','action':'do.a'}]}");
    help_start(help, "s", "1");
    help_complete(help, "a:1", "1");
    help_expect_data(help, "saga.completed", "{'result':{'all':1},");
    replies[0].value = NULL;
    help_start(help, "s", "1");
    help_complete(help, "a:1", "1");
    help_expect_data(help, "saga.completed", "{'result':null,'output_error':'wrong'");
    assert_false(help_is_running(help));
}

/* ---- choices, lists, sagas within sagas ---- */

static const char choice[] =
    "{'saga':'s','steps':[{'name':'which','choice':["
    "{'when':'.first','steps':[{'name':'a','action':'do.a','compensate':'undo.a'}]},"
    "{'when':'.second','steps':[{'name':'c','action':'do.b','compensate':'undo.b'},"
    "{'name':'b','action':'do.c','irreversible':true,'retry':{'limit':1}}]}]}]}";

static void test_choice(void **state) {
    (void)state;
    struct reply replies[] = {{".first", "1"}, {NULL, NULL}};
    programs(replies);
    help_define(help, choice);
    help_start(help, "s", "1");
    help_expect(help, "saga.started\nsaga.step.started which\n"
                      "do.b which/c\nsaga.step.started which/c\n");
    help_complete(help, "which/c:1", "1");
    help_mark(help);
    help_complete(help, "which/b:1", "1");
    help_expect(help, "do.c.completed\nsaga.step.completed which/b\n"
                      "saga.step.completed which\nsaga.completed\n");
    help_start(help, "s", "1");
    help_complete(help, "which/c:1", "1");
    help_mark(help);
    help_fail(help, "which/b:1", "{}");
    help_expect(help, "do.c.failed\nsaga.step.failed which/b\nsaga.compensation.started\n"
                      "undo.b which/c\nsaga.step.compensating which/c\n");
}

static void test_choice_without_a_match(void **state) {
    (void)state;
    struct reply replies[] = {{".first", "-1"}, {NULL, NULL}};
    programs(replies);
    help_define(help, choice);
    help_start(help, "s", "1");
    help_expect(help, "saga.started\nsaga.step.skipped which\nsaga.completed\n");
    help_expect_data(help, "saga.step.skipped", "'reason':'choice'");
}

static const char list[] =
    "{'saga':'s','steps':[{'name':'each','for_each':'.items','concurrency':2,'steps':["
    "{'name':'a','action':'do.a','compensate':'undo.a','retry':{'limit':1}},"
    "{'name':'b','action':'do.b','compensate':'undo.b','retry':{'limit':1}}]}]}";

static void test_for_each(void **state) {
    (void)state;
    struct reply replies[] = {{".items", "[{'n':0},{'n':1},{'n':2}]"}, {NULL, NULL}};
    programs(replies);
    help_define(help, list);
    help_start(help, "s", "1");
    help_expect(help, "saga.started\nsaga.step.started each\n"
                      "do.a each[0]/a\nsaga.step.started each[0]/a\n"
                      "do.a each[1]/a\nsaga.step.started each[1]/a\n");
    assert_string_equal(help_data(help, "do.a"), "{\"n\":1}");
    help_complete(help, "each[1]/a:1", "1");
    help_complete(help, "each[1]/b:1", "1");
    help_complete(help, "each[0]/a:1", "1");
    help_complete(help, "each[2]/a:1", "1");
    help_complete(help, "each[2]/b:1", "1");
    help_mark(help);
    help_fail(help, "each[0]/b:1", "{}");
    help_expect(help, "do.b.failed\nsaga.step.failed each[0]/b\nsaga.compensation.started\n"
                      "undo.b each[2]/b\nsaga.step.compensating each[2]/b\n"
                      "undo.b each[1]/b\nsaga.step.compensating each[1]/b\n");
    help_complete(help, "each[1]/b~1", "1");
    help_complete(help, "each[1]/a~1", "1");
    help_complete(help, "each[0]/a~1", "1");
    help_complete(help, "each[2]/b~1", "1");
    help_complete(help, "each[2]/a~1", "1");
    assert_false(help_is_running(help));
    assert_non_null(strstr(help->types, "saga.compensated"));
}

static void test_for_each_of_nothing(void **state) {
    (void)state;
    struct reply replies[] = {{".items", "[]"}, {NULL, NULL}};
    programs(replies);
    help_define(help, list);
    help_start(help, "s", "1");
    help_expect(help, "saga.started\nsaga.step.started each\nsaga.step.completed each\n"
                      "saga.completed\n");
    replies[0].value = "{}";
    help_start(help, "s", "1");
    help_expect(help, "saga.started\nsaga.step.failed each\nsaga.compensation.started\n"
                      "saga.compensated\n");
}

/* ---- waits ---- */

static void test_wait_for_time(void **state) {
    (void)state;
    help_define(help, "{'saga':'s','steps':[{'name':'w','wait':'1h'}]}");
    help_start(help, "s", "1");
    help_expect(help, "saga.started\nsaga.step.started w\n");
    help_expect_waiting(help, "running", "timer", "w");
    uint64_t before_us = help->now_us;
    help_wait(help);
    assert_true(help->now_us - before_us == UINT64_C(3600000000));
    help_expect(help, "saga.step.completed w\nsaga.completed\n");
}

static const char wait_event[] =
    "{'saga':'s','steps':[{'name':'w','wait':{'event':'paid.*','key':'.order',"
    "'match':'data.order','timeout':'1h','on_timeout':'continue'}},"
    "{'name':'a','action':'do.a','input':'.steps.w'}]}";

static void test_wait_for_event(void **state) {
    (void)state;
    struct reply replies[] = {{".order", "'o1'"}, {".steps.w", "2"}, {NULL, NULL}};
    programs(replies);
    help_define(help, wait_event);
    help_start(help, "s", "1");
    help_expect_waiting(help, "running", "event", "w");
    (void)help_put(help, "paid.now", NULL, NULL, "{'order':'o2'}");
    (void)help_put(help, "paid.now", NULL, NULL, "{'other':'o1'}");
    (void)help_put(help, "paid", NULL, NULL, "{'order':'o1'}");
    help_run(help);
    help_mark(help);
    (void)help_put(help, "paid.now", NULL, NULL, "{'order':'o1'}");
    (void)help_put(help, "paid.now", NULL, NULL, "{'order':'o1'}");
    help_run(help);
    help_expect(help, "paid.now\npaid.now\nsaga.step.completed w\ndo.a a\n"
                      "saga.step.started a\n");
    assert_non_null(strstr(help->input, "\"type\":\"paid.now\""));
    assert_int_equal(help->flow->watch.live, 0);
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_OK);
    help_fail(help, "a:1", "{}");
    help_start(help, "s", "1");
    help_mark(help);
    help_wait(help);
    help_expect(help, "saga.step.completed w\ndo.a a\nsaga.step.started a\n");
}

static void test_many_wait_for_one_key(void **state) {
    (void)state;
    struct reply replies[] = {{".order", "17"}, {".steps.w", "2"}, {NULL, NULL}};
    programs(replies);
    help_define(help, wait_event);
    for (unsigned i = 0; i < 4; i++) {
        help_start(help, "s", "1");
    }
    assert_int_equal(help_request(help, SP_SAGA_CANCEL, NULL, NULL), SP_OK);
    help_mark(help);
    (void)help_put(help, "paid.now", NULL, NULL, "{'order':17}");
    help_run(help);
    unsigned count = 0;
    for (const char *at = strstr(help->types, "saga.step.completed"); at != NULL;
         at = strstr(at + 1, "saga.step.completed")) {
        count++;
    }
    assert_int_equal(count, 3);
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

/* ---- begun by events ---- */

static void test_start_by_event(void **state) {
    (void)state;
    struct reply replies[] = {{".id", "{'key':'k1','data':{'d':1}}"}, {NULL, NULL}};
    programs(replies);
    help_define(help, "{'saga':'s','start':{'on':'lead.*','filter':{'data.hot':true},"
                      "'key':'.id','data':'.data'},'steps':[{'name':'a','action':'do.a'}]}");
    help_mark(help);
    (void)help_put(help, "lead.in", NULL, NULL, "{'hot':false}");
    help_run(help);
    (void)help_put(help, "lead.in", NULL, NULL, "{'hot':true}");
    (void)help_put(help, "lead.in", NULL, NULL, "{'hot':true}");
    help_run(help);
    help_expect(help, "lead.in\nlead.in\nlead.in\nsaga.started\ndo.a a\nsaga.step.started a\n"
                      "saga.start.ignored\n");
    assert_string_equal(help_data(help, "do.a"), "{\"d\":1}");
    help_expect_data(help, "saga.start.ignored", "'reason':'duplicate'");
    replies[0].value = NULL;
    help_mark(help);
    (void)help_put(help, "lead.in", NULL, NULL, "{'hot':true}");
    help_run(help);
    help_expect_data(help, "saga.start.ignored", "'reason':'failed'");
}

static void test_one_event_begins_two(void **state) {
    (void)state;
    help_define(help, "{'saga':'s','start':{'on':'go'},'steps':[{'name':'a','action':'do.a'}]}");
    help_define(help, "{'saga':'t','start':{'on':'go'},'steps':[{'name':'b','action':'do.b'}]}");
    help_mark(help);
    (void)help_put(help, "go", NULL, NULL, "{'x':1}");
    help_run(help);
    assert_int_equal(sp_sagas_count(help->sagas), 2);
    assert_string_equal(help_data(help, "do.a"), "{\"x\":1}");
    assert_string_equal(help_data(help, "do.b"), "{\"x\":1}");
}

/* A saga is not begun by its own events; by those of others no deeper than the limit. */
static void test_chains_end(void **state) {
    (void)state;
    help_define(help, "{'saga':'s','start':{'on':'go.*'},'steps':[{'name':'e','emit':"
                      "{'type':'go.on'}}]}");
    help_mark(help);
    (void)help_put(help, "go.in", NULL, NULL, "1");
    help_run(help);
    help_expect(help, "go.in\nsaga.started\ngo.on e\nsaga.step.started e\n"
                      "saga.step.completed e\nsaga.completed\n");
    help->lazy = true;
    help_define(help, "{'saga':'t','start':{'on':'go.on'},'steps':[{'name':'e','emit':"
                      "{'type':'go.again'}}]}");
    help_mark(help);
    (void)help_put(help, "go.in", NULL, NULL, "1");
    help_run(help);
    help_expect_data(help, "saga.start.ignored", "'reason':'chain'");
}

static void test_key_begins_one(void **state) {
    (void)state;
    help_define(help, three);
    help_start_key(help, "three", "1", "order-1");
    struct sp_event event;
    help_event(help, help->count, &event);
    assert_memory_equal(event.attr[SP_ATTR_ID].ptr, "saga:three:order-1", 18);
    help_run(help);
    help_complete(help, "a:1", "1");
    help_event(help, help->count, &event);
    assert_memory_equal(event.attr[SP_ATTR_CAUSATION].ptr, "saga:three:order-1", 18);
}

/* ---- sagas within sagas ---- */

static const char nested[] =
    "{'saga':'outer','steps':["
    "{'name':'a','action':'do.a','compensate':'undo.a'},"
    "{'name':'in','saga':'inner','input':'.in','definition':{'saga':'inner','output':'.res',"
    "'steps':[{'name':'a','action':'do.x','compensate':'undo.x'},"
    "{'name':'y','action':'do.y','input':'.look','irreversible':true,'retry':{'limit':1}}]}},"
    "{'name':'z','action':'do.z','input':'.end','irreversible':true,'retry':{'limit':1}}]}";

static void begin_nested(void) {
    static struct reply replies[] = {
        {".in", "{'i':1}"}, {".look", "5"}, {".res", "'result'"}, {".end", "6"}, {NULL, NULL}};
    programs(replies);
    help_define(help, nested);
    help_start(help, "outer", "{'o':1}");
    help_complete(help, "a:1", "'outer a'");
    help_expect_data(help, "do.x", "{'i':1}");
    help_complete(help, "in/a:1", "'inner a'");
    assert_non_null(strstr(help->input, "{\"i\":1,\"data\":{\"i\":1}"));
    assert_non_null(strstr(help->input, "inner a"));
    assert_null(strstr(help->input, "outer a"));
}

static void test_nested(void **state) {
    (void)state;
    begin_nested();
    help_mark(help);
    help_complete(help, "in/y:1", "1");
    help_expect(help, "do.y.completed\nsaga.step.completed in/y\nsaga.step.completed in\n"
                      "do.z z\nsaga.step.started z\n");
    assert_non_null(strstr(help->input, "\"in\":{\"status\":\"completed\",\"result\":\"result\""));
    assert_null(strstr(help->input, "inner a"));
    help_mark(help);
    help_fail(help, "z:1", "{}");
    help_expect(help, "do.z.failed\nsaga.step.failed z\nsaga.compensation.started\n"
                      "undo.x in/a\nsaga.step.compensating in/a\n");
    help_complete(help, "in/a~1", "1");
    help_complete(help, "a~1", "1");
    help_expect_data(help, "saga.compensated", "'not_undone':['in/y']");
}

static void test_nested_fails(void **state) {
    (void)state;
    begin_nested();
    help_mark(help);
    help_fail(help, "in/y:1", "{}");
    help_expect(help, "do.y.failed\nsaga.step.failed in/y\nsaga.compensation.started\n"
                      "undo.x in/a\nsaga.step.compensating in/a\n");
    help_complete(help, "in/a~1", "1");
    help_mark(help);
    help_complete(help, "a~1", "1");
    help_expect(help, "undo.a.completed\nsaga.step.compensated a\nsaga.compensated\n");
}

/* ---- what it costs ---- */

static void test_memory(void **state) {
    (void)state;
    struct sp_sagas_stats stats;
    help->lazy = true;
    help_define(help, three);
    for (unsigned i = 0; i < 1000; i++) {
        help_start_key(help, "three", "1", NULL);
    }
    help_run(help);
    sp_sagas_stats(help->sagas, &stats);
    assert_int_equal(stats.running, 1000);
    assert_true(stats.memory_bytes / 1000 <= 1024);
}

/* Events that fit nowhere, as of a log that was put together by hand. */
static void test_nonsense_changes_nothing(void **state) {
    (void)state;
    static const char *const types[] = {
        "saga.step.completed",       "saga.step.failed",        "saga.step.timed_out",
        "saga.step.compensated",     "saga.completed",          "saga.compensated",
        "saga.approval.granted",     "saga.approval.rejected",  "saga.step.compensating",
        "saga.compensation.started", "saga.attention.resolved", "saga.started",
        "saga.step.skipped",         "saga.cancelled",          "saga.approval.escalated",
    };
    char stream[64];
    help_define(help, three);
    help_start(help, "three", "1");
    (void)snprintf(stream, sizeof(stream), "saga:%s", help->sagaid);
    uint64_t hash = sp_flow_hash(help->flow);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        (void)help_put(help, types[i], stream, NULL, "{}");
        (void)help_put(help, types[i], "saga:none", NULL, "{}");
        (void)help_put(help, types[i], "$sagas", NULL, "{}");
    }
    assert_true(sp_flow_hash(help->flow) == hash);
}

static void test_snapshot_is_read_with_care(void **state) {
    (void)state;
    struct sp_buf bytes;
    begin_nested();
    sp_buf_init(&bytes, SIZE_MAX);
    sp_flow_encode(help->flow, &bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        for (unsigned how = 0; how < 3; how++) {
            struct sp_flow *flow = NULL;
            uint8_t before = bytes.data[i];
            size_t len = how == 0 ? i : bytes.len;
            bytes.data[i] = how == 0 ? before : (uint8_t)(how == 1 ? before + 1 : before ^ 0x80);
            assert_int_equal(sp_flow_new(&flow, NULL), SP_OK);
            struct sp_wire wire = sp_wire_of(bytes.data, len);
            (void)!sp_flow_restore(flow, &wire, NULL); /* anything but a crash */
            sp_flow_free(flow);
            bytes.data[i] = before;
        }
    }
    sp_buf_fini(&bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void) {
    (void)once;
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
        TEST(when_and_input),
        TEST(programs_that_fail),
        TEST(values_that_are_not_one),
        TEST(output),
        TEST(choice),
        TEST(choice_without_a_match),
        TEST(for_each),
        TEST(for_each_of_nothing),
        TEST(wait_for_time),
        TEST(wait_for_event),
        TEST(many_wait_for_one_key),
        TEST(approval),
        TEST(veto),
        TEST(escalation_and_deadline),
        TEST(escalated_may_decide),
        TEST(cancel_while_approval_is_pending),
        TEST(saga_timeout),
        TEST(concurrency),
        TEST(definition_is_pinned),
        TEST(unusable_definition),
        TEST(start_by_event),
        TEST(one_event_begins_two),
        TEST(chains_end),
        TEST(key_begins_one),
        TEST(nested),
        TEST(nested_fails),
        TEST(memory),
        TEST(nonsense_changes_nothing),
        TEST(snapshot_is_read_with_care),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
