/*
 * Views: what clients see of a stream, beside a naive model that keeps every entry; the examples of
 * Redis' own tests; ids of a stream's own; renamed keys.
 */
#include "group_help.h"

#include <stdio.h>
#include <stdlib.h>

static struct help_core help;
static struct help_append append;

static int begin(void **state) {
    (void)state;
    help_core_init(&help);
    return 0;
}

static int end(void **state) {
    (void)state;
    help_core_fini(&help);
    return 0;
}

static struct sp_view_facts facts_of(const char *stream) {
    return sp_view_get(&help.core.views, sp_str_from(stream));
}

static uint32_t index_of(const char *stream) {
    sp_str name = sp_str_from(stream);
    return sp_streams_find(&help.core.streams, sp_stream_hash(name), name);
}

static void put(const char *stream, int count) {
    for (int i = 0; i < count; i++) {
        (void)help_put(&help.core, &append, stream, help.core.recorded_us + 100);
    }
}

static uint64_t trim_to_length(const char *stream, uint64_t keep, uint32_t node, uint64_t limit) {
    struct sp_view_trim trim = {.node = node, .limit = limit};
    uint64_t count =
        sp_view_trim_to_length(&help.core.views, sp_str_from(stream), keep, &trim, &help.ops);
    help_fold(&help);
    return count;
}

static uint64_t trim_below(const char *stream, uint64_t version, uint32_t node, uint64_t limit) {
    struct sp_view_trim trim = {.node = node, .limit = limit};
    uint64_t count =
        sp_view_trim_below(&help.core.views, sp_str_from(stream), version, &trim, &help.ops);
    help_fold(&help);
    return count;
}

static uint64_t hide(const char *stream, const uint64_t *versions, size_t count) {
    struct sp_entry_id greatest = {.ms = 7, .seq = count};
    uint64_t hidden =
        sp_view_hide(&help.core.views, sp_str_from(stream), versions, count, greatest, &help.ops);
    help_fold(&help);
    return hidden;
}

static bool delete_key(const char *stream) {
    bool there = sp_view_delete(&help.core.views, sp_str_from(stream), &help.ops);
    help_fold(&help);
    return there;
}

/* ---- without a view ---- */

static void test_most_streams_need_no_view(void **state) {
    (void)state;
    struct sp_view_facts facts = facts_of("s");
    assert_false(facts.exists);
    assert_int_equal(facts.length, 0);
    put("s", 3);
    put("t", 1);
    put("$own", 1);
    facts = facts_of("s");
    assert_true(facts.exists);
    assert_int_equal(facts.length, 3);
    assert_int_equal(facts.entries_added, 3);
    assert_int_equal(facts.first, 1);
    assert_int_equal(facts.last, 3);
    assert_int_equal(facts.last_position, 3);
    assert_false(facts.last_id_known);
    assert_true(sp_view_shows(&help.core.views, index_of("s"), 3));
    assert_false(sp_view_shows(&help.core.views, index_of("s"), 4));
    assert_int_equal(help.core.views.count, 0);
    assert_int_equal(sp_view_key_count(&help.core.views), 2);
}

/* ---- trimming: the numbers are those of Redis' stream.tcl ---- */

static void test_trims_as_redis_does(void **state) {
    (void)state;
    put("s", 1000);
    assert_int_equal(trim_to_length("s", 555, 100, 0), 400);
    assert_int_equal(facts_of("s").length, 600);
    assert_int_equal(trim_to_length("s", 555, 100, 0), 0);
    assert_int_equal(trim_to_length("s", 555, 0, 0), 45);
    assert_int_equal(facts_of("s").length, 555);
    assert_int_equal(trim_to_length("s", 0, 0, 0), 555);
    assert_true(facts_of("s").exists); /* an empty stream is a stream */
    assert_int_equal(facts_of("s").entries_added, 1000);
    put("n", 101);
    assert_int_equal(trim_to_length("n", 55, 10, 30), 30);
    put("n", 1);
    assert_int_equal(trim_to_length("n", 55, 10, 30), 10);
    assert_int_equal(facts_of("n").length, 62);
    assert_int_equal(trim_to_length("n", 0, 10, 0), 62); /* the last node as well */
}

static void test_trims_below_an_id(void **state) {
    (void)state;
    put("s", 50);
    assert_int_equal(trim_below("s", 26, 10, 0), 20);
    assert_int_equal(trim_below("s", 26, 0, 0), 5);
    assert_int_equal(trim_below("s", 26, 0, 0), 0);
    assert_int_equal(trim_below("s", 999, 10, 9), 5); /* what is left of the node from 21 on */
    assert_int_equal(facts_of("s").first, 31);
    assert_int_equal(trim_below("s", 999, 10, 0), 20);
    assert_int_equal(facts_of("s").length, 0);
    assert_int_equal(trim_below("nobody", 5, 0, 0), 0);
}

/* A node goes as soon as what is visible of it may go. */
static void test_hidden_entries_go_with_their_node(void **state) {
    (void)state;
    put("s", 30);
    const uint64_t versions[] = {8, 9, 10};
    assert_int_equal(hide("s", versions, 3), 3);
    assert_int_equal(trim_to_length("s", 20, 10, 0), 7);
    assert_int_equal(facts_of("s").first, 11);
}

static void test_hides_single_entries(void **state) {
    (void)state;
    put("s", 6);
    const uint64_t some[] = {5, 3, 3, 99, 0};
    assert_int_equal(hide("s", some, 5), 2);
    assert_int_equal(facts_of("s").length, 4);
    assert_false(sp_view_shows(&help.core.views, index_of("s"), 3));
    assert_true(sp_view_shows(&help.core.views, index_of("s"), 4));
    assert_int_equal(sp_view_next_shown(&help.core.views, index_of("s"), 3), 4);
    assert_int_equal(sp_view_count_above(&help.core.views, index_of("s"), 2), 2);
    assert_int_equal(facts_of("s").max_deleted.ms, 7);
    const uint64_t rest[] = {1, 2, 4, 6, 5};
    assert_int_equal(hide("s", rest, 5), 4);
    assert_int_equal(facts_of("s").length, 0);
    assert_int_equal(facts_of("s").first, 7); /* all folded into it */
    assert_int_equal(sp_view_next_shown(&help.core.views, index_of("s"), 1), 7);
    put("s", 1);
    assert_int_equal(facts_of("s").length, 1);
}

/* ---- lives of a key ---- */

static void test_a_deleted_key_begins_anew(void **state) {
    (void)state;
    put("s", 5);
    assert_true(delete_key("s"));
    assert_false(delete_key("s"));
    struct sp_view_facts facts = facts_of("s");
    assert_false(facts.exists);
    assert_int_equal(facts.length, 0);
    assert_int_equal(facts.entries_added, 0);
    assert_true(facts.last_id_known && sp_entry_id_is_none(facts.last_id));
    assert_int_equal(sp_view_key_count(&help.core.views), 0);
    put("s", 2);
    facts = facts_of("s");
    assert_true(facts.exists);
    assert_int_equal(facts.base, 5);
    assert_int_equal(facts.first, 6);
    assert_int_equal(facts.length, 2);
    assert_int_equal(facts.entries_added, 2);
    assert_int_equal(sp_view_key_count(&help.core.views), 1);
}

static void test_an_empty_key_can_be_made(void **state) {
    (void)state;
    assert_true(sp_view_make(&help.core.views, SP_STR("s"), &help.ops));
    help_fold(&help);
    assert_false(sp_view_make(&help.core.views, SP_STR("s"), &help.ops));
    assert_true(facts_of("s").exists);
    assert_int_equal(sp_view_key_count(&help.core.views), 1);
    help_reopen(&help);
    assert_true(facts_of("s").exists);
    assert_int_equal(sp_view_key_count(&help.core.views), 1);
    put("s", 1);
    assert_int_equal(sp_view_key_count(&help.core.views), 1);
}

static bool expire(const char *stream, uint64_t at_ms) {
    bool changed = sp_view_expire(&help.core.views, sp_str_from(stream), at_ms, &help.ops);
    help_fold(&help);
    return changed;
}

static void test_keys_expire_in_order(void **state) {
    (void)state;
    put("a", 1);
    put("b", 1);
    put("c", 1);
    assert_true(expire("a", 3000));
    assert_true(expire("b", 1000));
    assert_true(expire("c", 2000));
    assert_false(expire("c", 2000));
    assert_false(expire("nobody", 5));
    assert_true(expire("b", 4000));
    assert_int_equal(sp_view_next_expiry(&help.core.views), 2000);
    assert_int_equal(sp_view_expired(&help.core.views, 1999).len, 0);
    assert_true(sp_str_eq(sp_view_expired(&help.core.views, 2000), SP_STR("c")));
    assert_true(delete_key("c"));
    assert_true(expire("a", 0));
    help_reopen(&help);
    assert_int_equal(sp_view_next_expiry(&help.core.views), 4000);
    assert_true(delete_key("b"));
    assert_int_equal(sp_view_next_expiry(&help.core.views), 0);
}

static void test_watchers_see_every_change(void **state) {
    (void)state;
    uint64_t seen[5];
    put("s", 2);
    seen[0] = facts_of("s").changes;
    put("s", 1);
    seen[1] = facts_of("s").changes;
    (void)trim_to_length("s", 1, 0, 0);
    seen[2] = facts_of("s").changes;
    assert_true(delete_key("s"));
    seen[3] = facts_of("s").changes;
    put("s", 1);
    seen[4] = facts_of("s").changes;
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < i; j++) {
            assert_int_not_equal(seen[i], seen[j]);
        }
    }
}

/* ---- ids ---- */

static sp_status try_put(const char *stream, enum sp_id_wish wish, struct sp_entry_id id,
                         struct sp_entry_id last, uint64_t now_us) {
    help_append_init(&append, now_us);
    struct sp_core_candidate *candidate = help_append_add(&append, stream);
    candidate->id_wish = wish;
    candidate->wished_id = id;
    candidate->last_id = last;
    struct sp_core_outcome outcome;
    sp_status status = help_step(&help.core, &append, NULL, &outcome);
    assert_int_equal(outcome.failed_candidate, status == SP_OK ? 0 : 1);
    return status;
}

/* Adds with a wish and expects the id that the entry has in its stream. */
static void expect_id(const char *stream, enum sp_id_wish wish, uint64_t wished_ms,
                      uint64_t wished_seq, uint64_t ms, uint64_t seq) {
    struct sp_entry_id wished = {.ms = wished_ms, .seq = wished_seq};
    assert_int_equal(try_put(stream, wish, wished, SP_ENTRY_ID_NONE, help.core.recorded_us), SP_OK);
    struct sp_entry_id own = append.candidates[0].own_id;
    if (sp_entry_id_is_none(own)) {
        own = sp_entry_id_of_log(append.events[0].recorded_us, append.events[0].entry_seq);
    }
    assert_int_equal(own.ms, ms);
    assert_int_equal(own.seq, seq);
    if (facts_of(stream).own_ids) {
        assert_int_equal(sp_entry_id_compare(facts_of(stream).last_id, own), 0);
    }
}

static void test_clients_choose_ids(void **state) {
    (void)state;
    const struct sp_entry_id none = SP_ENTRY_ID_NONE;
    put("other", 1);
    help.core.recorded_us = 50000;
    expect_id("s", SP_ID_WISH_GIVEN, 5, 3, 5, 3);
    assert_true(facts_of("s").own_ids);
    assert_int_equal(facts_of("s").own_first, 1);
    expect_id("s", SP_ID_WISH_MS, 5, 0, 5, 4);
    expect_id("s", SP_ID_WISH_MS, 7, 0, 7, 0);
    expect_id("s", SP_ID_WISH_NONE, 0, 0, 50, 4); /* the log's rises */
    expect_id("s", SP_ID_WISH_GIVEN, 90, 0, 90, 0);
    expect_id("s", SP_ID_WISH_NONE, 0, 0, 90, 1); /* the log's would not */
    expect_id("s", SP_ID_WISH_GIVEN, 90, UINT64_MAX, 90, UINT64_MAX);
    uint64_t hash = sp_core_hash(&help.core);
    struct sp_entry_id same = {.ms = 90, .seq = UINT64_MAX};
    assert_int_equal(try_put("s", SP_ID_WISH_GIVEN, same, none, 50000), SP_CONFLICT);
    assert_int_equal(try_put("s", SP_ID_WISH_MS, same, none, 50000), SP_CONFLICT);
    assert_int_equal(try_put("s", SP_ID_WISH_GIVEN, none, none, 50000), SP_INVALID);
    assert_int_equal(try_put("new", SP_ID_WISH_GIVEN, none, none, 50000), SP_INVALID);
    assert_int_equal(sp_core_hash(&help.core), hash);
    expect_id("s", SP_ID_WISH_NONE, 0, 0, 91, 0);
    expect_id("zero", SP_ID_WISH_MS, 0, 0, 0, 1);
    expect_id("s", SP_ID_WISH_GIVEN, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    assert_int_equal(try_put("s", SP_ID_WISH_NONE, none, none, 50000), SP_END);
    assert_int_equal(try_put("s", SP_ID_WISH_GIVEN, SP_ENTRY_ID_MAX, none, 50000), SP_END);
}

/* The last id of a stream without own ids is a fact that the owner looks up. */
static void test_an_id_is_above_those_of_the_log(void **state) {
    (void)state;
    put("s", 1);
    struct sp_entry_id last = {.ms = 40, .seq = 1};
    struct sp_entry_id low = {.ms = 40, .seq = 1};
    struct sp_entry_id high = {.ms = 40, .seq = 2};
    assert_int_equal(try_put("s", SP_ID_WISH_GIVEN, low, last, 9), SP_CONFLICT);
    assert_false(facts_of("s").own_ids);
    assert_int_equal(try_put("s", SP_ID_WISH_GIVEN, high, last, 9), SP_OK);
    assert_int_equal(facts_of("s").own_first, 2);
}

/* Ids of one append follow one another, also behind one that only has the log's. */
static void test_ids_rise_within_an_append(void **state) {
    (void)state;
    help_append_init(&append, 20000);
    (void)help_append_add(&append, "s");
    struct sp_core_candidate *second = help_append_add(&append, "s");
    second->id_wish = SP_ID_WISH_MS;
    second->wished_id = (struct sp_entry_id){.ms = 20};
    (void)help_append_add(&append, "s");
    assert_int_equal(help_step(&help.core, &append, NULL, NULL), SP_OK);
    assert_true(sp_entry_id_is_none(append.candidates[0].own_id)); /* 20-0 is the log's */
    assert_true(sp_entry_id_is_none(append.candidates[1].own_id)); /* 20-1 as well */
    help_append_init(&append, 20000);
    struct sp_core_candidate *first = help_append_add(&append, "t");
    first->id_wish = SP_ID_WISH_GIVEN;
    first->wished_id = (struct sp_entry_id){.ms = 99};
    (void)help_append_add(&append, "t");
    struct sp_core_candidate *late = help_append_add(&append, "t");
    late->id_wish = SP_ID_WISH_GIVEN;
    late->wished_id = (struct sp_entry_id){.ms = 99};
    struct sp_core_outcome outcome;
    assert_int_equal(help_step(&help.core, &append, NULL, &outcome), SP_CONFLICT);
    assert_int_equal(outcome.failed_candidate, 3);
    late->wished_id.ms = 100;
    assert_int_equal(help_step(&help.core, &append, NULL, NULL), SP_OK);
    assert_int_equal(append.candidates[1].own_id.ms, 99);
    assert_int_equal(append.candidates[1].own_id.seq, 1);
}

static void test_set_id_gives_own_ids(void **state) {
    (void)state;
    put("s", 3);
    uint64_t added = 77;
    struct sp_entry_id last = {.ms = 500, .seq = 9};
    struct sp_entry_id deleted = {.ms = 4, .seq = 5};
    sp_view_set(&help.core.views, SP_STR("s"), last, &added, &deleted, &help.ops);
    help_fold(&help);
    struct sp_view_facts facts = facts_of("s");
    assert_int_equal(facts.entries_added, 77);
    assert_int_equal(facts.max_deleted.seq, 5);
    assert_true(facts.last_id_known);
    assert_int_equal(facts.own_first, 4);
    expect_id("s", SP_ID_WISH_NONE, 0, 0, 500, 10);
    assert_int_equal(facts_of("s").entries_added, 78);
    last.ms = 600;
    sp_view_set(&help.core.views, SP_STR("s"), last, NULL, NULL, &help.ops);
    help_fold(&help);
    assert_int_equal(facts_of("s").entries_added, 78);
    assert_int_equal(facts_of("s").max_deleted.ms, 4);
    assert_true(delete_key("s"));
    assert_false(facts_of("s").own_ids);
    assert_int_equal(help.core.views.own_count, 0);
}

/* The entry with an id lies within what locate says, however the stream was trimmed. */
static void test_marks_lead_to_positions(void **state) {
    (void)state;
    enum { ENTRIES = 3000 };
    static uint64_t positions[ENTRIES + 1];
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        put("other", i % 3 == 0 ? 2 : 0);
        struct sp_entry_id id = {.ms = i * 10, .seq = i % 4};
        assert_int_equal(try_put("s", SP_ID_WISH_GIVEN, id, SP_ENTRY_ID_NONE, 1), SP_OK);
        positions[i] = append.events[0].position;
        if (i == 1500) {
            assert_int_equal(trim_to_length("s", 700, 0, 0), 800);
        }
    }
    help_reopen(&help);
    for (uint64_t i = facts_of("s").first; i <= ENTRIES; i++) {
        struct sp_entry_id id = {.ms = i * 10 - (i % 2), .seq = i % 4};
        uint64_t from;
        uint64_t until;
        sp_view_locate(&help.core.views, index_of("s"), id, &from, &until);
        assert_true(from <= positions[i] && positions[i] <= until);
        assert_true(until - from <= (uint64_t)SP_VIEW_MARK_EVERY * 2);
    }
}

/* What recovery folds in: events with own ids come one by one and must rise. */
static void test_own_ids_are_applied(void **state) {
    (void)state;
    struct help_entry entry = {.stream = "s", .applied = {.position = 1, .version = 1}};
    entry.applied.recorded_us = 5000;
    entry.applied.own_id = (struct sp_entry_id){.ms = 8, .seq = 0};
    assert_int_equal(help_apply(&help.core, &entry), SP_OK);
    assert_true(facts_of("s").own_ids);
    entry.applied.position = 2;
    entry.applied.version = 2;
    assert_int_equal(help_apply(&help.core, &entry), SP_CORRUPT);
    entry.applied.own_id = SP_ENTRY_ID_NONE; /* then it has the log's: 5-0, below 8-0 */
    assert_int_equal(help_apply(&help.core, &entry), SP_CORRUPT);
    entry.applied.recorded_us = 9000;
    assert_int_equal(help_apply(&help.core, &entry), SP_OK);
    assert_int_equal(facts_of("s").last_id.ms, 9);
}

/* ---- RENAME ---- */

static sp_status rename_key(const char *from, const char *to) {
    sp_status status = sp_view_rename(&help.core.views, sp_str_from(from), sp_str_from(to),
                                      &help.ops, &help.error);
    help_fold(&help);
    return status;
}

static void expect_stream(const char *key, const char *stream) {
    assert_true(
        sp_str_eq(sp_view_resolve(&help.core.views, sp_str_from(key)), sp_str_from(stream)));
    if (stream[0] != '\0') {
        assert_true(
            sp_str_eq(sp_view_key_of(&help.core.views, sp_str_from(stream)), sp_str_from(key)));
    }
}

static void test_keys_are_renamed(void **state) {
    (void)state;
    put("a", 2);
    put("b", 3);
    put("a@2", 1);
    assert_int_equal(rename_key("nobody", "b"), SP_NOT_FOUND);
    assert_int_equal(rename_key("a", "a"), SP_OK);
    assert_int_equal(rename_key("a", "b"), SP_OK);
    expect_stream("b", "a");
    expect_stream("a", "a@3"); /* a@2 is somebody's */
    expect_stream("a@3", "");  /* and this is a's now */
    expect_stream("a@2", "a@2");
    assert_false(facts_of("b").exists);
    assert_int_equal(sp_view_key_of(&help.core.views, SP_STR("b")).len, 0);
    assert_int_equal(rename_key("a", "c"), SP_NOT_FOUND); /* a is gone, until something is added */
    assert_int_equal(rename_key("b", "a@3"), SP_CONFLICT);
    assert_int_equal(sp_view_key_count(&help.core.views), 2);
    put("a@3", 1); /* an event for the key a */
    help_reopen(&help);
    expect_stream("b", "a");
    assert_int_equal(rename_key("b", "c"), SP_OK);
    expect_stream("c", "a");
    expect_stream("b", "b");                       /* its own again, as nobody has it */
    assert_int_equal(rename_key("c", "a"), SP_OK); /* home: what a stood for is gone */
    expect_stream("a", "a");
    expect_stream("c", "c");
    expect_stream("a@3", "a@3");
    assert_false(facts_of("a@3").exists);
    assert_int_equal(help.core.views.alias_count, 0);
    assert_int_equal(sp_view_key_count(&help.core.views), 2);
}

/* ---- beside a model ---- */

enum { MODEL_STREAMS = 4, MODEL_VERSIONS = 600 };

struct model_stream {
    bool exists;
    uint64_t last;
    uint64_t base;
    uint64_t added; /* beyond what the generation has */
    bool shown[MODEL_VERSIONS + 1];
};

struct model {
    struct model_stream streams[MODEL_STREAMS];
    struct help_log log;
    size_t ops_folded;
};

static const char *const model_names[MODEL_STREAMS] = {"p", "q", "r", "s"};

static uint64_t model_length(const struct model_stream *stream) {
    uint64_t length = 0;
    for (uint64_t i = stream->base + 1; i <= stream->last; i++) {
        length += stream->shown[i] ? 1 : 0;
    }
    return length;
}

static void expect_stream_same(const struct model_stream *stream, const char *name,
                               struct sp_prng *prng) {
    struct sp_view_facts facts = facts_of(name);
    assert_int_equal(facts.exists, stream->exists);
    assert_int_equal(facts.last, stream->last);
    assert_int_equal(facts.length, model_length(stream));
    assert_int_equal(facts.entries_added, stream->last - stream->base + stream->added);
    if (stream->last == 0) {
        return;
    }
    uint32_t index = index_of(name);
    uint64_t above = 0;
    uint64_t from = 1 + sp_prng_below(prng, (uint32_t)stream->last);
    uint64_t next = stream->last + 1;
    for (uint64_t i = stream->last; i >= 1; i--) {
        assert_int_equal(sp_view_shows(&help.core.views, index, i), stream->shown[i]);
        above += i > from && stream->shown[i] ? 1 : 0;
        next = i >= from && stream->shown[i] ? i : next;
    }
    assert_int_equal(sp_view_count_above(&help.core.views, index, from), above);
    assert_int_equal(sp_view_next_shown(&help.core.views, index, from), next);
}

static void model_trim(struct model_stream *stream, const char *name, struct sp_prng *prng) {
    uint64_t keep = sp_prng_below(prng, 40);
    uint64_t length = model_length(stream);
    uint64_t gone = length > keep ? length - keep : 0;
    assert_int_equal(trim_to_length(name, keep, 0, 0), gone);
    for (uint64_t i = 1; gone > 0; i++) {
        gone -= stream->shown[i] ? 1 : 0;
        stream->shown[i] = false;
    }
}

/* "~": node by node, as Redis does it. */
static void model_trim_nodes(struct model_stream *stream, const char *name, struct sp_prng *prng) {
    uint32_t node = 1 + sp_prng_below(prng, 12);
    uint64_t keep = sp_prng_below(prng, 60);
    uint64_t limit = sp_prng_below(prng, 2) == 0 ? 0 : 1 + sp_prng_below(prng, 40);
    uint64_t length = model_length(stream);
    uint64_t gone = 0;
    for (uint64_t start = stream->base + 1; start <= stream->last; start += node) {
        uint64_t entries = 0;
        for (uint64_t i = start; i < start + node && i <= stream->last; i++) {
            entries += stream->shown[i] ? 1 : 0;
        }
        if (length - gone <= keep || length - gone - entries < keep ||
            (limit != 0 && gone + entries > limit)) {
            break;
        }
        gone += entries;
        for (uint64_t i = start; i < start + node && i <= stream->last; i++) {
            stream->shown[i] = false;
        }
    }
    assert_int_equal(trim_to_length(name, keep, node, limit), gone);
}

static void model_hide(struct model_stream *stream, const char *name, struct sp_prng *prng) {
    uint64_t versions[20];
    size_t count = 1 + sp_prng_below(prng, 20);
    uint64_t expected = 0;
    for (size_t i = 0; i < count; i++) {
        versions[i] = 1 + sp_prng_below(prng, (uint32_t)stream->last + 2);
        bool was = versions[i] <= stream->last && stream->shown[versions[i]];
        expected += was ? 1 : 0;
        stream->shown[versions[i]] =
            versions[i] <= stream->last ? false : stream->shown[versions[i]];
    }
    assert_int_equal(hide(name, versions, count), expected);
}

static void model_step(struct model *model, struct sp_prng *prng) {
    uint32_t i = sp_prng_below(prng, MODEL_STREAMS);
    struct model_stream *stream = &model->streams[i];
    const char *name = model_names[i];
    uint32_t what = sp_prng_below(prng, 40);
    if (what < 20 && stream->last < MODEL_VERSIONS - 20) {
        uint32_t count = 1 + sp_prng_below(prng, 12);
        put(name, (int)count);
        stream->exists = true;
        for (uint32_t j = 0; j < count; j++) {
            stream->shown[++stream->last] = true;
        }
    } else if (what < 28) {
        model_hide(stream, name, prng);
    } else if (what < 32) {
        model_trim(stream, name, prng);
    } else if (what < 36) {
        model_trim_nodes(stream, name, prng);
    } else if (what == 36) {
        assert_int_equal(delete_key(name), stream->exists);
        bool was = stream->exists;
        stream->exists = false;
        stream->base = was ? stream->last : stream->base;
        stream->added = 0;
        memset(stream->shown, 0, sizeof(stream->shown));
    } else if (what == 37) {
        assert_int_equal(sp_view_make(&help.core.views, sp_str_from(name), &help.ops),
                         !stream->exists);
        help_fold(&help);
        stream->exists = true;
    } else if (what == 38 && stream->exists) {
        (void)expire(name, sp_prng_below(prng, 3) * 1000);
    } else if (stream->exists) {
        uint64_t added = sp_prng_below(prng, 1000);
        stream->added = added - (stream->last - stream->base);
        struct sp_entry_id last = {.ms = 1000000 + sp_prng_next(prng) % 1000};
        sp_view_set(&help.core.views, sp_str_from(name), last, &added, NULL, &help.ops);
        help_fold(&help);
    }
}

static void test_views_are_as_the_model_has_them(void **state) {
    (void)state;
    static struct model model;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct sp_prng prng = sp_prng_seed(seed);
        model = (struct model){.ops_folded = 0};
        (void)begin(NULL);
        for (int i = 0; i < 400; i++) {
            uint64_t keys = 0;
            model_step(&model, &prng);
            for (int j = 0; j < MODEL_STREAMS; j++) {
                expect_stream_same(&model.streams[j], model_names[j], &prng);
                keys += model.streams[j].exists ? 1 : 0;
            }
            assert_int_equal(sp_view_key_count(&help.core.views), keys);
            if (sp_prng_below(&prng, 60) == 0) {
                help_reopen(&help);
            }
        }
        (void)end(NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_most_streams_need_no_view, begin, end),
        cmocka_unit_test_setup_teardown(test_trims_as_redis_does, begin, end),
        cmocka_unit_test_setup_teardown(test_trims_below_an_id, begin, end),
        cmocka_unit_test_setup_teardown(test_hidden_entries_go_with_their_node, begin, end),
        cmocka_unit_test_setup_teardown(test_hides_single_entries, begin, end),
        cmocka_unit_test_setup_teardown(test_a_deleted_key_begins_anew, begin, end),
        cmocka_unit_test_setup_teardown(test_an_empty_key_can_be_made, begin, end),
        cmocka_unit_test_setup_teardown(test_keys_expire_in_order, begin, end),
        cmocka_unit_test_setup_teardown(test_watchers_see_every_change, begin, end),
        cmocka_unit_test_setup_teardown(test_clients_choose_ids, begin, end),
        cmocka_unit_test_setup_teardown(test_an_id_is_above_those_of_the_log, begin, end),
        cmocka_unit_test_setup_teardown(test_ids_rise_within_an_append, begin, end),
        cmocka_unit_test_setup_teardown(test_set_id_gives_own_ids, begin, end),
        cmocka_unit_test_setup_teardown(test_marks_lead_to_positions, begin, end),
        cmocka_unit_test_setup_teardown(test_own_ids_are_applied, begin, end),
        cmocka_unit_test_setup_teardown(test_keys_are_renamed, begin, end),
        cmocka_unit_test(test_views_are_as_the_model_has_them),
    };
    return cmocka_run_group_tests_name("views", tests, NULL, NULL);
}
