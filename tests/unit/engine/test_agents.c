/* Agents over the bus: announced by calls and by events, suspected, recovered, after a restart. */
#include "bus_help.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "engine/bus_agents.h"
#include "engine/engine_int.h"
#include "event/event_json.h"

static struct bus_seen *new_seen(void) {
    struct bus_seen *seen = calloc(1, sizeof(*seen));
    assert_non_null(seen);
    return seen;
}

static sp_status online(struct bus_help *help, const char *id, const char *capability,
                        struct sp_agent_holder *holder) {
    struct sp_error error;
    const sp_str capabilities[] = {sp_str_from(capability)};
    const struct sp_agent_facts facts = {.capabilities = capabilities, .capability_count = 1};
    return sp_bus_agent_online(help->bus, sp_str_from(id), &facts, holder, &error);
}

static sp_status beat(struct bus_help *help, const char *id, struct sp_agent_holder *holder,
                      enum sp_agent_status *ret_status) {
    struct sp_error error;
    return sp_bus_agent_heartbeat(help->bus, sp_str_from(id), NULL, holder, ret_status, &error);
}

static enum sp_agent_status status_of(struct bus_help *help, const char *id) {
    const struct sp_agent *agent = sp_bus_agent(help->bus, sp_str_from(id));
    assert_non_null(agent);
    struct sp_presence *presence = &help->engine->core.presence;
    sp_presence_tell(presence, help->monotonic_ns / 1000000, help->wall_us / 1000);
    return sp_agent_info(presence, agent).status;
}

/* The JSON of an agent. */
static const char *json_of(struct bus_help *help, const char *id, struct sp_buf *to) {
    const struct sp_agent *agent = sp_bus_agent(help->bus, sp_str_from(id));
    assert_non_null(agent);
    sp_buf_reset(to);
    sp_bus_agent_json(help->bus, agent, to);
    sp_buf_add_byte(to, '\0');
    return (const char *)to->data;
}

/* An event of a source, whose producer may have given it a time. */
static void put_event(struct bus_help *help, const char *source, const char *type, const char *data,
                      const char *time) {
    struct sp_error error;
    struct sp_bus_added added;
    struct sp_event event = {.data = sp_str_from(data), .has_data = true};
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_SOURCE] = sp_str_from(source);
    event.attr[SP_ATTR_STREAM] = SP_STR("tasks");
    if (time != NULL) {
        event.attr[SP_ATTR_TIME] = sp_str_from(time);
    }
    bus_ok(sp_bus_append(help->bus, &event, (uint64_t)SP_CORE_ANY_VERSION, &added, &error), &error);
}

/* How many entries the stream has now. */
static size_t length(struct bus_help *help, const char *stream) {
    struct sp_key key = bus_key(help, stream);
    struct sp_error error;
    uint64_t count = 0;
    bus_settle(help);
    sp_status status = sp_bus_length(help->bus, &key, &count, &error);
    return status == SP_NOT_FOUND ? 0 : (size_t)count;
}

/* The types of the events in `$agents`, a letter each. */
static const char *story(struct bus_help *help, char text[64]) {
    struct bus_seen *seen = new_seen();
    bus_settle(help);
    bus_all(help, "$agents", seen);
    for (size_t i = 0; i < seen->count; i++) {
        text[i] = strncmp(seen->texts[i], "agent.suspected_failure ", 24) == 0 ? 's' : 'r';
    }
    text[seen->count] = '\0';
    free(seen);
    return text;
}

/* Appends have hashed the source already: the core must come to the same. */
static void test_hashes_of_sources_are_those_of_agents(void **state) {
    (void)state;
    static const char *const ids[] = {"a", "agent:reviewer", "\xc3\xa9",
                                      "a much longer name that takes another way of hashing it "
                                      "than the short ones do, and then some more, to be sure of "
                                      "it; and so on, and so on, and so on, and so on, and so on"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        sp_str id = sp_str_from(ids[i]);
        assert_int_equal(sp_agent_hash(id), sp_index_hash(SP_INDEX_SOURCE, id));
    }
}

static void test_announcing_is_an_event_once(void **state) {
    (void)state;
    struct bus_help help = {.fs = NULL};
    struct sp_buf json;
    bus_open(&help);
    sp_buf_init(&json, SIZE_MAX);
    assert_int_equal(online(&help, "worker", "x", NULL), SP_OK);
    assert_int_equal(length(&help, "worker"), 1);
    assert_int_equal(online(&help, "worker", "x", NULL), SP_OK);
    assert_int_equal(length(&help, "worker"), 1);
    assert_int_equal(online(&help, "worker", "y", NULL), SP_OK);
    assert_int_equal(length(&help, "worker"), 2);
    assert_non_null(strstr(json_of(&help, "worker", &json),
                           "{\"id\":\"worker\",\"status\":\"online\",\"capabilities\":[\"y\"],"
                           "\"capacity\":null,\"load\":0,\"free\":null,\"version\":null,"));
    bus_reopen(&help);
    assert_non_null(strstr(json_of(&help, "worker", &json), "\"capabilities\":[\"y\"]"));
    assert_non_null(strstr(json_of(&help, "worker", &json), "\"last_event\":null"));
    assert_int_equal(sp_bus_agent_count(help.bus, SP_AGENT_ONLINE), 1);
    sp_buf_fini(&json);
    bus_close(&help);
}

static void test_what_cannot_be_announced(void **state) {
    (void)state;
    struct bus_help help = {.fs = NULL};
    struct sp_error error;
    bus_open(&help);
    const struct sp_agent_facts data = {.data = SP_STR("{\"capacity\":1}")};
    const struct sp_agent_facts open = {.data = SP_STR("{\"a\":1")};
    const struct sp_agent_facts fine = {.data = SP_STR("{ \"a\" : 1 }")};
    assert_int_equal(sp_bus_agent_online(help.bus, SP_STR("a"), &data, NULL, &error), SP_INVALID);
    assert_int_equal(sp_bus_agent_online(help.bus, SP_STR("a"), &open, NULL, &error), SP_INVALID);
    assert_int_equal(sp_bus_agent_online(help.bus, SP_STR("\xff"), &fine, NULL, &error),
                     SP_INVALID);
    assert_int_equal(sp_bus_agent_online(help.bus, SP_STR("$x"), &fine, NULL, &error), SP_DENIED);
    assert_null(sp_bus_agent(help.bus, SP_STR("a")));
    assert_null(sp_bus_agent(help.bus, SP_STR("$x")));
    assert_int_equal(sp_bus_agent_online(help.bus, SP_STR("a"), &fine, NULL, &error), SP_OK);
    enum sp_agent_status status;
    assert_int_equal(beat(&help, "b", NULL, &status), SP_NOT_FOUND);
    assert_int_equal(sp_bus_agent_offline(help.bus, SP_STR("b"), SP_STR(""), &error), SP_NOT_FOUND);
    assert_int_equal(sp_bus_agent_offline(help.bus, SP_STR("a"), SP_STR(""), &error), SP_OK);
    assert_int_equal(beat(&help, "a", NULL, &status), SP_NOT_FOUND);
    bus_close(&help);
}

static void test_events_announce_and_end(void **state) {
    (void)state;
    struct bus_help help = {.fs = NULL};
    struct sp_buf json;
    bus_open(&help);
    sp_buf_init(&json, SIZE_MAX);
    put_event(&help, "a", "agent.online",
              "{\"capabilities\":[\"x\"],\"capacity\":3,\"version\":\"1\",\"m\":1}", NULL);
    assert_non_null(strstr(json_of(&help, "a", &json), "\"capacity\":3,\"load\":0,\"free\":3,"
                                                       "\"version\":\"1\""));
    assert_non_null(strstr(json_of(&help, "a", &json), "\"data\":{\"m\":1}}"));
    /* A run begins: what it does not name stays. */
    put_event(&help, "a", "agent.started", "{\"capacity\":4,\"model\":\"m\"}", NULL);
    assert_non_null(strstr(json_of(&help, "a", &json), "\"capabilities\":[\"x\"],\"capacity\":4"));
    assert_non_null(strstr(json_of(&help, "a", &json), "\"data\":{\"m\":1}}"));
    put_event(&help, "b", "agent.started", "not json", NULL);
    assert_int_equal(status_of(&help, "b"), SP_AGENT_ONLINE);
    put_event(&help, "b", "agent.stopped", "", NULL);
    assert_int_equal(status_of(&help, "b"), SP_AGENT_OFFLINE);
    put_event(&help, "b", "agent.stopped", "", NULL);
    put_event(&help, "c", "task.done", "", NULL);
    assert_null(sp_bus_agent(help.bus, SP_STR("c")));
    bus_settle(&help);
    bus_reopen(&help);
    assert_int_equal(status_of(&help, "b"), SP_AGENT_OFFLINE);
    assert_non_null(strstr(json_of(&help, "a", &json), "\"capabilities\":[\"x\"],\"capacity\":4"));
    sp_buf_fini(&json);
    bus_close(&help);
}

static void test_history_is_no_sign_of_life(void **state) {
    (void)state;
    struct bus_help help = {.fs = NULL};
    char now[SP_TIME_TEXT_SIZE];
    bus_open(&help);
    put_event(&help, "ghost", "agent.started", "{}", "2001-01-01T00:00:00Z");
    put_event(&help, "ghost", "agent.online", "{}", "0001-01-01T00:00:00Z");
    assert_null(sp_bus_agent(help.bus, SP_STR("ghost")));
    sp_time_format(help.wall_us - 60000000, now);
    put_event(&help, "a", "agent.started", "{}", now);
    assert_int_equal(status_of(&help, "a"), SP_AGENT_ONLINE);
    /* As it was exported, and is imported here. */
    struct sp_buf scratch;
    struct sp_error error;
    struct sp_event event;
    struct sp_bus_added added;
    sp_buf_init(&scratch, SIZE_MAX);
    bus_ok(sp_event_from_json(SP_STR("{\"type\":\"agent.online\",\"source\":\"ghost\","
                                     "\"position\":1,\"recordedtime\":\"2026-01-01T00:00:00Z\"}"),
                              SP_EVENT_LENIENT, &scratch, &event, &error),
           &error);
    bus_ok(sp_bus_append(help.bus, &event, (uint64_t)SP_CORE_ANY_VERSION, &added, &error), &error);
    assert_null(sp_bus_agent(help.bus, SP_STR("ghost")));
    sp_buf_fini(&scratch);
    /* Nor does it end or keep anybody. */
    put_event(&help, "a", "agent.stopped", "{}", "2001-01-01T00:00:00Z");
    assert_int_equal(status_of(&help, "a"), SP_AGENT_ONLINE);
    bus_sleep(&help, 40000);
    put_event(&help, "a", "task.done", "{}", "2001-01-01T00:00:00Z");
    assert_int_equal(status_of(&help, "a"), SP_AGENT_STALE);
    put_event(&help, "a", "task.done", "{}", NULL);
    assert_int_equal(status_of(&help, "a"), SP_AGENT_ONLINE);
    bus_close(&help);
}

static void test_silence_and_return_are_told_once(void **state) {
    (void)state;
    struct bus_help help = {.fs = NULL};
    struct bus_seen *seen = new_seen();
    char text[64];
    enum sp_agent_status status;
    bus_open(&help);
    assert_int_equal(online(&help, "a", "x", NULL), SP_OK);
    bus_sleep(&help, 89000);
    int wait_ms = sp_bus_tick(help.bus);
    assert_true(wait_ms >= 0 && wait_ms <= 1000);
    assert_string_equal(story(&help, text), "");
    bus_sleep(&help, 1000);
    for (int i = 0; i < 3; i++) {
        (void)sp_bus_tick(help.bus);
        bus_sleep(&help, 100000);
    }
    assert_string_equal(story(&help, text), "s");
    bus_all(&help, "$agents", seen);
    assert_non_null(
        strstr(seen->texts[0], "agent.suspected_failure {\"agent\":\"a\",\"last_seen\""));
    /* By a heartbeat at once; by an event with the next tick. */
    assert_int_equal(beat(&help, "a", NULL, &status), SP_OK);
    assert_int_equal(status, SP_AGENT_ONLINE);
    assert_string_equal(story(&help, text), "sr");
    bus_sleep(&help, 90000);
    (void)sp_bus_tick(help.bus);
    put_event(&help, "a", "task.done", "", NULL);
    put_event(&help, "a", "task.done", "", NULL);
    assert_int_equal(status_of(&help, "a"), SP_AGENT_SUSPECTED);
    (void)sp_bus_tick(help.bus);
    assert_int_equal(status_of(&help, "a"), SP_AGENT_ONLINE);
    assert_string_equal(story(&help, text), "srsr");
    /* By announcing itself. */
    bus_sleep(&help, 90000);
    (void)sp_bus_tick(help.bus);
    assert_int_equal(online(&help, "a", "x", NULL), SP_OK);
    assert_int_equal(status_of(&help, "a"), SP_AGENT_ONLINE);
    assert_string_equal(story(&help, text), "srsrsr");
    assert_int_equal(length(&help, "a"), 1);
    bus_reopen(&help);
    free(seen);
    bus_close(&help);
}

static void test_a_restart_gives_the_whole_time(void **state) {
    (void)state;
    struct bus_help help = {.fs = NULL};
    char text[64];
    bus_open(&help);
    assert_int_equal(online(&help, "a", "x", NULL), SP_OK);
    assert_int_equal(online(&help, "b", "x", NULL), SP_OK);
    bus_sleep(&help, 85000);
    put_event(&help, "b", "task.done", "", NULL);
    bus_settle(&help);
    bus_reopen(&help);
    assert_int_equal(status_of(&help, "a"), SP_AGENT_ONLINE);
    bus_sleep(&help, 89999);
    (void)sp_bus_tick(help.bus);
    assert_string_equal(story(&help, text), "");
    bus_sleep(&help, 1);
    (void)sp_bus_tick(help.bus);
    assert_string_equal(story(&help, text), "ss");
    bus_reopen(&help);
    assert_int_equal(status_of(&help, "a"), SP_AGENT_SUSPECTED);
    bus_sleep(&help, 900000);
    (void)sp_bus_tick(help.bus);
    assert_string_equal(story(&help, text), "ss");
    bus_close(&help);
}

static void test_connections_that_are_lost(void **state) {
    (void)state;
    struct bus_help help = {.fs = NULL};
    struct sp_agent_holder first = {.first = NULL};
    struct sp_agent_holder second = {.first = NULL};
    enum sp_agent_status status;
    char text[64];
    bus_open(&help);
    assert_int_equal(online(&help, "a", "x", &first), SP_OK);
    assert_int_equal(beat(&help, "a", &second, &status), SP_OK);
    sp_bus_agents_left(help.bus, &first, false);
    bus_sleep(&help, 5000);
    (void)sp_bus_tick(help.bus);
    assert_string_equal(story(&help, text), "");
    sp_bus_agents_left(help.bus, &second, false);
    int wait_ms = sp_bus_tick(help.bus);
    assert_true(wait_ms >= 0 && wait_ms <= 2000);
    bus_sleep(&help, 2000);
    (void)sp_bus_tick(help.bus);
    assert_string_equal(story(&help, text), "s");
    /* A connection that only beats does not hold one that nobody holds. */
    assert_int_equal(beat(&help, "a", &second, &status), SP_OK);
    sp_bus_agents_left(help.bus, &second, false);
    bus_sleep(&help, 5000);
    (void)sp_bus_tick(help.bus);
    assert_string_equal(story(&help, text), "sr");
    /* A server that ends. */
    assert_int_equal(online(&help, "a", "x", &first), SP_OK);
    sp_bus_agents_left(help.bus, &first, true);
    bus_sleep(&help, 5000);
    (void)sp_bus_tick(help.bus);
    assert_string_equal(story(&help, text), "sr");
    bus_close(&help);
}

static void test_a_clock_that_was_set_accuses_nobody(void **state) {
    (void)state;
    struct bus_help help = {.fs = NULL};
    char text[64];
    bus_open(&help);
    assert_int_equal(online(&help, "a", "x", NULL), SP_OK);
    (void)sp_bus_tick(help.bus);
    help.wall_us += UINT64_C(3600000000); /* and the monotonic clock not */
    (void)sp_bus_tick(help.bus);
    assert_int_equal(status_of(&help, "a"), SP_AGENT_ONLINE);
    help.wall_us -= UINT64_C(7200000000);
    bus_sleep(&help, 89000);
    (void)sp_bus_tick(help.bus);
    assert_string_equal(story(&help, text), "");
    bus_sleep(&help, 1000);
    (void)sp_bus_tick(help.bus);
    assert_string_equal(story(&help, text), "s");
    bus_close(&help);
}

struct listed {
    char text[256];
};

static bool list_one(void *context, const struct sp_agent *agent) {
    struct listed *listed = context;
    size_t len = strlen(listed->text);
    (void)snprintf(listed->text + len, sizeof(listed->text) - len, "%.*s ",
                   SP_STR_ARG(sp_agent_id(agent)));
    return true;
}

static void test_lists_come_by_id_in_pieces(void **state) {
    (void)state;
    struct bus_help help = {.fs = NULL};
    struct sp_error error;
    const sp_str wanted[] = {SP_STR("x")};
    const struct sp_agent_query query = {.capabilities = wanted, .capability_count = 1};
    bus_open(&help);
    static const char *const ids[] = {"c", "a", "e", "b", "d"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(online(&help, ids[i], "x", NULL), SP_OK);
    }
    struct listed listed = {.text = ""};
    bool more = false;
    bus_ok(sp_bus_agents_list(help.bus, &query, SP_STR(""), 2, list_one, &listed, &more, &error),
           &error);
    assert_string_equal(listed.text, "a b ");
    assert_true(more);
    listed.text[0] = '\0';
    bus_ok(sp_bus_agents_list(help.bus, &query, SP_STR("b"), 0, list_one, &listed, &more, &error),
           &error);
    assert_string_equal(listed.text, "c d e ");
    assert_false(more);
    bus_close(&help);
}

/* Announcements of one append: all of them, in one block. */
static void test_a_batch_announces_many(void **state) {
    (void)state;
    enum { MANY = 300 };
    struct bus_help help = {.fs = NULL};
    struct sp_error error;
    struct sp_event *events = calloc(MANY, sizeof(*events));
    struct sp_engine_result *results = calloc(MANY, sizeof(*results));
    static char names[MANY][8];
    assert_non_null(events);
    assert_non_null(results);
    bus_open(&help);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%zu", i % 200);
        events[i].attr[SP_ATTR_TYPE] = SP_STR("agent.online");
        events[i].attr[SP_ATTR_SOURCE] = sp_str_from(names[i]);
        events[i].data = i % 2 == 0 ? SP_STR("{\"capabilities\":[\"x\",\"y\"],\"k\":1}")
                                    : SP_STR("{\"capacity\":1}");
        events[i].has_data = true;
    }
    const struct sp_engine_append append = {
        .events = events, .count = MANY, .origin = SP_EVENT_FROM_FIELDS, .results = results};
    bus_ok(sp_engine_submit(help.engine, &append, &error), &error);
    assert_int_equal(sp_bus_agent_count(help.bus, SP_AGENT_ONLINE), 200);
    bus_settle(&help);
    bus_reopen(&help);
    assert_int_equal(sp_bus_agent_count(help.bus, SP_AGENT_ONLINE), 200);
    free(events);
    free(results);
    bus_close(&help);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes_of_sources_are_those_of_agents),
        cmocka_unit_test_setup_teardown(test_announcing_is_an_event_once, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_announced, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_events_announce_and_end, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_history_is_no_sign_of_life, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_silence_and_return_are_told_once, help_begin,
                                        help_end),
        cmocka_unit_test_setup_teardown(test_a_restart_gives_the_whole_time, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_connections_that_are_lost, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_clock_that_was_set_accuses_nobody, help_begin,
                                        help_end),
        cmocka_unit_test_setup_teardown(test_lists_come_by_id_in_pieces, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_batch_announces_many, help_begin, help_end),
    };
    return cmocka_run_group_tests_name("agents", tests, NULL, NULL);
}
