/* Sagas that go forward: what is appended, step by step. */
#include "saga_help.h"

#include <stdlib.h>
#include <string.h>

static struct help *help;

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

static const char three[] = "{\"saga\":\"three\",\"steps\":["
                            "{\"name\":\"a\",\"action\":\"do.a\",\"compensate\":\"undo.a\"},"
                            "{\"name\":\"b\",\"action\":\"do.b\",\"compensate\":\"undo.b\"},"
                            "{\"name\":\"c\",\"action\":\"do.c\"}]}";

static void test_three_steps(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "{\"n\":1}");
    help_expect(help, "saga.started\n"
                      "do.a a\nsaga.step.started a\n");
    assert_string_equal(help_data(help, "do.a"), "{\"n\":1}");
    help_expect_data(help, "saga.step.started", "\"compensation\":\"undo.a\"");
    help_expect_waiting(help, "running", "worker", "a");
    help_complete(help, "a:1", "{\"x\":2}");
    help_expect(help, "do.a.completed\nsaga.step.completed a\ndo.b b\nsaga.step.started b\n");
    help_expect_data(help, "saga.step.completed", "\"result\":{\"x\":2}");
    help_complete(help, "b:1", NULL);
    help_expect(help, "do.b.completed\nsaga.step.completed b\ndo.c c\nsaga.step.started c\n");
    help_complete(help, "c:1", "null");
    help_expect(help, "do.c.completed\nsaga.step.completed c\nsaga.completed\n");
    assert_false(help_is_running(help));
    assert_true(sp_flow_due(help->flow) == UINT64_MAX);
}

static void test_failure_undoes_in_reverse(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "{\"n\":1}");
    help_complete(help, "a:1", "{\"x\":2}");
    help_complete(help, "b:1", "\"yes\"");
    help_mark(help);
    help_fail(help, "c:1", "{\"error\":\"no\",\"retryable\":false}");
    help_expect(help, "do.c.failed\nsaga.step.failed c\nsaga.compensation.started\n"
                      "undo.b b\nsaga.step.compensating b\n");
    help_expect_data(help, "saga.compensation.started", "\"steps\":[\"b\",\"a\"]");
    help_expect_data(help, "saga.compensation.started", "\"step\":\"c\",\"error\":\"no\"");
    assert_string_equal(help_data(help, "undo.b"),
                        "{\"input\":{\"n\":1},\"result\":\"yes\",\"error\":null}");
    help_complete(help, "b~1", "{}");
    help_expect(help, "undo.b.completed\nsaga.step.compensated b\n"
                      "undo.a a\nsaga.step.compensating a\n");
    help_complete(help, "a~1", "{}");
    help_expect(help, "undo.a.completed\nsaga.step.compensated a\nsaga.compensated\n");
    assert_false(help_is_running(help));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_three_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failure_undoes_in_reverse, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
