/* Schedules: every due time once, whatever dies, and what is made of those that were missed. */
#include "flow_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "flow/schedule.h"

/* 2026-11-20T00:00:00Z */
#define START  UINT64_C(1795132800000000)
#define MINUTE UINT64_C(60000000)
#define HOUR   (MINUTE * 60)

static sp_status saga_status; /* what starting one says */

static sp_status start_saga(void *context, const struct sp_schedule_start *start,
                            const struct sp_flow_now *now, struct sp_flow_out *out,
                            struct sp_error *error) {
    char id[256];
    (void)context;
    (void)now;
    int len =
        snprintf(id, sizeof(id), "saga:%.*s:%.*s", SP_STR_ARG(start->saga), SP_STR_ARG(start->key));
    sp_flow_out_begin(out, SP_STR("saga.started"), SP_STR("saga:x"));
    sp_flow_out_attr(out, SP_ATTR_ID, sp_str_of(id, (size_t)len));
    sp_flow_out_data(out, start->data);
    return saga_status == SP_OK ? SP_OK : sp_error_set(error, saga_status, "no saga is called so");
}

static void *make(struct stage *stage) {
    (void)stage;
    struct sp_schedules *schedules = NULL;
    assert_int_equal(
        sp_schedules_new(&schedules, (struct sp_schedule_starter){.start = start_saga}), SP_OK);
    return schedules;
}

static void drop(void *self) {
    sp_schedules_free(self);
}

static struct stage new_stage(void) {
    struct stage stage = {.ops = &sp_schedules_part, .make = make, .drop = drop, .now_us = START};
    saga_status = SP_OK;
    stage_begin(&stage);
    return stage;
}

/* JSON with ' for ". */
static sp_str quoted(const char *text, char *to, size_t size) {
    int len = snprintf(to, size, "%s", text);
    for (char *at = to; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return sp_str_of(to, (size_t)len);
}

/* As the engine does it. False: the same is there. */
static bool define(struct stage *stage, const char *text) {
    char json[1024];
    struct sp_schedule_definition *definition = NULL;
    struct sp_rule_defined defined;
    struct sp_error error;
    struct sp_event event;
    if (sp_schedule_definition_parse(quoted(text, json, sizeof(json)), &definition, &error) !=
        SP_OK) {
        fail_msg("%s", error.text);
    }
    sp_flow_out_reset(&stage->out);
    assert_int_equal(
        sp_schedules_define(stage->self, definition, SP_STR("ann"), &stage->out, &defined, &error),
        SP_OK);
    sp_schedule_definition_free(definition);
    assert_int_equal(stage->out.count, defined.is_unchanged ? 0 : 1);
    if (!defined.is_unchanged) {
        sp_flow_out_event(&stage->out, 0, &event);
        (void)stage_append(stage, &event);
    }
    return !defined.is_unchanged;
}

static void remove_it(struct stage *stage, const char *name) {
    struct sp_error error;
    struct sp_event event;
    sp_flow_out_reset(&stage->out);
    assert_int_equal(
        sp_schedules_remove(stage->self, sp_str_from(name), SP_STR("ann"), &stage->out, &error),
        SP_OK);
    sp_flow_out_event(&stage->out, 0, &event);
    (void)stage_append(stage, &event);
}

static struct sp_schedule_info info(struct stage *stage, const char *name) {
    struct sp_schedule_info found;
    assert_true(sp_schedules_find(stage->self, sp_str_from(name), &found));
    return found;
}

static void run_until(struct stage *stage, uint64_t until_us) {
    while (stage_advance(stage, until_us)) {
    }
}

static void test_every(void **state) {
    (void)state;
    struct stage stage = new_stage();
    assert_true(define(&stage, "{'schedule':'pulse','every':'10m','emit':{'type':'beat'}}"));
    assert_false(define(&stage, "{'schedule':'pulse','every':'10m','emit':{'type':'beat'}}"));
    stage_assert_data(
        &stage, 1,
        "{\"schedule\":\"pulse\",\"sha256\":\"a222dacc8dba43fa0c23"
        "0bb1c1f122bb8c1d6a8056f18b2232a1d6df3dc4a193\",\"by\":\"ann\",\"definition\":{"
        "\"schedule\":\"pulse\",\"every\":\"10m\",\"emit\":{\"type\":\"beat\"}}}");
    assert_int_equal(info(&stage, "pulse").next_us, START + 10 * MINUTE);
    run_until(&stage, START + 35 * MINUTE);
    assert_int_equal(stage_count(&stage, "beat", NULL), 3);
    assert_int_equal(stage_count(&stage, "schedule.fired", NULL), 3);
    stage_assert_attr(&stage, 2, SP_ATTR_ID, "schedule:pulse:2026-11-20T00:10:00.000000Z");
    stage_assert_attr(&stage, 2, SP_ATTR_TIME, "2026-11-20T00:10:00.000000Z");
    stage_assert_attr(&stage, 2, SP_ATTR_STREAM, "schedule:pulse");
    stage_assert_data(&stage, 2, "{\"schedule\":\"pulse\",\"at\":\"2026-11-20T00:10:00.000000Z\"}");
    stage_assert_data(&stage, 3,
                      "{\"schedule\":\"pulse\",\"at\":\"2026-11-20T00:10:00.000000Z\","
                      "\"event\":\"schedule:pulse:2026-11-20T00:10:00.000000Z\"}");
    assert_int_equal(info(&stage, "pulse").fired, 3);
    assert_int_equal(info(&stage, "pulse").last_us, START + 30 * MINUTE);
    stage_end(&stage);
}

static void test_cron_starts_a_saga(void **state) {
    (void)state;
    struct stage stage = new_stage();
    (void)define(&stage, "{'schedule':'nightly','cron':'0 3 * * *','timezone':'+02:00',"
                         "'start':{'saga':'report','data':{'n':1}}}");
    assert_int_equal(info(&stage, "nightly").next_us, START + HOUR);
    run_until(&stage, START + 26 * HOUR);
    assert_int_equal(stage_count(&stage, "saga.started", NULL), 2);
    stage_assert_attr(&stage, 2, SP_ATTR_ID, "saga:report:nightly:2026-11-20T01:00:00.000000Z");
    stage_assert_data(&stage, 2, "{\"n\":1}");
    stage_assert_data(&stage, 3,
                      "{\"schedule\":\"nightly\",\"at\":\"2026-11-20T01:00:00.000000Z\",\"saga\":"
                      "\"report\",\"key\":\"nightly:2026-11-20T01:00:00.000000Z\"}");
    saga_status = SP_NOT_FOUND;
    run_until(&stage, START + 50 * HOUR);
    uint64_t last = 0;
    assert_int_equal(stage_count(&stage, "saga.started", NULL), 2);
    assert_int_equal(stage_count(&stage, "schedule.failed", &last), 1);
    stage_assert_data(&stage, last,
                      "{\"schedule\":\"nightly\",\"at\":\"2026-11-22T01:00:00.000000Z\",\"saga\":"
                      "\"report\",\"key\":\"nightly:2026-11-22T01:00:00.000000Z\",\"error\":"
                      "\"no saga is called so\"}");
    stage_end(&stage);
}

/* Nobody works for a while: what each way of catching up makes of it. */
static uint32_t after_a_sleep(const char *catch_up, uint64_t sleep_us, const char **ret_last) {
    static char last_data[256];
    char text[256];
    struct stage stage = new_stage();
    (void)snprintf(text, sizeof(text), "{'schedule':'s','every':'10m',%s'emit':{'type':'beat'}}",
                   catch_up);
    (void)define(&stage, text);
    stage.is_quick = true;
    run_until(&stage, START + 10 * MINUTE);
    stage.now_us += sleep_us;
    (void)stage_work(&stage, UINT32_MAX);
    uint32_t count = stage_count(&stage, "beat", NULL) - 1;
    sp_str data = stage_event(&stage, stage.count)->data;
    (void)snprintf(last_data, sizeof(last_data), "%.*s", SP_STR_ARG(data));
    *ret_last = last_data;
    assert_int_equal(info(&stage, "s").next_us,
                     (stage.now_us - START) / (10 * MINUTE) * (10 * MINUTE) + START + 10 * MINUTE);
    stage_end(&stage);
    return count;
}

static void test_catching_up(void **state) {
    (void)state;
    const char *last = NULL;
    assert_int_equal(after_a_sleep("", 35 * MINUTE, &last), 3);
    assert_null(strstr(last, "skipped"));
    assert_int_equal(after_a_sleep("'catch_up':'last',", 35 * MINUTE, &last), 1);
    assert_non_null(strstr(last, "\"at\":\"2026-11-20T00:40:00.000000Z\""));
    assert_non_null(strstr(last, "\"skipped_from\":\"2026-11-20T00:20:00.000000Z\""));
    assert_int_equal(after_a_sleep("'catch_up':'none',", 35 * MINUTE, &last), 0);
    assert_string_equal(last, "{\"schedule\":\"s\",\"from\":\"2026-11-20T00:20:00.000000Z\",\"to\":"
                              "\"2026-11-20T00:40:00.000000Z\"}");
    /* A little late is not missed. */
    assert_int_equal(after_a_sleep("'catch_up':'none',", 10 * MINUTE + 30000000, &last), 1);
    assert_int_equal(after_a_sleep("'catch_up':'none',", 30 * MINUTE + 30000000, &last), 1);
    /* More than are caught up. */
    assert_int_equal(after_a_sleep("", 1500 * 10 * MINUTE, &last), SP_SCHEDULE_CATCH_UP_MAX);
}

static void test_cron_catches_up(void **state) {
    (void)state;
    struct stage stage = new_stage();
    (void)define(&stage, "{'schedule':'c','cron':'*/5 * * * *','emit':{'type':'beat'}}");
    stage.is_quick = true;
    stage.now_us += 30 * 24 * HOUR + MINUTE; /* 8640 due times */
    (void)stage_work(&stage, UINT32_MAX);
    assert_int_equal(stage_count(&stage, "beat", NULL), SP_SCHEDULE_CATCH_UP_MAX);
    assert_int_equal(info(&stage, "c").last_us, START + 30 * 24 * HOUR);
    uint64_t first = 2;
    stage_assert_attr(&stage, first, SP_ATTR_TYPE, "beat");
    assert_non_null(strstr((const char *)stage_event(&stage, 3)->data.ptr,
                           "\"skipped_from\":\"2026-11-20T00:05:00.000000Z\""));
    stage_end(&stage);
}

/* Replaced, paused, removed and defined anew: nothing twice, and nothing of the time between. */
static void test_changes(void **state) {
    (void)state;
    struct stage stage = new_stage();
    (void)define(&stage, "{'schedule':'s','cron':'*/10 * * * *','emit':{'type':'beat'}}");
    run_until(&stage, START + 25 * MINUTE);
    assert_int_equal(stage_count(&stage, "beat", NULL), 2);
    (void)define(&stage,
                 "{'schedule':'s','cron':'*/10 * * * *','emit':{'type':'beat'},'paused':true}");
    run_until(&stage, START + 45 * MINUTE);
    assert_true(info(&stage, "s").is_paused);
    assert_int_equal(stage_count(&stage, "beat", NULL), 2);
    (void)define(&stage, "{'schedule':'s','cron':'*/10 * * * *','emit':{'type':'beat'}}");
    run_until(&stage, START + 55 * MINUTE);
    assert_int_equal(stage_count(&stage, "beat", NULL), 3);
    assert_int_equal(info(&stage, "s").last_us, START + 50 * MINUTE);
    remove_it(&stage, "s");
    run_until(&stage, START + 75 * MINUTE);
    assert_int_equal(stage_count(&stage, "beat", NULL), 3);
    assert_int_equal(sp_schedules_count(stage.self), 0);
    struct sp_error error;
    assert_int_equal(sp_schedules_remove(stage.self, SP_STR("s"), SP_STR(""), &stage.out, &error),
                     SP_NOT_FOUND);
    assert_string_equal(error.text, "no schedule is called s");
    stage_end(&stage);
}

static void test_bounds(void **state) {
    (void)state;
    struct stage stage = new_stage();
    (void)define(&stage, "{'schedule':'s','every':3600,'from':'2026-11-20T05:30:00Z',"
                         "'until':'2026-11-20T07:30:00Z','emit':{'type':'beat'}}");
    assert_int_equal(info(&stage, "s").next_us, START + 5 * HOUR + 30 * MINUTE);
    run_until(&stage, START + 48 * HOUR);
    assert_int_equal(stage_count(&stage, "beat", NULL), 2);
    assert_true(info(&stage, "s").next_us == UINT64_MAX);
    assert_true(sp_schedules_part.due(stage.self) == UINT64_MAX);
    /* From a time that has passed: in step with it, and nothing of the past. */
    (void)define(&stage, "{'schedule':'t','every':'1d','from':'2020-01-01T12:00:00Z',"
                         "'emit':{'type':'noon'}}");
    assert_int_equal(info(&stage, "t").next_us, START + 60 * HOUR);
    stage_end(&stage);
}

/* The process dies at random moments, also between an act and its append. */
static void test_deaths(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct sp_prng prng = sp_prng_seed(seed);
        struct stage stage = new_stage();
        stage.is_quick = true;
        (void)define(&stage, "{'schedule':'a','every':'7s','emit':{'type':'a.beat'}}");
        (void)define(&stage, "{'schedule':'b','cron':'* * * * *','emit':{'type':'b.beat'}}");
        for (int round = 0; round < 60; round++) {
            struct sp_flow_work lost;
            stage.now_us += sp_prng_below(&prng, 90) * 1000000u;
            (void)stage_work_batch(&stage, sp_prng_below(&prng, 5));
            if (sp_prng_below(&prng, 3) == 0) {
                (void)sp_schedules_part.next(stage.self, stage.now_us, &lost);
                stage_restart(&stage, sp_prng_below(&prng, 2) == 0);
            } else if (sp_schedules_part.next(stage.self, stage.now_us, &lost)) {
                sp_schedules_part.back(stage.self, &lost);
            }
        }
        (void)stage_work(&stage, UINT32_MAX);
        uint64_t passed = stage.now_us - START;
        assert_int_equal(stage_count(&stage, "a.beat", NULL), passed / 7000000);
        assert_int_equal(stage_count(&stage, "b.beat", NULL), passed / MINUTE);
        stage_end(&stage);
    }
}

static void test_refused(void **state) {
    (void)state;
    struct stage stage = new_stage();
    (void)define(&stage, "{'schedule':'s','every':'1m','emit':{'type':'beat'}}");
    stage.refused_at = 1;
    run_until(&stage, START + 2 * MINUTE);
    uint64_t last = 0;
    assert_int_equal(stage_count(&stage, "schedule.failed", &last), 1);
    assert_non_null(strstr((const char *)stage_event(&stage, last)->data.ptr,
                           "\"error\":\"a schema does not allow it\""));
    assert_int_equal(stage_count(&stage, "beat", NULL), 1);
    stage_end(&stage);
}

static void test_hostile(void **state) {
    (void)state;
    struct stage stage = new_stage();
    static const char *const data[] = {
        NULL,
        "7",
        "[]",
        "{}",
        "{\"schedule\":7}",
        "{\"schedule\":\"\"}",
        "{\"schedule\":\"a\\u0000b\",\"definition\":{}}",
        "{\"schedule\":\"s\"}",
        "{\"schedule\":\"s\",\"definition\":7}",
        "{\"schedule\":\"s\",\"definition\":{\"schedule\":\"t\",\"every\":\"1m\",\"emit\":"
        "{\"type\":\"x\"}}}",
    };
    static const char *const types[] = {"schedule.defined", "schedule.fired",   "schedule.skipped",
                                        "schedule.failed",  "schedule.removed", "other"};
    static const char *const numbers[] = {NULL, "0", "5", "x", "18446744073709551615"};
    for (size_t t = 0; t < 6; t++) {
        for (size_t d = 0; d < sizeof(data) / sizeof(data[0]); d++) {
            for (size_t n = 0; n < 5; n++) {
                struct sp_event event = stage_make(types[t], "$schedules", data[d]);
                if (numbers[n] != NULL) {
                    stage_extend(&event, "dueus", numbers[n]);
                }
                (void)stage_append(&stage, &event);
                if (t == 0 && d == 9) {
                    assert_string_equal(info(&stage, "s").unusable,
                                        "it is defined by another name");
                }
            }
        }
    }
    assert_int_equal(stage_work(&stage, 9), 0);
    stage_end(&stage);
}

static void assert_problem(const char *text, const char *expected) {
    char json[1024];
    struct sp_schedule_definition *definition = NULL;
    struct sp_error error;
    assert_int_equal(
        sp_schedule_definition_parse(quoted(text, json, sizeof(json)), &definition, &error),
        SP_INVALID);
    assert_string_equal(error.text, expected);
}

static void test_wrong_definitions(void **state) {
    (void)state;
    assert_problem("7", "line 1, column 1: a schedule is an object, not a number");
    assert_problem("{'schedule':'s','evry':'1m','emit':{'type':'x'}}",
                   "line 1, column 1: exactly one of `cron` and `every` says when (and 1 more)");
    assert_problem("{'schedule':'s','every':'1m','emit':{'type':'x'},\n 'untill':'2026'}",
                   "line 2, column 2: a schedule has no key `untill`; did you mean `until`?");
    assert_problem("{'schedule':'s','every':'1m',\n'cron':'@daily','emit':{'type':'x'}}",
                   "line 1, column 17: exactly one of `cron` and `every` says when");
    assert_problem("{'schedule':'s','every':'10ms','emit':{'type':'x'}}",
                   "line 1, column 25: `every`: 10ms is not between 1s and 365d");
    assert_problem("{'schedule':'s','cron':'0 25 * * *','emit':{'type':'x'}}",
                   "line 1, column 24: `cron`: hour: the number is too large; expected 0 to 23, as "
                   "in *, 5, 1-5, */10 or 1,3");
    assert_problem(
        "{'schedule':'s','cron':'@daily','timezone':'Europe/Berlin',"
        "'emit':{'type':'x'}}",
        "line 1, column 44: `timezone`: 'Europe/Berlin' is no time zone: expected UTC or "
        "an offset as +02:00; names of zones are not known here");
    assert_problem("{'schedule':'s','every':'1m'}",
                   "line 1, column 1: exactly one of `start` and `emit` says what is done");
    assert_problem("{'schedule':'s','every':'1m','emit':{'data':1}}",
                   "line 1, column 37: `type` is missing");
    assert_problem("{'schedule':'s','every':'1m','emit':{'type':'x','stream':'$joins'}}",
                   "line 1, column 58: the stream `$joins` is the store's own");
    assert_problem("{'schedule':'s','every':'1m','start':{}}",
                   "line 1, column 38: `saga` is missing");
    assert_problem("{'schedule':'s','every':'1m','emit':{'type':'x'},'catch_up':'some'}",
                   "line 1, column 61: `catch_up`: expected all, last or none, found `some`");
    assert_problem("{'schedule':'s s','every':'1m','emit':{'type':'x'}}",
                   "line 1, column 13: `s s` is no name: a letter, then letters, digits, `_`, `-`, "
                   "`.`, at most 63");
    assert_problem("{'schedule':'s','every':'1m','emit':{'type':'x'},"
                   "'from':'2026-01-02T00:00:00Z','until':'2026-01-01T00:00:00Z'}",
                   "line 1, column 88: `until` is not behind `from`");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every),       cmocka_unit_test(test_cron_starts_a_saga),
        cmocka_unit_test(test_catching_up), cmocka_unit_test(test_cron_catches_up),
        cmocka_unit_test(test_changes),     cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_deaths),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hostile),     cmocka_unit_test(test_wrong_definitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
