/* Streams over the bus: adding with all kinds of ids, reading, hiding, keys that come and go. */
#include "bus_help.h"

#include <stdio.h>
#include <stdlib.h>

enum { SEGMENT = 1 << 20 };

static const struct sp_entry_id NONE = {0, 0};
static const struct sp_entry_id MAX = {UINT64_MAX, UINT64_MAX};

static struct bus_seen *new_seen(void) {
    struct bus_seen *seen = calloc(1, sizeof(*seen));
    assert_non_null(seen);
    return seen;
}

static sp_status add_id(struct bus_help *help, const char *key_text, enum sp_bus_id_kind kind,
                        uint64_t ms, uint64_t seq, struct sp_bus_added *added) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    struct sp_event event = {.data = SP_STR("1"), .has_data = true};
    event.attr[SP_ATTR_TYPE] = SP_STR("t");
    event.attr[SP_ATTR_SOURCE] = SP_STR("tester");
    struct sp_bus_add add = {
        .key = &key, .event = &event, .id_kind = kind, .id = {.ms = ms, .seq = seq}};
    return sp_bus_add(help->bus, &add, added, &error);
}

static uint64_t length(struct bus_help *help, const char *key_text) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    uint64_t count = 0;
    bus_ok(sp_bus_length(help->bus, &key, &count, &error), &error);
    return count;
}

static struct sp_bus_stream_info info(struct bus_help *help, const char *key_text) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    struct sp_bus_stream_info found;
    bus_ok(sp_bus_stream(help->bus, &key, &found, &error), &error);
    return found;
}

static bool same_id(struct sp_entry_id a, struct sp_entry_id b) {
    return sp_entry_id_compare(a, b) == 0;
}

static void test_keys(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct sp_key key;
    struct sp_error error;
    bus_open(&help);
    assert_int_equal(bus_key(&help, "$all").kind, SP_KEY_ALL);
    assert_int_equal(bus_key(&help, "$type:a.*").kind, SP_KEY_TYPE);
    assert_int_equal(bus_key(&help, "$source:x").kind, SP_KEY_SOURCE);
    assert_int_equal(bus_key(&help, "$correlation:x").kind, SP_KEY_CORRELATION);
    assert_int_equal(bus_key(&help, "$group:x").kind, SP_KEY_STREAM);
    assert_int_equal(bus_key(&help, "$alle").kind, SP_KEY_STREAM);
    assert_int_equal(sp_key_parse(help.bus, SP_STR("$type:"), &key, &error), SP_INVALID);
    assert_int_equal(sp_key_parse(help.bus, SP_STR("$type:a b"), &key, &error), SP_INVALID);
    assert_int_equal(sp_key_parse(help.bus, SP_STR("$source:"), &key, &error), SP_INVALID);
    struct sp_bus_added added;
    key = bus_key(&help, "$own");
    assert_false(sp_key_writable(&key));
    assert_int_equal(add_id(&help, "$own", SP_ID_AUTO, 0, 0, &added), SP_DENIED);
    assert_int_equal(add_id(&help, "$all", SP_ID_AUTO, 0, 0, &added), SP_DENIED);
    assert_int_equal(add_id(&help, "", SP_ID_AUTO, 0, 0, &added), SP_DENIED);
    key = bus_key(&help, "nobody");
    assert_false(sp_bus_exists(help.bus, &key));
    bus_close(&help);
}

/* Every range of a hundred entries of one stream among three, both ways, from ids there and not. */
static void compare_ranges(struct bus_help *help, const char *key, const struct bus_seen *all,
                           struct bus_seen *seen, uint64_t *random) {
    for (int i = 0; i < 300; i++) {
        size_t a = help_below(random, (uint32_t)all->count);
        size_t b = help_below(random, (uint32_t)all->count);
        struct sp_entry_id from = all->ids[a];
        struct sp_entry_id until = all->ids[b];
        bool exclusive = help_below(random, 2) == 0;
        from = exclusive ? sp_entry_id_next(from) : from;
        bool reverse = help_below(random, 2) == 0;
        uint64_t count = help_below(random, 3) == 0 ? 0 : 1 + help_below(random, 20);
        bus_range(help, key, from, until, reverse, count, seen);
        size_t expected = 0;
        for (size_t k = 0; k < all->count; k++) {
            size_t at = reverse ? all->count - 1 - k : k;
            if (sp_entry_id_compare(all->ids[at], from) >= 0 &&
                sp_entry_id_compare(all->ids[at], until) <= 0 && (count == 0 || expected < count)) {
                assert_true(expected < seen->count);
                assert_true(same_id(seen->ids[expected], all->ids[at]));
                assert_string_equal(seen->texts[expected], all->texts[at]);
                expected++;
            }
        }
        assert_int_equal(seen->count, expected);
    }
}

static void test_ranges(void **state) {
    (void)state;
    struct bus_help help = {.segment_bytes = SEGMENT};
    struct bus_seen *all = new_seen();
    struct bus_seen *seen = new_seen();
    uint64_t random = 7;
    char data[32];
    bus_open(&help);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 400; i++) {
            (void)snprintf(data, sizeof(data), "%d", round * 1000 + i);
            static const char *const keys[] = {"a", "b", "c"};
            static const char *const types[] = {"t.one", "t.two", "u"};
            (void)bus_put(&help, keys[help_below(&random, 3)], types[help_below(&random, 3)], data);
            if (help_below(&random, 3) == 0) {
                help.wall_us += help_below(&random, 3000);
            }
            if (help_below(&random, 50) == 0) {
                bus_settle(&help);
            }
        }
        bus_settle(&help);
        static const char *const keys[] = {
            "a", "$all", "$type:t.*", "$type:u", "$type:#", "$source:tester", "$correlation:none"};
        for (size_t k = 0; k < 7; k++) {
            bus_all(&help, keys[k], all);
            assert_int_equal(all->count, length(&help, keys[k]));
            if (all->count > 0) {
                compare_ranges(&help, keys[k], all, seen, &random);
                assert_true(same_id(info(&help, keys[k]).last_id, all->ids[all->count - 1]));
            }
        }
        bus_reopen(&help);
    }
    bus_all(&help, "$all", all);
    assert_int_equal(all->count, 1200);
    bus_all(&help, "$source:tester", seen);
    assert_int_equal(seen->count, 1200);
    bus_close(&help);
    free(all);
    free(seen);
}

/* What is not durable is not read. */
static void test_only_what_is_durable(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    bus_open(&help);
    (void)bus_put(&help, "a", "t", "1");
    bus_settle(&help);
    (void)bus_put(&help, "a", "t", "2");
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 1);
    assert_int_equal(length(&help, "a"), 2);
    bus_settle(&help);
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 2);
    bus_close(&help);
    free(seen);
}

static void test_ids_of_ones_own(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct sp_bus_added added;
    bus_open(&help);
    bus_ok(add_id(&help, "a", SP_ID_GIVEN, 5, 1, &added), NULL);
    assert_true(same_id(added.id, (struct sp_entry_id){5, 1}));
    assert_int_equal(add_id(&help, "a", SP_ID_GIVEN, 5, 1, &added), SP_CONFLICT);
    assert_int_equal(add_id(&help, "a", SP_ID_GIVEN, 4, 9, &added), SP_CONFLICT);
    assert_int_equal(add_id(&help, "b", SP_ID_GIVEN, 0, 0, &added), SP_INVALID);
    bus_ok(add_id(&help, "a", SP_ID_MS, 5, 0, &added), NULL);
    assert_true(same_id(added.id, (struct sp_entry_id){5, 2}));
    bus_ok(add_id(&help, "a", SP_ID_MS, 9, 0, &added), NULL);
    assert_true(same_id(added.id, (struct sp_entry_id){9, 0}));
    bus_ok(add_id(&help, "b", SP_ID_MS, 0, 0, &added), NULL);
    assert_true(same_id(added.id, (struct sp_entry_id){0, 1}));
    bus_settle(&help);
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 3);
    assert_true(same_id(seen->ids[2], (struct sp_entry_id){9, 0}));
    bus_ok(add_id(&help, "a", SP_ID_AUTO, 0, 0, &added), NULL);
    assert_int_equal(added.id.ms, help.wall_us / 1000);
    bus_ok(add_id(&help, "a", SP_ID_GIVEN, UINT64_MAX, UINT64_MAX - 1, &added), NULL);
    bus_ok(add_id(&help, "a", SP_ID_AUTO, 0, 0, &added), NULL);
    assert_true(same_id(added.id, MAX));
    assert_int_equal(add_id(&help, "a", SP_ID_AUTO, 0, 0, &added), SP_END);
    bus_reopen(&help);
    assert_int_equal(add_id(&help, "a", SP_ID_AUTO, 0, 0, &added), SP_END);
    assert_true(same_id(info(&help, "a").last_id, MAX));
    bus_range(&help, "a", (struct sp_entry_id){5, 2}, (struct sp_entry_id){9, 0}, true, 0, seen);
    assert_int_equal(seen->count, 2);
    assert_true(same_id(seen->ids[0], (struct sp_entry_id){9, 0}));
    bus_range(&help, "$all", NONE, MAX, false, 0, seen);
    for (size_t i = 0; i < seen->count; i++) { /* everywhere else it has the log's */
        assert_int_equal(seen->ids[i].ms, help.wall_us / 1000);
    }
    bus_close(&help);
    free(seen);
}

/* Thousands of ids that were chosen: ranges are found, whatever the ids. */
static void test_ranges_of_chosen_ids(void **state) {
    (void)state;
    struct bus_help help = {.segment_bytes = SEGMENT};
    struct bus_seen *all = new_seen();
    struct bus_seen *seen = new_seen();
    struct sp_bus_added added;
    uint64_t random = 3;
    uint64_t ms = 10;
    bus_open(&help);
    for (int i = 0; i < 20; i++) {
        (void)bus_put(&help, "a", "log", "1"); /* some have the log's id, before */
        help.wall_us += 1000;
    }
    ms = help.wall_us / 1000 + 5;
    for (int i = 0; i < 1500; i++) {
        ms += help_below(&random, 3);
        bus_ok(add_id(&help, "a", SP_ID_MS, ms, 0, &added), NULL);
        if (i % 4 == 0) {
            (void)bus_put(&help, "b", "t", "1");
        }
        if (i % 100 == 0) {
            bus_settle(&help);
        }
    }
    bus_settle(&help);
    for (int round = 0; round < 2; round++) {
        bus_all(&help, "a", all);
        assert_int_equal(all->count, 1520);
        for (size_t i = 1; i < all->count; i++) {
            assert_true(sp_entry_id_compare(all->ids[i - 1], all->ids[i]) < 0);
        }
        compare_ranges(&help, "a", all, seen, &random);
        bus_reopen(&help);
    }
    bus_close(&help);
    free(all);
    free(seen);
}

static uint64_t trim(struct bus_help *help, const char *key_text, const struct sp_bus_trim *trim) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    uint64_t count = 0;
    bus_ok(sp_bus_trim(help->bus, &key, trim, &count, &error), &error);
    return count;
}

static void test_trimming(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct sp_entry_id ids[1000];
    bus_open(&help);
    for (size_t i = 0; i < 1000; i++) {
        ids[i] = bus_put(&help, "a", "t", "1").id;
        help.wall_us += 700;
    }
    struct sp_bus_trim about = {
        .kind = SP_TRIM_LENGTH, .approximate = true, .length = 555, .limit = UINT64_MAX};
    assert_int_equal(trim(&help, "a", &about), 400); /* whole nodes of a hundred */
    bus_settle(&help);
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 600);
    assert_true(same_id(seen->ids[0], ids[400]));
    struct sp_bus_trim exact = {.kind = SP_TRIM_LENGTH, .length = 100};
    assert_int_equal(trim(&help, "a", &exact), 500);
    assert_int_equal(trim(&help, "a", &exact), 0);
    struct sp_bus_trim by_id = {.kind = SP_TRIM_ID, .id = sp_entry_id_next(ids[949])};
    assert_int_equal(trim(&help, "a", &by_id), 50);
    bus_reopen(&help);
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 50);
    assert_true(same_id(seen->ids[0], ids[950]));
    assert_int_equal(length(&help, "a"), 50);
    assert_int_equal(info(&help, "a").entries_added, 1000);
    bus_all(&help, "$stream:a", seen); /* and it was told */
    assert_int_equal(seen->count, 3);
    assert_memory_equal(seen->texts[0], "stream.trimmed {\"key\":\"a\",\"entries\":400", 39);
    bus_all(&help, "$type:t", seen); /* the log has them all */
    assert_int_equal(seen->count, 1000);
    by_id.id = MAX;
    assert_int_equal(trim(&help, "a", &by_id), 50);
    struct sp_key key = bus_key(&help, "a");
    assert_true(sp_bus_exists(help.bus, &key)); /* empty, and there */
    bus_close(&help);
    free(seen);
}

/* MAXLEN with every add. */
static void test_adding_within_a_length(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    bus_open(&help);
    struct sp_key key = bus_key(&help, "a");
    struct sp_error error;
    struct sp_bus_added added;
    for (int i = 0; i < 5000; i++) {
        struct sp_event event = {.data = SP_STR("1"), .has_data = true};
        event.attr[SP_ATTR_TYPE] = SP_STR("t");
        event.attr[SP_ATTR_SOURCE] = SP_STR("tester");
        struct sp_bus_add add = {
            .key = &key, .event = &event, .trim = {.kind = SP_TRIM_LENGTH, .length = 10}};
        bus_ok(sp_bus_add(help.bus, &add, &added, &error), &error);
        if (i % 500 == 0) {
            bus_settle(&help);
        }
        if (i % 701 == 0) {
            bus_settle(&help);
            bus_all(&help, "a", seen);
            assert_int_equal(seen->count, i < 10 ? i + 1 : 10);
            assert_int_equal(seen->positions[seen->count - 1], added.position);
        }
    }
    bus_reopen(&help);
    key = bus_key(&help, "a");
    bus_range(&help, "a", NONE, MAX, true, 3, seen);
    assert_int_equal(seen->count, 3);
    assert_int_equal(seen->positions[0], added.position);
    assert_int_equal(length(&help, "a"), 10);
    bus_close(&help);
    free(seen);
}

static uint64_t hide(struct bus_help *help, const char *key_text, const struct sp_entry_id *ids,
                     size_t count) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    uint64_t hidden = 0;
    bus_ok(sp_bus_hide(help->bus, &key, ids, count, &hidden, &error), &error);
    return hidden;
}

static void test_deleting_entries(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct sp_entry_id ids[60];
    bus_open(&help);
    for (size_t i = 0; i < 60; i++) {
        ids[i] = bus_put(&help, "a", "t", "1").id;
        help.wall_us += i % 3 == 0 ? 1500 : 0;
        if (i == 30) {
            bus_settle(&help);
        }
    }
    /* Durable ones, some that are on their way, one twice, one that never was. */
    struct sp_entry_id some[] = {ids[3], ids[7], ids[7], ids[50], {1, 1}};
    assert_int_equal(hide(&help, "a", some, 5), 3);
    assert_int_equal(hide(&help, "a", some, 5), 0);
    assert_int_equal(length(&help, "a"), 57);
    bus_reopen(&help);
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 57);
    assert_true(same_id(info(&help, "a").max_deleted, ids[50]));
    assert_int_equal(hide(&help, "a", ids, 60), 57);
    bus_settle(&help);
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 0);
    (void)bus_put(&help, "a", "t", "2");
    bus_settle(&help);
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 1);
    bus_close(&help);
    free(seen);
}

static void remove_key(struct bus_help *help, const char *text, bool expected) {
    struct sp_key key = bus_key(help, text);
    struct sp_error error;
    bool there = !expected;
    bus_ok(sp_bus_delete(help->bus, &key, &there, &error), &error);
    assert_int_equal(there, expected);
}

static bool count_key(void *context, sp_str key) {
    assert_true(key.len > 0 && key.ptr[0] != '$');
    ++*(size_t *)context;
    return true;
}

static size_t count_keys(struct bus_help *help) {
    size_t count = 0;
    uint64_t cursor = 0;
    do {
        cursor = sp_bus_scan(help->bus, cursor, 2, count_key, &count);
    } while (cursor != 0);
    assert_int_equal(count, sp_bus_key_count(help->bus));
    return count;
}

static void test_keys_come_and_go(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct sp_error error;
    bus_open(&help);
    (void)bus_put(&help, "a", "t", "1");
    (void)bus_put(&help, "b", "t", "2");
    struct sp_key a = bus_key(&help, "a");
    uint64_t stamp = sp_bus_stamp(help.bus, &a);
    remove_key(&help, "a", true);
    assert_int_not_equal(sp_bus_stamp(help.bus, &a), stamp);
    remove_key(&help, "a", false);
    remove_key(&help, "nobody", false);
    assert_false(sp_bus_exists(help.bus, &a));
    assert_int_equal(count_keys(&help), 1);
    (void)bus_put(&help, "a", "t", "3");
    bus_settle(&help);
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 1);
    assert_string_equal(seen->texts[0], "t 3");
    /* Expiry: nobody sees it any more, then it is gone. */
    bool changed = false;
    bus_ok(sp_bus_expire(help.bus, &a, help.wall_us / 1000 + 500, &changed, &error), &error);
    assert_true(changed);
    assert_in_range(sp_bus_tick(help.bus), 1, 500);
    bus_reopen(&help);
    a = bus_key(&help, "a");
    assert_int_equal(info(&help, "a").expire_ms, help.wall_us / 1000 + 500);
    bus_sleep(&help, 500);
    assert_false(sp_bus_exists(help.bus, &a));
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 0);
    assert_int_equal(sp_bus_tick(help.bus), -1);
    assert_int_equal(count_keys(&help), 1);
    bus_ok(sp_bus_expire(help.bus, &a, 1, &changed, &error), &error);
    assert_false(changed);
    bus_settle(&help);
    bus_all(&help, "$stream:a", seen);
    assert_int_equal(seen->count, 2);
    assert_memory_equal(seen->texts[1], "stream.expired", 14);
    bus_close(&help);
    free(seen);
}

static void test_renaming(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct bus_seen *seen = new_seen();
    struct sp_error error;
    bus_open(&help);
    (void)bus_put(&help, "a", "t", "1");
    (void)bus_put(&help, "b", "t", "2");
    bus_make_group(&help, "a", "workers", false);
    bus_make_group(&help, "b", "others", false);
    bus_settle(&help);
    bus_receive(&help, "a", "workers", "c", 1, seen);
    struct sp_key a = bus_key(&help, "a");
    struct sp_key b = bus_key(&help, "b");
    bus_ok(sp_bus_rename(help.bus, &a, &b, &error), &error);
    bus_reopen(&help);
    bus_all(&help, "b", seen);
    assert_int_equal(seen->count, 1);
    assert_string_equal(seen->texts[0], "t 1");
    a = bus_key(&help, "a");
    b = bus_key(&help, "b");
    assert_false(sp_bus_exists(help.bus, &a));
    assert_int_equal(count_keys(&help), 1);
    assert_null(sp_bus_group(help.bus, &b, SP_STR("others")));
    assert_int_equal(bus_info(&help, "b", "workers").facts.pending, 1);
    (void)bus_put(&help, "a", "t", "3");
    (void)bus_put(&help, "b", "t", "4");
    bus_reopen(&help);
    bus_all(&help, "b", seen);
    assert_int_equal(seen->count, 2);
    assert_string_equal(seen->texts[1], "t 4");
    bus_all(&help, "a", seen);
    assert_int_equal(seen->count, 1);
    bus_receive(&help, "b", "workers", "c", 10, seen);
    assert_int_equal(seen->count, 1);
    assert_string_equal(seen->texts[0], "t 4");
    a = bus_key(&help, "a");
    assert_int_equal(sp_bus_rename(help.bus, &a, &a, &error), SP_OK);
    remove_key(&help, "a", true);
    assert_int_equal(sp_bus_rename(help.bus, &a, &a, &error), SP_NOT_FOUND);
    bus_close(&help);
    free(seen);
}

static void test_set_id(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct sp_error error;
    struct sp_bus_added added;
    bus_open(&help);
    struct sp_key key = bus_key(&help, "a");
    struct sp_entry_id far = {help.wall_us / 1000 + 1000000, 5};
    assert_int_equal(sp_bus_set_id(help.bus, &key, far, NULL, NULL, &error), SP_NOT_FOUND);
    (void)bus_put(&help, "a", "t", "1");
    bus_settle(&help);
    assert_int_equal(sp_bus_set_id(help.bus, &key, (struct sp_entry_id){1, 1}, NULL, NULL, &error),
                     SP_INVALID);
    assert_non_null(strstr(error.text, "smaller than the target stream top item"));
    struct sp_entry_id first = info(&help, "a").last_id;
    added = bus_put(&help, "a", "t", "2"); /* not durable yet */
    assert_true(!same_id(added.id, first));
    assert_int_equal(sp_bus_set_id(help.bus, &key, first, NULL, NULL, &error), SP_INVALID);
    const uint64_t entries = 0;
    assert_int_equal(sp_bus_set_id(help.bus, &key, far, &entries, NULL, &error), SP_INVALID);
    const uint64_t more = 100;
    bus_ok(sp_bus_set_id(help.bus, &key, far, &more, &(struct sp_entry_id){7, 0}, &error), &error);
    bus_reopen(&help);
    assert_true(same_id(info(&help, "a").last_id, far));
    assert_int_equal(info(&help, "a").entries_added, 100);
    bus_ok(add_id(&help, "a", SP_ID_AUTO, 0, 0, &added), NULL);
    assert_true(same_id(added.id, sp_entry_id_next(far)));
    bus_close(&help);
}

/* Who adds again learns the id that the entry has, whatever became of the key since. */
static void test_a_duplicate_tells_its_own_id(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct sp_error error;
    bus_open(&help);
    struct sp_key key = bus_key(&help, "s");
    for (int i = 0; i < 2; i++) {
        struct sp_event event = {.data = SP_STR("1"), .has_data = true};
        struct sp_bus_added added;
        event.attr[SP_ATTR_TYPE] = SP_STR("t");
        event.attr[SP_ATTR_SOURCE] = SP_STR("tester");
        event.attr[SP_ATTR_ID] = SP_STR("same");
        const struct sp_bus_add add = {
            .key = &key, .event = &event, .id_kind = SP_ID_GIVEN, .id = {.ms = 5, .seq = 6}};
        bus_ok(sp_bus_add(help.bus, &add, &added, &error), &error);
        assert_true(added.duplicate == (i == 1));
        assert_true(same_id(added.id, add.id));
        bool there = false;
        bus_ok(sp_bus_delete(help.bus, &key, &there, &error), &error);
    }
    bus_close(&help);
}

static void test_appends_and_duplicates(void **state) {
    (void)state;
    struct bus_help help = {.wall_us = 0};
    struct sp_error error;
    struct sp_bus_added first;
    struct sp_bus_added again;
    bus_open(&help);
    for (int i = 0; i < 2; i++) {
        struct sp_event event = {.data = SP_STR("1"), .has_data = true};
        event.attr[SP_ATTR_TYPE] = SP_STR("t");
        event.attr[SP_ATTR_SOURCE] = SP_STR("tester");
        event.attr[SP_ATTR_STREAM] = SP_STR("s");
        event.attr[SP_ATTR_ID] = SP_STR("same");
        bus_ok(sp_bus_append(help.bus, &event, i == 0 ? 0 : (uint64_t)SP_CORE_ANY_VERSION,
                             i == 0 ? &first : &again, &error),
               &error);
    }
    assert_false(first.duplicate);
    assert_true(again.duplicate);
    assert_int_equal(first.position, again.position);
    assert_true(same_id(first.id, again.id));
    struct sp_event event = {.data = SP_STR("1"), .has_data = true};
    event.attr[SP_ATTR_TYPE] = SP_STR("t");
    event.attr[SP_ATTR_SOURCE] = SP_STR("s");
    assert_int_equal(sp_bus_append(help.bus, &event, 7, &again, &error), SP_CONFLICT);
    event.attr[SP_ATTR_SOURCE] = SP_STR("$own");
    event.attr[SP_ATTR_STREAM] = (sp_str){.ptr = NULL, .len = 0};
    assert_int_equal(sp_bus_append(help.bus, &event, 0, &again, &error), SP_DENIED);
    bus_reopen(&help);
    bus_close(&help);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keys, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_ranges, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_only_what_is_durable, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_ids_of_ones_own, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_ranges_of_chosen_ids, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_trimming, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_adding_within_a_length, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_deleting_entries, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_keys_come_and_go, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_renaming, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_set_id, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_duplicate_tells_its_own_id, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_appends_and_duplicates, help_begin, help_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
