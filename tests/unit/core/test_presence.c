/* Agents in the core: what ops do, who is found, and what silence leads to. */
#include "core_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/presence_read.h"

/* A core, the ops it was told, and a clock. */
struct stage {
    struct sp_core core;
    struct sp_buf log; /* all ops, in order */
    struct sp_buf ops; /* of one decision */
    uint64_t now_ms;
};

static void begin(struct stage *stage) {
    sp_core_init(&stage->core);
    sp_buf_init(&stage->log, SIZE_MAX);
    sp_buf_init(&stage->ops, SIZE_MAX);
    stage->now_ms = 1000000000;
}

static void end(struct stage *stage) {
    sp_core_fini(&stage->core);
    sp_buf_fini(&stage->log);
    sp_buf_fini(&stage->ops);
}

/* Folds what was decided, as the engine does. Returns how many bytes that were. */
static size_t fold(struct stage *stage) {
    size_t len = stage->ops.len;
    assert_int_equal(stage->ops.status, SP_OK);
    assert_int_equal(sp_core_fold(&stage->core, sp_buf_str(&stage->ops)), SP_OK);
    sp_buf_add_str(&stage->log, sp_buf_str(&stage->ops));
    sp_buf_reset(&stage->ops);
    return len;
}

static struct sp_agent *find(struct stage *stage, const char *id) {
    sp_presence_tell(&stage->core.presence, stage->now_ms, stage->now_ms);
    sp_str text = sp_str_from(id);
    return sp_presence_find(&stage->core.presence, sp_agent_hash(text), text);
}

static struct sp_agent_info info(struct stage *stage, const char *id) {
    struct sp_agent *agent = find(stage, id);
    assert_non_null(agent);
    return sp_agent_info(&stage->core.presence, agent);
}

/* Announces with the data of an event, and signs as the engine does. */
static size_t announce(struct stage *stage, const char *id, const char *data) {
    struct sp_buf text;
    struct sp_agent_read read;
    struct sp_error error;
    sp_buf_init(&text, SIZE_MAX);
    assert_int_equal(sp_agent_read(sp_str_from(data), &text, &read), SP_OK);
    assert_int_equal(sp_presence_announce(&stage->core.presence, sp_str_from(id),
                                          SP_AGENT_NAMES_ALL, &read.facts, stage->now_ms,
                                          &stage->ops, &error),
                     SP_OK);
    size_t len = fold(stage);
    sp_presence_sign(&stage->core.presence, find(stage, id));
    sp_buf_fini(&text);
    return len;
}

static void beat(struct stage *stage, const char *id) {
    sp_presence_sign(&stage->core.presence, find(stage, id));
}

/* What is due and who is back; returns how many were suspected. */
static uint32_t tick(struct stage *stage) {
    struct sp_presence *presence = &stage->core.presence;
    enum sp_agent_reason reason = SP_AGENT_SILENT;
    struct sp_agent *agent;
    uint32_t count = 0;
    sp_presence_tell(presence, stage->now_ms, stage->now_ms);
    while ((agent = sp_presence_revived(presence)) != NULL) {
        sp_presence_recover(agent, stage->now_ms, &stage->ops);
        (void)fold(stage);
    }
    while ((agent = sp_presence_due(presence, &reason)) != NULL) {
        sp_presence_suspect(agent, reason, stage->now_ms, &stage->ops);
        (void)fold(stage);
        count++;
    }
    return count;
}

/* Replaying all ops gives the same hash, and so does a snapshot. */
static void check_replay(struct stage *stage) {
    struct sp_core other;
    sp_core_init(&other);
    assert_int_equal(sp_core_fold(&other, sp_buf_str(&stage->log)), SP_OK);
    assert_int_equal(sp_core_hash(&other), sp_core_hash(&stage->core));
    sp_core_fini(&other);

    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    struct sp_core_snapshot *snapshot = sp_core_snapshot_new(&stage->core);
    assert_non_null(snapshot);
    sp_core_snapshot_encode(snapshot, &bytes);
    sp_core_snapshot_free(snapshot);
    sp_core_init(&other);
    struct sp_error error;
    assert_int_equal(sp_core_restore(&other, sp_buf_str(&bytes), &error), SP_OK);
    assert_int_equal(sp_core_hash(&other), sp_core_hash(&stage->core));
    sp_core_fini(&other);
    sp_buf_fini(&bytes);
}

struct names {
    char text[512];
};

static bool note(void *context, struct sp_agent *agent) {
    struct names *names = context;
    size_t len = strlen(names->text);
    (void)snprintf(names->text + len, sizeof(names->text) - len, "%s%.*s", len > 0 ? " " : "",
                   SP_STR_ARG(sp_agent_id(agent)));
    return true;
}

static const char *found(struct stage *stage, struct names *names, const char *first,
                         const char *second, bool free_only) {
    sp_str wanted[2];
    struct sp_agent_query query = {.capabilities = wanted, .free = free_only};
    sp_presence_tell(&stage->core.presence, stage->now_ms, stage->now_ms);
    names->text[0] = '\0';
    if (first != NULL) {
        wanted[query.capability_count++] = sp_str_from(first);
    }
    if (second != NULL) {
        wanted[query.capability_count++] = sp_str_from(second);
    }
    sp_presence_each(&stage->core.presence, &query, note, names);
    return names->text;
}

/* ---- what events say ---- */

static void test_data_is_read_leniently(void **state) {
    (void)state;
    struct sp_buf text;
    struct sp_agent_read read;
    sp_buf_init(&text, SIZE_MAX);
    assert_int_equal(
        sp_agent_read(SP_STR("{\"capabilities\":[\"a\",1,null,[\"x\"],\"\",\"a\",\"\\u00e9\"],"
                             "\"capacity\":2.5,\"version\":null,\"x\":{\"y\":[1]},\"z\":\"\\n\"}"),
                      &text, &read),
        SP_OK);
    assert_int_equal(read.named, SP_AGENT_NAMES_CAPABILITIES | SP_AGENT_NAMES_DATA);
    assert_int_equal(read.facts.capability_count, 2);
    assert_true(sp_str_eq(read.facts.capabilities[1], SP_STR("\xc3\xa9")));
    assert_true(sp_str_eq(read.facts.data, SP_STR("{\"x\":{\"y\":[1]},\"z\":\"\\n\"}")));
    static const char *const nothing[] = {"", "null", "[1]", "{", "{\"capabilities\":[\"a\"]", "x"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        assert_int_equal(sp_agent_read(sp_str_from(nothing[i]), &text, &read), SP_OK);
        assert_int_equal(read.named, 0);
        assert_int_equal(read.facts.capability_count, 0);
    }
    assert_int_equal(sp_agent_read(SP_STR("{\"capacity\":7,\"version\":\"1\"}"), &text, &read),
                     SP_OK);
    assert_int_equal(read.facts.capacity, 7);
    assert_true(read.facts.has_capacity);
    assert_true(sp_str_eq(read.facts.version, SP_STR("1")));
    assert_int_equal(read.facts.data.len, 0);
    sp_buf_fini(&text);
}

static void test_too_much_is_passed_over(void **state) {
    (void)state;
    struct sp_buf json;
    struct sp_buf text;
    struct sp_agent_read read;
    sp_buf_init(&json, SIZE_MAX);
    sp_buf_init(&text, SIZE_MAX);
    sp_buf_add_str(&json, SP_STR("{\"capabilities\":[\""));
    for (int i = 0; i < 129; i++) {
        sp_buf_add_byte(&json, 'l');
    }
    sp_buf_add_byte(&json, '"');
    for (int i = 0; i < 70; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), ",\"c%d\"", i);
        sp_buf_add_str(&json, sp_str_from(name));
    }
    sp_buf_add_str(&json, SP_STR("],\"long\":\""));
    for (int i = 0; i < 5000; i++) {
        sp_buf_add_byte(&json, 'd');
    }
    sp_buf_add_str(&json, SP_STR("\"}"));
    assert_int_equal(sp_agent_read(sp_buf_str(&json), &text, &read), SP_OK);
    assert_int_equal(read.facts.capability_count, SP_AGENT_CAPABILITIES_MAX);
    assert_true(sp_str_eq(read.facts.capabilities[0], SP_STR("c0")));
    assert_int_equal(read.named, SP_AGENT_NAMES_CAPABILITIES);
    assert_int_equal(read.facts.data.len, 0);
    sp_buf_fini(&json);
    sp_buf_fini(&text);
}

static void test_types_of_events(void **state) {
    (void)state;
    assert_int_equal(sp_agent_event_of(SP_STR("agent.online")), SP_AGENT_EVENT_ONLINE);
    assert_int_equal(sp_agent_event_of(SP_STR("agent.started")), SP_AGENT_EVENT_STARTED);
    assert_int_equal(sp_agent_event_of(SP_STR("agent.offline")), SP_AGENT_EVENT_ENDED);
    assert_int_equal(sp_agent_event_of(SP_STR("agent.stopped")), SP_AGENT_EVENT_ENDED);
    static const char *const others[] = {"agent.onlinf", "agent.online.", "agent.online.x",
                                         "Agent.online", "task.created",  "x",
                                         "agent.offlinE"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(sp_agent_event_of(sp_str_from(others[i])), SP_AGENT_EVENT_NONE);
    }
}

/* ---- announcing and finding ---- */

static void test_an_agent_announces_itself(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    assert_true(announce(&stage, "a", "{\"capabilities\":[\"x\",\"y\"],\"capacity\":2,\"k\":1}") >
                0);
    struct sp_agent_info is = info(&stage, "a");
    assert_int_equal(is.status, SP_AGENT_ONLINE);
    assert_int_equal(is.capability_count, 2);
    assert_true(is.free && is.has_capacity && is.capacity == 2);
    assert_true(sp_str_eq(is.data, SP_STR("{\"k\":1}")));
    stage.now_ms += 5;
    /* The same again is no news. */
    assert_int_equal(
        announce(&stage, "a", "{\"capabilities\":[\"x\",\"y\"],\"capacity\":2,\"k\":1}"), 0);
    assert_int_equal(info(&stage, "a").announced_ms, stage.now_ms - 5);
    assert_int_equal(info(&stage, "a").seen_ms, stage.now_ms);
    assert_true(announce(&stage, "a", "{\"capabilities\":[\"y\"],\"version\":\"2\"}") > 0);
    is = info(&stage, "a");
    assert_false(is.has_capacity);
    assert_int_equal(is.announced_ms, stage.now_ms);
    assert_int_equal(is.data.len, 0);
    check_replay(&stage);
    end(&stage);
}

static void test_what_is_not_named_stays(void **state) {
    (void)state;
    struct stage stage;
    struct sp_error error;
    begin(&stage);
    (void)announce(&stage, "a",
                   "{\"capabilities\":[\"x\"],\"capacity\":3,\"version\":\"1\",\"k\":1}");
    const struct sp_agent_facts facts = {.has_capacity = true, .capacity = 9};
    assert_int_equal(sp_presence_announce(&stage.core.presence, SP_STR("a"),
                                          SP_AGENT_NAMES_CAPACITY, &facts, stage.now_ms, &stage.ops,
                                          &error),
                     SP_OK);
    assert_true(fold(&stage) > 0);
    struct sp_agent_info is = info(&stage, "a");
    assert_int_equal(is.capacity, 9);
    assert_int_equal(is.capability_count, 1);
    assert_true(sp_str_eq(is.version, SP_STR("1")));
    assert_true(sp_str_eq(is.data, SP_STR("{\"k\":1}")));
    /* From offline it begins anew. */
    sp_presence_end(find(&stage, "a"), stage.now_ms, &stage.ops);
    (void)fold(&stage);
    assert_int_equal(sp_presence_announce(&stage.core.presence, SP_STR("a"),
                                          SP_AGENT_NAMES_CAPACITY, &facts, stage.now_ms, &stage.ops,
                                          &error),
                     SP_OK);
    (void)fold(&stage);
    is = info(&stage, "a");
    assert_int_equal(is.status, SP_AGENT_ONLINE);
    assert_int_equal(is.capability_count, 0);
    assert_int_equal(is.version.len, 0);
    check_replay(&stage);
    end(&stage);
}

static void test_agents_are_found_by_capability(void **state) {
    (void)state;
    struct stage stage;
    struct names names;
    begin(&stage);
    (void)announce(&stage, "a", "{\"capabilities\":[\"x\",\"y\"],\"capacity\":1}");
    (void)announce(&stage, "b", "{\"capabilities\":[\"x\"]}");
    (void)announce(&stage, "c", "{\"capabilities\":[\"z\"],\"capacity\":0}");
    assert_string_equal(found(&stage, &names, NULL, NULL, false), "a b c");
    assert_string_equal(found(&stage, &names, "x", NULL, false), "a b");
    assert_string_equal(found(&stage, &names, "x", "y", false), "a");
    assert_string_equal(found(&stage, &names, "x", "z", false), "");
    assert_string_equal(found(&stage, &names, "nothing", NULL, false), "");
    assert_string_equal(found(&stage, &names, "z", NULL, true), "");
    /* Busy ones are not offered, and those that have room again are. */
    sp_presence_load(&stage.core.presence, find(&stage, "a"), 1);
    assert_string_equal(found(&stage, &names, "x", NULL, true), "b");
    assert_string_equal(found(&stage, &names, NULL, NULL, true), "b");
    sp_presence_load(&stage.core.presence, find(&stage, "b"), 1000);
    assert_string_equal(found(&stage, &names, "x", NULL, true), "b"); /* it has no capacity */
    sp_presence_load(&stage.core.presence, find(&stage, "a"), 0);
    assert_string_equal(found(&stage, &names, "x", NULL, true), "b a");
    /* A capability that nobody has any more is gone. */
    (void)announce(&stage, "a", "{\"capabilities\":[\"x\"]}");
    assert_string_equal(found(&stage, &names, "y", NULL, false), "");
    assert_int_equal(stage.core.presence.capability_used, 2);
    check_replay(&stage);
    end(&stage);
}

static void test_silent_ones_are_not_offered(void **state) {
    (void)state;
    struct stage stage;
    struct names names;
    begin(&stage);
    (void)announce(&stage, "a", "{\"capabilities\":[\"x\"]}");
    stage.now_ms += 29999;
    assert_string_equal(found(&stage, &names, "x", NULL, true), "a");
    stage.now_ms += 1;
    /* Whether its timer has fired or not. */
    assert_string_equal(found(&stage, &names, "x", NULL, true), "");
    assert_int_equal(info(&stage, "a").status, SP_AGENT_STALE);
    assert_int_equal(sp_presence_count(&stage.core.presence, SP_AGENT_STALE), 0);
    assert_int_equal(tick(&stage), 0);
    assert_int_equal(sp_presence_count(&stage.core.presence, SP_AGENT_STALE), 1);
    assert_string_equal(found(&stage, &names, "x", NULL, true), "");
    beat(&stage, "a");
    assert_string_equal(found(&stage, &names, "x", NULL, true), "a");
    assert_int_equal(sp_presence_count(&stage.core.presence, SP_AGENT_ONLINE), 1);
    /* The next silence counts from there. */
    stage.now_ms += 30000;
    assert_int_equal(sp_presence_next(&stage.core.presence), stage.now_ms);
    end(&stage);
}

/* ---- suspicion ---- */

static void test_silence_is_suspected_once(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)announce(&stage, "a", "{}");
    uint64_t seen_ms = stage.now_ms;
    stage.now_ms += 89999;
    assert_int_equal(tick(&stage), 0);
    stage.now_ms += 1;
    assert_int_equal(tick(&stage), 1);
    struct sp_agent_info is = info(&stage, "a");
    assert_int_equal(is.status, SP_AGENT_SUSPECTED);
    assert_int_equal(is.reason, SP_AGENT_SILENT);
    assert_int_equal(is.seen_ms, seen_ms);
    stage.now_ms += 900000;
    assert_int_equal(tick(&stage), 0);
    assert_int_equal(sp_presence_next(&stage.core.presence), 0);
    check_replay(&stage);
    /* A sign of life is not yet a recovery: that is an op. */
    beat(&stage, "a");
    beat(&stage, "a");
    assert_int_equal(info(&stage, "a").status, SP_AGENT_SUSPECTED);
    check_replay(&stage);
    assert_int_equal(tick(&stage), 0);
    is = info(&stage, "a");
    assert_int_equal(is.status, SP_AGENT_ONLINE);
    assert_int_equal(is.seen_ms, stage.now_ms);
    assert_null(sp_presence_revived(&stage.core.presence));
    stage.now_ms += 90000;
    assert_int_equal(tick(&stage), 1);
    check_replay(&stage);
    end(&stage);
}

static void test_heartbeats_keep_alive(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)announce(&stage, "a", "{}");
    for (int i = 0; i < 1000; i++) {
        stage.now_ms += 25000;
        beat(&stage, "a");
        assert_int_equal(tick(&stage), 0);
        assert_int_equal(info(&stage, "a").status, SP_AGENT_ONLINE);
    }
    end(&stage);
}

static void test_who_leaves_is_not_suspected(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)announce(&stage, "a", "{}");
    (void)announce(&stage, "b", "{}");
    sp_presence_end(find(&stage, "a"), stage.now_ms, &stage.ops);
    (void)fold(&stage);
    stage.now_ms += 100000;
    assert_int_equal(tick(&stage), 1); /* the other one */
    beat(&stage, "a");
    assert_int_equal(tick(&stage), 0);
    assert_int_equal(info(&stage, "a").status, SP_AGENT_OFFLINE);
    /* Suspected, then back, then gone before anybody noticed. */
    beat(&stage, "b");
    sp_presence_end(find(&stage, "b"), stage.now_ms, &stage.ops);
    (void)fold(&stage);
    assert_null(sp_presence_revived(&stage.core.presence));
    check_replay(&stage);
    end(&stage);
}

static void test_a_lost_connection_has_grace(void **state) {
    (void)state;
    struct stage stage;
    struct sp_agent_holder first = {.first = NULL};
    struct sp_agent_holder second = {.first = NULL};
    struct sp_presence *presence;
    begin(&stage);
    presence = &stage.core.presence;
    (void)announce(&stage, "a", "{}");
    (void)announce(&stage, "b", "{}");
    assert_int_equal(sp_presence_hold(find(&stage, "a"), &first), SP_OK);
    assert_int_equal(sp_presence_hold(find(&stage, "a"), &first), SP_OK);
    assert_int_equal(sp_presence_hold(find(&stage, "a"), &second), SP_OK);
    assert_int_equal(sp_presence_hold(find(&stage, "b"), &first), SP_OK);
    sp_presence_let_go(presence, &first, true);
    assert_null(first.first);
    assert_true(sp_agent_is_held(find(&stage, "a")));
    assert_false(sp_agent_is_held(find(&stage, "b")));
    stage.now_ms += 1999;
    assert_int_equal(tick(&stage), 0);
    stage.now_ms += 1;
    assert_int_equal(tick(&stage), 1);
    assert_int_equal(info(&stage, "b").status, SP_AGENT_SUSPECTED);
    assert_int_equal(info(&stage, "b").reason, SP_AGENT_CONNECTION_LOST);
    assert_int_equal(info(&stage, "a").status, SP_AGENT_ONLINE);
    /* Whoever comes back in time is not suspected. */
    sp_presence_let_go(presence, &second, true);
    stage.now_ms += 1000;
    beat(&stage, "a");
    stage.now_ms += 50000;
    assert_int_equal(tick(&stage), 0);
    check_replay(&stage);
    /* A server that ends closes connections, and blames nobody. */
    assert_int_equal(sp_presence_hold(find(&stage, "a"), &second), SP_OK);
    sp_presence_let_go(presence, &second, false);
    stage.now_ms += 30000;
    assert_int_equal(tick(&stage), 0);
    end(&stage);
}

static void test_holders_have_a_limit(void **state) {
    (void)state;
    struct stage stage;
    struct sp_agent_holder holders[SP_AGENT_HOLDS_MAX + 4] = {{.first = NULL}};
    begin(&stage);
    (void)announce(&stage, "a", "{}");
    for (size_t i = 0; i < SP_AGENT_HOLDS_MAX + 4; i++) {
        assert_int_equal(sp_presence_hold(find(&stage, "a"), &holders[i]), SP_OK);
        assert_int_equal(holders[i].first != NULL, i < SP_AGENT_HOLDS_MAX);
    }
    for (size_t i = 1; i < SP_AGENT_HOLDS_MAX + 4; i++) {
        sp_presence_let_go(&stage.core.presence, &holders[i], true);
    }
    assert_true(sp_agent_is_held(find(&stage, "a")));
    /* An agent that leaves lets go of its holders. */
    sp_presence_end(find(&stage, "a"), stage.now_ms, &stage.ops);
    (void)fold(&stage);
    assert_null(holders[0].first);
    end(&stage);
}

static void test_a_restart_gives_the_whole_time(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)announce(&stage, "a", "{}");
    (void)announce(&stage, "b", "{}");
    stage.now_ms += 90000;
    beat(&stage, "b");
    assert_int_equal(tick(&stage), 1);
    uint64_t hash = sp_core_hash(&stage.core);
    stage.now_ms += 86400000;
    sp_presence_tell(&stage.core.presence, stage.now_ms, stage.now_ms);
    sp_presence_open(&stage.core.presence);
    assert_int_equal(sp_core_hash(&stage.core), hash);
    assert_int_equal(tick(&stage), 0);
    stage.now_ms += 89999;
    assert_int_equal(tick(&stage), 0);
    stage.now_ms += 1;
    assert_int_equal(tick(&stage), 1);
    assert_int_equal(info(&stage, "b").status, SP_AGENT_SUSPECTED);
    end(&stage);
}

/* Silence is measured by one clock and shown by the other, wherever that stands. */
static void test_a_wall_clock_that_was_set_accuses_nobody(void **state) {
    (void)state;
    struct stage stage;
    enum sp_agent_reason reason;
    begin(&stage);
    (void)announce(&stage, "a", "{}");
    struct sp_presence *presence = &stage.core.presence;
    struct sp_agent *agent = find(&stage, "a");
    assert_int_equal(sp_agent_info(presence, agent).event_ms, 0);
    sp_presence_tell(presence, stage.now_ms + 10000, 50000);
    sp_presence_sign_event(presence, agent);
    sp_presence_tell(presence, stage.now_ms + 10007, 9000000000);
    struct sp_agent_info is = sp_agent_info(presence, agent);
    assert_int_equal(is.seen_ms, 50000);
    assert_int_equal(is.event_ms, 50000);
    assert_int_equal(is.silent_ms, 7);
    assert_null(sp_presence_due(presence, &reason));
    sp_presence_tell(presence, stage.now_ms + 100000, 5);
    assert_ptr_equal(sp_presence_due(presence, &reason), agent);
    sp_presence_suspect(agent, reason, 5, &stage.ops);
    (void)fold(&stage);
    assert_int_equal(sp_agent_info(presence, agent).seen_ms, 50000);
    assert_int_equal(sp_agent_info(presence, agent).since_ms, 5);
    check_replay(&stage);
    end(&stage);
}

static void test_limits_may_change(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)announce(&stage, "a", "{}");
    stage.now_ms += 40000;
    assert_int_equal(tick(&stage), 0);
    const struct sp_presence_limits wide = {.stale_ms = 60000, .suspect_ms = 120000, .grace_ms = 1};
    sp_presence_set_limits(&stage.core.presence, &wide);
    assert_int_equal(info(&stage, "a").status, SP_AGENT_ONLINE);
    assert_int_equal(sp_presence_count(&stage.core.presence, SP_AGENT_STALE), 0);
    /* Suspected before it could be stale: that is possible, and makes no loop. */
    const struct sp_presence_limits odd = {.stale_ms = 90000, .suspect_ms = 1000, .grace_ms = 1};
    sp_presence_set_limits(&stage.core.presence, &odd);
    assert_int_equal(tick(&stage), 1);
    end(&stage);
}

/* ---- limits ---- */

static void test_what_cannot_be(void **state) {
    (void)state;
    struct stage stage;
    struct sp_error error;
    char longest[SP_AGENT_DATA_BYTES_MAX + 1];
    begin(&stage);
    memset(longest, 'x', sizeof(longest));
    const sp_str none[] = {SP_STR("")};
    const struct sp_agent_facts fine = {.capability_count = 0};
    const struct sp_agent_facts bad[] = {
        {.capabilities = none, .capability_count = 1},
        {.version = sp_str_of(longest, 256)},
        {.data = sp_str_of(longest, sizeof(longest))},
        {.has_capacity = true, .capacity = SP_AGENT_CAPACITY_MAX + 1u},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(sp_presence_announce(&stage.core.presence, SP_STR("a"), SP_AGENT_NAMES_ALL,
                                              &bad[i], 1, &stage.ops, &error),
                         SP_INVALID);
    }
    for (size_t len = 0; len <= 256; len += 256) {
        assert_int_equal(sp_presence_announce(&stage.core.presence, sp_str_of(longest, len),
                                              SP_AGENT_NAMES_ALL, &fine, 1, &stage.ops, &error),
                         SP_INVALID);
    }
    assert_int_equal(stage.ops.len, 0);
    end(&stage);
}

/* Who is gone for longest makes room. The table is made to look full: a million take too long. */
static void test_a_full_table_forgets_the_longest_gone(void **state) {
    (void)state;
    struct stage stage;
    struct sp_error error;
    const struct sp_agent_facts facts = {.capability_count = 0};
    begin(&stage);
    (void)announce(&stage, "a", "{}");
    (void)announce(&stage, "b", "{}");
    (void)announce(&stage, "c", "{}");
    struct sp_presence *presence = &stage.core.presence;
    uint32_t real = presence->count;
    presence->count = SP_AGENTS_MAX;
    assert_int_equal(sp_presence_announce(presence, SP_STR("d"), SP_AGENT_NAMES_ALL, &facts, 1,
                                          &stage.ops, &error),
                     SP_LIMIT);
    presence->count = real;
    /* c is suspected, then b leaves: offline goes first. */
    sp_presence_suspect(find(&stage, "c"), SP_AGENT_SILENT, stage.now_ms, &stage.ops);
    (void)fold(&stage);
    sp_presence_end(find(&stage, "b"), stage.now_ms, &stage.ops);
    (void)fold(&stage);
    static const char *const gone[] = {"b", "c"};
    static const char *const come[] = {"d", "e"};
    for (size_t i = 0; i < 2; i++) {
        real = presence->count;
        presence->count = SP_AGENTS_MAX;
        assert_int_equal(sp_presence_announce(presence, sp_str_from(come[i]), SP_AGENT_NAMES_ALL,
                                              &facts, 1, &stage.ops, &error),
                         SP_OK);
        presence->count = real;
        (void)fold(&stage);
        assert_null(find(&stage, gone[i]));
        assert_non_null(find(&stage, come[i]));
        assert_int_equal(presence->count, real);
    }
    check_replay(&stage);
    end(&stage);
}

static void check_bytes(struct sp_buf *bytes, const char *hex) {
    char text[1024] = "";
    for (size_t i = 0; i < bytes->len && 2 * i + 2 < sizeof(text); i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", bytes->data[i]);
    }
    assert_string_equal(text, hex);
}

/* What is stored never changes its meaning: docs/format.md. */
static void test_bytes_are_those_of_the_format(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    stage.now_ms = 1000;
    (void)announce(&stage, "a",
                   "{\"capabilities\":[\"x\",\"yz\"],\"capacity\":2,\"version\":\"1\",\"k\":0}");
    (void)announce(&stage, "b", "{}");
    (void)announce(&stage, "c", "{}");
    stage.now_ms = 2000;
    sp_presence_suspect(find(&stage, "b"), SP_AGENT_CONNECTION_LOST, 2001, &stage.ops);
    (void)fold(&stage);
    sp_presence_end(find(&stage, "c"), 2002, &stage.ops);
    (void)fold(&stage);
    sp_presence_recover(find(&stage, "b"), 2003, &stage.ops);
    (void)fold(&stage);
    sp_presence_suspect(find(&stage, "b"), SP_AGENT_SILENT, 2004, &stage.ops);
    (void)fold(&stage);
    check_bytes(&stage.log, "3c0161e8070f02017802797a030131077b226b223a307d" /* announce a */
                            "3c0162e8070f00000000"                           /* b */
                            "3c0163e8070f00000000"                           /* c */
                            "3d0162d10fe80701" /* suspect b: connection lost */
                            "3f0163d20f"       /* end c */
                            "3e0162d30f"       /* recover b */
                            "3d0162d40fd30f00" /* suspect b: silent */);
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    sp_presence_encode(&stage.core.presence, &bytes);
    check_bytes(&bytes, "01"
                        "0161e807e80702017802797a030131077b226b223a307d" /* online: a */
                        "01"
                        "0162e807d40fd30f0000000000" /* suspected: b */
                        "01"
                        "0163e807d20f00000000" /* offline: c */);
    sp_buf_fini(&bytes);
    end(&stage);
}

/* Ops that do not fit the state are damage. */
static void test_refuses_ops_that_make_no_sense(void **state) {
    (void)state;
    struct stage stage;
    begin(&stage);
    (void)announce(&stage, "a", "{}");
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\x3c\x00\x01\x00", 4},                 /* announce: no id */
        {"\x3c\x01z\x01\x10", 5},                /* flags that nobody knows */
        {"\x3c\x01z\x01\x01\x41", 6},            /* 65 capabilities */
        {"\x3c\x01z\x01\x01\x02\x01x\x01x", 10}, /* one twice */
        {"\x3c\x01z\x01\x01\x01\x00", 7},        /* an empty one */
        {"\x3c\x01z\x01\x04\x05xx", 8},          /* cut off */
        {"\x3d\x01z\x01\x01\x00", 6},            /* suspect: nobody of that name */
        {"\x3d\x01\x61\x01\x01\x02", 6},         /* a reason that nobody knows */
        {"\x3e\x01\x61\x01", 4},                 /* recover: it is online */
        {"\x40\x01\x61", 3},                     /* forget: it is online */
        {"\x41\x01\x61", 3},                     /* no op at all */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(sp_core_fold(&stage.core, sp_str_of(bad[i].bytes, bad[i].len)),
                         SP_CORRUPT);
    }
    end(&stage);
}

/* Each one that the index offers is free, and known to be. */
static void check_offers(struct stage *stage) {
    static const char *const names[] = {"x", "y", "z", "q"};
    for (size_t k = 0; k < 4; k++) {
        struct names by_index;
        (void)found(stage, &by_index, names[k], NULL, true);
        for (char *at = strtok(by_index.text, " "); at != NULL; at = strtok(NULL, " ")) {
            assert_true(info(stage, at).free);
        }
    }
}

/* Whatever happens, replay and snapshot agree, and the lists hold what they should. */
static void test_any_story(void **state) {
    (void)state;
    static const char *const datas[] = {
        "{}", "{\"capabilities\":[\"x\",\"y\"]}", "{\"capabilities\":[\"y\"],\"capacity\":1}",
        "{\"capacity\":2,\"version\":\"3\",\"data\":1}", "{\"capabilities\":[\"x\",\"z\",\"q\"]}"};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sp_prng prng = sp_prng_seed(seed);
        struct sp_agent_holder holders[3] = {{.first = NULL}};
        struct stage stage;
        begin(&stage);
        for (int i = 0; i < 300; i++) {
            char id[8];
            (void)snprintf(id, sizeof(id), "a%u", (unsigned)(sp_prng_next(&prng) % 6));
            struct sp_agent *agent = find(&stage, id);
            struct sp_agent_holder *holder = &holders[sp_prng_next(&prng) % 3];
            stage.now_ms += sp_prng_next(&prng) % 20000;
            switch (sp_prng_next(&prng) % 8) {
            case 0:
            case 1:
                (void)announce(&stage, id, datas[sp_prng_next(&prng) % 5]);
                break;
            case 2:
                if (agent != NULL && sp_agent_is_there(agent)) {
                    sp_presence_end(agent, stage.now_ms, &stage.ops);
                    (void)fold(&stage);
                }
                break;
            case 3:
                if (agent != NULL) {
                    sp_presence_load(&stage.core.presence, agent,
                                     (uint32_t)(sp_prng_next(&prng) % 3));
                }
                break;
            case 4:
                if (agent != NULL && sp_agent_is_there(agent)) {
                    assert_int_equal(sp_presence_hold(agent, holder), SP_OK);
                }
                break;
            case 5:
                sp_presence_let_go(&stage.core.presence, holder, true);
                break;
            case 6:
                (void)tick(&stage);
                break;
            default:
                if (agent != NULL) {
                    beat(&stage, id);
                }
                break;
            }
            check_offers(&stage);
        }
        check_replay(&stage);
        for (size_t k = 0; k < 3; k++) {
            sp_presence_let_go(&stage.core.presence, &holders[k], true);
        }
        end(&stage);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_is_read_leniently),
        cmocka_unit_test(test_too_much_is_passed_over),
        cmocka_unit_test(test_types_of_events),
        cmocka_unit_test(test_an_agent_announces_itself),
        cmocka_unit_test(test_what_is_not_named_stays),
        cmocka_unit_test(test_agents_are_found_by_capability),
        cmocka_unit_test(test_silent_ones_are_not_offered),
        cmocka_unit_test(test_silence_is_suspected_once),
        cmocka_unit_test(test_heartbeats_keep_alive),
        cmocka_unit_test(test_who_leaves_is_not_suspected),
        cmocka_unit_test(test_a_lost_connection_has_grace),
        cmocka_unit_test(test_holders_have_a_limit),
        cmocka_unit_test(test_a_restart_gives_the_whole_time),
        cmocka_unit_test(test_a_wall_clock_that_was_set_accuses_nobody),
        cmocka_unit_test(test_limits_may_change),
        cmocka_unit_test(test_what_cannot_be),
        cmocka_unit_test(test_a_full_table_forgets_the_longest_gone),
        cmocka_unit_test(test_bytes_are_those_of_the_format),
        cmocka_unit_test(test_refuses_ops_that_make_no_sense),
        cmocka_unit_test(test_any_story),
    };
    return cmocka_run_group_tests_name("presence", tests, NULL, NULL);
}
