/*
 * Sagas of all shapes: programs, choices, lists, waits, sagas within sagas, and how they begin.
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

/* ---- programs ---- */

static void test_when_and_input(void **state) {
    (void)state;
    struct help_reply replies[] = {
        {".no", "null"}, {".yes", "[{'in':1}]"}, {".plain", "'text'"}, {NULL, NULL}};
    help_programs(help, replies);
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
    struct help_reply replies[] = {{".bad", NULL}, {NULL, NULL}};
    help_programs(help, replies);
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
    struct help_reply replies[] = {{".two", "[1,2]"}, {NULL, NULL}};
    help_programs(help, replies);
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
    struct help_reply replies[] = {{".out", "{'all':1}"}, {NULL, NULL}};
    help_programs(help, replies);
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
    struct help_reply replies[] = {{".first", "1"}, {NULL, NULL}};
    help_programs(help, replies);
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
    struct help_reply replies[] = {{".first", "-1"}, {NULL, NULL}};
    help_programs(help, replies);
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
    struct help_reply replies[] = {{".items", "[{'n':0},{'n':1},{'n':2}]"}, {NULL, NULL}};
    help_programs(help, replies);
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
    struct help_reply replies[] = {{".items", "[]"}, {NULL, NULL}};
    help_programs(help, replies);
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
    struct help_reply replies[] = {{".order", "'o1'"}, {".steps.w", "2"}, {NULL, NULL}};
    help_programs(help, replies);
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
    struct help_reply replies[] = {{".order", "17"}, {".steps.w", "2"}, {NULL, NULL}};
    help_programs(help, replies);
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

/* ---- begun by events ---- */

static void test_start_by_event(void **state) {
    (void)state;
    struct help_reply replies[] = {{".id", "{'key':'k1','data':{'d':1}}"}, {NULL, NULL}};
    help_programs(help, replies);
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
    static struct help_reply replies[] = {
        {".in", "{'i':1}"}, {".look", "5"}, {".res", "'result'"}, {".end", "6"}, {NULL, NULL}};
    help_programs(help, replies);
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

/* ---- events that nobody takes ---- */

static void test_refused_commands(void **state) {
    (void)state;
    help_define(help, three);
    help->refused_type = "do.b";
    help_start(help, "three", "1");
    help_mark(help);
    help_complete(help, "a:1", "1");
    help_expect(help, "do.a.completed\nsaga.step.completed a\nsaga.step.failed b\n"
                      "saga.compensation.started\nundo.a a\nsaga.step.compensating a\n");
    help_expect_data(help, "saga.step.failed", "'error':'the schema says no'");
    help->refused_type = "undo.a";
    help_fail(help, "a~1", "{}");
    help_mark(help);
    help_wait(help);
    help_expect(help, "saga.step.compensation_failed a\nsaga.needs_attention a\n");
    help_expect_data(help, "saga.needs_attention", "'error':'the schema says no'");
    assert_int_equal(help_request(help, SP_SAGA_SKIP, NULL, NULL), SP_OK);
    assert_false(help_is_running(help));
    help->refused_type = "do.a";
    help_start(help, "three", "1");
    help_expect(help, "saga.started\nsaga.step.failed a\nsaga.compensation.started\n"
                      "saga.compensated\n");
}

static void test_refused_results(void **state) {
    (void)state;
    help_define(help, three);
    help_start(help, "three", "1");
    help->refused_type = "saga.step.completed";
    help_complete(help, "a:1", "{'r':1}");
    help_expect_data(help, "saga.step.completed", "'result_position':");
    help_expect_waiting(help, "running", "worker", "b");
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
    const struct CMUnitTest tests[] = {
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
        TEST(start_by_event),
        TEST(one_event_begins_two),
        TEST(chains_end),
        TEST(key_begins_one),
        TEST(nested),
        TEST(nested_fails),
        TEST(refused_commands),
        TEST(refused_results),
        TEST(memory),
        TEST(nonsense_changes_nothing),
        TEST(snapshot_is_read_with_care),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
