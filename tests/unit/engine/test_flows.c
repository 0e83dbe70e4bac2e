/*
 * The engine's driver of flows: what a part of ours wants done is done, its programs are run, what
 * cannot be appended is told to it; events that ask for another time come then.
 */
#include "bus_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flows.h"
#include "engine/flows_int.h"
#include "engine/query.h"

enum { SECOND_MS = 1000 };

/*
 * ---- a part of ours: each event of type `ask` is one piece of work, whose program is its data
 * ----
 */

enum { ASKED_MAX = 600, TEXT_BYTES = 256 };

struct asked {
    char program[TEXT_BYTES];
    uint64_t position;
    bool taken;
    bool done;
};

struct part {
    struct asked asked[ASKED_MAX];
    uint32_t count;
    uint32_t backs;
    uint32_t refusals;
    bool takes_one_id;        /* what it appends has always the same id */
    size_t data_bytes;        /* of what it appends, when it is not refused; 0: the answer */
    sp_status refused_status; /* the last one */
};

static sp_status part_apply(void *self, const struct sp_event *event, struct sp_error *error) {
    struct part *part = self;
    (void)error;
    if (sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR("action.ask"))) {
        assert_true(part->count < ASKED_MAX);
        struct asked *asked = &part->asked[part->count++];
        (void)snprintf(asked->program, sizeof(asked->program), "%.*s", SP_STR_ARG(event->data));
        asked->position = event->position;
    } else if (sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR("action.told"))) {
        char number[8];
        (void)snprintf(number, sizeof(number), "%.*s", SP_STR_ARG(event->extensions[0].value));
        unsigned long at = strtoul(number, NULL, 10);
        assert_true(at < ASKED_MAX);
        part->asked[at].done = true;
    }
    return SP_OK;
}

static bool part_next(void *self, uint64_t now_us, struct sp_flow_work *ret_work) {
    struct part *part = self;
    (void)now_us;
    for (uint32_t i = 0; i < part->count; i++) {
        struct asked *asked = &part->asked[i];
        if (!asked->taken && !asked->done) {
            asked->taken = true;
            *ret_work = (struct sp_flow_work){.a = i, .program = sp_str_from(asked->program)};
            return true;
        }
    }
    return false;
}

static void part_back(void *self, const struct sp_flow_work *work) {
    struct part *part = self;
    part->asked[work->a].taken = false;
    part->backs++;
}

static sp_status part_ask(void *self, const struct sp_flow_work *work,
                          const struct sp_flow_ports *ports, struct sp_buf *to,
                          struct sp_error *error) {
    struct part *part = self;
    struct sp_event event;
    sp_status status = ports->read(ports->context, part->asked[work->a].position, &event, error);
    assert_int_equal(status, SP_OK);
    sp_buf_add_str(to, SP_STR("{\"n\":"));
    sp_buf_add_u64(to, work->a);
    sp_buf_add_str(to, SP_STR("}"));
    return SP_OK;
}

static sp_status part_act(void *self, const struct sp_flow_work *work,
                          const struct sp_flow_now *now, struct sp_flow_out *out,
                          struct sp_error *error) {
    struct part *part = self;
    (void)error;
    sp_flow_out_begin(out, SP_STR("action.told"), SP_STR("told"));
    sp_flow_out_number(out, SP_STR("number"), work->a);
    if (now->answer.refused) {
        part->refusals++;
        part->refused_status = now->answer.status;
        assert_true(now->answer.error.len > 0);
        sp_flow_out_data(out, SP_STR("\"refused\""));
        return SP_OK;
    }
    if (part->takes_one_id) {
        sp_flow_out_attr(out, SP_ATTR_ID, SP_STR("the-only-one"));
    }
    struct sp_buf *to = sp_flow_out_data_begin(out);
    if (part->data_bytes > 0) {
        sp_buf_add_byte(to, '"');
        for (size_t i = 0; i < part->data_bytes; i++) {
            sp_buf_add_byte(to, 'x');
        }
        sp_buf_add_byte(to, '"');
    } else if (now->answer.status == SP_OK) {
        sp_buf_add_str(to, now->answer.value.len > 0 ? now->answer.value : SP_STR("null"));
    } else {
        sp_buf_add_str(to, SP_STR("\"failed\""));
    }
    sp_flow_out_data_end(out);
    return SP_OK;
}

static uint64_t part_due(const void *self) {
    const struct part *part = self;
    for (uint32_t i = 0; i < part->count; i++) {
        if (!part->asked[i].taken && !part->asked[i].done) {
            return 0;
        }
    }
    return UINT64_MAX;
}

static uint64_t part_oldest(const void *self) {
    (void)self;
    return UINT64_MAX;
}

static uint64_t part_hash(const void *self) {
    (void)self;
    return 0;
}

static void part_encode(const void *self, struct sp_buf *to) {
    (void)self;
    (void)to;
}

static sp_status part_restore(void *self, struct sp_wire *wire) {
    (void)self;
    (void)wire;
    return SP_OK;
}

static const struct sp_flow_part_ops part_ops = {
    .name = "ours",
    .apply = part_apply,
    .next = part_next,
    .back = part_back,
    .ask = part_ask,
    .act = part_act,
    .due = part_due,
    .oldest = part_oldest,
    .hash = part_hash,
    .encode = part_encode,
    .restore = part_restore,
};

static struct part *add_part(struct bus_help *help) {
    struct sp_flow *flow = help->engine->flow;
    struct part *part = calloc(1, sizeof(*part));
    assert_non_null(part);
    assert_true(flow->count < SP_FLOW_PARTS_MAX);
    flow->ops[flow->count] = &part_ops;
    flow->parts[flow->count++] = part;
    return part;
}

static void remove_part(struct bus_help *help, struct part *part) {
    help->engine->flow->count--;
    help->engine->flow->turn = 0;
    free(part);
}

/* ---- looking ---- */

/* Does what is due, and all that follows from it. */
static void let_work(struct bus_help *help) {
    bus_settle(help);
    while (sp_engine_flows_wait_ms(help->engine) == 0) {
        (void)sp_engine_poll(help->engine);
        bus_settle(help);
    }
}

/* The data of all events of a stream, each behind a space. */
static void read_all(struct bus_help *help, const char *stream, struct sp_buf *to) {
    const struct sp_event *event;
    struct sp_cursor *cursor = NULL;
    const struct sp_query query = {.stream = sp_str_from(stream)};
    sp_buf_init(to, 1 << 20);
    assert_int_equal(sp_cursor_open(help->engine, &query, &cursor, NULL), SP_OK);
    while (sp_cursor_next(cursor, &event, NULL) == SP_OK) {
        sp_buf_add_byte(to, ' ');
        sp_buf_add_str(to, event->data);
    }
    sp_cursor_close(cursor);
    sp_buf_add_byte(to, 0);
}

static void assert_told(struct bus_help *help, const char *expected) {
    struct sp_buf found;
    let_work(help);
    read_all(help, "told", &found);
    assert_string_equal((const char *)found.data, expected);
    sp_buf_fini(&found);
}

/* ---- works ---- */

/* Many at a time, of several programs: each gets its own answer, in the order they came. */
static void test_programs_run_and_acts_follow(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_flow_stats stats;
    (void)state;
    bus_open(&help);
    struct part *part = add_part(&help);
    (void)bus_put(&help, "k", "action.ask", ".n + 100");
    (void)bus_put(&help, "k", "action.ask", ".n | tostring");
    (void)bus_put(&help, "k", "action.ask", ".n + 100");
    (void)bus_put(&help, "k", "action.ask", "");
    (void)bus_put(&help, "k", "action.ask", "error(\"no\")");
    (void)bus_put(&help, "k", "action.ask", ".n, .n");
    (void)bus_put(&help, "k", "action.ask", "} no program {");
    assert_told(&help, " 100 \"1\" 102 null \"failed\" \"failed\" \"failed\"");
    sp_engine_flow_stats(help.engine, &stats);
    assert_int_equal(stats.works, 7);
    assert_int_equal(stats.events, 7);
    assert_int_equal(stats.jq_runs, 5);
    assert_int_equal(stats.jq_failures, 2);
    remove_part(&help, part);
    bus_close(&help);
}

/* What asks and its answer are in one block: nobody waits for the disk in between. */
static void test_the_answer_is_in_the_same_block(void **state) {
    struct bus_help help = {.engine = NULL};
    (void)state;
    bus_open(&help);
    struct part *part = add_part(&help);
    (void)bus_put(&help, "k", "action.ask", "");
    uint64_t gate = sp_bus_gate(help.bus);
    (void)sp_engine_poll(help.engine);
    assert_true(part->asked[0].done);
    assert_int_equal(sp_bus_gate(help.bus), gate);
    remove_part(&help, part);
    bus_close(&help);
}

/* More than one turn does is done by the next ones, and none is forgotten. */
static void test_many_works(void **state) {
    struct bus_help help = {.engine = NULL};
    (void)state;
    bus_open(&help);
    struct part *part = add_part(&help);
    for (int i = 0; i < ASKED_MAX; i++) {
        (void)bus_put(&help, "k", "action.ask", "");
    }
    for (int i = 0; i < 100 && sp_engine_flows_wait_ms(help.engine) == 0; i++) {
        (void)sp_engine_poll(help.engine);
    }
    for (uint32_t i = 0; i < part->count; i++) {
        assert_true(part->asked[i].done);
    }
    assert_int_equal(sp_engine_flows_wait_ms(help.engine), -1);
    remove_part(&help, part);
    bus_close(&help);
}

/* An act whose events are refused for good is told so, once, and why. */
static void test_refused_acts(void **state) {
    struct bus_help help = {.engine = NULL};
    (void)state;
    bus_open(&help);
    struct part *part = add_part(&help);
    part->data_bytes = 2 << 20;
    (void)bus_put(&help, "k", "action.ask", "");
    assert_told(&help, " \"refused\"");
    assert_int_equal(part->refused_status, SP_LIMIT);
    part->data_bytes = 0;
    part->takes_one_id = true;
    (void)bus_put(&help, "k", "action.ask", "");
    assert_told(&help, " \"refused\" null");
    (void)bus_put(&help, "k", "action.ask", "");
    assert_told(&help, " \"refused\" null \"refused\"");
    assert_int_equal(part->refused_status, SP_CONFLICT);
    assert_int_equal(part->refusals, 2);
    remove_part(&help, part);
    bus_close(&help);
}

/* While a command is being decided nothing happens; lifting the barrier is a turn. */
static void test_the_barrier(void **state) {
    struct bus_help help = {.engine = NULL};
    (void)state;
    bus_open(&help);
    struct part *part = add_part(&help);
    (void)bus_put(&help, "k", "action.ask", "");
    sp_bus_bar(help.bus, true);
    (void)sp_engine_poll(help.engine);
    assert_false(part->asked[0].taken);
    assert_int_equal(sp_engine_flows_wait_ms(help.engine), -1);
    const struct sp_engine_saga_start start = {.name = SP_STR("none")};
    struct sp_engine_saga_started started;
    assert_int_equal(sp_engine_saga_start(help.engine, &start, &started, NULL), SP_NOT_FOUND);
    sp_bus_bar(help.bus, false);
    assert_true(part->asked[0].done);
    sp_bus_bar(help.bus, true);
    sp_bus_bar(help.bus, false);
    remove_part(&help, part);
    bus_close(&help);
}

static void test_flows_that_do_not_run(void **state) {
    struct bus_help help = {.engine = NULL};
    (void)state;
    bus_open(&help);
    struct part *part = add_part(&help);
    sp_engine_flows_run(help.engine, false);
    (void)bus_put(&help, "k", "action.ask", "");
    bus_settle(&help);
    assert_int_equal(part->count, 1);
    assert_false(part->asked[0].taken);
    sp_engine_flows_run(help.engine, true);
    assert_told(&help, " null");
    remove_part(&help, part);
    bus_close(&help);
}

/* ---- events that ask for another time ---- */

static struct sp_event event_at(const char *id, const char *time) {
    struct sp_event event = {.data = SP_STR("{\"a\":1}"), .has_data = true};
    event.attr[SP_ATTR_TYPE] = SP_STR("mail.send");
    event.attr[SP_ATTR_SOURCE] = SP_STR("tester");
    event.attr[SP_ATTR_STREAM] = SP_STR("mails");
    event.attr[SP_ATTR_ID] = id == NULL ? (sp_str){.ptr = NULL} : sp_str_from(id);
    if (time != NULL) {
        event.extensions[event.extension_count++] =
            (struct sp_extension){.name = SP_STR(SP_DELIVER_AT_NAME), .value = sp_str_from(time)};
    }
    return event;
}

static sp_status append_at(struct bus_help *help, const char *id, const char *time,
                           struct sp_bus_added *added, struct sp_error *error) {
    struct sp_event event = event_at(id, time);
    sp_error_clear(error);
    return sp_bus_append(help->bus, &event, (uint64_t)SP_CORE_ANY_VERSION, added, error);
}

static uint64_t count_mails(struct bus_help *help) {
    const struct sp_key key = bus_key(help, "mails");
    uint64_t length = 0;
    struct sp_error error;
    let_work(help);
    bus_ok(sp_bus_length(help->bus, &key, &length, &error), &error);
    return length;
}

/* The clock of the tests stands at 1700000000, which is 2023-11-14T22:13:20Z. */
static void test_an_event_comes_at_its_time(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_bus_added added;
    struct sp_bus_added again;
    struct sp_error error;
    (void)state;
    bus_open(&help);
    bus_ok(append_at(&help, "m1", "2023-11-14T22:13:30Z", &added, &error), &error);
    assert_int_equal(added.delayed_us, UINT64_C(1700000010000000));
    assert_false(added.duplicate);
    assert_int_equal(count_mails(&help), 0);
    assert_in_range(sp_bus_tick(help.bus), 9000, 10000);
    /* The same again, with a time or without, is the same. */
    bus_ok(append_at(&help, "m1", "2023-11-14T22:13:50Z", &again, &error), &error);
    assert_true(again.duplicate);
    assert_int_equal(again.position, added.position);
    assert_int_equal(again.delayed_us, added.delayed_us);
    bus_ok(append_at(&help, "m1", NULL, &again, &error), &error);
    assert_true(again.duplicate);
    bus_reopen(&help);
    bus_sleep(&help, 9 * SECOND_MS);
    assert_int_equal(count_mails(&help), 0);
    bus_sleep(&help, 2 * SECOND_MS);
    assert_int_equal(count_mails(&help), 1);
    bus_ok(append_at(&help, "m1", NULL, &again, &error), &error);
    assert_true(again.duplicate);
    assert_int_equal(again.delayed_us, 0);
    assert_int_equal(count_mails(&help), 1);
    bus_close(&help);
}

static void test_times_that_are_over_or_none(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_bus_added added;
    struct sp_error error;
    (void)state;
    bus_open(&help);
    bus_ok(append_at(&help, NULL, "2023-11-14T22:13:20Z", &added, &error), &error);
    assert_int_equal(added.delayed_us, 0);
    bus_ok(append_at(&help, NULL, "1699999999", &added, &error), &error);
    assert_int_equal(added.delayed_us, 0);
    assert_int_equal(count_mails(&help), 2);
    bus_ok(append_at(&help, NULL, "1700000001", &added, &error), &error);
    assert_int_equal(added.delayed_us, UINT64_C(1700000001000000));
    assert_true(added.id_made);
    assert_int_equal(append_at(&help, NULL, "soon", &added, &error), SP_INVALID);
    assert_non_null(strstr(error.text, "soon"));
    assert_non_null(strstr(error.text, SP_DELIVER_AT_NAME));
    bus_sleep(&help, 2 * SECOND_MS);
    assert_int_equal(count_mails(&help), 3);
    bus_close(&help);
}

/* In one append some may wait and others not; of two with one id the second is a duplicate. */
static void test_several_in_one_append(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_bus_added added[4];
    struct sp_error error;
    (void)state;
    bus_open(&help);
    struct sp_event events[4] = {event_at("a", "1700000005"), event_at("b", NULL),
                                 event_at("a", NULL), event_at("c", "1700000003")};
    bus_ok(sp_bus_append_all(help.bus, events, 4, SP_EVENT_FROM_FIELDS, NULL, 0, added, &error),
           &error);
    assert_int_equal(added[0].delayed_us, UINT64_C(1700000005000000));
    assert_int_equal(added[1].delayed_us, 0);
    assert_true(added[2].duplicate);
    assert_int_equal(added[2].delayed_us, UINT64_C(1700000005000000));
    assert_int_equal(added[3].delayed_us, UINT64_C(1700000003000000));
    assert_int_equal(count_mails(&help), 1);
    bus_sleep(&help, 4 * SECOND_MS);
    assert_int_equal(count_mails(&help), 2);
    bus_sleep(&help, 4 * SECOND_MS);
    assert_int_equal(count_mails(&help), 3);
    bus_close(&help);
}

static uint64_t first_kept(const struct bus_help *help) {
    struct sp_log *log = sp_engine_log(help->engine);
    uint64_t first = 0;
    uint64_t last = 0;
    log->ops->bounds(log, &first, &last);
    return first;
}

static void fill(struct bus_help *help, uint32_t count) {
    static const char DATA[] =
        "\"0123456789012345678901234567890123456789012345678901234567890123\"";
    for (uint32_t i = 0; i < count; i++) {
        (void)bus_put(help, "k", "t", DATA);
        if (i % 100 == 0) {
            bus_settle(help);
            bus_sleep(help, SECOND_MS);
            (void)sp_engine_poll(help->engine);
        }
    }
    let_work(help);
}

/* What is still to come is kept, however old its segment; then it may go. */
static void test_what_waits_is_not_dropped(void **state) {
    struct bus_help help = {.segment_bytes = 256 << 10, .retain_bytes = 256 << 10};
    struct sp_bus_added added;
    struct sp_error error;
    (void)state;
    bus_open(&help);
    bus_ok(append_at(&help, "m1", "2024-01-01T00:00:00Z", &added, &error), &error);
    fill(&help, 20000);
    assert_int_equal(first_kept(&help), 1);
    bus_sleep(&help, UINT64_C(86400000) * 60);
    assert_int_equal(count_mails(&help), 1);
    fill(&help, 5000);
    assert_true(first_kept(&help) > added.position);
    bus_close(&help);
}

/* Who only reads sees what waits, and does nothing of it. */
static void test_who_only_reads(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_bus_added added;
    struct sp_error error;
    uint64_t position;
    (void)state;
    bus_open(&help);
    bus_ok(append_at(&help, "m1", "1700000005", &added, &error), &error);
    bus_settle(&help);
    uint64_t hash = sp_flow_hash(sp_engine_flow(help.engine));
    bus_close(&help);
    bus_sleep(&help, 10 * SECOND_MS);
    help.read_only = true;
    bus_open(&help);
    assert_int_equal(sp_flow_hash(sp_engine_flow(help.engine)), hash);
    sp_engine_flows_run(help.engine, true);
    (void)sp_engine_poll(help.engine);
    assert_int_equal(sp_engine_flows_wait_ms(help.engine), -1);
    assert_int_equal(sp_engine_core(help.engine)->position, added.position);
    assert_int_equal(sp_engine_delayed_cancel(help.engine, SP_STR(""), SP_STR("m1"), SP_STR(""),
                                              SP_STR(""), &position, &error),
                     SP_DENIED);
    bus_close(&help);
    help.read_only = false;
    bus_open(&help);
    assert_int_equal(count_mails(&help), 1);
    bus_close(&help);
}

/* ---- what is the store's own ---- */

static void test_streams_of_sagas_are_the_stores_own(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_bus_added added;
    struct sp_error error;
    (void)state;
    bus_open(&help);
    struct sp_key key = bus_key(&help, "saga:x");
    assert_false(sp_key_writable(&key));
    struct sp_event event = event_at("1", NULL);
    event.attr[SP_ATTR_STREAM] = SP_STR("saga:x");
    assert_int_equal(sp_bus_append(help.bus, &event, (uint64_t)SP_CORE_ANY_VERSION, &added, &error),
                     SP_DENIED);
    event = event_at("1", NULL);
    event.attr[SP_ATTR_STREAM] = SP_STR("saga:x");
    assert_int_equal(sp_bus_import(help.bus, &event, 1, SP_EVENT_FROM_FIELDS, &added, &error),
                     SP_DENIED);
    event = event_at("1", NULL);
    event.attr[SP_ATTR_STREAM] = SP_STR("saga:x");
    event.is_history = true;
    bus_ok(sp_bus_import(help.bus, &event, 1, SP_EVENT_FROM_FIELDS, &added, &error), &error);
    bus_close(&help);
}

/* What is imported is there, and no flow hears of it, now or after opening again. */
static void test_history_drives_nothing(void **state) {
    struct bus_help help = {.engine = NULL};
    struct sp_bus_added added;
    struct sp_error error;
    (void)state;
    bus_open(&help);
    struct part *part = add_part(&help);
    uint64_t before = sp_flow_hash(help.engine->flow);
    struct sp_event event = event_at("1", "1700000100");
    event.attr[SP_ATTR_TYPE] = SP_STR("action.ask");
    event.is_history = true;
    bus_ok(sp_bus_import(help.bus, &event, 1, SP_EVENT_FROM_FIELDS, &added, &error), &error);
    assert_int_equal(added.delayed_us, 0);
    assert_int_equal(part->count, 0);
    event = event_at("2", NULL);
    event.attr[SP_ATTR_TYPE] = SP_STR("event.delayed");
    event.attr[SP_ATTR_STREAM] = SP_STR("$delayed");
    event.data = SP_STR("{\"id\":\"x\",\"source\":\"s\",\"type\":\"t\"}");
    event.extensions[event.extension_count++] = (struct sp_extension){
        .name = SP_STR("dueus"), .value = SP_STR("1700000001000000"), .kind = SP_VALUE_JSON};
    event.is_history = true;
    bus_ok(sp_bus_import(help.bus, &event, 1, SP_EVENT_FROM_FIELDS, &added, &error), &error);
    assert_int_equal(sp_flow_hash(help.engine->flow), before);
    remove_part(&help, part);
    bus_reopen(&help);
    assert_int_equal(sp_engine_flows_wait_ms(help.engine), -1);
    bus_close(&help);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_programs_run_and_acts_follow, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_the_answer_is_in_the_same_block, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_many_works, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_refused_acts, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_the_barrier, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_flows_that_do_not_run, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_an_event_comes_at_its_time, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_times_that_are_over_or_none, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_several_in_one_append, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_what_waits_is_not_dropped, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_who_only_reads, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_streams_of_sagas_are_the_stores_own, help_begin,
                                        help_end),
        cmocka_unit_test_setup_teardown(test_history_drives_nothing, help_begin, help_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
