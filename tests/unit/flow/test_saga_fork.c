/* Sagas that go on where others were: what they inherit, and what they do again. */
#include "saga_help.h"

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

static const char paused[] =
    "{'saga':'s','on_failure':'pause','steps':["
    "{'name':'a','action':'do.a','compensate':'undo.a'},"
    "{'name':'b','action':'do.b','compensate':'undo.b','retry':{'limit':1}},"
    "{'name':'c','action':'do.c','irreversible':true,'retry':{'limit':1}}]}";

static void test_goes_on_at_the_failed_step(void **state) {
    (void)state;
    help_define(help, paused);
    help_start(help, "s", "{'n':1}");
    assert_int_equal(help_fork(help, NULL, NULL), SP_INVALID); /* nothing failed */
    assert_int_equal(help_fork(help, "x", NULL), SP_NOT_FOUND);
    help_complete(help, "a:1", "'result'");
    help_fail(help, "b:1", "{'error':'no'}");
    help_mark(help);
    assert_int_equal(help_fork(help, NULL, NULL), SP_OK);
    help_expect(help, "saga.started\ndo.b b\nsaga.step.started b\n");
    assert_string_equal(help_data(help, "do.b"), "{\"n\":1}");
    help_expect_data(help, "saga.started", "'inherited':[{'step':'a','kind':'done'");
    help_complete(help, "b:1", "1");
    help_fail(help, "c:1", "{}");
    help_mark(help);
    assert_int_equal(help_request(help, SP_SAGA_UNDO, NULL, NULL), SP_OK);
    /* What the fork did is undone, and what it inherited is not its own. */
    help_expect(help, "saga.attention.resolved c\nsaga.compensation.started\n"
                      "undo.b b\nsaga.step.compensating b\n");
    help_complete(help, "b~1", "1");
    assert_false(help_is_running(help));
}

static void test_fork_of_an_undone_saga(void **state) {
    (void)state;
    help_define(help, "{'saga':'s','steps':["
                      "{'name':'i','action':'do.i','irreversible':true},"
                      "{'name':'a','action':'do.a','compensate':'undo.a'},"
                      "{'name':'b','action':'do.b','retry':{'limit':1},'irreversible':true}]}");
    help_start(help, "s", "1");
    help_complete(help, "i:1", "1");
    help_complete(help, "a:1", "1");
    help_fail(help, "b:1", "{}");
    help_complete(help, "a~1", "1");
    assert_false(help_is_running(help));
    help_define(help, "{'saga':'s','steps':[{'name':'other','action':'do.o'}]}");
    help_mark(help);
    /* a was undone and is done again, i can never be; by the definition that it had. */
    assert_int_equal(help_fork(help, NULL, "{'new':1}"), SP_OK);
    help_expect(help, "saga.recalled\nsaga.started\ndo.a a\nsaga.step.started a\n");
    assert_string_equal(help_data(help, "do.a"), "{\"new\":1}");
    help_complete(help, "a:1", "1");
    help_mark(help);
    help_fail(help, "b:1", "{}");
    help_expect(help, "do.b.failed\nsaga.step.failed b\nsaga.compensation.started\n"
                      "undo.a a\nsaga.step.compensating a\n");
}

static void test_fork_of_a_fork(void **state) {
    (void)state;
    help_define(help, paused);
    help_start(help, "s", "1");
    help_complete(help, "a:1", "'first'");
    help_fail(help, "b:1", "{}");
    assert_int_equal(help_fork(help, NULL, NULL), SP_OK);
    help_complete(help, "b:1", "2");
    help_complete(help, "c:1", "3");
    assert_false(help_is_running(help));
    help_mark(help);
    assert_int_equal(help_fork(help, "b", NULL), SP_OK);
    help_expect(help, "saga.started\ndo.b b\nsaga.step.started b\n");
    help_complete(help, "b:1", "2"); /* c is irreversible: it is done */
    assert_false(help_is_running(help));
    help_mark(help);
    assert_int_equal(help_fork(help, "a", NULL), SP_OK);
    help_expect(help, "saga.started\ndo.a a\nsaga.step.started a\n");
}

static const char *items(void *context, const char *program, const char *input) {
    (void)context;
    (void)input;
    return strstr(program, ".first") != NULL ? "0" : "['x','y','z']";
}

static void test_fork_within_containers(void **state) {
    (void)state;
    help->program = items;
    help_define(help, "{'saga':'s','on_failure':'pause','steps':[{'name':'q','choice':["
                      "{'when':'.first','steps':["
                      "{'name':'each','for_each':'.i','concurrency':1,'steps':["
                      "{'name':'a','action':'do.a'},"
                      "{'name':'b','action':'do.b','retry':{'limit':1}}]}]}]}]}");
    help_start(help, "s", "1");
    help_complete(help, "q/each[0]/a:1", "1");
    help_complete(help, "q/each[0]/b:1", "1");
    help_complete(help, "q/each[1]/a:1", "1");
    help_fail(help, "q/each[1]/b:1", "{}");
    help_mark(help);
    assert_int_equal(help_fork(help, NULL, NULL), SP_OK);
    help_expect(help, "saga.started\ndo.b q/each[1]/b\nsaga.step.started q/each[1]/b\n");
    assert_string_equal(help_data(help, "do.b"), "\"y\"");
    help_complete(help, "q/each[1]/b:1", "1");
    help_complete(help, "q/each[2]/a:1", "1");
    help_mark(help);
    help_complete(help, "q/each[2]/b:1", "1");
    help_expect(help, "do.b.completed\nsaga.step.completed q/each[2]/b\n"
                      "saga.step.completed q/each\nsaga.step.completed q\nsaga.completed\n");
    assert_false(help_is_running(help));
}

static void test_inherited_answers_are_late(void **state) {
    (void)state;
    struct sp_event event;
    help_define(help, paused);
    help_start(help, "s", "1");
    help_complete(help, "a:1", "1");
    help_fail(help, "b:1", "{}");
    assert_int_equal(help_fork(help, NULL, NULL), SP_OK);
    help_event(help, 2, &event); /* saga.started of the first: what it has is read still */
    assert_true(sp_flow_oldest(help->flow) <= 2);
    char id[64];
    memcpy(id, help->sagaid, 36);
    memcpy(id + 36, "/a:1", 5);
    (void)help_put(help, "do.a.completed", NULL, id, "1");
    help_run(help);
    help_expect_data(help, "saga.answer.ignored", "'reason':'wrong_attempt'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(goes_on_at_the_failed_step), TEST(fork_of_an_undone_saga),     TEST(fork_of_a_fork),
        TEST(fork_within_containers),     TEST(inherited_answers_are_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
