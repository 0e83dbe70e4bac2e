/* Delayed events: once, in time, whatever dies; cancelled ones never; lists by time. */
#include "flow_help.h"

#include <stdio.h>
#include <stdlib.h>

#include "flow/delayed.h"

#define START UINT64_C(1700000000000000)

static void *make(struct stage *stage) {
    (void)stage;
    struct sp_delayed *delayed = NULL;
    assert_int_equal(sp_delayed_new(&delayed), SP_OK);
    return delayed;
}

static void drop(void *self) {
    sp_delayed_free(self);
}

static struct stage new_stage(void) {
    struct stage stage = {.ops = &sp_delayed_part, .make = make, .drop = drop};
    stage_begin(&stage);
    return stage;
}

/* As the engine does it for an append with deliverat. */
static uint64_t delay(struct stage *stage, const char *id, uint64_t due_us) {
    struct sp_error error;
    struct sp_flow_out out;
    struct sp_event event = stage_make("reminder.sent", "reminders", "{\"n\":1}");
    struct sp_event wrapped;
    event.attr[SP_ATTR_ID] = sp_str_from(id);
    event.attr[SP_ATTR_SOURCE] = SP_STR("ann");
    event.attr[SP_ATTR_METADATA] = SP_STR("{\"a\":\"b\"}");
    event.attr[SP_ATTR_CORRELATION] = SP_STR("run-1");
    stage_extend(&event, "priority", "7");
    sp_flow_out_init(&out);
    assert_int_equal(sp_delayed_wrap(stage->self, &event, due_us, &out, &error), SP_OK);
    assert_int_equal(out.count, 1);
    sp_flow_out_event(&out, 0, &wrapped);
    uint64_t position = stage_append(stage, &wrapped);
    sp_flow_out_fini(&out);
    return position;
}

static void test_once_and_in_time(void **state) {
    (void)state;
    struct stage stage = new_stage();
    assert_int_equal(delay(&stage, "r1", START + 1000), 1);
    assert_int_equal(sp_delayed_part.due(stage.self), START + 1000);
    assert_int_equal(sp_delayed_part.oldest(stage.self), 1);
    stage.now_us = START + 999;
    assert_int_equal(stage_work(&stage, 9), 0);
    stage.now_us = START + 1000;
    assert_int_equal(stage_work(&stage, 9), 1);
    assert_int_equal(stage.count, 3);
    const struct sp_event *event = stage_event(&stage, 2);
    assert_str(event->attr[SP_ATTR_TYPE], "reminder.sent");
    assert_str(event->attr[SP_ATTR_ID], "r1");
    assert_str(event->attr[SP_ATTR_SOURCE], "ann");
    assert_str(event->attr[SP_ATTR_STREAM], "reminders");
    assert_str(event->attr[SP_ATTR_CORRELATION], "run-1");
    assert_str(event->attr[SP_ATTR_METADATA], "{\"a\":\"b\"}");
    assert_str(event->data, "{\"n\":1}");
    assert_int_equal(event->extension_count, 2);
    assert_str(event->extensions[0].name, "priority");
    assert_str(event->extensions[1].name, "delayedposition");
    assert_str(event->extensions[1].value, "1");
    stage_assert_attr(&stage, 3, SP_ATTR_TYPE, "event.due");
    stage_assert_attr(&stage, 3, SP_ATTR_STREAM, "$delayed");
    stage_assert_data(&stage, 3,
                      "{\"id\":\"r1\",\"source\":\"ann\",\"due\":\"2023-11-14T22:13:20.001000Z\"}");
    assert_int_equal(sp_delayed_count(stage.self), 0);
    assert_true(sp_delayed_part.oldest(stage.self) == UINT64_MAX);
    stage.now_us += 1000000;
    assert_int_equal(stage_work(&stage, 9), 0);
    stage_end(&stage);
}

static void cancel(struct stage *stage, const char *id) {
    struct sp_error error;
    struct sp_event event;
    struct sp_delayed_cancel ask = {
        .id = sp_str_from(id), .by = SP_STR("bob"), .why = SP_STR("no \"need\"")};
    sp_flow_out_reset(&stage->out);
    assert_int_equal(sp_delayed_cancel(stage->self, &ask, stage_ports(stage), &stage->out, &error),
                     SP_OK);
    sp_flow_out_event(&stage->out, 0, &event);
    (void)stage_append(stage, &event);
}

static void test_cancel(void **state) {
    (void)state;
    struct stage stage = new_stage();
    struct sp_error error;
    struct sp_delayed_info info;
    (void)delay(&stage, "r1", START + 1000);
    (void)delay(&stage, "r2", START + 1000);
    assert_int_equal(sp_delayed_find(stage.self, stage_ports(&stage), SP_STR("ann"), SP_STR("r2"),
                                     &info, &error),
                     SP_OK);
    assert_int_equal(info.position, 2);
    assert_int_equal(info.due_us, START + 1000);
    assert_int_equal(sp_delayed_find(stage.self, stage_ports(&stage), SP_STR("eve"), SP_STR("r2"),
                                     &info, &error),
                     SP_NOT_FOUND);
    assert_string_equal(error.text, "no delayed event waits by the id r2");
    cancel(&stage, "r2");
    stage_assert_attr(&stage, 3, SP_ATTR_TYPE, "event.cancelled");
    stage_assert_data(&stage, 3,
                      "{\"id\":\"r2\",\"due\":\"2023-11-14T22:13:20.001000Z\",\"by\":\"bob\","
                      "\"why\":\"no \\\"need\\\"\"}");
    stage.now_us = START + 5000;
    assert_int_equal(stage_work(&stage, 9), 1);
    assert_int_equal(stage_count(&stage, "reminder.sent", NULL), 1);
    struct sp_delayed_cancel ask = {.id = SP_STR("r2")};
    sp_flow_out_reset(&stage.out);
    assert_int_equal(sp_delayed_cancel(stage.self, &ask, stage_ports(&stage), &stage.out, &error),
                     SP_NOT_FOUND);
    stage_end(&stage);
}

/* The same id of two sources: each is found by its own, and none by the id alone. */
static void test_two_sources(void **state) {
    (void)state;
    struct stage stage = new_stage();
    struct sp_error error;
    struct sp_delayed_info info;
    (void)delay(&stage, "x", START + 1000);
    struct sp_event event =
        stage_make("event.delayed", "$delayed", "{\"id\":\"x\",\"source\":\"bob\",\"type\":\"t\"}");
    stage_extend(&event, "dueus", "1700000000005000");
    (void)stage_append(&stage, &event);
    const struct sp_flow_ports *ports = stage_ports(&stage);
    assert_int_equal(sp_delayed_find(stage.self, ports, SP_STR(""), SP_STR("x"), &info, &error),
                     SP_CONFLICT);
    assert_int_equal(sp_delayed_find(stage.self, ports, SP_STR("bob"), SP_STR("x"), &info, &error),
                     SP_OK);
    assert_int_equal(info.position, 2);
    stage_end(&stage);
}

/* Cancelled between being taken and acted upon; given back; refused by the log. */
static void test_between(void **state) {
    (void)state;
    struct stage stage = new_stage();
    struct sp_flow_work work;
    struct sp_error error;
    struct sp_flow_now now = {.now_us = START + 1000, .ports = stage_ports(&stage)};
    (void)delay(&stage, "r1", START + 1000);
    assert_true(sp_delayed_part.next(stage.self, START + 1000, &work));
    assert_false(sp_delayed_part.next(stage.self, START + 1000, &work));
    sp_delayed_part.back(stage.self, &work);
    assert_true(sp_delayed_part.next(stage.self, START + 1000, &work));
    cancel(&stage, "r1");
    sp_flow_out_reset(&stage.out);
    assert_int_equal(sp_delayed_part.act(stage.self, &work, &now, &stage.out, &error),
                     SP_NOT_FOUND);
    sp_delayed_part.back(stage.self, &work);
    assert_false(sp_delayed_part.next(stage.self, UINT64_MAX - 1, &work));

    (void)delay(&stage, "r2", START + 1000);
    stage.now_us = START + 1000;
    stage.refused_at = stage.acts + 1;
    assert_int_equal(stage_work(&stage, 9), 1);
    uint64_t last = 0;
    assert_int_equal(stage_count(&stage, "event.due", &last), 1);
    assert_int_equal(stage_count(&stage, "reminder.sent", NULL), 0);
    stage_assert_data(&stage, last,
                      "{\"id\":\"r2\",\"source\":\"ann\",\"due\":\"2023-11-14T22:13:20.001000Z\","
                      "\"refused\":\"a schema does not allow it\"}");
    stage_end(&stage);
}

static void test_list(void **state) {
    (void)state;
    struct stage stage = new_stage();
    struct sp_prng prng = sp_prng_seed(4);
    stage.is_quick = true;
    for (int i = 0; i < 500; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "r%d", i);
        (void)delay(&stage, id, START + 1 + sp_prng_below(&prng, 100));
    }
    struct sp_delayed_info infos[37];
    struct sp_delayed_info last = {.position = 0};
    size_t all = 0;
    size_t count = 0;
    while ((count = sp_delayed_list(stage.self, last, infos, 37)) > 0) {
        for (size_t i = 0; i < count; i++) {
            assert_true(infos[i].due_us > last.due_us ||
                        (infos[i].due_us == last.due_us && infos[i].position > last.position));
            last = infos[i];
        }
        all += count;
    }
    assert_int_equal(all, 500);
    assert_int_equal(sp_delayed_list(stage.self, (struct sp_delayed_info){0, 0}, infos, 0), 0);
    stage_end(&stage);
}

/* Garbage of other versions, or of an import: nothing breaks, and nothing waits for ever. */
static void test_hostile(void **state) {
    (void)state;
    struct stage stage = new_stage();
    static const char *const data[] = {
        NULL, "7", "[]", "{}", "{\"id\":7}", "{\"id\":\"\"}", "{\"id\":\"a\"", "\"x\"",
    };
    static const char *const types[] = {"event.delayed", "event.due", "event.cancelled", "other"};
    static const char *const numbers[] = {NULL, "0", "1", "-1", "1e9", "99999999999999999999", ""};
    for (size_t t = 0; t < 4; t++) {
        for (size_t d = 0; d < sizeof(data) / sizeof(data[0]); d++) {
            for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
                struct sp_event event = stage_make(types[t], "$delayed", data[d]);
                if (numbers[n] != NULL) {
                    stage_extend(&event, "dueus", numbers[n]);
                    stage_extend(&event, "delayedposition", numbers[n]);
                }
                (void)stage_append(&stage, &event);
            }
        }
    }
    assert_int_equal(stage_work(&stage, 9), 2); /* those that have an id, and a time */
    assert_int_equal(sp_delayed_count(stage.self), 0);
    /* One that can be told, but not be read as an event. */
    struct sp_event event =
        stage_make("event.delayed", "$delayed", "{\"id\":\"a\",\"time\":\"?\"}");
    stage_extend(&event, "dueus", "5");
    uint64_t at = stage_append(&stage, &event);
    assert_int_equal(sp_delayed_count(stage.self), 1);
    assert_int_equal(stage_work(&stage, 9), 1);
    assert_int_equal(sp_delayed_count(stage.self), 0);
    assert_int_equal(stage.count, at + 1);
    stage_assert_attr(&stage, at + 1, SP_ATTR_TYPE, "event.due");
    stage_end(&stage);
}

/* Random delays, cancellations, steps of time and deaths: each happens once or was cancelled. */
static void test_deaths(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct sp_prng prng = sp_prng_seed(seed);
        struct stage stage = new_stage();
        stage.is_quick = true;
        uint32_t made = 0;
        uint32_t cancelled = 0;
        for (int round = 0; round < 150; round++) {
            char id[16];
            uint32_t dice = sp_prng_below(&prng, 10);
            if (dice < 5) {
                (void)snprintf(id, sizeof(id), "r%u", made++);
                (void)delay(&stage, id, stage.now_us + 1 + sp_prng_below(&prng, 100));
            } else if (dice < 7) {
                stage.now_us += sp_prng_below(&prng, 40);
                (void)stage_work_batch(&stage, sp_prng_below(&prng, 4));
            } else if (dice == 7) {
                struct sp_flow_work lost; /* taken, and then the process dies */
                (void)sp_delayed_part.next(stage.self, stage.now_us, &lost);
                stage_restart(&stage, sp_prng_below(&prng, 2) == 0);
            } else if (dice == 8) {
                struct sp_delayed_info one;
                if (sp_delayed_list(stage.self, (struct sp_delayed_info){0, 0}, &one, 1) == 1) {
                    struct sp_event event = stage_make("event.cancelled", "$delayed", NULL);
                    char position[24];
                    char data[160];
                    (void)snprintf(position, sizeof(position), "%d", (int)one.position);
                    /* Its id is what the delayed event says. */
                    sp_str text = stage_event(&stage, one.position)->data;
                    const char *end = memchr(text.ptr, ',', text.len);
                    int len =
                        snprintf(data, sizeof(data), "%.*s}", (int)(end - text.ptr), text.ptr);
                    event.data = sp_str_of(data, (size_t)len);
                    event.has_data = event.data_is_json = true;
                    stage_extend(&event, "delayedposition", position);
                    (void)stage_append(&stage, &event);
                    cancelled++;
                }
            }
        }
        stage.now_us += 1000;
        (void)stage_work(&stage, UINT32_MAX);
        assert_int_equal(sp_delayed_count(stage.self), 0);
        assert_int_equal(stage_count(&stage, "reminder.sent", NULL), made - cancelled);
        assert_int_equal(stage_count(&stage, "event.due", NULL), made - cancelled);
        stage_end(&stage);
    }
}

static void test_broken_snapshots(void **state) {
    (void)state;
    struct stage stage = new_stage();
    struct sp_buf bytes;
    for (int i = 0; i < 5; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "r%d", i);
        (void)delay(&stage, id, START + 10);
    }
    sp_buf_init(&bytes, SIZE_MAX);
    sp_delayed_part.encode(stage.self, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        void *other = make(&stage);
        struct sp_wire wire = sp_wire_of(bytes.data, len);
        assert_int_equal(sp_delayed_part.restore(other, &wire), SP_CORRUPT);
        drop(other);
    }
    sp_buf_fini(&bytes);
    stage_end(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_and_in_time),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_two_sources),
        cmocka_unit_test(test_between),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_deaths),
        cmocka_unit_test(test_broken_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
