/* Consumer groups over the bus: handing out, settling, policies, the dead, lag, and who is told. */
#include "bus_help.h"

#include <stdio.h>
#include <stdlib.h>

enum { SEGMENT = 1 << 20 };

static struct bus_seen *new_seen(void) {
    struct bus_seen *seen = calloc(1, sizeof(*seen));
    assert_non_null(seen);
    return seen;
}

static void set_policy(struct bus_help *help, const char *key_text, const char *group,
                       const struct sp_group_policy *policy) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    bus_ok(sp_bus_group_policy(help->bus, &key, sp_str_from(group), policy, &error), &error);
}

static sp_status nack(struct bus_help *help, const char *key_text, const char *group,
                      struct sp_entry_id id, struct sp_bus_nack how) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    return sp_bus_nack(help->bus, &key, sp_str_from(group), id, &how, &error);
}

static void put_many(struct bus_help *help, const char *key, size_t count) {
    char data[24];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(data, sizeof(data), "%zu", i);
        (void)bus_put(help, key, "t", data);
        if (i % 5 == 0) {
            help->wall_us += 900;
        }
    }
    bus_settle(help);
}

static uint32_t ready(struct bus_help *help, const char *key_text, const char *group,
                      uint32_t max) {
    struct sp_key key = bus_key(help, key_text);
    const struct sp_group *found = sp_bus_group(help->bus, &key, sp_str_from(group));
    assert_non_null(found);
    return sp_bus_group_ready(help->bus, found, max);
}

static void test_a_plain_group(void **state) {
    (void)state;
    struct bus_help help = {.segment_bytes = SEGMENT};
    struct bus_seen *seen = new_seen();
    bus_open(&help);
    struct sp_key key = bus_key(&help, "s");
    struct sp_error error;
    struct sp_bus_start start = {.at_end = true};
    assert_int_equal(sp_bus_group_make(help.bus, &key, SP_STR("g"), &start, false, &error),
                     SP_NOT_FOUND);
    put_many(&help, "s", 10);
    bus_make_group(&help, "s", "all", false);
    bus_make_group(&help, "s", "new", true);
    assert_int_equal(sp_bus_group_make(help.bus, &key, SP_STR("all"), &start, true, &error),
                     SP_CONFLICT);
    put_many(&help, "s", 600);
    assert_int_equal(bus_info(&help, "s", "all").lag, 610);
    assert_int_equal(bus_info(&help, "s", "new").lag, 600);
    assert_int_equal(ready(&help, "s", "new", 7), 7);
    bus_receive(&help, "s", "new", "c", 5, seen);
    assert_int_equal(seen->count, 5);
    assert_string_equal(seen->texts[0], "t 0");
    assert_int_equal(seen->counts[0], 1);
    bus_receive(&help, "s", "all", "c", 0, seen);
    assert_int_equal(seen->count, 610);
    bus_receive(&help, "s", "all", "c", 0, seen);
    assert_int_equal(seen->count, 0);
    assert_int_equal(ready(&help, "s", "all", 100), 0);
    assert_int_equal(bus_info(&help, "s", "all").lag, 0);
    assert_int_equal(bus_info(&help, "s", "all").entries_read, 610);
    bus_reopen(&help);
    assert_int_equal(bus_info(&help, "s", "all").facts.pending, 610);
    bus_receive(&help, "s", "new", "d", 1000, seen);
    assert_int_equal(seen->count, 595);
    assert_string_equal(seen->texts[0], "t 5");
    assert_int_equal(bus_ack(&help, "s", "new", seen->ids, seen->count), 595);
    assert_int_equal(bus_ack(&help, "s", "new", seen->ids, seen->count), 0);
    bus_reopen(&help);
    assert_int_equal(bus_info(&help, "s", "new").facts.pending, 5);
    bus_close(&help);
    free(seen);
}

/* Of entries that were deleted the id is left. */
static void test_a_consumers_history(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct sp_error error;
    bus_open(&help);
    put_many(&help, "s", 10);
    bus_make_group(&help, "s", "new", false);
    bus_receive(&help, "s", "new", "c", 5, seen);
    struct sp_key key = bus_key(&help, "s");
    struct sp_bus_receive history = {.key = &key, .group = SP_STR("new"), .consumer = SP_STR("c")};
    uint32_t given;
    seen->count = 0;
    bus_ok(
        sp_bus_history(help.bus, &history, SP_ENTRY_ID_NONE, bus_see_given, seen, &given, &error),
        &error);
    assert_int_equal(seen->count, 5);
    assert_int_equal(seen->counts[0], 2);
    struct sp_entry_id second = seen->ids[1];
    uint64_t hidden;
    bus_ok(sp_bus_hide(help.bus, &key, &second, 1, &hidden, &error), &error);
    seen->count = 0;
    bus_ok(
        sp_bus_history(help.bus, &history, SP_ENTRY_ID_NONE, bus_see_given, seen, &given, &error),
        &error);
    assert_int_equal(given, 5);
    assert_int_equal(seen->positions[1], 0);
    assert_int_equal(seen->counts[2], 3);
    bool there = false;
    bus_ok(sp_bus_group_drop(help.bus, &key, SP_STR("new"), &there, &error), &error);
    assert_true(there);
    assert_null(sp_bus_group(help.bus, &key, SP_STR("new")));
    bus_reopen(&help);
    bus_all(&help, "$group:s:new", seen);
    assert_int_equal(seen->count, 2);
    assert_memory_equal(seen->texts[0], "group.created", 13);
    assert_memory_equal(seen->texts[1], "group.deleted", 13);
    bus_close(&help);
    free(seen);
}

/* Trimmed and deleted entries are not handed out; a cursor that is moved hands out again. */
static void test_hidden_entries_and_moved_cursors(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct sp_error error;
    bus_open(&help);
    put_many(&help, "s", 20);
    bus_make_group(&help, "s", "g", false);
    struct sp_key key = bus_key(&help, "s");
    assert_int_equal(ready(&help, "s", "g", 100), 20); /* found, and then hidden */
    struct sp_bus_trim trim = {.kind = SP_TRIM_LENGTH, .length = 12};
    uint64_t count;
    bus_ok(sp_bus_trim(help.bus, &key, &trim, &count, &error), &error);
    bus_all(&help, "s", seen);
    assert_int_equal(seen->count, 12);
    struct sp_entry_id ids[2] = {seen->ids[1], seen->ids[4]};
    bus_ok(sp_bus_hide(help.bus, &key, ids, 2, &count, &error), &error);
    assert_int_equal(bus_info(&help, "s", "g").lag, 10);
    bus_receive(&help, "s", "g", "c", 4, seen);
    assert_int_equal(seen->count, 4);
    assert_string_equal(seen->texts[0], "t 8");
    assert_string_equal(seen->texts[1], "t 10");
    struct sp_bus_start start = {.id = seen->ids[0]};
    bus_ok(sp_bus_group_move(help.bus, &key, SP_STR("g"), &start, &error), &error);
    assert_int_equal(bus_info(&help, "s", "g").lag, 9);
    bus_receive(&help, "s", "g", "d", 100, seen);
    assert_int_equal(seen->count, 9);
    assert_string_equal(seen->texts[0], "t 10");
    bus_reopen(&help);
    bus_receive(&help, "s", "g", "d", 100, seen);
    assert_int_equal(seen->count, 0);
    bus_close(&help);
    free(seen);
}

static void test_virtual_streams_have_groups(void **state) {
    (void)state;
    struct bus_help help = {.segment_bytes = SEGMENT};
    struct bus_seen *seen = new_seen();
    struct sp_error error;
    bus_open(&help);
    for (int i = 0; i < 90; i++) {
        static const char *const types[] = {"order.made", "order.paid", "mail.sent"};
        static const char *const keys[] = {"a", "b"};
        (void)bus_put(&help, keys[i % 2], types[i % 3], "1");
    }
    bus_make_group(&help, "$all", "g", false);
    bus_make_group(&help, "$type:order.*", "g", false);
    bus_make_group(&help, "$type:mail.sent", "g", false);
    bus_make_group(&help, "$source:tester", "g", false);
    bus_settle(&help);
    assert_int_equal(bus_info(&help, "$all", "g").lag, 90); /* not what is told of groups */
    assert_int_equal(bus_info(&help, "$type:order.*", "g").lag, 60);
    assert_int_equal(bus_info(&help, "$type:mail.sent", "g").lag, 30);
    bus_receive(&help, "$all", "g", "c", 50, seen);
    assert_int_equal(seen->count, 50);
    assert_int_equal(bus_info(&help, "$all", "g").lag, 40);
    bus_reopen(&help);
    assert_int_equal(bus_info(&help, "$all", "g").lag, 40);
    bus_receive(&help, "$all", "g", "c", 0, seen);
    assert_int_equal(seen->count, 40);
    bus_receive(&help, "$type:order.*", "g", "c", 0, seen);
    assert_int_equal(seen->count, 60);
    bus_receive(&help, "$type:mail.sent", "g", "c", 10, seen);
    assert_int_equal(seen->count, 10);
    /* What came and went between two looks at the lag does not count. */
    bus_receive(&help, "$type:mail.sent", "g", "c", 0, seen);
    assert_int_equal(bus_info(&help, "$type:mail.sent", "g").lag, 0);
    (void)bus_put(&help, "a", "mail.sent", "1");
    bus_settle(&help);
    bus_receive(&help, "$type:mail.sent", "g", "c", 0, seen);
    assert_int_equal(seen->count, 1);
    assert_int_equal(bus_info(&help, "$type:mail.sent", "g").lag, 0);
    bus_receive(&help, "$source:tester", "g", "c", 0, seen);
    assert_int_equal(seen->count, 91);
    /* The store's own events only for who names them. */
    bus_make_group(&help, "$type:group.created", "g", false);
    bus_make_group(&help, "$group:$all:g", "g", false);
    bus_settle(&help);
    bus_receive(&help, "$type:group.created", "g", "c", 0, seen);
    assert_int_equal(seen->count, 6);
    bus_receive(&help, "$group:$all:g", "g", "c", 0, seen);
    assert_int_equal(seen->count, 1);
    struct sp_group_policy policy = sp_group_policy_default();
    policy.type = SP_STR("order.paid");
    policy.filter = SP_STR("{\"stream\":\"a\"}");
    set_policy(&help, "$all", "g", &policy);
    for (int i = 0; i < 10; i++) {
        (void)bus_put(&help, i % 2 == 0 ? "a" : "b", i < 6 ? "order.paid" : "order.made", "2");
    }
    bus_settle(&help);
    assert_int_equal(bus_info(&help, "$all", "g").lag, 3);
    bus_receive(&help, "$all", "g", "c", 0, seen);
    assert_int_equal(seen->count, 3);
    struct sp_key key = bus_key(&help, "$all");
    policy.type = SP_STR("a b");
    assert_int_equal(sp_bus_group_policy(help.bus, &key, SP_STR("g"), &policy, &error), SP_INVALID);
    policy.type = SP_STR("");
    policy.filter = SP_STR("{\"a\":{\"$no\":1}}");
    assert_int_equal(sp_bus_group_policy(help.bus, &key, SP_STR("g"), &policy, &error), SP_INVALID);
    bus_reopen(&help);
    bus_close(&help);
    free(seen);
}

/* An entry fails until it is dead, comes back, and is done. */
static void test_retries_and_the_dead(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct sp_error error;
    bus_open(&help);
    bus_make_group(&help, "s", "g", false);
    struct sp_group_policy policy = sp_group_policy_default();
    policy.ack_wait_ms = 1000;
    policy.deliveries_max = 3;
    policy.backoff_first_ms = 100;
    policy.backoff_max_ms = 100;
    policy.backoff_jitter_milli = 0;
    set_policy(&help, "s", "g", &policy);
    struct sp_bus_added added = bus_put(&help, "s", "job", "{\"n\":1}");
    bus_settle(&help);
    bus_receive(&help, "s", "g", "c", 10, seen);
    assert_int_equal(seen->count, 1);
    assert_in_range(sp_bus_tick(help.bus), 1, 1000);
    bus_sleep(&help, 999);
    (void)sp_bus_tick(help.bus);
    assert_int_equal(bus_info(&help, "s", "g").facts.in_flight, 1);
    bus_sleep(&help, 1); /* its time is over */
    (void)sp_bus_tick(help.bus);
    assert_int_equal(bus_info(&help, "s", "g").facts.waiting, 1);
    assert_int_equal(ready(&help, "s", "g", 5), 0);
    bus_reopen(&help);
    bus_sleep(&help, 100);
    assert_int_equal(ready(&help, "s", "g", 5), 1);
    bus_receive(&help, "s", "g", "d", 10, seen);
    assert_int_equal(seen->count, 1);
    assert_int_equal(seen->counts[0], 2);
    bus_ok(nack(&help, "s", "g", added.id,
                (struct sp_bus_nack){.has_delay = true, .delay_ms = 5, .text = SP_STR("no")}),
           NULL);
    assert_int_equal(nack(&help, "s", "g", added.id, (struct sp_bus_nack){.dead = true}),
                     SP_NOT_FOUND);
    bus_sleep(&help, 5);
    bus_receive(&help, "s", "g", "d", 10, seen);
    assert_int_equal(seen->counts[0], 3);
    bus_ok(nack(&help, "s", "g", added.id, (struct sp_bus_nack){.text = SP_STR("again no")}), NULL);
    assert_int_equal(bus_info(&help, "s", "g").facts.dead, 1);
    bus_reopen(&help);
    bus_all(&help, "$group:s:g", seen);
    assert_int_equal(seen->count, 4); /* made, policy, two failures */
    assert_memory_equal(seen->texts[2], "delivery.failed", 15);
    bus_all(&help, "$dead:s:g", seen);
    assert_int_equal(seen->count, 1);
    assert_memory_equal(seen->texts[0], "delivery.dead_lettered", 22);
    bus_all(&help, "$correlation:none", seen);
    struct sp_key key = bus_key(&help, "s");
    uint64_t count = 0;
    bus_ok(sp_bus_redrive(help.bus, &key, SP_STR("g"), NULL, 0, &count, &error), &error);
    assert_int_equal(count, 1);
    bus_receive(&help, "s", "g", "d", 10, seen);
    assert_int_equal(seen->count, 1);
    assert_int_equal(seen->counts[0], 1);
    bus_ok(nack(&help, "s", "g", added.id, (struct sp_bus_nack){.dead = true}), NULL);
    bus_ok(sp_bus_discard(help.bus, &key, SP_STR("g"), &added.id, 1, &count, &error), &error);
    assert_int_equal(count, 1);
    assert_int_equal(bus_info(&help, "s", "g").facts.dead, 0);
    assert_int_equal(bus_info(&help, "s", "g").facts.pending, 0);
    bus_reopen(&help);
    bus_all(&help, "$group:s:g", seen);
    assert_memory_equal(seen->texts[seen->count - 1], "delivery.discarded", 18);
    assert_memory_equal(seen->texts[seen->count - 2], "delivery.redriven", 17);
    bus_close(&help);
    free(seen);
}

/* The letter has the event, its cause is the event, its run the event's. */
struct letter {
    size_t count;
    char data[2048];
    char cause[64];
    char run[64];
};

static bool read_letter(void *context, const struct sp_event *event, struct sp_entry_id id) {
    struct letter *letter = context;
    (void)id;
    letter->count++;
    (void)snprintf(letter->data, sizeof(letter->data), "%.*s", SP_STR_ARG(event->data));
    (void)snprintf(letter->cause, 64, "%.*s", SP_STR_ARG(event->attr[SP_ATTR_CAUSATION]));
    (void)snprintf(letter->run, 64, "%.*s", SP_STR_ARG(event->attr[SP_ATTR_CORRELATION]));
    return true;
}

static void test_a_letter_tells_all(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct sp_error error;
    bus_open(&help);
    bus_make_group(&help, "s", "g\xff", false);
    struct sp_group_policy policy = sp_group_policy_default();
    struct sp_key key = bus_key(&help, "s");
    bus_ok(sp_bus_group_policy(help.bus, &key, SP_STR("g\xff"), &policy, &error), &error);
    struct sp_event event = {.data = SP_STR("{\"x\":[1,2]}"), .has_data = true};
    event.attr[SP_ATTR_TYPE] = SP_STR("job");
    event.attr[SP_ATTR_SOURCE] = SP_STR("w");
    event.attr[SP_ATTR_STREAM] = SP_STR("s");
    event.attr[SP_ATTR_ID] = SP_STR("job-1");
    event.attr[SP_ATTR_CORRELATION] = SP_STR("run-1");
    struct sp_bus_added added;
    bus_ok(sp_bus_append(help.bus, &event, (uint64_t)SP_CORE_ANY_VERSION, &added, &error), &error);
    bus_settle(&help);
    bus_receive(&help, "s", "g\xff", "c", 1, seen);
    bus_ok(nack(&help, "s", "g\xff", added.id,
                (struct sp_bus_nack){.dead = true, .text = SP_STR("it is \"broken\"")}),
           NULL);
    bus_settle(&help);
    struct letter letter = {.count = 0};
    struct sp_key dead = bus_key(&help, "$dead:s:g?");
    struct sp_bus_range range = {.key = &dead, .until = SP_ENTRY_ID_MAX};
    bus_ok(sp_bus_read(help.bus, &range, read_letter, &letter, &error), &error);
    assert_int_equal(letter.count, 1);
    assert_string_equal(letter.cause, "job-1");
    assert_string_equal(letter.run, "run-1");
    assert_non_null(strstr(letter.data, "\"error\":\"it is \\\"broken\\\"\""));
    assert_non_null(strstr(letter.data, "\"reason\":\"refused by a consumer\""));
    assert_non_null(strstr(letter.data, "\"event\":{\"id\":\"job-1\",\"type\":\"job\""));
    assert_non_null(strstr(letter.data, "\"data\":{\"x\":[1,2]}"));
    bus_close(&help);
    free(seen);
}

static void put_for(struct bus_help *help, const char *source, const char *data) {
    struct sp_event event = {.data = sp_str_from(data), .has_data = true};
    struct sp_error error;
    struct sp_bus_added added;
    event.attr[SP_ATTR_TYPE] = SP_STR("t");
    event.attr[SP_ATTR_SOURCE] = sp_str_from(source);
    event.attr[SP_ATTR_STREAM] = SP_STR("s");
    bus_ok(sp_bus_append(help->bus, &event, (uint64_t)SP_CORE_ANY_VERSION, &added, &error), &error);
}

static void test_order_and_room(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    bus_open(&help);
    bus_make_group(&help, "s", "g", false);
    struct sp_group_policy policy = sp_group_policy_default();
    policy.order_by = SP_GROUP_ORDER_SOURCE;
    policy.in_flight_max = 3;
    set_policy(&help, "s", "g", &policy);
    for (int i = 0; i < 12; i++) {
        static const char *const sources[] = {"x", "y", "z", "w"};
        char data[16];
        (void)snprintf(data, sizeof(data), "%d", i);
        put_for(&help, sources[i % 4], data);
    }
    bus_settle(&help);
    assert_int_equal(ready(&help, "s", "g", 100), 3);
    bus_receive(&help, "s", "g", "c", 100, seen);
    assert_int_equal(seen->count, 3); /* one of each source, as far as there is room */
    assert_string_equal(seen->texts[2], "t 2");
    struct sp_entry_id first = seen->ids[0];
    assert_int_equal(ready(&help, "s", "g", 100), 0);
    bus_receive(&help, "s", "g", "d", 100, seen);
    assert_int_equal(seen->count, 0);
    assert_int_equal(bus_ack(&help, "s", "g", &first, 1), 1);
    bus_receive(&help, "s", "g", "d", 100, seen);
    assert_int_equal(seen->count, 1); /* 3 of w, or 4 of x: the order of each source holds */
    assert_string_equal(seen->texts[0], "t 3");
    /* In the end every source's come in its order. */
    int next[4] = {8, 5, 6, 7};
    next[0] = 4;
    struct sp_entry_id held[3];
    bus_reopen(&help);
    struct sp_pending pending[10];
    struct sp_key key = bus_key(&help, "s");
    for (int left = 8; left > 0;) {
        const struct sp_group *group = sp_bus_group(help.bus, &key, SP_STR("g"));
        struct sp_pending_range range = {.until = SP_ENTRY_ID_MAX, .consumer = SP_CONSUMER_NONE};
        size_t count = sp_pending_list(group, &range, pending, 10);
        assert_true(count > 0 && count <= 3);
        held[0] = pending[0].id;
        assert_int_equal(bus_ack(&help, "s", "g", held, 1), 1);
        bus_receive(&help, "s", "g", "e", 100, seen);
        for (size_t i = 0; i < seen->count; i++) {
            int number = atoi(seen->texts[i] + 2);
            assert_int_equal(number, next[number % 4]);
            next[number % 4] += 4;
            left--;
        }
    }
    bus_close(&help);
    free(seen);
}

static void test_consumers_leave(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct sp_error error;
    bus_open(&help);
    put_many(&help, "s", 30);
    bus_make_group(&help, "s", "g", false);
    struct sp_group_policy policy = sp_group_policy_default();
    policy.deliveries_max = 2;
    set_policy(&help, "s", "g", &policy);
    bus_receive(&help, "s", "g", "c", 20, seen);
    assert_int_equal(seen->count, 20);
    uint64_t number = bus_info(&help, "s", "g").facts.number;
    bus_ok(sp_bus_consumer_left(help.bus, number, SP_STR("c"), &error), &error);
    assert_int_equal(bus_info(&help, "s", "g").facts.waiting, 20);
    bus_settle(&help);
    bus_receive(&help, "s", "g", "d", 30, seen);
    assert_int_equal(seen->count, 30);
    assert_int_equal(seen->counts[0], 2);
    assert_int_equal(seen->counts[29], 1);
    /* Twenty of them are used up now. */
    struct sp_key key = bus_key(&help, "s");
    uint64_t pending = 0;
    bus_ok(sp_bus_consumer_drop(help.bus, &key, SP_STR("g"), SP_STR("d"), &pending, &error),
           &error);
    assert_int_equal(pending, 30);
    assert_int_equal(bus_info(&help, "s", "g").facts.dead, 20);
    assert_int_equal(bus_info(&help, "s", "g").facts.waiting, 10);
    bus_reopen(&help);
    bus_all(&help, "$dead:s:g", seen);
    assert_int_equal(seen->count, 20);
    bus_close(&help);
    free(seen);
}

static void see_gone(void *context, struct sp_entry_id id) {
    bus_see_given(context, NULL, id, 0);
}

static void test_claiming(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct bus_seen *got = new_seen();
    struct sp_error error;
    bus_open(&help);
    put_many(&help, "s", 10);
    bus_make_group(&help, "s", "g", false);
    bus_receive(&help, "s", "g", "c", 6, seen);
    bus_sleep(&help, 100);
    struct sp_key key = bus_key(&help, "s");
    struct sp_bus_claim claim = {.key = &key,
                                 .group = SP_STR("g"),
                                 .consumer = SP_STR("d"),
                                 .idle_min_ms = 50,
                                 .time_ms = UINT64_MAX};
    bus_ok(sp_bus_claim(help.bus, &claim, seen->ids, 2, bus_see_given, got, &error), &error);
    assert_int_equal(got->count, 2);
    assert_int_equal(got->counts[0], 2);
    assert_string_equal(got->texts[1], "t 1");
    got->count = 0;
    bus_ok(sp_bus_claim(help.bus, &claim, seen->ids, 2, bus_see_given, got, &error), &error);
    assert_int_equal(got->count, 0); /* not idle for so long */
    uint64_t hidden;
    bus_ok(sp_bus_hide(help.bus, &key, &seen->ids[3], 1, &hidden, &error), &error);
    struct sp_entry_id next;
    claim.idle_min_ms = 0;
    bus_ok(sp_bus_autoclaim(help.bus, &claim, SP_ENTRY_ID_NONE, 4, bus_see_given, see_gone, got,
                            &next, &error),
           &error);
    assert_int_equal(got->count, 4);
    assert_int_equal(got->positions[3], 0); /* the one that is gone */
    assert_false(sp_entry_id_is_none(next));
    got->count = 0;
    bus_ok(
        sp_bus_autoclaim(help.bus, &claim, next, 100, bus_see_given, see_gone, got, &next, &error),
        &error);
    assert_int_equal(got->count, 2);
    assert_true(sp_entry_id_is_none(next));
    claim.force = true;
    bus_all(&help, "s", seen);
    got->count = 0;
    bus_ok(sp_bus_claim(help.bus, &claim, &seen->ids[7], 1, bus_see_given, got, &error), &error);
    assert_int_equal(got->count, 1);
    bus_reopen(&help);
    assert_int_equal(bus_info(&help, "s", "g").facts.pending, 6);
    bus_close(&help);
    free(seen);
    free(got);
}

struct told {
    size_t count;
    uint64_t groups[64];
};

static void hear_ready(void *context, uint64_t group) {
    struct told *told = context;
    assert_true(told->count < 64);
    told->groups[told->count++] = group;
}

static void turn(struct bus_help *help) {
    do {
        bus_settle(help);
        (void)sp_engine_poll(help->engine);
    } while (sp_engine_must_wait(help->engine));
    (void)sp_bus_tick(help->bus);
}

static void test_who_is_told(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct told told = {.count = 0};
    bus_open(&help);
    bus_make_group(&help, "a", "g", false);
    bus_make_group(&help, "b", "g", false);
    bus_make_group(&help, "$type:t.*", "g", false);
    bus_make_group(&help, "$all", "g", false);
    struct sp_group_policy policy = sp_group_policy_default();
    policy.type = SP_STR("u.#");
    set_policy(&help, "$all", "g", &policy);
    uint64_t a = bus_info(&help, "a", "g").facts.number;
    uint64_t type = bus_info(&help, "$type:t.*", "g").facts.number;
    uint64_t all = bus_info(&help, "$all", "g").facts.number;
    turn(&help);
    sp_bus_on_ready(help.bus, hear_ready, &told);
    (void)bus_put(&help, "a", "t.one", "1");
    (void)bus_put(&help, "a", "t.one", "2");
    assert_int_equal(told.count, 0);
    turn(&help);
    assert_int_equal(told.count, 2); /* once each, until somebody asks */
    assert_true(told.groups[0] == a && told.groups[1] == type);
    (void)bus_put(&help, "c", "u.x", "1");
    turn(&help);
    assert_int_equal(told.count, 3);
    assert_int_equal(told.groups[2], all);
    bus_receive(&help, "a", "g", "c", 100, seen);
    assert_int_equal(seen->count, 2);
    (void)bus_put(&help, "a", "v", "3");
    turn(&help);
    assert_int_equal(told.count, 4);
    assert_int_equal(told.groups[3], a);
    /* An entry whose time is over is told of when it is due again. */
    bus_receive(&help, "$all", "g", "c", 100, seen);
    assert_int_equal(seen->count, 1);
    bus_sleep(&help, 31000);
    turn(&help);
    bus_sleep(&help, 2000);
    turn(&help);
    assert_int_equal(told.groups[told.count - 1], all);
    assert_int_equal(ready(&help, "$all", "g", 10), 1);
    /* The clock is set back: nothing is due until the same time comes again. */
    help.wall_us -= 3000000;
    turn(&help);
    size_t count = told.count;
    assert_int_equal(ready(&help, "$all", "g", 10), 0);
    bus_sleep(&help, 3000);
    turn(&help);
    assert_int_equal(told.count, count + 1);
    assert_int_equal(told.groups[count], all);
    /* And when there is nothing to wait for any more. */
    struct sp_key key = bus_key(&help, "b");
    struct sp_error error;
    bool there = false;
    uint64_t b = bus_info(&help, "b", "g").facts.number;
    bus_ok(sp_bus_delete(help.bus, &key, &there, &error), &error);
    assert_true(there);
    assert_int_equal(told.groups[told.count - 1], b);
    assert_null(sp_bus_group_at(help.bus, b));
    bus_close(&help);
    free(seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_plain_group, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_consumers_history, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_hidden_entries_and_moved_cursors, help_begin,
                                        help_end),
        cmocka_unit_test_setup_teardown(test_virtual_streams_have_groups, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_retries_and_the_dead, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_letter_tells_all, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_order_and_room, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_consumers_leave, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_claiming, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_who_is_told, help_begin, help_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
