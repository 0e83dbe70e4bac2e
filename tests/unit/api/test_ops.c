/*
 * Control records: gathered, in place, alone in blocks and segments; after any reopening the same
 * state.
 */
#include "helper.h"

#include "../engine/bus_help.h"

#include <stdio.h>
#include <stdlib.h>

enum { SEGMENT = 1 << 20 };

static const struct sp_group *group_of(struct bus_help *help, const char *key, const char *name) {
    return sp_group_find(&sp_engine_core(help->engine)->groups, sp_str_from(key),
                         sp_str_from(name));
}

/* A group by ops alone. */
static void make_group(struct bus_help *help, const char *key, const char *name,
                       enum sp_engine_ops_way way) {
    struct sp_buf ops;
    struct sp_error error;
    struct sp_group_cursor cursor = {.position = 0};
    sp_buf_init(&ops, 1 << 20);
    bus_ok(sp_group_make(&sp_engine_core(help->engine)->groups, sp_str_from(key), sp_str_from(name),
                         &cursor, &ops, &error),
           &error);
    bus_ok(sp_engine_ops(help->engine, sp_buf_str(&ops), way, &error), &error);
    sp_buf_fini(&ops);
}

static void verify_folder(void) {
    spoor_error error;
    help_ok(spoor_verify(help_folder, NULL, NULL, NULL, &error), &error);
}

static void test_ops_are_there_again(void **state) {
    (void)state;
    static const enum sp_engine_ops_way ways[] = {SP_OPS_ORDERED, SP_OPS_GATHERED, SP_OPS_LAZY,
                                                  SP_OPS_WEAK};
    struct bus_help help = {.wall_us = 0};
    bus_open(&help);
    char name[24];
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "g%d", i);
        make_group(&help, "k", name, ways[i % 4]);
        if (i % 3 == 0) {
            (void)bus_put(&help, "k", "t", "1");
        }
        if (i % 7 == 0) {
            bus_settle(&help);
        }
        if (i % 10 == 0) {
            bus_reopen(&help);
        }
    }
    bus_reopen(&help);
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "g%d", i);
        assert_non_null(group_of(&help, "k", name));
    }
    bus_close(&help);
    verify_folder();
}

/* Nobody asked for them to be written, and after a while they are all the same. */
static void test_lazy_ops_are_written_in_time(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    bus_open(&help);
    uint64_t gate = sp_engine_gate(help.engine);
    make_group(&help, "k", "g", SP_OPS_LAZY);
    assert_int_equal(sp_engine_gate(help.engine), gate);
    assert_false(sp_engine_must_wait(help.engine));
    assert_in_range(sp_engine_ops_wait_ms(help.engine), 1, 101);
    (void)sp_engine_poll(help.engine);
    assert_int_equal(sp_engine_gate(help.engine), gate);
    bus_sleep(&help, 101);
    assert_int_equal(sp_engine_ops_wait_ms(help.engine), 0);
    (void)sp_engine_poll(help.engine);
    assert_int_equal(sp_engine_gate(help.engine), gate + 1);
    make_group(&help, "k", "weak", SP_OPS_WEAK);
    bus_sleep(&help, 100000);
    assert_int_equal(sp_engine_ops_wait_ms(help.engine), -1);
    assert_int_equal(sp_engine_gate(help.engine), gate + 1);
    bus_close(&help);
    bus_open(&help);
    assert_non_null(group_of(&help, "k", "g"));
    assert_non_null(group_of(&help, "k", "weak"));
    bus_close(&help);
}

static void test_all_between_begin_and_end_is_one_block(void **state) {
    (void)state;
    struct bus_help help = {.segment_bytes = SEGMENT};
    struct sp_error error;
    bus_open(&help);
    (void)bus_put(&help, "a", "t", "1");
    uint64_t before = sp_engine_gate(help.engine);
    bus_settle(&help);
    bus_ok(sp_engine_begin(help.engine, 60000, 30, &error), &error);
    for (int i = 0; i < 10; i++) {
        char name[24];
        (void)snprintf(name, sizeof(name), "g%d", i);
        (void)bus_put(&help, "a", "t", "2");
        make_group(&help, "k", name, i % 2 == 0 ? SP_OPS_ORDERED : SP_OPS_GATHERED);
    }
    static char large[50000];
    memset(large, '7', sizeof(large) - 1);
    struct sp_key key = bus_key(&help, "a");
    struct sp_event event = {.data = sp_str_from(large), .has_data = true};
    event.attr[SP_ATTR_TYPE] = SP_STR("t");
    event.attr[SP_ATTR_SOURCE] = SP_STR("s");
    const struct sp_event again = event; /* adding completes it in place */
    struct sp_bus_added added;
    struct sp_bus_add add = {.key = &key, .event = &event};
    bus_ok(sp_bus_add(help.bus, &add, &added, &error), &error);
    event = again;
    assert_int_equal(sp_bus_add(help.bus, &add, &added, &error), SP_LIMIT);
    sp_engine_end(help.engine);
    assert_int_equal(sp_engine_gate(help.engine), before + 1);
    assert_int_equal(sp_engine_begin(help.engine, 1 << 20, 1, &error), SP_LIMIT);
    bus_settle(&help);
    bus_ok(sp_engine_begin(help.engine, 100, 1, &error), &error);
    sp_engine_end(help.engine);
    bus_reopen(&help);
    bus_close(&help);
    verify_folder();
}

/* Many segments of nothing but control records; and between such that have events. */
static void test_segments_of_control_records_alone(void **state) {
    (void)state;
    struct bus_help help = {.segment_bytes = SEGMENT};
    struct bus_seen *seen = calloc(1, sizeof(*seen));
    bus_open(&help);
    char name[1000];
    memset(name, 'n', sizeof(name));
    for (int i = 0; i < 6000; i++) {
        (void)snprintf(name + 980, 20, "%d", i);
        make_group(&help, "k", name, SP_OPS_ORDERED);
        if (i % 50 == 0) {
            bus_settle(&help);
        }
        if (i == 1000 || i == 3500 || i == 5999) {
            (void)bus_put(&help, "a", "t", "1");
        }
        if (i % 1500 == 1499) {
            bus_reopen(&help);
        }
    }
    for (int i = 0; i < 2000; i++) {
        (void)sp_engine_poll(help.engine);
        help.monotonic_ns += 10000000;
    }
    struct sp_log_local_stats stats;
    sp_log_local_stats(sp_engine_log(help.engine), &stats);
    assert_true(stats.segments_sealed > 3);
    assert_int_equal(stats.segments_waiting, 0);
    bus_reopen(&help);
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 3);
    bus_reopen(&help);
    bus_close(&help);
    verify_folder();
    free(seen);
}

struct heard {
    uint64_t next;
    struct bus_help *help;
    bool answers;
};

static void hear(void *context, const struct sp_event *event) {
    struct heard *heard = context;
    assert_int_equal(event->position, heard->next++);
    assert_true(event->position <= sp_engine_durable_position(heard->help->engine));
    if (heard->answers && sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR("asked"))) {
        (void)bus_put(heard->help, "a", "answered", "1");
    }
}

static void test_what_comes_live_is_durable_and_in_order(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    bus_open(&help);
    (void)bus_put(&help, "a", "before", "1");
    bus_settle(&help);
    struct heard heard = {.next = 2, .help = &help, .answers = true};
    sp_bus_listen(help.bus, hear, &heard);
    for (int i = 0; i < 300; i++) {
        (void)bus_put(&help, "a", i % 3 == 0 ? "asked" : "said", "1");
        if (i % 11 == 0) {
            bus_settle(&help);
        }
    }
    while (sp_engine_must_wait(help.engine)) {
        bus_settle(&help);
        (void)sp_engine_poll(help.engine);
    }
    assert_int_equal(heard.next, 402);
    sp_bus_listen(help.bus, NULL, NULL);
    (void)bus_put(&help, "a", "asked", "1");
    bus_settle(&help);
    assert_int_equal(heard.next, 402);
    bus_close(&help);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ops_are_there_again, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_lazy_ops_are_written_in_time, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_all_between_begin_and_end_is_one_block, help_begin,
                                        help_end),
        cmocka_unit_test_setup_teardown(test_segments_of_control_records_alone, help_begin,
                                        help_end),
        cmocka_unit_test_setup_teardown(test_what_comes_live_is_durable_and_in_order, help_begin,
                                        help_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
