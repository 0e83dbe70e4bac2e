/* Joins: one emission for each key and window, whatever the order, the repeats and the deaths. */
#include "flow_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/join.h"

#define START UINT64_C(1700000000000000)
#define HOUR  UINT64_C(3600000000)

#define ONBOARDING                                                                                 \
    "{'join':'onboarding','of':['provisioning.completed','crm.created'],"                          \
    "'key':'data.customer','window':'24h','emit':{'type':'onboarding.complete'}}"

static void *make(struct stage *stage) {
    struct sp_joins *joins = NULL;
    assert_int_equal(sp_joins_new(&stage->watch, &joins), SP_OK);
    return joins;
}

static void drop(void *self) {
    sp_joins_free(self);
}

static void begin(struct stage *stage) {
    *stage = (struct stage){.ops = &sp_joins_part, .make = make, .drop = drop};
    stage_begin(stage);
}

static sp_str quoted(const char *text, char *to, size_t size) {
    int len = snprintf(to, size, "%s", text);
    for (char *at = to; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return sp_str_of(to, (size_t)len);
}

static bool define(struct stage *stage, const char *text) {
    char json[1024];
    struct sp_join_definition *definition = NULL;
    struct sp_rule_defined defined;
    struct sp_error error;
    struct sp_event event;
    if (sp_join_definition_parse(quoted(text, json, sizeof(json)), &definition, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    sp_flow_out_reset(&stage->out);
    assert_int_equal(
        sp_joins_define(stage->self, definition, SP_STR("ann"), &stage->out, &defined, &error),
        SP_OK);
    sp_join_definition_free(definition);
    if (!defined.is_unchanged) {
        sp_flow_out_event(&stage->out, 0, &event);
        (void)stage_append(stage, &event);
    }
    return !defined.is_unchanged;
}

static uint64_t add(struct stage *stage, const char *type, const char *data) {
    char json[256];
    struct sp_event event = stage_make(type, NULL, NULL);
    event.data = quoted(data, json, sizeof(json));
    event.has_data = event.data_is_json = true;
    return stage_append(stage, &event);
}

static struct sp_join_info info(struct stage *stage, const char *name) {
    struct sp_join_info found;
    assert_true(sp_joins_find(stage->self, sp_str_from(name), &found));
    return found;
}

static void test_all(void **state) {
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct stage stage;
        begin(&stage);
        assert_true(define(&stage, ONBOARDING));
        assert_false(define(&stage, ONBOARDING));
        uint64_t first =
            add(&stage, order == 0 ? "provisioning.completed" : "crm.created", "{'customer':'c1'}");
        assert_int_equal(stage_work(&stage, 9), 0);
        assert_int_equal(sp_joins_part.oldest(stage.self), first);
        (void)add(&stage, order == 0 ? "provisioning.completed" : "crm.created",
                  "{'customer':'c1'}");
        (void)add(&stage, "other", "{'customer':'c1'}");
        (void)add(&stage, "crm.created", "{'customer':'c2'}");
        uint64_t last =
            add(&stage, order == 0 ? "crm.created" : "provisioning.completed", "{'customer':'c1'}");
        assert_int_equal(sp_joins_part.due(stage.self), 0);
        assert_int_equal(stage_work(&stage, 9), 1);
        assert_int_equal(stage.count, last + 2);
        stage_assert_attr(&stage, last + 1, SP_ATTR_TYPE, "onboarding.complete");
        stage_assert_attr(&stage, last + 1, SP_ATTR_ID, "join:onboarding:2");
        stage_assert_attr(&stage, last + 1, SP_ATTR_CAUSATION, "e6");
        stage_assert_attr(&stage, last + 1, SP_ATTR_CORRELATION, "e2");
        stage_assert_attr(&stage, last + 1, SP_ATTR_STREAM, "join:onboarding");
        stage_assert_attr(&stage, last + 2, SP_ATTR_TYPE, "join.emitted");
        stage_assert_data(&stage, last + 2,
                          order == 0 ? "{\"join\":\"onboarding\",\"key\":\"c1\",\"event\":"
                                       "\"join:onboarding:2\",\"positions\":{"
                                       "\"provisioning.completed\":2,\"crm.created\":6}}"
                                     : "{\"join\":\"onboarding\",\"key\":\"c1\",\"event\":"
                                       "\"join:onboarding:2\",\"positions\":{"
                                       "\"provisioning.completed\":6,\"crm.created\":2}}");
        /* What comes within the window is late; behind it a new one begins. */
        (void)add(&stage, "crm.created", "{'customer':'c1'}");
        (void)add(&stage, "provisioning.completed", "{'customer':'c1'}");
        assert_int_equal(stage_work(&stage, 9), 0);
        assert_int_equal(info(&stage, "onboarding").late, 2);
        assert_int_equal(info(&stage, "onboarding").repeated, 1);
        assert_int_equal(info(&stage, "onboarding").open, 1);
        assert_int_equal(info(&stage, "onboarding").done, 1);
        stage.now_us += 24 * HOUR;
        (void)add(&stage, "crm.created", "{'customer':'c1'}");
        (void)add(&stage, "provisioning.completed", "{'customer':'c1'}");
        assert_int_equal(stage_work(&stage, 9), 1);
        assert_int_equal(stage_count(&stage, "onboarding.complete", NULL), 2);
        assert_int_equal(info(&stage, "onboarding").emitted, 2);
        assert_int_equal(info(&stage, "onboarding").open, 0);
        stage_end(&stage);
    }
}

static sp_status program(sp_str text, sp_str input, struct sp_buf *to) {
    if (sp_str_eq(text, SP_STR("error"))) {
        sp_buf_add_str(to, SP_STR("cannot index number"));
        return SP_INVALID;
    }
    sp_buf_add_str(to, SP_STR("{\"seen\":"));
    sp_buf_add_str(to, input);
    sp_buf_add_byte(to, '}');
    return SP_OK;
}

static void test_programs(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    stage.program = program;
    (void)define(&stage, "{'join':'j','of':['a','b','c'],'need':2,'key':'data.k','window':60,"
                         "'emit':{'type':'done','data':'.','stream':'results'}}");
    (void)add(&stage, "a", "{'k':7,'x':1}");
    (void)add(&stage, "c", "{'k':'7'}");
    assert_int_equal(stage_work_batch(&stage, 9), 1);
    stage_assert_attr(&stage, 4, SP_ATTR_STREAM, "results");
    stage_assert_data(
        &stage, 4,
        "{\"seen\":{\"join\":\"j\",\"key\":\"7\",\"first_at\":\"2023-11-14T22:13:20.000000Z\","
        "\"events\":{\"a\":{\"id\":\"e2\",\"type\":\"a\",\"source\":\"test\",\"stream\":\"test\","
        "\"position\":2,\"recordedtime\":\"2023-11-14T22:13:20.000000Z\",\"data\":{\"k\":7,\"x\":1}"
        "},\"c\":{\"id\":\"e3\",\"type\":\"c\",\"source\":\"test\",\"stream\":\"test\","
        "\"position\":3,\"recordedtime\":\"2023-11-14T22:13:20.000000Z\",\"data\":{\"k\":\"7\"}}},"
        "\"missing\":[\"b\"]}}");
    (void)define(&stage, "{'join':'k','of':['d'],'key':'data.k','window':60,"
                         "'emit':{'type':'done','data':'error'}}");
    (void)add(&stage, "d", "{'k':true}");
    assert_int_equal(stage_work(&stage, 9), 1);
    uint64_t last = 0;
    assert_int_equal(stage_count(&stage, "join.failed", &last), 1);
    stage_assert_data(&stage, last,
                      "{\"join\":\"k\",\"key\":\"true\",\"positions\":{\"d\":7},\"error\":"
                      "\"cannot index number\"}");
    assert_int_equal(stage_work(&stage, 9), 0);
    stage_end(&stage);
}

static void test_timeout(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)define(&stage, "{'join':'j','of':['a','b'],'key':'data.k','window':'1h',"
                         "'emit':{'type':'done'},'on_timeout':{'type':'gave.up'}}");
    (void)add(&stage, "a", "{'k':'x'}");
    stage.now_us += HOUR / 2;
    (void)add(&stage, "b", "{'k':'y'}");
    (void)add(&stage, "a", "{'k':'y'}");
    assert_int_equal(stage_work(&stage, 9), 1);
    assert_int_equal(sp_joins_part.due(stage.self), START + HOUR);
    assert_false(stage_advance(&stage, START + HOUR - 1));
    assert_true(stage_advance(&stage, START + HOUR));
    uint64_t last = 0;
    assert_int_equal(stage_count(&stage, "gave.up", &last), 1);
    stage_assert_attr(&stage, last, SP_ATTR_ID, "join:j:2:timeout");
    stage_assert_attr(&stage, last + 1, SP_ATTR_TYPE, "join.timed_out");
    stage_assert_data(&stage, last + 1,
                      "{\"join\":\"j\",\"key\":\"x\",\"event\":\"join:j:2:timeout\",\"positions\":{"
                      "\"a\":2}}");
    while (stage_advance(&stage, START + 9 * HOUR)) {
    }
    assert_int_equal(stage_count(&stage, "gave.up", NULL), 1);
    /* An event behind the end begins a new window, though nobody has told of the old one. */
    (void)add(&stage, "a", "{'k':'z'}");
    stage.now_us += HOUR;
    (void)add(&stage, "b", "{'k':'z'}");
    (void)add(&stage, "a", "{'k':'z'}");
    assert_int_equal(stage_work_batch(&stage, 9), 2);
    assert_int_equal(stage_count(&stage, "gave.up", NULL), 2);
    assert_int_equal(stage_count(&stage, "done", NULL), 2);
    assert_int_equal(info(&stage, "j").timed_out, 2);
    stage_end(&stage);
}

static void test_late_and_full(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)define(&stage, "{'join':'j','of':['a','b'],'need':'any','key':'data.k','window':60,"
                         "'emit':{'type':'done'},'late':'emit','limit':2}");
    (void)add(&stage, "a", "{'k':1}");
    (void)add(&stage, "b", "{'k':1}");
    assert_int_equal(stage_work(&stage, 9), 2);
    uint64_t last = 0;
    assert_int_equal(stage_count(&stage, "join.late", &last), 1);
    stage_assert_data(&stage, last,
                      "{\"join\":\"j\",\"event\":\"e3\",\"type\":\"b\",\"position\":3}");
    (void)add(&stage, "a", "{'k':2}");
    (void)add(&stage, "a", "{'k':3}");
    (void)add(&stage, "a", "{'k':4}");
    (void)stage_work(&stage, 9);
    assert_int_equal(stage_count(&stage, "join.full", &last), 1);
    stage_assert_data(&stage, last, "{\"join\":\"j\",\"limit\":2}");
    assert_int_equal(info(&stage, "j").refused, 2);
    assert_int_equal(stage_count(&stage, "done", NULL), 2);
    stage.now_us += 61000000;
    (void)add(&stage, "a", "{'k':5}");
    (void)add(&stage, "a", "{'k':6}");
    (void)add(&stage, "a", "{'k':7}");
    (void)stage_work(&stage, 9);
    assert_int_equal(stage_count(&stage, "join.full", NULL), 2);
    assert_int_equal(stage_count(&stage, "done", NULL), 4);
    stage_end(&stage);
}

static void test_keys_and_filters(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)define(&stage, "{'join':'j','of':[{'type':'a.*','key':'data.id'},'b'],'key':'data.ref.k',"
                         "'window':60,'filter':{'data.ok':{'$ne':false}},'emit':{'type':'done'}}");
    static const char *const without[] = {"{}",        "{'id':null}", "{'id':[]}",
                                          "{'id':{}}", "7",           "{'id':''}"};
    for (size_t i = 0; i < 6; i++) {
        (void)add(&stage, "a.x", without[i]);
    }
    assert_int_equal(info(&stage, "j").unkeyed, 6);
    (void)stage_add(&stage, "a.x", NULL, NULL);
    assert_int_equal(info(&stage, "j").unkeyed, 7);
    (void)add(&stage, "a.x", "{'id':'k\\u00e9y','ok':false}");
    (void)add(&stage, "b", "{'ref':{'k':'k\xc3\xa9y'}}");
    assert_int_equal(stage_work(&stage, 9), 0);
    (void)add(&stage, "a.y", "{'id':'k\\u00e9y'}");
    assert_int_equal(stage_work(&stage, 9), 1);
    char big[700];
    memset(big, 'x', sizeof(big));
    (void)memcpy(big, "{\"id\":\"", 7);
    (void)memcpy(big + 690, "\"}", 3);
    (void)stage_add(&stage, "a.x", NULL, big);
    assert_int_equal(info(&stage, "j").unkeyed, 8);
    stage_end(&stage);
}

/* Two joins that feed one another, one of everything: nothing goes round for ever. */
static void test_loops(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)define(&stage, "{'join':'x','of':['a','y.done'],'need':1,'key':'source','window':60,"
                         "'emit':{'type':'x.done'}}");
    (void)define(&stage, "{'join':'y','of':['x.done'],'key':'source','window':60,"
                         "'emit':{'type':'y.done'}}");
    (void)define(&stage, "{'join':'z','of':['#'],'key':'type','window':60,"
                         "'emit':{'type':'z.done'},'late':'emit'}");
    (void)add(&stage, "a", "{}");
    uint32_t done = stage_work(&stage, 1000);
    assert_true(done < 20);
    assert_int_equal(stage_work(&stage, 1000), 0);
    assert_true(stage_count(&stage, "x.done", NULL) <= 2);
    assert_int_equal(stage_count(&stage, "y.done", NULL), 1);
    stage_end(&stage);
}

/* What is complete is emitted though its join is replaced before; what is open is forgotten. */
static void test_replaced(void **state) {
    (void)state;
    struct stage stage;
    struct sp_error error;
    struct sp_event event;
    begin(&stage);
    (void)define(&stage, ONBOARDING);
    (void)add(&stage, "crm.created", "{'customer':'c1'}");
    (void)add(&stage, "crm.created", "{'customer':'c2'}");
    (void)add(&stage, "provisioning.completed", "{'customer':'c1'}");
    (void)define(&stage, "{'join':'onboarding','of':['provisioning.completed','crm.created'],"
                         "'key':'data.customer','window':'1h','emit':{'type':'all.done'}}");
    (void)add(&stage, "provisioning.completed", "{'customer':'c2'}");
    assert_int_equal(stage_work(&stage, 9), 1);
    assert_int_equal(stage_count(&stage, "onboarding.complete", NULL), 1);
    (void)add(&stage, "crm.created", "{'customer':'c2'}");
    sp_flow_out_reset(&stage.out);
    assert_int_equal(
        sp_joins_remove(stage.self, SP_STR("onboarding"), SP_STR(""), &stage.out, &error), SP_OK);
    sp_flow_out_event(&stage.out, 0, &event);
    (void)stage_append(&stage, &event);
    assert_int_equal(sp_joins_count(stage.self), 0);
    assert_int_equal(stage_work(&stage, 9), 1);
    assert_int_equal(stage_count(&stage, "all.done", NULL), 1);
    assert_int_equal(stage.watch.live, 0);
    assert_int_equal(
        sp_joins_remove(stage.self, SP_STR("onboarding"), SP_STR(""), &stage.out, &error),
        SP_NOT_FOUND);
    stage_end(&stage);
}

static void test_refused(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)define(&stage, ONBOARDING);
    (void)add(&stage, "crm.created", "{'customer':'c1'}");
    (void)add(&stage, "provisioning.completed", "{'customer':'c1'}");
    stage.refused_at = 1;
    assert_int_equal(stage_work(&stage, 9), 1);
    assert_int_equal(stage_count(&stage, "onboarding.complete", NULL), 0);
    assert_int_equal(stage_count(&stage, "join.failed", NULL), 1);
    stage_end(&stage);
}

static void test_windows(void **state) {
    (void)state;
    struct stage stage;
    struct sp_join_window windows[8];
    begin(&stage);
    (void)define(&stage, ONBOARDING);
    (void)add(&stage, "crm.created", "{'customer':'c1'}");
    (void)add(&stage, "crm.created", "{'customer':'c2'}");
    (void)add(&stage, "crm.created", "{'customer':'c3'}");
    (void)add(&stage, "provisioning.completed", "{'customer':'c2'}");
    assert_int_equal(sp_joins_windows(stage.self, SP_STR("onboarding"), 0, windows, 8), 2);
    assert_str(windows[0].key, "c1");
    assert_str(windows[1].key, "c3");
    assert_int_equal(windows[0].first_position, 2);
    assert_int_equal(windows[0].have, 1);
    assert_int_equal(windows[0].have_types, 2);
    assert_int_equal(windows[0].ends_us, START + 24 * HOUR);
    assert_int_equal(sp_joins_windows(stage.self, SP_STR("onboarding"), 1, windows, 8), 1);
    assert_str(windows[0].key, "c3");
    assert_int_equal(sp_joins_windows(stage.self, SP_STR("nobody"), 0, windows, 8), 0);
    stage_end(&stage);
}

/* Against a model of the windows: random events, steps of time, deaths, works given back. */
static void run_random(uint32_t seed) {
    enum { KEYS = 6 };
    struct sp_prng prng = sp_prng_seed(seed);
    struct stage stage;
    uint64_t first_us[KEYS] = {0};
    uint32_t seen[KEYS] = {0};
    uint32_t emissions = 0;
    uint32_t timeouts = 0;
    const uint64_t window = 20000000;
    begin(&stage);
    stage.is_quick = true;
    (void)define(&stage, "{'join':'j','of':['t0','t1','t2'],'need':2,'key':'data.k','window':20,"
                         "'emit':{'type':'done'},'on_timeout':{'type':'gave.up'},'late':'emit'}");
    for (int round = 0; round < 300; round++) {
        uint32_t dice = sp_prng_below(&prng, 12);
        uint32_t key = sp_prng_below(&prng, KEYS);
        if (dice < 7) {
            char type[8];
            char data[32];
            uint32_t bit = sp_prng_below(&prng, 3);
            (void)snprintf(type, sizeof(type), "t%u", bit);
            (void)snprintf(data, sizeof(data), "{'k':'k%u'}", key);
            (void)add(&stage, type, data);
            if (seen[key] != 0 && stage.now_us >= first_us[key] + window) {
                timeouts += __builtin_popcount(seen[key]) < 2;
                seen[key] = 0;
            }
            first_us[key] = seen[key] == 0 ? stage.now_us : first_us[key];
            uint32_t before = seen[key];
            if (__builtin_popcount(seen[key]) < 2) {
                seen[key] |= 1u << bit;
            }
            emissions += __builtin_popcount(before) < 2 && __builtin_popcount(seen[key]) == 2;
        } else if (dice < 9) {
            stage.now_us += sp_prng_below(&prng, 8) * 1000000u;
            (void)stage_work_batch(&stage, sp_prng_below(&prng, 4));
        } else if (dice == 9) {
            struct sp_flow_work lost;
            (void)sp_joins_part.next(stage.self, stage.now_us, &lost);
            stage_restart(&stage, sp_prng_below(&prng, 2) == 0);
        } else {
            struct sp_flow_work work;
            if (sp_joins_part.next(stage.self, stage.now_us, &work)) {
                sp_joins_part.back(stage.self, &work);
            }
        }
    }
    for (uint32_t key = 0; key < KEYS; key++) {
        timeouts += seen[key] != 0 && __builtin_popcount(seen[key]) < 2;
    }
    stage.now_us += window;
    (void)stage_work(&stage, UINT32_MAX);
    assert_int_equal(stage_count(&stage, "done", NULL), emissions);
    assert_int_equal(stage_count(&stage, "join.emitted", NULL), emissions);
    assert_int_equal(stage_count(&stage, "gave.up", NULL), timeouts);
    assert_int_equal(stage_count(&stage, "join.timed_out", NULL), timeouts);
    assert_int_equal(stage_count(&stage, "join.late", NULL), info(&stage, "j").late);
    stage_end(&stage);
}

static void test_deaths(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        run_random(seed);
    }
}

static void test_hostile(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)define(&stage, ONBOARDING);
    (void)add(&stage, "crm.created", "{'customer':'c1'}");
    static const char *const data[] = {
        NULL,
        "7",
        "{}",
        "{\"join\":7}",
        "{\"join\":\"onboarding\",\"key\":\"c1\"}",
        "{\"join\":\"s\",\"definition\":7}",
        "{\"join\":\"s\",\"definition\":{\"join\":\"t\",\"of\":[\"#\"],\"key\":\"id\",\"window\":1,"
        "\"emit\":{\"type\":\"x\"}}}",
    };
    static const char *const types[] = {"join.emitted", "join.failed", "join.timed_out",
                                        "join.late",    "join.full",   "other",
                                        "join.defined"};
    static const char *const numbers[] = {NULL, "0", "1", "2", "x", "18446744073709551615"};
    for (size_t t = 0; t < 7; t++) {
        for (size_t d = 0; d < 7; d++) {
            for (size_t n = 0; n < 36; n++) {
                struct sp_event event = stage_make(types[t], "$joins", data[d]);
                if (numbers[n % 6] != NULL) {
                    stage_extend(&event, "joinposition", numbers[n % 6]);
                }
                if (numbers[n / 6] != NULL) {
                    stage_extend(&event, "joindefined", numbers[n / 6]);
                }
                (void)stage_append(&stage, &event);
            }
        }
    }
    assert_int_equal(stage_work(&stage, 9), 0);
    assert_string_equal(info(&stage, "s").unusable, "it is defined by another name");
    stage_end(&stage);
}

static void test_broken_snapshots(void **state) {
    (void)state;
    struct stage stage;
    struct sp_buf bytes;
    begin(&stage);
    (void)define(&stage, ONBOARDING);
    (void)add(&stage, "crm.created", "{'customer':'c1'}");
    (void)add(&stage, "crm.created", "{'customer':'c2'}");
    (void)add(&stage, "provisioning.completed", "{'customer':'c1'}");
    sp_buf_init(&bytes, SIZE_MAX);
    sp_joins_part.encode(stage.self, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        struct sp_watch watch;
        struct sp_joins *other = NULL;
        sp_watch_init(&watch);
        assert_int_equal(sp_joins_new(&watch, &other), SP_OK);
        struct sp_wire wire = sp_wire_of(bytes.data, len);
        assert_int_equal(sp_joins_part.restore(other, &wire), SP_CORRUPT);
        sp_joins_free(other);
        sp_watch_fini(&watch);
    }
    sp_buf_fini(&bytes);
    stage_end(&stage);
}

static void assert_problem(const char *text, const char *expected) {
    char json[1024];
    struct sp_join_definition *definition = NULL;
    struct sp_error error;
    assert_int_equal(
        sp_join_definition_parse(quoted(text, json, sizeof(json)), &definition, &error),
        SP_INVALID);
    assert_string_equal(error.text, expected);
}

static void test_wrong_definitions(void **state) {
    (void)state;
    assert_problem("[]", "line 1, column 1: a join is an object, not a list");
    assert_problem("{'join':'j','of':['a'],'key':'data.k','emit':{'type':'x'}}",
                   "line 1, column 1: `window` is missing");
    assert_problem("{'join':'j','of':['a'],'key':'data.k','window':60}",
                   "line 1, column 1: `emit` is missing");
    assert_problem("{'join':'j',\n 'off':['a'],'key':'data.k','window':60,'emit':{'type':'x'}}",
                   "line 1, column 1: `of` is missing (and 1 more)");
    assert_problem("{'join':'j','of':[],'key':'data.k','window':60,'emit':{'type':'x'}}",
                   "line 1, column 18: `of`: expected a list of 1 to 16 patterns of types");
    assert_problem("{'join':'j','of':['a','a'],'key':'data.k','window':60,'emit':{'type':'x'}}",
                   "line 1, column 23: `of` names `a` twice: an event counts for the first of them "
                   "alone");
    assert_problem("{'join':'j','of':['a','b'],'need':3,'key':'k','window':60,"
                   "'emit':{'type':'x'}}",
                   "line 1, column 35: `need`: expected a whole number from 1 to 2, found 3");
    assert_problem("{'join':'j','of':['a'],'need':'some','key':'k','window':60,"
                   "'emit':{'type':'x'}}",
                   "line 1, column 31: `need`: expected all or any, found `some`");
    assert_problem("{'join':'j','of':['a'],'window':60,'emit':{'type':'x'}}",
                   "line 1, column 19: no key for it: `key` is missing, of the join or of this "
                   "event");
    assert_problem(
        "{'join':'j','of':['a'],'key':'k','window':'2y','emit':{'type':'x'}}",
        "line 1, column 43: `window`: not a duration: byte 1: expected a unit, one of us "
        "ms s m h d w");
    assert_problem("{'join':'j','of':['a'],'key':'k','window':60,'emit':{'type':'x','data':{}}}",
                   "line 1, column 72: `data`: expected a jq program in quotes, found an object");
    assert_problem("{'join':'j','of':['a'],'key':'k','window':60,'emit':{'type':'x','stream':"
                   "'saga:1'}}",
                   "line 1, column 74: the stream `saga:1` is the store's own");
    assert_problem("{'join':'j','of':['a'],'key':'k','window':60,'emit':{'type':'x'},"
                   "'filter':{'data.a':{'$foo':1}}}",
                   "line 1, column 75: `filter`: filter: `data.a`: unknown operator `$foo`");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_late_and_full),
        cmocka_unit_test(test_keys_and_filters),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_deaths),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_broken_snapshots),
        cmocka_unit_test(test_wrong_definitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
