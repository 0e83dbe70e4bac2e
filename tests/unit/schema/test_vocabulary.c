/* The vocabulary that is compiled in: its order, what is found under which name, what it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "match/pattern.h"
#include "schema/vocabulary.h"

static void types_are_in_order_and_found(void **state) {
    (void)state;
    assert_true(sp_vocabulary_count() > 100);
    for (size_t i = 0; i < sp_vocabulary_count(); i++) {
        const struct sp_vocabulary_type *type = sp_vocabulary_at(i);
        assert_ptr_equal(type, sp_vocabulary_find(sp_str_from(type->type)));
        if (i > 0) {
            assert_true(strcmp(sp_vocabulary_at(i - 1)->type, type->type) < 0);
        }
    }
}

static void every_type_is_whole(void **state) {
    (void)state;
    for (size_t i = 0; i < sp_vocabulary_count(); i++) {
        const struct sp_vocabulary_type *type = sp_vocabulary_at(i);
        assert_int_equal(sp_pattern_check(sp_str_from(type->type), NULL), SP_OK);
        assert_true(sp_pattern_is_exact(sp_str_from(type->type)));
        assert_true(type->version[0] != '\0' && type->domain[0] != '\0');
        assert_true(type->meaning[0] != '\0' && type->emitted_by[0] != '\0');
        assert_int_equal(sp_json_check(sp_str_from(type->schema), NULL), SP_OK);
        assert_int_equal(sp_json_check(sp_str_from(type->example), NULL), SP_OK);
        assert_int_equal(sp_json_check(sp_str_from(type->json), NULL), SP_OK);
        for (size_t f = 0; f < type->field_count; f++) {
            assert_true(type->fields[f].name[0] != '\0' && type->fields[f].kind[0] != '\0');
            assert_true(type->fields[f].meaning[0] != '\0');
        }
    }
}

static void expect_found(const char *name, const char *type) {
    const struct sp_vocabulary_type *found = sp_vocabulary_find(sp_str_from(name));
    if (type == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_string_equal(found->type, type);
    }
}

static void other_spellings_are_found(void **state) {
    (void)state;
    expect_found("tool_called", "tool.called");
    expect_found("ToolCalled", "tool.called");
    expect_found("conversation_started", "conversation.started");
    expect_found("tool_calle", NULL);
    expect_found("tool_called ToolCalled", NULL);
    expect_found("", NULL);
}

static void a_type_with_names_stands_for_others(void **state) {
    (void)state;
    expect_found("task.assigned.ann", "task.assigned.{agent}");
    expect_found("task.assigned", "task.assigned");
    expect_found("agent.planner.memory", "agent.{agent}.memory");
    expect_found("agent.planner.memories", NULL);
    expect_found("agent..memory", NULL);
    expect_found("task.assigned.", NULL);
    expect_found("task.assigned.ann.late", NULL);
    expect_found("no.such.type", NULL);
}

static size_t count_matching(const char *pattern) {
    size_t count = 0;
    for (size_t i = 0; i < sp_vocabulary_count(); i++) {
        count += sp_vocabulary_matches(sp_vocabulary_at(i), sp_str_from(pattern));
    }
    return count;
}

static void patterns_and_domains_select(void **state) {
    (void)state;
    assert_int_equal(count_matching("#"), sp_vocabulary_count());
    assert_int_equal(count_matching("task.created"), 1);
    assert_true(count_matching("task.*") >= 8);
    assert_true(count_matching("security") >= 4); /* a domain, and no token of a type */
    assert_int_equal(count_matching("nothing.*"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_in_order_and_found),
        cmocka_unit_test(every_type_is_whole),
        cmocka_unit_test(other_spellings_are_found),
        cmocka_unit_test(a_type_with_names_stands_for_others),
        cmocka_unit_test(patterns_and_domains_select),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
