/* Causes and effects, told as lines of text: ids, indented by depth. */
#include "helper.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_SIZE = 4096 };

static spoor *store;

static int begin(void **state) {
    int failed = help_begin(state);
    store = failed ? NULL : help_open_small(SPOOR_CREATE, 256 << 10);
    return failed;
}

static int end(void **state) {
    spoor_close(store);
    return help_end_all(state);
}

static void put_from(const char *source, const char *id, const char *cause) {
    spoor_event event = help_event("t", source, NULL);
    event.id = spoor_text(id);
    event.causationid = spoor_text(cause);
    (void)help_append(store, &event);
}

static void put(const char *id, const char *cause) {
    put_from("a", id, cause);
}

/* "id@depth id@depth " */
static const char *tell(spoor_cursor *cursor, char text[TEXT_SIZE]) {
    const spoor_event *event = NULL;
    spoor_error error;
    spoor_status status;
    size_t len = 0;
    text[0] = '\0';
    while ((status = spoor_next(cursor, 0, &event, &error)) == SPOOR_OK) {
        len += (size_t)snprintf(text + len, TEXT_SIZE - len, "%.*s@%u ", (int)event->id.len,
                                event->id.ptr, spoor_cursor_depth(cursor));
        assert_true(len < TEXT_SIZE);
    }
    assert_int_equal(status, SPOOR_END);
    spoor_cursor_close(cursor);
    return text;
}

static void expect_causes(const char *id, const char *expected) {
    char text[TEXT_SIZE];
    spoor_cursor *cursor = NULL;
    spoor_error error;
    help_ok(spoor_causes(store, id, &cursor, &error), &error);
    assert_string_equal(tell(cursor, text), expected);
}

static void expect_effects(const char *id, const char *expected) {
    char text[TEXT_SIZE];
    spoor_cursor *cursor = NULL;
    spoor_error error;
    help_ok(spoor_effects(store, id, &cursor, &error), &error);
    assert_string_equal(tell(cursor, text), expected);
}

/* In memory, then sealed, then after opening again. */
static void in_all_states(void (*expectations)(void)) {
    expectations();
    help_fill(store, 1, 4000);
    help_seal(store);
    expectations();
    spoor_close(store);
    store = help_open_small(0, 256 << 10);
    expectations();
}

static void expect_tree(void) {
    expect_causes("root", "root@0 ");
    expect_causes("a2", "a2@0 a@1 root@2 ");
    expect_effects("root", "root@0 a@1 a1@2 a2@2 b@1 b1@2 ");
    expect_effects("a", "a@0 a1@1 a2@1 ");
    expect_effects("b1", "b1@0 ");
}

/* Depth first, each level by position. */
static void test_a_tree(void **state) {
    (void)state;
    put("root", NULL);
    put("a", "root");
    put("b", "root");
    put("b1", "b");
    put("a1", "a");
    put("a2", "a");
    put("stranger", NULL);
    in_all_states(expect_tree);
}

static void expect_cycle(void) {
    expect_causes("x", "x@0 z@1 y@2 ");
    expect_effects("x", "x@0 y@1 z@2 ");
    expect_causes("self", "self@0 ");
    expect_effects("self", "self@0 ");
}

/* An imported history may be anything: a circle ends where it began. */
static void test_cycles(void **state) {
    (void)state;
    put("x", "z");
    put("y", "x");
    put("z", "y");
    put("self", "self");
    in_all_states(expect_cycle);
}

static void expect_missing(void) {
    expect_causes("orphan", "orphan@0 ");
    expect_causes("child", "child@0 orphan@1 ");
    expect_effects("orphan", "orphan@0 child@1 ");
}

static void test_a_missing_cause_ends_the_chain(void **state) {
    (void)state;
    put("orphan", "nobody");
    put("child", "orphan");
    in_all_states(expect_missing);
    spoor_cursor *cursor = NULL;
    spoor_error error;
    help_refused(spoor_causes(store, "nobody", &cursor, &error), &error, SPOOR_NOT_FOUND, "nobody");
    help_refused(spoor_effects(store, "nobody", &cursor, &error), &error, SPOOR_NOT_FOUND,
                 "nobody");
    assert_null(cursor);
}

static void expect_out_of_order(void) {
    expect_causes("late", "late@0 ");
    expect_causes("effect", "effect@0 late@1 ");
    expect_effects("late", "late@0 effect@1 ");
}

/* The cause stands behind its effect, as an import may list them. */
static void test_causes_out_of_order(void **state) {
    (void)state;
    put("effect", "late");
    put("late", NULL);
    in_all_states(expect_out_of_order);
}

/* Several sources use one id: the cause is the one closest before its effect. */
static void test_several_sources_with_one_id(void **state) {
    (void)state;
    put_from("a", "1", "before-a");
    put("before-a", NULL);
    put("e1", "1");
    put_from("b", "1", "before-b");
    put("before-b", NULL);
    put("e2", "1");
    expect_causes("e1", "e1@0 1@1 before-a@2 ");
    expect_causes("e2", "e2@0 1@1 before-b@2 ");
    expect_causes("1", "1@0 before-b@1 "); /* of several the newest is meant */
    expect_effects("1", "1@0 e1@1 e2@1 ");
}

/* More effects than a lookup gathers at once, and a chain deeper than any stack should be. */
static void test_many(void **state) {
    (void)state;
    enum { WIDE = 3000, DEEP = 3000, BATCH = 500 };
    static spoor_event events[BATCH];
    static char ids[BATCH][16];
    static char causes[BATCH][16];
    spoor_cursor *cursor = NULL;
    spoor_error error;
    put("hub", NULL);
    put("d0", NULL);
    for (int i = 0; i < WIDE + DEEP; i++) {
        int wide = i < WIDE;
        int number = wide ? i + 1 : i - WIDE + 1;
        int at = i % BATCH;
        (void)snprintf(ids[at], 16, "%c%d", wide ? 'w' : 'd', number);
        (void)snprintf(causes[at], 16, "d%d", number - 1);
        events[at] = help_event("t", "a", NULL);
        events[at].id = spoor_text(ids[at]);
        events[at].causationid = spoor_text(wide ? "hub" : causes[at]);
        if (at == BATCH - 1) {
            help_ok(spoor_append_batch(store, events, BATCH, NULL, 0, NULL, &error), &error);
        }
    }
    help_ok(spoor_effects(store, "hub", &cursor, &error), &error);
    struct help_copies copies = help_drain(cursor);
    assert_int_equal(copies.count, WIDE + 1);
    help_copies_free(&copies);
    help_ok(spoor_causes(store, "d3000", &cursor, &error), &error);
    copies = help_drain(cursor);
    assert_int_equal(copies.count, DEEP + 1);
    assert_true(help_is(copies.items[DEEP].event.id, "d0"));
    help_copies_free(&copies);
    help_ok(spoor_effects(store, "d0", &cursor, &error), &error);
    copies = help_drain(cursor);
    assert_int_equal(copies.count, DEEP + 1);
    help_copies_free(&copies);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_tree, begin, end),
        cmocka_unit_test_setup_teardown(test_cycles, begin, end),
        cmocka_unit_test_setup_teardown(test_a_missing_cause_ends_the_chain, begin, end),
        cmocka_unit_test_setup_teardown(test_causes_out_of_order, begin, end),
        cmocka_unit_test_setup_teardown(test_several_sources_with_one_id, begin, end),
        cmocka_unit_test_setup_teardown(test_many, begin, end),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
